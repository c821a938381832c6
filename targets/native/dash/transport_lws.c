/* transport_lws.c: a producer's way to a hub; see transport_lws.h.
 *
 * Two threads: the caller's (send, n_opened, close) and ours, which runs the loop and alone touches
 * libwebsockets, but for lws_cancel_service, its one call that is allowed from elsewhere: it wakes
 * the loop. `lock` guards what both use; it is never held while waiting for the network.
 */
#define _GNU_SOURCE /* pthread_condattr_setclock, getrandom */
#include "dash/transport_lws.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <libwebsockets.h>

#include "base/base.h"
#include "base/os.h"
#include "base/rng.h"
#include "dash/url.h"
#include "http/head.h"

enum {
    QUEUE_MAX = 256,
    QUEUE_BYTES = 1024 * 1024,
    BACKOFF_MIN_MS = 250,
    BACKOFF_MAX_MS = 10 * 1000,
    STEADY_MS = 5 * 1000,  /* a connection that lived this long starts the waits afresh */
    FLUSH_MS = 500,        /* for close to send what is queued */
    JOIN_MS = 1000,        /* for the thread to end; it may be stuck in a name server's silence */
    CLOSE_REPLACED = 4409, /* docs/protocol.md: another connection of this instance took over */
    CLOSE_TOKEN = 4401,    /* and: the hub's token is another */
    INBOX_MAX = 32,        /* the hub's answers that nobody has read */
    ANSWER_MAX = 1024,     /* bytes of one; a longer one is none of ours */
};

/* What the hub said, and when. */
typedef struct letter {
    uint64_t at_ns;
    size_t n;
    char text[ANSWER_MAX];
} letter;

typedef struct item {
    struct item *next;
    size_t n;
    unsigned char bytes[]; /* LWS_PRE for the frame header, then n */
} item;

typedef struct uplink {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    /* guarded by lock */
    struct lws_context *loop; /* NULL before and after the thread's loop */
    item *first, **last;
    size_t n_items, n_bytes;
    bool is_up, closing, has_ended, orphaned;
    uint32_t n_opened, n_seen; /* connections made; of which the caller knows */
    letter inbox[INBOX_MAX];   /* a ring */
    unsigned first_letter, n_letters;
    /* the thread's */
    pthread_t thread;
    ws_url url;
    struct lws *wsi; /* connecting or connected */
    uint64_t rng, opened_ms;
    uint32_t backoff_ms;
    bool flushing, close_sent, fenced, done;
    letter incoming; /* what has come of a message; n beyond ANSWER_MAX: too long */
    lws_sorted_usec_list_t connect, deadline;
} uplink;

static uint64_t now_ms(void) {
    return bitnet_os_now_ns() / 1000000u;
}

/* --- the queue; lock held --- */

static void queue_drop_first(uplink *l) {
    item *it = l->first;
    l->first = it->next;
    if (!l->first) l->last = &l->first;
    l->n_items--;
    l->n_bytes -= it->n;
    free(it);
}

static bitnet_status queue_add(uplink *l, const void *msg, size_t n) {
    if (l->n_items == QUEUE_MAX || n > QUEUE_BYTES - l->n_bytes) return BITNET_AGAIN;
    item *it = malloc(sizeof *it + LWS_PRE + n);
    if (!it) return BITNET_AGAIN;
    it->next = NULL;
    it->n = n;
    memcpy(it->bytes + LWS_PRE, msg, n);
    *l->last = it;
    l->last = &it->next;
    l->n_items++;
    l->n_bytes += n;
    return BITNET_OK;
}

/* The oldest gives way: an acknowledgement is cumulative, and a ping comes again. */
static void inbox_add(uplink *l, const letter *in) {
    if (l->n_letters == INBOX_MAX) {
        l->first_letter = (l->first_letter + 1) % INBOX_MAX;
        l->n_letters--;
    }
    letter *to = &l->inbox[(l->first_letter + l->n_letters++) % INBOX_MAX];
    to->at_ns = in->at_ns;
    to->n = in->n;
    memcpy(to->text, in->text, in->n);
}

/* --- the thread --- */

static void on_connect(lws_sorted_usec_list_t *sul);

static void connect_later(uplink *l) {
    uint64_t wait_ms =
        rng_next(&l->rng) % l->backoff_ms + 1; /* full jitter: hubs that restart see no herd */
    l->backoff_ms = l->backoff_ms * 2 < BACKOFF_MAX_MS ? l->backoff_ms * 2 : BACKOFF_MAX_MS;
    lws_sul_schedule(l->loop, 0, &l->connect, on_connect, (lws_usec_t)wait_ms * LWS_US_PER_MS);
}

static void on_connect(lws_sorted_usec_list_t *sul) {
    uplink *l = lws_container_of(sul, uplink, connect);
    struct lws_client_connect_info info = {
        .context = l->loop,
        .address = l->url.host,
        .port = l->url.port,
        .path = l->url.path,
        .host = l->url.authority,
        .protocol = HTTP_WS_PROTOCOL,
        .pwsi = &l->wsi,
    };
    if (!lws_client_connect_via_info(&info)) connect_later(l);
}

static void on_deadline(lws_sorted_usec_list_t *sul) {
    uplink *l = lws_container_of(sul, uplink, deadline);
    l->done = true;
    lws_cancel_service(l->loop); /* timers run before the loop waits: do not wait again */
}

static void went_up(uplink *l) {
    l->opened_ms = now_ms();
    pthread_mutex_lock(&l->lock);
    l->is_up = true;
    l->n_opened++;
    pthread_mutex_unlock(&l->lock);
}

static void went_down(uplink *l) {
    l->wsi = NULL;
    pthread_mutex_lock(&l->lock);
    if (l->is_up && now_ms() - l->opened_ms >= STEADY_MS) l->backoff_ms = BACKOFF_MIN_MS;
    l->is_up = false;
    while (l->first)
        queue_drop_first(l);
    pthread_mutex_unlock(&l->lock);
    if (l->flushing)
        l->done = true;
    else if (!l->fenced) /* two of one instance would take turns replacing each other for ever */
        connect_later(l);
}

/* Another thread woke us: there is something to send, or it is time to go. */
static void woken(uplink *l) {
    pthread_mutex_lock(&l->lock);
    bool closing = l->closing, is_up = l->is_up;
    pthread_mutex_unlock(&l->lock);
    if (is_up) lws_callback_on_writable(l->wsi);
    if (!closing || l->flushing) return;
    l->flushing = true;
    lws_sul_cancel(&l->connect);
    if (is_up)
        lws_sul_schedule(l->loop, 0, &l->deadline, on_deadline, FLUSH_MS * LWS_US_PER_MS);
    else
        l->done = true;
}

static int writable(uplink *l) {
    pthread_mutex_lock(&l->lock);
    item *it = l->first;
    if (it) { /* off the queue, so that the lock is not held while it is written */
        l->first = it->next;
        if (!l->first) l->last = &l->first;
        l->n_items--;
        l->n_bytes -= it->n;
    }
    bool more = l->first != NULL;
    pthread_mutex_unlock(&l->lock);
    if (!it) {
        if (!l->flushing || l->close_sent) return 0;
        l->close_sent = true;
        lws_close_reason(l->wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
        return -1;
    }
    int sent = lws_write(l->wsi, it->bytes + LWS_PRE, it->n, LWS_WRITE_TEXT);
    bool ok = sent >= (int)it->n;
    free(it);
    if (more || l->flushing) lws_callback_on_writable(l->wsi);
    return ok ? 0 : -1;
}

static void received(uplink *l, struct lws *wsi, const void *bytes, size_t n) {
    letter *in = &l->incoming;
    if (lws_is_first_fragment(wsi)) *in = (letter){.at_ns = bitnet_os_now_ns()};
    if (in->n + n <= ANSWER_MAX && n > 0) memcpy(in->text + in->n, bytes, n);
    in->n += n;
    if (!lws_is_final_fragment(wsi) || in->n > ANSWER_MAX) return;
    pthread_mutex_lock(&l->lock);
    if (l->n_seen == l->n_opened) inbox_add(l, in); /* else: to a hello that is not yet said */
    pthread_mutex_unlock(&l->lock);
}

static int uplink_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                           size_t len) {
    (void)user;
    uplink *l = lws_context_user(lws_get_context(wsi));
    switch (reason) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        went_up(l);
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
    case LWS_CALLBACK_CLIENT_CLOSED:
        went_down(l);
        return 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return writable(l);
    case LWS_CALLBACK_CLIENT_RECEIVE:
        received(l, wsi, in, len);
        return 0;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: {
        const unsigned char *code = in;
        int why = len >= 2 ? code[0] << 8 | code[1] : 0;
        l->fenced = why == CLOSE_REPLACED || why == CLOSE_TOKEN;
        return 0;
    }
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        woken(l);
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols uplink_protocols[] = {
    {.name = HTTP_WS_PROTOCOL, .callback = uplink_callback, .rx_buffer_size = 1024},
    {.name = NULL},
};
static const lws_retry_bo_t keepalive = {.secs_since_valid_ping = 20,
                                         .secs_since_valid_hangup = 60};

static struct lws_context *create_loop(uplink *l) {
    lws_set_log_level(0, NULL); /* a hub that is away is no news, and stderr is the program's */
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = uplink_protocols,
        .user = l,
        .gid = -1,
        .uid = -1,
        .options = LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME,
        .fd_limit_per_thread = 8,
        .timeout_secs = 5,
        .connect_timeout_secs = 5,
        .retry_and_idle_policy = &keepalive,
        .http_proxy_address = "none:0", /* port 0 = no proxy, whatever the environment says */
    };
    return lws_create_context(&info);
}

static void uplink_free(uplink *l) {
    while (l->first)
        queue_drop_first(l);
    pthread_cond_destroy(&l->ended);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static void *uplink_main(void *arg) {
    uplink *l = arg;
    struct lws_context *loop = create_loop(l);
    pthread_mutex_lock(&l->lock);
    l->loop = loop;
    l->done = !loop || l->closing;
    pthread_mutex_unlock(&l->lock);
    if (!l->done) lws_sul_schedule(loop, 0, &l->connect, on_connect, 1);
    while (!l->done && lws_service(loop, 0) >= 0) {
    }

    pthread_mutex_lock(&l->lock);
    l->loop = NULL; /* nobody wakes what is being taken down */
    l->is_up = false;
    pthread_mutex_unlock(&l->lock);
    l->flushing = true; /* what closes now is not connected again */
    if (loop) lws_context_destroy(loop);

    pthread_mutex_lock(&l->lock);
    l->has_ended = true;
    bool orphaned = l->orphaned;
    pthread_cond_signal(&l->ended);
    pthread_mutex_unlock(&l->lock);
    if (orphaned) uplink_free(l);
    return NULL;
}

/* --- the caller's side --- */

static bitnet_status uplink_send(void *ctx, const void *msg, size_t n) {
    uplink *l = ctx;
    pthread_mutex_lock(&l->lock);
    bool ready = l->is_up && l->loop && l->n_seen == l->n_opened;
    bitnet_status st = ready ? queue_add(l, msg, n) : BITNET_AGAIN;
    if (st == BITNET_OK) lws_cancel_service(l->loop);
    pthread_mutex_unlock(&l->lock);
    return st;
}

static bitnet_status uplink_receive(void *ctx, char *msg, size_t cap, size_t *n, uint64_t *at_ns) {
    uplink *l = ctx;
    bitnet_status st = BITNET_AGAIN;
    pthread_mutex_lock(&l->lock);
    while (st == BITNET_AGAIN && l->n_letters) {
        const letter *in = &l->inbox[l->first_letter];
        l->first_letter = (l->first_letter + 1) % INBOX_MAX;
        l->n_letters--;
        if (in->n > cap) continue;
        memcpy(msg, in->text, in->n);
        *n = in->n;
        *at_ns = in->at_ns;
        st = BITNET_OK;
    }
    pthread_mutex_unlock(&l->lock);
    return st;
}

/* What an earlier connection said is of no use to the next. */
static uint32_t uplink_n_opened(void *ctx) {
    uplink *l = ctx;
    pthread_mutex_lock(&l->lock);
    if (l->n_seen != l->n_opened) l->n_letters = 0;
    uint32_t n = l->n_seen = l->n_opened;
    pthread_mutex_unlock(&l->lock);
    return n;
}

static struct timespec after_ms(long ms) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += ms % 1000 * 1000000;
    t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

static void uplink_close(void *ctx) {
    uplink *l = ctx;
    struct timespec until = after_ms(JOIN_MS);
    pthread_mutex_lock(&l->lock);
    l->closing = true;
    if (l->loop) lws_cancel_service(l->loop);
    while (!l->has_ended && pthread_cond_timedwait(&l->ended, &l->lock, &until) != ETIMEDOUT) {
    }
    bool has_ended = l->has_ended;
    l->orphaned = !has_ended; /* then the thread frees what is left when it comes back */
    pthread_mutex_unlock(&l->lock);
    if (!has_ended) {
        pthread_detach(l->thread);
        return;
    }
    pthread_join(l->thread, NULL);
    uplink_free(l);
}

static uplink *uplink_create(const ws_url *url) {
    uplink *l = calloc(1, sizeof *l);
    if (!l) return NULL;
    l->url = *url;
    l->last = &l->first;
    l->backoff_ms = BACKOFF_MIN_MS;
    uint64_t seed = bitnet_os_now_ns();
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) < 0) seed ^= (uint64_t)(uintptr_t)l;
    l->rng = rng_seed(seed);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->ended, &attr);
    pthread_condattr_destroy(&attr);
    return l;
}

bitnet_status bitnet_transport_lws_open(bitnet_transport *out, const char *url, bitnet_error *err) {
    ws_url parsed;
    bitnet_status st = ws_url_parse(&parsed, url, err);
    if (st < 0) return st;
    uplink *l = uplink_create(&parsed);
    if (!l || pthread_create(&l->thread, NULL, uplink_main, l) != 0) {
        if (l) uplink_free(l);
        return bitnet_fail(err, BITNET_E_NOMEM, "tracker.thread",
                           "no memory or thread for the connection to the hub");
    }
    *out = (bitnet_transport){.send = uplink_send,
                              .receive = uplink_receive,
                              .n_opened = uplink_n_opened,
                              .close = uplink_close,
                              .ctx = l};
    return BITNET_OK;
}
