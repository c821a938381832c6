/* test_open.c: which reader a set of files gets, split models joined, metadata overridden. Folders of
 * Hugging Face are test_hf.c's.
 */
#include "load_file.h"

#include <stdio.h>
#include <string.h>

#include "count_alloc.h"
#include "format/open.h"
#include "gguf_writer.h"

#define MAX_PARTS 3
#define META_U16  2
#define TYPE_F32  0

typedef struct parts {
    gguf_writer w[MAX_PARTS];
    bitnet_file file[MAX_PARTS];
} parts;

static void put_u16(gguf_writer *w, const char *key, uint16_t v) {
    gguf_put_key(w, key, META_U16);
    gguf_bytes_put(&w->kv, &v, 2);
}

/* Three parts, one tensor each: "t0" holds 0.5, "t1" 1.5, "t2" 2.5. */
static void make_parts(parts *p, const char *skip_key) {
    for (uint16_t i = 0; i < MAX_PARTS; i++) {
        gguf_writer *w = &p->w[i];
        gguf_writer_init(w);
        if (i == 0) {
            gguf_put_str(w, "general.architecture", "bitnet");
            gguf_put_u32(w, "answer", 42);
            gguf_put_u32(w, "split.tensors.count", MAX_PARTS);
        }
        if (!skip_key || strcmp(skip_key, "split.no")) put_u16(w, "split.no", i);
        if (!skip_key || strcmp(skip_key, "split.count")) put_u16(w, "split.count", MAX_PARTS);
        float v = (float)i + 0.5f;
        char name[4] = {'t', (char)('0' + i), 0, 0};
        gguf_put_tensor(w, name, TYPE_F32, 1, (int64_t[]){1}, &v, sizeof v);
    }
}

static void name_parts(parts *p) {
    static const char *const names[] = {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf",
                                        "m-00003-of-00003.gguf"};
    for (size_t i = 0; i < MAX_PARTS; i++)
        p->file[i] = (bitnet_file){names[i], gguf_writer_source(&p->w[i], true)};
}

static void free_parts(parts *p) {
    for (size_t i = 0; i < MAX_PARTS; i++)
        gguf_writer_free(&p->w[i]);
}

static float value_at(const bitnet_file *files, const bitnet_tensor_entry *t) {
    float v;
    const bitnet_source *s = &files[t->file].source;
    assert_int_equal(s->read(s->ctx, t->offset, &v, sizeof v), BITNET_OK);
    return v;
}

/* Opens, expects this failure, and that nothing is left of it. */
static void expect_refusal(const bitnet_open_desc *desc, bitnet_status status, const char *id) {
    count_alloc count = {0};
    bitnet_allocator a = count_alloc_of(&count);
    bitnet_dir dir;
    bitnet_error err = {0};
    bitnet_status st = bitnet_dir_open(&dir, desc, &a, &err);
    if (st != status || strcmp(err.id, id))
        fail_msg("status %d, %s (%s); expected was %d, %s", st, err.id, err.text, status, id);
    assert_int_equal(count.live, 0);
    assert_memory_equal(&dir, &(bitnet_dir){0}, sizeof dir);
}

static void parts_are_joined_whatever_order_they_come_in(void **state) {
    (void)state;
    parts p;
    make_parts(&p, NULL);
    name_parts(&p);
    bitnet_file shuffled[MAX_PARTS] = {p.file[2], p.file[0], p.file[1]};
    bitnet_dir dir;
    bitnet_error err = {0};
    bitnet_open_desc desc = {.files = shuffled, .n_files = MAX_PARTS};
    if (bitnet_dir_open(&dir, &desc, NULL, &err) < 0) fail_msg("%s", err.text);
    assert_int_equal(dir.n_tensor, MAX_PARTS);
    assert_int_equal(dir.n_file, MAX_PARTS);
    for (uint32_t i = 0; i < MAX_PARTS; i++) {
        const bitnet_tensor_entry *t = &dir.tensor[i]; /* in the order of the parts */
        assert_int_equal(t->name[1] - '0', i);
        float v = value_at(shuffled, t);
        if (v != (float)i + 0.5f) fail_msg("%s holds %g", t->name, (double)v);
        assert_ptr_equal(bitnet_dir_tensor(&dir, t->name), t);
    }
    int64_t answer;
    assert_true(bitnet_meta_i64(bitnet_dir_meta(&dir, "answer"), &answer));
    assert_int_equal(answer, 42);
    bitnet_dir_free(&dir);
    free_parts(&p);
}

static void parts_that_do_not_belong_together_are_refused(void **state) {
    (void)state;
    parts p;
    make_parts(&p, NULL);
    name_parts(&p);
    expect_refusal(&(bitnet_open_desc){.files = p.file, .n_files = 1}, BITNET_E_INVAL,
                   "split.alone");
    expect_refusal(&(bitnet_open_desc){.files = p.file, .n_files = 2}, BITNET_E_FORMAT,
                   "split.count");
    bitnet_file twice[MAX_PARTS] = {p.file[0], p.file[1], p.file[1]};
    expect_refusal(&(bitnet_open_desc){.files = twice, .n_files = MAX_PARTS}, BITNET_E_FORMAT,
                   "split.twice");
    free_parts(&p);

    make_parts(&p, "split.no");
    name_parts(&p);
    expect_refusal(&(bitnet_open_desc){.files = p.file, .n_files = MAX_PARTS}, BITNET_E_INVAL,
                   "split.keys");
    free_parts(&p);

    make_parts(&p, NULL);
    gguf_put_tensor_entry(&p.w[1], "extra", TYPE_F32, 1, (int64_t[]){1}, 0);
    p.w[1].n_tensor--; /* announced by nobody */
    p.w[2].n_tensor = 0;
    name_parts(&p);
    expect_refusal(&(bitnet_open_desc){.files = p.file, .n_files = MAX_PARTS}, BITNET_E_FORMAT,
                   "split.tensors");
    free_parts(&p);
}

static void a_tensor_in_two_parts_is_refused(void **state) {
    (void)state;
    parts p;
    make_parts(&p, NULL);
    gguf_writer_free(&p.w[2]);
    gguf_writer_init(&p.w[2]);
    put_u16(&p.w[2], "split.no", 2);
    put_u16(&p.w[2], "split.count", MAX_PARTS);
    float v = 9;
    gguf_put_tensor(&p.w[2], "t0", TYPE_F32, 1, (int64_t[]){1}, &v, sizeof v);
    name_parts(&p);
    expect_refusal(&(bitnet_open_desc){.files = p.file, .n_files = MAX_PARTS}, BITNET_E_FORMAT,
                   "dir.duplicate");
    free_parts(&p);
}

static void files_that_are_no_model_are_refused(void **state) {
    (void)state;
    expect_refusal(&(bitnet_open_desc){0}, BITNET_E_INVAL, "model.source");
    uint8_t byte = 0;
    gguf_bytes one = {&byte, 1, 0};
    bitnet_file weights = {"model.safetensors", gguf_bytes_source(&one, true)};
    expect_refusal(&(bitnet_open_desc){.files = &weights, .n_files = 1}, BITNET_E_INVAL,
                   "hf.config.missing");
}

/* ---- overrides --------------------------------------------------------------------------------- */

static void an_override_replaces_a_key_or_adds_one(void **state) {
    (void)state;
    gguf_writer w;
    gguf_writer_init(&w);
    gguf_put_str(&w, "general.architecture", "bitnet");
    gguf_put_u32(&w, "answer", 41);
    float v = 3;
    gguf_put_tensor(&w, "t", TYPE_F32, 1, (int64_t[]){1}, &v, sizeof v);
    bitnet_file file = {"a.gguf", gguf_writer_source(&w, true)};
    const bitnet_override o[] = {{"answer", "int:-42"},
                                 {"half", "float:0.5e0"},
                                 {"is_so", "bool:true"},
                                 {"tokenizer.ggml.pre", "str:gpt-2:x"}};
    bitnet_open_desc desc = {.files = &file, .n_files = 1, .overrides = o, .n_overrides = 4};
    bitnet_dir dir;
    bitnet_error err = {0};
    if (bitnet_dir_open(&dir, &desc, NULL, &err) < 0) fail_msg("%s", err.text);
    int64_t i;
    double f;
    bool b;
    const char *s;
    size_t len;
    assert_int_equal(dir.n_meta, 5);
    assert_true(bitnet_meta_i64(bitnet_dir_meta(&dir, "answer"), &i) && i == -42);
    assert_true(bitnet_meta_f64(bitnet_dir_meta(&dir, "half"), &f) && f == 0.5);
    assert_true(bitnet_meta_bool(bitnet_dir_meta(&dir, "is_so"), &b) && b);
    assert_true(bitnet_meta_str(bitnet_dir_meta(&dir, "tokenizer.ggml.pre"), &s, &len));
    assert_int_equal(len, 7);
    assert_memory_equal(s, "gpt-2:x", 7);
    assert_true(bitnet_meta_str(bitnet_dir_meta(&dir, "general.architecture"), &s, &len));
    assert_int_equal(dir.n_tensor, 1);
    if (value_at(&file, &dir.tensor[0]) != v) fail_msg("the tensor's place moved");
    bitnet_dir_free(&dir);
    gguf_writer_free(&w);
}

static void an_override_that_is_no_value_is_refused(void **state) {
    (void)state;
    static const char *const values[] = {"",       "5",         "int:",      "int:1.5", "int: 5",
                                         "int:5x", "float:nan", "float:0x1", "bool:1",  "long:5"};
    gguf_writer w;
    gguf_writer_init(&w);
    bitnet_file file = {"a.gguf", gguf_writer_source(&w, true)};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        bitnet_override o = {"key", values[i]};
        expect_refusal(
            &(bitnet_open_desc){.files = &file, .n_files = 1, .overrides = &o, .n_overrides = 1},
            BITNET_E_INVAL, "override.value");
    }
    gguf_writer_free(&w);
}

static void an_override_given_twice_is_refused(void **state) {
    (void)state;
    gguf_writer w;
    gguf_writer_init(&w);
    bitnet_file file = {"a.gguf", gguf_writer_source(&w, true)};
    const bitnet_override o[] = {{"key", "int:1"}, {"key", "int:2"}};
    expect_refusal(
        &(bitnet_open_desc){.files = &file, .n_files = 1, .overrides = o, .n_overrides = 2},
        BITNET_E_FORMAT, "dir.duplicate");
    gguf_writer_free(&w);
}

static void every_allocation_that_fails_is_a_clean_refusal(void **state) {
    (void)state;
    parts p;
    make_parts(&p, NULL);
    name_parts(&p);
    bitnet_override o = {"key", "str:value"};
    bitnet_open_desc desc = {
        .files = p.file, .n_files = MAX_PARTS, .overrides = &o, .n_overrides = 1};
    bitnet_status st = BITNET_E_NOMEM;
    for (long at = 1; st != BITNET_OK; at++) {
        count_alloc count = {.fail_at = at};
        bitnet_allocator a = count_alloc_of(&count);
        bitnet_dir dir;
        bitnet_error err = {0};
        st = bitnet_dir_open(&dir, &desc, &a, &err);
        if (st != BITNET_OK) {
            assert_int_equal(st, BITNET_E_NOMEM);
            assert_non_null(err.id);
        }
        bitnet_dir_free(&dir);
        assert_int_equal(count.live, 0);
    }
    free_parts(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_joined_whatever_order_they_come_in),
        cmocka_unit_test(parts_that_do_not_belong_together_are_refused),
        cmocka_unit_test(a_tensor_in_two_parts_is_refused),
        cmocka_unit_test(files_that_are_no_model_are_refused),
        cmocka_unit_test(an_override_replaces_a_key_or_adds_one),
        cmocka_unit_test(an_override_that_is_no_value_is_refused),
        cmocka_unit_test(an_override_given_twice_is_refused),
        cmocka_unit_test(every_allocation_that_fails_is_a_clean_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
