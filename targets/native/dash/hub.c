/* hub.c: producers, viewers and what is kept between them; see hub.h. */
#include "dash/hub.h"
#include "dash/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bitnet/bitnet.h"

/* A message as viewers get it. `id` numbers all messages in the order they came. */
typedef struct hub_msg {
    uint32_t refs;
    uint64_t id;
    size_t n;
    char text[];
} hub_msg;

/* A row of the board. It outlives its connection, and a later one of the same instance finds it. */
typedef struct producer {
    uint32_t number;
    char instance[MESSAGE_INSTANCE_MAX];
    hub_peer *peer; /* NULL when it has ended */
    uint64_t ended_ms, first_id;
    hub_msg *hello, *bye;             /* bye: NULL until it has ended */
    hub_msg *window[HUB_WINDOWS_MAX]; /* a ring of the last n_windows */
    int first_window, n_windows;
    size_t window_bytes;
    message_metrics metrics;
} producer;

typedef enum peer_role { PEER_NEW, PEER_PRODUCER, PEER_VIEWER, PEER_CLOSED } peer_role;
typedef enum viewer_stage { STAGE_WELCOME, STAGE_REPLAY, STAGE_LIVE } viewer_stage;

struct hub_peer {
    void *user;
    hub_peer *prev, *next;
    peer_role role;
    uint64_t joined_ms;
    /* producer */
    producer *producer;
    uint64_t rate_ms, rate_left; /* tokens, in thousandths */
    /* viewer */
    viewer_stage stage;
    uint64_t join_id, live_id; /* replay what is older than join_id; then from live_id on */
    uint32_t replay_number;    /* the producer being replayed, by number */
    bool replay_in;            /* its hello is out */
    uint64_t replay_id;        /* its next window has at least this id */
    bool pending;              /* woken and not yet at the end */
    uint64_t stalled_ms;       /* since when it has been pending without reading */
    char note[128];            /* welcome or gap */
};

struct hub {
    hub_events events;
    hub_peer *peers;
    producer *producers[HUB_PRODUCERS_MAX + HUB_ENDED_MAX]; /* by number, ascending */
    int n_producers, n_connected, n_viewers;
    uint32_t next_number;
    hub_msg *ring[HUB_RING_MAX]; /* ids [first_id, next_id), each at id % HUB_RING_MAX */
    uint64_t first_id, next_id;
    size_t ring_bytes, history_bytes;
};

/* --- messages --- */

static hub_msg *msg_hold(hub_msg *m) {
    m->refs++;
    return m;
}

static void msg_drop(hub_msg **slot) {
    if (*slot && --(*slot)->refs == 0) free(*slot);
    *slot = NULL;
}

static hub_msg *msg_create(const char *text) {
    size_t n = strlen(text);
    hub_msg *m = malloc(sizeof *m + n + 1);
    if (!m) return NULL;
    *m = (hub_msg){.refs = 1, .n = n};
    memcpy(m->text, text, n + 1);
    return m;
}

/* To every viewer, by way of the ring. */
static void publish(hub *h, hub_msg *m, hub_time now) {
    while (h->next_id > h->first_id &&
           (h->next_id - h->first_id >= HUB_RING_MAX || h->ring_bytes + m->n > HUB_RING_BYTES)) {
        hub_msg **oldest = &h->ring[h->first_id++ % HUB_RING_MAX];
        h->ring_bytes -= (*oldest)->n;
        msg_drop(oldest);
    }
    m->id = h->next_id++;
    h->ring[m->id % HUB_RING_MAX] = msg_hold(m);
    h->ring_bytes += m->n;
    for (hub_peer *p = h->peers; p; p = p->next) {
        if (p->role != PEER_VIEWER) continue;
        if (!p->pending) p->stalled_ms = now.ms;
        p->pending = true;
        h->events.wake(p->user);
    }
}

/* --- producers --- */

static void drop_oldest_window(hub *h, producer *p) {
    hub_msg **oldest = &p->window[p->first_window];
    h->history_bytes -= (*oldest)->n;
    p->window_bytes -= (*oldest)->n;
    msg_drop(oldest);
    p->first_window = (p->first_window + 1) % HUB_WINDOWS_MAX;
    p->n_windows--;
}

static void keep_window(hub *h, producer *p, hub_msg *m) {
    if (p->n_windows == HUB_WINDOWS_MAX) drop_oldest_window(h, p);
    while (h->history_bytes + m->n > HUB_HISTORY_BYTES) { /* whoever has most gives */
        producer *most = p;
        for (int i = 0; i < h->n_producers; i++)
            if (h->producers[i]->window_bytes > most->window_bytes) most = h->producers[i];
        drop_oldest_window(h, most);
    }
    p->window[(p->first_window + p->n_windows++) % HUB_WINDOWS_MAX] = msg_hold(m);
    p->window_bytes += m->n;
    h->history_bytes += m->n;
}

static void producer_free(hub *h, int index) {
    producer *p = h->producers[index];
    while (p->n_windows)
        drop_oldest_window(h, p);
    msg_drop(&p->hello);
    msg_drop(&p->bye);
    free(p);
    h->n_producers--;
    memmove(&h->producers[index], &h->producers[index + 1],
            (size_t)(h->n_producers - index) * sizeof h->producers[0]);
}

static producer *producer_find(hub *h, const char *instance) {
    for (int i = 0; i < h->n_producers; i++)
        if (strcmp(h->producers[i]->instance, instance) == 0) return h->producers[i];
    return NULL;
}

static producer *producer_create(hub *h, const char *instance) {
    if (h->n_producers == HUB_PRODUCERS_MAX + HUB_ENDED_MAX) return NULL;
    producer *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    memcpy(p->instance, instance, sizeof p->instance);
    p->number = ++h->next_number;
    p->first_id = h->next_id;
    h->producers[h->n_producers++] = p;
    return p;
}

/* Publishes what `text` says and puts it in one of the producer's slots. False when out of memory.
 */
static bool say(hub *h, hub_msg **slot, const char *text, hub_time now) {
    hub_msg *m = text ? msg_create(text) : NULL;
    if (!m) return false;
    publish(h, m, now);
    msg_drop(slot);
    *slot = m;
    return true;
}

static void producer_ended(hub *h, producer *p, hub_time now) {
    p->peer->producer = NULL;
    p->peer = NULL;
    p->ended_ms = now.ms;
    h->n_connected--;
    int n_ended = h->n_producers - h->n_connected, oldest = -1;
    for (int i = 0; n_ended > HUB_ENDED_MAX && i < h->n_producers; i++)
        if (!h->producers[i]->peer &&
            (oldest < 0 || h->producers[i]->ended_ms < h->producers[oldest]->ended_ms))
            oldest = i;
    if (oldest >= 0) producer_free(h, oldest);
}

static int receive_producer_hello(hub *h, hub_peer *peer, message *m,
                                  const message_metrics *metrics, hub_time now, const char **why) {
    producer *p = producer_find(h, m->instance);
    if (!(p && p->peer) && h->n_connected == HUB_PRODUCERS_MAX) {
        *why = "This hub has 64 producers already.";
        return HUB_CLOSE_FULL;
    }
    if (!p) p = producer_create(h, m->instance);
    char *text = p ? message_print(m, p->number) : NULL;
    bool ok = text && say(h, &p->hello, text, now);
    free(text);
    if (!ok) {
        if (p && !p->hello) producer_free(h, h->n_producers - 1);
        *why = "The hub is out of memory.";
        return HUB_CLOSE_FULL;
    }
    if (p->peer) { /* the newer connection is the one that lives */
        p->peer->role = PEER_CLOSED;
        p->peer->producer = NULL;
        h->events.close(p->peer->user, HUB_CLOSE_REPLACED);
    } else {
        h->n_connected++;
    }
    msg_drop(&p->bye);
    p->metrics = *metrics;
    p->peer = peer;
    peer->producer = p;
    peer->role = PEER_PRODUCER;
    peer->rate_ms = now.ms;
    peer->rate_left = HUB_RATE_MAX * 1000;
    return 0;
}

static bool within_rate(hub_peer *peer, hub_time now) {
    const uint64_t full = HUB_RATE_MAX * 1000;
    uint64_t earned = (now.ms - peer->rate_ms) * HUB_RATE_MAX;
    peer->rate_ms = now.ms;
    peer->rate_left = earned > full - peer->rate_left ? full : peer->rate_left + earned;
    if (peer->rate_left < 1000) return false;
    peer->rate_left -= 1000;
    return true;
}

static int receive_producer(hub *h, hub_peer *peer, const char *text, size_t n, hub_time now,
                            const char **why) {
    producer *p = peer->producer;
    if (!within_rate(peer, now)) {
        *why = "A producer may send 50 messages a second.";
        return HUB_CLOSE_RATE;
    }
    if (!p) {
        *why = "Nothing may follow a bye.";
        return HUB_CLOSE_POLICY;
    }
    message m;
    *why = message_read(&m, &p->metrics, text, n);
    char *out = *why ? NULL : message_print(&m, p->number);
    if (out && m.kind == MESSAGE_BYE) {
        if (say(h, &p->bye, out, now)) producer_ended(h, p, now);
    } else if (out) {
        hub_msg *window = NULL;
        if (say(h, &window, out, now)) keep_window(h, p, window);
        msg_drop(&window);
    }
    free(out);
    message_free(&m);
    return *why ? HUB_CLOSE_POLICY : 0;
}

/* --- viewers --- */

static int receive_viewer_hello(hub *h, hub_peer *peer, hub_time now, const char **why) {
    if (h->n_viewers == HUB_VIEWERS_MAX) {
        *why = "This hub has 256 viewers already.";
        return HUB_CLOSE_FULL;
    }
    h->n_viewers++;
    peer->role = PEER_VIEWER;
    peer->stage = STAGE_WELCOME;
    peer->join_id = peer->live_id = h->next_id;
    peer->pending = true;
    peer->stalled_ms = now.ms;
    snprintf(peer->note, sizeof peer->note,
             "{\"type\":\"welcome\",\"proto\":1,\"hub\":\"bitnet " BITNET_VERSION
             "\",\"t_ms\":%" PRIu64 "}",
             now.wall_ms);
    h->events.wake(peer->user);
    return 0;
}

/* The producer that is being replayed, or the next one with something from before the viewer came.
 * Found by number, since rows come and go between two calls. */
static producer *replay_producer(hub *h, hub_peer *peer) {
    for (int i = 0; i < h->n_producers; i++) {
        producer *p = h->producers[i];
        if (p->number < peer->replay_number || p->first_id >= peer->join_id) continue;
        if (p->number > peer->replay_number) {
            peer->replay_number = p->number;
            peer->replay_in = false;
            peer->replay_id = 0;
        }
        return p;
    }
    return NULL;
}

/* hello, windows in order, bye; of each producer in turn. Whatever is newer than join_id is left to
 * the ring. NULL at the end. */
static const hub_msg *replay_next(hub *h, hub_peer *peer) {
    producer *p;
    while ((p = replay_producer(h, peer)) != NULL) {
        if (!peer->replay_in) {
            peer->replay_in = true;
            return p->hello;
        }
        for (int i = 0; i < p->n_windows; i++) {
            const hub_msg *m = p->window[(p->first_window + i) % HUB_WINDOWS_MAX];
            if (m->id < peer->replay_id || m->id >= peer->join_id) continue;
            peer->replay_id = m->id + 1;
            return m;
        }
        peer->replay_number++;
        peer->replay_in = false;
        peer->replay_id = 0;
        if (p->bye && p->bye->id < peer->join_id) return p->bye;
    }
    return NULL;
}

static const hub_msg *live_next(hub *h, hub_peer *peer) {
    if (peer->live_id == h->next_id) return NULL;
    return h->ring[peer->live_id++ % HUB_RING_MAX];
}

static bool give_note(hub_peer *peer, const char **text, size_t *n) {
    *text = peer->note;
    *n = strlen(peer->note);
    return true;
}

bool hub_next(hub *h, hub_peer *peer, hub_time now, const char **text, size_t *n) {
    if (peer->role != PEER_VIEWER || !peer->pending) return false;
    peer->stalled_ms = now.ms;
    if (peer->stage == STAGE_WELCOME) {
        peer->stage = STAGE_REPLAY;
        return give_note(peer, text, n);
    }
    const hub_msg *m = peer->stage == STAGE_REPLAY ? replay_next(h, peer) : NULL;
    if (!m) {
        peer->stage = STAGE_LIVE;
        if (peer->live_id < h->first_id) {
            snprintf(peer->note, sizeof peer->note, "{\"type\":\"gap\",\"n\":%" PRIu64 "}",
                     h->first_id - peer->live_id);
            peer->live_id = h->first_id;
            return give_note(peer, text, n);
        }
        m = live_next(h, peer);
    }
    if (!m) {
        peer->pending = false;
        return false;
    }
    *text = m->text;
    *n = m->n;
    return true;
}

/* --- peers --- */

hub_peer *hub_join(hub *h, void *user, hub_time now) {
    hub_peer *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->user = user;
    p->role = PEER_NEW;
    p->joined_ms = now.ms;
    p->next = h->peers;
    if (p->next) p->next->prev = p;
    h->peers = p;
    return p;
}

static void peer_free(hub *h, hub_peer *p) {
    if (p->prev)
        p->prev->next = p->next;
    else
        h->peers = p->next;
    if (p->next) p->next->prev = p->prev;
    free(p);
}

/* A producer that goes without a bye was lost. */
static void say_lost(hub *h, producer *p, hub_time now) {
    char text[80];
    snprintf(text, sizeof text, "{\"type\":\"bye\",\"producer\":%" PRIu32 ",\"reason\":\"lost\"}",
             p->number);
    (void)say(h, &p->bye, text, now); /* out of memory: the row just stops */
    producer_ended(h, p, now);
}

void hub_leave(hub *h, hub_peer *p, hub_time now) {
    if (p->role == PEER_VIEWER) h->n_viewers--;
    if (p->producer) say_lost(h, p->producer, now);
    peer_free(h, p);
}

static int receive(hub *h, hub_peer *peer, const char *text, size_t n, hub_time now,
                   const char **why) {
    if (peer->role == PEER_PRODUCER) return receive_producer(h, peer, text, n, now, why);
    if (peer->role == PEER_VIEWER) {
        *why = "A viewer sends nothing after its hello.";
        return HUB_CLOSE_POLICY;
    }
    message m;
    message_metrics metrics;
    *why = message_read_hello(&m, &metrics, text, n);
    int code = *why                       ? HUB_CLOSE_POLICY
               : m.kind == MESSAGE_VIEWER ? receive_viewer_hello(h, peer, now, why)
                                          : receive_producer_hello(h, peer, &m, &metrics, now, why);
    message_free(&m);
    return code;
}

int hub_receive(hub *h, hub_peer *peer, const char *text, size_t n, hub_time now,
                const char **why) {
    *why = NULL;
    if (peer->role == PEER_CLOSED) return 0; /* told to go; what is still under way is ignored */
    int code = receive(h, peer, text, n, now, why);
    if (code == 0) return 0;
    if (peer->role == PEER_VIEWER) h->n_viewers--;
    peer->role = PEER_CLOSED; /* a producer's row stays until hub_leave says it was lost */
    return code;
}

static void close_peer(hub *h, hub_peer *p, int code) {
    if (p->role == PEER_VIEWER) h->n_viewers--;
    p->role = PEER_CLOSED;
    h->events.close(p->user, code);
}

void hub_tick(hub *h, hub_time now) {
    for (hub_peer *p = h->peers; p; p = p->next) {
        if (p->role == PEER_NEW && now.ms - p->joined_ms >= HUB_HELLO_MS)
            close_peer(h, p, HUB_CLOSE_POLICY);
        if (p->role == PEER_VIEWER && p->pending && now.ms - p->stalled_ms >= HUB_STALL_MS)
            close_peer(h, p, HUB_CLOSE_STALLED);
    }
    for (int i = h->n_producers - 1; i >= 0; i--)
        if (!h->producers[i]->peer && now.ms - h->producers[i]->ended_ms >= HUB_ENDED_MS)
            producer_free(h, i);
}

/* --- life --- */

hub *hub_create(hub_events events) {
    hub *h = calloc(1, sizeof *h);
    if (h) h->events = events;
    return h;
}

void hub_free(hub *h) {
    if (!h) return;
    while (h->peers)
        peer_free(h, h->peers);
    while (h->n_producers)
        producer_free(h, h->n_producers - 1);
    for (; h->first_id < h->next_id; h->first_id++)
        msg_drop(&h->ring[h->first_id % HUB_RING_MAX]);
    free(h);
}
