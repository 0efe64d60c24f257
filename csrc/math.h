// Elementary functions of vectors: exp, expm1, exp2, log, log1p, log2, log10, tanh, sigmoid, erf, sqrt.
//
// Each takes and returns a Vec<float> or a Vec<double> and is right to about one unit in the last place over the whole
// range: NaN in, NaN out; infinities, signed zeros, overflow and subnormal numbers as C's namesakes have them. The method
// is the same throughout: bring the argument into a small interval without rounding, evaluate a polynomial that was
// fitted there (minimax, by Remez' algorithm in 40 digits), and put the pieces together so that the last addition is the
// only rounding that counts. Without branches, so that all lanes cost the same.
#pragma once
#include <cmath>
#include <limits>

#include "vec.h"

namespace rushlight {

// The type of a vector's lanes, and the integer vector that comparing gives.
template <class V>
using Lane = std::remove_cvref_t<decltype(std::declval<V&>()[0])>;
template <class V>
using Bits = Vec<Mask<Lane<V>>>;

template <class T>
struct Constants;

template <>
struct Constants<float> {
  static constexpr int mantissa_bits = 23;
  static constexpr float bias = 127, round_to_whole = 0x1.8p23f;  // adding and taking off 1.5 * 2^23 rounds to a whole number
  static constexpr float exp_lowest = -105, exp_highest = 89, expm1_lowest = -20, tanh_highest = 10, erf_highest = 4;
  // Products of the head of a constant and an exponent are exact.
  static constexpr float log2_e = 1.44269504088896341f, ln2_head = 0x1.62e4p-1f, ln2_tail = 1.42860682030941723e-6f;
  static constexpr float log2_e_head = 0x1.714p0f, log2_e_tail = 3.12228388963407360e-4f;
  static constexpr float log10_e = 0.434294481903251828f, log10_e_head = 0x1.bcap-2f, log10_e_tail = 9.03803407518276511e-5f;
  static constexpr float log10_2_head = 0x1.344p-2f, log10_2_tail = 4.60503898119521374e-6f;
  static constexpr int32_t head_mask = ~0xfff;
  // (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2.
  static constexpr float exp_tail[] = {1.99143724e-4f, 1.39411025e-3f, 8.33327269e-3f, 4.16663535e-2f, 1.66666668e-1f, 5.00000005e-1f};
  // (log(1 + f) - f + f^2 / 2) / f^3 for sqrt(1/2) <= 1 + f <= sqrt(2).
  static constexpr float log_tail[] = {6.74721656e-2f, -1.16760342e-1f, 1.18881046e-1f, -1.24055186e-1f, 1.42195506e-1f,
                                       -1.66679999e-1f, 2.0002119e-1f, -2.50000095e-1f, 3.33333126e-1f};
  // erf(x) / x - 1 in powers of x^2, for |x| <= 1.
  static constexpr float erf_near[] = {7.88911907e-5f, -8.02084152e-4f, 5.18953542e-3f, -2.68544447e-2f, 1.12836002e-1f, -3.76126271e-1f,
                                       1.28379167e-1f};
  // log(1 - erf(x)) + x^2 for 1 <= x <= 4.
  static constexpr float erf_far[] = {-2.1686709e-5f, 4.41334608e-4f, -4.20455255e-3f, 2.520823e-2f, -1.08418532e-1f, 3.66780062e-1f,
                                      -1.1295784f, 1.88034755e-4f};
};

template <>
struct Constants<double> {
  static constexpr int mantissa_bits = 52;
  static constexpr double bias = 1023, round_to_whole = 0x1.8p52;
  static constexpr double exp_lowest = -746, exp_highest = 710, expm1_lowest = -40, tanh_highest = 20, erf_highest = 6;
  static constexpr double log2_e = 1.44269504088896340736, ln2_head = 0x1.62e42feep-1, ln2_tail = 1.90821492927058770002e-10;
  static constexpr double log2_e_head = 0x1.715476p0, log2_e_tail = 1.92596299112661746887e-8;
  static constexpr double log10_e = 0.434294481903251827651, log10_e_head = 0x1.bcb7b1p-2, log10_e_tail = 4.7981111416159726689e-9;
  static constexpr double log10_2_head = 0x1.34413508p-2, log10_2_tail = 1.1451100898021838691e-10;
  static constexpr int64_t head_mask = ~0x7ffffffLL;
  static constexpr double exp_tail[] = {2.092454903723417e-9,  2.5109147433274008e-8,  2.7557242425060152e-7, 2.7557243911389356e-6,
                                        2.4801587360935101e-5, 1.9841269886401614e-4,  1.3888888888866656e-3, 8.333333333321531e-3,
                                        4.1666666666666702e-2, 1.6666666666666677e-1,  5.0e-1};
  static constexpr double log_tail[] = {2.2481700786058635e-2,  -5.4092891986560074e-2, 6.0527049562806828e-2,  -5.1892940264059591e-2,
                                        5.0280216533065956e-2,  -5.4794720542902761e-2, 5.9024891185496468e-2,  -6.2603651943495682e-2,
                                        6.6659000275789565e-2,  -7.1420888336466832e-2, 7.6923049792864658e-2,  -8.3333675036728658e-2,
                                        9.0909104799610601e-2,  -9.9999990767301754e-2, 1.1111111058673118e-1,  -1.2500000014532645e-1,
                                        1.428571428657331e-1,   -1.666666666654807e-1,  1.9999999999993955e-1,  -2.5000000000000368e-1,
                                        3.3333333333333346e-1};
  static constexpr double erf_near[] = {5.9606866548471335e-11, -1.1374955789778035e-9, 1.4660328525181356e-8, -1.6350396158142452e-7,
                                        1.646100846796314e-6,   -1.4925595771308063e-5, 1.205533113290754e-4,  -8.5483269814238586e-4,
                                        5.2239776248283946e-3,  -2.6866170645077871e-2, 1.1283791670954884e-1, -3.7612638903183748e-1,
                                        1.283791670955126e-1};
  static constexpr double erf_far[] = {1.0989005046806849e-12, -5.0032660759408966e-11, 1.0662782686029183e-9, -1.4118263215409068e-8,
                                       1.2983313462583824e-7,  -8.760963403496783e-7,   4.447421421250561e-6,  -1.6956856348647784e-5,
                                       4.6326098193054026e-5,  -7.335410790491935e-5,   -3.929145817507436e-5, 6.33013265111983e-4,
                                       -1.759479738399828e-3,  2.7181936522841323e-4,   1.908418084931542e-2,  -1.0275033697013192e-1,
                                       3.6337260669237237e-1,  -1.1283775702077243,     -1.549220815665091e-7};
};

// a * b + c with one rounding, never split by the compiler, where the processor has such an instruction.
#if defined(__FMA__) || defined(__aarch64__)
constexpr bool has_fused = true;
#else
constexpr bool has_fused = false;
#endif

template <class V>
inline V fused(V a, V b, V c) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<V, Vec<float>>) return V(_mm512_fmadd_ps(__m512(a), __m512(b), __m512(c)));
  if constexpr (std::is_same_v<V, Vec<double>>) return V(_mm512_fmadd_pd(__m512d(a), __m512d(b), __m512d(c)));
#elif defined(__FMA__)
  if constexpr (std::is_same_v<V, Vec<float>>) return V(_mm256_fmadd_ps(__m256(a), __m256(b), __m256(c)));
  if constexpr (std::is_same_v<V, Vec<double>>) return V(_mm256_fmadd_pd(__m256d(a), __m256d(b), __m256d(c)));
#endif
  for (int64_t i = 0; i < int64_t(sizeof(V) / sizeof(a[0])); i++) a[i] = std::fma(a[i], b[i], c[i]);
  return a;
}

// Horner's rule, highest power first; of more than six terms the even and the odd powers apart, for half the latency.
template <class V, class T, size_t N>
inline V polynomial(const T (&coefficients)[N], V x) {
  V sum = splat(coefficients[0]);
  if constexpr (N <= 6) {
#pragma GCC unroll 32
    for (size_t i = 1; i < N; i++) sum = sum * x + splat(coefficients[i]);
    return sum;
  } else {
    const V square = x * x;
    V other = splat(coefficients[1]);
#pragma GCC unroll 32
    for (size_t i = 2; i < N; i += 2) sum = sum * square + splat(coefficients[i]);
#pragma GCC unroll 32
    for (size_t i = 3; i < N; i += 2) other = other * square + splat(coefficients[i]);
    return N % 2 ? other * x + sum : sum * x + other;
  }
}

template <class V>
inline V magnitude(V x) {
  return V(Bits<V>(x) & std::numeric_limits<Mask<Lane<V>>>::max());
}

// The magnitude of `size` with the sign of `sign`.
template <class V>
inline V with_sign(V size, V sign) {
  constexpr auto rest = std::numeric_limits<Mask<Lane<V>>>::max();
  return V((Bits<V>(size) & rest) | (Bits<V>(sign) & ~rest));
}

// The nearest whole number, for |x| below 2^22 (2^51).
template <class V>
inline V nearest(V x) {
  constexpr auto shift = Constants<Lane<V>>::round_to_whole;
  return (x + shift) - shift;
}

// Half to even, for every x.
template <class V>
inline V round_even(V x) {
  constexpr auto unit = Lane<V>(1ull << Constants<Lane<V>>::mantissa_bits);  // from here on all numbers are whole
  const V size = magnitude(x);
  return select(size < unit, with_sign((size + unit) - unit, x), x);
}

template <class V>
inline V floor(V x) {
  const V near = round_even(x);
  return select(near > x, near - Lane<V>(1), near);
}

template <class V>
inline V ceil(V x) {
  const V near = round_even(x);
  return select(near < x, with_sign(near + Lane<V>(1), x), near);
}

template <class V>
inline V trunc(V x) {
  return with_sign(floor(magnitude(x)), x);
}

// The larger and the smaller one; NaN where either is.
template <class V>
inline V maximum(V a, V b) {
  const V larger = max(a, b);
  if constexpr (std::is_floating_point_v<Lane<V>>) return select(a != a, a, larger);
  return larger;
}

template <class V>
inline V minimum(V a, V b) {
  const V smaller = min(a, b);
  if constexpr (std::is_floating_point_v<Lane<V>>) return select(a != a, a, smaller);
  return smaller;
}

// 2^n for a whole n of which 2^n is a normal number: the exponent stands in the low bits of n + bias + 1.5 * 2^23.
template <class V>
inline V power_of_two(V n) {
  using C = Constants<Lane<V>>;
  return V(Bits<V>(n + (C::round_to_whole + C::bias)) << C::mantissa_bits);
}

// x * 2^n, in two steps so that overflow and subnormal results come out right.
template <class V>
inline V scale(V x, V n) {
#if defined(__AVX512F__)  // the masked forms: GCC warns of undefined registers in the others
  if constexpr (std::is_same_v<V, Vec<float>>)
    return V(_mm512_maskz_scalef_ps(-1, __m512(x), __m512(n)));
  else
    return V(_mm512_maskz_scalef_pd(-1, __m512d(x), __m512d(n)));
#else
  const V half = nearest(n * Lane<V>(0.5));
  return x * power_of_two(half) * power_of_two(n - half);
#endif
}

// x within a bound; NaN stays.
template <class V>
inline V at_least(V x, Lane<V> low) {
  return max(splat(low), x);
}

template <class V>
inline V at_most(V x, Lane<V> high) {
  return min(splat(high), x);
}

template <class V>
inline V bounded(V x, Lane<V> low, Lane<V> high) {
  return at_most(at_least(x, low), high);
}

// x = n ln(2) + r with |r| <= ln(2) / 2.
template <class V>
inline V reduce_exp(V x, V& n) {
  using C = Constants<Lane<V>>;
  n = nearest(x * C::log2_e);
  return (x - n * C::ln2_head) - n * C::ln2_tail;
}

// exp(r) - 1.
template <class V>
inline V exp_core(V r) {
  return r + r * r * polynomial(Constants<Lane<V>>::exp_tail, r);
}

// Lanes that would come out as 0 are not computed but set: arithmetic that ends below the normal numbers takes a processor
// a hundred cycles, and masks of -inf are common.
template <class V>
inline V exp(V x) {
  using C = Constants<Lane<V>>;
  V n;
  const auto vanishes = x < splat(C::exp_lowest);
  const V r = reduce_exp(select(vanishes, V{}, at_most(x, C::exp_highest)), n);
  return select(vanishes, V{}, V(scale(exp_core(r) + Lane<V>(1), n)));
}

// exp(x) for x <= 0.
template <class V>
inline V exp_negative(V x) {
  V n;
  const auto vanishes = x < splat(Constants<Lane<V>>::exp_lowest);
  const V r = reduce_exp(select(vanishes, V{}, x), n);
  return select(vanishes, V{}, V(scale(exp_core(r) + Lane<V>(1), n)));
}

// exp(x) - 1 for 0 <= x <= expm1_reach.
template <class V>
inline V expm1_positive(V x) {
  V n;
  const V r = exp_core(reduce_exp(x, n)), power = power_of_two(n);
  return power * r + (power - Lane<V>(1));
}

template <class V>
inline V exp2(V x) {
  using C = Constants<Lane<V>>;
  x = bounded(x, C::exp_lowest * Lane<V>(1.5), C::exp_highest * Lane<V>(1.5));
  const V n = nearest(x);
  return scale(exp_core((x - n) * Lane<V>(0.693147180559945309417)) + Lane<V>(1), n);
}

template <class V>
inline V expm1(V x) {
  using T = Lane<V>;
  using C = Constants<T>;
  V n;
  const V r = exp_core(reduce_exp(bounded(x, C::expm1_lowest, C::exp_highest), n));
  const V half = power_of_two(n - T(1));  // not 2^n, which may overflow where the result does not
  const V result = (half * r + (half - T(0.5))) * T(2);
  return select(magnitude(x) < std::numeric_limits<T>::epsilon() / 4, x, result);
}

// x = 2^exponent (1 + fraction) with sqrt(1/2) <= 1 + fraction <= sqrt(2), for positive normal x.
template <class V>
inline V split_log(V x, V& exponent) {
  using T = Lane<V>;
  using C = Constants<T>;
  using Word = std::make_unsigned_t<Mask<T>>;
  using U = Vec<Word>;
  constexpr T raised = T(1ull << C::mantissa_bits);
  const U root = U(splat(T(0.70710678118654752440)));
  const U shifted = U(x) - root + U(splat(T(1)));
  // The exponent as a number: behind the bits of 2^23 it stands for its own value.
  exponent = V((shifted >> C::mantissa_bits) | U(splat(raised))) - (raised + C::bias);
  return V((shifted & ((Word(1) << C::mantissa_bits) - 1)) + root) - T(1);
}

// Whether an x is zero, negative, subnormal, infinite or NaN; nearly always none is, which one comparison of the bits tells.
template <class V>
inline bool any_special(V x) {
  using U = Vec<std::make_unsigned_t<Mask<Lane<V>>>>;
  const U smallest = U(splat(std::numeric_limits<Lane<V>>::min())), beyond = U(splat(std::numeric_limits<Lane<V>>::infinity()));
  return any(U(x) - smallest >= beyond - smallest);
}

// The logarithms of zero, infinity and negative numbers in place of `value`.
template <class V>
inline V special_log(V x, V value) {
  using T = Lane<V>;
  constexpr T infinity = std::numeric_limits<T>::infinity();
  value = select(x == infinity, x, value);
  return select(x > T(0), value, select(x == T(0), splat(-infinity), splat(std::numeric_limits<T>::quiet_NaN())));
}

// A logarithm for every x, from value(e, f) for x = 2^e (1 + f).
template <class V, class F>
inline V any_log(V x, F&& value) {
  using T = Lane<V>;
  V e;
  if (!any_special(x)) [[likely]] {
    const V f = split_log(x, e);
    return value(e, f);
  }
  const auto subnormal = x < std::numeric_limits<T>::min();
  const V f = split_log(select(subnormal, x * T(1ull << Constants<T>::mantissa_bits), x), e);
  return special_log(x, value(select(subnormal, e - T(Constants<T>::mantissa_bits), e), f));
}

// f^2 / 2 - f^3 / 3 + ...: what log(1 + f) falls short of f.
template <class V>
inline V log_core(V f) {
  const V square = f * f;
  return square * Lane<V>(0.5) - square * f * polynomial(Constants<Lane<V>>::log_tail, f);
}

template <class V>
inline V log(V x) {
  using C = Constants<Lane<V>>;
  return any_log(x, [](V e, V f) { return e * C::ln2_head + (f - (log_core(f) - e * C::ln2_tail)); });
}

template <class V>
inline V log1p(V x) {
  using T = Lane<V>;
  using C = Constants<T>;
  const V sum = x + T(1), back = sum - T(1);
  const V lost = (T(1) - (sum - back)) + (x - back);  // sum + lost = 1 + x exactly
  V e;
  V f = split_log(sum, e);
  f = select(e == T(0), x, f);
  const V rest = select(e == T(0), V{}, lost / sum) + e * C::ln2_tail;
  V result = e * C::ln2_head + (f - (log_core(f) - rest));
  if (any_special(sum)) result = special_log(sum, result);
  return select(magnitude(x) < std::numeric_limits<T>::epsilon() / 4, x, result);
}

// log(1 + f) * constant + e * step, with the products in two parts each.
template <class V>
inline V scaled_log(V e, V f, Lane<V> head, Lane<V> tail, Lane<V> constant, Lane<V> step_head, Lane<V> step_tail) {
  const V f_head = V(Bits<V>(f) & Constants<Lane<V>>::head_mask);
  const V f_tail = (f - f_head) - log_core(f);
  const V large = e * step_head, small = f_head * head;
  const V sum = large + small;
  const V lost = (large - sum) + small;
  return sum + (lost + (e * step_tail + (f_head * tail + f_tail * constant)));
}

template <class V>
inline V log2(V x) {
  using C = Constants<Lane<V>>;
  return any_log(x, [](V e, V f) { return scaled_log(e, f, C::log2_e_head, C::log2_e_tail, C::log2_e, Lane<V>(1), Lane<V>(0)); });
}

template <class V>
inline V log10(V x) {
  using C = Constants<Lane<V>>;
  return any_log(x, [](V e, V f) {
    return scaled_log(e, f, C::log10_e_head, C::log10_e_tail, C::log10_e, C::log10_2_head, C::log10_2_tail);
  });
}

// With e = exp(2 |x|) - 1 it is e / (e + 2).
template <class V>
inline V tanh(V x) {
  using T = Lane<V>;
  const V e = expm1_positive(at_most(magnitude(x), Constants<T>::tanh_highest) * T(2));
  return with_sign(e / (e + T(2)), x);
}

// The exponential is always that of a negative number, so small results keep their digits.
template <class V>
inline V sigmoid(V x) {
  using T = Lane<V>;
  const V small = exp_negative(-magnitude(x));
  return select(x < T(0), small, splat(T(1))) / (small + T(1));
}

template <class V>
inline V erf(V x) {
  using T = Lane<V>;
  using C = Constants<T>;
  const V size = magnitude(x);
  const V near = x + x * polynomial(C::erf_near, x * x);
  const V reach = at_most(size, C::erf_highest);
  const V far = T(1) - exp_negative(polynomial(C::erf_far, reach) - reach * reach);
  return with_sign(select(size < T(1), near, far), x);
}

inline Vec<float> sqrt(Vec<float> x) {
#if defined(__AVX512F__)  // the masked forms: GCC warns of undefined registers in the others
  using U = Vec<uint32_t>;
  const U lowest = U(splat(0x1p-100f)), highest = U(splat(0x1p100f));
  if (any(U(x) - lowest >= highest - lowest)) [[unlikely]] return Vec<float>(_mm512_maskz_sqrt_ps(-1, __m512(x)));
  // Half the time of the instruction: from 14 bits of 1 / sqrt(x) by Goldschmidt's iteration and a last correction, which
  // rounds right for every mantissa (tests/native/test_math.py tries all of them).
  const Vec<float> inverse = Vec<float>(_mm512_maskz_rsqrt14_ps(-1, __m512(x))), half = splat(0.5f);
  Vec<float> root = x * inverse, reach = half * inverse;
  const Vec<float> lack = fused(-root, reach, half);
  root = fused(root, lack, root);
  reach = fused(reach, lack, reach);
  return fused(fused(-root, root, x), reach, root);
#elif defined(__AVX__)
  return Vec<float>(_mm256_sqrt_ps(__m256(x)));
#elif defined(__SSE2__)
  return Vec<float>(_mm_sqrt_ps(__m128(x)));
#else
  for (int64_t i = 0; i < lanes<float>; i++) x[i] = std::sqrt(x[i]);
  return x;
#endif
}

inline Vec<double> sqrt(Vec<double> x) {
#if defined(__AVX512F__)  // the masked forms: GCC warns of undefined registers in the others
  return Vec<double>(_mm512_maskz_sqrt_pd(-1, __m512d(x)));
#elif defined(__AVX__)
  return Vec<double>(_mm256_sqrt_pd(__m256d(x)));
#elif defined(__SSE2__)
  return Vec<double>(_mm_sqrt_pd(__m128d(x)));
#else
  for (int64_t i = 0; i < lanes<double>; i++) x[i] = std::sqrt(x[i]);
  return x;
#endif
}

}  // namespace rushlight
