// Exponentials, logarithms, tanh, sigmoid, erf and erfc, sine, cosine, hypot and powers, element by element.
//
// float32 and float64 (sine, cosine and general powers: only where there is fused multiplication; erfc and hypot: float32
// only), half types by way of float32. The functions are those of math.h, trigonometry.h and trigonometry64.h; their largest errors stand in
// tests/native/test_math.py.
#include "convert.h"
#include "rows.h"
#include "trigonometry64.h"

namespace rushlight {
namespace {

struct Exp {
  template <class V>
  V operator()(V x) const {
    return exp(x);
  }
};
struct Exp2 {
  template <class V>
  V operator()(V x) const {
    return exp2(x);
  }
};
struct Expm1 {
  template <class V>
  V operator()(V x) const {
    return expm1(x);
  }
};
struct Log {
  template <class V>
  V operator()(V x) const {
    return log(x);
  }
};
struct Log2 {
  template <class V>
  V operator()(V x) const {
    return log2(x);
  }
};
struct Log10 {
  template <class V>
  V operator()(V x) const {
    return log10(x);
  }
};
struct Log1p {
  template <class V>
  V operator()(V x) const {
    return log1p(x);
  }
};
struct Tanh {
  template <class V>
  V operator()(V x) const {
    return tanh(x);
  }
};
struct Sigmoid {
  template <class V>
  V operator()(V x) const {
    return sigmoid(x);
  }
};
struct Erf {
  template <class V>
  V operator()(V x) const {
    return erf(x);
  }
};
// From -log of 1 + x / 2 on, in float64: the polynomial, fitted for 0 <= x <= 10.2 where erfc leaves float32, is right to 2^-27.
struct Erfc {
  static Doubles of(Doubles x) {
    static constexpr double tail[] = {-0.13638869974231618, 0.9408952533005289,  -2.7118955726368754, 4.133032945635471,
                                      -3.4621569656714546,  1.6179088144156235,  -0.6942276771193803, 0.2216631792640442,
                                      0.35510300184713955,  1.0016362850551221,  -1.265570558252256};
    const Doubles size = at_most(magnitude(x), 12), t = 1.0 / (1.0 + size * 0.5);
    const Doubles value = t * short_exp(polynomial(tail, t) - size * size);
    return select(x < 0.0, 2.0 - value, value);
  }
  Floats operator()(Floats x) const {
    Doubles low, high;
    widen_lanes(x, low, high);
    return narrow_lanes(of(low), of(high));
  }
};
struct Logaddexp {
  template <class V>
  V operator()(V a, V b) const {
    using T = Lane<V>;
    const V sum = maximum(a, b) + log1p(exp_negative(V(-magnitude(V(a - b)))));
    return select(a == b, a + T(0.693147180559945309417), sum);  // infinities have no difference
  }
};
struct Hypot {
  static Doubles of(Doubles a, Doubles b) { return sqrt(Doubles(a * a + b * b)); }
  Floats operator()(Floats a, Floats b) const {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    Doubles a_low, a_high, b_low, b_high;
    widen_lanes(a, a_low, a_high);
    widen_lanes(b, b_low, b_high);
    const Floats value = narrow_lanes(of(a_low, b_low), of(a_high, b_high));
    return select((magnitude(a) == infinity) | (magnitude(b) == infinity), splat(infinity), value);
  }
};
struct Sin {
  template <class V>
  V operator()(V x) const {
    return sin(x);
  }
};
struct Cos {
  template <class V>
  V operator()(V x) const {
    return cos(x);
  }
};
struct Pow {
  template <class V>
  V operator()(V a, V b) const {
    return pow(a, b);
  }
};

// Powers that torch computes without logarithms when the exponent is one number.
struct Root {
  template <class V>
  V operator()(V x) const {
    return sqrt(x);
  }
};
struct InverseRoot {
  template <class V>
  V operator()(V x) const {
    return Lane<V>(1) / sqrt(x);
  }
};
struct Square {
  template <class V>
  V operator()(V x) const {
    return x * x;
  }
};
struct Cube {
  template <class V>
  V operator()(V x) const {
    return x * x * x;
  }
};
struct Inverse {
  template <class V>
  V operator()(V x) const {
    return Lane<V>(1) / x;
  }
};
struct InverseSquare {
  template <class V>
  V operator()(V x) const {
    return Lane<V>(1) / (x * x);
  }
};

// The cotangent of a power: x^(exponent - 1) from its shortcut.
struct Same {
  template <class V>
  V operator()(V x) const {
    return x;
  }
};
template <class Shortcut>
struct PowBackward {
  double exponent;
  template <class V>
  V operator()(V g, V x) const {
    return g * (Shortcut()(x) * Lane<V>(exponent));
  }
};
struct AnyPowBackward {
  double exponent;
  template <class V>
  V operator()(V g, V x) const {
    using T = Lane<V>;
    return g * (pow(x, splat(T(exponent - 1))) * T(exponent));
  }
};

// Kernels whose float64 functions need fused multiplication.
template <class Op, int operands>
PyObject* with_fused(PyObject* const* args) {
  Array first;
  if (!has_fused && (!args[0] || !first.read(args[0]) || first.type == Type::F64)) return decline();
  return elementwise_kernel<Op, operands, false, Dear>(args);
}

// Kernels that are made for float32 (and the half types).
template <class Op, int operands>
PyObject* single(PyObject* const* args) {
  static constexpr Op op{};
  Array arrays[operands];
  const Array* read[operands];
  for (int k = 0; k < operands; k++) {
    if (!args[k] || !arrays[k].read(args[k]) || arrays[k].type != arrays[0].type) return decline();
    read[k] = &arrays[k];
  }
  const Type type = arrays[0].type;
  if (type != Type::F32 && type != Type::F16 && type != Type::BF16) return decline();
  return elementwise({row_of<Op, float, operands>(), Type::F32}, read, operands, args[operands], type, &op, Dear);
}

bool exponent_of(const Array& b, double& found) {
  if (b.ndim != 0) return false;
  float wide;
  switch (b.type) {
    case Type::F32: found = *b.as<float>(); return true;
    case Type::F64: found = *b.as<double>(); return true;
    case Type::F16: widen(&wide, b.as<Half>(), 1); break;
    case Type::BF16: widen(&wide, b.as<BFloat16>(), 1); break;
    default: return false;
  }
  found = wide;
  return true;
}

// "a b out"
PyObject* run_pow(PyObject* const* args) {
  Array b;
  double exponent;
  if (args[0] && args[1] && b.read(args[1]) && exponent_of(b, exponent)) {
    Array a;
    if (!a.read(args[0]) || a.type != b.type) return decline();
    PyObject* const rest[] = {args[0], args[2]};
    if (exponent == 0.5) return elementwise_kernel<Root, 1>(rest);
    if (exponent == -0.5) return elementwise_kernel<InverseRoot, 1>(rest);
    if (exponent == 2) return elementwise_kernel<Square, 1>(rest);
    if (exponent == 3) return elementwise_kernel<Cube, 1>(rest);
    if (exponent == -1) return elementwise_kernel<Inverse, 1>(rest);
    if (exponent == -2) return elementwise_kernel<InverseSquare, 1>(rest);
  }
  return with_fused<Pow, 2>(args);
}

template <class Op>
PyObject* pow_backward_with(const Array& g, const Array& x, PyObject* out, double exponent) {
  const Op op{exponent};
  const Array* read[] = {&g, &x};
  return elementwise(choose<Op, 2, false>(g.type), read, 2, out, g.type, &op, Dear);
}

// "grad x exponent out"
PyObject* run_pow_backward(PyObject* const* args) {
  Array g, x;
  double exponent;
  if (!args[0] || !args[1] || !g.read(args[0]) || !x.read(args[1]) || g.type != x.type) return decline();
  if (!read_double(args[2], exponent)) return decline();
  if (exponent == 2) return pow_backward_with<PowBackward<Same>>(g, x, args[3], exponent);
  if (exponent == 3) return pow_backward_with<PowBackward<Square>>(g, x, args[3], exponent);
  if (exponent == 4) return pow_backward_with<PowBackward<Cube>>(g, x, args[3], exponent);
  if (exponent == 1.5) return pow_backward_with<PowBackward<Root>>(g, x, args[3], exponent);
  if (exponent == 0.5) return pow_backward_with<PowBackward<InverseRoot>>(g, x, args[3], exponent);
  if (exponent == -1) return pow_backward_with<PowBackward<InverseSquare>>(g, x, args[3], exponent);
  if (!has_fused && g.type == Type::F64) return decline();
  return pow_backward_with<AnyPowBackward>(g, x, args[3], exponent);
}

template <class Op>
constexpr Run kernel = elementwise_kernel<Op, 1, false, Dear>;

const Family family("transcendental", {
                                          {"exp", "x out", kernel<Exp>},
                                          {"exp2", "x out", kernel<Exp2>},
                                          {"expm1", "x out", kernel<Expm1>},
                                          {"log", "x out", kernel<Log>},
                                          {"log2", "x out", kernel<Log2>},
                                          {"log10", "x out", kernel<Log10>},
                                          {"log1p", "x out", kernel<Log1p>},
                                          {"tanh", "x out", kernel<Tanh>},
                                          {"sigmoid", "x out", kernel<Sigmoid>},
                                          {"erf", "x out", kernel<Erf>},
                                          {"erfc", "x out", single<Erfc, 1>},
                                          {"logaddexp", "a b out", elementwise_kernel<Logaddexp, 2, false, Dear>},
                                          {"hypot", "a b out", single<Hypot, 2>},
                                          {"sin", "x out", with_fused<Sin, 1>},
                                          {"cos", "x out", with_fused<Cos, 1>},
                                          {"pow", "a b out", run_pow},
                                          {"pow_backward", "grad x exponent out", run_pow_backward},
                                      });

}  // namespace
}  // namespace rushlight
