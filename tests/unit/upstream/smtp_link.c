#include "upstream/smtp_link.h"

#include "behind.h"

#include <sys/resource.h>

/* The link that is tested, and what its owner has been told. */
static struct heard {
    struct smtp_link *link;
    unsigned ready, replies, drained, lost;
    enum smtp_command command; /* of the last reply */
    int code;
    char text[600];
    enum smtp_link_loss loss;
    char reason[1100];
    enum { NEVER, AT_READY, AT_REPLY, AT_DRAINED, AT_LOST } closes;
} heard;

static void on_event(void *owner, struct smtp_link *l, const struct smtp_link_event *event)
{
    ck_assert_ptr_eq(owner, &heard);
    ck_assert_ptr_eq(l, heard.link);
    ck_assert_uint_eq(heard.lost, 0); /* nothing comes after it */
    switch (event->kind) {
    case LINK_READY: heard.ready++; break;
    case LINK_REPLY:
        heard.replies++;
        heard.command = event->command;
        heard.code = event->reply->code;
        (void)span_copy(event->reply->text, heard.text, sizeof heard.text);
        break;
    case LINK_DRAINED: heard.drained++; break;
    case LINK_LOST:
        heard.lost++;
        heard.loss = event->loss;
        (void)snprintf(heard.reason, sizeof heard.reason, "%s", event->reason); /* cut to fit */
        break;
    }
    if ((heard.closes == AT_READY && event->kind == LINK_READY) ||
        (heard.closes == AT_REPLY && event->kind == LINK_REPLY) ||
        (heard.closes == AT_DRAINED && event->kind == LINK_DRAINED) ||
        (heard.closes == AT_LOST && event->kind == LINK_LOST))
        smtp_link_close(&heard.link);
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
    behind_begin(1, settings);
    const struct smtp_link_options o = options();
    heard.link = smtp_link_open(&o, on_event, &heard, &why);
    ck_assert_msg(heard.link != NULL, "%s", why.text);
}

static void end(void)
{
    smtp_link_close(&heard.link);
    behind_end();
}

/* A link that is ready, without TLS. */
static struct peer *open_ready(const char *extensions)
{
    open_link("");
    struct peer *p = greets(0, extensions);
    UNTIL(heard.ready == 1);
    return p;
}

#define PIPELINING "250 PIPELINING\r\n"

static void command(enum smtp_command command, const char *line)
{
    ck_assert_int_eq(smtp_link_command(heard.link, command, span_of(line)), 0);
    smtp_link_flush(heard.link);
}

static void text(const char *bytes, bool is_end)
{
    const struct span part = span_of(bytes);
    smtp_link_text(heard.link, &part, 1, is_end ? TEXT_DOT : TEXT_GOES_ON);
}

/* A command and its answer. */
static void exchange(struct peer *p, enum smtp_command c, const char *line, const char *reply)
{
    unsigned before = heard.replies;
    command(c, line);
    hears(p, line);
    peer_say(p, reply);
    UNTIL(heard.replies > before || heard.lost > 0);
}

static void is_lost(enum smtp_link_loss loss, const char *reason)
{
    UNTIL(heard.lost == 1);
    ck_assert_msg(heard.loss == loss && strstr(heard.reason, reason) != NULL, "%d: %s",
                  (int)heard.loss, heard.reason);
    ck_assert_str_ne(heard.reason, "");
}

/* ---- the gateway's own login ---- */

static const struct smtp_credentials credentials = {
    .user = "gw", .secret = "pw", .mechanisms = SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN};

static struct peer *open_login(const char *extensions)
{
    struct error why = {.text = ""};
    behind_begin(1, "tls = \"none\"");
    struct smtp_link_options o = options();
    o.login = &credentials;
    heard.link = smtp_link_open(&o, on_event, &heard, &why);
    ck_assert_msg(heard.link != NULL, "%s", why.text);
    return greets(0, extensions);
}

START_TEST(a_link_logs_in_before_it_is_ready)
{
    struct peer *p = open_login("250-AUTH LOGIN PLAIN\r\n250 PIPELINING\r\n");
    hears(p, "AUTH PLAIN AGd3AHB3\r\n");
    hears_nothing(p);
    ck_assert_uint_eq(heard.ready, 0);
    peer_say(p, "235 2.7.0 welcome\r\n");
    UNTIL(heard.ready == 1);
    ck_assert(smtp_link_is_reusable(heard.link));
}
END_TEST

START_TEST(a_login_goes_on_question_by_question)
{
    struct peer *p = open_login("250 AUTH LOGIN\r\n");
    hears(p, "AUTH LOGIN\r\n");
    peer_say(p, "334 VXNlcm5hbWU6\r\n");
    hears(p, "Z3c=\r\n");
    peer_say(p, "334 UGFzc3dvcmQ6\r\n");
    hears(p, "cHc=\r\n");
    peer_say(p, "235 welcome\r\n");
    UNTIL(heard.ready == 1);
}
END_TEST

static const struct {
    const char *reply;
    enum smtp_link_loss loss;
} login_replies[] = {
    {"535 5.7.8 no\r\n", LOSS_LOGIN}, {"534 5.7.9 no\r\n", LOSS_LOGIN},
    {"504 no\r\n", LOSS_LOGIN},       {"454 4.7.0 later\r\n", LOSS_REFUSED},
    {"421 full\r\n", LOSS_BUSY},      {"334 and more?\r\n", LOSS_LOGIN},
    {"250 what?\r\n", LOSS_REFUSED},  {"hello\r\n", LOSS_NETWORK},
};

START_TEST(a_login_that_is_not_taken_is_told_with_its_reason)
{
    struct peer *p = open_login("250 AUTH PLAIN\r\n");
    hears(p, "AUTH PLAIN AGd3AHB3\r\n");
    peer_say(p, login_replies[_i].reply);
    is_lost(login_replies[_i].loss, "");
}
END_TEST

START_TEST(what_is_told_of_a_login_has_no_password_in_it)
{
    struct peer *p = open_login("250 AUTH PLAIN\r\n");
    hears(p, "AUTH PLAIN AGd3AHB3\r\n");
    peer_say(p, "500-what is AUTH PLAIN AGd3AHB3?\r\n500 cHc= or pw\r\n");
    is_lost(LOSS_LOGIN, "what is AUTH PLAIN ***?");
    ck_assert_ptr_null(strstr(heard.reason, "pw"));
    ck_assert_ptr_null(strstr(heard.reason, "cHc"));
}
END_TEST

START_TEST(without_a_mechanism_of_ours_nothing_is_said)
{
    struct peer *p = open_login("250-STARTTLS\r\n250 AUTH CRAM-MD5\r\n");
    is_lost(LOSS_LOGIN, "no mechanism");
    sees_the_end(p);
}
END_TEST

/* ---- the header of the PROXY protocol ---- */

#define LOCAL "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"

/* The next client begins with these octets. */
static struct peer *begins_with(const char *octets, size_t size)
{
    struct peer *p = next_client(0);
    UNTIL(peer_read(p) >= size);
    ck_assert_mem_eq(p->in, octets, size);
    p->size -= size;
    memmove(p->in, p->in + size, p->size);
    return p;
}

START_TEST(a_connection_of_nobodys_begins_with_local)
{
    open_link("identity = \"proxy\"");
    struct peer *p = begins_with(LOCAL, sizeof LOCAL - 1);
    peer_say(p, "220 behind\r\n");
    hears(p, EHLO);
    peer_say(p, "250 behind\r\n");
    UNTIL(heard.ready == 1);
    ck_assert(!smtp_link_is_told(heard.link));
}
END_TEST

static struct peer *open_owned(const char *settings, const char *hello)
{
    struct error why = {.text = ""};
    behind_begin(1, settings);
    struct smtp_link_options o = options();
    o.header = span_of("HEADER");
    o.hello = hello;
    heard.link = smtp_link_open(&o, on_event, &heard, &why);
    ck_assert_msg(heard.link != NULL, "%s", why.text);
    return begins_with("HEADER", 6);
}

START_TEST(a_clients_connection_begins_with_its_header_and_says_its_name)
{
    struct peer *p = open_owned("identity = \"proxy\" tls = \"none\"", "client.example.net");
    hears_nothing(p);
    peer_say(p, "220 behind\r\n");
    hears(p, "EHLO client.example.net\r\n");
    peer_say(p, "250 behind\r\n");
    UNTIL(heard.ready == 1);
    ck_assert(smtp_link_is_told(heard.link));
    ck_assert(!smtp_link_is_reusable(heard.link) && !smtp_link_may_reset(heard.link));
}
END_TEST

START_TEST(a_name_that_could_do_harm_is_not_said)
{
    struct peer *p = open_owned("identity = \"proxy\" tls = \"none\"", "a b\r\nQUIT");
    peer_say(p, "220 behind\r\n");
    hears(p, EHLO);
}
END_TEST

/* ---- the greeting ---- */

START_TEST(a_greeted_link_says_ehlo_and_is_ready_with_what_is_offered)
{
    open_link("");
    struct peer *p = next_client(0);
    hears_nothing(p); /* the server speaks first */
    peer_say(p, "220 behind ESMTP\r\n");
    hears(p, EHLO);
    peer_say(p,
             "250-behind at your service\r\n250-PIPELINING\r\n250-SIZE 10000\r\n250 8BITMIME\r\n");
    UNTIL(heard.ready == 1);
    const struct smtp_capabilities *c = smtp_link_capabilities(heard.link);
    ck_assert_uint_eq(c->extensions, SMTP_PIPELINING | SMTP_SIZE | SMTP_8BITMIME);
    ck_assert_uint_eq(c->size, 10000);
    ck_assert_str_eq(connection_tls_version(smtp_link_connection(heard.link)), "");
    ck_assert(smtp_link_is_reusable(heard.link));
}
END_TEST

START_TEST(replies_may_come_in_pieces)
{
    static const char greeting[] = "220-behind\r\n220-waits\r\n220 for you\r\n";
    static const char hello[] = "250-behind\r\n250 PIPELINING\r\n";
    open_link("");
    struct peer *p = next_client(0);
    for (size_t i = 0; greeting[i] != '\0'; i++, turns_for(1))
        peer_send(p, span_make(greeting + i, 1));
    hears(p, EHLO);
    for (size_t i = 0; hello[i] != '\0'; i++, turns_for(1))
        peer_send(p, span_make(hello + i, 1));
    UNTIL(heard.ready == 1);
    ck_assert_uint_eq(smtp_link_capabilities(heard.link)->extensions, SMTP_PIPELINING);
}
END_TEST

static const struct {
    const char *greeting;
    enum smtp_link_loss loss;
    const char *reason;
} greetings[] = {
    {"421 4.3.2 too many connections\r\n", LOSS_BUSY, "421"},
    {"421 too many connections\r\n", LOSS_BUSY, "too many connections"},
    {"554 5.7.1 go away\r\n", LOSS_REFUSED, "554"},
    {"554-5.7.1 go\r\n554 5.7.1 away\r\n", LOSS_REFUSED, "554"},
    {"450 later\r\n", LOSS_REFUSED, "later"},
    {"250 hello\r\n", LOSS_REFUSED, "250"},
    {"SSH-2.0-OpenSSH\r\n", LOSS_NETWORK, ""},
    {"HTTP/1.1 400 Bad Request\r\n", LOSS_NETWORK, ""},
    {"220-a\r\n221 b\r\n", LOSS_NETWORK, ""},
};

START_TEST(a_greeting_that_is_none_is_told_with_its_reason)
{
    open_link("");
    peer_say(next_client(0), greetings[_i].greeting);
    is_lost(greetings[_i].loss, greetings[_i].reason);
}
END_TEST

static const struct {
    const char *reply;
    enum smtp_link_loss loss;
} refusals[] = {
    {"421 4.3.2 too many connections\r\n", LOSS_BUSY},
    {"550 5.7.1 not you\r\n", LOSS_REFUSED},
    {"450 later\r\n", LOSS_REFUSED},
    {"354 go on\r\n", LOSS_REFUSED},
};

START_TEST(an_ehlo_that_is_refused_is_told_with_its_reason)
{
    open_link("");
    struct peer *p = next_client(0);
    peer_say(p, "220 behind\r\n");
    hears(p, EHLO);
    peer_say(p, refusals[_i].reply);
    is_lost(refusals[_i].loss, "EHLO: ");
}
END_TEST

START_TEST(a_server_that_does_not_know_ehlo_is_told_helo)
{
    static const char *const replies[] = {"500 what?\r\n", "502 5.5.1 not here\r\n", "504 no\r\n"};
    open_link("");
    struct peer *p = next_client(0);
    peer_say(p, "220 behind\r\n");
    hears(p, EHLO);
    peer_say(p, replies[_i]);
    hears(p, "HELO mail.example.com\r\n");
    peer_say(p, "250 behind PIPELINING SIZE\r\n");
    UNTIL(heard.ready == 1);
    ck_assert_uint_eq(smtp_link_capabilities(heard.link)->extensions, 0);
}
END_TEST

START_TEST(a_server_that_does_not_know_helo_either_is_refused)
{
    open_link("");
    struct peer *p = next_client(0);
    peer_say(p, "220 behind\r\n");
    hears(p, EHLO);
    peer_say(p, "500 what?\r\n");
    hears(p, "HELO mail.example.com\r\n");
    peer_say(p, "500 what?\r\n");
    is_lost(LOSS_REFUSED, "500");
}
END_TEST

START_TEST(a_server_that_is_not_there_is_told)
{
    struct error why = {.text = ""};
    behind_begin(1, "");
    ck_assert_int_eq(close(behind.listening[0]), 0);
    behind.listening[0] = -1;
    const struct smtp_link_options o = options();
    heard.link = smtp_link_open(&o, on_event, &heard, &why);
    is_lost(LOSS_NETWORK, strerror(ECONNREFUSED));
}
END_TEST

START_TEST(a_server_that_hangs_up_is_told)
{
    open_link("");
    peer_close(next_client(0));
    is_lost(LOSS_NETWORK, "");
}
END_TEST

START_TEST(what_can_not_even_be_tried_is_null_and_says_why)
{
    struct error why = {.text = ""};
    behind_begin(1, "");
    const struct smtp_link_options o = options();
    struct rlimit before;
    int next = dup(STDERR_FILENO);
    ck_assert_int_eq(close(next), 0);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    ck_assert_ptr_null(smtp_link_open(&o, on_event, &heard, &why));
    ck_assert_str_ne(why.text, "");
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}
END_TEST

/* ---- time-outs ---- */

/* A listener whose queue is full answers no more. */
static void fill_queue(int fds[4])
{
    ck_assert_int_eq(listen(behind.listening[0], 0), 0);
    for (int i = 0; i < 4; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fds[i], (const struct sockaddr *)&behind.at[0], sizeof behind.at[0]);
    }
}

START_TEST(connecting_takes_no_longer_than_connect_timeout)
{
    struct error why;
    int fds[4];
    behind_begin(1, "");
    upstream()->connect_timeout_ms = 100;
    fill_queue(fds);
    const struct smtp_link_options o = options();
    int64_t began_ns = clock_monotonic_ns();
    heard.link = smtp_link_open(&o, on_event, &heard, &why);
    is_lost(LOSS_NETWORK, "connecting took too long");
    ck_assert_int_ge(clock_monotonic_ns() - began_ns, 100 * CLOCK_MS);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(close(fds[i]), 0);
}
END_TEST

START_TEST(greeting_and_ehlo_take_no_longer_than_command_timeout)
{
    open_link("");
    upstream()->command_timeout_ms = 300;
    struct peer *p = next_client(0);
    if (_i == 1) {
        turns_for(20);
        peer_say(p, "220 behind\r\n");
        hears(p, EHLO);
    }
    is_lost(LOSS_NETWORK, _i == 0 ? "no greeting in time" : "no reply to EHLO in time");
    sees_the_end(p);
}
END_TEST

START_TEST(a_reply_takes_no_longer_than_command_timeout)
{
    struct peer *p = open_ready(PIPELINING);
    upstream()->command_timeout_ms = 300;
    command(SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n");
    command(SMTP_COMMAND_RCPT, "RCPT TO:<a@example.com>\r\n");
    turns_for(200);
    peer_say(p, "250 ok\r\n"); /* the next has its own time */
    UNTIL(heard.replies == 1);
    int64_t since_ns = clock_monotonic_ns();
    is_lost(LOSS_NETWORK, "no reply in time");
    ck_assert_int_ge(clock_monotonic_ns() - since_ns, 290 * CLOCK_MS);
}
END_TEST

START_TEST(the_final_reply_takes_no_longer_than_final_timeout)
{
    struct peer *p = open_ready("");
    upstream()->final_timeout_ms = 100;
    upstream()->command_timeout_ms = 20;
    exchange(p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
    exchange(p, SMTP_COMMAND_DATA, "DATA\r\n", "354 go\r\n");
    text(".\r\n", true);
    int64_t since_ns = clock_monotonic_ns();
    is_lost(LOSS_NETWORK, "no reply in time");
    ck_assert_int_ge(clock_monotonic_ns() - since_ns, 90 * CLOCK_MS);
}
END_TEST

START_TEST(a_text_that_waits_for_the_client_has_no_time_out)
{
    struct peer *p = open_ready("");
    upstream()->command_timeout_ms = 20;
    exchange(p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
    exchange(p, SMTP_COMMAND_DATA, "DATA\r\n", "354 go\r\n");
    text("half of\r\n", false);
    turns_for(60);
    ck_assert_uint_eq(heard.lost, 0);
}
END_TEST

START_TEST(a_server_that_takes_no_text_has_command_timeout)
{
    static char much[LOOP_SCRATCH_SIZE];
    struct peer *p = open_ready("");
    exchange(p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
    exchange(p, SMTP_COMMAND_DATA, "DATA\r\n", "354 go\r\n");
    upstream()->command_timeout_ms = 100;
    const struct span part = span_make(much, sizeof much);
    while (!smtp_link_is_blocked(heard.link))
        smtp_link_text(heard.link, &part, 1, TEXT_GOES_ON);
    is_lost(LOSS_NETWORK, "no reply in time");
}
END_TEST

START_TEST(a_link_that_rests_is_lost_after_idle_timeout)
{
    struct peer *p = open_ready("");
    upstream()->idle_timeout_ms = 50;
    upstream()->command_timeout_ms = 10000;
    smtp_link_rest(heard.link);
    turns_for(20);
    exchange(p, SMTP_COMMAND_RSET, "RSET\r\n", "250 ok\r\n");
    turns_for(60);
    ck_assert_uint_eq(heard.lost, 0); /* a command has ended its rest */
    smtp_link_rest(heard.link);
    int64_t since_ns = clock_monotonic_ns();
    is_lost(LOSS_NETWORK, "idle");
    ck_assert_int_ge(clock_monotonic_ns() - since_ns, 45 * CLOCK_MS);
}
END_TEST

/* ---- TLS ---- */

/* As far as the reply to STARTTLS. */
static struct peer *open_starttls(const char *tls)
{
    char settings[100];
    (void)snprintf(settings, sizeof settings, "tls = \"%s\"", tls); /* fits */
    open_link(settings);
    struct peer *p = greets(0, "250-STARTTLS\r\n250 XCLIENT ADDR\r\n");
    hears(p, "STARTTLS\r\n");
    return p;
}

static void serve_tls(struct peer *p)
{
    peer_start_tls(p, behind.server_tls, true);
    hears(p, EHLO);
    peer_say(p, "250-behind\r\n" PIPELINING);
    UNTIL(heard.ready == 1);
}

START_TEST(where_starttls_is_offered_it_is_used_and_ehlo_said_again)
{
    struct peer *p = open_starttls(_i == 0 ? "opportunistic" : "require");
    peer_say(p, "220 go\r\n");
    serve_tls(p);
    ck_assert_str_eq(connection_tls_version(smtp_link_connection(heard.link)), "TLSv1.3");
    ck_assert_uint_eq(smtp_link_capabilities(heard.link)->extensions, SMTP_PIPELINING);
    exchange(p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
    ck_assert_int_eq(heard.code, 250);
}
END_TEST

START_TEST(tls_none_does_not_even_ask)
{
    open_link("tls = \"none\"");
    (void)greets(0, "250 STARTTLS\r\n");
    UNTIL(heard.ready == 1);
    ck_assert_str_eq(connection_tls_version(smtp_link_connection(heard.link)), "");
}
END_TEST

START_TEST(opportunistic_goes_without_where_it_is_not_offered)
{
    open_link("tls = \"opportunistic\"");
    (void)greets(0, "250 SIZE\r\n");
    UNTIL(heard.ready == 1);
}
END_TEST

START_TEST(required_tls_that_is_not_offered_loses_the_link)
{
    open_link("tls = \"require\"");
    struct peer *p = greets(0, "250 SIZE\r\n");
    is_lost(LOSS_TLS, "STARTTLS");
    sees_the_end(p);
}
END_TEST

/* How the server spoils TLS. */
static void spoil(struct peer *p, int how)
{
    switch (how) {
    case 0: peer_say(p, "454 4.7.0 not now\r\n"); break;
    case 1:
        peer_say(p, "220 go\r\n250 this is no handshake\r\n");
        turns_for(2);
        peer_say(p, "nor is this\r\n");
        break;
    case 2:
        peer_say(p, "220 go\r\n");
        turns_for(2);
        peer_close(p);
        break;
    case 3: peer_say(p, "220 go\r\n"); break; /* and nothing more */
    default: ck_abort();
    }
}

START_TEST(opportunistic_tls_that_fails_is_followed_by_a_connection_in_clear)
{
    struct peer *p = open_starttls("opportunistic");
    upstream()->connect_timeout_ms = 100;
    spoil(p, _i);
    struct peer *again = greets(0, "250-STARTTLS\r\n" PIPELINING);
    UNTIL(heard.ready == 1);
    UNTIL(p->fd < 0 || peer_has_ended(p));
    ck_assert_str_eq(connection_tls_version(smtp_link_connection(heard.link)), "");
    exchange(again, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
    ck_assert_int_eq(heard.code, 250);
    nobody_comes(0);
}
END_TEST

START_TEST(required_tls_that_fails_loses_the_link)
{
    struct peer *p = open_starttls("require");
    upstream()->connect_timeout_ms = 100;
    spoil(p, _i);
    is_lost(LOSS_TLS, "");
    nobody_comes(0);
}
END_TEST

START_TEST(what_is_sent_behind_the_reply_to_starttls_is_thrown_away)
{
    static const char *const injected[] = {
        "250-injected\r\n250 XCLIENT ADDR\r\n", /* an answer to EHLO */
        "250-half of an answer",                /* that would go on in what TLS brings */
        "250-injected\r\n",
        "421 injected\r\n",
    };
    char all[200];
    struct peer *p = open_starttls("require");
    (void)snprintf(all, sizeof all, "220 go\r\n%s", injected[_i]); /* fits: in one piece */
    peer_say(p, all);
    serve_tls(p);
    ck_assert_uint_eq(smtp_link_capabilities(heard.link)->extensions, SMTP_PIPELINING);
    exchange(p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "550 no\r\n");
    ck_assert_int_eq(heard.code, 550);
    ck_assert_str_eq(heard.text, "no");
}
END_TEST

START_TEST(implicit_tls_comes_before_the_greeting)
{
    open_link("tls = \"implicit\"");
    struct peer *p = next_client(0);
    peer_start_tls(p, behind.server_tls, true);
    UNTIL(peer_read(p) == 0 && SSL_is_init_finished(p->ssl));
    peer_say(p, "220 behind\r\n");
    hears(p, EHLO);
    peer_say(p, "250-behind\r\n250 STARTTLS\r\n");
    UNTIL(heard.ready == 1);
    ck_assert_str_eq(connection_tls_version(smtp_link_connection(heard.link)), "TLSv1.3");
}
END_TEST

START_TEST(implicit_tls_that_fails_loses_the_link)
{
    open_link("tls = \"implicit\"");
    peer_say(next_client(0), "220 behind\r\n");
    is_lost(LOSS_TLS, "TLS: ");
    nobody_comes(0);
}
END_TEST

/* ---- commands ---- */

START_TEST(with_pipelining_commands_go_together)
{
    struct peer *p = open_ready(PIPELINING);
    ck_assert_int_eq(smtp_link_command(heard.link, SMTP_COMMAND_MAIL, span_of("MAIL\r\n")), 0);
    ck_assert_int_eq(smtp_link_command(heard.link, SMTP_COMMAND_RCPT, span_of("RCPT 1\r\n")), 0);
    hears_nothing(p); /* before the flush */
    ck_assert_int_eq(smtp_link_command(heard.link, SMTP_COMMAND_RCPT, span_of("RCPT 2\r\n")), 0);
    smtp_link_flush(heard.link);
    hears(p, "MAIL\r\nRCPT 1\r\nRCPT 2\r\n");
    peer_say(p, "250 a\r\n250 b\r\n");
    UNTIL(heard.replies == 2);
    ck_assert_uint_eq(heard.command, SMTP_COMMAND_RCPT);
    peer_say(p, "550 5.1.1 c\r\n");
    UNTIL(heard.replies == 3);
    ck_assert_int_eq(heard.code, 550);
}
END_TEST

START_TEST(without_pipelining_they_go_one_by_one)
{
    struct peer *p = open_ready("");
    ck_assert_int_eq(smtp_link_command(heard.link, SMTP_COMMAND_MAIL, span_of("MAIL\r\n")), 0);
    ck_assert_int_eq(smtp_link_command(heard.link, SMTP_COMMAND_RCPT, span_of("RCPT\r\n")), 0);
    smtp_link_flush(heard.link);
    hears(p, "MAIL\r\n");
    hears_nothing(p);
    peer_say(p, "250 a\r\n");
    hears(p, "RCPT\r\n");
    ck_assert_uint_eq(heard.command, SMTP_COMMAND_MAIL);
}
END_TEST

START_TEST(a_reply_that_nobody_asked_for_loses_the_link)
{
    struct peer *p = open_ready(PIPELINING);
    if (_i == 1) {
        command(SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n");
        hears(p, "MAIL FROM:<>\r\n");
        peer_say(p, "250 ok\r\n250 and more\r\n"); /* behind one that was due */
    } else {
        peer_say(p, "421 I am tired\r\n");
    }
    is_lost(LOSS_NETWORK, "nobody has asked for");
    ck_assert_uint_eq(heard.replies, (unsigned)_i);
}
END_TEST

START_TEST(a_link_that_is_lost_takes_what_comes_without_a_word)
{
    struct peer *p = open_ready(PIPELINING);
    peer_close(p);
    UNTIL(heard.lost == 1);
    (void)smtp_link_command(heard.link, SMTP_COMMAND_MAIL, span_of("MAIL FROM:<>\r\n"));
    smtp_link_flush(heard.link);
    text("x\r\n", false);
    smtp_link_rest(heard.link);
    smtp_link_reset(heard.link);
    ck_assert(!smtp_link_is_blocked(heard.link));
    ck_assert(!smtp_link_is_reusable(heard.link));
    ck_assert(!smtp_link_may_reset(heard.link));
    ck_assert_ptr_null(smtp_link_connection(heard.link));
    turns_for(5);
    smtp_link_quit(&heard.link);
    ck_assert_ptr_null(heard.link);
}
END_TEST

/* ---- text ---- */

static struct peer *open_text(void)
{
    struct peer *p = open_ready(PIPELINING);
    exchange(p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
    exchange(p, SMTP_COMMAND_RCPT, "RCPT TO:<a@example.com>\r\n", "250 ok\r\n");
    exchange(p, SMTP_COMMAND_DATA, "DATA\r\n", "354 go\r\n");
    ck_assert_int_eq(heard.code, 354);
    return p;
}

START_TEST(a_message_goes_from_354_to_the_final_reply)
{
    struct peer *p = open_text();
    ck_assert(smtp_link_is_in_text(heard.link));
    text("Subject: hello\r\n\r\n", false);
    text("hello\r\n.\r\n", true);
    hears(p, "Subject: hello\r\n\r\nhello\r\n.\r\n");
    ck_assert(smtp_link_is_in_text(heard.link));
    peer_say(p, "250 2.0.0 queued\r\n");
    UNTIL(heard.replies == 4);
    ck_assert_uint_eq(heard.command, SMTP_COMMAND_DOT);
    ck_assert(!smtp_link_is_in_text(heard.link));
    ck_assert(smtp_link_is_reusable(heard.link));
}
END_TEST

START_TEST(text_that_is_not_taken_blocks_until_it_has_drained)
{
    static char much[LOOP_SCRATCH_SIZE];
    const struct span part = span_make(much, sizeof much);
    struct peer *p = open_text();
    size_t sent = 0;
    for (; !smtp_link_is_blocked(heard.link); sent += sizeof much)
        smtp_link_text(heard.link, &part, 1, TEXT_GOES_ON);
    turns_for(5);
    ck_assert_uint_eq(heard.drained, 0);
    takes(p, sent);
    UNTIL(heard.drained == 1);
    ck_assert(!smtp_link_is_blocked(heard.link));
    text("x\r\n.\r\n", true);
    hears(p, "x\r\n.\r\n");
    peer_say(p, "250 ok\r\n");
    UNTIL(heard.command == SMTP_COMMAND_DOT);
    ck_assert_uint_eq(heard.drained, 1);
}
END_TEST

START_TEST(a_server_that_breaks_off_in_a_text_is_told)
{
    struct peer *p = open_text();
    text("half of\r\n", false);
    hears(p, "half of\r\n");
    if (_i == 0)
        peer_close(p);
    else
        peer_reset(p);
    is_lost(LOSS_NETWORK, "");
    ck_assert(smtp_link_is_in_text(heard.link));
}
END_TEST

START_TEST(a_text_that_is_given_up_is_followed_by_nothing_but_the_end)
{
    struct peer *p = open_text();
    text("half of\r\n", false);
    if (_i == 0)
        smtp_link_close(&heard.link);
    else
        smtp_link_quit(&heard.link);
    hears(p, "half of\r\n");
    sees_the_end(
        p); /* no dot, no RSET, no QUIT: RFC 2920, and a message cut short must not be one */
}
END_TEST

/* ---- what decides whether it may serve another ---- */

START_TEST(within_a_transaction_it_may_be_reset_alone)
{
    struct peer *p = open_ready(PIPELINING);
    exchange(p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
    ck_assert(!smtp_link_is_reusable(heard.link));
    ck_assert(smtp_link_may_reset(heard.link));
    exchange(p, SMTP_COMMAND_RSET, "RSET\r\n", "250 ok\r\n");
    ck_assert(smtp_link_is_reusable(heard.link));
}
END_TEST

START_TEST(after_a_refused_mail_it_is_reset_before_others_get_it)
{
    struct peer *p = open_ready(PIPELINING);
    exchange(p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "550 no\r\n");
    ck_assert(!smtp_link_is_reusable(heard.link));
    ck_assert(smtp_link_may_reset(heard.link));
}
END_TEST

START_TEST(who_has_said_421_serves_nobody_else)
{
    struct peer *p = open_ready(PIPELINING);
    exchange(p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "421 4.3.2 closing\r\n");
    ck_assert(!smtp_link_may_reset(heard.link));
}
END_TEST

START_TEST(while_a_reply_is_due_it_is_not_reusable)
{
    struct peer *p = open_ready(PIPELINING);
    command(SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n");
    hears(p, "MAIL FROM:<>\r\n");
    ck_assert(!smtp_link_is_reusable(heard.link));
    ck_assert(smtp_link_may_reset(heard.link));
    peer_say(p, "550 no\r\n");
    UNTIL(heard.replies == 1);
    exchange(p, SMTP_COMMAND_RSET, "RSET\r\n", "250 ok\r\n");
    ck_assert(smtp_link_is_reusable(heard.link));
}
END_TEST

START_TEST(with_data_under_way_it_may_not_even_be_reset)
{
    struct peer *p = open_ready(PIPELINING);
    exchange(p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
    command(SMTP_COMMAND_DATA, "DATA\r\n");
    ck_assert(!smtp_link_may_reset(heard.link));
    peer_say(p, "354 go\r\n");
    UNTIL(heard.replies == 2);
    ck_assert(!smtp_link_may_reset(heard.link));
    text(".\r\n", true);
    ck_assert(!smtp_link_may_reset(heard.link));
    peer_say(p, "550 5.7.1 no\r\n");
    UNTIL(heard.replies == 3);
    ck_assert(!smtp_link_is_reusable(heard.link)); /* only after a 2xx, or RSET */
    ck_assert(smtp_link_may_reset(heard.link));
}
END_TEST

START_TEST(a_refused_data_leaves_the_transaction_open)
{
    struct peer *p = open_ready(PIPELINING);
    exchange(p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
    exchange(p, SMTP_COMMAND_DATA, "DATA\r\n", "451 not now\r\n");
    ck_assert(!smtp_link_is_in_text(heard.link));
    ck_assert(!smtp_link_is_reusable(heard.link));
    ck_assert(smtp_link_may_reset(heard.link));
}
END_TEST

START_TEST(more_than_five_errors_since_its_last_message_end_it)
{
    struct peer *p = open_ready(PIPELINING);
    for (int i = 0; i < 5; i++)
        exchange(p, SMTP_COMMAND_RCPT, "RCPT TO:<x@example.com>\r\n", "550 5.1.1 no\r\n");
    ck_assert(smtp_link_is_reusable(heard.link));
    exchange(p, SMTP_COMMAND_RCPT, "RCPT TO:<x@example.com>\r\n", "450 later\r\n");
    ck_assert(!smtp_link_is_reusable(heard.link));
    ck_assert(!smtp_link_may_reset(heard.link));
}
END_TEST

static void send_message(struct peer *p, const char *final)
{
    exchange(p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
    exchange(p, SMTP_COMMAND_DATA, "DATA\r\n", "354 go\r\n");
    unsigned before = heard.replies;
    text(".\r\n", true);
    hears(p, ".\r\n");
    peer_say(p, final);
    UNTIL(heard.replies > before);
}

START_TEST(a_message_that_is_taken_forgets_the_errors_before_it)
{
    struct peer *p = open_ready(PIPELINING);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++)
            exchange(p, SMTP_COMMAND_RCPT, "RCPT TO:<x@example.com>\r\n", "550 5.1.1 no\r\n");
        send_message(p, "250 queued\r\n");
        ck_assert(smtp_link_is_reusable(heard.link));
    }
    for (int i = 0; i < 5; i++)
        exchange(p, SMTP_COMMAND_RCPT, "RCPT TO:<x@example.com>\r\n", "550 5.1.1 no\r\n");
    send_message(p, "554 no\r\n"); /* one that is refused is another error */
    ck_assert(!smtp_link_is_reusable(heard.link));
}
END_TEST

START_TEST(after_a_hundred_messages_it_serves_nobody_else)
{
    struct peer *p = open_ready(PIPELINING);
    for (int n = 1; n <= 100; n++) {
        send_message(p, "250 queued\r\n");
        ck_assert(smtp_link_is_reusable(heard.link) == (n < 100));
    }
    ck_assert(!smtp_link_may_reset(heard.link));
}
END_TEST

/* ---- reset and quit ---- */

START_TEST(reset_ends_a_transaction_and_rests)
{
    struct peer *p = open_ready(PIPELINING);
    exchange(p, SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n", "250 ok\r\n");
    upstream()->idle_timeout_ms = 50;
    smtp_link_reset(heard.link);
    hears(p, "RSET\r\n");
    peer_say(p, "250 ok\r\n");
    is_lost(LOSS_NETWORK, "idle");
}
END_TEST

START_TEST(reset_says_nothing_where_nothing_is_open)
{
    struct peer *p = open_ready(PIPELINING);
    smtp_link_reset(heard.link);
    hears_nothing(p);
}
END_TEST

START_TEST(quit_is_said_where_nothing_is_under_way)
{
    struct peer *p = open_ready(PIPELINING);
    smtp_link_quit(&heard.link);
    ck_assert_ptr_null(heard.link);
    hears(p, "QUIT\r\n");
    peer_say(p, "221 bye\r\n");
    sees_the_end(p);
}
END_TEST

START_TEST(quit_is_not_said_while_a_reply_is_due)
{
    struct peer *p = open_ready(PIPELINING);
    command(SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n");
    hears(p, "MAIL FROM:<>\r\n");
    smtp_link_quit(&heard.link);
    sees_the_end(p);
}
END_TEST

START_TEST(quit_is_not_said_before_the_greeting)
{
    open_link("");
    struct peer *p = next_client(0);
    smtp_link_quit(&heard.link);
    sees_the_end(p);
}
END_TEST

/* ---- XCLIENT ---- */

static const struct xclient_values values = {.value = {[XCLIENT_NAME] = "[UNAVAILABLE]",
                                                       [XCLIENT_LOGIN] = "ana@example.com",
                                                       [XCLIENT_PORT] = "4711",
                                                       [XCLIENT_ADDR] = "192.0.2.7"}};

START_TEST(telling_gives_what_is_offered_then_says_ehlo_again)
{
    struct peer *p = open_ready("250-PIPELINING\r\n250 XCLIENT NAME ADDR LOGIN\r\n");
    smtp_link_tell(heard.link, &values);
    ck_assert(smtp_link_is_told(heard.link));
    hears(p, "XCLIENT NAME=[UNAVAILABLE] LOGIN=ana@example.com ADDR=192.0.2.7\r\n");
    hears_nothing(p); /* nothing is pipelined behind it */
    peer_say(p, "220 behind\r\n");
    hears(p, EHLO);
    peer_say(p, "250-behind\r\n250-STARTTLS\r\n250 SIZE 5\r\n");
    UNTIL(heard.ready == 2);
    ck_assert_uint_eq(smtp_link_capabilities(heard.link)->size, 5);
    ck_assert(!smtp_link_is_reusable(heard.link));
    ck_assert(!smtp_link_may_reset(heard.link));
}
END_TEST

START_TEST(an_identity_that_is_refused_loses_the_link)
{
    static const char *const replies[] = {"550 5.7.0 no\r\n", "501 5.5.4 what?\r\n", "250 ok\r\n"};
    struct peer *p = open_ready("250 XCLIENT ADDR\r\n");
    smtp_link_tell(heard.link, &values);
    hears(p, "XCLIENT ADDR=192.0.2.7\r\n");
    peer_say(p, replies[_i]);
    is_lost(LOSS_IDENTITY, "XCLIENT: ");
}
END_TEST

START_TEST(an_identity_that_is_not_answered_in_time_loses_the_link)
{
    (void)open_ready("250 XCLIENT ADDR\r\n");
    upstream()->command_timeout_ms = 50;
    smtp_link_tell(heard.link, &values);
    is_lost(LOSS_NETWORK, "no reply to XCLIENT in time");
}
END_TEST

/* ---- closing within callbacks, and memory ---- */

START_TEST(it_can_be_closed_within_each_callback)
{
    static char much[LOOP_SCRATCH_SIZE];
    const struct span part = span_make(much, sizeof much);
    struct peer *p;
    size_t sent = 0;
    if (_i == AT_READY) {
        heard.closes = AT_READY;
        open_link("");
        p = greets(0, PIPELINING);
        UNTIL(heard.link == NULL);
        return;
    }
    p = _i == AT_DRAINED ? open_text() : open_ready(PIPELINING);
    heard.closes = _i;
    if (_i == AT_REPLY) {
        command(SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n");
        peer_say(p, "250 ok\r\n250 more\r\n250 and more\r\n");
    } else if (_i == AT_DRAINED) {
        for (; !smtp_link_is_blocked(heard.link); sent += sizeof much)
            smtp_link_text(heard.link, &part, 1, TEXT_GOES_ON);
        takes(p, sent);
    } else {
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
    struct smtp_link *l = smtp_link_open(&o, on_event, &heard, &why);
    bool is_null = l == NULL;
    smtp_link_close(&l);
    if (is_null != failing_has_failed() || is_null != (why.text[0] != '\0'))
        ck_abort_msg("null, and told, without memory alone");
}

START_TEST(without_memory_there_is_no_link)
{
    behind_begin(1, "");
    WITH_EACH_ALLOCATION_FAILING(open_and_close());
}
END_TEST

SUITE(smtp_link)
{
    behind_use(tests);
    tcase_add_checked_fixture(tests, NULL, end);
    TEST(a_link_logs_in_before_it_is_ready);
    TEST(a_login_goes_on_question_by_question);
    LOOP_TEST(a_login_that_is_not_taken_is_told_with_its_reason, login_replies);
    TEST(what_is_told_of_a_login_has_no_password_in_it);
    TEST(without_a_mechanism_of_ours_nothing_is_said);
    TEST(a_connection_of_nobodys_begins_with_local);
    TEST(a_clients_connection_begins_with_its_header_and_says_its_name);
    TEST(a_name_that_could_do_harm_is_not_said);
    TEST(a_greeted_link_says_ehlo_and_is_ready_with_what_is_offered);
    TEST(replies_may_come_in_pieces);
    LOOP_TEST(a_greeting_that_is_none_is_told_with_its_reason, greetings);
    LOOP_TEST(an_ehlo_that_is_refused_is_told_with_its_reason, refusals);
    tcase_add_loop_test(tests, a_server_that_does_not_know_ehlo_is_told_helo, 0, 3);
    TEST(a_server_that_does_not_know_helo_either_is_refused);
    TEST(a_server_that_is_not_there_is_told);
    TEST(a_server_that_hangs_up_is_told);
    TEST(what_can_not_even_be_tried_is_null_and_says_why);
    TEST(connecting_takes_no_longer_than_connect_timeout);
    tcase_add_loop_test(tests, greeting_and_ehlo_take_no_longer_than_command_timeout, 0, 2);
    TEST(a_reply_takes_no_longer_than_command_timeout);
    TEST(the_final_reply_takes_no_longer_than_final_timeout);
    TEST(a_text_that_waits_for_the_client_has_no_time_out);
    TEST(a_server_that_takes_no_text_has_command_timeout);
    TEST(a_link_that_rests_is_lost_after_idle_timeout);
    tcase_add_loop_test(tests, where_starttls_is_offered_it_is_used_and_ehlo_said_again, 0, 2);
    TEST(tls_none_does_not_even_ask);
    TEST(opportunistic_goes_without_where_it_is_not_offered);
    TEST(required_tls_that_is_not_offered_loses_the_link);
    tcase_add_loop_test(tests, opportunistic_tls_that_fails_is_followed_by_a_connection_in_clear, 0,
                        4);
    tcase_add_loop_test(tests, required_tls_that_fails_loses_the_link, 0, 4);
    tcase_add_loop_test(tests, what_is_sent_behind_the_reply_to_starttls_is_thrown_away, 0, 4);
    TEST(implicit_tls_comes_before_the_greeting);
    TEST(implicit_tls_that_fails_loses_the_link);
    TEST(with_pipelining_commands_go_together);
    TEST(without_pipelining_they_go_one_by_one);
    tcase_add_loop_test(tests, a_reply_that_nobody_asked_for_loses_the_link, 0, 2);
    TEST(a_link_that_is_lost_takes_what_comes_without_a_word);
    TEST(a_message_goes_from_354_to_the_final_reply);
    TEST(text_that_is_not_taken_blocks_until_it_has_drained);
    tcase_add_loop_test(tests, a_server_that_breaks_off_in_a_text_is_told, 0, 2);
    tcase_add_loop_test(tests, a_text_that_is_given_up_is_followed_by_nothing_but_the_end, 0, 2);
    TEST(within_a_transaction_it_may_be_reset_alone);
    TEST(after_a_refused_mail_it_is_reset_before_others_get_it);
    TEST(who_has_said_421_serves_nobody_else);
    TEST(while_a_reply_is_due_it_is_not_reusable);
    TEST(with_data_under_way_it_may_not_even_be_reset);
    TEST(a_refused_data_leaves_the_transaction_open);
    TEST(more_than_five_errors_since_its_last_message_end_it);
    TEST(a_message_that_is_taken_forgets_the_errors_before_it);
    TEST(after_a_hundred_messages_it_serves_nobody_else);
    TEST(reset_ends_a_transaction_and_rests);
    TEST(reset_says_nothing_where_nothing_is_open);
    TEST(quit_is_said_where_nothing_is_under_way);
    TEST(quit_is_not_said_while_a_reply_is_due);
    TEST(quit_is_not_said_before_the_greeting);
    TEST(telling_gives_what_is_offered_then_says_ehlo_again);
    tcase_add_loop_test(tests, an_identity_that_is_refused_loses_the_link, 0, 3);
    TEST(an_identity_that_is_not_answered_in_time_loses_the_link);
    tcase_add_loop_test(tests, it_can_be_closed_within_each_callback, AT_READY, AT_LOST + 1);
    TEST(without_memory_there_is_no_link);
}
