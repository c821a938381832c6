/* prometheus.h: what the hub knows as Prometheus reads it: text format 0.0.4. No I/O.
 *
 * Names are `bitnet_`, the metric's, its base unit, and `_total` of counters; a few are those that others
 * use for the same thing (docs/serve.md has the list). Every name and every label's name is from a
 * fixed set: what a producer brings beyond metrics.def is in /performance/stats and not here. Values
 * of labels are strangers' text, escaped and limited in number (totals.h).
 */
#ifndef BITNET_DASH_PROMETHEUS_H
#define BITNET_DASH_PROMETHEUS_H

#include "dash/stats.h"

enum { PROMETHEUS_NAME_MAX = 128 };

/* What statistics do not know. */
typedef struct prometheus_hub {
    const char *version, *commit;
    int n_producers, n_viewers, n_firing;
    double uptime_s, loop_lag_s;
    double store_ok, store_queued; /* NaN: no history is kept */
} prometheus_hub;

void prometheus_write(text_buf *out, const stats *s, const prometheus_hub *h);

/* The name of a metric's family, in out. */
void prometheus_name(char out[PROMETHEUS_NAME_MAX], bitnet_metric m);

#endif
