/* state.c: see state.h. Everything is checked before the timeline is touched. */
#include "engine/state.h"

#include <string.h>

#include "base/base.h"
#include "base/hash.h"

#define VERSION     1
#define HEADER_SIZE 48
static const char magic[8] = {'B', 'I', 'T', 'N', 'E', 'T', 'K', 'V'};

typedef struct header {
    uint32_t version, type_k, type_v, n_tokens;
    uint64_t fingerprint, cache_size, checksum;
} header;

static void put(uint8_t *out, uint64_t v, int n) {
    for (int i = 0; i < n; i++)
        out[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get(const uint8_t *in, int n) {
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v |= (uint64_t)in[i] << (8 * i);
    return v;
}

static header read_header(const uint8_t *d) {
    return (header){.version = (uint32_t)get(d + 8, 4),
                    .type_k = (uint32_t)get(d + 12, 4),
                    .type_v = (uint32_t)get(d + 16, 4),
                    .n_tokens = (uint32_t)get(d + 20, 4),
                    .fingerprint = get(d + 24, 8),
                    .cache_size = get(d + 32, 8),
                    .checksum = get(d + 40, 8)};
}

/* Four words at a time, each in a lane of its own: a cache can be gigabytes, and one chain of multiplies
 * would take a second for each. */
static uint64_t checksum_of(const uint8_t *d, size_t n) {
    uint64_t lane[4] = {n, 1, 2, 3};
    size_t at = 0;
    for (; n - at >= 32; at += 32)
        for (int i = 0; i < 4; i++) {
            uint64_t word;
            memcpy(&word, d + at + 8 * i, 8);
            lane[i] = hash_word(lane[i], word);
        }
    for (; at < n; at++)
        lane[0] = hash_word(lane[0], d[at]);
    return hash_word(hash_word(hash_word(lane[0], lane[1]), lane[2]), lane[3]);
}

void bitnet_state_seal(uint8_t *state, size_t size) {
    put(state + 40, checksum_of(state + HEADER_SIZE, size - HEADER_SIZE), 8);
}

uint64_t bitnet_state_size(const bitnet_ctx *ctx, const bitnet_model *m) {
    int32_t n = bitnet_ctx_len(ctx);
    return HEADER_SIZE + (uint64_t)n * sizeof(bitnet_token) + bitnet_model_ctx_size(m, n);
}

void bitnet_state_write(const bitnet_ctx *ctx, const bitnet_model *m, uint8_t *out) {
    const int32_t n = bitnet_ctx_len(ctx);
    const bitnet_token *tok = bitnet_ctx_tokens(ctx);
    uint8_t *const tokens = out + HEADER_SIZE, *const cache = tokens + (size_t)n * sizeof *tok;
    const size_t cache_size = (size_t)bitnet_model_ctx_size(m, n);
    for (int32_t i = 0; i < n; i++)
        put(tokens + 4 * (size_t)i, (uint32_t)tok[i], 4);
    if (n > 0) bitnet_ctx_save(ctx, 0, n, cache, cache_size);
    memcpy(out, magic, sizeof magic);
    put(out + 8, VERSION, 4);
    put(out + 12, (uint32_t)m->type_k, 4);
    put(out + 16, (uint32_t)m->type_v, 4);
    put(out + 20, (uint32_t)n, 4);
    put(out + 24, bitnet_model_get_info(m).fingerprint, 8);
    put(out + 32, cache_size, 8);
    bitnet_state_seal(out, (size_t)(cache - out) + cache_size);
}

static bitnet_status check_origin(const header *h, const bitnet_model *m, bitnet_error *err) {
    if (h->version != VERSION)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "state.version",
                           "the saved state has version %u; this library reads version %d",
                           h->version, VERSION);
    if (h->type_k != (uint32_t)m->type_k || h->type_v != (uint32_t)m->type_v)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "state.cache_type",
                           "the saved state has keys and values of types %u and %u, and this model "
                           "was loaded with types %d and %d",
                           h->type_k, h->type_v, (int)m->type_k, (int)m->type_v);
    if (h->fingerprint != bitnet_model_get_info(m).fingerprint)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "state.model",
                           "the saved state is of another model");
    return BITNET_OK;
}

static bitnet_status check(const header *h, const bitnet_model *m, int32_t n_ctx,
                           const uint8_t *data, size_t size, bitnet_error *err) {
    bitnet_status st = check_origin(h, m, err);
    if (st < 0) return st;
    if (h->n_tokens > (uint32_t)n_ctx)
        return bitnet_fail(err, BITNET_E_CTX_FULL, "state.ctx",
                           "the saved state has %u tokens and the context window has room for %d",
                           h->n_tokens, n_ctx);
    const uint64_t cache_size = bitnet_model_ctx_size(m, (int32_t)h->n_tokens),
                   want = HEADER_SIZE + (uint64_t)h->n_tokens * sizeof(bitnet_token) + cache_size;
    if (size != want || h->cache_size != cache_size)
        return bitnet_fail(err, BITNET_E_FORMAT, "state.length",
                           "the saved state has %zu bytes; its %u tokens take %llu", size,
                           h->n_tokens, (unsigned long long)want);
    if (checksum_of(data + HEADER_SIZE, size - HEADER_SIZE) != h->checksum)
        return bitnet_fail(err, BITNET_E_FORMAT, "state.checksum", "the saved state is damaged");
    for (uint32_t i = 0; i < h->n_tokens; i++) {
        uint64_t token = get(data + HEADER_SIZE + 4 * (size_t)i, 4);
        if (token >= (uint64_t)m->hp.n_vocab)
            return bitnet_fail(err, BITNET_E_FORMAT, "state.token",
                               "token %u of the saved state is %llu; the vocabulary has 0 to %d", i,
                               (unsigned long long)token, m->hp.n_vocab - 1);
    }
    return BITNET_OK;
}

bitnet_status bitnet_state_read(bitnet_ctx *ctx, const bitnet_model *m, const uint8_t *data,
                                size_t size, bitnet_error *err) {
    if (size < HEADER_SIZE || memcmp(data, magic, sizeof magic) != 0)
        return bitnet_fail(err, BITNET_E_FORMAT, "state.magic",
                           "%zu bytes that do not begin with \"BITNETKV\" are no saved state",
                           size);
    const header h = read_header(data);
    const int32_t n = (int32_t)h.n_tokens;
    bitnet_status st = check(&h, m, bitnet_ctx_size(ctx), data, size, err);
    if (st < 0) return st;
    if (n == 0) {
        bitnet_ctx_clear(ctx);
        return BITNET_OK;
    }
    const size_t tokens_size = (size_t)n * sizeof(bitnet_token);
    bitnet_token *tok = bitnet_alloc(&m->allocator, tokens_size);
    if (!tok) return bitnet_fail(err, BITNET_E_NOMEM, "state.memory", "no memory for %d tokens", n);
    for (int32_t i = 0; i < n; i++)
        tok[i] = (bitnet_token)get(data + HEADER_SIZE + 4 * (size_t)i, 4);
    st = bitnet_ctx_load(ctx, tok, 0, n, data + HEADER_SIZE + tokens_size, (size_t)h.cache_size);
    bitnet_free(&m->allocator, tok, tokens_size);
    return st < 0 ? bitnet_fail(err, st, "state.load", "loading the saved state failed: %s",
                                bitnet_status_text(st))
                  : BITNET_OK;
}
