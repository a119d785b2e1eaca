#include "ipc/dialler.h"

#include "descriptors.h"

#include "net/turns.h"

#include <fcntl.h>
#include <stdlib.h>

/* The dialler that is tested, and a master that keeps what it is asked. */
static struct {
    struct dialler *dialler;
    struct channel *to_master, *master;
    struct message_dial asked[4];
    unsigned count;
} it;

struct asker {
    struct dial dial;
    unsigned calls;
    int fd;
    bool asks_again;
};

static void on_master(void *owner, const struct message *m)
{
    (void)owner;
    ck_assert_ptr_nonnull(m);
    ck_assert_int_eq(m->type, MESSAGE_DIAL);
    it.asked[it.count++ % 4] = *(const struct message_dial *)m->payload;
}

static void on_answer(void *owner, const struct message *m)
{
    (void)owner;
    ck_assert_ptr_nonnull(m);
    dialler_take(it.dialler, m);
}

static void begin(void)
{
    int ends[2];
    struct error why;
    turns_begin();
    ck_assert_int_eq(channel_pair(ends, &why), 0);
    it.to_master = channel_create(turns.loop, ends[0], on_answer, NULL);
    it.master = channel_create(turns.loop, ends[1], on_master, NULL);
    it.dialler = dialler_create(&it.to_master);
    ck_assert(it.to_master != NULL && it.master != NULL && it.dialler != NULL);
}

static void end(void)
{
    dialler_destroy(&it.dialler);
    channel_destroy(&it.to_master);
    channel_destroy(&it.master);
    turns_end();
}

static void on_dialled(void *owner, int fd)
{
    struct asker *a = owner;
    a->calls++;
    a->fd = fd;
    if (a->asks_again)
        ck_assert_int_eq(dialler_ask(it.dialler, &a->dial, DIAL_REDIS, 9, on_dialled, a), 0);
}

static int ask(struct asker *a, size_t index)
{
    return dialler_ask(it.dialler, &a->dial, DIAL_REDIS, index, on_dialled, a);
}

/* What the master was asked as the n-th, with a descriptor or none. */
static void answer(unsigned n, bool has_fd)
{
    int fd = has_fd ? open("/proc/self/exe", O_RDONLY | O_CLOEXEC) : -1;
    ck_assert_int_eq(channel_send(it.master, MESSAGE_DIAL, &it.asked[n], span_of(""), fd), 0);
    if (fd >= 0)
        ck_assert_int_eq(close(fd), 0);
}

START_TEST(who_asks_gets_the_connection)
{
    struct asker a = {.fd = -1};
    ck_assert_int_eq(ask(&a, 3), 0);
    UNTIL(it.count == 1);
    ck_assert_uint_eq(it.asked[0].kind, DIAL_REDIS);
    ck_assert_uint_eq(it.asked[0].index, 3);
    ck_assert_uint_eq(a.calls, 0);
    answer(0, true);
    UNTIL(a.calls == 1);
    ck_assert_int_ge(a.fd, 0);
    ck_assert_int_eq(close(a.fd), 0);
}
END_TEST

START_TEST(who_asks_hears_that_there_is_none)
{
    struct asker a = {.fd = 0};
    ck_assert_int_eq(ask(&a, 0), 0);
    UNTIL(it.count == 1);
    answer(0, false);
    UNTIL(a.calls == 1);
    ck_assert_int_eq(a.fd, -1);
}
END_TEST

START_TEST(answers_find_their_askers_in_any_order)
{
    struct asker a = {.fd = -1}, b = {.fd = -1};
    ck_assert_int_eq(ask(&a, 1), 0);
    ck_assert_int_eq(ask(&b, 1), 0);
    UNTIL(it.count == 2);
    answer(1, false);
    UNTIL(b.calls == 1);
    ck_assert_uint_eq(a.calls, 0);
    answer(0, false);
    UNTIL(a.calls == 1);
    ck_assert_uint_eq(b.calls, 1);
}
END_TEST

START_TEST(an_answer_is_taken_once)
{
    struct asker a = {.fd = -1}, b = {.fd = -1};
    ck_assert_int_eq(ask(&a, 1), 0);
    UNTIL(it.count == 1);
    answer(0, false);
    answer(0, true);
    ck_assert_int_eq(ask(&b, 1), 0);
    UNTIL(it.count == 2);
    answer(1, false);
    UNTIL(b.calls == 1);
    ck_assert_uint_eq(a.calls, 1);
}
END_TEST

START_TEST(a_connection_that_nobody_waits_for_is_closed)
{
    struct asker a = {.fd = -1}, b = {.fd = -1};
    ck_assert_int_eq(ask(&a, 1), 0);
    UNTIL(it.count == 1);
    unsigned before = open_descriptors();
    dialler_forget(it.dialler, &a.dial);
    dialler_forget(it.dialler, &a.dial);
    answer(0, true);
    ck_assert_int_eq(ask(&b, 1), 0);
    UNTIL(it.count == 2);
    answer(1, false);
    UNTIL(b.calls == 1);
    ck_assert_uint_eq(a.calls, 0);
    ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

START_TEST(who_asks_again_forgets_what_it_asked_before)
{
    struct asker a = {.fd = -1};
    ck_assert_int_eq(ask(&a, 1), 0);
    ck_assert_int_eq(ask(&a, 2), 0);
    UNTIL(it.count == 2);
    answer(0, true);
    answer(1, false);
    UNTIL(a.calls == 1);
    ck_assert_int_eq(a.fd, -1);
}
END_TEST

START_TEST(who_is_answered_may_ask_again_at_once)
{
    struct asker a = {.fd = -1, .asks_again = true};
    ck_assert_int_eq(ask(&a, 1), 0);
    UNTIL(it.count == 1);
    answer(0, false);
    UNTIL(it.count == 2);
    ck_assert_uint_eq(it.asked[1].index, 9);
}
END_TEST

START_TEST(without_a_master_there_is_nobody_to_ask)
{
    struct asker a = {.fd = -1};
    channel_destroy(&it.to_master);
    ck_assert_int_eq(ask(&a, 1), -1);
    ck_assert_uint_eq(a.calls, 0);
}
END_TEST

START_TEST(how_many_wait_is_bounded)
{
    static struct asker many[1100];
    size_t taken = 0;
    channel_destroy(&it.master); /* nobody reads: what is asked is kept, or refused */
    while (taken < 1100 && ask(&many[taken], 0) == 0)
        taken++;
    ck_assert_uint_le(taken, 1024);
    for (size_t i = 0; i < taken; i++)
        dialler_forget(it.dialler, &many[i].dial);
}
END_TEST

SUITE(dialler)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(who_asks_gets_the_connection);
    TEST(who_asks_hears_that_there_is_none);
    TEST(answers_find_their_askers_in_any_order);
    TEST(an_answer_is_taken_once);
    TEST(a_connection_that_nobody_waits_for_is_closed);
    TEST(who_asks_again_forgets_what_it_asked_before);
    TEST(who_is_answered_may_ask_again_at_once);
    TEST(without_a_master_there_is_nobody_to_ask);
    TEST(how_many_wait_is_bounded);
}
