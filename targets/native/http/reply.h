/* reply.h: what an answer is, and how its head is written. No I/O.
 *
 * One writer for refusals, files and errors, so that every response carries the same security
 * headers and `Connection: close` (one request per connection: nothing can follow a judged head).
 */
#ifndef BITNET_HTTP_REPLY_H
#define BITNET_HTTP_REPLY_H

#include "http/head.h"

enum {
    HTTP_REPLY_HEAD_MAX = 2048, /* bytes of one response head; the longest has 1.5 KiB */
    HTTP_ETAG_MAX = 64,         /* quotes and terminator included */
    HTTP_PATH_MAX = 512,        /* bytes of a path that names a file */
    HTTP_COOKIE_MAX = 192,      /* bytes of a Set-Cookie, terminator included */
};

struct http_answer;

/* An answer that somebody else is making: whoever sends it looks again when woken, and ends it with exactly one
 * of the two. Both on the thread that asked. */
typedef struct http_later {
    /* False: not yet. Fills the answer otherwise, and is gone. */
    bool (*take)(struct http_later *later, struct http_answer *out);
    void (*drop)(struct http_later *later); /* nobody waits for it */
} http_later;

/* Bytes to send: [at, end) of memory, or of a file when fd >= 0 (closed by whoever sends it). */
typedef struct http_body {
    const void *mem;
    void *owned; /* mem when it is the answer's own, freed by whoever sends it; else NULL */
    int fd;
    bool is_private; /* the file is this answer's alone, and gone with it */
    uint64_t at, end;
} http_body;

typedef struct http_answer {
    int status;
    http_later
        *later; /* the answer is still being made, and this is all there is of it; else NULL */
    const char *type; /* Content-Type; NULL when there is no body */
    http_body body;
    uint64_t total;    /* size of the whole resource, for Content-Range of 206 and 416 */
    bool ranges;       /* the resource may be asked for in ranges */
    bool no_store;     /* data of the moment, or something that depends on a token */
    const char *allow; /* of a 405: the methods; NULL = GET, HEAD */
    char cookie[HTTP_COOKIE_MAX];
    char etag[HTTP_ETAG_MAX];
    char filename[64];                 /* to be saved under; "" = to be shown */
    char location[HTTP_PATH_MAX + 16]; /* of a redirect */
    char text[256];                    /* room for a short body; see http_answer_text */
} http_answer;

/* A short text/plain answer: the sentence and a newline, copied. */
void http_answer_text(http_answer *a, int status, const char *sentence);

/* An answer of n bytes that are its own from now on, never stored by a browser. NULL: 500. */
void http_answer_data(http_answer *a, int status, const char *type, char *bytes, size_t n);

/* An answer that is being made; it may be taken or dropped from now on. */
void http_answer_later(http_answer *a, http_later *later);

/* Hands over what `from` has, a short text inside it too; it has no body afterwards. */
void http_answer_move(http_answer *to, http_answer *from);

/* Writes the response head. `host` is the judged Host, which the page's policy names as the one
 * websocket it may open; absent in refusals. Returns its length, < HTTP_REPLY_HEAD_MAX. */
size_t http_reply_head(char out[HTTP_REPLY_HEAD_MAX], const http_answer *a, http_span host,
                       bool isolation, int64_t unix_time);

#endif
