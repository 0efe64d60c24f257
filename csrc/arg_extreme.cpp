// The largest (smallest) elements along a dimension with their places: argmax, argmin, max_dim, min_dim.
//
// The first of equal elements counts; NaN is greater (smaller) than everything. Row-major arrays are [outer, n, inner]. With
// inner = 1 a row is searched twice in cache, for the value and then for its place; a long row is cut into blocks of 32K
// elements whose winners meet in order. Else vectors of neighbouring columns carry value and place along.
#include <limits>

#include "iterate.h"
#include "kernel.h"
#include "owned.h"
#include "relayout.h"
#include "vec.h"

namespace rushlight {
namespace {

constexpr int64_t short_row = 16, tile_rows = 64;  // rows shorter than this are turned into columns, so many at a time

template <class T, bool largest>
struct Search {
  using V = Vec<T>;
  using Place = Mask<T>;

  static constexpr T worst() {
    if constexpr (std::is_floating_point_v<T>) return largest ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::infinity();
    return largest ? std::numeric_limits<T>::lowest() : std::numeric_limits<T>::max();
  }
  // Whether x takes the place of the best so far.
  template <class X>
  static auto beats(X x, X best) {
    return (largest ? x > best : x < best) | ((x != x) & (best == best));
  }

  static T best_of(const T* x, int64_t n) {
    constexpr int64_t L = lanes<T>;
    constexpr int chains = 4;
    V best[chains];
#pragma GCC unroll 4
    for (V& b : best) b = splat(worst());
    int64_t i = 0;
    for (; i + chains * L <= n; i += chains * L)
#pragma GCC unroll 4
      for (int c = 0; c < chains; c++) {
        const V v = load(x + i + c * L);
        best[c] = beats(v, best[c]) ? v : best[c];
      }
    for (; i < n; i += L) {
      const V v = i + L <= n ? load(x + i) : load_part(x + i, n - i, worst());
      best[0] = beats(v, best[0]) ? v : best[0];
    }
    auto better = [](auto a, auto b) { return beats(b, a) ? b : a; };
    return join_lanes<T>(better(better(best[0], best[1]), better(best[2], best[3])), better);
  }
  static int64_t place_of(const T* x, int64_t n, T value) {
    if (value != value) {
      for (int64_t i = 0; i < n; i++)
        if (x[i] != x[i]) return i;
      return 0;
    }
    constexpr int64_t step = 64;  // compared at once, without a branch for each
    int64_t i = 0;
    for (; i + step <= n; i += step) {
      int found = 0;
      for (int64_t k = 0; k < step; k++) found |= x[i + k] == value;
      if (found) break;
    }
    while (i < n - 1 && x[i] != value) i++;
    return i;
  }

  // Value and place in a row.
  static void row(const T* x, int64_t n, T& value, int64_t& place) {
    value = best_of(x, n);
    place = place_of(x, n, value);
  }

  // The same of `some` neighbouring columns.
  static void columns(const T* x, int64_t n, int64_t inner, int64_t some, T* value, int64_t* place) {
    auto row = [&](int64_t i) { return some == lanes<T> ? load(x + i * inner) : load_part(x + i * inner, some); };
    V best = row(0);
    Vec<Place> at{};
    for (int64_t i = 1; i < n; i++) {
      const V v = row(i);
      const auto better = beats(v, best);
      best = better ? v : best;
      at = better ? splat(Place(i)) : at;
    }
    Place places[lanes<T>];
    store(places, at);
    if (value) some == lanes<T> ? store(value, best) : store_part(value, best, some);
    for (int64_t j = 0; j < some; j++) place[j] = places[j];
  }
};

// Fills in values (which may be null) and places of an array [outer, n, inner].
template <class T, bool largest>
void search(const T* x, int64_t outer, int64_t n, int64_t inner, T* values, int64_t* places) {
  using S = Search<T, largest>;
  constexpr int64_t L = lanes<T>;
  if (inner > 1) {
    const int64_t strips = (inner + L - 1) / L;
    auto strip = [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; unit++) {
        const int64_t from = unit % strips * L, to = unit / strips * inner + from;
        S::columns(x + unit / strips * n * inner + from, n, inner, std::min(L, inner - from), values ? values + to : nullptr, places + to);
      }
    };
    if (outer * n * inner <= serial_elements) return strip(0, outer * strips);
    return parallel_range(outer * strips, std::max<int64_t>(1, serial_elements / (n * L)), strip);
  }
  if (n < short_row && outer >= tile_rows) {
    // Turned into columns, a tile at a time.
    auto tiles = [&](int64_t begin, int64_t end) {
      T tile[short_row * tile_rows];
      for (int64_t first = begin; first < end; first += tile_rows) {
        const int64_t rows = std::min(tile_rows, end - first);
        for (int64_t i = 0; i < rows; i++)
          for (int64_t k = 0; k < n; k++) tile[k * tile_rows + i] = x[(first + i) * n + k];
        for (int64_t i = 0; i < rows; i += L)
          S::columns(tile + i, n, tile_rows, std::min(L, rows - i), values ? values + first + i : nullptr, places + first + i);
      }
    };
    if (outer * n <= serial_elements) return tiles(0, outer);
    return parallel_range(outer, serial_elements, tiles);
  }
  if (n >= 2 * block_elements) {
    const int64_t pieces = (n + block_elements - 1) / block_elements;
    T* value = scratch<T>(0, outer * pieces);
    int64_t* place = scratch<int64_t>(1, outer * pieces);
    parallel(outer * pieces, [&](int64_t unit) {
      const int64_t begin = unit % pieces * block_elements;
      S::row(x + unit / pieces * n + begin, std::min(block_elements, n - begin), value[unit], place[unit]);
      place[unit] += begin;
    });
    for (int64_t o = 0; o < outer; o++) {
      int64_t best = o * pieces;
      for (int64_t unit = best + 1; unit < (o + 1) * pieces; unit++)
        if (S::beats(value[unit], value[best])) best = unit;
      if (values) values[o] = value[best];
      places[o] = place[best];
    }
    return;
  }
  auto rows = [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; o++) {
      T value;
      S::row(x + o * n, n, value, places[o]);
      if (values) values[o] = value;
    }
  };
  if (outer * n <= serial_elements) return rows(0, outer);
  parallel_range(outer, std::max<int64_t>(1, serial_elements / n), rows);
}

template <bool largest>
bool run(const Array& x, int64_t outer, int64_t n, int64_t inner, char* values, int64_t* places) {
  const ReleaseGil released(x.size());
  switch (x.type) {
    case Type::F32: search<float, largest>(x.as<float>(), outer, n, inner, reinterpret_cast<float*>(values), places); return true;
    case Type::F64: search<double, largest>(x.as<double>(), outer, n, inner, reinterpret_cast<double*>(values), places); return true;
    default: search<int64_t, largest>(x.as<int64_t>(), outer, n, inner, reinterpret_cast<int64_t*>(values), places); return true;
  }
}

// Along one dimension, or (dim None) over all of them; with the values where they are wanted.
template <bool largest>
PyObject* find(PyObject* const* args, bool with_values) {
  Array x;
  int64_t dim = 0;
  bool keepdim = false;
  if (!x.read(args[0]) || x.ndim == 0 || x.size() == 0) return decline();
  if (!plain_float(x.type) && x.type != Type::I64) return decline();
  const bool everywhere = !given(args[1]);
  if ((everywhere && with_values) || (!everywhere && !read_int(args[1], dim)) || dim < 0 || dim >= x.ndim) return decline();
  if (args[2] && !read_bool(args[2], keepdim)) return decline();
  Owned held;
  if (!x.contiguous()) {
    const Array source = x;
    if (!(held = relaid(source, nullptr, x))) return nullptr;
  }
  int64_t outer = 1, n = 1, inner = 1;
  npy_intp shape[max_dims];
  int ndim = 0;
  for (int d = 0; d < x.ndim; d++) {
    const bool reduced = everywhere || d == dim;
    (reduced ? n : d < dim ? outer : inner) *= x.shape[d];
    if (!reduced || keepdim) shape[ndim++] = reduced ? 1 : x.shape[d];
  }
  if (n > std::numeric_limits<int32_t>::max() && inner > 1) return decline();  // places travel in lanes as wide as the elements
  Owned values, places(new_array(ndim, shape, Type::I64));
  if (with_values) values = Owned(new_array(ndim, shape, x.type));
  if (!places || (with_values && !values)) return nullptr;
  run<largest>(x, outer, n, inner, with_values ? view_of(values.get()).data : nullptr, view_of(places.get()).as<int64_t>());
  return with_values ? tuple_of(values, places) : places.give();
}

template <bool largest>
PyObject* place(PyObject* const* args) {
  return find<largest>(args, false);
}

template <bool largest>
PyObject* value_and_place(PyObject* const* args) {
  return find<largest>(args, true);
}

const Family family("arg_extreme", {
                                       {"argmax", "x dim keepdim", place<true>},
                                       {"argmin", "x dim keepdim", place<false>},
                                       {"max_dim", "x dim keepdim", value_and_place<true>},
                                       {"min_dim", "x dim keepdim", value_and_place<false>},
                                   });

}  // namespace
}  // namespace rushlight
