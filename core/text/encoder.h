/* encoder.h: what byte-level BPE and SentencePiece share: a piece of text is a list of symbols, and
 * again and again the adjacent pair of lowest rank, the leftmost among equals, becomes one, until no
 * pair has a rank.
 *
 * A heap of pairs makes that O(n log n) for a piece of n bytes, also for a megabyte of one repeated
 * letter; there is no recursion. The two differ in what a pair's rank is and what is emitted for a
 * symbol that is no token.
 */
#ifndef BITNET_ENCODER_H
#define BITNET_ENCODER_H

#include "text/vocab.h"

#define NO_SYMBOL UINT32_MAX

/* A symbol's index is the byte where it begins, so of the entries of a piece not all are in use. */
typedef struct bitnet_symbol {
    int32_t id; /* its token; -1 = it is none */
    uint32_t prev, next;
    uint32_t rank; /* of the merge with next; NO_RANK when there is none */
} bitnet_symbol;

typedef struct bitnet_encoder {
    const bitnet_vocab *v;
    bitnet_token *out;
    int32_t cap, n;    /* n counts on past cap */
    int32_t last;      /* the token emitted last; -1 = none yet */
    const char *piece; /* SentencePiece: in room */
    uint32_t piece_len;
    bitnet_symbol *sym; /* [bytes of the longest piece] */
    uint64_t *heap;     /* [2 * the same] rank << 32 | symbol, smallest on top; what has become
                           outdated stays until it comes up */
    uint32_t n_heap;
    char *room; /* SentencePiece: [the same] where it rewrites a piece */
} bitnet_encoder;

/* Negative ids are dropped. */
void bitnet_encoder_emit(bitnet_encoder *e, int32_t id);

typedef struct bitnet_merge_rule {
    uint32_t (*rank)(const bitnet_encoder *e, uint32_t i); /* of symbol i with the next one */
    int32_t (*join)(const bitnet_encoder *e, uint32_t i);  /* the token that the two make */
} bitnet_merge_rule;

/* Merges the symbols that stand in e->sym, the first of them at 0. */
void bitnet_encoder_merge(bitnet_encoder *e, const bitnet_merge_rule *rule);

/* A piece as the pre-tokenizer cut it. */
void bitnet_bpe_encode(bitnet_encoder *e, const char *s, uint32_t n);
/* A whole stretch between specials. */
void bitnet_spm_encode(bitnet_encoder *e, const char *s, uint32_t n);

#endif
