/* monitor_cpu.c: how fast the machine's CPUs run at the moment: cpufreq's files, where the kernel has a driver for it;
 * else "cpu MHz" of /proc/cpuinfo, which is measured where the CPU counts cycles (the flag aperfmperf) and a constant
 * elsewhere, in virtual machines above all.
 */
#include <string.h>

#include "monitor_source.h"

#define MAX_CPUS 16 /* each is a file to read */
#define MHZ      "\ncpu MHz"

typedef struct frequency {
    monitor_file cpu[MAX_CPUS];
    int32_t n_cpus;
    monitor_file cpuinfo; /* open when there is no cpufreq */
    char text[32 << 10];  /* some ten CPUs; what is cut off is left out */
} frequency;

static bitnet_status open_frequency(void *state, const monitor_desc *desc, bitnet_error *err) {
    frequency *f = state;
    bitnet_error missing = {0};
    while (f->n_cpus < MAX_CPUS &&
           monitor_file_open(&f->cpu[f->n_cpus], desc->root, &missing,
                             "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq",
                             f->n_cpus) == BITNET_OK)
        f->n_cpus++;
    if (f->n_cpus > 0) return BITNET_OK;
    bitnet_status st = monitor_file_open(&f->cpuinfo, desc->root, err, "/proc/cpuinfo");
    if (st >= 0) st = monitor_file_read(&f->cpuinfo, f->text, sizeof f->text, err);
    if (st >= 0 && !strstr(f->text, " aperfmperf"))
        st = bitnet_fail(err, BITNET_E_UNSUPPORTED, "monitor.frequency",
                         "%s; /proc/cpuinfo has the nominal frequency only (no aperfmperf)",
                         missing.text);
    return st;
}

static bitnet_status read_cpufreq(frequency *f, double *sum, bitnet_error *err) {
    for (int32_t i = 0; i < f->n_cpus; i++) {
        uint64_t khz;
        bitnet_status st = monitor_file_number(&f->cpu[i], &khz, err);
        if (st < 0) return st;
        *sum += (double)khz * 1e3;
    }
    return BITNET_OK;
}

/* Lines "cpu MHz\t\t: 2596.120". The last one may be cut off. */
static bitnet_status read_cpuinfo(frequency *f, double *sum, int32_t *n, bitnet_error *err) {
    bitnet_status st = monitor_file_read(&f->cpuinfo, f->text, sizeof f->text, err);
    if (st < 0) return st;
    char *end = strrchr(f->text, '\n');
    if (end) end[1] = 0;
    for (const char *at = f->text; *n < MAX_CPUS && (at = strstr(at, MHZ)); ++*n) {
        uint64_t mhz = 0, thousandths = 0;
        at += strlen(MHZ);
        at += strspn(at, "\t :");
        bool is_one = monitor_parse(&at, &mhz) && *at == '.';
        if (is_one) at++;
        if (!is_one || !monitor_parse(&at, &thousandths) || *at != '\n')
            return monitor_file_garbled(&f->cpuinfo, "a frequency in MHz", err);
        *sum += (double)mhz * 1e6 + (double)thousandths * 1e3;
    }
    return BITNET_OK;
}

static bitnet_status read_frequency(void *state, const monitor_tick *tick, bitnet_error *err) {
    frequency *f = state;
    double sum = 0;
    int32_t n = f->n_cpus;
    bitnet_status st = n > 0 ? read_cpufreq(f, &sum, err) : read_cpuinfo(f, &sum, &n, err);
    if (st < 0) return st;
    if (n == 0 || sum <= 0)
        return monitor_file_garbled(f->n_cpus ? &f->cpu[0] : &f->cpuinfo, "a frequency", err);
    monitor_push(tick, BITNET_METRIC_CPU_FREQUENCY, sum / n);
    return BITNET_OK;
}

static void close_frequency(void *state) {
    frequency *f = state;
    for (int32_t i = 0; i < f->n_cpus; i++)
        monitor_file_close(&f->cpu[i]);
    monitor_file_close(&f->cpuinfo);
}

const monitor_source monitor_frequency = {"CPU frequency",   "cpufreq or /proc/cpuinfo",
                                          sizeof(frequency), open_frequency,
                                          read_frequency,    close_frequency};
