#include "auth/trusted.h"

#include "base/arena.h"

#include <stdlib.h>

/* Puts the canonical name in the place of what was written. */
static void make_canonical(struct config *config, const struct listener_config *l,
                           const struct trusted_config *t, const char *key, const char **name,
                           struct errors *errors)
{
    char account[ACCOUNT_SIZE];
    if ((*name)[0] == '\0')
        return;
    if (account_canonical(span_of(*name), config->auth.realm, account) < 0)
        errors_add_at(errors, &t->place,
                      "listeners.%s.trusted.%s.%s: \"%s\" is no name of an account; write it as "
                      "\"ana@example.com\"",
                      l->name, t->name, key, *name);
    else if ((*name = arena_copy(config->arena, span_of(account))) == NULL)
        abort(); /* out of memory at the start */
}

void trusted_prepare(struct config *config, struct errors *errors)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct listener_config *l = &config->listeners[i];
        for (size_t n = 0; n < l->trusted_count; n++) {
            struct trusted_config *t = &l->trusted[n];
            make_canonical(config, l, t, "account", &t->account, errors);
            make_canonical(config, l, t, "fallback", &t->fallback, errors);
            for (size_t j = 0; j < t->logins.count; j++)
                make_canonical(config, l, t, "logins", &t->logins.items[j], errors);
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

static bool is_among(const struct text_list *logins, const char *account)
{
    for (size_t i = 0; i < logins->count; i++)
        if (strcmp(logins->items[i], account) == 0)
            return true;
    return false;
}

const struct trusted_config *trusted_login(const struct listener_config *l, const char *account)
{
    for (size_t i = 0; i < l->trusted_count; i++)
        if (is_among(&l->trusted[i].logins, account))
            return &l->trusted[i];
    return NULL;
}
