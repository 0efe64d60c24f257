// Softmax, log-softmax and log-sum-exp along one dimension, with their gradients.
//
// Arrays are seen as [outer, n, inner] (softmax.h). With inner = 1 a row is taken through its passes (maximum, sum of exponentials, result) while it is in cache; else a few
// vectors of neighbouring columns are. So large arrays are read and written once, at the speed of memory. Results lie in
// memory as their operands do. Sums are kept in double over blocks of 2048 terms.
#include "softmax.h"

#include "relayout.h"

namespace rushlight {
namespace {

constexpr int wide = 4;                    // vectors of columns that are taken through the passes together
constexpr int64_t tile_elements = 32 << 10;   // of a tile of columns in scratch memory
constexpr int64_t direct_elements = 4 << 10;  // columns of smaller arrays stay where they are

template <class T>
constexpr T infinity = std::numeric_limits<T>::infinity();

// V vectors of neighbouring columns; V = 1 may be less than a whole vector.
template <class T, int V>
struct Columns {
  Vec<T> v[V];

  static Columns load(const T* p, int64_t some) {
    Columns found;
    if constexpr (V == 1)
      found.v[0] = load_some(p, some);
    else
#pragma GCC unroll 8
      for (int k = 0; k < V; k++) found.v[k] = rushlight::load(p + k * lanes<T>);
    return found;
  }
  void store(T* p, int64_t some) const {
    if constexpr (V == 1)
      store_some(p, v[0], some);
    else
#pragma GCC unroll 8
      for (int k = 0; k < V; k++) rushlight::store(p + k * lanes<T>, v[k]);
  }
  template <class F>
  void each(F&& f) {
#pragma GCC unroll 8
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
#pragma GCC unroll 8
      for (int k = 0; k < V; k++) part.v[k] += terms.v[k];
    }
#pragma GCC unroll 8
    for (int k = 0; k < V; k++) total.v[k] += part.v[k];
  }
  return total;
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
#pragma GCC unroll 4
  for (Vec<T>& b : best) b = splat(-infinity<T>);
  int64_t i = 0;
  for (; i + chains * L <= n; i += chains * L)
#pragma GCC unroll 4
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
// x and y may be the same memory; rows of a strip are `pitch` elements apart.

template <class T, int V>
Columns<T, V> column_max(const T* x, int64_t n, int64_t pitch, int64_t some) {
  Columns<T, V> best = Columns<T, V>::load(x, some);
  for (int64_t i = 1; i < n; i++) {
    const Columns<T, V> row = Columns<T, V>::load(x + i * pitch, some);
    best.each([&](Vec<T>& b, int k) { b = max(row.v[k], b); });
  }
  return best;
}

struct SoftmaxColumns {
  template <class T, int V>
  static void run(T* y, const T* x, const T*, int64_t n, int64_t pitch, int64_t some) {
    using C = Columns<T, V>;
    const C top = column_max<T, V>(x, n, pitch, some);
    C inverse = column_sums<T, V>(n, [&](int64_t i) {
      C e = C::load(x + i * pitch, some);
      e.each([&](Vec<T>& v, int k) { v = exp(Vec<T>(v - top.v[k])); });
      e.store(y + i * pitch, some);
      return e;
    });
    inverse.each([](Vec<T>& v, int) { v = T(1) / v; });
    for (int64_t i = 0; i < n; i++) {
      C e = C::load(y + i * pitch, some);
      e.each([&](Vec<T>& v, int k) { v *= inverse.v[k]; });
      e.store(y + i * pitch, some);
    }
  }
};

struct LogSoftmaxColumns {
  template <class T, int V>
  static void run(T* y, const T* x, const T*, int64_t n, int64_t pitch, int64_t some) {
    using C = Columns<T, V>;
    const C top = column_max<T, V>(x, n, pitch, some);
    C rest = column_sums<T, V>(n, [&](int64_t i) {
      C e = C::load(x + i * pitch, some);
      e.each([&](Vec<T>& v, int k) { v = exp(Vec<T>(v - top.v[k])); });
      return e;
    });
    rest.each([](Vec<T>& v, int) { v = log(v); });
    for (int64_t i = 0; i < n; i++) {
      C out = C::load(x + i * pitch, some);
      out.each([&](Vec<T>& v, int k) { v = v - top.v[k] - rest.v[k]; });
      out.store(y + i * pitch, some);
    }
  }
};

struct SoftmaxBackwardColumns {
  template <class T, int V>
  static void run(T* gx, const T* g, const T* y, int64_t n, int64_t pitch, int64_t some) {
    using C = Columns<T, V>;
    const C along = column_sums<T, V>(n, [&](int64_t i) {
      C terms = C::load(g + i * pitch, some);
      const C result = C::load(y + i * pitch, some);
      terms.each([&](Vec<T>& v, int k) { v *= result.v[k]; });
      return terms;
    });
    for (int64_t i = 0; i < n; i++) {
      C out = C::load(g + i * pitch, some);
      const C result = C::load(y + i * pitch, some);
      out.each([&](Vec<T>& v, int k) { v = result.v[k] * (v - along.v[k]); });
      out.store(gx + i * pitch, some);
    }
  }
};

struct LogSoftmaxBackwardColumns {
  template <class T, int V>
  static void run(T* gx, const T* g, const T* y, int64_t n, int64_t pitch, int64_t some) {
    using C = Columns<T, V>;
    const C total = column_sums<T, V>(n, [&](int64_t i) { return C::load(g + i * pitch, some); });
    for (int64_t i = 0; i < n; i++) {
      C out = C::load(g + i * pitch, some);
      const C result = C::load(y + i * pitch, some);
      out.each([&](Vec<T>& v, int k) { v = v - exp(result.v[k]) * total.v[k]; });
      out.store(gx + i * pitch, some);
    }
  }
};

// Runs Op on all columns: to = Op(a[, b]), each [n, width] with `pitch` elements from row to row.
template <class Op, class T>
void over_strips(T* to, const T* a, const T* b, int64_t n, int64_t pitch, int64_t width) {
  constexpr int64_t L = lanes<T>;
  int64_t j = 0;
  auto strip = [&](auto v, int64_t some) { Op::template run<T, v()>(to + j, a + j, b ? b + j : nullptr, n, pitch, some); };
  for (; j + wide * L <= width; j += wide * L) strip(std::integral_constant<int, wide>(), L);
  for (; j < width; j += L) strip(std::integral_constant<int, 1>(), std::min(L, width - j));
}

// The same for arrays [outer, n, inner]. Tiles of columns are copied to scratch memory and back: their rows lie far apart,
// often at distances that share few lines of a cache, and longer pieces of rows are what memory likes.
template <class Op, class T>
void over_columns(const Along& a, T* to, const T* x, const T* second) {
  const int64_t width = std::clamp(tile_elements / a.n / 64 * 64, int64_t(64), int64_t(1024)), tiles = (a.inner + width - 1) / width;
  const int64_t pitch = width + 16;  // not a power of two
  share(a.outer * tiles, a.n * std::min(width, a.inner), [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; unit++) {
      const int64_t from = unit % tiles * width, some = std::min(width, a.inner - from), at = unit / tiles * a.n * a.inner + from;
      if (a.n * a.inner <= direct_elements) {
        over_strips<Op, T>(to + at, x + at, second ? second + at : nullptr, a.n, a.inner, some);
        continue;
      }
      T* first = scratch<T>(0, 2 * a.n * pitch);
      T* other = second ? first + a.n * pitch : nullptr;
      for (int64_t i = 0; i < a.n; i++) {
        std::copy_n(x + at + i * a.inner, some, first + i * pitch);
        if (second) std::copy_n(second + at + i * a.inner, some, other + i * pitch);
      }
      over_strips<Op, T>(first, first, other, a.n, pitch, some);
      for (int64_t i = 0; i < a.n; i++) std::copy_n(first + i * pitch, some, to + at + i * a.inner);
    }
  });
}

// ---- entries ----

// `x` dense: itself, or a row-major copy that `held` keeps.
bool make_dense(Array& x, Owned& held) {
  if (x.dense()) return true;
  const Array source = x;
  held = relaid(source, nullptr, x);
  return bool(held);
}

struct Softmax {
  template <class T>
  static void run(const Along& a, T* y, const T* x) {
    if (a.inner == 1 && a.n <= lanes<T>) return over_rows<T>(a, [&](int64_t at) { short_softmax_row(y + at, x + at, a.n); });
    if (a.inner == 1) return over_rows<T>(a, [&](int64_t at) { softmax_row(y + at, x + at, a.n); });
    over_columns<SoftmaxColumns, T>(a, y, x, nullptr);
  }
};
struct LogSoftmax {
  template <class T>
  static void run(const Along& a, T* y, const T* x) {
    if (a.inner == 1 && a.n <= lanes<T>) return over_rows<T>(a, [&](int64_t at) { short_log_softmax_row(y + at, x + at, a.n); });
    if (a.inner == 1) return over_rows<T>(a, [&](int64_t at) { log_softmax_row(y + at, x + at, a.n); });
    over_columns<LogSoftmaxColumns, T>(a, y, x, nullptr);
  }
};
struct SoftmaxBackward {
  template <class T>
  static void run(const Along& a, T* gx, const T* g, const T* y) {
    if (a.inner == 1) return over_rows<T>(a, [&](int64_t at) { softmax_backward_row(gx + at, g + at, y + at, a.n); });
    over_columns<SoftmaxBackwardColumns, T>(a, gx, g, y);
  }
};
struct LogSoftmaxBackward {
  template <class T>
  static void run(const Along& a, T* gx, const T* g, const T* y) {
    if (a.inner == 1) return over_rows<T>(a, [&](int64_t at) { log_softmax_backward_row(gx + at, g + at, y + at, a.n); });
    over_columns<LogSoftmaxBackwardColumns, T>(a, gx, g, y);
  }
};

template <class Op>
PyObject* forward_entry(PyObject* const* args) {
  Array x;
  int64_t dim;
  Along a;
  if (!x.read(args[0]) || !plain_float(x.type) || !read_int(args[1], dim)) return decline();
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
  if (!g.read(args[0]) || !y.read(args[1]) || !plain_float(y.type) || g.type != y.type || !g.same_shape(y) || !read_int(args[2], dim)) return decline();
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
  if (!x.read(args[0]) || !plain_float(x.type) || !read_ints(args[1], dims, count) || !read_bool(args[2], keepdim)) return decline();
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

const Family family("softmax",
                    {
                        {"softmax", "x dim", forward_entry<Softmax>},
                        {"softmax_backward", "g y dim", backward_entry<SoftmaxBackward>},
                        {"log_softmax", "x dim", forward_entry<LogSoftmax>},
                        {"log_softmax_backward", "g y dim", backward_entry<LogSoftmaxBackward>},
                        {"logsumexp", "x dims keepdim", logsumexp},
                    });

}  // namespace

template <class T>
void log_softmax(const Along& along, T* y, const T* x) {
  LogSoftmax::run(along, y, x);
}

template void log_softmax(const Along&, float*, const float*);
template void log_softmax(const Along&, double*, const double*);

}  // namespace rushlight
