#include "redis/password.h"

#include "base/password.h"

#include <stdlib.h>

static void check_account(const struct redis_config *r, struct errors *errors)
{
    if (r->username[0] != '\0' && r->password_file[0] == '\0')
        errors_add_at(errors, &r->place,
                      "redis.password_file: is missing; username \"%s\" needs it", r->username);
    for (size_t i = 0; i < r->server_count; i++)
        if (r->password_file[0] != '\0' && !r->tls && !r->servers[i].is_unix &&
            r->servers[i].to.size > 0 && !address_is_private(&r->servers[i].to))
            errors_warn_at(errors, &r->place,
                           "redis.address: the password travels in clear to %s, which is no "
                           "private address; tls = true encrypts it",
                           r->servers[i].text);
}

void redis_password_prepare(const struct config *config, struct buffer *out, struct errors *errors)
{
    const struct redis_config *r = &config->redis;
    struct error why;
    *out = (struct buffer){.limit = REDIS_PASSWORD_MAX};
    if (r->server_count == 0)
        return;
    check_account(r, errors);
    if (r->password_file[0] == '\0')
        return;
    if (password_read(r->password_file, out, &why) < 0)
        errors_add_at(errors, &r->place, "redis.password_file: %s", why.text);
    else if (password_is_public(r->password_file))
        errors_warn_at(errors, &r->place,
                       "redis.password_file: %s can be read by everybody; chmod 600 it",
                       r->password_file);
    out->limit++;
    if (buffer_append(out, span_make("", 1)) < 0)
        abort(); /* out of memory at the start */
}
