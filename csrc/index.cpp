// Index arrays, slabs and sums of rows that meet (see index.h).
//
// Large sums of rows thread every target row's sources into a chain (`first` of the row, `next` of the source), made
// backwards so that a chain is in order. Then a row is written once, whole, from registers, and threads share the rows.
#include "index.h"

#include <algorithm>

#include "convert.h"
#include "copy.h"
#include "iterate.h"
#include "kernel.h"

namespace rushlight {

bool read_dim(PyObject* value, const Array& x, int& dim) {
  int64_t found;
  if (!read_int(value, found)) return false;
  if (found < 0) found += x.ndim;
  dim = int(found);
  return found >= 0 && found < x.ndim;
}

Owned converted(const Array& x, Type type) {
  const Convert convert = converter(x.type, type);
  if (!convert) return {};
  Owned dense;
  Array from = x;
  if (!x.contiguous()) {
    dense = Owned(new_array(x.ndim, x.shape, x.type));
    if (!dense) return {};
    from = view_of(dense.get());
    copy_values(from, x);
  }
  Owned made(new_array(x.ndim, x.shape, type));
  if (!made) return {};
  const Array to = view_of(made.get());
  const int64_t wide = to.itemsize(), narrow = from.itemsize();
  const ReleaseGil released(from.size());
  parallel_range(from.size(), serial_elements,
                 [&](int64_t begin, int64_t end) { convert(to.data + begin * wide, from.data + begin * narrow, end - begin); });
  return made;
}

// ---- indices ----

namespace {

// The largest of the indices, each as an unsigned number after `offset` was added.
uint64_t highest(const int64_t* index, int64_t count, int64_t offset) {
  auto of = [&](int64_t begin, int64_t end) {
    uint64_t found = 0;
    for (int64_t i = begin; i < end; i++) found = std::max(found, uint64_t(index[i]) + uint64_t(offset));
    return found;
  };
  if (count <= 4 * block_elements) return of(0, count);
  std::atomic<uint64_t> all{0};
  parallel_range(count, 4 * block_elements, [&](int64_t begin, int64_t end) {
    const uint64_t found = of(begin, end);
    uint64_t before = all.load(std::memory_order_relaxed);
    while (before < found && !all.compare_exchange_weak(before, found, std::memory_order_relaxed)) {
    }
  });
  return all;
}

}  // namespace

bool Indices::read(PyObject* value) {
  if (!value || !array.read(value) || array.type < Type::I8 || array.type > Type::I64) return false;
  count = array.size();
  if (array.type == Type::I64 && array.contiguous()) {
    data = array.as<int64_t>();
    return true;
  }
  copy_ = converted(array, Type::I64);
  if (!copy_) return false;
  data = view_of(copy_.get()).as<int64_t>();
  return true;
}

bool Indices::within(int64_t size, bool negative) {
  if (count == 0 || highest(data, count, 0) < uint64_t(size)) return true;
  if (!negative || highest(data, count, size) >= 2 * uint64_t(size)) return false;
  if (!copy_) {
    copy_ = Owned(new_array(array.ndim, array.shape, Type::I64));
    if (!copy_) return false;
  }
  int64_t* own = view_of(copy_.get()).as<int64_t>();
  for (int64_t i = 0; i < count; i++) own[i] = data[i] + (data[i] < 0 ? size : 0);
  data = own;
  return true;
}

// ---- slabs ----

namespace {

// Dimensions [from, to) as one: its length and its step; false when they do not merge. `step` is what a length of 1 gets.
bool merged(const Array& x, int from, int to, int64_t& length, int64_t& step) {
  length = 1;
  for (int d = to - 1; d >= from; d--) {
    if (x.shape[d] == 1) continue;
    if (length == 1)
      step = x.strides[d];
    else if (x.strides[d] != step * length)
      return false;
    length *= x.shape[d];
  }
  return true;
}

}  // namespace

bool Slab::read(const Array& x, int dim, int width) {
  data = x.data;
  const int64_t size = x.itemsize();
  int64_t inner_step = size;
  if (!merged(x, dim + width, x.ndim, inner, inner_step) || inner_step != size) return false;
  step = bytes = inner * size;
  outer_step = 0;
  return merged(x, dim, dim + width, n, step) && merged(x, 0, dim, outer, outer_step);
}

bool Slab::read_or_copy(const Array& x, int dim, int width) {
  if (read(x, dim, width)) return true;
  copy_ = Owned(new_array(x.ndim, x.shape, x.type));
  if (!copy_) return false;
  const Array dense = view_of(copy_.get());
  copy_values(dense, x);
  return read(dense, dim, width);
}

// ---- sums of rows ----

namespace {

constexpr int strip = 8;  // vectors of a row that are summed side by side

template <class T>
void add_row(T* y, const T* x, int64_t count, T alpha) {
  for (int64_t i = 0; i < count; i++) y[i] += alpha * x[i];
}

// One after the other, for rows and columns [o] of the job alone.
template <class T>
void add_directly(const RowAddition<T>& job, int64_t o) {
  T* y = job.y + o * job.n * job.inner;
  const T* source = job.source + o * job.count * job.inner;
  if (!job.start)
    std::fill(y, y + job.n * job.inner, T(0));
  else if (job.start != job.y)
    std::copy_n(job.start + o * job.n * job.inner, job.n * job.inner, y);
  if (job.inner == 1) {
    for (int64_t j = 0; j < job.count; j++)
      if (job.index[j] != job.skipped) y[job.index[j]] += job.alpha * source[j];
    return;
  }
  for (int64_t j = 0; j < job.count; j++)
    if (job.index[j] != job.skipped) add_row(y + job.index[j] * job.inner, source + j * job.inner, job.inner, job.alpha);
}

template <class T>
void divide_row(T* y, int64_t count, int64_t times) {
  for (int64_t i = 0; i < count; i++) y[i] /= T(times);
}

template <class T>
struct Chains {
  const RowAddition<T>& job;
  int32_t* first;  // of each row, -1 for none
  int32_t* next;   // of each source

  void make() const {
    std::fill(first, first + job.n, -1);
    for (int64_t j = job.count - 1; j >= 0; j--) {
      const int64_t row = job.index[j];
      if (row == job.skipped) continue;
      next[j] = first[row];
      first[row] = int32_t(j);
    }
  }

  // Columns [column, column + vectors * L) of a row, the last vector only `part` of them.
  template <int vectors>
  void columns(T* y, const T* start, const T* source, int32_t j, int64_t part) const {
    constexpr int64_t L = lanes<T>;
    Vec<T> sum[vectors];
    for (int v = 0; v < vectors; v++) {
      if (!start)
        sum[v] = Vec<T>{};
      else
        sum[v] = v + 1 < vectors ? load(start + v * L) : load_part(start + v * L, part);
    }
    for (; j >= 0; j = next[j]) {
      const T* x = source + j * job.inner;
      for (int v = 0; v < vectors; v++) sum[v] += job.alpha * (v + 1 < vectors ? load(x + v * L) : load_part(x + v * L, part));
    }
    for (int v = 0; v + 1 < vectors; v++) store(y + v * L, sum[v]);
    store_part(y + (vectors - 1) * L, sum[vectors - 1], part);
  }

  void row(int64_t o, int64_t r) const {
    constexpr int64_t L = lanes<T>;
    const int64_t inner = job.inner, at = (o * job.n + r) * inner;
    const int32_t j = first[r];
    T* y = job.y + at;
    const T* start = job.start ? job.start + at : nullptr;
    if (j < 0) {
      if (!start)
        std::fill(y, y + inner, T(0));
      else if (start != y)
        std::copy_n(start, inner, y);
      return;
    }
    const T* source = job.source + o * job.count * inner;
    for (int64_t c = 0; c < inner;) {
      const T* begin = start ? start + c : nullptr;
      if (inner - c >= strip * L) {
        columns<strip>(y + c, begin, source + c, j, L);
        c += strip * L;
      } else {
        columns<1>(y + c, begin, source + c, j, std::min(L, inner - c));
        c += L;
      }
    }
    if (job.mean) {
      int64_t times = 0;
      for (int32_t i = j; i >= 0; i = next[i]) times++;
      divide_row(y, inner, times);
    }
  }

  // Asks for what the row will read, well before it is read: rows of the source lie anywhere.
  void expect(int64_t o, int64_t r) const {
    const int32_t j = r < job.n ? first[r] : -1;
    if (j < 0) return;
    const char* x = reinterpret_cast<const char*>(job.source + (o * job.count + j) * job.inner);
    const int64_t bytes = std::min<int64_t>(job.inner * int64_t(sizeof(T)), 512);
    for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(x + i);
  }
};

template <class T>
void divide_directly(const RowAddition<T>& job) {
  int32_t* times = scratch<int32_t>(0, job.n);
  std::fill(times, times + job.n, 0);
  for (int64_t j = 0; j < job.count; j++) times[job.index[j]]++;
  for (int64_t r = 0; r < job.n; r++)
    if (times[r] > 1) divide_row(job.y + r * job.inner, job.inner, times[r]);
}

}  // namespace

template <class T>
void add_rows(const RowAddition<T>& job) {
  const int64_t work = job.outer * std::max(job.start == job.y ? 0 : job.n, job.count) * job.inner;
  const ReleaseGil released(work);
  const bool sparse = job.start == job.y && job.n > 4 * job.count;
  if (work > serial_elements && job.inner >= lanes<T> / 2 && !sparse) {
    int32_t* memory = scratch<int32_t>(0, job.n + job.count);
    const Chains<T> chains{job, memory, memory + job.n};
    chains.make();
    const int64_t grain = std::max<int64_t>(1, block_elements * job.n / std::max<int64_t>(1, std::max(job.n, job.count) * job.inner));
    const int64_t blocks = (job.n + grain - 1) / grain;
    parallel(job.outer * blocks, [&](int64_t block) {
      const int64_t o = block / blocks, begin = block % blocks * grain;
      for (int64_t r = begin; r < std::min(job.n, begin + grain); r++) {
        chains.expect(o, r + 4);
        chains.row(o, r);
      }
    });
    return;
  }
  if (work > serial_elements && job.outer > 1)
    parallel_range(job.outer, std::max<int64_t>(1, block_elements * job.outer / work), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; o++) add_directly(job, o);
    });
  else
    for (int64_t o = 0; o < job.outer; o++) add_directly(job, o);
  if (job.mean) divide_directly(job);
}

template void add_rows(const RowAddition<float>&);
template void add_rows(const RowAddition<double>&);
template void add_rows(const RowAddition<int32_t>&);
template void add_rows(const RowAddition<int64_t>&);

}  // namespace rushlight
