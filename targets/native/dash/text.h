/* text.h: a text that grows: how answers of the hub are written, as JSON and as Prometheus wants it.
 *
 * {0} is empty. Out of memory is remembered: what follows is not added, and text_take gives NULL.
 */
#ifndef BITNET_DASH_TEXT_H
#define BITNET_DASH_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"

typedef struct text_buf {
    char *p; /* NUL-terminated when it is not NULL */
    size_t n, cap;
    bool has_failed;
} text_buf;

void text_add(text_buf *t, const char *bytes, size_t n);
void text_put(text_buf *t, const char *fmt, ...) BITNET_PRINTF(2, 3);
/* A JSON string, quotes included. */
void text_string(text_buf *t, const char *s);
/* A JSON number that reads back as the same double; null when it is not finite. */
void text_number(text_buf *t, double v);
/* The text, the caller's to free(); NULL when memory ran out. `t` is empty afterwards. */
char *text_take(text_buf *t, size_t *n);
void text_free(text_buf *t);

#endif
