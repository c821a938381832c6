/* test_utf8.c: strict UTF-8 (RFC 3629) against the definition, exhaustively where that is possible,
 * and against the classes of Markus Kuhn's decoder stress test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

static bool is_character(uint32_t cp) {
    return cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff);
}

/* The definition, the slow way: the value that the bits of a sequence spell, or -1 when its bytes
 * do not have the shape, the value has a shorter form, or it is no character. */
static int64_t spelled(const uint8_t *s, int len) {
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t v;
    if (len == 1)
        v = s[0] < 0x80 ? s[0] : UINT32_MAX;
    else if (s[0] >> (7 - len) != (0xff >> (7 - len) & ~1)) /* 110, 1110, 11110 */
        return -1;
    else
        v = s[0] & (0x7fu >> len);
    for (int i = 1; i < len; i++) {
        if (s[i] >> 6 != 2) return -1;
        v = v << 6 | (s[i] & 0x3f);
    }
    return v < smallest[len] || !is_character(v) ? -1 : (int64_t)v;
}

static void expect_decode(const uint8_t *s, int n) {
    uint32_t cp = 0xabcdef;
    int got = bitnet_utf8_decode((const char *)s, (size_t)n, &cp);
    for (int len = 1; len <= n; len++) {
        int64_t want = spelled(s, len);
        if (want < 0) continue;
        if (got != len || cp != want)
            fail_msg("%02x %02x %02x %02x: got length %d, U+%04X; expected %d, U+%04X", s[0], s[1],
                     s[2], s[3], got, cp, len, (unsigned)want);
        return;
    }
    if (got != 0 || cp != 0xabcdef)
        fail_msg("%02x %02x %02x %02x is invalid: got length %d, U+%04X", s[0], s[1], s[2], s[3],
                 got, cp);
}

static void every_character_survives_encoding_and_decoding(void **state) {
    (void)state;
    for (uint32_t cp = 0; cp < 0x110100; cp++) {
        char bytes[4];
        uint32_t back = 0;
        int len = bitnet_utf8_encode(cp, bytes);
        int want = !is_character(cp) ? 0 : cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
        if (len != want) fail_msg("U+%04X: encoded in %d bytes, expected %d", cp, len, want);
        if (len && (bitnet_utf8_decode(bytes, (size_t)len, &back) != len || back != cp))
            fail_msg("U+%04X came back as U+%04X", cp, back);
    }
    assert_int_equal(bitnet_utf8_encode(UINT32_MAX, (char[4]){0}), 0);
}

static void every_three_bytes_decode_as_the_definition_says(void **state) {
    (void)state;
    for (uint32_t v = 0; v < 1u << 24; v++)
        expect_decode((const uint8_t[4]){(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v, 0}, 3);
}

static void four_bytes_decode_as_the_definition_says(void **state) {
    (void)state;
    static const uint8_t edge[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
                                   0xa0, 0xbf, 0xc0, 0xc2, 0xed, 0xf4, 0xff};
    for (uint32_t first = 0xe0; first < 0x100; first++)
        for (size_t a = 0; a < 256; a++)
            for (size_t b = 0; b < sizeof edge; b++)
                for (size_t c = 0; c < sizeof edge; c++)
                    expect_decode((const uint8_t[4]){(uint8_t)first, (uint8_t)a, edge[b], edge[c]},
                                  4);
}

/* After Kuhn's UTF-8-test.txt: where the first invalid byte must be found. */
static const struct {
    const char *what, *bytes;
    size_t n, first_bad;
} kuhn[] = {
#define CASE(what, bytes, first_bad)                                                               \
    { what, bytes, sizeof bytes - 1, first_bad }
    CASE("plain text", "x = 1;", 6),
    CASE("a zero byte is a character", "a\0b", 3),
    CASE("Greek, CJK and an astral character", "\xce\xba\xe4\xb8\xad\xf0\x9f\x98\x81", 9),
    CASE("the last of each length", "\x7f\xdf\xbf\xef\xbf\xbf\xf4\x8f\xbf\xbf", 10),
    CASE("a lone continuation byte", "ab\x80", 2),
    CASE("two continuation bytes", "\x80\xbf", 0),
    CASE("a lead without its tail", "ab\xc3 cd", 2),
    CASE("three bytes, the last one missing", "\xe4\xb8", 0),
    CASE("four bytes, the last one missing", "ok\xf0\x9f\x98", 2),
    CASE("cut by another character", "\xe4\xb8\xe4\xb8\xad", 0),
    CASE("bytes that never occur", "a\xfe\xff", 1),
    CASE("overlong slash in two bytes", "\xc0\xaf", 0),
    CASE("overlong slash in three bytes", "\xe0\x80\xaf", 0),
    CASE("overlong slash in four bytes", "\xf0\x80\x80\xaf", 0),
    CASE("overlong zero", "\xc0\x80", 0),
    CASE("the largest overlong forms", "\xc1\xbf\xe0\x9f\xbf\xf0\x8f\xbf\xbf", 0),
    CASE("the first and last surrogate", "\xed\xa0\x80\xed\xbf\xbf", 0),
    CASE("a pair of surrogates", "\xed\xa1\x8c\xed\xbe\xb4", 0),
    CASE("beyond U+10FFFF", "\xf4\x90\x80\x80", 0),
    CASE("five bytes", "\xf8\x88\x80\x80\x80", 0),
    CASE("six bytes", "\xfc\x84\x80\x80\x80\x80", 0),
    CASE("nothing", "", 0),
#undef CASE
};

static void the_first_invalid_byte_is_found(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof kuhn / sizeof *kuhn; i++) {
        size_t got = bitnet_utf8_check(kuhn[i].bytes, kuhn[i].n);
        if (got != kuhn[i].first_bad)
            fail_msg("%s: found at %zu, expected %zu", kuhn[i].what, got, kuhn[i].first_bad);
    }
}

static void a_half_arrived_character_is_pending_until_it_is_whole(void **state) {
    (void)state;
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        char text[8] = "ab\xc3\xa9"; /* what came before does not matter */
        int len = bitnet_utf8_encode(cp, text + 4);
        for (int part = 0; part <= len; part++) {
            size_t want = part < len ? (size_t)part : 0;
            size_t got = bitnet_utf8_pending(text + 4, (size_t)part);
            size_t got_behind = bitnet_utf8_pending(text, 4 + (size_t)part);
            if (got != want || got_behind != want)
                fail_msg("U+%04X, %d of %d bytes: %zu and %zu pending, expected %zu", cp, part, len,
                         got, got_behind, want);
        }
    }
}

static void what_can_never_become_a_character_is_not_pending(void **state) {
    (void)state;
    static const char *const hopeless[] = {"\x80",
                                           "\xbf\xbf",
                                           "\xc0",
                                           "\xc1",
                                           "\xf5",
                                           "\xff",
                                           "\xe0\x80",
                                           "\xe0\x9f",
                                           "\xed\xa0",
                                           "\xf0\x8f",
                                           "\xf0\x8f\xbf",
                                           "\xf4\x90",
                                           "\xe4"
                                           "a",
                                           "\xf0\x9f"
                                           "a",
                                           "\xe4\xb8\x80\x80"};
    for (size_t i = 0; i < sizeof hopeless / sizeof *hopeless; i++) {
        size_t got = bitnet_utf8_pending(hopeless[i], strlen(hopeless[i]));
        if (got != 0) fail_msg("case %zu: %zu bytes pending, expected none", i, got);
    }
}

/* What is valid stays; every other byte becomes U+FFFD: the definition, a byte at a time. */
static void repaired_text_is_valid_and_keeps_every_character(void **state) {
    (void)state;
    const unsigned seed = 65533;
    srand(seed);
    for (int round = 0; round < 20000; round++) {
        char text[24], want[72], got[72];
        size_t n = (size_t)rand() % sizeof text, n_want = 0;
        for (size_t i = 0; i < n; i++)
            text[i] = (char)(rand() % 3 ? 0x80 + rand() % 0x80 : rand() % 0x80);
        for (size_t i = 0; i < n;) {
            int64_t cp = -1;
            int len = 0;
            while (cp < 0 && ++len <= 4 && (size_t)len <= n - i)
                cp = spelled((const uint8_t *)text + i, len);
            n_want += (size_t)bitnet_utf8_encode(cp < 0 ? 0xfffd : (uint32_t)cp, want + n_want);
            i += cp < 0 ? 1 : (size_t)len;
        }
        size_t n_got = (size_t)(bitnet_utf8_repair(got, text, n) - got);
        if (n_got != n_want || memcmp(got, want, n_want) != 0)
            fail_msg("seed %u, round %d: got %zu bytes, expected %zu", seed, round, n_got, n_want);
        assert_int_equal(bitnet_utf8_repaired_len(text, n), n_want);
        assert_int_equal(bitnet_utf8_check(got, n_got), n_got);
    }
}

static void a_copy_ends_between_characters(void **state) {
    (void)state;
    static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"; /* 1, 2, 3, 4, 1 bytes */
    static const size_t fits[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (size_t cap = 1; cap <= 13; cap++) {
        char got[16];
        memset(got, 0x5a, sizeof got);
        assert_int_equal(bitnet_utf8_fit(text, cap), fits[cap - 1]);
        bitnet_utf8_copy(got, cap, text);
        assert_int_equal(strlen(got), fits[cap - 1]);
        assert_memory_equal(got, text, fits[cap - 1]);
        assert_int_equal(got[cap], 0x5a);
    }
    char got[4] = "xyz";
    bitnet_utf8_copy(got, sizeof got, NULL);
    assert_string_equal(got, "");
    assert_int_equal(bitnet_utf8_fit("\xff\xff\xff", 3), 2); /* no character to keep whole */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_survives_encoding_and_decoding),
        cmocka_unit_test(every_three_bytes_decode_as_the_definition_says),
        cmocka_unit_test(four_bytes_decode_as_the_definition_says),
        cmocka_unit_test(the_first_invalid_byte_is_found),
        cmocka_unit_test(a_half_arrived_character_is_pending_until_it_is_whole),
        cmocka_unit_test(what_can_never_become_a_character_is_not_pending),
        cmocka_unit_test(repaired_text_is_valid_and_keeps_every_character),
        cmocka_unit_test(a_copy_ends_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
