/* store_cell.h: what any number of samples of one series come to. */
#ifndef BITNET_DASH_STORE_CELL_H
#define BITNET_DASH_STORE_CELL_H

#include "dash/buckets.h"
#include "dash/store_db.h"

typedef struct store_cell {
    int64_t n; /* 0: empty */
    double sum, min, max, last;
    uint8_t *blob; /* buckets, NULL without; owned */
    size_t blob_size;
} store_cell;

enum { STORE_SAMPLE_COLUMNS = 6 }; /* n, sum, min, max, last, buckets */

/* Adds the sample whose six columns begin at `column` of the row at hand, as the newest. */
bitnet_status store_cell_add(store_cell *c, const db_driver *driver, db_rows *rows, int column,
                             bitnet_error *err);
bitnet_status store_cell_merge(store_cell *into, const store_cell *newer, bitnet_error *err);
/* Empty again, its memory given back. */
void store_cell_clear(store_cell *c);

#endif
