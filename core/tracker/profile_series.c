/* profile_series.c: a profile's kernels as series of the tracker. */
#include "bitnet/profile.h"

static void push_kernel(bitnet_tracker *t, bitnet_ring *ring, uint64_t now_ns,
                        const bitnet_kernel_work *k) {
    const bitnet_label label = {"kernel", k->label};
    const struct {
        bitnet_metric metric;
        double value;
    } row[] = {{BITNET_METRIC_KERNEL_TIME, (double)k->work.ns * 1e-9},
               {BITNET_METRIC_KERNEL_BYTES, (double)k->work.bytes},
               {BITNET_METRIC_KERNEL_OPS, (double)(k->work.n_mac_i8 + k->work.n_mac_f32)},
               {BITNET_METRIC_KERNEL_LEAST, k->work.least_s}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (row[i].value > 0)
            bitnet_ring_push(ring, now_ns, bitnet_tracker_series(t, row[i].metric, &label, 1),
                             row[i].value, 0, 0);
}

void bitnet_profile_record(bitnet_profile *p, bitnet_tracker *t, bitnet_ring *ring,
                           uint64_t now_ns) {
    bitnet_kernel_work k;
    for (int32_t i = 0; p && bitnet_profile_take(p, i, &k); i++)
        if (k.work.calls > 0) push_kernel(t, ring, now_ns, &k);
}
