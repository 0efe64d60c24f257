// The gradient of an embedding, sums of slices that meet (index_add), and one-hot vectors.
//
// Cotangents of one row are added in the order of the indices, whatever the number of threads, and a row of the table is
// written once: see index.cpp. The half types are summed in float32 and rounded once.
#include <algorithm>

#include "convert.h"
#include "copy.h"
#include "index.h"
#include "iterate.h"
#include "kernel.h"

namespace rushlight {
namespace {

// `x` as numbers that sums are made of: itself, or for the half types a copy in float32. False with or without an exception.
bool summable(Array& x, Owned& copy) {
  const bool half = x.type == Type::F16 || x.type == Type::BF16;
  const bool whole = x.type == Type::I32 || x.type == Type::I64;
  if (!half && !whole && !plain_float(x.type)) return false;
  if (!half && x.contiguous()) return true;
  if (half) {
    copy = converted(x, Type::F32);
  } else {
    copy = Owned(new_array(x.ndim, x.shape, x.type));
    if (copy) copy_values(view_of(copy.get()), x);
  }
  return copy && x.read(copy.get());
}

template <class T>
void embedding_sums(const Array& y, const Array& g, const Indices& index, int64_t rows, int64_t width, int64_t skipped, bool mean) {
  add_rows(RowAddition<T>{y.as<T>(), nullptr, g.as<T>(), index.data, 1, rows, index.count, width, T(1), skipped, mean});
}

// "g indices num_weights padding_idx scale_grad_by_freq"
PyObject* run_embedding_backward(PyObject* const* args) {
  Array g;
  Indices index;
  int64_t rows, skipped;
  bool mean;
  if (!args[0] || !args[1] || !g.read(args[0]) || !index.read(args[1]) || !read_int(args[2], rows) || rows < 0) return nullptr;
  if (!read_int(args[3], skipped) || !args[4] || !read_bool(args[4], mean)) return nullptr;
  const int lead = index.array.ndim;
  if (g.ndim < lead || !std::equal(g.shape, g.shape + lead, index.array.shape)) return nullptr;
  if (!index.within(rows) || rows >= INT32_MAX || index.count >= INT32_MAX) return nullptr;
  const Type type = g.type;
  if (type == Type::I32 || type == Type::I64) return decline();
  Owned copy;
  npy_intp shape[max_dims] = {rows};
  const int ndim = g.ndim - lead + 1;
  if (ndim > max_dims) return decline();
  std::copy(g.shape + lead, g.shape + g.ndim, shape + 1);
  if (!summable(g, copy)) return nullptr;
  Owned result(new_array(ndim, shape, g.type));
  if (!result) return nullptr;
  const Array y = view_of(result.get());
  int64_t width = 1;
  for (int d = 1; d < ndim; d++) width *= shape[d];
  if (width == 0) return result.give();
  skipped = skipped < 0 ? -1 : skipped;
  if (g.type == Type::F32)
    embedding_sums<float>(y, g, index, rows, width, skipped, mean);
  else
    embedding_sums<double>(y, g, index, rows, width, skipped, mean);
  return type == g.type ? result.give() : converted(y, type).give();
}

template <class T>
void add_slices(const Array& y, const Array& x, const Array& source, const Indices& index, int dim, double alpha) {
  Slab slab;
  slab.read(x, dim);
  add_rows(RowAddition<T>{y.as<T>(), x.as<T>(), source.as<T>(), index.data, slab.outer, slab.n, index.count, slab.inner, T(alpha)});
}

// "x dim index source alpha"
PyObject* run_index_add(PyObject* const* args) {
  Array x, source;
  Indices index;
  int dim;
  double alpha = 1;
  if (!args[0] || !args[1] || !args[2] || !args[3] || !x.read(args[0]) || !read_dim(args[1], x, dim)) return nullptr;
  if (!index.read(args[2]) || !source.read(args[3]) || source.type != x.type || source.ndim != x.ndim) return nullptr;
  for (int d = 0; d < x.ndim; d++)
    if (source.shape[d] != (d == dim ? index.count : x.shape[d])) return nullptr;
  if (!index.within(x.shape[dim]) || x.shape[dim] >= INT32_MAX || index.count >= INT32_MAX) return nullptr;
  if (args[4] && !(PyLong_CheckExact(args[4]) || (PyFloat_CheckExact(args[4]) && x.type >= Type::F16))) return nullptr;
  if (args[4] && (!read_double(args[4], alpha) || alpha > 1e15 || alpha < -1e15)) return nullptr;
  const Type type = x.type;
  if (type == Type::I32 && (alpha > INT32_MAX || alpha < INT32_MIN)) return decline();
  Owned own, other;
  if (!summable(x, own) || !summable(source, other)) return nullptr;
  Owned result(new_array(x.ndim, x.shape, x.type));
  if (!result) return nullptr;
  const Array y = view_of(result.get());
  if (y.size() == 0) return result.give();
  switch (x.type) {
    case Type::F32: add_slices<float>(y, x, source, index, dim, alpha); break;
    case Type::F64: add_slices<double>(y, x, source, index, dim, alpha); break;
    case Type::I32: add_slices<int32_t>(y, x, source, index, dim, alpha); break;
    default: add_slices<int64_t>(y, x, source, index, dim, alpha); break;
  }
  return type == x.type ? result.give() : converted(y, type).give();
}

// "indices num_classes"
PyObject* run_one_hot(PyObject* const* args) {
  Indices index;
  int64_t classes;
  if (!args[0] || !index.read(args[0]) || !read_int(args[1], classes) || classes < 1 || index.count == 0) return nullptr;
  if (!index.within(classes) || index.array.ndim == max_dims) return nullptr;
  npy_intp shape[max_dims];
  std::copy_n(index.array.shape, index.array.ndim, shape);
  shape[index.array.ndim] = classes;
  PyObject* result = new_array(index.array.ndim + 1, shape, Type::I64);
  if (!result) return nullptr;
  int64_t* y = view_of(result).as<int64_t>();
  const ReleaseGil released(index.count * classes);
  const int64_t whole = index.count * classes <= serial_elements ? index.count : std::max<int64_t>(1, block_elements / classes);
  parallel_range(index.count, whole, [&](int64_t begin, int64_t end) {
    std::memset(y + begin * classes, 0, size_t(end - begin) * classes * sizeof(int64_t));
    for (int64_t i = begin; i < end; i++) y[i * classes + index.data[i]] = 1;
  });
  return result;
}

const Family family("embedding", {
                                     {"embedding_backward", "g indices num_weights padding_idx scale_grad_by_freq", run_embedding_backward},
                                     {"index_add", "x dim index source alpha", run_index_add},
                                     {"one_hot", "indices num_classes", run_one_hot},
                                 });

}  // namespace
}  // namespace rushlight
