// Products of matrices (see gemm.h). Three ways, by shape:
//
//   blocked   B is packed in blocks of up to 1 MiB that stay in the L2 cache; register tiles run over the rows of A.
//   streamed  few rows of A: B is read once from where it lies, in chunks of few rows so that memory is read in order.
//   dots      B (or A, when C is thin) has unit stride along k, like the weights of a linear layer: scalar products of
//             rows, vectors along k, nothing is packed.
//
// Rows of a column-major A are brought together when several panels share the cost: a few tiles at a time, or all of a large A.
// Long sums over few elements of C are cut into blocks along k that threads share; their results are added in order. Square
// products reach what the register tile reaches, 75 to 95% of the multiply-add rate, from a few hundred rows on.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>

#include "gemm_parts.h"
#include "pool.h"

namespace rushlight {
namespace {

constexpr int64_t depth_block = 1024;           // rows of a packed block of B, at most
constexpr int64_t streamed_rows = 36;           // up to so many rows of A, B is not worth packing
constexpr int64_t small_b = 64 << 10;           // elements of a B that stays in the cache as it is
constexpr int64_t scattered_bytes = 1024, scattered_rows = 96;  // rows of B so far apart are packed for so many rows of A
constexpr int64_t gathered_tiles = 16;          // of a column-major A that are brought together at a time: whole cache lines of it
constexpr int64_t turned_elements = 8 << 20, turned_edge = 64;  // of a large column-major A that become rows at a time, in squares
constexpr int64_t turned_columns = 256;         // where so many columns of C share them

template <class T>
inline constexpr int64_t block_elements = (512 << 10) / int64_t(sizeof(T));  // of a packed block of B
template <class T>
inline constexpr int64_t column_block = 1024 / int64_t(sizeof(T));  // its columns, at least

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
    // What is brought together of a column-major A should stay in the caches, and serve many columns.
    if (g.a_column != 1) depth = std::min<int64_t>(depth, 256);
    depth_blocks = std::max<int64_t>(1, ceil_div(g.k, depth));
    // As many columns as fill the block: rows of C are then written in long pieces.
    const int64_t least = g.a_column != 1 ? std::clamp<int64_t>(g.n, column_block<T>, 4 * column_block<T>) : column_block<T>;
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

// ---- choosing

// A large column-major A that many columns of C share becomes rows first: blocks along k can then be as deep as for other A, and
// C is read and written less often.
template <class T>
void multiply_turned(const Gemm<T>& g) {
  const int64_t pitch = panel_width<T>(g.k) + 64 / int64_t(sizeof(T)), parts = ceil_div(g.m * pitch, turned_elements);
  const Buffer memory(size_t(ceil_div(g.m, parts) * pitch) * sizeof(T));
  T* const rows = memory.as<T>();
  for (int64_t part = 0; part < parts; part++) {
    const int64_t first = cut(g.m, parts, part);
    Gemm<T> own = g;
    own.m = cut(g.m, parts, part + 1) - first;
    run_blocks(ceil_div(g.k, turned_edge), work_of(own), [&](int64_t block) {
      const int64_t k = block * turned_edge, depth = std::min(turned_edge, g.k - k);
      for (int64_t i = 0; i < own.m; i += turned_edge)
        transpose_into(g.a + first + i + k * g.a_column, g.a_column, depth, std::min(turned_edge, own.m - i), rows + i * pitch + k, pitch, true);
    });
    own.a = rows;
    own.a_row = pitch;
    own.a_column = 1;
    own.c += first * g.c_row;
    multiply(own);
  }
}

template <class T>
void choose(const Gemm<T>& g) {
  constexpr int64_t least_depth = 2 * lanes<T>, thin = 4;
  if (g.m == 1 && g.b_column == 1 && g.k > 0) return multiply_row(g);
  const bool dots = g.m <= 2 * dot_rows && g.b_row == 1 && g.b_column != 1, thin_dots = g.n <= thin && g.a_column == 1;
  if (g.k < least_depth || !(dots || thin_dots)) {
    const bool turn = g.a_row == 1 && g.a_column != 1 && g.m * g.k * int64_t(sizeof(T)) >= far_bytes && g.n >= turned_columns;
    return turn ? multiply_turned(g) : multiply(g);
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

template void gemm(const Gemm<float>&);
template void gemm(const Gemm<double>&);
template void gemm_batch(const Gemm<float>&, const Batch&);
template void gemm_batch(const Gemm<double>&, const Batch&);

}  // namespace rushlight
