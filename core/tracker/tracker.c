/* tracker.c: rings, drain, windows, sinks. Nothing here is reached from a decoding thread but
 * bitnet_ring_push.
 */
#include "bitnet/tracker.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/os.h"
#include "bitnet/histogram.h"
#include "tracker/ring.h"

#define N_RINGS 8
#define N_SINKS 4

struct bitnet_tracker {
    bitnet_allocator allocator;
    uint32_t ring_cap;
    bitnet_ring *ring[N_RINGS]; /* grows before the first pump only: no lock */
    int32_t n_rings;
    bitnet_sink sink[N_SINKS];
    int32_t n_sinks;
    bitnet_window window;
    uint64_t n_invalid;
    bitnet_histogram hist[BITNET_METRIC_COUNT]; /* of this window; only KIND_HIST ones are used */
};

static const bitnet_metric_info infos[] = {
#define METRIC(id, unit, kind, wire, help) {wire, unit, help, BITNET_KIND_##kind},
#include "bitnet/metrics.def"
#undef METRIC
};

const bitnet_metric_info *bitnet_metric_get_info(bitnet_metric m) {
    return (unsigned)m < BITNET_METRIC_COUNT ? &infos[m] : NULL;
}

/* ---- rings ------------------------------------------------------------------------------------
 */

static size_t ring_size(uint32_t cap) {
    return sizeof(bitnet_ring) + cap * sizeof(bitnet_record) + 64;
}

static bitnet_ring *ring_create(bitnet_tracker *t, uint16_t source) {
    /* the ring's cache lines must be aligned; the allocator promises 16 bytes, so the block is kept
     * in front of it */
    uint8_t *block = bitnet_alloc(&t->allocator, ring_size(t->ring_cap) + sizeof(void *));
    if (!block) return NULL;
    uintptr_t at = ((uintptr_t)block + sizeof(void *) + 63) & ~(uintptr_t)63;
    bitnet_ring *r = (bitnet_ring *)(void *)(block + (at - (uintptr_t)block));
    memcpy((uint8_t *)r - sizeof(void *), &block, sizeof block);
    r->record = (bitnet_record *)(void *)(r + 1);
    r->mask = t->ring_cap - 1;
    r->source = source;
    return r;
}

static void ring_free(bitnet_tracker *t, bitnet_ring *r) {
    void *block;
    memcpy(&block, (uint8_t *)r - sizeof(void *), sizeof block);
    bitnet_free(&t->allocator, block, ring_size(t->ring_cap) + sizeof(void *));
}

void bitnet_ring_push(bitnet_ring *r, uint64_t t_ns, bitnet_metric metric, double value,
                      uint32_t request, uint64_t aux) {
    if (!r) return;
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    if (head - atomic_load_explicit(&r->tail, memory_order_acquire) > r->mask) {
        atomic_fetch_add_explicit(&r->n_dropped, 1, memory_order_relaxed);
        return;
    }
    r->record[head & r->mask] =
        (bitnet_record){t_ns, value, request, (uint16_t)metric, r->source, aux};
    atomic_store_explicit(&r->head, head + 1, memory_order_release);
}

/* ---- tracker ----------------------------------------------------------------------------------
 */

bitnet_status bitnet_tracker_create(bitnet_tracker **out, const bitnet_tracker_desc *desc) {
    bitnet_tracker *t = bitnet_alloc(&desc->allocator, sizeof *t);
    *out = t;
    if (!t) return BITNET_E_NOMEM;
    t->allocator = desc->allocator;
    uint32_t want = desc->ring_cap ? desc->ring_cap : 4096;
    for (t->ring_cap = 16; t->ring_cap < want && t->ring_cap < 1u << 20;)
        t->ring_cap *= 2;
    t->window.t0_ns = bitnet_os_now_ns();
    return BITNET_OK;
}

void bitnet_tracker_free(bitnet_tracker *t) {
    if (!t) return;
    bitnet_tracker_pump(t, bitnet_os_now_ns());
    for (int32_t i = 0; i < t->n_sinks; i++)
        if (t->sink[i].close) t->sink[i].close(t->sink[i].ctx);
    for (int32_t i = 0; i < t->n_rings; i++)
        ring_free(t, t->ring[i]);
    bitnet_allocator a = t->allocator;
    bitnet_free(&a, t, sizeof *t);
}

bitnet_ring *bitnet_tracker_ring(bitnet_tracker *t) {
    if (t->n_rings == N_RINGS) return NULL;
    bitnet_ring *r = ring_create(t, (uint16_t)t->n_rings);
    if (r) t->ring[t->n_rings++] = r;
    return r;
}

bitnet_status bitnet_tracker_add_sink(bitnet_tracker *t, bitnet_sink sink) {
    if (t->n_sinks == N_SINKS) return BITNET_E_INVAL;
    t->sink[t->n_sinks++] = sink;
    return BITNET_OK;
}

static void fold(bitnet_tracker *t, const bitnet_record *rec) {
    if (rec->metric >= BITNET_METRIC_COUNT || !isfinite(rec->value)) {
        t->n_invalid++; /* not a measurement: reported among the dropped, never as a number */
        return;
    }
    bitnet_window_metric *m = &t->window.metric[rec->metric];
    if (m->n == 0 || rec->value < m->min) m->min = rec->value;
    if (m->n == 0 || rec->value > m->max) m->max = rec->value;
    m->n++;
    m->sum += rec->value;
    m->last = rec->value;
    if (infos[rec->metric].kind == BITNET_KIND_HIST)
        bitnet_histogram_add(&t->hist[rec->metric], rec->value);
}

/* A percentile is a bucket's middle; it is never shown outside what was seen. */
static double clamped_quantile(const bitnet_histogram *h, const bitnet_window_metric *m, double q) {
    double v = bitnet_histogram_quantile(h, q);
    return v < m->min ? m->min : v > m->max ? m->max : v;
}

bitnet_status bitnet_tracker_pump(bitnet_tracker *t, uint64_t now_ns) {
    bitnet_window *w = &t->window;
    uint64_t n_dropped = 0;
    for (int32_t i = 0; i < t->n_rings; i++) {
        bitnet_record rec;
        while (bitnet_ring_pop(t->ring[i], &rec))
            fold(t, &rec);
        n_dropped += atomic_load_explicit(&t->ring[i]->n_dropped, memory_order_relaxed);
    }
    w->t1_ns = now_ns;
    w->seq++;
    w->n_dropped = n_dropped + t->n_invalid;
    for (int i = 0; i < BITNET_METRIC_COUNT; i++) {
        bitnet_window_metric *m = &w->metric[i];
        if (infos[i].kind != BITNET_KIND_HIST || m->n == 0) continue;
        m->p50 = clamped_quantile(&t->hist[i], m, 0.50);
        m->p95 = clamped_quantile(&t->hist[i], m, 0.95);
        memset(&t->hist[i], 0, sizeof t->hist[i]);
    }
    for (int32_t i = 0; i < t->n_sinks; i++)
        t->sink[i].write(t->sink[i].ctx, w);
    memset(w->metric, 0, sizeof w->metric);
    w->t0_ns = now_ns;
    return BITNET_OK;
}
