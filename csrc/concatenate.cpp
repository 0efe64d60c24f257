// Joining and moving whole runs of memory: cat, stack, roll, repeat, flip, tril, triu.
//
// Joined arrays that lie as the result does (row-major, or channels-last, hidden or the user's) are runs of bytes: in every row
// of the result one run of each array. Threads share rows, and the parts of long ones. An array that lies otherwise is copied
// into its part of the result as copy.h copies any strides.
#include <algorithm>
#include <vector>

#include "copy.h"
#include "index.h"
#include "iterate.h"
#include "kernel.h"
#include "view.h"

namespace rushlight {
namespace {

constexpr int64_t block_bytes = 64 << 10;

// In row o of the result the bytes [begin, begin + bytes) are those at x + o * step.
struct Run {
  const char* x;
  int64_t begin, bytes, step;
};

template <class T>
void copy_column(char* y, int64_t y_step, const char* x, int64_t x_step, int64_t rows) {
  for (int64_t o = 0; o < rows; o++) *reinterpret_cast<T*>(y + o * y_step) = *reinterpret_cast<const T*>(x + o * x_step);
}

void copy_run(char* y, int64_t width, const Run& run, int64_t from, int64_t to) {
  y += from * width + run.begin;
  const char* x = run.x + from * run.step;
  switch (run.bytes) {
    case 4: return copy_column<int32_t>(y, width, x, run.step, to - from);
    case 8: return copy_column<int64_t>(y, width, x, run.step, to - from);
    default:
      for (int64_t o = 0; o < to - from; o++) copy_slice(y + o * width, x + o * run.step, run.bytes);
  }
}

// Rows of `width` bytes, each made of the runs.
void copy_runs(char* y, int64_t rows, int64_t width, const Run* runs, int count) {
  auto some = [&](int64_t from, int64_t to) {
    for (int k = 0; k < count; k++) copy_run(y, width, runs[k], from, to);
  };
  if (rows * width <= 2 * block_bytes) return some(0, rows);
  const ReleaseGil released(rows * width / 4);
  if (width <= block_bytes) return parallel_range(rows, std::max<int64_t>(1, block_bytes / width), some);
  const int64_t parts = (width + block_bytes - 1) / block_bytes;
  parallel(rows * parts, [&](int64_t unit) {
    const int64_t o = unit / parts, begin = unit % parts * block_bytes, end = std::min(width, begin + block_bytes);
    for (int k = 0; k < count; k++) {
      const int64_t from = std::max(begin, runs[k].begin), to = std::min(end, runs[k].begin + runs[k].bytes);
      if (from < to) std::memcpy(y + o * width + from, runs[k].x + o * runs[k].step + from - runs[k].begin, size_t(to - from));
    }
  });
}

// The arrays of a list or tuple, as many as there are (few in nearly every call).
class Operands {
 public:
  bool read(PyObject* value) {
    if (!value || !(PyTuple_CheckExact(value) || PyList_CheckExact(value))) return false;
    count = int(PySequence_Fast_GET_SIZE(value));
    if (count > few) many_.resize(size_t(count));
    for (int k = 0; k < count; k++)
      if (!(*this)[k].read(PySequence_Fast_GET_ITEM(value, k)) || (*this)[k].type != (*this)[0].type) return false;
    return count > 0;
  }
  Array& operator[](int k) { return count > few ? many_[size_t(k)] : own_[k]; }

  int count = 0;

 private:
  static constexpr int few = 8;
  Array own_[few];
  std::vector<Array> many_;
};

// Whether the result lies channels-last, as torch has it: where all arrays do by the user's choice; or, hidden, where some do by
// ours and the others are row-major. Else it is row-major.
bool joins_channels_last(Operands& arrays, bool& hidden) {
  bool users = false, row_major = false;
  hidden = false;
  for (int k = 0; k < arrays.count; k++) {
    const Array& a = arrays[k];
    if (a.row_major_order()) {
      row_major = true;
    } else if (a.channels_last()) {
      (a.hidden ? hidden : users) = true;
    } else {
      hidden = false;
      return false;
    }
  }
  if (!users) return hidden;
  const bool all = !hidden && !row_major;
  hidden = false;
  return all;
}

// Copies x into the part of `result` that begins at `offset` bytes; the dimension `stacked` of the result is not one of x.
bool copy_part(const Array& result, int64_t offset, const Array& x, int stacked) {
  npy_intp strides[max_dims];
  for (int d = 0; d < x.ndim; d++) strides[d] = result.strides[d + (stacked >= 0 && d >= stacked)];
  const Owned part = view_as(result.object, result.data + offset, x.ndim, x.shape, strides);
  if (!part) return false;
  copy_values(view_of(part.get()), x);
  return true;
}

// Joins arrays that fit along `dim` of the result, which they have (cat) or lack (stack).
bool join(const Array& result, int dim, Operands& arrays, bool stacks, bool channels_last) {
  const int64_t size = result.itemsize();
  int64_t rows = 1, width = size;  // bytes of a row of the result
  for (int d = 0; d < result.ndim; d++) {
    const bool before = !channels_last ? d < dim : dim == 1 ? d != 1 : d != 1 && d < dim;
    (before ? rows : width) *= result.shape[d];
  }
  Run few[8];
  std::vector<Run> many;
  Run* runs = few;
  if (arrays.count > 8) {
    many.resize(size_t(arrays.count));
    runs = many.data();
  }
  int count = 0;
  int64_t begin = 0, place = 0;
  for (int k = 0; k < arrays.count; k++) {
    const Array& a = arrays[k];
    const int64_t elements = a.size(), bytes = rows ? elements / rows * size : 0;
    if (elements == 0) continue;
    if (channels_last ? a.channels_last() : a.contiguous())
      runs[count++] = {a.data, begin, bytes, bytes};
    else if (!copy_part(result, place * result.strides[dim], a, stacks ? dim : -1))
      return false;
    begin += bytes;
    place += stacks ? 1 : a.shape[dim];
  }
  copy_runs(result.data, rows, width, runs, count);
  return true;
}

// "arrays dim"
PyObject* run_cat(PyObject* const* args) {
  Operands arrays;
  int dim;
  bool hidden;
  if (!arrays.read(args[0]) || !args[1] || arrays[0].ndim == 0 || !read_dim(args[1], arrays[0], dim)) return nullptr;
  const Array& first = arrays[0];
  npy_intp shape[max_dims];
  std::copy_n(first.shape, first.ndim, shape);
  for (int k = 1; k < arrays.count; k++) {
    const Array& a = arrays[k];
    if (a.ndim != first.ndim) return decline();
    for (int d = 0; d < a.ndim; d++)
      if (d != dim && a.shape[d] != first.shape[d]) return decline();
    shape[dim] += a.shape[dim];
  }
  const bool last = joins_channels_last(arrays, hidden);
  Owned result(last ? new_channels_last(first.ndim, shape, first.type) : new_array(first.ndim, shape, first.type));
  if (!result || !join(view_of(result.get()), dim, arrays, false, last)) return nullptr;
  return hidden ? hide(result.give()) : result.give();
}

// "arrays dim"
PyObject* run_stack(PyObject* const* args) {
  Operands arrays;
  int64_t dim;
  if (!arrays.read(args[0]) || !read_int(args[1], dim)) return nullptr;
  const Array& first = arrays[0];
  if (dim < 0) dim += first.ndim + 1;
  if (dim < 0 || dim > first.ndim || first.ndim == max_dims) return decline();
  for (int k = 0; k < arrays.count; k++)
    if (!arrays[k].same_shape(first)) return decline();
  bool hidden;
  if (joins_channels_last(arrays, hidden) && !hidden) return decline();
  npy_intp shape[max_dims];
  std::copy_n(first.shape, dim, shape);
  shape[dim] = arrays.count;
  std::copy(first.shape + dim, first.shape + first.ndim, shape + dim + 1);
  Owned result(new_array(first.ndim + 1, shape, first.type));
  if (!result || !join(view_of(result.get()), int(dim), arrays, true, false)) return nullptr;
  return result.give();
}

// ---- one array ----

// "x shifts dims"
PyObject* run_roll(PyObject* const* args) {
  Array x;
  int64_t shifts[max_dims], dims[max_dims];
  int shift_count, dim_count;
  if (!args[0] || !x.read(args[0]) || !x.contiguous() || x.ndim == 0) return nullptr;
  if (!read_ints(args[1], shifts, shift_count) || !read_ints(args[2], dims, dim_count) || shift_count != 1 || dim_count > 1) return nullptr;
  const int64_t dim = dim_count ? dims[0] + (dims[0] < 0 ? x.ndim : 0) : 0;
  if (dim < 0 || dim >= x.ndim) return decline();
  PyObject* result = new_array(x.ndim, x.shape, x.type);
  if (!result || x.size() == 0) return result;
  Slab slab;
  slab.read(x, int(dim), dim_count ? 1 : x.ndim);
  const int64_t width = slab.n * slab.bytes, shift = ((shifts[0] % slab.n) + slab.n) % slab.n * slab.bytes;
  const Run runs[] = {{x.data + width - shift, 0, shift, width}, {x.data, shift, width - shift, width}};
  copy_runs(view_of(result).data, slab.outer, width, shift ? runs : runs + 1, shift ? 2 : 1);
  return result;
}

// "x repeats": every dimension of the result is one of repetitions and one of x.
PyObject* run_repeat(PyObject* const* args) {
  Array x;
  int64_t repeats[max_dims];
  int count;
  if (!args[0] || !x.read(args[0]) || !read_ints(args[1], repeats, count) || count < x.ndim || 2 * count > max_dims) return nullptr;
  npy_intp shape[max_dims], split[max_dims], strides[max_dims], steps[max_dims];
  for (int d = 0; d < count; d++) {
    const int own = d - (count - x.ndim);
    const npy_intp length = own < 0 ? 1 : x.shape[own];
    if (repeats[d] < 0 || __builtin_mul_overflow(length, repeats[d], &shape[d]) || shape[d] > (int64_t(1) << 40)) return decline();
    split[2 * d] = repeats[d];
    split[2 * d + 1] = length;
    steps[2 * d] = 0;
    steps[2 * d + 1] = own < 0 ? 0 : x.strides[own];
  }
  Owned result(new_array(count, shape, x.type));
  if (!result) return nullptr;
  const Array y = view_of(result.get());
  for (int d = 0; d < count; d++) {
    strides[2 * d] = y.strides[d] * split[2 * d + 1];
    strides[2 * d + 1] = y.strides[d];
  }
  const Owned to = view_as(y.object, y.data, 2 * count, split, strides), from = view_as(x.object, x.data, 2 * count, split, steps);
  if (!to || !from) return nullptr;
  copy_values(view_of(to.get()), view_of(from.get()));
  return result.give();
}

template <class T>
void reverse_row(char* const* at, const int64_t* step, int64_t count) {
  T* y = reinterpret_cast<T*>(at[0]);
  const T* x = reinterpret_cast<const T*>(at[1]);
  if (step[0] == int64_t(sizeof(T)) && step[1] == -int64_t(sizeof(T)))
    for (int64_t i = 0; i < count; i++) y[i] = x[-i];
  else
    for (int64_t i = 0; i < count; i++)
      *reinterpret_cast<T*>(at[0] + i * step[0]) = *reinterpret_cast<const T*>(at[1] + i * step[1]);
}

// "x dims"
PyObject* run_flip(PyObject* const* args) {
  Array x;
  int64_t dims[max_dims];
  int count;
  if (!args[0] || !x.read(args[0]) || !read_ints(args[1], dims, count)) return nullptr;
  npy_intp strides[max_dims];
  std::copy_n(x.strides, x.ndim, strides);
  char* begin = x.data;
  for (int i = 0; i < count; i++) {
    const int64_t d = dims[i] + (dims[i] < 0 ? x.ndim : 0);
    if (d < 0 || d >= x.ndim || strides[d] != x.strides[d]) return decline();
    if (x.shape[d] < 2) continue;
    begin += (x.shape[d] - 1) * x.strides[d];
    strides[d] = -x.strides[d];
  }
  Owned result(new_array(x.ndim, x.shape, x.type));
  const Owned view = view_as(x.object, begin, x.ndim, x.shape, strides);
  if (!result || !view || x.size() == 0) return result.give();
  const Array to = view_of(result.get()), from = view_of(view.get());
  Loop<2> loop;
  loop.prepare({&to, &from});
  const int64_t size = x.itemsize();
  if (loop.strides[1][loop.ndim - 1] != -size || (size != 4 && size != 8)) {
    copy_values(to, from);
    return result.give();
  }
  const ReleaseGil released(loop.size);
  size == 4 ? loop.run(reverse_row<int32_t>) : loop.run(reverse_row<int64_t>);
  return result.give();
}

// Row by row the columns [from, to) of matrices, zero elsewhere; `columns` says which for a row.
template <class Columns>
PyObject* triangle(PyObject* value, Columns&& columns) {
  Array x;
  if (!value || !x.read(value) || !x.contiguous() || x.ndim < 2) return nullptr;
  PyObject* result = new_array(x.ndim, x.shape, x.type);
  if (!result || x.size() == 0) return result;
  char* y = view_of(result).data;
  const int64_t height = x.shape[x.ndim - 2], width = x.shape[x.ndim - 1], size = x.itemsize(), rows = x.size() / width;
  const ReleaseGil released(rows * width);
  auto some = [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const auto [from, to] = columns(row % height, width);
      char* line = y + row * width * size;
      std::memset(line, 0, size_t(from * size));
      std::memcpy(line + from * size, x.data + (row * width + from) * size, size_t((to - from) * size));
      std::memset(line + to * size, 0, size_t((width - to) * size));
    }
  };
  if (rows * width <= serial_elements)
    some(0, rows);
  else
    parallel_range(rows, std::max<int64_t>(1, block_elements / width), some);
  return result;
}

// "x diagonal"
PyObject* run_tril(PyObject* const* args) {
  int64_t diagonal = 0;
  if (args[1] && (!read_int(args[1], diagonal) || std::abs(diagonal) > (int64_t(1) << 40))) return decline();
  return triangle(args[0], [=](int64_t row, int64_t width) { return std::pair(int64_t(0), std::clamp<int64_t>(row + diagonal + 1, 0, width)); });
}
PyObject* run_triu(PyObject* const* args) {
  int64_t diagonal = 0;
  if (args[1] && (!read_int(args[1], diagonal) || std::abs(diagonal) > (int64_t(1) << 40))) return decline();
  return triangle(args[0], [=](int64_t row, int64_t width) { return std::pair(std::clamp<int64_t>(row + diagonal, 0, width), width); });
}

const Family family("concatenate", {
                                       {"cat", "arrays dim", run_cat},
                                       {"stack", "arrays dim", run_stack},
                                       {"roll", "x shifts dims", run_roll},
                                       {"repeat", "x repeats", run_repeat},
                                       {"flip", "x dims", run_flip},
                                       {"tril", "x diagonal", run_tril},
                                       {"triu", "x diagonal", run_triu},
                                   });

}  // namespace
}  // namespace rushlight
