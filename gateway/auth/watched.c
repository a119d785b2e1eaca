#include "auth/watched.h"

#include "auth/aliases.h"
#include "auth/contacts.h"
#include "auth/groups.h"
#include "auth/overrides.h"
#include "auth/ownership.h"
#include "base/sealed.h"
#include "config/closed_days.h"
#include "config/listing.h"
#include "policy/country.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { COUNTRIES_MAX = 256 * 1024 * 1024 }; /* of all that cities are in as well */

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

static int build_contacts(const struct config *c, const struct watched_config *w, int fd,
                          size_t *count, struct errors *errors)
{
    return contacts_build(fd, w->path, c->auth.realm, count, errors);
}

static int build_overrides(const struct config *c, const struct watched_config *w, int fd,
                           size_t *count, struct errors *errors)
{
    return overrides_build(c, fd, w->path, count, errors);
}

static int build_closed(const struct config *c, const struct watched_config *w, int fd,
                        size_t *count, struct errors *errors)
{
    (void)c; /* it says nothing about days */
    return closed_days_build(fd, w->path, count, errors);
}

static int build_addresses(const struct config *c, const struct watched_config *w, int fd,
                           size_t *count, struct errors *errors)
{
    return ownership_read(fd, w->path, c->auth.realm, count, errors);
}

/* As it is: its reader needs no more than the octets. */
static int build_zone(const struct config *c, const struct watched_config *w, int fd, size_t *count,
                      struct errors *errors)
{
    const struct place at = {w->path, 0};
    struct error why;
    size_t size = 0;
    char *octets = listing_octets(fd, w->path, LISTING_MAX, &size, errors);
    int result = -1;
    (void)c; /* it says nothing about zones */
    *count = 1;
    if (octets != NULL && (zone_check(span_make(octets, size), &why) < 0 ||
                           (result = sealed_make("zone", span_make(octets, size), &why)) < 0))
        errors_add_at(errors, &at, "%s", why.text);
    free(octets);
    return result;
}

/* A table of its own, so that nobody has to read the file's format again. */
static int build_countries(const struct config *c, const struct watched_config *w, int fd,
                           size_t *count, struct errors *errors)
{
    const struct place at = {w->path, 0};
    struct error why;
    size_t size = 0;
    char *octets = listing_octets(fd, w->path, COUNTRIES_MAX, &size, errors);
    char *table =
        octets == NULL ? NULL : countries_build(span_make(octets, size), &size, count, &why);
    int result = table == NULL ? -1 : sealed_make("countries", span_make(table, size), &why);
    (void)c; /* it says nothing about countries */
    if (octets != NULL && result < 0)
        errors_add_at(errors, &at, "%s", why.text);
    free(octets);
    free(table);
    return result;
}

typedef int build_fn(const struct config *c, const struct watched_config *w, int fd, size_t *count,
                     struct errors *errors);

int watched_build(const struct config *config, size_t index, int fd, size_t *count,
                  struct errors *errors)
{
    static build_fn *const builders[] = {
        [WATCHED_ALIASES] = build_aliases,     [WATCHED_GROUP] = build_group,
        [WATCHED_ZONE] = build_zone,           [WATCHED_OVERRIDES] = build_overrides,
        [WATCHED_COUNTRIES] = build_countries, [WATCHED_CONTACTS] = build_contacts,
        [WATCHED_CLOSED] = build_closed,       [WATCHED_ADDRESSES] = build_addresses};
    const struct watched_config *w = &config->watched[index];
    return builders[w->kind](config, w, fd, count, errors);
}

int watched_open(const char *path)
{
    return open(path,
                O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a pipe is nobody's to await */
}

void watched_load(const struct config *config, size_t index, struct sealed *out, size_t *count,
                  struct errors *errors)
{
    const struct watched_config *c = &config->watched[index];
    struct error why;
    int fd = watched_open(c->path);
    if (fd < 0) {
        errors_add_at(errors, &c->place, "%s: %s: %s", c->key, c->path, strerror(errno));
    } else {
        int list = watched_build(config, index, fd, count, errors);
        if (list >= 0 && sealed_map(out, list, &why) < 0)
            errors_add_at(errors, &c->place, "%s: %s: %s", c->key, c->path, why.text);
        if (list >= 0)
            (void)close(list); /* the mapping stays */
        (void)close(fd);       /* was only read */
    }
    if (c->list != NULL)
        *c->list = out;
}
