/* ws.h: the hub's websockets: libwebsockets' callbacks on one side, hub.h on the other. */
#ifndef BITNET_DASH_WS_H
#define BITNET_DASH_WS_H

#include <libwebsockets.h>

#include "dash/archive.h"

typedef struct ws ws;

/* `kept` may be NULL: nothing is. It is borrowed, and must live until ws_free. NULL when out of memory. */
ws *ws_create(archive *kept);
/* For the vhost's list; `w` must outlive the context. */
struct lws_protocols ws_protocol(ws *w);
/* Begins to watch deadlines. */
void ws_start(ws *w, struct lws_context *loop);
/* From any thread: the history has something to deliver. */
void ws_committed(ws *w);
/* Closes every connection with 1001. */
void ws_stop(ws *w);
void ws_free(ws *w); /* after the context was destroyed; NULL is fine */

#endif
