/* fake_nvml.c: see fake_nvml.h. */
#include "fake_nvml.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EXPORT            __attribute__((visibility("default")))
#define INSUFFICIENT_SIZE 7

EXPORT extern fake_nvml fake_nvml_state;
fake_nvml fake_nvml_state;

static int outcome(const char *name) {
    const char *failing = fake_nvml_state.failing;
    return failing && !strcmp(failing, name) ? fake_nvml_state.code : 0;
}

static size_t index_of(const void *device) {
    return (size_t)((const char *)device - (const char *)&fake_nvml_state);
}

EXPORT int nvmlInit_v2(void);
int nvmlInit_v2(void) {
    int code = outcome("nvmlInit");
    fake_nvml_state.n_users += code == 0;
    return code;
}

EXPORT int nvmlShutdown(void);
int nvmlShutdown(void) {
    fake_nvml_state.n_users--;
    return 0;
}

EXPORT const char *nvmlErrorString(int code);
const char *nvmlErrorString(int code) {
    return code == 15 ? "GPU is lost" : "Not Supported";
}

EXPORT int nvmlDeviceGetCount_v2(unsigned *n);
int nvmlDeviceGetCount_v2(unsigned *n) {
    *n = fake_nvml_state.n_devices;
    return outcome("nvmlDeviceGetCount");
}

EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **device);
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **device) {
    if ((int)i == fake_nvml_state.hidden) return 4; /* NVML_ERROR_NO_PERMISSION */
    *device = (char *)&fake_nvml_state + i;
    return outcome("nvmlDeviceGetHandleByIndex");
}

EXPORT int nvmlDeviceGetMemoryInfo(void *device, unsigned long long memory[3]);
int nvmlDeviceGetMemoryInfo(void *device, unsigned long long memory[3]) {
    memory[0] = 1ull << 40;
    memory[2] = fake_nvml_state.used[index_of(device)];
    memory[1] = memory[0] - memory[2];
    return outcome("nvmlDeviceGetMemoryInfo");
}

typedef struct process {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
} process;

EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *n, process *p);
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *n, process *p) {
    if (*n < 2) return INSUFFICIENT_SIZE;
    *n = 2;
    p[0] = (process){1, 12345, 0xffffffffu, 0xffffffffu}; /* somebody else */
    p[1] = (process){fake_nvml_state.pid, fake_nvml_state.process_used[index_of(device)],
                     0xffffffffu, 0xffffffffu};
    return outcome("nvmlDeviceGetComputeRunningProcesses_v3");
}

EXPORT int nvmlDeviceGetUtilizationRates(void *device, unsigned rates[2]);
int nvmlDeviceGetUtilizationRates(void *device, unsigned rates[2]) {
    rates[0] = fake_nvml_state.busy[index_of(device)];
    rates[1] = 99;
    return outcome("nvmlDeviceGetUtilizationRates");
}

EXPORT int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts);
int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) {
    *milliwatts = fake_nvml_state.milliwatts[index_of(device)];
    return outcome("nvmlDeviceGetPowerUsage");
}

EXPORT int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules);
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules) {
    *millijoules = fake_nvml_state.millijoules[index_of(device)];
    return outcome("nvmlDeviceGetTotalEnergyConsumption");
}
