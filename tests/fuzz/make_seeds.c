/* make_seeds.c: writes starting inputs for the fuzzers into a folder that exists.
 *
 *     make_seeds FOLDER     FOLDER/gguf-* for fuzz_gguf, FOLDER/tok-* for fuzz_tokenizer
 *
 * Small and sound, and together they hold every value type, several tensor types and every kind of
 * token, so that a mutation has something to break.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bitnet/backend.h"
#include "gguf_writer.h"

static const char *folder;

static void save(const char *name, const gguf_bytes *b) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(b->p, 1, b->n, f) != b->n || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

static void put_all_types(gguf_writer *w) {
    static const uint8_t bytes[16] = {1, 0, 1};
    static const uint32_t types[] = {0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12};
    static const size_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 8, 8};
    char key[16];
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        snprintf(key, sizeof key, "key.%zu", i);
        gguf_put_key(w, key, types[i]);
        gguf_bytes_put(&w->kv, bytes, sizes[i]);
        snprintf(key, sizeof key, "array.%zu", i);
        gguf_put_array(w, key, types[i], 2);
        gguf_bytes_put(&w->kv, bytes, 2 * sizes[i]);
    }
    gguf_put_str(w, "general.architecture", "bitnet-b1.58");
    gguf_put_strs(w, "words", (const char *const[]){"a", "", "\xff"}, 3);
}

static void save_gguf(const char *name, uint32_t version, uint32_t alignment) {
    static const uint8_t zeros[512];
    gguf_writer w;
    gguf_writer_init(&w);
    w.version = version;
    w.alignment = alignment;
    put_all_types(&w);
    if (alignment != 32) gguf_put_u32(&w, "general.alignment", alignment);
    gguf_put_tensor(&w, "norm", BITNET_TYPE_F32, 1, (int64_t[]){4}, zeros, 16);
    gguf_put_tensor(&w, "embd", BITNET_TYPE_F16, 2, (int64_t[]){4, 3}, zeros, 24);
    gguf_put_tensor(&w, "codes", BITNET_TYPE_I2_S, 2, (int64_t[]){128, 2}, zeros, 96);
    gguf_put_tensor(&w, "q4", 2, 3, (int64_t[]){32, 2, 2}, zeros, 72);
    gguf_put_tensor(&w, "tq", 35, 4, (int64_t[]){256, 1, 1, 1}, zeros, 66);
    save(name, gguf_writer_finish(&w));
    gguf_writer_free(&w);
}

static void save_vocab(const char *name, uint8_t flags, const char *text) {
    gguf_writer w;
    tiny_vocab t;
    gguf_bytes seed = {0};
    tiny_vocab_init(&t);
    gguf_writer_init(&w);
    tiny_vocab_merge(&t, "h e");
    tiny_vocab_merge(&t, "l l");
    tiny_vocab_merge(&t, "he ll");
    tiny_vocab_merge(&t, "\xc4\xa0 he");
    tiny_vocab_add(&t, "<unk>", 2);
    gguf_put_u32(&w, "tokenizer.ggml.bos_token_id", (uint32_t)tiny_vocab_add(&t, "<s>", 3));
    gguf_put_u32(&w, "tokenizer.ggml.eos_token_id", (uint32_t)tiny_vocab_add(&t, "<|eot_id|>", 3));
    gguf_put_bool(&w, "tokenizer.ggml.add_bos_token", true);
    tiny_vocab_add(&t, "  ", 4);
    tiny_vocab_add(&t, "word", 1);
    tiny_vocab_put(&t, &w);
    gguf_writer_finish(&w);
    gguf_bytes_put(&seed, (const uint8_t[]){flags, (uint8_t)strlen(text)}, 2);
    gguf_bytes_put(&seed, text, strlen(text));
    gguf_bytes_put(&seed, w.file.p, w.file.n);
    save(name, &seed);
    free(seed.p);
    tiny_vocab_free(&t);
    gguf_writer_free(&w);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: make_seeds FOLDER\n");
        return 64;
    }
    folder = argv[1];
    save_gguf("gguf-v3", 3, 32);
    save_gguf("gguf-v2", 2, 8);
    save_gguf("gguf-aligned-256", 3, 256);
    save_vocab("tok-plain", 1, " hello hell  word\n\n12345 it's");
    save_vocab("tok-special", 3, "<s>hello<|eot_id|>  \xf0\x9f\x98\x81\xff");
    save_vocab("tok-no-flags", 0, "<s>\xe4\xb8\xad 'll !!!\r\n");
    return 0;
}
