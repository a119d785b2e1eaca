/* The mailbox: what the client and the server say goes through as it is, watched for the moments
 * between commands.
 *
 * Each direction reads only as long as the other end takes: what is held is at most one chunk. */
#include "session/ending.h"
#include "session/pop3.h"

#include "base/clock.h"

enum { ENDING_TIMEOUT_MS = 30000 };

static void on_upstream(void *owner, enum connection_event event, struct span *in);
static void take_commands(struct pop3_session *s, struct span *in);

static void end_with(struct pop3_session *s, enum pop3_reply_name name)
{
    pop3_say(s, name, s->base.last_word);
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
    uint32_t offered;
    uint64_t told;
    health_offer(servers_context(s->base.context->servers)->health, s->permit->slot, &offered,
                 &told);
    s->tunnel.is_one_by_one = (offered & POP3_PIPELINING) == 0;
    s->take = take_commands;
    session_state(&s->base, SESSION_MAILBOX);
    connection_set_owner(s->upstream, on_upstream, s);
    moved(s);
    connection_resume(s->base.client);
    if (session_is_to_end(&s->base))
        pop3_tunnel_ask_to_end(s); /* it may end here */
}

/* Between commands a session that is to end ends. Returns whether it has. */
static bool ended(struct pop3_session *s)
{
    if (!s->is_ending || !pop3_tunnel_is_quiet(&s->tunnel) || connection_is_blocked(s->base.client))
        return false;
    if (s->has_last_word)
        end_with(s, s->last_word);
    else
        pop3_end(s, true);
    return true;
}

/* No more commands go up; what is under way is answered first. Returns whether it has ended. */
static bool begin_to_end(struct pop3_session *s)
{
    s->is_ending = true;
    if (ended(s))
        return true;
    moved(s);
    return false;
}

static bool end_saying(struct pop3_session *s, enum pop3_reply_name last_word)
{
    if (!s->has_last_word)
        s->last_word = last_word;
    s->has_last_word = true;
    return begin_to_end(s);
}

void pop3_tunnel_end(struct pop3_session *s)
{
    uint32_t gone =
        s->tunnel.has_quit ? s->tunnel.deleted : 0; /* marks of a session without QUIT are void */
    session_count_messages(&s->base, s->base.messages, gone);
    session_add(&s->base, COUNTER_mailbox_deletions, gone);
}

void pop3_tunnel_ask_to_end(struct pop3_session *s)
{
    (void)end_saying(s, ending_pop3_reply(&s->base)); /* now or later */
}

void pop3_tunnel_client_gone(struct pop3_session *s, bool is_dead)
{
    if (is_dead)
        pop3_end(s, false);
    else
        (void)begin_to_end(s); /* what it has asked for is still answered */
}

void pop3_tunnel_timed_out(struct pop3_session *s)
{
    /* In the middle of a message a line of ours would become part of it. */
    if (pop3_tunnel_is_quiet(&s->tunnel))
        end_with(s, s->has_last_word ? s->last_word : POP3_REPLY_idle);
    else
        pop3_end(s, false);
}

static void take_commands(struct pop3_session *s, struct span *in)
{
    ptrdiff_t size = 0;
    while (!s->is_ending && (size = pop3_tunnel_commands(&s->tunnel, *in)) > 0) {
        struct span commands = span_take(in, (size_t)size);
        connection_write(s->upstream, &commands, 1);
    }
    if (size < 0) {
        connection_pause(s->base.client);
        (void)end_saying(s, POP3_REPLY_line_too_long); /* now or later */
        return;
    }
    s->is_throttled = pop3_tunnel_is_full(&s->tunnel);
    if (s->is_throttled || s->is_ending || connection_is_blocked(s->upstream))
        connection_pause(s->base.client);
    moved(s);
}

/* What has been read and marked so far. */
static void count(struct pop3_session *s)
{
    const struct pop3_tunnel *t = &s->tunnel;
    if (t->retrieved == s->base.messages && t->deleted == s->base.deleted)
        return;
    session_add(&s->base, COUNTER_mailbox_messages, (int64_t)t->retrieved - s->base.messages);
    session_count_messages(&s->base, t->retrieved, t->deleted);
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
    count(s);
    if (pop3_tunnel_is_junk(&s->tunnel) ? end_saying(s, POP3_REPLY_too_many_errors) : ended(s))
        return;
    moved(s);
    if (s->is_throttled &&
        s->tunnel.waiting <= (s->tunnel.is_one_by_one ? 0 : POP3_TUNNEL_COMMANDS / 2)) {
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
