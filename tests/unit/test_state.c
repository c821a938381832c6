/* test_state.c: a timeline saved by one engine is gone on from by another, with the same tokens as if it
 * had computed everything itself; and no byte of a state can be changed unnoticed.
 */
#include "count_alloc.h"
#include "load_file.h"
#include "tiny_model.h"

#include <stdlib.h>
#include <string.h>

#include "engine/state.h"

static bitnet_engine *engine_of(const bitnet_model *m, int32_t n_ctx) {
    bitnet_engine *e;
    bitnet_error err = {0};
    if (bitnet_engine_create(&e, &(bitnet_engine_desc){.model = m, .n_ctx = n_ctx}, &err) < 0)
        fail_msg("%s", err.text);
    return e;
}

typedef struct answer {
    bitnet_token token[64];
    int32_t n;
    bitnet_timings timings;
} answer;

static int on_event(void *user, const bitnet_event *ev) {
    answer *a = user;
    if (ev->kind == BITNET_EVENT_TOKEN) a->token[a->n++] = ev->token;
    if (ev->kind == BITNET_EVENT_END) a->timings = ev->timings;
    return 0;
}

static const char opening[] = "Once upon a time there was a little boy";

static answer ask(bitnet_engine *e, int32_t max_tokens) {
    answer a = {0};
    bitnet_error err = {0};
    bitnet_request req = {
        .prompt = opening, .prompt_len = strlen(opening), .max_tokens = max_tokens};
    if (bitnet_engine_run(e, &req, on_event, &a, &err) < 0) fail_msg("%s", err.text);
    return a;
}

static uint8_t *saved(bitnet_engine *e, size_t *size) {
    *size = 0;
    assert_int_equal(bitnet_engine_save(e, NULL, size, NULL), BITNET_OK);
    uint8_t *bytes = malloc(*size);
    assert_non_null(bytes);
    assert_int_equal(bitnet_engine_save(e, bytes, size, NULL), BITNET_OK);
    return bytes;
}

static void another_engine_goes_on_from_a_saved_state_with_the_same_tokens(void **state) {
    (void)state;
    size_t size;
    bitnet_engine *first = engine_of(test_shared.model, 0),
                  *second = engine_of(test_shared.model, 128);
    answer want = ask(first, 24);
    uint8_t *bytes = saved(first, &size);
    assert_int_equal(bitnet_engine_load(second, bytes, size, NULL), BITNET_OK);
    answer got = ask(second, 24);
    assert_int_equal(got.n, 24);
    assert_memory_equal(got.token, want.token, sizeof want.token);
    assert_true(want.timings.n_prompt_computed > 1);
    assert_int_equal(got.timings.n_prompt_computed, 1);
    bitnet_engine_free(first);
    bitnet_engine_free(second);
    free(bytes);
}

static void saving_twice_gives_the_same_bytes_and_needs_the_room_it_says(void **state) {
    (void)state;
    size_t size, again;
    bitnet_engine *e = engine_of(test_shared.model, 0);
    ask(e, 4);
    uint8_t *bytes = saved(e, &size), *same = saved(e, &again);
    assert_int_equal(again, size);
    assert_memory_equal(bytes, same, size);
    memset(same, 0x55, size);
    size_t room = size - 1;
    assert_int_equal(bitnet_engine_save(e, same, &room, NULL), BITNET_OK);
    assert_int_equal(room, size);
    assert_int_equal(same[0], 0x55);
    bitnet_engine_free(e);
    free(bytes);
    free(same);
}

static void an_empty_timeline_is_a_state_too(void **state) {
    (void)state;
    size_t size;
    bitnet_engine *fresh = engine_of(test_shared.model, 0), *used = engine_of(test_shared.model, 0);
    uint8_t *bytes = saved(fresh, &size);
    assert_int_equal(size, 48);
    ask(used, 4);
    assert_int_equal(bitnet_engine_load(used, bytes, size, NULL), BITNET_OK);
    answer a = ask(used, 4);
    assert_int_equal(a.timings.n_prompt_computed, a.timings.n_prompt);
    bitnet_engine_free(fresh);
    bitnet_engine_free(used);
    free(bytes);
}

static void expect_refusal(bitnet_engine *e, const uint8_t *bytes, size_t size,
                           bitnet_status status, const char *id) {
    bitnet_error err = {0};
    assert_int_equal(bitnet_engine_load(e, bytes, size, &err), status);
    assert_string_equal(err.id, id);
    assert_true(strlen(err.text) > 20);
}

static void a_damaged_state_is_refused_and_changes_nothing(void **state) {
    (void)state;
    size_t size;
    bitnet_engine *e = engine_of(test_shared.model, 0);
    answer want = ask(e, 8);
    uint8_t *bytes = saved(e, &size);
    const struct {
        size_t at;
        bitnet_status status;
        const char *id;
    } rows[] = {
        {0, BITNET_E_FORMAT, "state.magic"},
        {8, BITNET_E_UNSUPPORTED, "state.version"},
        {12, BITNET_E_UNSUPPORTED, "state.cache_type"},
        {16, BITNET_E_UNSUPPORTED, "state.cache_type"},
        {20, BITNET_E_FORMAT, "state.length"},
        {22, BITNET_E_CTX_FULL, "state.ctx"},
        {23, BITNET_E_CTX_FULL, "state.ctx"},
        {24, BITNET_E_UNSUPPORTED, "state.model"},
        {39, BITNET_E_FORMAT, "state.length"},
        {40, BITNET_E_FORMAT, "state.checksum"},
        {48, BITNET_E_FORMAT, "state.checksum"},
        {size / 2, BITNET_E_FORMAT, "state.checksum"},
        {size - 1, BITNET_E_FORMAT, "state.checksum"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bytes[rows[i].at] ^= 0x80;
        expect_refusal(e, bytes, size, rows[i].status, rows[i].id);
        bytes[rows[i].at] ^= 0x80;
    }
    expect_refusal(e, bytes, 0, BITNET_E_FORMAT, "state.magic");
    expect_refusal(e, bytes, 47, BITNET_E_FORMAT, "state.magic");
    expect_refusal(e, bytes, size - 1, BITNET_E_FORMAT, "state.length");
    answer got = ask(e, 8);
    assert_int_equal(got.timings.n_prompt_computed, 1);
    assert_memory_equal(got.token, want.token, sizeof want.token);
    bitnet_engine_free(e);
    free(bytes);
}

static void a_token_outside_the_vocabulary_is_refused_and_changes_nothing(void **state) {
    (void)state;
    size_t size;
    bitnet_engine *e = engine_of(test_shared.model, 0);
    answer want = ask(e, 8);
    uint8_t *bytes = saved(e, &size);
    const uint32_t n_vocab = (uint32_t)bitnet_model_get_info(test_shared.model).n_vocab,
                   outside[] = {n_vocab, UINT32_MAX};
    for (size_t i = 0; i < 2; i++) {
        uint8_t *token = bytes + 48 + 4; /* the second one, little-endian */
        for (int b = 0; b < 4; b++)
            token[b] = (uint8_t)(outside[i] >> (8 * b));
        bitnet_state_seal(bytes, size);
        expect_refusal(e, bytes, size, BITNET_E_FORMAT, "state.token");
    }
    answer got = ask(e, 8);
    assert_int_equal(got.timings.n_prompt_computed, 1);
    assert_memory_equal(got.token, want.token, sizeof want.token);
    bitnet_engine_free(e);
    free(bytes);
}

static void a_state_of_another_model_or_a_larger_window_is_refused(void **state) {
    (void)state;
    size_t size;
    tiny_model kind = tiny_model_default();
    bitnet_engine *e = engine_of(test_shared.model, 0), *small = engine_of(test_shared.model, 16);
    ask(e, 16);
    uint8_t *bytes = saved(e, &size);
    expect_refusal(small, bytes, size, BITNET_E_CTX_FULL, "state.ctx");
    const struct {
        bitnet_model_desc how;
        const char *id;
    } others[] = {{{.n_threads = 1}, "state.model"},
                  {{.n_threads = 1, .cache_type_k = BITNET_KV_Q8_0}, "state.cache_type"},
                  {{.n_threads = 1, .cache_type_v = BITNET_KV_Q8_0}, "state.cache_type"}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        tiny_loaded other;
        assert_int_equal(tiny_model_load(&other, &kind, &others[i].how, NULL), BITNET_OK);
        bitnet_engine *stranger = engine_of(other.model, 0);
        expect_refusal(stranger, bytes, size, BITNET_E_UNSUPPORTED, others[i].id);
        bitnet_engine_free(stranger);
        tiny_model_close(&other);
    }
    bitnet_engine_free(small);
    bitnet_engine_free(e);
    free(bytes);
}

static void without_memory_for_its_tokens_a_state_is_refused_and_changes_nothing(void **state) {
    (void)state;
    size_t size;
    count_alloc count = {0};
    bitnet_allocator allocator = count_alloc_of(&count);
    test_model t;
    test_model_open(&t, 1, 0, &allocator);
    bitnet_engine *e = engine_of(t.model, 0), *shorter = engine_of(t.model, 0);
    answer want = ask(e, 8);
    ask(shorter, 2);
    uint8_t *bytes = saved(shorter, &size);
    count.fail_at = count.n_calls + 1;
    expect_refusal(e, bytes, size, BITNET_E_NOMEM, "state.memory");
    answer got = ask(e, 8);
    assert_int_equal(got.timings.n_prompt_computed, 1);
    assert_memory_equal(got.token, want.token, sizeof want.token);
    assert_int_equal(bitnet_engine_load(e, bytes, size, NULL), BITNET_OK);
    bitnet_engine_free(shorter);
    bitnet_engine_free(e);
    test_model_close(&t);
    free(bytes);
    assert_int_equal(count.live, 0);
}

static void while_a_request_waits_nothing_is_saved_or_loaded(void **state) {
    (void)state;
    size_t size;
    uint32_t id;
    bitnet_error err = {0};
    bitnet_event ev;
    bitnet_engine *e = engine_of(test_shared.model, 0);
    uint8_t *bytes = saved(e, &size);
    const bitnet_request req = {.prompt = "Once", .prompt_len = 4, .max_tokens = 2};
    assert_int_equal(bitnet_engine_submit(e, &req, &id, NULL), BITNET_OK);
    expect_refusal(e, bytes, size, BITNET_E_INVAL, "state.busy");
    assert_int_equal(bitnet_engine_save(e, NULL, &size, &err), BITNET_E_INVAL);
    assert_string_equal(err.id, "state.busy");
    while (bitnet_engine_step(e) != BITNET_AGAIN)
        while (bitnet_engine_poll(e, &ev) == BITNET_OK) {
        }
    assert_int_equal(bitnet_engine_load(e, bytes, size, NULL), BITNET_OK);
    bitnet_engine_free(e);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_engine_goes_on_from_a_saved_state_with_the_same_tokens),
        cmocka_unit_test(saving_twice_gives_the_same_bytes_and_needs_the_room_it_says),
        cmocka_unit_test(an_empty_timeline_is_a_state_too),
        cmocka_unit_test(a_damaged_state_is_refused_and_changes_nothing),
        cmocka_unit_test(a_token_outside_the_vocabulary_is_refused_and_changes_nothing),
        cmocka_unit_test(a_state_of_another_model_or_a_larger_window_is_refused),
        cmocka_unit_test(without_memory_for_its_tokens_a_state_is_refused_and_changes_nothing),
        cmocka_unit_test(while_a_request_waits_nothing_is_saved_or_loaded),
    };
    return cmocka_run_group_tests(tests, test_shared_open, test_shared_close);
}
