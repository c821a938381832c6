/* ask.h: what a request wants of the history: the parameters of /performance/history and
 * /performance/export (docs/serve.md), checked before anything is read. No I/O.
 */
#ifndef BITNET_DASH_ASK_H
#define BITNET_DASH_ASK_H

#include "dash/export.h"
#include "dash/store.h"
#include "http/params.h"

typedef enum ask_kind {
    ASK_RUNS,   /* the runs that there are */
    ASK_RUN,    /* one of them as a whole */
    ASK_SERIES, /* the course of one metric of it */
    ASK_EXPORT
} ask_kind;

enum { ASK_LIMIT = 100, ASK_LIMIT_MAX = 1000, ASK_POINTS = 500, ASK_POINTS_MAX = 5000 };

/* Not to be copied: texts are those of `params`. */
typedef struct ask {
    ask_kind kind;
    const char *run; /* a word for store_find_run; NULL: all (ASK_RUNS, ASK_EXPORT) */
    store_filter filter;
    store_query series; /* run is not set */
    int32_t points;
    export_format format;
    http_params params;
    char labels[STORE_LABELS_MAX];
} ask;

/* http.params, or ask.parameter: a sentence with the parameter, what it is and what is allowed. */
bitnet_status ask_read(ask *out, http_span query, bool is_export, bitnet_error *err);

#endif
