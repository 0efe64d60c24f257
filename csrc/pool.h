// A caching, aligned pool for large results.
//
// Asking the system for fresh pages costs more than most kernels that fill them (47 MB: 15-21 ms with 4 KiB pages). So
// blocks of 64 KiB and more are kept when they are freed and handed out again. Blocks are 64-byte aligned; those of 2 MiB
// and more lie on huge pages where the system offers them. Any thread may free one, also while the interpreter ends.
#pragma once
#include <Python.h>

#include <cstddef>

namespace rushlight {

constexpr size_t pool_threshold = 64 << 10;

// A Python object that owns `bytes` of memory (uninitialised); NULL with MemoryError set when there is none.
PyObject* new_block(size_t bytes);
void* block_memory(PyObject* block);

// Memory for the length of one kernel; throws std::bad_alloc. Needs no GIL.
class Buffer {
 public:
  explicit Buffer(size_t bytes);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  template <class T>
  T* as() const {
    return static_cast<T*>(memory_);
  }

 private:
  void* memory_;
  size_t bytes_;
};

// Gives all idle blocks back to the system; the number of bytes they had. Needs no GIL.
size_t return_idle_memory();

// Python functions of the module: memory_stats() -> dict, empty_cache() -> bytes freed, set_memory_limit(bytes).
extern PyMethodDef pool_methods[];
// Makes the type of blocks; false with an exception set on failure.
bool prepare_pool();

}  // namespace rushlight
