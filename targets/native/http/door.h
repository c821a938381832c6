/* door.h: the front door: accepts connections, judges their head, answers plain HTTP.
 *
 *     accept ──► HEAD ──► SENDING ──► LINGER ──► closed
 *                 │ └──► WAITING ─┘ for an answer that another thread makes (http/reply.h)
 *                 │ a well-formed websocket request
 *                 └──► libwebsockets, with every byte still unread in the socket
 *
 * libwebsockets 4.1.6 (Debian 12) supplies the event loop and the websockets, and nothing else: its
 * HTTP/2 code, its handling of unknown Upgrade values (CVE-2025-11677) and its HTTP server stay out
 * of reach. The last also for a plain reason: while it sends, a client that half-closes and does
 * not read keeps a core busy, because input is then polled for and never read.
 *
 * Everything runs on the thread of the loop. One request per connection: every answer says
 * `Connection: close`, so nothing can follow a judged head. Whoever makes answers elsewhere wakes the loop with
 * lws_cancel_service.
 */
#ifndef BITNET_HTTP_DOOR_H
#define BITNET_HTTP_DOOR_H

#include <libwebsockets.h>

#include "http/routes.h"

enum {
    DOOR_WAITING_MAX = 256,   /* heads being waited for */
    DOOR_WAITING_PER_IP = 64, /* of them from one address */
    DOOR_HTTP_MAX = 512,      /* plain HTTP connections, those waited for included */
    DOOR_WS_MAX = 1536, /* websockets: 256 producers, 1024 viewers, some that have not said which */
    DOOR_CHUNK = 64 * 1024,             /* bytes read at once, of a head or of a file */
    DOOR_OWNED_MAX = 256 * 1024 * 1024, /* bytes of answers of their own that are being sent */
    DOOR_FDS_MAX = DOOR_HTTP_MAX + DOOR_WS_MAX + 16, /* what the loop must have room for */
};

typedef struct door {
    const http_site *site; /* borrowed */
    http_policy policy;
    bool isolation; /* send COOP and COEP */
    struct lws_vhost *vhost;
    struct lws *listener;
    struct door_conn *conns; /* all plain connections */
    int n_http, n_ws;
    uint64_t owned;           /* bytes of answers of their own: memory, and files without a name */
    bool hands_on_authorised; /* the websocket being handed on has shown the token */
    char marks[2];            /* what a handed-on websocket points at: authorised or not */
    int reserve_fd;           /* given up for a moment when descriptors run out */
    unsigned char scratch[DOOR_CHUNK]; /* for whoever is being served */
} door;

/* For the vhost's list of protocols, in this order and first: its protocol 0 sees websockets that
 * are still shaking hands, and the end of every connection. */
enum { DOOR_PROTOCOL_COUNT = 3 };
extern const struct lws_protocols door_protocols[DOOR_PROTOCOL_COUNT];

/* Takes over a listening, non-blocking socket. The vhost's user pointer must be `d`. False when the
 * loop has no room; the socket is then still the caller's. */
bool door_open(door *d, struct lws_vhost *vhost, int listen_fd);
/* Of a websocket: has its request shown the token, in a cookie or in Authorization? */
bool door_is_authorised(struct lws *wsi);
/* Stops listening and drops everybody who is not being answered. */
void door_stop(door *d);

#endif
