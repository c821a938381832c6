/* test_gguf.c: what the GGUF reader reads: values of every type, tensors of every type, alignments,
 * full and empty directories, real files. What it refuses is in test_gguf_refuse.c.
 */
#include "gguf_reading.h"

#include <stdio.h>
#include <stdlib.h>

static void a_sound_file_gives_its_keys_and_tensors(void **state) {
    (void)state;
    gguf_writer w;
    reading r;
    put_sound(&w);
    for (w.version = 2; w.version <= 3; w.version++) {
        gguf_writer_finish(&w);
        read_both(&r, &w.file);
        assert_int_equal(r.status, BITNET_OK);
        assert_int_equal(r.dir.version, w.version);
        assert_int_equal(r.dir.n_meta, 6);
        assert_int_equal(r.dir.n_tensor, 2);

        const char *s = NULL;
        size_t len = 0;
        int64_t i = 0;
        double f = 0;
        bool b = false;
        assert_true(bitnet_meta_str(bitnet_dir_meta(&r.dir, "general.architecture"), &s, &len));
        assert_int_equal(len, 12);
        assert_memory_equal(s, "bitnet-b1.58", 12);
        assert_true(bitnet_meta_i64(bitnet_dir_meta(&r.dir, "bitnet-b1.58.block_count"), &i));
        assert_int_equal(i, 2);
        assert_true(bitnet_meta_f64(bitnet_dir_meta(&r.dir, "eps"), &f));
        assert_true(f == 0.5);
        assert_true(bitnet_meta_bool(bitnet_dir_meta(&r.dir, "flag"), &b));
        assert_true(b);
        assert_true(bitnet_meta_at_i64(bitnet_dir_meta(&r.dir, "numbers"), 0, &i));
        assert_int_equal(i, -1);
        assert_true(bitnet_meta_at_i64(bitnet_dir_meta(&r.dir, "numbers"), 1, &i));
        assert_int_equal(i, 7);
        assert_false(bitnet_meta_at_i64(bitnet_dir_meta(&r.dir, "numbers"), 2, &i));
        uint64_t pos = 0;
        const size_t lengths[] = {1, 0, 3};
        for (size_t k = 0; k < 3; k++) {
            assert_true(bitnet_meta_next_str(bitnet_dir_meta(&r.dir, "words"), &pos, &s, &len));
            assert_int_equal(len, lengths[k]);
        }
        assert_memory_equal(s, "ccc", 3);
        assert_false(bitnet_meta_next_str(bitnet_dir_meta(&r.dir, "words"), &pos, &s, &len));

        const bitnet_tensor_entry *t = bitnet_dir_tensor(&r.dir, "norm");
        assert_int_equal(t->type, BITNET_TYPE_F32);
        assert_int_equal(t->n_dims, 1);
        assert_memory_equal(t->ne, F32_ROW, sizeof t->ne);
        assert_int_equal(t->size, sizeof f32_row);
        assert_memory_equal(w.file.p + t->offset, f32_row, sizeof f32_row);
        t = bitnet_dir_tensor(&r.dir, "codes");
        assert_int_equal(t->type, BITNET_TYPE_I2_S);
        assert_int_equal(t->size, 128 / 4 + 32);
        assert_memory_equal(w.file.p + t->offset, i2s_bytes, sizeof i2s_bytes);
        assert_null(bitnet_dir_tensor(&r.dir, "nothing"));
        assert_null(bitnet_dir_meta(&r.dir, "nothing"));
        close_one(&r);
    }
    gguf_writer_free(&w);
}

static void every_alignment_from_8_to_1_mib_is_read(void **state) {
    (void)state;
    for (uint32_t alignment = 8; alignment <= 1u << 20; alignment *= 2) {
        gguf_writer w;
        reading r;
        gguf_writer_init(&w);
        w.alignment = alignment;
        gguf_put_u32(&w, "general.alignment", alignment);
        gguf_put_tensor(&w, "a", BITNET_TYPE_F32, 1, F32_ROW, f32_row, sizeof f32_row);
        gguf_put_tensor(&w, "b", BITNET_TYPE_F32, 1, F32_ROW, f32_row, sizeof f32_row);
        gguf_writer_finish(&w);
        read_both(&r, &w.file);
        assert_int_equal(r.status, BITNET_OK);
        for (uint32_t i = 0; i < 2; i++) {
            assert_int_equal(r.dir.tensor[i].offset % alignment, 0);
            assert_memory_equal(w.file.p + r.dir.tensor[i].offset, f32_row, sizeof f32_row);
        }
        close_one(&r);
        gguf_writer_free(&w);
    }
}

static void integers_of_any_width_read_through_one_getter(void **state) {
    (void)state;
    static const struct {
        uint32_t type;
        uint8_t bytes[8], size;
        int64_t want;
    } cases[] = {
        {0, {0xff}, 1, 255},
        {1, {0xff}, 1, -1},
        {2, {0xff, 0xff}, 2, 65535},
        {3, {0x00, 0x80}, 2, -32768},
        {4, {0xff, 0xff, 0xff, 0xff}, 4, 4294967295},
        {5, {0xfe, 0xff, 0xff, 0xff}, 4, -2},
        {10, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, 8, INT64_MAX},
        {11, {0, 0, 0, 0, 0, 0, 0, 0x80}, 8, INT64_MIN},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        gguf_writer w;
        reading r;
        int64_t got = 0;
        double f;
        bool b;
        const char *s;
        size_t len;
        gguf_writer_init(&w);
        gguf_put_key(&w, "k", cases[i].type);
        gguf_bytes_put(&w.kv, cases[i].bytes, cases[i].size);
        gguf_writer_finish(&w);
        read_both(&r, &w.file);
        const bitnet_meta *m = bitnet_dir_meta(&r.dir, "k");
        assert_true(bitnet_meta_i64(m, &got));
        assert_true(got == cases[i].want);
        assert_false(bitnet_meta_f64(m, &f) || bitnet_meta_bool(m, &b) ||
                     bitnet_meta_str(m, &s, &len));
        close_one(&r);
        gguf_writer_free(&w);
    }
}

static void a_getter_refuses_another_kind_of_value(void **state) {
    (void)state;
    gguf_writer w;
    reading r;
    int64_t i;
    double f = 0;
    bool b;
    const char *s;
    size_t len;
    uint64_t pos = 0;
    put_sound(&w);
    gguf_put_key(&w, "huge", 10);
    gguf_bytes_u64(&w.kv, UINT64_MAX);
    gguf_put_key(&w, "f64", 12);
    gguf_bytes_u64(&w.kv, 0x3ff8000000000000u);
    gguf_writer_finish(&w);
    read_both(&r, &w.file);
    const bitnet_dir *d = &r.dir;
    assert_false(bitnet_meta_i64(bitnet_dir_meta(d, "huge"), &i));
    assert_false(bitnet_meta_i64(bitnet_dir_meta(d, "eps"), &i));
    assert_false(bitnet_meta_i64(bitnet_dir_meta(d, "flag"), &i));
    assert_false(bitnet_meta_i64(bitnet_dir_meta(d, "numbers"), &i));
    assert_false(bitnet_meta_f64(bitnet_dir_meta(d, "flag"), &f));
    assert_false(bitnet_meta_bool(bitnet_dir_meta(d, "eps"), &b));
    assert_false(bitnet_meta_str(bitnet_dir_meta(d, "words"), &s, &len));
    assert_false(bitnet_meta_next_str(bitnet_dir_meta(d, "numbers"), &pos, &s, &len));
    assert_true(bitnet_meta_f64(bitnet_dir_meta(d, "f64"), &f));
    assert_true(f == 1.5);
    assert_false(bitnet_meta_i64(NULL, &i) || bitnet_meta_f64(NULL, &f) ||
                 bitnet_meta_bool(NULL, &b));
    assert_false(bitnet_meta_str(NULL, &s, &len) || bitnet_meta_next_str(NULL, &pos, &s, &len));
    close_one(&r);
    gguf_writer_free(&w);
}

/* Sizes as the specification states them, for 256 x 2 weights. */
static void every_known_type_has_its_size(void **state) {
    (void)state;
    static const struct {
        uint32_t type, size;
        const char *name;
    } cases[] = {
        {0, 2048, "F32"},     {1, 1024, "F16"},      {2, 288, "Q4_0"},     {3, 320, "Q4_1"},
        {6, 352, "Q5_0"},     {7, 384, "Q5_1"},      {8, 544, "Q8_0"},     {9, 576, "Q8_1"},
        {10, 168, "Q2_K"},    {11, 220, "Q3_K"},     {12, 288, "Q4_K"},    {13, 352, "Q5_K"},
        {14, 420, "Q6_K"},    {15, 584, "Q8_K"},     {16, 132, "IQ2_XXS"}, {17, 148, "IQ2_XS"},
        {18, 196, "IQ3_XXS"}, {19, 100, "IQ1_S"},    {20, 288, "IQ4_NL"},  {21, 220, "IQ3_S"},
        {22, 164, "IQ2_S"},   {23, 272, "IQ4_XS"},   {24, 512, "I8"},      {25, 1024, "I16"},
        {26, 2048, "I32"},    {27, 4096, "I64"},     {28, 4096, "F64"},    {29, 112, "IQ1_M"},
        {30, 1024, "BF16"},   {34, 108, "TQ1_0"},    {35, 132, "TQ2_0"},   {36, 160, "I2_S"},
        {37, 544, "I8_S"},    {38, 160, "TL1"},      {40, 288, "NVFP4"},   {41, 72, "Q1_0"},
        {42, 144, "Q2_0"},    {39, 96, "MXFP4/TL2"},
    };
    static const uint8_t zeros[4096];
    for (size_t i = 0; i < LEN(cases); i++) {
        gguf_writer w;
        reading r;
        gguf_writer_init(&w);
        gguf_put_tensor(&w, "t", cases[i].type, 2, (int64_t[]){256, 2}, zeros, cases[i].size);
        gguf_writer_finish(&w);
        read_both(&r, &w.file);
        if (r.status < 0) fail_msg("type %u: %s", cases[i].type, r.err.text);
        assert_int_equal(r.dir.tensor[0].size, cases[i].size);
        assert_string_equal(bitnet_type_name(cases[i].type), cases[i].name);
        close_one(&r);
        w.file.n--; /* and not a byte less */
        read_both(&r, &w.file);
        assert_string_equal(r.err.id, "gguf.tensor.extent");
        gguf_writer_free(&w);
    }
    assert_string_equal(bitnet_type_name(4), "?");
    assert_string_equal(bitnet_type_name(UINT32_MAX), "?");
}

/* ---- the limits, from inside ------------------------------------------------------------- */

/* As many keys and tensors as allowed, as small as they can be: the worst case for memory, and for
 * a duplicate check that compares every pair (2^32 of them). */
static void a_full_directory_of_65536_keys_and_tensors_is_read(void **state) {
    (void)state;
    gguf_writer w;
    reading r;
    char name[4] = {0};
    const uint32_t n = 65536, step = 40503; /* coprime: names come in no order */
    static uint8_t zeros[32];
    gguf_writer_init(&w);
    w.alignment = 8;
    gguf_put_u32(&w, "general.alignment", 8);
    for (uint32_t i = 1; i < n; i++) {
        uint32_t k = i * step % n;
        name[0] = (char)(1 + k / 256 % 255), name[1] = (char)(1 + k % 255);
        name[2] = (char)('a' + k / 255 % 2 * 2 + k / 65280);
        gguf_put_key(&w, name, 0);
        gguf_bytes_put(&w.kv, zeros, 1);
    }
    for (uint32_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%c%c%c", 33 + i % 64, 33 + i / 64 % 64, 33 + i / 4096);
        gguf_put_tensor(&w, name, 24, 1, (int64_t[]){8}, zeros, 8);
    }
    gguf_writer_finish(&w);
    read_both(&r, &w.file);
    if (r.status < 0) fail_msg("%s", r.err.text);
    assert_int_equal(r.dir.n_meta, n);
    assert_int_equal(r.dir.n_tensor, n);
    close_one(&r);
    gguf_writer_free(&w);
}

/* Larger than what is read at once, so that the buffer grows by more than its double. */
static void a_single_large_value_is_read(void **state) {
    (void)state;
    const size_t n = 1 << 20;
    gguf_writer w;
    reading r;
    uint8_t *ramp = malloc(n);
    assert_non_null(ramp);
    for (size_t i = 0; i < n; i++)
        ramp[i] = (uint8_t)(i * 31 + i / 256);
    gguf_writer_init(&w);
    gguf_put_array(&w, "x", 0, n);
    gguf_bytes_put(&w.kv, ramp, n);
    gguf_put_u32(&w, "last", 7);
    gguf_writer_finish(&w);
    read_both(&r, &w.file);
    assert_int_equal(r.status, BITNET_OK);
    assert_memory_equal(bitnet_dir_meta(&r.dir, "x")->data, ramp, n);
    close_one(&r);
    free(ramp);
    gguf_writer_free(&w);
}

static void a_million_empty_strings_cost_no_memory_of_their_own(void **state) {
    (void)state;
    gguf_writer w;
    reading r;
    gguf_writer_init(&w);
    gguf_put_array(&w, "x", 8, 1 << 20);
    for (int i = 0; i < 1 << 20; i++)
        gguf_bytes_u64(&w.kv, 0);
    gguf_writer_finish(&w);
    read_both(&r, &w.file);
    assert_int_equal(r.status, BITNET_OK);
    assert_int_equal(r.dir.meta[0].n, 1 << 20);
    assert_true(r.alloc.peak < 1024);
    close_one(&r);
    gguf_writer_free(&w);
}

static void a_file_without_tensors_or_keys_is_read(void **state) {
    (void)state;
    gguf_writer w;
    reading r;
    gguf_writer_init(&w);
    gguf_writer_finish(&w);
    read_both(&r, &w.file);
    assert_int_equal(r.status, BITNET_OK);
    assert_int_equal(r.dir.n_meta + r.dir.n_tensor, 0);
    assert_null(bitnet_dir_meta(&r.dir, "general.architecture"));
    assert_null(bitnet_dir_tensor(&r.dir, "output.weight"));
    close_one(&r);
    gguf_writer_free(&w);
}

/* ---- the page ---------------------------------------------------------------------------- */

static void the_worked_i2s_example_of_the_documentation_decodes(void **state) {
    (void)state;
    char *docs = test_file_read("docs/formats.md", NULL);
    char *hex = strstr(docs, "All 64 bytes:");
    unsigned data[64], n = 0;
    assert_non_null(hex);
    hex = strstr(hex, "```") + 3;
    for (int used; n < 64 && sscanf(hex, " %2x%n", &data[n], &used) == 1; hex += used)
        n++;
    assert_int_equal(n, 64);
    for (int k = 0; k < 256; k++) {
        int j = k % 128, byte = 32 * (k / 128) + j % 32, shift = 6 - 2 * (j / 32);
        int want = (k * k + k / 3) % 3 - 1, got = (int)(data[byte] >> shift & 3) - 1;
        if (got != want) fail_msg("weight %d is %d on the page, expected %d", k, got, want);
    }
    free(docs);
}

/* ---- real files -------------------------------------------------------------------------- */

static gguf_bytes read_file(const char *path_in_tree) {
    gguf_bytes f = {0};
    f.p = (uint8_t *)test_file_read(path_in_tree, &f.n);
    return f;
}

static void the_shipped_model_is_read(void **state) {
    (void)state;
    gguf_bytes f = read_file("models/bitnet-tales/bitnet-tales.i2_s.gguf");
    reading r;
    read_both(&r, &f);
    assert_int_equal(r.status, BITNET_OK);
    assert_int_equal(r.dir.version, 3);
    assert_int_equal(r.dir.n_meta, 29);
    assert_int_equal(r.dir.n_tensor, 68);
    const bitnet_tensor_entry *t = bitnet_dir_tensor(&r.dir, "blk.0.ffn_down.weight");
    assert_int_equal(t->type, BITNET_TYPE_I2_S);
    assert_int_equal(t->n_dims, 2);
    assert_memory_equal(t->ne, ((const int64_t[]){1024, 256, 1, 1}), sizeof t->ne);
    assert_int_equal(t->size, 1024 * 256 / 4 + 32);
    assert_int_equal(t->offset, 132928 + 2285760); /* data start, offset in the file */
    t = bitnet_dir_tensor(&r.dir, "token_embd.weight");
    assert_int_equal(t->type, BITNET_TYPE_F16);
    assert_int_equal(t->size, 256 * 4096 * 2);
    assert_int_equal(bitnet_dir_meta(&r.dir, "tokenizer.ggml.tokens")->n, 4096);
    close_one(&r);
    free(f.p);
}

/* Published vocabularies: no tensors, and one of them without the padding behind the metadata. */
static void vocabulary_files_are_read(void **state) {
    (void)state;
    static const struct {
        const char *path;
        uint64_t n_token;
    } files[] = {{"../shared/vectors/llama3-vocab.gguf", 128256},
                 {"../shared/vectors/llama-spm-vocab.gguf", 32000}};
    for (size_t i = 0; i < LEN(files); i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", BITNET_SOURCE_DIR, files[i].path);
        FILE *probe = fopen(path, "rb");
        if (!probe) {
            print_message("skipped: %s is not here\n", files[i].path);
            continue;
        }
        fclose(probe);
        gguf_bytes f = read_file(files[i].path);
        reading r;
        read_both(&r, &f);
        assert_int_equal(r.status, BITNET_OK);
        assert_int_equal(r.dir.n_tensor, 0);
        assert_int_equal(bitnet_dir_meta(&r.dir, "tokenizer.ggml.tokens")->n, files[i].n_token);
        close_one(&r);
        free(f.p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_file_gives_its_keys_and_tensors),
        cmocka_unit_test(every_alignment_from_8_to_1_mib_is_read),
        cmocka_unit_test(integers_of_any_width_read_through_one_getter),
        cmocka_unit_test(a_getter_refuses_another_kind_of_value),
        cmocka_unit_test(every_known_type_has_its_size),
        cmocka_unit_test(a_full_directory_of_65536_keys_and_tensors_is_read),
        cmocka_unit_test(a_single_large_value_is_read),
        cmocka_unit_test(a_million_empty_strings_cost_no_memory_of_their_own),
        cmocka_unit_test(a_file_without_tensors_or_keys_is_read),
        cmocka_unit_test(the_worked_i2s_example_of_the_documentation_decodes),
        cmocka_unit_test(the_shipped_model_is_read),
        cmocka_unit_test(vocabulary_files_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
