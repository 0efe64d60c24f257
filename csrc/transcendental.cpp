// Exponentials, logarithms, tanh, sigmoid, erf, sine, cosine and powers, element by element.
//
// float32 and float64 (sine, cosine and general powers: only where there is fused multiplication), half types by way of
// float32. The functions are those of math.h, trigonometry.h and trigonometry64.h; their largest errors stand in
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

// Kernels whose float64 functions need fused multiplication.
template <class Op, int operands>
PyObject* with_fused(PyObject* const* args) {
  Array first;
  if (!has_fused && (!args[0] || !first.read(args[0]) || first.type == Type::F64)) return decline();
  return elementwise_kernel<Op, operands, false, Dear>(args);
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
                                          {"sin", "x out", with_fused<Sin, 1>},
                                          {"cos", "x out", with_fused<Cos, 1>},
                                          {"pow", "a b out", run_pow},
                                      });

}  // namespace
}  // namespace rushlight
