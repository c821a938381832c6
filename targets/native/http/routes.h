/* routes.h: which answer a judged request gets. A new resource is one row of the table in routes.c.
 */
#ifndef BITNET_HTTP_ROUTES_H
#define BITNET_HTTP_ROUTES_H

#include "http/reply.h"

/* What the server offers. All borrowed; must outlive it. */
typedef struct http_site {
    const char *web_root; /* resolved absolute path; NULL when there is none */
    const void *model;    /* the embedded model's bytes, served as they are */
    size_t model_size;
    char model_etag[HTTP_ETAG_MAX];
} http_site;

/* Sets model and its tag, a hash of the bytes. */
void http_site_set_model(http_site *site, const void *bytes, size_t n);

/* a->body.fd may be open afterwards: the caller closes it. */
void http_route(http_answer *a, const http_head *head, const http_site *site);

#endif
