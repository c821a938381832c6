/* spm.c: a stretch of text -> tokens as SentencePiece does in its BPE mode (Kudo and Richardson,
 * arXiv:1808.06226), in llama.cpp's reading of it: formats page 4.6.
 *
 * A symbol is at first one character. Joined is always the pair whose text is the token of the
 * highest score. A character that is no token is written as one token per byte, <0x00> to <0xFF>, or
 * as the unknown token in a vocabulary without these.
 *
 * A space is a space here; vocabularies write it as U+2581, which in a text therefore means a space.
 */

#include "text/encoder.h"
#include "base/utf8.h"

static const char *pair_text(const bitnet_encoder *e, uint32_t i, uint32_t *len) {
    uint32_t end = e->sym[e->sym[i].next].next;
    *len = (end == NO_SYMBOL ? e->piece_len : end) - i;
    return e->piece + i;
}

static int32_t pair_join(const bitnet_encoder *e, uint32_t i) {
    uint32_t len;
    const char *s = pair_text(e, i, &len);
    return bitnet_vocab_find(e->v, s, len);
}

static uint32_t pair_rank(const bitnet_encoder *e, uint32_t i) {
    int32_t id = pair_join(e, i);
    return id < 0 ? NO_RANK : e->v->rank[id];
}

/* Spaces for U+2581, and one in front where the vocabulary wants it. */
static void rewrite(bitnet_encoder *e, const char *s, uint32_t n) {
    uint32_t len = e->v->add_space;
    e->room[0] = ' ';
    e->piece = e->room;
    e->piece_len = len + (uint32_t)bitnet_vocab_unmark(s, n, e->room + len);
}

/* The text is valid UTF-8, but a user-defined token may be any bytes and end inside a character. */
static void split_characters(bitnet_encoder *e) {
    uint32_t prev = NO_SYMBOL;
    for (uint32_t i = 0, cp; i < e->piece_len;) {
        uint32_t left = e->piece_len - i,
                 len = (uint32_t)bitnet_utf8_decode(e->piece + i, left, &cp);
        if (len == 0) len = 1;
        e->sym[i] = (bitnet_symbol){.id = bitnet_vocab_find(e->v, e->piece + i, len),
                                    .prev = prev,
                                    .next = len < left ? i + len : NO_SYMBOL};
        prev = i;
        i += len;
    }
}

static void emit_bytes(bitnet_encoder *e, const char *s, uint32_t n) {
    bool has_all = true;
    for (uint32_t i = 0; i < n; i++)
        has_all = has_all && e->v->byte_token[(uint8_t)s[i]] >= 0;
    for (uint32_t i = 0; has_all && i < n; i++)
        bitnet_encoder_emit(e, e->v->byte_token[(uint8_t)s[i]]);
    if (!has_all) bitnet_encoder_emit(e, e->v->unknown);
}

void bitnet_spm_encode(bitnet_encoder *e, const char *s, uint32_t n) {
    static const bitnet_merge_rule rule = {pair_rank, pair_join};
    rewrite(e, s, n);
    split_characters(e);
    bitnet_encoder_merge(e, &rule);
    for (uint32_t i = 0; i != NO_SYMBOL; i = e->sym[i].next) {
        uint32_t end = e->sym[i].next == NO_SYMBOL ? e->piece_len : e->sym[i].next;
        if (e->sym[i].id >= 0)
            bitnet_encoder_emit(e, e->sym[i].id);
        else
            emit_bytes(e, e->piece + i, end - i);
    }
}
