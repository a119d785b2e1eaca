#include "control/subject.h"

#include "auth/aliases.h"
#include "config/config.h"
#include "policy/key.h"

#include <string.h>

enum { SUBJECTS_MAX = 4 };

#define BIT(key) (1u << (key))
#define OF_DOMAIN \
    (BIT(LIMIT_KEY_ACCOUNT_DOMAIN) | BIT(LIMIT_KEY_SENDER_DOMAIN) | BIT(LIMIT_KEY_RECIPIENT_DOMAIN))
#define OF_ACCOUNT                                                                       \
    (OF_DOMAIN | BIT(LIMIT_KEY_ACCOUNT) | BIT(LIMIT_KEY_LOGIN) | BIT(LIMIT_KEY_SENDER) | \
     BIT(LIMIT_KEY_RECIPIENT))

static const char *listener_called(const struct config *c, const char *word)
{
    for (size_t i = 0; i < c->listener_count; i++)
        if (strcmp(c->listeners[i].name, word) == 0)
            return c->listeners[i].name;
    return NULL;
}

int subject_be_account(const struct subject_lists *l, const char *word, struct subject *s)
{
    const char *at = strrchr(word, '@');
    bool is_domain = word[0] == '@';
    if (s->facts.sender != NULL || strlen(word) >= ACCOUNT_SIZE || (at != NULL && at[1] == '\0'))
        return -1;
    (void)span_copy(span_of(word), s->word, sizeof s->word);       /* fits */
    (void)span_copy(span_of(word), s->account, sizeof s->account); /* likewise */
    if (!is_domain &&
        aliases_account(l->aliases, span_of(word), l->config->auth.realm, s->account) < 0 &&
        at == NULL)
        return -1;
    for (char *c = s->account; *c != '\0'; c++)
        *c = ascii_lower(*c);
    s->facts.account = s->facts.login = s->account;
    s->facts.sender = s->facts.recipient = at == NULL ? s->account : s->word;
    s->keys |= is_domain ? OF_DOMAIN : OF_ACCOUNT;
    return 0;
}

/* In capitals: no account is called so. */
static bool is_country(const char *word)
{
    struct error ignored; /* it may be something else */
    return word[0] >= 'A' && word[0] <= 'Z' && word[1] >= 'A' && word[1] <= 'Z' &&
           country_check(word, &ignored) == 0;
}

/* Rules for some countries alone hold for its own. */
static void be_client(const struct subject_lists *l, struct subject *s)
{
    s->facts.client = &s->client;
    s->facts.is_shared = networks_hold(&l->config->shared, &s->client);
    s->keys |= BIT(LIMIT_KEY_IP) | BIT(LIMIT_KEY_NETWORK);
    if (l->countries != NULL && s->facts.country == NULL)
        countries_find(l->countries->bytes, &s->client, s->country);
    if (s->country[0] != '\0')
        s->facts.country = s->country;
}

static int be_also(const struct subject_lists *l, const char *word, struct subject *s)
{
    const char *listener = listener_called(l->config, word);
    if (strcmp(word, "global") == 0) {
        s->keys |= BIT(LIMIT_KEY_GLOBAL);
    } else if (listener != NULL) {
        s->listener = listener;
        s->keys |= BIT(LIMIT_KEY_LISTENER);
    } else if (is_country(word)) {
        (void)span_copy(span_of(word), s->country, sizeof s->country); /* fits */
        s->facts.country = s->country;
        s->keys |= BIT(LIMIT_KEY_COUNTRY);
    } else if (address_make(word, 1, &s->client) == 0) {
        be_client(l, s);
    } else {
        return subject_be_account(l, word, s);
    }
    return 0;
}

int subject_understand(const struct subject_lists *l, const json_t *keys, struct subject *s,
                       struct error *why)
{
    size_t count = json_array_size(keys);
    if (count == 0 || count > SUBJECTS_MAX)
        return error_set(why, "limits are looked at for 1 to %d keys", SUBJECTS_MAX);
    for (size_t i = 0; i < count; i++) {
        const char *word = json_string_value(json_array_get(keys, i));
        if (word == NULL || be_also(l, word, s) < 0)
            return error_set(why,
                             "\"%s\" is no key beside the others; write an account, an address, "
                             "@example.com, a listener, a country as BR, or \"global\"",
                             word == NULL ? "" : word);
    }
    return 0;
}

bool subject_is_asked(const struct subject *s, const struct limit_rule *r)
{
    bool is_his = false;
    if (limit_is_of_account(r, &s->facts) && (s->keys & BIT(LIMIT_KEY_ACCOUNT)) == 0)
        return false; /* in a shared network it goes by the account there */
    for (size_t i = 0; i < r->key_count; i++) {
        bool is_one = (s->keys & BIT(r->keys[i])) != 0;
        is_his = is_his || is_one;
        if (!is_one && r->keys[i] != LIMIT_KEY_LISTENER)
            return false;
    }
    return is_his;
}
