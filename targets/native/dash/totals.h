/* totals.h: counters and histograms of all producers there ever were, by what they ran on and what
 * they ran: {backend, tier, model}. They only grow while the hub lives, as Prometheus wants it.
 *
 * Only metrics of metrics.def are kept, so names come from a fixed set; values of labels are
 * strangers' text and limited in number: beyond TOTALS_SETS_MAX sets, and TOTALS_SPLITS_MAX values of a
 * metric's own label, everything goes to those named __overflow__.
 */
#ifndef BITNET_DASH_TOTALS_H
#define BITNET_DASH_TOTALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bitnet/tracker.h"
#include "dash/values.h"

enum {
    TOTALS_SETS_MAX = 128,
    TOTALS_SPLITS_MAX = 4096,
    TOTALS_BOUNDS_MAX = 24,
    TOTALS_LABEL_MAX = 257, /* bytes of a label's value, terminator included */
};

#define TOTALS_OVERFLOW "__overflow__"

typedef struct totals_set {
    char backend[33], tier[33], model[TOTALS_LABEL_MAX];
} totals_set;

typedef struct total {
    uint64_t n;
    double sum;
    uint64_t below[TOTALS_BOUNDS_MAX]; /* of histograms: values certainly at or below each bound */
} total;

/* A part of a metric of one set: that with its label at this value. */
typedef struct totals_split {
    int set;
    bitnet_metric metric;
    char value[TOTALS_LABEL_MAX];
    total total;
} totals_split;

typedef struct totals {
    int n_sets; /* the last of a full table is the overflow */
    totals_set sets[TOTALS_SETS_MAX];
    total *of[TOTALS_SETS_MAX]; /* [BITNET_METRIC_COUNT] */
    int n_splits;
    totals_split *splits; /* by set, metric and value */
    int splits_cap;
} totals;

totals *totals_create(void); /* NULL when out of memory */
void totals_free(totals *t); /* NULL is fine */

/* The set of these labels, made when it is new; -1 when out of memory. */
int totals_find(totals *t, const char *backend, const char *tier, const char *model);
void totals_add(totals *t, int set, bitnet_metric m, const values *v);
/* `value` of the metric's own label; NULL where a series does not have it, which is "". */
void totals_add_split(totals *t, int set, bitnet_metric m, const char *value, const values *v);

/* Upper bounds of the histogram of a metric, ascending, in its unit; *n <= TOTALS_BOUNDS_MAX. A bucket of
 * ours that straddles a bound counts as above it, so that no value is counted where it does not
 * belong; those of its last sixteenth may be missing. */
const double *totals_bounds(bitnet_metric m, int *n);

#endif
