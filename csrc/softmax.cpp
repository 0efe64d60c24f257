// Softmax, log-softmax, log-sum-exp along one dimension, cross entropy and the negative log-likelihood, with their gradients.
//
// A dense array, whatever the order of its dimensions, is [outer, n, inner] in memory with respect to one of them. With
// inner = 1 a row is taken through its passes (maximum, sum of exponentials, result) while it is in cache; else a few
// vectors of neighbouring columns are. So large arrays are read and written once, at the speed of memory. Results lie in
// memory as their operands do. Sums are kept in double over blocks of 2048 terms.
#include "iterate.h"
#include "kernel.h"
#include "math.h"
#include "moments.h"
#include "owned.h"
#include "relayout.h"

namespace rushlight {
namespace {

constexpr int64_t serial_terms = 8 << 10;  // exponentials below which waking another thread does not pay
constexpr int wide = 4;                    // vectors of columns that are taken through the passes together

template <class T>
constexpr T infinity = std::numeric_limits<T>::infinity();

// ---- a dimension of a dense array ----

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

// Runs body(begin, end) over pieces of `count` units of `each` terms.
template <class Body>
void share(int64_t count, int64_t each, Body&& body) {
  if (count * each <= serial_terms) {
    if (count > 0) body(int64_t(0), count);
    return;
  }
  parallel_range(count, std::max<int64_t>(1, serial_terms / each), body);
}

// V vectors of neighbouring columns; V = 1 may be less than a whole vector.
template <class T, int V>
struct Columns {
  Vec<T> v[V];

  static Columns load(const T* p, int64_t some) {
    Columns found;
    if constexpr (V == 1)
      found.v[0] = load_some(p, some);
    else
      for (int k = 0; k < V; k++) found.v[k] = rushlight::load(p + k * lanes<T>);
    return found;
  }
  void store(T* p, int64_t some) const {
    if constexpr (V == 1)
      store_some(p, v[0], some);
    else
      for (int k = 0; k < V; k++) rushlight::store(p + k * lanes<T>, v[k]);
  }
  template <class F>
  void each(F&& f) {
    for (int k = 0; k < V; k++) f(v[k], k);
  }
};

// Sums over n rows in two levels: 128 rows at a time.
template <class T, int V, class Term>
Columns<T, V> column_sums(int64_t n, Term&& term) {
  Columns<T, V> total{};
  for (int64_t begin = 0; begin < n; begin += row_block) {
    Columns<T, V> part{};
    for (int64_t i = begin; i < std::min(n, begin + row_block); i++) {
      const Columns<T, V> terms = term(i);
      for (int k = 0; k < V; k++) part.v[k] += terms.v[k];
    }
    for (int k = 0; k < V; k++) total.v[k] += part.v[k];
  }
  return total;
}

// Runs work(first element, columns that count, V) for every strip of columns.
template <class T, class Work>
void over_strips(const Along& a, Work&& work) {
  constexpr int64_t L = lanes<T>, width = wide * L;
  const int64_t strips = (a.inner + width - 1) / width;
  share(a.outer * strips, a.n * std::min(width, a.inner), [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; unit++) {
      const int64_t from = unit % strips * width, first = unit / strips * a.n * a.inner + from, count = std::min(width, a.inner - from);
      if (count == width) {
        work(first, L, std::integral_constant<int, wide>());
        continue;
      }
      for (int64_t j = 0; j < count; j += L) work(first + j, std::min(L, count - j), std::integral_constant<int, 1>());
    }
  });
}

template <class T, class Work>
void over_rows(const Along& a, Work&& work) {
  share(a.outer, a.n, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) work(row * a.n);
  });
}

// ---- rows ----

// The largest number of a row (any, where one is NaN).
template <class T>
T row_max(const T* x, int64_t n) {
  constexpr int64_t L = lanes<T>;
  constexpr int chains = 4;
  Vec<T> best[chains];
  for (Vec<T>& b : best) b = splat(-infinity<T>);
  int64_t i = 0;
  for (; i + chains * L <= n; i += chains * L)
    for (int c = 0; c < chains; c++) best[c] = max(load(x + i + c * L), best[c]);
  for (; i < n; i += L) best[0] = max(load_some(x + i, std::min(L, n - i), -infinity<T>), best[0]);
  return max_lanes<T>(max(max(best[0], best[1]), max(best[2], best[3])));
}

// The sum of the terms of a row; term(i, some) gives those from place i on, with zeros in lanes that do not count.
template <class T, class Term>
double row_sum(int64_t n, Term&& term) {
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += run_block) {
    T sums[1];
    block_sums<T>(std::min(run_block, n - begin), sums, [&](Vec<T>* terms, int64_t i, int64_t some) { terms[0] = term(begin + i, some); });
    total += double(sums[0]);
  }
  return total;
}

template <class T>
double sum_of_exp(const T* x, int64_t n, T top) {
  const Vec<T> tops = splat(top);
  return row_sum<T>(n, [&](int64_t i, int64_t some) { return exp(Vec<T>(load_some(x + i, some, -infinity<T>) - tops)); });
}

template <class T, class F>
void each_place(int64_t n, F&& f) {
  for (int64_t i = 0; i < n; i += lanes<T>) f(i, std::min(lanes<T>, n - i));
}

template <class T>
void softmax_row(T* y, const T* x, int64_t n) {
  const Vec<T> tops = splat(row_max(x, n));
  const double total = row_sum<T>(n, [&](int64_t i, int64_t some) {
    const Vec<T> e = exp(Vec<T>(load_some(x + i, some, -infinity<T>) - tops));
    store_some(y + i, e, some);
    return e;
  });
  const Vec<T> inverse = splat(T(1 / total));
  each_place<T>(n, [&](int64_t i, int64_t some) { store_some(y + i, Vec<T>(load_some(y + i, some) * inverse), some); });
}

template <class T>
void log_softmax_row(T* y, const T* x, int64_t n) {
  const T top = row_max(x, n);
  const Vec<T> tops = splat(top), rest = splat(T(std::log(sum_of_exp(x, n, top))));
  each_place<T>(n, [&](int64_t i, int64_t some) { store_some(y + i, Vec<T>(load_some(x + i, some) - tops - rest), some); });
}

template <class T>
void softmax_backward_row(T* gx, const T* g, const T* y, int64_t n) {
  const Vec<T> inner = splat(T(row_sum<T>(n, [&](int64_t i, int64_t some) { return Vec<T>(load_some(g + i, some) * load_some(y + i, some)); })));
  each_place<T>(n, [&](int64_t i, int64_t some) {
    store_some(gx + i, Vec<T>(load_some(y + i, some) * (load_some(g + i, some) - inner)), some);
  });
}

template <class T>
void log_softmax_backward_row(T* gx, const T* g, const T* y, int64_t n) {
  const Vec<T> total = splat(T(row_sum<T>(n, [&](int64_t i, int64_t some) { return load_some(g + i, some); })));
  each_place<T>(n, [&](int64_t i, int64_t some) {
    store_some(gx + i, Vec<T>(load_some(g + i, some) - exp(load_some(y + i, some)) * total), some);
  });
}

// Rows of one vector or less, which need no loops.
template <class T>
Vec<T> exp_of_short_row(const T* x, int64_t n, T& top, T& total) {
  const Vec<T> v = load_some(x, n, -infinity<T>);
  top = max_lanes<T>(v);
  const Vec<T> e = exp(Vec<T>(v - splat(top)));
  total = sum_lanes<T>(e);
  return e;
}

template <class T>
void short_softmax_row(T* y, const T* x, int64_t n) {
  T top, total;
  const Vec<T> e = exp_of_short_row(x, n, top, total);
  store_some(y, Vec<T>(e * splat(T(1) / total)), n);
}

template <class T>
void short_log_softmax_row(T* y, const T* x, int64_t n) {
  T top, total;
  exp_of_short_row(x, n, top, total);
  store_some(y, Vec<T>(load_some(x, n) - splat(top) - splat(log(splat(total))[0])), n);
}

// ---- columns ----
//
// A strip of columns is copied into scratch memory as it is read first: rows of the array may lie at distances that share
// few lines of a cache.

template <class T, int V>
T* strip_memory(int64_t n) {
  return scratch<T>(0, n * V * lanes<T>);
}

// Copies the strip and finds the largest number of each column.
template <class T, int V>
Columns<T, V> copied_max(T* held, const T* x, int64_t n, int64_t inner, int64_t some) {
  using C = Columns<T, V>;
  constexpr int64_t pitch = V * lanes<T>;
  C best;
  for (Vec<T>& b : best.v) b = splat(-infinity<T>);
  for (int64_t i = 0; i < n; i++) {
    const C row = C::load(x + i * inner, some);
    best.each([&](Vec<T>& b, int k) { b = max(row.v[k], b); });
    row.store(held + i * pitch, lanes<T>);
  }
  return best;
}

template <class T, int V>
void softmax_columns(T* y, const T* x, int64_t n, int64_t inner, int64_t some) {
  using C = Columns<T, V>;
  constexpr int64_t pitch = V * lanes<T>;
  T* held = strip_memory<T, V>(n);
  const C top = copied_max<T, V>(held, x, n, inner, some);
  C inverse = column_sums<T, V>(n, [&](int64_t i) {
    C e = C::load(held + i * pitch, lanes<T>);
    e.each([&](Vec<T>& v, int k) { v = exp(Vec<T>(v - top.v[k])); });
    e.store(held + i * pitch, lanes<T>);
    return e;
  });
  inverse.each([](Vec<T>& v, int) { v = T(1) / v; });
  for (int64_t i = 0; i < n; i++) {
    C e = C::load(held + i * pitch, lanes<T>);
    e.each([&](Vec<T>& v, int k) { v *= inverse.v[k]; });
    e.store(y + i * inner, some);
  }
}

template <class T, int V>
void log_softmax_columns(T* y, const T* x, int64_t n, int64_t inner, int64_t some) {
  using C = Columns<T, V>;
  constexpr int64_t pitch = V * lanes<T>;
  T* held = strip_memory<T, V>(n);
  const C top = copied_max<T, V>(held, x, n, inner, some);
  C rest = column_sums<T, V>(n, [&](int64_t i) {
    C e = C::load(held + i * pitch, lanes<T>);
    e.each([&](Vec<T>& v, int k) { v = exp(Vec<T>(v - top.v[k])); });
    return e;
  });
  rest.each([](Vec<T>& v, int) { v = log(v); });
  for (int64_t i = 0; i < n; i++) {
    C out = C::load(held + i * pitch, lanes<T>);
    out.each([&](Vec<T>& v, int k) { v = v - top.v[k] - rest.v[k]; });
    out.store(y + i * inner, some);
  }
}

template <class T, int V>
void softmax_backward_columns(T* gx, const T* g, const T* y, int64_t n, int64_t inner, int64_t some) {
  using C = Columns<T, V>;
  constexpr int64_t pitch = V * lanes<T>;
  T *held = strip_memory<T, V>(2 * n), *results = held + n * pitch;
  const C along = column_sums<T, V>(n, [&](int64_t i) {
    C terms = C::load(g + i * inner, some);
    const C result = C::load(y + i * inner, some);
    terms.store(held + i * pitch, lanes<T>);
    result.store(results + i * pitch, lanes<T>);
    terms.each([&](Vec<T>& v, int k) { v *= result.v[k]; });
    return terms;
  });
  for (int64_t i = 0; i < n; i++) {
    C out = C::load(held + i * pitch, lanes<T>);
    const C result = C::load(results + i * pitch, lanes<T>);
    out.each([&](Vec<T>& v, int k) { v = result.v[k] * (v - along.v[k]); });
    out.store(gx + i * inner, some);
  }
}

template <class T, int V>
void log_softmax_backward_columns(T* gx, const T* g, const T* y, int64_t n, int64_t inner, int64_t some) {
  using C = Columns<T, V>;
  constexpr int64_t pitch = V * lanes<T>;
  T* held = strip_memory<T, V>(n);
  const C total = column_sums<T, V>(n, [&](int64_t i) {
    const C terms = C::load(g + i * inner, some);
    terms.store(held + i * pitch, lanes<T>);
    return terms;
  });
  for (int64_t i = 0; i < n; i++) {
    C out = C::load(held + i * pitch, lanes<T>);
    const C result = C::load(y + i * inner, some);
    out.each([&](Vec<T>& v, int k) { v = v - exp(result.v[k]) * total.v[k]; });
    out.store(gx + i * inner, some);
  }
}

// ---- entries ----

// `x` dense: itself, or a row-major copy that `held` keeps.
bool make_dense(Array& x, Owned& held) {
  if (x.dense()) return true;
  const Array source = x;
  held = relaid(source, nullptr, x);
  return bool(held);
}

bool floating(const Array& x) { return x.type == Type::F32 || x.type == Type::F64; }

struct Softmax {
  template <class T>
  static void run(const Along& a, T* y, const T* x) {
    if (a.inner == 1 && a.n <= lanes<T>) return over_rows<T>(a, [&](int64_t at) { short_softmax_row(y + at, x + at, a.n); });
    if (a.inner == 1) return over_rows<T>(a, [&](int64_t at) { softmax_row(y + at, x + at, a.n); });
    over_strips<T>(a, [&](int64_t at, int64_t some, auto v) { softmax_columns<T, v()>(y + at, x + at, a.n, a.inner, some); });
  }
};
struct LogSoftmax {
  template <class T>
  static void run(const Along& a, T* y, const T* x) {
    if (a.inner == 1 && a.n <= lanes<T>) return over_rows<T>(a, [&](int64_t at) { short_log_softmax_row(y + at, x + at, a.n); });
    if (a.inner == 1) return over_rows<T>(a, [&](int64_t at) { log_softmax_row(y + at, x + at, a.n); });
    over_strips<T>(a, [&](int64_t at, int64_t some, auto v) { log_softmax_columns<T, v()>(y + at, x + at, a.n, a.inner, some); });
  }
};
struct SoftmaxBackward {
  template <class T>
  static void run(const Along& a, T* gx, const T* g, const T* y) {
    if (a.inner == 1) return over_rows<T>(a, [&](int64_t at) { softmax_backward_row(gx + at, g + at, y + at, a.n); });
    over_strips<T>(
        a, [&](int64_t at, int64_t some, auto v) { softmax_backward_columns<T, v()>(gx + at, g + at, y + at, a.n, a.inner, some); });
  }
};
struct LogSoftmaxBackward {
  template <class T>
  static void run(const Along& a, T* gx, const T* g, const T* y) {
    if (a.inner == 1) return over_rows<T>(a, [&](int64_t at) { log_softmax_backward_row(gx + at, g + at, y + at, a.n); });
    over_strips<T>(
        a, [&](int64_t at, int64_t some, auto v) { log_softmax_backward_columns<T, v()>(gx + at, g + at, y + at, a.n, a.inner, some); });
  }
};

template <class Op>
PyObject* forward_entry(PyObject* const* args) {
  Array x;
  int64_t dim;
  Along a;
  if (!x.read(args[0]) || !floating(x) || !read_int(args[1], dim)) return decline();
  const bool hidden = x.hidden;
  Owned held;
  if (!make_dense(x, held)) return nullptr;
  if (!a.read(x, dim)) return decline();
  Owned y(new_array_like(x, x.type));
  if (!y) return nullptr;
  if (a.size() > 0) {
    const ReleaseGil released(4 * a.size());
    const Array to = view_of(y.get());
    x.type == Type::F32 ? Op::run(a, to.as<float>(), x.as<const float>()) : Op::run(a, to.as<double>(), x.as<const double>());
  }
  return hidden ? hide(y.give()) : y.give();
}

template <class Op>
PyObject* backward_entry(PyObject* const* args) {
  Array g, y;
  int64_t dim;
  Along a;
  if (!g.read(args[0]) || !y.read(args[1]) || !floating(y) || g.type != y.type || !g.same_shape(y) || !read_int(args[2], dim)) return decline();
  const bool hidden = y.hidden;
  Owned held, held_g;
  if (!make_dense(y, held)) return nullptr;
  if (!(y.contiguous() && g.contiguous()) && !g.same_strides(y)) {
    const Array source = g;
    held_g = relaid(source, &y, g);
    if (!held_g) return nullptr;
  }
  if (!a.read(y, dim)) return decline();
  Owned gx(new_array_like(y, y.type));
  if (!gx) return nullptr;
  if (a.size() > 0) {
    const ReleaseGil released(2 * a.size());
    const Array to = view_of(gx.get());
    if (y.type == Type::F32)
      Op::run(a, to.as<float>(), g.as<const float>(), y.as<const float>());
    else
      Op::run(a, to.as<double>(), g.as<const double>(), y.as<const double>());
  }
  return hidden ? hide(gx.give()) : gx.give();
}

// ---- log-sum-exp ----

template <class T>
void logsumexp_rows(T* y, const T* x, int64_t rows, int64_t n) {
  share(rows, n, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const T* own = x + row * n;
      T top = row_max(own, n);
      if (!(std::abs(top) < infinity<T>)) top = 0;
      y[row] = T(double(top) + std::log(sum_of_exp(own, n, top)));
    }
  });
}

// Over all dimensions from some place on, of a row-major array.
PyObject* logsumexp(PyObject* const* args) {
  Array x;
  int64_t dims[max_dims];
  int count;
  bool keepdim;
  if (!x.read(args[0]) || !floating(x) || !read_ints(args[1], dims, count) || !read_bool(args[2], keepdim)) return decline();
  if (count == 0 || count > x.ndim || x.size() == 0) return decline();
  npy_intp shape[max_dims];
  int64_t n = 1;
  for (int i = 0; i < x.ndim; i++) shape[i] = x.shape[i];
  for (int i = 0; i < count; i++) {
    if (dims[i] != x.ndim - count + i) return decline();
    n *= x.shape[dims[i]];
    shape[dims[i]] = 1;
  }
  Owned held;
  if (!x.contiguous()) {
    const Array source = x;
    if (!(held = relaid(source, nullptr, x))) return nullptr;
  }
  Owned y(new_array(keepdim ? x.ndim : x.ndim - count, shape, x.type));
  if (!y) return nullptr;
  const ReleaseGil released(4 * x.size());
  const Array to = view_of(y.get());
  const int64_t rows = x.size() / n;
  x.type == Type::F32 ? logsumexp_rows(to.as<float>(), x.as<const float>(), rows, n)
                      : logsumexp_rows(to.as<double>(), x.as<const double>(), rows, n);
  return y.give();
}

// ---- negative log-likelihood ----

enum class Reduce { None, Sum, Mean };

bool read_reduction(PyObject* value, Reduce& found) {
  if (!value || !PyUnicode_Check(value)) return false;
  auto is = [&](const char* name) { return PyUnicode_CompareWithASCIIString(value, name) == 0; };
  found = is("none") ? Reduce::None : is("sum") ? Reduce::Sum : Reduce::Mean;
  return found != Reduce::Mean || is("mean");
}

// Targets [N, *inner] of scores [N, C, *inner], and what each counts.
template <class T>
struct Targets {
  const int64_t* index;
  const T* weight;  // null: every class counts 1
  int64_t images, classes, inner, ignored;

  int64_t count() const { return images * inner; }
  // Every target is a class or ignored.
  bool good() const {
    bool all = true;
    for (int64_t i = 0; i < count(); i++) all &= (index[i] == ignored) | (uint64_t(index[i]) < uint64_t(classes));
    return all;
  }
  T counts(int64_t i) const { return index[i] == ignored ? T(0) : weight ? weight[index[i]] : T(1); }
  // Where the score of target i lies.
  int64_t place(int64_t i) const { return (i / inner * classes + index[i]) * inner + i % inner; }
};

// False where the reference should look: other dtypes and layouts, a target out of range.
template <class T>
bool read_targets(Targets<T>& t, int ndim, const npy_intp* shape, PyObject* target, PyObject* weight, PyObject* ignored, Array& holder) {
  if (ndim < 2 || !holder.read(target) || holder.type != Type::I64 || !holder.contiguous() || holder.ndim != ndim - 1) return false;
  t.images = shape[0];
  t.classes = shape[1];
  t.inner = 1;
  for (int i = 2; i < ndim; i++) t.inner *= shape[i];
  if (holder.shape[0] != t.images || !std::equal(shape + 2, shape + ndim, holder.shape + 1) || !read_int(ignored, t.ignored)) return false;
  t.index = holder.as<const int64_t>();
  t.weight = nullptr;
  if (given(weight)) {
    Array w;
    if (!w.read(weight) || w.type != type_of<T> || w.ndim != 1 || !w.contiguous() || w.shape[0] != t.classes) return false;
    t.weight = w.as<const T>();
  }
  return t.good();
}

PyObject* number(double value, Type type) {
  PyObject* array = new_array(0, nullptr, type);
  if (array) type == Type::F32 ? void(*view_of(array).as<float>() = float(value)) : void(*view_of(array).as<double>() = value);
  return array;
}

// (loss, total weight) of log-probabilities at `logp`.
template <class T>
bool reduce_loss(const Targets<T>& t, const T* logp, Reduce reduction, const Array& target, Owned& loss, Owned& total) {
  auto each = [&](int64_t i) {
    const T counts = t.counts(i);
    return counts == 0 ? T(0) : -(logp[t.place(i)] * counts);
  };
  if (reduction == Reduce::None) {
    loss = Owned(new_array(target.ndim, target.shape, type_of<T>));
    total = Owned(number(0, type_of<T>));
    if (!loss || !total) return false;
    T* losses = view_of(loss.get()).as<T>();
    for (int64_t i = 0; i < t.count(); i++) losses[i] = each(i);
    return true;
  }
  double sum = 0, weights = 0;
  for (int64_t i = 0; i < t.count(); i++) {
    sum += double(each(i));
    weights += double(t.counts(i));
  }
  loss = Owned(number(reduction == Reduce::Mean ? sum / weights : sum, type_of<T>));
  total = Owned(number(weights, type_of<T>));
  return loss && total;
}

template <class T>
PyObject* run_nll_loss(const Array& logp, PyObject* const* args, Reduce reduction) {
  Targets<T> t;
  Array target;
  if (!read_targets(t, logp.ndim, logp.shape, args[1], args[2], args[3], target)) return decline();
  Owned loss, total;
  if (!reduce_loss(t, logp.as<const T>(), reduction, target, loss, total)) return nullptr;
  return tuple_of(loss, total);
}

PyObject* nll_loss(PyObject* const* args) {
  Array logp;
  Reduce reduction;
  if (!logp.read(args[0]) || !floating(logp) || !logp.contiguous() || !read_reduction(args[4], reduction)) return decline();
  return logp.type == Type::F32 ? run_nll_loss<float>(logp, args, reduction) : run_nll_loss<double>(logp, args, reduction);
}

// The cotangent of each loss, from that of the reduced one and the total weight.
template <class T>
struct LossCotangent {
  const T* g;
  T factor;    // what a reduced loss passes to every target
  bool whole;  // g has a number for every target

  bool read(PyObject* value, PyObject* total, const Array& target, Reduce reduction) {
    Array cotangent, weights;
    if (!cotangent.read(value) || cotangent.type != type_of<T> || !weights.read(total) || weights.type != type_of<T> || weights.ndim != 0)
      return false;
    whole = reduction == Reduce::None;
    if (whole ? !cotangent.same_shape(target) || !cotangent.contiguous() : cotangent.ndim != 0) return false;
    g = cotangent.as<const T>();
    factor = whole ? T(0) : reduction == Reduce::Mean ? *g / *weights.as<const T>() : *g;
    return true;
  }
  T operator()(int64_t i) const { return whole ? g[i] : factor; }
};

template <class T>
PyObject* run_nll_backward(PyObject* const* args, int ndim, const npy_intp* shape, Reduce reduction) {
  Targets<T> t;
  LossCotangent<T> cotangent;
  Array target;
  if (!read_targets(t, ndim, shape, args[2], args[3], args[4], target) || !cotangent.read(args[0], args[6], target, reduction)) return decline();
  Owned made(new_array(ndim, shape, type_of<T>));
  if (!made) return nullptr;
  T* gx = view_of(made.get()).as<T>();
  const int64_t image = t.classes * t.inner;
  const ReleaseGil released(t.images * image);
  share(t.images, image, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; n++) std::fill_n(gx + n * image, image, T(0));
  });
  for (int64_t i = 0; i < t.count(); i++) {
    const T counts = t.counts(i);
    if (counts != 0) gx[t.place(i)] = -(counts * cotangent(i));
  }
  return made.give();
}

PyObject* nll_loss_backward(PyObject* const* args) {
  Array g;
  int64_t sizes[max_dims];
  npy_intp shape[max_dims];
  int ndim;
  Reduce reduction;
  if (!g.read(args[0]) || !floating(g) || !read_ints(args[1], sizes, ndim) || !read_reduction(args[5], reduction)) return decline();
  std::copy(sizes, sizes + ndim, shape);
  return g.type == Type::F32 ? run_nll_backward<float>(args, ndim, shape, reduction) : run_nll_backward<double>(args, ndim, shape, reduction);
}

// ---- cross entropy ----

template <class T>
PyObject* run_cross_entropy(const Array& x, PyObject* const* args, Reduce reduction) {
  Targets<T> t;
  Array target;
  if (!read_targets(t, x.ndim, x.shape, args[1], args[2], args[3], target)) return decline();
  Owned logp(new_array(x.ndim, x.shape, x.type)), loss, total;
  if (!logp) return nullptr;
  T* y = view_of(logp.get()).as<T>();
  {
    const ReleaseGil released(4 * x.size());
    Along a;
    a.outer = t.images;
    a.n = t.classes;
    LogSoftmax::run(a, y, x.as<const T>());
  }
  if (!reduce_loss(t, static_cast<const T*>(y), reduction, target, loss, total)) return nullptr;
  return tuple_of(loss, total, logp);
}

PyObject* cross_entropy(PyObject* const* args) {
  Array x;
  Reduce reduction;
  if (!x.read(args[0]) || !floating(x) || x.ndim != 2 || x.size() == 0 || !read_reduction(args[4], reduction)) return decline();
  Owned held;
  if (!x.contiguous()) {
    const Array source = x;
    if (!(held = relaid(source, nullptr, x))) return nullptr;
  }
  return x.type == Type::F32 ? run_cross_entropy<float>(x, args, reduction) : run_cross_entropy<double>(x, args, reduction);
}

template <class T>
PyObject* run_cross_entropy_backward(const Array& logp, PyObject* const* args, Reduce reduction) {
  Targets<T> t;
  LossCotangent<T> cotangent;
  Array target;
  if (!read_targets(t, 2, logp.shape, args[2], args[3], args[4], target) || !cotangent.read(args[0], args[6], target, reduction)) return decline();
  Owned made(new_array(2, logp.shape, type_of<T>));
  if (!made) return nullptr;
  T* gx = view_of(made.get()).as<T>();
  const T* y = logp.as<const T>();
  const ReleaseGil released(4 * logp.size());
  share(t.images, t.classes, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const T counts = t.counts(row), share = counts == 0 ? T(0) : counts * cotangent(row);
      const Vec<T> shares = splat(share);
      T* own = gx + row * t.classes;
      const T* source = y + row * t.classes;
      each_place<T>(t.classes, [&](int64_t i, int64_t some) { store_some(own + i, Vec<T>(exp(load_some(source + i, some)) * shares), some); });
      if (share != 0) own[t.index[row]] -= share;
    }
  });
  return made.give();
}

PyObject* cross_entropy_backward(PyObject* const* args) {
  Array logp;
  Reduce reduction;
  if (!logp.read(args[1]) || !floating(logp) || logp.ndim != 2 || !logp.contiguous() || logp.size() == 0) return decline();
  if (!read_reduction(args[5], reduction)) return decline();
  return logp.type == Type::F32 ? run_cross_entropy_backward<float>(logp, args, reduction)
                                : run_cross_entropy_backward<double>(logp, args, reduction);
}

const Family family("softmax",
                    {
                        {"softmax", "x dim", forward_entry<Softmax>},
                        {"softmax_backward", "g y dim", backward_entry<SoftmaxBackward>},
                        {"log_softmax", "x dim", forward_entry<LogSoftmax>},
                        {"log_softmax_backward", "g y dim", backward_entry<LogSoftmaxBackward>},
                        {"logsumexp", "x dims keepdim", logsumexp},
                        {"nll_loss", "logp target weight ignore_index reduction", nll_loss},
                        {"nll_loss_backward", "g input_shape target weight ignore_index reduction total_weight", nll_loss_backward},
                        {"cross_entropy", "x target weight ignore_index reduction", cross_entropy},
                        {"cross_entropy_backward", "g logp target weight ignore_index reduction total_weight", cross_entropy_backward},
                    });

}  // namespace
}  // namespace rushlight
