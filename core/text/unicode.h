/* unicode.h: what a code point is, as far as pre-tokenizers ask: a letter, a number, a space or other. */
#ifndef BITNET_UNICODE_H
#define BITNET_UNICODE_H

#include <stdint.h>

typedef enum bitnet_char_kind {
    KIND_OTHER,  /* marks, punctuation, symbols, format characters, unassigned ones */
    KIND_LETTER, /* Lu Ll Lt Lm Lo */
    KIND_NUMBER, /* Nd Nl No */
    KIND_SPACE,  /* White_Space */
    KIND_END,    /* of the text; no code point has it */
} bitnet_char_kind;

bitnet_char_kind bitnet_char_kind_of(uint32_t cp);

#endif
