/* writer.h (internal): JSON into a buffer of fixed size. What does not fit is left out, and is_cut tells. */
#ifndef BITNET_TRACKER_WRITER_H
#define BITNET_TRACKER_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"

typedef struct bitnet_writer {
    char *buf;
    size_t len, cap; /* len stays below cap: there is always a terminator */
    bool is_cut;
} bitnet_writer;

void bitnet_put(bitnet_writer *w, const char *fmt, ...) BITNET_PRINTF(2, 3);
/* A JSON string: quotes, backslashes and control bytes escaped; the text is UTF-8, NULL is empty. */
void bitnet_put_string(bitnet_writer *w, const char *s);
/* ,"key":v with nine digits: shorter than exact and far finer than any clock. v is finite. */
void bitnet_put_number(bitnet_writer *w, const char *key, double v);

#endif
