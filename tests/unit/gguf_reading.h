/* gguf_reading.h: what the tests of the GGUF reader share: reading a file in every way at once.
 *
 * Each file is read twice, through a mapping and through plain reads, under an allocator that
 * counts: both ways must agree in everything, leak nothing, and stay below 8 bytes per byte of
 * metadata plus 1 MiB.
 */
#ifndef BITNET_TEST_GGUF_READING_H
#define BITNET_TEST_GGUF_READING_H

#include "load_file.h"

#include <ctype.h>
#include <string.h>

#include "count_alloc.h"
#include "format/gguf.h"
#include "gguf_writer.h"

#define MEMORY_PER_BYTE 8
#define MEMORY_FIXED    ((size_t)1 << 20)
#define F32_ROW         ((int64_t[]){4, 1, 1, 1})
#define LEN(array)      (sizeof(array) / sizeof *(array))

typedef struct reading {
    bitnet_dir dir;
    bitnet_error err;
    bitnet_status status;
    count_alloc alloc;
} reading;

static inline void read_one(reading *r, gguf_bytes *file, bool is_mapped) {
    *r = (reading){0};
    bitnet_allocator a = count_alloc_of(&r->alloc);
    bitnet_source src = gguf_bytes_source(file, is_mapped);
    r->status = bitnet_gguf_read(&r->dir, &src, &a, &r->err);
    if (r->alloc.peak > MEMORY_PER_BYTE * file->n + MEMORY_FIXED)
        fail_msg("a file of %zu bytes took %zu bytes of memory", file->n, r->alloc.peak);
    if (r->status >= 0) return;
    assert_int_equal(r->status, r->err.status);
    assert_int_equal(r->alloc.live, 0);
    assert_memory_equal(&r->dir, &(bitnet_dir){0}, sizeof r->dir);
    for (const char *c = r->err.text; *c; c++)
        assert_true(isprint((unsigned char)*c));
}

static inline void close_one(reading *r) {
    bitnet_dir_free(&r->dir);
    assert_int_equal(r->alloc.live, 0);
}

static inline void touch(const volatile uint8_t *p, uint64_t n) {
    for (uint64_t i = 0; i < n; i++)
        (void)p[i];
}

/* Visits every byte and every name that a directory offers, so that a sanitizer sees a wrong one.
 */
static inline void walk(const bitnet_dir *dir, const gguf_bytes *file) {
    for (uint32_t i = 0; i < dir->n_meta; i++) {
        const bitnet_meta *m = &dir->meta[i];
        assert_ptr_equal(bitnet_dir_meta(dir, m->key), m);
        touch(m->data, m->size);
        uint64_t pos = 0, n = 0;
        const char *s;
        size_t len;
        while (bitnet_meta_next_str(m, &pos, &s, &len))
            touch((const uint8_t *)s, len), n++;
        if (m->type == BITNET_META_ARR && m->elem == BITNET_META_STR) assert_int_equal(n, m->n);
    }
    for (uint32_t i = 0; i < dir->n_tensor; i++) {
        const bitnet_tensor_entry *t = &dir->tensor[i];
        assert_ptr_equal(bitnet_dir_tensor(dir, t->name), t);
        assert_string_not_equal(bitnet_type_name(t->type), "?");
        assert_true(t->size <= file->n && t->offset <= file->n - t->size);
        touch(file->p + t->offset, t->size);
    }
}

static inline void expect_same(const bitnet_dir *a, const bitnet_dir *b) {
    assert_int_equal(a->n_meta, b->n_meta);
    assert_int_equal(a->n_tensor, b->n_tensor);
    assert_int_equal(a->version, b->version);
    for (uint32_t i = 0; i < a->n_meta; i++) {
        const bitnet_meta *p = &a->meta[i], *q = &b->meta[i];
        assert_string_equal(p->key, q->key);
        assert_int_equal(p->type, q->type);
        assert_int_equal(p->elem, q->elem);
        assert_int_equal(p->n, q->n);
        assert_int_equal(p->size, q->size);
        assert_memory_equal(p->data, q->data, p->size);
    }
    for (uint32_t i = 0; i < a->n_tensor; i++) {
        bitnet_tensor_entry p = a->tensor[i], q = b->tensor[i];
        assert_string_equal(p.name, q.name);
        p.name = q.name = NULL;
        assert_memory_equal(&p, &q, sizeof p);
    }
}

/* Reads both ways, compares, and leaves the mapped reading open in *r. */
static inline void read_both(reading *r, gguf_bytes *file) {
    reading plain;
    read_one(r, file, true);
    read_one(&plain, file, false);
    assert_int_equal(r->status, plain.status);
    if (r->status < 0) {
        assert_string_equal(r->err.id, plain.err.id);
        assert_string_equal(r->err.text, plain.err.text);
        return;
    }
    expect_same(&r->dir, &plain.dir);
    walk(&r->dir, file);
    walk(&plain.dir, file);
    assert_null(r->dir.header); /* a mapping is not copied */
    assert_true(plain.dir.header_size <= file->n);
    close_one(&plain);
}

/* ---- a small sound file ------------------------------------------------------------------ */

static const uint8_t i2s_bytes[64] = {0x26, 0x64}; /* 128 weights, then the scale */
static const float f32_row[4] = {1.5f, -2, 0, 4};

static inline void put_sound(gguf_writer *w) {
    gguf_writer_init(w);
    gguf_put_str(w, "general.architecture", "bitnet-b1.58");
    gguf_put_u32(w, "bitnet-b1.58.block_count", 2);
    gguf_put_f32(w, "eps", 0.5f);
    gguf_put_bool(w, "flag", true);
    gguf_put_strs(w, "words", (const char *const[]){"a", "", "ccc"}, 3);
    gguf_put_i32s(w, "numbers", (const int32_t[]){-1, 7}, 2);
    gguf_put_tensor(w, "norm", BITNET_TYPE_F32, 1, F32_ROW, f32_row, sizeof f32_row);
    gguf_put_tensor(w, "codes", BITNET_TYPE_I2_S, 2, (int64_t[]){128, 1}, i2s_bytes,
                    sizeof i2s_bytes);
}

#endif
