// The extension module: one for each instruction set, from the same sources.
//
// `bind(name, reference)` gives the callable that stands in the kernel table: it runs the native code, or the reference
// where that declines (or where there is no native code of that name: then it only brings HiddenArrays to the default
// format). It is an object of its own type with a vectorcall slot: three arrays cost about 25 ns this way.
#define RUSHLIGHT_IMPORTS_NUMPY
#include "array.h"
#include "conv.h"
#include "kernel.h"
#include "parallel.h"
#include "pool.h"

#include <structmember.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <map>
#include <new>
#include <string>
#include <vector>

#define RUSHLIGHT_TEXT_(x) #x
#define RUSHLIGHT_TEXT(x) RUSHLIGHT_TEXT_(x)
#define RUSHLIGHT_JOIN_(a, b) a##b
#define RUSHLIGHT_JOIN(a, b) RUSHLIGHT_JOIN_(a, b)

namespace rushlight {
namespace {

struct Listed {
  Entry entry;
  const char* family;
  std::vector<PyObject*> parameters;  // interned names
};

std::map<std::string, Listed>& table() {
  static auto* const listed = new std::map<std::string, Listed>;
  return *listed;
}

struct Kernel {
  PyObject_HEAD
  vectorcallfunc call;
  const Listed* listed;
  PyObject* reference;
  unsigned long long calls, declined;
};

bool is_hidden(PyObject* value) { return Py_TYPE(value) == hidden_type; }

// Whether `value` is a HiddenArray or a list or tuple with one in it.
bool holds_hidden(PyObject* value) {
  if (is_hidden(value)) return true;
  if (!PyList_CheckExact(value) && !PyTuple_CheckExact(value)) return false;
  PyObject** items = PySequence_Fast_ITEMS(value);
  return std::any_of(items, items + PySequence_Fast_GET_SIZE(value), is_hidden);
}

// A new reference to `value` with its HiddenArrays in the default format.
PyObject* without_hidden(PyObject* value) {
  if (is_hidden(value)) return PyObject_CallMethod(value, "default", nullptr);
  if (!holds_hidden(value)) return Py_NewRef(value);
  const Py_ssize_t size = PySequence_Fast_GET_SIZE(value);
  PyObject* plain = PyList_New(size);
  for (Py_ssize_t i = 0; plain && i < size; i++) {
    PyObject* item = without_hidden(PySequence_Fast_GET_ITEM(value, i));
    if (!item) {
      Py_DECREF(plain);
      return nullptr;
    }
    PyList_SET_ITEM(plain, i, item);
  }
  return plain;
}

// The reference with HiddenArrays replaced by default-format arrays.
PyObject* call_reference(Kernel* self, PyObject* const* args, size_t nargsf, PyObject* names) {
  const Py_ssize_t positional = PyVectorcall_NARGS(nargsf), total = positional + (names ? PyTuple_GET_SIZE(names) : 0);
  if (std::none_of(args, args + total, holds_hidden)) return PyObject_Vectorcall(self->reference, args, size_t(positional), names);
  std::vector<PyObject*> plain;
  PyObject* result = nullptr;
  for (Py_ssize_t i = 0; i < total; i++) {
    PyObject* value = without_hidden(args[i]);
    if (!value) break;
    plain.push_back(value);
  }
  if (Py_ssize_t(plain.size()) == total) result = PyObject_Vectorcall(self->reference, plain.data(), size_t(positional), names);
  for (PyObject* value : plain) Py_DECREF(value);
  return result;
}

// Puts arguments given by name in their places; false when one has no place, which the reference reports.
bool place(const Listed& listed, PyObject* const* args, Py_ssize_t positional, PyObject* names, PyObject** placed) {
  const size_t count = listed.parameters.size();
  if (size_t(positional) > count) return false;
  for (Py_ssize_t i = 0; i < positional; i++) placed[i] = args[i];
  for (size_t i = size_t(positional); i < count; i++) placed[i] = nullptr;
  for (Py_ssize_t j = 0; names && j < PyTuple_GET_SIZE(names); j++) {
    PyObject* name = PyTuple_GET_ITEM(names, j);
    size_t i = 0;
    while (i < count && listed.parameters[i] != name) i++;
    if (i == count || placed[i]) return false;
    placed[i] = args[positional + j];
  }
  return true;
}

PyObject* kernel_call(PyObject* object, PyObject* const* args, size_t nargsf, PyObject* names) {
  auto* self = reinterpret_cast<Kernel*>(object);
  PyObject* placed[max_parameters];
  if (self->listed && place(*self->listed, args, PyVectorcall_NARGS(nargsf), names, placed)) {
    PyObject* result = nullptr;
    try {
      result = self->listed->entry.run(placed);
    } catch (const std::bad_alloc&) {
      PyErr_Format(PyExc_MemoryError, "%s: not enough memory to work in; use a smaller batch, or let go of tensors", self->listed->entry.name);
      return nullptr;
    } catch (const std::exception& error) {
      PyErr_Format(PyExc_RuntimeError, "%s: %s", self->listed->entry.name, error.what());
      return nullptr;
    }
    if (result) {
      self->calls++;
      return result;
    }
    if (PyErr_Occurred()) return nullptr;
  }
  self->declined++;
  return call_reference(self, args, nargsf, names);
}

void kernel_dealloc(PyObject* object) {
  auto* self = reinterpret_cast<Kernel*>(object);
  Py_XDECREF(self->reference);
  PyTypeObject* type = Py_TYPE(object);
  type->tp_free(object);
  Py_DECREF(type);
}

PyObject* kernel_repr(PyObject* object) {
  const auto* self = reinterpret_cast<Kernel*>(object);
  const Listed* listed = self->listed;
  return !listed ? PyUnicode_FromFormat("<kernel without native code: %R>", self->reference) : PyUnicode_FromFormat("<native kernel %s (%s)>", listed->entry.name, listed->family);
}

PyObject* kernel_name(PyObject* object, void*) {
  const auto* self = reinterpret_cast<Kernel*>(object);
  return self->listed ? PyUnicode_FromString(self->listed->entry.name) : PyObject_GetAttrString(self->reference, "__name__");
}

PyMemberDef kernel_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Kernel, call), READONLY, nullptr},
    {"reference", T_OBJECT_EX, offsetof(Kernel, reference), READONLY, "The NumPy kernel that defines what this one computes."},
    {"calls", T_ULONGLONG, offsetof(Kernel, calls), READONLY, "How many calls native code served."},
    {"declined", T_ULONGLONG, offsetof(Kernel, declined), READONLY, "How many calls went to the reference."},
    {nullptr, 0, 0, 0, nullptr}};
PyGetSetDef kernel_getset[] = {{"__name__", kernel_name, nullptr, nullptr, nullptr}, {nullptr, nullptr, nullptr, nullptr, nullptr}};
PyType_Slot kernel_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(kernel_dealloc)},
                              {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                              {Py_tp_repr, reinterpret_cast<void*>(kernel_repr)},
                              {Py_tp_members, kernel_members},
                              {Py_tp_getset, kernel_getset},
                              {Py_tp_doc, const_cast<char*>("A native kernel with its NumPy reference behind it.")},
                              {0, nullptr}};
PyType_Spec kernel_spec = {"rushlight.backends.native.Kernel", int(sizeof(Kernel)), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION, kernel_slots};
PyTypeObject* kernel_type = nullptr;

bool intern_parameters(Listed& listed) {
  if (!listed.parameters.empty()) return true;
  for (const char* at = listed.entry.parameters; *at;) {
    const char* end = std::strchr(at, ' ');
    const size_t length = end ? size_t(end - at) : std::strlen(at);
    PyObject* name = PyUnicode_FromStringAndSize(at, Py_ssize_t(length));
    if (!name) return false;
    PyUnicode_InternInPlace(&name);
    listed.parameters.push_back(name);
    at += length + (end ? 1 : 0);
  }
  return true;
}

PyObject* bind(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count != 2 || !PyUnicode_Check(args[0]) || !PyCallable_Check(args[1])) {
    PyErr_SetString(PyExc_TypeError, "bind(name, reference): expected a kernel's name and its reference function");
    return nullptr;
  }
  const auto found = table().find(PyUnicode_AsUTF8(args[0]));
  if (found != table().end() && !intern_parameters(found->second)) return nullptr;
  PyObject* object = kernel_type->tp_alloc(kernel_type, 0);
  if (!object) return nullptr;
  auto* self = reinterpret_cast<Kernel*>(object);
  self->call = kernel_call;
  self->listed = found == table().end() ? nullptr : &found->second;
  self->reference = Py_NewRef(args[1]);
  return object;
}

PyObject* kernels(PyObject*, PyObject*) {
  PyObject* found = PyDict_New();
  for (const auto& [name, listed] : table()) {
    PyObject* family = found ? PyUnicode_FromString(listed.family) : nullptr;
    if (!family || PyDict_SetItemString(found, name.c_str(), family) < 0) {
      Py_XDECREF(family);
      Py_XDECREF(found);
      return nullptr;
    }
    Py_DECREF(family);
  }
  return found;
}

PyObject* set_hidden_type(PyObject*, PyObject* type) {
  if (!PyType_Check(type)) {
    PyErr_SetString(PyExc_TypeError, "set_hidden_type(type): expected the class HiddenArray");
    return nullptr;
  }
  Py_INCREF(type);  // for good
  hidden_type = reinterpret_cast<PyTypeObject*>(type);
  Py_RETURN_NONE;
}

PyObject* set_num_threads(PyObject*, PyObject* value) {
  const long count = PyLong_AsLong(value);
  if (count == -1 && PyErr_Occurred()) return nullptr;
  set_thread_limit(int(count));
  Py_RETURN_NONE;
}

PyObject* get_num_threads(PyObject*, PyObject*) { return PyLong_FromLong(thread_limit()); }

PyMethodDef methods[] = {
    {"bind", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(bind)), METH_FASTCALL,
     "bind(name, reference): the callable that runs the native kernel, or the reference where it declines."},
    {"kernels", kernels, METH_NOARGS, "The names of all native kernels, each with its family."},
    {"set_hidden_type", set_hidden_type, METH_O, "Tell which class marks arrays in a layout of the backend's own."},
    {"set_num_threads", set_num_threads, METH_O, "How many threads kernels may use."},
    {"get_num_threads", get_num_threads, METH_NOARGS, "How many threads kernels may use; 1 in a forked child."},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef definition = {PyModuleDef_HEAD_INIT, RUSHLIGHT_TEXT(RUSHLIGHT_MODULE), nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

Family::Family(const char* name, std::initializer_list<Entry> entries) {
  for (const Entry& entry : entries) table().emplace(entry.name, Listed{entry, name, {}});
}

bool read_double(PyObject* value, double& found) {
  if (!value) return false;
  if (PyFloat_CheckExact(value)) {
    found = PyFloat_AS_DOUBLE(value);
    return true;
  }
  found = PyFloat_AsDouble(value);
  if (!PyErr_Occurred()) return true;
  PyErr_Clear();
  return false;
}

bool read_int(PyObject* value, int64_t& found) {
  if (!value || !PyIndex_Check(value)) return false;
  found = PyNumber_AsSsize_t(value, PyExc_OverflowError);
  if (!PyErr_Occurred()) return true;
  PyErr_Clear();
  return false;
}

bool read_bool(PyObject* value, bool& found) {
  if (value != Py_True && value != Py_False) return false;
  found = value == Py_True;
  return true;
}

bool read_ints(PyObject* value, int64_t* found, int& count) {
  if (!value || !(PyTuple_Check(value) || PyList_Check(value))) return false;
  const Py_ssize_t size = PySequence_Fast_GET_SIZE(value);
  if (size > max_dims) return false;
  for (Py_ssize_t i = 0; i < size; i++)
    if (!read_int(PySequence_Fast_GET_ITEM(value, i), found[i])) return false;
  count = int(size);
  return true;
}

}  // namespace rushlight

PyMODINIT_FUNC RUSHLIGHT_JOIN(PyInit_, RUSHLIGHT_MODULE)() {
  using namespace rushlight;
  import_array();
  kernel_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&kernel_spec));
  if (!kernel_type || !prepare_pool()) return nullptr;
  PyObject* module = PyModule_Create(&definition);
  if (module && (PyModule_AddFunctions(module, pool_methods) < 0 || PyModule_AddFunctions(module, conv::methods) < 0 ||
                 PyModule_AddObjectRef(module, "Kernel", reinterpret_cast<PyObject*>(kernel_type)) < 0 ||
                 PyModule_AddIntConstant(module, "vector_bytes", RUSHLIGHT_VECTOR_BYTES) < 0)) {
    Py_DECREF(module);
    return nullptr;
  }
  return module;
}
