// What max, average and adaptive pooling share: maps and windows; one to three spatial dimensions.
//
// Maps are [N, C, *spatial] in either order of memory. Channels innermost, a window is a loop over taps with a register of
// channels at a time; row-major, a row of outputs is taken a register of neighbours at a time. Results are channels-last where
// the input is, hidden where it is hidden.
#pragma once

#include <algorithm>
#include <utility>

#include "kernel.h"
#include "parallel.h"
#include "vec.h"

namespace rushlight {

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
inline bool read_windows(const Array& x, PyObject* kernel, PyObject* stride, PyObject* padding, PyObject* dilation,
                         PyObject* ceil_mode, Shape& shape) {
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
inline bool innermost_channels(const Array& x, bool& served) {
  const bool last = !x.contiguous() && x.channels_last();
  served = last || x.contiguous();
  return last;
}

inline PyObject* new_maps(bool channels_last, int ndim, const npy_intp* shape, Type type) {
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

// The shape of a gradient's input, [N, C, *spatial]; its N and C must be those of `g`.
inline bool read_input_shape(PyObject* value, const Array& g, npy_intp* found) {
  int64_t sizes[max_dims];
  int count;
  if (!read_ints(value, sizes, count) || count != g.ndim || count < 3 || count > 2 + most_spatial) return false;
  std::copy(sizes, sizes + count, found);
  return found[0] == g.shape[0] && found[1] == g.shape[1];
}

}  // namespace rushlight
