#include "config/closed_days.h"

#include "config/watched.h"
#include "policy/closed.h"

static struct sealed list;

static int make(int file, const char *path, size_t *count)
{
    return closed_days_build(file, path, count, findings);
}

/* Of a file with this text; how many lines count, or -1. */
static int build(const char *text)
{
    return watched_list("holidays", text, make, &list);
}

static bool holds(int year, int month, int day)
{
    const struct lookup days = {list.bytes.data, list.bytes.size};
    const struct wall_time now = {.year = year, .month = month, .day = day};
    return closed_hold(days, &now);
}

static void end(void)
{
    sealed_unmap(&list);
}

START_TEST(a_line_is_a_day_of_a_year_or_of_all)
{
    ck_assert_int_eq(build("# Brazil\n2026-02-17  # carnival\r\n12-25\n"), 2);
    ck_assert(holds(2026, 2, 17) && !holds(2027, 2, 17));
    ck_assert(holds(2026, 12, 25) && holds(2027, 12, 25));
    ck_assert(!holds(2026, 12, 24));
}
END_TEST

START_TEST(a_file_may_be_empty)
{
    ck_assert_int_eq(build("# none yet\n"), 0);
    ck_assert(!holds(2026, 12, 25));
}
END_TEST

START_TEST(what_is_wrong_is_told_with_its_line)
{
    ck_assert_int_eq(build("12-25\n25.12.2026\n2026-02-29\n12-26: more\n"), -1);
    error_is("holidays:2: ", "\"25.12.2026\" is no day; write one a line, as 2026-12-25, or 12-25");
    error_is("holidays:3: ", "\"2026-02-29\" is no day");
    error_is("holidays:4: ", "\"12-26: more\" is no day");
}
END_TEST

SUITE(closed_days)
{
    folder_use(tests);
    tcase_add_checked_fixture(tests, NULL, end);
    TEST(a_line_is_a_day_of_a_year_or_of_all);
    TEST(a_file_may_be_empty);
    TEST(what_is_wrong_is_told_with_its_line);
}
