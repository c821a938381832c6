/* ws.h: the hub's websockets: libwebsockets' callbacks on one side, hub.h on the other. */
#ifndef BITNET_DASH_WS_H
#define BITNET_DASH_WS_H

#include <libwebsockets.h>

#include "dash/alerts.h"
#include "dash/archive.h"
#include "http/routes.h"

typedef struct ws ws;

/* All borrowed; must live until ws_free. */
typedef struct ws_desc {
    archive *archive;  /* NULL = nothing is kept */
    const char *token; /* NULL = none is asked for */
    alerts *alerts;    /* NULL = none */
} ws_desc;

ws *ws_create(const ws_desc *desc); /* NULL when out of memory */
/* The answers that tell of the hub; valid as long as `w`. */
http_data ws_data(ws *w);
/* For the vhost's list; `w` must outlive the context. */
struct lws_protocols ws_protocol(ws *w);
/* Begins to watch deadlines. */
void ws_start(ws *w, struct lws_context *loop);
/* Closes every connection with 1001. */
void ws_stop(ws *w);
void ws_free(ws *w); /* after the context was destroyed; NULL is fine */

#endif
