/* os_posix.c: base/os.h for Linux and other POSIX systems. */
#define _GNU_SOURCE /* sched_getaffinity, pthread extensions */
#include "base/os.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(bitnet_os_mutex), "os.h reserves too little");
_Static_assert(sizeof(pthread_cond_t) <= sizeof(bitnet_os_cond), "os.h reserves too little");
_Static_assert(sizeof(pthread_t) <= sizeof(uintptr_t), "a thread handle is one word");

static uint64_t clock_ns(clockid_t id) {
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t bitnet_os_now_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}
uint64_t bitnet_os_wall_ms(void) {
    return clock_ns(CLOCK_REALTIME) / 1000000u;
}

/* A container's CPU share (cgroup v2, then v1), rounded up; 0 = no limit. Threads beyond it only
 * take turns. */
static int32_t cgroup_quota(void) {
    long quota = 0, period = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (f) {
        if (fscanf(f, "%ld %ld", &quota, &period) != 2) quota = 0;
        fclose(f);
    } else {
        f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re");
        if (f && fscanf(f, "%ld", &quota) != 1) quota = 0;
        if (f) fclose(f);
        f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re");
        if (f && fscanf(f, "%ld", &period) != 1) period = 0;
        if (f) fclose(f);
    }
    return quota > 0 && period > 0 ? (int32_t)((quota + period - 1) / period) : 0;
}

int32_t bitnet_os_n_cpu(void) {
    int32_t n = (int32_t)sysconf(_SC_NPROCESSORS_ONLN);
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) n = CPU_COUNT(&set);
#endif
    int32_t quota = cgroup_quota();
    if (quota > 0 && quota < n) n = quota;
    return n < 1 ? 1 : n;
}

uint64_t bitnet_os_rss(void) {
    unsigned long total = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f) return 0;
    if (fscanf(f, "%lu %lu", &total, &resident) != 2) resident = 0;
    fclose(f);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

typedef struct start_arg {
    void (*fn)(void *);
    void *arg;
} start_arg;

static void *thread_main(void *p) {
    start_arg s = *(start_arg *)p;
    free(p);
    s.fn(s.arg);
    return NULL;
}

bitnet_status bitnet_os_thread_start(bitnet_os_thread *t, void (*fn)(void *arg), void *arg) {
    start_arg *s = malloc(sizeof *s);
    if (!s) return BITNET_E_NOMEM;
    *s = (start_arg){fn, arg};
    pthread_t id;
    if (pthread_create(&id, NULL, thread_main, s) != 0) {
        free(s);
        return BITNET_E_NOMEM;
    }
    t->handle = (uintptr_t)id;
    return BITNET_OK;
}

void bitnet_os_thread_join(bitnet_os_thread *t) {
    pthread_join((pthread_t)t->handle, NULL);
}

void bitnet_os_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static pthread_mutex_t *mutex_of(bitnet_os_mutex *m) {
    return (pthread_mutex_t *)(void *)m->opaque;
}
static pthread_cond_t *cond_of(bitnet_os_cond *c) {
    return (pthread_cond_t *)(void *)c->opaque;
}

void bitnet_os_yield(void) {
    sched_yield();
}

bitnet_status bitnet_os_mutex_init(bitnet_os_mutex *m) {
    return pthread_mutex_init(mutex_of(m), NULL) == 0 ? BITNET_OK : BITNET_E_NOMEM;
}
void bitnet_os_mutex_destroy(bitnet_os_mutex *m) {
    pthread_mutex_destroy(mutex_of(m));
}
void bitnet_os_mutex_lock(bitnet_os_mutex *m) {
    pthread_mutex_lock(mutex_of(m));
}
void bitnet_os_mutex_unlock(bitnet_os_mutex *m) {
    pthread_mutex_unlock(mutex_of(m));
}

bitnet_status bitnet_os_cond_init(bitnet_os_cond *c) {
    return pthread_cond_init(cond_of(c), NULL) == 0 ? BITNET_OK : BITNET_E_NOMEM;
}
void bitnet_os_cond_destroy(bitnet_os_cond *c) {
    pthread_cond_destroy(cond_of(c));
}
void bitnet_os_cond_wait(bitnet_os_cond *c, bitnet_os_mutex *m) {
    pthread_cond_wait(cond_of(c), mutex_of(m));
}
void bitnet_os_cond_broadcast(bitnet_os_cond *c) {
    pthread_cond_broadcast(cond_of(c));
}
