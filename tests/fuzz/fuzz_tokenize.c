/* fuzz_tokenize.c: any text, in any spans and with any flags, for two sound vocabularies of a few
 * hundred tokens: byte-level BPE and SentencePiece.
 *
 *     input   u8 flags | spans, each: u8 with bit 7 = parse_special, the rest = length | bytes
 *
 * What is cut as one text must not depend on how it was put together, control tokens must lie whole in
 * a span that allows them, and the text must come back.
 */
#include "fuzz.h"

#include "format/gguf.h"
#include "gguf_writer.h"
#include "base/utf8.h"
#include "text/vocab.h"

enum { MAX_SPANS = 64, MAX_TEXT = 1024, MAX_IDS = 3 * MAX_TEXT + 4 };

static bitnet_vocab *vocab_of(const tiny_vocab *t) {
    gguf_writer w;
    bitnet_dir dir;
    bitnet_vocab *v = NULL;
    gguf_writer_init(&w);
    tiny_vocab_put(t, &w);
    gguf_put_u32(&w, "tokenizer.ggml.bos_token_id", 300);
    bitnet_source src = gguf_writer_source(&w, true);
    if (bitnet_gguf_read(&dir, &src, NULL, NULL) < 0) abort();
    if (bitnet_vocab_create(&v, &dir, NULL, 4096, NULL, NULL) < 0) abort();
    bitnet_dir_free(&dir);
    gguf_writer_free(&w);
    return v;
}

static void add_specials(tiny_vocab *t) {
    while (t->n_token < 300)
        tiny_vocab_add(t, "", 5);
    tiny_vocab_add(t, "<s>", 3);
    tiny_vocab_add(t, "<|eot_id|>", 3);
    tiny_vocab_add(t, "<|eot_id|>>", 3);
    tiny_vocab_add(t, "ab<", 4);
    tiny_vocab_add(t, "  ", 4);
}

static bitnet_vocab *bpe_vocab(const char *pre) {
    static const char *const merges[] = {"a b",
                                         "b a",
                                         "ab a",
                                         "\xc4\xa0 a",
                                         "1 1",
                                         "a a",
                                         "aa aa",
                                         "\xc4\xa0 \xc4\xa0",
                                         "\xc3\xa4 \xc2\xb8"};
    tiny_vocab t;
    tiny_vocab_init(&t);
    t.pre = pre;
    for (size_t i = 0; i < sizeof merges / sizeof *merges; i++)
        tiny_vocab_merge(&t, merges[i]);
    add_specials(&t);
    bitnet_vocab *v = vocab_of(&t);
    tiny_vocab_free(&t);
    return v;
}

static bitnet_vocab *spm_vocab(void) {
    static const char *const texts[] = {"a",
                                        "b",
                                        "\xe2\x96\x81",
                                        "ab",
                                        "ba",
                                        "aba",
                                        "\xe2\x96\x81\x61",
                                        "aa",
                                        "aaaa",
                                        "\xe2\x96\x81\xe2\x96\x81",
                                        "\xe4\xb8\xad",
                                        "<",
                                        "<s",
                                        "s>"};
    tiny_vocab t;
    tiny_spm_init(&t);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        tiny_spm_add(&t, texts[i], (float)(i % 5) - 2.5f);
    add_specials(&t);
    bitnet_vocab *v = vocab_of(&t);
    tiny_vocab_free(&t);
    return v;
}

typedef struct input {
    bitnet_span span[MAX_SPANS];
    int32_t n_spans;
    bool parses_special;
    char text[3 * MAX_TEXT]; /* of all spans, repaired */
    size_t len;
    bool is_reversible; /* by SentencePiece: without its mark and without user-defined tokens */
} input;

static void read_spans(input *in, const uint8_t *data, size_t size) {
    *in = (input){.is_reversible = true};
    for (size_t at = 0; at < size && in->n_spans < MAX_SPANS;) {
        size_t n = data[at] & 127u;
        bool parses = data[at++] >> 7;
        if (n > size - at) n = size - at;
        in->span[in->n_spans++] = (bitnet_span){(const char *)data + at, n, parses};
        in->parses_special = in->parses_special || parses;
        in->len =
            (size_t)(bitnet_utf8_repair(in->text + in->len, (const char *)data + at, n) - in->text);
        at += n;
    }
    for (size_t i = 0; i < in->len; i++)
        if (in->len - i >= 3 &&
            (memcmp(in->text + i, SPM_SPACE, 3) == 0 || memcmp(in->text + i, "ab<", 3) == 0 ||
             memcmp(in->text + i, "  ", 2) == 0))
            in->is_reversible = false;
    if (in->len >= 2 && memcmp(in->text + in->len - 2, "  ", 2) == 0) in->is_reversible = false;
}

/* How often texts of control tokens begin in spans that allow them: more cannot be found. */
static int count_allowed(const input *in) {
    int n = 0;
    for (int32_t k = 0; k < in->n_spans; k++)
        for (size_t i = 0; in->span[k].parse_special && i < in->span[k].n; i++) {
            size_t left = in->span[k].n - i;
            const char *s = in->span[k].s + i;
            n += (left >= 3 && memcmp(s, "<s>", 3) == 0) ||
                 (left >= 10 && memcmp(s, "<|eot_id|>", 10) == 0);
        }
    return n;
}

static void check(const bitnet_vocab *v, const input *in, uint32_t flags) {
    static bitnet_token ids[MAX_IDS], again[MAX_IDS];
    static char back[3 * MAX_IDS];
    int32_t n = bitnet_vocab_encode_spans(v, in->span, in->n_spans, flags, ids, MAX_IDS);
    ORACLE(n >= 0 && n <= MAX_IDS);
    ORACLE(bitnet_vocab_encode_spans(v, in->span, in->n_spans, flags, NULL, 0) == n);
    int n_control = 0;
    int32_t has_bos = (flags & BITNET_TOKENIZE_BOS) && v->add_bos;
    ORACLE(!has_bos || (n >= 1 && ids[0] == 300));
    for (int32_t i = has_bos; i < n; i++)
        n_control += bitnet_vocab_special_kind(v, ids[i]) == SPECIAL_ON_REQUEST;
    ORACLE(n_control <= count_allowed(in));
    if (in->parses_special) return;
    /* put together it is the same text */
    flags &= BITNET_TOKENIZE_BOS;
    ORACLE(bitnet_vocab_encode(v, in->text, in->len, flags, again, MAX_IDS) == n);
    ORACLE(memcmp(ids, again, (size_t)n * sizeof *ids) == 0);
    if (!v->pretok && !in->is_reversible) return;
    int32_t n_back = bitnet_vocab_detokenize(v, ids, n, back, sizeof back);
    ORACLE(n_back >= 0 && (size_t)n_back == in->len && memcmp(back, in->text, in->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bitnet_vocab *vocabs[3];
    static input in;
    if (!vocabs[0]) {
        vocabs[0] = bpe_vocab("llama-bpe");
        vocabs[1] = bpe_vocab("gpt-2");
        vocabs[2] = spm_vocab();
    }
    if (size < 1 || size > MAX_TEXT) return 0;
    read_spans(&in, data + 1, size - 1);
    for (int k = 0; k < 3; k++)
        check(vocabs[k], &in, data[0]);
    return 0;
}
