/* histogram.c: see histogram.h. */
#include "tracker/histogram.h"

#include <math.h>

static int32_t bucket_of(double value) {
    if (!(value > 0)) return 0;
    int exp;
    double m = frexp(value, &exp); /* value = m * 2^exp, m in [1/2, 1) */
    exp--;                         /* = (2m) * 2^(exp), 2m in [1, 2) */
    if (exp < HISTOGRAM_MIN_EXP) return 0;
    if (exp >= HISTOGRAM_MAX_EXP) return HISTOGRAM_BUCKETS - 1;
    return (exp - HISTOGRAM_MIN_EXP) * HISTOGRAM_SUB + (int32_t)((2 * m - 1) * HISTOGRAM_SUB);
}

void bitnet_histogram_add(bitnet_histogram *h, double value) {
    h->n++;
    h->count[bucket_of(value)]++;
}

double bitnet_histogram_quantile(const bitnet_histogram *h, double q) {
    double rank =
        ceil(q * (double)h->n); /* nearest rank: the value with at least q of all at or below */
    uint64_t want = rank < 1 ? 1 : (uint64_t)rank, seen = 0;
    int32_t i = 0;
    for (; i < HISTOGRAM_BUCKETS - 1; i++) {
        seen += h->count[i];
        if (seen >= want) break;
    }
    double low = ldexp(1.0 + (double)(i % HISTOGRAM_SUB) / HISTOGRAM_SUB,
                       i / HISTOGRAM_SUB + HISTOGRAM_MIN_EXP);
    double width = ldexp(1.0 / HISTOGRAM_SUB, i / HISTOGRAM_SUB + HISTOGRAM_MIN_EXP);
    return low + width / 2;
}
