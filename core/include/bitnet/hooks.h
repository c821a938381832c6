/* hooks.h: what a caller may bring of its own: memory, and a place for log lines. Both are members of
 * the desc structs, and {0} is valid for both.
 */
#ifndef BITNET_HOOKS_H
#define BITNET_HOOKS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* {0} means malloc and free. `free` gets the size that `alloc` was asked for. Memory from `alloc`
 * must be aligned to 16 bytes; it may hold anything. */
typedef struct bitnet_allocator {
    void *(*alloc)(void *ctx, size_t size);
    void (*free)(void *ctx, void *ptr, size_t size);
    void *ctx;
} bitnet_allocator;

typedef enum bitnet_log_level {
    BITNET_LOG_DEBUG,
    BITNET_LOG_INFO,
    BITNET_LOG_WARN
} bitnet_log_level;

/* {0} is silent. `text` is one line without a newline, valid during the call. */
typedef struct bitnet_logger {
    void (*log)(void *ctx, bitnet_log_level level, const char *text);
    void *ctx;
} bitnet_logger;

#ifdef __cplusplus
}
#endif
#endif
