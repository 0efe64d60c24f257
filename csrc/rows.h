// Elementwise kernels as dense rows.
//
// A family writes one loop for one arrangement only: `row(at, count, operation)` computes `count` results at[0] from
// operands at[1], at[2], ..., all of them dense. `elementwise` brings everything to it: it makes the result (or takes
// `out`), walks shapes that broadcast and any strides, gathers what is not dense into buffers that stay in the first
// cache, widens the half types to float32 and rounds them once behind the row, and shares the work among threads.
#pragma once
#include "iterate.h"
#include "kernel.h"
#include "vec.h"

namespace rushlight {

constexpr int max_operands = 4;  // with the result

using Row = void (*)(char* const* at, int64_t count, const void* operation);

// The loop for a dtype and the type of its elements: float32 for the half types. No row: the reference computes.
struct Choice {
  Row row = nullptr;
  Type lane = Type::Other;
};

// Roughly how many additions one element costs; work is shared among threads from 32768 additions on.
enum Cost : int64_t { Cheap = 1, Dear = 2 };

// Runs `choice` on operands of one shape up to broadcasting. An operand's elements are of the lane type (or of a half type
// that widens to it), except bool conditions, which stay bytes; the result has `result`, which is the lane type, a half
// type, or bool. `operation` is handed to the row. nullptr without an exception: the reference should decide.
PyObject* elementwise(const Choice& choice, const Array* const* operands, int count, PyObject* out, Type result, const void* operation,
                      Cost cost = Cheap);

// Writes into `target`, which is operand 0 and does not overlap the others except where it is equal to one.
void run_rows(const Choice& choice, const Array* const* operands, int count, const void* operation, Cost cost = Cheap);

// ---- loops over vectors ----

// Calls body(i, n) for every whole vector (n = lanes<T>) and once for what is left over.
template <class T, class F>
inline void each_vector(int64_t count, F&& body) {
  constexpr int64_t L = lanes<T>;
  int64_t i = 0;
  for (; i + L <= count; i += L) body(i, std::integral_constant<int64_t, L>());
  if (i < count) body(i, count - i);
}

template <class T, int64_t L>
inline Vec<T> load(const T* p, std::integral_constant<int64_t, L>) {
  return load(p);
}
template <class T>
inline Vec<T> load(const T* p, int64_t n) {
  return load_part(p, n, T(1));  // 1 is harmless to every operation
}
template <class T, int64_t L>
inline void store(T* p, Vec<T> v, std::integral_constant<int64_t, L>) {
  store(p, v);
}
template <class T>
inline void store(T* p, Vec<T> v, int64_t n) {
  store_part(p, v, n);
}

// Rows of operations that take and give vectors: `operation(x)`, `operation(a, b)`, `operation(a, b, c)`.
template <class Op, class T>
void row1(char* const* at, int64_t count, const void* operation) {
  const Op op = *static_cast<const Op*>(operation);
  T* y = reinterpret_cast<T*>(at[0]);
  const T* x = reinterpret_cast<const T*>(at[1]);
  each_vector<T>(count, [&](int64_t i, auto n) { store<T>(y + i, Vec<T>(op(load<T>(x + i, n))), n); });
}

template <class Op, class T>
void row2(char* const* at, int64_t count, const void* operation) {
  const Op op = *static_cast<const Op*>(operation);
  T* y = reinterpret_cast<T*>(at[0]);
  const T* a = reinterpret_cast<const T*>(at[1]);
  const T* b = reinterpret_cast<const T*>(at[2]);
  each_vector<T>(count, [&](int64_t i, auto n) { store<T>(y + i, Vec<T>(op(load<T>(a + i, n), load<T>(b + i, n))), n); });
}

template <class Op, class T>
void row3(char* const* at, int64_t count, const void* operation) {
  const Op op = *static_cast<const Op*>(operation);
  T* y = reinterpret_cast<T*>(at[0]);
  const T* a = reinterpret_cast<const T*>(at[1]);
  const T* b = reinterpret_cast<const T*>(at[2]);
  const T* c = reinterpret_cast<const T*>(at[3]);
  each_vector<T>(count,
                 [&](int64_t i, auto n) { store<T>(y + i, Vec<T>(op(load<T>(a + i, n), load<T>(b + i, n), load<T>(c + i, n))), n); });
}

template <class Op, class T, int operands>
constexpr Row row_of() {
  if constexpr (operands == 1) return row1<Op, T>;
  if constexpr (operands == 2) return row2<Op, T>;
  if constexpr (operands == 3) return row3<Op, T>;
}

// The row for floating-point numbers, and for integers where the operation is meant for them.
template <class Op, int operands, bool integers = false>
Choice choose(Type type) {
  switch (type) {
    case Type::F16:
    case Type::BF16:
    case Type::F32: return {row_of<Op, float, operands>(), Type::F32};
    case Type::F64: return {row_of<Op, double, operands>(), Type::F64};
    default: break;
  }
  if constexpr (integers) {
    switch (type) {
      case Type::I64: return {row_of<Op, int64_t, operands>(), Type::I64};
      case Type::I32: return {row_of<Op, int32_t, operands>(), Type::I32};
      case Type::U8: return {row_of<Op, uint8_t, operands>(), Type::U8};
      default: break;
    }
  }
  return {};
}

// The whole kernel for an operation without parameters: "x out", "a b out", "a b c out".
template <class Op, int operands, bool integers = false, Cost cost = Cheap>
PyObject* elementwise_kernel(PyObject* const* args) {
  static constexpr Op op{};
  Array arrays[operands];
  const Array* read[operands];
  for (int k = 0; k < operands; k++) {
    if (!args[k] || !arrays[k].read(args[k]) || arrays[k].type != arrays[0].type) return decline();
    read[k] = &arrays[k];
  }
  return elementwise(choose<Op, operands, integers>(arrays[0].type), read, operands, args[operands], arrays[0].type, &op, cost);
}

}  // namespace rushlight
