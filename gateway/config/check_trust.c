/* Who is believed without a password: by XCLIENT, or as a trusted network or login. */
#include "config/check.h"
#include "config/grammar.h"
#include "config/networks.h"

struct checker {
    const struct config *config;
    struct errors *errors;
};

/* Do strangers easily lie in it? */
static bool is_wide(const struct network *n)
{
    return n->bits < (n->is_v6 ? 48U : 96U + 16U); /* of 128 */
}

/* Is it this machine alone? */
static bool is_loopback(const struct network *n)
{
    return network_holds_loopback(n) && n->bits >= (n->is_v6 ? 128U : 96U + 8U);
}

/* Who may vouch for others needs no password: nobody else may have his address. */
static void check_xclient(const struct checker *k, struct listener_config *l)
{
    char which[NETWORKS_NAT_SIZE];
    networks_read(&l->xclient_from, k->config->arena, &l->xclient_networks);
    networks_read(&l->xclient_login_from, k->config->arena, &l->xclient_login_networks);
    for (size_t i = 0; i < l->xclient_networks.count; i++)
        if (is_wide(&l->xclient_networks.items[i]))
            errors_warn_at(k->errors, &l->place,
                           "listeners.%s.xclient_from: %s is wide: everybody in it can claim any "
                           "address; list the webmail's alone",
                           l->name, l->xclient_from.items[i]);
    for (size_t i = 0; i < l->xclient_login_networks.count; i++) {
        const struct network *n = &l->xclient_login_networks.items[i];
        const char *text = l->xclient_login_from.items[i];
        if (network_holds_nat(n, which))
            errors_add_at(k->errors, &l->place,
                          "listeners.%s.xclient_login_from: %s holds %s: whoever comes through "
                          "its NAT would need no password; list the webmail's address alone",
                          l->name, text, which);
        else if (is_wide(n) && !is_loopback(n))
            errors_add_at(k->errors, &l->place,
                          "listeners.%s.xclient_login_from: %s is wide: everybody in it could send "
                          "as anybody; list the webmail's address alone",
                          l->name, text);
        else if (network_holds_loopback(n))
            errors_warn_at(k->errors, &l->place,
                           "listeners.%s.xclient_login_from: %s is this machine: every user and "
                           "web site on it can send as anybody",
                           l->name, text);
    }
}

/* As whom somebody may send whom nobody asks for a password. */
static void check_trusted_networks(const struct checker *k, const struct listener_config *l,
                                   const struct trusted_config *t)
{
    char which[NETWORKS_NAT_SIZE];
    for (size_t i = 0; i < t->network_list.count; i++) {
        const struct network *n = &t->network_list.items[i];
        const char *text = t->networks.items[i];
        if (network_holds_nat(n, which))
            errors_add_at(
                k->errors, &t->place,
                "listeners.%s.trusted.%s.networks: %s holds %s: whoever comes through its "
                "NAT could send without a login: an open relay; list the hosts alone",
                l->name, t->name, text, which);
        else if (is_wide(n))
            errors_warn_at(k->errors, &t->place,
                           "listeners.%s.trusted.%s.networks: %s is wide: everybody in it sends "
                           "without a login",
                           l->name, t->name, text);
    }
    for (size_t i = 0; i < l->address_count; i++)
        if (!address_is_private(&l->addresses[i])) {
            errors_warn_at(k->errors, &t->place,
                           "listeners.%s.trusted.%s.networks: strangers reach this listener too; a "
                           "listener of its own, bound to a private address, is safer",
                           l->name, t->name);
            return;
        }
}

/* Who is told of each client is told before the headers are there. */
static void check_told(const struct checker *k, const struct listener_config *l,
                       const struct trusted_config *t)
{
    if (l->upstream_config != NULL && l->upstream_config->identity == IDENTITY_XCLIENT)
        errors_warn_at(k->errors, &t->place,
                       "listeners.%s.trusted.%s.account_from: upstream \"%s\" has identity = "
                       "\"xclient\", and is told of the login, not of the account, which the "
                       "headers name too late; account_from = \"mail-auth\" names it in time",
                       l->name, t->name, l->upstream);
}

static void check_trusted(const struct checker *k, const struct listener_config *l)
{
    for (size_t i = 0; i < l->trusted_count; i++) {
        struct trusted_config *t = &l->trusted[i];
        bool is_network = t->networks.count > 0, is_login = t->logins.count > 0;
        networks_read(&t->networks, k->config->arena, &t->network_list);
        if (strncmp(t->account_from, header_prefix, strlen(header_prefix)) == 0)
            t->header = t->account_from + strlen(header_prefix);
        if (is_network == is_login || is_network != (t->account[0] != '\0') ||
            is_login != (t->account_from[0] != '\0') || (is_network && t->fallback[0] != '\0'))
            errors_add_at(k->errors, &t->place,
                          "listeners.%s.trusted.%s: write either networks = [...] and account = "
                          "\"...\" (they send as that one), or logins = [...] and account_from = "
                          "\"mail-auth\" or \"header:NAME\" (they send for whom they name)",
                          l->name, t->name);
        else if (is_network)
            check_trusted_networks(k, l, t);
        else if (t->header != NULL)
            check_told(k, l, t);
    }
}

static bool has_trusted_network(const struct listener_config *l)
{
    for (size_t i = 0; i < l->trusted_count; i++)
        if (l->trusted[i].networks.count > 0)
            return true;
    return false;
}

/* Without TLS nobody logs in: is there somebody who needn't, and nobody who must? */
static void check_plain(const struct checker *k, const struct listener_config *l)
{
    if (l->tls != LISTENER_TLS_NONE)
        return;
    if (l->role == ROLE_POP3)
        errors_add_at(k->errors, &l->place,
                      "listeners.%s.tls: who reads mail logs in, and nobody can without TLS; write "
                      "\"implicit\" or \"starttls\"",
                      l->name);
    else if (!has_trusted_network(l) && l->xclient_login_networks.count == 0)
        errors_add_at(
            k->errors, &l->place,
            "listeners.%s.tls: nobody can log in without TLS, and here is nobody who "
            "needn't; write \"implicit\" or \"starttls\", or trusted = { NAME = { networks "
            "= [...]  account = \"...\" } }",
            l->name);
    if (l->client_certificate != CLIENT_CERTIFICATE_NONE)
        errors_add_at(k->errors, &l->place,
                      "listeners.%s.client_certificate: with tls = \"none\" nobody shows one",
                      l->name);
    for (size_t i = 0; i < l->trusted_count; i++)
        if (l->trusted[i].logins.count > 0)
            errors_add_at(k->errors, &l->trusted[i].place,
                          "listeners.%s.trusted.%s.logins: with tls = \"none\" nobody can log in",
                          l->name, l->trusted[i].name);
}

/* The server behind wants each user's own password, and here is none to repeat. */
static void check_identity(const struct checker *k, const struct listener_config *l)
{
    bool has_network = has_trusted_network(l);
    if (l->upstream_config == NULL || l->upstream_config->identity != IDENTITY_PASSWORD ||
        l->role != ROLE_SUBMISSION)
        return;
    if (has_network || l->xclient_login_networks.count > 0)
        errors_warn_at(
            k->errors, &l->place,
            "listeners.%s.%s: upstream \"%s\" has identity = \"password\", and who sends "
            "without a password has none that could be repeated there; give this listener "
            "another upstream",
            l->name, has_network ? "trusted" : "xclient_login_from", l->upstream);
}

void config_check_trust(struct config *config, struct listener_config *l, struct errors *errors)
{
    const struct checker k = {config, errors};
    check_xclient(&k, l);
    check_trusted(&k, l);
    check_plain(&k, l);
    check_identity(&k, l);
}
