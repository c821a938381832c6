/* tier_mem.c: the memory tier of bitnet/tier.h: equal slots in one block, a hash table of chains
 * over them, and a list from the most to the least recently used. Links are slot numbers; NONE ends
 * them.
 */
#include <string.h>

#include "base/base.h"
#include "bitnet/tier.h"

#define NONE UINT32_MAX

typedef struct slot {
    uint64_t key;
    size_t size;           /* of the value */
    uint32_t newer, older; /* in order of use; in the free list, older is the next */
    uint32_t chain;        /* next slot with the same bucket */
} slot;

typedef struct tier_mem {
    bitnet_allocator allocator;
    size_t total; /* bytes of this block: the struct, slots, buckets, values */
    size_t value_size;
    uint32_t n_slots, n_buckets; /* n_buckets is a power of two */
    uint32_t newest, oldest, free;
    bitnet_tier_info info;
    slot *slots;
    uint32_t *buckets;
    uint8_t *values;
} tier_mem;

static uint32_t *bucket_of(tier_mem *t, uint64_t key) {
    return &t->buckets[key & (t->n_buckets - 1)];
}

static uint32_t find(tier_mem *t, uint64_t key) {
    uint32_t i = *bucket_of(t, key);
    while (i != NONE && t->slots[i].key != key)
        i = t->slots[i].chain;
    return i;
}

static void unlink_use(tier_mem *t, uint32_t i) {
    slot *s = &t->slots[i];
    *(s->newer == NONE ? &t->newest : &t->slots[s->newer].older) = s->older;
    *(s->older == NONE ? &t->oldest : &t->slots[s->older].newer) = s->newer;
}

static void link_newest(tier_mem *t, uint32_t i) {
    t->slots[i].newer = NONE;
    t->slots[i].older = t->newest;
    *(t->newest == NONE ? &t->oldest : &t->slots[t->newest].newer) = i;
    t->newest = i;
}

static void release(tier_mem *t, uint32_t i) {
    uint32_t *at = bucket_of(t, t->slots[i].key);
    while (*at != i)
        at = &t->slots[*at].chain;
    *at = t->slots[i].chain;
    unlink_use(t, i);
    t->info.used -= t->slots[i].size;
    t->slots[i].older = t->free;
    t->free = i;
}

static bitnet_status mem_get(void *ctx, uint64_t key, void *dst, size_t cap, size_t *n) {
    tier_mem *t = ctx;
    uint32_t i = find(t, key);
    if (i == NONE) {
        t->info.n_miss += cap > 0;
        return BITNET_AGAIN;
    }
    *n = t->slots[i].size;
    if (cap >= *n) memcpy(dst, t->values + (size_t)i * t->value_size, *n);
    unlink_use(t, i);
    link_newest(t, i);
    t->info.n_hit += cap > 0;
    return BITNET_OK;
}

static bitnet_status mem_put(void *ctx, uint64_t key, const void *src, size_t n) {
    tier_mem *t = ctx;
    if (n > t->value_size) return BITNET_E_INVAL;
    uint32_t i = find(t, key);
    if (i != NONE) release(t, i);
    if (t->free == NONE) {
        release(t, t->oldest);
        t->info.n_evicted++;
    }
    i = t->free;
    t->free = t->slots[i].older;
    t->slots[i].key = key;
    t->slots[i].size = n;
    t->slots[i].chain = *bucket_of(t, key);
    *bucket_of(t, key) = i;
    link_newest(t, i);
    memcpy(t->values + (size_t)i * t->value_size, src, n);
    t->info.used += n;
    t->info.n_put++;
    return BITNET_OK;
}

static void mem_drop(void *ctx, uint64_t key) {
    tier_mem *t = ctx;
    uint32_t i = find(t, key);
    if (i != NONE) release(t, i);
}

static void mem_info(void *ctx, bitnet_tier_info *out) {
    *out = ((tier_mem *)ctx)->info;
}

static void mem_close(void *ctx) {
    tier_mem *t = ctx;
    bitnet_allocator a = t->allocator;
    bitnet_free(&a, t, t->total);
}

bitnet_status bitnet_tier_mem_open(bitnet_tier *out, uint64_t limit, size_t value_size,
                                   const bitnet_allocator *allocator) {
    if (value_size == 0 || limit / value_size == 0) return BITNET_E_INVAL;
    uint64_t n_slots = limit / value_size < 1u << 20 ? limit / value_size : 1u << 20, n_buckets = 1;
    while (n_buckets < n_slots)
        n_buckets *= 2;
    uint64_t total =
        sizeof(tier_mem) + n_slots * (sizeof(slot) + value_size) + n_buckets * sizeof(uint32_t);
    tier_mem *t = total <= SIZE_MAX ? bitnet_alloc(allocator, (size_t)total) : NULL;
    if (!t) return BITNET_E_NOMEM;
    if (allocator) t->allocator = *allocator;
    t->total = (size_t)total;
    t->value_size = value_size;
    t->n_slots = (uint32_t)n_slots;
    t->n_buckets = (uint32_t)n_buckets;
    t->info.limit = n_slots * value_size;
    t->slots = (slot *)(void *)(t + 1);
    t->buckets = (uint32_t *)(void *)(t->slots + n_slots);
    t->values = (uint8_t *)(t->buckets + n_buckets);
    t->newest = t->oldest = NONE;
    for (uint32_t i = 0; i < t->n_buckets; i++)
        t->buckets[i] = NONE;
    for (uint32_t i = 0; i < t->n_slots; i++)
        t->slots[i].older = i + 1 < t->n_slots ? i + 1 : NONE;
    *out = (bitnet_tier){mem_get, mem_put, mem_drop, mem_info, mem_close, t};
    return BITNET_OK;
}
