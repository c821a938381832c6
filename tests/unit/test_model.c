/* test_model.c: loading: what a sound file gives, and that each way a file can contradict itself is
 * refused with its own id, the place and the numbers; from a source that maps and one that only
 * reads.
 */
#include "load_file.h"

#include <stdlib.h>
#include <string.h>

#include "count_alloc.h"
#include "format/blocks.h"
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
        out[i] = bitnet_sampler_next(&s, bitnet_ctx_logits(c), NULL, bitnet_model_get_info(m).n_vocab,
                                     NULL, 0, NULL);
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
        {ok, BITNET_E_UNSUPPORTED, "model.tensor.type", {"blk.0.attn_q.weight", "Q4_1", "Q4_K"}},
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

/* ---- levels ------------------------------------------------------------------------------------
 */

/* A file that notices when a tensor is read; the reader's last piece may run past the metadata. */
typedef struct guarded {
    const gguf_bytes *file;
    uint64_t data_start;
    bool was_read;
} guarded;

static bitnet_status guarded_read(void *ctx, uint64_t off, void *dst, size_t n) {
    guarded *g = ctx;
    g->was_read |= off >= g->data_start;
    memcpy(dst, g->file->p + off, n);
    return BITNET_OK;
}

static void keep_unused(void *ctx, bitnet_log_level level, const char *text) {
    char *out = ctx;
    if (level == BITNET_LOG_INFO && strstr(text, "not used")) strncpy(out, text, 99);
}

static void a_description_reads_no_tensor_and_builds_no_vocabulary(void **state) {
    (void)state;
    static const bitnet_load_level levels[] = {BITNET_LOAD_HEADER, BITNET_LOAD_VOCAB};
    tiny_model t = tiny_model_default();
    t.arch = "llama", t.has_head = true;
    gguf_writer w;
    tiny_model_write(&t, &w);
    gguf_put_tensor(&w, "extra", BITNET_TYPE_F32, 1, (int64_t[]){1}, "\0\0\0\0", 4);
    const gguf_bytes *file = gguf_writer_finish(&w);
    for (size_t i = 0; i < 2; i++) {
        guarded g = {.file = file, .data_start = file->n - w.data.n};
        bitnet_source src = {.size = file->n, .read = guarded_read, .ctx = &g};
        char unused[100] = "";
        bitnet_model_desc desc = {
            .source = &src, .level = levels[i], .logger = {keep_unused, unused}};
        bitnet_model *m;
        bitnet_ctx *c;
        bitnet_error err = {0};
        if (bitnet_model_load(&m, &desc, &err) < 0) fail_msg("%s [%s]", err.text, err.id);
        assert_false(g.was_read);
        assert_string_equal(unused, "1 of 13 tensors are not used by llama");
        bitnet_model_info info = bitnet_model_get_info(m);
        assert_string_equal(info.container, "GGUF v3");
        assert_string_equal(info.arch, "llama");
        assert_string_equal(info.tokenizer, "gpt2/llama-bpe");
        assert_string_equal(info.chat_template, "none");
        assert_int_equal(info.n_vocab, 257);
        assert_int_equal(info.bos, 256);
        /* token_embd and output 257*128 each; norms 128 * 3; projections as ever */
        assert_int_equal(info.n_params, 2 * 257 * 128 + 3 * 128 + 5 * 128 * 128 + 2 * 64 * 128);
        assert_int_equal(bitnet_tokenize(m, "ab", 2, 0, NULL, 0),
                         levels[i] == BITNET_LOAD_VOCAB ? 2 : BITNET_E_UNSUPPORTED);
        assert_int_equal(bitnet_ctx_create(&c, &(bitnet_ctx_desc){.model = m}, &err),
                         BITNET_E_INVAL);
        assert_string_equal(err.id, "ctx.level");
        bitnet_model_free(m);
        desc.level = BITNET_LOAD_WEIGHTS;
        assert_int_equal(bitnet_model_load(&m, &desc, &err), BITNET_OK);
        assert_true(g.was_read);
        bitnet_model_free(m);
    }
    gguf_writer_free(&w);
}

static void a_description_still_refuses_what_cannot_be_run(void **state) {
    (void)state;
    static const struct {
        const char *skip, *misshape, *retype, *id;
    } rows[] = {{"blk.0.ffn_up.weight", NULL, NULL, "model.tensor.missing"},
                {NULL, "blk.0.ffn_up.weight", NULL, "model.tensor.shape"},
                {NULL, NULL, "blk.0.ffn_up.weight", "model.tensor.type"}};
    for (size_t i = 0; i < 3; i++) {
        tiny_model t = tiny_model_default();
        tiny_loaded l;
        bitnet_error err = {0};
        t.skip_tensor = rows[i].skip, t.misshape_tensor = rows[i].misshape;
        t.retype_tensor = rows[i].retype;
        bitnet_model_desc desc = {.level = BITNET_LOAD_HEADER};
        assert_true(tiny_model_load(&l, &t, &desc, &err) < 0);
        assert_string_equal(err.id, rows[i].id);
        tiny_model_close(&l);
    }
}

static void a_vocabulary_alone_tokenizes_and_does_not_run(void **state) {
    (void)state;
    gguf_writer w;
    tiny_vocab v;
    bitnet_model *m;
    bitnet_error err = {0};
    bitnet_token ids[4];
    gguf_writer_init(&w);
    tiny_vocab_init(&v);
    tiny_vocab_put(&v, &w);
    bitnet_source src = gguf_writer_source(&w, true);
    bitnet_model_desc desc = {.source = &src, .level = BITNET_LOAD_VOCAB};
    if (bitnet_model_load(&m, &desc, &err) < 0) fail_msg("%s [%s]", err.text, err.id);
    bitnet_model_info info = bitnet_model_get_info(m);
    assert_string_equal(info.arch, "");
    assert_int_equal(info.n_layer, 0);
    assert_int_equal(info.n_vocab, 256);
    assert_int_equal(bitnet_tokenize(m, "Az", 2, 0, ids, 4), 2);
    assert_int_equal(ids[0], 'A');
    assert_int_equal(ids[1], 'z');
    bitnet_memory_plan plan = bitnet_model_plan(m, 512, 32, 1), nothing = {0};
    assert_memory_equal(&plan, &nothing, sizeof plan);
    bitnet_model_free(m);
    desc.level = BITNET_LOAD_WEIGHTS;
    assert_int_equal(bitnet_model_load(&m, &desc, &err), BITNET_E_FORMAT);
    assert_string_equal(err.id, "model.arch");
    gguf_writer_free(&w);
    tiny_vocab_free(&v);
}

/* ---- several files -----------------------------------------------------------------------------
 */

/* Part 0 has the keys and every other tensor, part 1 the rest. */
static void split(gguf_writer part[2], const tiny_model *t) {
    tiny_loaded l;
    bitnet_tensor_info ti;
    assert_int_equal(tiny_model_load(&l, t, NULL, NULL), BITNET_OK);
    for (uint32_t p = 0; p < 2; p++) {
        gguf_writer_init(&part[p]);
        if (p == 0) {
            gguf_bytes_put(&part[0].kv, l.file.kv.p, l.file.kv.n);
            part[0].n_kv = l.file.n_kv;
        }
        gguf_put_u32(&part[p], "split.no", p);
        gguf_put_u32(&part[p], "split.count", 2);
    }
    for (int32_t i = 0; bitnet_model_get_tensor(l.model, i, &ti); i++) {
        uint32_t type = (uint32_t)bitnet_type_parse(ti.type);
        gguf_put_tensor(&part[i % 2], ti.name, type, ti.ne[1] > 1 ? 2 : 1, ti.ne,
                        l.file.file.p + ti.offset, (size_t)ti.size);
    }
    tiny_model_close(&l);
}

static void a_model_in_two_files_is_the_same_model(void **state) {
    (void)state;
    tiny_model t = tiny_model_default();
    gguf_writer part[2], whole;
    bitnet_token want[8], got[8];
    bitnet_model *m;
    bitnet_error err = {0};
    tiny_model_write(&t, &whole);
    assert_int_equal(load_from(&whole, true, &m, NULL, NULL), BITNET_OK);
    generate(m, want);
    uint64_t size = bitnet_model_get_info(m).weight_size;
    bitnet_model_free(m);
    split(part, &t);
    for (int is_mapped = 0; is_mapped < 2; is_mapped++) {
        bitnet_file files[] = {{"b", gguf_writer_source(&part[1], is_mapped)},
                               {"a", gguf_writer_source(&part[0], is_mapped)}};
        bitnet_model_desc desc = {.files = files, .n_files = 2, .n_threads = 1};
        if (bitnet_model_load(&m, &desc, &err) < 0) fail_msg("%s [%s]", err.text, err.id);
        bitnet_tensor_info ti;
        int32_t n_in[2] = {0};
        for (int32_t i = 0; bitnet_model_get_tensor(m, i, &ti); i++)
            n_in[ti.file]++;
        assert_true(n_in[0] > 0 && n_in[1] > 0);
        assert_string_equal(bitnet_model_get_info(m).container, "GGUF v3, 2 files");
        assert_int_equal(bitnet_model_get_info(m).weight_size, size);
        generate(m, got);
        assert_memory_equal(got, want, sizeof want);
        bitnet_model_free(m);
    }
    for (int p = 0; p < 2; p++)
        gguf_writer_free(&part[p]);
    gguf_writer_free(&whole);
}

static void a_model_of_no_files_is_refused(void **state) {
    (void)state;
    bitnet_model *m;
    bitnet_error err = {0};
    assert_int_equal(bitnet_model_load(&m, &(bitnet_model_desc){0}, &err), BITNET_E_INVAL);
    assert_string_equal(err.id, "model.source");
    bitnet_file unreadable = {"a", {.size = 100}};
    bitnet_model_desc desc = {.files = &unreadable, .n_files = 1};
    assert_int_equal(bitnet_model_load(&m, &desc, &err), BITNET_E_INVAL);
    assert_string_equal(err.id, "model.source");
}

/* ---- walking ----------------------------------------------------------------------------------- */

static void metadata_is_shown_as_text(void **state) {
    (void)state;
    static const struct {
        const char *key, *value;
    } want[] = {{"general.architecture", "bitnet-b1.58"},
                {"bitnet-b1.58.block_count", "1"},
                {"bitnet-b1.58.attention.layer_norm_rms_epsilon", "1e-05"},
                {"test.flag", "true"},
                {"test.ints", "[i32 x 3] 7, -8, 9"},
                {"test.many", "[i32 x 6] 1, 2, 3, 4, ..."},
                {"test.words", "[str x 2] a\\x0ab, c"},
                {"test.none", "[str x 0]"}};
    const size_t n_want = sizeof want / sizeof *want;
    tiny_model t = tiny_model_default();
    gguf_writer w;
    bitnet_model *m;
    tiny_model_write(&t, &w);
    gguf_put_bool(&w, "test.flag", true);
    gguf_put_i32s(&w, "test.ints", (int32_t[]){7, -8, 9}, 3);
    gguf_put_i32s(&w, "test.many", (int32_t[]){1, 2, 3, 4, 5, 6}, 6);
    gguf_put_strs(&w, "test.words", (const char *const[]){"a\nb", "c"}, 2);
    gguf_put_strs(&w, "test.none", NULL, 0);
    assert_int_equal(load_from(&w, true, &m, NULL, NULL), BITNET_OK);
    size_t n_found = 0;
    const char *key;
    char value[300];
    for (int32_t i = 0; bitnet_model_get_meta(m, i, &key, value, sizeof value); i++)
        for (size_t j = 0; j < n_want; j++)
            if (!strcmp(key, want[j].key)) {
                assert_string_equal(value, want[j].value);
                n_found++;
            }
    assert_int_equal(n_found, n_want);
    char tiny[8]; /* cut, never overrun */
    for (int32_t i = 0; bitnet_model_get_meta(m, i, &key, tiny, sizeof tiny); i++)
        assert_true(strlen(tiny) < sizeof tiny);
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
        cmocka_unit_test(contradictions_are_refused_with_the_place_and_the_numbers),
        cmocka_unit_test(damaged_values_are_found_at_load),
        cmocka_unit_test(a_source_that_fails_is_an_io_error),
        cmocka_unit_test(a_backend_of_another_abi_is_refused),
        cmocka_unit_test(a_model_without_a_tokenizer_takes_tokens_only),
        cmocka_unit_test(a_description_reads_no_tensor_and_builds_no_vocabulary),
        cmocka_unit_test(a_description_still_refuses_what_cannot_be_run),
        cmocka_unit_test(a_vocabulary_alone_tokenizes_and_does_not_run),
        cmocka_unit_test(a_model_in_two_files_is_the_same_model),
        cmocka_unit_test(a_model_of_no_files_is_refused),
        cmocka_unit_test(metadata_is_shown_as_text),
        cmocka_unit_test(the_directory_can_be_walked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
