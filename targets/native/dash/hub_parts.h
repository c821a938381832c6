/* hub_parts.h (internal): what the hub is made of. hub.c: messages, peers and life; producers.c: what
 * producers say and are told; viewers.c: what viewers get. */
#ifndef BITNET_DASH_HUB_PARTS_H
#define BITNET_DASH_HUB_PARTS_H

#include "dash/hub.h"

#define HUB_NOTE_MAX 512 /* bytes of a message that the hub writes to one peer */

/* A message as viewers get it. `id` numbers all messages in the order they came. */
typedef struct hub_msg {
    uint32_t refs;
    uint64_t id;
    size_t n;
    bool is_window;
    char text[];
} hub_msg;

/* A row of the board. It outlives its connection, and a later one of the same instance finds it. */
typedef struct producer {
    uint32_t number;
    char instance[MESSAGE_INSTANCE_MAX];
    hub_peer *peer; /* NULL when it has ended */
    uint64_t ended_ms, first_id, epoch;
    uint64_t last_seq;               /* accepted, */
    uint64_t committed_seq;          /* and durable */
    double clock_delay_ms;           /* of the exchange that told most about its clock */
    hub_msg *hello, *clock, *bye;    /* clock, bye: NULL until there is one */
    hub_msg *recent[HUB_RECENT_MAX]; /* a ring of the last n_recent windows, operations and gaps */
    int first_recent, n_recent;
    size_t recent_bytes;
    message_metrics metrics;
    message_series series;
} producer;

typedef enum peer_role { PEER_NEW, PEER_PRODUCER, PEER_VIEWER, PEER_CLOSED } peer_role;
typedef enum viewer_stage { STAGE_WELCOME, STAGE_STATE, STAGE_REPLAY, STAGE_LIVE } viewer_stage;

struct hub_peer {
    void *user;
    hub_peer *prev, *next;
    peer_role role;
    bool is_authorised;
    uint64_t joined_ms;
    char note[HUB_NOTE_MAX]; /* what hub_next gave out, where that is the hub's own */
    /* producer */
    producer *producer;
    uint64_t rate_ms, rate_left; /* tokens, in thousandths */
    bool welcome_due, ping_due, nack_due;
    char nack[256];
    uint64_t told_seq; /* acknowledged */
    uint64_t ping_id, ping_ms, ping_wall_us;
    /* viewer */
    viewer_stage stage;
    uint64_t join_id, live_id; /* replay what is older than join_id; then from live_id on */
    uint32_t replay_number;    /* the producer being replayed, by number */
    int replay_step;           /* how far: its hello, its clock, its messages */
    uint64_t replay_id;        /* its next message has at least this id */
    bool newest_only;          /* of each producer's messages, the newest window alone */
    bool pending;              /* woken and not yet at the end */
    uint64_t stalled_ms;       /* since when it has been pending without reading */
};

struct hub {
    hub_events events;
    hub_store store;
    hub_listener listener;
    const char *token;
    hub_peer *peers;
    producer *producers[HUB_PRODUCERS_MAX + HUB_ENDED_MAX]; /* by number, ascending */
    int n_producers, n_connected, n_viewers;
    uint32_t next_number;
    hub_msg *ring[HUB_RING_MAX]; /* ids [first_id, next_id), each at id % HUB_RING_MAX */
    uint64_t first_id, next_id;
    hub_msg *state; /* the newest of hub_tell_state; NULL = none */
    size_t ring_bytes, history_bytes;
};

/* hub.c */
hub_msg *hub_msg_hold(hub_msg *m);
void hub_msg_drop(hub_msg **slot);
/* A new message, published to every viewer, the caller's to drop. NULL when out of memory. */
hub_msg *hub_publish(hub *h, const char *text, hub_time now);
bool hub_give_note(hub_peer *peer, const char **text, size_t *n);

/* producers.c */
int producer_hello(hub *h, hub_peer *peer, message *m, const message_metrics *metrics, hub_time now,
                   const char **why);
int producer_receive(hub *h, hub_peer *peer, const char *text, size_t n, hub_time now,
                     const char **why);
bool producer_next(hub *h, hub_peer *peer, hub_time now, const char **text, size_t *n);
void producer_lost(hub *h, producer *p, hub_time now);
void producer_tick(hub *h, hub_peer *peer, hub_time now);
void producer_free(hub *h, int index);
producer *producer_find(hub *h, const char *instance);

/* viewers.c */
int viewer_hello(hub *h, hub_peer *peer, hub_time now, const char **why);
bool viewer_next(hub *h, hub_peer *peer, hub_time now, const char **text, size_t *n);

#endif
