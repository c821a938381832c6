/* trace_file.h: a Chrome trace ("Trace Event Format", JSON Object), written as it comes: for Perfetto and
 * chrome://tracing. targets/wasm/js/trace.ts writes the same in a browser.
 */
#ifndef BITNET_TRACE_FILE_H
#define BITNET_TRACE_FILE_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "bitnet/profile.h"

typedef struct trace_file {
    FILE *f;
    char path[1024];
    uint64_t base_ns; /* the trace's 0 */
    uint64_t max_events, n_events, n_cut;
} trace_file;

/*   E_IO trace.open */
bitnet_status trace_open(trace_file *t, const char *path, uint64_t max_events, uint64_t base_ns,
                         bitnet_error *err);
/* Names of the process and its threads. */
void trace_names(trace_file *t, bitnet_profile *p, const char *process);
/* All spans that the profile holds, and clears them. */
void trace_take(trace_file *t, bitnet_profile *p);
void trace_counter(trace_file *t, const char *name, uint64_t t_ns, double value);
/* Takes `about`, which becomes otherData, over; closes the file in any case.
 *   E_IO trace.write: what was written did not get through */
bitnet_status trace_close(trace_file *t, cJSON *about, bitnet_error *err);

#endif
