// Convolution over one to three spatial dimensions and its two gradients: reading the arguments, the layout of the result
// and the choice of a method.
//
// Results that are activations lie channels innermost: hidden, or plainly where an operand of the user's own does. float32 and
// float64, any stride, padding, dilation and groups.
#include <algorithm>

#include "conv.h"
#include "kernel.h"
#include "owned.h"
#include "parallel.h"
#include "relayout.h"
#include "winograd.h"

namespace rushlight::conv {
namespace {

// The gradient of a strided convolution is computed for each residue of the stride; more of them are left to the reference.
constexpr int64_t most_residues = 1 << 16;
// A channel count up to which the taps of a row are taken together (see Geometry::merged).
constexpr int64_t few_channels = 8;

// One value per spatial dimension, put behind leading ones.
bool read_sizes(PyObject* value, int spatial, int64_t (&found)[3]) {
  int64_t read[max_dims];
  int count = 0;
  if (!read_ints(value, read, count) || count != spatial) return false;
  for (int i = 0; i < spatial; i++) found[3 - spatial + i] = read[i];
  return true;
}

// Fills the windows and checks that they fit the sizes; false for what the reference should report or decide.
bool read_windows(PyObject* const* args, int spatial, Geometry& shape) {
  if (!read_sizes(args[0], spatial, shape.stride) || !read_sizes(args[1], spatial, shape.padding) || !read_sizes(args[2], spatial, shape.dilation)) return false;
  if (!read_int(args[3], shape.groups) || shape.groups < 1) return false;
  if (shape.channels % shape.groups != 0 || shape.outputs % shape.groups != 0) return false;
  constexpr int64_t most = int64_t(1) << 31;
  for (int i = 0; i < 3; i++) {
    if (shape.stride[i] < 1 || shape.dilation[i] < 1 || shape.padding[i] < 0 || shape.kernel[i] < 1 || shape.in[i] < 1 || shape.out[i] < 1) return false;
    if (shape.stride[i] > most || shape.dilation[i] > most || shape.padding[i] > most || shape.kernel[i] > most) return false;
    // Every window must lie within the padded input.
    if ((shape.out[i] - 1) * shape.stride[i] + shape.dilation[i] * (shape.kernel[i] - 1) + 1 > shape.in[i] + 2 * shape.padding[i]) return false;
  }
  return shape.images > 0 && shape.channels > 0 && shape.outputs > 0;
}

void set_spatial(const npy_intp* from, int spatial, int64_t (&to)[3]) {
  for (int i = 0; i < spatial; i++) to[3 - spatial + i] = from[2 + i];
}

// An array in row-major order: itself, or a copy that lives as long as this does.
class RowMajor {
 public:
  explicit RowMajor(Array& array) {
    if (array.contiguous()) return;
    Array copy;
    copy_ = relaid(array, nullptr, copy);
    if (!copy_) throw std::bad_alloc();
    array = copy;
  }

 private:
  Owned copy_;
};

// An operand as maps: where it lies, or a copy.
template <class T>
class Operand {
 public:
  Operand(const Array& array, const Geometry& shape, const int64_t (&size)[3], int64_t channels, int64_t pad = 0) {
    const int64_t padded[3] = {size[0], size[1], size[2] + 2 * pad};
    if (pad == 0 && array.channels_last()) {
      maps = dense_maps<const T>(array.as<T>(), size, channels);
      return;
    }
    buffer_ = new Buffer(size_t(shape.images * padded[0] * padded[1] * padded[2] * channels) * sizeof(T));
    T* const copy = buffer_->as<T>();
    copy_channels_last<T>(array, shape, size, channels, pad, copy);
    maps = dense_maps<const T>(copy, padded, channels);
  }
  ~Operand() { delete buffer_; }
  Operand(const Operand&) = delete;
  Operand& operator=(const Operand&) = delete;
  Maps<const T> maps;

 private:
  Buffer* buffer_ = nullptr;
};

// A layout that the user chose, which the result then has in the user's sight.
bool users_channels_last(const Array& array) { return !array.hidden && array.ndim >= 4 && !array.contiguous() && array.channels_last(); }

bool floats(const Array& a, const Array& b) { return a.type == b.type && plain_float(a.type) && a.ndim == b.ndim && a.ndim >= 3 && a.ndim <= 5; }

// Whether the taps of a row are taken as one; then `merged` describes the convolution of the padded input.
bool merge_taps(const Geometry& shape, Geometry& merged) {
  if (shape.groups != 1 || shape.channels > few_channels || shape.dilation[2] != 1 || shape.kernel[2] == 1) return false;
  if (shape.kernel[2] * shape.channels > 256) return false;
  merged = shape;
  merged.merged = shape.kernel[2];
  merged.channels *= merged.merged;
  merged.kernel[2] = 1;
  merged.in[2] += 2 * shape.padding[2];
  merged.padding[2] = 0;
  return true;
}

template <class T>
void run_forward(const Geometry& shape, const Array& x, const Array& w, const T* bias, T* y) {
  const Maps<T> to = dense_maps(y, shape.out, shape.outputs);
  Geometry merged;
  const bool narrow = narrow_suits(shape, Pass::forward);
  if (!narrow && merge_taps(shape, merged)) {
    const Operand<T> operand(x, shape, shape.in, shape.channels, shape.padding[2]);
    return direct_forward(merged, operand.maps, w.as<const T>(), bias, to);
  }
  const Operand<T> operand(x, shape, shape.in, shape.channels);
  if constexpr (sizeof(T) == 4)
    if (winograd_suits(shape)) return winograd_forward(shape, operand.maps, w.as<const T>(), bias, to);
  if (narrow) return narrow_forward(shape, operand.maps, w.as<const T>(), bias, to);
  if (channelwise_suits(shape, Pass::forward)) return channelwise_forward(shape, operand.maps, w.as<const T>(), bias, to);
  if (small_suits(shape)) return small_forward(shape, operand.maps, w.as<const T>(), bias, to);
  direct_forward(shape, operand.maps, w.as<const T>(), bias, to);
}

template <class T>
void run_grad_input(const Geometry& shape, const Array& g, const Array& w, T* gx) {
  const Operand<T> operand(g, shape, shape.out, shape.outputs);
  const Maps<T> to = dense_maps(gx, shape.in, shape.channels);
  if constexpr (sizeof(T) == 4)
    if (winograd_suits(shape)) return winograd_backward(shape, operand.maps, w.as<const T>(), to);
  if (narrow_suits(shape, Pass::grad_input)) return narrow_backward(shape, operand.maps, w.as<const T>(), to);
  if (channelwise_suits(shape, Pass::grad_input)) return channelwise_backward(shape, operand.maps, w.as<const T>(), to);
  if (small_suits(shape)) return small_backward(shape, operand.maps, w.as<const T>(), to);
  direct_backward(shape, operand.maps, w.as<const T>(), to);
}

template <class T>
void run_grad_weight(const Geometry& shape, const Array& g, const Array& x, T* gw) {
  const Operand<T> cotangent(g, shape, shape.out, shape.outputs);
  Geometry merged;
  if (merge_taps(shape, merged)) {
    const Operand<T> operand(x, shape, shape.in, shape.channels, shape.padding[2]);
    return direct_weight(merged, cotangent.maps, operand.maps, gw);
  }
  const Operand<T> operand(x, shape, shape.in, shape.channels);
  if constexpr (sizeof(T) == 4)
    if (winograd_suits(shape)) return winograd_weight(shape, cotangent.maps, operand.maps, gw);
  if (channelwise_suits(shape, Pass::grad_weight)) return channelwise_weight(shape, cotangent.maps, operand.maps, gw);
  if (small_suits(shape)) return small_weight(shape, cotangent.maps, operand.maps, gw);
  direct_weight(shape, cotangent.maps, operand.maps, gw);
}

// The finished result in the layout that the user sees: his own channels_last, or a hidden one.
PyObject* given_layout(Owned& maps, bool users) { return users ? maps.give() : hide(maps.give()); }

PyObject* convolution(PyObject* const* args) {
  Array x, w, bias;
  if (!x.read(args[0]) || !w.read(args[1]) || !floats(x, w) || w.hidden) return decline();
  const int spatial = x.ndim - 2;
  Geometry shape;
  shape.images = x.shape[0];
  shape.channels = x.shape[1];
  shape.outputs = w.shape[0];
  set_spatial(x.shape, spatial, shape.in);
  set_spatial(w.shape, spatial, shape.kernel);
  // The windows first, with an output of one position; then the output's sizes.
  if (!read_windows(args + 3, spatial, shape) || w.shape[1] * shape.groups != shape.channels) return decline();
  npy_intp size[5] = {npy_intp(shape.images), npy_intp(shape.outputs)};
  for (int i = 0; i < 3; i++)
    shape.out[i] = (shape.in[i] + 2 * shape.padding[i] - shape.dilation[i] * (shape.kernel[i] - 1) - 1) / shape.stride[i] + 1;
  for (int i = 0; i < spatial; i++) size[2 + i] = npy_intp(shape.out[3 - spatial + i]);
  const bool biased = given(args[2]);
  if (biased && (!bias.read(args[2]) || bias.type != x.type || bias.ndim != 1 || bias.shape[0] != shape.outputs || !bias.contiguous())) return decline();
  const Array weights = w;  // as they were given
  const RowMajor weight(w);
  Owned made(new_channels_last(x.ndim, size, x.type));
  if (!made) return nullptr;
  const Array y = view_of(made.get());
  if (x.type == Type::F32)
    run_forward<float>(shape, x, w, biased ? bias.as<const float>() : nullptr, y.as<float>());
  else
    run_forward<double>(shape, x, w, biased ? bias.as<const double>() : nullptr, y.as<double>());
  return given_layout(made, users_channels_last(x) || users_channels_last(weights));
}

PyObject* conv_grad_input(PyObject* const* args) {
  Array g, w;
  if (!g.read(args[0]) || !w.read(args[1]) || !floats(g, w) || w.hidden) return decline();
  const int spatial = g.ndim - 2;
  int64_t wanted[max_dims];
  int count = 0;
  if (!read_ints(args[2], wanted, count) || count != g.ndim) return decline();
  npy_intp size[5];
  std::copy(wanted, wanted + count, size);
  Geometry shape;
  shape.images = g.shape[0];
  shape.channels = size[1];
  shape.outputs = g.shape[1];
  set_spatial(size, spatial, shape.in);
  set_spatial(g.shape, spatial, shape.out);
  set_spatial(w.shape, spatial, shape.kernel);
  if (!read_windows(args + 3, spatial, shape) || size[0] != shape.images || w.shape[0] != shape.outputs || w.shape[1] * shape.groups != shape.channels) return decline();
  int64_t residues = 1;
  for (int i = 0; i < 3; i++) residues = std::min(most_residues + 1, residues * std::min({shape.stride[i], shape.in[i], most_residues + 1}));
  if (residues > most_residues) return decline();
  const RowMajor weight(w);
  Owned made(new_channels_last(g.ndim, size, g.type));
  if (!made) return nullptr;
  const Array gx = view_of(made.get());
  if (g.type == Type::F32)
    run_grad_input<float>(shape, g, w, gx.as<float>());
  else
    run_grad_input<double>(shape, g, w, gx.as<double>());
  return given_layout(made, users_channels_last(g));
}

PyObject* conv_grad_weight(PyObject* const* args) {
  Array g, x;
  if (!g.read(args[0]) || !x.read(args[1]) || !floats(g, x)) return decline();
  const int spatial = g.ndim - 2;
  int64_t wanted[max_dims];
  int count = 0;
  if (!read_ints(args[2], wanted, count) || count != g.ndim) return decline();
  npy_intp size[5];
  std::copy(wanted, wanted + count, size);
  Geometry shape;
  shape.images = x.shape[0];
  shape.channels = x.shape[1];
  shape.outputs = g.shape[1];
  set_spatial(x.shape, spatial, shape.in);
  set_spatial(g.shape, spatial, shape.out);
  set_spatial(size, spatial, shape.kernel);
  if (!read_windows(args + 3, spatial, shape) || g.shape[0] != shape.images || size[0] != shape.outputs || size[1] * shape.groups != shape.channels) return decline();
  Owned made(new_array(g.ndim, size, g.type));
  if (!made) return nullptr;
  const Array gw = view_of(made.get());
  if (g.type == Type::F32)
    run_grad_weight<float>(shape, g, x, gw.as<float>());
  else
    run_grad_weight<double>(shape, g, x, gw.as<double>());
  return made.give();
}

const Family family("conv", {
                                {"convolution", "x w bias stride padding dilation groups", convolution},
                                {"conv_grad_input", "g w input_shape stride padding dilation groups", conv_grad_input},
                                {"conv_grad_weight", "g x weight_shape stride padding dilation groups", conv_grad_weight},
                            });

PyObject* python_set_winograd(PyObject*, PyObject* on) {
  const int wanted = PyObject_IsTrue(on);
  if (wanted < 0) return nullptr;
  set_winograd(wanted == 1);
  Py_RETURN_NONE;
}

PyObject* python_winograd(PyObject*, PyObject*) { return PyBool_FromLong(winograd_enabled()); }

}  // namespace

PyMethodDef methods[] = {
    {"set_winograd", python_set_winograd, METH_O, "Whether 3 x 3 convolutions may use Winograd's method."},
    {"winograd", python_winograd, METH_NOARGS, "Whether 3 x 3 convolutions may use Winograd's method."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace rushlight::conv
