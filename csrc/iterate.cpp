// The result of an elementwise kernel (see iterate.h).
#include "iterate.h"

namespace rushlight {
namespace {

// The broadcast shape, or false when the shapes do not broadcast.
bool broadcast(const Array* const* operands, int count, int& ndim, npy_intp* shape) {
  ndim = 0;
  for (int k = 0; k < count; k++) ndim = std::max(ndim, operands[k]->ndim);
  std::fill(shape, shape + ndim, npy_intp(1));
  for (int k = 0; k < count; k++) {
    const int missing = ndim - operands[k]->ndim;
    for (int i = 0; i < operands[k]->ndim; i++) {
      const npy_intp length = operands[k]->shape[i];
      npy_intp& found = shape[i + missing];
      if (found == 1)
        found = length;
      else if (length != 1 && length != found)
        return false;
    }
  }
  return true;
}

bool full(const Array& a, int ndim, const npy_intp* shape) { return a.ndim == ndim && std::equal(shape, shape + ndim, a.shape); }

// Whether dense arrays of one shape lie in memory in the same order, whatever the size of their elements.
bool same_order(const Array& a, const Array& b) {
  for (int i = 0; i < a.ndim; i++)
    if (a.shape[i] != 1 && a.strides[i] / a.itemsize() != b.strides[i] / b.itemsize()) return false;
  return true;
}

bool given_target(Target& target, const Array* const* operands, int count, PyObject* out, Type type, int ndim,
                  const npy_intp* shape) {
  Array& array = target.array;
  if (!array.read(out) || array.type != type || !array.writeable() || !full(array, ndim, shape)) return false;
  for (int k = 0; k < count; k++)
    if (array.overlaps(*operands[k])) return false;
  target.value = Py_NewRef(out);
  target.hidden = false;  // `out` is what it is
  return true;
}

}  // namespace

bool make_target(Target& target, const Array* const* operands, int count, PyObject* out, Type type) {
  // Nearly every call: operands of one shape, row-major.
  const Array& first = *operands[0];
  bool plain = true;
  for (int k = 0; k < count && plain; k++) plain = operands[k]->contiguous() && operands[k]->same_shape(first);
  if (plain && !(out && out != Py_None)) {
    target.value = new_array(first.ndim, first.shape, type);
    return target.value && target.array.read(target.value);
  }
  int ndim;
  npy_intp shape[max_dims];
  if (!broadcast(operands, count, ndim, shape)) return false;
  if (out && out != Py_None) return given_target(target, operands, count, out, type, ndim, shape);
  // A layout that differs from row-major is taken over when every operand of the full shape has it or is the backend's
  // own business. Beside a row-major operand it is row-major, as with NumPy; what else the user chose that does not agree
  // is for the reference to reconcile.
  const Array* pattern = nullptr;
  bool users = false, row_major = false, unclear = false;
  for (int k = 0; k < count; k++) {
    const Array& a = *operands[k];
    if (a.contiguous() || a.row_major_order()) {
      if (!full(a, ndim, shape) || a.hidden) continue;
      const bool repeats = !a.contiguous() && std::find(a.strides, a.strides + ndim, 0) != a.strides + ndim;
      (repeats ? unclear : row_major) = true;
    } else if (!full(a, ndim, shape) || !a.dense()) {
      if (!a.hidden) return false;
    } else {
      users |= !a.hidden;
      target.hidden |= a.hidden;
      if (pattern && !same_order(*pattern, a)) unclear |= !(pattern->hidden && a.hidden);
      if (!pattern) pattern = &a;
    }
  }
  if (users && (target.hidden || (unclear && !row_major))) return false;
  if (users && row_major) pattern = nullptr;
  target.value = pattern ? new_array_like(*pattern, type) : new_array(ndim, shape, type);
  return target.value && target.array.read(target.value);
}

}  // namespace rushlight
