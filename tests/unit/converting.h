/* converting.h: what the tests of conversion share: converting in memory, looking into the result, and
 * a few files to convert. */
#ifndef BITNET_TEST_CONVERTING_H
#define BITNET_TEST_CONVERTING_H

#include "load_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bitnet/backend.h"
#include "bitnet/convert.h"
#include "count_alloc.h"
#include "format/blocks.h"
#include "format/gguf.h"
#include "format/ternary.h"
#include "gguf_writer.h"
#include "tiny_model.h"

#define TALES   "models/bitnet-tales/bitnet-tales.i2_s.gguf"
#define LEN(a)  (sizeof(a) / sizeof *(a))
#define MAX_LOG 4096

typedef struct conversion {
    gguf_bytes out;
    size_t room; /* writing fails past so many bytes; 0 = never */
    char log[MAX_LOG];
    uint64_t done, total;
    bitnet_error err;
} conversion;

static inline bitnet_status put(void *ctx, const void *data, size_t n) {
    conversion *c = ctx;
    if (c->room && c->out.n + n > c->room) return BITNET_E_IO;
    gguf_bytes_put(&c->out, data, n);
    return BITNET_OK;
}

static inline void log_line(void *ctx, bitnet_log_level level, const char *text) {
    conversion *c = ctx;
    size_t at = strlen(c->log);
    if (level == BITNET_LOG_WARN) snprintf(c->log + at, MAX_LOG - at, "%s\n", text);
}

static inline void report(void *ctx, uint64_t done, uint64_t total) {
    conversion *c = ctx;
    assert_true(done > c->done && done <= total);
    c->done = done, c->total = total;
}

/* desc: what is asked for; files and hooks are filled in. */
static inline bitnet_status convert(conversion *c, bitnet_convert_desc desc,
                                    const bitnet_file *files, int32_t n_files) {
    desc.files = files;
    desc.n_files = n_files;
    desc.write = put;
    desc.write_ctx = c;
    desc.logger = (bitnet_logger){log_line, c};
    desc.progress = (bitnet_progress){report, c};
    return bitnet_convert(&desc, &c->err);
}

static inline bitnet_status convert_bytes(conversion *c, bitnet_convert_desc desc,
                                          gguf_bytes *file) {
    bitnet_file f = {"in.gguf", gguf_bytes_source(file, true)};
    return convert(c, desc, &f, 1);
}

/* Converts and replaces *file with the result. */
static inline void become(gguf_bytes *file, bitnet_convert_desc desc) {
    conversion c = {0};
    if (convert_bytes(&c, desc, file) != BITNET_OK) fail_msg("%s [%s]", c.err.text, c.err.id);
    assert_int_equal(c.done, c.total);
    free(file->p);
    *file = c.out;
}

static inline gguf_bytes read_tales(void) {
    size_t n;
    char *p = test_file_read(TALES, &n);
    return (gguf_bytes){(uint8_t *)p, n, n};
}

static inline gguf_bytes make_tiny(const tiny_model *m) {
    gguf_writer w;
    tiny_model_write(m, &w);
    gguf_writer_finish(&w);
    gguf_bytes file = w.file;
    w.file = (gguf_bytes){0};
    gguf_writer_free(&w);
    return file;
}

static inline gguf_bytes take(gguf_writer *w) {
    gguf_writer_finish(w);
    gguf_bytes file = w->file;
    w->file = (gguf_bytes){0};
    gguf_writer_free(w);
    return file;
}

static inline bitnet_dir open_dir(gguf_bytes *file) {
    bitnet_dir dir;
    bitnet_error err = {0};
    bitnet_source src = gguf_bytes_source(file, true);
    if (bitnet_gguf_read(&dir, &src, NULL, &err) < 0) fail_msg("%s", err.text);
    return dir;
}

static const bitnet_tensor_entry *tensor_of(const bitnet_dir *dir, const char *name) {
    const bitnet_tensor_entry *t = bitnet_dir_tensor(dir, name);
    if (!t) fail_msg("there is no %s", name);
    return t;
}

static inline void expect_same_tensor(const bitnet_tensor_entry *p, const uint8_t *a,
                                      const bitnet_tensor_entry *q, const uint8_t *b) {
    if (p->type != q->type || p->size != q->size || memcmp(p->ne, q->ne, sizeof p->ne) ||
        memcmp(a + p->offset, b + q->offset, (size_t)p->size))
        fail_msg("%s: %s of %llu bytes became %s of %llu, or other bytes", p->name,
                 bitnet_type_name(p->type), (unsigned long long)p->size, bitnet_type_name(q->type),
                 (unsigned long long)q->size);
}

static inline void expect_same_tensors(gguf_bytes *a, gguf_bytes *b) {
    bitnet_dir da = open_dir(a), db = open_dir(b);
    assert_int_equal(da.n_tensor, db.n_tensor);
    for (uint32_t i = 0; i < da.n_tensor; i++)
        expect_same_tensor(&da.tensor[i], a->p, tensor_of(&db, da.tensor[i].name), b->p);
    bitnet_dir_free(&da);
    bitnet_dir_free(&db);
}

static inline int64_t file_type_of(gguf_bytes *file) {
    bitnet_dir dir = open_dir(file);
    int64_t v = -1;
    bitnet_meta_i64(bitnet_dir_meta(&dir, "general.file_type"), &v);
    bitnet_dir_free(&dir);
    return v;
}

/* ---- files to convert ------------------------------------------------------------------ */

/* Two TQ2_0 matrices: of one scale, and of two. */
static inline gguf_bytes make_tq(void) {
    gguf_writer w;
    uint8_t data[2 * 66];
    for (int i = 0; i < 132; i++)
        data[i] = 0x98;
    memcpy(data + 64, (uint8_t[]){0, 0x3c}, 2);
    memcpy(data + 130, (uint8_t[]){0, 0x3c}, 2);
    gguf_writer_init(&w);
    gguf_put_str(&w, "general.architecture", "bitnet");
    gguf_put_tensor(&w, "one", BITNET_TYPE_TQ2_0, 2, (int64_t[]){256, 2}, data, sizeof data);
    memcpy(data + 130, (uint8_t[]){0, 0x38}, 2);
    gguf_put_tensor(&w, "two", BITNET_TYPE_TQ2_0, 2, (int64_t[]){256, 2}, data, sizeof data);
    return take(&w);
}

/* Vectors and matrices of two types, an untied head in Q4_K, keys of a split file. */
static inline gguf_bytes make_ordinary(void) {
    gguf_writer w;
    uint8_t data[2 * 144];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 3 & 0x3b);
    gguf_writer_init(&w);
    w.alignment = 64;
    gguf_put_str(&w, "general.architecture", "llama");
    gguf_put_u32(&w, "general.alignment", 64);
    gguf_put_u32(&w, "general.file_type", 77);
    gguf_put_u32(&w, "split.count", 1);
    gguf_put_tensor(&w, "norm", BITNET_TYPE_BF16, 1, (int64_t[]){2},
                    (uint8_t[]){0xc0, 0x3f, 0x40, 0xc0}, 4);
    gguf_put_tensor(&w, "norm2", BITNET_TYPE_F16, 1, (int64_t[]){2},
                    (uint8_t[]){0x00, 0x3e, 0x00, 0xc2}, 4);
    gguf_put_tensor(&w, "matrix", BITNET_TYPE_BF16, 2, (int64_t[]){2, 2},
                    (uint8_t[]){1, 2, 3, 4, 5, 6, 7, 8}, 8);
    gguf_put_tensor(&w, "output.weight", BITNET_TYPE_Q4_K, 2, (int64_t[]){256, 2}, data,
                    sizeof data);
    gguf_put_tensor(&w, "other", 3, 2, (int64_t[]){32, 2}, data, 40); /* Q4_1: only copied */
    return take(&w);
}

#endif
