#include "base/file_watch.h"

#include "support/test.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

static char folder[64];
static struct file_watch *watch;
static int64_t now;
static char told[64]; /* the groups, as digits */

static void begin(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/porteiro-unit-XXXXXX"); /* fits */
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
    watch = file_watch_create();
    now = 100 * SECOND;
}

static void end(void)
{
    static const char *const names[] = {"a", "b", "c", "link"};
    file_watch_destroy(&watch);
    ck_assert_ptr_null(watch);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        (void)unlink(names[i]); /* may not be there */
    ck_assert_int_eq(rmdir(folder), 0);
}

/* The same text is a change too: the time says so, even where clocks are coarse. */
static void write_file(const char *name, const char *text)
{
    static long step;
    const struct timespec at = {.tv_sec = 1000 + ++step}, times[2] = {at, at};
    FILE *stream = fopen(name, "we");
    ck_assert_ptr_nonnull(stream);
    ck_assert_int_ge(fputs(text, stream), 0);
    ck_assert_int_eq(fclose(stream), 0);
    ck_assert_int_eq(utimensat(AT_FDCWD, name, times, 0), 0);
}

static void take(void *owner, size_t group)
{
    (void)owner;
    size_t used = strlen(told);
    ck_assert_uint_lt(used + 1, sizeof told);
    told[used] = (char)('0' + group);
    told[used + 1] = '\0';
}

/* What is told in a turn, so much later. */
static void after(int64_t ns, const char *expected)
{
    now += ns;
    told[0] = '\0';
    file_watch_turn(watch, now, take, NULL);
    ck_assert_str_eq(told, expected);
}

START_TEST(a_file_that_stays_as_it_is_is_never_told)
{
    write_file("a", "one");
    file_watch_add(watch, 0, "a");
    file_watch_add(watch, 1, "b"); /* there is none */
    after(SECOND, "");
    after(3600 * SECOND, "");
}
END_TEST

START_TEST(a_change_is_told_once_when_the_file_has_been_still_for_two_seconds)
{
    write_file("a", "one");
    file_watch_add(watch, 0, "a");
    write_file("a", "two");
    after(SECOND, "");
    after(2 * SECOND - 1, "");
    after(1, "0");
    after(3600 * SECOND, "");
}
END_TEST

START_TEST(while_it_changes_it_is_not_told)
{
    write_file("a", "one");
    file_watch_add(watch, 0, "a");
    for (int i = 0; i < 9; i++) {
        write_file("a", "other");
        after(2 * SECOND - 1, "");
    }
    after(2 * SECOND, "0");
}
END_TEST

START_TEST(a_group_is_told_once_when_all_its_files_are_still)
{
    write_file("a", "one");
    write_file("b", "one");
    write_file("c", "one");
    file_watch_add(watch, 0, "a");
    file_watch_add(watch, 0, "b");
    file_watch_add(watch, 1, "c");
    write_file("a", "two");
    write_file("c", "two");
    after(SECOND, "");
    write_file("b", "two");
    after(SECOND, "");
    after(SECOND, "1");
    after(SECOND, "0");
    after(3600 * SECOND, "");
}
END_TEST

START_TEST(a_file_that_is_replaced_comes_or_goes_is_told)
{
    write_file("a", "one");
    file_watch_add(watch, 0, "a");
    write_file("b", "one");
    ck_assert_int_eq(rename("b", "a"), 0);
    after(SECOND, "");
    after(2 * SECOND, "0");
    ck_assert_int_eq(unlink("a"), 0);
    after(SECOND, "");
    after(2 * SECOND, "0");
    write_file("a", "one");
    after(SECOND, "");
    after(2 * SECOND, "0");
}
END_TEST

START_TEST(a_link_that_leads_elsewhere_is_told)
{
    write_file("a", "one");
    write_file("b", "one");
    ck_assert_int_eq(symlink("a", "link"), 0);
    file_watch_add(watch, 0, "link");
    ck_assert_int_eq(unlink("link"), 0);
    ck_assert_int_eq(symlink("b", "link"), 0);
    after(SECOND, "");
    after(2 * SECOND, "0");
    write_file("b", "two"); /* behind it */
    after(SECOND, "");
    after(2 * SECOND, "0");
    write_file("a", "two"); /* nobody's now */
    after(SECOND, "");
    after(2 * SECOND, "");
}
END_TEST

START_TEST(another_mode_is_a_change)
{
    write_file("a", "one");
    file_watch_add(watch, 0, "a");
    struct stat s, t;
    ck_assert_int_eq(stat("a", &s), 0);
    do { /* the system's time may be coarse */
        ck_assert_int_eq(chmod("a", 0600), 0);
        ck_assert_int_eq(stat("a", &t), 0);
    } while (memcmp(&s.st_ctim, &t.st_ctim, sizeof s.st_ctim) == 0);
    after(SECOND, "");
    after(2 * SECOND, "0");
}
END_TEST

START_TEST(what_nobody_was_told_of_yet_is_pending)
{
    write_file("a", "1");
    file_watch_add(watch, 1, "a");
    file_watch_add(watch, 2, "b");
    ck_assert(!file_watch_is_pending(watch, 1));
    write_file("a", "2");
    ck_assert(file_watch_is_pending(watch, 1));
    ck_assert(!file_watch_is_pending(watch, 2));
    file_watch_turn(watch, now, take, NULL);
    ck_assert(file_watch_is_pending(watch, 1));
    file_watch_turn(watch, now + 3 * SECOND, take, NULL);
    ck_assert(!file_watch_is_pending(watch, 1));
}
END_TEST

SUITE(file_watch)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(a_file_that_stays_as_it_is_is_never_told);
    TEST(a_change_is_told_once_when_the_file_has_been_still_for_two_seconds);
    TEST(while_it_changes_it_is_not_told);
    TEST(a_group_is_told_once_when_all_its_files_are_still);
    TEST(a_file_that_is_replaced_comes_or_goes_is_told);
    TEST(a_link_that_leads_elsewhere_is_told);
    TEST(another_mode_is_a_change);
    TEST(what_nobody_was_told_of_yet_is_pending);
}
