// Running sums and products along one dimension: cumsum, cumprod.
//
// Row-major arrays are [outer, n, inner]. Every result is the double (integers: 64-bit) total so far, rounded once. With
// inner > 1 neighbouring columns run side by side. With inner = 1 four numbers at a time are added up before they meet the
// total, so that the chain of additions is a quarter as long; a long row is cut into blocks of 32K elements: their totals
// first, then every block from the total before it, so that threads share it.
#include "iterate.h"
#include "kernel.h"
#include "owned.h"
#include "relayout.h"
#include "vec.h"

namespace rushlight {
namespace {

constexpr int64_t strip = 256;  // columns that run side by side

struct Add {
  template <class A>
  static A start() {
    return A(0);
  }
  template <class A>
  static A of(A a, A b) {
    return a + b;
  }
};
struct Multiply {
  template <class A>
  static A start() {
    return A(1);
  }
  template <class A>
  static A of(A a, A b) {
    return a * b;
  }
};

// Continues the running total of a row.
template <class Op, class T, class A>
void scan_run(T* y, const T* x, int64_t n, A total) {
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const A a = A(x[i]), b = Op::of(a, A(x[i + 1])), second = A(x[i + 2]), c = Op::of(b, second), d = Op::of(b, Op::of(second, A(x[i + 3])));
    y[i] = T(Op::of(total, a));
    y[i + 1] = T(Op::of(total, b));
    y[i + 2] = T(Op::of(total, c));
    total = Op::of(total, d);
    y[i + 3] = T(total);
  }
  for (; i < n; i++) y[i] = T(total = Op::of(total, A(x[i])));
}

template <class Op, class T, class A>
A total_of(const T* x, int64_t n) {
  constexpr int64_t chains = 8;
  A part[chains];
  for (A& p : part) p = Op::template start<A>();
  int64_t i = 0;
  for (; i + chains <= n; i += chains)
    for (int64_t k = 0; k < chains; k++) part[k] = Op::of(part[k], A(x[i + k]));
  for (; i < n; i++) part[0] = Op::of(part[0], A(x[i]));
  for (int64_t k = 1; k < chains; k++) part[0] = Op::of(part[0], part[k]);
  return part[0];
}

template <class Op, class T, class A>
void scan_columns(T* y, const T* x, int64_t n, int64_t inner, int64_t width) {
  A total[strip];
  for (int64_t j = 0; j < width; j++) total[j] = Op::template start<A>();
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < width; j++) {
      total[j] = Op::of(total[j], A(x[i * inner + j]));
      y[i * inner + j] = T(total[j]);
    }
}

template <class Op, class T, class A>
void scan(T* y, const T* x, int64_t outer, int64_t n, int64_t inner) {
  const bool small = outer * n * inner <= serial_elements;
  if (inner > 1) {
    const int64_t strips = (inner + strip - 1) / strip;
    auto columns = [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; unit++) {
        const int64_t from = unit % strips * strip, at = unit / strips * n * inner + from;
        scan_columns<Op, T, A>(y + at, x + at, n, inner, std::min(strip, inner - from));
      }
    };
    if (small) return columns(0, outer * strips);
    return parallel_range(outer * strips, std::max<int64_t>(1, serial_elements / (n * std::min(strip, inner))), columns);
  }
  if (n < 4 * block_elements) {
    auto rows = [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; row++) scan_run<Op, T, A>(y + row * n, x + row * n, n, Op::template start<A>());
    };
    if (small) return rows(0, outer);
    return parallel_range(outer, std::max<int64_t>(1, serial_elements / n), rows);
  }
  const int64_t pieces = (n + block_elements - 1) / block_elements;
  A* totals = scratch<A>(0, outer * pieces);
  parallel(outer * pieces, [&](int64_t unit) {
    const int64_t begin = unit % pieces * block_elements;
    totals[unit] = total_of<Op, T, A>(x + unit / pieces * n + begin, std::min(block_elements, n - begin));
  });
  for (int64_t row = 0; row < outer; row++) {
    A before = Op::template start<A>();
    for (int64_t unit = row * pieces; unit < (row + 1) * pieces; unit++) {
      const A own = totals[unit];
      totals[unit] = before;
      before = Op::of(before, own);
    }
  }
  parallel(outer * pieces, [&](int64_t unit) {
    const int64_t begin = unit % pieces * block_elements, at = unit / pieces * n + begin;
    scan_run<Op, T, A>(y + at, x + at, std::min(block_elements, n - begin), totals[unit]);
  });
}

template <class Op>
PyObject* entry(PyObject* const* args) {
  Array x;
  int64_t dim;
  if (!x.read(args[0]) || x.ndim == 0 || x.size() == 0 || !read_int(args[1], dim) || dim < 0 || dim >= x.ndim) return decline();
  if (!plain_float(x.type) && x.type != Type::I64) return decline();
  if (given(args[2])) {
    if (!PyArray_DescrCheck(args[2]) || reinterpret_cast<PyArray_Descr*>(args[2])->type_num != type_number(x.type)) return decline();
  }
  Owned held;
  if (!x.contiguous()) {
    const Array source = x;
    if (!(held = relaid(source, nullptr, x))) return nullptr;
  }
  Owned made(new_array(x.ndim, x.shape, x.type));
  if (!made) return nullptr;
  int64_t outer = 1, inner = 1;
  for (int d = 0; d < x.ndim; d++)
    if (d != dim) (d < dim ? outer : inner) *= x.shape[d];
  const int64_t n = x.shape[dim];
  const Array y = view_of(made.get());
  const ReleaseGil released(x.size());
  switch (x.type) {
    case Type::F32: scan<Op, float, double>(y.as<float>(), x.as<float>(), outer, n, inner); break;
    case Type::F64: scan<Op, double, double>(y.as<double>(), x.as<double>(), outer, n, inner); break;
    default: scan<Op, int64_t, int64_t>(y.as<int64_t>(), x.as<int64_t>(), outer, n, inner); break;
  }
  return made.give();
}

const Family family("scan", {{"cumsum", "x dim dtype", entry<Add>}, {"cumprod", "x dim dtype", entry<Multiply>}});

}  // namespace
}  // namespace rushlight
