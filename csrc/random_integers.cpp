// Random integers and permutations: torch's CPU stream, word for word (backends/reference/random_integers.py).
//
// Remainders of 32-bit words are taken in float64, a vector at a time; those of 64-bit words by division.
#include "random.h"

namespace rushlight {
namespace {

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

const Family family("random_integers", {
                                          {"randint", "gen shape low high dtype out", randint},
                                          {"random_full", "gen shape dtype out", random_full},
                                          {"randperm", "gen n dtype out", randperm},
                                      });

}  // namespace
}  // namespace rushlight
