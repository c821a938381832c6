/* test_json.c: the JSON reader: what RFC 8259 allows is read, exactly; what it does not is refused, with
 * the byte where it goes wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define LEN(array) (sizeof(array) / sizeof *(array))

/* In memory of exactly its size, so that a sanitizer sees a step too far. */
typedef struct text {
    char *s;
    bitnet_json j;
} text;

static text open_bytes(const char *s, size_t n) {
    text t = {.s = malloc(n ? n : 1)};
    assert_non_null(t.s);
    memcpy(t.s, s, n);
    t.j = bitnet_json_open(t.s, n);
    return t;
}

static text open_text(const char *s) {
    return open_bytes(s, strlen(s));
}

static const char *decoded(const bitnet_json_str *s) {
    static char out[512];
    size_t n = bitnet_json_text(s, out, sizeof out - 1);
    assert_true(n < sizeof out && n <= s->n);
    out[n] = 0;
    return out;
}

/* ---- structure --------------------------------------------------------------------------- */

static void nested_members_are_walked_in_order_and_unread_ones_are_skipped(void **state) {
    (void)state;
    text t = open_text(" { \"a\" : [1, [2, {\"x\": [3]}], {}], \"skipped\" : {\"b\": [{}, []]} ,"
                       "\"c\" : [ ] , \"d\":{\"e\":true,\"f\":null}} \n");
    char seen[64] = "";
    bitnet_json_str key;
    bool flag = false;
    int64_t one = 0;
    assert_true(bitnet_json_object(&t.j));
    while (bitnet_json_next(&t.j, &key)) {
        strcat(seen, decoded(&key));
        if (bitnet_json_is(&key, "a")) {
            assert_true(bitnet_json_array(&t.j) && bitnet_json_next(&t.j, NULL));
            assert_true(bitnet_json_int(&t.j, &one));
            while (bitnet_json_next(&t.j, NULL))
                strcat(seen, bitnet_json_peek(&t.j) == BITNET_JSON_ARRAY ? "[" : "{");
        }
        if (bitnet_json_is(&key, "d")) {
            assert_true(bitnet_json_object(&t.j) && bitnet_json_next(&t.j, &key));
            assert_true(bitnet_json_bool(&t.j, &flag) && bitnet_json_next(&t.j, &key));
            assert_true(bitnet_json_null(&t.j) && !bitnet_json_next(&t.j, &key));
        }
    }
    assert_null(t.j.error);
    assert_true(bitnet_json_end(&t.j));
    assert_string_equal(seen, "a[{skippedcd");
    assert_true(flag && one == 1);
    free(t.s);
}

static void a_value_of_another_kind_stays_to_be_read(void **state) {
    (void)state;
    text t = open_text("\"s\"");
    double d;
    int64_t i;
    bool b;
    bitnet_json_str s;
    assert_false(bitnet_json_number(&t.j, &d) || bitnet_json_int(&t.j, &i) ||
                 bitnet_json_bool(&t.j, &b) || bitnet_json_null(&t.j) || bitnet_json_array(&t.j) ||
                 bitnet_json_object(&t.j));
    assert_null(t.j.error);
    assert_true(bitnet_json_string(&t.j, &s));
    assert_string_equal(decoded(&s), "s");
    assert_false(bitnet_json_string(&t.j, &s)); /* once */
    assert_true(bitnet_json_end(&t.j));
    free(t.s);
}

static void the_first_member_of_a_name_is_found(void **state) {
    (void)state;
    text t = open_text("{\"a\":{\"b\":1},\"b\":2,\"\\u0062\":3}");
    bitnet_json v;
    int64_t n = 0;
    assert_true(bitnet_json_find(&t.j, "b", &v) && bitnet_json_int(&v, &n));
    assert_int_equal(n, 2);
    assert_false(bitnet_json_find(&t.j, "c", &v));
    assert_int_equal(bitnet_json_peek(&v), BITNET_JSON_NONE);
    assert_true(bitnet_json_object(&t.j)); /* the search did not move it */
    free(t.s);
}

static void containers_nest_64_deep_and_no_deeper(void **state) {
    (void)state;
    for (size_t depth = 63; depth <= 66; depth++) {
        char s[200];
        memset(s, '[', depth);
        memset(s + depth, ']', depth);
        text t = open_bytes(s, 2 * depth);
        bitnet_json_skip(&t.j);
        assert_int_equal(bitnet_json_end(&t.j), depth <= 64);
        if (depth > 64) assert_int_equal(t.j.pos, 64);
        free(t.s);
    }
}

/* ---- strings ----------------------------------------------------------------------------- */

static void escapes_become_the_bytes_they_stand_for(void **state) {
    (void)state;
    static const struct {
        const char *json, *want;
        size_t n;
    } cases[] = {
        {"\"\"", "", 0},
        {"\"plain \xc3\xa9\"", "plain \xc3\xa9", 8},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8},
        {"\"\\u0041\\u00e9\\u2581\\uFFFF\"", "A\xc3\xa9\xe2\x96\x81\xef\xbf\xbf", 9},
        {"\"\\uD83D\\uDE00!\"", "\xf0\x9f\x98\x80!", 5},
        {"\"\\ud83d\"", "\xef\xbf\xbd", 3},                    /* half a pair */
        {"\"\\ude00\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd", 6}, /* the wrong way round */
        {"\"\\ud83d\\u0041\"",
         "\xef\xbf\xbd"
         "A",
         4},
        {"\"a\\u0000b\"", "a\0b", 3},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        text t = open_text(cases[i].json);
        bitnet_json_str s;
        char out[64];
        assert_true(bitnet_json_string(&t.j, &s) && bitnet_json_end(&t.j));
        size_t n = bitnet_json_text(&s, out, sizeof out);
        if (n != cases[i].n || memcmp(out, cases[i].want, n) != 0)
            fail_msg("%s: got %zu bytes '%.*s'", cases[i].json, n, (int)n, out);
        assert_int_equal(bitnet_json_text(&s, NULL, 0), n);
        if (!memchr(out, 0, n)) {
            out[n] = 0;
            assert_true(bitnet_json_is(&s, out));
            assert_false(bitnet_json_is(&s, "another"));
            if (n) out[n - 1] = 0;
            assert_int_equal(bitnet_json_is(&s, out), n == 0);
        }
        free(t.s);
    }
}

static void nothing_is_written_past_the_room_there_is(void **state) {
    (void)state;
    text t = open_text("\"ab\\u2581\\ud83d\\ude00cd\"");
    bitnet_json_str s;
    assert_true(bitnet_json_string(&t.j, &s));
    for (size_t cap = 0; cap <= 12; cap++) {
        char *out = malloc(cap ? cap : 1);
        assert_non_null(out);
        assert_int_equal(bitnet_json_text(&s, out, cap), 11);
        free(out);
    }
    free(t.s);
}

/* ---- numbers ----------------------------------------------------------------------------- */

static void numbers_are_rounded_as_the_c_library_rounds_them(void **state) {
    (void)state;
    static const char *const cases[] = {
        "0",
        "-0",
        "1e-5",
        "1e-05",
        "0.00001",
        "500000.0",
        "1000042",
        "1E+2",
        "-1.5e2",
        "3.4028235e38",
        "2.2250738585072011e-308",
        "4.9e-324",
        "2e-324",
        "1e-400",
        "1.7976931348623157e308",
        "9007199254740993",
        "9007199254740993.00000000000000000000000000000000000001",
        "0.1",
        "123456789012345678901234567890",
        "0.000000000000000000000000000000012345e40",
        "1e00000000000000000000000000000000000000001",
        "8.98846567431157953864652595394512366808988489471153286367e307",
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        text t = open_text(cases[i]);
        double got = -1, want = strtod(cases[i], NULL);
        assert_true(bitnet_json_number(&t.j, &got) && bitnet_json_end(&t.j));
        if (memcmp(&got, &want, sizeof got) != 0)
            fail_msg("%s: got %.17g, expected %.17g", cases[i], got, want);
        free(t.s);
    }
}

static void a_thousand_digits_are_rounded_by_all_of_them(void **state) {
    (void)state;
    char s[2200] = "9007199254740993."; /* halfway between two doubles: the last digit decides */
    memset(s + 17, '0', 2000);
    for (int last = 0; last <= 1; last++) {
        s[2017] = (char)('0' + last);
        text t = open_text(s);
        double got = 0, want = 9007199254740992.0 + 2 * last;
        assert_true(bitnet_json_number(&t.j, &got));
        assert_true(got == want);
        free(t.s);
    }
    memset(s, '0', sizeof s); /* 1000...0e-2000 */
    s[0] = '1';
    strcpy(s + 2001, "e-2000");
    text t = open_text(s);
    double got = 0;
    assert_true(bitnet_json_number(&t.j, &got));
    assert_true(got == 1.0);
    free(t.s);
}

static void a_locale_with_a_decimal_comma_changes_nothing(void **state) {
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    const char *set = NULL;
    for (size_t i = 0; i < LEN(names) && !set; i++)
        set = setlocale(LC_NUMERIC, names[i]);
    if (!set) {
        print_message("skipped: no locale with a decimal comma is installed\n");
        skip();
    }
    text t = open_text("12.5e-1");
    double got = 0;
    bool ok = bitnet_json_number(&t.j, &got);
    setlocale(LC_NUMERIC, "C");
    assert_true(ok);
    assert_true(got == 1.25);
    free(t.s);
}

static void integers_are_exact_and_fractions_are_none(void **state) {
    (void)state;
    static const struct {
        const char *json;
        bool ok;
        int64_t want;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"9007199254740993", true, 9007199254740993},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"99999999999999999999999", false, 0},
        {"1.0", false, 0},
        {"1e3", false, 0},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        text t = open_text(cases[i].json);
        int64_t v = 0;
        double d;
        bool ok = bitnet_json_int(&t.j, &v);
        if (ok != cases[i].ok || v != cases[i].want)
            fail_msg("%s: got %d %lld", cases[i].json, ok, (long long)v);
        if (!ok) assert_true(bitnet_json_number(&t.j, &d)); /* it is still there */
        assert_true(bitnet_json_end(&t.j));
        free(t.s);
    }
}

/* ---- what is no JSON --------------------------------------------------------------------- */

static const struct {
    const char *json;
    size_t n; /* 0: up to the zero byte */
    size_t pos;
    const char *error;
} flaws[] = {
    {"", 0, 0, "the text ends where a value is due"},
    {"  ", 0, 2, "the text ends where a value is due"},
    {"{\"a\":1,}", 0, 7, "a member's name in quotes is due"},
    {"{\"a\":1 \"b\":2}", 0, 7, "',' or '}' is due"},
    {"{\"a\" 1}", 0, 5, "':' is due"},
    {"{a:1}", 0, 1, "a member's name in quotes is due"},
    {"{\"a\":}", 0, 5, "this begins no value"},
    {"{\"a\":1", 0, 6, "',' or '}' is due"},
    {"[1,]", 0, 3, "this begins no value"},
    {"[1 2]", 0, 3, "',' or ']' is due"},
    {"[1}", 0, 2, "',' or ']' is due"},
    {"{]", 0, 1, "a member's name in quotes is due"},
    {"[", 0, 1, "the text ends where a value is due"},
    {"1 2", 0, 2, "text behind the end of the value"},
    {"// no\n1", 0, 0, "this begins no value"},
    {"NaN", 0, 0, "this begins no value"},
    {"Infinity", 0, 0, "this begins no value"},
    {"tru", 0, 0, "this begins no value"},
    {"nul", 0, 0, "this begins no value"},
    {"+1", 0, 0, "this begins no value"},
    {".5", 0, 0, "this begins no value"},
    {"01", 0, 0, "a number without digits, or with a zero in front"},
    {"-", 0, 0, "a number without digits, or with a zero in front"},
    {"1.", 0, 0, "a number without digits behind its point"},
    {"1e", 0, 0, "a number without digits in its exponent"},
    {"1e+", 0, 0, "a number without digits in its exponent"},
    {"\"", 0, 1, "a string without an end"},
    {"\"a\\\"", 0, 4, "a string without an end"},
    {"\"a\nb\"", 0, 2, "a control character in a string"},
    {"\"a\0b\"", 5, 2, "a control character in a string"},
    {"[1,\0]", 5, 3, "this begins no value"},
    {"\"\\x41\"", 0, 1, "an unknown escape"},
    {"\"\\u12g4\"", 0, 1, "an unknown escape"},
    {"\"\\u12\"", 0, 1, "an unknown escape"},
    {"\"\\", 0, 1, "an unknown escape"},
    {"\"\xff\"", 0, 1, "a string that is not UTF-8"},
    {"\"\xc0\x80\"", 0, 1, "a string that is not UTF-8"},
    {"\"\xe2\x96\"", 0, 1, "a string that is not UTF-8"},
    {"\"\xed\xa0\x80\"", 0, 1, "a string that is not UTF-8"},
    {"\"\xf4\x90\x80\x80\"", 0, 1, "a string that is not UTF-8"},
    {"\xef\xbb\xbf{}", 0, 0, "this begins no value"},
};

static void each_flaw_is_named_with_its_place(void **state) {
    (void)state;
    for (size_t i = 0; i < LEN(flaws); i++) {
        size_t n = flaws[i].n ? flaws[i].n : strlen(flaws[i].json);
        text t = open_bytes(flaws[i].json, n);
        bitnet_json_skip(&t.j);
        bool ended = bitnet_json_end(&t.j);
        if (ended || !t.j.error || strcmp(t.j.error, flaws[i].error) != 0 ||
            t.j.pos != flaws[i].pos)
            fail_msg("%s: got \"%s\" at %zu, expected \"%s\" at %zu", flaws[i].json,
                     t.j.error ? t.j.error : "no error", t.j.pos, flaws[i].error, flaws[i].pos);
        assert_int_equal(bitnet_json_peek(&t.j), BITNET_JSON_NONE);
        assert_false(bitnet_json_next(&t.j, NULL));
        free(t.s);
    }
}

static void a_number_beyond_a_double_is_an_error(void **state) {
    (void)state;
    text t = open_text("[1e309]");
    double d;
    assert_true(bitnet_json_array(&t.j) && bitnet_json_next(&t.j, NULL));
    assert_false(bitnet_json_number(&t.j, &d));
    assert_string_equal(t.j.error, "a number too large for a double");
    free(t.s);
}

static void a_text_cut_anywhere_is_refused(void **state) {
    (void)state;
    static const char whole[] =
        "{\"a\":[1.5e-3,\"\\ud83d\\ude00\xc3\xa9\",{\"b\":null}],\"c\":true}";
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        text t = open_bytes(whole, n);
        bitnet_json_skip(&t.j);
        if (bitnet_json_end(&t.j)) fail_msg("the first %zu bytes were taken for all", n);
        free(t.s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nested_members_are_walked_in_order_and_unread_ones_are_skipped),
        cmocka_unit_test(a_value_of_another_kind_stays_to_be_read),
        cmocka_unit_test(the_first_member_of_a_name_is_found),
        cmocka_unit_test(containers_nest_64_deep_and_no_deeper),
        cmocka_unit_test(escapes_become_the_bytes_they_stand_for),
        cmocka_unit_test(nothing_is_written_past_the_room_there_is),
        cmocka_unit_test(numbers_are_rounded_as_the_c_library_rounds_them),
        cmocka_unit_test(a_thousand_digits_are_rounded_by_all_of_them),
        cmocka_unit_test(a_locale_with_a_decimal_comma_changes_nothing),
        cmocka_unit_test(integers_are_exact_and_fractions_are_none),
        cmocka_unit_test(each_flaw_is_named_with_its_place),
        cmocka_unit_test(a_number_beyond_a_double_is_an_error),
        cmocka_unit_test(a_text_cut_anywhere_is_refused),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
