// Max pooling over windows and its gradient (see pooling.h). Both run near the speed of memory: 2x2 and 3x3 stride 2 at 10 to
// 17 GB/s on two cores. Positions of maxima are int64 as in torch: flat within the map of their image and channel.
//
// Ties go to the first tap, NaN beats every number and the last NaN wins, a window of nothing but -inf points at its first
// position inside the map.
#include <limits>

#include "copy.h"
#include "owned.h"
#include "pooling.h"

namespace rushlight {
namespace {

template <class T>
void max_channels_last(const Array& input, const Array& values, const Array& positions, const Shape& shape) {
  using I = Mask<T>;
  constexpr int64_t L = lanes<T>;
  const Maps x(input, shape.spatial), y(values, shape.spatial);
  const Windows* along = shape.along;
  const T* source = input.as<T>();
  T* target = values.as<T>();
  int64_t* places = positions.as<int64_t>();
  const int64_t taps = along[0].kernel * along[1].kernel * along[2].kernel;
  for_positions(x.images, along, along[2].outputs * taps * x.channels, [&](int64_t n, int64_t o0, int64_t o1, int64_t o2) {
    const Window window(along, {o0, o1, o2});
    const int64_t at = n * y.image_step + o0 * y.step[0] + o1 * y.step[1] + o2 * y.step[2];
    const T* image = source + n * x.image_step;
    int64_t inside = 0;
    bool any = false;
    window.each(along, [&](int64_t a, int64_t b, int64_t c) {
      if (!any) inside = (a * x.size[1] + b) * x.size[2] + c;
      any = true;
    });
    for (int64_t c = 0; c < x.channels; c += L) {
      const int64_t count = std::min(L, x.channels - c);
      Vec<T> best = splat(-std::numeric_limits<T>::infinity());
      Vec<I> place = splat(I(inside));
      window.each(along, [&](int64_t p0, int64_t p1, int64_t p2) {
        const T* p = image + p0 * x.step[0] + p1 * x.step[1] + p2 * x.step[2] + c;
        const Vec<T> v = count == L ? load(p) : load_part(p, count);
        const auto better = (v > best) | (v != v);
        best = better ? v : best;
        place = better ? splat(I((p0 * x.size[1] + p1) * x.size[2] + p2)) : place;
      });
      count == L ? store(target + at + c, best) : store_part(target + at + c, best, count);
      for (int64_t i = 0; i < count; i++) places[at + c + i] = place[i];
    }
  });
}

inline void store_places(int64_t* to, Vec<int64_t> places, int64_t count) { store_part(to, places, count); }
inline void store_places(int64_t* to, Vec<int32_t> places, int64_t count) {
  constexpr int64_t half = lanes<int64_t>;
  typename Sized<int32_t, int(half)>::type parts[2];
  std::memcpy(parts, &places, sizeof places);
  const Vec<int64_t> low = __builtin_convertvector(parts[0], Vec<int64_t>), high = __builtin_convertvector(parts[1], Vec<int64_t>);
  count >= half ? store(to, low) : store_part(to, low, count);
  if (count == 2 * half)
    store(to + half, high);
  else if (count > half)
    store_part(to + half, high, count - half);
}

// Whether every window has a tap inside the map.
bool none_empty(const Windows& w) { return w.padding == 0 || (w.dilation == 1 && w.padding < w.kernel); }

template <class T, int stride>
void max_rows(const Array& input, const Array& values, const Array& positions, const Shape& shape) {
  using I = Mask<T>;
  constexpr int64_t L = lanes<T>;
  const Windows *along = shape.along, &w = along[2];
  const int64_t map_rows = along[0].size * along[1].size, window_rows = along[0].kernel * along[1].kernel;
  const int64_t rows = input.shape[0] * input.shape[1] * along[0].outputs * along[1].outputs;
  const int64_t reach = row_reach<T>(w), outputs = w.outputs;
  // Rows without padding are read where they lie, except the last ones: registers reach beyond them.
  const T *source = input.as<T>(), *source_end = source + input.size();
  const bool in_place = w.padding == 0 && (outputs - 1) * stride + (w.kernel - 1) * w.dilation < w.size;
  I* first_inside = scratch<I>(0, whole_registers<T>(outputs));
  for (int64_t o = 0; o < whole_registers<T>(outputs); o++) first_inside[o] = I(std::max<int64_t>(0, o * stride - w.padding));
  Vec<I> steps;
  for (int64_t i = 0; i < L; i++) steps[i] = I(i * stride);
  parallel_range(rows, std::max<int64_t>(1, block_work / (outputs * window_rows * w.kernel)), [&](int64_t begin, int64_t end) {
    T* padded = scratch<T>(1, reach * window_rows);
    std::fill_n(padded, reach * window_rows, -std::numeric_limits<T>::infinity());
    const T** taken = scratch<const T*>(2, window_rows);
    I* taken_at = scratch<I>(3, window_rows);
    OutputRow row(along, begin);
    for (int64_t at = begin; at < end; at++, row.next()) {
      int64_t count = 0;
      row.each_input_row([&](int64_t r) {
        const T* from = source + (row.map * map_rows + r) * w.size;
        taken_at[count] = I(r * w.size);
        if (in_place && source_end - from >= reach) {
          taken[count++] = from;
          return;
        }
        T* copy = padded + count * reach;
        std::copy_n(from, w.size, copy + w.padding);
        taken[count++] = copy;
      });
      for (int64_t o = 0; o < outputs; o += L) {
        const Vec<I> columns = steps + splat(I(o * stride - w.padding));
        Vec<T> best = splat(-std::numeric_limits<T>::infinity());
        Vec<I> place = load(first_inside + o) + splat(taken_at[0]);
        for (int64_t r = 0; r < count; r++)
          each_tap<stride>(taken[r] + o * stride, w.kernel, w.dilation, [&](int64_t t, Vec<T> v) {
            const auto better = (v > best) | (v != v);
            best = better ? v : best;
            place = better ? columns + splat(I(taken_at[r] + t * w.dilation)) : place;
          });
        const int64_t width = std::min(L, outputs - o);
        T* to = values.as<T>() + at * outputs + o;
        width == L ? store(to, best) : store_part(to, best, width);
        store_places(positions.as<int64_t>() + at * outputs + o, place, width);
      }
    }
  });
}

// Any stride, and windows that may lie outside the map.
template <class T>
void max_row_major(const Array& input, const Array& values, const Array& positions, const Shape& shape) {
  const Maps x(input, shape.spatial);
  const Windows* along = shape.along;
  const int64_t area = x.positions(), outputs = along[0].outputs * along[1].outputs * along[2].outputs;
  const int64_t taps = along[0].kernel * along[1].kernel * along[2].kernel;
  const T* source = input.as<T>();
  T* target = values.as<T>();
  int64_t* places = positions.as<int64_t>();
  parallel_range(x.images * x.channels, std::max<int64_t>(1, block_work / std::max<int64_t>(1, outputs * taps)), [&](int64_t begin, int64_t end) {
    for (int64_t map = begin; map < end; map++) {
      const T* from = source + map * area;
      int64_t at = map * outputs;
      for (int64_t o0 = 0; o0 < along[0].outputs; o0++)
        for (int64_t o1 = 0; o1 < along[1].outputs; o1++)
          for (int64_t o2 = 0; o2 < along[2].outputs; o2++, at++) {
            const Window window(along, {o0, o1, o2});
            T best = -std::numeric_limits<T>::infinity();
            int64_t place = -1;
            window.each(along, [&](int64_t a, int64_t b, int64_t c) {
              const int64_t here = (a * x.size[1] + b) * x.size[2] + c;
              const T v = from[here];
              if (v > best || v != v || place < 0) {
                best = v;
                place = here;
              }
            });
            target[at] = best;
            places[at] = std::max<int64_t>(place, 0);
          }
    }
  });
}

template <class T>
void maxima(const Array& x, const Array& values, const Array& positions, const Shape& shape, bool channels_last) {
  const Windows* along = shape.along;
  const bool by_rows = none_empty(along[0]) && none_empty(along[1]) && none_empty(along[2]);
  if (channels_last)
    max_channels_last<T>(x, values, positions, shape);
  else if (by_rows && along[2].stride == 1)
    max_rows<T, 1>(x, values, positions, shape);
  else if (by_rows && along[2].stride == 2)
    max_rows<T, 2>(x, values, positions, shape);
  else
    max_row_major<T>(x, values, positions, shape);
}

PyObject* pair(PyObject* first, PyObject* second, bool hidden) {
  if (hidden) {
    first = hide(first);
    second = hide(second);
  }
  PyObject* both = first && second ? PyTuple_Pack(2, first, second) : nullptr;
  Py_XDECREF(first);
  Py_XDECREF(second);
  return both;
}

PyObject* max_pool(PyObject* const* args) {
  Array x;
  Shape shape;
  bool served;
  if (!x.read(args[0]) || !plain_float(x.type)) return decline();
  if (!args[4] || !read_windows(x, args[1], args[2], args[3], args[4], args[5], shape)) return decline();
  const bool last = innermost_channels(x, served);
  if (!served || x.size() == 0 || x.size() >= int64_t(1) << 31) return decline();
  PyObject* values = new_maps(last, x.ndim, shape.result, x.type);
  PyObject* positions = values ? new_maps(last, x.ndim, shape.result, Type::I64) : nullptr;
  if (!positions) {
    Py_XDECREF(values);
    return nullptr;
  }
  const Array y = view_of(values), at = view_of(positions);
  {
    const ReleaseGil released(x.size() * 4);
    x.type == Type::F32 ? maxima<float>(x, y, at, shape, last) : maxima<double>(x, y, at, shape, last);
  }
  return pair(values, positions, x.hidden);
}

// Adds cotangents where the maxima were, in the order of the outputs. Positions [0, cleared) of a block are written: maxima
// move on through a map as outputs do, so that what is cleared is still in cache when it is added to.
template <class T>
struct Scatter {
  T* to;
  int64_t area, step, depth, stretch;  // positions, elements from one to the next, elements at each, positions to clear at once
  int64_t cleared = 0;

  void clear(int64_t end) {
    end = std::min(end, area);
    if (depth == step)
      std::fill(to + cleared * step, to + end * step, T(0));
    else
      for (int64_t p = cleared; p < end; p++) std::fill_n(to + p * step, depth, T(0));
    cleared = end;
  }
  // Adds to element i at position p; false if there is none.
  bool add(int64_t p, int64_t i, T value) {
    if (uint64_t(p) >= uint64_t(cleared)) {
      if (uint64_t(p) >= uint64_t(area)) return false;
      clear(p + stretch);
    }
    to[p * step + i] += value;
    return true;
  }
};

template <class T>
bool scatter_to_maxima(const Array& cotangents, const Array& positions, const Array& result) {
  const int spatial = cotangents.ndim - 2;
  const Maps g(cotangents, spatial), at(positions, spatial), x(result, spatial);
  const int64_t area = x.positions(), stretch = std::max<int64_t>(x.size[2], 64);
  const bool last = x.channel_step == 1 && g.channel_step == 1 && at.channel_step == 1 && x.channels > 1;
  // A block is one image and some channels: all of them where there are images enough.
  const int64_t depth = !last ? 1 : x.images >= 16 ? x.channels : std::min<int64_t>(x.channels, 32);
  const int64_t groups = (x.channels + depth - 1) / depth;
  std::atomic<bool> valid{true};
  auto one_block = [&](int64_t block) {
    const int64_t n = block / groups, c = block % groups * depth, count = std::min(depth, x.channels - c);
    Scatter<T> image{result.as<T>() + n * x.image_step + c * x.channel_step, area, last ? x.channels : 1, count, stretch};
    const T* from = cotangents.as<T>() + n * g.image_step + c * g.channel_step;
    const int64_t* places = positions.as<int64_t>() + n * at.image_step + c * at.channel_step;
    for (int64_t o0 = 0; o0 < g.size[0]; o0++)
      for (int64_t o1 = 0; o1 < g.size[1]; o1++) {
        const T* cotangent = from + o0 * g.step[0] + o1 * g.step[1];
        const int64_t* place = places + o0 * at.step[0] + o1 * at.step[1];
        for (int64_t o2 = 0; o2 < g.size[2]; o2++, cotangent += g.step[2], place += at.step[2])
          for (int64_t i = 0; i < count; i++)
            if (!image.add(place[i], i, cotangent[i])) return false;
      }
    image.clear(area);
    return true;
  };
  // Two cores that share the channels of one small image wait for each other longer than it takes.
  parallel_range(x.images * groups, std::max<int64_t>(1, 2 * block_work / std::max<int64_t>(1, area * depth)), [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; block++)
      if (!one_block(block)) valid = false;
  });
  return valid;
}

PyObject* max_pool_backward(PyObject* const* args) {
  Array g, positions;
  npy_intp shape[2 + most_spatial];
  if (!g.read(args[0]) || !positions.read(args[1]) || !plain_float(g.type)) return decline();
  if (positions.type != Type::I64 || !positions.same_shape(g) || !args[2] || !read_input_shape(args[2], g, shape)) return decline();
  if (g.size() == 0) return decline();
  // The layout of the positions is that of the forward pass; a cotangent in another one is read as it lies.
  const bool last = !positions.contiguous() && positions.channels_last();
  if (!last && !positions.contiguous()) return decline();
  Owned laid;  // g as the positions lie: a network's last pool gets its cotangent from a matrix product, row-major
  if (last && g.strides[1] != g.itemsize()) {
    laid = Owned(new_array_like(positions, g.type));
    if (!laid) return nullptr;
    const Array full = view_of(laid.get());
    copy_values(full, g);
    g = full;
  }
  PyObject* result = new_maps(last, g.ndim, shape, g.type);
  if (!result) return nullptr;
  const Array x = view_of(result);
  bool valid;
  {
    const ReleaseGil released(x.size());
    valid = g.type == Type::F32 ? scatter_to_maxima<float>(g, positions, x) : scatter_to_maxima<double>(g, positions, x);
  }
  if (!valid) {
    Py_DECREF(result);
    return decline();  // the reference says what is wrong with the positions
  }
  return positions.hidden ? hide(result) : result;
}

const Family family("max_pool", {
                                    {"max_pool", "x kernel stride padding dilation ceil_mode", max_pool},
                                    {"max_pool_backward", "g indices input_shape", max_pool_backward},
                                });

}  // namespace
}  // namespace rushlight
