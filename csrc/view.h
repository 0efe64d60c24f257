// Arrays that lie in the memory of others.
#pragma once
#include "array.h"
#include "owned.h"

namespace rushlight {

// A new array over the memory of `owner`, which it keeps alive, with strides in bytes; writeable if the owner is. Empty, with an
// exception set, when there is no memory.
Owned view_as(PyArrayObject* owner, char* data, int ndim, const npy_intp* shape, const npy_intp* strides);

}  // namespace rushlight
