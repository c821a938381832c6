/* vocab_fixture.h: what the tests of the tokenizer share: vocabularies made in memory or read from
 * files. */
#ifndef BITNET_TEST_VOCAB_FIXTURE_H
#define BITNET_TEST_VOCAB_FIXTURE_H

#include "load_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "count_alloc.h"
#include "format/gguf.h"
#include "gguf_writer.h"
#include "text/tokenizer.h"

#define LEN(array) (sizeof(array) / sizeof *(array))

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4 }; /* token types */

/* A vocabulary from the file's bytes; the directory is gone again, as it may be. */
static inline bitnet_status vocab_from(bitnet_vocab **out, gguf_bytes *file, const char *arch,
                                       int32_t n_rows, const bitnet_allocator *a,
                                       bitnet_error *err) {
    bitnet_source src = gguf_bytes_source(file, false);
    bitnet_dir dir;
    bitnet_error dir_err = {0};
    if (bitnet_gguf_read(&dir, &src, NULL, &dir_err) < 0) fail_msg("%s", dir_err.text);
    bitnet_status st = bitnet_vocab_create(out, &dir, arch, n_rows, a, err);
    bitnet_dir_free(&dir);
    return st;
}

static inline bitnet_vocab *vocab_of_file(gguf_bytes *file, int32_t n_rows) {
    bitnet_vocab *v = NULL;
    bitnet_error err = {0};
    if (vocab_from(&v, file, NULL, n_rows, NULL, &err) < 0) fail_msg("%s [%s]", err.text, err.id);
    assert_non_null(v);
    return v;
}

/* The vocabulary of a tiny one, which is freed, in memory that *c counts and may refuse. */
static inline bitnet_vocab *vocab_counted(tiny_vocab *t, count_alloc *c) {
    gguf_writer w;
    bitnet_allocator a = count_alloc_of(c);
    bitnet_vocab *v;
    gguf_writer_init(&w);
    tiny_vocab_put(t, &w);
    gguf_writer_finish(&w);
    assert_int_equal(vocab_from(&v, &w.file, NULL, (int32_t)t->n_token, &a, NULL), BITNET_OK);
    tiny_vocab_free(t);
    gguf_writer_free(&w);
    return v;
}

/* The vocabulary of a tiny one and the keys that w holds besides. */
static inline bitnet_vocab *vocab_of(const tiny_vocab *t, gguf_writer *w) {
    tiny_vocab_put(t, w);
    gguf_writer_finish(w);
    return vocab_of_file(&w->file, (int32_t)t->n_token + 3);
}

static inline bitnet_vocab *shipped_vocab(void) {
    gguf_bytes f = {0};
    f.p = (uint8_t *)test_file_read("models/bitnet-tales/bitnet-tales.i2_s.gguf", &f.n);
    bitnet_vocab *v = vocab_of_file(&f, 4096);
    free(f.p);
    return v;
}

/* A file of ../shared/vectors; NULL, with a line that says so, where they are not beside the tree. */
static inline char *published_file(const char *name, size_t *len) {
    char path[256];
    snprintf(path, sizeof path, BITNET_SOURCE_DIR "/../shared/vectors/%s", name);
    FILE *probe = fopen(path, "rb");
    if (!probe) {
        print_message("skipped: ../shared/vectors/%s is not here\n", name);
        return NULL;
    }
    fclose(probe);
    return test_file_read(path + strlen(BITNET_SOURCE_DIR "/"), len);
}

static inline bitnet_vocab *published_vocab(const char *name, int32_t n_rows) {
    gguf_bytes f = {0};
    f.p = (uint8_t *)published_file(name, &f.n);
    bitnet_vocab *v = f.p ? vocab_of_file(&f, n_rows) : NULL;
    free(f.p);
    return v;
}

static inline bitnet_vocab *llama3_vocab(void) {
    return published_vocab("llama3-vocab.gguf", 128256);
}

static inline bitnet_vocab *llama_spm_vocab(void) {
    return published_vocab("llama-spm-vocab.gguf", 32000);
}

/* "[1 2 3]", cut where it gets too long, in one of four buffers that take turns. */
static inline const char *ids_text(const bitnet_token *ids, int32_t n) {
    static char buf[4][2048];
    static int turn;
    char *s = buf[turn = (turn + 1) % 4];
    size_t at = 1;
    strcpy(s, "[");
    for (int32_t i = 0; i < n && at < sizeof buf[0] - 16; i++)
        at += (size_t)snprintf(s + at, 16, i ? " %d" : "%d", ids[i]);
    strcpy(s + at, "]");
    return s;
}

static inline void expect_ids(const bitnet_vocab *v, const char *text, size_t len, uint32_t flags,
                              const bitnet_token *want, int32_t n_want) {
    static bitnet_token got[4096];
    int32_t n = bitnet_vocab_encode(v, text, len, flags, got, (int32_t)LEN(got));
    if (n != n_want || memcmp(got, want, (size_t)n * sizeof *got) != 0)
        fail_msg("\"%.*s\": got %d %s, expected %d %s", (int)len, text, n, ids_text(got, n), n_want,
                 ids_text(want, n_want));
}

#define EXPECT_IDS(v, text, flags, ...)                                                            \
    expect_ids(v, text, strlen(text), flags, (const bitnet_token[]){__VA_ARGS__},                  \
               (int32_t)(sizeof((const bitnet_token[]){__VA_ARGS__}) / sizeof(bitnet_token)))

/* All tokens' bytes in a row; the caller frees it. */
static inline char *text_of(const bitnet_vocab *v, const bitnet_token *ids, int32_t n,
                            size_t *len) {
    char *text = malloc((size_t)n * (size_t)bitnet_vocab_max_text(v) + 1);
    assert_non_null(text);
    *len = 0;
    for (int32_t i = 0; i < n; i++) {
        int32_t step = bitnet_vocab_text(v, ids[i], text + *len, bitnet_vocab_max_text(v));
        assert_true(step >= 0 && step <= bitnet_vocab_max_text(v));
        *len += (size_t)step;
    }
    return text;
}

/* What bitnet_vocab_detokenize gives; the caller frees it. */
static inline char *detokenized(const bitnet_vocab *v, const bitnet_token *ids, int32_t n,
                                size_t *len) {
    int32_t need = bitnet_vocab_detokenize(v, ids, n, NULL, 0);
    assert_true(need >= 0);
    char *text = malloc((size_t)need + 1);
    assert_non_null(text);
    assert_int_equal(bitnet_vocab_detokenize(v, ids, n, text, need), need);
    text[need] = 0;
    *len = (size_t)need;
    return text;
}

/* Encodes text of any length; the caller frees the ids. */
static inline bitnet_token *encode_all(const bitnet_vocab *v, const char *text, size_t len,
                                       uint32_t flags, int32_t *n) {
    const size_t cap = 3 * len + 5; /* bytes of U+FFFD each, a space in front, BOS, EOS */
    bitnet_token *ids = malloc(cap * sizeof *ids);
    assert_non_null(ids);
    *n = bitnet_vocab_encode(v, text, len, flags, ids, (int32_t)cap);
    assert_true(*n >= 0);
    return ids;
}

#endif
