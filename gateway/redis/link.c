#include "redis/link.h"

#include "base/clock.h"

#include <stdlib.h>
#include <unistd.h>

enum { WRITE_PARTS = 8, WRITE_SIZE = 64 * 1024 };

struct redis_link {
    struct redis_link_options options;
    struct connection *connection;
    struct redis_reader *reader;
    struct redis_command *first, **last; /* that wait for an answer, the oldest first */
    struct redis_command *unsent;        /* the first that has not all been written */
    size_t sent;                         /* octets of it that have */
    int64_t latest_ns;                   /* the last command's deadline */
    bool is_in_handshake, is_open;
    bool is_closed; /* freed at the end of this turn */
    struct entry flush;
    struct deferred deferred;
    struct error why;
};

static void on_event(void *owner, enum connection_event event, struct span *in);

static void destroy(void *owner)
{
    struct redis_link *l = owner;
    redis_reader_destroy(&l->reader);
    free(l);
}

static struct redis_link *create(const struct redis_link_options *options, struct error *why)
{
    struct redis_link *l = calloc(1, sizeof *l);
    if (l == NULL || (l->reader = redis_reader_create()) == NULL) {
        (void)error_set(why, "out of memory");
        free(l);
        return NULL;
    }
    l->options = *options;
    l->last = &l->first;
    return l;
}

struct redis_link *redis_link_connect(const struct redis_link_options *options,
                                      const struct address *to, struct error *why)
{
    struct redis_link *l = create(options, why);
    if (l == NULL)
        return NULL;
    l->connection = connection_connect(options->loop, to, on_event, l, why);
    if (l->connection == NULL) {
        destroy(l);
        return NULL;
    }
    connection_set_deadline(l->connection,
                            loop_now(options->loop) + options->timeout_ms * CLOCK_MS);
    return l;
}

static void open_soon(void *owner)
{
    struct redis_link *l = owner;
    l->is_open = true;
    l->options.fn(l->options.owner, l, REDIS_LINK_OPEN, NULL);
}

struct redis_link *redis_link_adopt(const struct redis_link_options *options, int fd,
                                    struct error *why)
{
    const struct address nowhere = {.size = 0};
    struct redis_link *l = create(options, why);
    if (l == NULL) {
        (void)close(fd); /* nothing was written */
        return NULL;
    }
    l->connection = connection_accept(options->loop, fd, &nowhere, on_event, l);
    if (l->connection == NULL) {
        (void)error_set(why, "out of memory");
        destroy(l);
        return NULL;
    }
    loop_soon(options->loop, &l->flush, open_soon, l);
    return l;
}

/* Tells all that wait. Whoever is told may close the link. */
static void tell_all(struct redis_link *l)
{
    struct redis_command *next = l->first;
    l->first = l->unsent = NULL;
    l->last = &l->first;
    while (next != NULL) {
        struct redis_command *command = next;
        next = command->next;
        command->fn(command, NULL);
    }
}

void redis_link_close(struct redis_link **link)
{
    struct redis_link *l = *link;
    if (l == NULL)
        return;
    *link = NULL;
    l->is_closed = true;
    connection_close(&l->connection);
    loop_not_soon(&l->flush);
    loop_defer(l->options.loop, &l->deferred, destroy, l);
    tell_all(l);
}

static void lose(struct redis_link *l, const char *reason)
{
    if (reason != l->why.text)
        (void)error_set(&l->why, "%s", reason);
    connection_close(&l->connection);
    loop_not_soon(&l->flush);
    l->options.fn(l->options.owner, l, REDIS_LINK_LOST, l->why.text);
}

static void set_deadline(struct redis_link *l)
{
    connection_set_deadline(l->connection, l->first == NULL ? 0 : l->first->deadline_ns);
}

/* ---- out ---- */

/* Gathers what is next to be written. Returns how many parts. */
static size_t gather(const struct redis_link *l, struct span parts[WRITE_PARTS])
{
    size_t count = 0, room = WRITE_SIZE, skip = l->sent;
    for (const struct redis_command *c = l->unsent; c != NULL && count < WRITE_PARTS && room > 0;
         c = c->next) {
        size_t size = c->size - skip < room ? c->size - skip : room;
        parts[count++] = span_make(c->bytes + skip, size);
        room -= size;
        skip = 0;
    }
    return count;
}

static void advance(struct redis_link *l, size_t size)
{
    while (size > 0) {
        size_t rest = l->unsent->size - l->sent;
        if (size < rest) {
            l->sent += size;
            return;
        }
        size -= rest;
        l->sent = 0;
        l->unsent = l->unsent->next;
    }
}

static void flush(void *owner)
{
    struct redis_link *l = owner;
    struct span parts[WRITE_PARTS];
    while (l->unsent != NULL && !connection_is_blocked(l->connection)) {
        size_t count = gather(l, parts), size = 0;
        for (size_t i = 0; i < count; i++)
            size += parts[i].size;
        connection_write(l->connection, parts, count);
        advance(l, size);
    }
}

void redis_link_set_owner(struct redis_link *l, redis_link_fn *fn, void *owner)
{
    l->options.fn = fn;
    l->options.owner = owner;
}

const struct connection *redis_link_connection(const struct redis_link *l)
{
    return l->connection;
}

bool redis_link_is_idle(const struct redis_link *l)
{
    return l->first == NULL;
}

void redis_link_send(struct redis_link *l, struct redis_command *command)
{
    if (command->deadline_ns < l->latest_ns)
        command->deadline_ns = l->latest_ns; /* answers come in order */
    l->latest_ns = command->deadline_ns;
    command->next = NULL;
    *l->last = command;
    l->last = &command->next;
    if (l->unsent == NULL) {
        l->unsent = command;
        l->sent = 0;
    }
    if (l->first == command)
        set_deadline(l);
    loop_soon(l->options.loop, &l->flush, flush, l);
}

/* ---- in ---- */

/* Answers the oldest. It is out of the list before it is told. */
static int answer(struct redis_link *l, const struct redis_value *value)
{
    struct redis_command *command = l->first;
    if (command == NULL || command == l->unsent)
        return -1;
    l->first = command->next;
    if (l->first == NULL)
        l->last = &l->first;
    set_deadline(l);
    command->fn(command, value);
    return 0;
}

static void lose_unasked(struct redis_link *l, const struct redis_value *value)
{
    struct span text = value->kind == REDIS_ERROR ? value->text : span_of("a reply");
    (void)error_set(&l->why, "it says what nobody has asked for: %.*s",
                    (int)(text.size < 200 ? text.size : 200), text.data);
    lose(l, l->why.text);
}

static void take_input(struct redis_link *l, struct span *in)
{
    const struct redis_value *value;
    int got = 1;
    while (!l->is_closed && got > 0) {
        got = redis_reader_take(l->reader, in, &value, &l->why);
        if (got < 0)
            lose(l, l->why.text);
        else if (got > 0 && answer(l, value) < 0) {
            lose_unasked(l, value); /* as when too many have connected */
            return;
        }
    }
}

static void ready(struct redis_link *l)
{
    if (l->options.tls != NULL && !l->is_in_handshake) {
        l->is_in_handshake = true;
        if (connection_start_tls(l->connection, l->options.tls) < 0)
            lose(l, "out of memory");
        return;
    }
    l->is_in_handshake = false;
    l->is_open = true;
    connection_set_deadline(l->connection, 0);
    l->options.fn(l->options.owner, l, REDIS_LINK_OPEN, NULL);
}

/* A server that speaks no TLS says nothing, or something that isn't a handshake. */
static void failed(struct redis_link *l, const char *reason)
{
    struct error why;
    (void)error_set(&why, "%s%s", l->is_in_handshake ? "TLS: " : "", reason);
    lose(l, why.text);
}

static void timed_out(struct redis_link *l)
{
    lose(l, l->is_open           ? "no answer in time"
            : l->is_in_handshake ? "the TLS handshake took too long"
                                 : "connecting took too long");
}

static void on_event(void *owner, enum connection_event event, struct span *in)
{
    struct redis_link *l = owner;
    switch (event) {
    case CONNECTION_READY: ready(l); return;
    case CONNECTION_DATA: take_input(l, in); return;
    case CONNECTION_DRAINED: flush(l); return;
    case CONNECTION_EOF: lose(l, "it has closed the connection"); return;
    case CONNECTION_TIMEOUT: timed_out(l); return;
    case CONNECTION_FAILED: failed(l, connection_error(l->connection)); return;
    }
}
