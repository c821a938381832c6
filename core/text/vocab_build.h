/* vocab_build.h: what the files that build a vocabulary share: vocab_gguf.c leads, vocab_tokens.c and
 * vocab_merges.c fill.
 *
 * Everything in the keys is somebody else's data: types, lengths, ids and names are checked before
 * anything relies on them, and no step takes more than O(n log n) whatever the file holds.
 */
#ifndef BITNET_VOCAB_BUILD_H
#define BITNET_VOCAB_BUILD_H

#include "text/vocab.h"

typedef struct bitnet_vocab_builder {
    const bitnet_dir *dir;
    const bitnet_allocator *alloc;
    bitnet_error *err;
    bitnet_status status; /* set where a check fails; every function then returns false */
    const char *arch;
    bool is_spm;
    const char *name;            /* "gpt2/llama-bpe", "llama" */
    const bitnet_pretok *pretok; /* NULL: SentencePiece */
    const bitnet_meta *tokens, *types;
    const bitnet_meta *scores; /* SentencePiece's; BPE only checks them */
    const bitnet_meta *merges; /* BPE's */
    int32_t n_row;
    bitnet_vocab *v;
} bitnet_vocab_builder;

#define REFUSE_AS(b, st, id, ...)                                                                  \
    ((b)->status = bitnet_fail((b)->err, BITNET_##st, id, __VA_ARGS__), false)
#define REFUSE(b, id, ...) REFUSE_AS(b, E_FORMAT, id, __VA_ARGS__)

/* Texts, types, ranks and the hash of tokens; the tokens of single bytes. */
bool bitnet_vocab_load_tokens(bitnet_vocab_builder *b);
/* Merges, sorted for look-up; none are fine. After the tokens. */
bool bitnet_vocab_load_merges(bitnet_vocab_builder *b);

/* Byte-level text to bytes; returns how many, at most n. -1 when a character is not of the map. */
int32_t bitnet_vocab_unmap(const char *s, size_t n, char *out);

#endif
