/* fuzz_chat.c: any conversation in every template.
 *
 *     input   u8 flags | messages, each: u8 role | u8 length | content
 *
 * Whatever is said, the control tokens of the prompt are those of the template: as many, and in the
 * same order, as for messages that say nothing. Only text that is not UTF-8 is refused.
 */
#include "fuzz.h"

#include "format/gguf.h"
#include "gguf_writer.h"
#include "text/chat.h"
#include "base/utf8.h"

enum { MAX_MESSAGES = 32, MAX_IDS = 16384, FIRST_CONTROL = 256 };

static bitnet_vocab *chat_vocab(void) {
    static const char *const texts[] = {
        "<s>",          "</s>",       "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>",
        "<|im_start|>", "<|im_end|>", "<|user|>",   "<|assistant|>",       "<|system|>"};
    gguf_writer w;
    tiny_vocab t;
    bitnet_dir dir;
    bitnet_vocab *v = NULL;
    gguf_writer_init(&w);
    tiny_vocab_init(&t);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        tiny_vocab_add(&t, texts[i],
                       i % 2 ? 3 : 4); /* user-defined ones too, as some files have them */
    t.type[FIRST_CONTROL] = 3;
    tiny_vocab_put(&t, &w);
    gguf_put_u32(&w, "tokenizer.ggml.bos_token_id", FIRST_CONTROL);
    gguf_put_u32(&w, "tokenizer.ggml.eos_token_id", FIRST_CONTROL + 1);
    bitnet_source src = gguf_writer_source(&w, true);
    if (bitnet_gguf_read(&dir, &src, NULL, NULL) < 0) abort();
    if (bitnet_vocab_create(&v, &dir, NULL, 4096, NULL, NULL) < 0) abort();
    bitnet_dir_free(&dir);
    tiny_vocab_free(&t);
    gguf_writer_free(&w);
    return v;
}

static int32_t read_messages(bitnet_message *m, const uint8_t *data, size_t size) {
    static const char *const roles[] = {"system", "user", "assistant"};
    int32_t n = 0;
    for (size_t at = 0; at + 2 <= size && n < MAX_MESSAGES; n++) {
        size_t len = data[at + 1] < size - at - 2 ? data[at + 1] : size - at - 2;
        m[n] = (bitnet_message){roles[data[at] % 3], (const char *)data + at + 2, len};
        at += 2 + len;
    }
    return n;
}

/* Moves the control tokens among ids to the front; returns how many there are. */
static int32_t keep_control(bitnet_token *ids, int32_t n) {
    int32_t kept = 0;
    for (int32_t i = 0; i < n; i++)
        if (ids[i] >= FIRST_CONTROL) ids[kept++] = ids[i];
    return kept;
}

static void check(const bitnet_vocab *v, const char *family, const bitnet_message *m, int32_t n,
                  uint32_t flags) {
    static bitnet_token ids[MAX_IDS], plain[MAX_IDS];
    bitnet_message silent[MAX_MESSAGES];
    bitnet_error err = {0};
    bool is_text = true;
    for (int32_t i = 0; i < n; i++) {
        is_text = is_text && bitnet_utf8_check(m[i].content, m[i].content_len) == m[i].content_len;
        silent[i] = (bitnet_message){m[i].role, "", 0};
    }
    int32_t n_ids = bitnet_chat_encode(v, family, m, n, flags, ids, MAX_IDS, &err);
    ORACLE(is_text ? n_ids >= 0 && n_ids <= MAX_IDS : n_ids == BITNET_E_FORMAT && err.text[0]);
    if (!is_text) return;
    ORACLE(bitnet_chat_encode(v, family, m, n, flags, NULL, 0, &err) == n_ids);
    int32_t n_plain = bitnet_chat_encode(v, family, silent, n, flags, plain, MAX_IDS, &err);
    n_ids = keep_control(ids, n_ids);
    n_plain = keep_control(plain, n_plain);
    ORACLE(n_ids == n_plain && memcmp(ids, plain, (size_t)n_ids * sizeof *ids) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bitnet_vocab *v;
    bitnet_message m[MAX_MESSAGES];
    if (!v) v = chat_vocab();
    if (size < 1 || size > 512) return 0;
    int32_t n = read_messages(m, data + 1, size - 1);
    if (n == 0) return 0;
    for (int32_t f = 0; bitnet_chat_template_name(f); f++)
        check(v, bitnet_chat_template_name(f), m, n, data[0]);
    return 0;
}
