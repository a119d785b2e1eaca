#include "session/asked.h"

#include "auth/plain.h"
#include "session/registry.h"
#include "upstream/login_check.h"

#include <stdlib.h>

struct asked {
    const struct session *session;
    asked_fn *fn;
    void *owner;
    struct span response; /* of PLAIN */
    struct login_check *check;
    struct entry soon;
    struct turn turn;          /* while the server behind is asked, here or by the session */
    enum auth_outcome outcome; /* what is told soon */
    bool is_unproven;
    char account[ACCOUNT_SIZE];
};

/* Returns 0, or -1: it is malformed, or he would act for another. */
static int parse(struct span response, struct plain *said)
{
    if (plain_parse(response, said) < 0)
        return -1;
    bool is_own = said->identity.size == 0 ||
                  (said->identity.size == said->name.size &&
                   memcmp(said->identity.data, said->name.data, said->name.size) == 0);
    return is_own ? 0 : -1;
}

static void tell(struct asked *a, enum auth_outcome outcome, const char *why)
{
    const struct asked_answer answer = {.outcome = outcome,
                                        .text = outcome == AUTH_GOOD ? a->account : why};
    a->fn(a->owner, &answer);
}

static void tell_soon(void *owner)
{
    struct asked *a = owner;
    tell(a, a->outcome,
         a->outcome == AUTH_UNAVAILABLE ? "too many logins of this address wait"
                                        : "wrong credentials");
}

static void on_checked(void *owner, enum login_check_result result, const char *reason)
{
    static const enum auth_outcome outcomes[] = {[LOGIN_CHECK_GOOD] = AUTH_GOOD,
                                                 [LOGIN_CHECK_WRONG] = AUTH_WRONG,
                                                 [LOGIN_CHECK_UNAVAILABLE] = AUTH_UNAVAILABLE};
    struct asked *a = owner;
    char why[200]; /* it goes with the check */
    (void)span_copy(span_of(reason), why, sizeof why);
    login_check_end(&a->check);
    if (result == LOGIN_CHECK_GOOD)
        auth_keep(a->session->context->auth, a->response);
    tell(a, outcomes[result], why);
}

static bool is_known(const struct asked *a)
{
    return auth_knows(a->session->context->auth, a->response);
}

/* Returns 0, or -1 without memory. */
static int ask(struct asked *a, const struct plain *said, const char *name)
{
    const struct session_context *c = a->session->context;
    const struct login_check_options options = {
        .servers = c->servers,
        .pool = c->pool,
        .upstream = config_asked_upstream(c->config, a->session->listener),
        .user = name,
        .password = said->password};
    a->check = login_check_begin(&options, on_checked, a);
    return a->check == NULL ? -1 : 0;
}

/* Returns 0, or -1 without memory. */
static int begin(struct asked *a)
{
    const struct session_context *c = a->session->context;
    const struct auth_config *auth = &c->config->auth;
    char name[ACCOUNT_SIZE];
    struct plain said;
    bool is_good = parse(a->response, &said) == 0 &&
                   auth_account(c->auth, said.name, a->account) == 0 &&
                   account_login_name((enum login_name)auth->login_name, said.name, a->account,
                                      auth->realm, name) == 0;
    a->is_unproven = is_good && config_is_asked_anyway(c->config, a->session->listener);
    bool is_to_ask = is_good && (a->is_unproven || !is_known(a));
    bool has_turn = is_to_ask && session_take_turn(a->session, &a->turn) == 0;
    if (has_turn && !a->is_unproven)
        return ask(a, &said, name);
    a->outcome = !is_good ? AUTH_WRONG : is_to_ask && !has_turn ? AUTH_UNAVAILABLE : AUTH_GOOD;
    loop_soon(c->loop, &a->soon, tell_soon, a);
    return 0;
}

struct asked *asked_begin(const struct session *s, struct span response, asked_fn *fn, void *owner)
{
    struct asked *a = calloc(1, sizeof *a);
    if (a == NULL)
        return NULL;
    *a = (struct asked){.session = s, .fn = fn, .owner = owner, .response = response};
    if (begin(a) < 0)
        asked_end(&a);
    return a;
}

bool asked_is_unproven(const struct asked *a)
{
    return a != NULL && a->is_unproven;
}

void asked_end(struct asked **asked)
{
    struct asked *a = *asked;
    if (a == NULL)
        return;
    loop_not_soon(&a->soon);
    turn_end(&a->turn);
    login_check_end(&a->check);
    free(a);
    *asked = NULL;
}
