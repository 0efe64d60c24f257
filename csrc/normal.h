// Box and Muller's transform of uniform into normal numbers, to the last bit as torch's CPU kernels compute it.
//
// The float32 form has the Cephes library's polynomials for logarithm, sine and cosine, every product and sum that follow
// one another fused; the float64 form calls the C library.
#pragma once
#include <cmath>

#include "trigonometry.h"

#if defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace rushlight {

// a * b + c, rounded once on every machine (`fma` of vec.h only where there is an instruction for it). Without one
// float64 computes: the product is exact there, and rounding the sum twice differs once in 2^29 times.
inline Floats fused(Floats a, Floats b, Floats c) {
#if defined(__AVX512F__)
  return Floats(_mm512_fmadd_ps(__m512(a), __m512(b), __m512(c)));
#elif defined(__FMA__)
  return Floats(_mm256_fmadd_ps(__m256(a), __m256(b), __m256(c)));
#elif defined(__ARM_NEON)
  return Floats(vfmaq_f32(float32x4_t(c), float32x4_t(a), float32x4_t(b)));
#else
  Doubles parts[3][2];
  widen_lanes(a, parts[0][0], parts[0][1]);
  widen_lanes(b, parts[1][0], parts[1][1]);
  widen_lanes(c, parts[2][0], parts[2][1]);
  return narrow_lanes(parts[0][0] * parts[1][0] + parts[2][0], parts[0][1] * parts[1][1] + parts[2][1]);
#endif
}

inline Doubles fused(Doubles a, Doubles b, Doubles c) {
#if defined(__AVX512F__)
  return Doubles(_mm512_fmadd_pd(__m512d(a), __m512d(b), __m512d(c)));
#elif defined(__FMA__)
  return Doubles(_mm256_fmadd_pd(__m256d(a), __m256d(b), __m256d(c)));
#elif defined(__ARM_NEON)
  return Doubles(vfmaq_f64(float64x2_t(c), float64x2_t(a), float64x2_t(b)));
#else
  for (int64_t i = 0; i < lanes<double>; i++) a[i] = std::fma(a[i], b[i], c[i]);
  return a;
#endif
}

// x * scale + shift, as the reference's `scale_shift`.
template <class V>
inline V scale_shift(V x, Lane<V> scale, Lane<V> shift) {
  return shift == 0 ? x * scale : fused(x, splat(scale), splat(shift));
}

template <size_t N>
inline Floats fused_polynomial(const float (&coefficients)[N], Floats x) {
  Floats sum = splat(coefficients[0]);
  for (size_t i = 1; i < N; i++) sum = fused(sum, x, splat(coefficients[i]));
  return sum;
}

// log(x) of normal numbers in (0, 1].
inline Floats cephes_log(Floats x) {
  static constexpr float tail[] = {7.0376836292e-2f, -1.1514610310e-1f, 1.1676998740e-1f, -1.2420140846e-1f, 1.4249322787e-1f,
                                   -1.6668057665e-1f, 2.0000714765e-1f, -2.4999993993e-1f, 3.3333331174e-1f};
  const Vec<int32_t> bits = Vec<int32_t>(x);
  const Floats mantissa = Floats((bits & 0x7fffff) | 0x3f000000);  // in [1/2, 1)
  const auto small = mantissa < 0.707106781186547524f;
  const Floats e = __builtin_convertvector((bits >> 23) - 126 + small, Floats);  // true is -1
  x = select(small, mantissa + mantissa, mantissa) - 1.0f;
  const Floats z = x * x;
  const Floats y = fused(fused_polynomial(tail, x) * x, z, e * -2.12194440e-4f) - z * 0.5f;
  return (x + y) + e * 0.693359375f;  // e's product is exact
}

// The sine and the cosine of x in [0, 2 pi].
inline void cephes_sincos(Floats x, Floats& sine, Floats& cosine) {
  static constexpr float sin_tail[] = {-1.9515295891e-4f, 8.3321608736e-3f, -1.6666654611e-1f};
  static constexpr float cos_tail[] = {2.443315711809948e-5f, -1.388731625493765e-3f, 4.166664568298827e-2f};
  const Vec<int32_t> octant = (__builtin_convertvector(x * 1.27323954473516268f, Vec<int32_t>) + 1) & ~1;
  const Floats turns = __builtin_convertvector(octant, Floats);
  x = fused(turns, splat(-0.78515625f), x);
  x = fused(turns, splat(-2.4187564849853515625e-4f), x);
  x = fused(turns, splat(-3.77489497744594108e-8f), x);
  const Floats z = x * x;
  const Floats far = fused(fused_polynomial(cos_tail, z) * z, z, z * -0.5f) + 1.0f;
  const Floats near = fused(fused_polynomial(sin_tail, z) * z, x, x);
  const auto swapped = (octant & 2) != 0;
  sine = Floats(Vec<int32_t>(select(swapped, far, near)) ^ ((octant & 4) << 29));
  cosine = Floats(Vec<int32_t>(select(swapped, near, far)) ^ (((octant + 2) & 4) << 29));
}

// Pairs of uniform numbers in [0, 1) to pairs of normal ones.
inline void box_muller(Floats& first, Floats& second) {
  const Floats radius = sqrt(cephes_log(1.0f - first) * -2.0f);
  Floats sine, cosine;
  cephes_sincos(second * 6.28318530717958648f, sine, cosine);
  first = radius * cosine;
  second = radius * sine;
}

inline void box_muller(double& first, double& second) {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - first)), angle = 2.0 * 3.14159265358979323846 * second;
  first = radius * std::cos(angle);
  second = radius * std::sin(angle);
}

}  // namespace rushlight
