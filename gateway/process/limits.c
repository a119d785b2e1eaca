#include "process/limits.h"

#include "base/clock.h"
#include "base/own_file.h"
#include "decision/limits_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHARDS_A_TURN = 8 };
#define PERIOD_NS (10 * CLOCK_SECOND)

struct limits {
    struct mapping *map;
    struct memory memory;
    const struct event_log *log;
    int64_t due_ns;                       /* when the next file is begun */
    char path[PATH_MAX], draft[PATH_MAX]; /* of the one that is being written */
    int fd;                               /* of the draft; -1: none is being written */
    size_t shard;                         /* the next */
    bool is_failing;                      /* which was said */
    struct limits_writer writer;
};

struct limits *limits_create(struct mapping *map, size_t slot, const struct event_log *log)
{
    struct limits *l = calloc(1, sizeof *l);
    if (l == NULL)
        abort(); /* out of memory at the start */
    l->map = map;
    l->memory = memory_open(map->limits, map->limits_key, slot, NULL);
    l->log = log;
    l->fd = -1;
    return l;
}

/* Half of a file is of no use. */
static void drop_draft(struct limits *l)
{
    if (l->fd < 0)
        return;
    (void)close(l->fd);
    (void)unlink(l->draft); /* the next one would remove it too */
    l->fd = -1;
}

void limits_destroy(struct limits **l)
{
    if (*l != NULL)
        drop_draft(*l);
    free(*l);
    *l = NULL;
}

/* The draft has the rule's old name. */
void limits_clear(struct limits *l, size_t rule)
{
    drop_draft(l);
    l->due_ns = 0;
    (void)memory_clear(&l->memory, rule); /* what is left ends by itself */
}

/* `suffix` is for the one that is being written. */
static void path_of(const char *state_dir, const char *suffix, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s/limits%s", state_dir, suffix); /* cut: open says so */
}

/* ---- reading ---- */

static int slot_of(void *owner, const char *name)
{
    const struct limits *l = owner;
    char known[LABEL_NAME_SIZE];
    for (size_t i = 0; i < LABEL_RULE_MAX; i++)
        if (label_name(l->map->labels, LABEL_RULE, i, known) == 0 && strcmp(known, name) == 0)
            return (int)i;
    return -1;
}

static void restore(struct limits *l, const struct limits_reader *r)
{
    memcpy(l->map->limits_key, r->key, sizeof r->key);
    memcpy(l->memory.table.key, r->key, sizeof r->key);
    memory_not_before(&l->memory, r->now_us);
    size_t count = limits_restore(r, &l->memory.table, memory_now_us(&l->memory), slot_of, l);
    log_event(l->log, EVENT_limits_restored, field_number(KEY_count, (int64_t)count));
}

void limits_load(struct limits *l, const char *state_dir)
{
    struct limits_reader reader;
    struct error why;
    char path[PATH_MAX];
    size_t size = 0;
    path_of(state_dir, "", path);
    char *bytes = own_file_read(path, LIMITS_FILE_MAX, &size, &why);
    if (bytes == NULL && errno == ENOENT)
        return;
    int outcome = bytes == NULL ? -1 : limits_read(&reader, span_make(bytes, size), &why);
    if (bytes != NULL && outcome < 0)
        (void)error_prefix(&why, "%s", path);
    if (outcome < 0)
        log_event(l->log, EVENT_limits_refused, field_text(KEY_reason, why.text));
    else
        restore(l, &reader);
    free(bytes);
}

/* ---- writing ---- */

static void failed(struct limits *l)
{
    struct error why;
    (void)error_set(&why, "%s: %s", l->draft, strerror(errno));
    drop_draft(l);
    if (!l->is_failing)
        log_event(l->log, EVENT_limits_unwritten, field_text(KEY_reason, why.text));
    l->is_failing = true;
}

static int put(const struct limits *l, struct span chunk)
{
    while (chunk.size > 0) {
        ssize_t wrote = write(l->fd, chunk.data, chunk.size);
        if (wrote < 0 && errno != EINTR)
            return -1;
        if (wrote > 0)
            span_skip(&chunk, (size_t)wrote);
    }
    return 0;
}

static int put_rules(struct limits *l)
{
    char name[LABEL_NAME_SIZE];
    int outcome = put(l, limits_write_head(&l->writer, &l->memory));
    for (size_t i = 0; i < LABEL_RULE_MAX && outcome == 0; i++)
        if (label_name(l->map->labels, LABEL_RULE, i, name) == 0)
            outcome = put(l, limits_write_rule(&l->writer, i, name));
    return outcome;
}

static bool has_rules(const struct limits *l)
{
    char name[LABEL_NAME_SIZE];
    for (size_t i = 0; i < LABEL_RULE_MAX; i++)
        if (label_name(l->map->labels, LABEL_RULE, i, name) == 0)
            return true;
    return false;
}

/* Under another name: nobody finds half of it. */
static void begin_draft(struct limits *l, const char *state_dir)
{
    path_of(state_dir, "", l->path);
    path_of(state_dir, ".new", l->draft);
    (void)unlink(l->draft); /* of a time that was cut off */
    l->shard = 0;
    l->fd = open(l->draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (l->fd < 0 || put_rules(l) < 0)
        failed(l);
}

static void end_draft(struct limits *l)
{
    int outcome = put(l, limits_write_end(&l->writer));
    outcome = outcome < 0 ? -1 : rename(l->draft, l->path);
    if (outcome < 0) {
        failed(l);
        return;
    }
    (void)close(l->fd); /* whatever is missing, its end tells */
    l->fd = -1;
    l->is_failing = false;
}

/* Up to so many shards. One that is held is left for the next turn. */
static void go_on(struct limits *l, size_t shards)
{
    for (size_t i = 0; l->fd >= 0 && l->shard < TABLE_SHARDS && i < shards; i++) {
        struct span chunk = limits_write_shard(&l->writer, &l->memory, l->shard);
        if (chunk.size == 0)
            return;
        l->shard++;
        if (put(l, chunk) < 0)
            failed(l);
    }
    if (l->fd >= 0 && l->shard == TABLE_SHARDS)
        end_draft(l);
}

void limits_turn(struct limits *l, const char *state_dir, int64_t now_ns)
{
    if (l->fd < 0 && now_ns >= l->due_ns && has_rules(l)) {
        l->due_ns = now_ns + PERIOD_NS;
        begin_draft(l, state_dir);
    }
    go_on(l, SHARDS_A_TURN);
}

void limits_finish(struct limits *l, const char *state_dir)
{
    drop_draft(l);
    if (has_rules(l))
        begin_draft(l, state_dir);
    go_on(l, TABLE_SHARDS);
    drop_draft(l); /* a shard was held */
    l->due_ns = INT64_MAX;
}
