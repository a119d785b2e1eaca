#include "process/state.h"

#include "base/clock.h"
#include "base/log.h"
#include "support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BANNED = 5, FILE_SIZE = 8192 };

static struct {
    char folder[64], path[80];
    struct mapping mapping;
    struct event_log log;
    int log_end; /* where lines are read */
    struct state state;
    char file[FILE_SIZE]; /* a whole one */
    size_t size;
} it;

/* The folder goes even when a test fails. */
static void make_folder(void)
{
    (void)snprintf(it.folder, sizeof it.folder, "/tmp/porteiro-unit-XXXXXX"); /* fits */
    if (mkdtemp(it.folder) == NULL)
        abort();
    (void)snprintf(it.path, sizeof it.path, "%s/state", it.folder); /* fits */
}

static void remove_folder(void)
{
    (void)unlink(it.path);  /* not all tests leave it */
    (void)rmdir(it.folder); /* it is in /tmp */
}

/* As at a start. */
static void starts(void)
{
    struct error why;
    ck_assert_int_eq(mapping_create(&it.mapping, 4, &why), 0);
    it.state = (struct state){.mapping = &it.mapping, .log = &it.log, .process = 0};
    state_load(&it.state, it.folder);
}

static struct ban ban_of(unsigned number)
{
    char text[NETWORK_TEXT_SIZE];
    struct ban b = {.since_ns = clock_wall_ns(), .tries = number};
    b.until_ns = b.since_ns + (number + 1) * 3600 * CLOCK_SECOND;
    (void)snprintf(text, sizeof text, "192.0.2.%u", number); /* fits */
    ck_assert_int_eq(network_parse(text, &b.network, NULL), 0);
    return b;
}

static size_t bans(void)
{
    size_t found = 0;
    struct ban b;
    for (size_t i = 0; i < BANS_MAX; i++)
        found += bans_read(it.mapping.bans, i, clock_wall_ns(), &b) == 0;
    return found;
}

static void ban(unsigned number)
{
    struct ban b = ban_of(number);
    ck_assert_int_eq(bans_put(it.mapping.bans, 0, &b, clock_wall_ns(), NULL), 0);
}

static void read_whole(void)
{
    int fd = open(it.path, O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, it.file, sizeof it.file);
    ck_assert_int_gt(size, 0);
    ck_assert_int_lt(size, FILE_SIZE);
    it.size = (size_t)size;
    ck_assert_int_eq(close(fd), 0);
}

static void write_whole(const char *bytes, size_t size)
{
    int fd = open(it.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    ck_assert_int_eq(close(fd), 0);
}

/* Was that said since it was asked last? */
static bool was_logged(const char *event)
{
    static char lines[65536];
    log_flush(it.log.lines);
    ssize_t size = read(it.log_end, lines, sizeof lines - 1);
    lines[size < 0 ? 0 : size] = '\0';
    for (ssize_t i = 0; i < size; i++)
        lines[i] = lines[i] == '\0' ? '.' : lines[i];
    return strstr(lines, event) != NULL;
}

static void begin(void)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    it.log = (struct event_log){.lines = log_create(ends[1], LOG_LEVEL_DEBUG), .process = ""};
    it.log_end = ends[0];
    (void)unlink(it.path); /* another test's, if there is one */
    starts();
    for (unsigned i = 0; i < BANNED; i++)
        ban(i);
    state_save(&it.state, it.folder, 0, true);
    read_whole();
}

static void end(void)
{
    log_destroy(&it.log.lines);
}

START_TEST(what_was_written_is_there_after_the_next_start)
{
    struct ban b;
    size_t found = 0;
    starts();
    ck_assert_uint_eq(bans(), BANNED);
    for (size_t i = 0; i < BANS_MAX; i++)
        if (bans_read(it.mapping.bans, i, clock_wall_ns(), &b) == 0) {
            const struct ban expected = ban_of(b.tries);
            ck_assert_mem_eq(&b.network, &expected.network, sizeof b.network);
            found++;
        }
    ck_assert_uint_eq(found, BANNED);
    ck_assert(!was_logged("state_refused"));
}
END_TEST

START_TEST(it_is_written_when_something_has_changed_and_not_sooner_than_every_ten_seconds)
{
    const int64_t now = 1000 * CLOCK_SECOND;
    ck_assert_int_eq(unlink(it.path), 0);
    state_save(&it.state, it.folder, now, false);
    ck_assert_int_ne(access(it.path, F_OK), 0);
    ban(100);
    state_save(&it.state, it.folder, now, false);
    ck_assert_int_eq(access(it.path, F_OK), 0);
    ck_assert_int_eq(unlink(it.path), 0);
    ban(101);
    state_save(&it.state, it.folder, now + 10 * CLOCK_SECOND - 1, false);
    ck_assert_int_ne(access(it.path, F_OK), 0);
    state_save(&it.state, it.folder, now + 10 * CLOCK_SECOND, false);
    ck_assert_int_eq(access(it.path, F_OK), 0);
    ban(102);
    state_save(&it.state, it.folder, now + 10 * CLOCK_SECOND, true);
    starts();
    ck_assert_uint_eq(bans(), BANNED + 3);
}
END_TEST

START_TEST(known_networks_are_written_every_ten_minutes_and_at_the_end)
{
    const int64_t now = 1000 * CLOCK_SECOND, minute = 60 * CLOCK_SECOND;
    const uint64_t key[2] = {3, 5};
    struct address client;
    ck_assert_int_eq(address_make("192.0.2.7", 0, &client), 0);
    known_note(it.mapping.known, key, "ana@example.com", &client, clock_wall_ns());
    state_save(&it.state, it.folder, now, false);
    ck_assert_int_eq(unlink(it.path), 0);
    known_note(it.mapping.known, key, "bea@example.com", &client, clock_wall_ns());
    state_save(&it.state, it.folder, now + 10 * minute - 1, false);
    ck_assert_int_ne(access(it.path, F_OK), 0);
    state_save(&it.state, it.folder, now + 10 * minute, false);
    ck_assert_int_eq(access(it.path, F_OK), 0);
    known_note(it.mapping.known, key, "eva@example.com", &client, clock_wall_ns());
    state_save(&it.state, it.folder, now + 10 * minute, true);
    starts();
    ck_assert_uint_eq(bans(), BANNED);
    ck_assert(known_has(it.mapping.known, key, "ana@example.com", &client, 3600 * CLOCK_SECOND,
                        clock_wall_ns()));
    ck_assert(known_has(it.mapping.known, key, "eva@example.com", &client, 3600 * CLOCK_SECOND,
                        clock_wall_ns()));
    ck_assert(!known_has(it.mapping.known, key, "ida@example.com", &client, 3600 * CLOCK_SECOND,
                         clock_wall_ns()));
}
END_TEST

START_TEST(what_was_set_of_limits_is_written_every_ten_seconds_and_at_the_end)
{
    const int64_t now = 1000 * CLOCK_SECOND;
    struct set_limit l = {.rule = "hour",
                          .name = "ana@example.com",
                          .figure = {50, 3600000000, 5},
                          .since_ns = clock_wall_ns(),
                          .until_ns = SET_LIMIT_FOR_GOOD},
                     found;
    ck_assert_int_ge(set_limits_put(it.mapping.set_limits, 0, &l, l.since_ns, NULL), 0);
    ck_assert_int_eq(unlink(it.path), 0);
    state_save(&it.state, it.folder, now, false);
    ck_assert_int_eq(access(it.path, F_OK), 0);
    (void)snprintf(l.name, sizeof l.name, "@example.com"); /* fits */
    ck_assert_int_ge(set_limits_put(it.mapping.set_limits, 0, &l, l.since_ns, NULL), 0);
    state_save(&it.state, it.folder, now + 1, true);
    starts();
    ck_assert_uint_eq(bans(), BANNED);
    for (size_t i = 0; i < 2; i++) {
        const char *name = i == 0 ? "ana@example.com" : "@example.com";
        ck_assert_int_ge(
            set_limits_find(it.mapping.set_limits, "hour", name, clock_wall_ns(), &found), 0);
        ck_assert(found.figure.count == 50 && found.figure.burst == 5 &&
                  found.since_ns == l.since_ns && found.until_ns == SET_LIMIT_FOR_GOOD);
    }
}
END_TEST

START_TEST(without_a_file_there_is_nothing_and_nothing_is_said)
{
    ck_assert_int_eq(unlink(it.path), 0);
    starts();
    ck_assert_uint_eq(bans(), 0);
    ck_assert(!was_logged("state_refused"));
}
END_TEST

START_TEST(a_file_that_ends_early_is_refused_wherever_it_ends)
{
    for (size_t size = 0; size < it.size; size += size < 64 || it.size - size < 64 ? 1 : 29) {
        write_whole(it.file, size);
        starts();
        if (bans() != 0 || !was_logged("state_refused"))
            ck_abort_msg("taken at %zu of %zu", size, it.size);
    }
}
END_TEST

START_TEST(a_file_with_another_octet_is_refused_wherever_it_is)
{
    for (size_t at = 0; at < it.size; at += at < 64 || it.size - at < 64 ? 1 : 29) {
        it.file[at] = (char)(it.file[at] ^ 0x10);
        write_whole(it.file, it.size);
        starts();
        if (bans() != 0 || !was_logged("state_refused"))
            ck_abort_msg("taken with another octet %zu of %zu", at, it.size);
        it.file[at] = (char)(it.file[at] ^ 0x10);
    }
}
END_TEST

/* FNV-1a with 64 bits (draft-eastlake-fnv). */
static void set_sum(void)
{
    uint64_t sum = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < it.size - sizeof sum; i++)
        sum = (sum ^ (unsigned char)it.file[i]) * UINT64_C(1099511628211);
    memcpy(it.file + it.size - sizeof sum, &sum, sizeof sum);
}

/* Numbers of the head and of the section, written over by what a taken worker could have brought
 * about. */
START_TEST(a_file_of_hostile_numbers_with_a_right_sum_is_refused_or_empty)
{
    static const uint64_t numbers[] = {0, 1, 2, UINT32_MAX, UINT64_MAX, UINT64_C(1) << 63, 4096};
    char whole[FILE_SIZE];
    memcpy(whole, it.file, sizeof whole);
    for (size_t at = 8; at < 32; at += 4)
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
            memcpy(it.file, whole, sizeof whole);
            memcpy(it.file + at, &numbers[i], at < 24 ? 4 : 8);
            set_sum();
            write_whole(it.file, it.size);
            starts();
            if (bans() > BANNED)
                ck_abort_msg("%zu bans", bans());
        }
}
END_TEST

START_TEST(records_that_are_no_bans_are_left_out)
{
    memset(it.file + 32, 0xff, it.size - 40);
    set_sum();
    write_whole(it.file, it.size);
    starts();
    ck_assert_uint_eq(bans(), 0);
}
END_TEST

START_TEST(a_folder_that_is_gone_is_said_once_until_there_is_one_again)
{
    ban(100);
    state_save(&it.state, "/nowhere", 0, true);
    ck_assert(was_logged("event=state_failed reason=\"/nowhere/state: No such file"));
    state_save(&it.state, "/nowhere", 0, true);
    ck_assert(!was_logged("state_failed"));
    state_save(&it.state, it.folder, 0, true);
    ban(101);
    state_save(&it.state, "/nowhere", 0, true);
    ck_assert(was_logged("state_failed"));
    starts();
    ck_assert_uint_eq(bans(), BANNED + 1);
}
END_TEST

SUITE(state)
{
    tcase_add_unchecked_fixture(tests, make_folder, remove_folder);
    tcase_add_checked_fixture(tests, begin, end);
    tcase_set_timeout(tests, 60);
    TEST(what_was_written_is_there_after_the_next_start);
    TEST(it_is_written_when_something_has_changed_and_not_sooner_than_every_ten_seconds);
    TEST(known_networks_are_written_every_ten_minutes_and_at_the_end);
    TEST(what_was_set_of_limits_is_written_every_ten_seconds_and_at_the_end);
    TEST(without_a_file_there_is_nothing_and_nothing_is_said);
    TEST(a_file_that_ends_early_is_refused_wherever_it_ends);
    TEST(a_file_with_another_octet_is_refused_wherever_it_is);
    TEST(a_file_of_hostile_numbers_with_a_right_sum_is_refused_or_empty);
    TEST(records_that_are_no_bans_are_left_out);
    TEST(a_folder_that_is_gone_is_said_once_until_there_is_one_again);
}
