// Adaptive average pooling and its gradient (see pooling.h): every output averages its share of the map.
#include "pooling.h"

namespace rushlight {
namespace {

// Where the window of output o of an adaptive pooling begins and ends.
int64_t adaptive_begin(int64_t o, int64_t size, int64_t outputs) { return o * size / outputs; }
int64_t adaptive_end(int64_t o, int64_t size, int64_t outputs) { return ((o + 1) * size + outputs - 1) / outputs; }

// The sum of `count` registers `step` elements apart, in pieces of 64 that are added one to the other.
template <class T>
Vec<T> sum_positions(const T* p, int64_t count, int64_t step, int64_t width) {
  Vec<T> total{};
  for (int64_t i = 0; i < count;) {
    Vec<T> piece{};
    for (const int64_t end = std::min(count, i + 64); i < end; i++) piece += width == lanes<T> ? load(p + i * step) : load_part(p + i * step, width);
    total += piece;
  }
  return total;
}

template <class T>
void adaptive_average(const Array& input, const Array& result, int spatial) {
  constexpr int64_t L = lanes<T>;
  const Maps x(input, spatial), y(result, spatial);
  const bool last = x.channel_step == 1 && y.channel_step == 1;
  const int64_t outputs = y.positions(), depth = last ? L : 1, groups = (x.channels + depth - 1) / depth;
  const int64_t work = std::max<int64_t>(1, x.positions() * depth / outputs);
  parallel_range(x.images * groups * outputs, std::max<int64_t>(1, block_work / work), [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; item++) {
      const int64_t o = item % outputs, c = item / outputs % groups * depth, n = item / (outputs * groups);
      const int64_t at[most_spatial] = {o / (y.size[2] * y.size[1]), o / y.size[2] % y.size[1], o % y.size[2]};
      int64_t from[most_spatial], to[most_spatial], count = 1;
      for (int i = 0; i < most_spatial; i++) {
        from[i] = adaptive_begin(at[i], x.size[i], y.size[i]);
        to[i] = adaptive_end(at[i], x.size[i], y.size[i]);
        count *= to[i] - from[i];
      }
      const int64_t width = std::min(depth, x.channels - c);
      const T* map = input.as<T>() + n * x.image_step + c * x.channel_step;
      T* out = result.as<T>() + n * y.image_step + c * y.channel_step + at[0] * y.step[0] + at[1] * y.step[1] + at[2] * y.step[2];
      Vec<T> sum{};
      T rest = 0;
      for (int64_t a = from[0]; a < to[0]; a++)
        for (int64_t b = from[1]; b < to[1]; b++) {
          const T* row = map + a * x.step[0] + b * x.step[1] + from[2] * x.step[2];
          const int64_t length = to[2] - from[2];
          if (last) {
            sum += sum_positions(row, length, x.step[2], width);
          } else {
            const int64_t whole = length / L;
            sum += sum_positions(row, whole, L, L);
            for (int64_t i = whole * L; i < length; i++) rest += row[i];
          }
        }
      if (last)
        store_part(out, sum / splat(T(count)), width);
      else
        *out = (sum_lanes<T>(sum) + rest) / T(count);
    }
  });
}

PyObject* adaptive_avg_pool(PyObject* const* args) {
  Array x;
  int64_t sizes[max_dims];
  int spatial;
  bool served;
  if (!x.read(args[0]) || !plain_float(x.type) || x.size() == 0) return decline();
  if (!read_ints(args[1], sizes, spatial) || spatial < 1 || spatial > most_spatial || x.ndim != spatial + 2) return decline();
  const bool last = innermost_channels(x, served);
  npy_intp shape[2 + most_spatial] = {x.shape[0], x.shape[1]};
  for (int i = 0; i < spatial; i++) {
    if (sizes[i] < 1) return decline();
    shape[2 + i] = sizes[i];
  }
  if (!served) return decline();
  PyObject* result = new_maps(last, x.ndim, shape, x.type);
  if (!result) return nullptr;
  {
    const ReleaseGil released(x.size());
    x.type == Type::F32 ? adaptive_average<float>(x, view_of(result), spatial) : adaptive_average<double>(x, view_of(result), spatial);
  }
  return x.hidden ? hide(result) : result;
}

template <class T>
void adaptive_spread(const Array& cotangents, const Array& result, int spatial) {
  constexpr int64_t L = lanes<T>;
  const Maps g(cotangents, spatial), x(result, spatial);
  const bool last = x.channel_step == 1 && g.channel_step == 1 && x.channels > 1;
  // Every input position sums the outputs whose windows hold it: a range of outputs along each dimension.
  auto outputs_over = [](int64_t p, int64_t size, int64_t outputs, int64_t& from, int64_t& to) {
    from = p * outputs / size;
    while (from > 0 && adaptive_end(from - 1, size, outputs) > p) from--;
    to = from;
    while (to < outputs && adaptive_begin(to, size, outputs) <= p) to++;
  };
  const int64_t rows = x.images * x.size[0] * x.size[1];
  parallel_range(rows, std::max<int64_t>(1, block_work / std::max<int64_t>(1, x.size[2] * x.channels)), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const int64_t b = row % x.size[1], a = row / x.size[1] % x.size[0], n = row / (x.size[1] * x.size[0]);
      int64_t a0, a1, b0, b1, c0, c1;
      outputs_over(a, x.size[0], g.size[0], a0, a1);
      outputs_over(b, x.size[1], g.size[1], b0, b1);
      auto extent = [&](int i, int64_t o) { return adaptive_end(o, x.size[i], g.size[i]) - adaptive_begin(o, x.size[i], g.size[i]); };
      for (int64_t p = 0; p < x.size[2]; p++) {
        outputs_over(p, x.size[2], g.size[2], c0, c1);
        T* to = result.as<T>() + n * x.image_step + a * x.step[0] + b * x.step[1] + p * x.step[2];
        for (int64_t c = 0; c < x.channels; c += last ? L : 1) {
          const int64_t width = last ? std::min(L, x.channels - c) : 1;
          Vec<T> sum{};
          for (int64_t i = a0; i < a1; i++)
            for (int64_t j = b0; j < b1; j++)
              for (int64_t k = c0; k < c1; k++) {
                const T* from = cotangents.as<T>() + n * g.image_step + c * g.channel_step + i * g.step[0] + j * g.step[1] + k * g.step[2];
                sum += load_part(from, width) / splat(T(extent(0, i) * extent(1, j) * extent(2, k)));
              }
          store_part(to + c * x.channel_step, sum, width);
        }
      }
    }
  });
}

PyObject* adaptive_avg_pool_backward(PyObject* const* args) {
  Array g;
  npy_intp shape[2 + most_spatial];
  if (!g.read(args[0]) || !plain_float(g.type) || g.size() == 0) return decline();
  if (!args[1] || !read_input_shape(args[1], g, shape)) return decline();
  for (int i = 2; i < g.ndim; i++)
    if (shape[i] < 1) return decline();
  // A cotangent of one position a map has no layout; what follows (activations, convolutions) keeps channels innermost.
  const bool one = g.size() == int64_t(shape[0]) * shape[1];
  const bool last = g.channels_last() && (one ? shape[1] >= 8 : !g.contiguous());
  PyObject* result = new_maps(last, g.ndim, shape, g.type);
  if (!result) return nullptr;
  const Array x = view_of(result);
  {
    const ReleaseGil released(x.size());
    g.type == Type::F32 ? adaptive_spread<float>(g, x, g.ndim - 2) : adaptive_spread<double>(g, x, g.ndim - 2);
  }
  return one || g.hidden ? hide(result) : result;
}

const Family family("adaptive_pool", {
                                         {"adaptive_avg_pool", "x out_sizes", adaptive_avg_pool},
                                         {"adaptive_avg_pool_backward", "g input_shape", adaptive_avg_pool_backward},
                                     });

}  // namespace
}  // namespace rushlight
