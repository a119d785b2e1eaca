#include "process/files.h"

#include "base/file_watch.h"
#include "base/lookup.h"
#include "control/watched.h"
#include "process/children.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the start ---- */

static int open_file(const char *path)
{
    return open(path,
                O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a pipe is nobody's to await */
}

static void prepare_one(const struct config *config, size_t index, struct watched *w,
                        struct errors *errors)
{
    const struct watched_config *c = &config->watched[index];
    struct error why;
    size_t count;
    int fd = open_file(c->path);
    if (fd < 0) {
        errors_add_at(errors, &c->place, "%s: %s: %s", c->key, c->path, strerror(errno));
    } else {
        int list = watched_build(config, index, fd, &count, errors);
        if (list >= 0 && sealed_map(&w->list, list, &why) < 0)
            errors_add_at(errors, &c->place, "%s: %s: %s", c->key, c->path, why.text);
        if (list >= 0)
            (void)close(list); /* the mapping stays */
    }
    if (fd >= 0)
        (void)close(fd); /* was only read */
}

struct watched *files_prepare(const struct config *config, struct file_watch *watch,
                              struct errors *errors)
{
    struct watched *all = calloc(config->watched_count + 1, sizeof *all);
    if (all == NULL)
        abort(); /* out of memory at the start */
    for (size_t i = 0; i < config->watched_count; i++) {
        file_watch_add(watch, i, config->watched[i].path);
        prepare_one(config, i, &all[i], errors);
        if (config->watched[i].list != NULL)
            *config->watched[i].list = &all[i].list;
    }
    return all;
}

void files_destroy(struct watched **watched, size_t count)
{
    for (size_t i = 0; *watched != NULL && i < count; i++)
        sealed_unmap(&(*watched)[i].list);
    free(*watched);
    *watched = NULL;
}

const struct sealed *files_list(const struct watched *watched, const struct config *config,
                                enum watched_kind kind)
{
    for (size_t i = 0; i < config->watched_count; i++)
        if (config->watched[i].kind == kind)
            return &watched[i].list;
    return NULL;
}

/* ---- the master ---- */

static void refuse(const struct generation *g, const char *path, const char *reason)
{
    log_event(&g->master->log, EVENT_list_refused, field_text(KEY_file, path),
              field_text(KEY_reason, reason));
}

/* Has control parse what is there now. */
static void ask(struct generation *g, size_t index)
{
    struct watched *w = &g->prepared->watched[index];
    const char *path = g->prepared->config->watched[index].path;
    const struct message_watched m = {.index = (uint32_t)index};
    struct channel *control = g->posts[g->post_count - 1].child.channel;
    if (control == NULL)
        return; /* another is started, and asked in the next second */
    int fd = open_file(path);
    if (fd < 0) {
        refuse(g, path, strerror(errno));
        w->is_due = false;
        return;
    }
    w->is_asked = channel_send(control, MESSAGE_WATCHED, &m, span_make("", 0), fd) == 0;
    w->is_due = !w->is_asked;
    (void)close(fd); /* control has its own */
}

static void on_change(void *owner, size_t index)
{
    const struct generation *g = owner;
    g->prepared->watched[index].is_due = true;
}

void files_look(struct generation *g)
{
    file_watch_turn(g->prepared->list_watch, loop_now(g->master->loop), on_change, g);
    for (size_t i = 0; i < g->prepared->config->watched_count; i++)
        if (g->prepared->watched[i].is_due && !g->prepared->watched[i].is_asked)
            ask(g, i);
}

void files_ask_again(struct generation *g)
{
    for (size_t i = 0; i < g->prepared->config->watched_count; i++) {
        struct watched *w = &g->prepared->watched[i];
        w->is_due = w->is_due || w->is_asked;
        w->is_asked = false;
    }
}

/* Has a file of which a part may be missing lost half of what is in force? */
static bool is_half(const struct watched *w, enum watched_kind kind, size_t count)
{
    const struct span is = w->list.bytes;
    size_t before = lookup_count((struct lookup){is.data, is.size});
    return kind == WATCHED_OVERRIDES && count < (before + 1) / 2;
}

void files_take(struct generation *g, const struct message *m)
{
    const struct message_list *said = m->payload;
    const struct config *c = g->prepared->config;
    struct error why;
    if (said->index >= c->watched_count || !g->prepared->watched[said->index].is_asked)
        return;
    struct watched *w = &g->prepared->watched[said->index];
    const char *path = c->watched[said->index].path;
    w->is_asked = false;
    if (*m->fd < 0)
        return; /* control has said why */
    if (is_half(w, c->watched[said->index].kind, said->count))
        (void)error_set(&why, "it has fewer than half of the lines in force; if that is meant, "
                              "porteiroctl reload takes it");
    else if (sealed_map(&w->list, *m->fd, &why) == 0)
        why.text[0] = '\0';
    if (why.text[0] != '\0') {
        refuse(g, path, why.text);
        return;
    }
    for (size_t i = 0; i < g->post_count; i++)
        if (g->posts[i].child.channel != NULL)
            (void)channel_send(g->posts[i].child.channel, MESSAGE_LIST, said, span_make("", 0),
                               *m->fd); /* one that takes nothing is hung, and killed */
    log_event(&g->master->log, EVENT_list_taken, field_text(KEY_file, path),
              field_number(KEY_count, said->count));
}

/* ---- everybody else ---- */

void files_replace(struct watched *watched, const struct config *config, const struct message *m)
{
    const struct message_list *said = m->payload;
    struct error why; /* the master has mapped it already */
    if (said->index < config->watched_count && *m->fd >= 0)
        (void)sealed_map(&watched[said->index].list, *m->fd, &why);
}
