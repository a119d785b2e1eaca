#include "upstream/pop3_link.h"

#include "behind.h"

/* The link that is tested, and what its owner has been told. */
static struct heard {
    struct pop3_link *link;
    unsigned ready, capa, logins, lost;
    bool is_ok;
    char text[600];
    enum smtp_link_loss loss;
    char reason[1100];
    enum { NEVER, AT_READY, AT_CAPA, AT_LOGIN, AT_LOST } closes;
    bool takes; /* the connection, at the login */
    struct connection *connection;
    char behind[100]; /* what came over it */
} heard;

static void on_connection(void *owner, enum connection_event event, struct span *in)
{
    ck_assert_ptr_eq(owner, &heard);
    if (event == CONNECTION_DATA) {
        size_t used = strlen(heard.behind);
        (void)span_copy(span_take(in, in->size), heard.behind + used, sizeof heard.behind - used);
    }
}

static void on_event(void *owner, struct pop3_link *l, const struct pop3_link_event *event)
{
    ck_assert_ptr_eq(owner, &heard);
    ck_assert_ptr_eq(l, heard.link);
    ck_assert_uint_eq(heard.lost, 0); /* nothing comes after it */
    switch (event->kind) {
    case POP3_LINK_READY: heard.ready++; break;
    case POP3_LINK_CAPA: heard.capa++; break;
    case POP3_LINK_LOGIN:
        heard.logins++;
        heard.is_ok = event->reply->is_ok;
        (void)span_copy(event->reply->text, heard.text, sizeof heard.text);
        if (heard.takes) {
            heard.connection = pop3_link_take_connection(l);
            connection_set_owner(heard.connection, on_connection, &heard);
            pop3_link_close(&heard.link);
        }
        break;
    case POP3_LINK_LOST:
        heard.lost++;
        heard.loss = event->loss;
        (void)snprintf(heard.reason, sizeof heard.reason, "%s", event->reason); /* cut to fit */
        break;
    }
    if (heard.closes != NEVER && (unsigned)heard.closes == event->kind + 1)
        pop3_link_close(&heard.link);
}

static struct smtp_link_options options(void)
{
    return (struct smtp_link_options){.loop = turns.loop,
                                      .upstream = upstream(),
                                      .server = &upstream()->servers[0],
                                      .tls = behind.context.tls,
                                      .hostname = "mail.example.com"};
}

static void open_link(const char *settings)
{
    struct error why = {.text = ""};
    char all[200];
    (void)snprintf(all, sizeof all, "protocol = \"pop3\" identity = \"password\" %s",
                   settings); /* fits */
    behind_begin(1, all);
    const struct smtp_link_options o = options();
    heard.link = pop3_link_open(&o, on_event, &heard, &why);
    ck_assert_msg(heard.link != NULL, "%s", why.text);
}

static void end(void)
{
    pop3_link_close(&heard.link);
    connection_close(&heard.connection);
    behind_end();
}

static void is_lost(enum smtp_link_loss loss, const char *reason)
{
    UNTIL(heard.lost == 1);
    ck_assert_msg(heard.loss == loss && strstr(heard.reason, reason) != NULL, "%d: %s",
                  (int)heard.loss, heard.reason);
    ck_assert_str_ne(heard.reason, "");
}

static struct peer *open_ready(void)
{
    open_link("tls = \"none\"");
    struct peer *p = next_client(0);
    peer_say(p, "+OK POP3 behind\r\n");
    UNTIL(heard.ready == 1);
    return p;
}

static void log_in(void)
{
    pop3_link_login(heard.link, span_of("ana"), span_of("secret"));
}

/* ---- the greeting ---- */

START_TEST(a_greeted_link_is_ready)
{
    struct peer *p = open_ready();
    hears_nothing(p);
}
END_TEST

static const struct {
    const char *greeting;
    enum smtp_link_loss loss;
    const char *reason;
} greetings[] = {
    {"-ERR too many connections\r\n", LOSS_REFUSED, "too many connections"},
    {"-ERR [SYS/TEMP] later\r\n", LOSS_REFUSED, "later"},
    {"220 SMTP here\r\n", LOSS_NETWORK, ""},
    {"+OK one\r\n+OK two\r\n", LOSS_NETWORK, "nobody has asked for"},
};

START_TEST(a_greeting_that_is_none_is_told_with_its_reason)
{
    open_link("tls = \"none\"");
    peer_say(next_client(0), greetings[_i].greeting);
    is_lost(greetings[_i].loss, greetings[_i].reason);
}
END_TEST

START_TEST(a_server_that_is_not_there_or_hangs_up_is_told)
{
    open_link("tls = \"none\"");
    struct peer *p = next_client(0);
    if (_i == 0)
        peer_close(p);
    else
        peer_reset(p);
    is_lost(LOSS_NETWORK, "");
}
END_TEST

START_TEST(a_greeting_takes_no_longer_than_command_timeout)
{
    open_link("tls = \"none\"");
    upstream()->command_timeout_ms = 50;
    (void)next_client(0);
    is_lost(LOSS_NETWORK, "in time");
}
END_TEST

/* ---- TLS ---- */

static struct peer *open_stls(void)
{
    open_link("tls = \"require\"");
    struct peer *p = next_client(0);
    peer_say(p, "+OK POP3 behind\r\n");
    hears(p, "STLS\r\n");
    return p;
}

static void shake_hands(struct peer *p)
{
    peer_start_tls(p, behind.server_tls, true);
    UNTIL(peer_read(p) == 0 && SSL_is_init_finished(p->ssl) && heard.ready == 1);
}

START_TEST(required_tls_comes_before_the_login)
{
    struct peer *p = open_stls();
    ck_assert_uint_eq(heard.ready, 0);
    peer_say(p, "+OK go\r\n");
    shake_hands(p);
    log_in();
    hears(p, "USER ana\r\n");
}
END_TEST

START_TEST(tls_that_is_refused_or_fails_loses_the_link)
{
    struct peer *p = open_stls();
    upstream()->connect_timeout_ms = 100;
    if (_i == 0) {
        peer_say(p, "-ERR not now\r\n");
    } else {
        peer_say(p, "+OK go\r\n");
        turns_for(2);
    }
    if (_i == 1)
        peer_say(p, "+OK this is no handshake\r\n");
    if (_i == 2)
        peer_close(p);
    is_lost(LOSS_TLS, ""); /* 3: the server says nothing more */
}
END_TEST

START_TEST(what_is_sent_behind_the_reply_to_stls_is_thrown_away)
{
    static const char *const injected[] = {"+OK go\r\n+OK injected\r\n", "+OK go\r\n+OK inj",
                                           "+OK go\r\n-ERR injected\r\n"};
    struct peer *p = open_stls();
    peer_say(p, injected[_i]);
    shake_hands(p);
    log_in();
    hears(p, "USER ana\r\n");
    hears_nothing(p);
    peer_say(p, "-ERR no such user\r\n");
    UNTIL(heard.logins == 1);
    ck_assert_str_eq(heard.text, "no such user");
}
END_TEST

START_TEST(implicit_tls_comes_before_the_greeting)
{
    open_link("tls = \"implicit\"");
    struct peer *p = next_client(0);
    peer_start_tls(p, behind.server_tls, true);
    UNTIL(peer_read(p) == 0 && SSL_is_init_finished(p->ssl));
    ck_assert_uint_eq(heard.ready, 0);
    peer_say(p, "+OK POP3 behind\r\n");
    UNTIL(heard.ready == 1);
    hears_nothing(p);
}
END_TEST

/* ---- logging in ---- */

START_TEST(name_and_password_go_one_after_the_other)
{
    struct peer *p = open_ready();
    log_in();
    hears(p, "USER ana\r\n");
    hears_nothing(p);
    peer_say(p, "+OK\r\n");
    hears(p, "PASS secret\r\n");
    ck_assert_uint_eq(heard.logins, 0);
    peer_say(p, "+OK 3 messages\r\n");
    UNTIL(heard.logins == 1);
    ck_assert(heard.is_ok);
    ck_assert_str_eq(heard.text, "3 messages");
}
END_TEST

START_TEST(a_refused_login_is_told_and_can_be_tried_again)
{
    struct peer *p = open_ready();
    log_in();
    hears(p, "USER ana\r\n");
    if (_i == 1) {
        peer_say(p, "+OK\r\n");
        hears(p, "PASS secret\r\n");
    }
    peer_say(p, "-ERR [AUTH] no\r\n");
    UNTIL(heard.logins == 1);
    ck_assert(!heard.is_ok);
    pop3_link_login(heard.link, span_of("rui"), span_of("other"));
    hears(p, "USER rui\r\n");
    peer_say(p, "+OK\r\n");
    hears(p, "PASS other\r\n");
    peer_say(p, "+OK\r\n");
    UNTIL(heard.logins == 2);
    ck_assert(heard.is_ok);
}
END_TEST

START_TEST(utf8_goes_before_the_login_once)
{
    struct peer *p = open_ready();
    pop3_link_use_utf8(heard.link);
    log_in();
    hears(p, "UTF8\r\n");
    hears_nothing(p);
    if (_i == 1) {
        peer_say(p, "-ERR no\r\n");
        is_lost(LOSS_IDENTITY, "UTF8: -ERR no");
        return;
    }
    peer_say(p, "+OK\r\n");
    hears(p, "USER ana\r\n");
    peer_say(p, "-ERR no\r\n");
    UNTIL(heard.logins == 1);
    log_in();
    hears(p, "USER ana\r\n");
}
END_TEST

/* "c2VjcmV0" is "secret" in base 64. */
START_TEST(a_password_that_the_reply_repeats_is_masked)
{
    struct peer *p = open_ready();
    log_in();
    hears(p, "USER ana\r\n");
    peer_say(p, "+OK\r\n");
    hears(p, "PASS secret\r\n");
    peer_say(p, "-ERR \"PASS secret\" c2VjcmV0?\r\n");
    UNTIL(heard.logins == 1);
    ck_assert_str_eq(heard.text, "\"PASS ***\" ***?");
}
END_TEST

START_TEST(what_stands_behind_the_login_comes_to_who_takes_the_connection)
{
    struct peer *p = open_ready();
    heard.takes = true;
    log_in();
    hears(p, "USER ana\r\n");
    peer_say(p, "+OK\r\n");
    hears(p, "PASS secret\r\n");
    peer_say(p, "+OK welcome\r\n+OK and more\r\n");
    UNTIL(heard.behind[0] != '\0');
    ck_assert_str_eq(heard.behind, "+OK and more\r\n");
    peer_say(p, "+OK later\r\n");
    UNTIL(strcmp(heard.behind, "+OK and more\r\n+OK later\r\n") == 0);
    ck_assert_uint_eq(heard.lost, 0);
}
END_TEST

START_TEST(a_login_takes_no_longer_than_command_timeout)
{
    struct peer *p = open_ready();
    upstream()->command_timeout_ms = 50;
    log_in();
    hears(p, "USER ana\r\n");
    if (_i == 1) {
        peer_say(p, "+OK\r\n");
        hears(p, "PASS secret\r\n");
    }
    is_lost(LOSS_NETWORK, "in time");
}
END_TEST

START_TEST(a_ready_link_has_no_time_out)
{
    struct peer *p = open_ready();
    upstream()->command_timeout_ms = 20;
    turns_for(50);
    hears_nothing(p);
    ck_assert_uint_eq(heard.lost, 0);
}
END_TEST

START_TEST(what_is_too_long_to_be_sent_is_refused)
{
    static char much[5000];
    struct peer *p = open_ready();
    memset(much, 'x', sizeof much);
    const struct span big = span_make(much, sizeof much), small = span_of("ana");
    pop3_link_login(heard.link, _i == 0 ? big : small, _i == 0 ? small : big);
    UNTIL(peer_read(p) > 0);
    ck_assert_uint_le(p->size, 255); /* RFC 2449 section 4 */
    ck_assert_int_eq(p->in[p->size - 1], '\n');
    p->size = 0;
    peer_say(p, "+OK\r\n"); /* should the server be in the mood */
    UNTIL(peer_read(p) > 0);
    ck_assert_uint_le(p->size, 255);
    ck_assert_int_eq(p->in[p->size - 1], '\n');
    peer_say(p, "-ERR no\r\n");
    UNTIL(heard.logins == 1);
    ck_assert(!heard.is_ok);
}
END_TEST

/* ---- whose connection it is ---- */

static struct peer *open_telling(const char *greeting)
{
    static const struct pop3_xclient who = {.address = "192.0.2.7",
                                            .port = 5,
                                            .destination = "192.0.2.1",
                                            .destination_port = 995,
                                            .session = "s",
                                            .forward = ""};
    open_link("tls = \"none\"");
    struct peer *p = next_client(0);
    peer_say(p, greeting);
    UNTIL(heard.ready == 1);
    if (pop3_link_takes_xclient(heard.link)) {
        pop3_link_tell(heard.link, &who);
        hears(p, "XCLIENT ADDR=192.0.2.7 PORT=5 ");
        UNTIL(peer_read(p) > 0 && p->in[p->size - 1] == '\n');
        p->size = 0;
    }
    return p;
}

START_TEST(who_was_told_whose_it_is_is_ready_again)
{
    struct peer *p = open_telling("+OK [XCLIENT] ready\r\n");
    ck_assert_uint_eq(heard.ready, 1);
    peer_say(p, "+OK Updated\r\n");
    UNTIL(heard.ready == 2);
    log_in();
    hears(p, "USER ana\r\n");
}
END_TEST

START_TEST(who_does_not_take_it_is_lost_for_that)
{
    struct peer *p = open_telling("+OK [XCLIENT] ready\r\n");
    peer_say(p, "-ERR Invalid parameters\r\n");
    is_lost(LOSS_IDENTITY, "Invalid parameters");
}
END_TEST

START_TEST(who_does_not_offer_it_is_told_nothing)
{
    struct peer *p = open_telling("+OK ready\r\n");
    ck_assert(!pop3_link_takes_xclient(heard.link));
    hears_nothing(p);
}
END_TEST

/* ---- CAPA ---- */

START_TEST(capa_is_answered_by_lines_up_to_a_dot)
{
    struct peer *p = open_ready();
    pop3_link_capa(heard.link);
    hears(p, "CAPA\r\n");
    peer_say(p, "+OK here it is\r\nUSER\r\nTOP\r\n");
    turns_for(5);
    ck_assert_uint_eq(heard.capa, 0);
    peer_say(p, ".\r\n");
    UNTIL(heard.capa == 1);
    ck_assert_uint_eq(pop3_link_capabilities(heard.link)->offered, POP3_TOP);
}
END_TEST

START_TEST(a_server_that_does_not_know_capa_has_answered)
{
    struct peer *p = open_ready();
    pop3_link_capa(heard.link);
    hears(p, "CAPA\r\n");
    peer_say(p, "-ERR what?\r\n");
    UNTIL(heard.capa == 1);
    ck_assert_uint_eq(pop3_link_capabilities(heard.link)->offered, POP3_CAPABILITIES_OLD);
    log_in();
    hears(p, "USER ana\r\n");
}
END_TEST

START_TEST(a_capa_without_an_end_loses_the_link)
{
    struct peer *p = open_ready();
    pop3_link_capa(heard.link);
    hears(p, "CAPA\r\n");
    for (int n = 0; n < 200 && heard.lost == 0; n++) {
        (void)peer_send_some(p, span_of("MORE\r\n"));
        turns_for(1);
    }
    is_lost(LOSS_NETWORK, "does not end");
}
END_TEST

/* ---- the end ---- */

START_TEST(quit_is_said_where_nothing_is_under_way)
{
    struct peer *p = open_ready();
    pop3_link_quit(&heard.link);
    ck_assert_ptr_null(heard.link);
    hears(p, "QUIT\r\n");
    sees_the_end(p);
}
END_TEST

START_TEST(quit_is_not_said_within_a_login)
{
    struct peer *p = open_ready();
    log_in();
    hears(p, "USER ana\r\n");
    pop3_link_quit(&heard.link);
    sees_the_end(p);
}
END_TEST

START_TEST(it_can_be_closed_within_each_callback)
{
    heard.closes = _i;
    open_link("tls = \"none\"");
    struct peer *p = next_client(0);
    peer_say(p, "+OK\r\n");
    if (_i == AT_CAPA || _i == AT_LOGIN)
        UNTIL(heard.ready == 1);
    if (_i == AT_CAPA) {
        pop3_link_capa(heard.link);
        peer_say(p, "+OK\r\n.\r\n+OK more\r\n");
    } else if (_i == AT_LOGIN) {
        log_in();
        hears(p, "USER ana\r\n");
        peer_say(p, "-ERR no\r\n-ERR more\r\n");
    } else if (_i == AT_LOST) {
        peer_close(p);
    }
    UNTIL(heard.link == NULL);
    turns_for(2);
}
END_TEST

static void open_and_close(void)
{
    struct error why = {.text = ""};
    const struct smtp_link_options o = options();
    struct pop3_link *l = pop3_link_open(&o, on_event, &heard, &why);
    bool is_null = l == NULL;
    pop3_link_close(&l);
    if (is_null != failing_has_failed() || is_null != (why.text[0] != '\0'))
        ck_abort_msg("null, and told, without memory alone");
}

START_TEST(without_memory_there_is_no_link)
{
    behind_begin(1, "protocol = \"pop3\"");
    WITH_EACH_ALLOCATION_FAILING(open_and_close());
}
END_TEST

SUITE(pop3_link)
{
    behind_use(tests);
    tcase_add_checked_fixture(tests, NULL, end);
    TEST(a_greeted_link_is_ready);
    LOOP_TEST(a_greeting_that_is_none_is_told_with_its_reason, greetings);
    tcase_add_loop_test(tests, a_server_that_is_not_there_or_hangs_up_is_told, 0, 2);
    TEST(a_greeting_takes_no_longer_than_command_timeout);
    TEST(required_tls_comes_before_the_login);
    tcase_add_loop_test(tests, tls_that_is_refused_or_fails_loses_the_link, 0, 4);
    tcase_add_loop_test(tests, what_is_sent_behind_the_reply_to_stls_is_thrown_away, 0, 3);
    TEST(implicit_tls_comes_before_the_greeting);
    TEST(name_and_password_go_one_after_the_other);
    tcase_add_loop_test(tests, a_refused_login_is_told_and_can_be_tried_again, 0, 2);
    tcase_add_loop_test(tests, utf8_goes_before_the_login_once, 0, 2);
    TEST(a_password_that_the_reply_repeats_is_masked);
    TEST(what_stands_behind_the_login_comes_to_who_takes_the_connection);
    tcase_add_loop_test(tests, a_login_takes_no_longer_than_command_timeout, 0, 2);
    TEST(a_ready_link_has_no_time_out);
    tcase_add_loop_test(tests, what_is_too_long_to_be_sent_is_refused, 0, 2);
    TEST(who_was_told_whose_it_is_is_ready_again);
    TEST(who_does_not_take_it_is_lost_for_that);
    TEST(who_does_not_offer_it_is_told_nothing);
    TEST(capa_is_answered_by_lines_up_to_a_dot);
    TEST(a_server_that_does_not_know_capa_has_answered);
    TEST(a_capa_without_an_end_loses_the_link);
    TEST(quit_is_said_where_nothing_is_under_way);
    TEST(quit_is_not_said_within_a_login);
    tcase_add_loop_test(tests, it_can_be_closed_within_each_callback, AT_READY, AT_LOST + 1);
    TEST(without_memory_there_is_no_link);
}
