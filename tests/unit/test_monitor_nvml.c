#define _GNU_SOURCE /* mkdtemp, nftw */
/* test_monitor_nvml.c: GPUs, through a management library of the tests that fails where it is told to. */
#include "monitor_fixture.h"

#include <dlfcn.h>

#include "fake_nvml.h"

#define GPU_IS_LOST 15

static void *library;
static fake_nvml *fake;

static const struct {
    const char *source, *call;
    bitnet_metric metric;
} sources[] = {
    {"GPU memory", "nvmlDeviceGetMemoryInfo", BITNET_METRIC_GPU_MEMORY_USED},
    {"GPU memory of the process", "nvmlDeviceGetComputeRunningProcesses_v3",
     BITNET_METRIC_GPU_MEMORY_PROCESS},
    {"GPU utilization", "nvmlDeviceGetUtilizationRates", BITNET_METRIC_GPU_UTILIZATION},
    {"GPU power", "nvmlDeviceGetPowerUsage", BITNET_METRIC_GPU_POWER},
    {"GPU energy", "nvmlDeviceGetTotalEnergyConsumption", BITNET_METRIC_ENERGY_GPU},
};
#define N_GPU (sizeof sources / sizeof *sources)

static int open_fake(void **state) {
    library = dlopen(FAKE_NVML, RTLD_NOW);
    if (!library) fail_msg("%s", dlerror());
    fake = dlsym(library, "fake_nvml_state");
    *fake = (fake_nvml){.n_devices = 2,
                        .hidden = -1,
                        .pid = (unsigned)getpid(),
                        .used = {1000000000, 3000000000},
                        .process_used = {500000000, 1500000000},
                        .busy = {25, 100},
                        .milliwatts = {70500, 300000},
                        .millijoules = {5000, 10000}};
    return open_fixture(state);
}

static int close_fake(void **state) {
    int status = close_fixture(state);
    if (fake->n_users != 0) fail_msg("%d users of the library are left", fake->n_users);
    dlclose(library);
    return status;
}

static void values_of_all_gpus_are_added_up(void **state) {
    (void)state;
    open_monitor(root, FAKE_NVML);
    sample();
    expect(BITNET_METRIC_GPU_MEMORY_USED, 4e9);
    expect(BITNET_METRIC_GPU_MEMORY_PEAK, 4e9);
    expect(BITNET_METRIC_GPU_MEMORY_PROCESS, 2e9);
    expect(BITNET_METRIC_GPU_UTILIZATION, 1.25);
    expect(BITNET_METRIC_GPU_POWER, 370.5);
    expect_absent(BITNET_METRIC_ENERGY_GPU);
    fake->used[1] = 500000000;
    fake->millijoules[0] += 1500;
    fake->millijoules[1] += 2000;
    sample();
    expect(BITNET_METRIC_GPU_MEMORY_USED, 1.5e9);
    expect(BITNET_METRIC_GPU_MEMORY_PEAK, 4e9);
    expect(BITNET_METRIC_ENERGY_GPU, 3.5);
    fake->millijoules[0] = fake->millijoules[1] = 7; /* the driver was loaded again */
    sample();
    expect_absent(BITNET_METRIC_ENERGY_GPU);
    fake->millijoules[0] += 1000;
    sample();
    expect(BITNET_METRIC_ENERGY_GPU, 1);
}

static void a_process_that_is_on_no_list_has_no_gpu_memory(void **state) {
    (void)state;
    fake->pid = 1 + (unsigned)getpid(); /* as in a container */
    open_monitor(root, FAKE_NVML);
    sample();
    expect_absent(BITNET_METRIC_GPU_MEMORY_PROCESS);
    expect(BITNET_METRIC_GPU_MEMORY_USED, 4e9);
    fake->pid = (unsigned)getpid();
    fake->process_used[0] = UINT64_MAX; /* NVML_VALUE_NOT_AVAILABLE */
    sample();
    expect(BITNET_METRIC_GPU_MEMORY_PROCESS, 1.5e9);
    fake->process_used[1] = UINT64_MAX;
    sample();
    expect_absent(BITNET_METRIC_GPU_MEMORY_PROCESS);
}

static void each_call_may_fail_at_once_and_takes_its_own_source_only(void **state) {
    (void)state;
    for (size_t i = 0; i < N_GPU; i++) {
        fake->failing = sources[i].call, fake->code = GPU_IS_LOST;
        open_monitor(root, FAKE_NVML);
        sample();
        sample();
        for (size_t k = 0; k < N_GPU; k++) {
            expect_why(sources[k].source, i == k ? sources[i].call : NULL);
            expect_why(sources[k].source, i == k ? "GPU is lost" : NULL);
            assert_int_equal(last.metric[sources[k].metric].n, i != k);
        }
    }
}

static void each_call_may_fail_in_mid_run_and_takes_its_own_source_only(void **state) {
    (void)state;
    for (size_t i = 0; i < N_GPU; i++) {
        fake->failing = NULL;
        open_monitor(root, FAKE_NVML);
        sample();
        sample();
        assert_int_equal(last.metric[sources[i].metric].n, 1);
        fake->failing = sources[i].call, fake->code = 3;
        sample();
        fake->failing = NULL; /* it works again: the source stays out */
        sample();
        for (size_t k = 0; k < N_GPU; k++) {
            expect_why(sources[k].source, i == k ? "Not Supported" : NULL);
            assert_int_equal(last.metric[sources[k].metric].n, i != k);
        }
    }
}

static void a_library_that_does_not_start_is_left_alone(void **state) {
    (void)state;
    static const char *const calls[] = {"nvmlInit", "nvmlDeviceGetCount",
                                        "nvmlDeviceGetHandleByIndex"};
    for (size_t i = 0; i < 3; i++) {
        fake->failing = calls[i], fake->code = GPU_IS_LOST;
        open_monitor(root, FAKE_NVML);
        assert_int_equal(fake->n_users, 0);
        sample();
        for (size_t k = 0; k < N_GPU; k++) {
            expect_why(sources[k].source, calls[i]);
            expect_absent(sources[k].metric);
        }
    }
    fake->failing = NULL, fake->n_devices = 0;
    open_monitor(root, FAKE_NVML);
    expect_why("GPU power", "lists no device");
}

static void a_gpu_that_may_not_be_opened_is_passed_over(void **state) {
    (void)state;
    fake->hidden = 0;
    open_monitor(root, FAKE_NVML);
    sample();
    expect(BITNET_METRIC_GPU_MEMORY_USED, 3e9);
    expect(BITNET_METRIC_GPU_POWER, 300);
}

static void a_missing_or_foreign_library_is_a_reason(void **state) {
    (void)state;
    open_monitor(root, NOTHING);
    expect_why("GPU energy", "no library: " NOTHING);
    open_monitor(root, "libm.so.6");
    expect_why("GPU energy", "libm.so.6 has no nvmlDeviceGetTotalEnergyConsumption");
    sample();
    assert_int_equal(count_left_out(), 11); /* all but getrusage: there are no files either */
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_fake, close_fake)
    const struct CMUnitTest tests[] = {
        TEST(values_of_all_gpus_are_added_up),
        TEST(a_process_that_is_on_no_list_has_no_gpu_memory),
        TEST(each_call_may_fail_at_once_and_takes_its_own_source_only),
        TEST(each_call_may_fail_in_mid_run_and_takes_its_own_source_only),
        TEST(a_library_that_does_not_start_is_left_alone),
        TEST(a_gpu_that_may_not_be_opened_is_passed_over),
        TEST(a_missing_or_foreign_library_is_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
