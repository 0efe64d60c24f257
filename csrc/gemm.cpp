// Products of matrices (see gemm.h). Three ways, by shape:
//
//   blocked   B is packed in blocks of up to 1 MiB that stay in the L2 cache; register tiles run over the rows of A.
//   streamed  few rows of A: B is read once from where it lies, in chunks of few rows so that memory is read in order.
//   dots      B (or A, when C is thin) has unit stride along k, like the weights of a linear layer: scalar products of
//             rows, vectors along k, nothing is packed.
//
// Rows of a column-major A are brought together, a few tiles at a time, when several panels share the cost. Long sums over few
// elements of C are cut into blocks along k that threads share; their results are added in order. Square products reach about
// 90% of the multiply-add rate, from a few hundred rows on.
#include "gemm.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>

#include "parallel.h"

namespace rushlight {
namespace {

constexpr int split_slot = 5, rows_slot = 6, panel_slot = 7;

constexpr int64_t depth_block = 1024;           // rows of a packed block of B, at most
constexpr int64_t streamed_rows = 36;           // up to so many rows of A, B is not worth packing
constexpr int64_t small_b = 64 << 10;           // elements of a B that stays in the cache as it is
constexpr int64_t scattered_bytes = 1024, scattered_rows = 96;  // rows of B so far apart are packed for so many rows of A
constexpr int64_t gathered_tiles = 8;           // of a column-major A that are brought together at a time
constexpr int64_t threaded_flops = 1 << 20;     // below this nobody is woken

template <class T>
inline constexpr int64_t block_elements = (512 << 10) / int64_t(sizeof(T));  // of a packed block of B
template <class T>
inline constexpr int64_t column_block = 1024 / int64_t(sizeof(T));  // its columns, at least

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The start of part `index` when `count` is cut into `parts` that differ by one at most.
int64_t cut(int64_t count, int64_t parts, int64_t index) { return count * index / parts; }

// parallel(), but serial when the work (multiply-adds) is not worth waking a thread.
template <class F>
void run_blocks(int64_t blocks, int64_t work, F&& body) {
  if (2 * work < threaded_flops) {
    for (int64_t block = 0; block < blocks; block++) body(block);
  } else {
    parallel(blocks, body);
  }
}

// Multiply-adds; where they are few, writing C takes as long as some more.
template <class T>
int64_t work_of(const Gemm<T>& g) {
  return g.m * g.n * std::max<int64_t>(g.k, 8);
}

// ---- blocked and streamed

// How C is cut: column blocks of whole vectors, row chunks, and the sum into blocks along k.
template <class T>
struct Plan {
  bool pack;
  int64_t depth;    // most rows of B in a block
  int64_t vectors;  // of C's columns
  int64_t column_blocks, row_chunks, depth_blocks;

  explicit Plan(const Gemm<T>& g) {
    vectors = ceil_div(g.n, lanes<T>);
    const bool small = g.k * g.n <= small_b;
    // A panel of a wide B lies in many places; enough rows pay for bringing it together, also where all of B is in the cache.
    const bool scattered = g.b_row * int64_t(sizeof(T)) >= scattered_bytes && g.k * g.n >= 8 << 10;
    pack = g.b_column != 1 || (g.m > streamed_rows && !small) || (g.m >= scattered_rows && scattered);
    depth = depth_block;
    // Chunks of B that lie in the cache while the few tiles of rows pass over them.
    if (!pack && !small) depth = std::clamp<int64_t>((64 << 10) / g.n, 32, 128);
    // What is brought together of a column-major A should stay in the first cache.
    if (g.a_column != 1) depth = std::min<int64_t>(depth, 512);
    depth_blocks = std::max<int64_t>(1, ceil_div(g.k, depth));
    // As many columns as fill the block: rows of C are then written in long pieces. What is brought together of a wide product's
    // A should serve more of them.
    const int64_t least = g.a_column != 1 ? std::clamp(g.n / 2, column_block<T>, 2 * column_block<T>) : column_block<T>;
    column_blocks = ceil_div(g.n, std::max(least, block_elements<T> / std::max<int64_t>(1, std::min(depth, g.k))));
    // Chunks of rows are for threads only.
    row_chunks = 1;
    if (2 * work_of(g) >= threaded_flops) {
      const int64_t wanted = ceil_div(16 * int64_t(thread_limit()), column_blocks);
      if (thread_limit() > 1) row_chunks = std::clamp<int64_t>(g.m / 48, 1, wanted);
    }
  }
};

// The tiles of C beside each other in one block of columns, for rows [k0, k0 + depth) of B.
template <class T>
struct PanelRow {
  const Gemm<T>& g;
  const Finish<T>& finish;
  int64_t k0, depth;
  int64_t first_vector, vectors, panels;  // the column block, in vectors, and its number of panels
  int64_t last_row;                       // of the chunk
  const T* packed;                        // nullptr: B is read where it lies, but for a panel with a partial vector
  const T* gathered;                      // rows of A brought together (see Block), or nullptr

  // Asks for panel p's share of the rows of A from `next` on, which the next tile will read.
  void fetch(int64_t next, int64_t p) const {
    if (g.a_column != 1) return;
    const int64_t begin = cut(depth, panels, p), end = cut(depth, panels, p + 1);
    for (int64_t i = next; i < std::min(next + tile_rows, last_row); i++) {
      const T* const row = g.a + i * g.a_row + k0;
      for (int64_t k = begin; k < end; k += int64_t(64 / sizeof(T))) __builtin_prefetch(row + k);
    }
  }

  // Rows [i, i + rows); `ragged` is the packed last panel where that alone is packed.
  void run(int64_t i, int64_t rows, const T* ragged) const {
    constexpr int64_t L = lanes<T>;
    Tap<T> tap;
    tap.a_step = gathered ? tile_rows : g.a_column;
    T* c[tile_rows];
    for (int64_t p = 0; p < panels; p++) {
      const int64_t v0 = cut(vectors, panels, p), v1 = cut(vectors, panels, p + 1);
      const int64_t j = (first_vector + v0) * L, columns = std::min(g.n - j, (v1 - v0) * L);
      int64_t stride = (v1 - v0) * L;
      if (packed) {
        tap.b = packed + v0 * L * depth;
      } else if (ragged && p == panels - 1) {
        tap.b = ragged;
      } else {
        tap.b = g.b + k0 * g.b_row + j;
        stride = g.b_row;
      }
      for (int64_t r = 0; r < rows; r++) {
        tap.a[r] = gathered ? gathered + r : g.a + (i + r) * g.a_row + k0 * g.a_column;
        c[r] = g.c + (i + r) * g.c_row + j;
      }
      fetch(i + rows, p);
      Finish<T> own = finish;
      if (own.bias) own.bias += j;
      tile_kernel<T>(rows, columns)(1, &tap, depth, stride, c, columns, own);
    }
  }
};

// One block of B: a block of columns, in vectors, and the rows [k0, k0 + depth) of one block along k.
template <class T>
struct Block {
  const Gemm<T>& g;
  const Plan<T>& plan;
  int64_t first_vector, vectors, panels, k0, depth;
  Finish<T> finish;

  Block(const Gemm<T>& product, const Plan<T>& how, int64_t column, int64_t along) : g(product), plan(how), finish(product.finish) {
    first_vector = cut(plan.vectors, plan.column_blocks, column);
    vectors = cut(plan.vectors, plan.column_blocks, column + 1) - first_vector;
    panels = ceil_div(vectors, tile_vectors);
    k0 = cut(g.k, plan.depth_blocks, along);
    depth = cut(g.k, plan.depth_blocks, along + 1) - k0;
    if (along > 0) {
      finish.bias = nullptr;
      finish.accumulate = true;
    }
    if (along < plan.depth_blocks - 1) finish.relu = false;
  }

  // Packs panel p of the block where it belongs in `packed`, or alone there.
  void pack(int64_t p, T* packed, bool alone = false) const {
    constexpr int64_t L = lanes<T>;
    const int64_t v0 = cut(vectors, panels, p), v1 = cut(vectors, panels, p + 1), j = (first_vector + v0) * L;
    const T* const from = g.b + k0 * g.b_row + j * g.b_column;
    pack_panel(from, g.b_row, g.b_column, depth, std::min(g.n - j, (v1 - v0) * L), alone ? packed : packed + v0 * L * depth);
  }

  // Columns of the last panel do not fill whole vectors: it is packed where the others are read where they lie.
  bool ragged() const { return !plan.pack && g.n % lanes<T> != 0 && first_vector + vectors == plan.vectors; }

  // Brings rows [i, i + rows) of a column-major A together, tile by tile: element (r, k) at to[k * tile_rows + r].
  void gather(int64_t i, int64_t rows, T* to) const {
    const int64_t whole = rows / tile_rows, rest = rows % tile_rows;
    const T* from = g.a + i + k0 * g.a_column;
    for (int64_t k = 0; k < depth; k++, from += g.a_column, to += tile_rows) {
      for (int64_t r = 0; r < rows; r += int64_t(64 / sizeof(T))) __builtin_prefetch(from + 16 * g.a_column + r);
      for (int64_t tile = 0; tile < whole; tile++) std::memcpy(to + tile * depth * tile_rows, from + tile * tile_rows, tile_rows * sizeof(T));
      for (int64_t r = 0; r < rest; r++) to[whole * depth * tile_rows + r] = from[whole * tile_rows + r];
    }
  }

  // Rows [begin, end) of C; `packed` is the block, or its ragged panel alone.
  void multiply(int64_t begin, int64_t end, const T* packed) const {
    PanelRow<T> row{g, finish, k0, depth, first_vector, vectors, panels, end, plan.pack ? packed : nullptr, nullptr};
    const T* const ragged = plan.pack ? nullptr : packed;
    if (g.a_row == 1 && g.a_column != 1 && panels > 1) {
      T* const together = scratch<T>(rows_slot, depth * tile_rows * gathered_tiles);
      for (int64_t i = begin; i < end; i += tile_rows) {
        const int64_t tile = (i - begin) / tile_rows % gathered_tiles;
        if (tile == 0) gather(i, std::min(gathered_tiles * tile_rows, end - i), together);
        row.gathered = together + tile * depth * tile_rows;
        row.run(i, std::min<int64_t>(tile_rows, end - i), ragged);
      }
      return;
    }
    const int64_t tiles = ceil_div(end - begin, tile_rows);
    for (int64_t tile = 0; tile < tiles; tile++) {
      const int64_t i = begin + cut(end - begin, tiles, tile);
      row.run(i, begin + cut(end - begin, tiles, tile + 1) - i, ragged);
    }
  }
};

// Tasks are chunks of rows of a block of columns. Where B is packed, its blocks along k come one after the other, and a thread
// packs for itself what it needs, once for the chunks of the same columns that it takes in turn.
template <class T>
void multiply(const Gemm<T>& g) {
  const Plan<T> plan(g);
  const int64_t tasks = plan.column_blocks * plan.row_chunks, work = work_of(g), tiles = ceil_div(g.m, tile_rows);
  auto row = [&](int64_t chunk) { return std::min(g.m, cut(tiles, plan.row_chunks, chunk) * tile_rows); };
  auto run = [&](const Block<T>& block, int64_t task, const T* packed) {
    const int64_t chunk = task % plan.row_chunks;
    block.multiply(row(chunk), row(chunk + 1), packed);
  };
  if (!plan.pack) {
    run_blocks(tasks, work, [&](int64_t task) {
      for (int64_t along = 0; along < plan.depth_blocks; along++) {
        const Block<T> block(g, plan, task / plan.row_chunks, along);
        T* const packed = block.ragged() ? scratch<T>(panel_slot, block.depth * tile_columns<T>) : nullptr;
        if (packed) block.pack(block.panels - 1, packed, true);
        run(block, task, packed);
      }
    });
    return;
  }
  static std::atomic<uint64_t> regions{0};
  for (int64_t along = 0; along < plan.depth_blocks; along++) {
    const uint64_t region = ++regions;
    run_blocks(tasks, work, [&](int64_t task) {
      static thread_local uint64_t packed_region = 0;
      static thread_local int64_t packed_column = 0;
      const int64_t column = task / plan.row_chunks;
      const Block<T> block(g, plan, column, along);
      T* const packed = scratch<T>(panel_slot, block.depth * block.vectors * lanes<T>);
      if (packed_region != region || packed_column != column)
        for (int64_t p = 0; p < block.panels; p++) block.pack(p, packed);
      packed_region = region;
      packed_column = column;
      run(block, task, packed);
    });
  }
}

// ---- dots

// c[i * c_x + j * c_w] = finish(x_i . w_j): rows of x stay in the cache while those of w stream by.
template <class T>
struct Dots {
  int64_t x_count, w_count, depth;
  const T *x, *w;
  int64_t x_row, w_row;
  T* c;
  int64_t c_x, c_w;
  int64_t bias_x, bias_w;  // steps of the bias
  Finish<T> finish;
};

constexpr int dot_rows = RUSHLIGHT_VECTOR_BYTES == 64 || tile_vectors == 4 ? 6 : 3;
constexpr int dot_columns = 4;

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
  constexpr int64_t L = lanes<T>;
  Vec<T> sum[R][dot_columns];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int j = 0; j < dot_columns; j++) sum[r][j] = Vec<T>{};
  auto add = [&](auto read) __attribute__((always_inline)) {
    Vec<T> left[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) left[r] = read(x[r]);
#pragma GCC unroll 4
    for (int j = 0; j < dot_columns; j++) {
      const Vec<T> right = read(w[j]);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) sum[r][j] = fma(left[r], right, sum[r][j]);
    }
  };
  int64_t k = 0;
  for (; k + L <= depth; k += L) add([k](const T* p) { return load(p + k); });
  if (k < depth) add([=](const T* p) { return load_first(p + k, depth - k); });
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

template <class T>
void run_dots(const Dots<T>& d) {
  // Blocks of 64 KiB of w, in whole tiles.
  const int64_t grain = std::max<int64_t>(1, (64 << 10) / int64_t(sizeof(T)) / std::max<int64_t>(1, d.depth * dot_columns)) * dot_columns;
  // Few rows are bound by memory rather than by arithmetic: each element of w then counts as more work.
  const int64_t work = std::max<int64_t>(d.x_count, 4) * d.w_count * d.depth;
  run_blocks(ceil_div(d.w_count, grain), work, [&](int64_t block) { dot_block(d, block * grain, std::min(d.w_count, (block + 1) * grain)); });
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

template <class T>
void multiply_row(const Gemm<T>& g) {
  constexpr int64_t least = 2048 / int64_t(sizeof(T)), most = 4 * least;
  const int64_t grain = std::clamp(panel_width<T>(ceil_div(g.n, thread_limit())), least, most);
  run_blocks(ceil_div(g.n, grain), 4 * g.n * g.k, [&](int64_t block) { row_block(g, block * grain, std::min(g.n, (block + 1) * grain)); });
}

// ---- choosing

template <class T>
void choose(const Gemm<T>& g) {
  constexpr int64_t least_depth = 2 * lanes<T>, thin = 4;
  if (g.m == 1 && g.b_column == 1 && g.k > 0) return multiply_row(g);
  const bool dots = g.m <= 2 * dot_rows && g.b_row == 1 && g.b_column != 1, thin_dots = g.n <= thin && g.a_column == 1;
  if (g.k < least_depth || !(dots || thin_dots)) {
    return multiply(g);
  }
  // The short operand, x, needs unit stride along k; it is small enough to be copied where it has not.
  Dots<T> d{g.m, g.n, g.k, g.a, g.b, g.a_row, g.b_column, g.c, g.c_row, 1, 0, 1, g.finish};
  int64_t x_step = g.a_column;
  if (!dots) {
    d = {g.n, g.m, g.k, g.b, g.a, g.b_column, g.a_row, g.c, 1, g.c_row, 1, 0, g.finish};
    x_step = g.b_row;
  }
  if (x_step != 1) {
    T* const rows = scratch<T>(rows_slot, d.x_count * d.depth);
    for (int64_t i = 0; i < d.x_count; i++)
      for (int64_t k = 0; k < d.depth; k++) rows[i * d.depth + k] = d.x[i * d.x_row + k * x_step];
    d.x = rows;
    d.x_row = d.depth;
  }
  run_dots(d);
}

// Long sums over a small C: partial products of fixed blocks along k, added in their order.
template <class T>
void multiply_split(const Gemm<T>& g) {
  const int64_t block = std::max<int64_t>(2048, ceil_div(g.k, 64)), blocks = ceil_div(g.k, block), size = g.m * g.n;
  T* const parts = scratch<T>(split_slot, blocks * size);
  parallel(blocks, [&](int64_t index) {
    Gemm<T> own = g;
    own.k = std::min(block, g.k - index * block);
    own.a += index * block * g.a_column;
    own.b += index * block * g.b_row;
    own.c = parts + index * size;
    own.c_row = g.n;
    own.finish = {};
    choose(own);
  });
  for (int64_t i = 0; i < g.m; i++)
    for (int64_t j = 0; j < g.n; j++) {
      T* const y = g.c + i * g.c_row + j;
      T value = parts[i * g.n + j];
      for (int64_t index = 1; index < blocks; index++) value += parts[index * size + i * g.n + j];
      value *= g.finish.scale;
      if (g.finish.bias) value += g.finish.bias[j];
      if (g.finish.accumulate) value += *y;
      *y = g.finish.relu && value < 0 ? T(0) : value;
    }
}

}  // namespace

template <class T>
void gemm(const Gemm<T>& given) {
  if (given.m == 0 || given.n == 0) return;
  Gemm<T> g = given;
  if (g.k <= 1) g.a_column = 1;  // strides of single elements mean nothing
  if (g.m == 1 && g.a_column != 1) g.a_row = 1;
  if (g.n == 1) {
    g.b_column = 1;
    if (g.c_row == 1 && !g.finish.bias) {
      // A column is a row of the transposed product, which the ways above know how to stream.
      g = {1, g.m, g.k, g.b, 1, g.b_row, g.a, g.a_column, g.a_row, g.c, g.m, g.finish};
      if (g.k <= 1) g.a_column = 1;
    }
  }
  if (g.k >= 8192 && g.m * g.n <= 16384) return multiply_split(g);
  choose(g);
}

// A product of a few tiles whose B is read where it lies: what `multiply` does, prepared once for a whole batch of them.
template <class T>
struct SmallProduct {
  int64_t tiles, least, longer;  // rows of a tile; the last `longer` have one more
  bool whole;                    // columns fill whole vectors; else B is packed
  TileKernel<T> kernel[2];

  static bool fits(const Gemm<T>& g) {
    return g.b_column == 1 && g.n <= tile_columns<T> && g.m > 1 && g.m <= 8 * tile_rows && g.k > 1 && g.k <= 256;
  }

  explicit SmallProduct(const Gemm<T>& g) {
    tiles = ceil_div(g.m, tile_rows);
    least = g.m / tiles;
    longer = g.m % tiles;
    whole = g.n % lanes<T> == 0;
    kernel[0] = tile_kernel<T>(least, g.n);
    kernel[1] = longer ? tile_kernel<T>(least + 1, g.n) : nullptr;
  }

  void run(const Gemm<T>& g) const {
    Tap<T> tap;
    tap.b = g.b;
    tap.a_step = g.a_column;
    int64_t stride = g.b_row;
    if (!whole) {
      stride = panel_width<T>(g.n);
      T* const panel = scratch<T>(panel_slot, g.k * stride);
      pack_panel(g.b, g.b_row, 1, g.k, g.n, panel);
      tap.b = panel;
    }
    T* c[tile_rows];
    const T* a = g.a;
    T* to = g.c;
    for (int64_t tile = 0; tile < tiles; tile++) {
      const int64_t more = tile >= tiles - longer, rows = least + more;
      for (int64_t r = 0; r < rows; r++, a += g.a_row, to += g.c_row) {
        tap.a[r] = a;
        c[r] = to;
      }
      kernel[more](1, &tap, g.k, stride, c, g.n, g.finish);
    }
  }
};

template <class T>
void gemm_batch(const Gemm<T>& first, const Batch& batch) {
  const bool small = SmallProduct<T>::fits(first);
  std::optional<SmallProduct<T>> prepared;
  if (small) prepared.emplace(first);
  auto one = [&](int64_t index) {
    Gemm<T> own = first;
    for (int d = batch.ndim - 1; d >= 0; d--) {
      const int64_t at = index % batch.shape[d];
      index /= batch.shape[d];
      own.a += at * batch.a[d];
      own.b += at * batch.b[d];
      own.c += at * batch.c[d];
    }
    small ? prepared->run(own) : gemm(own);
  };
  const int64_t work = first.m * first.n * first.k;
  if (batch.count > 1 && (work < (4 << 20) || batch.count % 16 == 0)) {
    const int64_t grain = std::max<int64_t>(1, (64 << 10) / std::max<int64_t>(1, work)), blocks = ceil_div(batch.count, grain);
    run_blocks(blocks, work * batch.count, [&](int64_t block) {
      for (int64_t index = block * grain; index < std::min(batch.count, (block + 1) * grain); index++) one(index);
    });
  } else {
    for (int64_t index = 0; index < batch.count; index++) one(index);
  }
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

template void gemm(const Gemm<float>&);
template void gemm(const Gemm<double>&);
template void gemm_batch(const Gemm<float>&, const Batch&);
template void gemm_batch(const Gemm<double>&, const Batch&);
template float dot(int64_t, const float*, int64_t, const float*, int64_t);
template double dot(int64_t, const double*, int64_t, const double*, int64_t);

}  // namespace rushlight
