/* store_cell.h: what any number of samples of one series come to. */
#ifndef BITNET_DASH_STORE_CELL_H
#define BITNET_DASH_STORE_CELL_H

#include "dash/store.h"
#include "dash/store_db.h"

typedef struct store_cell {
    int64_t n; /* 0: empty */
    double sum, min, max, last;
    uint8_t *blob; /* buckets, NULL without; owned */
    size_t blob_size;
} store_cell;

/* Adds the sample whose six columns (n, sum, min, max, last, buckets) begin at `column` of the row at hand, as the newest. */
bitnet_status store_cell_add(store_cell *c, const db_driver *driver, db_rows *rows, int column,
                             bitnet_error *err);
bitnet_status store_cell_merge(store_cell *into, const store_cell *newer, bitnet_error *err);
/* Empty again, its memory given back. */
void store_cell_clear(store_cell *c);

typedef struct store_cells { /* one for each series, by its number; empty: {0} */
    store_cell *at;
    int64_t n;
} store_cells;

/* Adds the raw samples of the windows [first, last] of a run. */
bitnet_status store_cells_add_raw(store_cells *c, store *s, int64_t run, int64_t first,
                                  int64_t last, bitnet_error *err);
/* Makes room for this series; false when out of memory. */
bool store_cells_reach(store_cells *c, int64_t series);
void store_cells_free(store_cells *c);

#endif
