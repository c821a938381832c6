/* monitor.c: see monitor.h: the table of sources, and what one that fails costs: itself. */
#include "monitor.h"

#include <stdlib.h>

#include "monitor_source.h"

static const monitor_source *const sources[] = {
    &monitor_resident,    &monitor_peak,
    &monitor_threads,     &monitor_usage,
    &monitor_frequency,   &monitor_packages,
    &monitor_dram,        &monitor_gpu_memory,
    &monitor_gpu_process, &monitor_gpu_utilization,
    &monitor_gpu_power,   &monitor_gpu_energy,
};
#define N_SOURCES ((int32_t)(sizeof sources / sizeof *sources))

typedef struct slot {
    void *state; /* NULL: left out */
    bitnet_error why;
} slot;

struct monitor {
    slot slot[N_SOURCES];
    uint64_t sampled_ns; /* 0 = not yet */
};

static void leave_out(const monitor_source *source, slot *s) {
    source->close(s->state);
    free(s->state);
    s->state = NULL;
}

bitnet_status monitor_open(monitor **out, const monitor_desc *desc) {
    monitor_desc d = *desc;
    if (!d.root) d.root = "";
    if (!d.nvml) d.nvml = "libnvidia-ml.so.1";
    monitor *m = *out = calloc(1, sizeof *m);
    if (!m) return BITNET_E_NOMEM;
    for (int32_t i = 0; i < N_SOURCES; i++) {
        slot *s = &m->slot[i];
        s->state = calloc(1, sources[i]->size);
        if (!s->state) {
            monitor_close(m);
            *out = NULL;
            return BITNET_E_NOMEM;
        }
        if (sources[i]->open(s->state, &d, &s->why) < 0) leave_out(sources[i], s);
    }
    return BITNET_OK;
}

void monitor_sample(monitor *m, bitnet_ring *ring, uint64_t now_ns) {
    if (!m || now_ns <= m->sampled_ns) return;
    double seconds = m->sampled_ns ? (double)(now_ns - m->sampled_ns) * 1e-9 : 0;
    const monitor_tick tick = {ring, now_ns, seconds};
    m->sampled_ns = now_ns;
    for (int32_t i = 0; i < N_SOURCES; i++) {
        slot *s = &m->slot[i];
        if (s->state && sources[i]->read(s->state, &tick, &s->why) < 0) leave_out(sources[i], s);
    }
}

void monitor_close(monitor *m) {
    if (!m) return;
    for (int32_t i = 0; i < N_SOURCES; i++)
        if (m->slot[i].state) leave_out(sources[i], &m->slot[i]);
    free(m);
}

const char *monitor_name(const monitor *m, int32_t i) {
    (void)m;
    return i >= 0 && i < N_SOURCES ? sources[i]->name : NULL;
}

const char *monitor_place(const monitor *m, int32_t i) {
    (void)m;
    return i >= 0 && i < N_SOURCES ? sources[i]->place : NULL;
}

const char *monitor_why(const monitor *m, int32_t i) {
    return i >= 0 && i < N_SOURCES && !m->slot[i].state ? m->slot[i].why.text : NULL;
}
