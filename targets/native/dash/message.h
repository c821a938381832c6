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
    MESSAGE_DEPTH_MAX = 16,  /* nested braces and brackets; an honest message has 4 */
    MESSAGE_METRICS_MAX = 128,
    MESSAGE_METRIC_NAME_MAX = 64, /* bytes, terminator included */
    MESSAGE_INSTANCE_MAX = 33,    /* 32 hex digits and terminator */
    MESSAGE_TOKEN_MAX = 129,      /* bytes, terminator included */
    MESSAGE_LABELS_MAX = 16,      /* of a series, and entries of an operation's meta */
    MESSAGE_VALUE_MAX = 256,      /* bytes of a label's or an entry's text */
    MESSAGE_BUCKETS = 1024,       /* of a histogram */
    MESSAGE_SERIES_MAX = 10000,   /* labelled ones of a producer, for as long as its row lives */
    MESSAGE_SERIES_SLOTS = 16384,
};

typedef struct message_metric {
    char name[MESSAGE_METRIC_NAME_MAX];
    bool is_hist;    /* has buckets */
    double min, max; /* announced range; infinite where none was */
} message_metric;

/* The series that a producer has used, by hash: two that share one count once, which only makes the limit a
 * little wider. {0} is empty. */
typedef struct message_series {
    int n;
    uint32_t hash[MESSAGE_SERIES_SLOTS]; /* open addressing; 0 = free */
} message_series;

/* The metrics a producer announced; its windows may hold no others. */
typedef struct message_metrics {
    int n;
    message_series *series; /* borrowed, counts the labelled ones; NULL: any number */
    message_metric metric[MESSAGE_METRICS_MAX];
} message_metrics;

typedef enum message_kind {
    MESSAGE_PRODUCER,
    MESSAGE_VIEWER,
    MESSAGE_WINDOW, /* these three are numbered */
    MESSAGE_OP,
    MESSAGE_GAP,
    MESSAGE_BYE,
    MESSAGE_PONG,
} message_kind;

typedef struct message {
    message_kind kind;
    struct cJSON *json;
    char instance[MESSAGE_INSTANCE_MAX]; /* of MESSAGE_PRODUCER, lower case */
    char token[MESSAGE_TOKEN_MAX];       /* of either hello; "" = none */
    uint64_t epoch;                      /* of MESSAGE_PRODUCER */
    uint64_t seq, to;                    /* numbers it takes; of MESSAGE_BYE the last one used */
    uint64_t n_samples;                  /* values of a window, or 1 of an operation */
    int n_rejected;                      /* values left out of it; */
    const message_metric *rejected;      /* the last of them, */
    double rejected_value;               /* what it was, */
    const char *rejected_why;            /* and why */
    uint64_t pong_id;
    double rx_ms, tx_ms; /* of MESSAGE_PONG, by the producer's clock */
} message;

/* Reads a hello of either role. Fills `metrics` for a producer. NULL, or one sentence on what is
 * wrong with it (static). Whatever it returns, message_free is due. */
const char *message_read_hello(message *m, message_metrics *metrics, const char *text, size_t n);
/* Reads what may follow a producer's hello. `metrics` must live as long as the message. */
const char *message_read(message *m, const message_metrics *metrics, const char *text, size_t n);
const message_metric *message_find_metric(const message_metrics *metrics, const char *name);
/* The message for viewers, "producer" set. NULL when out of memory; free() it. */
char *message_print(const message *m, uint32_t producer);
void message_free(message *m);

#endif
