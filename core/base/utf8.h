/* utf8.h: strict UTF-8 (RFC 3629): decode, encode, check, and find a half-arrived last character.
 * Overlong forms, surrogates and anything above U+10FFFF are invalid, as the RFC demands.
 */
#ifndef BITNET_UTF8_H
#define BITNET_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Decodes the character at s, with n bytes left. Returns its length 1..4 and the code point, or 0
 * when the bytes are invalid or end too early. *cp is untouched then. */
int bitnet_utf8_decode(const char *s, size_t n, uint32_t *cp);
/* Offset of the first invalid byte, or n when all is valid. */
size_t bitnet_utf8_check(const char *s, size_t n);
/* How many bytes at the end are the valid beginning of an unfinished character: 0..3. */
size_t bitnet_utf8_pending(const char *s, size_t n);
/* How many bytes of s, which may be NULL, fit into cap >= 1 with the final NUL: never a part of a character. And s
 * copied so, with the NUL. */
size_t bitnet_utf8_fit(const char *s, size_t cap);
void bitnet_utf8_copy(char *dst, size_t cap, const char *s);
/* Writes 1..4 bytes and returns how many; 0 for a surrogate or a value above U+10FFFF. */
int bitnet_utf8_encode(uint32_t cp, char out[4]);
/* Text with U+FFFD, three bytes, for every invalid byte: its length, and the text itself. Returns the
 * end of what was written. */
size_t bitnet_utf8_repaired_len(const char *s, size_t n);
char *bitnet_utf8_repair(char *out, const char *s, size_t n);

#endif
