// Copies: dense ones by memcpy on all threads, transpositions in square tiles, everything else element by element; and
// the constants: empty, zeros, full, scalar.
//
// A transposing copy (contiguous() of a permuted array) reads tiles of L x L elements as L vectors, transposes them in
// registers, and writes L vectors, so that whole cache lines move both ways; results larger than the caches are written past
// them. 2048 x 2048 floats take 1.8 times as long as a plain copy.
#include "copy.h"

#include <cmath>
#include <limits>
#include <utility>

#include "convert.h"
#include "iterate.h"
#include "kernel.h"
#include "microkernel.h"
#include "vec.h"

namespace rushlight {
namespace {

// y[i][j] = x[j][i] for i < rows and j < columns; steps in bytes from one row to the next.
template <class T>
void transpose(char* y, int64_t y_step, const char* x, int64_t x_step, int64_t rows, int64_t columns, bool far) {
  constexpr int64_t size = sizeof(T);
  if constexpr (size == 4 || size == 8) {
    using Real = std::conditional_t<size == 4, float, double>;  // of the same size: elements are only moved
    if (y_step % size == 0 && x_step % size == 0) {
      // In the caches a few rows of y at a time are faster: rows a power of two apart share a few sets.
      const int64_t at_once = far ? rows : lanes<Real>;
      for (int64_t i = 0; i < rows; i += at_once)
        transpose_into(reinterpret_cast<const Real*>(x) + i, x_step / size, columns, std::min(at_once, rows - i),
                       reinterpret_cast<Real*>(y + i * y_step), y_step / size, far);
      return;
    }
  }
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++) std::memcpy(y + i * y_step + j * size, x + j * x_step + i * size, size);
}

// ---- copies ----

template <class T>
void copy_row(char* const* at, const int64_t* step, int64_t count) {
  constexpr int64_t size = sizeof(T);
  if (step[0] == size && step[1] == size) {
    std::memcpy(at[0], at[1], count * size);
    return;
  }
  if (step[0] == size && step[1] == 0) {
    T* y = reinterpret_cast<T*>(at[0]);
    const T value = *reinterpret_cast<const T*>(at[1]);
    for (int64_t i = 0; i < count; i++) y[i] = value;
    return;
  }
  for (int64_t i = 0; i < count; i++) *reinterpret_cast<T*>(at[0] + i * step[0]) = *reinterpret_cast<const T*>(at[1] + i * step[1]);
}

// The dimension along which the source is dense while the target is dense along the last one; -1 for none.
int transposed_dimension(const Loop<2>& loop, int64_t size) {
  const int last = loop.ndim - 1;
  if (loop.strides[0][last] != size || loop.strides[1][last] == size || loop.strides[1][last] == 0 || loop.shape[last] < 2) return -1;
  for (int d = 0; d < last; d++)
    if (loop.strides[1][d] == size && loop.shape[d] > 1) return d;
  return -1;
}

// Copies tile by tile: `d` and the last dimension are cut into tiles, every combination of the others has its own.
template <class T>
void copy_transposed(const Loop<2>& loop, int d) {
  constexpr int64_t edge = 64;
  const int last = loop.ndim - 1;
  const int64_t rows = loop.shape[d], columns = loop.shape[last];
  // Where one side is short the other one is cut into longer pieces.
  const int64_t wide = columns < edge / 4 ? edge * edge / 4 : edge, high = rows < edge / 4 ? edge * edge / 4 : edge;
  const int64_t row_tiles = (rows + wide - 1) / wide, column_tiles = (columns + high - 1) / high;
  const int64_t tiles = loop.size / (rows * columns) * row_tiles * column_tiles;
  const bool far = loop.size * int64_t(sizeof(T)) >= far_bytes;
  auto one = [&](int64_t tile) {
    const int64_t row = tile % row_tiles * wide;
    tile /= row_tiles;
    const int64_t column = tile % column_tiles * high;
    tile /= column_tiles;
    char* y = loop.data[0] + row * loop.strides[0][d] + column * loop.strides[0][last];
    const char* x = loop.data[1] + row * loop.strides[1][d] + column * loop.strides[1][last];
    for (int other = last - 1; other >= 0; other--) {
      if (other == d) continue;
      const int64_t index = tile % loop.shape[other];
      tile /= loop.shape[other];
      y += index * loop.strides[0][other];
      x += index * loop.strides[1][other];
    }
    transpose<T>(y, loop.strides[0][d], x, loop.strides[1][last], std::min(wide, rows - row), std::min(high, columns - column), far);
  };
  if (loop.size <= serial_elements)
    for (int64_t tile = 0; tile < tiles; tile++) one(tile);
  else
    parallel(tiles, one);
}

// ---- constants ----

// A Python number as one element of `type`; false where the conversion is for NumPy to make.
bool element_of(PyObject* value, Type type, char* element) {
  double real;
  int64_t whole;
  const bool integer = value && PyLong_Check(value);
  if (!integer && !(value && PyFloat_Check(value))) return false;
  if (integer) {
    if (!read_int(value, whole) || std::abs(whole) > (int64_t(1) << 53)) return false;
    real = double(whole);
  } else {
    real = PyFloat_AS_DOUBLE(value);
    whole = 0;
  }
  const float single = float(real);
  auto put = [element](auto number) {
    std::memcpy(element, &number, sizeof number);
    return true;
  };
  auto put_whole = [&](auto limit) {
    using T = decltype(limit);
    if (!integer || whole < std::numeric_limits<T>::min() || whole > std::numeric_limits<T>::max()) return false;
    return put(T(whole));
  };
  switch (type) {
    case Type::F64: return put(real);
    case Type::F32: return put(single);
    case Type::F16:
    case Type::BF16:
      if (double(single) != real) return false;
      if (type == Type::F16)
        narrow(reinterpret_cast<Half*>(element), &single, 1);
      else
        narrow(reinterpret_cast<BFloat16*>(element), &single, 1);
      return true;
    case Type::Bool: return put(real != 0);
    case Type::I64: return put_whole(int64_t());
    case Type::I32: return put_whole(int32_t());
    case Type::I16: return put_whole(int16_t());
    case Type::I8: return put_whole(int8_t());
    case Type::U8: return put_whole(uint8_t());
    default: return false;
  }
}

// A shape of positive or zero lengths whose product is no overflow.
bool read_shape(PyObject* value, npy_intp* shape, int& ndim, int64_t& size) {
  int64_t lengths[max_dims];
  if (!value || !read_ints(value, lengths, ndim)) return false;
  size = 1;
  for (int i = 0; i < ndim; i++) {
    if (lengths[i] < 0 || __builtin_mul_overflow(size, std::max<int64_t>(1, lengths[i]), &size) || size > (int64_t(1) << 56)) return false;
    shape[i] = lengths[i];
  }
  for (int i = 0; i < ndim; i++)
    if (shape[i] == 0) size = 0;
  return true;
}

PyObject* filled(PyObject* shape_value, PyObject* dtype, PyObject* value, bool fill) {
  npy_intp shape[max_dims];
  int ndim;
  int64_t size;
  char element[16] = {};
  const Type type = type_of_dtype(dtype);
  if (type == Type::Other || !read_shape(shape_value, shape, ndim, size)) return decline();
  if (value && !element_of(value, type, element)) return decline();
  PyObject* result = new_array(ndim, shape, type);
  if (!result || !fill) return result;
  const Array array = view_of(result);
  fill_values(array.data, size, element, array.itemsize());
  return result;
}

// "shape dtype", "shape value dtype", "value dtype"
PyObject* run_empty(PyObject* const* args) { return filled(args[0], args[1], nullptr, false); }
PyObject* run_zeros(PyObject* const* args) { return filled(args[0], args[1], nullptr, true); }
PyObject* run_full(PyObject* const* args) { return args[1] ? filled(args[0], args[2], args[1], true) : decline(); }

PyObject* run_scalar(PyObject* const* args) {
  char element[16];
  const Type type = type_of_dtype(args[1]);
  if (type == Type::Other || !element_of(args[0], type, element)) return decline();
  PyObject* result = new_array(0, nullptr, type);
  if (result) {
    const Array array = view_of(result);
    std::memcpy(array.data, element, array.itemsize());
  }
  return result;
}

// "x"
PyObject* run_copy(PyObject* const* args) {
  Array x;
  if (!args[0] || !x.read(args[0])) return decline();
  PyObject* result = x.dense() ? new_array_like(x, x.type) : x.row_major_order() ? new_array(x.ndim, x.shape, x.type) : nullptr;
  if (!result) return nullptr;
  copy_values(view_of(result), x);
  return x.hidden ? hide(result) : result;
}

PyObject* run_contiguous(PyObject* const* args) {
  Array x;
  if (!args[0] || !x.read(args[0])) return decline();
  PyObject* result = new_array(x.ndim, x.shape, x.type);
  if (result) copy_values(view_of(result), x);
  return result;
}

// "target x"
PyObject* run_copy_into(PyObject* const* args) {
  Array target, x;
  if (!args[0] || !args[1] || !target.read(args[0]) || !x.read(args[1])) return decline();
  if (target.type != x.type || !target.writeable() || x.ndim > target.ndim || target.overlaps(x)) return decline();
  for (int i = 0; i < x.ndim; i++) {
    const npy_intp length = x.shape[i];
    if (length != 1 && length != target.shape[i + target.ndim - x.ndim]) return decline();
  }
  copy_values(target, x);
  Py_RETURN_NONE;
}

const Family family("copy", {
                                {"copy", "x", run_copy},
                                {"contiguous", "x", run_contiguous},
                                {"copy_into", "target x", run_copy_into},
                                {"empty", "shape dtype", run_empty},
                                {"zeros", "shape dtype", run_zeros},
                                {"full", "shape value dtype", run_full},
                                {"scalar", "value dtype", run_scalar},
                            });

}  // namespace

bool make_row_major(Array& x, Owned& copy) {
  if (x.contiguous()) return true;
  copy = Owned(new_array(x.ndim, x.shape, x.type));
  if (!copy) return false;
  const Array full = view_of(copy.get());
  copy_values(full, x);
  x = full;
  return true;
}

void copy_values(const Array& target, const Array& x) {
  const int64_t count = target.size(), size = target.itemsize();
  if (count == 0) return;
  if (target.contiguous()) {
    if (x.ndim == 0) return fill_values(target.data, count, x.data, size);
    if (count <= serial_elements && x.contiguous() && x.same_shape(target)) {
      std::memcpy(target.data, x.data, count * size);
      return;
    }
  }
  const Array* const operands[] = {&target, &x};
  Loop<2> loop;
  loop.prepare(operands);
  const int transposed = transposed_dimension(loop, size);
  const ReleaseGil released(loop.size);
  with_any_size(size, [&](auto element) {
    using T = decltype(element);
    if (transposed >= 0)
      copy_transposed<T>(loop, transposed);
    else
      loop.run(copy_row<T>);
  });
}

void fill_values(char* target, int64_t count, const char* element, int64_t size) {
  if (count == 0) return;
  bool same = true;
  for (int64_t i = 1; i < size; i++) same &= element[i] == element[0];
  const ReleaseGil released(count);
  parallel_range(count, count <= serial_elements ? count : block_elements, [&](int64_t begin, int64_t end) {
    if (same) {
      std::memset(target + begin * size, element[0], (end - begin) * size);
      return;
    }
    with_any_size(size, [&](auto zero) {
      decltype(zero) value, *y = reinterpret_cast<decltype(zero)*>(target);
      std::memcpy(&value, element, sizeof value);
      for (int64_t i = begin; i < end; i++) y[i] = value;
    });
  });
}

}  // namespace rushlight
