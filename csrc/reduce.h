// Reductions over any dimensions of an array with any strides: what an operation has to say, and the walk (reduce_walk.cpp).
//
// The walk orders the dimensions by their strides and merges neighbours, so that the innermost one, dense in memory, is
// either reduced (by row: runs are added up) or kept (by column: rows are added to each other, a strip of columns at a
// time). It knows of partial results only their size; so it is compiled once, and an operation is a few loops.
#pragma once
#include <algorithm>
#include <cstdint>

#include "array.h"

namespace rushlight {

constexpr int64_t strip_columns = 512;   // columns that are reduced together
constexpr size_t most_part_bytes = 24;   // of a partial result

// An operation without its types. `self` is handed to the functions that take it; parts are arrays of partial results.
struct Operation {
  const void* self;
  Type result;
  int64_t part_bytes, result_bytes;
  void (*start)(void* parts, int64_t count);
  // Merges a run of `count` elements into one part.
  void (*run)(const void* self, const char* x, int64_t count, void* part);
  // Merges each of `width` columns of a matrix with `stride` elements from row to row into its part.
  void (*rows)(const void* self, const char* x, int64_t count, int64_t stride, int64_t width, void* parts);
  void (*merge)(void* parts, const void* others, int64_t count);
  // Each `fold` neighbouring parts merged, as results that lie `step` elements apart.
  void (*finish)(const void* self, void* parts, int64_t count, int64_t fold, char* results, int64_t step);
};

// The Operation of a class with types In, Part and Out, `start()`, `run(p, n)`, the Part of a run, `rows(p, rows, stride, width, parts)`,
// `merge(part, other)` and `finish(part)`, the Out.
template <class Op>
Operation operation_of(const Op& op) {
  using In = typename Op::In;
  using Part = typename Op::Part;
  using Out = typename Op::Out;
  static_assert(sizeof(Part) <= most_part_bytes);
  Operation found;
  found.self = &op;
  found.result = type_of<Out>;
  found.part_bytes = sizeof(Part);
  found.result_bytes = sizeof(Out);
  found.start = [](void* parts, int64_t count) { std::fill_n(static_cast<Part*>(parts), count, Op::start()); };
  found.run = [](const void* self, const char* x, int64_t count, void* part) {
    const Op& own = *static_cast<const Op*>(self);
    own.merge(*static_cast<Part*>(part), own.run(reinterpret_cast<const In*>(x), count));
  };
  found.rows = [](const void* self, const char* x, int64_t count, int64_t stride, int64_t width, void* parts) {
    static_cast<const Op*>(self)->rows(reinterpret_cast<const In*>(x), count, stride, width, static_cast<Part*>(parts));
  };
  found.merge = [](void* parts, const void* others, int64_t count) {
    for (int64_t i = 0; i < count; i++) Op::merge(static_cast<Part*>(parts)[i], static_cast<const Part*>(others)[i]);
  };
  found.finish = [](const void* self, void* parts, int64_t count, int64_t fold, char* results, int64_t step) {
    Part* part = static_cast<Part*>(parts);
    Out* out = reinterpret_cast<Out*>(results);
    for (int64_t i = 0; i < count; i += fold, out += step) {
      for (int64_t k = 1; k < fold; k++) Op::merge(part[i], part[i + k]);
      *out = static_cast<const Op*>(self)->finish(part[i]);
    }
  };
  return found;
}

// The dimensions to reduce, as flags. False for what the reference should see: none of several, an empty array.
bool read_dims(PyObject* value, const Array& x, bool* over);

// Reduces x over the flagged dimensions into a new row-major array. NULL with an exception set, or without one where the
// reference should decide.
PyObject* reduce(const Array& x, const bool* over, bool keepdim, const Operation& operation);

}  // namespace rushlight
