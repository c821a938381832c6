/* writer.c: see writer.h. */
#define _GNU_SOURCE /* pthread_condattr_setclock */
#include "dash/writer.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/os.h"
#include "dash/message.h"

enum {
    BATCH_MS = 100,
    BATCH_MAX = 5000,
    MESSAGES_MAX = 100 * 1000,
    BYTES_MAX = 64 * 1024 * 1024,
    RETRY_FIRST_MS = 20, /* doubles with each failure */
    RETRY_LAST_MS = 1000,
    LOG_EVERY_MS = 10 * 1000,
    MAINTAIN_EVERY_MS = 1000,
    MAINTAIN_MS = 20,               /* of each time between batches */
    MALLOC_BYTES = 16,              /* around each block, about */
    LARGEST_TREE = 4 * 1024 * 1024, /* that a message of 64 KiB can become */
};

typedef struct queued {
    struct queued *next;
    cJSON *json;
    int64_t wall_ms;
    size_t size;
    bool is_replaced, is_refused; /* by a gap; not even that could be kept */
    char instance[STORE_INSTANCE_MAX];
} queued;

typedef struct list {
    queued *first, **last;
    int32_t n;
} list;

struct writer {
    writer_desc desc;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    list queue;
    int32_t n_in_batch;
    size_t bytes; /* of queue and batch */
    bool is_stopping;
    uint64_t stop_by_ms;
    writer_status status;
    writer_commit *commits; /* not taken yet */
    int n_commits, commits_cap;
    /* the thread's own */
    list batch;
    uint64_t logged_ms, maintained_ms;
    uint32_t retry_ms;
    bool has_logged;
};

static uint64_t now_ms(void) {
    return bitnet_os_now_ns() / 1000000;
}

/* --- lists --- */

static void list_init(list *l) {
    *l = (list){.last = &l->first};
}

static void list_add(list *l, queued *i) {
    i->next = NULL;
    *l->last = i;
    l->last = &i->next;
    l->n++;
}

static queued *list_take(list *l) {
    queued *i = l->first;
    l->first = i->next;
    if (!l->first) l->last = &l->first;
    l->n--;
    return i;
}

static void queued_free(queued *i) {
    cJSON_Delete(i->json);
    free(i);
}

static void list_clear(list *l) {
    while (l->first)
        queued_free(list_take(l));
}

/* What a tree takes of memory, about: that, and not the text it came from, is what is bounded. */
static size_t tree_size(const cJSON *item) {
    size_t n = 0;
    for (; item; item = item->next) {
        n += sizeof *item + MALLOC_BYTES + tree_size(item->child);
        if (item->string) n += strlen(item->string) + MALLOC_BYTES;
        if (item->valuestring) n += strlen(item->valuestring) + MALLOC_BYTES;
    }
    return n;
}

/* --- the thread: one batch --- */

static void say_error(writer *w, const char *what, const bitnet_error *err) {
    char line[360];
    uint64_t now = now_ms();
    if (!w->desc.log || (w->has_logged && now - w->logged_ms < LOG_EVERY_MS)) return;
    w->has_logged = true;
    w->logged_ms = now;
    snprintf(line, sizeof line, "%s: %s [%s]", what, err->text, err->id);
    w->desc.log(w->desc.user, line);
}

/* The store cannot take it: a gap takes its number, or nothing when it has none. */
static void refuse(queued *i) {
    const cJSON *m = cJSON_GetObjectItemCaseSensitive(i->json, "m");
    const cJSON *s = cJSON_GetObjectItemCaseSensitive(i->json, "s");
    int n = m || s ? cJSON_GetArraySize(m) + cJSON_GetArraySize(s) : 1;
    double seq = (double)store_message_seq(i->json);
    cJSON *gap = seq >= 1 && !i->is_replaced ? cJSON_CreateObject() : NULL;
    if (gap && cJSON_AddStringToObject(gap, "type", "gap") &&
        cJSON_AddNumberToObject(gap, "seq", seq) && cJSON_AddNumberToObject(gap, "to", seq) &&
        cJSON_AddNumberToObject(gap, "n", n) && cJSON_AddStringToObject(gap, "reason", "refused")) {
        cJSON_Delete(i->json);
        i->json = gap;
        i->is_replaced = true;
    } else {
        cJSON_Delete(gap);
        i->is_refused = true;
    }
}

/* *was_refused: messages were at fault, not the store. They are all found in one go, which then comes
 * to nothing; the next does without them. */
static bitnet_status put_batch(writer *w, uint64_t *n_duplicates, bool *was_refused,
                               bitnet_error *err) {
    *n_duplicates = 0;
    *was_refused = false;
    bitnet_status st = store_begin(w->desc.store, err);
    for (queued *i = w->batch.first; i && st >= 0; i = i->next) {
        if (i->is_refused) continue;
        st = store_put(w->desc.store, i->instance, i->json, i->wall_ms, err);
        if (st == BITNET_DONE) ++*n_duplicates;
        if (st != BITNET_E_INVAL) continue;
        refuse(i);
        *was_refused = true;
        st = BITNET_OK;
    }
    if (st >= 0 && !*was_refused) st = store_commit(w->desc.store, err);
    if (st < 0 || *was_refused) store_rollback(w->desc.store);
    return st;
}

/* The lock is held. A commit that finds no memory to be told of is told with the next one. */
static void note_commit(writer *w, const queued *i) {
    int64_t seq = store_message_seq(i->json);
    if (seq < 1 || i->is_refused) return;
    for (int k = 0; k < w->n_commits; k++) {
        if (strcmp(w->commits[k].instance, i->instance) != 0) continue;
        if (w->commits[k].seq < seq) w->commits[k].seq = seq;
        return;
    }
    if (w->n_commits == w->commits_cap) {
        int cap = w->commits_cap ? 2 * w->commits_cap : 64;
        writer_commit *more = realloc(w->commits, (size_t)cap * sizeof *more);
        if (!more) return;
        w->commits = more;
        w->commits_cap = cap;
    }
    writer_commit *c = &w->commits[w->n_commits++];
    memcpy(c->instance, i->instance, sizeof c->instance);
    c->seq = seq;
}

static void batch_done(writer *w, uint64_t n_duplicates) {
    list done = w->batch;
    pthread_mutex_lock(&w->lock);
    for (queued *i = done.first; i; i = i->next) {
        note_commit(w, i);
        w->bytes -= i->size;
        if (i->is_refused || i->is_replaced)
            w->status.n_refused++;
        else
            w->status.n_committed++;
    }
    w->status.n_committed -= n_duplicates;
    w->status.n_duplicates += n_duplicates;
    w->status.state = WRITER_OK;
    w->status.sentence[0] = '\0';
    w->n_in_batch = 0;
    pthread_mutex_unlock(&w->lock);
    list_clear(&w->batch);
    w->retry_ms = 0;
    if (w->desc.committed) w->desc.committed(w->desc.user);
}

static void batch_failed(writer *w, const bitnet_error *err) {
    pthread_mutex_lock(&w->lock);
    w->status.state = strcmp(err->id, "store.full") == 0 ? WRITER_STORE_FULL : WRITER_IO_ERROR;
    snprintf(w->status.sentence, sizeof w->status.sentence, "%s", err->text);
    pthread_mutex_unlock(&w->lock);
    say_error(w, "the history is not being written", err);
    uint32_t next = w->retry_ms ? 2 * w->retry_ms : RETRY_FIRST_MS;
    w->retry_ms = next < RETRY_LAST_MS ? next : RETRY_LAST_MS;
}

static void write_batch(writer *w) {
    bitnet_error err = {0};
    uint64_t n_duplicates = 0;
    bool was_refused = false;
    bitnet_status st = w->retry_ms ? store_recover(w->desc.store, &err) : BITNET_OK;
    if (st >= 0) st = put_batch(w, &n_duplicates, &was_refused, &err);
    while (st >= 0 && was_refused) {
        say_error(w, "a message is not kept", &err);
        st = put_batch(w, &n_duplicates, &was_refused, &err);
    }
    if (st < 0)
        batch_failed(w, &err);
    else
        batch_done(w, n_duplicates);
}

static void maintain(writer *w) {
    bitnet_error err = {0};
    if (now_ms() - w->maintained_ms < MAINTAIN_EVERY_MS) return;
    bitnet_status st =
        store_maintain(w->desc.store, (int64_t)bitnet_os_wall_ms(), MAINTAIN_MS, &err);
    if (st < 0) batch_failed(w, &err);
    if (st != BITNET_OK) w->maintained_ms = now_ms(); /* else there is more to do */
}

/* --- the thread: its loop --- */

/* The lock is held. Waits until `due`, or sooner when told to stop or to write. */
static void wait_until(writer *w, uint64_t due) {
    struct timespec t = {.tv_sec = (time_t)(due / 1000), .tv_nsec = (long)(due % 1000) * 1000000};
    while (!w->is_stopping && (w->retry_ms || w->queue.n < w->desc.batch_max))
        if (pthread_cond_timedwait(&w->wake, &w->lock, &t) == ETIMEDOUT) return;
}

/* The lock is held. */
static void take_batch(writer *w) {
    while (w->queue.n && w->batch.n < w->desc.batch_max)
        list_add(&w->batch, list_take(&w->queue));
    w->n_in_batch = w->batch.n;
}

static bool is_over(writer *w) {
    return w->is_stopping && ((w->queue.n == 0 && w->batch.n == 0) || now_ms() >= w->stop_by_ms);
}

static void *writer_main(void *arg) {
    writer *w = arg;
    pthread_mutex_lock(&w->lock);
    while (!is_over(w)) {
        uint32_t pause = w->retry_ms ? w->retry_ms : (uint32_t)w->desc.batch_ms;
        wait_until(w, now_ms() + pause);
        if (w->is_stopping && w->retry_ms) { /* the last tries need no hurry either */
            pthread_mutex_unlock(&w->lock);
            nanosleep(&(struct timespec){.tv_nsec = RETRY_FIRST_MS * 1000000L}, NULL);
            pthread_mutex_lock(&w->lock);
        }
        take_batch(w);
        bool is_stopping = w->is_stopping;
        pthread_mutex_unlock(&w->lock);
        if (w->batch.n) write_batch(w);
        if (!w->retry_ms && !is_stopping) maintain(w);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* --- from outside --- */

static bitnet_status start(writer *w) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&w->thread, NULL, writer_main, w) == 0) return BITNET_OK;
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    return BITNET_E_NOMEM;
}

bitnet_status writer_open(writer **out, const writer_desc *desc, bitnet_error *err) {
    writer *w = calloc(1, sizeof *w);
    *out = NULL;
    if (w) {
        w->desc = *desc;
        if (!w->desc.batch_ms) w->desc.batch_ms = BATCH_MS;
        if (!w->desc.batch_max) w->desc.batch_max = BATCH_MAX;
        if (!w->desc.messages_max) w->desc.messages_max = MESSAGES_MAX;
        if (!w->desc.bytes_max) w->desc.bytes_max = BYTES_MAX;
        list_init(&w->queue);
        list_init(&w->batch);
    }
    if (!w || start(w) < 0) {
        free(w);
        return bitnet_fail(err, BITNET_E_NOMEM, "writer.thread",
                           "no memory or thread to write the history");
    }
    *out = w;
    return BITNET_OK;
}

void writer_stop(writer *w, uint32_t patience_ms) {
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->is_stopping = true;
    w->stop_by_ms = now_ms() + patience_ms;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    list_clear(&w->queue);
    list_clear(&w->batch);
    store_close(w->desc.store);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w->commits);
    free(w);
}

bool writer_has_room(writer *w) {
    pthread_mutex_lock(&w->lock);
    bool has_room = w->queue.n + w->n_in_batch < w->desc.messages_max &&
                    w->bytes + LARGEST_TREE <= w->desc.bytes_max && !w->is_stopping;
    pthread_mutex_unlock(&w->lock);
    return has_room;
}

bool writer_put(writer *w, const char *instance, struct message *m, int64_t wall_ms) {
    queued *i = malloc(sizeof *i);
    if (!i) return false;
    *i = (queued){.json = m->json, .wall_ms = wall_ms, .size = sizeof *i};
    snprintf(i->instance, sizeof i->instance, "%s", instance);
    i->size += tree_size(i->json);
    pthread_mutex_lock(&w->lock);
    bool has_room = w->queue.n + w->n_in_batch < w->desc.messages_max &&
                    w->bytes + i->size <= w->desc.bytes_max && !w->is_stopping;
    if (has_room) {
        m->json = NULL;
        w->bytes += i->size;
        list_add(&w->queue, i);
        if (w->queue.n == w->desc.batch_max) pthread_cond_signal(&w->wake);
    }
    pthread_mutex_unlock(&w->lock);
    if (!has_room) free(i);
    return has_room;
}

int writer_take_commits(writer *w, writer_commit *out, int cap) {
    pthread_mutex_lock(&w->lock);
    int n = w->n_commits < cap ? w->n_commits : cap;
    if (n) {
        memcpy(out, w->commits, (size_t)n * sizeof *out);
        w->n_commits -= n;
        memmove(w->commits, w->commits + n, (size_t)w->n_commits * sizeof *out);
    }
    pthread_mutex_unlock(&w->lock);
    return n;
}

writer_status writer_get_status(writer *w) {
    pthread_mutex_lock(&w->lock);
    writer_status s = w->status;
    s.n_queued = w->queue.n + w->n_in_batch;
    s.bytes_queued = w->bytes;
    pthread_mutex_unlock(&w->lock);
    return s;
}
