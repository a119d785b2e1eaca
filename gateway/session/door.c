#include "session/door.h"

#include "protocol/pop3/reply.h"
#include "protocol/smtp/reply.h"
#include "session/guard.h"
#include "session/kinds.h"

#include <unistd.h>

/* Why a client is sent away: what is logged, and what is said where it can be said in clear. */
static const struct reason {
    enum event event; /* EVENT_COUNT: nothing is logged */
    enum smtp_reply_name smtp;
    enum pop3_reply_name pop3;
} shutting_down = {EVENT_COUNT, SMTP_REPLY_shutting_down, POP3_REPLY_shutting_down},
  full = {EVENT_refused_full, SMTP_REPLY_greeting_full, POP3_REPLY_full},
  crowded = {EVENT_refused_crowd, SMTP_REPLY_greeting_crowded, POP3_REPLY_crowded},
  banned = {EVENT_refused_banned, SMTP_REPLY_greeting_banned, POP3_REPLY_greeting_banned};

static void send_away(const struct session_context *c, const struct listener_config *l, int fd,
                      const struct address *peer, const struct reason *why, const char *argument)
{
    struct buffer out = {.limit = 600};
    size_t slot = label_slot(c->labels, LABEL_LISTENER, l->name);
    char client[ADDRESS_TEXT_SIZE];
    address_format(peer, client);
    counter_add(c->counters, COUNTER_connections_refused, slot, 1);
    if (why->event != EVENT_COUNT)
        log_event(c->log, why->event, field_text(KEY_listener, l->name),
                  field_text(KEY_client, client));
    if (l->role == ROLE_POP3)
        (void)pop3_reply_append(why->pop3, argument, NULL, &out); /* then nothing is said */
    else
        (void)smtp_reply_append(why->smtp, argument, NULL, &out); /* likewise */
    struct span text = buffer_bytes(&out);
    if (l->tls != LISTENER_TLS_IMPLICIT && text.size > 0)
        (void)!write(fd, text.data, text.size); /* a new socket takes a line, or nobody reads */
    buffer_clear(&out);
    (void)close(fd); /* the client has sent nothing that would reset it */
}

/* A row for the client, or -1 and why not. */
static int take_row(const struct session_context *c, const struct address *peer,
                    const struct reason **why)
{
    int row = session_claim(&c->table, (size_t)c->config->max_connections, c->process);
    if (row < 0) {
        *why = &full;
        return -1;
    }
    if (!networks_hold(&c->config->shared, peer) &&
        session_join(&c->table, row, network_number(peer),
                     (size_t)c->config->max_connections_per_ip) < 0) {
        session_free(&c->table, row);
        *why = &crowded;
        return -1;
    }
    return row;
}

/* 421, and for POP3 a passing trouble: nothing is wrong with the mail or the password, and later it
 * will do. Where TLS comes first a banned client isn't worth its price, and hears nothing. */
static void send_banned_away(const struct session_context *c, const struct listener_config *l,
                             int fd, const struct address *peer, int64_t until_ns)
{
    char text[BAN_TEXT_SIZE];
    ban_format(peer, until_ns, text);
    counter_add(c->counters, COUNTER_connections_banned,
                label_slot(c->labels, LABEL_LISTENER, l->name), 1);
    send_away(c, l, fd, peer, &banned, text);
}

void door_accept(struct registry *r, const struct listener_config *listener, int fd,
                 const struct address *peer, bool is_last)
{
    const struct session_context *c = registry_context(r);
    struct ban_verdict verdict;
    if (guard_at_door(c, peer, &verdict)) {
        send_banned_away(c, listener, fd, peer, verdict.until_ns);
        return;
    }
    const struct reason *why = registry_is_refusing(r) ? &shutting_down : is_last ? &full : NULL;
    int row = why != NULL ? -1 : take_row(c, peer, &why);
    if (row < 0) {
        send_away(c, listener, fd, peer, why, NULL);
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
