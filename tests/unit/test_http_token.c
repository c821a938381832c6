/* test_http_token.c: what is a token, where a request may show it, and what it opens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/routes.h"
#include "http/token.h"

#define TOKEN "0123456789abcdef0123456789abcdef"

static const http_policy policy = {.port = 8080};

static http_head judged(const char *method, const char *target, const char *fields) {
    static char text[2048]; /* the head points into it */
    int n = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n%s\r\n", method,
                     target, fields);
    http_head h = http_head_judge(text, (size_t)n, &policy);
    if (h.verdict != HTTP_HEAD_ACCEPT) fail_msg("%s%d: %s", text, h.status, h.reason);
    return h;
}

static void a_token_has_22_to_128_harmless_characters(void **state) {
    (void)state;
    char longest[HTTP_TOKEN_MAX + 2];
    memset(longest, 'a', sizeof longest);
    assert_true(http_token_check(longest, HTTP_TOKEN_MIN));
    assert_true(http_token_check(longest, HTTP_TOKEN_MAX));
    assert_false(http_token_check(longest, HTTP_TOKEN_MIN - 1));
    assert_false(http_token_check(longest, HTTP_TOKEN_MAX + 1));
    assert_true(http_token_check("AZaz09-._~+/==aaaaaaaaaaaa", 26));
    for (int c = 0; c < 256; c++) {
        longest[5] = (char)c;
        bool is_fine = c && strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                   "-._~+/=",
                                   c);
        if (http_token_check(longest, 32) != is_fine) fail_msg("character %d", c);
    }
}

static void only_the_whole_token_is_the_token(void **state) {
    (void)state;
    assert_true(http_token_is((http_span){TOKEN, 32}, TOKEN));
    assert_false(http_token_is((http_span){TOKEN, 31}, TOKEN));
    assert_false(http_token_is((http_span){TOKEN "0", 33}, TOKEN));
    assert_false(http_token_is((http_span){TOKEN TOKEN, 64}, TOKEN));
    assert_false(http_token_is((http_span){"", 0}, TOKEN));
    assert_false(http_token_is((http_span){NULL, 0}, TOKEN));
    assert_false(http_token_is((http_span){NULL, 0}, ""));
    char other[] = TOKEN;
    for (size_t i = 0; i < 32; i++) {
        other[i] ^= 1;
        assert_false(http_token_is((http_span){other, 32}, TOKEN));
        other[i] ^= 1;
    }
}

static void a_request_shows_it_in_authorization_or_in_the_cookie(void **state) {
    (void)state;
    static const struct {
        const char *fields;
        bool is_authorised;
    } cases[] = {
        {"", false},
        {"Authorization: Bearer " TOKEN "\r\n", true},
        {"authorization: bearer " TOKEN "\r\n", true},
        {"Authorization: Bearer  " TOKEN "\r\n", false},
        {"Authorization: Bearer " TOKEN "x\r\n", false},
        {"Authorization: Basic " TOKEN "\r\n", false},
        {"Authorization: " TOKEN "\r\n", false},
        {"Authorization: Bearer\r\n", false},
        {"Cookie: bitnet=" TOKEN "\r\n", true},
        {"Cookie: a=b; bitnet=" TOKEN "; c=d\r\n", true},
        {"Cookie: xbitnet=" TOKEN "\r\n", false},
        {"Cookie: bitnetx=" TOKEN "\r\n", false},
        {"Cookie: BITNET=" TOKEN "\r\n", false},
        {"Cookie: bitnet=\"" TOKEN "\"\r\n", false},
        {"Cookie: bitnet=\r\n", false},
        {"Cookie: bitnet\r\n", false},
        {"Cookie: bitnet=wrong; bitnet=" TOKEN "\r\n", false}, /* the first one counts */
        {"Authorization: Bearer wrong\r\nCookie: bitnet=" TOKEN "\r\n", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_head h = judged("GET", "/metrics", cases[i].fields);
        if (http_is_authorised(&h, TOKEN) != cases[i].is_authorised)
            fail_msg("%s", cases[i].fields);
    }
}

static void answer_something(void *ctx, http_answer *a, const http_head *head) {
    (void)ctx;
    (void)head;
    char *body = malloc(3);
    memcpy(body, "{}\n", 3);
    http_answer_data(a, 200, "application/json", body, 3);
}

static int status_of(const http_site *site, const char *method, const char *target,
                     const char *fields, http_answer *a) {
    http_head h = judged(method, target, fields);
    http_route(a, &h, site);
    free(a->body.owned);
    return a->status;
}

static void what_tells_of_the_hub_needs_the_token_and_nothing_else_does(void **state) {
    (void)state;
    static const char *const guarded[] = {"/health", "/metrics", "/performance/stats",
                                          "/performance/history"};
    static const char *const open[] = {"/health/live", "/models/bitnet-tales.gguf"};
    const char *bearer = "Authorization: Bearer " TOKEN "\r\n";
    http_site site = {.token = TOKEN,
                      .data = {.stats = answer_something,
                               .history = answer_something,
                               .export_run = answer_something,
                               .metrics = answer_something,
                               .health = answer_something}};
    http_answer a;
    for (size_t i = 0; i < sizeof guarded / sizeof *guarded; i++) {
        assert_int_equal(status_of(&site, "GET", guarded[i], "", &a), 401);
        assert_true(a.no_store);
        assert_int_equal(status_of(&site, "GET", guarded[i], bearer, &a), 200);
        assert_true(a.no_store);
    }
    assert_int_equal(status_of(&site, "POST", "/performance/export", "", &a), 401);
    assert_int_equal(status_of(&site, "POST", "/performance/export", bearer, &a), 200);
    assert_int_equal(status_of(&site, "GET", "/performance/export", bearer, &a), 405);
    assert_string_equal(a.allow, "POST");
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        assert_int_equal(status_of(&site, "GET", open[i], "", &a), 200);
    assert_int_equal(status_of(&site, "GET", "/", "", &a),
                     503); /* no page here, and no token asked */
    site.token = NULL;
    for (size_t i = 0; i < sizeof guarded / sizeof *guarded; i++)
        assert_int_equal(status_of(&site, "GET", guarded[i], "", &a), 200);
}

static void opening_the_printed_address_signs_a_browser_in(void **state) {
    (void)state;
    http_site site = {.token = TOKEN};
    http_answer a;
    assert_int_equal(status_of(&site, "GET", "/?token=" TOKEN, "", &a), 303);
    assert_string_equal(a.location, "/");
    assert_string_equal(a.cookie, "bitnet=" TOKEN "; HttpOnly; SameSite=Strict; Path=/");
    char out[HTTP_REPLY_HEAD_MAX + 1];
    out[http_reply_head(out, &a, (http_span){NULL, 0}, true, 0)] = '\0';
    assert_non_null(strstr(out, "\r\nSet-Cookie: bitnet=" TOKEN "; HttpOnly;"));
    assert_non_null(strstr(out, "\r\nCache-Control: no-store\r\n"));
    assert_int_equal(status_of(&site, "GET", "/dashboard/?a=b&token=" TOKEN, "", &a), 303);
    assert_string_equal(a.location, "/dashboard/");
    assert_int_equal(status_of(&site, "GET", "/?token=wrong", "", &a), 401);
    assert_string_equal(a.cookie, "");
    assert_int_equal(status_of(&site, "GET", "//evil.example/?token=" TOKEN, "", &a), 503);
    assert_string_equal(a.location, ""); /* nowhere else */
    site.token = NULL;
    assert_int_equal(status_of(&site, "GET", "/?token=" TOKEN, "", &a), 503);
    assert_string_equal(a.cookie, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_has_22_to_128_harmless_characters),
        cmocka_unit_test(only_the_whole_token_is_the_token),
        cmocka_unit_test(a_request_shows_it_in_authorization_or_in_the_cookie),
        cmocka_unit_test(what_tells_of_the_hub_needs_the_token_and_nothing_else_does),
        cmocka_unit_test(opening_the_printed_address_signs_a_browser_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
