#include "control/watched.h"

#include "auth/aliases.h"
#include "auth/groups.h"

static int build_aliases(const struct config *c, const struct watched_config *w, int fd,
                         size_t *count, struct errors *errors)
{
    return aliases_build(fd, w->path, c->auth.realm, count, errors);
}

static int build_group(const struct config *c, const struct watched_config *w, int fd,
                       size_t *count, struct errors *errors)
{
    return groups_build(fd, w->path, c->auth.realm, count, errors);
}

int watched_build(const struct config *config, size_t index, int fd, size_t *count,
                  struct errors *errors)
{
    static int (*const builders[])(const struct config *, const struct watched_config *, int,
                                   size_t *, struct errors *) = {
        [WATCHED_ALIASES] = build_aliases, [WATCHED_GROUP] = build_group};
    const struct watched_config *w = &config->watched[index];
    return builders[w->kind](config, w, fd, count, errors);
}
