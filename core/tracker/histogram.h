/* histogram.h: log-linear buckets of fixed size, mergeable, for values over nine decades.
 *
 * Sixteen linear buckets in each power of two from 2^-30 (1 ns as seconds) to 2^34: a percentile is
 * the middle of its bucket, within 1/32 of the true value. Values outside fall into the end
 * buckets.
 */
#ifndef BITNET_HISTOGRAM_H
#define BITNET_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_MIN_EXP -30
#define HISTOGRAM_MAX_EXP 34
#define HISTOGRAM_SUB     16
#define HISTOGRAM_BUCKETS ((HISTOGRAM_MAX_EXP - HISTOGRAM_MIN_EXP) * HISTOGRAM_SUB)

typedef struct bitnet_histogram {
    uint64_t n;
    uint32_t count[HISTOGRAM_BUCKETS];
} bitnet_histogram;

void bitnet_histogram_add(bitnet_histogram *h, double value);
/* q in [0, 1]; the histogram must not be empty. */
double bitnet_histogram_quantile(const bitnet_histogram *h, double q);

#endif
