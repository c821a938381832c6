/* os_wasm.c: base/os.h for WebAssembly under Emscripten, with and without threads.
 *
 * Everything here runs in a web worker, where blocking is allowed; never on a page's main thread.
 * The threads of a module are web workers that exist before the module starts (cmake/wasm.cmake),
 * so starting one past their number fails at once, and the pool makes do with fewer.
 */
#include "base/os.h"

#include <emscripten/emscripten.h>
#include <emscripten/heap.h>
#include <emscripten/html5.h> /* emscripten_date_now */

uint64_t bitnet_os_now_ns(void) {
    return (uint64_t)(emscripten_get_now() * 1e6);
}
uint64_t bitnet_os_wall_ms(void) {
    return (uint64_t)emscripten_date_now();
}
uint64_t bitnet_os_rss(void) {
    return emscripten_get_heap_size();
}

#ifdef __EMSCRIPTEN_PTHREADS__

#include <emscripten/threading.h>
#include <pthread.h>
#include <stdlib.h>

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(bitnet_os_mutex), "os.h reserves too little");
_Static_assert(sizeof(pthread_cond_t) <= sizeof(bitnet_os_cond), "os.h reserves too little");
_Static_assert(sizeof(pthread_t) <= sizeof(uintptr_t), "a thread handle is one word");

int32_t bitnet_os_n_cpu(void) {
    return emscripten_num_logical_cores();
}

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

/* WebAssembly has no pause instruction, and all its atomic loads are sequentially consistent. Some
 * 20 ns of this thread's own memory between two of them leave the shared cache line to its writer.
 */
void bitnet_os_pause(void) {
    for (volatile int i = 0; i < 12; i++) {
    }
}

/* sched_yield does nothing here. A wait on a word that nobody wakes, 20 us long, is a real sleep.
 */
void bitnet_os_yield(void) {
    int32_t never = 0;
    __builtin_wasm_memory_atomic_wait32(&never, 0, 20000);
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

#else

int32_t bitnet_os_n_cpu(void) {
    return 1;
}

bitnet_status bitnet_os_thread_start(bitnet_os_thread *t, void (*fn)(void *arg), void *arg) {
    (void)t, (void)fn, (void)arg;
    return BITNET_E_UNSUPPORTED;
}
void bitnet_os_thread_join(bitnet_os_thread *t) {
    (void)t;
}
void bitnet_os_pause(void) {}
void bitnet_os_yield(void) {}

bitnet_status bitnet_os_mutex_init(bitnet_os_mutex *m) {
    (void)m;
    return BITNET_OK;
}
void bitnet_os_mutex_destroy(bitnet_os_mutex *m) {
    (void)m;
}
void bitnet_os_mutex_lock(bitnet_os_mutex *m) {
    (void)m;
}
void bitnet_os_mutex_unlock(bitnet_os_mutex *m) {
    (void)m;
}

bitnet_status bitnet_os_cond_init(bitnet_os_cond *c) {
    (void)c;
    return BITNET_OK;
}
void bitnet_os_cond_destroy(bitnet_os_cond *c) {
    (void)c;
}
void bitnet_os_cond_wait(bitnet_os_cond *c, bitnet_os_mutex *m) {
    (void)c, (void)m;
}
void bitnet_os_cond_broadcast(bitnet_os_cond *c) {
    (void)c;
}

#endif
