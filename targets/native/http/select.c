/* select.c: conditional requests and ranges; see select.h. */
#include "http/select.h"

#include <string.h>

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/* If-None-Match: "*" or a list of entity tags, compared weakly: W/ is ignored. */
static bool names_etag(http_span list, const char *etag) {
    if (http_span_is(list, "*")) return true;
    size_t n = strlen(etag), i = 0;
    while (i < list.n) {
        while (i < list.n && (is_blank(list.p[i]) || list.p[i] == ','))
            i++;
        if (list.n - i >= 2 && list.p[i] == 'W' && list.p[i + 1] == '/') i += 2;
        if (i == list.n || list.p[i] != '"') return false;
        size_t start = i++;
        while (i < list.n && list.p[i] != '"')
            i++;
        if (i == list.n) return false;
        i++;
        if (i - start == n && memcmp(list.p + start, etag, n) == 0) return true;
    }
    return false;
}

/* Decimal digits from *i on. False when there are none; a value past 2^63 becomes 2^63, which is
 * past the end of any resource. */
static bool take_number(http_span s, size_t *i, uint64_t *out) {
    const uint64_t cap = (uint64_t)1 << 63;
    size_t start = *i;
    uint64_t v = 0;
    for (; *i < s.n && s.p[*i] >= '0' && s.p[*i] <= '9'; (*i)++) {
        uint64_t digit = (uint64_t)(s.p[*i] - '0');
        v = v > (cap - digit) / 10 ? cap : v * 10 + digit;
    }
    *out = v;
    return *i > start;
}

typedef enum range_kind { RANGE_NONE, RANGE_OK, RANGE_PAST_END } range_kind;

/* "bytes=first-last", "bytes=first-", "bytes=-suffix". */
static range_kind parse_range(http_span s, uint64_t total, uint64_t *at, uint64_t *end) {
    static const char unit[] = "bytes=";
    size_t i = sizeof unit - 1;
    if (s.n < i || !http_span_is((http_span){s.p, i}, unit)) return RANGE_NONE;
    uint64_t first = 0, last = 0;
    bool has_first = take_number(s, &i, &first);
    if (i == s.n || s.p[i] != '-') return RANGE_NONE;
    i++;
    bool has_last = take_number(s, &i, &last);
    if (i != s.n || (!has_first && !has_last)) return RANGE_NONE;
    if (!has_first) { /* the last `last` bytes */
        if (last == 0 || total == 0) return RANGE_PAST_END;
        *at = last < total ? total - last : 0;
        *end = total;
        return RANGE_OK;
    }
    if (has_last && last < first) return RANGE_NONE;
    if (first >= total) return RANGE_PAST_END;
    *at = first;
    *end = has_last && last < total - 1 ? last + 1 : total;
    return RANGE_OK;
}

void http_select(http_answer *a, const http_head *head) {
    a->status = 200;
    a->body.at = 0;
    a->body.end = a->total;
    if (head->if_none_match.p && a->etag[0] && names_etag(head->if_none_match, a->etag)) {
        a->status = 304;
        a->body.end = 0;
        a->type = NULL;
        return;
    }
    if (!a->ranges || head->is_head || !head->range.p) return;
    /* Strong comparison; a date never equals an entity tag, so it asks for everything. */
    if (head->if_range.p && (head->if_range.n != strlen(a->etag) ||
                             memcmp(head->if_range.p, a->etag, head->if_range.n) != 0))
        return;
    uint64_t at = 0, end = 0;
    range_kind kind = parse_range(head->range, a->total, &at, &end);
    if (kind == RANGE_OK) {
        a->status = 206;
        a->body.at = at;
        a->body.end = end;
    } else if (kind == RANGE_PAST_END) {
        a->status = 416;
        a->body.end = 0;
        a->type = NULL;
    }
}
