/* os.h: the platform, in a dozen functions. Declared here, implemented by a target
 * (targets/native/os_posix.c, targets/wasm/os_wasm.c). Core code calls nothing else of the system.
 */
#ifndef BITNET_OS_H
#define BITNET_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bitnet/status.h"

uint64_t bitnet_os_now_ns(void);  /* monotonic, never goes back */
uint64_t bitnet_os_wall_ms(void); /* since 1970, for people; may jump */
int32_t bitnet_os_n_cpu(void);    /* threads that pay: the fast cores this process may use */
uint64_t bitnet_os_rss(void);     /* resident bytes, or the wasm heap; 0 = unknown */

/* Memory at whole huge pages: the system may map it so. Advice: nothing fails. */
#define BITNET_HUGE_PAGE ((size_t)2 << 20)
void bitnet_os_advise_huge(void *p, size_t n);
bool bitnet_os_allow_amx(void);        /* asks for tile registers; false: none are to be had */
uint32_t bitnet_os_arm_features(void); /* BITNET_CPU_DOTPROD, _I8MM; 0 where not ARM */

/* A thread; start returns E_UNSUPPORTED where there are none. join waits. */
typedef struct bitnet_os_thread {
    uintptr_t handle;
} bitnet_os_thread;
bitnet_status bitnet_os_thread_start(bitnet_os_thread *t, void (*fn)(void *arg), void *arg);
void bitnet_os_thread_join(bitnet_os_thread *t);
void bitnet_os_pause(void); /* one spin-wait step */
void bitnet_os_yield(void); /* let another thread have the core */

/* A lock and a condition, in the caller's memory; no-ops where there are no threads. */
typedef struct bitnet_os_mutex {
    _Alignas(16) unsigned char opaque[64];
} bitnet_os_mutex;
typedef struct bitnet_os_cond {
    _Alignas(16) unsigned char opaque[64];
} bitnet_os_cond;
bitnet_status bitnet_os_mutex_init(bitnet_os_mutex *m);
void bitnet_os_mutex_destroy(bitnet_os_mutex *m);
void bitnet_os_mutex_lock(bitnet_os_mutex *m);
void bitnet_os_mutex_unlock(bitnet_os_mutex *m);
bitnet_status bitnet_os_cond_init(bitnet_os_cond *c);
void bitnet_os_cond_destroy(bitnet_os_cond *c);
void bitnet_os_cond_wait(bitnet_os_cond *c, bitnet_os_mutex *m);
void bitnet_os_cond_broadcast(bitnet_os_cond *c);

#endif
