/* tokenizer.h: text <-> tokens with the vocabulary of a loaded model. */
#ifndef BITNET_TOKENIZER_H
#define BITNET_TOKENIZER_H

#include "bitnet/model.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    BITNET_TOKENIZE_BOS = 1, /* put BOS first if the model wants one and the text has none; and EOS
                                last, where the file asks for that (add_eos_token) */
    BITNET_TOKENIZE_SPECIAL =
        2, /* let "<|eot_id|>" in the text become that token; never for user text */
};

/* Returns the number of tokens the text needs and writes at most cap of them, as snprintf does.
 * Invalid UTF-8 bytes become U+FFFD each, in splitting and in bytes. Negative: a bitnet_status
 * (E_NOMEM for scratch, E_UNSUPPORTED when the model has no tokenizer, E_INVAL when len > 1 GiB).
 */
BITNET_API int32_t bitnet_tokenize(const bitnet_model *model, const char *text, size_t len,
                                   uint32_t flags, bitnet_token *out, int32_t cap);

/* Bytes of one token, not terminated; a token may hold part of a UTF-8 character. Control tokens
 * give zero bytes. Same return rule as above; E_INVAL for an id outside the vocabulary. */
BITNET_API int32_t bitnet_token_text(const bitnet_model *model, bitnet_token id, char *out,
                                     int32_t cap);

/* Text of tokens ids[0..n) as bytes, as the snprintf rule above: what the tokenizer made them from,
 * but for a leading space that it put there itself (SentencePiece). */
BITNET_API int32_t bitnet_detokenize(const bitnet_model *model, const bitnet_token *ids, int32_t n,
                                     char *out, int32_t cap);

/* Text as JSON and terminals want it: every byte that is not part of valid UTF-8 becomes U+FFFD. The
 * same rule; at most 3 n bytes are needed. E_INVAL when these do not fit the return value. */
BITNET_API int32_t bitnet_text_repair(const char *text, size_t n, char *out, int32_t cap);

/* True for every id on which generation stops (eos, eot, eom and the known texts). */
BITNET_API int bitnet_token_is_end(const bitnet_model *model, bitnet_token id);

#ifdef __cplusplus
}
#endif
#endif
