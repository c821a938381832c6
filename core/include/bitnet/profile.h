/* profile.h: where the time of a model goes: each operation timed, with the bytes and multiply-adds it took, by kernel
 * and layer; and what every thread did meanwhile, as spans of one clock.
 *
 *     bitnet_profile_open(&p, &(bitnet_profile_desc){.model = model, .spans_cap = BITNET_PROFILE_SPANS}, &err);
 *     ... steps ...
 *     for (i = 0; bitnet_profile_kernel(p, i, BITNET_PHASE_ALL, &k); i++) ...
 *     bitnet_profile_close(p);
 *
 * A profile is a backend around the model's own: while there is none, nothing of it runs. Tokens are the same.
 * Bytes are those of weights, as they are stored and as far as they are read, and of keys and values: what must come
 * from memory. Activations stay in caches and are counted apart. docs/profiling.md has the definitions.
 */
#ifndef BITNET_PROFILE_H
#define BITNET_PROFILE_H

#include "bitnet/model.h"
#include "bitnet/tracker.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bitnet_profile bitnet_profile;

/* What this machine can do, on as many threads as the model has (a probe measures it); 0 = not known. */
typedef struct bitnet_bounds {
    double read_bytes_per_s; /* streamed from where the weights lie */
    double i8_mac_per_s;     /* multiply-adds of int8 into int32 */
    double f32_mac_per_s;
} bitnet_bounds;

#define BITNET_PROFILE_SPANS 16384

typedef struct bitnet_profile_desc {
    bitnet_model *model;  /* loaded with its weights; while no step of its contexts runs */
    bitnet_bounds bounds; /* {0}: no roofline */
    int32_t
        spans_cap; /* that are kept of each thread until they are cleared; 0 = none are recorded */
    bitnet_allocator allocator;
} bitnet_profile_desc;

/*   E_INVAL profile.model        it was loaded without weights
 *   E_UNSUPPORTED profile.backend  it cannot be watched
 *   E_NOMEM profile.memory */
BITNET_API bitnet_status bitnet_profile_open(bitnet_profile **out, const bitnet_profile_desc *desc,
                                             bitnet_error *err);
/* The model, which must still be there, runs on as before; while no step runs. NULL is fine. */
BITNET_API void bitnet_profile_close(bitnet_profile *p);

/* ---- sums: any thread may ask, at any time -------------------------------------------------------- */

typedef enum bitnet_phase {
    BITNET_PHASE_PREFILL,
    BITNET_PHASE_DECODE,
    BITNET_PHASE_ALL
} bitnet_phase;
/* What the next steps belong to, prefill to begin with. From the thread that steps. */
BITNET_API void bitnet_profile_set_phase(bitnet_profile *p, bitnet_phase phase);

typedef struct bitnet_work {
    uint64_t calls, ns;
    uint64_t bytes;            /* of weights and of the KV cache, read or written */
    uint64_t activation_bytes; /* of input and output */
    uint64_t n_mac_i8, n_mac_f32;
    double
        least_s; /* what the bounds allow: the sum of each call's; 0 = not known, or nothing bounds it */
} bitnet_work;

typedef struct bitnet_kernel_work {
    const char *label; /* "tern_matmul.ffn_down": */
    const char *name;  /* tern_matmul, matmul, attention, rmsnorm, embed, head */
    const char
        *role; /* the weights' name in the file: ffn_down; "attn_qkv" and "ffn_gate_up" for those
                          computed together; "" of attention */
    bitnet_work work;
} bitnet_kernel_work;

/* Kernel i, 0 .. ; NULL and false past the last. Labels live as long as the profile. */
BITNET_API const char *bitnet_profile_label(const bitnet_profile *p, int32_t i);
BITNET_API bool bitnet_profile_kernel(bitnet_profile *p, int32_t i, bitnet_phase phase,
                                      bitnet_kernel_work *out);
/* All kernels of layer i, 0 .. n_layer - 1; layer -1 is what belongs to none. False past the last. */
BITNET_API bool bitnet_profile_layer(bitnet_profile *p, int32_t i, bitnet_phase phase,
                                     bitnet_work *out);
/* Kernel i since its last take: for counters. One thread takes. */
BITNET_API bool bitnet_profile_take(bitnet_profile *p, int32_t i, bitnet_kernel_work *out);
/* What each kernel did since its last take, as the series kernel_time, kernel_bytes, kernel_ops and
 * kernel_least_time by kernel. From the thread that pumps; p may be NULL. */
BITNET_API void bitnet_profile_record(bitnet_profile *p, bitnet_tracker *t, bitnet_ring *ring,
                                      uint64_t now_ns);
/* What the bounds allow as a share of the time it took: 0 .. 1, and noise. 0 = not known. */
BITNET_API double bitnet_work_share(const bitnet_work *w);

/* ---- spans: for the thread that steps, between steps ----------------------------------------------- */

typedef enum bitnet_span_kind {
    BITNET_SPAN_KERNEL,  /* an operation */
    BITNET_SPAN_FORWARD, /* one pass over the model */
    BITNET_SPAN_SLICE,   /* a thread's part of an operation; on its own track, but for thread 0 */
    BITNET_SPAN_WAIT,    /* a thread without one */
    BITNET_SPAN_REQUEST, /* these are told by whoever steps */
    BITNET_SPAN_SUBMIT,
    BITNET_SPAN_PREFILL, /* a step */
    BITNET_SPAN_DECODE,
    BITNET_SPAN_SAMPLE, /* behind the forward pass: drawing the token, and its text */
    BITNET_SPAN_KINDS
} bitnet_span_kind;
BITNET_API const char *bitnet_span_name(bitnet_span_kind kind);

typedef struct bitnet_profile_span {
    uint64_t begin_ns, end_ns; /* of the thread's own clock, see bitnet_profile_clock */
    uint64_t bytes, n_mac;     /* of KERNEL, and of FORWARD all its kernels' */
    uint32_t request;          /* 0 = none */
    int32_t n_tok;             /* in this pass */
    int16_t layer;             /* -1 = none */
    uint8_t kind, kernel;      /* kernel: of KERNEL and SLICE */
    float share;               /* of the roofline; 0 = not known */
} bitnet_profile_span;         /* 48 bytes, checked at compile time */

/* Brackets a step of the engine: tells PREFILL or DECODE, by the phase, and SAMPLE. */
BITNET_API void bitnet_profile_step_begin(bitnet_profile *p);
BITNET_API void bitnet_profile_step_end(bitnet_profile *p, uint32_t request);
BITNET_API void bitnet_profile_tell(bitnet_profile *p, bitnet_span_kind kind, uint64_t begin_ns,
                                    uint64_t end_ns, uint32_t request);

BITNET_API int32_t bitnet_profile_n_threads(const bitnet_profile *p); /* 0 is the one that steps */
/* Those of one thread, by when they ended; NULL when there are none. */
BITNET_API const bitnet_profile_span *bitnet_profile_spans(const bitnet_profile *p, int32_t thread,
                                                           int32_t *n);
BITNET_API void bitnet_profile_clear_spans(bitnet_profile *p); /* of all threads */
/* Since open, of all threads: there was no room for them. */
BITNET_API uint64_t bitnet_profile_n_dropped(const bitnet_profile *p);

/* How far a thread's clock is behind that of thread 0, in ns: what to add to its spans; and by how much that may be
 * wrong. Threads of one process share a clock and have 0; of a browser, each has its own. Found out from work
 * that is handed over and back: every step narrows it. UINT64_MAX: nothing is known, the thread had no work. */
typedef struct bitnet_clock {
    int64_t offset_ns;
    uint64_t error_ns;
} bitnet_clock;
BITNET_API bitnet_clock bitnet_profile_clock(const bitnet_profile *p, int32_t thread);

#ifdef __cplusplus
}
#endif
#endif
