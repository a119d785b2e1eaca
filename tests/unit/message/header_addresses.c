#include "message/header_addresses.h"

#include "base/buffer.h"
#include "support/splits.h"
#include "support/test.h"

struct reading {
    struct header_addresses header;
    struct buffer given;
};

static void put(void *owner, enum author_field field, struct span address)
{
    struct reading *r = owner;
    ck_assert_int_eq(
        buffer_printf(&r->given, "%s=%.*s ", author_names[field], (int)address.size, address.data),
        0);
}

static void restart(void *owner)
{
    struct reading *r = owner;
    buffer_clear(&r->given);
    r->given.limit = 4096;
    header_addresses_begin(&r->header, put, r);
}

static void feed(void *owner, struct span piece)
{
    struct reading *r = owner;
    header_addresses_take(&r->header, piece);
}

struct case_of {
    const char *header, *addresses;
    unsigned from;
    const char *wrong;
    enum author_field field;
};

static const struct case_of *meant;

static void done(void *owner)
{
    struct reading *r = owner;
    header_addresses_end(&r->header);
    ck_assert_int_eq(buffer_append(&r->given, span_make("", 1)), 0);
    ck_assert_str_eq(buffer_bytes(&r->given).data, meant->addresses);
    ck_assert_uint_eq(r->header.count[AUTHOR_FROM], meant->from);
    ck_assert_pstr_eq(r->header.wrong, meant->wrong);
    if (meant->wrong != NULL)
        ck_assert_int_eq(r->header.wrong_field, meant->field);
}

static const struct case_of cases[] = {
    {"Received: from x\r\n by y\r\nFROM: Ana <ana@a.example>\r\nTo: bia@b.example\r\n",
     "From=ana@a.example ", 1, NULL, 0},
    {"From:\r\n Ana\r\n <ana@a.example>,\r\n\tbia@b.example\r\n",
     "From=ana@a.example From=bia@b.example ", 1, NULL, 0},
    {"From \t : ana@a.example\r\n", "From=ana@a.example ", 1, NULL, 0},
    {"From: ana@a.example\r\nfrom: bia@b.example\r\n", "From=ana@a.example From=bia@b.example ", 2,
     NULL, 0},
    {"Sender: a@a.example\r\nSENDER: b@a.example\r\nResent-From: c@a.example\r\n"
     "Resent-From: d@a.example\r\nResent-Sender: e@a.example\r\nReply-To: f@a.example\r\n",
     "Sender=a@a.example Sender=b@a.example Resent-From=c@a.example Resent-From=d@a.example ", 0,
     NULL, 0},
    {"X-From: ana@a.example\r\nFromm: ana@a.example\r\nFro: ana@a.example\r\n"
     "From x: ana@a.example\r\nSubject: a\r\n From: ana@a.example\r\n",
     "", 0, NULL, 0},
    {".From: ana@a.example\r\n. , bia@b.example\r\n..From: x\r\n",
     "From=ana@a.example From=bia@b.example ", 1, NULL, 0},
    {"From: ana@a.example\r\n \r\n\t, bia@b.example\r\n", "From=ana@a.example From=bia@b.example ",
     1, NULL, 0},
    {"From: ana\r\nSender: bia@b.example\r\n", "", 1, "a name stands in it without an address",
     AUTHOR_FROM},
    {"From: ana@a.example\r\nSender:\r\n", "From=ana@a.example ", 1, "it names no address",
     AUTHOR_SENDER},
    {"From: ana@a.example", "From=ana@a.example ", 1, NULL, 0},
    {"", "", 0, NULL, 0},
};

START_TEST(fields_that_say_who_it_is_from_are_read)
{
    struct reading r = {.given = {.limit = 4096}};
    meant = &cases[_i];
    every_split(span_of(meant->header), restart, feed, done, &r);
    buffer_clear(&r.given);
}
END_TEST

static void count(void *owner, enum author_field field, struct span address)
{
    (void)field, (void)address;
    ++*(unsigned *)owner;
}

START_TEST(addresses_are_bounded_over_all_fields)
{
    for (unsigned more = 0; more < 2; more++) {
        struct header_addresses h;
        unsigned given = 0;
        header_addresses_begin(&h, count, &given);
        header_addresses_take(&h, span_of("From: "));
        for (unsigned i = 1; i < AUTHORS_MAX; i++)
            header_addresses_take(&h, span_of("a@b,"));
        header_addresses_take(&h, span_of("\r\nSender: a@b\r\n"));
        header_addresses_take(&h, span_of(more == 0 ? "" : "Sender: a@b, c@d\r\n"));
        header_addresses_end(&h);
        ck_assert_uint_eq(given, AUTHORS_MAX);
        ck_assert_pstr_eq(h.wrong, more == 0 ? NULL : "it names too many addresses");
    }
}
END_TEST

SUITE(header_addresses)
{
    TEST(addresses_are_bounded_over_all_fields);
    LOOP_TEST(fields_that_say_who_it_is_from_are_read, cases);
}
