/* lookup.c: see lookup.h. */
#include "engine/lookup.h"

#include <stdbool.h>
#include <string.h>

#define SLOTS_A_TOKEN 8 /* three runs end at each token; the rest is air */
#define MOST_SLOTS    (1 << 16)

static uint32_t slots_for(int32_t n_ctx) {
    uint32_t n = 64;
    while (n < MOST_SLOTS && n / SLOTS_A_TOKEN < (uint32_t)n_ctx)
        n *= 2;
    return n;
}

size_t bitnet_lookup_size(int32_t n_ctx) {
    return slots_for(n_ctx) * sizeof(int32_t);
}

void bitnet_lookup_init(bitnet_lookup *l, void *memory, int32_t n_ctx) {
    *l = (bitnet_lookup){.follower = memory, .mask = slots_for(n_ctx) - 1};
}

void bitnet_lookup_start(bitnet_lookup *l, const bitnet_token *tok) {
    *l = (bitnet_lookup){.tok = tok, .follower = l->follower, .mask = l->mask};
    memset(l->follower, 0, ((size_t)l->mask + 1) * sizeof *l->follower);
}

/* Slots of the runs that the text ends with, the shortest first. */
static void find_slots(bitnet_lookup *l) {
    uint32_t h = 0;
    for (int32_t i = 1; i <= LOOKUP_LONGEST && i <= l->n; i++) {
        h = (h ^ (uint32_t)l->tok[l->n - i]) * 0x9e3779b1u; /* 2^32 / golden ratio (Knuth) */
        h ^= h >> 15;
        if (i >= LOOKUP_SHORTEST) l->slot[i - LOOKUP_SHORTEST] = h & l->mask;
    }
}

/* How many tokens before `at` are those at the end of the text, counted up to LOOKUP_MATCH. */
static int32_t match_at(const bitnet_lookup *l, int32_t at) {
    int32_t m = 0;
    while (m < LOOKUP_MATCH && m < at && l->tok[at - 1 - m] == l->tok[l->n - 1 - m])
        m++;
    return m;
}

/* A longer match than the one at hand, if there is one. */
static void find_source(bitnet_lookup *l) {
    for (int32_t run = LOOKUP_LONGEST; run > l->match && run >= LOOKUP_SHORTEST; run--) {
        if (run > l->n) continue;
        int32_t at = l->follower[l->slot[run - LOOKUP_SHORTEST]], m = at > 0 ? match_at(l, at) : 0;
        if (m < run) continue;
        l->source = at, l->match = m;
        return;
    }
}

int32_t bitnet_lookup_add(bitnet_lookup *l) {
    const int32_t at = l->n, guessed = l->source > 0 ? l->match : 0;
    const bool is_true = guessed > 0 && l->tok[l->source] == l->tok[at];
    for (int32_t run = LOOKUP_SHORTEST; run <= LOOKUP_LONGEST && run <= at; run++)
        l->follower[l->slot[run - LOOKUP_SHORTEST]] = at;
    l->n = at + 1;
    find_slots(l);
    if (is_true) {
        l->source++;
        if (l->match < LOOKUP_MATCH) l->match++;
    } else {
        l->source = l->match = 0;
    }
    find_source(l);
    return is_true ? guessed : -guessed;
}

int32_t bitnet_lookup_guess(const bitnet_lookup *l, bitnet_token *out, int32_t n_out) {
    if (l->source == 0 || n_out < 1) return 0;
    for (int32_t i = 0; i < n_out;
         i++) { /* a source that ends where the text does repeats itself */
        int32_t at = l->source + i;
        out[i] = at < l->n ? l->tok[at] : out[at - l->n];
    }
    return n_out;
}
