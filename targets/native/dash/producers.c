/* producers.c: what producers say and are told; see hub.h.
 *
 * Numbered messages are taken in order and once: one that was taken before is ignored (it is or will
 * be acknowledged), one beyond the next closes the connection, and the producer resumes.
 */
#include "dash/hub_parts.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "bitnet/bitnet.h"

static bool is_kept(const hub *h) {
    return h->store.put != NULL;
}

/* --- rows --- */

static void drop_oldest(hub *h, producer *p) {
    hub_msg **oldest = &p->recent[p->first_recent];
    h->history_bytes -= (*oldest)->n;
    p->recent_bytes -= (*oldest)->n;
    hub_msg_drop(oldest);
    p->first_recent = (p->first_recent + 1) % HUB_RECENT_MAX;
    p->n_recent--;
}

static void keep_recent(hub *h, producer *p, hub_msg *m) {
    if (p->n_recent == HUB_RECENT_MAX) drop_oldest(h, p);
    while (h->history_bytes + m->n > HUB_HISTORY_BYTES) { /* whoever has most gives */
        producer *most = p;
        for (int i = 0; i < h->n_producers; i++)
            if (h->producers[i]->recent_bytes > most->recent_bytes) most = h->producers[i];
        drop_oldest(h, most);
    }
    p->recent[(p->first_recent + p->n_recent++) % HUB_RECENT_MAX] = hub_msg_hold(m);
    p->recent_bytes += m->n;
    h->history_bytes += m->n;
}

void producer_free(hub *h, int index) {
    producer *p = h->producers[index];
    while (p->n_recent)
        drop_oldest(h, p);
    hub_msg_drop(&p->hello);
    hub_msg_drop(&p->clock);
    hub_msg_drop(&p->bye);
    free(p);
    h->n_producers--;
    memmove(&h->producers[index], &h->producers[index + 1],
            (size_t)(h->n_producers - index) * sizeof h->producers[0]);
}

producer *producer_find(hub *h, const char *instance) {
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

/* Publishes the text and puts it in one of the producer's slots. False when out of memory. */
static bool say(hub *h, hub_msg **slot, const char *text, hub_time now) {
    hub_msg *m = text ? hub_publish(h, text, now) : NULL;
    if (!m) return false;
    hub_msg_drop(slot);
    *slot = m;
    return true;
}

static void end_row(hub *h, producer *p, hub_time now) {
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

/* --- what they say --- */

/* To viewers, to the listener and to the store, which takes it over. False: the store has no room,
 * and nothing has happened. */
static bool accept(hub *h, producer *p, message *m, hub_msg **slot, hub_time now) {
    if (is_kept(h) && !h->store.has_room(h->store.ctx)) return false;
    char *text = message_print(m, p->number);
    if (!text) return false;
    if (h->listener.hear) h->listener.hear(h->listener.ctx, p->instance, m, now);
    if (is_kept(h) && !h->store.put(h->store.ctx, p->instance, m, now.wall_us / 1000)) {
        free(text);
        return false;
    }
    bool was_said = say(h, slot, text, now);
    free(text);
    return was_said;
}

static int accept_numbered(hub *h, producer *p, message *m, hub_time now, const char **why) {
    if (m->to <= p->last_seq) return 0; /* again: it is known */
    if (m->seq != p->last_seq + 1) { /* a gap over what is known, too: how much of it was lost? */
        *why = "This is not the next number.";
        return HUB_CLOSE_SEQUENCE;
    }
    hub_msg *said = NULL;
    uint64_t to = m->to;
    bool is_window = m->kind == MESSAGE_WINDOW;
    if (!accept(h, p, m, &said, now)) {
        *why = "The hub has no room for this message now.";
        return HUB_CLOSE_FULL;
    }
    said->is_window = is_window;
    keep_recent(h, p, said);
    hub_msg_drop(&said);
    p->last_seq = to;
    if (!is_kept(h)) hub_committed(h, p->instance, to);
    return 0;
}

/* A message that the hub writes in a producer's name. */
static void accept_own(hub *h, producer *p, hub_time now, const char *fmt, ...) BITNET_PRINTF(4, 5);
static void accept_own(hub *h, producer *p, hub_time now, const char *fmt, ...) {
    char text[200];
    const char *why = NULL;
    message m;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!message_read(&m, &p->metrics, text, strlen(text))) {
        if (m.kind == MESSAGE_BYE) /* out of memory or room: the row just stops */
            (void)accept(h, p, &m, &p->bye, now);
        else
            (void)accept_numbered(h, p, &m, now, &why);
    }
    message_free(&m);
}

/* A bye tells the last number that was used, so what did not come is known to be missing. */
static void accept_bye(hub *h, producer *p, message *m, hub_time now) {
    if (m->seq > p->last_seq)
        accept_own(h, p, now,
                   "{\"type\":\"gap\",\"seq\":%" PRIu64 ",\"to\":%" PRIu64
                   ",\"reason\":\"not_delivered\"}",
                   p->last_seq + 1, m->seq);
    (void)accept(h, p, m, &p->bye, now);
    end_row(h, p, now);
}

void producer_lost(hub *h, producer *p, hub_time now) {
    accept_own(h, p, now, "{\"type\":\"bye\",\"reason\":\"lost\",\"seq\":%" PRIu64 "}",
               p->last_seq);
    end_row(h, p, now);
}

/* NTP's four times (RFC 5905 8): what the exchange with the least delay says of the two clocks. */
static void heard_pong(hub *h, hub_peer *peer, const message *m, hub_time now) {
    producer *p = peer->producer;
    if (m->pong_id != peer->ping_id || peer->ping_wall_us == 0) return;
    double sent = (double)peer->ping_wall_us / 1e3, back = (double)now.wall_us / 1e3;
    double delay = (back - sent) - (m->tx_ms - m->rx_ms);
    double offset = ((m->rx_ms - sent) + (m->tx_ms - back)) / 2;
    peer->ping_wall_us = 0;
    if (delay < 0) return; /* a clock was set meanwhile */
    /* an old exchange is worth less and less: clocks drift, and are set */
    p->clock_delay_ms *= 1.5;
    if (p->clock && delay > p->clock_delay_ms) return;
    p->clock_delay_ms = delay;
    char text[160];
    snprintf(text, sizeof text,
             "{\"type\":\"clock\",\"producer\":%" PRIu32 ",\"offset_ms\":%.3f,\"error_ms\":%.3f}",
             p->number, offset, delay / 2);
    (void)say(h, &p->clock, text, now);
    if (h->listener.hear_clock)
        h->listener.hear_clock(h->listener.ctx, p->instance, offset, delay / 2);
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

static void note_rejected(hub *h, hub_peer *peer, const message *m) {
    snprintf(peer->nack, sizeof peer->nack,
             "{\"type\":\"nack\",\"seq\":%" PRIu64 ",\"metric\":\"%s\",\"n\":%d,"
             "\"found\":%.9g,\"reason\":\"%s\"}",
             m->seq, m->rejected->name, m->n_rejected, m->rejected_value, m->rejected_why);
    peer->nack_due = true;
    h->events.wake(peer->user);
}

int producer_receive(hub *h, hub_peer *peer, const char *text, size_t n, hub_time now,
                     const char **why) {
    producer *p = peer->producer;
    if (!within_rate(peer, now)) {
        *why = "A producer may send 1000 messages a second.";
        return HUB_CLOSE_RATE;
    }
    if (!p) {
        *why = "Nothing may follow a bye.";
        return HUB_CLOSE_POLICY;
    }
    message m;
    int code = 0;
    *why = message_read(&m, &p->metrics, text, n);
    if (*why) {
        code = HUB_CLOSE_POLICY;
    } else if (m.kind == MESSAGE_PONG) {
        heard_pong(h, peer, &m, now);
    } else if (m.kind == MESSAGE_BYE) {
        accept_bye(h, p, &m, now);
    } else {
        if (m.n_rejected) note_rejected(h, peer, &m);
        code = accept_numbered(h, p, &m, now, why);
    }
    message_free(&m);
    return code;
}

/* --- hello --- */

/* A row of this instance: the one there is, or a new one, which goes on where the store is. */
static producer *find_or_create(hub *h, const message *m, int *code, const char **why) {
    producer *p = producer_find(h, m->instance);
    uint64_t seq = 0;
    *code = HUB_CLOSE_FULL;
    if (p && p->peer && m->epoch <= p->epoch) {
        *code = HUB_CLOSE_REPLACED;
        *why = "A newer connection of this instance is here.";
        return NULL;
    }
    if (!(p && p->peer) && h->n_connected == HUB_PRODUCERS_MAX) {
        *why = "This hub has as many producers as it takes.";
        return NULL;
    }
    if (p) return p;
    if (is_kept(h) && !h->store.last_seq(h->store.ctx, m->instance, &seq)) {
        *why = "The hub cannot read its history now.";
        return NULL;
    }
    p = producer_create(h, m->instance);
    if (p)
        p->last_seq = p->committed_seq = seq;
    else
        *why = "The hub is out of memory.";
    return p;
}

int producer_hello(hub *h, hub_peer *peer, message *m, const message_metrics *metrics, hub_time now,
                   const char **why) {
    int code;
    producer *p = find_or_create(h, m, &code, why);
    if (!p) return code;
    uint64_t epoch = m->epoch;
    if (!accept(h, p, m, &p->hello, now)) {
        if (!p->hello) producer_free(h, h->n_producers - 1);
        *why = "The hub has no room for this producer now.";
        return HUB_CLOSE_FULL;
    }
    if (p->peer) { /* the newer connection is the one that lives */
        p->peer->role = PEER_CLOSED;
        p->peer->producer = NULL;
        h->events.close(p->peer->user, HUB_CLOSE_REPLACED);
    } else {
        h->n_connected++;
    }
    hub_msg_drop(&p->bye);
    p->metrics = *metrics;
    p->metrics.series = &p->series;
    p->epoch = epoch;
    p->peer = peer;
    peer->producer = p;
    peer->role = PEER_PRODUCER;
    peer->rate_ms = now.ms;
    peer->rate_left = HUB_RATE_MAX * 1000;
    peer->told_seq = 0; /* what it was told before may not have come */
    peer->welcome_due = true;
    h->events.wake(peer->user);
    return 0;
}

/* --- what they are told --- */

void hub_committed(hub *h, const char *instance, uint64_t seq) {
    producer *p = producer_find(h, instance);
    if (!p || seq <= p->committed_seq) return;
    p->committed_seq = seq;
    if (p->peer) h->events.wake(p->peer->user);
}

void producer_tick(hub *h, hub_peer *peer, hub_time now) {
    uint64_t every = peer->ping_id < HUB_PINGS_FIRST ? 1000 : HUB_PING_MS;
    if (!peer->producer || peer->welcome_due || now.ms - peer->ping_ms < every) return;
    peer->ping_ms = now.ms;
    peer->ping_due = true;
    h->events.wake(peer->user);
}

bool producer_next(hub *h, hub_peer *peer, hub_time now, const char **text, size_t *n) {
    const producer *p = peer->producer;
    if (!p) return false; /* it has said bye */
    if (peer->welcome_due) {
        peer->welcome_due = false;
        snprintf(peer->note, sizeof peer->note,
                 "{\"type\":\"welcome\",\"proto\":1,\"hub\":\"bitnet " BITNET_VERSION
                 "\",\"store\":\"%s\",\"resume_from\":%" PRIu64
                 ",\"window\":%d,\"durable\":%s,\"t_ms\":%" PRIu64 "}",
                 h->store.id, p->last_seq + 1, HUB_WINDOW, is_kept(h) ? "true" : "false",
                 now.wall_us / 1000);
    } else if (p->committed_seq > peer->told_seq) {
        peer->told_seq = p->committed_seq;
        snprintf(peer->note, sizeof peer->note, "{\"type\":\"ack\",\"seq\":%" PRIu64 "}",
                 peer->told_seq);
    } else if (peer->nack_due) {
        peer->nack_due = false;
        memcpy(peer->note, peer->nack, sizeof peer->nack);
    } else if (peer->ping_due) {
        peer->ping_due = false;
        peer->ping_wall_us = now.wall_us;
        snprintf(peer->note, sizeof peer->note, "{\"type\":\"ping\",\"id\":%" PRIu64 "}",
                 ++peer->ping_id);
    } else {
        return false;
    }
    return hub_give_note(peer, text, n);
}
