/* head.h: judges one HTTP/1.1 request head. A pure function: bytes in, verdict out, no I/O.
 *
 * Everything that reaches the server passes here first, so that neither our own routes nor
 * libwebsockets ever sees a head that two parsers could read differently (RFC 9112 §11: request
 * smuggling). Where the RFC lets a server be lenient, this one refuses: bare CR or LF, folded
 * lines, spaces before a colon, repeated fields, absolute or authority targets, bodies, pipelined
 * bytes, every Upgrade but websocket, every version but HTTP/1.1, every method but GET and HEAD and
 * of one path POST, which a page of another site may not send.
 */
#ifndef BITNET_HTTP_HEAD_H
#define BITNET_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_HEAD_MAX = 16 * 1024, /* bytes of one head */
    HTTP_TARGET_MAX = 2048,    /* bytes of the request target */
    HTTP_FIELDS_MAX = 100,     /* header lines */
};

/* The one path, and the one subprotocol, of websocket connections (docs/protocol.md). */
#define HTTP_WS_PATH     "/tracker"
#define HTTP_WS_PROTOCOL "bitnet-tracker.v1"
/* The one path that is asked for with POST, without a body: what it makes is not kept. */
#define HTTP_POST_PATH "/performance/export"

typedef struct http_span {
    const char *p; /* NULL when the field is absent */
    size_t n;
} http_span;

/* Names this server answers to. Besides `extra` they are localhost, 127.0.0.1 and [::1]. */
typedef struct http_policy {
    const char *extra; /* may be NULL; an IPv6 address carries its brackets */
    uint16_t port;
    bool is_any_address; /* listening on all addresses: every IP address in Host is ours */
} http_policy;

typedef enum http_verdict {
    HTTP_HEAD_MORE,   /* an acceptable beginning; read on */
    HTTP_HEAD_ACCEPT, /* complete; the fields below are set */
    HTTP_HEAD_REFUSE, /* status and reason are set; nothing else may be used */
} http_verdict;

typedef struct http_head {
    http_verdict verdict;
    int status;         /* of a refusal: 400 403 404 405 413 414 421 426 431 505 */
    const char *reason; /* of a refusal: one sentence, static */
    size_t len;         /* bytes of the head, the empty line included */
    bool is_head, is_post, is_websocket;
    /* These point into the caller's bytes. */
    http_span path, query, host;
    http_span range, if_range, if_none_match;
    http_span authorization, cookie;
} http_head;

/* Judges the first n bytes of a connection. Every beginning of an acceptable head gives MORE. */
http_head http_head_judge(const void *bytes, size_t n, const http_policy *policy);

/* ASCII case ignored, as field names and host names want it. */
bool http_span_is(http_span s, const char *text);

#endif
