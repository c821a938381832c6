/* reply.c: response heads; see reply.h. */
#define _POSIX_C_SOURCE 200809L /* gmtime_r */
#include "http/reply.h"
#include "base/base.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *phrase(int status) {
    static const struct {
        int status;
        const char *phrase;
    } table[] = {
        {200, "OK"},
        {206, "Partial Content"},
        {303, "See Other"},
        {304, "Not Modified"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {416, "Range Not Satisfiable"},
        {421, "Misdirected Request"},
        {426, "Upgrade Required"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].status == status) return table[i].phrase;
    return "Error";
}

typedef struct writer {
    char *out;
    size_t n;
} writer;

/* Every part is bounded (paths, tags and Host by their checks) and the sum fits; if we miscount,
 * the head is cut, not the memory after it. */
static void put(writer *w, const char *fmt, ...) BITNET_PRINTF(2, 3);
static void put(writer *w, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    size_t room = HTTP_REPLY_HEAD_MAX - w->n;
    int k = vsnprintf(w->out + w->n, room, fmt, args);
    va_end(args);
    assert(k >= 0 && (size_t)k < room);
    w->n += k >= 0 && (size_t)k < room ? (size_t)k : room - 1;
}

/* IMF-fixdate (RFC 9110 §5.6.7); names spelled out because strftime's follow the locale. */
static void put_date(writer *w, int64_t unix_time) {
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t t = (time_t)unix_time;
    struct tm tm;
    if (!gmtime_r(&t, &tm)) return;
    put(w, "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday], tm.tm_mday,
        months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void put_body_fields(writer *w, const http_answer *a) {
    if (a->type) put(w, "Content-Type: %s\r\n", a->type);
    /* RFC 9110 §8.6: a 304 leaves out the length, because the one of the 200 is meant. */
    if (a->status != 304) put(w, "Content-Length: %" PRIu64 "\r\n", a->body.end - a->body.at);
    if (a->status == 206)
        put(w, "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n", a->body.at,
            a->body.end - 1, a->total);
    if (a->status == 416) put(w, "Content-Range: bytes */%" PRIu64 "\r\n", a->total);
    if (a->ranges) put(w, "Accept-Ranges: bytes\r\n");
    if (a->etag[0]) put(w, "ETag: %s\r\n", a->etag);
}

/* What a page may do. Scripts and workers only from here, WebAssembly but no eval; uPlot sets
 * styles through the object model, which this allows. It may fetch from anywhere over TLS, and from this
 * machine: a person types the address of a model, and what comes is read as a model and as nothing else.
 * 'self' does not cover ws: in every browser.
 */
static void put_page_policy(writer *w, http_span host) {
    put(w, "Content-Security-Policy: default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; "
           "worker-src 'self'; connect-src 'self' https: http://localhost:* http://127.0.0.1:*");
    if (host.p) put(w, " ws://%.*s", (int)host.n, host.p);
    put(w, "; style-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
           "form-action 'none'; frame-ancestors 'none'\r\n");
}

size_t http_reply_head(char out[HTTP_REPLY_HEAD_MAX], const http_answer *a, http_span host,
                       bool isolation, int64_t unix_time) {
    writer w = {out, 0};
    put(&w, "HTTP/1.1 %d %s\r\n", a->status, phrase(a->status));
    put_date(&w, unix_time);
    put_body_fields(&w, a);
    if (a->location[0]) put(&w, "Location: %s\r\n", a->location);
    if (a->status == 405) put(&w, "Allow: %s\r\n", a->allow ? a->allow : "GET, HEAD");
    if (a->status == 401) put(&w, "WWW-Authenticate: Bearer\r\n");
    if (a->filename[0])
        put(&w, "Content-Disposition: attachment; filename=\"%s\"\r\n", a->filename);
    if (a->cookie[0]) put(&w, "Set-Cookie: %s\r\n", a->cookie);
    if (a->status == 426) put(&w, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    if (a->status == 503) put(&w, "Retry-After: 1\r\n");
    put(&w,
        "Cache-Control: %s\r\nX-Content-Type-Options: nosniff\r\n"
        "Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n",
        a->no_store ? "no-store" : "no-cache");
    /* Together these make a page cross-origin isolated, which threads in WebAssembly need. */
    if (isolation)
        put(&w, "Cross-Origin-Opener-Policy: same-origin\r\n"
                "Cross-Origin-Embedder-Policy: require-corp\r\n");
    if (a->type && strncmp(a->type, "text/html", 9) == 0) put_page_policy(&w, host);
    put(&w, a->status == 426 ? "Connection: close, Upgrade\r\n\r\n" : "Connection: close\r\n\r\n");
    return w.n;
}

void http_answer_text(http_answer *a, int status, const char *sentence) {
    *a = (http_answer){.status = status, .type = "text/plain; charset=utf-8", .body = {.fd = -1}};
    snprintf(a->text, sizeof a->text, "%s\n", sentence);
    a->body.mem = a->text;
    a->body.end = strlen(a->text);
}

void http_answer_data(http_answer *a, int status, const char *type, char *bytes, size_t n) {
    if (!bytes) {
        http_answer_text(a, 500, "The server is out of memory.");
        return;
    }
    *a = (http_answer){.status = status, .type = type, .no_store = true, .total = n};
    a->body = (http_body){.mem = bytes, .owned = bytes, .fd = -1, .end = n};
}

void http_answer_later(http_answer *a, http_later *later) {
    *a = (http_answer){.later = later, .body = {.fd = -1}};
}

void http_answer_move(http_answer *to, http_answer *from) {
    *to = *from;
    if (from->body.mem == from->text) to->body.mem = to->text;
    from->body = (http_body){.fd = -1};
}
