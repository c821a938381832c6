/* routes.h: which answer a judged request gets, and whether it gets one without the token. A new
 * resource is one row of the table in routes.c.
 */
#ifndef BITNET_HTTP_ROUTES_H
#define BITNET_HTTP_ROUTES_H

#include "http/reply.h"

/* Makes an answer of the moment, with http_answer_data, http_answer_text or http_answer_later. */
typedef void http_data_fn(void *ctx, http_answer *a, const http_head *head);

/* What the hub tells of itself (docs/serve.md); a member that is NULL is not there: 404. */
typedef struct http_data {
    http_data_fn *stats, *metrics, *health;
    void *ctx; /* of these */
    http_data_fn *history, *export_run;
    void *history_ctx;
} http_data;

/* What the server offers. All borrowed; must outlive it. */
typedef struct http_site {
    const char *web_root; /* resolved absolute path; NULL when there is none */
    const void *model;    /* the embedded model's bytes, served as they are */
    size_t model_size;
    char model_etag[HTTP_ETAG_MAX];
    const char *token; /* for whatever tells of the hub (http/token.h); NULL = none is asked for */
    http_data data;
} http_site;

/* Sets model and its tag, a hash of the bytes. */
void http_site_set_model(http_site *site, const void *bytes, size_t n);

/* a->body.fd may be open afterwards, a->body.owned set, and a->later: the caller closes, frees, and takes or drops
 * them. */
void http_route(http_answer *a, const http_head *head, const http_site *site);

#endif
