/* sha256.h: SHA-256 (FIPS 180-4), streaming: init, any number of updates, final.
 *
 * For checking that a file is the one that was meant, and that stored pieces of it are what was
 * stored. Portable C; a message may have up to 2^61 bytes.
 */
#ifndef BITNET_SHA256_H
#define BITNET_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE  32 /* bytes of a digest */
#define SHA256_BLOCK 64

typedef struct sha256 {
    uint32_t state[8];
    uint64_t size; /* bytes seen */
    uint8_t block[SHA256_BLOCK];
} sha256;

void bitnet_sha256_init(sha256 *h);
void bitnet_sha256_update(sha256 *h, const void *bytes,
                          size_t n); /* bytes may be NULL when n is 0 */
/* The digest; h must be initialised again before it is used again. */
void bitnet_sha256_final(sha256 *h, uint8_t digest[SHA256_SIZE]);

#endif
