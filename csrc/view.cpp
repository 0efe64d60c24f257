// Views (see view.h): reshape, permute, expand, squeeze, unsqueeze, select and slices, of arrays of any dtype.
//
// NumPy takes these by way of Python code or of general indexing; here each is a handful of sizes and strides.
#include "view.h"

#include <algorithm>

#include "kernel.h"

namespace rushlight {

Owned view_as(PyArrayObject* owner, char* data, int ndim, const npy_intp* shape, const npy_intp* strides) {
  PyArray_Descr* descr = PyArray_DESCR(owner);
  Py_INCREF(descr);
  Owned made(PyArray_NewFromDescr(&PyArray_Type, descr, ndim, shape, strides, data, PyArray_FLAGS(owner) & NPY_ARRAY_WRITEABLE, nullptr));
  if (!made) return {};
  auto* view = reinterpret_cast<PyArrayObject*>(made.get());
  PyArray_UpdateFlags(view, NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_F_CONTIGUOUS | NPY_ARRAY_ALIGNED);
  if (PyArray_SetBaseObject(view, Py_NewRef(reinterpret_cast<PyObject*>(owner))) < 0) return {};
  return made;
}

namespace {

// An array, and the sizes and strides of a view of it that grow dimension by dimension.
struct View {
  PyArrayObject* x = nullptr;
  char* data = nullptr;
  int rank = 0;  // of x
  int ndim = 0;
  npy_intp shape[max_dims], strides[max_dims];

  bool read(PyObject* value) {
    if (!value || !PyArray_CheckExact(value)) return false;
    x = reinterpret_cast<PyArrayObject*>(value);
    data = PyArray_BYTES(x);
    rank = PyArray_NDIM(x);
    return rank < max_dims;
  }
  int64_t size(int i) const { return PyArray_DIM(x, i); }
  npy_intp stride(int i) const { return PyArray_STRIDE(x, i); }
  void add(npy_intp size, npy_intp stride) {
    shape[ndim] = size;
    strides[ndim++] = stride;
  }
  // Dimensions [begin, end) of x as they are.
  void keep(int begin, int end) {
    for (int i = begin; i < end; i++) add(size(i), stride(i));
  }
  PyObject* make() const { return view_as(x, data, ndim, shape, strides).give(); }
};

bool read_place(PyObject* value, int64_t end, int64_t& found) { return read_int(value, found) && found >= 0 && found < end; }

// "x shape"; where strides are involved NumPy finds out whether they allow it.
PyObject* reshape_view(PyObject* const* args) {
  View v;
  int64_t wanted[max_dims], step = 1;
  int count;
  if (!v.read(args[0]) || !PyArray_IS_C_CONTIGUOUS(v.x) || !read_ints(args[1], wanted, count)) return decline();
  npy_intp strides[max_dims];
  for (int i = count - 1; i >= 0; i--) {
    strides[i] = step * PyArray_ITEMSIZE(v.x);
    if (wanted[i] < 0 || __builtin_mul_overflow(step, wanted[i], &step)) return decline();
  }
  if (step == 0 || step != PyArray_SIZE(v.x)) return decline();
  for (int i = 0; i < count; i++) v.add(wanted[i], strides[i]);
  return v.make();
}

// "x dims"
PyObject* permute(PyObject* const* args) {
  View v;
  int64_t dims[max_dims];
  int count;
  if (!v.read(args[0]) || !read_ints(args[1], dims, count) || count != v.rank) return decline();
  bool seen[max_dims] = {};
  for (int i = 0; i < count; i++) {
    if (dims[i] < 0 || dims[i] >= v.rank || seen[dims[i]]) return decline();
    seen[dims[i]] = true;
    v.keep(int(dims[i]), int(dims[i]) + 1);
  }
  return v.make();
}

// "x shape"
PyObject* expand(PyObject* const* args) {
  View v;
  int64_t wanted[max_dims];
  int count;
  if (!v.read(args[0]) || !read_ints(args[1], wanted, count) || count < v.rank) return decline();
  const int lead = count - v.rank;
  for (int i = 0; i < count; i++) {
    const bool old = i >= lead;
    if (wanted[i] < 0 || (old && v.size(i - lead) != wanted[i] && v.size(i - lead) != 1)) return decline();
    v.add(wanted[i], !old || v.size(i - lead) != wanted[i] ? 0 : v.stride(i - lead));
  }
  return v.make();
}

// "x dims"
PyObject* squeeze(PyObject* const* args) {
  View v;
  int64_t dims[max_dims];
  int count;
  if (!v.read(args[0]) || !read_ints(args[1], dims, count)) return decline();
  for (int i = 0; i < v.rank; i++)
    if (std::find(dims, dims + count, i) == dims + count) v.keep(i, i + 1);
  return v.make();
}

// "x dim"; the stride of the new dimension is torch's, the size times the stride of what follows.
PyObject* unsqueeze(PyObject* const* args) {
  View v;
  int64_t dim;
  if (!v.read(args[0]) || !read_place(args[1], v.rank + 1, dim)) return decline();
  v.keep(0, int(dim));
  v.add(1, dim < v.rank ? v.stride(int(dim)) * v.size(int(dim)) : PyArray_ITEMSIZE(v.x));
  v.keep(int(dim), v.rank);
  return v.make();
}

// "x dim index"
PyObject* select(PyObject* const* args) {
  View v;
  int64_t dim, index;
  if (!v.read(args[0]) || !read_place(args[1], v.rank, dim) || !read_int(args[2], index)) return decline();
  if (index < 0) index += v.size(int(dim));
  if (index < 0 || index >= v.size(int(dim))) return decline();
  v.data += index * v.stride(int(dim));
  v.keep(0, int(dim));
  v.keep(int(dim) + 1, v.rank);
  return v.make();
}

// "x dim start stop step"
PyObject* slice(PyObject* const* args) {
  View v;
  int64_t dim, start, stop, step;
  if (!v.read(args[0]) || !read_place(args[1], v.rank, dim) || !read_int(args[2], start) || !read_int(args[3], stop) || !read_int(args[4], step))
    return decline();
  const int64_t size = v.size(int(dim));
  if (start < 0 || stop < 0 || step <= 0) return decline();
  start = std::min(start, size);
  stop = std::clamp(stop, start, size);
  v.data += start * v.stride(int(dim));
  v.keep(0, int(dim));
  const int64_t count = (stop - start + step - 1) / step;
  v.add(count, v.stride(int(dim)) * step);
  v.keep(int(dim) + 1, v.rank);
  return v.make();
}

const Family family("view", {
                                {"reshape_view", "x shape", reshape_view},
                                {"permute", "x dims", permute},
                                {"expand", "x shape", expand},
                                {"squeeze", "x dims", squeeze},
                                {"unsqueeze", "x dim", unsqueeze},
                                {"select", "x dim index", select},
                                {"slice", "x dim start stop step", slice},
                            });

}  // namespace
}  // namespace rushlight
