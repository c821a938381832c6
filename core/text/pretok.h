/* pretok.h: where byte-pair merging must stop: text is cut into words, numbers, punctuation and
 * space before it is encoded, and no token spans a cut.
 */
#ifndef BITNET_PRETOK_H
#define BITNET_PRETOK_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the first piece of s [n], n >= 1. An invalid byte counts as U+FFFD. The rules look ahead
 * only, so calling this again behind the piece cuts the whole text, in linear time. */
typedef size_t (*bitnet_pretok_fn)(const char *s, size_t n);

size_t bitnet_pretok_llama3(const char *s, size_t n);
size_t bitnet_pretok_gpt2(const char *s, size_t n);

/* What a value of tokenizer.ggml.pre stands for. */
typedef struct bitnet_pretok {
    const char *name; /* as bitnet_vocab_name says it: "gpt2/llama-bpe" */
    bitnet_pretok_fn cut;
    bool ignore_merges; /* a piece that is a token as a whole is not merged */
    bool add_bos;       /* where the file does not say */
} bitnet_pretok;

/* NULL when the name, without "gpt2/", is none of the table's. */
const bitnet_pretok *bitnet_pretok_find(const char *pre, size_t len);

#endif
