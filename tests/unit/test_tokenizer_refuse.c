/* test_tokenizer_refuse.c: building a vocabulary from keys that are missing, of the wrong type, too
 * long, out of range or made to be slow; and which tokenizers are recognised at all.
 */
#include "vocab_fixture.h"

#include <math.h>

#include "count_alloc.h"
#include "text/vocab.h"

/* ---- which tokenizer --------------------------------------------------------------------- */

/* The tiny vocabulary with another model and pre key; NULL leaves a key out. */
static bitnet_status build_named(const char *model, const char *pre, const char *arch,
                                 const tiny_vocab *t, bitnet_vocab **v, bitnet_error *err) {
    gguf_writer w;
    gguf_writer_init(&w);
    if (model) gguf_put_str(&w, "tokenizer.ggml.model", model);
    if (pre) gguf_put_str(&w, "tokenizer.ggml.pre", pre);
    gguf_put_strs(&w, "tokenizer.ggml.tokens", (const char *const *)t->token, t->n_token);
    gguf_put_strs(&w, "tokenizer.ggml.merges", t->merge, t->n_merge);
    gguf_writer_finish(&w);
    bitnet_status st = vocab_from(v, &w.file, arch, 4096, NULL, err);
    gguf_writer_free(&w);
    return st;
}

static void pre_tokenizers_are_known_by_all_their_names(void **state) {
    (void)state;
    static const char *const names[] = {"llama-bpe", "llama3", "llama-v3", "falcon3",
                                        "falcon_e",  "gpt-2",  "olmo",     "mpt"};
    tiny_vocab t;
    tiny_vocab_init(&t);
    for (size_t i = 0; i < LEN(names); i++) {
        bitnet_vocab *v;
        char name[32];
        assert_int_equal(build_named("gpt2", names[i], "llama", &t, &v, NULL), BITNET_OK);
        sprintf(name, "gpt2/%s", names[i]);
        assert_string_equal(bitnet_vocab_name(v), name);
        EXPECT_IDS(v, "a1", 0, 'a', '1');
        bitnet_vocab_free(v);
    }
    tiny_vocab_free(&t);
}

static void other_tokenizers_are_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *model, *pre, *arch, *id, *says;
    } cases[] = {
        {"t5", NULL, "bitnet", "tokenizer.model", "is \"t5\"; supported are \"gpt2\""},
        {"bert", "llama-bpe", NULL, "tokenizer.model", "is \"bert\""},
        {"gp\xff", NULL, NULL, "tokenizer.model", "is \"gp\\xff\""},
        {"gpt2", "qwen2", "bitnet", "tokenizer.pre", "is \"qwen2\"; supported are llama-bpe"},
        {"gpt2", "", "bitnet", "tokenizer.pre", "is \"\"; supported are"},
        {"gpt2", NULL, "llama", "tokenizer.pre", "missing and the vocabulary is not LLaMA 3's"},
        {"gpt2", NULL, NULL, "tokenizer.pre", "--override-kv tokenizer.ggml.pre=str:gpt-2"},
    };
    tiny_vocab t;
    tiny_vocab_init(&t);
    for (size_t i = 0; i < LEN(cases); i++) {
        bitnet_vocab *v;
        bitnet_error err = {0};
        bitnet_status st = build_named(cases[i].model, cases[i].pre, cases[i].arch, &t, &v, &err);
        assert_int_equal(st, BITNET_E_UNSUPPORTED);
        assert_string_equal(err.id, cases[i].id);
        if (!strstr(err.text, cases[i].says)) fail_msg("case %zu: %s", i, err.text);
        assert_null(v);
    }
    tiny_vocab_free(&t);
}

static void a_missing_pre_means_llama3_for_bitnet_archs(void **state) {
    (void)state;
    static const char *const archs[] = {"bitnet", "bitnet-b1.58", "bitnet-25"};
    tiny_vocab t;
    tiny_vocab_init(&t);
    for (size_t i = 0; i < LEN(archs); i++) {
        bitnet_vocab *v;
        assert_int_equal(build_named("gpt2", NULL, archs[i], &t, &v, NULL), BITNET_OK);
        assert_string_equal(bitnet_vocab_name(v), "gpt2/llama-bpe");
        bitnet_vocab_free(v);
    }
    tiny_vocab_free(&t);
}

/* n tokens: bytes, then numbered fillers, and token 128000 with this text. */
static bitnet_status build_large(uint32_t n, const char *text_128000, int32_t n_rows,
                                 bitnet_vocab **v, bitnet_error *err) {
    gguf_writer w;
    tiny_vocab t;
    tiny_vocab_init(&t);
    gguf_writer_init(&w);
    gguf_put_str(&w, "tokenizer.ggml.model", "gpt2");
    gguf_put_array(&w, "tokenizer.ggml.tokens", 8, n);
    for (uint32_t i = 0; i < n; i++) {
        char filler[32];
        sprintf(filler, "<filler-%u>", i);
        const char *s = i < 256 ? t.token[i] : i == 128000 ? text_128000 : filler;
        gguf_bytes_str(&w.kv, s, strlen(s));
    }
    gguf_put_strs(&w, "tokenizer.ggml.merges", NULL, 0);
    gguf_writer_finish(&w);
    bitnet_status st = vocab_from(v, &w.file, "llama", n_rows, NULL, err);
    tiny_vocab_free(&t);
    gguf_writer_free(&w);
    return st;
}

static void a_missing_pre_means_llama3_for_a_llama3_vocabulary(void **state) {
    (void)state;
    bitnet_vocab *v;
    assert_int_equal(build_large(128256, "x", 128256, &v, NULL), BITNET_OK);
    assert_int_equal(bitnet_vocab_size(v), 128256);
    bitnet_vocab_free(v);
    assert_int_equal(build_large(128001, "<|begin_of_text|>", 128256, &v, NULL), BITNET_OK);
    EXPECT_IDS(v, "<filler-127999>", 0, '<', 'f', 'i', 'l', 'l', 'e', 'r', '-', '1', '2', '7', '9',
               '9', '9', '>');
    bitnet_vocab_free(v);
    assert_int_equal(build_large(128001, "x", 128256, &v, NULL), BITNET_E_UNSUPPORTED);
    assert_int_equal(build_large(128000, "x", 128256, &v, NULL), BITNET_E_UNSUPPORTED);
}

static void a_file_without_a_tokenizer_has_no_vocabulary(void **state) {
    (void)state;
    gguf_writer w;
    bitnet_vocab *v = (bitnet_vocab *)&w; /* must be cleared */
    gguf_writer_init(&w);
    gguf_put_str(&w, "general.architecture", "bitnet");
    gguf_writer_finish(&w);
    assert_int_equal(vocab_from(&v, &w.file, "bitnet", 10, NULL, NULL), BITNET_OK);
    assert_null(v);
    gguf_put_str(&w, "tokenizer.ggml.model", "no_vocab");
    gguf_writer_finish(&w);
    assert_int_equal(vocab_from(&v, &w.file, "bitnet", 10, NULL, NULL), BITNET_OK);
    assert_null(v);
    gguf_writer_free(&w);
}

/* ---- damaged keys ------------------------------------------------------------------------ */

/* Which key is left out, and what stands there instead. */
typedef struct damage {
    const char *key;
    void (*put)(gguf_writer *w, const char *key); /* NULL: nothing */
    const char *id, *says;
} damage;

static void put_number(gguf_writer *w, const char *key) {
    gguf_put_u32(w, key, 7);
}
static void put_text(gguf_writer *w, const char *key) {
    gguf_put_str(w, key, "text");
}
static void put_minus_2(gguf_writer *w, const char *key) {
    gguf_put_key(w, key, 5);
    gguf_bytes_u32(&w->kv, (uint32_t)-2);
}
static void put_2_to_63(gguf_writer *w, const char *key) {
    gguf_put_key(w, key, 10);
    gguf_bytes_u64(&w->kv, (uint64_t)1 << 63);
}
static void put_no_strings(gguf_writer *w, const char *key) {
    gguf_put_strs(w, key, NULL, 0);
}
static void put_5000_strings(gguf_writer *w, const char *key) {
    gguf_put_array(w, key, 8, 5000);
    for (int i = 0; i < 5000; i++)
        gguf_bytes_str(&w->kv, "x", 1);
}
static void put_long_token(gguf_writer *w, const char *key) {
    static char text[1026];
    memset(text, 'x', 1025);
    gguf_put_strs(w, key, (const char *const[]){"a", text}, 2);
}
static void put_i32s_of_1(gguf_writer *w, const char *key) {
    gguf_put_i32s(w, key, (const int32_t[]){1}, 1);
}
static void put_bytes_of_258(gguf_writer *w,
                             const char *key) { /* the right length, the wrong width */
    static uint8_t zeros[258];
    gguf_put_array(w, key, 0, 258);
    gguf_bytes_put(&w->kv, zeros, sizeof zeros);
}
static void put_types_with(gguf_writer *w, const char *key, int32_t bad) {
    int32_t types[258];
    for (int i = 0; i < 258; i++)
        types[i] = i == 200 ? bad : 1;
    gguf_put_i32s(w, key, types, 258);
}
static void put_type_7(gguf_writer *w, const char *key) {
    put_types_with(w, key, 7);
}
static void put_type_minus_1(gguf_writer *w, const char *key) {
    put_types_with(w, key, -1);
}
static void put_scores_of_nan(gguf_writer *w, const char *key) {
    float scores[259] = {[200] = NAN};
    gguf_put_f32s(w, key, scores, 259);
}
static void put_scores_of_infinity(gguf_writer *w, const char *key) {
    float scores[259] = {[201] = -INFINITY};
    gguf_put_f32s(w, key, scores, 259);
}
static void put_one_score(gguf_writer *w, const char *key) {
    gguf_put_f32s(w, key, (const float[]){1}, 1);
}
static void put_spm_tokens(gguf_writer *w, const char *key, const char *byte) {
    tiny_vocab t;
    tiny_spm_init(&t);
    gguf_put_array(w, key, 8, t.n_token);
    for (uint32_t i = 0; i < t.n_token; i++)
        gguf_bytes_str(&w->kv, i == 13 ? byte : t.token[i], strlen(i == 13 ? byte : t.token[i]));
    tiny_vocab_free(&t);
}
static void put_small_letters(gguf_writer *w, const char *key) {
    put_spm_tokens(w, key, "<0x0a>");
}
static void put_short_byte(gguf_writer *w, const char *key) {
    put_spm_tokens(w, key, "<0xA>");
}
static void put_byte_without_end(gguf_writer *w, const char *key) {
    put_spm_tokens(w, key, "<0x0A)");
}
static void put_merge(gguf_writer *w, const char *key, const char *merge) {
    gguf_put_strs(w, key, (const char *const[]){"h e", merge}, 2);
}
static void put_merge_of_one(gguf_writer *w, const char *key) {
    put_merge(w, key, "he");
}
static void put_merge_without_right(gguf_writer *w, const char *key) {
    put_merge(w, key, "h ");
}
static void put_merge_without_left(gguf_writer *w, const char *key) {
    put_merge(w, key, " h");
}
static void put_empty_merge(gguf_writer *w, const char *key) {
    put_merge(w, key, "");
}
static void put_merge_of_unknown_left(gguf_writer *w, const char *key) {
    put_merge(w, key, "hx e");
}
static void put_merge_to_unknown(gguf_writer *w, const char *key) {
    put_merge(w, key, "x y");
}
static void put_merge_off_the_map(gguf_writer *w, const char *key) {
    put_merge(w, key, "h \xe4\xb8\xad\n");
}
static void put_long_merge(gguf_writer *w, const char *key) {
    static char text[8001];
    memset(text, 'x', 8000);
    text[4000] = ' ';
    put_merge(w, key, text);
}

#define K(name) "tokenizer.ggml." name
static const damage damages[] = {
    {K("model"), NULL, "tokenizer.model", "tokenizer.ggml.model is missing"},
    {K("model"), put_number, "tokenizer.model", "tokenizer.ggml.model is not a string"},
    {K("pre"), put_number, "tokenizer.pre", "tokenizer.ggml.pre is not a string"},
    {K("tokens"), NULL, "tokenizer.tokens", "tokenizer.ggml.tokens is missing"},
    {K("tokens"), put_text, "tokenizer.tokens", "is not an array of strings"},
    {K("tokens"), put_i32s_of_1, "tokenizer.tokens", "is not an array of strings"},
    {K("tokens"), put_no_strings, "tokenizer.tokens", "has 0 entries; allowed are 1 to 4096"},
    {K("tokens"), put_5000_strings, "tokenizer.tokens", "has 5000 entries; allowed are 1 to 4096"},
    {K("tokens"), put_long_token, "tokenizer.token.length", "token 1 has 1025 bytes"},
    {K("token_type"), put_number, "tokenizer.token_type", "is not an array of i32"},
    {K("token_type"), put_bytes_of_258, "tokenizer.token_type", "is not an array of i32"},
    {K("token_type"), put_i32s_of_1, "tokenizer.token_type", "has 1 entries but there are 258"},
    {K("token_type"), put_type_7, "tokenizer.token_type", "token 200 is of type 7"},
    {K("token_type"), put_type_minus_1, "tokenizer.token_type", "token 200 is of type -1"},
    {K("scores"), put_bytes_of_258, "tokenizer.scores", "is not an array of f32"},
    {K("scores"), put_text, "tokenizer.scores", "is not an array of f32"},
    {K("merges"), NULL, "tokenizer.merges", "tokenizer.ggml.merges is missing"},
    {K("merges"), put_i32s_of_1, "tokenizer.merges", "is not an array of strings"},
    {K("merges"), put_merge_of_one, "tokenizer.merges", "entry 1 'he' does not join two tokens"},
    {K("merges"), put_merge_without_right, "tokenizer.merges", "entry 1 'h '"},
    {K("merges"), put_merge_without_left, "tokenizer.merges", "entry 1 ' h'"},
    {K("merges"), put_empty_merge, "tokenizer.merges", "entry 1 ''"},
    {K("merges"), put_merge_of_unknown_left, "tokenizer.merges", "entry 1 'hx e'"},
    {K("merges"), put_merge_to_unknown, "tokenizer.merges", "entry 1 'x y'"},
    {K("merges"), put_merge_off_the_map, "tokenizer.merges", "entry 1 'h \\xe4\\xb8\\xad\\x0a'"},
    {K("merges"), put_long_merge, "tokenizer.merges", "entry 1 'xxx"},
    {K("bos_token_id"), put_text, "tokenizer.special_id", "bos_token_id is not an integer"},
    {K("eot_token_id"), put_minus_2, "tokenizer.special_id", "eot_token_id is not an integer from"},
    {K("eom_token_id"), put_2_to_63, "tokenizer.special_id", "eom_token_id is not an integer"},
    {K("add_bos_token"), put_number, "tokenizer.add_bos", "add_bos_token is not a bool"},
    {K("add_eos_token"), put_number, "tokenizer.add_eos", "add_eos_token is not a bool"},
    {K("add_space_prefix"), put_number, "tokenizer.add_space", "add_space_prefix is not a bool"},
};

static const damage spm_damages[] = {
    {K("scores"), NULL, "tokenizer.scores", "tokenizer.ggml.scores is missing"},
    {K("scores"), put_one_score, "tokenizer.scores", "has 1 entries but there are 259 tokens"},
    {K("scores"), put_text, "tokenizer.scores", "is not an array of f32"},
    {K("scores"), put_scores_of_nan, "tokenizer.scores", "the score of token 200 is not a finite"},
    {K("scores"), put_scores_of_infinity, "tokenizer.scores", "the score of token 201"},
    {K("token_type"), NULL, "tokenizer.token_type", "tokenizer.ggml.token_type is missing"},
    {K("tokens"), put_small_letters, "tokenizer.byte",
     "token 13 is of type byte and reads '<0x0a>'"},
    {K("tokens"), put_short_byte, "tokenizer.byte", "token 13 is of type byte and reads '<0xA>'"},
    {K("tokens"), put_byte_without_end, "tokenizer.byte", "allowed are '<0x00>' to '<0xFF>'"},
};

/* A sound vocabulary, without the key `but`. */
static void put_all_but(gguf_writer *w, const tiny_vocab *t, const char *but) {
    bool is_spm = strcmp(t->model, "llama") == 0;
    if (strcmp(but, K("model"))) gguf_put_str(w, K("model"), t->model);
    if (strcmp(but, K("pre")) && t->pre) gguf_put_str(w, K("pre"), t->pre);
    if (strcmp(but, K("tokens")))
        gguf_put_strs(w, K("tokens"), (const char *const *)t->token, t->n_token);
    if (strcmp(but, K("token_type")) && (is_spm || strcmp(but, K("tokens"))))
        gguf_put_i32s(w, K("token_type"), t->type, t->n_token);
    if (strcmp(but, K("merges")) && !is_spm) gguf_put_strs(w, K("merges"), t->merge, t->n_merge);
    if (strcmp(but, K("scores")) && is_spm) gguf_put_f32s(w, K("scores"), t->score, t->n_token);
}

static void tiny_of_258(tiny_vocab *t) {
    tiny_vocab_init(t);
    tiny_vocab_merge(t, "h e");
    tiny_vocab_add(t, "<s>", CONTROL);
}

static void expect_refused(const tiny_vocab *t, const damage *d) {
    gguf_writer w;
    gguf_writer_init(&w);
    put_all_but(&w, t, d->key);
    if (d->put) d->put(&w, d->key);
    gguf_writer_finish(&w);
    bitnet_vocab *v;
    bitnet_error err = {0};
    count_alloc c = {0};
    bitnet_allocator a = count_alloc_of(&c);
    bitnet_status st = vocab_from(&v, &w.file, NULL, 4096, &a, &err);
    if (st != BITNET_E_FORMAT || strcmp(err.id, d->id) != 0 || !strstr(err.text, d->says))
        fail_msg("%s: got %d [%s] \"%s\"; expected [%s] \"...%s...\"", d->key, st,
                 err.id ? err.id : "", err.text, d->id, d->says);
    assert_null(v);
    assert_int_equal(c.live, 0);
    gguf_writer_free(&w);
}

static void damaged_keys_are_refused_with_key_and_numbers(void **state) {
    (void)state;
    tiny_vocab bpe, spm;
    tiny_of_258(&bpe);
    tiny_spm_init(&spm);
    for (size_t i = 0; i < LEN(damages); i++)
        expect_refused(&bpe, &damages[i]);
    for (size_t i = 0; i < LEN(spm_damages); i++)
        expect_refused(&spm, &spm_damages[i]);
    tiny_vocab_free(&bpe);
    tiny_vocab_free(&spm);
}

/* llama.cpp's reading: formats page 4.1. */
static void ids_outside_the_vocabulary_are_as_good_as_absent(void **state) {
    (void)state;
    tiny_vocab bpe, spm;
    tiny_of_258(&bpe);
    tiny_spm_init(&spm);
    const struct {
        const tiny_vocab *t;
        int32_t bos, eos;
    } cases[] = {{&bpe, -1, -1}, {&spm, 1, 2}};
    for (size_t i = 0; i < LEN(cases); i++) {
        gguf_writer w;
        gguf_writer_init(&w);
        gguf_put_u32(&w, K("bos_token_id"), 300);
        gguf_put_u32(&w, K("eos_token_id"), cases[i].t->n_token);
        bitnet_vocab *v = vocab_of(cases[i].t, &w);
        assert_int_equal(bitnet_vocab_bos(v), cases[i].bos);
        assert_int_equal(bitnet_vocab_eos(v), cases[i].eos);
        bitnet_vocab_free(v);
        gguf_writer_free(&w);
    }
    tiny_vocab_free(&bpe);
    tiny_vocab_free(&spm);
}

/* What names the tokenizer before anything is built agrees with what is built. */
static void the_name_is_known_without_building(void **state) {
    (void)state;
    static const struct {
        const char *model, *pre, *arch, *name;
    } cases[] = {{"gpt2", "falcon3", "llama", "gpt2/falcon3"},
                 {"llama", NULL, "bitnet", "llama"},
                 {"gpt2", NULL, "bitnet-25", "gpt2/llama-bpe"},
                 {"gpt2", NULL, "llama", "unsupported"},
                 {"gpt2", "qwen2", "llama", "unsupported"},
                 {"bert", NULL, NULL, "unsupported"},
                 {"no_vocab", NULL, NULL, "none"}};
    for (size_t i = 0; i < LEN(cases); i++) {
        tiny_vocab t;
        gguf_writer w;
        bitnet_dir dir;
        gguf_writer_init(&w);
        tiny_vocab_init(&t);
        t.model = cases[i].model, t.pre = cases[i].pre;
        tiny_vocab_put(&t, &w);
        bitnet_source src = gguf_writer_source(&w, true);
        assert_int_equal(bitnet_gguf_read(&dir, &src, NULL, NULL), BITNET_OK);
        assert_string_equal(bitnet_vocab_name_of(&dir, cases[i].arch), cases[i].name);
        bitnet_dir_free(&dir);
        tiny_vocab_free(&t);
        gguf_writer_free(&w);
    }
}

static void a_vocabulary_larger_than_the_embedding_is_refused(void **state) {
    (void)state;
    tiny_vocab t;
    gguf_writer w;
    bitnet_error err = {0};
    tiny_of_258(&t);
    gguf_writer_init(&w);
    put_all_but(&w, &t, "");
    gguf_writer_finish(&w);
    bitnet_vocab *v;
    assert_int_equal(vocab_from(&v, &w.file, NULL, 257, NULL, &err), BITNET_E_FORMAT);
    assert_string_equal(err.id, "tokenizer.tokens");
    assert_non_null(strstr(err.text, "has 258 entries; allowed are 1 to 257"));
    assert_int_equal(vocab_from(&v, &w.file, NULL, 258, NULL, &err), BITNET_OK);
    bitnet_vocab_free(v);
    assert_int_equal(build_large((1 << 20) + 1, "x", INT32_MAX, &v, &err), BITNET_E_FORMAT);
    assert_non_null(strstr(err.text, "has 1048577 entries; allowed are 1 to 1048576"));
    tiny_vocab_free(&t);
    gguf_writer_free(&w);
}

/* Tokens that all hash to one slot would make every look-up walk through all of them. */
static void tokens_chosen_to_collide_are_refused(void **state) {
    (void)state;
    enum { N = 300, SLOTS = 1024 }; /* the table has at least twice as many slots as tokens */
    gguf_writer w;
    bitnet_error err = {0};
    gguf_writer_init(&w);
    gguf_put_str(&w, K("model"), "gpt2");
    gguf_put_str(&w, K("pre"), "llama-bpe");
    gguf_put_array(&w, K("tokens"), 8, N);
    for (uint32_t i = 0, n = 0; n < N; i++) {
        char text[16];
        int len = sprintf(text, "%x", i);
        if (bitnet_vocab_hash(text, (size_t)len) % SLOTS != 5) continue;
        gguf_bytes_str(&w.kv, text, (size_t)len);
        n++;
    }
    gguf_put_strs(&w, K("merges"), NULL, 0);
    gguf_writer_finish(&w);
    bitnet_vocab *v;
    assert_int_equal(vocab_from(&v, &w.file, NULL, N, NULL, &err), BITNET_E_FORMAT);
    assert_string_equal(err.id, "tokenizer.token.hash");
    gguf_writer_free(&w);
}

static void any_allocation_may_fail(void **state) {
    (void)state;
    tiny_vocab t;
    gguf_writer w;
    tiny_of_258(&t);
    gguf_writer_init(&w);
    put_all_but(&w, &t, "");
    gguf_writer_finish(&w);
    long n_failed = 0;
    for (long at = 1;; at++) {
        count_alloc c = {.fail_at = at};
        bitnet_allocator a = count_alloc_of(&c);
        bitnet_vocab *v;
        bitnet_error err = {0};
        bitnet_status st = vocab_from(&v, &w.file, NULL, 258, &a, &err);
        if (st == BITNET_OK) bitnet_vocab_free(v);
        assert_int_equal(c.live, 0);
        if (st == BITNET_OK) break;
        n_failed++;
        assert_int_equal(st, BITNET_E_NOMEM);
        assert_string_equal(err.id, "tokenizer.memory");
        assert_null(v);
    }
    assert_int_equal(n_failed, 2); /* the vocabulary, and room to sort its merges */
    tiny_vocab_free(&t);
    gguf_writer_free(&w);
}

/* A mapped file may be rewritten while it is read: here, when the vocabulary has been allocated. */
static void rewrite_length(void *user, long n_calls) {
    if (n_calls == 1) memset(user, 0xff, 8);
}

static void a_mapped_file_that_changes_meanwhile_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *last, *id, *says; /* the string whose length is overwritten */
    } cases[] = {{"<s>", "tokenizer.tokens", "ends before token 257"},
                 {"h e", "tokenizer.merges", "ends before entry 0"}};
    for (size_t i = 0; i < LEN(cases); i++) {
        tiny_vocab t;
        gguf_writer w;
        bitnet_dir dir;
        bitnet_vocab *v;
        bitnet_error err = {0};
        tiny_of_258(&t);
        gguf_writer_init(&w);
        put_all_but(&w, &t, "");
        bitnet_source src = gguf_writer_source(&w, true);
        assert_int_equal(bitnet_gguf_read(&dir, &src, NULL, NULL), BITNET_OK);
        uint8_t *at = w.file.p;
        while (memcmp(at, cases[i].last, 3) != 0)
            at++;
        count_alloc c = {.on_alloc = rewrite_length, .user = at - 8};
        bitnet_allocator a = count_alloc_of(&c);
        assert_int_equal(bitnet_vocab_create(&v, &dir, NULL, 258, &a, &err), BITNET_E_FORMAT);
        assert_string_equal(err.id, cases[i].id);
        assert_non_null(strstr(err.text, cases[i].says));
        assert_int_equal(c.live, 0);
        bitnet_dir_free(&dir);
        tiny_vocab_free(&t);
        gguf_writer_free(&w);
    }
}

static bool is_provoked(const char *id, size_t len) {
    static const char *const elsewhere[] = {"tokenizer.memory", "tokenizer.token.hash"};
    for (size_t i = 0; i < LEN(damages); i++)
        if (strlen(damages[i].id) == len && memcmp(damages[i].id, id, len) == 0) return true;
    for (size_t i = 0; i < LEN(spm_damages); i++)
        if (strlen(spm_damages[i].id) == len && memcmp(spm_damages[i].id, id, len) == 0)
            return true;
    for (size_t i = 0; i < LEN(elsewhere); i++)
        if (strlen(elsewhere[i]) == len && memcmp(elsewhere[i], id, len) == 0) return true;
    return false;
}

/* An id is what stands in quotes and begins so, but for keys, which begin with tokenizer.ggml. */
static size_t check_ids_of(const char *path, const char *docs) {
    char *source = test_file_read(path, NULL);
    size_t n = 0;
    for (char *at = source; (at = strstr(at, "\"tokenizer."));) {
        const char *id = ++at;
        size_t len = strcspn(id, "\" ");
        if (id[len] == ' ' || strncmp(id, "tokenizer.ggml.", 15) == 0) continue;
        if (!is_provoked(id, len)) fail_msg("no test provokes %.*s", (int)len, id);
        char row[80];
        sprintf(row, "`%.*s`", (int)len, id);
        if (!strstr(docs, row)) fail_msg("docs/formats.md does not list %s", row);
        n++;
    }
    free(source);
    return n;
}

static void every_error_id_of_the_loader_is_provoked_here_and_documented(void **state) {
    (void)state;
    char *docs = test_file_read("docs/formats.md", NULL);
    assert_in_range(check_ids_of("core/text/vocab_gguf.c", docs), 10, 100); /* found any at all */
    assert_in_range(check_ids_of("core/text/vocab_tokens.c", docs), 5, 100);
    assert_in_range(check_ids_of("core/text/vocab_merges.c", docs), 2, 100);
    free(docs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pre_tokenizers_are_known_by_all_their_names),
        cmocka_unit_test(other_tokenizers_are_refused_by_name),
        cmocka_unit_test(a_missing_pre_means_llama3_for_bitnet_archs),
        cmocka_unit_test(a_missing_pre_means_llama3_for_a_llama3_vocabulary),
        cmocka_unit_test(a_file_without_a_tokenizer_has_no_vocabulary),
        cmocka_unit_test(damaged_keys_are_refused_with_key_and_numbers),
        cmocka_unit_test(ids_outside_the_vocabulary_are_as_good_as_absent),
        cmocka_unit_test(the_name_is_known_without_building),
        cmocka_unit_test(a_vocabulary_larger_than_the_embedding_is_refused),
        cmocka_unit_test(tokens_chosen_to_collide_are_refused),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(a_mapped_file_that_changes_meanwhile_is_refused),
        cmocka_unit_test(every_error_id_of_the_loader_is_provoked_here_and_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
