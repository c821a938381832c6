/* wants.h: how much of the head a request's next step asks for: what its sampler needs, or, for a while
 * after that did not save anything, every logit. What it says changes how long an answer takes and
 * nothing else.
 */
#ifndef BITNET_WANTS_H
#define BITNET_WANTS_H

#include <math.h>
#include <stdbool.h>

#include "bitnet/logits.h"

/* A text whose next tokens are all wide open stays so for a while: after each miss twice as many steps go
 * without another attempt. */
#define WANTS_MAX_WAIT 32

typedef struct bitnet_wants {
    bitnet_want want; /* of the sampler */
    int32_t wait;     /* steps to go without, after the last miss */
    int32_t n_left;   /* of them */
} bitnet_wants;

static inline bitnet_want bitnet_wants_next(const bitnet_wants *w) {
    return w->n_left > 0 ? (bitnet_want){0} : w->want;
}

/* What came of it: tail as the step gave it; is_open: it did not decide the token. */
static inline void bitnet_wants_result(bitnet_wants *w, const bitnet_tail *tail, bool is_open) {
    const bool is_hit = !is_open && tail->below > -INFINITY;
    if (w->n_left > 0)
        w->n_left--;
    else if (is_hit)
        w->wait = 0;
    else
        w->n_left = w->wait = w->wait == 0 ? 1 : w->wait < WANTS_MAX_WAIT ? 2 * w->wait : w->wait;
}

#endif
