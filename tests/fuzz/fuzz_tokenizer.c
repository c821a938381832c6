/* fuzz_tokenizer.c: any bytes as a vocabulary, and a text for it.
 *
 *     input   u8 flags | u8 length of the text | text | GGUF file
 *
 * A vocabulary that loads has the name that was foretold, encodes everything within its own ids, names
 * control tokens only when asked, and gives the text back where it has a token for every byte.
 */
#include "fuzz.h"

#include "count_alloc.h"
#include "format/gguf.h"
#include "gguf_writer.h"
#include "base/utf8.h"
#include "text/vocab.h"

enum { MAX_TEXT = 255, MAX_IDS = 3 * MAX_TEXT + 4, N_ROWS = 1000 };

/* The text as the encoder must see it: invalid bytes replaced. */
static size_t repaired(char *out, const char *s, size_t n) {
    size_t len = 0;
    for (size_t i = 0; i < n;) {
        uint32_t cp = 0xfffd;
        int step = bitnet_utf8_decode(s + i, n - i, &cp);
        len += (size_t)bitnet_utf8_encode(cp, out + len);
        i += step ? (size_t)step : 1;
    }
    return len;
}

static bool has_all_bytes(const bitnet_vocab *v) {
    for (int b = 0; b < 256; b++)
        if (v->byte_token[b] < 0) return false;
    return true;
}

/* SentencePiece reads its mark as a space and puts one behind every user-defined token, so such texts
 * do not come back as they were. */
static bool is_reversible(const bitnet_vocab *v, const char *text, size_t len,
                          const bitnet_token *ids, int32_t n) {
    if (v->pretok) return true;
    for (size_t i = 0; i + 3 <= len; i++)
        if (memcmp(text + i, SPM_SPACE, 3) == 0) return false;
    for (int32_t i = 0; i < n; i++)
        if (bitnet_vocab_special_kind(v, ids[i])) return false;
    return true;
}

static void check_text(const bitnet_vocab *v, const char *text, size_t len, uint32_t flags) {
    static bitnet_token ids[MAX_IDS];
    static char back[MAX_IDS * TOKEN_MAX_BYTES], want[3 * MAX_TEXT];
    int32_t n = bitnet_vocab_encode(v, text, len, flags, ids, MAX_IDS);
    ORACLE(n >= 0 && n <= MAX_IDS);
    ORACLE(bitnet_vocab_encode(v, text, len, flags, NULL, 0) == n);
    bool has_bos = (flags & BITNET_TOKENIZE_BOS) && v->add_bos && v->bos >= 0;
    bool has_eos = (flags & BITNET_TOKENIZE_BOS) && v->add_eos && v->eos >= 0;
    bool is_asked = flags & BITNET_TOKENIZE_SPECIAL;
    ORACLE(!has_bos || (n >= 1 && ids[0] == v->bos));
    ORACLE(!has_eos || (n >= 1 && ids[n - 1] == v->eos));
    for (int32_t i = has_bos; i < n - has_eos; i++) {
        ORACLE(ids[i] >= 0 && ids[i] < bitnet_vocab_size(v));
        bool is_silent = bitnet_vocab_special_kind(v, ids[i]) == SPECIAL_ON_REQUEST;
        ORACLE(!is_silent || is_asked || ids[i] == v->unknown);
        int32_t step = bitnet_vocab_text(v, ids[i], back, bitnet_vocab_max_text(v));
        ORACLE(step >= 0 && step <= bitnet_vocab_max_text(v));
    }
    int32_t n_back = bitnet_vocab_detokenize(v, ids + has_bos, n - has_bos, back, sizeof back);
    ORACLE(n_back >= 0 && n_back <= (int32_t)sizeof back);
    if (has_all_bytes(v) && !is_asked && !has_eos &&
        is_reversible(v, text, len, ids + has_bos, n - has_bos))
        ORACLE((size_t)n_back == repaired(want, text, len) &&
               memcmp(back, want, (size_t)n_back) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || size - 2 < data[1]) return 0;
    uint32_t flags = data[0] & (BITNET_TOKENIZE_BOS | BITNET_TOKENIZE_SPECIAL);
    size_t n_text = data[1], n_file = size - 2 - n_text;
    gguf_bytes file = {malloc(n_file + 1), n_file, n_file};
    char *text = malloc(n_text + 1);
    bitnet_dir dir;
    bitnet_vocab *v = NULL;
    if (!file.p || !text) abort();
    memcpy(text, data + 2, n_text);
    memcpy(file.p, data + 2 + n_text, n_file);
    bitnet_source src = gguf_bytes_source(&file, true);
    if (bitnet_gguf_read(&dir, &src, NULL, NULL) == BITNET_OK) {
        count_alloc c = {.fail_at = data[0] >> 2 & 3};
        bitnet_allocator a = count_alloc_of(&c);
        bitnet_error err = {0};
        bitnet_status st = bitnet_vocab_create(&v, &dir, NULL, N_ROWS, &a, &err);
        ORACLE(st == BITNET_OK || (st < 0 && !v && err.status == st && err.text[0]));
        ORACLE(c.peak <= 8 * n_file + ((size_t)1 << 20));
        c.fail_at = 0;
        const char *name = bitnet_vocab_name_of(&dir, NULL);
        ORACLE(!v || strcmp(name, bitnet_vocab_name(v)) == 0);
        ORACLE(st != BITNET_E_UNSUPPORTED || strcmp(name, "unsupported") == 0);
        bitnet_dir_free(&dir);
        if (v) check_text(v, text, n_text, flags);
        bitnet_vocab_free(v);
        ORACLE(c.live == 0);
    }
    free(text);
    free(file.p);
    return 0;
}
