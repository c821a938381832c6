/* test_pretok.c: the pre-tokenizers, rule by rule, and against their regular expressions. Pieces are
 * written with '|' between them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "text/pretok.h"
#include "base/utf8.h"

/* Cuts `joined` without its bars and compares where the bars were. */
static void expect_pieces_of(bitnet_pretok_fn cut, const char *joined) {
    char text[512], got[1024];
    size_t n = 0, n_got = 0;
    for (const char *c = joined; *c; c++)
        if (*c != '|') text[n++] = *c;
    for (size_t at = 0; at < n;) {
        size_t len = cut(text + at, n - at);
        assert_true(len > 0 && len <= n - at);
        if (at) got[n_got++] = '|';
        memcpy(got + n_got, text + at, len);
        n_got += len;
        at += len;
    }
    got[n_got] = 0;
    assert_string_equal(got, joined);
}

static void expect_pieces(const char *joined) {
    expect_pieces_of(bitnet_pretok_llama3, joined);
}

static void contractions_are_cut_off_in_any_case(void **state) {
    (void)state;
    expect_pieces("I|'ve| done");
    expect_pieces("I|'VE| DON|'T|,| he|'Ll|'s|'d|'m|'rE");
    expect_pieces("rock|'n| roll");    /* 'n is none: the apostrophe leads the word */
    expect_pieces("'s|old");           /* ends inside a word */
    expect_pieces("'v| '|l| '|r");     /* half of one */
    expect_pieces("it|\xe2\x80\x99s"); /* a curly apostrophe is not one */
}

static void a_word_takes_one_character_before_it_along(void **state) {
    (void)state;
    expect_pieces("Hello| world");
    expect_pieces("Hello|,world| (|yes|)");
    expect_pieces("a|\tb| c");
    expect_pieces("na\xc3\xafve| caf\xc3\xa9|\xe2\x80\x94"
                  "d\xc3\xa9j\xc3\xa0");
    expect_pieces("\n|word|\r\n|word"); /* but never a newline */
    expect_pieces("a|  | b");
}

static void marks_are_not_letters(void **state) {
    (void)state;
    expect_pieces("e|\xcc\x81"
                  "a");                                     /* U+0301: leads the next letters */
    expect_pieces("\xe0\xb8\x81|\xe0\xb8\xb1\xe0\xb8\x81"); /* Thai vowel sign U+0E31 */
}

static void numbers_come_in_threes(void **state) {
    (void)state;
    expect_pieces("123|456|7");
    expect_pieces("a|12|b| |345|.|678|9");
    expect_pieces("\xe2\x85\xab\xc2\xbd|x"); /* a Roman twelve and a half are numbers: Nl, No */
    expect_pieces("\xd9\xa1\xd9\xa2\xd9\xa3|\xd9\xa4"); /* Arabic-Indic digits */
}

static void punctuation_takes_a_space_before_and_newlines_behind(void **state) {
    (void)state;
    expect_pieces("a| +=| |1|;\n\n|x");
    expect_pieces("!!!\r\n|!");
    expect_pieces(" | --");
    expect_pieces("\xf0\x9f\x98\x81\xf0\x9f\x98\x81| \xf0\x9f\x98\x81");
}

static void space_splits_before_what_follows(void **state) {
    (void)state;
    expect_pieces("a|   | b");  /* the last space goes with the word */
    expect_pieces("a|   | |1"); /* but stands alone before a digit */
    expect_pieces("a| |1");
    expect_pieces("a|   "); /* at the end it all stays together */
    expect_pieces("a|\t\t|\tb");
    expect_pieces("a| \n\n| b|\n|    | c"); /* up to the last newline of the run */
    expect_pieces("a|\r\n \n| |\t|-");
    expect_pieces("x|\xc2\xa0|\xe3\x80\x80y"); /* U+00A0, U+3000 are spaces */
    expect_pieces("x|\xe2\x80\x8b"
                  "y"); /* U+200B is not: it leads the word */
}

static void an_invalid_byte_counts_as_one_other_character(void **state) {
    (void)state;
    expect_pieces("a|\xff"
                  "b|\xc3\xc3| \x80");
}

/* The regular expression itself, as a matcher that tries its alternatives in order at each place,
 * over classes instead of characters: slow, and written from the expression rather than from the
 * rules. */
typedef enum cls {
    C_LETTER,
    C_NUMBER,
    C_SPACE,
    C_BLANK,
    C_NEWLINE,
    C_OTHER,
    C_QUOTE,
    C_S,
    N_CLASSES
} cls;
static const char *const samples[N_CLASSES] = {"\xc3\xa4", "7", "\t", " ", "\n", "!", "'", "s"};

static int is_letter(cls c) {
    return c == C_LETTER || c == C_S;
}
static int is_space(cls c) {
    return c == C_SPACE || c == C_BLANK || c == C_NEWLINE;
}

static size_t by_expression(const cls *c, size_t n) {
    size_t i, best;
    if (n > 1 && c[0] == C_QUOTE && c[1] == C_S) return 2;
    /* [^\r\n\p{L}\p{N}]?\p{L}+ , first with the optional character, then without */
    for (size_t skip = 2; skip-- > 0;) {
        if (skip && (c[0] == C_NEWLINE || is_letter(c[0]) || c[0] == C_NUMBER)) continue;
        for (i = skip; i < n && is_letter(c[i]);)
            i++;
        if (i > skip) return i;
    }
    for (i = 0; i < n && i < 3 && c[i] == C_NUMBER;)
        i++;
    if (i) return i;
    /* [ ]?[^\s\p{L}\p{N}]+[\r\n]* */
    for (size_t skip = 2; skip-- > 0;) {
        if (skip && c[0] != C_BLANK) continue;
        for (i = skip; i < n && (c[i] == C_OTHER || c[i] == C_QUOTE);)
            i++;
        if (i == skip) continue;
        while (i < n && c[i] == C_NEWLINE)
            i++;
        return i;
    }
    /* \s*[\r\n]+ : the longest stretch of space that ends in a newline */
    for (i = 0, best = 0; i < n && is_space(c[i]);)
        if (c[i++] == C_NEWLINE) best = i;
    if (best) return best;
    /* \s+(?!\S) : give characters back until no other kind follows; then \s+ */
    for (i = 0; i < n && is_space(c[i]);)
        i++;
    return i < n && i > 1 ? i - 1 : i;
}

static int is_other(cls c) {
    return c == C_OTHER || c == C_QUOTE;
}
static int is_number(cls c) {
    return c == C_NUMBER;
}

/* 's| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static size_t by_gpt2_expression(const cls *c, size_t n) {
    int (*const in_class[])(cls) = {is_letter, is_number, is_other};
    size_t i;
    if (n > 1 && c[0] == C_QUOTE && c[1] == C_S) return 2;
    for (size_t k = 0; k < 3; k++)
        for (size_t skip = 2; skip-- > 0;) {
            if (skip && c[0] != C_BLANK) continue;
            for (i = skip; i < n && in_class[k](c[i]);)
                i++;
            if (i > skip) return i;
        }
    for (i = 0; i < n && is_space(c[i]);)
        i++;
    return i < n && i > 1 ? i - 1 : i;
}

static void compare(bitnet_pretok_fn cut, size_t (*expression)(const cls *, size_t)) {
    const unsigned seed = 20240418;
    srand(seed);
    for (int round = 0; round < 100000; round++) {
        cls c[24];
        char text[64];
        size_t n = 1 + (size_t)rand() % 24, bytes = 0, at = 0;
        for (size_t i = 0; i < n; i++) {
            c[i] = (cls)(rand() % N_CLASSES);
            memcpy(text + bytes, samples[c[i]], strlen(samples[c[i]]));
            bytes += strlen(samples[c[i]]);
        }
        for (size_t i = 0; i < n;) {
            size_t n_char = expression(c + i, n - i), want = 0;
            for (size_t k = 0; k < n_char; k++)
                want += strlen(samples[c[i + k]]);
            size_t got = cut(text + at, bytes - at);
            if (got != want)
                fail_msg("seed %u, round %d, byte %zu of \"%.*s\": got %zu bytes, expected %zu",
                         seed, round, at, (int)bytes, text, got, want);
            at += got;
            i += n_char;
        }
    }
}

static void random_text_is_cut_as_the_expression_cuts_it(void **state) {
    (void)state;
    compare(bitnet_pretok_llama3, by_expression);
}

/* ---- GPT-2 ------------------------------------------------------------------------------- */

static void gpt2_cuts_by_its_own_expression(void **state) {
    (void)state;
    expect_pieces_of(bitnet_pretok_gpt2, "I|'ve| done| it|'s| 12345| !!|\n\n|\n|x");
    expect_pieces_of(bitnet_pretok_gpt2, "HE|'|S| DON|'|T"); /* capitals contract nothing */
    expect_pieces_of(bitnet_pretok_gpt2, "a|  | b|\t|c|\t|\t|1|   ");
    expect_pieces_of(bitnet_pretok_gpt2, "a|,|b| ,|b|\xc2\xa0|y"); /* one character leads no word */
    expect_pieces_of(bitnet_pretok_gpt2, "x| \xe4\xb8\xad\xe4\xb8\xad|\xcc\x81|e|.\xff|1");
    expect_pieces_of(bitnet_pretok_gpt2, "a| ");
    expect_pieces_of(bitnet_pretok_gpt2, "'re|'|l| '|x| '|ll");
}

static void random_text_is_cut_as_the_gpt2_expression_cuts_it(void **state) {
    (void)state;
    compare(bitnet_pretok_gpt2, by_gpt2_expression);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contractions_are_cut_off_in_any_case),
        cmocka_unit_test(a_word_takes_one_character_before_it_along),
        cmocka_unit_test(marks_are_not_letters),
        cmocka_unit_test(numbers_come_in_threes),
        cmocka_unit_test(punctuation_takes_a_space_before_and_newlines_behind),
        cmocka_unit_test(space_splits_before_what_follows),
        cmocka_unit_test(an_invalid_byte_counts_as_one_other_character),
        cmocka_unit_test(random_text_is_cut_as_the_expression_cuts_it),
        cmocka_unit_test(gpt2_cuts_by_its_own_expression),
        cmocka_unit_test(random_text_is_cut_as_the_gpt2_expression_cuts_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
