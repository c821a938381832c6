/* test_safetensors.c: the safetensors reader: what a sound file holds comes out sorted and in place, and
 * each way to refuse one is provoked. Every file is read through a mapping and through plain reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "count_alloc.h"
#include "format/safetensors.h"
#include "hf_writer.h"
#include "load_file.h"

#define LEN(array)      (sizeof(array) / sizeof *(array))
#define FILE_NAME       "model.safetensors"
#define MEMORY_PER_BYTE 5 /* of the header, which is held once when it is not mapped */
#define MEMORY_FIXED    4096

static const uint8_t bytes[64] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

/* Reads a file, in memory of exactly its size, into a list that may hold something already. */
static bitnet_status read_into(bitnet_st_list *list, const gguf_bytes *file, bool is_mapped,
                               count_alloc *c, bitnet_error *err) {
    gguf_bytes exact = {.p = malloc(file->n ? file->n : 1), .n = file->n};
    assert_non_null(exact.p);
    if (file->n) memcpy(exact.p, file->p, file->n);
    bitnet_allocator a = count_alloc_of(c);
    bitnet_file f = {FILE_NAME, gguf_bytes_source(&exact, is_mapped)};
    bitnet_status st = bitnet_st_read(list, &f, list->n ? 1 : 0, &a, err);
    free(exact.p);
    return st;
}

/* The bytes of a file whose header is this text; pad is appended to the data. */
static gguf_bytes file_of(const char *header, size_t n_data) {
    gguf_bytes f = {0};
    gguf_bytes_u64(&f, strlen(header));
    gguf_bytes_put(&f, header, strlen(header));
    for (size_t i = 0; i < n_data; i++)
        gguf_bytes_put(&f, &bytes[i % sizeof bytes], 1);
    return f;
}

/* ---- sound files ------------------------------------------------------------------------- */

static const char sound[] =
    "{\"__metadata__\":{\"format\":\"pt\"},"
    "\"z\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
    "\"a\":{\"shape\":[],\"data_offsets\":[12,16],\"dtype\":\"F32\"},"
    "\"m\\u00e9\":{\"dtype\":\"U8\",\"shape\":[1,1,1,5],\"data_offsets\":[16,21]}}   \n";

static void tensors_come_out_sorted_with_their_place_in_the_file(void **state) {
    (void)state;
    for (int is_mapped = 0; is_mapped <= 1; is_mapped++) {
        gguf_bytes f = file_of(sound, 21);
        bitnet_st_list list = {0};
        bitnet_error err = {0};
        count_alloc c = {0};
        assert_int_equal(read_into(&list, &f, is_mapped, &c, &err), BITNET_OK);
        assert_int_equal(list.n, 3);
        uint64_t start = 8 + strlen(sound);
        const bitnet_st_tensor *a = bitnet_st_find(&list, "a"),
                               *m = bitnet_st_find(&list, "m\xc3\xa9"),
                               *z = bitnet_st_find(&list, "z");
        assert_ptr_equal(a, &list.tensor[0]);
        assert_ptr_equal(m, &list.tensor[1]);
        assert_ptr_equal(z, &list.tensor[2]);
        assert_int_equal(a->dtype, BITNET_ST_F32);
        assert_true(a->n_dims == 0 && a->shape[0] == 1 && a->offset == start + 12 && a->size == 4);
        assert_true(m->n_dims == 4 && m->shape[3] == 5 && m->offset == start + 16 && m->size == 5);
        assert_true(z->n_dims == 2 && z->shape[0] == 2 && z->shape[1] == 3 && z->shape[2] == 1);
        assert_true(z->offset == start && z->size == 12 && z->file == 0);
        assert_string_equal(bitnet_st_dtype_name(z->dtype), "BF16");
        assert_null(bitnet_st_find(&list, "b"));
        bitnet_st_free(&list);
        assert_int_equal(c.live, 0);
        free(f.p);
    }
}

static void every_type_has_its_size(void **state) {
    (void)state;
    static const struct {
        const char *name;
        size_t size;
    } types[] = {{"U8", 1},  {"I8", 1},  {"BOOL", 1}, {"F16", 2}, {"BF16", 2},
                 {"F32", 4}, {"I16", 2}, {"I32", 4},  {"I64", 8}, {"F64", 8}};
    for (size_t i = 0; i < LEN(types); i++) {
        hf_folder f = {0};
        bitnet_st_list list = {0};
        bitnet_error err = {0};
        hf_tensor(&f, FILE_NAME, "t", types[i].name, "[3]", bytes, 3 * types[i].size);
        if (bitnet_st_read(&list, hf_files(&f, true), 0, NULL, &err) < 0) fail_msg("%s", err.text);
        assert_string_equal(bitnet_st_dtype_name(list.tensor[0].dtype), types[i].name);
        bitnet_st_free(&list);
        hf_free(&f);
    }
}

static void several_files_become_one_list(void **state) {
    (void)state;
    static const char second[] = "{\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
                                 "\"zz\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}";
    static const char *const order[] = {"a", "b", "m\xc3\xa9", "z", "zz"};
    gguf_bytes f = file_of(sound, 21), g = file_of(second, 4), none = file_of("{}", 0);
    bitnet_st_list list = {0};
    bitnet_error err = {0};
    count_alloc c = {0};
    assert_int_equal(read_into(&list, &f, true, &c, &err), BITNET_OK);
    assert_int_equal(read_into(&list, &g, false, &c, &err), BITNET_OK);
    assert_int_equal(read_into(&list, &none, false, &c, &err), BITNET_OK);
    assert_int_equal(list.n, LEN(order));
    for (size_t i = 0; i < LEN(order); i++)
        assert_string_equal(list.tensor[i].name, order[i]);
    assert_int_equal(bitnet_st_find(&list, "a")->file, 0);
    assert_int_equal(bitnet_st_find(&list, "zz")->file, 1);
    bitnet_st_free(&list);
    assert_int_equal(c.live, 0);
    free(f.p);
    free(g.p);
    free(none.p);
}

static void a_name_that_another_file_has_leaves_the_list_as_it_was(void **state) {
    (void)state;
    gguf_bytes f = file_of(sound, 21);
    bitnet_st_list list = {0}, before;
    bitnet_error err = {0};
    count_alloc c = {0};
    assert_int_equal(read_into(&list, &f, true, &c, &err), BITNET_OK);
    before = list;
    size_t live = c.live;
    assert_int_equal(read_into(&list, &f, true, &c, &err), BITNET_E_FORMAT);
    assert_string_equal(err.id, "safetensors.duplicate");
    assert_string_equal(err.text, FILE_NAME ": tensor 'a': occurs more than once");
    assert_memory_equal(&list, &before, sizeof list);
    assert_int_equal(c.live, live);
    bitnet_st_free(&list);
    free(f.p);
}

/* ---- refusals ---------------------------------------------------------------------------- */

#define T(dtype, shape, offsets)                                                                   \
    "{\"t\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

typedef struct refusal {
    const char *header;
    size_t n_data;
    bitnet_status status;
    const char *id, *says;
} refusal;

static void expect_refusal(const gguf_bytes *f, const refusal *r) {
    for (int is_mapped = 0; is_mapped <= 1; is_mapped++) {
        bitnet_st_list list = {0};
        bitnet_error err = {0};
        count_alloc c = {0};
        bitnet_status st = read_into(&list, f, is_mapped, &c, &err);
        if (st != r->status || !err.id || strcmp(err.id, r->id) != 0 || !strstr(err.text, r->says))
            fail_msg("got %s [%s] %s, expected %s [%s] ...%s...", bitnet_status_name(st),
                     err.id ? err.id : "-", err.text, bitnet_status_name(r->status), r->id,
                     r->says);
        assert_int_equal(c.live, 0);
        assert_int_equal(list.n, 0);
        for (const char *p = err.text; *p; p++)
            assert_true(isprint((unsigned char)*p));
    }
}

static void is_refused(void **state) {
    const refusal *r = *state;
    gguf_bytes f = file_of(r->header, r->n_data);
    expect_refusal(&f, r);
    free(f.p);
}

static void a_file_of_7_bytes_is_refused(void **state) {
    (void)state;
    gguf_bytes f = {0};
    gguf_bytes_put(&f, bytes, 7);
    expect_refusal(&f, &(refusal){.status = BITNET_E_FORMAT,
                                  .id = "safetensors.header",
                                  .says = "7 bytes are no safetensors file"});
    free(f.p);
}

static void a_header_that_ends_behind_the_file_is_refused(void **state) {
    (void)state;
    static const uint64_t lengths[] = {3, 100u << 20, UINT64_MAX, UINT64_MAX - 7,
                                       (uint64_t)1 << 63};
    for (size_t i = 0; i < LEN(lengths); i++) {
        gguf_bytes f = {0};
        gguf_bytes_u64(&f, lengths[i]);
        gguf_bytes_put(&f, "{}", 2);
        expect_refusal(&f, &(refusal){.status = BITNET_E_FORMAT,
                                      .id = "safetensors.header",
                                      .says = "in a file of 10; allowed are 104857600"});
        free(f.p);
    }
}

/* Claims more than memory would have; nothing of it is ever touched. */
static bitnet_status read_length(void *ctx, uint64_t off, void *dst, size_t n) {
    const uint64_t header = ((uint64_t)100 << 20) + 1;
    (void)ctx;
    if (off != 0 || n != 8) return BITNET_E_IO;
    for (size_t i = 0; i < 8; i++)
        ((uint8_t *)dst)[i] = (uint8_t)(header >> (8 * i));
    return BITNET_OK;
}

static void a_header_above_100_mib_is_refused(void **state) {
    (void)state;
    bitnet_file f = {FILE_NAME, {.size = (uint64_t)1 << 40, .read = read_length}};
    bitnet_st_list list = {0};
    bitnet_error err = {0};
    assert_int_equal(bitnet_st_read(&list, &f, 0, NULL, &err), BITNET_E_FORMAT);
    assert_string_equal(err.id, "safetensors.header");
}

static bitnet_status read_nothing(void *ctx, uint64_t off, void *dst, size_t n) {
    (void)ctx, (void)off, (void)dst, (void)n;
    return BITNET_E_IO;
}

static void a_source_that_fails_is_reported(void **state) {
    (void)state;
    bitnet_file f = {FILE_NAME, {.size = 100, .read = read_nothing}};
    bitnet_st_list list = {0};
    bitnet_error err = {0};
    assert_int_equal(bitnet_st_read(&list, &f, 0, NULL, &err), BITNET_E_IO);
    assert_string_equal(err.id, "safetensors.read");
}

static void a_name_of_256_bytes_is_refused(void **state) {
    (void)state;
    char header[512] = "{\"";
    memset(header + 2, 'n', 256);
    strcpy(header + 258, "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}");
    gguf_bytes f = file_of(header, 1);
    expect_refusal(&f, &(refusal){.status = BITNET_E_FORMAT,
                                  .id = "safetensors.name",
                                  .says = "a name of 256 bytes; allowed are 1 to 255"});
    free(f.p);
}

/* The smallest tensors there can be, n of them. */
static gguf_bytes many(uint32_t n) {
    hf_folder f = {0};
    char name[16];
    for (uint32_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%x", (i * 40503u) & 0xffffff); /* in no order */
        hf_tensor(&f, FILE_NAME, name, "U8", "[]", bytes, 1);
    }
    hf_files(&f, true);
    gguf_bytes out = f.whole[0];
    f.whole[0] = (gguf_bytes){0};
    hf_free(&f);
    return out;
}

static void more_than_65536_tensors_are_refused(void **state) {
    (void)state;
    gguf_bytes f = many(65537);
    expect_refusal(&f, &(refusal){.status = BITNET_E_FORMAT,
                                  .id = "safetensors.count",
                                  .says = "65537 tensors and 0 before; allowed are 65536"});
    free(f.p);
}

static void memory_is_bounded_by_the_header(void **state) {
    (void)state;
    gguf_bytes f = many(65536);
    for (int is_mapped = 0; is_mapped <= 1; is_mapped++) {
        bitnet_st_list list = {0};
        bitnet_error err = {0};
        count_alloc c = {0};
        assert_int_equal(read_into(&list, &f, is_mapped, &c, &err), BITNET_OK);
        if (c.peak > MEMORY_PER_BYTE * f.n + MEMORY_FIXED)
            fail_msg("a file of %zu bytes took %zu bytes of memory", f.n, c.peak);
        for (uint32_t i = 1; i < list.n; i++)
            assert_true(strcmp(list.tensor[i - 1].name, list.tensor[i].name) < 0);
        bitnet_st_free(&list);
    }
    free(f.p);
}

/* Between the walk that counts and the one that fills, a name grows. */
static void grow_a_name(void *user, long n_calls) {
    gguf_bytes *b = user;
    for (size_t i = 0; n_calls == 1 && i + 9 <= b->n; i++)
        if (memcmp(b->p + i, "\"grow\"   ", 9) == 0) memcpy(b->p + i, "\"growing\"", 9);
}

static void a_mapped_file_that_changes_is_refused(void **state) {
    (void)state;
    static const char header[] =
        "{\"grow\"   :{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
    gguf_bytes f = file_of(header, 1);
    count_alloc c = {.on_alloc = grow_a_name, .user = &f};
    bitnet_allocator a = count_alloc_of(&c);
    bitnet_file file = {FILE_NAME, gguf_bytes_source(&f, true)};
    bitnet_st_list list = {0};
    bitnet_error err = {0};
    assert_int_equal(bitnet_st_read(&list, &file, 0, &a, &err), BITNET_E_FORMAT);
    assert_string_equal(err.id, "safetensors.changed");
    assert_int_equal(c.live, 0);
    free(f.p);
}

static void every_failing_allocation_is_survived(void **state) {
    (void)state;
    gguf_bytes f = file_of(sound, 21);
    long n = 1;
    for (;; n++) {
        bitnet_st_list list = {0};
        bitnet_error err = {0};
        count_alloc c = {.fail_at = n};
        bitnet_status st = read_into(&list, &f, false, &c, &err);
        bitnet_st_free(&list);
        assert_int_equal(c.live, 0);
        if (st == BITNET_OK) break;
        assert_int_equal(st, BITNET_E_NOMEM);
        assert_string_equal(err.id, "safetensors.memory");
    }
    assert_true(n > 4);
    free(f.p);
}

static void a_file_cut_anywhere_is_refused(void **state) {
    (void)state;
    gguf_bytes f = file_of(sound, 21);
    for (size_t n = 0; n < f.n; n++) {
        gguf_bytes cut = {.p = f.p, .n = n};
        bitnet_st_list list = {0};
        bitnet_error err = {0};
        count_alloc c = {0};
        if (read_into(&list, &cut, n % 2, &c, &err) != BITNET_E_FORMAT)
            fail_msg("the first %zu bytes were taken for all", n);
        assert_int_equal(c.live, 0);
    }
    free(f.p);
}

#define REFUSAL(sentence, ...)                                                                     \
    {                                                                                              \
        sentence, is_refused, NULL, NULL, &(refusal) {                                             \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(tensors_come_out_sorted_with_their_place_in_the_file),
    cmocka_unit_test(every_type_has_its_size),
    cmocka_unit_test(several_files_become_one_list),
    cmocka_unit_test(a_name_that_another_file_has_leaves_the_list_as_it_was),
    cmocka_unit_test(a_file_of_7_bytes_is_refused),
    cmocka_unit_test(a_header_that_ends_behind_the_file_is_refused),
    cmocka_unit_test(a_header_above_100_mib_is_refused),
    cmocka_unit_test(a_source_that_fails_is_reported),
    cmocka_unit_test(a_name_of_256_bytes_is_refused),
    cmocka_unit_test(more_than_65536_tensors_are_refused),
    cmocka_unit_test(memory_is_bounded_by_the_header),
    cmocka_unit_test(a_mapped_file_that_changes_is_refused),
    cmocka_unit_test(every_failing_allocation_is_survived),
    cmocka_unit_test(a_file_cut_anywhere_is_refused),
    REFUSAL("a_header_that_is_an_array_is_refused", "[]", 0, BITNET_E_FORMAT, "safetensors.entry",
            "the header is not an object"),
    REFUSAL("a_header_that_is_no_json_is_refused", "{\"t\":{\"dtype\":}}", 0, BITNET_E_FORMAT,
            "safetensors.json", "not JSON at byte 22: this begins no value"),
    REFUSAL("text_behind_the_header_is_refused", "{} {}", 0, BITNET_E_FORMAT, "safetensors.json",
            "text behind the end of the value"),
    REFUSAL("metadata_that_is_no_object_is_refused", "{\"__metadata__\":[]}", 0, BITNET_E_FORMAT,
            "safetensors.entry", "__metadata__ is not an object"),
    REFUSAL("metadata_that_holds_a_number_is_refused", "{\"__metadata__\":{\"a\":1}}", 0,
            BITNET_E_FORMAT, "safetensors.entry", "something else than strings"),
    REFUSAL("metadata_that_occurs_twice_is_refused", "{\"__metadata__\":{},\"__metadata__\":{}}", 0,
            BITNET_E_FORMAT, "safetensors.entry", "__metadata__ occurs twice"),
    REFUSAL("an_empty_name_is_refused", "{\"\":{}}", 0, BITNET_E_FORMAT, "safetensors.name",
            "a name of 0 bytes"),
    REFUSAL("a_name_with_a_zero_byte_is_refused", "{\"a\\u0000b\":{}}", 0, BITNET_E_FORMAT,
            "safetensors.name", "and no zero byte"),
    REFUSAL("an_entry_that_is_no_object_is_refused", "{\"t\":1}", 0, BITNET_E_FORMAT,
            "safetensors.entry", "'t': the entry is not an object"),
    REFUSAL("an_entry_without_a_shape_is_refused", "{\"t\":{\"dtype\":\"U8\"}}", 0, BITNET_E_FORMAT,
            "safetensors.entry", "are not all there"),
    REFUSAL("an_unknown_member_is_refused", "{\"t\":{\"strides\":[1]}}", 0, BITNET_E_FORMAT,
            "safetensors.entry", "unknown or occurs twice"),
    REFUSAL("a_member_that_occurs_twice_is_refused", "{\"t\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}",
            0, BITNET_E_FORMAT, "safetensors.entry", "unknown or occurs twice"),
    REFUSAL("a_type_that_is_no_string_is_refused", T("8", "[1]", "[0,1]"), 1, BITNET_E_FORMAT,
            "safetensors.entry", "dtype is not a string"),
    REFUSAL("an_unknown_type_is_refused_by_name", T("\"F8_E4M3\"", "[1]", "[0,1]"), 1,
            BITNET_E_UNSUPPORTED, "safetensors.dtype", "dtype \"F8_E4M3\" is unknown"),
    REFUSAL("a_shape_that_is_no_array_is_refused", T("\"U8\"", "1", "[0,1]"), 1, BITNET_E_FORMAT,
            "safetensors.entry", "shape is not an array"),
    REFUSAL("a_dimension_that_is_no_integer_is_refused", T("\"U8\"", "[1.0]", "[0,1]"), 1,
            BITNET_E_FORMAT, "safetensors.entry", "a dimension is not an integer"),
    REFUSAL("five_dimensions_are_refused", T("\"U8\"", "[1,1,1,1,1]", "[0,1]"), 1, BITNET_E_FORMAT,
            "safetensors.shape", "more than 4 dimensions"),
    REFUSAL("a_dimension_of_0_is_refused", T("\"U8\"", "[3,0]", "[0,0]"), 0, BITNET_E_FORMAT,
            "safetensors.shape", "dimension 2 is 0"),
    REFUSAL("a_negative_dimension_is_refused", T("\"U8\"", "[-1]", "[0,1]"), 1, BITNET_E_FORMAT,
            "safetensors.shape", "dimension 1 is -1"),
    REFUSAL("a_product_above_2_to_the_48_is_refused",
            T("\"U8\"", "[4294967296,4294967296]", "[0,1]"), 1, BITNET_E_FORMAT,
            "safetensors.shape", "a product of at most 2^48"),
    REFUSAL("offsets_that_are_no_array_are_refused", T("\"U8\"", "[1]", "0"), 1, BITNET_E_FORMAT,
            "safetensors.entry", "data_offsets is not an array"),
    REFUSAL("one_offset_is_refused", T("\"U8\"", "[1]", "[0]"), 1, BITNET_E_FORMAT,
            "safetensors.entry", "data_offsets is not two integers"),
    REFUSAL("three_offsets_are_refused", T("\"U8\"", "[1]", "[0,1,2]"), 1, BITNET_E_FORMAT,
            "safetensors.entry", "data_offsets is not two integers"),
    REFUSAL("a_negative_offset_is_refused", T("\"U8\"", "[1]", "[-1,0]"), 1, BITNET_E_FORMAT,
            "safetensors.extent", "from byte -1 to 0 of 1 bytes"),
    REFUSAL("an_end_before_the_begin_is_refused", T("\"U8\"", "[1]", "[1,0]"), 1, BITNET_E_FORMAT,
            "safetensors.extent", "from byte 1 to 0 of 1 bytes"),
    REFUSAL("an_extent_behind_the_end_is_refused", T("\"U8\"", "[2]", "[0,2]"), 1, BITNET_E_FORMAT,
            "safetensors.extent", "from byte 0 to 2 of 1 bytes"),
    REFUSAL("a_size_that_is_not_that_of_the_shape_is_refused", T("\"F32\"", "[2]", "[0,4]"), 4,
            BITNET_E_FORMAT, "safetensors.size", "4 bytes, but 2 elements of type F32"),
    REFUSAL("data_behind_the_last_tensor_is_refused", T("\"U8\"", "[1]", "[0,1]"), 2,
            BITNET_E_FORMAT, "safetensors.gap", "ends at byte"),
    REFUSAL("data_that_no_tensor_has_is_refused", "{}", 1, BITNET_E_FORMAT, "safetensors.gap",
            "ends at byte 10 but the file has 11"),
    REFUSAL("a_gap_before_a_tensor_is_refused", T("\"U8\"", "[1]", "[1,2]"), 2, BITNET_E_FORMAT,
            "safetensors.gap", "'t': begins at byte"),
    REFUSAL("two_tensors_in_one_place_are_refused",
            "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
            "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
            3, BITNET_E_FORMAT, "safetensors.overlap", "'b': begins at byte"),
    REFUSAL("a_name_that_occurs_twice_is_refused",
            "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
            "\"\\u0061\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
            4, BITNET_E_FORMAT, "safetensors.duplicate", "'a': occurs more than once"),
};

static void every_id_is_in_the_page(void **state) {
    (void)state;
    char *page = test_file_read("docs/formats-hf.md", NULL), row[64];
    for (size_t i = 0; i < LEN(tests); i++) {
        const refusal *r = tests[i].initial_state;
        snprintf(row, sizeof row, "\n| `%s` |", r ? r->id : "safetensors.header");
        if (!strstr(page, row)) fail_msg("docs/formats-hf.md does not list %s", r->id);
    }
    free(page);
}

int main(void) {
    const struct CMUnitTest last[] = {cmocka_unit_test(every_id_is_in_the_page)};
    int n_failed = cmocka_run_group_tests_name("safetensors_page", last, NULL, NULL);
    return n_failed + cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
