/* store_cell.c: see store_cell.h. The one place where samples are put together, for both databases
 * and for every resolution. */
#include "dash/store_cell.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "dash/store_parts.h"

enum { SERIES_MAX = 1 << 20 }; /* a damaged number must not ask for all memory */

static bitnet_status keep_blob(store_cell *c, const void *blob, size_t n, bitnet_error *err) {
    uint8_t *copy = malloc(n);
    if (!copy) return store_no_memory(err);
    memcpy(copy, blob, n);
    free(c->blob);
    c->blob = copy;
    c->blob_size = n;
    return BITNET_OK;
}

static bitnet_status add_blob(store_cell *c, const void *blob, size_t n, bitnet_error *err) {
    buckets sum, more;
    uint8_t out[BUCKETS_BLOB_MAX];
    if (n == 0) return BITNET_OK;
    if (!buckets_decode(&more, blob, n))
        return bitnet_fail(err, BITNET_E_FORMAT, "store.corrupt",
                           "a histogram of %zu bytes in the history is not one", n);
    if (!c->blob) return keep_blob(c, blob, n, err);
    buckets_decode(&sum, c->blob, c->blob_size);
    buckets_merge(&sum, &more);
    return keep_blob(c, out, buckets_encode(&sum, out), err);
}

bitnet_status store_cell_merge(store_cell *into, const store_cell *newer, bitnet_error *err) {
    if (newer->n == 0) return BITNET_OK;
    bool is_first = into->n == 0;
    into->n += newer->n;
    into->sum = is_first ? newer->sum : into->sum + newer->sum;
    if (is_first || newer->min < into->min) into->min = newer->min;
    if (is_first || newer->max > into->max) into->max = newer->max;
    into->last = newer->last;
    return add_blob(into, newer->blob, newer->blob_size, err);
}

bitnet_status store_cell_add(store_cell *c, const db_driver *driver, db_rows *rows, int column,
                             bitnet_error *err) {
    size_t n = 0;
    const void *blob = driver->get_blob(rows, column + 5, &n);
    const store_cell sample = {.n = driver->get_int(rows, column),
                               .sum = driver->get_real(rows, column + 1),
                               .min = driver->get_real(rows, column + 2),
                               .max = driver->get_real(rows, column + 3),
                               .last = driver->get_real(rows, column + 4)};
    bitnet_status st = store_cell_merge(c, &sample, err);
    return st < 0 ? st : add_blob(c, blob, n, err);
}

void store_cell_clear(store_cell *c) {
    free(c->blob);
    *c = (store_cell){0};
}

void store_cells_free(store_cells *c) {
    for (int64_t i = 0; i < c->n; i++)
        store_cell_clear(&c->at[i]);
    free(c->at);
    *c = (store_cells){0};
}

bool store_cells_reach(store_cells *c, int64_t series) {
    if (series < c->n) return true;
    int64_t n = series < 32 ? 64 : 2 * series;
    store_cell *at = realloc(c->at, (size_t)n * sizeof *at);
    if (!at) return false;
    memset(at + c->n, 0, (size_t)(n - c->n) * sizeof *at);
    c->at = at;
    c->n = n;
    return true;
}

bitnet_status store_cells_add_raw(store_cells *c, store *s, int64_t run, int64_t first,
                                  int64_t last, bitnet_error *err) {
    const db_driver *driver = s->driver;
    db_rows *rows;
    bitnet_status st = STORE_SELECT(s, &rows, err, RAW_BETWEEN, db_i(run), db_i(first), db_i(last));
    while (st >= 0 && (st = driver->next(rows, err)) == BITNET_OK) {
        int64_t series = driver->get_int(rows, 1);
        st = series >= 0 && series < SERIES_MAX && store_cells_reach(c, series)
                 ? store_cell_add(&c->at[series], driver, rows, 2, err)
                 : store_no_memory(err);
        if (st < 0) driver->end(rows);
    }
    return st < 0 ? st : BITNET_OK;
}
