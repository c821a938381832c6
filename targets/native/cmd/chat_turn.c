/* chat_turn.c: one question and its answer.
 *
 * The conversation is sent whole each time; the engine finds its beginning in the KV cache and
 * computes what is new. A window that has no room left for an answer makes the oldest turns go,
 * until half of it is free: dropping one turn at a time would compute the rest again at every
 * question.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "cmd/args.h"
#include "cmd/chat.h"

#define ANSWER_SHARE 4 /* a quarter of the window is for the answer, or what -n asks for if less */

void chat_notice(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    fputs("bitnet: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
}

void chat_complain(chat *c, const bitnet_error *err) {
    int code = args_fail(err);
    if (c->is_terminal) return;
    c->is_over = true;
    c->code = code;
}

bitnet_status chat_check(const chat *c, const conversation *talk, bitnet_error *err) {
    if (talk->n == 0) return BITNET_OK;
    int32_t n = bitnet_chat_tokenize(c->loaded.model, c->template_name, talk->msg, talk->n,
                                     BITNET_CHAT_ANSWER, NULL, 0, err);
    return n < 0 ? (bitnet_status)n : BITNET_OK;
}

/* Forgets what no longer fits, leaving room for the answer. */
static bitnet_status make_room(chat *c, bitnet_error *err) {
    const bitnet_model *model = c->loaded.model;
    int32_t room = c->n_ctx / ANSWER_SHARE, n_forgotten = 0;
    if (c->n_predict > 0 && c->n_predict < room) room = c->n_predict;
    int32_t n = bitnet_chat_tokenize(model, c->template_name, c->talk.msg, c->talk.n,
                                     BITNET_CHAT_ANSWER, NULL, 0, err);
    if (n < 0) return (bitnet_status)n;
    if (n <= c->n_ctx - room) return BITNET_OK;
    bitnet_status st =
        conversation_fit(&c->talk, model, c->template_name, c->n_ctx / 2, &n_forgotten, err);
    if (st >= 0 && n_forgotten > 0)
        chat_notice("the window of %d tokens is full: the oldest %d messages are forgotten",
                    c->n_ctx, n_forgotten);
    return st;
}

/* A seed gives the same conversation again; each turn has draws of its own. */
static bitnet_request make_request(const chat *c) {
    bitnet_request req = {.messages = c->talk.msg,
                          .n_messages = c->talk.n,
                          .chat_template = c->template_name,
                          .max_tokens = c->n_predict,
                          .stop = c->sampling.stop.v,
                          .n_stop = c->sampling.stop.n,
                          .sampler = c->sampling.desc};
    req.sampler.seed += (uint64_t)c->n_turns;
    return req;
}

static void count(chat *c) {
    const bitnet_timings *t = &c->last.timings;
    c->n_turns++;
    c->n_used = t->n_prompt + t->n_generated;
}

/* What a person should know about how the answer ended. */
static void comment(const chat *c) {
    if (c->last.finish != BITNET_FINISH_LENGTH) return;
    if (c->n_used >= c->n_ctx)
        chat_notice("the window of %d tokens is full: the answer ends here; /clear starts anew",
                    c->n_ctx);
    else
        chat_notice("the answer ends here, after the %d tokens of --predict", c->n_predict);
}

/* The answer, also half of one, becomes the assistant's message. */
static bitnet_status keep_answer(chat *c, bitnet_error *err) {
    if (c->last.text_len > 0)
        return conversation_add(&c->talk, "assistant", c->last.text, c->last.text_len, err);
    conversation_drop_last(&c->talk);
    chat_notice("there was no answer; the question is not kept");
    return BITNET_OK;
}

static void finish_output(chat *c, const bitnet_request *req) {
    int code = 0;
    if (c->is_json)
        code = answer_print_json(&c->last, req, &c->info);
    else if (!c->last.stdout_failed)
        puts("");
    if (code == 0) code = args_flush();
    if (code == 0) return;
    c->code = code;
    c->is_over = true; /* nobody reads the answers */
}

void chat_turn(chat *c, const char *text, size_t len) {
    bitnet_error err = {0};
    bitnet_status st = BITNET_OK;
    if (memchr(text, 0, len))
        st = bitnet_fail(&err, BITNET_E_FORMAT, "chat.zero", "the text holds a zero byte");
    if (st >= 0) st = conversation_add(&c->talk, "user", text, len, &err);
    if (st < 0) {
        chat_complain(c, &err);
        return;
    }
    st = make_room(c, &err);
    bitnet_request req = make_request(c);
    answer_free(&c->last);
    c->last = (answer){.is_json = c->is_json, .skips_space = strcmp(c->family, "none") != 0};
    if (st >= 0) st = bitnet_engine_run(c->engine, &req, answer_on_event, &c->last, &err);
    if (st < 0 && st != BITNET_E_CANCELLED) {
        conversation_drop_last(&c->talk);
        chat_complain(c, &err);
        return;
    }
    finish_output(c, &req);
    count(c);
    if (c->is_terminal) comment(c);
    st = c->last.is_out_of_memory
             ? bitnet_fail(&err, BITNET_E_NOMEM, "chat.memory", "no memory for the answer")
             : keep_answer(c, &err);
    if (st < 0) chat_complain(c, &err);
    if (answer_is_interrupted && !c->is_terminal) c->is_over = true, c->code = 130;
}
