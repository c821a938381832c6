/* cmd_chat.c: `bitnet chat`: a conversation in the terminal; or a script, when stdin or stdout is none:
 * each line of stdin is a question, stdout carries the answers and nothing else, and the first error
 * is the end.
 */
#define _GNU_SOURCE /* isatty */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "cmd/args.h"
#include "cmd/chat.h"
#include "cmd/cmd.h"

/* llama.cpp's spelling of --system; a cluster of one-letter options to getopt. */
static void respell_sys(int argc, char **argv) {
    static char spelled_out[] = "--system";
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "-sys")) argv[i] = spelled_out;
}

static bitnet_status find_template(chat *c, bitnet_error *err) {
    if (!c->template_name) {
        c->family = bitnet_chat_template(c->loaded.model);
        if (!strcmp(c->family, "none"))
            chat_notice("this model has no chat template: it goes on with the text as it stands");
        return BITNET_OK;
    }
    c->family = c->template_name;
    char names[128] = "";
    for (int32_t i = 0; bitnet_chat_template_name(i); i++) {
        const char *name = bitnet_chat_template_name(i);
        if (!strcmp(name, c->template_name)) return BITNET_OK;
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", name);
    }
    bitnet_escaped e;
    return bitnet_fail(err, BITNET_E_INVAL, "usage.template",
                       "--chat-template is \"%s\"; allowed are %s",
                       bitnet_escape(&e, c->template_name, strlen(c->template_name)), names);
}

static bitnet_status open_all(chat *c, bitnet_error *err) {
    sampling_draw_seed(&c->sampling);
    sampling_plan_context(&c->sampling, &c->load, c->n_ctx, c->n_batch);
    bitnet_status st = load_model(&c->loaded, &c->load, err);
    if (st >= 0) st = find_template(c, err);
    if (st >= 0 && c->system) st = conversation_set_system(&c->talk, c->system, err);
    if (st >= 0) st = chat_check(c, &c->talk, err);
    if (st >= 0 && c->track_url)
        st = track_open(&c->tracking, c->track_url, c->track_token, "cli", c->loaded.model, err);
    if (st < 0) return st;
    c->info = bitnet_model_get_info(c->loaded.model);
    if (c->n_ctx == 0) c->n_ctx = c->info.n_ctx_train;
    bitnet_engine_desc ed = {.model = c->loaded.model,
                             .n_ctx = c->n_ctx,
                             .n_batch = c->n_batch,
                             .ring = track_ring(c->tracking),
                             .ops = track_ops(c->tracking),
                             .n_draft = sampling_n_draft(&c->sampling),
                             .n_draft_min = c->sampling.draft_min};
    st = bitnet_engine_create(&c->engine, &ed, err);
    if (st >= 0 && !(c->repl = repl_open(c->is_terminal)))
        st = bitnet_fail(err, BITNET_E_NOMEM, "chat.memory", "no memory for the line editor");
    return st;
}

static void close_all(chat *c) {
    repl_close(c->repl);
    track_close(c->tracking);
    bitnet_engine_free(c->engine);
    load_close(&c->loaded);
    conversation_free(&c->talk);
    answer_free(&c->last);
}

/* Ctrl-C where nothing is under way: a terminal wants it twice. was_first: the one before was it. */
static bool interrupt_ends(chat *c, bool was_first) {
    if (c->is_terminal && !was_first) {
        fputc('\n', stderr);
        chat_notice("Ctrl-C again, Ctrl-D or /exit leaves");
        return false;
    }
    bool has_something = c->talk.n > (conversation_has_system(&c->talk) ? 1 : 0);
    c->code = c->is_terminal && has_something ? 0 : 130;
    return true;
}

static void converse(chat *c) {
    bool was_interrupted = false;
    while (!c->is_over) {
        const char *text;
        size_t len;
        repl_result result = repl_read(c->repl, &text, &len);
        if (result == REPL_INTERRUPTED) {
            if (interrupt_ends(c, was_interrupted)) return;
            was_interrupted = true;
            continue;
        }
        was_interrupted = false;
        if (result == REPL_END) {
            if (c->is_terminal) fputc('\n', stderr);
            return;
        }
        if (result == REPL_NO_MEMORY) {
            chat_complain(c,
                          &(bitnet_error){BITNET_E_NOMEM, "chat.memory", "no memory for a line"});
            continue;
        }
        if (len == 0) continue;
        if (text[0] == '/' && text[1] != '/')
            chat_command(c, text);
        else
            chat_turn(c, text + (text[0] == '/'), len - (text[0] == '/'));
    }
}

static bool check(void *user, bool will_run) {
    (void)will_run;
    chat *c = user;
    const bool has_biases = sampling_check(&c->sampling);
    return load_check(&c->load) && has_biases;
}

int cmd_chat(int argc, char **argv) {
    chat c = {.n_predict = -1, .sampling = sampling_default()};
    const arg_opt opts[] = {
        LOAD_OPTS(c.load),
        {0, "system", ARG_STR, &c.system, "TEXT", NULL, "system message; -sys is the same", 0, 0},
        {0, "chat-template", ARG_STR, &c.template_name, "NAME", NULL,
         "bitnet, llama3, falcon3, chatml, none; the model's own when absent", 0, 0},
        {'n', "predict", ARG_INT, &c.n_predict, "N", NULL,
         "most tokens of an answer; -1 until an end token or a full window", -1, 1 << 20},
        {'c', "ctx-size", ARG_INT, &c.n_ctx, "N", NULL,
         "context window in tokens; 0 = what the model was trained with", 0, 1 << 20},
        {'b', "batch-size", ARG_INT, &c.n_batch, "N", NULL,
         "prompt tokens per forward pass; 0 = 128", 0, 4096},
        SAMPLING_OPTS(c.sampling),
        {0, "json", ARG_FLAG, &c.is_json, NULL, NULL, "print one JSON object for each answer", 0,
         0},
        {0, "track", ARG_STR, &c.track_url, "URL", NULL, "report to a hub: ws://127.0.0.1:8080", 0,
         0},
        {0, "track-token-file", ARG_STR, &c.track_token, "FILE", NULL,
         "the hub's token, where it asks for one", 0, 0},
        {0}};
    const arg_cmd cmd = {
        "chat",
        "Talks with a model. /help lists the commands; without a terminal each line "
        "of stdin is a question.",
        "[options]",
        opts,
        NULL,
        0};
    respell_sys(argc, argv);
    const arg_rules rules = {"deterministic", sampling_deterministic, check, &c};
    int code = args_parse_with(&cmd, &rules, argc, argv);
    if (code >= 0) return code;
    c.is_terminal = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;

    bitnet_error err = {0};
    if (open_all(&c, &err) < 0) {
        c.code = args_fail(&err);
    } else {
        answer_catch_sigint(false);
        converse(&c);
    }
    close_all(&c);
    return c.code;
}
