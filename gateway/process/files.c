#include "process/files.h"

#include "auth/watched.h"
#include "base/file_watch.h"
#include "process/children.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the start ---- */

struct watched *files_prepare(const struct config *config, struct file_watch *watch,
                              struct errors *errors)
{
    struct watched *all = calloc(config->watched_count + 1, sizeof *all);
    if (all == NULL)
        abort(); /* out of memory at the start */
    for (size_t i = 0; i < config->watched_count; i++) {
        file_watch_add(watch, i, config->watched[i].path);
        watched_load(config, i, &all[i].list, &all[i].count, errors);
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

static struct channel *control_of(const struct generation *g)
{
    return g->posts[g->post_count - 1].child.channel;
}

/* It stays as it was: whoever waits is told why. */
static void note_refusal(struct generation *g, struct watched *w, const char *path,
                         struct span reason)
{
    struct files_asker *a = &g->files;
    if (!a->is_waiting || !w->is_meant)
        return;
    a->refused++;
    if (path[0] != '\0')
        (void)buffer_printf(&a->text, "%s: %.*s\n", path, (int)reason.size, reason.data);
    else
        (void)buffer_append(&a->text, reason); /* what doesn't fit stands in the log, as above */
}

static void refuse(struct generation *g, struct watched *w, const char *path, const char *reason)
{
    log_event(&g->master->log, EVENT_list_refused, field_text(KEY_file, path),
              field_text(KEY_reason, reason));
    note_refusal(g, w, path, span_of(reason));
}

static void answer(struct generation *g)
{
    struct files_asker *a = &g->files;
    size_t count = g->prepared->config->watched_count;
    const struct message_answer m = {.request = a->request, .is_good = a->refused == 0};
    if (a->refused == 0)
        (void)buffer_printf(&a->text, "%zu file%s taken", count, count == 1 ? "" : "s");
    (void)channel_send(control_of(g), MESSAGE_ANSWER, &m, buffer_bytes(&a->text),
                       -1); /* a client that waits times out */
    buffer_clear(&a->text);
    a->is_waiting = false;
}

/* The file's turn is over: of those that are meant as they are, the last one brings the answer. */
static void settle(struct generation *g, struct watched *w)
{
    bool is_last = w->is_meant;
    w->is_meant = false;
    for (size_t i = 0; i < g->prepared->config->watched_count; i++)
        is_last = is_last && !g->prepared->watched[i].is_meant;
    if (is_last && g->files.is_waiting)
        answer(g);
}

/* Has control parse what is there now. */
static void ask(struct generation *g, size_t index)
{
    struct watched *w = &g->prepared->watched[index];
    const char *path = g->prepared->config->watched[index].path;
    const struct message_watched m = {.index = (uint32_t)index};
    struct channel *control = control_of(g);
    if (control == NULL)
        return; /* another is started, and asked in the next second */
    int fd = watched_open(path);
    if (fd < 0) {
        refuse(g, w, path, strerror(errno));
        w->is_due = false;
        settle(g, w);
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
    g->files.is_waiting = false;
    buffer_clear(&g->files.text);
}

void files_reload(struct generation *g, uint32_t request)
{
    size_t count = g->prepared->config->watched_count;
    if (g->files.is_waiting) {
        const struct message_answer m = {.request = request};
        (void)channel_send(control_of(g), MESSAGE_ANSWER, &m,
                           span_of("another reload is under way"), -1); /* as above */
        return;
    }
    g->files =
        (struct files_asker){.is_waiting = true, .request = request, .text = {.limit = ANSWER_MAX}};
    for (size_t i = 0; i < count; i++)
        g->prepared->watched[i].is_due = g->prepared->watched[i].is_meant = true;
    for (size_t i = 0; i < count; i++)
        if (!g->prepared->watched[i].is_asked)
            ask(g, i);
    if (count == 0)
        answer(g);
}

bool files_is_half(const struct watched *w, enum watched_kind kind, size_t count)
{
    bool may_be = kind == WATCHED_OVERRIDES || kind == WATCHED_ADDRESSES;
    return may_be && !w->is_meant && count < (w->count + 1) / 2;
}

/* Does a list of the one mean the same in the other? What overrides name are limits of one
 * configuration. */
static bool is_same(const struct config *one, const struct watched_config *a,
                    const struct config *other, const struct watched_config *b)
{
    return a->kind == b->kind && strcmp(a->path, b->path) == 0 && a->kind != WATCHED_OVERRIDES &&
           strcmp(one->auth.realm, other->auth.realm) == 0;
}

static void tell(struct generation *g, size_t index, const struct message_list *said, int fd)
{
    const struct message_list m = {.index = (uint32_t)index, .count = said->count};
    for (size_t i = 0; i < g->post_count; i++)
        if (g->posts[i].child.channel != NULL)
            (void)channel_send(g->posts[i].child.channel, MESSAGE_LIST, &m, span_make("", 0),
                               fd); /* one that takes nothing is hung, and killed */
}

/* Sessions from before a reload hear of it too. */
static void tell_older(struct generation *from, size_t index, const struct message_list *said,
                       int fd)
{
    const struct config *c = from->prepared->config;
    for (struct generation *g = from->next; g != NULL; g = g->next)
        for (size_t i = 0; i < g->prepared->config->watched_count; i++)
            if (is_same(c, &c->watched[index], g->prepared->config,
                        &g->prepared->config->watched[i]))
                tell(g, i, said, fd);
}

void files_hand_over(const struct generation *from, struct generation *to)
{
    const struct config *old = from->prepared->config, *new = to->prepared->config;
    for (size_t i = 0; i < old->watched_count; i++) {
        const struct watched *w = &from->prepared->watched[i];
        bool is_pending =
            w->is_due || w->is_asked || file_watch_is_pending(from->prepared->list_watch, i);
        for (size_t n = 0; is_pending && n < new->watched_count; n++)
            if (is_same(old, &old->watched[i], new, &new->watched[n]))
                to->prepared->watched[n].is_due = true;
    }
}

/* Puts it in force everywhere. */
static void take(struct generation *g, const struct message *m)
{
    const struct message_list *said = m->payload;
    const struct watched_config *c = &g->prepared->config->watched[said->index];
    struct watched *w = &g->prepared->watched[said->index];
    struct error why;
    if (files_is_half(w, c->kind, said->count))
        (void)error_set(&why, "it has fewer than half of the lines in force; if that is meant, "
                              "porteiroctl reload --files takes it");
    else if (sealed_map(&w->list, *m->fd, &why) == 0)
        why.text[0] = '\0';
    if (why.text[0] != '\0') {
        refuse(g, w, c->path, why.text);
        return;
    }
    w->count = said->count;
    tell(g, said->index, said, *m->fd);
    tell_older(g, said->index, said, *m->fd);
    log_event(&g->master->log, EVENT_list_taken, field_text(KEY_file, c->path),
              field_number(KEY_count, said->count));
}

void files_take(struct generation *g, const struct message *m)
{
    const struct message_list *said = m->payload;
    if (said->index >= g->prepared->config->watched_count ||
        !g->prepared->watched[said->index].is_asked)
        return;
    struct watched *w = &g->prepared->watched[said->index];
    w->is_asked = false;
    if (w->is_meant && w->is_due) {
        ask(g, said->index); /* that was the file as it had been before */
        return;
    }
    if (*m->fd < 0)
        note_refusal(g, w, "", m->tail); /* control has logged it */
    else
        take(g, m);
    settle(g, w);
}

/* ---- everybody else ---- */

void files_replace(struct watched *watched, const struct config *config, const struct message *m)
{
    const struct message_list *said = m->payload;
    struct error why; /* the master has mapped it already */
    if (said->index < config->watched_count && *m->fd >= 0)
        (void)sealed_map(&watched[said->index].list, *m->fd, &why);
}
