/* pool.h: a fork-join thread pool. It runs a function over a range and knows nothing else.
 *
 * bitnet_pool_run cuts [0, n) into slices that begin at multiples of `grain`; the caller and
 * whichever workers are awake take them one after another until none is left. The caller waits only
 * for slices that a worker has begun, never for a worker to turn up, so a core that is busy
 * elsewhere costs its share of the speed and no more. Workers spin for a short while between runs,
 * because decoding calls every few microseconds, and then sleep. One thread may call run at a time;
 * fn must not call run.
 */
#ifndef BITNET_POOL_H
#define BITNET_POOL_H

#include "base/base.h"

typedef struct bitnet_pool bitnet_pool;
/* `thread` is 0 for the caller of run and differs between threads that run at the same time. */
typedef void (*bitnet_pool_fn)(void *ctx, int32_t begin, int32_t end, int32_t thread);
/* Told of every slice (is_work) and of the time that a thread had none, on the thread itself, as soon as it is over:
 * a worker's wait when its next slice begins, the caller's when the run has ended. */
typedef void (*bitnet_pool_watch_fn)(void *ctx, int32_t thread, bool is_work, uint64_t begin_ns,
                                     uint64_t end_ns);

/* n_threads includes the caller. Falls back to fewer when the system gives fewer (see size). */
bitnet_status bitnet_pool_create(bitnet_pool **out, int32_t n_threads, const bitnet_allocator *a);
void bitnet_pool_free(bitnet_pool *p);
int32_t bitnet_pool_size(const bitnet_pool *p);
void bitnet_pool_run(bitnet_pool *p, bitnet_pool_fn fn, void *ctx, int32_t n, int32_t grain);
/* For whoever calls run, between runs; fn NULL: no longer. What runs on the caller alone is no fork-join and not
 * told. Off, it costs one branch a slice. */
void bitnet_pool_watch(bitnet_pool *p, bitnet_pool_watch_fn fn, void *ctx);

#endif
