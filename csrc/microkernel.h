// The register tile that products and convolutions are made of.
//
// One call computes a tile of C, up to `tile_rows` rows by `tile_columns<T>` columns, in registers:
//
//   sum[r][j] = sum over taps t and k < depth of tap[t].a[r][k * tap[t].a_step] * tap[t].b[k * stride + j]
//   C[r][j]   = Finish of sum[r][j]: scaled, plus the bias, plus what C held, ReLU
//
// Rows are pointers, not a matrix: a product has one tap whose rows lie lda apart; a convolution has one tap for each kernel
// position whose rows are the pixels under it (or a row of zeros for padding), so nothing is gathered into columns first. The
// step along k is free: a column-major A (the gradient of a weight) is read where it lies.
// Every element is summed in one order of taps and k, whichever row of whatever tile it is: how many rows C is cut into changes
// no bit of it. (Tiles one vector wide add even and odd k apart, wider ones do not.)
//
// B is a panel: element (k, j) at b[k * stride + j], readable up to the next whole vector of columns. `pack_panel` makes one
// from any matrix; a matrix with unit column stride is one where its columns fill whole vectors.
#pragma once
#include <cstdint>

#include "vec.h"

namespace rushlight {

// 6 x 4 accumulators, 4 vectors of B and a broadcast fill 32 registers; 6 x 2 fill 16.
constexpr int tile_rows = 6;
#if RUSHLIGHT_VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr int tile_vectors = 4;
#else
constexpr int tile_vectors = 2;
#endif
template <class T>
inline constexpr int64_t tile_columns = tile_vectors * lanes<T>;

template <class T>
struct Tap {
  const T* b;
  const T* a[tile_rows];  // one for each row of the tile
  int64_t a_step = 1;     // from one k to the next
};

// What becomes of the sums: C = relu(scale * sum + bias + C), each part where it is asked for.
template <class T>
struct Finish {
  const T* bias = nullptr;  // one value a column
  T scale = 1;
  bool accumulate = false;  // add what C holds
  bool relu = false;        // NaN stays NaN
};

// A tile of `rows` x `columns` (1..tile_rows, 1..tile_columns<T>); `c[r]` is where row r's first column goes, and nothing
// beyond `columns` is written. `taps` or `depth` may be 0. T is float or double.
template <class T>
using TileKernel = void (*)(int64_t taps, const Tap<T>* tap, int64_t depth, int64_t stride, T* const* c, int64_t columns, const Finish<T>& finish);

// [rows - 1][vectors - 1], for tiles of (vectors - 1) * lanes < columns <= vectors * lanes.
template <class T>
struct TileTable {
  TileKernel<T> kernel[tile_rows][tile_vectors];
};
extern const TileTable<float> float_tiles;
extern const TileTable<double> double_tiles;

template <class T>
inline TileKernel<T> tile_kernel(int64_t rows, int64_t columns) {
  const int64_t vectors = (columns + lanes<T> - 1) / lanes<T>;
  if constexpr (sizeof(T) == 4)
    return float_tiles.kernel[rows - 1][vectors - 1];
  else
    return double_tiles.kernel[rows - 1][vectors - 1];
}

// Columns rounded up to whole vectors: the `stride` of a packed panel of that many columns.
template <class T>
inline constexpr int64_t panel_width(int64_t columns) {
  return (columns + lanes<T> - 1) / lanes<T> * lanes<T>;
}

// Packs the `depth` x `columns` matrix with strides (row, column), in elements, as a panel: packed[k * panel_width + j].
// Columns up to the panel's width are filled with zeros. Unit column stride is copied, unit row stride (a transposed
// matrix) is transposed in registers.
template <class T>
void pack_panel(const T* b, int64_t row, int64_t column, int64_t depth, int64_t columns, T* packed);

// to[j * to_stride + i] = from[i * from_stride + j] for i < rows, j < columns: squares of vectors are transposed in registers.
// `far`: this is a part of a result of `far_bytes` or more, which is written past the caches where its rows are aligned.
constexpr int64_t far_bytes = 4 << 20;
template <class T>
void transpose_into(const T* from, int64_t from_stride, int64_t rows, int64_t columns, T* to, int64_t to_stride, bool far = false);

// Reading and writing the first n (1..lanes) elements of a vector, masked where the machine can; the others are zero.
template <class T>
inline Vec<T> load_first(const T* p, int64_t n) {
#if RUSHLIGHT_VECTOR_BYTES == 64
  if constexpr (sizeof(T) == 4) return (Vec<T>)_mm512_maskz_loadu_epi32(__mmask16((1u << n) - 1), p);
  if constexpr (sizeof(T) == 8) return (Vec<T>)_mm512_maskz_loadu_epi64(__mmask8((1u << n) - 1), p);
#endif
  Vec<T> v{};
  for (int64_t i = 0; i < n; i++) v[i] = p[i];
  return v;
}

template <class T>
inline void store_first(T* p, Vec<T> v, int64_t n) {
#if RUSHLIGHT_VECTOR_BYTES == 64
  if constexpr (sizeof(T) == 4) return _mm512_mask_storeu_epi32(p, __mmask16((1u << n) - 1), (__m512i)v);
  if constexpr (sizeof(T) == 8) return _mm512_mask_storeu_epi64(p, __mmask8((1u << n) - 1), (__m512i)v);
#endif
  for (int64_t i = 0; i < n; i++) p[i] = v[i];
}

// The other register tile: scalar products of R rows with J others, vectors running along k. The sum over the lanes of
// sum[r][j] is row(r) . column(j), `length` elements each; row and column give pointers.
template <class T, int R, int J, class Row, class Column>
inline __attribute__((always_inline)) void dot_rows_into(Vec<T> (&sum)[R][J], int64_t length, Row&& row, Column&& column) {
  constexpr int64_t L = lanes<T>;
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 8
    for (int j = 0; j < J; j++) sum[r][j] = Vec<T>{};
  auto add = [&](auto read) __attribute__((always_inline)) {
    Vec<T> left[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) left[r] = read(row(r));
#pragma GCC unroll 8
    for (int j = 0; j < J; j++) {
      const Vec<T> right = read(column(j));
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) sum[r][j] = fma(left[r], right, sum[r][j]);
    }
  };
  int64_t k = 0;
  for (; k + L <= length; k += L) add([k](const T* p) { return load(p + k); });
  if (k < length) add([=](const T* p) { return load_first(p + k, length - k); });
}

}  // namespace rushlight
