/* test_stream.c: text comes out of the engine as whole characters, however tokens cut it. */
#include "load_file.h"

#include <string.h>

#include "engine/stream.h"

static void expect(const char *const *pieces, size_t n, const char *want_each) {
    bitnet_stream s = {0};
    char out[64], all[256] = "";
    for (size_t i = 0; i < n; i++) {
        size_t len = bitnet_stream_push(&s, pieces[i], strlen(pieces[i]), out);
        assert_int_equal(len, strlen(out));
        strcat(all, out);
        strcat(all, "|");
    }
    bitnet_stream_flush(&s, out);
    strcat(all, out);
    assert_string_equal(all, want_each);
}

static void a_character_split_over_tokens_is_held_back(void **state) {
    (void)state;
    const char *euro[] = {"y\xe2", "\x82", "\xacz"};
    expect(euro, 3, "y||\xe2\x82\xacz|");
    const char *emoji[] = {"\xf0", "\x9f", "\x98", "\x81"};
    expect(emoji, 4, "|||\xf0\x9f\x98\x81|");
}

static void a_byte_that_cannot_continue_becomes_a_replacement_character(void **state) {
    (void)state;
    const char *lone[] = {"\xffz", "\x80"};
    expect(lone, 2, "\xef\xbf\xbdz|\xef\xbf\xbd|");
    const char *broken[] = {"\xe2\x82", "z"};
    expect(broken, 2, "|\xef\xbf\xbd\xef\xbf\xbdz|");
    const char *overlong[] = {"\xc0\xaf"};
    expect(overlong, 1, "\xef\xbf\xbd\xef\xbf\xbd|");
}

static void what_is_still_held_at_the_end_is_replaced(void **state) {
    (void)state;
    const char *cut[] = {"ok\xf0\x9f"};
    expect(cut, 1, "ok|\xef\xbf\xbd\xef\xbf\xbd");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_character_split_over_tokens_is_held_back),
        cmocka_unit_test(a_byte_that_cannot_continue_becomes_a_replacement_character),
        cmocka_unit_test(what_is_still_held_at_the_end_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
