/* By their path: that follows links, and sees a file that was replaced, put on another disk or
 * mounted away; inotify tells of none of these. */
#include "base/file_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A file that is replaced has another inode, one that is written another time or size. */
struct mark {
    int error;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

struct watched {
    size_t group;
    char *path;
    struct mark mark;
    int64_t changed_ns; /* 0: it is as it was */
};

struct file_watch {
    struct watched *files;
    size_t count;
};

struct file_watch *file_watch_create(void)
{
    struct file_watch *w = calloc(1, sizeof *w);
    if (w == NULL)
        abort(); /* out of memory at the start */
    return w;
}

void file_watch_destroy(struct file_watch **watch)
{
    struct file_watch *w = *watch;
    if (w == NULL)
        return;
    for (size_t i = 0; i < w->count; i++)
        free(w->files[i].path);
    free(w->files);
    free(w);
    *watch = NULL;
}

static struct mark mark_of(const char *path)
{
    struct stat s;
    if (stat(path, &s) < 0)
        return (struct mark){.error = errno};
    return (struct mark){.device = s.st_dev,
                         .inode = s.st_ino,
                         .size = s.st_size,
                         .modified = s.st_mtim,
                         .changed = s.st_ctim};
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_same(const struct mark *a, const struct mark *b)
{
    return a->error == b->error && a->device == b->device && a->inode == b->inode &&
           a->size == b->size && is_same_time(a->modified, b->modified) &&
           is_same_time(a->changed, b->changed);
}

void file_watch_add(struct file_watch *w, size_t group, const char *path)
{
    struct watched *more = realloc(w->files, (w->count + 1) * sizeof *more);
    char *copy = strdup(path);
    if (more == NULL || copy == NULL)
        abort(); /* out of memory at the start */
    w->files = more;
    w->files[w->count++] = (struct watched){group, copy, mark_of(path), 0};
}

bool file_watch_is_pending(const struct file_watch *w, size_t group)
{
    for (size_t i = 0; i < w->count; i++) {
        const struct watched *f = &w->files[i];
        struct mark now = f->group == group ? mark_of(f->path) : f->mark;
        if (f->group == group && (f->changed_ns != 0 || !is_same(&now, &f->mark)))
            return true;
    }
    return false;
}

static void look(struct watched *f, int64_t now_ns)
{
    struct mark now = mark_of(f->path);
    if (is_same(&now, &f->mark))
        return;
    f->mark = now;
    f->changed_ns = now_ns;
}

/* When a file of the group has last changed; 0: none has. */
static int64_t last_change(const struct file_watch *w, size_t group)
{
    int64_t last = 0;
    for (size_t i = 0; i < w->count; i++)
        if (w->files[i].group == group && w->files[i].changed_ns > last)
            last = w->files[i].changed_ns;
    return last;
}

void file_watch_turn(struct file_watch *w, int64_t now_ns, void (*fn)(void *owner, size_t group),
                     void *owner)
{
    for (size_t i = 0; i < w->count; i++)
        look(&w->files[i], now_ns);
    for (size_t i = 0; i < w->count; i++) {
        size_t group = w->files[i].group;
        if (w->files[i].changed_ns == 0 || now_ns - last_change(w, group) < FILE_WATCH_STILL_NS)
            continue;
        for (size_t n = 0; n < w->count; n++)
            if (w->files[n].group == group)
                w->files[n].changed_ns = 0;
        fn(owner, group);
    }
}
