/* transport_lws.h: a producer's way to a hub: the tracker's transport seam over libwebsockets.
 *
 * A thread of its own connects, sends what was queued and connects again when the hub goes away,
 * after a random wait whose limit doubles from 0.25 to 10 s. Nothing the caller does waits for the
 * network: `send` copies into a queue of at most 256 messages and 1 MiB and answers AGAIN when
 * there is no connection or no room. Messages queued for a connection that breaks are dropped with
 * it.
 *
 * After a connection opens, `send` answers AGAIN until `n_opened` has been asked, so that the
 * caller cannot put anything before the hello that the new connection must begin with.
 */
#ifndef BITNET_DASH_TRANSPORT_LWS_H
#define BITNET_DASH_TRANSPORT_LWS_H

#include "bitnet/tracker.h"

/* url: ws://host[:port][/path], path /tracker when absent. OK does not mean that a hub is there.
 * E_INVAL, E_UNSUPPORTED: the url, with the sentence; E_NOMEM: no memory or thread.
 * `close` sends what is queued if that takes no more than 500 ms, and ends the thread. */
bitnet_status bitnet_transport_lws_open(bitnet_transport *out, const char *url, bitnet_error *err);

#endif
