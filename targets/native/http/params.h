/* params.h: the parameters of a query, name=value&name=value, as forms and URLSearchParams write them:
 * %XX is a byte and + a blank. No I/O.
 */
#ifndef BITNET_HTTP_PARAMS_H
#define BITNET_HTTP_PARAMS_H

#include "bitnet/status.h"
#include "http/head.h"

enum { HTTP_PARAMS_MAX = 16 };

typedef struct http_param {
    const char *name, *value; /* decoded, UTF-8, without a zero byte */
} http_param;

/* Not to be copied: the texts are inside. */
typedef struct http_params {
    int n;
    http_param at[HTTP_PARAMS_MAX];
    char bytes[HTTP_TARGET_MAX + 1];
} http_params;

/* http.params: not of that form, a name twice, or too many. An absent or empty query has none. */
bitnet_status http_params_read(http_params *out, http_span query, bitnet_error *err);
/* NULL: it was not given. */
const char *http_params_get(const http_params *p, const char *name);

#endif
