// Random numbers: torch's CPU stream, word for word and bit for bit, at the speed of memory where the numbers are uniform.
//
// What a distribution takes from the stream and makes of it stands in backends/reference/random.py. Here are those that
// programs draw in bulk, for the dtypes they draw them in. `out` is filled in memory order, so it must be dense.
#include "kernel.h"
#include "mersenne.h"
#include "normal.h"

namespace rushlight {
namespace {

constexpr int64_t normal_block = 16;  // normal numbers are made in sixteens: eight cosines, eight sines
constexpr int64_t library_cost = 32;  // additions that a call of the C library is worth

// ---- words to numbers ----

// n words of a vector, tempered; those that are missing are not zero but harmless.
inline Vec<uint32_t> words_at(const uint32_t* words, int64_t n) {
  return temper(n >= lanes<uint32_t> ? load(words) : load_part(words, n));
}

// In [0, 1): the low 24 bits of a word each.
inline Floats uniform24(Vec<uint32_t> words) {
  return __builtin_convertvector(Vec<int32_t>(words & 0xffffffu), Floats) * 0x1p-24f;
}

// The low 53 bits of two words each, the earlier one on top.
inline Vec<uint64_t> bits53(Vec<uint32_t> words) {
  const Vec<uint64_t> pairs = Vec<uint64_t>(words);
  return ((pairs << 32) | (pairs >> 32)) & 0x1fffffffffffffu;
}

// In [0, 1). The upper and the lower half become numbers by standing behind the bits of 2^84 and 2^52.
inline Doubles uniform53(Vec<uint32_t> words) {
  const Vec<uint64_t> bits = bits53(words);
  const Doubles upper = Doubles((bits >> 32) | 0x4530000000000000u) - 0x1p84;
  const Doubles lower = Doubles((bits & 0xffffffffu) | 0x4330000000000000u) - 0x1p52;
  return (upper + lower) * 0x1p-53;
}

// Whether a uniform number of 53 bits is below p, for a vector of float32 lanes: `threshold` is p * 2^53, rounded up.
inline Vec<int32_t> below(const uint32_t* words, int64_t n, int64_t threshold) {
  typedef int32_t Part __attribute__((vector_size(RUSHLIGHT_VECTOR_BYTES / 2)));
  constexpr int64_t L = lanes<uint32_t>;
  Part part[2];
  for (int64_t half = 0; half < 2; half++) {
    const Vec<uint32_t> here = words_at(words + half * L, std::max<int64_t>(0, 2 * n - half * L));
    part[half] = __builtin_convertvector(Vec<int64_t>(bits53(here)) < threshold, Part);
  }
  Vec<int32_t> mask;
  std::memcpy(&mask, part, sizeof mask);
  return mask;
}

template <class T>
inline void store_upto(T* to, Vec<T> v, int64_t n) {
  if (n >= lanes<T>)
    store(to, v);
  else
    store_part(to, v, n);
}

// ---- arguments ----

// Where numbers go: `out`, or a new array of the shape.
struct Destination {
  PyObject* value = nullptr;
  Array array;
  int64_t size = 0;

  bool open(PyObject* shape, PyObject* dtype, PyObject* out) {
    const Type type = type_of_dtype(dtype);
    if (given(out)) {
      if (!array.read(out) || array.hidden || array.type != type || !array.dense() || !array.writeable()) return false;
      value = Py_NewRef(out);
    } else {
      npy_intp sizes[max_dims];
      int64_t read[max_dims];
      int ndim;
      if (type == Type::Other || !read_ints(shape, read, ndim)) return false;
      std::copy_n(read, ndim, sizes);
      value = new_array(ndim, sizes, type);
      if (!value) return false;
      array = view_of(value);
    }
    size = array.size();
    return true;
  }
  // The result of a kernel that drew from `source`: a new reference.
  PyObject* finish(Source& source) { return size == 0 || source.finish() ? Py_NewRef(value) : nullptr; }
  ~Destination() { Py_XDECREF(value); }
};

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
  if (type != Type::F32 && type != Type::F64) return decline();
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
  if (type != Type::F32 && type != Type::F64) return decline();
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
  if ((type != Type::F32 && type != Type::F64) || !read_double(args[3], p) || !(p > 0 && p < 1)) return decline();
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
  if ((args[3] && !read_double(args[3], rate)) || !(rate > 0) || (type != Type::F32 && type != Type::F64)) return decline();
  if (!source.open(args[0]) || !to.open(args[1], args[2], args[4])) return decline();
  if (type == Type::F32)
    fill_exponential(*source.state, to.array.as<float>(), to.size, rate);
  else
    fill_exponential(*source.state, to.array.as<double>(), to.size, rate);
  return to.finish(source);
}

// ---- integers ----

// The words of half a vector as numbers.
typedef uint32_t HalfWords __attribute__((vector_size(RUSHLIGHT_VECTOR_BYTES / 2)));
inline Doubles numbers_of(HalfWords words) {
  return Doubles(__builtin_convertvector(words, Vec<uint64_t>) | 0x4330000000000000u) - 0x1p52;
}

// x % divisor as whole numbers, given x / divisor, which may be wrong in its last bit.
inline Vec<int64_t> remainder(Doubles x, Doubles quotient, Doubles divisor) {
  Doubles rest = x - nearest(quotient) * divisor;
  rest = select(rest < 0.0, rest + divisor, rest);
  return Vec<int64_t>(rest + 0x1p52) & 0xfffffffffffffll;
}

// low + word % range, for ranges below 2^28.
template <class T>
void fill_narrow(Mersenne& state, T* to, int64_t count, int64_t low, int64_t range) {
  constexpr int64_t L = lanes<uint32_t>;
  const double width = double(range), inverse = 1.0 / width;
  draw<1>(state, count, 2, [=](const uint32_t* words, int64_t first, int64_t n) {
    for (int64_t i = 0; i < n; i += L) {
      HalfWords part[2];
      const Vec<uint32_t> here = words_at(words + i, n - i);
      std::memcpy(part, &here, sizeof part);
      int64_t values[L];
      for (int64_t half = 0; half < 2; half++) {
        const Doubles x = numbers_of(part[half]);
        store(values + half * L / 2, Vec<int64_t>(remainder(x, x * inverse, splat(width)) + low));
      }
      T* const at = to + first + i;
      if (n - i >= L)
        for (int64_t j = 0; j < L; j++) at[j] = T(values[j]);
      else
        for (int64_t j = 0; j < n - i; j++) at[j] = T(values[j]);
    }
  });
}

// low + (two words) % range.
template <class T>
void fill_wide(Mersenne& state, T* to, int64_t count, int64_t low, uint64_t range) {
  draw<2>(state, count, 8, [=](const uint32_t* words, int64_t first, int64_t n) {
    constexpr int64_t L = lanes<uint64_t>;
    for (int64_t i = 0; i < n; i += L) {
      uint64_t pairs[L];
      store(pairs, Vec<uint64_t>(words_at(words + 2 * i, 2 * (n - i))));
      for (int64_t j = 0; j < std::min(L, n - i); j++) {
        const uint64_t bits = pairs[j] << 32 | pairs[j] >> 32;
        to[first + i + j] = T(uint64_t(low) + bits % range);
      }
    }
  });
}

template <class T>
void fill_integers(Mersenne& state, const Array& to, int64_t count, int64_t low, uint64_t range) {
  if (range < uint64_t(1) << 28)
    fill_narrow(state, to.as<T>(), count, low, int64_t(range));
  else
    fill_wide(state, to.as<T>(), count, low, range);
}

// "gen shape low high dtype out"
PyObject* randint(PyObject* const* args) {
  int64_t low, high;
  if (!read_int(args[2], low) || !read_int(args[3], high) || low >= high) return decline();
  const Type type = type_of_dtype(args[4]);
  const auto holds = [&]<class T>(T) { return low >= int64_t(std::numeric_limits<T>::min()) && high - 1 <= int64_t(std::numeric_limits<T>::max()); };
  if (!(type == Type::I64 || (type == Type::I32 && holds(int32_t())) || (type == Type::U8 && holds(uint8_t())))) return decline();
  Source source;
  Destination to;
  if (!source.open(args[0]) || !to.open(args[1], args[4], args[5])) return decline();
  const uint64_t range = uint64_t(high) - uint64_t(low);
  if (type == Type::I64)
    fill_integers<int64_t>(*source.state, to.array, to.size, low, range);
  else if (type == Type::I32)
    fill_integers<int32_t>(*source.state, to.array, to.size, low, range);
  else
    fill_integers<uint8_t>(*source.state, to.array, to.size, low, range);
  return to.finish(source);
}

// "gen shape dtype out": int64 numbers of 63 bits.
PyObject* random_full(PyObject* const* args) {
  Source source;
  Destination to;
  if (type_of_dtype(args[2]) != Type::I64 || !source.open(args[0]) || !to.open(args[1], args[2], args[3])) return decline();
  fill_wide(*source.state, to.array.as<int64_t>(), to.size, 0, uint64_t(1) << 63);
  return to.finish(source);
}

// "gen n dtype out": Fisher and Yates' shuffle of 0 ... n - 1; each swap needs the one before.
PyObject* randperm(PyObject* const* args) {
  constexpr int64_t most = int64_t(std::numeric_limits<uint32_t>::max()) / 20;
  int64_t count;
  if (!read_int(args[1], count) || count < 0 || count >= most || given(args[3]) || type_of_dtype(args[2]) != Type::I64) return decline();
  Source source;
  if (!source.open(args[0])) return decline();
  const npy_intp shape[] = {npy_intp(count)};
  PyObject* result = new_array(1, shape, Type::I64);
  if (!result) return nullptr;
  int64_t* const order = view_of(result).as<int64_t>();
  for (int64_t i = 0; i < count; i++) order[i] = i;
  draw<1>(*source.state, std::max<int64_t>(0, count - 1), 0, [=](const uint32_t* words, int64_t first, int64_t n) {
    constexpr int64_t L = lanes<uint32_t>;
    Doubles steps{};
    for (int64_t j = 0; j < L / 2; j++) steps[j] = double(j);
    for (int64_t i = 0; i < n; i += L) {
      HalfWords part[2];
      const Vec<uint32_t> here = words_at(words + i, n - i);
      std::memcpy(part, &here, sizeof part);
      int64_t ahead[L];
      for (int64_t half = 0; half < 2; half++) {
        // Beyond the end of the list there is no choice; those lanes are not used.
        const Doubles x = numbers_of(part[half]), choices = maximum(double(count - first - i - half * L / 2) - steps, splat(1.0));
        store(ahead + half * L / 2, remainder(x, x / choices, choices));
      }
      int64_t* const at = order + first + i;
      for (int64_t j = 0; j < std::min(L, n - i); j++) std::swap(at[j], at[j + ahead[j]]);
    }
  });
  if (count > 1 && !source.finish()) Py_CLEAR(result);
  return result;
}

const Family family("random", {
                                  {"uniform", "gen shape dtype low high out", uniform},
                                  {"normal", "gen shape dtype mean std out", normal},
                                  {"bernoulli_scalar", "gen shape p dtype out", bernoulli_scalar},
                                  {"bernoulli_tensor", "gen p dtype out", bernoulli_tensor},
                                  {"dropout_noise", "gen shape dtype p out", dropout_noise},
                                  {"exponential", "gen shape dtype rate out", exponential},
                                  {"randint", "gen shape low high dtype out", randint},
                                  {"random_full", "gen shape dtype out", random_full},
                                  {"randperm", "gen n dtype out", randperm},
                              });

}  // namespace
}  // namespace rushlight
