// Which source pixels and taps make up each position of a convolution's result.
//
// The forward pass and the gradient of the input are both sums over taps of source pixels. All positions of a forward pass
// meet the same taps; those of the gradient of a strided convolution fall into one lattice for each residue of the stride.
#pragma once
#include <vector>

#include "conv.h"

namespace rushlight::conv {

// One dimension of a lattice: position q of `count` of the result lies at first + q * spacing and takes its taps from
// source positions q * step + offset[i], of which only those in [0, limit) exist.
struct Axis {
  int64_t first = 0, spacing = 1, count = 0, step = 1, limit = 0;
  int64_t inner_begin = 0, inner_end = 0;  // where every tap exists
  std::vector<int64_t> tap, offset;

  bool meets(int64_t q, size_t i) const { return uint64_t(q * step + offset[i]) < uint64_t(limit); }
  bool meets_all(int64_t q) const {
    return offset.empty() || (q * step + offset.front() >= 0 && q * step + offset.back() >= 0 && q * step + offset.front() < limit &&
                              q * step + offset.back() < limit);
  }
  // Pairs of a position and a tap that exist.
  int64_t met() const {
    int64_t found = 0;
    for (int64_t q = 0; q < count; q++)
      for (size_t i = 0; i < offset.size(); i++) found += meets(q, i);
    return found;
  }
};

// Positions of the result that the same taps meet.
struct Lattice {
  Axis axis[3];
  struct At {
    int64_t tap;
    size_t along[3];
    int64_t offset;  // of the source pixel, in elements
  };
  std::vector<At> taps;
  bool pixels_first = false;  // tiles are one pixel of several images
  // With at most 64 taps: bit u of exists[i][q] says whether tap u meets the source along dimension i at position q.
  std::vector<uint64_t> exists[3];

  int64_t positions() const { return axis[0].count * axis[1].count * axis[2].count; }
  bool meets(const int64_t (&q)[3], const At& at) const {
    return axis[0].meets(q[0], at.along[0]) && axis[1].meets(q[1], at.along[1]) && axis[2].meets(q[2], at.along[2]);
  }
  bool masked() const { return taps.size() <= 64; }
  uint64_t mask(const int64_t (&q)[3]) const { return exists[0][size_t(q[0])] & exists[1][size_t(q[1])] & exists[2][size_t(q[2])]; }
  // Image and position number `index`, the last dimension innermost, and the one after it.
  void place(int64_t index, int64_t& n, int64_t (&q)[3]) const {
    for (int i = 2; i >= 0; i--) {
      q[i] = index % axis[i].count;
      index /= axis[i].count;
    }
    n = index;
  }
  void advance(int64_t& n, int64_t (&q)[3]) const {
    for (int i = 2; i >= 0; i--) {
      if (++q[i] < axis[i].count) return;
      q[i] = 0;
    }
    n++;
  }
};

// Every lattice of the result; `step` are the source's strides between positions, in elements.
std::vector<Lattice> lattices_of(const Geometry& shape, const int64_t (&step)[3], bool backward);

}  // namespace rushlight::conv
