/* fuzz_hub.c: libFuzzer over the hub and its messages.
 *
 * The input is a script: one byte chooses what happens (a peer joins, leaves, sends, reads; time
 * passes), the next which of eight peers. What is sent is a message of docs/protocol.md with edits
 * from the script, or bytes of the script. Whatever a viewer is given must be one JSON object with
 * a type.
 */
#include "dash/hub.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

enum { N_PEERS = 8 };

static const char *const texts[] = {
    "{\"type\":\"hello\",\"proto\":1,\"role\":\"viewer\"}",
    "{\"type\":\"hello\",\"proto\":1,\"role\":\"producer\",\"name\":\"a\",\"instance\":\"1\","
    "\"backend\":\"cpu\",\"tier\":\"c\",\"threads\":2,\"model\":\"m\",\"t_ms\":1,\"metrics\":["
    "{\"name\":\"h\",\"unit\":\"s\",\"kind\":\"hist\",\"help\":\"\"},"
    "{\"name\":\"g\",\"unit\":\"By\",\"kind\":\"gauge\",\"help\":\"\\u00e9\"}]}",
    "{\"type\":\"hello\",\"proto\":1,\"role\":\"producer\",\"name\":\"b\",\"instance\":\"2\","
    "\"backend\":\"\",\"tier\":\"\",\"threads\":0,\"model\":\"\",\"t_ms\":0,\"metrics\":[]}",
    "{\"type\":\"window\",\"seq\":1,\"t_ms\":2,\"span_ms\":3,\"dropped\":0,\"m\":{"
    "\"h\":{\"n\":1,\"sum\":1e-3,\"min\":1,\"max\":1,\"last\":1,\"p50\":1,\"p95\":1},"
    "\"g\":{\"n\":1,\"sum\":-1.5,\"min\":1,\"max\":1,\"last\":1}}}",
    "{\"type\":\"window\",\"seq\":9,\"t_ms\":2,\"span_ms\":3,\"dropped\":0,\"m\":{}}",
    "{\"type\":\"bye\",\"reason\":\"done\"}",
};

typedef struct script {
    const uint8_t *p;
    size_t n;
} script;

static uint8_t take(script *s) {
    if (s->n == 0) return 0;
    s->n--;
    return *s->p++;
}

static void on_wake(void *user) {
    (void)user;
}
static void on_close(void *user, int code) {
    *(int *)user = code;
}

static void send(hub *h, hub_peer *peer, script *s, hub_time now) {
    char text[1024];
    uint8_t which = take(s);
    size_t n;
    if (which % 8 < sizeof texts / sizeof *texts) {
        n = strlen(texts[which % 8]);
        memcpy(text, texts[which % 8], n);
        for (int edits = which / 64; edits > 0; edits--) {
            size_t at = take(s) * n / 256;
            text[at] = (char)take(s);
        }
    } else {
        n = s->n < 64 ? s->n : 64;
        if (n) memcpy(text, s->p, n);
        s->p += n;
        s->n -= n;
    }
    const char *why = NULL;
    int code = hub_receive(h, peer, text, n, now, &why);
    if ((code == 0) != (why == NULL)) abort();
}

static void read_some(hub *h, hub_peer *peer, int count, hub_time now) {
    const char *text;
    size_t n;
    while (count-- > 0 && hub_next(h, peer, now, &text, &n)) {
        cJSON *json = cJSON_ParseWithLength(text, n);
        if (!cJSON_IsString(cJSON_GetObjectItemCaseSensitive(json, "type"))) abort();
        cJSON_Delete(json);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    script s = {data, size};
    hub *h = hub_create(&(hub_desc){.events = {.wake = on_wake, .close = on_close}});
    hub_peer *peers[N_PEERS] = {NULL};
    int codes[N_PEERS] = {0};
    hub_time now = {.ms = 1000, .wall_us = 1000};
    while (h && s.n > 0) {
        uint8_t what = take(&s), who = take(&s) % N_PEERS;
        now.ms += what % 16 == 15 ? 61000 : 30;
        if (!peers[who]) {
            codes[who] = 0;
            peers[who] = hub_join(h, &codes[who], now);
        } else if (what % 4 == 0 || codes[who]) {
            hub_leave(h, peers[who], now);
            peers[who] = NULL;
        } else if (what % 4 == 1) {
            read_some(h, peers[who], what / 4, now);
        } else {
            send(h, peers[who], &s, now);
        }
        if (what % 8 == 7) hub_tick(h, now);
    }
    hub_free(h);
    return 0;
}
