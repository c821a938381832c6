/* tokenizer.h (internal): the vocabulary and its encoder; no model, no file.
 *
 * Supported are tokenizer.ggml.model "gpt2", byte-level BPE, with the pre-tokenizers that pretok.c
 * lists, and "llama", SentencePiece (docs/tokenizers.md). A vocabulary is immutable once built; any
 * number of threads may encode with it.
 */
#ifndef BITNET_TEXT_TOKENIZER_H
#define BITNET_TEXT_TOKENIZER_H

#include "bitnet/tokenizer.h"
#include "format/tensors.h"

typedef struct bitnet_vocab bitnet_vocab;

/* From the tokenizer.* keys of a directory, which is not needed afterwards. `arch` (may be NULL)
 * helps to choose the pre-tokenizer where the key is missing. n_rows is the number of embedding
 * rows: fewer tokens than rows are fine (padding), more are an error. Sets *out = NULL and returns
 * OK for "no_vocab" or a file without tokenizer keys.
 *   E_FORMAT       a key is missing, has the wrong type or length, or contradicts another
 *   E_UNSUPPORTED  another tokenizer or pre-tokenizer, by its name
 *   E_NOMEM */
bitnet_status bitnet_vocab_create(bitnet_vocab **out, const bitnet_dir *dir, const char *arch,
                                  int32_t n_rows, const bitnet_allocator *alloc, bitnet_error *err);
void bitnet_vocab_free(bitnet_vocab *v); /* NULL is fine */
/* What bitnet_vocab_name would say, without building anything: "none" for a directory without a
 * tokenizer, "unsupported" for one that create would refuse by name. */
const char *bitnet_vocab_name_of(const bitnet_dir *dir, const char *arch);

/* As bitnet_tokenize. Scratch is 33 bytes per byte of the longest piece between two cuts, and the text
 * once more where invalid bytes are replaced in it. A byte that has no token (SentencePiece: a
 * character without a token or byte tokens) becomes the unknown token, or nothing in a vocabulary
 * without one. */
int32_t bitnet_vocab_encode(const bitnet_vocab *v, const char *text, size_t len, uint32_t flags,
                            bitnet_token *out, int32_t cap);
/* A text put together from spans and cut as one: what is not a special token may run across a span's
 * end. Control and unknown tokens are found only wholly inside a span that allows them. Each span is
 * UTF-8 on its own. BITNET_TOKENIZE_SPECIAL has no meaning here; scratch holds the text once. */
typedef struct bitnet_span {
    const char *s;
    size_t n;
    bool parse_special;
} bitnet_span;
int32_t bitnet_vocab_encode_spans(const bitnet_vocab *v, const bitnet_span *spans, int32_t n_spans,
                                  uint32_t flags, bitnet_token *out, int32_t cap);
/* As bitnet_token_text. Control and unknown tokens and padding rows give zero bytes. */
int32_t bitnet_vocab_text(const bitnet_vocab *v, bitnet_token id, char *out, int32_t cap);
/* As bitnet_detokenize. E_INVAL also for a text of 2 GiB. */
int32_t bitnet_vocab_detokenize(const bitnet_vocab *v, const bitnet_token *ids, int32_t n,
                                char *out, int32_t cap);
bool bitnet_vocab_is_end(const bitnet_vocab *v, bitnet_token id);

int32_t bitnet_vocab_size(const bitnet_vocab *v);     /* tokens, without padding rows */
int32_t bitnet_vocab_max_text(const bitnet_vocab *v); /* bytes of the longest token */
int32_t bitnet_vocab_bos(const bitnet_vocab *v);      /* -1 = none */
int32_t bitnet_vocab_eos(const bitnet_vocab *v);      /* -1 = none */
const char *bitnet_vocab_name(const bitnet_vocab *v); /* "gpt2/llama-bpe", "llama" */

#endif
