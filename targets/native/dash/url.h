/* url.h: the address of a hub: ws://host[:port][/path]. */
#ifndef BITNET_DASH_URL_H
#define BITNET_DASH_URL_H

#include <stdint.h>

#include "bitnet/status.h"

enum { WS_URL_HOST_MAX = 101, WS_URL_PATH_MAX = 256 }; /* terminators included */

typedef struct ws_url {
    char host[WS_URL_HOST_MAX];          /* an IPv6 address without its brackets */
    char authority[WS_URL_HOST_MAX + 8]; /* as it goes into Host: with brackets and port */
    char path[WS_URL_PATH_MAX];          /* "/tracker" when the URL names none */
    uint16_t port;                       /* 80 when the URL names none */
} ws_url;

/* E_INVAL with one sentence when it is not such a URL; E_UNSUPPORTED for wss://. */
bitnet_status ws_url_parse(ws_url *out, const char *url, bitnet_error *err);

#endif
