/* Role refuse: the answer to whoever tries port 25. The greeting says which ports to use, and the
 * client has a little time to read it: an immediate close would be a reset. */
#include "session/kinds.h"

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

static const struct session_kind refuse_kind = {end, end};

static void say(const struct refuse_session *s, enum smtp_reply_name name, const char *argument)
{
    struct buffer out = {.limit = 1024};
    if (smtp_reply_append(name, argument, s->base.id, &out) == 0) {
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
    case CONNECTION_EOF:
    case CONNECTION_TIMEOUT:
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

int refuse_session_create(struct registry *r, const struct listener_config *listener, int row,
                          int fd, const struct address *peer)
{
    struct refuse_session *s = calloc(1, sizeof *s);
    char text[400], ports[100];
    if (s == NULL) {
        (void)close(fd); /* nothing was written */
        return -1;
    }
    session_begin(&s->base, r, &refuse_kind, listener, row, peer);
    s->base.client = connection_accept(s->base.context->loop, fd, peer, on_client, s);
    if (s->base.client == NULL) {
        session_destroy(&s->base); /* gives the row back */
        return 0;
    }
    session_add(&s->base, COUNTER_connections, 1);
    session_state(&s->base, SESSION_REFUSING);
    session_show(&s->base);
    session_deadline(&s->base, REFUSE_TIMEOUT_MS);
    name_ports(s->base.context->config, ports, sizeof ports);
    (void)snprintf(text, sizeof text,
                   "%s takes no mail here: send it through port %s, with a login",
                   s->base.context->config->hostname, ports); /* fits */
    say(of(&s->base), SMTP_REPLY_greeting_refused, text);
    return 0;
}
