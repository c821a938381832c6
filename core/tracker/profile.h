/* profile.h (internal): what profile.c, which owns a profile and its sums, shares with profile_backend.c, the backend
 * around the model's own, and profile_spans.c.
 */
#ifndef BITNET_PROFILE_INTERNAL_H
#define BITNET_PROFILE_INTERNAL_H

#include <stdatomic.h>

#include "base/base.h"
#include "base/os.h"
#include "bitnet/backend.h"
#include "bitnet/profile.h"

#define PROFILE_KERNELS 32

typedef struct profile_kernel {
    char label[48];
    char name[16], role[28];
} profile_kernel;

/* A weight that an operation is called with. */
typedef struct profile_weight {
    const bitnet_weight *weight; /* NULL: an empty place of the table */
    int32_t k, n;
    int16_t layer;
    uint8_t kernel; /* of a product or a norm */
} profile_weight;

/* Operations that are no product and no norm; the kernels behind these are found among the weights. */
enum { PROFILE_EMBED, PROFILE_ATTENTION, PROFILE_HEAD, PROFILE_FIXED };

/* Of one thread; written by it within a run of the pool, read by thread 0 between runs. */
typedef struct profile_track {
    bitnet_profile_span *span; /* [cap] */
    int32_t n;
    uint64_t n_dropped;
    uint64_t end_ns;              /* of its last slice, 0 = none in this operation */
    int64_t clock_min, clock_max; /* what its clock lacks is between these */
    char line[64];                /* tracks of two threads share no cache line */
} profile_track;

struct bitnet_profile {
    bitnet_allocator allocator;
    bitnet_model *model;
    const bitnet_backend_ops *inner;
    bitnet_backend *backend;
    bitnet_backend_ops ops;
    bitnet_watch watch;
    bitnet_bounds bounds;

    profile_kernel kernel[PROFILE_KERNELS];
    int32_t n_kernel, n_layer;
    profile_weight *weight; /* [weight_cap], a hash table */
    uint32_t weight_cap;    /* a power of two */

    bitnet_os_mutex lock; /* guards cell and taken */
    bitnet_work *cell;    /* [2 phases][1 + n_layer][n_kernel]; first what belongs to no layer */
    bitnet_work taken[PROFILE_KERNELS];
    bitnet_phase phase;

    /* the step: of whoever is between begin and end */
    const bitnet_batch *batch;
    bitnet_work step;
    uint64_t forward_ns; /* its begin */
    bool has_head;
    /* the operation */
    uint64_t op_ns;
    uint8_t op_kernel;
    int16_t op_layer;
    _Atomic uint64_t bytes, n_mac_i8, n_mac_f32;

    uint64_t open_ns;
    uint64_t step_ns,
        after_ns; /* of the engine's step; when its last forward pass with a head ended, or 0 */
    int32_t n_threads, spans_cap;
    profile_track *track; /* [n_threads] */
};

/* profile.c */
const profile_weight *bitnet_profile_find(const bitnet_profile *p, const bitnet_weight *w);
void bitnet_profile_add(bitnet_profile *p, int32_t kernel, int32_t layer, const bitnet_work *work);
double bitnet_profile_least(const bitnet_bounds *b, const bitnet_work *w);

/* profile_backend.c: fills ops */
void bitnet_profile_wrap(bitnet_profile *p);

/* profile_spans.c */
bitnet_status bitnet_profile_open_spans(bitnet_profile *p, int32_t spans_cap);
void bitnet_profile_close_spans(bitnet_profile *p);
void bitnet_profile_push(bitnet_profile *p, int32_t thread, const bitnet_profile_span *span);
void bitnet_profile_slice(void *ctx, int32_t thread, bool is_work, uint64_t begin_ns,
                          uint64_t end_ns);
/* The operation that began at op_ns ended: narrows the clocks. */
void bitnet_profile_end_slices(bitnet_profile *p, uint64_t end_ns);

#endif
