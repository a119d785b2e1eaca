#include "filter/desk.h"

#include "filter/engine.h"

#include <pthread.h>
#include <stdatomic.h>

static struct desk *desk;
static pthread_t thread;
static struct mail_answer answer;
static atomic_bool is_gone;

/* What a thread does at the desk, while the loop turns here. */
typedef void at_desk_fn(struct visitor *v);

static void *visit(void *fn)
{
    struct visitor *v = desk_enter(desk, NULL);
    ck_assert_ptr_nonnull(v);
    (*(at_desk_fn **)fn)(v);
    desk_leave(&v);
    is_gone = true;
    return NULL;
}

static void open_desk(const char *rules, int64_t patience_ns)
{
    struct error why;
    engine_begin(rules);
    desk = desk_create(&engine, patience_ns, &why);
    ck_assert_ptr_nonnull(desk);
}

static void begin(at_desk_fn **fn)
{
    is_gone = false;
    ck_assert_int_eq(pthread_create(&thread, NULL, visit, fn), 0);
}

/* Until the thread is gone and nothing is under way. */
static void run(at_desk_fn *fn)
{
    begin(&fn);
    UNTIL(is_gone && desk_is_idle(desk));
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

static void close_desk(void)
{
    desk_destroy(&desk);
    engine_end();
}

static int ask(struct visitor *v, enum errand_kind kind, const char *text)
{
    const struct errand e = {
        .kind = kind, .text = span_of(text), .more = span_of("ana@example.com")};
    desk_ask(v, &e, &answer);
    return answer.code;
}

static void send_one(struct visitor *v)
{
    ck_assert_int_eq(ask(v, ERRAND_SENDER, "ana@example.com"), 0);
    ck_assert_int_eq(ask(v, ERRAND_RECIPIENT, "a@dest.example"), 0);
    ck_assert_int_eq(ask(v, ERRAND_RECIPIENT, "b@dest.example"), 451);
    ck_assert_int_eq(ask(v, ERRAND_DATA, ""), 0);
    ck_assert_int_eq(ask(v, ERRAND_HEADERS, ""), 0);
    ck_assert_int_eq(ask(v, ERRAND_END, ""), 0);
}

static void give_up(struct visitor *v)
{
    send_one(v);
    desk_end(v, false, span_of(""));
}

static void pass(struct visitor *v)
{
    send_one(v);
    desk_end(v, true, span_of("4Xy"));
    ck_assert_int_eq(ask(v, ERRAND_SENDER, "ana@example.com"), 0);
    ck_assert_int_eq(ask(v, ERRAND_RECIPIENT, "c@dest.example"), 451);
}

START_TEST(each_errand_has_its_answer_and_a_message_that_is_over_counts_if_it_passed)
{
    open_desk(RATE("recipients", "1/1h"), 10 * CLOCK_SECOND);
    run(send_one); /* who leaves gives up */
    run(give_up);
    run(pass);
    close_desk();
}
END_TEST

/* Some end a message, and begin another, while others are heard: nobody is lost on the way. */
enum { CROWD = 8, MESSAGES = 200 };
static atomic_int done;

static void *send_many(void *unused)
{
    struct visitor *v = desk_enter(desk, NULL);
    const struct errand e = {.kind = ERRAND_SENDER, .text = span_of("ana@example.com")};
    struct mail_answer a = {.code = 1};
    for (int i = 0; v != NULL && i < MESSAGES; i++) {
        desk_ask(v, &e, &a);
        done += a.code == 0;
        desk_end(v, i % 2 == 0, span_of("4Xy"));
    }
    desk_leave(&v);
    return unused;
}

START_TEST(of_a_crowd_everybody_is_answered)
{
    pthread_t threads[CROWD];
    open_desk("", 3 * CLOCK_SECOND);
    done = 0;
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, send_many, NULL), 0);
    UNTIL(done == CROWD * MESSAGES);
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    UNTIL(desk_is_idle(desk));
    close_desk();
}
END_TEST

static void ask_in_vain(struct visitor *v)
{
    ck_assert_int_eq(ask(v, ERRAND_SENDER, "ana@example.com"), 451);
    ck_assert_str_eq(answer.enhanced, "4.3.0");
}

START_TEST(who_waits_in_vain_is_told_so_in_time)
{
    at_desk_fn *fn = ask_in_vain;
    open_desk(RATE("recipients", "1/1h"), CLOCK_SECOND / 100);
    begin(&fn);
    ck_assert_int_eq(pthread_join(thread, NULL), 0); /* the loop doesn't turn */
    turns_for(5);
    ck_assert(desk_is_idle(desk));
    close_desk();
}
END_TEST

static void ask_out_of_order(struct visitor *v)
{
    static char text[4096];
    ck_assert_int_eq(ask(v, ERRAND_RECIPIENT, "a@dest.example"), 451);
    memset(text, 'a', sizeof text - 1);
    ck_assert_int_eq(ask(v, ERRAND_SENDER, text), 451);
    ck_assert_int_eq(ask(v, ERRAND_SENDER, "ana@example.com"), 0);
}

START_TEST(what_can_not_be_is_an_answer_too)
{
    open_desk("", 10 * CLOCK_SECOND);
    run(ask_out_of_order);
    close_desk();
}
END_TEST

START_TEST(a_closed_desk_begins_no_message)
{
    open_desk("", 10 * CLOCK_SECOND);
    desk_close(desk);
    run(ask_in_vain);
    close_desk();
}
END_TEST

START_TEST(there_are_max_connections_visitors)
{
    open_desk("", CLOCK_SECOND);
    config->max_connections = 1;
    struct visitor *one = desk_enter(desk, NULL);
    ck_assert_ptr_nonnull(one);
    ck_assert_ptr_null(desk_enter(desk, NULL));
    desk_leave(&one);
    UNTIL((one = desk_enter(desk, NULL)) != NULL);
    desk_leave(&one);
    close_desk();
}
END_TEST

SUITE(desk)
{
    folder_use(tests);
    TEST(each_errand_has_its_answer_and_a_message_that_is_over_counts_if_it_passed);
    TEST(of_a_crowd_everybody_is_answered);
    TEST(who_waits_in_vain_is_told_so_in_time);
    TEST(what_can_not_be_is_an_answer_too);
    TEST(a_closed_desk_begins_no_message);
    TEST(there_are_max_connections_visitors);
}
