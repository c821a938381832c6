/* report.c: windows -> bitnet-tracker.v1 text -> transport. docs/protocol.md is the contract.
 *
 * The writer works in one fixed buffer and never allocates: a message that does not fit is a bug
 * the unit test catches, since every field has a largest size.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/os.h"
#include "bitnet/tracker.h"

#define MESSAGE_CAP 8192
#define QUIET_NS    2000000000u /* a window is due after this long even when it holds nothing */

typedef struct writer {
    char *buf;
    size_t len, cap; /* len stays below cap; is_cut tells of loss */
    bool is_cut;
} writer;

static void put(writer *w, const char *fmt, ...) BITNET_PRINTF(2, 3);
static void put(writer *w, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(w->buf + w->len, w->cap - w->len, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= w->cap - w->len)
        w->is_cut = true;
    else
        w->len += (size_t)n;
}

/* A JSON string: quotes, backslashes and control bytes escaped; the caller's text is UTF-8. */
static void put_string(writer *w, const char *s) {
    put(w, "\"");
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            put(w, "\\%c", c);
        else if (c < 0x20)
            put(w, "\\u%04x", c);
        else
            put(w, "%c", c);
    }
    put(w, "\"");
}

/* Values are finite (tracker.c); %.9g is shorter than exact and far finer than any clock. */
static void put_number(writer *w, const char *key, double v) {
    put(w, ",\"%s\":%.9g", key, v);
}

typedef struct report {
    bitnet_transport transport;
    bitnet_allocator allocator;
    char name[64], backend[16], tier[16], model[80];
    int32_t n_threads;
    uint64_t instance;
    uint32_t n_hello; /* connections greeted */
    uint64_t seq, last_ns;
    uint64_t carried_dropped; /* records in windows that the transport refused */
    char buf[MESSAGE_CAP];
} report;

static bitnet_status send_message(report *r, const writer *w) {
    return w->is_cut ? BITNET_E_INVAL : r->transport.send(r->transport.ctx, w->buf, w->len);
}

static bitnet_status send_hello(report *r) {
    static const char *const kinds[] = {"hist", "gauge", "counter"};
    writer w = {.buf = r->buf, .cap = sizeof r->buf};
    put(&w, "{\"type\":\"hello\",\"proto\":1,\"role\":\"producer\",\"name\":");
    put_string(&w, r->name);
    put(&w, ",\"instance\":\"%016" PRIx64 "\",\"backend\":", r->instance);
    put_string(&w, r->backend);
    put(&w, ",\"tier\":");
    put_string(&w, r->tier);
    put(&w, ",\"threads\":%d,\"model\":", r->n_threads);
    put_string(&w, r->model);
    put(&w, ",\"t_ms\":%" PRIu64 ",\"metrics\":[", bitnet_os_wall_ms());
    for (int i = 0; i < BITNET_METRIC_COUNT; i++) {
        const bitnet_metric_info *m = bitnet_metric_get_info((bitnet_metric)i);
        put(&w, "%s{\"name\":", i ? "," : "");
        put_string(&w, m->wire);
        put(&w, ",\"unit\":");
        put_string(&w, m->unit);
        put(&w, ",\"kind\":\"%s\",\"help\":", kinds[m->kind]);
        put_string(&w, m->help);
        put(&w, "}");
    }
    put(&w, "]}");
    return send_message(r, &w);
}

static void put_metric(writer *w, const bitnet_metric_info *info, const bitnet_window_metric *m,
                       bool is_first) {
    put(w, "%s\"%s\":{\"n\":%" PRIu64, is_first ? "" : ",", info->wire, m->n);
    put_number(w, "sum", m->sum);
    put_number(w, "min", m->min);
    put_number(w, "max", m->max);
    put_number(w, "last", m->last);
    if (info->kind == BITNET_KIND_HIST) {
        put_number(w, "p50", m->p50);
        put_number(w, "p95", m->p95);
    }
    put(w, "}");
}

static uint64_t count_records(const bitnet_window *win) {
    uint64_t n = 0;
    for (int i = 0; i < BITNET_METRIC_COUNT; i++)
        n += win->metric[i].n;
    return n;
}

static bitnet_status report_write(void *ctx, const bitnet_window *win) {
    report *r = ctx;
    uint32_t n_opened = r->transport.n_opened(r->transport.ctx);
    if (n_opened != r->n_hello) {
        if (send_hello(r) != BITNET_OK) {
            r->carried_dropped += count_records(win);
            return BITNET_AGAIN;
        }
        r->n_hello = n_opened;
    }
    uint64_t n = count_records(win);
    if (n == 0 && win->t1_ns - r->last_ns < QUIET_NS) return BITNET_OK;
    writer w = {.buf = r->buf, .cap = sizeof r->buf};
    put(&w,
        "{\"type\":\"window\",\"seq\":%" PRIu64 ",\"t_ms\":%" PRIu64 ",\"span_ms\":%" PRIu64
        ",\"dropped\":%" PRIu64 ",\"m\":{",
        r->seq + 1, bitnet_os_wall_ms(), (win->t1_ns - win->t0_ns) / 1000000u,
        win->n_dropped + r->carried_dropped);
    bool is_first = true;
    for (int i = 0; i < BITNET_METRIC_COUNT; i++) {
        if (win->metric[i].n == 0) continue;
        put_metric(&w, bitnet_metric_get_info((bitnet_metric)i), &win->metric[i], is_first);
        is_first = false;
    }
    put(&w, "}}");
    bitnet_status st = send_message(r, &w);
    if (st == BITNET_OK)
        r->seq++;
    else
        r->carried_dropped += n;
    r->last_ns = win->t1_ns;
    return st;
}

static void report_close(void *ctx) {
    report *r = ctx;
    static const char bye[] = "{\"type\":\"bye\",\"reason\":\"done\"}";
    if (r->n_hello) r->transport.send(r->transport.ctx, bye, sizeof bye - 1);
    if (r->transport.close) r->transport.close(r->transport.ctx);
    bitnet_allocator a = r->allocator;
    bitnet_free(&a, r, sizeof *r);
}

/* Copies what fits, never cutting a UTF-8 character in two. */
static void copy_text(char *dst, size_t cap, const char *src) {
    size_t n = src ? strlen(src) : 0;
    if (n >= cap)
        for (n = cap - 1; n > 0 && ((unsigned char)src[n] & 0xc0) == 0x80;)
            n--;
    if (n > 0) memcpy(dst, src, n);
    dst[n] = 0;
}

bitnet_status bitnet_report_open(bitnet_sink *out, bitnet_transport transport,
                                 const bitnet_report_desc *desc) {
    report *r = bitnet_alloc(&desc->allocator, sizeof *r);
    if (!r) return BITNET_E_NOMEM;
    r->transport = transport;
    r->allocator = desc->allocator;
    copy_text(r->name, sizeof r->name, desc->name);
    copy_text(r->backend, sizeof r->backend, desc->backend);
    copy_text(r->tier, sizeof r->tier, desc->tier);
    copy_text(r->model, sizeof r->model, desc->model);
    r->n_threads = desc->n_threads;
    r->instance = desc->instance;
    *out = (bitnet_sink){report_write, report_close, r};
    return BITNET_OK;
}
