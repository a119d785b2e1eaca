#include "redis/redirect.h"

#include "support/test.h"

static struct error why;

/* What the reader makes of it. The reader must outlive the value. */
static const struct redis_value *read_value(struct redis_reader *r, const char *text)
{
    struct span in = span_of(text);
    const struct redis_value *value;
    ck_assert_int_eq(redis_reader_take(r, &in, &value, &why), 1);
    return value;
}

static const struct {
    const char *said, *to; /* NULL: an error; "": it is no such answer */
} redirects[] = {
    {"-MOVED 3999 192.0.2.7:6381\r\n", "192.0.2.7:6381"},
    {"-MOVED 3999 2001:db8::7:6381\r\n", "[2001:db8::7]:6381"},
    {"-MOVED 3999 :6381\r\n", "192.0.2.1:6381"},
    {"-MOVED 3999 redis.example:6381\r\n", NULL},
    {"-MOVED 3999 ?:0\r\n", NULL},
    {"-MOVED 3999 192.0.2.7:0\r\n", NULL},
    {"-MOVED 3999 192.0.2.7:65536\r\n", NULL},
    {"-MOVED 3999 192.0.2.7:\r\n", NULL},
    {"-MOVED 3999 192.0.2.7\r\n", NULL},
    {"-MOVED 3999 \r\n", NULL},
    {"-MOVED 3999\r\n", NULL},
    {"-MOVED\r\n", NULL},
    {"-MOVED 3999 00000000000000000000000000000000000000000000000000000000000192.0.2.7:1\r\n",
     NULL},
    {"-MOVEDON 3999 192.0.2.7:6381\r\n", ""},
    {"-ASK 3999 192.0.2.7:6381\r\n", ""},
    {"+MOVED 3999 192.0.2.7:6381\r\n", ""},
    {"$26\r\nMOVED 3999 192.0.2.7:6381 \r\n", ""},
    {":1\r\n", ""},
};

START_TEST(who_is_moved_to_is_understood)
{
    char text[ADDRESS_TEXT_SIZE];
    struct address from, to;
    struct redis_reader *r = redis_reader_create();
    ck_assert_int_eq(address_make("192.0.2.1", 6379, &from), 0);
    int got = redis_redirect(read_value(r, redirects[_i].said), "MOVED", &from, &to, &why);
    const char *expected = redirects[_i].to;
    ck_assert_int_eq(got, expected == NULL ? -1 : expected[0] != '\0');
    if (got == 1) {
        address_format(&to, text);
        ck_assert_str_eq(text, expected);
    }
    redis_reader_destroy(&r);
}
END_TEST

static const struct {
    const char *said, *to; /* NULL: an error */
} masters[] = {
    {"*2\r\n$9\r\n192.0.2.7\r\n$4\r\n6381\r\n", "192.0.2.7:6381"},
    {"*2\r\n$12\r\n2001:db8::7 \r\n$4\r\n6381\r\n", NULL},
    {"*2\r\n$11\r\n2001:db8::7\r\n$4\r\n6381\r\n", "[2001:db8::7]:6381"},
    {"*2\r\n$13\r\nredis.example\r\n$4\r\n6381\r\n", NULL},
    {"*2\r\n$9\r\n192.0.2.7\r\n:6381\r\n", NULL},
    {"*2\r\n$-1\r\n$4\r\n6381\r\n", NULL},
    {"*1\r\n$9\r\n192.0.2.7\r\n", NULL},
    {"*0\r\n", NULL},
    {"*-1\r\n", NULL},
    {"+OK\r\n", NULL},
};

START_TEST(a_master_is_understood)
{
    char text[ADDRESS_TEXT_SIZE];
    struct address to;
    struct redis_reader *r = redis_reader_create();
    int got = redis_master_address(read_value(r, masters[_i].said), &to, &why);
    ck_assert_int_eq(got, masters[_i].to == NULL ? -1 : 0);
    if (got == 0) {
        address_format(&to, text);
        ck_assert_str_eq(text, masters[_i].to);
    }
    redis_reader_destroy(&r);
}
END_TEST

SUITE(redirect)
{
    LOOP_TEST(who_is_moved_to_is_understood, redirects);
    LOOP_TEST(a_master_is_understood, masters);
}
