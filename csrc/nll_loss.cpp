// The negative log-likelihood and cross entropy, with their gradients.
//
// Scores are [N, C, *inner] row-major, targets [N, *inner] class numbers. Cross entropy is taken from logits [N, C] directly:
// log-softmax row by row, then the loss from one place of each; backward softmax minus one, in one pass. So large arrays are
// read and written once in either direction. Sums of losses are kept in double.
#include "softmax.h"

#include "relayout.h"

namespace rushlight {
namespace {

// ---- negative log-likelihood ----

enum class Reduce { None, Sum, Mean };

bool read_reduction(PyObject* value, Reduce& found) {
  if (!value || !PyUnicode_Check(value)) return false;
  auto is = [&](const char* name) { return PyUnicode_CompareWithASCIIString(value, name) == 0; };
  found = is("none") ? Reduce::None : is("sum") ? Reduce::Sum : Reduce::Mean;
  return found != Reduce::Mean || is("mean");
}

// Targets [N, *inner] of scores [N, C, *inner], and what each counts.
template <class T>
struct Targets {
  const int64_t* index;
  const T* weight;  // null: every class counts 1
  int64_t images, classes, inner, ignored;

  int64_t count() const { return images * inner; }
  // Every target is a class or ignored.
  bool good() const {
    bool all = true;
    for (int64_t i = 0; i < count(); i++) all &= (index[i] == ignored) | (uint64_t(index[i]) < uint64_t(classes));
    return all;
  }
  T counts(int64_t i) const { return index[i] == ignored ? T(0) : weight ? weight[index[i]] : T(1); }
  // Where the score of target i lies.
  int64_t place(int64_t i) const { return (i / inner * classes + index[i]) * inner + i % inner; }
};

// False where the reference should look: other dtypes and layouts, a target out of range.
template <class T>
bool read_targets(Targets<T>& t, int ndim, const npy_intp* shape, PyObject* target, PyObject* weight, PyObject* ignored, Array& holder) {
  if (ndim < 2 || !holder.read(target) || holder.type != Type::I64 || !holder.contiguous() || holder.ndim != ndim - 1) return false;
  t.images = shape[0];
  t.classes = shape[1];
  t.inner = 1;
  for (int i = 2; i < ndim; i++) t.inner *= shape[i];
  if (holder.shape[0] != t.images || !std::equal(shape + 2, shape + ndim, holder.shape + 1) || !read_int(ignored, t.ignored)) return false;
  t.index = holder.as<const int64_t>();
  t.weight = nullptr;
  if (given(weight)) {
    Array w;
    if (!w.read(weight) || w.type != type_of<T> || w.ndim != 1 || !w.contiguous() || w.shape[0] != t.classes) return false;
    t.weight = w.as<const T>();
  }
  return t.good();
}

PyObject* number(double value, Type type) {
  PyObject* array = new_array(0, nullptr, type);
  if (array) type == Type::F32 ? void(*view_of(array).as<float>() = float(value)) : void(*view_of(array).as<double>() = value);
  return array;
}

// (loss, total weight) of log-probabilities at `logp`.
template <class T>
bool reduce_loss(const Targets<T>& t, const T* logp, Reduce reduction, const Array& target, Owned& loss, Owned& total) {
  auto each = [&](int64_t i) {
    const T counts = t.counts(i);
    return counts == 0 ? T(0) : -(logp[t.place(i)] * counts);
  };
  if (reduction == Reduce::None) {
    loss = Owned(new_array(target.ndim, target.shape, type_of<T>));
    total = Owned(number(0, type_of<T>));
    if (!loss || !total) return false;
    T* losses = view_of(loss.get()).as<T>();
    for (int64_t i = 0; i < t.count(); i++) losses[i] = each(i);
    return true;
  }
  double sum = 0, weights = 0;
  for (int64_t i = 0; i < t.count(); i++) {
    sum += double(each(i));
    weights += double(t.counts(i));
  }
  loss = Owned(number(reduction == Reduce::Mean ? sum / weights : sum, type_of<T>));
  total = Owned(number(weights, type_of<T>));
  return loss && total;
}

template <class T>
PyObject* run_nll_loss(const Array& logp, PyObject* const* args, Reduce reduction) {
  Targets<T> t;
  Array target;
  if (!read_targets(t, logp.ndim, logp.shape, args[1], args[2], args[3], target)) return decline();
  Owned loss, total;
  if (!reduce_loss(t, logp.as<const T>(), reduction, target, loss, total)) return nullptr;
  return tuple_of(loss, total);
}

PyObject* nll_loss(PyObject* const* args) {
  Array logp;
  Reduce reduction;
  if (!logp.read(args[0]) || !plain_float(logp.type) || !logp.contiguous() || !read_reduction(args[4], reduction)) return decline();
  return logp.type == Type::F32 ? run_nll_loss<float>(logp, args, reduction) : run_nll_loss<double>(logp, args, reduction);
}

// The cotangent of each loss, from that of the reduced one and the total weight.
template <class T>
struct LossCotangent {
  const T* g;
  T factor;    // what a reduced loss passes to every target
  bool whole;  // g has a number for every target

  bool read(PyObject* value, PyObject* total, const Array& target, Reduce reduction) {
    Array cotangent, weights;
    if (!cotangent.read(value) || cotangent.type != type_of<T> || !weights.read(total) || weights.type != type_of<T> || weights.ndim != 0)
      return false;
    whole = reduction == Reduce::None;
    if (whole ? !cotangent.same_shape(target) || !cotangent.contiguous() : cotangent.ndim != 0) return false;
    g = cotangent.as<const T>();
    factor = whole ? T(0) : reduction == Reduce::Mean ? *g / *weights.as<const T>() : *g;
    return true;
  }
  T operator()(int64_t i) const { return whole ? g[i] : factor; }
};

template <class T>
PyObject* run_nll_backward(PyObject* const* args, int ndim, const npy_intp* shape, Reduce reduction) {
  Targets<T> t;
  LossCotangent<T> cotangent;
  Array target;
  if (!read_targets(t, ndim, shape, args[2], args[3], args[4], target) || !cotangent.read(args[0], args[6], target, reduction)) return decline();
  Owned made(new_array(ndim, shape, type_of<T>));
  if (!made) return nullptr;
  T* gx = view_of(made.get()).as<T>();
  const int64_t image = t.classes * t.inner;
  const ReleaseGil released(t.images * image);
  share(t.images, image, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; n++) std::fill_n(gx + n * image, image, T(0));
  });
  for (int64_t i = 0; i < t.count(); i++) {
    const T counts = t.counts(i);
    if (counts != 0) gx[t.place(i)] = -(counts * cotangent(i));
  }
  return made.give();
}

PyObject* nll_loss_backward(PyObject* const* args) {
  Array g;
  int64_t sizes[max_dims];
  npy_intp shape[max_dims];
  int ndim;
  Reduce reduction;
  if (!g.read(args[0]) || !plain_float(g.type) || !read_ints(args[1], sizes, ndim) || !read_reduction(args[5], reduction)) return decline();
  std::copy(sizes, sizes + ndim, shape);
  return g.type == Type::F32 ? run_nll_backward<float>(args, ndim, shape, reduction) : run_nll_backward<double>(args, ndim, shape, reduction);
}

// ---- cross entropy ----

template <class T>
PyObject* run_cross_entropy(const Array& x, PyObject* const* args, Reduce reduction) {
  Targets<T> t;
  Array target;
  if (!read_targets(t, x.ndim, x.shape, args[1], args[2], args[3], target)) return decline();
  Owned logp(new_array(x.ndim, x.shape, x.type)), loss, total;
  if (!logp) return nullptr;
  T* y = view_of(logp.get()).as<T>();
  {
    const ReleaseGil released(4 * x.size());
    Along a;
    a.outer = t.images;
    a.n = t.classes;
    log_softmax(a, y, x.as<const T>());
  }
  if (!reduce_loss(t, static_cast<const T*>(y), reduction, target, loss, total)) return nullptr;
  return tuple_of(loss, total, logp);
}

PyObject* cross_entropy(PyObject* const* args) {
  Array x;
  Reduce reduction;
  if (!x.read(args[0]) || !plain_float(x.type) || x.ndim != 2 || x.size() == 0 || !read_reduction(args[4], reduction)) return decline();
  Owned held;
  if (!x.contiguous()) {
    const Array source = x;
    if (!(held = relaid(source, nullptr, x))) return nullptr;
  }
  return x.type == Type::F32 ? run_cross_entropy<float>(x, args, reduction) : run_cross_entropy<double>(x, args, reduction);
}

template <class T>
PyObject* run_cross_entropy_backward(const Array& logp, PyObject* const* args, Reduce reduction) {
  Targets<T> t;
  LossCotangent<T> cotangent;
  Array target;
  if (!read_targets(t, 2, logp.shape, args[2], args[3], args[4], target) || !cotangent.read(args[0], args[6], target, reduction)) return decline();
  Owned made(new_array(2, logp.shape, type_of<T>));
  if (!made) return nullptr;
  T* gx = view_of(made.get()).as<T>();
  const T* y = logp.as<const T>();
  const ReleaseGil released(4 * logp.size());
  share(t.images, t.classes, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const T counts = t.counts(row), share = counts == 0 ? T(0) : counts * cotangent(row);
      const Vec<T> shares = splat(share);
      T* own = gx + row * t.classes;
      const T* source = y + row * t.classes;
      each_place<T>(t.classes, [&](int64_t i, int64_t some) { store_some(own + i, Vec<T>(exp(load_some(source + i, some)) * shares), some); });
      if (share != 0) own[t.index[row]] -= share;
    }
  });
  return made.give();
}

PyObject* cross_entropy_backward(PyObject* const* args) {
  Array logp;
  Reduce reduction;
  if (!logp.read(args[1]) || !plain_float(logp.type) || logp.ndim != 2 || !logp.contiguous() || logp.size() == 0) return decline();
  if (!read_reduction(args[5], reduction)) return decline();
  return logp.type == Type::F32 ? run_cross_entropy_backward<float>(logp, args, reduction)
                                : run_cross_entropy_backward<double>(logp, args, reduction);
}

const Family family("nll_loss", {
                                    {"nll_loss", "logp target weight ignore_index reduction", nll_loss},
                                    {"nll_loss_backward", "g input_shape target weight ignore_index reduction total_weight", nll_loss_backward},
                                    {"cross_entropy", "x target weight ignore_index reduction", cross_entropy},
                                    {"cross_entropy_backward", "g logp target weight ignore_index reduction total_weight", cross_entropy_backward},
                                });

}  // namespace
}  // namespace rushlight
