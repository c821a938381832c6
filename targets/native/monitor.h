/* monitor.h: what the process and its machine use, sampled once a second from wherever it can be read.
 *
 * Each source stands alone: one that cannot be opened or read is left out from then on, with the reason
 * kept, and the others go on. docs/monitor.md lists them and what each needs. Sampling allocates nothing.
 * One thread at a time.
 */
#ifndef BITNET_MONITOR_H
#define BITNET_MONITOR_H

#include "bitnet/tracker.h"

typedef struct monitor monitor;

/* {0} is valid: this machine. */
typedef struct monitor_desc {
    const char *root; /* stands before /proc and /sys; NULL = nothing */
    const char *nvml; /* the library; NULL = libnvidia-ml.so.1 */
} monitor_desc;

/* Opens what can be opened; the driver of a GPU that nobody uses may take a second for it. E_NOMEM. */
bitnet_status monitor_open(monitor **out, const monitor_desc *desc);
/* Pushes a record per metric. What is counted or divided by time begins with the second sample. NULL
 * m does nothing, and neither does a now_ns that is not later than the one before. */
void monitor_sample(monitor *m, bitnet_ring *ring, uint64_t now_ns);
void monitor_close(monitor *m); /* NULL is fine */

/* The sources, i from 0 on; NULL past the last. */
const char *monitor_name(const monitor *m, int32_t i);  /* "resident memory" */
const char *monitor_place(const monitor *m, int32_t i); /* "/proc/self/statm" */
/* Why it was left out, in one sentence; NULL while it can be read. */
const char *monitor_why(const monitor *m, int32_t i);

#endif
