// What softmax and the losses made of it share: an array along one of its dimensions, sharing rows among threads.
#pragma once
#include "iterate.h"
#include "kernel.h"
#include "math.h"
#include "moments.h"
#include "owned.h"

namespace rushlight {

// A dense array, whatever the order of its dimensions, seen as [outer, n, inner] in memory with respect to one of them.
struct Along {
  int64_t outer = 1, n = 1, inner = 1;

  bool read(const Array& x, int64_t dim) {
    if (x.ndim == 0) return dim == 0 || dim == -1;
    if (dim < 0 || dim >= x.ndim || !x.dense()) return false;
    n = x.shape[dim];
    for (int d = 0; d < x.ndim; d++)
      if (d != dim) (n != 1 && x.shape[d] != 1 && x.strides[d] < x.strides[dim] ? inner : outer) *= x.shape[d];
    return true;
  }
  int64_t size() const { return outer * n * inner; }
};

// Exponentials below which waking another thread does not pay.
inline constexpr int64_t serial_terms = 8 << 10;

// Runs body(begin, end) over pieces of `count` units of `each` terms.
template <class Body>
void share(int64_t count, int64_t each, Body&& body) {
  if (count * each <= serial_terms) {
    if (count > 0) body(int64_t(0), count);
    return;
  }
  parallel_range(count, std::max<int64_t>(1, serial_terms / each), body);
}

// Runs f(place, elements) for every vector of a row of n elements, the last of which may be partial.
template <class T, class F>
void each_place(int64_t n, F&& f) {
  for (int64_t i = 0; i < n; i += lanes<T>) f(i, std::min(lanes<T>, n - i));
}

// y = log(softmax(x)) along `along`. T is float or double.
template <class T>
void log_softmax(const Along& along, T* y, const T* x);

}  // namespace rushlight
