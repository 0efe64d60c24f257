// The stream of random words: MT19937 by vectors, on the state that a rushlight Generator (through NumPy) holds.
//
// The stream is one linear recurrence, x[k] = x[k-227] ^ twist(x[k-624], x[k-623]), and is made that way: straight into a
// buffer behind the state's 624 words, a vector at a time, in about a quarter of a cycle a word. Words are tempered
// where they are used. What comes after a draw, and what the generator's state says then, is to the last bit what one
// word at a time would give.
#pragma once
#include <Python.h>

#include <algorithm>
#include <cstring>

#include "parallel.h"
#include "vec.h"

namespace rushlight {

constexpr int64_t state_words = 624;

// NumPy's state of an MT19937: a block of words and how many of them are spent.
struct Mersenne {
  uint32_t key[state_words];
  int position;
};

// A generator whose lock is held for the life of this object.
class Source {
 public:
  // False when `generator` has no MT19937 state that can be reached, or with an exception set.
  bool open(PyObject* generator);
  ~Source();
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  // The second number of the last Box-Muller pair: takes it, if there is one, and leaves one. False with an exception set.
  bool take_normal(double& value, bool& found);
  bool leave_normal(double value);
  // Tells the generator that words were drawn; call it after a draw. False with an exception set.
  bool finish();

  Mersenne* state = nullptr;

 private:
  PyObject* generator_ = nullptr;
  PyObject* lock_ = nullptr;
};

inline Vec<uint32_t> temper(Vec<uint32_t> y) {
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

// Continues the stream: `to` has its last 624 words before it and gets the next 624 * blocks.
inline void continue_stream(uint32_t* to, int64_t blocks) {
  static_assert(state_words % lanes<uint32_t> == 0);
  for (int64_t i = 0; i < state_words * blocks; i += lanes<uint32_t>) {
    const Vec<uint32_t> joined = (load(to + i - 624) & 0x80000000u) | (load(to + i - 623) & 0x7fffffffu);
    store(to + i, load(to + i - 227) ^ (joined >> 1) ^ (-(joined & 1u) & 0x9908b0dfu));
  }
}

constexpr int stream_slot = 3;
constexpr int64_t chunk_blocks = 64, chunk_words = chunk_blocks * state_words, chunk_parts = 8;
constexpr int64_t threaded_work = 128 << 10;

// Draws `count` elements of `width` words each. body(words, first, n) makes elements first ... first + n - 1 out of n *
// width untempered words; `first` is a multiple of 16. `cost`: about how many additions an element is worth; elements are
// made by several threads when that pays, or one after another in order for cost 0.
template <int width, class Body>
void draw(Mersenne& state, int64_t count, int64_t cost, Body&& body) {
  const int64_t wanted = count * width, place = state.position;
  if (wanted <= state_words - place) {
    if (count > 0) body(static_cast<const uint32_t*>(state.key + place), int64_t(0), count);
    state.position += int(wanted);
    return;
  }
  const bool threaded = count * cost > threaded_work;
  const ReleaseGil released(count * std::max<int64_t>(1, cost));
  constexpr int64_t buffer_words = (chunk_blocks + 1) * state_words;
  uint32_t* now = scratch<uint32_t>(stream_slot, 2 * buffer_words);
  uint32_t* next = now + buffer_words;
  // A buffer holds the state's block and, behind it, as many new ones as the next words need. `place` stays the same from
  // chunk to chunk, because a chunk is a whole number of blocks.
  const auto extend = [&](uint32_t* buffer, int64_t words) {
    continue_stream(buffer + state_words, std::min(chunk_blocks, (place + words) / state_words));
  };
  std::memcpy(now, state.key, sizeof state.key);
  int64_t done = 0, words = std::min(chunk_words, wanted);
  extend(now, words);
  for (;;) {
    const int64_t following = std::min(chunk_words, wanted - done - words);
    const auto prepare = [&] {
      std::memcpy(next, now + chunk_words, sizeof state.key);
      extend(next, following);
    };
    const uint32_t* const from = now + place;
    if (threaded) {
      constexpr int64_t part = chunk_words / chunk_parts;
      const int64_t parts = (words + part - 1) / part, extra = following > 0;
      parallel(parts + extra, [&](int64_t number) {
        if (number < extra) return prepare();
        const int64_t begin = (number - extra) * part, end = std::min(words, begin + part);
        body(from + begin, (done + begin) / width, (end - begin) / width);
      });
    } else {
      body(from, done / width, words / width);
      if (following > 0) prepare();
    }
    done += words;
    if (following <= 0) break;
    std::swap(now, next);
    words = following;
  }
  const int64_t end = place + words, block = (end - 1) / state_words;
  std::memcpy(state.key, now + block * state_words, sizeof state.key);
  state.position = int(end - block * state_words);
}

}  // namespace rushlight
