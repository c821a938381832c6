/* chat.h: the state of `bitnet chat`, shared by its turns and its commands. */
#ifndef BITNET_CMD_CHAT_H
#define BITNET_CMD_CHAT_H

#include "bitnet/bitnet.h"
#include "cmd/answer.h"
#include "cmd/conversation.h"
#include "cmd/load.h"
#include "cmd/repl.h"
#include "cmd/sampling.h"
#include "track.h"

typedef struct chat {
    /* options */
    load_opts load;
    sampling_opts sampling;
    const char *system, *template_name, *track_url, *track_token;
    int32_t n_predict, n_ctx, n_batch;
    bool is_json;
    /* while it lasts */
    bool is_terminal; /* somebody types: errors do not end it */
    bool is_over;
    int code; /* what it ends with */
    loaded loaded;
    bitnet_model_info info;
    const char *family; /* of the template in use */
    track *tracking;
    bitnet_engine *engine;
    repl *repl;
    conversation talk;
    /* figures */
    answer last;    /* the latest; n_generated is 0 before the first */
    int32_t n_used; /* tokens of the window that the conversation takes */
    int32_t n_turns;
} chat;

/* One line to stderr: "bitnet: ...". */
void chat_notice(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Says what failed. In a script that is the end, with the error's exit code. */
void chat_complain(chat *c, const bitnet_error *err);
/* OK when the messages can be told to this model. */
bitnet_status chat_check(const chat *c, const conversation *talk, bitnet_error *err);
/* Asks, streams the answer, keeps both in the conversation. */
void chat_turn(chat *c, const char *text, size_t len);
/* text begins with one slash. */
void chat_command(chat *c, const char *text);

#endif
