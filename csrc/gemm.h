// Products of matrices: C = finish(A B), and batches of them, for float and double.
//
// A and B have any strides (in elements, zero and negative ones too); rows of C have unit stride and do not overlap A or B.
// How a product is computed follows from its shape and strides alone, so its bits do not depend on the number of threads.
// Uses scratch slots 5, 6 and 7; may be called inside a parallel region (it is serial there).
#pragma once
#include <cstdint>

#include "microkernel.h"

namespace rushlight {

template <class T>
struct Gemm {
  int64_t m, n, k;  // C is m x n, k the length of the sums; each may be 0
  const T* a;
  int64_t a_row, a_column;
  const T* b;
  int64_t b_row, b_column;
  T* c;
  int64_t c_row;
  Finish<T> finish = {};
};

template <class T>
void gemm(const Gemm<T>& g);

// Dimensions of a batch, outermost first, with what one step along each adds to the pointers of the matrices (in elements;
// 0 where an operand is broadcast).
struct Batch {
  static constexpr int most_dims = 64;
  int ndim = 0;
  int64_t count = 1;
  int64_t shape[most_dims];
  int64_t a[most_dims], b[most_dims], c[most_dims];
};

// The product `first` for every matrix of the batch.
template <class T>
void gemm_batch(const Gemm<T>& first, const Batch& batch);

// The sum of a[i] * b[i] over vectors of any strides.
template <class T>
T dot(int64_t count, const T* a, int64_t a_step, const T* b, int64_t b_step);

}  // namespace rushlight
