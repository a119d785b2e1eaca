#include "auth/ownership.h"

#include "auth/account.h"
#include "config/watched.h"
#include "policy/ownership.h"

static struct sealed list;

static int make(int file, const char *path, size_t *count)
{
    return ownership_read(file, path, "example.com", count, findings);
}

/* Of a file with this text; how many entries there are, or -1. */
static int build(const char *text)
{
    return watched_list("addresses", text, make, &list);
}

static bool owns(const char *account, const char *given)
{
    char address[ACCOUNT_SIZE];
    size_t size = account_address(span_of(given), address);
    return ownership_holds(list.bytes, span_of(account), span_make(address, size));
}

static void end(void)
{
    sealed_unmap(&list);
}

START_TEST(an_account_has_the_addresses_of_its_line)
{
    ck_assert_int_eq(build("# who may send as whom\n"
                           "ana@example.com: ana@example.com, Ana.Souza@Example.COM # hers\r\n"
                           "Web1: @shop.example\t@B\xc3\xbc"
                           "cher.example,info@example.com\n"
                           "bia@example.com: bia+*@example.com,\n"
                           "root@example.com: *\n"),
                     7);
    ck_assert(owns("ana@example.com", "ana@example.com"));
    ck_assert(owns("ana@example.com", "ANA.souza@example.com"));
    ck_assert(!owns("ana@example.com", "souza@example.com"));
    ck_assert(!owns("ana@example.com", "info@example.com"));
    ck_assert(owns("web1@example.com", "anybody@SHOP.example"));
    ck_assert(owns("web1@example.com", "a@b\xc3\xbc"
                                       "cher.example"));
    ck_assert(owns("web1@example.com", "a@xn--bcher-kva.example"));
    ck_assert(!owns("web1@example.com", "a@sub.shop.example"));
    ck_assert(owns("bia@example.com", "bia+news@example.com"));
    ck_assert(owns("bia@example.com", "bia+a+b@example.com"));
    ck_assert(!owns("bia@example.com", "bia@example.com"));
    ck_assert(!owns("bia@example.com", "bia+news@shop.example"));
    ck_assert(owns("root@example.com", "a@b.example"));
}
END_TEST

START_TEST(an_account_without_a_line_has_its_name)
{
    ck_assert_int_eq(build("web1@example.com: @shop.example\n"), 1);
    ck_assert(owns("ana@example.com", "Ana@example.com"));
    ck_assert(!owns("ana@example.com", "bia@example.com"));
    ck_assert(!owns("web1@example.com", "web1@example.com"));
    ck_assert_int_eq(build("# nobody\n"), 0);
    ck_assert(owns("ana@example.com", "ana@example.com"));
    ck_assert(!owns("ana@example.com", "bia@example.com"));
}
END_TEST

START_TEST(lines_of_an_account_add_up)
{
    ck_assert_int_eq(build("ana: a@example.com\nbia: b@example.com\nana: c@example.com "
                           "a@example.com\n"),
                     4);
    ck_assert(owns("ana@example.com", "a@example.com"));
    ck_assert(owns("ana@example.com", "c@example.com"));
    ck_assert(!owns("ana@example.com", "b@example.com"));
}
END_TEST

START_TEST(a_plus_of_another_address_is_not_the_accounts)
{
    ck_assert_int_eq(build("ana: ana+a+*@example.com\n"), 1);
    ck_assert(owns("ana@example.com", "ana+a+b@example.com"));
    ck_assert(!owns("ana@example.com", "ana+b@example.com"));
    ck_assert(!owns("ana@example.com", "ana+a@example.com"));
}
END_TEST

static const struct {
    const char *line, *told;
} wrong[] = {
    {"ana: b", "\"b\" is no address; write ana@example.com, @example.com"},
    {"ana: b@", "\"b@\" is no address"},
    {"ana: @", "\"@\" is no address"},
    {"ana: b@c@example.com", "\"b@c@example.com\" is no address"},
    {"ana: *@example.com", "\"*@example.com\" is no address"},
    {"ana: b*@example.com", "\"b*@example.com\" is no address"},
    {"ana: +*@example.com", "\"+*@example.com\" is no address"},
    {"ana: b+*c@example.com", "\"b+*c@example.com\" is no address"},
    {"ana: b@*", "\"b@*\" is no address"},
    {"ana: @*", "\"@*\" is no address"},
    {"ana: b+*@*", "\"b+*@*\" is no address"},
    {"ana: b*+*@example.com", "\"b*+*@example.com\" is no address"},
    {"ana: ok@example.com \"b c\"@example.com", "\"\"b\" is no address"},
    {"ana", "write it as \"KEY: value\""},
    {"ana:", "nothing stands behind the colon"},
    {"a na: b@example.com", "\"a na\" is no account; write one as ana@example.com"},
};

START_TEST(a_wrong_line_is_told_and_nothing_is_taken)
{
    char text[200];
    (void)snprintf(text, sizeof text, "bia: bia@example.com\n%s\n", wrong[_i].line); /* fits */
    ck_assert_int_eq(build(text), -1);
    error_is("addresses:2: ", wrong[_i].told);
}
END_TEST

SUITE(ownership)
{
    folder_use(tests);
    tcase_add_checked_fixture(tests, NULL, end);
    TEST(an_account_has_the_addresses_of_its_line);
    TEST(an_account_without_a_line_has_its_name);
    TEST(lines_of_an_account_add_up);
    TEST(a_plus_of_another_address_is_not_the_accounts);
    LOOP_TEST(a_wrong_line_is_told_and_nothing_is_taken, wrong);
}
