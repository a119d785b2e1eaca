#include "sasl/exchange.h"

#include "config/mechanisms.h"
#include "sasl/options.h"
#include "sasl/secrets.h"

#include <errno.h>
#include <sasl/sasl.h>
#include <sasl/saslplug.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CALLBACKS_OF_EXCHANGE = 4, PASSWORD_MAX = 1024, STORES_MAX = 256 };

struct sasl_exchange {
    sasl_conn_t *connection;
    enum mechanism mechanism;
    bool is_started, has_spoken;    /* the client has sent more than nothing */
    bool has_password;              /* the library has given it, to be asked about elsewhere */
    sasl_channel_binding_t binding; /* size 0: there is none */
    char binding_name[AUTH_BINDING_NAME_SIZE];
    unsigned char binding_bytes[AUTH_BINDING_MAX];
    char account[ACCOUNT_SIZE]; /* of who logs in; "" as long as nobody does */
    char login[ACCOUNT_SIZE];   /* what the store is asked for */
    struct buffer password;     /* for who is asked elsewhere */
    sasl_callback_t callbacks[CALLBACKS_OF_EXCHANGE];
};

/* Stands for all that is no name: an account never has a "!". What a store holds under it, nobody
 * can be. */
#define NOBODY "!"

/* libsasl2 has one set of callbacks a process, and so this. */
static struct {
    const struct config *config;
    const struct sealed *aliases; /* other names of accounts; NULL: none */
    struct error trouble;         /* what the library has said last of one */
} library;

/* A name that no method has: after a callback that refuses, the library goes on to the method, and
 * its default would let in whom a forgotten sasldb knows. */
#define NO_METHOD "none"

/* A store of no users, where another knows them: without any, the library lets nobody name whom he
 * acts for. */
#define NO_STORE "nobody"

/* The plugins that know passwords, alone and with ours behind them. */
static char stores[STORES_MAX], stores_and_secrets[STORES_MAX + sizeof SASL_SECRETS_PLUGIN];

/* Does somebody else than the library check passwords? */
static bool is_asked_elsewhere(void)
{
    return library.config->auth.backend == BACKEND_SASLAUTHD ||
           library.config->auth.backend == BACKEND_UPSTREAM;
}

/* What libsasl2 runs of the mechanisms; the others are put together from these by who asks. */
static const struct run {
    enum mechanism mechanism;
    const char *plugin;
    bool needs_secrets; /* see sasl/secrets.h */
} runs[] = {
    {MECHANISM_PLAIN, "libplain.", false},
    {MECHANISM_SCRAM, "libscram.", true},
    {MECHANISM_SCRAM_PLUS, "libscram.", true},
    {MECHANISM_CRAM_MD5, "libcrammd5.", true},
};

enum { RUNS = sizeof runs / sizeof *runs };

/* LOGIN comes as PLAIN. */
static bool is_wanted(enum mechanism m)
{
    unsigned set = 0;
    for (size_t i = 0; i < library.config->listener_count; i++)
        set |= library.config->listeners[i].mechanisms;
    return m == MECHANISM_PLAIN || (set >> m & 1) != 0;
}

/* NULL: it is not run here, or not wanted. */
static const struct run *find(enum mechanism m)
{
    for (size_t i = 0; i < RUNS; i++)
        if (runs[i].mechanism == m && is_wanted(m))
            return &runs[i];
    return NULL;
}

/* The library asks for its settings by name, again at each login. No file is read for them. */
static int get_option(void *context, const char *plugin, const char *option, const char **result,
                      unsigned *size)
{
    static const char *const fixed[][2] = {
        {"mech_list", "PLAIN SCRAM-SHA-256 CRAM-MD5"},
        {"log_level", "0"},
    };
    const struct sasl_exchange *e = context;
    const struct run *run = e == NULL ? NULL : find(e->mechanism);
    bool needs_secrets = run != NULL && run->needs_secrets;
    (void)plugin;
    *result = NULL;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (strcmp(option, fixed[i][0]) == 0)
            *result = fixed[i][1];
    if (strcmp(option, "pwcheck_method") == 0)
        *result = is_asked_elsewhere() ? NO_METHOD : "auxprop";
    if (strcmp(option, "auxprop_plugin") == 0)
        *result = needs_secrets ? stores_and_secrets : stores;
    if (strcmp(option, "sasldb_path") == 0)
        *result = library.config->auth.sasldb;
    if (*result == NULL && library.config->auth.backend == BACKEND_AUXPROP)
        *result = options_find(option);
    if (size != NULL)
        *size = *result == NULL ? 0 : (unsigned)strlen(*result);
    return SASL_OK;
}

/* Is it one of the plugins that know passwords, "libNAME.so" for NAME? */
static bool is_store(const char *file)
{
    struct span rest = span_of(stores);
    while (rest.size > 0) {
        char name[STORES_MAX + 8];
        struct span store = span_split(&rest, ' ');
        (void)snprintf(name, sizeof name, "/lib%.*s.", (int)store.size, store.data); /* fits */
        if (store.size > 0 && strstr(file, name) != NULL)
            return true;
    }
    return false;
}

/* Of all plugins on the machine those that are needed are loaded: the others' code meets no
 * stranger. */
static int verify_file(void *context, const char *file, sasl_verify_type_t type)
{
    (void)context;
    if (type != SASL_VRFY_PLUGIN)
        return SASL_OK;
    for (size_t i = 0; i < RUNS; i++)
        if (is_wanted(runs[i].mechanism) && strstr(file, runs[i].plugin) != NULL)
            return SASL_OK;
    return is_store(file) ? SASL_OK : SASL_CONTINUE;
}

/* Whose name is this? Fills in account and login. Returns 0, or -1: nobody's. */
static int identify(struct span given, char account[ACCOUNT_SIZE], char login[ACCOUNT_SIZE])
{
    const struct auth_config *a = &library.config->auth;
    return aliases_account(library.aliases, given, a->realm, account) < 0 ||
                   account_login_name((enum login_name)a->login_name, given, account, a->realm,
                                      login) < 0
               ? -1
               : 0;
}

/* What is looked up is what the store knows the account as, however the user writes it. What is no
 * name is looked up too: that takes as long as a wrong password. Whom one would act for is the same
 * if it is the same account, and else nobody. */
static int canonical_user(sasl_conn_t *connection, void *context, const char *in, unsigned in_size,
                          unsigned flags, const char *realm, char *out, unsigned out_max,
                          unsigned *out_size)
{
    struct sasl_exchange *e = context;
    char account[ACCOUNT_SIZE], login[ACCOUNT_SIZE];
    (void)connection, (void)realm;
    if (identify(span_make(in, in_size), account, login) < 0) {
        (void)strcpy(account, ""); /* fits */
        (void)strcpy(login, NOBODY);
    }
    if ((flags & SASL_CU_AUTHID) != 0) {
        (void)strcpy(e->account, account); /* fits */
        (void)strcpy(e->login, login);
    }
    const char *told = strcmp(account, e->account) == 0 ? e->login : NOBODY;
    const char *at = strchr(told, '@') == NULL ? "@" : ""; /* else the library may add it or not */
    int size =
        snprintf(out, out_max, "%s%s%s", told, at, at[0] == '\0' ? "" : library.config->auth.realm);
    *out_size = (unsigned)size;
    return size < (int)out_max ? SASL_OK : SASL_BUFOVER;
}

/* Keeps the password for who is asked elsewhere. The library is told that it is right: it goes on
 * to see that nobody speaks for somebody else, and that is all that its own word counts for. */
static int keep_password(sasl_conn_t *connection, void *context, const char *user,
                         const char *password, unsigned size, struct propctx *properties)
{
    struct sasl_exchange *e = context;
    (void)connection, (void)user, (void)properties;
    buffer_clear(&e->password);
    if (memchr(password, '\0', size) != NULL || e->account[0] == '\0')
        return SASL_BADAUTH;
    if (buffer_append(&e->password, span_make(password, size)) < 0)
        return size > PASSWORD_MAX ? SASL_BADAUTH : SASL_NOMEM;
    e->has_password = true;
    return SASL_OK;
}

/* What the library says of troubles is kept: the outcome is logged by who asked. */
static int keep_trouble(void *context, int level, const char *message)
{
    (void)context;
    if (level == SASL_LOG_ERR)
        (void)error_set(&library.trouble, "%s", message);
    return SASL_OK;
}

static int look_up_nothing(void *context, sasl_server_params_t *parameters, unsigned flags,
                           const char *user, unsigned size)
{
    (void)context, (void)parameters, (void)flags, (void)user, (void)size;
    return SASL_OK;
}

static int make_no_store(const sasl_utils_t *utils, int max_version, int *version,
                         sasl_auxprop_plug_t **plugin, const char *name)
{
    static char no_store_name[] = NO_STORE;
    static sasl_auxprop_plug_t no_store = {.name = no_store_name,
                                           .auxprop_lookup = look_up_nothing};
    (void)utils, (void)max_version, (void)name;
    *version = SASL_AUXPROP_PLUG_VERSION;
    *plugin = &no_store;
    return SASL_OK;
}

/* A callback as libsasl2 wants it: without its arguments. */
#define CALLBACK(fn) ((int (*)(void))(void (*)(void))(fn))

static const sasl_callback_t *callbacks(void)
{
    static sasl_callback_t all[4];
    all[0] = (sasl_callback_t){SASL_CB_GETOPT, CALLBACK(get_option), NULL};
    all[1] = (sasl_callback_t){SASL_CB_VERIFYFILE, CALLBACK(verify_file), NULL};
    all[2] = (sasl_callback_t){SASL_CB_LOG, CALLBACK(keep_trouble), NULL};
    all[3] = (sasl_callback_t){SASL_CB_LIST_END, NULL, NULL};
    return all;
}

/* Those that have to know which exchange it is. */
static const sasl_callback_t *callbacks_of(struct sasl_exchange *e)
{
    size_t count = 0;
    e->callbacks[count++] = (sasl_callback_t){SASL_CB_GETOPT, CALLBACK(get_option), e};
    e->callbacks[count++] = (sasl_callback_t){SASL_CB_CANON_USER, CALLBACK(canonical_user), e};
    if (is_asked_elsewhere())
        e->callbacks[count++] =
            (sasl_callback_t){SASL_CB_SERVER_USERDB_CHECKPASS, CALLBACK(keep_password), e};
    e->callbacks[count] = (sasl_callback_t){SASL_CB_LIST_END, NULL, NULL};
    return e->callbacks;
}

/* What auxprop_plugin says; whatever else is on the machine is not asked. */
static int choose_stores(struct error *why)
{
    static const char *const of_backend[] = {
        [BACKEND_SASLDB] = "sasldb", [BACKEND_SASLAUTHD] = NO_STORE, [BACKEND_UPSTREAM] = NO_STORE};
    int backend = library.config->auth.backend;
    const char *names = backend == BACKEND_AUXPROP ? NULL : of_backend[backend];
    if (backend == BACKEND_AUXPROP && options_read(library.config, why) < 0)
        return -1;
    if (names == NULL)
        names = options_find("auxprop_plugin");
    if (names == NULL || span_copy(span_of(names), stores, sizeof stores) != strlen(names))
        return error_set(why, "auxprop_plugin: no names of plugins");
    (void)snprintf(stores_and_secrets, sizeof stores_and_secrets, "%s %s", stores,
                   SASL_SECRETS_PLUGIN); /* fits */
    return 0;
}

static void see_store(sasl_auxprop_plug_t *plugin, sasl_info_callback_stage_t stage, void *found)
{
    (void)plugin;
    if (stage == SASL_INFO_LIST_MECH)
        *(bool *)found = true;
}

static int check_stores(struct error *why)
{
    struct span rest = span_of(stores);
    while (rest.size > 0) {
        char name[STORES_MAX];
        bool is_found = false;
        (void)span_copy(span_split(&rest, ' '), name, sizeof name); /* fits */
        if (name[0] != '\0')
            (void)auxprop_plugin_info(name, see_store, &is_found); /* else it isn't found */
        if (name[0] != '\0' && !is_found)
            return error_set(why, "libsasl2 has no plugin \"%s\", or that does not start%s%s", name,
                             library.trouble.text[0] == '\0' ? "" : ": ", library.trouble.text);
    }
    return 0;
}

/* Is all there that is to be offered? */
static int check_plugins(struct error *why)
{
    sasl_conn_t *probe = NULL;
    const char *list = NULL;
    const char *missing = NULL;
    int result = sasl_server_new("smtp", library.config->hostname, library.config->auth.realm, NULL,
                                 NULL, NULL, 0, &probe);
    if (result == SASL_OK)
        (void)sasl_listmech(probe, NULL, "", " ", "", &list, NULL, NULL); /* else it has none */
    for (size_t i = 0; i < RUNS; i++) {
        enum mechanism m = runs[i].mechanism;
        if (m == MECHANISM_SCRAM_PLUS)
            m = MECHANISM_SCRAM; /* the other is listed where there is a binding */
        if (find(runs[i].mechanism) != NULL &&
            (list == NULL || strstr(list, mechanism_names[m]) == NULL))
            missing = mechanism_names[m];
    }
    sasl_dispose(&probe);
    if (missing != NULL)
        return error_set(why, "libsasl2 lacks %s; install libsasl2-modules", missing);
    return 0;
}

int sasl_start(const struct config *config, const unsigned char *secret, struct error *why)
{
    library.config = config;
    library.trouble.text[0] = '\0';
    if (choose_stores(why) < 0)
        return -1;
    int result = sasl_server_init(callbacks(), "porteiro");
    if (result == SASL_OK && is_asked_elsewhere())
        result = sasl_auxprop_add_plugin(NO_STORE, make_no_store);
    if (result != SASL_OK)
        return error_set(why, "libsasl2: %s", sasl_errstring(result, NULL, NULL));
    return sasl_secrets_add(secret, why) < 0 || check_stores(why) < 0 ? -1 : check_plugins(why);
}

void sasl_use_aliases(const struct sealed *aliases)
{
    library.aliases = aliases;
}

void sasl_stop(void)
{
    sasl_use_aliases(NULL);
    sasl_done();
    options_forget();
}

/* A binding that is not critical: the library would offer -PLUS alone. */
static int bind_channel(struct sasl_exchange *e, const struct message_auth_start *start)
{
    if (start->binding_size == 0 || start->binding_size > sizeof e->binding_bytes)
        return SASL_OK;
    (void)snprintf(e->binding_name, sizeof e->binding_name, "%.*s", (int)sizeof start->binding_name,
                   start->binding_name); /* fits, or is none */
    memcpy(e->binding_bytes, start->binding_bytes, start->binding_size);
    e->binding = (sasl_channel_binding_t){
        .name = e->binding_name, .len = start->binding_size, .data = e->binding_bytes};
    return sasl_setprop(e->connection, SASL_CHANNEL_BINDING, &e->binding);
}

struct sasl_exchange *sasl_exchange_create(const struct message_auth_start *start)
{
    struct sasl_exchange *e = calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    e->password.limit = PASSWORD_MAX;
    /* One that we don't run is found by nobody. */
    e->mechanism =
        start->mechanism < MECHANISM_COUNT ? (enum mechanism)start->mechanism : MECHANISM_EXTERNAL;
    if (sasl_server_new(start->service == AUTH_POP3 ? "pop" : "smtp", library.config->hostname,
                        library.config->auth.realm, NULL, NULL, callbacks_of(e), 0,
                        &e->connection) != SASL_OK ||
        bind_channel(e, start) != SASL_OK)
        sasl_exchange_destroy(&e);
    return e;
}

void sasl_exchange_destroy(struct sasl_exchange **e)
{
    if (*e == NULL)
        return;
    sasl_dispose(&(*e)->connection);
    buffer_clear(&(*e)->password);
    free(*e);
    *e = NULL;
}

/* A store that can't be read says "no such user" in libsasl2: no reason to tell somebody that his
 * password is wrong. */
static bool is_store_away(void)
{
    const char *store = library.config->auth.sasldb;
    if (library.config->auth.backend != BACKEND_SASLDB || access(store, R_OK) == 0)
        return false;
    (void)error_set(&library.trouble, "%s: %s", store, strerror(errno));
    return true;
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
    case SASL_BADBINDING:
    case SASL_NOMECH: return is_store_away() ? AUTH_UNAVAILABLE : AUTH_WRONG;
    default: return AUTH_UNAVAILABLE;
    }
}

/* SCRAM's first message begins with what the client knows of channel bindings (RFC 5802 section 6).
 * The library lets a binding be used without -PLUS and -PLUS without one, so that it is looked at
 * here. "y": the client could, and was told that we can't; where that isn't so somebody between us
 * has changed what we offered. */
static bool is_binding_right(const struct sasl_exchange *e, struct span first)
{
    bool is_offered = e->binding.len > 0;
    struct span flag = span_split(&first, ',');
    if (e->mechanism != MECHANISM_SCRAM_PLUS)
        return span_equals(flag, "n") || (span_equals(flag, "y") && !is_offered);
    if (!is_offered || flag.size < 2 || memcmp(flag.data, "p=", 2) != 0)
        return false;
    span_skip(&flag, 2);
    return span_equals(flag, e->binding_name);
}

static int run_step(struct sasl_exchange *e, const struct span *response, struct span *out)
{
    const char *challenge = NULL; /* the library leaves it alone when there is none */
    unsigned size = 0;
    const char *data = response == NULL ? NULL : response->data;
    unsigned data_size = response == NULL ? 0 : (unsigned)response->size;
    const struct run *run = find(e->mechanism);
    bool is_first = !e->has_spoken && data_size > 0;
    e->has_spoken = e->has_spoken || is_first;
    if (run == NULL)
        return SASL_NOMECH;
    if (is_first && (1U << e->mechanism & MECHANISMS_SCRAM) != 0 && !is_binding_right(e, *response))
        return SASL_BADBINDING;
    int result = e->is_started ? sasl_server_step(e->connection, data, data_size, &challenge, &size)
                               : sasl_server_start(e->connection, mechanism_names[e->mechanism],
                                                   data, data_size, &challenge, &size);
    e->is_started = true;
    *out = span_make(challenge == NULL ? "" : challenge, challenge == NULL ? 0 : size);
    return result;
}

enum sasl_step sasl_exchange_step(struct sasl_exchange *e, const struct span *response,
                                  enum auth_outcome *outcome, struct span *out)
{
    library.trouble.text[0] = '\0';
    *out = span_make("", 0);
    int result = run_step(e, response, out);
    if (result == SASL_CONTINUE)
        return SASL_STEP_CHALLENGE;
    *outcome = outcome_of(result);
    if (*outcome == AUTH_GOOD && (e->account[0] == '\0' || is_asked_elsewhere() != e->has_password))
        *outcome = AUTH_WRONG;
    if (*outcome == AUTH_UNAVAILABLE && library.trouble.text[0] == '\0')
        (void)error_set(&library.trouble, "libsasl2: %s", sasl_errstring(result, NULL, NULL));
    *out = span_of(*outcome == AUTH_GOOD          ? e->account
                   : *outcome == AUTH_UNAVAILABLE ? library.trouble.text
                                                  : "");
    return *outcome == AUTH_GOOD && e->has_password ? SASL_STEP_ASK : SASL_STEP_DONE;
}

const char *sasl_exchange_account(const struct sasl_exchange *e)
{
    return e->account;
}

const char *sasl_exchange_login(const struct sasl_exchange *e)
{
    return e->login;
}

struct span sasl_exchange_password(const struct sasl_exchange *e)
{
    return buffer_bytes(&e->password);
}
