/* test_tokenizer.c: text to tokens and back: special tokens, spans, and byte-level BPE against a slow
 * second implementation. SentencePiece is in test_spm.c, real vocabularies in
 * test_tokenizer_vectors.c, what is refused at load in test_tokenizer_refuse.c.
 */
#include "vocab_fixture.h"

#include "count_alloc.h"

/* ---- there and back ---------------------------------------------------------------------- */

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

static void eos_comes_last_where_the_file_asks_for_it(void **state) {
    (void)state;
    const uint32_t bos = BITNET_TOKENIZE_BOS, special = BITNET_TOKENIZE_SPECIAL;
    gguf_writer w;
    tiny_vocab t;
    tiny_vocab_init(&t);
    gguf_writer_init(&w);
    int32_t eos = tiny_vocab_add(&t, "</s>", CONTROL);
    gguf_put_u32(&w, "tokenizer.ggml.eos_token_id", (uint32_t)eos);
    gguf_put_bool(&w, "tokenizer.ggml.add_eos_token", true);
    bitnet_vocab *v = vocab_of(&t, &w);
    EXPECT_IDS(v, "h", bos, 'h', eos);
    EXPECT_IDS(v, "", bos, eos);
    EXPECT_IDS(v, "h</s>", bos | special, 'h', eos); /* it has one */
    EXPECT_IDS(v, "h", 0, 'h');
    bitnet_vocab_free(v);
    tiny_vocab_free(&t);
    gguf_writer_free(&w);
}

/* As some files have it: the tokens of turns are called ordinary or user-defined. */
static void tokens_of_turns_are_control_tokens_whatever_the_file_calls_them(void **state) {
    (void)state;
    static const char *const texts[] = {"<|eot_id|>", "<|im_end|>", "<|im_start|>",
                                        "<|start_header_id|>", "<|user|>"};
    for (int32_t type = NORMAL; type <= USER_DEFINED; type++) {
        gguf_writer w;
        tiny_vocab t;
        tiny_vocab_init(&t);
        gguf_writer_init(&w);
        for (size_t i = 0; i < LEN(texts); i++)
            tiny_vocab_add(&t, texts[i], type);
        bitnet_vocab *v = vocab_of(&t, &w);
        for (int32_t i = 0; i < (int32_t)LEN(texts); i++) {
            expect_ids(v, texts[i], strlen(texts[i]), BITNET_TOKENIZE_SPECIAL,
                       &(bitnet_token){256 + i}, 1);
            assert_int_equal(bitnet_vocab_encode(v, texts[i], strlen(texts[i]), 0, NULL, 0),
                             strlen(texts[i]));
            assert_int_equal(bitnet_vocab_text(v, 256 + i, NULL, 0), 0);
            assert_int_equal(bitnet_vocab_is_end(v, 256 + i), i < 2);
        }
        bitnet_vocab_free(v);
        tiny_vocab_free(&t);
        gguf_writer_free(&w);
    }
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
                memmove(part[i] + strlen(part[i]), part[i + 1], strlen(part[i + 1]) + 1);
                for (int32_t k = i + 1; k + 1 < n; k++)
                    memmove(part[k], part[k + 1], sizeof part[k]);
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

static void a_whole_word_of_the_vocabulary_is_not_merged_under_llama3_rules(void **state) {
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
    gguf_writer_free(&w);
    t.pre = "gpt-2"; /* but there it is */
    gguf_writer_init(&w);
    v = vocab_of(&t, &w);
    assert_string_equal(bitnet_vocab_name(v), "gpt2/gpt-2");
    EXPECT_IDS(v, "abcd", 0, 'a', bc, 'd');
    EXPECT_IDS(v, "bc 'S", BITNET_TOKENIZE_BOS, bc, ' ', '\'', 'S');
    bitnet_vocab_free(v);
    tiny_vocab_free(&t);
    gguf_writer_free(&w);
}

/* ---- spans ------------------------------------------------------------------------------- */

static void expect_spans(const bitnet_vocab *v, const bitnet_span *spans, int32_t n_spans,
                         uint32_t flags, const bitnet_token *want, int32_t n_want) {
    bitnet_token got[64];
    int32_t n = bitnet_vocab_encode_spans(v, spans, n_spans, flags, got, (int32_t)LEN(got));
    if (n != n_want || memcmp(got, want, (size_t)n * sizeof *got) != 0)
        fail_msg("got %d %s, expected %d %s", n, ids_text(got, n), n_want, ids_text(want, n_want));
}

#define IDS(...) (const bitnet_token[]){__VA_ARGS__}, LEN(((const bitnet_token[]){__VA_ARGS__}))
#define TEMPLATE(s)                                                                                \
    { s, sizeof(s) - 1, true }
#define CONTENT(s)                                                                                 \
    { s, sizeof(s) - 1, false }

static void spans_are_cut_as_one_text(void **state) {
    (void)state;
    gguf_writer w;
    bitnet_vocab *v = special_vocab(&w);
    const bitnet_span word[] = {CONTENT("h"), CONTENT(""), TEMPLATE("e"), CONTENT("l")};
    expect_spans(v, word, 4, 0, IDS(HEL));
    const bitnet_span user[] = {CONTENT("xhe"), TEMPLATE("ll"), CONTENT("   ")};
    expect_spans(v, user, 3, BITNET_TOKENIZE_BOS, IDS(BOS, 'x', WORD, SPACES));
    const bitnet_span bad[] = {CONTENT("\xc3"), CONTENT("\xa9")}; /* each is UTF-8 on its own */
    expect_spans(v, bad, 2, 0, IDS(0xef, 0xbf, 0xbd, 0xef, 0xbf, 0xbd));
    assert_int_equal(bitnet_vocab_encode_spans(v, NULL, 0, 0, NULL, 0), 0);
    expect_spans(v, word, 0, BITNET_TOKENIZE_BOS, IDS(BOS));
    bitnet_vocab_free(v);
    gguf_writer_free(&w);
}

static void control_tokens_are_found_only_inside_a_span_that_allows_them(void **state) {
    (void)state;
    gguf_writer w;
    bitnet_vocab *v = special_vocab(&w);
    const bitnet_span spans[] = {TEMPLATE("<s>"), CONTENT("<s>"), TEMPLATE("<s>")};
    expect_spans(v, spans, 3, 0, IDS(BOS, '<', 's', '>', BOS));
    const bitnet_span across[] = {TEMPLATE("<s"), TEMPLATE(">"), CONTENT("<"), TEMPLATE("s>")};
    expect_spans(v, across, 4, 0, IDS('<', 's', '>', '<', 's', '>'));
    /* the longer one would reach into the content */
    const bitnet_span longest[] = {TEMPLATE("<|eot_id|>"), CONTENT(">")};
    expect_spans(v, longest, 2, 0, IDS(EOT, '>'));
    const bitnet_span whole[] = {CONTENT(""), TEMPLATE("<|eot_id|>>"), CONTENT("")};
    expect_spans(v, whole, 3, 0, IDS(EOT_LONG));
    const bitnet_span asked[] = {CONTENT("<s>")}; /* the flag is the one-text form's */
    expect_spans(v, asked, 1, BITNET_TOKENIZE_SPECIAL, IDS('<', 's', '>'));
    bitnet_vocab_free(v);
    gguf_writer_free(&w);
}

/* ---- memory ------------------------------------------------------------------------------ */

static void scratch_has_a_bound_may_fail_and_is_given_back(void **state) {
    (void)state;
    tiny_vocab t;
    count_alloc c = {0};
    tiny_vocab_init(&t);
    bitnet_vocab *v = vocab_counted(&t, &c);
    const size_t live = c.live;
    long n_calls = c.n_calls;
    c.peak = 0;
    assert_int_equal(bitnet_vocab_encode(v, "one three", 9, 0, NULL, 0), 9);
    assert_int_equal(c.n_calls, n_calls + 1);
    assert_int_equal(c.peak, live + 32 * strlen(" three"));
    n_calls = c.n_calls;
    c.peak = 0;
    assert_int_equal(bitnet_vocab_encode(v, "one two\xff", 8, 0, NULL, 0), 7 + 3);
    assert_int_equal(c.n_calls, n_calls + 2); /* and the repaired text */
    assert_int_equal(c.peak, live + 32 * strlen(" two") + 7 + 3);
    assert_int_equal(c.live, live);
    for (int i = 1; i <= 2; i++) {
        c.fail_at = c.n_calls + i;
        assert_int_equal(bitnet_vocab_encode(v, "one two\xff", 8, 0, NULL, 0), BITNET_E_NOMEM);
        assert_int_equal(c.live, live);
    }
    bitnet_vocab_free(v);
    assert_int_equal(c.live, 0);
    bitnet_vocab_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_invalid_byte_becomes_a_replacement_character),
        cmocka_unit_test(the_count_is_returned_whatever_the_room),
        cmocka_unit_test(user_text_cannot_name_a_control_token),
        cmocka_unit_test(specials_are_found_when_asked_for_the_longest_first),
        cmocka_unit_test(of_equal_specials_the_first_wanted_one_counts_and_an_empty_one_never),
        cmocka_unit_test(user_defined_tokens_are_always_found),
        cmocka_unit_test(control_tokens_and_padding_rows_print_nothing),
        cmocka_unit_test(bos_comes_once_and_only_where_it_is_wanted),
        cmocka_unit_test(eos_comes_last_where_the_file_asks_for_it),
        cmocka_unit_test(tokens_of_turns_are_control_tokens_whatever_the_file_calls_them),
        cmocka_unit_test(generation_ends_at_every_end_token_a_model_may_have),
        cmocka_unit_test(a_byte_without_a_token_is_the_unknown_one_or_nothing),
        cmocka_unit_test(merging_equals_the_slow_definition_on_random_vocabularies),
        cmocka_unit_test(a_whole_word_of_the_vocabulary_is_not_merged_under_llama3_rules),
        cmocka_unit_test(spans_are_cut_as_one_text),
        cmocka_unit_test(control_tokens_are_found_only_inside_a_span_that_allows_them),
        cmocka_unit_test(scratch_has_a_bound_may_fail_and_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
