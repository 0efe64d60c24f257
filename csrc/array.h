// NumPy arrays as kernels see them, and the arrays kernels return.
#pragma once
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL rushlight_numpy
#ifndef RUSHLIGHT_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <Python.h>
#include <numpy/arrayobject.h>

#include <cstdint>

namespace rushlight {

constexpr int max_dims = NPY_MAXDIMS;

enum class Type : uint8_t { Bool, I8, U8, I16, U16, I32, U32, I64, U64, F16, BF16, F32, F64, C64, C128, Other };

// The types that kernels compute in as they are, without widening.
constexpr bool plain_float(Type type) { return type == Type::F32 || type == Type::F64; }

// Storage formats that are computed in float32.
struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

template <class T>
constexpr Type type_of = Type::Other;
template <>
inline constexpr Type type_of<bool> = Type::Bool;
template <>
inline constexpr Type type_of<int8_t> = Type::I8;
template <>
inline constexpr Type type_of<uint8_t> = Type::U8;
template <>
inline constexpr Type type_of<int16_t> = Type::I16;
template <>
inline constexpr Type type_of<int32_t> = Type::I32;
template <>
inline constexpr Type type_of<int64_t> = Type::I64;
template <>
inline constexpr Type type_of<Half> = Type::F16;
template <>
inline constexpr Type type_of<BFloat16> = Type::BF16;
template <>
inline constexpr Type type_of<float> = Type::F32;
template <>
inline constexpr Type type_of<double> = Type::F64;

// Elements that are only moved or chosen from need no type, just their size: calls use(T()) with an integer of `size` bytes;
// false where there is none (complex128's 16 bytes are with_any_size's).
template <class F>
bool with_size(int64_t size, F&& use) {
  switch (size) {
    case 1: use(int8_t()); return true;
    case 2: use(int16_t()); return true;
    case 4: use(int32_t()); return true;
    case 8: use(int64_t()); return true;
    default: return false;
  }
}

struct Bytes16 {
  uint64_t part[2];
};

template <class F>
bool with_any_size(int64_t size, F&& use) {
  if (size != 16) return with_size(size, use);
  use(Bytes16());
  return true;
}

// A borrowed ndarray. `hidden`: it came in a HiddenArray, so its order in memory is ours and not the user's; shape and
// strides are those of the reported shape all the same.
struct Array {
  PyArrayObject* object = nullptr;
  char* data = nullptr;
  const npy_intp* shape = nullptr;
  const npy_intp* strides = nullptr;  // in bytes
  int ndim = 0;
  Type type = Type::Other;
  bool hidden = false;

  // Reads `value`; false when it is no aligned ndarray in the machine's byte order.
  bool read(PyObject* value);

  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data);
  }
  int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; i++) n *= shape[i];
    return n;
  }
  int64_t itemsize() const { return PyArray_ITEMSIZE(object); }
  bool contiguous() const { return PyArray_IS_C_CONTIGUOUS(object); }
  bool writeable() const { return PyArray_ISWRITEABLE(object); }
  bool same_shape(const Array& other) const;
  bool same_strides(const Array& other) const;
  // Whether the elements fill one block of memory without gaps or repeats, in whatever order of dimensions.
  bool dense() const;
  // Whether the order of dimensions in memory is row-major, gaps, repeats and parts of a larger array allowed.
  bool row_major_order() const;
  // Channels innermost: [N, C, *spatial] that lies in memory as [N, *spatial, C]. A shape may be this and contiguous.
  bool channels_last() const;
  // Whether two arrays could share a byte; equal arrays (same start, shape, strides) count as not overlapping.
  bool overlaps(const Array& other) const;
};

// A new array with the block of the pool as its memory when it is large. Row-major, or, with `like`, in the memory order
// of that array, which must be dense and have the same shape. NULL with an exception set when there is no memory.
PyObject* new_array(int ndim, const npy_intp* shape, Type type);
PyObject* new_array_like(const Array& like, Type type);
// A dense array of `shape` (of as many dimensions as `like`) whose dimensions lie in memory in the order of those of `like`.
PyObject* new_array_in_order(const Array& like, const npy_intp* shape, Type type);
// [N, C, *spatial] that lies in memory as [N, *spatial, C].
PyObject* new_channels_last(int ndim, const npy_intp* shape, Type type);
// `array` (a new reference, given away) as a HiddenArray. A row-major array is returned as it is.
PyObject* hide(PyObject* array);

// Reads an array that this code just made.
inline Array view_of(PyObject* array) {
  Array found;
  found.read(array);
  return found;
}

// The type that a NumPy dtype object names; Other for anything else (and for nullptr).
Type type_of_dtype(PyObject* dtype);
int type_number(Type type);   // NumPy's number of a type, -1 for bfloat16 before ml_dtypes was met
extern PyTypeObject* hidden_type;  // rushlight's HiddenArray, set when the module is bound

}  // namespace rushlight
