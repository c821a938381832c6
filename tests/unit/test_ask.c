/* test_ask.c: the parameters of a query, and what they ask of the history. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dash/ask.h"

static http_span span(const char *s) {
    return (http_span){s, strlen(s)};
}

static void parameters_are_decoded_as_forms_write_them(void **state) {
    (void)state;
    http_params p;
    bitnet_error err;
    assert_int_equal(http_params_read(&p, span("a=1&b=x+y%20z%2B&c=&d=%c3%a4=%26"), &err),
                     BITNET_OK);
    assert_int_equal(p.n, 4);
    assert_string_equal(http_params_get(&p, "a"), "1");
    assert_string_equal(http_params_get(&p, "b"), "x y z+");
    assert_string_equal(http_params_get(&p, "c"), "");
    assert_string_equal(http_params_get(&p, "d"), "\xc3\xa4=&");
    assert_null(http_params_get(&p, "e"));
    assert_int_equal(http_params_read(&p, (http_span){NULL, 0}, &err), BITNET_OK);
    assert_int_equal(p.n, 0);
}

static void a_query_of_another_form_is_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"a",     "=1",    "a=1&b", "a=%",   "a=%4",    "a=%4g",
                                        "a=%00", "a=%ff", "%ff=a", "a=%c3", "a=1&a=2", "a=1&%61=2"};
    http_params p;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        bitnet_error err = {.id = ""};
        if (http_params_read(&p, span(wrong[i]), &err) != BITNET_E_INVAL ||
            strcmp(err.id, "http.params") != 0)
            fail_msg("%s was taken: %s", wrong[i], err.text);
    }
}

static void sixteen_parameters_and_a_target_full_of_bytes_have_room(void **state) {
    (void)state;
    static char query[HTTP_TARGET_MAX + 2];
    http_params p;
    bitnet_error err;
    size_t n = 0;
    for (int i = 0; i < HTTP_PARAMS_MAX; i++)
        n += (size_t)sprintf(query + n, "%s%c=", i ? "&" : "", 'a' + i);
    assert_int_equal(http_params_read(&p, span(query), &err), BITNET_OK);
    strcpy(query + n, "&z=");
    assert_int_equal(http_params_read(&p, span(query), &err), BITNET_E_INVAL);
    memset(query, 'x', sizeof query);
    query[1] = '=';
    assert_int_equal(http_params_read(&p, (http_span){query, HTTP_TARGET_MAX}, &err), BITNET_OK);
    assert_int_equal(strlen(http_params_get(&p, "x")), HTTP_TARGET_MAX - 2);
    assert_int_equal(http_params_read(&p, (http_span){query, HTTP_TARGET_MAX + 1}, &err),
                     BITNET_E_INVAL);
}

static const ask *asked(const char *query, bool is_export) {
    static ask a;
    bitnet_error err = {.id = ""};
    memset(&a, 0xa5, sizeof a); /* nothing of the one before */
    if (ask_read(&a, span(query), is_export, &err) < 0) fail_msg("%s: %s", query, err.text);
    return &a;
}

static void what_is_not_said_has_its_default(void **state) {
    (void)state;
    const ask *a = asked("", false);
    assert_int_equal(a->kind, ASK_RUNS);
    assert_null(a->run);
    assert_int_equal(a->filter.limit, ASK_LIMIT);
    assert_int_equal(a->filter.since_ms, 0);
    assert_null(a->filter.name);
    assert_null(a->filter.model);
    a = asked("metric=memory&run=01m8", false);
    assert_int_equal(a->kind, ASK_SERIES);
    assert_string_equal(a->series.metric, "memory");
    assert_null(a->series.labels);
    assert_int_equal(a->series.from_ms, 0);
    assert_true(a->series.to_ms > INT64_C(253402300800000)); /* the year 10000 */
    assert_int_equal(a->points, ASK_POINTS);
    assert_int_equal(a->series.resolution, STORE_AUTO);
    a = asked("format=json", true);
    assert_int_equal(a->kind, ASK_EXPORT);
    assert_int_equal(a->format, EXPORT_JSON);
    assert_null(a->run);
}

static void what_is_said_is_taken(void **state) {
    (void)state;
    const ask *a = asked("limit=7&since=1795000000000&name=a+b&model=m", false);
    assert_int_equal(a->filter.limit, 7);
    assert_int_equal(a->filter.since_ms, INT64_C(1795000000000));
    assert_string_equal(a->filter.name, "a b");
    assert_string_equal(a->filter.model, "m");
    a = asked("run=latest", false);
    assert_int_equal(a->kind, ASK_RUN);
    assert_string_equal(a->run, "latest");
    a = asked(
        "run=01M8&metric=x&labels={\"b\":\"2\",\"a\":\"1\"}&from=5&to=9&resolution=hour&points=3",
        false);
    assert_string_equal(a->series.labels, "{\"a\":\"1\",\"b\":\"2\"}");
    assert_int_equal(a->series.from_ms, 5);
    assert_int_equal(a->series.to_ms, 9);
    assert_int_equal(a->series.resolution, STORE_HOUR);
    assert_int_equal(a->points, 3);
    assert_string_equal(asked("run=latest&metric=x&labels={}", false)->series.labels, "");
    a = asked("run=latest&format=csv", true);
    assert_string_equal(a->run, "latest");
    assert_int_equal(a->format, EXPORT_CSV);
}

static void what_is_wrong_is_named(void **state) {
    (void)state;
    static const struct {
        const char *query;
        bool is_export;
        const char *sentence; /* what it begins with */
    } wrong[] = {
        {"limit=0", false, "limit is \"0\"; 1 to 1000"},
        {"limit=01", false, "limit is \"01\""},
        {"limit=1001", false, "limit is \"1001\""},
        {"since=99999999999999999", false, "since is \"99999999999999999\"; milliseconds"},
        {"x=1", false, "there is a parameter \"x\"; a list of runs takes limit"},
        {"run=latest&limit=1", false, "there is a parameter \"limit\"; a run takes run"},
        {"run=", false, "run is \"\"; an id"},
        {"run=il", false, "run is \"il\"; an id"},
        {"metric=x", false, "metric comes without run"},
        {"run=1&metric=x&points=5001", false, "points is \"5001\"; 1 to 5000"},
        {"run=1&metric=x&from=9&to=5", false, "from is 9 and to 5"},
        {"run=1&metric=x&labels={\"a\":1}", false, "labels is \"{"},
        {"run=1&metric=x&resolution=day", false, "resolution is \"day\"; auto, raw"},
        {"", true, "format is missing; csv and json"},
        {"format=jsonl", true, "format is \"jsonl\"; csv and json"},
        {"format=csv&metric=x", true, "there is a parameter \"metric\"; an export takes"},
    };
    static ask a;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        bitnet_error err = {.id = "", .text = ""};
        bitnet_status st = ask_read(&a, span(wrong[i].query), wrong[i].is_export, &err);
        if (st != BITNET_E_INVAL || strcmp(err.id, "ask.parameter") != 0 ||
            strncmp(err.text, wrong[i].sentence, strlen(wrong[i].sentence)) != 0)
            fail_msg("%s: %s [%s], not %s", wrong[i].query, err.text, err.id, wrong[i].sentence);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_decoded_as_forms_write_them),
        cmocka_unit_test(a_query_of_another_form_is_refused),
        cmocka_unit_test(sixteen_parameters_and_a_target_full_of_bytes_have_room),
        cmocka_unit_test(what_is_not_said_has_its_default),
        cmocka_unit_test(what_is_said_is_taken),
        cmocka_unit_test(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
