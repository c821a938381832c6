/* test_convert_folder.c: a Hugging Face folder becomes a GGUF file with the row order that GGUF's RoPE of
 * arch llama needs (formats page 2.5). */
#include "base/half.h"
#include "converting.h"

#define WIDTH    128 /* hidden and feed-forward */
#define HEAD_DIM 64
#define N_HEAD   2

static const char config[] =
    "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_size\":128,"
    "\"intermediate_size\":128,\"num_hidden_layers\":1,\"num_attention_heads\":2,"
    "\"num_key_value_heads\":1,\"head_dim\":64,\"hidden_act\":\"silu\",\"rope_theta\":10000.0,"
    "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-5,\"vocab_size\":16,"
    "\"tie_word_embeddings\":false,\"quantization_config\":{\"quant_method\":\"bitnet\"}}";

/* Row r of a packed matrix spells r in binary, so that a row can be told wherever it went. */
static int spelled(int64_t row, int64_t column) {
    return column < 8 ? (int)(row >> column & 1) : 0;
}

typedef struct folder {
    gguf_bytes json, data; /* of model.safetensors */
    gguf_bytes config, weights;
} folder;

static void put_st(folder *f, const char *name, const char *dtype, int64_t rows, int64_t k,
                   size_t size) {
    char entry[256], shape[48];
    if (rows)
        snprintf(shape, sizeof shape, "%lld,%lld", (long long)rows, (long long)k);
    else
        snprintf(shape, sizeof shape, "%lld", (long long)k);
    int n = snprintf(entry, sizeof entry,
                     "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                     f->json.n ? "," : "", name, dtype, shape, f->data.n, f->data.n + size);
    gguf_bytes_put(&f->json, entry, (size_t)n);
}

static void put_packed(folder *f, const char *proj, int64_t rows) {
    char name[96];
    int64_t quarter = rows / 4;
    snprintf(name, sizeof name, "model.layers.0.%s.weight", proj);
    put_st(f, name, "U8", quarter, WIDTH, (size_t)(quarter * WIDTH));
    for (int64_t r = 0; r < quarter; r++)
        for (int64_t c = 0; c < WIDTH; c++) {
            int byte = 0;
            for (int p = 0; p < 4; p++)
                byte |= (spelled(r + p * quarter, c) + 1) << (2 * p);
            gguf_bytes_put(&f->data, &(uint8_t){(uint8_t)byte}, 1);
        }
    snprintf(name, sizeof name, "model.layers.0.%s.weight_scale", proj);
    put_st(f, name, "BF16", 0, 1, 2);
    gguf_bytes_put(&f->data, (uint8_t[]){0x00, 0x40}, 2); /* 2: divided by */
}

static void put_bf16(folder *f, const char *name, int64_t rows, int64_t k) {
    int64_t n = (rows ? rows : 1) * k;
    put_st(f, name, "BF16", rows, k, (size_t)n * 2);
    for (int64_t i = 0; i < n; i++) { /* element i holds i */
        uint16_t half = f32_to_bf16((float)i);
        gguf_bytes_put(&f->data, &half, 2);
    }
}

static folder make_folder(void) {
    folder f = {0};
    static const char *const projections[] = {"self_attn.q_proj", "self_attn.v_proj",
                                              "self_attn.o_proj", "mlp.gate_proj",
                                              "mlp.up_proj",      "mlp.down_proj"};
    put_bf16(&f, "model.embed_tokens.weight", 16, WIDTH);
    put_bf16(&f, "lm_head.weight", 16, WIDTH);
    put_bf16(&f, "model.norm.weight", 0, WIDTH);
    put_bf16(&f, "model.layers.0.input_layernorm.weight", 0, WIDTH);
    put_bf16(&f, "model.layers.0.post_attention_layernorm.weight", 0, WIDTH);
    put_bf16(&f, "model.layers.0.self_attn.q_proj.bias", 0, WIDTH);
    put_packed(&f, "self_attn.k_proj", HEAD_DIM);
    for (size_t i = 0; i < LEN(projections); i++)
        put_packed(&f, projections[i], i == 1 ? HEAD_DIM : WIDTH);
    gguf_bytes_u64(&f.weights, f.json.n + 2);
    gguf_bytes_put(&f.weights, "{", 1);
    gguf_bytes_put(&f.weights, f.json.p, f.json.n);
    gguf_bytes_put(&f.weights, "}", 1);
    gguf_bytes_put(&f.weights, f.data.p, f.data.n);
    gguf_bytes_put(&f.config, config, sizeof config - 1);
    return f;
}

static void folder_free(folder *f) {
    free(f->json.p);
    free(f->data.p);
    free(f->config.p);
    free(f->weights.p);
}

/* Which row the codes at p spell. */
static int64_t row_at(const uint8_t *p) {
    int8_t t[WIDTH];
    int64_t r = 0;
    bitnet_ternary_unpack_row(t, p, WIDTH);
    for (int c = 0; c < 8; c++)
        r |= (int64_t)t[c] << c;
    for (int c = 8; c < WIDTH; c++)
        assert_int_equal(t[c], 0);
    return r;
}

static void expect_rows(const bitnet_dir *dir, const gguf_bytes *file, const char *name,
                        bool is_moved) {
    const bitnet_tensor_entry *t = tensor_of(dir, name);
    float scale;
    assert_int_equal(t->type, BITNET_TYPE_I2_S);
    memcpy(&scale, file->p + t->offset + t->size - 32, sizeof scale);
    if (scale != 0.5f) fail_msg("%s: the scale is %g, should be 1 / 2", name, (double)scale);
    for (int64_t head = 0; head < t->ne[1] / HEAD_DIM; head++)
        for (int64_t s = 0; s < 2; s++)
            for (int64_t i = 0; i < HEAD_DIM / 2; i++) {
                int64_t from = head * HEAD_DIM + s * HEAD_DIM / 2 + i;
                int64_t to = is_moved ? head * HEAD_DIM + 2 * i + s : from;
                int64_t have = row_at(file->p + t->offset + (uint64_t)to * WIDTH / 4);
                if (have != from)
                    fail_msg("%s: row %d holds row %d of the folder, should be %d", name, (int)to,
                             (int)have, (int)from);
            }
}

static void a_llama_folder_gets_the_row_order_of_gguf(void **state) {
    (void)state;
    folder f = make_folder();
    bitnet_file files[] = {{"config.json", gguf_bytes_source(&f.config, true)},
                           {"model.safetensors", gguf_bytes_source(&f.weights, true)}};
    conversion c = {0};
    if (convert(&c, (bitnet_convert_desc){0}, files, 2) < 0) fail_msg("%s", c.err.text);
    bitnet_dir dir = open_dir(&c.out);
    expect_rows(&dir, &c.out, "blk.0.attn_q.weight", true);
    expect_rows(&dir, &c.out, "blk.0.attn_k.weight", true);
    expect_rows(&dir, &c.out, "blk.0.attn_v.weight", false);
    expect_rows(&dir, &c.out, "blk.0.ffn_down.weight", false);
    const bitnet_tensor_entry *bias = tensor_of(&dir, "blk.0.attn_q.bias");
    assert_int_equal(bias->type, BITNET_TYPE_F32);
    for (int to = 0; to < WIDTH; to++) {
        int from = to / HEAD_DIM * HEAD_DIM + to % 2 * HEAD_DIM / 2 + to % HEAD_DIM / 2;
        float v;
        memcpy(&v, c.out.p + bias->offset + (uint64_t)to * 4, 4);
        if (v != (float)from) fail_msg("bias %d holds %g, should be %d", to, (double)v, from);
    }
    assert_int_equal(tensor_of(&dir, "output.weight")->type, BITNET_TYPE_BF16);
    assert_int_equal(tensor_of(&dir, "output_norm.weight")->type, BITNET_TYPE_F32);
    bitnet_dir_free(&dir);
    become(&c.out, (bitnet_convert_desc){.type = "F16"}); /* and GGUF to GGUF moves nothing */
    become(&c.out, (bitnet_convert_desc){.embd = "F16", .head = "Q8_0"});
    dir = open_dir(&c.out);
    const bitnet_tensor_entry *q = tensor_of(&dir, "blk.0.attn_q.weight");
    for (int to = 0; to < 4; to++) {
        float x[WIDTH];
        bitnet_block_decoder(q->type)(x, c.out.p + q->offset + (uint64_t)to * 2 * WIDTH, WIDTH);
        int64_t from = to % 2 * HEAD_DIM / 2 + to / 2;
        for (int k = 0; k < WIDTH; k++)
            if (x[k] != 0.5f * (float)spelled(from, k))
                fail_msg("row %d column %d is %g", to, k, (double)x[k]);
    }
    bitnet_dir_free(&dir);
    free(c.out.p);
    folder_free(&f);
}

static void heads_that_do_not_divide_the_rows_are_refused(void **state) {
    (void)state;
    folder f = make_folder();
    bitnet_file files[] = {{"config.json", gguf_bytes_source(&f.config, true)},
                           {"model.safetensors", gguf_bytes_source(&f.weights, true)}};
    const bitnet_override o = {"llama.attention.head_count", "int:3"};
    conversion c = {0};
    bitnet_status st =
        convert(&c, (bitnet_convert_desc){.overrides = &o, .n_overrides = 1}, files, 2);
    assert_int_equal(st, BITNET_E_FORMAT);
    assert_string_equal(c.err.id, "convert.heads");
    free(c.out.p);
    folder_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_llama_folder_gets_the_row_order_of_gguf),
        cmocka_unit_test(heads_that_do_not_divide_the_rows_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
