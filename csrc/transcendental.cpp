// Exponentials, logarithms, tanh, sigmoid, erf, sine, cosine and powers, element by element.
//
// float32 and float64 (sine, cosine and general powers: float32), half types by way of float32. The functions are those
// of math.h and trigonometry.h; their largest errors stand in tests/native/test_math.py.
#include "convert.h"
#include "rows.h"
#include "trigonometry.h"

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
struct Sin {
  Vec<float> operator()(Vec<float> x) const { return sin(x); }
};
struct Cos {
  Vec<float> operator()(Vec<float> x) const { return cos(x); }
};
struct Pow {
  Vec<float> operator()(Vec<float> a, Vec<float> b) const { return pow(a, b); }
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

bool floating(Type type) { return type == Type::F32 || type == Type::F16 || type == Type::BF16; }

template <class Op, int operands>
PyObject* single(PyObject* const* args) {
  static constexpr Op op{};
  Array arrays[operands];
  const Array* read[operands];
  for (int k = 0; k < operands; k++) {
    if (!args[k] || !arrays[k].read(args[k]) || arrays[k].type != arrays[0].type || !floating(arrays[k].type)) return decline();
    read[k] = &arrays[k];
  }
  const Choice choice{row_of<Op, float, operands>(), Type::F32};
  return elementwise(choice, read, operands, args[operands], arrays[0].type, &op, Dear);
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
  return single<Pow, 2>(args);
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
                                          {"sin", "x out", single<Sin, 1>},
                                          {"cos", "x out", single<Cos, 1>},
                                          {"pow", "a b out", run_pow},
                                      });

}  // namespace
}  // namespace rushlight
