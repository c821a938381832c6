/* viewers.c: what viewers get: the past of every producer, then the present; see hub.h. */
#include "dash/hub_parts.h"

#include <inttypes.h>
#include <stdio.h>

#include "bitnet/bitnet.h"

enum { STEP_HELLO, STEP_CLOCK, STEP_RECENT };

int viewer_hello(hub *h, hub_peer *peer, hub_time now, const char **why) {
    if (h->n_viewers == HUB_VIEWERS_MAX) {
        *why = "This hub has as many viewers as it takes.";
        return HUB_CLOSE_FULL;
    }
    h->n_viewers++;
    peer->role = PEER_VIEWER;
    peer->stage = STAGE_WELCOME;
    peer->join_id = peer->live_id = h->next_id;
    peer->pending = true;
    peer->stalled_ms = now.ms;
    h->events.wake(peer->user);
    return 0;
}

static void begin_producer(hub_peer *peer, uint32_t number) {
    peer->replay_number = number;
    peer->replay_step = STEP_HELLO;
    peer->replay_id = 0;
}

/* The producer that is being replayed, or the next one with something from before the viewer came.
 * Found by number, since rows come and go between two calls. */
static producer *replay_producer(hub *h, hub_peer *peer) {
    for (int i = 0; i < h->n_producers; i++) {
        producer *p = h->producers[i];
        if (p->number < peer->replay_number || p->first_id >= peer->join_id) continue;
        if (p->number > peer->replay_number) begin_producer(peer, p->number);
        return p;
    }
    return NULL;
}

static const hub_msg *replay_recent(const producer *p, hub_peer *peer) {
    const hub_msg *newest = NULL;
    for (int i = 0; i < p->n_recent; i++) {
        const hub_msg *m = p->recent[(p->first_recent + i) % HUB_RECENT_MAX];
        if (m->id < peer->replay_id || m->id >= peer->join_id) continue;
        if (peer->newest_only && !m->is_window) continue;
        newest = m;
        if (!peer->newest_only) break;
    }
    if (newest) peer->replay_id = newest->id + 1;
    return newest;
}

/* hello, clock, messages in order, bye; of each producer in turn. Whatever is newer than join_id is
 * left to the ring. NULL at the end. */
static const hub_msg *replay_next(hub *h, hub_peer *peer) {
    producer *p;
    while ((p = replay_producer(h, peer)) != NULL) {
        if (peer->replay_step == STEP_HELLO) {
            peer->replay_step = STEP_CLOCK;
            return p->hello;
        }
        if (peer->replay_step == STEP_CLOCK) {
            peer->replay_step = STEP_RECENT;
            if (p->clock && p->clock->id < peer->join_id) return p->clock;
        }
        const hub_msg *m = replay_recent(p, peer);
        if (m) return m;
        begin_producer(peer, peer->replay_number + 1);
        if (p->bye && p->bye->id < peer->join_id) return p->bye;
    }
    return NULL;
}

static const hub_msg *live_next(hub *h, hub_peer *peer) {
    if (peer->live_id == h->next_id) return NULL;
    return h->ring[peer->live_id++ % HUB_RING_MAX];
}

/* The ring has moved past this viewer: what it missed is counted, and it goes on from where every
 * producer is now. */
static void catch_up(hub *h, hub_peer *peer) {
    snprintf(peer->note, sizeof peer->note, "{\"type\":\"gap\",\"missed\":%" PRIu64 "}",
             h->next_id - peer->live_id);
    peer->join_id = peer->live_id = h->next_id;
    peer->newest_only = true;
    peer->stage = STAGE_REPLAY;
    begin_producer(peer, 0);
}

bool viewer_next(hub *h, hub_peer *peer, hub_time now, const char **text, size_t *n) {
    if (!peer->pending) return false;
    peer->stalled_ms = now.ms;
    if (peer->stage == STAGE_WELCOME) {
        peer->stage = STAGE_STATE;
        snprintf(peer->note, sizeof peer->note,
                 "{\"type\":\"welcome\",\"proto\":1,\"hub\":\"bitnet " BITNET_VERSION
                 "\",\"store\":\"%s\",\"t_ms\":%" PRIu64 "}",
                 h->store.id, now.wall_us / 1000);
        return hub_give_note(peer, text, n);
    }
    if (peer->stage == STAGE_STATE) {
        peer->stage = STAGE_REPLAY;
        if (h->state && h->state->id < peer->join_id) {
            *text = h->state->text;
            *n = h->state->n;
            return true;
        }
    }
    const hub_msg *m = peer->stage == STAGE_REPLAY ? replay_next(h, peer) : NULL;
    if (!m) {
        peer->stage = STAGE_LIVE;
        if (peer->live_id < h->first_id) {
            catch_up(h, peer);
            return hub_give_note(peer, text, n);
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
