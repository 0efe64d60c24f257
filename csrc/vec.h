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

// Every lane s. (s - 0 folds to one broadcast instruction; s + 0 does not, because of signed zeros.)
template <class T>
inline Vec<T> splat(T s) {
  return s - Vec<T>{};
}

// Stores to an aligned p past the caches, where the machine can: for results too large for them whose lines are written whole.
// Other threads may read them after `stores_past_done`.
template <class T>
inline void store_past(T* p, Vec<T> v) {
#if defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(p), __m512i(v));
#elif defined(__AVX__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(p), __m256i(v));
#elif defined(__SSE2__)
  _mm_stream_si128(reinterpret_cast<__m128i*>(p), __m128i(v));
#else
  store(p, v);
#endif
}

inline void stores_past_done() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

#if defined(__AVX2__) && !defined(__AVX512F__)
// The first n lanes of 4 or 8 bytes.
template <class T>
inline __m256i first_lanes(int64_t n) {
  if constexpr (sizeof(T) == 4)
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(int(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  else
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
#endif

// The first n elements, n <= lanes<T>; the rest is `fill`. (memcpy of a length that varies is a call, which would be most
// of what a short row costs.)
template <class T>
inline Vec<T> load_part(const T* p, int64_t n, T fill = T(0)) {
  Vec<T> v = splat(fill);
#if defined(__AVX512F__)
  const uint64_t mask = _bzhi_u64(~uint64_t(0), unsigned(n));
  if constexpr (sizeof(T) == 8) return Vec<T>(_mm512_mask_loadu_epi64(__m512i(v), __mmask8(mask), p));
  if constexpr (sizeof(T) == 4) return Vec<T>(_mm512_mask_loadu_epi32(__m512i(v), __mmask16(mask), p));
  if constexpr (sizeof(T) == 2) return Vec<T>(_mm512_mask_loadu_epi16(__m512i(v), __mmask32(mask), p));
  if constexpr (sizeof(T) == 1) return Vec<T>(_mm512_mask_loadu_epi8(__m512i(v), __mmask64(mask), p));
#elif defined(__AVX2__)
  const __m256i mask = first_lanes<T>(n);
  if constexpr (sizeof(T) == 8)
    return Vec<T>(_mm256_blendv_epi8(__m256i(v), _mm256_maskload_epi64(reinterpret_cast<const long long*>(p), mask), mask));
  if constexpr (sizeof(T) == 4)
    return Vec<T>(_mm256_blendv_epi8(__m256i(v), _mm256_maskload_epi32(reinterpret_cast<const int*>(p), mask), mask));
#endif
  std::memcpy(&v, p, n * sizeof(T));
  return v;
}

template <class T>
inline void store_part(T* p, Vec<T> v, int64_t n) {
#if defined(__AVX512F__)
  const uint64_t mask = _bzhi_u64(~uint64_t(0), unsigned(n));
  if constexpr (sizeof(T) == 8) return _mm512_mask_storeu_epi64(p, __mmask8(mask), __m512i(v));
  if constexpr (sizeof(T) == 4) return _mm512_mask_storeu_epi32(p, __mmask16(mask), __m512i(v));
  if constexpr (sizeof(T) == 2) return _mm512_mask_storeu_epi16(p, __mmask32(mask), __m512i(v));
  if constexpr (sizeof(T) == 1) return _mm512_mask_storeu_epi8(p, __mmask64(mask), __m512i(v));
#elif defined(__AVX2__)
  const __m256i mask = first_lanes<T>(n);
  if constexpr (sizeof(T) == 8) return _mm256_maskstore_epi64(reinterpret_cast<long long*>(p), mask, __m256i(v));
  if constexpr (sizeof(T) == 4) return _mm256_maskstore_epi32(reinterpret_cast<int*>(p), mask, __m256i(v));
#endif
  std::memcpy(p, &v, n * sizeof(T));
}

template <class M, class V>
inline V select(M mask, V yes, V no) {
  return mask ? yes : no;
}

// b where either is NaN: to the bit what x86's instructions do, which GCC does not find by itself.
template <class V>
inline V max(V a, V b) {
#if defined(__AVX512F__)  // the masked forms: GCC warns of undefined registers in the others
  if constexpr (std::is_same_v<V, Vec<float>>) return V(_mm512_maskz_max_ps(-1, __m512(a), __m512(b)));
  if constexpr (std::is_same_v<V, Vec<double>>) return V(_mm512_maskz_max_pd(-1, __m512d(a), __m512d(b)));
#elif defined(__AVX__)
  if constexpr (std::is_same_v<V, Vec<float>>) return V(_mm256_max_ps(__m256(a), __m256(b)));
  if constexpr (std::is_same_v<V, Vec<double>>) return V(_mm256_max_pd(__m256d(a), __m256d(b)));
#elif defined(__SSE2__)
  if constexpr (std::is_same_v<V, Vec<float>>) return V(_mm_max_ps(__m128(a), __m128(b)));
  if constexpr (std::is_same_v<V, Vec<double>>) return V(_mm_max_pd(__m128d(a), __m128d(b)));
#endif
  return a > b ? a : b;
}

template <class V>
inline V min(V a, V b) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<V, Vec<float>>) return V(_mm512_maskz_min_ps(-1, __m512(a), __m512(b)));
  if constexpr (std::is_same_v<V, Vec<double>>) return V(_mm512_maskz_min_pd(-1, __m512d(a), __m512d(b)));
#elif defined(__AVX__)
  if constexpr (std::is_same_v<V, Vec<float>>) return V(_mm256_min_ps(__m256(a), __m256(b)));
  if constexpr (std::is_same_v<V, Vec<double>>) return V(_mm256_min_pd(__m256d(a), __m256d(b)));
#elif defined(__SSE2__)
  if constexpr (std::is_same_v<V, Vec<float>>) return V(_mm_min_ps(__m128(a), __m128(b)));
  if constexpr (std::is_same_v<V, Vec<double>>) return V(_mm_min_pd(__m128d(a), __m128d(b)));
#endif
  return a < b ? a : b;
}

// Whether a mask holds anywhere.
template <class M>
inline bool any(M mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask(__m512i(mask), __m512i(mask)) != 0;
#elif defined(__AVX__)
  return _mm256_movemask_ps(__m256(mask)) != 0;
#elif defined(__SSE2__)
  return _mm_movemask_epi8(__m128i(mask)) != 0;
#else
  uint64_t part[sizeof(M) / 8], found = 0;
  std::memcpy(part, &mask, sizeof mask);
  for (uint64_t word : part) found |= word;
  return found != 0;
#endif
}

// Shorter integers in as many lanes.
template <int64_t lanes>
struct Narrow {
  typedef int8_t Bytes __attribute__((vector_size(lanes)));
  typedef int16_t Shorts __attribute__((vector_size(lanes * 2)));
  typedef int32_t Words __attribute__((vector_size(lanes * 4)));
};

// n bool bytes as a mask for vectors of T; nothing beyond them. (Doubled step by step: GCC takes wider steps one by one.)
template <class T, class N>
inline Vec<Mask<T>> load_mask(const void* p, N n) {
  using Shorts = typename Narrow<lanes<T>>::Shorts;
  using Words = typename Narrow<lanes<T>>::Words;
  typename Narrow<lanes<T>>::Bytes bytes{};
  std::memcpy(&bytes, p, n);
  if constexpr (sizeof(T) == 1) {
    return Vec<Mask<T>>(bytes) != 0;
  } else {
    const Shorts shorts = __builtin_convertvector(bytes, Shorts);
    if constexpr (sizeof(T) == 2) {
      return Vec<Mask<T>>(shorts) != 0;
    } else {
      const Words words = __builtin_convertvector(shorts, Words);
      if constexpr (sizeof(T) == 4)
        return Vec<Mask<T>>(words) != 0;
      else
        return __builtin_convertvector(words, Vec<Mask<T>>) != 0;
    }
  }
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
