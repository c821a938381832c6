/* histogram.h: log-linear buckets of fixed size, for percentiles that can be added up.
 *
 * Sixteen linear buckets in each power of two from 2^-30 (1 ns as seconds) to 2^34: bucket i holds
 * [2^(-30 + i/16) * (1 + (i%16)/16), the next one's edge), i/16 rounded down. A percentile is the
 * middle of its bucket, within 1/32 of the true value. What lies outside falls into the end buckets:
 * zero and below into the first. Averages of percentiles mean nothing, merged buckets do: windows,
 * producers and runs are added up before a percentile is taken.
 *
 * {0} is an empty histogram. n is the sum of the counts, always; a bucket that holds 2^32 - 1 takes
 * no more. Not for two threads at once.
 */
#ifndef BITNET_HISTOGRAM_H
#define BITNET_HISTOGRAM_H

#include <stdint.h>

#include "bitnet/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BITNET_HISTOGRAM_MIN_EXP (-30)
#define BITNET_HISTOGRAM_MAX_EXP 34
#define BITNET_HISTOGRAM_SUB     16 /* buckets in a power of two */
#define BITNET_HISTOGRAM_BUCKETS                                                                   \
    ((BITNET_HISTOGRAM_MAX_EXP - BITNET_HISTOGRAM_MIN_EXP) * BITNET_HISTOGRAM_SUB)

typedef struct bitnet_histogram {
    uint64_t n;
    uint32_t count[BITNET_HISTOGRAM_BUCKETS];
} bitnet_histogram;

/* One bucket that is not empty: how histograms are sent and stored (docs/protocol.md). */
typedef struct bitnet_bucket {
    uint32_t index, count;
} bitnet_bucket;

/* NaN is no measurement and is not added. */
BITNET_API void bitnet_histogram_add(bitnet_histogram *h, double value);
BITNET_API void bitnet_histogram_merge(bitnet_histogram *into, const bitnet_histogram *from);

/* The value with at least q of all at or below it (nearest rank), q in [0, 1]; NaN when h is empty. */
BITNET_API double bitnet_histogram_quantile(const bitnet_histogram *h, double q);

/* The bucket of a value, 0 to BITNET_HISTOGRAM_BUCKETS - 1 (0 for NaN), and a bucket's lower edge, which
 * is the upper one of the bucket before it; i may be BITNET_HISTOGRAM_BUCKETS. */
BITNET_API int32_t bitnet_histogram_bucket_of(double value);
BITNET_API double bitnet_histogram_edge(int32_t i);

/* Writes the buckets that are not empty, ascending, as many as `cap` has room for, and returns how
 * many there are. `out` may be NULL when cap is 0. */
BITNET_API int32_t bitnet_histogram_export(const bitnet_histogram *h, bitnet_bucket *out,
                                           int32_t cap);
/* Adds what export wrote. E_FORMAT when an index is out of range or not ascending, or a count is 0
 * ("histogram.index", "histogram.order", "histogram.count"); h is then as it was. */
BITNET_API bitnet_status bitnet_histogram_import(bitnet_histogram *h, const bitnet_bucket *in,
                                                 int32_t n, bitnet_error *err);

#ifdef __cplusplus
}
#endif
#endif
