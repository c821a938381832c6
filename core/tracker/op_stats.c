/* op_stats.c: records -> groups. Trends are op_trend.c's, the last records op_history.c's, JSON is
 * op_json.c's.
 *
 * Groups are made when a name first appears and are never given back; the one for everything and the
 * three for what finds no group exist from the start, so that add cannot fail.
 */
#include "bitnet/op_stats.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/utf8.h"
#include "tracker/op_history.h"
#include "tracker/op_trend.h"

#define MISSING ((double)NAN)

typedef struct unit_sum {
    char unit[BITNET_OP_NAME_CAP];
    double units, seconds;
} unit_sum;

typedef struct group {
    char type[BITNET_OP_NAME_CAP], strategy[BITNET_OP_NAME_CAP];
    uint64_t count, n_failed, n_timed, n_quality, n_units_dropped;
    double sum_s, min_s, max_s, sum_quality;
    double peak[BITNET_OP_PEAK_COUNT];
    int32_t n_units;
    unit_sum unit[BITNET_OP_UNITS_MAX];
    bitnet_op_outcome latest[BITNET_OP_TREND_SPAN]; /* a ring; the next goes to count % its size */
    bitnet_histogram durations;
} group;

struct bitnet_op_stats {
    bitnet_allocator allocator;
    int32_t max_groups;
    int32_t n_groups[BITNET_OP_BY_COUNT];
    group **group[BITNET_OP_BY_COUNT];  /* [max_groups] each */
    group fallback[BITNET_OP_BY_COUNT]; /* BY_NOTHING: everything; otherwise __overflow__ */
    bitnet_op_history history;
    uint64_t n_added;
};

static const bool by_type[BITNET_OP_BY_COUNT] = {false, true, false, true};
static const bool by_strategy[BITNET_OP_BY_COUNT] = {false, false, true, true};

/* ---- create, free --------------------------------------------------------------------------------
 */

static void group_init(group *g, const char *type, const char *strategy) {
    memset(g, 0, sizeof *g);
    bitnet_utf8_copy(g->type, sizeof g->type, type);
    bitnet_utf8_copy(g->strategy, sizeof g->strategy, strategy);
    for (int i = 0; i < BITNET_OP_PEAK_COUNT; i++)
        g->peak[i] = MISSING;
}

bitnet_status bitnet_op_stats_create(bitnet_op_stats **out, const bitnet_op_stats_desc *desc) {
    *out = NULL;
    if (desc->max_groups < 0 || desc->max_groups > BITNET_OP_LIMIT ||
        desc->max_history > BITNET_OP_LIMIT)
        return BITNET_E_INVAL;
    const bitnet_allocator *a = &desc->allocator;
    bitnet_op_stats *s = bitnet_alloc(a, sizeof *s);
    if (!s) return BITNET_E_NOMEM;
    s->allocator = *a;
    s->max_groups = desc->max_groups ? desc->max_groups : 64;
    int32_t n_history = desc->max_history ? desc->max_history : 256;
    bitnet_status st = bitnet_op_history_init(&s->history, n_history < 0 ? 0 : n_history, a);
    for (int by = 0; by < BITNET_OP_BY_COUNT; by++) {
        group_init(&s->fallback[by], by_type[by] ? BITNET_OP_OVERFLOW : "",
                   by_strategy[by] ? BITNET_OP_OVERFLOW : "");
        if (by == BITNET_OP_BY_NOTHING) continue;
        s->group[by] = bitnet_alloc(a, (size_t)s->max_groups * sizeof(group *));
        if (!s->group[by]) st = BITNET_E_NOMEM;
    }
    if (st != BITNET_OK)
        bitnet_op_stats_free(s);
    else
        *out = s;
    return st;
}

void bitnet_op_stats_free(bitnet_op_stats *s) {
    if (!s) return;
    bitnet_allocator a = s->allocator;
    for (int by = 0; by < BITNET_OP_BY_COUNT; by++) {
        for (int32_t i = 0; i < s->n_groups[by]; i++)
            bitnet_free(&a, s->group[by][i], sizeof(group));
        if (s->group[by]) bitnet_free(&a, s->group[by], (size_t)s->max_groups * sizeof(group *));
    }
    bitnet_op_history_free(&s->history, &a);
    bitnet_free(&a, s, sizeof *s);
}

/* ---- groups ---------------------------------------------------------------------------------------
 */

static bool matches(const group *g, bitnet_op_by by, const char *type, const char *strategy) {
    return (!by_type[by] || !strcmp(g->type, type)) &&
           (!by_strategy[by] || !strcmp(g->strategy, strategy));
}

/* type and strategy as the groups hold them; n_groups: there is none. */
static int32_t find(const bitnet_op_stats *s, bitnet_op_by by, const char *type,
                    const char *strategy) {
    int32_t i = 0;
    while (i < s->n_groups[by] && !matches(s->group[by][i], by, type, strategy))
        i++;
    return i;
}

/* The group of a record, made if need be; NULL when the record belongs to none of this kind. */
static group *group_for(bitnet_op_stats *s, bitnet_op_by by, const char *type,
                        const char *strategy) {
    group *fallback = &s->fallback[by];
    if (by == BITNET_OP_BY_NOTHING) return fallback;
    if ((by_type[by] && !type[0]) || (by_strategy[by] && !strategy[0])) return NULL;
    if (matches(fallback, by, type, strategy)) return fallback; /* somebody named it so */
    int32_t i = find(s, by, type, strategy);
    if (i < s->n_groups[by]) return s->group[by][i];
    group *g = i < s->max_groups ? bitnet_alloc_raw(&s->allocator, sizeof *g) : NULL;
    if (!g) return fallback;
    group_init(g, by_type[by] ? type : "", by_strategy[by] ? strategy : "");
    s->group[by][s->n_groups[by]++] = g;
    return g;
}

static void add_units(group *g, const bitnet_op_record *r, const char *unit) {
    int32_t i = 0;
    while (i < g->n_units && strcmp(g->unit[i].unit, unit) != 0)
        i++;
    if (i == BITNET_OP_UNITS_MAX) {
        g->n_units_dropped++;
        return;
    }
    if (i == g->n_units) {
        g->n_units++;
        g->unit[i] = (unit_sum){.units = 0};
        bitnet_utf8_copy(g->unit[i].unit, sizeof g->unit[i].unit, unit);
    }
    g->unit[i].units += r->units;
    g->unit[i].seconds += r->duration_s;
}

static void add_duration(group *g, double seconds) {
    if (g->n_timed == 0 || seconds < g->min_s) g->min_s = seconds;
    if (g->n_timed == 0 || seconds > g->max_s) g->max_s = seconds;
    g->n_timed++;
    g->sum_s += seconds;
    bitnet_histogram_add(&g->durations, seconds);
}

static void fold(group *g, const bitnet_op_record *r, const char *unit) {
    bool is_timed = r->ok && isfinite(r->duration_s) && r->duration_s >= 0;
    g->latest[g->count % BITNET_OP_TREND_SPAN] =
        (bitnet_op_outcome){is_timed ? r->duration_s : MISSING, r->ok};
    g->count++;
    g->n_failed += !r->ok;
    if (is_timed) add_duration(g, r->duration_s);
    if (is_timed && isfinite(r->units)) add_units(g, r, unit);
    if (isfinite(r->quality)) g->n_quality++, g->sum_quality += r->quality;
    for (int i = 0; i < BITNET_OP_PEAK_COUNT; i++)
        if (isfinite(r->peak[i]) && !(g->peak[i] >= r->peak[i])) g->peak[i] = r->peak[i];
}

void bitnet_op_stats_add(bitnet_op_stats *s, const bitnet_op_record *record) {
    char type[BITNET_OP_NAME_CAP], strategy[BITNET_OP_NAME_CAP], unit[BITNET_OP_NAME_CAP];
    bitnet_utf8_copy(type, sizeof type, record->type);
    bitnet_utf8_copy(strategy, sizeof strategy, record->strategy);
    bitnet_utf8_copy(unit, sizeof unit, record->unit);
    for (int by = 0; by < BITNET_OP_BY_COUNT; by++) {
        group *g = group_for(s, (bitnet_op_by)by, type, strategy);
        if (g) fold(g, record, unit);
    }
    bitnet_op_history_add(&s->history, record, &s->allocator);
    s->n_added++;
}

/* ---- reading --------------------------------------------------------------------------------------
 */

int32_t bitnet_op_stats_n_groups(const bitnet_op_stats *s, bitnet_op_by by) {
    if ((unsigned)by >= BITNET_OP_BY_COUNT) return 0;
    return s->n_groups[by] + (by == BITNET_OP_BY_NOTHING || s->fallback[by].count > 0);
}

static const group *group_at(const bitnet_op_stats *s, bitnet_op_by by, int32_t i) {
    if (i < 0 || i >= bitnet_op_stats_n_groups(s, by)) return NULL;
    return i < s->n_groups[by] ? s->group[by][i] : &s->fallback[by];
}

int32_t bitnet_op_stats_find(const bitnet_op_stats *s, bitnet_op_by by, const char *type,
                             const char *strategy) {
    char key[2][BITNET_OP_NAME_CAP];
    bitnet_utf8_copy(key[0], sizeof key[0], type);
    bitnet_utf8_copy(key[1], sizeof key[1], strategy);
    for (int32_t i = 0; i < bitnet_op_stats_n_groups(s, by); i++)
        if (matches(group_at(s, by, i), by, key[0], key[1])) return i;
    return -1;
}

bool bitnet_op_stats_get(const bitnet_op_stats *s, bitnet_op_by by, int32_t i,
                         bitnet_op_summary *out) {
    const group *g = group_at(s, by, i);
    if (!g) return false;
    double n = (double)g->count, n_timed = (double)g->n_timed;
    *out = (bitnet_op_summary){
        .type = g->type,
        .strategy = g->strategy,
        .count = g->count,
        .n_failed = g->n_failed,
        .success_rate = g->count ? (n - (double)g->n_failed) / n : MISSING,
        .n_timed = g->n_timed,
        .mean_s = g->n_timed ? g->sum_s / n_timed : MISSING,
        .min_s = g->n_timed ? g->min_s : MISSING,
        .max_s = g->n_timed ? g->max_s : MISSING,
        .durations = &g->durations,
        .quality = g->n_quality ? g->sum_quality / (double)g->n_quality : MISSING,
        .n_units = g->n_units,
        .n_units_dropped = g->n_units_dropped,
    };
    const struct {
        double q, *at;
    } quantiles[] = {
        {0.50, &out->p50_s}, {0.90, &out->p90_s}, {0.95, &out->p95_s}, {0.99, &out->p99_s}};
    for (int k = 0; k < 4; k++) { /* a bucket's middle, never shown outside what was seen */
        double v = bitnet_histogram_quantile(&g->durations, quantiles[k].q);
        *quantiles[k].at = v < out->min_s ? out->min_s : v > out->max_s ? out->max_s : v;
    }
    memcpy(out->peak, g->peak, sizeof out->peak);
    for (int32_t k = 0; k < g->n_units; k++) {
        const unit_sum *u = &g->unit[k];
        out->throughput[k] = (bitnet_op_throughput){
            u->unit, u->units, u->seconds, u->seconds > 0 ? u->units / u->seconds : MISSING};
    }
    return true;
}

bool bitnet_op_stats_get_trend(const bitnet_op_stats *s, bitnet_op_by by, int32_t i,
                               bitnet_op_trend *out) {
    const group *g = group_at(s, by, i);
    if (!g) return false;
    bitnet_op_outcome latest[BITNET_OP_TREND_SPAN];
    int32_t n = g->count < BITNET_OP_TREND_SPAN ? (int32_t)g->count : BITNET_OP_TREND_SPAN;
    for (int32_t k = 0; k < n; k++)
        latest[k] = g->latest[(g->count - (uint64_t)(n - k)) % BITNET_OP_TREND_SPAN];
    bitnet_op_trend_of(out, latest, n, g->count, g->n_failed);
    return true;
}

const bitnet_op_record *bitnet_op_stats_recent(const bitnet_op_stats *s, int32_t i) {
    return bitnet_op_history_get(&s->history, i);
}

void bitnet_op_stats_get_counts(const bitnet_op_stats *s, bitnet_op_stats_counts *out) {
    *out = (bitnet_op_stats_counts){.n_added = s->n_added,
                                    .n_history = s->history.n,
                                    .n_history_dropped = s->n_added - (uint64_t)s->history.n};
    for (int by = BITNET_OP_BY_TYPE; by < BITNET_OP_BY_COUNT; by++)
        out->n_overflow[by] = s->fallback[by].count;
}
