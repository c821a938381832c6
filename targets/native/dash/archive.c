/* archive.c: see archive.h. */
#include "dash/archive.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"

enum { CLOSE_MS = 10 * 1000, READ_MS = 1000, DELIVERED_AT_ONCE = 64 };

struct archive {
    writer *writer;
    store *reader;
    char location[512];
};

static bool last_seq(void *ctx, const char *instance, uint64_t *seq) {
    archive *h = ctx;
    int64_t found = 0;
    bitnet_error err;
    if (store_last_seq(h->reader, instance, &found, &err) < 0) return false;
    *seq = (uint64_t)found;
    return true;
}

static bool has_room(void *ctx) {
    return writer_has_room(((archive *)ctx)->writer);
}

static bool put(void *ctx, const char *instance, message *m, uint64_t wall_ms) {
    return writer_put(((archive *)ctx)->writer, instance, m, (int64_t)wall_ms);
}

bitnet_status archive_open(archive **out, const archive_desc *desc, bitnet_error *err) {
    store_desc to_write = {.location = desc->location, .retention = desc->retention};
    store_desc to_read = {.location = desc->location, .is_read_only = true, .deadline_ms = READ_MS};
    store *written = NULL;
    *out = NULL;
    archive *h = calloc(1, sizeof *h);
    if (!h) return bitnet_fail(err, BITNET_E_NOMEM, "history.memory", "no memory for the history");
    snprintf(h->location, sizeof h->location, "%s", desc->location);
    bitnet_status st = store_open(&written, &to_write, err);
    if (st >= 0) st = store_open(&h->reader, &to_read, err);
    if (st >= 0)
        st = writer_open(&h->writer,
                         &(writer_desc){.store = written,
                                        .committed = desc->committed,
                                        .log = desc->log,
                                        .user = desc->user},
                         err);
    if (st < 0) {
        store_close(written);
        store_close(h->reader);
        free(h);
        return st;
    }
    *out = h;
    return BITNET_OK;
}

void archive_close(archive *h) {
    if (!h) return;
    store_close(h->reader);
    writer_stop(h->writer, CLOSE_MS);
    free(h);
}

hub_store archive_store(archive *h) {
    hub_store s = {.last_seq = last_seq, .has_room = has_room, .put = put, .ctx = h};
    snprintf(s.id, sizeof s.id, "%s", store_id(h->reader));
    return s;
}

void archive_deliver(archive *h, hub *to) {
    writer_commit commits[DELIVERED_AT_ONCE];
    int n;
    do {
        n = writer_take_commits(h->writer, commits, DELIVERED_AT_ONCE);
        for (int i = 0; i < n; i++)
            hub_committed(to, commits[i].instance, (uint64_t)commits[i].seq);
    } while (n == DELIVERED_AT_ONCE);
}

writer_status archive_status(archive *h) {
    return writer_get_status(h->writer);
}

const char *archive_location(const archive *h) {
    return h->location;
}
