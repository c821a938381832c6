#define _GNU_SOURCE /* mkdtemp, nftw */
/* test_cores.c: how many threads pay, from the trees of /sys and /proc that machines of several kinds
 * show.
 */
#include "load_file.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "os_cores.h"

static char root[64];

static void put(const char *path, const char *text) {
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *at = strchr(full + strlen(root) + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = 0;
        mkdir(full, 0700);
        *at = '/';
    }
    FILE *f = fopen(full, "w");
    if (!f) fail_msg("%s cannot be written", full);
    fputs(text, f);
    fclose(f);
}

static void put_cpu(int cpu, const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/%s", cpu, name);
    put(path, text);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at) {
    (void)st, (void)flag, (void)at;
    return remove(path);
}

static int open_root(void **state) {
    (void)state;
    strcpy(root, "/tmp/test_cores.XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int close_root(void **state) {
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static bitnet_os_cpu_set first_cpus(int32_t n) {
    bitnet_os_cpu_set s = {{0}};
    for (int32_t i = 0; i < n; i++)
        bitnet_os_cpu_set_add(&s, i);
    return s;
}

/* n_usable, n_physical, n_fast, quota, n_threads */
static void expect(const bitnet_os_cpu_set *usable, const int32_t want[5], const char *why) {
    bitnet_os_cores c = bitnet_os_cores_read(root, usable);
    const int32_t got[5] = {c.n_usable, c.n_physical, c.n_fast, c.quota, c.n_threads};
    if (memcmp(got, want, sizeof got))
        fail_msg("usable %d, cores %d, fast %d, quota %d, threads %d; expected %d %d %d %d %d",
                 got[0], got[1], got[2], got[3], got[4], want[0], want[1], want[2], want[3],
                 want[4]);
    assert_string_equal(bitnet_os_cores_why(&c), why);
}
#define EXPECT(usable, why, ...) expect(usable, (int32_t[5]){__VA_ARGS__}, why)

/* 6 performance cores with two threads each (CPUs 0-11), 8 efficient ones (12-19): an i5-13500. */
static void make_hybrid(void) {
    char pair[32];
    for (int cpu = 0; cpu < 20; cpu++) {
        if (cpu < 12)
            snprintf(pair, sizeof pair, "%d-%d\n", cpu / 2 * 2, cpu / 2 * 2 + 1);
        else
            snprintf(pair, sizeof pair, "%d\n", cpu);
        put_cpu(cpu, "topology/thread_siblings_list", pair);
    }
    put("/sys/devices/cpu_core/cpus", "0-11\n");
    put("/sys/devices/cpu_atom/cpus", "12-19\n");
}

static void a_hybrid_machine_runs_a_thread_on_each_performance_core(void **state) {
    (void)state;
    make_hybrid();
    bitnet_os_cpu_set all = first_cpus(20), some = {{0}}, small = {{0}};
    EXPECT(&all, "one per performance core", 20, 14, 6, 0, 6);
    for (int32_t cpu = 1; cpu < 14; cpu += 2) /* one sibling of each, and an efficient core */
        bitnet_os_cpu_set_add(&some, cpu);
    EXPECT(&some, "one per performance core", 7, 7, 6, 0, 6);
    for (int32_t cpu = 12; cpu < 16; cpu++) /* taskset to efficient ones: they are what there is */
        bitnet_os_cpu_set_add(&small, cpu);
    EXPECT(&small, "one per core", 4, 4, 4, 0, 4);
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/cpu.max", "350000 100000\n");
    EXPECT(&all, "what the cgroup's quota allows", 20, 14, 6, 4, 4);
    put("/sys/fs/cgroup/cpu.max", "800000 100000\n"); /* above what pays anyway */
    EXPECT(&all, "one per performance core", 20, 14, 6, 8, 6);
}

static void a_machine_with_siblings_runs_a_thread_on_each_core(void **state) {
    (void)state;
    static const char *const list[] = {"0,4\n", "1,5\n", "2,6\n", "3,7\n"};
    for (int cpu = 0; cpu < 8; cpu++)
        put_cpu(cpu, "topology/thread_siblings_list", list[cpu % 4]);
    bitnet_os_cpu_set all = first_cpus(8), half = first_cpus(4);
    EXPECT(&all, "one per core, not per hardware thread", 8, 4, 4, 0, 4);
    EXPECT(&half, "one per core", 4, 4, 4, 0, 4);
}

static void a_plain_virtual_machine_uses_its_cpus(void **state) {
    (void)state;
    bitnet_os_cpu_set two = first_cpus(2);
    EXPECT(&two, "one per core", 2, 2, 2, 0, 2); /* nothing to read at all */
    for (int cpu = 0; cpu < 2; cpu++) {
        put_cpu(cpu, "topology/thread_siblings_list", cpu ? "1\n" : "0\n");
        put_cpu(cpu, "cpu_capacity", "1024\n");
    }
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/cpu.max", "max 100000\n");
    EXPECT(&two, "one per core", 2, 2, 2, 0, 2);
}

static void put_capacities(const char *const *capacity, int32_t n) {
    for (int32_t cpu = 0; cpu < n; cpu++)
        put_cpu(cpu, "cpu_capacity", capacity[cpu]);
}

static void small_cores_of_an_arm_machine_are_left_alone(void **state) {
    (void)state;
    bitnet_os_cpu_set all = first_cpus(8), small = first_cpus(4);
    static const char *const two_kinds[] = {"380\n",  "380\n",  "380\n",  "380\n",
                                            "1024\n", "1024\n", "1024\n", "1024\n"};
    put_capacities(two_kinds, 8);
    EXPECT(&all, "one per performance core", 8, 8, 4, 0, 4);
    EXPECT(&small, "one per core", 4, 4, 4, 0, 4);
    static const char *const three_kinds[] = {"250\n", "250\n", "250\n", "250\n",
                                              "800\n", "800\n", "800\n", "1024\n"};
    put_capacities(three_kinds, 8);
    EXPECT(&all, "one per performance core", 8, 8, 4, 0, 4);
}

static void the_least_quota_of_all_groups_up_to_the_root_counts(void **state) {
    (void)state;
    bitnet_os_cpu_set all = first_cpus(16);
    put("/proc/self/cgroup", "0::/user.slice/job/step\n");
    put("/sys/fs/cgroup/user.slice/job/step/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/user.slice/job/cpu.max", "250000 100000\n");
    put("/sys/fs/cgroup/user.slice/cpu.max", "1200000 100000\n");
    EXPECT(&all, "what the cgroup's quota allows", 16, 16, 16, 3, 3);
    put("/sys/fs/cgroup/user.slice/job/step/cpu.max", "5000 10000\n");
    EXPECT(&all, "what the cgroup's quota allows", 16, 16, 16, 1, 1);
    /* a container that is told the host's path but sees its own group as the root */
    put("/proc/self/cgroup", "0::/docker/0123abcd\n");
    put("/sys/fs/cgroup/cpu.max", "500000 100000\n");
    EXPECT(&all, "what the cgroup's quota allows", 16, 16, 16, 5, 5);
    put("/proc/self/cgroup", "0::/../user.slice/job\n"); /* above the namespace's root */
    EXPECT(&all, "what the cgroup's quota allows", 16, 16, 16, 5, 5);
}

static void groups_of_the_first_version_count_too(void **state) {
    (void)state;
    bitnet_os_cpu_set all = first_cpus(16);
    put("/proc/self/cgroup", "12:cpuset:/x\n5:cpuacct,cpu:/kubepods/pod1/c1\n0::/\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    EXPECT(&all, "one per core", 16, 16, 16, 0, 16);
    put("/sys/fs/cgroup/cpu/kubepods/pod1/cpu.cfs_quota_us", "600000\n");
    put("/sys/fs/cgroup/cpu/kubepods/pod1/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu/kubepods/pod1/c1/cpu.cfs_quota_us", "1400000\n");
    put("/sys/fs/cgroup/cpu/kubepods/pod1/c1/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "100000\n"); /* another controller's path */
    put("/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n");
    EXPECT(&all, "what the cgroup's quota allows", 16, 16, 16, 6, 6);
}

static void nonsense_limits_nothing(void **state) {
    (void)state;
    bitnet_os_cpu_set all = first_cpus(4), none = {{0}};
    static const char *const words[] = {"",
                                        "\n",
                                        "-\n",
                                        "0-\n",
                                        "x",
                                        "-5-2\n",
                                        "99999999999999999999\n",
                                        "0 0\n",
                                        "-1 -1\n",
                                        "9223372036854775807 1\n"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        put("/sys/fs/cgroup/cpu.max", words[i]);
        put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", words[i]);
        put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", words[i]);
        put("/proc/self/cgroup", words[i]);
        put("/sys/devices/cpu_core/cpus", i % 2 ? words[i] : "\n");
        put("/sys/devices/cpu_atom/cpus", words[i]);
        for (int cpu = 0; cpu < 4; cpu++)
            put_cpu(cpu, "cpu_capacity", words[i]);
        bitnet_os_cores c = bitnet_os_cores_read(root, &all);
        if (c.n_usable != 4 || c.n_threads < 1 || c.n_threads > 4)
            fail_msg("\"%s\": %d threads on %d CPUs", words[i], c.n_threads, c.n_usable);
    }
    assert_int_equal(bitnet_os_cores_read(root, &none).n_threads, 1);
    bitnet_os_cpu_set_add(&all, -1);
    bitnet_os_cpu_set_add(&all, OS_CPUS_MAX);
    assert_false(bitnet_os_cpu_set_has(&all, -1) || bitnet_os_cpu_set_has(&all, OS_CPUS_MAX));
}

static void this_machine_has_a_core(void **state) {
    (void)state;
    bitnet_os_cores c = bitnet_os_cores_here();
    assert_true(c.n_threads >= 1 && c.n_threads <= c.n_fast && c.n_fast <= c.n_physical &&
                c.n_physical <= c.n_usable);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_root, close_root)
    const struct CMUnitTest tests[] = {
        TEST(a_hybrid_machine_runs_a_thread_on_each_performance_core),
        TEST(a_machine_with_siblings_runs_a_thread_on_each_core),
        TEST(a_plain_virtual_machine_uses_its_cpus),
        TEST(small_cores_of_an_arm_machine_are_left_alone),
        TEST(the_least_quota_of_all_groups_up_to_the_root_counts),
        TEST(groups_of_the_first_version_count_too),
        TEST(nonsense_limits_nothing),
        TEST(this_machine_has_a_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
