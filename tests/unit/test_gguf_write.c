/* test_gguf_write.c: what the writer writes, the reader reads back as it was; and the bytes are those of
 * the format, checked wst the tests' own writer. */
#include "gguf_reading.h"

#include <stdio.h>

#include "format/gguf_write.h"

typedef struct sink {
    gguf_bytes file;
    size_t room; /* fails past so many bytes; 0 = never */
    int n_calls;
} sink;

static bitnet_status put(void *ctx, const void *data, size_t n) {
    sink *s = ctx;
    s->n_calls++;
    if (s->room && s->file.n + n > s->room) return BITNET_E_IO;
    gguf_bytes_put(&s->file, data, n);
    return BITNET_OK;
}

/* Writes dir again, its tensors' bytes from `from`. */
static bitnet_status rewrite(sink *out, const bitnet_dir *dir, const uint8_t *from) {
    const bitnet_meta **meta = calloc(dir->n_meta + 1, sizeof *meta);
    assert_non_null(meta);
    for (uint32_t i = 0; i < dir->n_meta; i++)
        meta[i] = &dir->meta[i];
    bitnet_gguf_out o = {.write = put, .ctx = out};
    bitnet_gguf_write_head(&o, meta, dir->n_meta, dir->tensor, dir->n_tensor);
    for (uint32_t i = 0; i < dir->n_tensor; i++) {
        const bitnet_tensor_entry *t = &dir->tensor[i];
        assert_int_equal(bitnet_tensor_size(t->type, t->ne), t->size);
        size_t half = (size_t)t->size / 2; /* in pieces */
        bitnet_gguf_write_data(&o, from + t->offset, half);
        bitnet_gguf_write_data(&o, from + t->offset + half, (size_t)t->size - half);
        bitnet_gguf_write_pad(&o);
    }
    free(meta);
    if (o.status >= 0) assert_int_equal(o.pos, out->file.n);
    return o.status;
}

/* Everything but offsets, which padding may move; and the tensors' bytes. */
static void expect_same_content(const bitnet_dir *a, const uint8_t *a_bytes, const bitnet_dir *b,
                                const uint8_t *b_bytes) {
    assert_int_equal(a->n_meta, b->n_meta);
    assert_int_equal(a->n_tensor, b->n_tensor);
    for (uint32_t i = 0; i < a->n_meta; i++) {
        const bitnet_meta *p = &a->meta[i], *q = &b->meta[i];
        assert_string_equal(p->key, q->key);
        assert_int_equal(p->type, q->type);
        assert_int_equal(p->elem, q->elem);
        assert_int_equal(p->n, q->n);
        assert_int_equal(p->size, q->size);
        if (strcmp(p->key, "general.alignment")) assert_memory_equal(p->data, q->data, p->size);
    }
    for (uint32_t i = 0; i < a->n_tensor; i++) {
        const bitnet_tensor_entry *p = &a->tensor[i], *q = &b->tensor[i];
        assert_string_equal(p->name, q->name);
        assert_int_equal(p->type, q->type);
        assert_int_equal(p->n_dims, q->n_dims);
        assert_memory_equal(p->ne, q->ne, sizeof p->ne);
        assert_int_equal(p->size, q->size);
        assert_int_equal(q->offset % 32, 0);
        assert_memory_equal(a_bytes + p->offset, b_bytes + q->offset, (size_t)p->size);
    }
}

/* Reads, writes, reads; the second writing must not change a byte. */
static void expect_round_trip(gguf_bytes *file) {
    reading first, second;
    sink once = {0}, twice = {0};
    read_both(&first, file);
    if (first.status < 0) fail_msg("%s", first.err.text);
    assert_int_equal(rewrite(&once, &first.dir, file->p), BITNET_OK);
    read_both(&second, &once.file);
    if (second.status < 0) fail_msg("%s", second.err.text);
    expect_same_content(&first.dir, file->p, &second.dir, once.file.p);
    assert_int_equal(second.dir.version, 3);
    assert_int_equal(rewrite(&twice, &second.dir, once.file.p), BITNET_OK);
    assert_int_equal(once.file.n, twice.file.n);
    assert_memory_equal(once.file.p, twice.file.p, once.file.n);
    close_one(&first);
    close_one(&second);
    free(once.file.p);
    free(twice.file.p);
}

/* One key of every type, arrays of every type among them, and odd shapes. */
static void put_everything(gguf_writer *w) {
    static const uint8_t bytes[96] = {1, 0, 1, 7, 9};
    static const uint8_t size[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    char key[32];
    put_sound(w);
    for (uint32_t t = 0; t < LEN(size); t++) {
        if (size[t] == 0) continue; /* strings are in put_sound; arrays of arrays there are none */
        snprintf(key, sizeof key, "scalar.%u", t);
        gguf_put_key(w, key, t);
        gguf_bytes_put(&w->kv, bytes, size[t]);
        snprintf(key, sizeof key, "array.%u", t);
        gguf_put_array(w, key, t, 3);
        gguf_bytes_put(&w->kv, bytes, 3u * size[t]);
        snprintf(key, sizeof key, "empty.%u", t);
        gguf_put_array(w, key, t, 0);
    }
    gguf_put_str(w, "empty", "");
    gguf_put_tensor(w, "one", 24, 1, (int64_t[]){1}, bytes, 1); /* I8 */
    gguf_put_tensor(w, "four", 0, 4, (int64_t[]){1, 2, 3, 2}, bytes, 48);
    gguf_put_tensor(w, "q8", 8, 2, (int64_t[]){32, 2}, bytes, 68);
}

static void a_file_with_everything_is_read_back_as_it_was(void **state) {
    (void)state;
    gguf_writer w;
    put_everything(&w);
    gguf_writer_finish(&w);
    expect_round_trip(&w.file);
    gguf_writer_free(&w);
}

static void the_bytes_are_those_of_another_writer(void **state) {
    (void)state;
    gguf_writer w;
    put_everything(&w);
    gguf_writer_finish(&w);
    while (w.file.n % 32) /* ours pads behind the last tensor too */
        gguf_bytes_put(&w.file, "", 1);
    reading r;
    sink out = {0};
    read_both(&r, &w.file);
    assert_int_equal(rewrite(&out, &r.dir, w.file.p), BITNET_OK);
    assert_int_equal(out.file.n, w.file.n);
    assert_memory_equal(out.file.p, w.file.p, w.file.n);
    close_one(&r);
    free(out.file.p);
    gguf_writer_free(&w);
}

static void any_alignment_becomes_32(void **state) {
    (void)state;
    static const uint32_t alignments[] = {8, 32, 256};
    for (size_t i = 0; i < LEN(alignments); i++) {
        gguf_writer w;
        gguf_writer_init(&w);
        w.alignment = alignments[i];
        gguf_put_u32(&w, "general.alignment", alignments[i]);
        gguf_put_tensor(&w, "norm", BITNET_TYPE_F32, 1, F32_ROW, f32_row, sizeof f32_row);
        gguf_put_tensor(&w, "codes", BITNET_TYPE_I2_S, 2, (int64_t[]){128, 1}, i2s_bytes,
                        sizeof i2s_bytes);
        gguf_writer_finish(&w);
        expect_round_trip(&w.file);
        reading r;
        sink out = {0};
        int64_t v;
        read_both(&r, &w.file);
        assert_int_equal(rewrite(&out, &r.dir, w.file.p), BITNET_OK);
        close_one(&r);
        read_both(&r, &out.file);
        assert_true(bitnet_meta_i64(bitnet_dir_meta(&r.dir, "general.alignment"), &v));
        assert_int_equal(v, 32);
        close_one(&r);
        free(out.file.p);
        gguf_writer_free(&w);
    }
}

static void a_file_of_nothing_is_a_file(void **state) {
    (void)state;
    gguf_writer w;
    gguf_writer_init(&w);
    gguf_writer_finish(&w);
    expect_round_trip(&w.file);
    gguf_writer_free(&w);
}

/* The three containers of one model; the last two only where they are beside the tree. */
static void the_shipped_model_keeps_every_key_and_tensor(void **state) {
    (void)state;
    static const char *const paths[] = {"models/bitnet-tales/bitnet-tales.i2_s.gguf",
                                        "../shared/models/bitnet-tales.f16.gguf",
                                        "../shared/models/bitnet-tales.tq2_0.gguf"};
    for (size_t i = 0; i < LEN(paths); i++) {
        char full[1024];
        snprintf(full, sizeof full, "%s/%s", BITNET_SOURCE_DIR, paths[i]);
        FILE *f = fopen(full, "rb");
        if (!f) {
            print_message("skipped: %s is not there\n", paths[i]);
            continue;
        }
        fclose(f);
        size_t n;
        char *bytes = test_file_read(paths[i], &n);
        expect_round_trip(&(gguf_bytes){(uint8_t *)bytes, n, n});
        free(bytes);
    }
}

static void the_first_failure_ends_the_writing(void **state) {
    (void)state;
    gguf_writer w;
    put_everything(&w);
    gguf_writer_finish(&w);
    reading r;
    sink whole = {0};
    read_both(&r, &w.file);
    assert_int_equal(rewrite(&whole, &r.dir, w.file.p), BITNET_OK);
    for (size_t room = 1; room < whole.file.n; room += 7) {
        sink out = {.room = room};
        assert_int_equal(rewrite(&out, &r.dir, w.file.p), BITNET_E_IO);
        assert_true(out.file.n <= room);
        assert_memory_equal(out.file.p ? (const void *)out.file.p : "", whole.file.p, out.file.n);
        int last = out.n_calls;
        bitnet_gguf_out o = {.write = put, .ctx = &out, .status = BITNET_E_IO};
        bitnet_gguf_write_data(&o, "x", 1);
        assert_int_equal(out.n_calls, last);
        free(out.file.p);
    }
    close_one(&r);
    free(whole.file.p);
    gguf_writer_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_with_everything_is_read_back_as_it_was),
        cmocka_unit_test(the_bytes_are_those_of_another_writer),
        cmocka_unit_test(any_alignment_becomes_32),
        cmocka_unit_test(a_file_of_nothing_is_a_file),
        cmocka_unit_test(the_shipped_model_keeps_every_key_and_tensor),
        cmocka_unit_test(the_first_failure_ends_the_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
