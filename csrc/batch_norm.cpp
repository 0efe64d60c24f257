// Batch normalisation of [N, C, *spatial]: every channel standardised by its own or by given statistics, and the gradient.
//
// Memory is seen in one of three ways:
//   by plane    row-major with large maps: a channel is N runs of memory. One thread takes a channel through all passes, so
//               that all but the first find it in cache.
//   by column   row-major with small maps: a matrix [N, C * spatial] several of whose columns belong to a channel.
//   by row      channels innermost (hidden layouts, channels_last, [N, C]): a matrix [N * spatial, C].
// Statistics take one pass (moments.h). Layouts are kept: the result lies in memory as x does and is hidden if x was. Both
// directions run at the speed of memory: 2 passes over a large array forward (read, read and write), 5 backward. The gradient
// takes that of a ReLU or clamp behind it along: two more passes, instead of four and an array in between.
#include "iterate.h"
#include "kernel.h"
#include "normalise.h"
#include "owned.h"
#include "relayout.h"

namespace rushlight {
namespace {

constexpr int64_t small_map = 16;       // maps up to this size are seen by column
constexpr int64_t medium_map = 64;      // ... up to this one in batches of
constexpr int64_t many_images = 4;      // this many images
constexpr int64_t column_group = 1024;  // columns that are one block of work
constexpr int64_t most_chunks = 64;     // pieces that rows are cut into for their statistics

enum class Order { Plane, Column, Row };

struct Activations {
  Order order = Order::Plane;
  int64_t images = 0, channels = 0, length = 1;  // length: elements of a map

  bool read(const Array& x) {
    if (x.ndim < 2 || x.size() == 0) return false;
    images = x.shape[0];
    channels = x.shape[1];
    for (int i = 2; i < x.ndim; i++) length *= x.shape[i];
    if (x.contiguous()) {
      if (length == 1)
        order = Order::Row;
      else if (length <= small_map || (length <= medium_map && images >= many_images))
        order = Order::Column;
      return true;
    }
    order = Order::Row;
    return x.channels_last();
  }
  int64_t count() const { return images * length; }  // elements of a channel
  int64_t size() const { return images * channels * length; }
  int64_t rows() const { return order == Order::Column ? images : images * length; }
  int64_t columns() const { return order == Order::Column ? channels * length : channels; }
  int64_t fold() const { return order == Order::Column ? length : 1; }  // columns of a channel
  // Channels that are one block of work by column.
  int64_t group() const { return std::max<int64_t>(1, column_group / length); }
  // Rows that are one chunk by row: multiples of a block, at least 32K elements, at most 64 chunks.
  int64_t chunk() const {
    const int64_t wanted = std::max((rows() + most_chunks - 1) / most_chunks, block_elements / columns());
    return (wanted + row_block - 1) / row_block * row_block;
  }
};

// The parameters of a channel as y = (x - mean) * scale + shift.
template <class T>
struct Affine {
  const T *weight, *bias;
  double eps;
  T *mean, *invstd, *variance;  // results by channel; variance may be null
  T *scale, *shift;             // by channel

  // Fills in `count` channels from `first` on, from exact means and variances, which are indexed from 0.
  void finish(int64_t first, int64_t count, const double* exact_mean, const double* exact_variance) const {
    // Through small local arrays, each loop with one result, so that the compiler sees vectors.
    constexpr int64_t piece = 64;
    double factor[piece], left[piece];
    for (int64_t begin = 0; begin < count; begin += piece) {
      const int64_t n = std::min(piece, count - begin), c = first + begin;
      const double *centre = exact_mean + begin, *spread = exact_variance + begin;
      for (int64_t i = 0; i < n; i++) factor[i] = 1 / std::sqrt(spread[i] + eps);
      for (int64_t i = 0; i < n; i++) invstd[c + i] = T(factor[i]);
      for (int64_t i = 0; i < n; i++) mean[c + i] = T(centre[i]);
      for (int64_t i = 0; variance && i < n; i++) variance[c + i] = T(spread[i]);
      for (int64_t i = 0; weight && i < n; i++) factor[i] *= double(weight[c + i]);
      for (int64_t i = 0; i < n; i++) left[i] = (double(mean[c + i]) - centre[i]) * factor[i];  // what rounding the mean left over
      for (int64_t i = 0; bias && i < n; i++) left[i] += double(bias[c + i]);
      for (int64_t i = 0; i < n; i++) scale[c + i] = T(factor[i]);
      for (int64_t i = 0; i < n; i++) shift[c + i] = T(left[i]);
    }
  }
};

// gx = (g - level - (x - mean) * slope) * scale along a run of one channel; g * scale where the statistics were given.
template <class T, class G>
void gradient_run(T* gx, G g, const T* x, int64_t count, bool training, T mean, T scale, T level, T slope) {
  constexpr int64_t L = lanes<T>;
  if (!training) {
    for (int64_t i = 0; i < count; i += L) {
      const int64_t some = std::min(L, count - i);
      store_some(gx + i, Vec<T>(g(i, some) * splat(scale)), some);
    }
    return;
  }
  const Vec<T> means = splat(mean), scales = splat(scale), levels = splat(level), slopes = splat(slope);
  for (int64_t i = 0; i < count; i += L) {
    const int64_t some = std::min(L, count - i);
    const Vec<T> d = load_some(x + i, some) - means;
    store_some(gx + i, Vec<T>((g(i, some) - levels - d * slopes) * scales), some);
  }
}

template <class T, class G>
void gradient_rows(T* gx, G g, const T* x, int64_t stride, int64_t rows, int64_t columns, bool training, const T* mean, const T* scale,
                   const T* level, const T* slope) {
  constexpr int64_t L = lanes<T>;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j += L) {
      const int64_t some = std::min(L, columns - j), at = i * stride + j;
      if (!training) {
        store_some(gx + at, Vec<T>(g(at, some) * load_some(scale + j, some)), some);
        continue;
      }
      const Vec<T> d = load_some(x + at, some) - load_some(mean + j, some);
      const Vec<T> rest = g(at, some) - load_some(level + j, some) - d * load_some(slope + j, some);
      store_some(gx + at, Vec<T>(rest * load_some(scale + j, some)), some);
    }
}

// Runs body(first row, end) over pieces of rows of about `block_elements` elements.
template <class Body>
void over_rows(const Activations& a, Body&& body) {
  if (a.size() <= block_elements) return body(int64_t(0), a.rows());
  parallel_range(a.rows(), std::max<int64_t>(1, block_elements / a.columns()), body);
}

template <class T>
void forward_by_plane(const Activations& a, const T* x, T* y, const Affine<T>& p) {
  auto channel = [&](int64_t c) {
    Moments moments;
    for (int64_t n = 0; n < a.images; n++) add_run(moments, x + (n * a.channels + c) * a.length, a.length);
    to_variances(&moments.m2, 1, moments.count);
    p.finish(c, 1, &moments.mean, &moments.m2);
    for (int64_t n = 0; n < a.images; n++) {
      const int64_t at = (n * a.channels + c) * a.length;
      affine_run(y + at, x + at, a.length, p.mean[c], p.scale[c], p.shift[c]);
    }
  };
  parallel_range(a.channels, std::max<int64_t>(1, serial_elements / a.count()), [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; c++) channel(c);
  });
}

template <class T>
void forward_by_column(const Activations& a, const T* x, T* y, const Affine<T>& p) {
  parallel_range(a.channels, a.group(), [&](int64_t begin, int64_t end) {
    const int64_t channels = end - begin, width = channels * a.length, at = begin * a.length;
    double* mean = scratch<double>(0, 2 * width);
    T* work = scratch<T>(1, 3 * width);
    column_moments(x + at, a.columns(), a.rows(), width, mean, mean + width, work);
    fold_moments(mean, mean + width, channels, a.length, double(a.rows()));
    to_variances(mean + width, channels, double(a.count()));
    p.finish(begin, channels, mean, mean + width);
    spread(work, p.mean + begin, channels, a.length);
    spread(work + width, p.scale + begin, channels, a.length);
    spread(work + 2 * width, p.shift + begin, channels, a.length);
    affine_rows(y + at, x + at, a.columns(), a.rows(), width, work, work + width, work + 2 * width);
  });
}

template <class T>
void forward_by_row(const Activations& a, const T* x, T* y, const Affine<T>& p) {
  const int64_t columns = a.columns(), step = a.chunk(), chunks = (a.rows() + step - 1) / step;
  double* parts = scratch<double>(0, chunks * 2 * columns);  // [chunk][mean, m2][column]
  parallel(chunks, [&](int64_t chunk) {
    const int64_t begin = chunk * step, rows = std::min(step, a.rows() - begin);
    double* mean = parts + chunk * 2 * columns;
    column_moments(x + begin * columns, columns, rows, columns, mean, mean + columns, scratch<T>(1, 3 * std::min(columns, column_strip)));
  });
  for (int64_t chunk = 1; chunk < chunks; chunk++) {
    const double *mean = parts + chunk * 2 * columns, *m2 = mean + columns;
    const double count = double(chunk * step), here = double(std::min(step, a.rows() - chunk * step)), share = 1 / (count + here);
    for (int64_t c = 0; c < columns; c++) {
      const double apart = mean[c] - parts[c];
      parts[columns + c] += m2[c] + apart * apart * (count * here * share);
      parts[c] = (parts[c] * count + mean[c] * here) * share;
    }
  }
  to_variances(parts + columns, columns, double(a.count()));
  p.finish(0, columns, parts, parts + columns);
  over_rows(a, [&](int64_t begin, int64_t end) {
    affine_rows(y + begin * columns, x + begin * columns, columns, end - begin, columns, p.mean, p.scale, p.shift);
  });
}

template <class T>
void forward(const Activations& a, const T* x, T* y, const Affine<T>& p) {
  switch (a.order) {
    case Order::Plane: return forward_by_plane(a, x, y, p);
    case Order::Column: return forward_by_column(a, x, y, p);
    case Order::Row: return forward_by_row(a, x, y, p);
  }
}

// The same by given statistics: no pass for them, so that pieces need not be whole channels.
template <class T>
void apply_given(const Activations& a, const T* x, T* y, const Affine<T>& p) {
  const T *mean = p.mean, *scale = p.scale, *shift = p.shift;
  const int64_t columns = a.columns();
  if (a.order == Order::Column) {
    T* each = scratch<T>(1, 3 * columns);
    spread(each, mean, a.channels, a.length);
    spread(each + columns, scale, a.channels, a.length);
    spread(each + 2 * columns, shift, a.channels, a.length);
    mean = each, scale = each + columns, shift = each + 2 * columns;
  }
  if (a.order != Order::Plane)
    return over_rows(a, [&](int64_t begin, int64_t end) {
      affine_rows(y + begin * columns, x + begin * columns, columns, end - begin, columns, mean, scale, shift);
    });
  auto planes = [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; plane++) {
      const int64_t c = plane % a.channels;
      affine_run(y + plane * a.length, x + plane * a.length, a.length, mean[c], scale[c], shift[c]);
    }
  };
  if (a.size() <= block_elements) return planes(0, a.images * a.channels);
  parallel_range(a.images * a.channels, std::max<int64_t>(1, block_elements / a.length), planes);
}

// What the gradients of channels are made of.
template <class T>
struct Gradient {
  const T *weight, *mean, *invstd;
  bool training;
  T *gweight, *gbias;         // may be null
  T *scale, *level, *slope;   // by channel

  // Fills in `channels` channels from `first` on, from sum(g) and sum(g * (x - mean)) over `count` elements, indexed from 0.
  void finish(int64_t first, int64_t channels, const double* total, const double* product, double count) const {
    const double share = training ? 1 / count : 0.0;
    for (int64_t i = 0; gbias && i < channels; i++) gbias[first + i] = T(total[i]);
    for (int64_t i = 0; gweight && i < channels; i++) gweight[first + i] = T(product[i] * double(invstd[first + i]));
    for (int64_t i = 0; i < channels; i++) scale[first + i] = weight ? T(invstd[first + i] * weight[first + i]) : invstd[first + i];
    for (int64_t i = 0; i < channels; i++) level[first + i] = T(total[i] * share);
    for (int64_t i = 0; i < channels; i++) {
      const double inverse = invstd[first + i];
      slope[first + i] = T(product[i] * share * (inverse * inverse));
    }
  }
};

template <class T, class G>
void backward_by_plane(const Activations& a, G g, const T* x, T* gx, const Gradient<T>& p) {
  auto channel = [&](int64_t c) {
    double total = 0, product = 0;
    for (int64_t n = 0; n < a.images; n++) {
      const int64_t at = (n * a.channels + c) * a.length;
      add_run_products(total, product, g.from(at), x + at, p.mean[c], a.length);
    }
    p.finish(c, 1, &total, &product, double(a.count()));
    for (int64_t n = 0; gx && n < a.images; n++) {
      const int64_t at = (n * a.channels + c) * a.length;
      gradient_run(gx + at, g.from(at), x + at, a.length, p.training, p.mean[c], p.scale[c], p.level[c], p.slope[c]);
    }
  };
  parallel_range(a.channels, std::max<int64_t>(1, serial_elements / a.count()), [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; c++) channel(c);
  });
}

template <class T, class G>
void backward_by_column(const Activations& a, G g, const T* x, T* gx, const Gradient<T>& p) {
  parallel_range(a.channels, a.group(), [&](int64_t begin, int64_t end) {
    const int64_t channels = end - begin, width = channels * a.length, at = begin * a.length;
    double* total = scratch<double>(0, 2 * width);
    T* mean = scratch<T>(1, 6 * width);
    T *work = mean + width, *scale = work + 2 * width, *level = scale + width, *slope = level + width;
    spread(mean, p.mean + begin, channels, a.length);
    column_products(g.from(at), x + at, a.columns(), a.rows(), width, mean, total, total + width, work);
    fold_sums(total, channels, a.length);
    fold_sums(total + width, channels, a.length);
    p.finish(begin, channels, total, total + width, double(a.count()));
    if (!gx) return;
    spread(scale, p.scale + begin, channels, a.length);
    spread(level, p.level + begin, channels, a.length);
    spread(slope, p.slope + begin, channels, a.length);
    gradient_rows(gx + at, g.from(at), x + at, a.columns(), a.rows(), width, p.training, mean, scale, level, slope);
  });
}

template <class T, class G>
void backward_by_row(const Activations& a, G g, const T* x, T* gx, const Gradient<T>& p) {
  const int64_t columns = a.columns(), step = a.chunk(), chunks = (a.rows() + step - 1) / step;
  double* parts = scratch<double>(0, chunks * 2 * columns);  // [chunk][total, product][column]
  parallel(chunks, [&](int64_t chunk) {
    const int64_t begin = chunk * step, rows = std::min(step, a.rows() - begin), at = begin * columns;
    double* total = parts + chunk * 2 * columns;
    column_products(g.from(at), x + at, columns, rows, columns, p.mean, total, total + columns, scratch<T>(1, 2 * std::min(columns, column_strip)));
  });
  for (int64_t chunk = 1; chunk < chunks; chunk++)
    for (int64_t i = 0; i < 2 * columns; i++) parts[i] += parts[chunk * 2 * columns + i];
  p.finish(0, columns, parts, parts + columns, double(a.count()));
  if (!gx) return;
  over_rows(a, [&](int64_t begin, int64_t end) {
    const int64_t at = begin * columns;
    gradient_rows(gx + at, g.from(at), x + at, columns, end - begin, columns, p.training, p.mean, p.scale, p.level, p.slope);
  });
}

template <class T, class G>
void backward(const Activations& a, G g, const T* x, T* gx, const Gradient<T>& p) {
  switch (a.order) {
    case Order::Plane: return backward_by_plane(a, g, x, gx, p);
    case Order::Column: return backward_by_column(a, g, x, gx, p);
    case Order::Row: return backward_by_row(a, g, x, gx, p);
  }
}

// Slots 2 and up hold numbers by channel; slots 0 and 1 belong to the passes.
template <class T>
T* by_channel(int64_t channels, int several) {
  return scratch<T>(2, channels * several);
}

struct Statistics {
  Owned y, mean, invstd, variance;
};

// Standardises x; by the statistics at `mean` and `variance` where they are given, else by its own.
template <class T>
bool normalise(const Array& x, const Activations& a, PyObject* const* weight_bias, double eps, const void* mean, const void* variance,
               Statistics& made) {
  const void *weight, *bias;
  if (!read_parameter(weight_bias[0], x, a.channels, weight) || !read_parameter(weight_bias[1], x, a.channels, bias)) return false;
  const npy_intp channels = a.channels;
  made.y = Owned(new_array_like(x, x.type));
  for (Owned* each : {&made.mean, &made.invstd}) *each = Owned(new_array(1, &channels, x.type));
  if (!mean) made.variance = Owned(new_array(1, &channels, x.type));
  if (!made.y || !made.mean || !made.invstd || !(mean || made.variance)) return false;
  T* own = by_channel<T>(channels, 2);
  auto data = [](const Owned& array) { return array ? view_of(array.get()).as<T>() : nullptr; };
  const Affine<T> p{static_cast<const T*>(weight), static_cast<const T*>(bias), eps,           data(made.mean),
                    data(made.invstd),             data(made.variance),         own,           own + channels};
  const ReleaseGil released(a.size());
  if (!mean) {
    forward(a, x.as<T>(), data(made.y), p);
    return true;
  }
  const T *given_mean = static_cast<const T*>(mean), *given_variance = static_cast<const T*>(variance);
  double* exact = scratch<double>(0, 2 * channels);
  for (int64_t c = 0; c < channels; c++) exact[c] = double(given_mean[c]);
  for (int64_t c = 0; c < channels; c++) exact[channels + c] = double(given_variance[c]);
  p.finish(0, channels, exact, exact + channels);
  apply_given(a, x.as<T>(), data(made.y), p);
  return true;
}

// The result in x's layout as what it is: hidden where x was, and where x is.
PyObject* as_given(Owned& array, const Array& x) { return x.hidden ? hide(array.give()) : array.give(); }

bool normalised(PyObject* const* args, double eps, PyObject* mean, PyObject* variance, Array& x, Statistics& made) {
  Activations a;
  const void *given_mean, *given_variance;
  if (!x.read(args[0]) || !plain_float(x.type) || !a.read(x)) return false;
  if (!read_parameter(mean, x, a.channels, given_mean) || !read_parameter(variance, x, a.channels, given_variance)) return false;
  return x.type == Type::F32 ? normalise<float>(x, a, args + 1, eps, given_mean, given_variance, made)
                             : normalise<double>(x, a, args + 1, eps, given_mean, given_variance, made);
}

PyObject* batch_norm_with_variance(PyObject* const* args) {
  Array x;
  Statistics made;
  double eps;
  if (!read_double(args[3], eps) || !normalised(args, eps, nullptr, nullptr, x, made)) return decline();
  Owned y(as_given(made.y, x));
  return y ? tuple_of(y, made.mean, made.invstd, made.variance) : nullptr;
}

PyObject* batch_norm_forward(PyObject* const* args) {
  Array x;
  Statistics made;
  double eps;
  bool training;
  if (!read_double(args[6], eps) || !read_bool(args[5], training)) return decline();
  const bool own = training || !given(args[3]) || !given(args[4]);
  if (!normalised(args, eps, own ? nullptr : args[3], own ? nullptr : args[4], x, made)) return decline();
  Owned y(as_given(made.y, x));
  return y ? tuple_of(y, made.mean, made.invstd) : nullptr;
}

template <class T>
PyObject* run_backward(const Array& x, Gated<T> g, const Activations& a, PyObject* const* args, bool training, const bool (&mask)[3]) {
  const void *weight, *mean, *invstd;
  if (!read_parameter(args[2], x, a.channels, weight) || !read_parameter(args[3], x, a.channels, mean) || !mean ||
      !read_parameter(args[4], x, a.channels, invstd) || !invstd)
    return decline();
  const npy_intp channels = a.channels;
  Owned gx, gweight, gbias;
  if (mask[0] && !(gx = Owned(new_array_like(x, x.type)))) return nullptr;
  if (mask[1] && !(gweight = Owned(new_array(1, &channels, x.type)))) return nullptr;
  if (mask[2] && !(gbias = Owned(new_array(1, &channels, x.type)))) return nullptr;
  T* own = by_channel<T>(channels, 3);
  auto data = [](const Owned& array) { return array ? view_of(array.get()).as<T>() : nullptr; };
  const Gradient<T> p{static_cast<const T*>(weight), static_cast<const T*>(mean), static_cast<const T*>(invstd), training,
                      data(gweight), data(gbias), own, own + channels, own + 2 * channels};
  {
    const ReleaseGil released(a.size());
    // float64 asks for the gate at every vector instead of being compiled once more.
    if (g.v || sizeof(T) == 8)
      backward(a, g, x.as<T>(), data(gx), p);
    else if constexpr (sizeof(T) == 4)
      backward(a, g.all, x.as<T>(), data(gx), p);
  }
  if (gx && !(gx = Owned(as_given(gx, x)))) return nullptr;
  return tuple_of(gx, gweight, gbias);
}

// With a gate (moments.h) the cotangent is that behind it.
PyObject* batch_norm_backward(PyObject* const* args) {
  Array g, x, gate;
  Activations a;
  bool training, mask[3];
  if (!g.read(args[0]) || !x.read(args[1]) || g.type != x.type || !g.same_shape(x) || !read_bool(args[5], training) || !read_mask(args[6], mask))
    return decline();
  if (!plain_float(x.type) || !a.read(x)) return decline();
  const bool gated = given(args[7]), bounded = gated && given(args[9]);
  double low = 0, high = 0;
  if (gated && (!gate.read(args[7]) || gate.type != x.type || !gate.same_shape(x) || !read_double(args[8], low))) return decline();
  if (bounded && !read_double(args[9], high)) return decline();
  Owned copies[2];  // of what lies in another layout than x
  auto as_x = [&](Array& other, Owned& copy) {
    if (x.contiguous() ? other.contiguous() : other.same_strides(x)) return true;
    const Array from = other;
    copy = relaid(from, &x, other);
    return bool(copy);
  };
  if (!as_x(g, copies[0]) || (gated && !as_x(gate, copies[1]))) return nullptr;
  auto run = [&]<class T>(T) {
    const Gated<T> cotangent{{g.as<const T>()}, gated ? gate.as<const T>() : nullptr, T(low), T(high), bounded};
    return run_backward<T>(x, cotangent, a, args, training, mask);
  };
  return x.type == Type::F32 ? run(float()) : run(double());
}

// running = (1 - momentum) * running + momentum * factor * value, computed in double.
template <class T>
void move_running(T* running, const T* value, int64_t count, double momentum, double factor) {
  const double kept = 1.0 - momentum, added = momentum * factor;
  for (int64_t i = 0; i < count; i++) running[i] = T(double(running[i]) * kept + double(value[i]) * added);
}

PyObject* move_running_entry(PyObject* const* args) {
  Array running, value;
  double momentum, factor = 1;
  if (!running.read(args[0]) || !value.read(args[1]) || running.type != value.type || !running.same_shape(value)) return decline();
  if (!running.contiguous() || !value.contiguous() || !running.writeable() || running.hidden || running.overlaps(value)) return decline();
  if (!read_double(args[2], momentum) || (args[3] && !read_double(args[3], factor))) return decline();
  if (running.type == Type::F32)
    move_running(running.as<float>(), value.as<float>(), running.size(), momentum, factor);
  else if (running.type == Type::F64)
    move_running(running.as<double>(), value.as<double>(), running.size(), momentum, factor);
  else
    return decline();
  Py_RETURN_NONE;
}

const Family family("batch_norm", {
                                      {"batch_norm_with_variance", "x weight bias eps", batch_norm_with_variance},
                                      {"batch_norm_forward", "x weight bias mean var training eps", batch_norm_forward},
                                      {"batch_norm_backward", "g x weight mean invstd training mask gate low high", batch_norm_backward},
                                      {"move_running", "running value momentum factor", move_running_entry},
                                  });

}  // namespace
}  // namespace rushlight
