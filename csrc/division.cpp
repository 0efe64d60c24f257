// Remainders and quotients rounded to whole numbers: fmod, remainder, floor_divide, div_mode.
//
// Exact for float32 and float64: where the quotient q fits the mantissa, a - trunc(q) b has one rounding that changes
// nothing, or is one divisor off; larger quotients, infinities and zero divisors go to the C library. Half types are
// computed in float32. Integers divide as float64 where that is exact (all of int32, int64 below 2^51), lane by lane where
// not; a zero divisor is the reference's error, so nothing is written where one is found.
#include <atomic>
#include <cmath>

#include "math.h"
#include "owned.h"
#include "rows.h"

namespace rushlight {
namespace {

// ---- floating-point numbers ----

// The remainder with the sign of the dividend.
template <class V>
V exact_remainder(V a, V b) {
  using T = Lane<V>;
  if constexpr (!has_fused) {
    for (int64_t i = 0; i < lanes<T>; i++) a[i] = std::fmod(a[i], b[i]);
    return a;
  }
  const V quotient = a / b;
  const V size = magnitude(b);
  V rest = fused(V(-trunc(quotient)), b, a);
  // A quotient that was rounded up to a whole number is one too large.
  rest = select((rest != T(0)) & ((rest < T(0)) != (a < T(0))), rest + with_sign(size, a), rest);
  rest = select(magnitude(a) < size, a, with_sign(rest, a));
  const auto far = !(magnitude(quotient) < T(1ull << (Constants<T>::mantissa_bits - 1)));
  if (any(far)) [[unlikely]]
    for (int64_t i = 0; i < lanes<T>; i++)
      if (far[i]) rest[i] = std::fmod(a[i], b[i]);
  return rest;
}

// Whether a remainder stands on the other side of zero than the divisor.
template <class V>
auto crosses(V rest, V b) {
  using T = Lane<V>;
  return (rest != T(0)) & ((rest < T(0)) != (b < T(0)));
}

template <class T>
struct Reals {
  using V = Vec<T>;
  static V fmod(V a, V b) { return exact_remainder(a, b); }
  static V remainder(V a, V b) {
    const V rest = exact_remainder(a, b);
    return select(crosses(rest, b), rest + b, rest);
  }
  static V floor_divide(V a, V b) {
    const V rest = exact_remainder(a, b), plain = a / b;
    V quotient = (a - rest) / b;
    quotient = select(crosses(rest, b), quotient - T(1), quotient);
    // It is whole up to a rounding.
    const V whole = floor(quotient);
    const V rounded = select(quotient - whole > T(0.5), whole + T(1), whole);
    return select(b == T(0), plain, select(quotient == T(0), with_sign(V{}, plain), rounded));
  }
  static V trunc_divide(V a, V b) { return trunc(a / b); }
};

// ---- integers ----

template <class T>
struct Integers {
  using V = Vec<T>;

  static V by_halves(V a, V b) {
    typedef T Half __attribute__((vector_size(RUSHLIGHT_VECTOR_BYTES / 2)));
    if constexpr (sizeof(T) == 8) {
      return __builtin_convertvector(__builtin_convertvector(a, Vec<double>) / __builtin_convertvector(b, Vec<double>), V);
    } else {
      Half part[2], divisor[2];
      std::memcpy(part, &a, sizeof a);
      std::memcpy(divisor, &b, sizeof b);
      for (int i = 0; i < 2; i++)
        part[i] = __builtin_convertvector(__builtin_convertvector(part[i], Vec<double>) / __builtin_convertvector(divisor[i], Vec<double>), Half);
      std::memcpy(&a, part, sizeof a);
      return a;
    }
  }
  // The quotient rounded towards zero; that of the lowest number and -1 wraps. No divisor is zero.
  static V trunc_divide(V a, V b) {
    if constexpr (sizeof(T) == 8) {
      constexpr T most = T(1) << 51;
      if (any((a >= most) | (a <= -most) | (b >= most) | (b <= -most))) [[unlikely]] {
        for (int64_t i = 0; i < lanes<T>; i++) a[i] = b[i] == -1 ? T(0 - uint64_t(a[i])) : T(a[i] / b[i]);
        return a;
      }
    }
    return by_halves(a, b);
  }
  static V fmod(V a, V b) { return a - trunc_divide(a, b) * b; }
  static V remainder(V a, V b) {
    const V rest = fmod(a, b);
    return select(crosses(rest, b), rest + b, rest);
  }
  static V floor_divide(V a, V b) {
    const V quotient = trunc_divide(a, b);
    return select(crosses(V(a - quotient * b), b), quotient - T(1), quotient);
  }
};

// ---- rows ----

struct Fmod {
  template <class Numbers, class V>
  static V of(V a, V b) {
    return Numbers::fmod(a, b);
  }
};
struct Remainder {
  template <class Numbers, class V>
  static V of(V a, V b) {
    return Numbers::remainder(a, b);
  }
};
struct FloorDivide {
  template <class Numbers, class V>
  static V of(V a, V b) {
    return Numbers::floor_divide(a, b);
  }
};
struct TruncDivide {
  template <class Numbers, class V>
  static V of(V a, V b) {
    return Numbers::trunc_divide(a, b);
  }
};

// `operation` points at the flag that a zero divisor of integers sets.
template <class Op, class T>
void division_row(char* const* at, int64_t count, const void* operation) {
  T* const y = reinterpret_cast<T*>(at[0]);
  const T* const a = reinterpret_cast<const T*>(at[1]);
  const T* const b = reinterpret_cast<const T*>(at[2]);
  Vec<Mask<T>> zeros{};
  each_vector<T>(count, [&](int64_t i, auto n) {
    Vec<T> divisor = load<T>(b + i, n);
    if constexpr (std::is_floating_point_v<T>) {
      store<T>(y + i, Op::template of<Reals<T>>(load<T>(a + i, n), divisor), n);
    } else {
      zeros |= divisor == 0;
      divisor = select(divisor == 0, splat(T(1)), divisor);
      store<T>(y + i, Op::template of<Integers<T>>(load<T>(a + i, n), divisor), n);
    }
  });
  if (!std::is_floating_point_v<T> && any(zeros)) static_cast<std::atomic<bool>*>(const_cast<void*>(operation))->store(true, std::memory_order_relaxed);
}

template <class Op>
Choice choose_division(Type type) {
  switch (type) {
    case Type::F16:
    case Type::BF16:
    case Type::F32: return {division_row<Op, float>, Type::F32};
    case Type::F64: return {division_row<Op, double>, Type::F64};
    case Type::I32: return {division_row<Op, int32_t>, Type::I32};
    case Type::I64: return {division_row<Op, int64_t>, Type::I64};
    default: return {};
  }
}

// Whether no divisor is zero, as far as that is quickly told.
bool surely_without_zero(const Array& b) {
  if (!b.contiguous()) return false;
  const auto search = [&](const auto* from) { return std::find(from, from + b.size(), 0) == from + b.size(); };
  return b.type == Type::I64 ? search(b.as<int64_t>()) : search(b.as<int32_t>());
}

template <class Op>
PyObject* divide(PyObject* first, PyObject* second, PyObject* out) {
  Array a, b;
  if (!first || !second || !a.read(first) || !b.read(second) || a.type != b.type) return decline();
  const Array* const operands[] = {&a, &b};
  const bool integers = a.type == Type::I32 || a.type == Type::I64;
  if (integers && given(out) && !surely_without_zero(b)) return decline();  // nothing may be written where one is
  std::atomic<bool> zero{false};
  Owned result(elementwise(choose_division<Op>(a.type), operands, 2, out, a.type, &zero, Dear));
  if (zero) return decline();
  return result.give();
}

template <class Op>
PyObject* run(PyObject* const* args) {
  return divide<Op>(args[0], args[1], args[2]);
}

// "a b mode out"
PyObject* div_mode(PyObject* const* args) {
  PyObject* const mode = args[2];
  if (!mode || !PyUnicode_Check(mode)) return decline();
  if (PyUnicode_CompareWithASCIIString(mode, "floor") == 0) return divide<FloorDivide>(args[0], args[1], args[3]);
  if (PyUnicode_CompareWithASCIIString(mode, "trunc") == 0) return divide<TruncDivide>(args[0], args[1], args[3]);
  return decline();
}

const Family family("division", {
                                    {"fmod", "a b out", run<Fmod>},
                                    {"remainder", "a b out", run<Remainder>},
                                    {"floor_divide", "a b out", run<FloorDivide>},
                                    {"div_mode", "a b mode out", div_mode},
                                });

}  // namespace
}  // namespace rushlight
