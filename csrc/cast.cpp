// cast: a copy of an array in another dtype, with the rules of backends/reference/cast.py.
//
// Every pair among bool, the signed integers, uint8, the half types, float32 and float64, in the layout of the array.
#include "convert.h"
#include "copy.h"
#include "rows.h"

namespace rushlight {
namespace {

void convert_row(char* const* at, int64_t count, const void* operation) {
  (*static_cast<const Convert*>(operation))(at[0], at[1], count);
}

// "x dtype"
PyObject* run_cast(PyObject* const* args) {
  Array x;
  if (!args[0] || !x.read(args[0])) return decline();
  const Type type = type_of_dtype(args[1]);
  if (type == Type::Other) return decline();
  if (type == x.type && !x.hidden) {
    PyObject* result = new_array(x.ndim, x.shape, type);
    if (result) copy_values(view_of(result), x);
    return result;
  }
  const Convert convert = converter(x.type, type);
  if (!convert) return decline();
  const Array* const operands[] = {&x};
  return elementwise({convert_row, Type::Other}, operands, 1, nullptr, type, &convert);
}

const Family family("cast", {{"cast", "x dtype", run_cast}});

}  // namespace
}  // namespace rushlight
