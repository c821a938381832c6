/* monitor_source.h (internal): what a source of monitor.c is, and how the ones that are files are read. */
#ifndef BITNET_MONITOR_SOURCE_H
#define BITNET_MONITOR_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"
#include "monitor.h"

/* The moment of a sample. */
typedef struct monitor_tick {
    bitnet_ring *ring;
    uint64_t now_ns;
    double seconds; /* since the sample before; 0 = this is the first */
} monitor_tick;

static inline void monitor_push(const monitor_tick *t, bitnet_metric metric, double value) {
    bitnet_ring_push(t->ring, t->now_ns, metric, value, 0, 0);
}

/* open and read fail for good, with a sentence. close follows an open that failed, too. */
typedef struct monitor_source {
    const char *name, *place;
    size_t size; /* of its state, which begins as zeros */
    bitnet_status (*open)(void *state, const monitor_desc *desc, bitnet_error *err);
    bitnet_status (*read)(void *state, const monitor_tick *tick, bitnet_error *err);
    void (*close)(void *state);
} monitor_source;

extern const monitor_source monitor_resident, monitor_peak, monitor_threads,
    monitor_usage;                                          /* _proc.c */
extern const monitor_source monitor_frequency;              /* _cpu.c */
extern const monitor_source monitor_packages, monitor_dram; /* _rapl.c */
extern const monitor_source monitor_gpu_memory, monitor_gpu_process, monitor_gpu_utilization,
    monitor_gpu_power, monitor_gpu_energy; /* _nvml.c */

/* A text file of /proc or /sys that is read again and again. {0} is closed. */
typedef struct monitor_file {
    bool is_open;
    int fd;
    char path[128]; /* without the root */
} monitor_file;

bitnet_status monitor_file_open(monitor_file *f, const char *root, bitnet_error *err,
                                const char *fmt, ...) BITNET_PRINTF(4, 5);
/* From its beginning, as much as fits, terminated. An empty file is a fault. */
bitnet_status monitor_file_read(const monitor_file *f, char *buf, size_t cap, bitnet_error *err);
void monitor_file_close(monitor_file *f);

/* Digits at *at, which moves behind them; false: there are none, or too many. Blanks before them are skipped. */
bool monitor_parse(const char **at, uint64_t *out);
/* A file that holds one number and a newline. */
bitnet_status monitor_file_number(const monitor_file *f, uint64_t *out, bitnet_error *err);
/* What the file holds is not what was expected there. */
bitnet_status monitor_file_garbled(const monitor_file *f, const char *expected, bitnet_error *err);

#endif
