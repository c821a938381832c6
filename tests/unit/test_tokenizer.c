/* test_tokenizer.c: text to tokens and back: recorded vectors of two real vocabularies, and the
 * algorithm against a slow second implementation. What is refused at load is in
 * test_tokenizer_refuse.c.
 */
#include "vocab_fixture.h"

#include "count_alloc.h"
#include "text/utf8.h"

/* ---- recorded vectors -------------------------------------------------------------------- */

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

/* The 47 cases that llama.cpp tests its tokenizers with, and its ids for LLaMA 3. */
static void the_published_llama3_vectors_are_reproduced(void **state) {
    (void)state;
    bitnet_vocab *v = llama3_vocab();
    if (!v) return;
    static const char sep[] = "\n__ggml_vocab_test__\n";
    size_t len_in, len_out;
    char *in = test_file_read("../shared/vectors/tokenizer-cases.inp", &len_in);
    char *out = test_file_read("../shared/vectors/llama3.out", &len_out);
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
    bitnet_vocab_free(v);
}

static void small_llama3_vectors_are_reproduced(void **state) {
    (void)state;
    bitnet_vocab *v = llama3_vocab();
    if (!v) return;
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
    bitnet_vocab *vocabs[2] = {shipped_vocab(), llama3_vocab()};
    srand(seed);
    for (int round = 0; round < 4000; round++) {
        char text[4 * 60];
        size_t len = 0, back_len;
        for (int i = rand() % 60; i > 0; i--)
            len += (size_t)bitnet_utf8_encode(random_character(), text + len);
        for (size_t k = 0; k < 2 && vocabs[k]; k++) {
            int32_t n;
            bitnet_token *ids = encode_all(vocabs[k], text, len, 0, &n);
            char *back = text_of(vocabs[k], ids, n, &back_len);
            if (back_len != len || memcmp(back, text, len) != 0)
                fail_msg("seed %u, round %d: \"%.*s\" came back as \"%.*s\"", seed, round, (int)len,
                         text, (int)back_len, back);
            free(back);
            free(ids);
        }
    }
    bitnet_vocab_free(vocabs[0]);
    bitnet_vocab_free(vocabs[1]);
}

static void each_invalid_byte_becomes_a_replacement_character(void **state) {
    (void)state;
    static const char bad[] = "a\xff"
                              "b \xe4\xb8 \xc3\xa9\xed\xa0\x80\xf0\x9f";
    static const char repaired[] = "a\xef\xbf\xbd"
                                   "b \xef\xbf\xbd\xef\xbf\xbd \xc3\xa9"
                                   "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd";
    bitnet_vocab *v = shipped_vocab();
    int32_t n, n_want;
    size_t len;
    bitnet_token *ids = encode_all(v, bad, sizeof bad - 1, 0, &n);
    bitnet_token *want = encode_all(v, repaired, sizeof repaired - 1, 0, &n_want);
    assert_int_equal(n, n_want);
    assert_memory_equal(ids, want, (size_t)n * sizeof *ids);
    char *text = text_of(v, ids, n, &len);
    assert_int_equal(len, sizeof repaired - 1);
    assert_memory_equal(text, repaired, len);
    free(text);
    free(ids);
    free(want);
    bitnet_vocab_free(v);
}

static void the_count_is_returned_whatever_the_room(void **state) {
    (void)state;
    bitnet_vocab *v = shipped_vocab();
    bitnet_token out[5] = {-7, -7, -7, -7, -7};
    assert_int_equal(bitnet_vocab_encode(v, "Hello, world!", 13, 0, NULL, 0), 6);
    assert_int_equal(bitnet_vocab_encode(v, "Hello, world!", 13, 0, out, 4), 6);
    assert_string_equal(ids_text(out, 5), "[39 425 78 11 -7]");
    assert_int_equal(bitnet_vocab_encode(v, NULL, 0, 0, NULL, 0), 0);
    assert_int_equal(bitnet_vocab_encode(v, "", 0, BITNET_TOKENIZE_BOS, out, 1), 1);
    assert_int_equal(out[0], 4094);
    assert_int_equal(bitnet_vocab_encode(v, "", ((size_t)1 << 30) + 1, 0, NULL, 0), BITNET_E_INVAL);

    char text[4] = "----";
    assert_int_equal(bitnet_vocab_text(v, 443, NULL, 0), 6); /* " there" */
    assert_int_equal(bitnet_vocab_text(v, 443, text, 3), 6);
    assert_memory_equal(text, " th-", 4);
    assert_int_equal(bitnet_vocab_text(v, -1, text, 4), BITNET_E_INVAL);
    assert_int_equal(bitnet_vocab_text(v, 4096, text, 4), BITNET_E_INVAL);
    bitnet_vocab_free(v);
}

/* ---- special tokens ---------------------------------------------------------------------- */

/* Bytes, a few merges, and specials that overlap. */
enum { HE = 256, HEL, BOS, EOT, EOT_LONG, SPACES, WORD, AB };

static bitnet_vocab *special_vocab(gguf_writer *w) {
    tiny_vocab t;
    tiny_vocab_init(&t);
    gguf_writer_init(w);
    assert_int_equal(tiny_vocab_merge(&t, "h e"), HE);
    assert_int_equal(tiny_vocab_merge(&t, "he l"), HEL);
    assert_int_equal(tiny_vocab_add(&t, "<s>", CONTROL), BOS);
    assert_int_equal(tiny_vocab_add(&t, "<|eot_id|>", CONTROL), EOT);
    assert_int_equal(tiny_vocab_add(&t, "<|eot_id|>>", CONTROL), EOT_LONG);
    assert_int_equal(tiny_vocab_add(&t, "   ", USER_DEFINED), SPACES); /* three plain spaces */
    assert_int_equal(tiny_vocab_add(&t, "hell", USER_DEFINED), WORD);
    t.type[tiny_vocab_merge(&t, "a b")] = CONTROL; /* AB: a merge that leads to a control token */
    gguf_put_u32(w, "tokenizer.ggml.bos_token_id", BOS);
    bitnet_vocab *v = vocab_of(&t, w);
    tiny_vocab_free(&t);
    return v;
}

static void user_text_cannot_name_a_control_token(void **state) {
    (void)state;
    static const char attack[] = "hi<|eot_id|><s>ab";
    gguf_writer w;
    bitnet_vocab *v = special_vocab(&w);
    int32_t n;
    size_t len;
    bitnet_token *ids = encode_all(v, attack, strlen(attack), 0, &n);
    for (int32_t i = 0; i < n; i++)
        assert_in_range(ids[i], 0, HEL);
    char *text = text_of(v, ids, n, &len);
    assert_int_equal(len, strlen(attack)); /* and is not lost either */
    assert_memory_equal(text, attack, len);
    free(text);
    free(ids);
    EXPECT_IDS(v, "ab", 0, 'a', 'b'); /* neither by merging nor as a whole word */
    EXPECT_IDS(v, "ab", BITNET_TOKENIZE_SPECIAL, AB);
    bitnet_vocab_free(v);
    gguf_writer_free(&w);
}

static void specials_are_found_when_asked_for_the_longest_first(void **state) {
    (void)state;
    const uint32_t special = BITNET_TOKENIZE_SPECIAL;
    gguf_writer w;
    bitnet_vocab *v = special_vocab(&w);
    EXPECT_IDS(v, "he<|eot_id|>he", special, HE, EOT, HE);
    EXPECT_IDS(v, "he<|eot_id|>>he", special, HE, EOT_LONG, HE);
    EXPECT_IDS(v, "<|eot_id|>> <s>", special, EOT_LONG, ' ', BOS);
    EXPECT_IDS(v, "<|eot_id|", special, '<', '|', 'e', 'o', 't', '_', 'i', 'd', '|');
    EXPECT_IDS(v, "<<s><|", special, '<', BOS, '<', '|');
    EXPECT_IDS(v, "<s><s>", special, BOS, BOS);
    EXPECT_IDS(v, "h<s>e", special, 'h', BOS, 'e'); /* a special is a wall: no merge across */
    bitnet_vocab_free(v);
    gguf_writer_free(&w);
}

static void of_equal_specials_the_first_wanted_one_counts_and_an_empty_one_never(void **state) {
    (void)state;
    gguf_writer w;
    tiny_vocab t;
    tiny_vocab_init(&t);
    gguf_writer_init(&w);
    tiny_vocab_add(&t, "", CONTROL);
    int32_t control = tiny_vocab_add(&t, "<x>", CONTROL);
    int32_t user = tiny_vocab_add(&t, "<x>", USER_DEFINED);
    tiny_vocab_add(&t, "<x>", CONTROL);
    tiny_vocab_add(&t, "", USER_DEFINED);
    bitnet_vocab *v = vocab_of(&t, &w);
    EXPECT_IDS(v, "a<x>b", 0, 'a', user, 'b');
    EXPECT_IDS(v, "a<x>b", BITNET_TOKENIZE_SPECIAL, 'a', control, 'b');
    bitnet_vocab_free(v);
    tiny_vocab_free(&t);
    gguf_writer_free(&w);
}

static void user_defined_tokens_are_always_found(void **state) {
    (void)state;
    gguf_writer w;
    bitnet_vocab *v = special_vocab(&w);
    EXPECT_IDS(v, "hello", 0, WORD, 'o');
    EXPECT_IDS(v, "ohellhe", 0, 'o', WORD, HE);
    EXPECT_IDS(v, "a    a", 0, 'a', SPACES, ' ', 'a');
    EXPECT_IDS(v, "hel", 0, HEL);
    assert_int_equal(bitnet_vocab_text(v, SPACES, NULL, 0), 3);
    assert_int_equal(bitnet_vocab_text(v, WORD, NULL, 0), 4);
    bitnet_vocab_free(v);
    gguf_writer_free(&w);
}

static void control_tokens_and_padding_rows_print_nothing(void **state) {
    (void)state;
    gguf_writer w;
    bitnet_vocab *v = special_vocab(&w);
    char c = '-';
    for (bitnet_token id = BOS; id <= EOT_LONG; id++)
        assert_int_equal(bitnet_vocab_text(v, id, &c, 1), 0);
    assert_int_equal(bitnet_vocab_text(v, AB + 3, &c, 1), 0); /* the model has 3 rows more */
    assert_int_equal(bitnet_vocab_text(v, AB + 4, &c, 1), BITNET_E_INVAL);
    assert_int_equal(c, '-');
    bitnet_vocab_free(v);
    gguf_writer_free(&w);
}

static void bos_comes_once_and_only_where_it_is_wanted(void **state) {
    (void)state;
    const uint32_t bos = BITNET_TOKENIZE_BOS, special = BITNET_TOKENIZE_SPECIAL;
    gguf_writer w;
    bitnet_vocab *v = special_vocab(&w);
    EXPECT_IDS(v, "he", bos, BOS, HE);
    EXPECT_IDS(v, "<s>he", bos | special, BOS, HE);
    EXPECT_IDS(v, "<s><s>he", bos | special, BOS, BOS, HE);
    EXPECT_IDS(v, "<s>he", special, BOS, HE);
    EXPECT_IDS(v, "<s>", bos, BOS, '<', 's', '>');
    bitnet_vocab_free(v);
    gguf_put_bool(&w, "tokenizer.ggml.add_bos_token", false);
    gguf_writer_finish(&w);
    v = vocab_of_file(&w.file, 4096);
    EXPECT_IDS(v, "he", bos, HE);
    bitnet_vocab_free(v);
    gguf_writer_free(&w);
}

static void generation_ends_at_every_end_token_a_model_may_have(void **state) {
    (void)state;
    static const char *const texts[] = {"<|eot_id|>",    "<|im_end|>", "<|end|>", "<end_of_turn>",
                                        "<|endoftext|>", "<|eom_id|>", "<EOT>",   "<s>"};
    gguf_writer w;
    tiny_vocab t;
    tiny_vocab_init(&t);
    gguf_writer_init(&w);
    for (size_t i = 0; i < LEN(texts); i++)
        tiny_vocab_add(&t, texts[i], CONTROL);
    gguf_put_u32(&w, "tokenizer.ggml.eos_token_id", 10);
    gguf_put_u32(&w, "tokenizer.ggml.eot_token_id", 11);
    gguf_put_u32(&w, "tokenizer.ggml.eom_token_id", 12);
    gguf_put_u32(&w, "tokenizer.ggml.bos_token_id", UINT32_MAX); /* -1: none */
    bitnet_vocab *v = vocab_of(&t, &w);
    assert_int_equal(bitnet_vocab_eos(v), 10);
    assert_int_equal(bitnet_vocab_bos(v), -1);
    for (bitnet_token id = -2; id < 300; id++)
        assert_int_equal(bitnet_vocab_is_end(v, id),
                         (id >= 10 && id <= 12) || (id >= 256 && id <= 262));
    bitnet_vocab_free(v);
    tiny_vocab_free(&t);
    gguf_writer_free(&w);
}

static void a_byte_without_a_token_is_the_unknown_one_or_nothing(void **state) {
    (void)state;
    for (int has_unknown = 0; has_unknown < 2; has_unknown++) {
        gguf_writer w;
        tiny_vocab t;
        tiny_vocab_init(&t);
        gguf_writer_init(&w);
        strcpy(t.token['q'], "~"); /* now there are two "~" and no "q" */
        int32_t unknown = tiny_vocab_add(&t, "<unk>", UNKNOWN);
        if (has_unknown) gguf_put_u32(&w, "tokenizer.ggml.unknown_token_id", (uint32_t)unknown);
        bitnet_vocab *v = vocab_of(&t, &w);
        if (has_unknown)
            EXPECT_IDS(v, "aqb", 0, 'a', unknown, 'b');
        else
            EXPECT_IDS(v, "aqb", 0, 'a', 'b');
        EXPECT_IDS(v, "~", 0, 'q'); /* of equal tokens the first one counts */
        bitnet_vocab_free(v);
        tiny_vocab_free(&t);
        gguf_writer_free(&w);
    }
}

/* ---- merging ----------------------------------------------------------------------------- */

/* The definition, the slow way: rescan for the lowest rank, leftmost first. Tokens are texts. */
static int32_t merge_slowly(const tiny_vocab *t, const char *piece, bitnet_token *out) {
    char part[64][64];
    int32_t n = 0;
    for (const char *c = piece; *c; c++, n++)
        part[n][0] = *c, part[n][1] = 0;
    for (bool has_merged = true; has_merged;) {
        has_merged = false;
        for (uint32_t rank = 0; rank < t->n_merge && !has_merged; rank++)
            for (int32_t i = 0; i + 1 < n && !has_merged; i++) {
                char pair[160];
                snprintf(pair, sizeof pair, "%.63s %.63s", part[i], part[i + 1]);
                if (strcmp(pair, t->merge[rank]) != 0) continue;
                strcat(part[i], part[i + 1]);
                for (int32_t k = i + 1; k + 1 < n; k++)
                    strcpy(part[k], part[k + 1]);
                n--;
                has_merged = true;
            }
    }
    for (int32_t i = 0; i < n; i++)
        for (uint32_t id = t->n_token; id-- > 0;) /* the first of equal tokens counts */
            if (strcmp(t->token[id], part[i]) == 0) out[i] = (bitnet_token)id;
    return n;
}

static bool is_token(const tiny_vocab *t, const char *text) {
    for (uint32_t id = 0; id < t->n_token; id++)
        if (strcmp(t->token[id], text) == 0) return true;
    return false;
}

/* Few letters and many merges over them, equal ones included, make every kind of tie and overlap.
 */
static void merging_equals_the_slow_definition_on_random_vocabularies(void **state) {
    (void)state;
    const unsigned seed = 1994;
    srand(seed);
    for (int round = 0; round < 60; round++) {
        tiny_vocab t;
        gguf_writer w;
        static char merges[60][40];
        tiny_vocab_init(&t);
        gguf_writer_init(&w);
        uint32_t known[200] = {'a', 'b', 'c'}, n_known = 3;
        for (int k = 0; k < 60; k++) {
            const char *left = t.token[known[(uint32_t)rand() % n_known]];
            const char *right = t.token[known[(uint32_t)rand() % n_known]];
            if (strlen(left) + strlen(right) > 12) continue;
            sprintf(merges[k], "%s %s", left, right);
            known[n_known++] = (uint32_t)tiny_vocab_merge(&t, merges[k]);
        }
        bitnet_vocab *v = vocab_of(&t, &w);
        for (int i = 0; i < 200; i++) {
            char piece[64] = {0};
            bitnet_token want[64];
            for (int k = 1 + rand() % 40; k > 0; k--)
                piece[k - 1] = "abc"[rand() % 3];
            if (is_token(&t, piece)) continue; /* taken whole, not merged */
            expect_ids(v, piece, strlen(piece), 0, want, merge_slowly(&t, piece, want));
        }
        bitnet_vocab_free(v);
        tiny_vocab_free(&t);
        gguf_writer_free(&w);
    }
}

static void a_whole_word_of_the_vocabulary_is_not_merged(void **state) {
    (void)state;
    gguf_writer w;
    tiny_vocab t;
    tiny_vocab_init(&t);
    gguf_writer_init(&w);
    int32_t bc = tiny_vocab_merge(&t, "b c");
    int32_t abcd = tiny_vocab_add(&t, "abcd", NORMAL); /* no merge leads here */
    bitnet_vocab *v = vocab_of(&t, &w);
    EXPECT_IDS(v, "abcd", 0, abcd);
    EXPECT_IDS(v, "abcda", 0, 'a', bc, 'd', 'a');
    bitnet_vocab_free(v);
    tiny_vocab_free(&t);
    gguf_writer_free(&w);
}

/* One piece of a megabyte. An algorithm that rescans would take 10^12 steps. */
static void a_megabyte_of_one_character_is_encoded(void **state) {
    (void)state;
    const size_t len = 1 << 20;
    bitnet_vocab *vocabs[2] = {shipped_vocab(), llama3_vocab()};
    char *text = malloc(len);
    assert_non_null(text);
    for (size_t k = 0; k < 2 && vocabs[k]; k++)
        for (const char *c = "a \n!"; *c; c++) {
            int32_t n;
            size_t back_len;
            memset(text, *c, len);
            bitnet_token *ids = encode_all(vocabs[k], text, len, 0, &n);
            char *back = text_of(vocabs[k], ids, n, &back_len);
            assert_int_equal(back_len, len);
            assert_memory_equal(back, text, len);
            free(back);
            free(ids);
        }
    free(text);
    bitnet_vocab_free(vocabs[0]);
    bitnet_vocab_free(vocabs[1]);
}

static void scratch_is_one_allocation_that_may_fail_and_is_given_back(void **state) {
    (void)state;
    gguf_writer w;
    tiny_vocab t;
    count_alloc c = {0};
    bitnet_allocator a = count_alloc_of(&c);
    bitnet_vocab *v;
    tiny_vocab_init(&t);
    gguf_writer_init(&w);
    tiny_vocab_put(&t, &w);
    gguf_writer_finish(&w);
    assert_int_equal(vocab_from(&v, &w.file, NULL, 256, &a, NULL), BITNET_OK);
    const size_t live = c.live;
    const long n_calls = c.n_calls;
    assert_int_equal(bitnet_vocab_encode(v, "one two\xff", 8, 0, NULL, 0), 7 + 3);
    assert_int_equal(c.n_calls, n_calls + 1);
    assert_int_equal(c.live, live);
    c.peak = 0;
    assert_int_equal(bitnet_vocab_encode(v, "one three", 9, 0, NULL, 0), 9);
    assert_int_equal(c.peak, live + 32 * strlen(" three"));
    c.fail_at = c.n_calls + 1;
    assert_int_equal(bitnet_vocab_encode(v, "one two", 7, 0, NULL, 0), BITNET_E_NOMEM);
    bitnet_vocab_free(v);
    assert_int_equal(c.live, 0);
    bitnet_vocab_free(NULL);
    tiny_vocab_free(&t);
    gguf_writer_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shipped_vocabulary_gives_the_recorded_ids),
        cmocka_unit_test(the_published_llama3_vectors_are_reproduced),
        cmocka_unit_test(small_llama3_vectors_are_reproduced),
        cmocka_unit_test(random_text_of_all_planes_survives_encoding),
        cmocka_unit_test(each_invalid_byte_becomes_a_replacement_character),
        cmocka_unit_test(the_count_is_returned_whatever_the_room),
        cmocka_unit_test(user_text_cannot_name_a_control_token),
        cmocka_unit_test(specials_are_found_when_asked_for_the_longest_first),
        cmocka_unit_test(of_equal_specials_the_first_wanted_one_counts_and_an_empty_one_never),
        cmocka_unit_test(user_defined_tokens_are_always_found),
        cmocka_unit_test(control_tokens_and_padding_rows_print_nothing),
        cmocka_unit_test(bos_comes_once_and_only_where_it_is_wanted),
        cmocka_unit_test(generation_ends_at_every_end_token_a_model_may_have),
        cmocka_unit_test(a_byte_without_a_token_is_the_unknown_one_or_nothing),
        cmocka_unit_test(merging_equals_the_slow_definition_on_random_vocabularies),
        cmocka_unit_test(a_whole_word_of_the_vocabulary_is_not_merged),
        cmocka_unit_test(a_megabyte_of_one_character_is_encoded),
        cmocka_unit_test(scratch_is_one_allocation_that_may_fail_and_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
