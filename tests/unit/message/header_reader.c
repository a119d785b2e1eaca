#include "message/header_reader.h"

#include "base/buffer.h"
#include "support/splits.h"
#include "support/test.h"

/* What is read of a header: "NAME=VALUE|", and "|" where a line begins that is no fold. */
struct reading {
    struct header_reader reader;
    struct buffer seen;
};

static const char *meant;

static void restart(void *owner)
{
    struct reading *r = owner;
    buffer_clear(&r->seen);
    *r = (struct reading){.seen = {.limit = 4096}};
}

static void feed(void *owner, struct span piece)
{
    struct reading *r = owner;
    struct span value;
    for (;;)
        switch (header_reader_next(&r->reader, &piece, &value)) {
        case HEADER_MORE: return;
        case HEADER_ENDS: ck_assert(buffer_append(&r->seen, span_of("|")) == 0); break;
        case HEADER_BEGINS:
            ck_assert(buffer_printf(&r->seen, "%s=", r->reader.name) == 0);
            ck_assert_uint_eq(strlen(r->reader.name), r->reader.name_size);
            break;
        case HEADER_VALUE: ck_assert(buffer_append(&r->seen, value) == 0); break;
        }
}

static void done(void *owner)
{
    struct reading *r = owner;
    ck_assert(buffer_append(&r->seen, span_make("", 1)) == 0);
    ck_assert_str_eq(buffer_bytes(&r->seen).data, meant);
}

static void check(const char *header, const char *seen)
{
    struct reading r = {.seen = {.limit = 4096}};
    meant = seen;
    every_split(span_of(header), restart, feed, done, &r);
    buffer_clear(&r.seen);
}

START_TEST(fields_come_with_their_names_and_values)
{
    check("A: b\r\nC:d\r\n", "|A= b\r|C=d\r");
    check("A:\r\n b\r\n\tc\r\nD: e", "|A=\r b\r\tc\r|D= e");
    check("A \t : b\r\n", "|A= b\r");
    check("A: b: c\r\n", "|A= b: c\r");
}
END_TEST

START_TEST(a_dot_that_begins_a_line_is_the_senders_alone_where_it_is_doubled)
{
    check(".A: b\r\n..C: d\r\n. e\r\n", "|A= b\r|.C= d\r e\r");
}
END_TEST

START_TEST(what_is_no_field_has_no_name)
{
    check("A b: c\r\nD: e\r\n", "||D= e\r");
    check("A\r\n: b\r\n", "||= b\r"); /* nobody's name is empty */
    check("A234567890123456789012345678901234567890123456789012345678901234: b\r\nC: d\r\n",
          "|A234567890123456789012345678901234567890123456789012345678901234= b\r|C= d\r");
    check("A2345678901234567890123456789012345678901234567890123456789012345: b\r\nC: d\r\n",
          "||C= d\r");
}
END_TEST

SUITE(header_reader)
{
    TEST(fields_come_with_their_names_and_values);
    TEST(a_dot_that_begins_a_line_is_the_senders_alone_where_it_is_doubled);
    TEST(what_is_no_field_has_no_name);
}
