// Comparisons, classifications and the logical and bitwise operations.
//
// Comparisons give bool arrays: the mask of a vector is narrowed to one byte an element. Half types are compared in
// float32; bool is compared as the byte it is.
#include "math.h"
#include "rows.h"

namespace rushlight {
namespace {

struct Eq {
  template <class V>
  auto operator()(V a, V b) const {
    return a == b;
  }
};
struct Ne {
  template <class V>
  auto operator()(V a, V b) const {
    return a != b;
  }
};
struct Lt {
  template <class V>
  auto operator()(V a, V b) const {
    return a < b;
  }
};
struct Le {
  template <class V>
  auto operator()(V a, V b) const {
    return a <= b;
  }
};
struct LogicalAnd {
  template <class V>
  auto operator()(V a, V b) const {
    return (a != Lane<V>(0)) & (b != Lane<V>(0));
  }
};
struct LogicalOr {
  template <class V>
  auto operator()(V a, V b) const {
    return (a != Lane<V>(0)) | (b != Lane<V>(0));
  }
};
struct LogicalXor {
  template <class V>
  auto operator()(V a, V b) const {
    return (a != Lane<V>(0)) ^ (b != Lane<V>(0));
  }
};
struct LogicalNot {
  template <class V>
  auto operator()(V x) const {
    return x == Lane<V>(0);
  }
};
struct IsNan {
  template <class V>
  auto operator()(V x) const {
    return x != x;
  }
};
struct IsInf {
  template <class V>
  auto operator()(V x) const {
    return magnitude(x) == std::numeric_limits<Lane<V>>::infinity();
  }
};
struct IsFinite {
  template <class V>
  auto operator()(V x) const {
    return magnitude(x) < std::numeric_limits<Lane<V>>::infinity();
  }
};

// The mask of vectors of T as bytes that are 0 or 1.
template <class T, class M>
auto bytes_of(M mask) {
  typedef int8_t Bytes __attribute__((vector_size(lanes<T>)));
  return __builtin_convertvector(mask, Bytes) & 1;
}

template <class Op, class T, int operands>
void test_row(char* const* at, int64_t count, const void*) {
  const T* a = reinterpret_cast<const T*>(at[1]);
  const T* b = reinterpret_cast<const T*>(at[operands]);
  each_vector<T>(count, [&](int64_t i, auto n) {
    if constexpr (operands == 1) {
      const auto found = bytes_of<T>(Op()(load<T>(a + i, n)));
      std::memcpy(at[0] + i, &found, n);
    } else {
      const auto found = bytes_of<T>(Op()(load<T>(a + i, n), load<T>(b + i, n)));
      std::memcpy(at[0] + i, &found, n);
    }
  });
}

template <class Op, int operands, bool integers>
Choice choose_test(Type type) {
  switch (type) {
    case Type::F16:
    case Type::BF16:
    case Type::F32: return {test_row<Op, float, operands>, Type::F32};
    case Type::F64: return {test_row<Op, double, operands>, Type::F64};
    default: break;
  }
  if constexpr (integers) {
    switch (type) {
      case Type::Bool:
      case Type::U8: return {test_row<Op, uint8_t, operands>, type};
      case Type::I32: return {test_row<Op, int32_t, operands>, type};
      case Type::I64: return {test_row<Op, int64_t, operands>, type};
      default: break;
    }
  }
  return {};
}

template <class Op, int operands, bool integers = true>
PyObject* test(PyObject* const* args) {
  Array arrays[operands];
  const Array* read[operands];
  for (int k = 0; k < operands; k++) {
    if (!args[k] || !arrays[k].read(args[k]) || arrays[k].type != arrays[0].type) return decline();
    read[k] = &arrays[k];
  }
  return elementwise(choose_test<Op, operands, integers>(arrays[0].type), read, operands, args[operands], Type::Bool, nullptr);
}

// a > b is b < a.
template <class Op>
PyObject* reversed(PyObject* const* args) {
  PyObject* const swapped[] = {args[1], args[0], args[2]};
  return test<Op, 2>(swapped);
}

// ---- bits ----

struct And {
  template <class V>
  V operator()(V a, V b) const {
    return a & b;
  }
};
struct Or {
  template <class V>
  V operator()(V a, V b) const {
    return a | b;
  }
};
struct Xor {
  template <class V>
  V operator()(V a, V b) const {
    return a ^ b;
  }
};
struct Flip {
  uint8_t bits;  // 1 for bool, whose bytes are 0 or 1
  template <class V>
  V operator()(V x) const {
    return sizeof(Lane<V>) == 1 ? x ^ Lane<V>(bits) : ~x;
  }
};

// Signed and unsigned integers of one width have the same bits.
template <class Op, int operands>
PyObject* bitwise(PyObject* const* args) {
  Array arrays[operands];
  const Array* read[operands];
  for (int k = 0; k < operands; k++) {
    if (!args[k] || !arrays[k].read(args[k]) || arrays[k].type != arrays[0].type) return decline();
    read[k] = &arrays[k];
  }
  const Type type = arrays[0].type;
  Choice choice{nullptr, type};
  switch (type) {
    case Type::Bool:
    case Type::U8:
    case Type::I8: choice.row = row_of<Op, uint8_t, operands>(); break;
    case Type::I32: choice.row = row_of<Op, int32_t, operands>(); break;
    case Type::I64: choice.row = row_of<Op, int64_t, operands>(); break;
    default: return decline();
  }
  const uint8_t bits = type == Type::Bool ? 1 : 0xff;  // read by Flip alone
  return elementwise(choice, read, operands, args[operands], type, &bits);
}

const Family family("compare", {
                                   {"eq", "a b out", test<Eq, 2>},
                                   {"ne", "a b out", test<Ne, 2>},
                                   {"lt", "a b out", test<Lt, 2>},
                                   {"le", "a b out", test<Le, 2>},
                                   {"gt", "a b out", reversed<Lt>},
                                   {"ge", "a b out", reversed<Le>},
                                   {"isnan", "x out", test<IsNan, 1, false>},
                                   {"isinf", "x out", test<IsInf, 1, false>},
                                   {"isfinite", "x out", test<IsFinite, 1, false>},
                                   {"logical_and", "a b out", test<LogicalAnd, 2>},
                                   {"logical_or", "a b out", test<LogicalOr, 2>},
                                   {"logical_xor", "a b out", test<LogicalXor, 2>},
                                   {"logical_not", "x out", test<LogicalNot, 1>},
                                   {"bitwise_and", "a b out", bitwise<And, 2>},
                                   {"bitwise_or", "a b out", bitwise<Or, 2>},
                                   {"bitwise_xor", "a b out", bitwise<Xor, 2>},
                                   {"bitwise_not", "x out", bitwise<Flip, 1>},
                               });

}  // namespace
}  // namespace rushlight
