/* tracker_cost.c TOKENS: a generation that is tracked, for callgrind (run.py): the engine pushes, a pump after every
 * TOKENS_A_WINDOW tokens drains, folds, writes the message and gives it to a transport that takes it. Prints
 * the number of tokens. What callgrind collects is what bitnet_ring_push and bitnet_tracker_pump take. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "load_file.h"
#include "bitnet/bitnet.h"

enum {
    TOKENS_A_WINDOW = 10, /* five windows and 50 tokens a second: as a 2B model decodes on two cores */
};

static bitnet_tracker *tracker;
static uint64_t now_ns = 1000000000;
static int n_tokens;

static bitnet_status take(void *ctx, const void *msg, size_t n) {
    (void)ctx, (void)msg, (void)n;
    return BITNET_OK;
}
static uint32_t one(void *ctx) {
    (void)ctx;
    return 1;
}

static int on_event(void *user, const bitnet_event *ev) {
    (void)user;
    if (ev->kind != BITNET_EVENT_TOKEN || ++n_tokens % TOKENS_A_WINDOW != 0) return 0;
    now_ns += 200000000;
    bitnet_tracker_pump(tracker, now_ns);
    return 0;
}

int main(int argc, char **argv) {
    bitnet_sink sink;
    bitnet_engine *e;
    bitnet_error err;
    const int n = argc > 1 ? atoi(argv[1]) : 100;
    const bitnet_report_desc d = {.name = "cost", .instance = 1};
    const bitnet_transport t = {.send = take, .n_opened = one};
    if (test_shared_open(NULL) != 0 ||
        bitnet_tracker_create(&tracker, &(bitnet_tracker_desc){0}) < 0 ||
        bitnet_report_open(&sink, t, &d) < 0)
        return 1;
    bitnet_tracker_add_sink(tracker, sink);
    const bitnet_engine_desc ed = {
        .model = test_shared.model, .ring = bitnet_tracker_ring(tracker), .n_draft = -1};
    if (bitnet_engine_create(&e, &ed, &err) < 0) return 1;
    bitnet_tracker_pump(tracker, now_ns); /* the hello */
    const bitnet_request req = {
        .prompt = "Once upon a time", .prompt_len = 16, .max_tokens = n};
    if (bitnet_engine_run(e, &req, on_event, NULL, &err) < 0) return 1;
    printf("%d\n", n_tokens);
    bitnet_engine_free(e);
    bitnet_tracker_free(tracker);
    test_shared_close(NULL);
    return 0;
}
