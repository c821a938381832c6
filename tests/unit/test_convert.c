/* test_convert.c: models in, GGUF out: what must be the same is the same to the byte, what is rounded stays
 * within the error of its type. */
#include "converting.h"

/* 6 bits with scales of 8 bits: half a step of 1/32 of the largest of 16, and another cut off at the
 * far end (test_blocks.c has the derivation). */
#define Q6_K_ERROR (1.0f / 32 + 1.0f / 128)

/* ---- ternary containers ---------------------------------------------------------------------- */

static void i2_s_through_tq_and_back_is_the_same_to_the_byte(void **state) {
    (void)state;
    static const struct {
        const char *type;
        uint32_t id;
        int64_t file_type;
        double bits; /* per ternary weight */
    } row[] = {{"TQ2_0", BITNET_TYPE_TQ2_0, 37, 2.0625}, {"tq1_0", BITNET_TYPE_TQ1_0, 36, 1.6875}};
    gguf_bytes original = read_tales();
    for (size_t i = 0; i < LEN(row); i++) {
        gguf_bytes file = read_tales();
        become(&file, (bitnet_convert_desc){.type = row[i].type});
        bitnet_dir dir = open_dir(&file);
        const bitnet_tensor_entry *t = tensor_of(&dir, "blk.5.ffn_down.weight");
        assert_int_equal(t->type, row[i].id);
        assert_true((double)t->size * 8 == row[i].bits * (double)(t->ne[0] * t->ne[1]));
        assert_int_equal(tensor_of(&dir, "token_embd.weight")->type, BITNET_TYPE_F16);
        bitnet_dir_free(&dir);
        assert_int_equal(file_type_of(&file), row[i].file_type);
        become(&file, (bitnet_convert_desc){.type = "I2_S"});
        expect_same_tensors(&original, &file);
        assert_int_equal(file_type_of(&file), 40);
        free(file.p);
    }
    free(original.p);
}

/* The files that another program wrote from the same weights. */
static void the_other_containers_of_the_shipped_model_come_out(void **state) {
    (void)state;
    static const char *const types[] = {"tq2_0", "f16"};
    for (size_t i = 0; i < LEN(types); i++) {
        char path[1024], full[1200];
        snprintf(path, sizeof path, "../shared/models/bitnet-tales.%s.gguf", types[i]);
        snprintf(full, sizeof full, "%s/%s", BITNET_SOURCE_DIR, path);
        FILE *f = fopen(full, "rb");
        if (!f) {
            print_message("skipped: %s is not there\n", path);
            continue;
        }
        fclose(f);
        gguf_bytes want = {0}, file = read_tales();
        want.p = (uint8_t *)test_file_read(path, &want.n);
        become(&file, (bitnet_convert_desc){.type = types[i]});
        expect_same_tensors(&want, &file);
        free(want.p);
        free(file.p);
    }
}

static void dequantised_weights_are_scale_times_code(void **state) {
    (void)state;
    static const struct {
        const char *type;
        int64_t file_type;
    } row[] = {{"f32", 0}, {"F16", 1}, {"BF16", 32}, {"Q8_0", 7}};
    gguf_bytes in = read_tales();
    bitnet_dir di = open_dir(&in);
    for (size_t i = 0; i < LEN(row); i++) {
        gguf_bytes out = read_tales();
        become(&out, (bitnet_convert_desc){.type = row[i].type});
        assert_int_equal(file_type_of(&out), row[i].file_type);
        bitnet_dir dout = open_dir(&out);
        const bitnet_tensor_entry *p = tensor_of(&di, "blk.2.attn_k.weight"),
                                  *q = tensor_of(&dout, p->name);
        assert_int_equal(q->type, bitnet_type_parse(row[i].type));
        float scale, y[256];
        int8_t t[256];
        memcpy(&scale, in.p + p->offset + p->size - 32, sizeof scale);
        float error = i < 2 ? 0 : i == 2 ? scale / 256 : scale / 1024; /* bf16; f16(scale / 127) */
        for (int64_t r = 0; r < p->ne[1]; r++) {
            bitnet_ternary_unpack_row(t, in.p + p->offset + r * 64, 256);
            bitnet_block_decoder(q->type)(
                y, out.p + q->offset + (uint64_t)r * bitnet_row_size(q->type, 256), 256);
            for (int c = 0; c < 256; c++)
                if (!(fabsf(y[c] - (float)t[c] * scale) <= error))
                    fail_msg("%s: row %d column %d is %g, should be %g", row[i].type, (int)r, c,
                             (double)y[c], (double)((float)t[c] * scale));
        }
        bitnet_dir_free(&dout);
        free(out.p);
    }
    bitnet_dir_free(&di);
    free(in.p);
}

static void layout_b_is_written_as_layout_a(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    gguf_bytes a = make_tiny(&m), b = make_tiny(&m), file = make_tiny(&m);
    bitnet_dir dir = open_dir(&a);
    for (uint32_t i = 0; i < dir.n_tensor; i++) { /* the same codes, moved weight by weight */
        const bitnet_tensor_entry *t = &dir.tensor[i];
        if (t->type != BITNET_TYPE_I2_S) continue;
        memset(b.p + t->offset, 0, (size_t)t->size - 32);
        for (int64_t w = 0; w < t->ne[0] * t->ne[1]; w++) {
            int code =
                a.p[t->offset + (uint64_t)(w / 128 * 32 + w % 32)] >> (6 - 2 * (w % 128 / 32));
            b.p[t->offset + (uint64_t)(w / 64 * 16 + w % 16)] |=
                (uint8_t)((code & 3) << (6 - 2 * (w % 64 / 16)));
        }
    }
    bitnet_dir_free(&dir);
    free(file.p);
    file = b;
    become(&file, (bitnet_convert_desc){.i2s_layout = BITNET_I2S_B});
    expect_same_tensors(&a, &file);
    free(a.p);
    free(file.p);
}

static void bytes_behind_the_scale_become_zero(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    gguf_bytes file = make_tiny(&m), clean = make_tiny(&m);
    bitnet_dir dir = open_dir(&file);
    for (uint32_t i = 0; i < dir.n_tensor; i++)
        if (dir.tensor[i].type == BITNET_TYPE_I2_S)
            memset(file.p + dir.tensor[i].offset + dir.tensor[i].size - 28, 0xee, 28);
    bitnet_dir_free(&dir);
    become(&file, (bitnet_convert_desc){0});
    expect_same_tensors(&clean, &file);
    free(file.p);
    free(clean.p);
}

static void a_scale_that_f16_cannot_hold_is_rounded_with_a_warning(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    m.n_embd = m.n_ff = 256, m.head_dim = 128; /* rows for TQ */
    gguf_bytes file = make_tiny(&m);
    bitnet_dir dir = open_dir(&file);
    const bitnet_tensor_entry *t = tensor_of(&dir, "blk.0.ffn_up.weight");
    memcpy(file.p + t->offset + t->size - 32, &(float){0.1f}, 4);
    bitnet_dir_free(&dir);
    conversion c = {0};
    if (convert_bytes(&c, (bitnet_convert_desc){.type = "TQ2_0"}, &file) < 0)
        fail_msg("%s", c.err.text);
    assert_string_equal(c.log, "blk.0.ffn_up.weight: type TQ2_0 rounds the scale 0.100000001 to "
                               "0.0999755859\n");
    become(&c.out, (bitnet_convert_desc){.type = "I2_S"});
    dir = open_dir(&c.out);
    t = tensor_of(&dir, "blk.0.ffn_up.weight");
    float scale;
    memcpy(&scale, c.out.p + t->offset + t->size - 32, 4);
    if (scale != 0.0999755859375f) fail_msg("the scale is %.12g", (double)scale);
    bitnet_dir_free(&dir);
    free(c.out.p);
    free(file.p);
}

static void a_tq_matrix_of_several_scales_stays_what_it_is(void **state) {
    (void)state;
    gguf_bytes file = make_tq();
    conversion c = {0};
    if (convert_bytes(&c, (bitnet_convert_desc){.type = "i2_s"}, &file) < 0)
        fail_msg("%s", c.err.text);
    assert_string_equal(c.log, "two: its blocks have different scales; it stays TQ2_0\n");
    bitnet_dir in = open_dir(&file), out = open_dir(&c.out);
    assert_int_equal(tensor_of(&out, "one")->type, BITNET_TYPE_I2_S);
    expect_same_tensor(tensor_of(&in, "two"), file.p, tensor_of(&out, "two"), c.out.p);
    bitnet_dir_free(&in);
    bitnet_dir_free(&out);
    free(c.out.p);
    free(file.p);
}

/* ---- ordinary matrices and vectors ----------------------------------------------------------- */

static void the_embedding_takes_each_type_within_its_error(void **state) {
    (void)state;
    static const struct {
        const char *type;
        int block;
        float error; /* of the largest magnitude of a block */
    } row[] = {{"f32", 256, 0},           {"f16", 256, 0},
               {"bf16", 256, 1.0f / 256}, {"q8_0", 32, 0.5f / 127 + 1.0f / 2048},
               {"q6_k", 256, Q6_K_ERROR}, {"q4_0", 32, 1.0f / 8 + 1.0f / 2048}};
    gguf_bytes in = read_tales();
    bitnet_dir di = open_dir(&in);
    const bitnet_tensor_entry *p = tensor_of(&di, "token_embd.weight");
    for (size_t i = 0; i < LEN(row); i++) {
        gguf_bytes out = read_tales();
        become(&out, (bitnet_convert_desc){.embd = row[i].type});
        bitnet_dir dout = open_dir(&out);
        const bitnet_tensor_entry *q = tensor_of(&dout, "token_embd.weight");
        assert_int_equal(q->type, bitnet_type_parse(row[i].type));
        assert_int_equal(tensor_of(&dout, "blk.0.attn_q.weight")->type, BITNET_TYPE_I2_S);
        for (int64_t r = 0; r < p->ne[1]; r += 97) {
            float x[256], y[256];
            bitnet_block_decoder(p->type)(x, in.p + p->offset + r * 512, 256);
            bitnet_block_decoder(q->type)(
                y, out.p + q->offset + (uint64_t)r * bitnet_row_size(q->type, 256), 256);
            for (int c = 0; c < 256; c++) {
                float most = 0;
                for (int k = 0; k < row[i].block; k++)
                    most = fmaxf(most, fabsf(x[c / row[i].block * row[i].block + k]));
                if (!(fabsf(x[c] - y[c]) <= most * row[i].error))
                    fail_msg("%s: %g became %g", row[i].type, (double)x[c], (double)y[c]);
            }
        }
        bitnet_dir_free(&dout);
        free(out.p);
    }
    bitnet_dir_free(&di);
    free(in.p);
}

static void vectors_become_f32_and_other_types_stay(void **state) {
    (void)state;
    gguf_bytes file = make_ordinary(), out = make_ordinary();
    become(&out, (bitnet_convert_desc){.head = "F32"});
    bitnet_dir di = open_dir(&file), dout = open_dir(&out);
    static const float norm[2] = {1.5f, -3.0f};
    for (size_t i = 0; i < 2; i++) {
        const bitnet_tensor_entry *t = tensor_of(&dout, i ? "norm2" : "norm");
        assert_int_equal(t->type, BITNET_TYPE_F32);
        assert_memory_equal(out.p + t->offset, norm, sizeof norm);
    }
    expect_same_tensor(tensor_of(&di, "matrix"), file.p, tensor_of(&dout, "matrix"), out.p);
    expect_same_tensor(tensor_of(&di, "other"), file.p, tensor_of(&dout, "other"), out.p);
    const bitnet_tensor_entry *p = tensor_of(&di, "output.weight"), *q = tensor_of(&dout, p->name);
    float want[512];
    bitnet_block_decoder(BITNET_TYPE_Q4_K)(want, file.p + p->offset, 512);
    assert_int_equal(q->type, BITNET_TYPE_F32);
    assert_memory_equal(out.p + q->offset, want, sizeof want);
    bitnet_dir_free(&di);
    bitnet_dir_free(&dout);
    free(file.p);
    free(out.p);
}

static void keys_are_carried_over_but_for_those_of_the_container(void **state) {
    (void)state;
    gguf_bytes file = make_ordinary(), tales = read_tales(), again = read_tales();
    become(&file, (bitnet_convert_desc){0});
    bitnet_dir dir = open_dir(&file);
    int64_t v;
    assert_int_equal(dir.n_meta, 3);
    assert_null(bitnet_dir_meta(&dir, "split.count"));
    assert_true(bitnet_meta_i64(bitnet_dir_meta(&dir, "general.alignment"), &v) && v == 32);
    assert_true(bitnet_meta_i64(bitnet_dir_meta(&dir, "general.file_type"), &v) && v == 77);
    bitnet_dir_free(&dir);
    become(&again, (bitnet_convert_desc){0});
    bitnet_dir da = open_dir(&tales), db = open_dir(&again);
    assert_int_equal(da.n_meta, db.n_meta);
    for (uint32_t i = 0; i < da.n_meta; i++) {
        assert_string_equal(da.meta[i].key, db.meta[i].key);
        assert_int_equal(da.meta[i].size, db.meta[i].size);
        assert_memory_equal(da.meta[i].data, db.meta[i].data, (size_t)da.meta[i].size);
    }
    expect_same_tensors(&tales, &again);
    bitnet_dir_free(&da);
    bitnet_dir_free(&db);
    free(file.p);
    free(tales.p);
    free(again.p);
}

static void overrides_are_in_the_new_file(void **state) {
    (void)state;
    gguf_bytes file = make_ordinary();
    const bitnet_override o[] = {{"general.file_type", "int:5"}, {"tokenizer.ggml.pre", "str:x"}};
    become(&file, (bitnet_convert_desc){.overrides = o, .n_overrides = 2});
    bitnet_dir dir = open_dir(&file);
    const char *s;
    size_t len;
    assert_true(bitnet_meta_str(bitnet_dir_meta(&dir, "tokenizer.ggml.pre"), &s, &len));
    assert_int_equal(len, 1);
    bitnet_dir_free(&dir);
    assert_int_equal(file_type_of(&file), 5);
    free(file.p);
}

/* ---- the new file runs ----------------------------------------------------------------------- */

static void every_container_of_a_model_loads(void **state) {
    (void)state;
    static const bitnet_convert_desc ways[] = {
        {0},
        {.type = "TQ1_0"},
        {.type = "TQ2_0", .embd = "Q6_K"},
        {.type = "F16", .embd = "Q8_0"},
        {.type = "BF16", .embd = "BF16"},
        {.type = "F32", .embd = "Q4_0"},
        {.type = "Q8_0", .embd = "F32"},
    };
    for (size_t i = 0; i < LEN(ways); i++) {
        gguf_bytes file = read_tales();
        become(&file, ways[i]);
        bitnet_source src = gguf_bytes_source(&file, true);
        bitnet_model_desc desc = {.source = &src, .n_threads = 1};
        bitnet_model *model;
        bitnet_error err = {0};
        if (bitnet_model_load(&model, &desc, &err) < 0)
            fail_msg("way %zu: %s [%s]", i, err.text, err.id);
        assert_int_equal(bitnet_model_get_info(model).n_layer, 6);
        bitnet_model_free(model);
        free(file.p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(i2_s_through_tq_and_back_is_the_same_to_the_byte),
        cmocka_unit_test(the_other_containers_of_the_shipped_model_come_out),
        cmocka_unit_test(dequantised_weights_are_scale_times_code),
        cmocka_unit_test(layout_b_is_written_as_layout_a),
        cmocka_unit_test(bytes_behind_the_scale_become_zero),
        cmocka_unit_test(a_scale_that_f16_cannot_hold_is_rounded_with_a_warning),
        cmocka_unit_test(a_tq_matrix_of_several_scales_stays_what_it_is),
        cmocka_unit_test(the_embedding_takes_each_type_within_its_error),
        cmocka_unit_test(vectors_become_f32_and_other_types_stay),
        cmocka_unit_test(keys_are_carried_over_but_for_those_of_the_container),
        cmocka_unit_test(overrides_are_in_the_new_file),
        cmocka_unit_test(every_container_of_a_model_loads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
