/* listen.h: the listening socket: loopback only, with sentences for what goes wrong. */
#ifndef BITNET_HTTP_LISTEN_H
#define BITNET_HTTP_LISTEN_H

#include "bitnet/status.h"

enum { HTTP_HOST_MAX = 254 }; /* bytes of a host name, terminator included (RFC 1035 §2.3.4) */

/* Listens on `host` (a name or an address; IPv6 with or without brackets), which must mean this
 * machine alone, because there are no access tokens yet. *port 0 is replaced by the one the system
 * chose. The errors' ids: serve.host.name, serve.host.public, serve.port.busy, serve.port.denied,
 * serve.listen. */
bitnet_status http_listen(int *fd, const char *host, uint16_t *port, bitnet_error *err);

#endif
