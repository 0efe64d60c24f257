// What the indexing kernels share: index arrays as dense int64, arrays as [outer, n, inner] around a dimension, and the
// addition of rows that may meet.
//
// Nothing here raises IndexError: an index out of bounds makes a kernel decline, and the reference finds the words.
#pragma once
#include "array.h"
#include "owned.h"

namespace rushlight {

// A dimension given as an int, counted from the front; false when the array has no such dimension.
bool read_dim(PyObject* value, const Array& x, int& dim);

// A dense copy of `x` as numbers of another type; empty where `converter` has nothing for the pair.
Owned converted(const Array& x, Type type);

// An array of integers as dense int64. A copy is made only where it lies otherwise or is of another type.
struct Indices {
  const int64_t* data = nullptr;
  int64_t count = 0;
  Array array;  // as it was given

  // False for anything but an array of integers (bool is a mask).
  bool read(PyObject* value);
  // Whether all are in [0, size). With `negative` those in [-size, 0) count from the end; they are then rewritten.
  bool within(int64_t size, bool negative = false);

 private:
  Owned copy_;
};

// A dense array, or a strided one whose slices along a dimension are dense, as [outer, n, inner].
struct Slab {
  char* data = nullptr;
  int64_t outer = 1, n = 1, inner = 1;        // inner in elements
  int64_t outer_step = 0, step = 0;           // bytes from one outer index, and from one slice, to the next
  int64_t bytes = 0;                          // of a slice: inner elements

  // The dimensions before `dim` are `outer`, the `width` from `dim` on together n. False when they do not merge.
  bool read(const Array& x, int dim, int width = 1);
  // The same, from a row-major copy where they do not. False with an exception set when there is no memory.
  bool read_or_copy(const Array& x, int dim, int width = 1);

 private:
  Owned copy_;
};

// y[o][j] = x[o][index[j]]; y is dense. Every index must be in [0, x.n).
void select_slices(char* y, const Slab& x, const int64_t* index, int64_t count);
// y[o][index[j]] = x[o][j] in the order of j, so that the last of equal indices stays; y is dense, [outer, n, inner] as `like`
// says. `x_step` is the step from one slice of x to the next, 0 for one slice that is written everywhere.
void put_slices(char* y, const Slab& like, const int64_t* index, int64_t count, const char* x, int64_t x_step);

// y[o][index[j]] += alpha * source[o][j] for all o and j, in the order of j: the sum of a row does not depend on threads.
// All are dense; y is [outer, n, inner], source [outer, count, inner].
template <class T>
struct RowAddition {
  T* y;
  const T* start;  // what y begins with: nullptr for zeros, y itself when it is added to in place
  const T* source;
  const int64_t* index;
  int64_t outer, n, count, inner;
  T alpha = T(1);
  int64_t skipped = -1;  // an index that is left out
  bool mean = false;     // divides every row by how many were added to it (start is nullptr then)
};

// T: float, double, int32_t, int64_t. n and count must be below 2^31.
template <class T>
void add_rows(const RowAddition<T>& job);

// Copies a slice. (For the short ones of a table of embeddings a call of memcpy would be most of the work.)
inline void copy_slice(char* y, const char* x, int64_t bytes);

}  // namespace rushlight

#include "vec.h"

namespace rushlight {

inline void copy_slice(char* y, const char* x, int64_t bytes) {
  constexpr int64_t step = RUSHLIGHT_VECTOR_BYTES;
  if (bytes > 1024 || bytes < step) {
    std::memcpy(y, x, size_t(bytes));
    return;
  }
  int64_t i = 0;
  for (; i + step <= bytes; i += step)
    store(reinterpret_cast<uint8_t*>(y) + i, load(reinterpret_cast<const uint8_t*>(x) + i));
  if (i < bytes) store(reinterpret_cast<uint8_t*>(y) + bytes - step, load(reinterpret_cast<const uint8_t*>(x) + bytes - step));
}

}  // namespace rushlight
