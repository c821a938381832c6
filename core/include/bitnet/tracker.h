/* tracker.h: what the program does, measured by itself, without slowing it down.
 *
 * Producer threads push 32-byte records into rings of their own (no lock, no allocation, no clock
 * call). About ten times a second `bitnet_tracker_pump` drains the rings, folds the records into
 * one window per metric and hands the windows to every sink. bitnet_report_open makes a sink that
 * writes bitnet-tracker.v1 messages (docs/protocol.md) to a transport.
 */
#ifndef BITNET_TRACKER_H
#define BITNET_TRACKER_H

#include <stdint.h>

#include "bitnet/hooks.h"
#include "bitnet/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bitnet_record {
    uint64_t t_ns;    /* monotonic clock, when the thing ended        */
    double value;     /* in the metric's unit, see metrics.def        */
    uint32_t request; /* engine request id; 0 = none                  */
    uint16_t metric;  /* BITNET_METRIC_*                              */
    uint16_t source;  /* index of the ring; filled by the ring        */
    uint64_t aux;     /* metric-specific, e.g. tokens in this step    */
} bitnet_record;      /* 32 bytes, checked at compile time            */

typedef enum bitnet_metric {
#define METRIC(id, unit, kind, wire, help) BITNET_METRIC_##id,
#include "bitnet/metrics.def"
#undef METRIC
    BITNET_METRIC_COUNT
} bitnet_metric;

typedef enum bitnet_metric_kind {
    BITNET_KIND_HIST,
    BITNET_KIND_GAUGE,
    BITNET_KIND_COUNTER
} bitnet_metric_kind;

typedef struct bitnet_metric_info {
    const char *wire, *unit, *help; /* name on the wire; UCUM unit; its definition */
    bitnet_metric_kind kind;
} bitnet_metric_info;
BITNET_API const bitnet_metric_info *bitnet_metric_get_info(bitnet_metric m);

typedef struct bitnet_ring bitnet_ring;
typedef struct bitnet_tracker bitnet_tracker;

/* One metric over one window. n == 0 means "not measured": never shown as zero. */
typedef struct bitnet_window_metric {
    uint64_t n;
    double sum, min, max, last;
    double p50, p95; /* HIST only; from log-linear buckets, within 1/32 of the true value */
} bitnet_window_metric;

typedef struct bitnet_window {
    uint64_t t0_ns, t1_ns; /* monotonic */
    uint64_t seq;          /* 1, 2, 3 ... */
    uint64_t n_dropped;    /* records lost since start: a ring was full, or the value not finite */
    bitnet_window_metric metric[BITNET_METRIC_COUNT];
} bitnet_window;

/* Windows out. `write` must not block. The tracker calls close. */
typedef struct bitnet_sink {
    bitnet_status (*write)(void *ctx, const bitnet_window *w);
    void (*close)(void *ctx);
    void *ctx;
} bitnet_sink;

/* Messages out. `send` queues one whole text message and never blocks: OK, or AGAIN when the peer
 * is slow or absent (the message is then dropped by the caller and counted). `n_opened` counts
 * connections made so far; when it grows, a new hello is due. */
typedef struct bitnet_transport {
    bitnet_status (*send)(void *ctx, const void *msg, size_t n);
    uint32_t (*n_opened)(void *ctx);
    void (*close)(void *ctx);
    void *ctx;
} bitnet_transport;

/* {0} is valid. */
typedef struct bitnet_tracker_desc {
    uint32_t ring_cap; /* records per ring, rounded up to a power of two; 0 = 4096 */
    bitnet_allocator allocator;
} bitnet_tracker_desc;

BITNET_API bitnet_status bitnet_tracker_create(bitnet_tracker **out,
                                               const bitnet_tracker_desc *desc);
BITNET_API void bitnet_tracker_free(bitnet_tracker *t); /* pumps once more, closes the sinks */
/* Once per producer thread, at start, before the first pump. At most 8; NULL past that. */
BITNET_API bitnet_ring *bitnet_tracker_ring(bitnet_tracker *t);
BITNET_API bitnet_status bitnet_tracker_add_sink(bitnet_tracker *t,
                                                 bitnet_sink sink); /* at most 4 */
/* Drain, fold, hand on. One thread at a time, the rings' only reader. */
BITNET_API bitnet_status bitnet_tracker_pump(bitnet_tracker *t, uint64_t now_ns);

/* Called by the producer thread only. Never blocks; a full ring drops the new record and counts it.
 * A NULL ring is allowed and does nothing. */
BITNET_API void bitnet_ring_push(bitnet_ring *r, uint64_t t_ns, bitnet_metric metric, double value,
                                 uint32_t request, uint64_t aux);

/* What "hello" says about this producer. Strings are copied. */
typedef struct bitnet_report_desc {
    const char *name;    /* row title on the board: "cli", "tab", ... */
    const char *backend; /* "cpu", "wasm" */
    const char *tier;    /* "avx512vnni", "relaxed" */
    const char *model;   /* "" when none */
    int32_t n_threads;
    uint64_t instance; /* random, tells a restarted producer from its predecessor; not 0 */
    bitnet_allocator allocator;
} bitnet_report_desc;

/* A sink that owns the transport: hello when a connection opens, window for each window with
 * records, bye on close. */
BITNET_API bitnet_status bitnet_report_open(bitnet_sink *out, bitnet_transport transport,
                                            const bitnet_report_desc *desc);

#ifdef __cplusplus
}
#endif
#endif
