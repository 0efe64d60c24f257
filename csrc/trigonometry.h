// Sine, cosine and powers of float32 vectors, with the delicate step in float64.
//
// sin and cos take off multiples of pi / 2 in float64, so that the remainder is right to its last float32 digit; beyond
// 2^19, where that no longer holds, the C library computes (nobody's hot loop). A power is exp(y log |x|), whose product
// must be right to 2^-32: in float64 that takes shorter polynomials than float64's own functions have.
#pragma once
#include "math.h"

namespace rushlight {

using Floats = Vec<float>;
using Doubles = Vec<double>;

// The lower and the upper half of the lanes, and back.
inline void widen_lanes(Floats x, Doubles& low, Doubles& high) {
  typedef float Part __attribute__((vector_size(RUSHLIGHT_VECTOR_BYTES / 2)));
  Part part[2];
  std::memcpy(part, &x, sizeof x);
  low = __builtin_convertvector(part[0], Doubles);
  high = __builtin_convertvector(part[1], Doubles);
}

inline Floats narrow_lanes(Doubles low, Doubles high) {
  typedef float Part __attribute__((vector_size(RUSHLIGHT_VECTOR_BYTES / 2)));
  const Part part[2] = {__builtin_convertvector(low, Part), __builtin_convertvector(high, Part)};
  Floats x;
  std::memcpy(&x, part, sizeof x);
  return x;
}

// x = n pi / 2 + the returned remainder.
inline Doubles reduce_angle(Doubles x, Doubles& n) {
  n = nearest(x * 0.636619772367581343076);
  return (x - n * 0x1.921fb544p0) - n * 6.07710050650619246e-11;
}

// sin(x + quarters pi / 2).
inline Floats sine_of_sum(Floats x, float quarters) {
  static constexpr float sin_tail[] = {2.71756423e-6f, -1.98392566e-4f, 8.33332914e-3f, -1.66666666e-1f};
  static constexpr float cos_tail[] = {-2.72033352e-7f, 2.47994369e-5f, -1.38888834e-3f, 4.16666666e-2f};
  constexpr float far = 0x1p19f;
  Doubles low, high, n_low, n_high;
  widen_lanes(select(magnitude(x) < far, x, Floats{}), low, high);
  low = reduce_angle(low, n_low);
  high = reduce_angle(high, n_high);
  const Floats r = narrow_lanes(low, high), square = r * r;
  // Which quarter: n mod 4, as the low bits of n + 1.5 * 2^23.
  const Vec<int32_t> quarter = Vec<int32_t>(narrow_lanes(n_low, n_high) + (Constants<float>::round_to_whole + quarters));
  const Floats sine = r + r * square * polynomial(sin_tail, square);
  const Floats cosine = 1.0f - square * 0.5f + square * square * polynomial(cos_tail, square);
  const Floats value = select((quarter & 1) != 0, cosine, sine);
  return Floats(Vec<int32_t>(value) ^ ((quarter & 2) << 30));
}

template <class F>
inline Floats angle_function(Floats x, Floats value, F&& exact) {
  const auto far = !(magnitude(x) < 0x1p19f);
  int32_t any[lanes<float>], found = 0;
  std::memcpy(any, &far, sizeof any);
  for (int32_t lane : any) found |= lane;
  if (!found) return value;
  for (int64_t i = 0; i < lanes<float>; i++)
    if (any[i]) value[i] = exact(x[i]);
  return value;
}

inline Floats sin(Floats x) {
  const Floats value = angle_function(x, sine_of_sum(x, 0), [](float lane) { return std::sin(lane); });
  return select(x == 0.0f, x, value);
}

inline Floats cos(Floats x) {
  return angle_function(x, sine_of_sum(x, 1), [](float lane) { return std::cos(lane); });
}

// log(x) for x > 0 to about 2^-38 of itself.
inline Doubles short_log(Doubles x) {
  static constexpr double tail[] = {-4.8226266355818723e-2, 9.1157159181205643e-2,  -9.2869118939968207e-2, 9.0402056491514527e-2,
                                    -9.8893934852499004e-2, 1.1105470899857328e-1,  -1.2505712770672697e-1, 1.4286179106569791e-1,
                                    -1.6666532488286395e-1, 1.999998926134642e-1,   -2.5000001125341544e-1, 3.3333333399167962e-1};
  Doubles e;
  const Doubles f = split_log(x, e), square = f * f;
  const Doubles value = e * 0.693147180559945309417 + (f - (square * 0.5 - square * f * polynomial(tail, f)));
  return finish_log(x, value);
}

// exp(x) to about 2^-32 of itself.
inline Doubles short_exp(Doubles x) {
  static constexpr double tail[] = {1.99143724e-4, 1.39411025e-3, 8.33327269e-3, 4.16663535e-2, 1.66666668e-1, 5.00000005e-1};
  x = bounded(x, -200, 200);  // beyond float32's range on both sides
  const Doubles n = nearest(x * Constants<double>::log2_e), r = x - n * 0.693147180559945309417;
  return (1.0 + (r + r * r * polynomial(tail, r))) * power_of_two(n);
}

// x to the power y with all of C's special cases.
inline Floats pow(Floats x, Floats y) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const Floats size = magnitude(x), reach = magnitude(y);
  Doubles low, high, y_low, y_high;
  widen_lanes(size, low, high);
  widen_lanes(y, y_low, y_high);
  Floats value = narrow_lanes(short_exp(y_low * short_log(low)), short_exp(y_high * short_log(high)));
  // An exponent of 2^24 and more is even.
  const Floats small = select(reach < 0x1p24f, y, Floats{});
  const auto whole = trunc(small) == small;
  const auto odd = whole & ((__builtin_convertvector(small, Vec<int32_t>) & 1) != 0);
  value = select((x < 0.0f) & (x != -infinity) & ~whole, splat(std::numeric_limits<float>::quiet_NaN()), value);
  value = select(odd, with_sign(value, x), value);
  const auto one = (y == 0.0f) | (x == 1.0f) | ((x == -1.0f) & (reach == infinity));
  return select(one, splat(1.0f), value);
}

}  // namespace rushlight
