// What the files of the convolution family share: the shape of one convolution, activations with channels innermost, and
// the methods that conv.cpp chooses from.
//
// One, two and three spatial dimensions are all treated as three, with leading ones. Inside the family activations always
// lie channels innermost ([N, D, H, W, C] in memory); weights stay as they are stored, [O, C / groups, KD, KH, KW], and are
// packed by each call. A "tap" is one position of the kernel, t = (kd * KH + kh) * KW + kw.
#pragma once
#include <cstddef>
#include <cstdint>

#include "array.h"
#include "parallel.h"
#include "pool.h"

namespace rushlight::conv {

struct Geometry {
  int64_t images = 1, channels = 1, outputs = 1, groups = 1;
  int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1}, kernel[3] = {1, 1, 1};
  int64_t stride[3] = {1, 1, 1}, padding[3] = {0, 0, 0}, dilation[3] = {1, 1, 1};
  // With few channels and the padding stored, the taps along the last dimension lie side by side in memory: `merged` of
  // them count as one tap of merged * channels channels, kernel[2] is 1.
  int64_t merged = 1;

  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  int64_t in_positions() const { return in[0] * in[1] * in[2]; }
  int64_t out_positions() const { return out[0] * out[1] * out[2]; }
  int64_t group_channels() const { return channels / groups; }
  int64_t group_outputs() const { return outputs / groups; }
  // Multiply-adds, those with padding included.
  double work() const { return double(images) * double(out_positions()) * double(outputs) * double(group_channels() * taps()); }
};

// Activations with channels innermost: element (n, d, h, w, c) at data[n * image + d * step[0] + h * step[1] + w * step[2] + c].
template <class T>
struct Maps {
  T* data = nullptr;
  int64_t image = 0, step[3] = {0, 0, 0};
};

// Dense maps of `size` positions and `channels` at `data`.
template <class T>
Maps<T> dense_maps(T* data, const int64_t (&size)[3], int64_t channels) {
  Maps<T> maps;
  maps.data = data;
  maps.step[2] = channels;
  maps.step[1] = maps.step[2] * size[2];
  maps.step[0] = maps.step[1] * size[1];
  maps.image = maps.step[0] * size[0];
  return maps;
}

// Python functions of the module: set_winograd(on), winograd() -> bool.
extern PyMethodDef methods[];

// Runs body(task) for all tasks, on one thread where `work` (multiply-adds) is not worth waking others.
template <class F>
void run_tasks(int64_t tasks, double work, F&& body) {
  if (work >= 200e3) return parallel(tasks, body);
  for (int64_t task = 0; task < tasks; task++) body(task);
}

// ---- Layouts (conv_layout.cpp) ----

// Copies `x` [N, C, *spatial] of any strides into dense maps with channels innermost; `pad` zeros go around the last
// spatial dimension.
template <class T>
void copy_channels_last(const Array& x, const Geometry& shape, const int64_t (&size)[3], int64_t channels, int64_t pad, T* to);

// A panel of the weight for the forward pass: row (t * count + c - first) holds outputs o0.. of tap t, channel c, for
// channels first .. first + count. `w` is the group's weight [outputs][depth][taps]; columns are padded with zeros.
template <class T>
void pack_forward(const T* w, int64_t depth, int64_t taps, int64_t first, int64_t count, int64_t o0, int64_t columns, T* packed);

// A panel for the gradient of the input: row (t * count + o - first) holds channels c0.. of tap t, output o.
template <class T>
void pack_backward(const T* w, const T* end, int64_t depth, int64_t taps, int64_t first, int64_t count, int64_t c0, int64_t columns, T* packed);

// The gradient of a group's weight [outputs][depth][taps] for outputs o0 .. o0 + columns, from `parts` sums that lie
// `part` apart, each [taps * depth][width] (row t * depth + c), added in order. Rows of `gw` lie `pitch` apart.
template <class T>
void unpack_weight(const T* sums, int64_t parts, int64_t part, int64_t width, int64_t depth, int64_t taps, int64_t o0, int64_t columns, T* gw, int64_t pitch);

// ---- Methods; all accept any geometry they name ----

// Direct (conv_direct.cpp): any geometry, merged ones in the forward pass.
template <class T>
void direct_forward(const Geometry& shape, const Maps<const T>& x, const T* w, const T* bias, const Maps<T>& y);
template <class T>
void direct_backward(const Geometry& shape, const Maps<const T>& g, const T* w, const Maps<T>& gx);

// Direct (conv_weight.cpp): any geometry, merged ones too.
template <class T>
void direct_weight(const Geometry& shape, const Maps<const T>& g, const Maps<const T>& x, T* gw);

// Few output positions (conv_small.cpp): what small_suits accepts. The result's maps are dense.
bool small_suits(const Geometry& shape);
template <class T>
void small_forward(const Geometry& shape, const Maps<const T>& x, const T* w, const T* bias, const Maps<T>& y);
template <class T>
void small_backward(const Geometry& shape, const Maps<const T>& g, const T* w, const Maps<T>& gx);
template <class T>
void small_weight(const Geometry& shape, const Maps<const T>& g, const Maps<const T>& x, T* gw);

// Few channels in the result (conv_narrow.cpp): what narrow_suits accepts. The result's maps are dense.
enum class Pass { forward, grad_input, grad_weight };
bool narrow_suits(const Geometry& shape, Pass pass);
template <class T>
void narrow_forward(const Geometry& shape, const Maps<const T>& x, const T* w, const T* bias, const Maps<T>& y);
template <class T>
void narrow_backward(const Geometry& shape, const Maps<const T>& g, const T* w, const Maps<T>& gx);

// Groups of few channels, depthwise above all (depthwise.cpp): what channelwise_suits accepts. Maps are dense.
bool channelwise_suits(const Geometry& shape, Pass pass);
template <class T>
void channelwise_forward(const Geometry& shape, const Maps<const T>& x, const T* w, const T* bias, const Maps<T>& y);
template <class T>
void channelwise_backward(const Geometry& shape, const Maps<const T>& g, const T* w, const Maps<T>& gx);
template <class T>
void channelwise_weight(const Geometry& shape, const Maps<const T>& g, const Maps<const T>& x, T* gw);

}  // namespace rushlight::conv
