/* answer.h: what the history answers to an ask, as the bytes of its body (docs/serve.md). What was not
 * measured is null, never 0.
 */
#ifndef BITNET_DASH_ANSWER_H
#define BITNET_DASH_ANSWER_H

#include <stdio.h>

#include "dash/ask.h"

enum {
    ANSWER_LISTED_MAX = 1000,             /* operations and gaps of one run: the newest */
    ANSWER_EXPORT_MAX = 128 * 1024 * 1024 /* bytes; the door sends twice as many at a time */
};

typedef struct answer_name {
    char run[STORE_RUN_MAX]; /* of an export: "" for all runs */
} answer_name;

/* Writes to `out` as it reads. `is_unwanted` is asked now and then, and ends it with answer.dropped. Errors
 * as of store.h and export.h, and answer.write. */
bitnet_status answer_write(FILE *out, store *s, const ask *a, bool (*is_unwanted)(void *user),
                           void *user, answer_name *name, bitnet_error *err);

#endif
