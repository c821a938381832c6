/* tracker.h: what the program does, measured by itself, without slowing it down.
 *
 * Producer threads push 32-byte records into rings of their own (no lock, no allocation, no clock
 * call). About five times a second `bitnet_tracker_pump` drains the rings, folds the records into
 * one window per metric and hands the windows to every sink. bitnet_report_open makes a sink that
 * writes bitnet-tracker.v1 messages (docs/protocol.md) to a transport.
 */
#ifndef BITNET_TRACKER_H
#define BITNET_TRACKER_H

#include <stdint.h>

#include "bitnet/histogram.h"
#include "bitnet/hooks.h"
#include "bitnet/ops.h"
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
    BITNET_KIND_SIGNED, /* a gauge that may be below zero */
    BITNET_KIND_COUNTER
} bitnet_metric_kind;

typedef struct bitnet_metric_info {
    const char *wire, *unit, *help; /* name on the wire; UCUM unit; its definition */
    bitnet_metric_kind kind;
} bitnet_metric_info;
BITNET_API const bitnet_metric_info *bitnet_metric_get_info(bitnet_metric m);

typedef struct bitnet_ring bitnet_ring;
typedef struct bitnet_tracker bitnet_tracker;

/* One metric, or one series of it, over one window. n == 0 means "not measured": never shown as zero. */
typedef struct bitnet_window_metric {
    uint64_t n;
    double sum, min, max, last;
} bitnet_window_metric;

/* A metric split up by labels, such as kernel="tern_matmul". */
typedef struct bitnet_label {
    const char *key, *value; /* key: [a-zA-Z_][a-zA-Z0-9_]*; value: UTF-8 */
} bitnet_label;

#define BITNET_MAX_SERIES 256 /* of a tracker, */
#define BITNET_MAX_LABELS 4   /* of a series; */
#define BITNET_LABELS_CAP 256 /* bytes of them all as a JSON object, terminator included */

typedef struct bitnet_window_series {
    bitnet_metric metric;
    char labels[BITNET_LABELS_CAP]; /* {"kernel":"tern_matmul"} */
    bitnet_window_metric value;
} bitnet_window_series;

typedef struct bitnet_window {
    uint64_t t0_ns, t1_ns; /* monotonic */
    uint64_t n_dropped;    /* records lost since start: a ring was full, the value not finite, or no
                              room for one series more */
    bitnet_window_metric metric[BITNET_METRIC_COUNT];
    const bitnet_histogram *hist;       /* [BITNET_METRIC_COUNT], of KIND_HIST ones with n > 0 */
    const bitnet_window_series *series; /* [n_series]; value.n may be 0 */
    int32_t n_series;
} bitnet_window;

/* Windows out, some times a second. No call may block. The tracker calls close. */
typedef struct bitnet_sink {
    bitnet_status (*write)(void *ctx, const bitnet_window *w);
    /* a finished operation as JSON, after the window in which it ended; NULL: not wanted */
    bitnet_status (*op)(void *ctx, const char *json, size_t n);
    /* AGAIN while something that was written is not yet safe; NULL: never */
    bitnet_status (*settle)(void *ctx);
    void (*close)(void *ctx);
    void *ctx;
} bitnet_sink;

/* Messages out and in. `send` queues one whole text message and never blocks: OK, or AGAIN when the
 * peer is slow or absent. `receive` takes the oldest message that came, at most cap bytes, with the
 * time it came at: OK, or AGAIN when there is none; one that is longer is lost. NULL: nobody answers, and what was sent has arrived. `n_opened` counts connections made so far; when it grows, a new
 * hello is due. */
typedef struct bitnet_transport {
    bitnet_status (*send)(void *ctx, const void *msg, size_t n);
    bitnet_status (*receive)(void *ctx, char *msg, size_t cap, size_t *n, uint64_t *at_ns);
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
/* The series of a metric with these labels, to be pushed like a metric of its own: made when it is asked
 * for first. From the thread that pumps, or before the first pump. What is pushed to the answer when
 * there is no room, or the labels do not fit, is counted as dropped. Not for KIND_HIST. */
BITNET_API bitnet_metric bitnet_tracker_series(bitnet_tracker *t, bitnet_metric metric,
                                               const bitnet_label *labels, int32_t n_labels);
BITNET_API bitnet_status bitnet_tracker_add_sink(bitnet_tracker *t,
                                                 bitnet_sink sink); /* at most 4 */
/* Takes a finished operation, to be handed on by the next pump: the listener of a bitnet_ops, with the
 * tracker as its listener_ctx. From any thread; at most 256 wait, what finds no room is counted as dropped. */
BITNET_API void bitnet_tracker_take_op(void *tracker, const bitnet_op_record *record);
/* Drain, fold, hand on. One thread at a time, the rings' only reader. */
BITNET_API bitnet_status bitnet_tracker_pump(bitnet_tracker *t, uint64_t now_ns);
/* AGAIN while a sink holds something that would be lost with the program. */
BITNET_API bitnet_status bitnet_tracker_settle(bitnet_tracker *t);

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
    const char *host;    /* the machine, for people */
    const char *build;   /* "0.1.0 19cf141"; NULL = the version alone */
    const char *token;   /* that the hub asks for; NULL = none */
    int32_t n_threads;
    uint64_t instance; /* random, tells a restarted producer from its predecessor; not 0 */
    double expected_decode_rate; /* what this machine should reach; 0 = unknown */
    double expected_prefill_rate;
    size_t spool_bytes; /* messages kept until the hub has stored them; 0 = 4 MiB */
    bitnet_allocator allocator;
} bitnet_report_desc;

typedef struct bitnet_report_state {
    uint64_t n_produced;     /* messages so far, each a number */
    uint64_t n_acknowledged; /* of them, durable at the hub */
    uint64_t n_lost;         /* messages dropped from a full spool; declared as gaps */
    size_t spool_used;       /* bytes */
    bool is_welcome;         /* the hub has answered this connection's hello */
} bitnet_report_state;

/* A sink that owns the transport: hello when a connection opens, a numbered message for each window with
 * records, sent again until the hub acknowledges it, bye on close. The oldest messages give way when the
 * spool is full, and the hub is told which. */
BITNET_API bitnet_status bitnet_report_open(bitnet_sink *out, bitnet_transport transport,
                                            const bitnet_report_desc *desc);
BITNET_API bitnet_report_state bitnet_report_get_state(const bitnet_sink *report);

#ifdef __cplusplus
}
#endif
#endif
