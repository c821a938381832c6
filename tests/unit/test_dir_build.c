/* test_dir_build.c: a directory made entry by entry answers like one that was read from a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "count_alloc.h"
#include "format/dir_build.h"

#define GROWTH 2.5 /* bytes held while growing, per byte added: as dir_build.h says */

static bitnet_tensor_entry entry(const char *name) {
    return (bitnet_tensor_entry){.name = name,
                                 .type = 1,
                                 .n_dims = 2,
                                 .ne = {4, 3, 1, 1},
                                 .offset = 100,
                                 .size = 24,
                                 .file = 2,
                                 .scale = 0.5f,
                                 .is_latent = true};
}

static void put_sound(bitnet_dir_builder *b) {
    bitnet_tensor_entry z = entry("z.weight"), a = entry("a.weight");
    bitnet_build_i64(b, "int", -7);
    bitnet_build_f64(b, "float", 1e-5);
    bitnet_build_bool(b, "bool", true);
    bitnet_build_str(b, "str", "a\0b", 3);
    bitnet_build_array(b, "words", BITNET_META_STR);
    bitnet_build_array_str(b, "one", 3);
    bitnet_build_array_str(b, "", 0);
    bitnet_build_tensor(b, &z);
    bitnet_build_array(b, "ints", BITNET_META_I32);
    bitnet_build_array_i32(b, -1);
    bitnet_build_array_i32(b, INT32_MAX);
    bitnet_build_array(b, "floats", BITNET_META_F32);
    bitnet_build_array_f32(b, -0.25f);
    bitnet_build_array(b, "nothing", BITNET_META_F32);
    bitnet_build_tensor(b, &a);
}

static bitnet_status build(bitnet_dir *dir, void (*fill)(bitnet_dir_builder *b), count_alloc *c,
                           bitnet_error *err) {
    bitnet_dir_builder b;
    bitnet_allocator a = count_alloc_of(c);
    bitnet_build_init(&b, &a, err);
    fill(&b);
    bitnet_status st = bitnet_build_finish(&b, dir);
    bitnet_build_free(&b);
    return st;
}

static void what_was_put_in_is_found_again(void **state) {
    (void)state;
    bitnet_dir dir;
    bitnet_error err = {0};
    count_alloc c = {0};
    int64_t i = 0;
    double d = 0;
    bool flag = false;
    const char *s = NULL;
    size_t n = 0;
    uint64_t pos = 0;
    assert_int_equal(build(&dir, put_sound, &c, &err), BITNET_OK);
    assert_int_equal(dir.n_meta, 8);
    assert_true(bitnet_meta_i64(bitnet_dir_meta(&dir, "int"), &i) && i == -7);
    assert_true(bitnet_meta_f64(bitnet_dir_meta(&dir, "float"), &d) && d == 1e-5);
    assert_true(bitnet_meta_bool(bitnet_dir_meta(&dir, "bool"), &flag) && flag);
    assert_true(bitnet_meta_str(bitnet_dir_meta(&dir, "str"), &s, &n) && n == 3);
    assert_memory_equal(s, "a\0b", 3);
    const bitnet_meta *words = bitnet_dir_meta(&dir, "words");
    assert_int_equal(words->n, 2);
    assert_true(bitnet_meta_next_str(words, &pos, &s, &n) && n == 3 && !memcmp(s, "one", 3));
    assert_true(bitnet_meta_next_str(words, &pos, &s, &n) && n == 0);
    assert_false(bitnet_meta_next_str(words, &pos, &s, &n));
    const bitnet_meta *ints = bitnet_dir_meta(&dir, "ints"),
                      *none = bitnet_dir_meta(&dir, "nothing");
    assert_true(bitnet_meta_at_i64(ints, 0, &i) && i == -1);
    assert_true(bitnet_meta_at_i64(ints, 1, &i) && i == INT32_MAX);
    assert_false(bitnet_meta_at_i64(ints, 2, &i));
    assert_int_equal(bitnet_load_le(bitnet_dir_meta(&dir, "floats")->data, 4), 0xbe800000u);
    assert_true(none && none->n == 0 && none->size == 0 && none->data);
    bitnet_dir_free(&dir);
    assert_int_equal(c.live, 0);
}

static void tensors_keep_their_order_and_every_field(void **state) {
    (void)state;
    bitnet_dir dir;
    bitnet_error err = {0};
    count_alloc c = {0};
    assert_int_equal(build(&dir, put_sound, &c, &err), BITNET_OK);
    assert_int_equal(dir.n_tensor, 2);
    assert_string_equal(dir.tensor[0].name, "z.weight");
    const bitnet_tensor_entry *a = bitnet_dir_tensor(&dir, "a.weight");
    assert_ptr_equal(a, &dir.tensor[1]);
    bitnet_tensor_entry want = entry("a.weight"), got = *a;
    want.name = got.name = NULL;
    assert_memory_equal(&got, &want, sizeof got);
    assert_null(bitnet_dir_tensor(&dir, "b.weight"));
    bitnet_dir_free(&dir);
}

static void copy_all(bitnet_dir_builder *b) {
    bitnet_dir from;
    bitnet_error err = {0};
    count_alloc c = {0};
    assert_int_equal(build(&from, put_sound, &c, &err), BITNET_OK);
    for (uint32_t i = 0; i < from.n_meta; i++)
        bitnet_build_meta(b, &from.meta[i]);
    bitnet_dir_free(&from); /* copies owe it nothing */
}

static void a_copied_value_is_the_same_value(void **state) {
    (void)state;
    bitnet_dir one, two;
    bitnet_error err = {0};
    count_alloc c = {0};
    assert_int_equal(build(&one, put_sound, &c, &err), BITNET_OK);
    assert_int_equal(build(&two, copy_all, &c, &err), BITNET_OK);
    for (uint32_t i = 0; i < one.n_meta; i++) {
        const bitnet_meta *p = &one.meta[i], *q = bitnet_dir_meta(&two, p->key);
        assert_non_null(q);
        assert_true(p->type == q->type && p->elem == q->elem && p->n == q->n && p->size == q->size);
        assert_memory_equal(p->data, q->data, p->size);
    }
    bitnet_dir_free(&one);
    bitnet_dir_free(&two);
    assert_int_equal(c.live, 0);
}

static void nothing(bitnet_dir_builder *b) {
    (void)b;
}

static void an_empty_directory_is_a_directory(void **state) {
    (void)state;
    bitnet_dir dir;
    count_alloc c = {0};
    assert_int_equal(build(&dir, nothing, &c, NULL), BITNET_OK);
    assert_int_equal(dir.n_meta + dir.n_tensor, 0);
    assert_null(bitnet_dir_meta(&dir, "any"));
    bitnet_dir_free(&dir);
}

/* ---- refusals ---------------------------------------------------------------------------- */

static void expect_refusal(void (*fill)(bitnet_dir_builder *b), const char *id, const char *text) {
    bitnet_dir dir;
    bitnet_error err = {0};
    count_alloc c = {0};
    assert_int_equal(build(&dir, fill, &c, &err), BITNET_E_FORMAT);
    assert_string_equal(err.id, id);
    assert_string_equal(err.text, text);
    assert_memory_equal(&dir, &(bitnet_dir){0}, sizeof dir);
    assert_int_equal(c.live, 0);
}

static void put_key_twice(bitnet_dir_builder *b) {
    put_sound(b);
    bitnet_build_i64(b, "float", 1);
}

static void put_tensor_twice(bitnet_dir_builder *b) {
    bitnet_tensor_entry t = entry("a\x01.weight");
    bitnet_build_tensor(b, &t);
    bitnet_build_tensor(b, &t);
}

static void put_long_name(bitnet_dir_builder *b) {
    bitnet_tensor_entry t =
        entry("0123456789012345678901234567890123456789012345678901234567890123");
    bitnet_build_tensor(b, &t);
    put_sound(b); /* ignored from here on */
}

static void put_empty_key(bitnet_dir_builder *b) {
    bitnet_build_array(b, "", BITNET_META_STR);
    bitnet_build_array_str(b, "lost", 4);
}

static void a_key_that_occurs_twice_is_refused(void **state) {
    (void)state;
    expect_refusal(put_key_twice, "dir.duplicate", "key 'float': occurs more than once");
}

static void a_tensor_that_occurs_twice_is_refused(void **state) {
    (void)state;
    expect_refusal(put_tensor_twice, "dir.duplicate",
                   "tensor 'a\\x01.weight': occurs more than once");
}

static void a_tensor_name_of_64_bytes_is_refused(void **state) {
    (void)state;
    expect_refusal(put_long_name, "dir.name",
                   "'0123456789012345678901234567890123456789012345678901234567890123': a name of "
                   "64 bytes; allowed are 1 to 63");
}

static void an_empty_key_is_refused(void **state) {
    (void)state;
    expect_refusal(put_empty_key, "dir.name", "'': a name of 0 bytes; allowed are 1 to 65535");
}

static void every_failing_allocation_is_survived(void **state) {
    (void)state;
    long n = 1;
    for (;; n++) {
        bitnet_dir dir;
        bitnet_error err = {0};
        count_alloc c = {.fail_at = n};
        bitnet_status st = build(&dir, put_sound, &c, &err);
        bitnet_dir_free(&dir);
        assert_int_equal(c.live, 0);
        if (st == BITNET_OK) break;
        assert_int_equal(st, BITNET_E_NOMEM);
        assert_string_equal(err.id, "dir.memory");
    }
    assert_true(n > 5);
}

static void put_many(bitnet_dir_builder *b) {
    bitnet_build_array(b, "words", BITNET_META_STR);
    for (int i = 0; i < 100000; i++)
        bitnet_build_array_str(b, "ten bytes!", 10);
}

static void growing_holds_at_most_two_and_a_half_times_what_was_added(void **state) {
    (void)state;
    bitnet_dir dir;
    count_alloc c = {0};
    assert_int_equal(build(&dir, put_many, &c, NULL), BITNET_OK);
    size_t added = 100000 * (8 + 10);
    assert_int_equal(dir.header_size, added); /* nothing is kept that is not used */
    if ((double)c.peak > GROWTH * (double)added + 4096)
        fail_msg("%zu bytes were held for %zu added", c.peak, added);
    bitnet_dir_free(&dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_in_is_found_again),
        cmocka_unit_test(tensors_keep_their_order_and_every_field),
        cmocka_unit_test(a_copied_value_is_the_same_value),
        cmocka_unit_test(an_empty_directory_is_a_directory),
        cmocka_unit_test(a_key_that_occurs_twice_is_refused),
        cmocka_unit_test(a_tensor_that_occurs_twice_is_refused),
        cmocka_unit_test(a_tensor_name_of_64_bytes_is_refused),
        cmocka_unit_test(an_empty_key_is_refused),
        cmocka_unit_test(every_failing_allocation_is_survived),
        cmocka_unit_test(growing_holds_at_most_two_and_a_half_times_what_was_added),
    };
    return cmocka_run_group_tests_name("dir_build", tests, NULL, NULL);
}
