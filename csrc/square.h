// Transposing a square of lanes<T> x lanes<T> elements that stands in registers.
//
// Zipping row i with row i + L/2, log2(L) times, transposes it: 64 shuffles for 16 x 16 floats, a quarter of a cycle an
// element. Rows may come from and go anywhere, which is how weights are packed and layouts change.
#pragma once
#include <utility>

#include "vec.h"

namespace rushlight {

template <class V, int... I>
inline V zip_low(V a, V b, std::integer_sequence<int, I...>) {
  constexpr int L = sizeof...(I);
  return __builtin_shufflevector(a, b, (I % 2 ? L + I / 2 : I / 2)...);
}

template <class V, int... I>
inline V zip_high(V a, V b, std::integer_sequence<int, I...>) {
  constexpr int L = sizeof...(I);
  return __builtin_shufflevector(a, b, (I % 2 ? L + L / 2 + I / 2 : L / 2 + I / 2)...);
}

template <class T>
inline __attribute__((always_inline)) void transpose_registers(Vec<T> (&rows)[lanes<T>]) {
  constexpr int L = int(lanes<T>);
  constexpr auto index = std::make_integer_sequence<int, L>();
  Vec<T> zipped[L];
#pragma GCC unroll 4
  for (int step = 1; step < L; step *= 2) {
#pragma GCC unroll 16
    for (int i = 0; i < L / 2; i++) {
      zipped[2 * i] = zip_low(rows[i], rows[i + L / 2], index);
      zipped[2 * i + 1] = zip_high(rows[i], rows[i + L / 2], index);
    }
#pragma GCC unroll 16
    for (int i = 0; i < L; i++) rows[i] = zipped[i];
  }
}

}  // namespace rushlight
