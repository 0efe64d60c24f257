// Recurrent layers, all time steps of one direction, forward and backward: LSTM, GRU, tanh and relu.
//
// The caller has multiplied the input with its weights for all steps at once; here is what must be done step by step:
// h @ w_hh.T and the gates. No sequence of a batch depends on another, so threads take sequences, not steps: each walks
// through time by itself and nobody waits. (One to six sequences leave threads nothing to share but the units of a step.)
//
// w_hh is packed once, a panel for every few units that holds the weights of all their gates side by side. A register tile
// then holds the gates of up to 6 sequences, is finished in the first-level cache and goes to memory activated. With 128 to
// 512 units, activations included, a step reaches 60 to 80% of the rate of a large matrix product on the same core.
//
// Rows of all steps lie one after the other; step t has size[t] of them, which never grows with t (see the reference).
#include <cstring>

#include "kernel.h"
#include "math.h"
#include "microkernel.h"
#include "parallel.h"

namespace rushlight {
namespace {

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

bool is_matrix(const Array& a, Type type, int64_t rows, int64_t columns) {
  return a.type == type && a.ndim == 2 && a.shape[0] == rows && a.shape[1] == columns && a.contiguous() && !a.hidden;
}

// A matrix, or None; nothing else.
bool read_optional(PyObject* value, Array& a, Type type, int64_t rows, int64_t columns) {
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
  const int64_t share = (tiles + shares - 1) / shares * tile_rows;  // how sequences are shared changes no bit of them
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

PyObject* matrix(int64_t rows, int64_t columns, Type type) {
  const npy_intp shape[] = {rows, columns};
  return new_array(2, shape, type);
}

// A state's cotangent, to be carried back: a copy of `g`, or zeros.
PyObject* carried_state(const Array& g, int64_t batch, int64_t width, Type type) {
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
int64_t work_of(const Walk& walk, const Array& w) { return walk.rows * w.shape[0] * w.shape[1]; }

// LSTM.

template <class T>
PyObject* lstm_forward(const Walk& walk, const Array& sums, const Array& h0, const Array& c0, const Array& w) {
  const int64_t batch = walk.batch(), units = c0.shape[1];
  PyObject* y = matrix(walk.rows, units, sums.type);
  PyObject* cells = y ? matrix(walk.rows, units, sums.type) : nullptr;
  PyObject* h = cells ? matrix(batch, units, sums.type) : nullptr;
  PyObject* c = h ? matrix(batch, units, sums.type) : nullptr;
  if (c) {
    T *const py = data_of<T>(y), *const pcells = data_of<T>(cells), *const ph = data_of<T>(h), *const pc = data_of<T>(c), *const gates = sums.as<T>();
    const ReleaseGil released(work_of(walk, w));
    const Blocks<T, 4> blocks(w.as<T>(), units, units);
    auto body = [&](int64_t t, int64_t from, int64_t to, int64_t first, int64_t last) {
      const Step step = walk.step[t], before = walk.before(t);
      auto touch = [&](int64_t row, int64_t unit) {
        for (int g = 0; g < 4; g++) __builtin_prefetch(gates + (row * 4 + g) * units + unit, 1);
        __builtin_prefetch(pcells + row * units + unit, 1);
        __builtin_prefetch(py + row * units + unit, 1);
      };
      forward_step<4>(blocks, py, h0.as<T>(), step, before, from, to, first, last, touch, [&](int64_t row, int64_t sequence, int64_t unit, int64_t n, const T* sum) {
        constexpr int64_t L = lanes<T>;
        T* const gate = gates + row * 4 * units + unit;
        auto total = [&](int g) { return load_first(gate + g * units, n) + load(sum + g * L); };
        const Vec<T> i = sigmoid(total(0)), f = sigmoid(total(1)), g = tanh(total(2)), o = sigmoid(total(3));
        const Vec<T> held = load_first(state_before(pcells, c0.as<T>(), before, sequence, units) + unit, n);
        const Vec<T> cell = f * held + i * g;
        store_first(gate, i, n);
        store_first(gate + units, f, n);
        store_first(gate + 2 * units, g, n);
        store_first(gate + 3 * units, o, n);
        store_first(pcells + row * units + unit, cell, n);
        store_first(py + row * units + unit, Vec<T>(o * tanh(cell)), n);
      });
    };
    in_parallel(walk.count, batch, blocks.count, 0, work_of(walk, w), body, body);
    for (int64_t t = 0; t < walk.count; t++) {
      keep_last(py, ph, walk.step[t], walk.after(t), 0, batch, units);
      keep_last(pcells, pc, walk.step[t], walk.after(t), 0, batch, units);
    }
  }
  return results(y, h, c, Py_NewRef(reinterpret_cast<PyObject*>(sums.object)), cells);
}

// (sums, h0, c0, w_hh, w_hr, batch_sizes, reverse) -> (y, hT, cT, gates, cells)
PyObject* lstm_steps(PyObject* const* args) {
  Array sums, h0, c0, w;
  Walk walk;
  if (!sums.read(args[0]) || !h0.read(args[1]) || !c0.read(args[2]) || !w.read(args[3]) || given(args[4]) || !walk.read(args[5], args[6])) return decline();
  const int64_t units = w.ndim == 2 ? w.shape[1] : 0;
  const bool fits = is_matrix(sums, sums.type, walk.rows, 4 * units) && sums.writeable() && is_matrix(w, sums.type, 4 * units, units) &&
                    is_matrix(h0, sums.type, walk.batch(), units) && is_matrix(c0, sums.type, walk.batch(), units) && units > 0;
  if (!fits) return decline();
  if (sums.type == Type::F32) return lstm_forward<float>(walk, sums, h0, c0, w);
  return sums.type == Type::F64 ? lstm_forward<double>(walk, sums, h0, c0, w) : decline();
}

template <class T>
PyObject* lstm_backward(const Walk& walk, const Array& gy, const Array& gh, const Array& gc, const Array& gates, const Array& cells, const Array& c0,
                        const Array& w) {
  const int64_t batch = walk.batch(), units = c0.shape[1];
  PyObject* gsums = matrix(walk.rows, 4 * units, gates.type);
  PyObject* h = gsums ? carried_state(gh, batch, units, gates.type) : nullptr;
  PyObject* c = h ? carried_state(gc, batch, units, gates.type) : nullptr;
  if (c) {
    T *const pg = data_of<T>(gsums), *const ph = data_of<T>(h), *const pc = data_of<T>(c);
    const ReleaseGil released(work_of(walk, w));
    const Panels<T> panels(w.as<T>(), 4 * units, units);
    constexpr int64_t L = lanes<T>;
    // Steps are counted from the last one of the walk.
    auto body = [&](int64_t back, int64_t from, int64_t to, int64_t first, int64_t last) {
      const int64_t t = walk.count - 1 - back;
      const Step step = walk.step[t], before = walk.before(t);
      for (int64_t sequence = from; sequence < std::min(to, step.size); sequence++) {
        const int64_t row = step.start + sequence;
        const T* const held = state_before(cells.as<T>(), c0.as<T>(), before, sequence, units);
        for (int64_t unit = first * L; unit < std::min(last * L, units); unit += L) {
          const int64_t n = std::min(L, units - unit);
          const T* const gate = gates.as<T>() + row * 4 * units + unit;
          T* const to_gate = pg + row * 4 * units + unit;
          T *const at_h = ph + sequence * units + unit, *const at_c = pc + sequence * units + unit;
          const Vec<T> i = load_first(gate, n), f = load_first(gate + units, n), g = load_first(gate + 2 * units, n), o = load_first(gate + 3 * units, n);
          const Vec<T> squashed = tanh(load_first(cells.as<T>() + row * units + unit, n));
          Vec<T> arrived = load_first(at_h, n);
          if (gy.object) arrived += load_first(gy.as<T>() + row * units + unit, n);
          const Vec<T> cell = load_first(at_c, n) + arrived * o * (T(1) - squashed * squashed);
          store_first(to_gate, Vec<T>(cell * g * i * (T(1) - i)), n);
          store_first(to_gate + units, Vec<T>(cell * load_first(held + unit, n) * f * (T(1) - f)), n);
          store_first(to_gate + 2 * units, Vec<T>(cell * i * (T(1) - g * g)), n);
          store_first(to_gate + 3 * units, Vec<T>(arrived * squashed * o * (T(1) - o)), n);
          store_first(at_c, Vec<T>(cell * f), n);
        }
      }
    };
    auto finish = [&](int64_t back, int64_t from, int64_t to, int64_t first, int64_t last) {
      const Step step = walk.step[walk.count - 1 - back];
      panels.carry(pg + step.start * 4 * units, ph, from, std::min(to, step.size), first, last, false);
    };
    in_parallel(walk.count, batch, (units + L - 1) / L, panels.count, work_of(walk, w), body, finish);
  }
  return results(gsums, h, c, Py_NewRef(Py_None));
}

// (gy, gh, gc, gates, cells, c0, w_hh, w_hr, batch_sizes, reverse) -> gradients of (sums, h0, c0, w_hr)
PyObject* lstm_steps_backward(PyObject* const* args) {
  Array gy, gh, gc, gates, cells, c0, w;
  Walk walk;
  if (!gates.read(args[3]) || !cells.read(args[4]) || !c0.read(args[5]) || !w.read(args[6]) || given(args[7]) || !walk.read(args[8], args[9])) return decline();
  const int64_t units = w.ndim == 2 ? w.shape[1] : 0, batch = walk.batch();
  const Type type = gates.type;
  const bool fits = is_matrix(gates, type, walk.rows, 4 * units) && is_matrix(cells, type, walk.rows, units) && is_matrix(w, type, 4 * units, units) &&
                    is_matrix(c0, type, batch, units) && read_optional(args[0], gy, type, walk.rows, units) &&
                    read_optional(args[1], gh, type, batch, units) && read_optional(args[2], gc, type, batch, units) && units > 0;
  if (!fits) return decline();
  if (type == Type::F32) return lstm_backward<float>(walk, gy, gh, gc, gates, cells, c0, w);
  return type == Type::F64 ? lstm_backward<double>(walk, gy, gh, gc, gates, cells, c0, w) : decline();
}

// GRU.

template <class T>
PyObject* gru_forward(const Walk& walk, const Array& inputs, const Array& h0, const Array& w, const Array& bias) {
  const int64_t batch = walk.batch(), units = h0.shape[1];
  PyObject* y = matrix(walk.rows, units, inputs.type);
  PyObject* gates = y ? matrix(walk.rows, 4 * units, inputs.type) : nullptr;
  PyObject* h = gates ? matrix(batch, units, inputs.type) : nullptr;
  if (h) {
    T *const py = data_of<T>(y), *const pg = data_of<T>(gates), *const ph = data_of<T>(h);
    const T* const b = bias.object ? bias.as<T>() : nullptr;
    const ReleaseGil released(work_of(walk, w));
    const Blocks<T, 3> blocks(w.as<T>(), units, units);
    auto body = [&](int64_t t, int64_t from, int64_t to, int64_t first, int64_t last) {
      const Step step = walk.step[t], before = walk.before(t);
      auto touch = [&](int64_t row, int64_t unit) {
        for (int g = 0; g < 3; g++) __builtin_prefetch(inputs.as<T>() + (row * 3 + g) * units + unit);
        for (int g = 0; g < 4; g++) __builtin_prefetch(pg + (row * 4 + g) * units + unit, 1);
        __builtin_prefetch(py + row * units + unit, 1);
      };
      forward_step<3>(blocks, py, h0.as<T>(), step, before, from, to, first, last, touch, [&](int64_t row, int64_t sequence, int64_t unit, int64_t n, const T* sum) {
        constexpr int64_t L = lanes<T>;
        const T* const input = inputs.as<T>() + row * 3 * units + unit;
        T* const gate = pg + row * 4 * units + unit;
        auto share = [&](int g) { return b ? load(sum + g * L) + load_first(b + g * units + unit, n) : load(sum + g * L); };
        const Vec<T> r = sigmoid(load_first(input, n) + share(0)), z = sigmoid(load_first(input + units, n) + share(1));
        const Vec<T> candidate = share(2);
        const Vec<T> fresh = tanh(load_first(input + 2 * units, n) + r * candidate);
        const Vec<T> held = load_first(state_before(static_cast<const T*>(py), h0.as<T>(), before, sequence, units) + unit, n);
        store_first(gate, r, n);
        store_first(gate + units, z, n);
        store_first(gate + 2 * units, fresh, n);
        store_first(gate + 3 * units, candidate, n);
        store_first(py + row * units + unit, Vec<T>(fresh + z * (held - fresh)), n);
      });
    };
    in_parallel(walk.count, batch, blocks.count, 0, work_of(walk, w), body, body);
    for (int64_t t = 0; t < walk.count; t++) keep_last(py, ph, walk.step[t], walk.after(t), 0, batch, units);
  }
  return results(y, h, gates);
}

// (given, h0, w_hh, b_hh, batch_sizes, reverse) -> (y, hT, gates)
PyObject* gru_steps(PyObject* const* args) {
  Array inputs, h0, w, bias;
  Walk walk;
  if (!inputs.read(args[0]) || !h0.read(args[1]) || !w.read(args[2]) || !walk.read(args[4], args[5])) return decline();
  const int64_t units = w.ndim == 2 ? w.shape[1] : 0;
  const Type type = inputs.type;
  if (given(args[3]) && (!bias.read(args[3]) || bias.type != type || bias.ndim != 1 || bias.shape[0] != 3 * units || !bias.contiguous())) return decline();
  const bool fits = is_matrix(inputs, type, walk.rows, 3 * units) && is_matrix(w, type, 3 * units, units) && is_matrix(h0, type, walk.batch(), units) && units > 0;
  if (!fits) return decline();
  if (type == Type::F32) return gru_forward<float>(walk, inputs, h0, w, bias);
  return type == Type::F64 ? gru_forward<double>(walk, inputs, h0, w, bias) : decline();
}

template <class T>
PyObject* gru_backward(const Walk& walk, const Array& gy, const Array& gh, const Array& gates, const Array& held, const Array& w) {
  const int64_t batch = walk.batch(), units = held.shape[1];
  PyObject* ginput = matrix(walk.rows, 3 * units, gates.type);
  PyObject* gshare = ginput ? matrix(walk.rows, 3 * units, gates.type) : nullptr;
  PyObject* h = gshare ? carried_state(gh, batch, units, gates.type) : nullptr;
  if (h) {
    T *const pi = data_of<T>(ginput), *const ps = data_of<T>(gshare), *const ph = data_of<T>(h);
    const ReleaseGil released(work_of(walk, w));
    const Panels<T> panels(w.as<T>(), 3 * units, units);
    constexpr int64_t L = lanes<T>;
    auto body = [&](int64_t back, int64_t from, int64_t to, int64_t first, int64_t last) {
      const Step step = walk.step[walk.count - 1 - back];
      for (int64_t sequence = from; sequence < std::min(to, step.size); sequence++) {
        const int64_t row = step.start + sequence;
        for (int64_t unit = first * L; unit < std::min(last * L, units); unit += L) {
          const int64_t n = std::min(L, units - unit), at = row * 3 * units + unit;
          const T* const gate = gates.as<T>() + row * 4 * units + unit;
          T* const at_h = ph + sequence * units + unit;
          const Vec<T> r = load_first(gate, n), z = load_first(gate + units, n), fresh = load_first(gate + 2 * units, n);
          const Vec<T> candidate = load_first(gate + 3 * units, n);
          Vec<T> arrived = load_first(at_h, n);
          if (gy.object) arrived += load_first(gy.as<T>() + row * units + unit, n);
          const Vec<T> to_fresh = arrived * (T(1) - z) * (T(1) - fresh * fresh);
          const Vec<T> to_r = to_fresh * candidate * r * (T(1) - r);
          const Vec<T> to_z = arrived * (load_first(held.as<T>() + row * units + unit, n) - fresh) * z * (T(1) - z);
          for (T* const target : {pi + at, ps + at}) {
            store_first(target, to_r, n);
            store_first(target + units, to_z, n);
          }
          store_first(pi + at + 2 * units, to_fresh, n);
          store_first(ps + at + 2 * units, Vec<T>(to_fresh * r), n);
          store_first(at_h, Vec<T>(arrived * z), n);
        }
      }
    };
    auto finish = [&](int64_t back, int64_t from, int64_t to, int64_t first, int64_t last) {
      const Step step = walk.step[walk.count - 1 - back];
      panels.carry(ps + step.start * 3 * units, ph, from, std::min(to, step.size), first, last, true);
    };
    in_parallel(walk.count, batch, (units + L - 1) / L, panels.count, work_of(walk, w), body, finish);
  }
  return results(ginput, gshare, h);
}

// (gy, gh, gates, before, w_hh, batch_sizes, reverse) -> gradients of (given, h @ w_hh.T + b_hh, h0)
PyObject* gru_steps_backward(PyObject* const* args) {
  Array gy, gh, gates, held, w;
  Walk walk;
  if (!gates.read(args[2]) || !held.read(args[3]) || !w.read(args[4]) || !walk.read(args[5], args[6])) return decline();
  const int64_t units = w.ndim == 2 ? w.shape[1] : 0;
  const Type type = gates.type;
  const bool fits = is_matrix(gates, type, walk.rows, 4 * units) && is_matrix(held, type, walk.rows, units) && is_matrix(w, type, 3 * units, units) &&
                    read_optional(args[0], gy, type, walk.rows, units) && read_optional(args[1], gh, type, walk.batch(), units) && units > 0;
  if (!fits) return decline();
  if (type == Type::F32) return gru_backward<float>(walk, gy, gh, gates, held, w);
  return type == Type::F64 ? gru_backward<double>(walk, gy, gh, gates, held, w) : decline();
}

// The plain layer.

template <class T, bool Relu>
PyObject* rnn_forward(const Walk& walk, const Array& sums, const Array& h0, const Array& w) {
  const int64_t batch = walk.batch(), units = h0.shape[1];
  PyObject* h = matrix(batch, units, sums.type);
  if (h) {
    T *const y = sums.as<T>(), *const ph = data_of<T>(h);
    const ReleaseGil released(work_of(walk, w));
    const Blocks<T, 1> blocks(w.as<T>(), units, units);
    auto body = [&](int64_t t, int64_t from, int64_t to, int64_t first, int64_t last) {
      auto touch = [&](int64_t row, int64_t unit) {
        for (int64_t at = unit; at < std::min(units, unit + blocks.units_each); at += lanes<T>) __builtin_prefetch(y + row * units + at, 1);
      };
      forward_step<1>(blocks, y, h0.as<T>(), walk.step[t], walk.before(t), from, to, first, last, touch, [&](int64_t row, int64_t, int64_t unit, int64_t n, const T* sum) {
        T* const at = y + row * units + unit;
        const Vec<T> total = load_first(at, n) + load(sum);
        if constexpr (Relu)
          store_first(at, select(total < Vec<T>{}, Vec<T>{}, total), n);  // NaN stays
        else
          store_first(at, tanh(total), n);
      });
    };
    in_parallel(walk.count, batch, blocks.count, 0, work_of(walk, w), body, body);
    for (int64_t t = 0; t < walk.count; t++) keep_last(static_cast<const T*>(y), ph, walk.step[t], walk.after(t), 0, batch, units);
  }
  return results(Py_NewRef(reinterpret_cast<PyObject*>(sums.object)), h);
}

// (sums, h0, w_hh, relu, batch_sizes, reverse) -> (y, hT)
PyObject* rnn_steps(PyObject* const* args) {
  Array sums, h0, w;
  Walk walk;
  bool relu;
  if (!sums.read(args[0]) || !h0.read(args[1]) || !w.read(args[2]) || !read_bool(args[3], relu) || !walk.read(args[4], args[5])) return decline();
  const int64_t units = w.ndim == 2 ? w.shape[1] : 0;
  const bool fits = is_matrix(sums, sums.type, walk.rows, units) && sums.writeable() && is_matrix(w, sums.type, units, units) &&
                    is_matrix(h0, sums.type, walk.batch(), units) && units > 0;
  if (!fits) return decline();
  if (sums.type == Type::F32) return relu ? rnn_forward<float, true>(walk, sums, h0, w) : rnn_forward<float, false>(walk, sums, h0, w);
  if (sums.type == Type::F64) return relu ? rnn_forward<double, true>(walk, sums, h0, w) : rnn_forward<double, false>(walk, sums, h0, w);
  return decline();
}

template <class T>
PyObject* rnn_backward(const Walk& walk, const Array& gy, const Array& gh, const Array& y, const Array& w, bool relu) {
  const int64_t batch = walk.batch(), units = w.shape[1];
  PyObject* gsums = matrix(walk.rows, units, y.type);
  PyObject* h = gsums ? carried_state(gh, batch, units, y.type) : nullptr;
  if (h) {
    T *const pg = data_of<T>(gsums), *const ph = data_of<T>(h);
    const ReleaseGil released(work_of(walk, w));
    const Panels<T> panels(w.as<T>(), units, units);
    constexpr int64_t L = lanes<T>;
    auto body = [&](int64_t back, int64_t from, int64_t to, int64_t first, int64_t last) {
      const Step step = walk.step[walk.count - 1 - back];
      for (int64_t sequence = from; sequence < std::min(to, step.size); sequence++) {
        for (int64_t unit = first * L; unit < std::min(last * L, units); unit += L) {
          const int64_t n = std::min(L, units - unit), at = (step.start + sequence) * units + unit;
          Vec<T> arrived = load_first(ph + sequence * units + unit, n);
          if (gy.object) arrived += load_first(gy.as<T>() + at, n);
          const Vec<T> out = load_first(y.as<T>() + at, n);
          const Vec<T> slope = relu ? select(out > Vec<T>{}, splat(T(1)), Vec<T>{}) : Vec<T>(T(1) - out * out);
          store_first(pg + at, Vec<T>(arrived * slope), n);
        }
      }
    };
    auto finish = [&](int64_t back, int64_t from, int64_t to, int64_t first, int64_t last) {
      const Step step = walk.step[walk.count - 1 - back];
      panels.carry(pg + step.start * units, ph, from, std::min(to, step.size), first, last, false);
    };
    in_parallel(walk.count, batch, (units + L - 1) / L, panels.count, work_of(walk, w), body, finish);
  }
  return results(gsums, h);
}

// (gy, gh, y, w_hh, relu, batch_sizes, reverse) -> gradients of (sums, h0)
PyObject* rnn_steps_backward(PyObject* const* args) {
  Array gy, gh, y, w;
  Walk walk;
  bool relu;
  if (!y.read(args[2]) || !w.read(args[3]) || !read_bool(args[4], relu) || !walk.read(args[5], args[6])) return decline();
  const int64_t units = w.ndim == 2 ? w.shape[1] : 0;
  const bool fits = is_matrix(y, y.type, walk.rows, units) && is_matrix(w, y.type, units, units) && units > 0 &&
                    read_optional(args[0], gy, y.type, walk.rows, units) && read_optional(args[1], gh, y.type, walk.batch(), units);
  if (!fits) return decline();
  if (y.type == Type::F32) return rnn_backward<float>(walk, gy, gh, y, w, relu);
  return y.type == Type::F64 ? rnn_backward<double>(walk, gy, gh, y, w, relu) : decline();
}

const Family family("recurrent", {
                                     {"lstm_steps", "sums h0 c0 w_hh w_hr batch_sizes reverse", lstm_steps},
                                     {"lstm_steps_backward", "gy gh gc gates cells c0 w_hh w_hr batch_sizes reverse", lstm_steps_backward},
                                     {"gru_steps", "given h0 w_hh b_hh batch_sizes reverse", gru_steps},
                                     {"gru_steps_backward", "gy gh gates before w_hh batch_sizes reverse", gru_steps_backward},
                                     {"rnn_steps", "sums h0 w_hh relu batch_sizes reverse", rnn_steps},
                                     {"rnn_steps_backward", "gy gh y w_hh relu batch_sizes reverse", rnn_steps_backward},
                                 });

}  // namespace
}  // namespace rushlight
