// Constant padding, and cropping (its gradient): rows of the result are filled, copied, filled.
//
// Trailing dimensions that are not padded are part of the elements. Threads share rows.
#include <algorithm>
#include <cmath>

#include "copy.h"
#include "index.h"
#include "iterate.h"
#include "kernel.h"

namespace rushlight {
namespace {

struct Frame {
  int ndim = 0;                                          // up to the last padded dimension
  int64_t shape[max_dims], before[max_dims];             // of the result
  int64_t source[max_dims];                              // lengths of x
  int64_t inner = 1;                                     // bytes of an element: the dimensions that are not padded
};

// Fills `count` elements of `size` bytes.
void fill_run(char* y, int64_t count, const char* element, int64_t size) {
  with_size(size, [&](auto value) {
    std::memcpy(&value, element, sizeof value);
    std::fill_n(reinterpret_cast<decltype(value)*>(y), count, value);
  });
}

void pad_rows(char* y, const char* x, const Frame& frame, const char* element, int64_t size, int64_t begin, int64_t end) {
  const int last = frame.ndim - 1;
  const int64_t length = frame.shape[last], width = length * frame.inner;
  const int64_t from = std::clamp<int64_t>(frame.before[last], 0, length);
  const int64_t to = std::clamp<int64_t>(frame.before[last] + frame.source[last], from, length);
  for (int64_t row = begin; row < end; row++) {
    int64_t rest = row, source = 0, step = 1;
    bool inside = true;
    for (int d = last - 1; d >= 0; d--) {
      const int64_t index = rest % frame.shape[d] - frame.before[d];
      rest /= frame.shape[d];
      inside &= index >= 0 && index < frame.source[d];
      source += index * step;
      step *= frame.source[d];
    }
    char* line = y + row * width;
    if (!inside) {
      fill_run(line, width / size, element, size);
      continue;
    }
    fill_run(line, from * frame.inner / size, element, size);
    const int64_t skipped = from - frame.before[last];  // of x, where it is cropped
    if (to > from) copy_slice(line + from * frame.inner, x + (source * frame.source[last] + skipped) * frame.inner, (to - from) * frame.inner);
    fill_run(line + to * frame.inner, (length - to) * frame.inner / size, element, size);
  }
}

// The number as an element of `type`; false where the conversion is for NumPy to make.
bool element_of(PyObject* value, Type type, char* element) {
  double real = 0;
  if (value && !((PyLong_Check(value) || PyFloat_CheckExact(value)) && read_double(value, real))) return false;
  std::memset(element, 0, 8);
  const float single = float(real);
  if (real == 0 && !std::signbit(real)) return true;
  if (type == Type::F32) std::memcpy(element, &single, sizeof single);
  if (type == Type::F64) std::memcpy(element, &real, sizeof real);
  return plain_float(type);
}

PyObject* padded(PyObject* x_value, PyObject* pads_value, PyObject* value, int64_t sign) {
  Array x;
  int64_t pads[max_dims];
  int count;
  char element[8];
  if (!x_value || !x.read(x_value) || !read_ints(pads_value, pads, count) || count % 2 || count / 2 > x.ndim || count == 0) return nullptr;
  const int64_t size = x.itemsize();
  if (size > 8 || !element_of(value, x.type, element)) return decline();
  npy_intp shape[max_dims];
  Frame frame;
  frame.inner = size;
  for (int d = x.ndim - 1; d >= 0; d--) {
    const int pair = 2 * (x.ndim - 1 - d);
    const int64_t before = pair < count ? sign * pads[pair] : 0, after = pair < count ? sign * pads[pair + 1] : 0;
    if (std::abs(before) > (int64_t(1) << 40) || std::abs(after) > (int64_t(1) << 40)) return decline();
    shape[d] = x.shape[d] + before + after;
    if (shape[d] < 0) return decline();
    if (frame.ndim == 0 && d > 0 && before == 0 && after == 0) {
      frame.inner *= x.shape[d];
      continue;
    }
    frame.ndim = std::max(frame.ndim, d + 1);
    frame.shape[d] = shape[d];
    frame.before[d] = before;
    frame.source[d] = x.shape[d];
  }
  Owned dense;
  if (!x.contiguous()) {
    dense = Owned(new_array(x.ndim, x.shape, x.type));
    if (!dense) return nullptr;
    const Array copy = view_of(dense.get());
    copy_values(copy, x);
    x = copy;
  }
  PyObject* result = new_array(x.ndim, shape, x.type);
  if (!result) return nullptr;
  const Array y = view_of(result);
  if (y.size() == 0) return result;
  const int64_t width = frame.shape[frame.ndim - 1] * frame.inner, rows = y.size() * size / width, bytes = y.size() * size;
  const ReleaseGil released(y.size());
  auto some = [&](int64_t begin, int64_t end) { pad_rows(y.data, x.data, frame, element, size, begin, end); };
  if (bytes <= 4 * serial_elements)
    some(0, rows);
  else
    parallel_range(rows, std::max<int64_t>(1, 4 * block_elements / width), some);
  return result;
}

// "x pads value", "grad pads"
PyObject* run_constant_pad(PyObject* const* args) { return padded(args[0], args[1], args[2], 1); }
PyObject* run_constant_pad_backward(PyObject* const* args) { return padded(args[0], args[1], nullptr, -1); }

const Family family("pad", {
                               {"constant_pad", "x pads value", run_constant_pad},
                               {"constant_pad_backward", "grad pads", run_constant_pad_backward},
                           });

}  // namespace
}  // namespace rushlight
