/* op_stats.h: finished operations added up: by type, by strategy and by both; and the last of them.
 *
 * bitnet_ops keeps one for its own operations; who receives the records of others keeps another. Memory
 * is bounded: past max_groups of a kind, and where memory is refused, operations go into a group named
 * "__overflow__", and are counted. Not for two threads at once.
 *
 * Durations, throughput and the trend of durations are those of operations that succeeded: one that
 * fails at once is not a fast one. Peaks and quality are of all. Not measured is NaN, never 0.
 */
#ifndef BITNET_OP_STATS_H
#define BITNET_OP_STATS_H

#include "bitnet/histogram.h"
#include "bitnet/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BITNET_OP_OVERFLOW  "__overflow__"
#define BITNET_OP_UNITS_MAX 4 /* different units in a group */

/* {0} is valid. */
typedef struct bitnet_op_stats_desc {
    int32_t max_groups;  /* of each kind; 0 = 64 */
    int32_t max_history; /* records kept; 0 = 256, below 0 = none */
    bitnet_allocator allocator;
} bitnet_op_stats_desc;

/* As bitnet_ops_create. */
BITNET_API bitnet_status bitnet_op_stats_create(bitnet_op_stats **out,
                                                const bitnet_op_stats_desc *desc);
BITNET_API void bitnet_op_stats_free(bitnet_op_stats *s); /* NULL is fine */
/* Copies what it keeps. Texts may be NULL, which is "". */
BITNET_API void bitnet_op_stats_add(bitnet_op_stats *s, const bitnet_op_record *record);

typedef enum bitnet_op_by {
    BITNET_OP_BY_NOTHING,  /* one group: everything */
    BITNET_OP_BY_TYPE,     /* operations without a type are left out */
    BITNET_OP_BY_STRATEGY, /* and here those without a strategy */
    BITNET_OP_BY_BOTH,     /* and here those that lack one of them */
    BITNET_OP_BY_COUNT
} bitnet_op_by;

typedef struct bitnet_op_throughput {
    const char *unit;
    double units, seconds; /* of the operations that told this unit */
    double per_second;     /* of operation time: operations side by side do not add up */
} bitnet_op_throughput;

/* Pointers are valid until the next add. */
typedef struct bitnet_op_summary {
    const char *type, *strategy; /* "" for what the group is not made by */
    uint64_t count, n_failed;
    double success_rate; /* 0 to 1 */
    uint64_t n_timed;    /* operations that the next seven are taken over */
    double mean_s, min_s, max_s;
    double p50_s, p90_s, p95_s, p99_s; /* within 1/32, see bitnet/histogram.h */
    const bitnet_histogram *durations; /* seconds; to be merged with others, or exported */
    double quality;                    /* mean of those that told one */
    double peak[BITNET_OP_PEAK_COUNT]; /* the largest */
    int32_t n_units;
    bitnet_op_throughput throughput[BITNET_OP_UNITS_MAX];
    uint64_t n_units_dropped; /* operations whose unit was one too many */
} bitnet_op_summary;

/* The groups of a kind are numbered from 0 in the order in which they appeared; the one named
 * "__overflow__", once there is one, is the last. */
BITNET_API int32_t bitnet_op_stats_n_groups(const bitnet_op_stats *s, bitnet_op_by by);
/* False when there is no such group. */
BITNET_API bool bitnet_op_stats_get(const bitnet_op_stats *s, bitnet_op_by by, int32_t i,
                                    bitnet_op_summary *out);
/* Its number, or -1; what the group is not made by is not looked at. */
BITNET_API int32_t bitnet_op_stats_find(const bitnet_op_stats *s, bitnet_op_by by, const char *type,
                                        const char *strategy);

#define BITNET_OP_TREND_SPAN 40 /* the latest operations that a trend looks at */
#define BITNET_OP_TREND_MIN  10 /* fewer durations are not enough */
#define BITNET_OP_RECENT                                                                           \
    20 /* the latest operations whose success is put beside that of all before */

typedef enum bitnet_trend {
    BITNET_TREND_UNKNOWN, /* not enough operations: see the n beside it */
    BITNET_TREND_STEADY,  /* the interval holds 0 */
    BITNET_TREND_UP,
    BITNET_TREND_DOWN
} bitnet_trend;

/* Intervals are of 95 %. */
typedef struct bitnet_op_trend {
    bitnet_trend duration;         /* up: it takes longer and longer */
    int32_t n;                     /* durations among the latest operations */
    double slope_s, low_s, high_s; /* Theil-Sen, seconds an operation */
    double change; /* over these n, as a share of their median: 0.1 is 10 % slower */

    bitnet_trend success; /* up: more of the recent ones succeed */
    int32_t n_recent;
    uint64_t n_before;
    double rate_recent, rate_before;
    double difference, low, high; /* recent less before; Newcombe's interval */
} bitnet_op_trend;
BITNET_API bool bitnet_op_stats_get_trend(const bitnet_op_stats *s, bitnet_op_by by, int32_t i,
                                          bitnet_op_trend *out);

/* The last records: 0 is the newest; NULL past the oldest kept. Valid until the next add. */
BITNET_API const bitnet_op_record *bitnet_op_stats_recent(const bitnet_op_stats *s, int32_t i);

typedef struct bitnet_op_stats_counts {
    uint64_t n_added;
    int32_t n_history;
    uint64_t n_history_dropped; /* records that are not in the history any more, or never were */
    uint64_t n_overflow[BITNET_OP_BY_COUNT]; /* operations in "__overflow__" */
} bitnet_op_stats_counts;
BITNET_API void bitnet_op_stats_get_counts(const bitnet_op_stats *s, bitnet_op_stats_counts *out);

/* As bitnet_ops_write_json, without what only bitnet_ops counts. */
BITNET_API size_t bitnet_op_stats_write_json(const bitnet_op_stats *s, char *buf, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
