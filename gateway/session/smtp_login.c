/* The user's own login at the server behind (identity password): made while he logs in here, on the
 * connection that his mail takes. What that server says of his password is the answer to his AUTH.
 *
 * The password is kept until the session ends: his connection may have to be made anew. */
#include "session/smtp.h"

#include <stdlib.h>

enum { PASSWORD_MAX = 1024 };

struct smtp_own {
    struct pool_request request;
    struct smtp_credentials credentials;
    char account[ACCOUNT_SIZE], user[ACCOUNT_SIZE];
    struct buffer secret; /* with its NUL */
    bool is_asking;       /* within pool_take */
    bool is_taking, is_answered;
    enum pool_failure failure;
};

static int keep_secret(struct smtp_own *o, struct span password)
{
    o->secret = (struct buffer){.limit = PASSWORD_MAX};
    return memchr(password.data, '\0', password.size) != NULL ||
                   buffer_append(&o->secret, password) < 0 ||
                   buffer_append(&o->secret, span_make("", 1)) < 0
               ? -1
               : 0;
}

/* What is told: name and password as he has given them here. NULL when no server could be. */
static struct smtp_own *create(const struct smtp_session *s, struct span account)
{
    struct smtp_own *o = calloc(1, sizeof *o);
    if (o == NULL)
        return NULL;
    (void)span_copy(account, o->account, sizeof o->account); /* fits */
    if (login_name(&s->login, o->account, o->user) < 0 ||
        keep_secret(o, login_password(&s->login)) < 0) {
        buffer_clear(&o->secret);
        free(o);
        return NULL;
    }
    o->credentials = (struct smtp_credentials){.user = o->user,
                                               .secret = buffer_bytes(&o->secret).data,
                                               .mechanisms = SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN};
    return o;
}

void smtp_own_end(struct smtp_session *s)
{
    struct smtp_own *o = s->own;
    if (o == NULL)
        return;
    if (o->is_taking)
        pool_cancel(s->base.context->pool, &o->request);
    buffer_clear(&o->secret);
    free(o);
    s->own = NULL;
}

const struct smtp_credentials *smtp_own_credentials(const struct smtp_session *s)
{
    return s->own == NULL ? NULL : &s->own->credentials;
}

static enum login_result result(const struct smtp_session *s)
{
    if (s->link != NULL)
        return LOGIN_GOOD;
    return s->own->failure == POOL_WRONG ? LOGIN_WRONG : LOGIN_UNAVAILABLE;
}

static const char *reason(const struct smtp_own *o)
{
    static const char *const reasons[] = {
        [POOL_DOWN] = "the server behind does not answer",
        [POOL_BUSY] = "the server behind is busy",
        [POOL_REFUSED] = "the server behind refuses the gateway",
        [POOL_WRONG] = "the server behind refuses name and password",
    };
    return o->request.why.text[0] != '\0' ? o->request.why.text : reasons[o->failure];
}

/* It has been answered: tells what AUTH makes of it. */
static struct login_answer answer_of(struct smtp_session *s)
{
    struct smtp_own *o = s->own;
    struct login_answer a = {.result = result(s)};
    a.text = span_of(a.result == LOGIN_GOOD ? o->account : reason(o));
    return a;
}

static void taken(void *owner, struct smtp_link *link, enum pool_failure failure)
{
    struct smtp_session *s = owner;
    struct smtp_own *o = s->own;
    o->is_taking = false;
    o->is_answered = true;
    o->failure = failure;
    if (link != NULL)
        smtp_relay_adopt(s, link);
    if (o->is_asking)
        return; /* smtp_own_begin says it */
    const struct login_answer a = answer_of(s);
    smtp_auth_own_answered(s, &a);
}

void smtp_own_begin(struct smtp_session *s, struct span account, struct login_answer *out)
{
    smtp_own_end(s);
    s->own = create(s, account);
    if (s->own == NULL) {
        *out = (struct login_answer){.result = LOGIN_WRONG};
        return;
    }
    struct smtp_own *o = s->own;
    o->request = (struct pool_request){.upstream = s->base.listener->upstream_config,
                                       .login = &o->credentials,
                                       .done = taken,
                                       .owner = s};
    o->is_taking = o->is_asking = true;
    pool_take(s->base.context->pool, &o->request);
    o->is_asking = false;
    if (o->is_answered)
        *out = answer_of(s);
    else
        *out = (struct login_answer){.result = LOGIN_CHECK};
}
