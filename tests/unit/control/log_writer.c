#include "control/log_writer.h"

#include "base/log.h"

#include "ipc/descriptors.h"
#include "net/turns.h"
#include "telemetry/logged.h"
#include "telemetry/mapping.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { SPEAKERS = 3, WRITTEN_MAX = 4 * 1024 * 1024 };

static struct {
    struct log_config config;
    struct counter_table *table;
    struct counters *counters;
    struct log_writer *writer;
    unsigned lost;
    int sockets[SPEAKERS];
    struct log *logs[SPEAKERS]; /* of the processes that speak */
    size_t speakers;
    int target; /* where the test reads what was written */
    size_t size;
    char written[WRITTEN_MAX + 1];
    struct event_log own; /* what the writer itself has to say goes to own_ends[1] */
    int own_ends[2];
    struct logged said;
} it;

static void on_lost(void *owner)
{
    ck_assert_ptr_eq(owner, &it);
    it.lost++;
}

static void create_writer(void)
{
    const struct log_writer_options options = {.loop = turns.loop,
                                               .config = &it.config,
                                               .counters = it.counters,
                                               .log = &it.own,
                                               .on_lost = on_lost,
                                               .owner = &it};
    it.writer = log_writer_create(&options);
}

static void begin(void)
{
    turns_begin();
    it.config = (struct log_config){.target = "/var/log/porteiro.log", .facility = 0};
    it.table = mapping_make(counter_table_size());
    it.counters = counters_create(it.table);
    it.target = -1;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, it.own_ends), 0);
    it.own =
        (struct event_log){.lines = log_create(it.own_ends[0], LOG_LEVEL_DEBUG), .process = ""};
    create_writer();
    ck_assert_ptr_nonnull(it.writer);
}

/* How often it has said so. */
static unsigned says(const char *part)
{
    return logged_with(&it.said, it.own.lines, it.own_ends[1], part);
}

/* A target that is no file. */
static void begin_with(const char *target)
{
    log_writer_destroy(&it.writer);
    it.config.target = target;
    create_writer();
    ck_assert_ptr_nonnull(it.writer);
}

static void end(void)
{
    log_writer_destroy(&it.writer);
    for (size_t i = 0; i < it.speakers; i++) {
        log_destroy(&it.logs[i]);
        ck_assert_int_eq(close(it.sockets[i]), 0);
    }
    if (it.target >= 0)
        ck_assert_int_eq(close(it.target), 0);
    log_destroy(&it.own.lines);
    ck_assert_int_eq(close(it.own_ends[0]) | close(it.own_ends[1]), 0);
    counters_destroy(&it.counters);
    turns_end();
}

/* One more process that has something to say. */
static struct log *add_speaker(void)
{
    int ends[2];
    ck_assert_uint_lt(it.speakers, SPEAKERS);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
    log_writer_add(it.writer, ends[1]);
    it.sockets[it.speakers] = ends[0];
    it.logs[it.speakers] = log_create(ends[0], LOG_LEVEL_DEBUG);
    ck_assert_ptr_nonnull(it.logs[it.speakers]);
    return it.logs[it.speakers++];
}

/* Says a line, in a datagram of its own. */
static void say(struct log *log, enum log_level level, const char *line)
{
    log_line(log, level, span_of(line));
    log_flush(log);
}

static void write_to_file(void)
{
    it.target = memfd_create("log", MFD_CLOEXEC);
    ck_assert_int_ge(it.target, 0);
    log_writer_set_target(it.writer, fcntl(it.target, F_DUPFD_CLOEXEC, 0));
}

/* All that stands in the file. */
static const char *file(void)
{
    ssize_t size = pread(it.target, it.written, WRITTEN_MAX, 0);
    ck_assert_int_ge(size, 0);
    it.size = (size_t)size;
    it.written[it.size] = '\0';
    return it.written;
}

/* A pipe of one page, as somebody reads standard error. */
static void write_to_pipe(void)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert_int_ge(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
    ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    it.target = ends[0];
    log_writer_set_target(it.writer, ends[1]);
}

/* Takes what has come through the pipe. Returns how much has come so far. */
static size_t take_pipe(void)
{
    ssize_t size;
    while ((size = read(it.target, it.written + it.size, WRITTEN_MAX - it.size)) > 0)
        it.size += (size_t)size;
    it.written[it.size] = '\0';
    return it.size;
}

static void write_to_syslog(void)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
    it.target = ends[0];
    log_writer_set_target(it.writer, ends[1]);
}

static bool syslog_has(void)
{
    ssize_t size = recv(it.target, it.written, WRITTEN_MAX, MSG_DONTWAIT);
    it.size = size < 0 ? 0 : (size_t)size;
    it.written[it.size] = '\0';
    return size >= 0;
}

/* Has everything been read that was said into this socket? */
static bool is_read(int fd)
{
    int waiting;
    ck_assert_int_eq(ioctl(fd, SIOCOUTQ, &waiting), 0);
    return waiting == 0;
}

static int64_t dropped(void)
{
    counters_flush(it.counters);
    return counter_read(it.table, COUNTER_log_lines_dropped, 0);
}

/* ---- to a file ---- */

START_TEST(lines_are_written_each_with_its_end)
{
    struct log *log = add_speaker();
    write_to_file();
    log_line(log, LOG_LEVEL_INFO, span_of("first"));
    log_line(log, LOG_LEVEL_ERROR, span_of("second"));
    log_flush(log);
    UNTIL(strcmp(file(), "first\nsecond\n") == 0);
    say(log, LOG_LEVEL_INFO, "third");
    UNTIL(strcmp(file(), "first\nsecond\nthird\n") == 0);
    ck_assert_int_eq(dropped(), 0);
}
END_TEST

START_TEST(lines_of_all_processes_are_written_whole)
{
    static const char *const lines[SPEAKERS] = {"of the 1st", "of the 2nd", "of the 3rd"};
    write_to_file();
    for (size_t i = 0; i < SPEAKERS; i++)
        say(add_speaker(), LOG_LEVEL_INFO, lines[i]);
    UNTIL(strlen(file()) == SPEAKERS * strlen("of the 1st\n"));
    for (size_t i = 0; i < SPEAKERS; i++)
        ck_assert_ptr_nonnull(strstr(it.written, lines[i]));
}
END_TEST

START_TEST(lines_that_come_before_there_is_a_target_wait_for_it)
{
    say(add_speaker(), LOG_LEVEL_INFO, "early");
    UNTIL(is_read(it.sockets[0]));
    write_to_file();
    ck_assert_str_eq(file(), "early\n");
    ck_assert_int_eq(dropped(), 0);
}
END_TEST

START_TEST(a_new_target_gets_what_comes_from_now_on)
{
    struct log *log = add_speaker();
    write_to_file();
    say(log, LOG_LEVEL_INFO, "before");
    UNTIL(strcmp(file(), "before\n") == 0);
    int first = it.target;
    write_to_file();
    say(log, LOG_LEVEL_INFO, "after");
    UNTIL(strcmp(file(), "after\n") == 0);
    ck_assert_int_eq(pread(first, it.written, WRITTEN_MAX, 0), (ssize_t)strlen("before\n"));
    ck_assert_int_eq(close(first), 0);
}
END_TEST

START_TEST(what_has_come_is_written_at_the_end)
{
    struct log *log = add_speaker();
    write_to_file();
    for (int n = 0; n < 5; n++)
        say(log, LOG_LEVEL_INFO, "line");
    log_writer_destroy(&it.writer); /* the loop has not turned once */
    ck_assert_ptr_null(it.writer);
    ck_assert_str_eq(file(), "line\nline\nline\nline\nline\n");
}
END_TEST

START_TEST(a_process_that_has_ended_is_still_heard)
{
    struct log *log = add_speaker();
    write_to_file();
    say(log, LOG_LEVEL_ERROR, "last words");
    log_destroy(&it.logs[--it.speakers]);
    ck_assert_int_eq(close(it.sockets[it.speakers]), 0);
    UNTIL(strcmp(file(), "last words\n") == 0);
}
END_TEST

START_TEST(a_datagram_that_is_no_log_is_passed_over)
{
    static const char nonsense[] = "\xff\xff\xff\xff nonsense";
    struct log *log = add_speaker();
    write_to_file();
    ck_assert_int_gt(send(it.sockets[0], nonsense, sizeof nonsense, 0), 0);
    ck_assert_int_gt(send(it.sockets[0], nonsense, 1, 0), 0);
    say(log, LOG_LEVEL_INFO, "sense");
    UNTIL(strcmp(file(), "sense\n") == 0);
}
END_TEST

START_TEST(a_file_that_takes_nothing_costs_lines_that_are_counted)
{
    struct log *log = add_speaker();
    log_writer_set_target(it.writer, open("/dev/full", O_WRONLY | O_CLOEXEC));
    for (int n = 0; n < 3; n++)
        say(log, LOG_LEVEL_INFO, "line");
    UNTIL(dropped() == 3);
    write_to_file();
    say(log, LOG_LEVEL_INFO, "again");
    UNTIL(strcmp(file(), "again\n") == 0);
}
END_TEST

START_TEST(lines_that_were_dropped_are_counted_in_the_next_that_is_written)
{
    struct log *log = add_speaker();
    log_writer_set_target(it.writer, open("/dev/full", O_WRONLY | O_CLOEXEC));
    for (int n = 0; n < 3; n++)
        say(log, LOG_LEVEL_INFO, "line");
    UNTIL(dropped() == 3);
    say(log, LOG_LEVEL_INFO, "line");
    UNTIL(dropped() == 4);
    ck_assert_uint_eq(says("event"), 0); /* it would be lost as well */
    write_to_file();
    for (int n = 0; n < 3; n++)
        say(log, LOG_LEVEL_INFO, "again");
    UNTIL(strcmp(file(), "again\nagain\nagain\n") == 0);
    ck_assert_uint_eq(says("level=warning event=log_dropped count=4"), 1);
    ck_assert_uint_eq(says("event"), 1);
}
END_TEST

START_TEST(without_a_target_a_mebibyte_is_kept_and_the_rest_counted)
{
    static char line[8001];
    struct log *log = add_speaker();
    memset(line, 'x', sizeof line - 1);
    for (int n = 0; n < 200; n++) {
        say(log, LOG_LEVEL_INFO, line);
        UNTIL(is_read(it.sockets[0]));
    }
    int64_t kept = 200 - dropped();
    ck_assert_int_le(kept * 8001, 1024 * 1024);
    ck_assert_int_gt((kept + 1) * 8001, 1024 * 1024);
    write_to_file();
    ck_assert_uint_eq(strlen(file()), (size_t)kept * 8001);
}
END_TEST

/* ---- to standard error ---- */

START_TEST(who_does_not_read_standard_error_delays_nobody_and_gets_all_later)
{
    static char line[1000];
    begin_with("stderr");
    struct log *log = add_speaker();
    write_to_pipe();
    for (int n = 0; n < 100; n++) {
        (void)snprintf(line, sizeof line, "%-900d", n); /* fits */
        say(log, LOG_LEVEL_INFO, line);
        UNTIL(is_read(it.sockets[0])); /* a write that waits would never end */
    }
    UNTIL(take_pipe() == 100 * 901);
    for (int n = 0; n < 100; n++)
        ck_assert_int_eq(strtol(it.written + (ptrdiff_t)n * 901, NULL, 10), n);
    ck_assert_int_eq(dropped(), 0);
}
END_TEST

START_TEST(a_line_longer_than_a_pipe_takes_at_once_arrives_whole)
{
    static char line[8001];
    begin_with("stderr");
    memset(line, 'x', sizeof line - 1);
    struct log *log = add_speaker();
    write_to_pipe();
    say(log, LOG_LEVEL_INFO, line);
    say(log, LOG_LEVEL_INFO, "short");
    UNTIL(take_pipe() == 8001 + 6);
    ck_assert_uint_eq(strspn(it.written, "x"), 8000);
    ck_assert_str_eq(it.written + 8000, "\nshort\n");
}
END_TEST

START_TEST(a_pipe_that_nobody_reads_any_more_costs_lines_that_are_counted)
{
    begin_with("stderr");
    struct log *log = add_speaker();
    write_to_pipe();
    ck_assert_int_eq(close(it.target), 0);
    it.target = -1;
    say(log, LOG_LEVEL_INFO, "one");
    say(log, LOG_LEVEL_INFO, "two");
    UNTIL(dropped() == 2);
}
END_TEST

/* ---- to syslog ---- */

/* RFC 3164 section 4.1.1: eight times the facility (2: mail) plus the severity. */
static const struct {
    enum log_level level;
    const char *priority;
} severities[] = {
    {LOG_LEVEL_DEBUG, "<23>"},
    {LOG_LEVEL_INFO, "<22>"},
    {LOG_LEVEL_WARNING, "<20>"},
    {LOG_LEVEL_ERROR, "<19>"},
};

START_TEST(syslog_gets_a_datagram_a_line_with_its_priority)
{
    begin_with("syslog");
    struct log *log = add_speaker();
    write_to_syslog();
    log_line(log, severities[_i].level, span_of("event=started"));
    log_line(log, severities[_i].level, span_of("next"));
    log_flush(log);
    UNTIL(syslog_has());
    /* "<22>Nov 24 22:14:15 porteirod: event=started" */
    static const char said[] = " porteirod: event=started";
    ck_assert_uint_eq(it.size, 4 + 15 + strlen(said));
    ck_assert_mem_eq(it.written, severities[_i].priority, 4);
    ck_assert_str_eq(it.written + 4 + 15, said);
    ck_assert(it.written[7] == ' ' && it.written[10] == ' ' && it.written[13] == ':');
    ck_assert(syslog_has());
    ck_assert_ptr_nonnull(strstr(it.written, " porteirod: next"));
    ck_assert(!syslog_has());
}
END_TEST

START_TEST(syslog_that_has_gone_away_is_told_once_a_second)
{
    begin_with("syslog");
    struct log *log = add_speaker();
    write_to_syslog();
    ck_assert_int_eq(close(it.target), 0);
    it.target = -1;
    for (int n = 0; n < 3; n++)
        say(log, LOG_LEVEL_INFO, "line");
    UNTIL(dropped() == 3);
    say(log, LOG_LEVEL_INFO, "line");
    UNTIL(dropped() == 4);
    ck_assert_uint_eq(it.lost, 1);
    write_to_syslog(); /* as the master does then */
    say(log, LOG_LEVEL_INFO, "again");
    UNTIL(syslog_has());
    ck_assert_ptr_nonnull(strstr(it.written, " porteirod: again"));
    ck_assert_int_eq(dropped(), 4);
}
END_TEST

START_TEST(a_syslog_that_is_slow_costs_lines_that_are_counted_and_is_not_told_as_gone)
{
    begin_with("syslog");
    struct log *log = add_speaker();
    int64_t said = 0, got = 0;
    char count[60];
    write_to_syslog();
    while (dropped() == 0) {
        ck_assert_int_lt(said, 100000);
        for (int n = 0; n < 100; n++, said++)
            log_line(log, LOG_LEVEL_INFO, span_of("line"));
        log_flush(log);
        UNTIL(is_read(it.sockets[0]));
    }
    ck_assert_uint_eq(it.lost, 0);
    while (syslog_has())
        got++;
    ck_assert_int_eq(got + dropped(), said);
    say(log, LOG_LEVEL_INFO, "again");
    UNTIL(syslog_has());
    (void)snprintf(count, sizeof count, "event=log_dropped count=%lld", (long long)dropped());
    ck_assert_uint_eq(says(count), 1);
}
END_TEST

/* ---- the ends ---- */

START_TEST(a_writer_that_has_nothing_to_write_costs_no_turns)
{
    (void)add_speaker();
    write_to_file();
    turns_for(5);
    uint64_t before = turns.count;
    turns_for(30);
    ck_assert_uint_le(turns.count - before, 2);
}
END_TEST

START_TEST(no_descriptor_is_left_open)
{
    log_writer_destroy(&it.writer);
    unsigned before = open_descriptors();
    create_writer();
    (void)add_speaker();
    (void)add_speaker();
    write_to_file();
    ck_assert_int_eq(close(it.target), 0);
    write_to_file();
    log_writer_destroy(&it.writer);
    ck_assert_uint_eq(open_descriptors(), before + 3); /* the speakers' ends, and the file */
}
END_TEST

static void create_and_add(int fd)
{
    create_writer();
    if (it.writer == NULL && !failing_has_failed())
        abort();
    if (it.writer != NULL)
        log_writer_add(it.writer, fd);
    else
        (void)close(fd); /* nothing came of it */
    log_writer_destroy(&it.writer);
}

START_TEST(without_memory_nothing_is_left_open)
{
    int ends[2];
    log_writer_destroy(&it.writer);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
    unsigned before = open_descriptors();
    WITH_EACH_ALLOCATION_FAILING(create_and_add(dup(ends[0])));
    ck_assert_uint_eq(open_descriptors(), before);
    ck_assert_int_eq(close(ends[0]), 0);
    ck_assert_int_eq(close(ends[1]), 0);
}
END_TEST

SUITE(log_writer)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(lines_are_written_each_with_its_end);
    TEST(lines_of_all_processes_are_written_whole);
    TEST(lines_that_come_before_there_is_a_target_wait_for_it);
    TEST(a_new_target_gets_what_comes_from_now_on);
    TEST(what_has_come_is_written_at_the_end);
    TEST(a_process_that_has_ended_is_still_heard);
    TEST(a_datagram_that_is_no_log_is_passed_over);
    TEST(a_file_that_takes_nothing_costs_lines_that_are_counted);
    TEST(lines_that_were_dropped_are_counted_in_the_next_that_is_written);
    TEST(without_a_target_a_mebibyte_is_kept_and_the_rest_counted);
    TEST(who_does_not_read_standard_error_delays_nobody_and_gets_all_later);
    TEST(a_line_longer_than_a_pipe_takes_at_once_arrives_whole);
    TEST(a_pipe_that_nobody_reads_any_more_costs_lines_that_are_counted);
    LOOP_TEST(syslog_gets_a_datagram_a_line_with_its_priority, severities);
    TEST(syslog_that_has_gone_away_is_told_once_a_second);
    TEST(a_syslog_that_is_slow_costs_lines_that_are_counted_and_is_not_told_as_gone);
    TEST(a_writer_that_has_nothing_to_write_costs_no_turns);
    TEST(no_descriptor_is_left_open);
    TEST(without_memory_nothing_is_left_open);
}
