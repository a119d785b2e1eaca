#include "base/scan.h"

#include "support/test.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LENGTH_MAX = 80, ALIGNMENTS = 32, AREA_SIZE = ALIGNMENTS + LENGTH_MAX + 32 };

static const char *naive_line_break(const char *at, const char *end)
{
    while (at != end && *at != '\r' && *at != '\n')
        at++;
    return at;
}

static const char *naive_pair(const char *at, const char *end, char a, char b)
{
    for (; at != end; at++)
        if (*at == a && at + 1 != end && at[1] == b)
            return at;
    return end;
}

/* RFC 5321 section 2.3.8: CR and LF come together; section 4.5.2: what begins with a dot. */
static const char *naive_plain_lines(const char *at, const char *end)
{
    for (; at != end && at + 1 != end; at++) {
        bool is_cr = at[0] == 13, is_before_lf = at[1] == 10, is_lf = at[0] == 10;
        if ((is_cr && !is_before_lf) || (is_before_lf && !is_cr) || (is_lf && at[1] == 46))
            return at;
    }
    return at;
}

static const char *naive_field_name(const char *at, const char *end)
{
    while (at != end && (unsigned char)*at >= 33 && (unsigned char)*at <= 126 && *at != 58)
        at++;
    return at;
}

static const char *naive_word(const char *at, const char *end)
{
    while (at != end && (unsigned char)*at >= 33 && (unsigned char)*at <= 126 &&
           strchr("\"=\\", *at) == NULL)
        at++;
    return at;
}

static const char *naive_key(const char *at, const char *end)
{
    while (at != end && *at != '\0' && strchr("abcdefghijklmnopqrstuvwxyz_", *at) != NULL)
        at++;
    return at;
}

static const char *naive_quoted(const char *at, const char *end)
{
    while (at != end && (unsigned char)*at >= 32 && *at != 127 && *at != '"' && *at != '\\')
        at++;
    return at;
}

static const char *naive_control(const char *at, const char *end)
{
    while (at != end && (unsigned char)*at >= 32 && *at != 127)
        at++;
    return at;
}

static const char *naive_ascii(const char *at, const char *end)
{
    while (at != end && (unsigned char)*at < 128)
        at++;
    return at;
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * UINT32_C(1664525) + UINT32_C(1013904223);
    return *seed >> 16;
}

START_TEST(a_line_break_is_found_wherever_it_stands)
{
    alignas(64) char area[AREA_SIZE];
    for (size_t start = 0; start < ALIGNMENTS; start++)
        for (size_t length = 0; length <= LENGTH_MAX; length++)
            for (size_t place = 0; place < length; place++) {
                memset(area, 'x', sizeof area);
                area[start + place] = place % 2 == 0 ? '\r' : '\n';
                area[start + length - 1] = '\n';
                if (scan_line_break(area + start, area + start + length) != area + start + place)
                    ck_abort_msg("start %zu, length %zu, place %zu", start, length, place);
            }
}
END_TEST

START_TEST(a_line_break_outside_the_bytes_is_not_found)
{
    alignas(64) char area[AREA_SIZE];
    for (size_t start = 0; start < ALIGNMENTS; start++)
        for (size_t length = 0; length <= LENGTH_MAX; length++) {
            memset(area, '\n', sizeof area);
            memset(area + start, 'x', length);
            if (scan_line_break(area + start, area + start + length) != area + start + length)
                ck_abort_msg("start %zu, length %zu", start, length);
        }
}
END_TEST

START_TEST(a_pair_is_found_wherever_it_stands)
{
    alignas(64) char area[AREA_SIZE];
    for (size_t start = 0; start < ALIGNMENTS; start++)
        for (size_t length = 2; length <= LENGTH_MAX; length++)
            for (size_t place = 0; place + 1 < length; place++) {
                memset(area, '.', sizeof area); /* the second byte alone is no pair */
                area[start + place] = '\n';
                if (scan_pair(area + start, area + start + length, '\n', '.') !=
                    area + start + place)
                    ck_abort_msg("start %zu, length %zu, place %zu", start, length, place);
            }
}
END_TEST

START_TEST(a_pair_across_either_end_is_not_found)
{
    alignas(64) char area[1 + AREA_SIZE];
    for (size_t start = 1; start <= ALIGNMENTS; start++)
        for (size_t length = 1; length <= LENGTH_MAX; length++) {
            memset(area, '\n', sizeof area);
            memset(area + start, '.', length);
            area[start + length - 1] = length > 1 ? '\n' : 'x';
            area[start + length] = '.';
            if (scan_pair(area + start, area + start + length, '\n', '.') != area + start + length)
                ck_abort_msg("start %zu, length %zu", start, length);
        }
}
END_TEST

/* Each byte at each place among others, that end nothing. */
START_TEST(a_byte_that_ends_what_is_scanned_ends_it_wherever_it_stands)
{
    static const struct {
        const char *(*scan)(const char *at, const char *end);
        const char *(*naive)(const char *at, const char *end);
    } scans[] = {{scan_field_name, naive_field_name}, /* RFC 5322 section 3.6.8: ftext */
                 {scan_word, naive_word},
                 {scan_key, naive_key},
                 {scan_quoted, naive_quoted},
                 {scan_control, naive_control},
                 {scan_ascii, naive_ascii}};
    alignas(64) char area[AREA_SIZE];
    for (size_t i = 0; i < sizeof scans / sizeof *scans; i++)
        for (int byte = 0; byte < 256; byte++)
            for (size_t length = 1; length <= 40; length++)
                for (size_t place = 0; place < length; place++) {
                    memset(area, 'x', sizeof area);
                    area[place] = (char)byte;
                    if (scans[i].scan(area, area + length) != scans[i].naive(area, area + length))
                        ck_abort_msg("scan %zu, byte %d, length %zu, place %zu", i, byte, length,
                                     place);
                }
}
END_TEST

START_TEST(scanning_agrees_with_a_loop_over_single_bytes)
{
    static const char bytes[] = {'\r', '\n', '.',    '"',    '=',    ' ',   'x',
                                 ':',  '\0', '\x7f', '\x8d', '\x8a', '\xff'};
    alignas(64) char area[AREA_SIZE];
    uint32_t seed = 1;
    for (int round = 0; round < 20; round++)
        for (size_t start = 0; start < ALIGNMENTS; start++)
            for (size_t length = 0; length <= LENGTH_MAX; length++) {
                for (size_t i = 0; i < sizeof area; i++)
                    area[i] = next_random(&seed) % 8 == 0 ? bytes[next_random(&seed) % sizeof bytes]
                                                          : 'x';
                const char *at = area + start, *end = at + length;
                char a = bytes[next_random(&seed) % sizeof bytes];
                char b = bytes[next_random(&seed) % sizeof bytes];
                if (scan_line_break(at, end) != naive_line_break(at, end))
                    ck_abort_msg("line break: start %zu, length %zu", start, length);
                if (scan_field_name(at, end) != naive_field_name(at, end))
                    ck_abort_msg("field name: start %zu, length %zu", start, length);
                if (scan_word(at, end) != naive_word(at, end))
                    ck_abort_msg("word: start %zu, length %zu", start, length);
                if (scan_is_word(at, length) != (naive_word(at, end) == end))
                    ck_abort_msg("whole word: start %zu, length %zu", start, length);
                if (scan_key(at, end) != naive_key(at, end))
                    ck_abort_msg("key: start %zu, length %zu", start, length);
                if (scan_quoted(at, end) != naive_quoted(at, end))
                    ck_abort_msg("quoted: start %zu, length %zu", start, length);
                if (scan_ascii(at, end) != naive_ascii(at, end))
                    ck_abort_msg("ascii: start %zu, length %zu", start, length);
                if (scan_control(at, end) != naive_control(at, end))
                    ck_abort_msg("control: start %zu, length %zu", start, length);
                if (scan_plain_lines(at, end) != naive_plain_lines(at, end))
                    ck_abort_msg("plain lines: start %zu, length %zu", start, length);
                if (scan_pair(at, end, a, b) != naive_pair(at, end, a, b))
                    ck_abort_msg("pair: start %zu, length %zu", start, length);
            }
}
END_TEST

START_TEST(lines_are_plain_up_to_what_is_put_between_them)
{
    static const char lines[] = "\r\n12345\r\n1234567890123456789\r\n\r\nab\r\n123456\r\n";
    static const char *const pairs[] = {"\r\r", "\n\n", "x\n", "\rx", "\n.", "\r.", "\n\r"};
    char area[sizeof lines + 2];
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (size_t start = 0; start < sizeof lines; start++)
            for (size_t place = start; place < sizeof lines; place++) {
                memcpy(area, lines, place);
                memcpy(area + place, pairs[i], 2);
                memcpy(area + place + 2, lines + place, sizeof lines - place);
                const char *end = area + sizeof area;
                ck_assert(scan_plain_lines(area + start, end) ==
                          naive_plain_lines(area + start, end));
            }
}
END_TEST

START_TEST(no_byte_at_the_end_or_behind_it_is_read)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *area = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(area != MAP_FAILED);
    memset(area, '\n', page);
    memset(area + page - LENGTH_MAX, 'x', LENGTH_MAX);
    ck_assert_int_eq(mprotect(area + page, page, PROT_NONE), 0);
    const char *end = area + page;
    for (size_t length = 0; length <= LENGTH_MAX; length++) {
        ck_assert(scan_line_break(end - length, end) == end);
        ck_assert(scan_pair(end - length, end, 'x', '.') == end);
        ck_assert(scan_plain_lines(end - length, end) == (length == 0 ? end : end - 1));
        ck_assert(scan_field_name(end - length, end) == end);
        ck_assert(scan_word(end - length, end) == end);
        ck_assert(scan_key(end - length, end) == end);
        ck_assert(scan_quoted(end - length, end) == end);
        ck_assert(scan_control(end - length, end) == end);
        ck_assert(scan_ascii(end - length, end) == end);
    }
    ck_assert_int_eq(munmap(area, 2 * page), 0);
}
END_TEST

SUITE(scan)
{
    TEST(a_line_break_is_found_wherever_it_stands);
    TEST(a_line_break_outside_the_bytes_is_not_found);
    TEST(a_pair_is_found_wherever_it_stands);
    TEST(a_pair_across_either_end_is_not_found);
    TEST(a_byte_that_ends_what_is_scanned_ends_it_wherever_it_stands);
    TEST(scanning_agrees_with_a_loop_over_single_bytes);
    TEST(lines_are_plain_up_to_what_is_put_between_them);
    TEST(no_byte_at_the_end_or_behind_it_is_read);
}
