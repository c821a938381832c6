/* chat_commands.c: what a line that begins with a slash does: one row each. Everything they say goes
 * to stderr: stdout is for answers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "cmd/chat.h"

typedef void (*command_fn)(chat *c, const char *argument);

typedef struct command {
    const char *name, *argument; /* argument NULL: takes none */
    bool needs_argument;
    command_fn run;
    const char *help;
} command;

static void show_stats(chat *c, const char *argument) {
    bitnet_error err = {0};
    if (!strcmp(argument, "reset")) {
        bitnet_engine_reset_metrics(c->engine);
        chat_notice("the figures begin anew");
        return;
    }
    if (*argument) {
        bitnet_escaped e;
        bitnet_fail(&err, BITNET_E_INVAL, "chat.command",
                    "/stats takes \"reset\" or nothing, not %s",
                    bitnet_escape(&e, argument, strlen(argument)));
        chat_complain(c, &err);
        return;
    }
    const bitnet_metrics m = bitnet_engine_get_metrics(c->engine);
    fprintf(stderr, "%d turn%s | window: %d of %d tokens\n", c->n_turns, c->n_turns == 1 ? "" : "s",
            c->n_used, c->n_ctx);
    if (c->last.timings.n_generated > 0) {
        fprintf(stderr, "last: ");
        answer_print_figures(stderr, &c->last, &c->info);
        const bitnet_metrics of_last = bitnet_metrics_of(&c->last.timings);
        fprintf(stderr, "\n      ");
        answer_print_split(stderr, &of_last);
        fprintf(stderr, "\n");
    }
    fprintf(stderr, "of all answers since the start or /stats reset:\n");
    answer_print_metrics(stderr, &m);
}

static void save_file(chat *c, const char *argument) {
    bitnet_error err = {0};
    if (conversation_save(&c->talk, argument, c->info.name, &err) < 0)
        chat_complain(c, &err);
    else
        chat_notice("%d messages saved", c->talk.n);
}

static void load_file(chat *c, const char *argument) {
    bitnet_error err = {0};
    conversation talk = {0};
    bitnet_status st = conversation_load(&talk, argument, &err);
    if (st >= 0) st = chat_check(c, &talk, &err);
    if (st < 0) {
        conversation_free(&talk);
        chat_complain(c, &err);
        return;
    }
    conversation_free(&c->talk);
    c->talk = talk;
    c->n_used = 0;
    chat_notice("%d messages loaded", talk.n);
}

static void set_system(chat *c, const char *argument) {
    bitnet_error err = {0};
    conversation alone = {0}; /* tried by itself: a refused text changes nothing */
    bitnet_status st = conversation_set_system(&alone, argument, &err);
    if (st >= 0) st = chat_check(c, &alone, &err);
    if (st >= 0) st = conversation_set_system(&c->talk, argument, &err);
    conversation_free(&alone);
    if (st < 0)
        chat_complain(c, &err);
    else
        chat_notice(*argument ? "the system message is set" : "there is no system message now");
}

static void clear(chat *c, const char *argument) {
    (void)argument;
    conversation_clear(&c->talk);
    c->n_used = 0;
    chat_notice("the conversation is forgotten%s",
                conversation_has_system(&c->talk) ? "; the system message stays" : "");
}

static void leave(chat *c, const char *argument) {
    (void)argument;
    c->is_over = true;
}

static void help(chat *c, const char *argument);

static const command commands[] = {
    {"help", NULL, false, help, "this list"},
    {"stats", "[reset]", false, show_stats,
     "what was measured, with definitions; reset: from now on"},
    {"save", "FILE", true, save_file, "write the conversation as JSON"},
    {"load", "FILE", true, load_file, "go on with a saved one"},
    {"system", "[TEXT]", false, set_system, "set the system message; without TEXT there is none"},
    {"clear", NULL, false, clear, "forget the conversation, but for the system message"},
    {"exit", NULL, false, leave, "leave; /quit and Ctrl-D do the same"},
    {"quit", NULL, false, leave, NULL},
};
#define N_COMMANDS (sizeof commands / sizeof *commands)

static void help(chat *c, const char *argument) {
    (void)c, (void)argument;
    for (size_t i = 0; i < N_COMMANDS; i++) {
        const command *k = &commands[i];
        if (!k->help) continue;
        char left[32];
        snprintf(left, sizeof left, "/%s %s", k->name, k->argument ? k->argument : "");
        fprintf(stderr, "  %-16s %s\n", left, k->help);
    }
    fprintf(stderr, "A line that ends with \\ goes on in the next. // begins a line with a slash.\n"
                    "Ctrl-C stops an answer and keeps what there is of it.\n");
}

void chat_command(chat *c, const char *text) {
    size_t n_name = strcspn(text + 1, " \t\n");
    const char *argument = text + 1 + n_name;
    argument += strspn(argument, " \t\n");
    bitnet_error err = {0};
    bitnet_escaped e;
    for (size_t i = 0; i < N_COMMANDS; i++) {
        const command *k = &commands[i];
        if (strlen(k->name) != n_name || strncmp(k->name, text + 1, n_name) != 0) continue;
        if (*argument ? k->argument != NULL : !k->needs_argument) {
            k->run(c, argument);
            return;
        }
        bitnet_fail(&err, BITNET_E_INVAL, "chat.command",
                    *argument ? "/%s takes nothing" : "/%s needs the name of a file", k->name);
        chat_complain(c, &err);
        return;
    }
    bitnet_fail(&err, BITNET_E_INVAL, "chat.command",
                "there is no command %s; /help lists them, and // begins a text with a slash",
                bitnet_escape(&e, text, n_name + 1));
    chat_complain(c, &err);
}
