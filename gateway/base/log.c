/* A datagram is a row of records: the level and the size of a line, in an int16 each, then the
 * line. Both ends are one program on one machine, so the byte order is the host's. */
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { LINE_MAX_SIZE = 8 * 1024, GATHER_MAX = 2 * LOG_DATAGRAM_MAX };

const char *const log_level_names[] = {"debug", "info", "warning", "error", NULL};

struct record_head {
    uint16_t level, size;
};

struct log {
    int fd;
    enum log_level threshold;
    unsigned dropped;
    size_t used;
    char gathered[GATHER_MAX];
};

struct log *log_create(int fd, enum log_level threshold)
{
    struct log *log = malloc(sizeof *log);
    if (log != NULL) {
        log->fd = fd;
        log->threshold = threshold;
        log->dropped = 0;
        log->used = 0;
    }
    return log;
}

void log_destroy(struct log **log)
{
    free(*log);
    *log = NULL;
}

bool log_takes(const struct log *log, enum log_level level)
{
    return level >= log->threshold;
}

void log_line(struct log *log, enum log_level level, struct span line)
{
    if (!log_takes(log, level))
        return;
    if (line.size > LINE_MAX_SIZE)
        line.size = LINE_MAX_SIZE;
    if (log->fd < 0) {
        char end[] = "\n";
        struct iovec parts[] = {{(void *)(uintptr_t)line.data, line.size}, {end, 1}};
        if (writev(STDERR_FILENO, parts, 2) < 0)
            log->dropped++;
        return;
    }
    struct record_head head = {(uint16_t)level, (uint16_t)line.size};
    if (sizeof log->gathered - log->used < sizeof head + line.size)
        log_flush(log);
    if (sizeof log->gathered - log->used < sizeof head + line.size) {
        log->dropped++;
        return;
    }
    memcpy(log->gathered + log->used, &head, sizeof head);
    memcpy(log->gathered + log->used + sizeof head, line.data, line.size);
    log->used += sizeof head + line.size;
}

/* The size of the record at `at`. */
static size_t record_size(const char *at)
{
    struct record_head head;
    memcpy(&head, at, sizeof head);
    return sizeof head + head.size;
}

void log_flush(struct log *log)
{
    size_t sent = 0;
    while (sent < log->used) {
        size_t size = 0;
        while (sent + size < log->used) {
            size_t next = record_size(log->gathered + sent + size);
            if (size + next > LOG_DATAGRAM_MAX)
                break;
            size += next;
        }
        if (send(log->fd, log->gathered + sent, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
            errno != ECONNREFUSED)
            break; /* full: again next turn */
        sent += size;
    }
    memmove(log->gathered, log->gathered + sent, log->used - sent);
    log->used -= sent;
}

unsigned log_take_dropped(struct log *log)
{
    unsigned dropped = log->dropped;
    log->dropped = 0;
    return dropped;
}

void log_lines_each(struct span datagram,
                    void (*take)(void *owner, enum log_level level, struct span line), void *owner)
{
    struct record_head head;
    while (datagram.size >= sizeof head) {
        memcpy(&head, datagram.data, sizeof head);
        span_skip(&datagram, sizeof head);
        if (head.size > datagram.size || head.size > LINE_MAX_SIZE || head.level > LOG_LEVEL_ERROR)
            return;
        take(owner, (enum log_level)head.level, span_take(&datagram, head.size));
    }
}
