/* os_pthread.c: the thread half of base/os.h over POSIX threads, for the native target and for the
 * WebAssembly modules that have threads.
 */
#include "base/os.h"

#include <pthread.h>
#include <stdlib.h>

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(bitnet_os_mutex), "os.h reserves too little");
_Static_assert(sizeof(pthread_cond_t) <= sizeof(bitnet_os_cond), "os.h reserves too little");
_Static_assert(sizeof(pthread_t) <= sizeof(uintptr_t), "a thread handle is one word");

typedef struct start_arg {
    void (*fn)(void *);
    void *arg;
} start_arg;

static void *thread_main(void *p) {
    start_arg s = *(start_arg *)p;
    free(p);
    s.fn(s.arg);
    return NULL;
}

bitnet_status bitnet_os_thread_start(bitnet_os_thread *t, void (*fn)(void *arg), void *arg) {
    start_arg *s = malloc(sizeof *s);
    if (!s) return BITNET_E_NOMEM;
    *s = (start_arg){fn, arg};
    pthread_t id;
    if (pthread_create(&id, NULL, thread_main, s) != 0) {
        free(s);
        return BITNET_E_NOMEM;
    }
    t->handle = (uintptr_t)id;
    return BITNET_OK;
}

void bitnet_os_thread_join(bitnet_os_thread *t) {
    pthread_join((pthread_t)t->handle, NULL);
}

static pthread_mutex_t *mutex_of(bitnet_os_mutex *m) {
    return (pthread_mutex_t *)(void *)m->opaque;
}
static pthread_cond_t *cond_of(bitnet_os_cond *c) {
    return (pthread_cond_t *)(void *)c->opaque;
}

bitnet_status bitnet_os_mutex_init(bitnet_os_mutex *m) {
    return pthread_mutex_init(mutex_of(m), NULL) == 0 ? BITNET_OK : BITNET_E_NOMEM;
}
void bitnet_os_mutex_destroy(bitnet_os_mutex *m) {
    pthread_mutex_destroy(mutex_of(m));
}
void bitnet_os_mutex_lock(bitnet_os_mutex *m) {
    pthread_mutex_lock(mutex_of(m));
}
void bitnet_os_mutex_unlock(bitnet_os_mutex *m) {
    pthread_mutex_unlock(mutex_of(m));
}

bitnet_status bitnet_os_cond_init(bitnet_os_cond *c) {
    return pthread_cond_init(cond_of(c), NULL) == 0 ? BITNET_OK : BITNET_E_NOMEM;
}
void bitnet_os_cond_destroy(bitnet_os_cond *c) {
    pthread_cond_destroy(cond_of(c));
}
void bitnet_os_cond_wait(bitnet_os_cond *c, bitnet_os_mutex *m) {
    pthread_cond_wait(cond_of(c), mutex_of(m));
}
void bitnet_os_cond_broadcast(bitnet_os_cond *c) {
    pthread_cond_broadcast(cond_of(c));
}
