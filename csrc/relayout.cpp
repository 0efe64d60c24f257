// Copies in another memory order (see relayout.h): rows where both arrays run along memory, else tiles of 16 x 16 elements,
// so that every line of the cache that a transposition touches is used whole.
#include "relayout.h"

#include <cstring>

#include "iterate.h"

namespace rushlight {
namespace {

constexpr int64_t tile = 16;

template <class T>
void copy_row(char* const* at, const int64_t* step, int64_t count) {
  if (step[0] == sizeof(T) && step[1] == sizeof(T)) {
    std::memcpy(at[0], at[1], size_t(count) * sizeof(T));
    return;
  }
  for (int64_t i = 0; i < count; i++)
    *reinterpret_cast<T*>(at[0] + i * step[0]) = *reinterpret_cast<const T*>(at[1] + i * step[1]);
}

// The rectangle of dimension `across` (along which the source runs) and the innermost one (along which the copy does).
template <class T>
void transpose(const Loop<2>& loop, int across) {
  const int last = loop.ndim - 1;
  const int64_t height = loop.shape[across], width = loop.shape[last];
  const int64_t to_step = loop.strides[0][across], from_step = loop.strides[1][last];
  const int64_t bands = (height + tile - 1) / tile, outer = loop.size / (height * width);
  const int64_t grain = std::max<int64_t>(1, block_elements / (tile * width));
  auto band = [&](int64_t unit) {
    char *to = loop.data[0], *from = loop.data[1];
    int64_t rest = unit / bands;
    for (int d = last - 1; d >= 0; d--) {
      if (d == across) continue;
      to += rest % loop.shape[d] * loop.strides[0][d];
      from += rest % loop.shape[d] * loop.strides[1][d];
      rest /= loop.shape[d];
    }
    const int64_t begin = unit % bands * tile, end = std::min(height, begin + tile);
    for (int64_t j = 0; j < width; j += tile) {
      const int64_t stop = std::min(width, j + tile);
      for (int64_t i = begin; i < end; i++) {
        T* y = reinterpret_cast<T*>(to + i * to_step);
        const char* x = from + i * int64_t(sizeof(T));
        for (int64_t k = j; k < stop; k++) y[k] = *reinterpret_cast<const T*>(x + k * from_step);
      }
    }
  };
  auto bands_of = [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; unit++) band(unit);
  };
  if (loop.size <= serial_elements) return bands_of(0, outer * bands);
  parallel_range(outer * bands, grain, bands_of);
}

template <class T>
void copy(const Array& to, const Array& from) {
  const Array* const operands[] = {&to, &from};
  Loop<2> loop;
  loop.prepare(operands);
  if (loop.size == 0) return;
  const ReleaseGil released(loop.size);
  const int last = loop.ndim - 1;
  if (loop.strides[0][last] == sizeof(T) && loop.strides[1][last] != sizeof(T) && loop.strides[1][last] != 0)
    for (int d = 0; d < last; d++)
      if (loop.strides[1][d] == sizeof(T)) return transpose<T>(loop, d);
  loop.run(copy_row<T>);
}

}  // namespace

Owned relaid(const Array& source, const Array* like, Array& found) {
  const int64_t size = source.itemsize();
  if (size != 4 && size != 8) return {};
  Owned made(like ? new_array_like(*like, source.type) : new_array(source.ndim, source.shape, source.type));
  if (!made) return {};
  found.read(made.get());
  size == 4 ? copy<uint32_t>(found, source) : copy<uint64_t>(found, source);
  return made;
}

}  // namespace rushlight
