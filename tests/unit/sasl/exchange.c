#include "sasl/exchange.h"

#include "scram_client.h"
#include "store.h"

#include "config/mechanisms.h"
#include "telemetry/mapping.h"

#include <grp.h>
#include <malloc.h>
#include <time.h>

static struct sasl_exchange *exchange;

/* What the last step has brought. */
static enum auth_outcome outcome;
static struct span out;

static void start_with(const char *file)
{
    struct error why = {.text = ""};
    store_configure(file);
    ck_assert_msg(sasl_start(config, store_secret, &why) == 0, "%s", why.text);
}

static void begin(void)
{
    start_with("sasldb2");
}

static void end(void)
{
    sasl_exchange_destroy(&exchange);
    sasl_stop();
}

static void open_bound(enum mechanism mechanism, const char *binding, struct span bytes)
{
    struct message_auth_start start = {.service = AUTH_SMTP,
                                       .mechanism = (uint32_t)mechanism,
                                       .binding_size = (uint32_t)bytes.size};
    (void)span_copy(span_of(binding), start.binding_name, sizeof start.binding_name); /* fits */
    memcpy(start.binding_bytes, bytes.data, bytes.size);
    sasl_exchange_destroy(&exchange);
    exchange = sasl_exchange_create(&start);
    ck_assert_ptr_nonnull(exchange);
}

static void open_exchange(enum mechanism mechanism)
{
    open_bound(mechanism, "", span_of(""));
}

/* A response in memory that ends with it. */
static enum sasl_step respond_bytes(const char *bytes, size_t size)
{
    char *copy = malloc(size == 0 ? 1 : size);
    memcpy(copy, bytes, size);
    const struct span response = span_make(copy, size);
    enum sasl_step step = sasl_exchange_step(exchange, &response, &outcome, &out);
    free(copy);
    return step;
}

static enum sasl_step respond(const char *text)
{
    return respond_bytes(text, strlen(text));
}

/* PLAIN with an initial response (RFC 4616): [authzid] NUL authcid NUL passwd. */
static enum auth_outcome plain(const char *authorized, const char *user, const char *password)
{
    char text[2048];
    int size = snprintf(text, sizeof text, "%s%c%s%c%s", authorized, '\0', user, '\0', password);
    open_exchange(MECHANISM_PLAIN);
    ck_assert_int_eq(respond_bytes(text, (size_t)size), SASL_STEP_DONE);
    return outcome;
}

/* The last exchange of SCRAM, step by step. */
static struct scram_client attempt;

/* Up to the server's first message. */
static enum sasl_step scram_challenge(enum mechanism mechanism, const char *user,
                                      const char *password)
{
    attempt.user = user;
    attempt.password = password;
    attempt.nonce = "abcdefgh";
    if (attempt.header == NULL)
        attempt.header = "n,,";
    scram_begin(&attempt);
    open_exchange(mechanism);
    return respond(attempt.first);
}

/* What is left of the exchange. */
static enum auth_outcome scram_finish(void)
{
    scram_answer(&attempt, out);
    if (respond(attempt.final) == SASL_STEP_CHALLENGE) {
        ck_assert_msg(span_equals(out, attempt.verifier), "%.*s", (int)out.size, out.data);
        ck_assert_int_eq(respond(""), SASL_STEP_DONE);
    }
    return outcome;
}

static enum auth_outcome scram(const char *user, const char *password)
{
    if (scram_challenge(MECHANISM_SCRAM, user, password) == SASL_STEP_DONE)
        return outcome;
    return scram_finish();
}

static void let_in_as(const char *account)
{
    ck_assert_uint_eq(outcome, AUTH_GOOD);
    ck_assert_msg(span_equals(out, account), "%.*s", (int)out.size, out.data);
}

/* ---- those who are let in ---- */

START_TEST(plain_with_the_right_password_lets_in)
{
    (void)plain("", "ana", "secret");
    let_in_as("ana@example.com");
}
END_TEST

START_TEST(plain_without_an_initial_response_is_asked_for_it)
{
    open_exchange(MECHANISM_PLAIN);
    ck_assert_int_eq(sasl_exchange_step(exchange, NULL, &outcome, &out), SASL_STEP_CHALLENGE);
    ck_assert_uint_eq(out.size, 0);
    ck_assert_int_eq(respond_bytes("\0ana\0secret", 11), SASL_STEP_DONE);
    let_in_as("ana@example.com");
}
END_TEST

static const struct {
    const char *user, *password, *account;
} spellings[] = {
    {"ana@example.com", "secret", "ana@example.com"},
    {"ANA", "secret", "ana@example.com"},
    {"Ana@Example.COM", "secret", "ana@example.com"},
    {"rui", "password of rui", "rui@example.com"},
    {"ana@b\xc3\xbc"
     "cher.example",
     "another", "ana@xn--bcher-kva.example"},
};

START_TEST(an_account_is_found_however_its_name_is_written)
{
    (void)plain("", spellings[_i].user, spellings[_i].password);
    let_in_as(spellings[_i].account);
    (void)scram(spellings[_i].user, spellings[_i].password);
    let_in_as(spellings[_i].account);
}
END_TEST

START_TEST(a_password_that_was_changed_counts_at_once)
{
    store_set("example.com", "eva", "first");
    ck_assert_uint_eq(plain("", "eva", "first"), AUTH_GOOD);
    store_set("example.com", "eva", "second");
    ck_assert_uint_eq(plain("", "eva", "first"), AUTH_WRONG);
    ck_assert_uint_eq(plain("", "eva", "second"), AUTH_GOOD);
    ck_assert_uint_eq(scram("eva", "first"), AUTH_WRONG);
    ck_assert_uint_eq(scram("eva", "second"), AUTH_GOOD);
}
END_TEST

/* ---- those who are not ---- */

static const struct {
    const char *authorized, *user, *password;
} strangers[] = {
    {"", "ana", "Secret"},
    {"", "ana", "secret "},
    {"", "ana", "another"}, /* of ana in the other realm */
    {"", "ana@other.example", "secret"},
    {"", "nobody", "secret"},
    {"", "rui", "secret"},
    {"", "ana@example.com@example.com", "secret"},
    {"", "a na", "secret"},
    {"", "example\\ana", "secret"},
    {"", "ana%example.com", "secret"},
    {"", "ana\r\n", "secret"},
    {"", "\xff", "secret"},
    {"", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefX", "secret"},
    {"rui", "ana", "secret"}, /* nobody is let in as another */
    {"rui@example.com", "ana@example.com", "secret"},
    {"ana@xn--bcher-kva.example", "ana", "secret"},
};

START_TEST(whoever_else_comes_is_told_that_it_is_wrong)
{
    ck_assert_uint_eq(plain(strangers[_i].authorized, strangers[_i].user, strangers[_i].password),
                      AUTH_WRONG);
}
END_TEST

START_TEST(who_names_himself_as_the_one_to_be_is_let_in)
{
    (void)plain("Ana@example.com", "ana", "secret");
    let_in_as("ana@example.com");
}
END_TEST

START_TEST(nobody_is_let_in_without_a_password)
{
    ck_assert_uint_ne(plain("", "ana", ""), AUTH_GOOD);
    ck_assert_uint_ne(plain("", "", ""), AUTH_GOOD);
    ck_assert_uint_ne(scram("ana", ""), AUTH_GOOD);
    ck_assert_uint_ne(scram("nobody", ""), AUTH_GOOD);
}
END_TEST

static const char *const nonsense[] = {"", "ana", "ana secret", "secret\n", "*", "\xff\xfe"};

START_TEST(a_response_that_is_none_of_the_mechanism_is_malformed)
{
    open_exchange(MECHANISM_PLAIN);
    ck_assert_int_eq(respond(nonsense[_i]), SASL_STEP_DONE);
    ck_assert_uint_eq(outcome, AUTH_MALFORMED);
}
END_TEST

static const enum mechanism mechanisms[] = {
    MECHANISM_LOGIN, MECHANISM_SCRAM_PLUS, MECHANISM_CRAM_MD5, MECHANISM_EXTERNAL, MECHANISM_COUNT};

START_TEST(what_is_not_offered_anywhere_lets_nobody_in)
{
    open_exchange(mechanisms[_i]);
    ck_assert_int_eq(respond_bytes("\0ana\0secret", 11), SASL_STEP_DONE);
    ck_assert_uint_ne(outcome, AUTH_GOOD);
    open_exchange(mechanisms[_i]);
    ck_assert_int_eq(sasl_exchange_step(exchange, NULL, &outcome, &out), SASL_STEP_DONE);
    ck_assert_uint_ne(outcome, AUTH_GOOD);
}
END_TEST

START_TEST(garbled_responses_let_nobody_in)
{
    static const char alphabet[] = "\0\0\0anaSecret@exmpl.o\xff";
    uint32_t seed = 1;
    for (int round = 0; round < 2000; round++) {
        char text[40];
        size_t size = (size_t)round % sizeof text;
        for (size_t i = 0; i < size; i++) {
            seed = seed * UINT32_C(1664525) + UINT32_C(1013904223);
            text[i] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
        }
        open_exchange(round % 2 == 0 ? MECHANISM_PLAIN : MECHANISM_SCRAM);
        for (int step = 0; step < 3; step++)
            if (respond_bytes(text, size) == SASL_STEP_DONE)
                break;
        ck_assert_uint_ne(outcome, AUTH_GOOD);
    }
}
END_TEST

/* Strangers may try as often as they like. */
START_TEST(a_name_that_is_refused_costs_no_memory)
{
    char password[1000];
    memset(password, 'x', sizeof password - 1);
    password[sizeof password - 1] = '\0';
    size_t before = 0;
    for (int round = 0; round < 1100; round++) {
        if (round % 10 == 0)
            ck_assert_uint_eq(scram("a name with spaces", "x"), AUTH_WRONG);
        ck_assert_uint_eq(plain("", "a name with spaces", password), AUTH_WRONG);
        if (round == 100)
            before = mallinfo2().uordblks;
    }
    ck_assert_uint_lt(mallinfo2().uordblks, before + 10 * 1000);
}
END_TEST

START_TEST(a_response_of_16_kib_is_no_password)
{
    static char text[16 * 1024];
    memset(text, 'x', sizeof text);
    text[0] = '\0';
    memcpy(text + 1, "ana", 4);
    open_exchange(MECHANISM_PLAIN);
    ck_assert_int_eq(respond_bytes(text, sizeof text), SASL_STEP_DONE);
    ck_assert_uint_ne(outcome, AUTH_GOOD);
}
END_TEST

/* ---- a store that can't be asked ---- */

static void no_one_can_be_judged(void)
{
    ck_assert_uint_eq(plain("", "ana", "secret"), AUTH_UNAVAILABLE);
    ck_assert_uint_eq(plain("", "ana", "wrong"), AUTH_UNAVAILABLE);
    ck_assert_uint_eq(plain("", "nobody", "secret"), AUTH_UNAVAILABLE);
    ck_assert_uint_eq(scram("ana", "secret"), AUTH_UNAVAILABLE);
    ck_assert_uint_eq(scram("nobody", "secret"), AUTH_UNAVAILABLE);
}

START_TEST(without_its_store_nobody_is_told_that_his_password_is_wrong)
{
    sasl_stop();
    start_with("missing");
    no_one_can_be_judged();
}
END_TEST

START_TEST(a_store_that_is_none_makes_nobodys_password_wrong)
{
    static const char *const contents[] = {"", "this is no data base\n"};
    folder_write("none", contents[_i]);
    sasl_stop();
    start_with("none");
    no_one_can_be_judged();
}
END_TEST

START_TEST(once_the_store_is_there_people_are_let_in)
{
    sasl_stop();
    start_with("moved");
    ck_assert_uint_eq(plain("", "ana", "secret"), AUTH_UNAVAILABLE);
    char from[600];
    (void)snprintf(from, sizeof from, "%s", folder_path("sasldb2")); /* fits */
    ck_assert_int_eq(link(from, folder_path("moved")), 0);
    ck_assert_uint_eq(plain("", "ana", "secret"), AUTH_GOOD);
    ck_assert_uint_eq(plain("", "ana", "wrong"), AUTH_WRONG);
}
END_TEST

static bool may_not_read_the_store(void)
{
    if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
        return false;
    return plain("", "ana", "secret") == AUTH_UNAVAILABLE &&
           plain("", "ana", "wrong") == AUTH_UNAVAILABLE;
}

START_TEST(a_store_that_may_not_be_read_makes_nobodys_password_wrong)
{
    if (geteuid() != 0) {
        fputs("skipped: a_store_that_may_not_be_read_makes_nobodys_password_wrong\n", stderr);
        return;
    }
    ck_assert_int_eq(chmod(folder_path("sasldb2"), 0600), 0);
    child_succeeds(child_start(may_not_read_the_store));
}
END_TEST

/* ---- SCRAM ---- */

START_TEST(scram_with_the_right_password_lets_in)
{
    (void)scram("ana", "secret");
    let_in_as("ana@example.com");
}
END_TEST

START_TEST(scram_without_an_initial_response_is_asked_for_it)
{
    attempt = (struct scram_client){
        .user = "ana", .password = "secret", .nonce = "abcdefgh", .header = "n,,"};
    scram_begin(&attempt);
    open_exchange(MECHANISM_SCRAM);
    ck_assert_int_eq(sasl_exchange_step(exchange, NULL, &outcome, &out), SASL_STEP_CHALLENGE);
    ck_assert_uint_eq(out.size, 0);
    ck_assert_int_eq(respond(attempt.first), SASL_STEP_CHALLENGE);
    ck_assert_uint_eq(scram_finish(), AUTH_GOOD);
    let_in_as("ana@example.com");
}
END_TEST

/* All of it but what the password decides. */
START_TEST(an_unknown_name_has_a_salt_and_iterations_like_any_other)
{
    static const char *const users[] = {"ana", "nobody", "nobody@elsewhere.example", "a b"};
    unsigned char salts[4][SCRAM_SALT_SIZE];
    for (int i = 0; i < 4; i++) {
        ck_assert_uint_eq(scram(users[i], "wrong"), AUTH_WRONG);
        ck_assert_int_eq(attempt.salt_size, SCRAM_SALT_SIZE);
        ck_assert_int_eq(attempt.iterations, SCRAM_ITERATIONS);
        memcpy(salts[i], attempt.salt, SCRAM_SALT_SIZE);
        for (int k = 0; k < i; k++)
            ck_assert_mem_ne(salts[i], salts[k], SCRAM_SALT_SIZE);
    }
    sasl_stop(); /* another process */
    start_with("sasldb2");
    for (int i = 0; i < 4; i++) {
        ck_assert_uint_eq(scram(users[i], "wrong"), AUTH_WRONG);
        ck_assert_mem_eq(attempt.salt, salts[i], SCRAM_SALT_SIZE);
    }
}
END_TEST

/* Processor time of an attempt, the least of several. */
static int64_t cost(const char *user)
{
    int64_t least = INT64_MAX;
    for (int round = 0; round < 20; round++) {
        struct timespec began, ended;
        ck_assert_int_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &began), 0);
        ck_assert_int_eq(scram_challenge(MECHANISM_SCRAM, user, "wrong"), SASL_STEP_CHALLENGE);
        ck_assert_int_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended), 0);
        int64_t ns =
            (ended.tv_sec - began.tv_sec) * INT64_C(1000000000) + ended.tv_nsec - began.tv_nsec;
        least = ns < least ? ns : least;
    }
    return least;
}

START_TEST(an_unknown_name_costs_what_a_known_one_costs)
{
    int64_t known = cost("ana"), unknown = cost("nobody");
    ck_assert_msg(known < unknown * 2 && unknown < known * 2, "%lld and %lld ns", (long long)known,
                  (long long)unknown);
}
END_TEST

START_TEST(with_another_secret_salts_are_others)
{
    static const unsigned char another[] = "thirty-two octets of another one";
    static const char *const users[] = {"ana", "nobody"};
    struct error why;
    for (int i = 0; i < 2; i++) {
        unsigned char salt[SCRAM_SALT_SIZE];
        ck_assert_uint_eq(scram(users[i], "wrong"), AUTH_WRONG);
        memcpy(salt, attempt.salt, sizeof salt);
        sasl_exchange_destroy(&exchange);
        sasl_stop();
        ck_assert_int_eq(sasl_start(config, i == 0 ? another : store_secret, &why), 0);
        ck_assert_uint_eq(scram(users[i], "wrong"), AUTH_WRONG);
        ck_assert_mem_ne(attempt.salt, salt, sizeof salt);
    }
}
END_TEST

static const struct {
    enum mechanism mechanism;
    const char *header, *used;
    bool is_offered, is_good;
} flags[] = {
    {MECHANISM_SCRAM, "n,,", "", false, true},
    {MECHANISM_SCRAM, "y,,", "", false, true},
    {MECHANISM_SCRAM, "n,,", "", true, true},
    {MECHANISM_SCRAM, "y,,", "", true, false}, /* who took -PLUS out of what we offered? */
    {MECHANISM_SCRAM, "p=tls-unique,,", "bound", true, false},
    {MECHANISM_SCRAM, "p=tls-unique,,", "bound", false, false},
    {MECHANISM_SCRAM_PLUS, "p=tls-unique,,", "bound", true, true},
    {MECHANISM_SCRAM_PLUS, "p=tls-unique,a=ana,", "bound", true, true},
    {MECHANISM_SCRAM_PLUS, "p=tls-unique,,", "bounD", true, false},
    {MECHANISM_SCRAM_PLUS, "p=tls-unique,,", "boun", true, false},
    {MECHANISM_SCRAM_PLUS, "p=tls-unique,,", "", true, false},
    {MECHANISM_SCRAM_PLUS, "p=tls-exporter,,", "bound", true, false},
    {MECHANISM_SCRAM_PLUS, "p=,,", "bound", true, false},
    {MECHANISM_SCRAM_PLUS, "p,,", "bound", true, false},
    {MECHANISM_SCRAM_PLUS, "p=tls-unique,,", "bound", false, false},
    {MECHANISM_SCRAM_PLUS, "n,,", "", true, false},
    {MECHANISM_SCRAM_PLUS, "y,,", "", true, false},
};

START_TEST(a_binding_is_used_where_it_is_offered_and_asked_for)
{
    char text[2048];
    (void)snprintf(text, sizeof text,
                   HOSTNAME TLS UPSTREAMS
                   "auth = { sasldb = \"%s\" mechanisms = [\"SCRAM-SHA-256\", "
                   "\"SCRAM-SHA-256-PLUS\"] }\n",
                   folder_path("sasldb2")); /* fits */
    (void)config_of(text);
    attempt = (struct scram_client){.user = "ana",
                                    .password = "secret",
                                    .nonce = "abcdefgh",
                                    .header = flags[_i].header,
                                    .binding = span_of(flags[_i].used)};
    scram_begin(&attempt);
    sasl_stop();
    struct error why;
    ck_assert_int_eq(sasl_start(config, store_secret, &why), 0);
    open_bound(flags[_i].mechanism, "tls-unique", span_of(flags[_i].is_offered ? "bound" : ""));
    if (respond(attempt.first) == SASL_STEP_CHALLENGE)
        (void)scram_finish();
    ck_assert_int_eq(outcome == AUTH_GOOD, flags[_i].is_good);
}
END_TEST

/* Whoever may have listened to an exchange learns nothing for another. */
START_TEST(an_exchange_can_not_be_played_again)
{
    char final[2048];
    ck_assert_int_eq(scram_challenge(MECHANISM_SCRAM, "ana", "secret"), SASL_STEP_CHALLENGE);
    ck_assert_uint_eq(scram_finish(), AUTH_GOOD);
    (void)snprintf(final, sizeof final, "%s", attempt.final); /* fits */
    ck_assert_int_eq(scram_challenge(MECHANISM_SCRAM, "ana", "secret"), SASL_STEP_CHALLENGE);
    ck_assert_int_eq(respond(final), SASL_STEP_DONE);
    ck_assert_uint_ne(outcome, AUTH_GOOD);
}
END_TEST

/* ---- without memory ---- */

static void create_and_destroy(void)
{
    const struct message_auth_start start = {.service = AUTH_POP3, .mechanism = MECHANISM_PLAIN};
    struct sasl_exchange *e = sasl_exchange_create(&start);
    bool is_null = e == NULL;
    sasl_exchange_destroy(&e);
    if (is_null != failing_has_failed())
        ck_abort_msg("null without memory alone");
}

START_TEST(without_memory_there_is_no_exchange)
{
    WITH_EACH_ALLOCATION_FAILING(create_and_destroy());
}
END_TEST

START_TEST(destroying_leaves_null)
{
    open_exchange(MECHANISM_PLAIN);
    sasl_exchange_destroy(&exchange);
    ck_assert_ptr_null(exchange);
    sasl_exchange_destroy(&exchange);
}
END_TEST

/* ---- a backend that is asked elsewhere ---- */

static void start_with_saslauthd(void)
{
    struct error why = {.text = ""};
    char text[2048];
    sasl_stop();
    (void)snprintf(text, sizeof text,
                   HOSTNAME TLS UPSTREAMS
                   "auth = { backend = \"saslauthd\" sasldb = \"%s\" realm = \"example.com\" }\n",
                   folder_path("sasldb2")); /* fits */
    (void)config_of(text);
    count_is(0, 0);
    ck_assert_msg(sasl_start(config, store_secret, &why) == 0, "%s", why.text);
}

static enum sasl_step plain_step(const char *text, size_t size)
{
    open_exchange(MECHANISM_PLAIN);
    return respond_bytes(text, size);
}
#define PLAIN_STEP(text) plain_step(text, sizeof(text) - 1)

START_TEST(with_saslauthd_every_password_is_asked_about)
{
    start_with_saslauthd();
    ck_assert_int_eq(PLAIN_STEP("\0Ana\0secret"), SASL_STEP_ASK); /* sasldb knows it, too */
    let_in_as("ana@example.com");
    ck_assert_str_eq(sasl_exchange_login(exchange), "ana");
    ck_assert(span_equals(sasl_exchange_password(exchange), "secret"));
    ck_assert_int_eq(PLAIN_STEP("\0nobody\0wrong"), SASL_STEP_ASK);
    ck_assert_int_eq(PLAIN_STEP("ANA@example.com\0Ana\0secret"), SASL_STEP_ASK);
    ck_assert_str_eq(sasl_exchange_account(exchange), "ana@example.com");
}
END_TEST

START_TEST(with_saslauthd_nobody_is_asked_about_who_can_be_no_account)
{
    start_with_saslauthd();
    ck_assert_int_eq(PLAIN_STEP("\0a%b\0secret"), SASL_STEP_DONE);
    ck_assert_uint_eq(outcome, AUTH_WRONG);
    ck_assert_int_eq(PLAIN_STEP("\0ana@elsewhere.example\0secret"), SASL_STEP_DONE);
    ck_assert_uint_eq(outcome, AUTH_WRONG);
    ck_assert_int_eq(PLAIN_STEP("rui\0ana\0secret"), SASL_STEP_DONE);
    ck_assert_uint_eq(outcome, AUTH_WRONG);
}
END_TEST

SUITE(exchange)
{
    store_use(tests);
    tcase_add_checked_fixture(tests, begin, end);
    TEST(plain_with_the_right_password_lets_in);
    TEST(plain_without_an_initial_response_is_asked_for_it);
    LOOP_TEST(an_account_is_found_however_its_name_is_written, spellings);
    TEST(a_password_that_was_changed_counts_at_once);
    LOOP_TEST(whoever_else_comes_is_told_that_it_is_wrong, strangers);
    TEST(who_names_himself_as_the_one_to_be_is_let_in);
    TEST(nobody_is_let_in_without_a_password);
    LOOP_TEST(a_response_that_is_none_of_the_mechanism_is_malformed, nonsense);
    LOOP_TEST(what_is_not_offered_anywhere_lets_nobody_in, mechanisms);
    TEST(garbled_responses_let_nobody_in);
    TEST(a_name_that_is_refused_costs_no_memory);
    TEST(a_response_of_16_kib_is_no_password);
    TEST(without_its_store_nobody_is_told_that_his_password_is_wrong);
    tcase_add_loop_test(tests, a_store_that_is_none_makes_nobodys_password_wrong, 0, 2);
    TEST(once_the_store_is_there_people_are_let_in);
    TEST(a_store_that_may_not_be_read_makes_nobodys_password_wrong);
    TEST(scram_with_the_right_password_lets_in);
    TEST(scram_without_an_initial_response_is_asked_for_it);
    TEST(an_unknown_name_has_a_salt_and_iterations_like_any_other);
    TEST(an_unknown_name_costs_what_a_known_one_costs);
    TEST(with_another_secret_salts_are_others);
    LOOP_TEST(a_binding_is_used_where_it_is_offered_and_asked_for, flags);
    TEST(an_exchange_can_not_be_played_again);
    TEST(without_memory_there_is_no_exchange);
    TEST(destroying_leaves_null);
    TEST(with_saslauthd_every_password_is_asked_about);
    TEST(with_saslauthd_nobody_is_asked_about_who_can_be_no_account);
}
