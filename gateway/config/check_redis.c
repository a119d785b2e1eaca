/* Redis: do its keys go together? */
#include "config/check.h"

static void check_sentinels(const struct redis_config *r, struct errors *errors)
{
    bool has_sentinels = r->sentinels.count > 0;
    const struct {
        const char *key, *value;
    } keys[] = {{"master", r->master},
                {"sentinel_username", r->sentinel_username},
                {"sentinel_password_file", r->sentinel_password_file}};
    if (has_sentinels && r->address.count > 0)
        errors_add_at(errors, &r->place,
                      "redis.address: sentinels name the server; leave one of the two out");
    if (has_sentinels && r->master[0] == '\0')
        errors_add_at(errors, &r->place,
                      "redis.master: is missing: the name in the Sentinels' \"sentinel monitor "
                      "NAME ...\"");
    for (size_t i = 0; !has_sentinels && i < sizeof keys / sizeof *keys; i++)
        if (keys[i].value[0] != '\0')
            errors_add_at(errors, &r->place, "redis.%s: there are no sentinels", keys[i].key);
}

static void check_cluster(const struct redis_config *r, struct errors *errors)
{
    if (r->sentinels.count > 0 || r->server_count < 2)
        return;
    if (r->database != 0)
        errors_add_at(errors, &r->place,
                      "redis.database: a Cluster, of which address names %zu "
                      "nodes, has only 0",
                      r->server_count);
    for (size_t i = 0; i < r->server_count; i++)
        if (r->servers[i].is_unix)
            errors_add_at(errors, &r->place,
                          "redis.address: %s: nodes of a Cluster name each other by HOST:PORT",
                          r->servers[i].text);
}

static void check_tls(const struct redis_config *r, struct errors *errors)
{
    if (r->ca[0] != '\0' && !r->tls)
        errors_add_at(errors, &r->place, "redis.ca: no certificate is shown without tls = true");
    for (size_t i = 0; r->tls && i < r->server_count; i++)
        if (r->servers[i].is_unix)
            errors_add_at(errors, &r->place,
                          "redis.tls: %s is a unix socket, on which Redis speaks no TLS",
                          r->servers[i].text);
}

void config_check_redis(const struct config *c, struct errors *errors)
{
    const struct redis_config *r = &c->redis;
    if (r->place.file == NULL)
        return;
    if (r->server_count == 0)
        errors_add_at(errors, &r->place,
                      "redis.address: names no server, nor does sentinels; without Redis leave the "
                      "block out");
    check_sentinels(r, errors);
    check_cluster(r, errors);
    check_tls(r, errors);
}
