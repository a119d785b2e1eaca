#include "protocol/delegation/server.h"

#include "protocol/delegation/reading.h"

#define ASKED "request=smtpd_access_policy\n"

static void say_attribute(struct said *said, const char *name, struct span value)
{
    if (value.size == 0)
        return;
    say(said, " %s=", name);
    say_bytes(said, value);
}

static void feed(void *owner, struct span piece)
{
    struct reading *r = owner;
    struct error why;
    struct delegation_asked a;
    struct span *rest = leftover_join(&r->in, piece);
    if (r->outcome < 0)
        return;
    while ((r->outcome = delegation_asked_take(rest, &a, &why)) == 1) {
        say(&r->said, "<");
        say_bytes(&r->said, a.state);
        say_attribute(&r->said, "instance", a.instance);
        say_attribute(&r->said, "queue", a.queue);
        say_attribute(&r->said, "sender", a.sender);
        say_attribute(&r->said, "recipient", a.recipient);
        say_attribute(&r->said, "count", a.recipient_count);
        say_attribute(&r->said, "size", a.size);
        say_attribute(&r->said, "client", a.client_address);
        say_attribute(&r->said, "port", a.client_port);
        say_attribute(&r->said, "login", a.login);
        say(&r->said, ">");
    }
    if (r->outcome < 0)
        say(&r->said, "%s", why.text);
}

static const struct {
    const char *input, *expected;
} cases[] = {
    {ASKED "protocol_state=RCPT\nprotocol_name=ESMTP\nhelo_name=client.example\n"
           "queue_id=\nsender=ana@example.com\nrecipient=bia@dest.example\nrecipient_count=0\n"
           "client_address=192.0.2.9\nclient_name=unknown\nreverse_client_name=unknown\n"
           "instance=1f2.6928.0\nsasl_method=PLAIN\nsasl_username=ana\nsasl_sender=\nsize=12345\n"
           "ccert_subject=\nclient_port=4711\ncompatibility_level=3.6\nmail_version=3.7.11\n\n",
     "<RCPT instance=1f2.6928.0 sender=ana@example.com recipient=bia@dest.example count=0 "
     "size=12345 client=192.0.2.9 port=4711 login=ana>"},
    {"protocol_state=MAIL\n" ASKED "\n" ASKED "protocol_state=DATA\n\n", "<MAIL><DATA>"},
    {ASKED "sender=a=b@example.com\n\n", "< sender=a=b@example.com>"},
    {ASKED "something_new=\n=\n\n", "<>"},
    {ASKED "sender=a\nsender=b\n\n", "sender comes twice"},
    {ASKED "sender\n\n", "a line is no name=value"},
    {ASKED "sender=a\r\n\n", "a line is no name=value"},
    {"request=junk_policy\n\n", "request isn't smtpd_access_policy"},
    {"\n", "request isn't smtpd_access_policy"},
    {ASKED "sender=", ""},
};

START_TEST(a_request_is_read_however_it_comes)
{
    is_read_by(feed, span_of(cases[_i].input), cases[_i].expected);
}
END_TEST

START_TEST(a_request_that_never_ends_is_given_up)
{
    static char text[2 * DELEGATION_ASKED_MAX];
    struct delegation_asked a;
    struct error why;
    memset(text, 'a', sizeof text);
    struct span in = span_make(text, DELEGATION_ASKED_MAX);
    ck_assert_int_eq(delegation_asked_take(&in, &a, &why), 0);
    in = span_make(text, DELEGATION_ASKED_MAX + 1);
    ck_assert_int_eq(delegation_asked_take(&in, &a, &why), -1);
}
END_TEST

START_TEST(an_answer_is_one_line_and_an_empty_one)
{
    struct buffer out = {.limit = 64};
    ck_assert_int_eq(delegation_action_append("451 4.7.1 later\naction=OK", &out), 0);
    ck_assert(span_equals(buffer_bytes(&out), "action=451 4.7.1 later?action=OK\n\n"));
    ck_assert_int_eq(delegation_action_append("a longer one than there is room for", &out), -1);
    buffer_clear(&out);
}
END_TEST

SUITE(delegation_server)
{
    LOOP_TEST(a_request_is_read_however_it_comes, cases);
    TEST(a_request_that_never_ends_is_given_up);
    TEST(an_answer_is_one_line_and_an_empty_one);
}
