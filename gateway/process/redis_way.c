#include "process/redis_way.h"

#include <stdlib.h>

static void on_dialled(void *owner, int fd)
{
    const struct redis_way *w = owner;
    redis_dialled(w->redis, w->dialled, fd);
}

/* Redis at a path: the master connects. Without a master there is none. */
static void ask_to_dial(void *owner, size_t index)
{
    struct redis_way *w = owner;
    w->dialled = index;
    if (dialler_ask(w->role->dialler, &w->dial, DIAL_REDIS, index, on_dialled, w) < 0)
        redis_dialled(w->redis, index, -1);
}

void redis_way_open(struct redis_way *w, struct role *role)
{
    const struct redis_config *config = &role->config->redis;
    const struct prepared *prepared = role->birth->prepared;
    const struct redis_options options = {
        .loop = role->loop,
        .config = config,
        .password = redis_password(&prepared->redis_passwords.server),
        .sentinel_password = redis_password(&prepared->redis_passwords.sentinel),
        .tls = tls_redis_context(prepared->tls),
        .log = &role->log,
        .counters = role->counters,
        .dial = ask_to_dial,
        .dial_owner = w};
    *w = (struct redis_way){.role = role};
    if (config->server_count == 0)
        return;
    w->redis = redis_create(&options);
    w->store = redis_store_create(w->redis, config->prefix);
    if (w->redis == NULL || w->store == NULL)
        abort(); /* out of memory at the start */
}

void redis_way_close(struct redis_way *w)
{
    if (w->redis != NULL)
        dialler_forget(w->role->dialler, &w->dial);
    redis_destroy(&w->redis);
    redis_store_destroy(&w->store);
}
