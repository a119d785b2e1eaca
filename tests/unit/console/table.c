#include "console/table.h"

#include "gateway.h"

#include <sys/ioctl.h>
#include <termios.h>

static char printed[GATEWAY_TEXT];

static const char *const heads[] = {"name", ">size", "state"};

static void print_to_file(const struct table *t)
{
    struct kept_stream out = keep_stream(stdout);
    table_print(t);
    kept_text(&out, printed);
}

/* A terminal that is so wide. Returns the end at which a person reads. */
static int open_terminal(unsigned short columns, int *ours)
{
    const struct winsize size = {.ws_row = 24, .ws_col = columns};
    struct termios mode;
    int person = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(person, 0);
    ck_assert_int_eq(grantpt(person), 0);
    ck_assert_int_eq(unlockpt(person), 0);
    *ours = open(ptsname(person), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(*ours, 0);
    ck_assert_int_eq(tcgetattr(*ours, &mode), 0);
    cfmakeraw(&mode); /* LF stays LF */
    ck_assert_int_eq(tcsetattr(*ours, TCSANOW, &mode), 0);
    ck_assert_int_eq(ioctl(*ours, TIOCSWINSZ, &size), 0);
    return person;
}

/* What stands on a terminal of this width; it has to fit what the system keeps of it, 4 KiB. */
static void print_to_terminal(const struct table *t, unsigned short columns)
{
    int ours, person = open_terminal(columns, &ours), before = dup(STDOUT_FILENO);
    ck_assert_int_eq(fflush(stdout), 0);
    ck_assert_int_ge(dup2(ours, STDOUT_FILENO), 0);
    table_print(t);
    ck_assert_int_eq(fflush(stdout), 0);
    ck_assert_int_ge(dup2(before, STDOUT_FILENO), 0);
    ssize_t size = read(person, printed, sizeof printed - 1);
    ck_assert_int_gt(size, 0);
    printed[size] = '\0';
    ck_assert_int_eq(close(before), 0);
    ck_assert_int_eq(close(ours), 0);
    ck_assert_int_eq(close(person), 0);
}

static struct table *table_of_three(const char *name, const char *size, const char *state)
{
    const char *const cells[] = {name, size, state};
    struct table *t = table_create(heads, 3);
    table_add(t, cells);
    return t;
}

START_TEST(columns_are_as_wide_as_what_stands_in_them)
{
    static const char *const other[] = {"b", "12345", "up"};
    struct table *t = table_of_three("a long name", "7", "down");
    table_add(t, other);
    print_to_file(t);
    ck_assert_str_eq(printed, "name          size  state\n"
                              "a long name      7  down\n"
                              "b            12345  up\n");
    table_destroy(&t);
    ck_assert_ptr_null(t);
}
END_TEST

START_TEST(a_table_without_rows_is_its_heads)
{
    struct table *t = table_create(heads, 3);
    print_to_file(t);
    ck_assert_str_eq(printed, "name  size  state\n");
    table_destroy(&t);
}
END_TEST

START_TEST(a_table_keeps_copies_of_what_it_was_given)
{
    char name[] = "before";
    struct table *t = table_of_three(name, "1", "up");
    (void)snprintf(name, sizeof name, "after"); /* fits */
    print_to_file(t);
    ck_assert_str_eq(printed, "name    size  state\n"
                              "before     1  up\n");
    table_destroy(&t);
}
END_TEST

START_TEST(a_thousand_rows_are_printed_in_order)
{
    struct table *t = table_create(heads, 1);
    char name[16];
    const char *const cells[] = {name};
    for (int n = 0; n < 1000; n++) {
        (void)snprintf(name, sizeof name, "row%d", n); /* fits */
        table_add(t, cells);
    }
    print_to_file(t);
    const char *at = printed;
    for (int n = 0; n < 1000; n++) {
        (void)snprintf(name, sizeof name, "\nrow%d\n", n); /* fits */
        ck_assert_msg((at = strstr(at, name)) != NULL, "row %d", n);
    }
    table_destroy(&t);
}
END_TEST

START_TEST(what_would_steer_a_terminal_is_masked)
{
    struct table *t = table_of_three("a\x1b[2Jb\tc\n", "1", "\x7f\xc2\x9b.");
    print_to_file(t);
    ck_assert_str_eq(printed, "name       size  state\n"
                              "a?[2Jb?c?     1  ???.\n");
    table_destroy(&t);
}
END_TEST

START_TEST(a_file_gets_rows_of_any_length)
{
    char name[301];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct table *t = table_of_three(name, "1", "up");
    print_to_file(t);
    ck_assert_ptr_nonnull(strstr(printed, name));
    table_destroy(&t);
}
END_TEST

START_TEST(a_table_that_fits_its_terminal_is_not_cut)
{
    struct table *t = table_of_three("exactly ten chars", "1", "up");
    print_to_terminal(t, 17 + 2 + 4 + 2 + 5);
    ck_assert_str_eq(printed, "name               size  state\n"
                              "exactly ten chars     1  up\n");
    table_destroy(&t);
}
END_TEST

START_TEST(on_a_narrow_terminal_the_widest_text_is_cut)
{
    struct table *t = table_of_three("0123456789abcdef", "123456", "serving");
    print_to_terminal(t, 10 + 2 + 6 + 2 + 7);
    ck_assert_str_eq(printed, "name          size  state\n"
                              "01234~cdef  123456  serving\n");
    table_destroy(&t);
}
END_TEST

START_TEST(a_name_is_cut_in_the_middle_and_what_stands_behind_it_at_its_end)
{
    struct table *t = table_of_three("webmaster@customer4711.example", "1", "0123456789abcdef");
    print_to_terminal(t, 21 + 2 + 4 + 2 + 8);
    ck_assert_str_eq(printed, "name                   size  state\n"
                              "webmaster@~11.example     1  0123456~\n");
    table_destroy(&t);
}
END_TEST

START_TEST(numbers_are_never_cut)
{
    struct table *t = table_of_three("0123456789", "12345678901234567890", "0123456789");
    print_to_terminal(t, 1);
    ck_assert_str_eq(printed, "name                      size  state\n"
                              "0123~789  12345678901234567890  0123456~\n");
    table_destroy(&t);
}
END_TEST

START_TEST(a_terminal_that_does_not_know_its_width_has_80_columns)
{
    char name[101];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct table *t = table_of_three(name, "1", "state");
    print_to_terminal(t, 0);
    const char *row = strchr(printed, '\n') + 1;
    ck_assert_uint_eq(strcspn(row, "\n"), 80);
    table_destroy(&t);
}
END_TEST

SUITE(table)
{
    TEST(columns_are_as_wide_as_what_stands_in_them);
    TEST(a_table_without_rows_is_its_heads);
    TEST(a_table_keeps_copies_of_what_it_was_given);
    TEST(a_thousand_rows_are_printed_in_order);
    TEST(what_would_steer_a_terminal_is_masked);
    TEST(a_file_gets_rows_of_any_length);
    TEST(a_table_that_fits_its_terminal_is_not_cut);
    TEST(on_a_narrow_terminal_the_widest_text_is_cut);
    TEST(a_name_is_cut_in_the_middle_and_what_stands_behind_it_at_its_end);
    TEST(numbers_are_never_cut);
    TEST(a_terminal_that_does_not_know_its_width_has_80_columns);
}
