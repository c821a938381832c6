/* test_alerts.c: the language of rules, and what they make of values, with a clock of its own. */
#include "hearing.h"

#include <math.h>

#include <cjson/cJSON.h>

#include "dash/alerts.h"

/* ---- the language ------------------------------------------------------------------------------ */

static alert_rule parsed(const char *text) {
    alert_rule r;
    bitnet_error err = {0};
    if (alert_rule_parse(&r, text, &err) < 0) fail_msg("%s", err.text);
    return r;
}

static void rules_mean_what_they_say(void **state) {
    (void)state;
    static const struct {
        const char *text, *metric;
        alert_stat stat;
        alert_op op;
        double factor, number;
        bool is_expected;
        uint64_t for_ms;
        const char *name;
    } cases[] = {
        {"decode_rate < 0.7 * expected for 30s", "decode_rate", ALERT_DEFAULT, ALERT_BELOW, 0.7, 0,
         true, 30000, ""},
        {"decode_tokens_per_second<0.7*expected for 30s", "decode_rate", ALERT_DEFAULT, ALERT_BELOW,
         0.7, 0, true, 30000, ""},
        {"prefill_tokens_per_second >= expected", "prefill_rate", ALERT_DEFAULT, ALERT_AT_LEAST, 1,
         0, true, 0, ""},
        {"cache_hit_rate < 0.7", "cache_hit_ratio", ALERT_DEFAULT, ALERT_BELOW, 1, 0.7, false, 0,
         ""},
        {"memory > 1GB for 10s", "memory", ALERT_DEFAULT, ALERT_ABOVE, 1, 1e9, false, 10000, ""},
        {"memory max > 1GiB for 1h where name=my server", "memory", ALERT_MAX, ALERT_ABOVE, 1,
         1073741824, false, 3600000, "my server"},
        {"time_to_first_token p95 > 500ms", "time_to_first_token", ALERT_P95, ALERT_ABOVE, 1, 0.5,
         false, 0, ""},
        {"time_to_first_token p99 >= 2 * 1.5s for 500ms", "time_to_first_token", ALERT_P99,
         ALERT_AT_LEAST, 2, 1.5, false, 500, ""},
        {"  requests  rate <= 1e-1 for 5min  ", "requests", ALERT_RATE, ALERT_AT_MOST, 1, 0.1,
         false, 300000, ""},
        {"own_metric last < -3", "own_metric", ALERT_LAST, ALERT_BELOW, 1, -3, false, 0, ""},
        {"own_metric < 90%", "own_metric", ALERT_DEFAULT, ALERT_BELOW, 1, 0.9, false, 0, ""},
        {"memory_slope_low > 0 for 5m", "memory_slope_low", ALERT_DEFAULT, ALERT_ABOVE, 1, 0, false,
         300000, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        alert_rule r = parsed(cases[i].text);
        if (strcmp(r.metric, cases[i].metric) || r.stat != cases[i].stat || r.op != cases[i].op ||
            r.factor != cases[i].factor || fabs(r.number - cases[i].number) > 1e-12 ||
            r.is_expected != cases[i].is_expected || r.for_ms != cases[i].for_ms ||
            strcmp(r.name, cases[i].name))
            fail_msg(
                "\"%s\" was read as %s stat %d op %d %g * %g expected %d for %d ms name \"%s\"",
                cases[i].text, r.metric, (int)r.stat, (int)r.op, r.factor, r.number, r.is_expected,
                (int)r.for_ms, r.name);
    }
    assert_string_equal(parsed("  memory > 1GB  ").text, "memory > 1GB");
}

static void every_unit_is_a_number_of_the_base_unit(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double number;
    } cases[] = {
        {"time_to_first_token > 1ns", 1e-9},
        {"time_to_first_token > 1us", 1e-6},
        {"time_to_first_token > 1ms", 1e-3},
        {"time_to_first_token > 1s", 1},
        {"time_to_first_token > 1min", 60},
        {"time_to_first_token > 1h", 3600},
        {"memory > 1B", 1},
        {"memory > 1kB", 1e3},
        {"memory > 1KB", 1e3},
        {"memory > 1MB", 1e6},
        {"memory > 1GB", 1e9},
        {"memory > 1KiB", 1024},
        {"memory > 1MiB", 1048576},
        {"memory > 1GiB", 1073741824},
        {"other > 1%", 0.01},
        {"memory > 1", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double got = parsed(cases[i].text).number;
        if (fabs(got - cases[i].number) > 1e-12 * cases[i].number)
            fail_msg("%s: %g, not %g", cases[i].text, got, cases[i].number);
    }
}

static void a_wrong_rule_is_told_where_and_what_is_allowed(void **state) {
    (void)state;
    static const struct {
        const char *text, *id, *says;
    } cases[] = {
        {"", "alert.metric", "ends at column 1"},
        {"< 3", "alert.metric", "column 1 has \"<\""},
        {"3 < 3", "alert.metric", "column 1 has \"3\""},
        {"memory", "alert.operator", "ends at column 7"},
        {"memory p42 > 1", "alert.stat", "column 8 has \"p42\""},
        {"memory = 1", "alert.operator", "column 8 has \"=\""},
        {"memory > ", "alert.number", "column 9"},
        {"memory > x", "alert.number", "column 10 has \"x\""},
        {"memory > 0x10", "alert.unit", "\"x10\""},
        {"memory > inf", "alert.number", "\"inf\""},
        {"memory > 1e999", "alert.number", "\"1e999\""},
        {"memory > 1parsec", "alert.unit", "By"},
        {"memory > 1ms", "alert.unit", "By"},
        {"decode_rate < 3s", "alert.unit", "{token}/s"},
        {"memory > 2 *", "alert.number", "ends at column"},
        {"memory > 2 * 3 * 4", "alert.end", "\"*\""},
        {"memory > 1 for", "alert.duration", "ends at column"},
        {"memory > 1 for 3", "alert.duration", "unit"},
        {"memory > 1 for 3GB", "alert.duration", "\"GB\""},
        {"memory > 1 for 25h", "alert.duration", "24 hours"},
        {"memory > 1 for -1s", "alert.duration", "24 hours"},
        {"memory > 1 where", "alert.where", "name=TEXT"},
        {"memory > 1 where model=x", "alert.where", "\"model\""},
        {"memory > 1 where name=", "alert.where", "1 to 64"},
        {"memory > 1 and 2", "alert.end", "\"and\""},
        {"memory >\n 1", "alert.end", "control"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        alert_rule r;
        bitnet_error err = {0};
        bitnet_status st = alert_rule_parse(&r, cases[i].text, &err);
        if (st != BITNET_E_INVAL || strcmp(err.id, cases[i].id) || !strstr(err.text, cases[i].says))
            fail_msg("\"%s\": %d [%s] %s\nexpected [%s] ... %s", cases[i].text, (int)st, err.id,
                     err.text, cases[i].id, cases[i].says);
    }
    char longest[ALERT_TEXT_MAX + 1];
    memset(longest, 'm', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    alert_rule r;
    bitnet_error err = {0};
    assert_int_equal(alert_rule_parse(&r, longest, &err), BITNET_E_INVAL);
    assert_string_equal(err.id, "alert.length");
}

/* ---- what fires -------------------------------------------------------------------------------- */

typedef struct world {
    stats *s;
    alerts *a;
    alert_inputs in;
    uint64_t ms;
    char story[2048]; /* "12 firing 100;" for each change, seconds first */
    int n_json;
} world;

static void on_told(void *ctx, const alert *x, const char *instance, const char *json) {
    world *w = ctx;
    size_t n = strlen(w->story);
    snprintf(w->story + n, sizeof w->story - n, "%d %s %g;", (int)(w->ms / 1000),
             x->state == ALERT_FIRING ? "firing" : "resolved", x->value);
    cJSON *j = cJSON_Parse(json);
    if (!j) fail_msg("not JSON: %s", json);
    assert_string_equal(cJSON_GetObjectItem(j, "type")->valuestring, "alert");
    assert_string_equal(cJSON_GetObjectItem(j, "rule")->valuestring, x->rule->text);
    assert_true(cJSON_GetObjectItem(j, "t_ms")->valuedouble == 1795000000000.0 + (double)w->ms);
    if (x->producer)
        assert_string_equal(instance, "a1");
    else
        assert_true(cJSON_IsNull(cJSON_GetObjectItem(j, "producer")));
    if (isnan(x->value)) assert_true(cJSON_IsNull(cJSON_GetObjectItem(j, "value")));
    cJSON_Delete(j);
    w->n_json++;
}

static void on_any(void *ctx, const alert *x, const char *instance, const char *json) {
    (void)ctx;
    (void)x;
    (void)instance;
    (void)json;
}

static world begin(const char *rule) {
    world w = {.s = stats_create(), .a = alerts_create(), .in = {(double)NAN, (double)NAN}};
    bitnet_error err = {0};
    if (alerts_add(w.a, rule, &err) < 0) fail_msg("%s", err.text);
    hear_hello(w.s, "a1", 1, at_ms(0), "cli", "m");
    return w;
}

static void end(world *w) {
    alerts_free(w->a);
    stats_free(w->s);
}

static void look(world *w) {
    alerts_look(w->a, w->s, &w->in, at_ms(w->ms), on_told, w);
    w->ms += 1000;
}

/* A value in each of the next n seconds, and a look after each. */
static void measure(world *w, int n, const char *metric, double v) {
    for (int i = 0; i < n; i++) {
        hear_value(w->s, "a1", 1, at_ms(w->ms), metric, v);
        look(w);
    }
}

static void wait_s(world *w, int n) {
    for (int i = 0; i < n; i++)
        look(w);
}

static void a_slow_decode_fires_after_its_time_and_resolves(void **state) {
    (void)state;
    world w = begin("decode_rate < 0.7 * expected for 30s"); /* the hello expects 200 */
    measure(&w, 10, "decode_rate", 150);
    assert_string_equal(w.story, "");
    measure(&w, 40, "decode_rate", 100); /* from second 10 on */
    assert_string_equal(w.story, "40 firing 100;");
    assert_int_equal(alerts_n_firing(w.a), 1);
    char reason[200];
    assert_true(alerts_reason(w.a, 0, reason, sizeof reason));
    assert_string_equal(reason, "alert: producer 1: decode_rate < 0.7 * expected for 30s");
    assert_false(alerts_reason(w.a, 1, reason, sizeof reason));
    measure(&w, 5, "decode_rate", 141); /* from second 50 on; clear twice by 51 */
    assert_string_equal(w.story, "40 firing 100;51 resolved 141;");
    assert_int_equal(alerts_n_firing(w.a), 0);
    end(&w);
}

static void every_operator_draws_its_line(void **state) {
    (void)state;
    static const struct {
        const char *rule;
        bool below, at, above; /* does it fire for 9, 10, 11? */
    } cases[] = {
        {"memory < 10", true, false, false},
        {"memory <= 10", true, true, false},
        {"memory > 10", false, false, true},
        {"memory >= 10", false, true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int v = 9; v <= 11; v++) {
            world w = begin(cases[i].rule);
            measure(&w, 1, "memory", v);
            bool expected = v == 9 ? cases[i].below : v == 10 ? cases[i].at : cases[i].above;
            if (alerts_n_firing(w.a) != expected)
                fail_msg("%s for %d: %d", cases[i].rule, v, alerts_n_firing(w.a));
            end(&w);
        }
}

static void nothing_fires_for_want_of_data(void **state) {
    (void)state;
    world w = begin("memory < 10");
    wait_s(&w, 100); /* never measured */
    assert_string_equal(w.story, "");
    end(&w);
    w = begin("memory < 2 * expected"); /* the hello does not expect it */
    measure(&w, 10, "memory", 1);
    assert_string_equal(w.story, "");
    end(&w);
    w = begin("unheard_of < 1e9");
    measure(&w, 10, "memory", 1);
    assert_string_equal(w.story, "");
    end(&w);
}

static void an_alert_whose_data_stops_is_resolved(void **state) {
    (void)state;
    world w = begin("memory > 10");
    measure(&w, 3, "memory", 11);
    wait_s(&w, 100); /* the last value, of second 2, is gone in second 62 */
    assert_string_equal(w.story, "0 firing 11;63 resolved nan;");
    end(&w);
}

static void one_good_look_does_not_end_an_alert_and_one_bad_one_does_not_begin_it(void **state) {
    (void)state;
    world w = begin("memory > 10 for 3s");
    for (int i = 0; i < 20; i++) /* flapping while it is pending: never long enough */
        measure(&w, 1, "memory", i % 3 == 2 ? 9 : 11);
    assert_string_equal(w.story, "");
    measure(&w, 5, "memory", 11); /* from second 20 on, after one of 18 and 19: 11 and 11 */
    const char *fired = "21 firing 11;";
    assert_string_equal(w.story, fired);
    for (int i = 0; i < 20; i++)
        measure(&w, 1, "memory", i % 2 ? 11 : 9); /* flapping while it fires */
    assert_string_equal(w.story, fired);
    end(&w);
}

static void a_producer_that_ends_takes_its_alerts_with_it(void **state) {
    (void)state;
    world w = begin("memory > 10");
    measure(&w, 2, "memory", 11);
    hear(w.s, "a1", 1, at_ms(w.ms), "{\"type\":\"bye\",\"reason\":\"done\",\"seq\":2}");
    look(&w);
    assert_string_equal(w.story, "0 firing 11;2 resolved nan;");
    end(&w);
}

static void percentiles_sums_and_rates_are_of_the_last_minute(void **state) {
    (void)state;
    static const struct {
        const char *rule;
        bool fires;
    } cases[] = {
        /* 90 values in bucket 320 [1/1024, ..) and 10 in 480 [1, 1 1/16): p90 is the first, p95 the second */
        {"time_to_first_token p50 < 2ms", true},     {"time_to_first_token < 2ms", true},
        {"time_to_first_token p90 < 2ms", true},     {"time_to_first_token p95 > 1s", true},
        {"time_to_first_token p99 > 1.1s", false},   {"time_to_first_token mean > 0.1s", true},
        {"time_to_first_token mean > 0.11s", false}, {"time_to_first_token n >= 100", true},
        {"time_to_first_token n > 100", false},      {"time_to_first_token max > 1s", true},
        {"time_to_first_token min < 1ms", true},     {"time_to_first_token sum > 10.1s", true},
        {"time_to_first_token rate > 0.16", true},   {"time_to_first_token last > 1s", true},
        {"generation_tokens >= 600", true},          {"generation_tokens > 600", false},
        {"generation_tokens rate >= 10", true},      {"generation_tokens rate > 10", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world w = begin(cases[i].rule);
        hear_values(w.s, "a1", 1, at_ms(0),
                    "\"time_to_first_token\":{\"n\":100,\"sum\":10.25,\"min\":0.00098,\"max\":1.05,"
                    "\"last\":1.02,\"b\":[320,90,480,10]},"
                    "\"generation_tokens\":{\"n\":3,\"sum\":600,\"min\":1,\"max\":500,\"last\":9}");
        look(&w);
        if (alerts_n_firing(w.a) != cases[i].fires) fail_msg("%s", cases[i].rule);
        w.ms = 60000;
        look(&w);
        look(&w);
        assert_int_equal(alerts_n_firing(w.a), 0); /* a minute later there is no value any more */
        end(&w);
    }
}

static void rules_can_be_for_producers_of_one_name(void **state) {
    (void)state;
    world w = begin("memory > 10 where name=server");
    measure(&w, 3, "memory", 11);
    assert_string_equal(w.story, "");
    end(&w);
    w = begin("memory > 10 where name=cli");
    measure(&w, 3, "memory", 11);
    assert_string_equal(w.story, "0 firing 11;");
    end(&w);
}

static void the_default_rules_watch_losses_and_the_store(void **state) {
    (void)state;
    world w = begin("memory > 1e15");
    bitnet_error err = {0};
    assert_true(alerts_add_defaults(w.a, &err) >= 0);
    wait_s(&w, 3);
    assert_string_equal(w.story, "");
    hear(w.s, "a1", 1, at_ms(w.ms),
         "{\"type\":\"window\",\"seq\":1,\"t_ms\":1,\"span_ms\":1,\"dropped\":4,\"m\":{}}");
    look(&w);
    assert_string_equal(w.story, "3 firing 4;");
    w.in.store_ok = 0;
    wait_s(&w, 6); /* from second 4 on, for 5 s */
    assert_string_equal(w.story, "3 firing 4;9 firing 0;");
    w.in.store_ok = 1;
    wait_s(&w, 2);
    assert_string_equal(w.story, "3 firing 4;9 firing 0;11 resolved 1;");
    end(&w);
}

static void the_list_of_changes_is_bounded_and_is_json(void **state) {
    (void)state;
    world w = begin("memory > 10");
    for (int i = 0; i < ALERT_CHANGES_MAX; i++) {
        measure(&w, 1, "memory", 11);
        measure(&w, 2, "memory", 9);
        w.story[0] = '\0';
    }
    measure(&w, 1, "memory", 11);
    assert_int_equal(w.n_json, 2 * ALERT_CHANGES_MAX + 1);
    text_buf t = {.p = NULL};
    text_put(&t, "{");
    alerts_write(w.a, &t);
    text_put(&t, "}");
    cJSON *json = cJSON_Parse(t.p);
    if (!json) fail_msg("not JSON: %s", t.p);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "alert_changes")),
                     ALERT_CHANGES_MAX);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "rules")), 1);
    const cJSON *now = cJSON_GetObjectItem(json, "alerts")->child;
    assert_string_equal(cJSON_GetObjectItem(now, "state")->valuestring, "firing");
    assert_true(cJSON_GetObjectItem(now, "value")->valuedouble == 11);
    assert_true(cJSON_GetObjectItem(now, "limit")->valuedouble == 10);
    cJSON_Delete(json);
    text_free(&t);
    end(&w);
}

static void many_producers_and_rules_keep_their_states_apart(void **state) {
    (void)state;
    enum { N = 40, RULES = 8 };
    world w = begin("memory > 0");
    bitnet_error err = {0};
    char text[64];
    for (int k = 1; k < RULES; k++) {
        snprintf(text, sizeof text, "memory > %d", 10 * k);
        assert_true(alerts_add(w.a, text, &err) >= 0);
    }
    for (uint32_t i = 1; i <= N; i++) {
        snprintf(text, sizeof text, "b%x", i);
        hear_hello(w.s, text, N + i, at_ms(0), "cli", "m");
    }
    for (int second = 0; second < 30; second++) {
        int expected = 0;
        for (uint32_t i = 1; i <= N; i++) {
            snprintf(text, sizeof text, "b%x", i);
            double v = (double)((i * 7 + (uint32_t)(second / 10) * 31) % 80);
            hear_value(w.s, text, N + i, at_ms(w.ms), "memory", v);
            for (int k = 0; k < RULES; k++)
                expected += v > 10 * k;
        }
        alerts_look(w.a, w.s, &w.in, at_ms(w.ms), on_any, &w);
        w.ms += 1000;
        if (second % 10 > 0 && alerts_n_firing(w.a) != expected)
            fail_msg("second %d: %d are firing, not %d", second, alerts_n_firing(w.a), expected);
    }
    end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_mean_what_they_say),
        cmocka_unit_test(every_unit_is_a_number_of_the_base_unit),
        cmocka_unit_test(a_wrong_rule_is_told_where_and_what_is_allowed),
        cmocka_unit_test(a_slow_decode_fires_after_its_time_and_resolves),
        cmocka_unit_test(every_operator_draws_its_line),
        cmocka_unit_test(nothing_fires_for_want_of_data),
        cmocka_unit_test(an_alert_whose_data_stops_is_resolved),
        cmocka_unit_test(one_good_look_does_not_end_an_alert_and_one_bad_one_does_not_begin_it),
        cmocka_unit_test(a_producer_that_ends_takes_its_alerts_with_it),
        cmocka_unit_test(percentiles_sums_and_rates_are_of_the_last_minute),
        cmocka_unit_test(rules_can_be_for_producers_of_one_name),
        cmocka_unit_test(the_default_rules_watch_losses_and_the_store),
        cmocka_unit_test(the_list_of_changes_is_bounded_and_is_json),
        cmocka_unit_test(many_producers_and_rules_keep_their_states_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
