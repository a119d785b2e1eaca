#include "base/log.h"

#include "support/test.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NO_LINE = -1 };

/* Both ends, and what has come out so far. */
static struct {
    int writer, reader;
    size_t datagrams, largest, lines;
    enum log_level level; /* of the last line */
    char last[LOG_DATAGRAM_MAX];
    size_t last_size;
    int64_t last_number; /* of lines that are numbers */
    bool is_ascending;
} ends;

static void open_ends(void)
{
    int fds[2];
    memset(&ends, 0, sizeof ends);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
    ends.writer = fds[0];
    ends.reader = fds[1];
    ends.last_number = NO_LINE;
    ends.is_ascending = true;
}

static void close_ends(void)
{
    ck_assert_int_eq(close(ends.writer), 0);
    if (ends.reader >= 0)
        ck_assert_int_eq(close(ends.reader), 0);
}

static void take_line(void *owner, enum log_level level, struct span line)
{
    uint64_t number;
    (void)owner; /* there is one pair of ends */
    ends.lines++;
    ends.level = level;
    ends.last_size = line.size;
    memcpy(ends.last, line.data, line.size);
    if (span_number(span_make(line.data, line.size < 8 ? line.size : 8), 99999999, &number) < 0)
        return;
    ends.is_ascending = ends.is_ascending && (int64_t)number > ends.last_number;
    ends.last_number = (int64_t)number;
}

/* Reads all that has come. */
static void read_all(void)
{
    static char datagram[2 * LOG_DATAGRAM_MAX];
    ssize_t size;
    while ((size = recv(ends.reader, datagram, sizeof datagram, MSG_DONTWAIT)) > 0) {
        ends.datagrams++;
        if ((size_t)size > ends.largest)
            ends.largest = (size_t)size;
        log_lines_each(span_make(datagram, (size_t)size), take_line, NULL);
    }
    ck_assert(size < 0 && errno == EAGAIN);
}

/* A line of `size` bytes, at least eight, which begins with its number. */
static struct span numbered(unsigned number, size_t size)
{
    static char text[200000];
    ck_assert_uint_lt(size, sizeof text);
    memset(text, 'x', size);
    (void)snprintf(text, 9, "%08u", number); /* fits */
    text[8] = 'x';
    return span_make(text, size);
}

START_TEST(levels_have_names_and_an_end)
{
    ck_assert_str_eq(log_level_names[LOG_LEVEL_DEBUG], "debug");
    ck_assert_str_eq(log_level_names[LOG_LEVEL_INFO], "info");
    ck_assert_str_eq(log_level_names[LOG_LEVEL_WARNING], "warning");
    ck_assert_str_eq(log_level_names[LOG_LEVEL_ERROR], "error");
    ck_assert_ptr_null(log_level_names[LOG_LEVEL_ERROR + 1]);
}
END_TEST

START_TEST(a_line_arrives_with_its_level)
{
    struct log *log = log_create(ends.writer, LOG_LEVEL_DEBUG);
    for (int level = LOG_LEVEL_DEBUG; level <= LOG_LEVEL_ERROR; level++) {
        log_line(log, (enum log_level)level, span_of("hello"));
        log_flush(log);
        read_all();
        ck_assert_uint_eq(ends.level, level);
        ck_assert(span_equals(span_make(ends.last, ends.last_size), "hello"));
    }
    ck_assert_uint_eq(ends.lines, 4);
    log_destroy(&log);
}
END_TEST

START_TEST(nothing_is_sent_before_the_flush)
{
    struct log *log = log_create(ends.writer, LOG_LEVEL_DEBUG);
    log_line(log, LOG_LEVEL_INFO, span_of("one"));
    log_line(log, LOG_LEVEL_INFO, span_of("two"));
    read_all();
    ck_assert_uint_eq(ends.datagrams, 0);
    log_flush(log);
    read_all();
    ck_assert_uint_eq(ends.datagrams, 1);
    ck_assert_uint_eq(ends.lines, 2);
    log_destroy(&log);
}
END_TEST

START_TEST(an_empty_flush_sends_nothing)
{
    struct log *log = log_create(ends.writer, LOG_LEVEL_DEBUG);
    log_flush(log);
    read_all();
    ck_assert_uint_eq(ends.datagrams, 0);
    log_destroy(&log);
}
END_TEST

START_TEST(lines_below_the_threshold_are_left_out)
{
    for (int threshold = LOG_LEVEL_DEBUG; threshold <= LOG_LEVEL_ERROR; threshold++) {
        struct log *log = log_create(ends.writer, (enum log_level)threshold);
        for (int level = LOG_LEVEL_DEBUG; level <= LOG_LEVEL_ERROR; level++) {
            ends.lines = 0;
            log_line(log, (enum log_level)level, span_of("hello"));
            log_flush(log);
            read_all();
            ck_assert_uint_eq(ends.lines, level >= threshold);
            ck_assert(log_takes(log, (enum log_level)level) == (level >= threshold));
        }
        ck_assert_uint_eq(log_take_dropped(log), 0);
        log_destroy(&log);
    }
}
END_TEST

START_TEST(a_line_of_any_length_leaves_the_next_one_whole)
{
    static const size_t sizes[] = {8192, 8193, 32767, 32768, 65535, 65536, 65540, 100000};
    struct log *log = log_create(ends.writer, LOG_LEVEL_DEBUG);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct span line = numbered((unsigned)(2 * i), sizes[i]);
        ends.lines = 0;
        log_line(log, LOG_LEVEL_INFO, line);
        log_flush(log);
        read_all();
        ck_assert_uint_eq(ends.lines, 1);
        ck_assert_uint_gt(ends.last_size, 0);
        ck_assert_uint_le(ends.last_size, sizes[i]);
        ck_assert_mem_eq(ends.last, line.data, ends.last_size); /* the front of it */
        log_line(log, LOG_LEVEL_INFO, span_of("next"));
        log_flush(log);
        read_all();
        ck_assert(span_equals(span_make(ends.last, ends.last_size), "next"));
    }
    ck_assert_uint_le(ends.largest, LOG_DATAGRAM_MAX);
    log_destroy(&log);
}
END_TEST

START_TEST(more_lines_than_a_datagram_holds_arrive_in_order)
{
    enum { LINES = 600, SIZE = 100 };
    struct log *log = log_create(ends.writer, LOG_LEVEL_DEBUG);
    for (unsigned i = 0; i < LINES; i++)
        log_line(log, LOG_LEVEL_INFO, numbered(i, SIZE));
    log_flush(log);
    read_all();
    ck_assert_uint_eq(ends.lines, LINES);
    ck_assert(ends.is_ascending);
    ck_assert_uint_gt(ends.datagrams, 1);
    ck_assert_uint_le(ends.largest, LOG_DATAGRAM_MAX);
    ck_assert_uint_eq(log_take_dropped(log), 0);
    log_destroy(&log);
}
END_TEST

START_TEST(lines_of_every_size_arrive_whole)
{
    struct log *log = log_create(ends.writer, LOG_LEVEL_DEBUG);
    size_t written = 0;
    for (size_t size = 8; size < 8000; size += 61) {
        log_line(log, LOG_LEVEL_INFO, numbered((unsigned)written, size));
        log_flush(log);
        read_all();
        ck_assert_uint_eq(ends.lines, ++written);
        ck_assert_uint_eq(ends.last_size, size);
        ck_assert_mem_eq(ends.last, numbered((unsigned)(written - 1), size).data, size);
    }
    log_destroy(&log);
}
END_TEST

START_TEST(lines_that_nobody_reads_are_dropped_and_counted)
{
    enum { LINES = 20000, SIZE = 1000 };
    struct log *log = log_create(ends.writer, LOG_LEVEL_DEBUG);
    for (unsigned i = 0; i < LINES; i++)
        log_line(log, LOG_LEVEL_INFO, numbered(i, SIZE));
    unsigned dropped = log_take_dropped(log);
    ck_assert_uint_gt(dropped, 0);
    ck_assert_uint_lt(dropped, LINES);
    for (size_t before = LINES; before != ends.lines;) {
        before = ends.lines;
        read_all();
        log_flush(log);
    }
    ck_assert_uint_eq(ends.lines, LINES - dropped);
    ck_assert(ends.is_ascending);
    log_destroy(&log);
}
END_TEST

START_TEST(dropped_lines_are_told_once)
{
    struct log *log = log_create(ends.writer, LOG_LEVEL_DEBUG);
    for (unsigned i = 0; i < 20000; i++)
        log_line(log, LOG_LEVEL_INFO, numbered(i, 1000));
    ck_assert_uint_gt(log_take_dropped(log), 0);
    ck_assert_uint_eq(log_take_dropped(log), 0);
    log_line(log, LOG_LEVEL_INFO, numbered(20000, 1000));
    ck_assert_uint_eq(log_take_dropped(log), 1);
    log_destroy(&log);
}
END_TEST

START_TEST(once_somebody_reads_lines_arrive_again)
{
    struct log *log = log_create(ends.writer, LOG_LEVEL_DEBUG);
    for (unsigned i = 0; i < 20000; i++)
        log_line(log, LOG_LEVEL_INFO, numbered(i, 1000));
    for (size_t before = SIZE_MAX; before != ends.lines;) {
        before = ends.lines;
        read_all();
        log_flush(log);
    }
    log_line(log, LOG_LEVEL_INFO, span_of("again"));
    log_flush(log);
    read_all();
    ck_assert(span_equals(span_make(ends.last, ends.last_size), "again"));
    log_destroy(&log);
}
END_TEST

START_TEST(a_reader_that_is_gone_neither_kills_nor_stops_the_writer)
{
    struct log *log = log_create(ends.writer, LOG_LEVEL_DEBUG);
    ck_assert_int_eq(close(ends.reader), 0);
    ends.reader = -1;
    for (unsigned i = 0; i < 1000; i++) {
        log_line(log, LOG_LEVEL_INFO, numbered(i, 1000));
        log_flush(log);
    }
    log_destroy(&log);
}
END_TEST

START_TEST(without_a_socket_a_line_goes_to_standard_error_at_once)
{
    char text[64] = "";
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    int kept = dup(STDERR_FILENO);
    ck_assert_int_eq(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    struct log *log = log_create(-1, LOG_LEVEL_INFO);
    log_line(log, LOG_LEVEL_DEBUG, span_of("left out"));
    log_line(log, LOG_LEVEL_ERROR, span_of("no such file"));
    ck_assert_int_eq(dup2(kept, STDERR_FILENO), STDERR_FILENO);
    ck_assert_int_eq(close(fds[1]), 0);
    ck_assert_int_eq(read(fds[0], text, sizeof text - 1), 13);
    ck_assert_str_eq(text, "no such file\n");
    ck_assert_int_eq(close(fds[0]), 0);
    ck_assert_int_eq(close(kept), 0);
    log_destroy(&log);
}
END_TEST

/* ---- turns ---- */

#define MS INT64_C(1000000)

START_TEST(lines_wait_ten_milliseconds_for_others_and_no_longer)
{
    struct log *log = log_create(ends.writer, LOG_LEVEL_DEBUG);
    ck_assert_int_eq(log_turn(log, 5 * MS), INT64_MAX);
    log_line(log, LOG_LEVEL_INFO, span_of("one"));
    ck_assert_int_eq(log_turn(log, 7 * MS), 17 * MS);
    log_line(log, LOG_LEVEL_INFO, span_of("two"));
    ck_assert_int_eq(log_turn(log, 17 * MS - 1), 17 * MS);
    read_all();
    ck_assert_uint_eq(ends.datagrams, 0);
    ck_assert_int_eq(log_turn(log, 17 * MS), INT64_MAX);
    read_all();
    ck_assert_uint_eq(ends.datagrams, 1);
    ck_assert_uint_eq(ends.lines, 2);
    log_line(log, LOG_LEVEL_INFO, span_of("three"));
    ck_assert_int_eq(log_turn(log, 100 * MS), 110 * MS);
    log_destroy(&log);
}
END_TEST

START_TEST(what_fills_a_datagram_does_not_wait)
{
    struct log *log = log_create(ends.writer, LOG_LEVEL_DEBUG);
    for (unsigned i = 0; i < LOG_DATAGRAM_MAX / 1000 + 1; i++)
        log_line(log, LOG_LEVEL_INFO, numbered(i, 1000));
    ck_assert_int_eq(log_turn(log, MS), INT64_MAX);
    read_all();
    ck_assert_uint_eq(ends.lines, LOG_DATAGRAM_MAX / 1000 + 1);
    log_destroy(&log);
}
END_TEST

START_TEST(what_the_socket_does_not_take_is_due_again)
{
    struct log *log = log_create(ends.writer, LOG_LEVEL_DEBUG);
    for (unsigned i = 0; i < 20000; i++)
        log_line(log, LOG_LEVEL_INFO, numbered(i, 1000));
    ck_assert_int_eq(log_turn(log, 5 * MS), 15 * MS);
    read_all();
    ck_assert_int_eq(log_turn(log, 15 * MS), INT64_MAX);
    log_destroy(&log);
}
END_TEST

/* ---- what a process leaves ---- */

START_TEST(what_a_process_leaves_is_sent_by_another)
{
    struct log_memory *memory = calloc(1, log_memory_size());
    struct log *log = log_create_in(memory, ends.writer, LOG_LEVEL_DEBUG);
    log_line(log, LOG_LEVEL_INFO, span_of("one"));
    log_line(log, LOG_LEVEL_ERROR, span_of("last words"));
    log_destroy(&log);
    log_rescue(memory, ends.writer);
    log_rescue(memory, ends.writer); /* once is all */
    read_all();
    ck_assert_uint_eq(ends.lines, 2);
    ck_assert(span_equals(span_make(ends.last, ends.last_size), "last words"));
    free(memory);
}
END_TEST

START_TEST(the_next_process_begins_with_nothing)
{
    struct log_memory *memory = calloc(1, log_memory_size());
    struct log *log = log_create_in(memory, ends.writer, LOG_LEVEL_DEBUG);
    log_line(log, LOG_LEVEL_INFO, span_of("one"));
    log_destroy(&log);
    log = log_create_in(memory, ends.writer, LOG_LEVEL_DEBUG);
    log_flush(log);
    read_all();
    ck_assert_uint_eq(ends.lines, 0);
    log_destroy(&log);
    free(memory);
}
END_TEST

/* Whatever stands there, it ends, and what is sent has the right size. */
START_TEST(spoiled_memory_is_sent_as_far_as_it_holds_records)
{
    size_t size = log_memory_size();
    unsigned char *memory = malloc(size); /* of the exact size, for ASan */
    uint32_t seed = 1;
    for (int round = 0; round < 300; round++) {
        uint32_t spread = round % 3 == 0 ? 0xff : round % 3 == 1 ? 0x03 : 0x1f;
        for (size_t i = 0; i < size; i++) {
            seed = seed * UINT32_C(1664525) + UINT32_C(1013904223);
            memory[i] = (unsigned char)(seed >> 24 & spread);
        }
        if (round % 2 == 0)
            memset(memory + 4, 0, 4); /* the high half of how much there is */
        log_rescue((void *)memory, ends.writer);
        static char datagram[2 * LOG_DATAGRAM_MAX];
        while (recv(ends.reader, datagram, sizeof datagram, MSG_DONTWAIT) > 0)
            ;
        log_rescue((void *)memory, ends.writer);
        ck_assert_int_lt(recv(ends.reader, datagram, sizeof datagram, MSG_DONTWAIT), 0);
    }
    free(memory);
}
END_TEST

/* ---- the reader's side ---- */

/* A datagram as log.c describes it: level and size of 16 bits each, then the line. */
static size_t put_record(char *at, uint16_t level, uint16_t size, const char *line)
{
    memcpy(at, &level, sizeof level);
    memcpy(at + 2, &size, sizeof size);
    memcpy(at + 4, line, strlen(line));
    return 4 + strlen(line);
}

/* Hands over exactly `size` bytes, in memory that ends with them. */
static void read_hostile(const char *bytes, size_t size)
{
    char *copy = malloc(size);
    memcpy(copy, bytes, size);
    log_lines_each(span_make(copy, size), take_line, NULL);
    free(copy);
}

START_TEST(a_datagram_is_read_as_its_format_says)
{
    char datagram[100];
    size_t size = put_record(datagram, LOG_LEVEL_INFO, 3, "one");
    size += put_record(datagram + size, LOG_LEVEL_ERROR, 0, "");
    size += put_record(datagram + size, LOG_LEVEL_WARNING, 5, "three");
    read_hostile(datagram, size);
    ck_assert_uint_eq(ends.lines, 3);
    ck_assert_uint_eq(ends.level, LOG_LEVEL_WARNING);
    ck_assert(span_equals(span_make(ends.last, ends.last_size), "three"));
}
END_TEST

START_TEST(a_datagram_cut_short_gives_its_whole_lines_alone)
{
    char datagram[100];
    size_t first = put_record(datagram, LOG_LEVEL_INFO, 3, "one");
    size_t size = first + put_record(datagram + first, LOG_LEVEL_INFO, 3, "two");
    for (size_t cut = 1; cut <= size; cut++) {
        ends.lines = 0;
        read_hostile(datagram, cut);
        ck_assert_uint_eq(ends.lines, (cut >= first) + (cut >= size));
    }
}
END_TEST

START_TEST(a_size_past_the_end_gives_no_line)
{
    static const uint16_t sizes[] = {4, 5, 255, 256, 32767, 32768, 65535};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char datagram[100];
        size_t size = put_record(datagram, LOG_LEVEL_INFO, 3, "one");
        size += put_record(datagram + size, LOG_LEVEL_INFO, sizes[i], "two");
        ends.lines = 0;
        read_hostile(datagram, size);
        ck_assert_uint_eq(ends.lines, 1);
        ck_assert(span_equals(span_make(ends.last, ends.last_size), "one"));
    }
}
END_TEST

START_TEST(a_level_out_of_range_gives_no_line)
{
    static const uint16_t levels[] = {LOG_LEVEL_ERROR + 1, 255, 256, 32768, 65535};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        char datagram[100];
        size_t size = put_record(datagram, LOG_LEVEL_INFO, 3, "one");
        size += put_record(datagram + size, levels[i], 3, "two");
        ends.lines = 0;
        read_hostile(datagram, size);
        ck_assert_uint_eq(ends.lines, 1);
        ck_assert(span_equals(span_make(ends.last, ends.last_size), "one"));
    }
}
END_TEST

/* Where the bytes of a hostile datagram lie. */
struct bounds {
    const char *start, *end;
};

static void take_within(void *owner, enum log_level level, struct span line)
{
    const struct bounds *b = owner;
    ck_assert_uint_le(level, LOG_LEVEL_ERROR);
    ck_assert(line.data >= b->start && line.data <= b->end);
    ck_assert_uint_le(line.size, (size_t)(b->end - line.data));
}

START_TEST(lines_of_a_garbled_datagram_lie_within_it)
{
    uint32_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        size_t size = (size_t)round % 64;
        char *bytes = malloc(size); /* of the exact size, for ASan */
        for (size_t i = 0; i < size; i++) {
            seed = seed * UINT32_C(1664525) + UINT32_C(1013904223);
            bytes[i] = (char)(seed >> 24 < 128 ? seed >> 29 : seed >> 16);
        }
        struct bounds bounds = {bytes, bytes + size};
        log_lines_each(span_make(bytes, size), take_within, &bounds);
        free(bytes);
    }
}
END_TEST

static void create_and_write(void)
{
    struct log *log = log_create(ends.writer, LOG_LEVEL_DEBUG);
    if ((log == NULL) != failing_has_failed())
        ck_abort_msg("null without memory alone");
    if (log != NULL) {
        log_line(log, LOG_LEVEL_INFO, span_of("hello"));
        log_flush(log);
    }
    log_destroy(&log);
}

START_TEST(a_log_needs_memory_once)
{
    WITH_EACH_ALLOCATION_FAILING(create_and_write());
    read_all();
    ck_assert_uint_eq(ends.lines, 1);
}
END_TEST

START_TEST(destroying_leaves_null)
{
    struct log *log = log_create(ends.writer, LOG_LEVEL_DEBUG);
    log_destroy(&log);
    ck_assert_ptr_null(log);
    log_destroy(&log);
}
END_TEST

SUITE(log)
{
    tcase_add_checked_fixture(tests, open_ends, close_ends);
    TEST(levels_have_names_and_an_end);
    TEST(a_line_arrives_with_its_level);
    TEST(nothing_is_sent_before_the_flush);
    TEST(an_empty_flush_sends_nothing);
    TEST(lines_below_the_threshold_are_left_out);
    TEST(a_line_of_any_length_leaves_the_next_one_whole);
    TEST(more_lines_than_a_datagram_holds_arrive_in_order);
    TEST(lines_of_every_size_arrive_whole);
    TEST(lines_that_nobody_reads_are_dropped_and_counted);
    TEST(dropped_lines_are_told_once);
    TEST(once_somebody_reads_lines_arrive_again);
    TEST(a_reader_that_is_gone_neither_kills_nor_stops_the_writer);
    TEST(without_a_socket_a_line_goes_to_standard_error_at_once);
    TEST(lines_wait_ten_milliseconds_for_others_and_no_longer);
    TEST(what_fills_a_datagram_does_not_wait);
    TEST(what_the_socket_does_not_take_is_due_again);
    TEST(what_a_process_leaves_is_sent_by_another);
    TEST(the_next_process_begins_with_nothing);
    TEST(spoiled_memory_is_sent_as_far_as_it_holds_records);
    TEST(a_datagram_is_read_as_its_format_says);
    TEST(a_datagram_cut_short_gives_its_whole_lines_alone);
    TEST(a_size_past_the_end_gives_no_line);
    TEST(a_level_out_of_range_gives_no_line);
    TEST(lines_of_a_garbled_datagram_lie_within_it);
    TEST(a_log_needs_memory_once);
    TEST(destroying_leaves_null);
}
