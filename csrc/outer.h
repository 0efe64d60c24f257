// Sums of outer products in registers: the counterpart of microkernel.h for products over long dimensions of both operands.
//
//   sums[r][j] (+)= sum over pairs of left[channel + r] * right[j]
//
// for up to tile_rows rows and tile_vectors vectors of columns. The operands of a pair may lie anywhere, so the gradient of a
// convolution's weight lists the pixels that a tap meets, and nothing is gathered.
#pragma once
#include <cstdint>

#include "microkernel.h"

namespace rushlight {

template <class T>
struct Pair {
  const T* left;
  const T* right;  // whole vectors
};

// `first`: what sums held is forgotten. `width`: elements between rows of sums.
template <class T>
using OuterKernel = void (*)(const Pair<T>* pair, int64_t pairs, int64_t channel, T* sums, int64_t width, bool first);

// [rows - 1][vectors - 1]
template <class T>
struct OuterTable {
  OuterKernel<T> kernel[tile_rows][tile_vectors];
};
extern const OuterTable<float> float_outer;
extern const OuterTable<double> double_outer;

template <class T>
inline OuterKernel<T> outer_kernel(int64_t rows, int64_t vectors) {
  if constexpr (sizeof(T) == 4)
    return float_outer.kernel[rows - 1][vectors - 1];
  else
    return double_outer.kernel[rows - 1][vectors - 1];
}

// sums[depth][width] over all rows of sums: `depth` is cut into nearly equal tiles.
template <class T>
inline void outer_rows(const Pair<T>* pair, int64_t pairs, int64_t depth, T* sums, int64_t width, int64_t vectors, bool first) {
  const int64_t tiles = (depth + tile_rows - 1) / tile_rows;
  for (int64_t tile = 0; tile < tiles; tile++) {
    const int64_t channel = depth * tile / tiles, rows = depth * (tile + 1) / tiles - channel;
    outer_kernel<T>(rows, vectors)(pair, pairs, channel, sums + channel * width, width, first);
  }
}

}  // namespace rushlight
