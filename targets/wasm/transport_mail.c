/* transport_mail.c: see transport_mail.h. Messages lie one behind the other, each with its zero. */
#include "transport_mail.h"

#include <stdlib.h>
#include <string.h>

#define MAIL_CAP (256u * 1024) /* as much as the websocket's transport lets the browser hold */

struct bitnet_mail {
    size_t head, tail; /* of buf: next to take, next to fill */
    char buf[MAIL_CAP];
};

bitnet_mail *bitnet_mail_create(void) {
    return calloc(1, sizeof(bitnet_mail));
}

void bitnet_mail_free(bitnet_mail *mail) {
    free(mail);
}

static bitnet_status mail_send(void *ctx, const void *msg, size_t n) {
    bitnet_mail *m = ctx;
    if (n >= MAIL_CAP) return BITNET_E_INVAL;
    if (n >= MAIL_CAP - m->tail) {
        memmove(m->buf, m->buf + m->head, m->tail - m->head);
        m->tail -= m->head;
        m->head = 0;
    }
    if (n >= MAIL_CAP - m->tail) return BITNET_AGAIN;
    memcpy(m->buf + m->tail, msg, n);
    m->buf[m->tail + n] = 0;
    m->tail += n + 1;
    return BITNET_OK;
}

static uint32_t mail_n_opened(void *ctx) {
    (void)ctx;
    return 1;
}

static void mail_close(void *ctx) {
    (void)ctx;
}

bitnet_transport bitnet_mail_transport(bitnet_mail *mail) {
    return (bitnet_transport){
        .send = mail_send, .n_opened = mail_n_opened, .close = mail_close, .ctx = mail};
}

const char *bitnet_mail_take(bitnet_mail *m) {
    if (m->head == m->tail) return NULL;
    const char *message = m->buf + m->head;
    m->head += strlen(message) + 1;
    return message;
}
