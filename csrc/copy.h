// Moving values without changing them, at the speed of memory.
#pragma once
#include "array.h"
#include "owned.h"

namespace rushlight {

// Writes the values of `x` (which broadcasts) over `target`. Same type, any strides, no overlap.
void copy_values(const Array& target, const Array& x);
// Makes `x` row-major, by way of `copy` where it is not; false with an exception set when there is no memory.
bool make_row_major(Array& x, Owned& copy);
// Fills dense memory with one element of `size` bytes (1, 2, 4, 8 or 16), over and over.
void fill_values(char* target, int64_t count, const char* element, int64_t size);

}  // namespace rushlight
