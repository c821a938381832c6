/* test_hf_tokenizer.c: a tokenizer.json comes out under the keys that its GGUF conversion would have: the
 * three kinds of model, both forms of merges, added tokens, flags; and how the others are refused. */
#include "hf_fixture.h"

#define E_FORMAT      BITNET_E_FORMAT
#define E_UNSUPPORTED BITNET_E_UNSUPPORTED
#define TOKENIZER     "tokenizer.json"
#define TOK_CONFIG    "tokenizer_config.json"

static hf_folder with_tokenizer(const char *json) {
    hf_folder f = {0};
    hf_text(hf_file(&f, "config.json"), "%s", CONFIG_2B);
    gguf_bytes_put(hf_file(&f, TOKENIZER), json, strlen(json));
    put_tagged(&f, WEIGHTS, "model.norm.weight", "F32", "[8]", 32);
    return f;
}

/* ---- byte-level BPE ---------------------------------------------------------------------- */

static void a_byte_level_tokenizer_comes_out_in_the_order_of_its_ids(void **state) {
    (void)state;
    hf_folder f = with_tokenizer(TOKENIZER_BPE);
    reading r;
    read_sound(&r, &f);
    expect_str(&r, "tokenizer.ggml.model", "gpt2");
    expect_str(&r, "tokenizer.ggml.pre", "llama-bpe");
    expect_strs(&r, "tokenizer.ggml.tokens", "a,b,c,ab,abc,<s>,<end>");
    expect_ints(&r, "tokenizer.ggml.token_type", "1,1,1,1,1,3,4");
    expect_strs(&r, "tokenizer.ggml.merges", "a b,ab c");
    expect_bool(&r, "tokenizer.ggml.add_bos_token", true);
    expect_bool(&r, "tokenizer.ggml.add_eos_token", false);
    expect_absent(&r, "tokenizer.ggml.scores");
    expect_absent(&r, "tokenizer.ggml.add_space_prefix");
    expect_absent(&r, "tokenizer.chat_template");
    close_one(&r);
    hf_free(&f);
}

static void merges_as_pairs_are_the_same_merges(void **state) {
    (void)state;
    hf_folder f = with_tokenizer(TOKENIZER_BPE);
    reading r;
    hf_replace(&f, TOKENIZER, "[\"a b\",\"ab c\"]", "[[\"a\",\"b\"],[\"a\\u0062\",\"c\"]]");
    read_sound(&r, &f);
    expect_strs(&r, "tokenizer.ggml.merges", "a b,ab c");
    close_one(&r);
    hf_free(&f);
}

static void gpt2_and_unknown_pre_tokenizers_are_named(void **state) {
    (void)state;
    static const struct {
        const char *json, *pre;
    } cases[] = {
        {"{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true}", "gpt-2"},
        {"{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
         "\"'s|'t|'re|'ve|'m|'ll|'d| ?\\\\p{L}+| ?\\\\p{N}+| ?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!"
         "\\\\S)|\\\\s+\"},\"behavior\":\"Isolated\"},{\"type\":\"ByteLevel\",\"use_regex\":false,"
         "\"add_prefix_space\":false}]}",
         "gpt-2"},
        {"{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
         "\"\\\\d\"},\"behavior\":\"Isolated\"},{\"type\":\"Digits\"},{\"type\":\"ByteLevel\","
         "\"add_prefix_space\":false}]}",
         "\\d Digits GPT-2"},
        {"{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
         "\"" LLAMA3_REGEX "\"},\"behavior\":\"Removed\"},{\"type\":\"ByteLevel\",\"use_regex\":"
         "false,\"add_prefix_space\":false}]}",
         "Split ByteLevel"},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        hf_folder f = {0};
        reading r;
        hf_text(hf_file(&f, "config.json"), "%s", CONFIG_2B);
        hf_text(hf_file(&f, TOKENIZER),
                "{\"pre_tokenizer\":%s,\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
                cases[i].json);
        put_tagged(&f, WEIGHTS, "model.norm.weight", "F32", "[8]", 32);
        read_sound(&r, &f);
        expect_str(&r, "tokenizer.ggml.pre", cases[i].pre);
        expect_bool(&r, "tokenizer.ggml.add_bos_token", false);
        close_one(&r);
        hf_free(&f);
    }
}

static void falcon3_is_known_by_its_tokens(void **state) {
    (void)state;
    static const struct {
        const char *first, *pre;
        int n;
    } cases[] = {{">>TITLE<<", "falcon3", 131072},
                 {">>TITLE<<", "Digits GPT-2", 131071},
                 {"title", "Digits GPT-2", 131072}};
    for (size_t i = 0; i < LEN(cases); i++) {
        hf_folder f = {0};
        reading r;
        hf_text(hf_file(&f, "config.json"), "%s", CONFIG_2B);
        gguf_bytes *b = hf_file(&f, TOKENIZER);
        hf_text(b,
                "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":"
                "\"Digits\"},{\"type\":\"ByteLevel\",\"add_prefix_space\":false}]},\"model\":"
                "{\"merges\":[],\"vocab\":{\"%s\":0",
                cases[i].first);
        for (int id = 1; id < cases[i].n; id++)
            hf_text(b, ",\"%x\":%d", id, id);
        hf_text(b, "}}}");
        put_tagged(&f, WEIGHTS, "model.norm.weight", "F32", "[8]", 32);
        read_one(&r, &f, true, 0);
        if (r.status < 0) fail_msg("%s", r.err.text);
        expect_str(&r, "tokenizer.ggml.pre", cases[i].pre);
        close_one(&r);
        hf_free(&f);
    }
}

static void ids_that_no_token_has_become_unused_tokens(void **state) {
    (void)state;
    hf_folder f = with_tokenizer(TOKENIZER_BPE);
    reading r;
    hf_replace(&f, TOKENIZER, "\"id\":6", "\"id\":8");
    hf_replace(&f, TOKENIZER, "\"abc\":4", "\"a\\u00e9\\u0120\":4");
    read_sound(&r, &f);
    expect_strs(&r, "tokenizer.ggml.tokens", "a,b,c,ab,a\xc3\xa9\xc4\xa0,<s>,[PAD6],[PAD7],<end>");
    expect_ints(&r, "tokenizer.ggml.token_type", "1,1,1,1,1,3,5,5,4");
    close_one(&r);
    hf_free(&f);
}

static void an_added_token_takes_the_place_of_a_token_with_its_id(void **state) {
    (void)state;
    hf_folder f = with_tokenizer(TOKENIZER_BPE);
    reading r;
    hf_replace(&f, TOKENIZER, "\"id\":6", "\"id\":2");
    read_sound(&r, &f);
    expect_strs(&r, "tokenizer.ggml.tokens", "a,b,<end>,ab,abc,<s>");
    expect_ints(&r, "tokenizer.ggml.token_type", "1,1,4,1,1,3");
    close_one(&r);
    hf_free(&f);
}

/* ---- flags and template ------------------------------------------------------------------ */

static void the_template_says_whether_bos_and_eos_are_added(void **state) {
    (void)state;
    static const struct {
        const char *single;
        bool bos, eos;
    } cases[] = {{"{\"Sequence\":{\"id\":\"A\"}}", false, false},
                 {"{\"Sequence\":{\"id\":\"A\"}},{\"SpecialToken\":{\"id\":\"<s>\"}}", false, true},
                 {"{\"SpecialToken\":{}},{\"Sequence\":{}},{\"SpecialToken\":{}}", true, true}};
    for (size_t i = 0; i < LEN(cases); i++) {
        hf_folder f = with_tokenizer(TOKENIZER_BPE);
        reading r;
        hf_replace(&f, TOKENIZER,
                   "{\"SpecialToken\":{\"id\":\"<s>\"}},{\"Sequence\":{\"id\":\"A\"}}",
                   cases[i].single);
        read_sound(&r, &f);
        expect_bool(&r, "tokenizer.ggml.add_bos_token", cases[i].bos);
        expect_bool(&r, "tokenizer.ggml.add_eos_token", cases[i].eos);
        close_one(&r);
        hf_free(&f);
    }
}

static void tokenizer_config_goes_before_the_template_and_brings_the_chat_template(void **state) {
    (void)state;
    hf_folder f = with_tokenizer(TOKENIZER_BPE);
    reading r;
    hf_text(hf_file(&f, TOK_CONFIG),
            "{\"add_bos_token\":false,\"add_eos_token\":true,\"chat_template\":\"{%% for m "
            "%%}\\n\\u00e9\"}");
    read_sound(&r, &f);
    expect_bool(&r, "tokenizer.ggml.add_bos_token", false);
    expect_bool(&r, "tokenizer.ggml.add_eos_token", true);
    expect_str(&r, "tokenizer.chat_template", "{% for m %}\n\xc3\xa9");
    close_one(&r);
    hf_replace(&f, TOK_CONFIG, "\"chat_template\":", "\"chat_template\":[],\"x\":");
    read_sound(&r, &f);
    expect_absent(&r, "tokenizer.chat_template");
    close_one(&r);
    hf_free(&f);
}

/* ---- SentencePiece ----------------------------------------------------------------------- */

#define SPACE "\xe2\x96\x81"
#define SPM_NORMALIZER                                                                             \
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":"    \
    "\"\\u2581\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" SPACE       \
    "\"}]},\"pre_tokenizer\":null"
#define SPM_ADDED                                                                                  \
    "\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\",\"special\":true},"                         \
    "{\"id\":1,\"content\":\"<s>\",\"special\":true}]"
#define TOKENIZER_SPM                                                                              \
    "{" SPM_ADDED "," SPM_NORMALIZER ",\"post_processor\":{\"type\":\"TemplateProcessing\","       \
    "\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}},{\"Sequence\":{\"id\":\"A\"}}]},"             \
    "\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"byte_fallback\":true,\"vocab\":{"       \
    "\"<unk>\":0,\"<s>\":1,\"<0x0A>\":2,\"a\":3,\"b\":4,\"" SPACE "\":5,\"ab\":6,\"" SPACE         \
    "ab\":7,\"" SPACE "a\":8},\"merges\":[\"" SPACE " a\",\"a b\",\"" SPACE " ab\",\"" SPACE       \
    "a b\"]}}"

static void expect_scores(const reading *r, const float *want, size_t n) {
    const bitnet_meta *m = bitnet_dir_meta(&r->dir, "tokenizer.ggml.scores");
    assert_true(m && m->elem == BITNET_META_F32 && m->n == n);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)bitnet_load_le(m->data + 4 * i, 4);
        float got;
        memcpy(&got, &bits, sizeof got);
        if (got != want[i]) fail_msg("score %zu is %g, not %g", i, (double)got, (double)want[i]);
    }
}

static void a_merge_list_with_byte_fallback_becomes_scores_in_its_order(void **state) {
    (void)state;
    static const float low = -16777216; /* below every position */
    const float want[] = {low, low, low, low, low, low, -1, -2, 0};
    hf_folder f = with_tokenizer(TOKENIZER_SPM);
    reading r;
    read_sound(&r, &f);
    expect_str(&r, "tokenizer.ggml.model", "llama");
    expect_absent(&r, "tokenizer.ggml.pre");
    expect_absent(&r, "tokenizer.ggml.merges");
    expect_strs(&r, "tokenizer.ggml.tokens",
                "<unk>,<s>,<0x0A>,a,b," SPACE ",ab," SPACE "ab," SPACE "a");
    expect_ints(&r, "tokenizer.ggml.token_type", "2,3,6,1,1,1,1,1,1");
    expect_scores(&r, want,
                  LEN(want)); /* of the two merges that make the eighth, the first counts */
    expect_int(&r, "tokenizer.ggml.unknown_token_id", 0);
    expect_bool(&r, "tokenizer.ggml.add_space_prefix", true);
    expect_bool(&r, "tokenizer.ggml.add_bos_token", true);
    close_one(&r);
    hf_free(&f);
}

static void a_unigram_model_brings_its_scores(void **state) {
    (void)state;
    static const float want[] = {0, 0, -1.5f, -10.123456f};
    hf_folder f = with_tokenizer(
        "{" SPM_ADDED ",\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"Metaspace\","
        "\"replacement\":\"\\u2581\",\"prepend_scheme\":\"never\"},\"model\":{\"type\":\"Unigram\","
        "\"unk_id\":0,\"byte_fallback\":true,\"vocab\":[[\"<unk>\",0.0],[\"<s>\",0],[\"<0x41>\",-1."
        "5],"
        "[\"\\u2581a\",-10.123456001]]}}");
    reading r;
    read_sound(&r, &f);
    expect_str(&r, "tokenizer.ggml.model", "llama");
    expect_ints(&r, "tokenizer.ggml.token_type", "2,3,6,1");
    expect_scores(&r, want, LEN(want));
    expect_bool(&r, "tokenizer.ggml.add_space_prefix", false);
    expect_bool(&r, "tokenizer.ggml.add_bos_token", false);
    close_one(&r);
    hf_free(&f);
}

static void a_space_in_front_follows_the_metaspace_options(void **state) {
    (void)state;
    static const struct {
        const char *options;
        bool want;
    } cases[] = {{"", true},
                 {",\"add_prefix_space\":false", false},
                 {",\"prepend_scheme\":\"always\"", true},
                 {",\"prepend_scheme\":\"first\"", true},
                 {",\"prepend_scheme\":\"never\"", false}};
    for (size_t i = 0; i < LEN(cases); i++) {
        hf_folder f = {0};
        reading r;
        hf_text(hf_file(&f, "config.json"), "%s", CONFIG_2B);
        hf_text(hf_file(&f, TOKENIZER),
                "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"" SPACE
                "\"%s},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
                cases[i].options);
        put_tagged(&f, WEIGHTS, "model.norm.weight", "F32", "[8]", 32);
        read_sound(&r, &f);
        expect_bool(&r, "tokenizer.ggml.add_space_prefix", cases[i].want);
        close_one(&r);
        hf_free(&f);
    }
}

/* ---- other models ------------------------------------------------------------------------ */

static void other_models_are_named_for_whoever_needs_them(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}", "WordPiece"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{}}}", "BPE of characters"}};
    for (size_t i = 0; i < LEN(cases); i++) {
        hf_folder f = with_tokenizer(cases[i][0]);
        reading r;
        read_sound(&r, &f);
        expect_str(&r, "tokenizer.ggml.model", cases[i][1]);
        expect_absent(&r, "tokenizer.ggml.tokens");
        close_one(&r);
        hf_free(&f);
    }
}

/* ---- bounds ------------------------------------------------------------------------------ */

/* Tokens and merges as small as they get, each kind: the most memory per byte of file. */
static void memory_is_bounded_by_the_text(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        hf_folder f = {0};
        reading r;
        hf_text(hf_file(&f, "config.json"), "%s", CONFIG_2B);
        gguf_bytes *b = hf_file(&f, TOKENIZER);
        hf_text(b, "{%s,\"model\":{\"type\":\"%s\",\"vocab\":%s",
                kind ? SPM_NORMALIZER
                     : "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}",
                kind == 1 ? "Unigram" : "BPE", kind == 1 ? "[" : "{");
        for (int id = 0; id < 400000; id++)
            hf_text(b, kind == 1 ? "%s[\"\",0]" : "%s\"\":%d", id ? "," : "", id);
        hf_text(b, kind == 1 ? "]" : "},\"merges\":[");
        if (kind == 1) hf_text(b, ",\"merges\":[");
        for (int i = 0; i < 400000 && kind == 0; i++)
            hf_text(b, "%s\"a b\"", i ? "," : "");
        if (kind == 3)
            for (int i = 0; i < 400000; i++) /* the last token is what all of these make */
                hf_text(b, "%s\"a b\"", i ? "," : "");
        hf_text(b, "]}}");
        if (kind == 3) hf_replace(&f, TOKENIZER, "\"\":0", "\"ab\":0");
        put_tagged(&f, WEIGHTS, "model.norm.weight", "F32", "[8]", 32);
        read_one(&r, &f, false, 0); /* which checks */
        if (r.status < 0) fail_msg("%s", r.err.text);
        close_one(&r);
        hf_free(&f);
    }
}

/* ---- refusals ---------------------------------------------------------------------------- */

static void more_than_4096_missing_ids_are_refused(void **state) {
    (void)state;
    hf_folder f = with_tokenizer(TOKENIZER_BPE);
    reading r;
    hf_replace(&f, TOKENIZER, "\"id\":6", "\"id\":4102"); /* the seventh: 4096 are missing */
    read_sound(&r, &f);
    close_one(&r);
    hf_replace(&f, TOKENIZER, "\"id\":4102", "\"id\":4103");
    expect_refusal(&f, E_FORMAT, "hf.tokenizer.holes",
                   "the highest id is 4103, but there are 7 tokens; 4096 ids may be missing");
    hf_free(&f);
}

static void a_token_of_64_kib_is_refused(void **state) {
    (void)state;
    static char name[65537 + 1];
    hf_folder f = with_tokenizer(TOKENIZER_BPE);
    memset(name, 'x', 65536);
    hf_replace(&f, TOKENIZER, "abc", name);
    expect_refusal(&f, E_FORMAT, "hf.tokenizer.text", "token 4 has 65536 bytes; allowed are 65535");
    hf_free(&f);
}

/* Between the walk that counts and the one that fills, a token grows. */
static void grow_a_token(void *user, long n_calls) {
    gguf_bytes *b = user;
    for (size_t i = 0; n_calls > 1 && i + 7 < b->n; i++)
        if (memcmp(b->p + i, "\"c\"   :", 7) == 0) memcpy(b->p + i, "\"cccc\":", 7);
}

static void a_mapped_file_that_changes_is_refused(void **state) {
    (void)state;
    hf_folder f = with_tokenizer(TOKENIZER_BPE);
    hf_replace(&f, TOKENIZER, "\"c\":", "\"c\"   :");
    hf_remove(&f, WEIGHTS);
    gguf_bytes *text = &f.whole[1];
    assert_string_equal(hf_files(&f, true)[1].name, TOKENIZER);
    count_alloc c = {.on_alloc = grow_a_token, .user = text};
    bitnet_allocator a = count_alloc_of(&c);
    bitnet_error err = {0};
    bitnet_dir_builder b;
    bitnet_build_init(&b, &a, &err);
    c.n_calls = -3; /* the builder's first three: its buffers */
    bitnet_status st = bitnet_hf_tokenizer(&b, (const char *)text->p, text->n, NULL, 0, &err);
    assert_int_equal(st, BITNET_E_FORMAT);
    assert_string_equal(err.id, "hf.changed");
    bitnet_build_free(&b);
    assert_int_equal(c.live, 0);
    hf_free(&f);
}

/* A left part of this size, then " c". */
static void a_merge_of_4_kib_is_refused_in_either_form(void **state) {
    (void)state;
    static const struct { const char *begin, *end; } forms[] = {{"", " c"}, {"[\"", "\",\"c\"]"}};
    static const size_t sizes[] = {4095, 4096, 4097, 5000};
    static char merge[5100];
    for (size_t i = 0; i < LEN(sizes) * LEN(forms); i++) {
        bool is_pair = i % 2;
        size_t n = sizes[i / 2], at = strlen(forms[is_pair].begin);
        hf_folder f = with_tokenizer(TOKENIZER_BPE);
        strcpy(merge, forms[is_pair].begin);
        memset(merge + at, 'x', n);
        strcpy(merge + at + n, forms[is_pair].end);
        hf_replace(&f, TOKENIZER, is_pair ? "\"ab c\"" : "ab c", merge);
        expect_refusal(&f, E_FORMAT, "hf.tokenizer.merge", "merge 1 is not two parts");
        hf_free(&f);
    }
}

static void a_tokenizer_config_that_is_no_json_is_refused(void **state) {
    (void)state;
    hf_folder f = with_tokenizer(TOKENIZER_BPE);
    hf_text(hf_file(&f, TOK_CONFIG), "[]");
    expect_refusal(&f, E_FORMAT, "hf.json", "tokenizer_config.json: holds something else than an");
    hf_free(&f);
}

static void refused_spm(const char *from, const char *to, bitnet_status status, const char *id,
                        const char *says) {
    hf_folder f = with_tokenizer(TOKENIZER_SPM);
    hf_replace(&f, TOKENIZER, from, to);
    expect_refusal(&f, status, id, says);
    hf_free(&f);
}

static void a_merge_that_makes_no_token_is_refused(void **state) {
    (void)state;
    refused_spm("\"a b\"", "\"b b\"", E_FORMAT, "hf.tokenizer.merge",
                "merge 1 makes 'bb', which is no token");
}

static void sentencepiece_with_plain_spaces_is_refused(void **state) {
    (void)state;
    refused_spm(SPM_NORMALIZER, "\"normalizer\":null", E_UNSUPPORTED, "hf.tokenizer.mixed",
                "SentencePiece with plain spaces");
}

static void sentencepiece_that_cuts_is_refused(void **state) {
    (void)state;
    refused_spm("\"pre_tokenizer\":null", "\"pre_tokenizer\":{\"type\":\"Digits\"}", E_UNSUPPORTED,
                "hf.tokenizer.mixed", "the pre-tokenizers 'Digits'");
}

static void another_normalizer_is_refused_by_name(void **state) {
    (void)state;
    refused_spm("\"Prepend\"", "\"Lowercase\"", E_UNSUPPORTED, "hf.tokenizer.normalizer",
                "normalizer \"Lowercase\" is not supported");
}

static const char unigram[] = "{" SPM_NORMALIZER ",\"model\":{\"type\":\"Unigram\",\"vocab\":";

static void expect_unigram_refused(const char *vocab, const char *id, const char *says) {
    char json[1024];
    snprintf(json, sizeof json, "%s%s}}", unigram, vocab);
    hf_folder f = with_tokenizer(json);
    expect_refusal(&f, E_FORMAT, id, says);
    hf_free(&f);
}

static void unigram_entries_of_another_form_are_refused(void **state) {
    (void)state;
    static const char *const forms[] = {"[[\"a\"]]", "[[\"a\",1,2]]", "[\"a\"]", "[[1,\"a\"]]",
                                        "[[\"a\",null]]"};
    for (size_t i = 0; i < LEN(forms); i++)
        expect_unigram_refused(forms[i], "hf.tokenizer.vocab",
                               "entry 0 of \"vocab\" is not [text, score]");
    expect_unigram_refused("{}", "hf.tokenizer.vocab", "\"vocab\" of a Unigram model is not an");
    expect_unigram_refused("[]", "hf.tokenizer.vocab", "there are no tokens");
}

static void a_score_beyond_a_float_is_refused(void **state) {
    (void)state;
    expect_unigram_refused("[[\"a\",1e39]]", "hf.tokenizer.score",
                           "the score of token 0 is not a finite float");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_byte_level_tokenizer_comes_out_in_the_order_of_its_ids),
    cmocka_unit_test(merges_as_pairs_are_the_same_merges),
    cmocka_unit_test(gpt2_and_unknown_pre_tokenizers_are_named),
    cmocka_unit_test(falcon3_is_known_by_its_tokens),
    cmocka_unit_test(ids_that_no_token_has_become_unused_tokens),
    cmocka_unit_test(an_added_token_takes_the_place_of_a_token_with_its_id),
    cmocka_unit_test(the_template_says_whether_bos_and_eos_are_added),
    cmocka_unit_test(tokenizer_config_goes_before_the_template_and_brings_the_chat_template),
    cmocka_unit_test(a_merge_list_with_byte_fallback_becomes_scores_in_its_order),
    cmocka_unit_test(a_unigram_model_brings_its_scores),
    cmocka_unit_test(a_space_in_front_follows_the_metaspace_options),
    cmocka_unit_test(other_models_are_named_for_whoever_needs_them),
    cmocka_unit_test(memory_is_bounded_by_the_text),
    cmocka_unit_test(more_than_4096_missing_ids_are_refused),
    cmocka_unit_test(a_token_of_64_kib_is_refused),
    cmocka_unit_test(a_mapped_file_that_changes_is_refused),
    cmocka_unit_test(a_merge_of_4_kib_is_refused_in_either_form),
    cmocka_unit_test(a_tokenizer_config_that_is_no_json_is_refused),
    cmocka_unit_test(a_merge_that_makes_no_token_is_refused),
    cmocka_unit_test(sentencepiece_with_plain_spaces_is_refused),
    cmocka_unit_test(sentencepiece_that_cuts_is_refused),
    cmocka_unit_test(another_normalizer_is_refused_by_name),
    cmocka_unit_test(unigram_entries_of_another_form_are_refused),
    cmocka_unit_test(a_score_beyond_a_float_is_refused),
    REFUSAL("a_tokenizer_without_a_model_is_refused", TOKENIZER, "\"model\":{", "\"mode\":{",
            E_FORMAT, "hf.tokenizer.part", "\"model\" is not an object"),
    REFUSAL("a_pre_tokenizer_that_is_no_object_is_refused", TOKENIZER, "\"normalizer\":null",
            "\"normalizer\":\"NFC\"", E_FORMAT, "hf.tokenizer.part",
            "\"normalizer\" is not an object"),
    REFUSAL("a_sequence_without_its_list_is_refused", TOKENIZER, "\"pretokenizers\"", "\"pre\"",
            E_FORMAT, "hf.tokenizer.part", "\"pre_tokenizer\" has no array \"pretokenizers\""),
    REFUSAL("byte_level_with_a_space_in_front_is_refused", TOKENIZER, "\"add_prefix_space\":false",
            "\"add_prefix_space\":true", E_UNSUPPORTED, "hf.tokenizer.prefix_space",
            "ByteLevel with add_prefix_space"),
    REFUSAL("byte_level_with_marked_spaces_is_refused", TOKENIZER, "\"normalizer\":null",
            "\"normalizer\":{\"type\":\"Prepend\",\"prepend\":\"\\u2581\"}", E_UNSUPPORTED,
            "hf.tokenizer.mixed", "byte-level BPE with U+2581 for spaces"),
    REFUSAL("subword_prefixes_are_refused", TOKENIZER, "\"unk_token\":null",
            "\"continuing_subword_prefix\":\"##\"", E_UNSUPPORTED, "hf.tokenizer.affix",
            "a model with continuing_subword_prefix"),
    REFUSAL("word_suffixes_are_refused", TOKENIZER, "\"unk_token\":null",
            "\"end_of_word_suffix\":\"</w>\"", E_UNSUPPORTED, "hf.tokenizer.affix",
            "a model with end_of_word_suffix"),
    REFUSAL("a_model_without_a_vocabulary_is_refused", TOKENIZER, "\"vocab\"", "\"words\"",
            E_FORMAT, "hf.tokenizer.vocab", "the model has no \"vocab\""),
    REFUSAL("a_vocabulary_that_is_an_array_is_refused", TOKENIZER, "\"vocab\":{",
            "\"vocab\":[],\"v\":{", E_FORMAT, "hf.tokenizer.vocab",
            "\"vocab\" of a BPE model is not an object"),
    REFUSAL("an_id_that_is_no_integer_is_refused", TOKENIZER, "\"c\":2", "\"c\":2.5", E_FORMAT,
            "hf.tokenizer.vocab", "\"vocab\" holds something else than ids"),
    REFUSAL("a_negative_id_is_refused", TOKENIZER, "\"c\":2", "\"c\":-1", E_FORMAT,
            "hf.tokenizer.id", "token 'c' has id -1; allowed are 0 to 1048575"),
    REFUSAL("an_id_of_2_to_the_20_is_refused", TOKENIZER, "\"c\":2", "\"c\":1048576", E_FORMAT,
            "hf.tokenizer.id", "token 'c' has id 1048576"),
    REFUSAL("an_id_given_twice_is_refused", TOKENIZER, "\"c\":2", "\"c\":1", E_FORMAT,
            "hf.tokenizer.id", "two tokens have id 1"),
    REFUSAL("an_added_id_given_twice_is_refused", TOKENIZER, "\"id\":6", "\"id\":5", E_FORMAT,
            "hf.tokenizer.id", "two tokens have id 5"),
    REFUSAL("added_tokens_that_are_no_array_are_refused", TOKENIZER, "\"added_tokens\":[",
            "\"added_tokens\":{},\"x\":[", E_FORMAT, "hf.tokenizer.added",
            "\"added_tokens\" is not an array"),
    REFUSAL("an_added_token_without_an_id_is_refused", TOKENIZER, "\"id\":6", "\"i\":6", E_FORMAT,
            "hf.tokenizer.added", "added token 1 has no id or no content"),
    REFUSAL("merges_that_are_no_array_are_refused", TOKENIZER, "\"merges\":[",
            "\"merges\":0,\"m\":[", E_FORMAT, "hf.tokenizer.merge",
            "\"merges\" of a BPE model is not an array"),
    REFUSAL("a_merge_of_one_part_is_refused", TOKENIZER, "\"ab c\"", "\"abc\"", E_FORMAT,
            "hf.tokenizer.merge", "merge 1 is not two parts"),
    REFUSAL("a_merge_of_three_parts_is_refused", TOKENIZER, "\"ab c\"", "\"a b c\"", E_FORMAT,
            "hf.tokenizer.merge", "merge 1 is not two parts"),
    REFUSAL("a_merge_with_an_empty_left_part_is_refused", TOKENIZER, "\"ab c\"", "[\"\",\"abc\"]",
            E_FORMAT, "hf.tokenizer.merge", "merge 1 is not two parts"),
    REFUSAL("a_merge_with_an_empty_right_part_is_refused", TOKENIZER, "\"ab c\"", "\"ab \"",
            E_FORMAT, "hf.tokenizer.merge", "merge 1 is not two parts"),
    REFUSAL("a_pair_of_three_is_refused", TOKENIZER, "\"ab c\"", "[\"a\",\"b\",\"c\"]", E_FORMAT,
            "hf.tokenizer.merge", "merge 1 is not two parts"),
    REFUSAL("a_pair_with_a_space_in_a_part_is_refused", TOKENIZER, "\"ab c\"", "[\"a b\",\"c\"]",
            E_FORMAT, "hf.tokenizer.merge", "merge 1 is not two parts"),
    REFUSAL("a_merge_that_is_a_number_is_refused", TOKENIZER, "\"ab c\"", "7", E_FORMAT,
            "hf.tokenizer.merge", "merge 1 is not two parts"),
};

static void every_id_is_in_the_page(void **state) {
    (void)state;
    expect_documented(tests, LEN(tests));
}

int main(void) {
    const struct CMUnitTest last[] = {cmocka_unit_test(every_id_is_in_the_page)};
    int n_failed = cmocka_run_group_tests_name("hf_tokenizer_page", last, NULL, NULL);
    return n_failed + cmocka_run_group_tests_name("hf_tokenizer", tests, NULL, NULL);
}
