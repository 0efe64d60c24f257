// Resampling of maps [N, C, *spatial] in one to three dimensions (nearest, linear, cubic), and its transpose, the gradient.
//
// Along each dimension both are a sparse linear map: an output is a short weighted sum of inputs, and the tables say of
// which. Channels innermost, an output pixel is a weighted sum of input pixels, a register of channels at a time.
// Row-major, every map is taken by itself, row by row: where maps grow, rows of the input are resampled once each, kept
// while outputs need them, and combined; where maps shrink, the rows are combined first. A small map is one row, by a
// table of all dimensions together; so is a row of pixels of a few channels. Doubling maps of 64x64 runs at
// the speed of memory either way. Results are channels-last where the input is, hidden where it is hidden.
//
// Positions are computed in float32 for all but float64 (nearest: always), each step rounded, so that the same neighbours
// are picked as by the reference. Zero weights count: infinity times 0 is NaN, as there.
#include <cmath>

#include "kernel.h"
#include "parallel.h"
#include "relayout.h"
#include "vec.h"

namespace rushlight {
namespace {

constexpr int most_spatial = 3;
// Multiplications in a block of output rows, about.
constexpr int64_t block_work = 32 << 10;
// The table of all dimensions together: how wide maps are that are worth it, how many of them, and its entries.
constexpr int64_t narrow_row = 48, several_maps = 8, merged_entries = 32 << 10;
// Slots of scratch memory: one for the table of each dimension, others for tables made from tables and for rows.
constexpr int transposing_slot = most_spatial, wide_slot = transposing_slot, merged_slot = 4, rows_slot = 5, list_slot = 6;

enum class Mode { Nearest, NearestExact, Linear, Cubic };

// One dimension: output o is the sum over k < count[o] of weight[k][o] * input[index[k][o]]. Entries from count[o] to
// `taps` weigh 0 and point behind the inputs.
template <class T>
struct Along {
  int64_t inputs = 1, outputs = 1, taps = 1;
  bool identity = false;  // output o is input o
  bool ragged = false;    // some outputs have fewer than `taps` inputs
  T* weight = nullptr;
  int32_t *index = nullptr, *count = nullptr;

  Along() = default;
  Along(int slot, int64_t in, int64_t out, int64_t most) : inputs(in), outputs(out), taps(most) {
    const int64_t entries = taps * outputs;
    char* const memory = scratch<char>(slot, entries * int64_t(sizeof(T) + sizeof(int32_t)) + outputs * int64_t(sizeof(int32_t)));
    weight = reinterpret_cast<T*>(memory);
    index = reinterpret_cast<int32_t*>(weight + entries);
    count = index + entries;
    std::fill(count, count + outputs, int32_t(taps));
  }
};

// Inputs per output; a factor that the user gave is used as it is.
template <class Real>
Real step_of(int64_t size, int64_t outputs, double factor) {
  return factor > 0 ? Real(1 / factor) : Real(size) / Real(outputs);
}

// The product as `Real` rounds it: in float64 first, so that it is not contracted with what is added to it. (For float64
// itself that does not matter: its positions are only used where neighbours go over into each other.)
inline float rounded_product(float a, float b) { return float(double(a) * double(b)); }
inline double rounded_product(double a, double b) { return a * b; }

template <class T>
void make_identity(Along<T>& a) {
  a.identity = true;
  for (int64_t o = 0; o < a.outputs; o++) {
    a.index[o] = int32_t(o);
    a.weight[o] = 1;
  }
}

// False where the position is beyond any index: the reference has the last word.
template <class T>
bool make_nearest(Along<T>& a, double factor, bool exact) {
  if (!exact && a.outputs == a.inputs) {
    make_identity(a);
    return true;
  }
  const float step = step_of<float>(a.inputs, a.outputs, factor);
  if (!(step * float(a.outputs) < 1e9f)) return false;
  for (int64_t o = 0; o < a.outputs; o++) {
    int64_t at = exact ? int64_t((float(o) + 0.5f) * step) : a.outputs == 2 * a.inputs ? o / 2 : int64_t(float(o) * step);
    a.index[o] = int32_t(std::min(at, a.inputs - 1));
    a.weight[o] = 1;
  }
  return true;
}

// Calls body(o, position) for every output.
template <class Real, class Body>
bool each_position(int64_t inputs, int64_t outputs, bool align_corners, double factor, Body&& body) {
  const Real step = !align_corners ? step_of<Real>(inputs, outputs, factor)
                                   : outputs > 1 ? Real(inputs - 1) / Real(outputs - 1) : Real(0);
  if (!(step * Real(outputs) < Real(1e9))) return false;
  for (int64_t o = 0; o < outputs; o++) {
    const Real half(0.5);
    body(o, align_corners ? rounded_product(Real(o), step) : Real(rounded_product(Real(o) + half, step) - half));
  }
  return true;
}

template <class T>
bool make_linear(Along<T>& a, bool align_corners, double factor) {
  return each_position<T>(a.inputs, a.outputs, align_corners, factor, [&](int64_t o, T at) {
    at = std::max(at, T(0));
    const int64_t left = std::min(int64_t(at), a.inputs - 1);
    const T fraction = std::clamp(at - T(left), T(0), T(1));
    a.index[o] = int32_t(left);
    a.index[a.outputs + o] = int32_t(std::min(left + 1, a.inputs - 1));
    a.weight[o] = 1 - fraction;
    a.weight[a.outputs + o] = fraction;
  });
}

// The cubic convolution kernel with a = -3/4 at distance t >= 0.
template <class T>
T cubic(T t) {
  constexpr T a(-0.75);
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : T(0);
}

template <class T>
bool make_cubic(Along<T>& a, bool align_corners, double factor) {
  return each_position<T>(a.inputs, a.outputs, align_corners, factor, [&](int64_t o, T at) {
    const T left = std::floor(at);
    for (int64_t k = 0; k < 4; k++) {
      a.index[k * a.outputs + o] = int32_t(std::clamp(int64_t(left) + k - 1, int64_t(0), a.inputs - 1));
      a.weight[k * a.outputs + o] = cubic(std::abs(at - left - T(k - 1)));
    }
  });
}

template <class T>
bool make_table(Along<T>& a, Mode mode, bool align_corners, double factor) {
  if (mode == Mode::Nearest || mode == Mode::NearestExact) return make_nearest(a, factor, mode == Mode::NearestExact);
  if (a.taps == 1) {
    make_identity(a);
    return true;
  }
  return mode == Mode::Linear ? make_linear(a, align_corners, factor) : make_cubic(a, align_corners, factor);
}

int64_t taps_of(Mode mode, int64_t size, int64_t outputs) {
  if (mode == Mode::Nearest || mode == Mode::NearestExact || size == outputs) return 1;
  return mode == Mode::Linear ? 2 : 4;
}

template <class T>
Along<T> transposed(int slot, const Along<T>& a) {
  int32_t* const found = scratch<int32_t>(list_slot, a.inputs);
  std::fill(found, found + a.inputs, 0);
  for (int64_t entry = 0; entry < a.taps * a.outputs; entry++) found[a.index[entry]]++;
  Along<T> t(slot, a.outputs, a.inputs, std::max(1, *std::max_element(found, found + a.inputs)));
  t.identity = a.identity;
  t.ragged = *std::min_element(found, found + a.inputs) < t.taps;
  std::fill(t.index, t.index + t.taps * t.outputs, int32_t(t.inputs));
  std::fill(t.weight, t.weight + t.taps * t.outputs, T(0));
  std::fill(t.count, t.count + t.outputs, 0);
  for (int64_t o = 0; o < a.outputs; o++)
    for (int64_t k = 0; k < a.taps; k++) {
      const int64_t i = a.index[k * a.outputs + o], place = t.count[i]++ * t.outputs + i;
      t.index[place] = int32_t(o);
      t.weight[place] = a.weight[k * a.outputs + o];
    }
  return t;
}

// What the last sum of an output adds: -0 changes nothing; a gradient is a sum that began at 0, never -0.
template <class T>
constexpr T ending(bool backward) {
  return backward ? T(0) : T(-0.0);
}

// to[i] = the sum of weight[k] * row[k][i], k < count; `count` is a constant or a number.
template <class T, class Count>
void combine(T* to, const T* const* row, const T* weight, Count count, int64_t length, T last) {
  constexpr int64_t L = lanes<T>;
  const auto vectors = [&](int64_t i, auto width, auto&& read) {
    Vec<T> sum[width];
    for (int64_t j = 0; j < width; j++) sum[j] = read(row[0] + i + j * L) * splat(weight[0]);
    for (int64_t k = 1; k < count; k++)
      for (int64_t j = 0; j < width; j++) sum[j] += read(row[k] + i + j * L) * splat(weight[k]);
    for (int64_t j = 0; j < width; j++) sum[j] += splat(last);
    if constexpr (width > 1)
      for (int64_t j = 0; j < width; j++) store(to + i + j * L, sum[j]);
    else
      store_part(to + i, sum[0], std::min(L, length - i));
  };
  int64_t i = 0;
  for (; i + 4 * L <= length; i += 4 * L) vectors(i, std::integral_constant<int64_t, 4>(), [](const T* p) { return load(p); });
  for (; i < length; i += L)
    vectors(i, std::integral_constant<int64_t, 1>(), [&](const T* p) { return load_part(p, std::min(L, length - i)); });
}

template <class T>
void combine_rows(T* to, const T* const* row, const T* weight, int64_t count, int64_t length, T last) {
  switch (count) {
    case 0: std::fill(to, to + length, T(0)); return;
    case 1: return combine(to, row, weight, std::integral_constant<int64_t, 1>(), length, last);
    case 2: return combine(to, row, weight, std::integral_constant<int64_t, 2>(), length, last);
    case 4: return combine(to, row, weight, std::integral_constant<int64_t, 4>(), length, last);
    default: return combine(to, row, weight, count, length, last);
  }
}

// row[index[0]], row[index[1]], ...: n <= lanes<T> of them.
template <class T>
Vec<T> gather(const T* row, const int32_t* index, int64_t n) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, float>) {
    const __mmask16 mask = __mmask16(_bzhi_u32(0xffff, unsigned(n)));
    return Vec<T>(_mm512_mask_i32gather_ps(__m512{}, mask, _mm512_maskz_loadu_epi32(mask, index), row, 4));
  }
#endif
  T found[lanes<T>] = {};
  for (int64_t i = 0; i < n; i++) found[i] = row[index[i]];
  return load(found);
}

// One row along the last dimension; row[inputs] must be 0 where the table is ragged.
template <class T>
void resample_row(T* to, const T* row, const Along<T>& a, T last) {
  constexpr int64_t L = lanes<T>;
  for (int64_t o = 0; o < a.outputs; o += L) {
    const int64_t n = std::min(L, a.outputs - o);
    Vec<T> sum = gather(row, a.index + o, n) * load_part(a.weight + o, n);
    for (int64_t entry = a.outputs + o, k = 1; k < a.taps; k++, entry += a.outputs)
      sum += gather(row, a.index + entry, n) * load_part(a.weight + entry, n);
    store_part(to + o, Vec<T>(sum + splat(last)), n);
  }
}

// The rows of one map that a row of the result is made of, with their weights.
template <class T>
struct RowList {
  const T** row;
  T* weight;
  int64_t* number;
  int64_t count = 0;

  explicit RowList(int64_t most) {
    row = reinterpret_cast<const T**>(scratch<char>(list_slot, most * int64_t(sizeof(T*) + sizeof(int64_t) + sizeof(T))));
    number = reinterpret_cast<int64_t*>(row + most);
    weight = reinterpret_cast<T*>(number + most);
  }

  void list(const T* map, int64_t length, const Along<T>* along, int64_t o0, int64_t o1) {
    count = 0;
    for (int64_t i = 0; i < along[0].count[o0]; i++)
      for (int64_t j = 0; j < along[1].count[o1]; j++) {
        const int64_t i0 = along[0].index[i * along[0].outputs + o0], i1 = along[1].index[j * along[1].outputs + o1];
        // The rows of one output are neighbours: no two of them share a place among the rows that are kept.
        number[count] = i0 % along[0].taps * along[1].taps + i1 % along[1].taps;
        weight[count] = along[0].weight[i * along[0].outputs + o0] * along[1].weight[j * along[1].outputs + o1];
        row[count++] = map + (i0 * along[1].inputs + i1) * length;
      }
  }
};

template <class T>
void resample_maps(const T* x, T* y, int64_t maps, const Along<T>* along, bool backward) {
  const Along<T>& columns = along[2];
  const int64_t rows_in = along[0].inputs * along[1].inputs, rows_out = along[0].outputs * along[1].outputs;
  const int64_t most = along[0].taps * along[1].taps, length = columns.inputs, width = columns.outputs;
  const bool keeps = rows_out > rows_in && !columns.identity;
  const int64_t work = columns.taps * width + most * (keeps ? width : length);
  const int64_t pitch = (std::max(length, width) + 31) / 16 * 16;
  const T last = ending<T>(backward), nothing = T(-0.0);
  parallel_range(maps * rows_out, std::max<int64_t>(1, block_work / work), [&](int64_t begin, int64_t end) {
    RowList<T> rows(2 * most);
    const T** const kept = rows.row + most;  // which row of the input each kept row was made of
    std::fill(kept, kept + most, nullptr);
    T* const room = scratch<T>(rows_slot, (most + 1) * pitch);
    T* const spare = room + most * pitch;
    for (int64_t number = begin; number < end; number++) {
      const int64_t row = number % rows_out;
      const T* const map = x + number / rows_out * rows_in * length;
      T* const to = y + number * width;
      rows.list(map, length, along, row / along[1].outputs, row % along[1].outputs);
      if (columns.identity) {
        combine_rows(to, rows.row, rows.weight, rows.count, width, last);
        continue;
      }
      if (!keeps) {
        const bool one = rows.count == 1 && rows.weight[0] == 1 && !columns.ragged;
        if (!one) combine_rows(spare, rows.row, rows.weight, rows.count, length, nothing);
        spare[length] = 0;
        resample_row(to, one ? rows.row[0] : spare, columns, last);
        continue;
      }
      for (int64_t i = 0; i < rows.count; i++) {
        T* const place = room + rows.number[i] * pitch;
        if (kept[rows.number[i]] != rows.row[i]) {
          kept[rows.number[i]] = rows.row[i];
          const T* source = rows.row[i];
          if (columns.ragged) {
            std::copy(source, source + length, spare);
            spare[length] = 0;
            source = spare;
          }
          resample_row(place, source, columns, nothing);
        }
        rows.row[i] = place;
      }
      combine_rows(to, rows.row, rows.weight, rows.count, width, last);
    }
  });
}

template <class T>
void resample_pixels(const T* x, T* y, int64_t images, int64_t channels, const Along<T>* along, bool backward) {
  const Along<T>& columns = along[2];
  const int64_t rows_in = along[0].inputs * along[1].inputs, rows_out = along[0].outputs * along[1].outputs;
  const int64_t most = along[0].taps * along[1].taps, length = columns.inputs * channels, width = columns.outputs * channels;
  const T last = ending<T>(backward);
  parallel_range(images * rows_out, std::max<int64_t>(1, block_work / (width * most * columns.taps)), [&](int64_t begin, int64_t end) {
    RowList<T> rows(most * (1 + columns.taps));
    const T** const pixel = rows.row + most;
    T* const weight = rows.weight + most;
    for (int64_t number = begin; number < end; number++) {
      const int64_t row = number % rows_out;
      rows.list(x + number / rows_out * rows_in * length, length, along, row / along[1].outputs, row % along[1].outputs);
      for (int64_t o = 0; o < columns.outputs; o++) {
        int64_t count = 0;
        for (int64_t i = 0; i < rows.count; i++)
          for (int64_t k = 0, entry = o; k < columns.count[o]; k++, entry += columns.outputs) {
            pixel[count] = rows.row[i] + columns.index[entry] * channels;
            weight[count++] = rows.weight[i] * columns.weight[entry];
          }
        combine_rows(y + number * width + o * channels, pixel, weight, count, channels, last);
      }
    }
  });
}

// All dimensions as one, for small maps: every output by itself from its inputs.
template <class T>
Along<T> merged(int slot, const Along<T>* along) {
  const int64_t inputs = along[0].inputs * along[1].inputs * along[2].inputs;
  Along<T> all(slot, inputs, along[0].outputs * along[1].outputs * along[2].outputs, along[0].taps * along[1].taps * along[2].taps);
  all.ragged = along[0].ragged || along[1].ragged || along[2].ragged;
  const auto at = [](const Along<T>& a, int64_t k, int64_t o) { return k * a.outputs + o; };
  for (int64_t o = 0; o < all.outputs; o++) {
    const int64_t o2 = o % along[2].outputs, rest = o / along[2].outputs, o1 = rest % along[1].outputs, o0 = rest / along[1].outputs;
    int64_t entry = o;
    for (int64_t a = 0; a < along[0].taps; a++)
      for (int64_t b = 0; b < along[1].taps; b++)
        for (int64_t c = 0; c < along[2].taps; c++, entry += all.outputs) {
          const int64_t i = at(along[0], a, o0), j = at(along[1], b, o1), k = at(along[2], c, o2);
          const bool inside = a < along[0].count[o0] && b < along[1].count[o1] && c < along[2].count[o2];
          all.index[entry] = inside ? int32_t((along[0].index[i] * along[1].inputs + along[1].index[j]) * along[2].inputs + along[2].index[k]) : int32_t(inputs);
          all.weight[entry] = inside ? along[0].weight[i] * along[1].weight[j] * along[2].weight[k] : T(0);
        }
  }
  return all;
}

// The last dimension with `channels` innermost, for a few channels: a row of pixels is one long row.
template <class T>
Along<T> with_channels(int slot, const Along<T>& a, int64_t channels) {
  Along<T> wide(slot, a.inputs * channels, a.outputs * channels, a.taps);
  wide.identity = a.identity;
  wide.ragged = a.ragged;
  for (int64_t entry = 0; entry < a.taps * a.outputs; entry++)
    for (int64_t c = 0; c < channels; c++) {
      wide.index[entry * channels + c] = int32_t(std::min(a.index[entry] * channels + c, wide.inputs));
      wide.weight[entry * channels + c] = a.weight[entry];
    }
  return wide;
}

// `along` is changed.
template <class T>
void apply(const T* x, T* y, int64_t images, int64_t channels, bool channels_last, Along<T>* along, bool backward) {
  int64_t maps = images * channels;
  if (channels_last) {
    if (channels >= lanes<T>) return resample_pixels(x, y, images, channels, along, backward);
    maps = images;
    along[2] = with_channels(wide_slot, along[2], channels);
  }
  int64_t entries = 1;
  for (int i = 0; i < most_spatial; i++) entries *= along[i].taps * along[i].outputs;
  if (along[2].outputs <= narrow_row && entries <= merged_entries && maps >= several_maps) {
    along[2] = merged(merged_slot, along);
    for (int i = 0; i < 2; i++) {
      along[i] = Along<T>(i, 1, 1, 1);
      make_identity(along[i]);
    }
  }
  resample_maps(x, y, maps, along, backward);
}

// What a call asks for: the forward map, whichever way it is applied.
struct Call {
  Mode mode;
  bool align_corners;
  int spatial;
  int64_t inputs[most_spatial] = {1, 1, 1}, outputs[most_spatial] = {1, 1, 1};
  double factor[most_spatial] = {0, 0, 0};  // 0: positions follow from the sizes

  bool read(PyObject* mode_name, PyObject* corners, PyObject* factors, PyObject* antialias) {
    bool smooth = false;
    if (!mode_name || !PyUnicode_Check(mode_name) || (antialias && !read_bool(antialias, smooth)) || smooth) return false;
    const auto is = [&](const char* name) { return PyUnicode_CompareWithASCIIString(mode_name, name) == 0; };
    if (is("nearest"))
      mode = Mode::Nearest;
    else if (is("nearest-exact"))
      mode = Mode::NearestExact;
    else if (is("linear") || is("bilinear") || is("trilinear"))
      mode = Mode::Linear;
    else if (is("bicubic"))
      mode = Mode::Cubic;
    else
      return false;
    if (!read_bool(corners, align_corners) || !factors || !PyTuple_Check(factors) || PyTuple_GET_SIZE(factors) != spatial) return false;
    for (int i = 0; i < spatial; i++)
      if (given(PyTuple_GET_ITEM(factors, i)) && !read_double(PyTuple_GET_ITEM(factors, i), factor[most_spatial - spatial + i])) return false;
    for (int i = 0; i < most_spatial; i++)
      if (inputs[i] < 1 || outputs[i] < 1 || inputs[i] > 1 << 26 || outputs[i] > 1 << 26) return false;
    return true;
  }
};

// `x` is the map's input or, backward, the cotangent of its output. nullptr where a position is out of the ordinary.
template <class T>
PyObject* resample(const Array& x, const Call& call, const npy_intp* shape, bool backward) {
  Along<T> along[most_spatial];
  for (int i = 0; i < most_spatial; i++) {
    const int64_t taps = taps_of(call.mode, call.inputs[i], call.outputs[i]);
    Along<T> forward(backward ? transposing_slot : i, call.inputs[i], call.outputs[i], taps);
    if (!make_table(forward, call.mode, call.align_corners, call.factor[i])) return decline();
    along[i] = backward ? transposed(i, forward) : forward;
  }
  const bool last = !x.contiguous() && x.channels_last();
  Array source = x;
  Owned copy;
  if (!last && !x.contiguous()) {  // a cotangent spread over its map, say
    copy = relaid(x, nullptr, source);
    if (!copy) return nullptr;
  }
  PyObject* const result = last ? new_channels_last(x.ndim, shape, x.type) : new_array(x.ndim, shape, x.type);
  if (!result) return nullptr;
  const Array y = view_of(result);
  {
    const ReleaseGil released(x.size() + y.size());
    apply(source.as<T>(), y.as<T>(), x.shape[0], x.shape[1], last, along, backward);
  }
  return x.hidden ? hide(result) : result;
}

PyObject* resample(PyObject* const* args, bool backward) {
  Array x;
  int64_t sizes[max_dims];
  int count;
  if (!args[0] || !x.read(args[0]) || !plain_float(x.type) || x.size() == 0) return decline();
  if (!read_ints(args[1], sizes, count) || x.ndim < 3 || x.ndim > 2 + most_spatial) return decline();
  if (count != (backward ? x.ndim : x.ndim - 2)) return decline();
  if (backward && (sizes[0] != x.shape[0] || sizes[1] != x.shape[1])) return decline();
  Call call{};
  call.spatial = x.ndim - 2;
  npy_intp shape[2 + most_spatial] = {x.shape[0], x.shape[1]};
  for (int i = 0; i < call.spatial; i++) {
    const int place = most_spatial - call.spatial + i;
    shape[2 + i] = sizes[backward ? 2 + i : i];
    call.inputs[place] = backward ? shape[2 + i] : x.shape[2 + i];
    call.outputs[place] = backward ? x.shape[2 + i] : shape[2 + i];
  }
  if (!call.read(args[2], args[3], args[4], args[5])) return decline();
  return x.type == Type::F32 ? resample<float>(x, call, shape, backward) : resample<double>(x, call, shape, backward);
}

PyObject* upsample(PyObject* const* args) { return resample(args, false); }
PyObject* upsample_backward(PyObject* const* args) { return resample(args, true); }

const Family family("interpolate", {
                                       {"upsample", "x sizes mode align_corners scales antialias", upsample},
                                       {"upsample_backward", "g input_shape mode align_corners scales antialias", upsample_backward},
                                   });

}  // namespace
}  // namespace rushlight
