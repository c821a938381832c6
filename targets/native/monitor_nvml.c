/* monitor_nvml.c: NVIDIA's GPUs through its management library, which comes with the driver and is looked for at run
 * time; nothing of it is needed to build. The prototypes are those of nvml.h, whose structures are frozen by the
 * suffix of each function's name.
 *
 * Each quantity is a source of its own with the library to itself (dlopen and nvmlInit count their users), so
 * that a GPU without an energy counter still tells its memory. Values of all GPUs are added up.
 */
#define _GNU_SOURCE /* getpid */
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#include "monitor_source.h"

#define MAX_GPUS      16
#define MAX_PROCESSES 128
#define NOT_AVAILABLE UINT64_MAX /* NVML_VALUE_NOT_AVAILABLE */

typedef void *nvml_device;
typedef struct nvml_memory {
    unsigned long long total, free, used;
} nvml_memory;
typedef struct nvml_utilization {
    unsigned gpu, memory; /* per cent */
} nvml_utilization;
typedef struct nvml_process { /* of _v2 and _v3 */
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
} nvml_process;

typedef union nvml_call {
    int (*memory)(nvml_device, nvml_memory *);
    int (*processes)(nvml_device, unsigned *n, nvml_process *);
    int (*utilization)(nvml_device, nvml_utilization *);
    int (*power)(nvml_device, unsigned *milliwatts);
    int (*energy)(nvml_device, unsigned long long *millijoules); /* since the driver was loaded */
} nvml_call;

typedef struct gpus {
    void *library;
    bool is_init;
    int (*shutdown)(void);
    const char *(*error_string)(int);
    nvml_device device[MAX_GPUS];
    int32_t n;
    const char *name; /* of the call */
    nvml_call call;
    double before, peak; /* energy in J; memory in bytes */
} gpus;

/* ---- the library ------------------------------------------------------------------------------ */

static bitnet_status fail_call(const gpus *g, const char *name, int code, bitnet_error *err) {
    return bitnet_fail(err, BITNET_E_BACKEND, "monitor.nvml", "%s failed: %s", name,
                       g->error_string ? g->error_string(code) : "it does not say why");
}

/* A function pointer out of an object pointer, which ISO C has no cast for and POSIX promises to work. */
static bool find(const gpus *g, const char *name, void *out) {
    void *symbol = dlsym(g->library, name);
    memcpy(out, &symbol, sizeof symbol);
    return symbol != NULL;
}

/* Those that may be opened; a container may be shown some of the machine's. */
static bitnet_status open_devices(gpus *g, bitnet_error *err) {
    int (*count)(unsigned *), (*get)(unsigned, nvml_device *);
    unsigned n = 0;
    if (!find(g, "nvmlDeviceGetCount_v2", &count) ||
        !find(g, "nvmlDeviceGetHandleByIndex_v2", &get))
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "monitor.nvml",
                           "the library cannot list devices");
    int code = count(&n);
    if (code != 0) return fail_call(g, "nvmlDeviceGetCount", code, err);
    for (unsigned i = 0; i < n && g->n < MAX_GPUS; i++) {
        int answer = get(i, &g->device[g->n]);
        if (answer == 0)
            g->n++;
        else
            code = answer;
    }
    if (g->n > 0) return BITNET_OK;
    if (code != 0) return fail_call(g, "nvmlDeviceGetHandleByIndex", code, err);
    return bitnet_fail(err, BITNET_E_NOENT, "monitor.nvml", "the library lists no device");
}

static bitnet_status open_library(gpus *g, const monitor_desc *desc, const char *name,
                                  bitnet_error *err) {
    int (*init)(void);
    g->name = name;
    g->library = dlopen(desc->nvml, RTLD_NOW | RTLD_LOCAL);
    if (!g->library)
        return bitnet_fail(err, BITNET_E_NOENT, "monitor.nvml", "no library: %s", dlerror());
    if (!find(g, "nvmlInit_v2", &init) || !find(g, "nvmlShutdown", &g->shutdown) ||
        !find(g, name, &g->call))
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "monitor.nvml", "%s has no %s", desc->nvml,
                           name);
    find(g, "nvmlErrorString", &g->error_string);
    int code = init();
    if (code != 0) return fail_call(g, "nvmlInit", code, err);
    g->is_init = true;
    return open_devices(g, err);
}

static void close_library(void *state) {
    gpus *g = state;
    if (g->is_init) g->shutdown();
    if (g->library) dlclose(g->library);
}

/* ---- the sources ------------------------------------------------------------------------------ */

static bitnet_status open_memory(void *state, const monitor_desc *desc, bitnet_error *err) {
    return open_library(state, desc, "nvmlDeviceGetMemoryInfo", err);
}

static bitnet_status read_memory(void *state, const monitor_tick *tick, bitnet_error *err) {
    gpus *g = state;
    double used = 0;
    for (int32_t i = 0; i < g->n; i++) {
        nvml_memory m = {0};
        int code = g->call.memory(g->device[i], &m);
        if (code != 0) return fail_call(g, g->name, code, err);
        used += (double)m.used;
    }
    if (used > g->peak) g->peak = used;
    monitor_push(tick, BITNET_METRIC_GPU_MEMORY_USED, used);
    monitor_push(tick, BITNET_METRIC_GPU_MEMORY_PEAK, g->peak);
    return BITNET_OK;
}

static bitnet_status open_process(void *state, const monitor_desc *desc, bitnet_error *err) {
    return open_library(state, desc, "nvmlDeviceGetComputeRunningProcesses_v3", err);
}

/* Nothing is pushed when the process is on no list: it uses no GPU, or the list has the numbers of
 * another PID namespace. */
static bitnet_status read_process(void *state, const monitor_tick *tick, bitnet_error *err) {
    gpus *g = state;
    double used = 0;
    bool is_known = false;
    for (int32_t i = 0; i < g->n; i++) {
        nvml_process p[MAX_PROCESSES] = {{0}};
        unsigned n = MAX_PROCESSES;
        int code = g->call.processes(g->device[i], &n, p);
        if (code != 0) return fail_call(g, g->name, code, err);
        for (unsigned k = 0; k < n && k < MAX_PROCESSES; k++) {
            if (p[k].pid != (unsigned)getpid() || p[k].used == NOT_AVAILABLE) continue;
            used += (double)p[k].used;
            is_known = true;
        }
    }
    if (is_known) monitor_push(tick, BITNET_METRIC_GPU_MEMORY_PROCESS, used);
    return BITNET_OK;
}

static bitnet_status open_utilization(void *state, const monitor_desc *desc, bitnet_error *err) {
    return open_library(state, desc, "nvmlDeviceGetUtilizationRates", err);
}

static bitnet_status read_utilization(void *state, const monitor_tick *tick, bitnet_error *err) {
    gpus *g = state;
    double busy = 0;
    for (int32_t i = 0; i < g->n; i++) {
        nvml_utilization u = {0};
        int code = g->call.utilization(g->device[i], &u);
        if (code != 0) return fail_call(g, g->name, code, err);
        busy += u.gpu / 100.0;
    }
    monitor_push(tick, BITNET_METRIC_GPU_UTILIZATION, busy);
    return BITNET_OK;
}

static bitnet_status open_power(void *state, const monitor_desc *desc, bitnet_error *err) {
    return open_library(state, desc, "nvmlDeviceGetPowerUsage", err);
}

static bitnet_status read_power(void *state, const monitor_tick *tick, bitnet_error *err) {
    gpus *g = state;
    double watts = 0;
    for (int32_t i = 0; i < g->n; i++) {
        unsigned milliwatts = 0;
        int code = g->call.power(g->device[i], &milliwatts);
        if (code != 0) return fail_call(g, g->name, code, err);
        watts += milliwatts * 1e-3;
    }
    monitor_push(tick, BITNET_METRIC_GPU_POWER, watts);
    return BITNET_OK;
}

static bitnet_status open_energy(void *state, const monitor_desc *desc, bitnet_error *err) {
    return open_library(state, desc, "nvmlDeviceGetTotalEnergyConsumption", err);
}

static bitnet_status read_energy(void *state, const monitor_tick *tick, bitnet_error *err) {
    gpus *g = state;
    double joules = 0;
    for (int32_t i = 0; i < g->n; i++) {
        unsigned long long millijoules = 0;
        int code = g->call.energy(g->device[i], &millijoules);
        if (code != 0) return fail_call(g, g->name, code, err);
        joules += (double)millijoules * 1e-3;
    }
    /* less than before: the driver was loaded again, and what was used since is not known */
    if (tick->seconds > 0 && joules >= g->before)
        monitor_push(tick, BITNET_METRIC_ENERGY_GPU, joules - g->before);
    g->before = joules;
    return BITNET_OK;
}

const monitor_source monitor_gpu_memory = {"GPU memory", "NVML",      sizeof(gpus),
                                           open_memory,  read_memory, close_library};
const monitor_source monitor_gpu_process = {
    "GPU memory of the process", "NVML", sizeof(gpus), open_process, read_process, close_library};
const monitor_source monitor_gpu_utilization = {"GPU utilization", "NVML",           sizeof(gpus),
                                                open_utilization,  read_utilization, close_library};
const monitor_source monitor_gpu_power = {"GPU power", "NVML",     sizeof(gpus),
                                          open_power,  read_power, close_library};
const monitor_source monitor_gpu_energy = {"GPU energy", "NVML",      sizeof(gpus),
                                           open_energy,  read_energy, close_library};
