#define _GNU_SOURCE /* mkdtemp, nftw, seteuid */
/* test_monitor.c: what the monitor reads from files: right values, and a source that fails, at whatever time and in
 * whatever way, takes nothing with it. The files are the test's own; test_monitor_here.c is about this process.
 */
#include "monitor_fixture.h"

#define CPUFREQ "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq"
#define ZONE    "/sys/class/powercap/intel-rapl:"
#define STATUS                                                                                     \
    "Name:\tbitnet\nVmPeak:\t  9999 kB\nVmHWM:\t  2048 kB\nVmRSS:\t  1672 kB\nThreads:\t9\n"
#define STAT                                                                                       \
    "12 (a) b (c)) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 20 0 7 0 6048658 3133440 395 18446744\n"

static void put_zone(const char *zone, const char *name, const char *energy, const char *range) {
    char path[128];
    snprintf(path, sizeof path, ZONE "%s/name", zone);
    put(path, name);
    snprintf(path, sizeof path, ZONE "%s/energy_uj", zone);
    put(path, energy);
    snprintf(path, sizeof path, ZONE "%s/max_energy_range_uj", zone);
    put(path, range);
}

static void put_frequency(int cpu, const char *khz) {
    char path[128];
    snprintf(path, sizeof path, CPUFREQ, cpu);
    put(path, khz);
}

/* A server with two packages, one of which has a counter for its memory. */
static void put_machine(void) {
    put("/proc/self/statm", "765 250 388 5 0 90 0\n");
    put("/proc/self/status", STATUS);
    put("/proc/self/stat", STAT);
    put_frequency(0, "3000000\n");
    put_frequency(1, "2000000\n");
    put_frequency(2, "1000000\n");
    put_zone("0", "package-0\n", "1000000\n", "262143328850\n");
    put_zone("0:0", "core\n", "500000\n", "262143328850\n");
    put_zone("0:1", "dram\n", "7000000\n", "65712999613\n");
    put_zone("1", "package-1\n", "2000000\n", "262143328850\n");
    put_zone("2", "psys\n", "9000000\n", "262143328850\n");
    put("/sys/class/powercap/intel-rapl-mmio:0/name", "package-0\n");
    put("/sys/class/powercap/intel-rapl-mmio:0/energy_uj", "1000000\n");
}

static void every_value_comes_from_its_file(void **state) {
    (void)state;
    put_machine();
    open_monitor(root, NOTHING);
    sample();
    expect(BITNET_METRIC_MEMORY, 250.0 * (double)sysconf(_SC_PAGESIZE));
    expect(BITNET_METRIC_MEMORY_PEAK, 2048 * 1024);
    expect(BITNET_METRIC_THREADS, 7);
    expect(BITNET_METRIC_CPU_FREQUENCY, 2e9);
    expect_absent(BITNET_METRIC_ENERGY_CPU); /* what is counted begins with the second sample */
    expect_absent(BITNET_METRIC_ENERGY_DRAM);
    expect_absent(BITNET_METRIC_CPU_UTILIZATION);
    put_zone("0", "package-0\n", "16000000\n", "262143328850\n");
    put_zone("0:1", "dram\n", "9500000\n", "65712999613\n");
    put_zone("1", "package-1\n", "12000000\n", "262143328850\n");
    put_zone("2", "psys\n", "99000000\n", "262143328850\n");
    sample();
    expect(BITNET_METRIC_ENERGY_CPU, 15 + 10);
    expect(BITNET_METRIC_ENERGY_DRAM, 2.5);
    assert_int_equal(count_left_out(), 5); /* those of NVML */
}

static void an_energy_counter_that_runs_over_goes_on(void **state) {
    (void)state;
    put_machine();
    put_zone("1", "package-1\n", "262143000000\n", "262143328850\n");
    open_monitor(root, NOTHING);
    sample();
    put_zone("1", "package-1\n", "671150\n", "262143328850\n");
    sample();
    expect(BITNET_METRIC_ENERGY_CPU, 1.0); /* 0.32885 to the end, 0.67115 behind it */
    expect_why("energy of the processors", NULL);
}

static void an_energy_counter_that_was_set_back_is_no_energy(void **state) {
    (void)state;
    put_machine();
    put_zone("0", "package-0\n", "100000000000\n", "262143328850\n");
    open_monitor(root, NOTHING);
    sample();
    put_zone("0", "package-0\n", "5\n",
             "262143328850\n"); /* as after a suspend: not 162 kJ in a second */
    sample();
    expect_absent(BITNET_METRIC_ENERGY_CPU);
    put_zone("0", "package-0\n", "3000005\n", "262143328850\n");
    sample();
    expect(BITNET_METRIC_ENERGY_CPU, 3);
}

/* ---- failing ---------------------------------------------------------------------------------- */

static const struct {
    const char *source, *path;
    bitnet_metric metric;
    const char *garbage[6]; /* beside what is nothing to any of them */
} files[] = {
    {"resident memory",
     "/proc/self/statm",
     BITNET_METRIC_MEMORY,
     {"765\n", "765 0 388 5\n", "765 250", "765 x\n", "765 18446744073709551615 1\n"}},
    {"peak memory",
     "/proc/self/status",
     BITNET_METRIC_MEMORY_PEAK,
     {"Name:\ta\n", "Name:\ta\nVmHWM:\t  20", "Name:\ta\nVmHWM:\t 20 MB\n",
      "Name:\ta\nVmHWM:\t 0 kB\n", "Name:\ta\nVmHWM:\t -5 kB\n"}},
    {"threads",
     "/proc/self/stat",
     BITNET_METRIC_THREADS,
     {"12 (bitnet) R 1 2 3 4\n", "12 (bitnet", "12 (b) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 20 0 7",
      "12 (b) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 20 0 -7 0\n",
      "12 (b) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 20 0 0 0\n"}},
    {"CPU frequency",
     "/sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq",
     BITNET_METRIC_CPU_FREQUENCY,
     {"20000", "<unknown>\n", "-1\n"}},
    {"energy of the processors",
     ZONE "1/energy_uj",
     BITNET_METRIC_ENERGY_CPU,
     {"20000", "262143328851\n", "-1\n", "1 2\n"}},
    {"energy of the memory", ZONE "0:1/energy_uj", BITNET_METRIC_ENERGY_DRAM, {"20000", "-1\n"}},
};
#define N_FILES (sizeof files / sizeof *files)

/* Those of the other files are there. */
static void expect_others(size_t failed) {
    for (size_t i = 0; i < N_FILES; i++) {
        if (i == failed)
            expect_absent(files[i].metric);
        else if (last.metric[files[i].metric].n != 1)
            fail_msg("%s is gone with %s", files[i].source, files[failed].source);
        expect_why(files[i].source, i == failed ? files[i].path : NULL);
    }
}

static void fail_in_mid_run(size_t i, const char *garbage) {
    put_machine();
    open_monitor(root, NOTHING);
    sample();
    sample();
    expect_others(N_FILES);
    put(files[i].path, garbage);
    sample();
    expect_others(i);
    put_machine(); /* whole again: it stays out */
    sample();
    expect_others(i);
}

static void each_source_may_fail_in_mid_run_and_the_others_go_on(void **state) {
    (void)state;
    static const char *const nonsense[] = {"", "\n", "\x01\x02", "99999999999999999999999\n"};
    for (size_t i = 0; i < N_FILES; i++) {
        for (size_t k = 0; k < sizeof nonsense / sizeof *nonsense; k++)
            fail_in_mid_run(i, nonsense[k]);
        for (size_t k = 0; files[i].garbage[k]; k++)
            fail_in_mid_run(i, files[i].garbage[k]);
    }
}

static void a_machine_without_any_of_the_files_still_has_a_monitor(void **state) {
    (void)state;
    open_monitor(root, NOTHING);
    expect_why("resident memory", "/proc/self/statm cannot be opened: No such file or directory");
    expect_why("CPU frequency", "/proc/cpuinfo cannot be opened");
    expect_why("energy of the memory", "no zone intel-rapl whose name begins with \"dram\"");
    expect_why("CPU time, switches, faults", NULL);
    sample();
    sample();
    assert_int_equal(last.metric[BITNET_METRIC_CPU_UTILIZATION].n, 1);
    expect_absent(BITNET_METRIC_MEMORY);
}

static void a_file_that_may_not_be_read_says_so(void **state) {
    (void)state;
    char path[128];
    put_machine();
    snprintf(path, sizeof path, "%s" ZONE "1/energy_uj", root);
    assert_int_equal(chmod(path, 0), 0);
    bool is_root = geteuid() == 0; /* may read all */
    if (is_root) assert_int_equal(seteuid(65534), 0);
    open_monitor(root, NOTHING);
    if (is_root) assert_int_equal(seteuid(0), 0);
    expect_why("energy of the processors", ZONE "1/energy_uj cannot be opened: Permission denied");
    expect_why("energy of the memory", NULL);
}

static void a_folder_in_a_files_place_is_a_reason(void **state) {
    (void)state;
    put_machine();
    put("/sys/class/powercap/intel-rapl:3/name", "package-3\n");
    put("/sys/class/powercap/intel-rapl:3/max_energy_range_uj", "1000\n");
    put("/sys/class/powercap/intel-rapl:3/energy_uj/x", "\n");
    open_monitor(root, NOTHING);
    sample();
    expect_why("energy of the processors", "intel-rapl:3/energy_uj cannot be read: Is a directory");
    expect_why("energy of the memory", NULL);
}

static void time_that_stands_still_makes_no_sample(void **state) {
    (void)state;
    put_machine();
    open_monitor(root, NOTHING);
    sample();
    monitor_sample(m, ring, now_ns);
    monitor_sample(m, ring, now_ns - 5);
    bitnet_tracker_pump(tracker, now_ns + 1);
    expect_absent(BITNET_METRIC_MEMORY);
    monitor_sample(NULL, ring, 1);
    monitor_sample(m, NULL, now_ns + 1);
    monitor_close(NULL);
    assert_null(monitor_name(m, -1));
    assert_null(monitor_place(m, 1000));
    assert_null(monitor_why(m, 1000));
}

/* ---- /proc/cpuinfo ---------------------------------------------------------------------------- */

static void without_cpufreq_a_frequency_is_that_of_cpuinfo_where_it_is_measured(void **state) {
    (void)state;
    put("/proc/cpuinfo",
        "processor\t: 0\ncpu MHz\t\t: 2000.500\nflags\t\t: fpu aperfmperf sse\n\n"
        "processor\t: 1\ncpu MHz\t\t: 3000.000\n\nprocessor\t: 2\ncpu MHz\t\t: 99");
    open_monitor(root, NOTHING);
    sample();
    expect(BITNET_METRIC_CPU_FREQUENCY, 2500.25e6); /* the last line is cut off */
    put("/proc/cpuinfo", "cpu MHz\t\t: unknown\n");
    sample();
    expect_why("CPU frequency", "/proc/cpuinfo does not hold a frequency");
    put("/proc/cpuinfo", "processor\t: 0\ncpu MHz\t\t: 2000.500\nflags\t\t: fpu sse\n");
    open_monitor(root, NOTHING);
    expect_why("CPU frequency", "the nominal frequency only");
}

/* ---- leaks ------------------------------------------------------------------------------------ */

static void resident_memory_that_grows_has_a_slope(void **state) {
    (void)state;
    char line[64];
    open_monitor(root, NOTHING);
    put_machine();
    open_monitor(root, NOTHING);
    for (int i = 0; i < 200; i++) {
        snprintf(line, sizeof line, "100000 %d 1 1 0 1 0\n", 50000 + i);
        put("/proc/self/statm", line);
        monitor_sample(m, ring, now_ns += SECOND);
    }
    bitnet_tracker_pump(tracker, now_ns);
    double page = (double)sysconf(_SC_PAGESIZE);
    const bitnet_window_metric *low = &last.metric[BITNET_METRIC_MEMORY_SLOPE_LOW];
    assert_int_equal(low->n, 9); /* from 120 s to 200 s, every ten */
    if (fabs(low->last - page) > 1e-6 * page)
        fail_msg("low is %g, a page a second is %g", low->last, page);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        TEST(every_value_comes_from_its_file),
        TEST(an_energy_counter_that_runs_over_goes_on),
        TEST(an_energy_counter_that_was_set_back_is_no_energy),
        TEST(each_source_may_fail_in_mid_run_and_the_others_go_on),
        TEST(a_machine_without_any_of_the_files_still_has_a_monitor),
        TEST(a_file_that_may_not_be_read_says_so),
        TEST(a_folder_in_a_files_place_is_a_reason),
        TEST(time_that_stands_still_makes_no_sample),
        TEST(without_cpufreq_a_frequency_is_that_of_cpuinfo_where_it_is_measured),
        TEST(resident_memory_that_grows_has_a_slope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
