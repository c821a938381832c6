/* test_hub.c: the hub with a clock of its own, so that minutes pass at once. What a viewer hears is
 * collected as text and compared whole. Over real websockets: tests/js/serve/hub.test.mjs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dash/hub.h"

typedef struct client {
    hub_peer *peer;
    int n_woken, code; /* code: closed by the hub with it */
} client;

static unsigned epoch; /* of hellos: each is newer than all before it */
static hub_time now = {.ms = 1000000, .wall_us = 1795000000000000};

static void pass(uint64_t ms) {
    now.ms += ms;
    now.wall_us += ms * 1000;
}
static void on_wake(void *user) {
    ((client *)user)->n_woken++;
}
static void on_close(void *user, int code) {
    ((client *)user)->code = code;
}

static int set_up(void **state) {
    *state = hub_create(&(hub_desc){.events = {.wake = on_wake, .close = on_close}});
    return *state ? 0 : -1;
}
static int tear_down(void **state) {
    hub_free(*state);
    return 0;
}

static int say(hub *h, client *c, const char *text) {
    const char *why = NULL;
    int code = hub_receive(h, c->peer, text, strlen(text), now, &why);
    assert_true((code == 0) == (why == NULL));
    return code;
}

static void join(hub *h, client *c) {
    *c = (client){0};
    c->peer = hub_join(h, c, now);
    assert_non_null(c->peer);
}

static int join_producer(hub *h, client *c, unsigned instance) {
    char text[512];
    snprintf(text, sizeof text,
             "{\"type\":\"hello\",\"proto\":1,\"role\":\"producer\",\"name\":\"p%x\","
             "\"instance\":\"%x\",\"epoch\":%u,\"next_seq\":1,\"backend\":\"cpu\",\"tier\":\"c\","
             "\"threads\":1,\"model\":\"\",\"host\":\"\",\"build\":\"\",\"t_ms\":1,"
             "\"started_ms\":1,\"metrics\":[{\"name\":\"load\",\"unit\":\"1\",\"kind\":"
             "\"gauge\",\"min\":0,\"help\":\"\"}]}",
             instance, instance, ++epoch);
    join(h, c);
    return say(h, c, text);
}

static int send_window(hub *h, client *c, unsigned seq) {
    char text[256];
    snprintf(text, sizeof text,
             "{\"type\":\"window\",\"seq\":%u,\"t_ms\":1,\"span_ms\":100,\"dropped\":0,\"m\":{}}",
             seq);
    return say(h, c, text);
}

static void join_viewer(hub *h, client *c) {
    join(h, c);
    assert_int_equal(say(h, c, "{\"type\":\"hello\",\"proto\":1,\"role\":\"viewer\"}"), 0);
}

static unsigned long number(const char *text, const char *key) {
    const char *p = strstr(text, key);
    return p ? strtoul(p + strlen(key), NULL, 10) : 0;
}

static bool is(const char *text, const char *type) {
    char start[32];
    snprintf(start, sizeof start, "{\"type\":\"%s\"", type);
    return strncmp(text, start, strlen(start)) == 0;
}

/* One letter per message: W(elcome) H(ello) w(indow) o(p) g(ap of a producer) B(ye) C(lock) M(issed), with
 * the number of its producer and its own, and what a producer is told: R(esume from) A(cknowledged)
 * P(ing) N(ack); until there is no more or n were read. */
static const char *heard(hub *h, client *c, int n) {
    static char story[1 << 16];
    const char *text;
    size_t len, at = 0;
    story[0] = '\0';
    while (n-- != 0 && hub_next(h, c->peer, now, &text, &len)) {
        assert_int_equal(strlen(text), len);
        unsigned long producer = number(text, "\"producer\":"), seq = number(text, "\"seq\":");
        int k = 0;
        char *to = story + at;
        size_t room = sizeof story - at;
        if (strstr(text, "\"resume_from\":"))
            k = snprintf(to, room, "R%lu ", number(text, "\"resume_from\":"));
        else if (is(text, "welcome"))
            k = snprintf(to, room, "W ");
        else if (is(text, "hello"))
            k = snprintf(to, room, "H%lu ", producer);
        else if (is(text, "window"))
            k = snprintf(to, room, "w%lu.%lu ", producer, seq);
        else if (is(text, "op"))
            k = snprintf(to, room, "o%lu.%lu ", producer, seq);
        else if (is(text, "bye"))
            k = snprintf(to, room, "B%lu ", producer);
        else if (strstr(text, "\"missed\":"))
            k = snprintf(to, room, "M%lu ", number(text, "\"missed\":"));
        else if (is(text, "gap"))
            k = snprintf(to, room, "g%lu.%lu-%lu ", producer, seq, number(text, "\"to\":"));
        else if (is(text, "clock"))
            k = snprintf(to, room, "C%lu ", producer);
        else if (is(text, "ack"))
            k = snprintf(to, room, "A%lu ", seq);
        else if (is(text, "ping"))
            k = snprintf(to, room, "P%lu ", number(text, "\"id\":"));
        else if (is(text, "nack"))
            k = snprintf(to, room, "N%lu ", seq);
        assert_true(k > 0 && (size_t)k < room);
        at += (size_t)k;
    }
    return story;
}

static void a_viewer_hears_the_past_in_order_and_then_the_present(void **state) {
    hub *h = *state;
    client a, b, v;
    assert_int_equal(join_producer(h, &a, 1), 0);
    assert_int_equal(join_producer(h, &b, 2), 0);
    send_window(h, &a, 1);
    send_window(h, &b, 1);
    send_window(h, &a, 2);
    say(h, &b, "{\"type\":\"bye\",\"reason\":\"done\",\"seq\":1}");
    join_viewer(h, &v);
    assert_string_equal(heard(h, &v, -1), "W H1 w1.1 w1.2 H2 w2.1 B2 ");
    assert_string_equal(heard(h, &v, -1), "");
    v.n_woken = 0;
    send_window(h, &a, 3);
    assert_int_equal(v.n_woken, 1);
    assert_string_equal(heard(h, &v, -1), "w1.3 ");
}

static void what_happens_during_a_replay_is_heard_once_and_after_it(void **state) {
    hub *h = *state;
    client a, b, c, v;
    join_producer(h, &a, 1);
    send_window(h, &a, 1);
    join_producer(h, &b, 2);
    send_window(h, &b, 1);
    join_viewer(h, &v);
    assert_string_equal(heard(h, &v, 2), "W H1 "); /* in the middle of producer 1 */
    send_window(h, &a, 2);
    join_producer(h, &c, 3);
    send_window(h, &c, 1);
    hub_leave(h, b.peer, now);
    assert_string_equal(heard(h, &v, -1), "w1.1 H2 w2.1 w1.2 H3 w3.1 B2 ");
}

static void an_ended_producer_is_shown_for_ten_minutes(void **state) {
    hub *h = *state;
    client a, v;
    join_producer(h, &a, 1);
    send_window(h, &a, 1);
    hub_leave(h, a.peer, now);
    pass(HUB_ENDED_MS - 1);
    hub_tick(h, now);
    join_viewer(h, &v);
    assert_string_equal(heard(h, &v, -1), "W H1 w1.1 B1 ");
    hub_leave(h, v.peer, now);
    pass(1);
    hub_tick(h, now);
    join_viewer(h, &v);
    assert_string_equal(heard(h, &v, -1), "W ");
}

static void of_those_that_ended_the_last_64_are_kept(void **state) {
    hub *h = *state;
    client p, v;
    for (unsigned i = 1; i <= 70; i++) {
        assert_int_equal(join_producer(h, &p, i), 0);
        hub_leave(h, p.peer, now);
        pass(1);
    }
    join_viewer(h, &v);
    const char *story = heard(h, &v, -1);
    assert_null(strstr(story, "H6 "));
    assert_non_null(strstr(story, "H7 B7 H8 B8 "));
    assert_non_null(strstr(story, "H70 B70 "));
}

static void of_each_producer_the_last_600_windows_are_kept(void **state) {
    hub *h = *state;
    client p, v;
    join_producer(h, &p, 1);
    for (unsigned i = 1; i <= HUB_RECENT_MAX + 50; i++) {
        pass(100);
        assert_int_equal(send_window(h, &p, i), 0);
    }
    join_viewer(h, &v);
    assert_string_equal(heard(h, &v, 3), "W H1 w1.51 ");
    const char *story = heard(h, &v, -1);
    assert_non_null(strstr(story, "w1.52 w1.53 "));
    assert_string_equal(story + strlen(story) - strlen("w1.649 w1.650 "), "w1.649 w1.650 ");
}

static void a_row_that_comes_back_keeps_its_number_and_its_windows(void **state) {
    hub *h = *state;
    client first, second, v, late;
    join_viewer(h, &v);
    join_producer(h, &first, 0xab);
    send_window(h, &first, 1);
    join_producer(h, &second, 0xab);
    assert_int_equal(first.code, HUB_CLOSE_REPLACED);
    assert_int_equal(send_window(h, &first, 2), 0); /* told to go: ignored */
    hub_leave(h, first.peer, now);
    send_window(h, &second, 2);
    hub_leave(h, second.peer, now);
    assert_string_equal(heard(h, &v, -1), "W H1 w1.1 H1 w1.2 B1 ");
    join_producer(h, &second, 0xab);
    join_viewer(h, &late);
    assert_string_equal(heard(h, &late, -1), "W H1 w1.1 w1.2 ");
}

static void
a_viewer_that_falls_behind_is_told_how_many_it_missed_and_gets_the_newest(void **state) {
    hub *h = *state;
    client p, q, v;
    join_viewer(h, &v);
    join_producer(h, &p, 1);
    join_producer(h, &q, 2);
    send_window(h, &q, 1);
    assert_string_equal(heard(h, &v, -1), "W H1 H2 w2.1 ");
    for (unsigned i = 1; i <= HUB_RING_MAX + 10; i++) {
        pass(1000 / HUB_RATE_MAX);
        assert_int_equal(send_window(h, &p, i), 0);
    }
    char expected[64];
    snprintf(expected, sizeof expected, "M%d H1 w1.%d H2 w2.1 ", HUB_RING_MAX + 10,
             HUB_RING_MAX + 10);
    assert_string_equal(heard(h, &v, -1), expected);
    send_window(h, &q, 2);
    assert_string_equal(heard(h, &v, -1), "w2.2 ");
}

static void a_viewer_that_reads_nothing_for_30_seconds_is_closed(void **state) {
    hub *h = *state;
    client p, idle, stuck, slow;
    join_viewer(h, &idle);
    join_viewer(h, &slow);
    join_viewer(h, &stuck);
    heard(h, &idle, -1);
    heard(h, &slow, -1);
    heard(h, &stuck, -1);
    pass(100 * 1000); /* nothing to read is no reason */
    hub_tick(h, now);
    assert_int_equal(stuck.code, 0);
    join_producer(h, &p, 1);
    send_window(h, &p, 1);
    pass(HUB_STALL_MS - 1);
    heard(h, &idle, -1);
    heard(h, &slow, 1); /* one of two messages is enough */
    hub_tick(h, now);
    assert_int_equal(stuck.code, 0);
    pass(1);
    hub_tick(h, now);
    assert_int_equal(stuck.code, HUB_CLOSE_STALLED);
    assert_int_equal(slow.code, 0);
    pass(HUB_STALL_MS);
    hub_tick(h, now);
    assert_int_equal(slow.code, HUB_CLOSE_STALLED);
    assert_int_equal(idle.code, 0);
}

static void the_first_message_is_due_within_five_seconds(void **state) {
    hub *h = *state;
    client silent, p;
    join(h, &silent);
    join_producer(h, &p, 1);
    pass(HUB_HELLO_MS - 1);
    hub_tick(h, now);
    assert_int_equal(silent.code, 0);
    pass(1);
    hub_tick(h, now);
    assert_int_equal(silent.code, HUB_CLOSE_POLICY);
    assert_int_equal(p.code, 0);
}

static void a_thousand_messages_a_second_however_they_are_spread(void **state) {
    hub *h = *state;
    client p;
    join_producer(h, &p, 1);
    unsigned seq = 0;
    for (int i = 0; i < HUB_RATE_MAX; i++)
        assert_int_equal(send_window(h, &p, ++seq), 0);
    pass(1);
    assert_int_equal(send_window(h, &p, ++seq), 0);
    assert_int_equal(send_window(h, &p, ++seq), HUB_CLOSE_RATE);
    join_producer(h, &p, 2);
    seq = 0;
    for (int i = 0; i < 5000; i++) {
        pass(1);
        assert_int_equal(send_window(h, &p, ++seq), 0);
    }
    pass(1000 * 3600); /* an hour of silence is no credit */
    for (int i = 0; i < HUB_RATE_MAX; i++)
        assert_int_equal(send_window(h, &p, ++seq), 0);
    assert_int_equal(send_window(h, &p, ++seq), HUB_CLOSE_RATE);
}

static void a_number_is_taken_once_and_in_order(void **state) {
    hub *h = *state;
    client p, v;
    join_viewer(h, &v);
    join_producer(h, &p, 1);
    assert_string_equal(heard(h, &p, -1), "R1 ");
    assert_int_equal(send_window(h, &p, 1), 0);
    assert_int_equal(send_window(h, &p, 1), 0); /* again: ignored */
    assert_int_equal(
        say(h, &p, "{\"type\":\"gap\",\"seq\":2,\"to\":4,\"n\":7,\"reason\":\"spool_full\"}"), 0);
    assert_int_equal(send_window(h, &p, 5), 0);
    assert_string_equal(heard(h, &p, -1), "A5 "); /* nothing stores here: at once */
    assert_string_equal(heard(h, &v, -1), "W H1 w1.1 g1.2-4 w1.5 ");
    assert_int_equal(send_window(h, &p, 7), HUB_CLOSE_SEQUENCE);
    hub_leave(h, p.peer, now);
    join_producer(h, &p, 1);
    assert_string_equal(heard(h, &p, -1), "R6 A5 "); /* an acknowledgement may have been lost */
}

static void what_a_bye_says_was_produced_and_did_not_come_is_a_gap(void **state) {
    hub *h = *state;
    client p, v;
    join_viewer(h, &v);
    join_producer(h, &p, 1);
    send_window(h, &p, 1);
    say(h, &p, "{\"type\":\"bye\",\"reason\":\"done\",\"seq\":9}");
    assert_string_equal(heard(h, &v, -1), "W H1 w1.1 g1.2-9 B1 ");
}

static void of_two_connections_the_one_with_the_later_epoch_lives(void **state) {
    hub *h = *state;
    client older, newer;
    const unsigned before = epoch;
    join_producer(h, &newer, 1);
    epoch = before; /* the next hello is as old as that one */
    assert_int_equal(join_producer(h, &older, 1), HUB_CLOSE_REPLACED);
    assert_int_equal(newer.code, 0);
    assert_int_equal(send_window(h, &newer, 1), 0);
}

static void a_value_beyond_its_announced_range_is_left_out_and_told(void **state) {
    hub *h = *state;
    client p, v;
    const char *text;
    size_t n;
    join_producer(h, &p, 1);
    heard(h, &p, -1);
    join_viewer(h, &v);
    heard(h, &v, -1);
    assert_int_equal(
        say(h, &p,
            "{\"type\":\"window\",\"seq\":1,\"t_ms\":1,\"span_ms\":1,\"dropped\":0,\"m\":"
            "{\"load\":{\"n\":1,\"sum\":-1,\"min\":-1,\"max\":-1,\"last\":-1}}}"),
        0);
    assert_true(hub_next(h, v.peer, now, &text, &n));
    assert_non_null(strstr(text, "\"m\":{}"));
    assert_true(hub_next(h, p.peer, now, &text, &n)); /* the acknowledgement */
    assert_true(hub_next(h, p.peer, now, &text, &n));
    if (!strstr(text, "\"metric\":\"load\",\"n\":1,\"found\":-1,")) fail_msg("%s", text);
}

static void a_producer_has_ten_thousand_series_and_no_more(void **state) {
    hub *h = *state;
    client p, v;
    join_producer(h, &p, 1);
    join_viewer(h, &v);
    heard(h, &v, -1);
    char text[512];
    const int n = MESSAGE_SERIES_MAX + 100;
    int n_kept = 0;
    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof text,
                 "{\"type\":\"window\",\"seq\":%d,\"t_ms\":1,\"span_ms\":1,\"dropped\":0,\"m\":{},"
                 "\"s\":[{\"name\":"
                 "\"load\",\"labels\":{\"a\":\"%d\",\"b\":\"x\"},\"n\":1,\"sum\":1,\"min\":1,"
                 "\"max\":1,\"last\":1}]}",
                 i + 1, i);
        pass(2);
        assert_int_equal(say(h, &p, text), 0);
        const char *said;
        size_t len;
        assert_true(hub_next(h, v.peer, now, &said, &len));
        n_kept += strstr(said, "\"labels\"") != NULL;
    }
    /* two that share a hash count once: 10,100 of 2^32 do so in one run of a hundred, here in none */
    assert_int_equal(n_kept, MESSAGE_SERIES_MAX);
    snprintf(text, sizeof text,
             "{\"type\":\"window\",\"seq\":%d,\"t_ms\":1,\"span_ms\":1,\"dropped\":0,\"m\":{},"
             "\"s\":[{\"name\":"
             "\"load\",\"labels\":{\"b\":\"x\",\"a\":\"7\"},\"n\":1,\"sum\":1,\"min\":1,\"max\":1,"
             "\"last\":1}]}",
             n + 1);
    assert_int_equal(say(h, &p, text),
                     0); /* one of the first goes on, in whatever order its labels come */
    const char *said;
    size_t len;
    assert_true(hub_next(h, v.peer, now, &said, &len) && strstr(said, "\"labels\""));
    bool is_told = false;
    while (hub_next(h, p.peer, now, &said, &len))
        is_told = is_told || strstr(said, "one series too many");
    assert_true(is_told);
}

/* The producer's clock is 5 s ahead; the way there takes 3 ms and the way back 5. */
static void the_offset_of_a_clock_is_known_within_half_the_delay(void **state) {
    hub *h = *state;
    client p, v;
    const char *text;
    size_t n;
    join_producer(h, &p, 1);
    heard(h, &p, -1);
    join_viewer(h, &v);
    heard(h, &v, -1);
    pass(1000);
    hub_tick(h, now);
    assert_string_equal(heard(h, &p, -1), "P1 ");
    double sent = (double)now.wall_us / 1000;
    char pong[160];
    snprintf(pong, sizeof pong, "{\"type\":\"pong\",\"id\":1,\"rx_ms\":%.3f,\"tx_ms\":%.3f}",
             sent + 3 + 5000, sent + 13 + 5000);
    pass(18);
    assert_int_equal(say(h, &p, pong), 0);
    assert_true(hub_next(h, v.peer, now, &text, &n));
    double offset = strtod(strstr(text, "\"offset_ms\":") + 12, NULL);
    double error = strtod(strstr(text, "\"error_ms\":") + 11, NULL);
    assert_float_equal(offset, 4999, 0.01); /* half of 5 - 3 short of the truth */
    assert_float_equal(error, 4, 0.01);
}

static void a_hello_without_the_token_is_refused(void **state) {
    hub *h = hub_create(
        &(hub_desc){.events = {.wake = on_wake, .close = on_close}, .token = "0123456789abcdef"});
    (void)state;
    static const struct {
        const char *token;
        int code;
    } rows[] = {{"", HUB_CLOSE_TOKEN},
                {",\"token\":\"0123456789abcdeg\"", HUB_CLOSE_TOKEN},
                {",\"token\":\"0123456789abcdef0\"", HUB_CLOSE_TOKEN},
                {",\"token\":\"0123456789abcde\"", HUB_CLOSE_TOKEN},
                {",\"token\":7", HUB_CLOSE_POLICY},
                {",\"token\":\"0123456789abcdef\"", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        client v;
        char text[256];
        snprintf(text, sizeof text, "{\"type\":\"hello\",\"proto\":1,\"role\":\"viewer\"%s}",
                 rows[i].token);
        join(h, &v);
        assert_int_equal(say(h, &v, text), rows[i].code);
    }
    hub_free(h);
}

static void a_full_hub_says_so_and_has_room_again_when_someone_leaves(void **state) {
    hub *h = *state;
    static client producers[HUB_PRODUCERS_MAX + 1], viewers[HUB_VIEWERS_MAX + 1];
    for (unsigned i = 0; i < HUB_PRODUCERS_MAX; i++)
        assert_int_equal(join_producer(h, &producers[i], i + 1), 0);
    assert_int_equal(join_producer(h, &producers[HUB_PRODUCERS_MAX], 999), HUB_CLOSE_FULL);
    hub_leave(h, producers[0].peer, now);
    assert_int_equal(join_producer(h, &producers[0], 999), 0);

    const char *hello = "{\"type\":\"hello\",\"proto\":1,\"role\":\"viewer\"}";
    for (int i = 0; i < HUB_VIEWERS_MAX; i++)
        join_viewer(h, &viewers[i]);
    join(h, &viewers[HUB_VIEWERS_MAX]);
    assert_int_equal(say(h, &viewers[HUB_VIEWERS_MAX], hello), HUB_CLOSE_FULL);
    hub_leave(h, viewers[0].peer, now);
    assert_int_equal(say(h, &viewers[1], "{}"),
                     HUB_CLOSE_POLICY); /* refused: leaves its place too */
    join_viewer(h, &viewers[0]);
    client another;
    join_viewer(h, &another);
}

/* 64 producers with windows of 12 KiB: the history stays within its 64 MiB, shared fairly. */
static void the_history_is_bounded_in_bytes(void **state) {
    hub *h = *state;
    enum { N = 64 };
    static char hello[32 * 1024], window[64 * 1024];
    static client producers[N];
    size_t n;
    for (unsigned i = 0; i < N; i++) {
        n = (size_t)snprintf(hello, sizeof hello,
                             "{\"type\":\"hello\",\"proto\":1,\"role\":\"producer\",\"name\":\"p\","
                             "\"instance\":\"%x\",\"epoch\":1,\"next_seq\":1,\"backend\":\"\","
                             "\"tier\":\"\",\"threads\":1,\"model\":\"\",\"host\":\"\","
                             "\"build\":\"\",\"t_ms\":1,\"started_ms\":1,\"metrics\":[",
                             i + 1);
        for (int m = 0; m < 64; m++)
            n += (size_t)snprintf(hello + n, sizeof hello - n,
                                  "%s{\"name\":\"m%059d_%02d\",\"unit\":\"\",\"kind\":\"gauge\","
                                  "\"help\":\"\"}",
                                  m ? "," : "", 0, m);
        snprintf(hello + n, sizeof hello - n, "]}");
        join(h, &producers[i]);
        assert_int_equal(say(h, &producers[i], hello), 0);
    }
    static char values[32 * 1024];
    for (int m = 0, at = 0; m < 64; m++)
        at += snprintf(values + at, sizeof values - (size_t)at,
                       "%s\"m%059d_%02d\":{\"n\":1,\"sum\":0.12345678901234566,"
                       "\"min\":0.12345678901234566,\"max\":0.12345678901234566,"
                       "\"last\":0.12345678901234566}",
                       m ? "," : "", 0, m);
    const int n_rounds = 120;
    for (int round = 1; round <= n_rounds; round++) {
        pass(20);
        snprintf(
            window, sizeof window,
            "{\"type\":\"window\",\"seq\":%d,\"t_ms\":1,\"span_ms\":1,\"dropped\":0,\"m\":{%s}}",
            round, values);
        for (unsigned i = 0; i < N; i++)
            assert_int_equal(say(h, &producers[i], window), 0);
    }
    client v;
    join_viewer(h, &v);
    size_t bytes = 0, len;
    int n_windows = 0;
    const char *text;
    while (hub_next(h, v.peer, now, &text, &len)) {
        if (strncmp(text, "{\"type\":\"window\"", 16) != 0) continue;
        bytes += len;
        n_windows++;
    }
    assert_in_range(bytes, HUB_HISTORY_BYTES - 2 * sizeof window, HUB_HISTORY_BYTES);
    assert_in_range(n_windows, N * n_rounds / 2, N * n_rounds - 1); /* fewer than were sent */
}

/* Whatever the order of events, a viewer that keeps reading hears each producer's windows once, in
 * order, after its hello. The seed is fixed so that a failure can be repeated. */
static void random_schedules_keep_each_story_straight(void **state) {
    (void)state;
    uint64_t seed = 20261121;
    for (int round = 0; round < 200; round++) {
        hub *h = hub_create(&(hub_desc){.events = {.wake = on_wake, .close = on_close}});
        client p[4], v;
        unsigned seq[4] = {0};
        bool in[4] = {false}, has_viewer = false;
        char story[1 << 14] = "";
        for (int step = 0; step < 150; step++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            unsigned who = (seed >> 33) & 3, what = (seed >> 40) % 8;
            pass(25);
            if (what == 0 && !in[who]) in[who] = join_producer(h, &p[who], who + 1) == 0;
            if (what >= 1 && what <= 4 && in[who]) send_window(h, &p[who], ++seq[who]);
            if (what == 5 && in[who] && (seed >> 50) % 4 == 0) {
                hub_leave(h, p[who].peer, now);
                in[who] = false;
            }
            if (what == 6 && !has_viewer && step > 50) {
                join_viewer(h, &v);
                has_viewer = true;
            }
            if (what == 7 && has_viewer) strcat(story, heard(h, &v, (int)((seed >> 50) % 5)));
        }
        if (!has_viewer) join_viewer(h, &v);
        strcat(story, heard(h, &v, -1));
        for (unsigned number = 1; number <= 4; number++) {
            unsigned long last = 0;
            bool has_hello = false;
            for (char *w = story; *w; w += strcspn(w, " ") + 1) {
                unsigned long n = strtoul(w + 1, NULL, 10);
                if (n != number) continue;
                if (*w == 'H') has_hello = true;
                if (*w != 'w') continue;
                unsigned long s = strtoul(strchr(w, '.') + 1, NULL, 10);
                if (!has_hello || s != last + 1) fail_msg("round %d: %s", round, story);
                last = s;
            }
        }
        hub_free(h);
    }
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_viewer_hears_the_past_in_order_and_then_the_present),
        T(what_happens_during_a_replay_is_heard_once_and_after_it),
        T(an_ended_producer_is_shown_for_ten_minutes),
        T(of_those_that_ended_the_last_64_are_kept),
        T(of_each_producer_the_last_600_windows_are_kept),
        T(a_row_that_comes_back_keeps_its_number_and_its_windows),
        T(a_viewer_that_falls_behind_is_told_how_many_it_missed_and_gets_the_newest),
        T(a_viewer_that_reads_nothing_for_30_seconds_is_closed),
        T(the_first_message_is_due_within_five_seconds),
        T(a_thousand_messages_a_second_however_they_are_spread),
        T(a_number_is_taken_once_and_in_order),
        T(what_a_bye_says_was_produced_and_did_not_come_is_a_gap),
        T(of_two_connections_the_one_with_the_later_epoch_lives),
        T(a_value_beyond_its_announced_range_is_left_out_and_told),
        T(a_producer_has_ten_thousand_series_and_no_more),
        T(the_offset_of_a_clock_is_known_within_half_the_delay),
        T(a_hello_without_the_token_is_refused),
        T(a_full_hub_says_so_and_has_room_again_when_someone_leaves),
        T(the_history_is_bounded_in_bytes),
        T(random_schedules_keep_each_story_straight),
    };
    return cmocka_run_group_tests_name("hub", tests, NULL, NULL);
}
