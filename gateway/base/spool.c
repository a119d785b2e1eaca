/* The count of all processes is looked at in steps: each takes room for itself ahead of its need,
 * and most of what is held and given back moves within that. A process counts itself first and
 * looks afterwards: of two that race for the last room both may be refused, never both let in. */
#include "base/spool.h"

#include "base/buffer.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum kind { IN_MEMORY, IN_FILES, KINDS };

struct holding {
    _Atomic uint32_t rows; /* from here on none has ever counted anything */
    _Atomic uint64_t taken[HOLDING_ROWS][KINDS];
};

enum {
    STEP_MAX = 64 * 1024,
    STEPS = 1024,
    FILES_MAX = 16,                   /* at hand */
    FILE_KEPT_MAX = 16 * 1024 * 1024, /* what one of them may still have on the disk */
};

/* Of what this process may hold of one kind. */
struct room {
    uint64_t used, taken; /* taken of what is left to all */
    uint64_t max, step;
};

struct spools {
    struct spools_options options;
    struct room rooms[KINDS];
    int files[FILES_MAX];   /* at hand: what is in them means nothing */
    unsigned ready, wanted; /* of those; asked for, and to come */
};

struct spool {
    struct spools *spools;
    struct buffer memory;
    uint64_t counted; /* of what is in memory: while it grows both differ */
    int fd;           /* what is behind that; -1: nothing */
    uint64_t file_size;
    bool is_broken; /* the file can't be written */
};

/* ---- how much there is room for ---- */

size_t holding_size(void)
{
    return sizeof(struct holding);
}

void holding_release(struct holding *h, size_t process)
{
    assert(process < HOLDING_ROWS);
    for (int kind = 0; kind < KINDS; kind++)
        atomic_store(&h->taken[process][kind], 0);
}

static void take_note(struct holding *h, size_t process)
{
    uint32_t known = atomic_load(&h->rows);
    assert(process < HOLDING_ROWS);
    while (known <= process &&
           !atomic_compare_exchange_weak(&h->rows, &known, (uint32_t)process + 1))
        continue;
}

static uint64_t taken_by_all(const struct holding *h, enum kind kind)
{
    uint64_t sum = 0;
    uint32_t rows = atomic_load(&h->rows);
    for (uint32_t i = 0; i < rows && i < HOLDING_ROWS; i++)
        sum += atomic_load_explicit(&h->taken[i][kind], memory_order_relaxed);
    return sum;
}

/* Takes so much more for this process. Returns 0, or -1: there isn't so much. */
static int widen(struct spools *s, enum kind kind, uint64_t more)
{
    struct room *r = &s->rooms[kind];
    _Atomic uint64_t *row = &s->options.holding->taken[s->options.process][kind];
    atomic_fetch_add(row, more);
    if (taken_by_all(s->options.holding, kind) > r->max) {
        atomic_fetch_sub(row, more);
        return -1;
    }
    r->taken += more;
    return 0;
}

/* Hot: mostly a comparison. */
static int hold(struct spools *s, enum kind kind, uint64_t size)
{
    struct room *r = &s->rooms[kind];
    if (r->used + size > r->taken) {
        uint64_t needed = r->used + size - r->taken;
        if (widen(s, kind, (needed + r->step - 1) / r->step * r->step) < 0 &&
            widen(s, kind, needed) < 0)
            return -1;
    }
    r->used += size;
    return 0;
}

static void let_go(struct spools *s, enum kind kind, uint64_t size)
{
    struct room *r = &s->rooms[kind];
    assert(size <= r->used);
    r->used -= size;
    if (r->taken - r->used <= 2 * r->step)
        return;
    uint64_t less = r->taken - r->used - r->step;
    atomic_fetch_sub(&s->options.holding->taken[s->options.process][kind], less);
    r->taken -= less;
}

/* ---- files at hand ---- */

static void want_files(struct spools *s)
{
    while (s->ready + s->wanted < SPOOL_FILES_READY) {
        s->wanted++;
        s->options.want(s->options.owner);
    }
}

struct spools *spools_create(const struct spools_options *options)
{
    struct spools *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->options = *options;
    s->rooms[IN_MEMORY].max = options->memory_max;
    s->rooms[IN_FILES].max = options->files_max;
    for (int kind = 0; kind < KINDS; kind++) {
        uint64_t step = s->rooms[kind].max / STEPS;
        s->rooms[kind].step = step < 1 ? 1 : step > STEP_MAX ? STEP_MAX : step;
    }
    take_note(options->holding, options->process);
    return s;
}

void spools_destroy(struct spools **spools)
{
    struct spools *s = *spools;
    if (s == NULL)
        return;
    while (s->ready > 0)
        (void)close(s->files[--s->ready]); /* empty, and nobody's */
    holding_release(s->options.holding, s->options.process);
    free(s);
    *spools = NULL;
}

void spools_add(struct spools *s, int fd)
{
    s->wanted -= s->wanted > 0;
    if (fd < 0)
        return; /* asked for again by the next who needs one */
    if (s->ready < FILES_MAX)
        s->files[s->ready++] = fd;
    else
        (void)close(fd); /* one too many, and empty */
}

/* One of those at hand; or -1: none is. */
static int take_file(struct spools *s)
{
    int fd = s->ready == 0 ? -1 : s->files[--s->ready];
    want_files(s);
    return fd;
}

/* To be used again. What it holds is written over: its pages are there already, and to give them
 * back and take others costs as much as to write them. */
static void put_file(struct spools *s, int fd, uint64_t size)
{
    if (s->ready < FILES_MAX && (size <= FILE_KEPT_MAX || ftruncate(fd, 0) == 0))
        s->files[s->ready++] = fd;
    else
        (void)close(fd); /* what it held is gone with it */
}

/* ---- one ---- */

struct spool *spool_create(struct spools *spools)
{
    struct spool *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    *s = (struct spool){.spools = spools, .memory = {.limit = SIZE_MAX}, .fd = -1};
    want_files(spools);
    return s;
}

void spool_destroy(struct spool **spool)
{
    struct spool *s = *spool;
    if (s == NULL)
        return;
    let_go(s->spools, IN_MEMORY, s->counted);
    let_go(s->spools, IN_FILES, s->file_size);
    if (s->is_broken)
        (void)close(s->fd); /* another may do */
    else if (s->fd >= 0)
        put_file(s->spools, s->fd, s->file_size);
    buffer_clear(&s->memory);
    free(s);
    *spool = NULL;
}

static int append_memory(struct spool *s, struct span bytes)
{
    if (hold(s->spools, IN_MEMORY, bytes.size) < 0)
        return -1;
    s->counted += bytes.size;
    return buffer_append(&s->memory, bytes);
}

static int append_file(struct spool *s, struct span bytes)
{
    if (hold(s->spools, IN_FILES, bytes.size) < 0)
        return -1;
    uint64_t at = s->file_size;
    s->file_size += bytes.size;
    while (bytes.size > 0) {
        ssize_t written = pwrite(s->fd, bytes.data, bytes.size, (off_t)at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            s->is_broken = true;
            return -1;
        }
        span_skip(&bytes, (size_t)written);
        at += (uint64_t)written;
    }
    return 0;
}

/* While no file is at hand, one that is on its way is waited for in memory. */
int spool_append(struct spool *s, struct span bytes)
{
    if (s->fd < 0 && s->memory.size + bytes.size <= s->spools->options.in_memory &&
        append_memory(s, bytes) == 0)
        return 0;
    if (s->fd < 0)
        s->fd = take_file(s->spools);
    return s->fd < 0 ? append_memory(s, bytes) : append_file(s, bytes);
}

uint64_t spool_size(const struct spool *s)
{
    return s->memory.size + s->file_size;
}

static struct span read_file(const struct spool *s, uint64_t at, char *out, size_t room)
{
    uint64_t left = s->file_size - at;
    size_t size = left < room ? (size_t)left : room;
    ssize_t got = 0;
    if (size == 0)
        return span_make("", 0);
    do
        got = pread(s->fd, out, size, (off_t)at);
    while (got < 0 && errno == EINTR);
    return got > 0 ? span_make(out, (size_t)got) : (struct span){NULL, 0};
}

struct span spool_read(const struct spool *s, uint64_t at, char *out, size_t room)
{
    assert(at <= spool_size(s));
    if (at >= s->memory.size)
        return read_file(s, at - s->memory.size, out, room);
    struct span bytes = buffer_bytes(&s->memory);
    span_skip(&bytes, (size_t)at);
    return span_take(&bytes, bytes.size < room ? bytes.size : room);
}
