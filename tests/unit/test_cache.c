/* test_cache.c: the memory tier forgets the right thing, and a prefix taken from a tier gives the
 * bits of one that was computed; a value that lies is a miss.
 */
#include "load_file.h"

#include <string.h>

#include "cache/prefix.h"
#include "count_alloc.h"

static void put(bitnet_tier *t, uint64_t key, char c) {
    char value[8];
    memset(value, c, sizeof value);
    assert_int_equal(t->put(t->ctx, key, value, sizeof value), BITNET_OK);
}

/* The value's letter, or 0 when the tier does not have it. */
static char get(bitnet_tier *t, uint64_t key) {
    char value[8];
    size_t n = 0;
    if (t->get(t->ctx, key, value, sizeof value, &n) != BITNET_OK) return 0;
    assert_int_equal(n, 8);
    return value[7];
}

static void the_memory_tier_throws_out_what_was_used_longest_ago(void **state) {
    (void)state;
    count_alloc c = {0};
    bitnet_allocator a = count_alloc_of(&c);
    bitnet_tier t;
    bitnet_tier_info info;
    assert_int_equal(bitnet_tier_mem_open(&t, 3 * 8 + 7, 8, &a), BITNET_OK);
    long n_calls = c.n_calls;
    for (uint64_t key = 1; key <= 3; key++)
        put(&t, key, (char)('a' + key));
    assert_int_equal(get(&t, 1), 'b'); /* 2 is now the oldest */
    put(&t, 4, 'z');
    assert_int_equal(get(&t, 2), 0);
    assert_int_equal(get(&t, 1), 'b');
    assert_int_equal(get(&t, 3), 'd');
    assert_int_equal(get(&t, 4), 'z');
    put(&t, 3, 'q'); /* replaced in place */
    assert_int_equal(get(&t, 3), 'q');
    t.drop(t.ctx, 1);
    t.drop(t.ctx, 99);
    assert_int_equal(get(&t, 1), 0);
    t.info(t.ctx, &info);
    assert_int_equal(info.used, 16);
    assert_int_equal(info.limit, 24);
    assert_int_equal(info.n_evicted, 1);
    assert_int_equal(info.n_put, 5);
    assert_int_equal(info.n_hit, 5);
    assert_int_equal(info.n_miss, 2);
    assert_int_equal(t.put(t.ctx, 5, "123456789", 9), BITNET_E_INVAL);
    assert_int_equal(c.n_calls, n_calls); /* everything was allocated at the start */
    t.close(t.ctx);
    assert_int_equal(c.live, 0);
}

static void the_memory_tier_agrees_with_a_plain_list_over_many_operations(void **state) {
    (void)state;
    enum { SLOTS = 5, KEYS = 12 };
    bitnet_tier t;
    uint64_t use[KEYS] = {0}, now = 1, rng = 88172645463325252u;
    char want[KEYS] = {0};
    assert_int_equal(bitnet_tier_mem_open(&t, SLOTS * 8, 8, NULL), BITNET_OK);
    for (int i = 0; i < 20000; i++, now++) {
        rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
        uint64_t key = rng % KEYS, op = rng >> 32 & 3;
        if (op == 0) {
            t.drop(t.ctx, key);
            want[key] = 0;
        } else if (op == 1) {
            int n = 0, oldest = -1;
            for (int k = 0; k < KEYS; k++) {
                if (!want[k]) continue;
                n++;
                if (oldest < 0 || use[k] < use[oldest]) oldest = k;
            }
            if (!want[key] && n == SLOTS) want[oldest] = 0;
            want[key] = (char)('a' + i % 26);
            use[key] = now;
            put(&t, key, want[key]);
        } else {
            char got = get(&t, key);
            if (got != want[key])
                fail_msg("step %d: key %d holds '%c', expected '%c'", i, (int)key, got, want[key]);
            use[key] = now;
        }
    }
    t.close(t.ctx);
}

/* ---- prefixes ---------------------------------------------------------------------------------
 */

typedef struct result {
    bitnet_token token[8];
    int32_t n, n_computed;
} result;

static int keep(void *user, const bitnet_event *ev) {
    result *r = user;
    if (ev->kind == BITNET_EVENT_TOKEN) r->token[r->n++] = ev->token;
    if (ev->kind == BITNET_EVENT_END) r->n_computed = ev->timings.n_prompt_computed;
    return 0;
}

/* A prompt of n tokens; another seed, another text. */
static void make_prompt(bitnet_token *tok, int32_t n, int32_t seed) {
    for (int32_t i = 0; i < n; i++)
        tok[i] = (i * 37 + seed * 911) % 4000;
}

static result ask(bitnet_engine *e, const bitnet_token *tok, int32_t n) {
    result r = {0};
    bitnet_request req = {.tokens = tok, .n_tokens = n, .max_tokens = 8};
    assert_int_equal(bitnet_engine_run(e, &req, keep, &r, NULL), BITNET_OK);
    return r;
}

static bitnet_engine *engine_with(const bitnet_tier *tiers, int32_t n_tiers) {
    bitnet_engine *e;
    bitnet_engine_desc d = {.model = test_shared.model, .tiers = tiers, .n_tiers = n_tiers};
    assert_int_equal(bitnet_engine_create(&e, &d, NULL), BITNET_OK);
    return e;
}

static void a_prompt_seen_before_the_last_one_is_taken_from_the_tier(void **state) {
    (void)state;
    bitnet_tier t;
    bitnet_token a[200], b[200];
    make_prompt(a, 200, 1);
    make_prompt(b, 200, 2);
    assert_int_equal(
        bitnet_tier_mem_open(&t, 64 << 20, bitnet_tier_value_size(test_shared.model, 512), NULL),
        BITNET_OK);
    bitnet_engine *e = engine_with(&t, 1), *plain = engine_with(NULL, 0);
    result first = ask(e, a, 200);
    ask(e, b, 200);
    result again = ask(e, a, 200);
    assert_int_equal(first.n_computed, 200);
    assert_int_equal(again.n_computed, 200 - 3 * 64);
    assert_memory_equal(first.token, again.token, sizeof first.token);
    /* the same beginning, another end: two blocks are shared, and the answer is that of a fresh
     * engine */
    bitnet_token c[200];
    memcpy(c, a, sizeof c);
    c[150] = 7;
    ask(e, b, 200);
    result other = ask(e, c, 200), want = ask(plain, c, 200);
    assert_int_equal(other.n_computed, 200 - 2 * 64);
    assert_memory_equal(other.token, want.token, sizeof want.token);
    bitnet_engine_free(plain);
    bitnet_engine_free(e);
    t.close(t.ctx);
}

static void a_slow_tier_fills_the_fast_one(void **state) {
    (void)state;
    bitnet_tier fast, slow;
    bitnet_tier_info info;
    size_t size = bitnet_tier_value_size(test_shared.model, 512);
    bitnet_token a[100];
    make_prompt(a, 100, 3);
    assert_int_equal(bitnet_tier_mem_open(&slow, 16 * size, size, NULL), BITNET_OK);
    bitnet_engine *writer = engine_with(&slow, 1);
    result first = ask(writer, a, 100);
    assert_int_equal(bitnet_tier_mem_open(&fast, 4 * size, size, NULL), BITNET_OK);
    bitnet_engine *e = engine_with((bitnet_tier[]){fast, slow}, 2);
    result again = ask(e, a, 100);
    assert_int_equal(again.n_computed, 100 - 64);
    assert_memory_equal(first.token, again.token, sizeof first.token);
    fast.info(fast.ctx, &info);
    assert_int_equal(info.n_put, 1);
    bitnet_engine_free(writer);
    bitnet_engine_free(e);
    fast.close(fast.ctx);
    slow.close(slow.ctx);
}

/* A tier that answers every key with the same stolen value, as a hash collision would. */
static char stolen[1 << 20];
static size_t stolen_size;
static bitnet_status steal_put(void *ctx, uint64_t key, const void *src, size_t n) {
    (void)ctx, (void)key;
    if (stolen_size == 0) memcpy(stolen, src, stolen_size = n);
    return BITNET_OK;
}
static bitnet_status steal_get(void *ctx, uint64_t key, void *dst, size_t cap, size_t *n) {
    (void)ctx, (void)key;
    *n = stolen_size;
    if (stolen_size == 0 || cap == 0) return BITNET_AGAIN;
    if (cap >= stolen_size) memcpy(dst, stolen, stolen_size);
    return BITNET_OK;
}
static bitnet_status fail_get(void *ctx, uint64_t key, void *dst, size_t cap, size_t *n) {
    (void)ctx, (void)key, (void)dst, (void)cap, (void)n;
    return BITNET_E_IO;
}

static void a_value_under_the_wrong_key_and_a_failing_tier_are_misses(void **state) {
    (void)state;
    bitnet_tier liar = {.get = steal_get, .put = steal_put},
                broken = {.get = fail_get, .put = steal_put};
    bitnet_token a[100], b[100];
    make_prompt(a, 100, 4);
    make_prompt(b, 100, 5);
    assert_true(bitnet_tier_value_size(test_shared.model, 512) <= sizeof stolen);
    bitnet_engine *e = engine_with((bitnet_tier[]){broken, liar}, 2), *plain = engine_with(NULL, 0);
    ask(e, a, 100);
    assert_true(stolen_size > 0);
    result got = ask(e, b, 100), want = ask(plain, b, 100);
    assert_int_equal(got.n_computed, 100);
    assert_memory_equal(got.token, want.token, sizeof want.token);
    bitnet_engine_free(plain);
    bitnet_engine_free(e);
}

static void a_saved_state_of_another_size_or_place_is_refused(void **state) {
    (void)state;
    bitnet_ctx *c;
    bitnet_token tok[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    static char data[1 << 17];
    assert_int_equal(
        bitnet_ctx_create(&c, &(bitnet_ctx_desc){.model = test_shared.model, .n_ctx = 8}, NULL),
        BITNET_OK);
    assert_int_equal(bitnet_ctx_sync(c, tok, 6), BITNET_OK);
    size_t size = bitnet_ctx_save(c, 2, 4, data, sizeof data);
    assert_int_equal(size, bitnet_model_ctx_size(test_shared.model, 4));
    assert_int_equal(bitnet_ctx_load(c, tok, 2, 4, data, size - 1), BITNET_E_INVAL);
    assert_int_equal(bitnet_ctx_load(c, tok, 7, 4, data, size),
                     BITNET_E_INVAL); /* past the window */
    assert_int_equal(bitnet_ctx_load(c, (bitnet_token[]){9, 9, 3, 4, 5, 6}, 2, 4, data, size),
                     BITNET_E_INVAL);
    assert_int_equal(bitnet_ctx_len(c), 6);
    assert_int_equal(bitnet_ctx_load(c, tok, 2, 4, data, size), BITNET_OK);
    assert_null(bitnet_ctx_logits(c)); /* a loaded state has none until a token is computed */
    bitnet_ctx_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_memory_tier_throws_out_what_was_used_longest_ago),
        cmocka_unit_test(the_memory_tier_agrees_with_a_plain_list_over_many_operations),
        cmocka_unit_test(a_prompt_seen_before_the_last_one_is_taken_from_the_tier),
        cmocka_unit_test(a_slow_tier_fills_the_fast_one),
        cmocka_unit_test(a_value_under_the_wrong_key_and_a_failing_tier_are_misses),
        cmocka_unit_test(a_saved_state_of_another_size_or_place_is_refused),
    };
    return cmocka_run_group_tests(tests, test_shared_open, test_shared_close);
}
