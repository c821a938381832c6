/* pretok.h: where byte-pair merging must stop: text is cut into words, numbers, punctuation and
 * space before it is encoded, and no token spans a cut.
 */
#ifndef BITNET_PRETOK_H
#define BITNET_PRETOK_H

#include <stddef.h>

/* Bytes of the first piece of s [n], n >= 1, by the rules of LLaMA 3. An invalid byte counts as
 * U+FFFD. The rules look ahead only, so calling this again behind the piece cuts the whole text. */
size_t bitnet_pretok_llama3(const char *s, size_t n);

#endif
