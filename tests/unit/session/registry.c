#include "session/access.h"
#include "session/door.h"
#include "session/ending.h"

#include "net/peer.h"
#include "telemetry/mapping.h"

#include "base/clock.h"
#include "base/log.h"
#include "decision/bans.h"
#include "decision/set_limits.h"

enum { ROWS = 4, PEERS = 8 };

enum door { SMTP, SMTPS, POP3, POP3S, REFUSE, DOORS };

static struct listener_config listeners[DOORS] = {
    [SMTP] = {.name = "smtp", .role = ROLE_SUBMISSION, .tls = LISTENER_TLS_STARTTLS},
    [SMTPS] = {.name = "smtps", .role = ROLE_SUBMISSION, .tls = LISTENER_TLS_IMPLICIT},
    [POP3] = {.name = "pop3", .role = ROLE_POP3, .tls = LISTENER_TLS_STARTTLS},
    [POP3S] = {.name = "pop3s", .role = ROLE_POP3, .tls = LISTENER_TLS_IMPLICIT},
    [REFUSE] = {.name = "refuse", .role = ROLE_REFUSE, .tls = LISTENER_TLS_NONE},
};

static struct {
    struct config config;
    struct event_log log;
    struct counter_table *counted;
    struct labels *labels;
    struct bans *bans;
    struct session_context context;
    struct registry *registry;
    struct peer peers[PEERS];
    size_t peer_count;
    unsigned emptied;
} it;

static void on_empty(void *owner)
{
    ck_assert_ptr_eq(owner, &it);
    it.emptied++;
}

static void begin(void)
{
    int fresh;
    turns_begin();
    it.labels = mapping_make(labels_size());
    for (size_t i = 0; i < DOORS; i++) {
        listeners[i].idle_timeout_ms = 60000;
        ck_assert_int_ge(label_claim(it.labels, LABEL_LISTENER, listeners[i].name, 1, &fresh), 0);
    }
    it.config = (struct config){.hostname = "mail.example.com",
                                .contact = "",
                                .max_connections = ROWS,
                                .max_connections_per_ip = ROWS,
                                .listeners = listeners,
                                .listener_count = DOORS};
    it.log = (struct event_log){.lines = log_create(-1, LOG_LEVEL_ERROR), .process = ""};
    it.bans = mapping_make(bans_size());
    it.counted = mapping_make(counter_table_size());
    it.context = (struct session_context){
        .loop = turns.loop,
        .config = &it.config,
        .log = &it.log,
        .counters = counters_create(it.counted),
        .table = {mapping_make(session_table_size(ROWS)), ROWS},
        .labels = it.labels,
        .bans = it.bans,
        .set_limits = {set_limits_figure, mapping_make(set_limits_size())},
        .process = 1,
    };
    ck_assert_ptr_nonnull(it.context.counters);
    it.registry = registry_create(&it.context);
    ck_assert_ptr_nonnull(it.registry);
    registry_on_empty(it.registry, on_empty, &it);
}

static void end(void)
{
    registry_destroy(&it.registry);
    for (size_t i = 0; i < it.peer_count; i++)
        peer_close(&it.peers[i]);
    turns_for(2); /* what waits for a client's end sees it */
    counters_destroy(&it.context.counters);
    log_destroy(&it.log.lines);
    turns_end();
}

/* ---- clients ---- */

static struct peer *comes_when(enum door door, bool is_last)
{
    struct address from = {.size = sizeof from.v4};
    ck_assert_uint_lt(it.peer_count, PEERS);
    struct peer *p = &it.peers[it.peer_count++];
    int fd = peer_open(p, 0);
    ck_assert_int_eq(getpeername(fd, &from.any, &from.size), 0);
    door_accept(it.registry, &listeners[door], fd, &from, is_last);
    return p;
}

static struct peer *comes(enum door door)
{
    return comes_when(door, false);
}

static bool has_line(struct peer *p)
{
    return peer_read(p) > 0 && memchr(p->in, '\n', p->size) != NULL;
}

/* The next line begins so. It is closed, and stays in `in` until the next call. */
static void hears(struct peer *p, const char *text)
{
    UNTIL(has_line(p) || peer_has_ended(p));
    const char *line_end = memchr(p->in, '\n', p->size);
    ck_assert_msg(line_end != NULL && p->size >= strlen(text) &&
                      memcmp(p->in, text, strlen(text)) == 0,
                  "\"%s\" instead of \"%.*s\"", text, (int)p->size, p->in);
    size_t size = (size_t)(line_end - p->in) + 1;
    p->size -= size;
    memmove(p->in, p->in + size, p->size);
}

static void hears_nothing(struct peer *p)
{
    turns_for(5);
    ck_assert_msg(peer_read(p) == 0 && !p->has_ended, "\"%.*s\"", (int)p->size, p->in);
}

static void sees_the_end(struct peer *p)
{
    UNTIL(peer_has_ended(p));
    ck_assert_msg(p->size == 0, "\"%.*s\"", (int)p->size, p->in);
    ck_assert_int_eq(p->error, 0); /* no reset: what was said has arrived */
}

static int64_t counted(enum counter counter, enum door door)
{
    counters_flush(it.context.counters);
    return counter_read(it.counted, counter,
                        label_slot(it.labels, LABEL_LISTENER, listeners[door].name));
}

static size_t rows(void)
{
    return session_count(&it.context.table, 1);
}

/* ---- coming and going ---- */

static const struct {
    enum door door;
    const char *greeting, *end, *bye;
} doors[] = {
    {SMTP, "220 mail.example.com ESMTP", "QUIT\r\n", "221 2.0.0 "},
    {POP3, "+OK mail.example.com POP3 ready", "QUIT\r\n", "+OK Bye"},
    {REFUSE, "554 5.7.1 mail.example.com takes no mail here", "quit\r\n", "221 2.0.0 "},
};

START_TEST(a_client_is_greeted_has_a_row_and_gives_it_back)
{
    struct peer *p = comes(doors[_i].door);
    hears(p, doors[_i].greeting);
    ck_assert_uint_eq(registry_count(it.registry), 1);
    ck_assert_uint_eq(rows(), 1);
    ck_assert_int_eq(counted(COUNTER_connections, doors[_i].door), 1);
    peer_say(p, doors[_i].end);
    hears(p, doors[_i].bye);
    sees_the_end(p);
    ck_assert_uint_eq(registry_count(it.registry), 0);
    ck_assert_uint_eq(rows(), 0);
    ck_assert_uint_eq(it.emptied, 1);
}
END_TEST

START_TEST(a_client_that_just_goes_gives_its_row_back)
{
    struct peer *p = comes(doors[_i].door);
    hears(p, doors[_i].greeting);
    peer_reset(p);
    UNTIL(registry_count(it.registry) == 0);
    ck_assert_uint_eq(rows(), 0);
}
END_TEST

START_TEST(a_session_is_shown_with_its_client_and_door)
{
    struct session_row row;
    enum session_state state;
    size_t owner;
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    char text[ADDRESS_TEXT_SIZE];
    struct peer *p = comes(SMTP);
    hears(p, "220 ");
    ck_assert_int_eq(getsockname(p->fd, (struct sockaddr *)&from, &size), 0);
    (void)snprintf(text, sizeof text, "127.0.0.1:%u", ntohs(from.sin_port)); /* fits */
    ck_assert_int_eq(session_read(&it.context.table, 0, &row, &state, &owner), 0);
    ck_assert_str_eq(row.client, text);
    ck_assert_str_eq(row.account, "");
    ck_assert_uint_eq(row.listener, label_slot(it.labels, LABEL_LISTENER, "smtp"));
    ck_assert_int_eq((int)state, SESSION_COMMAND);
    ck_assert_uint_eq(owner, 1);
    ck_assert_uint_gt(strlen(row.id), 0);
}
END_TEST

START_TEST(the_end_of_the_last_session_is_told)
{
    struct peer *first = comes(SMTP), *second = comes(POP3);
    peer_close(first);
    UNTIL(registry_count(it.registry) == 1);
    ck_assert_uint_eq(it.emptied, 0);
    peer_close(second);
    UNTIL(registry_count(it.registry) == 0);
    ck_assert_uint_eq(it.emptied, 1);
}
END_TEST

/* ---- no room ---- */

static const struct {
    enum door door;
    const char *full, *shutting_down, *crowded,
        *banned; /* NULL: TLS comes first, nothing is said */
} away[] = {
    {SMTP, "421 4.3.2 Too many connections;", "421 4.3.2 Service",
     "421 4.3.2 Too many connections from your address",
     "421 4.7.0 No connections from 127.0.0.1 until 20"},
    {POP3, "-ERR [SYS/TEMP] Too many connections;", "-ERR [SYS/TEMP] Service",
     "-ERR [SYS/TEMP] Too many connections from your address",
     "-ERR [SYS/TEMP] No connections from 127.0.0.1 until 20"},
    {REFUSE, "421 4.3.2 Too many connections;", "421 4.3.2 Service",
     "421 4.3.2 Too many connections from your address",
     "421 4.7.0 No connections from 127.0.0.1 until 20"},
    {SMTPS, NULL, NULL, NULL, NULL},
    {POP3S, NULL, NULL, NULL, NULL},
};

static void is_sent_away(struct peer *p, const char *text)
{
    if (text != NULL)
        hears(p, text);
    sees_the_end(p);
}

START_TEST(one_more_than_max_connections_is_told_to_come_again)
{
    for (int n = 0; n < ROWS; n++)
        hears(comes(SMTP), "220 ");
    is_sent_away(comes(away[_i].door), away[_i].full);
    ck_assert_uint_eq(registry_count(it.registry), ROWS);
    ck_assert_int_eq(counted(COUNTER_connections_refused, away[_i].door), 1);
    peer_close(&it.peers[0]);
    UNTIL(registry_count(it.registry) == ROWS - 1);
    hears(comes(SMTP), "220 ");
}
END_TEST

START_TEST(one_more_of_an_address_than_max_connections_per_ip_is_told_so)
{
    it.config.max_connections_per_ip = 2;
    hears(comes(SMTP), "220 ");
    hears(comes(POP3), "+OK ");
    is_sent_away(comes(away[_i].door), away[_i].crowded);
    ck_assert_uint_eq(registry_count(it.registry), 2);
    ck_assert_uint_eq(rows(), 2);
    ck_assert_int_eq(counted(COUNTER_connections_refused, away[_i].door), 1);
    peer_close(&it.peers[0]);
    UNTIL(registry_count(it.registry) == 1);
    hears(comes(SMTP), "220 ");
}
END_TEST

START_TEST(of_shared_networks_come_as_many_as_there_is_room_for)
{
    struct network all;
    ck_assert_int_eq(network_parse("127.0.0.0/8", &all, NULL), 0);
    it.config.max_connections_per_ip = 1;
    it.config.shared = (struct network_list){&all, 1};
    for (int n = 0; n < ROWS; n++)
        hears(comes(SMTP), "220 ");
    is_sent_away(comes(SMTP), "421 4.3.2 Too many connections;");
}
END_TEST

static void ban_everybody(void)
{
    int64_t now = clock_wall_ns();
    struct ban ban = {.since_ns = now, .until_ns = now + CLOCK_SECOND * 60};
    ck_assert_int_eq(network_parse("127.0.0.0/8", &ban.network, NULL), 0);
    ck_assert_int_eq(bans_put(it.bans, 1, &ban, now, NULL), 0);
}

START_TEST(who_is_banned_is_told_until_when)
{
    ban_everybody();
    is_sent_away(comes(away[_i].door), away[_i].banned);
    ck_assert_uint_eq(rows(), 0);
    ck_assert_int_eq(counted(COUNTER_connections_refused, away[_i].door), 1);
    ck_assert_int_eq(counted(COUNTER_connections_banned, away[_i].door), 1);
}
END_TEST

START_TEST(who_is_there_when_he_is_banned_is_told_so_and_ends)
{
    struct peer *sender = comes(SMTP), *reader = comes(POP3);
    hears(sender, "220 ");
    hears(reader, "+OK ");
    registry_look_for_banned(it.registry);
    ck_assert_uint_eq(registry_count(it.registry), 2);
    ban_everybody();
    registry_look_for_banned(it.registry);
    hears(sender, "421 4.7.0 Your address was banned");
    hears(reader, "-ERR [SYS/TEMP] Your address was banned");
    UNTIL(registry_count(it.registry) == 0);
}
END_TEST

START_TEST(of_shared_networks_nobody_is_banned)
{
    struct network all;
    ck_assert_int_eq(network_parse("127.0.0.0/8", &all, NULL), 0);
    it.config.shared = (struct network_list){&all, 1};
    ban_everybody();
    hears(comes(SMTP), "220 ");
    registry_look_for_banned(it.registry);
    ck_assert_uint_eq(registry_count(it.registry), 1);
}
END_TEST

START_TEST(where_there_are_no_descriptors_left_the_client_is_told_to_come_again)
{
    is_sent_away(comes_when(away[_i].door, true), away[_i].full);
    ck_assert_uint_eq(registry_count(it.registry), 0);
    ck_assert_uint_eq(rows(), 0);
}
END_TEST

START_TEST(while_it_refuses_new_clients_are_sent_away_and_others_stay)
{
    struct peer *p = comes(SMTP);
    hears(p, "220 ");
    registry_refuse(it.registry, true);
    is_sent_away(comes(away[_i].door), away[_i].shutting_down);
    ck_assert_int_eq(counted(COUNTER_connections_refused, away[_i].door), 1);
    peer_say(p, "NOOP\r\n");
    hears(p, "250 2.0.0 ");
    registry_refuse(it.registry, false);
    hears(comes(POP3), "+OK ");
}
END_TEST

/* ---- the end ---- */

START_TEST(sessions_at_rest_that_are_asked_to_end_say_so_and_do)
{
    struct peer *smtp = comes(SMTP), *pop3 = comes(POP3), *refuse = comes(REFUSE);
    hears(smtp, "220 ");
    hears(pop3, "+OK ");
    hears(refuse, "554 ");
    ck_assert(!registry_is_ending(it.registry));
    registry_ask_to_end(it.registry, true);
    ck_assert(registry_is_ending(it.registry));
    ck_assert_uint_eq(registry_count(it.registry), 0);
    ck_assert_uint_eq(it.emptied, 1);
    hears(smtp, "421 4.3.2 ");
    hears(pop3, "-ERR [SYS/TEMP] ");
    sees_the_end(smtp);
    sees_the_end(pop3);
    sees_the_end(refuse);
}
END_TEST

START_TEST(no_longer_asked_to_end_sessions_stay)
{
    registry_ask_to_end(it.registry, true);
    registry_ask_to_end(it.registry, false);
    struct peer *p = comes(SMTP);
    hears(p, "220 ");
    hears_nothing(p);
    ck_assert_uint_eq(registry_count(it.registry), 1);
}
END_TEST

static void let_in(void *owner, struct session *s)
{
    (void)owner;
    s->is_let_in = s->listener == &listeners[POP3];
}

/* 2026-03-02, a Monday, 12:00Z */
#define NOON INT64_C(1772452800)

START_TEST(sessions_that_were_let_in_end_when_their_hours_are_over_wherever_the_clock_is_set)
{
    static const struct account_groups none = {NULL, 0};
    const char *hours[] = {"Mon 10:00-14:00"};
    struct access_rule rule = {.name = "office",
                               .enabled = true,
                               .end_sessions = true,
                               .closed = "",
                               .inside = {.hours = {hours, 1}}};
    struct policy policy = {.access = &rule, .access_count = 1};
    struct arena *arena = arena_create(4096);
    struct error why;
    ck_assert_int_eq(match_prepare(&rule.inside, &none, arena, &why), 0);
    it.config.policies = &policy;
    it.config.policy_count = 1;
    listeners[POP3].policy_rules = listeners[SMTP].policy_rules = &policy;
    struct peer *reader = comes(POP3), *sender = comes(SMTP);
    hears(reader, "+OK ");
    hears(sender, "220 ");
    registry_each(it.registry, let_in, NULL);
    for (int64_t at = NOON; at < NOON + 2 * 3600; at += 600)
        registry_look_for_hours(it.registry, at);
    registry_look_for_hours(it.registry, NOON - 2 * 3600); /* set back */
    registry_look_for_hours(it.registry, NOON + 7 * 86400);
    ck_assert_uint_eq(registry_count(it.registry), 2);
    registry_look_for_hours(it.registry, NOON - 3 * 3600); /* and to a moment that is outside */
    hears(reader, "-ERR [SYS/PERM] office: closed now; open Mon 10:00-14:00; closing (");
    sees_the_end(reader);
    hears_nothing(sender); /* who has not been let in yet */
    listeners[POP3].policy_rules = listeners[SMTP].policy_rules = NULL;
    arena_destroy(&arena);
}
END_TEST

static void log_in(void *owner, struct session *s)
{
    const char *account = owner;
    if (s->listener == &listeners[SMTP]) {
        free(s->account); /* of one who was there before */
        s->account = strdup(account);
    }
}

static void kick(enum end_of of, const char *who, const char *text)
{
    struct message_end_sessions m = {.of = of, .why = ENDING_kicked};
    (void)span_copy(span_of(who), m.who, sizeof m.who);
    (void)span_copy(span_of(text), m.text, sizeof m.text);
    end_sessions(it.registry, &m);
}

START_TEST(of_those_that_are_kicked_each_hears_why_and_the_others_stay)
{
    char account[] = "ana@example.com";
    struct peer *ana = comes(SMTP), *reader = comes(POP3);
    hears(ana, "220 ");
    hears(reader, "+OK ");
    registry_each(it.registry, log_in, account);
    kick(END_OF_ACCOUNT, "bob@example.com", "x");
    kick(END_OF_NETWORK, "192.0.2.0/24", "x");
    kick(END_OF_SESSION, "dc2y5gh27gqh", "x");
    ck_assert_uint_eq(registry_count(it.registry), 2);
    kick(END_OF_ACCOUNT, account, "ticket 4711");
    hears(ana, "421 4.3.2 Ended by an administrator: ticket 4711 (");
    sees_the_end(ana);
    ck_assert_uint_eq(registry_count(it.registry), 1);
    kick(END_OF_NETWORK, "127.0.0.0/8", "ticket 4712");
    hears(reader, "-ERR [SYS/TEMP] Ended by an administrator: ticket 4712 (");
    sees_the_end(reader);
}
END_TEST

static void copy_id(void *owner, struct session *s)
{
    memcpy(owner, s->id, ID_SIZE);
}

START_TEST(one_session_is_kicked_by_its_id)
{
    char id[ID_SIZE];
    struct peer *first = comes(SMTP), *second = comes(SMTP);
    hears(first, "220 ");
    hears(second, "220 ");
    registry_each(it.registry, copy_id, id); /* the first stands last */
    kick(END_OF_SESSION, id, "x");
    hears(first, "421 4.3.2 ");
    hears_nothing(second);
}
END_TEST

/* The sender may have been taken over. */
START_TEST(an_order_that_makes_no_sense_ends_nobody)
{
    struct message_end_sessions m = {.of = END_OF_ACCOUNT, .why = ENDING_kicked};
    hears(comes(SMTP), "220 ");
    end_sessions(it.registry, &m);
    memset(m.who, 'x', sizeof m.who);
    memset(m.text, 'x', sizeof m.text);
    for (uint32_t of = 0; of < 5; of++)
        for (uint32_t why = 0; why < ENDING_COUNT + 2; why++) {
            m.of = of;
            m.why = why;
            end_sessions(it.registry, &m);
        }
    kick(END_OF_NETWORK, "127.0.0.1/99", "x");
    ck_assert_uint_eq(registry_count(it.registry), 1);
}
END_TEST

START_TEST(ended_all_of_them_end_at_once)
{
    struct peer *all[] = {comes(SMTP), comes(POP3), comes(REFUSE)};
    registry_end_all(it.registry);
    ck_assert_uint_eq(registry_count(it.registry), 0);
    ck_assert_uint_eq(rows(), 0);
    ck_assert_uint_eq(it.emptied, 1);
    for (size_t i = 0; i < 3; i++)
        UNTIL(peer_has_ended(all[i]));
}
END_TEST

START_TEST(a_client_that_says_nothing_is_told_so_and_sent_away)
{
    listeners[SMTP].idle_timeout_ms = listeners[POP3].idle_timeout_ms = 20;
    struct peer *smtp = comes(SMTP), *pop3 = comes(POP3);
    hears(smtp, "220 ");
    hears(pop3, "+OK ");
    hears(smtp, "421 4.4.2 ");
    hears(pop3, "-ERR Nothing came");
    sees_the_end(smtp);
    sees_the_end(pop3);
}
END_TEST

/* ---- port 25 ---- */

START_TEST(who_tries_port_25_hears_which_port_it_is)
{
    struct error why;
    struct address at[2];
    ck_assert_int_eq(address_parse("127.0.0.1:2587", &at[0], &why), 0);
    ck_assert_int_eq(address_parse("127.0.0.1:2465", &at[1], &why), 0);
    for (size_t i = 0; i < 2; i++) {
        listeners[SMTP + i].addresses = &at[i];
        listeners[SMTP + i].address_count = 1;
    }
    hears(comes(REFUSE), "554 5.7.1 mail.example.com takes no mail here: send it through port "
                         "2587 or 2465, with a login");
}
END_TEST

START_TEST(whatever_is_said_on_port_25_is_refused_twenty_times)
{
    struct peer *p = comes(REFUSE);
    hears(p, "554 ");
    for (int n = 0; n < 20; n++) {
        peer_say(p, n % 2 == 0 ? "EHLO x\r\n" : "quit now\r\n");
        hears(p, "503 5.5.1 ");
    }
    sees_the_end(p);
}
END_TEST

SUITE(registry)
{
    tcase_add_checked_fixture(tests, begin, end);
    LOOP_TEST(a_client_is_greeted_has_a_row_and_gives_it_back, doors);
    LOOP_TEST(a_client_that_just_goes_gives_its_row_back, doors);
    TEST(a_session_is_shown_with_its_client_and_door);
    TEST(the_end_of_the_last_session_is_told);
    LOOP_TEST(one_more_than_max_connections_is_told_to_come_again, away);
    LOOP_TEST(one_more_of_an_address_than_max_connections_per_ip_is_told_so, away);
    TEST(of_shared_networks_come_as_many_as_there_is_room_for);
    LOOP_TEST(who_is_banned_is_told_until_when, away);
    TEST(who_is_there_when_he_is_banned_is_told_so_and_ends);
    TEST(of_shared_networks_nobody_is_banned);
    LOOP_TEST(where_there_are_no_descriptors_left_the_client_is_told_to_come_again, away);
    LOOP_TEST(while_it_refuses_new_clients_are_sent_away_and_others_stay, away);
    TEST(sessions_at_rest_that_are_asked_to_end_say_so_and_do);
    TEST(no_longer_asked_to_end_sessions_stay);
    TEST(sessions_that_were_let_in_end_when_their_hours_are_over_wherever_the_clock_is_set);
    TEST(of_those_that_are_kicked_each_hears_why_and_the_others_stay);
    TEST(one_session_is_kicked_by_its_id);
    TEST(an_order_that_makes_no_sense_ends_nobody);
    TEST(ended_all_of_them_end_at_once);
    TEST(a_client_that_says_nothing_is_told_so_and_sent_away);
    TEST(who_tries_port_25_hears_which_port_it_is);
    TEST(whatever_is_said_on_port_25_is_refused_twenty_times);
}
