#include "auth/client.h"
#include "auth/turn.h"

#include "ipc/channel.h"
#include "ipc/descriptors.h"
#include "net/turns.h"
#include "telemetry/mapping.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { PROCESSES = 2, SESSIONS = 4 };

static struct auth_client *client;
static const char *refusal; /* the last one */

/* An auth process as the test plays it: what it was told last. */
static struct process {
    struct channel *channel;
    unsigned starts, steps, cancels;
    struct message_auth_start start;
    struct ticket step;
    char text[64];
    size_t size;
} processes[PROCESSES];

/* Somebody who logs in, and what he was answered. */
static struct session {
    struct auth_exchange *exchange;
    unsigned challenges, answers;
    enum auth_outcome outcome;
    char text[400];
    bool cancels, begins_again;
} sessions[SESSIONS];

static void on_process_message(void *owner, const struct message *m)
{
    struct process *p = owner;
    if (m == NULL)
        return;
    p->size = span_copy(m->tail, p->text, sizeof p->text);
    if (m->type == MESSAGE_AUTH_START) {
        p->starts++;
        p->start = *(const struct message_auth_start *)m->payload;
    } else {
        p->step = ((const struct message_auth_step *)m->payload)->exchange;
        p->steps += m->type == MESSAGE_AUTH_STEP;
        p->cancels += m->type == MESSAGE_AUTH_CANCEL;
    }
}

static void on_answer(void *owner, const struct auth_answer *a);

static void begin_login(struct session *s, const struct span *response)
{
    const struct auth_request request = {
        .service = AUTH_SMTP, .mechanism = MECHANISM_PLAIN, .response = response};
    s->exchange = auth_begin(client, &request, on_answer, s, &refusal);
}

static void on_answer(void *owner, const struct auth_answer *a)
{
    struct session *s = owner;
    ck_assert_ptr_nonnull(s->exchange);
    (void)span_copy(a->text, s->text, sizeof s->text);
    if (a->is_done) {
        s->answers++;
        s->outcome = a->outcome;
        s->exchange = NULL;
        if (s->begins_again)
            begin_login(s, NULL);
    } else {
        s->challenges++;
        if (s->cancels)
            auth_cancel(&s->exchange);
    }
}

static void open_process(struct process *p)
{
    int ends[2];
    struct error why;
    ck_assert_int_eq(channel_pair(ends, &why), 0);
    p->channel = channel_create(turns.loop, ends[0], on_process_message, p);
    ck_assert_ptr_nonnull(p->channel);
    auth_client_add(client, ends[1]);
}

static void begin(void)
{
    turns_begin();
    client = auth_client_create(turns.loop, NULL);
    ck_assert_ptr_nonnull(client);
}

static void end(void)
{
    for (size_t i = 0; i < PROCESSES; i++)
        channel_destroy(&processes[i].channel);
    auth_client_destroy(&client);
    turns_end();
}

/* The process's answers. */
static void challenge(const struct process *p, struct ticket exchange, const char *text)
{
    const struct message_auth_step step = {.exchange = exchange};
    ck_assert_int_eq(channel_send(p->channel, MESSAGE_AUTH_CHALLENGE, &step, span_of(text), -1), 0);
}

static void finish(const struct process *p, struct ticket exchange, uint32_t outcome,
                   const char *text)
{
    const struct message_auth_done done = {.exchange = exchange, .outcome = outcome};
    ck_assert_int_eq(channel_send(p->channel, MESSAGE_AUTH_DONE, &done, span_of(text), -1), 0);
}

/* A login that has reached the first process. */
static void begin_one(void)
{
    const struct span response = span_make("\0ana\0secret", 11);
    open_process(&processes[0]);
    begin_login(&sessions[0], &response);
    ck_assert_ptr_nonnull(sessions[0].exchange);
    UNTIL(processes[0].starts == 1);
}

/* ---- an exchange ---- */

START_TEST(a_process_is_told_mechanism_service_and_first_response)
{
    begin_one();
    ck_assert_uint_eq(processes[0].start.mechanism, MECHANISM_PLAIN);
    ck_assert_uint_eq(processes[0].start.binding_size, 0);
    ck_assert_uint_eq(processes[0].start.service, AUTH_SMTP);
    ck_assert_uint_eq(processes[0].start.has_response, 1);
    ck_assert_uint_eq(processes[0].size, 11);
    ck_assert_mem_eq(processes[0].text, "\0ana\0secret", 11);
}
END_TEST

START_TEST(a_process_is_told_what_binds_the_client_to_its_connection)
{
    const struct channel_binding binding = {.name = "tls-exporter", .size = 5, .bytes = "bound"};
    const struct auth_request request = {
        .service = AUTH_SMTP, .mechanism = MECHANISM_SCRAM_PLUS, .binding = &binding};
    open_process(&processes[0]);
    sessions[0].exchange = auth_begin(client, &request, on_answer, &sessions[0], &refusal);
    UNTIL(processes[0].starts == 1);
    ck_assert_str_eq(processes[0].start.binding_name, "tls-exporter");
    ck_assert_uint_eq(processes[0].start.binding_size, 5);
    ck_assert_mem_eq(processes[0].start.binding_bytes, "bound", 5);
}
END_TEST

START_TEST(an_empty_response_is_not_the_same_as_none)
{
    const struct span empty = span_of("");
    open_process(&processes[0]);
    begin_login(&sessions[0], &empty);
    UNTIL(processes[0].starts == 1);
    ck_assert_uint_eq(processes[0].start.has_response, 1);
    const struct auth_request request = {.service = AUTH_POP3, .mechanism = MECHANISM_CRAM_MD5};
    sessions[1].exchange = auth_begin(client, &request, on_answer, &sessions[1], &refusal);
    UNTIL(processes[0].starts == 2);
    ck_assert_uint_eq(processes[0].start.has_response, 0);
    ck_assert_uint_eq(processes[0].start.service, AUTH_POP3);
    ck_assert_uint_eq(processes[0].start.mechanism, MECHANISM_CRAM_MD5);
}
END_TEST

START_TEST(challenges_and_responses_go_to_and_fro_until_it_is_done)
{
    begin_one();
    challenge(&processes[0], processes[0].start.exchange, "Username:");
    UNTIL(sessions[0].challenges == 1);
    ck_assert_str_eq(sessions[0].text, "Username:");
    ck_assert_int_eq(auth_step(sessions[0].exchange, span_of("ana"), &refusal), 0);
    UNTIL(processes[0].steps == 1);
    ck_assert_str_eq(processes[0].text, "ana");
    ck_assert_mem_eq(&processes[0].step, &processes[0].start.exchange, sizeof(struct ticket));
    finish(&processes[0], processes[0].step, AUTH_GOOD, "ana@example.com");
    UNTIL(sessions[0].answers == 1);
    ck_assert_uint_eq(sessions[0].outcome, AUTH_GOOD);
    ck_assert_str_eq(sessions[0].text, "ana@example.com");
}
END_TEST

static const struct {
    uint32_t sent;
    enum auth_outcome told;
} outcomes[] = {
    {AUTH_GOOD, AUTH_GOOD},
    {AUTH_WRONG, AUTH_WRONG},
    {AUTH_UNAVAILABLE, AUTH_UNAVAILABLE},
    {AUTH_MALFORMED, AUTH_MALFORMED},
    {AUTH_MALFORMED + 1, AUTH_UNAVAILABLE}, /* nothing that exists */
    {0x80000000, AUTH_UNAVAILABLE},
    {UINT32_MAX, AUTH_UNAVAILABLE},
};

START_TEST(an_outcome_is_told_as_it_was_sent_and_one_that_is_none_as_unavailable)
{
    begin_one();
    finish(&processes[0], processes[0].start.exchange, outcomes[_i].sent, "");
    UNTIL(sessions[0].answers == 1);
    ck_assert_uint_eq(sessions[0].outcome, outcomes[_i].told);
}
END_TEST

START_TEST(an_exchange_is_answered_once)
{
    begin_one();
    finish(&processes[0], processes[0].start.exchange, AUTH_WRONG, "");
    finish(&processes[0], processes[0].start.exchange, AUTH_GOOD, "ana@example.com");
    challenge(&processes[0], processes[0].start.exchange, "Password:");
    UNTIL(sessions[0].answers == 1);
    channel_destroy(&processes[0].channel);
    turns_for(5);
    ck_assert_uint_eq(sessions[0].answers, 1);
    ck_assert_uint_eq(sessions[0].challenges, 0);
    ck_assert_uint_eq(sessions[0].outcome, AUTH_WRONG);
}
END_TEST

/* ---- giving up ---- */

START_TEST(a_cancelled_exchange_is_told_to_the_process_and_never_answered)
{
    begin_one();
    auth_cancel(&sessions[0].exchange);
    ck_assert_ptr_null(sessions[0].exchange);
    auth_cancel(&sessions[0].exchange);
    finish(&processes[0], processes[0].start.exchange, AUTH_GOOD, "ana@example.com");
    UNTIL(processes[0].cancels == 1);
    ck_assert_mem_eq(&processes[0].step, &processes[0].start.exchange, sizeof(struct ticket));
    turns_for(5);
    ck_assert_uint_eq(sessions[0].answers, 0);
}
END_TEST

START_TEST(a_late_answer_does_not_reach_who_has_taken_the_place)
{
    begin_one();
    struct ticket old = processes[0].start.exchange;
    auth_cancel(&sessions[0].exchange);
    begin_login(&sessions[1], NULL);
    UNTIL(processes[0].starts == 2);
    ck_assert_uint_eq(processes[0].start.exchange.slot, old.slot);
    finish(&processes[0], old, AUTH_GOOD, "ana@example.com");
    challenge(&processes[0], old, "Password:");
    turns_for(5);
    ck_assert_uint_eq(sessions[1].answers + sessions[1].challenges, 0);
    finish(&processes[0], processes[0].start.exchange, AUTH_WRONG, "");
    UNTIL(sessions[1].answers == 1);
    ck_assert_uint_eq(sessions[1].outcome, AUTH_WRONG);
}
END_TEST

START_TEST(it_can_be_cancelled_by_the_challenge_that_comes)
{
    begin_one();
    sessions[0].cancels = true;
    challenge(&processes[0], processes[0].start.exchange, "Username:");
    challenge(&processes[0], processes[0].start.exchange, "Username:");
    UNTIL(processes[0].cancels == 1);
    turns_for(5);
    ck_assert_uint_eq(sessions[0].challenges, 1);
}
END_TEST

/* ---- processes ---- */

START_TEST(without_a_process_nothing_begins)
{
    begin_login(&sessions[0], NULL);
    ck_assert_ptr_null(sessions[0].exchange);
}
END_TEST

START_TEST(when_a_process_ends_its_exchanges_are_answered_unavailable_once_each)
{
    open_process(&processes[0]);
    for (size_t i = 0; i < SESSIONS; i++)
        begin_login(&sessions[i], NULL);
    UNTIL(processes[0].starts == SESSIONS);
    channel_destroy(&processes[0].channel);
    UNTIL(sessions[SESSIONS - 1].answers == 1);
    turns_for(5);
    for (size_t i = 0; i < SESSIONS; i++) {
        ck_assert_uint_eq(sessions[i].answers, 1);
        ck_assert_uint_eq(sessions[i].outcome, AUTH_UNAVAILABLE);
    }
    begin_login(&sessions[0], NULL);
    ck_assert_ptr_null(sessions[0].exchange);
}
END_TEST

START_TEST(exchanges_of_another_process_go_on)
{
    open_process(&processes[0]);
    open_process(&processes[1]);
    begin_login(&sessions[0], NULL);
    begin_login(&sessions[1], NULL);
    UNTIL(processes[0].starts == 1 && processes[1].starts == 1);
    channel_destroy(&processes[0].channel);
    UNTIL(sessions[0].answers + sessions[1].answers == 1);
    finish(&processes[1], processes[1].start.exchange, AUTH_GOOD, "ana@example.com");
    UNTIL(sessions[0].answers == 1 && sessions[1].answers == 1);
    ck_assert_uint_ne(sessions[0].outcome, sessions[1].outcome);
}
END_TEST

START_TEST(who_is_answered_unavailable_can_begin_again_with_another_process)
{
    open_process(&processes[0]);
    begin_login(&sessions[0], NULL);
    begin_login(&sessions[1], NULL);
    UNTIL(processes[0].starts == 2);
    open_process(&processes[1]);
    sessions[0].begins_again = sessions[1].begins_again = true;
    channel_destroy(&processes[0].channel);
    UNTIL(processes[1].starts == 2);
    turns_for(5);
    ck_assert_uint_eq(sessions[0].answers, 1);
    ck_assert_uint_eq(sessions[1].answers, 1);
    ck_assert(sessions[0].exchange != NULL && sessions[1].exchange != NULL);
}
END_TEST

START_TEST(a_process_that_takes_the_place_of_another_serves)
{
    begin_one();
    channel_destroy(&processes[0].channel);
    UNTIL(sessions[0].answers == 1);
    open_process(&processes[1]);
    begin_login(&sessions[0], NULL);
    UNTIL(processes[1].starts == 1);
    finish(&processes[1], processes[1].start.exchange, AUTH_GOOD, "ana@example.com");
    UNTIL(sessions[0].answers == 2);
}
END_TEST

START_TEST(the_least_busy_process_is_asked)
{
    open_process(&processes[0]);
    open_process(&processes[1]);
    for (size_t i = 0; i < SESSIONS; i++)
        begin_login(&sessions[i], NULL);
    UNTIL(processes[0].starts + processes[1].starts == SESSIONS);
    ck_assert_uint_eq(processes[0].starts, SESSIONS / 2);
    struct process *p = &processes[1];
    finish(p, p->start.exchange, AUTH_WRONG, "");
    UNTIL(sessions[0].answers + sessions[1].answers + sessions[2].answers + sessions[3].answers ==
          1);
    begin_login(&sessions[0], NULL);
    UNTIL(p->starts == SESSIONS / 2 + 1);
}
END_TEST

START_TEST(a_process_that_takes_nothing_is_told_by_null)
{
    static char response[MESSAGE_TAIL_MAX];
    const struct span big = span_make(response, sizeof response);
    int ends[2];
    struct error why;
    ck_assert_int_eq(channel_pair(ends, &why), 0);
    auth_client_add(client, ends[1]); /* nobody reads at the other end */
    unsigned begun = 0;
    do {
        begin_login(&sessions[0], &big);
        ck_assert_uint_lt(++begun, 1000);
    } while (sessions[0].exchange != NULL);
    ck_assert_int_eq(close(ends[0]), 0);
}
END_TEST

START_TEST(there_is_room_for_4096_exchanges)
{
    static struct session many;
    open_process(&processes[0]);
    for (unsigned n = 1; n <= 4096; n++) {
        begin_login(&many, NULL);
        ck_assert_ptr_nonnull(many.exchange);
        UNTIL(processes[0].starts == n);
        challenge(&processes[0], processes[0].start.exchange, ""); /* so that it waits no more */
        UNTIL(many.challenges == n);
    }
    struct auth_exchange *last = many.exchange;
    begin_login(&many, NULL);
    ck_assert_ptr_null(many.exchange);
    auth_cancel(&last);
    begin_login(&many, NULL);
    ck_assert_ptr_nonnull(many.exchange);
}
END_TEST

/* ---- a hostile process ---- */

START_TEST(an_answer_from_a_process_that_was_not_asked_is_passed_over)
{
    begin_one();
    open_process(&processes[1]);
    finish(&processes[1], processes[0].start.exchange, AUTH_GOOD, "root@example.com");
    challenge(&processes[1], processes[0].start.exchange, "Password:");
    turns_for(5);
    ck_assert_uint_eq(sessions[0].answers + sessions[0].challenges, 0);
}
END_TEST

START_TEST(answers_to_tickets_that_do_not_exist_are_passed_over)
{
    begin_one();
    const struct ticket t = processes[0].start.exchange;
    const struct ticket wrong[] = {{t.slot, t.generation + 1},
                                   {t.slot, t.generation - 1},
                                   {t.slot, 0},
                                   {t.slot + 1, t.generation},
                                   {4096, 1},
                                   {UINT32_MAX, UINT32_MAX}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        finish(&processes[0], wrong[i], AUTH_GOOD, "root@example.com");
        challenge(&processes[0], wrong[i], "Password:");
    }
    turns_for(5);
    ck_assert_uint_eq(sessions[0].answers + sessions[0].challenges, 0);
}
END_TEST

START_TEST(other_messages_are_passed_over)
{
    static const union message_any payload;
    begin_one();
    for (unsigned type = 0; type < MESSAGE_COUNT; type++)
        if (type != MESSAGE_AUTH_CHALLENGE && type != MESSAGE_AUTH_DONE)
            ck_assert_int_eq(channel_send(processes[0].channel, (enum message_type)type, &payload,
                                          span_of("text"), -1),
                             0);
    turns_for(5);
    ck_assert_uint_eq(sessions[0].answers + sessions[0].challenges, 0);
    finish(&processes[0], processes[0].start.exchange, AUTH_GOOD, "ana@example.com");
    UNTIL(sessions[0].answers == 1);
}
END_TEST

START_TEST(descriptors_that_nobody_wants_are_closed)
{
    begin_one();
    unsigned before = open_descriptors();
    const struct message_auth_step step = {.exchange = processes[0].start.exchange};
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(channel_send(processes[0].channel, MESSAGE_AUTH_CHALLENGE, &step,
                                      span_of(""), STDERR_FILENO),
                         0);
    UNTIL(sessions[0].challenges == 10);
    ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

/* ---- how many wait ---- */

static struct auth_exchange *ask_from(const char *address)
{
    struct address from;
    struct error bad;
    if (address != NULL)
        ck_assert_int_eq(address_parse(address, &from, &bad), 0);
    const struct auth_request request = {.mechanism = MECHANISM_SCRAM,
                                         .client = address == NULL ? NULL : &from};
    return auth_begin(client, &request, on_answer, &sessions[3], &refusal);
}

static const struct {
    const char *first, *same, *other;
} clients[] = {
    {"192.0.2.1:1000", "192.0.2.1:2000", "192.0.2.2:1000"},
    {"[::ffff:192.0.2.1]:1000", "192.0.2.1:1000", "[::ffff:192.0.2.2]:1000"},
    {"[2001:db8::1]:1000", "[2001:db8::ffff:1]:1000", "[2001:db8:0:1::1]:1000"},
};

START_TEST(four_of_one_client_may_wait)
{
    struct auth_exchange *waiting[TURNS_OF_CLIENT_MAX];
    open_process(&processes[0]);
    for (int i = 0; i < TURNS_OF_CLIENT_MAX; i++)
        ck_assert_ptr_nonnull(waiting[i] = ask_from(clients[_i].first));
    ck_assert_ptr_null(ask_from(clients[_i].same));
    ck_assert_str_eq(refusal, "too many logins of this address wait");
    ck_assert_ptr_nonnull(ask_from(clients[_i].other));
    ck_assert_ptr_nonnull(ask_from(NULL)); /* many people are behind it */
    auth_cancel(&waiting[1]);
    ck_assert_ptr_nonnull(ask_from(clients[_i].same));
    ck_assert_ptr_null(ask_from(clients[_i].first));
}
END_TEST

START_TEST(who_is_asked_by_the_process_waits_for_it_no_more)
{
    struct address from;
    struct error bad;
    ck_assert_int_eq(address_parse("192.0.2.1:1000", &from, &bad), 0);
    const struct auth_request request = {.mechanism = MECHANISM_SCRAM, .client = &from};
    open_process(&processes[0]);
    sessions[0].exchange = auth_begin(client, &request, on_answer, &sessions[0], &refusal);
    UNTIL(processes[0].starts == 1);
    challenge(&processes[0], processes[0].start.exchange, "?");
    UNTIL(sessions[0].challenges == 1);
    for (int i = 0; i < TURNS_OF_CLIENT_MAX; i++)
        ck_assert_ptr_nonnull(ask_from("192.0.2.1:1000"));
    ck_assert_int_eq(auth_step(sessions[0].exchange, span_of("!"), &refusal), -1);
    ck_assert_str_eq(refusal, "too many logins of this address wait");
}
END_TEST

START_TEST(no_more_than_so_many_wait_for_a_process)
{
    open_process(&processes[0]);
    for (int i = 0; i < AUTH_WAITING_MAX; i++)
        ck_assert_ptr_nonnull(ask_from(NULL));
    ck_assert_ptr_null(ask_from(NULL));
    ck_assert_str_eq(refusal, "too many logins wait for an auth process");
    open_process(&processes[1]);
    ck_assert_ptr_nonnull(ask_from(NULL));
}
END_TEST

/* ---- the cache ---- */

static const unsigned char key[AUTH_CACHE_KEY_SIZE] = "a key of this test";
static struct auth_cache cache = {
    .key = key, .generation = 1, .realm = "example.com", .lifetime_ns = 60 * CLOCK_SECOND};
static const struct span plain = {.data = "\0ana\0secret", .size = 11};

/* A gateway with a cache, and ana logged in once, by an auth process. */
static void begin_with_cache(void)
{
    cache.table = mapping_make(auth_cache_size());
    auth_client_destroy(&client);
    client = auth_client_create(turns.loop, &cache);
    ck_assert_ptr_nonnull(client);
    open_process(&processes[0]);
    begin_login(&sessions[0], &plain);
    UNTIL(processes[0].starts == 1);
    finish(&processes[0], processes[0].start.exchange, AUTH_GOOD, "ana@example.com");
    UNTIL(sessions[0].answers == 1);
}

START_TEST(a_password_that_was_right_is_asked_about_once)
{
    begin_with_cache();
    begin_login(&sessions[1], &plain);
    ck_assert_uint_eq(sessions[1].answers, 0); /* not from within a function */
    UNTIL(sessions[1].answers == 1);
    ck_assert_uint_eq(sessions[1].outcome, AUTH_GOOD);
    ck_assert_str_eq(sessions[1].text, "ana@example.com");
    ck_assert_uint_eq(processes[0].starts, 1);
}
END_TEST

/* EXTERNAL is answered without any process. */
static const struct {
    const char *certificate, *wanted; /* NULL: no response */
    const char *account;              /* NULL: wrong */
} certificates[] = {
    {"ana@example.com", "", "ana@example.com"},
    {"Ana", NULL, "ana@example.com"},
    {"ana", "ANA@example.com", "ana@example.com"},
    {"ana", "rui", NULL},
    {"ana", "ana@other.example", NULL},
    {"ana", "a na", NULL},
    {"Ana Costa", "", NULL},
    {"", "", NULL},
    {"", "ana", NULL},
    {NULL, "ana", NULL},
};

START_TEST(a_certificate_lets_in_whom_it_names)
{
    auth_client_destroy(&client);
    client = auth_client_create(turns.loop, &cache);
    const char *wanted = certificates[_i].wanted;
    const struct span response = span_of(wanted == NULL ? "" : wanted);
    const struct auth_request request = {.mechanism = MECHANISM_EXTERNAL,
                                         .response = wanted == NULL ? NULL : &response,
                                         .certificate = certificates[_i].certificate};
    sessions[0].exchange = auth_begin(client, &request, on_answer, &sessions[0], &refusal);
    ck_assert_uint_eq(sessions[0].answers, 0); /* not from within a function */
    UNTIL(sessions[0].answers == 1);
    const char *account = certificates[_i].account;
    ck_assert_uint_eq(sessions[0].outcome, account != NULL ? AUTH_GOOD : AUTH_WRONG);
    ck_assert_str_eq(sessions[0].text, account != NULL ? account : "");
}
END_TEST

START_TEST(it_is_known_while_no_auth_process_is_there)
{
    begin_with_cache();
    channel_destroy(&processes[0].channel);
    turns_for(5);
    begin_login(&sessions[1], &plain);
    UNTIL(sessions[1].answers == 1);
    ck_assert_uint_eq(sessions[1].outcome, AUTH_GOOD);
}
END_TEST

START_TEST(an_answer_of_the_cache_can_be_given_up)
{
    begin_with_cache();
    begin_login(&sessions[1], &plain);
    ck_assert_int_eq(auth_step(sessions[1].exchange, plain, &refusal), -1);
    auth_cancel(&sessions[1].exchange);
    turns_for(5);
    ck_assert_uint_eq(sessions[1].answers, 0);
    ck_assert_uint_eq(processes[0].cancels, 0);
}
END_TEST

START_TEST(a_client_that_ends_takes_answers_of_the_cache_with_it)
{
    begin_with_cache();
    begin_login(&sessions[1], &plain);
    auth_client_destroy(&client);
    turns_for(5);
    ck_assert_uint_eq(sessions[1].answers, 0);
}
END_TEST

static const struct {
    enum auth_outcome outcome;
    const char *account;
} not_kept[] = {{AUTH_WRONG, ""}, {AUTH_UNAVAILABLE, ""}, {AUTH_GOOD, "eva@example.com"}};

START_TEST(only_what_was_right_and_for_that_account_is_kept)
{
    begin_with_cache();
    memset(cache.table, 0, auth_cache_size());
    for (size_t i = 1; i < 3; i++) {
        begin_login(&sessions[i], &plain);
        UNTIL(processes[0].starts == i + 1);
        finish(&processes[0], processes[0].start.exchange, not_kept[_i].outcome,
               not_kept[_i].account);
        UNTIL(sessions[i].answers == 1);
    }
}
END_TEST

/* ---- without memory ---- */

static void create_and_destroy(void)
{
    struct auth_client *c = auth_client_create(turns.loop, NULL);
    bool is_null = c == NULL;
    auth_client_destroy(&c);
    if (is_null != failing_has_failed())
        ck_abort_msg("null without memory alone");
}

START_TEST(without_memory_there_is_no_client)
{
    WITH_EACH_ALLOCATION_FAILING(create_and_destroy());
}
END_TEST

static void begin_and_cancel(void)
{
    struct session s = {.exchange = NULL};
    begin_login(&s, NULL);
    bool is_null = s.exchange == NULL;
    auth_cancel(&s.exchange);
    if (is_null != failing_has_failed())
        ck_abort_msg("null without memory alone");
}

START_TEST(without_memory_nothing_begins)
{
    open_process(&processes[0]);
    WITH_EACH_ALLOCATION_FAILING(begin_and_cancel());
}
END_TEST

SUITE(client)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(a_process_is_told_mechanism_service_and_first_response);
    TEST(a_process_is_told_what_binds_the_client_to_its_connection);
    TEST(an_empty_response_is_not_the_same_as_none);
    TEST(challenges_and_responses_go_to_and_fro_until_it_is_done);
    LOOP_TEST(an_outcome_is_told_as_it_was_sent_and_one_that_is_none_as_unavailable, outcomes);
    TEST(an_exchange_is_answered_once);
    TEST(a_cancelled_exchange_is_told_to_the_process_and_never_answered);
    TEST(a_late_answer_does_not_reach_who_has_taken_the_place);
    TEST(it_can_be_cancelled_by_the_challenge_that_comes);
    TEST(without_a_process_nothing_begins);
    TEST(when_a_process_ends_its_exchanges_are_answered_unavailable_once_each);
    TEST(exchanges_of_another_process_go_on);
    TEST(who_is_answered_unavailable_can_begin_again_with_another_process);
    TEST(a_process_that_takes_the_place_of_another_serves);
    TEST(the_least_busy_process_is_asked);
    TEST(a_process_that_takes_nothing_is_told_by_null);
    TEST(there_is_room_for_4096_exchanges);
    TEST(an_answer_from_a_process_that_was_not_asked_is_passed_over);
    TEST(answers_to_tickets_that_do_not_exist_are_passed_over);
    TEST(other_messages_are_passed_over);
    TEST(descriptors_that_nobody_wants_are_closed);
    TEST(without_memory_there_is_no_client);
    TEST(without_memory_nothing_begins);
    TEST(a_password_that_was_right_is_asked_about_once);
    LOOP_TEST(four_of_one_client_may_wait, clients);
    TEST(who_is_asked_by_the_process_waits_for_it_no_more);
    TEST(no_more_than_so_many_wait_for_a_process);
    LOOP_TEST(a_certificate_lets_in_whom_it_names, certificates);
    TEST(it_is_known_while_no_auth_process_is_there);
    TEST(an_answer_of_the_cache_can_be_given_up);
    TEST(a_client_that_ends_takes_answers_of_the_cache_with_it);
    LOOP_TEST(only_what_was_right_and_for_that_account_is_kept, not_kept);
}
