// Threads: one OpenMP team, fixed blocks, results that do not depend on how many threads there are.
//
// A kernel divides its work into blocks by sizes that follow from shapes alone and calls `parallel`; threads only take
// blocks. A region runs serially when it is not worth waking anyone, when another Python thread has the team, and in a
// forked child (a parallel region there would wait for threads that fork did not copy).
#pragma once
#include <Python.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <utility>

namespace rushlight {

// How many threads kernels may use, and setting it (at least 1).
int thread_limit();
void set_thread_limit(int count);
// The number of this thread within the running region.
int thread_number();

// The blocks that one thread of the team begins with: those from `next` to `end` are left.
struct alignas(64) Share {
  std::atomic<int64_t> next;
  int64_t end;
};

// The team, held for the length of one parallel region. `shares` are there for each of its threads where it has several.
class Team {
 public:
  explicit Team(int64_t blocks);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  // Lets nobody claim another block.
  void stop();
  int size = 1;
  Share* shares = nullptr;
};

// Runs body(block) for every block in [0, blocks). Threads claim blocks one by one, each first those of its own share, which is
// the same part of the range in every call of as many blocks: what it wrote in one kernel it finds in its cache in the next.
// Then it takes from the others, so that a thread that the machine takes away holds up no other. What a body throws
// (std::bad_alloc) is thrown here: OpenMP would end the process.
template <class F>
void parallel(int64_t blocks, F&& body) {
  Team team(blocks);
  if (team.size == 1) {
    for (int64_t block = 0; block < blocks; block++) body(block);
    return;
  }
  std::atomic<bool> failed{false};
  std::exception_ptr error;
#ifdef _OPENMP
#pragma omp parallel num_threads(team.size)
#endif
  try {
    for (int turn = 0, from = thread_number(); turn < team.size; turn++, from = from + 1 == team.size ? 0 : from + 1) {
      Share& share = team.shares[from];
      for (int64_t block; (block = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end;) body(block);
    }
  } catch (...) {
    team.stop();
    if (!failed.exchange(true)) error = std::current_exception();
  }
  if (error) std::rethrow_exception(error);
}

// Runs body(begin, end) over [0, count) in pieces of `grain`, whatever the number of threads.
template <class F>
void parallel_range(int64_t count, int64_t grain, F&& body) {
  const int64_t blocks = (count + grain - 1) / grain;
  if (blocks <= 1) {
    if (count > 0) body(int64_t(0), count);
    return;
  }
  parallel(blocks, [&](int64_t block) { body(block * grain, std::min(count, (block + 1) * grain)); });
}

// Lets other Python threads run while a kernel computes; `work` is roughly its number of element operations.
class ReleaseGil {
 public:
  explicit ReleaseGil(int64_t work) : state_(work > 100'000 ? PyEval_SaveThread() : nullptr) {}
  ~ReleaseGil() {
    if (state_) PyEval_RestoreThread(state_);
  }
  ReleaseGil(const ReleaseGil&) = delete;
  ReleaseGil& operator=(const ReleaseGil&) = delete;

 private:
  PyThreadState* state_;
};

// Borrowed memory of this thread, 64-byte aligned, kept for the next call: at most one user per `slot` at a time.
// Throws std::bad_alloc when there is none, also after the pool has given back what lies idle.
void* scratch_bytes(int slot, size_t bytes);

template <class T>
T* scratch(int slot, int64_t count) {
  return static_cast<T*>(scratch_bytes(slot, size_t(count) * sizeof(T)));
}

}  // namespace rushlight
