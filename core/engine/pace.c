/* pace.c: see pace.h. */
#include "engine/pace.h"

#include <math.h>
#include <stdbool.h>

#define MARGIN      1.05 /* what checking must gain; noise of a pass is of this size */
#define MEMORY      512u /* passes after which a cost that was not measured again is forgotten */
#define FIRST_SLOPE 0.4  /* of c_0, what one more token costs until it has been measured */
#define GUESSES     32   /* that a share of true ones is taken over */
#define ALL_SHARE   0.25 /* of what a pass tells, what goes to all costs */
#define TRIES       3    /* passes before a cost is believed; the least of them counts */
#define OWN_PASSES  32   /* that a cost is the mean of, */
#define OLD_PASSES  3    /* and that c_0 counts for when it has not been measured for long */

/* Before there are guesses to count: longer matches are righter. */
static const double first_hit[PACE_LENGTHS] = {0.3, 0.4, 0.5, 0.6, 0.7, 0.7};
#define FIRST_WEIGHT 4 /* guesses that these stand for */

static int32_t class_of(int32_t match) {
    int32_t c = match < 4 ? match - 2 : match < 8 ? 2 : match < 16 ? 3 : match < 32 ? 4 : 5;
    return c > 0 ? c : 0;
}

void bitnet_pace_start(bitnet_pace *p) {
    for (int32_t i = 0; i < PACE_LENGTHS; i++)
        p->hit[i] = first_hit[i], p->n_guess[i] = FIRST_WEIGHT;
}

void bitnet_pace_guess(bitnet_pace *p, int32_t match, bool is_true) {
    int32_t c = class_of(match);
    if (p->n_guess[c] < GUESSES) p->n_guess[c]++;
    p->hit[c] += ((is_true ? 1.0 : 0.0) - p->hit[c]) / p->n_guess[c];
}

static bool is_fresh(const bitnet_pace *p, int32_t d) {
    return p->n_pass[d] > 0 && p->n_passes - p->pass_of[d] < MEMORY;
}
static bool is_known(const bitnet_pace *p, int32_t d) {
    return is_fresh(p, d) && (d == 0 || p->n_pass[d] >= TRIES);
}

/* Between two that are known a line; beyond the last the line from c_0 through it. c_0 was measured
 * before, if long ago. */
static double cost_of(const bitnet_pace *p, int32_t d) {
    if (is_known(p, d)) return p->cost_ns[d];
    int32_t below = d - 1, above = d + 1;
    while (below > 0 && !is_known(p, below))
        below--;
    while (above <= BITNET_MAX_DRAFT && !is_known(p, above))
        above++;
    double c0 = p->cost_ns[0], from = p->cost_ns[below], slope;
    if (above <= BITNET_MAX_DRAFT)
        slope = (p->cost_ns[above] - from) / (above - below);
    else if (below > 0)
        slope = (from - c0) / below;
    else
        slope = FIRST_SLOPE * c0;
    return from + (slope > 0 ? slope : 0) * (d - below);
}

/* A pass that took longer than expected tells two things: the machine has become slower, for every d
 * (another program runs, the text is longer), or this d costs more than was thought. Most of it goes to
 * the first; else a busy moment would be held against the d that was in use then. */
static double share(bitnet_pace *p, int32_t n_draft, double x) {
    for (int32_t d = 0; d <= BITNET_MAX_DRAFT; d++)
        p->cost_ns[d] *= 1.0 + (x - 1.0) * ALL_SHARE;
    return p->cost_ns[n_draft] * (1.0 + (x - 1.0) * (1.0 - ALL_SHARE) / (1 + p->n_pass[n_draft]));
}

void bitnet_pace_pass(bitnet_pace *p, int32_t n_draft, uint64_t took_ns) {
    double ns = took_ns > 0 ? (double)took_ns : 1.0; /* a coarse clock */
    int32_t *n = &p->n_pass[n_draft];
    if (*n > 0 && !is_fresh(p, n_draft)) *n = n_draft == 0 ? OLD_PASSES : TRIES - 1;
    if (*n > 0 &&
        (n_draft == 0 || *n >= TRIES)) /* no single pass tells more than a factor of two */
        ns = share(p, n_draft, fmin(fmax(ns / p->cost_ns[n_draft], 0.5), 2.0));
    else if (*n > 0)
        ns = fmin(ns, p->cost_ns[n_draft]);
    if (*n < OWN_PASSES) ++*n;
    p->cost_ns[n_draft] = ns;
    p->pass_of[n_draft] = ++p->n_passes;
}

int32_t bitnet_pace_choose(const bitnet_pace *p, int32_t match, int32_t n_max) {
    if (!is_known(p, 0)) return 0; /* measured now and then */
    double chance = 1.0, n_tokens = 1.0, best = MARGIN / p->cost_ns[0];
    int32_t n_best = 0;
    for (int32_t d = 1; d <= n_max; d++) {
        chance *= p->hit[class_of(match + d - 1)];
        n_tokens += chance;
        double rate = n_tokens / cost_of(p, d);
        if (rate > best) best = rate, n_best = d;
    }
    return n_best;
}
