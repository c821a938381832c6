/* tokenizer.h (internal): the vocabulary and the byte-level BPE encoder; no model, no file.
 *
 * Supported is tokenizer.ggml.model "gpt2" with the LLaMA-3 pre-tokenizer (llama-bpe, falcon3 and
 * their aliases). A vocabulary is immutable once built; any number of threads may encode with it.
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

/* As bitnet_tokenize. Scratch is one allocation, 32 bytes per byte of the longest piece. A byte
 * that has no token becomes the unknown token, or nothing in a vocabulary without one. */
int32_t bitnet_vocab_encode(const bitnet_vocab *v, const char *text, size_t len, uint32_t flags,
                            bitnet_token *out, int32_t cap);
/* As bitnet_token_text. Control and unknown tokens and padding rows give zero bytes. */
int32_t bitnet_vocab_text(const bitnet_vocab *v, bitnet_token id, char *out, int32_t cap);
bool bitnet_vocab_is_end(const bitnet_vocab *v, bitnet_token id);

int32_t bitnet_vocab_size(const bitnet_vocab *v);     /* tokens, without padding rows */
int32_t bitnet_vocab_max_text(const bitnet_vocab *v); /* bytes of the longest token */
int32_t bitnet_vocab_bos(const bitnet_vocab *v);      /* -1 = none */
int32_t bitnet_vocab_eos(const bitnet_vocab *v);      /* -1 = none */
const char *bitnet_vocab_name(const bitnet_vocab *v); /* "gpt2/llama-bpe" */

#endif
