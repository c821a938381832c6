/* op_trend.c: see op_trend.h. */
#include "tracker/op_trend.h"

#include <math.h>

#define Z95     1.959963984540054 /* quantile 0.975 of the normal distribution */
#define MISSING ((double)NAN)
#define N_PAIRS (BITNET_OP_TREND_SPAN * (BITNET_OP_TREND_SPAN - 1) / 2)

/* Shell sort with Ciura's gaps: a few hundred values, no memory. */
static void sort(double *v, int32_t n) {
    static const int32_t gaps[] = {301, 132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < sizeof gaps / sizeof *gaps; g++)
        for (int32_t i = gaps[g]; i < n; i++) {
            double moving = v[i];
            int32_t k = i;
            for (; k >= gaps[g] && v[k - gaps[g]] > moving; k -= gaps[g])
                v[k] = v[k - gaps[g]];
            v[k] = moving;
        }
}

static double median(const double *sorted, int32_t n) {
    return (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
}

static bitnet_trend trend_of(double low, double high) {
    return low > 0 ? BITNET_TREND_UP : high < 0 ? BITNET_TREND_DOWN : BITNET_TREND_STEADY;
}

/* y [n] in the order of time; is sorted on the way */
static void find_slope(bitnet_op_trend *out, double *y, int32_t n) {
    double slope[N_PAIRS];
    int32_t n_pairs = 0;
    for (int32_t i = 0; i < n; i++)
        for (int32_t k = i + 1; k < n; k++)
            slope[n_pairs++] = (y[k] - y[i]) / (k - i);
    sort(slope, n_pairs);
    double spread = Z95 * sqrt((double)n * (n - 1) * (2 * n + 5) / 18);
    int32_t rank = (int32_t)floor((n_pairs - spread) / 2) - 1;
    if (rank < 0) rank = 0;
    out->slope_s = median(slope, n_pairs);
    out->low_s = slope[rank];
    out->high_s = slope[n_pairs - 1 - rank];
    out->duration = trend_of(out->low_s, out->high_s);
    sort(y, n);
    if (median(y, n) > 0) out->change = out->slope_s * (n - 1) / median(y, n);
}

/* Wilson's score interval of k successes in n */
static void find_rate(double k, double n, double *rate, double *low, double *high) {
    double z2 = Z95 * Z95, p = k / n, mid = p + z2 / (2 * n);
    double spread = Z95 * sqrt(p * (1 - p) / n + z2 / (4 * n * n));
    *rate = p;
    *low = (mid - spread) / (1 + z2 / n);
    *high = (mid + spread) / (1 + z2 / n);
}

static void find_difference(bitnet_op_trend *out, uint64_t n_ok_recent, uint64_t n_ok_before) {
    double p1, l1, u1, p2, l2, u2;
    find_rate((double)n_ok_recent, (double)out->n_recent, &p1, &l1, &u1);
    find_rate((double)n_ok_before, (double)out->n_before, &p2, &l2, &u2);
    out->rate_recent = p1;
    out->rate_before = p2;
    out->difference = p1 - p2;
    out->low = out->difference - sqrt((p1 - l1) * (p1 - l1) + (u2 - p2) * (u2 - p2));
    out->high = out->difference + sqrt((u1 - p1) * (u1 - p1) + (p2 - l2) * (p2 - l2));
    out->success = trend_of(out->low, out->high);
}

void bitnet_op_trend_of(bitnet_op_trend *out, const bitnet_op_outcome *latest, int32_t n,
                        uint64_t count, uint64_t n_failed) {
    double y[BITNET_OP_TREND_SPAN];
    *out = (bitnet_op_trend){.slope_s = MISSING,
                             .low_s = MISSING,
                             .high_s = MISSING,
                             .change = MISSING,
                             .rate_recent = MISSING,
                             .rate_before = MISSING,
                             .difference = MISSING,
                             .low = MISSING,
                             .high = MISSING};
    for (int32_t i = 0; i < n; i++)
        if (!isnan(latest[i].duration_s)) y[out->n++] = latest[i].duration_s;
    if (out->n >= BITNET_OP_TREND_MIN) find_slope(out, y, out->n);

    uint64_t n_ok_recent = 0;
    out->n_recent = n < BITNET_OP_RECENT ? n : BITNET_OP_RECENT;
    out->n_before = count - (uint64_t)out->n_recent;
    for (int32_t i = n - out->n_recent; i < n; i++)
        n_ok_recent += latest[i].ok;
    if (out->n_recent == BITNET_OP_RECENT && out->n_before >= BITNET_OP_TREND_MIN)
        find_difference(out, n_ok_recent, count - n_failed - n_ok_recent);
}
