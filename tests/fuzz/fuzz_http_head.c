/* fuzz_http_head.c: libFuzzer over the judge of request heads.
 *
 * The input is a base head (one byte), then edits to it, three bytes each: where, what to do, with
 * which byte. So nearly every input is almost a request. It is also judged as it is.
 */
#include "http/head.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define HOST "Host: localhost:8080\r\n"
static const char *const bases[] = {
    "GET /a.js?b=%20 HTTP/1.1\r\n" HOST "Range: bytes=0-1\r\nContent-Length: 0\r\n\r\n",
    "GET /tracker HTTP/1.1\r\n" HOST "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: bitnet-tracker.v1\r\nOrigin: http://localhost:8080\r\n\r\n",
    "POST /performance/export?format=csv HTTP/1.1\r\nContent-Length: 0\r\n" HOST
    "Origin: http://localhost:8080\r\nSec-Fetch-Site: same-origin\r\nCookie: bitnet=a\r\n\r\n",
    "HEAD / HTTP/1.1\r\nIf-None-Match: W/\"a\"\r\nIf-Range: \"b\"\r\n" HOST "\r\n",
};

static void check_span(http_span s, const char *head, size_t n) {
    if (s.p && (s.p < head || s.p + s.n > head + n)) abort();
}

/* An exactly sized copy, so that the sanitizer sees any step past the end. */
static void judge(const char *bytes, size_t n) {
    const http_policy policy = {.extra = "board", .port = 8080};
    char *copy = malloc(n ? n : 1);
    if (!copy) return;
    memcpy(copy, bytes, n);
    http_head h = http_head_judge(copy, n, &policy);
    if (h.verdict == HTTP_HEAD_REFUSE && (h.status < 400 || h.status > 505 || !h.reason)) abort();
    if (h.verdict == HTTP_HEAD_ACCEPT) {
        const http_span spans[] = {h.path,     h.query,         h.host,          h.range,
                                   h.if_range, h.if_none_match, h.authorization, h.cookie};
        for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
            check_span(spans[i], copy, n);
        if (h.len != n || memcmp(copy + n - 4, "\r\n\r\n", 4) != 0) abort();
        if (h.path.n == 0 || h.path.p[0] != '/' || memchr(h.path.p, ' ', h.path.n)) abort();
        if (h.is_websocket && !http_span_is(h.path, "/tracker")) abort();
        if (h.is_post && !http_span_is(h.path, HTTP_POST_PATH)) abort();
        for (size_t i = 0; i < n; i++) /* what a lenient parser could take for a line end */
            if (copy[i] == '\0' || (copy[i] == '\n' && copy[i - 1] != '\r')) abort();
        for (size_t k = 0; k < n; k++) /* no other end of the head is possible */
            if (http_head_judge(copy, k, &policy).verdict != HTTP_HEAD_MORE) abort();
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char head[1024];
    if (size == 0 || size > 1024) return 0;
    judge((const char *)data, size);
    const char *base = bases[data[0] % (sizeof bases / sizeof *bases)];
    size_t n = strlen(base);
    memcpy(head, base, n);
    for (size_t i = 1; i + 3 <= size && n > 8 && n < sizeof head; i += 3) {
        size_t at = data[i] * n / 256;
        switch (data[i + 1] % 3) {
        case 0:
            head[at] = (char)data[i + 2];
            break;
        case 1:
            memmove(head + at + 1, head + at, n++ - at);
            head[at] = (char)data[i + 2];
            break;
        default:
            memmove(head + at, head + at + 1, --n - at);
        }
    }
    judge(head, n);
    return 0;
}
