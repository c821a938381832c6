/* transport_mail.h: the tracker's transport into a mailbox that JavaScript empties: reports without a hub.
 * A mailbox that nobody empties fills up, and what does not fit is dropped and counted by the report. */
#ifndef BITNET_TRANSPORT_MAIL_H
#define BITNET_TRANSPORT_MAIL_H

#include "bitnet/tracker.h"

typedef struct bitnet_mail bitnet_mail;

/* NULL: out of memory. The mailbox must outlive its transport, whose close leaves it as it is. */
bitnet_mail *bitnet_mail_create(void);
void bitnet_mail_free(bitnet_mail *mail); /* NULL is fine */
bitnet_transport bitnet_mail_transport(bitnet_mail *mail);
/* The oldest message, terminated, until the next call; NULL when there is none. */
const char *bitnet_mail_take(bitnet_mail *mail);

#endif
