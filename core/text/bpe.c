/* bpe.c: a piece of text -> tokens by byte-level byte-pair encoding (Sennrich et al.,
 * arXiv:1508.07909, on bytes as in GPT-2).
 *
 * A symbol is at first one byte. Pairs are joined in the order of the file's merge list, the earliest
 * entry first; a pair that is not in the list is never joined. What a pair makes is a token by
 * construction of the list, so only single bytes can be without one.
 */
#include "text/encoder.h"

static uint32_t pair_rank(const bitnet_encoder *e, uint32_t i) {
    const bitnet_vocab *v = e->v;
    int32_t left = e->sym[i].id, right = e->sym[e->sym[i].next].id;
    if (left < 0 || right < 0) return NO_RANK;
    uint32_t lo = v->merge_pos[left], hi = v->merge_pos[left + 1], end = hi;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (v->merge[mid].right < right)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < end && v->merge[lo].right == right ? v->merge[lo].rank : NO_RANK;
}

static int32_t pair_join(const bitnet_encoder *e, uint32_t i) {
    return e->v->merged[e->sym[i].rank];
}

static void merge_piece(bitnet_encoder *e, const char *s, uint32_t n) {
    static const bitnet_merge_rule rule = {pair_rank, pair_join};
    for (uint32_t i = 0; i < n; i++)
        e->sym[i] = (bitnet_symbol){.id = e->v->byte_token[(uint8_t)s[i]],
                                    .prev = i > 0 ? i - 1 : NO_SYMBOL,
                                    .next = i + 1 < n ? i + 1 : NO_SYMBOL};
    bitnet_encoder_merge(e, &rule);
    for (uint32_t i = 0; i != NO_SYMBOL; i = e->sym[i].next)
        bitnet_encoder_emit(e, e->sym[i].id >= 0 ? e->sym[i].id : e->v->unknown);
}

/* A piece that is a token as a whole need not be merged where the pre-tokenizer says so: some words
 * of these vocabularies cannot be reached by merging. */
void bitnet_bpe_encode(bitnet_encoder *e, const char *s, uint32_t n) {
    int32_t id = e->v->pretok->ignore_merges ? bitnet_vocab_find(e->v, s, n) : -1;
    if (id >= 0 && bitnet_vocab_special_kind(e->v, id) != SPECIAL_ON_REQUEST)
        bitnet_encoder_emit(e, id);
    else
        merge_piece(e, s, n);
}
