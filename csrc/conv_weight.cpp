// Direct convolution: the gradient of the weight, without columns.
//
// For one tap it is a sum of outer products over the positions of the output: the input's pixel under the tap times the
// cotangent. A tile of 6 input channels by 64 outputs stays in registers while a list of such pairs is walked; pairs whose
// tap lies in the padding are not listed. A task takes a panel of outputs and a range of positions (one small image: and some of
// the taps); the sums of each range [taps * channels][64] are added in order while they are transposed to the weight's layout. The
// ranges follow from shapes alone, so that the result does not depend on the number of threads.
#include <algorithm>
#include <utility>

#include "conv.h"
#include "outer.h"
#include "parallel.h"

namespace rushlight::conv {
namespace {

// Positions of one block: their cotangents of one panel are packed (64 KiB) and stay in the L2 cache with their pixels.
constexpr int64_t block_positions = 256;
// The sums of all ranges take at most this many elements, unless one range alone takes more.
constexpr int64_t most_sums = 1 << 19;
// A range has at least this many blocks: its sums are written and read once.
constexpr int64_t least_blocks = 4;
// Where panels and ranges make fewer tasks the taps are shared out, too.
constexpr int64_t least_tasks = 4;

template <class T>
struct Job {
  const Geometry& shape;
  Maps<const T> g, x;
  int64_t panels, ranges, positions;  // positions of all images
  T* sums;
  int64_t piece;       // elements of the sums of a panel and range
  int64_t tap_shares;  // tasks that share one
  bool turned;         // few outputs: vectors run along the input's channels, sums are [taps * outputs][64]

  void run(int64_t task) const;
  void run_turned(int64_t task) const;
  void finish_turned(T* gw) const;
  int64_t list(int64_t tap, int64_t begin, int64_t end, const T* pixels, const T* packed, int64_t width, Pair<T>* pair) const;
};

// The pairs of one tap for output positions [begin, end).
template <class T>
int64_t Job<T>::list(int64_t tap, int64_t begin, int64_t end, const T* pixels, const T* packed, int64_t width, Pair<T>* pair) const {
  const int64_t at[3] = {tap / shape.kernel[2] / shape.kernel[1], tap / shape.kernel[2] % shape.kernel[1], tap % shape.kernel[2]};
  int64_t offset[3];
  for (int i = 0; i < 3; i++) offset[i] = at[i] * shape.dilation[i] - shape.padding[i];
  const int64_t s = shape.stride[2], row = shape.out[2];
  // Where along a row the tap meets the input; merged taps always do.
  const int64_t low = shape.merged > 1 || offset[2] >= 0 ? 0 : (-offset[2] + s - 1) / s;
  const int64_t reach = shape.in[2] - 1 - offset[2];
  const int64_t high = shape.merged > 1 ? row : reach < 0 ? 0 : std::min(row, reach / s + 1);
  int64_t found = 0;
  for (int64_t p = begin; p < end;) {
    const int64_t line = p / row, w0 = p % row, w1 = std::min(row, w0 + end - p);
    const int64_t h = line % shape.out[1], rest = line / shape.out[1], d = rest % shape.out[0], n = rest / shape.out[0];
    const int64_t in_h = h * shape.stride[1] + offset[1], in_d = d * shape.stride[0] + offset[0];
    if (uint64_t(in_h) < uint64_t(shape.in[1]) && uint64_t(in_d) < uint64_t(shape.in[0])) {
      const T* const line_pixels = pixels + (n * x.image + in_d * x.step[0] + in_h * x.step[1] + offset[2] * x.step[2]);
      const T* const line_packed = packed + (p - begin - w0) * width;
      for (int64_t w = std::max(w0, low); w < std::min(w1, high); w++) pair[found++] = {line_pixels + w * s * x.step[2], line_packed + w * width};
    }
    p += w1 - w0;
  }
  return found;
}

// A panel of input channels, all outputs.
template <class T>
void Job<T>::run_turned(int64_t task) const {
  const int64_t share = task % tap_shares, own = task / tap_shares, range = own % ranges;
  const int64_t start = own / ranges * tile_columns<T>, width = std::min(tile_columns<T>, shape.channels - start);
  Pair<T>* const pair = scratch<Pair<T>>(5, block_positions);
  const int64_t blocks = (positions + block_positions - 1) / block_positions, first = blocks * range / ranges, last = blocks * (range + 1) / ranges;
  for (int64_t block = first; block < last; block++) {
    const int64_t begin = block * block_positions, end = std::min(positions, begin + block_positions);
    for (int64_t tap = shape.taps() * share / tap_shares; tap < shape.taps() * (share + 1) / tap_shares; tap++) {
      const int64_t pairs = list(tap, begin, end, x.data + start, g.data + begin * shape.outputs, shape.outputs, pair);
      for (int64_t i = 0; i < pairs; i++) std::swap(pair[i].left, pair[i].right);
      outer_rows(pair, pairs, shape.outputs, sums + own * piece + tap * shape.outputs * width, width, width / lanes<T>, block == first);
    }
  }
}

template <class T>
void Job<T>::run(int64_t task) const {
  constexpr int64_t L = lanes<T>;
  const int64_t share = task % tap_shares, index = task / tap_shares, range = index % ranges, panel = index / ranges % panels;
  const int64_t group = index / ranges / panels;
  const int64_t depth = shape.group_channels(), outputs = shape.group_outputs(), taps = shape.taps();
  const int64_t start = panel * tile_columns<T>, columns = std::min(tile_columns<T>, outputs - start);
  const int64_t width = panel_width<T>(columns);
  T* const packed = scratch<T>(4, block_positions * width);
  Pair<T>* const pair = scratch<Pair<T>>(5, block_positions);
  T* const own = sums + index * piece;
  const int64_t blocks = (positions + block_positions - 1) / block_positions;
  const int64_t first = blocks * range / ranges, last = blocks * (range + 1) / ranges;
  for (int64_t block = first; block < last; block++) {
    const int64_t begin = block * block_positions, end = std::min(positions, begin + block_positions);
    // With one tap a cotangent is read as often as it would be packed.
    const bool in_place = taps == 1 && columns == width;
    const T* const cotangents = in_place ? g.data + begin * shape.outputs + group * outputs + start : packed;
    for (int64_t p = begin; p < end && !in_place; p++) {
      const T* const from = g.data + p * shape.outputs + group * outputs + start;
      T* const to = packed + (p - begin) * width;
      for (int64_t j = 0; j < columns; j += L) store(to + j, columns - j >= L ? load(from + j) : load_first(from + j, columns - j));
    }
    for (int64_t tap = taps * share / tap_shares; tap < taps * (share + 1) / tap_shares; tap++) {
      const int64_t pairs = list(tap, begin, end, x.data + group * depth, cotangents, in_place ? shape.outputs : width, pair);
      outer_rows(pair, pairs, depth, own + tap * depth * width, width, width / L, block == first);
    }
  }
}

// From sums [ranges][taps * outputs][width] of each panel to [output][channel][tap].
template <class T>
void Job<T>::finish_turned(T* gw) const {
  const int64_t taps = shape.taps(), channels = shape.channels / shape.merged, all_taps = taps * shape.merged;
  for (int64_t o = 0; o < shape.outputs; o++)
    for (int64_t tap = 0; tap < taps; tap++)
      for (int64_t c = 0; c < shape.channels; c++) {
        const int64_t panel = c / tile_columns<T>, width = std::min(tile_columns<T>, shape.channels - panel * tile_columns<T>);
        const T* at = sums + panel * ranges * piece + (tap * shape.outputs + o) * width + c % tile_columns<T>;
        T sum = *at;
        for (int64_t range = 1; range < ranges; range++) sum += *(at += piece);
        gw[(o * channels + c % channels) * all_taps + tap * shape.merged + c / channels] = sum;
      }
}

}  // namespace

template <class T>
void direct_weight(const Geometry& shape, const Maps<const T>& g, const Maps<const T>& x, T* gw) {
  constexpr int64_t L = lanes<T>;
  const int64_t depth = shape.group_channels(), outputs = shape.group_outputs(), taps = shape.taps();
  // Few outputs would leave most lanes empty.
  const bool turned = shape.groups == 1 && outputs < L && depth > outputs && depth % L == 0;
  const int64_t vectors_along = turned ? depth : outputs;
  Job<T> job{shape, g, x, (vectors_along + tile_columns<T> - 1) / tile_columns<T>, 1, shape.images * shape.out_positions(), nullptr, 0, 1, turned};
  job.piece = taps * (turned ? outputs : depth) * std::min(tile_columns<T>, panel_width<T>(vectors_along));
  const int64_t pieces = job.panels * shape.groups, blocks = (job.positions + block_positions - 1) / block_positions;
  job.ranges = std::max<int64_t>(1, std::min({(8 + pieces - 1) / pieces, blocks / least_blocks, most_sums / (pieces * job.piece)}));
  const int64_t own = pieces * job.ranges;
  job.tap_shares = own < least_tasks ? std::min(taps, (least_tasks + own - 1) / own) : 1;
  const int64_t tasks = own * job.tap_shares;
  const Buffer sums(size_t(own * job.piece) * sizeof(T));
  job.sums = sums.as<T>();
  // One vector of outputs.
  const auto unpack = [&](int64_t block) {
    const int64_t j = block % tile_vectors * L, piece = block / tile_vectors;
    const int64_t group = piece / job.panels, start = piece % job.panels * tile_columns<T>, columns = std::min(tile_columns<T>, outputs - start);
    if (j >= columns) return;
    unpack_weight(job.sums + piece * job.ranges * job.piece + j, job.ranges, job.piece, panel_width<T>(columns), depth / shape.merged,
                  taps * shape.merged, start + j, std::min(L, columns - j), gw + group * outputs * depth * taps, depth * taps);
  };
  const ReleaseGil released(int64_t(shape.work()));
  if (turned) {
    run_tasks(tasks, shape.work(), [&](int64_t task) { job.run_turned(task); });
    return job.finish_turned(gw);
  }
  run_tasks(tasks, shape.work(), [&](int64_t task) { job.run(task); });
  run_tasks(pieces * tile_vectors, shape.work(), unpack);
}

template void direct_weight(const Geometry&, const Maps<const float>&, const Maps<const float>&, float*);
template void direct_weight(const Geometry&, const Maps<const double>&, const Maps<const double>&, double*);

}  // namespace rushlight::conv
