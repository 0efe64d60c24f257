// Average pooling over windows and its gradient (see pooling.h); 2x2 and 3x3 stride 2 at 10 to 15 GB/s on two cores.
#include "pooling.h"
#include "square.h"

namespace rushlight {
namespace {

// What an average divides by: the window's size within the map and its padding, or the number given.
struct Divisor {
  bool include_padding = true;
  bool given = false;
  double value = 1;

  // The factor that one dimension's window has in it. (A window outside the map sums to zero, whatever it is divided by.)
  int64_t factor(const Windows& w, int64_t o) const {
    const int64_t start = o * w.stride - w.padding, end = start + w.kernel;
    if (include_padding) return std::max<int64_t>(1, std::min(end, w.size + w.padding) - start);
    return std::max<int64_t>(1, std::min(end, w.size) - std::max<int64_t>(0, start));
  }
  double of(const Windows* along, int64_t o0, int64_t o1, int64_t o2) const {
    return given ? value : double(factor(along[0], o0) * factor(along[1], o1) * factor(along[2], o2));
  }
  // Divisors of a row are those of its columns times that of the row.
  double of_row(const Windows* along, int64_t o0, int64_t o1) const {
    return given ? 1 : double(factor(along[0], o0) * factor(along[1], o1));
  }
  double of_column(const Windows* along, int64_t o2) const { return given ? value : double(factor(along[2], o2)); }
};

bool read_divisor(PyObject* include_padding, PyObject* override_, Divisor& divisor) {
  if (!read_bool(include_padding, divisor.include_padding)) return false;
  divisor.given = given(override_);
  return !divisor.given || (read_double(override_, divisor.value) && divisor.value != 0);
}

template <class T>
void average(const Array& input, const Array& result, const Shape& shape, const Divisor& divisor) {
  constexpr int64_t L = lanes<T>;
  const Maps x(input, shape.spatial), y(result, shape.spatial);
  const Windows* along = shape.along;
  const int64_t taps = along[0].kernel * along[1].kernel * along[2].kernel;
  const bool last = x.channel_step == 1 && y.channel_step == 1;
  for_positions(x.images, along, along[2].outputs * taps * x.channels, [&](int64_t n, int64_t o0, int64_t o1, int64_t o2) {
    const Window window(along, {o0, o1, o2});
    const T scale = T(divisor.of(along, o0, o1, o2));
    const T* image = input.as<T>() + n * x.image_step;
    T* out = result.as<T>() + n * y.image_step + o0 * y.step[0] + o1 * y.step[1] + o2 * y.step[2];
    for (int64_t c = 0; c < x.channels; c += last ? L : 1) {
      const int64_t count = last ? std::min(L, x.channels - c) : 1;
      Vec<T> sum{};
      window.each(along, [&](int64_t p0, int64_t p1, int64_t p2) {
        const T* p = image + p0 * x.step[0] + p1 * x.step[1] + p2 * x.step[2] + c * x.channel_step;
        sum += count == L ? load(p) : load_part(p, count);
      });
      store_part(out + c * y.channel_step, sum / splat(scale), count);
    }
  });
}

// Divisors of the columns of outputs, in whole registers.
template <class T>
T* column_divisors(const Windows* along, const Divisor& divisor) {
  const int64_t count = whole_registers<T>(along[2].outputs);
  T* found = scratch<T>(0, count);
  for (int64_t o = 0; o < count; o++) found[o] = o < along[2].outputs ? T(divisor.of_column(along, o)) : T(1);
  return found;
}

// Averages of row-major maps: the rows under a row of outputs are summed first, then the columns of the sum.
template <class T>
void average_rows(const Array& input, const Array& result, const Shape& shape, const Divisor& divisor) {
  constexpr int64_t L = lanes<T>;
  const Windows *along = shape.along, &w = along[2];
  const int64_t map_rows = along[0].size * along[1].size, window_rows = along[0].kernel * along[1].kernel;
  const int64_t rows = input.shape[0] * input.shape[1] * along[0].outputs * along[1].outputs;
  const int64_t reach = row_reach<T>(w), outputs = w.outputs;
  const T* columns = column_divisors<T>(along, divisor);
  parallel_range(rows, std::max<int64_t>(1, block_work / (w.size * window_rows)), [&](int64_t begin, int64_t end) {
    T* sums = scratch<T>(1, reach);
    std::fill_n(sums, reach, T(0));
    const T** taken = scratch<const T*>(2, window_rows);
    OutputRow row(along, begin);
    for (int64_t at = begin; at < end; at++, row.next()) {
      int64_t count = 0;
      row.each_input_row([&](int64_t r) { taken[count++] = input.as<T>() + (row.map * map_rows + r) * w.size; });
      int64_t i = 0;
      for (; i + 2 * L <= w.size; i += 2 * L) {
        Vec<T> first{}, second{};
        for (int64_t r = 0; r < count; r++) {
          first += load(taken[r] + i);
          second += load(taken[r] + i + L);
        }
        store(sums + w.padding + i, first);
        store(sums + w.padding + i + L, second);
      }
      for (; i < w.size; i += L) {
        const int64_t width = std::min(L, w.size - i);
        Vec<T> sum{};
        for (int64_t r = 0; r < count; r++) sum += load_part(taken[r] + i, width);
        store(sums + w.padding + i, sum);  // beyond the row: zeros
      }
      const T scale = T(divisor.of_row(along, row.o0, row.o1));
      T* to = result.as<T>() + at * outputs;
      auto columns_of = [&](auto stride) {
        for (int64_t o = 0; o < outputs; o += L) {
          Vec<T> sum{};
          each_tap<stride>(sums + o * stride, w.kernel, 1, [&](int64_t, Vec<T> v) { sum += v; });
          const Vec<T> average = sum / (load(columns + o) * splat(scale));
          outputs - o >= L ? store(to + o, average) : store_part(to + o, average, outputs - o);
        }
      };
      if (w.stride == 1) {
        columns_of(std::integral_constant<int, 1>());
      } else if (w.stride == 2) {
        columns_of(std::integral_constant<int, 2>());
      } else {
        for (int64_t o = 0; o < outputs; o++) {
          T sum = 0;
          for (int64_t t = 0; t < w.kernel; t++) sum += sums[o * w.stride + t];
          to[o] = sum / (columns[o] * scale);
        }
      }
    }
  });
}

PyObject* avg_pool(PyObject* const* args) {
  Array x;
  Shape shape;
  Divisor divisor;
  bool served;
  if (!x.read(args[0]) || !plain_float(x.type) || x.size() == 0) return decline();
  if (!read_windows(x, args[1], args[2], args[3], nullptr, args[4], shape) || !read_divisor(args[5], args[6], divisor)) return decline();
  const bool last = innermost_channels(x, served);
  if (!served) return decline();
  PyObject* result = new_maps(last, x.ndim, shape.result, x.type);
  if (!result) return nullptr;
  {
    const ReleaseGil released(x.size() * 4);
    const Array y = view_of(result);
    if (x.type == Type::F32)
      last ? average<float>(x, y, shape, divisor) : average_rows<float>(x, y, shape, divisor);
    else
      last ? average<double>(x, y, shape, divisor) : average_rows<double>(x, y, shape, divisor);
  }
  return x.hidden ? hide(result) : result;
}

// Spreads cotangents over their windows. A block is one image (and, row-major, one channel), so sums have one order.
template <class T>
void spread_average(const Array& cotangents, const Array& result, const Shape& shape, const Divisor& divisor) {
  constexpr int64_t L = lanes<T>;
  const Maps g(cotangents, shape.spatial), x(result, shape.spatial);
  const Windows* along = shape.along;
  const bool last = x.channel_step == 1 && g.channel_step == 1 && x.channels > 1;
  const int64_t depth = last ? 4 * L : 1, groups = (x.channels + depth - 1) / depth;
  parallel(x.images * groups, [&](int64_t block) {
    const int64_t n = block / groups, begin = block % groups * depth, end = std::min(x.channels, begin + depth);
    T* image = result.as<T>() + n * x.image_step;
    for (int64_t a = 0; a < x.size[0]; a++)
      for (int64_t b = 0; b < x.size[1]; b++)
        for (int64_t c = 0; c < x.size[2]; c++)
          for (int64_t i = begin; i < end; i++) image[a * x.step[0] + b * x.step[1] + c * x.step[2] + i * x.channel_step] = 0;
    for (int64_t o0 = 0; o0 < along[0].outputs; o0++)
      for (int64_t o1 = 0; o1 < along[1].outputs; o1++)
        for (int64_t o2 = 0; o2 < along[2].outputs; o2++) {
          const Window window(along, {o0, o1, o2});
          const T scale = T(divisor.of(along, o0, o1, o2));
          const T* from = cotangents.as<T>() + n * g.image_step + o0 * g.step[0] + o1 * g.step[1] + o2 * g.step[2];
          for (int64_t c = begin; c < end; c += last ? L : 1) {
            const int64_t count = last ? std::min(L, end - c) : 1;
            const Vec<T> share = load_part(from + c * g.channel_step, count) / splat(scale);
            window.each(along, [&](int64_t p0, int64_t p1, int64_t p2) {
              T* p = image + p0 * x.step[0] + p1 * x.step[1] + p2 * x.step[2] + c * x.channel_step;
              store_part(p, load_part(p, count) + share, count);
            });
          }
        }
  });
}

// One row of the gradient of row-major averages from the sums of the windows' shares: shares[o] for window o, zeros on both
// sides. Column c lies under the windows o with o * stride <= c + padding < o * stride + kernel.
template <class T>
void spread_row(const Windows& w, const T* shares, T* to) {
  constexpr int64_t L = lanes<T>;
  constexpr std::make_integer_sequence<int, int(L)> lane{};
  if (w.stride == 1) {
    for (int64_t c = 0; c < w.size; c += L) {
      Vec<T> sum{};
      for (int64_t t = 0; t < w.kernel; t++) sum += load(shares + c + w.padding - t);
      w.size - c >= L ? store(to + c, sum) : store_part(to + c, sum, w.size - c);
    }
  } else if (w.stride == 2) {
    // Even columns meet the taps of the padding's parity, odd columns the others.
    const int64_t even = w.padding % 2, odd = 1 - even;
    const T *at_even = shares + (w.padding - even) / 2, *at_odd = shares + (w.padding + 1 - odd) / 2;
    for (int64_t c = 0; c < w.size; c += 2 * L) {
      Vec<T> evens{}, odds{};
      for (int64_t t = 0; even + 2 * t < w.kernel; t++) evens += load(at_even + c / 2 - t);
      for (int64_t t = 0; odd + 2 * t < w.kernel; t++) odds += load(at_odd + c / 2 - t);
      const Vec<T> low = zip_low(evens, odds, lane), high = zip_high(evens, odds, lane);
      const int64_t left = w.size - c;
      left >= L ? store(to + c, low) : store_part(to + c, low, left);
      if (left >= 2 * L)
        store(to + c + L, high);
      else if (left > L)
        store_part(to + c + L, high, left - L);
    }
  } else {
    int64_t first = 0, last = 0;
    for (int64_t c = 0; c < w.size; c++) {
      while (last < w.outputs && last * w.stride <= c + w.padding) last++;
      while (first * w.stride + w.kernel <= c + w.padding) first++;
      T sum = 0;
      for (int64_t o = first; o < last; o++) sum += shares[o];
      to[c] = sum;
    }
  }
}

// For every position along a dimension the outputs [begin, end) whose windows hold it.
struct Range {
  int64_t begin, end;
  bool operator==(const Range&) const = default;
};
void windows_over(const Windows& w, Range* found) {
  Range now{0, 0};
  for (int64_t p = 0; p < w.size; p++) {
    while (now.end < w.outputs && now.end * w.stride <= p + w.padding) now.end++;
    while (now.begin < now.end && now.begin * w.stride + w.kernel <= p + w.padding) now.begin++;
    found[p] = now;
  }
}

// The gradient of row-major averages, by rows of the result: the rows of cotangents whose windows hold it are divided and
// summed first (rows under the same windows share that), then spread along the row. Cotangents may have any strides.
template <class T>
void spread_average_rows(const Array& cotangents, const Array& result, const Shape& shape, const Divisor& divisor) {
  constexpr int64_t L = lanes<T>;
  const Maps g(cotangents, shape.spatial), x(result, shape.spatial);
  const Windows *along = shape.along, &w = along[2];
  const int64_t rows = x.images * x.channels * x.size[0] * x.size[1];
  // Room for spread_row's reads on both sides of the shares.
  const int64_t before = w.kernel, room = before + std::max(w.outputs, w.size + w.padding) + 3 * L;
  const T* columns = column_divisors<T>(along, divisor);
  Range* ranges = scratch<Range>(2, x.size[0] + x.size[1]);
  windows_over(along[0], ranges);
  windows_over(along[1], ranges + x.size[0]);
  parallel_range(rows, std::max<int64_t>(1, block_work / (w.size * along[0].kernel * along[1].kernel)), [&](int64_t begin, int64_t end) {
    T* shares = scratch<T>(1, room) + before;
    std::fill_n(shares - before, room, T(0));
    int64_t held_map = -1, b = begin % x.size[1], a = begin / x.size[1] % x.size[0], map = begin / (x.size[1] * x.size[0]);
    Range held0{}, held1{};
    for (int64_t row = begin; row < end; row++) {
      const Range over0 = ranges[a], over1 = ranges[x.size[0] + b];
      if (map != held_map || over0 != held0 || over1 != held1) {
        held_map = map;
        held0 = over0;
        held1 = over1;
        const T* from = cotangents.as<T>() + map / x.channels * g.image_step + map % x.channels * g.channel_step;
        std::fill_n(shares, w.outputs, T(0));
        for (int64_t i = over0.begin; i < over0.end; i++)
          for (int64_t j = over1.begin; j < over1.end; j++) {
            const T* p = from + i * g.step[0] + j * g.step[1];
            const T scale = T(divisor.of_row(along, i, j));
            if (g.step[2] == 1) {
              for (int64_t o = 0; o < w.outputs; o += L) {
                const int64_t width = std::min(L, w.outputs - o);
                const Vec<T> share = (width == L ? load(p + o) : load_part(p + o, width)) / (load(columns + o) * splat(scale));
                store(shares + o, load(shares + o) + share);
              }
            } else {
              for (int64_t o = 0; o < w.outputs; o++) shares[o] += p[o * g.step[2]] / (columns[o] * scale);
            }
          }
      }
      spread_row(w, shares, result.as<T>() + row * w.size);
      if (++b < x.size[1]) continue;
      b = 0;
      if (++a < x.size[0]) continue;
      a = 0;
      map++;
    }
  });
}

PyObject* avg_pool_backward(PyObject* const* args) {
  Array g;
  Shape shape;
  Divisor divisor;
  npy_intp input[2 + most_spatial];
  if (!g.read(args[0]) || !plain_float(g.type) || g.size() == 0) return decline();
  if (!args[1] || !read_input_shape(args[1], g, input) || !read_divisor(args[5], args[6], divisor)) return decline();
  const bool last = !g.contiguous() && g.channels_last();
  PyObject* result = new_maps(last, g.ndim, input, g.type);
  if (!result) return nullptr;
  const Array x = view_of(result);
  if (x.size() == 0 || !read_windows(x, args[2], args[3], args[4], nullptr, Py_False, shape)) {
    Py_DECREF(result);
    return decline();
  }
  for (int i = 0; i < shape.spatial; i++) shape.along[most_spatial - shape.spatial + i].outputs = g.shape[2 + i];
  {
    const ReleaseGil released(x.size() * 4);
    if (g.type == Type::F32)
      last ? spread_average<float>(g, x, shape, divisor) : spread_average_rows<float>(g, x, shape, divisor);
    else
      last ? spread_average<double>(g, x, shape, divisor) : spread_average_rows<double>(g, x, shape, divisor);
  }
  return g.hidden ? hide(result) : result;
}

const Family family("avg_pool", {
                                    {"avg_pool", "x kernel stride padding ceil_mode count_include_pad divisor_override", avg_pool},
                                    {"avg_pool_backward", "g input_shape kernel stride padding count_include_pad divisor_override",
                                     avg_pool_backward},
                                });

}  // namespace
}  // namespace rushlight
