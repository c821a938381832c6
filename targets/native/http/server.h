/* server.h: `bitnet serve` as an object: the loop that carries the front door, the files and the
 * hub.
 *
 *     server *s = NULL;
 *     if (server_open(&s, &(server_desc){.host = "127.0.0.1", .port = 8080, .site = site}, &err) >=
 * 0) { puts(server_url(s)); server_run(s);            // until server_stop
 *     }
 *     server_free(s);
 *
 * One thread runs everything but what reads and writes the history (dash/reader.h, dash/writer.h); only
 * server_stop may be called from elsewhere.
 */
#ifndef BITNET_HTTP_SERVER_H
#define BITNET_HTTP_SERVER_H

#include "bitnet/status.h"
#include "dash/alerts.h"
#include "http/routes.h"

typedef struct server server;

typedef struct server_desc {
    const char *host;      /* copied */
    uint16_t port;         /* 0 = any free one */
    bool no_isolation;     /* leave out COOP and COEP, to try the page without threads */
    const char *history;   /* where it is kept (dash/store.h); NULL = nowhere */
    const char *retention; /* of the history; NULL = the default */
    http_site site;        /* copied; what it points to is borrowed; its data is the server's own */
    alerts *alerts;        /* borrowed; must outlive the server */
} server_desc;

/* Listens when it returns OK. Errors as of http_listen and archive_open, and serve.start. */
bitnet_status server_open(server **out, const server_desc *desc, bitnet_error *err);
/* "http://127.0.0.1:8080/", with "?token=..." behind it where there is one. */
const char *server_url(const server *s);
/* Serves until server_stop, then tells websockets 1001 and gives answers under way two seconds. */
bitnet_status server_run(server *s, bitnet_error *err);
/* From any thread, and from a signal handler. */
void server_stop(server *s);
void server_free(server *s); /* NULL is fine */

#endif
