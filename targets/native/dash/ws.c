/* ws.c: the hub's websockets; see ws.h.
 *
 * Messages are collected as their bytes arrive, so memory follows what was received and not what a
 * frame announced. A connection is closed only from its writable callback, where nothing of an
 * earlier message is left: otherwise libwebsockets drops the close frame and the code with it.
 * UTF-8 is checked by libwebsockets (1007), compression is off.
 */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "dash/ws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "base/os.h"
#include "dash/hub.h"
#include "dash/message.h"
#include "dash/observer.h"
#include "http/door.h"
#include "http/head.h"

enum {
    CLOSE_SECONDS = 2, /* for a socket that cannot take its close frame */
    RX_CHUNK = 4096,
};

typedef struct conn {
    ws *ws;
    struct lws *wsi;
    struct conn *prev, *next;
    hub_peer *peer;
    char *text; /* the message so far */
    size_t n, cap;
    int close_code; /* 0 = open */
    bool close_sent;
    const char *why;
} conn;

struct ws {
    hub *hub;
    observer *observer;
    struct archive *archive;
    struct lws_context *loop; /* NULL until ws_start */
    conn *conns;
    bool stopping;
    lws_sorted_usec_list_t tick;
    unsigned char *out; /* LWS_PRE bytes for the frame header, then the message being sent */
    size_t out_cap;
};

static hub_time now(void) {
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    return (hub_time){.ms = bitnet_os_now_ns() / 1000000u,
                      .wall_us = (uint64_t)wall.tv_sec * 1000000u + (uint64_t)wall.tv_nsec / 1000u};
}

static void begin_close(conn *s, int code, const char *why) {
    if (s->close_code) return;
    s->close_code = code;
    s->why = why;
    lws_set_timeout(s->wsi, PENDING_TIMEOUT_CLOSE_SEND, CLOSE_SECONDS);
    lws_callback_on_writable(s->wsi);
}

static void on_wake(void *user) {
    lws_callback_on_writable(((conn *)user)->wsi);
}
static void on_close(void *user, int code) {
    begin_close(user, code, NULL);
}

/* --- callbacks --- */

static int established(conn *s, struct lws *wsi, ws *w) {
    *s = (conn){.ws = w, .wsi = wsi};
    s->peer = hub_join(w->hub, s, now());
    if (!s->peer) return -1;
    if (door_is_authorised(wsi)) hub_authorise(s->peer);
    s->next = w->conns;
    if (s->next) s->next->prev = s;
    w->conns = s;
    if (w->stopping) begin_close(s, HUB_CLOSE_GOING_AWAY, NULL);
    return 0;
}

static void closed(conn *s) {
    if (!s->peer) return; /* never got in */
    hub_leave(s->ws->hub, s->peer, now());
    s->peer = NULL;
    free(s->text);
    if (s->prev)
        s->prev->next = s->next;
    else
        s->ws->conns = s->next;
    if (s->next) s->next->prev = s->prev;
}

static bool collect(conn *s, const void *bytes, size_t n) {
    if (s->n + n > s->cap) {
        size_t cap = s->cap ? s->cap : RX_CHUNK;
        while (cap < s->n + n)
            cap *= 2;
        char *text = realloc(s->text, cap);
        if (!text) return false;
        s->text = text;
        s->cap = cap;
    }
    memcpy(s->text + s->n, bytes, n);
    s->n += n;
    return true;
}

static void received(conn *s, const void *bytes, size_t n) {
    if (s->close_code) return;
    if (lws_frame_is_binary(s->wsi)) {
        begin_close(s, HUB_CLOSE_NOT_TEXT, "Messages are text.");
    } else if (s->n + n > MESSAGE_MAX) {
        begin_close(s, HUB_CLOSE_TOO_BIG, "A message may have 64 KiB.");
    } else if (n && !collect(s, bytes, n)) {
        begin_close(s, HUB_CLOSE_FULL, "The hub is out of memory.");
    } else if (lws_is_final_fragment(s->wsi)) {
        const char *why = NULL;
        int code = hub_receive(s->ws->hub, s->peer, s->n ? s->text : "", s->n, now(), &why);
        if (code) begin_close(s, code, why);
        s->n = 0;
    }
}

static bool make_room(ws *w, size_t n) {
    if (n <= w->out_cap) return true;
    unsigned char *out = realloc(w->out, LWS_PRE + n);
    if (!out) return false;
    w->out = out;
    w->out_cap = n;
    return true;
}

static int writable(conn *s) {
    if (s->close_sent) return 0; /* now it is the peer's turn; -1 here would cut it short */
    if (s->close_code) {
        s->close_sent = true;
        char why[124] = ""; /* a control frame holds 125 bytes, two of them the code */
        if (s->why) lws_strncpy(why, s->why, sizeof why);
        lws_close_reason(s->wsi, (enum lws_close_status)s->close_code, (unsigned char *)why,
                         strlen(why));
        return -1;
    }
    const char *text;
    size_t n;
    if (!hub_next(s->ws->hub, s->peer, now(), &text, &n)) return 0;
    if (!make_room(s->ws, n)) return -1;
    memcpy(s->ws->out + LWS_PRE, text, n);
    if (lws_write(s->wsi, s->ws->out + LWS_PRE, n, LWS_WRITE_TEXT) < (int)n) return -1;
    lws_callback_on_writable(s->wsi);
    return 0;
}

static int ws_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                       size_t len) {
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        return established(user, wsi, lws_get_protocol(wsi)->user);
    case LWS_CALLBACK_RECEIVE:
        received(user, in, len);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return writable(user);
    case LWS_CALLBACK_CLOSED:
        closed(user);
        return 0;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED: { /* without a connection */
        ws *w = lws_get_protocol(wsi)->user;
        if (w->archive) archive_deliver(w->archive, w->hub);
        return 0;
    }
    case LWS_CALLBACK_HTTP: /* a judged upgrade never turns into a plain request */
        return -1;
    default:
        return 0;
    }
}

static void on_tick(lws_sorted_usec_list_t *sul) {
    ws *w = lws_container_of(sul, ws, tick);
    hub_tick(w->hub, now());
    observer_tick(w->observer, w->hub, now());
    lws_sul_schedule(w->loop, 0, sul, on_tick, OBSERVER_TICK_MS * LWS_US_PER_MS);
}

/* --- answers --- */

static void give(http_answer *a, int status, const char *type, text_buf *t) {
    size_t n;
    char *body = text_take(t, &n);
    http_answer_data(a, status, type, body, n);
}

static void answer_stats(void *ctx, http_answer *a, const http_head *head) {
    const ws *w = ctx;
    text_buf t = {.p = NULL};
    (void)head;
    observer_write_stats(w->observer, now(), &t);
    give(a, 200, "application/json", &t);
}

static void answer_metrics(void *ctx, http_answer *a, const http_head *head) {
    const ws *w = ctx;
    text_buf t = {.p = NULL};
    (void)head;
    observer_write_metrics(w->observer, w->hub, now(), &t);
    give(a, 200, "text/plain; version=0.0.4; charset=utf-8", &t);
}

static void answer_health(void *ctx, http_answer *a, const http_head *head) {
    const ws *w = ctx;
    text_buf t = {.p = NULL};
    (void)head;
    observer_health health = observer_write_health(w->observer, now(), &t);
    give(a, health == HEALTH_UNHEALTHY ? 503 : 200, "application/json", &t);
}

http_data ws_data(ws *w) {
    return (http_data){
        .stats = answer_stats, .metrics = answer_metrics, .health = answer_health, .ctx = w};
}

/* --- what the observer is told of the store, and the store of alerts --- */

static void store_state(void *ctx, observer_store *out) {
    static const observer_store_state states[] = {[WRITER_OK] = OBSERVER_STORE_OK,
                                                  [WRITER_STORE_FULL] = OBSERVER_STORE_FULL,
                                                  [WRITER_IO_ERROR] = OBSERVER_STORE_ERROR};
    archive *kept = ((ws *)ctx)->archive;
    hub_store to = archive_store(kept);
    writer_status status = archive_status(kept);
    out->state = states[status.state];
    out->has_room = to.has_room(to.ctx);
    out->n_queued = status.n_queued;
    snprintf(out->reason, sizeof out->reason, "%s", status.sentence);
}

/* As an event: of the producer's run, or of none when it is the hub's own. */
static void keep_alert(void *ctx, const alert *a, const char *instance, const char *json) {
    hub_store to = archive_store(((ws *)ctx)->archive);
    if (!to.has_room(to.ctx)) return;
    message m = {.json = cJSON_Parse(json)};
    if (m.json) (void)to.put(to.ctx, instance, &m, a->wall_ms);
    message_free(&m);
}

/* --- life --- */

ws *ws_create(const ws_desc *desc) {
    ws *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->archive = desc->archive;
    w->observer =
        observer_create(&(observer_desc){.alerts = desc->alerts,
                                         .store_state = desc->archive ? store_state : NULL,
                                         .alert_changed = desc->archive ? keep_alert : NULL,
                                         .ctx = w},
                        now());
    if (!w->observer) goto fail;
    hub_desc hd = {.events = {.wake = on_wake, .close = on_close},
                   .listener = observer_listener(w->observer),
                   .token = desc->token};
    if (desc->archive) hd.store = archive_store(desc->archive);
    w->hub = hub_create(&hd);
    if (!w->hub) goto fail;
    return w;
fail:
    observer_free(w->observer);
    free(w);
    return NULL;
}

struct lws_protocols ws_protocol(ws *w) {
    return (struct lws_protocols){.name = HTTP_WS_PROTOCOL,
                                  .callback = ws_callback,
                                  .per_session_data_size = sizeof(conn),
                                  .rx_buffer_size = RX_CHUNK,
                                  .user = w};
}

void ws_start(ws *w, struct lws_context *loop) {
    w->loop = loop;
    lws_sul_schedule(loop, 0, &w->tick, on_tick, OBSERVER_TICK_MS * LWS_US_PER_MS);
}

void ws_stop(ws *w) {
    w->stopping = true;
    for (conn *s = w->conns; s; s = s->next)
        begin_close(s, HUB_CLOSE_GOING_AWAY, NULL);
}

void ws_free(ws *w) {
    if (!w) return;
    hub_free(w->hub);
    observer_free(w->observer);
    free(w->out);
    free(w);
}
