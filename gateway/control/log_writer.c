#include "control/log_writer.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum {
    DATAGRAMS_AT_ONCE = 1000,
    PENDING_MAX = 1024 * 1024,
    WRITE_MAX = 4096, /* PIPE_BUF: what poll calls writable takes so much without waiting */
};

struct source {
    struct source *next;
    struct log_writer *writer;
    struct watch *watch;
    int fd;
};

struct log_writer {
    struct log_writer_options options;
    struct source *sources;
    struct buffer pending; /* lines that the target did not take yet */
    struct timeout *retry; /* until the target takes something */
    int64_t last_lost_ns;
    int64_t untold;            /* lines that were dropped, and of which no line says so yet */
    int target;                /* -1: none yet */
    bool is_syslog, is_stream; /* is_stream: it may take nothing for a while */
    char datagram[LOG_DATAGRAM_MAX];
};

static void write_pending(void *owner);

struct log_writer *log_writer_create(const struct log_writer_options *options)
{
    struct log_writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->options = *options;
    w->target = -1;
    w->pending.limit = PENDING_MAX;
    w->is_syslog = span_equals(span_of(options->config->target), "syslog");
    w->is_stream = span_equals(span_of(options->config->target), "stderr");
    w->retry = timeout_create(options->loop, write_pending, w);
    if (w->retry == NULL)
        log_writer_destroy(&w);
    return w;
}

static void drop(struct log_writer *w, int64_t lines)
{
    counter_add(w->options.counters, COUNTER_log_lines_dropped, 0, lines);
    w->untold += lines;
}

/* The target has taken something. */
static void tell_dropped(struct log_writer *w)
{
    if (w->untold > 0)
        log_event(w->options.log, EVENT_log_dropped, field_number(KEY_count, w->untold));
    w->untold = 0;
}

static int64_t count_lines(struct span text)
{
    int64_t lines = 0;
    while (text.size > 0) {
        (void)span_split(&text, '\n');
        lines++;
    }
    return lines;
}

static bool is_writable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}

/* Whole lines, as many as fit a write that doesn't wait. */
static struct span next_chunk(const struct log_writer *w)
{
    struct span all = buffer_bytes(&w->pending);
    if (all.size <= WRITE_MAX || !w->is_stream)
        return all;
    const char *end = memrchr(all.data, '\n', WRITE_MAX);
    return span_make(all.data, end == NULL ? WRITE_MAX : (size_t)(end - all.data) + 1);
}

static void write_pending(void *owner)
{
    struct log_writer *w = owner;
    while (w->pending.size > 0 && w->target >= 0) {
        struct span chunk = next_chunk(w);
        if (w->is_stream && !is_writable(w->target)) {
            timeout_set(w->retry, loop_now(w->options.loop) + CLOCK_SECOND / 10);
            return;
        }
        ssize_t written = write(w->target, chunk.data, chunk.size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            drop(w, count_lines(chunk)); /* no space, or nobody reads */
            written = (ssize_t)chunk.size;
        } else {
            tell_dropped(w);
        }
        if ((size_t)written == w->pending.size)
            buffer_empty(&w->pending); /* the next lines come soon */
        else
            buffer_consume(&w->pending, (size_t)written);
    }
}

/* One message as syslog(3) would send it. */
static void write_syslog(struct log_writer *w, enum log_level level, struct span line)
{
    static const int priorities[] = {LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR};
    char message[9000], stamp[32];
    time_t now = time(NULL);
    struct tm t;
    (void)localtime_r(&now, &t); /* fails only for years that do not fit an int */
    (void)strftime(stamp, sizeof stamp, "%h %e %T", &t); /* fits */
    int size = snprintf(message, sizeof message, "<%d>%s porteirod: %.*s",
                        log_facility(w->options.config) | priorities[level], stamp, (int)line.size,
                        line.data);
    if ((size_t)size >= sizeof message)
        size = (int)sizeof message - 1; /* cut to fit */
    if (w->target >= 0 &&
        send(w->target, message, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
        tell_dropped(w);
        return;
    }
    drop(w, 1);
    if (errno == EAGAIN || loop_now(w->options.loop) < w->last_lost_ns + CLOCK_SECOND)
        return;
    w->last_lost_ns = loop_now(w->options.loop);
    w->options.on_lost(w->options.owner);
}

static void take_line(void *owner, enum log_level level, struct span line)
{
    struct log_writer *w = owner;
    if (w->options.witness != NULL)
        witness_hear(w->options.witness, line);
    if ((int)level < w->options.config->level)
        return;
    if (w->is_syslog)
        write_syslog(w, level, line);
    else if (buffer_room(&w->pending) <= line.size || buffer_append(&w->pending, line) < 0 ||
             buffer_append(&w->pending, span_of("\n")) < 0)
        drop(w, 1);
}

static void read_source(struct source *s)
{
    struct log_writer *w = s->writer;
    for (int i = 0; i < DATAGRAMS_AT_ONCE; i++) {
        ssize_t size = recv(s->fd, w->datagram, sizeof w->datagram, MSG_DONTWAIT);
        if (size <= 0)
            return;
        log_lines_each(span_make(w->datagram, (size_t)size), take_line, w);
    }
}

static void on_lines(void *owner, bool is_readable, bool is_writable_too)
{
    struct source *s = owner;
    (void)is_readable, (void)is_writable_too;
    read_source(s);
    write_pending(s->writer); /* the next one's lines need the room */
}

void log_writer_destroy(struct log_writer **writer)
{
    struct log_writer *w = *writer;
    if (w == NULL)
        return;
    while (w->sources != NULL) {
        struct source *s = w->sources;
        w->sources = s->next;
        read_source(s);
        write_pending(w);
        watch_destroy(&s->watch);
        (void)close(s->fd); /* was only read */
        free(s);
    }
    timeout_destroy(&w->retry);
    buffer_clear(&w->pending);
    if (w->target >= 0)
        (void)close(w->target); /* what could not be written was counted */
    free(w);
    *writer = NULL;
}

void log_writer_set_target(struct log_writer *w, int fd)
{
    if (w->target >= 0)
        (void)close(w->target); /* as above */
    w->target = fd;
    write_pending(w);
}

void log_writer_add(struct log_writer *w, int fd)
{
    struct source *s = calloc(1, sizeof *s);
    if (s != NULL) {
        *s = (struct source){.next = w->sources, .writer = w, .fd = fd};
        s->watch = watch_create(w->options.loop, fd, on_lines, s);
    }
    if (s == NULL || s->watch == NULL || watch_want(s->watch, true, false) < 0) {
        if (s != NULL)
            watch_destroy(&s->watch);
        free(s);
        (void)close(fd); /* was only read */
        return;
    }
    w->sources = s;
}
