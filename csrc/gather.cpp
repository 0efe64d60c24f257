// One element for every index along a dimension: gather, scatter, scatter_add, scatter_reduce.
//
// The elements that can meet lie in one line along the dimension, so lines are what threads share: groups of whole lines
// where the dimension is the last one, else columns of neighbouring lines, few enough that the part of the array they pick
// from stays in cache (a column of one cache line at least). A line is worked in the order of its indices; the values that
// scatter begins with are copied as part of that. Any strides, so that an expanded index costs nothing to read.
#include <algorithm>
#include <limits>

#include "convert.h"
#include "copy.h"
#include "index.h"
#include "iterate.h"
#include "kernel.h"

namespace rushlight {
namespace {

constexpr int64_t cached_bytes = 512 << 10;

// The lines along `dim` of arrays that are walked together; all steps in bytes. `shape` is that of the index.
template <int N>
struct Lines {
  int ndim = 0;  // groups of lines
  int64_t shape[max_dims], strides[N][max_dims];
  char* data[N];
  int64_t along[N];             // from one element of a line to the next
  int64_t across[N];            // from one line of a group to the next
  int64_t groups = 1, inner = 1, length = 1;

  void prepare(const npy_intp* lengths, int dims, int dim, const Array* const (&operands)[N]) {
    bool after = false;
    length = lengths[dim];
    for (int k = 0; k < N; k++) {
      data[k] = operands[k]->data;
      along[k] = step(*operands[k], dim);
      across[k] = 0;
    }
    for (int d = 0; d < dims; d++) {
      if (d == dim || lengths[d] == 1) continue;
      bool merges = ndim > 0;
      for (int k = 0; k < N && merges; k++) merges = strides[k][ndim - 1] == step(*operands[k], d) * lengths[d];
      if (!merges) shape[ndim++] = 1;
      shape[ndim - 1] *= lengths[d];
      for (int k = 0; k < N; k++) strides[k][ndim - 1] = step(*operands[k], d);
      groups *= lengths[d];
      after = d > dim;
    }
    if (!after) return;
    inner = shape[--ndim];
    groups /= inner;
    for (int k = 0; k < N; k++) across[k] = strides[k][ndim];
  }

  // Where group `number` begins in every operand.
  void at(int64_t number, char* (&begin)[N]) const {
    for (int k = 0; k < N; k++) begin[k] = data[k];
    for (int d = ndim - 1; d >= 0; d--) {
      const int64_t index = number % shape[d];
      number /= shape[d];
      for (int k = 0; k < N; k++) begin[k] += index * strides[k][d];
    }
  }

  // Lines of a group that are worked together, where each picks from `n` elements of `size` bytes.
  int64_t columns(int64_t n, int64_t size) const {
    if (inner == 1) return 1;
    const int64_t line = std::max<int64_t>(1, 64 / size);
    const int64_t fitting = cached_bytes / std::max<int64_t>(1, n * size) / line * line;
    return std::min(inner, std::max(line, std::min(fitting, (inner / 8 + line - 1) / line * line)));
  }

 private:
  static int64_t step(const Array& a, int d) { return a.ndim == 0 || a.shape[d] == 1 ? 0 : a.strides[d]; }
};

inline int64_t index_at(const char* p) { return *reinterpret_cast<const int64_t*>(p); }

constexpr int64_t checked = 512;  // indices that are checked together, just before they are used

template <class Step>
bool within(const char* index, Step step, int64_t count, int64_t n) {
  uint64_t highest = 0;
  for (int64_t j = 0; j < count; j++) highest = std::max(highest, uint64_t(index_at(index + j * step)));
  return highest < uint64_t(n);
}

// Calls use(j, index) for every index of a run in order; false, before anything is touched, where one is out of bounds.
template <class Step, class Use>
inline bool walk_indices(const char* index, Step step, int64_t count, int64_t n, Use&& use) {
  for (int64_t begin = 0; begin < count; begin += checked) {
    const int64_t end = std::min(count, begin + checked);
    if (!within(index + begin * step, step, end - begin, n)) return false;
#pragma GCC unroll 4
    for (int64_t j = begin; j < end; j++) use(j, index_at(index + j * step));
  }
  return true;
}

// A step known when the code is compiled.
template <int64_t value>
using Fixed = std::integral_constant<int64_t, value>;

// ---- gather ----

enum { Y, Index, Source };

// Elements [begin, end) of lines [from, to) of a group; false at an index out of bounds.
template <class T>
bool gather_lines(const Lines<3>& lines, char* const (&at)[3], int64_t n, int64_t begin, int64_t end, int64_t from, int64_t to) {
  auto walk = [&](auto y_step, auto index_step, auto x_along, auto x_step, char* y, const char* index, const char* x, int64_t count) {
    return walk_indices(index, index_step, count, n, [&](int64_t j, int64_t i) {
      *reinterpret_cast<T*>(y + j * y_step) = *reinterpret_cast<const T*>(x + i * x_along + j * x_step);
    });
  };
  constexpr Fixed<sizeof(T)> size;
  constexpr Fixed<8> wide;
  constexpr Fixed<0> zero;
  if (lines.inner == 1) {
    char* y = at[Y] + begin * lines.along[Y];
    const char* index = at[Index] + begin * lines.along[Index];
    if (lines.along[Y] == size && lines.along[Index] == 8 && lines.along[Source] == size)
      return walk(size, wide, size, zero, y, index, at[Source], end - begin);
    return walk(lines.along[Y], lines.along[Index], lines.along[Source], int64_t(0), y, index, at[Source], end - begin);
  }
  const bool dense = lines.across[Y] == size && lines.across[Index] == 8 && lines.across[Source] == size;
  for (int64_t i = begin; i < end; i++) {
    char* y = at[Y] + i * lines.along[Y] + from * lines.across[Y];
    const char* index = at[Index] + i * lines.along[Index] + from * lines.across[Index];
    const char* x = at[Source] + from * lines.across[Source];
    const bool good = dense ? walk(size, wide, lines.along[Source], size, y, index, x, to - from)
                            : walk(lines.across[Y], lines.across[Index], lines.along[Source], lines.across[Source], y, index, x, to - from);
    if (!good) return false;
  }
  return true;
}

using GatherLines = bool (*)(const Lines<3>& lines, char* const (&at)[3], int64_t n, int64_t begin, int64_t end, int64_t from, int64_t to);

bool gather_all(const Lines<3>& lines, int64_t n, int64_t size, GatherLines gather) {
  const int64_t columns = lines.columns(n, size), chunks = (lines.inner + columns - 1) / columns;
  const int64_t work = lines.groups * lines.inner * lines.length, unit_work = columns * lines.length;
  // A single long line is cut too: nothing is written twice.
  const int64_t part = lines.groups * chunks < 8 ? std::max<int64_t>(1, block_elements / columns) : lines.length;
  const int64_t parts = (lines.length + part - 1) / part;
  const int64_t units = lines.groups * chunks * parts;
  const ReleaseGil released(work);
  std::atomic<bool> good{true};
  auto some = [&](int64_t first, int64_t last) {
    for (int64_t unit = first; unit < last; unit++) {
      const int64_t begin = unit % parts * part, from = unit / parts % chunks * columns;
      char* at[3];
      lines.at(unit / parts / chunks, at);
      const int64_t end = std::min(lines.length, begin + part), to = std::min(lines.inner, from + columns);
      if (!gather(lines, at, n, begin, end, from, to)) good = false;
    }
  };
  if (work <= serial_elements)
    some(0, units);
  else
    parallel_range(units, std::max<int64_t>(1, block_elements * parts / unit_work), some);
  return good;
}

// Reads the index; one that is not of int64 is copied. It must have as many dimensions as x and, apart from `dim`, no more
// elements along any.
bool read_index(PyObject* value, const Array& x, int dim, Array& index, Owned& copy) {
  if (!value || !index.read(value) || index.type < Type::I8 || index.type > Type::I64 || index.ndim != x.ndim) return false;
  for (int d = 0; d < x.ndim; d++)
    if (index.shape[d] == 0 || (d != dim && index.shape[d] > x.shape[d])) return false;
  if (index.type == Type::I64) return true;
  copy = converted(index, Type::I64);
  return copy && index.read(copy.get());
}

// "x dim index"
PyObject* run_gather(PyObject* const* args) {
  Array x, index;
  Owned copy;
  int dim;
  if (!args[0] || !args[1] || !x.read(args[0]) || !read_dim(args[1], x, dim) || !read_index(args[2], x, dim, index, copy)) return nullptr;
  GatherLines gather;
  if (!with_size(x.itemsize(), [&](auto element) { gather = gather_lines<decltype(element)>; })) return decline();
  Owned result(new_array(index.ndim, index.shape, x.type));
  if (!result) return nullptr;
  const Array y = view_of(result.get());
  Lines<3> lines;
  lines.prepare(index.shape, index.ndim, dim, {&y, &index, &x});
  return gather_all(lines, x.shape[dim], x.itemsize(), gather) ? result.give() : decline();
}

// ---- scatter ----

struct Write {
  template <class T>
  static void to(T& y, T x) {
    y = x;
  }
};
struct Add {
  template <class T>
  static void to(T& y, T x) {
    y += x;
  }
};
struct Multiply {
  template <class T>
  static void to(T& y, T x) {
    y *= x;
  }
};
struct Largest {  // NaN stays
  template <class T>
  static void to(T& y, T x) {
    const T larger = x > y ? x : y;  // two selections: no branch to foresee
    y = x != x ? x : larger;
  }
};
struct Smallest {
  template <class T>
  static void to(T& y, T x) {
    const T smaller = x < y ? x : y;
    y = x != x ? x : smaller;
  }
};

// y = x, and then op(y[index], source) along the lines. `whole`: the index is as large as x apart from the dimension, and
// the copy is made line by line; else y holds it already.
struct Scatter {
  Lines<4> lines;
  int64_t n = 0;
  bool whole = false;
};
enum { Start = 3 };

template <class T, class Op>
bool scatter_lines(const Scatter& job, char* const (&at)[4], int64_t from, int64_t to) {
  const Lines<4>& lines = job.lines;
  const int64_t n = job.n, y_along = lines.along[Y];
  auto walk = [&](auto y_along, auto y_step, auto index_step, auto x_step, char* y, const char* index, const char* x, int64_t count) {
    return walk_indices(index, index_step, count, n, [&](int64_t j, int64_t i) {
      Op::to(*reinterpret_cast<T*>(y + i * y_along + j * y_step), *reinterpret_cast<const T*>(x + j * x_step));
    });
  };
  constexpr Fixed<sizeof(T)> size;
  constexpr Fixed<8> wide;
  constexpr Fixed<0> zero;
  if (lines.inner == 1) {
    if (y_along == size && lines.along[Index] == 8 && lines.along[Source] == size)
      return walk(size, zero, wide, size, at[Y], at[Index], at[Source], lines.length);
    return walk(y_along, int64_t(0), lines.along[Index], lines.along[Source], at[Y], at[Index], at[Source], lines.length);
  }
  const bool dense = lines.across[Y] == size && lines.across[Index] == 8 && lines.across[Source] == size;
  for (int64_t i = 0; i < lines.length; i++) {
    char* y = at[Y] + from * lines.across[Y];
    const char* index = at[Index] + i * lines.along[Index] + from * lines.across[Index];
    const char* x = at[Source] + i * lines.along[Source] + from * lines.across[Source];
    const bool good = dense ? walk(y_along, size, wide, size, y, index, x, to - from)
                            : walk(y_along, lines.across[Y], lines.across[Index], lines.across[Source], y, index, x, to - from);
    if (!good) return false;
  }
  return true;
}

// The values that the lines begin with.
void start_lines(const Scatter& job, char* const (&at)[4], int64_t size, int64_t from, int64_t to) {
  const Lines<4>& lines = job.lines;
  if (lines.inner == 1 && lines.along[Y] == size) {
    std::memcpy(at[Y], at[Start], size_t(job.n * size));
    return;
  }
  for (int64_t i = 0; i < job.n; i++) {
    const int64_t offset = i * lines.along[Y] + from * size;  // y and x lie alike
    copy_slice(at[Y] + offset, at[Start] + offset, (to - from) * size);
  }
}

using ScatterLines = bool (*)(const Scatter& job, char* const (&at)[4], int64_t from, int64_t to);

// nullptr for elements of another size than 1, 2, 4 or 8 bytes.
ScatterLines moving(int64_t size) {
  ScatterLines lines = nullptr;
  with_size(size, [&](auto element) { lines = scatter_lines<decltype(element), Write>; });
  return lines;
}

// False at an index out of bounds. `identity`: what the places that are written forget their value for first; nullptr where
// they keep it.
bool scatter_all(const Scatter& job, int64_t size, ScatterLines scatter, const void* identity = nullptr) {
  const Lines<4>& lines = job.lines;
  Scatter resetting = job;
  const ScatterLines reset = moving(size);
  if (identity) {
    resetting.lines.data[Source] = const_cast<char*>(static_cast<const char*>(identity));
    resetting.lines.along[Source] = resetting.lines.across[Source] = 0;
    for (int d = 0; d < resetting.lines.ndim; d++) resetting.lines.strides[Source][d] = 0;
  }
  const int64_t columns = lines.columns(job.n, size), chunks = (lines.inner + columns - 1) / columns;
  const int64_t unit_work = columns * std::max(lines.length, job.whole ? job.n : 0), units = lines.groups * chunks;
  const ReleaseGil released(units * unit_work);
  std::atomic<bool> good{true};
  auto some = [&](int64_t first, int64_t last) {
    for (int64_t unit = first; unit < last; unit++) {
      const int64_t from = unit % chunks * columns, to = std::min(lines.inner, from + columns);
      char* at[4];
      lines.at(unit / chunks, at);
      if (job.whole) start_lines(job, at, size, from, to);
      char* const forgetting[4] = {at[Y], at[Index], resetting.lines.data[Source], at[Start]};
      if ((identity && !reset(resetting, forgetting, from, to)) || !scatter(job, at, from, to)) good = false;
    }
  };
  if (units * unit_work <= serial_elements)
    some(0, units);
  else
    parallel_range(units, std::max<int64_t>(1, block_elements / unit_work), some);
  return good;
}

// What scatter's arguments come to: the result and the lines to work.
struct Prepared {
  Owned result, x_copy, index_copy, source_copy;
  Array x, index, source;
  Scatter job;
  Type type = Type::Other;  // of x as it was given

  // `sums`: the half types are brought to float32.
  bool read(PyObject* x_value, PyObject* dim_value, PyObject* index_value, PyObject* source_value, bool sums) {
    int dim;
    if (!x_value || !dim_value || !source_value || !x.read(x_value) || !source.read(source_value)) return false;
    if (!read_dim(dim_value, x, dim) || source.type != x.type || !read_index(index_value, x, dim, index, index_copy)) return false;
    if (source.ndim != 0 && source.ndim != x.ndim) return false;
    for (int d = 0; d < source.ndim; d++)
      if (source.shape[d] < index.shape[d]) return false;
    type = x.type;
    if (sums && (type == Type::F16 || type == Type::BF16)) {
      x_copy = converted(x, Type::F32);
      source_copy = converted(source, Type::F32);
      if (!x_copy || !source_copy || !x.read(x_copy.get()) || !source.read(source_copy.get())) return false;
    }
    result = Owned(new_array(x.ndim, x.shape, x.type));
    if (!result) return false;
    const Array y = view_of(result.get());
    job.n = x.shape[dim];
    job.whole = x.contiguous();
    for (int d = 0; d < x.ndim; d++) job.whole &= d == dim || index.shape[d] == x.shape[d];
    if (!job.whole) copy_values(y, x);
    job.lines.prepare(index.shape, index.ndim, dim, {&y, &index, &source, job.whole ? &x : &y});
    // A line of length 1 has no step of its own; y may be longer than the index there.
    job.lines.along[Y] = y.strides[dim];
    return true;
  }

  PyObject* give(bool good) {
    if (!good) return decline();
    return type == x.type ? result.give() : converted(view_of(result.get()), type).give();
  }
};

// "x dim index source"
PyObject* run_scatter(PyObject* const* args) {
  Prepared prepared;
  if (!prepared.read(args[0], args[1], args[2], args[3], false)) return nullptr;
  const int64_t size = prepared.x.itemsize();
  const ScatterLines move = moving(size);
  return move ? prepared.give(scatter_all(prepared.job, size, move)) : decline();
}

// "x dim index source"
PyObject* run_scatter_add(PyObject* const* args) {
  Prepared prepared;
  if (!prepared.read(args[0], args[1], args[2], args[3], true)) return nullptr;
  switch (prepared.x.type) {
    case Type::F32: return prepared.give(scatter_all(prepared.job, sizeof(float), scatter_lines<float, Add>));
    case Type::F64: return prepared.give(scatter_all(prepared.job, sizeof(double), scatter_lines<double, Add>));
    case Type::I32: return prepared.give(scatter_all(prepared.job, sizeof(int32_t), scatter_lines<int32_t, Add>));
    case Type::I64: return prepared.give(scatter_all(prepared.job, sizeof(int64_t), scatter_lines<int64_t, Add>));
    default: return decline();
  }
}

template <class T>
bool reduce_by(const char* name, const Scatter& job, bool include_self) {
  using Limits = std::numeric_limits<T>;
  const T low = Limits::has_infinity ? -Limits::infinity() : Limits::lowest(), high = Limits::has_infinity ? Limits::infinity() : Limits::max();
  auto reduce = [&](ScatterLines scatter, T identity) { return scatter_all(job, sizeof(T), scatter, include_self ? nullptr : &identity); };
  if (std::strcmp(name, "sum") == 0) return reduce(scatter_lines<T, Add>, T(0));
  if (std::strcmp(name, "prod") == 0) return reduce(scatter_lines<T, Multiply>, T(1));
  if (std::strcmp(name, "amax") == 0) return reduce(scatter_lines<T, Largest>, low);
  return std::strcmp(name, "amin") == 0 && reduce(scatter_lines<T, Smallest>, high);
}

// "x dim index source reduce include_self"; the mean is the reference's.
PyObject* run_scatter_reduce(PyObject* const* args) {
  Prepared prepared;
  bool include_self = true;
  if (!args[4] || !PyUnicode_Check(args[4]) || (args[5] && !read_bool(args[5], include_self))) return nullptr;
  const char* name = PyUnicode_AsUTF8(args[4]);
  if (!name || std::strcmp(name, "mean") == 0 || !prepared.read(args[0], args[1], args[2], args[3], true)) return nullptr;
  switch (prepared.x.type) {
    case Type::F32: return prepared.give(reduce_by<float>(name, prepared.job, include_self));
    case Type::F64: return prepared.give(reduce_by<double>(name, prepared.job, include_self));
    case Type::I32: return prepared.give(reduce_by<int32_t>(name, prepared.job, include_self));
    case Type::I64: return prepared.give(reduce_by<int64_t>(name, prepared.job, include_self));
    default: return decline();
  }
}

const Family family("gather", {
                                  {"gather", "x dim index", run_gather},
                                  {"scatter", "x dim index source", run_scatter},
                                  {"scatter_add", "x dim index source", run_scatter_add},
                                  {"scatter_reduce", "x dim index source reduce include_self", run_scatter_reduce},
                              });

}  // namespace
}  // namespace rushlight
