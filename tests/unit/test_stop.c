/* test_stop.c: stop strings are found however the text is cut, and nothing of one gets out. */
#include "load_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "engine/stop.h"
#include "base/utf8.h"

static void add_all(bitnet_stop *s, const char *const *strings, int32_t n) {
    *s = (bitnet_stop){0};
    for (int32_t i = 0; i < n; i++)
        bitnet_stop_add(s, strings[i], strlen(strings[i]));
}

/* Pushes the pieces; what comes out of each is joined with '|'. */
static int32_t push_all(bitnet_stop *s, const char *const *pieces, size_t n, char *all) {
    char out[1024];
    all[0] = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len;
        int32_t found = bitnet_stop_push(s, pieces[i], strlen(pieces[i]), out, &len);
        assert_int_equal(len, strlen(out));
        strcat(strcat(all, out), "|");
        if (found >= 0) return found;
    }
    bitnet_stop_flush(s, out);
    strcat(all, out);
    return -1;
}

static void without_stop_strings_everything_passes_at_once(void **state) {
    (void)state;
    bitnet_stop s = {0};
    char all[256];
    assert_int_equal(push_all(&s, (const char *[]){"one", "", " two"}, 3, all), -1);
    assert_string_equal(all, "one|| two|");
}

static void what_may_be_a_beginning_is_held_and_given_out_when_it_is_none(void **state) {
    (void)state;
    bitnet_stop s;
    char all[256];
    const char *stops[] = {"User:"};
    add_all(&s, stops, 1);
    assert_int_equal(push_all(&s, (const char *[]){"Us", "e", "d. U", "se"}, 4, all), -1);
    assert_string_equal(all, "||Used. ||Use");
}

static void a_stop_string_cut_over_pieces_ends_the_text_before_it(void **state) {
    (void)state;
    bitnet_stop s;
    char all[256];
    const char *stops[] = {"###", "\nUser:"};
    add_all(&s, stops, 2);
    assert_int_equal(push_all(&s, (const char *[]){"ok\n", "Us", "er: hi", "?"}, 4, all), 1);
    assert_string_equal(all, "ok|||");
    add_all(&s, stops, 2);
    assert_int_equal(push_all(&s, (const char *[]){"a##b#", "###"}, 2, all), 0);
    assert_string_equal(all, "a##b||");
}

static void the_first_to_be_complete_wins_then_the_longest_then_the_first_given(void **state) {
    (void)state;
    bitnet_stop s;
    char all[256];
    const char *inner[] = {"abcd", "bc"};
    add_all(&s, inner, 2);
    assert_int_equal(push_all(&s, (const char *[]){"xabcd"}, 1, all), 1);
    assert_string_equal(all, "xa|");
    const char *suffix[] = {"c", "bc", "bc"};
    add_all(&s, suffix, 3);
    assert_int_equal(push_all(&s, (const char *[]){"ab", "c"}, 2, all), 1);
    assert_string_equal(all, "a||");
}

static void the_longest_string_allowed_is_found_and_can_be_found_again(void **state) {
    (void)state;
    bitnet_stop s;
    char stop[BITNET_MAX_STOP_BYTES + 1], all[1024];
    memset(stop, 'a', BITNET_MAX_STOP_BYTES); /* borders up to 255, all held */
    stop[BITNET_MAX_STOP_BYTES] = 0;
    add_all(&s, (const char *[]){stop}, 1);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(push_all(&s, (const char *[]){stop + 1, "a"}, 2, all), 0);
        assert_string_equal(all, "||");
    }
    assert_int_equal(push_all(&s, (const char *[]){stop + 1}, 1, all), -1);
    assert_int_equal(strlen(all), BITNET_MAX_STOP_BYTES); /* "|" and 255 held bytes */
}

/* ---- against the plainest search ---------------------------------------------------------------
 */

/* Where and which: the end of the earliest end, longest of those, first given of those. */
static int32_t search(const char *text, char (*stops)[8], int32_t n, size_t *before) {
    for (size_t end = 1; end <= strlen(text); end++) {
        int32_t found = -1;
        for (int32_t k = 0; k < n; k++) {
            size_t len = strlen(stops[k]);
            if (len <= end && !memcmp(text + end - len, stops[k], len) &&
                (found < 0 || len > strlen(stops[found])))
                found = k;
        }
        if (found < 0) continue;
        *before = end - strlen(stops[found]);
        return found;
    }
    *before = strlen(text);
    return -1;
}

/* n characters of one, two or three bytes, of a small alphabet: borders and near misses abound. */
static void make_text(uint64_t *rng, char *out, size_t n) {
    static const char *const letters[] = {"a", "b", "\xc3\xa9", "\xe2\x82\xac"};
    out[0] = 0;
    for (size_t i = 0; i < n; i++)
        strcat(out, letters[rng_next(rng) >> 62]);
}

static void random_cuts_find_what_the_plainest_search_finds(void **state) {
    (void)state;
    uint64_t rng = rng_seed(11);
    int n_found = 0;
    for (int round = 0; round < 20000; round++) {
        char stops[4][8], text[128], got[256] = "";
        int32_t n = 1 + (int32_t)(rng_next(&rng) >> 62);
        bitnet_stop s = {0};
        for (int32_t k = 0; k < n; k++) {
            make_text(&rng, stops[k], 1 + (rng_next(&rng) >> 63));
            if (stops[k][1] == 0) strcat(stops[k], "b");
            bitnet_stop_add(&s, stops[k], strlen(stops[k]));
        }
        make_text(&rng, text, 20);
        size_t before;
        int32_t want = search(text, stops, n, &before), found = -1;
        for (size_t at = 0; at < strlen(text) && found < 0;) {
            char out[512];
            uint32_t cp;
            size_t len, cut = (size_t)bitnet_utf8_decode(text + at, strlen(text + at), &cp);
            if (rng_next(&rng) >> 63) cut = strlen(text + at); /* the rest at once */
            found = bitnet_stop_push(&s, text + at, cut, out, &len);
            if (bitnet_utf8_check(out, len) < len) fail_msg("round %d splits a character", round);
            strcat(got, out);
            at += cut;
        }
        if (found < 0) {
            char out[BITNET_MAX_STOP_BYTES];
            bitnet_stop_flush(&s, out);
            strcat(got, out);
        }
        if (found != want || strlen(got) != before || memcmp(got, text, before) != 0)
            fail_msg("round %d, text %s: stop %d behind \"%s\", expected %d behind %zu bytes",
                     round, text, found, got, want, before);
        n_found += found >= 0;
    }
    assert_in_range(n_found, 5000, 19999); /* both outcomes were tried */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_stop_strings_everything_passes_at_once),
        cmocka_unit_test(what_may_be_a_beginning_is_held_and_given_out_when_it_is_none),
        cmocka_unit_test(a_stop_string_cut_over_pieces_ends_the_text_before_it),
        cmocka_unit_test(the_first_to_be_complete_wins_then_the_longest_then_the_first_given),
        cmocka_unit_test(the_longest_string_allowed_is_found_and_can_be_found_again),
        cmocka_unit_test(random_cuts_find_what_the_plainest_search_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
