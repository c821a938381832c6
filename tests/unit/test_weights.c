/* test_weights.c: tensors of every type and layout: which run as ternary products and which as ordinary
 * matrices, that the container changes no bit, and that damage in each type is found at load.
 */
#include "load_file.h"

#include <stdlib.h>
#include <string.h>

#include "count_alloc.h"
#include "format/blocks.h"
#include "tiny_model.h"

typedef float logits[TINY_LOGITS];

/* Rows of 256 weights, which every type can hold. */
static tiny_model wide(uint32_t linear_type) {
    tiny_model m = tiny_model_default();
    m.n_embd = 256, m.n_ff = 256, m.n_head = 4, m.n_head_kv = 2, m.n_layer = 2;
    m.linear_type = linear_type;
    return m;
}

static void run(const tiny_model *m, const bitnet_model_desc *desc, logits out) {
    tiny_loaded t;
    bitnet_error err = {0};
    if (tiny_model_load(&t, m, desc, &err) < 0) fail_msg("%s [%s]", err.text, err.id);
    tiny_model_logits(t.model, out);
    tiny_model_close(&t);
}

static void expect_same(const logits got, const logits want, const char *what) {
    for (size_t i = 0; i < TINY_LOGITS; i++)
        if (memcmp(&got[i], &want[i], sizeof got[i]))
            fail_msg("%s: logit %zu is %.9g, expected %.9g", what, i, (double)got[i],
                     (double)want[i]);
}

static double largest_difference(const logits a, const logits b) {
    double worst = 0;
    for (size_t i = 0; i < TINY_LOGITS; i++) {
        double d = (double)a[i] - (double)b[i];
        worst = d > worst ? d : -d > worst ? -d : worst;
    }
    return worst;
}

/* ---- ternary -------------------------------------------------------------------------------- */

static void every_ternary_container_gives_the_same_logits(void **state) {
    (void)state;
    static const uint32_t types[] = {BITNET_TYPE_TQ1_0, BITNET_TYPE_TQ2_0};
    tiny_model m = wide(BITNET_TYPE_I2_S);
    logits want, got;
    run(&m, NULL, want);
    for (size_t i = 0; i < 2; i++) {
        m.linear_type = types[i];
        run(&m, NULL, got);
        expect_same(got, want, bitnet_type_name(types[i]));
    }
}

/* Layout A to layout B (formats page 1.7). */
static void to_layout_b(const char *name, uint32_t type, uint8_t *data, size_t size, void *user) {
    (void)name, (void)user;
    if (type != BITNET_TYPE_I2_S) return;
    size_t n = (size - 32) * 4;
    uint8_t *b = calloc(1, size - 32);
    assert_non_null(b);
    for (size_t i = 0; i < n; i++) {
        int code = data[32 * (i / 128) + i % 32] >> (6 - 2 * (i % 128 / 32)) & 3;
        b[16 * (i / 64) + i % 16] |= (uint8_t)(code << (6 - 2 * (i % 64 / 16)));
    }
    memcpy(data, b, size - 32);
    free(b);
}

static void layout_b_is_read_when_asked_for_and_only_then(void **state) {
    (void)state;
    tiny_model m = wide(BITNET_TYPE_I2_S);
    bitnet_model_desc as_b = {.i2s_layout = BITNET_I2S_B, .n_threads = 1};
    logits want, right, wrong;
    run(&m, NULL, want);
    m.spoil = to_layout_b;
    run(&m, &as_b, right);
    run(&m, NULL, wrong);
    expect_same(right, want, "layout B");
    assert_true(largest_difference(wrong, want) > 0);
}

static bool tensor_of(const bitnet_model *m, const char *name, bitnet_tensor_info *out) {
    for (int32_t i = 0; bitnet_model_get_tensor(m, i, out); i++)
        if (!strcmp(out->name, name)) return true;
    return false;
}

static void the_directory_says_how_each_tensor_lies_and_runs(void **state) {
    (void)state;
    static const struct {
        uint32_t linear, embd;
        bitnet_i2s_layout layout;
        const char *linear_layout, *embd_layout;
        bool is_ternary;
    } rows[] = {
        {BITNET_TYPE_I2_S, BITNET_TYPE_F16, BITNET_I2S_A, "128/32 (A)", "row-major", true},
        {BITNET_TYPE_I2_S, BITNET_TYPE_Q8_0, BITNET_I2S_B, "64/16 (B)", "blocks of 32", true},
        {BITNET_TYPE_TQ2_0, BITNET_TYPE_TQ2_0, BITNET_I2S_A, "blocks of 256", "blocks of 256",
         true},
        {BITNET_TYPE_Q6_K, BITNET_TYPE_BF16, BITNET_I2S_A, "blocks of 256", "row-major", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tiny_model m = wide(rows[i].linear);
        tiny_loaded t;
        bitnet_tensor_info ti;
        bitnet_error err = {0};
        bitnet_model_desc desc = {.i2s_layout = rows[i].layout};
        m.embd_type = rows[i].embd;
        if (tiny_model_load(&t, &m, &desc, &err) < 0) fail_msg("%s [%s]", err.text, err.id);
        assert_true(tensor_of(t.model, "blk.1.ffn_up.weight", &ti));
        assert_string_equal(ti.layout, rows[i].linear_layout);
        assert_int_equal(ti.is_ternary, rows[i].is_ternary);
        assert_true(tensor_of(t.model, "token_embd.weight", &ti));
        assert_string_equal(ti.layout, rows[i].embd_layout);
        assert_false(ti.is_ternary); /* also when its type could be */
        tiny_model_close(&t);
    }
}

/* ---- ordinary ------------------------------------------------------------------------------- */

/* What the tensors of a model decode to, in the order they were written. */
typedef struct recording {
    float *x[64];
    int n, at;
    bool is_split; /* give the last block of each TQ2_0 tensor another scale first */
} recording;

static void record(const char *name, uint32_t type, uint8_t *data, size_t size, void *user) {
    recording *r = user;
    const bitnet_type_info *info = bitnet_type_get_info(type);
    size_t n = size / info->block_size * info->block;
    (void)name;
    if (r->is_split && type == BITNET_TYPE_TQ2_0) memcpy(data + size - 2, "\x00\x34", 2); /* 0.25 */
    assert_true(r->n < 64);
    r->x[r->n] = malloc(n * sizeof(float));
    assert_non_null(r->x[r->n]);
    bitnet_block_decoder(type)(r->x[r->n++], data, (int64_t)n);
}

static void play_back(const char *name, uint32_t type, uint8_t *data, size_t size, void *user) {
    recording *r = user;
    (void)name;
    assert_int_equal(type, BITNET_TYPE_F32);
    assert_true(r->at < r->n);
    memcpy(data, r->x[r->at++], size);
}

/* The model, and its conversion to F32 tensor by tensor. */
static void expect_same_as_f32(tiny_model m, bool is_split, const char *what) {
    recording r = {.is_split = is_split};
    logits want, got;
    m.spoil = record, m.user = &r;
    run(&m, NULL, got);
    m.linear_type = m.embd_type = m.vector_type = BITNET_TYPE_F32;
    m.spoil = play_back;
    run(&m, NULL, want);
    assert_int_equal(r.at, r.n);
    expect_same(got, want, what);
    for (int i = 0; i < r.n; i++)
        free(r.x[i]);
}

static const uint32_t ordinary_types[] = {BITNET_TYPE_F16,  BITNET_TYPE_BF16, BITNET_TYPE_Q8_0,
                                          BITNET_TYPE_Q6_K, BITNET_TYPE_Q4_0, BITNET_TYPE_Q4_K};
#define N_ORDINARY (sizeof ordinary_types / sizeof *ordinary_types)

static void an_ordinary_model_of_any_type_equals_its_f32_conversion(void **state) {
    (void)state;
    for (size_t i = 0; i < N_ORDINARY; i++) {
        tiny_model m = wide(ordinary_types[i]);
        m.arch = "llama", m.has_head = true;
        m.embd_type = ordinary_types[N_ORDINARY - 1 - i];
        expect_same_as_f32(m, false, bitnet_type_name(ordinary_types[i]));
    }
}

static void norms_and_biases_may_be_half_precision(void **state) {
    (void)state;
    static const uint32_t types[] = {BITNET_TYPE_F16, BITNET_TYPE_BF16};
    for (size_t i = 0; i < 2; i++) {
        tiny_model m = wide(BITNET_TYPE_BF16);
        m.has_biases = m.has_scales = m.has_rope_freqs = true;
        m.vector_type = types[i];
        expect_same_as_f32(m, false, bitnet_type_name(types[i]));
    }
}

static void a_tq2_0_tensor_of_several_scales_is_an_ordinary_matrix(void **state) {
    (void)state;
    tiny_model m = wide(BITNET_TYPE_TQ2_0);
    recording r = {.is_split = true};
    tiny_loaded t;
    bitnet_tensor_info ti;
    expect_same_as_f32(m, true, "TQ2_0 of two scales");
    m.spoil = record, m.user = &r;
    assert_int_equal(tiny_model_load(&t, &m, NULL, NULL), BITNET_OK);
    assert_true(tensor_of(t.model, "blk.0.ffn_down.weight", &ti));
    assert_false(ti.is_ternary);
    tiny_model_close(&t);
    for (int i = 0; i < r.n; i++)
        free(r.x[i]);
}

static void half_precision_copies_of_ternary_weights_are_close_but_not_quantised(void **state) {
    (void)state;
    /* int8 activations are off by up to 1/254 of the largest; the logits of this model are about 1 */
    const double CLOSE = 0.2;
    logits ternary, f16;
    tiny_model a = wide(BITNET_TYPE_I2_S), b = wide(BITNET_TYPE_F16);
    run(&a, NULL, ternary);
    run(&b, NULL, f16);
    double d = largest_difference(ternary, f16);
    print_message("largest difference %.4f\n", d);
    assert_true(d > 0 && d < CLOSE);
}

/* ---- damage ------------------------------------------------------------------------------------
 */

typedef struct damage {
    uint32_t type;
    const char *name;
    size_t at; /* of two bytes */
    uint8_t bytes[2];
    const char *id, *says;
} damage;

static void do_damage(const char *name, uint32_t type, uint8_t *data, size_t size, void *user) {
    const damage *d = user;
    (void)type;
    if (strcmp(name, d->name)) return;
    assert_true(d->at + 2 <= size);
    memcpy(data + d->at, d->bytes, 2);
}

#define UP   "blk.0.ffn_up.weight"
#define NORM "blk.0.ffn_norm.weight"
static void damage_is_found_in_every_type(void **state) {
    (void)state;
    /* f16 0x7c00 and 0x7e00 are infinity and NaN; so are bf16 0x7f80 and 0xffc0 */
    static const damage rows[] = {
        {BITNET_TYPE_F32, UP, 4 * 9 + 2, {0x80, 0x7f}, "model.nonfinite", "element 9"},
        {BITNET_TYPE_F32, UP, 4 * 65535 + 2, {0x80, 0xff}, "model.nonfinite", "element 65535"},
        {BITNET_TYPE_F16, UP, 2 * 5000, {0x00, 0xfc}, "model.nonfinite", "element 5000"},
        {BITNET_TYPE_BF16, UP, 2 * 7, {0xc0, 0xff}, "model.nonfinite", "element 7"},
        {BITNET_TYPE_Q8_0, UP, 34 * 3, {0x00, 0x7c}, "model.nonfinite", "block 3"},
        {BITNET_TYPE_Q4_0, UP, 18 * 2047, {0x00, 0x7e}, "model.nonfinite", "block 2047"},
        {BITNET_TYPE_Q4_K, UP, 144 * 2, {0x00, 0x7c}, "model.nonfinite", "block 2"},
        {BITNET_TYPE_Q4_K, UP, 144 * 2 + 2, {0x00, 0x7c}, "model.nonfinite", "block 2"},
        {BITNET_TYPE_Q6_K, UP, 210 * 255 + 208, {0x00, 0x7c}, "model.nonfinite", "block 255"},
        {BITNET_TYPE_TQ1_0, UP, 54 * 4 + 52, {0x00, 0x7c}, "model.scale", "inf"},
        {BITNET_TYPE_TQ2_0, UP, 66 * 4 + 10, {0xff, 0xff}, "model.code3", UP},
        {BITNET_TYPE_I2_S, UP, 77, {0xff, 0xff}, "model.code3", "byte 77"},
        {BITNET_TYPE_I2_S, NORM, 4 * 3 + 2, {0x80, 0x7f}, "model.nonfinite", "element 3"},
        {BITNET_TYPE_I2_S,
         "token_embd.weight",
         2 * 4096,
         {0x00, 0x7c},
         "model.nonfinite",
         "element 4096"},
        {BITNET_TYPE_F32, "blk.0.attn_q.scale", 2, {0x80, 0x7f}, "model.scale", "attn_q.scale"},
        {BITNET_TYPE_F32, "blk.0.attn_q.scale", 2, {0, 0}, "model.scale", "0"},
        {BITNET_TYPE_F32, "rope_freqs.weight", 2, {0xc0, 0x7f}, "model.nonfinite", "rope_freqs"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tiny_model m = wide(rows[i].type);
        damage d = rows[i];
        tiny_loaded t;
        bitnet_error err = {0};
        count_alloc count = {0};
        bitnet_model_desc desc = {.allocator = count_alloc_of(&count), .n_threads = 1};
        m.has_scales = m.has_rope_freqs = true;
        m.spoil = do_damage, m.user = &d;
        bitnet_status st = tiny_model_load(&t, &m, &desc, &err);
        tiny_model_close(&t);
        if (st != BITNET_E_FORMAT || strcmp(err.id, d.id) || !strstr(err.text, d.says))
            fail_msg("row %zu: %s [%s] \"%s\", expected [%s] and \"%s\"", i, bitnet_status_name(st),
                     err.id, err.text, d.id, d.says);
        assert_int_equal(count.live, 0);
    }
}

static void a_type_that_nothing_runs_is_refused_with_what_would_be_allowed(void **state) {
    (void)state;
    static const struct {
        const char *name, *says;
    } rows[] = {{UP, "I2_S, TQ1_0"}, {NORM, "F32, F16 and BF16"}, {"token_embd.weight", "Q4_K"}};
    for (size_t i = 0; i < 3; i++) {
        tiny_model m = wide(BITNET_TYPE_I2_S);
        tiny_loaded t;
        bitnet_error err = {0};
        m.retype_tensor = rows[i].name;
        assert_int_equal(tiny_model_load(&t, &m, NULL, &err), BITNET_E_UNSUPPORTED);
        tiny_model_close(&t);
        assert_string_equal(err.id, "model.tensor.type");
        assert_non_null(strstr(err.text, rows[i].name));
        assert_non_null(strstr(err.text, "Q4_1"));
        assert_non_null(strstr(err.text, rows[i].says));
    }
}

static void ternary_embeddings_are_refused_by_name(void **state) {
    (void)state;
    tiny_model m = wide(BITNET_TYPE_I2_S);
    tiny_loaded t;
    bitnet_error err = {0};
    m.embd_type = BITNET_TYPE_I2_S;
    assert_int_equal(tiny_model_load(&t, &m, NULL, &err), BITNET_E_UNSUPPORTED);
    tiny_model_close(&t);
    assert_string_equal(err.id, "model.tensor.type");
    assert_non_null(strstr(err.text, "token_embd.weight: type I2_S"));
}

/* ---- memory ------------------------------------------------------------------------------------
 */

static const void *map_odd(void *ctx, uint64_t off, size_t n) {
    const gguf_bytes *b = ctx;
    (void)n;
    return b->p + 1 + off;
}

static bitnet_status read_odd(void *ctx, uint64_t off, void *dst, size_t n) {
    memcpy(dst, map_odd(ctx, off, n), n);
    return BITNET_OK;
}

static void a_file_mapped_at_an_odd_address_loads_the_same(void **state) {
    (void)state;
    static const uint32_t types[] = {BITNET_TYPE_I2_S, BITNET_TYPE_F32, BITNET_TYPE_BF16,
                                     BITNET_TYPE_Q6_K};
    for (size_t i = 0; i < 4; i++) {
        tiny_model m = wide(types[i]);
        tiny_loaded t;
        logits want, got;
        bitnet_model *odd;
        assert_int_equal(tiny_model_load(&t, &m, NULL, NULL), BITNET_OK);
        tiny_model_logits(t.model, want);
        gguf_bytes moved = {malloc(t.file.file.n + 1), t.file.file.n + 1, 0};
        assert_non_null(moved.p);
        memcpy(moved.p + 1, t.file.file.p, t.file.file.n);
        bitnet_source src = {
            .size = t.file.file.n, .read = read_odd, .map = map_odd, .ctx = &moved};
        assert_int_equal(bitnet_model_load(&odd, &(bitnet_model_desc){.source = &src}, NULL),
                         BITNET_OK);
        tiny_model_logits(odd, got);
        expect_same(got, want, bitnet_type_name(types[i]));
        bitnet_model_free(odd);
        free(moved.p);
        tiny_model_close(&t);
    }
}

static uint64_t difference(uint64_t a, uint64_t b) {
    return a > b ? a - b : b - a;
}

static void expect_about(const char *what, uint64_t took, uint64_t planned) {
    if (difference(took, planned) > planned / 20)
        fail_msg("%s took %llu bytes, %llu were planned", what, (unsigned long long)took,
                 (unsigned long long)planned);
}

static void the_memory_plan_is_what_loading_and_a_context_allocate(void **state) {
    (void)state;
    static const struct {
        uint32_t linear, embd, vector;
        bool is_copied;
    } rows[] = {{BITNET_TYPE_I2_S, BITNET_TYPE_F16, BITNET_TYPE_F32, true},
                {BITNET_TYPE_TQ2_0, BITNET_TYPE_Q6_K, BITNET_TYPE_F16, true},
                {BITNET_TYPE_Q4_0, BITNET_TYPE_BF16, BITNET_TYPE_F32, false}};
    for (size_t i = 0; i < 3; i++)
        for (int32_t n_threads = 1; n_threads <= 2; n_threads++) {
            tiny_model m = wide(rows[i].linear);
            tiny_loaded header, t;
            count_alloc count = {0};
            bitnet_model_desc desc = {.allocator = count_alloc_of(&count), .n_threads = n_threads},
                              hd = {.level = BITNET_LOAD_HEADER, .n_threads = n_threads};
            m.n_ff = 2048, m.has_vocab = true;
            m.embd_type = rows[i].embd, m.vector_type = rows[i].vector;
            assert_int_equal(tiny_model_load(&header, &m, &hd, NULL), BITNET_OK);
            bitnet_memory_plan plan = bitnet_model_plan(header.model, 48, 8, 1);
            bitnet_model_info info = bitnet_model_get_info(header.model);
            tiny_model_close(&header);
            assert_int_equal(tiny_model_load(&t, &m, &desc, NULL), BITNET_OK);
            bitnet_memory_plan loaded = bitnet_model_plan(t.model, 48, 8, 1);
            assert_memory_equal(&plan, &loaded, sizeof plan); /* the header foretold it */
            assert_int_equal(info.token_bytes, bitnet_model_get_info(t.model).token_bytes);
            assert_int_equal(plan.copied > 0, rows[i].is_copied);
            if (!rows[i].is_copied) assert_int_equal(plan.mapped, info.weight_size);
            assert_true(count.live >= plan.copied);
            uint64_t before = count.live;
            bitnet_ctx *c, *second;
            bitnet_ctx_desc cd = {.model = t.model, .n_ctx = 48, .n_batch = 8};
            assert_int_equal(bitnet_ctx_create(&c, &cd, NULL), BITNET_OK);
            expect_about("a context", count.live - before, plan.kv + plan.scratch + plan.backend);
            assert_true(plan.backend > plan.scratch / 10); /* or the next one would show nothing */
            before = count.live;
            assert_int_equal(bitnet_ctx_create(&second, &cd, NULL), BITNET_OK);
            expect_about("another one", count.live - before, plan.kv + plan.scratch);
            assert_int_equal(plan.kv, bitnet_model_ctx_size(t.model, 48));
            bitnet_ctx_free(second);
            bitnet_ctx_free(c);
            tiny_model_close(&t);
        }
}

static void every_ternary_container_takes_the_memory_that_the_plan_says(void **state) {
    (void)state;
    static const uint32_t types[] = {BITNET_TYPE_I2_S, BITNET_TYPE_TQ1_0, BITNET_TYPE_TQ2_0};
    uint64_t live[3];
    for (size_t i = 0; i < 3; i++) {
        count_alloc count = {0};
        bitnet_model_desc desc = {.allocator = count_alloc_of(&count), .n_threads = 1};
        tiny_model m = wide(types[i]);
        tiny_loaded t;
        assert_int_equal(tiny_model_load(&t, &m, &desc, NULL), BITNET_OK);
        bitnet_memory_plan plan = bitnet_model_plan(t.model, 0, 0, 1);
        /* two layers of q, o 256*256, k, v 256*128, gate, up, down 256*256, four weights a byte */
        assert_int_equal(plan.copied, 2 * (5 * 256 * 256 + 2 * 256 * 128) / 4);
        live[i] = count.live;
        tiny_model_close(&t);
    }
    assert_int_equal(live[0], live[1]); /* what was packed on the way is gone */
    assert_int_equal(live[0], live[2]);
}

static void weights_in_memory_of_the_model_alone_are_packed_where_they_lie(void **state) {
    (void)state;
    static const bitnet_type types[] = {BITNET_TYPE_I2_S, BITNET_TYPE_TQ2_0};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        tiny_model m = wide(types[i]);
        tiny_loaded t;
        logits want, got;
        bitnet_model *own;
        count_alloc count = {0};
        assert_int_equal(tiny_model_load(&t, &m, NULL, NULL), BITNET_OK);
        tiny_model_logits(t.model, want);
        bitnet_source src = gguf_bytes_source(&t.file.file, true);
        src.may_rewrite = true;
        bitnet_model_desc desc = {.source = &src, .allocator = count_alloc_of(&count)};
        assert_int_equal(bitnet_model_load(&own, &desc, NULL), BITNET_OK);
        bitnet_memory_plan plan = bitnet_model_plan(own, 0, 0, 1);
        assert_int_equal(plan.copied, 0);
        assert_int_equal(plan.mapped, bitnet_model_get_info(own).weight_size);
        assert_true(count.live < plan.mapped);
        tiny_model_logits(own, got);
        expect_same(got, want, bitnet_type_name(types[i]));
        bitnet_model_free(own);
        tiny_model_close(&t);
    }
}

static int32_t n_released;

static void poison(void *ctx, uint64_t off, size_t n) {
    memset(((gguf_bytes *)ctx)->p + off, 0xaa, n);
    n_released++;
}

static void only_bytes_that_the_backend_has_copied_are_let_go(void **state) {
    (void)state;
    tiny_model m = wide(BITNET_TYPE_I2_S);
    logits want, got;
    run(&m, NULL, want);
    for (int in_place = 0; in_place < 2; in_place++) {
        gguf_writer w;
        tiny_model_write(&m, &w);
        bitnet_source src = gguf_writer_source(&w, true);
        src.release = poison, src.may_rewrite = in_place;
        n_released = 0;
        /* copies for the zeros of squared ReLU are made of what is packed in place too */
        bitnet_model_desc desc = {.source = &src, .n_threads = 1, .sparse = BITNET_ON};
        bitnet_model *model;
        assert_int_equal(bitnet_model_load(&model, &desc, NULL), BITNET_OK);
        assert_int_equal(n_released, in_place ? 0 : 2 * 7); /* the ternary matrices of two layers */
        tiny_model_logits(model, got);
        expect_same(got, want, in_place ? "packed in place" : "copied");
        bitnet_model_free(model);
        gguf_writer_free(&w);
    }
}

static void what_changes_the_maths_changes_the_fingerprint(void **state) {
    (void)state;
    const bitnet_override base = {"bitnet-b1.58.rope.freq_base", "float:20000"},
                          act = {"bitnet-b1.58.hidden_activation", "str:silu"};
    const bitnet_model_desc descs[] = {{.n_threads = 1},
                                       {.i2s_layout = BITNET_I2S_B},
                                       {.overrides = &base, .n_overrides = 1},
                                       {.overrides = &act, .n_overrides = 1}};
    uint64_t print[5];
    tiny_model m = wide(BITNET_TYPE_I2_S);
    for (size_t i = 0; i < 5; i++) {
        tiny_loaded t;
        assert_int_equal(tiny_model_load(&t, &m, &descs[i % 4], NULL), BITNET_OK);
        print[i] = bitnet_model_get_info(t.model).fingerprint;
        tiny_model_close(&t);
    }
    assert_int_equal(print[0], print[4]);
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < i; j++)
            assert_true(print[i] != print[j]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_ternary_container_gives_the_same_logits),
        cmocka_unit_test(layout_b_is_read_when_asked_for_and_only_then),
        cmocka_unit_test(the_directory_says_how_each_tensor_lies_and_runs),
        cmocka_unit_test(an_ordinary_model_of_any_type_equals_its_f32_conversion),
        cmocka_unit_test(norms_and_biases_may_be_half_precision),
        cmocka_unit_test(a_tq2_0_tensor_of_several_scales_is_an_ordinary_matrix),
        cmocka_unit_test(half_precision_copies_of_ternary_weights_are_close_but_not_quantised),
        cmocka_unit_test(damage_is_found_in_every_type),
        cmocka_unit_test(a_type_that_nothing_runs_is_refused_with_what_would_be_allowed),
        cmocka_unit_test(ternary_embeddings_are_refused_by_name),
        cmocka_unit_test(a_file_mapped_at_an_odd_address_loads_the_same),
        cmocka_unit_test(the_memory_plan_is_what_loading_and_a_context_allocate),
        cmocka_unit_test(every_ternary_container_takes_the_memory_that_the_plan_says),
        cmocka_unit_test(weights_in_memory_of_the_model_alone_are_packed_where_they_lie),
        cmocka_unit_test(only_bytes_that_the_backend_has_copied_are_let_go),
        cmocka_unit_test(what_changes_the_maths_changes_the_fingerprint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
