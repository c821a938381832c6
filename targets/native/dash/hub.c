/* hub.c: messages, peers and the hub's life; see hub.h. */
#include "dash/hub_parts.h"

#include <stdlib.h>
#include <string.h>

/* --- messages --- */

hub_msg *hub_msg_hold(hub_msg *m) {
    m->refs++;
    return m;
}

void hub_msg_drop(hub_msg **slot) {
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

static void wake_viewers(hub *h, hub_time now) {
    for (hub_peer *p = h->peers; p; p = p->next) {
        if (p->role != PEER_VIEWER) continue;
        if (!p->pending) p->stalled_ms = now.ms;
        p->pending = true;
        h->events.wake(p->user);
    }
}

hub_msg *hub_publish(hub *h, const char *text, hub_time now) {
    hub_msg *m = msg_create(text);
    if (!m) return NULL;
    while (h->next_id > h->first_id &&
           (h->next_id - h->first_id >= HUB_RING_MAX || h->ring_bytes + m->n > HUB_RING_BYTES)) {
        hub_msg **oldest = &h->ring[h->first_id++ % HUB_RING_MAX];
        h->ring_bytes -= (*oldest)->n;
        hub_msg_drop(oldest);
    }
    m->id = h->next_id++;
    h->ring[m->id % HUB_RING_MAX] = hub_msg_hold(m);
    h->ring_bytes += m->n;
    wake_viewers(h, now);
    return m;
}

void hub_tell_viewers(hub *h, const char *text, hub_time now) {
    hub_msg *m = hub_publish(h, text, now);
    hub_msg_drop(&m);
}

void hub_tell_state(hub *h, const char *text, hub_time now) {
    hub_msg *m = hub_publish(h, text, now);
    if (!m) return;
    hub_msg_drop(&h->state);
    h->state = m;
}

bool hub_give_note(hub_peer *peer, const char **text, size_t *n) {
    *text = peer->note;
    *n = strlen(peer->note);
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

void hub_authorise(hub_peer *p) {
    p->is_authorised = true;
}

static void peer_free(hub *h, hub_peer *p) {
    if (p->prev)
        p->prev->next = p->next;
    else
        h->peers = p->next;
    if (p->next) p->next->prev = p->prev;
    free(p);
}

void hub_leave(hub *h, hub_peer *p, hub_time now) {
    if (p->role == PEER_VIEWER) h->n_viewers--;
    if (p->producer) producer_lost(h, p->producer, now);
    peer_free(h, p);
}

/* The time it takes tells nothing about where two tokens differ. */
static bool is_token(const char *expected, const char *given) {
    size_t n = strlen(expected), m = strlen(given);
    unsigned char differ = n != m;
    for (size_t i = 0; i < m; i++)
        differ |= (unsigned char)(given[i] ^ expected[n ? i % n : 0]);
    return differ == 0;
}

static int receive_hello(hub *h, hub_peer *peer, const char *text, size_t n, hub_time now,
                         const char **why) {
    message m;
    message_metrics metrics;
    int code = HUB_CLOSE_POLICY;
    *why = message_read_hello(&m, &metrics, text, n);
    if (!*why && h->token && !peer->is_authorised && !is_token(h->token, m.token)) {
        *why = "This hub wants its token in the hello.";
        code = HUB_CLOSE_TOKEN;
    } else if (!*why) {
        code = m.kind == MESSAGE_VIEWER ? viewer_hello(h, peer, now, why)
                                        : producer_hello(h, peer, &m, &metrics, now, why);
    }
    message_free(&m);
    return code;
}

static int receive(hub *h, hub_peer *peer, const char *text, size_t n, hub_time now,
                   const char **why) {
    if (peer->role == PEER_PRODUCER) return producer_receive(h, peer, text, n, now, why);
    if (peer->role == PEER_NEW) return receive_hello(h, peer, text, n, now, why);
    *why = "A viewer sends nothing after its hello.";
    return HUB_CLOSE_POLICY;
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

bool hub_next(hub *h, hub_peer *peer, hub_time now, const char **text, size_t *n) {
    if (peer->role == PEER_PRODUCER) return producer_next(h, peer, now, text, n);
    return peer->role == PEER_VIEWER && viewer_next(h, peer, now, text, n);
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
        if (p->role == PEER_PRODUCER) producer_tick(h, p, now);
        if (p->role == PEER_VIEWER && p->pending && now.ms - p->stalled_ms >= HUB_STALL_MS)
            close_peer(h, p, HUB_CLOSE_STALLED);
    }
    for (int i = h->n_producers - 1; i >= 0; i--)
        if (!h->producers[i]->peer && now.ms - h->producers[i]->ended_ms >= HUB_ENDED_MS)
            producer_free(h, i);
}

hub_counts hub_get_counts(const hub *h) {
    return (hub_counts){.n_producers = h->n_connected, .n_viewers = h->n_viewers};
}

/* --- life --- */

hub *hub_create(const hub_desc *desc) {
    hub *h = calloc(1, sizeof *h);
    if (!h) return NULL;
    h->events = desc->events;
    h->store = desc->store;
    h->listener = desc->listener;
    h->token = desc->token;
    return h;
}

void hub_free(hub *h) {
    if (!h) return;
    while (h->peers)
        peer_free(h, h->peers);
    while (h->n_producers)
        producer_free(h, h->n_producers - 1);
    hub_msg_drop(&h->state);
    for (; h->first_id < h->next_id; h->first_id++)
        hub_msg_drop(&h->ring[h->first_id % HUB_RING_MAX]);
    free(h);
}
