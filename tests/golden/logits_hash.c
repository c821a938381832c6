/* logits_hash.c: logits_hash MODEL TEXT. Runs a model over the first 250 bytes of a text, prefill and then
 * eight tokens one at a time, on every kernel variant of this machine, and prints one hash of all logits,
 * which must be the same for all of them, and on every machine. Needs nothing but the library, so that it
 * can be cross-built: ./test compares what it prints here with what it prints under an emulator.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "bitnet/bitnet.h"

enum { TEXT_SIZE = 250, MAX_TOKENS = 250, N_DECODED = 8 };

typedef struct bytes {
    char *data;
    size_t size;
} bytes;

static bitnet_status bytes_read(void *ctx, uint64_t off, void *dst, size_t n) {
    memcpy(dst, ((const bytes *)ctx)->data + off, n);
    return BITNET_OK;
}

static const void *bytes_map(void *ctx, uint64_t off, size_t n) {
    (void)n;
    return ((const bytes *)ctx)->data + off;
}

/* The first part of a file, as much of it as max; data is NULL when it cannot be read. */
static bytes file_load(const char *path, size_t max) {
    bytes b = {NULL, 0};
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END)) return b;
    b.size = (size_t)ftell(f) < max ? (size_t)ftell(f) : max;
    rewind(f);
    b.data = aligned_alloc(64, (b.size + 63) / 64 * 64);
    if (b.data && fread(b.data, 1, b.size, f) != b.size) {
        free(b.data);
        b.data = NULL;
    }
    fclose(f);
    return b;
}

/* 0: something failed, and err may say what */
static uint64_t hash_of_run(bitnet_source *source, const bytes *text, uint32_t mask,
                            int32_t n_batch, bitnet_error *err) {
    bitnet_model *model = NULL;
    bitnet_ctx *ctx = NULL;
    bitnet_token ids[MAX_TOKENS];
    uint64_t hash = 0;
    const bitnet_model_desc md = {.source = source, .n_threads = 2, .cpu_mask = mask};
    if (bitnet_model_load(&model, &md, err) < 0) goto done;
    const bitnet_ctx_desc cd = {.model = model, .n_batch = n_batch};
    if (bitnet_ctx_create(&ctx, &cd, err) < 0) goto done;
    const size_t row_size = (size_t)bitnet_model_get_info(model).n_vocab * sizeof(float);
    const int32_t n = bitnet_tokenize(model, text->data, text->size, 0, ids, MAX_TOKENS);
    if (n <= N_DECODED || n > MAX_TOKENS || bitnet_ctx_sync(ctx, ids, n - N_DECODED) < 0) goto done;
    hash = hash_fnv1a(bitnet_ctx_logits(ctx), row_size);
    for (int32_t i = n - N_DECODED; i < n; i++) {
        const bool is_ok = bitnet_ctx_decode(ctx, ids[i]) >= 0;
        hash = is_ok ? hash_word(hash, hash_fnv1a(bitnet_ctx_logits(ctx), row_size)) : 0;
        if (!is_ok) break;
    }
done:
    bitnet_ctx_free(ctx);
    bitnet_model_free(model);
    return hash;
}

int main(int argc, char **argv) {
    static const int32_t batches[] = {7, 64};
    bytes model = {0}, text = {0};
    uint64_t first = 0;
    if (argc == 3) model = file_load(argv[1], SIZE_MAX), text = file_load(argv[2], TEXT_SIZE);
    if (!model.data || !text.data) {
        fprintf(stderr, "usage: %s MODEL TEXT\n", argv[0]);
        return 66;
    }
    bitnet_source source = {
        .size = model.size, .read = bytes_read, .map = bytes_map, .ctx = &model};
    const bitnet_cpu_tier *tier;
    for (int32_t v = 0; (tier = bitnet_cpu_tier_at(v)); v++) {
        if (tier->flag & ~bitnet_cpu_flags()) continue;
        for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
            bitnet_error err = {0};
            uint64_t hash = hash_of_run(&source, &text, tier->mask, batches[i], &err);
            if (!first) first = hash;
            if (hash && hash == first) continue;
            fprintf(stderr, "%s, batches of %d: %016llx, but %016llx at first. %s\n", tier->name,
                    (int)batches[i], (unsigned long long)hash, (unsigned long long)first, err.text);
            return 1;
        }
        fprintf(stderr, "%s is the same\n", tier->name);
    }
    printf("%016llx\n", (unsigned long long)first);
    free(model.data);
    free(text.data);
    return 0;
}
