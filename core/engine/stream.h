/* stream.h: token bytes -> whole UTF-8 text. A character split over tokens is held back until it is
 * complete; a byte that can never become part of one turns into U+FFFD, so what comes out is always
 * valid UTF-8. */
#ifndef BITNET_STREAM_H
#define BITNET_STREAM_H

#include <stddef.h>

typedef struct bitnet_stream {
    char held[4];
    size_t n_held; /* 0..3 */
} bitnet_stream;

/* Room that push and flush may need for n new bytes, terminator included. */
static inline size_t bitnet_stream_room(size_t n) {
    return (n + 3) * 3 + 1;
}

/* Writes the text that is complete now, zero-terminated, and returns its length. */
size_t bitnet_stream_push(bitnet_stream *s, const char *bytes, size_t n, char *out);
/* The same for what is still held: U+FFFD for each of its bytes. */
size_t bitnet_stream_flush(bitnet_stream *s, char *out);

#endif
