/* server.c: the loop; see server.h. libwebsockets polls; door.c takes its connections, ws.c its
 * websockets, and a pipe brings the wish to stop onto the loop's thread. */
#define _GNU_SOURCE /* pipe2 */
#include "http/server.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "dash/reader.h"
#include "dash/ws.h"
#include "http/door.h"
#include "http/listen.h"
#include "http/token.h"

enum { DRAIN_STEP_MS = 20, DRAIN_MS = 2000 };

struct server {
    pthread_mutex_t wake_lock;
    struct lws_context *loop; /* set and unset under the lock: other threads wake it */
    struct lws_protocols protocols[DOOR_PROTOCOL_COUNT + 3]; /* + ws, stop, end of list */
    http_site site;
    door door;
    archive *history; /* NULL when nothing is kept */
    reader *reader;   /* the same */
    ws *ws;
    int stop_fd[2]; /* [0] belongs to the loop once that runs */
    char name[HTTP_HOST_MAX + 2], url[HTTP_HOST_MAX + HTTP_TOKEN_MAX + 32];
    bool stopping, done;
    int drained_ms;
    lws_sorted_usec_list_t drain;
};

/* A ping after 20 quiet seconds, and the end when two more such times pass without an answer. */
static const lws_retry_bo_t keepalive = {.secs_since_valid_ping = 20,
                                         .secs_since_valid_hangup = 60};

static void log_error(int level, const char *line) {
    (void)level;
    fprintf(stderr, "bitnet: libwebsockets: %s", line);
}

static void log_history(void *user, const char *line) {
    (void)user;
    fprintf(stderr, "bitnet: history: %s\n", line);
}

/* From the threads of the history: there is something to fetch. Before the loop and after it nobody does. */
static void wake(void *user) {
    server *s = user;
    pthread_mutex_lock(&s->wake_lock);
    if (s->loop) lws_cancel_service(s->loop);
    pthread_mutex_unlock(&s->wake_lock);
}

static struct lws_context *exchange_loop(server *s, struct lws_context *loop) {
    pthread_mutex_lock(&s->wake_lock);
    struct lws_context *before = s->loop;
    s->loop = loop;
    pthread_mutex_unlock(&s->wake_lock);
    return before;
}

static void on_drain(lws_sorted_usec_list_t *sul) {
    server *s = lws_container_of(sul, server, drain);
    s->drained_ms += DRAIN_STEP_MS;
    s->done = (s->door.n_http == 0 && s->door.n_ws == 0) || s->drained_ms >= DRAIN_MS;
    if (s->done)
        lws_cancel_service(s->loop); /* timers run before the loop waits: do not wait again */
    else
        lws_sul_schedule(s->loop, 0, sul, on_drain, DRAIN_STEP_MS * LWS_US_PER_MS);
}

static void begin_stop(server *s) {
    if (s->stopping) return;
    s->stopping = true;
    door_stop(&s->door);
    ws_stop(s->ws);
    lws_sul_schedule(s->loop, 0, &s->drain, on_drain, DRAIN_STEP_MS * LWS_US_PER_MS);
}

static int stop_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                         size_t len) {
    (void)user;
    (void)in;
    (void)len;
    if (reason != LWS_CALLBACK_RAW_RX_FILE) return 0;
    server *s = lws_get_opaque_user_data(wsi);
    char byte;
    if (read(s->stop_fd[0], &byte, 1) == 1) begin_stop(s);
    return 0;
}

static bool open_stop_pipe(server *s, struct lws_vhost *vhost) {
    if (pipe2(s->stop_fd, O_CLOEXEC | O_NONBLOCK) != 0) return false;
    lws_adopt_desc_t desc = {.vh = vhost,
                             .type = LWS_ADOPT_RAW_FILE_DESC,
                             .fd.filefd = s->stop_fd[0],
                             .vh_prot_name = "server-stop",
                             .opaque = s};
    return lws_adopt_descriptor_vhost_via_info(&desc) != NULL;
}

static bool open_loop(server *s) {
    memcpy(s->protocols, door_protocols, sizeof door_protocols);
    s->protocols[DOOR_PROTOCOL_COUNT] = ws_protocol(s->ws);
    s->protocols[DOOR_PROTOCOL_COUNT + 1] =
        (struct lws_protocols){.name = "server-stop", .callback = stop_callback};
    lws_set_log_level(LLL_ERR, log_error);
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER, /* the door listens */
        .protocols = s->protocols,
        .user = &s->door,
        .alpn = "http/1.1",
        .gid = -1,
        .uid = -1,
        .options = LWS_SERVER_OPTION_VALIDATE_UTF8 | LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME,
        .max_http_header_data = HTTP_HEAD_MAX + 1024,
        .max_http_header_pool = DOOR_WAITING_PER_IP,
        .fd_limit_per_thread = DOOR_FDS_MAX,
        .timeout_secs = 5,
        .retry_and_idle_policy = &keepalive,
    };
    exchange_loop(s, lws_create_context(&info));
    return s->loop != NULL;
}

/* "127.0.0.1" as it is, "::1" in brackets: as it appears in Host and in the URL. */
static void set_name(server *s, const char *host) {
    bool bare_v6 = strchr(host, ':') && host[0] != '[';
    snprintf(s->name, sizeof s->name, bare_v6 ? "[%s]" : "%s", host);
}

bitnet_status server_open(server **out, const server_desc *desc, bitnet_error *err) {
    *out = NULL;
    const char *token = desc->site.token;
    http_listener listener = {.fd = -1, .port = desc->port};
    bitnet_status st = http_listen(&listener, desc->host, token != NULL, err);
    if (st < 0) return st;
    server *s = calloc(1, sizeof *s);
    if (!s) goto fail;
    s->stop_fd[0] = s->stop_fd[1] = s->door.reserve_fd = -1;
    pthread_mutex_init(&s->wake_lock, NULL);
    if (desc->history) {
        st = archive_open(&s->history,
                          &(archive_desc){.location = desc->history,
                                          .retention = desc->retention,
                                          .committed = wake,
                                          .log = log_history,
                                          .user = s},
                          err);
        if (st >= 0)
            st = reader_open(&s->reader,
                             &(reader_desc){.location = desc->history, .done = wake, .user = s},
                             err);
        if (st < 0) {
            close(listener.fd);
            server_free(s);
            return st;
        }
    }
    s->site = desc->site;
    set_name(s, desc->host);
    snprintf(s->url, sizeof s->url, "http://%s:%u/%s%s", s->name, (unsigned)listener.port,
             token ? "?token=" : "", token ? token : "");
    s->door.site = &s->site;
    s->door.policy =
        (http_policy){.extra = s->name, .port = listener.port, .is_any_address = listener.is_any};
    s->door.isolation = !desc->no_isolation;
    s->ws = ws_create(&(ws_desc){.archive = s->history, .token = token, .alerts = desc->alerts});
    if (!s->ws || !open_loop(s)) goto fail;
    s->site.data = ws_data(s->ws);
    if (s->reader) {
        s->site.data.history = reader_answer_history;
        s->site.data.export_run = reader_answer_export;
        s->site.data.history_ctx = s->reader;
    }
    struct lws_vhost *vhost = lws_get_vhost_by_name(s->loop, "default");
    if (!open_stop_pipe(s, vhost) || !door_open(&s->door, vhost, listener.fd)) goto fail;
    ws_start(s->ws, s->loop);
    *out = s;
    return BITNET_OK;
fail:
    close(listener.fd);
    server_free(s);
    return bitnet_fail(err, BITNET_E_NOMEM, "serve.start",
                       "the server cannot start: no memory or no file descriptors left");
}

const char *server_url(const server *s) {
    return s->url;
}

bitnet_status server_run(server *s, bitnet_error *err) {
    while (!s->done)
        if (lws_service(s->loop, 0) < 0)
            return bitnet_fail(err, BITNET_E_IO, "serve.loop", "the server's loop failed");
    return BITNET_OK;
}

void server_stop(server *s) {
    ssize_t n = write(s->stop_fd[1], "", 1);
    (void)n; /* full: it was told already */
}

void server_free(server *s) {
    if (!s) return;
    struct lws_context *loop = exchange_loop(s, NULL);
    if (loop)
        lws_context_destroy(loop);
    else if (s->stop_fd[0] >= 0)
        close(s->stop_fd[0]);
    if (s->stop_fd[1] >= 0) close(s->stop_fd[1]);
    if (s->door.reserve_fd >= 0) close(s->door.reserve_fd);
    ws_free(s->ws);
    reader_close(s->reader);
    archive_close(s->history); /* what the last ones said on leaving is in its queue */
    pthread_mutex_destroy(&s->wake_lock);
    free(s);
}
