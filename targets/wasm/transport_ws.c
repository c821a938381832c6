/* transport_ws.c: see transport_ws.h. Never blocks and never waits: what cannot go out now is
 * refused with AGAIN, and a lost connection is made again from pump, later and later, with jitter.
 *
 * Everything runs on the thread that owns the module's JavaScript side, the worker of the session;
 * Emscripten calls back on that thread, between our calls. With pthreads too: only calls from
 * *other* threads would be proxied, and there are none.
 */
#include "transport_ws.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <emscripten/emscripten.h>
#include <emscripten/websocket.h>

#include "base/os.h"

#define SUBPROTOCOL    "bitnet-tracker.v1"
#define MESSAGE_CAP    65536         /* docs/protocol.md: what the hub accepts */
#define BUFFERED_CAP   (256u * 1024) /* bytes the browser may hold for a slow hub */
#define RETRY_MIN_NS   500000000.0
#define RETRY_MAX_NS   15000000000.0
#define STEADY_NS      10000000000u /* a connection this old was a good one: the next wait is short */
#define INBOX_MAX      16           /* the hub's answers that nobody has read */
#define ANSWER_MAX     1024         /* bytes of one; a longer one is none of ours */
#define READY_OPEN     1            /* WebSocket.readyState */
#define CLOSE_NORMAL   1000
#define CLOSE_ABNORMAL 1006 /* what a browser calls every failure */
#define CLOSE_POLICY   1008 /* our hello is wrong: it will not get better */
#define CLOSE_TOKEN    4401 /* the hub's token is another */
#define CLOSE_REPLACED 4409 /* another connection took our instance over */

/* What the hub said, and when. */
typedef struct letter {
    uint64_t at_ns;
    size_t n;
    char text[ANSWER_MAX];
} letter;

struct bitnet_ws {
    EMSCRIPTEN_WEBSOCKET_T socket; /* 0 = none */
    bool is_open, is_refused;
    int32_t close_code; /* why there is no connection; 0 = there is one, or was none yet */
    uint32_t n_opened;
    double wait_ns; /* before the next attempt, without jitter */
    uint64_t retry_ns, opened_ns;
    char *url;
    letter inbox[INBOX_MAX]; /* a ring */
    unsigned first_letter, n_letters;
    char text[MESSAGE_CAP + 1]; /* the browser's interface wants a terminated string */
};

static void drop_socket(bitnet_ws *ws) {
    if (ws->socket > 0) emscripten_websocket_delete(ws->socket);
    ws->socket = 0;
    ws->is_open = false;
}

/* Half to all of a wait that doubles: hubs that come back are not stormed by all tabs at once. */
static void schedule(bitnet_ws *ws) {
    uint64_t now = bitnet_os_now_ns();
    bool was_steady = ws->is_open && now - ws->opened_ns > STEADY_NS;
    ws->wait_ns = was_steady || ws->wait_ns == 0 ? RETRY_MIN_NS : ws->wait_ns * 2;
    if (ws->wait_ns > RETRY_MAX_NS) ws->wait_ns = RETRY_MAX_NS;
    ws->retry_ns = now + (uint64_t)(ws->wait_ns * (0.5 + 0.5 * (double)emscripten_random()));
}

static EM_BOOL on_open(int type, const EmscriptenWebSocketOpenEvent *ev, void *user) {
    bitnet_ws *ws = user;
    (void)type, (void)ev;
    ws->is_open = true;
    ws->opened_ns = bitnet_os_now_ns();
    ws->close_code = 0;
    ws->n_opened++;
    ws->n_letters = 0;
    return EM_TRUE;
}

/* The oldest gives way: an acknowledgement is cumulative, and a ping comes again. The length of a text
 * counts its zero. */
static EM_BOOL on_message(int type, const EmscriptenWebSocketMessageEvent *ev, void *user) {
    bitnet_ws *ws = user;
    (void)type;
    if (!ev->isText || ev->numBytes == 0 || ev->numBytes > ANSWER_MAX) return EM_TRUE;
    if (ws->n_letters == INBOX_MAX) {
        ws->first_letter = (ws->first_letter + 1) % INBOX_MAX;
        ws->n_letters--;
    }
    letter *to = &ws->inbox[(ws->first_letter + ws->n_letters++) % INBOX_MAX];
    to->at_ns = bitnet_os_now_ns();
    to->n = ev->numBytes - 1;
    memcpy(to->text, ev->data, to->n);
    return EM_TRUE;
}

static void end_connection(bitnet_ws *ws, int32_t code) {
    ws->close_code = code;
    ws->is_refused = code == CLOSE_POLICY || code == CLOSE_TOKEN || code == CLOSE_REPLACED;
    schedule(ws);
    drop_socket(ws);
}

static EM_BOOL on_close(int type, const EmscriptenWebSocketCloseEvent *ev, void *user) {
    (void)type;
    end_connection(user, ev->code);
    return EM_TRUE;
}

/* Comes before the close event of a connection that failed, and instead of it where the page's
 * policy forbids the connection. Nothing but 1006 can follow. */
static EM_BOOL on_error(int type, const EmscriptenWebSocketErrorEvent *ev, void *user) {
    (void)type, (void)ev;
    end_connection(user, CLOSE_ABNORMAL);
    return EM_TRUE;
}

static void start(bitnet_ws *ws) {
    EmscriptenWebSocketCreateAttributes attr = {.url = ws->url, .protocols = SUBPROTOCOL};
    ws->socket = emscripten_websocket_new(&attr);
    if (ws->socket <= 0) {
        schedule(ws);
        drop_socket(ws);
        return;
    }
    emscripten_websocket_set_onopen_callback(ws->socket, ws, on_open);
    emscripten_websocket_set_onmessage_callback(ws->socket, ws, on_message);
    emscripten_websocket_set_onclose_callback(ws->socket, ws, on_close);
    emscripten_websocket_set_onerror_callback(ws->socket, ws, on_error);
}

void bitnet_ws_pump(bitnet_ws *ws, uint64_t now_ns) {
    if (ws->socket == 0 && !ws->is_refused && now_ns >= ws->retry_ns) start(ws);
}

bitnet_ws_state bitnet_ws_get_state(const bitnet_ws *ws, int32_t *close_code) {
    *close_code = ws->close_code;
    return ws->is_refused ? BITNET_WS_REFUSED : ws->is_open ? BITNET_WS_OPEN : BITNET_WS_CONNECTING;
}

static bitnet_status ws_send(void *ctx, const void *msg, size_t n) {
    bitnet_ws *ws = ctx;
    unsigned short ready = 0;
    unsigned long long buffered = 0;
    if (n > MESSAGE_CAP) return BITNET_E_INVAL;
    if (!ws->is_open) return BITNET_AGAIN;
    emscripten_websocket_get_ready_state(ws->socket, &ready);
    emscripten_websocket_get_buffered_amount(ws->socket, &buffered);
    if (ready != READY_OPEN || buffered > BUFFERED_CAP) return BITNET_AGAIN;
    memcpy(ws->text, msg, n);
    ws->text[n] = 0;
    return emscripten_websocket_send_utf8_text(ws->socket, ws->text) == EMSCRIPTEN_RESULT_SUCCESS
               ? BITNET_OK
               : BITNET_AGAIN;
}

static bitnet_status ws_receive(void *ctx, char *msg, size_t cap, size_t *n, uint64_t *at_ns) {
    bitnet_ws *ws = ctx;
    if (ws->n_letters == 0) return BITNET_AGAIN;
    const letter *in = &ws->inbox[ws->first_letter];
    ws->first_letter = (ws->first_letter + 1) % INBOX_MAX;
    ws->n_letters--;
    *n = in->n < cap ? in->n : cap;
    *at_ns = in->at_ns;
    memcpy(msg, in->text, *n);
    return BITNET_OK;
}

static uint32_t ws_n_opened(void *ctx) {
    return ((bitnet_ws *)ctx)->n_opened;
}

static void ws_close(void *ctx) {
    bitnet_ws *ws = ctx;
    if (ws->socket > 0) emscripten_websocket_close(ws->socket, CLOSE_NORMAL, NULL);
    drop_socket(ws);
    free(ws->url);
    free(ws);
}

bitnet_status bitnet_transport_ws_open(bitnet_transport *out, bitnet_ws **ws, const char *url) {
    size_t n = strlen(url) + 1;
    bitnet_ws *w = calloc(1, sizeof *w);
    if (w) w->url = malloc(n);
    if (!w || !w->url) {
        free(w);
        return BITNET_E_NOMEM;
    }
    memcpy(w->url, url, n);
    *ws = w;
    *out = (bitnet_transport){ws_send, ws_receive, ws_n_opened, ws_close, w};
    return BITNET_OK;
}
