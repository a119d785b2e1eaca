#include "upstream/account.h"

#include "base/secret.h"

#include <stdlib.h>

enum { PASSWORD_MAX = 1024 };

struct one {
    struct account account;
    struct buffer secret; /* with its NUL */
    bool is_used;
};

struct accounts {
    const struct config *config;
    struct one *all; /* for each upstream, in the order of the configuration */
};

static unsigned mechanisms_of(const struct upstream_config *u)
{
    static const unsigned chosen[] = {[UPSTREAM_MECHANISM_BEST] = SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN,
                                      [UPSTREAM_MECHANISM_PLAIN] = SMTP_AUTH_PLAIN,
                                      [UPSTREAM_MECHANISM_LOGIN] = SMTP_AUTH_LOGIN};
    return chosen[u->mechanism];
}

static void read_password(struct one *one, const struct upstream_config *u, struct errors *errors)
{
    struct error why;
    one->secret = (struct buffer){.limit = PASSWORD_MAX};
    if (secret_read(u->password_file, &one->secret, &why) < 0)
        errors_add_at(errors, &u->place, "upstreams.%s.password_file: %s", u->name, why.text);
    else if (secret_is_public(u->password_file))
        errors_warn_at(errors, &u->place,
                       "upstreams.%s.password_file: %s can be read by everybody; chmod 600 it",
                       u->name, u->password_file);
    one->secret.limit++;
    if (buffer_append(&one->secret, span_make("", 1)) < 0)
        abort(); /* out of memory at the start */
    one->account = (struct account){.credentials = {.user = u->username,
                                                    .secret = buffer_bytes(&one->secret).data,
                                                    .mechanisms = mechanisms_of(u)}};
    one->is_used = true;
}

struct accounts *accounts_prepare(const struct config *config, struct errors *errors)
{
    size_t before = errors_count(errors);
    struct accounts *a = calloc(1, sizeof *a);
    if (a == NULL || (a->all = calloc(config->upstream_count + 1, sizeof *a->all)) == NULL)
        abort(); /* out of memory at the start */
    a->config = config;
    for (size_t i = 0; i < config->upstream_count; i++)
        if (config->upstreams[i].identity == IDENTITY_AUTH &&
            config->upstreams[i].password_file[0] != '\0')
            read_password(&a->all[i], &config->upstreams[i], errors);
    if (errors_count(errors) > before)
        accounts_destroy(&a);
    return a;
}

void accounts_forget(struct accounts *a)
{
    for (size_t i = 0; i < a->config->upstream_count; i++) {
        a->all[i].is_used = false;
        buffer_clear(&a->all[i].secret);
    }
}

void accounts_destroy(struct accounts **accounts)
{
    struct accounts *a = *accounts;
    if (a == NULL)
        return;
    accounts_forget(a);
    free(a->all);
    free(a);
    *accounts = NULL;
}

const struct account *account_of(const struct accounts *a, const struct upstream_config *u)
{
    const struct one *one = &a->all[u - a->config->upstreams];
    return one->is_used ? &one->account : NULL;
}
