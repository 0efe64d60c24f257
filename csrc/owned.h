// A reference to a Python object that is dropped at the end of its scope.
#pragma once
#include <Python.h>

#include <utility>

namespace rushlight {

class Owned {
 public:
  Owned() = default;
  explicit Owned(PyObject* object) : object_(object) {}
  Owned(Owned&& other) noexcept : object_(other.give()) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Owned() { Py_XDECREF(object_); }

  explicit operator bool() const { return object_ != nullptr; }
  PyObject* get() const { return object_; }
  // Hands the reference to the caller.
  PyObject* give() { return std::exchange(object_, nullptr); }

 private:
  PyObject* object_ = nullptr;
};

// A tuple of references that are given away, None for an empty one. NULL with an exception set when there is no memory.
template <class... Each>
PyObject* tuple_of(Each&&... each) {
  PyObject* tuple = PyTuple_New(sizeof...(each));
  if (!tuple) return nullptr;
  Py_ssize_t i = 0;
  ((PyTuple_SET_ITEM(tuple, i++, each ? each.give() : Py_NewRef(Py_None))), ...);
  return tuple;
}

}  // namespace rushlight
