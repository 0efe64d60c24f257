// Binary search: searchsorted, bucketize.
//
// Eight values search side by side, each step a comparison and an addition without a branch, so that the loads of one do not
// wait for those of another. Threads share the values.
#include <algorithm>

#include "copy.h"
#include "index.h"
#include "iterate.h"
#include "kernel.h"

namespace rushlight {
namespace {

// Whether a value comes behind an element: in one sequence for all with NumPy's order (NaN the greatest), in rows by
// comparing alone, as the reference has it.
template <bool right, bool rows>
struct Behind {
  template <class T>
  static bool of(T element, T value) {
    if constexpr (rows) return right ? !(element > value) : !(element >= value);
    if constexpr (right) return !((value < element) | ((element != element) & (value == value)));
    return (element < value) | ((value != value) & (element == element));
  }
};

template <class Order, int width, class T>
void search(int64_t* y, const T* sequence, int64_t n, const T* values) {
  int64_t at[width] = {};
  for (int64_t left = n; left > 1;) {
    const int64_t half = left / 2;
    for (int v = 0; v < width; v++) at[v] += Order::of(sequence[at[v] + half - 1], values[v]) ? half : 0;
    left -= half;
  }
  for (int v = 0; v < width; v++) y[v] = at[v] + (n > 0 && Order::of(sequence[at[v]], values[v]));
}

template <class Order, class T>
void search_run(int64_t* y, const T* sequence, int64_t n, const T* values, int64_t count) {
  constexpr int width = 8;
  int64_t i = 0;
  for (; i + width <= count; i += width) search<Order, width>(y + i, sequence, n, values + i);
  for (; i < count; i++) search<Order, 1>(y + i, sequence, n, values + i);
}

// `count` values for each of `rows` sequences of n elements.
struct Job {
  const Array &sequence, &values;
  int64_t* y;
  int64_t n, rows, count;
};

template <class Order, class T>
void search_rows(const Job& job) {
  const int64_t total = job.rows * job.count, cost = 4 + 64 - __builtin_clzll(uint64_t(job.n) + 1);
  const ReleaseGil released(total * cost);
  auto some = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end;) {
      const int64_t row = i / job.count, stop = std::min(end, (row + 1) * job.count);
      search_run<Order>(job.y + i, job.sequence.as<T>() + row * job.n, job.n, job.values.as<T>() + i, stop - i);
      i = stop;
    }
  };
  if (total * cost <= serial_elements)
    some(0, total);
  else
    parallel_range(total, std::max<int64_t>(1, block_elements / cost), some);
}

template <class T>
void search_all(const Job& job, bool right, bool rows) {
  if (rows)
    right ? search_rows<Behind<true, true>, T>(job) : search_rows<Behind<false, true>, T>(job);
  else
    right ? search_rows<Behind<true, false>, T>(job) : search_rows<Behind<false, false>, T>(job);
}

PyObject* searched(PyObject* sequence_value, PyObject* values_value, PyObject* right_value) {
  Array sequence, values;
  Owned sequence_copy, values_copy;
  bool right = false;
  if (!sequence_value || !values_value || !sequence.read(sequence_value) || !values.read(values_value)) return nullptr;
  if (sequence.type != values.type || sequence.ndim == 0 || (right_value && !read_bool(right_value, right))) return nullptr;
  const bool rows = sequence.ndim > 1;
  const int last = sequence.ndim - 1;
  if (rows && (values.ndim != sequence.ndim || !std::equal(values.shape, values.shape + last, sequence.shape))) return nullptr;
  if (!make_row_major(sequence, sequence_copy) || !make_row_major(values, values_copy)) return nullptr;
  Owned result(new_array(values.ndim, values.shape, Type::I64));
  if (!result) return nullptr;
  const int64_t total = values.size(), count = rows ? values.shape[last] : total;
  if (total == 0) return result.give();
  const Job job{sequence, values, view_of(result.get()).as<int64_t>(), sequence.shape[last], total / count, count};
  switch (values.type) {
    case Type::F32: search_all<float>(job, right, rows); break;
    case Type::F64: search_all<double>(job, right, rows); break;
    case Type::I32: search_all<int32_t>(job, right, rows); break;
    case Type::I64: search_all<int64_t>(job, right, rows); break;
    default: return decline();
  }
  return result.give();
}

// "sequence values right sorter", "x boundaries right"
PyObject* run_searchsorted(PyObject* const* args) { return given(args[3]) ? decline() : searched(args[0], args[1], args[2]); }
PyObject* run_bucketize(PyObject* const* args) { return searched(args[1], args[0], args[2]); }

const Family family("search", {
                                  {"searchsorted", "sequence values right sorter", run_searchsorted},
                                  {"bucketize", "x boundaries right", run_bucketize},
                              });

}  // namespace
}  // namespace rushlight
