// Winograd's minimal filtering F(4x4, 3x3) for 3 x 3 convolutions of stride 1 in float32: the forward pass, the gradient of
// the input and that of the weight with 36 multiplications for 16 outputs where the direct method takes 144.
//
// A tile of 6 x 6 inputs d, a kernel g and a tile of 4 x 4 outputs y are related by
//
//   y = At (G g Gt * Bt d B) A        one product per frequency f in 0..35, summed over channels
//   dg = Gt (sum over tiles of Bt d B * A dy At) G
//
// so that all work between the transforms is 36 matrix products [tiles, C] x [C, O]. The interpolation points are 0, 3/4,
// -3/4, 3/2, -3/2 and infinity: their rms error is 2-2.8 times that of the direct method, half that of 0, +-1, +-2. Transforms
// run along channels. A value that is not finite spreads to its tile.
//
// Small weights: a task takes a block of tiles through all three steps, in its own caches. Large ones: all threads make the
// transforms of a block, then share the frequencies.
#include "winograd.h"

#include <algorithm>
#include <atomic>

#include "microkernel.h"
#include "outer.h"
#include "parallel.h"
#include "vec.h"

namespace rushlight::conv {
namespace {

using V = Vec<float>;
constexpr int64_t L = lanes<float>;
constexpr int in_size = 6, out_size = 4, frequencies = 36;
// Frequencies lie a padded distance apart: a power of two would send all 36 to one set of the cache.
constexpr int64_t apart = 16;
// Transformed weights up to this size stay in the L2 cache beside a task's tiles.
constexpr int64_t small_weight = 1 << 18;
// Tiles of a task's block with small weights; elements of both transforms of a block with large ones.
constexpr int64_t own_tiles = 36, shared_elements = 4 << 20;
constexpr int64_t fewest_tiles = 24, fewest_channels = 32;

std::atomic<bool> enabled{true};

#define RUSHLIGHT_INLINE inline __attribute__((always_inline))

constexpr double a = 0.75, b = 1.5, a2 = a * a, b2 = b * b;
constexpr float fa = float(a), fb = float(b), fa2 = float(a2), fb2 = float(b2), fa3 = float(a2 * a), fb3 = float(b2 * b);
constexpr float sum2 = float(a2 + b2), product2 = float(a2 * b2), inverse = float(1 / (a2 * b2));
constexpr double at_a = 1 / (2 * a2 * (a2 - b2)), at_b = 1 / (2 * b2 * (b2 - a2));
constexpr float a0 = float(at_a), a1 = float(at_a * a), a_2 = float(at_a * a2), b0 = float(at_b), b1 = float(at_b * b), b_2 = float(at_b * b2);

RUSHLIGHT_INLINE void input_transform(const V* d, V* o) {  // Bt d
  const V t0 = d[4] - fb2 * d[2], t1 = fa * (d[3] - fb2 * d[1]), t2 = d[4] - fa2 * d[2], t3 = fb * (d[3] - fa2 * d[1]);
  o[0] = product2 * d[0] - sum2 * d[2] + d[4];
  o[1] = t0 + t1;
  o[2] = t0 - t1;
  o[3] = t2 + t3;
  o[4] = t2 - t3;
  o[5] = product2 * d[1] - sum2 * d[3] + d[5];
}

RUSHLIGHT_INLINE void kernel_transform(const V* g, V* o) {  // G g
  const V e = a0 * g[0] + a_2 * g[2], f = a1 * g[1], s = b0 * g[0] + b_2 * g[2], h = b1 * g[1];
  o[0] = inverse * g[0];
  o[1] = e + f;
  o[2] = e - f;
  o[3] = s + h;
  o[4] = s - h;
  o[5] = g[2];
}

RUSHLIGHT_INLINE void output_transform(const V* m, V* o) {  // At m
  const V s1 = m[1] + m[2], d1 = m[1] - m[2], s2 = m[3] + m[4], d2 = m[3] - m[4];
  o[0] = m[0] + s1 + s2;
  o[1] = fa * d1 + fb * d2;
  o[2] = fa2 * s1 + fb2 * s2;
  o[3] = fa3 * d1 + fb3 * d2 + m[5];
}

RUSHLIGHT_INLINE void cotangent_transform(const V* y, V* o) {  // A y
  const V e = y[0] + fa2 * y[2], f = fa * y[1] + fa3 * y[3], s = y[0] + fb2 * y[2], h = fb * y[1] + fb3 * y[3];
  o[0] = y[0];
  o[1] = e + f;
  o[2] = e - f;
  o[3] = s + h;
  o[4] = s - h;
  o[5] = y[3];
}

RUSHLIGHT_INLINE void gradient_transform(const V* u, V* o) {  // Gt u
  const V s1 = u[1] + u[2], d1 = u[1] - u[2], s2 = u[3] + u[4], d2 = u[3] - u[4];
  o[0] = inverse * u[0] + a0 * s1 + b0 * s2;
  o[1] = a1 * d1 + b1 * d2;
  o[2] = a_2 * s1 + b_2 * s2 + u[5];
}

// Applies `step` to the columns and then to the rows of a square of vectors: from [I][I] by `read` to [O][O] by `write`.
template <int I, int O, class Step, class Read, class Write>
RUSHLIGHT_INLINE void transform_square(Step step, Read read, Write write) {
  V half[O][I];
#pragma GCC unroll 8
  for (int j = 0; j < I; j++) {
    V d[I], o[O];
#pragma GCC unroll 8
    for (int i = 0; i < I; i++) d[i] = read(i, j);
    step(d, o);
#pragma GCC unroll 8
    for (int i = 0; i < O; i++) half[i][j] = o[i];
  }
#pragma GCC unroll 8
  for (int i = 0; i < O; i++) {
    V o[O];
    step(half[i], o);
#pragma GCC unroll 8
    for (int j = 0; j < O; j++) write(i, j, o[j]);
  }
}

int64_t whole(int64_t channels) { return (channels + L - 1) / L * L; }

// A grid of tiles over the output of one convolution, `depth` channels in and `columns` out.
struct Grid {
  int64_t images, in_h, in_w, out_h, out_w, pad_h, pad_w, depth, columns;
  int64_t across() const { return (out_w + out_size - 1) / out_size; }
  int64_t down() const { return (out_h + out_size - 1) / out_size; }
  int64_t tiles() const { return images * across() * down(); }
};

Grid forward_grid(const Geometry& s) {
  return {s.images, s.in[1], s.in[2], s.out[1], s.out[2], s.padding[1], s.padding[2], s.channels, s.outputs};
}

// The gradient of the input is a convolution of the cotangent with the turned kernel.
Grid backward_grid(const Geometry& s) {
  return {s.images, s.out[1], s.out[2], s.in[1], s.in[2], 2 - s.padding[1], 2 - s.padding[2], s.outputs, s.channels};
}

// Where a tile begins.
struct Place {
  int64_t image, h, w;
};
Place place_of(const Grid& grid, int64_t tile) {
  const int64_t across = grid.across(), down = grid.down();
  return {tile / across / down, tile / across % down * out_size, tile % across * out_size};
}

// The first n of L channels at p.
RUSHLIGHT_INLINE V load_channels(const float* p, int64_t n) { return n >= L ? load(p) : load_first(p, n); }

// The frequencies of an input tile, at to[f * step + channel].
void transform_input(const Grid& grid, const Maps<const float>& x, int64_t tile, float* to, int64_t step) {
  const Place at = place_of(grid, tile);
  const int64_t h0 = at.h - grid.pad_h, w0 = at.w - grid.pad_w;
  const float* const from = x.data + at.image * x.image + h0 * x.step[1] + w0 * x.step[2];
  const bool inside = h0 >= 0 && w0 >= 0 && h0 + in_size <= grid.in_h && w0 + in_size <= grid.in_w;
  for (int64_t c = 0; c < grid.depth; c += L) {
    const int64_t n = grid.depth - c;
    const auto write = [&](int i, int j, V v) { store(to + (i * in_size + j) * step + c, v); };
    if (inside && n >= L) {
      transform_square<in_size, in_size>(input_transform, [&](int i, int j) { return load(from + i * x.step[1] + j * x.step[2] + c); }, write);
    } else {
      const auto read = [&](int i, int j) {
        const bool exists = uint64_t(h0 + i) < uint64_t(grid.in_h) && uint64_t(w0 + j) < uint64_t(grid.in_w);
        return exists ? load_channels(from + i * x.step[1] + j * x.step[2] + c, n) : V{};
      };
      transform_square<in_size, in_size>(input_transform, read, write);
    }
  }
}

// The frequencies of a tile of the cotangent, `columns` channels.
void transform_cotangent(const Grid& grid, const Maps<const float>& g, int64_t tile, float* to, int64_t step) {
  const Place at = place_of(grid, tile);
  const float* const from = g.data + at.image * g.image + at.h * g.step[1] + at.w * g.step[2];
  for (int64_t c = 0; c < grid.columns; c += L) {
    V half[in_size][out_size];
#pragma GCC unroll 8
    for (int j = 0; j < out_size; j++) {
      V d[out_size], o[in_size];
#pragma GCC unroll 8
      for (int i = 0; i < out_size; i++) {
        const bool exists = at.h + i < grid.out_h && at.w + j < grid.out_w;
        d[i] = exists ? load_channels(from + i * g.step[1] + j * g.step[2] + c, grid.columns - c) : V{};
      }
      cotangent_transform(d, o);
#pragma GCC unroll 8
      for (int i = 0; i < in_size; i++) half[i][j] = o[i];
    }
#pragma GCC unroll 8
    for (int i = 0; i < in_size; i++) {
      V o[in_size];
      cotangent_transform(half[i], o);
#pragma GCC unroll 8
      for (int j = 0; j < in_size; j++) store(to + (i * in_size + j) * step + c, o[j]);
    }
  }
}

// A tile of the output from its frequencies, plus the bias.
void transform_output(const Grid& grid, const float* from, int64_t step, int64_t tile, const float* bias, const Maps<float>& y) {
  const Place at = place_of(grid, tile);
  float* const to = y.data + at.image * y.image + at.h * y.step[1] + at.w * y.step[2];
  for (int64_t c = 0; c < grid.columns; c += L) {
    const int64_t n = std::min(L, grid.columns - c);
    const V shift = bias ? load_channels(bias + c, n) : V{};
    V half[out_size][in_size];
#pragma GCC unroll 8
    for (int j = 0; j < in_size; j++) {
      V d[in_size], o[out_size];
#pragma GCC unroll 8
      for (int i = 0; i < in_size; i++) d[i] = load(from + (i * in_size + j) * step + c);
      output_transform(d, o);
#pragma GCC unroll 8
      for (int i = 0; i < out_size; i++) half[i][j] = o[i];
    }
#pragma GCC unroll 8
    for (int i = 0; i < out_size; i++) {
      V o[out_size];
      output_transform(half[i], o);
      if (at.h + i >= grid.out_h) break;
#pragma GCC unroll 8
      for (int j = 0; j < out_size; j++) {
        if (at.w + j >= grid.out_w) break;
        float* const pixel = to + i * y.step[1] + j * y.step[2] + c;
        if (n == L)
          store(pixel, o[j] + shift);
        else
          store_first(pixel, o[j] + shift, n);
      }
    }
  }
}

// Transformed weights, [frequency][panel of columns][depth][panel width].
struct Weights {
  float* data;
  int64_t depth, columns;

  int64_t step() const { return depth * whole(columns) + apart; }
  int64_t width(int64_t panel) const { return std::min(tile_columns<float>, whole(columns) - panel * tile_columns<float>); }
  float* at(int64_t f, int64_t panel, int64_t row) const { return data + f * step() + panel * tile_columns<float> * depth + row * width(panel); }
  int64_t panels() const { return (columns + tile_columns<float> - 1) / tile_columns<float>; }
};

// One vector of columns and up to L rows of the transformed weight.
void transform_weight(const float* w, const float* end, int64_t channels, bool backward, int64_t column, int64_t row, const Weights& u) {
  float packed[9 * L * L];
  const int64_t rows = std::min(L, u.depth - row), columns = std::min(L, u.columns - column);
  if (backward)
    pack_backward(w, end, channels, 9, row, rows, column, columns, packed);
  else
    pack_forward(w, channels, 9, row, rows, column, columns, packed);
  const int64_t panel = column / tile_columns<float>, inner = column % tile_columns<float>;
  for (int64_t k = 0; k < rows; k++) {
    V half[in_size][3];
#pragma GCC unroll 8
    for (int j = 0; j < 3; j++) {
      V g[3], o[in_size];
#pragma GCC unroll 8
      for (int i = 0; i < 3; i++) g[i] = load(packed + ((backward ? 8 - (i * 3 + j) : i * 3 + j) * rows + k) * L);
      kernel_transform(g, o);
#pragma GCC unroll 8
      for (int i = 0; i < in_size; i++) half[i][j] = o[i];
    }
#pragma GCC unroll 8
    for (int i = 0; i < in_size; i++) {
      V o[in_size];
      kernel_transform(half[i], o);
#pragma GCC unroll 8
      for (int j = 0; j < in_size; j++) store(u.at(i * in_size + j, panel, row + k) + inner, o[j]);
    }
  }
}

// The product of one frequency and panel for `tiles` rows: from [tiles][whole(depth)] to [tiles][whole(columns)].
void multiply(const Weights& u, int64_t f, int64_t panel, const float* from, int64_t tiles, float* to) {
  const int64_t in_pitch = whole(u.depth), out_pitch = whole(u.columns), width = u.width(panel);
  const int64_t blocks = (tiles + tile_rows - 1) / tile_rows;
  const Finish<float> finish;
  Tap<float> tap;
  tap.b = u.at(f, panel, 0);
  for (int64_t block = 0; block < blocks; block++) {
    const int64_t first = tiles * block / blocks, rows = tiles * (block + 1) / blocks - first;
    float* c[tile_rows];
    for (int64_t r = 0; r < rows; r++) {
      tap.a[r] = from + (first + r) * in_pitch;
      c[r] = to + (first + r) * out_pitch + panel * tile_columns<float>;
    }
    tile_kernel<float>(rows, width)(1, &tap, u.depth, width, c, width, finish);
  }
}

// Blocks of nearly equal size, at most `most` tiles.
struct Blocks {
  int64_t tiles, count;
  Blocks(int64_t tiles, int64_t most) : tiles(tiles), count((tiles + most - 1) / most) {}
  int64_t begin(int64_t block) const { return tiles * block / count; }
  int64_t largest() const { return (tiles + count - 1) / count; }
};

void convolve(const Grid& grid, const Maps<const float>& x, const float* w, const float* w_end, int64_t channels, bool backward, const float* bias,
              const Maps<float>& y) {
  Weights u{nullptr, grid.depth, grid.columns};
  const bool small = frequencies * u.step() <= small_weight;
  const int64_t in_pitch = whole(grid.depth), out_pitch = whole(grid.columns), tiles = grid.tiles();
  const int64_t most = small ? own_tiles : std::max<int64_t>(96, shared_elements / (frequencies * (in_pitch + out_pitch)));
  const Blocks blocks(tiles, most);
  const int64_t in_step = blocks.largest() * in_pitch + apart, out_step = blocks.largest() * out_pitch + apart;
  const Buffer weights(size_t(frequencies * u.step()) * sizeof(float));
  const Buffer work(small ? 0 : size_t(frequencies * (in_step + out_step)) * sizeof(float));
  u.data = weights.as<float>();
  const ReleaseGil released(int64_t(1) << 30);
  const int64_t column_blocks = out_pitch / L, row_blocks = in_pitch / L;
  parallel(column_blocks * row_blocks, [&](int64_t block) { transform_weight(w, w_end, channels, backward, block / row_blocks * L, block % row_blocks * L, u); });
  if (small) {
    parallel(blocks.count, [&](int64_t block) {
      float* const in = scratch<float>(4, frequencies * (in_step + out_step));
      float* const out = in + frequencies * in_step;
      const int64_t first = blocks.begin(block), count = blocks.begin(block + 1) - first;
      for (int64_t i = 0; i < count; i++) transform_input(grid, x, first + i, in + i * in_pitch, in_step);
      for (int64_t f = 0; f < frequencies; f++)
        for (int64_t panel = 0; panel < u.panels(); panel++) multiply(u, f, panel, in + f * in_step, count, out + f * out_step);
      for (int64_t i = 0; i < count; i++) transform_output(grid, out + i * out_pitch, out_step, first + i, bias, y);
    });
    return;
  }
  float* const in = work.as<float>();
  float* const out = in + frequencies * in_step;
  for (int64_t block = 0; block < blocks.count; block++) {
    const int64_t first = blocks.begin(block), count = blocks.begin(block + 1) - first;
    parallel_range(count, 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) transform_input(grid, x, first + i, in + i * in_pitch, in_step);
    });
    parallel(frequencies, [&](int64_t f) {
      for (int64_t panel = 0; panel < u.panels(); panel++) multiply(u, f, panel, in + f * in_step, count, out + f * out_step);
    });
    parallel_range(count, 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) transform_output(grid, out + i * out_pitch, out_step, first + i, bias, y);
    });
  }
}

// The products of one frequency for the gradient of the weight: sums[c][o] (+)= in[tile][c] * cotangent[tile][o].
void accumulate(const Grid& grid, const float* in, const float* cotangent, int64_t tiles, float* sums, bool first) {
  const int64_t in_pitch = whole(grid.depth), pitch = whole(grid.columns);
  Pair<float>* const pair = scratch<Pair<float>>(5, tiles);
  for (int64_t column = 0; column < pitch; column += tile_columns<float>) {
    for (int64_t i = 0; i < tiles; i++) pair[i] = {in + i * in_pitch, cotangent + i * pitch + column};
    outer_rows(pair, tiles, grid.depth, sums + column, pitch, std::min(tile_columns<float>, pitch - column) / L, first);
  }
}

// The gradient of the weight for the outputs of one vector, from `parts` sums `part` apart of [frequency][c][whole(o)].
void finish_weight(const Grid& grid, const float* sums, int64_t step, int64_t parts, int64_t part, int64_t output, float* gw) {
  const int64_t pitch = whole(grid.columns);
  float* const taps = scratch<float>(6, 9 * grid.depth * L);
  for (int64_t c = 0; c < grid.depth; c++) {
    V half[3][in_size];
#pragma GCC unroll 8
    for (int j = 0; j < in_size; j++) {
      V u[in_size], o[3];
#pragma GCC unroll 8
      for (int i = 0; i < in_size; i++) {
        const float* at = sums + (i * in_size + j) * step + c * pitch + output;
        u[i] = load(at);
        for (int64_t p = 1; p < parts; p++) u[i] += load(at += part);
      }
      gradient_transform(u, o);
#pragma GCC unroll 8
      for (int i = 0; i < 3; i++) half[i][j] = o[i];
    }
#pragma GCC unroll 8
    for (int i = 0; i < 3; i++) {
      V o[3];
      gradient_transform(half[i], o);
#pragma GCC unroll 8
      for (int j = 0; j < 3; j++) store(taps + ((i * 3 + j) * grid.depth + c) * L, o[j]);
    }
  }
  unpack_weight(taps, 1, 0, L, grid.depth, 9, output, std::min(L, grid.columns - output), gw);
}

}  // namespace

void set_winograd(bool on) { enabled = on; }
bool winograd_enabled() { return enabled; }

bool winograd_suits(const Geometry& shape) {
  if (!enabled || shape.in[0] != 1 || shape.kernel[0] != 1 || shape.padding[0] != 0 || shape.groups != 1) return false;
  for (int i = 1; i < 3; i++)
    if (shape.kernel[i] != 3 || shape.stride[i] != 1 || shape.dilation[i] != 1 || shape.padding[i] > 2 || shape.out[i] < out_size || shape.in[i] < out_size) return false;
  if (shape.out[1] != shape.in[1] + 2 * shape.padding[1] - 2 || shape.out[2] != shape.in[2] + 2 * shape.padding[2] - 2) return false;
  if (shape.channels < fewest_channels || shape.outputs < fewest_channels) return false;
  return forward_grid(shape).tiles() >= fewest_tiles;
}

void winograd_forward(const Geometry& shape, const Maps<const float>& x, const float* w, const float* bias, const Maps<float>& y) {
  convolve(forward_grid(shape), x, w, w + shape.outputs * shape.channels * 9, shape.channels, false, bias, y);
}

void winograd_backward(const Geometry& shape, const Maps<const float>& g, const float* w, const Maps<float>& gx) {
  convolve(backward_grid(shape), g, w, w + shape.outputs * shape.channels * 9, shape.channels, true, nullptr, gx);
}

void winograd_weight(const Geometry& shape, const Maps<const float>& g, const Maps<const float>& x, float* gw) {
  const Grid grid = forward_grid(shape);
  const int64_t in_pitch = whole(grid.depth), pitch = whole(grid.columns), tiles = grid.tiles();
  const int64_t step = grid.depth * pitch + apart, part = frequencies * step;
  const bool small = part <= small_weight;
  // With small weights a range of tiles has its own sums, with large ones there is one.
  const Blocks ranges(tiles, small ? std::max<int64_t>(4 * own_tiles, (tiles + 7) / 8) : tiles);
  const int64_t most = small ? own_tiles : std::max<int64_t>(96, shared_elements / (frequencies * (in_pitch + pitch)));
  const Blocks blocks(ranges.largest(), most);
  const int64_t in_step = (blocks.largest() + 1) * in_pitch + apart, out_step = (blocks.largest() + 1) * pitch + apart;
  const Buffer sums_memory(size_t(ranges.count * part) * sizeof(float));
  const Buffer work(small ? 0 : size_t(frequencies * (in_step + out_step)) * sizeof(float));
  float* const sums = sums_memory.as<float>();
  const ReleaseGil released(int64_t(1) << 30);
  if (small) {
    parallel(ranges.count, [&](int64_t range) {
      float* const in = scratch<float>(4, frequencies * (in_step + out_step));
      float* const out = in + frequencies * in_step;
      const int64_t start = ranges.begin(range);
      const Blocks own(ranges.begin(range + 1) - start, most);
      for (int64_t block = 0; block < own.count; block++) {
        const int64_t first = start + own.begin(block), count = own.begin(block + 1) - own.begin(block);
        for (int64_t i = 0; i < count; i++) {
          transform_input(grid, x, first + i, in + i * in_pitch, in_step);
          transform_cotangent(grid, g, first + i, out + i * pitch, out_step);
        }
        for (int64_t f = 0; f < frequencies; f++) accumulate(grid, in + f * in_step, out + f * out_step, count, sums + range * part + f * step, block == 0);
      }
    });
  } else {
    float* const in = work.as<float>();
    float* const out = in + frequencies * in_step;
    for (int64_t block = 0; block < blocks.count; block++) {
      const int64_t first = blocks.begin(block), count = blocks.begin(block + 1) - first;
      parallel_range(count, 4, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
          transform_input(grid, x, first + i, in + i * in_pitch, in_step);
          transform_cotangent(grid, g, first + i, out + i * pitch, out_step);
        }
      });
      parallel(frequencies, [&](int64_t f) { accumulate(grid, in + f * in_step, out + f * out_step, count, sums + f * step, block == 0); });
    }
  }
  parallel(pitch / L, [&](int64_t block) { finish_weight(grid, sums, step, ranges.count, part, block * L, gw); });
}

}  // namespace rushlight::conv
