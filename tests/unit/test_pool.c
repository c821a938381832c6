#define _POSIX_C_SOURCE 200809L /* nanosleep */
/* test_pool.c: every index once, whatever the sizes; workers that slept wake up; TSan sees it all.
 */
#include "load_file.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/os.h"
#include "base/pool.h"

#define N_MAX 3000

static atomic_int hits[N_MAX];

static void hit(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    int32_t grain = *(int32_t *)ctx;
    if (begin % grain)
        fail_msg("thread %d begins at %d, not a multiple of %d", thread, begin, grain);
    for (int32_t i = begin; i < end; i++)
        atomic_fetch_add(&hits[i], 1);
}

static void each_index_is_visited_once(void **state) {
    (void)state;
    static const int32_t threads[] = {1, 2, 3, 4, 5, 8, 33}; /* more than there are cores, too */
    for (size_t at = 0; at < sizeof threads / sizeof *threads; at++) {
        const int32_t n_threads = threads[at];
        bitnet_pool *p;
        assert_int_equal(bitnet_pool_create(&p, n_threads, NULL), BITNET_OK);
        assert_int_equal(bitnet_pool_size(p), n_threads);
        static const int32_t sizes[] = {0, 1, 2, 7, 16, 17, 100, N_MAX};
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (int32_t grain = 1; grain <= 16; grain *= 4) {
                memset(hits, 0, sizeof hits);
                bitnet_pool_run(p, hit, &grain, sizes[s], grain);
                for (int32_t i = 0; i < N_MAX; i++)
                    if (hits[i] != (i < sizes[s]))
                        fail_msg("%d threads, n %d, grain %d: index %d visited %d times", n_threads,
                                 sizes[s], grain, i, hits[i]);
            }
        bitnet_pool_free(p);
    }
}

/* Nobody leaves before three have come: a pool that leaves the work to fewer threads hangs here,
 * and the test's time limit says so. */
static void meet(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)begin, (void)end;
    atomic_int *seen = ctx;
    atomic_fetch_or(seen, 1 << thread);
    while (*seen != 7)
        bitnet_os_yield();
}

static void all_threads_take_part(void **state) {
    (void)state;
    bitnet_pool *p;
    assert_int_equal(bitnet_pool_create(&p, 3, NULL), BITNET_OK);
    for (int i = 0; i < 20; i++) {
        atomic_int seen = 0;
        bitnet_pool_run(p, meet, &seen, 3, 1);
        assert_int_equal(seen, 7);
    }
    bitnet_pool_free(p);
}

static void workers_wake_up_after_a_sleep(void **state) {
    (void)state;
    bitnet_pool *p;
    int32_t grain = 1;
    assert_int_equal(bitnet_pool_create(&p, 3, NULL), BITNET_OK);
    memset(hits, 0, sizeof hits);
    for (int i = 0; i < 20; i++) {
        struct timespec nap = {.tv_nsec = 3000000};
        nanosleep(&nap, NULL); /* far past the spin: the workers sleep on the condition */
        bitnet_pool_run(p, hit, &grain, 50, grain);
    }
    for (int32_t i = 0; i < 50; i++)
        assert_int_equal(hits[i], 20);
    bitnet_pool_free(p);
}

/* With more threads than cores whoever spins must let go: a short run takes microseconds, and
 * milliseconds at the worst, when a thread waits for its next turn. */
#define MOST_RUN_NS 50000000 /* on average; a hang would be the test's time limit */
static void more_threads_than_cores_do_not_stop_each_other(void **state) {
    (void)state;
    bitnet_pool *p;
    int32_t grain = 1;
    assert_int_equal(bitnet_pool_create(&p, 8, NULL), BITNET_OK);
    memset(hits, 0, sizeof hits);
    const uint64_t start = bitnet_os_now_ns();
    for (int i = 0; i < 300; i++)
        bitnet_pool_run(p, hit, &grain, 64, grain);
    const uint64_t mean = (bitnet_os_now_ns() - start) / 300;
    if (mean > MOST_RUN_NS) fail_msg("a run took %llu ns", (unsigned long long)mean);
    for (int32_t i = 0; i < 64; i++)
        assert_int_equal(hits[i], 300);
    bitnet_pool_free(p);
}

static void a_pool_may_be_freed_without_a_run_and_many_times(void **state) {
    (void)state;
    for (int i = 0; i < 200; i++) {
        bitnet_pool *p;
        assert_int_equal(bitnet_pool_create(&p, 4, NULL), BITNET_OK);
        bitnet_pool_free(p);
    }
    bitnet_pool_free(NULL);
}

#define WATCHED_THREADS 3
typedef struct watched {
    uint64_t work_ns[WATCHED_THREADS], wait_ns[WATCHED_THREADS], end_ns[WATCHED_THREADS];
    int n_work[WATCHED_THREADS];
    bool is_out_of_order[WATCHED_THREADS];
} watched;

static void note(void *ctx, int32_t thread, bool is_work, uint64_t begin_ns, uint64_t end_ns) {
    watched *w = ctx;
    w->is_out_of_order[thread] |= begin_ns < w->end_ns[thread] || end_ns < begin_ns;
    w->end_ns[thread] = end_ns;
    (is_work ? w->work_ns : w->wait_ns)[thread] += end_ns - begin_ns;
    w->n_work[thread] += is_work;
}

static void who_watches_is_told_of_every_slice_and_wait(void **state) {
    (void)state;
    bitnet_pool *p;
    static watched w;
    assert_int_equal(bitnet_pool_create(&p, WATCHED_THREADS, NULL), BITNET_OK);
    bitnet_pool_watch(p, note, &w);
    for (int i = 0; i < 20; i++) {
        atomic_int seen = 0;
        bitnet_pool_run(p, meet, &seen, 3, 1); /* one slice for each thread */
    }
    for (int t = 0; t < WATCHED_THREADS; t++)
        if (w.n_work[t] != 20 || w.wait_ns[t] == 0 || w.work_ns[t] == 0)
            fail_msg("thread %d: %d slices of 20, %llu ns of work and %llu of waiting", t,
                     w.n_work[t], (unsigned long long)w.work_ns[t],
                     (unsigned long long)w.wait_ns[t]);
    for (int t = 0; t < WATCHED_THREADS; t++)
        assert_false(w.is_out_of_order[t]);
    bitnet_pool_watch(p, NULL, NULL);
    atomic_int seen = 0;
    bitnet_pool_run(p, meet, &seen, 3, 1);
    assert_int_equal(w.n_work[1], 20); /* nobody watches any more */
    bitnet_pool_free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_index_is_visited_once),
        cmocka_unit_test(all_threads_take_part),
        cmocka_unit_test(workers_wake_up_after_a_sleep),
        cmocka_unit_test(more_threads_than_cores_do_not_stop_each_other),
        cmocka_unit_test(who_watches_is_told_of_every_slice_and_wait),
        cmocka_unit_test(a_pool_may_be_freed_without_a_run_and_many_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
