/* A datagram is a row of records: the level and the size of a line, in an int16 each, then the
 * line. Both ends are one program on one machine, so the byte order is the host's. */
#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { LINE_MAX_SIZE = 8 * 1024, GATHER_MAX = 2 * LOG_DATAGRAM_MAX };
#define GATHER_NS (CLOCK_SECOND / 100)

const char *const log_level_names[] = {"debug", "info", "warning", "error", NULL};

struct record_head {
    uint16_t level, size;
};

struct log_memory {
    size_t used;
    char records[GATHER_MAX];
};

struct log {
    struct log_memory *memory, *owned; /* owned: the same, or NULL */
    int fd;
    enum log_level threshold;
    unsigned dropped;
    int64_t due_ns; /* INT64_MAX: nothing had been gathered at the end of the last turn */
};

size_t log_memory_size(void)
{
    return sizeof(struct log_memory);
}

struct log *log_create_in(struct log_memory *memory, int fd, enum log_level threshold)
{
    struct log *log = malloc(sizeof *log);
    if (log == NULL)
        return NULL;
    *log = (struct log){.memory = memory, .fd = fd, .threshold = threshold, .due_ns = INT64_MAX};
    memory->used = 0;
    return log;
}

struct log *log_create(int fd, enum log_level threshold)
{
    struct log_memory *memory = malloc(sizeof *memory);
    struct log *log = memory == NULL ? NULL : log_create_in(memory, fd, threshold);
    if (log == NULL)
        free(memory);
    else
        log->owned = memory;
    return log;
}

void log_destroy(struct log **log)
{
    if (*log != NULL)
        free((*log)->owned);
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
    struct log_memory *m = log->memory;
    struct record_head head = {(uint16_t)level, (uint16_t)line.size};
    if (sizeof m->records - m->used < sizeof head + line.size)
        log_flush(log);
    if (sizeof m->records - m->used < sizeof head + line.size) {
        log->dropped++;
        return;
    }
    memcpy(m->records + m->used, &head, sizeof head);
    memcpy(m->records + m->used + sizeof head, line.data, line.size);
    atomic_signal_fence(memory_order_release); /* a process may end here: it is whole, or isn't */
    m->used += sizeof head + line.size;
}

/* How much of `records` goes into one datagram: whole records; 0 where none of a right size begins.
 */
static size_t datagram_size(const char *records, size_t used)
{
    struct record_head head;
    size_t size = 0;
    while (used - size >= sizeof head) {
        memcpy(&head, records + size, sizeof head);
        size_t next = sizeof head + head.size;
        if (next > used - size || size + next > LOG_DATAGRAM_MAX)
            break;
        size += next;
    }
    return size;
}

static void send_all(struct log_memory *m, int fd)
{
    size_t used = m->used < sizeof m->records ? m->used : sizeof m->records, sent = 0, size;
    while ((size = datagram_size(m->records + sent, used - sent)) > 0) {
        if (send(fd, m->records + sent, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
            errno != ECONNREFUSED)
            break; /* full: again later */
        sent += size;
    }
    if (size == 0)
        sent = used; /* no record begins there */
    memmove(m->records, m->records + sent, used - sent);
    m->used = used - sent;
}

void log_flush(struct log *log)
{
    send_all(log->memory, log->fd);
}

/* Full datagrams go at once, as they would not become fewer. */
int64_t log_turn(struct log *log, int64_t now_ns)
{
    if (log->fd < 0 || log->memory->used == 0)
        return log->due_ns = INT64_MAX;
    if (log->due_ns == INT64_MAX)
        log->due_ns = now_ns + GATHER_NS;
    if (now_ns >= log->due_ns || log->memory->used >= LOG_DATAGRAM_MAX) {
        log_flush(log);
        log->due_ns = log->memory->used == 0 ? INT64_MAX : now_ns + GATHER_NS;
    }
    return log->due_ns;
}

void log_rescue(struct log_memory *memory, int fd)
{
    send_all(memory, fd);
    memory->used = 0;
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
