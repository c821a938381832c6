/* test_tracker.c: records arrive once and in order, windows add up, and what goes over the wire is
 * what docs/protocol.md says.
 */
#include "load_file.h"
#include "tracker/json_writer.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bitnet_window last;
static bitnet_histogram last_tpot;
static int n_windows, n_closed;

static bitnet_status keep_window(void *ctx, const bitnet_window *w) {
    (void)ctx;
    last = *w;
    last_tpot = w->hist[BITNET_METRIC_TPOT];
    n_windows++;
    return BITNET_OK;
}
static void count_close(void *ctx) {
    (void)ctx;
    n_closed++;
}

static bitnet_tracker *make_tracker(uint32_t ring_cap, bitnet_ring **ring) {
    bitnet_tracker *t;
    assert_int_equal(bitnet_tracker_create(&t, &(bitnet_tracker_desc){.ring_cap = ring_cap}),
                     BITNET_OK);
    assert_int_equal(
        bitnet_tracker_add_sink(t, (bitnet_sink){.write = keep_window, .close = count_close}),
        BITNET_OK);
    *ring = bitnet_tracker_ring(t);
    assert_non_null(*ring);
    n_windows = n_closed = 0;
    return t;
}

static void a_window_holds_count_sum_extremes_and_last(void **state) {
    (void)state;
    bitnet_ring *r;
    bitnet_tracker *t = make_tracker(0, &r);
    static const double values[] = {0.004, 0.001, 0.010, 0.002};
    for (size_t i = 0; i < 4; i++)
        bitnet_ring_push(r, i, BITNET_METRIC_TPOT, values[i], 1, 0);
    bitnet_tracker_pump(t, 1000);
    const bitnet_window_metric *m = &last.metric[BITNET_METRIC_TPOT];
    assert_int_equal(m->n, 4);
    assert_true(fabs(m->sum - 0.017) < 1e-12);
    assert_true(m->min == 0.001 && m->max == 0.010 && m->last == 0.002);
    assert_int_equal(last_tpot.n, 4);
    assert_true(fabs(bitnet_histogram_quantile(&last_tpot, 0.5) / 0.002 - 1) <= 1.0 / 32);
    assert_int_equal(last.metric[BITNET_METRIC_TTFT].n, 0);
    bitnet_tracker_pump(t, 2000);
    assert_int_equal(last.metric[BITNET_METRIC_TPOT].n, 0); /* nothing is counted twice */
    assert_int_equal(last_tpot.n, 0);
    assert_int_equal(last.t0_ns, 1000);
    bitnet_tracker_free(t);
    assert_int_equal(n_closed, 1);
}

static void a_full_ring_drops_the_new_record_and_counts_it(void **state) {
    (void)state;
    bitnet_ring *r;
    bitnet_tracker *t = make_tracker(16, &r);
    for (int i = 0; i < 20; i++)
        bitnet_ring_push(r, 0, BITNET_METRIC_TOKENS_OUT, i, 0, 0);
    bitnet_tracker_pump(t, 1);
    assert_int_equal(last.metric[BITNET_METRIC_TOKENS_OUT].n, 16);
    assert_true(last.metric[BITNET_METRIC_TOKENS_OUT].last == 15);
    assert_int_equal(last.n_dropped, 4);
    bitnet_ring_push(r, 0, BITNET_METRIC_TPOT, (double)NAN, 0,
                     0); /* no number: dropped, not shown */
    bitnet_ring_push(r, 0, BITNET_METRIC_TPOT, (double)INFINITY, 0, 0);
    bitnet_tracker_pump(t, 2);
    assert_int_equal(last.metric[BITNET_METRIC_TPOT].n, 0);
    assert_int_equal(last.n_dropped, 6);
    bitnet_ring_push(NULL, 0, BITNET_METRIC_TOKENS_OUT, 1, 0, 0); /* not tracked: nothing happens */
    bitnet_tracker_free(t);
}

#define N_PUSHED 200000
static void *push_many(void *ring) {
    for (int i = 1; i <= N_PUSHED; i++)
        bitnet_ring_push(ring, (uint64_t)i, BITNET_METRIC_TOKENS_OUT, i, 0, 0);
    return NULL;
}

static double total_seen;
static uint64_t n_seen;
static bitnet_status add_up(void *ctx, const bitnet_window *w) {
    (void)ctx;
    total_seen += w->metric[BITNET_METRIC_TOKENS_OUT].sum;
    n_seen += w->metric[BITNET_METRIC_TOKENS_OUT].n;
    last = *w;
    return BITNET_OK;
}

static void records_cross_threads_once_each(void **state) {
    (void)state;
    bitnet_ring *r;
    bitnet_tracker *t = make_tracker(1024, &r);
    bitnet_tracker_add_sink(t, (bitnet_sink){.write = add_up});
    total_seen = 0, n_seen = 0;
    pthread_t id;
    assert_int_equal(pthread_create(&id, NULL, push_many, r), 0);
    for (int i = 0; i < 200; i++)
        bitnet_tracker_pump(t, (uint64_t)i);
    pthread_join(id, NULL);
    bitnet_tracker_pump(t, 1000);
    assert_int_equal(n_seen + last.n_dropped, N_PUSHED);
    assert_true(n_seen >= 1024);
    bitnet_tracker_free(t);
}

/* ---- the report -------------------------------------------------------------------------------
 */

static char messages[8][65536];
static int n_messages;
static uint32_t n_opened;
static bitnet_status answer = BITNET_OK;

static bitnet_status keep_message(void *ctx, const void *msg, size_t n) {
    (void)ctx;
    if (answer != BITNET_OK) return answer;
    assert_true(n_messages < 8 && n < sizeof messages[0]);
    memcpy(messages[n_messages], msg, n);
    messages[n_messages++][n] = 0;
    return BITNET_OK;
}
static uint32_t tell_opened(void *ctx) {
    (void)ctx;
    return n_opened;
}

static cJSON *message(int i, const char *type) {
    assert_true(i < n_messages);
    cJSON *json = cJSON_Parse(messages[i]);
    if (!json) fail_msg("not JSON: %s", messages[i]);
    assert_string_equal(cJSON_GetObjectItemCaseSensitive(json, "type")->valuestring, type);
    return json;
}

static bitnet_tracker *make_report(bitnet_ring **ring) {
    bitnet_sink sink;
    bitnet_report_desc d = {.name = "a \"name\"\n\xc3\xa9",
                            .backend = "cpu",
                            .tier = "c",
                            .model = "m",
                            .n_threads = 2,
                            .instance = 0xabc};
    bitnet_transport tr = {.send = keep_message, .n_opened = tell_opened};
    n_messages = 0, n_opened = 0, answer = BITNET_OK;
    assert_int_equal(bitnet_report_open(&sink, tr, &d), BITNET_OK);
    bitnet_tracker *t = make_tracker(0, ring);
    bitnet_tracker_add_sink(t, sink);
    return t;
}

static void hello_comes_first_and_again_after_a_reconnection(void **state) {
    (void)state;
    bitnet_ring *r;
    bitnet_tracker *t = make_report(&r);
    n_opened = 1;
    bitnet_ring_push(r, 1, BITNET_METRIC_TTFT, 0.25, 1, 0);
    bitnet_tracker_pump(t, 1000000);
    cJSON *hello = message(0, "hello"), *window = message(1, "window");
    assert_string_equal(cJSON_GetObjectItemCaseSensitive(hello, "name")->valuestring,
                        "a \"name\" \xc3\xa9"); /* a hub takes no control characters */
    assert_string_equal(cJSON_GetObjectItemCaseSensitive(hello, "instance")->valuestring,
                        "0000000000000abc");
    assert_int_equal(cJSON_GetObjectItemCaseSensitive(hello, "proto")->valueint, 1);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(hello, "metrics")),
                     BITNET_METRIC_COUNT);
    const cJSON *m = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(window, "m"),
                                                      "time_to_first_token");
    assert_true(cJSON_GetObjectItemCaseSensitive(m, "sum")->valuedouble == 0.25);
    assert_int_equal(cJSON_GetObjectItemCaseSensitive(window, "seq")->valueint, 1);
    /* what was not measured is absent, never zero */
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(window, "m")), 1);
    n_opened = 2;
    bitnet_ring_push(r, 2, BITNET_METRIC_TTFT, 0.5, 1, 0);
    bitnet_tracker_pump(t, 2000000);
    cJSON *again = message(2, "hello"), *second = message(3, "window");
    assert_int_equal(cJSON_GetObjectItemCaseSensitive(second, "seq")->valueint, 2);
    bitnet_tracker_free(t);
    cJSON *bye = message(n_messages - 1, "bye");
    assert_string_equal(cJSON_GetObjectItemCaseSensitive(bye, "reason")->valuestring, "done");
    cJSON *all[] = {hello, window, again, second, bye};
    for (size_t i = 0; i < 5; i++)
        cJSON_Delete(all[i]);
}

static void quiet_windows_are_sent_every_two_seconds_only(void **state) {
    (void)state;
    bitnet_ring *r;
    bitnet_tracker *t = make_report(&r);
    n_opened = 1;
    uint64_t start = 10000000000u;
    bitnet_tracker_pump(t, start);
    int first = n_messages;
    for (int i = 1; i < 20; i++)
        bitnet_tracker_pump(t, start + (uint64_t)i * 100000000u);
    assert_int_equal(n_messages, first);
    bitnet_tracker_pump(t, start + 2000000000u);
    assert_int_equal(n_messages, first + 1);
    bitnet_tracker_free(t);
}

static void what_the_transport_refuses_is_kept_and_sent_later(void **state) {
    (void)state;
    bitnet_ring *r;
    bitnet_tracker *t = make_report(&r);
    n_opened = 1, answer = BITNET_AGAIN;
    for (int i = 1; i <= 2; i++) {
        bitnet_ring_push(r, 1, BITNET_METRIC_TTFT, i, 1, 0);
        bitnet_tracker_pump(t, (uint64_t)i);
    }
    assert_int_equal(n_messages, 0);
    assert_int_equal(bitnet_tracker_settle(t), BITNET_AGAIN);
    answer = BITNET_OK;
    bitnet_tracker_pump(t, 3);
    assert_int_equal(bitnet_tracker_settle(t), BITNET_OK);
    for (int i = 1; i <= 2; i++) {
        cJSON *window = message(i, "window");
        const cJSON *m = cJSON_GetObjectItemCaseSensitive(window, "m");
        m = cJSON_GetObjectItemCaseSensitive(m, "time_to_first_token");
        assert_int_equal(cJSON_GetObjectItemCaseSensitive(window, "seq")->valueint, i);
        assert_int_equal(cJSON_GetObjectItemCaseSensitive(m, "sum")->valueint, i);
        cJSON_Delete(window);
    }
    bitnet_tracker_free(t);
}

static void a_series_is_a_metric_split_up_by_labels(void **state) {
    (void)state;
    bitnet_ring *r;
    bitnet_tracker *t = make_report(&r);
    const bitnet_label quoted = {"who", "\"x\""}, plain = {"who", "y"};
    bitnet_metric x = bitnet_tracker_series(t, BITNET_METRIC_TOKENS_OUT, &quoted, 1);
    bitnet_metric y = bitnet_tracker_series(t, BITNET_METRIC_TOKENS_OUT, &plain, 1);
    assert_true(x != y && x >= BITNET_METRIC_COUNT);
    assert_int_equal(bitnet_tracker_series(t, BITNET_METRIC_TOKENS_OUT, &quoted, 1), x);
    n_opened = 1;
    bitnet_ring_push(r, 1, x, 2, 0, 0);
    bitnet_ring_push(r, 1, x, 3, 0, 0);
    bitnet_ring_push(r, 1, y, 7, 0, 0);
    bitnet_tracker_pump(t, 1000000);
    cJSON *window = message(1, "window");
    const cJSON *s = cJSON_GetObjectItemCaseSensitive(window, "s");
    assert_int_equal(cJSON_GetArraySize(s), 2);
    const cJSON *first = cJSON_GetArrayItem(s, 0);
    assert_string_equal(cJSON_GetObjectItemCaseSensitive(first, "name")->valuestring,
                        "generation_tokens");
    const cJSON *labels = cJSON_GetObjectItemCaseSensitive(first, "labels");
    assert_string_equal(cJSON_GetObjectItemCaseSensitive(labels, "who")->valuestring, "\"x\"");
    assert_int_equal(cJSON_GetObjectItemCaseSensitive(first, "sum")->valueint, 5);
    cJSON_Delete(window);
    bitnet_tracker_free(t);
}

static void there_are_so_many_series_and_no_more(void **state) {
    (void)state;
    bitnet_ring *r;
    bitnet_tracker *t = make_tracker(0, &r);
    bitnet_metric id = 0;
    for (int i = 0; i <= BITNET_MAX_SERIES; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        id = bitnet_tracker_series(t, BITNET_METRIC_TOKENS_OUT, &(bitnet_label){"k", value}, 1);
        bitnet_ring_push(r, 1, id, 1, 0, 0);
    }
    char too_long[BITNET_LABELS_CAP + 1];
    memset(too_long, 'x', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = 0;
    assert_int_equal(
        bitnet_tracker_series(t, BITNET_METRIC_TOKENS_OUT, &(bitnet_label){"k", too_long}, 1), id);
    assert_int_equal(bitnet_tracker_series(t, BITNET_METRIC_TTFT, &(bitnet_label){"k", "v"}, 1),
                     id);
    bitnet_tracker_pump(t, 1);
    assert_int_equal(last.n_dropped, 1);
    assert_int_equal(last.n_series, BITNET_MAX_SERIES);
    bitnet_tracker_free(t);
}

/* Every histogram with every bucket: more than a message holds. */
static void a_window_too_long_for_a_message_goes_out_as_several(void **state) {
    (void)state;
    static bitnet_histogram hist[BITNET_METRIC_COUNT];
    char long_name[300];
    memset(long_name, '"', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    bitnet_sink sink;
    bitnet_report_desc d = {.name = long_name,
                            .backend = long_name,
                            .tier = long_name,
                            .model = long_name,
                            .host = long_name,
                            .token = long_name,
                            .instance = 1};
    n_messages = 0, n_opened = 1, answer = BITNET_OK;
    assert_int_equal(
        bitnet_report_open(&sink, (bitnet_transport){.send = keep_message, .n_opened = tell_opened},
                           &d),
        BITNET_OK);
    bitnet_window w = {.t1_ns = 1, .hist = hist};
    for (int i = 0; i < BITNET_METRIC_COUNT; i++) {
        w.metric[i] = (bitnet_window_metric){.n = UINT64_MAX,
                                             .sum = -1.23456789e-300,
                                             .min = -1.23456789e-300,
                                             .max = 1e300,
                                             .last = 1e-300};
        for (int b = 0; b < BITNET_HISTOGRAM_BUCKETS; b++)
            hist[i].count[b] = UINT32_MAX;
    }
    assert_int_equal(sink.write(sink.ctx, &w), BITNET_OK);
    cJSON *hello = message(0, "hello");
    assert_non_null(cJSON_GetObjectItemCaseSensitive(hello, "token"));
    cJSON_Delete(hello);
    assert_true(n_messages >= 2);
    int n_values = 0;
    for (int i = 1; i < n_messages; i++) {
        cJSON *window = message(i, "window");
        assert_int_equal(cJSON_GetObjectItemCaseSensitive(window, "seq")->valueint, i);
        n_values += cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(window, "m"));
        cJSON_Delete(window);
    }
    assert_int_equal(n_values, BITNET_METRIC_COUNT);
    sink.close(sink.ctx);
}

static void a_measure_is_written_with_nine_digits(void **state) {
    (void)state;
    static const double values[] = {0,
                                    1,
                                    -1,
                                    18350080,
                                    9007199254740991.0,
                                    0.0081,
                                    1e-9,
                                    4.94e-324,
                                    1e300,
                                    123456.789,
                                    0.1,
                                    -2.5e-7,
                                    1.0 / 3,
                                    1e15 / 3.0,
                                    9999999.5,
                                    999999999.96,
                                    9.99999999996e-5,
                                    1e22};
    uint64_t rng = 1;
    for (size_t i = 0; i < 20000; i++) {
        double v = i < sizeof values / sizeof *values ? values[i] : 0;
        while (i >= sizeof values / sizeof *values && !(isfinite(v) && v != 0)) {
            rng = rng * 6364136223846793005u + 1442695040888963407u;
            memcpy(&v, &rng, sizeof v); /* any double */
        }
        char text[64];
        bitnet_json_writer w = {.buf = text, .cap = sizeof text};
        bitnet_json_put_measure(&w, "v", v);
        assert_true(w.len < sizeof text && strncmp(text, ",\"v\":", 5) == 0);
        double back = strtod(text + 5, NULL);
        /* half of the ninth digit; denormals have fewer bits than that */
        if (fabs(back - v) > fabs(v) * 5.1e-9 + 1e-322) fail_msg("%.17g became %s", v, text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_holds_count_sum_extremes_and_last),
        cmocka_unit_test(a_full_ring_drops_the_new_record_and_counts_it),
        cmocka_unit_test(records_cross_threads_once_each),
        cmocka_unit_test(hello_comes_first_and_again_after_a_reconnection),
        cmocka_unit_test(quiet_windows_are_sent_every_two_seconds_only),
        cmocka_unit_test(what_the_transport_refuses_is_kept_and_sent_later),
        cmocka_unit_test(a_measure_is_written_with_nine_digits),
        cmocka_unit_test(a_series_is_a_metric_split_up_by_labels),
        cmocka_unit_test(there_are_so_many_series_and_no_more),
        cmocka_unit_test(a_window_too_long_for_a_message_goes_out_as_several),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
