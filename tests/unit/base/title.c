#include "base/title.h"

#include "support/test.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* What the kernel lays out for a program: its arguments, its environment behind them, and then what
 * is another's. One entry of the environment was set later and lies elsewhere. */
static const char layout[] = "prog\0-c\0x\0A=1\0B=2\0####################";
enum { ROOM = 18 };
static char memory[sizeof layout], elsewhere[] = "C=3";

static char *arguments[4], *entries[4], **kept_environ;

static void start_program(void)
{
    memcpy(memory, layout, sizeof layout);
    arguments[0] = memory;
    arguments[1] = memory + 5;
    arguments[2] = memory + 8;
    entries[0] = memory + 10;
    entries[1] = memory + 14;
    entries[2] = elsewhere;
    kept_environ = environ;
    environ = entries;
}

static bool is_copied(const char *text)
{
    return text != elsewhere && (text < memory || text >= memory + sizeof memory);
}

static void end_program(void)
{
    environ = kept_environ;
    for (int i = 0; i < 3; i++) {
        if (is_copied(arguments[i]))
            free(arguments[i]);
        if (is_copied(entries[i]))
            free(entries[i]);
    }
}

static bool reads_as_before(void)
{
    return strcmp(arguments[0], "prog") == 0 && strcmp(arguments[1], "-c") == 0 &&
           strcmp(arguments[2], "x") == 0 && arguments[3] == NULL &&
           strcmp(entries[0], "A=1") == 0 && strcmp(entries[1], "B=2") == 0 &&
           strcmp(entries[2], "C=3") == 0 && entries[3] == NULL;
}

START_TEST(arguments_and_environment_read_as_before_whatever_the_title)
{
    title_prepare(3, arguments);
    ck_assert(reads_as_before());
    title_set("%s", "a title that is longer than all the room there is");
    ck_assert(reads_as_before());
    ck_assert_str_eq(getenv("B"), "2");
}
END_TEST

START_TEST(a_title_stands_where_the_arguments_were)
{
    title_prepare(3, arguments);
    title_set("worker %d", 2);
    ck_assert_str_eq(memory, "worker 2");
}
END_TEST

START_TEST(a_shorter_title_leaves_nothing_of_the_longer)
{
    title_prepare(3, arguments);
    title_set("draining now");
    title_set("gone");
    ck_assert_mem_eq(memory, "gone\0\0\0\0\0\0\0\0\0\0\0\0\0\0", ROOM);
}
END_TEST

START_TEST(a_title_uses_the_room_of_the_environment_too)
{
    title_prepare(3, arguments);
    title_set("%s", "seventeen letters");
    ck_assert_str_eq(memory, "seventeen letters");
}
END_TEST

START_TEST(a_title_without_room_is_cut_and_leaves_what_is_behind_alone)
{
    title_prepare(3, arguments);
    title_set("%s", "a title that is longer than all the room there is");
    ck_assert_mem_eq(memory, "a title that is l", ROOM);
    ck_assert_mem_eq(memory + ROOM, layout + ROOM, sizeof layout - ROOM);
    ck_assert_str_eq(elsewhere, "C=3");
}
END_TEST

START_TEST(the_kernel_is_told_a_short_name)
{
    char name[16];
    title_prepare(3, arguments);
    title_set("porteirod");
    ck_assert_int_eq(prctl(PR_GET_NAME, name, 0, 0, 0), 0);
    ck_assert_str_eq(name, "porteirod");
}
END_TEST

START_TEST(a_title_before_any_room_is_made_changes_the_short_name_alone)
{
    char name[16];
    title_set("porteirod");
    ck_assert_int_eq(prctl(PR_GET_NAME, name, 0, 0, 0), 0);
    ck_assert_str_eq(name, "porteirod");
    ck_assert_mem_eq(memory, layout, sizeof layout);
}
END_TEST

static void prepare_and_set(void)
{
    title_prepare(3, arguments);
    title_set("%s", "a title that is longer than all the room there is");
    if (!reads_as_before())
        ck_abort_msg("arguments and environment are lost");
    if (memcmp(memory + ROOM, layout + ROOM, sizeof layout - ROOM) != 0)
        ck_abort_msg("what is behind is overwritten");
    end_program();
    start_program();
}

START_TEST(a_title_that_finds_no_memory_leaves_arguments_and_environment_whole)
{
    WITH_EACH_ALLOCATION_FAILING(prepare_and_set());
}
END_TEST

SUITE(title)
{
    tcase_add_checked_fixture(tests, start_program, end_program);
    TEST(arguments_and_environment_read_as_before_whatever_the_title);
    TEST(a_title_stands_where_the_arguments_were);
    TEST(a_shorter_title_leaves_nothing_of_the_longer);
    TEST(a_title_uses_the_room_of_the_environment_too);
    TEST(a_title_without_room_is_cut_and_leaves_what_is_behind_alone);
    TEST(the_kernel_is_told_a_short_name);
    TEST(a_title_before_any_room_is_made_changes_the_short_name_alone);
    TEST(a_title_that_finds_no_memory_leaves_arguments_and_environment_whole);
}
