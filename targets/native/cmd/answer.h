/* answer.h: one answer as it is made: events in, text to stdout or kept, figures and JSON after. `run`
 * and `chat` share it, and the flag that Ctrl-C sets.
 */
#ifndef BITNET_ANSWER_H
#define BITNET_ANSWER_H

#include <cjson/cJSON.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#include "bitnet/bitnet.h"

/* Set by SIGINT after answer_catch_sigint; an answer under way is cancelled then. */
extern volatile sig_atomic_t answer_is_interrupted;
/* exits: a second SIGINT ends the process at once with 130. */
void answer_catch_sigint(bool exits);

typedef struct answer { /* {0} is empty */
    bool is_json;       /* keep ids and logprobs, print no text */
    bool skips_space;   /* leave out one space that begins the text */
    bool stdout_failed, is_out_of_memory;
    char *text; /* all of it, terminated; NULL before the first byte */
    size_t text_len, text_cap;
    cJSON *prompt_ids, *ids, *logprobs; /* logprobs only when the request asks for them */
    bitnet_finish finish;
    int32_t stop_index;
    bitnet_timings timings;
} answer;

/* A bitnet_event_fn; user is an answer. */
int answer_on_event(void *user, const bitnet_event *ev);
void answer_free(answer *a); /* back to {0} */

/* "prompt 5 tokens in 1.2 ms ... | 8 threads", without a newline. */
void answer_print_figures(FILE *out, const answer *a, const bitnet_model_info *info);
/* "tokenizer encode 0.01, prefill 0.70, ... ms of 2.90 | ...", without a newline: where its time went. */
void answer_print_split(FILE *out, const bitnet_metrics *m);
/* A line for each number: label, value, definition. */
void answer_print_metrics(FILE *out, const bitnet_metrics *m);
/* One JSON object, one line, to stdout; moves the ids and logprobs into it. Returns the exit code. */
int answer_print_json(answer *a, const bitnet_request *req, const bitnet_model_info *info);

#endif
