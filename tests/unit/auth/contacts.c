#include "auth/contacts.h"

#include "config/watched.h"

static struct sealed list;

static int make(int file, const char *path, size_t *count)
{
    return contacts_build(file, path, "example.com", count, findings);
}

/* Of a file with this text; how many lines count, or -1. */
static int build(const char *text)
{
    return watched_list("contacts", text, make, &list);
}

static void contact_is(const char *account, const char *address)
{
    struct span found = contacts_find(&list, span_of(account));
    ck_assert_msg(span_equals(found, address), "%s: %.*s", account, (int)found.size, found.data);
}

static void end(void)
{
    sealed_unmap(&list);
}

START_TEST(an_account_has_its_own_contact_else_its_domains)
{
    ck_assert_int_eq(build("# customers\nAna: Ana.Private+mail@Gmail.example # boss\n"
                           "@Shop.example: owner@shop-owner.example\r\n"
                           "web@shop.example: it@agency.example\n"),
                     3);
    contact_is("ana@example.com", "Ana.Private+mail@Gmail.example");
    contact_is("rui@shop.example", "owner@shop-owner.example");
    contact_is("web@shop.example", "it@agency.example");
    contact_is("rui@example.com", "");
    contact_is("", "");
    contact_is("@", "");
}
END_TEST

START_TEST(without_a_list_nobody_has_one)
{
    ck_assert_uint_eq(contacts_find(NULL, span_of("ana@example.com")).size, 0);
    ck_assert_uint_eq(contacts_find(&list, span_of("ana@example.com")).size, 0);
}
END_TEST

static const struct {
    const char *line, *said;
} wrong[] = {
    {"ana@example.com", "write it as"},
    {"a b: x@example.com", "no account"},
    {"*@example.com\\: x@example.com", "no account"},
    {"ana: x", "no address"},
    {"ana: @example.com", "no address"},
    {"ana: x@", "no address"},
    {"ana: x@y@example.com", "no address"},
    {"ana: x@example.com, y@example.com", "no address"},
    {"ana: x@example.com y@example.com", "no address"},
    {"ana: Ana <x@example.com>", "no address"},
    {"ana: \"x y\"@example.com", "no address"},
    {"ana: -froot@example.com", "no address"},
    {"ana: x@-example.com", "no address"},
    {"ana: x@[192.0.2.1]", "no address"},
    {"ana: \xc3\xa3@example.com", "no address"},
    {"ana: 1234567890123456789012345678901234567890123456789012345678901234x@example.com",
     "no address"},
    {"INFO: x@example.com", "line 1 already"},
};

START_TEST(a_wrong_line_is_told_with_its_place)
{
    char lines[200];
    (void)snprintf(lines, sizeof lines, "info: a@example.com\n\n%s\n", wrong[_i].line); /* fits */
    ck_assert_int_eq(build(lines), -1);
    error_is("contacts:3: ", wrong[_i].said);
    count_is(1, 0);
}
END_TEST

SUITE(contacts)
{
    folder_use(tests);
    tcase_add_checked_fixture(tests, NULL, end);
    TEST(an_account_has_its_own_contact_else_its_domains);
    TEST(without_a_list_nobody_has_one);
    LOOP_TEST(a_wrong_line_is_told_with_its_place, wrong);
}
