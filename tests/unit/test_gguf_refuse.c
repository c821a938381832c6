/* test_gguf_refuse.c: every way the GGUF reader refuses: each error id is provoked with a crafted
 * file and its sentence checked; then files cut at every byte and with every bit flipped.
 */
#include "gguf_reading.h"

#include <stdio.h>
#include <stdlib.h>

/* clang-format off */
/* ---- damage done to a finished file */
static void no_damage(gguf_bytes *f) { (void)f; }
static void cut_to_10(gguf_bytes *f) { f->n = 10; }
static void cut_to_3(gguf_bytes *f) { f->n = 3; }
static void cut_in_key(gguf_bytes *f) { f->n = 24 + 8 + 5; }
static void cut_last_byte(gguf_bytes *f) { f->n--; }
static void spoil_magic(gguf_bytes *f) { memcpy(f->p, "\x01GUF", 4); }

/* ---- something added to a sound file, or changed in its header */
static void big_endian(gguf_writer *w) { w->version = 0x03000000; }
static void version_0(gguf_writer *w) { w->version = 0; }
static void version_1(gguf_writer *w) { w->version = 1; }
static void version_4(gguf_writer *w) { w->version = 4; }
static void negative_tensors(gguf_writer *w) { w->n_tensor = UINT64_MAX; }
static void too_many_tensors_for_the_file(gguf_writer *w) { w->n_tensor = w->kv.n + w->info.n; }
static void too_many_keys_for_the_file(gguf_writer *w) { w->n_kv = w->kv.n + w->info.n; }
static void negative_keys(gguf_writer *w) { w->n_kv = (uint64_t)1 << 63; }
static void pad_to_3_mb(gguf_writer *w) {
    static uint8_t zeros[3 << 20];
    gguf_bytes_put(&w->data, zeros, sizeof zeros);
}
static void a_tensor_past_the_limit(gguf_writer *w) {
    pad_to_3_mb(w);
    w->n_tensor = 65537;
}
static void a_key_past_the_limit(gguf_writer *w) {
    pad_to_3_mb(w);
    w->n_kv = 65537;
}
static void empty_key(gguf_writer *w) { gguf_put_u32(w, "", 1); }
static void long_key(gguf_writer *w) {
    static char key[65537];
    memset(key, 'k', 65536);
    gguf_put_u32(w, key, 1);
}
static void key_with_zero_byte(gguf_writer *w) {
    gguf_bytes_str(&w->kv, "a\0b", 3);
    gguf_bytes_u32(&w->kv, 4);
    gguf_bytes_u32(&w->kv, 1);
    w->n_kv++;
}
static void same_key(gguf_writer *w) { gguf_put_u32(w, "flag", 1); }
static void value_of_type_13(gguf_writer *w) { gguf_put_u32(w, "x", 1), w->kv.p[w->kv.n - 8] = 13; }
static void bool_of_2(gguf_writer *w) { gguf_put_bool(w, "x", 1), w->kv.p[w->kv.n - 1] = 2; }
static void array_with_bool_of_9(gguf_writer *w) {
    gguf_put_array(w, "x\xff", 7, 3);
    gguf_bytes_put(&w->kv, "\0\1\x09", 3);
}
static void string_over_16_mib(gguf_writer *w) {
    gguf_put_key(w, "x", 8);
    gguf_bytes_u64(&w->kv, (16 << 20) + 1);
}
static void string_of_2_to_64(gguf_writer *w) {
    gguf_put_key(w, "x", 8);
    gguf_bytes_u64(&w->kv, UINT64_MAX);
}
static void string_past_the_end(gguf_writer *w) {
    gguf_put_key(w, "x", 8);
    gguf_bytes_u64(&w->kv, 1 << 20);
}
static void array_of_arrays(gguf_writer *w) { gguf_put_array(w, "x", 9, 0); }
static void array_of_type_13(gguf_writer *w) { gguf_put_array(w, "x", 13, 0); }
static void array_past_the_end(gguf_writer *w) { gguf_put_array(w, "x", 12, 100); }
static void array_of_2_to_61(gguf_writer *w) { gguf_put_array(w, "x", 12, (uint64_t)1 << 61); }
static void strings_past_the_end(gguf_writer *w) { gguf_put_array(w, "x", 8, 1000); }
static void alignment_0(gguf_writer *w) { gguf_put_u32(w, "general.alignment", 0); }
static void alignment_4(gguf_writer *w) { gguf_put_u32(w, "general.alignment", 4); }
static void alignment_24(gguf_writer *w) { gguf_put_u32(w, "general.alignment", 24); }
static void alignment_2_mib(gguf_writer *w) { gguf_put_u32(w, "general.alignment", 2 << 20); }
static void alignment_text(gguf_writer *w) { gguf_put_str(w, "general.alignment", "32"); }
static void alignment_array(gguf_writer *w) {
    gguf_put_i32s(w, "general.alignment", (const int32_t[]){32}, 1);
}

static void entry(gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims,
                  const int64_t *ne, uint64_t offset) {
    gguf_put_tensor_entry(w, name, type, n_dims, ne, offset);
}
static void empty_name(gguf_writer *w) { entry(w, "", 0, 1, F32_ROW, 0); }
static void name_of_64(gguf_writer *w) {
    entry(w, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", 0, 1, F32_ROW, 0);
}
static void name_with_zero_byte(gguf_writer *w) {
    entry(w, "a?b", 0, 1, F32_ROW, 0);
    *(uint8_t *)memchr(w->info.p, '?', w->info.n) = 0;
}
static void same_name(gguf_writer *w) {
    gguf_put_tensor(w, "norm", BITNET_TYPE_F32, 1, F32_ROW, f32_row, sizeof f32_row);
}
static void no_dims(gguf_writer *w) { entry(w, "t", 0, 0, F32_ROW, 0); }
static void five_dims(gguf_writer *w) { entry(w, "t", 0, 5, (int64_t[]){1, 1, 1, 1, 1}, 0); }
static void zero_dim(gguf_writer *w) { entry(w, "t", 0, 2, (int64_t[]){4, 0}, 0); }
static void negative_dim(gguf_writer *w) { entry(w, "t", 0, 2, (int64_t[]){4, -4}, 0); }
static void product_over_2_to_48(gguf_writer *w) {
    entry(w, "t", 0, 2, (int64_t[]){1 << 24, (1 << 24) + 1}, 0);
}
static void product_that_wraps(gguf_writer *w) {
    entry(w, "t", 0, 4, (int64_t[]){(int64_t)1 << 32, (int64_t)1 << 32, 1, 1}, 0);
}
static void type_4(gguf_writer *w) { entry(w, "t", 4, 1, F32_ROW, 0); }
static void type_33(gguf_writer *w) { entry(w, "t", 33, 1, F32_ROW, 0); }
static void type_43(gguf_writer *w) { entry(w, "t", 43, 1, F32_ROW, 0); }
static void type_max(gguf_writer *w) { entry(w, "t", UINT32_MAX, 1, F32_ROW, 0); }
static void half_a_block(gguf_writer *w) { entry(w, "t", 2, 1, (int64_t[]){48}, 0); }
static void i2s_row_of_64(gguf_writer *w) { entry(w, "t", 36, 2, (int64_t[]){64, 2}, 0); }
static void offset_8(gguf_writer *w) { entry(w, "t", 0, 1, F32_ROW, 8); }
static void offset_far(gguf_writer *w) { entry(w, "t\n", 0, 1, F32_ROW, 1 << 20); }
static void offset_that_wraps(gguf_writer *w) { entry(w, "t", 0, 1, F32_ROW, UINT64_MAX - 31); }
static void exabyte(gguf_writer *w) { entry(w, "t", 28, 1, (int64_t[]){(int64_t)1 << 48}, 0); }
static void overlap(gguf_writer *w) { entry(w, "t", 0, 1, F32_ROW, 32); }

static const struct refusal {
    const char *id, *says;
    void (*build)(gguf_writer *w);
    void (*damage)(gguf_bytes *file);
    bitnet_status status;
} refusals[] = {
#define BUILD(id, build, says)                                                                     \
    { id, says, build, no_damage, BITNET_E_FORMAT }
#define DAMAGE(id, damage, says)                                                                   \
    { id, says, NULL, damage, BITNET_E_FORMAT }
    DAMAGE("gguf.truncated", cut_to_3, "header: needs 4 bytes at byte 0 but the file has 3"),
    DAMAGE("gguf.truncated", cut_to_10, "header: needs 24 bytes at byte 0 but the file has 10"),
    DAMAGE("gguf.tensor.count", cut_in_key, "2 tensors; a file of 37 bytes may have 0"),
    DAMAGE("gguf.magic", spoil_magic, "begins with '\\x01GUF'"),
    {"gguf.endian", "version bytes 03000000", big_endian, no_damage, BITNET_E_UNSUPPORTED},
    {"gguf.version", "GGUF version 0; versions 2 and 3", version_0, no_damage,
     BITNET_E_UNSUPPORTED},
    {"gguf.version", "GGUF version 1; versions 2 and 3", version_1, no_damage,
     BITNET_E_UNSUPPORTED},
    {"gguf.version", "GGUF version 4; versions 2 and 3", version_4, no_damage,
     BITNET_E_UNSUPPORTED},
    BUILD("gguf.tensor.count", negative_tensors, "-1 tensors"),
    BUILD("gguf.tensor.count", too_many_tensors_for_the_file, "tensors; a file of"),
    BUILD("gguf.tensor.count", a_tensor_past_the_limit, "65537 tensors; a file of"),
    BUILD("gguf.kv.count", negative_keys, "-9223372036854775808 metadata entries"),
    BUILD("gguf.kv.count", too_many_keys_for_the_file, "metadata entries; a file of"),
    BUILD("gguf.kv.count", a_key_past_the_limit, "may have 65536"),
    BUILD("gguf.kv.key", empty_key, "metadata entry 7 of 7: string of 0 bytes"),
    BUILD("gguf.kv.key", long_key, "string of 65536 bytes"),
    BUILD("gguf.kv.key", key_with_zero_byte, "key 'a\\x00b': holds a zero byte"),
    BUILD("gguf.kv.duplicate", same_key, "key 'flag': occurs more than once"),
    BUILD("gguf.kv.type", value_of_type_13, "key 'x': value of type 13; allowed are 0 to 12"),
    BUILD("gguf.kv.bool", bool_of_2, "key 'x': a bool is 2"),
    BUILD("gguf.kv.bool", array_with_bool_of_9, "key 'x\\xff': a bool is 9"),
    BUILD("gguf.kv.string", string_over_16_mib, "key 'x': string of 16777217 bytes at byte"),
    BUILD("gguf.kv.string", string_of_2_to_64, "allowed are 0 to 16777216"),
    BUILD("gguf.truncated", string_past_the_end, "key 'x': needs 1048576 bytes at byte"),
    BUILD("gguf.kv.array.type", array_of_arrays, "key 'x': array elements of type 9"),
    BUILD("gguf.kv.array.type", array_of_type_13, "key 'x': array elements of type 13"),
    BUILD("gguf.kv.array.count", array_past_the_end, "array of 100 elements but only"),
    BUILD("gguf.kv.array.count", array_of_2_to_61, "array of 2305843009213693952 elements"),
    BUILD("gguf.kv.array.count", strings_past_the_end, "array of 1000 elements but only"),
    BUILD("gguf.alignment", alignment_0, "is 0; allowed is a power of two from 8 to 1048576"),
    BUILD("gguf.alignment", alignment_4, "is 4;"),
    BUILD("gguf.alignment", alignment_24, "is 24;"),
    BUILD("gguf.alignment", alignment_2_mib, "is 2097152;"),
    BUILD("gguf.alignment", alignment_text, "is not an integer"),
    BUILD("gguf.alignment", alignment_array, "is not an integer"),
    BUILD("gguf.tensor.name", empty_name, "tensor entry 3 of 3: string of 0 bytes"),
    BUILD("gguf.tensor.name", name_of_64, "string of 64 bytes"),
    BUILD("gguf.tensor.name", name_with_zero_byte, "tensor 'a\\x00b': holds a zero byte"),
    BUILD("gguf.tensor.duplicate", same_name, "tensor 'norm': occurs more than once"),
    BUILD("gguf.tensor.dims", no_dims, "tensor 't': 0 dimensions; allowed are 1 to 4"),
    BUILD("gguf.tensor.dims", five_dims, "tensor 't': 5 dimensions"),
    BUILD("gguf.tensor.shape", zero_dim, "tensor 't': dimension 2 is 0"),
    BUILD("gguf.tensor.shape", negative_dim, "tensor 't': dimension 2 is -4"),
    BUILD("gguf.tensor.shape", product_over_2_to_48, "dimension 2 is 16777217"),
    BUILD("gguf.tensor.shape", product_that_wraps, "product of at most 2^48"),
    BUILD("gguf.tensor.type", type_4, "tensor 't': type 4 is unknown or was removed"),
    BUILD("gguf.tensor.type", type_33, "type 33"),
    BUILD("gguf.tensor.type", type_43, "type 43"),
    BUILD("gguf.tensor.type", type_max, "type 4294967295"),
    BUILD("gguf.tensor.row", half_a_block, "rows of 48 weights; type Q4_0 needs a multiple of 32"),
    BUILD("gguf.tensor.row", i2s_row_of_64,
          "rows of 64 weights; type I2_S needs a multiple of 128"),
    BUILD("gguf.tensor.offset", offset_8, "offset 8; it must be a multiple of the alignment 32"),
    BUILD("gguf.tensor.extent", offset_far, "tensor 't\\x0a': 16 bytes end at byte"),
    BUILD("gguf.tensor.extent", offset_that_wraps, "end at byte 18446744073709551615"),
    BUILD("gguf.tensor.extent", exabyte, "tensor 't': 2251799813685248 bytes end"),
    DAMAGE("gguf.tensor.extent", cut_last_byte, "tensor 'codes': 64 bytes end at byte"),
    BUILD("gguf.tensor.overlap", overlap, "tensor 't': begins at byte"),
};

/* clang-format on */

static void every_refusal_names_the_place_what_was_found_and_what_is_allowed(void **state) {
    (void)state;
    for (size_t i = 0; i < LEN(refusals); i++) {
        const struct refusal *c = &refusals[i];
        gguf_writer w;
        reading r;
        put_sound(&w);
        if (c->build) c->build(&w);
        gguf_writer_finish(&w);
        c->damage(&w.file);
        read_both(&r, &w.file);
        if (r.status != c->status || strcmp(r.err.id, c->id) != 0 || !strstr(r.err.text, c->says))
            fail_msg("case %zu: got %d [%s] \"%s\"; expected %d [%s] \"...%s...\"", i, r.status,
                     r.err.id, r.err.text, c->status, c->id, c->says);
        gguf_writer_free(&w);
    }
}

/* A source that claims to be huge and has nothing behind its first bytes. */
typedef struct huge_source {
    const gguf_bytes *head;
    uint64_t n_read;
} huge_source;

static bitnet_status huge_read(void *ctx, uint64_t off, void *dst, size_t n) {
    huge_source *h = ctx;
    memset(dst, 0, n);
    if (off < h->head->n)
        memcpy(dst, h->head->p + off, n < h->head->n - off ? n : h->head->n - off);
    h->n_read += n;
    return BITNET_OK;
}

static void metadata_past_its_limit_is_refused_without_reading_it(void **state) {
    (void)state;
    gguf_writer w;
    count_alloc c = {0};
    bitnet_dir dir;
    bitnet_error err = {0};
    gguf_writer_init(&w);
    gguf_put_array(&w, "x", 0, 300u << 20);
    gguf_writer_finish(&w);
    huge_source h = {&w.file, 0};
    bitnet_source src = {.size = (uint64_t)1 << 40, .read = huge_read, .ctx = &h};
    bitnet_allocator a = count_alloc_of(&c);
    assert_int_equal(bitnet_gguf_read(&dir, &src, &a, &err), BITNET_E_FORMAT);
    assert_string_equal(err.id, "gguf.metadata.size");
    assert_non_null(strstr(err.text, "at most 268435456 bytes"));
    assert_true(h.n_read <= 65536 && c.peak <= 65536);
    gguf_writer_free(&w);
}

static bitnet_status broken_read(void *ctx, uint64_t off, void *dst, size_t n) {
    (void)ctx, (void)off, (void)dst, (void)n;
    return BITNET_E_IO;
}

static void a_failing_read_is_reported_as_such(void **state) {
    (void)state;
    bitnet_dir dir;
    bitnet_error err = {0};
    bitnet_source src = {.size = 1000, .read = broken_read};
    assert_int_equal(bitnet_gguf_read(&dir, &src, NULL, &err), BITNET_E_IO);
    assert_string_equal(err.id, "gguf.read");
    assert_string_equal(err.text, "reading bytes 0 to 1000 failed");
}

static void any_allocation_may_fail(void **state) {
    (void)state;
    gguf_writer w;
    put_sound(&w);
    for (int is_mapped = 0; is_mapped < 2; is_mapped++) {
        bitnet_source src = gguf_writer_source(&w, is_mapped);
        long n_failed = 0;
        for (long at = 1;; at++) {
            count_alloc c = {.fail_at = at};
            bitnet_allocator a = count_alloc_of(&c);
            bitnet_dir dir;
            bitnet_error err = {0};
            bitnet_status st = bitnet_gguf_read(&dir, &src, &a, &err);
            if (st == BITNET_OK) {
                bitnet_dir_free(&dir);
                assert_int_equal(c.live, 0);
                break;
            }
            n_failed++;
            assert_int_equal(st, BITNET_E_NOMEM);
            assert_string_equal(err.id, "gguf.memory");
            assert_int_equal(c.live, 0);
        }
        assert_int_equal(n_failed,
                         is_mapped ? 1 : 3); /* tables; first read, trimmed copy, tables */
    }
    gguf_writer_free(&w);
}

/* The tables are allocated between the two walks: put another sound file there just then. */
static void swap_file(void *user, long n_calls) {
    gguf_bytes *f = user;
    (void)n_calls;
    memcpy(f[0].p, f[1].p, f[0].n);
}

static void a_mapped_file_that_changes_meanwhile_is_refused(void **state) {
    (void)state;
    gguf_writer before, after;
    gguf_writer_init(&before);
    gguf_writer_init(&after);
    gguf_put_str(&before, "k", "twenty bytes of text");
    gguf_put_u32(&after, "a key of twenty-five byte", 1);
    gguf_bytes files[2] = {*gguf_writer_finish(&before), *gguf_writer_finish(&after)};
    count_alloc c = {.on_alloc = swap_file, .user = files};
    bitnet_allocator a = count_alloc_of(&c);
    bitnet_source src = gguf_bytes_source(&files[0], true);
    bitnet_dir dir;
    bitnet_error err = {0};
    assert_int_equal(files[0].n, files[1].n);
    assert_int_equal(bitnet_gguf_read(&dir, &src, &a, &err), BITNET_E_FORMAT);
    assert_string_equal(err.id, "gguf.changed");
    assert_int_equal(c.live, 0);
    gguf_writer_free(&before);
    gguf_writer_free(&after);
}

static bool is_provoked(const char *id, size_t len) {
    static const char *const elsewhere[] = {"gguf.memory", "gguf.metadata.size", "gguf.read",
                                            "gguf.changed"}; /* the four tests above */
    for (size_t i = 0; i < LEN(refusals); i++)
        if (strlen(refusals[i].id) == len && memcmp(refusals[i].id, id, len) == 0) return true;
    for (size_t i = 0; i < LEN(elsewhere); i++)
        if (strlen(elsewhere[i]) == len && memcmp(elsewhere[i], id, len) == 0) return true;
    return false;
}

static void every_error_id_of_the_reader_is_provoked_here_and_documented(void **state) {
    (void)state;
    char *source = test_file_read("core/format/gguf.c", NULL);
    char *docs = test_file_read("docs/formats.md", NULL);
    size_t n = 0;
    for (char *at = source; (at = strstr(at, "\"gguf.")); n++) {
        const char *id = ++at;
        size_t len = strcspn(id, "\"");
        if (!is_provoked(id, len)) fail_msg("no test provokes %.*s", (int)len, id);
        char row[80];
        snprintf(row, sizeof row, "`%.*s`", (int)len, id);
        if (!strstr(docs, row)) fail_msg("docs/formats.md does not list %s", row);
    }
    assert_true(n >= 20); /* the search found the ids at all */
    free(source);
    free(docs);
}

/* ---- damage of every kind ---------------------------------------------------------------- */

static void a_file_cut_at_any_byte_is_refused(void **state) {
    (void)state;
    gguf_writer w;
    put_sound(&w);
    size_t n = gguf_writer_finish(&w)->n;
    for (size_t cut = 0; cut < n; cut++) {
        reading r;
        gguf_bytes file = {malloc(cut + 1), cut,
                           cut}; /* so that a sanitizer sees one byte too many */
        memcpy(file.p, w.file.p, cut);
        read_both(&r, &file);
        if (r.status >= 0) fail_msg("cut at byte %zu of %zu it is still accepted", cut, n);
        free(file.p);
    }
    gguf_writer_free(&w);
}

static void any_flipped_bit_gives_a_directory_or_an_error(void **state) {
    (void)state;
    gguf_writer w;
    put_sound(&w);
    size_t n_meta = 24 + w.kv.n + w.info.n, n_error = 0, n_fine = 0;
    gguf_writer_finish(&w);
    for (size_t bit = 0; bit < 8 * n_meta; bit++) {
        reading r;
        w.file.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        read_both(&r, &w.file);
        if (r.status < 0) {
            n_error++;
        } else {
            n_fine++;
            close_one(&r);
        }
        w.file.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    /* a flip in a name or a number is another sound file; one in a length or a type is not */
    assert_true(n_error > 8 * n_meta / 4 && n_fine > 8 * n_meta / 4);
    gguf_writer_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_refusal_names_the_place_what_was_found_and_what_is_allowed),
        cmocka_unit_test(metadata_past_its_limit_is_refused_without_reading_it),
        cmocka_unit_test(a_failing_read_is_reported_as_such),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(a_mapped_file_that_changes_meanwhile_is_refused),
        cmocka_unit_test(every_error_id_of_the_reader_is_provoked_here_and_documented),
        cmocka_unit_test(a_file_cut_at_any_byte_is_refused),
        cmocka_unit_test(any_flipped_bit_gives_a_directory_or_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
