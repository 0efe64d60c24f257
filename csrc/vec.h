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
  std::memcpy(&v, p, n * sizeof(T));
  return v;
}

template <class T>
inline void store_part(T* p, Vec<T> v, int64_t n) {
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

// The sum of the lanes, pairwise: halves are added until one is left. Called as sum_lanes<float>(v).
template <class T>
inline T sum_lanes(Vec<T> v) {
  T part[lanes<T>];
  store(part, v);
  for (int64_t half = lanes<T> / 2; half > 0; half /= 2)
    for (int64_t i = 0; i < half; i++) part[i] += part[i + half];
  return part[0];
}

template <class T>
inline T max_lanes(Vec<T> v) {
  T part[lanes<T>];
  store(part, v);
  T best = part[0];
  for (int64_t i = 1; i < lanes<T>; i++) best = part[i] > best ? part[i] : best;
  return best;
}

}  // namespace rushlight
