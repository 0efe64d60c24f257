// where, masked_fill, clamp, lerp, addcmul, addcdiv, nan_to_num: an array with its condition, bounds or further operands.
#include "math.h"
#include "rows.h"

namespace rushlight {
namespace {

// ---- where: any elements of 1, 2, 4 or 8 bytes, by a mask of one byte each ----

template <class T>
void where_row(char* const* at, int64_t count, const void*) {
  T* y = reinterpret_cast<T*>(at[0]);
  const T* a = reinterpret_cast<const T*>(at[2]);
  const T* b = reinterpret_cast<const T*>(at[3]);
  each_vector<T>(count, [&](int64_t i, auto n) {
    store<T>(y + i, select(load_mask<T>(at[1] + i, n), load<T>(a + i, n), load<T>(b + i, n)), n);
  });
}

PyObject* choose_between(const Array& condition, const Array& a, const Array& b, PyObject* out) {
  if (condition.type != Type::Bool || a.type != b.type) return decline();
  const Array* const operands[] = {&condition, &a, &b};
  Row row = nullptr;
  with_size(a.itemsize(), [&](auto element) { row = where_row<decltype(element)>; });
  // The lane type is that of no half type: nothing is widened.
  return elementwise({row, Type::Other}, operands, 3, out, a.type, nullptr);
}

// "condition a b out"
PyObject* run_where(PyObject* const* args) {
  Array condition, a, b;
  for (int k = 0; k < 3; k++)
    if (!args[k]) return decline();
  if (!condition.read(args[0]) || !a.read(args[1]) || !b.read(args[2])) return decline();
  return choose_between(condition, a, b, args[3]);
}

// "x mask value out"
PyObject* run_masked_fill(PyObject* const* args) {
  Array x, mask, value;
  for (int k = 0; k < 3; k++)
    if (!args[k]) return decline();
  if (!x.read(args[0]) || !mask.read(args[1]) || !value.read(args[2]) || value.ndim != 0) return decline();
  return choose_between(mask, value, x, args[3]);
}

// ---- clamp ----

struct Bounds {
  double low, high;
  template <class V>
  V operator()(V x) const {
    using T = Lane<V>;
    return minimum(maximum(x, splat(T(low))), splat(T(high)));
  }
};
struct AtLeast {
  template <class V>
  V operator()(V x, V low) const {
    return maximum(x, low);
  }
};
struct AtMost {
  template <class V>
  V operator()(V x, V high) const {
    return minimum(x, high);
  }
};
struct Between {
  template <class V>
  V operator()(V x, V low, V high) const {
    return minimum(maximum(x, low), high);
  }
};

bool number(PyObject* value) { return PyFloat_Check(value) || (PyLong_Check(value) && !PyBool_Check(value)); }

// Python numbers as bounds, of floating-point arrays only (integers saturate them).
PyObject* clamp_numbers(const Array& x, PyObject* low, PyObject* high, PyObject* out) {
  Bounds bounds{-std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  if (low && !read_double(low, bounds.low)) return decline();
  if (high && !read_double(high, bounds.high)) return decline();
  const Array* const operands[] = {&x};
  return elementwise(choose<Bounds, 1>(x.type), operands, 1, out, x.type, &bounds);
}

template <class Op, int count>
PyObject* clamp_arrays(const Array* const (&operands)[count], PyObject* out) {
  static constexpr Op op{};
  const Type type = operands[0]->type;
  for (const Array* operand : operands)
    if (operand->type != type) return decline();
  return elementwise(choose<Op, count, true>(type), operands, count, out, type, &op);
}

PyObject* clamp(PyObject* value, PyObject* low, PyObject* high, PyObject* out) {
  Array x, lo, hi;
  if (low == Py_None) low = nullptr;
  if (high == Py_None) high = nullptr;
  if (!value || !x.read(value) || (!low && !high)) return decline();
  if ((!low || number(low)) && (!high || number(high))) return clamp_numbers(x, low, high, out);
  if ((low && !lo.read(low)) || (high && !hi.read(high))) return decline();
  if (!high) return clamp_arrays<AtLeast>({&x, &lo}, out);
  if (!low) return clamp_arrays<AtMost>({&x, &hi}, out);
  return clamp_arrays<Between>({&x, &lo, &hi}, out);
}

// "x lo hi out", "x lo out", "x hi out"
PyObject* run_clamp(PyObject* const* args) { return clamp(args[0], args[1], args[2], args[3]); }
PyObject* run_clamp_min(PyObject* const* args) { return clamp(args[0], args[1], nullptr, args[2]); }
PyObject* run_clamp_max(PyObject* const* args) { return clamp(args[0], nullptr, args[1], args[2]); }

// ---- fused forms ----

struct Lerp {
  template <class V>
  V operator()(V a, V b, V weight) const {
    using T = Lane<V>;
    const V difference = b - a;
    return select(magnitude(weight) < T(0.5), a + weight * difference, b - difference * (T(1) - weight));
  }
};
struct Addcmul {
  double value;
  template <class V>
  V operator()(V x, V a, V b) const {
    return x + Lane<V>(value) * a * b;
  }
};
struct Addcdiv {
  double value;
  template <class V>
  V operator()(V x, V a, V b) const {
    return x + Lane<V>(value) * a / b;
  }
};

// "x t1 t2 value out"
template <class Op>
PyObject* run_fused(PyObject* const* args) {
  Array x, a, b;
  Op op{1};
  for (int k = 0; k < 3; k++)
    if (!args[k]) return decline();
  if (!x.read(args[0]) || !a.read(args[1]) || !b.read(args[2]) || a.type != x.type || b.type != x.type) return decline();
  if (args[3] && (!number(args[3]) || !read_double(args[3], op.value))) return decline();
  const Array* const operands[] = {&x, &a, &b};
  return elementwise(choose<Op, 3>(x.type), operands, 3, args[4], x.type, &op);
}

struct LerpNumber {
  double weight;
  template <class V>
  V operator()(V a, V b) const {
    return Lerp()(a, b, splat(Lane<V>(weight)));
  }
};

// "start end weight out"
PyObject* run_lerp(PyObject* const* args) {
  Array a, b, weight;
  for (int k = 0; k < 3; k++)
    if (!args[k]) return decline();
  if (!a.read(args[0]) || !b.read(args[1]) || a.type != b.type) return decline();
  if (number(args[2])) {
    LerpNumber op{};
    if (!read_double(args[2], op.weight)) return decline();
    const Array* const operands[] = {&a, &b};
    return elementwise(choose<LerpNumber, 2>(a.type), operands, 2, args[3], a.type, &op);
  }
  // The reference rounds half weights to the half type; an array of it has been.
  if (!weight.read(args[2]) || weight.type != a.type) return decline();
  static constexpr Lerp op{};
  const Array* const operands[] = {&a, &b, &weight};
  return elementwise(choose<Lerp, 3>(a.type), operands, 3, args[3], a.type, &op);
}

struct NanToNum {
  double nan, highest, lowest;
  template <class V>
  V operator()(V x) const {
    using T = Lane<V>;
    constexpr T infinity = std::numeric_limits<T>::infinity();
    const V finite = select(x == infinity, splat(T(highest)), select(x == -infinity, splat(T(lowest)), x));
    return select(x != x, splat(T(nan)), finite);
  }
};

// "x nan posinf neginf out"
PyObject* run_nan_to_num(PyObject* const* args) {
  Array x;
  if (!args[0] || !x.read(args[0])) return decline();
  double largest;
  switch (x.type) {
    case Type::F16: largest = 65504; break;
    case Type::BF16: largest = 0x1.fep127; break;
    case Type::F32: largest = std::numeric_limits<float>::max(); break;
    case Type::F64: largest = std::numeric_limits<double>::max(); break;
    default: return decline();
  }
  NanToNum op{0, largest, -largest};
  if (given(args[1]) && !read_double(args[1], op.nan)) return decline();
  if (given(args[2]) && !read_double(args[2], op.highest)) return decline();
  if (given(args[3]) && !read_double(args[3], op.lowest)) return decline();
  const Array* const operands[] = {&x};
  return elementwise(choose<NanToNum, 1>(x.type), operands, 1, args[4], x.type, &op);
}

const Family family("ternary", {
                                   {"where", "condition a b out", run_where},
                                   {"masked_fill", "x mask value out", run_masked_fill},
                                   {"clamp", "x lo hi out", run_clamp},
                                   {"clamp_min", "x lo out", run_clamp_min},
                                   {"clamp_max", "x hi out", run_clamp_max},
                                   {"lerp", "start end weight out", run_lerp},
                                   {"addcmul", "x t1 t2 value out", run_fused<Addcmul>},
                                   {"addcdiv", "x t1 t2 value out", run_fused<Addcdiv>},
                                   {"nan_to_num", "x nan posinf neginf out", run_nan_to_num},
                               });

}  // namespace
}  // namespace rushlight
