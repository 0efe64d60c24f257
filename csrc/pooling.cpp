// Max and average pooling over windows, adaptive average pooling, and their gradients; one to three spatial dimensions.
//
// Maps are [N, C, *spatial] in either order of memory. Channels innermost, a window is a loop over taps with a register of
// channels at a time; row-major, a row of outputs is taken a register of neighbours at a time. Both run near the speed of
// memory (2x2 and 3x3 stride 2: 10 to 15 GB/s on two cores). Positions of maxima are int64 as in torch: flat within the map
// of their image and channel. Results are channels-last where the input is, hidden where it is hidden.
//
// Ties go to the first tap, NaN beats every number and the last NaN wins, a window of nothing but -inf points at its first
// position inside the map.
#include <limits>

#include "kernel.h"
#include "parallel.h"
#include "vec.h"

namespace rushlight {
namespace {

constexpr int most_spatial = 3;
// Elements of input that a block of outputs reads, about.
constexpr int64_t block_work = 32 << 10;

// A batch of maps with strides in elements; missing spatial dimensions stand in front with size 1.
struct Maps {
  int64_t images, channels, size[most_spatial], image_step, channel_step, step[most_spatial];

  int64_t positions() const { return size[0] * size[1] * size[2]; }

  Maps(const Array& a, int spatial) {
    const int64_t item = a.itemsize();
    images = a.shape[0];
    channels = a.shape[1];
    image_step = a.strides[0] / item;
    channel_step = a.strides[1] / item;
    for (int i = 0; i < most_spatial; i++) {
      const int own = i - (most_spatial - spatial);
      size[i] = own < 0 ? 1 : a.shape[2 + own];
      step[i] = own < 0 ? 0 : a.strides[2 + own] / item;
    }
  }
};

// How windows lie along one dimension.
struct Windows {
  int64_t kernel = 1, stride = 1, padding = 0, dilation = 1, size = 1, outputs = 1;

  // The taps [first, last) of the window of output o that lie inside the map.
  void inside(int64_t o, int64_t& first, int64_t& last) const {
    const int64_t start = o * stride - padding;
    auto steps = [&](int64_t distance) { return dilation == 1 ? distance : (distance + dilation - 1) / dilation; };
    first = start < 0 ? steps(-start) : 0;
    last = start >= size ? 0 : std::min(kernel, steps(size - start));
    if (first > last) first = last;
  }
};

struct Shape {
  int spatial = 0;
  Windows along[most_spatial];
  npy_intp result[2 + most_spatial];
};

// Reads a call's window arguments; false where the reference should speak.
bool read_windows(const Array& x, PyObject* kernel, PyObject* stride, PyObject* padding, PyObject* dilation, PyObject* ceil_mode,
                  Shape& shape) {
  int64_t k[max_dims], s[max_dims], p[max_dims], d[max_dims];
  int nk, ns, np, nd;
  bool ceil = false;
  if (!read_ints(kernel, k, nk) || !read_ints(stride, s, ns) || !read_ints(padding, p, np)) return false;
  if (dilation) {
    if (!read_ints(dilation, d, nd) || nd != nk) return false;
  } else {
    std::fill(d, d + nk, int64_t(1));
  }
  if (nk < 1 || nk > most_spatial || ns != nk || np != nk || x.ndim != nk + 2 || !read_bool(ceil_mode, ceil)) return false;
  shape.spatial = nk;
  shape.result[0] = x.shape[0];
  shape.result[1] = x.shape[1];
  for (int i = 0; i < nk; i++) {
    Windows& w = shape.along[most_spatial - nk + i];
    w = {k[i], s[i], p[i], d[i], x.shape[2 + i], 0};
    if (w.kernel < 1 || w.stride < 1 || w.padding < 0 || w.dilation < 1 || w.size < 1) return false;
    const int64_t span = w.size + 2 * w.padding - w.dilation * (w.kernel - 1) - 1;
    if (span < 0) return false;
    w.outputs = (span + (ceil ? w.stride - 1 : 0)) / w.stride + 1;
    if (ceil && (w.outputs - 1) * w.stride >= w.size + w.padding) w.outputs--;
    shape.result[2 + i] = w.outputs;
  }
  return true;
}

// Whether results take channels innermost; false in `served` for a layout that neither path takes.
bool innermost_channels(const Array& x, bool& served) {
  const bool last = !x.contiguous() && x.channels_last();
  served = last || x.contiguous();
  return last;
}

PyObject* new_maps(bool channels_last, int ndim, const npy_intp* shape, Type type) {
  return channels_last ? new_channels_last(ndim, shape, type) : new_array(ndim, shape, type);
}

// Calls body(image, o0, o1, o2) for every output position, in parallel over rows of outputs.
template <class Body>
void for_positions(int64_t images, const Windows* along, int64_t work_a_row, Body&& body) {
  const int64_t rows = images * along[0].outputs * along[1].outputs;
  parallel_range(rows, std::max<int64_t>(1, block_work / std::max<int64_t>(1, work_a_row)), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const int64_t o1 = row % along[1].outputs, rest = row / along[1].outputs;
      for (int64_t o2 = 0; o2 < along[2].outputs; o2++) body(rest / along[0].outputs, rest % along[0].outputs, o1, o2);
    }
  });
}

// The taps of one window, as flat positions in the map.
struct Window {
  int64_t first[most_spatial], last[most_spatial], start[most_spatial];

  Window(const Windows* along, const int64_t (&o)[most_spatial]) {
    for (int i = 0; i < most_spatial; i++) {
      along[i].inside(o[i], first[i], last[i]);
      start[i] = o[i] * along[i].stride - along[i].padding;
    }
  }

  // Calls visit(p0, p1, p2) for each tap inside the map, in order.
  template <class Visit>
  void each(const Windows* along, Visit&& visit) const {
    for (int64_t a = first[0]; a < last[0]; a++)
      for (int64_t b = first[1]; b < last[1]; b++)
        for (int64_t c = first[2]; c < last[2]; c++)
          visit(start[0] + a * along[0].dilation, start[1] + b * along[1].dilation, start[2] + c * along[2].dilation);
  }
  int64_t taps() const { return (last[0] - first[0]) * (last[1] - first[1]) * (last[2] - first[2]); }
};

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

// Row-major maps: rows of outputs, a register of neighbours at a time. A window's taps along a row are registers of the row
// that start `dilation` apart; at stride 2 they are every other element of two.

template <class V, int... I>
V evens(V a, V b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (2 * I)...);
}
template <class V, int... I>
V odds(V a, V b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (2 * I + 1)...);
}
template <class V, int... I>
V interleave_low(V a, V b, std::integer_sequence<int, I...>) {
  constexpr int n = sizeof...(I);
  return __builtin_shufflevector(a, b, (I % 2 ? n + I / 2 : I / 2)...);
}
template <class V, int... I>
V interleave_high(V a, V b, std::integer_sequence<int, I...>) {
  constexpr int n = sizeof...(I);
  return __builtin_shufflevector(a, b, (I % 2 ? n + n / 2 + I / 2 : n / 2 + I / 2)...);
}

// Calls visit(t, values) for the taps of the windows that begin at p[0], p[stride], p[2 * stride] ...
template <int stride, class T, class Visit>
inline void each_tap(const T* p, int64_t kernel, int64_t dilation, Visit&& visit) {
  constexpr int64_t L = lanes<T>;
  constexpr std::make_integer_sequence<int, int(L)> lane{};
  if constexpr (stride == 1) {
    for (int64_t t = 0; t < kernel; t++) visit(t, load(p + t * dilation));
  } else if (dilation == 1) {
    int64_t t = 0;
    for (; t + 1 < kernel; t += 2) {
      const Vec<T> a = load(p + t), b = load(p + t + L);
      visit(t, evens(a, b, lane));
      visit(t + 1, odds(a, b, lane));
    }
    if (t < kernel) visit(t, evens(load(p + t), load(p + t + L), lane));
  } else {
    for (int64_t t = 0; t < kernel; t++) visit(t, evens(load(p + t * dilation), load(p + t * dilation + L), lane));
  }
}

template <class T>
int64_t whole_registers(int64_t count) {
  return (count + lanes<T> - 1) / lanes<T> * lanes<T>;
}

// How far each_tap reads in a row, from the first column of padding on.
template <class T>
int64_t row_reach(const Windows& w) {
  const int64_t windows = (whole_registers<T>(w.outputs) - lanes<T>) * w.stride + (w.kernel - 1) * w.dilation + w.stride * lanes<T>;
  return std::max(windows, w.padding + whole_registers<T>(w.size));
}

// The rows of outputs [begin, end) of all maps, one after the other.
struct OutputRow {
  int64_t map, o0, o1;
  const Windows* along;

  OutputRow(const Windows* windows, int64_t row) : along(windows) {
    o1 = row % along[1].outputs;
    o0 = row / along[1].outputs % along[0].outputs;
    map = row / (along[1].outputs * along[0].outputs);
  }
  void next() {
    if (++o1 < along[1].outputs) return;
    o1 = 0;
    if (++o0 < along[0].outputs) return;
    o0 = 0;
    map++;
  }
  // Calls visit(row of the map) for each row of inputs under the windows.
  template <class Visit>
  void each_input_row(Visit&& visit) const {
    int64_t a, a_end, b_begin, b_end;
    along[0].inside(o0, a, a_end);
    along[1].inside(o1, b_begin, b_end);
    for (; a < a_end; a++)
      for (int64_t b = b_begin; b < b_end; b++)
        visit((o0 * along[0].stride - along[0].padding + a * along[0].dilation) * along[1].size +
              o1 * along[1].stride - along[1].padding + b * along[1].dilation);
  }
};

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
  if (!x.read(args[0]) || (x.type != Type::F32 && x.type != Type::F64)) return decline();
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

// The shape of a gradient's input, [N, C, *spatial]; its N and C must be those of `g`.
bool read_input_shape(PyObject* value, const Array& g, npy_intp* found) {
  int64_t sizes[max_dims];
  int count;
  if (!read_ints(value, sizes, count) || count != g.ndim || count < 3 || count > 2 + most_spatial) return false;
  std::copy(sizes, sizes + count, found);
  return found[0] == g.shape[0] && found[1] == g.shape[1];
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
  const int64_t depth = !last ? 1 : x.images >= 16 ? x.channels : std::min<int64_t>(x.channels, 16);
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
  parallel_range(x.images * groups, std::max<int64_t>(1, block_work / std::max<int64_t>(1, area * depth)), [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; block++)
      if (!one_block(block)) valid = false;
  });
  return valid;
}

PyObject* max_pool_backward(PyObject* const* args) {
  Array g, positions;
  npy_intp shape[2 + most_spatial];
  if (!g.read(args[0]) || !positions.read(args[1]) || (g.type != Type::F32 && g.type != Type::F64)) return decline();
  if (positions.type != Type::I64 || !positions.same_shape(g) || !args[2] || !read_input_shape(args[2], g, shape)) return decline();
  if (g.size() == 0) return decline();
  // The layout of the positions is that of the forward pass; a cotangent in another one is read as it lies.
  const bool last = !positions.contiguous() && positions.channels_last();
  if (!last && !positions.contiguous()) return decline();
  if (last && g.strides[1] != g.itemsize()) return decline();
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
  if (!x.read(args[0]) || (x.type != Type::F32 && x.type != Type::F64) || x.size() == 0) return decline();
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
      const Vec<T> low = interleave_low(evens, odds, lane), high = interleave_high(evens, odds, lane);
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
  if (!g.read(args[0]) || (g.type != Type::F32 && g.type != Type::F64) || g.size() == 0) return decline();
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
  if (!x.read(args[0]) || (x.type != Type::F32 && x.type != Type::F64) || x.size() == 0) return decline();
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
  if (!g.read(args[0]) || (g.type != Type::F32 && g.type != Type::F64) || g.size() == 0) return decline();
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

const Family family("pooling", {
                                   {"max_pool", "x kernel stride padding dilation ceil_mode", max_pool},
                                   {"max_pool_backward", "g indices input_shape", max_pool_backward},
                                   {"avg_pool", "x kernel stride padding ceil_mode count_include_pad divisor_override", avg_pool},
                                   {"avg_pool_backward", "g input_shape kernel stride padding count_include_pad divisor_override",
                                    avg_pool_backward},
                                   {"adaptive_avg_pool", "x out_sizes", adaptive_avg_pool},
                                   {"adaptive_avg_pool_backward", "g input_shape", adaptive_avg_pool_backward},
                               });

}  // namespace
}  // namespace rushlight
