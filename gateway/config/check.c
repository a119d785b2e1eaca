#include "config/check.h"

#include "config/grammar.h"
#include "config/mechanisms.h"
#include "config/networks.h"

#include <ifaddrs.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct checker {
    struct config *config;
    struct errors *errors;
};

static char *copy(const struct checker *k, const char *text)
{
    char *memory = arena_copy(k->config->arena, span_of(text));
    if (memory == NULL)
        abort(); /* out of memory at the start */
    return memory;
}

/* The host's fully qualified name, or its name as it is. */
static const char *find_hostname(const struct checker *k)
{
    char name[256] = "localhost";
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_flags = AI_CANONNAME};
    struct addrinfo *found = NULL;
    (void)gethostname(name, sizeof name - 1); /* then it stays localhost */
    if (strchr(name, '.') != NULL || getaddrinfo(name, NULL, &hints, &found) != 0)
        return copy(k, name);
    const char *full = found->ai_canonname == NULL ? name : found->ai_canonname;
    const char *result = copy(k, strchr(full, '.') == NULL ? name : full);
    freeaddrinfo(found);
    return result;
}

static void check_names(const struct checker *k)
{
    struct config *c = k->config;
    networks_read(&c->shared_networks, c->arena, &c->shared);
    const struct place hostname = config_place(c, "hostname"), http = config_place(c, "http");
    if (c->hostname[0] == '\0')
        c->hostname = find_hostname(k);
    const char *dot = strchr(c->hostname, '.');
    if (dot == NULL)
        errors_warn_at(k->errors, &hostname,
                       "hostname: \"%s\" has no domain; other servers expect a full name, as "
                       "hostname = \"mail.example.com\"",
                       c->hostname);
    if (c->auth.realm[0] == '\0')
        c->auth.realm = dot == NULL ? c->hostname : copy(k, dot + 1);
    const struct watched_config contacts = {WATCHED_CONTACTS, "contacts", c->contacts,
                                            config_place(c, "contacts"), NULL};
    config_watch(c, &contacts, k->errors);
    if (c->contacts[0] != '\0' && c->notify_count == 0)
        errors_warn_at(
            k->errors, &contacts.place,
            "contacts: no command tells them; write notify = { mail = { command = ... } }");
    if (c->notify_count > NOTIFY_MAX)
        errors_add_at(k->errors, &c->notify[NOTIFY_MAX].place, "notify.%s: more than %d commands",
                      c->notify[NOTIFY_MAX].name, NOTIFY_MAX);
    if (c->http.count > 0)
        errors_add_at(k->errors, &http, "http: this version serves no HTTP; write http = []");
}

/* Without a name the library would ask whatever plugin there is. */
static void check_options(const struct checker *k)
{
    static const char plugin[] = "auxprop_plugin=";
    const struct auth_config *a = &k->config->auth;
    bool is_named = false, is_any = a->options.count > 0 || a->options_file[0] != '\0';
    for (size_t i = 0; i < a->options.count; i++)
        is_named = is_named || (strncmp(a->options.items[i], plugin, sizeof plugin - 1) == 0 &&
                                a->options.items[i][sizeof plugin - 1] != '\0');
    if (a->backend == BACKEND_AUXPROP && !is_named)
        errors_add_at(k->errors, &a->place,
                      "auth.options: backend \"auxprop\" needs the name of a plugin, as "
                      "options = [\"auxprop_plugin=sql\", \"sql_engine=pgsql\"]");
    else if (a->backend != BACKEND_AUXPROP && is_any)
        errors_warn_at(k->errors, &a->place,
                       "auth.options: they are for backend = \"auxprop\" alone");
}

static void check_auth(const struct checker *k)
{
    static const enum login_name of_backend[] = {[BACKEND_SASLDB] = LOGIN_NAME_ACCOUNT,
                                                 [BACKEND_SASLAUTHD] = LOGIN_NAME_LOCAL,
                                                 [BACKEND_UPSTREAM] = LOGIN_NAME_GIVEN,

                                                 [BACKEND_AUXPROP] = LOGIN_NAME_ACCOUNT};
    struct auth_config *a = &k->config->auth;
    if (a->login_name == LOGIN_NAME_OF_BACKEND)
        a->login_name = of_backend[a->backend];
    check_options(k);
    const struct watched_config aliases = {WATCHED_ALIASES, "auth.aliases", a->aliases, a->place,
                                           NULL};
    config_watch(k->config, &aliases, k->errors);
}

/* Who checks the passwords, where a server behind does. */
static void check_asked(const struct checker *k)
{
    const struct config *c = k->config;
    const struct auth_config *a = &c->auth;
    if (a->upstream[0] != '\0' && a->backend != BACKEND_UPSTREAM)
        errors_add_at(k->errors, &a->place,
                      "auth.upstream: means nothing without backend = \"upstream\"");
    else if (a->upstream[0] != '\0' && config_find_upstream(c, a->upstream) == NULL)
        errors_add_at(k->errors, &a->place, "auth.upstream: \"%s\" is not in upstreams",
                      a->upstream);
    for (size_t i = 0; i < c->upstream_count; i++)
        if (c->upstreams[i].is_asked && c->upstreams[i].identity == IDENTITY_AUTH)
            errors_add_at(
                k->errors, &c->upstreams[i].place,
                "upstreams.%s.identity: where the gateway has logged in itself it can ask "
                "for nobody else; with auth.backend = \"upstream\" write another "
                "identity, or name another upstream in auth.upstream",
                c->upstreams[i].name);
}

static void check_tls(const struct checker *k)
{
    const struct config *c = k->config;
    for (size_t i = 0; i < c->tls_count; i++) {
        const struct tls_config *t = &c->tls[i];
        if (t->key.count != t->certificate.count && t->key.count > 0 && t->certificate.count > 0)
            errors_add_at(k->errors, &t->place,
                          "tls.%s.key: %zu keys for %zu certificates; list them in the "
                          "same order",
                          t->name, t->key.count, t->certificate.count);
    }
}

/* Is it an address of one of this machine's interfaces? */
static bool is_local(const struct address *a)
{
    struct ifaddrs *all, *i;
    bool found = false;
    struct in6_addr v6 = a->any.sa_family == AF_INET6 ? a->v6.sin6_addr : in6addr_any;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
        struct address v4 = {.size = sizeof v4.v4};
        v4.v4.sin_family = AF_INET;
        memcpy(&v4.v4.sin_addr, &v6.s6_addr[12], sizeof v4.v4.sin_addr);
        return is_local(&v4);
    }
    if (getifaddrs(&all) < 0)
        return false;
    for (i = all; i != NULL && !found; i = i->ifa_next) {
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != a->any.sa_family)
            continue;
        struct address is = {.size = a->size};
        memcpy(&is.v6, i->ifa_addr, a->any.sa_family == AF_INET6 ? sizeof is.v6 : sizeof is.v4);
        found = a->any.sa_family == AF_INET6
                    ? IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &is.v6.sin6_addr)
                    : a->v4.sin_addr.s_addr == is.v4.sin_addr.s_addr ||
                          ntohl(a->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    freeifaddrs(all);
    return found;
}

static bool is_any(const struct address *a)
{
    (void)a;
    return true;
}

/* Mail that comes back in at our own door would never end. */
static void check_loop(const struct checker *k, const struct server_config *s)
{
    const struct config *c = k->config;
    for (size_t i = 0; i < c->listener_count; i++)
        for (size_t n = 0; n < c->listeners[i].address_count; n++)
            if (address_reaches(&s->to, &c->listeners[i].addresses[n], is_local) ||
                address_reaches(&c->listeners[i].addresses[n], &s->to, is_any))
                errors_add_at(k->errors, &s->place,
                              "upstreams.%s: %s is the gateway's own listener \"%s\"; "
                              "write the address of the server behind",
                              s->name, s->address, c->listeners[i].name);
}

static void check_identity(const struct checker *k, const struct upstream_config *u)
{
    char known[100] = "";
    size_t used = 0;
    for (int i = 0; upstream_identity_name(i) != NULL; i++)
        if (upstream_identity_is_for(i, u->protocol))
            used += (size_t)snprintf(known + used, sizeof known - used, "%s\"%s\"", /* fits */
                                     used == 0 ? "" : ", ", upstream_identity_name(i));
    if (!upstream_identity_is_for(u->identity, u->protocol))
        errors_add_at(
            k->errors, &u->place,
            "upstreams.%s.identity: \"%s\" means nothing for protocol \"%s\"; it knows %s", u->name,
            upstream_identity_name(u->identity), u->protocol == UPSTREAM_POP3 ? "pop3" : "smtp",
            known);
}

/* The keys of an account of the gateway's own. */
static void check_account(const struct checker *k, const struct upstream_config *u)
{
    bool has_command = u->token_command[0] != '\0';
    bool is_oauth = u->mechanism == UPSTREAM_MECHANISM_XOAUTH2;
    const struct {
        const char *key, *value, *preset, *example;
        int identity;
        bool is_needed;
    } keys[] = {
        {"username", u->username, "", "porteiro@example.com", IDENTITY_AUTH, true},
        {"password_file", u->password_file, "", "/etc/porteiro/smtp.password", IDENTITY_AUTH,
         !has_command && !is_oauth},
        {"token_command", u->token_command, "", "/etc/porteiro/token", IDENTITY_AUTH, is_oauth},
        {"mechanism", u->mechanism == UPSTREAM_MECHANISM_BEST ? "" : "set", "", "", IDENTITY_AUTH,
         false},
        {"master_user", u->master_user, "", "porteiro", IDENTITY_MASTER, true},
        {"master_password_file", u->master_password_file, "", "/etc/porteiro/pop3.password",
         IDENTITY_MASTER, true},
        {"master_separator", u->master_separator, "*", "", IDENTITY_MASTER, false},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        bool is_set = strcmp(keys[i].value, keys[i].preset) != 0;
        const char *identity = upstream_identity_name(keys[i].identity);
        if (u->identity == keys[i].identity && keys[i].is_needed && !is_set)
            errors_add_at(k->errors, &u->place,
                          "upstreams.%s.%s: is missing; identity \"%s\" needs it, as \"%s\"",
                          u->name, keys[i].key, identity, keys[i].example);
        else if (u->identity != keys[i].identity && is_set)
            errors_add_at(k->errors, &u->place,
                          "upstreams.%s.%s: means nothing without identity = \"%s\"", u->name,
                          keys[i].key, identity);
    }
    if (u->identity == IDENTITY_MASTER &&
        (u->master_separator[0] == '\0' || strchr(u->master_separator, ' ') != NULL))
        errors_add_at(k->errors, &u->place,
                      "upstreams.%s.master_separator: \"%s\" can't stand between two names; write "
                      "\"*\"",
                      u->name, u->master_separator);
    if (has_command && u->password_file[0] != '\0')
        errors_add_at(
            k->errors, &u->place,
            "upstreams.%s.token_command: it stands instead of password_file; leave one of "
            "them out",
            u->name);
    if (has_command && !is_oauth && u->mechanism != UPSTREAM_MECHANISM_BEST)
        errors_add_at(k->errors, &u->place,
                      "upstreams.%s.mechanism: a token goes by \"XOAUTH2\" alone", u->name);
}

/* What was set for a check that doesn't take place would be a false comfort. */
static void check_upstream_tls(const struct checker *k, const struct upstream_config *u)
{
    bool is_password = upstream_has_password(u), has_key = u->client_key[0] != '\0';
    bool has_ca = u->ca[0] != '\0', has_fingerprint = u->fingerprint[0] != '\0';
    if (has_ca && has_fingerprint)
        errors_add_at(k->errors, &u->place,
                      "upstreams.%s.fingerprint: it stands instead of ca; leave one of them out",
                      u->name);
    if (upstream_is_checked(u) && u->tls <= UPSTREAM_TLS_OPPORTUNISTIC)
        errors_add_at(k->errors, &u->place,
                      "upstreams.%s.%s: with tls = \"%s\" nobody looks at a certificate; write "
                      "tls = \"verify\" or \"implicit\"",
                      u->name, has_ca ? "ca" : "fingerprint", upstream_tls_name(u->tls));
    if (has_key != (u->client_certificate[0] != '\0'))
        errors_add_at(k->errors, &u->place,
                      "upstreams.%s.%s: is missing; client_certificate and client_key go together",
                      u->name, has_key ? "client_certificate" : "client_key");
    if (has_key && u->tls == UPSTREAM_TLS_NONE)
        errors_add_at(k->errors, &u->place,
                      "upstreams.%s.client_certificate: with tls = \"none\" nobody sees it",
                      u->name);
    if (is_password && u->tls == UPSTREAM_TLS_OPPORTUNISTIC)
        errors_add_at(k->errors, &u->place,
                      "upstreams.%s.tls: \"opportunistic\" may send a password in clear; "
                      "write \"require\", \"verify\", \"implicit\", or \"none\" on a private "
                      "network",
                      u->name);
    for (size_t i = 0; i < u->server_count; i++)
        if (is_password && u->tls == UPSTREAM_TLS_NONE && u->servers[i].to.size > 0 &&
            !address_is_private(&u->servers[i].to))
            errors_warn_at(
                k->errors, &u->servers[i].place,
                "upstreams.%s: passwords travel in clear to %s, which is no private address",
                u->servers[i].name, u->servers[i].address);
}

static void check_upstreams(const struct checker *k)
{
    const struct config *c = k->config;
    size_t servers = 0;
    for (size_t i = 0; i < c->upstream_count; i++) {
        struct upstream_config *u = &c->upstreams[i];
        servers += u->server_count;
        if (u->server_count == 0)
            errors_add_at(k->errors, &u->place,
                          "upstreams.%s.servers: is missing; write servers = { legacy = { "
                          "address = \"10.0.0.5:%d\" } }",
                          u->name, u->protocol == UPSTREAM_POP3 ? 110 : 25);
        if (u->protocol == UPSTREAM_POP3 && u->server_count > 1)
            errors_add_at(k->errors, &u->place,
                          "upstreams.%s.servers: a mailbox has one server; list one", u->name);
        for (size_t n = 0; n < u->server_count; n++) {
            struct server_config *s = &u->servers[n];
            if (address_parse(s->address, &s->to, NULL) == 0)
                check_loop(k, s);
        }
        check_identity(k, u);
        check_account(k, u);
        check_upstream_tls(k, u);
    }
    if (servers > 256)
        errors_add_at(k->errors, &(struct place){c->file, 0}, "upstreams: %zu servers; at most 256",
                      servers);
}

static void check_listener_upstream(const struct checker *k, struct listener_config *l)
{
    l->upstream_config = config_find_upstream(k->config, l->upstream);
    int protocol = l->role == ROLE_POP3 ? UPSTREAM_POP3 : UPSTREAM_SMTP;
    if (l->upstream[0] == '\0')
        errors_add_at(k->errors, &l->place,
                      "listeners.%s.upstream: is missing; name one of upstreams", l->name);
    else if (l->upstream_config == NULL)
        errors_add_at(k->errors, &l->place, "listeners.%s.upstream: \"%s\" is not in upstreams",
                      l->name, l->upstream);
    else if (l->upstream_config->protocol != protocol)
        errors_add_at(k->errors, &l->place,
                      "listeners.%s.upstream: role \"%s\" needs one with protocol = \"%s\"",
                      l->name, listener_role_name(l->role), l->role == ROLE_POP3 ? "pop3" : "smtp");
}

static void check_listener_tls(const struct checker *k, struct listener_config *l)
{
    if (l->tls == LISTENER_TLS_NONE)
        return;
    l->tls_block = config_find_tls(k->config, l->certificate);
    if (l->tls_block == NULL)
        errors_add_at(k->errors, &l->place,
                      "listeners.%s.certificate: \"%s\" is not in tls; write "
                      "tls = { %s = { certificate = [...]  key = [...] } }",
                      l->name, l->certificate, l->certificate);
}

static void check_client_certificate(const struct checker *k, const struct listener_config *l)
{
    bool is_asked = l->client_certificate != CLIENT_CERTIFICATE_NONE;
    if (is_asked && l->client_ca[0] == '\0')
        errors_add_at(k->errors, &l->place,
                      "listeners.%s.client_ca: is missing; name the file of the authorities whose "
                      "certificates clients may show, or write client_certificate = \"none\"",
                      l->name);
    if (!is_asked && (l->client_ca[0] != '\0' || l->client_crl[0] != '\0'))
        errors_warn_at(k->errors, &l->place,
                       "listeners.%s.%s: nobody is asked for a certificate; write "
                       "client_certificate = \"required\" or \"optional\"",
                       l->name, l->client_ca[0] != '\0' ? "client_ca" : "client_crl");
}

/* The addresses of `bind`; one that was refused when it was read is left out. */
static void find_addresses(const struct checker *k, struct listener_config *l)
{
    l->addresses =
        arena_alloc(k->config->arena, l->bind.count * ADDRESS_LISTEN_MAX * sizeof *l->addresses);
    if (l->addresses == NULL && l->bind.count > 0)
        abort(); /* out of memory at the start */
    for (size_t i = 0; i < l->bind.count; i++) {
        int found = address_parse_listen(l->bind.items[i], &l->addresses[l->address_count], NULL);
        l->address_count += found < 0 ? 0 : (size_t)found;
    }
}

static void check_taken(const struct checker *k, const struct listener_config *l)
{
    for (const struct listener_config *other = k->config->listeners; other <= l; other++)
        for (size_t i = 0; i < l->address_count; i++)
            for (size_t n = 0; n < (other == l ? i : other->address_count); n++)
                if (address_reaches(&l->addresses[i], &other->addresses[n], is_any) ||
                    address_reaches(&other->addresses[n], &l->addresses[i], is_any)) {
                    char text[ADDRESS_TEXT_SIZE];
                    address_format(&l->addresses[i], text);
                    errors_add_at(k->errors, &l->place,
                                  "listeners.%s.bind: %s is taken by listener \"%s\"", l->name,
                                  text, other->name);
                }
}

static void check_listeners(const struct checker *k)
{
    struct config *c = k->config;
    const struct place file = {c->file, 0};
    for (size_t i = 0; i < c->listener_count; i++) {
        struct listener_config *l = &c->listeners[i];
        find_addresses(k, l);
        check_taken(k, l);
        if (l->role == ROLE_REFUSE) {
            if (l->tls != LISTENER_TLS_NONE)
                errors_add_at(k->errors, &l->place, "listeners.%s.tls: role \"refuse\" has none",
                              l->name);
            continue;
        }
        check_listener_tls(k, l);
        check_client_certificate(k, l);
        check_listener_upstream(k, l);
        config_check_trust(c, l, k->errors);
    }
    if (c->listener_count == 0 && c->filter.place.file == NULL)
        errors_add_at(k->errors, &file,
                      "nothing to do: without listeners, upstreams must have one named \"smtp\" "
                      "(served on 465 and 587) or \"pop3\" (served on 995)");
    if (c->listener_count > 64)
        errors_add_at(k->errors, &file, "listeners: %zu of them; at most 64", c->listener_count);
}

void config_check(struct config *c, struct errors *errors)
{
    const struct checker k = {c, errors};
    check_names(&k);
    check_auth(&k);
    check_tls(&k);
    check_listeners(&k);
    check_upstreams(&k);
    check_asked(&k);
    mechanisms_check(c, errors);
    config_check_policies(c, errors);
    config_check_milters(c, errors);
    config_check_filter(c, errors);
    config_check_redis(c, errors);
}

const struct upstream_config *config_find_upstream(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->upstream_count; i++)
        if (strcmp(c->upstreams[i].name, name) == 0)
            return &c->upstreams[i];
    return NULL;
}

const struct tls_config *config_find_tls(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->tls_count; i++)
        if (strcmp(c->tls[i].name, name) == 0)
            return &c->tls[i];
    return NULL;
}

const struct upstream_config *config_asked_upstream(const struct config *c,
                                                    const struct listener_config *l)
{
    if (c->auth.backend != BACKEND_UPSTREAM)
        return NULL;
    return c->auth.upstream[0] == '\0' ? l->upstream_config
                                       : config_find_upstream(c, c->auth.upstream);
}

bool config_is_asked_anyway(const struct config *c, const struct listener_config *l)
{
    return config_asked_upstream(c, l) == l->upstream_config &&
           upstream_needs_password(l->upstream_config);
}

bool upstream_needs_password(const struct upstream_config *u)
{
    return u->identity == IDENTITY_PASSWORD ||
           (u->protocol == UPSTREAM_POP3 && u->identity == IDENTITY_XCLIENT);
}

struct place config_place(const struct config *c, const char *key)
{
    const struct place *p =
        &c->places[section_find(&section_top, span_of(key)) - section_top.settings];
    return p->file == NULL ? (struct place){c->file, 0} : *p;
}

void config_free(struct config **config)
{
    if (*config == NULL)
        return;
    struct arena *arena = (*config)->arena;
    arena_destroy(&arena);
    *config = NULL;
}
