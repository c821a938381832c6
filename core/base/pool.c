/* pool.c: see pool.h.
 *
 * One atomic word, the ticket, is the whole protocol: generation of the run, number of its slices,
 * next slice to take. Taking one is a compare-and-swap on that word, so a worker that comes late,
 * with a ticket of an earlier run in hand, takes nothing. Whoever holds a slice keeps the run from
 * ending, and a worker holds all that it took until it finds none left; so fn, ctx and n may be read
 * after a slice is taken and are not written before all are done; the same holds for watch. The lock
 * and the condition serve only workers that went to sleep.
 */
#include "base/pool.h"

#include <stdatomic.h>

#include "base/os.h"

#define MAX_THREADS 1024
/* Three quarters of a thread's share are one slice, the last quarter is for whoever is done first: smaller
 * slices balance no better at the end and cost an atomic operation each (docs/speed.md). */
#define BIG_SLICE  3
#define SPIN_STEPS 4000 /* about 50-100 us of pauses: longer than the gap between two matmuls */
#define LINE       64   /* bytes of a cache line */

typedef struct worker {
    bitnet_pool *pool;
    bitnet_os_thread thread;
    int32_t index;
} worker;

typedef struct watcher {
    bitnet_pool_watch_fn fn;
    void *ctx;
} watcher;

struct bitnet_pool {
    int32_t n_threads;
    bitnet_allocator allocator;
    size_t size;

    char line_1
        [LINE]; /* what the caller writes, what workers write, what is seldom written: apart */
    bitnet_pool_fn fn; /* the run now going on */
    void *ctx;
    int32_t n, grain;
    int32_t big;             /* units in each of the first n_threads slices; in the others one */
    watcher watch;           /* fn is NULL while nobody watches */
    _Atomic uint64_t ticket; /* generation << 32 | slices << 16 | next */
    atomic_bool is_stopping;

    char line_2[LINE];
    atomic_uint n_done; /* slices of this run that workers have done */
    char line_3[LINE];
    atomic_int n_asleep;

    bitnet_os_mutex lock; /* guards the sleep of workers and nothing else */
    bitnet_os_cond wake;
    worker workers[]; /* n_threads - 1 */
};

static uint32_t slices_of(uint64_t ticket) {
    return (uint32_t)(ticket >> 16) & 0xffff;
}
static uint32_t next_of(uint64_t ticket) {
    return (uint32_t)ticket & 0xffff;
}
static bool has_slice(uint64_t ticket) {
    return next_of(ticket) < slices_of(ticket);
}

/* Where slice i begins, in units. */
static int64_t unit_of(const bitnet_pool *p, int64_t i) {
    return i < p->n_threads ? i * p->big : i + (int64_t)p->n_threads * (p->big - 1);
}

static void call_fn(const bitnet_pool *p, uint64_t ticket, int32_t thread) {
    const int64_t n_grains = (p->n - 1) / p->grain + 1, n_units = unit_of(p, slices_of(ticket)),
                  i = next_of(ticket);
    const int64_t begin = n_grains * unit_of(p, i) / n_units * p->grain,
                  end = n_grains * unit_of(p, i + 1) / n_units * p->grain;
    p->fn(p->ctx, (int32_t)begin, end < p->n ? (int32_t)end : p->n, thread);
}

/* A slice that is watched; when it was done. free_ns: the thread had none since then, 0 = it is told already. */
static uint64_t watch_slice(const bitnet_pool *p, uint64_t ticket, int32_t thread,
                            uint64_t free_ns) {
    const watcher w = p->watch;
    const uint64_t begin = bitnet_os_now_ns();
    if (free_ns > 0) w.fn(w.ctx, thread, false, free_ns, begin);
    call_fn(p, ticket, thread);
    const uint64_t end = bitnet_os_now_ns();
    w.fn(w.ctx, thread, true, begin, end);
    return end;
}

static uint64_t run_slice(const bitnet_pool *p, uint64_t ticket, int32_t thread, uint64_t free_ns) {
    if (p->watch.fn) return watch_slice(p, ticket, thread, free_ns);
    call_fn(p, ticket, thread);
    return 0;
}

/* Takes slices until none is left; how many it were. *free_ns is when the thread had its last one done, 0 = nobody
 * watched. */
static uint32_t take_slices(bitnet_pool *p, int32_t thread, uint64_t *free_ns) {
    uint32_t n = 0;
    uint64_t t = atomic_load_explicit(&p->ticket, memory_order_acquire);
    while (has_slice(t)) {
        if (!atomic_compare_exchange_weak_explicit(&p->ticket, &t, t + 1, memory_order_acquire,
                                                   memory_order_acquire))
            continue;
        *free_ns = run_slice(p, t, thread, n == 0 ? *free_ns : 0);
        n++;
        t = atomic_load_explicit(&p->ticket, memory_order_acquire);
    }
    return n;
}

/* Returns when there is a slice to take or the pool stops. */
static void wait_for_run(bitnet_pool *p) {
    for (int i = 0; i < SPIN_STEPS; i++) {
        if (has_slice(atomic_load(&p->ticket)) || atomic_load(&p->is_stopping)) return;
        bitnet_os_pause();
    }
    bitnet_os_mutex_lock(&p->lock);
    atomic_fetch_add(&p->n_asleep, 1);
    while (!has_slice(atomic_load(&p->ticket)) && !atomic_load(&p->is_stopping))
        bitnet_os_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->n_asleep, 1);
    bitnet_os_mutex_unlock(&p->lock);
}

static void worker_main(void *arg) {
    worker *w = arg;
    uint64_t free_ns = 0;
    while (!atomic_load(&w->pool->is_stopping)) {
        uint32_t n = take_slices(w->pool, w->index, &free_ns);
        if (n > 0) atomic_fetch_add_explicit(&w->pool->n_done, n, memory_order_release);
        wait_for_run(w->pool);
    }
}

/* Called after the ticket or is_stopping was written. A sleeper counts itself before it looks at
 * them a last time, and all of this is sequentially consistent: one of the two sees the other. */
static void wake_sleepers(bitnet_pool *p) {
    if (atomic_load(&p->n_asleep) == 0) return;
    bitnet_os_mutex_lock(&p->lock);
    bitnet_os_cond_broadcast(&p->wake);
    bitnet_os_mutex_unlock(&p->lock);
}

bitnet_status bitnet_pool_create(bitnet_pool **out, int32_t n_threads, const bitnet_allocator *a) {
    if (n_threads < 1) n_threads = 1;
    if (n_threads > MAX_THREADS) n_threads = MAX_THREADS;
    size_t size = sizeof(bitnet_pool) + (size_t)n_threads * sizeof(worker);
    bitnet_pool *p = bitnet_alloc(a, size);
    *out = NULL;
    if (!p) return BITNET_E_NOMEM;
    p->size = size;
    if (a) p->allocator = *a;
    if (bitnet_os_mutex_init(&p->lock) < 0) {
        bitnet_free(a, p, size);
        return BITNET_E_NOMEM;
    }
    if (bitnet_os_cond_init(&p->wake) < 0) {
        bitnet_os_mutex_destroy(&p->lock);
        bitnet_free(a, p, size);
        return BITNET_E_NOMEM;
    }
    p->n_threads = 1;
    for (int32_t i = 1; i < n_threads; i++) {
        worker *w = &p->workers[i - 1];
        w->pool = p, w->index = i;
        if (bitnet_os_thread_start(&w->thread, worker_main, w) < 0) break;
        p->n_threads++;
    }
    *out = p;
    return BITNET_OK;
}

void bitnet_pool_free(bitnet_pool *p) {
    if (!p) return;
    atomic_store(&p->is_stopping, true);
    wake_sleepers(p);
    for (int32_t i = 1; i < p->n_threads; i++)
        bitnet_os_thread_join(&p->workers[i - 1].thread);
    bitnet_os_cond_destroy(&p->wake);
    bitnet_os_mutex_destroy(&p->lock);
    bitnet_allocator a = p->allocator;
    bitnet_free(&a, p, p->size);
}

int32_t bitnet_pool_size(const bitnet_pool *p) {
    return p->n_threads;
}

void bitnet_pool_run(bitnet_pool *p, bitnet_pool_fn fn, void *ctx, int32_t n, int32_t grain) {
    if (n <= 0) return;
    if (p->n_threads == 1 || n <= grain) {
        fn(ctx, 0, n, 0);
        return;
    }
    uint32_t n_grains = (uint32_t)(n - 1) / (uint32_t)grain + 1, n_threads = (uint32_t)p->n_threads,
             n_slices = n_threads * 2; /* a big one and a small one each */
    p->big = BIG_SLICE;
    if (n_grains < n_threads * (BIG_SLICE + 1)) { /* too few to be cut so: one each */
        p->big = 1;
        n_slices = n_grains;
    }
    p->fn = fn, p->ctx = ctx, p->n = n, p->grain = grain;
    atomic_store_explicit(&p->n_done, 0, memory_order_relaxed);
    uint64_t generation = (atomic_load_explicit(&p->ticket, memory_order_relaxed) >> 32) + 1;
    atomic_store(&p->ticket, generation << 32 | (uint64_t)n_slices << 16);
    wake_sleepers(p);
    uint64_t free_ns = 0;
    const uint32_t n_others = n_slices - take_slices(p, 0, &free_ns);
    /* past the spin the slice's thread has lost its core: give it this one */
    for (int i = 0; atomic_load_explicit(&p->n_done, memory_order_acquire) < n_others; i++)
        i < SPIN_STEPS ? bitnet_os_pause() : bitnet_os_yield();
    if (free_ns > 0) p->watch.fn(p->watch.ctx, 0, false, free_ns, bitnet_os_now_ns());
}

void bitnet_pool_watch(bitnet_pool *p, bitnet_pool_watch_fn fn, void *ctx) {
    p->watch = (watcher){fn, ctx};
}
