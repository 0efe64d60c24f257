// Convolutions onto few channels: the gradient of an image, a decoder's last layer.
//
// With 3 channels in the result, 13 of 16 lanes of the direct method would idle. So every source pixel is multiplied with
// the matrices of all taps at once, [depth] x [taps * channels], which fills the lanes, and the products are added to the
// positions they belong to: for each row of taps one run of memory. Serves the gradient of the input, and the forward pass
// with stride 1, which is the same with the kernel turned.
#include <algorithm>
#include <cstring>

#include "conv.h"
#include "microkernel.h"
#include "parallel.h"

namespace rushlight::conv {
namespace {

constexpr int64_t most_channels = 8, least_depth = 4, least_taps = 4, most_columns = 4096;
// Lines of the result of one task, where an image is cut at all.
constexpr int64_t band_lines = 32;
constexpr int64_t few_images = 4;

template <class T>
struct Spread {
  int64_t images, depth, channels;          // of the source, of the result
  int64_t from[3], to[3], kernel[3];        // positions of the source, of the result, taps
  int64_t stride[3], dilation[3], shift[3];  // source position q meets the result at q * stride + tap * dilation - shift
  Maps<const T> source;
  T* result;
  const T* bias;
  const T* packed;  // [panel][depth][width], columns (tap, channel)

  int64_t columns() const { return kernel[0] * kernel[1] * kernel[2] * channels; }
  int64_t panels() const { return (columns() + tile_columns<T> - 1) / tile_columns<T>; }
  // The dimension that tasks cut, and the length of a piece.
  int cut() const { return to[0] > 1 ? 0 : 1; }
  int64_t piece() const { return images >= few_images ? to[cut()] : band_lines; }
  int64_t pieces() const { return (to[cut()] + piece() - 1) / piece(); }

  void run(int64_t task) const;
  void clear(int64_t image, const int64_t (&begin)[2], const int64_t (&end)[2]) const;
  void multiply(const T* pixels, T* products, int64_t pitch) const;
  void add_row(const T* products, int64_t pitch, T* line) const;
};

// Sets the result's lines [begin, end) to the bias or zero.
template <class T>
void Spread<T>::clear(int64_t image, const int64_t (&begin)[2], const int64_t (&end)[2]) const {
  const int64_t line = to[2] * channels;
  for (int64_t d = begin[0]; d < end[0]; d++)
    for (int64_t h = begin[1]; h < end[1]; h++) {
      T* const at = result + ((image * to[0] + d) * to[1] + h) * line;
      if (bias)
        for (int64_t i = 0; i < line; i++) at[i] = bias[i % channels];
      else
        std::memset(at, 0, size_t(line) * sizeof(T));
    }
}

// All products of one line of source pixels.
template <class T>
void Spread<T>::multiply(const T* pixels, T* products, int64_t pitch) const {
  const int64_t count = from[2], tiles = (count + tile_rows - 1) / tile_rows, all = columns();
  const Finish<T> finish;
  for (int64_t panel = 0; panel < panels(); panel++) {
    const int64_t start = panel * tile_columns<T>, here = std::min(tile_columns<T>, all - start), width = panel_width<T>(here);
    Tap<T> tap;
    tap.b = packed + start * depth;
    for (int64_t tile = 0; tile < tiles; tile++) {
      const int64_t first = count * tile / tiles, rows = count * (tile + 1) / tiles - first;
      T* c[tile_rows];
      for (int64_t r = 0; r < rows; r++) {
        tap.a[r] = pixels + (first + r) * source.step[2];
        c[r] = products + (first + r) * pitch + start;
      }
      tile_kernel<T>(rows, here)(1, &tap, depth, width, c, here, finish);
    }
  }
}

// Adds the products of one row of taps to a line of the result.
template <class T>
void Spread<T>::add_row(const T* products, int64_t pitch, T* line) const {
  constexpr int64_t L = lanes<T>;
  const int64_t run = dilation[2] == 1 ? kernel[2] * channels : channels, runs = dilation[2] == 1 ? 1 : kernel[2];
  const int64_t length = to[2] * channels, step = stride[2] * channels;
  // Runs of neighbouring pixels overlap: those of one turn do not, or each load would wait for the store before it.
  const int64_t turns = (run + step - 1) / step;
  for (int64_t k = 0; k < runs; k++)
    for (int64_t turn = 0; turn < turns; turn++)
      for (int64_t w = turn; w < from[2]; w += turns) {
        const int64_t start = (w * stride[2] + k * dilation[2] - shift[2]) * channels;
        const int64_t low = std::max<int64_t>(0, -start), high = std::min(run, length - start);
        const T* const add = products + w * pitch + k * channels;
        int64_t i = low;
        for (; i + L <= high; i += L) store(line + start + i, load(line + start + i) + load(add + i));
        if (i < high) store_first(line + start + i, load_first(line + start + i, high - i) + load_first(add + i, high - i), high - i);
      }
}

template <class T>
void Spread<T>::run(int64_t task) const {
  const int64_t image = task / pieces(), pitch = panel_width<T>(columns());
  int64_t begin[2] = {0, 0}, end[2] = {to[0], to[1]}, first[2] = {0, 0}, last[2] = {from[0], from[1]};
  const int axis = cut();
  begin[axis] = task % pieces() * piece();
  end[axis] = std::min(to[axis], begin[axis] + piece());
  // Source positions that meet the piece.
  const int64_t low = begin[axis] + shift[axis] - (kernel[axis] - 1) * dilation[axis], high = end[axis] - 1 + shift[axis];
  first[axis] = low <= 0 ? 0 : (low + stride[axis] - 1) / stride[axis];
  last[axis] = high < 0 ? 0 : std::min(from[axis], high / stride[axis] + 1);
  T* const products = scratch<T>(4, from[2] * pitch);
  clear(image, begin, end);
  for (int64_t d = first[0]; d < last[0]; d++)
    for (int64_t h = first[1]; h < last[1]; h++) {
      multiply(source.data + image * source.image + d * source.step[0] + h * source.step[1], products, pitch);
      for (int64_t kd = 0; kd < kernel[0]; kd++)
        for (int64_t kh = 0; kh < kernel[1]; kh++) {
          const int64_t at_d = d * stride[0] + kd * dilation[0] - shift[0], at_h = h * stride[1] + kh * dilation[1] - shift[1];
          if (at_d < begin[0] || at_d >= end[0] || at_h < begin[1] || at_h >= end[1]) continue;
          add_row(products + (kd * kernel[1] + kh) * kernel[2] * channels, pitch, result + ((image * to[0] + at_d) * to[1] + at_h) * to[2] * channels);
        }
    }
}

// Columns (tap, channel) of the weight [outputs][channels][taps] in panels; turned: depth runs over channels, the result's
// channels over outputs, taps backwards.
template <class T>
void pack(const Geometry& shape, const T* w, bool turned, T* packed) {
  const int64_t taps = shape.taps(), depth = turned ? shape.channels : shape.outputs, channels = turned ? shape.outputs : shape.channels;
  const int64_t all = taps * channels;
  for (int64_t start = 0; start < all; start += tile_columns<T>) {
    const int64_t here = std::min(tile_columns<T>, all - start), width = panel_width<T>(here);
    T* const panel = packed + start * depth;
    for (int64_t k = 0; k < depth; k++)
      for (int64_t j = 0; j < width; j++) {
        const int64_t tap = (start + j) / channels, c = (start + j) % channels;
        panel[k * width + j] = j >= here ? T(0) : turned ? w[(c * depth + k) * taps + taps - 1 - tap] : w[(k * channels + c) * taps + tap];
      }
  }
}

template <class T>
void spread(const Geometry& shape, Spread<T>& job, const T* w, bool turned) {
  const Buffer memory(size_t(panel_width<T>(job.columns()) * job.depth) * sizeof(T));
  job.packed = memory.as<T>();
  const ReleaseGil released(int64_t(shape.work()));
  pack(shape, w, turned, memory.as<T>());
  run_tasks(job.images * job.pieces(), shape.work(), [&](int64_t task) { job.run(task); });
}

}  // namespace

bool narrow_suits(const Geometry& shape, Pass pass) {
  if (shape.groups != 1 || shape.taps() < least_taps) return false;
  const bool forward = pass == Pass::forward;
  for (int i = 0; i < 3 && forward; i++)
    if (shape.stride[i] != 1) return false;
  const int64_t channels = forward ? shape.outputs : shape.channels, depth = forward ? shape.channels : shape.outputs;
  return channels <= most_channels && depth >= least_depth && shape.taps() * channels <= most_columns;
}

template <class T>
void narrow_forward(const Geometry& shape, const Maps<const T>& x, const T* w, const T* bias, const Maps<T>& y) {
  Spread<T> job{shape.images, shape.channels, shape.outputs, {}, {}, {}, {}, {}, {}, x, y.data, bias, nullptr};
  for (int i = 0; i < 3; i++) {
    job.from[i] = shape.in[i];
    job.to[i] = shape.out[i];
    job.kernel[i] = shape.kernel[i];
    job.stride[i] = 1;
    job.dilation[i] = shape.dilation[i];
    job.shift[i] = (shape.kernel[i] - 1) * shape.dilation[i] - shape.padding[i];
  }
  spread(shape, job, w, true);
}

template <class T>
void narrow_backward(const Geometry& shape, const Maps<const T>& g, const T* w, const Maps<T>& gx) {
  Spread<T> job{shape.images, shape.outputs, shape.channels, {}, {}, {}, {}, {}, {}, g, gx.data, nullptr, nullptr};
  for (int i = 0; i < 3; i++) {
    job.from[i] = shape.out[i];
    job.to[i] = shape.in[i];
    job.kernel[i] = shape.kernel[i];
    job.stride[i] = shape.stride[i];
    job.dilation[i] = shape.dilation[i];
    job.shift[i] = shape.padding[i];
  }
  spread(shape, job, w, false);
}

template void narrow_forward(const Geometry&, const Maps<const float>&, const float*, const float*, const Maps<float>&);
template void narrow_forward(const Geometry&, const Maps<const double>&, const double*, const double*, const Maps<double>&);
template void narrow_backward(const Geometry&, const Maps<const float>&, const float*, const Maps<float>&);
template void narrow_backward(const Geometry&, const Maps<const double>&, const double*, const Maps<double>&);

}  // namespace rushlight::conv
