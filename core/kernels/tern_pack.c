/* tern_pack.c: rows of ternary codes as files hold them -> the groups that tern_matmul reads.
 *
 * In a file's row (layout A, formats page 1.7) number j of each 128 weights lies in byte j % 32, in
 * the field 3 - j / 32; in a group, weights 4 f + i of sixteen lie in field f of byte i. So the four
 * words of 32 bits in half a block are a 4 x 4 matrix of 2-bit fields, in each of their four bytes,
 * and what is wanted is its transpose: two rounds of swaps (Hacker's Delight, 7-3).
 */
#include "kernels/kernels.h"

/* Swaps the fields of a that mask << shift selects with those of b that mask selects. */
static inline void swap_fields(uint64_t *a, uint64_t *b, int shift, uint64_t mask) {
    uint64_t t = ((*a >> shift) ^ *b) & mask;
    *b ^= t;
    *a ^= t << shift;
}

static inline uint64_t two_words(const uint8_t *low, const uint8_t *high) {
    uint32_t l, h;
    memcpy(&l, low, 4);
    memcpy(&h, high, 4);
    return (uint64_t)h << 32 | l;
}

/* 128 weights of one row. out: its word in vector 0; both halves are done side by side. */
static inline void pack_block(uint8_t *out, const uint8_t *in) {
    uint64_t w[4];
    for (int f = 0; f < 4; f++)
        w[f] = two_words(in + 4 * f, in + 16 + 4 * f);
    swap_fields(&w[0], &w[1], 2, 0x3333333333333333u);
    swap_fields(&w[2], &w[3], 2, 0x3333333333333333u);
    swap_fields(&w[0], &w[2], 4, 0x0f0f0f0f0f0f0f0fu);
    swap_fields(&w[1], &w[3], 4, 0x0f0f0f0f0f0f0f0fu);
    for (int q = 0; q < 4; q++) { /* weights 32 q .. of the block */
        uint32_t low = (uint32_t)w[3 - q], high = (uint32_t)(w[3 - q] >> 32);
        memcpy(out + 64 * (2 * q), &low, 4);
        memcpy(out + 64 * (2 * q + 1), &high, 4);
    }
}

void bitnet_tern_pack(uint8_t *group, const uint8_t *rows, int32_t n_rows, int32_t k) {
    const ptrdiff_t row_size = k / 4;
    if (n_rows < BITNET_ROW_GROUP) memset(group, 0x55, (size_t)k * 4); /* code 1, weight 0 */
    for (ptrdiff_t b = 0; b < k / BITNET_K_BLOCK; b++)
        for (int r = 0; r < n_rows && r < BITNET_ROW_GROUP; r++)
            pack_block(group + 64 * 8 * b + 4 * r, rows + r * row_size + 32 * b);
}

/* Eight bytes of four rows that lie 64 apart: of 8 columns in each quarter of a block of 128. Field f of
 * byte i of out[q] is the weight of row f and column 32 q + i: the same transpose again. */
static inline void pack_quarters(uint64_t out[4], const uint8_t *const row[4], ptrdiff_t at) {
    uint64_t w[4];
    for (int f = 0; f < 4; f++)
        memcpy(&w[f], row[f] + at, 8);
    swap_fields(&w[0], &w[1], 2, 0x3333333333333333u);
    swap_fields(&w[2], &w[3], 2, 0x3333333333333333u);
    swap_fields(&w[0], &w[2], 4, 0x0f0f0f0f0f0f0f0fu);
    swap_fields(&w[1], &w[3], 4, 0x0f0f0f0f0f0f0f0fu);
    for (int q = 0; q < 4; q++)
        out[q] = w[3 - q];
}

/* Byte p of 128 columns, of rows row[0 .. 3]. */
static void pack_col_byte(uint8_t tile[BITNET_K_BLOCK][64], int p, const uint8_t *const row[4]) {
    for (int i = 0; i < 32; i += 8) {
        uint64_t out[4];
        pack_quarters(out, row, i);
        for (int q = 0; q < 4; q++)
            for (int b = 0; b < 8; b++)
                tile[32 * q + i + b][p] = (uint8_t)(out[q] >> (8 * b));
    }
}

void bitnet_tern_pack_cols(uint8_t *cols, ptrdiff_t ld, const uint8_t *rows, int32_t n_rows,
                           int32_t k) {
    static const uint8_t missing[32] = {0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55,
                                        0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55,
                                        0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55,
                                        0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55};
    uint8_t tile[BITNET_K_BLOCK][64];
    for (ptrdiff_t b = 0; b < k / BITNET_K_BLOCK; b++) {
        for (int r = 0; r < 64; r++) {
            const uint8_t *row[4];
            for (int f = 0; f < 4; f++)
                row[f] = 64 * f + r < n_rows ? rows + (64 * f + r) * (ptrdiff_t)(k / 4) + 32 * b
                                             : missing;
            pack_col_byte(tile, 16 * (r % 16 / 4) + 4 * (r / 16) + r % 4, row);
        }
        for (int j = 0; j < BITNET_K_BLOCK; j++)
            memcpy(cols + (b * BITNET_K_BLOCK + j) * ld, tile[j], 64);
    }
}
