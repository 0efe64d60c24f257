// Convolutions of few channels a group (depthwise: one): vectors run along the output channels, nothing is summed across
// lanes.
//
// With one channel a group, y[o] = sum over taps of x[o] * w[tap][o]. With a few, the source is first copied once for each
// of them, so that lane o of copy i holds channel i of o's group; then the copies are further taps. A task makes the copies
// of one image and one vector of channels, [pixel][copy][lane], which stay in its L2 cache. The gradients work the same way:
// that of the input copies the cotangent and sums over outputs of the group, that of the weight keeps one sum for each tap
// and copy. Four neighbouring positions share a load of the weight. Depthwise runs at the speed of memory.
#include <algorithm>
#include <cstring>
#include <vector>

#include "conv.h"
#include "conv_lattice.h"
#include "microkernel.h"
#include "parallel.h"

namespace rushlight::conv {
namespace {

// Groups of up to this many channels on the summed side are copied, and up to this many pixels in all copies of an image.
constexpr int64_t most_copies = 16, most_copied = 512 << 10;
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

// Q positions, `step` apart in the source and `to_step` in the result, and C vectors of channels, the last one of n.
template <class T, int Q, int C>
inline void sum_vectors(const T* from, const Term<T>* term, int64_t terms, int64_t c, int64_t n, const T* bias, int64_t step, T* to, int64_t to_step) {
  constexpr int64_t L = lanes<T>;
  const auto read = [&](const T* p, int j) { return n == L || j < C - 1 ? load(p + j * L) : load_first(p + j * L, n); };
  Vec<T> sum[Q][C];
#pragma GCC unroll 8
  for (int j = 0; j < C; j++)
#pragma GCC unroll 8
    for (int q = 0; q < Q; q++) sum[q][j] = bias ? read(bias + c, j) : Vec<T>{};
  for (int64_t u = 0; u < terms; u++)
#pragma GCC unroll 8
    for (int j = 0; j < C; j++) {
      const Vec<T> w = read(term[u].weight + c, j);
#pragma GCC unroll 8
      for (int q = 0; q < Q; q++) sum[q][j] = fma(read(from + term[u].source + q * step + c, j), w, sum[q][j]);
    }
#pragma GCC unroll 8
  for (int q = 0; q < Q; q++)
#pragma GCC unroll 8
    for (int j = 0; j < C; j++) {
      T* const at = to + q * to_step + c + j * L;
      if (n == L || j < C - 1)
        store(at, sum[q][j]);
      else
        store_first(at, sum[q][j], n);
    }
}

// Q positions, all channels: `together` sums at once, so that none waits for the one before.
template <class T, int Q>
void sum_terms(const T* from, const Term<T>* term, int64_t terms, const T* bias, int64_t channels, int64_t step, T* to, int64_t to_step) {
  constexpr int64_t L = lanes<T>;
  constexpr int vectors = together / Q;
  int64_t c = 0;
  for (; c + vectors * L <= channels; c += vectors * L) sum_vectors<T, Q, vectors>(from, term, terms, c, L, bias, step, to, to_step);
  for (; c < channels; c += L) sum_vectors<T, Q, 1>(from, term, terms, c, std::min(L, channels - c), bias, step, to, to_step);
}

// The sums of the forward pass or the gradient of the input, for channels of one width.
template <class T>
struct Summation {
  const Geometry& shape;
  int64_t copies, copy_step, channels;  // of the source's pixels; of the result
  const T* weight;                      // rows [copy * taps + tap][channels]
  const T* bias;
  Maps<T> to;

  int64_t list(const Lattice& lattice, const int64_t (&q)[3], int64_t start, Term<T>* term) const;
  void line(const Lattice& lattice, const Maps<const T>& from, int64_t n, int64_t d, int64_t h, int64_t start, int64_t width, Term<T>* term) const;
};

template <class T>
int64_t Summation<T>::list(const Lattice& lattice, const int64_t (&q)[3], int64_t start, Term<T>* term) const {
  const int64_t taps = shape.taps();
  int64_t terms = 0;
  const auto add = [&](const Lattice::At& at) {
    for (int64_t i = 0; i < copies; i++) term[terms++] = {at.offset + i * copy_step, weight + (i * taps + at.tap) * channels + start};
  };
  if (lattice.masked()) {
    for (uint64_t mask = lattice.mask(q); mask; mask &= mask - 1) add(lattice.taps[size_t(__builtin_ctzll(mask))]);
  } else {
    for (const Lattice::At& at : lattice.taps)
      if (lattice.meets(q, at)) add(at);
  }
  return terms;
}

// One line (all positions along the last dimension) of image n. `from` is that image.
template <class T>
void Summation<T>::line(const Lattice& lattice, const Maps<const T>& from, int64_t n, int64_t d, int64_t h, int64_t start, int64_t width, Term<T>* term) const {
  const Axis& along = lattice.axis[2];
  const int64_t step = along.step * from.step[2], to_step = along.spacing * to.step[2];
  const T* const source = from.data + d * lattice.axis[0].step * from.step[0] + h * lattice.axis[1].step * from.step[1];
  T* const target = to.data + start + n * to.image + (lattice.axis[0].first + d * lattice.axis[0].spacing) * to.step[0] +
                    (lattice.axis[1].first + h * lattice.axis[1].spacing) * to.step[1] + along.first * to.step[2];
  const T* const shift = bias ? bias + start : nullptr;
  const auto one_by_one = [&](int64_t begin, int64_t end) {
    for (int64_t w = begin; w < end; w++) {
      const int64_t q[3] = {d, h, w}, terms = list(lattice, q, start, term);
      sum_terms<T, 1>(source + w * step, term, terms, shift, width, step, target + w * to_step, to_step);
    }
  };
  if (along.inner_end - along.inner_begin < together) return one_by_one(0, along.count);
  one_by_one(0, along.inner_begin);
  const int64_t q[3] = {d, h, along.inner_begin}, terms = list(lattice, q, start, term);
  for (int64_t w = along.inner_begin; w < along.inner_end; w += together) {
    const int64_t at = std::min(w, along.inner_end - together);  // the last ones may be computed twice
    sum_terms<T, together>(source + at * step, term, terms, shift, width, step, target + at * to_step, to_step);
  }
  one_by_one(along.inner_end, along.count);
}

// One vector of outputs of one image: to[p][i][l] = from[p][o / per_out * per_in + i] with o = first + l: every output of a
// group gets every channel of its group.
template <class T>
void copy_groups(const T* from, int64_t pixels, int64_t groups, int64_t per_in, int64_t per_out, int64_t first, T* to) {
  constexpr int64_t L = lanes<T>;
  const int64_t in = groups * per_in, out = groups * per_out, c = first / per_out * per_in;
  const bool shuffles = per_in <= per_out && L % per_out == 0;
  for (int64_t i = 0; i < per_in; i++) {
    Vec<Mask<T>> index;
    for (int64_t l = 0; l < L; l++) index[l] = Mask<T>(l / per_out * per_in + i);
    T* target = to + i * L;
    for (int64_t p = 0; p < pixels; p++, target += per_in * L) {
      const T* const source = from + p * in;
      if (shuffles) {
        store(target, Vec<T>(__builtin_shuffle(c + L <= in ? load(source + c) : load_first(source + c, in - c), index)));
      } else {
        for (int64_t l = 0; l < L; l++) target[l] = first + l < out ? source[(first + l) / per_out * per_in + i] : T(0);
      }
    }
  }
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

template <class T>
void sum_all(const Geometry& shape, const Maps<const T>& from, const T* w, const T* bias, const Maps<T>& to, bool backward) {
  constexpr int64_t L = lanes<T>;
  const int64_t per_in = backward ? shape.group_outputs() : shape.group_channels(), per_out = backward ? shape.group_channels() : shape.group_outputs();
  const int64_t taps = shape.taps(), channels = shape.groups * per_out;
  const int64_t(&size)[3] = backward ? shape.out : shape.in;
  const Buffer weight(size_t(taps * per_in * channels) * sizeof(T));
  const ReleaseGil released(int64_t(shape.work()));
  turn_weight(shape, w, backward, weight.as<T>());
  const Summation<T> sums{shape, per_in, L, channels, weight.as<const T>(), bias, to};
  if (per_in == 1 && per_out == 1) {
    for (const Lattice& lattice : lattices_of(shape, from.step, backward)) {
      const int64_t across = lattice.axis[1].count, lines = lattice.axis[0].count * across, grain = std::max<int64_t>(1, (16 << 10) / (to.step[1] + 1));
      if (lattice.positions() <= 0) continue;
      parallel_range(lines * shape.images, grain, [&](int64_t begin, int64_t end) {
        Term<T>* const term = scratch<Term<T>>(5, taps);
        for (int64_t index = begin; index < end; index++) {
          Maps<const T> image = from;
          image.data += index / lines * from.image;
          sums.line(lattice, image, index / lines, index % lines / across, index % across, 0, channels, term);
        }
      });
    }
    return;
  }
  const int64_t pixels = size[0] * size[1] * size[2], blocks = (channels + L - 1) / L;
  const Maps<const T> layout = dense_maps<const T>(nullptr, size, per_in * L);
  const std::vector<Lattice> lattices = lattices_of(shape, layout.step, backward);
  run_tasks(shape.images * blocks, shape.work(), [&](int64_t task) {
    const int64_t n = task / blocks, start = task % blocks * L;
    Term<T>* const term = scratch<Term<T>>(5, taps * per_in);
    T* const copies = scratch<T>(4, pixels * per_in * L);
    copy_groups(from.data + n * from.image, pixels, shape.groups, per_in, per_out, start, copies);
    Maps<const T> image = layout;
    image.data = copies;
    for (const Lattice& lattice : lattices)
      for (int64_t d = 0; d < lattice.axis[0].count; d++)
        for (int64_t h = 0; h < lattice.axis[1].count; h++)
          if (lattice.axis[2].count > 0) sums.line(lattice, image, n, d, h, start, std::min(L, channels - start), term);
  });
}

// sum[k] += g * x at `taps` places `tap_step` apart, over `count` positions; one vector of channels.
template <class T, int K>
void correlate(const T* g, int64_t g_step, const T* x, int64_t x_step, int64_t tap_step, int64_t count, int64_t channels, T* sums, int64_t pitch) {
  const bool full = channels == lanes<T>;
  const auto read = [&](const T* p) { return full ? load(p) : load_first(p, channels); };
  Vec<T> sum[K];
#pragma GCC unroll 8
  for (int k = 0; k < K; k++) sum[k] = Vec<T>{};
  for (int64_t i = 0; i < count; i++, g += g_step, x += x_step) {
    const Vec<T> cotangent = read(g);
#pragma GCC unroll 8
    for (int k = 0; k < K; k++) sum[k] = fma(cotangent, read(x + k * tap_step), sum[k]);
  }
#pragma GCC unroll 8
  for (int k = 0; k < K; k++) store(sums + k * pitch, load(sums + k * pitch) + sum[k]);
}

// The sums [copy * taps + tap][pitch] of the weight's gradient, for channels of one width.
template <class T>
struct Correlation {
  const Geometry& shape;
  Maps<const T> g;
  int64_t copies, copy_step, pitch;

  void line(const Maps<const T>& x, int64_t n, int64_t d, int64_t h, int64_t start, int64_t width, T* sums) const;
  void row(const T* g_line, const T* x_line, int64_t x_step, int64_t channels, T* sums) const;
};

// One row of taps (all kw) of one copy on one line.
template <class T>
void Correlation<T>::row(const T* g_line, const T* x_line, int64_t x_step, int64_t channels, T* sums) const {
  constexpr int64_t L = lanes<T>;
  const int64_t kernel = shape.kernel[2], s = shape.stride[2], d = shape.dilation[2], p = shape.padding[2], width = shape.out[2];
  // Output positions at which all taps of the row meet the input.
  const int64_t low = std::min(width, (p + s - 1) / s), reach = shape.in[2] - 1 + p - (kernel - 1) * d;
  const int64_t high = reach < 0 ? low : std::clamp(reach / s + 1, low, width);
  for (int64_t c = 0; c < channels; c += L) {
    const int64_t n = std::min(L, channels - c);
    const auto at = [&](int64_t w, int64_t k) { return x_line + (w * s - p + k * d) * x_step + c; };
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

// One line of the output of image n, whose source pixels (of the channels from `start` on) are `x`.
template <class T>
void Correlation<T>::line(const Maps<const T>& x, int64_t n, int64_t d, int64_t h, int64_t start, int64_t width, T* sums) const {
  const T* const g_line = g.data + start + n * g.image + d * g.step[0] + h * g.step[1];
  for (int64_t kd = 0; kd < shape.kernel[0]; kd++)
    for (int64_t kh = 0; kh < shape.kernel[1]; kh++) {
      const int64_t in_d = d * shape.stride[0] - shape.padding[0] + kd * shape.dilation[0];
      const int64_t in_h = h * shape.stride[1] - shape.padding[1] + kh * shape.dilation[1];
      if (uint64_t(in_d) >= uint64_t(shape.in[0]) || uint64_t(in_h) >= uint64_t(shape.in[1])) continue;
      for (int64_t i = 0; i < copies; i++)
        row(g_line, x.data + in_d * x.step[0] + in_h * x.step[1] + i * copy_step, x.step[2], width,
            sums + (i * shape.taps() + (kd * shape.kernel[1] + kh) * shape.kernel[2]) * pitch + start);
    }
}

// Adds the parts in order and turns them from [part][copy * taps + tap][pitch] to [o][copy][tap].
template <class T>
void add_parts(const T* sums, int64_t parts, int64_t rows, int64_t pitch, int64_t channels, T* gw) {
  for (int64_t row = 0; row < rows; row++)
    for (int64_t o = 0; o < channels; o++) {
      double sum = 0;
      for (int64_t part = 0; part < parts; part++) sum += double(sums[(part * rows + row) * pitch + o]);
      gw[o * rows + row] = T(sum);
    }
}

}  // namespace

bool channelwise_suits(const Geometry& shape, Pass pass) {
  if (shape.groups == 1) return false;
  const int64_t per_in = pass == Pass::grad_input ? shape.group_outputs() : shape.group_channels();
  const int64_t per_out = pass == Pass::grad_input ? shape.group_channels() : shape.group_outputs();
  const int64_t pixels = pass == Pass::grad_input ? shape.out_positions() : shape.in_positions();
  if (per_in > 1 && pixels * per_in > most_copied) return false;
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
  constexpr int64_t L = lanes<T>;
  const int64_t per_in = shape.group_channels(), per_out = shape.group_outputs(), rows = per_in * shape.taps(), channels = shape.outputs;
  const bool copied = per_in > 1 || per_out > 1;
  const int64_t pitch = panel_width<T>(channels), lines = shape.out[0] * shape.out[1], blocks = copied ? (channels + L - 1) / L : 1;
  // A part is some lines, or with copies some images.
  const int64_t all = copied ? shape.images : shape.images * lines, positions = copied ? lines * shape.out[2] : shape.out[2];
  const int64_t most = std::max((sum_positions + positions - 1) / positions, (all + most_sums - 1) / most_sums), parts = (all + most - 1) / most;
  const Buffer memory(size_t(parts * rows * pitch) * sizeof(T));
  T* const sums = memory.as<T>();
  const ReleaseGil released(int64_t(shape.work()));
  const Correlation<T> correlation{shape, g, per_in, L, pitch};
  run_tasks(parts * blocks, shape.work(), [&](int64_t task) {
    const int64_t part = task / blocks, begin = part * most, end = std::min(all, begin + most);
    const int64_t start = task % blocks * L, width = copied ? std::min(L, channels - start) : channels;
    T* const own = sums + part * rows * pitch;
    for (int64_t row = 0; row < rows; row++) std::memset(own + row * pitch + start, 0, size_t(width) * sizeof(T));
    Maps<const T> image = x;
    if (!copied) {
      for (int64_t index = begin; index < end; index++) {
        image.data = x.data + index / lines * x.image;
        correlation.line(image, index / lines, index % lines / shape.out[1], index % shape.out[1], 0, channels, own);
      }
      return;
    }
    T* const copies = scratch<T>(4, shape.in_positions() * per_in * L);
    image = dense_maps<const T>(copies, shape.in, per_in * L);
    for (int64_t n = begin; n < end; n++) {
      copy_groups(x.data + n * x.image, shape.in_positions(), shape.groups, per_in, per_out, start, copies);
      for (int64_t line = 0; line < lines; line++) correlation.line(image, n, line / shape.out[1], line % shape.out[1], start, width, own);
    }
  });
  add_parts(sums, parts, rows, pitch, channels, gw);
}

#define RUSHLIGHT_INSTANTIATE(T)                                                                                       \
  template void channelwise_forward(const Geometry&, const Maps<const T>&, const T*, const T*, const Maps<T>&);         \
  template void channelwise_backward(const Geometry&, const Maps<const T>&, const T*, const Maps<T>&);                  \
  template void channelwise_weight(const Geometry&, const Maps<const T>&, const Maps<const T>&, T*);
RUSHLIGHT_INSTANTIATE(float)
RUSHLIGHT_INSTANTIATE(double)
#undef RUSHLIGHT_INSTANTIATE

}  // namespace rushlight::conv
