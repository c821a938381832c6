/* stop.h: finds the first stop string in a text that arrives in pieces.
 *
 * Text is held back while its tail may be the start of a stop string, so nothing of one is ever given
 * out. Each string has its own automaton (Knuth, Morris and Pratt 1977): a byte costs amortised O(1)
 * for each string. The string that is complete first wins; of several that end at the same byte the
 * longest, then the one that was given first. Text and strings are valid UTF-8, and a stop string
 * begins with the first byte of a character: a character is never split.
 */
#ifndef BITNET_STOP_H
#define BITNET_STOP_H

#include <stddef.h>
#include <stdint.h>

#include "bitnet/engine.h"

typedef struct bitnet_stop {
    int32_t n;
    size_t n_held;
    char held[BITNET_MAX_STOP_BYTES]; /* text so far that nobody has seen, < the longest string */
    struct {
        uint16_t len;  /* 1 .. BITNET_MAX_STOP_BYTES */
        uint16_t seen; /* how much of the string the text ends with */
        char text[BITNET_MAX_STOP_BYTES];
        uint8_t
            border[BITNET_MAX_STOP_BYTES]; /* of text[0..i]: its longest proper suffix that is */
    } string[BITNET_MAX_STOP];             /*   a prefix as well */
} bitnet_stop;

/* {0} has no strings and holds nothing back. Adds one; the caller has checked number and length. */
void bitnet_stop_add(bitnet_stop *s, const char *text, size_t len);

/* Room that push may need for n new bytes, terminator included. */
static inline size_t bitnet_stop_room(size_t n) {
    return n + BITNET_MAX_STOP_BYTES;
}
/* Writes the text that can be given out now, zero-terminated, its length to *len. Returns -1 to go
 * on; or the index of the stop string that is now complete: out ends before it, what followed it is
 * dropped, and nothing is held. */
int32_t bitnet_stop_push(bitnet_stop *s, const char *bytes, size_t n, char *out, size_t *len);
/* What is still held, when no stop string came; at most BITNET_MAX_STOP_BYTES with the terminator. */
size_t bitnet_stop_flush(bitnet_stop *s, char *out);

#endif
