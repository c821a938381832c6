/* token.c: see token.h. */
#include "http/token.h"

#include <stdio.h>
#include <string.h>

#define COOKIE_NAME "bitnet"

bool http_token_check(const char *token, size_t n) {
    if (n < HTTP_TOKEN_MIN || n > HTTP_TOKEN_MAX) return false;
    for (size_t i = 0; i < n; i++) {
        char c = token[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alnum && (c == '\0' || !strchr("-._~+/=", c))) return false;
    }
    return true;
}

/* Walks over what was given, whatever it holds. */
bool http_token_is(http_span given, const char *token) {
    size_t n = strlen(token);
    unsigned char differ = given.n != n;
    for (size_t i = 0; i < given.n; i++)
        differ |= (unsigned char)(given.p[i] ^ token[n ? i % n : 0]);
    return given.p && differ == 0;
}

/* The value of "name=value" among parts that `separator` keeps apart, blanks before them left out. */
static http_span find_part(http_span list, char separator, const char *name) {
    size_t n = strlen(name), i = 0;
    while (i < list.n) {
        while (i < list.n && list.p[i] == ' ')
            i++;
        size_t start = i;
        while (i < list.n && list.p[i] != separator)
            i++;
        if (i - start > n && memcmp(list.p + start, name, n) == 0 && list.p[start + n] == '=')
            return (http_span){list.p + start + n + 1, i - start - n - 1};
        i++;
    }
    return (http_span){NULL, 0};
}

http_span http_query_value(http_span query, const char *name) {
    return find_part(query, '&', name);
}

static http_span bearer(http_span authorization) {
    static const char scheme[] = "Bearer ";
    const size_t n = sizeof scheme - 1;
    if (authorization.n <= n || !http_span_is((http_span){authorization.p, n}, scheme))
        return (http_span){NULL, 0};
    return (http_span){authorization.p + n, authorization.n - n};
}

bool http_is_authorised(const http_head *head, const char *token) {
    return http_token_is(bearer(head->authorization), token) ||
           http_token_is(find_part(head->cookie, ';', COOKIE_NAME), token);
}

void http_token_cookie(char out[HTTP_COOKIE_MAX], const char *token) {
    snprintf(out, HTTP_COOKIE_MAX, COOKIE_NAME "=%s; HttpOnly; SameSite=Strict; Path=/", token);
}
