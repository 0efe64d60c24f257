// Order statistics by selection: topk, kthvalue, median, nanmedian.
//
// Rows become keys (see sort.h). The k largest (k up to an eighth of the row) are kept in a buffer: a key enters when it is
// greater than the k-th found so far, which whole vectors are compared with at once, and a full buffer is cut back to k.
// A single place in the order is found digit by digit: the digits are counted, and only the keys that share the digit with
// the place go on. Equal keys count in their order, so all results are those of a stable sort.
#include <algorithm>

#include "copy.h"
#include "index.h"
#include "iterate.h"
#include "kernel.h"
#include "sort.h"
#include "vec.h"
#include "view.h"

namespace rushlight {
namespace {

// Arrays along `dim` as rows: those of the last dimension, or a copy in which it is the last.
struct Rows {
  Array x;
  int dim = 0;
  int64_t n = 0, count = 0, size = 0;
  char* data = nullptr;

  bool read(PyObject* value, PyObject* dim_value) {
    if (!value || !x.read(value) || x.size() == 0 || !read_dim(dim_value, x, dim)) return false;
    return lay_out();
  }
  bool read_flat(PyObject* value) {
    if (!value || !x.read(value) || x.size() == 0 || !x.contiguous()) return false;
    data = x.data;
    size = x.itemsize();
    n = x.size();
    count = 1;
    return n < int64_t(UINT32_MAX);
  }
  const char* row(int64_t r) const { return data + r * n * size; }

  // Values and indices of the rows, `length` of each, go to arrays of the shape of x with that length along `dim`.
  // Where `dim` is not the last dimension they are written in another order.
  int64_t place(int64_t r, int64_t i, int64_t length) const { return inner == 1 ? r * length + i : (r / inner * length + i) * inner + r % inner; }

 private:
  bool lay_out() {
    n = x.shape[dim];
    size = x.itemsize();
    for (int d = dim + 1; d < x.ndim; d++) inner *= x.shape[d];
    count = x.size() / n;
    if (inner == 1 && x.contiguous()) {
      data = x.data;
      return n < int64_t(UINT32_MAX);
    }
    npy_intp shape[max_dims], strides[max_dims];
    int at = 0;
    for (int d = 0; d < x.ndim; d++) {
      if (d == dim) continue;
      shape[at] = x.shape[d];
      strides[at++] = x.strides[d];
    }
    shape[at] = n;
    strides[at] = x.strides[dim];
    const Owned view = view_as(x.object, x.data, x.ndim, shape, strides);
    copy_ = Owned(new_array(x.ndim, shape, x.type));
    if (!view || !copy_) return false;
    const Array dense = view_of(copy_.get());
    copy_values(dense, view_of(view.get()));
    data = dense.data;
    return n < int64_t(UINT32_MAX);
  }

  int64_t inner = 1;
  Owned copy_;
};

// ---- the k largest ----

template <class K>
struct Candidate {
  K key;
  uint32_t index;
  // The greater key first, the earlier of equal ones.
  bool operator<(const Candidate& other) const { return key != other.key ? key > other.key : index < other.index; }
};

// Keeps the k greatest of the keys it is given.
template <class K>
struct Best {
  Candidate<K>* kept;  // room for 2 * k + slack
  int64_t k, count = 0;
  K least = 0;  // a key enters when it is greater
  bool full = false;
  static constexpr int64_t slack = 64;

  void add(K key, uint32_t index) {
    kept[count++] = {key, index};
    if (count == 2 * k + slack) cut();
  }
  void cut() {
    if (count <= k) return;
    std::nth_element(kept, kept + k - 1, kept + count);
    count = k;
    least = kept[k - 1].key;
    full = true;
  }

  void take(const K* keys, int64_t n, uint32_t first) {
    constexpr int64_t L = lanes<K>;
    int64_t i = 0;
    for (; i < n && !full; i++) add(keys[i], first + uint32_t(i));
    for (; i + 4 * L <= n; i += 4 * L) {
      const Vec<K> bar = splat(least);
      const auto above = [&](int64_t v) { return load(keys + i + v * L) > bar; };
      if (!any(above(0) | above(1) | above(2) | above(3))) continue;
      for (int64_t j = i; j < i + 4 * L; j++)
        if (keys[j] > least) add(keys[j], first + uint32_t(j));
    }
    for (; i < n; i++)
      if (keys[i] > least) add(keys[i], first + uint32_t(i));
  }
};

constexpr int64_t piece = 2048;  // keys that are made at a time

template <class K>
void best_of(Best<K>& best, MakeKeys<K> make, const char* x, int64_t size, int64_t begin, int64_t end, bool flip) {
  K keys[piece];
  for (int64_t i = begin; i < end; i += piece) {
    const int64_t count = std::min(piece, end - i);
    make(keys, x + i * size, size, count, flip);
    best.take(keys, count, uint32_t(i));
  }
  best.cut();
}

struct Job {
  const Rows& rows;
  char* values;
  int64_t* index;
  int64_t k;
  bool smallest;

  void put(int64_t r, int64_t i, uint32_t from) const {
    const int64_t at = rows.place(r, i, k);
    index[at] = from;
    std::memcpy(values + at * rows.size, rows.row(r) + from * rows.size, size_t(rows.size));
  }
};

// One row whose blocks threads share: the best of each block, then the best of those.
template <class K>
void select_long_row(const Job& job, MakeKeys<K> make, int64_t r, Candidate<K>* room, int64_t block) {
  const int64_t n = job.rows.n, blocks = (n + block - 1) / block, each = 2 * job.k + Best<K>::slack;
  parallel(blocks, [&](int64_t b) {
    Best<K> best{room + b * each, job.k};
    best_of(best, make, job.rows.row(r), job.rows.size, b * block, std::min(n, (b + 1) * block), job.smallest);
    for (int64_t i = best.count; i < job.k; i++) best.kept[i] = {0, UINT32_MAX};  // fewer: behind all others
  });
  for (int64_t b = 1; b < blocks; b++) std::copy_n(room + b * each, job.k, room + b * job.k);
  std::partial_sort(room, room + job.k, room + blocks * job.k);
  for (int64_t i = 0; i < job.k; i++) job.put(r, i, room[i].index);
}

template <class K>
void select_rows(const Job& job, MakeKeys<K> make, int64_t begin, int64_t end) {
  const int64_t n = job.rows.n, k = job.k;
  if (n <= short_row || 8 * k > n) {
    K* keys = scratch<K>(1, n + sorting_room(n));
    uint32_t* order = scratch<uint32_t>(2, n);
    for (int64_t r = begin; r < end; r++) {
      make(keys, job.rows.row(r), job.rows.size, n, !job.smallest);
      sort_keys(keys, order, n, keys + n);
      for (int64_t i = 0; i < k; i++) job.put(r, i, order[i]);
    }
    return;
  }
  auto* kept = scratch<Candidate<K>>(1, 2 * k + Best<K>::slack);
  for (int64_t r = begin; r < end; r++) {
    Best<K> best{kept, k};
    best_of(best, make, job.rows.row(r), job.rows.size, 0, n, job.smallest);
    std::sort(kept, kept + k);
    for (int64_t i = 0; i < k; i++) job.put(r, i, kept[i].index);
  }
}

template <class K>
bool select_all(const Job& job) {
  const MakeKeys<K> make = key_maker<K>(job.rows.x.type);
  const int64_t n = job.rows.n, rows = job.rows.count;
  if (n >= long_row && 8 * job.k > n) return false;  // nearly a sort
  const int64_t block = std::max<int64_t>(block_elements, 16 * job.k);
  const bool shared = n >= 4 * block && rows < 16;
  Owned memory;
  if (shared) {
    const npy_intp bytes = (n + block - 1) / block * (2 * job.k + Best<K>::slack) * int64_t(sizeof(Candidate<K>));
    memory = Owned(new_array(1, &bytes, Type::U8));
    if (!memory) throw std::bad_alloc();
  }
  const ReleaseGil released(rows * n);
  if (shared)
    for (int64_t r = 0; r < rows; r++) select_long_row(job, make, r, view_of(memory.get()).as<Candidate<K>>(), block);
  else if (rows * n <= serial_elements)
    select_rows(job, make, 0, rows);
  else
    parallel_range(rows, std::max<int64_t>(1, block_elements / 2 / n), [&](int64_t begin, int64_t end) { select_rows(job, make, begin, end); });
  return true;
}

// "x k dim largest sorted": always in order.
PyObject* run_topk(PyObject* const* args) {
  Rows rows;
  int64_t k;
  bool largest = true;
  if (!args[2] || !rows.read(args[0], args[2]) || !read_int(args[1], k) || (args[3] && !read_bool(args[3], largest))) return nullptr;
  if (k < 1 || k > rows.n) return decline();
  npy_intp shape[max_dims];
  std::copy_n(rows.x.shape, rows.x.ndim, shape);
  shape[rows.dim] = k;
  Owned values(new_array(rows.x.ndim, shape, rows.x.type)), index(new_array(rows.x.ndim, shape, Type::I64));
  if (!values || !index) return nullptr;
  const Job job{rows, view_of(values.get()).data, view_of(index.get()).as<int64_t>(), k, !largest};
  bool done = false;
  with_key(rows.x.type, [&](auto key) { done = select_all<decltype(key)>(job); });
  return done ? tuple_of(values, index) : decline();
}

// ---- one place in the order ----

// The index of the element that a stable sort puts at `place`. `from` is room for n numbers.
template <class K>
uint32_t find_place(const K* keys, int64_t n, int64_t place, uint32_t* from) {
  if (n <= short_row) {
    sort_keys<K>(keys, from, n, nullptr);
    return from[place];
  }
  constexpr int64_t buckets = 256;
  int64_t left = n;
  for (int digit = int(sizeof(K)) - 1; digit >= 0; digit--) {
    const bool all = left == n;  // `from` is not used yet: every key is still in
    auto digit_at = [&](int64_t i) { return int64_t(keys[all ? i : from[i]] >> (8 * digit)) & (buckets - 1); };
    uint32_t counts[4][buckets] = {};  // four, because neighbouring keys often agree
    for (int64_t i = 0; i < left; i++) counts[i & 3][digit_at(i)]++;
    int64_t bucket = 0, before = 0;
    for (;; bucket++) {
      const int64_t own = int64_t(counts[0][bucket]) + counts[1][bucket] + counts[2][bucket] + counts[3][bucket];
      if (before + own > place) {
        if (own == left) bucket = -1;
        break;
      }
      before += own;
    }
    if (bucket < 0) continue;  // all agree in this digit
    place -= before;
    int64_t kept = 0;
    for (int64_t i = 0; i < left; i++) {
      const bool stays = digit_at(i) == bucket;
      from[kept] = all ? uint32_t(i) : from[i];
      kept += stays;
    }
    left = kept;
  }
  return left == n ? uint32_t(place) : from[place];
}

// Which place is wanted of a row with `missing` NaNs (the greatest keys).
enum class Statistic { Kth, Median, NanMedian };

struct Wanted {
  Statistic statistic;
  int64_t k;  // of Kth, from 0

  int64_t place(int64_t n, int64_t missing) const {
    if (statistic == Statistic::Kth) return k;
    if (statistic == Statistic::NanMedian) return std::max<int64_t>(n - missing - 1, 0) / 2;
    return missing ? n - missing : (n - 1) / 2;  // the first NaN
  }
};

bool has_nan(Type type) { return type == Type::F16 || type == Type::BF16 || plain_float(type); }

template <class K>
void place_rows(const Rows& rows, Wanted wanted, char* values, int64_t* index) {
  const MakeKeys<K> make = key_maker<K>(rows.x.type);
  const int64_t n = rows.n, size = rows.size;
  const K nan = size == 2 ? K(0xffff) : ~K(0);
  const bool counts_nan = wanted.statistic != Statistic::Kth && has_nan(rows.x.type);
  auto some = [&](int64_t begin, int64_t end) {
    K* keys = scratch<K>(1, n);
    uint32_t* from = scratch<uint32_t>(2, n + 1);
    for (int64_t r = begin; r < end; r++) {
      make(keys, rows.row(r), size, n, false);
      int64_t missing = 0;
      if (counts_nan)
        for (int64_t i = 0; i < n; i++) missing += keys[i] == nan;
      const uint32_t found = find_place(keys, n, wanted.place(n, missing), from);
      if (index) index[r] = found;
      std::memcpy(values + r * size, rows.row(r) + found * size, size_t(size));
    }
  };
  const ReleaseGil released(rows.count * n * 4);
  if (rows.count * n <= serial_elements / 2)
    some(0, rows.count);
  else
    parallel_range(rows.count, std::max<int64_t>(1, block_elements / 4 / n), some);
}

// Values (and indices) of one place of every row: the dimension is left out, or kept with length 1.
PyObject* picked(const Rows& rows, Wanted wanted, bool keepdim) {
  if (rows.n > (int64_t(1) << 28)) return decline();  // scratch memory
  npy_intp shape[max_dims];
  int ndim = 0;
  for (int d = 0; d < rows.x.ndim; d++)
    if (d != rows.dim || keepdim) shape[ndim++] = d == rows.dim ? 1 : rows.x.shape[d];
  Owned values(new_array(ndim, shape, rows.x.type)), index(new_array(ndim, shape, Type::I64));
  if (!values || !index) return nullptr;
  const bool sorts = with_key(rows.x.type, [&](auto key) {
    place_rows<decltype(key)>(rows, wanted, view_of(values.get()).data, view_of(index.get()).as<int64_t>());
  });
  return sorts ? tuple_of(values, index) : decline();
}

// "x k dim keepdim"
PyObject* run_kthvalue(PyObject* const* args) {
  Rows rows;
  int64_t k;
  bool keepdim = false;
  if (!args[2] || !rows.read(args[0], args[2]) || !read_int(args[1], k) || (args[3] && !read_bool(args[3], keepdim))) return nullptr;
  return k < 1 || k > rows.n ? decline() : picked(rows, {Statistic::Kth, k - 1}, keepdim);
}

PyObject* median(PyObject* const* args, Statistic statistic) {
  Rows rows;
  bool keepdim = false;
  if (args[2] && !read_bool(args[2], keepdim)) return nullptr;
  if (given(args[1])) return rows.read(args[0], args[1]) ? picked(rows, {statistic, 0}, keepdim) : nullptr;
  if (!rows.read_flat(args[0]) || rows.n > (int64_t(1) << 28)) return nullptr;
  Owned value(new_array(0, nullptr, rows.x.type));
  if (!value) return nullptr;
  const bool sorts = with_key(rows.x.type, [&](auto key) { place_rows<decltype(key)>(rows, {statistic, 0}, view_of(value.get()).data, nullptr); });
  return sorts ? value.give() : decline();
}

// "x dim keepdim"
PyObject* run_median(PyObject* const* args) { return median(args, Statistic::Median); }
PyObject* run_nanmedian(PyObject* const* args) { return median(args, Statistic::NanMedian); }

const Family family("topk", {
                                {"topk", "x k dim largest sorted", run_topk},
                                {"kthvalue", "x k dim keepdim", run_kthvalue},
                                {"median", "x dim keepdim", run_median},
                                {"nanmedian", "x dim keepdim", run_nanmedian},
                            });

}  // namespace
}  // namespace rushlight
