/* ws.h: the hub's websockets: libwebsockets' callbacks on one side, hub.h on the other. */
#ifndef BITNET_DASH_WS_H
#define BITNET_DASH_WS_H

#include <libwebsockets.h>

typedef struct ws ws;

ws *ws_create(void); /* NULL when out of memory */
/* For the vhost's list; `w` must outlive the context. */
struct lws_protocols ws_protocol(ws *w);
/* Begins to watch deadlines. */
void ws_start(ws *w, struct lws_context *loop);
/* Closes every connection with 1001. */
void ws_stop(ws *w);
void ws_free(ws *w); /* after the context was destroyed; NULL is fine */

#endif
