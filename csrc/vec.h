// Portable vectors: GCC's and Clang's vector extensions under names of our own.
//
// Vec<T> holds as many elements as one register of the instruction set this file is compiled for (RUSHLIGHT_VECTOR_BYTES:
// 64 for AVX-512, 32 for AVX2, 16 for SSE2 and NEON). Arithmetic and comparisons are the operators; what has no operator
// stands here. Loads and stores need no alignment. A loop's tail is computed by the same vector code on a partial load, so
// that an element's result never depends on where in the array it lies.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace rushlight {

// One specialisation a type: GCC drops the attribute from an alias of a type that is not known yet.
template <class T>
struct Register;
template <>
struct Register<float> {
  typedef float type __attribute__((vector_size(RUSHLIGHT_VECTOR_BYTES)));
};
template <>
struct Register<double> {
  typedef double type __attribute__((vector_size(RUSHLIGHT_VECTOR_BYTES)));
};
template <>
struct Register<int8_t> {
  typedef int8_t type __attribute__((vector_size(RUSHLIGHT_VECTOR_BYTES)));
};
template <>
struct Register<uint8_t> {
  typedef uint8_t type __attribute__((vector_size(RUSHLIGHT_VECTOR_BYTES)));
};
template <>
struct Register<int16_t> {
  typedef int16_t type __attribute__((vector_size(RUSHLIGHT_VECTOR_BYTES)));
};
template <>
struct Register<uint16_t> {
  typedef uint16_t type __attribute__((vector_size(RUSHLIGHT_VECTOR_BYTES)));
};
template <>
struct Register<int32_t> {
  typedef int32_t type __attribute__((vector_size(RUSHLIGHT_VECTOR_BYTES)));
};
template <>
struct Register<uint32_t> {
  typedef uint32_t type __attribute__((vector_size(RUSHLIGHT_VECTOR_BYTES)));
};
template <>
struct Register<int64_t> {
  typedef int64_t type __attribute__((vector_size(RUSHLIGHT_VECTOR_BYTES)));
};
template <>
struct Register<uint64_t> {
  typedef uint64_t type __attribute__((vector_size(RUSHLIGHT_VECTOR_BYTES)));
};

template <class T>
using Vec = typename Register<T>::type;

template <class T>
inline constexpr int64_t lanes = RUSHLIGHT_VECTOR_BYTES / sizeof(T);

// The signed integer as wide as T: what comparing vectors of T gives (all bits set for true).
template <class T>
using Mask = std::conditional_t<sizeof(T) == 8, int64_t,
                                std::conditional_t<sizeof(T) == 4, int32_t, std::conditional_t<sizeof(T) == 2, int16_t, int8_t>>>;

template <class T>
inline Vec<T> load(const T* p) {
  Vec<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
inline void store(T* p, Vec<T> v) {
  std::memcpy(p, &v, sizeof v);
}

// The first n elements; the rest is `fill`.
template <class T>
inline Vec<T> load_part(const T* p, int64_t n, T fill = T(0)) {
  Vec<T> v = fill - Vec<T>{};
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return (Vec<T>)_mm512_mask_loadu_epi32((__m512i)v, __mmask16((1u << n) - 1), p);
  if constexpr (sizeof(T) == 8) return (Vec<T>)_mm512_mask_loadu_epi64((__m512i)v, __mmask8((1u << n) - 1), p);
#endif
  std::memcpy(&v, p, n * sizeof(T));
  return v;
}

template <class T>
inline void store_part(T* p, Vec<T> v, int64_t n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return _mm512_mask_storeu_epi32(p, __mmask16((1u << n) - 1), (__m512i)v);
  if constexpr (sizeof(T) == 8) return _mm512_mask_storeu_epi64(p, __mmask8((1u << n) - 1), (__m512i)v);
#endif
  std::memcpy(p, &v, n * sizeof(T));
}

// Every lane s. (s - 0 folds to one broadcast instruction; s + 0 does not, because of signed zeros.)
template <class T>
inline Vec<T> splat(T s) {
  return s - Vec<T>{};
}

template <class M, class V>
inline V select(M mask, V yes, V no) {
  return mask ? yes : no;
}

// b where either is NaN.
template <class V>
inline V max(V a, V b) {
  return a > b ? a : b;
}

template <class V>
inline V min(V a, V b) {
  return a < b ? a : b;
}

// a * b + c, rounded once where the machine has FMA (the compiler contracts it; without FMA it is rounded twice).
template <class V>
inline V fma(V a, V b, V c) {
  return a * b + c;
}

template <class T, int N>
struct Sized {
  typedef T type __attribute__((vector_size(N * sizeof(T))));
};

// All lanes brought together pairwise: `join` of the two halves, until one lane is left.
template <class T, int N, class Join, int... I>
inline T join_halves(typename Sized<T, N>::type v, Join join, std::integer_sequence<int, I...>) {
  if constexpr (N == 2)
    return join(T(v[0]), T(v[1]));
  else
    return join_halves<T, N / 2>(join(__builtin_shufflevector(v, v, I...), __builtin_shufflevector(v, v, I + N / 2 ...)), join,
                                 std::make_integer_sequence<int, N / 4>());
}
template <class T, class Join>
inline T join_lanes(Vec<T> v, Join join) {
  return join_halves<T, int(lanes<T>)>(v, join, std::make_integer_sequence<int, int(lanes<T> / 2)>());
}

// The sum of the lanes, pairwise. Called as sum_lanes<float>(v).
template <class T>
inline T sum_lanes(Vec<T> v) {
  return join_lanes<T>(v, [](auto a, auto b) { return a + b; });
}

template <class T>
inline T max_lanes(Vec<T> v) {
  return join_lanes<T>(v, [](auto a, auto b) { return max(a, b); });
}

}  // namespace rushlight
