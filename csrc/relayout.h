// Copies of arrays in another memory order, for kernels that want one.
#pragma once
#include "array.h"
#include "owned.h"

namespace rushlight {

// A copy of `source` (any strides, elements of 4 or 8 bytes) that is row-major, or lies in memory as the dense array
// `like` of the same shape does. Empty with an exception set when there is no memory, without one for other elements.
// `found` reads the copy.
Owned relaid(const Array& source, const Array* like, Array& found);

}  // namespace rushlight
