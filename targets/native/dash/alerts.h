/* alerts.h: rules over statistics, looked at once a second: which are broken, since when. No I/O.
 *
 *     inactive --met--> pending --met for the rule's time--> firing --not met, twice--> resolved
 *                          \--not met--> inactive
 *
 * A rule is looked at for each connected producer whose name fits. What is compared is of the last minute
 * (stats.h); a rule without a value, or without the expectation it asks for, is not met: nothing
 * ever fires for want of data. `expected` is what the producer's hello says of the metric.
 *
 * Besides metrics of producers there are "dropped", "lost_samples" and "rejected", counters of what
 * went missing in the last minute, and two values of the hub itself: "store_ok" (1 or 0; none where
 * no history is kept) and "loop_lag" in seconds. A change of state is told once.
 */
#ifndef BITNET_DASH_ALERTS_H
#define BITNET_DASH_ALERTS_H

#include "dash/alert_rule.h"
#include "dash/stats.h"

enum {
    ALERT_RULES_MAX = 96,
    ALERT_CHANGES_MAX = 256, /* changes remembered */
};

typedef enum alert_state { ALERT_PENDING, ALERT_FIRING, ALERT_RESOLVED } alert_state;

typedef struct alert {
    const alert_rule *rule;
    uint32_t producer; /* 0 = the hub itself */
    alert_state state;
    double value, limit; /* NaN: none any more */
    uint64_t since_ms;   /* of the hub's monotonic clock: of the state */
    uint64_t wall_ms;    /* the same since 1970 */
    bool was_clear;      /* firing, and not met when it was looked at last */
} alert;

/* Numbers of the hub itself; NaN = none. */
typedef struct alert_inputs {
    double store_ok, loop_lag_s;
} alert_inputs;

/* Called for each change to firing or resolved, with the message for viewers (docs/protocol.md); must
 * not call back. `instance` is "" for the hub itself. */
typedef void alert_told(void *ctx, const alert *a, const char *instance, const char *json);

typedef struct alerts alerts; /* NULL, to those that only look, is one without rules */

alerts *alerts_create(void); /* without rules; NULL when out of memory */
void alerts_free(alerts *a); /* NULL is fine */
/* E_INVAL as alert_rule_parse, and "alert.many". */
bitnet_status alerts_add(alerts *a, const char *rule, bitnet_error *err);
/* Those that come without being asked for (docs/alerts.md). */
bitnet_status alerts_add_defaults(alerts *a, bitnet_error *err);

/* Once a second. */
void alerts_look(alerts *a, const stats *s, const alert_inputs *in, hub_time now, alert_told *told,
                 void *ctx);

int alerts_n_firing(const alerts *a);
/* One sentence about the i-th that is firing; false past the end. */
bool alerts_reason(const alerts *a, int i, char *out, size_t cap);
/* "alerts":[...],"alert_changes":[...],"rules":[...] */
void alerts_write(const alerts *a, text_buf *out);

#endif
