/* exports_hash.c: SHA-256 of bytes that lie in the heap already, by way of js/hashing.ts: of a whole
 * file, for js/download.ts, and of a chunk, for js/cache.ts where a page has no SubtleCrypto.
 * SubtleCrypto wants a secure context, unshared memory and all of a file at once. */
#include <stdlib.h>

#include "base/sha256.h"
#include "exports.h"

bitnet_hash *bitnet_hash_create(void) {
    sha256 *h = malloc(sizeof *h);
    if (h) bitnet_sha256_init(h);
    return (bitnet_hash *)h;
}

void bitnet_hash_update(bitnet_hash *h, const void *bytes, size_t n) {
    bitnet_sha256_update((sha256 *)h, bytes, n);
}

void bitnet_hash_final(bitnet_hash *h, uint8_t digest[32]) {
    bitnet_sha256_final((sha256 *)h, digest);
    free(h);
}
