// Matrix products of arrays: matmul, mm, bmm, mv, dot, outer, addmm, baddbmm, for float32 and float64.
//
// Operands may have any strides: transposed and broadcast views are not copied. Results are row-major. What the reference
// refuses (ranks, sizes that do not fit) is declined here, so that it writes the message.
#include "gemm.h"
#include "kernel.h"
#include "parallel.h"

#include <algorithm>

namespace rushlight {
namespace {

// An operand as a batch of matrices: the last two dimensions, with strides in elements.
struct Operand {
  Array array;
  int64_t rows, columns, row, column;
};

bool read_operand(PyObject* value, Operand& found, int least, int most) {
  Array& x = found.array;
  if (!x.read(value) || !plain_float(x.type) || x.ndim < least || x.ndim > most) return false;
  for (int i = 0; i < x.ndim; i++)
    if (x.strides[i] % x.itemsize() != 0) return false;
  return true;
}

int64_t step(const Array& x, int dim) { return x.strides[dim] / x.itemsize(); }

// The dimensions of a matrix; a vector is one row (on the left of a product) or one column.
void place(Operand& x, bool left) {
  const Array& array = x.array;
  const int last = array.ndim - 1;
  if (array.ndim == 1) {
    x.rows = left ? 1 : array.shape[0];
    x.columns = left ? array.shape[0] : 1;
    x.row = left ? 1 : step(array, 0);
    x.column = left ? step(array, 0) : 1;
    return;
  }
  x.rows = array.shape[last - 1];
  x.columns = array.shape[last];
  x.row = step(array, last - 1);
  x.column = step(array, last);
}

// The step of an operand along dimension `dim` of a result with `ndim` dimensions; 0 where it is broadcast.
int64_t broadcast_step(const Array& x, int dim, int ndim, int own_ndim) {
  const int own = dim - (ndim - own_ndim);
  return own < 0 || x.shape[own] == 1 ? 0 : step(x, own);
}

// What is added to the product: nothing, a row that the kernel adds, or values that the result holds beforehand.
struct Addend {
  Array array;
  double beta = 1, alpha = 1;
};

// The addend is one contiguous row for all rows of the result.
bool is_row(const Addend& addend, const npy_intp* shape, int ndim) {
  const Array& x = addend.array;
  if (addend.beta != 1 || x.ndim == 0 || x.shape[x.ndim - 1] != shape[ndim - 1] || step(x, x.ndim - 1) != 1) return false;
  for (int i = 0; i < x.ndim - 1; i++)
    if (x.shape[i] != 1 && x.strides[i] != 0) return false;
  return true;
}

bool broadcasts(const Array& x, const npy_intp* shape, int ndim) {
  if (x.ndim > ndim) return false;
  for (int i = 0; i < x.ndim; i++)
    if (x.shape[i] != 1 && x.shape[i] != shape[i + ndim - x.ndim]) return false;
  return true;
}

// Fills the row-major result with beta * addend.
template <class T>
void spread(const Addend& addend, const Array& result) {
  const int ndim = result.ndim, last = ndim - 1;
  const int64_t length = result.shape[last], rows = length ? result.size() / length : 0;
  const int64_t along = broadcast_step(addend.array, last, ndim, addend.array.ndim);
  const T beta = T(addend.beta);
  const int64_t grain = std::max<int64_t>(1, (32 << 10) / std::max<int64_t>(1, length));
  parallel_range(rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const T* from = addend.array.as<T>();
      int64_t rest = row;
      for (int d = last - 1; d >= 0; d--) {
        from += rest % result.shape[d] * broadcast_step(addend.array, d, ndim, addend.array.ndim);
        rest /= result.shape[d];
      }
      T* const to = result.as<T>() + row * length;
      for (int64_t j = 0; j < length; j++) to[j] = beta * from[j * along];
    }
  });
}

template <class T>
void compute(const Operand& a, const Operand& b, const Array& result, int batch_dims, const Addend* addend, bool row) {
  Gemm<T> g{a.rows,   b.columns, a.columns,          a.array.as<T>(), a.row,     a.column,
            b.array.as<T>(), b.row,     b.column, result.as<T>(),  b.columns, {}};
  if (addend) {
    g.finish.scale = T(addend->alpha);
    if (row) {
      g.finish.bias = addend->array.as<T>();
    } else if (addend->beta != 0) {
      spread<T>(*addend, result);
      g.finish.accumulate = true;
    }
  }
  Batch batch;
  int64_t along_c = g.m * g.n;
  batch.ndim = batch_dims;
  for (int d = batch_dims - 1; d >= 0; d--) {
    batch.shape[d] = result.shape[d];
    batch.count *= result.shape[d];
    batch.a[d] = broadcast_step(a.array, d, batch_dims, std::max(0, a.array.ndim - 2));
    batch.b[d] = broadcast_step(b.array, d, batch_dims, std::max(0, b.array.ndim - 2));
    batch.c[d] = along_c;
    along_c *= result.shape[d];
  }
  if (batch_dims == 0) return gemm(g);
  // A batch of left matrices whose rows follow each other, times one matrix, is one tall product.
  bool tall = true;
  int64_t rows = g.m;
  for (int d = batch_dims - 1; d >= 0 && tall; d--) {
    if (batch.shape[d] == 1) continue;
    if (rows == 1) g.a_row = batch.a[d];
    tall = batch.b[d] == 0 && batch.a[d] == rows * g.a_row;
    rows *= batch.shape[d];
  }
  if (tall) {
    g.m = rows;
    return gemm(g);
  }
  gemm_batch(g, batch);
}

PyObject* product(Operand& a, Operand& b, const Addend* addend = nullptr) {
  if (a.array.type != b.array.type) return decline();
  place(a, true);
  place(b, false);
  if (a.columns != b.rows) return decline();
  const int a_batch = std::max(0, a.array.ndim - 2), b_batch = std::max(0, b.array.ndim - 2), batch_dims = std::max(a_batch, b_batch);
  npy_intp shape[max_dims];
  int ndim = 0;
  for (; ndim < batch_dims; ndim++) {
    const int i = ndim - (batch_dims - a_batch), j = ndim - (batch_dims - b_batch);
    const npy_intp left = i < 0 ? 1 : a.array.shape[i], right = j < 0 ? 1 : b.array.shape[j];
    if (left != right && left != 1 && right != 1) return decline();
    shape[ndim] = left == 1 ? right : left;
  }
  if (a.array.ndim > 1) shape[ndim++] = a.rows;
  if (b.array.ndim > 1) shape[ndim++] = b.columns;
  if (addend && !broadcasts(addend->array, shape, ndim)) return decline();
  const bool row = addend && is_row(*addend, shape, ndim);
  PyObject* value = new_array(ndim, shape, a.array.type);
  if (!value) return nullptr;
  const Array result = view_of(value);
  {
    const ReleaseGil released(result.size() * std::max<int64_t>(1, a.columns));
    if (a.array.type == Type::F32)
      compute<float>(a, b, result, batch_dims, addend, row);
    else
      compute<double>(a, b, result, batch_dims, addend, row);
  }
  return value;
}

PyObject* matmul(PyObject* const* args) {
  Operand a, b;
  if (!read_operand(args[0], a, 1, max_dims) || !read_operand(args[1], b, 1, max_dims)) return decline();
  return product(a, b);
}

PyObject* mm(PyObject* const* args) {
  Operand a, b;
  if (!read_operand(args[0], a, 2, 2) || !read_operand(args[1], b, 2, 2)) return decline();
  return product(a, b);
}

PyObject* bmm(PyObject* const* args) {
  Operand a, b;
  if (!read_operand(args[0], a, 3, 3) || !read_operand(args[1], b, 3, 3) || a.array.shape[0] != b.array.shape[0]) return decline();
  return product(a, b);
}

PyObject* mv(PyObject* const* args) {
  Operand a, v;
  if (!read_operand(args[0], a, 2, 2) || !read_operand(args[1], v, 1, 1)) return decline();
  return product(a, v);
}

PyObject* dot_vectors(PyObject* const* args) {
  Operand a, b;
  if (!read_operand(args[0], a, 1, 1) || !read_operand(args[1], b, 1, 1)) return decline();
  const int64_t count = a.array.shape[0];
  if (a.array.type != b.array.type || count != b.array.shape[0]) return decline();
  PyObject* value = new_array(0, nullptr, a.array.type);
  if (!value) return nullptr;
  const Array result = view_of(value);
  {
    const ReleaseGil released(count);
    if (a.array.type == Type::F32)
      *result.as<float>() = dot(count, a.array.as<float>(), step(a.array, 0), b.array.as<float>(), step(b.array, 0));
    else
      *result.as<double>() = dot(count, a.array.as<double>(), step(a.array, 0), b.array.as<double>(), step(b.array, 0));
  }
  return value;
}

template <class T>
void multiply_all(const Array& a, const Array& b, const Array& result) {
  constexpr int64_t L = lanes<T>;
  const int64_t n = b.shape[0], a_step = step(a, 0), b_step = step(b, 0);
  const int64_t grain = std::max<int64_t>(1, (32 << 10) / std::max<int64_t>(1, n));
  parallel_range(a.shape[0], grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const T factor = a.as<T>()[i * a_step];
      const T* const from = b.as<T>();
      T* const to = result.as<T>() + i * n;
      int64_t j = 0;
      if (b_step == 1) {
        for (; j + L <= n; j += L) store(to + j, splat(factor) * load(from + j));
      }
      for (; j < n; j++) to[j] = factor * from[j * b_step];
    }
  });
}

PyObject* outer(PyObject* const* args) {
  Operand a, b;
  if (!read_operand(args[0], a, 1, 1) || !read_operand(args[1], b, 1, 1) || a.array.type != b.array.type) return decline();
  const npy_intp shape[] = {a.array.shape[0], b.array.shape[0]};
  PyObject* value = new_array(2, shape, a.array.type);
  if (!value) return nullptr;
  const Array result = view_of(value);
  {
    const ReleaseGil released(result.size());
    a.array.type == Type::F32 ? multiply_all<float>(a.array, b.array, result) : multiply_all<double>(a.array, b.array, result);
  }
  return value;
}

// c, a, b, beta, alpha.
PyObject* added(PyObject* const* args, int ndim) {
  Operand a, b, c;
  Addend addend;
  if (!read_operand(args[1], a, ndim, ndim) || !read_operand(args[2], b, ndim, ndim)) return decline();
  if (ndim == 3 && a.array.shape[0] != b.array.shape[0]) return decline();
  if (!read_operand(args[0], c, 0, ndim) || c.array.type != a.array.type) return decline();
  if (args[3] && !read_double(args[3], addend.beta)) return decline();
  if (args[4] && !read_double(args[4], addend.alpha)) return decline();
  addend.array = c.array;
  return product(a, b, &addend);
}

PyObject* addmm(PyObject* const* args) { return added(args, 2); }
PyObject* baddbmm(PyObject* const* args) { return added(args, 3); }

const Family family("matmul", {
                                  {"matmul", "a b", matmul},
                                  {"mm", "a b", mm},
                                  {"bmm", "a b", bmm},
                                  {"mv", "a v", mv},
                                  {"dot", "a b", dot_vectors},
                                  {"outer", "a b", outer},
                                  {"addmm", "c a b beta alpha", addmm},
                                  {"baddbmm", "c a b beta alpha", baddbmm},
                              });

}  // namespace
}  // namespace rushlight
