/* text.c: bitnet/tokenizer.h and bitnet/chat.h over the vocabulary of a model. */
#include "model/model.h"
#include "text/chat.h"
#include "base/utf8.h"

int32_t bitnet_tokenize(const bitnet_model *m, const char *text, size_t len, uint32_t flags,
                        bitnet_token *out, int32_t cap) {
    if (!m->vocab) return BITNET_E_UNSUPPORTED;
    return bitnet_vocab_encode(m->vocab, text, len, flags, out, cap);
}

int32_t bitnet_token_text(const bitnet_model *m, bitnet_token id, char *out, int32_t cap) {
    if (!m->vocab) return BITNET_E_UNSUPPORTED;
    return bitnet_vocab_text(m->vocab, id, out, cap);
}

int32_t bitnet_detokenize(const bitnet_model *m, const bitnet_token *ids, int32_t n, char *out,
                          int32_t cap) {
    if (!m->vocab) return BITNET_E_UNSUPPORTED;
    return bitnet_vocab_detokenize(m->vocab, ids, n, out, cap);
}

int32_t bitnet_text_repair(const char *text, size_t n, char *out, int32_t cap) {
    size_t len = n ? bitnet_utf8_repaired_len(text, n) : 0;
    if (n > INT32_MAX || len > INT32_MAX) return BITNET_E_INVAL;
    if (cap >= 0 && len <= (size_t)cap) bitnet_utf8_repair(out, text, n);
    return (int32_t)len;
}

int bitnet_token_is_end(const bitnet_model *m, bitnet_token id) {
    return m->vocab && bitnet_vocab_is_end(m->vocab, id);
}

const char *bitnet_chat_template(const bitnet_model *m) {
    return m->chat_template;
}

int32_t bitnet_chat_tokenize(const bitnet_model *m, const char *template_name,
                             const bitnet_message *messages, int32_t n, uint32_t flags,
                             bitnet_token *out, int32_t cap, bitnet_error *err) {
    if (!m->vocab)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "chat.tokenizer",
                           "the model has no tokenizer, so a conversation cannot become tokens");
    if (!template_name) template_name = m->chat_template;
    return bitnet_chat_encode(m->vocab, template_name, messages, n, flags, out, cap, err);
}

int32_t bitnet_chat_render(const bitnet_model *m, const char *template_name,
                           const bitnet_message *messages, int32_t n, uint32_t flags, char *out,
                           int32_t cap, bitnet_error *err) {
    if (!template_name) template_name = m->chat_template;
    return bitnet_chat_write(&m->allocator, template_name, messages, n, flags, out, cap, err);
}
