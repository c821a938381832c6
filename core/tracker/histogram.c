/* histogram.c: see bitnet/histogram.h. */
#include "bitnet/histogram.h"

#include <math.h>

#include "base/base.h"

#define MIN_EXP   BITNET_HISTOGRAM_MIN_EXP
#define MAX_EXP   BITNET_HISTOGRAM_MAX_EXP
#define SUB       BITNET_HISTOGRAM_SUB
#define N_BUCKETS BITNET_HISTOGRAM_BUCKETS

int32_t bitnet_histogram_bucket_of(double value) {
    if (!(value >= ldexp(1, MIN_EXP))) return 0;
    if (value >= ldexp(1, MAX_EXP)) return N_BUCKETS - 1;
    int exp;
    double m = frexp(value, &exp); /* value = m * 2^exp, m in [1/2, 1): 2m * 2^(exp-1) */
    return (exp - 1 - MIN_EXP) * SUB + (int32_t)((2 * m - 1) * SUB);
}

double bitnet_histogram_edge(int32_t i) {
    return ldexp(1.0 + (double)(i % SUB) / SUB, i / SUB + MIN_EXP);
}

/* Counts stop at the top instead of starting over at zero, and n stays their sum. */
static void add_count(bitnet_histogram *h, int32_t i, uint32_t count) {
    uint32_t room = UINT32_MAX - h->count[i], take = count < room ? count : room;
    h->count[i] += take;
    h->n += take;
}

void bitnet_histogram_add(bitnet_histogram *h, double value) {
    if (!isnan(value)) add_count(h, bitnet_histogram_bucket_of(value), 1);
}

void bitnet_histogram_merge(bitnet_histogram *into, const bitnet_histogram *from) {
    for (int32_t i = 0; i < N_BUCKETS; i++)
        add_count(into, i, from->count[i]);
}

double bitnet_histogram_quantile(const bitnet_histogram *h, double q) {
    if (h->n == 0) return (double)NAN;
    double rank = ceil(q * (double)h->n);
    uint64_t want = rank < 1 ? 1 : (uint64_t)rank, seen = 0;
    int32_t i = 0;
    for (; i < N_BUCKETS - 1; i++) {
        seen += h->count[i];
        if (seen >= want) break;
    }
    return (bitnet_histogram_edge(i) + bitnet_histogram_edge(i + 1)) / 2;
}

int32_t bitnet_histogram_export(const bitnet_histogram *h, bitnet_bucket *out, int32_t cap) {
    int32_t n = 0;
    for (int32_t i = 0; i < N_BUCKETS; i++) {
        if (h->count[i] == 0) continue;
        if (n < cap) out[n] = (bitnet_bucket){(uint32_t)i, h->count[i]};
        n++;
    }
    return n;
}

bitnet_status bitnet_histogram_import(bitnet_histogram *h, const bitnet_bucket *in, int32_t n,
                                      bitnet_error *err) {
    for (int32_t k = 0; k < n; k++) {
        if (in[k].index >= N_BUCKETS)
            return bitnet_fail(err, BITNET_E_FORMAT, "histogram.index",
                               "bucket %d has index %u; allowed are 0 to %d", (int)k, in[k].index,
                               N_BUCKETS - 1);
        if (k > 0 && in[k].index <= in[k - 1].index)
            return bitnet_fail(err, BITNET_E_FORMAT, "histogram.order",
                               "bucket %d has index %u after %u; they must ascend", (int)k,
                               in[k].index, in[k - 1].index);
        if (in[k].count == 0)
            return bitnet_fail(err, BITNET_E_FORMAT, "histogram.count",
                               "bucket %d, index %u, has count 0; allowed is 1 or more", (int)k,
                               in[k].index);
    }
    for (int32_t k = 0; k < n; k++)
        add_count(h, (int32_t)in[k].index, in[k].count);
    return BITNET_OK;
}
