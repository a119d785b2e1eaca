#include "control/logins.h"

#include "auth/aliases.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum { TESTS_MAX = 8, RESPONSE_MAX = 4096 };

struct test {
    struct logins *logins;
    struct control_socket *socket;
    struct auth_exchange *exchange; /* NULL: nobody's */
    uint32_t request;
    int64_t began_ns;
    json_t *told; /* the steps so far */
};

struct logins {
    struct logins_options options;
    struct auth_client *auth;
    struct test tests[TESTS_MAX];
};

struct logins *logins_create(const struct logins_options *options)
{
    struct logins *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    l->options = *options;
    l->auth = auth_client_create(options->loop, NULL);
    if (l->auth == NULL)
        logins_destroy(&l);
    return l;
}

static void end_test(struct test *t)
{
    auth_cancel(&t->exchange);
    json_decref(t->told);
    *t = (struct test){.exchange = NULL};
}

void logins_destroy(struct logins **logins)
{
    struct logins *l = *logins;
    if (l == NULL)
        return;
    for (size_t i = 0; i < TESTS_MAX; i++)
        end_test(&l->tests[i]);
    auth_client_destroy(&l->auth);
    free(l);
    *logins = NULL;
}

void logins_add(struct logins *l, int fd)
{
    auth_client_add(l->auth, fd);
}

/* ---- forget ---- */

bool logins_forget_account(const struct auth_cache *any, const struct process_table *processes,
                           const char *account)
{
    struct auth_cache cache = *any;
    struct process_row row;
    bool was_known = false;
    for (size_t slot = 0; slot < PROCESS_SLOT_MAX; slot++) {
        if (process_read(processes, slot, &row) < 0)
            continue;
        cache.generation = row.generation;
        was_known = auth_cache_forget(&cache, account) || was_known;
    }
    return was_known;
}

void logins_forget(struct logins *l, struct control_socket *socket, uint32_t request,
                   const char *name)
{
    const struct auth_cache *cache = &l->options.cache;
    char account[ACCOUNT_SIZE];
    struct error said;
    if (aliases_account(cache->aliases, span_of(name), cache->realm, account) < 0) {
        (void)error_set(&said, "\"%s\" is nobody's name", name);
        control_socket_answer(socket, request, false, span_of(said.text));
        return;
    }
    bool was_known = logins_forget_account(cache, l->options.processes, account);
    (void)error_set(&said, "%s: %s", account,
                    was_known ? "the next login asks the backend" : "nothing was known");
    control_socket_answer(socket, request, true, span_of(said.text));
}

/* ---- login-test ---- */

/* Adds what will be asked for. Returns 0, or -1: `name` is nobody's. */
static int describe(const struct logins *l, const char *name, json_t *told)
{
    static const char *const backends[] = {[BACKEND_SASLDB] = "sasldb",
                                           [BACKEND_SASLAUTHD] = "saslauthd",
                                           [BACKEND_UPSTREAM] = "upstream",
                                           [BACKEND_AUXPROP] = "auxprop"};
    const struct auth_config *a = &l->options.config->auth;
    char account[ACCOUNT_SIZE] = "", plain[ACCOUNT_SIZE] = "", login[ACCOUNT_SIZE] = "";
    bool is_somebody =
        aliases_account(l->options.cache.aliases, span_of(name), a->realm, account) == 0;
    if (account_canonical(span_of(name), a->realm, plain) < 0)
        plain[0] = '\0';
    bool is_told = is_somebody && account_login_name((enum login_name)a->login_name, span_of(name),
                                                     account, a->realm, login) == 0;
    (void)json_object_set_new(told, "name", json_string(name));
    (void)json_object_set_new(told, "is_alias", json_boolean(strcmp(plain, account) != 0));
    (void)json_object_set_new(told, "account", json_string(is_somebody ? account : ""));
    (void)json_object_set_new(told, "backend", json_string(backends[a->backend]));
    (void)json_object_set_new(told, "login_name", json_string(is_told ? login : ""));
    return is_told ? 0 : -1;
}

static void finish(struct test *t, enum auth_outcome outcome, const char *reason)
{
    static const char *const outcomes[] = {[AUTH_GOOD] = "good",
                                           [AUTH_WRONG] = "wrong",
                                           [AUTH_UNAVAILABLE] = "unavailable",
                                           [AUTH_MALFORMED] = "wrong"};
    int64_t took = loop_now(t->logins->options.loop) - t->began_ns;
    json_t *duration = json_real((double)took / (double)CLOCK_SECOND);
    log_event(t->logins->options.log, EVENT_login_tested,
              field_text(KEY_account, json_string_value(json_object_get(t->told, "account"))),
              field_text(KEY_verdict, outcomes[outcome]), field_text(KEY_reason, reason));
    (void)json_object_set_new(t->told, "outcome", json_string(outcomes[outcome]));
    (void)json_object_set_new(t->told, "reason", json_string(reason));
    (void)json_object_set_new(t->told, "duration", duration);
    control_socket_tell(t->socket, t->request, t->told);
    control_socket_answer(t->socket, t->request, outcome == AUTH_GOOD,
                          span_of(outcome == AUTH_GOOD ? "the password is right" : reason));
    end_test(t);
}

static void on_answer(void *owner, const struct auth_answer *answer)
{
    struct test *t = owner;
    char reason[512] = "the password is wrong, or nobody is called so";
    if (!answer->is_done)
        return; /* PLAIN asks for nothing; the auth process's end ends one that does */
    t->exchange = NULL;
    if (answer->outcome == AUTH_UNAVAILABLE)
        (void)span_copy(answer->text, reason, sizeof reason); /* cut to fit */
    finish(t, answer->outcome, answer->outcome == AUTH_GOOD ? "" : reason);
}

static struct test *find_free(struct logins *l)
{
    for (size_t i = 0; i < TESTS_MAX; i++)
        if (l->tests[i].socket == NULL)
            return &l->tests[i];
    return NULL;
}

void logins_test(struct logins *l, struct control_socket *socket, uint32_t request,
                 const char *name, const char *password)
{
    struct test *t = find_free(l);
    const char *why;
    char text[RESPONSE_MAX];
    int size = snprintf(text, sizeof text, "%c%s%c%s", '\0', name, '\0', password);
    if (t == NULL || size >= (int)sizeof text) {
        control_socket_answer(socket, request, false,
                              span_of(t == NULL ? "too many tests at once; try again"
                                                : "name or password is too long"));
    } else {
        const struct span response = span_make(text, (size_t)size);
        const struct auth_request ask = {
            .service = AUTH_SMTP, .mechanism = MECHANISM_PLAIN, .response = &response};
        *t = (struct test){.logins = l,
                           .socket = socket,
                           .request = request,
                           .began_ns = loop_now(l->options.loop),
                           .told = json_object()};
        if (describe(l, name, t->told) < 0)
            finish(t, AUTH_WRONG, "no account can be called so, or none of this domain");
        else if (l->options.config->auth.backend == BACKEND_UPSTREAM)
            finish(t, AUTH_UNAVAILABLE, /* the auth process knows nothing of the password */
                   "the server behind is asked by sessions alone: log in with a mail client");
        else if ((t->exchange = auth_begin(l->auth, &ask, on_answer, t, &why)) == NULL)
            finish(t, AUTH_UNAVAILABLE, why);
    }
    explicit_bzero(text, sizeof text);
}
