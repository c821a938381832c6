/* overhead.c: see bitnet/overhead.h. */
#include "bitnet/overhead.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

#define RECORD_NS 10000000000u
#define DECODING  0.8 /* of a block's time must be tokens': what else goes on there is no overhead */
#define LEAST     5   /* tokens in a block */

static const double from_pumps_left_out =
    (double)BITNET_OVERHEAD_PUMPS / (BITNET_OVERHEAD_PUMPS - 1);

static void begin_block(bitnet_overhead *o) {
    if (!o->rng) o->rng = rng_seed(20261122);
    o->is_quiet = o->is_second ? !o->is_quiet : rng_next(&o->rng) >> 63;
    o->block[!o->is_quiet] = (bitnet_overhead_block){0};
}

static bool is_decoding(const bitnet_overhead_block *b) {
    return b->n >= LEAST && b->sum_s >= DECODING * b->span_s;
}

static void end_block(bitnet_overhead *o) {
    const bitnet_overhead_block *without = &o->block[0], *with = &o->block[1];
    o->is_second = !o->is_second;
    if (o->is_second || !is_decoding(without) || !is_decoding(with)) return;
    o->ratio[o->next] = with->sum_s / (double)with->n / (without->sum_s / (double)without->n);
    o->next = (o->next + 1) % BITNET_OVERHEAD_PAIRS;
    if (o->n_ratios < BITNET_OVERHEAD_PAIRS) o->n_ratios++;
}

bool bitnet_overhead_due(bitnet_overhead *o) {
    if (o->pump == 0) begin_block(o);
    o->pump = (o->pump + 1) % BITNET_OVERHEAD_PUMPS;
    return o->pump == 0 || !o->is_quiet;
}

void bitnet_overhead_window(bitnet_overhead *o, const bitnet_window *w) {
    const bitnet_window_metric *m = &w->metric[BITNET_METRIC_TPOT];
    bitnet_overhead_block *b = &o->block[!o->is_quiet];
    b->n += m->n;
    b->sum_s += m->sum;
    b->span_s += (double)(w->t1_ns - w->t0_ns) / 1e9;
    if (o->pump == 0) end_block(o);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bitnet_overhead_result bitnet_overhead_get(const bitnet_overhead *o) {
    const double unknown = (double)NAN;
    bitnet_overhead_result r = {
        .n = o->n_ratios, .share = unknown, .low = unknown, .high = unknown};
    if (r.n < BITNET_OVERHEAD_ENOUGH) return r;
    double sorted[BITNET_OVERHEAD_PAIRS];
    memcpy(sorted, o->ratio, (size_t)r.n * sizeof *sorted);
    qsort(sorted, (size_t)r.n, sizeof *sorted, ascending);
    /* the count of ratios below the true median is binomial(n, 1/2) */
    int32_t low = (int32_t)floor(r.n / 2.0 - 0.98 * sqrt(r.n)), high = r.n - 1 - low;
    double middle = r.n % 2 ? sorted[r.n / 2] : (sorted[r.n / 2 - 1] + sorted[r.n / 2]) / 2;
    r.share = (middle - 1) * from_pumps_left_out;
    r.low = (sorted[low] - 1) * from_pumps_left_out;
    r.high = (sorted[high] - 1) * from_pumps_left_out;
    return r;
}

void bitnet_overhead_record(bitnet_overhead *o, bitnet_ring *ring, uint64_t now_ns) {
    if (o->n_ratios < BITNET_OVERHEAD_ENOUGH || now_ns - o->recorded_ns < RECORD_NS) return;
    bitnet_overhead_result r = bitnet_overhead_get(o);
    o->recorded_ns = now_ns;
    bitnet_ring_push(ring, now_ns, BITNET_METRIC_OVERHEAD, r.share, 0, 0);
    bitnet_ring_push(ring, now_ns, BITNET_METRIC_OVERHEAD_LOW, r.low, 0, 0);
    bitnet_ring_push(ring, now_ns, BITNET_METRIC_OVERHEAD_HIGH, r.high, 0, 0);
}
