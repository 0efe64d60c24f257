// The register tiles (see microkernel.h), one function for each number of rows and vectors, and packing of panels.
//
// A full float32 tile runs at 95% and more of the processor's multiply-add rate while B comes from the L2 cache.
#include "microkernel.h"

#include <cstring>
#include <utility>

#include "square.h"

namespace rushlight {
namespace {

// The tile's rows, finished. The last vector of a row may be partial.
template <class T, int R, int V>
inline __attribute__((always_inline)) void store_tile(const Vec<T> (&sum)[R][V], T* const* c, int64_t columns, const Finish<T>& finish) {
  constexpr int64_t L = lanes<T>;
  // Copies: what is stored could change `finish`, for all the compiler knows.
  const auto [bias, scale, accumulate, relu] = finish;
  if (columns == V * L && scale == T(1) && !bias && !relu) {
    if (accumulate) {
#pragma GCC unroll 8
      for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int j = 0; j < V; j++) store(c[r] + j * L, Vec<T>(sum[r][j] + load(c[r] + j * L)));
    } else {
#pragma GCC unroll 8
      for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int j = 0; j < V; j++) store(c[r] + j * L, sum[r][j]);
    }
    return;
  }
  auto finished = [&](int j, auto read, auto write) __attribute__((always_inline)) {
    const Vec<T> added = bias ? read(bias + j * L) : Vec<T>{};
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      T* const to = c[r] + j * L;
      Vec<T> y = sum[r][j] * splat(scale);
      if (bias) y += added;
      if (accumulate) y += read(to);
      if (relu) y = y < Vec<T>{} ? Vec<T>{} : y;
      write(to, y);
    }
  };
#pragma GCC unroll 8
  for (int j = 0; j < V - 1; j++) finished(j, load<T>, store<T>);
  const int64_t last = columns - (V - 1) * L;
  finished(V - 1, [last](const T* p) { return load_first(p, last); }, [last](T* p, Vec<T> v) { store_first(p, v, last); });
}

// U sums are kept for each element, one for each k modulo U, where a tile alone has too few to hide the latency of an addition.
template <class T, int R, int V>
void tile(int64_t taps, const Tap<T>* tap, int64_t depth, int64_t stride, T* const* c, int64_t columns, const Finish<T>& finish) {
  constexpr int64_t L = lanes<T>;
  constexpr int64_t ahead = 16;
  constexpr int U = V == 1 ? 2 : 1;
  Vec<T> sum[U][R][V] = {};
  for (int64_t t = 0; t < taps; t++) {
    const T* b = tap[t].b;
    const T* a[R];
    const int64_t step = tap[t].a_step;
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) a[r] = tap[t].a[r];
    auto add = [&](int64_t at, Vec<T>(&to)[R][V]) __attribute__((always_inline)) {
      Vec<T> row[V];
#pragma GCC unroll 8
      for (int j = 0; j < V; j++) row[j] = load(b + j * L);
      // A panel that is read where it lies may have rows further apart than the processor's own prefetchers follow.
#pragma GCC unroll 8
      for (int j = 0; j < V; j++) __builtin_prefetch(b + ahead * stride + j * L);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
        const Vec<T> factor = splat(a[r][at]);
#pragma GCC unroll 8
        for (int j = 0; j < V; j++) to[r][j] = fma(factor, row[j], to[r][j]);
      }
      b += stride;
    };
    int64_t k = 0, at = 0;
    for (; k + U <= depth; k += U)
#pragma GCC unroll 2
      for (int u = 0; u < U; u++, at += step) add(at, sum[u]);
    if (U > 1 && k < depth) add(at, sum[0]);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 8
    for (int j = 0; j < V; j++)
      if constexpr (U > 1) sum[0][r][j] += sum[1][r][j];
  store_tile<T, R, V>(sum[0], c, columns, finish);
}

template <class T, int R, int... V>
constexpr void fill_row(TileTable<T>& table, std::integer_sequence<int, V...>) {
  ((table.kernel[R][V] = tile<T, R + 1, V + 1>), ...);
}

template <class T, int... R>
constexpr TileTable<T> make_table(std::integer_sequence<int, R...>) {
  TileTable<T> table{};
  (fill_row<T, R>(table, std::make_integer_sequence<int, tile_vectors>()), ...);
  return table;
}

template <class T, class Write>
inline __attribute__((always_inline)) void transpose_square(const T* from, int64_t from_stride, T* to, int64_t to_stride, Write write) {
  constexpr int L = int(lanes<T>);
  Vec<T> rows[L];
#pragma GCC unroll 16
  for (int i = 0; i < L; i++) rows[i] = load(from + i * from_stride);
  transpose_registers<T>(rows);
#pragma GCC unroll 16
  for (int i = 0; i < L; i++) write(to + i * to_stride, rows[i]);
}

// Whole squares of a result that no cache holds. Stores to lines far apart would wait for one line after the other.
template <class T>
void transpose_far(const T* from, int64_t from_stride, int64_t rows, int64_t columns, T* to, int64_t to_stride) {
  constexpr int64_t L = lanes<T>;
  if ((uintptr_t(to) | uint64_t(to_stride) * sizeof(T)) % 64 == 0) {
    for (int64_t j = 0; j < columns; j += L)
      for (int64_t i = 0; i < rows; i += L) transpose_square(from + i * from_stride + j, from_stride, to + j * to_stride + i, to_stride, store_past<T>);
    stores_past_done();
    return;
  }
  for (int64_t i = 0; i < rows; i += L)
    for (int64_t j = 0; j < columns; j += L) {
      T* const square = to + j * to_stride + i;
#pragma GCC unroll 16
      for (int64_t r = 0; r < L; r++) __builtin_prefetch(square + (2 * L + r) * to_stride, 1);
      transpose_square(from + i * from_stride + j, from_stride, square, to_stride, store<T>);
    }
}

// Rows of V vectors, the last of which has `last` columns. Rows a power of two apart share a few sets of the cache and hide
// from its prefetchers, so the rows ahead are asked for by hand.
template <class T, int V>
void copy_rows(const T* b, int64_t stride, int64_t depth, int64_t last, T* packed) {
  constexpr int64_t L = lanes<T>, ahead = 16, line = 64 / sizeof(T);
  auto copy = [&](int64_t k) __attribute__((always_inline)) {
    const T* const from = b + k * stride;
    T* const to = packed + k * V * L;
#pragma GCC unroll 8
    for (int64_t j = 0; j < V - 1; j++) store(to + j * L, load(from + j * L));
    store(to + (V - 1) * L, last == L ? load(from + (V - 1) * L) : load_first(from + (V - 1) * L, last));
  };
  int64_t k = 0;
  for (; k + ahead < depth; k++) {
#pragma GCC unroll 8
    for (int64_t j = 0; j < V * L; j += line) __builtin_prefetch(b + (k + ahead) * stride + j);
    copy(k);
  }
  for (; k < depth; k++) copy(k);
}

template <class T>
void copy_panel(const T* b, int64_t stride, int64_t depth, int64_t columns, T* packed) {
  const int64_t vectors = (columns + lanes<T> - 1) / lanes<T>, last = columns - (vectors - 1) * lanes<T>;
  if constexpr (tile_vectors > 2) {
    if (vectors == 4) return copy_rows<T, 4>(b, stride, depth, last, packed);
    if (vectors == 3) return copy_rows<T, 3>(b, stride, depth, last, packed);
  }
  vectors == 2 ? copy_rows<T, 2>(b, stride, depth, last, packed) : copy_rows<T, 1>(b, stride, depth, last, packed);
}

}  // namespace

constinit const TileTable<float> float_tiles = make_table<float>(std::make_integer_sequence<int, tile_rows>());
constinit const TileTable<double> double_tiles = make_table<double>(std::make_integer_sequence<int, tile_rows>());

template <class T>
void transpose_into(const T* from, int64_t from_stride, int64_t rows, int64_t columns, T* to, int64_t to_stride, bool far) {
  constexpr int64_t L = lanes<T>;
  const int64_t whole_rows = rows / L * L, whole_columns = columns / L * L;
  if (far)
    transpose_far(from, from_stride, whole_rows, whole_columns, to, to_stride);
  else
    for (int64_t i = 0; i < whole_rows; i += L)
      for (int64_t j = 0; j < whole_columns; j += L)
        transpose_square(from + i * from_stride + j, from_stride, to + j * to_stride + i, to_stride, store<T>);
  auto one_by_one = [&](int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
    for (int64_t i = i0; i < i1; i++)
      for (int64_t j = j0; j < j1; j++) to[j * to_stride + i] = from[i * from_stride + j];
  };
  one_by_one(0, whole_rows, whole_columns, columns);
  one_by_one(whole_rows, rows, 0, columns);
}

template <class T>
void pack_panel(const T* b, int64_t row, int64_t column, int64_t depth, int64_t columns, T* packed) {
  const int64_t width = panel_width<T>(columns);
  if (column == 1) return copy_panel(b, row, depth, columns, packed);
  if (row == 1) {
    transpose_into(b, column, columns, depth, packed, width);
  } else {
    for (int64_t k = 0; k < depth; k++)
      for (int64_t j = 0; j < columns; j++) packed[k * width + j] = b[k * row + j * column];
  }
  if (columns < width)
    for (int64_t k = 0; k < depth; k++) std::memset(packed + k * width + columns, 0, size_t(width - columns) * sizeof(T));
}

template void transpose_into(const float*, int64_t, int64_t, int64_t, float*, int64_t, bool);
template void transpose_into(const double*, int64_t, int64_t, int64_t, double*, int64_t, bool);
template void pack_panel(const float*, int64_t, int64_t, int64_t, int64_t, float*);
template void pack_panel(const double*, int64_t, int64_t, int64_t, int64_t, double*);

}  // namespace rushlight
