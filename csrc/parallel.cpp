// The team of threads (see parallel.h): who may use it, and what becomes of it after fork.
#include "parallel.h"

#include "pool.h"

#include <cstdlib>
#include <new>

#ifdef _OPENMP
#include <omp.h>
#endif
#ifndef _WIN32
#include <pthread.h>
#endif

namespace rushlight {
namespace {

int limit = 1;
std::atomic<bool> team_taken{false};
constexpr int64_t most_threads = 256;
Share team_shares[most_threads];  // of the one region that has the team
// A forked child has no team: fork copies only the thread that called it.
bool forked = false;

#ifndef _WIN32
const int registered = pthread_atfork(nullptr, nullptr, [] {
  forked = true;
  team_taken = false;
});
#endif

struct Scratch {
  static constexpr int slots = 8;
  void* memory[slots] = {};
  size_t bytes[slots] = {};
  ~Scratch() {
    for (void* block : memory) std::free(block);
  }
};
thread_local Scratch scratch_memory;

}  // namespace

int thread_limit() { return forked ? 1 : limit; }

void set_thread_limit(int count) { limit = std::max(1, count); }

int thread_number() {
#ifdef _OPENMP
  return omp_get_thread_num();
#else
  return 0;
#endif
}

Team::Team(int64_t blocks) {
#ifdef _OPENMP
  const int most = int(std::min<int64_t>({thread_limit(), blocks, most_threads}));
  if (most > 1 && !omp_in_parallel() && !team_taken.exchange(true, std::memory_order_acquire)) {
    size = most;
    shares = team_shares;
    for (int64_t i = 0; i < size; i++) {
      shares[i].next.store(blocks * i / size, std::memory_order_relaxed);
      shares[i].end = blocks * (i + 1) / size;
    }
  }
#endif
}

Team::~Team() {
  if (shares) team_taken.store(false, std::memory_order_release);
}

void Team::stop() {
  for (int i = 0; i < size; i++) shares[i].next.store(shares[i].end, std::memory_order_relaxed);
}

void* scratch_bytes(int slot, size_t bytes) {
  Scratch& own = scratch_memory;
  if (own.bytes[slot] < bytes) {
    const size_t rounded = (bytes + 4095) & ~size_t(4095);
    std::free(own.memory[slot]);
    own.bytes[slot] = 0;
    own.memory[slot] = std::aligned_alloc(64, rounded);
    if (!own.memory[slot] && return_idle_memory()) own.memory[slot] = std::aligned_alloc(64, rounded);
    if (!own.memory[slot]) throw std::bad_alloc();
    own.bytes[slot] = rounded;
  }
  return own.memory[slot];
}

}  // namespace rushlight
