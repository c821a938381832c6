/* os_wasm.c: base/os.h for WebAssembly under Emscripten; without threads all of it, with them what
 * os_pthread.c leaves.
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
void bitnet_os_advise_huge(void *p, size_t n) {
    (void)p, (void)n;
}

#ifdef __EMSCRIPTEN_PTHREADS__

#include <emscripten/threading.h>

int32_t bitnet_os_n_cpu(void) {
    return emscripten_num_logical_cores();
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
