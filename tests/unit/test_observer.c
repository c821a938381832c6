/* test_observer.c: when a hub is well, degraded or unhealthy, why, and who is told, with a clock and a store of
 * its own.
 */
#include "hearing.h"

#include <cjson/cJSON.h>

#include "dash/observer.h"

typedef struct world {
    observer_store store;
    alerts *alerts;
    observer *o;
    hub *hub;
    hub_peer *board;
    uint64_t ms;
    int n_changes; /* of alerts, as the store hears of them */
} world;

static void on_wake(void *user) {
    (void)user;
}
static void on_close(void *user, int code) {
    (void)user;
    fail_msg("closed with %d", code);
}
static void on_store(void *ctx, observer_store *out) {
    *out = ((world *)ctx)->store;
}
static void on_change(void *ctx, const alert *a, const char *instance, const char *json) {
    (void)a;
    (void)instance;
    assert_non_null(strstr(json, "\"type\":\"alert\""));
    ((world *)ctx)->n_changes++;
}

static void begin(world *w, observer_store_state state) {
    bitnet_error err = {0};
    *w = (world){.store = {.state = state, .has_room = true}, .alerts = alerts_create()};
    assert_true(alerts_add(w->alerts, "store_ok < 1 for 2s", &err) >= 0);
    w->o = observer_create(
        &(observer_desc){
            .alerts = w->alerts, .store_state = on_store, .alert_changed = on_change, .ctx = w},
        at_ms(0));
    w->hub = hub_create(&(hub_desc){.events = {.wake = on_wake, .close = on_close},
                                    .listener = observer_listener(w->o)});
    w->board = hub_join(w->hub, w, at_ms(0));
    const char hello[] = "{\"type\":\"hello\",\"proto\":1,\"role\":\"viewer\"}", *why;
    assert_int_equal(hub_receive(w->hub, w->board, hello, strlen(hello), at_ms(0), &why), 0);
}

static void end(world *w) {
    hub_free(w->hub);
    observer_free(w->o);
    alerts_free(w->alerts);
}

static void tick(world *w, uint64_t late_ms) {
    w->ms += OBSERVER_TICK_MS + late_ms;
    observer_tick(w->o, w->hub, at_ms(w->ms));
}

/* Everything the board is told meanwhile, one message after the other. */
static const char *told(world *w, hub_peer *board) {
    static char all[4096];
    const char *text;
    size_t n, at = 0;
    all[0] = '\0';
    while (hub_next(w->hub, board, at_ms(w->ms), &text, &n))
        at += (size_t)snprintf(all + at, sizeof all - at, "%.*s\n", (int)n, text);
    return all;
}

static void expect_health(const world *w, observer_health expected, const char *reason) {
    text_buf t = {.p = NULL};
    observer_health got = observer_write_health(w->o, at_ms(w->ms), &t);
    cJSON *json = cJSON_Parse(t.p);
    if (!json) fail_msg("not JSON: %s", t.p);
    const cJSON *reasons = cJSON_GetObjectItem(json, "reasons");
    if (got != expected || (reason && !strstr(t.p, reason)) ||
        (expected == HEALTH_OK) != (cJSON_GetArraySize(reasons) == 0))
        fail_msg("expected %d because of %s, got %d: %s", (int)expected, reason ? reason : "-",
                 (int)got, t.p);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "checks")), 4);
    cJSON_Delete(json);
    text_free(&t);
}

static void a_late_loop_is_degraded_and_a_very_late_one_unhealthy(void **state) {
    (void)state;
    world w;
    begin(&w, OBSERVER_STORE_OFF);
    tick(&w, 0);
    expect_health(&w, HEALTH_OK, NULL);
    tick(&w, OBSERVER_LAG_DEGRADED_MS);
    expect_health(&w, HEALTH_OK, NULL);
    tick(&w, OBSERVER_LAG_DEGRADED_MS + 500);
    expect_health(&w, HEALTH_DEGRADED, "the loop was 1.5 s late");
    for (int i = 0; i < OBSERVER_LAGS; i++) /* it is remembered for so many ticks */
        tick(&w, 0);
    expect_health(&w, HEALTH_OK, NULL);
    w.ms +=
        OBSERVER_TICK_MS + OBSERVER_LAG_UNHEALTHY_MS + 1; /* asked before the tick that is due */
    expect_health(&w, HEALTH_UNHEALTHY, "the loop was 10.0 s late");
    end(&w);
}

static void a_store_that_fails_degrades_and_one_that_turns_away_is_unhealthy(void **state) {
    (void)state;
    static const struct {
        observer_store_state state;
        bool has_room;
        observer_health health;
        const char *reason;
    } cases[] = {
        {OBSERVER_STORE_OFF, true, HEALTH_OK, NULL},
        {OBSERVER_STORE_OK, true, HEALTH_OK, NULL},
        {OBSERVER_STORE_FULL, true, HEALTH_DEGRADED, "no room for history: the disk is full"},
        {OBSERVER_STORE_ERROR, true, HEALTH_DEGRADED, "cannot be written: the disk is full"},
        {OBSERVER_STORE_ERROR, false, HEALTH_UNHEALTHY, "producers are turned away"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world w;
        begin(&w, cases[i].state);
        w.store.has_room = cases[i].has_room;
        if (cases[i].health != HEALTH_OK)
            snprintf(w.store.reason, sizeof w.store.reason, "the disk is full");
        expect_health(&w, cases[i].health, cases[i].reason);
        end(&w);
    }
}

static void losses_degrade_for_a_minute(void **state) {
    (void)state;
    world w;
    begin(&w, OBSERVER_STORE_OFF);
    hub_peer *p = hub_join(w.hub, &w, at_ms(0));
    const char *why,
        hello[] = "{\"type\":\"hello\",\"proto\":1,\"role\":\"producer\",\"name\":\"cli\","
                  "\"instance\":\"a1\",\"epoch\":1,\"next_seq\":1,\"backend\":\"\",\"tier\":\"\","
                  "\"threads\":1,\"model\":\"\",\"host\":\"\",\"build\":\"\",\"t_ms\":1,"
                  "\"started_ms\":1,\"metrics\":[]}";
    const char window[] =
        "{\"type\":\"window\",\"seq\":1,\"t_ms\":1,\"span_ms\":1,\"dropped\":7,\"m\":{}}";
    assert_int_equal(hub_receive(w.hub, p, hello, strlen(hello), at_ms(0), &why), 0);
    assert_int_equal(hub_receive(w.hub, p, window, strlen(window), at_ms(0), &why), 0);
    expect_health(&w, HEALTH_DEGRADED, "1 producer lost 7 samples in the last minute");
    for (int i = 0; i < 59; i++)
        tick(&w, 0);
    expect_health(&w, HEALTH_DEGRADED, "7 samples");
    tick(&w, 0);
    expect_health(&w, HEALTH_OK, NULL);
    end(&w);
}

static void boards_hear_of_health_when_it_changes_and_once_after_their_welcome(void **state) {
    (void)state;
    world w;
    begin(&w, OBSERVER_STORE_OK);
    tick(&w, 0);
    const char *first = told(&w, w.board);
    assert_non_null(
        strstr(first, "{\"type\":\"health\",\"status\":\"ok\",\"reasons\":[],\"store\":\"ok\"}"));
    for (int i = 0; i < 5; i++)
        tick(&w, 0);
    assert_string_equal(told(&w, w.board), "");
    w.store.state = OBSERVER_STORE_FULL;
    tick(&w, 0);
    const char *changed = told(&w, w.board);
    assert_non_null(strstr(changed, "\"status\":\"degraded\""));
    assert_non_null(strstr(changed, "\"store\":\"full\""));
    assert_int_equal(w.n_changes, 0);
    tick(&w, 0);
    tick(&w, 0); /* for 2 s */
    assert_non_null(strstr(told(&w, w.board), "\"state\":\"firing\""));
    assert_int_equal(w.n_changes, 1);

    hub_peer *late = hub_join(w.hub, &w, at_ms(w.ms));
    const char hello[] = "{\"type\":\"hello\",\"proto\":1,\"role\":\"viewer\"}", *why;
    assert_int_equal(hub_receive(w.hub, late, hello, strlen(hello), at_ms(w.ms), &why), 0);
    const char *heard = told(&w, late), *health = strstr(heard, "\"type\":\"health\"");
    assert_non_null(health);
    assert_non_null(strstr(health, "alert: the hub: store_ok < 1 for 2s"));
    assert_null(strstr(health + 1, "\"type\":\"health\"")); /* the newest alone */
    end(&w);
}

static void a_connection_that_has_shown_the_token_needs_none_in_its_hello(void **state) {
    (void)state;
    const char hello[] = "{\"type\":\"hello\",\"proto\":1,\"role\":\"viewer\"}", *why;
    hub *h =
        hub_create(&(hub_desc){.events = {.wake = on_wake, .close = on_close}, .token = "secret"});
    hub_peer *stranger = hub_join(h, NULL, at_ms(0)), *known = hub_join(h, NULL, at_ms(0));
    hub_authorise(known);
    assert_int_equal(hub_receive(h, stranger, hello, strlen(hello), at_ms(0), &why),
                     HUB_CLOSE_TOKEN);
    assert_int_equal(hub_receive(h, known, hello, strlen(hello), at_ms(0), &why), 0);
    assert_int_equal(hub_get_counts(h).n_viewers, 1);
    hub_free(h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_late_loop_is_degraded_and_a_very_late_one_unhealthy),
        cmocka_unit_test(a_store_that_fails_degrades_and_one_that_turns_away_is_unhealthy),
        cmocka_unit_test(losses_degrade_for_a_minute),
        cmocka_unit_test(boards_hear_of_health_when_it_changes_and_once_after_their_welcome),
        cmocka_unit_test(a_connection_that_has_shown_the_token_needs_none_in_its_hello),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
