/* hub.h: the meeting point of producers and viewers (docs/protocol.md), without a socket or a
 * clock.
 *
 *     peer = hub_join(hub, my_connection, now)             a connection opened
 *     code = hub_receive(hub, peer, text, n, now)          it sent a message; code != 0: close it
 * so while (hub_next(hub, peer, now, &text, &n)) ...      it can be written to hub_leave(hub, peer,
 * now)                            it closed; the peer is gone hub_tick(hub, now) once a second:
 * deadlines and expiry
 *
 * Every message is kept once, counted by those who hold it: the history of its producer and the
 * ring of recent messages that all viewers read, each at its own place. A viewer first replays the
 * history up to the message that was newest when it joined, then follows the ring; if the ring has
 * moved past it, it is told how many messages it missed. So a slow viewer costs nothing and delays
 * nobody, and memory is bounded whoever connects. One thread.
 */
#ifndef BITNET_DASH_HUB_H
#define BITNET_DASH_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HUB_PRODUCERS_MAX = 64,               /* connected at once */
    HUB_ENDED_MAX = 64,                   /* kept after they ended */
    HUB_VIEWERS_MAX = 256,                /* connected at once */
    HUB_WINDOWS_MAX = 600,                /* kept per producer: a minute at ten a second */
    HUB_RATE_MAX = 50,                    /* messages of one producer per second */
    HUB_RING_MAX = 2048,                  /* recent messages that viewers may lag behind */
    HUB_RING_BYTES = 4 * 1024 * 1024,     /* and their size */
    HUB_HISTORY_BYTES = 64 * 1024 * 1024, /* windows of all producers together */
    HUB_HELLO_MS = 5 * 1000,              /* for the first message */
    HUB_STALL_MS = 30 * 1000,             /* for a viewer that does not read */
    HUB_ENDED_MS = 10 * 60 * 1000,        /* an ended producer is shown this long */
};

/* Close codes: RFC 6455 §7.4.1 and our own (docs/protocol.md). */
enum {
    HUB_CLOSE_GOING_AWAY = 1001,
    HUB_CLOSE_NOT_TEXT = 1003,
    HUB_CLOSE_POLICY = 1008,
    HUB_CLOSE_TOO_BIG = 1009,
    HUB_CLOSE_FULL = 1013,
    HUB_CLOSE_STALLED = 4408,
    HUB_CLOSE_REPLACED = 4409,
    HUB_CLOSE_RATE = 4429,
};

typedef struct hub hub;
typedef struct hub_peer hub_peer;

typedef struct hub_time {
    uint64_t ms;      /* monotonic; all deadlines */
    uint64_t wall_ms; /* since 1970; only shown */
} hub_time;

/* Called from within the hub's functions; must not call back into it. `user` is the peer's. */
typedef struct hub_events {
    void (*wake)(void *user);            /* there is something for hub_next */
    void (*close)(void *user, int code); /* close this connection */
} hub_events;

hub *hub_create(hub_events events); /* NULL when out of memory */
void hub_free(hub *h);              /* NULL is fine; the peers go too */

hub_peer *hub_join(hub *h, void *user, hub_time now); /* NULL when out of memory */
void hub_leave(hub *h, hub_peer *p, hub_time now);

/* One whole text message, valid UTF-8. Returns 0 or the code to close with; *why is then one static
 * sentence, short enough for a close frame. */
int hub_receive(hub *h, hub_peer *p, const char *text, size_t n, hub_time now, const char **why);
/* The next message for this viewer, valid until the next call into the hub; false when there is
 * none. Counts as read. */
bool hub_next(hub *h, hub_peer *p, hub_time now, const char **text, size_t *n);
void hub_tick(hub *h, hub_time now);

#endif
