#include "redis/password.h"

#include "base/password.h"

#include <stdlib.h>

/* One of an account: the key that names its user, and the one that names the file. */
struct account {
    const struct redis_config *config;
    const char *user_key, *user, *file_key, *file;
};

static void read_one(const struct account *a, struct buffer *out, struct errors *errors)
{
    const struct place *at = &a->config->place;
    struct error why;
    *out = (struct buffer){.limit = REDIS_PASSWORD_MAX};
    if (a->file[0] == '\0') {
        if (a->user[0] != '\0')
            errors_add_at(errors, at, "redis.%s: is missing; %s \"%s\" needs it", a->file_key,
                          a->user_key, a->user);
        return;
    }
    if (password_read(a->file, out, &why) < 0)
        errors_add_at(errors, at, "redis.%s: %s", a->file_key, why.text);
    else if (password_is_public(a->file))
        errors_warn_at(errors, at, "redis.%s: %s can be read by everybody; chmod 600 it",
                       a->file_key, a->file);
    out->limit++;
    if (buffer_append(out, span_make("", 1)) < 0)
        abort(); /* out of memory at the start */
}

static void check_clear(const struct redis_config *r, struct errors *errors)
{
    bool has_password = r->password_file[0] != '\0' || r->sentinel_password_file[0] != '\0';
    for (size_t i = 0; i < r->server_count; i++)
        if (has_password && !r->tls && !r->servers[i].is_unix && r->servers[i].to.size > 0 &&
            !address_is_private(&r->servers[i].to))
            errors_warn_at(errors, &r->place,
                           "redis.%s: the password travels in clear to %s, which is no private "
                           "address; tls = true encrypts it",
                           r->sentinels.count > 0 ? "sentinels" : "address", r->servers[i].text);
}

void redis_passwords_prepare(const struct config *config, struct redis_passwords *out,
                             struct errors *errors)
{
    const struct redis_config *r = &config->redis;
    const struct account server = {r, "username", r->username, "password_file", r->password_file};
    const struct account sentinel = {r, "sentinel_username", r->sentinel_username,
                                     "sentinel_password_file", r->sentinel_password_file};
    *out = (struct redis_passwords){.server = {.limit = 0}};
    if (r->server_count == 0)
        return;
    check_clear(r, errors);
    read_one(&server, &out->server, errors);
    read_one(&sentinel, &out->sentinel, errors);
}

void redis_passwords_forget(struct redis_passwords *p)
{
    buffer_clear(&p->server);
    buffer_clear(&p->sentinel);
}

const char *redis_password(const struct buffer *b)
{
    struct span bytes = buffer_bytes(b);
    return bytes.size > 0 ? bytes.data : "";
}
