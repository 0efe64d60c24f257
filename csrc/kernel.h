// How a kernel is listed and called.
//
// A family's file ends with a list of entries: the kernel's name in the reference table, the names of its parameters in
// order, and the function. The function gets its arguments by position (nullptr for one that was left out) and returns a
// new reference, or nullptr with an exception set, or nullptr without one: then the case is not for native code, and the
// NumPy reference runs with the very same arguments.
#pragma once
#include "array.h"

#include <initializer_list>

namespace rushlight {

constexpr int max_parameters = 24;

using Run = PyObject* (*)(PyObject* const* args);

struct Entry {
  const char* name;
  const char* parameters;  // "a b out"
  Run run;
};

struct Family {
  Family(const char* name, std::initializer_list<Entry> entries);
};

// Leaves the call to the reference.
inline PyObject* decline() { return nullptr; }

// Reading plain arguments. Each returns false (without an exception) when the value is not of that kind.
bool read_double(PyObject* value, double& found);
bool read_int(PyObject* value, int64_t& found);
bool read_bool(PyObject* value, bool& found);
// A sequence of ints; its length goes to `count`, at most max_dims.
bool read_ints(PyObject* value, int64_t* found, int& count);
inline bool given(PyObject* value) { return value && value != Py_None; }

}  // namespace rushlight
