// Winograd's minimal filtering F(4x4, 3x3) for 3 x 3 convolutions of stride 1 in float32: the forward pass, the gradient of
// the input and that of the weight with 36 multiplications for 16 outputs where the direct method takes 144.
//
// A tile of 6 x 6 inputs d, a kernel g and a tile of 4 x 4 outputs y are related by
//
//   y = At (G g Gt * Bt d B) A        one product per frequency f in 0..35, summed over channels
//   dg = Gt (sum over tiles of Bt d B * A dy At) G
//
// so that all work between the transforms is 36 matrix products [tiles, C] x [C, O]. The interpolation points are 0, 2/3,
// -2/3, 3/2, -3/2 and infinity, whose rounding errors are less than half those of 0, +-1, +-2; most of what remains comes from
// the sums over channels, which are therefore made of short ones. Transforms run along channels. A value that is not finite
// spreads to its tile.
//
// Transformed channels lie in chunks of 64, each [frequency][tile][64]. With a small weight a task takes a block of tiles
// through all steps. With a large one, whose transform would be four times the weight, all threads first transform the
// input of a span of tiles; then a task takes a panel of 64 outputs and transforms the weight it needs chunk by chunk, so
// that it never leaves the L2 cache.
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
// Channels of a chunk, and of one sum within it.
constexpr int64_t chunk = 64, chain = 16;
static_assert(chunk % tile_columns<float> == 0);
// Transformed weights up to this many elements stay in the L2 cache beside a task's tiles.
constexpr int64_t resident_weight = 1 << 18;
// Tiles of a task's block with a small and a large weight, elements of the transforms of a span.
constexpr int64_t small_block = 36, large_block = 96, span_elements = 6 << 20;
constexpr int64_t fewest_tiles = 24, fewest_channels = 32;

std::atomic<bool> enabled{true};

#define RUSHLIGHT_INLINE inline __attribute__((always_inline))

constexpr double a = 2.0 / 3, b = 1.5, a2 = a * a, b2 = b * b;
constexpr float fa = float(a), fb = float(b), fa2 = float(a2), fb2 = float(b2), fa3 = float(a2 * a), fb3 = float(b2 * b);
constexpr float sum2 = float(a2 + b2);  // a * b is 1
constexpr double at_a = 1 / (2 * a2 * (a2 - b2)), at_b = 1 / (2 * b2 * (b2 - a2));
constexpr float a0 = float(at_a), a1 = float(at_a * a), a_2 = float(at_a * a2), b0 = float(at_b), b1 = float(at_b * b), b_2 = float(at_b * b2);

RUSHLIGHT_INLINE void input_transform(const V* d, V* o) {  // Bt d
  const V t0 = d[4] - fb2 * d[2], t1 = fa * (d[3] - fb2 * d[1]), t2 = d[4] - fa2 * d[2], t3 = fb * (d[3] - fa2 * d[1]);
  o[0] = d[0] - sum2 * d[2] + d[4];
  o[1] = t0 + t1;
  o[2] = t0 - t1;
  o[3] = t2 + t3;
  o[4] = t2 - t3;
  o[5] = d[1] - sum2 * d[3] + d[5];
}

RUSHLIGHT_INLINE void kernel_transform(const V* g, V* o) {  // G g
  const V e = a0 * g[0] + a_2 * g[2], f = a1 * g[1], s = b0 * g[0] + b_2 * g[2], h = b1 * g[1];
  o[0] = g[0];
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
  o[0] = u[0] + a0 * s1 + b0 * s2;
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

// Transformed tiles of `channels`: element (chunk, f, tile, c) at data[(chunk * frequencies + f) * step + tile * chunk + c].
struct Spectra {
  float* data;
  int64_t step, channels;

  static int64_t step_for(int64_t tiles) { return tiles * chunk + apart; }
  static int64_t chunks_of(int64_t channels) { return (channels + chunk - 1) / chunk; }
  static int64_t elements(int64_t channels, int64_t tiles) { return chunks_of(channels) * frequencies * step_for(tiles); }
  int64_t chunks() const { return chunks_of(channels); }
  int64_t width(int64_t index) const { return std::min(chunk, channels - index * chunk); }
  float* at(int64_t index, int64_t f, int64_t tile) const { return data + (index * frequencies + f) * step + tile * chunk; }
  // Where frequency 0 of a channel of a tile lies; frequency f lies f * step further.
  float* channel(int64_t tile, int64_t c) const { return at(c / chunk, 0, tile) + c % chunk; }
};

// The first n of L channels at p.
RUSHLIGHT_INLINE V load_channels(const float* p, int64_t n) { return n >= L ? load(p) : load_first(p, n); }

// The spectrum of an input tile, as tile `index` of `to`.
void transform_input(const Grid& grid, const Maps<const float>& x, int64_t tile, const Spectra& to, int64_t index) {
  const Place at = place_of(grid, tile);
  const int64_t h0 = at.h - grid.pad_h, w0 = at.w - grid.pad_w, step = to.step;
  const float* const from = x.data + at.image * x.image + h0 * x.step[1] + w0 * x.step[2];
  const bool inside = h0 >= 0 && w0 >= 0 && h0 + in_size <= grid.in_h && w0 + in_size <= grid.in_w;
  for (int64_t c = 0; c < grid.depth; c += L) {
    const int64_t n = grid.depth - c;
    float* const target = to.channel(index, c);
    const auto write = [&](int i, int j, V v) { store(target + (i * in_size + j) * step, v); };
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

// The spectrum of a tile of the cotangent.
void transform_cotangent(const Grid& grid, const Maps<const float>& g, int64_t tile, const Spectra& to, int64_t index) {
  const Place at = place_of(grid, tile);
  const float* const from = g.data + at.image * g.image + at.h * g.step[1] + at.w * g.step[2];
  for (int64_t c = 0; c < grid.columns; c += L) {
    float* const target = to.channel(index, c);
    const auto read = [&](int i, int j) {
      const bool exists = at.h + i < grid.out_h && at.w + j < grid.out_w;
      return exists ? load_channels(from + i * g.step[1] + j * g.step[2] + c, grid.columns - c) : V{};
    };
    transform_square<out_size, in_size>(cotangent_transform, read, [&](int i, int j, V v) { store(target + (i * in_size + j) * to.step, v); });
  }
}

// Outputs [begin, end) of a tile from its spectrum, plus the bias.
void transform_output(const Grid& grid, const Spectra& from, int64_t index, int64_t begin, int64_t end, int64_t tile, const float* bias, const Maps<float>& y) {
  const Place at = place_of(grid, tile);
  float* const to = y.data + at.image * y.image + at.h * y.step[1] + at.w * y.step[2];
  for (int64_t c = begin; c < end; c += L) {
    const int64_t n = std::min(L, end - c);
    const V shift = bias ? load_channels(bias + c, n) : V{};
    const float* const source = from.channel(index, c - begin);
    const auto read = [&](int i, int j) { return load(source + (i * in_size + j) * from.step); };
    const auto write = [&](int i, int j, V v) {
      if (at.h + i >= grid.out_h || at.w + j >= grid.out_w) return;
      float* const pixel = to + i * y.step[1] + j * y.step[2] + c;
      if (n == L)
        store(pixel, v + shift);
      else
        store_first(pixel, v + shift, n);
    };
    transform_square<in_size, out_size>(output_transform, read, write);
  }
}

// The weight and how its rows and columns are meant: as in the forward pass, or turned for the gradient of the input.
struct Kernel {
  const float* data;
  int64_t outputs, channels;
  bool turned;

  int64_t depth() const { return turned ? outputs : channels; }
  int64_t columns() const { return turned ? channels : outputs; }
};

// The transformed weight for one chunk of depth and one panel of `width` columns (whole vectors): row k of frequency f at
// to[f * step + k * width].
void transform_weight(const Kernel& w, int64_t part, int64_t panel, int64_t width, float* to, int64_t step) {
  float packed[9 * L * L];
  const int64_t rows = std::min(chunk, w.depth() - part * chunk);
  for (int64_t row = 0; row < rows; row += L)
    for (int64_t column = 0; column < width; column += L) {
      const int64_t r0 = part * chunk + row, c0 = panel * tile_columns<float> + column;
      const int64_t height = std::min(L, rows - row), columns = std::min(L, w.columns() - c0);
      if (w.turned)
        pack_backward(w.data, w.data + w.outputs * w.channels * 9, w.channels, 9, r0, height, c0, columns, packed);
      else
        pack_forward(w.data, w.channels, 9, r0, height, c0, columns, packed);
      for (int64_t k = 0; k < height; k++) {
        float* const target = to + (row + k) * width + column;
        const auto read = [&](int i, int j) { return load(packed + ((w.turned ? 8 - (i * 3 + j) : i * 3 + j) * height + k) * L); };
        transform_square<3, in_size>(kernel_transform, read, [&](int i, int j, V v) { store(target + (i * in_size + j) * step, v); });
      }
    }
}

// All frequencies of one chunk and panel for `tiles` tiles from `first` on: sums (+)= in * weight.
void multiply(const Spectra& in, int64_t part, int64_t first, int64_t tiles, const float* weight, int64_t weight_step, int64_t width, const Spectra& out,
              int64_t out_part) {
  const int64_t blocks = (tiles + tile_rows - 1) / tile_rows, depth = in.width(part);
  Finish<float> finish;
  for (int64_t f = 0; f < frequencies; f++) {
    Tap<float> tap;
    for (int64_t block = 0; block < blocks; block++) {
      const int64_t begin = tiles * block / blocks, rows = tiles * (block + 1) / blocks - begin;
      float* c[tile_rows];
      for (int64_t r = 0; r < rows; r++) {
        tap.a[r] = in.at(part, f, first + begin + r);
        c[r] = out.at(0, f, begin + r) + out_part;
      }
      const TileKernel<float> kernel = tile_kernel<float>(rows, width);
      // A chunk is summed by itself before it joins the others.
      float own[tile_rows * tile_columns<float>];
      float* sums[tile_rows];
      for (int64_t r = 0; r < rows; r++) sums[r] = part > 0 ? own + r * width : c[r];
      for (int64_t k = 0; k < depth; k += chain) {
        tap.b = weight + f * weight_step + k * width;
        finish.accumulate = k > 0;
        kernel(1, &tap, std::min(chain, depth - k), width, sums, width, finish);
        for (int64_t r = 0; r < rows; r++) tap.a[r] += chain;
      }
      for (int64_t r = 0; r < rows && part > 0; r++)
        for (int64_t j = 0; j < width; j += L) store(c[r] + j, load(c[r] + j) + load(own + r * width + j));
    }
  }
}

// Blocks of nearly equal size, at most `most` tiles.
struct Blocks {
  int64_t tiles, count;
  Blocks(int64_t tiles, int64_t most) : tiles(tiles), count((tiles + most - 1) / most) {}
  int64_t begin(int64_t block) const { return tiles * block / count; }
  int64_t size(int64_t block) const { return begin(block + 1) - begin(block); }
  int64_t largest() const { return (tiles + count - 1) / count; }
};

bool resident(int64_t depth, int64_t columns) { return frequencies * whole(depth) * whole(columns) <= resident_weight; }

// Tiles of one span, whose transforms of `channels` channels are made before they are used.
int64_t span_tiles(int64_t channels) { return std::max(large_block, span_elements / (frequencies * whole(channels)) / large_block * large_block); }

// Panels of columns as a task sees them.
int64_t panels_of(int64_t columns) { return (columns + tile_columns<float> - 1) / tile_columns<float>; }
int64_t panel_columns(int64_t columns, int64_t panel) { return std::min(tile_columns<float>, columns - panel * tile_columns<float>); }

// A block of tiles at a time, the whole transformed weight beside it.
void convolve_resident(const Grid& grid, const Maps<const float>& x, const Kernel& w, const float* bias, const Maps<float>& y) {
  const int64_t parts = Spectra::chunks_of(grid.depth), panels = panels_of(grid.columns);
  const int64_t step = chunk * tile_columns<float> + apart, piece = frequencies * step;
  const Blocks blocks(grid.tiles(), small_block);
  const Buffer memory(size_t(parts * panels * piece) * sizeof(float));
  float* const weights = memory.as<float>();
  const ReleaseGil released(int64_t(1) << 30);
  parallel(parts * panels, [&](int64_t i) {
    transform_weight(w, i / panels, i % panels, panel_width<float>(panel_columns(grid.columns, i % panels)), weights + i * piece, step);
  });
  parallel(blocks.count, [&](int64_t block) {
    const int64_t in_elements = Spectra::elements(grid.depth, blocks.largest()), out_elements = frequencies * Spectra::step_for(blocks.largest());
    float* const memory = scratch<float>(4, in_elements + out_elements);
    const Spectra in{memory, Spectra::step_for(blocks.largest()), grid.depth}, out{memory + in_elements, in.step, tile_columns<float>};
    const int64_t first = blocks.begin(block), count = blocks.size(block);
    for (int64_t i = 0; i < count; i++) transform_input(grid, x, first + i, in, i);
    for (int64_t panel = 0; panel < panels; panel++) {
      const int64_t start = panel * tile_columns<float>, columns = panel_columns(grid.columns, panel);
      for (int64_t part = 0; part < parts; part++)
        multiply(in, part, 0, count, weights + (part * panels + panel) * piece, step, panel_width<float>(columns), out, 0);
      for (int64_t i = 0; i < count; i++) transform_output(grid, out, i, start, start + columns, first + i, bias, y);
    }
  });
}

// A span of tiles at a time; tasks transform the weight they need.
void convolve_streaming(const Grid& grid, const Maps<const float>& x, const Kernel& w, const float* bias, const Maps<float>& y) {
  const int64_t parts = Spectra::chunks_of(grid.depth), panels = panels_of(grid.columns);
  const Blocks spans(grid.tiles(), span_tiles(grid.depth));
  const Buffer memory(size_t(Spectra::elements(grid.depth, spans.largest())) * sizeof(float));
  const Spectra in{memory.as<float>(), Spectra::step_for(spans.largest()), grid.depth};
  const ReleaseGil released(int64_t(1) << 30);
  for (int64_t span = 0; span < spans.count; span++) {
    const int64_t first = spans.begin(span), count = spans.size(span);
    parallel_range(count, 2, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) transform_input(grid, x, first + i, in, i);
    });
    const Blocks blocks(count, large_block);
    parallel(panels * blocks.count, [&](int64_t task) {
      const int64_t panel = task / blocks.count, block = task % blocks.count, begin = blocks.begin(block), here = blocks.size(block);
      const int64_t start = panel * tile_columns<float>, columns = panel_columns(grid.columns, panel), width = panel_width<float>(columns);
      const int64_t step = chunk * width + apart, out_step = Spectra::step_for(blocks.largest());
      float* const weight = scratch<float>(4, frequencies * (step + out_step));
      const Spectra out{weight + frequencies * step, out_step, tile_columns<float>};
      for (int64_t part = 0; part < parts; part++) {
        transform_weight(w, part, panel, width, weight, step);
        multiply(in, part, begin, here, weight, step, width, out, 0);
      }
      for (int64_t i = 0; i < here; i++) transform_output(grid, out, i, start, start + columns, first + begin + i, bias, y);
    });
  }
}

void convolve(const Grid& grid, const Maps<const float>& x, const Kernel& w, const float* bias, const Maps<float>& y) {
  if (resident(grid.depth, grid.columns))
    convolve_resident(grid, x, w, bias, y);
  else
    convolve_streaming(grid, x, w, bias, y);
}

// The sums for the gradient of the weight of one chunk of channels and one chunk of outputs: [frequency][c][width].
void accumulate(const Spectra& in, int64_t part, const Spectra& out, int64_t out_part, int64_t begin, int64_t end, float* sums, int64_t step, bool first) {
  constexpr int64_t at_once = 64;
  Pair<float> pair[at_once];
  const int64_t width = panel_width<float>(out.width(out_part));
  for (int64_t f = 0; f < frequencies; f++)
    for (int64_t start = begin; start < end; start += at_once) {
      const int64_t count = std::min(at_once, end - start);
      for (int64_t i = 0; i < count; i++) pair[i] = {in.at(part, f, start + i), out.at(out_part, f, start + i)};
      for (int64_t j = 0; j < width; j += tile_columns<float>) {
        const int64_t vectors = std::min(tile_columns<float>, width - j) / L;
        if (j > 0)
          for (int64_t i = 0; i < count; i++) pair[i].right += tile_columns<float>;
        outer_rows(pair, count, in.width(part), sums + f * step + j, width, vectors, first && start == begin);
      }
    }
}

// The gradient of the weight for one chunk of channels and of outputs, from `ranges` sums `range` apart.
void finish_weight(const Grid& grid, int64_t part, int64_t out_part, const float* sums, int64_t step, int64_t ranges, int64_t range, float* gw) {
  const int64_t rows = std::min(chunk, grid.depth - part * chunk), columns = std::min(chunk, grid.columns - out_part * chunk);
  const int64_t width = panel_width<float>(columns);
  float* const taps = scratch<float>(6, 9 * chunk * L);
  for (int64_t o = 0; o < columns; o += L) {
    for (int64_t c = 0; c < rows; c++) {
      const auto read = [&](int i, int j) {
        const float* at = sums + (i * in_size + j) * step + c * width + o;
        V sum = load(at);
        for (int64_t r = 1; r < ranges; r++) sum += load(at += range);
        return sum;
      };
      transform_square<in_size, 3>(gradient_transform, read, [&](int i, int j, V v) { store(taps + ((i * 3 + j) * rows + c) * L, v); });
    }
    float* const to = gw + ((out_part * chunk + o) * grid.depth + part * chunk) * 9;
    unpack_weight(taps, 1, 0, L, rows, 9, 0, std::min(L, columns - o), to, grid.depth * 9);
  }
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
  convolve(forward_grid(shape), x, {w, shape.outputs, shape.channels, false}, bias, y);
}

void winograd_backward(const Geometry& shape, const Maps<const float>& g, const float* w, const Maps<float>& gx) {
  convolve(backward_grid(shape), g, {w, shape.outputs, shape.channels, true}, nullptr, gx);
}

void winograd_weight(const Geometry& shape, const Maps<const float>& g, const Maps<const float>& x, float* gw) {
  const Grid grid = forward_grid(shape);
  const int64_t parts = Spectra::chunks_of(grid.depth), out_parts = Spectra::chunks_of(grid.columns), pieces = parts * out_parts;
  const int64_t step = chunk * chunk + apart, piece = frequencies * step, tiles = grid.tiles();
  const auto transform = [&](int64_t tile, const Spectra& in, const Spectra& out, int64_t index) {
    transform_input(grid, x, tile, in, index);
    transform_cotangent(grid, g, tile, out, index);
  };
  if (resident(grid.depth, grid.columns)) {
    // A range of tiles has sums of its own; how many there are follows from the shape.
    const Blocks ranges(tiles, std::max<int64_t>(4 * small_block, (tiles + 7) / 8));
    const Buffer memory(size_t(ranges.count * pieces * piece) * sizeof(float));
    float* const sums = memory.as<float>();
    const ReleaseGil released(int64_t(1) << 30);
    parallel(ranges.count, [&](int64_t range) {
      const int64_t in_elements = Spectra::elements(grid.depth, small_block);
      float* const spectra = scratch<float>(4, in_elements + Spectra::elements(grid.columns, small_block));
      const Spectra in{spectra, Spectra::step_for(small_block), grid.depth}, out{spectra + in_elements, in.step, grid.columns};
      const Blocks blocks(ranges.size(range), small_block);
      for (int64_t block = 0; block < blocks.count; block++) {
        const int64_t first = ranges.begin(range) + blocks.begin(block), count = blocks.size(block);
        for (int64_t i = 0; i < count; i++) transform(first + i, in, out, i);
        for (int64_t p = 0; p < pieces; p++)
          accumulate(in, p / out_parts, out, p % out_parts, 0, count, sums + (range * pieces + p) * piece, step, block == 0);
      }
    });
    parallel(pieces, [&](int64_t p) { finish_weight(grid, p / out_parts, p % out_parts, sums + p * piece, step, ranges.count, pieces * piece, gw); });
    return;
  }
  const Blocks spans(tiles, span_tiles(grid.depth + grid.columns));
  const int64_t in_elements = Spectra::elements(grid.depth, spans.largest());
  const Buffer memory(size_t(in_elements + Spectra::elements(grid.columns, spans.largest())) * sizeof(float));
  const Buffer kept(spans.count > 1 ? size_t(pieces * piece) * sizeof(float) : 0);
  const Spectra in{memory.as<float>(), Spectra::step_for(spans.largest()), grid.depth}, out{in.data + in_elements, in.step, grid.columns};
  const ReleaseGil released(int64_t(1) << 30);
  for (int64_t span = 0; span < spans.count; span++) {
    const int64_t first = spans.begin(span), count = spans.size(span);
    parallel_range(count, 2, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) transform(first + i, in, out, i);
    });
    parallel(pieces, [&](int64_t p) {
      float* const sums = spans.count > 1 ? kept.as<float>() + p * piece : scratch<float>(4, piece);
      accumulate(in, p / out_parts, out, p % out_parts, 0, count, sums, step, span == 0);
      if (span + 1 == spans.count) finish_weight(grid, p / out_parts, p % out_parts, sums, step, 1, 0, gw);
    });
  }
}

}  // namespace rushlight::conv
