// The pool of large blocks (see pool.h): size classes an eighth of a power of two apart, a free list for each, one lock.
//
// What lies idle is bounded three ways: by a limit on idle bytes (the oldest go first), by age (blocks nobody asked for
// within ten seconds go back when the pool is next used), and by need (when the system refuses memory, everything idle is
// returned and the request repeated).
#include "pool.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

#ifndef _WIN32
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace rushlight {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t huge_page = 2 << 20;
constexpr auto idle_time = std::chrono::seconds(10);

struct Idle {
  void* memory;
  size_t bytes;
  Clock::time_point since;
};

struct Pool {
  std::mutex lock;
  // Idle blocks from the longest idle on, and by size class where they are in that list.
  std::list<Idle> idle;
  std::unordered_map<size_t, std::vector<std::list<Idle>::iterator>> by_size;
  size_t idle_bytes = 0, used_bytes = 0, most_used = 0, limit = 0;
  uint64_t requests = 0, reused = 0, from_system = 0, returned = 0;
};

// Never destroyed: a block may be freed after static destructors ran.
Pool& pool() {
  static Pool* const only = new Pool;
  return *only;
}

size_t size_class(size_t bytes) {
  size_t power = pool_threshold;
  while (power * 2 <= bytes) power *= 2;
  const size_t step = power / 8;
  return (bytes + step - 1) / step * step;
}

void* from_system(size_t bytes) {
#if defined(__linux__)
  if (bytes >= huge_page) {
    const size_t rounded = (bytes + 4095) & ~size_t(4095);
    void* memory = std::aligned_alloc(huge_page, (rounded + huge_page - 1) / huge_page * huge_page);
    if (memory) madvise(memory, rounded, MADV_HUGEPAGE);
    return memory;
  }
#endif
  return std::aligned_alloc(64, bytes);
}

// Takes the longest idle blocks out of the list until `enough` says stop; the caller frees them without the lock.
template <class Enough>
std::vector<void*> take_idle(Pool& p, Enough enough) {
  std::vector<void*> taken;
  while (!p.idle.empty() && !enough(p.idle.front())) {
    const auto first = p.idle.begin();
    auto& places = p.by_size[first->bytes];
    for (size_t i = 0; i < places.size(); i++) {
      if (places[i] == first) {
        places.erase(places.begin() + long(i));
        break;
      }
    }
    p.idle_bytes -= first->bytes;
    p.returned++;
    taken.push_back(first->memory);
    p.idle.pop_front();
  }
  return taken;
}

void free_all(const std::vector<void*>& blocks) {
  for (void* memory : blocks) std::free(memory);
}

void* acquire(size_t bytes) {
  Pool& p = pool();
  std::vector<void*> old;
  void* memory = nullptr;
  {
    const std::lock_guard<std::mutex> guard(p.lock);
    p.requests++;
    auto& places = p.by_size[bytes];
    if (!places.empty()) {
      const auto place = places.back();
      places.pop_back();
      memory = place->memory;
      p.idle.erase(place);
      p.idle_bytes -= bytes;
      p.reused++;
    }
    const auto limit = Clock::now() - idle_time;
    old = take_idle(p, [&](const Idle& block) { return block.since > limit; });
    p.used_bytes += bytes;
    if (p.used_bytes > p.most_used) p.most_used = p.used_bytes;
  }
  free_all(old);
  if (memory) return memory;
  memory = from_system(bytes);
  if (!memory && return_idle_memory()) memory = from_system(bytes);
  const std::lock_guard<std::mutex> guard(p.lock);
  if (memory)
    p.from_system++;
  else
    p.used_bytes -= bytes;
  return memory;
}

void release(void* memory, size_t bytes) {
  Pool& p = pool();
  std::vector<void*> old;
  {
    const std::lock_guard<std::mutex> guard(p.lock);
    p.used_bytes -= bytes;
    if (bytes > p.limit) {
      old.push_back(memory);
      p.returned++;
    } else {
      old = take_idle(p, [&](const Idle&) { return p.idle_bytes + bytes <= p.limit; });
      p.idle.push_back({memory, bytes, Clock::now()});
      p.by_size[bytes].push_back(std::prev(p.idle.end()));
      p.idle_bytes += bytes;
    }
  }
  free_all(old);
}

struct Block {
  PyObject_HEAD
  void* memory;
  size_t bytes;
};

PyTypeObject* block_type = nullptr;

void block_dealloc(PyObject* self) {
  auto* block = reinterpret_cast<Block*>(self);
  if (block->memory) release(block->memory, block->bytes);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyType_Slot block_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(block_dealloc)},
                             {Py_tp_doc, const_cast<char*>("Memory of the pool; freed with the last array on it.")},
                             {0, nullptr}};
PyType_Spec block_spec = {"rushlight.backends.native.Block", int(sizeof(Block)), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, block_slots};

void report_no_memory(size_t bytes) {
  Pool& p = pool();
  double used;
  {
    const std::lock_guard<std::mutex> guard(p.lock);
    used = double(p.used_bytes);
  }
  constexpr double mebi = 1 << 20;
  char text[200];
  std::snprintf(text, sizeof text, "not enough memory for a result of %.1f MiB; the tensors there are now hold %.1f MiB. Use a smaller batch, or let go of tensors.",
                double(bytes) / mebi, used / mebi);
  PyErr_SetString(PyExc_MemoryError, text);
}

size_t default_limit() {
#ifndef _WIN32
  const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  if (pages > 0 && size > 0) return size_t(pages) / 4 * size_t(size);
#endif
  return size_t(1) << 30;
}

PyObject* memory_stats(PyObject*, PyObject*) {
  Pool& p = pool();
  const std::lock_guard<std::mutex> guard(p.lock);
  return Py_BuildValue("{s:n,s:n,s:n,s:n,s:K,s:K,s:K,s:K}", "used_bytes", Py_ssize_t(p.used_bytes), "most_used_bytes",
                       Py_ssize_t(p.most_used), "idle_bytes", Py_ssize_t(p.idle_bytes), "limit_bytes", Py_ssize_t(p.limit),
                       "requests", static_cast<unsigned long long>(p.requests), "reused",
                       static_cast<unsigned long long>(p.reused), "from_system",
                       static_cast<unsigned long long>(p.from_system), "returned",
                       static_cast<unsigned long long>(p.returned));
}

PyObject* empty_cache(PyObject*, PyObject*) { return PyLong_FromSize_t(return_idle_memory()); }

PyObject* set_memory_limit(PyObject*, PyObject* value) {
  const size_t bytes = PyLong_AsSize_t(value);
  if (bytes == size_t(-1) && PyErr_Occurred()) return nullptr;
  Pool& p = pool();
  std::vector<void*> old;
  {
    const std::lock_guard<std::mutex> guard(p.lock);
    p.limit = bytes;
    old = take_idle(p, [&](const Idle&) { return p.idle_bytes <= p.limit; });
  }
  free_all(old);
  Py_RETURN_NONE;
}

}  // namespace

size_t return_idle_memory() {
  Pool& p = pool();
  std::vector<void*> old;
  size_t bytes;
  {
    const std::lock_guard<std::mutex> guard(p.lock);
    bytes = p.idle_bytes;
    old = take_idle(p, [](const Idle&) { return false; });
  }
  free_all(old);
  return bytes;
}

PyMethodDef pool_methods[] = {
    {"memory_stats", memory_stats, METH_NOARGS, "Counters of the pool of large results, as a dictionary."},
    {"empty_cache", empty_cache, METH_NOARGS, "Return all idle blocks to the system; the number of bytes they had."},
    {"set_memory_limit", set_memory_limit, METH_O, "How many idle bytes the pool may keep."},
    {nullptr, nullptr, 0, nullptr}};

bool prepare_pool() {
  pool().limit = default_limit();
#ifndef _WIN32
  // A child starts with an empty pool of its own: the lock may have been held by a thread that fork did not copy. Its idle
  // memory stays the parent's until written to, so forgetting it costs nothing.
  pthread_atfork(nullptr, nullptr, [] {
    Pool& p = pool();
    const size_t limit = p.limit, used = p.used_bytes;
    new (&p) Pool;
    p.limit = limit;
    p.used_bytes = used;
  });
#endif
  block_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&block_spec));
  return block_type != nullptr;
}

PyObject* new_block(size_t bytes) {
  bytes = size_class(bytes);
  PyObject* self = block_type->tp_alloc(block_type, 0);
  if (!self) return nullptr;
  auto* block = reinterpret_cast<Block*>(self);
  try {
    block->memory = acquire(bytes);
  } catch (const std::bad_alloc&) {
    block->memory = nullptr;
  }
  if (!block->memory) {
    Py_DECREF(self);
    report_no_memory(bytes);
    return nullptr;
  }
  block->bytes = bytes;
  return self;
}

Buffer::Buffer(size_t bytes) : bytes_(size_class(std::max<size_t>(bytes, 64))) {
  memory_ = acquire(bytes_);
  if (!memory_) throw std::bad_alloc();
}

Buffer::~Buffer() { release(memory_, bytes_); }

void* block_memory(PyObject* block) { return reinterpret_cast<Block*>(block)->memory; }

}  // namespace rushlight
