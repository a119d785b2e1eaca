#include "auth/trusted.h"

static void check_name(const struct config *config, const struct listener_config *l,
                       const struct trusted_config *t, const char *key, const char *name,
                       struct errors *errors)
{
    char account[ACCOUNT_SIZE];
    if (name[0] != '\0' && account_canonical(span_of(name), config->auth.realm, account) < 0)
        errors_add_at(errors, &t->place,
                      "listeners.%s.trusted.%s.%s: \"%s\" is no name of an account; write it as "
                      "\"ana@example.com\"",
                      l->name, t->name, key, name);
}

void trusted_prepare(const struct config *config, struct errors *errors)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct listener_config *l = &config->listeners[i];
        for (size_t n = 0; n < l->trusted_count; n++) {
            const struct trusted_config *t = &l->trusted[n];
            check_name(config, l, t, "account", t->account, errors);
            check_name(config, l, t, "fallback", t->fallback, errors);
            for (size_t j = 0; j < t->logins.count; j++)
                check_name(config, l, t, "logins", t->logins.items[j], errors);
        }
    }
}

const struct trusted_config *trusted_network(const struct listener_config *l,
                                             const struct address *client)
{
    for (size_t i = 0; i < l->trusted_count; i++)
        if (networks_hold(&l->trusted[i].network_list, client))
            return &l->trusted[i];
    return NULL;
}

static bool is_among(const struct text_list *logins, const char *realm, const char *account)
{
    char canonical[ACCOUNT_SIZE];
    for (size_t i = 0; i < logins->count; i++)
        if (account_canonical(span_of(logins->items[i]), realm, canonical) == 0 &&
            strcmp(canonical, account) == 0)
            return true;
    return false;
}

const struct trusted_config *trusted_login(const struct config *config,
                                           const struct listener_config *l, const char *account)
{
    for (size_t i = 0; i < l->trusted_count; i++)
        if (is_among(&l->trusted[i].logins, config->auth.realm, account))
            return &l->trusted[i];
    return NULL;
}
