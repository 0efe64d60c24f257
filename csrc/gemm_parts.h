// What gemm.cpp (packed blocks, and choosing) and gemm_dots.cpp (scalar products, one row) share of the products of matrices.
#pragma once
#include "gemm.h"
#include "parallel.h"

namespace rushlight {

// Places in a thread's scratch memory.
constexpr int split_slot = 5, rows_slot = 6, panel_slot = 7;

constexpr int64_t threaded_flops = 1 << 20;  // below this nobody is woken

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The start of part `index` when `count` is cut into `parts` that differ by one at most.
inline int64_t cut(int64_t count, int64_t parts, int64_t index) { return count * index / parts; }

// parallel(), but serial when the work (multiply-adds) is not worth waking a thread.
template <class F>
void run_blocks(int64_t blocks, int64_t work, F&& body) {
  if (2 * work < threaded_flops) {
    for (int64_t block = 0; block < blocks; block++) body(block);
  } else {
    parallel(blocks, body);
  }
}

// ---- gemm_dots.cpp

// Rows of x and of w in a register tile of dots.
constexpr int dot_rows = tile_vectors == 4 ? 6 : 3;
constexpr int dot_columns = 4;

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

template <class T>
void run_dots(const Dots<T>& d);

// A product whose C is a single row, with rows of B of unit stride.
template <class T>
void multiply_row(const Gemm<T>& g);

}  // namespace rushlight
