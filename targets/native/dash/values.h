/* values.h: measured values added up: how many, their sum, extremes and last, and of histograms the
 * buckets that are not empty, ascending. They can be added up again (core/include/bitnet/histogram.h):
 * windows to seconds, seconds to minutes, producers to a sum.
 *
 * {0} is no value. Memory comes out of a common room, so that strangers cannot make it grow without
 * bound: where nothing is left, a sum loses its buckets and with them its percentiles, never its
 * numbers.
 */
#ifndef BITNET_DASH_VALUES_H
#define BITNET_DASH_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bitnet/histogram.h"

struct cJSON;

typedef struct values {
    uint64_t n;
    double sum, min, max, last; /* of no value: not to be read */
    bitnet_bucket *b;
    uint32_t n_b, b_cap;
    bool is_cut; /* buckets were left out for want of memory */
} values;

/* `room`: bytes that may still be allocated; it shrinks and grows with what is. */
void values_add(values *into, const values *from, size_t *room);
void values_clear(values *v, size_t *room);

/* The value with at least q of all at or below it, within 1/32; NaN without buckets. */
double values_quantile(const values *v, double q);
double values_mean(const values *v); /* NaN of none */

/* Reads a checked value of a window (dash/message.h); the buckets go to `buckets`
 * [BITNET_HISTOGRAM_BUCKETS], which the result borrows: add it to another and forget it. */
values values_read(const struct cJSON *value, bitnet_bucket *buckets);

#endif
