/* encoder.c: the merge loop and its heap. See encoder.h. */
#include "text/encoder.h"

void bitnet_encoder_emit(bitnet_encoder *e, int32_t id) {
    if (id < 0) return;
    if (e->n < e->cap) e->out[e->n] = id;
    e->last = id;
    e->n++;
}

static void push(bitnet_encoder *e, uint64_t x) {
    uint32_t i = e->n_heap++;
    for (; i > 0 && e->heap[(i - 1) / 2] > x; i = (i - 1) / 2)
        e->heap[i] = e->heap[(i - 1) / 2];
    e->heap[i] = x;
}

static uint64_t pop(bitnet_encoder *e) {
    uint64_t top = e->heap[0], x = e->heap[--e->n_heap];
    uint32_t i = 0;
    for (uint32_t child; (child = 2 * i + 1) < e->n_heap; i = child) {
        if (child + 1 < e->n_heap && e->heap[child + 1] < e->heap[child]) child++;
        if (e->heap[child] >= x) break;
        e->heap[i] = e->heap[child];
    }
    e->heap[i] = x;
    return top;
}

/* Looks the pair (i, next of i) up again, after one of the two changed. */
static void rank_pair(bitnet_encoder *e, const bitnet_merge_rule *rule, uint32_t i) {
    bitnet_symbol *s = &e->sym[i];
    s->rank = s->next == NO_SYMBOL ? NO_RANK : rule->rank(e, i);
    if (s->rank != NO_RANK) push(e, (uint64_t)s->rank << 32 | i);
}

/* Each merge pops one entry that is up to date and pushes at most two, and there are fewer merges
 * than symbols: the heap never holds more than twice as many entries as there are symbols. */
void bitnet_encoder_merge(bitnet_encoder *e, const bitnet_merge_rule *rule) {
    e->n_heap = 0;
    for (uint32_t i = 0; i != NO_SYMBOL; i = e->sym[i].next)
        rank_pair(e, rule, i);
    while (e->n_heap) {
        uint64_t top = pop(e);
        uint32_t i = (uint32_t)top;
        bitnet_symbol *left = &e->sym[i];
        if (left->rank != (uint32_t)(top >> 32)) continue; /* one of the two was merged since */
        bitnet_symbol *right = &e->sym[left->next];
        left->id = rule->join(e, i);
        left->next = right->next;
        right->rank = NO_RANK;
        if (left->next != NO_SYMBOL) e->sym[left->next].prev = i;
        rank_pair(e, rule, i);
        if (left->prev != NO_SYMBOL) rank_pair(e, rule, left->prev);
    }
}
