/* test_model.c: loading: what a sound file gives, and that each way a file can contradict itself is
 * refused with its own id, the place and the numbers; from a source that maps and one that only
 * reads.
 */
#include "load_file.h"

#include <stdlib.h>
#include <string.h>

#include "count_alloc.h"
#include "tiny_model.h"

static bitnet_status load_from(gguf_writer *w, bool is_mapped, bitnet_model **out,
                               bitnet_error *err, const bitnet_allocator *a) {
    bitnet_source src = gguf_writer_source(w, is_mapped);
    bitnet_model_desc desc = {.source = &src, .n_threads = 1};
    if (a) desc.allocator = *a;
    return bitnet_model_load(out, &desc, err);
}

/* Greedy tokens of a model, for comparing two ways to the same weights. */
static void generate(const bitnet_model *m, bitnet_token out[8]) {
    bitnet_ctx *c;
    bitnet_ctx_desc cd = {.model = m};
    bitnet_sampler s;
    bitnet_token prompt[] = {65, 66, 67};
    bitnet_sampler_init(&s, &(bitnet_sampler_desc){0});
    assert_int_equal(bitnet_ctx_create(&c, &cd, NULL), BITNET_OK);
    assert_int_equal(bitnet_ctx_sync(c, prompt, 3), BITNET_OK);
    for (int i = 0; i < 8; i++) {
        out[i] =
            bitnet_sampler_next(&s, bitnet_ctx_logits(c), bitnet_model_get_info(m).n_vocab, NULL);
        assert_int_equal(bitnet_ctx_decode(c, out[i]), BITNET_OK);
    }
    bitnet_ctx_free(c);
}

static void a_tiny_model_loads_mapped_or_read_and_gives_the_same_tokens(void **state) {
    (void)state;
    tiny_model t = tiny_model_default();
    gguf_writer w;
    bitnet_token mapped[8], read[8], other[8];
    tiny_model_write(&t, &w);
    count_alloc count = {0};
    bitnet_allocator a = count_alloc_of(&count);
    for (int is_mapped = 0; is_mapped < 2; is_mapped++) {
        bitnet_model *m;
        bitnet_error err = {0};
        if (load_from(&w, is_mapped, &m, &err, &a) < 0) fail_msg("%s [%s]", err.text, err.id);
        bitnet_model_info info = bitnet_model_get_info(m);
        assert_string_equal(info.arch, "bitnet-b1.58");
        assert_string_equal(info.name, "tiny");
        assert_int_equal(info.n_embd, 128);
        assert_int_equal(info.head_dim, 64);
        assert_int_equal(info.n_ctx_train, 64);
        /* token_embd 257*128; norms 128 * 5; q 128*128, k and v 128*64 each, o 128*128, ffn 3 *
         * 128*128 */
        assert_int_equal(info.n_params, 257 * 128 + 5 * 128 + 5 * 128 * 128 + 2 * 64 * 128);
        generate(m, is_mapped ? mapped : read);
        bitnet_model_free(m);
    }
    assert_int_equal(count.live, 0);
    assert_memory_equal(mapped, read, sizeof mapped);
    gguf_writer_free(&w);
    t.seed = 2;
    tiny_model_write(&t, &w);
    bitnet_model *m;
    assert_int_equal(load_from(&w, true, &m, NULL, NULL), BITNET_OK);
    generate(m, other);
    assert_memory_not_equal(mapped, other, sizeof mapped); /* other weights, other tokens */
    bitnet_model_free(m);
    gguf_writer_free(&w);
}

static void every_family_runs_and_the_activation_matters(void **state) {
    (void)state;
    static const char *const archs[] = {"bitnet-b1.58", "bitnet-25", "bitnet"};
    bitnet_token tokens[3][8];
    for (size_t i = 0; i < 3; i++) {
        tiny_model t = tiny_model_default();
        t.arch = archs[i], t.n_layer = 2, t.head_dim = 80, t.n_embd = 256, t.n_head = 8,
        t.n_head_kv = 2;
        gguf_writer w;
        bitnet_model *m;
        bitnet_error err = {0};
        tiny_model_write(&t, &w);
        if (load_from(&w, true, &m, &err, NULL) < 0)
            fail_msg("%s: %s [%s]", archs[i], err.text, err.id);
        generate(m, tokens[i]);
        bitnet_model_free(m);
        gguf_writer_free(&w);
    }
    assert_memory_equal(tokens[0], tokens[1], sizeof tokens[0]);
    assert_memory_not_equal(tokens[0], tokens[2], sizeof tokens[0]);
}

static void expect_refusal(const tiny_model *t, bitnet_status status, const char *id,
                           const char *const *says) {
    gguf_writer w;
    tiny_model_write(t, &w);
    for (int is_mapped = 0; is_mapped < 2; is_mapped++) {
        bitnet_model *m;
        bitnet_error err = {0};
        count_alloc count = {0};
        bitnet_allocator a = count_alloc_of(&count);
        bitnet_status st = load_from(&w, is_mapped, &m, &err, &a);
        if (st != status || strcmp(err.id, id))
            fail_msg("got %s [%s] \"%s\", expected [%s]", bitnet_status_name(st), err.id, err.text,
                     id);
        for (const char *const *s = says; *s; s++)
            if (!strstr(err.text, *s)) fail_msg("\"%s\" does not say \"%s\"", err.text, *s);
        assert_null(m);
        assert_int_equal(count.live, 0);
    }
    gguf_writer_free(&w);
}

static void contradictions_are_refused_with_the_place_and_the_numbers(void **state) {
    (void)state;
    const tiny_model ok = tiny_model_default();
    struct {
        tiny_model m;
        bitnet_status status;
        const char *id, *says[4];
    } cases[] = {
        {ok, BITNET_E_UNSUPPORTED, "model.arch", {"\"gpt\\x0a4\"", "bitnet-b1.58"}},
        {ok, BITNET_E_FORMAT, "model.arch", {"general.architecture"}},
        {ok, BITNET_E_FORMAT, "model.hparam", {"bitnet-b1.58.block_count is missing"}},
        {ok, BITNET_E_FORMAT, "model.hparam", {"layer_norm_rms_epsilon"}},
        {ok, BITNET_E_FORMAT, "model.hparam", {"block_count is 513", "1 to 512"}},
        {ok, BITNET_E_FORMAT, "model.hparam", {"block_count is 0"}},
        {ok,
         BITNET_E_FORMAT,
         "model.hparam",
         {"head_count 6 is not a multiple of head_count_kv 4"}},
        {ok, BITNET_E_FORMAT, "model.hparam", {"rope.dimension_count is 63", "even"}},
        {ok, BITNET_E_FORMAT, "model.tensor.missing", {"blk.0.ffn_up.weight"}},
        {ok, BITNET_E_FORMAT, "model.tensor.missing", {"token_embd.weight"}},
        {ok,
         BITNET_E_FORMAT,
         "model.tensor.shape",
         {"blk.0.attn_k.weight", "[128, 64]", "[128, 63, 1, 1]"}},
        {ok, BITNET_E_UNSUPPORTED, "model.tensor.type", {"blk.0.attn_q.weight", "Q8_0"}},
    };
    cases[0].m.arch = "gpt\n4";
    cases[1].m.skip_key = "general.architecture";
    cases[2].m.skip_key = "block_count";
    cases[3].m.skip_key = "attention.layer_norm_rms_epsilon";
    cases[4].m.n_layer = 513;
    cases[5].m.n_layer = 0;
    cases[6].m.n_head = 6, cases[6].m.n_head_kv = 4;
    cases[7].m.n_head = cases[7].m.n_head_kv = 128, cases[7].m.head_dim = 63; /* rows of 63 * 128 */
    cases[8].m.skip_tensor = "blk.0.ffn_up.weight";
    cases[9].m.skip_tensor = "token_embd.weight";
    cases[10].m.misshape_tensor = "blk.0.attn_k.weight";
    cases[11].m.retype_tensor = "blk.0.attn_q.weight";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refusal(&cases[i].m, cases[i].status, cases[i].id, cases[i].says);
}

typedef struct spoil {
    const char *name;
    size_t at;
    uint8_t bytes[4];
    size_t n;
} spoil;

static void spoil_bytes(const char *name, uint32_t type, uint8_t *data, size_t size, void *user) {
    const spoil *s = user;
    (void)type;
    if (strcmp(name, s->name)) return;
    assert_true(s->at + s->n <= size);
    memcpy(data + s->at, s->bytes, s->n);
}

static void damaged_values_are_found_at_load(void **state) {
    (void)state;
    static const struct {
        spoil s;
        const char *id, *says[4];
    } cases[] = {
        {{"blk.0.ffn_down.weight", 1000, {0x30}, 1},
         "model.code3",
         {"blk.0.ffn_down.weight", "byte 1000"}},
        {{"blk.0.attn_q.weight", 128 * 128 / 4, {0, 0, 0xc0, 0x7f}, 4},
         "model.scale",
         {"blk.0.attn_q.weight", "nan"}},
        {{"blk.0.attn_q.weight", 128 * 128 / 4, {0, 0, 0, 0}, 4},
         "model.scale",
         {"the scale is 0"}},
        {{"token_embd.weight", 2 * 77, {0x00, 0x7c}, 2},
         "model.nonfinite",
         {"token_embd.weight", "element 77"}},
        {{"blk.0.ffn_norm.weight", 4 * 5, {0, 0, 0x80, 0x7f}, 4},
         "model.nonfinite",
         {"blk.0.ffn_norm.weight", "element 5"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tiny_model t = tiny_model_default();
        spoil s = cases[i].s;
        t.spoil = spoil_bytes, t.user = &s;
        expect_refusal(&t, BITNET_E_FORMAT, cases[i].id, cases[i].says);
    }
}

static bitnet_status failing_read(void *ctx, uint64_t off, void *dst, size_t n) {
    const gguf_writer *w = ctx;
    if (off >= w->file.n - w->data.n)
        return BITNET_E_IO; /* the header is sound, the weights cannot be read */
    memcpy(dst, w->file.p + off, n);
    return BITNET_OK;
}

static void a_source_that_fails_is_an_io_error(void **state) {
    (void)state;
    tiny_model t = tiny_model_default();
    gguf_writer w;
    tiny_model_write(&t, &w);
    bitnet_source src = gguf_writer_source(&w, false);
    src.read = failing_read;
    src.ctx = &w;
    bitnet_model *m;
    bitnet_error err = {0};
    bitnet_model_desc desc = {.source = &src};
    assert_int_equal(bitnet_model_load(&m, &desc, &err), BITNET_E_IO);
    assert_string_equal(err.id, "model.read");
    gguf_writer_free(&w);
}

static void a_backend_of_another_abi_is_refused(void **state) {
    (void)state;
    bitnet_backend_ops other = bitnet_backend_cpu;
    source_file f;
    bitnet_model *m;
    bitnet_error err = {0};
    other.abi = 99;
    assert_int_equal(source_file_open(&f, NULL, NULL), BITNET_OK);
    bitnet_model_desc desc = {.source = &f.source, .backend = &other};
    assert_int_equal(bitnet_model_load(&m, &desc, &err), BITNET_E_BACKEND);
    assert_non_null(strstr(err.text, "99"));
    source_file_close(&f);
}

static void a_model_without_a_tokenizer_takes_tokens_only(void **state) {
    (void)state;
    tiny_model t = tiny_model_default();
    gguf_writer w;
    t.has_vocab = false;
    tiny_model_write(&t, &w);
    bitnet_model *m;
    assert_int_equal(load_from(&w, true, &m, NULL, NULL), BITNET_OK);
    assert_string_equal(bitnet_model_get_info(m).tokenizer, "none");
    bitnet_engine *e;
    bitnet_error err = {0};
    assert_int_equal(bitnet_engine_create(&e, &(bitnet_engine_desc){.model = m}, NULL), BITNET_OK);
    bitnet_request text = {.prompt = "a", .prompt_len = 1},
                   ids = {.tokens = (bitnet_token[]){1, 2}, .n_tokens = 2, .max_tokens = 3};
    assert_int_equal(bitnet_engine_run(e, &text, NULL, NULL, &err), BITNET_E_UNSUPPORTED);
    assert_string_equal(err.id, "request.tokenizer");
    assert_int_equal(bitnet_engine_run(e, &ids, NULL, NULL, &err), BITNET_OK);
    bitnet_engine_free(e);
    bitnet_model_free(m);
    gguf_writer_free(&w);
}

static void the_directory_can_be_walked(void **state) {
    (void)state;
    test_model t;
    test_model_open(&t, 1, 0, NULL);
    int32_t n_ternary = 0, n = 0;
    bitnet_tensor_info ti;
    for (; bitnet_model_get_tensor(t.model, n, &ti); n++)
        n_ternary += !strcmp(ti.type, "I2_S");
    assert_int_equal(n_ternary, 7 * 6);
    assert_false(bitnet_model_get_tensor(t.model, -1, &ti));
    const char *key;
    char value[300];
    bool has_arch = false;
    for (int32_t i = 0; bitnet_model_get_meta(t.model, i, &key, value, sizeof value); i++)
        has_arch |= !strcmp(key, "general.architecture") && !strcmp(value, "bitnet-b1.58");
    assert_true(has_arch);
    bitnet_model_info info = bitnet_model_get_info(t.model);
    assert_int_equal(info.n_params, 6957824); /* models/bitnet-tales/MODEL.md */
    assert_int_equal(info.bos, 4094);
    test_model_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tiny_model_loads_mapped_or_read_and_gives_the_same_tokens),
        cmocka_unit_test(every_family_runs_and_the_activation_matters),
        cmocka_unit_test(contradictions_are_refused_with_the_place_and_the_numbers),
        cmocka_unit_test(damaged_values_are_found_at_load),
        cmocka_unit_test(a_source_that_fails_is_an_io_error),
        cmocka_unit_test(a_backend_of_another_abi_is_refused),
        cmocka_unit_test(a_model_without_a_tokenizer_takes_tokens_only),
        cmocka_unit_test(the_directory_can_be_walked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
