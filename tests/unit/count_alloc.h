/* count_alloc.h: an allocator that counts bytes, fails on request and checks every free.
 *
 *     count_alloc      c = {.fail_at = 3};
 *     bitnet_allocator a = count_alloc_of(&c);
 */
#ifndef BITNET_TEST_COUNT_ALLOC_H
#define BITNET_TEST_COUNT_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "bitnet/model.h"

typedef struct count_alloc {
    long n_calls, fail_at; /* 0 = never */
    bool is_sticky;        /* the calls after fail_at fail too */
    size_t live, peak;     /* bytes */
    void (*on_alloc)(void *user, long n_calls);
    void *user;
} count_alloc;

#define COUNT_ALLOC_HEAD 64 /* keeps what follows aligned as well as malloc would */

static inline void *count_alloc_get(void *ctx, size_t size) {
    count_alloc *c = ctx;
    c->n_calls++;
    if (c->on_alloc) c->on_alloc(c->user, c->n_calls);
    bool is_past = c->is_sticky && c->fail_at > 0 && c->n_calls > c->fail_at;
    if (c->n_calls == c->fail_at || is_past) return NULL;
    char *p = malloc(COUNT_ALLOC_HEAD + size);
    if (!p) return NULL;
    memcpy(p, &size, sizeof size);
    memset(p + COUNT_ALLOC_HEAD, 0xff, size); /* nobody may count on zeros, or on numbers */
    c->live += size;
    if (c->peak < c->live) c->peak = c->live;
    return p + COUNT_ALLOC_HEAD;
}

static inline void count_alloc_put(void *ctx, void *ptr, size_t size) {
    count_alloc *c = ctx;
    char *p = (char *)ptr - COUNT_ALLOC_HEAD;
    if (memcmp(p, &size, sizeof size) != 0) abort(); /* freed with another size than allocated */
    c->live -= size;
    free(p);
}

static inline bitnet_allocator count_alloc_of(count_alloc *c) {
    return (bitnet_allocator){count_alloc_get, count_alloc_put, c};
}

#endif
