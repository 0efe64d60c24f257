// Optimizer steps: SGD, Adam (AdamW, AMSGrad), RMSprop and Adagrad, for all parameters in one call, in place.
//
// Lists of float32 or float64 arrays that belong together by position; every element is read and written once, at the
// speed of memory. A step over sixty small parameters takes a few microseconds. The order of the operations is that of
// the reference; products that are added are rounded once instead of twice.
#include "lists.h"
#include "math.h"
#include "rows.h"

namespace rushlight {
namespace {

// What every step begins with: the gradient of what is to fall, with the penalty's added.
struct Descent {
  double lr = 0, weight_decay = 0;
  bool maximize = false;

  template <class T>
  Vec<T> direction(Vec<T> p, Vec<T> g) const {
    if (maximize) g = -g;
    if (weight_decay != 0) g = g + p * T(weight_decay);
    return g;
  }
};

// `a` moved towards `b` by `weight`, from whichever end is nearer.
template <class T>
inline Vec<T> lerp(Vec<T> a, Vec<T> b, double weight) {
  const Vec<T> way = b - a;
  if (weight < 0.5 && weight > -0.5) return a + way * T(weight);
  return b - way * T(1 - weight);
}

template <class T>
inline Vec<T> decayed_squares(Vec<T> average, Vec<T> g, double beta) {
  return average * T(beta) + (g * T(1 - beta)) * g;
}

// Runs a step over the lists: `step.template row<T>(member, at, count)` on parts of members.
template <class Step>
PyObject* run_step(const Lists& lists, int used, const Step& step) {
  if (lists.lane() == Type::F32)
    lists.each<float>(used, [&](const Member& m, float* const* at, int64_t, int64_t count) { step.template row<float>(m, at, count); });
  else
    lists.each<double>(used, [&](const Member& m, double* const* at, int64_t, int64_t count) { step.template row<double>(m, at, count); });
  Py_RETURN_NONE;
}

// A setting that may be left out.
bool read_setting(PyObject* value, double& found) { return !value || read_double(value, found); }
bool read_setting(PyObject* value, bool& found) { return !value || read_bool(value, found); }

// Number i of a list of `count` numbers.
bool read_number(PyObject* list, int64_t i, int64_t count, double& found) {
  if (!list || !(PyList_CheckExact(list) || PyTuple_CheckExact(list)) || PySequence_Fast_GET_SIZE(list) != count) return false;
  return read_double(PySequence_Fast_GET_ITEM(list, i), found);
}

// ---- SGD ----

constexpr double is_fresh = 1;

struct Sgd : Descent {
  double momentum = 0, dampening = 0;
  bool nesterov = false;

  template <class T>
  void row(const Member& member, T* const* at, int64_t count) const {
    T* const p = at[0];
    if (momentum == 0) {
      const T* const g = at[1];
      each_vector<T>(count, [&](int64_t i, auto n) {
        const Vec<T> x = load<T>(p + i, n);
        store<T>(p + i, x + direction<T>(x, load<T>(g + i, n)) * T(-lr), n);
      });
      return;
    }
    T* const velocity = at[1];
    const T* const g = at[2];
    const bool fresh = member.numbers[0] == is_fresh;
    each_vector<T>(count, [&](int64_t i, auto n) {
      const Vec<T> x = load<T>(p + i, n), down = direction<T>(x, load<T>(g + i, n));
      const Vec<T> v = fresh ? down : load<T>(velocity + i, n) * T(momentum) + down * T(1 - dampening);
      store<T>(velocity + i, v, n);
      store<T>(p + i, x + (nesterov ? down + v * T(momentum) : v) * T(-lr), n);
    });
  }
};

// "params grads momentum_buffers lr momentum dampening weight_decay nesterov maximize"
PyObject* sgd_step(PyObject* const* args) {
  Sgd step;
  if (!read_double(args[3], step.lr) || !read_setting(args[4], step.momentum) || !read_setting(args[5], step.dampening) ||
      !read_setting(args[6], step.weight_decay) || !read_setting(args[7], step.nesterov) || !read_setting(args[8], step.maximize))
    return decline();
  Lists lists;
  if (step.momentum == 0) {
    PyObject* const read[] = {args[0], args[1]};
    return lists.read(read, 2, 1, 1) ? run_step(lists, 2, step) : decline();
  }
  PyObject* const buffers = args[2];
  PyObject* const read[] = {args[0], buffers, args[1]};
  if (!buffers || !PyList_CheckExact(buffers) || !lists.read(read, 3, 2, 2, 1)) return decline();
  for (int64_t i = 0; i < lists.members; i++) {
    PyObject* const made = lists[i].made;
    lists[i].numbers[0] = made ? is_fresh : 0;
    if (made && PyList_SetItem(buffers, i, Py_NewRef(made)) < 0) return nullptr;
  }
  return run_step(lists, 3, step);
}

// ---- Adam ----

struct Adam : Descent {
  double beta1 = 0, beta2 = 0, eps = 0;
  bool amsgrad = false, decoupled = false;

  // numbers: the step's size, and what the root of the squares is multiplied by.
  template <class T>
  void row(const Member& member, T* const* at, int64_t count) const {
    T *const p = at[0], *const mean = at[1], *const square = at[2], *const greatest = at[3];
    const T* const g = at[amsgrad ? 4 : 3];
    const T kept = decoupled ? T(1 - lr * weight_decay) : T(1), size = T(-member.numbers[0]), unbias = T(member.numbers[1]);
    Descent plain = *this;
    if (decoupled) plain.weight_decay = 0;
    each_vector<T>(count, [&](int64_t i, auto n) {
      const Vec<T> x = load<T>(p + i, n) * kept, down = plain.direction<T>(x, load<T>(g + i, n));
      const Vec<T> m = lerp<T>(load<T>(mean + i, n), down, 1 - beta1);
      const Vec<T> v = decayed_squares<T>(load<T>(square + i, n), down, beta2);
      store<T>(mean + i, m, n);
      store<T>(square + i, v, n);
      Vec<T> top = v;
      if (amsgrad) {
        top = maximum(load<T>(greatest + i, n), v);
        store<T>(greatest + i, top, n);
      }
      store<T>(p + i, x + m * size / (sqrt(top) * unbias + T(eps)), n);
    });
  }
};

// "params grads exp_avgs exp_avg_sqs max_exp_avg_sqs steps lr beta1 beta2 eps weight_decay amsgrad maximize decoupled_weight_decay"
PyObject* adam_step(PyObject* const* args) {
  Adam step;
  if (!read_double(args[6], step.lr) || !read_double(args[7], step.beta1) || !read_double(args[8], step.beta2) ||
      !read_double(args[9], step.eps) || !read_setting(args[10], step.weight_decay) || !read_setting(args[11], step.amsgrad) ||
      !read_setting(args[12], step.maximize) || !read_setting(args[13], step.decoupled))
    return decline();
  PyObject* const read[] = {args[0], args[2], args[3], step.amsgrad ? args[4] : args[1], args[1]};
  const int count = step.amsgrad ? 5 : 4;
  Lists lists;
  if (!lists.read(read, count, count - 1, count - 1)) return decline();
  double before = -1;
  for (int64_t i = 0; i < lists.members; i++) {
    double number;
    if (!read_number(args[5], i, lists.members, number)) return decline();
    double(&numbers)[2] = lists[i].numbers;
    if (number == before) {
      std::copy_n(lists[i - 1].numbers, 2, numbers);
    } else {
      numbers[0] = step.lr / (1 - std::pow(step.beta1, number));
      numbers[1] = 1 / std::sqrt(1 - std::pow(step.beta2, number));
    }
    before = number;
  }
  return run_step(lists, count, step);
}

// ---- RMSprop ----

struct Rmsprop : Descent {
  double alpha = 0, eps = 0, momentum = 0;
  bool centered = false;

  template <class T>
  void row(const Member&, T* const* at, int64_t count) const {
    T *const p = at[0], *const square = at[1], *const mean = at[2], *const velocity = at[centered ? 3 : 2];
    const T* const g = at[2 + (centered ? 1 : 0) + (momentum > 0 ? 1 : 0)];
    each_vector<T>(count, [&](int64_t i, auto n) {
      const Vec<T> x = load<T>(p + i, n), down = direction<T>(x, load<T>(g + i, n));
      Vec<T> v = decayed_squares<T>(load<T>(square + i, n), down, alpha);
      store<T>(square + i, v, n);
      if (centered) {
        const Vec<T> m = lerp<T>(load<T>(mean + i, n), down, 1 - alpha);
        store<T>(mean + i, m, n);
        v = v - m * m;
        v = select(v < T(0), Vec<T>{}, v);  // a variance: rounding must not make it negative
      }
      const Vec<T> root = sqrt(v) + T(eps);
      if (momentum > 0) {
        const Vec<T> speed = load<T>(velocity + i, n) * T(momentum) + down / root;
        store<T>(velocity + i, speed, n);
        store<T>(p + i, x + speed * T(-lr), n);
      } else {
        store<T>(p + i, x + down * T(-lr) / root, n);
      }
    });
  }
};

// "params grads square_avgs grad_avgs momentum_buffers lr alpha eps weight_decay momentum centered maximize"
PyObject* rmsprop_step(PyObject* const* args) {
  Rmsprop step;
  if (!read_double(args[5], step.lr) || !read_double(args[6], step.alpha) || !read_double(args[7], step.eps) ||
      !read_setting(args[8], step.weight_decay) || !read_setting(args[9], step.momentum) || !read_setting(args[10], step.centered) ||
      !read_setting(args[11], step.maximize))
    return decline();
  PyObject* read[max_members] = {args[0], args[2]};
  int count = 2;
  if (step.centered) read[count++] = args[3];
  if (step.momentum > 0) read[count++] = args[4];
  read[count++] = args[1];
  Lists lists;
  return lists.read(read, count, count - 1, count - 1) ? run_step(lists, count, step) : decline();
}

// ---- Adagrad ----

struct Adagrad : Descent {
  double eps = 1e-10;

  // numbers: minus the learning rate, decayed.
  template <class T>
  void row(const Member& member, T* const* at, int64_t count) const {
    T *const p = at[0], *const sum = at[1];
    const T* const g = at[2];
    const T rate = T(member.numbers[0]);
    each_vector<T>(count, [&](int64_t i, auto n) {
      const Vec<T> x = load<T>(p + i, n), down = direction<T>(x, load<T>(g + i, n));
      const Vec<T> s = load<T>(sum + i, n) + down * down;
      store<T>(sum + i, s, n);
      store<T>(p + i, x + down * rate / (sqrt(s) + T(eps)), n);
    });
  }
};

// "params grads state_sums steps lr lr_decay eps weight_decay maximize"
PyObject* adagrad_step(PyObject* const* args) {
  Adagrad step;
  double decay = 0;
  if (!read_double(args[4], step.lr) || !read_setting(args[5], decay) || !read_setting(args[6], step.eps) ||
      !read_setting(args[7], step.weight_decay) || !read_setting(args[8], step.maximize))
    return decline();
  PyObject* const read[] = {args[0], args[2], args[1]};
  Lists lists;
  if (!lists.read(read, 3, 2, 2)) return decline();
  for (int64_t i = 0; i < lists.members; i++) {
    double number;
    if (!read_number(args[3], i, lists.members, number)) return decline();
    lists[i].numbers[0] = -step.lr / (1 + (number - 1) * decay);
  }
  return run_step(lists, 3, step);
}

// ---- counters ----

// Counts the step in every counter, a zero-dim float array; the list of their new values. "counters"
PyObject* count_up(PyObject* const* args) {
  PyObject* const counters = args[0];
  if (!counters || !(PyList_CheckExact(counters) || PyTuple_CheckExact(counters))) return decline();
  const Py_ssize_t count = PySequence_Fast_GET_SIZE(counters);
  for (Py_ssize_t i = 0; i < count; i++) {
    Array counter;
    if (!counter.read(PySequence_Fast_GET_ITEM(counters, i)) || counter.size() != 1 || !counter.writeable()) return decline();
    if (!plain_float(counter.type)) return decline();
  }
  PyObject* const found = PyList_New(count);
  for (Py_ssize_t i = 0; found && i < count; i++) {
    const Array counter = view_of(PySequence_Fast_GET_ITEM(counters, i));
    const double value = counter.type == Type::F32 ? *counter.as<float>() += 1 : *counter.as<double>() += 1;
    PyObject* const number = PyFloat_FromDouble(value);
    if (!number) {
      Py_DECREF(found);
      return nullptr;
    }
    PyList_SET_ITEM(found, i, number);
  }
  return found;
}

const Family family("optim", {
                                 {"sgd_step", "params grads momentum_buffers lr momentum dampening weight_decay nesterov maximize", sgd_step},
                                 {"adam_step",
                                  "params grads exp_avgs exp_avg_sqs max_exp_avg_sqs steps lr beta1 beta2 eps weight_decay amsgrad maximize "
                                  "decoupled_weight_decay",
                                  adam_step},
                                 {"rmsprop_step",
                                  "params grads square_avgs grad_avgs momentum_buffers lr alpha eps weight_decay momentum centered maximize",
                                  rmsprop_step},
                                 {"adagrad_step", "params grads state_sums steps lr lr_decay eps weight_decay maximize", adagrad_step},
                                 {"count_up", "counters", count_up},
                             });

}  // namespace
}  // namespace rushlight
