// Recurrent layers, all time steps of one direction, forward and backward: LSTM, GRU, tanh and relu.
//
// The caller has multiplied the input with its weights for all steps at once; here is what must be done step by step:
// h @ w_hh.T and the gates, which go to memory activated (recurrent.h says how). With 128 to 512 units, activations included,
// a step reaches 60 to 80% of the rate of a large matrix product on the same core.
#include "recurrent.h"

#include "math.h"

namespace rushlight {
namespace {

using namespace recurrent;

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

// (y, first, batch_sizes, reverse) -> for every row of y the state its step started from
PyObject* states_before(PyObject* const* args) {
  Array y, first;
  Walk walk;
  if (!y.read(args[0]) || !first.read(args[1]) || !walk.read(args[2], args[3])) return decline();
  const int64_t width = y.ndim == 2 ? y.shape[1] : 0, bytes = width * y.itemsize();
  if (!is_matrix(y, y.type, walk.rows, width) || !is_matrix(first, y.type, walk.batch(), width)) return decline();
  PyObject* made = matrix(walk.rows, width, y.type);
  if (!made || bytes * walk.rows == 0) return made;
  char* const to = view_of(made).data;
  const ReleaseGil released(walk.rows * width / 4);
  parallel_range(walk.count, std::max<int64_t>(1, (64 << 10) / (bytes * walk.batch())), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      const Step step = walk.step[t], before = walk.before(t);
      const int64_t known = std::min(step.size, before.size);
      std::memcpy(to + step.start * bytes, y.data + before.start * bytes, size_t(known * bytes));
      std::memcpy(to + (step.start + known) * bytes, first.data + known * bytes, size_t((step.size - known) * bytes));
    }
  });
  return made;
}

const Family family("recurrent", {
                                     {"lstm_steps", "sums h0 c0 w_hh w_hr batch_sizes reverse", lstm_steps},
                                     {"lstm_steps_backward", "gy gh gc gates cells c0 w_hh w_hr batch_sizes reverse", lstm_steps_backward},
                                     {"gru_steps", "given h0 w_hh b_hh batch_sizes reverse", gru_steps},
                                     {"gru_steps_backward", "gy gh gates before w_hh batch_sizes reverse", gru_steps_backward},
                                     {"states_before", "y first batch_sizes reverse", states_before},
                                     {"rnn_steps", "sums h0 w_hh relu batch_sizes reverse", rnn_steps},
                                     {"rnn_steps_backward", "gy gh y w_hh relu batch_sizes reverse", rnn_steps_backward},
                                 });

}  // namespace
}  // namespace rushlight
