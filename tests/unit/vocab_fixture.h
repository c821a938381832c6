/* vocab_fixture.h: what the tests of the tokenizer share: vocabularies made in memory or read from
 * files. */
#ifndef BITNET_TEST_VOCAB_FIXTURE_H
#define BITNET_TEST_VOCAB_FIXTURE_H

#include "load_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* NULL, with a line that says so, where the published vectors are not beside the tree. */
static inline bitnet_vocab *llama3_vocab(void) {
    FILE *probe = fopen(BITNET_SOURCE_DIR "/../shared/vectors/llama3-vocab.gguf", "rb");
    if (!probe) {
        print_message("skipped: ../shared/vectors/llama3-vocab.gguf is not here\n");
        return NULL;
    }
    fclose(probe);
    gguf_bytes f = {0};
    f.p = (uint8_t *)test_file_read("../shared/vectors/llama3-vocab.gguf", &f.n);
    bitnet_vocab *v = vocab_of_file(&f, 128256);
    free(f.p);
    return v;
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

/* Encodes text of any length; the caller frees the ids. */
static inline bitnet_token *encode_all(const bitnet_vocab *v, const char *text, size_t len,
                                       uint32_t flags, int32_t *n) {
    bitnet_token *ids = malloc((3 * len + 1) * sizeof *ids);
    assert_non_null(ids);
    *n = bitnet_vocab_encode(v, text, len, flags, ids, (int32_t)(3 * len + 1));
    assert_true(*n >= 0);
    return ids;
}

#endif
