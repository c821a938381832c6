#define _GNU_SOURCE /* mkdtemp, nftw, MAP_ANONYMOUS */
/* test_monitor_here.c: what the monitor says about this process, beside what this process does. */
#include "monitor_fixture.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#define BLOCK (64u << 20)
#define MEMORY_TOLERANCE                                                                           \
    0.20 /* of the block: the kernel counts pages per CPU and adds them up now and then */
#define CPU_TOLERANCE                                                                              \
    0.05 /* cores: the two clocks are read one after the other, and interrupts count */
#define BUSY_S       0.3
#define N_SLEEPS     20
#define N_THREADS    3
#define MAX_SAMPLE_S 1e-3 /* the best of a hundred: a thousandth of a core at one sample a second */

/* The thread sanitizer keeps memory of its own for each byte that is touched, and a thread or two. */
#ifdef __SANITIZE_THREAD__
#define NOT_UNDER_TSAN()                                                                           \
    do {                                                                                           \
        print_message("skipped: the thread sanitizer adds memory and threads of its own\n");       \
        skip();                                                                                    \
    } while (0)
#else
#define NOT_UNDER_TSAN() ((void)0)
#endif

static bool is_rusage_failing;
int __real_getrusage(int who, struct rusage *u);
int __wrap_getrusage(int who, struct rusage *u);
int __wrap_getrusage(int who, struct rusage *u) {
    return is_rusage_failing ? -1 : __real_getrusage(who, u);
}

static double clock_s(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A sample at the real time. */
static void sample_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    now_ns = (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
    monitor_sample(m, ring, now_ns);
    bitnet_tracker_pump(tracker, now_ns);
}

static double measured(bitnet_metric metric) {
    if (last.metric[metric].n != 1)
        fail_msg("%s was not measured", bitnet_metric_get_info(metric)->wire);
    return last.metric[metric].last;
}

static void a_block_that_is_touched_is_resident_and_faulted_in(void **state) {
    (void)state;
    NOT_UNDER_TSAN();
    open_monitor(NULL, NOTHING);
    sample_now();
    double before = measured(BITNET_METRIC_MEMORY);
    char *block = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(block != MAP_FAILED);
    madvise(block, BLOCK, MADV_NOHUGEPAGE);
    memset(block, 1, BLOCK);
    sample_now();
    double grown = measured(BITNET_METRIC_MEMORY) - before,
           peak = measured(BITNET_METRIC_MEMORY_PEAK);
    double faults = measured(BITNET_METRIC_FAULTS_MINOR),
           pages = BLOCK / (double)sysconf(_SC_PAGESIZE);
    munmap(block, BLOCK);
    print_message("64 MiB touched: %.1f MiB resident, %.0f faults, %.0f pages\n", grown / (1 << 20),
                  faults, pages);
    if (fabs(grown / BLOCK - 1) > MEMORY_TOLERANCE)
        fail_msg("memory grew by %g, the block has %u", grown, BLOCK);
    if (faults < 0.9 * pages || faults > 2 * pages)
        fail_msg("%g faults on %g pages", faults, pages);
    sample_now();
    double after = measured(BITNET_METRIC_MEMORY), still = measured(BITNET_METRIC_MEMORY_PEAK);
    if (after > before + MEMORY_TOLERANCE * BLOCK)
        fail_msg("memory is %g, it was %g", after, before);
    if (still < peak - MEMORY_TOLERANCE * BLOCK || peak < before + (1 - MEMORY_TOLERANCE) * BLOCK)
        fail_msg("the peak is %g then %g, memory was %g before the block", peak, still, before);
}

static void a_busy_loop_takes_what_the_clock_of_the_process_says(void **state) {
    (void)state;
    open_monitor(NULL, NOTHING);
    sample_now();
    double wall = clock_s(CLOCK_MONOTONIC), cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID);
    while (clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu < BUSY_S) {
    }
    sample_now();
    double busy = measured(BITNET_METRIC_CPU_UTILIZATION);
    /* 1 on a machine that has a core to spare */
    double want = (clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (clock_s(CLOCK_MONOTONIC) - wall);
    print_message("a busy loop: %.3f cores, the process's clock says %.3f\n", busy, want);
    if (fabs(busy - want) > CPU_TOLERANCE) fail_msg("%g cores, expected %g", busy, want);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    sample_now();
    busy = measured(BITNET_METRIC_CPU_UTILIZATION);
    if (busy > CPU_TOLERANCE) fail_msg("%g cores while asleep", busy);
}

static void a_thread_that_sleeps_gives_up_its_core(void **state) {
    (void)state;
    open_monitor(NULL, NOTHING);
    sample_now();
    for (int i = 0; i < N_SLEEPS; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    sample_now();
    double n = measured(BITNET_METRIC_SWITCHES_VOLUNTARY);
    if (n < N_SLEEPS || n > 10 * N_SLEEPS) fail_msg("%g switches in %d sleeps", n, N_SLEEPS);
    assert_true(measured(BITNET_METRIC_SWITCHES_INVOLUNTARY) >= 0);
    assert_true(measured(BITNET_METRIC_FAULTS_MAJOR) >= 0);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static void *wait_at_gate(void *arg) {
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return arg;
}

static void threads_are_counted(void **state) {
    (void)state;
    NOT_UNDER_TSAN();
    pthread_t id[N_THREADS];
    open_monitor(NULL, NOTHING);
    sample_now();
    double before = measured(BITNET_METRIC_THREADS);
    pthread_mutex_lock(&gate);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&id[i], NULL, wait_at_gate, NULL), 0);
    sample_now();
    double during = measured(BITNET_METRIC_THREADS);
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(id[i], NULL);
    if (during != before + N_THREADS) fail_msg("%g threads, then %g", before, during);
}

static void a_sample_costs_little(void **state) {
    (void)state;
    open_monitor(NULL, NULL);
    double best = 1, sum = 0;
    for (int i = 0; i < 100; i++) {
        double start = clock_s(CLOCK_MONOTONIC);
        monitor_sample(m, ring, now_ns += SECOND);
        double took = clock_s(CLOCK_MONOTONIC) - start;
        sum += took;
        if (took < best) best = took;
    }
    print_message("a sample takes %.1f us, %.1f us at best\n", sum * 1e4, best * 1e6);
    if (best > MAX_SAMPLE_S) fail_msg("a sample takes %g s, allowed %g", best, MAX_SAMPLE_S);
}

static void a_system_that_stops_telling_takes_one_source(void **state) {
    (void)state;
    open_monitor(NULL, NOTHING);
    sample_now();
    is_rusage_failing = true;
    sample_now();
    is_rusage_failing = false;
    expect_why("CPU time, switches, faults", "getrusage failed");
    expect_absent(BITNET_METRIC_CPU_UTILIZATION);
    sample_now();
    expect_absent(BITNET_METRIC_CPU_UTILIZATION);
    assert_true(measured(BITNET_METRIC_MEMORY) > 0 && measured(BITNET_METRIC_THREADS) >= 1);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        TEST(a_block_that_is_touched_is_resident_and_faulted_in),
        TEST(a_busy_loop_takes_what_the_clock_of_the_process_says),
        TEST(a_thread_that_sleeps_gives_up_its_core),
        TEST(threads_are_counted),
        TEST(a_sample_costs_little),
        TEST(a_system_that_stops_telling_takes_one_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
