/* reader.h: the one thread that reads the history for requests, so that the loop never waits for a disk.
 *
 *     reader_answer(r, &answer, head, false)    the answer follows: answer.later (http/reply.h)
 *     ... `done` is called, on the reader's thread; wake the loop, and there: answer.later->take
 *
 * Requests are answered one after the other, in the order in which they came, each into a file without a
 * name whose descriptor becomes the answer's. A queue that is full, and a read that takes too long,
 * are answered 503. What nobody waits for any more is not read, or not to its end.
 *
 * All functions belong to one thread; `done` must not call back.
 */
#ifndef BITNET_DASH_READER_H
#define BITNET_DASH_READER_H

#include "bitnet/status.h"
#include "http/routes.h"

typedef struct reader reader;

enum { READER_QUEUE = 16 }; /* requests that wait, the one at work not included */

typedef struct reader_desc {
    const char *location;     /* of a store that exists; see dash/store.h */
    uint32_t deadline_ms;     /* for each state of the store that is read; 0: 10,000 */
    void (*done)(void *user); /* an answer can be taken */
    void *user;
} reader_desc;

/* Errors of store_open, and reader.memory. */
bitnet_status reader_open(reader **out, const reader_desc *desc, bitnet_error *err);
/* Ends the thread, the request at work given up; every answer must have been taken or dropped. NULL is fine. */
void reader_close(reader *r);

/* For the rows of routes.c: `ctx` is the reader. */
http_data_fn reader_answer_history, reader_answer_export;

#endif
