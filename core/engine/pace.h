/* pace.h: how many guessed tokens a pass should check: as many as gain time.
 *
 * A pass over 1 + d tokens costs c_d and gives E_d = 1 + a_1 + a_1 a_2 + ... + a_1 .. a_d tokens, where
 * a_i is the share of guesses that came true behind a match as long as the i-th guess has. c_d is
 * measured here from the passes made. a_i is measured on every token, also while nothing is checked:
 * the lookup guesses, and the token that comes tells whether it was right. d is what makes E_d / c_d
 * largest, 0 unless that is MARGIN better than E_0 / c_0.
 *
 * What a pace says changes how long an answer takes and nothing else.
 */
#ifndef BITNET_PACE_H
#define BITNET_PACE_H

#include <stdint.h>

#include "bitnet/engine.h"

#define PACE_LENGTHS 6 /* classes of matches: 2, 3, 4-7, 8-15, 16-31, 32 tokens */

typedef struct bitnet_pace {
    double cost_ns[BITNET_MAX_DRAFT + 1];   /* of a pass that checks so many guesses */
    int32_t n_pass[BITNET_MAX_DRAFT + 1];   /* that it was measured from; 0 = never, */
    uint32_t pass_of[BITNET_MAX_DRAFT + 1]; /* and the last of them */
    uint32_t n_passes;
    double hit[PACE_LENGTHS]; /* share of guesses that came true */
    int32_t n_guess[PACE_LENGTHS];
} bitnet_pace;

/* {0} is one that has measured nothing. Another text: what was learned of guesses is forgotten, what
 * passes cost is not. */
void bitnet_pace_start(bitnet_pace *p);
/* A guess behind a match of `match` tokens came true, or did not. */
void bitnet_pace_guess(bitnet_pace *p, int32_t match, bool is_true);
/* A pass that checked n_draft guesses took so long. */
void bitnet_pace_pass(bitnet_pace *p, int32_t n_draft, uint64_t took_ns);
/* How many guesses to check behind a match of `match` tokens, 0 .. n_max. */
int32_t bitnet_pace_choose(const bitnet_pace *p, int32_t match, int32_t n_max);

#endif
