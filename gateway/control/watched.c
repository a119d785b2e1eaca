#include "control/watched.h"

#include "auth/aliases.h"
#include "auth/groups.h"
#include "auth/overrides.h"
#include "base/sealed.h"
#include "config/listing.h"

#include <stdlib.h>

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

static int build_overrides(const struct config *c, const struct watched_config *w, int fd,
                           size_t *count, struct errors *errors)
{
    return overrides_build(c, fd, w->path, count, errors);
}

/* As it is: its reader needs no more than the octets. */
static int build_zone(const struct config *c, const struct watched_config *w, int fd, size_t *count,
                      struct errors *errors)
{
    const struct place at = {w->path, 0};
    struct error why;
    size_t size = 0;
    char *octets = listing_octets(fd, w->path, &size, errors);
    int result = -1;
    (void)c; /* it says nothing about zones */
    *count = 1;
    if (octets != NULL && (zone_check(span_make(octets, size), &why) < 0 ||
                           (result = sealed_make("zone", span_make(octets, size), &why)) < 0))
        errors_add_at(errors, &at, "%s", why.text);
    free(octets);
    return result;
}

int watched_build(const struct config *config, size_t index, int fd, size_t *count,
                  struct errors *errors)
{
    static int (*const builders[])(const struct config *, const struct watched_config *, int,
                                   size_t *,
                                   struct errors *) = {[WATCHED_ALIASES] = build_aliases,
                                                       [WATCHED_GROUP] = build_group,
                                                       [WATCHED_ZONE] = build_zone,
                                                       [WATCHED_OVERRIDES] = build_overrides};
    const struct watched_config *w = &config->watched[index];
    return builders[w->kind](config, w, fd, count, errors);
}
