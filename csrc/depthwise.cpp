// Convolutions of few channels a group (depthwise: one): vectors run along the output channels, nothing is summed across
// lanes.
//
// With one channel a group, y[o] = sum over taps of x[o] * w[tap][o]. With a few, the source is first copied once for each
// of them, so that lane o of copy i holds channel i of o's group; then the copies are further taps. Copies lie in blocks of
// one vector, [block][pixel][copy][lane], so that a block's lines stay in the L1 cache. The gradients work the same way: that
// of the input copies the cotangent and sums over outputs of the group, that of the weight keeps one sum for each tap and
// copy. Four neighbouring positions share a load of the weight. Depthwise runs at the speed of memory.
#include <algorithm>
#include <cstring>
#include <vector>

#include "conv.h"
#include "conv_lattice.h"
#include "microkernel.h"
#include "parallel.h"

namespace rushlight::conv {
namespace {

// Groups of up to this many channels on the summed side are copied.
constexpr int64_t most_copies = 16;
// Positions that share a load of the weight.
constexpr int together = 4;
// Positions of one sum of the weight's gradient, and the most of these sums.
constexpr int64_t sum_positions = 512, most_sums = 256;

// What a position meets: source pixel, relative to the position's own, and weight row.
template <class T>
struct Term {
  int64_t source;
  const T* weight;
};

// A source as a run of blocks of channels, each with its copies: one block of all channels where there are no copies.
template <class T>
struct Source {
  Maps<const T> maps;                 // of the first block
  int64_t copies, channels;           // of all blocks
  int64_t blocks, width, block_step;  // channels of a block; elements from block to block
  int64_t block_width(int64_t block) const { return std::min(width, channels - block * width); }
};

// Q positions, `step` apart in the source and `to_step` in the result.
template <class T, int Q>
void sum_terms(const T* from, const Term<T>* term, int64_t terms, const T* bias, int64_t channels, int64_t step, T* to, int64_t to_step) {
  constexpr int64_t L = lanes<T>;
  const int64_t whole = channels / L * L;
  int64_t c = 0;
  for (; c < whole; c += L) {
    Vec<T> sum[Q];
    const Vec<T> start = bias ? load(bias + c) : Vec<T>{};
    for (int q = 0; q < Q; q++) sum[q] = start;
    for (int64_t u = 0; u < terms; u++) {
      const Vec<T> w = load(term[u].weight + c);
      const T* const source = from + term[u].source + c;
      for (int q = 0; q < Q; q++) sum[q] = fma(load(source + q * step), w, sum[q]);
    }
    for (int q = 0; q < Q; q++) store(to + q * to_step + c, sum[q]);
  }
  if (c == channels) return;
  const int64_t n = channels - c;
  for (int q = 0; q < Q; q++) {
    Vec<T> sum = bias ? load_first(bias + c, n) : Vec<T>{};
    for (int64_t u = 0; u < terms; u++) sum = fma(load_first(from + term[u].source + q * step + c, n), load_first(term[u].weight + c, n), sum);
    store_first(to + q * to_step + c, sum, n);
  }
}

// One line (all positions along the last dimension) of a lattice, one block of channels.
template <class T>
void sum_line(const Lattice& lattice, int64_t n, int64_t d, int64_t h, const Source<T>& source, int64_t block, int64_t taps, const T* weight, const T* bias,
              const Maps<T>& to, Term<T>* term) {
  const Axis& along = lattice.axis[2];
  const Maps<const T>& maps = source.maps;
  const int64_t step = along.step * maps.step[2], to_step = along.spacing * to.step[2], width = source.block_width(block), start = block * source.width;
  const T* const from = maps.data + block * source.block_step + n * maps.image + d * lattice.axis[0].step * maps.step[0] + h * lattice.axis[1].step * maps.step[1];
  T* const target = to.data + start + n * to.image + (lattice.axis[0].first + d * lattice.axis[0].spacing) * to.step[0] +
                    (lattice.axis[1].first + h * lattice.axis[1].spacing) * to.step[1] + along.first * to.step[2];
  const T* const shift = bias ? bias + start : nullptr;
  const auto list = [&](int64_t w) {
    const int64_t q[3] = {d, h, w};
    int64_t terms = 0;
    for (const Lattice::At& at : lattice.taps) {
      if (!lattice.meets(q, at)) continue;
      for (int64_t i = 0; i < source.copies; i++)
        term[terms++] = {at.offset + i * source.width, weight + (i * taps + at.tap) * source.channels + start};
    }
    return terms;
  };
  const auto one_by_one = [&](int64_t begin, int64_t end) {
    for (int64_t w = begin; w < end; w++) sum_terms<T, 1>(from + w * step, term, list(w), shift, width, step, target + w * to_step, to_step);
  };
  one_by_one(0, along.inner_begin);
  const int64_t last = along.inner_end - (along.inner_end - along.inner_begin) % together;
  if (last > along.inner_begin) {
    const int64_t terms = list(along.inner_begin);
    for (int64_t w = along.inner_begin; w < last; w += together)
      sum_terms<T, together>(from + w * step, term, terms, shift, width, step, target + w * to_step, to_step);
  }
  one_by_one(last, along.count);
}

// to[o / L][p][i][o % L] = from[p][o / per_out * per_in + i]: every output of a group gets every channel of its group.
template <class T>
void copy_groups(const T* from, int64_t pixels, int64_t groups, int64_t per_in, int64_t per_out, T* to) {
  constexpr int64_t L = lanes<T>;
  const int64_t in = groups * per_in, out = groups * per_out;
  const bool shuffles = per_in <= per_out && L % per_out == 0;
  parallel_range(pixels, std::max<int64_t>(1, (16 << 10) / (per_in * out)), [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < per_in; i++) {
      Vec<Mask<T>> index;
      for (int64_t l = 0; l < L; l++) index[l] = Mask<T>(l / per_out * per_in + i);
      for (int64_t o = 0; o < out; o += L) {
        T* target = to + ((o / L * pixels + begin) * per_in + i) * L;
        for (int64_t p = begin; p < end; p++, target += per_in * L) {
          const T* const source = from + p * in;
          if (shuffles) {
            const int64_t c = o / per_out * per_in;
            store(target, Vec<T>(__builtin_shuffle(c + L <= in ? load(source + c) : load_first(source + c, in - c), index)));
          } else {
            for (int64_t l = 0; l < L; l++) target[l] = o + l < out ? source[(o + l) / per_out * per_in + i] : T(0);
          }
        }
      }
    }
  });
}

// Weight rows [copy * taps + tap][channel of the result].
template <class T>
void turn_weight(const Geometry& shape, const T* w, bool backward, T* to) {
  const int64_t taps = shape.taps(), per_in = shape.group_channels(), per_out = shape.group_outputs();
  if (!backward) return transpose_into(w, per_in * taps, shape.outputs, per_in * taps, to, shape.outputs);
  if (per_in == 1 && per_out == 1) return transpose_into(w, taps, shape.outputs, taps, to, shape.channels);
  for (int64_t o = 0; o < shape.outputs; o++)
    for (int64_t i = 0; i < per_in; i++)
      for (int64_t t = 0; t < taps; t++) to[(o % per_out * taps + t) * shape.channels + o / per_out * per_in + i] = w[(o * per_in + i) * taps + t];
}

// The source with its copies; `memory` holds them where there is more than one channel a group.
template <class T>
Source<T> with_copies(const Geometry& shape, const Maps<const T>& from, const int64_t (&size)[3], int64_t per_in, int64_t per_out, T* memory) {
  constexpr int64_t L = lanes<T>;
  const int64_t channels = shape.groups * per_out, pixels = shape.images * size[0] * size[1] * size[2];
  if (per_in == 1 && per_out == 1) return {from, 1, channels, 1, channels, 0};
  copy_groups(from.data, pixels, shape.groups, per_in, per_out, memory);
  return {dense_maps<const T>(memory, size, per_in * L), per_in, channels, (channels + L - 1) / L, L, pixels * per_in * L};
}

template <class T>
size_t copies_bytes(const Geometry& shape, const int64_t (&size)[3], int64_t per_in, int64_t per_out) {
  if (per_in == 1 && per_out == 1) return 0;
  return size_t(shape.images * size[0] * size[1] * size[2] * panel_width<T>(shape.groups * per_out) * per_in) * sizeof(T);
}

template <class T>
void sum_all(const Geometry& shape, const Maps<const T>& from, const T* w, const T* bias, const Maps<T>& to, bool backward) {
  const int64_t per_in = backward ? shape.group_outputs() : shape.group_channels(), per_out = backward ? shape.group_channels() : shape.group_outputs();
  const int64_t taps = shape.taps(), channels = shape.groups * per_out;
  const int64_t(&size)[3] = backward ? shape.out : shape.in;
  const Buffer weight(size_t(taps * per_in * channels) * sizeof(T)), memory(copies_bytes<T>(shape, size, per_in, per_out));
  const ReleaseGil released(int64_t(shape.work()));
  turn_weight(shape, w, backward, weight.as<T>());
  const Source<T> source = with_copies(shape, from, size, per_in, per_out, memory.as<T>());
  const std::vector<Lattice> lattices = lattices_of(shape, source.maps.step, backward);
  for (const Lattice& lattice : lattices) {
    const int64_t width = lattice.axis[2].count, across = lattice.axis[1].count, lines = lattice.axis[0].count * across;
    if (width <= 0 || lines <= 0) continue;
    const int64_t grain = std::max<int64_t>(1, (int64_t(16) << 10) / (width * channels * per_in));
    parallel_range(lines * shape.images, grain, [&](int64_t begin, int64_t end) {
      Term<T>* const term = scratch<Term<T>>(5, taps * per_in);
      for (int64_t block = 0; block < source.blocks; block++)
        for (int64_t index = begin; index < end; index++)
          sum_line(lattice, index / lines, index % lines / across, index % across, source, block, taps, static_cast<const T*>(weight.as<T>()), bias, to, term);
    });
  }
}

// sum[k] += g * x at `taps` places `tap_step` apart, over `count` positions; one vector of channels.
template <class T, int K>
void correlate(const T* g, int64_t g_step, const T* x, int64_t x_step, int64_t tap_step, int64_t count, int64_t channels, T* sums, int64_t pitch) {
  const bool full = channels == lanes<T>;
  const auto read = [&](const T* p) { return full ? load(p) : load_first(p, channels); };
  Vec<T> sum[K];
  for (int k = 0; k < K; k++) sum[k] = Vec<T>{};
  for (int64_t i = 0; i < count; i++, g += g_step, x += x_step) {
    const Vec<T> cotangent = read(g);
    for (int k = 0; k < K; k++) sum[k] = fma(cotangent, read(x + k * tap_step), sum[k]);
  }
  for (int k = 0; k < K; k++) store(sums + k * pitch, load(sums + k * pitch) + sum[k]);
}

// The sums [copy * taps + tap][pitch] of the weight's gradient.
template <class T>
struct Correlation {
  const Geometry& shape;
  Maps<const T> g;
  Source<T> source;
  int64_t pitch;

  void line(int64_t index, T* sums) const;
  void row(const T* g_line, const T* x_line, T* sums) const;
};

// One row of taps (all kw) of one copy on one line.
template <class T>
void Correlation<T>::row(const T* g_line, const T* x_line, T* sums) const {
  constexpr int64_t L = lanes<T>;
  const int64_t kernel = shape.kernel[2], s = shape.stride[2], d = shape.dilation[2], p = shape.padding[2], width = shape.out[2];
  // Output positions at which all taps of the row meet the input.
  const int64_t low = std::min(width, (p + s - 1) / s), reach = shape.in[2] - 1 + p - (kernel - 1) * d;
  const int64_t high = reach < 0 ? low : std::clamp(reach / s + 1, low, width);
  const int64_t x_step = source.maps.step[2], block_step = source.blocks > 1 ? source.block_step : L;
  for (int64_t c = 0; c < source.channels; c += L) {
    const int64_t n = std::min(L, source.channels - c);
    const auto at = [&](int64_t w, int64_t k) { return x_line + (w * s - p + k * d) * x_step + c / L * block_step; };
    const auto one = [&](int64_t w, int64_t k) {
      if (uint64_t(w * s - p + k * d) < uint64_t(shape.in[2])) correlate<T, 1>(g_line + w * g.step[2] + c, 0, at(w, k), 0, 0, 1, n, sums + k * pitch + c, 0);
    };
    for (int64_t k = 0; k < kernel; k++) {
      for (int64_t w = 0; w < low; w++) one(w, k);
      for (int64_t w = high; w < width; w++) one(w, k);
    }
    if (low >= high) continue;
    int64_t k = 0;
    const auto some = [&](auto taps) {
      correlate<T, taps>(g_line + low * g.step[2] + c, g.step[2], at(low, k), s * x_step, d * x_step, high - low, n, sums + k * pitch + c, pitch);
      k += taps;
    };
    while (kernel - k >= 5) some(std::integral_constant<int, 5>{});
    while (kernel - k >= 3) some(std::integral_constant<int, 3>{});
    while (k < kernel) some(std::integral_constant<int, 1>{});
  }
}

template <class T>
void Correlation<T>::line(int64_t index, T* sums) const {
  const int64_t h = index % shape.out[1], rest = index / shape.out[1], d = rest % shape.out[0], n = rest / shape.out[0];
  const T* const g_line = g.data + n * g.image + d * g.step[0] + h * g.step[1];
  for (int64_t kd = 0; kd < shape.kernel[0]; kd++)
    for (int64_t kh = 0; kh < shape.kernel[1]; kh++) {
      const int64_t in_d = d * shape.stride[0] - shape.padding[0] + kd * shape.dilation[0];
      const int64_t in_h = h * shape.stride[1] - shape.padding[1] + kh * shape.dilation[1];
      if (uint64_t(in_d) >= uint64_t(shape.in[0]) || uint64_t(in_h) >= uint64_t(shape.in[1])) continue;
      const Maps<const T>& x = source.maps;
      for (int64_t i = 0; i < source.copies; i++)
        row(g_line, x.data + n * x.image + in_d * x.step[0] + in_h * x.step[1] + i * source.width,
            sums + (i * shape.taps() + (kd * shape.kernel[1] + kh) * shape.kernel[2]) * pitch);
    }
}

}  // namespace

bool channelwise_suits(const Geometry& shape, Pass pass) {
  if (shape.groups == 1) return false;
  const int64_t per_in = pass == Pass::grad_input ? shape.group_outputs() : shape.group_channels();
  const int64_t per_out = pass == Pass::grad_input ? shape.group_channels() : shape.group_outputs();
  return per_in <= most_copies && per_out < lanes<float>;
}

template <class T>
void channelwise_forward(const Geometry& shape, const Maps<const T>& x, const T* w, const T* bias, const Maps<T>& y) {
  sum_all(shape, x, w, bias, y, false);
}

template <class T>
void channelwise_backward(const Geometry& shape, const Maps<const T>& g, const T* w, const Maps<T>& gx) {
  sum_all(shape, g, w, static_cast<const T*>(nullptr), gx, true);
}

template <class T>
void channelwise_weight(const Geometry& shape, const Maps<const T>& g, const Maps<const T>& x, T* gw) {
  const int64_t per_in = shape.group_channels(), per_out = shape.group_outputs(), rows = per_in * shape.taps(), channels = shape.outputs;
  const int64_t pitch = panel_width<T>(channels), piece = rows * pitch, lines = shape.images * shape.out[0] * shape.out[1];
  const int64_t most = std::max((sum_positions + shape.out[2] - 1) / shape.out[2], (lines + most_sums - 1) / most_sums), count = (lines + most - 1) / most;
  const Buffer memory(copies_bytes<T>(shape, shape.in, per_in, per_out)), kept(size_t(count * piece) * sizeof(T));
  T* const sums = kept.as<T>();
  const ReleaseGil released(int64_t(shape.work()));
  const Correlation<T> correlation{shape, g, with_copies(shape, x, shape.in, per_in, per_out, memory.as<T>()), pitch};
  const auto part = [&](int64_t index) {
    T* const own = sums + index * piece;
    std::memset(own, 0, size_t(piece) * sizeof(T));
    for (int64_t line = index * most; line < std::min(lines, (index + 1) * most); line++) correlation.line(line, own);
  };
  run_tasks(count, shape.work(), part);
  // Added in order and turned to [o][copy][tap].
  for (int64_t row = 0; row < rows; row++)
    for (int64_t o = 0; o < channels; o++) {
      double sum = 0;
      for (int64_t index = 0; index < count; index++) sum += double(sums[index * piece + row * pitch + o]);
      gw[o * rows + row] = T(sum);
    }
}

#define RUSHLIGHT_INSTANTIATE(T)                                                                                       \
  template void channelwise_forward(const Geometry&, const Maps<const T>&, const T*, const T*, const Maps<T>&);         \
  template void channelwise_backward(const Geometry&, const Maps<const T>&, const T*, const Maps<T>&);                  \
  template void channelwise_weight(const Geometry&, const Maps<const T>&, const Maps<const T>&, T*);
RUSHLIGHT_INSTANTIATE(float)
RUSHLIGHT_INSTANTIATE(double)
#undef RUSHLIGHT_INSTANTIATE

}  // namespace rushlight::conv
