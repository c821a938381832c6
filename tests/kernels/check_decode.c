/* check_decode.c: the block decoders on random bytes, with scales that are zero, tiny and large, of one
 * block and several, at an odd address. The C variants are the formats' definitions, which
 * tests/unit/test_blocks.c holds to recorded vectors; here an independent sum over the first block shows
 * that anything was written at all.
 */
#include <string.h>

#include "check.h"

typedef struct format {
    bitnet_decode_q8_0_fn reference;
    int32_t block, size; /* weights, bytes */
    int32_t scale_at, n_scales;
} format;

static const uint16_t scales[] = {0x3c00, 0x0000, 0x8001,
                                  0x2e66, 0xbc00, 0x7bff}; /* f16; 1 first */
#define N_SCALES (int32_t)(sizeof scales / sizeof *scales)

/* b blocks of random bytes; s turns the list of scales. */
static uint8_t *make_blocks(check *c, const format *f, int32_t n_blocks, int32_t s) {
    size_t size = (size_t)(f->size * n_blocks);
    uint8_t *p = (uint8_t *)check_alloc(c, size + 1) + 1;
    for (size_t i = 0; i < size; i++)
        p[i] = (uint8_t)check_below(c, 256);
    for (int32_t b = 0; b < n_blocks; b++)
        for (int32_t k = 0; k < f->n_scales; k++)
            memcpy(p + b * f->size + f->scale_at + 2 * k, &scales[(s + b + k) % N_SCALES], 2);
    return p;
}

static void check_format(check *c, bitnet_decode_q8_0_fn fn, const format *f) {
    for (int32_t n_blocks = 1; n_blocks <= 5; n_blocks++)
        for (int32_t s = 0; s < N_SCALES; s++) {
            check_shape(c, "%d blocks, scales from %d", (int)n_blocks, (int)s);
            size_t n = (size_t)(n_blocks * f->block);
            const uint8_t *blocks = make_blocks(c, f, n_blocks, s);
            float *got = check_alloc(c, n * sizeof *got), *want = check_alloc(c, n * sizeof *want);
            fn(got, blocks, (int64_t)n);
            f->reference(want, blocks, (int64_t)n);
            check_same(c, "y", CHECK_F32, got, want, n);
            int n_nonzero = 0;
            for (int32_t i = 0; i < f->block; i++)
                n_nonzero += got[i] != 0.0f;
            check_true(c, s != 0 || n_nonzero > f->block / 2, "only %d of %d weights are not 0",
                       n_nonzero, (int)f->block);
        }
}

void check_decode_q8_0(check *c, bitnet_decode_q8_0_fn fn) {
    check_format(c, fn, &(format){bitnet_decode_q8_0_c, 32, 34, 0, 1});
}

void check_decode_q6_k(check *c, bitnet_decode_q6_k_fn fn) {
    check_format(c, fn, &(format){bitnet_decode_q6_k_c, 256, 210, 208, 1});
}

void check_decode_q4_k(check *c, bitnet_decode_q4_k_fn fn) {
    check_format(c, fn, &(format){bitnet_decode_q4_k_c, 256, 144, 0, 2});
}

void check_decode_q4_0(check *c, bitnet_decode_q4_0_fn fn) {
    check_format(c, fn, &(format){bitnet_decode_q4_0_c, 32, 18, 0, 1});
}
