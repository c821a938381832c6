/* os_posix.c: base/os.h for Linux and other POSIX systems. */
#define _GNU_SOURCE /* madvise, syscall */
#include "base/os.h"

#ifdef __linux__
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#ifdef __aarch64__
#include <asm/hwcap.h>
#endif
#endif
#include <sched.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "bitnet/backend.h"
#include "os_cores.h"

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

int32_t bitnet_os_n_cpu(void) {
    return bitnet_os_cores_here().n_threads;
}

/* Linux gives a process tile registers when it asks (Documentation/arch/x86/xstate.rst): all its
 * threads, those that already run too, and its forks. */
bool bitnet_os_allow_amx(void) {
#if defined(__linux__) && defined(__x86_64__)
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
    return false;
#endif
}

uint32_t bitnet_os_arm_features(void) {
    uint32_t flags = 0;
#if defined(__linux__) && defined(__aarch64__)
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) flags |= BITNET_CPU_DOTPROD;
    if (getauxval(AT_HWCAP2) & HWCAP2_I8MM) flags |= BITNET_CPU_I8MM;
#endif
    return flags;
}

void bitnet_os_advise_huge(void *p, size_t n) {
#ifdef __linux__
    madvise(p, n - n % BITNET_HUGE_PAGE, MADV_HUGEPAGE);
#else
    (void)p, (void)n;
#endif
}

uint64_t bitnet_os_rss(void) {
    unsigned long total = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f) return 0;
    if (fscanf(f, "%lu %lu", &total, &resident) != 2) resident = 0;
    fclose(f);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

void bitnet_os_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void bitnet_os_yield(void) {
    sched_yield();
}
