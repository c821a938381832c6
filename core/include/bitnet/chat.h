/* chat.h: a conversation -> tokens, by the family that the model belongs to.
 *
 * The Jinja program in a model file is never run: a family is recognised from the architecture and
 * the vocabulary, and its template is written out here (docs/tokenizers.md has them all). What a message
 * says is never parsed for special tokens, so no user can speak in another one's turn.
 *
 *     bitnet    System: ...<|eot_id|>User: ...<|eot_id|>Assistant:        (BitNet-b1.58-2B-4T)
 *     llama3    <|start_header_id|>user<|end_header_id|> ... <|eot_id|>
 *     falcon3   <|user|> ... <|assistant|>
 *     chatml    <|im_start|>user ... <|im_end|>                           (Falcon-E and others)
 *     none      contents one after the other, as they are: base models
 */
#ifndef BITNET_CHAT_H
#define BITNET_CHAT_H

#include "bitnet/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bitnet_message {
    const char *role;    /* "system", "user", "assistant" */
    const char *content; /* UTF-8 */
    size_t content_len;
} bitnet_message;

enum {
    BITNET_CHAT_ANSWER = 1, /* end with the opening of the assistant's turn */
    BITNET_CHAT_SPLIT = 2,  /* bitnet only: tokenize "User: " and the content apart, as Microsoft's
                               GPU code does, instead of the joined text; ignored elsewhere */
};

/* The family of the model: a name from the list above, "none" if there is no template. */
BITNET_API const char *bitnet_chat_template(const bitnet_model *model);
/* The i-th name of the list, NULL past its end. */
BITNET_API const char *bitnet_chat_template_name(int32_t i);

/* Returns the number of tokens the conversation needs, BOS included, and writes at most cap of them.
 * `template_name` NULL = the model's family. Negative, with a sentence in err:
 *   E_INVAL        no messages, an unknown template name or role
 *   E_FORMAT       a content that is not valid UTF-8
 *   E_UNSUPPORTED  no tokenizer, or the vocabulary lacks a token that the template needs
 *   E_NOMEM */
BITNET_API int32_t bitnet_chat_tokenize(const bitnet_model *model, const char *template_name,
                                        const bitnet_message *messages, int32_t n, uint32_t flags,
                                        bitnet_token *out, int32_t cap, bitnet_error *err);

/* The text that bitnet_chat_tokenize tokenizes, without BOS: the bytes needed, of which it writes at most
 * cap, not terminated. The flags and refusals are the same; the vocabulary is not needed. */
BITNET_API int32_t bitnet_chat_render(const bitnet_model *model, const char *template_name,
                                      const bitnet_message *messages, int32_t n, uint32_t flags,
                                      char *out, int32_t cap, bitnet_error *err);

#ifdef __cplusplus
}
#endif
#endif
