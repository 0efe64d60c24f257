// Activation functions and their gradients, one pass each.
//
// A gradient kernel takes the cotangent and what the function saved: its input, or its output for tanh and sigmoid.
// float32 and float64; half types by way of float32.
#include "math.h"
#include "rows.h"

namespace rushlight {
namespace {

// ---- made of straight pieces ----

struct Relu {
  template <class V>
  V operator()(V x) const {
    return maximum(x, V{});
  }
};
struct Threshold {
  double threshold, value;
  template <class V>
  V operator()(V x) const {
    return select(x <= Lane<V>(threshold), splat(Lane<V>(value)), x);
  }
};
struct ThresholdBackward {
  double threshold;
  template <class V>
  V operator()(V g, V x) const {
    return select(x <= Lane<V>(threshold), V{}, g);
  }
};
struct LeakyRelu {
  double slope;
  template <class V>
  V operator()(V x) const {
    return select(x > Lane<V>(0), x, x * Lane<V>(slope));
  }
};
struct LeakyReluBackward {
  double slope;
  template <class V>
  V operator()(V g, V x) const {
    return select(x > Lane<V>(0), g, g * Lane<V>(slope));
  }
};
struct HardtanhBackward {
  double low, high;
  template <class V>
  V operator()(V g, V x) const {
    return select((x > Lane<V>(low)) & (x < Lane<V>(high)), g, V{});
  }
};
struct Hardsigmoid {
  template <class V>
  V operator()(V x) const {
    using T = Lane<V>;
    return bounded(x + T(3), T(0), T(6)) / T(6);
  }
};
struct HardsigmoidBackward {
  template <class V>
  V operator()(V g, V x) const {
    using T = Lane<V>;
    return select((x > T(-3)) & (x < T(3)), g * T(1.0 / 6), V{});
  }
};
struct Hardswish {
  template <class V>
  V operator()(V x) const {
    using T = Lane<V>;
    return x * bounded(x + T(3), T(0), T(6)) / T(6);
  }
};
struct HardswishBackward {
  template <class V>
  V operator()(V g, V x) const {
    using T = Lane<V>;
    return select(x <= T(-3), V{}, select(x < T(3), g * (x / T(3) + T(0.5)), g));
  }
};
struct Hardshrink {
  double bound;
  template <class V>
  V operator()(V x) const {
    return select((x >= Lane<V>(-bound)) & (x <= Lane<V>(bound)), V{}, x);
  }
};
struct Softshrink {
  double bound;
  template <class V>
  V operator()(V x) const {
    using T = Lane<V>;
    return select(x > T(bound), x - T(bound), select(x < T(-bound), x + T(bound), x * T(0)));
  }
};
struct ShrinkBackward {
  double bound;
  template <class V>
  V operator()(V g, V x) const {
    return select((x < Lane<V>(-bound)) | (x > Lane<V>(bound)), g, V{});
  }
};
struct Prelu {
  template <class V>
  V operator()(V x, V weight) const {
    return select(x > Lane<V>(0), x, weight * x);
  }
};

// ---- smooth ----

struct TanhBackward {
  template <class V>
  V operator()(V g, V y) const {
    return g * (Lane<V>(1) - y * y);
  }
};
struct SigmoidBackward {
  template <class V>
  V operator()(V g, V y) const {
    return g * ((Lane<V>(1) - y) * y);
  }
};
struct LogSigmoid {
  template <class V>
  V operator()(V x) const {
    return minimum(x, V{}) - log1p(exp_negative(-magnitude(x)));
  }
};
struct LogSigmoidBackward {
  template <class V>
  V operator()(V g, V x) const {
    return g * sigmoid(-x);
  }
};
struct Silu {
  template <class V>
  V operator()(V x) const {
    return x * sigmoid(x);
  }
};
struct SiluBackward {
  template <class V>
  V operator()(V g, V x) const {
    using T = Lane<V>;
    const V s = sigmoid(x);
    return g * (s * (x * (T(1) - s) + T(1)));
  }
};
struct Softplus {
  double beta, threshold;
  template <class V>
  V operator()(V x) const {
    using T = Lane<V>;
    const V scaled = x * T(beta);
    return select(scaled > T(threshold), x, log1p(exp(scaled)) / T(beta));
  }
};
struct SoftplusBackward {
  double beta, threshold;
  template <class V>
  V operator()(V g, V x) const {
    using T = Lane<V>;
    const V scaled = x * T(beta);
    return select(scaled > T(threshold), g, g * sigmoid(scaled));
  }
};
struct Elu {
  double alpha, scale, input_scale;
  template <class V>
  V operator()(V x) const {
    using T = Lane<V>;
    return select(x <= T(0), expm1(x * T(input_scale)) * T(alpha * scale), x * T(scale));
  }
};
struct EluBackward {
  double alpha, scale, input_scale;
  template <class V>
  V operator()(V g, V x) const {
    using T = Lane<V>;
    const V below = g * (exp(x * T(input_scale)) * T(input_scale * alpha * scale));
    return select(x <= T(0), below, g * T(scale));
  }
};

constexpr double sqrt_half = 0.707106781186547524401, normal_scale = 0.398942280401432677940;
constexpr double gelu_scale = 0.797884560802865355880, gelu_cubic = 0.044715;

struct Gelu {
  template <class V>
  V operator()(V x) const {
    using T = Lane<V>;
    return T(0.5) * x * (erf(x * T(sqrt_half)) + T(1));
  }
};
struct GeluBackward {
  template <class V>
  V operator()(V g, V x) const {
    using T = Lane<V>;
    const V below = T(0.5) * (erf(x * T(sqrt_half)) + T(1));
    return g * (below + x * (exp(T(-0.5) * x * x) * T(normal_scale)));
  }
};
struct GeluTanh {
  template <class V>
  V operator()(V x) const {
    using T = Lane<V>;
    return T(0.5) * x * (tanh(T(gelu_scale) * (x + T(gelu_cubic) * x * x * x)) + T(1));
  }
};
struct GeluTanhBackward {
  template <class V>
  V operator()(V g, V x) const {
    using T = Lane<V>;
    const V square = x * x, t = tanh(T(gelu_scale) * (x + T(gelu_cubic) * square * x));
    const V slope = T(gelu_scale) * (T(3 * gelu_cubic) * square + T(1));
    return g * (T(0.5) * (t + T(1)) + T(0.5) * x * (T(1) - t * t) * slope);
  }
};

// tanh(log(1 + e)) is n / (n + 2) with n = e (e + 2), and 1 to the last digit where e = exp(x) is large.
template <class V>
V mish_exponential(V x) {
  constexpr int large = sizeof(Lane<V>) == 4 ? 20 : 40;
  return exp(select(x > Lane<V>(large), splat(Lane<V>(large)), x));
}
struct Mish {
  template <class V>
  V operator()(V x) const {
    using T = Lane<V>;
    const V e = mish_exponential(x), n = e * (e + T(2));
    return x * (n / (n + T(2)));
  }
};
struct MishBackward {
  template <class V>
  V operator()(V g, V x) const {
    using T = Lane<V>;
    const V e = mish_exponential(x), n = e * (e + T(2)), inverse = T(1) / (n + T(2));
    const V t = n * inverse, s = e / (e + T(1)), flat = T(4) * (n + T(1)) * inverse * inverse;  // 1 - t^2
    return g * (t + x * s * flat);
  }
};

// ---- kernels ----

// `operands` arrays of one dtype, then the operation's numbers (with their defaults), then `out`.
template <class Op, int operands, Cost cost, bool integers = false, class... Defaults>
PyObject* run(PyObject* const* args, Defaults... defaults) {
  constexpr int constants = sizeof...(Defaults);
  double values[constants + 1] = {defaults..., 0};
  for (int i = 0; i < constants; i++)
    if (args[operands + i] && !read_double(args[operands + i], values[i])) return decline();
  Op op;
  static_assert(sizeof(Op) == constants * sizeof(double) || constants == 0);
  if constexpr (constants > 0) std::memcpy(&op, values, sizeof op);
  Array arrays[operands];
  const Array* read[operands];
  for (int k = 0; k < operands; k++) {
    if (!args[k] || !arrays[k].read(args[k]) || arrays[k].type != arrays[0].type) return decline();
    read[k] = &arrays[k];
  }
  const Choice choice = choose<Op, operands, integers>(arrays[0].type);
  return elementwise(choice, read, operands, args[operands + constants], arrays[0].type, &op, cost);
}

template <class Op, int operands, Cost cost, bool integers = false>
PyObject* plain(PyObject* const* args) {
  return run<Op, operands, cost, integers>(args);
}
template <class Op, int operands>
PyObject* with_one(PyObject* const* args) {
  return args[operands] ? run<Op, operands, Cheap>(args, 0.0) : decline();
}
template <class Op, int operands>
PyObject* with_two(PyObject* const* args) {
  return args[operands] && args[operands + 1] ? run<Op, operands, Cheap>(args, 0.0, 0.0) : decline();
}
template <class Op, int operands>
PyObject* softplus_like(PyObject* const* args) {
  return run<Op, operands, Dear>(args, 1.0, 20.0);
}
template <class Op, int operands>
PyObject* elu_like(PyObject* const* args) {
  return run<Op, operands, Dear>(args, 1.0, 1.0, 1.0);
}
template <class Exact, class Approximate, int operands>
PyObject* gelu_like(PyObject* const* args) {
  PyObject* rest[operands + 1];
  for (int k = 0; k < operands; k++) rest[k] = args[k];
  rest[operands] = args[operands + 1];
  PyObject* approximate = args[operands];
  if (!approximate || (PyUnicode_Check(approximate) && PyUnicode_CompareWithASCIIString(approximate, "none") == 0))
    return run<Exact, operands, Dear>(rest);
  if (PyUnicode_Check(approximate) && PyUnicode_CompareWithASCIIString(approximate, "tanh") == 0)
    return run<Approximate, operands, Dear>(rest);
  return decline();
}

const Family family("activation", {
                                      {"relu", "x out", plain<Relu, 1, Cheap, true>},
                                      {"threshold", "x threshold value out", with_two<Threshold, 1>},
                                      {"threshold_backward", "grad x threshold out", with_one<ThresholdBackward, 2>},
                                      {"leaky_relu", "x slope out", with_one<LeakyRelu, 1>},
                                      {"leaky_relu_backward", "grad x slope out", with_one<LeakyReluBackward, 2>},
                                      {"hardtanh_backward", "grad x low high out", with_two<HardtanhBackward, 2>},
                                      {"hardsigmoid", "x out", plain<Hardsigmoid, 1, Cheap>},
                                      {"hardsigmoid_backward", "grad x out", plain<HardsigmoidBackward, 2, Cheap>},
                                      {"hardswish", "x out", plain<Hardswish, 1, Cheap>},
                                      {"hardswish_backward", "grad x out", plain<HardswishBackward, 2, Cheap>},
                                      {"hardshrink", "x bound out", with_one<Hardshrink, 1>},
                                      {"softshrink", "x bound out", with_one<Softshrink, 1>},
                                      {"shrink_backward", "grad x bound out", with_one<ShrinkBackward, 2>},
                                      {"prelu", "x weight out", plain<Prelu, 2, Cheap>},
                                      {"tanh_backward", "grad y out", plain<TanhBackward, 2, Cheap>},
                                      {"sigmoid_backward", "grad y out", plain<SigmoidBackward, 2, Cheap>},
                                      {"log_sigmoid", "x out", plain<LogSigmoid, 1, Dear>},
                                      {"log_sigmoid_backward", "grad x out", plain<LogSigmoidBackward, 2, Dear>},
                                      {"silu", "x out", plain<Silu, 1, Dear>},
                                      {"silu_backward", "grad x out", plain<SiluBackward, 2, Dear>},
                                      {"softplus", "x beta threshold out", softplus_like<Softplus, 1>},
                                      {"softplus_backward", "grad x beta threshold out", softplus_like<SoftplusBackward, 2>},
                                      {"elu", "x alpha scale input_scale out", elu_like<Elu, 1>},
                                      {"elu_backward", "grad x alpha scale input_scale out", elu_like<EluBackward, 2>},
                                      {"gelu", "x approximate out", gelu_like<Gelu, GeluTanh, 1>},
                                      {"gelu_backward", "grad x approximate out", gelu_like<GeluBackward, GeluTanhBackward, 2>},
                                      {"mish", "x out", plain<Mish, 1, Dear>},
                                      {"mish_backward", "grad x out", plain<MishBackward, 2, Dear>},
                                  });

}  // namespace
}  // namespace rushlight
