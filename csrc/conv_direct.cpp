// Direct convolution: the forward pass and the gradient of the input, without columns.
//
// Both are one computation on channels-last maps: every position of the result is a sum over taps of (a source pixel) x
// (that tap's matrix). The register tile (microkernel.h) takes the pixels as row pointers; a tap that falls into the padding
// is left out where a whole tile misses it, else points to a row of zeros. The gradient of a strided convolution falls into
// one lattice of positions for each residue of the stride, each met by its own subset of taps.
//
// A task is a panel of up to 64 output channels and a block of positions: it packs its panel of the weight, at most about
// 2048 rows at a time so that it stays in the L2 cache, and runs over the positions. Every element of the result is summed
// in the same order wherever tasks are cut. Reached: 90-95 % of the multiply-add rate on ResNet-18's layers.
#include <algorithm>
#include <atomic>
#include <vector>

#include "conv.h"
#include "conv_lattice.h"
#include "microkernel.h"
#include "parallel.h"

namespace rushlight::conv {
namespace {

constexpr int64_t panel_rows = 2048, most_depth = 4096;
// Terms of one sum in registers; longer sums are sums of these, which rounds less.
constexpr int64_t most_terms = 512;
alignas(64) const double zero_bytes[most_depth] = {};

// What all tasks of a call share.
template <class T>
struct Job {
  const Geometry& shape;
  Maps<const T> from;
  Maps<T> to;
  const T* w;
  const T* bias;
  bool backward;
  int64_t depth, columns;  // of one group: channels summed over, channels of the result
  std::vector<Lattice> lattices;
  int64_t chunk, chunks, panels, splits;
  uint64_t number;  // of the call, to know a packed panel again

  void plan();
  void run(int64_t task) const;
  void pack(int64_t group, int64_t panel, int64_t first, int64_t count, T* packed) const;
};

// One panel and chunk of channels on a range of one lattice.
template <class T>
struct Sweep {
  const Job<T>& job;
  const Lattice& lattice;
  const T* from;  // the group's first channel of the chunk
  T* to;          // the panel's first column
  int64_t depth, stride, columns;
  Finish<T> finish;
  Tap<T>* all;   // with `b` in place
  Tap<T>* some;  // those that a tile meets

  void rows(int64_t begin, int64_t end) const;
  void pixels(int64_t begin, int64_t end) const;

  // One tile of `rows`, with the first `taps` of `tap`.
  void tile(int64_t taps, const Tap<T>* tap, T* const* c, int64_t rows) const {
    const TileKernel<T> kernel = tile_kernel<T>(rows, columns);
    const int64_t at_once = std::max<int64_t>(1, most_terms / depth);
    kernel(std::min(taps, at_once), tap, depth, stride, c, columns, finish);
    Finish<T> more;
    more.accumulate = true;
    for (int64_t t = at_once; t < taps; t += at_once) kernel(std::min(at_once, taps - t), tap + t, depth, stride, c, columns, more);
  }

  T* target(int64_t n, const int64_t (&q)[3]) const {
    T* at = to + n * job.to.image;
    for (int i = 0; i < 3; i++) at += (lattice.axis[i].first + q[i] * lattice.axis[i].spacing) * job.to.step[i];
    return at;
  }
  int64_t source(int64_t n, const int64_t (&q)[3]) const {
    int64_t at = n * job.from.image;
    for (int i = 0; i < 3; i++) at += q[i] * lattice.axis[i].step * job.from.step[i];
    return at;
  }
};

// Tiles of consecutive positions, images outermost.
template <class T>
void Sweep<T>::rows(int64_t begin, int64_t end) const {
  const int64_t taps = int64_t(lattice.taps.size());
  const T* const zeros = reinterpret_cast<const T*>(zero_bytes);
  const uint64_t every = taps == 64 ? ~uint64_t(0) : (uint64_t(1) << (taps & 63)) - 1;
  int64_t n, q[3];
  lattice.place(begin, n, q);
  for (int64_t index = begin; index < end; index += tile_rows) {
    const int64_t count = std::min<int64_t>(tile_rows, end - index);
    int64_t at[tile_rows], here[tile_rows][3];
    uint64_t mask[tile_rows], any = 0, common = every;
    T* c[tile_rows];
    bool inside = true;
    for (int64_t r = 0; r < count; r++) {
      at[r] = source(n, q);
      c[r] = target(n, q);
      if (lattice.masked()) {
        mask[r] = lattice.mask(q);
        any |= mask[r];
        common &= mask[r];
      } else {
        for (int i = 0; i < 3; i++) {
          here[r][i] = q[i];
          inside &= lattice.axis[i].meets_all(q[i]);
        }
      }
      lattice.advance(n, q);
    }
    if (lattice.masked() ? common == every : inside) {
      for (int64_t u = 0; u < taps; u++)
        for (int64_t r = 0; r < count; r++) all[u].a[r] = from + (at[r] + lattice.taps[u].offset);
      tile(taps, all, c, count);
      continue;
    }
    int64_t met = 0;
    if (lattice.masked()) {
      for (; any; any &= any - 1) {
        const int u = __builtin_ctzll(any);
        for (int64_t r = 0; r < count; r++) some[met].a[r] = mask[r] >> u & 1 ? from + (at[r] + lattice.taps[u].offset) : zeros;
        some[met++].b = all[u].b;
      }
    } else {
      for (int64_t u = 0; u < taps; u++) {
        bool exists = false;
        for (int64_t r = 0; r < count; r++) {
          const bool own = lattice.meets(here[r], lattice.taps[u]);
          some[met].a[r] = own ? from + (at[r] + lattice.taps[u].offset) : zeros;
          exists |= own;
        }
        some[met].b = all[u].b;
        met += exists;
      }
    }
    tile(met, some, c, count);
  }
}

// Tiles of one position in several images: only taps that exist.
template <class T>
void Sweep<T>::pixels(int64_t begin, int64_t end) const {
  const int64_t images = job.shape.images, tiles = (images + tile_rows - 1) / tile_rows;
  const Lattice::At** const found = scratch<const Lattice::At*>(6, int64_t(lattice.taps.size()));
  int64_t none, q[3];
  lattice.place(begin, none, q);
  for (int64_t index = begin; index < end; index++, lattice.advance(none, q)) {
    int64_t met = 0;
    for (size_t u = 0; u < lattice.taps.size(); u++)
      if (lattice.meets(q, lattice.taps[u])) {
        some[met].b = all[u].b;
        found[met++] = &lattice.taps[u];
      }
    const int64_t at = source(0, q);
    T* const to_pixel = target(0, q);
    for (int64_t part = 0; part < tiles; part++) {
      const int64_t first = images * part / tiles, count = images * (part + 1) / tiles - first;
      T* c[tile_rows];
      for (int64_t r = 0; r < count; r++) c[r] = to_pixel + (first + r) * job.to.image;
      for (int64_t u = 0; u < met; u++)
        for (int64_t r = 0; r < count; r++) some[u].a[r] = from + (at + (first + r) * job.from.image + found[u]->offset);
      tile(met, some, c, count);
    }
  }
}

template <class T>
void Job<T>::plan() {
  const int64_t taps = shape.taps();
  chunk = shape.merged > 1 ? depth : std::clamp<int64_t>(panel_rows / taps, 4, most_terms);
  if (shape.merged == 1 && chunk >= 16) chunk = chunk / 16 * 16;
  chunks = std::max<int64_t>(1, (depth + chunk - 1) / chunk);
  panels = (columns + tile_columns<T> - 1) / tile_columns<T>;
  int64_t most = 0;
  for (const Lattice& lattice : lattices) most = std::max(most, lattice.positions());
  // Packing a panel costs about as much as 16 rows of the result; there should be a few tasks for every thread.
  const int64_t rows = most * shape.images, pieces = panels * shape.groups;
  splits = std::max<int64_t>(1, std::min((16 + pieces - 1) / pieces, std::max(rows / 384, std::min((4 + pieces - 1) / pieces, rows / 64))));
  static std::atomic<uint64_t> calls{0};
  number = ++calls;
}

template <class T>
void Job<T>::pack(int64_t group, int64_t panel, int64_t first, int64_t count, T* packed) const {
  const int64_t taps = shape.taps(), start = panel * tile_columns<T>, here = std::min(tile_columns<T>, columns - start);
  const int64_t outputs = shape.group_outputs(), channels = shape.group_channels();
  const T* const own = w + group * outputs * channels * taps;
  if (shape.merged > 1)
    pack_forward(own, channels / shape.merged, taps * shape.merged, 0, channels / shape.merged, start, here, packed);
  else if (backward)
    pack_backward(own, own + outputs * channels * taps, channels, taps, first, count, start, here, packed);
  else
    pack_forward(own, channels, taps, first, count, start, here, packed);
}

template <class T>
void Job<T>::run(int64_t task) const {
  const int64_t split = task % splits, panel = task / splits % panels, group = task / splits / panels;
  const int64_t taps = shape.taps(), start = panel * tile_columns<T>, width = std::min(tile_columns<T>, columns - start);
  const int64_t stride = panel_width<T>(width);
  T* const packed = scratch<T>(4, chunk * taps * stride);
  Tap<T>* const all = scratch<Tap<T>>(5, 2 * taps);
  std::fill(all, all + 2 * taps, Tap<T>{});
  static thread_local uint64_t packed_call = 0;
  static thread_local int64_t packed_panel = 0;
  for (int64_t part = 0; part < chunks; part++) {
    const int64_t first = part * chunk, count = std::min(chunk, depth - first);
    if (chunks > 1 || packed_call != number || packed_panel != task / splits) pack(group, panel, first, count, packed);
    packed_call = number;
    packed_panel = task / splits;
    Finish<T> finish;
    finish.accumulate = part > 0;
    if (bias && part == 0) finish.bias = bias + group * columns + start;
    for (const Lattice& lattice : lattices) {
      for (size_t u = 0; u < lattice.taps.size(); u++) all[u].b = packed + lattice.taps[u].tap * count * stride;
      const Sweep<T> sweep{*this,  lattice, from.data + group * depth + first, to.data + group * columns + start,
                           count,  stride,  width,
                           finish, all,     all + taps};
      const int64_t total = lattice.positions() * (lattice.pixels_first ? 1 : shape.images);
      const int64_t unit = lattice.pixels_first ? 1 : tile_rows, units = (total + unit - 1) / unit;
      const int64_t begin = units * split / splits * unit, end = std::min(total, units * (split + 1) / splits * unit);
      if (begin >= end) continue;
      if (lattice.pixels_first)
        sweep.pixels(begin, end);
      else
        sweep.rows(begin, end);
    }
  }
}

template <class T>
void direct(Job<T>& job, const Maps<const T>& from) {
  job.lattices = lattices_of(job.shape, from.step, job.backward);
  job.plan();
  const int64_t tasks = job.splits * job.panels * job.shape.groups;
  const ReleaseGil released(int64_t(job.shape.work()));
  run_tasks(tasks, job.shape.work(), [&](int64_t task) { job.run(task); });
}

}  // namespace

template <class T>
void direct_forward(const Geometry& shape, const Maps<const T>& x, const T* w, const T* bias, const Maps<T>& y) {
  Job<T> job{shape, x, y, w, bias, false, shape.group_channels(), shape.group_outputs(), {}, 0, 0, 0, 0, 0};
  direct(job, x);
}

template <class T>
void direct_backward(const Geometry& shape, const Maps<const T>& g, const T* w, const Maps<T>& gx) {
  Job<T> job{shape, g, gx, w, nullptr, true, shape.group_outputs(), shape.group_channels(), {}, 0, 0, 0, 0, 0};
  direct(job, g);
}

template void direct_forward(const Geometry&, const Maps<const float>&, const float*, const float*, const Maps<float>&);
template void direct_forward(const Geometry&, const Maps<const double>&, const double*, const double*, const Maps<double>&);
template void direct_backward(const Geometry&, const Maps<const float>&, const float*, const Maps<float>&);
template void direct_backward(const Geometry&, const Maps<const double>&, const double*, const Maps<double>&);

}  // namespace rushlight::conv
