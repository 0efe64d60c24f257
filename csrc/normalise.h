// What the normalisations share: the passes that apply statistics, sums over columns that belong together, arguments.
#pragma once
#include "array.h"
#include "kernel.h"
#include "moments.h"

namespace rushlight {

// y = (x - mean) * scale + shift along a run of one channel.
template <class T>
void affine_run(T* y, const T* x, int64_t count, T mean, T scale, T shift) {
  constexpr int64_t L = lanes<T>;
  const Vec<T> means = splat(mean), scales = splat(scale), shifts = splat(shift);
  for (int64_t i = 0; i < count; i += L) {
    const int64_t some = std::min(L, count - i);
    store_some(y + i, fma(Vec<T>(load_some(x + i, some) - means), scales, shifts), some);
  }
}

// The same for rows whose columns have their own numbers.
template <class T>
void affine_rows(T* y, const T* x, int64_t stride, int64_t rows, int64_t columns, const T* mean, const T* scale, const T* shift) {
  constexpr int64_t L = lanes<T>;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j += L) {
      const int64_t some = std::min(L, columns - j);
      const Vec<T> d = load_some(x + i * stride + j, some) - load_some(mean + j, some);
      store_some(y + i * stride + j, fma(d, load_some(scale + j, some), load_some(shift + j, some)), some);
    }
}

// Variances from sums of squared deviations over `count` numbers, in place; rounding may have left one below 0, but NaN stays.
inline void to_variances(double* m2, int64_t channels, double count) {
  for (int64_t c = 0; c < channels; c++) m2[c] = m2[c] < 0 ? 0 : m2[c] / count;
}

// Each of `count` numbers `times` over.
template <class T>
void spread(T* to, const T* from, int64_t count, int64_t times) {
  for (int64_t c = 0; c < count; c++)
    for (int64_t k = 0; k < times; k++) to[c * times + k] = from[c];
}

// The moments of channels from those of their `fold` columns of `rows` numbers each, in place.
inline void fold_moments(double* mean, double* m2, int64_t channels, int64_t fold, double rows) {
  for (int64_t c = 0; c < channels; c++) {
    double centre = 0, within = 0, between = 0;
    for (int64_t k = 0; k < fold; k++) centre += mean[c * fold + k];
    centre /= double(fold);
    for (int64_t k = 0; k < fold; k++) {
      const double apart = mean[c * fold + k] - centre;
      between += apart * apart;
      within += m2[c * fold + k];
    }
    mean[c] = centre;
    m2[c] = within + rows * between;
  }
}

inline void fold_sums(double* sums, int64_t channels, int64_t fold) {
  for (int64_t c = 0; c < channels; c++) {
    double total = 0;
    for (int64_t k = 0; k < fold; k++) total += sums[c * fold + k];
    sums[c] = total;
  }
}

// A parameter or statistic with `count` elements: dense, of x's dtype. False where it is something else; `data` is null for None.
inline bool read_parameter(PyObject* value, const Array& x, int64_t count, const void*& data) {
  data = nullptr;
  if (!given(value)) return true;
  Array found;
  if (!found.read(value) || found.type != x.type || found.size() != count || !found.contiguous() || found.hidden) return false;
  data = found.data;
  return true;
}

// A mask of three truths.
inline bool read_mask(PyObject* value, bool (&mask)[3]) {
  if (!value || !PyTuple_Check(value) || PyTuple_GET_SIZE(value) != 3) return false;
  for (int i = 0; i < 3; i++)
    if (!read_bool(PyTuple_GET_ITEM(value, i), mask[i])) return false;
  return true;
}

}  // namespace rushlight
