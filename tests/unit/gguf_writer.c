/* gguf_writer.c: see gguf_writer.h. Little-endian by construction, on any machine. */
#include "gguf_writer.h"

#include <stdlib.h>
#include <string.h>

enum { U32 = 4, I32 = 5, F32 = 6, BOOL = 7, STR = 8, ARR = 9 };

static void *must(void *p) {
    if (!p) abort();
    return p;
}

void gguf_bytes_put(gguf_bytes *b, const void *src, size_t n) {
    if (b->n + n > b->cap) {
        b->cap = 2 * (b->n + n) + 64;
        b->p = must(realloc(b->p, b->cap));
    }
    if (n) memcpy(b->p + b->n, src, n);
    b->n += n;
}

static void put_le(gguf_bytes *b, uint64_t v, size_t n) {
    uint8_t le[8];
    for (size_t i = 0; i < n; i++)
        le[i] = (uint8_t)(v >> (8 * i));
    gguf_bytes_put(b, le, n);
}

void gguf_bytes_u32(gguf_bytes *b, uint32_t v) {
    put_le(b, v, 4);
}

void gguf_bytes_u64(gguf_bytes *b, uint64_t v) {
    put_le(b, v, 8);
}

void gguf_bytes_str(gguf_bytes *b, const char *s, size_t n) {
    put_le(b, n, 8);
    gguf_bytes_put(b, s, n);
}

static void pad(gguf_bytes *b, size_t alignment) {
    while (b->n % alignment)
        gguf_bytes_put(b, "", 1);
}

/* ---- the file ---------------------------------------------------------------------------- */

void gguf_writer_init(gguf_writer *w) {
    *w = (gguf_writer){.version = 3, .alignment = 32};
}

void gguf_writer_free(gguf_writer *w) {
    free(w->kv.p);
    free(w->info.p);
    free(w->data.p);
    free(w->file.p);
    *w = (gguf_writer){0};
}

const gguf_bytes *gguf_writer_finish(gguf_writer *w) {
    gguf_bytes *f = &w->file;
    f->n = 0;
    gguf_bytes_put(f, "GGUF", 4);
    gguf_bytes_u32(f, w->version);
    gguf_bytes_u64(f, w->n_tensor);
    gguf_bytes_u64(f, w->n_kv);
    gguf_bytes_put(f, w->kv.p, w->kv.n);
    gguf_bytes_put(f, w->info.p, w->info.n);
    if (w->data.n) {
        pad(f, w->alignment);
        gguf_bytes_put(f, w->data.p, w->data.n);
    }
    return f;
}

static bitnet_status read_bytes(void *ctx, uint64_t off, void *dst, size_t n) {
    const gguf_bytes *f = ctx;
    if (off > f->n || n > f->n - off) return BITNET_E_IO;
    memcpy(dst, f->p + off, n);
    return BITNET_OK;
}

static const void *map_bytes(void *ctx, uint64_t off, size_t n) {
    const gguf_bytes *f = ctx;
    return off > f->n || n > f->n - off ? NULL : f->p + off;
}

bitnet_source gguf_bytes_source(gguf_bytes *file, bool is_mapped) {
    return (bitnet_source){
        .size = file->n, .read = read_bytes, .map = is_mapped ? map_bytes : NULL, .ctx = file};
}

bitnet_source gguf_writer_source(gguf_writer *w, bool is_mapped) {
    gguf_writer_finish(w);
    return gguf_bytes_source(&w->file, is_mapped);
}

/* ---- metadata ---------------------------------------------------------------------------- */

void gguf_put_key(gguf_writer *w, const char *key, uint32_t type) {
    gguf_bytes_str(&w->kv, key, strlen(key));
    gguf_bytes_u32(&w->kv, type);
    w->n_kv++;
}

void gguf_put_u32(gguf_writer *w, const char *key, uint32_t v) {
    gguf_put_key(w, key, U32);
    gguf_bytes_u32(&w->kv, v);
}

static void bytes_f32(gguf_bytes *b, float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    gguf_bytes_u32(b, bits);
}

void gguf_put_f32(gguf_writer *w, const char *key, float v) {
    gguf_put_key(w, key, F32);
    bytes_f32(&w->kv, v);
}

void gguf_put_bool(gguf_writer *w, const char *key, bool v) {
    gguf_put_key(w, key, BOOL);
    put_le(&w->kv, v, 1);
}

void gguf_put_str(gguf_writer *w, const char *key, const char *s) {
    gguf_put_key(w, key, STR);
    gguf_bytes_str(&w->kv, s, strlen(s));
}

void gguf_put_array(gguf_writer *w, const char *key, uint32_t elem, uint64_t n) {
    gguf_put_key(w, key, ARR);
    gguf_bytes_u32(&w->kv, elem);
    gguf_bytes_u64(&w->kv, n);
}

void gguf_put_strs(gguf_writer *w, const char *key, const char *const *s, uint64_t n) {
    gguf_put_array(w, key, STR, n);
    for (uint64_t i = 0; i < n; i++)
        gguf_bytes_str(&w->kv, s[i], strlen(s[i]));
}

void gguf_put_i32s(gguf_writer *w, const char *key, const int32_t *v, uint64_t n) {
    gguf_put_array(w, key, I32, n);
    for (uint64_t i = 0; i < n; i++)
        gguf_bytes_u32(&w->kv, (uint32_t)v[i]);
}

void gguf_put_f32s(gguf_writer *w, const char *key, const float *v, uint64_t n) {
    gguf_put_array(w, key, F32, n);
    for (uint64_t i = 0; i < n; i++)
        bytes_f32(&w->kv, v[i]);
}

/* ---- tensors ----------------------------------------------------------------------------- */

void gguf_put_tensor_entry(gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims,
                           const int64_t *ne, uint64_t offset) {
    gguf_bytes_str(&w->info, name, strlen(name));
    gguf_bytes_u32(&w->info, n_dims);
    for (uint32_t d = 0; d < n_dims; d++)
        gguf_bytes_u64(&w->info, (uint64_t)ne[d]);
    gguf_bytes_u32(&w->info, type);
    gguf_bytes_u64(&w->info, offset);
    w->n_tensor++;
}

void gguf_put_tensor(gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims,
                     const int64_t *ne, const void *data, size_t size) {
    pad(&w->data, w->alignment);
    gguf_put_tensor_entry(w, name, type, n_dims, ne, w->data.n);
    gguf_bytes_put(&w->data, data, size);
}

/* ---- a small vocabulary ------------------------------------------------------------------ */

/* The printable character of a byte: itself where Latin-1 prints it, else the next free one from
 * U+0100 on, in ascending order. */
static void byte_char(uint8_t byte, char out[3]) {
    uint32_t cp = 0x100;
    for (uint32_t b = 0; b <= byte; b++) {
        bool is_printable = (b > 0x20 && b < 0x7f) || (b > 0xa0 && b != 0xad);
        if (b == byte && is_printable) cp = b;
        if (b < byte && !is_printable) cp++;
    }
    memset(out, 0, 3);
    if (cp < 0x80) {
        out[0] = (char)cp;
    } else {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3f));
    }
}

int32_t tiny_vocab_add(tiny_vocab *t, const char *text, int32_t type) {
    if (t->n_token == TINY_VOCAB_MAX) abort();
    t->token[t->n_token] = must(malloc(strlen(text) + 1));
    strcpy(t->token[t->n_token], text);
    t->type[t->n_token] = type;
    return (int32_t)t->n_token++;
}

void tiny_vocab_init(tiny_vocab *t) {
    char text[3];
    *t = (tiny_vocab){.model = "gpt2", .pre = "llama-bpe"};
    for (uint32_t b = 0; b < 256; b++) {
        byte_char((uint8_t)b, text);
        tiny_vocab_add(t, text, 1);
    }
}

void tiny_spm_init(tiny_vocab *t) {
    static const char digits[] = "0123456789ABCDEF";
    *t = (tiny_vocab){.model = "llama"};
    tiny_vocab_add(t, "<unk>", 2);
    tiny_vocab_add(t, "<s>", 3);
    tiny_vocab_add(t, "</s>", 3);
    for (uint32_t b = 0; b < 256; b++)
        tiny_vocab_add(t, (char[]){'<', '0', 'x', digits[b / 16], digits[b % 16], '>', 0}, 6);
}

int32_t tiny_spm_add(tiny_vocab *t, const char *text, float score) {
    int32_t id = tiny_vocab_add(t, text, 1);
    t->score[id] = score;
    return id;
}

void tiny_vocab_free(tiny_vocab *t) {
    for (uint32_t i = 0; i < t->n_token; i++)
        free(t->token[i]);
    *t = (tiny_vocab){0};
}

int32_t tiny_vocab_merge(tiny_vocab *t, const char *merge) {
    if (t->n_merge == TINY_VOCAB_MAX) abort();
    char *text = must(malloc(strlen(merge) + 1));
    size_t cut = strcspn(merge, " ");
    memcpy(text, merge, cut);
    strcpy(text + cut, merge + cut + 1);
    t->merge[t->n_merge++] = merge;
    int32_t id = tiny_vocab_add(t, text, 1);
    free(text);
    return id;
}

void tiny_vocab_put(const tiny_vocab *t, gguf_writer *w) {
    gguf_put_str(w, "tokenizer.ggml.model", t->model);
    if (t->pre) gguf_put_str(w, "tokenizer.ggml.pre", t->pre);
    gguf_put_strs(w, "tokenizer.ggml.tokens", (const char *const *)t->token, t->n_token);
    gguf_put_i32s(w, "tokenizer.ggml.token_type", t->type, t->n_token);
    if (strcmp(t->model, "gpt2") == 0)
        gguf_put_strs(w, "tokenizer.ggml.merges", t->merge, t->n_merge);
    else
        gguf_put_f32s(w, "tokenizer.ggml.scores", t->score, t->n_token);
}
