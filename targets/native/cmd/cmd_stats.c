/* cmd_stats.c: `bitnet stats`: asks a running hub for its numbers and prints them: as a table, or the
 * JSON of /performance/stats as it came. One request over a blocking socket; whatever is not the answer
 * of a hub is refused.
 */
#define _POSIX_C_SOURCE 200809L /* getaddrinfo, fdopen */
#include <cjson/cJSON.h>
#include <math.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/token_file.h"
#include "dash/text.h"

enum {
    ADDRESS_MAX = 256,
    PATIENCE_S = 10,               /* for the hub to say something */
    ANSWER_MAX = 256 * 1024 * 1024 /* bytes; more is not a hub's */
};

/* ---- the request --------------------------------------------------------------------------------- */

typedef struct address {
    char authority[ADDRESS_MAX]; /* as in Host */
    char host[ADDRESS_MAX], port[6];
} address;

/* http://HOST[:PORT][/], HOST with brackets when it is IPv6. */
static bitnet_status parse_url(address *out, const char *url, bitnet_error *err) {
    static const char scheme[] = "http://";
    const char *at = strncmp(url, scheme, sizeof scheme - 1) == 0 ? url + sizeof scheme - 1 : "";
    size_t n = strcspn(at, "/?");
    const char *bracket = *at == '[' ? memchr(at, ']', n) : NULL;
    const char *colon = bracket ? bracket + 1 : at + strcspn(at, ":/");
    size_t n_host = bracket ? (size_t)(bracket - at) - 1 : (size_t)(colon - at);
    size_t n_port = *colon == ':' ? (size_t)(at + n - colon) - 1 : 0;
    if (n_host == 0 || n >= ADDRESS_MAX || n_port > 5 || strspn(colon + 1, "0123456789") < n_port ||
        colon + (n_port ? n_port + 1 : 0) != at + n || strcmp(at + n, *(at + n) ? "/" : "") != 0)
        return bitnet_fail(err, BITNET_E_INVAL, "stats.url",
                           "\"%s\" is not the address of a hub; http://HOST:PORT is allowed", url);
    snprintf(out->authority, sizeof out->authority, "%.*s", (int)n, at);
    snprintf(out->host, sizeof out->host, "%.*s", (int)n_host, at + (bracket != NULL));
    snprintf(out->port, sizeof out->port, "%.*s", n_port ? (int)n_port : 2,
             n_port ? colon + 1 : "80");
    return BITNET_OK;
}

static int dial(const address *a) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = -1;
    if (getaddrinfo(a->host, a->port, &hints, &list) != 0) return -1;
    for (const struct addrinfo *i = list; i && fd < 0; i = i->ai_next) {
        fd = socket(i->ai_family, i->ai_socktype, i->ai_protocol);
        if (fd < 0) continue;
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (connect(fd, i->ai_addr, i->ai_addrlen) == 0) break;
        close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    return fd;
}

static bool exchange(int fd, const address *a, const char *token, text_buf *answer) {
    text_buf request = {.p = NULL};
    char chunk[16 * 1024];
    text_put(&request, "GET /performance/stats HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n",
             a->authority);
    if (token) text_put(&request, "Authorization: Bearer %s\r\n", token);
    text_put(&request, "\r\n");
    bool ok =
        !request.has_failed && send(fd, request.p, request.n, MSG_NOSIGNAL) == (ssize_t)request.n;
    text_free(&request);
    for (ssize_t n = 1; ok && n > 0;) {
        n = recv(fd, chunk, sizeof chunk, 0);
        ok = n >= 0 && answer->n + (size_t)n <= ANSWER_MAX;
        if (ok) text_add(answer, chunk, (size_t)n);
    }
    return ok && !answer->has_failed;
}

/* The body of an answer whose length is what its head says; NULL when it is none. Our hub always says
 * Content-Length and closes. */
static const char *find_body(const text_buf *answer, int *status) {
    static const char field[] = "\r\nContent-Length: ";
    const char *end = answer->n ? strstr(answer->p, "\r\n\r\n") : NULL;
    const char *length = end ? strstr(answer->p, field) : NULL;
    if (!end || !length || length >= end || sscanf(answer->p, "HTTP/1.1 %3d ", status) != 1)
        return NULL;
    const char *body = end + 4;
    unsigned long long n = strtoull(length + sizeof field - 1, NULL, 10);
    return n == answer->n - (size_t)(body - answer->p) ? body : NULL;
}

static bitnet_status ask(text_buf *answer, const char **body, const address *a, const char *token,
                         bitnet_error *err) {
    int status = 0, fd = dial(a);
    if (fd < 0)
        return bitnet_fail(err, BITNET_E_BACKEND, "stats.absent",
                           "no hub answers at http://%s; bitnet serve starts one", a->authority);
    bool ok = exchange(fd, a, token, answer);
    close(fd);
    *body = ok ? find_body(answer, &status) : NULL;
    if (!*body)
        return bitnet_fail(err, BITNET_E_BACKEND, "stats.answer",
                           "what answers at http://%s is no hub, or stopped halfway", a->authority);
    if (status == 401)
        return bitnet_fail(err, BITNET_E_BACKEND, "stats.token",
                           "the hub at http://%s asks for its token: --token-file FILE",
                           a->authority);
    if (status != 200)
        return bitnet_fail(err, BITNET_E_BACKEND, "stats.status",
                           "the hub at http://%s answered %d; 200 is allowed", a->authority,
                           status);
    return BITNET_OK;
}

/* ---- the table ----------------------------------------------------------------------------------- */

static const char *string_of(const cJSON *o, const char *name) {
    const cJSON *s = cJSON_GetObjectItemCaseSensitive(o, name);
    return cJSON_IsString(s) ? s->valuestring : "";
}

static double number_of(const cJSON *o, const char *name) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
    return cJSON_IsNumber(v) ? v->valuedouble : (double)NAN;
}

/* What was not measured is a dash. */
static void print_number(double v) {
    if (isnan(v))
        printf(" %12s", "-");
    else
        printf(" %12.6g", v);
}

static void print_metric(const cJSON *m) {
    bool is_counter = !strcmp(string_of(m, "kind"), "counter");
    printf("  %-28s %-10s", m->string, string_of(m, "unit"));
    print_number(number_of(m, "n"));
    print_number(is_counter ? number_of(m, "sum") : number_of(m, "last"));
    print_number(number_of(m, "mean"));
    print_number(number_of(m, "p50"));
    print_number(number_of(m, "p95"));
    print_number(number_of(m, "p99"));
    putchar('\n');
}

static void print_producer(const cJSON *p) {
    const cJSON *metrics = cJSON_GetObjectItemCaseSensitive(p, "metrics"), *m;
    printf("\n%.0f  %s  %s  %s  %s/%s  %.0f threads  dropped %.0f  lost %.0f  rejected %.0f\n",
           number_of(p, "producer"), string_of(p, "state"), string_of(p, "name"),
           string_of(p, "model"), string_of(p, "backend"), string_of(p, "tier"),
           number_of(p, "threads"), number_of(p, "dropped"), number_of(p, "lost_samples"),
           number_of(p, "rejected"));
    printf("  %-28s %-10s %12s %12s %12s %12s %12s %12s\n", "metric", "unit", "n", "last or sum",
           "mean", "p50", "p95", "p99");
    cJSON_ArrayForEach(m, metrics) print_metric(m);
}

static int print_table(const char *body) {
    cJSON *json = cJSON_Parse(body);
    const cJSON *producers = cJSON_GetObjectItemCaseSensitive(json, "producers"), *x;
    const cJSON *alerts = cJSON_GetObjectItemCaseSensitive(json, "alerts");
    if (!cJSON_IsArray(producers)) {
        cJSON_Delete(json);
        bitnet_error err = {0};
        bitnet_fail(&err, BITNET_E_BACKEND, "stats.answer", "the answer is not that of a hub");
        return args_fail(&err);
    }
    const cJSON *store = cJSON_GetObjectItemCaseSensitive(json, "store");
    printf("%s, up %.0f s, history %s, %d producers\n", string_of(json, "hub"),
           number_of(json, "uptime_s"), string_of(store, "state"), cJSON_GetArraySize(producers));
    cJSON_ArrayForEach(x, alerts)
        printf("alert %s: %s\n", string_of(x, "state"), string_of(x, "rule"));
    cJSON_ArrayForEach(x, producers) print_producer(x);
    cJSON_Delete(json);
    return args_flush();
}

int cmd_stats(int argc, char **argv) {
    const char *token_path = NULL;
    bool is_json = false;
    arg_operands operands = {0};
    const arg_opt opts[] = {
        {0, "json", ARG_FLAG, &is_json, NULL, NULL, "print the hub's JSON as it is", 0, 0},
        {0, "token-file", ARG_STR, &token_path, "FILE", NULL,
         "the hub's token, where it asks for one", 0, 0},
        {0}};
    const arg_cmd cmd = {.verb = "stats",
                         .summary = "Prints what a running hub knows of its producers.",
                         .synopsis = "[options] [http://127.0.0.1:8080]",
                         .opts = opts,
                         .operands = &operands,
                         .max_operands = 1};
    int code = args_parse(&cmd, argc, argv);
    if (code >= 0) return code;
    bitnet_error err = {0};
    token_file file;
    address a;
    text_buf answer = {.p = NULL};
    const char *body = NULL;
    bitnet_status st = parse_url(&a, operands.n ? operands.v[0] : "http://127.0.0.1:8080", &err);
    if (st >= 0 && token_path) st = token_file_read(&file, token_path, &err);
    if (st >= 0) st = ask(&answer, &body, &a, token_path ? file.token : NULL, &err);
    if (st < 0) {
        code = args_fail(&err);
    } else if (is_json) {
        fputs(body, stdout);
        code = args_flush();
    } else {
        code = print_table(body);
    }
    text_free(&answer);
    return code;
}
