/* stats.h: what the hub knows in memory of each producer: every metric since its first message and over
 * the last minute, its labelled series, what it lost. And in sum (totals.h), with the operations of
 * all, for as long as the hub lives. No socket, no clock, no database.
 *
 * Rows come and go as the hub's do: one for each instance, forgotten ten minutes after its end. The
 * last minute is by the hub's clock at arrival, in whole seconds: the one that runs and the 59 before.
 *
 * Memory is bounded whoever reports: STATS_BYTES_MAX for all metrics, buckets and series together.
 * A producer has at most STATS_SERIES_MAX series and all of them STATS_ALL_SERIES_MAX; what is
 * beyond is added to the one of its metric with the label __overflow__, and counted.
 */
#ifndef BITNET_DASH_STATS_H
#define BITNET_DASH_STATS_H

#include "bitnet/op_stats.h"
#include "dash/hub.h"
#include "dash/text.h"
#include "dash/totals.h"
#include "dash/values.h"

enum {
    STATS_SECONDS = 60, /* of "the last minute" */
    STATS_SERIES_MAX = 10 * 1000,
    STATS_ALL_SERIES_MAX = 100 * 1000,
    STATS_BYTES_MAX = 256 * 1024 * 1024,
    STATS_ROWS_MAX = HUB_PRODUCERS_MAX + HUB_ENDED_MAX,
    STATS_UNIT_MAX = 33,    /* bytes, terminator included */
    STATS_LIVE_MS = 2000,   /* since the last token: live; the report interval is 100 ms */
    STATS_SILENT_MS = 6000, /* without a message: silent; a producer reports every 2 s */
};

#define STATS_OVERFLOW_LABELS "{\"__overflow__\":\"true\"}"

typedef struct stats_second {
    uint64_t at; /* in seconds of the hub's monotonic clock */
    values v;
} stats_second;

typedef struct stats_metric {
    char name[MESSAGE_METRIC_NAME_MAX], unit[STATS_UNIT_MAX];
    bitnet_metric_kind kind; /* HIST, GAUGE or COUNTER: the words of a hello */
    int known;               /* its bitnet_metric when metrics.def has it as it is, else -1 */
    values all;
    stats_second *seconds; /* [STATS_SECONDS], NULL until a value comes */
    values overflow;       /* of series that found no room */
} stats_metric;

typedef struct stats_series {
    char *labels; /* as JSON, by key */
    const stats_metric *metric;
    values all;
} stats_series;

typedef struct stats_producer {
    uint32_t number; /* the hub's; rows are in ascending order of it */
    char instance[MESSAGE_INSTANCE_MAX];
    char name[65], backend[33], tier[33], model[257], host[257], build[65];
    int32_t threads;
    uint64_t started_ms, heard_wall_ms; /* since 1970 */
    uint64_t heard_ms, active_ms, ended_ms;
    bool is_active, is_ended, is_lost; /* active: active_ms is set */
    bool has_clock;
    double clock_offset_ms, clock_error_ms;
    struct cJSON *expected; /* NULL = none */
    uint64_t dropped;       /* as it says */
    stats_metric losses[3]; /* in the form of metrics, for alerts: STATS_DROPPED ... */
    stats_metric **metrics; /* in the order of the hello */
    int n_metrics;
    stats_series *series;
    uint32_t n_series, series_cap;
    uint32_t *index, index_cap; /* hash table: position in series + 1, 0 = free */
    int set;                    /* of totals */
} stats_producer;

enum { STATS_DROPPED, STATS_LOST, STATS_REJECTED };

typedef struct stats {
    stats_producer *rows[STATS_ROWS_MAX];
    int n_rows;
    totals *totals;
    bitnet_op_stats *ops; /* operations of all producers there ever were */
    size_t room;          /* bytes left of STATS_BYTES_MAX */
    uint32_t n_series;    /* of all rows */
    uint64_t n_overflow;  /* values that found no series */
    uint64_t n_samples, n_dropped, n_lost, n_rejected; /* of all producers there ever were */
    bitnet_bucket scratch[BITNET_HISTOGRAM_BUCKETS];
} stats;

stats *stats_create(void); /* NULL when out of memory */
void stats_free(stats *s); /* NULL is fine */

/* The hub's listener (hub.h); ctx is the stats. */
void stats_hear(void *ctx, const char *instance, const message *m, hub_time now);
void stats_hear_clock(void *ctx, const char *instance, double offset_ms, double error_ms);
/* Once a second: forgets rows. */
void stats_tick(stats *s, hub_time now);

/* As a hello says it: a gauge that may be below zero is a gauge. */
bitnet_metric_kind stats_kind(bitnet_metric m);
const stats_metric *stats_find(const stats_producer *p, const char *name);
/* The last minute of a metric; values_clear it into the same room. */
values stats_minute(const stats_metric *m, hub_time now, size_t *room);
const char *stats_state(const stats_producer *p, hub_time now); /* "live" ... */

/* "producers":[...] as /performance/stats wants it (docs/serve.md). */
void stats_write(const stats *s, text_buf *out, hub_time now);
/* "operations":{...} (docs/operations.md) */
void stats_write_operations(const stats *s, text_buf *out);

/* stats_ops.c, for stats.c: an operation that has ended. */
void stats_hear_op(stats *s, const struct cJSON *json);

#endif
