/* monitor_proc.c: what the kernel says about this process.
 *
 *   memory       /proc/self/statm, the second number, in pages
 *   memory_peak  /proc/self/status, VmHWM; getrusage's ru_maxrss would remember the program that executed this one
 *   threads      /proc/self/stat, the 20th field
 *   the rest     getrusage, which adds up all threads; /proc/self/status has the switches of the first one only
 *
 * Resident memory is watched for leaks here, where it is sampled.
 */
#define _GNU_SOURCE /* getrusage */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bitnet/leak.h"
#include "monitor_source.h"

/* ---- resident memory -------------------------------------------------------------------------- */

typedef struct resident {
    monitor_file file;
    bitnet_leak leak;
} resident;

static bitnet_status open_resident(void *state, const monitor_desc *desc, bitnet_error *err) {
    return monitor_file_open(&((resident *)state)->file, desc->root, err, "/proc/self/statm");
}

static bitnet_status read_resident(void *state, const monitor_tick *tick, bitnet_error *err) {
    resident *r = state;
    char text[256];
    uint64_t total, pages, bytes;
    bitnet_status st = monitor_file_read(&r->file, text, sizeof text, err);
    if (st < 0) return st;
    const char *at = text;
    bool is_whole = monitor_parse(&at, &total) && monitor_parse(&at, &pages) && strchr(at, '\n');
    if (!is_whole || pages == 0 || ck_mul(pages, (uint64_t)sysconf(_SC_PAGESIZE), &bytes))
        return monitor_file_garbled(&r->file, "a line of page counts", err);
    monitor_push(tick, BITNET_METRIC_MEMORY, (double)bytes);
    bitnet_leak_record(&r->leak, tick->ring, tick->now_ns, (double)bytes);
    return BITNET_OK;
}

static void close_resident(void *state) {
    monitor_file_close(&((resident *)state)->file);
}

const monitor_source monitor_resident = {"resident memory", "/proc/self/statm", sizeof(resident),
                                         open_resident,     read_resident,      close_resident};

/* ---- sources of one file ---------------------------------------------------------------------- */

static void close_file(void *state) {
    monitor_file_close(state);
}

static bitnet_status open_status(void *state, const monitor_desc *desc, bitnet_error *err) {
    return monitor_file_open(state, desc->root, err, "/proc/self/status");
}

static bitnet_status read_peak(void *state, const monitor_tick *tick, bitnet_error *err) {
    char text[4096];
    uint64_t kib = 0;
    bitnet_status st = monitor_file_read(state, text, sizeof text, err);
    if (st < 0) return st;
    const char *at = strstr(text, "\nVmHWM:");
    if (at) at += strlen("\nVmHWM:");
    if (!at || !monitor_parse(&at, &kib) || kib == 0 || strncmp(at, " kB\n", 4) != 0)
        return monitor_file_garbled(state, "VmHWM in kB", err);
    monitor_push(tick, BITNET_METRIC_MEMORY_PEAK, (double)kib * 1024);
    return BITNET_OK;
}

const monitor_source monitor_peak = {"peak memory", "/proc/self/status", sizeof(monitor_file),
                                     open_status,   read_peak,           close_file};

static bitnet_status open_stat(void *state, const monitor_desc *desc, bitnet_error *err) {
    return monitor_file_open(state, desc->root, err, "/proc/self/stat");
}

/* "pid (name) state ppid ...": a name may hold spaces and brackets, what follows the last one cannot. */
static bitnet_status read_threads(void *state, const monitor_tick *tick, bitnet_error *err) {
    char text[1024];
    uint64_t n = 0;
    bitnet_status st = monitor_file_read(state, text, sizeof text, err);
    if (st < 0) return st;
    const char *at = strrchr(text, ')');
    for (int field = 2; at && field < 20; field++)
        at = strchr(at + 1, ' ');
    if (!at || !monitor_parse(&at, &n) || n == 0 || *at != ' ')
        return monitor_file_garbled(state, "a number of threads in its 20th field", err);
    monitor_push(tick, BITNET_METRIC_THREADS, (double)n);
    return BITNET_OK;
}

const monitor_source monitor_threads = {"threads", "/proc/self/stat", sizeof(monitor_file),
                                        open_stat, read_threads,      close_file};

/* ---- time on cores, switches, faults ---------------------------------------------------------- */

static bitnet_status open_usage(void *state, const monitor_desc *desc, bitnet_error *err) {
    (void)state, (void)desc, (void)err;
    return BITNET_OK;
}

static double seconds_of(const struct rusage *u) {
    return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
           (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) * 1e-6;
}

static bitnet_status read_usage(void *state, const monitor_tick *tick, bitnet_error *err) {
    struct rusage *before = state, now;
    if (getrusage(RUSAGE_SELF, &now) != 0)
        return bitnet_fail(err, BITNET_E_IO, "monitor.read", "getrusage failed: %s",
                           strerror(errno));
    if (tick->seconds > 0) {
        const struct {
            bitnet_metric metric;
            long before, now;
        } counters[] = {
            {BITNET_METRIC_SWITCHES_VOLUNTARY, before->ru_nvcsw, now.ru_nvcsw},
            {BITNET_METRIC_SWITCHES_INVOLUNTARY, before->ru_nivcsw, now.ru_nivcsw},
            {BITNET_METRIC_FAULTS_MINOR, before->ru_minflt, now.ru_minflt},
            {BITNET_METRIC_FAULTS_MAJOR, before->ru_majflt, now.ru_majflt},
        };
        monitor_push(tick, BITNET_METRIC_CPU_UTILIZATION,
                     (seconds_of(&now) - seconds_of(before)) / tick->seconds);
        for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
            monitor_push(tick, counters[i].metric, (double)(counters[i].now - counters[i].before));
    }
    *before = now;
    return BITNET_OK;
}

static void close_usage(void *state) {
    (void)state;
}

const monitor_source monitor_usage = {"CPU time, switches, faults",
                                      "getrusage",
                                      sizeof(struct rusage),
                                      open_usage,
                                      read_usage,
                                      close_usage};
