/* hub.h: the meeting point of producers and viewers (docs/protocol.md), without a socket, a clock or a
 * database.
 *
 *     peer = hub_join(hub, my_connection, now)             a connection opened
 *     code = hub_receive(hub, peer, text, n, now)          it sent a message; code != 0: close it
 *     while (hub_next(hub, peer, now, &text, &n)) ...      it can be written to
 *     hub_leave(hub, peer, now)                            it closed; the peer is gone
 *     hub_committed(hub, instance, seq, now)               the store has made messages durable
 *     hub_tick(hub, now)                                   once a second: deadlines, pings, expiry
 *
 * Every message is kept once, counted by those who hold it: the history of its producer and the
 * ring of recent messages that all viewers read, each at its own place. A viewer first replays the
 * history up to the message that was newest when it joined, then follows the ring; if the ring has
 * moved past it, it is told how many messages it missed and gets the newest window of each producer
 * instead. So a slow viewer costs nothing and delays nobody, and memory is bounded whoever connects.
 *
 * A numbered message is accepted once and in order, handed to the store, and acknowledged to its
 * producer when the store says that it is durable. One thread.
 */
#ifndef BITNET_DASH_HUB_H
#define BITNET_DASH_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dash/message.h"

enum {
    HUB_PRODUCERS_MAX = 256,              /* connected at once */
    HUB_ENDED_MAX = 64,                   /* kept after they ended */
    HUB_VIEWERS_MAX = 1024,               /* connected at once */
    HUB_RECENT_MAX = 600,                 /* kept per producer: a minute at ten a second */
    HUB_WINDOW = 64,                      /* messages a producer may have unacknowledged */
    HUB_RATE_MAX = 1000,                  /* messages of one producer per second */
    HUB_RING_MAX = 8192,                  /* recent messages that viewers may lag behind */
    HUB_RING_BYTES = 8 * 1024 * 1024,     /* and their size */
    HUB_HISTORY_BYTES = 64 * 1024 * 1024, /* recent messages of all producers together */
    HUB_HELLO_MS = 5 * 1000,              /* for the first message */
    HUB_STALL_MS = 30 * 1000,             /* for a viewer that does not read */
    HUB_ENDED_MS = 10 * 60 * 1000,        /* an ended producer is shown this long */
    HUB_PINGS_FIRST = 5,                  /* one a second after the hello, then */
    HUB_PING_MS = 30 * 1000,              /* so often */
};

/* Close codes: RFC 6455 7.4.1 and our own (docs/protocol.md). */
enum {
    HUB_CLOSE_GOING_AWAY = 1001,
    HUB_CLOSE_NOT_TEXT = 1003,
    HUB_CLOSE_POLICY = 1008,
    HUB_CLOSE_TOO_BIG = 1009,
    HUB_CLOSE_FULL = 1013,
    HUB_CLOSE_TOKEN = 4401,
    HUB_CLOSE_STALLED = 4408,
    HUB_CLOSE_REPLACED = 4409,
    HUB_CLOSE_SEQUENCE = 4410,
    HUB_CLOSE_RATE = 4429,
};

typedef struct hub hub;
typedef struct hub_peer hub_peer;

typedef struct hub_time {
    uint64_t ms;      /* monotonic; all deadlines */
    uint64_t wall_us; /* microseconds since 1970; shown, and compared with producers' clocks */
} hub_time;

/* Called from within the hub's functions; must not call back into it. `user` is the peer's. */
typedef struct hub_events {
    void (*wake)(void *user);            /* there is something for hub_next */
    void (*close)(void *user, int code); /* close this connection */
} hub_events;

/* Where messages are made durable. All zero: nowhere, and messages are acknowledged as they come. */
typedef struct hub_store {
    /* The number of the last durable message of this instance, 0 where there is none. False: the
     * store cannot be read. */
    bool (*last_seq)(void *ctx, const char *instance, uint64_t *seq);
    bool (*has_room)(void *ctx); /* for one message more */
    /* Takes m->json over, whatever kind of message, and sets it to NULL; hub_committed is due when a
     * numbered one is durable. False: out of memory, and m is left as it is. */
    bool (*put)(void *ctx, const char *instance, message *m, uint64_t wall_ms);
    void *ctx;
    char id[MESSAGE_INSTANCE_MAX]; /* tells one store from another; "" without a store */
} hub_store;

/* Hears every accepted message, once, before it is stored: for statistics and alerts. */
typedef struct hub_listener {
    void (*hear)(void *ctx, const char *instance, const message *m, hub_time now);
    /* How far a producer's clock is ahead, each time more is known; may be NULL. */
    void (*hear_clock)(void *ctx, const char *instance, double offset_ms, double error_ms);
    void *ctx;
} hub_listener;

/* Everything is copied; what it points to is borrowed. */
typedef struct hub_desc {
    hub_events events;
    hub_store store;
    hub_listener listener; /* hear may be NULL */
    const char *token;     /* that every hello must carry; NULL = none is asked for */
} hub_desc;

hub *hub_create(const hub_desc *desc); /* NULL when out of memory */
void hub_free(hub *h);                 /* NULL is fine; the peers go too */

hub_peer *hub_join(hub *h, void *user, hub_time now); /* NULL when out of memory */
/* This connection has shown the token already: its hello needs none. */
void hub_authorise(hub_peer *p);
void hub_leave(hub *h, hub_peer *p, hub_time now);

/* One whole text message, valid UTF-8. Returns 0 or the code to close with; *why is then one static
 * sentence, short enough for a close frame. */
int hub_receive(hub *h, hub_peer *p, const char *text, size_t n, hub_time now, const char **why);
/* The next message for this peer, valid until the next call into the hub; false when there is
 * none. Counts as read. */
bool hub_next(hub *h, hub_peer *p, hub_time now, const char **text, size_t *n);
void hub_committed(hub *h, const char *instance, uint64_t seq);
/* A message of the hub's own to every viewer. */
void hub_tell_viewers(hub *h, const char *text, hub_time now);
/* The same, and later viewers get the newest of them right after their welcome. */
void hub_tell_state(hub *h, const char *text, hub_time now);
void hub_tick(hub *h, hub_time now);

typedef struct hub_counts {
    int n_producers, n_viewers; /* connected */
} hub_counts;
hub_counts hub_get_counts(const hub *h);

#endif
