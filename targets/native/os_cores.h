/* os_cores.h: how many threads pay on this machine. Rows of a product are shared out between threads that
 * wait for each other some hundred times a token, so a core that is half as fast or busy elsewhere costs
 * more than it brings.
 */
#ifndef BITNET_OS_CORES_H
#define BITNET_OS_CORES_H

#include <stdbool.h>
#include <stdint.h>

#define OS_CPUS_MAX 8192 /* the kernel's own limit (NR_CPUS) */

typedef struct bitnet_os_cpu_set {
    uint64_t word[OS_CPUS_MAX / 64];
} bitnet_os_cpu_set;

void bitnet_os_cpu_set_add(bitnet_os_cpu_set *s,
                           int32_t cpu); /* outside 0 .. OS_CPUS_MAX - 1: no effect */
bool bitnet_os_cpu_set_has(const bitnet_os_cpu_set *s, int32_t cpu);

typedef struct bitnet_os_cores {
    int32_t n_usable;   /* logical CPUs the process may run on */
    int32_t n_physical; /* cores these are, siblings (SMT) counted once */
    int32_t n_fast;     /* performance cores of those */
    int32_t quota;      /* CPUs its cgroups allow, rounded up; 0 = no limit */
    int32_t n_threads;  /* the least of n_fast and quota, at least 1 */
} bitnet_os_cores;

/* Reads /sys and /proc below `root`, "" for the system's own. What is missing there limits nothing:
 * every CPU is then a fast core of its own. */
bitnet_os_cores bitnet_os_cores_read(const char *root, const bitnet_os_cpu_set *usable);
/* This process. */
bitnet_os_cores bitnet_os_cores_here(void);
/* Why so many, in a few words: "one per performance core". */
const char *bitnet_os_cores_why(const bitnet_os_cores *c);

#define OS_CPU_NAME_MAX 128
/* The CPU's name as the system has it; "unknown" where it has none, as on ARM. Returns out. */
const char *bitnet_os_cpu_name(char out[OS_CPU_NAME_MAX]);

#endif
