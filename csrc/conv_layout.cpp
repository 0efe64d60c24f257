// Layouts for convolutions: activations to channels innermost, weights to panels and back (see conv.h).
//
// Everything is made of squares of vectors transposed in registers; a weight is packed at 0.4 cycles an element.
#include <algorithm>
#include <cstring>

#include "conv.h"
#include "microkernel.h"
#include "parallel.h"
#include "square.h"

namespace rushlight::conv {
namespace {

// The first n elements at p, or a whole vector where `end` allows it: then the lanes from n on hold something.
template <class T>
inline Vec<T> load_some(const T* p, int64_t n, const T* end) {
  return p + lanes<T> <= end ? load(p) : load_first(p, std::min<int64_t>(n, end - p));
}

// Positions [begin, end) of one image: channel rows `channel` elements apart become rows of `channels`.
template <class T>
void turn_positions(const T* x, int64_t channel, int64_t channels, int64_t begin, int64_t end, const T* x_end, T* to) {
  constexpr int64_t L = lanes<T>;
  for (int64_t c = 0; c < channels; c += L) {
    const int64_t rows = std::min(L, channels - c);
    for (int64_t p = begin; p < end; p += L) {
      const int64_t count = std::min(L, end - p);
      Vec<T> square[L];
      for (int64_t i = 0; i < rows; i++) square[i] = load_some(x + (c + i) * channel + p, count, x_end);
      for (int64_t i = rows; i < L; i++) square[i] = Vec<T>{};
      transpose_registers<T>(square);
      T* row = to + p * channels + c;
      if (rows == L) {
        for (int64_t i = 0; i < count; i++, row += channels) store(row, square[i]);
      } else {
        for (int64_t i = 0; i < count; i++, row += channels) store_first(row, square[i], rows);
      }
    }
  }
}

}  // namespace

template <class T>
void copy_channels_last(const Array& x, const Geometry& shape, const int64_t (&size)[3], int64_t channels, int64_t pad, T* to) {
  const int spatial = x.ndim - 2;
  int64_t step[3] = {0, 0, 0};
  for (int i = 0; i < spatial; i++) step[3 - spatial + i] = x.strides[2 + i] / int64_t(sizeof(T));
  const int64_t image = x.strides[0] / int64_t(sizeof(T)), channel = x.strides[1] / int64_t(sizeof(T));
  const int64_t width = (size[2] + 2 * pad) * channels, positions = size[0] * size[1] * size[2];
  const bool rows = step[2] == 1 || size[2] == 1;
  const bool flat = rows && (size[1] == 1 || step[1] == size[2]) && (size[0] == 1 || step[0] == size[1] * size[2]);
  const T* const from = x.as<T>();
  // The end of the last row that a whole vector may be read from.
  const T* const x_end = from + (shape.images - 1) * image + (channels - 1) * channel + (size[0] - 1) * step[0] + (size[1] - 1) * step[1] + size[2];
  const bool ascending = image >= 0 && channel >= 0 && step[0] >= 0 && step[1] >= 0;
  if (flat && pad == 0 && ascending) {
    const int64_t grain = std::max<int64_t>(64, (int64_t(64) << 10) / channels / 64 * 64), blocks = (positions + grain - 1) / grain;
    auto block = [&](int64_t index) {
      const int64_t n = index / blocks, begin = index % blocks * grain;
      turn_positions(from + n * image, channel, channels, begin, std::min(positions, begin + grain), x_end, to + n * positions * channels);
    };
    const int64_t count = shape.images * blocks;
    if (shape.images * positions * channels < (16 << 10)) {
      for (int64_t i = 0; i < count; i++) block(i);
    } else {
      parallel(count, block);
    }
    return;
  }
  const int64_t lines = shape.images * size[0] * size[1];
  parallel_range(lines, std::max<int64_t>(1, (int64_t(16) << 10) / width), [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; line++) {
      const int64_t h = line % size[1], rest = line / size[1], d = rest % size[0], n = rest / size[0];
      const T* const source = from + n * image + d * step[0] + h * step[1];
      T* const target = to + line * width;
      std::memset(target, 0, size_t(pad * channels) * sizeof(T));
      std::memset(target + width - pad * channels, 0, size_t(pad * channels) * sizeof(T));
      T* const inner = target + pad * channels;
      if (rows && ascending) {
        turn_positions(source, channel, channels, 0, size[2], x_end, inner);
      } else {
        for (int64_t w = 0; w < size[2]; w++)
          for (int64_t c = 0; c < channels; c++) inner[w * channels + c] = source[w * step[2] + c * channel];
      }
    }
  });
}

template <class T>
void pack_forward(const T* w, int64_t depth, int64_t taps, int64_t first, int64_t count, int64_t o0, int64_t columns, T* packed) {
  constexpr int64_t L = lanes<T>;
  const int64_t width = panel_width<T>(columns), all = depth * taps, length = count * taps;
  for (int64_t j = 0; j < columns; j += L) {
    const int64_t rows = std::min(L, columns - j);
    const T* const from = w + (o0 + j) * all + first * taps;
    const T* const end = from + (rows - 1) * all + length;
    int64_t c = 0, t = 0;
    for (int64_t k = 0; k < length; k += L) {
      Vec<T> square[L];
      for (int64_t i = 0; i < rows; i++) {
        square[i] = load_some(from + i * all + k, length - k, end);
        __builtin_prefetch(from + i * all + k + 4 * L);
      }
      for (int64_t i = rows; i < L; i++) square[i] = Vec<T>{};
      transpose_registers<T>(square);
      const int64_t here = std::min(L, length - k);
      for (int64_t i = 0; i < here; i++) {
        store(packed + (t * count + c) * width + j, square[i]);
        if (++t == taps) t = 0, c++;
      }
    }
  }
}

template <class T>
void pack_backward(const T* w, const T* end, int64_t depth, int64_t taps, int64_t first, int64_t count, int64_t c0, int64_t columns, T* packed) {
  constexpr int64_t L = lanes<T>;
  const int64_t width = panel_width<T>(columns);
  for (int64_t o = 0; o < count; o++) {
    const T* const from = w + (first + o) * depth * taps + c0 * taps;
    if (taps == 1) {
      for (int64_t j = 0; j < columns; j += L)
        store(packed + o * width + j, columns - j >= L ? load(from + j) : load_first(from + j, columns - j));
      continue;
    }
    for (int64_t j = 0; j < columns; j += L) {
      const int64_t rows = std::min(L, columns - j);
      // The same channels of the next output lie far from these.
      for (int64_t k = 0; k < rows * taps; k += int64_t(64 / sizeof(T))) __builtin_prefetch(from + (depth + j) * taps + k);
      for (int64_t t0 = 0; t0 < taps; t0 += L) {
        const int64_t here = std::min(L, taps - t0);
        Vec<T> square[L];
        for (int64_t i = 0; i < rows; i++) square[i] = load_some(from + (j + i) * taps + t0, here, end);
        for (int64_t i = rows; i < L; i++) square[i] = Vec<T>{};
        transpose_registers<T>(square);
        for (int64_t i = 0; i < here; i++) store(packed + ((t0 + i) * count + o) * width + j, square[i]);
      }
    }
  }
}

template <class T>
void unpack_weight(const T* sums, int64_t parts, int64_t part, int64_t width, int64_t depth, int64_t taps, int64_t o0, int64_t columns, T* gw, int64_t pitch) {
  constexpr int64_t L = lanes<T>;
  const int64_t all = depth * taps;
  for (int64_t j = 0; j < columns; j += L) {
    const int64_t rows = std::min(L, columns - j);
    int64_t c = 0, t = 0;
    for (int64_t k = 0; k < all; k += L) {
      const int64_t here = std::min(L, all - k);
      Vec<T> square[L];
      for (int64_t i = 0; i < here; i++) {
        const T* at = sums + (t * depth + c) * width + j;
        Vec<T> sum = load(at);
        for (int64_t p = 1; p < parts; p++) sum += load(at += part);
        square[i] = sum;
        if (++t == taps) t = 0, c++;
      }
      for (int64_t i = here; i < L; i++) square[i] = Vec<T>{};
      transpose_registers<T>(square);
      T* to = gw + (o0 + j) * pitch + k;
      if (here == L) {
        for (int64_t i = 0; i < rows; i++, to += pitch) store(to, square[i]);
      } else {
        for (int64_t i = 0; i < rows; i++, to += pitch) store_first(to, square[i], here);
      }
    }
  }
}

#define RUSHLIGHT_INSTANTIATE(T)                                                                                       \
  template void copy_channels_last(const Array&, const Geometry&, const int64_t (&)[3], int64_t, int64_t, T*);          \
  template void pack_forward(const T*, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, T*);                       \
  template void pack_backward(const T*, const T*, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, T*);            \
  template void unpack_weight(const T*, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, T*, int64_t);
RUSHLIGHT_INSTANTIATE(float)
RUSHLIGHT_INSTANTIATE(double)
#undef RUSHLIGHT_INSTANTIATE

}  // namespace rushlight::conv
