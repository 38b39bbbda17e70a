// Threads that wait for work: awake for a moment after each call, because the next one mostly follows at once, then asleep.

#include "threads.h"

#include "kernels.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

namespace {

constexpr int PATIENCE = 20000;  // looks at the clock of calls before a thread goes to sleep: a few hundred microseconds

constexpr uint64_t HELPERS = 1 << 16;

inline void breathe() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

struct Crew {
  std::mutex taken;  // by the call that runs
  std::mutex sleep;
  std::condition_variable wake;
  std::vector<std::thread> threads;

  std::atomic<uint64_t> call{0};  // its number, and below HELPERS how many threads beside the caller's take part
  std::atomic<int> asleep{0};
  std::atomic<int> busy{0};  // helpers that have not finished this call
  std::atomic<int64_t> next{0};
  int64_t count = 0;
  void (*body)(void *, int64_t, int) = nullptr;
  void *context = nullptr;

  void work(int worker) {
    for (int64_t index; (index = next.fetch_add(1, std::memory_order_relaxed)) < count;) body(context, index, worker);
  }

  void wait_and_work(int worker, uint64_t seen) {
    for (;;) {
      for (int look = 0; call.load(std::memory_order_acquire) == seen && look < PATIENCE; look++) breathe();
      if (call.load(std::memory_order_acquire) == seen) {
        std::unique_lock<std::mutex> lock(sleep);
        asleep.fetch_add(1);
        wake.wait(lock, [&] { return call.load() != seen; });
        asleep.fetch_sub(1);
      }
      seen = call.load(std::memory_order_acquire);
      if (worker > static_cast<int>(seen % HELPERS)) continue;
      work(worker);
      busy.fetch_sub(1, std::memory_order_release);
    }
  }

  // As many threads as wanted, or as the system gives.
  int hire(int wanted) {
    try {
      while (static_cast<int>(threads.size()) < wanted) {
        const int worker = static_cast<int>(threads.size()) + 1;
        threads.emplace_back([this, worker, seen = call.load()] { wait_and_work(worker, seen); });
      }
    } catch (const std::exception &) {  // no thread, or no memory for one
    }
    return std::min(wanted, static_cast<int>(threads.size()));
  }

  void run(int wanted) {
    const int helpers = hire(wanted);
    next.store(0, std::memory_order_relaxed);
    busy.store(helpers, std::memory_order_relaxed);
    call.store((call.load() / HELPERS + 1) * HELPERS + static_cast<uint64_t>(helpers));
    if (asleep.load() > 0) {
      std::lock_guard<std::mutex> lock(sleep);
      wake.notify_all();
    }
    work(0);
    while (busy.load(std::memory_order_acquire) > 0) breathe();
  }
};

// Work for the threads of an OpenMP runtime: GCC's entry for a parallel region, which calls a function on each of its threads.
typedef void (*Region)(void (*)(void *), void *, unsigned, unsigned);
std::atomic<Region> region{nullptr};  // none in a forked child: an OpenMP runtime has no threads there and waits for them

// Never destroyed: its threads wait until the process ends. A forked child has none of them, so it gets a crew of its own.
std::atomic<Crew *> crew{nullptr};

// The crew, or NULL where there is no memory for one.
Crew *the_crew() {
  static std::once_flag once;
  std::call_once(once, [] {
    crew.store(new (std::nothrow) Crew);
    pthread_atfork(nullptr, nullptr, [] {
      crew.store(new (std::nothrow) Crew);
      region.store(nullptr);
    });
  });
  return crew.load();
}

// A call's work, for such threads.
struct Work {
  int64_t count;
  void (*body)(void *, int64_t, int);
  void *context;
  std::atomic<int64_t> next{0};
  std::atomic<int> workers{0};

  static void take(void *work) {
    Work &self = *static_cast<Work *>(work);
    const int worker = self.workers.fetch_add(1);
    for (int64_t index; (index = self.next.fetch_add(1)) < self.count;) self.body(self.context, index, worker);
  }
};

}  // namespace

void vd_share_with(void (*parallel)(void (*)(void *), void *, unsigned, unsigned)) {
  the_crew();  // and what a forked child does is settled
  region.store(parallel);
}

void vd_share(int threads, int64_t count, void (*body)(void *, int64_t, int), void *context) {
  const int wanted = static_cast<int>(std::min<int64_t>({threads, count, HELPERS - 1})) - 1;
  if (Region theirs = region.load(); theirs && wanted > 0) {
    Work work{count, body, context};
    theirs(Work::take, &work, static_cast<unsigned>(wanted + 1), 0);
    return;
  }
  if (wanted > 0) {
    Crew *here = the_crew();
    if (here && here->taken.try_lock()) {
      std::lock_guard<std::mutex> lock(here->taken, std::adopt_lock);
      here->count = count;
      here->body = body;
      here->context = context;
      here->run(wanted);
      return;
    }
  }
  for (int64_t index = 0; index < count; index++) body(context, index, 0);
}
