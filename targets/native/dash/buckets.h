/* buckets.h: the histogram of a sample as the history keeps it: a few (index, count) pairs.
 *
 * Bucket i is [2^(-30 + i/16) * (1 + (i%16)/16), next edge), 1024 of them (docs/protocol.md). In a
 * database it is a BLOB of LEB128 numbers: for every bucket that holds something, ascending, the
 * distance of its index from the one before (the first: the index itself) and its count, which is
 * never 0. What is not exactly that is refused. Counts have 64 bits: years of samples come together.
 */
#ifndef BITNET_DASH_BUCKETS_H
#define BITNET_DASH_BUCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BUCKETS_N = 1024,
    BUCKETS_BLOB_MAX = BUCKETS_N * (2 + 10), /* an index below 2^14, a count below 2^64 */
};

typedef struct buckets {
    int n; /* pairs; 0: the metric has no histogram */
    struct {
        int32_t index; /* 0..1023, ascending */
        uint64_t count;
    } b[BUCKETS_N];
} buckets;

/* Bytes written to out [BUCKETS_BLOB_MAX]. */
size_t buckets_encode(const buckets *from, uint8_t *out);
/* False, and *out empty, when the bytes are no such BLOB. No bytes are no buckets. */
bool buckets_decode(buckets *out, const void *blob, size_t n);
/* Adds the counts of `from`; a count that would pass 2^64 - 1 stays there. */
void buckets_merge(buckets *into, const buckets *from);
/* The middle of the bucket that holds the value with at least q (0..1) of all at or below it, but
 * never outside [min, max], the extremes of the samples; there must be a bucket. */
double buckets_quantile(const buckets *of, double q, double min, double max);

#endif
