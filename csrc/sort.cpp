// sort and argsort: stable, NaN the greatest.
//
// Rows become keys (see sort.h). Short ones (128 keys with AVX-512) are sorted by rank: for every key the number of keys
// before it is counted, without a branch. Longer rows go through a radix sort, eight bits at a time, that leaves out the
// digits in which all keys agree. Threads share rows. Columns are turned into rows, a cache line's width of them at a time:
// in arrays whose rows are a power of two long they would drive each other out of the cache. A long row is cut into blocks
// that count and move their digits side by side.
#include "sort.h"

#include "index.h"
#include "iterate.h"
#include "kernel.h"
#include "vec.h"

namespace rushlight {
namespace {

constexpr int64_t buckets = 256;

template <class T>
void make_keys(KeyOf<T>* keys, const char* x, int64_t step, int64_t n, bool flip) {
  const KeyOf<T> turn = flip ? ~KeyOf<T>(0) : 0;
  if (step == int64_t(sizeof(T))) {
    const T* dense = reinterpret_cast<const T*>(x);
    for (int64_t i = 0; i < n; i++) keys[i] = key_of(dense[i]) ^ turn;
    return;
  }
  for (int64_t i = 0; i < n; i++) keys[i] = key_of(*reinterpret_cast<const T*>(x + i * step)) ^ turn;
}

// ---- short rows ----

template <class K>
void sort_by_rank(const K* keys, uint32_t* order, int64_t n) {
  constexpr int64_t L = lanes<K>;
  Vec<K> lane;
  for (int64_t l = 0; l < L; l++) lane[l] = K(l);
  for (int64_t first = 0; first < n; first += L) {
    const int64_t count = std::min(L, n - first);
    const Vec<K> own = load_part(keys + first, count);
    Vec<K> rank{};
    for (int64_t i = 0; i < first; i++) rank -= Vec<K>(splat(keys[i]) <= own);
    for (int64_t i = first; i < first + count; i++)
      rank -= Vec<K>((splat(keys[i]) < own) | ((splat(keys[i]) == own) & (splat(K(i - first)) < lane)));
    for (int64_t i = first + count; i < n; i++) rank -= Vec<K>(splat(keys[i]) < own);
    for (int64_t l = 0; l < count; l++) order[rank[l]] = uint32_t(first + l);
  }
}

// ---- radix ----

template <class K>
constexpr int digits = int(sizeof(K));

template <class K>
inline int64_t digit_of(K key, int digit) {
  return int64_t(key >> (8 * digit)) & (buckets - 1);
}

// The digits, lowest first, in which not all of n keys agree.
template <class K>
int differing(const uint32_t (*counts)[buckets], K some_key, int64_t n, int* found) {
  int number = 0;
  for (int d = 0; d < digits<K>; d++)
    if (counts[d][digit_of(some_key, d)] != n) found[number++] = d;
  return number;
}

template <class K>
void sort_by_digits(const K* keys, uint32_t* order, int64_t n, Pair<K>* from, Pair<K>* to) {
  uint32_t counts[digits<K>][buckets] = {};
  for (int64_t i = 0; i < n; i++)
#pragma GCC unroll 8
    for (int d = 0; d < digits<K>; d++) counts[d][digit_of(keys[i], d)]++;
  int used[digits<K>];
  const int number = differing(counts, keys[0], n, used);
  for (int d = 0; d < number; d++) {
    uint32_t total = 0;
    for (uint32_t& count : counts[used[d]]) total += std::exchange(count, total);
  }
  if (number == 0) {
    for (int64_t i = 0; i < n; i++) order[i] = uint32_t(i);
    return;
  }
  if (number == 1) {
    for (int64_t i = 0; i < n; i++) order[counts[used[0]][digit_of(keys[i], used[0])]++] = uint32_t(i);
    return;
  }
  for (int64_t i = 0; i < n; i++) from[counts[used[0]][digit_of(keys[i], used[0])]++] = {keys[i], K(i)};
  for (int d = 1; d + 1 < number; d++) {
    for (int64_t i = 0; i < n; i++) to[counts[used[d]][digit_of(from[i].key, used[d])]++] = from[i];
    std::swap(from, to);
  }
  const int last = used[number - 1];
  for (int64_t i = 0; i < n; i++) order[counts[last][digit_of(from[i].key, last)]++] = uint32_t(from[i].index);
}

// ---- kernels ----

struct Job {
  Slab x;
  int64_t size;    // bytes of an element
  char* values;    // nullptr where only the order is wanted
  int64_t* index;
  bool descending;
};

// One row after another.
template <class K>
void sort_rows(const Job& job, MakeKeys<K> make, int64_t begin, int64_t end) {
  const int64_t n = job.x.n;
  K* keys = scratch<K>(1, n + sorting_room(n));
  uint32_t* order = scratch<uint32_t>(2, n);
  for (int64_t row = begin; row < end; row++) {
    const char* x = job.x.data + row * job.x.outer_step;
    make(keys, x, job.x.step, n, job.descending);
    sort_keys(keys, order, n, keys + n);
    put_in_order(order, n, job.size, job.values ? job.values + row * n * job.size : nullptr, x, job.x.step, job.index + row * n);
  }
}

// Columns [from, to) beside each other, as rows.
template <class K, class T>
void sort_columns(const Job& job, MakeKeys<K> make, int64_t o, int64_t from, int64_t to) {
  const int64_t n = job.x.n, inner = job.x.inner, width = to - from, stride = n + 16;  // not a power of two apart
  K* keys = scratch<K>(1, n + sorting_room(n));
  uint32_t* orders = scratch<uint32_t>(2, width * stride);
  T* rows = scratch<T>(3, width * stride);
  for (int64_t i = 0; i < n; i++) {
    const T* x = reinterpret_cast<const T*>(job.x.data + o * job.x.outer_step + i * job.x.step) + from;
    for (int64_t c = 0; c < width; c++) rows[c * stride + i] = x[c];
  }
  for (int64_t c = 0; c < width; c++) {
    make(keys, reinterpret_cast<const char*>(rows + c * stride), sizeof(T), n, job.descending);
    sort_keys(keys, orders + c * stride, n, keys + n);
  }
  for (int64_t i = 0; i < n; i++) {
    const int64_t at = (o * n + i) * inner + from;
    for (int64_t c = 0; c < width; c++) job.index[at + c] = orders[c * stride + i];
    if (!job.values) continue;
    T* y = reinterpret_cast<T*>(job.values) + at;
    for (int64_t c = 0; c < width; c++) y[c] = rows[c * stride + orders[c * stride + i]];
  }
}

template <class K>
void sort_all_columns(const Job& job, MakeKeys<K> make) {
  const int64_t inner = job.x.inner, width = std::clamp<int64_t>((256 << 10) / job.x.n, 1, 16), parts = (inner + width - 1) / width;
  auto some = [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; unit++) {
      const int64_t o = unit / parts, from = unit % parts * width, to = std::min(inner, from + width);
      with_size(job.size, [&](auto element) { sort_columns<K, decltype(element)>(job, make, o, from, to); });
    }
  };
  if (job.x.outer * job.x.n * inner <= serial_elements / 4)
    some(0, job.x.outer * parts);
  else
    parallel_range(job.x.outer * parts, std::max<int64_t>(1, 1024 / (job.x.n * width)), some);
}

// All threads on one row after another. `memory` is as sorting_bytes says.
template <class K>
void sort_long_rows(const Job& job, MakeKeys<K> make, char* memory) {
  const int64_t n = job.x.n;
  K* room = reinterpret_cast<K*>(memory);
  uint32_t* order = reinterpret_cast<uint32_t*>(room + sorting_room(n));
  for (int64_t row = 0; row < job.x.outer; row++) {
    const char* x = job.x.data + row * job.x.outer_step;
    sort_long_row(order, room, make, x, job.x.step, n, job.descending);
    put_in_order(order, n, job.size, job.values ? job.values + row * n * job.size : nullptr, x, job.x.step, job.index + row * n);
  }
}

template <class K>
bool sort_all(const Job& job, Type type) {
  const MakeKeys<K> make = key_maker<K>(type);
  const int64_t n = job.x.n, rows = job.x.outer * job.x.inner;
  if (n >= long_row && job.x.inner > 1) return false;
  if (n > int64_t(std::numeric_limits<uint32_t>::max())) return false;
  Owned memory;
  if (n >= long_row) {
    const npy_intp bytes = n * 4 + sorting_room(n) * int64_t(sizeof(K));
    memory = Owned(new_array(1, &bytes, Type::U8));
    if (!memory) throw std::bad_alloc();
  }
  const ReleaseGil released(rows * n * 8);
  if (n >= long_row)
    sort_long_rows(job, make, view_of(memory.get()).data);
  else if (job.x.inner > 1)
    sort_all_columns(job, make);
  else if (rows * n <= serial_elements / 4)
    sort_rows(job, make, 0, rows);
  else
    parallel_range(rows, std::max<int64_t>(1, 1024 / n), [&](int64_t begin, int64_t end) { sort_rows(job, make, begin, end); });
  return true;
}

PyObject* sorted(PyObject* x_value, PyObject* dim_value, PyObject* descending_value, bool with_values) {
  Array x;
  int dim;
  bool descending = false;
  Slab slab;
  if (!x_value || !x.read(x_value) || !read_dim(dim_value, x, dim) || (descending_value && !read_bool(descending_value, descending))) return nullptr;
  if (!key_maker<uint32_t>(x.type) && !key_maker<uint64_t>(x.type)) return decline();
  if (!slab.read_or_copy(x, dim)) return nullptr;
  Owned values(with_values ? new_array(x.ndim, x.shape, x.type) : nullptr), index(new_array(x.ndim, x.shape, Type::I64));
  if (!index || (with_values && !values)) return nullptr;
  char* y = with_values ? view_of(values.get()).data : nullptr;
  if (x.size() > 0) {
    bool done = false;
    const Job job{std::move(slab), x.itemsize(), y, view_of(index.get()).as<int64_t>(), descending};
    with_key(x.type, [&](auto key) { done = sort_all<decltype(key)>(job, x.type); });
    if (!done) return decline();
  }
  return with_values ? tuple_of(values, index) : index.give();
}

// "x dim descending stable"
PyObject* run_sort(PyObject* const* args) { return sorted(args[0], args[1], args[2], true); }
PyObject* run_argsort(PyObject* const* args) { return sorted(args[0], args[1], args[2], false); }

const Family family("sort", {
                                {"sort", "x dim descending stable", run_sort},
                                {"argsort", "x dim descending stable", run_argsort},
                            });

}  // namespace

template <>
MakeKeys<uint32_t> key_maker(Type type) {
  switch (type) {
    case Type::Bool:
    case Type::U8: return make_keys<uint8_t>;
    case Type::I8: return make_keys<int8_t>;
    case Type::I16: return make_keys<int16_t>;
    case Type::I32: return make_keys<int32_t>;
    case Type::F16: return make_keys<Half>;
    case Type::BF16: return make_keys<BFloat16>;
    case Type::F32: return make_keys<float>;
    default: return nullptr;
  }
}

template <>
MakeKeys<uint64_t> key_maker(Type type) {
  switch (type) {
    case Type::I64: return make_keys<int64_t>;
    case Type::F64: return make_keys<double>;
    default: return nullptr;
  }
}

template <class K>
void sort_keys(const K* keys, uint32_t* order, int64_t n, K* room) {
  if (n <= short_row) return sort_by_rank(keys, order, n);
  auto* pairs = reinterpret_cast<Pair<K>*>(room);
  sort_by_digits(keys, order, n, pairs, pairs + n);
}

template <class K>
void sort_long_row(uint32_t* order, K* room, MakeKeys<K> make, const char* x, int64_t step, int64_t n, bool flip) {
  const int64_t block = std::max<int64_t>(32 << 10, (n + 63) / 64), blocks = (n + block - 1) / block;
  auto* from = reinterpret_cast<Pair<K>*>(room);
  auto* to = from + n;
  uint32_t counts[64][buckets];
  for (int digit = 0; digit < digits<K>; digit++) {
    const bool first = digit == 0, last = digit == digits<K> - 1;
    parallel(blocks, [&](int64_t b) {
      std::memset(counts[b], 0, sizeof counts[b]);
      const int64_t begin = b * block, end = std::min(n, begin + block);
      if (first) {
        constexpr int64_t piece = 1024;
        K keys[piece];
        for (int64_t i = begin; i < end; i += piece) {
          const int64_t count = std::min(piece, end - i);
          make(keys, x + i * step, step, count, flip);
          for (int64_t j = 0; j < count; j++) from[i + j] = {keys[j], K(i + j)};
        }
      }
      for (int64_t i = begin; i < end; i++) counts[b][digit_of(from[i].key, digit)]++;
    });
    // Where each block writes: behind all smaller digits, and the same digit of the blocks before it.
    uint32_t total = 0;
    bool agree = false;
    for (int64_t k = 0; k < buckets; k++) {
      const uint32_t before = total;
      for (int64_t b = 0; b < blocks; b++) total += std::exchange(counts[b][k], total);
      agree |= total - before == uint64_t(n);
    }
    if (agree && !last) continue;
    parallel(blocks, [&](int64_t b) {
      const int64_t begin = b * block, end = std::min(n, begin + block);
      if (last)
        for (int64_t i = begin; i < end; i++) order[counts[b][digit_of(from[i].key, digit)]++] = uint32_t(from[i].index);
      else
        for (int64_t i = begin; i < end; i++) to[counts[b][digit_of(from[i].key, digit)]++] = from[i];
    });
    std::swap(from, to);
  }
}

template void sort_keys(const uint32_t*, uint32_t*, int64_t, uint32_t*);
template void sort_keys(const uint64_t*, uint32_t*, int64_t, uint64_t*);
template void sort_long_row(uint32_t*, uint32_t*, MakeKeys<uint32_t>, const char*, int64_t, int64_t, bool);
template void sort_long_row(uint32_t*, uint64_t*, MakeKeys<uint64_t>, const char*, int64_t, int64_t, bool);

void put_in_order(const uint32_t* order, int64_t n, int64_t size, char* y, const char* x, int64_t x_step, int64_t* index) {
  auto values = [=](auto zero, int64_t begin, int64_t end) {
    using T = decltype(zero);
    T* to = reinterpret_cast<T*>(y);
    if (x_step == int64_t(sizeof(T)))
      for (int64_t i = begin; i < end; i++) to[i] = reinterpret_cast<const T*>(x)[order[i]];
    else
      for (int64_t i = begin; i < end; i++) to[i] = *reinterpret_cast<const T*>(x + order[i] * x_step);
  };
  auto some = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) index[i] = order[i];
    if (!y) return;
    with_size(size, [&](auto element) { values(element, begin, end); });
  };
  if (n >= long_row)
    parallel_range(n, block_elements, some);
  else
    some(0, n);
}

}  // namespace rushlight
