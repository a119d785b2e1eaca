/* Redis: do its keys go together? */
#include "config/check.h"

void config_check_redis(const struct config *c, struct errors *errors)
{
    const struct redis_config *r = &c->redis;
    if (r->server_count == 0)
        return;
    if (r->ca[0] != '\0' && !r->tls)
        errors_add_at(errors, &r->place, "redis.ca: no certificate is shown without tls = true");
    for (size_t i = 0; i < r->server_count; i++)
        if (r->servers[i].is_unix && r->tls)
            errors_add_at(errors, &r->place,
                          "redis.tls: %s is a unix socket, on which Redis speaks no TLS",
                          r->servers[i].text);
}
