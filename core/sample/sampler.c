/* sampler.c: bitnet/sampler.h. Candidates are taken from a binary heap, largest first, only as many
 * as the filters keep; the order (logit descending, id ascending) is total, so every target agrees.
 */
#include "bitnet/sampler.h"

#include <math.h>

#include "base/base.h"
#include "base/fmath.h"
#include "base/rng.h"

typedef struct candidate {
    float logit;
    int32_t id;
} candidate;

bitnet_sampler_desc bitnet_sampler_default(void) {
    return (bitnet_sampler_desc){
        .temp = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .seed = 0};
}

static bitnet_status check_range(const char *name, double v, double min, double max,
                                 bitnet_error *err) {
    if (v >= min && v <= max) return BITNET_OK; /* false for NaN */
    return bitnet_fail(err, BITNET_E_INVAL, "sampler.range",
                       "%s is %.10g; allowed are %.10g to %.10g", name, v, min, max);
}

bitnet_status bitnet_sampler_check(const bitnet_sampler_desc *d, bitnet_error *err) {
    bitnet_status st = check_range("temp", (double)d->temp, 0, 100, err);
    if (st >= 0) st = check_range("top_k", d->top_k, 0, INT32_MAX, err);
    if (st >= 0) st = check_range("top_p", (double)d->top_p, 0, 1, err);
    if (st >= 0) st = check_range("min_p", (double)d->min_p, 0, 1, err);
    return st;
}

void bitnet_sampler_init(bitnet_sampler *s, const bitnet_sampler_desc *desc) {
    s->desc = *desc;
    s->rng = rng_seed(desc->seed);
}

size_t bitnet_sampler_scratch_size(int32_t n_vocab) {
    return (size_t)n_vocab * sizeof(candidate);
}

static bool comes_before(candidate a, candidate b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/* Restores the heap property of c[0..n) below index i: every parent comes before its children. */
static void sift_down(candidate *c, int32_t n, int32_t i) {
    candidate moving = c[i];
    for (;;) {
        int32_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && comes_before(c[child + 1], c[child])) child++;
        if (!comes_before(c[child], moving)) break;
        c[i] = c[child];
        i = child;
    }
    c[i] = moving;
}

/* Moves the first of the heap c[0..n) to c[n - 1]. Popping repeatedly leaves the candidates sorted
 * from the array's end backwards. */
static candidate pop(candidate *c, int32_t n) {
    candidate top = c[0];
    c[0] = c[n - 1];
    c[n - 1] = top;
    sift_down(c, n - 1, 0);
    return top;
}

/* e^x for x <= 0, 0 where it no longer matters */
static double weight_of(double x) {
    return x < -700.0 ? 0.0 : fmath_exp(x);
}

bitnet_token bitnet_sampler_next(bitnet_sampler *s, const float *logits, int32_t n_vocab,
                                 void *scratch) {
    candidate *c = scratch;
    candidate best = {logits[0], 0};
    for (int32_t i = 0; i < n_vocab; i++) {
        if (!isfinite(logits[i])) return BITNET_E_BACKEND;
        if (logits[i] > best.logit) best = (candidate){logits[i], i};
    }
    if (s->desc.temp <= 0.0f) return best.id;

    for (int32_t i = 0; i < n_vocab; i++)
        c[i] = (candidate){logits[i], i};
    for (int32_t i = n_vocab / 2 - 1; i >= 0; i--)
        sift_down(c, n_vocab, i);

    /* top-k, then the normaliser of what is left at temperature 1. The survivors end up sorted in
     * c[n_vocab - 1], c[n_vocab - 2], ...; without top-k they are popped only as top-p asks for
     * them. */
    int32_t k = s->desc.top_k > 0 && s->desc.top_k < n_vocab ? s->desc.top_k : n_vocab;
    int32_t n_popped = 0;
    double total = 0.0, max = (double)best.logit;
    if (k < n_vocab) {
        for (; n_popped < k; n_popped++)
            total += weight_of((double)pop(c, n_vocab - n_popped).logit - max);
    } else if (s->desc.top_p > 0.0f && s->desc.top_p < 1.0f) {
        for (int32_t i = 0; i < n_vocab; i++)
            total += weight_of((double)logits[i] - max);
    }

    double enough = s->desc.top_p > 0.0f && s->desc.top_p < 1.0f ? (double)s->desc.top_p * total
                                                                 : (double)INFINITY;
    double least =
        s->desc.min_p > 0.0f ? max + fmath_log((double)s->desc.min_p) : -(double)INFINITY;
    double seen = 0.0, mass = 0.0;
    int32_t n_keep = 0;
    while (n_keep < k && seen < enough) {
        candidate next = n_keep < n_popped ? c[n_vocab - 1 - n_keep] : pop(c, n_vocab - n_keep);
        if ((double)next.logit < least && n_keep > 0) break;
        if (enough < (double)INFINITY) seen += weight_of((double)next.logit - max);
        mass += weight_of(((double)next.logit - max) / (double)s->desc.temp);
        n_keep++;
    }
    double draw = (double)rng_float(&s->rng) * mass;
    for (int32_t i = 0; i < n_keep - 1; i++) {
        draw -= weight_of(((double)c[n_vocab - 1 - i].logit - max) / (double)s->desc.temp);
        if (draw < 0.0) return c[n_vocab - 1 - i].id;
    }
    return c[n_vocab - n_keep].id;
}
