// What lies under a mask: nonzero, masked_select, masked_scatter.
//
// The true elements of every block are counted first, so that each block knows where it begins in the result (or in the
// source) and threads share the blocks. Within a block positions are collected without a branch on the mask.
#include <algorithm>
#include <vector>

#include "copy.h"
#include "index.h"
#include "iterate.h"
#include "kernel.h"

namespace rushlight {
namespace {

constexpr int64_t block = block_elements, piece = 1024;

int64_t count_true(const uint8_t* mask, int64_t n) {
  int64_t total = 0;
  for (int64_t begin = 0; begin < n; begin += 128) {  // bytes that do not overflow
    uint8_t part = 0;
    const int64_t end = std::min(n, begin + 128);
    for (int64_t i = begin; i < end; i++) part = uint8_t(part + (mask[i] != 0));
    total += part;
  }
  return total;
}

// Calls body(begin, end, number of true elements before) for the blocks of a mask; `starts` has one number more than blocks.
struct Blocks {
  const uint8_t* mask;
  int64_t n;
  std::vector<int64_t> starts;

  Blocks(const uint8_t* m, int64_t count) : mask(m), n(count), starts(size_t((count + block - 1) / block + 1)) {
    each([&](int64_t begin, int64_t end, int64_t) { starts[size_t(begin / block + 1)] = count_true(mask + begin, end - begin); });
    for (size_t b = 1; b < starts.size(); b++) starts[b] += starts[b - 1];
  }
  int64_t total() const { return starts.back(); }

  template <class Body>
  void each(Body&& body) const {
    const ReleaseGil released(n);
    auto one = [&](int64_t b) { body(b * block, std::min(n, (b + 1) * block), starts[size_t(b)]); };
    const int64_t blocks = int64_t(starts.size()) - 1;
    if (n <= serial_elements)
      for (int64_t b = 0; b < blocks; b++) one(b);
    else
      parallel(blocks, one);
  }
};

// The places of the true elements among `count` (at most `piece`); returns how many.
int64_t places(const uint8_t* mask, int64_t count, int32_t* found) {
  int64_t number = 0;
  for (int64_t i = 0; i < count; i++) {
    found[number] = int32_t(i);
    number += mask[i] != 0;
  }
  return number;
}

// `x` in row-major order, broadcast to `shape`; `copy` holds it where it had to be made.
bool spread(Array& x, int ndim, const npy_intp* shape, Owned& copy) {
  if (x.contiguous() && x.ndim == ndim && std::equal(shape, shape + ndim, x.shape)) return true;
  copy = Owned(new_array(ndim, shape, x.type));
  if (!copy) return false;
  const Array full = view_of(copy.get());
  copy_values(full, x);
  x = full;
  return true;
}

// Reads an array and a mask and brings both to the shape they broadcast to.
bool read_masked(PyObject* x_value, PyObject* mask_value, Array& x, Array& mask, Owned& x_copy, Owned& mask_copy) {
  if (!x_value || !mask_value || !x.read(x_value) || !mask.read(mask_value) || mask.type != Type::Bool) return false;
  const int ndim = std::max(x.ndim, mask.ndim);
  npy_intp shape[max_dims];
  for (int d = 0; d < ndim; d++) {
    const int a = d - (ndim - x.ndim), b = d - (ndim - mask.ndim);
    const npy_intp own = a < 0 ? 1 : x.shape[a], other = b < 0 ? 1 : mask.shape[b];
    if (own != other && own != 1 && other != 1) return false;
    shape[d] = own == 1 ? other : own;
  }
  return spread(x, ndim, shape, x_copy) && spread(mask, ndim, shape, mask_copy);
}

// ---- kernels ----

// "x": rows of indices, in row-major order.
PyObject* run_nonzero(PyObject* const* args) {
  Array x;
  if (!args[0] || !x.read(args[0]) || x.ndim == 0) return nullptr;
  Owned copy;
  if (x.type != Type::Bool || !x.contiguous()) {
    copy = converted(x, Type::Bool);
    if (!copy) return nullptr;
    x = view_of(copy.get());
  }
  const auto* mask = x.as<const uint8_t>();
  const Blocks blocks(mask, x.size());
  const npy_intp shape[] = {blocks.total(), x.ndim};
  PyObject* result = new_array(2, shape, Type::I64);
  if (!result || shape[0] == 0) return result;
  int64_t* y = view_of(result).as<int64_t>();
  const int ndim = x.ndim, last = ndim - 1;
  const int64_t width = x.shape[last];
  blocks.each([&](int64_t begin, int64_t end, int64_t before) {
    int32_t found[piece];
    int64_t* row = y + before * ndim;
    for (int64_t i = begin; i < end;) {  // parts of rows of the last dimension
      const int64_t column = i % width, count = std::min({end - i, width - column, piece});
      const int64_t number = places(mask + i, count, found);
      if (number > 0) {
        int64_t lead[max_dims], rest = i / width;
        for (int d = last - 1; d >= 0; d--) {
          lead[d] = rest % x.shape[d];
          rest /= x.shape[d];
        }
        for (int64_t k = 0; k < number; k++) {
          for (int d = 0; d < last; d++) row[d] = lead[d];
          row[last] = column + found[k];
          row += ndim;
        }
      }
      i += count;
    }
  });
  return result;
}

template <class T>
void select_masked(T* y, const T* x, const Blocks& blocks) {
  blocks.each([&](int64_t begin, int64_t end, int64_t before) {
    T found[piece];
    for (int64_t i = begin; i < end; i += piece) {
      const int64_t count = std::min(piece, end - i);
      int64_t number = 0;
      for (int64_t j = 0; j < count; j++) {
        found[number] = x[i + j];
        number += blocks.mask[i + j] != 0;
      }
      std::copy_n(found, number, y + before);
      before += number;
    }
  });
}

// "x mask"
PyObject* run_masked_select(PyObject* const* args) {
  Array x, mask;
  Owned x_copy, mask_copy;
  if (!read_masked(args[0], args[1], x, mask, x_copy, mask_copy) || x.itemsize() > 8) return nullptr;
  const Blocks blocks(mask.as<const uint8_t>(), mask.size());
  const npy_intp count = blocks.total();
  PyObject* result = new_array(1, &count, x.type);
  if (!result) return nullptr;
  const Array y = view_of(result);
  with_size(x.itemsize(), [&](auto element) {
    using T = decltype(element);
    select_masked(y.as<T>(), x.as<const T>(), blocks);
  });
  return result;
}

// T: integers, whose bits are chosen from: no branch to foresee.
template <class T>
void scatter_masked(T* y, const T* x, const T* source, int64_t last, const Blocks& blocks) {
  blocks.each([&](int64_t begin, int64_t end, int64_t before) {
    for (int64_t i = begin; i < end; i++) {
      const T other = source[std::min(before, last)];  // the one behind the last is not there
      const bool taken = blocks.mask[i] != 0;
      const T all = T(-int(taken));
      y[i] = T((other & all) | (x[i] & ~all));
      before += taken;
    }
  });
}

// "x mask source"
PyObject* run_masked_scatter(PyObject* const* args) {
  Array x, mask, source;
  Owned x_copy, mask_copy, source_copy;
  if (!args[2] || !source.read(args[2]) || !read_masked(args[0], args[1], x, mask, x_copy, mask_copy)) return nullptr;
  if (source.type != x.type || x.itemsize() > 8 || source.size() == 0 || !spread(source, source.ndim, source.shape, source_copy)) return nullptr;
  const Blocks blocks(mask.as<const uint8_t>(), mask.size());
  if (source.size() < blocks.total()) return decline();
  PyObject* result = new_array(x.ndim, x.shape, x.type);
  if (!result) return nullptr;
  const Array y = view_of(result);
  const int64_t last = source.size() - 1;
  with_size(x.itemsize(), [&](auto element) {
    using T = decltype(element);
    scatter_masked(y.as<T>(), x.as<const T>(), source.as<const T>(), last, blocks);
  });
  return result;
}

const Family family("mask", {
                                {"nonzero", "x", run_nonzero},
                                {"masked_select", "x mask", run_masked_select},
                                {"masked_scatter", "x mask source", run_masked_scatter},
                            });

}  // namespace
}  // namespace rushlight
