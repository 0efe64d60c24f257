// Reaching a Generator's state (see mersenne.h).
#include "mersenne.h"

#include <cstdint>

#include <numpy/random/bitgen.h>

namespace rushlight {
namespace {

// Attributes and methods of rushlight.core.generator.Generator.
PyObject* name_of(const char* text) { return PyUnicode_InternFromString(text); }

// Whether NumPy's state is laid out as Mersenne says: the next word that it draws and the state it leaves are ours.
bool expected_layout(const bitgen_t* source) {
  auto* const state = static_cast<Mersenne*>(source->state);
  const Mersenne before = *state;
  if (before.position < 0 || before.position > state_words) return false;
  uint32_t wanted = 0;
  Mersenne ours = before;
  draw<1>(ours, 1, 0, [&](const uint32_t* words, int64_t, int64_t) { wanted = temper(load_part(words, 1))[0]; });
  const uint32_t found = source->next_uint32(source->state);
  const bool same = found == wanted && std::memcmp(state, &ours, sizeof ours) == 0;
  *state = before;
  return same;
}

}  // namespace

bool Source::open(PyObject* generator) {
  static PyObject *const lock = name_of("lock"), *const acquire = name_of("acquire"), *const words = name_of("capsule");
  PyObject* const capsule = PyObject_GetAttr(generator, words);
  if (!capsule) {
    PyErr_Clear();
    return false;
  }
  auto* const source = PyCapsule_IsValid(capsule, "BitGenerator") ? static_cast<bitgen_t*>(PyCapsule_GetPointer(capsule, "BitGenerator")) : nullptr;
  Py_DECREF(capsule);  // the generator holds it
  lock_ = source ? PyObject_GetAttr(generator, lock) : nullptr;
  if (!lock_) return false;
  PyObject* const taken = PyObject_CallMethodNoArgs(lock_, acquire);
  if (!taken) {
    Py_CLEAR(lock_);
    return false;
  }
  Py_DECREF(taken);
  static const bool expected = expected_layout(source);
  if (!expected) return false;
  generator_ = generator;
  state = static_cast<Mersenne*>(source->state);
  return true;
}

Source::~Source() {
  static PyObject* const release = name_of("release");
  if (!lock_) return;
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  Py_XDECREF(PyObject_CallMethodNoArgs(lock_, release));
  PyErr_Restore(type, value, trace);
  Py_DECREF(lock_);
}

bool Source::take_normal(double& value, bool& found) {
  static PyObject* const name = name_of("next_normal");
  PyObject* const waiting = PyObject_GetAttr(generator_, name);
  if (!waiting) return false;
  found = PyFloat_Check(waiting);
  if (found) value = PyFloat_AS_DOUBLE(waiting);
  Py_DECREF(waiting);
  return !found || PyObject_SetAttr(generator_, name, Py_None) == 0;
}

bool Source::leave_normal(double value) {
  static PyObject* const name = name_of("next_normal");
  PyObject* const number = PyFloat_FromDouble(value);
  const bool left = number && PyObject_SetAttr(generator_, name, number) == 0;
  Py_XDECREF(number);
  return left;
}

bool Source::finish() {
  static PyObject* const name = name_of("spent_next");
  if (state->position < state_words) return true;
  PyObject* const number = PyLong_FromLong(state_words);
  const bool told = number && PyObject_SetAttr(generator_, name, number) == 0;
  Py_XDECREF(number);
  return told;
}

}  // namespace rushlight
