/* test_op_stats.c: groups hold what brute force finds in the same records; bounds hold and what they
 * cost is counted; the JSON is JSON whatever the names are.
 */
#include "load_file.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/utf8.h"
#include "count_alloc.h"

/* A percentile is the middle of a bucket of the histogram. */
#define QUANTILE_BOUND (1.0 / 32)
/* Sums of a few thousand doubles in another order than brute force adds them. */
#define SUM_BOUND 1e-12

#define N_RECORDS 4000
static bitnet_op_record records[N_RECORDS];

static bitnet_op_stats *make_stats(int32_t max_groups, int32_t max_history) {
    bitnet_op_stats *s = NULL;
    bitnet_op_stats_desc desc = {.max_groups = max_groups, .max_history = max_history};
    assert_int_equal(bitnet_op_stats_create(&s, &desc), BITNET_OK);
    return s;
}

static bitnet_op_summary get(const bitnet_op_stats *s, bitnet_op_by by, const char *type,
                             const char *strategy) {
    bitnet_op_summary g;
    int32_t i = bitnet_op_stats_find(s, by, type, strategy);
    if (!bitnet_op_stats_get(s, by, i, &g))
        fail_msg("no group \"%s\", \"%s\" of kind %d", type ? type : "", strategy ? strategy : "",
                 (int)by);
    return g;
}

static bitnet_op_record make_record(const char *type, const char *strategy, double duration_s) {
    bitnet_op_record r;
    bitnet_op_record_init(&r);
    r.type = type;
    r.strategy = strategy;
    r.duration_s = duration_s;
    r.ok = true;
    return r;
}

/* ---- against brute force ------------------------------------------------------------------------- */

static const char *const types[] = {"generate", "encode", "load"};
static const char *const strategies[] = {"avx2", "wasm", ""};
static const char *const units[] = {"token", "byte"};

static void make_random_records(void) {
    uint64_t rng = rng_seed(7);
    for (int i = 0; i < N_RECORDS; i++) {
        bitnet_op_record *r = &records[i];
        *r = make_record(types[rng_next(&rng) % 3], strategies[rng_next(&rng) % 3],
                         pow(10, 5 * (double)rng_float(&rng) - 4)); /* 0.1 ms to 10 s */
        r->id = (uint64_t)i + 1;
        r->ok = rng_next(&rng) % 5 > 0;
        if (!r->ok) r->error = "bad luck";
        if (rng_next(&rng) % 3) {
            r->units = (double)(rng_next(&rng) % 1000);
            r->unit = units[rng_next(&rng) % 2];
        }
        if (rng_next(&rng) % 2) r->quality = (double)rng_float(&rng);
        for (int k = 0; k < BITNET_OP_PEAK_COUNT - 1; k++)
            if (rng_next(&rng) % 2) r->peak[k] = (double)(rng_next(&rng) % 1000000);
    }
}

static int by_value(const void *x, const void *y) {
    double d = *(const double *)x - *(const double *)y;
    return (d > 0) - (d < 0);
}

static void check_near(const char *what, double got, double want, double bound) {
    if (isnan(want) ? !isnan(got) : !(fabs(got - want) <= bound * fabs(want)))
        fail_msg("%s is %.17g, brute force finds %.17g", what, got, want);
}

/* Type and strategy as filters: NULL takes all. */
static void check_group(const bitnet_op_summary *g, const char *type, const char *strategy) {
    static double durations[N_RECORDS];
    double sum = 0, quality = 0, peak[BITNET_OP_PEAK_COUNT], n_units[2] = {0}, seconds[2] = {0};
    int n = 0, n_failed = 0, n_timed = 0, n_quality = 0;
    for (int k = 0; k < BITNET_OP_PEAK_COUNT; k++)
        peak[k] = (double)NAN;
    for (int i = 0; i < N_RECORDS; i++) {
        const bitnet_op_record *r = &records[i];
        if ((type && strcmp(r->type, type) != 0) ||
            (strategy && strcmp(r->strategy, strategy) != 0))
            continue;
        n++;
        n_failed += !r->ok;
        if (r->ok) sum += durations[n_timed++] = r->duration_s;
        if (!isnan(r->quality)) quality += r->quality, n_quality++;
        for (int k = 0; k < BITNET_OP_PEAK_COUNT; k++)
            if (!isnan(r->peak[k]) && !(peak[k] > r->peak[k])) peak[k] = r->peak[k];
        for (int k = 0; k < 2; k++)
            if (r->ok && !isnan(r->units) && !strcmp(r->unit, units[k]))
                n_units[k] += r->units, seconds[k] += r->duration_s;
    }
    assert_true(n > 100 && n_failed > 10 &&
                n_timed == n - n_failed); /* there is something to find */
    qsort(durations, (size_t)n_timed, sizeof *durations, by_value);
    assert_int_equal(g->count, n);
    assert_int_equal(g->n_failed, n_failed);
    assert_int_equal(g->n_timed, n_timed);
    assert_int_equal(g->durations->n, n_timed);
    check_near("the success rate", g->success_rate, (double)n_timed / n, SUM_BOUND);
    check_near("the mean", g->mean_s, sum / n_timed, SUM_BOUND);
    check_near("the least", g->min_s, durations[0], 0);
    check_near("the largest", g->max_s, durations[n_timed - 1], 0);
    const double q[] = {0.50, 0.90, 0.95, 0.99};
    const double got[] = {g->p50_s, g->p90_s, g->p95_s, g->p99_s};
    for (int k = 0; k < 4; k++)
        check_near("a percentile", got[k], durations[(int)ceil(q[k] * n_timed) - 1],
                   QUANTILE_BOUND);
    check_near("the quality", g->quality, quality / n_quality, SUM_BOUND);
    for (int k = 0; k < BITNET_OP_PEAK_COUNT; k++)
        check_near("a peak", g->peak[k], peak[k], 0);
    assert_int_equal(g->n_units, 2);
    for (int k = 0; k < 2; k++) {
        const bitnet_op_throughput *t =
            &g->throughput[!strcmp(g->throughput[0].unit, units[k]) ? 0 : 1];
        assert_string_equal(t->unit, units[k]);
        check_near("units", t->units, n_units[k], SUM_BOUND);
        check_near("seconds", t->seconds, seconds[k], SUM_BOUND);
        check_near("the throughput", t->per_second, n_units[k] / seconds[k], SUM_BOUND);
    }
}

static void groups_hold_what_brute_force_finds(void **state) {
    (void)state;
    make_random_records();
    bitnet_op_stats *s = make_stats(0, 0);
    for (int i = 0; i < N_RECORDS; i++)
        bitnet_op_stats_add(s, &records[i]);
    bitnet_op_summary g = get(s, BITNET_OP_BY_NOTHING, NULL, NULL);
    check_group(&g, NULL, NULL);
    assert_int_equal(bitnet_op_stats_n_groups(s, BITNET_OP_BY_TYPE), 3);
    assert_int_equal(bitnet_op_stats_n_groups(s, BITNET_OP_BY_STRATEGY), 2); /* "" is none */
    assert_int_equal(bitnet_op_stats_n_groups(s, BITNET_OP_BY_BOTH), 6);
    for (int i = 0; i < 3; i++) {
        g = get(s, BITNET_OP_BY_TYPE, types[i], NULL);
        assert_string_equal(g.strategy, "");
        check_group(&g, types[i], NULL);
        for (int k = 0; k < 2; k++) {
            g = get(s, BITNET_OP_BY_STRATEGY, NULL, strategies[k]);
            check_group(&g, NULL, strategies[k]);
            g = get(s, BITNET_OP_BY_BOTH, types[i], strategies[k]);
            check_group(&g, types[i], strategies[k]);
        }
    }
    /* merged by type they are the whole again */
    static bitnet_histogram sum;
    memset(&sum, 0, sizeof sum);
    for (int i = 0; i < 3; i++)
        bitnet_histogram_merge(&sum, get(s, BITNET_OP_BY_TYPE, types[i], NULL).durations);
    assert_memory_equal(&sum, get(s, BITNET_OP_BY_NOTHING, NULL, NULL).durations, sizeof sum);
    bitnet_op_stats_free(s);
}

static void nothing_measured_is_nan_everywhere(void **state) {
    (void)state;
    bitnet_op_stats *s = make_stats(0, 0);
    for (int round = 0; round < 2; round++) {
        bitnet_op_summary g = get(s, BITNET_OP_BY_NOTHING, NULL, NULL);
        const double none[] = {g.mean_s, g.min_s,   g.max_s,   g.p50_s,   g.p90_s,   g.p95_s,
                               g.p99_s,  g.quality, g.peak[0], g.peak[1], g.peak[2], g.peak[3]};
        for (size_t i = 0; i < sizeof none / sizeof *none; i++)
            assert_true(isnan(none[i]));
        assert_int_equal(g.n_units, 0);
        if (round == 0) {
            assert_true(isnan(g.success_rate));
            bitnet_op_record r = make_record("t", "s", 0.5);
            r.ok = false; /* a failure has a duration, but none that counts */
            r.units = 5;
            bitnet_op_stats_add(s, &r);
            r = make_record("t", "s", -1), bitnet_op_stats_add(s, &r);
            r = make_record("t", "s", (double)NAN), bitnet_op_stats_add(s, &r);
            r = make_record("t", "s", (double)INFINITY), bitnet_op_stats_add(s, &r);
        } else {
            assert_int_equal(g.count, 4);
            assert_true(g.success_rate == 0.75);
        }
    }
    bitnet_op_stats_free(s);
}

static void a_percentile_is_never_outside_what_was_seen(void **state) {
    (void)state;
    bitnet_op_stats *s = make_stats(0, 0);
    for (int i = 0; i < 2; i++) { /* 1 and 1.0625 are the edges of one bucket */
        bitnet_op_record r = make_record(i ? "low" : "high", "", i ? 1.001 : 1.062);
        bitnet_op_stats_add(s, &r);
        bitnet_op_summary g = get(s, BITNET_OP_BY_TYPE, r.type, NULL);
        assert_true(g.p50_s == r.duration_s && g.p90_s == r.duration_s);
        assert_true(g.p95_s == r.duration_s && g.p99_s == r.duration_s);
    }
    bitnet_op_stats_free(s);
}

static void units_of_no_time_have_no_throughput(void **state) {
    (void)state;
    bitnet_op_stats *s = make_stats(0, 0);
    for (int i = 0; i < 6; i++) {
        char unit[8];
        snprintf(unit, sizeof unit, "u%d", i);
        bitnet_op_record r = make_record("t", "", i ? 0.5 : 0);
        r.units = 10, r.unit = unit;
        bitnet_op_stats_add(s, &r);
    }
    bitnet_op_summary g = get(s, BITNET_OP_BY_TYPE, "t", NULL);
    assert_int_equal(g.n_units, BITNET_OP_UNITS_MAX);
    assert_int_equal(g.n_units_dropped, 2);
    assert_true(isnan(g.throughput[0].per_second) && g.throughput[0].units == 10);
    assert_true(g.throughput[3].per_second == 20);
    bitnet_op_stats_free(s);
}

/* ---- bounds --------------------------------------------------------------------------------------- */

static void past_the_last_group_operations_go_into_overflow(void **state) {
    (void)state;
    bitnet_op_stats *s = make_stats(3, 0);
    bitnet_op_record named =
        make_record(BITNET_OP_OVERFLOW, "s", 0.25); /* named so: the same group */
    bitnet_op_stats_add(s, &named);
    for (int i = 0; i < 10; i++) {
        char type[8];
        snprintf(type, sizeof type, "t%d", i % 5);
        bitnet_op_record r = make_record(type, "s", 0.25);
        bitnet_op_stats_add(s, &r);
    }
    assert_int_equal(bitnet_op_stats_n_groups(s, BITNET_OP_BY_TYPE), 4);
    assert_int_equal(bitnet_op_stats_n_groups(s, BITNET_OP_BY_STRATEGY), 1);
    assert_int_equal(bitnet_op_stats_find(s, BITNET_OP_BY_TYPE, "t3", NULL), -1);
    assert_int_equal(bitnet_op_stats_find(s, BITNET_OP_BY_TYPE, BITNET_OP_OVERFLOW, NULL), 3);
    assert_int_equal(get(s, BITNET_OP_BY_TYPE, BITNET_OP_OVERFLOW, NULL).count, 5);
    assert_int_equal(get(s, BITNET_OP_BY_TYPE, "t2", NULL).count, 2);
    bitnet_op_stats_counts c;
    bitnet_op_stats_get_counts(s, &c);
    assert_int_equal(c.n_overflow[BITNET_OP_BY_NOTHING], 0);
    assert_int_equal(c.n_overflow[BITNET_OP_BY_TYPE], 5);
    assert_int_equal(c.n_overflow[BITNET_OP_BY_STRATEGY], 0);
    assert_int_equal(c.n_overflow[BITNET_OP_BY_BOTH], 6); /* there it had a group, the first of 3 */
    assert_int_equal(get(s, BITNET_OP_BY_BOTH, BITNET_OP_OVERFLOW, "s").count, 1);
    assert_int_equal(get(s, BITNET_OP_BY_BOTH, BITNET_OP_OVERFLOW, BITNET_OP_OVERFLOW).count, 6);
    assert_int_equal(get(s, BITNET_OP_BY_NOTHING, NULL, NULL).count, 11);
    bitnet_op_summary g;
    assert_false(bitnet_op_stats_get(s, BITNET_OP_BY_TYPE, 4, &g));
    assert_false(bitnet_op_stats_get(s, BITNET_OP_BY_TYPE, -1, &g));
    assert_false(bitnet_op_stats_get(s, BITNET_OP_BY_COUNT, 0, &g));
    bitnet_op_stats_free(s);
}

static void history_keeps_the_latest_and_counts_the_rest(void **state) {
    (void)state;
    static const struct {
        int max, n_added, n_kept;
    } cases[] = {{4, 3, 3}, {4, 4, 4}, {4, 11, 4}, {1, 5, 1}, {-1, 5, 0}, {0, 300, 256}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        bitnet_op_stats *s = make_stats(0, cases[k].max);
        for (int i = 1; i <= cases[k].n_added; i++) {
            char note[24];
            snprintf(note, sizeof note, "note %d", i);
            bitnet_op_meta meta[2] = {{"note", note, 0}, {"n", NULL, i}};
            bitnet_op_record r = make_record(note, note, 1);
            r.id = (uint64_t)i, r.n_meta = 2, r.meta = meta;
            bitnet_op_stats_add(s, &r);
        }
        bitnet_op_stats_counts c;
        bitnet_op_stats_get_counts(s, &c);
        assert_int_equal(c.n_added, cases[k].n_added);
        assert_int_equal(c.n_history, cases[k].n_kept);
        assert_int_equal(c.n_history_dropped, cases[k].n_added - cases[k].n_kept);
        for (int i = 0; i < cases[k].n_kept; i++) {
            const bitnet_op_record *r = bitnet_op_stats_recent(s, i);
            char note[24];
            snprintf(note, sizeof note, "note %d", cases[k].n_added - i);
            assert_int_equal(r->id, cases[k].n_added - i);
            assert_string_equal(r->type, note);
            assert_string_equal(r->meta[0].key, "note");
            assert_string_equal(r->meta[0].text, note);
            assert_true(!r->meta[1].text && r->meta[1].number == cases[k].n_added - i);
        }
        assert_null(bitnet_op_stats_recent(s, cases[k].n_kept));
        assert_null(bitnet_op_stats_recent(s, -1));
        bitnet_op_stats_free(s);
    }
}

static void memory_stays_within_its_bounds(void **state) {
    (void)state;
    count_alloc c = {0};
    bitnet_op_stats *s = NULL;
    bitnet_op_stats_desc desc = {.max_groups = 4, .max_history = 8};
    desc.allocator = count_alloc_of(&c);
    assert_int_equal(bitnet_op_stats_create(&s, &desc), BITNET_OK);
    size_t after_many = 0;
    for (int i = 0; i < 2000; i++) {
        char name[24];
        snprintf(name, sizeof name, "name %08d", i);
        bitnet_op_record r = make_record(name, name, 1);
        bitnet_op_stats_add(s, &r);
        if (i == 100) after_many = c.live;
    }
    assert_int_equal(c.live, after_many);
    assert_true(c.live < 200000);
    bitnet_op_stats_free(s);
    assert_int_equal(c.live, 0);
}

static void the_trend_is_of_the_latest_operations_of_the_group(void **state) {
    (void)state;
    bitnet_op_stats *s = make_stats(0, 0);
    for (int i = 0; i < 150;
         i++) { /* 0 to 99 of the one get faster, then slower; the other is steady */
        bitnet_op_record r = make_record("a", "s", i < 100 ? 2 - i * 0.01 : 1 + (i - 100) * 0.01);
        bitnet_op_stats_add(s, &r);
        r = make_record("b", "s", 1), bitnet_op_stats_add(s, &r);
        bitnet_op_trend t;
        assert_true(bitnet_op_stats_get_trend(s, BITNET_OP_BY_TYPE, 0, &t));
        if (i == 5) assert_int_equal(t.duration, BITNET_TREND_UNKNOWN);
        if (i == 5) assert_int_equal(t.n, 6);
        if (i == 20) assert_true(t.n == 21 && fabs(t.slope_s + 0.01) < 1e-12);
        if (i == 99) assert_true(fabs(t.slope_s + 0.01) < 1e-12);
        if (i == 149) assert_true(fabs(t.slope_s - 0.01) < 1e-12 && t.n == BITNET_OP_TREND_SPAN);
        if (i == 149) assert_int_equal(t.n_before, 150 - BITNET_OP_RECENT);
    }
    bitnet_op_trend t;
    assert_true(bitnet_op_stats_get_trend(s, BITNET_OP_BY_BOTH, 1, &t));
    assert_int_equal(t.duration, BITNET_TREND_STEADY);
    assert_false(bitnet_op_stats_get_trend(s, BITNET_OP_BY_BOTH, 2, &t));
    bitnet_op_stats_free(s);
}

/* ---- JSON ----------------------------------------------------------------------------------------- */

static char text[400000];

static cJSON *parse(const bitnet_op_stats *s) {
    size_t n = bitnet_op_stats_write_json(s, text, sizeof text);
    assert_true(n < sizeof text);
    assert_int_equal(strlen(text), n);
    cJSON *json = cJSON_ParseWithLengthOpts(text, n + 1, NULL, 1);
    if (!json) fail_msg("not JSON: %s", text);
    return json;
}

static double number(const cJSON *json, const char *key) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    return cJSON_IsNumber(item) ? item->valuedouble : (double)NAN;
}

static void the_document_says_what_the_structs_say(void **state) {
    (void)state;
    make_random_records();
    bitnet_op_stats *s = make_stats(0, 16);
    for (int i = 0; i < N_RECORDS; i++)
        bitnet_op_stats_add(s, &records[i]);
    cJSON *json = parse(s);
    bitnet_op_summary g = get(s, BITNET_OP_BY_NOTHING, NULL, NULL);
    const cJSON *summary = cJSON_GetObjectItemCaseSensitive(json, "summary");
    const cJSON *duration = cJSON_GetObjectItemCaseSensitive(summary, "duration_s");
    assert_true(number(summary, "count") == N_RECORDS);
    assert_true(number(summary, "failed") == (double)g.n_failed);
    assert_true(number(summary, "success_rate") == g.success_rate);
    assert_true(number(duration, "mean") == g.mean_s && number(duration, "p99") == g.p99_s);
    assert_true(number(summary, "peak_memory") == g.peak[BITNET_OP_PEAK_MEMORY]);
    assert_null(cJSON_GetObjectItemCaseSensitive(summary, "gpu")); /* nobody told it */
    static const struct {
        const char *name;
        bitnet_op_by by;
    } lists[] = {{"by_type", BITNET_OP_BY_TYPE},
                 {"by_strategy", BITNET_OP_BY_STRATEGY},
                 {"by_type_and_strategy", BITNET_OP_BY_BOTH},
                 {"trends", BITNET_OP_BY_TYPE}};
    for (size_t k = 0; k < 4; k++) {
        const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, lists[k].name);
        assert_int_equal(cJSON_GetArraySize(list), bitnet_op_stats_n_groups(s, lists[k].by));
        for (int i = 0; i < cJSON_GetArraySize(list); i++) {
            const cJSON *item = cJSON_GetArrayItem(list, i);
            const cJSON *type = cJSON_GetObjectItemCaseSensitive(item, "type");
            const cJSON *strategy = cJSON_GetObjectItemCaseSensitive(item, "strategy");
            assert_int_equal(!type, lists[k].by == BITNET_OP_BY_STRATEGY);
            assert_int_equal(!strategy, lists[k].by == BITNET_OP_BY_TYPE);
            g = get(s, lists[k].by, type ? type->valuestring : "",
                    strategy ? strategy->valuestring : "");
            if (k < 3) assert_true(number(item, "count") == (double)g.count);
        }
    }
    const cJSON *trend = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(json, "trends"), 1);
    bitnet_op_trend t;
    bitnet_op_stats_get_trend(s, BITNET_OP_BY_TYPE, 1, &t);
    assert_true(number(cJSON_GetObjectItemCaseSensitive(trend, "duration"), "slope_s") ==
                t.slope_s);
    assert_true(number(cJSON_GetObjectItemCaseSensitive(trend, "success"), "low") == t.low);
    const cJSON *recent = cJSON_GetObjectItemCaseSensitive(json, "recent");
    assert_int_equal(cJSON_GetArraySize(recent), 10);
    for (int i = 0; i < 10; i++)
        assert_true(number(cJSON_GetArrayItem(recent, i), "id") == N_RECORDS - i);
    const cJSON *dropped = cJSON_GetObjectItemCaseSensitive(json, "dropped");
    assert_true(number(dropped, "history") == N_RECORDS - 16);
    assert_null(
        cJSON_GetObjectItemCaseSensitive(dropped, "operations")); /* only bitnet_ops knows */
    cJSON_Delete(json);
    bitnet_op_stats_free(s);
}

static void hostile_text_stays_text(void **state) {
    (void)state;
    static const char *const hostile[] = {
        "\"},{\"type\":\"x", "\\",     "\\u0000\"",        "\n\r\t\b\f\x01\x1f\x7f", "</script>",
        "__proto__",         "%s%n%d", "\xf0\x9f\x98\x80", "\xc3\xa9 \xe2\x82\xac",  "a\377b\303",
        "\xed\xa0\x80"};
    enum { N_HOSTILE = sizeof hostile / sizeof *hostile };
    bitnet_op_stats *s = make_stats(0, 0);
    for (int i = 0; i < N_HOSTILE; i++) {
        bitnet_op_meta meta = {hostile[i], hostile[i], 0};
        bitnet_op_record r = make_record(hostile[i], hostile[i], 1);
        r.ok = false, r.error = hostile[i];
        r.units = 1, r.unit = hostile[i];
        r.n_meta = 1, r.meta = &meta;
        bitnet_op_stats_add(s, &r);
        cJSON *json = parse(s); /* each is among the recent ones once */
        const cJSON *item = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(json, "recent"), 0);
        char want[64];
        *bitnet_utf8_repair(want, hostile[i], strlen(hostile[i])) = 0;
        for (char *c = want; *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = ' ';
        static const char *const members[] = {"op", "strategy", "error", "unit"};
        for (int k = 0; k < 4; k++)
            assert_string_equal(cJSON_GetObjectItemCaseSensitive(item, members[k])->valuestring,
                                want);
        const cJSON *kept = cJSON_GetObjectItemCaseSensitive(item, "meta")->child;
        assert_string_equal(kept->string, want);
        assert_string_equal(kept->valuestring, want);
        cJSON_Delete(json);
    }
    assert_int_equal(bitnet_utf8_check(text, strlen(text)), strlen(text));
    bitnet_op_stats_free(s);
}

static void text_may_be_missing_and_numbers_too(void **state) {
    (void)state;
    bitnet_op_stats *s = make_stats(0, 0);
    bitnet_op_meta meta[] = {{"gone", NULL, (double)NAN}, {"here", NULL, 1.5}};
    bitnet_op_record r = {.ok = false, .duration_s = 1, .n_meta = 2, .meta = meta};
    bitnet_op_stats_add(s, &r); /* as a receiver may fill it: NULL is "" */
    cJSON *json = parse(s);
    const cJSON *item = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(json, "recent"), 0);
    assert_string_equal(cJSON_GetObjectItemCaseSensitive(item, "error")->valuestring, "");
    const cJSON *kept = cJSON_GetObjectItemCaseSensitive(item, "meta");
    assert_int_equal(cJSON_GetArraySize(kept), 1);
    assert_true(number(kept, "here") == 1.5);
    assert_int_equal(bitnet_op_stats_n_groups(s, BITNET_OP_BY_TYPE), 0);
    assert_true(number(cJSON_GetObjectItemCaseSensitive(json, "summary"), "count") == 1);
    cJSON_Delete(json);
    bitnet_op_stats_free(s);
}

static void a_buffer_that_is_too_small_tells_what_is_needed(void **state) {
    (void)state;
    bitnet_op_stats *s = make_stats(0, 0);
    bitnet_op_record r = make_record("t", "s", 1);
    bitnet_op_stats_add(s, &r);
    size_t need = bitnet_op_stats_write_json(s, NULL, 0);
    assert_true(need > 100 && need < sizeof text);
    static char whole[4096], part[4096];
    assert_int_equal(bitnet_op_stats_write_json(s, whole, need + 1), need);
    assert_int_equal(strlen(whole), need);
    for (size_t cap = 1; cap <= need; cap++) {
        memset(part, 0x5a, sizeof part);
        assert_int_equal(bitnet_op_stats_write_json(s, part, cap), need);
        assert_int_equal(strlen(part), cap - 1);
        assert_memory_equal(part, whole, cap - 1);
        assert_int_equal(part[cap], 0x5a);
    }
    bitnet_op_stats_free(s);
}

static void numbers_have_a_point_in_every_locale(void **state) {
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    bool is_set = false;
    for (int i = 0; i < 4 && !is_set; i++)
        is_set = setlocale(LC_NUMERIC, names[i]) != NULL;
    if (!is_set) {
        print_message("skipped: no locale with a decimal comma is installed\n");
        return;
    }
    bitnet_op_record r = make_record("t", "s", 1234.5);
    bitnet_op_record_write_json(&r, text, sizeof text);
    setlocale(LC_NUMERIC, "C");
    assert_non_null(strstr(text, "\"duration_s\":1234.5,"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_hold_what_brute_force_finds),
        cmocka_unit_test(nothing_measured_is_nan_everywhere),
        cmocka_unit_test(a_percentile_is_never_outside_what_was_seen),
        cmocka_unit_test(units_of_no_time_have_no_throughput),
        cmocka_unit_test(past_the_last_group_operations_go_into_overflow),
        cmocka_unit_test(history_keeps_the_latest_and_counts_the_rest),
        cmocka_unit_test(memory_stays_within_its_bounds),
        cmocka_unit_test(the_trend_is_of_the_latest_operations_of_the_group),
        cmocka_unit_test(the_document_says_what_the_structs_say),
        cmocka_unit_test(hostile_text_stays_text),
        cmocka_unit_test(text_may_be_missing_and_numbers_too),
        cmocka_unit_test(a_buffer_that_is_too_small_tells_what_is_needed),
        cmocka_unit_test(numbers_have_a_point_in_every_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
