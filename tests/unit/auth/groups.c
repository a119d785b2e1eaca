#include "auth/groups.h"

#include "base/lookup.h"
#include "config/watched.h"

static struct sealed list;

static int make(int file, const char *path, size_t *count)
{
    return groups_build(file, path, "example.com", count, findings);
}

/* Of a file with this text; how many lines count, or -1. */
static int build(const char *text)
{
    return watched_list("shop", text, make, &list);
}

static bool has(const char *key)
{
    struct span value;
    return lookup_find((struct lookup){list.bytes.data, list.bytes.size}, span_of(key), &value);
}

static void end(void)
{
    sealed_unmap(&list);
}

START_TEST(a_line_is_an_account_or_a_domain_by_its_canonical_name)
{
    ck_assert_int_eq(build("# plan\n Ana@Example.COM # boss\nrui\n@B\xc3\xbc"
                           "cher.example\r\n"),
                     3);
    ck_assert(has("ana@example.com"));
    ck_assert(has("rui@example.com"));
    ck_assert(has("@xn--bcher-kva.example"));
    ck_assert(!has("@example.com"));
    ck_assert(!has("eva@example.com"));
}
END_TEST

START_TEST(a_file_may_be_empty)
{
    ck_assert_int_eq(build("# nobody yet\n"), 0);
    ck_assert(!has("ana@example.com"));
}
END_TEST

static const struct {
    const char *line, *said;
} wrong[] = {
    {"ana@example.com: gold", "no account"},
    {"ana@example.com rui@example.com", "no account"},
    {"group:directors", "no account"},
    {"*@example.com\\", "no account"},
    {"@", "no account"},
    {"INFO", "line 1 already"},
};

START_TEST(a_wrong_line_is_told_with_its_place)
{
    char lines[200];
    (void)snprintf(lines, sizeof lines, "info\n\n%s\n", wrong[_i].line); /* fits */
    ck_assert_int_eq(build(lines), -1);
    error_is("shop:3: ", wrong[_i].said);
    count_is(1, 0);
}
END_TEST

SUITE(groups)
{
    folder_use(tests);
    tcase_add_checked_fixture(tests, NULL, end);
    TEST(a_line_is_an_account_or_a_domain_by_its_canonical_name);
    TEST(a_file_may_be_empty);
    LOOP_TEST(a_wrong_line_is_told_with_its_place, wrong);
}
