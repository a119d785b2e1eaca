#include "config/check.h"

#include "base/arena.h"

#include <stdlib.h>

enum { WATCHED_MAX = 256 };

void config_watch(struct config *c, const struct watched_config *w, struct errors *errors)
{
    if (w->path[0] == '\0')
        return;
    if (c->watched == NULL)
        c->watched = arena_alloc(c->arena, WATCHED_MAX * sizeof *c->watched);
    if (c->watched == NULL)
        abort(); /* out of memory at the start */
    if (c->watched_count == WATCHED_MAX)
        errors_add_at(errors, &w->place, "%s: more than %d watched files", w->key, WATCHED_MAX);
    else
        c->watched[c->watched_count++] = *w;
}
