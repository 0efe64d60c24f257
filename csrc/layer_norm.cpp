// Layer and group normalisation and their gradients.
//
// Layer normalisation standardises rows [rows, width] that lie in one run of memory. So does group normalisation of a
// row-major [N, C, *spatial]: a row is a part of the channels of an image, and its parameters change from map to map. With
// channels innermost (hidden layouts, channels_last) an image is a matrix [spatial, C], a group some of its columns, and
// its statistics those of the columns folded.
//
// A row is taken through its passes while it is in cache: large arrays are read once and written once, at the speed of
// memory. The gradients of the parameters are summed in blocks of 128 rows, then in double.
#include "iterate.h"
#include "normalise.h"
#include "owned.h"
#include "relayout.h"

namespace rushlight {
namespace {

constexpr int64_t most_chunks = 32;  // pieces whose sums for the parameters are kept apart
constexpr int64_t short_map = 32;    // maps of fewer elements get their channel's parameters spread over them

// Rows of one width. Row r takes the parameters of part r % parts, each `width` long.
struct Rows {
  int64_t rows = 0, width = 0, parts = 1;

  int64_t size() const { return rows * width; }
  // Rows that one thread takes at a time: whole rounds of the parts.
  int64_t chunk() const {
    const int64_t wanted = std::max({(rows + most_chunks - 1) / most_chunks, block_elements / std::max<int64_t>(width, 1), int64_t(row_group)});
    return (wanted + parts - 1) / parts * parts;
  }
  int64_t chunks() const { return (rows + chunk() - 1) / chunk(); }
};

// The mean of a row and 1 / its standard deviation; `left` is what rounding the mean left over, in standard deviations.
template <class T>
void standard(const T* x, int64_t width, double eps, T& mean, T& rstd, T& left) {
  Moments moments;
  add_run(moments, x, width);
  const double m2 = moments.m2 < 0 ? 0 : moments.m2, inverse = 1 / std::sqrt(m2 / moments.count + eps);
  mean = T(moments.mean);
  rstd = T(inverse);
  left = T((double(mean) - moments.mean) * inverse);
}

template <class T>
void forward_rows(const Rows& r, const T* x, T* y, const T* weight, const T* bias, double eps, T* mean, T* rstd) {
  constexpr int64_t L = lanes<T>;
  auto row = [&](int64_t i) {
    const T* from = x + i * r.width;
    T* to = y + i * r.width;
    T left;
    standard(from, r.width, eps, mean[i], rstd[i], left);
    const Vec<T> means = splat(mean[i]), scales = splat(rstd[i]), lefts = splat(left);
    const int64_t part = i % r.parts * r.width;
    const T *w = weight ? weight + part : nullptr, *b = bias ? bias + part : nullptr;
    for (int64_t j = 0; j < r.width; j += L) {
      const int64_t some = std::min(L, r.width - j);
      Vec<T> v = fma(Vec<T>(load_some(from + j, some) - means), scales, lefts);
      if (w) v *= load_some(w + j, some);
      if (b) v += load_some(b + j, some);
      store_some(to + j, v, some);
    }
  };
  auto rows = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) row(i);
  };
  if (r.size() <= serial_elements) return rows(0, r.rows);
  parallel_range(r.rows, std::max<int64_t>(1, serial_elements / r.width), rows);
}

// gx of one row: rstd * (u - mean(u) - xhat * mean(u * xhat)) with u = g * weight.
template <class T>
void gradient_row(T* gx, const T* g, const T* x, int64_t width, T mean, T rstd, const T* weight) {
  constexpr int64_t L = lanes<T>;
  const Vec<T> means = splat(mean);
  double total = 0, product = 0;
  for (int64_t begin = 0; begin < width; begin += run_block) {
    T sums[2];
    block_sums<T>(std::min(run_block, width - begin), sums, [&](Vec<T>* terms, int64_t i, int64_t some) {
      const int64_t at = begin + i;
      terms[0] = load_some(g + at, some);
      if (weight) terms[0] *= load_some(weight + at, some);
      terms[1] = terms[0] * (load_some(x + at, some, mean) - means);
    });
    total += double(sums[0]);
    product += double(sums[1]);
  }
  const double inverse = rstd, share = inverse / double(width);
  const Vec<T> scale = splat(rstd), level = splat(T(-total * share)), slope = splat(T(-product * share * inverse * inverse));
  for (int64_t j = 0; j < width; j += L) {
    const int64_t some = std::min(L, width - j);
    Vec<T> u = load_some(g + j, some);
    if (weight) u *= load_some(weight + j, some);
    store_some(gx + j, fma(u, scale, fma(Vec<T>(load_some(x + j, some) - means), slope, level)), some);
  }
}

// Adds g * xhat and g of rows [begin, end), which share their parameters' place when they are `parts` apart, to sums by column.
template <class T>
void add_parameter_sums(const Rows& r, const T* g, const T* x, const T* mean, const T* rstd, int64_t begin, int64_t end, T* along, T* plain) {
  constexpr int64_t L = lanes<T>;
  for (int64_t part = 0; part < std::min(r.parts, end - begin); part++) {
    const int64_t first = begin + part, at = first % r.parts * r.width;
    for (int64_t j = 0; j < r.width; j += L) {
      const int64_t some = std::min(L, r.width - j);
      Vec<T> products = load_some(along + at + j, some), sums = load_some(plain + at + j, some);
      for (int64_t i = first; i < end; i += r.parts) {
        const Vec<T> cotangent = load_some(g + i * r.width + j, some);
        products = fma(cotangent, Vec<T>((load_some(x + i * r.width + j, some) - mean[i]) * rstd[i]), products);
        sums += cotangent;
      }
      store_some(along + at + j, products, some);
      store_some(plain + at + j, sums, some);
    }
  }
}

// Gradients of rows. `sums` [2][parts * width], of g * xhat and of g, is filled in where it is not null.
template <class T>
void backward_rows(const Rows& r, const T* g, const T* x, T* gx, const T* weight, const T* mean, const T* rstd, double* sums) {
  const int64_t step = r.chunk(), chunks = r.chunks(), columns = r.parts * r.width;
  double* parts = sums ? scratch<double>(3, 2 * chunks * columns) : nullptr;
  const int64_t group = (row_group + r.parts - 1) / r.parts * r.parts, several = std::max(group, row_block / group * group);
  auto chunk = [&](int64_t place) {
    const int64_t begin = place * step, end = std::min(r.rows, begin + step);
    double* own = parts + place * 2 * columns;
    T* work = sums ? scratch<T>(1, 2 * columns) : nullptr;
    if (sums) std::fill(own, own + 2 * columns, 0.0);
    for (int64_t block = begin; block < end; block += several) {
      const int64_t stop = std::min(end, block + several);
      if (sums) std::fill(work, work + 2 * columns, T(0));
      for (int64_t i = block; i < stop; i += group) {
        const int64_t last = std::min(stop, i + group);
        for (int64_t row = i; gx && row < last; row++) {
          const int64_t at = row * r.width;
          gradient_row(gx + at, g + at, x + at, r.width, mean[row], rstd[row], weight ? weight + row % r.parts * r.width : nullptr);
        }
        if (sums) add_parameter_sums(r, g, x, mean, rstd, i, last, work, work + columns);
      }
      for (int64_t j = 0; sums && j < 2 * columns; j++) own[j] += double(work[j]);
    }
  };
  parallel(chunks, chunk);
  if (!sums) return;
  std::copy(parts, parts + 2 * columns, sums);
  for (int64_t place = 1; place < chunks; place++)
    for (int64_t j = 0; j < 2 * columns; j++) sums[j] += parts[place * 2 * columns + j];
}

template <class T>
void rounded(T* to, const double* from, int64_t count) {
  for (int64_t i = 0; to && i < count; i++) to[i] = T(from[i]);
}

// ---- layer normalisation ----

// Arguments that forward and backward share. False: the reference should decide.
bool read_rows(const Array& x, PyObject* inner, Rows& r, int64_t& trailing) {
  if (!plain_float(x.type) || !read_int(inner, trailing) || trailing < 1 || trailing > x.ndim) return false;
  r.rows = r.width = 1;
  for (int i = 0; i < x.ndim; i++) (i < x.ndim - trailing ? r.rows : r.width) *= x.shape[i];
  return r.size() > 0;
}

// `x` row-major: itself, or a copy that `held` keeps. False with an exception set when there is no memory.
bool make_row_major(Array& x, Owned& held) {
  if (x.contiguous()) return true;
  const Array source = x;
  held = relaid(source, nullptr, x);
  return bool(held);
}

template <class T>
T* data_of(const Owned& array) {
  return array ? view_of(array.get()).as<T>() : nullptr;
}

template <class T>
PyObject* run_layer_norm(const Array& x, const Rows& r, int64_t trailing, PyObject* const* args, double eps) {
  const void *weight, *bias;
  if (!read_parameter(args[2], x, r.width, weight) || !read_parameter(args[3], x, r.width, bias)) return decline();
  npy_intp kept[max_dims];
  for (int i = 0; i < x.ndim; i++) kept[i] = i < x.ndim - trailing ? x.shape[i] : 1;
  Owned y(new_array(x.ndim, x.shape, x.type)), mean(new_array(x.ndim, kept, x.type)), rstd(new_array(x.ndim, kept, x.type));
  if (!y || !mean || !rstd) return nullptr;
  {
    const ReleaseGil released(r.size());
    forward_rows(r, x.as<const T>(), data_of<T>(y), static_cast<const T*>(weight), static_cast<const T*>(bias), eps, data_of<T>(mean),
                 data_of<T>(rstd));
  }
  return tuple_of(y, mean, rstd);
}

PyObject* layer_norm_forward(PyObject* const* args) {
  Array x;
  Rows r;
  int64_t trailing;
  double eps;
  if (!x.read(args[0]) || !read_rows(x, args[1], r, trailing) || !read_double(args[4], eps)) return decline();
  Owned held;
  if (!make_row_major(x, held)) return nullptr;
  return x.type == Type::F32 ? run_layer_norm<float>(x, r, trailing, args, eps) : run_layer_norm<double>(x, r, trailing, args, eps);
}

template <class T>
PyObject* run_layer_norm_backward(const Array& g, const Array& x, const Rows& r, int64_t trailing, PyObject* const* args, const bool (&mask)[3]) {
  const void *mean, *rstd, *weight;
  if (!read_parameter(args[3], x, r.rows, mean) || !mean || !read_parameter(args[4], x, r.rows, rstd) || !rstd) return decline();
  if (!read_parameter(args[5], x, r.width, weight)) return decline();
  const int first = int(x.ndim - trailing);
  Owned gx, gweight, gbias;
  if (mask[0] && !(gx = Owned(new_array(x.ndim, x.shape, x.type)))) return nullptr;
  if (mask[1] && !(gweight = Owned(new_array(int(trailing), x.shape + first, x.type)))) return nullptr;
  if (mask[2] && !(gbias = Owned(new_array(int(trailing), x.shape + first, x.type)))) return nullptr;
  double* sums = mask[1] || mask[2] ? scratch<double>(0, 2 * r.width) : nullptr;
  {
    const ReleaseGil released(2 * r.size());
    backward_rows(r, g.as<const T>(), x.as<const T>(), data_of<T>(gx), static_cast<const T*>(weight), static_cast<const T*>(mean),
                  static_cast<const T*>(rstd), sums);
    rounded(data_of<T>(gweight), sums, r.width);
    rounded(data_of<T>(gbias), sums + r.width, r.width);
  }
  return tuple_of(gx, gweight, gbias);
}

PyObject* layer_norm_backward(PyObject* const* args) {
  Array g, x;
  Rows r;
  int64_t trailing;
  bool mask[3];
  if (!g.read(args[0]) || !x.read(args[1]) || g.type != x.type || !g.same_shape(x) || !read_mask(args[6], mask)) return decline();
  if (!read_rows(x, args[2], r, trailing)) return decline();
  Owned held_g, held_x;
  if (!make_row_major(g, held_g) || !make_row_major(x, held_x)) return nullptr;
  return x.type == Type::F32 ? run_layer_norm_backward<float>(g, x, r, trailing, args, mask)
                             : run_layer_norm_backward<double>(g, x, r, trailing, args, mask);
}

// ---- group normalisation ----

struct Groups {
  int64_t images = 0, channels = 0, groups = 0, per = 0, length = 1;  // per: channels of a group; length: elements of a map
  bool last = false;                                                  // channels innermost

  bool read(const Array& x, PyObject* count) {
    if (!plain_float(x.type) || x.ndim < 2 || x.size() == 0) return false;
    if (!read_int(count, groups) || groups < 1 || x.shape[1] % groups) return false;
    images = x.shape[0];
    channels = x.shape[1];
    per = channels / groups;
    for (int i = 2; i < x.ndim; i++) length *= x.shape[i];
    last = !x.contiguous();
    return !last || x.channels_last();
  }
  int64_t size() const { return images * channels * length; }
  int64_t image() const { return channels * length; }
  double count() const { return double(per * length); }  // elements of a group
  Rows rows() const { return {images * groups, per * length, groups}; }
};

// Runs body(image) for every image.
template <class Body>
void over_images(const Groups& s, Body&& body) {
  auto images = [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; n++) body(n);
  };
  if (s.size() <= serial_elements) return images(0, s.images);
  parallel_range(s.images, std::max<int64_t>(1, serial_elements / s.image()), images);
}

// The parameters of channels, spread over their maps; null stays null.
template <class T>
const T* spread_over_maps(const T* parameter, const Groups& s, T* to) {
  if (!parameter || s.length == 1) return parameter;
  spread(to, parameter, s.channels, s.length);
  return to;
}

template <class T>
void group_forward_maps(const Groups& s, const T* x, T* y, const T* weight, const T* bias, double eps, T* mean, T* rstd) {
  const Rows r = s.rows();
  auto row = [&](int64_t i) {
    T left;
    standard(x + i * r.width, r.width, eps, mean[i], rstd[i], left);
    for (int64_t k = 0; k < s.per; k++) {
      const int64_t c = i % s.groups * s.per + k, at = i * r.width + k * s.length;
      const T w = weight ? weight[c] : T(1), b = bias ? bias[c] : T(0);
      affine_run(y + at, x + at, s.length, mean[i], T(rstd[i] * w), T(left * w + b));
    }
  };
  auto rows = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) row(i);
  };
  if (r.size() <= serial_elements) return rows(0, r.rows);
  parallel_range(r.rows, std::max<int64_t>(1, serial_elements / r.width), rows);
}

template <class T>
void group_forward_last(const Groups& s, const T* x, T* y, const T* weight, const T* bias, double eps, T* mean, T* rstd) {
  over_images(s, [&](int64_t n) {
    double* centre = scratch<double>(0, 2 * s.channels);
    double* m2 = centre + s.channels;
    T* work = scratch<T>(1, 3 * s.channels);
    column_moments(x + n * s.image(), s.channels, s.length, s.channels, centre, m2, work);
    fold_moments(centre, m2, s.groups, s.per, double(s.length));
    T *means = work, *scales = work + s.channels, *shifts = work + 2 * s.channels;
    for (int64_t k = 0; k < s.groups; k++) {
      const int64_t i = n * s.groups + k;
      const double inverse = 1 / std::sqrt((m2[k] < 0 ? 0 : m2[k]) / s.count() + eps);
      mean[i] = T(centre[k]);
      rstd[i] = T(inverse);
      const double left = (double(mean[i]) - centre[k]) * inverse;
      for (int64_t c = k * s.per; c < (k + 1) * s.per; c++) {
        const double w = weight ? double(weight[c]) : 1;
        means[c] = mean[i];
        scales[c] = T(inverse * w);
        shifts[c] = T(left * w + (bias ? double(bias[c]) : 0));
      }
    }
    affine_rows(y + n * s.image(), x + n * s.image(), s.channels, s.length, s.channels, means, scales, shifts);
  });
}

template <class T>
void group_forward(const Groups& s, const T* x, T* y, const T* weight, const T* bias, double eps, T* mean, T* rstd) {
  if (s.last) return group_forward_last(s, x, y, weight, bias, eps, mean, rstd);
  if (s.length >= short_map) return group_forward_maps(s, x, y, weight, bias, eps, mean, rstd);
  T* each = scratch<T>(2, 2 * s.image());
  forward_rows(s.rows(), x, y, spread_over_maps(weight, s, each), spread_over_maps(bias, s, each + s.image()), eps, mean, rstd);
}

template <class T>
PyObject* run_group_norm(const Array& x, const Groups& s, PyObject* const* args, double eps) {
  const void *weight, *bias;
  if (!read_parameter(args[2], x, s.channels, weight) || !read_parameter(args[3], x, s.channels, bias)) return decline();
  const npy_intp kept[] = {s.images, s.groups};
  Owned y(new_array_like(x, x.type)), mean(new_array(2, kept, x.type)), rstd(new_array(2, kept, x.type));
  if (!y || !mean || !rstd) return nullptr;
  {
    const ReleaseGil released(s.size());
    group_forward(s, x.as<const T>(), data_of<T>(y), static_cast<const T*>(weight), static_cast<const T*>(bias), eps, data_of<T>(mean),
                  data_of<T>(rstd));
  }
  if (x.hidden && !(y = Owned(hide(y.give())))) return nullptr;
  return tuple_of(y, mean, rstd);
}

PyObject* group_norm_forward(PyObject* const* args) {
  Array x;
  Groups s;
  double eps;
  if (!x.read(args[0]) || !s.read(x, args[1]) || !read_double(args[4], eps)) return decline();
  return x.type == Type::F32 ? run_group_norm<float>(x, s, args, eps) : run_group_norm<double>(x, s, args, eps);
}

// What a group passes to its elements: gx = g * weight * rstd + (x - mean) * slope + level, from the sums of g and of
// g * (x - mean) over each channel of its maps.
template <class T>
void group_coefficients(const Groups& s, const double* total, const double* product, const T* weight, T rstd, T& slope, T& level) {
  double plain = 0, along = 0;
  for (int64_t k = 0; k < s.per; k++) {
    const double w = weight ? double(weight[k]) : 1;
    plain += w * total[k];
    along += w * product[k];
  }
  const double inverse = rstd;
  level = T(-plain * inverse / s.count());
  slope = T(-along * inverse * inverse * inverse / s.count());
}

// `totals` and `products` [N, C] are sum(g) and sum(g * (x - mean)) over each map.
template <class T>
void group_backward_maps(const Groups& s, const T* g, const T* x, T* gx, const T* weight, const T* mean, const T* rstd, double* totals,
                         double* products) {
  constexpr int64_t L = lanes<T>;
  auto row = [&](int64_t i) {
    const int64_t first = i * s.per, part = i % s.groups * s.per;
    for (int64_t c = first; c < first + s.per; c++) {
      totals[c] = products[c] = 0;
      add_run_products(totals[c], products[c], Cotangent<T>{g + c * s.length}, x + c * s.length, mean[i], s.length);
    }
    if (!gx) return;
    T slope, level;
    group_coefficients(s, totals + first, products + first, weight ? weight + part : nullptr, rstd[i], slope, level);
    const Vec<T> means = splat(mean[i]), slopes = splat(slope), levels = splat(level);
    for (int64_t k = 0; k < s.per; k++) {
      const Vec<T> scales = splat(weight ? T(rstd[i] * weight[part + k]) : rstd[i]);
      const int64_t at = (first + k) * s.length;
      for (int64_t j = 0; j < s.length; j += L) {
        const int64_t some = std::min(L, s.length - j);
        const Vec<T> rest = fma(Vec<T>(load_some(x + at + j, some) - means), slopes, levels);
        store_some(gx + at + j, fma(load_some(g + at + j, some), scales, rest), some);
      }
    }
  };
  auto rows = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) row(i);
  };
  if (s.size() <= serial_elements) return rows(0, s.images * s.groups);
  parallel_range(s.images * s.groups, std::max<int64_t>(1, serial_elements / (s.per * s.length)), rows);
}

template <class T>
void group_backward_last(const Groups& s, const T* g, const T* x, T* gx, const T* weight, const T* mean, const T* rstd, double* totals,
                         double* products) {
  constexpr int64_t L = lanes<T>;
  over_images(s, [&](int64_t n) {
    T* work = scratch<T>(1, 6 * s.channels);
    T *means = work, *scales = means + s.channels, *slopes = scales + s.channels, *levels = slopes + s.channels;
    const int64_t at = n * s.image();
    double *total = totals + n * s.channels, *product = products + n * s.channels;
    spread(means, mean + n * s.groups, s.groups, s.per);
    column_products(Cotangent<T>{g + at}, x + at, s.channels, s.length, s.channels, means, total, product, levels + s.channels);
    if (!gx) return;
    for (int64_t k = 0; k < s.groups; k++) {
      const T inverse = rstd[n * s.groups + k];
      const int64_t first = k * s.per;
      T slope, level;
      group_coefficients(s, total + first, product + first, weight ? weight + first : nullptr, inverse, slope, level);
      for (int64_t c = first; c < first + s.per; c++) {
        scales[c] = weight ? T(inverse * weight[c]) : inverse;
        slopes[c] = slope;
        levels[c] = level;
      }
    }
    for (int64_t i = 0; i < s.length; i++)
      for (int64_t j = 0; j < s.channels; j += L) {
        const int64_t some = std::min(L, s.channels - j), place = at + i * s.channels + j;
        const Vec<T> d = load_some(x + place, some) - load_some(means + j, some);
        const Vec<T> rest = fma(d, load_some(slopes + j, some), load_some(levels + j, some));
        store_some(gx + place, fma(load_some(g + place, some), load_some(scales + j, some), rest), some);
      }
  });
}

// The gradients of the parameters are left in `sums` [2][channels].
template <class T>
void group_backward(const Groups& s, const T* g, const T* x, T* gx, const T* weight, const T* mean, const T* rstd, double* sums) {
  double *along = sums, *plain = sums + s.channels;
  if (!s.last && s.length < short_map) {
    double* each = s.length == 1 ? sums : scratch<double>(4, 2 * s.image());
    backward_rows(s.rows(), g, x, gx, spread_over_maps(weight, s, scratch<T>(2, s.image())), mean, rstd, each);
    if (s.length == 1) return;
    fold_sums(each, s.channels, s.length);
    fold_sums(each + s.image(), s.channels, s.length);
    std::copy(each, each + s.channels, along);
    std::copy(each + s.image(), each + s.image() + s.channels, plain);
    return;
  }
  const int64_t maps = s.images * s.channels;
  double *totals = scratch<double>(4, 2 * maps), *products = totals + maps;
  (s.last ? group_backward_last<T> : group_backward_maps<T>)(s, g, x, gx, weight, mean, rstd, totals, products);
  std::fill(sums, sums + 2 * s.channels, 0.0);
  for (int64_t n = 0; n < s.images; n++)
    for (int64_t c = 0; c < s.channels; c++) {
      along[c] += products[n * s.channels + c] * double(rstd[n * s.groups + c / s.per]);
      plain[c] += totals[n * s.channels + c];
    }
}

template <class T>
PyObject* run_group_norm_backward(const Array& g, const Array& x, const Groups& s, PyObject* const* args, const bool (&mask)[3]) {
  const void *mean, *rstd, *weight;
  const int64_t rows = s.images * s.groups;
  if (!read_parameter(args[3], x, rows, mean) || !mean || !read_parameter(args[4], x, rows, rstd) || !rstd) return decline();
  if (!read_parameter(args[5], x, s.channels, weight)) return decline();
  const npy_intp channels = s.channels;
  Owned gx, gweight, gbias;
  if (mask[0] && !(gx = Owned(new_array_like(x, x.type)))) return nullptr;
  if (mask[1] && !(gweight = Owned(new_array(1, &channels, x.type)))) return nullptr;
  if (mask[2] && !(gbias = Owned(new_array(1, &channels, x.type)))) return nullptr;
  double* sums = scratch<double>(5, 2 * s.channels);
  {
    const ReleaseGil released(2 * s.size());
    group_backward(s, g.as<const T>(), x.as<const T>(), data_of<T>(gx), static_cast<const T*>(weight), static_cast<const T*>(mean),
                   static_cast<const T*>(rstd), sums);
    rounded(data_of<T>(gweight), sums, s.channels);
    rounded(data_of<T>(gbias), sums + s.channels, s.channels);
  }
  if (gx && x.hidden && !(gx = Owned(hide(gx.give())))) return nullptr;
  return tuple_of(gx, gweight, gbias);
}

PyObject* group_norm_backward(PyObject* const* args) {
  Array g, x;
  Groups s;
  bool mask[3];
  if (!g.read(args[0]) || !x.read(args[1]) || g.type != x.type || !g.same_shape(x) || !read_mask(args[6], mask)) return decline();
  if (!s.read(x, args[2])) return decline();
  Owned copy;  // of a cotangent in another layout
  if (!(x.contiguous() ? g.contiguous() : g.same_strides(x))) {
    const Array other = g;
    if (!(copy = relaid(other, &x, g))) return nullptr;
  }
  return x.type == Type::F32 ? run_group_norm_backward<float>(g, x, s, args, mask) : run_group_norm_backward<double>(g, x, s, args, mask);
}

const Family family("layer_norm", {
                                      {"layer_norm_forward", "x normalized_ndim weight bias eps", layer_norm_forward},
                                      {"layer_norm_backward", "g x normalized_ndim mean rstd weight mask", layer_norm_backward},
                                      {"group_norm_forward", "x groups weight bias eps", group_norm_forward},
                                      {"group_norm_backward", "g x groups mean rstd weight mask", group_norm_backward},
                                  });

}  // namespace
}  // namespace rushlight
