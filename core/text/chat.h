/* chat.h (internal): families and their templates over a vocabulary. See bitnet/chat.h. */
#ifndef BITNET_TEXT_CHAT_H
#define BITNET_TEXT_CHAT_H

#include "bitnet/chat.h"
#include "text/tokenizer.h"

/* The family, from architecture and tokenizer keys alone: no vocabulary is built. Never NULL. */
const char *bitnet_chat_family(const bitnet_dir *dir, const char *arch);

/* As bitnet_chat_tokenize; family is one of the names. */
int32_t bitnet_chat_encode(const bitnet_vocab *v, const char *family,
                           const bitnet_message *messages, int32_t n, uint32_t flags,
                           bitnet_token *out, int32_t cap, bitnet_error *err);
/* As bitnet_chat_render. */
int32_t bitnet_chat_write(const bitnet_allocator *a, const char *family,
                          const bitnet_message *messages, int32_t n, uint32_t flags, char *out,
                          int32_t cap, bitnet_error *err);

#endif
