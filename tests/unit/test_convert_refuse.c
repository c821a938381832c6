/* test_convert_refuse.c: what is not converted, and why; failures leave nothing behind. */
#include "converting.h"

static void expect_refusal(gguf_bytes *file, bitnet_convert_desc desc, bitnet_status status,
                           const char *id) {
    count_alloc count = {0};
    conversion c = {0};
    desc.allocator = count_alloc_of(&count);
    bitnet_status st = convert_bytes(&c, desc, file);
    if (st != status || strcmp(c.err.id, id))
        fail_msg("status %d, %s (%s); expected was %d, %s", st, c.err.id ? c.err.id : "no id",
                 c.err.text, status, id);
    assert_int_equal(count.live, 0);
    free(c.out.p);
}

static void type_names_that_are_not_offered_are_refused(void **state) {
    (void)state;
    static const bitnet_convert_desc row[] = {{.type = "Q4_0"}, {.type = ""},     {.type = "i3_s"},
                                              {.embd = "I2_S"}, {.embd = "Q4_K"}, {.embd = "TQ2_0"},
                                              {.head = "Q5_0"}, {.head = "F16 "}};
    gguf_bytes file = read_tales();
    for (size_t i = 0; i < LEN(row); i++)
        expect_refusal(&file, row[i], BITNET_E_INVAL, "convert.type");
    free(file.p);
}

static void asking_for_what_the_model_lacks_is_refused(void **state) {
    (void)state;
    gguf_bytes tales = read_tales(), ordinary = make_ordinary();
    expect_refusal(&tales, (bitnet_convert_desc){.head = "F16"}, BITNET_E_INVAL, "convert.missing");
    expect_refusal(&ordinary, (bitnet_convert_desc){.embd = "F16"}, BITNET_E_INVAL,
                   "convert.missing");
    expect_refusal(&ordinary, (bitnet_convert_desc){.type = "I2_S"}, BITNET_E_INVAL,
                   "convert.missing");
    free(tales.p);
    free(ordinary.p);
}

static void rows_that_a_type_cannot_hold_are_refused(void **state) {
    (void)state;
    tiny_model m = tiny_model_default(); /* rows of 128 */
    gguf_bytes file = make_tiny(&m);
    expect_refusal(&file, (bitnet_convert_desc){.type = "TQ1_0"}, BITNET_E_UNSUPPORTED,
                   "convert.row");
    expect_refusal(&file, (bitnet_convert_desc){.embd = "Q6_K"}, BITNET_E_UNSUPPORTED,
                   "convert.row");
    conversion c = {0};
    assert_true(convert_bytes(&c, (bitnet_convert_desc){.type = "TQ2_0"}, &file) < 0);
    assert_string_equal(c.err.text, "blk.0.attn_q.weight: rows of 128 weights; type TQ2_0 needs a "
                                    "multiple of 256");
    free(c.out.p);
    free(file.p);
}

static void a_type_without_a_decoder_is_refused(void **state) {
    (void)state;
    gguf_writer w;
    static const uint8_t data[40];
    gguf_writer_init(&w);
    gguf_put_tensor(&w, "output.weight", 3, 2, (int64_t[]){32, 2}, data, sizeof data); /* Q4_1 */
    gguf_bytes file = take(&w);
    expect_refusal(&file, (bitnet_convert_desc){.head = "F16"}, BITNET_E_UNSUPPORTED,
                   "convert.source");
    free(file.p);
}

static void numbers_that_a_type_cannot_hold_are_refused(void **state) {
    (void)state;
    static const float rows[][2] = {{1e5f, 0}, {0, NAN}, {INFINITY, 1}};
    static const struct {
        const char *type, *id;
        bitnet_status status;
    } want[] = {{"F16", "convert.range", BITNET_E_UNSUPPORTED},
                {"BF16", "model.nonfinite", BITNET_E_FORMAT},
                {"F16", "model.nonfinite", BITNET_E_FORMAT}};
    for (size_t i = 0; i < LEN(rows); i++) {
        gguf_writer w;
        gguf_writer_init(&w);
        gguf_put_tensor(&w, "token_embd.weight", BITNET_TYPE_F32, 2, (int64_t[]){1, 2}, rows[i], 8);
        gguf_bytes file = take(&w);
        expect_refusal(&file, (bitnet_convert_desc){.embd = want[i].type}, want[i].status,
                       want[i].id);
        free(file.p);
    }
    tiny_model m = tiny_model_default();
    gguf_bytes file = make_tiny(&m);
    bitnet_dir dir = open_dir(&file);
    const bitnet_tensor_entry *t = tensor_of(&dir, "blk.0.ffn_up.weight");
    memcpy(file.p + t->offset + t->size - 32, &(float){1e6f}, 4);
    expect_refusal(&file, (bitnet_convert_desc){.type = "F16"}, BITNET_E_UNSUPPORTED,
                   "convert.scale");
    memcpy(file.p + t->offset + t->size - 32, &(float){1e-30f}, 4);
    expect_refusal(&file, (bitnet_convert_desc){.type = "Q8_0"}, BITNET_E_UNSUPPORTED,
                   "convert.scale");
    file.p[t->offset] = 0xff;
    expect_refusal(&file, (bitnet_convert_desc){0}, BITNET_E_FORMAT, "model.code3");
    bitnet_dir_free(&dir);
    free(file.p);
}

static void bytes_that_are_no_model_are_refused(void **state) {
    (void)state;
    uint8_t text[] = "not a model at all, and not long either";
    gguf_bytes file = {text, sizeof text, 0};
    expect_refusal(&file, (bitnet_convert_desc){0}, BITNET_E_FORMAT, "gguf.magic");
}

/* ---- failures -------------------------------------------------------------------------------- */

static void a_source_that_can_only_be_read_gives_the_same_file(void **state) {
    (void)state;
    gguf_bytes in = read_tales();
    conversion mapped = {0}, plain = {0};
    bitnet_convert_desc desc = {.type = "TQ1_0", .embd = "Q8_0"};
    assert_int_equal(convert_bytes(&mapped, desc, &in), BITNET_OK);
    bitnet_file f = {"in.gguf", gguf_bytes_source(&in, false)};
    assert_int_equal(convert(&plain, desc, &f, 1), BITNET_OK);
    assert_int_equal(mapped.out.n, plain.out.n);
    assert_memory_equal(mapped.out.p, plain.out.p, plain.out.n);
    free(mapped.out.p);
    free(plain.out.p);
    free(in.p);
}

static void every_allocation_that_fails_is_a_clean_refusal(void **state) {
    (void)state;
    gguf_bytes in = make_tq();
    bitnet_file f = {"in.gguf", gguf_bytes_source(&in, false)};
    bitnet_status st = BITNET_E_NOMEM;
    long at = 1;
    for (; st != BITNET_OK; at++) {
        count_alloc count = {.fail_at = at};
        conversion c = {0};
        bitnet_convert_desc desc = {.type = "F16", .allocator = count_alloc_of(&count)};
        st = convert(&c, desc, &f, 1);
        if (st != BITNET_OK) {
            assert_int_equal(st, BITNET_E_NOMEM);
            assert_non_null(c.err.id);
        }
        assert_int_equal(count.live, 0);
        free(c.out.p);
    }
    assert_true(at > 8); /* directory, tables, each tensor's bytes, codes and rows */
    free(in.p);
}

static void a_write_that_fails_is_reported_with_the_bytes_written(void **state) {
    (void)state;
    gguf_bytes in = read_tales();
    static const size_t rooms[] = {1, 100, 200000, 3000000};
    for (size_t i = 0; i < LEN(rooms); i++) {
        count_alloc count = {0};
        conversion c = {.room = rooms[i]};
        bitnet_convert_desc desc = {.type = "TQ2_0", .allocator = count_alloc_of(&count)};
        assert_int_equal(convert_bytes(&c, desc, &in), BITNET_E_IO);
        assert_string_equal(c.err.id, "convert.write");
        char bytes[40];
        snprintf(bytes, sizeof bytes, "after %zu bytes", c.out.n);
        assert_non_null(strstr(c.err.text, bytes));
        assert_int_equal(count.live, 0);
        free(c.out.p);
    }
    free(in.p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(type_names_that_are_not_offered_are_refused),
        cmocka_unit_test(asking_for_what_the_model_lacks_is_refused),
        cmocka_unit_test(rows_that_a_type_cannot_hold_are_refused),
        cmocka_unit_test(a_type_without_a_decoder_is_refused),
        cmocka_unit_test(numbers_that_a_type_cannot_hold_are_refused),
        cmocka_unit_test(bytes_that_are_no_model_are_refused),
        cmocka_unit_test(a_source_that_can_only_be_read_gives_the_same_file),
        cmocka_unit_test(every_allocation_that_fails_is_a_clean_refusal),
        cmocka_unit_test(a_write_that_fails_is_reported_with_the_bytes_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
