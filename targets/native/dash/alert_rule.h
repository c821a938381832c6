/* alert_rule.h: the language of alerts (docs/alerts.md): text to rule. No I/O.
 *
 *     METRIC [STAT] OP [FACTOR *] (NUMBER[UNIT] | expected) [for DURATION] [where name=TEXT]
 *
 *     decode_rate < 0.7 * expected for 30s
 *     time_to_first_token p95 > 500ms
 *     memory > 1GB for 10s where name=server
 */
#ifndef BITNET_DASH_ALERT_RULE_H
#define BITNET_DASH_ALERT_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "bitnet/status.h"

enum {
    ALERT_TEXT_MAX = 200,       /* bytes of a rule, terminator included */
    ALERT_METRIC_MAX = 64,      /* as a metric's name in a hello */
    ALERT_NAME_MAX = 65,        /* as a producer's */
    ALERT_FOR_MAX_S = 24 * 3600 /* of "for" */
};

typedef enum alert_stat {
    ALERT_DEFAULT, /* gauge: last; histogram: p50; counter: sum */
    ALERT_N,
    ALERT_SUM,
    ALERT_RATE, /* sum per second of the minute */
    ALERT_MEAN,
    ALERT_MIN,
    ALERT_MAX,
    ALERT_LAST,
    ALERT_P50,
    ALERT_P90,
    ALERT_P95,
    ALERT_P99,
    ALERT_STAT_COUNT
} alert_stat;

typedef enum alert_op { ALERT_BELOW, ALERT_AT_MOST, ALERT_ABOVE, ALERT_AT_LEAST } alert_op;

typedef struct alert_rule {
    char text[ALERT_TEXT_MAX]; /* as it was given, blanks around it left out */
    char metric[ALERT_METRIC_MAX];
    alert_stat stat;
    alert_op op;
    double factor;             /* 1 where none is given */
    double number;             /* in the metric's unit; unless */
    bool is_expected;          /* the producer's hello says it */
    uint64_t for_ms;           /* 0 = at once */
    char name[ALERT_NAME_MAX]; /* of the producers it is for; "" = all */
} alert_rule;

/* The names that issues and other tools use for metrics of ours are understood:
 * decode_tokens_per_second, prefill_tokens_per_second, cache_hit_rate. A metric that metrics.def does not
 * have is allowed, since producers may bring their own; one that it has must fit the unit.
 * E_INVAL: "alert.metric", "alert.stat", "alert.operator", "alert.number", "alert.unit",
 * "alert.duration", "alert.where", "alert.end", "alert.length"; the sentence names the column (from 1),
 * what was found and what is allowed. */
bitnet_status alert_rule_parse(alert_rule *out, const char *text, bitnet_error *err);

/* Does the value break the limit? */
bool alert_rule_is_met(const alert_rule *r, double value, double limit);

#endif
