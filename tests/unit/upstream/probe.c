#include "upstream/probe.h"

#include "behind.h"

#include "protocol/smtp/parameters.h"

static struct probes *probes;

static void begin(size_t count, const char *settings)
{
    behind_begin(count, settings);
    config->upstream_count = 1; /* the other one is not asked */
    probes = probes_create(&behind.context);
    ck_assert_ptr_nonnull(probes);
}

static void end(void)
{
    probes_destroy(&probes);
    config->upstream_count = 2;
    behind_end();
}

static uint32_t offer_of(size_t server, uint64_t *size)
{
    uint32_t extensions;
    health_offer(behind.context.health,
                 label_slot(behind.context.labels, LABEL_SERVER, upstream()->servers[server].name),
                 &extensions, size);
    return extensions;
}

START_TEST(a_server_that_answers_is_up_with_what_it_offers)
{
    uint64_t size;
    begin(1, "tls = \"none\"");
    ck_assert_uint_eq(state_of(0), SERVER_UNKNOWN);
    struct peer *p = greets(0, "250-PIPELINING\r\n250-SIZE 10000\r\n250 8BITMIME\r\n");
    hears(p, "QUIT\r\n");
    sees_the_end(p);
    ck_assert_uint_eq(state_of(0), SERVER_UP);
    ck_assert_uint_eq(offer_of(0, &size),
                      HEALTH_PROBED | SMTP_PIPELINING | SMTP_SIZE | SMTP_8BITMIME);
    ck_assert_uint_eq(size, 10000);
    ck_assert_uint_eq(lines_with("event=upstream_up upstream=smtp/s0"), 1);
}
END_TEST

START_TEST(a_server_that_offers_nothing_has_been_probed)
{
    uint64_t size;
    begin(1, "tls = \"none\"");
    hears(greets(0, ""), "QUIT\r\n");
    ck_assert_uint_eq(offer_of(0, &size), HEALTH_PROBED);
    ck_assert_uint_eq(size, 0);
}
END_TEST

START_TEST(tls_is_begun_as_a_session_would_and_ehlo_said_again)
{
    uint64_t size;
    begin(1, "tls = \"require\"");
    struct peer *p = greets(0, "250-STARTTLS\r\n250 SIZE 5\r\n");
    hears(p, "STARTTLS\r\n");
    peer_say(p, "220 go\r\n");
    peer_start_tls(p, behind.server_tls, true);
    hears(p, EHLO);
    peer_say(p, "250-behind\r\n250 SIZE 7\r\n");
    hears(p, "QUIT\r\n");
    ck_assert_uint_eq(offer_of(0, &size), HEALTH_PROBED | SMTP_SIZE);
    ck_assert_uint_eq(size, 7);
}
END_TEST

START_TEST(all_servers_are_asked_at_once)
{
    begin(3, "tls = \"none\"");
    for (size_t i = 0; i < 3; i++)
        hears(greets(i, ""), "QUIT\r\n");
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(state_of(i), SERVER_UP);
}
END_TEST

/* How a server fails. */
static void break_server(int how)
{
    if (how == 0) {
        ck_assert_int_eq(close(behind.listening[0]), 0);
        behind.listening[0] = -1;
        return;
    }
    struct peer *p = next_client(0);
    if (how == 1)
        peer_close(p);
    else if (how == 2)
        peer_say(p, "421 4.3.2 too many connections\r\n");
    else if (how == 3)
        peer_say(p, "554 5.7.1 go away\r\n");
}

START_TEST(a_server_that_does_not_answer_is_down)
{
    behind_begin(1, "tls = \"none\"");
    upstream()->command_timeout_ms = 100; /* 4: it says nothing */
    config->upstream_count = 1;
    if (_i == 0)
        break_server(0);
    probes = probes_create(&behind.context);
    if (_i > 0)
        break_server(_i);
    UNTIL(state_of(0) == SERVER_DOWN);
    ck_assert_uint_eq(lines_with("event=upstream_down upstream=smtp/s0 reason="), 1);
}
END_TEST

START_TEST(a_server_that_is_back_is_up_again)
{
    begin(1, "tls = \"none\" health_check = \"1s\"");
    peer_say(next_client(0), "554 5.7.1 go away\r\n");
    UNTIL(state_of(0) == SERVER_DOWN);
    hears(greets(0, ""), "QUIT\r\n");
    ck_assert_uint_eq(state_of(0), SERVER_UP);
    ck_assert_uint_eq(lines_with("event=upstream_down"), 1);
    ck_assert_uint_eq(lines_with("event=upstream_up"), 1);
}
END_TEST

START_TEST(a_server_is_asked_again_and_again_and_told_of_once)
{
    behind_begin(1, "tls = \"none\"");
    upstream()->health_check_ms = 50;
    config->upstream_count = 1;
    probes = probes_create(&behind.context);
    for (int n = 0; n < 4; n++)
        hears(greets(0, ""), "QUIT\r\n");
    ck_assert_uint_eq(lines_with("event=upstream_up"), 1);
}
END_TEST

START_TEST(a_server_that_a_session_has_found_dead_is_asked_soon)
{
    begin(1, "tls = \"none\" health_check = \"10min\"");
    hears(greets(0, ""), "QUIT\r\n");
    (void)health_set_state(behind.context.health,
                           label_slot(behind.context.labels, LABEL_SERVER, "smtp/s0"), SERVER_DOWN);
    hears(greets(0, ""), "QUIT\r\n");
    ck_assert_uint_eq(state_of(0), SERVER_UP);
}
END_TEST

START_TEST(a_pop3_server_is_asked_for_capa)
{
    begin(1, "protocol = \"pop3\" tls = \"none\"");
    struct peer *p = next_client(0);
    peer_say(p, "+OK POP3 behind\r\n");
    hears(p, "CAPA\r\n");
    ck_assert_uint_eq(state_of(0), SERVER_UNKNOWN);
    peer_say(p, _i == 0 ? "+OK\r\nUSER\r\n.\r\n" : "-ERR what?\r\n");
    hears(p, "QUIT\r\n");
    sees_the_end(p);
    ck_assert_uint_eq(state_of(0), SERVER_UP);
}
END_TEST

START_TEST(a_pop3_server_that_does_not_answer_is_down)
{
    begin(1, "protocol = \"pop3\" tls = \"none\"");
    peer_say(next_client(0), "-ERR too many connections\r\n");
    UNTIL(state_of(0) == SERVER_DOWN);
    ck_assert_uint_eq(lines_with("event=upstream_down upstream=smtp/s0 reason="), 1);
}
END_TEST

START_TEST(probes_take_no_permits)
{
    begin(1, "tls = \"none\" max_connections = 1");
    (void)next_client(0);
    ck_assert_uint_eq(connections(0), 0);
}
END_TEST

START_TEST(probes_that_end_are_closed_wherever_they_are)
{
    begin(2, "tls = \"none\"");
    struct peer *first = next_client(0), *second = next_client(1);
    peer_say(first, "220 behind\r\n");
    hears(first, EHLO);
    probes_destroy(&probes);
    ck_assert_ptr_null(probes);
    sees_the_end(first);
    sees_the_end(second);
    turns_for(20);
}
END_TEST

static void create_and_destroy(void)
{
    struct probes *p = probes_create(&behind.context);
    bool is_null = p == NULL;
    probes_destroy(&p);
    if (is_null != failing_has_failed())
        ck_abort_msg("null without memory alone");
}

START_TEST(without_memory_there_are_no_probes)
{
    behind_begin(2, "");
    WITH_EACH_ALLOCATION_FAILING(create_and_destroy());
}
END_TEST

SUITE(probe)
{
    behind_use(tests);
    tcase_add_checked_fixture(tests, NULL, end);
    TEST(a_server_that_answers_is_up_with_what_it_offers);
    TEST(a_server_that_offers_nothing_has_been_probed);
    TEST(tls_is_begun_as_a_session_would_and_ehlo_said_again);
    TEST(all_servers_are_asked_at_once);
    tcase_add_loop_test(tests, a_server_that_does_not_answer_is_down, 0, 5);
    TEST(a_server_that_is_back_is_up_again);
    TEST(a_server_is_asked_again_and_again_and_told_of_once);
    TEST(a_server_that_a_session_has_found_dead_is_asked_soon);
    tcase_add_loop_test(tests, a_pop3_server_is_asked_for_capa, 0, 2);
    TEST(a_pop3_server_that_does_not_answer_is_down);
    TEST(probes_take_no_permits);
    TEST(probes_that_end_are_closed_wherever_they_are);
    TEST(without_memory_there_are_no_probes);
}
