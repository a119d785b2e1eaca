#include "sasl/exchange.h"

#include <sasl/sasl.h>
#include <sasl/saslplug.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct sasl_exchange {
    sasl_conn_t *connection;
    bool is_started;
    char mechanism[24];
    char account[ACCOUNT_SIZE];
};

/* Stands for all that is no name: an account never has a "!". */
#define NOBODY "!"

/* libsasl2 has one set of callbacks a process. */
static const struct config *config_in_use;

/* The library asks for its settings by name, again at each login. No file is read for them. */
static int get_option(void *context, const char *plugin, const char *option, const char **result,
                      unsigned *size)
{
    static const char *const fixed[][2] = {
        {"mech_list", "PLAIN LOGIN"},
        {"pwcheck_method", "auxprop"},
        {"auxprop_plugin", "sasldb"},
        {"log_level", "0"},
    };
    (void)context, (void)plugin;
    *result = NULL;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (strcmp(option, fixed[i][0]) == 0)
            *result = fixed[i][1];
    if (strcmp(option, "sasldb_path") == 0)
        *result = config_in_use->auth.sasldb;
    if (size != NULL)
        *size = *result == NULL ? 0 : (unsigned)strlen(*result);
    return SASL_OK;
}

/* Of all plugins on the machine three are loaded: the others' code meets no stranger. */
static int verify_file(void *context, const char *file, sasl_verify_type_t type)
{
    static const char *const wanted[] = {"libplain.", "liblogin.", "libsasldb."};
    (void)context;
    if (type != SASL_VRFY_PLUGIN)
        return SASL_OK;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (strstr(file, wanted[i]) != NULL)
            return SASL_OK;
    return SASL_CONTINUE;
}

/* What is looked up is the canonical account, however the user writes it. What is no name is looked
 * up too: that takes as long as a wrong password, and libsasl2's LOGIN forgets to free the password
 * when this function fails. */
static int canonical_user(sasl_conn_t *connection, void *context, const char *in, unsigned in_size,
                          unsigned flags, const char *realm, char *out, unsigned out_max,
                          unsigned *out_size)
{
    char account[ACCOUNT_SIZE];
    (void)connection, (void)context, (void)flags, (void)realm;
    if (account_canonical(span_make(in, in_size), config_in_use->auth.realm, account) < 0)
        (void)strcpy(account, NOBODY); /* fits */
    size_t size = strlen(account);
    if (size >= out_max)
        return SASL_BUFOVER;
    memcpy(out, account, size + 1);
    *out_size = (unsigned)size;
    return SASL_OK;
}

static int no_log(void *context, int level, const char *message)
{
    (void)context, (void)level, (void)message; /* the outcome is logged by who asked */
    return SASL_OK;
}

/* A callback as libsasl2 wants it: without its arguments. */
#define CALLBACK(fn) ((int (*)(void))(void (*)(void))(fn))

static const sasl_callback_t *callbacks(void)
{
    static sasl_callback_t all[5];
    all[0] = (sasl_callback_t){SASL_CB_GETOPT, CALLBACK(get_option), NULL};
    all[1] = (sasl_callback_t){SASL_CB_VERIFYFILE, CALLBACK(verify_file), NULL};
    all[2] = (sasl_callback_t){SASL_CB_CANON_USER, CALLBACK(canonical_user), NULL};
    all[3] = (sasl_callback_t){SASL_CB_LOG, CALLBACK(no_log), NULL};
    all[4] = (sasl_callback_t){SASL_CB_LIST_END, NULL, NULL};
    return all;
}

int sasl_start(const struct config *config, struct error *why)
{
    config_in_use = config;
    int result = sasl_server_init(callbacks(), "porteiro");
    if (result != SASL_OK)
        return error_set(why, "libsasl2: %s", sasl_errstring(result, NULL, NULL));
    sasl_conn_t *probe = NULL;
    const char *list = "";
    result =
        sasl_server_new("smtp", config->hostname, config->auth.realm, NULL, NULL, NULL, 0, &probe);
    if (result == SASL_OK)
        result = sasl_listmech(probe, NULL, "", " ", "", &list, NULL, NULL);
    bool has_both =
        result == SASL_OK && strstr(list, "PLAIN") != NULL && strstr(list, "LOGIN") != NULL;
    sasl_dispose(&probe);
    if (!has_both)
        return error_set(why, "libsasl2 lacks PLAIN or LOGIN; install libsasl2-modules");
    return 0;
}

void sasl_stop(void)
{
    sasl_done();
}

struct sasl_exchange *sasl_exchange_create(enum auth_service service, const char *mechanism)
{
    struct sasl_exchange *e = calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    (void)snprintf(e->mechanism, sizeof e->mechanism, "%s", mechanism); /* a longer one is none */
    if (sasl_server_new(service == AUTH_POP3 ? "pop" : "smtp", config_in_use->hostname,
                        config_in_use->auth.realm, NULL, NULL, NULL, 0, &e->connection) != SASL_OK)
        sasl_exchange_destroy(&e);
    return e;
}

void sasl_exchange_destroy(struct sasl_exchange **e)
{
    if (*e == NULL)
        return;
    sasl_dispose(&(*e)->connection);
    free(*e);
    *e = NULL;
}

/* A store that can't be read says "no such user" in libsasl2: no reason to tell somebody that his
 * password is wrong. */
static bool is_store_away(void)
{
    return access(config_in_use->auth.sasldb, R_OK) < 0;
}

static enum auth_outcome outcome_of(int result)
{
    switch (result) {
    case SASL_OK: return AUTH_GOOD;
    case SASL_BADPROT: return AUTH_MALFORMED;
    case SASL_BADAUTH:
    case SASL_NOUSER:
    case SASL_NOAUTHZ:
    case SASL_NOVERIFY:
    case SASL_DISABLED:
    case SASL_EXPIRED:
    case SASL_BADPARAM:
    case SASL_NOMECH: return is_store_away() ? AUTH_UNAVAILABLE : AUTH_WRONG;
    default: return AUTH_UNAVAILABLE;
    }
}

static enum auth_outcome take_account(struct sasl_exchange *e, struct span *out)
{
    const void *user = NULL;
    if (sasl_getprop(e->connection, SASL_USERNAME, &user) != SASL_OK || user == NULL)
        return AUTH_UNAVAILABLE;
    if (strcmp(user, NOBODY) == 0)
        return AUTH_WRONG;
    (void)snprintf(e->account, sizeof e->account, "%s", (const char *)user); /* it was canonical */
    *out = span_of(e->account);
    return AUTH_GOOD;
}

enum sasl_step sasl_exchange_step(struct sasl_exchange *e, const struct span *response,
                                  enum auth_outcome *outcome, struct span *out)
{
    const char *challenge = NULL; /* the library leaves it alone when there is none */
    unsigned size = 0;
    const char *data = response == NULL ? NULL : response->data;
    unsigned data_size = response == NULL ? 0 : (unsigned)response->size;
    int result = e->is_started ? sasl_server_step(e->connection, data, data_size, &challenge, &size)
                               : sasl_server_start(e->connection, e->mechanism, data, data_size,
                                                   &challenge, &size);
    e->is_started = true;
    *out = span_make(challenge == NULL ? "" : challenge, challenge == NULL ? 0 : size);
    if (result == SASL_CONTINUE)
        return SASL_STEP_CHALLENGE;
    *outcome = outcome_of(result);
    if (*outcome == AUTH_GOOD)
        *outcome = take_account(e, out);
    return SASL_STEP_DONE;
}
