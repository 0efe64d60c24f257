// Sums, means, products, extremes, counts, variances and norms over any dimensions (see reduce.h and reduce_walk.cpp for how).
//
// Floating-point sums are accurate to a few roundings however long they are: lanes and chains of a block are added
// pairwise, blocks in double. Large arrays are read at the speed of memory; a sum of two numbers costs about 100 ns.
#include "reduce.h"

#include "kernel.h"
#include "moments.h"
#include "vec.h"

namespace rushlight {
namespace {

// ---- terms that are added ----

struct Itself {
  template <class V>
  static V of(V x) {
    return x;
  }
};
struct NotNan {
  template <class V>
  static V of(V x) {
    return x == x ? x : V{};
  }
};
struct Modulus {
  template <class V>
  static V of(V x) {
    return x < V{} ? -x : x;
  }
};

// What becomes of a finished sum.
struct Plain {
  double operator()(double sum) const { return sum; }
};
struct Over {
  double count;
  double operator()(double sum) const { return sum / count; }
};

// Sums of floating-point terms.
template <class T, class Term, class Finish>
struct Sum {
  using In = T;
  using Part = double;
  using Out = T;
  Finish last;

  static Part start() { return 0; }
  static void merge(Part& part, Part other) { part += other; }
  Out finish(Part part) const { return T(last(part)); }

  Part run(const T* p, int64_t n) const {
    double total = 0;
    for (int64_t begin = 0; begin < n; begin += run_block) {
      T sums[1];
      block_sums<T>(std::min(run_block, n - begin), sums,
                    [&](Vec<T>* terms, int64_t i, int64_t some) { terms[0] = Term::of(load_some(p + begin + i, some)); });
      total += double(sums[0]);
    }
    return total;
  }
  void rows(const T* p, int64_t count, int64_t stride, int64_t width, Part* parts) const {
    constexpr int64_t L = lanes<T>;
    for (int64_t begin = 0; begin < count; begin += row_block) {
      const int64_t end = std::min(count, begin + row_block);
      for (int64_t j = 0; j < width; j += wide * L) {
        const int64_t rest = width - j;
        rest >= wide * L ? strip<wide>(p + j, begin, end, stride, rest, parts + j) : narrow(p + j, begin, end, stride, rest, parts + j);
      }
    }
  }

 private:
  static constexpr int wide = 4;  // vectors of columns that stay in registers

  static void narrow(const T* p, int64_t begin, int64_t end, int64_t stride, int64_t width, Part* parts) {
    for (int64_t j = 0; j < width; j += lanes<T>) strip<1>(p + j, begin, end, stride, std::min(lanes<T>, width - j), parts + j);
  }
  template <int V>
  static void strip(const T* p, int64_t begin, int64_t end, int64_t stride, int64_t width, Part* parts) {
    constexpr int64_t L = lanes<T>;
    Vec<T> even[V] = {}, odd[V] = {};
    auto row = [&](int64_t i, int k) { return Term::of(V == 1 ? load_some(p + i * stride, width) : load(p + i * stride + k * L)); };
    int64_t i = begin;
    for (; i + 2 <= end; i += 2)
#pragma GCC unroll 8
      for (int k = 0; k < V; k++) {
        even[k] += row(i, k);
        odd[k] += row(i + 1, k);
      }
#pragma GCC unroll 8
    for (int k = 0; i < end && k < V; k++) even[k] += row(i, k);
    T sums[V * L];
#pragma GCC unroll 8
    for (int k = 0; k < V; k++) store(sums + k * L, Vec<T>(even[k] + odd[k]));
    for (int64_t j = 0; j < std::min(width, V * L); j++) parts[j] += double(sums[j]);
  }
};

// Walks rows and columns element by element for operations whose inner loops the compiler turns into vectors itself.
template <class Op, class T, class P>
struct ByElement {
  using In = T;
  using Part = P;

  static void rows(const T* p, int64_t count, int64_t stride, int64_t width, P* parts) {
    for (int64_t i = 0; i < count; i++)
      for (int64_t j = 0; j < width; j++) Op::merge(parts[j], Op::of(p[i * stride + j]));
  }
  // Several chains, since one would wait for itself.
  static P run(const T* p, int64_t n) {
    constexpr int64_t chains = 64 / sizeof(P) * 4;
    P total = Op::start();
    int64_t i = 0;
    if (n >= chains) {
      P part[chains];
      for (int64_t k = 0; k < chains; k++) part[k] = Op::start();
      for (; i + chains <= n; i += chains)
        for (int64_t k = 0; k < chains; k++) Op::merge(part[k], Op::of(p[i + k]));
      for (int64_t half = chains / 2; half > 0; half /= 2)
        for (int64_t k = 0; k < half; k++) Op::merge(part[k], part[k + half]);
      total = part[0];
    }
    for (; i < n; i++) Op::merge(total, Op::of(p[i]));
    return total;
  }
};

// Sums of integers, and how many elements are not zero.
template <class T>
struct IntegerSum : ByElement<IntegerSum<T>, T, int64_t> {
  using Out = int64_t;
  static int64_t start() { return 0; }
  static int64_t of(T x) { return int64_t(x); }
  static void merge(int64_t& part, int64_t other) { part += other; }
  static Out finish(int64_t part) { return part; }
};
template <class T>
struct Count : ByElement<Count<T>, T, int64_t> {
  using Out = int64_t;
  static int64_t start() { return 0; }
  static int64_t of(T x) { return x != T(0); }
  static void merge(int64_t& part, int64_t other) { part += other; }
  static Out finish(int64_t part) { return part; }
};
template <class T>
struct Any : Count<T> {
  using Out = bool;
  static Out finish(int64_t part) { return part > 0; }
};
template <class T>
struct All : Count<T> {
  using Out = bool;
  int64_t count;
  Out finish(int64_t part) const { return part == count; }
};

// The largest (smallest) element; NaN wins.
template <class T, bool largest>
struct Extreme : ByElement<Extreme<T, largest>, T, T> {
  using Out = T;
  static T start() {
    if constexpr (std::is_floating_point_v<T>) return largest ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::infinity();
    return largest ? std::numeric_limits<T>::lowest() : std::numeric_limits<T>::max();
  }
  static T of(T x) { return x; }
  static void merge(T& part, T other) {
    const bool better = largest ? other > part : other < part;
    part = better | (other != other) ? other : part;
  }
  static Out finish(T part) { return part; }
};

template <class T>
struct Product : ByElement<Product<T>, T, T> {
  using Out = T;
  static T start() { return 1; }
  static T of(T x) { return x; }
  static void merge(T& part, T other) { part *= other; }
  static Out finish(T part) { return part; }
};

// Sums of squares in double, which neither overflow nor vanish where float32 squares would.
template <class T>
struct SquareSum : ByElement<SquareSum<T>, T, double> {
  using Out = T;
  static double start() { return 0; }
  static double of(double x) { return x * x; }
  static void merge(double& part, double other) { part += other; }
  static Out finish(double part) { return T(std::sqrt(part)); }
};
template <class T>
struct LargestModulus : Extreme<T, true> {
  static T start() { return 0; }
  static T of(T x) { return x < 0 ? -x : x; }
  using Base = ByElement<LargestModulus<T>, T, T>;
  static T run(const T* p, int64_t n) { return Base::run(p, n); }
  static void rows(const T* p, int64_t count, int64_t stride, int64_t width, T* parts) { Base::rows(p, count, stride, width, parts); }
};

// Variances, and their square roots.
template <class T>
struct Variance {
  using In = T;
  using Part = Moments;
  using Out = T;
  double divisor;
  bool root;

  static Part start() { return {}; }
  static void merge(Part& part, const Part& other) {
    if (other.count > 0) part.merge(other.count, other.mean, other.m2);
  }
  static Part run(const T* p, int64_t n) {
    Moments moments;
    add_run(moments, p, n);
    return moments;
  }
  static void rows(const T* p, int64_t count, int64_t stride, int64_t width, Part* parts) {
    double mean[strip_columns], m2[strip_columns];
    T work[3 * strip_columns];
    column_moments(p, stride, count, width, mean, m2, work);
    for (int64_t j = 0; j < width; j++) parts[j].merge(double(count), mean[j], m2[j]);
  }
  Out finish(const Part& part) const {
    const double variance = (part.m2 < 0 ? 0 : part.m2) / divisor;
    return T(root ? std::sqrt(variance) : variance);
  }
};

// ---- entries ----

// An array, the dimensions to reduce, keepdim.
struct Request {
  Array x;
  bool over[max_dims];
  bool keepdim = false;

  bool read(PyObject* const* args) { return x.read(args[0]) && read_dims(args[1], x, over) && (!args[2] || read_bool(args[2], keepdim)); }
  int64_t count() const {
    int64_t n = 1;
    for (int d = 0; d < x.ndim; d++) n *= over[d] ? x.shape[d] : 1;
    return n;
  }
  template <class Op>
  PyObject* run(const Op& op) const {
    return reduce(x, over, keepdim, operation_of(op));
  }
  template <template <class> class Op>
  PyObject* run_any() const {
    switch (x.type) {
      case Type::Bool:
      case Type::U8: return run(Op<uint8_t>());
      case Type::I32: return run(Op<int32_t>());
      case Type::I64: return run(Op<int64_t>());
      case Type::F32: return run(Op<float>());
      case Type::F64: return run(Op<double>());
      default: return decline();
    }
  }
};

// Whether a dtype argument asks for what comes out anyway.
bool natural(PyObject* dtype, Type result) {
  if (!given(dtype)) return true;
  return PyArray_DescrCheck(dtype) && reinterpret_cast<PyArray_Descr*>(dtype)->type_num == type_number(result);
}

template <class Term>
PyObject* float_sum(const Request& r) {
  return r.x.type == Type::F32 ? r.run(Sum<float, Term, Plain>()) : r.run(Sum<double, Term, Plain>());
}

PyObject* sum(PyObject* const* args) {
  Request r;
  if (!r.read(args)) return decline();
  if (plain_float(r.x.type)) return natural(args[3], r.x.type) ? float_sum<Itself>(r) : decline();
  if (!natural(args[3], Type::I64)) return decline();
  switch (r.x.type) {
    case Type::Bool:
    case Type::U8: return r.run(IntegerSum<uint8_t>());
    case Type::I32: return r.run(IntegerSum<int32_t>());
    case Type::I64: return r.run(IntegerSum<int64_t>());
    default: return decline();
  }
}

PyObject* mean(PyObject* const* args) {
  Request r;
  if (!r.read(args) || !plain_float(r.x.type) || !natural(args[3], r.x.type)) return decline();
  const Over over{double(r.count())};
  return r.x.type == Type::F32 ? r.run(Sum<float, Itself, Over>{over}) : r.run(Sum<double, Itself, Over>{over});
}

PyObject* nansum(PyObject* const* args) {
  Request r;
  if (!r.read(args) || !plain_float(r.x.type) || !natural(args[3], r.x.type)) return decline();
  return float_sum<NotNan>(r);
}

PyObject* prod(PyObject* const* args) {
  Request r;
  if (!r.read(args)) return decline();
  switch (natural(args[3], r.x.type) ? r.x.type : Type::Other) {
    case Type::I64: return r.run(Product<int64_t>());
    case Type::F32: return r.run(Product<float>());
    case Type::F64: return r.run(Product<double>());
    default: return decline();
  }
}

template <bool largest>
PyObject* extreme(PyObject* const* args) {
  Request r;
  if (!r.read(args)) return decline();
  switch (r.x.type) {
    case Type::I32: return r.run(Extreme<int32_t, largest>());
    case Type::I64: return r.run(Extreme<int64_t, largest>());
    case Type::F32: return r.run(Extreme<float, largest>());
    case Type::F64: return r.run(Extreme<double, largest>());
    default: return decline();
  }
}

PyObject* any(PyObject* const* args) {
  Request r;
  return r.read(args) && r.x.type != Type::U8 ? r.run_any<Any>() : decline();
}

PyObject* all(PyObject* const* args) {
  Request r;
  if (!r.read(args)) return decline();
  auto run = [&]<class T>(T) {
    All<T> op;
    op.count = r.count();
    return r.run(op);
  };
  switch (r.x.type) {
    case Type::Bool: return run(uint8_t());
    case Type::I64: return run(int64_t());
    case Type::F32: return run(float());
    default: return decline();
  }
}

PyObject* count_nonzero(PyObject* const* args) {
  PyObject* const with_keepdim[] = {args[0], args[1], nullptr};
  Request r;
  return r.read(with_keepdim) ? r.run_any<Count>() : decline();
}

template <bool root>
PyObject* variance(PyObject* const* args) {
  PyObject* const request[] = {args[0], args[1], args[3]};
  Request r;
  double correction = 1;
  if (!r.read(request) || !plain_float(r.x.type) || (args[2] && !read_double(args[2], correction))) return decline();
  const double divisor = std::max(double(r.count()) - correction, 0.0);
  return r.x.type == Type::F32 ? r.run(Variance<float>{divisor, root}) : r.run(Variance<double>{divisor, root});
}

PyObject* norm(PyObject* const* args) {
  PyObject* const request[] = {args[0], args[2], args[3]};
  Request r;
  double p;
  if (!r.read(request) || !plain_float(r.x.type) || !read_double(args[1], p) || !natural(args[4], r.x.type)) return decline();
  const bool single = r.x.type == Type::F32;
  if (p == 2) return single ? r.run(SquareSum<float>()) : r.run(SquareSum<double>());
  if (p == 1) return float_sum<Modulus>(r);
  if (p == std::numeric_limits<double>::infinity()) return single ? r.run(LargestModulus<float>()) : r.run(LargestModulus<double>());
  return decline();
}

const Family family("reduce", {
                                  {"sum", "x dims keepdim dtype", sum},
                                  {"mean", "x dims keepdim dtype", mean},
                                  {"nansum", "x dims keepdim dtype", nansum},
                                  {"prod", "x dims keepdim dtype", prod},
                                  {"amax", "x dims keepdim", extreme<true>},
                                  {"amin", "x dims keepdim", extreme<false>},
                                  {"any", "x dims keepdim", any},
                                  {"all", "x dims keepdim", all},
                                  {"count_nonzero", "x dims", count_nonzero},
                                  {"var", "x dims correction keepdim", variance<false>},
                                  {"std", "x dims correction keepdim", variance<true>},
                                  {"norm", "x p dims keepdim dtype", norm},
                              });

}  // namespace

}  // namespace rushlight
