/* spool.h (internal): numbered messages between being written and being stored by the hub.
 *
 * Bounded in bytes: when it is full the oldest messages lose their text and keep their numbers, so that
 * what is missing can be declared exactly. Neighbours that were never sent become one; those that were
 * are kept apart, because the hub may have some of them. One thread.
 */
#ifndef BITNET_TRACKER_SPOOL_H
#define BITNET_TRACKER_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

/* Messages seq .. to: one with its text, or a gap of n samples without. */
typedef struct bitnet_spooled {
    struct bitnet_spooled *next;
    uint64_t seq, to, n_samples;
    bool was_sent;
    size_t len;
    char *text; /* NULL: lost */
} bitnet_spooled;

typedef struct bitnet_spool {
    bitnet_allocator allocator;
    size_t cap, used; /* bytes, of texts and of what holds them */
    bitnet_spooled *first, *last;
    uint64_t next_seq; /* of the next message; 1 at the start */
    uint64_t n_lost;   /* messages that lost their text */
} bitnet_spool;

void bitnet_spool_init(bitnet_spool *s, size_t cap, bitnet_allocator allocator);
void bitnet_spool_free(bitnet_spool *s);
/* Takes the number next_seq. Copies the text. False when there is not even memory to say that it was
 * lost: no number is taken then. */
bool bitnet_spool_add(bitnet_spool *s, const char *text, size_t len, uint64_t n_samples);
/* What has the number `seq`, or the first that is kept beyond it; NULL past the end. */
bitnet_spooled *bitnet_spool_find(bitnet_spool *s, uint64_t seq);
/* Forgets what is safe: everything up to and with `seq`. */
void bitnet_spool_trim(bitnet_spool *s, uint64_t seq);

#endif
