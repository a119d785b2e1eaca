/* The mailbox: what the client and the server say goes through as it is, watched for the moments
 * between commands.
 *
 * Each direction reads only as long as the other end takes: what is held is at most one chunk. */
#include "session/pop3.h"

#include "base/clock.h"

enum { ENDING_TIMEOUT_MS = 30000 };

static void on_upstream(void *owner, enum connection_event event, struct span *in);
static void take_commands(struct pop3_session *s, struct span *in);

static void end_with(struct pop3_session *s, enum pop3_reply_name name)
{
    pop3_say(s, name, NULL);
    pop3_end(s, true);
}

/* Something has moved: the time-outs begin anew. */
static void moved(struct pop3_session *s)
{
    const struct session_context *c = s->base.context;
    int64_t ms = s->base.listener->upstream_config->command_timeout_ms;
    session_deadline(&s->base,
                     s->is_ending ? ENDING_TIMEOUT_MS : s->base.listener->idle_timeout_ms);
    connection_set_deadline(
        s->upstream, pop3_tunnel_is_quiet(&s->tunnel) ? 0 : loop_now(c->loop) + ms * CLOCK_MS);
}

void pop3_tunnel_begin(struct pop3_session *s)
{
    s->take = take_commands;
    session_state(&s->base, SESSION_MAILBOX);
    connection_set_owner(s->upstream, on_upstream, s);
    moved(s);
    connection_resume(s->base.client);
    if (registry_is_ending(s->base.registry))
        pop3_tunnel_ask_to_end(s); /* it may end here */
}

/* Between commands a session that is to end ends. Returns whether it has. */
static bool ended(struct pop3_session *s)
{
    if (!s->is_ending || !pop3_tunnel_is_quiet(&s->tunnel) || connection_is_blocked(s->base.client))
        return false;
    if (registry_is_ending(s->base.registry))
        end_with(s, POP3_REPLY_shutting_down);
    else
        pop3_end(s, true);
    return true;
}

void pop3_tunnel_ask_to_end(struct pop3_session *s)
{
    s->is_ending = true;
    if (!ended(s))
        moved(s);
}

void pop3_tunnel_client_gone(struct pop3_session *s, bool is_dead)
{
    if (is_dead)
        pop3_end(s, false);
    else
        pop3_tunnel_ask_to_end(s); /* what it has asked for is still answered */
}

void pop3_tunnel_timed_out(struct pop3_session *s)
{
    /* In the middle of a message a line of ours would become part of it. */
    if (pop3_tunnel_is_quiet(&s->tunnel))
        end_with(s, s->is_ending ? POP3_REPLY_shutting_down : POP3_REPLY_idle);
    else
        pop3_end(s, false);
}

static void take_commands(struct pop3_session *s, struct span *in)
{
    ptrdiff_t size = s->is_ending ? 0 : pop3_tunnel_commands(&s->tunnel, *in);
    if (size < 0) {
        end_with(s, POP3_REPLY_line_too_long);
        return;
    }
    struct span commands = span_take(in, (size_t)size);
    if (commands.size > 0)
        connection_write(s->upstream, &commands, 1);
    s->is_throttled = s->tunnel.waiting == POP3_TUNNEL_COMMANDS;
    if (s->is_throttled || s->is_ending || connection_is_blocked(s->upstream))
        connection_pause(s->base.client);
    moved(s);
}

/* Hot: one read, one write; no copy while the client takes it. */
static void take_responses(struct pop3_session *s, struct span *in)
{
    struct span responses = span_take(in, in->size);
    pop3_tunnel_responses(&s->tunnel, responses);
    connection_write(s->base.client, &responses, 1);
    s->base.bytes += responses.size;
    session_add(&s->base, COUNTER_mailbox_bytes, (int64_t)responses.size);
    if (connection_is_blocked(s->base.client))
        connection_pause(s->upstream);
    if (ended(s))
        return;
    moved(s);
    if (s->is_throttled && s->tunnel.waiting < POP3_TUNNEL_COMMANDS / 2) {
        s->is_throttled = false;
        connection_resume(s->base.client);
    }
}

void pop3_tunnel_drained(struct pop3_session *s)
{
    connection_resume(s->upstream);
    if (!ended(s))
        moved(s);
}

static void on_upstream(void *owner, enum connection_event event, struct span *in)
{
    struct pop3_session *s = owner;
    switch (event) {
    case CONNECTION_DATA: take_responses(s, in); return;
    case CONNECTION_DRAINED:
        if (!s->is_throttled && !s->is_ending)
            connection_resume(s->base.client);
        return;
    case CONNECTION_READY: return;
    case CONNECTION_EOF:
    case CONNECTION_FAILED:
    case CONNECTION_TIMEOUT: pop3_end(s, true); return;
    }
}
