/* gguf_writer.h: writes GGUF files in memory, sound ones and (byte by byte) damaged ones.
 *
 *     gguf_writer w;
 *     gguf_writer_init(&w);
 *     gguf_put_str(&w, "general.architecture", "bitnet");
 *     gguf_put_tensor(&w, "output_norm.weight", BITNET_TYPE_F32, 1, (int64_t[]){4}, data, 16);
 *     bitnet_source src = gguf_writer_source(&w, true);
 *     ... bitnet_gguf_read(&dir, &src, NULL, &err) ...
 *     gguf_writer_free(&w);
 *
 * It shares no code with the reader. Running out of memory aborts: this is for tests only.
 */
#ifndef BITNET_TEST_GGUF_WRITER_H
#define BITNET_TEST_GGUF_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bitnet/model.h"

typedef struct gguf_bytes {
    uint8_t *p;
    size_t n, cap;
} gguf_bytes;

void gguf_bytes_put(gguf_bytes *b, const void *src, size_t n);
void gguf_bytes_u32(gguf_bytes *b, uint32_t v);
void gguf_bytes_u64(gguf_bytes *b, uint64_t v);
void gguf_bytes_str(gguf_bytes *b, const char *s, size_t n); /* u64 length | bytes */

/* The fields may be set or appended to between calls; finish joins them. */
typedef struct gguf_writer {
    uint32_t version;   /* 3 */
    uint32_t alignment; /* 32; another one needs the key general.alignment too */
    uint64_t n_kv, n_tensor;
    gguf_bytes kv, info, data;
    gguf_bytes file; /* what finish made */
} gguf_writer;

void gguf_writer_init(gguf_writer *w);
void gguf_writer_free(gguf_writer *w);
/* Joins header, metadata, padding and data into w->file, which later calls replace. */
const gguf_bytes *gguf_writer_finish(gguf_writer *w);
/* Finishes, and makes a source over the file; without a mapping it can only be read. The source
 * borrows w. */
bitnet_source gguf_writer_source(gguf_writer *w, bool is_mapped);
/* The same over any bytes. */
bitnet_source gguf_bytes_source(gguf_bytes *file, bool is_mapped);

/* Begins a key; the caller appends the value to w->kv. */
void gguf_put_key(gguf_writer *w, const char *key, uint32_t type);
void gguf_put_u32(gguf_writer *w, const char *key, uint32_t v);
void gguf_put_f32(gguf_writer *w, const char *key, float v);
void gguf_put_bool(gguf_writer *w, const char *key, bool v);
void gguf_put_str(gguf_writer *w, const char *key, const char *s);
/* Begins an array; the caller appends its elements to w->kv. */
void gguf_put_array(gguf_writer *w, const char *key, uint32_t elem, uint64_t n);
void gguf_put_strs(gguf_writer *w, const char *key, const char *const *s, uint64_t n);
void gguf_put_i32s(gguf_writer *w, const char *key, const int32_t *v, uint64_t n);
void gguf_put_f32s(gguf_writer *w, const char *key, const float *v, uint64_t n);
/* Appends the tensor's entry, and its data aligned behind the data so far. */
void gguf_put_tensor(gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims,
                     const int64_t *ne, const void *data, size_t size);
/* Only the entry, with any offset. */
void gguf_put_tensor_entry(gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims,
                           const int64_t *ne, uint64_t offset);

/* ---- a small vocabulary ------------------------------------------------------------------ */

#define TINY_VOCAB_MAX 768

typedef struct tiny_vocab {
    const char *model, *pre; /* "gpt2", "llama-bpe"; "llama", NULL */
    char *token[TINY_VOCAB_MAX];
    int32_t type[TINY_VOCAB_MAX];
    float score[TINY_VOCAB_MAX]; /* SentencePiece's */
    uint32_t n_token;
    const char *merge[TINY_VOCAB_MAX];
    uint32_t n_merge;
} tiny_vocab;

/* Byte-level BPE with one token per byte, so that id = byte. */
void tiny_vocab_init(tiny_vocab *t);
/* SentencePiece as LLaMA 2 begins: <unk> <s> </s>, then <0x00> to <0xFF>, so that id = 3 + byte. */
void tiny_spm_init(tiny_vocab *t);
void tiny_vocab_free(tiny_vocab *t);
int32_t tiny_vocab_add(tiny_vocab *t, const char *text, int32_t type); /* returns the id */
/* Appends "left right", as byte-level text, and its result as a token. */
int32_t tiny_vocab_merge(tiny_vocab *t, const char *merge);
int32_t tiny_spm_add(tiny_vocab *t, const char *text, float score);
/* tokenizer.ggml.model, pre, tokens, token_type, and merges or scores. */
void tiny_vocab_put(const tiny_vocab *t, gguf_writer *w);

#endif
