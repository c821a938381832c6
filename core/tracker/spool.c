/* spool.c: see spool.h. */
#include "tracker/spool.h"

#include <string.h>

static size_t entry_bytes(const bitnet_spooled *e) {
    return sizeof *e + (e->text ? e->len : 0);
}

static void free_text(bitnet_spool *s, bitnet_spooled *e) {
    if (!e->text) return;
    s->used -= e->len;
    bitnet_free(&s->allocator, e->text, e->len);
    e->text = NULL;
}

static void free_first(bitnet_spool *s) {
    bitnet_spooled *e = s->first;
    free_text(s, e);
    s->first = e->next;
    if (!s->first) s->last = NULL;
    s->used -= sizeof *e;
    bitnet_free(&s->allocator, e, sizeof *e);
}

void bitnet_spool_init(bitnet_spool *s, size_t cap, bitnet_allocator allocator) {
    *s = (bitnet_spool){.cap = cap, .next_seq = 1, .allocator = allocator};
}

void bitnet_spool_free(bitnet_spool *s) {
    while (s->first)
        free_first(s);
}

static bool is_gap(const bitnet_spooled *e) {
    return e && !e->text && !e->was_sent;
}

/* Joins gaps that stand side by side. */
static void join_next(bitnet_spool *s, bitnet_spooled *e) {
    bitnet_spooled *next = e->next;
    if (!is_gap(e) || !is_gap(next)) return;
    e->to = next->to;
    e->n_samples += next->n_samples;
    e->next = next->next;
    if (s->last == next) s->last = e;
    s->used -= sizeof *next;
    bitnet_free(&s->allocator, next, sizeof *next);
}

/* The oldest text goes. False when there is none left. */
static bool lose_oldest(bitnet_spool *s) {
    bitnet_spooled *before = NULL, *e = s->first;
    for (; e && !e->text; e = e->next)
        before = e;
    if (!e) return false;
    free_text(s, e);
    s->n_lost++;
    join_next(s, e);
    if (before) join_next(s, before);
    return true;
}

bool bitnet_spool_add(bitnet_spool *s, const char *text, size_t len, uint64_t n_samples) {
    bitnet_spooled *e = bitnet_alloc(&s->allocator, sizeof *e);
    while (!e && lose_oldest(s))
        e = bitnet_alloc(&s->allocator, sizeof *e);
    if (!e) return false;
    *e =
        (bitnet_spooled){.seq = s->next_seq, .to = s->next_seq, .n_samples = n_samples, .len = len};
    e->text = len <= s->cap ? bitnet_alloc_raw(&s->allocator, len) : NULL;
    s->next_seq++;
    if (s->last)
        s->last->next = e;
    else
        s->first = e;
    bitnet_spooled *before = s->last;
    s->last = e;
    if (e->text) memcpy(e->text, text, len);
    s->used += entry_bytes(e);
    if (!e->text) {
        s->n_lost++;
        if (before) join_next(s, before);
    }
    while (s->used > s->cap && lose_oldest(s)) {
    }
    return true;
}

bitnet_spooled *bitnet_spool_find(bitnet_spool *s, uint64_t seq) {
    bitnet_spooled *e = s->first;
    while (e && e->to < seq)
        e = e->next;
    return e;
}

void bitnet_spool_trim(bitnet_spool *s, uint64_t seq) {
    while (s->first && s->first->to <= seq)
        free_first(s);
}
