/* fuzz_hf.c: any texts as a Hugging Face folder, beside sound weights.
 *
 *     input   config.json | 0 | tokenizer.json | 0 | tokenizer_config.json | 0 |
 *             generation_config.json | 0 | model.safetensors.index.json
 *
 * Texts may be missing from the end. The reader gives a directory or an error, the same through
 * mappings and reads, within its memory, whichever allocation fails; a directory can be visited byte by
 * byte, and its vocabulary either is refused or encodes text.
 */
#include "fuzz_text.h"

#include "count_alloc.h"
#include "format/hf.h"
#include "hf_writer.h"
#include "text/tokenizer.h"

static const char *const names[] = {"config.json", "tokenizer.json", "tokenizer_config.json",
                                    "generation_config.json", "model.safetensors.index.json"};
enum { N_NAMES = sizeof names / sizeof *names };
#define WEIGHTS "model.safetensors"

static volatile uint8_t sink;

static void put_weights(hf_folder *f) {
    static const uint8_t zeros[128];
    static const uint8_t half[] = {0x00, 0x3f}; /* BF16 */
    hf_tensor(f, WEIGHTS, "model.embed_tokens.weight", "F16", "[7,8]", zeros, 112);
    hf_tensor(f, WEIGHTS, "lm_head.weight", "BF16", "[7,8]", zeros, 112);
    hf_tensor(f, WEIGHTS, "model.layers.0.self_attn.q_proj.weight", "U8", "[2,8]", zeros, 16);
    hf_tensor(f, WEIGHTS, "model.layers.0.self_attn.q_proj.weight_scale", "BF16", "[1]", half, 2);
    hf_tensor(f, WEIGHTS, "model.layers.0.mlp.up_proj.weight", "F32", "[4,8]", zeros, 128);
    hf_tensor(f, WEIGHTS, "model.layers.0.mlp.ffn_layernorm.weight", "F32", "[8]", zeros, 32);
}

static void touch(const uint8_t *p, uint64_t n) {
    for (uint64_t i = 0; i < n; i++)
        sink ^= p[i];
}

static void walk(const bitnet_dir *dir, const hf_folder *f) {
    for (uint32_t i = 0; i < dir->n_meta; i++) {
        const bitnet_meta *m = &dir->meta[i];
        const char *s;
        size_t len;
        uint64_t pos = 0, n = 0;
        ORACLE(bitnet_dir_meta(dir, m->key) == m);
        touch(m->data, m->size);
        while (bitnet_meta_next_str(m, &pos, &s, &len))
            touch((const uint8_t *)s, len), n++;
        ORACLE(n == (m->type == BITNET_META_ARR && m->elem == BITNET_META_STR ? m->n : 0));
    }
    for (uint32_t i = 0; i < dir->n_tensor; i++) {
        const bitnet_tensor_entry *t = &dir->tensor[i];
        ORACLE(bitnet_dir_tensor(dir, t->name) == t);
        ORACLE(t->file < dir->n_file && t->scale != 0);
        const gguf_bytes *file = &f->whole[t->file];
        ORACLE(t->size <= file->n && t->offset <= file->n - t->size);
        const bitnet_type_info *info = bitnet_type_get_info(t->type);
        ORACLE(info && t->n_dims >= 1 && t->n_dims <= 2 && t->ne[0] >= 1 && t->ne[1] >= 1);
        ORACLE((uint64_t)(t->ne[0] * t->ne[1]) / info->block * info->block_size == t->size);
    }
}

static void encode(const bitnet_dir *dir) {
    bitnet_vocab *v = NULL;
    bitnet_error err = {0};
    bitnet_token ids[64];
    bitnet_status st = bitnet_vocab_create(&v, dir, "bitnet-b1.58", 1 << 20, NULL, &err);
    ORACLE(st == BITNET_OK || (err.id && err.text[0]));
    if (!v) return;
    int32_t n = bitnet_vocab_encode(v, "ab abc<s> a", 11, BITNET_TOKENIZE_SPECIAL, ids, 64);
    ORACLE(n >= 0 && n <= 64);
    for (int32_t i = 0; i < n; i++)
        ORACLE(ids[i] >= 0 && ids[i] < bitnet_vocab_size(v));
    bitnet_vocab_free(v);
}

static bitnet_status read_once(hf_folder *f, size_t size, bool is_mapped, long fail_at,
                               bitnet_error *err) {
    count_alloc c = {.fail_at = fail_at};
    bitnet_allocator a = count_alloc_of(&c);
    const bitnet_file *files = hf_files(f, is_mapped);
    bitnet_dir dir;
    bitnet_status st = bitnet_hf_read(&dir, files, f->n, &a, err);
    ORACLE(c.peak <= 8 * size + ((size_t)1 << 20));
    ORACLE(st == BITNET_OK || (st < 0 && err->status == st && err->id && err->text[0]));
    if (st == BITNET_OK) walk(&dir, f);
    if (st == BITNET_OK && is_mapped) encode(&dir);
    bitnet_dir_free(&dir);
    ORACLE(c.live == 0);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    hf_folder f = {0};
    size_t at = 0;
    for (int i = 0; i < N_NAMES && at <= size; i++) {
        const uint8_t *end = size > at ? memchr(data + at, 0, size - at) : NULL;
        size_t n = end ? (size_t)(end - data) - at : size - at;
        if (n > 0) gguf_bytes_put(hf_file(&f, names[i]), data + at, n);
        at += n + 1;
    }
    put_weights(&f);
    bitnet_error mapped = {0}, plain = {0}, failed = {0};
    ORACLE(read_once(&f, size, true, 0, &mapped) == read_once(&f, size, false, 0, &plain));
    ORACLE(strcmp(mapped.text, plain.text) == 0);
    read_once(&f, size, false, 1 + (long)(size % 40), &failed);
    hf_free(&f);
    return 0;
}
