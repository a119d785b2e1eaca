#include "upstream/pool.h"

#include "behind.h"

#include <sys/eventfd.h>

enum { TAKERS = 12 };

static struct servers *servers;
static struct pool *pool;

/* Somebody who wants a connection, and what he got. */
static struct taker {
    struct pool_request request;
    unsigned done, lost, replies;
    struct smtp_link *link;
    enum pool_failure failure;
    int code;
    bool gives_back_at_once;
} takers[TAKERS];

static const struct xclient_values values = {.value = {[XCLIENT_ADDR] = "192.0.2.7"}};

#define XCLIENT_OFFER "250 XCLIENT ADDR\r\n"
#define XCLIENT       "XCLIENT ADDR=192.0.2.7\r\n"
#define PIPELINING    "250 PIPELINING\r\n"

static void on_link(void *owner, struct smtp_link *l, const struct smtp_link_event *event)
{
    struct taker *t = owner;
    ck_assert_ptr_eq(l, t->link);
    if (event->kind == LINK_REPLY) {
        t->replies++;
        t->code = event->reply->code;
    } else if (event->kind == LINK_LOST) {
        t->lost++;
        pool_discard(pool, &t->link);
    }
}

static void on_done(void *owner, struct smtp_link *link, enum pool_failure failure)
{
    struct taker *t = owner;
    ck_assert_uint_eq(t->done, 0); /* once alone */
    t->done++;
    t->link = link;
    t->failure = failure;
    if (link != NULL)
        smtp_link_set_owner(link, on_link, t);
    if (t->gives_back_at_once)
        pool_give_back(pool, &t->link);
}

static void open_pool(void)
{
    servers = servers_create(&behind.context);
    ck_assert_ptr_nonnull(servers);
    pool = pool_create(servers, NULL);
    ck_assert_ptr_nonnull(pool);
}

static void begin(size_t count, const char *settings)
{
    char all[500];
    (void)snprintf(all, sizeof all, "tls = \"none\" %s", settings); /* fits */
    behind_begin(count, all);
    behind.context.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    open_pool();
}

static void end(void)
{
    for (size_t i = 0; i < TAKERS; i++) {
        if (pool != NULL && takers[i].request.done != NULL)
            pool_cancel(pool, &takers[i].request);
        if (pool != NULL)
            pool_discard(pool, &takers[i].link);
    }
    turns_for(2); /* what is being reset or made ready has come to its end, or to rest */
    pool_destroy(&pool);
    servers_destroy(&servers);
    ck_assert_int_eq(close(behind.context.bell), 0);
    behind_end();
}

static struct taker *take_as(size_t i, const struct xclient_values *told, bool wants_new)
{
    struct taker *t = &takers[i];
    ck_assert_ptr_null(t->link);
    *t = (struct taker){.request = {.upstream = upstream(),
                                    .values = told,
                                    .wants_new = wants_new,
                                    .done = on_done,
                                    .owner = t},
                        .gives_back_at_once = t->gives_back_at_once};
    pool_take(pool, &t->request);
    return t;
}

static struct taker *take(size_t i)
{
    return take_as(i, NULL, false);
}

static void has_link(const struct taker *t)
{
    UNTIL(t->done == 1);
    ck_assert_ptr_nonnull(t->link);
}

static void has_failed(const struct taker *t, enum pool_failure failure)
{
    UNTIL(t->done == 1);
    ck_assert_ptr_null(t->link);
    ck_assert_uint_eq(t->failure, failure);
}

/* Takes a connection that has to be made. */
static struct peer *take_new(size_t i, size_t server)
{
    struct taker *t = take(i);
    struct peer *p = greets(server, PIPELINING);
    has_link(t);
    return p;
}

static void exchange(struct taker *t, struct peer *p, enum smtp_command c, const char *line,
                     const char *reply)
{
    unsigned before = t->replies;
    ck_assert_int_eq(smtp_link_command(t->link, c, span_of(line)), 0);
    smtp_link_flush(t->link);
    hears(p, line);
    peer_say(p, reply);
    UNTIL(t->replies > before);
}

static void give_back(struct taker *t)
{
    pool_give_back(pool, &t->link);
    ck_assert_ptr_null(t->link);
}

/* ---- sharing ---- */

START_TEST(a_connection_that_is_given_back_goes_to_the_next)
{
    begin(1, "");
    struct peer *p = take_new(0, 0);
    ck_assert(!pool_was_kept(&takers[0].request));
    ck_assert_str_eq(pool_server_name(takers[0].link), "smtp/s0");
    give_back(&takers[0]);
    hears_nothing(p);
    ck_assert_uint_eq(connections(0), 1);
    struct taker *t = take(1);
    ck_assert_uint_eq(t->done, 1); /* at once */
    ck_assert(pool_was_kept(&t->request));
    exchange(t, p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
    nobody_comes(0);
}
END_TEST

START_TEST(it_can_be_given_back_and_taken_again_within_done)
{
    begin(1, "");
    takers[0].gives_back_at_once = true;
    struct taker *t = take(0);
    (void)greets(0, PIPELINING);
    UNTIL(t->done == 1);
    for (int n = 0; n < 3; n++) {
        t = take(0);
        ck_assert_uint_eq(t->done, 1);
    }
    nobody_comes(0);
}
END_TEST

START_TEST(who_wants_a_new_one_gets_a_new_one)
{
    begin(1, "");
    (void)take_new(0, 0);
    give_back(&takers[0]);
    struct taker *t = take_as(1, NULL, true);
    (void)greets(0, PIPELINING);
    has_link(t);
    ck_assert(!pool_was_kept(&t->request));
    ck_assert_uint_eq(connections(0), 2);
}
END_TEST

START_TEST(a_transaction_is_reset_before_it_goes_to_the_next)
{
    begin(1, "");
    struct peer *p = take_new(0, 0);
    exchange(&takers[0], p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
    give_back(&takers[0]);
    hears(p, "RSET\r\n");
    peer_say(p, "250 ok\r\n");
    turns_for(2);
    struct taker *t = take(1);
    ck_assert_uint_eq(t->done, 1);
    exchange(t, p, SMTP_COMMAND_MAIL, "MAIL FROM:<x@example.com>\r\n", "250 ok\r\n");
    nobody_comes(0);
}
END_TEST

START_TEST(while_it_is_reset_the_next_one_gets_another)
{
    begin(1, "");
    struct peer *p = take_new(0, 0);
    exchange(&takers[0], p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
    give_back(&takers[0]);
    (void)take_new(1, 0);
    ck_assert_uint_eq(connections(0), 2);
    hears(p, "RSET\r\n");
    peer_say(p, "250 ok\r\n");
}
END_TEST

START_TEST(replies_that_are_still_due_are_awaited_before_it_goes_to_the_next)
{
    begin(1, "");
    struct peer *p = take_new(0, 0);
    ck_assert_int_eq(smtp_link_command(takers[0].link, SMTP_COMMAND_MAIL, span_of("MAIL\r\n")), 0);
    ck_assert_int_eq(smtp_link_command(takers[0].link, SMTP_COMMAND_RCPT, span_of("RCPT\r\n")), 0);
    smtp_link_flush(takers[0].link);
    give_back(&takers[0]);
    hears(p, "MAIL\r\nRCPT\r\nRSET\r\n");
    peer_say(p, "250 ok\r\n550 no\r\n250 ok\r\n");
    turns_for(2);
    struct taker *t = take(1);
    ck_assert_uint_eq(t->done, 1);
    exchange(t, p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
    ck_assert_uint_eq(t->replies, 1); /* none of the one before */
}
END_TEST

START_TEST(a_reset_that_is_refused_ends_it)
{
    static const char *const replies[] = {"500 what?\r\n", "250 ok\r\n250 and more\r\n",
                                          "421 bye\r\n"};
    begin(1, "");
    struct peer *p = take_new(0, 0);
    exchange(&takers[0], p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
    give_back(&takers[0]);
    hears(p, "RSET\r\n");
    peer_say(p, replies[_i]);
    UNTIL(peer_has_ended(p));
    UNTIL(connections(0) == 0);
    (void)take_new(1, 0);
}
END_TEST

START_TEST(too_many_errors_end_it_with_quit)
{
    begin(1, "");
    struct peer *p = take_new(0, 0);
    for (int n = 0; n < 6; n++)
        exchange(&takers[0], p, SMTP_COMMAND_RCPT, "RCPT TO:<x@example.com>\r\n", "550 no\r\n");
    give_back(&takers[0]);
    hears(p, "QUIT\r\n");
    sees_the_end(p);
    ck_assert_uint_eq(connections(0), 0);
}
END_TEST

START_TEST(after_a_hundred_messages_it_ends_with_quit)
{
    begin(1, "");
    struct peer *p = take_new(0, 0);
    for (int n = 0; n < 100; n++) {
        const struct span dot = span_of(".\r\n");
        exchange(&takers[0], p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
        exchange(&takers[0], p, SMTP_COMMAND_DATA, "DATA\r\n", "354 go\r\n");
        unsigned before = takers[0].replies;
        smtp_link_text(takers[0].link, &dot, 1, TEXT_DOT);
        hears(p, ".\r\n");
        peer_say(p, "250 queued\r\n");
        UNTIL(takers[0].replies > before);
    }
    give_back(&takers[0]);
    hears(p, "QUIT\r\n");
    sees_the_end(p);
}
END_TEST

START_TEST(in_the_middle_of_a_text_it_ends_without_a_word)
{
    const struct span text = span_of("half of\r\n");
    begin(1, "");
    struct peer *p = take_new(0, 0);
    exchange(&takers[0], p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
    exchange(&takers[0], p, SMTP_COMMAND_DATA, "DATA\r\n", "354 go\r\n");
    smtp_link_text(takers[0].link, &text, 1, TEXT_GOES_ON);
    if (_i == 0)
        give_back(&takers[0]);
    else
        pool_discard(pool, &takers[0].link);
    hears(p, "half of\r\n");
    sees_the_end(p);
    ck_assert_uint_eq(connections(0), 0);
}
END_TEST

START_TEST(one_that_speaks_out_of_turn_while_it_is_idle_goes_to_nobody)
{
    begin(1, "");
    struct peer *p = take_new(0, 0);
    give_back(&takers[0]);
    if (_i == 0)
        peer_say(p, "421 4.4.2 idle\r\n");
    else
        peer_close(p);
    UNTIL(connections(0) == 0);
    (void)take_new(1, 0);
    ck_assert_uint_eq(state_of(0), SERVER_UNKNOWN); /* that says nothing of the server */
}
END_TEST

START_TEST(one_that_nobody_takes_ends_after_idle_timeout)
{
    begin(1, "");
    struct peer *p = take_new(0, 0);
    upstream()->idle_timeout_ms = 50;
    give_back(&takers[0]);
    sees_the_end(p);
    ck_assert_uint_eq(connections(0), 0);
}
END_TEST

START_TEST(the_one_used_last_is_taken_first)
{
    begin(1, "");
    (void)take_new(0, 0);
    struct peer *second = take_new(1, 0);
    give_back(&takers[0]);
    give_back(&takers[1]);
    struct taker *t = take(2);
    exchange(t, second, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
}
END_TEST

/* ---- told whose they are ---- */

START_TEST(an_identity_is_told_before_the_connection_is_handed_over)
{
    begin(1, "max_connections = 2");
    struct taker *t = take_as(0, &values, false);
    struct peer *p = greets(0, XCLIENT_OFFER);
    hears(p, XCLIENT);
    ck_assert_uint_eq(t->done, 0);
    peer_say(p, "220 behind\r\n");
    hears(p, EHLO);
    peer_say(p, "250 behind\r\n");
    has_link(t);
    ck_assert(smtp_link_is_told(t->link));
    give_back(t);
    hears(p, "QUIT\r\n");
    sees_the_end(p); /* it serves nobody else */
    ck_assert_uint_eq(connections(0), 0);
}
END_TEST

/* Tells the server's side of an identity. */
static void is_told(struct peer *p)
{
    hears(p, XCLIENT);
    peer_say(p, "220 behind\r\n");
    hears(p, EHLO);
    peer_say(p, "250 behind\r\n");
}

START_TEST(two_fresh_ones_are_kept_ready)
{
    begin(1, "max_connections = 20");
    struct taker *t = take_as(0, &values, false);
    struct peer *first = greets(0, XCLIENT_OFFER);
    is_told(first);
    has_link(t);
    struct peer *fresh[2] = {greets(0, XCLIENT_OFFER), greets(0, XCLIENT_OFFER)};
    nobody_comes(0);
    ck_assert_uint_eq(connections(0), 3);
    hears_nothing(fresh[0]);
    hears_nothing(fresh[1]);
    t = take_as(1, &values, false);
    UNTIL(peer_read(fresh[0]) > 0 || peer_read(fresh[1]) > 0); /* no connect, no EHLO before it */
    is_told(fresh[0]->size > 0 ? fresh[0] : fresh[1]);
    has_link(t);
    ck_assert(pool_was_kept(&t->request));
    (void)greets(0, XCLIENT_OFFER); /* in its place */
    nobody_comes(0);
    ck_assert_uint_eq(connections(0), 4);
}
END_TEST

START_TEST(no_fresh_one_is_made_past_half_of_max_connections)
{
    static const struct {
        const char *settings;
        uint32_t in_all; /* with the one that was asked for */
    } bounds[] = {{"max_connections = 1", 1},
                  {"max_connections = 3", 1},
                  {"max_connections = 4", 2},
                  {"max_connections = 6", 3}};
    begin(1, bounds[_i].settings);
    struct taker *t = take_as(0, &values, false);
    struct peer *first = greets(0, XCLIENT_OFFER);
    is_told(first);
    has_link(t);
    for (uint32_t n = 1; n < bounds[_i].in_all; n++)
        (void)greets(0, XCLIENT_OFFER);
    nobody_comes(0);
    ck_assert_uint_eq(connections(0), bounds[_i].in_all);
}
END_TEST

START_TEST(a_fresh_one_that_has_died_is_replaced_unseen)
{
    begin(1, "max_connections = 20");
    struct taker *t = take_as(0, &values, false);
    is_told(greets(0, XCLIENT_OFFER));
    has_link(t);
    struct peer *fresh[2] = {greets(0, XCLIENT_OFFER), greets(0, XCLIENT_OFFER)};
    turns_for(2);
    t = take_as(1, &values, false);
    peer_close(fresh[0]); /* as the command is on its way */
    peer_close(fresh[1]);
    for (int n = 0; n < 6 && t->done == 0; n++) { /* others are made at the same time */
        struct peer *p = greets(0, XCLIENT_OFFER);
        turns_for(5);
        if (peer_read(p) > 0)
            is_told(p);
        turns_for(5);
    }
    has_link(t);
    ck_assert_uint_ne(state_of(0), SERVER_DOWN);
}
END_TEST

START_TEST(a_fresh_one_that_speaks_or_ends_is_thrown_away)
{
    begin(1, "max_connections = 20");
    struct taker *t = take_as(0, &values, false);
    is_told(greets(0, XCLIENT_OFFER));
    has_link(t);
    struct peer *fresh[2] = {greets(0, XCLIENT_OFFER), greets(0, XCLIENT_OFFER)};
    UNTIL(connections(0) == 3);
    turns_for(2);
    peer_say(fresh[0], "421 4.4.2 idle\r\n");
    peer_close(fresh[1]);
    UNTIL(connections(0) == 1);
    ck_assert_uint_ne(state_of(0), SERVER_DOWN);
}
END_TEST

START_TEST(a_server_that_does_not_offer_xclient_refuses_the_gateway)
{
    begin(1, "max_connections = 2");
    struct taker *t = take_as(0, &values, false);
    (void)greets(0, PIPELINING);
    has_failed(t, POOL_REFUSED);
    ck_assert_uint_eq(lines_with("event=upstream_refuses upstream=smtp/s0"), 1);
    ck_assert_uint_eq(connections(0), 0);
}
END_TEST

START_TEST(where_one_server_refuses_the_identity_the_next_is_tried)
{
    begin(2, "max_connections = 2");
    struct taker *t = take_as(0, &values, false);
    struct peer *p = greets(0, XCLIENT_OFFER);
    hears(p, XCLIENT);
    peer_say(p, "550 5.7.0 not you\r\n");
    p = greets(1, XCLIENT_OFFER);
    is_told(p);
    has_link(t);
    ck_assert_str_eq(pool_server_name(t->link), "smtp/s1");
    ck_assert_uint_eq(connections(0), 0);
    ck_assert_uint_eq(lines_with("event=upstream_refuses upstream=smtp/s0"), 1);
}
END_TEST

/* ---- a client's own login ---- */

static const struct smtp_credentials ana = {
    .user = "ana", .secret = "pw", .mechanisms = SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN};

static struct taker *take_with_login(size_t i)
{
    struct taker *t = &takers[i];
    *t = (struct taker){
        .request = {.upstream = upstream(), .login = &ana, .done = on_done, .owner = t}};
    pool_take(pool, &t->request);
    return t;
}

#define ANAS_LOGIN "AUTH PLAIN AGFuYQBwdw==\r\n"

START_TEST(a_clients_login_is_made_before_the_connection_is_handed_over)
{
    begin(1, "");
    struct taker *t = take_with_login(0);
    struct peer *p = greets(0, "250 AUTH PLAIN\r\n");
    hears(p, ANAS_LOGIN);
    ck_assert_uint_eq(t->done, 0);
    peer_say(p, "235 welcome\r\n");
    has_link(t);
    ck_assert(smtp_link_is_told(t->link)); /* it never serves another */
    pool_give_back(pool, &t->link);
    hears(p, "QUIT\r\n");
}
END_TEST

static const struct {
    const char *reply;
    enum pool_failure failure;
} refusals[] = {
    {"535 5.7.8 no\r\n", POOL_WRONG},    {"525 5.7.13 no\r\n", POOL_WRONG},
    {"530 5.7.0 no\r\n", POOL_REFUSED},  {"534 5.7.9 no\r\n", POOL_REFUSED},
    {"538 5.7.11 no\r\n", POOL_REFUSED}, {"503 5.5.1 no\r\n", POOL_REFUSED},
    {"454 4.7.0 no\r\n", POOL_BUSY},
};

/* One server has answered: the other isn't asked, and neither is out. */
START_TEST(a_refused_login_is_told_by_its_reply)
{
    begin(2, "");
    struct taker *t = take_with_login(0);
    struct peer *p = greets(0, "250 AUTH PLAIN\r\n");
    hears(p, ANAS_LOGIN);
    peer_say(p, refusals[_i].reply);
    has_failed(t, refusals[_i].failure);
    ck_assert_ptr_nonnull(strstr(t->request.why.text, " no"));
    ck_assert_uint_ne(state_of(0), SERVER_DOWN);
    nobody_comes(1);
}
END_TEST

START_TEST(a_server_that_offers_no_login_refuses_the_gateway)
{
    begin(1, "");
    struct taker *t = take_with_login(0);
    (void)greets(0, "250 AUTH CRAM-MD5\r\n");
    has_failed(t, POOL_REFUSED);
    ck_assert_uint_eq(lines_with("AUTH with PLAIN or LOGIN is not offered"), 1);
}
END_TEST

START_TEST(a_server_lost_within_a_login_is_followed_by_the_next)
{
    begin(2, "");
    struct taker *t = take_with_login(0);
    struct peer *p = greets(0, "250 AUTH PLAIN\r\n");
    hears(p, ANAS_LOGIN);
    peer_close(p);
    p = greets(1, "250 AUTH PLAIN\r\n");
    hears(p, ANAS_LOGIN);
    peer_say(p, "235 welcome\r\n");
    has_link(t);
}
END_TEST

START_TEST(an_identity_that_all_refuse_is_told_as_refused)
{
    begin(1, "max_connections = 2");
    struct taker *t = take_as(0, &values, false);
    struct peer *p = greets(0, XCLIENT_OFFER);
    hears(p, XCLIENT);
    peer_say(p, "550 5.7.0 not you\r\n");
    has_failed(t, POOL_REFUSED);
}
END_TEST

/* ---- servers that fail ---- */

static void take_down(size_t server)
{
    ck_assert_int_eq(close(behind.listening[server]), 0);
    behind.listening[server] = -1;
}

START_TEST(the_next_server_is_tried_when_one_fails)
{
    begin(2, "");
    take_down(0);
    struct taker *t = take(0);
    (void)greets(1, PIPELINING);
    has_link(t);
    ck_assert_str_eq(pool_server_name(t->link), "smtp/s1");
    ck_assert_uint_eq(state_of(0), SERVER_DOWN);
    ck_assert_uint_eq(connections(0), 0);
    ck_assert_uint_eq(connections(1), 1);
    ck_assert_uint_eq(lines_with("event=upstream_down upstream=smtp/s0"), 1);
    (void)take_new(1, 1); /* the one that is out is not tried */
    ck_assert_uint_eq(lines_with("event=upstream_down"), 1);
}
END_TEST

START_TEST(a_server_that_breaks_off_before_it_has_greeted_is_out)
{
    begin(2, "");
    struct taker *t = take(0);
    peer_close(next_client(0));
    (void)greets(1, PIPELINING);
    has_link(t);
    ck_assert_uint_eq(state_of(0), SERVER_DOWN);
}
END_TEST

START_TEST(when_all_servers_fail_it_is_told_as_down)
{
    begin(3, "");
    for (size_t i = 0; i < 3; i++)
        take_down(i);
    has_failed(take(0), POOL_DOWN);
    has_failed(take(1), POOL_DOWN); /* at once */
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(connections(i), 0);
}
END_TEST

START_TEST(servers_that_can_not_even_be_tried_are_told_as_down)
{
    struct error why;
    begin(3, "");
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(address_parse("255.255.255.255:25", &upstream()->servers[i].to, &why), 0);
    has_failed(take(0), POOL_DOWN);
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(connections(i), 0);
}
END_TEST

START_TEST(a_server_that_says_421_is_busy_and_the_next_is_tried)
{
    begin(2, "");
    struct taker *t = take(0);
    peer_say(next_client(0), "421 4.3.2 too many connections\r\n");
    (void)greets(1, PIPELINING);
    has_link(t);
    ck_assert_uint_eq(state_of(0), SERVER_UNKNOWN); /* it is not out */
    ck_assert_uint_eq(lines_with("event=upstream_busy upstream=smtp/s0"), 1);
}
END_TEST

START_TEST(when_all_servers_say_421_it_is_told_as_busy)
{
    begin(2, "");
    struct taker *t = take(0);
    peer_say(next_client(0), "421 4.3.2 too many connections\r\n");
    peer_say(next_client(1), "421 4.3.2 too many connections\r\n");
    has_failed(t, POOL_BUSY);
}
END_TEST

START_TEST(a_server_that_has_said_421_gets_no_more_connections_than_it_has)
{
    begin(1, "wait_timeout = \"50ms\"");
    (void)take_new(0, 0);
    (void)take_new(1, 0);
    struct taker *t = take(2);
    peer_say(next_client(0), "421 4.3.2 too many connections\r\n");
    has_failed(t, POOL_BUSY);
    ck_assert_uint_eq(connections(0), 2);
    t = take(3);
    has_failed(t, POOL_BUSY); /* after it has waited */
    nobody_comes(0);
    give_back(&takers[0]);
    t = take(4);
    has_link(t);
}
END_TEST

START_TEST(required_tls_that_fails_is_logged_and_puts_the_server_out)
{
    behind_begin(1, "tls = \"require\"");
    behind.context.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    open_pool();
    struct taker *t = take(0);
    (void)greets(0, PIPELINING);
    has_failed(t, POOL_DOWN);
    ck_assert_uint_eq(lines_with("event=upstream_tls_failed upstream=smtp/s0"), 1);
    ck_assert_uint_eq(state_of(0), SERVER_DOWN);
}
END_TEST

/* ---- waiting ---- */

START_TEST(no_more_connections_are_made_than_max_connections)
{
    begin(1, "max_connections = 3");
    for (size_t i = 0; i < 3; i++)
        (void)take_new(i, 0);
    for (size_t i = 3; i < 8; i++)
        (void)take(i);
    nobody_comes(0);
    ck_assert_uint_eq(connections(0), 3);
    for (size_t i = 3; i < 8; i++) {
        ck_assert_uint_eq(takers[i].done, 0);
        give_back(&takers[i - 3]);
        has_link(&takers[i]); /* in the order in which they came */
    }
    nobody_comes(0);
}
END_TEST

START_TEST(who_waits_gets_a_new_connection_when_one_is_lost)
{
    begin(1, "max_connections = 1");
    struct peer *p = take_new(0, 0);
    struct taker *t = take(1);
    peer_close(p);
    (void)greets(0, PIPELINING);
    has_link(t);
    ck_assert_uint_eq(takers[0].lost, 1);
}
END_TEST

START_TEST(who_waits_too_long_is_told_that_it_is_busy)
{
    begin(1, "max_connections = 1");
    upstream()->wait_timeout_ms = 50;
    (void)take_new(0, 0);
    struct taker *t = take(1);
    int64_t began_ns = clock_monotonic_ns();
    has_failed(t, POOL_BUSY);
    ck_assert_int_ge(clock_monotonic_ns() - began_ns, 45 * CLOCK_MS);
    ck_assert_uint_eq(lines_with("event=upstream_busy upstream=smtp "), 1);
    give_back(&takers[0]);
    t = take(2);
    has_link(t);
}
END_TEST

START_TEST(who_has_waited_has_time_to_connect)
{
    begin(1, "max_connections = 1");
    upstream()->wait_timeout_ms = 60;
    (void)take_new(0, 0);
    struct taker *t = take(1);
    turns_for(30);
    pool_discard(pool, &takers[0].link);
    struct peer *p = next_client(0);
    turns_for(60); /* a server that is slow to greet, within its command_timeout */
    peer_say(p, "220 behind\r\n");
    hears(p, EHLO);
    peer_say(p, "250 behind\r\n");
    has_link(t);
}
END_TEST

START_TEST(who_waits_is_served_by_the_server_that_is_left)
{
    begin(2, "max_connections = 1");
    (void)take_new(0, 0);
    (void)take_new(1, 1);
    struct taker *t = take(2);
    ck_assert_uint_eq(t->done, 0);
    take_down(0);
    pool_discard(pool, &takers[0].link); /* its permit is free, but nobody answers */
    UNTIL(state_of(0) == SERVER_DOWN);
    ck_assert_uint_eq(t->done, 0);
    give_back(&takers[1]);
    has_link(t);
    ck_assert_str_eq(pool_server_name(t->link), "smtp/s1");
}
END_TEST

START_TEST(who_waits_is_told_when_the_last_server_has_gone)
{
    begin(1, "max_connections = 1");
    struct peer *p = take_new(0, 0);
    struct taker *t = take(1);
    take_down(0);
    peer_close(p);
    has_failed(t, POOL_DOWN);
    ck_assert_uint_eq(connections(0), 0);
}
END_TEST

START_TEST(a_fresh_one_wakes_who_waits)
{
    begin(1, "max_connections = 4");
    upstream()->wait_timeout_ms = 5000;
    struct taker *t = take_as(0, &values, false);
    is_told(greets(0, XCLIENT_OFFER));
    has_link(t);
    struct peer *fresh = next_client(0); /* not greeted yet */
    for (size_t i = 1; i < 3; i++) {
        t = take_as(i, &values, false);
        is_told(greets(0, XCLIENT_OFFER));
        has_link(t);
    }
    t = take_as(3, &values, false); /* four are counted: it waits */
    nobody_comes(0);
    peer_say(fresh, "220 behind\r\n");
    hears(fresh, EHLO);
    peer_say(fresh, "250-behind\r\n" XCLIENT_OFFER);
    is_told(fresh);
    has_link(t);
}
END_TEST

/* ---- several processes ---- */

static struct {
    _Atomic unsigned has_taken, is_waiting;
} * said;

/* Another worker, which takes one connection. */
static bool takes_one(void)
{
    behind_begin_in_child(2);
    open_pool();
    memset(takers, 0, sizeof takers);
    struct taker *t = take(0);
    said->is_waiting = 1;
    UNTIL(t->done == 1);
    said->has_taken = 1;
    return t->link != NULL;
}

START_TEST(an_idle_connection_of_one_worker_makes_room_for_another)
{
    begin(1, "max_connections = 1");
    said = mapping_make(sizeof *said);
    struct peer *p = take_new(0, 0);
    give_back(&takers[0]);
    pid_t child = child_start(takes_one); /* rings when it begins to wait */
    hears(p, "QUIT\r\n");
    sees_the_end(p);
    (void)greets(0, PIPELINING);
    UNTIL(said->has_taken == 1);
    child_succeeds(child);
}
END_TEST

START_TEST(a_connection_that_one_worker_gives_back_makes_room_for_another)
{
    begin(1, "max_connections = 1");
    said = mapping_make(sizeof *said);
    struct peer *p = take_new(0, 0);
    pid_t child = child_start(takes_one);
    UNTIL(said->is_waiting == 1);
    turns_for(5);
    ck_assert_uint_eq(said->has_taken, 0);
    give_back(&takers[0]);
    hears(p, "QUIT\r\n");
    (void)greets(0, PIPELINING);
    UNTIL(said->has_taken == 1);
    child_succeeds(child);
}
END_TEST

START_TEST(a_connection_that_one_worker_loses_makes_room_for_another)
{
    begin(1, "max_connections = 1");
    said = mapping_make(sizeof *said);
    struct peer *p = take_new(0, 0);
    pid_t child = child_start(takes_one);
    UNTIL(said->is_waiting == 1);
    peer_close(p);
    (void)greets(0, PIPELINING);
    UNTIL(said->has_taken == 1);
    child_succeeds(child);
}
END_TEST

START_TEST(who_waits_here_comes_before_who_waits_elsewhere)
{
    begin(1, "max_connections = 1");
    said = mapping_make(sizeof *said);
    struct peer *p = take_new(0, 0);
    struct taker *t = take(1);
    pid_t child = child_start(takes_one);
    UNTIL(said->is_waiting == 1);
    turns_for(5);
    give_back(&takers[0]);
    has_link(t); /* without a new connection */
    give_back(t);
    hears(p, "QUIT\r\n");
    (void)greets(0, PIPELINING);
    UNTIL(said->has_taken == 1);
    child_succeeds(child);
}
END_TEST

/* ---- giving up ---- */

enum stage { WAITING, CONNECTING, GREETED, STARTING_TLS, SHAKING_HANDS, TELLING, DONE, STAGES };

/* Brings a request as far as that. */
static struct taker *bring_to(enum stage stage)
{
    bool has_tls = stage == STARTING_TLS || stage == SHAKING_HANDS;
    behind_begin(1, has_tls ? "max_connections = 1 tls = \"require\""
                            : "max_connections = 1 tls = \"none\"");
    behind.context.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    open_pool();
    if (stage == WAITING) {
        (void)take_new(0, 0);
        return take(1);
    }
    struct taker *t = take_as(1, stage == TELLING ? &values : NULL, false);
    if (stage == CONNECTING)
        return t;
    struct peer *p = next_client(0);
    peer_say(p, "220 behind\r\n");
    hears(p, EHLO);
    if (stage == GREETED)
        return t;
    peer_say(p, has_tls ? "250-behind\r\n250 STARTTLS\r\n" : "250-behind\r\n" XCLIENT_OFFER);
    if (stage == TELLING)
        hears(p, XCLIENT);
    if (has_tls)
        hears(p, "STARTTLS\r\n");
    if (stage == SHAKING_HANDS) {
        peer_say(p, "220 go\r\n");
        UNTIL(peer_read(p) > 0);
        p->size = 0; /* the ClientHello */
    }
    if (stage == DONE)
        has_link(t);
    return t;
}

START_TEST(a_request_can_be_given_up_at_each_stage)
{
    struct taker *t = bring_to((enum stage)_i);
    unsigned done = t->done;
    pool_cancel(pool, &t->request);
    pool_cancel(pool, &t->request);
    if (_i == DONE) {
        ck_assert_ptr_nonnull(t->link); /* it is the owner's */
        ck_assert_uint_eq(connections(0), 1);
        return;
    }
    ck_assert_uint_eq(connections(0), _i == WAITING ? 1 : 0);
    if (_i > CONNECTING)
        sees_the_end(&behind.peers[behind.peer_count - 1]);
    if (_i == WAITING)
        give_back(&takers[0]);
    turns_for(5);
    ck_assert_uint_eq(t->done, done);
}
END_TEST

START_TEST(who_gives_up_makes_room_for_who_waits)
{
    begin(1, "max_connections = 1");
    struct taker *first = take(0), *second = take(1);
    struct peer *p = next_client(0);
    pool_cancel(pool, &first->request);
    sees_the_end(p);
    (void)greets(0, PIPELINING);
    has_link(second);
}
END_TEST

/* ---- the end ---- */

START_TEST(a_pool_that_ends_says_quit_on_what_is_idle)
{
    begin(1, "");
    struct peer *p = take_new(0, 0);
    give_back(&takers[0]);
    pool_destroy(&pool);
    ck_assert_ptr_null(pool);
    hears(p, "QUIT\r\n");
    sees_the_end(p);
}
END_TEST

START_TEST(a_pool_that_ends_leaves_no_link_behind_that_is_being_reset)
{
    begin(1, "");
    struct peer *p = take_new(0, 0);
    exchange(&takers[0], p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
    give_back(&takers[0]);
    hears(p, "RSET\r\n");
    pool_destroy(&pool);
    peer_say(p, "250 ok\r\n");
    UNTIL(peer_has_ended(p));
}
END_TEST

START_TEST(a_pool_that_ends_leaves_no_link_behind_that_is_being_made_ready)
{
    begin(1, "max_connections = 20");
    struct taker *t = take_as(0, &values, false);
    is_told(greets(0, XCLIENT_OFFER));
    has_link(t);
    struct peer *p = next_client(0);
    pool_discard(pool, &t->link);
    pool_destroy(&pool);
    (void)peer_send_some(p, span_of("220 behind\r\n"));
    UNTIL(peer_has_ended(p));
}
END_TEST

START_TEST(connections_that_are_made_are_counted)
{
    begin(1, "");
    (void)take_new(0, 0);
    give_back(&takers[0]);
    (void)take(1);
    (void)take_new(2, 0);
    counters_flush(behind.context.counters);
    ck_assert_int_eq(
        counter_read(behind.table, COUNTER_upstream_connections, pool_server_slot(takers[2].link)),
        2);
}
END_TEST

static void create_and_destroy(void)
{
    struct pool *p = pool_create(servers, NULL);
    bool is_null = p == NULL;
    pool_destroy(&p);
    if (is_null != failing_has_failed())
        ck_abort_msg("null without memory alone");
}

/* ---- the gateway's own login ---- */

#define AUTH "AUTH PLAIN AGd3AHB3\r\n"

static void begin_with_login(size_t count)
{
    char settings[400];
    folder_write("secret", "pw");
    ck_assert_int_eq(chmod(folder_path("secret"), 0600), 0);
    (void)snprintf(settings, sizeof settings,
                   "identity = \"auth\" username = \"gw\" password_file = \"%s\"",
                   folder_path("secret")); /* fits */
    begin(count, settings);
}

static struct peer *hears_login(size_t server)
{
    struct peer *p = greets(server, "250 AUTH PLAIN\r\n");
    hears(p, AUTH);
    return p;
}

START_TEST(until_a_login_is_proven_one_connection_tries_and_the_others_wait)
{
    begin_with_login(1);
    for (size_t i = 0; i < 3; i++)
        (void)take(i);
    struct peer *p = hears_login(0);
    nobody_comes(0);
    peer_say(p, "235 welcome\r\n");
    has_link(&takers[0]);
    for (size_t i = 1; i < 3; i++)
        peer_say(hears_login(0), "235 welcome\r\n");
    has_link(&takers[1]);
    has_link(&takers[2]);
}
END_TEST

START_TEST(a_login_that_is_refused_is_told_all_who_wait_and_not_repeated)
{
    begin_with_login(1);
    for (size_t i = 0; i < 3; i++)
        (void)take(i);
    peer_say(hears_login(0), "535 5.7.8 no\r\n");
    for (size_t i = 0; i < 3; i++)
        has_failed(&takers[i], POOL_REFUSED);
    (void)take(3);
    has_failed(&takers[3], POOL_REFUSED);
    nobody_comes(0);
    ck_assert_uint_eq(lines_with("event=upstream_refuses"), 1);
    ck_assert_uint_eq(state_of(0), SERVER_UNKNOWN); /* it is not out */
    ck_assert_uint_eq(connections(0), 0);
}
END_TEST

START_TEST(a_server_that_refuses_the_login_is_passed_over)
{
    begin_with_login(2);
    (void)take(0);
    peer_say(hears_login(0), "535 5.7.8 no\r\n");
    peer_say(hears_login(1), "235 welcome\r\n");
    has_link(&takers[0]);
    (void)take(1);
    peer_say(hears_login(1), "235 welcome\r\n");
    has_link(&takers[1]);
    nobody_comes(0);
}
END_TEST

START_TEST(who_gives_up_a_first_login_lets_the_next_one_try)
{
    begin_with_login(1);
    (void)take(0);
    (void)take(1);
    (void)hears_login(0);
    pool_cancel(pool, &takers[0].request);
    peer_say(hears_login(0), "235 welcome\r\n");
    has_link(&takers[1]);
}
END_TEST

/* ---- a header of the client's own ---- */

START_TEST(a_connection_with_a_header_is_made_for_it_and_goes_to_nobody_else)
{
    begin(1, "identity = \"proxy\"");
    struct taker *t = &takers[0];
    *t = (struct taker){
        .request = {
            .upstream = upstream(), .header = span_of("HEADER"), .done = on_done, .owner = t}};
    pool_take(pool, &t->request);
    struct peer *p = next_client(0);
    hears(p, "HEADER");
    peer_say(p, "220 behind\r\n");
    hears(p, EHLO);
    peer_say(p, "250 behind\r\n");
    has_link(t);
    ck_assert(!pool_was_kept(&t->request));
    nobody_comes(0); /* none is kept ready */
    give_back(t);
    hears(p, "QUIT\r\n");
    UNTIL(connections(0) == 0);
}
END_TEST

START_TEST(without_memory_there_is_no_pool)
{
    begin(2, "");
    pool_destroy(&pool);
    WITH_EACH_ALLOCATION_FAILING(create_and_destroy());
}
END_TEST

SUITE(pool)
{
    behind_use(tests);
    tcase_add_checked_fixture(tests, NULL, end);
    TEST(a_connection_with_a_header_is_made_for_it_and_goes_to_nobody_else);
    TEST(until_a_login_is_proven_one_connection_tries_and_the_others_wait);
    TEST(a_login_that_is_refused_is_told_all_who_wait_and_not_repeated);
    TEST(a_server_that_refuses_the_login_is_passed_over);
    TEST(who_gives_up_a_first_login_lets_the_next_one_try);
    TEST(a_connection_that_is_given_back_goes_to_the_next);
    TEST(it_can_be_given_back_and_taken_again_within_done);
    TEST(who_wants_a_new_one_gets_a_new_one);
    TEST(a_transaction_is_reset_before_it_goes_to_the_next);
    TEST(while_it_is_reset_the_next_one_gets_another);
    TEST(replies_that_are_still_due_are_awaited_before_it_goes_to_the_next);
    tcase_add_loop_test(tests, a_reset_that_is_refused_ends_it, 0, 3);
    TEST(too_many_errors_end_it_with_quit);
    TEST(after_a_hundred_messages_it_ends_with_quit);
    tcase_add_loop_test(tests, in_the_middle_of_a_text_it_ends_without_a_word, 0, 2);
    tcase_add_loop_test(tests, one_that_speaks_out_of_turn_while_it_is_idle_goes_to_nobody, 0, 2);
    TEST(one_that_nobody_takes_ends_after_idle_timeout);
    TEST(the_one_used_last_is_taken_first);
    TEST(an_identity_is_told_before_the_connection_is_handed_over);
    TEST(two_fresh_ones_are_kept_ready);
    tcase_add_loop_test(tests, no_fresh_one_is_made_past_half_of_max_connections, 0, 4);
    TEST(a_fresh_one_that_has_died_is_replaced_unseen);
    TEST(a_fresh_one_that_speaks_or_ends_is_thrown_away);
    TEST(a_server_that_does_not_offer_xclient_refuses_the_gateway);
    TEST(where_one_server_refuses_the_identity_the_next_is_tried);
    TEST(a_clients_login_is_made_before_the_connection_is_handed_over);
    LOOP_TEST(a_refused_login_is_told_by_its_reply, refusals);
    TEST(a_server_that_offers_no_login_refuses_the_gateway);
    TEST(a_server_lost_within_a_login_is_followed_by_the_next);
    TEST(an_identity_that_all_refuse_is_told_as_refused);
    TEST(the_next_server_is_tried_when_one_fails);
    TEST(a_server_that_breaks_off_before_it_has_greeted_is_out);
    TEST(when_all_servers_fail_it_is_told_as_down);
    TEST(servers_that_can_not_even_be_tried_are_told_as_down);
    TEST(a_server_that_says_421_is_busy_and_the_next_is_tried);
    TEST(when_all_servers_say_421_it_is_told_as_busy);
    TEST(a_server_that_has_said_421_gets_no_more_connections_than_it_has);
    TEST(required_tls_that_fails_is_logged_and_puts_the_server_out);
    TEST(no_more_connections_are_made_than_max_connections);
    TEST(who_waits_gets_a_new_connection_when_one_is_lost);
    TEST(who_waits_too_long_is_told_that_it_is_busy);
    TEST(who_has_waited_has_time_to_connect);
    TEST(who_waits_is_served_by_the_server_that_is_left);
    TEST(who_waits_is_told_when_the_last_server_has_gone);
    TEST(a_fresh_one_wakes_who_waits);
    TEST(an_idle_connection_of_one_worker_makes_room_for_another);
    TEST(a_connection_that_one_worker_gives_back_makes_room_for_another);
    TEST(a_connection_that_one_worker_loses_makes_room_for_another);
    TEST(who_waits_here_comes_before_who_waits_elsewhere);
    tcase_add_loop_test(tests, a_request_can_be_given_up_at_each_stage, 0, STAGES);
    TEST(who_gives_up_makes_room_for_who_waits);
    TEST(a_pool_that_ends_says_quit_on_what_is_idle);
    TEST(a_pool_that_ends_leaves_no_link_behind_that_is_being_reset);
    TEST(a_pool_that_ends_leaves_no_link_behind_that_is_being_made_ready);
    TEST(connections_that_are_made_are_counted);
    TEST(without_memory_there_is_no_pool);
}
