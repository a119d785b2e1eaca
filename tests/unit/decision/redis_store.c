#include "decision/redis_store.h"

#include "redis/server.h"
#include "support/store_model.h"

#define SECOND INT64_C(1000000)

static struct redis_store *store;
static struct counter_answer answers[STORE_TAKES_MAX];
static size_t expected;
static unsigned answered, lost;

static void on_answers(void *owner, const struct counter_answer *got)
{
    ck_assert_ptr_eq(owner, &expected);
    lost += got == NULL;
    answered++;
    if (got != NULL)
        memcpy(answers, got, expected * sizeof *answers);
}

static void begin(void)
{
    server_start("");
    redis_open();
    store = redis_store_create(behind.redis, "porteiro");
    ck_assert_ptr_nonnull(store);
}

static void end(void)
{
    redis_store_destroy(&store);
    server_end();
}

static void take(const struct counter_take *takes, size_t count)
{
    unsigned before = answered;
    expected = count;
    ck_assert_int_eq(redis_store_take(store, takes, count, on_answers, &expected), 0);
    UNTIL(answered == before + 1);
    ck_assert_uint_eq(lost, 0);
}

/* A settle is seen by what is asked behind it. */
static void settle(struct counter_settle s)
{
    redis_store_settle(store, &s, 1);
}

/* `burst` an hour pass at once. */
static struct counter_take rate(const char *key, uint16_t group, int64_t burst)
{
    return (struct counter_take){
        .kind = COUNTER_RATE,
        .group = group,
        .needs = STORE_NO_GROUP,
        .key = span_of(key),
        .rate = {.increment_us = 3600 * SECOND, .tolerance_us = burst * 3600 * SECOND}};
}

static struct counter_take at_once(const char *key, uint32_t max, uint64_t lease)
{
    return (struct counter_take){.kind = COUNTER_AT_ONCE,
                                 .needs = STORE_NO_GROUP,
                                 .key = span_of(key),
                                 .at_once = {max, lease, 120 * SECOND}};
}

static struct counter_take distinct(const char *key, uint32_t max, uint64_t element)
{
    return (struct counter_take){.kind = COUNTER_DISTINCT,
                                 .needs = STORE_NO_GROUP,
                                 .key = span_of(key),
                                 .distinct = {max, element, 3600 * SECOND}};
}

static struct counter_take ratio(const char *key, uint32_t percent, uint32_t min)
{
    return (struct counter_take){.kind = COUNTER_RATIO,
                                 .needs = STORE_NO_GROUP,
                                 .key = span_of(key),
                                 .ratio = {percent, min, 3600 * SECOND}};
}

static bool passes(struct counter_take t)
{
    take(&t, 1);
    ck_assert(answers[0].is_taken != answers[0].is_refusing);
    return answers[0].is_taken;
}

/* ---- rates ---- */

START_TEST(the_burst_passes_and_then_the_wait_is_told)
{
    begin();
    for (int i = 0; i < 3; i++) {
        ck_assert(passes(rate("hour ana", 0, 3)));
        ck_assert_int_eq(answers[0].wait_us, 0);
        ck_assert_int_ge(answers[0].tat_us, answers[0].now_us + i * 3600 * SECOND);
    }
    int64_t tat = answers[0].tat_us;
    ck_assert(!passes(rate("hour ana", 0, 3)));
    ck_assert_int_eq(answers[0].tat_us, tat);
    ck_assert_int_eq(answers[0].wait_us, tat - 2 * 3600 * SECOND - answers[0].now_us);
    ck_assert(passes(rate("hour bia", 0, 3)));
    end();
}
END_TEST

START_TEST(times_are_whole_microseconds_of_the_servers_clock)
{
    begin();
    int64_t before = clock_wall_ns() / 1000;
    ck_assert(passes(rate("hour ana", 0, 3)));
    ck_assert_int_ge(answers[0].now_us, before);
    ck_assert_int_le(answers[0].now_us, clock_wall_ns() / 1000);
    char text[64];
    (void)snprintf(text, sizeof text, "%lld\n", (long long)answers[0].tat_us); /* fits */
    ck_assert_int_eq(answers[0].tat_us, answers[0].now_us + 3600 * SECOND);
    ck_assert_str_eq(redis_cli("GET '{porteiro}:rate:hour ana'"), text);
    end();
}
END_TEST

START_TEST(what_waits_up_to_the_delay_is_taken_and_the_wait_is_told)
{
    struct counter_take t = rate("hour ana", 0, 1);
    begin();
    t.rate.max_delay_us = 3600 * SECOND;
    ck_assert(passes(t));
    ck_assert_int_eq(answers[0].wait_us, 0);
    ck_assert(passes(t));
    ck_assert_int_eq(answers[0].wait_us, answers[0].tat_us - 3600 * SECOND - answers[0].now_us);
    ck_assert_int_gt(answers[0].wait_us, 0);
    ck_assert(!passes(t));
    end();
}
END_TEST

START_TEST(more_than_the_burst_in_one_never_passes)
{
    struct counter_take t = rate("hour ana", 0, 1);
    begin();
    t.rate.increment_us = INT64_MAX;
    ck_assert(!passes(t));
    ck_assert_int_eq(answers[0].wait_us, -1);
    ck_assert_int_eq(answers[0].tat_us, answers[0].now_us);
    end();
}
END_TEST

START_TEST(what_lies_too_far_ahead_is_cut)
{
    begin();
    (void)redis_cli("SET '{porteiro}:rate:hour ana' 4000000000000000");
    ck_assert(!passes(rate("hour ana", 0, 2)));
    ck_assert_int_eq(answers[0].wait_us, 3600 * SECOND);
    end();
}
END_TEST

START_TEST(what_is_given_back_can_be_taken_again)
{
    begin();
    ck_assert(passes(rate("hour ana", 0, 1)));
    settle((struct counter_settle){.kind = SETTLE_GIVE_BACK,
                                   .of = COUNTER_RATE,
                                   .key = span_of("hour ana"),
                                   .rate = {3600 * SECOND, answers[0].tat_us}});
    ck_assert(passes(rate("hour ana", 0, 1)));
    settle((struct counter_settle){.kind = SETTLE_GIVE_BACK,
                                   .of = COUNTER_RATE,
                                   .key = span_of("hour ana"),
                                   .rate = {3600 * SECOND, answers[0].now_us - 1}});
    ck_assert(!passes(rate("hour ana", 0, 1))); /* that one had been worked off */
    end();
}
END_TEST

/* ---- groups ---- */

START_TEST(a_group_is_taken_together_or_not_at_all)
{
    begin();
    ck_assert(passes(rate("day ana", 0, 1)));
    const struct counter_take both[] = {rate("hour ana", 0, 5), rate("day ana", 0, 1)};
    take(both, 2);
    ck_assert(!answers[0].is_taken && !answers[0].is_refusing);
    ck_assert(!answers[1].is_taken && answers[1].is_refusing);
    ck_assert_int_eq(answers[0].tat_us, answers[0].now_us);
    ck_assert_str_eq(redis_cli("EXISTS '{porteiro}:rate:hour ana'"), "0\n");
    end();
}
END_TEST

START_TEST(all_that_refuse_say_so_whatever_their_kind)
{
    begin();
    ck_assert(passes(rate("day ana", 0, 1)));
    const struct counter_take all[] = {at_once("sessions ana", 2, 7), at_once("none ana", 0, 7),
                                       rate("day ana", 0, 1)};
    take(all, 3);
    ck_assert(!answers[0].is_taken && !answers[0].is_refusing);
    ck_assert_uint_eq(answers[0].used, 0);
    ck_assert(answers[1].is_refusing && answers[2].is_refusing);
    ck_assert_str_eq(redis_cli("EXISTS '{porteiro}:at-once:sessions ana'"), "0\n");
    end();
}
END_TEST

START_TEST(each_group_sees_what_those_before_it_have_taken)
{
    struct counter_take all[40];
    begin();
    for (uint16_t i = 0; i < 40; i++)
        all[i] = rate("hour ana", i, 10);
    take(all, 40);
    for (size_t i = 0; i < 40; i++)
        ck_assert_msg(answers[i].is_taken == (i < 10), "take %zu", i);
    ck_assert(!passes(rate("hour ana", 0, 10)));
    end();
}
END_TEST

START_TEST(a_group_is_not_tried_without_the_one_that_it_needs)
{
    begin();
    ck_assert(passes(rate("sender ana", 0, 1)));
    struct counter_take all[] = {rate("sender ana", 0, 1), rate("hour ana", 1, 5),
                                 rate("hour bia", 2, 5)};
    all[1].needs = 0;
    take(all, 3);
    ck_assert(answers[0].is_refusing);
    ck_assert(!answers[1].is_taken && !answers[1].is_refusing);
    ck_assert(answers[2].is_taken);
    ck_assert_str_eq(redis_cli("EXISTS '{porteiro}:rate:hour ana'"), "0\n");
    end();
}
END_TEST

START_TEST(a_thousand_takes_of_long_keys_are_one_call)
{
    static struct counter_take all[STORE_TAKES_MAX];
    static char keys[STORE_TAKES_MAX][STORE_KEY_MAX];
    begin();
    for (size_t i = 0; i < STORE_TAKES_MAX; i++) {
        memset(keys[i], 'x', sizeof keys[i]);
        (void)snprintf(keys[i], 10, "%zu", i); /* fits */
        all[i] = i % 4 == 3 ? distinct("", 1, i) : rate("", (uint16_t)(i / 4), 1);
        all[i].group = (uint16_t)(i / 4);
        all[i].key = span_make(keys[i], sizeof keys[i]);
    }
    take(all, STORE_TAKES_MAX);
    for (size_t i = 0; i < STORE_TAKES_MAX; i++)
        ck_assert_msg(answers[i].is_taken, "take %zu", i);
    take(all, STORE_TAKES_MAX);
    for (size_t i = 0; i < STORE_TAKES_MAX; i++)
        ck_assert_msg(!answers[i].is_taken && answers[i].is_refusing == (i % 4 != 3), "take %zu",
                      i);
    end();
}
END_TEST

/* ---- the other kinds ---- */

static struct counter_settle lease(enum counter_settle_kind kind, uint64_t lease, int64_t us)
{
    return (struct counter_settle){.kind = kind,
                                   .of = COUNTER_AT_ONCE,
                                   .key = span_of("sessions ana"),
                                   .at_once = {lease, us}};
}

START_TEST(so_many_leases_are_held_at_once)
{
    begin();
    ck_assert(passes(at_once("sessions ana", 2, 1)));
    ck_assert_uint_eq(answers[0].used, 1);
    ck_assert(passes(at_once("sessions ana", 2, UINT64_MAX)));
    ck_assert_uint_eq(answers[0].used, 2);
    ck_assert(!passes(at_once("sessions ana", 2, 3)));
    ck_assert_uint_eq(answers[0].used, 2);
    settle(lease(SETTLE_RELEASE, UINT64_MAX, 0));
    ck_assert(passes(at_once("sessions ana", 2, 3)));
    end();
}
END_TEST

START_TEST(a_lease_ends_unless_it_is_renewed)
{
    struct counter_take t = at_once("sessions ana", 1, 1);
    begin();
    t.at_once.lease_us = SECOND / 5;
    ck_assert(passes(t));
    settle(lease(SETTLE_RENEW, 1, 60 * SECOND));
    ck_assert(!passes(at_once("sessions ana", 1, 2)));
    turns_for(300);
    ck_assert(!passes(at_once("sessions ana", 1, 2)));
    settle(lease(SETTLE_RENEW, 1, SECOND / 100));
    turns_for(50);
    ck_assert(passes(at_once("sessions ana", 1, 2)));
    end();
}
END_TEST

static void add(uint64_t element, int64_t window_us)
{
    settle((struct counter_settle){.kind = SETTLE_ADD,
                                   .of = COUNTER_DISTINCT,
                                   .key = span_of("countries ana"),
                                   .distinct = {element, window_us}});
}

START_TEST(so_many_different_ones_pass_and_those_that_are_known)
{
    begin();
    for (uint64_t i = 1; i <= 3; i++) {
        ck_assert(passes(distinct("countries ana", 3, i * 1000003)));
        add(i * 1000003, 3600 * SECOND);
    }
    for (int again = 0; again < 3; again++) {
        ck_assert(!passes(distinct("countries ana", 3, 7)));
        ck_assert_uint_eq(answers[0].used, 3);
        ck_assert(passes(distinct("countries ana", 3, 2 * 1000003)));
    }
    ck_assert_uint_eq(answers[0].used, 3);
    end();
}
END_TEST

START_TEST(a_different_one_is_forgotten_after_the_window)
{
    struct counter_take t = distinct("countries ana", 1, 2);
    begin();
    t.distinct.window_us = SECOND;
    add(1, SECOND);
    ck_assert(!passes(t));
    turns_for(1600); /* the half window in which it was, and a whole one */
    ck_assert(passes(t));
    end();
}
END_TEST

START_TEST(bad_ones_are_judged_from_so_many_on)
{
    struct counter_settle s = {.kind = SETTLE_COUNT,
                               .of = COUNTER_RATIO,
                               .key = span_of("washing ana"),
                               .ratio = {.tried = 3, .bad = 1, .window_us = 3600 * SECOND}};
    begin();
    ck_assert(passes(ratio("washing ana", 25, 4)));
    settle(s);
    ck_assert(passes(ratio("washing ana", 25, 4)));
    s.ratio.tried = 1;
    s.ratio.bad = 0;
    settle(s);
    ck_assert(passes(ratio("washing ana", 25, 4))); /* a quarter, and no more */
    s.ratio.bad = 1;
    settle(s);
    ck_assert(!passes(ratio("washing ana", 25, 4)));
    ck_assert_uint_eq(answers[0].used, 5);
    ck_assert_uint_eq(answers[0].bad, 2);
    end();
}
END_TEST

START_TEST(a_counter_is_forgotten_when_asked)
{
    static const enum counter_kind of[] = {COUNTER_RATE, COUNTER_AT_ONCE, COUNTER_DISTINCT,
                                           COUNTER_RATIO};
    begin();
    ck_assert(passes(rate("r", 0, 1)));
    ck_assert(passes(at_once("r", 1, 1)));
    add(1, 3600 * SECOND);
    settle((struct counter_settle){.kind = SETTLE_COUNT,
                                   .of = COUNTER_RATIO,
                                   .key = span_of("r"),
                                   .ratio = {9, 9, 3600 * SECOND}});
    for (size_t i = 0; i < 4; i++)
        settle((struct counter_settle){
            .kind = SETTLE_FORGET, .of = of[i], .key = span_of(i == 2 ? "countries ana" : "r")});
    ck_assert(passes(rate("other", 0, 1))); /* all has been done by then */
    ck_assert_str_eq(redis_cli("KEYS '{porteiro}:*'"), "{porteiro}:rate:other\n");
    end();
}
END_TEST

START_TEST(every_key_ends_by_itself)
{
    begin();
    ck_assert(passes(rate("r", 0, 3)));
    ck_assert(passes(at_once("a", 1, 1)));
    add(1, 3600 * SECOND);
    settle((struct counter_settle){.kind = SETTLE_COUNT,
                                   .of = COUNTER_RATIO,
                                   .key = span_of("q"),
                                   .ratio = {9, 9, 3600 * SECOND}});
    ck_assert(passes(rate("r", 0, 3)));
    ck_assert(!passes(distinct("countries ana", 1, 2)));
    ck_assert_str_eq(redis_cli("EVAL \"local n = 0 for _, k in ipairs(redis.call('KEYS', '*')) do "
                               "local t = redis.call('PTTL', k) if t >= 0 and t <= 7200000 then "
                               "n = n + 1 end end return {n, #redis.call('KEYS', '*')}\" 0"),
                     "4\n4\n");
    end();
}
END_TEST

START_TEST(a_value_that_is_none_of_ours_is_no_answer)
{
    struct counter_take t = rate("hour ana", 0, 1);
    begin();
    (void)redis_cli("LPUSH '{porteiro}:rate:hour ana' x");
    expected = 1;
    ck_assert_int_eq(redis_store_take(store, &t, 1, on_answers, &expected), 0);
    UNTIL(answered == 1);
    ck_assert_uint_eq(lost, 1);
    end();
}
END_TEST

START_TEST(without_a_server_there_is_no_answer_at_once)
{
    struct counter_take t = rate("hour ana", 0, 1);
    begin();
    ck_assert(passes(t));
    server_kill();
    UNTIL(!redis_is_trusted(behind.redis));
    ck_assert_int_eq(redis_store_take(store, &t, 1, on_answers, &expected), -1);
    add(1, SECOND);
    end();
}
END_TEST

/* ---- what the table in memory answers too ---- */

static void take_for(const struct counter_take *takes, size_t count, struct counter_answer *out)
{
    take(takes, count);
    memcpy(out, answers, count * sizeof *out);
}

static void settle_for(const struct counter_settle *settles, size_t count)
{
    redis_store_settle(store, settles, count);
}

static void advance(int64_t us)
{
    turns_for(us / 1000);
}

static const struct store_driver driver = {take_for, settle_for, advance};

START_TEST(it_answers_as_every_store_does)
{
    begin();
    store_vectors_run(&driver);
    end();
}
END_TEST

START_TEST(no_schedule_lets_more_through_than_burst_and_rate)
{
    begin();
    for (uint64_t seed = 1; seed <= 2; seed++)
        store_model_run(&driver, seed, SECOND / 1000, 300);
    end();
}
END_TEST

/* One register for two of 32 is one in thirty. */
START_TEST(any_set_of_different_ones_is_counted_within_the_sketchs_bounds)
{
    begin();
    store_model_distinct(&driver, 1, 0.0081);
    end();
}
END_TEST

SUITE(redis_store)
{
    folder_use(tests);
    TEST(the_burst_passes_and_then_the_wait_is_told);
    TEST(times_are_whole_microseconds_of_the_servers_clock);
    TEST(what_waits_up_to_the_delay_is_taken_and_the_wait_is_told);
    TEST(more_than_the_burst_in_one_never_passes);
    TEST(what_lies_too_far_ahead_is_cut);
    TEST(what_is_given_back_can_be_taken_again);
    TEST(a_group_is_taken_together_or_not_at_all);
    TEST(all_that_refuse_say_so_whatever_their_kind);
    TEST(each_group_sees_what_those_before_it_have_taken);
    TEST(a_group_is_not_tried_without_the_one_that_it_needs);
    TEST(a_thousand_takes_of_long_keys_are_one_call);
    TEST(so_many_leases_are_held_at_once);
    TEST(a_lease_ends_unless_it_is_renewed);
    TEST(so_many_different_ones_pass_and_those_that_are_known);
    TEST(a_different_one_is_forgotten_after_the_window);
    TEST(bad_ones_are_judged_from_so_many_on);
    TEST(a_counter_is_forgotten_when_asked);
    TEST(every_key_ends_by_itself);
    TEST(a_value_that_is_none_of_ours_is_no_answer);
    TEST(without_a_server_there_is_no_answer_at_once);
    TEST(it_answers_as_every_store_does);
    TEST(no_schedule_lets_more_through_than_burst_and_rate);
    TEST(any_set_of_different_ones_is_counted_within_the_sketchs_bounds);
}
