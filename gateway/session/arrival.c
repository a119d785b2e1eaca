#include "session/arrival.h"

#include "session/policy.h"

static bool is_implicit(const struct session *s)
{
    return s->listener->tls == LISTENER_TLS_IMPLICIT;
}

/* Before TLS nothing can be said to who awaits it. */
static void turn_away(struct session *s, const struct verdict *refused)
{
    char text[VERDICT_TEXT_SIZE];
    session_add(s, COUNTER_connections_refused, 1);
    if (is_implicit(s))
        session_destroy(s);
    else
        s->kind->turn_away(s, verdict_text(refused, text));
}

static void judged(struct session *s, const struct verdict *refused)
{
    if (refused != NULL)
        turn_away(s, refused);
    else if (!is_implicit(s))
        s->kind->greet(s);
    else if (session_start_tls(s) < 0)
        session_destroy(s); /* gives the row back */
    else
        connection_resume(s->client);
}

void session_arrive(struct session *s, int fd, const struct address *peer, connection_fn *fn)
{
    s->client = connection_accept(s->context->loop, fd, peer, fn, s);
    if (s->client == NULL) {
        session_destroy(s);
        return;
    }
    session_add(s, COUNTER_connections, 1);
    session_event(s, EVENT_connected, field_text(KEY_country, s->country));
    session_show(s);
    (void)session_ask_policy(s, STAGE_CONNECT, judged); /* goes on by itself */
}
