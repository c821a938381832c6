/* reader.c: see reader.h. */
#define _GNU_SOURCE /* memfd_create, O_TMPFILE */
#include "dash/reader.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "dash/answer.h"
#include "dash/ask.h"
#include "dash/store.h"

enum { DEADLINE_MS = 10 * 1000 };

typedef enum job_state { JOB_QUEUED, JOB_AT_WORK, JOB_DONE } job_state;

/* Whoever finds it both done and dropped frees it. */
typedef struct job {
    http_later later; /* first: what the door holds */
    reader *reader;
    struct job *next;       /* of the queue */
    job_state state;        /* guarded by the reader's lock */
    atomic_bool is_dropped; /* written under the lock */
    ask ask;
    http_answer answer; /* of a done one */
} job;

struct reader {
    reader_desc desc;
    char *location;
    store *store; /* the thread's; NULL: to be opened anew */
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    job *first, **last;
    int n_queued;
    atomic_bool is_stopping;
};

/* --- the thread --- */

static bool is_unwanted(void *user) {
    const job *j = user;
    return atomic_load(&j->is_dropped) || atomic_load(&j->reader->is_stopping);
}

/* Without a name, so that it is gone with its descriptor: on the disk for what may be large, where a folder
 * for such files takes it. */
static FILE *open_nameless(bool is_large, int *fd) {
    const char *folder = getenv("TMPDIR");
    *fd = is_large ? open(folder && *folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)
                   : -1;
    if (*fd < 0) *fd = memfd_create("bitnet-history", MFD_CLOEXEC);
    int copy = *fd < 0 ? -1 : fcntl(*fd, F_DUPFD_CLOEXEC, 0);
    FILE *out = copy < 0 ? NULL : fdopen(copy, "wb");
    if (out) return out;
    if (copy >= 0) close(copy);
    if (*fd >= 0) close(*fd);
    *fd = -1;
    return NULL;
}

static void answer_error(http_answer *a, const bitnet_error *err) {
    static const struct {
        const char *id;
        int status;
        const char *more; /* after the store's own sentence */
    } table[] = {
        {"store.run.none", 404, ""},
        {"answer.metric", 404, ""},
        {"store.run.ambiguous", 400, ""},
        {"http.params", 400, ""},
        {"ask.parameter", 400, ""},
        {"export.size", 400, "; name one run, or use bitnet history export"},
        {"store.deadline", 503, "; ask for less: one run, a shorter time, a coarser resolution"},
        {"store.busy", 503, ""},
        {"store.io", 503, ""},
        {"store.gone", 503, ""},
        {"store.server", 503, ""},
        {"answer.write", 503, ""},
    };
    char sentence[sizeof a->text - 1];
    int status = 500;
    const char *more = "";
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(err->id, table[i].id) == 0) status = table[i].status, more = table[i].more;
    snprintf(sentence, sizeof sentence, "%.*s%s.", (int)(sizeof sentence - 2 - strlen(more)),
             err->text, more);
    http_answer_text(a, status, sentence);
    a->no_store = true;
}

static void give_file(http_answer *a, const ask *asked, const answer_name *name, int fd,
                      uint64_t size) {
    bool is_csv = asked->kind == ASK_EXPORT && asked->format == EXPORT_CSV;
    *a = (http_answer){.status = 200,
                       .type = is_csv ? "text/csv; charset=utf-8" : "application/json",
                       .total = size,
                       .no_store = true,
                       .body = {.fd = fd, .is_private = true, .end = size}};
    if (asked->kind == ASK_EXPORT)
        snprintf(a->filename, sizeof a->filename, "bitnet-%s.%s",
                 *name->run ? name->run : "history", is_csv ? "csv" : "json");
}

static bitnet_status open_store(reader *r, bitnet_error *err) {
    const store_desc desc = {
        .location = r->location, .is_read_only = true, .deadline_ms = r->desc.deadline_ms};
    return store_open(&r->store, &desc, err);
}

/* A connection that failed is opened anew for the next request. */
static bitnet_status read_store(reader *r, FILE *out, job *j, answer_name *name,
                                bitnet_error *err) {
    bitnet_status st = r->store ? BITNET_OK : open_store(r, err);
    if (st >= 0) st = answer_write(out, r->store, &j->ask, is_unwanted, j, name, err);
    if (st == BITNET_E_IO || st == BITNET_E_BACKEND) {
        store_close(r->store);
        r->store = NULL;
    }
    return st;
}

static void work_on(reader *r, job *j) {
    bitnet_error err = {.id = ""};
    answer_name name;
    struct stat info;
    int fd;
    FILE *out = open_nameless(j->ask.kind == ASK_EXPORT, &fd);
    bitnet_status st =
        out ? read_store(r, out, j, &name, &err)
            : bitnet_fail(&err, BITNET_E_IO, "answer.write", "there is no room for an answer");
    if (out && fclose(out) != 0 && st >= 0)
        st = bitnet_fail(&err, BITNET_E_IO, "answer.write", "there is no room for an answer");
    if (st >= 0 && fstat(fd, &info) != 0)
        st = bitnet_fail(&err, BITNET_E_IO, "answer.write", "there is no room for an answer");
    if (st >= 0) {
        give_file(&j->answer, &j->ask, &name, fd, (uint64_t)info.st_size);
        return;
    }
    if (fd >= 0) close(fd);
    answer_error(&j->answer, &err);
}

static void job_free(job *j) {
    if (j->answer.body.fd >= 0) close(j->answer.body.fd);
    free(j);
}

static job *next_job(reader *r) {
    while (!r->first && !atomic_load(&r->is_stopping))
        pthread_cond_wait(&r->wake, &r->lock);
    if (atomic_load(&r->is_stopping)) return NULL;
    job *j = r->first;
    r->first = j->next;
    if (!r->first) r->last = &r->first;
    r->n_queued--;
    j->state = JOB_AT_WORK;
    return j;
}

static void *run(void *user) {
    reader *r = user;
    pthread_mutex_lock(&r->lock);
    for (job *j; (j = next_job(r));) {
        pthread_mutex_unlock(&r->lock);
        work_on(r, j);
        pthread_mutex_lock(&r->lock);
        j->state = JOB_DONE;
        if (atomic_load(&j->is_dropped))
            job_free(j);
        else
            r->desc.done(r->desc.user);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* --- the loop's side --- */

static bool take(http_later *later, http_answer *out) {
    job *j = (job *)later;
    pthread_mutex_lock(&j->reader->lock);
    bool is_done = j->state == JOB_DONE;
    pthread_mutex_unlock(&j->reader->lock);
    if (!is_done) return false;
    http_answer_move(out, &j->answer);
    job_free(j);
    return true;
}

static void drop(http_later *later) {
    job *j = (job *)later;
    reader *r = j->reader;
    pthread_mutex_lock(&r->lock);
    bool is_ours = j->state != JOB_AT_WORK;
    atomic_store(&j->is_dropped, true);
    for (job **at = &r->first; j->state == JOB_QUEUED && *at; at = &(*at)->next) {
        if (*at != j) continue;
        *at = j->next;
        if (!*at) r->last = at;
        r->n_queued--;
        break;
    }
    pthread_mutex_unlock(&r->lock);
    if (is_ours) job_free(j);
}

/* False when it is full. */
static bool enqueue(reader *r, job *j) {
    pthread_mutex_lock(&r->lock);
    bool has_room = r->n_queued < READER_QUEUE;
    if (has_room) {
        *r->last = j;
        r->last = &j->next;
        r->n_queued++;
        pthread_cond_signal(&r->wake);
    }
    pthread_mutex_unlock(&r->lock);
    return has_room;
}

static void answer_with(reader *r, http_answer *a, const http_head *head, bool is_export) {
    bitnet_error err;
    job *j = calloc(1, sizeof *j);
    if (!j) {
        http_answer_text(a, 503, "The server is out of memory.");
        return;
    }
    j->later = (http_later){take, drop};
    j->reader = r;
    j->answer.body.fd = -1;
    if (ask_read(&j->ask, head->query, is_export, &err) < 0) {
        answer_error(a, &err);
    } else if (!enqueue(r, j)) {
        http_answer_text(a, 503, "The history is being read for as many as it can be; try again.");
    } else {
        http_answer_later(a, &j->later);
        return;
    }
    job_free(j);
}

void reader_answer_history(void *ctx, http_answer *a, const http_head *head) {
    answer_with(ctx, a, head, false);
}

void reader_answer_export(void *ctx, http_answer *a, const http_head *head) {
    answer_with(ctx, a, head, true);
}

/* --- life --- */

bitnet_status reader_open(reader **out, const reader_desc *desc, bitnet_error *err) {
    *out = NULL;
    reader *r = calloc(1, sizeof *r);
    if (!r) return bitnet_fail(err, BITNET_E_NOMEM, "reader.memory", "no memory for the history");
    r->desc = *desc;
    r->last = &r->first;
    if (!r->desc.deadline_ms) r->desc.deadline_ms = DEADLINE_MS;
    r->location = strdup(desc->location);
    bitnet_status st = r->location ? open_store(r, err)
                                   : bitnet_fail(err, BITNET_E_NOMEM, "reader.memory",
                                                 "no memory for the history");
    if (st < 0) {
        free(r->location);
        free(r);
        return st;
    }
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
    if (pthread_create(&r->thread, NULL, run, r) == 0) {
        *out = r;
        return BITNET_OK;
    }
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->wake);
    store_close(r->store);
    free(r->location);
    free(r);
    return bitnet_fail(err, BITNET_E_NOMEM, "reader.memory", "no thread to read the history");
}

void reader_close(reader *r) {
    if (!r) return;
    pthread_mutex_lock(&r->lock);
    atomic_store(&r->is_stopping, true);
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->wake);
    store_close(r->store);
    free(r->location);
    free(r);
}
