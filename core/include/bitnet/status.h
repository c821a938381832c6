/* status.h: what every fallible call of the library returns, and the sentence that goes with it.
 *
 *     bitnet_error err = {0};
 *     if (bitnet_model_load(&model, &desc, &err) < 0)
 *         fprintf(stderr, "%s [%s]\n", err.text, err.id);
 *
 * The sign is the meaning: below zero a failure, zero success, above zero something normal that is
 * not "here is your result". The library never prints, exits or aborts on data.
 */
#ifndef BITNET_STATUS_H
#define BITNET_STATUS_H

#include <stdint.h>

#if defined(__GNUC__)
#define BITNET_API          __attribute__((visibility("default")))
#define BITNET_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define BITNET_API
#define BITNET_PRINTF(f, a)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
#define BITNET_STATUS_LIST(X)                                        \
    X(OK,             0, "ok")                                       \
    X(DONE,           1, "generation finished")                      \
    X(AGAIN,          2, "nothing ready yet; call again")            \
    X(E_NOMEM,       -1, "out of memory")                            \
    X(E_INVAL,       -2, "invalid argument")                         \
    X(E_IO,          -3, "read or write failed")                     \
    X(E_FORMAT,      -4, "file is malformed")                        \
    X(E_UNSUPPORTED, -5, "recognised, but not supported")            \
    X(E_CTX_FULL,    -6, "context window is full")                   \
    X(E_BACKEND,     -7, "device failed")                            \
    X(E_CANCELLED,   -8, "cancelled")                                \
    X(E_NOENT,       -9, "no such file")
/* clang-format on */

typedef enum bitnet_status {
#define X(name, value, text) BITNET_##name = value,
    BITNET_STATUS_LIST(X)
#undef X
} bitnet_status;

/* Filled by the call that fails; always optional (NULL is fine). `id` is a stable, dotted name such
 * as "gguf.tensor.extent" that tests and scripts may compare; it points at static storage. `text`
 * is one sentence with the place, what was found and what is allowed; untrusted bytes in it are
 * escaped. */
typedef struct bitnet_error {
    bitnet_status status;
    const char *id;
    char text[240];
} bitnet_error;

/* "BITNET_E_FORMAT" and "file is malformed"; never NULL, whatever the value. */
BITNET_API const char *bitnet_status_name(bitnet_status status);
BITNET_API const char *bitnet_status_text(bitnet_status status);

#ifdef __cplusplus
}
#endif
#endif
