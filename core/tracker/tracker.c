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
#include "tracker/json_writer.h"

#define N_RINGS 8
#define N_SINKS 4
#define N_OPS   256

/* A finished operation, as JSON. */
typedef struct waiting_op {
    struct waiting_op *next;
    size_t n;
    char json[];
} waiting_op;

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
    bitnet_window_series series[BITNET_MAX_SERIES];
    int32_t n_series;
    bitnet_os_mutex lock; /* guards what waits to be handed on: */
    waiting_op *first_op, **last_op;
    int32_t n_ops;
    uint64_t n_ops_lost;
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

static void begin_window(bitnet_tracker *t, uint64_t now_ns);

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
    t->last_op = &t->first_op;
    if (bitnet_os_mutex_init(&t->lock) < 0) {
        bitnet_free(&desc->allocator, t, sizeof *t);
        *out = NULL;
        return BITNET_E_NOMEM;
    }
    begin_window(t, bitnet_os_now_ns());
    return BITNET_OK;
}

void bitnet_tracker_free(bitnet_tracker *t) {
    if (!t) return;
    bitnet_tracker_pump(t, bitnet_os_now_ns());
    for (int32_t i = 0; i < t->n_sinks; i++)
        if (t->sink[i].close) t->sink[i].close(t->sink[i].ctx);
    for (int32_t i = 0; i < t->n_rings; i++)
        ring_free(t, t->ring[i]);
    bitnet_os_mutex_destroy(&t->lock);
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

/* ---- series -----------------------------------------------------------------------------------
 */

/* {"key":"value",...} in the order given. False when it does not fit. */
static bool print_labels(char out[BITNET_LABELS_CAP], const bitnet_label *labels, int32_t n) {
    bitnet_json_writer w = {.buf = out, .cap = BITNET_LABELS_CAP};
    for (int32_t i = 0; i < n; i++) {
        bitnet_json_put(&w, i ? "," : "{");
        bitnet_json_put_string(&w, labels[i].key);
        bitnet_json_put(&w, ":");
        bitnet_json_put_string(&w, labels[i].value);
    }
    bitnet_json_put(&w, "}");
    return n > 0 && n <= BITNET_MAX_LABELS && w.len < w.cap;
}

bitnet_metric bitnet_tracker_series(bitnet_tracker *t, bitnet_metric metric,
                                    const bitnet_label *labels, int32_t n_labels) {
    const bitnet_metric none = (bitnet_metric)UINT16_MAX;
    char text[BITNET_LABELS_CAP];
    if ((unsigned)metric >= BITNET_METRIC_COUNT || infos[metric].kind == BITNET_KIND_HIST ||
        !print_labels(text, labels, n_labels))
        return none;
    int32_t i = 0;
    while (i < t->n_series &&
           !(t->series[i].metric == metric && strcmp(t->series[i].labels, text) == 0))
        i++;
    if (i == BITNET_MAX_SERIES) return none;
    if (i == t->n_series) {
        t->series[i].metric = metric;
        memcpy(t->series[i].labels, text, sizeof text);
        t->n_series++;
    }
    return (bitnet_metric)(BITNET_METRIC_COUNT + i);
}

/* ---- folding ----------------------------------------------------------------------------------
 */

static void fold(bitnet_tracker *t, const bitnet_record *rec) {
    int32_t series = rec->metric - BITNET_METRIC_COUNT;
    if (series >= t->n_series || !isfinite(rec->value)) {
        t->n_invalid++; /* not a measurement: reported among the dropped, never as a number */
        return;
    }
    bitnet_window_metric *m =
        series < 0 ? &t->window.metric[rec->metric] : &t->series[series].value;
    if (m->n == 0 || rec->value < m->min) m->min = rec->value;
    if (m->n == 0 || rec->value > m->max) m->max = rec->value;
    m->n++;
    m->sum += rec->value;
    m->last = rec->value;
    if (series < 0 && infos[rec->metric].kind == BITNET_KIND_HIST)
        bitnet_histogram_add(&t->hist[rec->metric], rec->value);
}

/* ---- operations -------------------------------------------------------------------------------
 */

static void free_op(bitnet_tracker *t, waiting_op *op) {
    bitnet_free(&t->allocator, op, sizeof *op + op->n + 1);
}

void bitnet_tracker_take_op(void *tracker, const bitnet_op_record *record) {
    bitnet_tracker *t = tracker;
    size_t n = bitnet_op_record_write_json(record, NULL, 0);
    waiting_op *op = bitnet_alloc(&t->allocator, sizeof *op + n + 1);
    if (op) {
        op->n = n;
        bitnet_op_record_write_json(record, op->json, n + 1);
    }
    bitnet_os_mutex_lock(&t->lock);
    bool has_room = op && t->n_ops < N_OPS;
    if (has_room) {
        *t->last_op = op;
        t->last_op = &op->next;
        t->n_ops++;
    } else {
        t->n_ops_lost++;
    }
    bitnet_os_mutex_unlock(&t->lock);
    if (op && !has_room) free_op(t, op);
}

/* Takes all that wait at once, so that nobody waits for the sinks. */
static waiting_op *take_ops(bitnet_tracker *t, uint64_t *n_lost) {
    bitnet_os_mutex_lock(&t->lock);
    waiting_op *ops = t->first_op;
    t->first_op = NULL;
    t->last_op = &t->first_op;
    t->n_ops = 0;
    *n_lost = t->n_ops_lost;
    bitnet_os_mutex_unlock(&t->lock);
    return ops;
}

static void hand_on(bitnet_tracker *t, waiting_op *op) {
    while (op) {
        waiting_op *next = op->next;
        for (int32_t i = 0; i < t->n_sinks; i++)
            if (t->sink[i].op) t->sink[i].op(t->sink[i].ctx, op->json, op->n);
        free_op(t, op);
        op = next;
    }
}

/* ---- windows ----------------------------------------------------------------------------------
 */

static void begin_window(bitnet_tracker *t, uint64_t now_ns) {
    for (int i = 0; i < BITNET_METRIC_COUNT; i++)
        if (t->hist[i].n) memset(&t->hist[i], 0, sizeof t->hist[i]);
    for (int32_t i = 0; i < t->n_series; i++)
        t->series[i].value = (bitnet_window_metric){0};
    t->window = (bitnet_window){.t0_ns = now_ns, .hist = t->hist, .series = t->series};
}

bitnet_status bitnet_tracker_pump(bitnet_tracker *t, uint64_t now_ns) {
    uint64_t n_dropped = 0, n_ops_lost;
    waiting_op *ops = take_ops(t, &n_ops_lost);
    for (int32_t i = 0; i < t->n_rings; i++) {
        bitnet_record rec;
        while (bitnet_ring_pop(t->ring[i], &rec))
            fold(t, &rec);
        n_dropped += atomic_load_explicit(&t->ring[i]->n_dropped, memory_order_relaxed);
    }
    t->window.t1_ns = now_ns;
    t->window.n_dropped = n_dropped + t->n_invalid + n_ops_lost;
    t->window.n_series = t->n_series;
    for (int32_t i = 0; i < t->n_sinks; i++)
        t->sink[i].write(t->sink[i].ctx, &t->window);
    hand_on(t, ops);
    begin_window(t, now_ns);
    return BITNET_OK;
}

bitnet_status bitnet_tracker_settle(bitnet_tracker *t) {
    for (int32_t i = 0; i < t->n_sinks; i++)
        if (t->sink[i].settle && t->sink[i].settle(t->sink[i].ctx) == BITNET_AGAIN)
            return BITNET_AGAIN;
    return BITNET_OK;
}
