/* listen.h: the listening socket: loopback only unless there is a token; with sentences for what goes wrong. */
#ifndef BITNET_HTTP_LISTEN_H
#define BITNET_HTTP_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "bitnet/status.h"

enum { HTTP_HOST_MAX = 254 }; /* bytes of a host name, terminator included (RFC 1035 §2.3.4) */

typedef struct http_listener {
    int fd;        /* -1 = none */
    uint16_t port; /* to ask for, 0 = any free one; then the one it is */
    bool is_any;   /* on all addresses of this machine */
} http_listener;

/* Listens on `host` (a name or an address; IPv6 with or without brackets). Without `has_token` it must
 * mean this machine alone. The errors' ids: serve.host.name, serve.host.public, serve.port.busy,
 * serve.port.denied, serve.listen. */
bitnet_status http_listen(http_listener *l, const char *host, bool has_token, bitnet_error *err);

#endif
