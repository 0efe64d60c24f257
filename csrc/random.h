// What the random kernels share: tempered words, uniform numbers, and the array that is filled.
#pragma once
#include "kernel.h"
#include "mersenne.h"
#include "trigonometry.h"

namespace rushlight {

// ---- words to numbers ----

// n words of a vector, tempered; those that are missing are not zero but harmless.
inline Vec<uint32_t> words_at(const uint32_t* words, int64_t n) {
  return temper(n >= lanes<uint32_t> ? load(words) : load_part(words, n));
}

// In [0, 1): the low 24 bits of a word each.
inline Floats uniform24(Vec<uint32_t> words) {
  return __builtin_convertvector(Vec<int32_t>(words & 0xffffffu), Floats) * 0x1p-24f;
}

// The low 53 bits of two words each, the earlier one on top.
inline Vec<uint64_t> bits53(Vec<uint32_t> words) {
  const Vec<uint64_t> pairs = Vec<uint64_t>(words);
  return ((pairs << 32) | (pairs >> 32)) & 0x1fffffffffffffu;
}

// In [0, 1). The upper and the lower half become numbers by standing behind the bits of 2^84 and 2^52.
inline Doubles uniform53(Vec<uint32_t> words) {
  const Vec<uint64_t> bits = bits53(words);
  const Doubles upper = Doubles((bits >> 32) | 0x4530000000000000u) - 0x1p84;
  const Doubles lower = Doubles((bits & 0xffffffffu) | 0x4330000000000000u) - 0x1p52;
  return (upper + lower) * 0x1p-53;
}

// Whether a uniform number of 53 bits is below p, for a vector of float32 lanes: `threshold` is p * 2^53, rounded up.
inline Vec<int32_t> below(const uint32_t* words, int64_t n, int64_t threshold) {
  typedef int32_t Part __attribute__((vector_size(RUSHLIGHT_VECTOR_BYTES / 2)));
  constexpr int64_t L = lanes<uint32_t>;
  Part part[2];
  for (int64_t half = 0; half < 2; half++) {
    const Vec<uint32_t> here = words_at(words + half * L, std::max<int64_t>(0, 2 * n - half * L));
    part[half] = __builtin_convertvector(Vec<int64_t>(bits53(here)) < threshold, Part);
  }
  Vec<int32_t> mask;
  std::memcpy(&mask, part, sizeof mask);
  return mask;
}

template <class T>
inline void store_upto(T* to, Vec<T> v, int64_t n) {
  if (n >= lanes<T>)
    store(to, v);
  else
    store_part(to, v, n);
}

// ---- arguments ----

// Where numbers go: `out`, or a new array of the shape.
struct Destination {
  PyObject* value = nullptr;
  Array array;
  int64_t size = 0;

  bool open(PyObject* shape, PyObject* dtype, PyObject* out) {
    const Type type = type_of_dtype(dtype);
    if (given(out)) {
      if (!array.read(out) || array.hidden || array.type != type || !array.dense() || !array.writeable()) return false;
      value = Py_NewRef(out);
    } else {
      npy_intp sizes[max_dims];
      int64_t read[max_dims];
      int ndim;
      if (type == Type::Other || !read_ints(shape, read, ndim)) return false;
      std::copy_n(read, ndim, sizes);
      value = new_array(ndim, sizes, type);
      if (!value) return false;
      array = view_of(value);
    }
    size = array.size();
    return true;
  }
  // The result of a kernel that drew from `source`: a new reference.
  PyObject* finish(Source& source) const { return size == 0 || source.finish() ? Py_NewRef(value) : nullptr; }
  ~Destination() { Py_XDECREF(value); }
};

}  // namespace rushlight
