#include "sasl/service.h"

#include "store.h"

#include "auth/account.h"
#include "auth/client.h"
#include "base/privileges.h"
#include "ipc/channel.h"
#include "ipc/descriptors.h"
#include "net/turns.h"
#include "sasl/backend.h"

#include <errno.h>

enum { LOGINS = 200 };

static struct sasl_service *service;
static struct log *log_lines;
static struct event_log event_log;
static struct backend *backend;
static struct auth_client *client;
static bool is_empty; /* it was told so */

static const char *why_not; /* the last refusal */

/* Somebody who logs in. */
static struct login {
    struct auth_exchange *exchange;
    char said[300]; /* what he answers to a challenge */
    size_t size;
    unsigned challenges, answers;
    enum auth_outcome outcome;
    char text[ACCOUNT_SIZE];
} logins[LOGINS];

static void on_answer(void *owner, const struct auth_answer *a)
{
    struct login *l = owner;
    (void)span_copy(a->text, l->text, sizeof l->text);
    if (a->is_done) {
        l->answers++;
        l->outcome = a->outcome;
        l->exchange = NULL;
    } else {
        ck_assert_uint_eq(l->challenges++, 0);
        ck_assert_int_eq(auth_step(l->exchange, span_make(l->said, l->size), &why_not), 0);
    }
}

static void on_empty(void *owner)
{
    ck_assert_ptr_eq(owner, &is_empty);
    is_empty = true;
}

static void connect_client(void)
{
    int ends[2];
    struct error why;
    ck_assert_int_eq(channel_pair(ends, &why), 0);
    auth_client_add(client, ends[0]);
    sasl_service_add(service, ends[1], true);
}

static void begin(void)
{
    struct error why = {.text = ""};
    turns_begin();
    store_configure("sasldb2");
    log_lines = log_create(-1, LOG_LEVEL_ERROR + 1);
    event_log = (struct event_log){.lines = log_lines, .process = ""};
    backend = calloc(1, backend_size());
    ck_assert(log_lines != NULL && backend != NULL);
    const struct sasl_service_options options = {.loop = turns.loop,
                                                 .config = config,
                                                 .log = &event_log,
                                                 .backend = backend,
                                                 .secret = store_secret};
    service = sasl_service_create(&options, &why);
    ck_assert_msg(service != NULL, "%s", why.text);
    sasl_service_on_empty(service, on_empty, &is_empty);
    client = auth_client_create(turns.loop, NULL);
    ck_assert_ptr_nonnull(client);
}

static void end(void)
{
    auth_client_destroy(&client);
    sasl_service_destroy(&service);
    log_destroy(&log_lines);
    free(backend);
    turns_end();
}

static void begin_login(struct login *l, enum auth_service kind, const char *user,
                        const char *password, bool is_initial)
{
    l->size = (size_t)snprintf(l->said, sizeof l->said, "%c%s%c%s", '\0', user, '\0',
                               password); /* fits */
    const struct span response = span_make(l->said, l->size);
    const struct auth_request request = {
        .service = kind, .mechanism = MECHANISM_PLAIN, .response = is_initial ? &response : NULL};
    l->exchange = auth_begin(client, &request, on_answer, l, &why_not);
    ck_assert_ptr_nonnull(l->exchange);
}

static void plain(struct login *l, const char *user, const char *password)
{
    begin_login(l, AUTH_SMTP, user, password, true);
}

/* Waits for a challenge. */
static void login(struct login *l, const char *user, const char *password)
{
    begin_login(l, AUTH_POP3, user, password, false);
}

static void is_answered(struct login *l, enum auth_outcome outcome, const char *account)
{
    UNTIL(l->answers == 1);
    ck_assert_uint_eq(l->outcome, outcome);
    ck_assert_str_eq(l->text, account);
}

/* ---- logins, from end to end ---- */

START_TEST(plain_is_answered_with_the_account)
{
    connect_client();
    plain(&logins[0], "Ana", "secret");
    is_answered(&logins[0], AUTH_GOOD, "ana@example.com");
    ck_assert_uint_eq(logins[0].challenges, 0);
}
END_TEST

START_TEST(who_waits_for_a_challenge_gets_one)
{
    connect_client();
    login(&logins[0], "Ana", "secret");
    is_answered(&logins[0], AUTH_GOOD, "ana@example.com");
    ck_assert_uint_eq(logins[0].challenges, 1);
}
END_TEST

START_TEST(who_is_refused_is_told_no_name)
{
    connect_client();
    plain(&logins[0], "ana", "wrong");
    is_answered(&logins[0], AUTH_WRONG, "");
    plain(&logins[1], "nobody", "secret");
    is_answered(&logins[1], AUTH_WRONG, "");
    login(&logins[2], "ana", "wrong");
    is_answered(&logins[2], AUTH_WRONG, "");
}
END_TEST

START_TEST(many_exchanges_are_open_at_once)
{
    connect_client();
    for (size_t i = 0; i < LOGINS; i++)
        login(&logins[i], i % 2 == 0 ? "ana" : "rui", i % 3 == 0 ? "secret" : "password of rui");
    for (size_t i = 0; i < LOGINS; i++) {
        bool is_right = (i % 2 == 0) == (i % 3 == 0);
        const char *account = i % 2 == 0 ? "ana@example.com" : "rui@example.com";
        is_answered(&logins[i], is_right ? AUTH_GOOD : AUTH_WRONG, is_right ? account : "");
    }
}
END_TEST

START_TEST(an_exchange_that_was_cancelled_is_forgotten)
{
    connect_client();
    login(&logins[0], "ana", "secret");
    UNTIL(logins[0].challenges == 1);
    auth_cancel(&logins[0].exchange);
    login(&logins[1], "rui", "password of rui");
    is_answered(&logins[1], AUTH_GOOD, "rui@example.com");
    ck_assert_uint_eq(logins[0].answers, 0);
}
END_TEST

START_TEST(a_service_that_ends_leaves_its_exchanges_unavailable_once_each)
{
    connect_client();
    login(&logins[0], "ana", "secret");
    login(&logins[1], "ana", "secret");
    UNTIL(logins[0].challenges + logins[1].challenges >= 1);
    sasl_service_destroy(&service);
    is_answered(&logins[0], AUTH_UNAVAILABLE, "the auth process is gone");
    is_answered(&logins[1], AUTH_UNAVAILABLE, "the auth process is gone");
    turns_for(5);
    ck_assert_uint_eq(logins[0].answers, 1);
    ck_assert_uint_eq(logins[1].answers, 1);
}
END_TEST

/* ---- workers come and go ---- */

START_TEST(when_the_last_worker_has_gone_it_is_told_so)
{
    ck_assert(sasl_service_is_empty(service));
    connect_client();
    connect_client();
    ck_assert(!sasl_service_is_empty(service));
    login(&logins[0], "ana", "secret"); /* is forgotten with its worker */
    turns_for(2);
    ck_assert(!is_empty);
    auth_client_destroy(&client);
    UNTIL(is_empty);
    ck_assert(sasl_service_is_empty(service));
}
END_TEST

START_TEST(who_is_no_worker_is_served_and_does_not_count)
{
    int ends[2];
    struct error why;
    ck_assert_int_eq(channel_pair(ends, &why), 0);
    auth_client_add(client, ends[0]);
    sasl_service_add(service, ends[1], false);
    ck_assert(sasl_service_is_empty(service));
    plain(&logins[0], "ana", "secret");
    is_answered(&logins[0], AUTH_GOOD, "ana@example.com");
    auth_client_destroy(&client);
    turns_for(5);
    ck_assert(!is_empty);
}
END_TEST

START_TEST(workers_do_not_see_one_anothers_exchanges)
{
    struct auth_client *first = client;
    connect_client();
    login(&logins[0], "ana", "secret");
    client = auth_client_create(turns.loop, NULL);
    connect_client();
    login(&logins[1], "rui", "password of rui"); /* with the same ticket */
    is_answered(&logins[0], AUTH_GOOD, "ana@example.com");
    is_answered(&logins[1], AUTH_GOOD, "rui@example.com");
    auth_client_destroy(&first);
    plain(&logins[2], "rui", "password of rui");
    is_answered(&logins[2], AUTH_GOOD, "rui@example.com");
}
END_TEST

/* ---- a hostile worker ---- */

static struct {
    struct channel *channel;
    unsigned challenges, done;
    struct ticket exchange;
    uint32_t outcome;
    bool has_ended;
} worker;

static void on_service(void *owner, const struct message *m)
{
    (void)owner;
    if (m == NULL) {
        worker.has_ended = true;
    } else if (m->type == MESSAGE_AUTH_DONE) {
        const struct message_auth_done *done = m->payload;
        worker.done++;
        worker.exchange = done->exchange;
        worker.outcome = done->outcome;
    } else {
        ck_assert_uint_eq(m->type, MESSAGE_AUTH_CHALLENGE);
        worker.challenges++;
        worker.exchange = ((const struct message_auth_step *)m->payload)->exchange;
    }
}

static void connect_worker(void)
{
    int ends[2];
    struct error why;
    ck_assert_int_eq(channel_pair(ends, &why), 0);
    worker.channel = channel_create(turns.loop, ends[0], on_service, NULL);
    ck_assert_ptr_nonnull(worker.channel);
    sasl_service_add(service, ends[1], true);
}

/* PLAIN, without a first response. */
static void send_start(struct ticket exchange)
{
    const struct message_auth_start start = {.exchange = exchange, .mechanism = MECHANISM_PLAIN};
    ck_assert_int_eq(channel_send(worker.channel, MESSAGE_AUTH_START, &start, span_of(""), -1), 0);
}

static void send_to(struct ticket exchange, enum message_type type, struct span response)
{
    const struct message_auth_step step = {.exchange = exchange};
    ck_assert_int_eq(channel_send(worker.channel, type, &step, response, -1), 0);
}

static const struct span right = {"\0ana\0secret", 11}, wrong = {"\0ana\0wrong", 10};

/* The service is sound, and still answers. */
static void it_still_serves(void)
{
    const struct ticket fresh = {17, 4711};
    unsigned before = worker.challenges;
    send_start(fresh);
    UNTIL(worker.challenges == before + 1);
    ck_assert_mem_eq(&worker.exchange, &fresh, sizeof fresh);
    channel_destroy(&worker.channel);
}

START_TEST(slots_that_do_not_exist_are_passed_over)
{
    static const uint32_t slots[] = {4096, 4097, 65536, INT32_MAX, UINT32_MAX - 1, UINT32_MAX};
    connect_worker();
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        const struct ticket exchange = {slots[i], 1};
        send_start(exchange);
        send_to(exchange, MESSAGE_AUTH_STEP, right);
        send_to(exchange, MESSAGE_AUTH_CANCEL, span_of(""));
    }
    turns_for(5);
    ck_assert_uint_eq(worker.challenges + worker.done, 0);
    it_still_serves();
}
END_TEST

START_TEST(the_last_slot_serves)
{
    const struct ticket last = {4095, UINT32_MAX};
    connect_worker();
    send_start(last);
    UNTIL(worker.challenges == 1);
    ck_assert_mem_eq(&worker.exchange, &last, sizeof last);
    it_still_serves();
}
END_TEST

START_TEST(steps_of_an_exchange_that_was_not_begun_are_passed_over)
{
    const struct ticket exchange = {3, 1};
    connect_worker();
    send_to(exchange, MESSAGE_AUTH_STEP, right);
    send_to(exchange, MESSAGE_AUTH_CANCEL, span_of(""));
    turns_for(5);
    ck_assert_uint_eq(worker.challenges + worker.done, 0);
    it_still_serves();
}
END_TEST

START_TEST(steps_of_another_generation_are_passed_over)
{
    connect_worker();
    send_start((struct ticket){3, 5});
    UNTIL(worker.challenges == 1);
    send_to((struct ticket){3, 4}, MESSAGE_AUTH_STEP, wrong);
    send_to((struct ticket){3, 6}, MESSAGE_AUTH_STEP, wrong);
    send_to((struct ticket){3, 4}, MESSAGE_AUTH_CANCEL, span_of(""));
    turns_for(5);
    ck_assert_uint_eq(worker.done, 0);
    send_to((struct ticket){3, 5}, MESSAGE_AUTH_STEP, right);
    UNTIL(worker.done == 1);
    ck_assert_uint_eq(worker.outcome, AUTH_GOOD);
    it_still_serves();
}
END_TEST

START_TEST(an_exchange_that_is_begun_anew_forgets_the_one_before)
{
    connect_worker();
    send_start((struct ticket){3, 5});
    send_start((struct ticket){3, 6});
    UNTIL(worker.challenges == 2);
    send_to((struct ticket){3, 5}, MESSAGE_AUTH_STEP, wrong);
    turns_for(5);
    ck_assert_uint_eq(worker.done, 0);
    send_to((struct ticket){3, 6}, MESSAGE_AUTH_STEP, right);
    UNTIL(worker.done == 1);
    ck_assert_uint_eq(worker.outcome, AUTH_GOOD);
    it_still_serves();
}
END_TEST

START_TEST(steps_behind_the_end_are_passed_over)
{
    connect_worker();
    send_start((struct ticket){3, 5});
    send_to((struct ticket){3, 5}, MESSAGE_AUTH_STEP, wrong);
    send_to((struct ticket){3, 5}, MESSAGE_AUTH_STEP, right);
    UNTIL(worker.done == 1);
    turns_for(5);
    ck_assert_uint_eq(worker.done, 1);
    ck_assert_uint_eq(worker.outcome, AUTH_WRONG);
    it_still_serves();
}
END_TEST

static const uint32_t no_mechanisms[] = {MECHANISM_LOGIN, MECHANISM_CRAM_MD5, MECHANISM_EXTERNAL,
                                         MECHANISM_COUNT, UINT32_MAX};

START_TEST(a_mechanism_that_is_not_run_here_lets_nobody_in)
{
    struct message_auth_start start = {.exchange = {3, 1},
                                       .service = UINT32_MAX,
                                       .mechanism = no_mechanisms[_i],
                                       .has_response = 1,
                                       .binding_size = UINT32_MAX};
    memset(start.binding_name, 'A', sizeof start.binding_name);
    connect_worker();
    ck_assert_int_eq(channel_send(worker.channel, MESSAGE_AUTH_START, &start, right, -1), 0);
    UNTIL(worker.done == 1);
    ck_assert_uint_ne(worker.outcome, AUTH_GOOD);
    it_still_serves();
}
END_TEST

START_TEST(messages_that_are_not_for_it_are_passed_over_and_their_descriptors_closed)
{
    static const union message_any payload;
    connect_worker();
    unsigned before = open_descriptors();
    for (unsigned type = 0; type < MESSAGE_COUNT; type++)
        ck_assert_int_eq(channel_send(worker.channel, (enum message_type)type, &payload,
                                      span_of("text"), STDERR_FILENO),
                         0);
    UNTIL(worker.done == 1); /* AUTH_START, and a step that is none of PLAIN */
    turns_for(2);
    ck_assert_uint_eq(open_descriptors(), before);
    it_still_serves();
}
END_TEST

/* ---- before the start ---- */

static void prepare_with(const char *auth, const char *listeners)
{
    char text[2048];
    (void)snprintf(text, sizeof text, HOSTNAME TLS UPSTREAMS "auth = { sasldb = \"%s\" }\n%s",
                   folder_path(auth), listeners); /* fits */
    (void)config_of(text);
    count_is(0, 0);
    sasl_prepare(config, NULL, findings);
}

START_TEST(a_store_that_can_be_read_is_fine)
{
    ck_assert_int_eq(chmod(folder_path("sasldb2"), 0600), 0);
    prepare_with("sasldb2", "");
    count_is(0, 0);
}
END_TEST

START_TEST(a_store_that_is_missing_is_refused_with_the_command_that_makes_it)
{
    prepare_with("missing", "");
    error_is("porteiro.conf:4: auth.sasldb: ", "saslpasswd2 -c -f ");
    error_is("porteiro.conf:4: auth.sasldb: ", "-u example.com");
    error_is("porteiro.conf:4: auth.sasldb: ", strerror(ENOENT));
    count_is(1, 0);
}
END_TEST

START_TEST(a_store_that_everybody_can_read_is_warned_of)
{
    ck_assert_int_eq(chmod(folder_path("sasldb2"), 0644), 0);
    prepare_with("sasldb2", "");
    warning_is("porteiro.conf:4: auth.sasldb: sasldb2 can be read by everybody", "chmod 600");
    count_is(0, 1);
}
END_TEST

START_TEST(a_store_that_the_auth_user_can_not_read_is_refused_with_what_helps)
{
    const struct identity nobody = {.uid = 65534, .gid = 65534};
    if (geteuid() != 0) {
        fputs("skipped: a_store_that_the_auth_user_can_not_read_is_refused_with_what_helps\n",
              stderr);
        return;
    }
    ck_assert_int_eq(chmod(folder_path("sasldb2"), 0600), 0);
    store_configure("sasldb2");
    sasl_prepare(config, &nobody, findings);
    error_is("porteiro.conf:4: auth.sasldb: ", strerror(EACCES));
    error_is("porteiro.conf:4: auth.sasldb: ", "; chown ");
    count_is(1, 0);
}
END_TEST

START_TEST(doors_that_only_refuse_need_no_store)
{
    prepare_with("missing",
                 "listeners = { smtp = { bind = [\"127.0.0.1:25\"] role = \"refuse\" } }\n");
    count_is(0, 0);
}
END_TEST

SUITE(service)
{
    store_use(tests);
    tcase_add_checked_fixture(tests, begin, end);
    TEST(plain_is_answered_with_the_account);
    TEST(who_waits_for_a_challenge_gets_one);
    TEST(who_is_refused_is_told_no_name);
    TEST(many_exchanges_are_open_at_once);
    TEST(an_exchange_that_was_cancelled_is_forgotten);
    TEST(a_service_that_ends_leaves_its_exchanges_unavailable_once_each);
    TEST(when_the_last_worker_has_gone_it_is_told_so);
    TEST(who_is_no_worker_is_served_and_does_not_count);
    TEST(workers_do_not_see_one_anothers_exchanges);
    TEST(slots_that_do_not_exist_are_passed_over);
    TEST(the_last_slot_serves);
    TEST(steps_of_an_exchange_that_was_not_begun_are_passed_over);
    TEST(steps_of_another_generation_are_passed_over);
    TEST(an_exchange_that_is_begun_anew_forgets_the_one_before);
    TEST(steps_behind_the_end_are_passed_over);
    LOOP_TEST(a_mechanism_that_is_not_run_here_lets_nobody_in, no_mechanisms);
    TEST(messages_that_are_not_for_it_are_passed_over_and_their_descriptors_closed);
    TEST(a_store_that_can_be_read_is_fine);
    TEST(a_store_that_is_missing_is_refused_with_the_command_that_makes_it);
    TEST(a_store_that_everybody_can_read_is_warned_of);
    TEST(a_store_that_the_auth_user_can_not_read_is_refused_with_what_helps);
    TEST(doors_that_only_refuse_need_no_store);
}
