/* lookup.h: prompt lookup (Saxena 2023; Yang et al., arXiv:2304.04487): what followed the last tokens
 * when they stood in the text before, as a guess at what follows now.
 *
 * A table holds, for each run of 2, 3 or 4 tokens, where it was followed last; the longest run that the
 * text ends with wins. While a guess comes true it goes on behind its source and the match grows. A
 * token costs a few reads and writes; memory is fixed, and a slot that two runs share keeps the later
 * one: a guess is compared with the text before it is made, so what is lost is a guess, never its truth.
 */
#ifndef BITNET_LOOKUP_H
#define BITNET_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

#include "bitnet/model.h"

#define LOOKUP_SHORTEST 2
#define LOOKUP_LONGEST  4 /* of a run in the table */
#define LOOKUP_RUNS     (LOOKUP_LONGEST - LOOKUP_SHORTEST + 1)
#define LOOKUP_MATCH    32 /* a match is not measured beyond */

typedef struct bitnet_lookup {
    const bitnet_token *tok; /* [n], borrowed */
    int32_t n;
    int32_t source; /* tok[source] is the guess at tok[n]; 0 = none */
    int32_t match;  /* how many tokens before source are those before n */
    uint32_t mask;
    int32_t *follower;          /* [mask + 1] where a run was followed last; 0 = nowhere */
    uint32_t slot[LOOKUP_RUNS]; /* of the runs that tok[0 .. n) ends with */
} bitnet_lookup;

/* Bytes of memory for texts of up to n_ctx tokens; at most 256 KiB. */
size_t bitnet_lookup_size(int32_t n_ctx);
/* {0} becomes an index in `memory`, of that size, aligned to 4. */
void bitnet_lookup_init(bitnet_lookup *l, void *memory, int32_t n_ctx);
/* Forgets everything; tok[0 .. ) is the text from here on, of no tokens yet. */
void bitnet_lookup_start(bitnet_lookup *l, const bitnet_token *tok);
/* The text goes on with tok[n]. 0: nothing was guessed there; m: the guess behind a match of m tokens
 * came true; -m: it did not. */
int32_t bitnet_lookup_add(bitnet_lookup *l);
/* The guess at the next n_out tokens. Returns n_out, or 0 when there is none. */
int32_t bitnet_lookup_guess(const bitnet_lookup *l, bitnet_token *out, int32_t n_out);

#endif
