/* store_cell.c: see store_cell.h. The one place where samples are put together, for both databases
 * and for every resolution. */
#include "dash/store_cell.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"

static bitnet_status no_memory(bitnet_error *err) {
    return bitnet_fail(err, BITNET_E_NOMEM, "store.memory", "no memory for the history");
}

static bitnet_status keep_blob(store_cell *c, const void *blob, size_t n, bitnet_error *err) {
    uint8_t *copy = malloc(n);
    if (!copy) return no_memory(err);
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
