/* leak.c: see bitnet/leak.h: the points that cover a run, and what they say. */
#include "bitnet/leak.h"

#include <math.h>

#include "tracker/slope.h"

/* Half as many points, each the mean of two. */
static void halve(bitnet_leak *l) {
    l->n_points /= 2;
    for (int32_t i = 0; i < l->n_points; i++) {
        l->t[i] = (l->t[2 * i] + l->t[2 * i + 1]) / 2;
        l->y[i] = (l->y[2 * i] + l->y[2 * i + 1]) / 2;
    }
    l->stride *= 2;
}

void bitnet_leak_add(bitnet_leak *l, uint64_t t_ns, double bytes) {
    if (!isfinite(bytes) || (l->n > 0 && t_ns <= l->last_ns)) return;
    if (l->n == 0) {
        l->first_ns = l->recorded_ns = t_ns;
        l->stride = 1;
    }
    l->n++;
    l->last_ns = t_ns;
    l->t_sum += (double)(t_ns - l->first_ns) * 1e-9;
    l->y_sum += bytes;
    if (++l->n_pending < l->stride) return;
    l->t[l->n_points] = l->t_sum / l->stride;
    l->y[l->n_points] = l->y_sum / l->stride;
    l->t_sum = l->y_sum = 0;
    l->n_pending = 0;
    if (++l->n_points == BITNET_LEAK_POINTS) halve(l);
}

bitnet_leak_result bitnet_leak_get(const bitnet_leak *l) {
    bitnet_leak_result r = {l->n, (double)NAN, (double)NAN, (double)NAN, BITNET_LEAK_NOT_ENOUGH};
    if (l->n < BITNET_LEAK_ENOUGH) return r;
    int32_t n = l->n_points, half = n / 2;
    bitnet_slope whole = bitnet_slope_fit(l->t, l->y, n);
    bitnet_slope first = bitnet_slope_fit(l->t, l->y, half);
    bitnet_slope second = bitnet_slope_fit(l->t + half, l->y + half, n - half);
    r.slope = whole.value;
    r.low = fmin(whole.low, fmin(first.low, second.low));
    r.high = fmax(whole.high, fmax(first.high, second.high));
    r.verdict = r.low > 0 ? BITNET_LEAK_GROWING : BITNET_LEAK_NONE;
    return r;
}

void bitnet_leak_record(bitnet_leak *l, bitnet_ring *ring, uint64_t t_ns, double bytes) {
    bitnet_leak_add(l, t_ns, bytes);
    if (l->n < BITNET_LEAK_ENOUGH || t_ns - l->recorded_ns < BITNET_LEAK_EACH_NS) return;
    bitnet_leak_result r = bitnet_leak_get(l);
    l->recorded_ns = t_ns;
    bitnet_ring_push(ring, t_ns, BITNET_METRIC_MEMORY_SLOPE, r.slope, 0, 0);
    bitnet_ring_push(ring, t_ns, BITNET_METRIC_MEMORY_SLOPE_LOW, r.low, 0, 0);
    bitnet_ring_push(ring, t_ns, BITNET_METRIC_MEMORY_SLOPE_HIGH, r.high, 0, 0);
}
