// Slices picked and written by index along one dimension: index_select, index_get, take; index_copy, index_fill, index_put, put.
//
// Arrays are [outer, n, inner]. Picking copies slices (or single elements) in the order of the result, threads share it.
// Writing copies in the order of the indices, the last of equal ones stays: threads share outer slices, or the columns.
#include <algorithm>

#include "copy.h"
#include "index.h"
#include "iterate.h"
#include "kernel.h"

namespace rushlight {
namespace {

constexpr int64_t block_bytes = 64 << 10;

// ---- picking ----

// The result for indices of the given shape in place of dimensions [dim, dim + width) of x.
PyObject* selected(const Array& x, int dim, int width, int index_ndim, const npy_intp* index_shape, const int64_t* data, int64_t count) {
  Slab slab;
  if (!slab.read_or_copy(x, dim, width)) return nullptr;
  npy_intp shape[2 * max_dims];
  const int ndim = x.ndim - width + index_ndim;
  if (ndim > max_dims) return decline();
  std::copy_n(x.shape, dim, shape);
  std::copy_n(index_shape, index_ndim, shape + dim);
  std::copy(x.shape + dim + width, x.shape + x.ndim, shape + dim + index_ndim);
  PyObject* result = new_array(ndim, shape, x.type);
  if (result) select_slices(view_of(result).data, slab, data, count);
  return result;
}

// "x dim index"
PyObject* run_index_select(PyObject* const* args) {
  Array x;
  Indices index;
  int dim;
  if (!args[0] || !args[1] || !args[2] || !x.read(args[0]) || !read_dim(args[1], x, dim) || !index.read(args[2])) return nullptr;
  if (!index.within(x.shape[dim])) return nullptr;
  const npy_intp count = index.count;  // a zero-dim index is one of length 1
  return selected(x, dim, 1, 1, &count, index.data, count);
}

// The weight table "weight indices"
PyObject* run_embedding(PyObject* const* args) {
  Array weight;
  Indices index;
  if (!args[0] || !args[1] || !weight.read(args[0]) || weight.ndim == 0 || !index.read(args[1])) return nullptr;
  if (!index.within(weight.shape[0])) return nullptr;
  return selected(weight, 0, 1, index.array.ndim, index.array.shape, index.data, index.count);
}

// "x index"
PyObject* run_take(PyObject* const* args) {
  Array x;
  Indices index;
  if (!args[0] || !args[1] || !x.read(args[0]) || !x.contiguous() || !index.read(args[1])) return nullptr;
  const npy_intp count = x.size();
  if (!index.within(count, true)) return nullptr;
  x.shape = &count;
  x.ndim = 1;
  const npy_intp step = x.itemsize();
  x.strides = &step;
  return selected(x, 0, 1, index.array.ndim, index.array.shape, index.data, index.count);
}

// ---- x[...] ----

// The key of index_get and index_put: arrays of integers at neighbouring dimensions, everything (slice(None)) elsewhere.
// They are broadcast and become one array of positions in the neighbouring dimensions taken together.
struct Key {
  int dim = 0, width = 0;
  int ndim = 0;
  npy_intp shape[max_dims];  // of the indices
  const int64_t* data = nullptr;
  int64_t count = 0;

  bool read(PyObject* key, const Array& x) {
    if (!key || !PyTuple_Check(key) || PyTuple_GET_SIZE(key) > x.ndim) return false;
    const int entries = int(PyTuple_GET_SIZE(key));
    int last = -1;
    for (int d = 0; d < entries; d++) {
      PyObject* entry = PyTuple_GET_ITEM(key, d);
      if (is_everything(entry)) continue;
      if (width > 0 && last != d - 1) return false;  // apart: the dimensions of the result go elsewhere
      if (width++ == 0) dim = d;
      if (!widen_shape(entry)) return false;
      last = d;
    }
    for (int d = dim; d < dim + width; d++)
      if (!add(PyTuple_GET_ITEM(key, d), x.shape[d], d == dim)) return false;
    return width > 0;
  }

 private:
  static bool is_everything(PyObject* entry) {
    if (!PySlice_Check(entry)) return false;
    const auto* slice = reinterpret_cast<PySliceObject*>(entry);
    return slice->start == Py_None && slice->stop == Py_None && slice->step == Py_None;
  }

  // Broadcasts the shape with that of an index array.
  bool widen_shape(PyObject* entry) {
    Array index;
    if (!index.read(entry)) return false;
    if (index.ndim > ndim) {
      std::copy_backward(shape, shape + ndim, shape + index.ndim);
      std::fill_n(shape, index.ndim - ndim, npy_intp(1));
      ndim = index.ndim;
    }
    for (int i = 0; i < index.ndim; i++) {
      npy_intp& length = shape[i + ndim - index.ndim];
      if (length == 1)
        length = index.shape[i];
      else if (index.shape[i] != 1 && index.shape[i] != length)
        return false;
    }
    return true;
  }

  bool add(PyObject* entry, int64_t size, bool first) {
    Indices& index = first ? first_ : next_;
    Array given;
    Owned full;
    if (!given.read(entry)) return false;
    if (given.ndim != ndim || !std::equal(shape, shape + ndim, given.shape)) {
      full = Owned(new_array(ndim, shape, given.type));
      if (!full) return false;
      copy_values(view_of(full.get()), given);
      entry = full.get();
    }
    if (!index.read(entry) || !index.within(size, true)) return false;
    if (first) {
      data = index.data;
      count = index.count;
      broadcast_ = std::move(full);
      return true;
    }
    if (!positions_) {
      positions_ = Owned(new_array(ndim, shape, Type::I64));
      if (!positions_) return false;
    }
    int64_t* position = view_of(positions_.get()).as<int64_t>();
    for (int64_t i = 0; i < count; i++) position[i] = data[i] * size + index.data[i];
    data = position;
    return true;
  }

  Indices first_, next_;
  Owned broadcast_, positions_;
};

// "x index"
PyObject* run_index_get(PyObject* const* args) {
  Array x;
  Key key;
  if (!args[0] || !x.read(args[0]) || !key.read(args[1], x)) return nullptr;
  return selected(x, key.dim, key.width, key.ndim, key.shape, key.data, key.count);
}

// ---- writing ----

// The last of equal indices alone writes its slice, so that threads may share the indices.
void put_last(char* y, const Slab& like, const int64_t* index, int64_t count, const char* x, int64_t x_step) {
  int32_t* last = scratch<int32_t>(0, like.n);
  for (int64_t j = 0; j < count; j++) last[index[j]] = int32_t(j);  // the others are never looked at
  parallel_range(like.outer * count, std::max<int64_t>(1, block_bytes / like.bytes), [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; unit++) {
      const int64_t o = unit / count, j = unit - o * count;
      if (last[index[j]] == j) copy_slice(y + (o * like.n + index[j]) * like.bytes, x + unit * x_step, like.bytes);
    }
  });
}

// A row-major copy of x.
Owned copied(const Array& x) {
  Owned made(new_array(x.ndim, x.shape, x.type));
  if (made) copy_values(view_of(made.get()), x);
  return made;
}

// Whether `source` is x with `count` slices along `dim`.
bool fits(const Array& source, const Array& x, int dim, int64_t count) {
  if (source.ndim != x.ndim || source.type != x.type) return false;
  for (int d = 0; d < x.ndim; d++)
    if (source.shape[d] != (d == dim ? count : x.shape[d])) return false;
  return true;
}

// "x dim index source"
PyObject* run_index_copy(PyObject* const* args) {
  Array x, source;
  Indices index;
  int dim;
  if (!args[0] || !args[1] || !args[2] || !args[3]) return nullptr;
  if (!x.read(args[0]) || !read_dim(args[1], x, dim) || !index.read(args[2]) || !source.read(args[3])) return nullptr;
  if (!fits(source, x, dim, index.count) || !index.within(x.shape[dim])) return nullptr;
  Owned dense;
  if (!source.contiguous()) {
    dense = copied(source);
    if (!dense) return nullptr;
    source = view_of(dense.get());
  }
  Owned result = copied(x);
  if (!result) return nullptr;
  Slab slab;
  slab.read(view_of(result.get()), dim);
  put_slices(slab.data, slab, index.data, index.count, source.data, slab.bytes);
  return result.give();
}

// "x dim index value"
PyObject* run_index_fill(PyObject* const* args) {
  Array x, value;
  Indices index;
  int dim;
  if (!args[0] || !args[1] || !args[2] || !args[3] || !x.read(args[0]) || !read_dim(args[1], x, dim) || !index.read(args[2])) return nullptr;
  if (!value.read(args[3]) || value.ndim != 0 || value.type != x.type || !index.within(x.shape[dim], true)) return nullptr;
  Owned result = copied(x);
  if (!result) return nullptr;
  Slab slab;
  slab.read(view_of(result.get()), dim);
  const npy_intp length = slab.inner;
  const Owned slice(new_array(1, &length, x.type));
  if (!slice) return nullptr;
  const Array filled = view_of(slice.get());
  fill_values(filled.data, length, value.data, x.itemsize());
  put_slices(slab.data, slab, index.data, index.count, filled.data, 0);
  return result.give();
}

// Values of an index_put as a dense array of the shape that x[key] has. Empty, without an exception, where they do not broadcast.
Owned spread(const Array& values, const Array& x, const Key& key, bool& fitting) {
  npy_intp shape[2 * max_dims];
  const int ndim = x.ndim - key.width + key.ndim;
  fitting = false;
  if (ndim > max_dims || values.ndim > ndim) return {};
  std::copy_n(x.shape, key.dim, shape);
  std::copy_n(key.shape, key.ndim, shape + key.dim);
  std::copy(x.shape + key.dim + key.width, x.shape + x.ndim, shape + key.dim + key.ndim);
  bool same = values.ndim == ndim;
  for (int i = 0; i < values.ndim; i++) {
    const npy_intp length = values.shape[i], wanted = shape[i + ndim - values.ndim];
    if (length != wanted && length != 1) return {};
    same &= length == wanted;
  }
  fitting = true;
  if (same && values.contiguous()) return {};
  Owned made(new_array(ndim, shape, values.type));
  if (made) copy_values(view_of(made.get()), values);
  return made;
}

template <class T>
void accumulate(const Slab& x, const Key& key, const char* source) {
  T* y = reinterpret_cast<T*>(x.data);
  add_rows(RowAddition<T>{y, y, reinterpret_cast<const T*>(source), key.data, x.outer, x.n, key.count, x.inner});
}

// "x index values accumulate": in place.
PyObject* run_index_put(PyObject* const* args) {
  Array x, values;
  Key key;
  bool adds = false, fitting;
  if (!args[0] || !args[2] || !x.read(args[0]) || !x.contiguous() || !x.writeable() || x.hidden) return nullptr;
  if (!values.read(args[2]) || values.type != x.type || values.overlaps(x) || values.data == x.data) return nullptr;
  if ((args[3] && !read_bool(args[3], adds)) || !key.read(args[1], x)) return nullptr;
  const Owned full = spread(values, x, key, fitting);
  if (!fitting || PyErr_Occurred()) return nullptr;
  const char* source = full ? view_of(full.get()).data : values.data;
  Slab slab;
  slab.read(x, key.dim, key.width);
  if (!adds) {
    put_slices(x.data, slab, key.data, key.count, source, slab.bytes);
    return Py_NewRef(args[0]);
  }
  if (slab.n >= INT32_MAX || key.count >= INT32_MAX) return decline();
  switch (x.type) {
    case Type::F32: accumulate<float>(slab, key, source); break;
    case Type::F64: accumulate<double>(slab, key, source); break;
    case Type::I32: accumulate<int32_t>(slab, key, source); break;
    case Type::I64: accumulate<int64_t>(slab, key, source); break;
    default: return decline();
  }
  return Py_NewRef(args[0]);
}

// "x index source accumulate"
PyObject* run_put(PyObject* const* args) {
  Array x, source;
  Indices index;
  bool adds = false;
  if (!args[0] || !args[1] || !args[2] || !x.read(args[0]) || !index.read(args[1]) || !source.read(args[2])) return nullptr;
  if (source.type != x.type || (args[3] && !read_bool(args[3], adds)) || adds || source.size() != index.count) return nullptr;
  if (!index.within(x.size(), true)) return nullptr;
  Owned result = copied(x), dense;
  if (!source.contiguous()) {
    dense = copied(source);
    if (!dense) return nullptr;
    source = view_of(dense.get());
  }
  if (!result) return nullptr;
  Slab flat;
  flat.n = x.size();
  flat.bytes = x.itemsize();
  put_slices(view_of(result.get()).data, flat, index.data, index.count, source.data, flat.bytes);
  return result.give();
}

const Family family("select", {
                                  {"index_select", "x dim index", run_index_select},
                                  {"embedding", "weight indices", run_embedding},
                                  {"take", "x index", run_take},
                                  {"index_get", "x index", run_index_get},
                                  {"index_put", "x index values accumulate", run_index_put},
                                  {"index_copy", "x dim index source", run_index_copy},
                                  {"index_fill", "x dim index value", run_index_fill},
                                  {"put", "x index source accumulate", run_put},
                              });

}  // namespace

void select_slices(char* y, const Slab& x, const int64_t* index, int64_t count) {
  const int64_t bytes = x.bytes, slices = x.outer * count;
  if (slices * bytes == 0) return;
  const ReleaseGil released(slices * std::max<int64_t>(1, bytes / 16));
  auto elements = [&](auto zero, int64_t begin, int64_t end) {
    using T = decltype(zero);
    for (int64_t i = begin; i < end;) {
      const int64_t o = i / count, stop = std::min(end, (o + 1) * count);
      const char* from = x.data + o * x.outer_step;
      T* to = reinterpret_cast<T*>(y) + i;
      const int64_t* at = index + i - o * count;
      const int64_t length = stop - i;
      if (x.step == int64_t(sizeof(T))) {
        const T* dense = reinterpret_cast<const T*>(from);
#pragma GCC unroll 4
        for (int64_t j = 0; j < length; j++) to[j] = dense[at[j]];
      } else {
        for (int64_t j = 0; j < length; j++) to[j] = *reinterpret_cast<const T*>(from + at[j] * x.step);
      }
      i = stop;
    }
  };
  auto some = [&](int64_t begin, int64_t end) {
    if (with_any_size(bytes, [&](auto zero) { elements(zero, begin, end); })) return;
    constexpr int64_t ahead = 6;
    const int64_t expected = std::min<int64_t>(bytes, 512);
    for (int64_t i = begin; i < end; i++) {
      const int64_t o = i / count, j = i - o * count;
      const char* from = x.data + o * x.outer_step;
      if (j + ahead < count)
        for (int64_t b = 0; b < expected; b += 64) __builtin_prefetch(from + index[j + ahead] * x.step + b);
      copy_slice(y + i * bytes, from + index[j] * x.step, bytes);
    }
  };
  if (slices * bytes <= 2 * block_bytes) return some(0, slices);
  if (bytes < 2 * block_bytes) return parallel_range(slices, std::max<int64_t>(1, block_bytes / bytes), some);
  const int64_t pieces = (bytes + block_bytes - 1) / block_bytes;
  parallel(slices * pieces, [&](int64_t unit) {
    const int64_t i = unit / pieces, begin = unit % pieces * block_bytes, o = i / count;
    const char* from = x.data + o * x.outer_step + index[i - o * count] * x.step;
    std::memcpy(y + i * bytes + begin, from + begin, size_t(std::min(block_bytes, bytes - begin)));
  });
}

void put_slices(char* y, const Slab& like, const int64_t* index, int64_t count, const char* x, int64_t x_step) {
  const int64_t bytes = like.bytes, work = like.outer * count * bytes;
  if (work == 0) return;
  const ReleaseGil released(work / 16);
  // Columns [begin, end) of the slices, in bytes.
  auto columns = [&](int64_t o, int64_t begin, int64_t end) {
    char* to = y + o * like.n * bytes + begin;
    const char* from = x + o * count * x_step + begin;
    const bool whole = with_any_size(end - begin, [&](auto zero) {
      using T = decltype(zero);
      for (int64_t j = 0; j < count; j++) *reinterpret_cast<T*>(to + index[j] * bytes) = *reinterpret_cast<const T*>(from + j * x_step);
    });
    if (whole) return;
    for (int64_t j = 0; j < count; j++) copy_slice(to + index[j] * bytes, from + j * x_step, end - begin);
  };
  if (work <= 2 * block_bytes) {
    for (int64_t o = 0; o < like.outer; o++) columns(o, 0, bytes);
    return;
  }
  if (bytes >= 64 && like.n < INT32_MAX && count < INT32_MAX && 4 * like.n <= count * bytes) return put_last(y, like, index, count, x, x_step);
  const int64_t width = std::max<int64_t>(256, (bytes / 8 + 63) / 64 * 64), parts = (bytes + width - 1) / width;
  const int64_t grain = std::max<int64_t>(1, block_bytes / (count * std::min(bytes, width)));
  parallel_range(like.outer * parts, grain, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; unit++) {
      const int64_t from = unit % parts * width;
      columns(unit / parts, from, std::min(bytes, from + width));
    }
  });
}

}  // namespace rushlight
