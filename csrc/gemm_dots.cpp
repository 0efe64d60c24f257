// Products of matrices that are scalar products of rows (see gemm.cpp for when), products with a single row, and dot itself.
//
// Vectors run along k: nothing is packed, the long operand is read once, in order. A tile of sums of R rows of x with four of w
// stays in registers; its lanes are added up at the end. Both reach the speed of memory on a weight that is not in the cache.
#include <algorithm>

#include "gemm_parts.h"

namespace rushlight {
namespace {

template <class V, int... I>
V even_lanes_then_odd(V a, V b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (2 * I)...) + __builtin_shufflevector(a, b, (2 * I + 1)...);
}

// The lane sums of four vectors: neighbours are added until four values are left.
template <class T>
void four_sums(const Vec<T> (&v)[dot_columns], T* sums) {
  constexpr auto index = std::make_integer_sequence<int, int(lanes<T>)>();
  const Vec<T> low = even_lanes_then_odd(v[0], v[1], index), high = even_lanes_then_odd(v[2], v[3], index);
  if constexpr (lanes<T> == 2) {
    store(sums, low);
    store(sums + 2, high);
  } else {
    Vec<T> all = even_lanes_then_odd(low, high, index);  // quarter q of the lanes: partial sums of v[q]
    for (int64_t left = lanes<T>; left > 4; left /= 2) all = even_lanes_then_odd(all, all, index);
    store_first(sums, all, 4);
  }
}

template <class T, int R>
void dot_tile(int64_t depth, const T* const* x, const T* const* w, T (*sums)[dot_columns]) {
  Vec<T> sum[R][dot_columns];
  dot_rows_into<T>(sum, depth, [x](int r) { return x[r]; }, [w](int j) { return w[j]; });
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) four_sums<T>(sum[r], sums[r]);
}

template <class T>
void dot_block(const Dots<T>& d, int64_t begin, int64_t end) {
  using Tile = void (*)(int64_t, const T* const*, const T* const*, T(*)[dot_columns]);
  static constexpr Tile tiles[] = {dot_tile<T, 1>, dot_tile<T, 2>, dot_tile<T, 3>, dot_tile<T, 4>, dot_tile<T, 5>, dot_tile<T, 6>};
  const int64_t groups = ceil_div(d.x_count, dot_rows);
  const T *x[dot_rows], *w[dot_columns];
  T sums[dot_rows][dot_columns];
  for (int64_t j = begin; j < end; j += dot_columns) {
    const int64_t columns = std::min<int64_t>(dot_columns, end - j);
    for (int64_t q = 0; q < dot_columns; q++) w[q] = d.w + (j + std::min(q, columns - 1)) * d.w_row;
    for (int64_t group = 0; group < groups; group++) {
      const int64_t i = cut(d.x_count, groups, group), rows = cut(d.x_count, groups, group + 1) - i;
      for (int64_t r = 0; r < rows; r++) x[r] = d.x + (i + r) * d.x_row;
      tiles[rows - 1](d.depth, x, w, sums);
      for (int64_t r = 0; r < rows; r++)
        for (int64_t q = 0; q < columns; q++) {
          T* const y = d.c + (i + r) * d.c_x + (j + q) * d.c_w;
          T value = sums[r][q] * d.finish.scale;
          if (d.finish.bias) value += d.finish.bias[(i + r) * d.bias_x + (j + q) * d.bias_w];
          if (d.finish.accumulate) value += *y;
          *y = d.finish.relu && value < 0 ? T(0) : value;
        }
    }
  }
}

// ---- one row

// Columns [begin, end) of a single row of C; rows of B have unit stride and are read eight at a time, each in order.
template <class T>
void row_block(const Gemm<T>& g, int64_t begin, int64_t end) {
  constexpr int64_t L = lanes<T>, group = 8;
  auto add_rows = [&](int64_t k, int64_t count) __attribute__((always_inline)) {
    const T* rows[group];
    T factors[group];
    for (int64_t q = 0; q < count; q++) {
      rows[q] = g.b + (k + q) * g.b_row;
      factors[q] = g.a[(k + q) * g.a_column] * g.finish.scale;
    }
    const bool held = k > 0 || g.finish.accumulate;
    auto add = [&](int64_t j, auto read, auto write) __attribute__((always_inline)) {
      Vec<T> sum = splat(factors[0]) * read(rows[0] + j);
      for (int64_t q = 1; q < count; q++) sum = fma(splat(factors[q]), Vec<T>(read(rows[q] + j)), sum);
      if (held) sum += read(g.c + j);
      if (k == 0 && g.finish.bias) sum += read(g.finish.bias + j);
      write(g.c + j, sum);
    };
    int64_t j = begin;
    for (; j + L <= end; j += L) add(j, load<T>, store<T>);
    const int64_t rest = end - j;
    if (rest) add(j, [rest](const T* p) { return load_first(p, rest); }, [rest](T* p, Vec<T> v) { store_first(p, v, rest); });
  };
  int64_t k = 0;
  for (; k + group <= g.k; k += group) add_rows(k, group);
  for (; k < g.k; k++) add_rows(k, 1);
  if (g.finish.relu)
    for (int64_t j = begin; j < end; j++) g.c[j] = g.c[j] < 0 ? T(0) : g.c[j];
}

}  // namespace

template <class T>
void run_dots(const Dots<T>& d) {
  // Blocks of 64 KiB of w, in whole tiles.
  const int64_t grain = std::max<int64_t>(1, (64 << 10) / int64_t(sizeof(T)) / std::max<int64_t>(1, d.depth * dot_columns)) * dot_columns;
  // Few rows are bound by memory rather than by arithmetic: each element of w then counts as more work.
  const int64_t work = std::max<int64_t>(d.x_count, 4) * d.w_count * d.depth;
  run_blocks(ceil_div(d.w_count, grain), work, [&](int64_t block) { dot_block(d, block * grain, std::min(d.w_count, (block + 1) * grain)); });
}

template <class T>
void multiply_row(const Gemm<T>& g) {
  constexpr int64_t least = 2048 / int64_t(sizeof(T)), most = 4 * least;
  const int64_t grain = std::clamp(panel_width<T>(ceil_div(g.n, thread_limit())), least, most);
  run_blocks(ceil_div(g.n, grain), 4 * g.n * g.k, [&](int64_t block) { row_block(g, block * grain, std::min(g.n, (block + 1) * grain)); });
}

template <class T>
T dot(int64_t count, const T* a, int64_t a_step, const T* b, int64_t b_step) {
  constexpr int64_t L = lanes<T>, block_count = 16 << 10;
  const int64_t blocks = ceil_div(count, block_count);
  auto part = [&](int64_t block) -> double {
    const int64_t begin = block * block_count, end = std::min(count, begin + block_count);
    Vec<T> sum[8] = {};
    int64_t i = begin;
    if (a_step == 1 && b_step == 1) {
      for (; i + 8 * L <= end; i += 8 * L)
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) sum[j] = fma(load(a + i + j * L), load(b + i + j * L), sum[j]);
      for (; i + L <= end; i += L) sum[0] = fma(load(a + i), load(b + i), sum[0]);
      if (i < end) sum[1] = fma(load_first(a + i, end - i), load_first(b + i, end - i), sum[1]);
    } else {
      for (; i < end; i++) sum[0][i % L] += a[i * a_step] * b[i * b_step];
    }
    return double(sum_lanes<T>(((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]))));
  };
  if (blocks <= 1) return T(part(0));
  double* const parts = scratch<double>(split_slot, blocks);
  run_blocks(blocks, 4 * count, [&](int64_t block) { parts[block] = part(block); });
  double total = 0;
  for (int64_t block = 0; block < blocks; block++) total += parts[block];
  return T(total);
}

template void run_dots(const Dots<float>&);
template void run_dots(const Dots<double>&);
template void multiply_row(const Gemm<float>&);
template void multiply_row(const Gemm<double>&);
template float dot(int64_t, const float*, int64_t, const float*, int64_t);
template double dot(int64_t, const double*, int64_t, const double*, int64_t);

}  // namespace rushlight
