#include "upstream/account.h"

#include "base/password.h"

#include <stdlib.h>

enum { PASSWORD_MAX = 1024, TOKEN_MAX = 8192 };

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
    return u->token_command[0] != '\0' ? SMTP_AUTH_XOAUTH2 : chosen[u->mechanism];
}

/* Of an identity: who logs in, and where the password is. */
struct login_keys {
    const char *user, *file, *key;
};

static struct login_keys keys_of(const struct upstream_config *u)
{
    switch (u->identity) {
    case IDENTITY_AUTH: return (struct login_keys){u->username, u->password_file, "password_file"};
    case IDENTITY_MASTER:
        return (struct login_keys){u->master_user, u->master_password_file, "master_password_file"};
    default: return (struct login_keys){"", "", ""};
    }
}

static void read_password(struct one *one, const struct upstream_config *u, struct errors *errors)
{
    const struct login_keys keys = keys_of(u);
    struct error why;
    if (keys.file[0] == '\0')
        return; /* none is needed, or that it is missing was said */
    one->secret = (struct buffer){.limit = PASSWORD_MAX};
    if (password_read(keys.file, &one->secret, &why) < 0)
        errors_add_at(errors, &u->place, "upstreams.%s.%s: %s", u->name, keys.key, why.text);
    else if (password_is_public(keys.file))
        errors_warn_at(errors, &u->place,
                       "upstreams.%s.%s: %s can be read by everybody; chmod 600 it", u->name,
                       keys.key, keys.file);
    one->secret.limit++;
    if (buffer_append(&one->secret, span_make("", 1)) < 0)
        abort(); /* out of memory at the start */
    one->account = (struct account){.credentials = {.user = keys.user,
                                                    .secret = buffer_bytes(&one->secret).data,
                                                    .mechanisms = mechanisms_of(u)}};
    one->is_used = true;
}

/* Its secret comes later. */
static void await_token(struct one *one, const struct upstream_config *u)
{
    one->secret = (struct buffer){.limit = TOKEN_MAX + 1};
    one->account = (struct account){
        .credentials = {.user = u->username, .secret = "", .mechanisms = mechanisms_of(u)}};
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
        if (config->upstreams[i].token_command[0] != '\0')
            await_token(&a->all[i], &config->upstreams[i]);
        else
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

int accounts_take_token(struct accounts *a, size_t upstream, uint16_t version, struct span token)
{
    struct one *one = upstream < a->config->upstream_count ? &a->all[upstream] : NULL;
    if (one == NULL || !one->is_used || one->account.credentials.mechanisms != SMTP_AUTH_XOAUTH2 ||
        token.size == 0 || memchr(token.data, '\0', token.size) != NULL)
        return -1;
    one->account.credentials.secret = "";
    buffer_clear(&one->secret);
    if (buffer_append(&one->secret, token) < 0 ||
        buffer_append(&one->secret, span_make("", 1)) < 0) {
        buffer_clear(&one->secret);
        return -1;
    }
    one->account.credentials.secret = buffer_bytes(&one->secret).data;
    one->account.version = version;
    return 0;
}
