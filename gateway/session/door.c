#include "session/door.h"

#include "protocol/pop3/reply.h"
#include "protocol/smtp/reply.h"
#include "session/kinds.h"

#include <unistd.h>

/* What is said to a client for whom there is no room, where it can be said in clear. */
static void send_away(const struct session_context *c, const struct listener_config *l, int fd,
                      const struct address *peer, enum event event, bool is_shutting_down)
{
    struct buffer out = {.limit = 600};
    size_t slot = label_slot(c->labels, LABEL_LISTENER, l->name);
    char client[ADDRESS_TEXT_SIZE];
    address_format(peer, client);
    counter_add(c->counters, COUNTER_connections_refused, slot, 1);
    if (event != EVENT_COUNT)
        log_event(c->log, event, field_text(KEY_listener, l->name), field_text(KEY_client, client));
    if (l->role == ROLE_POP3)
        (void)pop3_reply_append(is_shutting_down ? POP3_REPLY_shutting_down : POP3_REPLY_full, NULL,
                                NULL, &out); /* then nothing is said */
    else
        (void)smtp_reply_append(is_shutting_down ? SMTP_REPLY_shutting_down
                                                 : SMTP_REPLY_greeting_full,
                                NULL, NULL, &out); /* likewise */
    struct span text = buffer_bytes(&out);
    if (l->tls != LISTENER_TLS_IMPLICIT && text.size > 0)
        (void)!write(fd, text.data, text.size); /* a new socket takes a line, or nobody reads */
    buffer_clear(&out);
    (void)close(fd); /* the client has sent nothing that would reset it */
}

void door_accept(struct registry *r, const struct listener_config *listener, int fd,
                 const struct address *peer, bool is_last)
{
    const struct session_context *c = registry_context(r);
    if (registry_is_refusing(r)) {
        send_away(c, listener, fd, peer, EVENT_COUNT, true);
        return;
    }
    int row =
        is_last ? -1 : session_claim(&c->table, (size_t)c->config->max_connections, c->process);
    if (row < 0) {
        send_away(c, listener, fd, peer, EVENT_refused_full, false);
        return;
    }
    int outcome;
    switch (listener->role) {
    case ROLE_SUBMISSION: outcome = smtp_session_create(r, listener, row, fd, peer); break;
    case ROLE_POP3: outcome = pop3_session_create(r, listener, row, fd, peer); break;
    default: outcome = refuse_session_create(r, listener, row, fd, peer); break;
    }
    if (outcome < 0)
        session_free(&c->table, row);
}
