/* test_metrics.c: what a request took: numbers derived by hand, sums over requests, what cannot be true; and that
 * the engine's own are measured, add up, are reset, and reach the tracker.
 */
#include "load_file.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "engine/meter.h"

/* Quotients of a handful of doubles; the expected ones are written with as many digits. */
#define ROUNDING 1e-12
/* Sums of differences of one clock, made in another order than the engine makes them. */
#define SUM_ROUNDING 1e-9

static void assert_number(double found, double expected, const char *what) {
    if (isnan(expected) ? !isnan(found) : !(fabs(found - expected) <= ROUNDING * fabs(expected)))
        fail_msg("%s is %.17g, expected %.17g", what, found, expected);
}

/* 11 tokens in 2.5 s, the first after half a second; 6 of 8 prompt tokens were new. */
static const bitnet_timings ordinary = {
    .n_prompt = 8,
    .n_prompt_computed = 6,
    .n_generated = 11,
    .n_drafted = 4,
    .n_accepted = 3,
    .tokenize_s = 0.125,
    .prefill_s = 0.25,
    .ttft_s = 0.5,
    .decode_s = 2,
    .decode_pass_s = 1.5,
    .sample_s = 0.25,
    .detokenize_s = 0.0625,
    .e2e_s = 2.5,
    .memory_size = 4000000,
};

static void every_number_follows_from_the_times(void **state) {
    (void)state;
    const bitnet_metrics m = bitnet_metrics_of(&ordinary);
    assert_int_equal(m.n_requests, 1);
    assert_int_equal(m.n_prompt, 8);
    assert_int_equal(m.n_prompt_computed, 6);
    assert_int_equal(m.n_generated, 11);
    assert_number(m.e2e_s, 2.5, "e2e_s");
    assert_number(m.ttft_s, 0.5, "ttft_s");
    assert_number(m.tpot_s, 0.2, "tpot_s");                                      /* 2 / 10 */
    assert_number(m.decode_tokens_per_second, 5, "decode_tokens_per_second");    /* 10 / 2 */
    assert_number(m.prefill_tokens_per_second, 24, "prefill_tokens_per_second"); /* 6 / 0.25 */
    assert_number(m.tokens_per_second, 4.4, "tokens_per_second");                /* 11 / 2.5 */
    assert_number(m.tokens_per_ms, 0.0044, "tokens_per_ms");
    assert_number(m.cache_hit_rate, 0.25, "cache_hit_rate"); /* 2 / 8 */
    assert_number(m.tokenize_s, 0.125, "tokenize_s");
    assert_number(m.prefill_s, 0.25, "prefill_s");
    assert_number(m.decode_pass_s, 1.5, "decode_pass_s");
    assert_number(m.sample_s, 0.25, "sample_s");
    assert_number(m.detokenize_s, 0.0625, "detokenize_s");
    assert_number(m.memory_size, 4e6, "memory_size");
    assert_int_equal(bitnet_metrics_validate(&m, NULL), BITNET_OK);
}

/* The fields that are numbers, in a string with spaces around each name. */
static void assert_measured(const bitnet_metrics *m, const char *names) {
    const bitnet_metrics_field *f;
    for (int32_t i = 0; (f = bitnet_metrics_field_at(i)); i++) {
        char padded[64];
        snprintf(padded, sizeof padded, " %s ", f->name);
        const bool is_expected = f->kind == BITNET_METRICS_COUNT || strstr(names, padded);
        const double v = bitnet_metrics_value(m, i);
        if (isnan(v) == is_expected)
            fail_msg("%s is %.9g, expected %s", f->name, v, is_expected ? "a number" : "NAN");
    }
    bitnet_error err = {0};
    if (bitnet_metrics_validate(m, &err) < 0) fail_msg("%s", err.text);
}

static void what_was_not_measured_is_nan_and_never_zero(void **state) {
    (void)state;
    const bitnet_metrics nothing = bitnet_meter_read(&(bitnet_meter){0});
    assert_measured(&nothing, "");

    const bitnet_timings in_the_queue = {.n_prompt = 8, .tokenize_s = 0.5, .e2e_s = 1};
    const bitnet_metrics waited = bitnet_metrics_of(&in_the_queue);
    assert_measured(&waited, " e2e_s tokenize_s ");

    bitnet_timings one = ordinary;
    one.n_generated = 1, one.decode_s = 0, one.decode_pass_s = 0;
    const bitnet_metrics first_only = bitnet_metrics_of(&one);
    assert_measured(&first_only, " e2e_s ttft_s tokenize_s prefill_s sample_s detokenize_s "
                                 "prefill_tokens_per_second tokens_per_second tokens_per_ms "
                                 "cache_hit_rate memory_size ");
}

static void several_requests_are_sums_and_means_over_those_that_had_one(void **state) {
    (void)state;
    const bitnet_timings one_token = {.n_prompt = 4,
                                      .n_prompt_computed = 4,
                                      .n_generated = 1,
                                      .tokenize_s = 0.25,
                                      .prefill_s = 0.5,
                                      .ttft_s = 1.5,
                                      .sample_s = 0.25,
                                      .detokenize_s = 0.0625,
                                      .decode_s = 0.25,
                                      .e2e_s = 1.75,
                                      .memory_size = 4000000},
                         cancelled = {.n_prompt = 100, .tokenize_s = 0.25, .e2e_s = 1};
    bitnet_meter meter = {0};
    bitnet_meter_add(&meter, &ordinary);
    bitnet_meter_add(&meter, &one_token);
    bitnet_meter_add(&meter, &cancelled);
    const bitnet_metrics m = bitnet_meter_read(&meter);
    assert_int_equal(m.n_requests, 3);
    assert_int_equal(m.n_prompt, 112);
    assert_int_equal(m.n_prompt_computed, 10);
    assert_int_equal(m.n_generated, 12);
    assert_number(m.e2e_s, 5.25, "e2e_s");
    assert_number(m.ttft_s, 1, "ttft_s");   /* (0.5 + 1.5) / 2 */
    assert_number(m.tpot_s, 0.2, "tpot_s"); /* the second request has no token behind its first */
    assert_number(m.decode_tokens_per_second, 5, "decode_tokens_per_second");
    assert_number(m.prefill_tokens_per_second, 10 / 0.75, "prefill_tokens_per_second");
    assert_number(m.tokens_per_second, 12 / 5.25, "tokens_per_second");
    assert_number(m.cache_hit_rate, 2.0 / 12,
                  "cache_hit_rate"); /* nothing was looked up for the third */
    assert_number(m.tokenize_s, 0.625, "tokenize_s");
    assert_number(m.sample_s, 0.5, "sample_s");
    assert_int_equal(bitnet_metrics_validate(&m, NULL), BITNET_OK);
}

/* ---- what cannot be true -------------------------------------------------------------------------
 */

static void every_field_out_of_its_range_is_named(void **state) {
    (void)state;
    const bitnet_metrics good = bitnet_metrics_of(&ordinary);
    const bitnet_metrics_field *f;
    int32_t n = 0;
    for (; (f = bitnet_metrics_field_at(n)); n++) {
        const double bad[] = {-1, (double)INFINITY, 1.5};
        for (size_t k = 0; k < 3; k++) {
            const bool is_count = f->kind == BITNET_METRICS_COUNT;
            if ((is_count && bad[k] != -1) || (bad[k] == 1.5 && f->kind != BITNET_METRICS_RATIO))
                continue;
            bitnet_metrics m = good;
            /* the fields are of eight bytes each, in the table's order: bitnet_metrics_value reads it back */
            const int64_t count = (int64_t)-1;
            memcpy((char *)&m + 8 * (size_t)n, is_count ? (const void *)&count : &bad[k], 8);
            assert_true(bitnet_metrics_value(&m, n) == bad[k]);
            bitnet_error err = {0};
            char id[64];
            snprintf(id, sizeof id, "metrics.%s", f->name);
            assert_int_equal(bitnet_metrics_validate(&m, &err), BITNET_E_INVAL);
            assert_string_equal(err.id, id);
            if (!strstr(err.text, f->name) || !strstr(err.text, "is allowed"))
                fail_msg("\"%s\" does not name %s and what is allowed", err.text, f->name);
        }
    }
    assert_int_equal(sizeof good, 8 * (size_t)n);
}

static void numbers_that_contradict_each_other_are_refused(void **state) {
    (void)state;
    const bitnet_metrics good = bitnet_metrics_of(&ordinary);
    struct {
        bitnet_metrics m;
        const char *id, *text;
    } cases[] = {{good, "metrics.n_requests", "n_requests is 0; tokens come from requests"},
                 {good, "metrics.e2e_s", "e2e_s is 0; tokens take time"},
                 {good, "metrics.e2e_s", "e2e_s is not measured; a request that ended has one"},
                 {good, "metrics.ttft_s", "ttft_s is not measured; a request with a token has one"},
                 {good, "metrics.ttft_s", "ttft_s is 2.75; at most e2e_s, 2.5, is allowed"},
                 {good, "metrics.n_prompt_computed", "is 9; at most n_prompt, 8, is allowed"},
                 {good, "metrics.e2e_s", "e2e_s is 2.5; at least the sum of its parts, 2.6875,"}};
    cases[0].m.n_requests = 0;
    cases[1].m.e2e_s = 0;
    cases[2].m.e2e_s = (double)NAN;
    cases[3].m.ttft_s = (double)NAN;
    cases[4].m.ttft_s = 2.75;
    cases[5].m.n_prompt_computed = 9;
    cases[6].m.detokenize_s += 0.5;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bitnet_error err = {0};
        assert_int_equal(bitnet_metrics_validate(&cases[i].m, &err), BITNET_E_INVAL);
        assert_string_equal(err.id, cases[i].id);
        if (!strstr(err.text, cases[i].text))
            fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].text);
    }
}

/* ---- of an engine --------------------------------------------------------------------------------
 */

static int keep_end(void *user, const bitnet_event *ev) {
    if (ev->kind == BITNET_EVENT_END) *(bitnet_timings *)user = ev->timings;
    return 0;
}

static bitnet_timings ask(bitnet_engine *e, const char *prompt, int32_t max_tokens) {
    const bitnet_request req = {
        .prompt = prompt, .prompt_len = strlen(prompt), .max_tokens = max_tokens};
    bitnet_timings t = {0};
    bitnet_error err = {0};
    if (bitnet_engine_run(e, &req, keep_end, &t, &err) < 0) fail_msg("%s", err.text);
    return t;
}

static bitnet_engine *make_engine(bitnet_ring *ring) {
    bitnet_engine *e;
    bitnet_error err = {0};
    const bitnet_engine_desc desc = {.model = test_shared.model, .ring = ring, .n_ctx = 128};
    if (bitnet_engine_create(&e, &desc, &err) < 0) fail_msg("%s", err.text);
    return e;
}

static void an_engine_measures_every_part_of_a_request(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(NULL);
    const bitnet_timings t = ask(e, "Once upon a time", 24);
    const double parts[] = {t.tokenize_s, t.prefill_s, t.decode_pass_s, t.sample_s, t.detokenize_s};
    double sum = 0;
    for (size_t i = 0; i < 5; i++) {
        if (!(parts[i] > 0)) fail_msg("part %zu took %g s", i, parts[i]);
        sum += parts[i];
    }
    if (!(sum <= t.e2e_s * (1 + SUM_ROUNDING))) fail_msg("parts of %g s in %g s", sum, t.e2e_s);
    if (!(t.decode_pass_s < t.decode_s)) fail_msg("%g s in %g s", t.decode_pass_s, t.decode_s);
    const bitnet_metrics m = bitnet_metrics_of(&t);
    bitnet_error err = {0};
    if (bitnet_metrics_validate(&m, &err) < 0) fail_msg("%s", err.text);
    const bitnet_memory_plan p =
        bitnet_model_plan(test_shared.model, 128, BITNET_BATCH_DEFAULT, 1 + BITNET_DRAFT_DEFAULT);
    assert_number(m.memory_size, (double)(p.mapped + p.copied + p.kv + p.scratch + p.backend),
                  "memory_size");
    assert_number(m.cache_hit_rate, 0, "cache_hit_rate");
    const bitnet_timings again = ask(e, "Once upon a time", 1);
    assert_number(bitnet_metrics_of(&again).cache_hit_rate, 0.8, "cache_hit_rate"); /* 4 of 5 */
    bitnet_engine_free(e);
}

static void an_engines_metrics_are_those_of_its_requests_until_they_are_reset(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(NULL);
    const bitnet_metrics before = bitnet_engine_get_metrics(e);
    assert_measured(&before, "");
    bitnet_meter meter = {0};
    const bitnet_timings first = ask(e, "Once upon a time", 12), second = ask(e, "The fox", 5);
    bitnet_meter_add(&meter, &first);
    bitnet_meter_add(&meter, &second);
    bitnet_metrics expected = bitnet_meter_read(&meter), found = bitnet_engine_get_metrics(e);
    assert_int_equal(found.n_generated, 17);
    for (int32_t i = 0; bitnet_metrics_field_at(i); i++)
        assert_number(bitnet_metrics_value(&found, i), bitnet_metrics_value(&expected, i),
                      bitnet_metrics_field_at(i)->name);
    bitnet_engine_reset_metrics(e);
    found = bitnet_engine_get_metrics(e);
    assert_measured(&found, "");
    assert_int_equal(found.n_requests, 0);
    ask(e, "The fox", 3);
    assert_int_equal(bitnet_engine_get_metrics(e).n_generated, 3);
    bitnet_engine_free(e);
}

static void a_request_cancelled_in_the_queue_counts_and_has_no_speed(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(NULL);
    const bitnet_request req = {.prompt = "The fox", .prompt_len = 7, .max_tokens = 4};
    uint32_t id;
    assert_int_equal(bitnet_engine_submit(e, &req, &id, NULL), BITNET_OK);
    bitnet_engine_cancel(e, id);
    assert_int_equal(bitnet_engine_step(e), BITNET_OK);
    const bitnet_metrics m = bitnet_engine_get_metrics(e);
    assert_int_equal(m.n_requests, 1);
    assert_measured(&m, " e2e_s tokenize_s memory_size ");
    bitnet_engine_free(e);
}

typedef struct reader {
    bitnet_engine *engine;
    atomic_bool is_over;
    atomic_int n_reads;
    int64_t n_least; /* tokens in the last one */
    bitnet_error err;
} reader;

static void *read_on(void *arg) {
    reader *r = arg;
    while (!atomic_load(&r->is_over)) {
        const bitnet_metrics m = bitnet_engine_get_metrics(r->engine);
        bitnet_error err = {0};
        if (bitnet_metrics_validate(&m, &err) < 0) r->err = err;
        if (m.n_generated < r->n_least)
            r->err = (bitnet_error){BITNET_E_INVAL, "test", "tokens were lost"};
        r->n_least = m.n_generated;
        atomic_fetch_add(&r->n_reads, 1);
    }
    return NULL;
}

static void metrics_are_read_whole_from_another_thread(void **state) {
    (void)state;
    reader r = {.engine = make_engine(NULL)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_on, &r), 0);
    int n = 0; /* the reader starts when it likes, and reads while requests end */
    for (; n < 20 || atomic_load(&r.n_reads) < 100; n++)
        ask(r.engine, "The fox", 3);
    atomic_store(&r.is_over, true);
    pthread_join(thread, NULL);
    if (r.err.status < 0) fail_msg("%s", r.err.text);
    assert_int_equal(bitnet_engine_get_metrics(r.engine).n_generated, 3 * n);
    bitnet_engine_free(r.engine);
}

/* ---- and the tracker -----------------------------------------------------------------------------
 */

static bitnet_status keep_window(void *ctx, const bitnet_window *w) {
    *(bitnet_window *)ctx = *w;
    return BITNET_OK;
}

static void the_parts_of_a_request_reach_the_tracker_once_each(void **state) {
    (void)state;
    bitnet_tracker *t;
    static bitnet_window w;
    assert_int_equal(bitnet_tracker_create(&t, &(bitnet_tracker_desc){0}), BITNET_OK);
    bitnet_engine *e = make_engine(bitnet_tracker_ring(t));
    bitnet_tracker_add_sink(t, (bitnet_sink){.write = keep_window, .ctx = &w});
    const bitnet_timings r = ask(e, "Once upon a time", 12);
    bitnet_tracker_pump(t, 1);
    const struct {
        bitnet_metric metric;
        double value;
    } expected[] = {
        {BITNET_METRIC_TOKENIZE_TIME, r.tokenize_s},     {BITNET_METRIC_PREFILL_TIME, r.prefill_s},
        {BITNET_METRIC_DECODE_TIME, r.decode_pass_s},    {BITNET_METRIC_SAMPLE_TIME, r.sample_s},
        {BITNET_METRIC_DETOKENIZE_TIME, r.detokenize_s}, {BITNET_METRIC_CACHE_HIT_RATIO, 0}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const bitnet_window_metric *m = &w.metric[expected[i].metric];
        assert_int_equal(m->n, 1);
        assert_number(m->last, expected[i].value, bitnet_metric_get_info(expected[i].metric)->wire);
    }
    bitnet_tracker_free(t);
    bitnet_engine_free(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_follows_from_the_times),
        cmocka_unit_test(what_was_not_measured_is_nan_and_never_zero),
        cmocka_unit_test(several_requests_are_sums_and_means_over_those_that_had_one),
        cmocka_unit_test(every_field_out_of_its_range_is_named),
        cmocka_unit_test(numbers_that_contradict_each_other_are_refused),
        cmocka_unit_test(an_engine_measures_every_part_of_a_request),
        cmocka_unit_test(an_engines_metrics_are_those_of_its_requests_until_they_are_reset),
        cmocka_unit_test(a_request_cancelled_in_the_queue_counts_and_has_no_speed),
        cmocka_unit_test(metrics_are_read_whole_from_another_thread),
        cmocka_unit_test(the_parts_of_a_request_reach_the_tracker_once_each),
    };
    return cmocka_run_group_tests(tests, test_shared_open, test_shared_close);
}
