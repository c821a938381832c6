/* check_tern_sparse.c: tern_rows and tern_cols: empty and full lists, tails of rows, columns and blocks,
 * inputs that reach the bounds of the narrow accumulators; and that what they make of the rows of a file
 * is what tern_matmul makes of them, to the bit.
 */
#include "check.h"

typedef struct matrix {
    uint8_t *file, *groups, *cols; /* in layout A; packed for tern_matmul, for tern_cols */
    ptrdiff_t ld;
    int8_t *xq;
    float s, w_scale;
    int32_t xsum, n, k;
} matrix;

static matrix make_matrix(check *c, int32_t n, int32_t k, check_fill f) {
    const size_t row_size = (size_t)k / 4;
    const int32_t n_groups = (n + 15) / 16, n_pieces = (n + 255) / 256;
    matrix m = {.n = n, .k = k, .ld = 64 * (ptrdiff_t)n_pieces + 64};
    m.file = check_codes(c, (size_t)n * (size_t)k, f);
    m.groups = check_alloc(c, (size_t)n_groups * 16 * row_size);
    m.cols = check_alloc(c, (size_t)m.ld * (size_t)k);
    m.xq = check_i8(c, (size_t)k, f);
    m.s = 50.0f + 49.0f * check_unit(c);
    if (f == CHECK_MAX) m.s *= 0x1p-126f; /* huge activations: their products are infinite */
    m.w_scale = 1.0f + check_unit(c) * 0.5f;
    for (int32_t g = 0; g < n_groups; g++)
        bitnet_tern_pack(m.groups + (size_t)g * 16 * row_size, m.file + (size_t)g * 16 * row_size,
                         n - 16 * g, k);
    for (int32_t i = 0; i < n_pieces; i++)
        bitnet_tern_pack_cols(m.cols + 64 * i, m.ld, m.file + (size_t)i * 256 * row_size,
                              n - 256 * i, k);
    return m;
}

/* What the product of all rows and columns is. */
static float *dense(check *c, matrix *m) {
    float *y = check_alloc(c, (size_t)m->n * sizeof *y);
    m->xsum = 0;
    for (int32_t j = 0; j < m->k; j++)
        m->xsum += m->xq[j];
    bitnet_tern_matmul_c(
        &(bitnet_tern_args){y, m->n, m->groups, m->xq, &m->s, &m->xsum, m->w_scale, m->n, m->k, 1});
    return y;
}

/* One in `of` of n, from the first on; 0: none. */
static int32_t make_list(check *c, int32_t **out, int32_t n, uint32_t of) {
    int32_t *list = check_alloc(c, (size_t)n * sizeof *list), len = 0;
    for (int32_t i = 0; i < n; i++)
        if (of > 0 && (of == 1 || i == 0 || check_below(c, of) == 0)) list[len++] = i;
    *out = list;
    return len;
}

static const uint32_t densities[] = {0, 1, 2, 5, 50};

static void compare_rows(check *c, bitnet_tern_rows_fn fn, int32_t n, int32_t k, uint32_t of,
                         check_fill f) {
    check_shape(c, "n=%d k=%d, one row in %u, %s", (int)n, (int)k, (unsigned)of,
                check_fill_name(f));
    matrix m = make_matrix(c, n, k, f);
    float *want = check_alloc(c, (size_t)n * sizeof *want), *all = dense(c, &m);
    int32_t *row, n_row = make_list(c, &row, n, of);
    float *y = check_alloc(c, (size_t)n * sizeof *y);
    for (int32_t i = 0; i < n_row; i++)
        want[row[i]] = all[row[i]];
    fn(&(bitnet_tern_rows_args){y, row, m.file, m.xq, m.s, m.xsum, m.w_scale, n_row, k});
    check_same(c, "y", CHECK_F32, y, want, (size_t)n);
}

void check_tern_rows(check *c, bitnet_tern_rows_fn fn) {
    static const int32_t ks[] = {128, 256, 384, 2048, 2176, 2560, 6912};
    for (size_t i = 0; i < sizeof ks / sizeof ks[0]; i++)
        for (size_t j = 0; j < sizeof densities / sizeof densities[0]; j++)
            for (int f = 0; f < CHECK_N_FILLS; f++)
                compare_rows(c, fn, 37, ks[i], densities[j], (check_fill)f);
}

static void compare_cols(check *c, bitnet_tern_cols_fn fn, int32_t n, int32_t k, uint32_t of,
                         check_fill f) {
    check_shape(c, "n=%d k=%d, one column in %u, %s", (int)n, (int)k, (unsigned)of,
                check_fill_name(f));
    matrix m = make_matrix(c, n, k, f);
    int32_t *col, n_col = make_list(c, &col, k, of), at = 0;
    int8_t *x = check_alloc(c, (size_t)n_col);
    for (int32_t j = 0; j < k; j++) {
        if (at < n_col && col[at] == j)
            x[at++] = m.xq[j];
        else
            m.xq[j] = 0;
    }
    float *want = dense(c, &m), *y = check_alloc(c, (size_t)n * sizeof *y);
    fn(&(bitnet_tern_cols_args){y, m.cols, m.ld, col, x, m.s, m.xsum, m.w_scale, n, n_col});
    check_same(c, "y", CHECK_F32, y, want, (size_t)n);
}

void check_tern_cols(check *c, bitnet_tern_cols_fn fn) {
    static const int32_t ns[] = {0, 1, 3, 16, 63, 130, 255, 256, 257, 600}, ks[] = {128, 384, 1152};
    for (size_t i = 0; i < sizeof ns / sizeof ns[0]; i++)
        for (size_t l = 0; l < sizeof ks / sizeof ks[0]; l++)
            for (size_t j = 0; j < sizeof densities / sizeof densities[0]; j++)
                for (int f = 0; f < CHECK_N_FILLS; f++)
                    if (f == CHECK_RANDOM || ns[i] == 257)
                        compare_cols(c, fn, ns[i], ks[l], densities[j], (check_fill)f);
}
