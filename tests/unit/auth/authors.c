#include "auth/authors.h"

#include "support/test.h"

#include <string.h>

static const struct sender_rule rule = {.envelope = SENDER_OWN, .header = SENDER_OWN};
static const struct author ana = {&rule, "ana@example.com"};

static struct sender_finding envelope(const char *sender)
{
    static char address[ACCOUNT_SIZE];
    struct sender_finding found;
    authors_look_at_envelope(&ana, span_of(sender), address, &found);
    return found;
}

static struct sender_finding headers(const char *text)
{
    static struct authors a;
    struct sender_finding found;
    authors_begin(&a, &ana);
    authors_take(&a, span_of(text));
    authors_end(&a, &found);
    return found;
}

START_TEST(the_envelope_is_the_accounts_however_it_is_written)
{
    ck_assert_int_eq(envelope("ana@example.com").fault, SENDER_GOOD);
    ck_assert_int_eq(envelope("\"ANA\"@Example.COM").fault, SENDER_GOOD);
    ck_assert_int_eq(envelope("").fault, SENDER_GOOD);
    struct sender_finding found = envelope("bia@example.com");
    ck_assert_int_eq(found.fault, SENDER_FOREIGN);
    ck_assert_str_eq(found.where, "MAIL FROM");
    ck_assert_str_eq(found.address, "bia@example.com");
    ck_assert_int_eq(envelope("ana@example.com, bia@example.com").fault, SENDER_FOREIGN);
}
END_TEST

START_TEST(the_first_address_of_another_is_told_with_its_field)
{
    struct sender_finding found = headers("From: ana@example.com\r\n"
                                          "Sender: Boss <boss@bank.example>\r\n"
                                          "Resent-From: x@y.example\r\n");
    ck_assert_int_eq(found.fault, SENDER_FOREIGN);
    ck_assert_str_eq(found.where, "Sender");
    ck_assert_str_eq(found.address, "boss@bank.example");
}
END_TEST

START_TEST(there_is_one_from_that_can_be_read)
{
    ck_assert_int_eq(headers("From: Ana <ana@example.com>\r\n").fault, SENDER_GOOD);
    ck_assert_int_eq(headers("To: ana@example.com\r\n").fault, SENDER_MISSING);
    ck_assert_int_eq(headers("From: ana@example.com\r\nFrom: ana@example.com\r\n").fault,
                     SENDER_REPEATED);
    struct sender_finding found = headers("From: ana@example.com>\r\n");
    ck_assert_int_eq(found.fault, SENDER_UNREADABLE);
    ck_assert_str_eq(found.where, "From");
}
END_TEST

SUITE(authors)
{
    TEST(the_envelope_is_the_accounts_however_it_is_written);
    TEST(the_first_address_of_another_is_told_with_its_field);
    TEST(there_is_one_from_that_can_be_read);
}
