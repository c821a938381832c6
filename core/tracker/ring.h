/* ring.h: fixed-size records from one writer to one reader, without a lock.
 *
 * head counts records written, tail records read; both only grow, so head - tail is the fill. The
 * writer owns head and n_dropped, the reader owns tail. The two sides sit on cache lines of their
 * own.
 */
#ifndef BITNET_RING_H
#define BITNET_RING_H

#include <stdatomic.h>
#include <stdbool.h>

#include "bitnet/tracker.h"

_Static_assert(sizeof(bitnet_record) == 32, "a record is 32 bytes");

struct bitnet_ring {
    _Alignas(64) _Atomic uint64_t head; /* writer */
    _Atomic uint64_t n_dropped;
    _Alignas(64) _Atomic uint64_t tail; /* reader */
    _Alignas(64) bitnet_record *record; /* [mask + 1] */
    uint64_t mask;
    uint16_t source;
};

static inline bool bitnet_ring_pop(bitnet_ring *r, bitnet_record *out) {
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    if (tail == atomic_load_explicit(&r->head, memory_order_acquire)) return false;
    *out = r->record[tail & r->mask];
    atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
    return true;
}

#endif
