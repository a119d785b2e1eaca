#include "protocol/pop3/xclient.h"

#include "support/failing.h"
#include "support/test.h"

static const struct {
    const char *greeting;
    bool is_offered;
} greetings[] = {
    {"[XCLIENT] Dovecot ready.", true},
    {"Dovecot [XCLIENT] ready.", true},
    {"[XCLIENT]", true},
    {"Dovecot ready.", false},
    {"", false},
    {"XCLIENT", false},
    {"[XCLIENTS] ready", false},
    {"a[XCLIENT] ready", false},
};

START_TEST(xclient_is_offered_by_the_banner_alone)
{
    ck_assert_int_eq(pop3_xclient_is_offered(span_of(greetings[_i].greeting)),
                     greetings[_i].is_offered);
}
END_TEST

static const struct pop3_xclient ana = {.address = "2001:db8::7",
                                        .port = 4711,
                                        .destination = "192.0.2.1",
                                        .destination_port = 995,
                                        .session = "0123456789ab",
                                        .forward = "account=ana@example.com\tlistener=pop3s"};

static bool says(const struct pop3_xclient *who, const char *expected)
{
    struct buffer out = {.limit = 2000};
    ck_assert_int_eq(pop3_xclient_append(who, &out), 0);
    bool is_good = span_equals(buffer_bytes(&out), expected);
    buffer_clear(&out);
    return is_good;
}

/* The base 64 is that of base64(1). */
START_TEST(it_tells_who_the_client_is)
{
    ck_assert(says(&ana, "XCLIENT ADDR=2001:db8::7 PORT=4711 DESTADDR=192.0.2.1 DESTPORT=995 "
                         "SESSION=0123456789ab TTL=4 CLIENT-TRANSPORT=TLS FORWARD="
                         "YWNjb3VudD1hbmFAZXhhbXBsZS5jb20JbGlzdGVuZXI9cG9wM3M=\r\n"));
}
END_TEST

START_TEST(fields_that_are_too_long_are_left_out)
{
    char many[700];
    struct pop3_xclient who = ana;
    memset(many, 'x', sizeof many - 1);
    many[sizeof many - 1] = '\0';
    who.forward = many;
    ck_assert(says(&who, "XCLIENT ADDR=2001:db8::7 PORT=4711 DESTADDR=192.0.2.1 DESTPORT=995 "
                         "SESSION=0123456789ab TTL=4 CLIENT-TRANSPORT=TLS FORWARD=\r\n"));
}
END_TEST

START_TEST(what_has_no_room_is_told)
{
    struct buffer out = {.limit = 40};
    ck_assert_int_eq(pop3_xclient_append(&ana, &out), -1);
    ck_assert_uint_eq(buffer_bytes(&out).size, 0);
}
END_TEST

SUITE(pop3_xclient)
{
    LOOP_TEST(xclient_is_offered_by_the_banner_alone, greetings);
    TEST(it_tells_who_the_client_is);
    TEST(fields_that_are_too_long_are_left_out);
    TEST(what_has_no_room_is_told);
}
