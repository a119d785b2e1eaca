#include "policy/ownership.h"
#include "policy/policy.h"
#include "support/test.h"

#include <stdlib.h>

static const char *text_of(struct sender_finding f)
{
    static char text[SENDER_TEXT_SIZE];
    return sender_text(&f, "ana@example.com", text);
}

START_TEST(a_refusal_names_what_is_wrong_and_whose_address_it_is_not)
{
    ck_assert_str_eq(text_of((struct sender_finding){
                         .fault = SENDER_FOREIGN, .where = "From", .address = "boss@bank.example"}),
                     "From: boss@bank.example is not an address of ana@example.com");
    ck_assert_str_eq(text_of((struct sender_finding){.fault = SENDER_UNREADABLE,
                                                     .where = "Sender",
                                                     .wrong = "it names no address"}),
                     "Sender can't be read: it names no address");
    ck_assert_str_eq(text_of((struct sender_finding){.fault = SENDER_MISSING}),
                     "The message has no From, which says who sends it");
    ck_assert_str_eq(text_of((struct sender_finding){.fault = SENDER_REPEATED}),
                     "The message has more than one From");
    ck_assert_str_eq(text_of((struct sender_finding){.fault = SENDER_GOOD}), "");
}
END_TEST

START_TEST(an_address_that_is_long_leaves_the_account_its_place)
{
    char address[400] = "";
    memset(address, 'x', sizeof address - 1);
    const char *text = text_of(
        (struct sender_finding){.fault = SENDER_FOREIGN, .where = "From", .address = address});
    ck_assert_ptr_nonnull(strstr(text, "xxx is not an address of ana@example.com"));
    ck_assert_uint_lt(strlen(text), 200);
}
END_TEST

static bool owns(const struct sender_rule *r, const char *account, const char *address)
{
    return sender_is_own(r, span_of(account), span_of(address));
}

START_TEST(an_account_has_what_the_file_says_or_its_name)
{
    static const uint64_t key[2] = {1, 2};
    struct sealed list = {{NULL, 0}};
    struct address_file file = {.path = "/own"};
    struct sender_rule r = {.file = NULL};
    ck_assert(owns(&r, "ana@example.com", "ana@example.com"));
    ck_assert(!owns(&r, "ana@example.com", "bia@example.com"));
    r.file = &file; /* not read yet */
    ck_assert(owns(&r, "ana@example.com", "ana@example.com"));
    struct ownership_builder *b = ownership_builder_create(key);
    ck_assert_int_eq(ownership_account(b, span_of("ana@example.com")), 0);
    ck_assert_int_eq(ownership_add(b, span_of("bia@example.com")), 0);
    char *octets = ownership_build(b, &list.bytes.size);
    list.bytes.data = octets;
    file.list = &list;
    ck_assert(owns(&r, "ana@example.com", "bia@example.com"));
    ck_assert(!owns(&r, "ana@example.com", "ana@example.com"));
    free(octets);
    ownership_builder_destroy(&b);
}
END_TEST

START_TEST(a_rule_is_for_whom_it_says)
{
    static const char *accounts[] = {"@example.com"}, *excepted[] = {"bia@example.com"};
    const struct sender_rule r = {.when.accounts = {accounts, 1}, .except.accounts = {excepted, 1}};
    ck_assert(sender_is_for(&r, &(struct policy_facts){.account = "ana@example.com"}));
    ck_assert(!sender_is_for(&r, &(struct policy_facts){.account = "bia@example.com"}));
    ck_assert(!sender_is_for(&r, &(struct policy_facts){.account = "ana@example.net"}));
}
END_TEST

SUITE(sender)
{
    TEST(a_refusal_names_what_is_wrong_and_whose_address_it_is_not);
    TEST(an_address_that_is_long_leaves_the_account_its_place);
    TEST(an_account_has_what_the_file_says_or_its_name);
    TEST(a_rule_is_for_whom_it_says);
}
