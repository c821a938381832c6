/* export.h: runs of the history as text, for `bitnet history export` and POST /performance/export.
 *
 *     export_writing w;
 *     export_begin(&w, out, EXPORT_CSV, bytes_max);
 *     export_run(&w, store, id, &err) ...     any number
 *     export_end(&w);
 *
 * jsonl is the protocol itself, a message a line: what a hub that heard the run would have heard. csv
 * has a row for each sample; a cell that a spreadsheet could take for a formula gets an apostrophe,
 * numbers stay numbers. json is one array, for programs that read only that. Whether `out` took it all, ferror
 * knows.
 */
#ifndef BITNET_DASH_EXPORT_H
#define BITNET_DASH_EXPORT_H

#include <stdio.h>

#include "dash/store.h"

typedef enum export_format { EXPORT_JSONL, EXPORT_CSV, EXPORT_JSON } export_format;

typedef struct export_writing {
    FILE *out; /* borrowed */
    export_format format;
    int64_t bytes_max;               /* of `out`, a file; 0 = no limit */
    bool (*is_unwanted)(void *user); /* ends it early; NULL after export_begin */
    void *user;
    /* Its own. */
    int n_runs;
    const char *id;
    bool is_first, has_memory, is_full;
    struct cJSON *hello; /* of the run at work, for csv */
} export_writing;

void export_begin(export_writing *w, FILE *out, export_format format, int64_t bytes_max);
/* Errors of store_run and store_replay, and export.size: more than bytes_max. After an error what was written
 * is of no use. */
bitnet_status export_run(export_writing *w, store *s, const char *id, bitnet_error *err);
void export_end(export_writing *w);

#endif
