/* test_http_head.c: the table of request heads, hostile and honest, and what the judge says of
 * each.
 *
 * Every case is also tried cut off at every byte: a beginning may only be waited on or refused, and
 * an honest one must always be waited on. The rules come from RFC 9112 (messages), RFC 9110
 * (fields), RFC 6455 (websocket) and docs/protocol.md (Host and Origin).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/head.h"

static const http_policy policy_8080 = {.extra = "board.test", .port = 8080};

/* clang-format off */
#define H    "Host: 127.0.0.1:8080\r\n"
#define GET  "GET / HTTP/1.1\r\n"
#define WS   "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
#define KEY  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define SUB  "Sec-WebSocket-Protocol: bitnet-tracker.v1\r\n"
#define TRK  "GET /tracker HTTP/1.1\r\n"
#define POST "POST /performance/export?format=json HTTP/1.1\r\n"
#define END  "\r\n"
/* clang-format on */

typedef struct head_case {
    const char *what, *bytes;
    size_t n;   /* 0 = strlen(bytes) */
    int status; /* 0 = accepted */
} head_case;

/* clang-format off */
static const head_case hostile[] = {
    /* another protocol at the door */
    {"HTTP/2 preface",                 "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, 505},
    {"TLS ClientHello",                "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11, 400},
    {"SSH banner",                     "SSH-2.0-OpenSSH_9.2\r\n", 0, 400},
    {"HTTP/0.9",                       "GET /\r\n", 0, 400},
    {"HTTP/1.0",                       "GET / HTTP/1.0\r\n" H END, 0, 505},
    {"HTTP/2.0 by name",               "GET / HTTP/2.0\r\n" H END, 0, 505},
    {"HTTP/1.2",                       "GET / HTTP/1.2\r\n" H END, 0, 505},
    {"h2c upgrade",                    GET H "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n" END, 0, 400},
    {"h2c upgrade without settings",   GET H "Connection: Upgrade\r\nUpgrade: h2c\r\n" END, 0, 400},
    {"h2c beside websocket",           TRK H WS KEY SUB "HTTP2-Settings: AAMAAABkAAQAAP__\r\n" END, 0, 400},
    {"h2 over TLS token",              GET H "Connection: Upgrade\r\nUpgrade: h2\r\n" END, 0, 400},
    {"HTTP2-Settings alone",           GET H "HTTP2-Settings: AAMAAABkAAQAAP__\r\n" END, 0, 400},
    {"unknown upgrade",                GET H "Connection: Upgrade\r\nUpgrade: foo\r\n" END, 0, 400},
    {"unknown upgrade at /tracker",    TRK H "Connection: Upgrade\r\nUpgrade: foo\r\n" END, 0, 400},
    {"upgrade list",                   TRK H "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\nSec-WebSocket-Version: 13\r\n" KEY SUB END, 0, 400},
    {"empty upgrade",                  GET H "Upgrade:\r\n" END, 0, 400},
    {"two upgrades",                   TRK H WS "Upgrade: h2c\r\n" KEY SUB END, 0, 400},

    /* the shape of the request line */
    {"empty line first",               "\r\n" GET H END, 0, 400},
    {"space first",                    " GET / HTTP/1.1\r\n" H END, 0, 400},
    {"two spaces",                     "GET  / HTTP/1.1\r\n" H END, 0, 400},
    {"space after the version",        "GET / HTTP/1.1 \r\n" H END, 0, 400},
    {"tab as separator",               "GET\t/\tHTTP/1.1\r\n" H END, 0, 400},
    {"three words after the method",   "GET / x HTTP/1.1\r\n" H END, 0, 400},
    {"lower-case version",             "GET / http/1.1\r\n" H END, 0, 400},
    {"long version",                   "GET / HTTP/1.10\r\n" H END, 0, 400},
    {"method with a colon",            "GE:T / HTTP/1.1\r\n" H END, 0, 400},
    {"no method",                      "/ HTTP/1.1\r\n" H END, 0, 400},

    /* targets */
    {"absolute target",                "GET http://127.0.0.1:8080/ HTTP/1.1\r\n" H END, 0, 400},
    {"authority target",               "CONNECT 127.0.0.1:22 HTTP/1.1\r\n" H END, 0, 400},
    {"asterisk target",                "OPTIONS * HTTP/1.1\r\n" H END, 0, 400},
    {"fragment",                       "GET /#x HTTP/1.1\r\n" H END, 0, 400},
    {"backslash",                      "GET /a\\b HTTP/1.1\r\n" H END, 0, 400},
    {"quote",                          "GET /\"x\" HTTP/1.1\r\n" H END, 0, 400},
    {"raw UTF-8",                      "GET /\xc3\xa9 HTTP/1.1\r\n" H END, 0, 400},
    {"half an escape",                 "GET /a%2 HTTP/1.1\r\n" H END, 0, 400},
    {"escape without hex",             "GET /a%zz HTTP/1.1\r\n" H END, 0, 400},
    {"escape at the very end",         "GET /% HTTP/1.1\r\n" H END, 0, 400},

    /* characters */
    {"bare LF after the request line", "GET / HTTP/1.1\n" H END, 0, 400},
    {"bare LF after a field",          GET "Host: 127.0.0.1:8080\n" END, 0, 400},
    {"bare LF as the empty line",      GET H "\n", 0, 400},
    {"bare CR in a value",             GET H "X: a\rb\r\n" END, 0, 400},
    {"CR CR LF",                       GET "Host: 127.0.0.1:8080\r\r\n" END, 0, 400},
    {"NUL in a value",                 GET H "X: a\0b\r\n" END, sizeof(GET H "X: a\0b\r\n" END) - 1, 400},
    {"NUL in the target",              "GET /a\0b HTTP/1.1\r\n" H END, sizeof("GET /a\0b HTTP/1.1\r\n" H END) - 1, 400},
    {"escape character",               GET H "X: \x1b[2J\r\n" END, 0, 400},
    {"DEL",                            GET H "X: \x7f\r\n" END, 0, 400},

    /* fields */
    {"folded line",                    GET H "X: a\r\n b\r\n" END, 0, 400},
    {"folded with a tab",              GET H "X: a\r\n\tb\r\n" END, 0, 400},
    {"fold right after the request line", "GET / HTTP/1.1\r\n " H END, 0, 400},
    {"space before the colon",         GET "Host : 127.0.0.1:8080\r\n" END, 0, 400},
    {"no colon",                       GET H "Xyzzy\r\n" END, 0, 400},
    {"empty name",                     GET H ": x\r\n" END, 0, 400},
    {"non-ASCII name",                 GET H "\xc3\xa9: x\r\n" END, 0, 400},
    {"name with a slash",              GET H "a/b: x\r\n" END, 0, 400},

    /* framing: where does this request end? */
    {"Content-Length and Transfer-Encoding", "GET / HTTP/1.1\r\n" H "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n" END, 0, 400},
    {"Transfer-Encoding and Content-Length", "GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n" END, 0, 400},
    {"Transfer-Encoding",              GET H "Transfer-Encoding: chunked\r\n" END, 0, 400},
    {"Transfer-Encoding: identity",    GET H "Transfer-Encoding: identity\r\n" END, 0, 400},
    {"upper-case TRANSFER-ENCODING",   GET H "TRANSFER-ENCODING: x\r\n" END, 0, 400},
    {"two Content-Lengths",            GET H "Content-Length: 0\r\nContent-Length: 0\r\n" END, 0, 400},
    {"Content-Length list",            GET H "Content-Length: 0, 0\r\n" END, 0, 400},
    {"signed Content-Length",          GET H "Content-Length: +0\r\n" END, 0, 400},
    {"hex Content-Length",             GET H "Content-Length: 0x0\r\n" END, 0, 400},
    {"empty Content-Length",           GET H "Content-Length:\r\n" END, 0, 400},
    {"body on GET",                    GET H "Content-Length: 5\r\n" END, 0, 413},
    {"20-digit Content-Length",        GET H "Content-Length: 99999999999999999999\r\n" END, 0, 413},
    {"pipelined request",              GET H END GET H END, 0, 400},
    {"bytes after the head",           GET H END "x", 0, 400},
    {"frame after a websocket head",   TRK H WS KEY SUB END "\x81\x80", 0, 400},

    /* whom it talks to */
    {"no Host",                        GET END, 0, 421},
    {"two Hosts",                      GET H H END, 0, 400},
    {"empty Host",                     GET "Host:\r\n" END, 0, 421},
    {"rebinding name",                 GET "Host: evil.example:8080\r\n" END, 0, 421},
    {"rebinding name without port",    GET "Host: evil.example\r\n" END, 0, 421},
    {"our name, no port",              GET "Host: 127.0.0.1\r\n" END, 0, 421},
    {"our name, other port",           GET "Host: 127.0.0.1:8081\r\n" END, 0, 421},
    {"our name, port with a zero",     GET "Host: 127.0.0.1:08080\r\n" END, 0, 421},
    {"our name, empty port",           GET "Host: 127.0.0.1:\r\n" END, 0, 421},
    {"port without its colon",         GET "Host: 8080\r\n" END, 0, 421},
    {"port only",                      GET "Host: :8080\r\n" END, 0, 421},
    {"our name as a prefix",           GET "Host: localhost.evil.example:8080\r\n" END, 0, 421},
    {"our name as a suffix",           GET "Host: evil.localhost:8080\r\n" END, 0, 421},
    {"name with credentials",          GET "Host: a@localhost:8080\r\n" END, 0, 421},
    {"another loopback address",       GET "Host: 127.0.0.2:8080\r\n" END, 0, 421},
    {"all addresses",                  GET "Host: 0.0.0.0:8080\r\n" END, 0, 421},
    {"IPv6 without brackets",          GET "Host: ::1:8080\r\n" END, 0, 421},
    {"IPv4 in another notation",       GET "Host: 2130706433:8080\r\n" END, 0, 421},
    {"trailing dot",                   GET "Host: localhost.:8080\r\n" END, 0, 421},

    /* what for */
    {"POST",                           "POST / HTTP/1.1\r\n" H END, 0, 405},
    {"POST with a body",               "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n" END, 0, 413},
    {"POST to the statistics",         "POST /performance/stats HTTP/1.1\r\n" H END, 0, 405},
    {"POST to a longer path",          "POST /performance/export/ HTTP/1.1\r\n" H END, 0, 405},
    {"POST to a websocket",            "POST /tracker HTTP/1.1\r\n" H WS KEY SUB END, 0, 405},
    {"export with an upgrade",         POST H WS KEY SUB END, 0, 405},
    {"export with a body",             POST H "Content-Length: 3\r\n" END, 0, 413},
    {"export with a body that is there", POST H "Content-Length: 3\r\n" END "abc", 0, 413},
    {"export with a chunked body",     POST H "Transfer-Encoding: chunked\r\n" END "0\r\n\r\n", 0, 400},
    {"export by another site",         POST H "Origin: http://evil.example\r\n" END, 0, 403},
    {"export by a file",               POST H "Origin: null\r\n" END, 0, 403},
    {"export by another port",         POST H "Origin: http://127.0.0.1:9090\r\n" END, 0, 403},
    {"export cross-site",              POST H "Sec-Fetch-Site: cross-site\r\n" END, 0, 403},
    {"export same-site",               POST H "Sec-Fetch-Site: same-site\r\n" END, 0, 403},
    {"export with a foreign Origin said to be ours", POST H "Origin: http://evil.example\r\nSec-Fetch-Site: same-origin\r\n" END, 0, 403},
    {"export with two Sec-Fetch-Sites", POST H "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n" END, 0, 400},
    {"two Cookies",                    GET H "Cookie: bitnet=a\r\nCookie: bitnet=b\r\n" END, 0, 400},
    {"two Authorizations",             GET H "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n" END, 0, 400},
    {"rebinding export",               POST "Host: evil.example:8080\r\n" END, 0, 421},
    {"TRACE",                          "TRACE / HTTP/1.1\r\n" H END, 0, 405},
    {"OPTIONS",                        "OPTIONS / HTTP/1.1\r\n" H END, 0, 405},
    {"lower-case get",                 "get / HTTP/1.1\r\n" H END, 0, 405},
    {"GETS",                           "GETS / HTTP/1.1\r\n" H END, 0, 405},
    {"two Ranges",                     GET H "Range: bytes=0-1\r\nRange: bytes=2-3\r\n" END, 0, 400},

    /* websocket */
    {"/tracker without an upgrade",    TRK H END, 0, 426},
    {"websocket elsewhere",            GET H WS KEY SUB END, 0, 404},
    {"websocket at /TRACKER",          "GET /TRACKER HTTP/1.1\r\n" H WS KEY SUB END, 0, 404},
    {"websocket by HEAD",              "HEAD /tracker HTTP/1.1\r\n" H WS KEY SUB END, 0, 405},
    {"upgrade without Connection",     TRK H "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" KEY SUB END, 0, 400},
    {"Connection: close",              TRK H "Connection: close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" KEY SUB END, 0, 400},
    {"Connection: notupgrade",         TRK H "Connection: notupgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" KEY SUB END, 0, 400},
    {"Connection: junk before upgrade", TRK H "Connection: \"x\", upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" KEY SUB END, 0, 400},
    {"websocket version 8",            TRK H "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n" KEY SUB END, 0, 426},
    {"no websocket version",           TRK H "Connection: Upgrade\r\nUpgrade: websocket\r\n" KEY SUB END, 0, 426},
    {"no key",                         TRK H WS SUB END, 0, 400},
    {"short key",                      TRK H WS "Sec-WebSocket-Key: AAAA\r\n" SUB END, 0, 400},
    {"key without padding",            TRK H WS "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA\r\n" SUB END, 0, 400},
    {"key that is not base64",         TRK H WS "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25!!Q==\r\n" SUB END, 0, 400},
    {"no subprotocol",                 TRK H WS KEY END, 0, 400},
    {"another subprotocol",            TRK H WS KEY "Sec-WebSocket-Protocol: chat\r\n" END, 0, 400},
    {"two subprotocols",               TRK H WS KEY "Sec-WebSocket-Protocol: door, bitnet-tracker.v1\r\n" END, 0, 400},
    {"foreign Origin",                 TRK H WS KEY SUB "Origin: http://evil.example\r\n" END, 0, 403},
    {"null Origin",                    TRK H WS KEY SUB "Origin: null\r\n" END, 0, 403},
    {"empty Origin",                   TRK H WS KEY SUB "Origin:\r\n" END, 0, 403},
    {"https Origin",                   TRK H WS KEY SUB "Origin: https://127.0.0.1:8080\r\n" END, 0, 403},
    {"Origin of another port",         TRK H WS KEY SUB "Origin: http://127.0.0.1:9090\r\n" END, 0, 403},
    {"Origin without the port",        TRK H WS KEY SUB "Origin: http://127.0.0.1\r\n" END, 0, 403},
    {"Origin that starts like ours",   TRK H WS KEY SUB "Origin: http://127.0.0.1:8080.evil.example\r\n" END, 0, 403},
    {"Origin with a path",             TRK H WS KEY SUB "Origin: http://127.0.0.1:8080/\r\n" END, 0, 403},
    {"two Origins",                    TRK H WS KEY SUB "Origin: http://127.0.0.1:8080\r\nOrigin: http://evil.example\r\n" END, 0, 400},
    {"rebinding websocket",            TRK "Host: evil.example:8080\r\n" WS KEY SUB "Origin: http://evil.example:8080\r\n" END, 0, 421},
};

static const head_case honest[] = {
    {"the least there can be",         GET H END, 0, 0},
    {"HEAD",                           "HEAD /health/live HTTP/1.1\r\n" H END, 0, 0},
    {"a browser's page load",          GET "Host: localhost:8080\r\nConnection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\n"
                                       "User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,*/*;q=0.8\r\n"
                                       "Sec-Fetch-Site: none\r\nAccept-Encoding: gzip, deflate, br\r\n" END, 0, 0},
    {"IPv6 loopback",                  GET "Host: [::1]:8080\r\n" END, 0, 0},
    {"the configured name",            GET "Host: BOARD.test:8080\r\n" END, 0, 0},
    {"names in any case",              GET "hOST: LocalHost:8080\r\n" END, 0, 0},
    {"query and escapes",              "GET /a/b.c?x=%2F..&y HTTP/1.1\r\n" H END, 0, 0},
    {"white space around values",      GET "Host:\t 127.0.0.1:8080 \t\r\n" END, 0, 0},
    {"empty value",                    GET H "X:\r\n" END, 0, 0},
    {"obs-text in a value",            GET H "User-Agent: \xe9\xff\r\n" END, 0, 0},
    {"Content-Length: 0",              GET H "Content-Length: 000\r\n" END, 0, 0},
    {"range",                          GET H "Range: bytes=0-1\r\nIf-Range: \"e\"\r\nIf-None-Match: \"f\"\r\n" END, 0, 0},
    {"export",                         POST H END, 0, 0},
    {"curl's export",                  POST H "User-Agent: curl/8\r\nAccept: */*\r\n" END, 0, 0},
    {"a page's export",                POST H "Content-Length: 0\r\nOrigin: http://127.0.0.1:8080\r\nSec-Fetch-Site: same-origin\r\n" END, 0, 0},
    {"a person's export",              POST H "Sec-Fetch-Site: none\r\n" END, 0, 0},
    {"cookie and authorization",       GET H "Cookie: a=b; bitnet=x\r\nAuthorization: Bearer y\r\n" END, 0, 0},
    {"native websocket",               TRK H WS KEY SUB END, 0, 0},
    {"a browser's websocket",          TRK H "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n" KEY SUB
                                       "Origin: http://localhost:8080\r\nSec-WebSocket-Extensions: permessage-deflate\r\n" END, 0, 0},
};
/* clang-format on */

static size_t case_len(const head_case *c) {
    return c->n ? c->n : strlen(c->bytes);
}

/* Judges an exactly sized copy, so that a sanitizer sees any step past the end. */
static http_head judge(const char *bytes, size_t n) {
    char *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    http_head h = http_head_judge(copy, n, &policy_8080);
    free(copy);
    return h;
}

static void every_hostile_head_is_refused_with_its_status(void **state) {
    (void)state;
    int n_wrong = 0;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        http_head h = judge(hostile[i].bytes, case_len(&hostile[i]));
        if (h.verdict == HTTP_HEAD_REFUSE && h.status == hostile[i].status && h.reason) continue;
        print_error("%s: expected refusal %d, got verdict %d status %d (%s)\n", hostile[i].what,
                    hostile[i].status, (int)h.verdict, h.status, h.reason ? h.reason : "-");
        n_wrong++;
    }
    assert_true(sizeof hostile / sizeof *hostile >= 60);
    assert_int_equal(n_wrong, 0);
}

static void every_honest_head_is_accepted(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof honest / sizeof *honest; i++) {
        http_head h = judge(honest[i].bytes, case_len(&honest[i]));
        if (h.verdict != HTTP_HEAD_ACCEPT)
            fail_msg("%s: refused with %d: %s", honest[i].what, h.status, h.reason);
        assert_int_equal(h.len, case_len(&honest[i]));
    }
}

static void a_beginning_is_waited_on_or_refused_but_never_accepted(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof honest / sizeof *honest; i++)
        for (size_t n = 0; n < case_len(&honest[i]); n++)
            if (judge(honest[i].bytes, n).verdict != HTTP_HEAD_MORE)
                fail_msg("%s: its first %zu bytes must be waited on", honest[i].what, n);
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        const char *end =
            strstr(hostile[i].bytes, "\r\n\r\n"); /* "bytes after": the head is fine */
        size_t stop =
            end && !hostile[i].n ? (size_t)(end - hostile[i].bytes) + 3 : case_len(&hostile[i]);
        for (size_t n = 0; n < stop; n++)
            if (judge(hostile[i].bytes, n).verdict == HTTP_HEAD_ACCEPT)
                fail_msg("%s: its first %zu bytes must not be accepted", hostile[i].what, n);
    }
}

static void what_was_asked_for_is_handed_on(void **state) {
    (void)state;
    const char *text = "GET /a/b.c?x=1 HTTP/1.1\r\n" H
                       "Range: bytes=5-\r\nIf-Range: \"e\"\r\nIf-None-Match: W/\"f\"\r\n" END;
    http_head h = http_head_judge(text, strlen(text), &policy_8080);
    assert_int_equal(h.verdict, HTTP_HEAD_ACCEPT);
    assert_true(http_span_is(h.path, "/a/b.c"));
    assert_true(http_span_is(h.query, "x=1"));
    assert_true(http_span_is(h.host, "127.0.0.1:8080"));
    assert_true(http_span_is(h.range, "bytes=5-"));
    assert_true(http_span_is(h.if_range, "\"e\""));
    assert_true(http_span_is(h.if_none_match, "W/\"f\""));
    assert_false(h.is_head);
    assert_false(h.is_websocket);

    text = "HEAD / HTTP/1.1\r\n" H END;
    h = http_head_judge(text, strlen(text), &policy_8080);
    assert_true(h.is_head);
    assert_null(h.range.p);
    assert_null(h.query.p);

    text = TRK H WS KEY SUB END;
    h = http_head_judge(text, strlen(text), &policy_8080);
    assert_true(h.is_websocket);

    text = POST H "Cookie: bitnet=x\r\nAuthorization: Bearer y\r\n" END;
    h = http_head_judge(text, strlen(text), &policy_8080);
    assert_true(h.is_post);
    assert_false(h.is_head);
    assert_true(http_span_is(h.path, "/performance/export"));
    assert_true(http_span_is(h.cookie, "bitnet=x"));
    assert_true(http_span_is(h.authorization, "Bearer y"));
}

static void on_all_addresses_any_address_is_ours_and_no_other_name(void **state) {
    (void)state;
    static const struct {
        const char *head;
        bool is_ours;
    } cases[] = {
        {GET "Host: 192.0.2.7:8080\r\n" END, true},
        {GET "Host: [2001:db8::7]:8080\r\n" END, true},
        {GET "Host: localhost:8080\r\n" END, true},
        {GET "Host: board.test:8080\r\n" END, true},
        {GET "Host: 192.0.2.7:8081\r\n" END, false},
        {GET "Host: 192.0.2.7\r\n" END, false},
        {GET "Host: 192.0.2.7.evil.example:8080\r\n" END, false},
        {GET "Host: evil.example:8080\r\n" END, false},
        {GET "Host: [evil]:8080\r\n" END, false},
        {GET "Host: .:8080\r\n" END, false},
        {GET "Host: []:8080\r\n" END, false},
        {GET "Host: :8080\r\n" END, false},
        {POST "Host: 192.0.2.7:8080\r\nOrigin: http://192.0.2.7:8080\r\n" END, true},
    };
    http_policy policy = policy_8080;
    policy.is_any_address = true;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_head h = http_head_judge(cases[i].head, strlen(cases[i].head), &policy);
        if ((h.verdict == HTTP_HEAD_ACCEPT) != cases[i].is_ours)
            fail_msg("%s: verdict %d status %d", cases[i].head, (int)h.verdict, h.status);
    }
}

static void on_port_80_the_port_may_be_left_out(void **state) {
    (void)state;
    const http_policy policy = {.extra = NULL, .port = 80};
    const char *bare = GET "Host: localhost\r\n" END, *full = GET "Host: localhost:80\r\n" END;
    const char *other = GET "Host: localhost:8080\r\n" END;
    const char *ws = TRK "Host: localhost\r\n" WS KEY SUB "Origin: http://localhost\r\n" END;
    assert_int_equal(http_head_judge(bare, strlen(bare), &policy).verdict, HTTP_HEAD_ACCEPT);
    assert_int_equal(http_head_judge(full, strlen(full), &policy).verdict, HTTP_HEAD_ACCEPT);
    assert_int_equal(http_head_judge(ws, strlen(ws), &policy).verdict, HTTP_HEAD_ACCEPT);
    assert_int_equal(http_head_judge(other, strlen(other), &policy).status, 421);
}

static void sizes_are_limited_to_the_byte(void **state) {
    (void)state;
    static char big[HTTP_HEAD_MAX + 4096];
    /* the longest target that is allowed, and one more */
    for (int extra = 0; extra <= 1; extra++) {
        int n = snprintf(big, sizeof big, "GET /%0*d HTTP/1.1\r\n" H END,
                         HTTP_TARGET_MAX - 1 + extra, 0);
        http_head h = judge(big, (size_t)n);
        assert_int_equal(h.verdict, extra ? HTTP_HEAD_REFUSE : HTTP_HEAD_ACCEPT);
        if (extra) assert_int_equal(h.status, 414);
    }
    /* a request line without an end */
    memset(big, 'a', sizeof big);
    memcpy(big, "GET /", 5);
    assert_int_equal(judge(big, 1000).verdict, HTTP_HEAD_MORE);
    assert_int_equal(judge(big, 4000).status, 414);
    /* a head of exactly 16 KiB, and one byte more */
    for (int extra = 0; extra <= 1; extra++) {
        int used = snprintf(big, sizeof big, GET H "X: ");
        int pad = HTTP_HEAD_MAX - used - 4 + extra;
        memset(big + used, 'x', (size_t)pad);
        memcpy(big + used + pad, "\r\n\r\n", 4);
        http_head h = judge(big, (size_t)(used + pad + 4));
        assert_int_equal(h.verdict, extra ? HTTP_HEAD_REFUSE : HTTP_HEAD_ACCEPT);
        if (extra) assert_int_equal(h.status, 431);
    }
    /* 100 header lines, and one more */
    for (int extra = 0; extra <= 1; extra++) {
        int n = snprintf(big, sizeof big, GET H);
        for (int i = 1; i < HTTP_FIELDS_MAX + extra; i++)
            n += snprintf(big + n, sizeof big - (size_t)n, "X-%d: y\r\n", i);
        n += snprintf(big + n, sizeof big - (size_t)n, END);
        http_head h = judge(big, (size_t)n);
        assert_int_equal(h.verdict, extra ? HTTP_HEAD_REFUSE : HTTP_HEAD_ACCEPT);
        if (extra) assert_int_equal(h.status, 431);
    }
}

/* Random damage to honest heads; the seed is fixed so that a failure can be repeated. */
static void damaged_heads_never_crash_and_name_a_status(void **state) {
    (void)state;
    uint64_t seed = 20261120;
    char buf[1024];
    for (int round = 0; round < 200000; round++) {
        const head_case *c = &honest[(seed >> 33) % (sizeof honest / sizeof *honest)];
        size_t n = case_len(c);
        memcpy(buf, c->bytes, n);
        int n_edits = 1 + (int)((seed >> 20) & 3);
        for (int e = 0; e < n_edits; e++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            buf[(seed >> 32) % n] = (char)(seed >> 24);
        }
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        http_head h = http_head_judge(buf, n, &policy_8080);
        if (h.verdict == HTTP_HEAD_REFUSE) {
            assert_in_range(h.status, 400, 505);
            assert_non_null(h.reason);
        } else if (h.verdict == HTTP_HEAD_ACCEPT) {
            assert_int_equal(h.len, n);
            assert_int_equal(h.path.p[0], '/');
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_hostile_head_is_refused_with_its_status),
        cmocka_unit_test(every_honest_head_is_accepted),
        cmocka_unit_test(a_beginning_is_waited_on_or_refused_but_never_accepted),
        cmocka_unit_test(what_was_asked_for_is_handed_on),
        cmocka_unit_test(on_all_addresses_any_address_is_ours_and_no_other_name),
        cmocka_unit_test(on_port_80_the_port_may_be_left_out),
        cmocka_unit_test(sizes_are_limited_to_the_byte),
        cmocka_unit_test(damaged_heads_never_crash_and_name_a_status),
    };
    return cmocka_run_group_tests_name("http_head", tests, NULL, NULL);
}
