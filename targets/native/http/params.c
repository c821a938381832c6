/* params.c: see params.h. Strict: what two readers could take differently is refused. */
#include "http/params.h"

#include <string.h>

#include "base/base.h"
#include "base/utf8.h"

static int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Appends `s` decoded, and a terminator, at *at. NULL when it is not text. */
static const char *decode(char *bytes, size_t *at, http_span s) {
    const size_t start = *at;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i] == '+' ? ' ' : s.p[i];
        if (c == '%') {
            int high = i + 2 < s.n ? hex(s.p[i + 1]) : -1, low = high >= 0 ? hex(s.p[i + 2]) : -1;
            if (low < 0) return NULL;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0') return NULL;
        bytes[(*at)++] = c;
    }
    size_t n = *at - start;
    bytes[(*at)++] = '\0';
    return bitnet_utf8_check(bytes + start, n) == n ? bytes + start : NULL;
}

static bitnet_status refuse(bitnet_error *err, http_span part) {
    bitnet_escaped e;
    return bitnet_fail(
        err, BITNET_E_INVAL, "http.params",
        "the query has \"%s\"; name=value is the form, in UTF-8 and with %%XX for what "
        "is special",
        bitnet_escape(&e, part.p, part.n < 60 ? part.n : 60));
}

static bitnet_status add(http_params *p, size_t *at, http_span part, bitnet_error *err) {
    const char *equals = memchr(part.p, '=', part.n);
    if (!equals || equals == part.p) return refuse(err, part);
    if (p->n == HTTP_PARAMS_MAX)
        return bitnet_fail(err, BITNET_E_INVAL, "http.params",
                           "the query has more than the %d parameters allowed", HTTP_PARAMS_MAX);
    size_t n = (size_t)(equals - part.p);
    const char *name = decode(p->bytes, at, (http_span){part.p, n});
    const char *value = name ? decode(p->bytes, at, (http_span){equals + 1, part.n - n - 1}) : NULL;
    if (!value) return refuse(err, part);
    if (http_params_get(p, name)) {
        bitnet_escaped e;
        return bitnet_fail(err, BITNET_E_INVAL, "http.params",
                           "the query has \"%s\" twice; once is allowed",
                           bitnet_escape(&e, name, strlen(name)));
    }
    p->at[p->n++] = (http_param){name, value};
    return BITNET_OK;
}

bitnet_status http_params_read(http_params *out, http_span query, bitnet_error *err) {
    size_t at = 0;
    out->n = 0;
    if (query.n >= sizeof out->bytes) return refuse(err, query);
    for (size_t i = 0; i < query.n;) {
        const char *end = memchr(query.p + i, '&', query.n - i);
        size_t n = end ? (size_t)(end - query.p) - i : query.n - i;
        bitnet_status st = add(out, &at, (http_span){query.p + i, n}, err);
        if (st < 0) return st;
        i += n + 1;
    }
    return BITNET_OK;
}

const char *http_params_get(const http_params *p, const char *name) {
    for (int i = 0; i < p->n; i++)
        if (strcmp(p->at[i].name, name) == 0) return p->at[i].value;
    return NULL;
}
