/* test_tokenizer_vectors.c: real vocabularies: recorded ids of three of them (bitnet-tales, LLaMA 3,
 * LLaMA 2's SentencePiece), and text of every kind there and back through all three.
 */
#include "vocab_fixture.h"

#include "base/utf8.h"

enum { TALES, LLAMA3, SPM, N_VOCABS };

/* Those that are not beside the tree are NULL. */
static void open_vocabs(bitnet_vocab *v[N_VOCABS]) {
    v[TALES] = shipped_vocab();
    v[LLAMA3] = llama3_vocab();
    v[SPM] = llama_spm_vocab();
}

static void close_vocabs(bitnet_vocab *v[N_VOCABS]) {
    for (int k = 0; k < N_VOCABS; k++)
        bitnet_vocab_free(v[k]);
}

/* ---- recorded ids ------------------------------------------------------------------------ */

static void the_shipped_vocabulary_gives_the_recorded_ids(void **state) {
    (void)state;
    bitnet_vocab *v = shipped_vocab();
    cJSON *golden = test_golden();
    const cJSON *c;
    bitnet_token want[512];
    int n_case = 0;
    cJSON_ArrayForEach(c, cJSON_GetObjectItemCaseSensitive(golden, "tokenizer")) {
        const char *text = cJSON_GetObjectItemCaseSensitive(c, "text")->valuestring;
        int32_t n = test_int_array(cJSON_GetObjectItemCaseSensitive(c, "ids"), want, 512);
        expect_ids(v, text, strlen(text), 0, want, n);
        n_case++;
    }
    cJSON_ArrayForEach(c, cJSON_GetObjectItemCaseSensitive(golden, "prompts")) {
        const char *text = cJSON_GetObjectItemCaseSensitive(c, "text")->valuestring;
        int32_t n = test_int_array(cJSON_GetObjectItemCaseSensitive(c, "ids"), want, 512);
        expect_ids(v, text, strlen(text), BITNET_TOKENIZE_BOS, want, n);
        n_case++;
    }
    assert_int_equal(n_case, 7);

    const cJSON *valid = cJSON_GetObjectItemCaseSensitive(golden, "validation");
    int32_t n_want =
        test_int_array(cJSON_GetObjectItemCaseSensitive(valid, "first_ids"), want, 512);
    size_t len;
    int32_t n;
    char *text = test_file_read("tests/golden/bitnet-tales.valid.txt", &len);
    bitnet_token *ids = encode_all(v, text, len, 0, &n);
    assert_int_equal(n, cJSON_GetObjectItemCaseSensitive(valid, "tokens")->valueint);
    assert_memory_equal(ids, want, (size_t)n_want * sizeof *ids);
    free(ids);
    free(text);
    cJSON_Delete(golden);
    bitnet_vocab_free(v);
}

/* The 47 cases that llama.cpp tests its tokenizers with, and its ids: one line per case. */
static void expect_published(bitnet_vocab *v, const char *out_name) {
    static const char sep[] = "\n__ggml_vocab_test__\n";
    size_t len_in, len_out;
    char *in = published_file("tokenizer-cases.inp", &len_in);
    char *out = published_file(out_name, &len_out);
    assert_true(in && out); /* they lie beside the vocabulary */
    char *text = in, *line = out;
    int n_case = 0;
    for (bool is_last = false; !is_last; n_case++) {
        char *end = strstr(text, sep), *next = NULL;
        is_last = !end;
        if (is_last) end = in + len_in;
        bitnet_token want[512];
        int32_t n = 0;
        for (char *stop = line + strcspn(line, "\n"); line < stop; line = next)
            want[n++] = (bitnet_token)strtol(line, &next, 10);
        if (*line) line++; /* the last line has no newline */
        expect_ids(v, text, (size_t)(end - text), 0, want, n);
        text = end + sizeof sep - 1;
    }
    assert_int_equal(n_case, 47);
    assert_ptr_equal(line, out + len_out);
    free(in);
    free(out);
}

static void the_published_llama3_vectors_are_reproduced(void **state) {
    (void)state;
    bitnet_vocab *v = llama3_vocab();
    if (!v) skip();
    expect_published(v, "llama3.out");
    bitnet_vocab_free(v);
}

static void the_published_sentencepiece_vectors_are_reproduced(void **state) {
    (void)state;
    bitnet_vocab *v = llama_spm_vocab();
    if (!v) skip();
    expect_published(v, "llama-spm.out");
    assert_string_equal(bitnet_vocab_name(v), "llama");
    assert_int_equal(bitnet_vocab_bos(v), 1);
    assert_int_equal(bitnet_vocab_eos(v), 2);
    EXPECT_IDS(v, "Hello world", BITNET_TOKENIZE_BOS, 1, 15043, 3186);
    EXPECT_IDS(v, "", BITNET_TOKENIZE_BOS, 1);
    EXPECT_IDS(v, "</s>Hello", BITNET_TOKENIZE_SPECIAL, 2, 15043);
    for (bitnet_token id = 0; id < 32000; id++)
        assert_int_equal(bitnet_vocab_is_end(v, id), id == 2);
    bitnet_vocab_free(v);
}

static void small_llama3_vectors_are_reproduced(void **state) {
    (void)state;
    bitnet_vocab *v = llama3_vocab();
    if (!v) skip();
    EXPECT_IDS(v, "Hello world", 0, 9906, 1917);
    EXPECT_IDS(v, " Hello, world!", 0, 22691, 11, 1917, 0);
    EXPECT_IDS(v, "The capital of France is", 0, 791, 6864, 315, 9822, 374);
    EXPECT_IDS(v, "Hello, y'all! How are you \xf0\x9f\x98\x81 ?", 0, 9906, 11, 379, 65948, 0, 2650,
               527, 499, 27623, 223, 949);
    EXPECT_IDS(v, "I'VE  done\n\n \t it: 12345", 0, 40, 6, 4592, 220, 2884, 271, 7163, 433, 25, 220,
               4513, 1774);
    EXPECT_IDS(v, "    return x", 0, 262, 471, 865);
    EXPECT_IDS(v,
               "C\xe1\xbb\xad"
               "a Vi\xe1\xbb\x87t",
               0, 34, 91163, 101798);
    EXPECT_IDS(v, "na\xc3\xafve caf\xc3\xa9 \xe2\x80\x94 d\xc3\xa9j\xc3\xa0 vu", 0, 3458, 38672,
               588, 53050, 2001, 46939, 33614);
    EXPECT_IDS(v, "User: What is the capital of France?<|eot_id|>Assistant: ",
               BITNET_TOKENIZE_BOS | BITNET_TOKENIZE_SPECIAL, 128000, 1502, 25, 3639, 374, 279,
               6864, 315, 9822, 30, 128009, 72803, 25, 220);
    assert_int_equal(bitnet_vocab_size(v), 128256);
    assert_int_equal(bitnet_vocab_max_text(v), 128);
    assert_int_equal(bitnet_vocab_bos(v), 128000);
    assert_int_equal(bitnet_vocab_eos(v), 128001);
    assert_string_equal(bitnet_vocab_name(v), "gpt2/llama-bpe");
    for (bitnet_token id = 0; id < 128256; id++)
        assert_int_equal(bitnet_vocab_is_end(v, id), id == 128001 || id == 128009 || id == 128008);
    bitnet_vocab_free(v);
}

/* ---- there and back ---------------------------------------------------------------------- */

/* SentencePiece reads U+2581 as a space, which is what it then prints. */
static size_t with_spaces(char *s, size_t n) {
    size_t len = 0;
    for (size_t i = 0; i < n;) {
        bool is_mark = n - i >= 3 && memcmp(s + i, "\xe2\x96\x81", 3) == 0;
        s[len++] = is_mark ? ' ' : s[i];
        i += is_mark ? 3 : 1;
    }
    return len;
}

/* Encoded and detokenized the text is what it was, every invalid byte replaced. */
static void expect_there_and_back(bitnet_vocab *const v[N_VOCABS], const char *text, size_t len,
                                  const char *what) {
    char *want = malloc(3 * len + 1);
    assert_non_null(want);
    for (int k = 0; k < N_VOCABS; k++) {
        if (!v[k]) continue;
        int32_t n;
        size_t n_want = (size_t)(bitnet_utf8_repair(want, text, len) - want), n_back;
        bitnet_token *ids = encode_all(v[k], text, len, 0, &n);
        char *back = detokenized(v[k], ids, n, &n_back);
        if (k == SPM) n_want = with_spaces(want, n_want);
        if (n_back != n_want || memcmp(back, want, n_want) != 0)
            fail_msg("%s, %s: \"%.*s\" came back as \"%.*s\"", bitnet_vocab_name(v[k]), what,
                     (int)n_want, want, (int)n_back, back);
        free(back);
        free(ids);
    }
    free(want);
}

static uint32_t random_character(void) {
    switch (rand() % 6) {
    case 0:
        return (uint32_t)(rand() % 0x80);
    case 1:
        return (uint32_t)(rand() % 0x800);
    case 2:
        return (uint32_t)(rand() % 0xd800);
    case 3:
        return (uint32_t)(0xe000 + rand() % 0x2000);
    case 4:
        return (uint32_t)(0x10000 + rand() % 0x100000);
    default:
        return (uint32_t) "\n\t  'e1"[rand() % 7];
    }
}

static void random_text_of_all_planes_survives_encoding(void **state) {
    (void)state;
    const unsigned seed = 46;
    bitnet_vocab *v[N_VOCABS];
    open_vocabs(v);
    srand(seed);
    for (int round = 0; round < 4000; round++) {
        char text[4 * 60], what[40];
        size_t len = 0;
        for (int i = rand() % 60; i > 0; i--)
            len += (size_t)bitnet_utf8_encode(random_character(), text + len);
        sprintf(what, "seed %u, round %d", seed, round);
        expect_there_and_back(v, text, len, what);
    }
    close_vocabs(v);
}

/* Every character that Unicode has given a meaning (planes 0 to 2), and some of the others: alone on
 * a line, doubled, between letters, after an apostrophe and a space. */
static void every_character_survives_in_any_company(void **state) {
    (void)state;
    enum { BATCH = 64 };
    bitnet_vocab *v[N_VOCABS];
    open_vocabs(v);
    char text[BATCH * 64], what[40], c[5];
    for (uint32_t cp = 0; cp < 0x110000;) {
        size_t len = 0;
        sprintf(what, "from U+%04X on", cp);
        for (int i = 0; i < BATCH && cp < 0x110000; i++, cp += cp < 0x30000 ? 1 : 97) {
            c[bitnet_utf8_encode(cp, c)] = 0;
            if (cp == 0 || !*c)
                continue; /* surrogates are no characters; zero is in the random texts */
            len += (size_t)sprintf(text + len, "%s\n%s%s\na%sb '%s ", c, c, c, c, c);
        }
        expect_there_and_back(v, text, len, what);
    }
    close_vocabs(v);
}

static void every_character_alone_is_tokens_that_spell_it_never_the_unknown_one(void **state) {
    (void)state;
    bitnet_vocab *v = llama_spm_vocab();
    if (!v) skip();
    for (uint32_t cp = 1; cp < 0x30000; cp++) {
        char c[4], text[64];
        bitnet_token ids[8];
        int len = bitnet_utf8_encode(cp, c);
        if (len == 0 || cp == 0x2581) continue;
        int32_t n = bitnet_vocab_encode(v, c, (size_t)len, 0, ids, 8), at = 0;
        bool is_in_bytes = n >= len && ids[n - 1] >= 3 && ids[n - 1] < 259; /* <0x00> to <0xFF> */
        for (int32_t i = 0; i < n; i++) {
            if (ids[i] == 0) fail_msg("U+%04X: %s holds the unknown token", cp, ids_text(ids, n));
            at += bitnet_vocab_text(v, ids[i], text + at, 16);
        }
        if (n > (is_in_bytes ? 1 + len : 2) || at != 1 + len || text[0] != ' ' ||
            memcmp(text + 1, c, (size_t)len) != 0)
            fail_msg("U+%04X: got %s, \"%.*s\"", cp, ids_text(ids, n), at, text);
    }
    bitnet_vocab_free(v);
}

static void every_byte_that_is_no_text_is_replaced(void **state) {
    (void)state;
    bitnet_vocab *v[N_VOCABS];
    open_vocabs(v);
    for (int b = 0; b < 256; b++) {
        char alone[] = {(char)b}, among[] = {'a', (char)b, ' ', (char)b, (char)b, 'b'}, what[16];
        sprintf(what, "byte %02x", (unsigned)b);
        expect_there_and_back(v, alone, sizeof alone, what);
        expect_there_and_back(v, among, sizeof among, what);
    }
    close_vocabs(v);
}

/* One piece of a megabyte, or many small ones. An algorithm that rescans would take 10^12 steps. */
static void a_megabyte_of_one_character_is_encoded(void **state) {
    (void)state;
    static const char *const characters[] = {
        "a",   " ", "\n", "!", "7", "'", "\t", "\xc3\xa9", "\xe4\xb8\xad", "\xf0\x9f\x98\x81",
        "\xff"};
    const size_t len = 1 << 20;
    bitnet_vocab *v[N_VOCABS];
    open_vocabs(v);
    char *text = malloc(len + 4);
    assert_non_null(text);
    for (size_t i = 0; i < LEN(characters); i++) {
        size_t n = 0;
        while (n < len)
            n += (size_t)sprintf(text + n, "%s", characters[i]);
        expect_there_and_back(v, text, n, "a megabyte");
    }
    free(text);
    close_vocabs(v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shipped_vocabulary_gives_the_recorded_ids),
        cmocka_unit_test(the_published_llama3_vectors_are_reproduced),
        cmocka_unit_test(the_published_sentencepiece_vectors_are_reproduced),
        cmocka_unit_test(small_llama3_vectors_are_reproduced),
        cmocka_unit_test(random_text_of_all_planes_survives_encoding),
        cmocka_unit_test(every_character_survives_in_any_company),
        cmocka_unit_test(every_character_alone_is_tokens_that_spell_it_never_the_unknown_one),
        cmocka_unit_test(every_byte_that_is_no_text_is_replaced),
        cmocka_unit_test(a_megabyte_of_one_character_is_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
