/* track.h: the tracker of a native program: rings, operations, a pump thread, and a report to a hub. */
#ifndef BITNET_TRACK_H
#define BITNET_TRACK_H

#include "bitnet/model.h"
#include "bitnet/profile.h"
#include "bitnet/tracker.h"

typedef struct track track;

/* Starts reporting to url (ws://host:port), with the token in token_path (cmd/token_file.h) where that is
 * not NULL. An absent hub is not an error: it costs nothing and is tried again. E_INVAL: the url is
 * not one; errors of token_file_read. */
bitnet_status track_open(track **out, const char *url, const char *token_path, const char *name,
                         const bitnet_model *model, bitnet_error *err);
bitnet_ring *track_ring(track *t); /* for the thread that steps the engine; t NULL = NULL */
/* What the profile, which must live until track_close, counts of each kernel is reported; NULLs are fine. */
void track_profile(track *t, bitnet_profile *profile);
bitnet_ops *track_ops(track *t); /* what is recorded there is reported; t NULL = NULL */
void track_close(track *t);      /* pumps what is left, says bye; NULL is fine */

#endif
