// Convolution of few output positions (one small image): the weight is far larger than the activations, so it is read or
// written once, in the order it is stored in, at the speed of memory.
//
// The windows of all M positions are gathered into patches [M][C * taps], ordered as a row of the weight. Then
//
//   y = patches Wt      dot products of rows
//   gP = g W            rows of the weight added up, a few at a time; then every patch is added back to its pixels
//   gW = gt patches     outer products, written row by row
//
// Reached on ResNet-18's last layers at batch 1: 85 % of the speed at which the weight can be read.
#include <algorithm>
#include <cstring>

#include "conv.h"
#include "microkernel.h"
#include "parallel.h"
#include "square.h"

namespace rushlight::conv {
namespace {

// Up to this many output positions packing the weight costs more than it saves.
constexpr int64_t most_positions = 32;
constexpr int64_t least_weight = 32 << 10;

// Tiles of dot products: with 16 registers 3 x 4 sums, with 32 4 x 6.
constexpr int dot_rows = tile_vectors == 4 ? 4 : 3, dot_columns = tile_vectors == 4 ? 6 : 4;
// Rows of the weight that are added up before the next panel of columns.
constexpr int64_t rows_at_once = 16;
// Channels of one task of the gradients.
constexpr int64_t task_channels = 64;

alignas(64) const double zeros[64] = {};

// Where in the input tap t of output position m lies, as an offset in elements; -1 in the padding.
template <class T>
int64_t pixel_at(const Geometry& shape, const Maps<T>& x, int64_t m, int64_t t) {
  int64_t at[3], tap[3], rest = m;
  for (int i = 2; i >= 0; i--) {
    at[i] = rest % shape.out[i];
    rest /= shape.out[i];
    tap[i] = t % shape.kernel[i];
    t /= shape.kernel[i];
  }
  int64_t offset = rest * x.image;
  for (int i = 0; i < 3; i++) {
    const int64_t position = at[i] * shape.stride[i] + tap[i] * shape.dilation[i] - shape.padding[i];
    if (uint64_t(position) >= uint64_t(shape.in[i])) return -1;
    offset += position * x.step[i];
  }
  return offset;
}

// The patch of one position, `channels` * taps elements; up to a vector beyond may be written.
template <class T>
void gather_patch(const Geometry& shape, const Maps<const T>& x, int64_t m, T* patch) {
  constexpr int64_t L = lanes<T>;
  const int64_t taps = shape.taps();
  const T* source[L];
  for (int64_t t0 = 0; t0 < taps; t0 += L) {
    const int64_t here = std::min(L, taps - t0);
    for (int64_t i = 0; i < here; i++) {
      const int64_t at = pixel_at(shape, x, m, t0 + i);
      source[i] = at < 0 ? nullptr : x.data + at;
    }
    for (int64_t c = 0; c < shape.channels; c += L) {
      const int64_t count = std::min(L, shape.channels - c);
      Vec<T> square[L];
      for (int64_t i = 0; i < here; i++)
        square[i] = !source[i] ? Vec<T>{} : count == L ? load(source[i] + c) : load_first(source[i] + c, count);
      if (taps == 1) {
        store(patch + c, square[0]);
        continue;
      }
      for (int64_t i = here; i < L; i++) square[i] = Vec<T>{};
      transpose_registers<T>(square);
      // What is written too far is written again by the next channel.
      for (int64_t i = 0; i < count; i++) {
        T* const to = patch + (c + i) * taps + t0;
        if (taps <= L)
          store(to, square[i]);
        else
          store_first(to, square[i], here);
      }
    }
  }
}

// y[r][j] = a[r] . b[j] + bias[j] for R x J rows of `length` elements.
template <class T, int R, int J>
void dot_tile(const T* const* a, const T* b, int64_t b_stride, int64_t length, const T* bias, T* const* y) {
  constexpr int64_t L = lanes<T>;
  Vec<T> sum[R][J];
  dot_rows_into<T>(sum, length, [a](int r) { return a[r]; }, [=](int j) { return b + j * b_stride; });
  // The lanes of L sums are added up by transposing them.
  constexpr int count = R * J;
  const Vec<T>* const flat = &sum[0][0];
  for (int first = 0; first < count; first += L) {
    Vec<T> square[L];
#pragma GCC unroll 16
    for (int i = 0; i < L; i++) square[i] = first + i < count ? flat[first + i] : Vec<T>{};
    transpose_registers<T>(square);
    for (int64_t half = L / 2; half > 0; half /= 2)
      for (int64_t i = 0; i < half; i++) square[i] += square[i + half];
    T sums[L];
    store(sums, square[0]);
    for (int i = 0; i < L && first + i < count; i++) {
      const int r = (first + i) / J, j = (first + i) % J;
      y[r][j] = bias ? sums[i] + bias[j] : sums[i];
    }
  }
}

template <class T>
using DotTile = void (*)(const T* const*, const T*, int64_t, int64_t, const T*, T* const*);

template <class T, int... I>
DotTile<T> dot_kernel(int64_t rows, bool full, std::integer_sequence<int, I...>) {
  static constexpr DotTile<T> many[] = {dot_tile<T, I + 1, dot_columns>...}, one[] = {dot_tile<T, I + 1, 1>...};
  return full ? many[rows - 1] : one[rows - 1];
}

int64_t patch_pitch(const Geometry& shape) { return shape.channels * shape.taps() + 16; }
int64_t positions(const Geometry& shape) { return shape.images * shape.out_positions(); }

template <class T>
void gather(const Geometry& shape, const Maps<const T>& x, T* patches) {
  const int64_t pitch = patch_pitch(shape);
  parallel_range(positions(shape), std::max<int64_t>(1, (16 << 10) / pitch), [&](int64_t begin, int64_t end) {
    for (int64_t m = begin; m < end; m++) gather_patch(shape, x, m, patches + m * pitch);
  });
}

}  // namespace

bool small_suits(const Geometry& shape) {
  return shape.groups == 1 && positions(shape) <= most_positions && shape.channels * shape.taps() * shape.outputs >= least_weight;
}

template <class T>
void small_forward(const Geometry& shape, const Maps<const T>& x, const T* w, const T* bias, const Maps<T>& y) {
  const int64_t length = shape.channels * shape.taps(), pitch = patch_pitch(shape), count = positions(shape);
  const Buffer memory(size_t(count * pitch) * sizeof(T));
  T* const patches = memory.as<T>();
  const ReleaseGil released(int64_t(shape.work()));
  gather(shape, x, patches);
  const int64_t tiles = (count + dot_rows - 1) / dot_rows;
  parallel_range(shape.outputs, 4 * dot_columns, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end;) {
      const bool full = o + dot_columns <= end;
      for (int64_t tile = 0; tile < tiles; tile++) {
        const int64_t first = count * tile / tiles, rows = count * (tile + 1) / tiles - first;
        const T* a[dot_rows];
        T* to[dot_rows];
        for (int64_t r = 0; r < rows; r++) {
          a[r] = patches + (first + r) * pitch;
          to[r] = y.data + (first + r) * shape.outputs + o;
        }
        dot_kernel<T>(rows, full, std::make_integer_sequence<int, dot_rows>())(a, w + o * length, length, length, bias ? bias + o : nullptr, to);
      }
      o += full ? dot_columns : 1;
    }
  });
}

namespace {

// Adds channels [begin, end) of the patches' gradient to the pixels they were gathered from.
template <class T>
void scatter(const Geometry& shape, const T* patches, int64_t pitch, int64_t begin, int64_t end, const Maps<T>& gx) {
  constexpr int64_t L = lanes<T>;
  const int64_t taps = shape.taps();
  for (int64_t m = 0; m < positions(shape); m++)
    for (int64_t t0 = 0; t0 < taps; t0 += L) {
      const int64_t here = std::min(L, taps - t0);
      int64_t at[L];
      for (int64_t i = 0; i < here; i++) at[i] = pixel_at(shape, gx, m, t0 + i);
      for (int64_t c = begin; c < end; c += L) {
        const int64_t count = std::min(L, end - c);
        const T* const from = patches + m * pitch + (c - begin) * taps + t0;
        Vec<T> square[L];
        if (taps == 1) {
          square[0] = load(from);
        } else {
          for (int64_t i = 0; i < count; i++) square[i] = load(from + i * taps);
          for (int64_t i = count; i < L; i++) square[i] = Vec<T>{};
          transpose_registers<T>(square);
        }
        for (int64_t i = 0; i < here; i++) {
          if (at[i] < 0) continue;
          T* const to = gx.data + at[i] + c;
          if (count == L)
            store(to, load(to) + square[i]);
          else
            store_first(to, load_first(to, count) + square[i], count);
        }
      }
    }
}

}  // namespace

template <class T>
void small_backward(const Geometry& shape, const Maps<const T>& g, const T* w, const Maps<T>& gx) {
  constexpr int64_t wide = tile_columns<T>;
  const int64_t taps = shape.taps(), length = shape.channels * taps, count = positions(shape), pixels = shape.images * shape.in_positions();
  const int64_t tiles = (count + tile_rows - 1) / tile_rows, tasks = (shape.channels + task_channels - 1) / task_channels;
  const T* const end = w + length * shape.outputs;
  const ReleaseGil released(int64_t(shape.work()));
  parallel(tasks, [&](int64_t task) {
    const int64_t c0 = task * task_channels, c1 = std::min(shape.channels, c0 + task_channels), from = c0 * taps, here = (c1 - c0) * taps;
    const int64_t pitch = panel_width<T>(here) + 2 * lanes<T>;  // a transposed vector may be read beyond
    T* const sums = scratch<T>(4, count * pitch);
    for (int64_t pixel = 0; pixel < pixels; pixel++) std::memset(gx.data + pixel * shape.channels + c0, 0, size_t(c1 - c0) * sizeof(T));
    for (int64_t o = 0; o < shape.outputs; o += rows_at_once) {
      const int64_t rows = std::min(rows_at_once, shape.outputs - o);
      Finish<T> finish;
      finish.accumulate = o > 0;
      for (int64_t k = 0; k < here; k += wide) {
        const int64_t columns = std::min(wide, here - k);
        const T* const b = w + o * length + from + k;
        for (int64_t i = 0; i < rows && o + rows + i < shape.outputs; i++)
          for (int64_t j = 0; j < columns; j += int64_t(64 / sizeof(T))) __builtin_prefetch(b + (rows + i) * length + j);
        // The last vector of the very last row would reach beyond the weight.
        T edge[rows_at_once * wide];
        Tap<T> tap;
        tap.b = b;
        int64_t stride = length;
        if (b + (rows - 1) * length + panel_width<T>(columns) > end) {
          for (int64_t i = 0; i < rows; i++) std::memcpy(edge + i * wide, b + i * length, size_t(columns) * sizeof(T));
          tap.b = edge;
          stride = wide;
        }
        for (int64_t tile = 0; tile < tiles; tile++) {
          const int64_t first = count * tile / tiles, height = count * (tile + 1) / tiles - first;
          T* c[tile_rows];
          for (int64_t r = 0; r < height; r++) {
            tap.a[r] = g.data + (first + r) * shape.outputs + o;
            c[r] = sums + (first + r) * pitch + k;
          }
          tile_kernel<T>(height, columns)(1, &tap, rows, stride, c, columns, finish);
        }
      }
    }
    scatter(shape, sums, pitch, c0, c1, gx);
  });
}

template <class T>
void small_weight(const Geometry& shape, const Maps<const T>& g, const Maps<const T>& x, T* gw) {
  constexpr int64_t wide = tile_columns<T>;
  const int64_t length = shape.channels * shape.taps(), pitch = patch_pitch(shape), count = positions(shape);
  const Buffer memory(size_t(count * (pitch + shape.outputs)) * sizeof(T));
  T* const patches = memory.as<T>();
  T* const turned = patches + count * pitch;  // the cotangent as [outputs][positions]
  const ReleaseGil released(int64_t(shape.work()));
  transpose_into(g.data, shape.outputs, count, shape.outputs, turned, count);
  gather(shape, x, patches);
  parallel_range(shape.outputs, 4 * tile_rows, [&](int64_t begin, int64_t end) {
    const Finish<T> finish;
    for (int64_t o = begin; o < end; o += tile_rows) {
      const int64_t rows = std::min<int64_t>(tile_rows, end - o);
      Tap<T> tap;
      T* c[tile_rows];
      for (int64_t r = 0; r < rows; r++) tap.a[r] = turned + (o + r) * count;
      for (int64_t k = 0; k < length; k += wide) {
        const int64_t columns = std::min(wide, length - k);
        tap.b = patches + k;
        for (int64_t r = 0; r < rows; r++) {
          c[r] = gw + (o + r) * length + k;
          // Memory that is written next is on its way before the stores wait for it.
          for (int64_t j = 0; j < wide; j += int64_t(64 / sizeof(T))) __builtin_prefetch(c[r] + 2 * wide + j, 1, 2);
        }
        tile_kernel<T>(rows, columns)(1, &tap, count, pitch, c, columns, finish);
      }
    }
  });
}

#define RUSHLIGHT_INSTANTIATE(T)                                                                                       \
  template void small_forward(const Geometry&, const Maps<const T>&, const T*, const T*, const Maps<T>&);               \
  template void small_backward(const Geometry&, const Maps<const T>&, const T*, const Maps<T>&);                        \
  template void small_weight(const Geometry&, const Maps<const T>&, const Maps<const T>&, T*);
RUSHLIGHT_INSTANTIATE(float)
RUSHLIGHT_INSTANTIATE(double)
#undef RUSHLIGHT_INSTANTIATE

}  // namespace rushlight::conv
