/* door.c: the front door; see door.h.
 *
 * Each connection is a "raw file" to libwebsockets: it polls the descriptor and reports readable,
 * writable and timer, and leaves the bytes to us. A head is waited for with MSG_PEEK, so that a
 * websocket can be handed on untouched; SO_RCVLOWAT keeps an unfinished head from waking the loop
 * until there is more of it.
 */
#define _GNU_SOURCE /* accept4 */
#include "http/door.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http/token.h"

enum {
    HEAD_SECONDS = 10,        /* for the whole head */
    STALL_SECONDS = 30,       /* without a byte taken by the client */
    WAIT_SECONDS = 30,        /* for an answer that is made elsewhere */
    LINGER_SECONDS = 1,       /* for the client to read the end of the answer */
    LINGER_BYTES = 64 * 1024, /* unwanted input taken meanwhile; a reset would destroy the answer */
    SEND_PER_TURN = 512 * 1024, /* then the others have a turn */
    WS_SEND_BUFFER = 128 * 1024 /* kernel buffer of a websocket: a slow viewer shows early */
};

typedef enum conn_state { CONN_HEAD, CONN_WAITING, CONN_SENDING, CONN_LINGER } conn_state;

typedef struct door_conn {
    door *door;
    struct lws *wsi;
    struct door_conn *prev, *next;
    lws_sorted_usec_list_t rearm;
    struct in6_addr addr; /* IPv4 as ::ffff:a.b.c.d */
    int fd;               /* closed by libwebsockets */
    conn_state state;
    bool headless;  /* HEAD: send no body */
    size_t seen;    /* CONN_HEAD: bytes of the head so far; later: bytes thrown away */
    size_t head_at; /* CONN_SENDING: bytes of `head` sent */
    size_t head_n;
    char head[HTTP_REPLY_HEAD_MAX];
    http_answer answer;
} door_conn;

_Static_assert((int)DOOR_CHUNK > (int)HTTP_HEAD_MAX,
               "one buffer holds a head and the byte that is too many");

static void conn_link(door_conn *c) {
    c->next = c->door->conns;
    if (c->next) c->next->prev = c;
    c->door->conns = c;
    c->door->n_http++;
}

/* Does it take room that nothing else needs? */
static bool is_own(const http_body *b) {
    return b->owned || b->is_private;
}

static void conn_free(door_conn *c) {
    if (c->prev)
        c->prev->next = c->next;
    else
        c->door->conns = c->next;
    if (c->next) c->next->prev = c->prev;
    c->door->n_http--;
    lws_sul_cancel(&c->rearm);
    if (c->answer.later) c->answer.later->drop(c->answer.later);
    if (c->answer.body.fd >= 0) close(c->answer.body.fd);
    if (is_own(&c->answer.body)) c->door->owned -= c->answer.body.end;
    free(c->answer.body.owned);
    free(c);
}

static void set_timer(door_conn *c, int seconds) {
    lws_set_timer_usecs(c->wsi, (lws_usec_t)seconds * LWS_US_PER_SEC);
}

static void on_rearm(lws_sorted_usec_list_t *sul) {
    door_conn *c = lws_container_of(sul, door_conn, rearm);
    (void)lws_callback_on_writable(c->wsi);
}

/* For a raw file, libwebsockets stops polling for writable after the callback that said so, and
 * with it forgets a wish made inside: make it from the next turn of the loop. */
static void want_writable(door_conn *c) {
    lws_sul_schedule(lws_get_context(c->wsi), 0, &c->rearm, on_rearm, 1);
}

static void set_low_water(int fd, size_t n) {
    int low = (int)n;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low); /* without it: more wake-ups */
}

/* --- answering --- */

/* The answer is out: say so with a FIN, then wait for the client's, so that closing over unread
 * input does not reset the connection under what was sent (RFC 9112 §9.6). */
static int start_linger(door_conn *c) {
    c->state = CONN_LINGER;
    c->seen = 0;
    if (shutdown(c->fd, SHUT_WR) != 0) return -1;
    set_timer(c, LINGER_SECONDS);
    return lws_rx_flow_control(c->wsi, 1);
}

/* What still comes is thrown away; -1 when the client says no more, or too much. */
static int throw_away(door_conn *c) {
    ssize_t n = recv(c->fd, c->door->scratch, DOOR_CHUNK, MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
    c->seen += (size_t)n;
    return n == 0 || c->seen > LINGER_BYTES ? -1 : 0;
}

/* Up to one chunk of the body. Returns bytes taken by the kernel, 0 when it takes none now, -1 to
 * close, also when the file has become shorter than what was promised. */
static ssize_t send_chunk(door_conn *c) {
    http_body *b = &c->answer.body;
    uint64_t left = b->end - b->at;
    size_t n = left < DOOR_CHUNK ? (size_t)left : DOOR_CHUNK;
    const unsigned char *p = b->mem ? (const unsigned char *)b->mem + b->at : c->door->scratch;
    if (!b->mem) {
        ssize_t got = pread(b->fd, c->door->scratch, n, (off_t)b->at);
        if (got <= 0) return -1;
        n = (size_t)got;
    }
    ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
    b->at += (uint64_t)sent;
    return sent;
}

static ssize_t send_head(door_conn *c) {
    int more = c->headless || c->answer.body.at == c->answer.body.end ? 0 : MSG_MORE;
    ssize_t sent = send(c->fd, c->head + c->head_at, c->head_n - c->head_at,
                        MSG_NOSIGNAL | MSG_DONTWAIT | more);
    if (sent < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
    c->head_at += (size_t)sent;
    return sent;
}

static int keep_sending(door_conn *c) {
    size_t done = 0;
    for (;;) {
        bool in_head = c->head_at < c->head_n;
        if (!in_head && (c->headless || c->answer.body.at == c->answer.body.end))
            return start_linger(c);
        ssize_t sent = done < SEND_PER_TURN ? in_head ? send_head(c) : send_chunk(c) : 0;
        if (sent < 0) return -1;
        if (sent == 0) break;
        done += (size_t)sent;
    }
    if (done > 0) set_timer(c, STALL_SECONDS);
    want_writable(c);
    return 0;
}

/* c->answer is filled: take `consume` bytes of input, stop listening to more, and send. */
static int start_sending(door_conn *c, http_span host, size_t consume) {
    c->state = CONN_SENDING;
    c->head_n = http_reply_head(c->head, &c->answer, host, c->door->isolation, time(NULL));
    if (consume > 0) (void)recv(c->fd, c->door->scratch, consume, MSG_DONTWAIT);
    set_low_water(c->fd, 1);
    set_timer(c, STALL_SECONDS);
    if (lws_rx_flow_control(c->wsi, 0) < 0) return -1;
    return keep_sending(c);
}

static int refuse(door_conn *c, int status, const char *reason) {
    http_answer_text(&c->answer, status, reason);
    return start_sending(c, (http_span){NULL, 0}, c->seen);
}

/* --- the head --- */

/* Somebody who asks and does not read keeps what he asked for; not more than there is room for. */
static void limit_owned(door_conn *c) {
    http_body *b = &c->answer.body;
    if (!is_own(b)) return;
    if (c->door->owned + b->end <= DOOR_OWNED_MAX) {
        c->door->owned += b->end;
        return;
    }
    free(b->owned);
    if (b->fd >= 0) close(b->fd);
    http_answer_text(&c->answer, 503, "Too many answers are being read slowly; try again.");
}

/* libwebsockets gets a second descriptor of the socket; ours goes when the callback returns -1. */
static int hand_on(door_conn *c, const http_head *h) {
    const char *token = c->door->site->token;
    if (c->door->n_ws >= DOOR_WS_MAX)
        return refuse(c, 503, "This hub has as many connections as it takes.");
    int size = WS_SEND_BUFFER;
    (void)setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    set_low_water(c->fd, 1);
    int fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) return -1;
    lws_adopt_desc_t desc = {
        .vh = c->door->vhost, .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP, .fd.sockfd = fd};
    c->door->hands_on_authorised = token && http_is_authorised(h, token);
    (void)lws_adopt_descriptor_vhost_via_info(&desc); /* closes fd itself when it fails */
    return -1;
}

/* --- an answer that is made elsewhere --- */

static int start_waiting(door_conn *c, size_t consume) {
    c->state = CONN_WAITING;
    c->seen = 0;
    (void)recv(c->fd, c->door->scratch, consume, MSG_DONTWAIT);
    set_low_water(c->fd, 1);
    set_timer(c, WAIT_SECONDS);
    return 0;
}

/* No page is made elsewhere, so that no policy names the host. */
static int look_again(door_conn *c) {
    http_later *later = c->answer.later;
    if (!later->take(later, &c->answer)) return 0;
    limit_owned(c);
    return start_sending(c, (http_span){NULL, 0}, 0);
}

static int give_up(door_conn *c) {
    c->answer.later->drop(c->answer.later);
    return refuse(c, 503, "The answer was not there within 30 seconds; ask for less, or later.");
}

/* Some answer is there; which, those who wait for one find out. */
static void wake_waiting(door *d) {
    for (door_conn *c = d->conns; c; c = c->next)
        if (c->state == CONN_WAITING) (void)lws_callback_on_writable(c->wsi);
}

/* --- events --- */

static int read_head(door_conn *c) {
    ssize_t n = recv(c->fd, c->door->scratch, HTTP_HEAD_MAX + 1, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if ((size_t)n == c->seen)
        return -1; /* readable, yet nothing new: the client will send no more */
    c->seen = (size_t)n;
    http_head h = http_head_judge(c->door->scratch, c->seen, &c->door->policy);
    if (h.verdict == HTTP_HEAD_MORE) {
        set_low_water(c->fd, c->seen + 1);
        return 0;
    }
    if (h.verdict == HTTP_HEAD_REFUSE) return refuse(c, h.status, h.reason);
    if (h.is_websocket) return hand_on(c, &h);
    c->headless = h.is_head;
    http_route(&c->answer, &h, c->door->site);
    if (c->answer.later) return start_waiting(c, h.len);
    limit_owned(c);
    /* The reply is written before the bytes that h points into are taken from the socket. */
    return start_sending(c, h.host, h.len);
}

static int on_timer(door_conn *c) {
    if (c->state == CONN_HEAD && c->seen > 0)
        return refuse(c, 408, "The request head did not arrive within 10 seconds.");
    return c->state == CONN_WAITING ? give_up(c) : -1;
}

static int conn_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                         size_t len) {
    (void)user;
    (void)in;
    (void)len;
    door_conn *c = lws_get_opaque_user_data(wsi);
    switch (reason) {
    case LWS_CALLBACK_RAW_ADOPT_FILE:
        c->wsi = wsi;
        set_timer(c, HEAD_SECONDS);
        return 0;
    case LWS_CALLBACK_RAW_RX_FILE:
        if (c->state == CONN_HEAD) return read_head(c);
        return c->state == CONN_SENDING ? 0 : throw_away(c);
    case LWS_CALLBACK_RAW_WRITEABLE_FILE:
        if (c->state == CONN_WAITING) return look_again(c);
        return c->state == CONN_SENDING ? keep_sending(c) : 0;
    case LWS_CALLBACK_TIMER:
        return on_timer(c);
    case LWS_CALLBACK_RAW_CLOSE_FILE:
        lws_set_opaque_user_data(wsi, NULL);
        conn_free(c);
        return 0;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED: /* without a connection */
        wake_waiting(lws_vhost_user(lws_get_vhost(wsi)));
        return 0;
    default:
        return 0;
    }
}

/* --- accepting --- */

static struct in6_addr address_of(const struct sockaddr_storage *sa) {
    struct in6_addr a = {{{0}}};
    if (sa->ss_family == AF_INET6) {
        memcpy(&a, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, sizeof a);
    } else {
        a.s6_addr[10] = a.s6_addr[11] = 0xff;
        memcpy(a.s6_addr + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
    }
    return a;
}

static bool has_room(const door *d, const struct in6_addr *addr) {
    int n_waiting = 0, n_same = 0;
    for (const door_conn *c = d->conns; c; c = c->next) {
        if (c->state != CONN_HEAD) continue;
        n_waiting++;
        if (memcmp(&c->addr, addr, sizeof *addr) == 0) n_same++;
    }
    return d->n_http < DOOR_HTTP_MAX && n_waiting < DOOR_WAITING_MAX &&
           n_same < DOOR_WAITING_PER_IP;
}

/* No place to keep this one in: one line, taking what has come so that it is not reset. */
static void turn_away(door *d, int fd) {
    static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                               "Retry-After: 1\r\nConnection: close\r\n\r\n";
    (void)recv(fd, d->scratch, DOOR_CHUNK, MSG_DONTWAIT);
    (void)send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

static void welcome(door *d, int fd, const struct sockaddr_storage *sa) {
    struct in6_addr addr = address_of(sa);
    door_conn *c = has_room(d, &addr) ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        turn_away(d, fd);
        return;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *c = (door_conn){.door = d, .addr = addr, .fd = fd, .answer.body.fd = -1};
    conn_link(c);
    lws_adopt_desc_t desc = {.vh = d->vhost,
                             .type = LWS_ADOPT_RAW_FILE_DESC,
                             .fd.filefd = fd,
                             .vh_prot_name = "door-conn",
                             .opaque = c};
    /* The loop has room for all that has_room lets in, so this is out of memory, before a wsi was
     * made. */
    if (!lws_adopt_descriptor_vhost_via_info(&desc) && !c->wsi) {
        conn_free(c);
        close(fd);
    }
}

/* Out of descriptors, the listener would stay readable and the loop would spin: the reserve lets us
 * accept and close, so that the caller hears something. */
static bool shed_one(door *d, int listen_fd) {
    if (d->reserve_fd < 0) return false;
    close(d->reserve_fd);
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) close(fd);
    d->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0;
}

static void accept_all(door *d, int listen_fd) {
    for (int turn = 0; turn < 64; turn++) { /* then those already in have a turn */
        struct sockaddr_storage sa;
        socklen_t n = sizeof sa;
        int fd =
            accept4(listen_fd, (struct sockaddr *)(void *)&sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            welcome(d, fd, &sa);
        else if (errno == EMFILE || errno == ENFILE) {
            if (!shed_one(d, listen_fd)) return;
        } else if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

static int listen_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                           size_t len) {
    (void)user;
    (void)in;
    (void)len;
    if (reason == LWS_CALLBACK_RAW_RX_FILE)
        accept_all(lws_vhost_user(lws_get_vhost(wsi)),
                   (int)(intptr_t)lws_get_opaque_user_data(wsi));
    if (reason == LWS_CALLBACK_RAW_CLOSE_FILE)
        ((door *)lws_vhost_user(lws_get_vhost(wsi)))->listener = NULL;
    return 0;
}

/* --- handed on --- */

/* Which of the door's marks this connection carries; NULL: it was not handed on. */
static const char *mark_of(const door *d, struct lws *wsi) {
    const void *mark = lws_get_opaque_user_data(wsi);
    return mark == &d->marks[0] ? &d->marks[0] : mark == &d->marks[1] ? &d->marks[1] : NULL;
}

bool door_is_authorised(struct lws *wsi) {
    const door *d = lws_vhost_user(lws_get_vhost(wsi));
    return mark_of(d, wsi) == &d->marks[1];
}

/* Only judged websocket requests get here. Anything that libwebsockets makes of one but a websocket
 * of our subprotocol is closed. */
static int upgrade_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                            size_t len) {
    (void)user;
    (void)in;
    (void)len;
    switch (reason) {
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED: {
        door *d = lws_vhost_user(lws_get_vhost(wsi));
        lws_set_opaque_user_data(wsi, &d->marks[d->hands_on_authorised]); /* it was counted */
        d->n_ws++;
        return 0;
    }
    case LWS_CALLBACK_WSI_DESTROY: {
        door *d = lws_vhost_user(lws_get_vhost(wsi));
        if (mark_of(d, wsi)) d->n_ws--;
        return 0;
    }
    case LWS_CALLBACK_HTTP:
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return -1;
    default:
        return 0;
    }
}

const struct lws_protocols door_protocols[DOOR_PROTOCOL_COUNT] = {
    {.name = "door-upgrade", .callback = upgrade_callback},
    {.name = "door-listen", .callback = listen_callback},
    {.name = "door-conn", .callback = conn_callback},
};

bool door_open(door *d, struct lws_vhost *vhost, int listen_fd) {
    d->vhost = vhost;
    d->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    lws_adopt_desc_t desc = {.vh = vhost,
                             .type = LWS_ADOPT_RAW_FILE_DESC,
                             .fd.filefd = listen_fd,
                             .vh_prot_name = "door-listen",
                             .opaque = (void *)(intptr_t)listen_fd};
    d->listener = lws_adopt_descriptor_vhost_via_info(&desc);
    return d->listener != NULL;
}

void door_stop(door *d) {
    if (d->listener) lws_set_timeout(d->listener, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
    for (door_conn *c = d->conns; c; c = c->next)
        if (c->state != CONN_SENDING)
            lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
    if (d->reserve_fd >= 0) close(d->reserve_fd);
    d->reserve_fd = -1;
}
