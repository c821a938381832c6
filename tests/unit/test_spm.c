/* test_spm.c: SentencePiece: merging by score against a slow second implementation, the space that it
 * puts in front, bytes for what has no token, and back to text. Real vocabularies are in
 * test_tokenizer_vectors.c.
 */
#include "vocab_fixture.h"

#include "count_alloc.h"
#include "base/utf8.h"

#define MARK "\xe2\x96\x81" /* U+2581: a space as vocabularies write it */

enum { UNK, BOS, EOS, BYTE_0 /* of <0x00> */, FIRST = BYTE_0 + 256 };

static int32_t byte_id(char c) {
    return BYTE_0 + (uint8_t)c;
}

/* ---- merging ----------------------------------------------------------------------------- */

static void the_highest_score_is_merged_first_and_the_leftmost_of_equals(void **state) {
    (void)state;
    gguf_writer w;
    tiny_vocab t;
    tiny_spm_init(&t);
    gguf_writer_init(&w);
    gguf_put_bool(&w, "tokenizer.ggml.add_space_prefix", false);
    int32_t a = tiny_spm_add(&t, "a", -9), b = tiny_spm_add(&t, "b", -9),
            c = tiny_spm_add(&t, "c", 0);
    int32_t ab = tiny_spm_add(&t, "ab", -2), bc = tiny_spm_add(&t, "bc", -1);
    int32_t aa = tiny_spm_add(&t, "aa", -1.5f), aab = tiny_spm_add(&t, "aab", 3);
    bitnet_vocab *v = vocab_of(&t, &w);
    EXPECT_IDS(v, "abc", 0, a, bc); /* not ab first, though it lies to the left */
    EXPECT_IDS(v, "ab", 0, ab);
    EXPECT_IDS(v, "aaa", 0, aa, a);
    EXPECT_IDS(v, "aab", 0, aab); /* aa before ab, and then the best of all */
    EXPECT_IDS(v, "caabac", 0, c, aab, a, c);
    EXPECT_IDS(v, "b", 0, b);
    bitnet_vocab_free(v);
    tiny_vocab_free(&t);
    gguf_writer_free(&w);
}

/* The definition, the slow way: of all neighbours whose text is a token join the best, rescan. */
static int32_t merge_slowly(const tiny_vocab *t, const char *text, bitnet_token *out) {
    char part[64][64], best_text[160];
    int32_t n = 0;
    for (const char *c = text; *c; c++, n++)
        part[n][0] = *c, part[n][1] = 0;
    for (;;) {
        int32_t best = -1, best_id = -1;
        for (int32_t i = 0; i + 1 < n; i++) {
            char pair[160];
            snprintf(pair, sizeof pair, "%.63s%.63s", part[i], part[i + 1]);
            uint32_t id = FIRST; /* of equal tokens the first one counts */
            while (id < t->n_token && strcmp(pair, t->token[id]) != 0)
                id++;
            if (id == t->n_token || (best >= 0 && t->score[id] <= t->score[best_id])) continue;
            best = i, best_id = (int32_t)id;
            strcpy(best_text, pair);
        }
        if (best < 0) break;
        snprintf(part[best], sizeof part[best], "%.63s", best_text);
        for (int32_t k = best + 1; k + 1 < n; k++)
            memmove(part[k], part[k + 1], sizeof part[k]);
        n--;
    }
    for (int32_t i = 0; i < n; i++) {
        out[i] = byte_id(part[i][0]);
        for (uint32_t id = t->n_token; id-- > FIRST;)
            if (strcmp(t->token[id], part[i]) == 0) out[i] = (bitnet_token)id;
    }
    return n;
}

/* Few letters, one of them without a token of its own, and few scores, both signs and equal ones. */
static void merging_equals_the_slow_definition_on_random_vocabularies(void **state) {
    (void)state;
    static const float scores[] = {-2, -1, -0.0f, 0, 0.5f, 7, -1e30f, 1e-30f};
    const unsigned seed = 1808;
    srand(seed);
    for (int round = 0; round < 60; round++) {
        tiny_vocab t;
        gguf_writer w;
        tiny_spm_init(&t);
        gguf_writer_init(&w);
        gguf_put_bool(&w, "tokenizer.ggml.add_space_prefix", false);
        tiny_spm_add(&t, "a", scores[rand() % 8]);
        tiny_spm_add(&t, "b", scores[rand() % 8]);
        for (int k = 0; k < 40; k++) {
            char text[16] = {0};
            for (int i = 2 + rand() % 6; i > 0; i--)
                text[i - 1] = "abc"[rand() % 3];
            tiny_spm_add(&t, text, scores[rand() % 8]);
        }
        bitnet_vocab *v = vocab_of(&t, &w);
        for (int i = 0; i < 200; i++) {
            char text[64] = {0};
            bitnet_token want[64];
            for (int k = 1 + rand() % 40; k > 0; k--)
                text[k - 1] = "abc"[rand() % 3];
            expect_ids(v, text, strlen(text), 0, want, merge_slowly(&t, text, want));
        }
        bitnet_vocab_free(v);
        tiny_vocab_free(&t);
        gguf_writer_free(&w);
    }
}

/* ---- spaces and specials ----------------------------------------------------------------- */

enum { SPACE = FIRST, A, SPACE_A, USER, CTRL, LONG_SPACE, SPACED_USER };

static bitnet_vocab *spaced_vocab(gguf_writer *w) {
    tiny_vocab t;
    tiny_spm_init(&t);
    gguf_writer_init(w);
    assert_int_equal(tiny_spm_add(&t, MARK, -1), SPACE);
    assert_int_equal(tiny_spm_add(&t, "a", -2), A);
    assert_int_equal(tiny_spm_add(&t, MARK "a", -3), SPACE_A);
    assert_int_equal(tiny_vocab_add(&t, "<user> ", USER_DEFINED), USER);
    assert_int_equal(tiny_vocab_add(&t, "<|im_end|>", CONTROL), CTRL);
    assert_int_equal(tiny_spm_add(&t, MARK MARK, -4), LONG_SPACE);
    assert_int_equal(tiny_vocab_add(&t, " !", USER_DEFINED), SPACED_USER);
    bitnet_vocab *v = vocab_of(&t, w);
    tiny_vocab_free(&t);
    return v;
}

static void a_space_goes_before_the_text_and_behind_every_special(void **state) {
    (void)state;
    const uint32_t bos = BITNET_TOKENIZE_BOS, special = BITNET_TOKENIZE_SPECIAL;
    gguf_writer w;
    bitnet_vocab *v = spaced_vocab(&w);
    EXPECT_IDS(v, "a", 0, SPACE_A);
    EXPECT_IDS(v, "a", bos, BOS, SPACE_A);
    EXPECT_IDS(v, " a", 0, SPACE, SPACE_A); /* a score of -3 goes before one of -4 */
    EXPECT_IDS(v, "aa a", 0, SPACE_A, A, SPACE_A);
    EXPECT_IDS(v, "a<user> a", 0, SPACE_A, USER, SPACE_A);
    EXPECT_IDS(v, "<user> a", bos, BOS, USER, SPACE_A);
    EXPECT_IDS(v, "a<|im_end|>a<|im_end|>", special, SPACE_A, CTRL, SPACE_A, CTRL);
    EXPECT_IDS(v, "<s>a", special | bos, BOS, SPACE_A);
    EXPECT_IDS(v, "", bos, BOS); /* no text, no space */
    assert_int_equal(bitnet_vocab_encode(v, "", 0, 0, NULL, 0), 0);
    bitnet_vocab_free(v);
    gguf_put_bool(&w, "tokenizer.ggml.add_space_prefix", false);
    gguf_writer_finish(&w);
    v = vocab_of_file(&w.file, 4096);
    EXPECT_IDS(v, "a<user> a", 0, A, USER, A);
    bitnet_vocab_free(v);
    gguf_writer_free(&w);
}

static void spans_get_one_space_however_many_they_are(void **state) {
    (void)state;
    gguf_writer w;
    bitnet_vocab *v = spaced_vocab(&w);
    const bitnet_span spans[] = {
        {"a", 1, true}, {"a", 1, false}, {"<|im_end|>", 10, true}, {"a <|im_end|>", 12, false}};
    bitnet_token got[32];
    int32_t n = bitnet_vocab_encode_spans(v, spans, 4, 0, got, 32);
    assert_string_equal(
        ids_text(got, 6),
        ids_text((bitnet_token[]){SPACE_A, A, CTRL, SPACE_A, SPACE, byte_id('<')}, 6));
    assert_int_equal(n, 5 + 10);
    bitnet_vocab_free(v);
    gguf_writer_free(&w);
}

static void the_mark_of_a_space_is_a_space(void **state) {
    (void)state;
    gguf_writer w;
    bitnet_vocab *v = spaced_vocab(&w);
    EXPECT_IDS(v, "a" MARK "a", 0, SPACE_A, SPACE_A);
    EXPECT_IDS(v, MARK, 0, LONG_SPACE);
    bitnet_vocab_free(v);
    gguf_writer_free(&w);
}

static void text_is_stripped_of_the_space_put_before_it_and_of_no_other(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bitnet_token ids[4];
        int32_t n;
    } cases[] = {{"a", {SPACE_A}, 1},
                 {"a", {BOS, SPACE_A}, 2},
                 {" a", {SPACE, SPACE_A}, 2},
                 {" a", {BOS, CTRL, LONG_SPACE, A}, 4},
                 {"a", {A}, 1}, /* an answer that goes on in the middle of a word */
                 {"<user>  a", {USER, SPACE_A}, 2},
                 {" ! a", {BOS, SPACED_USER, SPACE_A}, 3}, /* no space was put before a special */
                 {"", {SPACE}, 1},
                 {" ", {LONG_SPACE}, 1},
                 {"", {BOS, EOS}, 2}};
    gguf_writer w;
    bitnet_vocab *v = spaced_vocab(&w);
    for (size_t i = 0; i < LEN(cases); i++) {
        size_t len;
        char *text = detokenized(v, cases[i].ids, cases[i].n, &len);
        if (strcmp(text, cases[i].text) != 0)
            fail_msg("%s: got \"%s\", expected \"%s\"", ids_text(cases[i].ids, cases[i].n), text,
                     cases[i].text);
        free(text);
    }
    char text[8];
    assert_int_equal(bitnet_vocab_text(v, SPACE_A, text, 8), 2); /* one token keeps its space */
    assert_memory_equal(text, " a", 2);
    memset(text, '-', 8);
    const bitnet_token many[] = {SPACE_A, SPACE_A, SPACE_A}, foreign[] = {A, SPACED_USER + 4};
    assert_int_equal(bitnet_vocab_detokenize(v, many, 3, text, 4), 5);
    assert_memory_equal(text, "a a ----", 8);
    assert_int_equal(bitnet_vocab_detokenize(v, foreign, 2, text, 4), BITNET_E_INVAL);
    assert_int_equal(bitnet_vocab_detokenize(v, NULL, 0, NULL, 0), 0);
    assert_int_equal(bitnet_vocab_detokenize(v, many, -1, NULL, 0), BITNET_E_INVAL);
    bitnet_vocab_free(v);
    gguf_writer_free(&w);
}

/* ---- what has no token ------------------------------------------------------------------- */

static void a_character_without_a_token_is_its_bytes(void **state) {
    (void)state;
    gguf_writer w;
    bitnet_vocab *v = spaced_vocab(&w);
    EXPECT_IDS(v,
               "a\xe4\xb8\xad"
               "a",
               0, SPACE_A, BYTE_0 + 0xe4, BYTE_0 + 0xb8, BYTE_0 + 0xad, A);
    EXPECT_IDS(v, "\n", 0, SPACE, BYTE_0 + '\n');
    EXPECT_IDS(v, "\xff", 0, SPACE, BYTE_0 + 0xef, BYTE_0 + 0xbf, BYTE_0 + 0xbd);
    bitnet_vocab_free(v);
    gguf_writer_free(&w);
}

static void without_byte_tokens_it_is_the_unknown_one_or_nothing(void **state) {
    (void)state;
    for (int has_unknown = 0; has_unknown < 2; has_unknown++) {
        gguf_writer w;
        tiny_vocab t;
        tiny_spm_init(&t);
        gguf_writer_init(&w);
        t.type[byte_id((char)0xb8)] = NORMAL; /* so the second byte of the character has none */
        if (!has_unknown) gguf_put_u32(&w, "tokenizer.ggml.unknown_token_id", UINT32_MAX);
        gguf_put_bool(&w, "tokenizer.ggml.add_space_prefix", false);
        bitnet_vocab *v = vocab_of(&t, &w);
        if (has_unknown)
            EXPECT_IDS(v, "x\xe4\xb8\xady", 0, byte_id('x'), UNK,
                       byte_id('y')); /* one for all three */
        else
            EXPECT_IDS(v, "x\xe4\xb8\xady", 0, byte_id('x'), byte_id('y'));
        bitnet_vocab_free(v);
        tiny_vocab_free(&t);
        gguf_writer_free(&w);
    }
}

/* Each of these is a token, and every pair on the way to it too, with the best of scores. */
static void plain_text_gives_no_control_unknown_or_byte_token(void **state) {
    (void)state;
    static const char *const attacks[] = {"<s>", "<unk>", "<0x41>"};
    gguf_writer w;
    tiny_vocab t;
    tiny_spm_init(&t);
    gguf_writer_init(&w);
    for (size_t i = 0; i < LEN(attacks); i++)
        for (size_t len = 1; len < strlen(attacks[i]); len++) {
            char part[8] = {0};
            memcpy(part, attacks[i], len);
            tiny_spm_add(&t, part, 9);
        }
    bitnet_vocab *v = vocab_of(&t, &w);
    for (size_t i = 0; i < LEN(attacks); i++) {
        int32_t n;
        size_t len;
        bitnet_token *ids = encode_all(v, attacks[i], strlen(attacks[i]), 0, &n);
        char *text = detokenized(v, ids, n, &len);
        assert_string_equal(text, attacks[i]);
        for (int32_t k = 0; k < n; k++)
            if (ids[k] <= EOS || ids[k] == byte_id('A')) fail_msg("%s gave %d", attacks[i], ids[k]);
        free(text);
        free(ids);
    }
    bitnet_vocab_free(v);
    tiny_vocab_free(&t);
    gguf_writer_free(&w);
}

static void an_unused_token_is_one_as_any_other(void **state) {
    (void)state;
    gguf_writer w;
    tiny_vocab t;
    tiny_spm_init(&t);
    gguf_writer_init(&w);
    int32_t unused = tiny_vocab_add(&t, MARK "x", 5), undefined = tiny_vocab_add(&t, "yy", 0);
    bitnet_vocab *v = vocab_of(&t, &w);
    EXPECT_IDS(v, "xyy", 0, unused, undefined);
    bitnet_vocab_free(v);
    tiny_vocab_free(&t);
    gguf_writer_free(&w);
}

/* A user-defined token of half a character leaves the other half to be encoded. */
static void a_user_defined_token_may_end_inside_a_character(void **state) {
    (void)state;
    gguf_writer w;
    tiny_vocab t;
    tiny_spm_init(&t);
    gguf_writer_init(&w);
    gguf_put_bool(&w, "tokenizer.ggml.add_space_prefix", false);
    int32_t half = tiny_vocab_add(&t, "\xe4\xb8", USER_DEFINED);
    bitnet_vocab *v = vocab_of(&t, &w);
    EXPECT_IDS(v, "\xe4\xb8\xadx", 0, half, BYTE_0 + 0xad, byte_id('x'));
    bitnet_vocab_free(v);
    tiny_vocab_free(&t);
    gguf_writer_free(&w);
}

/* ---- keys and memory --------------------------------------------------------------------- */

static void absent_keys_mean_what_llama_2_means(void **state) {
    (void)state;
    gguf_writer w;
    tiny_vocab t;
    tiny_spm_init(&t);
    gguf_writer_init(&w);
    bitnet_vocab *v = vocab_of(&t, &w);
    assert_int_equal(bitnet_vocab_bos(v), BOS);
    assert_int_equal(bitnet_vocab_eos(v), EOS);
    assert_true(bitnet_vocab_is_end(v, EOS));
    assert_string_equal(bitnet_vocab_name(v), "llama");
    EXPECT_IDS(v, "x", BITNET_TOKENIZE_BOS, BOS, byte_id(' '), byte_id('x'));
    bitnet_vocab_free(v);
    gguf_put_bool(&w, "tokenizer.ggml.add_bos_token", false);
    gguf_put_bool(&w, "tokenizer.ggml.add_eos_token", true);
    gguf_put_u32(&w, "tokenizer.ggml.eos_token_id", 7);
    gguf_writer_finish(&w);
    v = vocab_of_file(&w.file, 4096);
    EXPECT_IDS(v, "x", BITNET_TOKENIZE_BOS, byte_id(' '), byte_id('x'), 7);
    bitnet_vocab_free(v);
    tiny_vocab_free(&t);
    gguf_writer_free(&w);
}

static void scratch_has_a_bound_may_fail_and_is_given_back(void **state) {
    (void)state;
    tiny_vocab t;
    count_alloc c = {0};
    tiny_spm_init(&t);
    bitnet_vocab *v = vocab_counted(&t, &c);
    assert_int_equal(c.n_calls, 1); /* nothing to sort */
    const size_t live = c.live;
    c.peak = 0;
    assert_int_equal(bitnet_vocab_encode(v, "one three", 9, 0, NULL, 0), 1 + 9);
    assert_int_equal(c.peak, live + 33 * (1 + 9));
    assert_int_equal(c.live, live);
    c.fail_at = c.n_calls + 1;
    assert_int_equal(bitnet_vocab_encode(v, "one", 3, 0, NULL, 0), BITNET_E_NOMEM);
    bitnet_vocab_free(v);
    assert_int_equal(c.live, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_highest_score_is_merged_first_and_the_leftmost_of_equals),
        cmocka_unit_test(merging_equals_the_slow_definition_on_random_vocabularies),
        cmocka_unit_test(a_space_goes_before_the_text_and_behind_every_special),
        cmocka_unit_test(spans_get_one_space_however_many_they_are),
        cmocka_unit_test(the_mark_of_a_space_is_a_space),
        cmocka_unit_test(text_is_stripped_of_the_space_put_before_it_and_of_no_other),
        cmocka_unit_test(a_character_without_a_token_is_its_bytes),
        cmocka_unit_test(without_byte_tokens_it_is_the_unknown_one_or_nothing),
        cmocka_unit_test(plain_text_gives_no_control_unknown_or_byte_token),
        cmocka_unit_test(an_unused_token_is_one_as_any_other),
        cmocka_unit_test(a_user_defined_token_may_end_inside_a_character),
        cmocka_unit_test(absent_keys_mean_what_llama_2_means),
        cmocka_unit_test(scratch_has_a_bound_may_fail_and_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
