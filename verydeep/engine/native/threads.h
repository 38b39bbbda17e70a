// The threads that share a call's work.
#ifndef VERYDEEP_THREADS_H
#define VERYDEEP_THREADS_H

#include <cstdint>

// Calls body(context, index, worker) for every index below `count`, on up to `threads` threads; worker < threads says
// which of them. Returns when all are done. A call from several threads at once, or from a forked child, is safe: whoever
// finds the threads taken does its work alone.
void vd_share(int threads, int64_t count, void (*body)(void *, int64_t, int), void *context);

template <class Body> void share(int threads, int64_t count, const Body &body) {
  vd_share(
      threads, count,
      [](void *context, int64_t index, int worker) { (*static_cast<const Body *>(context))(index, worker); },
      const_cast<Body *>(&body));
}

#endif
