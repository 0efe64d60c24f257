// What recurrent layers share: the walk through time, packed weights, products of a few rows, sharing among threads.
//
// No sequence of a batch depends on another, so threads take sequences, not steps: each walks through time by itself and
// nobody waits. (One to six sequences leave threads nothing to share but the units of a step.)
//
// w_hh is packed once. Forward (`Blocks`): a panel for every few units that holds the weights of all their gates side by side,
// so that a register tile holds the gates of up to 6 sequences and is finished in the first-level cache. Backward (`Panels`):
// its columns.
//
// Rows of all steps lie one after the other; step t has size[t] of them, which never grows with t (see the reference).
#pragma once
#include <cstring>

#include "kernel.h"
#include "microkernel.h"
#include "parallel.h"

namespace rushlight::recurrent {

// Slots of scratch memory.
constexpr int steps_slot = 0, weights_slot = 1;

struct Step {
  int64_t start = 0, size = 0;
};

// The steps in the order of the walk.
struct Walk {
  Step* step = nullptr;
  int64_t count = 0, rows = 0;

  // From the tuple of batch sizes; false where they are not what they should be, which the reference may report.
  bool read(PyObject* sizes, PyObject* reverse) {
    bool backwards;
    if (!PyTuple_Check(sizes) || !read_bool(reverse, backwards)) return false;
    count = PyTuple_GET_SIZE(sizes);
    step = scratch<Step>(steps_slot, count);
    for (int64_t t = 0; t < count; t++) {
      int64_t size;
      if (!read_int(PyTuple_GET_ITEM(sizes, t), size) || size < 0 || (t && size > step[t - 1].size)) return false;
      step[t] = {rows, size};
      rows += size;
    }
    if (backwards) std::reverse(step, step + count);
    return count > 0;
  }
  int64_t batch() const { return std::max(step[0].size, step[count - 1].size); }
  // The step before step t of the walk, without rows for the first.
  Step before(int64_t t) const { return t ? step[t - 1] : Step(); }
  Step after(int64_t t) const { return t + 1 < count ? step[t + 1] : Step(); }
};

// States [B, width]: of a sequence that was running in step `before` its row of y, else that of the first state.
template <class T>
const T* state_before(const T* y, const T* first, Step before, int64_t sequence, int64_t width) {
  return sequence < before.size ? y + (before.start + sequence) * width : first + sequence * width;
}

inline bool is_matrix(const Array& a, Type type, int64_t rows, int64_t columns) {
  return a.type == type && a.ndim == 2 && a.shape[0] == rows && a.shape[1] == columns && a.contiguous() && !a.hidden;
}

// A matrix, or None; nothing else.
inline bool read_optional(PyObject* value, Array& a, Type type, int64_t rows, int64_t columns) {
  return !given(value) || (a.read(value) && is_matrix(a, type, rows, columns));
}

// Runs body(from, to, first unit block, last unit block, step) for every step of `order`, with `count` sequences shared among
// threads; where they are too few, the blocks of units of each step. `finish` is called likewise when a step's body is done.
template <class Body, class Finish>
void in_parallel(int64_t steps, int64_t count, int64_t blocks, int64_t panels, int64_t work, Body&& body, Finish&& finish) {
  if (count == 0) return;
  const int64_t tiles = (count + tile_rows - 1) / tile_rows;
  constexpr int64_t serial_work = 1 << 20, serial_step = 1 << 17;
  if (tiles == 1 && work / steps > serial_step) {
    for (int64_t t = 0; t < steps; t++) {
      parallel(blocks, [&](int64_t block) { body(t, 0, count, block, block + 1); });
      if (panels) parallel(panels, [&](int64_t panel) { finish(t, 0, count, panel, panel + 1); });
    }
    return;
  }
  const int64_t shares = work > serial_work ? std::min<int64_t>(thread_limit(), tiles) : 1;
  const int64_t share = (count + shares - 1) / shares;  // how sequences are shared changes no bit of them
  parallel_range(count, share, [&](int64_t from, int64_t to) {
    for (int64_t t = 0; t < steps; t++) {
      body(t, from, to, 0, blocks);
      if (panels) finish(t, from, to, 0, panels);
    }
  });
}

// Packed weights that do not stay in the second-level cache: a panel is asked for while the one before it is used.
constexpr int64_t resident_bytes = 1 << 20;

// Memory that will be read next.
struct Coming {
  const char* from = nullptr;
  int64_t bytes = 0;

  // The i-th of n parts.
  Coming part(int64_t i, int64_t n) const {
    const int64_t lines = bytes / 64;
    return {from + lines * i / n * 64, (lines * (i + 1) / n - lines * i / n) * 64};
  }
  void ask() const {
    for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(from + i, 0, 2);
  }
};

// Rows of C [*, columns] = A @ panel, for rows whose pointers are given. With something `coming`, sums are cut into pieces
// between which it is asked for a little at a time.
template <class T>
void multiply(const T* const* a, int64_t rows, const T* panel, int64_t width, int64_t depth, T* const* c, int64_t columns, bool accumulate,
              Coming coming = {}) {
  const int64_t piece = coming.from ? 64 : depth, pieces = (depth + piece - 1) / piece;
  for (int64_t j = 0; j < columns; j += tile_columns<T>) {
    const int64_t n = std::min(tile_columns<T>, columns - j);
    T* at[tile_rows];
    for (int64_t r = 0; r < rows; r++) at[r] = c[r] + j;
    for (int64_t k = 0; k < depth; k += piece) {
      if (j == 0) coming.part(k / piece, pieces).ask();
      Tap<T> tap;
      tap.b = panel + k * width + j;
      for (int64_t r = 0; r < rows; r++) tap.a[r] = a[r] + k;
      Finish<T> finish;
      finish.accumulate = accumulate || k > 0;
      tile_kernel<T>(rows, n)(1, &tap, std::min(piece, depth - k), width, at, n, finish);
    }
  }
}

// How w_hh [gates * units, outputs] is packed for the forward pass: blocks of units with all their gates.
template <class T, int Gates>
struct Blocks {
  // One vector of units where they have several gates, a whole tile where they have one.
  static constexpr int64_t units_each = Gates == 1 ? tile_columns<T> : lanes<T>, width = Gates * units_each;
  int64_t units, count;
  const T* packed;

  Blocks(const T* w, int64_t units_, int64_t outputs) : units(units_), count((units_ + units_each - 1) / units_each) {
    T* const to = scratch<T>(weights_slot, count * outputs * width);
    packed = to;
    parallel(units * outputs > serial_pack ? count : 1, [&](int64_t share) {
      const int64_t from = units * outputs > serial_pack ? share : 0, end = units * outputs > serial_pack ? share + 1 : count;
      for (int64_t block = from; block < end; block++) {
        T* const panel = to + block * outputs * width;
        const int64_t first = block * units_each, n = std::min(units_each, units - first);
        if (n < units_each) std::memset(panel, 0, size_t(outputs * width) * sizeof(T));
        for (int g = 0; g < Gates; g++) transpose_into(w + (g * units + first) * outputs, outputs, n, outputs, panel + g * units_each, width);
      }
    });
  }
  static constexpr int64_t serial_pack = 1 << 15;
};

// How w_hh is packed for the backward pass: panels of its columns.
template <class T>
struct Panels {
  int64_t depth, columns, count;
  const T* packed;

  Panels(const T* w, int64_t depth_, int64_t columns_)
      : depth(depth_), columns(columns_), count((columns_ + tile_columns<T> - 1) / tile_columns<T>) {
    T* const to = scratch<T>(weights_slot, depth * panel_width<T>(columns));
    packed = to;
    for (int64_t panel = 0; panel < count; panel++) {
      const int64_t first = panel * tile_columns<T>;
      pack_panel(w + first, columns, 1, depth, std::min(tile_columns<T>, columns - first), to + first * depth);
    }
  }

  // carried[from..to) (+)= rows @ w_hh, the columns of some panels; `row` are the `depth` numbers of each sequence.
  void carry(const T* row, T* carried, int64_t from, int64_t to, int64_t first_panel, int64_t last_panel, bool accumulate) const {
    for (int64_t panel = first_panel; panel < last_panel; panel++) {
      const int64_t first = panel * tile_columns<T>, n = std::min(tile_columns<T>, columns - first);
      const int64_t following = (panel + 1 < last_panel ? panel + 1 : first_panel) * tile_columns<T>;
      const int64_t following_width = panel_width<T>(std::min(tile_columns<T>, columns - following));
      const Coming next{reinterpret_cast<const char*>(packed + following * depth), following_width * depth * int64_t(sizeof(T))};
      const bool resident = depth * panel_width<T>(columns) * int64_t(sizeof(T)) <= resident_bytes;
      for (int64_t i = from; i < to; i += tile_rows) {
        const int64_t rows = std::min<int64_t>(tile_rows, to - i);
        const T* a[tile_rows];
        T* c[tile_rows];
        for (int64_t r = 0; r < rows; r++) {
          a[r] = row + (i + r) * depth;
          c[r] = carried + (i + r) * columns + first;
        }
        multiply(a, rows, packed + first * depth, panel_width<T>(n), depth, c, n, accumulate,
                 resident ? Coming() : next.part((i - from) / tile_rows, (to - from + tile_rows - 1) / tile_rows));
      }
    }
  }
};

// One step of a layer for some sequences and some blocks of units: the products, then `cell(row, sequence, unit, n, sums)` for
// up to a vector of units at a time; sums[g * units_each] are the products for gate g. `touch(row, unit)` comes before the product.
template <int Gates, class T, class Touch, class Cell>
void forward_step(const Blocks<T, Gates>& blocks, const T* y, const T* h0, Step step, Step before, int64_t from, int64_t to, int64_t first_block,
                  int64_t last_block, Touch&& touch, Cell&& cell) {
  using B = Blocks<T, Gates>;
  alignas(64) T sums[tile_rows * B::width];
  to = std::min(to, step.size);
  const int64_t outputs = blocks.units, panel = outputs * B::width, tiles = (to - from + tile_rows - 1) / tile_rows;
  const bool resident = blocks.count * panel * int64_t(sizeof(T)) <= resident_bytes;
  auto part = [&](int64_t block, int64_t tile) {
    const int64_t first = block * B::units_each, last = std::min(first + B::units_each, blocks.units);
    const int64_t i = from + tile * tile_rows, rows = std::min<int64_t>(tile_rows, to - i);
    const T* h[tile_rows];
    T* c[tile_rows];
    for (int64_t r = 0; r < rows; r++) {
      touch(step.start + i + r, first);  // what the cell reads and writes: it is there when the product is
      h[r] = state_before(y, h0, before, i + r, outputs);
      c[r] = sums + r * B::width;
    }
    Coming next;
    if (!resident) {
      const int64_t following = block + 1 < last_block ? block + 1 : first_block;
      next = Coming{reinterpret_cast<const char*>(blocks.packed + following * panel), panel * int64_t(sizeof(T))}.part(tile, tiles);
    }
    multiply(h, rows, blocks.packed + block * panel, B::width, outputs, c, B::width, false, next);
    for (int64_t r = 0; r < rows; r++)
      for (int64_t unit = first; unit < last; unit += lanes<T>)
        cell(step.start + i + r, i + r, unit, std::min(lanes<T>, last - unit), c[r] + unit - first);
  };
  // Weights that stay in cache are gone through for a few sequences at a time, whose gates then come in order.
  if (resident) {
    for (int64_t tile = 0; tile < tiles; tile++)
      for (int64_t block = first_block; block < last_block; block++) part(block, tile);
  } else {
    for (int64_t block = first_block; block < last_block; block++)
      for (int64_t tile = 0; tile < tiles; tile++) part(block, tile);
  }
}

// Copies the last states of the sequences that end with this step.
template <class T>
void keep_last(const T* y, T* last, Step step, Step after, int64_t from, int64_t to, int64_t width) {
  for (int64_t i = std::max(from, after.size); i < std::min(to, step.size); i++)
    std::memcpy(last + i * width, y + (step.start + i) * width, size_t(width) * sizeof(T));
}

inline PyObject* matrix(int64_t rows, int64_t columns, Type type) {
  const npy_intp shape[] = {rows, columns};
  return new_array(2, shape, type);
}

// A state's cotangent, to be carried back: a copy of `g`, or zeros.
inline PyObject* carried_state(const Array& g, int64_t batch, int64_t width, Type type) {
  PyObject* found = matrix(batch, width, type);
  if (!found) return nullptr;
  const Array made = view_of(found);
  if (g.object)
    std::memcpy(made.data, g.data, size_t(made.size() * made.itemsize()));
  else
    std::memset(made.data, 0, size_t(made.size() * made.itemsize()));
  return found;
}

// Results of a kernel, as a tuple. The references are given away; NULL if one is NULL.
template <class... Object>
PyObject* results(Object*... objects) {
  PyObject* list[] = {objects...};
  bool whole = true;
  for (PyObject* object : list) whole &= object != nullptr;
  PyObject* found = whole ? PyTuple_New(sizeof...(objects)) : nullptr;
  if (!found) {
    for (PyObject* object : list) Py_XDECREF(object);
    return nullptr;
  }
  for (size_t i = 0; i < sizeof...(objects); i++) PyTuple_SET_ITEM(found, Py_ssize_t(i), list[i]);
  return found;
}

template <class T>
T* data_of(PyObject* array) {
  return view_of(array).as<T>();
}

// A product of `rows` with all weights, in multiply-adds.
inline int64_t work_of(const Walk& walk, const Array& w) { return walk.rows * w.shape[0] * w.shape[1]; }

}  // namespace rushlight::recurrent
