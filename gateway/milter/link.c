#include "milter/link.h"

#include "base/clock.h"
#include "config/config.h"
#include "ipc/dialler.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LITTLE_MORE = 1024 }; /* than data has: names before it */

struct milter_link {
    struct milter_link_options options;
    milter_link_fn *fn;
    void *owner;
    struct connection *connection; /* NULL: it is being dialled, or lost */
    struct dial dial;
    struct timeout *dialling;
    struct milter_reader reader;
    struct milter_terms terms;
    char *agreed; /* the filter's options: its lists of macros lie there */
    struct milter_link_memory memory;
    bool is_open, is_late, is_closed;
    bool is_waited_for; /* its owner has set a deadline */
    struct deferred deferred;
    struct error why;
};

static void on_event(void *owner, enum connection_event event, struct span *in);

static void tell(struct milter_link *l, enum milter_link_event_kind kind)
{
    const struct milter_link_event event = {
        .kind = kind, .link = l, .reason = l->why.text, .is_late = l->is_late};
    l->fn(l->owner, &event);
}

static void tell_frame(struct milter_link *l, const struct milter_frame *f)
{
    const struct milter_link_event event = {.kind = MILTER_LINK_FRAME, .link = l, .frame = f};
    l->fn(l->owner, &event);
}

static void stop(struct milter_link *l)
{
    l->is_open = false;
    connection_close(&l->connection);
    if (l->options.config->at.path != NULL)
        dialler_forget(l->options.dialler, &l->dial);
    timeout_destroy(&l->dialling);
}

static void lose(struct milter_link *l, const char *reason)
{
    if (reason != l->why.text)
        (void)error_set(&l->why, "%s", reason);
    stop(l);
    tell(l, MILTER_LINK_LOST);
}

static void destroy(void *owner)
{
    struct milter_link *l = owner;
    milter_reader_clear(&l->reader);
    free(l->agreed);
    free(l);
}

void milter_link_close(struct milter_link **link)
{
    struct milter_link *l = *link;
    if (l == NULL)
        return;
    *link = NULL;
    l->is_closed = true;
    stop(l);
    loop_defer(l->options.loop, &l->deferred, destroy, l);
}

void milter_link_quit(struct milter_link **link)
{
    struct milter_link *l = *link;
    char quit[MILTER_HEAD_SIZE];
    milter_frame_head(MILTER_COMMAND_QUIT, 0, quit);
    if (l != NULL && l->is_open) {
        connection_write_last(l->connection, span_make(quit, sizeof quit));
        connection_finish(&l->connection);
    }
    milter_link_close(link);
}

/* ---- from connecting to open ---- */

static int64_t connect_deadline(const struct milter_link *l)
{
    return loop_now(l->options.loop) + l->options.config->connect_timeout_ms * CLOCK_MS;
}

static void offer(struct milter_link *l)
{
    struct buffer out = {.limit = 64};
    bool is_made = milter_terms_offer(&out) == 0;
    struct span bytes = buffer_bytes(&out);
    if (is_made)
        connection_write(l->connection, &bytes, 1);
    buffer_clear(&out);
    if (!is_made)
        lose(l, "out of memory");
}

static void on_dialled(void *owner, int fd)
{
    const struct address nowhere = {.size = 0};
    struct milter_link *l = owner;
    timeout_destroy(&l->dialling);
    if (fd < 0) {
        lose(l, "nobody listens at its path");
        return;
    }
    l->connection = connection_accept(l->options.loop, fd, &nowhere, on_event, l);
    if (l->connection == NULL) {
        lose(l, "out of memory");
        return;
    }
    connection_set_deadline(l->connection, connect_deadline(l));
    offer(l);
}

static void on_dialled_too_late(void *owner)
{
    lose(owner, "connecting took too long");
}

static int dial(struct milter_link *l, struct error *why)
{
    const struct milter_link_options *o = &l->options;
    l->dialling = timeout_create(o->loop, on_dialled_too_late, l);
    if (l->dialling == NULL)
        return error_set(why, "out of memory");
    timeout_set(l->dialling, connect_deadline(l));
    if (dialler_ask(o->dialler, &l->dial, DIAL_MILTER, o->index, on_dialled, l) < 0)
        return error_set(why, "the master can't be asked to connect");
    return 0;
}

static int connect_now(struct milter_link *l, struct error *why)
{
    if (l->options.config->at.path != NULL)
        return dial(l, why);
    l->connection =
        connection_connect(l->options.loop, &l->options.config->at.to, on_event, l, why);
    if (l->connection == NULL)
        return -1;
    connection_set_deadline(l->connection, connect_deadline(l));
    return 0;
}

struct milter_link *milter_link_open(const struct milter_link_options *options, milter_link_fn *fn,
                                     void *owner, struct error *why)
{
    struct milter_link *l = calloc(1, sizeof *l);
    if (l == NULL) {
        (void)error_set(why, "out of memory");
        return NULL;
    }
    l->options = *options;
    l->fn = fn;
    l->owner = owner;
    l->reader.most = MILTER_DATA_MAX + LITTLE_MORE;
    if (connect_now(l, why) < 0)
        milter_link_close(&l);
    return l;
}

static void take_options(struct milter_link *l, const struct milter_frame *f)
{
    struct span copy = {NULL, f->data.size};
    if (f->code != MILTER_COMMAND_OPTIONS) {
        lose(l, "it answers the offer of options with something else");
        return;
    }
    l->agreed = malloc(f->data.size + 1);
    if (l->agreed == NULL) {
        lose(l, "out of memory");
        return;
    }
    memcpy(l->agreed, f->data.data, f->data.size);
    copy.data = l->agreed;
    if (milter_terms_parse(copy, &l->terms, &l->why) < 0) {
        lose(l, l->why.text);
        return;
    }
    l->reader.most = l->terms.most + LITTLE_MORE;
    l->is_open = true;
    connection_set_deadline(l->connection, 0);
    tell(l, MILTER_LINK_OPEN);
}

/* ---- open ---- */

static void take_input(struct milter_link *l, struct span *in)
{
    struct milter_frame f;
    int got = 1;
    while (!l->is_closed && l->connection != NULL && got > 0) {
        got = milter_frame_take(&l->reader, in, &f, &l->why);
        if (got < 0)
            lose(l, l->why.text);
        else if (got > 0 && !l->is_open)
            take_options(l, &f);
        else if (got > 0)
            tell_frame(l, &f);
    }
    if (!l->is_closed && l->is_open && l->is_waited_for && l->options.config->at.path == NULL)
        connection_acknowledge(l->connection); /* libmilter's next reply may wait for that */
}

static void on_event(void *owner, enum connection_event event, struct span *in)
{
    struct milter_link *l = owner;
    switch (event) {
    case CONNECTION_READY: offer(l); return;
    case CONNECTION_DATA: take_input(l, in); return;
    case CONNECTION_DRAINED: tell(l, MILTER_LINK_DRAINED); return;
    case CONNECTION_EOF: lose(l, "it has closed the connection"); return;
    case CONNECTION_TIMEOUT:
        l->is_late = true;
        lose(l, l->is_open ? "no answer in time" : "connecting took too long");
        return;
    case CONNECTION_FAILED: lose(l, connection_error(l->connection)); return;
    }
}

void milter_link_set_owner(struct milter_link *l, milter_link_fn *fn, void *owner)
{
    l->fn = fn;
    l->owner = owner;
}

bool milter_link_is_open(const struct milter_link *l)
{
    return l->is_open;
}

void milter_link_write(struct milter_link *l, const struct span *parts, size_t count)
{
    if (l->connection != NULL)
        connection_write(l->connection, parts, count);
}

bool milter_link_is_blocked(const struct milter_link *l)
{
    return l->connection != NULL && connection_is_blocked(l->connection);
}

void milter_link_set_deadline(struct milter_link *l, int64_t at_ns)
{
    l->is_waited_for = at_ns != 0;
    if (l->connection != NULL)
        connection_set_deadline(l->connection, at_ns);
}

const struct milter_terms *milter_link_terms(const struct milter_link *l)
{
    return &l->terms;
}

struct milter_link_memory *milter_link_memory(struct milter_link *l)
{
    return &l->memory;
}
