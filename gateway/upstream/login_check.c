#include "upstream/login_check.h"

#include "upstream/pop3_link.h"

#include <stdlib.h>

enum { USER_MAX = 512, PASSWORD_MAX = 1024 };

struct login_check {
    struct servers *servers;
    struct pool *pool;
    const struct upstream_config *upstream;
    login_check_fn *fn;
    void *owner;
    struct buffer user, secret; /* with their NUL */

    /* SMTP */
    struct smtp_credentials credentials;
    struct pool_request request;
    bool is_taking;

    /* POP3 */
    struct waiter waiter;
    struct server *permit;
    struct pop3_link *link;

    struct entry soon; /* the result is told by the loop */
    enum login_check_result result;
    struct error why;
};

static struct loop *loop_of(const struct login_check *c)
{
    return servers_context(c->servers)->loop;
}

static void tell(void *owner)
{
    struct login_check *c = owner;
    c->fn(c->owner, c->result, c->why.text);
}

/* Gives back what was used. */
static void release(struct login_check *c)
{
    struct server *permit = c->permit;
    c->permit = NULL;
    waiter_stop(&c->waiter);
    pop3_link_quit(&c->link);
    if (permit != NULL)
        server_return(c->servers, permit);
}

static void answer(struct login_check *c, enum login_check_result result, const char *reason)
{
    c->result = result;
    (void)error_set(&c->why, "%s", reason);
    release(c);
    loop_soon(loop_of(c), &c->soon, tell, c);
}

/* ---- SMTP ---- */

static void on_taken(void *owner, struct smtp_link *link, enum pool_failure failure)
{
    static const char *const reasons[] = {
        [POOL_DOWN] = "the server behind does not answer",
        [POOL_BUSY] = "the server behind is busy",
        [POOL_REFUSED] = "the server behind refuses the gateway",
        [POOL_WRONG] = "the server behind refuses name and password",
    };
    struct login_check *c = owner;
    c->is_taking = false;
    if (link != NULL) {
        pool_give_back(c->pool, &link); /* nobody else may have it: it ends */
        answer(c, LOGIN_CHECK_GOOD, "");
        return;
    }
    answer(c, failure == POOL_WRONG ? LOGIN_CHECK_WRONG : LOGIN_CHECK_UNAVAILABLE,
           c->request.why.text[0] != '\0' ? c->request.why.text : reasons[failure]);
}

static void ask_smtp(struct login_check *c)
{
    c->credentials = (struct smtp_credentials){.user = buffer_bytes(&c->user).data,
                                               .secret = buffer_bytes(&c->secret).data,
                                               .mechanisms = SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN};
    c->request = (struct pool_request){
        .upstream = c->upstream, .login = &c->credentials, .done = on_taken, .owner = c};
    c->is_taking = true;
    pool_take(c->pool, &c->request);
}

/* ---- POP3 ---- */

static void pop3_answered(struct login_check *c, const struct pop3_reply *reply)
{
    char text[300];
    (void)span_copy(reply->text, text, sizeof text);
    /* Without a code the server is older than RFC 3206: what it refuses is the login. */
    bool is_wrong = !pop3_code_is_known(reply->code) || span_equals_nocase(reply->code, "AUTH");
    answer(c,
           reply->is_ok ? LOGIN_CHECK_GOOD
           : is_wrong   ? LOGIN_CHECK_WRONG
                        : LOGIN_CHECK_UNAVAILABLE,
           text);
}

static void on_link(void *owner, struct pop3_link *l, const struct pop3_link_event *event)
{
    struct login_check *c = owner;
    struct span user = buffer_bytes(&c->user), secret = buffer_bytes(&c->secret);
    if (event->kind == POP3_LINK_READY) {
        user.size--; /* the NUL */
        secret.size--;
        pop3_link_login(l, user, secret);
    } else if (event->kind == POP3_LINK_LOGIN) {
        pop3_answered(c, event->reply);
    } else if (event->kind == POP3_LINK_LOST) {
        if (!event->is_in_login) /* else strangers could take it out by guessing */
            server_failed(c->servers, c->permit, event->reason);
        answer(c, LOGIN_CHECK_UNAVAILABLE, event->reason);
    }
}

static void connect_to(struct login_check *c)
{
    const struct upstream_context *u = servers_context(c->servers);
    const struct smtp_link_options options = {.loop = u->loop,
                                              .upstream = c->upstream,
                                              .server = c->permit->config,
                                              .tls = u->tls,
                                              .hostname = u->config->hostname};
    struct error why;
    counter_add(u->counters, COUNTER_upstream_connections, c->permit->slot, 1);
    c->link = pop3_link_open(&options, on_link, c, &why);
    if (c->link == NULL)
        answer(c, LOGIN_CHECK_UNAVAILABLE, why.text);
}

static void ask_pop3(void *owner, bool is_late)
{
    struct login_check *c = owner;
    struct server *server = servers_choose(c->servers, c->upstream, 0);
    if (is_late) {
        answer(c, LOGIN_CHECK_UNAVAILABLE, "no connection became free in time");
    } else if (server == NULL) {
        answer(c, LOGIN_CHECK_UNAVAILABLE, "the server behind is out");
    } else if (server_permit(c->servers, server, (uint32_t)c->upstream->max_connections) == 0) {
        waiter_stop(&c->waiter);
        c->permit = server;
        connect_to(c);
    } else if (waiter_wait(c->servers, &c->waiter) < 0) {
        answer(c, LOGIN_CHECK_UNAVAILABLE, "out of memory");
    }
}

/* ---- both ---- */

/* Can it stand in a line of a login? */
static bool is_word(struct span text, size_t max)
{
    return text.size > 0 && text.size <= max && !line_has_control(text);
}

/* Keeps it with a NUL. Returns 0, or -1 without memory. */
static int keep(struct buffer *out, struct span text)
{
    out->limit = text.size + 1;
    int failed = buffer_append(out, text);
    return failed | buffer_append(out, span_make("", 1));
}

struct login_check *login_check_begin(const struct login_check_options *options, login_check_fn *fn,
                                      void *owner)
{
    struct login_check *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    *c = (struct login_check){.servers = options->servers,
                              .pool = options->pool,
                              .upstream = options->upstream,
                              .fn = fn,
                              .owner = owner};
    c->waiter = (struct waiter){.wake = ask_pop3, .owner = c, .upstream = c->upstream};
    struct span user = span_of(options->user);
    if (!is_word(user, USER_MAX) || !is_word(options->password, PASSWORD_MAX))
        answer(c, LOGIN_CHECK_WRONG, "no login is like that");
    else if (keep(&c->user, user) < 0 || keep(&c->secret, options->password) < 0)
        login_check_end(&c);
    else if (c->upstream->protocol == UPSTREAM_SMTP)
        ask_smtp(c);
    else
        ask_pop3(c, false);
    return c;
}

void login_check_end(struct login_check **check)
{
    struct login_check *c = *check;
    if (c == NULL)
        return;
    if (c->is_taking)
        pool_cancel(c->pool, &c->request);
    release(c);
    loop_not_soon(&c->soon);
    buffer_clear(&c->user);
    buffer_clear(&c->secret);
    free(c);
    *check = NULL;
}
