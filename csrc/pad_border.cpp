// Padding with the array's own elements, and its gradients: reflection, replication, circular.
//
// Along every padded dimension a map says which element stands at each place of the result; between the borders it runs
// along. Rows are copied (in the gradient: added) run by run. Dimensions before the first padded one are planes; threads
// share the rows of results, and in the gradient the planes, each added in the order of its rows.
#include <algorithm>
#include <vector>

#include "convert.h"
#include "copy.h"
#include "index.h"
#include "iterate.h"
#include "kernel.h"

namespace rushlight {
namespace {

int64_t reflected(int64_t p, int64_t n) { return n - 1 - std::abs(n - 1 - std::abs(p)); }
int64_t replicated(int64_t p, int64_t n) { return std::clamp<int64_t>(p, 0, n - 1); }
int64_t wrapped(int64_t p, int64_t n) { return (p % n + n) % n; }
using Place = int64_t (*)(int64_t p, int64_t n);

// One padded dimension, or one between padded ones.
struct Border {
  int64_t n, length;             // of the source and of the padded result
  int64_t first, last;           // places between which the map runs along
  std::vector<int32_t> map;
};

struct Borders {
  std::vector<Border> dims;      // from the first padded dimension to the last
  int64_t planes = 1, inner = 1;  // the dimensions before and (in elements) behind
  npy_intp shape[max_dims];      // of the padded array

  // False for what the reference should look at: pads that do not suit the mode, sizes of zero.
  bool read(PyObject* pads_value, int ndim, const npy_intp* source, Place place) {
    int64_t pads[max_dims];
    int count;
    if (!read_ints(pads_value, pads, count) || count % 2 || count == 0 || count / 2 > ndim) return false;
    const int most = place == reflected ? -1 : 0;
    for (int d = 0; d < ndim; d++) {
      const int pair = 2 * (ndim - 1 - d);
      const int64_t n = source[d], before = pair < count ? pads[pair] : 0, after = pair < count ? pads[pair + 1] : 0;
      if (n < 1 || n > INT32_MAX || std::abs(before) > INT32_MAX || std::abs(after) > INT32_MAX) return false;
      if (place != replicated && (before > n + most || after > n + most)) return false;
      shape[d] = n + before + after;
      if (shape[d] < 1) return false;
      if (dims.empty() && before == 0 && after == 0) {
        planes *= n;
        continue;
      }
      Border border{n, shape[d], std::max<int64_t>(0, before), shape[d] - std::max<int64_t>(0, after), std::vector<int32_t>(size_t(shape[d]))};
      for (int64_t i = 0; i < shape[d]; i++) border.map[size_t(i)] = int32_t(place(i - before, n));
      dims.push_back(std::move(border));
    }
    if (dims.empty()) return false;
    while (dims.size() > 1 && plain(dims.back())) {
      inner *= dims.back().n;
      dims.pop_back();
    }
    return true;
  }

  int64_t rows_of_plane() const {
    int64_t rows = 1;
    for (size_t d = 0; d + 1 < dims.size(); d++) rows *= dims[d].length;
    return rows;
  }
  // The row of the source that row `number` of a plane comes from.
  int64_t source_row(int64_t number) const {
    int64_t found = 0, step = 1;
    for (size_t d = dims.size() - 1; d-- > 0;) {
      found += dims[d].map[size_t(number % dims[d].length)] * step;
      number /= dims[d].length;
      step *= dims[d].n;
    }
    return found;
  }
  int64_t source_rows() const {
    int64_t rows = 1;
    for (size_t d = 0; d + 1 < dims.size(); d++) rows *= dims[d].n;
    return rows;
  }

 private:
  static bool plain(const Border& b) { return b.n == b.length && b.first == 0 && b.last == b.length; }
};

void pad_row(char* y, const char* x, const Border& last, int64_t bytes) {
  for (int64_t j = 0; j < last.first; j++) std::memcpy(y + j * bytes, x + last.map[size_t(j)] * bytes, size_t(bytes));
  if (last.last > last.first) copy_slice(y + last.first * bytes, x + last.map[size_t(last.first)] * bytes, (last.last - last.first) * bytes);
  for (int64_t j = std::max(last.first, last.last); j < last.length; j++)
    std::memcpy(y + j * bytes, x + last.map[size_t(j)] * bytes, size_t(bytes));
}

template <class T>
void add_run(T* y, const T* g, int64_t count) {
  for (int64_t i = 0; i < count; i++) y[i] += g[i];
}

template <class T>
void add_back(T* y, const T* g, const Border& last, int64_t inner) {
  for (int64_t j = 0; j < last.first; j++) add_run(y + last.map[size_t(j)] * inner, g + j * inner, inner);
  if (last.last > last.first) add_run(y + last.map[size_t(last.first)] * inner, g + last.first * inner, (last.last - last.first) * inner);
  for (int64_t j = std::max(last.first, last.last); j < last.length; j++) add_run(y + last.map[size_t(j)] * inner, g + j * inner, inner);
}

// "x pads"
template <Place place>
PyObject* run_pad(PyObject* const* args) {
  Array x;
  Owned copy;
  Borders borders;
  if (!args[0] || !args[1] || !x.read(args[0]) || !borders.read(args[1], x.ndim, x.shape, place) || !make_row_major(x, copy)) return nullptr;
  PyObject* result = new_array(x.ndim, borders.shape, x.type);
  if (!result) return nullptr;
  char* y = view_of(result).data;
  const Border& last = borders.dims.back();
  const int64_t bytes = borders.inner * x.itemsize(), per_plane = borders.rows_of_plane(), source_rows = borders.source_rows();
  const int64_t rows = borders.planes * per_plane, width = last.length * bytes;
  const ReleaseGil released(rows * width / 4);
  auto some = [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const int64_t source = row / per_plane * source_rows + borders.source_row(row % per_plane);
      pad_row(y + row * width, x.data + source * last.n * bytes, last, bytes);
    }
  };
  if (rows * width <= 4 * serial_elements)
    some(0, rows);
  else
    parallel_range(rows, std::max<int64_t>(1, 4 * block_elements / width), some);
  return result;
}

template <class T>
void add_planes(const Array& y, const Array& g, const Borders& borders) {
  const Border& last = borders.dims.back();
  const int64_t rows = borders.rows_of_plane(), from = rows * last.length * borders.inner, to = y.size() / borders.planes;
  const ReleaseGil released(g.size());
  auto some = [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; plane++) {
      T* own = y.as<T>() + plane * to;
      std::fill_n(own, to, T(0));
      const T* grad = g.as<T>() + plane * from;
      for (int64_t row = 0; row < rows; row++)
        add_back(own + borders.source_row(row) * last.n * borders.inner, grad + row * last.length * borders.inner, last, borders.inner);
    }
  };
  if (g.size() <= serial_elements)
    some(0, borders.planes);
  else
    parallel_range(borders.planes, std::max<int64_t>(1, block_elements / from), some);
}

// "grad input_shape pads"
template <Place place>
PyObject* run_pad_backward(PyObject* const* args) {
  Array g;
  Owned copy, wide;
  Borders borders;
  int64_t lengths[max_dims];
  npy_intp shape[max_dims];
  int ndim;
  if (!args[0] || !args[1] || !args[2] || !g.read(args[0]) || !read_ints(args[1], lengths, ndim) || ndim != g.ndim) return nullptr;
  std::copy_n(lengths, ndim, shape);
  if (!borders.read(args[2], ndim, shape, place) || !std::equal(g.shape, g.shape + ndim, borders.shape)) return nullptr;
  const Type type = g.type;
  if (type == Type::F16 || type == Type::BF16) {
    wide = converted(g, Type::F32);
    if (!wide || !g.read(wide.get())) return nullptr;
  }
  if (!plain_float(g.type) || !make_row_major(g, copy)) return nullptr;
  Owned result(new_array(ndim, shape, g.type));
  if (!result) return nullptr;
  const Array y = view_of(result.get());
  g.type == Type::F32 ? add_planes<float>(y, g, borders) : add_planes<double>(y, g, borders);
  return type == g.type ? result.give() : converted(y, type).give();
}

const Family family("pad_border", {
                                      {"reflection_pad", "x pads", run_pad<reflected>},
                                      {"replication_pad", "x pads", run_pad<replicated>},
                                      {"circular_pad", "x pads", run_pad<wrapped>},
                                      {"reflection_pad_backward", "grad input_shape pads", run_pad_backward<reflected>},
                                      {"replication_pad_backward", "grad input_shape pads", run_pad_backward<replicated>},
                                      {"circular_pad_backward", "grad input_shape pads", run_pad_backward<wrapped>},
                                  });

}  // namespace
}  // namespace rushlight
