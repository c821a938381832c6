/* head.c: the judge of request heads; see head.h. The order of the checks is the order in which a
 * stranger's bytes may be believed: characters, line structure, request line, framing, who is being
 * talked to (Host), what for (method, Upgrade, Origin). RFC 9110, 9112, 6455. */
#include "http/head.h"

#include <string.h>

/* Fields that decide something. Each may appear once: a second copy is how two parsers are made to
 * disagree. Connection is a list and is handled apart. */
enum field {
    F_HOST,
    F_CONTENT_LENGTH,
    F_TRANSFER_ENCODING,
    F_UPGRADE,
    F_HTTP2_SETTINGS,
    F_ORIGIN,
    F_RANGE,
    F_IF_RANGE,
    F_IF_NONE_MATCH,
    F_WS_KEY,
    F_WS_VERSION,
    F_WS_PROTOCOL,
    F_SEC_FETCH_SITE,
    F_AUTHORIZATION,
    F_COOKIE,
    F_COUNT
};
static const char *const field_names[F_COUNT] = {
    [F_HOST] = "host",
    [F_CONTENT_LENGTH] = "content-length",
    [F_TRANSFER_ENCODING] = "transfer-encoding",
    [F_UPGRADE] = "upgrade",
    [F_HTTP2_SETTINGS] = "http2-settings",
    [F_ORIGIN] = "origin",
    [F_RANGE] = "range",
    [F_IF_RANGE] = "if-range",
    [F_IF_NONE_MATCH] = "if-none-match",
    [F_WS_KEY] = "sec-websocket-key",
    [F_WS_VERSION] = "sec-websocket-version",
    [F_WS_PROTOCOL] = "sec-websocket-protocol",
    [F_SEC_FETCH_SITE] = "sec-fetch-site",
    [F_AUTHORIZATION] = "authorization",
    [F_COOKIE] = "cookie",
};

typedef struct request {
    http_span method, target;
    http_span field[F_COUNT];
    bool connection_upgrade; /* Connection lists "upgrade" */
} request;

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}
static bool is_alpha(char c) {
    return lower(c) >= 'a' && lower(c) <= 'z';
}
static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
static bool is_hex(char c) {
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f');
}

/* c is never NUL, which strchr would find: take_line refuses it first. */
static bool is_one_of(char c, const char *set) {
    return strchr(set, c) != NULL;
}
static bool is_token(char c) {
    return is_alpha(c) || is_digit(c) || is_one_of(c, "!#$%&'*+-.^_`|~");
}
/* RFC 3986 pchar, "/" and "?"; '%' is checked apart. No '#': a fragment is never sent. */
static bool is_target(char c) {
    return is_alpha(c) || is_digit(c) || is_one_of(c, "-._~!$&'()*+,;=:@/?");
}

bool http_span_is(http_span s, const char *text) {
    if (!s.p || s.n != strlen(text)) return false;
    for (size_t i = 0; i < s.n; i++)
        if (lower(s.p[i]) != lower(text[i])) return false;
    return true;
}

/* Paths, methods and subprotocols are case-sensitive. */
static bool span_eq(http_span s, const char *text) {
    return s.p && s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static http_span cut(const char *p, size_t n) {
    return (http_span){p, n};
}

static http_head refuse(int status, const char *reason) {
    return (http_head){.verdict = HTTP_HEAD_REFUSE, .status = status, .reason = reason};
}
static http_head more(void) {
    return (http_head){.verdict = HTTP_HEAD_MORE};
}
static http_head fine(void) {
    return (http_head){.verdict = HTTP_HEAD_ACCEPT};
}

/* The line that starts at s, its CRLF excluded. ACCEPT when it is complete. Control characters,
 * bare CR and bare LF are refused as soon as they are seen, so a TLS or HTTP/2 greeting gets its
 * answer at once instead of waiting for the deadline. */
static http_head take_line(const char *s, size_t n, http_span *line) {
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '\r') {
            if (i + 1 == n) return more();
            if (s[i + 1] != '\n') return refuse(400, "A bare CR is not allowed in a request head.");
            *line = cut(s, i);
            return fine();
        }
        if (c == '\n') return refuse(400, "A bare LF is not allowed in a request head.");
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return refuse(400, "Control characters are not allowed in a request head.");
    }
    return more();
}

static http_head judge_target(http_span t) {
    if (t.n > HTTP_TARGET_MAX) return refuse(414, "The request target is limited to 2048 bytes.");
    if (t.n == 0 || t.p[0] != '/') return refuse(400, "The request target must begin with '/'.");
    for (size_t i = 0; i < t.n; i++) {
        if (t.p[i] == '%') {
            if (i + 2 >= t.n || !is_hex(t.p[i + 1]) || !is_hex(t.p[i + 2]))
                return refuse(400, "'%' in the request target must precede two hex digits.");
        } else if (!is_target(t.p[i])) {
            return refuse(400, "The request target holds a character that must be escaped.");
        }
    }
    return fine();
}

/* "GET /path HTTP/1.1", single spaces. */
static http_head parse_request_line(http_span line, request *r) {
    size_t m = 0;
    while (m < line.n && is_token(line.p[m]))
        m++;
    if (m == 0 || m >= line.n || line.p[m] != ' ')
        return refuse(400, "The request line must be: method, space, target, space, HTTP/1.1.");
    r->method = cut(line.p, m);
    const char *t = line.p + m + 1;
    size_t left = line.n - m - 1, k = 0;
    while (k < left && t[k] != ' ')
        k++;
    if (k == left)
        return refuse(400, "The request line must be: method, space, target, space, HTTP/1.1.");
    r->target = cut(t, k);
    http_span version = cut(t + k + 1, left - k - 1);
    if (version.n != 8 || memcmp(version.p, "HTTP/", 5) != 0 || !is_digit(version.p[5]) ||
        version.p[6] != '.' || !is_digit(version.p[7]))
        return refuse(400, "The request line must end with HTTP/1.1.");
    if (version.p[5] != '1' || version.p[7] != '1')
        return refuse(505, "Only HTTP/1.1 is spoken here.");
    return judge_target(r->target);
}

/* Connection is a comma-separated list of tokens. */
static bool lists_upgrade(http_span v) {
    size_t i = 0;
    while (i < v.n) {
        while (i < v.n && (v.p[i] == ' ' || v.p[i] == '\t' || v.p[i] == ','))
            i++;
        size_t start = i;
        while (i < v.n && is_token(v.p[i]))
            i++;
        if (http_span_is(cut(v.p + start, i - start), "upgrade")) return true;
        if (i == start && i < v.n) return false; /* not a token: whatever it is, no upgrade */
    }
    return false;
}

static http_head parse_field(http_span line, request *r) {
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return refuse(400, "Folded header lines are not allowed.");
    size_t k = 0;
    while (k < line.n && is_token(line.p[k]))
        k++;
    if (k == 0 || k == line.n || line.p[k] != ':')
        return refuse(400, "A header line must be: name, colon, value.");
    http_span name = cut(line.p, k), value = cut(line.p + k + 1, line.n - k - 1);
    while (value.n && (value.p[0] == ' ' || value.p[0] == '\t'))
        value.p++, value.n--;
    while (value.n && (value.p[value.n - 1] == ' ' || value.p[value.n - 1] == '\t'))
        value.n--;
    if (http_span_is(name, "connection") && lists_upgrade(value)) r->connection_upgrade = true;
    for (int f = 0; f < F_COUNT; f++) {
        if (!http_span_is(name, field_names[f])) continue;
        if (r->field[f].p) return refuse(400, "A header field that may appear once appears twice.");
        r->field[f] = value;
    }
    return fine();
}

/* An address and no name: a page that rebinds its name cannot put one into Host. Whether the system would
 * take it does not matter, since nothing is looked up. */
static bool is_address(http_span a) {
    bool is_v6 = a.n > 2 && a.p[0] == '[' && a.p[a.n - 1] == ']', has_digit = false;
    for (size_t i = is_v6; i + is_v6 < a.n; i++) {
        if (!(is_v6 ? is_hex(a.p[i]) || a.p[i] == ':' || a.p[i] == '.'
                    : is_digit(a.p[i]) || a.p[i] == '.'))
            return false;
        has_digit |= is_hex(a.p[i]);
    }
    return has_digit;
}

/* Does "name[:port]" name this server? The port may be left out only where it is 80, the default of
 * http and ws. */
static bool is_our_authority(http_span a, const http_policy *policy) {
    const char *const names[] = {"localhost", "127.0.0.1", "[::1]", policy->extra};
    char port[6];
    size_t n_port = 0;
    for (uint32_t v = policy->port; v; v /= 10)
        port[n_port++] = (char)('0' + v % 10);
    http_span name = a;
    size_t i = 0; /* digits matched, from the end */
    while (i < n_port && i < a.n && a.p[a.n - 1 - i] == port[i])
        i++;
    if (i == n_port && a.n > i && a.p[a.n - 1 - i] == ':')
        name.n = a.n - 1 - i;
    else if (policy->port != 80)
        return false;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (names[k] && http_span_is(name, names[k])) return true;
    return policy->is_any_address && is_address(name);
}

static http_head judge_framing(const request *r) {
    if (r->field[F_TRANSFER_ENCODING].p)
        return refuse(400, "Transfer-Encoding is not accepted: no resource here takes a body.");
    http_span len = r->field[F_CONTENT_LENGTH];
    if (!len.p) return fine();
    bool zero = true;
    for (size_t i = 0; i < len.n; i++) {
        if (!is_digit(len.p[i])) return refuse(400, "Content-Length must be a decimal number.");
        if (len.p[i] != '0') zero = false;
    }
    if (len.n == 0) return refuse(400, "Content-Length must be a decimal number.");
    return zero ? fine() : refuse(413, "No resource here takes a body; Content-Length must be 0.");
}

/* 16 random bytes in base64: 22 characters and "==" (RFC 6455 §4.1). */
static bool is_ws_key(http_span k) {
    if (k.n != 24 || k.p[22] != '=' || k.p[23] != '=') return false;
    for (size_t i = 0; i < 22; i++)
        if (!is_alpha(k.p[i]) && !is_digit(k.p[i]) && !is_one_of(k.p[i], "+/")) return false;
    return true;
}

static bool is_our_origin(http_span origin, const http_policy *policy) {
    static const char scheme[] = "http://";
    const size_t n = sizeof scheme - 1;
    if (origin.n <= n || !http_span_is(cut(origin.p, n), scheme)) return false;
    return is_our_authority(cut(origin.p + n, origin.n - n), policy);
}

static http_head judge_upgrade(const request *r, http_span path, const http_policy *policy) {
    if (r->field[F_HTTP2_SETTINGS].p) return refuse(400, "HTTP/2 is not spoken here.");
    if (!r->field[F_UPGRADE].p) {
        if (span_eq(path, HTTP_WS_PATH))
            return refuse(426, "This path is a websocket; ask for one with Upgrade: websocket.");
        return fine();
    }
    if (!http_span_is(r->field[F_UPGRADE], "websocket"))
        return refuse(400, "The only upgrade offered here is websocket.");
    if (!span_eq(r->method, "GET")) return refuse(405, "A websocket is opened with GET.");
    if (!span_eq(path, HTTP_WS_PATH))
        return refuse(404, "There is no websocket at this path; it is /tracker.");
    if (!r->connection_upgrade) return refuse(400, "Upgrade needs Connection: Upgrade.");
    if (!http_span_is(r->field[F_WS_VERSION], "13"))
        return refuse(426, "Only websocket version 13 is spoken here.");
    if (!r->field[F_WS_KEY].p || !is_ws_key(r->field[F_WS_KEY]))
        return refuse(400, "Sec-WebSocket-Key must be 16 bytes in base64.");
    if (!span_eq(r->field[F_WS_PROTOCOL], HTTP_WS_PROTOCOL))
        return refuse(400, "Sec-WebSocket-Protocol must be bitnet-tracker.v1.");
    if (r->field[F_ORIGIN].p && !is_our_origin(r->field[F_ORIGIN], policy))
        return refuse(403, "Websockets are for this server's own pages and native programs.");
    return fine();
}

/* A browser says who makes it send a POST: no other site may. curl and the like say nothing. */
static http_head judge_post(const request *r, http_span path, const http_policy *policy) {
    http_span site = r->field[F_SEC_FETCH_SITE], origin = r->field[F_ORIGIN];
    if (!span_eq(path, HTTP_POST_PATH))
        return refuse(405, "Only GET and HEAD are served at this path.");
    if (origin.p && !is_our_origin(origin, policy))
        return refuse(403, "A POST is for this server's own pages and native programs.");
    if (site.p && !http_span_is(site, "same-origin") && !http_span_is(site, "none"))
        return refuse(403, "A POST is for this server's own pages and native programs.");
    return fine();
}

/* What a complete, well-formed head asks for. */
static http_head judge_request(const request *r, size_t len, const http_policy *policy) {
    http_head v = judge_framing(r);
    if (v.verdict != HTTP_HEAD_ACCEPT) return v;
    if (!r->field[F_HOST].p || !is_our_authority(r->field[F_HOST], policy))
        return refuse(421, "This server answers only to its own name and port in Host.");
    bool is_head = span_eq(r->method, "HEAD"), is_post = span_eq(r->method, "POST");
    if (!is_head && !is_post && !span_eq(r->method, "GET"))
        return refuse(405, "Only GET and HEAD are served here.");

    const char *q = memchr(r->target.p, '?', r->target.n);
    http_span path = r->target, query = {NULL, 0};
    if (q) {
        path.n = (size_t)(q - r->target.p);
        query = cut(q + 1, r->target.n - path.n - 1);
    }
    v = is_post ? judge_post(r, path, policy) : fine();
    if (v.verdict == HTTP_HEAD_ACCEPT) v = judge_upgrade(r, path, policy);
    if (v.verdict != HTTP_HEAD_ACCEPT) return v;
    return (http_head){
        .verdict = HTTP_HEAD_ACCEPT,
        .len = len,
        .is_head = is_head,
        .is_post = is_post,
        .is_websocket = r->field[F_UPGRADE].p != NULL,
        .path = path,
        .query = query,
        .host = r->field[F_HOST],
        .range = r->field[F_RANGE],
        .if_range = r->field[F_IF_RANGE],
        .if_none_match = r->field[F_IF_NONE_MATCH],
        .authorization = r->field[F_AUTHORIZATION],
        .cookie = r->field[F_COOKIE],
    };
}

/* MORE, unless what is there is already too long. */
static http_head await_more(bool in_request_line, size_t n) {
    if (in_request_line && n > HTTP_TARGET_MAX + 64)
        return refuse(414, "The request target is limited to 2048 bytes.");
    if (n >= HTTP_HEAD_MAX) return refuse(431, "The request head is limited to 16 KiB.");
    return more();
}

http_head http_head_judge(const void *bytes, size_t n, const http_policy *policy) {
    const char *s = bytes;
    request r = {.connection_upgrade = false};
    size_t at = 0;
    int n_lines = 0;
    for (;;) {
        http_span line = {NULL, 0};
        size_t seen = n < HTTP_HEAD_MAX ? n : HTTP_HEAD_MAX;
        http_head v = take_line(s + at, seen - at, &line);
        if (v.verdict == HTTP_HEAD_MORE) return await_more(n_lines == 0, n);
        if (v.verdict == HTTP_HEAD_REFUSE) return v;
        at += line.n + 2;
        if (n_lines > 0 && line.n == 0) break;
        if (n_lines > HTTP_FIELDS_MAX) return refuse(431, "A request may have 100 header lines.");
        v = n_lines == 0 ? parse_request_line(line, &r) : parse_field(line, &r);
        if (v.verdict == HTTP_HEAD_REFUSE) return v;
        n_lines++;
    }
    if (n > at) {
        http_head framing = judge_framing(&r);
        return framing.verdict == HTTP_HEAD_REFUSE
                   ? framing
                   : refuse(400, "One request per connection: nothing may follow the head.");
    }
    return judge_request(&r, at, policy);
}
