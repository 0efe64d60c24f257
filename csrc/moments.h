// Means and sums of squared deviations in one pass, of runs of memory and of the columns of a matrix; and the two sums that
// the gradient of a normalisation needs.
//
// Numbers are taken in blocks. Within a block deviations from a fixed shift are added in the array's own precision, and
// the blocks are merged in double (Chan, Golub, LeVeque). The shift is the mean of what came before, or of the first few
// numbers: so the squares are never much larger than the sum of squared deviations, and nothing cancels, wherever the
// mean lies.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "vec.h"

namespace rushlight {

constexpr int64_t run_block = 2048;     // numbers of a run that are added in its own precision
constexpr int64_t row_block = 128;      // rows of a matrix, likewise
constexpr int64_t column_strip = 2048;  // columns whose sums stay in the nearest cache
constexpr int row_group = 8;            // rows that one pass over the sums adds

struct Moments {
  double count = 0, mean = 0, m2 = 0;

  void merge(double n, double other_mean, double other_m2) {
    const double total = count + n, apart = other_mean - mean;
    m2 += other_m2 + (count > 0 ? apart * apart * (count * n / total) : 0);
    mean = (mean * count + other_mean * n) / total;
    count = total;
  }
};

// A shift that deviations can be taken from: the guess, one of the numbers where that overflowed, 0 where that is no number.
template <class T>
inline T usable_shift(double guess, T number) {
  constexpr T most = std::numeric_limits<T>::max();
  if (std::abs(guess) <= double(most)) return T(guess);
  return std::abs(number) <= most ? number : T(0);
}

// Sums over a block of at most `run_block` numbers: `each(part, i, n)` gives the vectors that belong to place i (n of whose lanes count)
// for K sums, with zeros in lanes that do not count.
template <class T, int K, class Each>
inline void block_sums(int64_t count, T (&sums)[K], Each&& each) {
  constexpr int64_t L = lanes<T>;
  constexpr int chains = 4;
  Vec<T> acc[K][chains] = {};
  int64_t i = 0;
  for (; i + chains * L <= count; i += chains * L)
#pragma GCC unroll 4
    for (int c = 0; c < chains; c++) {
      Vec<T> terms[K];
      each(terms, i + c * L, L);
#pragma GCC unroll 8
      for (int k = 0; k < K; k++) acc[k][c] += terms[k];
    }
#pragma GCC unroll 4
  for (int c = 0; c < chains && i < count; i += L, c++) {
    Vec<T> terms[K];
    each(terms, i, std::min(L, count - i));
#pragma GCC unroll 8
    for (int k = 0; k < K; k++) acc[k][c] += terms[k];
  }
#pragma GCC unroll 8
  for (int k = 0; k < K; k++) sums[k] = sum_lanes<T>((acc[k][0] + acc[k][1]) + (acc[k][2] + acc[k][3]));
}

template <class T>
inline Vec<T> load_some(const T* p, int64_t n, T fill = T(0)) {
  return n == lanes<T> ? load(p) : load_part(p, n, fill);
}

template <class T>
inline void store_some(T* p, Vec<T> v, int64_t n) {
  n == lanes<T> ? store(p, v) : store_part(p, v, n);
}

// Adds the numbers x[0, count) to `moments`.
template <class T>
void add_run(Moments& moments, const T* x, int64_t count) {
  for (int64_t begin = 0; begin < count; begin += run_block) {
    const T* p = x + begin;
    const int64_t n = std::min(run_block, count - begin);
    double guess = moments.mean;
    if (moments.count == 0) {
      const int64_t first = std::min<int64_t>(n, 4 * lanes<T>);
      T sum[1];
      block_sums<T>(first, sum, [&](Vec<T>* terms, int64_t i, int64_t some) { terms[0] = load_some(p + i, some); });
      guess = double(sum[0]) / double(first);
    }
    const T shift = usable_shift<T>(guess, p[0]);
    const Vec<T> shifts = splat(shift);
    T sums[2];
    block_sums<T>(n, sums, [&](Vec<T>* terms, int64_t i, int64_t some) {
      terms[0] = load_some(p + i, some, shift) - shifts;
      terms[1] = terms[0] * terms[0];
    });
    const double total = sums[0], squares = sums[1];
    moments.merge(double(n), double(shift) + total / double(n), squares - total * (total / double(n)));
  }
}

// A cotangent in memory, read a vector (of `some` elements) at a time.
template <class T>
struct Cotangent {
  const T* g;
  Vec<T> operator()(int64_t at, int64_t some) const { return load_some(g + at, some); }
  Cotangent from(int64_t at) const { return {g + at}; }
};

// What a ReLU or clamp lets through of it: where v <= low is not so, and v < high, where there is a bound above. Without v all.
template <class T>
struct Gated {
  Cotangent<T> all;
  const T* v;
  T low, high;
  bool bounded;
  Vec<T> operator()(int64_t at, int64_t some) const {
    if (!v) return all(at, some);
    const Vec<T> value = load_some(v + at, some), g = all(at, some), open = select(value <= splat(low), Vec<T>{}, g);
    return bounded ? select((value > splat(low)) & (value < splat(high)), g, Vec<T>{}) : open;
  }
  Gated from(int64_t at) const { return {all.from(at), v ? v + at : nullptr, low, high, bounded}; }
};

// Adds sum(g) and sum(g * (x - mean)) over a run to `total` and `product`.
template <class T, class G>
void add_run_products(double& total, double& product, G g, const T* x, T mean, int64_t count) {
  const Vec<T> means = splat(mean);
  for (int64_t begin = 0; begin < count; begin += run_block) {
    T sums[2];
    block_sums<T>(std::min(run_block, count - begin), sums, [&](Vec<T>* terms, int64_t i, int64_t some) {
      terms[0] = g(begin + i, some);
      terms[1] = terms[0] * (load_some(x + begin + i, some, mean) - means);
    });
    total += double(sums[0]);
    product += double(sums[1]);
  }
}

// The two numbers that one place of a matrix adds to the sums of its column.
template <class T>
struct Terms {
  Vec<T> a, b;
};

// Adds what `terms(row, column, some, centre)` says of every place of `rows` rows to first and second [width], whose columns have
// `centre` [width].
template <class T, class Each>
void add_columns(int64_t rows, int64_t width, const T* centre, T* first, T* second, Each terms) {
  constexpr int64_t L = lanes<T>;
  auto add = [&](int64_t row, auto group) {
    constexpr int R = decltype(group)::value;
    for (int64_t j = 0; j < width; j += L) {
      const int64_t some = std::min(L, width - j);
      const Vec<T> centres = load_some(centre + j, some), a = load_some(first + j, some), b = load_some(second + j, some);
      Terms<T> each[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) each[r] = terms(row + r, j, some, centres);
      // In pairs: sums of as many rows as a block has, one by one, would round too often.
#pragma GCC unroll 8
      for (int half = R / 2; half > 0; half /= 2)
        for (int r = 0; r < half; r++) {
          each[r].a += each[r + half].a;
          each[r].b += each[r + half].b;
        }
      store_some(first + j, Vec<T>(a + each[0].a), some);
      store_some(second + j, Vec<T>(b + each[0].b), some);
    }
  };
  int64_t row = 0;
  for (; row + row_group <= rows; row += row_group) add(row, std::integral_constant<int, row_group>());
  for (; row < rows; row++) add(row, std::integral_constant<int, 1>());
}

// Moments of each column of x [rows, columns], `stride` elements from row to row. `mean` and `m2` [columns] are written;
// `work` holds 3 * min(columns, column_strip) elements.
template <class T>
void column_moments(const T* x, int64_t stride, int64_t rows, int64_t columns, double* mean, double* m2, T* work) {
  constexpr int64_t L = lanes<T>;
  std::fill(mean, mean + columns, 0.0);
  std::fill(m2, m2 + columns, 0.0);
  for (int64_t begin = 0; begin < rows; begin += row_block)
    for (int64_t strip = 0; strip < columns; strip += column_strip) {
      const int64_t n = std::min(row_block, rows - begin), width = std::min(column_strip, columns - strip);
      const T* p = x + begin * stride + strip;
      T *shift = work, *sum = work + width, *square = work + 2 * width;
      double *own_mean = mean + strip, *own_m2 = m2 + strip;
      if (begin == 0) {
        const int64_t first = std::min<int64_t>(n, row_group);
        for (int64_t j = 0; j < width; j += L) {
          const int64_t some = std::min(L, width - j);
          Vec<T> total = load_some(p + j, some);
          for (int64_t i = 1; i < first; i++) total += load_some(p + i * stride + j, some);
          store_some(shift + j, Vec<T>(total * splat(T(1) / T(first))), some);
        }
        for (int64_t j = 0; j < width; j++) shift[j] = usable_shift<T>(double(shift[j]), p[j]);
      } else {
        for (int64_t j = 0; j < width; j++) shift[j] = usable_shift<T>(own_mean[j], p[j]);
      }
      std::fill(sum, sum + 2 * width, T(0));
      add_columns(n, width, shift, sum, square, [=](int64_t i, int64_t j, int64_t some, Vec<T> centre) {
        const Vec<T> apart = load_some(p + i * stride + j, some) - centre;
        return Terms<T>{apart, apart * apart};
      });
      const double count = double(begin), here = double(n), inverse = 1 / here, share = 1 / (count + here);
      for (int64_t j = 0; j < width; j++) {
        const double total = sum[j], block_mean = shift[j] + total * inverse, apart = block_mean - own_mean[j];
        const double between = begin ? apart * apart * (count * here * share) : 0;
        own_m2[j] += (square[j] - total * total * inverse) + between;
        own_mean[j] = begin ? (own_mean[j] * count + block_mean * here) * share : block_mean;
      }
    }
}

// sum(g) and sum(g * (x - mean)) of each column of g and x [rows, columns]. `total` and `product` [columns] are written;
// `work` holds 2 * min(columns, column_strip) elements.
template <class T, class G>
void column_products(G g, const T* x, int64_t stride, int64_t rows, int64_t columns, const T* mean, double* total, double* product,
                     T* work) {
  std::fill(total, total + columns, 0.0);
  std::fill(product, product + columns, 0.0);
  for (int64_t begin = 0; begin < rows; begin += row_block)
    for (int64_t strip = 0; strip < columns; strip += column_strip) {
      const int64_t n = std::min(row_block, rows - begin), width = std::min(column_strip, columns - strip);
      const T *p = x + begin * stride + strip, *means = mean + strip;
      const G q = g.from(begin * stride + strip);
      T *sum = work, *moment = work + width;
      std::fill(sum, sum + 2 * width, T(0));
      add_columns(n, width, means, sum, moment, [=](int64_t i, int64_t j, int64_t some, Vec<T> centre) {
        const Vec<T> cotangent = q(i * stride + j, some);
        return Terms<T>{cotangent, cotangent * (load_some(p + i * stride + j, some) - centre)};
      });
      for (int64_t j = 0; j < width; j++) {
        total[strip + j] += double(sum[j]);
        product[strip + j] += double(moment[j]);
      }
    }
}

}  // namespace rushlight
