#include "process/spool_file.h"

#include "process/children.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Where the file system knows no O_TMPFILE: the name is gone before anybody writes. */
static int open_and_unlink(const char *folder)
{
    char path[PATH_MAX];
    int size = snprintf(path, sizeof path, "%s/held.XXXXXX", folder);
    if (size < 0 || (size_t)size >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        (void)unlink(path); /* else it is found by whoever cleans up, and is empty by then */
    return fd;
}

static int open_file(const char *folder)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR) ? open_and_unlink(folder) : fd;
}

/* Tells of the first failure in a row. */
static void note(struct generation *g, bool is_failure)
{
    bool is_news = is_failure && !g->master->is_spool_failing;
    char reason[PATH_MAX + 100];
    (void)snprintf(reason, sizeof reason, "%s: %s", g->prepared->config->spool_dir,
                   strerror(errno)); /* may be cut */
    g->master->is_spool_failing = is_failure;
    if (is_news)
        log_event(&g->master->log, EVENT_spool_failed, field_text(KEY_reason, reason));
}

void spool_file_send(struct post *asker)
{
    const struct message_empty empty = {0};
    int fd = open_file(asker->generation->prepared->config->spool_dir);
    note(asker->generation, fd < 0);
    /* A worker that is gone needs none. */
    (void)channel_send(asker->child.channel, MESSAGE_SPOOL_FILE, &empty, span_make("", 0), fd);
    if (fd >= 0)
        (void)close(fd); /* the asker's copy counts */
}
