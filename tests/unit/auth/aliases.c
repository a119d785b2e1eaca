#include "auth/aliases.h"

#include "config/watched.h"

static struct sealed aliases;
static char out[ACCOUNT_SIZE];

static int make(int file, const char *path, size_t *count)
{
    return aliases_build(file, path, "example.com", count, findings);
}

/* Of a file with this text; how many lines count, or -1. */
static int build(const char *text)
{
    return watched_list("aliases", text, make, &aliases);
}

static void end(void)
{
    sealed_unmap(&aliases);
}

static const char *account(const char *given)
{
    return aliases_account(&aliases, span_of(given), "example.com", out) < 0 ? "nobody" : out;
}

static const char text[] = "# others\n"
                           "COMPANY\\ana: ana@example.com\n"
                           "Ana Maria: anamaria@example.com\n"
                           "info: rui@example.com\n"
                           "postmaster@OLD.example: rui\n"
                           "J\xc3\xb6rg Fu\xc3\x9f: joerg@example.com\n"
                           "COMPANY\\*: *@example.com\n"
                           "*@old.example: *@example.com\n"
                           "*@b\xc3\xbc"
                           "cher.example: *@books.example\n"
                           "web*: *@web.example\n"
                           "shop/*: shop@example.com\n"
                           "swap@*: swap@*\n";

static const struct {
    const char *given, *account;
} cases[] = {
    {"ana", "ana@example.com"}, /* as without any */
    {"Ana@Elsewhere.example", "ana@elsewhere.example"},
    {"COMPANY\\ana", "ana@example.com"},
    {"company\\ANA", "ana@example.com"},
    {"company\\Rui", "rui@example.com"}, /* by the pattern */
    {"ana maria", "anamaria@example.com"},
    {"ana maria ", "nobody"},
    {"info", "rui@example.com"},
    {"INFO@example.COM", "rui@example.com"},
    {"info@elsewhere.example", "info@elsewhere.example"},
    {"postmaster@old.example", "rui@example.com"}, /* the exact line wins */
    {"eva@old.example", "eva@example.com"},
    {"J\xc3\xb6rg Fu\xc3\x9f", "joerg@example.com"},
    {"ana@B\xc3\x9c"
     "CHER.example",
     "ana@books.example"},
    {"ana@xn--bcher-kva.example", "ana@books.example"},
    {"web7", "7@web.example"},
    {"web7@example.com", "7@web.example"},
    {"web7@elsewhere.example", "web7@elsewhere.example"},
    {"web", "web@example.com"}, /* a "*" is something */
    {"shop/Anything", "shop@example.com"},
    {"company\\", "nobody"},
    {"company\\a b", "nobody"},
    {"company\\a@b", "nobody"},
    {"company\\a\\b", "nobody"},
    {"other\\ana", "nobody"},
    {"a%b", "nobody"},
    {"", "nobody"},
};

START_TEST(a_name_means_the_account_of_its_line_or_of_the_first_pattern)
{
    ck_assert_int_eq(build(text), 11);
    count_is(0, 0);
    ck_assert_str_eq(account(cases[_i].given), cases[_i].account);
}
END_TEST

START_TEST(without_a_file_a_name_is_its_account)
{
    ck_assert_int_eq(aliases_account(NULL, span_of("Ana"), "example.com", out), 0);
    ck_assert_str_eq(out, "ana@example.com");
    ck_assert_int_eq(aliases_account(NULL, span_of("a b"), "example.com", out), -1);
    ck_assert_int_eq(build(""), 0);
    ck_assert_str_eq(account("Ana"), "ana@example.com");
}
END_TEST

START_TEST(names_with_a_nul_or_too_long_are_nobodys)
{
    char name[400];
    memset(name, 'x', sizeof name);
    ck_assert_int_eq(build("*: *@example.com\n"), 1);
    ck_assert_int_eq(aliases_account(&aliases, span_make("a\0b", 3), "example.com", out), -1);
    for (size_t size = 60; size < sizeof name; size++)
        ck_assert_int_eq(aliases_account(&aliases, span_make(name, size), "example.com", out) < 0,
                         size > 64);
}
END_TEST

static const struct {
    const char *line, *said;
} wrong[] = {
    {"a: b c", "no account"},
    {"a: b%c", "no account"},
    {"a: *@example.com", "no account"},
    {"a*: b\\*", "no account"},
    {"a*b*: *@example.com", "one \"*\""},
    {"a*: *@*", "one \"*\""},
    {"INFO: ana", "line 1 already"},
    {"info@Example.com: ana", "line 1 already"},
    {"a", "KEY: value"},
};

START_TEST(a_wrong_line_is_told_with_its_place)
{
    char lines[200];
    (void)snprintf(lines, sizeof lines, "info: ana\n\n%s\n", wrong[_i].line); /* fits */
    ck_assert_int_eq(build(lines), -1);
    error_is("aliases:3: ", wrong[_i].said);
    count_is(1, 0);
}
END_TEST

START_TEST(all_that_is_wrong_is_told_at_once)
{
    ck_assert_int_eq(build("a: b c\nb\nc: d\nd*d*: x\n"), -1);
    count_is(3, 0);
}
END_TEST

START_TEST(patterns_are_bounded)
{
    static char many[257 * 20];
    for (int i = 0; i < 257; i++)
        (void)snprintf(many + strlen(many), 20, "p%d*: *\n", i); /* fits */
    ck_assert_int_eq(build(many), -1);
    error_is("aliases:257: ", "256 patterns");
}
END_TEST

SUITE(aliases)
{
    folder_use(tests);
    tcase_add_checked_fixture(tests, NULL, end);
    LOOP_TEST(a_name_means_the_account_of_its_line_or_of_the_first_pattern, cases);
    TEST(without_a_file_a_name_is_its_account);
    TEST(names_with_a_nul_or_too_long_are_nobodys);
    LOOP_TEST(a_wrong_line_is_told_with_its_place, wrong);
    TEST(all_that_is_wrong_is_told_at_once);
    TEST(patterns_are_bounded);
}
