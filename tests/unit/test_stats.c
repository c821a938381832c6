/* test_stats.c: what the hub knows of its producers, against sums over everything that was ever sent.
 */
#include "hearing.h"

#include <math.h>

#include <cjson/cJSON.h>

/* Half a bucket of bitnet/histogram.h: a percentile is the middle of its bucket. */
#define BUCKET_TOLERANCE (1.0 / 32 + 1e-12)

static uint64_t seed = 20261122;
static double uniform(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 11) / 9007199254740992.0;
}

/* ---- sums -------------------------------------------------------------------------------------- */

enum { N_MAX = 40000 };
static double sent[N_MAX];
static uint64_t sent_at[N_MAX]; /* second */
static int n_sent;

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* A window of n values between 0.1 ms and 1 s, which are kept in `sent`. */
static void send_some(stats *s, uint64_t ms, int n) {
    bitnet_histogram h = {.n = 0};
    bitnet_bucket b[BITNET_HISTOGRAM_BUCKETS];
    double sum = 0, low = HUGE_VAL, high = -HUGE_VAL;
    static char m[8192];
    for (int i = 0; i < n; i++) {
        double v = pow(10, -4 * uniform());
        sent[n_sent] = v;
        sent_at[n_sent++] = ms / 1000;
        bitnet_histogram_add(&h, v);
        sum += v;
        low = fmin(low, v);
        high = fmax(high, v);
    }
    int at =
        snprintf(m, sizeof m,
                 "\"time_per_output_token\":{\"n\":%d,\"sum\":%.17g,\"min\":%.17g,\"max\":%.17g,"
                 "\"last\":%.17g,\"b\":[",
                 n, sum, low, high, sent[n_sent - 1]);
    int32_t n_b = bitnet_histogram_export(&h, b, BITNET_HISTOGRAM_BUCKETS);
    for (int i = 0; i < n_b; i++)
        at += snprintf(m + at, sizeof m - (size_t)at, "%s%u,%u", i ? "," : "", b[i].index,
                       b[i].count);
    snprintf(m + at, sizeof m - (size_t)at, "]}");
    hear_values(s, "a1", 1, at_ms(ms), m);
}

static void expect_sums(const values *v, uint64_t from, uint64_t to) {
    static double mine[N_MAX];
    bitnet_histogram h = {.n = 0};
    double sum = 0, last = 0;
    int n = 0;
    for (int i = 0; i < n_sent; i++) {
        if (sent_at[i] < from || sent_at[i] > to) continue;
        bitnet_histogram_add(&h, sent[i]);
        sum += sent[i];
        last = sent[i];
        mine[n++] = sent[i];
    }
    assert_int_equal(v->n, n);
    if (n == 0) return;
    qsort(mine, (size_t)n, sizeof *mine, by_size);
    if (fabs(v->sum - sum) > 1e-9 * sum) fail_msg("sum is %.17g, not %.17g", v->sum, sum);
    assert_true(v->min == mine[0] && v->max == mine[n - 1] && v->last == last);
    for (int q = 1; q <= 100; q++) {
        double got = values_quantile(v, q / 100.0), exact = mine[(int)ceil(q / 100.0 * n) - 1];
        assert_true(got == bitnet_histogram_quantile(&h, q / 100.0));
        if (fabs(got - exact) > BUCKET_TOLERANCE * exact)
            fail_msg("p%d of %d values is %.9g, not %.9g", q, n, got, exact);
    }
}

static void sums_and_percentiles_are_those_of_all_values(void **state) {
    (void)state;
    stats *s = stats_create();
    hear_hello(s, "a1", 1, at_ms(0), "cli", "m");
    n_sent = 0;
    for (uint64_t ms = 0; ms < 200 * 1000 && n_sent < N_MAX - 50; ms += 100) {
        bool is_pause = (ms / 7000) % 3 == 1; /* seconds without a value too */
        if (!is_pause) send_some(s, ms, 1 + (int)(20 * uniform()));
        if (ms % 1000 != 900) continue;
        const stats_metric *m = stats_find(s->rows[0], "time_per_output_token");
        size_t room = SIZE_MAX;
        uint64_t second = ms / 1000;
        values minute = stats_minute(m, at_ms(ms), &room);
        expect_sums(&minute, second < 59 ? 0 : second - 59, second);
        values_clear(&minute, &room);
        assert_true(room == SIZE_MAX);
    }
    expect_sums(&stats_find(s->rows[0], "time_per_output_token")->all, 0, UINT64_MAX);
    assert_int_equal(s->n_samples > 0, 1);
    stats_free(s);
}

static void a_minute_after_the_last_value_there_is_none(void **state) {
    (void)state;
    stats *s = stats_create();
    hear_hello(s, "a1", 1, at_ms(0), "cli", "m");
    hear_value(s, "a1", 1, at_ms(5000), "memory", 10);
    const stats_metric *m = stats_find(s->rows[0], "memory");
    size_t room = SIZE_MAX;
    assert_int_equal(stats_minute(m, at_ms(64999), &room).n, 1);
    assert_int_equal(stats_minute(m, at_ms(65000), &room).n, 0);
    assert_int_equal(m->all.n, 1);
    stats_free(s);
}

/* ---- memory ------------------------------------------------------------------------------------ */

static void all_memory_comes_back(void **state) {
    (void)state;
    stats *s = stats_create();
    for (uint32_t i = 1; i <= 20; i++) {
        char instance[8];
        snprintf(instance, sizeof instance, "%x", i);
        hear_hello(s, instance, i, at_ms(0), "cli", "m");
        n_sent = 0;
        for (int k = 0; k < 10; k++)
            hear_value(s, instance, i, at_ms(1000 * (uint64_t)k), "memory", k);
        hear(s, instance, i, at_ms(1000),
             "{\"type\":\"window\",\"seq\":1,\"t_ms\":1,\"span_ms\":1,\"dropped\":3,\"m\":{},\"s\":"
             "[{"
             "\"name\":\"mine\",\"labels\":{\"a\":\"1\"},\"n\":1,\"sum\":1,\"min\":1,\"max\":1,"
             "\"last\":1}]}");
        hear(s, instance, i, at_ms(2000), "{\"type\":\"bye\",\"reason\":\"done\",\"seq\":1}");
    }
    assert_int_equal(s->n_rows, 20);
    assert_true(s->room < STATS_BYTES_MAX);
    stats_tick(s, at_ms(2000 + HUB_ENDED_MS - 1));
    assert_int_equal(s->n_rows, 20);
    stats_tick(s, at_ms(2000 + HUB_ENDED_MS));
    assert_int_equal(s->n_rows, 0);
    assert_int_equal(s->n_series, 0);
    assert_true(s->room == STATS_BYTES_MAX);
    stats_free(s);
}

static void without_room_numbers_stay_right_and_percentiles_go(void **state) {
    (void)state;
    bitnet_bucket b[2] = {{5, 1}, {9, 2}};
    values v = {.n = 0}, one = {.n = 3, .sum = 6, .min = 1, .max = 3, .last = 2, .b = b, .n_b = 2};
    size_t room = 0;
    values_add(&v, &one, &room);
    values_add(&v, &one, &room);
    assert_int_equal(v.n, 6);
    assert_true(v.sum == 12 && v.min == 1 && v.max == 3);
    assert_true(isnan(values_quantile(&v, 0.5)));
    values_clear(&v, &room);
    assert_int_equal(room, 0);
}

static void send_series(stats *s, uint32_t number, const char *instance, const char *labels) {
    char text[512];
    snprintf(
        text, sizeof text,
        "{\"type\":\"window\",\"seq\":1,\"t_ms\":1,\"span_ms\":1,\"dropped\":0,\"m\":{},\"s\":[{"
        "\"name\":\"mine\",\"labels\":%s,\"n\":2,\"sum\":3,\"min\":1,\"max\":2,\"last\":2}]}",
        labels);
    hear(s, instance, number, at_ms(1), text);
}

static void series_are_told_apart_by_their_labels_in_any_order(void **state) {
    (void)state;
    stats *s = stats_create();
    hear_hello(s, "a1", 1, at_ms(0), "cli", "m");
    send_series(s, 1, "a1", "{\"a\":\"1\",\"b\":\"2\"}");
    send_series(s, 1, "a1", "{\"b\":\"2\",\"a\":\"1\"}");
    send_series(s, 1, "a1", "{\"a\":\"1\",\"b\":\"3\"}");
    assert_int_equal(s->rows[0]->n_series, 2);
    assert_string_equal(s->rows[0]->series[0].labels, "{\"a\":\"1\",\"b\":\"2\"}");
    assert_int_equal(s->rows[0]->series[0].all.n, 4);
    assert_true(s->rows[0]->series[0].all.sum == 6 && s->rows[0]->series[1].all.sum == 3);
    stats_free(s);
}

static void series_beyond_the_limit_are_counted_in_one(void **state) {
    (void)state;
    stats *s = stats_create();
    hear_hello(s, "a1", 1, at_ms(0), "cli", "m");
    char labels[64];
    for (int i = 0; i < STATS_SERIES_MAX + 5; i++) {
        snprintf(labels, sizeof labels, "{\"user\":\"%d\"}", i);
        send_series(s, 1, "a1", labels);
    }
    send_series(s, 1, "a1", "{\"user\":\"17\"}"); /* known: not beyond */
    const stats_metric *m = stats_find(s->rows[0], "mine");
    assert_int_equal(s->rows[0]->n_series, STATS_SERIES_MAX);
    assert_int_equal(s->n_overflow, 2 * 5);
    assert_int_equal(m->overflow.n, 2 * 5);
    assert_true(m->overflow.sum == 3.0 * 5);
    assert_int_equal(s->rows[0]->series[17].all.n, 4);
    print_message("%d series take %zu bytes\n", STATS_SERIES_MAX, STATS_BYTES_MAX - s->room);
    stats_free(s);
}

/* A window of n series, user=first and so on. */
static void send_many_series(stats *s, uint32_t number, const char *instance, int first, int n) {
    static char text[MESSAGE_MAX];
    int at =
        snprintf(text, sizeof text,
                 "{\"type\":\"window\",\"seq\":1,\"t_ms\":1,\"span_ms\":1,\"dropped\":0,\"m\":{},"
                 "\"s\":[");
    for (int i = 0; i < n; i++)
        at += snprintf(
            text + at, sizeof text - (size_t)at,
            "%s{\"name\":\"mine\",\"labels\":{\"user\":\"%d\"},\"n\":1,\"sum\":1,\"min\":1,"
            "\"max\":1,\"last\":1}",
            i ? "," : "", first + i);
    snprintf(text + at, sizeof text - (size_t)at, "]}");
    hear(s, instance, number, at_ms(1), text);
}

static void all_producers_together_have_a_limit_too(void **state) {
    (void)state;
    enum { AT_ONCE = 500, N = STATS_ALL_SERIES_MAX / STATS_SERIES_MAX + 2 };
    stats *s = stats_create();
    char instance[8];
    for (uint32_t i = 1; i <= N; i++) {
        snprintf(instance, sizeof instance, "%x", i);
        hear_hello(s, instance, i, at_ms(0), "cli", "m");
        for (int first = 0; first < STATS_SERIES_MAX; first += AT_ONCE)
            send_many_series(s, i, instance, first, AT_ONCE);
    }
    assert_int_equal(s->n_series, STATS_ALL_SERIES_MAX);
    assert_int_equal(s->n_overflow, 2 * STATS_SERIES_MAX);
    assert_true(stats_find(s->rows[N - 1], "mine")->overflow.sum == (double)STATS_SERIES_MAX);
    print_message("%d series of %d producers take %.1f MiB\n", STATS_ALL_SERIES_MAX, N,
                  (double)(STATS_BYTES_MAX - s->room) / 1048576);
    text_buf t = {.p = NULL};
    stats_write(s, &t, at_ms(2));
    print_message("and %.1f MiB of JSON\n", (double)t.n / 1048576);
    assert_false(t.has_failed);
    text_free(&t);
    stats_free(s);
}

/* ---- rows -------------------------------------------------------------------------------------- */

static void a_producer_that_comes_back_goes_on_in_its_row(void **state) {
    (void)state;
    stats *s = stats_create();
    hear_hello(s, "a1", 1, at_ms(0), "cli", "m");
    hear_value(s, "a1", 1, at_ms(10), "generation_tokens", 5);
    assert_string_equal(stats_state(s->rows[0], at_ms(100)), "live");
    assert_string_equal(stats_state(s->rows[0], at_ms(5000)), "idle");
    assert_string_equal(stats_state(s->rows[0], at_ms(6011)), "silent");
    hear(s, "a1", 1, at_ms(20), "{\"type\":\"bye\",\"reason\":\"lost\",\"seq\":1}");
    assert_string_equal(stats_state(s->rows[0], at_ms(21)), "lost");
    hear_hello(s, "a1", 1, at_ms(30), "cli", "m");
    hear_value(s, "a1", 1, at_ms(40), "generation_tokens", 6);
    assert_int_equal(s->n_rows, 1);
    assert_true(stats_find(s->rows[0], "generation_tokens")->all.sum == 11);
    assert_string_equal(stats_state(s->rows[0], at_ms(41)), "live");
    hear_hello(s, "a1", 9, at_ms(50), "cli", "m"); /* the hub has forgotten it */
    assert_int_equal(s->n_rows, 1);
    assert_int_equal(stats_find(s->rows[0], "generation_tokens")->all.n, 0);
    stats_free(s);
}

static void what_is_lost_is_counted(void **state) {
    (void)state;
    stats *s = stats_create();
    hear_hello(s, "a1", 1, at_ms(0), "cli", "m");
    hear(s, "a1", 1, at_ms(1),
         "{\"type\":\"window\",\"seq\":1,\"t_ms\":1,\"span_ms\":1,\"dropped\":4,"
         "\"m\":{}}");
    hear(s, "a1", 1, at_ms(2),
         "{\"type\":\"window\",\"seq\":2,\"t_ms\":1,\"span_ms\":1,\"dropped\":7,"
         "\"m\":{\"memory\":{\"n\":1,\"sum\":-1,\"min\":-1,\"max\":-1,"
         "\"last\":-1}}}");
    hear(s, "a1", 1, at_ms(3),
         "{\"type\":\"gap\",\"seq\":3,\"to\":9,\"n\":180,\"reason\":\"spool_full\"}");
    hear(s, "a1", 1, at_ms(4),
         "{\"type\":\"gap\",\"seq\":10,\"to\":11,\"reason\":\"not_delivered\"}");
    assert_int_equal(s->rows[0]->dropped, 7);
    assert_true(stats_find(s->rows[0], "dropped")->all.sum == 7);
    assert_true(stats_find(s->rows[0], "lost_samples")->all.sum == 180);
    assert_true(stats_find(s->rows[0], "rejected")->all.sum == 1);
    assert_int_equal(s->n_dropped, 7);
    assert_int_equal(s->n_lost, 180);
    assert_int_equal(s->n_rejected, 1);
    assert_int_equal(stats_find(s->rows[0], "memory")->all.n, 0);
    stats_free(s);
}

static void rows_stay_in_the_order_of_their_numbers(void **state) {
    (void)state;
    stats *s = stats_create();
    char instance[8];
    for (uint32_t i = 1; i <= 3 * STATS_ROWS_MAX; i++) {
        snprintf(instance, sizeof instance, "%x", i);
        hear_hello(s, instance, i, at_ms(i), "cli", "m");
        if (i > 10)
            hear(s, instance, i, at_ms(i), "{\"type\":\"bye\",\"reason\":\"done\",\"seq\":0}");
    }
    assert_int_equal(s->n_rows, STATS_ROWS_MAX);
    for (int i = 1; i < s->n_rows; i++)
        assert_true(s->rows[i - 1]->number < s->rows[i]->number);
    for (uint32_t i = 0; i < 10; i++) /* those that are connected were not pushed out */
        assert_int_equal(s->rows[i]->number, i + 1);
    stats_free(s);
}

/* ---- JSON -------------------------------------------------------------------------------------- */

static void the_json_says_null_and_absent_and_never_zero_for_what_was_not_measured(void **state) {
    (void)state;
    stats *s = stats_create();
    hear_hello(s, "a1", 3, at_ms(0), "quote \\\" and \\u00e9", "m");
    hear_value(s, "a1", 3, at_ms(100), "memory", 12);
    send_series(s, 3, "a1", "{\"a\":\"x\\\"y\"}");
    text_buf t = {.p = NULL};
    text_put(&t, "{");
    stats_write(s, &t, at_ms(70 * 1000));
    text_put(&t, "}");
    cJSON *json = cJSON_Parse(t.p);
    if (!json) fail_msg("not JSON: %s", t.p);
    const cJSON *p = cJSON_GetObjectItem(json, "producers")->child;
    assert_true(cJSON_GetObjectItem(p, "producer")->valuedouble == 3);
    assert_string_equal(cJSON_GetObjectItem(p, "name")->valuestring, "quote \" and \xc3\xa9");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(p, "clock")));
    assert_string_equal(cJSON_GetObjectItem(p, "state")->valuestring, "silent");
    assert_true(cJSON_GetObjectItem(p, "heard_ms")->valuedouble == 1795000000001.0);
    const cJSON *all = cJSON_GetObjectItem(p, "metrics");
    assert_int_equal(cJSON_GetArraySize(all), 1);
    assert_true(cJSON_GetObjectItem(cJSON_GetObjectItem(all, "memory"), "mean")->valuedouble == 12);
    assert_null(cJSON_GetObjectItem(cJSON_GetObjectItem(all, "memory"), "p50"));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(p, "last_minute")), 0);
    const cJSON *series = cJSON_GetObjectItem(p, "series")->child;
    assert_string_equal(
        cJSON_GetObjectItem(cJSON_GetObjectItem(series, "labels"), "a")->valuestring, "x\"y");
    assert_true(cJSON_GetObjectItem(series, "sum")->valuedouble == 3);
    stats_hear_clock(s, "a1", 0.5, 0.25);
    text_free(&t);
    stats_write(s, &t, at_ms(70 * 1000));
    assert_non_null(strstr(t.p, "\"clock\":{\"offset_ms\":0.5,\"error_ms\":0.25}"));
    cJSON_Delete(json);
    text_free(&t);
    stats_free(s);
}

static void operations_of_all_producers_are_summed_up(void **state) {
    (void)state;
    stats *s = stats_create();
    hear_hello(s, "a1", 1, at_ms(0), "cli", "m");
    char text[512];
    for (int i = 1; i <= 4; i++) {
        snprintf(
            text, sizeof text,
            "{\"type\":\"op\",\"seq\":%d,\"t_ms\":5,\"id\":%d,\"parent\":0,\"op\":\"resize\","
            "\"strategy\":\"avx2\",\"duration_s\":%d,\"ok\":%s,%s\"units\":10,\"unit\":\"row\","
            "\"meta\":{\"factor\":2,\"note\":\"x\"}}",
            i, i, i, i == 4 ? "false" : "true", i == 4 ? "\"error\":\"torn\"," : "");
        hear(s, "a1", 1, at_ms(5), text);
    }
    text_buf t = {.p = NULL};
    text_put(&t, "{");
    stats_write_operations(s, &t);
    text_put(&t, "}");
    cJSON *json = cJSON_Parse(t.p);
    if (!json) fail_msg("not JSON: %s", t.p);
    const cJSON *ops = cJSON_GetObjectItem(json, "operations");
    const cJSON *all = cJSON_GetObjectItem(ops, "summary");
    assert_true(cJSON_GetObjectItem(all, "count")->valuedouble == 4);
    assert_true(cJSON_GetObjectItem(all, "failed")->valuedouble == 1);
    assert_true(cJSON_GetObjectItem(cJSON_GetObjectItem(all, "duration_s"), "mean")->valuedouble ==
                2);
    assert_null(cJSON_GetObjectItem(all, "quality")); /* nobody measured it */
    const cJSON *last = cJSON_GetObjectItem(ops, "recent")->child;
    assert_string_equal(cJSON_GetObjectItem(last, "error")->valuestring, "torn");
    const cJSON *meta = cJSON_GetObjectItem(last, "meta");
    assert_true(cJSON_GetObjectItem(meta, "factor")->valuedouble == 2);
    assert_string_equal(cJSON_GetObjectItem(meta, "note")->valuestring, "x");
    assert_int_equal(s->n_samples, 4);
    cJSON_Delete(json);
    text_free(&t);
    stats_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_percentiles_are_those_of_all_values),
        cmocka_unit_test(a_minute_after_the_last_value_there_is_none),
        cmocka_unit_test(all_memory_comes_back),
        cmocka_unit_test(without_room_numbers_stay_right_and_percentiles_go),
        cmocka_unit_test(series_are_told_apart_by_their_labels_in_any_order),
        cmocka_unit_test(series_beyond_the_limit_are_counted_in_one),
        cmocka_unit_test(all_producers_together_have_a_limit_too),
        cmocka_unit_test(a_producer_that_comes_back_goes_on_in_its_row),
        cmocka_unit_test(what_is_lost_is_counted),
        cmocka_unit_test(operations_of_all_producers_are_summed_up),
        cmocka_unit_test(rows_stay_in_the_order_of_their_numbers),
        cmocka_unit_test(the_json_says_null_and_absent_and_never_zero_for_what_was_not_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
