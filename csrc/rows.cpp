// Bringing operands of any shape, stride and half type to dense rows (see rows.h).
#include "rows.h"

#include "convert.h"

namespace rushlight {
namespace {

constexpr int64_t piece = 256;  // elements of an operand that are gathered at a time

bool is_half(Type type) { return type == Type::F16 || type == Type::BF16; }

// Moves `count` elements of `size` bytes between a strided and a dense run.
template <class T>
void gather_as(char* dense, const char* strided, int64_t step, int64_t count) {
  T* y = reinterpret_cast<T*>(dense);
  if (step == 0) {
    std::fill_n(y, count, *reinterpret_cast<const T*>(strided));
    return;
  }
  for (int64_t i = 0; i < count; i++) y[i] = *reinterpret_cast<const T*>(strided + i * step);
}

template <class T>
void scatter_as(char* strided, const char* dense, int64_t step, int64_t count) {
  const T* x = reinterpret_cast<const T*>(dense);
  for (int64_t i = 0; i < count; i++) *reinterpret_cast<T*>(strided + i * step) = x[i];
}

void gather(char* dense, const char* strided, int64_t step, int64_t count, int64_t size) {
  with_size(size, [&](auto element) { gather_as<decltype(element)>(dense, strided, step, count); });
}

void scatter(char* strided, const char* dense, int64_t step, int64_t count, int64_t size) {
  with_size(size, [&](auto element) { scatter_as<decltype(element)>(strided, dense, step, count); });
}

template <int N>
struct Feeder {
  Row row;
  const void* operation;
  Type type[N];
  int64_t size[N];
  bool half[N];  // widened and narrowed on the way

  // Elements k + [0, n) of operand k, dense and wide, in `buffer`.
  void fetch(int k, const char* from, int64_t step, int64_t n, char* buffer) const {
    if (!half[k]) return gather(buffer, from, step, n, size[k]);
    uint16_t narrow_ones[piece];
    if (step != size[k]) {
      gather(reinterpret_cast<char*>(narrow_ones), from, step, n, 2);
      from = reinterpret_cast<const char*>(narrow_ones);
    }
    if (type[k] == Type::F16)
      widen(reinterpret_cast<float*>(buffer), reinterpret_cast<const Half*>(from), n);
    else
      widen(reinterpret_cast<float*>(buffer), reinterpret_cast<const BFloat16*>(from), n);
  }

  void deliver(char* to, int64_t step, int64_t n, const char* buffer) const {
    if (!half[0]) return scatter(to, buffer, step, n, size[0]);
    uint16_t narrow_ones[piece];
    char* dense = step == 2 ? to : reinterpret_cast<char*>(narrow_ones);
    if (type[0] == Type::F16)
      narrow(reinterpret_cast<Half*>(dense), reinterpret_cast<const float*>(buffer), n);
    else
      narrow(reinterpret_cast<BFloat16*>(dense), reinterpret_cast<const float*>(buffer), n);
    if (dense != to) scatter(to, dense, step, n, 2);
  }

  void operator()(char* const* at, const int64_t* step, int64_t count) const {
    bool direct[N], all = true;
    for (int k = 0; k < N; k++) all &= direct[k] = !half[k] && step[k] == size[k];
    if (all) return row(at, count, operation);
    alignas(64) char buffers[N][piece * 8];
    char* dense[N];
    for (int k = 0; k < N; k++) dense[k] = direct[k] ? at[k] : buffers[k];
    for (int k = 1; k < N; k++)
      if (step[k] == 0 && count > 1) fetch(k, at[k], 0, std::min(piece, count), buffers[k]);
    for (int64_t i = 0; i < count; i += piece) {
      const int64_t n = std::min(piece, count - i);
      for (int k = 0; k < N; k++) {
        if (direct[k])
          dense[k] = at[k] + i * size[k];
        else if (k > 0 && (step[k] != 0 || count == 1))
          fetch(k, at[k] + i * step[k], step[k], n, buffers[k]);
      }
      row(dense, n, operation);
      if (!direct[0]) deliver(at[0] + i * step[0], step[0], n, buffers[0]);
    }
  }
};

template <int N>
void run(const Choice& choice, const Array* const* operands, const void* operation, Cost cost) {
  Feeder<N> feeder{choice.row, operation, {}, {}, {}};
  const Array* listed[N];
  for (int k = 0; k < N; k++) {
    listed[k] = operands[k];
    feeder.type[k] = operands[k]->type;
    feeder.size[k] = operands[k]->itemsize();
    feeder.half[k] = choice.lane == Type::F32 && is_half(operands[k]->type);
  }
  Loop<N> loop;
  loop.prepare(listed);
  const ReleaseGil released(loop.size * cost);
  loop.run(feeder, cost);
}

// Whether all operands are dense row-major arrays of the result's shape that the row takes as they are: nearly all small
// calls. The loop's bookkeeping costs more than such a call itself.
bool simple(const Choice& choice, const Array* const* operands, int count) {
  for (int k = 0; k < count; k++)
    if (!operands[k]->contiguous() || (choice.lane == Type::F32 && is_half(operands[k]->type)) || !operands[k]->same_shape(*operands[0]))
      return false;
  return true;
}

}  // namespace

void run_rows(const Choice& choice, const Array* const* operands, int count, const void* operation, Cost cost) {
  const int64_t size = operands[0]->size();
  if (size * cost <= serial_elements && simple(choice, operands, count)) {
    char* at[max_operands];
    for (int k = 0; k < count; k++) at[k] = operands[k]->data;
    return choice.row(at, size, operation);
  }
  switch (count) {
    case 1: return run<1>(choice, operands, operation, cost);
    case 2: return run<2>(choice, operands, operation, cost);
    case 3: return run<3>(choice, operands, operation, cost);
    default: return run<4>(choice, operands, operation, cost);
  }
}

PyObject* elementwise(const Choice& choice, const Array* const* operands, int count, PyObject* out, Type result, const void* operation,
                      Cost cost) {
  Target target;
  if (!choice.row || !make_target(target, operands, count, out, result)) return decline();
  const Array* all[max_operands] = {&target.array};
  for (int k = 0; k < count; k++) all[k + 1] = operands[k];
  run_rows(choice, all, count + 1, operation, cost);
  return target.give();
}

}  // namespace rushlight
