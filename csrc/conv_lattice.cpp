// Making lattices (see conv_lattice.h).
#include "conv_lattice.h"

#include <algorithm>

namespace rushlight::conv {
namespace {

Axis forward_axis(const Geometry& shape, int i) {
  Axis axis;
  axis.count = shape.out[i];
  axis.step = shape.stride[i];
  axis.limit = shape.in[i];
  for (int64_t k = 0; k < shape.kernel[i]; k++) {
    axis.tap.push_back(k);
    axis.offset.push_back(k * shape.dilation[i] - shape.padding[i]);
  }
  return axis;
}

Axis backward_axis(const Geometry& shape, int i, int64_t residue) {
  Axis axis;
  axis.first = residue;
  axis.spacing = shape.stride[i];
  axis.count = (shape.in[i] - residue + shape.stride[i] - 1) / shape.stride[i];
  axis.limit = shape.out[i];
  for (int64_t k = 0; k < shape.kernel[i]; k++) {
    const int64_t reach = residue + shape.padding[i] - k * shape.dilation[i];
    if (reach % shape.stride[i] != 0) continue;
    axis.tap.push_back(k);
    axis.offset.push_back(reach / shape.stride[i]);
  }
  return axis;
}

void finish_lattice(Lattice& lattice, const Geometry& shape, const int64_t (&step)[3]) {
  for (Axis& along : lattice.axis) {
    while (along.inner_begin < along.count && !along.meets_all(along.inner_begin)) along.inner_begin++;
    along.inner_end = along.inner_begin;
    while (along.inner_end < along.count && along.meets_all(along.inner_end)) along.inner_end++;
  }
  const Axis(&axis)[3] = lattice.axis;
  for (size_t d = 0; d < axis[0].tap.size(); d++)
    for (size_t h = 0; h < axis[1].tap.size(); h++)
      for (size_t w = 0; w < axis[2].tap.size(); w++)
        lattice.taps.push_back({(axis[0].tap[d] * shape.kernel[1] + axis[1].tap[h]) * shape.kernel[2] + axis[2].tap[w],
                                {d, h, w},
                                axis[0].offset[d] * step[0] + axis[1].offset[h] * step[1] + axis[2].offset[w] * step[2]});
  double met = 1, all = 1;
  for (const Axis& a : axis) {
    met *= double(a.met());
    all *= double(a.count) * double(a.tap.size());
  }
  for (int i = 0; i < 3 && lattice.masked(); i++) {
    lattice.exists[i].resize(size_t(std::max<int64_t>(axis[i].count, 0)));
    for (int64_t q = 0; q < axis[i].count; q++)
      for (size_t u = 0; u < lattice.taps.size(); u++)
        lattice.exists[i][size_t(q)] |= uint64_t(axis[i].meets(q, lattice.taps[u].along[i])) << u;
  }
  lattice.pixels_first = shape.images >= 4 && met < 0.96 * all;
}

}  // namespace

std::vector<Lattice> lattices_of(const Geometry& shape, const int64_t (&step)[3], bool backward) {
  std::vector<Lattice> found;
  const int64_t residues[3] = {backward ? std::min(shape.stride[0], shape.in[0]) : 1, backward ? std::min(shape.stride[1], shape.in[1]) : 1,
                               backward ? std::min(shape.stride[2], shape.in[2]) : 1};
  for (int64_t d = 0; d < residues[0]; d++)
    for (int64_t h = 0; h < residues[1]; h++)
      for (int64_t w = 0; w < residues[2]; w++) {
        const int64_t residue[3] = {d, h, w};
        Lattice lattice;
        for (int i = 0; i < 3; i++) lattice.axis[i] = backward ? backward_axis(shape, i, residue[i]) : forward_axis(shape, i);
        finish_lattice(lattice, shape, step);
        found.push_back(std::move(lattice));
      }
  return found;
}

}  // namespace rushlight::conv
