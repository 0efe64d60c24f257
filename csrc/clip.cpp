// Limiting gradients: the norm of a list of arrays as one vector, and scaling or clamping all of them in place.
//
// Lists of float32 or float64 arrays in any dense layout. The norm is one pass over the list in blocks of fixed size;
// sums are kept in float64, so it overflows only where its value does.
#include "kernel.h"
#include "lists.h"
#include "rows.h"
#include "trigonometry.h"

namespace rushlight {
namespace {

constexpr int sums_slot = 7;

// A running sum of float64 over vectors of T.
struct Total {
  Doubles sum[2] = {};

  template <class F>
  void add(Floats x, F&& term) {
    Doubles low, high;
    widen_lanes(x, low, high);
    sum[0] += term(low);
    sum[1] += term(high);
  }
  template <class F>
  void add(Doubles x, F&& term) {
    sum[0] += term(x);
  }
  double value() const { return sum_lanes<double>(sum[0] + sum[1]); }
};

template <class T, class F>
double sum_of(const T* x, int64_t count, F&& term) {
  constexpr int64_t L = lanes<T>;
  Total first, second;
  int64_t i = 0;
  for (; i + 2 * L <= count; i += 2 * L) {
    first.add(load(x + i), term);
    second.add(load(x + i + L), term);
  }
  for (; i < count; i += L) first.add(load_part(x + i, std::min(L, count - i)), term);
  return first.value() + second.value();
}

// The larger one; NaN once there is one.
double larger(double a, double b) { return b <= a || a != a ? a : b; }

template <class T>
double largest_of(const T* x, int64_t count) {
  constexpr int64_t L = lanes<T>;
  Vec<T> most{};
  for (int64_t i = 0; i < count; i += L) most = maximum(most, magnitude(load_part(x + i, std::min(L, count - i))));
  double found = 0;
  for (int64_t lane = 0; lane < L; lane++) found = larger(found, double(most[lane]));
  return found;
}

// The norm of order 1, 2 or infinity over all parts.
template <class T>
double norm_of(const Lists& lists, double p) {
  const int64_t blocks = lists.blocks();
  double* const parts = scratch<double>(sums_slot, std::max<int64_t>(1, blocks));
  std::fill_n(parts, blocks, 0.0);
  lists.each<T>(1, [&](const Member&, T* const* at, int64_t block, int64_t count) {
    if (p == 2)
      parts[block] += sum_of(at[0], count, [](Doubles x) { return x * x; });
    else if (p == 1)
      parts[block] += sum_of(at[0], count, [](Doubles x) { return magnitude(x); });
    else
      parts[block] = larger(parts[block], largest_of(at[0], count));
  });
  double total = 0;
  for (int64_t block = 0; block < blocks; block++) total = p == 1 || p == 2 ? total + parts[block] : larger(total, parts[block]);
  return p == 2 ? std::sqrt(total) : total;
}

// "arrays p"
PyObject* total_norm(PyObject* const* args) {
  double p;
  Lists lists;
  if (!read_double(args[1], p) || !(p == 1 || p == 2 || p == std::numeric_limits<double>::infinity())) return decline();
  if (!lists.read(args, 1, 0) || lists.members == 0 || (p != 2 && (lists.complex() || lists.any_empty()))) return decline();
  const double found = lists.lane() == Type::F32 ? norm_of<float>(lists, p) : norm_of<double>(lists, p);
  PyObject* const result = new_array(0, nullptr, lists.lane());
  if (!result) return nullptr;
  const Array array = view_of(result);
  if (lists.lane() == Type::F32)
    *array.as<float>() = float(found);
  else
    *array.as<double>() = found;
  return result;
}

// Writes operation(x) over every element of the list.
template <class F>
PyObject* change_all(const Lists& lists, F&& operation) {
  const auto change = [&]<class T>(T) {
    lists.each<T>(1, [&](const Member&, T* const* at, int64_t, int64_t count) {
      T* const x = at[0];
      each_vector<T>(count, [&](int64_t i, auto n) { store<T>(x + i, operation(load<T>(x + i, n)), n); });
    });
  };
  if (lists.lane() == Type::F32)
    change(0.0f);
  else
    change(0.0);
  Py_RETURN_NONE;
}

// "arrays factor"
PyObject* scale_all(PyObject* const* args) {
  double factor;
  Lists lists;
  if (!read_double(args[1], factor) || !lists.read(args, 1, 1)) return decline();
  if (factor == 1) Py_RETURN_NONE;
  return change_all(lists, [factor](auto x) { return x * Lane<decltype(x)>(factor); });
}

// "arrays low high"
PyObject* clamp_all(PyObject* const* args) {
  double low, high;
  Lists lists;
  if (!read_double(args[1], low) || !read_double(args[2], high) || !(low <= high)) return decline();
  if (!lists.read(args, 1, 1) || lists.complex()) return decline();
  return change_all(lists, [low, high](auto x) {
    using T = Lane<decltype(x)>;
    return bounded(x, T(low), T(high));
  });
}

const Family family("clip", {
                                {"total_norm", "arrays p", total_norm},
                                {"scale_all", "arrays factor", scale_all},
                                {"clamp_all", "arrays low high", clamp_all},
                            });

}  // namespace
}  // namespace rushlight
