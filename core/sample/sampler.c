/* sampler.c: bitnet/sampler.h, the draw. docs/sampling.md has every formula and what differs from
 * llama.cpp.
 *
 * Scratch is [n_vocab] candidates, then [n_vocab] counts for the penalties. Candidates are taken
 * from a heap, only as many as the filters keep. Sums are doubles in a fixed order and exp and log
 * are our own (base/fmath.h), so every target draws the same token.
 */
#include "bitnet/sampler.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/rng.h"
#include "sample/heap.h"

#define MAX_BIASES 1024
#define MAX_BIAS   1e4

bitnet_sampler_desc bitnet_sampler_default(void) {
    return (bitnet_sampler_desc){.temp = 0.8f,
                                 .top_k = 40,
                                 .top_p = 0.95f,
                                 .min_p = 0.05f,
                                 .repeat_penalty = 1.0f,
                                 .penalty_last_n = 64};
}

/* ---- what may be asked for ---------------------------------------------------------------------
 */

static bitnet_status check_biases(const bitnet_sampler_desc *d, bitnet_error *err) {
    for (int32_t i = 0; i < d->n_bias; i++) {
        bitnet_logit_bias b = d->bias[i];
        if (b.token < 0)
            return bitnet_fail(err, BITNET_E_INVAL, "sampler.bias",
                               "logit bias %d is for token %d; ids are 0 and up", i, b.token);
        double v = (double)b.bias; /* the comparison is false for NaN */
        if (!(fabs(v) <= MAX_BIAS || v == -(double)INFINITY))
            return bitnet_fail(err, BITNET_E_INVAL, "sampler.bias",
                               "the logit bias of token %d is %.10g; allowed are -%.10g to %.10g "
                               "and -inf",
                               b.token, v, MAX_BIAS, MAX_BIAS);
    }
    return BITNET_OK;
}

bitnet_status bitnet_sampler_check(const bitnet_sampler_desc *d, bitnet_error *err) {
    const struct {
        const char *name;
        double v, min, max;
    } fields[] = {{"temp", (double)d->temp, 0, 100},
                  {"top_k", d->top_k, 0, INT32_MAX},
                  {"top_p", (double)d->top_p, 0, 1},
                  {"min_p", (double)d->min_p, 0, 1},
                  {"repeat_penalty", (double)d->repeat_penalty, 0, 100},
                  {"frequency_penalty", (double)d->frequency_penalty, -100, 100},
                  {"presence_penalty", (double)d->presence_penalty, -100, 100},
                  {"penalty_last_n", d->penalty_last_n, -1, INT32_MAX},
                  {"n_bias", d->n_bias, 0, d->bias ? MAX_BIASES : 0}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        double v = fields[i].v, min = fields[i].min, max = fields[i].max;
        if (!(v >= min && v <= max)) /* true for NaN */
            return bitnet_fail(err, BITNET_E_INVAL, "sampler.range",
                               "%s is %.10g; allowed are %.10g to %.10g", fields[i].name, v, min,
                               max);
    }
    return check_biases(d, err);
}

void bitnet_sampler_init(bitnet_sampler *s, const bitnet_sampler_desc *desc) {
    s->desc = *desc;
    s->rng = rng_seed(desc->seed);
}

size_t bitnet_sampler_scratch_size(int32_t n_vocab) {
    return (size_t)n_vocab * (sizeof(candidate) + sizeof(int32_t));
}

/* ---- bias and penalties ------------------------------------------------------------------------
 */

static void add_biases(const bitnet_sampler_desc *d, candidate *c, int32_t n_vocab) {
    for (int32_t i = 0; i < d->n_bias; i++)
        if (d->bias[i].token < n_vocab) c[d->bias[i].token].logit += d->bias[i].bias;
}

static bool has_penalties(const bitnet_sampler_desc *d) {
    bool repeats = d->repeat_penalty != 0.0f && d->repeat_penalty != 1.0f;
    return d->penalty_last_n != 0 &&
           (repeats || d->frequency_penalty != 0.0f || d->presence_penalty != 0.0f);
}

/* The formula of bitnet/sampler.h, in f32 as llama.cpp computes it. A banned token stays banned, and
 * an overflow (dividing by a tiny penalty) neither bans nor makes infinite. */
static float penalize(const bitnet_sampler_desc *d, float z, int32_t n_seen) {
    if (z < -FLT_MAX) return z;
    float r = d->repeat_penalty != 0.0f ? d->repeat_penalty : 1.0f;
    z = z <= 0.0f ? z * r : z / r;
    z -= (float)n_seen * d->frequency_penalty + d->presence_penalty;
    return fminf(fmaxf(z, -FLT_MAX), FLT_MAX);
}

/* count [n_vocab] is scratch. Each distinct token is changed once: its count is taken away then. */
static void apply_penalties(const bitnet_sampler_desc *d, candidate *c, int32_t n_vocab,
                            const bitnet_token *recent, int32_t n_recent, int32_t *count) {
    int32_t n = n_recent;
    if (d->penalty_last_n > 0 && d->penalty_last_n < n) n = d->penalty_last_n;
    const bitnet_token *window = recent + (n_recent - n);
    memset(count, 0, (size_t)n_vocab * sizeof *count);
    for (int32_t i = 0; i < n; i++)
        if (window[i] >= 0 && window[i] < n_vocab) count[window[i]]++;
    for (int32_t i = 0; i < n; i++) {
        bitnet_token t = window[i];
        if (t < 0 || t >= n_vocab || count[t] == 0) continue;
        c[t].logit = penalize(d, c[t].logit, count[t]);
        count[t] = 0;
    }
}

/* Banned tokens leave: what remains has finite logits. Returns how many remain. */
static int32_t drop_banned(candidate *c, int32_t n) {
    int32_t n_kept = 0;
    for (int32_t i = 0; i < n; i++)
        if (c[i].logit >= -FLT_MAX) c[n_kept++] = c[i];
    return n_kept;
}

/* ---- what decides --------------------------------------------------------------------------------
 */

/* How many tokens biases and penalties change; -1: they may lift one over those that are known, or there
 * is no bound. */
static int32_t n_lowered(const bitnet_sampler_desc *d) {
    for (int32_t i = 0; i < d->n_bias; i++)
        if (d->bias[i].bias > 0.0f) return -1;
    if (!has_penalties(d)) return d->n_bias;
    bool lowers = (d->repeat_penalty == 0.0f || d->repeat_penalty >= 1.0f) &&
                  d->frequency_penalty >= 0.0f && d->presence_penalty >= 0.0f;
    bool is_few = d->penalty_last_n > 0 && d->penalty_last_n < 1 << 20;
    return lowers && is_few ? d->n_bias + d->penalty_last_n : -1;
}

static bool has_top_p(const bitnet_sampler_desc *d) {
    return d->top_p > 0.0f && d->top_p < 1.0f;
}

/* Where the mass of those left out is not known exactly, top-p may cut a little earlier or later. How often
 * that leaves the token open, and what it saves: docs/speed.md. min-p mostly cuts before top-p can. */
#define MASS_OF_THOSE_CUT 0.125f
#define MAX_MASS          0x1p-7f
#define MAX_MASS_MIN_P    0x1p-4f

bitnet_want bitnet_sampler_wants(const bitnet_sampler_desc *d) {
    const int32_t n = n_lowered(d);
    if (n < 0) return (bitnet_want){0};
    if (d->temp <= 0.0f) return (bitnet_want){.n_best = 1 + n};
    if (d->top_k > 0 && d->top_k < 1 << 20) return (bitnet_want){.n_best = d->top_k + n};
    if (n > 0 || d->top_k > 0) return (bitnet_want){0};
    if (!has_top_p(d) && d->min_p <= 0.0f) return (bitnet_want){0};
    bitnet_want want = {.n_best = 1};
    if (d->min_p > 0.0f) want.within = (float)-fmath_log((double)d->min_p) * 1.00001f;
    if (has_top_p(d)) want.mass = fminf((1.0f - d->top_p) * MASS_OF_THOSE_CUT, MAX_MASS);
    if (has_top_p(d) && d->min_p > 0.0f) want.mass = MAX_MASS_MIN_P;
    return want;
}

/* ---- the draw ----------------------------------------------------------------------------------
 */

/* The first n of the order survive; mass: the sum of their weights at the temperature. */
typedef struct kept {
    int32_t n;
    double mass;
} kept;

/* More than sums of doubles over a vocabulary may be off, relatively. */
#define ROUNDINGS 1e-9

/* top-k, top-p and min-p at temperature 1. The survivors end up sorted in c[n - 1], c[n - 2], ...;
 * without top-k they are popped only as top-p asks for them. How many they are is certain but for the
 * mass of the tail: between fewest and most. False: the tail may hold one of them. */
static bool filter(const bitnet_sampler_desc *d, candidate *c, int32_t n, double max,
                   const bitnet_tail *tail, kept *fewest, kept *most) {
    const bool is_cut = has_top_p(d);
    int32_t k = d->top_k > 0 && d->top_k < n ? d->top_k : n, n_popped = 0;
    double total = 0.0; /* the normaliser of what top-k leaves */
    if (k == n && is_cut)
        for (int32_t i = 0; i < n; i++)
            total += heap_weight((double)c[i].logit - max);
    heap_make(c, n);
    if (k < n)
        for (; n_popped < k; n_popped++)
            total += heap_weight((double)heap_pop(c, n - n_popped).logit - max);

    double enough = is_cut ? (double)d->top_p * total : (double)INFINITY, surely = enough;
    if (is_cut && k == n && tail->mass > 0.0f) {
        surely = (double)d->top_p * (total + (double)tail->mass) * (1.0 + ROUNDINGS);
        enough *= 1.0 - ROUNDINGS;
    }
    double least = d->min_p > 0.0f ? max + fmath_log((double)d->min_p) : -(double)INFINITY;
    double seen = 0.0;
    *fewest = *most = (kept){0};
    while (most->n < k && seen < surely) {
        candidate next = most->n < n_popped ? c[n - 1 - most->n] : heap_pop(c, n - most->n);
        if (most->n > 0 && (double)next.logit < least && (double)tail->below <= least) break;
        if (next.logit < tail->below) return false;
        if (most->n > 0 && (double)next.logit < least) break;
        const bool is_sure = seen < enough;
        if (is_cut) seen += heap_weight((double)next.logit - max);
        most->mass += heap_weight(((double)next.logit - max) / (double)d->temp);
        most->n++;
        if (is_sure) *fewest = *most;
    }
    return true;
}

/* Place in the order; draw in [0, 1). */
static int32_t pick(const bitnet_sampler_desc *d, const candidate *c, int32_t n, double max,
                    kept of, double draw) {
    draw *= of.mass;
    for (int32_t i = 0; i < of.n - 1; i++) {
        draw -= heap_weight(((double)c[n - 1 - i].logit - max) / (double)d->temp);
        if (draw < 0.0) return i;
    }
    return of.n - 1;
}

bitnet_token bitnet_sampler_next(bitnet_sampler *s, const float *logits, const bitnet_tail *tail,
                                 int32_t n_vocab, const bitnet_token *recent, int32_t n_recent,
                                 void *scratch) {
    static const bitnet_tail none = {-INFINITY, 0.0f};
    const bitnet_sampler_desc *d = &s->desc;
    bool is_penalized = n_recent > 0 && has_penalties(d), is_greedy = d->temp <= 0.0f;
    candidate *c = scratch, best = {-INFINITY, 0};
    for (int32_t i = 0; i < n_vocab; i++) {
        if (!isfinite(logits[i])) return BITNET_E_BACKEND;
        if (logits[i] > best.logit) best = (candidate){logits[i], i};
    }
    if (is_greedy && !is_penalized && d->n_bias == 0) return best.id;

    for (int32_t i = 0; i < n_vocab; i++)
        c[i] = (candidate){logits[i], i};
    add_biases(d, c, n_vocab);
    if (is_penalized) apply_penalties(d, c, n_vocab, recent, n_recent, (int32_t *)(c + n_vocab));
    int32_t n = drop_banned(c, n_vocab);
    if (n == 0) return BITNET_E_BACKEND;
    best = c[0];
    for (int32_t i = 1; i < n; i++)
        if (c[i].logit > best.logit) best = c[i];
    if (is_greedy) return best.id;

    const double max = (double)best.logit;
    kept fewest, most;
    if (!filter(d, c, n, max, tail ? tail : &none, &fewest, &most)) return BITNET_TOKEN_OPEN;
    uint64_t rng = s->rng;
    const double draw = (double)rng_float(&rng);
    const int32_t i = pick(d, c, n, max, most, draw);
    if (fewest.n < most.n && pick(d, c, n, max, fewest, draw) != i) return BITNET_TOKEN_OPEN;
    s->rng = rng;
    return c[n - 1 - i].id;
}
