/* fuzz_store.c: libFuzzer over what the history takes in: the BLOB of a histogram, and messages.
 *
 * The first byte chooses. A BLOB that is taken must be written again as the same bytes, add up, and have its
 * percentiles in order. Messages are those of docs/protocol.md with edits from the input, put one after the
 * other, and each is kept, known or refused. Nothing is committed. */
#include "fuzz.h"

#include <math.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "dash/store.h"

static const char *const texts[] = {
    "{\"type\":\"hello\",\"name\":\"n\",\"instance\":\"1\",\"epoch\":1,\"backend\":\"cpu\","
    "\"tier\":\"c\","
    "\"threads\":1,\"model\":\"m\",\"t_ms\":5,\"expected\":{\"h\":1},\"metrics\":[{\"name\":\"h\","
    "\"unit\":\"s\","
    "\"kind\":\"hist\",\"help\":\"\"},{\"name\":\"g\",\"unit\":\"By\",\"kind\":\"gauge\",\"help\":"
    "\"\"}]}",
    "{\"type\":\"window\",\"seq\":1,\"t_ms\":70000,\"span_ms\":100,\"dropped\":0,\"m\":{\"h\":{"
    "\"n\":3,\"sum\":1,"
    "\"min\":0,\"max\":1,\"last\":1,\"b\":[3,1,900,2]}},\"s\":[{\"name\":\"g\",\"labels\":{\"k\":"
    "\"v\",\"a\":"
    "\"\\\"\"},\"n\":1,\"sum\":1,\"min\":1,\"max\":1,\"last\":1}]}",
    "{\"type\":\"window\",\"seq\":2,\"t_ms\":5,\"span_ms\":1,\"dropped\":0,\"m\":{}}",
    "{\"type\":\"op\",\"seq\":3,\"t_ms\":6,\"id\":1,\"parent\":0,\"op\":\"x\",\"strategy\":\"y\","
    "\"duration_s\":1,"
    "\"ok\":false,\"error\":\"e\",\"units\":2,\"meta\":{\"a\":1,\"b\":\"c\"}}",
    "{\"type\":\"gap\",\"seq\":4,\"to\":9,\"n\":5,\"reason\":\"r\"}",
    "{\"type\":\"bye\",\"reason\":\"done\"}",
    "{\"type\":\"alert\",\"x\":1}",
};

static void check_blob(const uint8_t *data, size_t size) {
    static buckets b, twice;
    static uint8_t out[BUCKETS_BLOB_MAX];
    if (!buckets_decode(&b, data, size)) {
        ORACLE(b.n == 0);
        return;
    }
    ORACLE(buckets_encode(&b, out) == size && (size == 0 || memcmp(out, data, size) == 0));
    for (int i = 0; i < b.n; i++)
        ORACLE(b.b[i].count > 0 && b.b[i].index < BUCKETS_N &&
               (i == 0 || b.b[i].index > b.b[i - 1].index));
    twice = b;
    buckets_merge(&twice, &b);
    ORACLE(twice.n == b.n);
    for (int i = 0; i < b.n; i++)
        ORACLE(twice.b[i].count >= b.b[i].count && twice.b[i].index == b.b[i].index);
    if (b.n)
        ORACLE(buckets_quantile(&b, 0.1, -INFINITY, INFINITY) <=
               buckets_quantile(&b, 0.9, -INFINITY, INFINITY));
}

/* In a file that lives as long as we do and leaves nothing behind. */
static store *shared_store(void) {
    static const char *const files[] = {"", "-wal", "-shm", ".lock"};
    static store *s;
    char path[64], file[80];
    bitnet_error err = {0};
    if (s) return s;
    snprintf(path, sizeof path, "/tmp/bitnet-fuzz-%ld.db", (long)getpid());
    unlink(path);
    ORACLE(store_open(&s, &(store_desc){.location = path}, &err) >= 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(file, sizeof file, "%s%s", path, files[i]);
        unlink(file);
    }
    return s;
}

static void put_messages(const uint8_t *data, size_t size) {
    store *s = shared_store();
    bitnet_error err = {0};
    ORACLE(store_begin(s, &err) >= 0);
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        char text[1024];
        size_t n = strlen(texts[k]);
        memcpy(text, texts[k], n);
        for (; size >= 3 && data[0] % 8 == k; data += 3, size -= 3)
            text[(size_t)data[1] * n / 256] = (char)data[2];
        cJSON *json = cJSON_ParseWithLength(text, n);
        bitnet_status st = json ? store_put(s, "1", json, 1000, &err) : BITNET_OK;
        cJSON_Delete(json);
        ORACLE(st == BITNET_OK || st == BITNET_DONE || st == BITNET_E_INVAL);
        if (st < 0) break; /* the rest of a transaction that failed says nothing */
    }
    store_rollback(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    if (data[0] & 1)
        check_blob(data + 1, size - 1);
    else
        put_messages(data + 1, size - 1);
    return 0;
}
