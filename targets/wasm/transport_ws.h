/* transport_ws.h: the tracker's transport over the browser's WebSocket. */
#ifndef BITNET_TRANSPORT_WS_H
#define BITNET_TRANSPORT_WS_H

#include "bitnet/tracker.h"

/* The connection as a person may want to see it. */
typedef enum bitnet_ws_state {
    BITNET_WS_CONNECTING, /* also while waiting to try again */
    BITNET_WS_OPEN,
    BITNET_WS_REFUSED, /* the hub sent us away for good; see close_code */
} bitnet_ws_state;

typedef struct bitnet_ws bitnet_ws;

/* *ws is for pump and state and dies with out->close. url is ws:// or wss://, with its path. */
bitnet_status bitnet_transport_ws_open(bitnet_transport *out, bitnet_ws **ws, const char *url);
/* Connects, and connects again, when it is time to. Called about ten times a second. The browser
 * may throw a JavaScript exception through this call (an insecure url on a secure page): the caller
 * in JavaScript restores the stack pointer and closes the transport. */
void bitnet_ws_pump(bitnet_ws *ws, uint64_t now_ns);
bitnet_ws_state bitnet_ws_get_state(const bitnet_ws *ws, int32_t *close_code);

#endif
