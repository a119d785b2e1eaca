/* What was logged over a datagram pair, as lines of text. */
#pragma once

#include "base/log.h"

#include "support/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct logged {
    char text[16384];
    size_t size;
};

static inline void logged_take(void *owner, enum log_level level, struct span line)
{
    struct logged *l = owner;
    size_t room = sizeof l->text - l->size;
    (void)level;
    ck_assert_uint_gt(room, line.size + 1);
    l->size +=
        (size_t)snprintf(l->text + l->size, room, "%.*s\n", (int)line.size, line.data); /* fits */
}

/* How many lines so far have `part` in them: those that `log` has written to the other end of `fd`.
 */
static inline unsigned logged_with(struct logged *l, struct log *log, int fd, const char *part)
{
    static char datagram[LOG_DATAGRAM_MAX];
    ssize_t size;
    unsigned count = 0;
    log_flush(log);
    while ((size = recv(fd, datagram, sizeof datagram, MSG_DONTWAIT)) > 0)
        log_lines_each(span_make(datagram, (size_t)size), logged_take, l);
    for (const char *at = l->text; (at = strstr(at, part)) != NULL; at = strchr(at, '\n'))
        count++;
    return count;
}
