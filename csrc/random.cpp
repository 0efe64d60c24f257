// Random numbers: torch's CPU stream, word for word and bit for bit, at the speed of memory where the numbers are uniform.
//
// What a distribution takes from the stream and makes of it stands in backends/reference/random.py. Here are those that
// programs draw in bulk, for the dtypes they draw them in. `out` is filled in memory order, so it must be dense.
#include "normal.h"
#include "random.h"

namespace rushlight {
namespace {

constexpr int64_t normal_block = 16;  // normal numbers are made in sixteens: eight cosines, eight sines
constexpr int64_t library_cost = 32;  // additions that a call of the C library is worth

// ---- uniform ----

template <class T>
void fill_uniform(Mersenne& state, T* to, int64_t count, double low, double high) {
  constexpr int64_t L = lanes<T>;
  const T start = T(low), stop = T(high), range = stop - start;
  const bool whole = low == 0 && high == 1;
  draw<sizeof(T) / 4>(state, count, 1, [=](const uint32_t* words, int64_t first, int64_t n) {
    for (int64_t i = 0; i < n; i += L) {
      const Vec<uint32_t> here = words_at(words + i * int64_t(sizeof(T) / 4), (n - i) * int64_t(sizeof(T) / 4));
      Vec<T> x;
      if constexpr (sizeof(T) == 4)
        x = uniform24(here);
      else
        x = uniform53(here);
      if (!whole) {
        x = scale_shift(x, range, start);
        x = select(x == stop, splat(start), x);
      }
      store_upto<T>(to + first + i, x, n - i);
    }
  });
}

// "gen shape dtype low high out"
PyObject* uniform(PyObject* const* args) {
  double low = 0, high = 1;
  if ((args[3] && !read_double(args[3], low)) || (args[4] && !read_double(args[4], high))) return decline();
  const Type type = type_of_dtype(args[2]);
  if (!plain_float(type)) return decline();
  const double limit = type == Type::F32 ? double(std::numeric_limits<float>::max()) : std::numeric_limits<double>::max();
  if (!(-limit <= low && low <= high && high <= limit && high - low <= limit)) return decline();
  Source source;
  Destination to;
  if (!source.open(args[0]) || !to.open(args[1], args[2], args[5])) return decline();
  if (type == Type::F32)
    fill_uniform(*source.state, to.array.as<float>(), to.size, low, high);
  else
    fill_uniform(*source.state, to.array.as<double>(), to.size, low, high);
  return to.finish(source);
}

// ---- normal ----

// Whole blocks of sixteen: element j with element j + 8.
void normal_blocks(const uint32_t* words, float* to, int64_t blocks, float mean, float std) {
  const auto finished = [=](Floats x) { return scale_shift(x, std, mean) + 0.0f; };  // a negative zero becomes zero
  for (int64_t b = 0; b < blocks; b++, words += normal_block, to += normal_block) {
#if RUSHLIGHT_VECTOR_BYTES == 64
    // Two blocks at a time: the firsts of both in one vector, the seconds in another.
    const bool two = b + 1 < blocks;
    const Floats one = uniform24(temper(load(words))), other = two ? uniform24(temper(load(words + normal_block))) : one;
    Floats first = __builtin_shufflevector(one, other, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
    Floats second = __builtin_shufflevector(one, other, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    box_muller(first, second);
    first = finished(first);
    second = finished(second);
    store(to, Floats(__builtin_shufflevector(first, second, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)));
    if (!two) break;
    b++, words += normal_block, to += normal_block;
    store(to, Floats(__builtin_shufflevector(first, second, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)));
#else
    for (int64_t j = 0; j < normal_block / 2; j += lanes<float>) {
      Floats first = uniform24(temper(load(words + j))), second = uniform24(temper(load(words + j + normal_block / 2)));
      box_muller(first, second);
      store(to + j, Floats(finished(first)));
      store(to + j + normal_block / 2, Floats(finished(second)));
    }
#endif
  }
}

void normal_blocks(const uint32_t* words, double* to, int64_t blocks, double mean, double std) {
  constexpr int64_t L = lanes<double>;
  for (int64_t b = 0; b < blocks; b++, words += 2 * normal_block, to += normal_block) {
    for (int64_t j = 0; j < normal_block; j += L) store(to + j, Doubles(uniform53(temper(load(words + 2 * j)))));
    for (int64_t j = 0; j < normal_block / 2; j++) box_muller(to[j], to[j + normal_block / 2]);
    for (int64_t j = 0; j < normal_block; j += L) store(to + j, Doubles(scale_shift(load(to + j), std, mean) + 0.0));
  }
}

template <class T>
void fill_normal(Mersenne& state, T* to, int64_t count, double mean, double std) {
  constexpr int width = sizeof(T) / 4;
  const int64_t ragged = count % normal_block;
  draw<width>(state, count, sizeof(T) == 4 ? 8 : library_cost, [=](const uint32_t* words, int64_t first, int64_t n) {
    normal_blocks(words, to + first, n / normal_block, T(mean), T(std));
  });
  if (!ragged) return;
  // The last sixteen are made anew.
  draw<width>(state, normal_block, 0, [=](const uint32_t* words, int64_t, int64_t) {
    normal_blocks(words, to + count - normal_block, 1, T(mean), T(std));
  });
}

// Fewer than sixteen numbers, one by one in float64: four words a pair, and the odd one out waits in the generator.
template <class T>
bool few_normals(Source& source, T* to, int64_t count, double mean, double std) {
  double values[normal_block];
  bool waiting;
  if (count == 0) return true;
  if (!source.take_normal(values[0], waiting)) return false;
  const int64_t first = waiting ? 1 : 0, pairs = (count - first + 1) / 2;
  double uniforms[normal_block + lanes<double>];
  draw<2>(*source.state, 2 * pairs, 0, [&](const uint32_t* words, int64_t, int64_t n) {
    for (int64_t i = 0; i < n; i += lanes<double>) store(uniforms + i, Doubles(uniform53(words_at(words + 2 * i, 2 * (n - i)))));
  });
  for (int64_t i = 0; i < pairs; i++) {
    const double radius = std::sqrt(-2.0 * std::log1p(-uniforms[2 * i + 1]));
    const double angle = 2.0 * 3.14159265358979323846 * uniforms[2 * i], sine = radius * std::sin(angle);
    values[first + 2 * i] = radius * std::cos(angle);
    if (first + 2 * i + 1 < count)
      values[first + 2 * i + 1] = sine;
    else if (!source.leave_normal(sine))
      return false;
  }
  for (int64_t i = 0; i < count; i++) to[i] = T(mean == 0 ? values[i] * std : std::fma(values[i], std, mean));
  return true;
}

// "gen shape dtype mean std out"
PyObject* normal(PyObject* const* args) {
  double mean = 0, std = 1;
  if ((args[3] && !read_double(args[3], mean)) || (args[4] && !read_double(args[4], std)) || !(std >= 0)) return decline();
  const Type type = type_of_dtype(args[2]);
  if (!plain_float(type)) return decline();
  Source source;
  Destination to;
  if (!source.open(args[0]) || !to.open(args[1], args[2], args[5])) return decline();
  const bool blocks = to.size >= normal_block;
  if (blocks && !to.array.contiguous()) return decline();
  bool done = true;
  if (type == Type::F32)
    blocks ? fill_normal(*source.state, to.array.as<float>(), to.size, mean, std)
           : void(done = few_normals(source, to.array.as<float>(), to.size, mean, std));
  else
    blocks ? fill_normal(*source.state, to.array.as<double>(), to.size, mean, std)
           : void(done = few_normals(source, to.array.as<double>(), to.size, mean, std));
  return done ? to.finish(source) : nullptr;
}

// ---- Bernoulli, dropout ----

// `kept` with probability p, else 0: two words an element.
bool fill_bernoulli(Mersenne& state, const Array& to, int64_t count, double p, double kept) {
  const int64_t threshold = int64_t(std::ceil(p * 0x1p53));
  constexpr int64_t L = lanes<float>;
  if (to.type == Type::F32) {
    float* const y = to.as<float>();
    const float value = float(kept);
    draw<2>(state, count, 2, [=](const uint32_t* words, int64_t first, int64_t n) {
      for (int64_t i = 0; i < n; i += L)
        store_upto<float>(y + first + i, Floats(below(words + 2 * i, n - i, threshold) & Vec<int32_t>(splat(value))), n - i);
    });
  } else if (to.type == Type::F64) {
    double* const y = to.as<double>();
    draw<2>(state, count, 2, [=](const uint32_t* words, int64_t first, int64_t n) {
      for (int64_t i = 0; i < n; i += lanes<double>) {
        const auto mask = Vec<int64_t>(bits53(words_at(words + 2 * i, 2 * (n - i)))) < threshold;
        store_upto<double>(y + first + i, Doubles(mask & Vec<int64_t>(splat(kept))), n - i);
      }
    });
  } else if (to.type == Type::Bool) {
    uint8_t* const y = to.as<uint8_t>();
    draw<2>(state, count, 2, [=](const uint32_t* words, int64_t first, int64_t n) {
      for (int64_t i = 0; i < n; i += L) {
        int32_t mask[L];
        store(mask, Vec<int32_t>(below(words + 2 * i, n - i, threshold) & 1));
        for (int64_t j = 0; j < std::min(L, n - i); j++) y[first + i + j] = uint8_t(mask[j]);
      }
    });
  } else {
    return false;
  }
  return true;
}

// "gen shape p dtype out"
PyObject* bernoulli_scalar(PyObject* const* args) {
  double p;
  Source source;
  Destination to;
  if (!read_double(args[2], p) || !(p >= 0 && p <= 1) || !source.open(args[0]) || !to.open(args[1], args[3], args[4])) return decline();
  return fill_bernoulli(*source.state, to.array, to.size, p, 1) ? to.finish(source) : decline();
}

// "gen shape dtype p out"
PyObject* dropout_noise(PyObject* const* args) {
  double p;
  const Type type = type_of_dtype(args[2]);
  Source source;
  Destination to;
  if (!plain_float(type) || !read_double(args[3], p) || !(p > 0 && p < 1)) return decline();
  if (!source.open(args[0]) || !to.open(args[1], args[2], args[4])) return decline();
  const double kept = type == Type::F32 ? double(1.0f / float(1 - p)) : 1 / (1 - p);
  fill_bernoulli(*source.state, to.array, to.size, 1 - p, kept);
  return to.finish(source);
}

// "gen p dtype out": ones with the probabilities in p, one word an element.
PyObject* bernoulli_tensor(PyObject* const* args) {
  Array p;
  if (!p.read(args[1]) || p.hidden || p.type != Type::F32 || !p.contiguous()) return decline();
  if (given(args[2]) && type_of_dtype(args[2]) != Type::F32) return decline();
  const float* const chance = p.as<float>();
  const int64_t count = p.size();
  constexpr int64_t L = lanes<float>;
  bool valid = true;
  for (int64_t i = 0; i < count; i++) valid &= chance[i] >= 0 && chance[i] <= 1;
  if (!valid) return decline();
  Source source;
  if (!source.open(args[0])) return decline();
  PyObject* result;
  if (given(args[3])) {
    Array out;
    if (!out.read(args[3]) || out.hidden || out.type != Type::F32 || !out.same_shape(p) || !out.contiguous() || !out.writeable()) return decline();
    if (out.overlaps(p)) return decline();
    result = Py_NewRef(args[3]);
  } else {
    result = new_array(p.ndim, p.shape, Type::F32);
    if (!result) return nullptr;
  }
  float* const y = view_of(result).as<float>();
  draw<1>(*source.state, count, 2, [=](const uint32_t* words, int64_t first, int64_t n) {
    for (int64_t i = 0; i < n; i += L) {
      const Floats limit = n - i >= L ? load(chance + first + i) : load_part(chance + first + i, n - i);
      store_upto<float>(y + first + i, select(uniform24(words_at(words + i, n - i)) < limit, splat(1.0f), Floats{}), n - i);
    }
  });
  if (count > 0 && !source.finish()) Py_CLEAR(result);
  return result;
}

// ---- exponential ----

// float64 numbers are the C library's to the last bit. For float32 our own logarithm does, unless it lies so near the
// middle between two float32 numbers that its last bits decide.
template <class T>
void fill_exponential(Mersenne& state, T* to, int64_t count, double rate) {
  typedef float HalfFloats __attribute__((vector_size(RUSHLIGHT_VECTOR_BYTES / 2)));
  constexpr int64_t L = lanes<double>;
  const double scale = -1.0 / rate;
  draw<2>(state, count, sizeof(T) == 4 ? 16 : library_cost, [=](const uint32_t* words, int64_t first, int64_t n) {
    for (int64_t i = 0; i < n; i += L) {
      const Doubles uniforms = uniform53(words_at(words + 2 * i, 2 * (n - i)));
      T values[L];
      bool exact = false;
      if constexpr (sizeof(T) == 4) {
        const Doubles value = log1p(-uniforms) * scale, error = value * 0x1p-49;
        const auto low = __builtin_convertvector(value - error, HalfFloats), high = __builtin_convertvector(value + error, HalfFloats);
        std::memcpy(values, &low, sizeof values);
        exact = std::memcmp(&low, &high, sizeof low) == 0;
      }
      if (!exact)
        for (int64_t j = 0; j < L; j++) values[j] = T(scale * std::log1p(-uniforms[j]));
      std::copy_n(values, std::min(L, n - i), to + first + i);
    }
  });
}

// "gen shape dtype rate out"
PyObject* exponential(PyObject* const* args) {
  double rate = 1;
  const Type type = type_of_dtype(args[2]);
  Source source;
  Destination to;
  if ((args[3] && !read_double(args[3], rate)) || !(rate > 0) || !plain_float(type)) return decline();
  if (!source.open(args[0]) || !to.open(args[1], args[2], args[4])) return decline();
  if (type == Type::F32)
    fill_exponential(*source.state, to.array.as<float>(), to.size, rate);
  else
    fill_exponential(*source.state, to.array.as<double>(), to.size, rate);
  return to.finish(source);
}

const Family family("random", {
                                  {"uniform", "gen shape dtype low high out", uniform},
                                  {"normal", "gen shape dtype mean std out", normal},
                                  {"bernoulli_scalar", "gen shape p dtype out", bernoulli_scalar},
                                  {"bernoulli_tensor", "gen p dtype out", bernoulli_tensor},
                                  {"dropout_noise", "gen shape dtype p out", dropout_noise},
                                  {"exponential", "gen shape dtype rate out", exponential},
                              });

}  // namespace
}  // namespace rushlight
