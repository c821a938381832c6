/* logits.h: which of a token's logits are wanted, and what is known of those left out. The head of a model
 * takes most of a token's bytes, and nearly all of its rows lose: who says what decides saves half of it.
 */
#ifndef BITNET_LOGITS_H
#define BITNET_LOGITS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All of these are wanted. {0}: every logit. */
typedef struct bitnet_want {
    int32_t n_best; /* the largest so many, ties included; 0 = all, whatever stands below */
    float within;   /* and those at most so far below the largest; >= 0 */
    float mass; /* and so many that the others hold at most this share of the softmax; 0 = any */
} bitnet_want;

/* Logits left out are given as -FLT_MAX. {-INFINITY, 0}: none is. */
typedef struct bitnet_tail {
    float below; /* each of them is below this */
    float
        mass; /* their sum of e^(logit - largest) is at most this; INFINITY where no mass was wanted */
} bitnet_tail;

#ifdef __cplusplus
}
#endif
#endif
