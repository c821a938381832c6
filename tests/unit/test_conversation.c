/* test_conversation.c: the messages of `bitnet chat`: what is forgotten when they no longer fit. How
 * files are read and refused is in tests/cli.
 */
#include "load_file.h"

#include <stdio.h>
#include <string.h>

#include "cmd/conversation.h"

static void add(conversation *c, const char *role, const char *text) {
    assert_int_equal(conversation_add(c, role, text, strlen(text), NULL), BITNET_OK);
}

/* n turns: "question 0", "answer 0", ..., then one question more */
static conversation make_talk(int n, const char *system) {
    conversation c = {0};
    char text[32];
    assert_int_equal(conversation_set_system(&c, system, NULL), BITNET_OK);
    for (int i = 0; i <= n; i++) {
        snprintf(text, sizeof text, "question %d", i);
        add(&c, "user", text);
        snprintf(text, sizeof text, "answer %d", i);
        if (i < n) add(&c, "assistant", text);
    }
    return c;
}

static int32_t n_tokens(const conversation *c) {
    return bitnet_chat_tokenize(test_shared.model, NULL, c->msg, c->n, BITNET_CHAT_ANSWER, NULL, 0,
                                NULL);
}

static void as_few_of_the_oldest_turns_go_as_make_the_rest_fit(void **state) {
    (void)state;
    for (int with_system = 0; with_system < 2; with_system++) {
        for (int n_kept = 0; n_kept <= 30; n_kept++) {
            const char *system = with_system ? "a system message" : "";
            conversation c = make_talk(30, system), rest = {0};
            assert_int_equal(conversation_set_system(&rest, system, NULL), BITNET_OK);
            for (int32_t i = c.n - 1 - 2 * n_kept; i < c.n; i++)
                add(&rest, c.msg[i].role, c.msg[i].content);
            int32_t n = 0, limit = n_tokens(&rest);
            assert_int_equal(conversation_fit(&c, test_shared.model, NULL, limit, &n, NULL),
                             BITNET_OK);
            assert_int_equal(n, 2 * (30 - n_kept));
            assert_int_equal(c.n, rest.n);
            for (int32_t i = 0; i < c.n; i++) {
                assert_string_equal(c.msg[i].role, rest.msg[i].role);
                assert_string_equal(c.msg[i].content, rest.msg[i].content);
            }
            conversation_free(&c);
            conversation_free(&rest);
        }
    }
}

static void the_last_question_and_the_system_message_stay_however_small_the_window(void **state) {
    (void)state;
    conversation c = make_talk(5, "a system message");
    int32_t n = 0;
    assert_int_equal(conversation_fit(&c, test_shared.model, NULL, 1, &n, NULL), BITNET_OK);
    assert_int_equal(n, 10);
    assert_int_equal(c.n, 2);
    assert_string_equal(c.msg[0].content, "a system message");
    assert_string_equal(c.msg[1].content, "question 5");
    conversation_free(&c);
}

static void a_conversation_that_cannot_be_told_is_left_alone(void **state) {
    (void)state;
    conversation c = make_talk(5, "");
    bitnet_error err = {0};
    int32_t n = -1;
    assert_int_equal(conversation_fit(&c, test_shared.model, "chatml", 1, &n, &err),
                     BITNET_E_UNSUPPORTED);
    assert_true(err.text[0] != 0);
    assert_int_equal(n, 0);
    assert_int_equal(c.n, 11);
    conversation_free(&c);
}

static void the_system_message_is_first_replaced_and_removed(void **state) {
    (void)state;
    conversation c = make_talk(1, "");
    assert_false(conversation_has_system(&c));
    assert_int_equal(conversation_set_system(&c, "one", NULL), BITNET_OK);
    assert_int_equal(conversation_set_system(&c, "two", NULL), BITNET_OK);
    assert_int_equal(c.n, 4);
    assert_string_equal(c.msg[0].content, "two");
    assert_string_equal(c.msg[1].content, "question 0");
    conversation_clear(&c);
    assert_int_equal(c.n, 1);
    assert_int_equal(conversation_set_system(&c, "", NULL), BITNET_OK);
    assert_int_equal(c.n, 0);
    conversation_drop_last(&c); /* nothing there: nothing happens */
    conversation_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_few_of_the_oldest_turns_go_as_make_the_rest_fit),
        cmocka_unit_test(the_last_question_and_the_system_message_stay_however_small_the_window),
        cmocka_unit_test(a_conversation_that_cannot_be_told_is_left_alone),
        cmocka_unit_test(the_system_message_is_first_replaced_and_removed),
    };
    return cmocka_run_group_tests(tests, test_shared_open, test_shared_close);
}
