/* url.c: the address of a hub; see url.h. Only what can be meant is taken: no user names, queries
 * or fragments, and no character that would need escaping. */
#include "dash/url.h"
#include "base/base.h"
#include "http/head.h"

#include <stdio.h>
#include <string.h>

static bool is_alnum(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Takes the host at *p: a name, an IPv4 address, or an IPv6 address in brackets. */
static bool take_host(ws_url *u, const char **p) {
    bool brackets = **p == '[';
    if (brackets) (*p)++;
    size_t n = 0;
    while (is_alnum((*p)[n]) || (*p)[n] == '.' || (*p)[n] == '-' || (brackets && (*p)[n] == ':'))
        n++;
    if (n == 0 || n >= WS_URL_HOST_MAX || (brackets && (*p)[n] != ']')) return false;
    memcpy(u->host, *p, n);
    u->host[n] = '\0';
    *p += n + (brackets ? 1 : 0);
    return true;
}

static bool take_port(ws_url *u, const char **p) {
    u->port = 80;
    if (**p != ':') return true;
    uint32_t v = 0;
    const char *start = ++*p;
    while (**p >= '0' && **p <= '9' && v <= UINT16_MAX)
        v = v * 10 + (uint32_t)(*(*p)++ - '0');
    u->port = (uint16_t)v;
    return *p > start && v >= 1 && v <= UINT16_MAX;
}

/* "" and "/" mean the hub's own path. */
static bool take_path(ws_url *u, const char *p) {
    if (*p == '\0' || strcmp(p, "/") == 0) p = HTTP_WS_PATH;
    size_t n = strlen(p);
    if (p[0] != '/' || n >= WS_URL_PATH_MAX) return false;
    for (size_t i = 0; i < n; i++)
        if (!is_alnum(p[i]) && !strchr("/-._~", p[i])) return false;
    memcpy(u->path, p, n + 1);
    return true;
}

bitnet_status ws_url_parse(ws_url *out, const char *url, bitnet_error *err) {
    bitnet_escaped shown;
    bitnet_escape(&shown, url, strlen(url));
    if (strncmp(url, "wss://", 6) == 0)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "tracker.url.tls",
                           "%s: encrypted connections to a hub are not supported; use ws://",
                           shown.s);
    const char *p = url + 5;
    if (strncmp(url, "ws://", 5) != 0 || !take_host(out, &p) || !take_port(out, &p) ||
        !take_path(out, p))
        return bitnet_fail(err, BITNET_E_INVAL, "tracker.url",
                           "%s: the address of a hub has the form ws://host:port, for example "
                           "ws://127.0.0.1:8080",
                           shown.s);
    bool v6 = strchr(out->host, ':') != NULL;
    snprintf(out->authority, sizeof out->authority, v6 ? "[%s]:%u" : "%s:%u", out->host,
             (unsigned)out->port);
    return BITNET_OK;
}
