/* test_transport.c: the tracker's transport against a real hub in the same process, so that a
 * thread sanitizer sees both sides: joining, reconnecting, a hub that is absent, deaf, or gives no
 * answer. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/os.h"
#include "dash/transport_lws.h"
#include "dash/url.h"
#include "http/server.h"

enum {
    SOON_MS = 5000, /* what should be immediate, on a busy machine under a sanitizer */
    STEP_US = 5000,
};

#define HELLO                                                                                      \
    "{\"type\":\"hello\",\"proto\":1,\"role\":\"producer\",\"name\":\"t\",\"instance\":\"%s\","    \
    "\"epoch\":%u,\"next_seq\":1,\"backend\":\"cpu\",\"tier\":\"c\",\"threads\":1,\"model\":\"\"," \
    "\"host\":\"\",\"build\":\"\",\"t_ms\":1,\"started_ms\":1,\"metrics\":[]}"
#define WINDOW "{\"type\":\"window\",\"seq\":%d,\"t_ms\":1,\"span_ms\":1,\"dropped\":0,\"m\":{}}"

static uint64_t now_ms(void) {
    return bitnet_os_now_ns() / 1000000u;
}

/* --- a hub --- */

typedef struct hub_thread {
    server *server;
    pthread_t thread;
    char url[64];
    uint16_t port;
} hub_thread;

static void *hub_main(void *arg) {
    server_run(((hub_thread *)arg)->server, NULL);
    return NULL;
}

static void hub_start(hub_thread *h, uint16_t port) {
    bitnet_error err = {0};
    const server_desc desc = {.host = "127.0.0.1", .port = port};
    if (server_open(&h->server, &desc, &err) < 0) fail_msg("%s", err.text);
    h->port = (uint16_t)strtoul(server_url(h->server) + strlen("http://127.0.0.1:"), NULL, 10);
    snprintf(h->url, sizeof h->url, "ws://127.0.0.1:%u", (unsigned)h->port);
    assert_int_equal(pthread_create(&h->thread, NULL, hub_main, h), 0);
}

static void hub_stop(hub_thread *h) {
    server_stop(h->server);
    pthread_join(h->thread, NULL);
    server_free(h->server);
}

/* --- a viewer: a blocking socket that collects all text frames, one per line --- */

typedef struct board {
    int fd;
    char raw[1 << 16], text[1 << 16];
    size_t n_raw, n_text;
} board;

static int dial(uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)(void *)&sa, sizeof sa), 0);
    return fd;
}

static void board_read(board *b) {
    ssize_t n = recv(b->fd, b->raw + b->n_raw, sizeof b->raw - b->n_raw, MSG_DONTWAIT);
    if (n > 0) b->n_raw += (size_t)n;
    for (;;) {
        size_t len = b->n_raw > 1 ? b->raw[1] & 0x7f : 0, head = 2;
        if (len == 126 && b->n_raw >= 4) {
            len = (size_t)((unsigned char)b->raw[2] << 8 | (unsigned char)b->raw[3]);
            head = 4;
        }
        if (b->n_raw < 2 || b->n_raw < head + len) return;
        if ((b->raw[0] & 0xf) == 1) {
            memcpy(b->text + b->n_text, b->raw + head, len);
            b->n_text += len;
            b->text[b->n_text++] = '\n';
        }
        b->n_raw -= head + len;
        memmove(b->raw, b->raw + head + len, b->n_raw);
    }
}

static bool hears(board *b, const char *what, int ms) {
    for (uint64_t end = now_ms() + (uint64_t)ms; now_ms() < end; usleep(STEP_US)) {
        board_read(b);
        if (strstr(b->text, what)) return true;
    }
    return false;
}

static board *board_open(uint16_t port) {
    board *b = calloc(1, sizeof *b);
    char request[512];
    b->fd = dial(port);
    int n = snprintf(request, sizeof request,
                     "GET /tracker HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: Upgrade\r\n"
                     "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                     "Sec-WebSocket-Protocol: bitnet-tracker.v1\r\n\r\n",
                     (unsigned)port);
    assert_int_equal(write(b->fd, request, (size_t)n), n);
    for (uint64_t end = now_ms() + SOON_MS; now_ms() < end && !strstr(b->raw, "\r\n\r\n");)
        if (recv(b->fd, b->raw + b->n_raw, 1, 0) == 1) b->n_raw++;
    assert_non_null(strstr(b->raw, " 101 "));
    b->n_raw = 0;
    memset(b->raw, 0, sizeof b->raw);
    const char hello[] = "{\"type\":\"hello\",\"proto\":1,\"role\":\"viewer\"}";
    unsigned char frame[128] = {0x81, 0x80 | (sizeof hello - 1)}; /* mask 0 */
    memcpy(frame + 6, hello, sizeof hello - 1);
    assert_int_equal(write(b->fd, frame, sizeof hello + 5), sizeof hello + 5);
    assert_true(hears(b, "welcome", SOON_MS));
    return b;
}

static void board_close(board *b) {
    close(b->fd);
    free(b);
}

/* --- a producer, as report.c is one: hello when n_opened grows --- */

static unsigned epoch; /* of hellos: each is newer than all before it */

typedef struct client {
    bitnet_transport t;
    uint32_t n_seen;
    const char *instance;
} client;

static void client_open(client *c, const char *url, const char *instance) {
    bitnet_error err = {0};
    *c = (client){.instance = instance};
    if (bitnet_transport_lws_open(&c->t, url, &err) < 0) fail_msg("%s", err.text);
}

/* A window with that number, or `text` when seq is 0. */
static bitnet_status client_send(client *c, const char *text, int seq) {
    char buf[512];
    uint32_t n = c->t.n_opened(c->t.ctx);
    if (n != c->n_seen) {
        snprintf(buf, sizeof buf, HELLO, c->instance, ++epoch);
        if (c->t.send(c->t.ctx, buf, strlen(buf)) == BITNET_OK) c->n_seen = n;
    }
    if (n == 0 || n != c->n_seen) return BITNET_AGAIN;
    if (seq > 0) {
        snprintf(buf, sizeof buf, WINDOW, seq);
        text = buf;
    }
    return c->t.send(c->t.ctx, text, strlen(text));
}

static bool client_sends(client *c, int seq, int ms) {
    for (uint64_t end = now_ms() + (uint64_t)ms; now_ms() < end; usleep(STEP_US))
        if (client_send(c, NULL, seq) == BITNET_OK) return true;
    return false;
}

/* Whether the hub says something with that in it, and not before it was sent. */
static bool client_hears(client *c, const char *what, int ms) {
    char text[1025];
    size_t n;
    uint64_t at_ns, begin = bitnet_os_now_ns();
    for (uint64_t end = now_ms() + (uint64_t)ms; now_ms() < end; usleep(STEP_US))
        while (c->t.receive(c->t.ctx, text, sizeof text - 1, &n, &at_ns) == BITNET_OK) {
            text[n] = '\0';
            assert_true(at_ns + 10000000000u > begin && at_ns <= bitnet_os_now_ns());
            if (strstr(text, what)) return true;
        }
    return false;
}

static void client_close(client *c) {
    c->t.close(c->t.ctx);
}

/* --- tests --- */

static void a_producer_is_on_the_board_within_a_second(void **state) {
    (void)state;
    hub_thread h;
    client c;
    hub_start(&h, 0);
    board *b = board_open(h.port);
    client_open(&c, h.url, "a1");
    assert_true(client_sends(&c, 1, 1000));
    assert_true(hears(b, "\"seq\":1", 1000));
    assert_non_null(strstr(b->text, "\"instance\":\"a1\""));
    assert_true(client_hears(&c, "\"type\":\"welcome\"", SOON_MS));
    assert_true(client_hears(&c, "{\"type\":\"ack\",\"seq\":1}", SOON_MS));
    board_close(b);
    client_close(&c);
    hub_stop(&h);
}

static void what_is_queued_before_close_arrives(void **state) {
    (void)state;
    hub_thread h;
    client c;
    hub_start(&h, 0);
    board *b = board_open(h.port);
    client_open(&c, h.url, "a1");
    assert_true(client_sends(&c, 1, SOON_MS));
    for (int i = 2; i <= 30; i++)
        assert_int_equal(client_send(&c, NULL, i), BITNET_OK);
    assert_int_equal(client_send(&c, "{\"type\":\"bye\",\"reason\":\"done\",\"seq\":30}", 0),
                     BITNET_OK);
    uint64_t begin = now_ms();
    client_close(&c);
    assert_in_range(now_ms() - begin, 0, 1000);
    assert_true(hears(b, "\"reason\":\"done\"", SOON_MS));
    assert_non_null(strstr(b->text, "\"seq\":30,"));
    assert_false(hears(b, "lost", 200));
    board_close(b);
    hub_stop(&h);
}

static void an_absent_hub_costs_nothing_and_is_found_when_it_comes(void **state) {
    (void)state;
    hub_thread h;
    client c;
    hub_start(&h, 0); /* to learn a free port */
    hub_stop(&h);
    uint64_t begin = now_ms();
    client_open(&c, h.url, "a1");
    for (int i = 1; i < 100; i++)
        assert_int_equal(client_send(&c, NULL, i), BITNET_AGAIN);
    assert_in_range(now_ms() - begin, 0, 200);
    assert_int_equal(c.t.n_opened(c.t.ctx), 0);
    hub_start(&h, h.port);
    assert_true(client_sends(&c, 1, SOON_MS));
    board *b = board_open(h.port);
    assert_true(hears(b, "\"seq\":1", SOON_MS));
    board_close(b);
    client_close(&c);
    hub_stop(&h);
}

static void a_restarted_hub_gets_a_hello_before_anything_else(void **state) {
    (void)state;
    hub_thread h;
    client c;
    hub_start(&h, 0);
    client_open(&c, h.url, "a1");
    assert_true(client_sends(&c, 1, SOON_MS));
    for (uint32_t round = 2; round <= 3; round++) {
        hub_stop(&h);
        hub_start(&h, h.port);
        while (c.t.n_opened(c.t.ctx) < round)
            usleep(STEP_US);
        board *b = board_open(h.port);
        assert_true(client_sends(&c, 1, SOON_MS)); /* sends the hello first, since n_opened grew */
        assert_true(hears(b, "\"seq\":1", SOON_MS));
        assert_true(strstr(b->text, "hello") < strstr(b->text, "window"));
        board_close(b);
    }
    client_close(&c);
    hub_stop(&h);
}

/* The connection is new and the caller has not asked: what it would send belongs to the old one. */
static void nothing_is_taken_for_a_connection_the_caller_does_not_know(void **state) {
    (void)state;
    hub_thread h;
    client c;
    hub_start(&h, 0);
    board *b = board_open(h.port);
    client_open(&c, h.url, "a1");
    for (uint64_t end = now_ms() + 500; now_ms() < end; usleep(STEP_US))
        assert_int_equal(c.t.send(c.t.ctx, "x", 1), BITNET_AGAIN);
    assert_true(client_sends(&c, 1, SOON_MS));
    assert_true(hears(b, "\"seq\":1", SOON_MS));
    board_close(b);
    client_close(&c);
    hub_stop(&h);
}

static void a_producer_that_was_replaced_stays_away(void **state) {
    (void)state;
    hub_thread h;
    client first, second;
    hub_start(&h, 0);
    client_open(&first, h.url, "a1");
    assert_true(client_sends(&first, 1, SOON_MS));
    client_open(&second, h.url, "A1");
    assert_true(client_sends(&second, 1, SOON_MS));
    usleep(1500 * 1000); /* several of the first waits before a reconnection */
    assert_int_equal(first.t.n_opened(first.t.ctx), 1);
    assert_int_equal(second.t.n_opened(second.t.ctx), 1);
    assert_int_equal(client_send(&first, NULL, 2), BITNET_AGAIN);
    assert_int_equal(client_send(&second, NULL, 2), BITNET_OK);
    client_close(&first);
    client_close(&second);
    hub_stop(&h);
}

/* A hub that accepts and then says nothing: neither send nor close wait for it. */
static void a_hub_that_never_answers_does_not_hold_the_caller(void **state) {
    (void)state;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t n = sizeof sa;
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (struct sockaddr *)(void *)&sa, n), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)(void *)&sa, &n), 0);
    char url[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)ntohs(sa.sin_port));
    client c;
    client_open(&c, url, "a1");
    usleep(200 * 1000);
    uint64_t begin = now_ms();
    assert_int_equal(client_send(&c, NULL, 1), BITNET_AGAIN);
    client_close(&c);
    assert_in_range(now_ms() - begin, 0, 900);
    close(listener);
}

static void closing_at_once_is_fine(void **state) {
    (void)state;
    hub_thread h;
    hub_start(&h, 0);
    for (int i = 0; i < 20; i++) {
        client c;
        client_open(&c, h.url, "a1");
        usleep((useconds_t)i * 1000);
        uint64_t begin = now_ms();
        client_close(&c);
        assert_in_range(now_ms() - begin, 0, 1500);
    }
    hub_stop(&h);
}

/* Faster than the hub's limit: the queue takes 256, then says AGAIN; the hub closes with 4429. */
static void the_queue_is_bounded(void **state) {
    (void)state;
    hub_thread h;
    client c;
    hub_start(&h, 0);
    client_open(&c, h.url, "a1");
    assert_true(client_sends(&c, 1, SOON_MS));
    static char big[512 * 1024];
    memset(big, ' ', sizeof big);
    int n_taken = 0;
    while (c.t.send(c.t.ctx, big, sizeof big) == BITNET_OK)
        n_taken++;
    assert_in_range(n_taken, 1, 8); /* two fit; some may have left meanwhile */
    assert_int_equal(c.t.send(c.t.ctx, big, sizeof big), BITNET_AGAIN);
    client_close(&c);
    hub_stop(&h);
}

static void urls(void **state) {
    (void)state;
    static const struct {
        const char *url, *host, *authority, *path;
        unsigned port;
    } good[] = {
        {"ws://127.0.0.1:8080", "127.0.0.1", "127.0.0.1:8080", "/tracker", 8080},
        {"ws://127.0.0.1:8080/", "127.0.0.1", "127.0.0.1:8080", "/tracker", 8080},
        {"ws://localhost:1/hub/a-b_c.d", "localhost", "localhost:1", "/hub/a-b_c.d", 1},
        {"ws://board", "board", "board:80", "/tracker", 80},
        {"ws://[::1]:65535/tracker", "::1", "[::1]:65535", "/tracker", 65535},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ws_url u;
        assert_int_equal(ws_url_parse(&u, good[i].url, NULL), BITNET_OK);
        assert_string_equal(u.host, good[i].host);
        assert_string_equal(u.authority, good[i].authority);
        assert_string_equal(u.path, good[i].path);
        assert_int_equal(u.port, good[i].port);
    }
    static const char *const bad[] = {
        "",
        "ws:",
        "ws://",
        "ws:///x",
        "ws://:80",
        "ws://h:",
        "ws://h:0",
        "ws://h:65536",
        "ws://h:99999999999",
        "ws://h:8o",
        "ws://h:80x",
        "ws://u@h",
        "ws://h/?q",
        "ws://h/#f",
        "ws://h/%20",
        "ws://h/a b",
        "ws://h\r\nX:",
        "ws://[::1",
        "ws://::1",
        "ws://[]",
        "http://h",
        "h:80",
        "WS://h",
        "ws://h:-1",
        "ws://\xc3\xa9",
        "ws://"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaa",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bitnet_error err = {0};
        bitnet_transport t;
        if (bitnet_transport_lws_open(&t, bad[i], &err) != BITNET_E_INVAL) fail_msg("%s", bad[i]);
        assert_string_equal(err.id, "tracker.url");
        assert_non_null(strstr(err.text, "ws://127.0.0.1:8080"));
    }
    bitnet_error err = {0};
    bitnet_transport t;
    assert_int_equal(bitnet_transport_lws_open(&t, "wss://h", &err), BITNET_E_UNSUPPORTED);
    assert_string_equal(err.id, "tracker.url.tls");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(a_producer_is_on_the_board_within_a_second),
        cmocka_unit_test(what_is_queued_before_close_arrives),
        cmocka_unit_test(an_absent_hub_costs_nothing_and_is_found_when_it_comes),
        cmocka_unit_test(a_restarted_hub_gets_a_hello_before_anything_else),
        cmocka_unit_test(nothing_is_taken_for_a_connection_the_caller_does_not_know),
        cmocka_unit_test(a_producer_that_was_replaced_stays_away),
        cmocka_unit_test(a_hub_that_never_answers_does_not_hold_the_caller),
        cmocka_unit_test(closing_at_once_is_fine),
        cmocka_unit_test(the_queue_is_bounded),
    };
    return cmocka_run_group_tests_name("transport", tests, NULL, NULL);
}
