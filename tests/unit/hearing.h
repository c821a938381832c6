/* hearing.h: lets statistics hear messages as the hub gives them, from their text. */
#ifndef HEARING_H
#define HEARING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dash/stats.h"

static message_metrics announced; /* of the last hello */

static inline hub_time at_ms(uint64_t ms) {
    return (hub_time){.ms = ms, .wall_us = (1795000000000u + ms) * 1000u};
}

/* One message of the producer whose instance and number these are; it must be a good one. */
static inline void hear(stats *s, const char *instance, uint32_t number, hub_time now,
                        const char *text) {
    message m;
    const char *wrong = strstr(text, "\"hello\"")
                            ? message_read_hello(&m, &announced, text, strlen(text))
                            : message_read(&m, &announced, text, strlen(text));
    if (wrong) fail_msg("%s\n%s", wrong, text);
    free(message_print(&m, number)); /* writes the number, as the hub does before it is heard */
    stats_hear(s, instance, &m, now);
    message_free(&m);
}

#define HELLO_METRICS                                                                              \
    "{\"name\":\"time_per_output_token\",\"unit\":\"s\",\"kind\":\"hist\",\"help\":\"\"},"         \
    "{\"name\":\"time_to_first_token\",\"unit\":\"s\",\"kind\":\"hist\",\"help\":\"\"},"           \
    "{\"name\":\"decode_rate\",\"unit\":\"{token}/s\",\"kind\":\"gauge\",\"help\":\"\"},"          \
    "{\"name\":\"memory\",\"unit\":\"By\",\"kind\":\"gauge\",\"min\":0,\"help\":\"\"},"            \
    "{\"name\":\"generation_tokens\",\"unit\":\"{token}\",\"kind\":\"counter\",\"help\":\"\"},"    \
    "{\"name\":\"mine\",\"unit\":\"\",\"kind\":\"counter\",\"help\":\"\"}"

static inline void hear_hello(stats *s, const char *instance, uint32_t number, hub_time now,
                              const char *name, const char *model) {
    char text[4096];
    snprintf(
        text, sizeof text,
        "{\"type\":\"hello\",\"proto\":1,\"role\":\"producer\",\"name\":\"%s\",\"instance\":"
        "\"%s\",\"epoch\":1,\"next_seq\":1,\"backend\":\"cpu\",\"tier\":\"avx2\",\"threads\":2,"
        "\"model\":\"%s\",\"host\":\"h\",\"build\":\"b\",\"t_ms\":1,\"started_ms\":7,"
        "\"expected\":{\"decode_rate\":200},\"metrics\":[" HELLO_METRICS "]}",
        name, instance, model);
    hear(s, instance, number, now, text);
}

/* A window with this inside its "m". */
static inline void hear_values(stats *s, const char *instance, uint32_t number, hub_time now,
                               const char *m) {
    static int seq;
    char text[9000];
    snprintf(text, sizeof text,
             "{\"type\":\"window\",\"seq\":%d,\"t_ms\":1,\"span_ms\":100,\"dropped\":0,\"m\":{%s}}",
             ++seq, m);
    hear(s, instance, number, now, text);
}

/* A gauge or a counter that was measured once. */
static inline void hear_value(stats *s, const char *instance, uint32_t number, hub_time now,
                              const char *metric, double v) {
    char m[512];
    snprintf(m, sizeof m,
             "\"%s\":{\"n\":1,\"sum\":%.17g,\"min\":%.17g,\"max\":%.17g,\"last\":%.17g}", metric, v,
             v, v, v);
    hear_values(s, instance, number, now, m);
}

#endif
