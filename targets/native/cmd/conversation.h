/* conversation.h: the messages of a chat: grow, forget, save and load as JSON.
 *
 *     {"messages": [{"role": "user", "content": "..."}, ...], "model": "..."}
 *
 * A system message, when there is one, is the first. Loading checks form, roles and size; whether
 * the text is valid UTF-8 is the tokenizer's to say.
 */
#ifndef BITNET_CONVERSATION_H
#define BITNET_CONVERSATION_H

#include "bitnet/chat.h"

typedef struct conversation { /* {0} is empty */
    bitnet_message *msg;      /* roles are literals, contents malloc'd and terminated */
    int32_t n, cap;
} conversation;

void conversation_free(conversation *c); /* back to {0} */
/* The three roles by name; E_NOMEM leaves the conversation as it was. */
bitnet_status conversation_add(conversation *c, const char *role, const char *text, size_t len,
                               bitnet_error *err);
void conversation_drop_last(conversation *c);
/* Replaces the system message, or puts one first; an empty text removes it. */
bitnet_status conversation_set_system(conversation *c, const char *text, bitnet_error *err);
bool conversation_has_system(const conversation *c);
void conversation_clear(conversation *c); /* all but the system message */

/* Forgets the oldest turns (a question and what follows it) until at most `limit` tokens are left,
 * answer's opening included, or only the last question is. Tokenizes O(log n) times. *n_forgotten
 * gets the number of messages. Fails as bitnet_chat_tokenize does. */
bitnet_status conversation_fit(conversation *c, const bitnet_model *model,
                               const char *template_name, int32_t limit, int32_t *n_forgotten,
                               bitnet_error *err);

/* Into a new file beside path that then takes its place: a full disk spoils nothing. */
bitnet_status conversation_save(const conversation *c, const char *path, const char *model_name,
                                bitnet_error *err);
/* *out, which must be {0}, is filled or left so. At most 4 MiB. */
bitnet_status conversation_load(conversation *out, const char *path, bitnet_error *err);

#endif
