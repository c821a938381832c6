/* main.c: a swarm of producers and viewers for the hub of `bitnet serve`: how much it stores and how soon it
 * says so, how late viewers hear, and whether anything was lost.
 *
 *     bench_hub --port N [--producers N] [--rate WINDOWS_A_SECOND] [--samples PER_WINDOW]
 *               [--viewers N] [--stalled N] [--seconds N] [--json]
 *
 * One thread, epoll, raw sockets: frames of the client are masked with zero, so that a message is made once
 * and only its number and time change. Viewers that are stalled never read. A viewer's delay is the age of a
 * window when it arrives, by the clock that producer and viewer share here. Exit code 0 when everything that
 * was sent was acknowledged and every good viewer heard every window, 1 otherwise.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bitnet/histogram.h"

enum {
    MESSAGE_CAP = 32 * 1024,
    IN_CAP = 256 * 1024,
    EVENTS = 256,
    QUIET_MS = 5000,
    WELCOME_MS = 10000
};

typedef struct options {
    int port, producers, rate, samples, viewers, stalled, seconds;
    bool json;
} options;

typedef enum kind { PRODUCER, VIEWER, STALLED } kind;

typedef struct peer {
    kind kind;
    int fd, index;
    bool is_open, is_welcome, is_dead;
    char *in; /* [IN_CAP] */
    size_t in_len;
    char *out; /* what the socket did not take */
    size_t out_len, out_cap;
    /* producer */
    uint64_t seq, acked, window, next_ms;
    uint64_t *sent_us; /* [rate * (seconds + 1)] when each was sent */
    /* viewer */
    uint64_t heard, missed;
} peer;

static options opt = {.port = 8080, .producers = 100, .rate = 50, .samples = 10, .seconds = 10};
static int epoll_fd;
static bitnet_histogram ack_s, view_s;
static uint64_t n_closed;

static uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static void die(const char *what) {
    fprintf(stderr, "bench_hub: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void watch(peer *p, bool also_out, int op) {
    struct epoll_event e = {.events =
                                (p->kind == STALLED && p->is_welcome ? 0u : (uint32_t)EPOLLIN) |
                                (also_out ? (uint32_t)EPOLLOUT : 0u),
                            .data.ptr = p};
    if (epoll_ctl(epoll_fd, op, p->fd, &e) != 0) die("epoll_ctl");
}

static void end(peer *p) {
    if (p->is_dead) return;
    p->is_dead = true;
    if (p->kind != STALLED) n_closed++;
    close(p->fd);
}

static void send_bytes(peer *p, const char *bytes, size_t n) {
    ssize_t sent = p->out_len ? 0 : send(p->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) {
        end(p);
        return;
    }
    size_t done = sent > 0 ? (size_t)sent : 0;
    if (done == n) return;
    if (p->out_len + n - done > p->out_cap) {
        p->out_cap = (p->out_len + n - done) * 2;
        p->out = realloc(p->out, p->out_cap);
        if (!p->out) die("memory");
    }
    memcpy(p->out + p->out_len, bytes + done, n - done);
    p->out_len += n - done;
    watch(p, true, EPOLL_CTL_MOD);
}

static void send_text(peer *p, const char *text, size_t n) {
    static char frame[MESSAGE_CAP + 16];
    size_t at = 0;
    frame[at++] = (char)0x81;
    if (n < 126) {
        frame[at++] = (char)(0x80 | n);
    } else {
        frame[at++] = (char)(0x80 | 126);
        frame[at++] = (char)(n >> 8);
        frame[at++] = (char)n;
    }
    memset(frame + at, 0, 4);
    memcpy(frame + at + 4, text, n);
    send_bytes(p, frame, at + 4 + n);
}

static void send_hello(peer *p) {
    static char text[MESSAGE_CAP];
    if (p->kind != PRODUCER) {
        const char *hello = "{\"type\":\"hello\",\"proto\":1,\"role\":\"viewer\"}";
        send_text(p, hello, strlen(hello));
        return;
    }
    size_t n = (size_t)snprintf(text, sizeof text,
                                "{\"type\":\"hello\",\"proto\":1,\"role\":\"producer\",\"name\":"
                                "\"p%d\",\"instance\":\"%x%06x\","
                                "\"epoch\":1,\"next_seq\":1,\"backend\":\"cpu\",\"tier\":\"c\","
                                "\"threads\":1,\"model\":\"\",\"host\":\"\","
                                "\"build\":\"\",\"t_ms\":1,\"started_ms\":1,\"metrics\":[",
                                p->index, (unsigned)getpid(), (unsigned)p->index + 1);
    for (int i = 0; i < opt.samples; i++)
        n += (size_t)snprintf(
            text + n, sizeof text - n,
            "%s{\"name\":\"m%d\",\"unit\":\"s\",\"kind\":\"%s\",\"min\":0,\"help\":\"\"}",
            i ? "," : "", i, i % 4 ? "gauge" : "hist");
    n += (size_t)snprintf(text + n, sizeof text - n, "]}");
    send_text(p, text, n);
}

static void send_window(peer *p) {
    static char values[MESSAGE_CAP], text[MESSAGE_CAP];
    if (!values[0]) {
        size_t n = 0;
        for (int i = 0; i < opt.samples; i++)
            n += (size_t)snprintf(values + n, sizeof values - n,
                                  "%s\"m%d\":{\"n\":9,\"sum\":0.0081,\"min\":0.0008,\"max\":0.0011,"
                                  "\"last\":0.0009%s}",
                                  i ? "," : "", i, i % 4 ? "" : ",\"b\":[314,3,317,5,322,1]");
    }
    uint64_t now = now_us();
    p->sent_us[p->seq++] = now;
    size_t n = (size_t)snprintf(text, sizeof text,
                                "{\"type\":\"window\",\"seq\":%" PRIu64 ",\"t_ms\":%" PRIu64
                                ",\"span_ms\":%d,\"dropped\":0,\"m\":{%s}}",
                                p->seq, now / 1000, 1000 / opt.rate, values);
    send_text(p, text, n);
}

static uint64_t number(const char *text, const char *end_at, const char *key) {
    const char *at = memmem(text, (size_t)(end_at - text), key, strlen(key));
    return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static void hear(peer *p, const char *text, size_t n) {
    const char *to = text + n;
    if (n > 17 && memcmp(text, "{\"type\":\"welcome\"", 17) == 0) {
        p->is_welcome = true;
        p->window = number(text, to, "\"window\":");
        if (p->kind == STALLED) watch(p, false, EPOLL_CTL_MOD);
    } else if (n > 13 && memcmp(text, "{\"type\":\"ack\"", 13) == 0) {
        uint64_t seq = number(text, to, "\"seq\":"), now = now_us();
        for (; p->acked < seq && p->acked < p->seq; p->acked++)
            bitnet_histogram_add(&ack_s, (double)(now - p->sent_us[p->acked]) / 1e6);
    } else if (n > 16 && memcmp(text, "{\"type\":\"window\"", 16) == 0) {
        uint64_t t_ms = number(text, to, "\"t_ms\":"), now = now_us() / 1000;
        bitnet_histogram_add(&view_s, now > t_ms ? (double)(now - t_ms) / 1e3 : 1e-4);
        p->heard++;
    } else if (n > 15 && memcmp(text, "{\"type\":\"gap\",\"missed\"", 15) == 0) {
        p->missed += number(text, to, "\"missed\":");
    }
}

/* Frames of the server are not masked. */
static void take_frames(peer *p) {
    size_t at = 0;
    if (!p->is_open) {
        const char *head_end = memmem(p->in, p->in_len, "\r\n\r\n", 4);
        if (!head_end) return;
        if (memcmp(p->in, "HTTP/1.1 101", 12) != 0) {
            end(p);
            return;
        }
        p->is_open = true;
        at = (size_t)(head_end - p->in) + 4;
        send_hello(p);
    }
    while (p->in_len - at >= 2 && !p->is_dead) {
        const unsigned char *f = (const unsigned char *)p->in + at;
        size_t n = f[1] & 0x7f, head = 2;
        if (n == 126) {
            if (p->in_len - at < 4) break;
            n = (size_t)f[2] << 8 | f[3];
            head = 4;
        }
        if (p->in_len - at < head + n) break;
        if ((f[0] & 0x0f) == 1) hear(p, p->in + at + head, n);
        if ((f[0] & 0x0f) == 8) end(p);
        at += head + n;
    }
    p->in_len -= at;
    memmove(p->in, p->in + at, p->in_len);
}

static void readable(peer *p) {
    ssize_t n = recv(p->fd, p->in + p->in_len, IN_CAP - p->in_len, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        end(p);
    } else if (n > 0) {
        p->in_len += (size_t)n;
        take_frames(p);
    }
}

static void writable(peer *p) {
    ssize_t n = send(p->fd, p->out, p->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN) {
        end(p);
        return;
    }
    if (n > 0) {
        p->out_len -= (size_t)n;
        memmove(p->out, p->out + n, p->out_len);
    }
    if (p->out_len == 0) watch(p, false, EPOLL_CTL_MOD);
}

static void serve_sockets(int timeout_ms) {
    struct epoll_event events[EVENTS];
    int n = epoll_wait(epoll_fd, events, EVENTS, timeout_ms);
    for (int i = 0; i < n; i++) {
        peer *p = events[i].data.ptr;
        if (!p->is_dead && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(p);
        if (!p->is_dead && events[i].events & EPOLLOUT) writable(p);
    }
}

static void open_peer(peer *p, kind k, int index) {
    *p = (peer){.kind = k, .index = index, .in = malloc(IN_CAP)};
    if (k == PRODUCER)
        p->sent_us = calloc((size_t)opt.rate * (size_t)(opt.seconds + 1), sizeof *p->sent_us);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)opt.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!p->in || p->fd < 0 || connect(p->fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("connect");
    (void)setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    fcntl(p->fd, F_SETFL, O_NONBLOCK);
    watch(p, false, EPOLL_CTL_ADD);
    char head[512];
    int n = snprintf(head, sizeof head,
                     "GET /tracker HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: "
                     "Upgrade\r\nUpgrade: websocket\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                     "Sec-WebSocket-Protocol: bitnet-tracker.v1\r\n\r\n",
                     opt.port);
    send_bytes(p, head, (size_t)n);
    uint64_t until = now_us() + WELCOME_MS * 1000u;
    while (!p->is_welcome && !p->is_dead && now_us() < until)
        serve_sockets(10);
    if (p->is_welcome) return;
    fprintf(stderr, "bench_hub: connection %d was %s\n", index,
            p->is_dead ? "closed" : "not welcomed in time");
    exit(1);
}

static bool is_done(const peer *producers, uint64_t each) {
    for (int i = 0; i < opt.producers; i++)
        if (producers[i].acked < each) return false;
    return true;
}

/* Each producer sends at its rate, as far as the hub's window lets it. */
static void run(peer *producers, uint64_t each) {
    uint64_t begin = now_us(), step = 1000000u / (uint64_t)opt.rate, moved = begin, last = 0;
    while (!is_done(producers, each)) {
        uint64_t now = now_us(), acked = 0;
        for (int i = 0; i < opt.producers; i++) {
            peer *p = &producers[i];
            uint64_t offset = step * (uint64_t)i / (uint64_t)opt.producers; /* not all at once */
            while (!p->is_dead && p->seq < each && begin + offset + p->seq * step <= now &&
                   p->seq - p->acked < p->window)
                send_window(p);
            acked += p->acked;
        }
        if (acked != last) moved = now;
        last = acked;
        if (now - moved > QUIET_MS * 1000u) return; /* nothing is acknowledged any more */
        serve_sockets(1);
    }
}

static void read_options(int argc, char **argv) {
    struct {
        const char *name;
        int *value;
    } table[] = {{"--port", &opt.port},       {"--producers", &opt.producers},
                 {"--rate", &opt.rate},       {"--samples", &opt.samples},
                 {"--viewers", &opt.viewers}, {"--stalled", &opt.stalled},
                 {"--seconds", &opt.seconds}};
    for (int i = 1; i < argc; i++) {
        bool known = strcmp(argv[i], "--json") == 0;
        if (known) opt.json = true;
        for (size_t k = 0; !known && k < sizeof table / sizeof *table; k++)
            if (strcmp(argv[i], table[k].name) == 0 && i + 1 < argc) {
                *table[k].value = atoi(argv[++i]);
                known = true;
                break;
            }
        if (!known) {
            fprintf(stderr, "bench_hub: unknown option or missing value: %s\n", argv[i]);
            exit(64);
        }
    }
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){8192, 8192});
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int n_viewers = opt.viewers + opt.stalled;
    peer *producers = calloc((size_t)opt.producers, sizeof *producers);
    peer *viewers = calloc((size_t)n_viewers + 1, sizeof *viewers);
    if (!producers || !viewers) die("memory");
    for (int i = 0; i < n_viewers; i++)
        open_peer(&viewers[i], i < opt.viewers ? VIEWER : STALLED, i);
    for (int i = 0; i < opt.producers; i++)
        open_peer(&producers[i], PRODUCER, i);
    uint64_t each = (uint64_t)opt.rate * (uint64_t)opt.seconds, begin = now_us(), acked = 0;
    run(producers, each);
    double seconds = (double)(now_us() - begin) / 1e6;
    uint64_t total = each * (uint64_t)opt.producers, missed = 0;
    for (int i = 0; i < 100; i++) { /* what is still on its way to viewers */
        uint64_t least = UINT64_MAX;
        for (int v = 0; v < opt.viewers; v++)
            if (viewers[v].heard + viewers[v].missed < least)
                least = viewers[v].heard + viewers[v].missed;
        if (opt.viewers == 0 || least >= total) break;
        serve_sockets(20);
    }
    for (int i = 0; i < opt.producers; i++)
        acked += producers[i].acked;
    for (int v = 0; v < opt.viewers; v++)
        missed += viewers[v].missed + (total > viewers[v].heard ? total - viewers[v].heard : 0);
    bool ok = acked == total && missed == 0 && n_closed == 0;
    double rate = (double)acked * opt.samples / seconds;
    double ack[] = {bitnet_histogram_quantile(&ack_s, 0.5),
                    bitnet_histogram_quantile(&ack_s, 0.99)};
    printf(opt.json ? "{\"samples_a_second\":%.0f,\"windows\":%" PRIu64 ",\"acknowledged\":%" PRIu64
                      ",\"ack_p50_s\":%.4f,\"ack_p99_s\":%.4f"
                    : "%.0f samples a second; of %" PRIu64 " windows %" PRIu64
                      " acknowledged, after %.4f s (p50) and %.4f s (p99)",
           rate, total, acked, ack[0], ack[1]);
    if (view_s.n)
        printf(opt.json ? ",\"view_p50_s\":%.4f,\"view_p99_s\":%.4f,\"missed\":%" PRIu64
                        : "; at viewers after %.4f s and %.4f s, %" PRIu64 " missed",
               bitnet_histogram_quantile(&view_s, 0.5), bitnet_histogram_quantile(&view_s, 0.99),
               missed);
    printf(opt.json ? ",\"closed\":%" PRIu64 "}\n" : "; %" PRIu64 " connections closed\n",
           n_closed);
    return ok ? 0 : 1;
}
