/* test_sha256.c: SHA-256 against the examples of FIPS 180-4 and NIST's CAVP, and against itself in
 * random cuts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/sha256.h"

static void expect_digest(sha256 *h, const char *expected) {
    uint8_t digest[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];
    bitnet_sha256_final(h, digest);
    for (int i = 0; i < SHA256_SIZE; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(hex, expected);
}

static void expect_text(const char *text, const char *expected) {
    sha256 h;
    bitnet_sha256_init(&h);
    bitnet_sha256_update(&h, text, strlen(text));
    expect_digest(&h, expected);
}

static void the_published_examples_have_their_digests(void **state) {
    (void)state;
    expect_text("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect_text("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    expect_text(
        "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmno"
        "pqrlmnopqrsmnopqrstnopqrstu",
        "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
}

static void a_million_letters_in_pieces_have_their_digest(void **state) {
    (void)state;
    char piece[997];
    sha256 h;
    bitnet_sha256_init(&h);
    memset(piece, 'a', sizeof piece);
    for (size_t left = 1000000; left > 0;) {
        size_t n = left < sizeof piece ? left : sizeof piece;
        bitnet_sha256_update(&h, piece, n);
        left -= n;
    }
    expect_digest(&h, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* Every length around the ends of blocks: the padding has one block or two. */
static void how_the_bytes_are_cut_changes_nothing(void **state) {
    (void)state;
    enum { MOST = 300 };
    uint8_t bytes[MOST], whole[SHA256_SIZE], cut[SHA256_SIZE];
    uint64_t rng = rng_seed(20);
    for (int i = 0; i < MOST; i++)
        bytes[i] = (uint8_t)rng_next(&rng);
    for (size_t n = 0; n <= MOST; n++) {
        sha256 h;
        bitnet_sha256_init(&h);
        bitnet_sha256_update(&h, bytes, n);
        bitnet_sha256_final(&h, whole);
        bitnet_sha256_init(&h);
        for (size_t at = 0; at < n;) {
            size_t some = rng_next(&rng) % 80;
            if (some > n - at) some = n - at;
            bitnet_sha256_update(&h, bytes + at, some);
            at += some;
        }
        bitnet_sha256_update(&h, NULL, 0);
        bitnet_sha256_final(&h, cut);
        assert_memory_equal(cut, whole, SHA256_SIZE);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_examples_have_their_digests),
        cmocka_unit_test(a_million_letters_in_pieces_have_their_digest),
        cmocka_unit_test(how_the_bytes_are_cut_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
