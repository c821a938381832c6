/* totals.c: see totals.h. */
#include "dash/totals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* OpenTelemetry's advice for gen_ai.server.time_to_first_token; a step of decoding is finer. */
static const double request_bounds[] = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                                        0.25,  0.5,   0.75, 1,    2.5,  5,    7.5,  10};
static const double step_bounds[] = {0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.0075,
                                     0.01,   0.02,  0.03,  0.04,  0.05,  0.075, 0.1,
                                     0.15,   0.2,   0.3,   0.4,   0.5,   0.75,  1};

#define COUNT(a) (int)(sizeof(a) / sizeof *(a))
_Static_assert(sizeof step_bounds <= TOTALS_BOUNDS_MAX * sizeof(double), "there is room for both");

const double *totals_bounds(bitnet_metric m, int *n) {
    bool is_step = m == BITNET_METRIC_TPOT;
    *n = is_step ? COUNT(step_bounds) : COUNT(request_bounds);
    return is_step ? step_bounds : request_bounds;
}

totals *totals_create(void) {
    return calloc(1, sizeof(totals));
}

void totals_free(totals *t) {
    if (!t) return;
    for (int i = 0; i < t->n_sets; i++)
        free(t->of[i]);
    free(t->splits);
    free(t);
}

int totals_find(totals *t, const char *backend, const char *tier, const char *model) {
    totals_set set = {.backend = ""};
    bool is_full = t->n_sets >= TOTALS_SETS_MAX - 1;
    for (int i = 0; i < t->n_sets; i++)
        if (!strcmp(t->sets[i].backend, backend) && !strcmp(t->sets[i].tier, tier) &&
            !strcmp(t->sets[i].model, model))
            return i;
    if (t->n_sets == TOTALS_SETS_MAX) return TOTALS_SETS_MAX - 1;
    snprintf(set.backend, sizeof set.backend, "%s", is_full ? TOTALS_OVERFLOW : backend);
    snprintf(set.tier, sizeof set.tier, "%s", is_full ? TOTALS_OVERFLOW : tier);
    snprintf(set.model, sizeof set.model, "%s", is_full ? TOTALS_OVERFLOW : model);
    total *of = calloc(BITNET_METRIC_COUNT, sizeof *of);
    if (!of) return -1;
    t->sets[t->n_sets] = set;
    t->of[t->n_sets] = of;
    return t->n_sets++;
}

static void add(total *to, bitnet_metric m, const values *v) {
    to->n += v->n;
    to->sum += v->sum;
    if (bitnet_metric_get_info(m)->kind != BITNET_KIND_HIST) return;
    int n_bounds;
    const double *bounds = totals_bounds(m, &n_bounds);
    uint64_t sum = 0;
    uint32_t i = 0;
    for (int k = 0; k < n_bounds; k++) {
        for (; i < v->n_b && bitnet_histogram_edge((int32_t)v->b[i].index + 1) <= bounds[k]; i++)
            sum += v->b[i].count;
        to->below[k] += sum;
    }
}

void totals_add(totals *t, int set, bitnet_metric m, const values *v) {
    if (set >= 0) add(&t->of[set][m], m, v);
}

static int compare(const totals_split *s, int set, bitnet_metric m, const char *value) {
    if (s->set != set) return s->set < set ? -1 : 1;
    if (s->metric != m) return s->metric < m ? -1 : 1;
    return strcmp(s->value, value);
}

/* Its position, or the one where it belongs. */
static int search(const totals *t, int set, bitnet_metric m, const char *value, bool *found) {
    int low = 0, high = t->n_splits;
    while (low < high) {
        int mid = low + (high - low) / 2, c = compare(&t->splits[mid], set, m, value);
        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = false;
    return low;
}

static bool make_room(totals *t) {
    if (t->n_splits < t->splits_cap) return true;
    int cap = t->splits_cap ? 2 * t->splits_cap : 16;
    totals_split *splits = realloc(t->splits, (size_t)cap * sizeof *splits);
    if (!splits) return false;
    t->splits = splits;
    t->splits_cap = cap;
    return true;
}

/* The overflows may be one more for each set and metric: they are never refused. */
static totals_split *find_split(totals *t, int set, bitnet_metric m, const char *value) {
    bool found;
    int at = search(t, set, m, value, &found);
    if (!found && t->n_splits >= TOTALS_SPLITS_MAX) {
        value = TOTALS_OVERFLOW;
        at = search(t, set, m, value, &found);
    }
    if (found) return &t->splits[at];
    if (!make_room(t)) return NULL;
    totals_split *s = &t->splits[at];
    memmove(s + 1, s, (size_t)(t->n_splits++ - at) * sizeof *s);
    *s = (totals_split){.set = set, .metric = m};
    snprintf(s->value, sizeof s->value, "%s", value);
    return s;
}

void totals_add_split(totals *t, int set, bitnet_metric m, const char *value, const values *v) {
    totals_split *s = set >= 0 ? find_split(t, set, m, value ? value : "") : NULL;
    if (s) add(&s->total, m, v);
}
