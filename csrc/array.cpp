// Reading NumPy arrays and making results (see array.h).
#include "array.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "pool.h"

namespace rushlight {

PyTypeObject* hidden_type = nullptr;

namespace {

int bfloat16_number = -1;
PyObject* array_name = nullptr;  // "array", interned

bool is_bfloat16(PyArray_Descr* descr) {
  if (bfloat16_number >= 0) return descr->type_num == bfloat16_number;
  const char* name = descr->typeobj->tp_name;
  const char* dot = std::strrchr(name, '.');
  if (std::strcmp(dot ? dot + 1 : name, "bfloat16") != 0) return false;
  bfloat16_number = descr->type_num;
  return true;
}

Type type_from(PyArray_Descr* descr) {
  switch (descr->type_num) {
    case NPY_BOOL: return Type::Bool;
    case NPY_INT8: return Type::I8;
    case NPY_UINT8: return Type::U8;
    case NPY_INT16: return Type::I16;
    case NPY_UINT16: return Type::U16;
    case NPY_INT32: return Type::I32;
    case NPY_UINT32: return Type::U32;
    case NPY_INT64: return Type::I64;
    case NPY_UINT64: return Type::U64;
    case NPY_HALF: return Type::F16;
    case NPY_FLOAT: return Type::F32;
    case NPY_DOUBLE: return Type::F64;
    case NPY_CFLOAT: return Type::C64;
    case NPY_CDOUBLE: return Type::C128;
    default: break;
  }
  if (descr->type_num == NPY_LONGLONG) return Type::I64;
  if (descr->type_num == NPY_ULONGLONG) return Type::U64;
  return descr->type_num >= NPY_USERDEF && is_bfloat16(descr) ? Type::BF16 : Type::Other;
}

}  // namespace

Type type_of_dtype(PyObject* dtype) {
  if (!dtype || !PyArray_DescrCheck(dtype)) return Type::Other;
  auto* descr = reinterpret_cast<PyArray_Descr*>(dtype);
  return PyArray_ISNBO(descr->byteorder) ? type_from(descr) : Type::Other;
}

int type_number(Type type) {
  switch (type) {
    case Type::Bool: return NPY_BOOL;
    case Type::I8: return NPY_INT8;
    case Type::U8: return NPY_UINT8;
    case Type::I16: return NPY_INT16;
    case Type::U16: return NPY_UINT16;
    case Type::I32: return NPY_INT32;
    case Type::U32: return NPY_UINT32;
    case Type::I64: return NPY_INT64;
    case Type::U64: return NPY_UINT64;
    case Type::F16: return NPY_HALF;
    case Type::BF16: return bfloat16_number;
    case Type::F32: return NPY_FLOAT;
    case Type::F64: return NPY_DOUBLE;
    case Type::C64: return NPY_CFLOAT;
    case Type::C128: return NPY_CDOUBLE;
    case Type::Other: break;
  }
  return -1;
}

bool Array::read(PyObject* value) {
  hidden = false;
  if (!PyArray_CheckExact(value)) {
    if (Py_TYPE(value) != hidden_type) return false;
    if (!array_name) array_name = PyUnicode_InternFromString("array");
    value = PyObject_GetAttr(value, array_name);
    if (!value) {
      PyErr_Clear();
      return false;
    }
    Py_DECREF(value);  // the HiddenArray holds it as long as the call lasts
    hidden = true;
  }
  object = reinterpret_cast<PyArrayObject*>(value);
  if (!PyArray_ISBEHAVED_RO(object)) return false;
  data = PyArray_BYTES(object);
  ndim = PyArray_NDIM(object);
  shape = PyArray_DIMS(object);
  strides = PyArray_STRIDES(object);
  type = type_from(PyArray_DESCR(object));
  return type != Type::Other;
}

bool Array::same_shape(const Array& other) const {
  return ndim == other.ndim && std::equal(shape, shape + ndim, other.shape);
}

bool Array::same_strides(const Array& other) const {
  for (int i = 0; i < ndim; i++)
    if (strides[i] != other.strides[i] && shape[i] != 1) return false;
  return true;
}

bool Array::dense() const {
  if (contiguous()) return true;
  int order[max_dims];
  int count = 0;
  for (int i = 0; i < ndim; i++)
    if (shape[i] != 1) order[count++] = i;
  std::sort(order, order + count, [&](int a, int b) { return strides[a] < strides[b]; });
  npy_intp expected = itemsize();
  for (int i = 0; i < count; i++) {
    if (strides[order[i]] != expected) return false;
    expected *= shape[order[i]];
  }
  return true;
}

bool Array::row_major_order() const {
  npy_intp outer = NPY_MAX_INTP;
  for (int i = 0; i < ndim; i++) {
    if (shape[i] == 1 || strides[i] == 0) continue;
    if (strides[i] < 0 || strides[i] > outer) return false;
    outer = strides[i];
  }
  return true;
}

bool Array::channels_last() const {
  if (ndim < 3) return false;
  npy_intp expected = itemsize();
  if (shape[1] != 1 && strides[1] != expected) return false;
  expected *= shape[1];
  for (int i = ndim - 1; i > 1; i--) {
    if (shape[i] != 1 && strides[i] != expected) return false;
    expected *= shape[i];
  }
  return shape[0] == 1 || strides[0] == expected;
}

bool Array::overlaps(const Array& other) const {
  if (data == other.data && same_shape(other) && same_strides(other)) return false;
  auto range = [](const Array& a, char*& low, char*& high) {
    low = a.data;
    high = a.data + a.itemsize();
    for (int i = 0; i < a.ndim; i++) {
      if (a.shape[i] == 0) high = low;
      const npy_intp reach = (a.shape[i] - 1) * a.strides[i];
      (reach < 0 ? low : high) += reach;
    }
  };
  char *low, *high, *other_low, *other_high;
  range(*this, low, high);
  range(other, other_low, other_high);
  return low < other_high && other_low < high;
}

namespace {

PyObject* with_strides(int ndim, const npy_intp* shape, const npy_intp* strides, Type type) {
  PyArray_Descr* descr = PyArray_DescrFromType(type_number(type));
  if (!descr) return nullptr;
  npy_intp bytes = PyDataType_ELSIZE(descr);
  for (int i = 0; i < ndim; i++) bytes *= shape[i];
  if (bytes < npy_intp(pool_threshold))
    return PyArray_NewFromDescr(&PyArray_Type, descr, ndim, shape, strides, nullptr, 0, nullptr);
  PyObject* block = new_block(size_t(bytes));
  if (!block) {
    Py_DECREF(descr);
    return nullptr;
  }
  PyObject* array = PyArray_NewFromDescr(&PyArray_Type, descr, ndim, shape, strides, block_memory(block),
                                         NPY_ARRAY_WRITEABLE | NPY_ARRAY_ALIGNED, nullptr);
  if (!array) {
    Py_DECREF(block);
    return nullptr;
  }
  if (!strides) PyArray_UpdateFlags(reinterpret_cast<PyArrayObject*>(array), NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_F_CONTIGUOUS);
  if (PyArray_SetBaseObject(reinterpret_cast<PyArrayObject*>(array), block) < 0) {
    Py_DECREF(array);
    return nullptr;
  }
  return array;
}

}  // namespace

PyObject* new_array(int ndim, const npy_intp* shape, Type type) { return with_strides(ndim, shape, nullptr, type); }

PyObject* new_array_like(const Array& like, Type type) {
  if (like.contiguous()) return with_strides(like.ndim, like.shape, nullptr, type);
  const int number = type_number(type);
  const npy_intp size = number < 0 ? 2 : PyDataType_ELSIZE(PyArray_DESCR(like.object));
  PyArray_Descr* descr = PyArray_DescrFromType(number);
  if (!descr) return nullptr;
  const npy_intp wanted = PyDataType_ELSIZE(descr);
  Py_DECREF(descr);
  npy_intp strides[max_dims];
  for (int i = 0; i < like.ndim; i++) strides[i] = like.strides[i] / size * wanted;
  return with_strides(like.ndim, like.shape, strides, type);
}

PyObject* new_array_in_order(const Array& like, const npy_intp* shape, Type type) {
  PyArray_Descr* descr = PyArray_DescrFromType(type_number(type));
  if (!descr) return nullptr;
  npy_intp step = PyDataType_ELSIZE(descr);
  Py_DECREF(descr);
  int order[max_dims];
  for (int i = 0; i < like.ndim; i++) order[i] = i;
  std::stable_sort(order, order + like.ndim, [&](int a, int b) { return std::abs(like.strides[a]) > std::abs(like.strides[b]); });
  if (std::is_sorted(order, order + like.ndim)) return new_array(like.ndim, shape, type);
  npy_intp strides[max_dims];
  for (int i = like.ndim - 1; i >= 0; i--) {
    strides[order[i]] = step;
    step *= shape[order[i]];
  }
  return with_strides(like.ndim, shape, strides, type);
}

PyObject* new_channels_last(int ndim, const npy_intp* shape, Type type) {
  PyArray_Descr* descr = PyArray_DescrFromType(type_number(type));
  if (!descr) return nullptr;
  npy_intp strides[max_dims];
  strides[1] = PyDataType_ELSIZE(descr);
  Py_DECREF(descr);
  npy_intp step = strides[1] * shape[1];
  for (int i = ndim - 1; i > 1; i--) {
    strides[i] = step;
    step *= shape[i];
  }
  strides[0] = step;
  return with_strides(ndim, shape, strides, type);
}

PyObject* hide(PyObject* array) {
  if (!array) return nullptr;
  auto* fresh = reinterpret_cast<PyArrayObject*>(array);
  if (PyArray_IS_C_CONTIGUOUS(fresh)) {
    // One order is the other: where a dimension has one element, its stride alone would give away which was meant.
    npy_intp step = PyArray_ITEMSIZE(fresh);
    for (int i = PyArray_NDIM(fresh) - 1; i >= 0; i--) {
      PyArray_STRIDES(fresh)[i] = step;
      step *= PyArray_DIM(fresh, i);
    }
    return array;
  }
  PyObject* hidden = PyObject_CallOneArg(reinterpret_cast<PyObject*>(hidden_type), array);
  Py_DECREF(array);
  return hidden;
}

}  // namespace rushlight
