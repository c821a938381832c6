/* report.c: windows -> numbered bitnet-tracker.v1 messages -> a spool -> the transport, until the hub
 * has stored them. docs/protocol.md is the contract.
 *
 * Whatever the connection does, a message keeps its number: what the hub has not acknowledged is sent
 * again from where its welcome says, and what the spool had to let go is declared as a gap. The writer
 * works in one fixed buffer; a window that does not fit in a message goes out as several.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/json.h"
#include "base/os.h"
#include "bitnet/bitnet.h"
#include "tracker/spool.h"
#include "tracker/json_writer.h"

#define MESSAGE_CAP  65536 /* what a hub accepts */
#define MESSAGE_TAIL 8     /* bytes that end a window */
#define ANSWER_CAP   1024  /* a hub's messages are short */
#define SPOOL_BYTES  (4u << 20)
#define QUIET_NS     2000000000u /* a window is due after this long even when it holds nothing */

typedef struct report {
    bitnet_transport transport;
    bitnet_allocator allocator;
    char name[64], backend[16], tier[16], model[80], host[128], build[64], token[129];
    int32_t n_threads;
    double expected_decode_rate, expected_prefill_rate;
    uint64_t instance, epoch;
    uint64_t wall_ms, wall_ns; /* one moment by both clocks: from there on time only goes forward */
    uint32_t n_hello;          /* connections greeted */
    bool is_welcome;
    uint64_t window;    /* messages that may be on their way */
    uint64_t next_send; /* number of the next message to send on this connection */
    uint64_t acked;
    uint64_t last_ns, n_unsaid; /* records that no message could be made of */
    bitnet_spool spool;
    char buf[MESSAGE_CAP];
} report;

/* ---- time -------------------------------------------------------------------------------------
 */

static double wall_at(const report *r, uint64_t mono_ns) {
    return (double)r->wall_ms + ((double)mono_ns - (double)r->wall_ns) / 1e6;
}

static uint64_t wall_ms_at(const report *r, uint64_t mono_ns) {
    double ms = wall_at(r, mono_ns);
    return ms > 0 ? (uint64_t)ms : 0;
}

/* ---- hello ------------------------------------------------------------------------------------
 */

/* What a value of this metric can be: a share is at most 1. */
static void put_range(bitnet_json_writer *w, const bitnet_metric_info *m) {
    size_t n = strlen(m->wire);
    if (m->kind != BITNET_KIND_SIGNED) bitnet_json_put(w, ",\"min\":0");
    if (n > 6 && strcmp(m->wire + n - 6, "_ratio") == 0) bitnet_json_put(w, ",\"max\":1");
}

static void put_metrics(bitnet_json_writer *w) {
    static const char *const kinds[] = {"hist", "gauge", "gauge",
                                        "counter"}; /* by bitnet_metric_kind */
    bitnet_json_put(w, ",\"metrics\":[");
    for (int i = 0; i < BITNET_METRIC_COUNT; i++) {
        const bitnet_metric_info *m = bitnet_metric_get_info((bitnet_metric)i);
        bitnet_json_put(w, "%s{\"name\":", i ? "," : "");
        bitnet_json_put_string(w, m->wire);
        bitnet_json_put(w, ",\"unit\":");
        bitnet_json_put_string(w, m->unit);
        bitnet_json_put(w, ",\"kind\":\"%s\"", kinds[m->kind]);
        put_range(w, m);
        bitnet_json_put(w, ",\"help\":");
        bitnet_json_put_string(w, m->help);
        bitnet_json_put(w, "}");
    }
    bitnet_json_put(w, "]");
}

static void put_text(bitnet_json_writer *w, const char *key, const char *value) {
    bitnet_json_put(w, ",\"%s\":", key);
    bitnet_json_put_string(w, value);
}

/* Only what is known is expected. */
static void put_expected(bitnet_json_writer *w, const report *r) {
    const struct {
        const char *metric;
        double rate;
    } row[] = {{"decode_rate", r->expected_decode_rate},
               {"prefill_rate", r->expected_prefill_rate}};
    bool is_first = true;
    bitnet_json_put(w, ",\"expected\":{");
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        if (!(row[i].rate > 0)) continue;
        bitnet_json_put(w, "%s\"%s\":", is_first ? "" : ",", row[i].metric);
        bitnet_json_put_number(w, row[i].rate);
        is_first = false;
    }
    bitnet_json_put(w, "}");
}

static bitnet_status send_hello(report *r) {
    bitnet_json_writer w = {.buf = r->buf, .cap = sizeof r->buf};
    bitnet_json_put(&w, "{\"type\":\"hello\",\"proto\":1,\"role\":\"producer\"");
    put_text(&w, "name", r->name);
    bitnet_json_put(&w,
                    ",\"instance\":\"%016" PRIx64 "\",\"epoch\":%" PRIu64 ",\"next_seq\":%" PRIu64,
                    r->instance, r->epoch + 1, r->spool.next_seq);
    put_text(&w, "backend", r->backend);
    put_text(&w, "tier", r->tier);
    bitnet_json_put(&w, ",\"threads\":%d", r->n_threads);
    put_text(&w, "model", r->model);
    put_text(&w, "host", r->host);
    put_text(&w, "build", r->build);
    if (r->token[0]) put_text(&w, "token", r->token);
    bitnet_json_put(&w, ",\"t_ms\":%" PRIu64 ",\"started_ms\":%" PRIu64,
                    wall_ms_at(r, bitnet_os_now_ns()), r->wall_ms);
    put_expected(&w, r);
    put_metrics(&w);
    bitnet_json_put(&w, "}");
    if (w.len >= w.cap) return BITNET_E_INVAL;
    return r->transport.send(r->transport.ctx, w.buf, w.len);
}

/* Where nobody answers, whoever was greeted is welcome, and what is sent has arrived. */
static bool is_one_way(const report *r) {
    return !r->transport.receive;
}

static void greet(report *r) {
    uint32_t n_opened = r->transport.n_opened(r->transport.ctx);
    if (n_opened == r->n_hello) return;
    r->is_welcome = false;
    if (send_hello(r) != BITNET_OK) return;
    r->n_hello = n_opened;
    r->epoch++;
    if (!is_one_way(r)) return;
    r->is_welcome = true;
    r->window = UINT64_MAX;
    r->next_send = r->acked + 1;
}

/* ---- what the hub says ------------------------------------------------------------------------
 */

typedef struct answer {
    bitnet_json_str type;
    int64_t seq, id, resume_from, window;
} answer;

static bool read_answer(answer *a, const char *text, size_t n) {
    bitnet_json_str key;
    bitnet_json j = bitnet_json_open(text, n);
    *a = (answer){{"", 0, false}, 0, 0, 0, 0};
    if (!bitnet_json_object(&j)) return false;
    while (bitnet_json_next(&j, &key)) {
        if (bitnet_json_is(&key, "type")) bitnet_json_string(&j, &a->type);
        if (bitnet_json_is(&key, "seq")) bitnet_json_int(&j, &a->seq);
        if (bitnet_json_is(&key, "id")) bitnet_json_int(&j, &a->id);
        if (bitnet_json_is(&key, "resume_from")) bitnet_json_int(&j, &a->resume_from);
        if (bitnet_json_is(&key, "window")) bitnet_json_int(&j, &a->window);
    }
    return bitnet_json_end(&j);
}

static void acknowledged(report *r, uint64_t seq) {
    if (seq >= r->spool.next_seq || seq <= r->acked) return; /* of no message that there was */
    r->acked = seq;
    bitnet_spool_trim(&r->spool, seq);
}

static void heard_welcome(report *r, const answer *a) {
    if (a->resume_from < 1 || a->window < 1) return;
    r->next_send = (uint64_t)a->resume_from;
    /* it has heard more of this instance than we have said: it goes on from there */
    if (r->next_send > r->spool.next_seq) r->spool.next_seq = r->next_send;
    if (r->next_send <= r->acked) r->acked = r->next_send - 1; /* the hub has lost its store */
    r->window = (uint64_t)a->window;
    r->is_welcome = true;
}

static void heard_ping(report *r, const answer *a, uint64_t at_ns) {
    char text[160];
    bitnet_json_writer w = {.buf = text, .cap = sizeof text};
    bitnet_json_put(&w, "{\"type\":\"pong\",\"id\":%" PRId64, a->id);
    bitnet_json_put_member(&w, "rx_ms", wall_at(r, at_ns));
    bitnet_json_put_member(&w, "tx_ms", wall_at(r, bitnet_os_now_ns()));
    bitnet_json_put(&w, "}");
    r->transport.send(r->transport.ctx, text, w.len);
}

static void listen(report *r) {
    char text[ANSWER_CAP];
    size_t n;
    uint64_t at_ns;
    answer a;
    if (is_one_way(r)) return;
    while (r->transport.receive(r->transport.ctx, text, sizeof text, &n, &at_ns) == BITNET_OK) {
        if (!read_answer(&a, text, n)) continue;
        if (bitnet_json_is(&a.type, "welcome")) heard_welcome(r, &a);
        if (bitnet_json_is(&a.type, "ack") && a.seq > 0) acknowledged(r, (uint64_t)a.seq);
        if (bitnet_json_is(&a.type, "ping")) heard_ping(r, &a, at_ns);
    }
}

/* ---- what goes to it --------------------------------------------------------------------------
 */

static bitnet_status send_gap(report *r, uint64_t seq, uint64_t to, const bitnet_spooled *lost) {
    char text[160];
    bitnet_json_writer w = {.buf = text, .cap = sizeof text};
    bitnet_json_put(&w, "{\"type\":\"gap\",\"seq\":%" PRIu64 ",\"to\":%" PRIu64, seq, to);
    if (lost) bitnet_json_put(&w, ",\"n\":%" PRIu64, lost->n_samples);
    bitnet_json_put(&w, ",\"reason\":\"%s\"}", lost ? "spool_full" : "hub_rewound");
    return r->transport.send(r->transport.ctx, w.buf, w.len);
}

/* Everything from next_send on, as far as the hub's window and the transport take it. */
static void flush(report *r) {
    while (r->is_welcome && r->next_send < r->spool.next_seq &&
           r->next_send - r->acked <= r->window) {
        bitnet_spooled *e = bitnet_spool_find(&r->spool, r->next_send);
        uint64_t first = e ? e->seq : r->spool.next_seq, to = e ? e->to : 0;
        bitnet_status st;
        if (first > r->next_send) { /* acknowledged long ago, by a store that is no more */
            to = first - 1;
            st = send_gap(r, r->next_send, to, NULL);
        } else if (!e->text) {
            st = send_gap(r, r->next_send, to, e);
        } else {
            st = r->transport.send(r->transport.ctx, e->text, e->len);
        }
        if (st != BITNET_OK) return;
        if (first <= r->next_send) e->was_sent = true;
        r->next_send = to + 1;
        if (is_one_way(r)) acknowledged(r, to);
    }
}

/* ---- windows ----------------------------------------------------------------------------------
 */

/* Only the buckets between the smallest value and the largest can hold one. */
static void put_buckets(bitnet_json_writer *w, const bitnet_histogram *hist,
                        const bitnet_window_metric *m) {
    int32_t last = bitnet_histogram_bucket_of(m->max);
    bool is_first = true;
    bitnet_json_put_text(w, ",\"b\":[");
    for (int32_t i = bitnet_histogram_bucket_of(m->min); i <= last; i++) {
        if (hist->count[i] == 0) continue;
        if (!is_first) bitnet_json_put_text(w, ",");
        bitnet_json_put_uint(w, (uint64_t)i);
        bitnet_json_put_text(w, ",");
        bitnet_json_put_uint(w, hist->count[i]);
        is_first = false;
    }
    bitnet_json_put_text(w, "]");
}

static void put_value(bitnet_json_writer *w, const bitnet_window_metric *m,
                      const bitnet_histogram *hist) {
    bitnet_json_put_uint(w, m->n);
    bitnet_json_put_measure(w, "sum", m->sum);
    bitnet_json_put_measure(w, "min", m->min);
    bitnet_json_put_measure(w, "max", m->max);
    bitnet_json_put_measure(w, "last", m->last);
    if (hist) put_buckets(w, hist, m);
    bitnet_json_put_text(w, "}");
}

static void put_metric(bitnet_json_writer *w, const bitnet_window *win, int i, bool is_first) {
    const bitnet_metric_info *info = bitnet_metric_get_info((bitnet_metric)i);
    bitnet_json_put_text(w, is_first ? "\"" : ",\"");
    bitnet_json_put_text(w, info->wire);
    bitnet_json_put_text(w, "\":{\"n\":");
    put_value(w, &win->metric[i], info->kind == BITNET_KIND_HIST ? &win->hist[i] : NULL);
}

static void put_series(bitnet_json_writer *w, const bitnet_window_series *s, bool is_first) {
    bitnet_json_put_text(w, is_first ? "{\"name\":\"" : ",{\"name\":\"");
    bitnet_json_put_text(w, bitnet_metric_get_info(s->metric)->wire);
    bitnet_json_put_text(w, "\",\"labels\":");
    bitnet_json_put_text(w, s->labels);
    bitnet_json_put_text(w, ",\"n\":");
    put_value(w, &s->value, NULL);
}

/* What of a window is said: metrics, then series, in their order. */
typedef struct cursor {
    int metric;
    int32_t series;
} cursor;

/* One value that does not fit any more is taken back, and the message ends before it. */
static bool undo_if_cut(bitnet_json_writer *w, size_t before) {
    if (w->len < w->cap - MESSAGE_TAIL) return false;
    w->len = before;
    return true;
}

/* A message with what fits from `at` on. Returns how many values that are. */
static uint64_t put_window(report *r, bitnet_json_writer *w, const bitnet_window *win, cursor *at) {
    uint64_t n = 0;
    const struct {
        const char *before;
        uint64_t value;
    } head[] = {{"{\"type\":\"window\",\"seq\":", r->spool.next_seq},
                {",\"t_ms\":", wall_ms_at(r, win->t1_ns)},
                {",\"span_ms\":", (win->t1_ns - win->t0_ns) / 1000000u},
                {",\"dropped\":", win->n_dropped + r->n_unsaid}};
    for (size_t i = 0; i < sizeof head / sizeof *head; i++) {
        bitnet_json_put_text(w, head[i].before);
        bitnet_json_put_uint(w, head[i].value);
    }
    bitnet_json_put_text(w, ",\"m\":{");
    for (; at->metric < BITNET_METRIC_COUNT; at->metric++) {
        size_t before = w->len;
        if (win->metric[at->metric].n == 0) continue;
        put_metric(w, win, at->metric, n == 0);
        if (undo_if_cut(w, before)) break;
        n++;
    }
    bitnet_json_put_text(w, "}");
    uint64_t n_series = 0;
    for (; at->metric == BITNET_METRIC_COUNT && at->series < win->n_series; at->series++) {
        const bitnet_window_series *s = &win->series[at->series];
        size_t before = w->len;
        if (s->value.n == 0) continue;
        if (n_series == 0) bitnet_json_put_text(w, ",\"s\":[");
        put_series(w, s, n_series == 0);
        if (undo_if_cut(w, before)) break;
        n_series++;
    }
    bitnet_json_put_text(w, n_series ? "]}" : "}");
    return n + n_series;
}

static uint64_t count_values(const bitnet_window *win) {
    uint64_t n = 0;
    for (int i = 0; i < BITNET_METRIC_COUNT; i++)
        n += win->metric[i].n > 0;
    for (int32_t i = 0; i < win->n_series; i++)
        n += win->series[i].value.n > 0;
    return n;
}

/* `left`: how many values it holds. */
static bitnet_status add_window(report *r, const bitnet_window *win, uint64_t left) {
    cursor at = {0, 0};
    do {
        bitnet_json_writer w = {.buf = r->buf, .cap = sizeof r->buf};
        uint64_t n = put_window(r, &w, win, &at);
        if (n == 0 && left > 0) return BITNET_E_INVAL;
        if (!bitnet_spool_add(&r->spool, w.buf, w.len, n)) {
            r->n_unsaid += left;
            return BITNET_E_NOMEM;
        }
        left -= n;
    } while (left > 0);
    return BITNET_OK;
}

static bitnet_status report_write(void *ctx, const bitnet_window *win) {
    report *r = ctx;
    bitnet_status st = BITNET_OK;
    greet(r);
    listen(r);
    uint64_t n = count_values(win);
    if (n > 0 || (r->is_welcome && win->t1_ns - r->last_ns >= QUIET_NS)) {
        st = add_window(r, win, n);
        r->last_ns = win->t1_ns;
    }
    flush(r);
    return st;
}

/* {"id":...} becomes {"type":"op","seq":...,"id":...}. */
static bitnet_status report_op(void *ctx, const char *json, size_t n) {
    report *r = ctx;
    bitnet_json_writer w = {.buf = r->buf, .cap = sizeof r->buf};
    bitnet_json_put(&w, "{\"type\":\"op\",\"seq\":%" PRIu64 ",%.*s", r->spool.next_seq, (int)n - 1,
                    json + 1);
    if (w.len >= w.cap) return BITNET_E_INVAL;
    if (!bitnet_spool_add(&r->spool, w.buf, w.len, 1)) {
        r->n_unsaid++;
        return BITNET_E_NOMEM;
    }
    flush(r);
    return BITNET_OK;
}

static bitnet_status report_settle(void *ctx) {
    return ((report *)ctx)->spool.first ? BITNET_AGAIN : BITNET_OK;
}

bitnet_report_state bitnet_report_get_state(const bitnet_sink *sink) {
    const report *r = sink->ctx;
    return (bitnet_report_state){.n_produced = r->spool.next_seq - 1,
                                 .n_acknowledged = r->acked,
                                 .n_lost = r->spool.n_lost,
                                 .spool_used = r->spool.used,
                                 .is_welcome = r->is_welcome};
}

static void report_close(void *ctx) {
    report *r = ctx;
    if (r->is_welcome) {
        char bye[80];
        int n =
            snprintf(bye, sizeof bye, "{\"type\":\"bye\",\"reason\":\"done\",\"seq\":%" PRIu64 "}",
                     r->spool.next_seq - 1);
        r->transport.send(r->transport.ctx, bye, (size_t)n);
    }
    if (r->transport.close) r->transport.close(r->transport.ctx);
    bitnet_spool_free(&r->spool);
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
    copy_text(r->host, sizeof r->host, desc->host);
    copy_text(r->build, sizeof r->build, desc->build ? desc->build : BITNET_VERSION);
    copy_text(r->token, sizeof r->token, desc->token);
    r->n_threads = desc->n_threads;
    r->expected_decode_rate = desc->expected_decode_rate;
    r->expected_prefill_rate = desc->expected_prefill_rate;
    r->instance = desc->instance;
    r->wall_ms = bitnet_os_wall_ms();
    r->wall_ns = bitnet_os_now_ns();
    bitnet_spool_init(&r->spool, desc->spool_bytes ? desc->spool_bytes : SPOOL_BYTES,
                      desc->allocator);
    *out = (bitnet_sink){.write = report_write,
                         .op = report_op,
                         .settle = report_settle,
                         .close = report_close,
                         .ctx = r};
    return BITNET_OK;
}
