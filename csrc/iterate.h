// Walking several arrays element by element: broadcasting, strides, threads.
//
// Operand 0 is the result. Dimensions are ordered by the result's strides and merged where all operands allow it, so that
// arrays of one layout, whatever it is, become one long row. A row goes to `body(pointers, strides, count)`; rows and
// parts of long rows are shared among threads.
#pragma once
#include <algorithm>
#include <cstdint>

#include "array.h"
#include "parallel.h"

namespace rushlight {

// Elements up to which a loop runs on one thread, and elements in a block of a larger one, where an element costs about
// one addition.
constexpr int64_t serial_elements = 32 << 10;
constexpr int64_t block_elements = 16 << 10;

template <int N>
struct Loop {
  int ndim = 0;  // outermost first
  int64_t shape[max_dims];
  int64_t strides[N][max_dims];
  char* data[N];
  int64_t size = 1;

  // Prepares the walk over `shape_of_result` with operands of any broadcastable shape.
  void prepare(const Array* const (&operands)[N]) {
    const Array& result = *operands[0];
    for (int k = 0; k < N; k++) data[k] = operands[k]->data;
    size = result.size();
    bool flat = true;
    for (int k = 0; k < N && flat; k++) flat = operands[k]->contiguous() && operands[k]->same_shape(result);
    if (flat) {
      ndim = 1;
      shape[0] = size;
      for (int k = 0; k < N; k++) strides[k][0] = operands[k]->itemsize();
      return;
    }
    int order[max_dims];
    for (int i = 0; i < result.ndim; i++) {  // insertion sort: the order of equal strides stays
      int place = i;
      for (; place > 0 && result.strides[order[place - 1]] < result.strides[i]; place--) order[place] = order[place - 1];
      order[place] = i;
    }
    for (int d = 0; d < result.ndim; d++) {
      const int axis = order[d];
      const int64_t length = result.shape[axis];
      if (length == 1) continue;
      int64_t step[N];
      for (int k = 0; k < N; k++) {
        const int own = axis - (result.ndim - operands[k]->ndim);
        step[k] = own < 0 || operands[k]->shape[own] == 1 ? 0 : operands[k]->strides[own];
      }
      bool merges = ndim > 0;
      for (int k = 0; k < N && merges; k++) merges = strides[k][ndim - 1] == step[k] * length;
      if (merges) {
        shape[ndim - 1] *= length;
        for (int k = 0; k < N; k++) strides[k][ndim - 1] = step[k];
      } else {
        shape[ndim] = length;
        for (int k = 0; k < N; k++) strides[k][ndim] = step[k];
        ndim++;
      }
    }
    if (ndim == 0) {
      shape[0] = 1;
      for (int k = 0; k < N; k++) strides[k][0] = 0;
      ndim = 1;
    }
  }

  // `cost`: how many additions one element is worth.
  template <class Body>
  void run(Body&& body, int64_t cost = 1) const {
    if (size == 0) return;
    const int64_t length = shape[ndim - 1], rows = size / length, block = block_elements / cost;
    int64_t step[N];
    for (int k = 0; k < N; k++) step[k] = strides[k][ndim - 1];
    if (size * cost <= serial_elements) {
      walk(0, rows, 0, length, step, body);
    } else if (length >= block) {
      // Blocks are parts of rows.
      const int64_t parts = (length + block - 1) / block;
      parallel(rows * parts, [&](int64_t number) {
        const int64_t row = number / parts, begin = number % parts * block;
        walk(row, row + 1, begin, std::min(length, begin + block), step, body);
      });
    } else {
      parallel_range(rows, std::max<int64_t>(1, block / length),
                     [&](int64_t begin, int64_t end) { walk(begin, end, 0, length, step, body); });
    }
  }

 private:
  template <class Body>
  void walk(int64_t begin, int64_t end, int64_t from, int64_t to, const int64_t (&step)[N], Body&& body) const {
    int64_t index[max_dims];
    char* at[N];
    for (int k = 0; k < N; k++) at[k] = data[k] + from * step[k];
    int64_t rest = begin;
    for (int d = ndim - 2; d >= 0; d--) {
      index[d] = rest % shape[d];
      rest /= shape[d];
      for (int k = 0; k < N; k++) at[k] += index[d] * strides[k][d];
    }
    for (int64_t row = begin; row < end; row++) {
      body(static_cast<char* const*>(at), static_cast<const int64_t*>(step), to - from);
      for (int d = ndim - 2; d >= 0; d--) {
        for (int k = 0; k < N; k++) at[k] += strides[k][d];
        if (++index[d] < shape[d]) break;
        for (int k = 0; k < N; k++) at[k] -= shape[d] * strides[k][d];
        index[d] = 0;
      }
    }
  }
};

// The result of an elementwise kernel: `out` when it is given, else a new array of the broadcast shape in the layout the
// operands share. `value` is nullptr without an exception where the reference should decide: shapes that do not
// broadcast, an `out` that does not fit or overlaps an operand, layouts the user chose that do not agree.
struct Target {
  PyObject* value = nullptr;
  Array array;
  bool hidden = false;

  // The finished result, a new reference; a HiddenArray where the operands were.
  PyObject* give() { return hidden ? hide(value) : value; }
};

// `out` may be nullptr or None. `in_place_hidden`: a HiddenArray as `out` is written to and returned.
bool make_target(Target& target, const Array* const* operands, int count, PyObject* out, Type type);

}  // namespace rushlight
