/* message.h: the gate for bitnet-tracker.v1 messages (docs/protocol.md). Text in, checked JSON out.
 * No I/O.
 *
 * Producers are strangers. What a viewer gets is never their text but a new message, printed from
 * the fields that docs/protocol.md names after their types and ranges were checked; other fields
 * are dropped, the first of two equal ones counts. Size and nesting are limited before the JSON
 * parser starts (cJSON recurses), and its case-insensitive getters are not used.
 */
#ifndef BITNET_DASH_MESSAGE_H
#define BITNET_DASH_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cJSON;

enum {
    MESSAGE_MAX = 64 * 1024, /* bytes of one message */
    MESSAGE_DEPTH_MAX = 16,  /* nested braces and brackets; an honest message has 3 */
    MESSAGE_METRICS_MAX = 64,
    MESSAGE_METRIC_NAME_MAX = 64, /* bytes, terminator included */
    MESSAGE_INSTANCE_MAX = 17,    /* 16 hex digits and terminator */
};

/* The metrics a producer announced; its windows may hold no others. */
typedef struct message_metrics {
    int n;
    struct {
        char name[MESSAGE_METRIC_NAME_MAX];
        bool is_hist; /* p50 and p95 are allowed */
    } metric[MESSAGE_METRICS_MAX];
} message_metrics;

typedef enum message_kind {
    MESSAGE_PRODUCER,
    MESSAGE_VIEWER,
    MESSAGE_WINDOW,
    MESSAGE_BYE
} message_kind;

typedef struct message {
    message_kind kind;
    char instance[MESSAGE_INSTANCE_MAX]; /* of MESSAGE_PRODUCER, lower case */
    struct cJSON *json;
} message;

/* Reads a hello of either role. Fills `metrics` for a producer. NULL, or one sentence on what is
 * wrong with it (static). Whatever it returns, message_free is due. */
const char *message_read_hello(message *m, message_metrics *metrics, const char *text, size_t n);
/* Reads what may follow a producer's hello: a window or a bye. */
const char *message_read(message *m, const message_metrics *metrics, const char *text, size_t n);
/* The message for viewers, "producer" added. NULL when out of memory; free() it. */
char *message_print(message *m, uint32_t producer);
void message_free(message *m);

#endif
