/* Role refuse: the answer to whoever tries port 25. The greeting says which ports to use, and the
 * client has a little time to read it: an immediate close would be a reset. */
#include "session/arrival.h"
#include "session/kinds.h"
#include "session/policy.h"

#include "protocol/smtp/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { REFUSE_TIMEOUT_MS = 10000, REPLIES_MAX = 20 };

struct refuse_session {
    struct session base;
    struct line_reader lines;
    unsigned replies;
};

static struct refuse_session *of(struct session *base)
{
    return (struct refuse_session *)base; /* it lies at the front */
}

static void end(struct session *base)
{
    session_finish(base);
}

static void wait_for(struct session *base, enum session_state state, int64_t ms);
static void greet(struct session *base);
static void turn_away(struct session *base, const char *why);

static const struct session_kind refuse_kind = {wait_for, greet, turn_away, end, end};

static void say(const struct refuse_session *s, enum smtp_reply_name name, const char *argument)
{
    struct buffer out = {.limit = 1024};
    char reference[SESSION_REFERENCE_SIZE];
    if (smtp_reply_append(name, argument, session_reference(&s->base, reference), &out) == 0) {
        struct span text = buffer_bytes(&out);
        connection_write(s->base.client, &text, 1);
    }
    buffer_clear(&out);
}

/* Answers every line, until QUIT. */
static void take_lines(struct refuse_session *s, struct span *in)
{
    struct span line;
    enum line_result got;
    while ((got = line_take(&s->lines, 2048, in, &line)) != LINE_MORE) {
        bool is_quit = got == LINE_WHOLE && span_equals_nocase(span_trim(line), "QUIT");
        say(s, is_quit ? SMTP_REPLY_bye : SMTP_REPLY_refusing, NULL);
        if (is_quit || ++s->replies == REPLIES_MAX) {
            session_finish(&s->base);
            return;
        }
    }
}

static void on_client(void *owner, enum connection_event event, struct span *in)
{
    struct refuse_session *s = owner;
    switch (event) {
    case CONNECTION_DATA: take_lines(s, in); return;
    case CONNECTION_READY:
    case CONNECTION_DRAINED: return;
    case CONNECTION_TIMEOUT:
        if (session_policy_delayed(&s->base))
            return;
        session_finish(&s->base);
        return;
    case CONNECTION_EOF:
    case CONNECTION_FAILED: session_finish(&s->base); return;
    }
}

/* "587 and 465": the ports of the doors for submission. */
static void name_ports(const struct config *c, char *out, size_t room)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < c->listener_count; i++) {
        const struct listener_config *l = &c->listeners[i];
        char port[16];
        if (l->role != ROLE_SUBMISSION || l->address_count == 0)
            continue;
        (void)snprintf(port, sizeof port, "%u", address_port(&l->addresses[0])); /* fits */
        if (strstr(out, port) == NULL && used < room)
            used +=
                (size_t)snprintf(out + used, room - used, "%s%s", used == 0 ? "" : " or ", port);
    }
    if (used == 0)
        (void)snprintf(out, room, "587 or 465"); /* of some other machine, then */
}

static void greet(struct session *base)
{
    char text[400], ports[100];
    session_state(base, SESSION_REFUSING);
    session_deadline(base, REFUSE_TIMEOUT_MS);
    name_ports(base->context->config, ports, sizeof ports);
    (void)snprintf(text, sizeof text,
                   "%s takes no mail here: send it through port %s, with a login",
                   base->context->config->hostname, ports); /* fits */
    say(of(base), SMTP_REPLY_greeting_refused, text);
    connection_resume(base->client);
}

static void turn_away(struct session *base, const char *why)
{
    say(of(base), SMTP_REPLY_limit_connection, why);
    session_finish(base);
}

static void wait_for(struct session *base, enum session_state state, int64_t ms)
{
    session_state(base, state);
    connection_pause(base->client);
    session_deadline(base, ms);
}

int refuse_session_create(struct registry *r, const struct listener_config *listener, int row,
                          int fd, const struct address *peer)
{
    struct refuse_session *s = calloc(1, sizeof *s);
    if (s == NULL) {
        (void)close(fd); /* nothing was written */
        return -1;
    }
    session_begin(&s->base, r, &refuse_kind, listener, row, peer);
    session_arrive(&s->base, fd, peer, on_client);
    return 0;
}
