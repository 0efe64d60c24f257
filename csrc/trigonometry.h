// Sine, cosine and powers of float32 vectors, with the delicate steps in higher precision.
//
// sin and cos take off multiples of pi / 2 with fused multiplications (in float64 where there are none), so that the
// remainder is right to its last digit; beyond 2^19, where that no longer holds, the C library computes. A power is exp(y log |x|), whose product
// must be right to 2^-32: in float64 that takes shorter polynomials than float64's own functions have.
#pragma once
#include "math.h"

namespace rushlight {

using Floats = Vec<float>;
using Doubles = Vec<double>;

// The lower and the upper half of the lanes, and back.
template <size_t... lane>
inline void widen_lanes(Floats x, Doubles& low, Doubles& high, std::index_sequence<lane...>) {
  low = __builtin_convertvector(__builtin_shufflevector(x, x, lane...), Doubles);
  high = __builtin_convertvector(__builtin_shufflevector(x, x, (lane + sizeof...(lane))...), Doubles);
}

inline void widen_lanes(Floats x, Doubles& low, Doubles& high) {
  widen_lanes(x, low, high, std::make_index_sequence<lanes<double>>());
}

template <size_t... lane>
inline Floats narrow_lanes(Doubles low, Doubles high, std::index_sequence<lane...>) {
  typedef float Part __attribute__((vector_size(RUSHLIGHT_VECTOR_BYTES / 2)));
  return __builtin_shufflevector(__builtin_convertvector(low, Part), __builtin_convertvector(high, Part), lane...);
}

inline Floats narrow_lanes(Doubles low, Doubles high) { return narrow_lanes(low, high, std::make_index_sequence<lanes<float>>()); }

// x = n pi / 2 + the returned remainder, for |x| < 2^19.
inline Floats reduce_angle(Floats x, Floats& n) {
  constexpr double inverse = 0.636619772367581343076;
#if defined(__FMA__) || defined(__aarch64__)
  // With fused multiplication the first step is exact, and pi / 2 in three parts is right to 72 bits.
  n = nearest(x * float(inverse));
  return ((x - n * 0x1.921fb6p0f) - n * -4.37113883e-8f) - n * -1.71512451e-15f;
#else
  Doubles low, high;
  widen_lanes(x, low, high);
  const Doubles n_low = nearest(low * inverse), n_high = nearest(high * inverse);
  n = narrow_lanes(n_low, n_high);
  constexpr double head = 0x1.921fb544p0, tail = 6.07710050650619246e-11;
  return narrow_lanes((low - n_low * head) - n_low * tail, (high - n_high * head) - n_high * tail);
#endif
}

// sin(x + quarters pi / 2).
inline Floats sine_of_sum(Floats x, float quarters) {
  static constexpr float sin_tail[] = {2.71756423e-6f, -1.98392566e-4f, 8.33332914e-3f, -1.66666666e-1f};
  static constexpr float cos_tail[] = {-2.72033352e-7f, 2.47994369e-5f, -1.38888834e-3f, 4.16666666e-2f};
  Floats n;
  const Floats r = reduce_angle(select(magnitude(x) < 0x1p19f, x, Floats{}), n), square = r * r;
  // Which quarter: n mod 4, as the low bits of n + 1.5 * 2^23.
  const Vec<int32_t> quarter = Vec<int32_t>(n + (Constants<float>::round_to_whole + quarters));
  const Floats sine = r + r * square * polynomial(sin_tail, square);
  const Floats cosine = 1.0f - square * 0.5f + square * square * polynomial(cos_tail, square);
  const Floats value = select((quarter & 1) != 0, cosine, sine);
  return Floats(Vec<int32_t>(value) ^ ((quarter & 2) << 30));
}

template <class F>
inline Floats angle_function(Floats x, Floats value, F&& exact) {
  const auto far = !(magnitude(x) < 0x1p19f);
  if (any(far)) [[unlikely]]
    for (int64_t i = 0; i < lanes<float>; i++)
      if (far[i]) value[i] = exact(x[i]);
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
  return any_special(x) ? special_log(x, value) : value;
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
