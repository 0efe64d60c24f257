// Dense runs of numbers from one type to another, with the rules of `cast` in backends/reference/cast.py.
//
// The half types are storage only: they widen to float32 exactly and are rounded from it once, to nearest even. A float
// becomes an integer by truncation; what does not fit follows x86's conversion. To bool is "not zero".
#pragma once
#include <cstdint>

#include "array.h"

namespace rushlight {

void widen(float* y, const Half* x, int64_t count);
void widen(float* y, const BFloat16* x, int64_t count);
void narrow(Half* y, const float* x, int64_t count);
void narrow(BFloat16* y, const float* x, int64_t count);

// Converts `count` elements; the half types go through float32. nullptr for a pair that is left to the reference:
// complex numbers, and the unsigned types wider than a byte.
using Convert = void (*)(char* y, const char* x, int64_t count);
Convert converter(Type from, Type to);

}  // namespace rushlight
