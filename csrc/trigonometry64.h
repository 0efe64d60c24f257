// Sine, cosine and powers of float64 vectors, right to about one unit in the last place; for processors with fused
// multiplication.
//
// A sum or a product that float64 cannot hold is carried as two numbers, the rounded value and what it lacks: the remainder
// of an angle behind pi / 2 in three parts, and the logarithm of a power's base, which must be right to 2^-65 of itself
// because exponents multiply it. Angles beyond 2^30, subnormal bases and what is no finite number go to the C library.
#pragma once
#include "trigonometry.h"

namespace rushlight {

// sin(x + quarters pi / 2) for |x| < 2^30.
inline Doubles sine_of_sum(Doubles x, double quarters) {
  static constexpr double sin_tail[] = {1.5896504914383784e-10,    -2.505075326396908e-08, 2.7557313662053926e-06,
                                        -0.00019841269829725194, 0.008333333333322316,   -0.16666666666666632};
  static constexpr double cos_tail[] = {-1.1359448664258663e-11, 2.0875719558431135e-09, -2.7557314326029046e-07,
                                        2.4801587289394923e-05,  -0.001388888888887399,  0.0416666666666666};
  const Doubles n = nearest(x * 0.636619772367581343076);
  const Doubles rough = fused(-n, splat(0x1.921fb54442d18p+0), x);  // exact
  const Doubles second = n * 6.123233995736766e-17, second_rest = fused(n, splat(6.123233995736766e-17), -second);
  const Doubles r = rough - second, shift = r - rough;
  const Doubles lost = (rough - (r - shift)) - (second + shift);
  const Doubles rest = fused(-n, splat(-1.4973849048591698e-33), lost - second_rest);
  const Doubles square = r * r, half = square * 0.5, most = 1.0 - half;
  const Doubles sine = r + (r * square * polynomial(sin_tail, square) + rest);
  const Doubles cosine = most + (((1.0 - most) - half) + (square * square * polynomial(cos_tail, square) - r * rest));
  const Vec<int64_t> quarter = Vec<int64_t>(n + (Constants<double>::round_to_whole + quarters));
  const Doubles value = select((quarter & 1) != 0, cosine, sine);
  return Doubles(Vec<int64_t>(value) ^ ((quarter & 2) << 62));
}

template <class F>
inline Doubles angle_function(Doubles x, double quarters, F&& exact) {
  const auto far = !(magnitude(x) < 0x1p30);
  Doubles value = sine_of_sum(select(far, Doubles{}, x), quarters);
  if (any(far)) [[unlikely]]
    for (int64_t i = 0; i < lanes<double>; i++)
      if (far[i]) value[i] = exact(x[i]);
  return value;
}

inline Doubles sin(Doubles x) {
  return select(x == 0.0, x, angle_function(x, 0, [](double lane) { return std::sin(lane); }));
}

inline Doubles cos(Doubles x) {
  return angle_function(x, 1, [](double lane) { return std::cos(lane); });
}

// log(x) for positive normal x, as the sum of the returned number and `rest`.
inline Doubles long_log(Doubles x, Doubles& rest) {
  // (2 atanh(s) / s - 2 - 2 s^2 / 3) / s^4 in powers of s^2, for |s| <= (sqrt(2) - 1) / (sqrt(2) + 1).
  static constexpr double tail[] = {0.11992013682567691, 0.11674458535181247, 0.13336335137861421, 0.1538455641078217,
                                    0.1818181887705614,  0.2222222221748155,  0.2857142857144534,  0.39999999999999974};
  constexpr double third_head = 0.6666666666666666, third_tail = 3.700743415417188e-17;
  constexpr double ln2_head = 0x1.62e42fefa3800p-1, ln2_tail = 5.497923018708371e-14;
  Doubles e;
  const Doubles f = split_log(x, e);
  // s = f / (f + 2): log(1 + f) = 2 atanh(s).
  const Doubles below = f + 2.0, below_rest = f - (below - 2.0);
  const Doubles s = f / below, s_rest = (fused(-s, below, f) - s * below_rest) / below;
  const Doubles square = s * s, square_rest = fused(s, s, -square) + 2.0 * s * s_rest;
  const Doubles cube = square * s, cube_rest = fused(square, s, -cube) + (square * s_rest + square_rest * s);
  const Doubles third = cube * third_head;
  const Doubles third_rest = fused(cube, splat(third_head), -third) + (cube_rest * third_head + cube * third_tail);
  const Doubles small = 2.0 * s_rest + third_rest + cube * square * polynomial(tail, square) + e * ln2_tail;
  // Every addend is smaller than the sum before it, so that what a rounding takes off is known exactly.
  const Doubles large = e * ln2_head, first = large + 2.0 * s, sum = first + third;
  const Doubles lost = (2.0 * s - (first - large)) + (third - (sum - first)) + small;
  const Doubles value = sum + lost;
  rest = lost - (value - sum);
  return value;
}

// exp(x + rest) for a rest far below x.
inline Doubles long_exp(Doubles x, Doubles rest) {
  using C = Constants<double>;
  const Doubles bound = bounded(x, C::exp_lowest, C::exp_highest);
  rest = select(bound == x, rest, Doubles{});
  Doubles n;
  const Doubles r = reduce_exp(bound, n);
  const Doubles more = r * r * polynomial(C::exp_tail, r);
  return scale(1.0 + (r + (more + rest * (1.0 + (r + more)))), n);
}

// x to the power y with all of C's special cases.
inline Doubles pow(Doubles x, Doubles y) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const Doubles size = magnitude(x), reach = magnitude(y);
  const auto zero = size == 0.0;
  Doubles base = select(zero, splat(1.0), size);
  const auto special = ~((reach < infinity) & (base >= std::numeric_limits<double>::min()) & (base < infinity));
  base = select(special, splat(1.0), base);
  const Doubles exponent = select(special, Doubles{}, y);
  Doubles rest;
  const Doubles log = long_log(base, rest), product = exponent * log;
  const Doubles product_rest = fused(exponent, log, -product) + exponent * rest;
  Doubles value = long_exp(product, product_rest);
  value = select(zero, select(y > 0.0, Doubles{}, select(y == 0.0, splat(1.0), splat(infinity))), value);
  // An exponent of 2^53 and more is even.
  const Doubles small = select(reach < 0x1p53, y, Doubles{});
  const auto whole = trunc(small) == small;
  const auto odd = whole & (trunc(small * 0.5) * 2.0 != small);
  value = select((x < 0.0) & ~whole, splat(std::numeric_limits<double>::quiet_NaN()), value);
  value = select(odd, with_sign(value, x), value);
  if (any(special)) [[unlikely]]
    for (int64_t i = 0; i < lanes<double>; i++)
      if (special[i]) value[i] = std::pow(x[i], y[i]);
  return value;
}

}  // namespace rushlight
