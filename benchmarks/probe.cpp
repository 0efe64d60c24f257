// Two figures of the machine, printed as "name value" lines: how long a cache line takes from one core to another,
// and how fast N threads read memory. Compiled by machine.py when a benchmark starts; argument: the number of threads.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>
#ifdef __linux__
#include <sched.h>
#endif

namespace {

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Binds the calling thread to the index-th of the cores it may use.
void pin(unsigned index) {
#ifdef __linux__
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed)) return;
    for (int core = 0; core < CPU_SETSIZE; ++core) {
        if (!CPU_ISSET(core, &allowed) || index--) continue;
        CPU_ZERO(&one);
        CPU_SET(core, &one);
        sched_setaffinity(0, sizeof one, &one);
        return;
    }
#else
    (void)index;
#endif
}

/// How many cores this process may use.
unsigned cores() {
#ifdef __linux__
    cpu_set_t allowed;
    if (!sched_getaffinity(0, sizeof allowed, &allowed)) return CPU_COUNT(&allowed);
#endif
    return std::thread::hardware_concurrency();
}

/// Nanoseconds one way: two threads pass a number to and fro; the least over batches, as other processes interrupt.
double core_to_core_ns() {
    constexpr int batches = 200, trips = 1000;
    alignas(128) std::atomic<int> ball{0};
    std::thread partner([&] {
        pin(1);
        for (int i = 0; i < batches * trips; ++i) {
            while (ball.load(std::memory_order_acquire) != 2 * i + 1) {}
            ball.store(2 * i + 2, std::memory_order_release);
        }
    });
    double best = 1e9;
    std::thread caller([&] {
        pin(0);
        for (int batch = 0; batch < batches; ++batch) {
            const double start = now();
            for (int i = batch * trips; i < (batch + 1) * trips; ++i) {
                ball.store(2 * i + 1, std::memory_order_release);
                while (ball.load(std::memory_order_acquire) != 2 * i + 2) {}
            }
            best = std::min(best, (now() - start) / (2.0 * trips) * 1e9);
        }
    });
    caller.join();
    partner.join();
    return best;
}

/// Bytes a second, the best of five sums over 256 MiB that threads share in equal parts.
double read_bytes_per_second(unsigned threads) {
    constexpr std::size_t words = std::size_t{1} << 25;
    const std::vector<std::uint64_t> memory(words, 1);
    std::vector<std::uint64_t> sums(threads * 16);
    double best = 1e9;
    for (int repeat = 0; repeat < 5; ++repeat) {
        std::vector<std::thread> team;
        const double start = now();
        for (unsigned t = 0; t < threads; ++t) {
            team.emplace_back([&, t] {
                std::uint64_t sum[8] = {};
                for (std::size_t i = words / threads / 8 * 8 * t, end = i + words / threads / 8 * 8; i < end; i += 8)
                    for (int lane = 0; lane < 8; ++lane) sum[lane] += memory[i + lane];
                for (std::uint64_t part : sum) sums[t * 16] += part;
            });
        }
        for (auto& thread : team) thread.join();
        best = std::min(best, now() - start);
    }
    return sums[0] ? words * sizeof(std::uint64_t) / best : 0.0;
}

}  // namespace

int main(int, char** arguments) {
    const unsigned threads = std::max(1, std::atoi(arguments[1]));
    if (cores() > 1) std::printf("core_to_core_ns %.1f\n", core_to_core_ns());
    std::printf("read_bytes_per_second %.0f\n", read_bytes_per_second(threads));
}
