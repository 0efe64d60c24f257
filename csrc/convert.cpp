// Conversions of dense runs (see convert.h), at the speed of memory.
#include "convert.h"

#include <algorithm>
#include <type_traits>

#include "vec.h"

namespace rushlight {
namespace {

constexpr int64_t L = lanes<float>;
typedef uint16_t Shorts __attribute__((vector_size(L * 2)));
using Words = Vec<uint32_t>;
using Floats = Vec<float>;

Shorts load_shorts(const void* p) {
  Shorts v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

Floats widen_half(Shorts x) {
#if defined(__AVX512F__)
  return Floats(_mm512_maskz_cvtph_ps(-1, __m256i(x)));
#elif defined(__F16C__)
  return Floats(_mm256_cvtph_ps(__m128i(x)));
#else
  const Words bits = __builtin_convertvector(x, Words), size = (bits & 0x7fff) << 13;
  Words found = Words(Floats(size) * 0x1p112f);  // the exponent's bias, and normal numbers from subnormal ones
  found |= select(size >= 0x0f800000, splat(0x7f800000u), Words{});
  return Floats(found | (bits & 0x8000) << 16);
#endif
}

Shorts narrow_half(Floats x) {
#if defined(__AVX512F__)
  return Shorts(_mm512_maskz_cvtps_ph(-1, __m512(x), _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
  return Shorts(_mm256_cvtps_ph(__m256(x), _MM_FROUND_TO_NEAREST_INT));
#else
  const Words bits = Words(x), size = bits & 0x7fffffff;
  const Words normal = (size + 0xc8000fff + ((size >> 13) & 1)) >> 13;
  // One half holds the unit of the subnormal numbers in its last place: adding it rounds.
  const Words subnormal = Words(Floats(size) + 0.5f) - 0x3f000000;
  Words found = select(size < 0x38800000, subnormal, normal);
  found = select(size >= 0x477ff000, splat(0x7c00u), found);
  found = select(size > 0x7f800000, splat(0x7e00u), found);
  return __builtin_convertvector(found | (bits >> 16 & 0x8000), Shorts);
#endif
}

Floats widen_bfloat16(Shorts x) { return Floats(__builtin_convertvector(x, Words) << 16); }

Shorts narrow_bfloat16(Floats x) {
  const Words bits = Words(x), upper = bits >> 16;
  const Words rounded = (bits + 0x7fff + (upper & 1)) >> 16;
  return __builtin_convertvector(select((bits & 0x7fffffff) > 0x7f800000, upper | 0x40, rounded), Shorts);
}

template <class Stored, class F>
void widen_run(float* y, const Stored* x, int64_t count, F&& of) {
  int64_t i = 0;
  for (; i + L <= count; i += L) store(y + i, of(load_shorts(x + i)));
  if (i == count) return;
  Shorts last{};
  std::memcpy(&last, x + i, (count - i) * 2);
  store_part(y + i, of(last), count - i);
}

template <class Stored, class F>
void narrow_run(Stored* y, const float* x, int64_t count, F&& of) {
  int64_t i = 0;
  for (; i + L <= count; i += L) {
    const Shorts found = of(load(x + i));
    std::memcpy(y + i, &found, sizeof found);
  }
  if (i == count) return;
  const Shorts last = of(load_part(x + i, count - i));
  std::memcpy(y + i, &last, (count - i) * 2);
}

template <class To, class From>
To convert(From x) {
  if constexpr (std::is_same_v<To, bool>)
    return x != From(0);
  else if constexpr (std::is_floating_point_v<From> && std::is_same_v<To, uint8_t>)
    return uint8_t(int64_t(x));
  else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To> && sizeof(To) < 4)
    return To(int32_t(x));
  else
    return To(x);
}

template <class From, class To>
void convert_run(char* y, const char* x, int64_t count) {
  if constexpr (std::is_same_v<From, To>) {
    std::memcpy(y, x, count * sizeof(To));
  } else {
    const From* from = reinterpret_cast<const From*>(x);
    To* to = reinterpret_cast<To*>(y);
    for (int64_t i = 0; i < count; i++) to[i] = convert<To>(from[i]);
  }
}

// Calls `use` with a value of each type that converts directly.
template <class F>
Convert with_type(Type type, F&& use) {
  switch (type) {
    case Type::Bool: return use(bool());
    case Type::U8: return use(uint8_t());
    case Type::I8: return use(int8_t());
    case Type::I16: return use(int16_t());
    case Type::I32: return use(int32_t());
    case Type::I64: return use(int64_t());
    case Type::F32: return use(float());
    case Type::F64: return use(double());
    default: return nullptr;
  }
}

Convert direct(Type from, Type to) {
  // A bool is a byte that is 0 or 1.
  return with_type(from == Type::Bool && to != Type::Bool ? Type::U8 : from, [to](auto source) {
    return with_type(to, [](auto result) -> Convert { return convert_run<decltype(source), decltype(result)>; });
  });
}

constexpr int64_t piece = 512;

template <class Stored, class To>
void from_half(char* y, const char* x, int64_t count) {
  float wide[piece];
  for (int64_t i = 0; i < count; i += piece) {
    const int64_t n = std::min(piece, count - i);
    widen(wide, reinterpret_cast<const Stored*>(x) + i, n);
    convert_run<float, To>(y + i * sizeof(To), reinterpret_cast<const char*>(wide), n);
  }
}

template <class From, class Stored>
void to_half(char* y, const char* x, int64_t count) {
  float wide[piece];
  for (int64_t i = 0; i < count; i += piece) {
    const int64_t n = std::min(piece, count - i);
    convert_run<From, float>(reinterpret_cast<char*>(wide), x + i * sizeof(From), n);
    narrow(reinterpret_cast<Stored*>(y) + i, wide, n);
  }
}

template <class From, class To>
void half_to_half(char* y, const char* x, int64_t count) {
  float wide[piece];
  for (int64_t i = 0; i < count; i += piece) {
    const int64_t n = std::min(piece, count - i);
    widen(wide, reinterpret_cast<const From*>(x) + i, n);
    narrow(reinterpret_cast<To*>(y) + i, wide, n);
  }
}

template <class Stored>
void widened(char* y, const char* x, int64_t count) {
  widen(reinterpret_cast<float*>(y), reinterpret_cast<const Stored*>(x), count);
}

template <class Stored>
void narrowed(char* y, const char* x, int64_t count) {
  narrow(reinterpret_cast<Stored*>(y), reinterpret_cast<const float*>(x), count);
}

template <class Stored>
Convert from_stored(Type to) {
  if (to == Type::F32) return widened<Stored>;
  if (to == Type::F16) return half_to_half<Stored, Half>;
  if (to == Type::BF16) return half_to_half<Stored, BFloat16>;
  return with_type(to, [](auto result) -> Convert { return from_half<Stored, decltype(result)>; });
}

template <class Stored>
Convert to_stored(Type from) {
  if (from == Type::F32) return narrowed<Stored>;
  return with_type(from, [](auto source) -> Convert { return to_half<decltype(source), Stored>; });
}

}  // namespace

void widen(float* y, const Half* x, int64_t count) { widen_run(y, x, count, widen_half); }
void widen(float* y, const BFloat16* x, int64_t count) { widen_run(y, x, count, widen_bfloat16); }
void narrow(Half* y, const float* x, int64_t count) { narrow_run(y, x, count, narrow_half); }
void narrow(BFloat16* y, const float* x, int64_t count) { narrow_run(y, x, count, narrow_bfloat16); }

Convert converter(Type from, Type to) {
  if (from == Type::F16) return from_stored<Half>(to);
  if (from == Type::BF16) return from_stored<BFloat16>(to);
  if (to == Type::F16) return to_stored<Half>(from);
  if (to == Type::BF16) return to_stored<BFloat16>(from);
  return direct(from, to);
}

}  // namespace rushlight
