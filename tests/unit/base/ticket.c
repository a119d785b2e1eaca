#include "base/ticket.h"

#include "support/test.h"

#include <stdbool.h>

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * UINT32_C(1664525) + UINT32_C(1013904223);
    return *seed >> 16;
}

/* Somebody who holds a ticket. */
struct holder {
    struct tickets *tickets;
    struct ticket ticket;
    int visits;
};

static void open_for(struct tickets *t, struct holder *h)
{
    h->tickets = t;
    ck_assert_int_eq(ticket_open(t, h, &h->ticket), 0);
}

START_TEST(an_open_ticket_finds_its_owner)
{
    struct tickets *t = tickets_create(2);
    struct holder a = {0}, b = {0};
    open_for(t, &a);
    open_for(t, &b);
    ck_assert_ptr_eq(ticket_owner(t, a.ticket), &a);
    ck_assert_ptr_eq(ticket_owner(t, b.ticket), &b);
    tickets_destroy(&t);
}
END_TEST

START_TEST(a_closed_ticket_finds_nobody)
{
    struct tickets *t = tickets_create(2);
    struct holder a = {0};
    open_for(t, &a);
    ticket_close(t, a.ticket);
    ck_assert_ptr_null(ticket_owner(t, a.ticket));
    tickets_destroy(&t);
}
END_TEST

START_TEST(a_stale_ticket_does_not_find_the_next_in_its_slot)
{
    struct tickets *t = tickets_create(1);
    struct holder a = {0}, b = {0};
    open_for(t, &a);
    ticket_close(t, a.ticket);
    open_for(t, &b);
    ck_assert_ptr_null(ticket_owner(t, a.ticket));
    ck_assert_ptr_eq(ticket_owner(t, b.ticket), &b);
    tickets_destroy(&t);
}
END_TEST

START_TEST(closing_a_stale_ticket_leaves_the_next_in_its_slot_alone)
{
    struct tickets *t = tickets_create(1);
    struct holder a = {0}, b = {0};
    open_for(t, &a);
    ticket_close(t, a.ticket);
    open_for(t, &b);
    ticket_close(t, a.ticket);
    ck_assert_ptr_eq(ticket_owner(t, b.ticket), &b);
    ck_assert_uint_eq(tickets_open(t), 1);
    tickets_destroy(&t);
}
END_TEST

START_TEST(closing_twice_does_not_give_a_slot_to_two)
{
    struct tickets *t = tickets_create(2);
    struct holder a = {0}, b = {0}, c = {0};
    open_for(t, &a);
    ticket_close(t, a.ticket);
    ticket_close(t, a.ticket);
    open_for(t, &b);
    open_for(t, &c);
    ck_assert_ptr_eq(ticket_owner(t, b.ticket), &b);
    ck_assert_ptr_eq(ticket_owner(t, c.ticket), &c);
    tickets_destroy(&t);
}
END_TEST

START_TEST(a_ticket_that_was_never_given_out_finds_nobody)
{
    static const struct ticket forged[] = {{0, 0}, {0, 2},          {0, UINT32_MAX},         {1, 0},
                                           {4, 0}, {UINT32_MAX, 0}, {UINT32_MAX, UINT32_MAX}};
    struct tickets *t = tickets_create(4);
    ck_assert_ptr_null(ticket_owner(t, (struct ticket){0, 0}));
    struct holder a = {0};
    open_for(t, &a);
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        ck_assert_ptr_null(ticket_owner(t, forged[i]));
        ticket_close(t, forged[i]);
    }
    ck_assert_ptr_eq(ticket_owner(t, a.ticket), &a);
    tickets_destroy(&t);
}
END_TEST

START_TEST(a_ticket_that_is_yet_to_be_given_out_closes_nothing)
{
    struct tickets *t = tickets_create(1);
    struct holder a = {0}, b = {0};
    open_for(t, &a);
    ck_assert_ptr_null(ticket_owner(t, (struct ticket){1, 0})); /* past a full table */
    ticket_close(t, a.ticket);
    ticket_close(t, (struct ticket){a.ticket.slot, a.ticket.generation + 1});
    ck_assert_uint_eq(tickets_open(t), 0);
    open_for(t, &a);
    ck_assert_int_eq(ticket_open(t, &b, &b.ticket), -1);
    ck_assert_ptr_eq(ticket_owner(t, a.ticket), &a);
    tickets_destroy(&t);
}
END_TEST

START_TEST(no_more_tickets_than_the_limit_are_open)
{
    struct tickets *t = tickets_create(2);
    struct holder a = {0}, b = {0}, c = {0};
    open_for(t, &a);
    open_for(t, &b);
    ck_assert_int_eq(ticket_open(t, &c, &c.ticket), -1);
    ticket_close(t, a.ticket);
    ck_assert_int_eq(ticket_open(t, &c, &c.ticket), 0);
    tickets_destroy(&t);
}
END_TEST

START_TEST(tickets_are_found_as_in_a_list_of_all_ever_given_out)
{
    enum { LIMIT = 20, EVER = 5000 };
    struct tickets *t = tickets_create(LIMIT);
    static struct holder holders[EVER];
    static bool is_open[EVER];
    uint32_t seed = 1, open = 0, given = 0;
    while (given < EVER) {
        struct holder *h = &holders[given];
        if (next_random(&seed) % 2 == 0) {
            int outcome = ticket_open(t, h, &h->ticket);
            ck_assert_int_eq(outcome, open < LIMIT ? 0 : -1);
            if (outcome == 0) {
                is_open[given++] = true;
                open++;
            }
        } else if (given > 0) {
            uint32_t back = next_random(&seed) % 40;
            uint32_t which = back < given ? given - 1 - back : 0;
            ticket_close(t, holders[which].ticket);
            open -= is_open[which];
            is_open[which] = false;
        }
        ck_assert_uint_eq(tickets_open(t), open);
        for (uint32_t i = given < 60 ? 0 : given - 60; i < given; i++)
            if (ticket_owner(t, holders[i].ticket) != (is_open[i] ? &holders[i] : NULL))
                ck_abort_msg("ticket %u of %u", i, given);
    }
    tickets_destroy(&t);
}
END_TEST

static void count_visit(void *owner, void *context)
{
    struct holder *h = owner;
    h->visits++;
    ++*(int *)context;
}

static void close_own(void *owner, void *context)
{
    struct holder *h = owner;
    count_visit(owner, context);
    ticket_close(h->tickets, h->ticket);
}

START_TEST(every_open_owner_is_visited_once)
{
    struct tickets *t = tickets_create(10);
    struct holder holders[10] = {0};
    int visits = 0;
    for (int i = 0; i < 10; i++)
        open_for(t, &holders[i]);
    ticket_close(t, holders[0].ticket);
    ticket_close(t, holders[5].ticket);
    tickets_each(t, count_visit, &visits);
    ck_assert_int_eq(visits, 8);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(holders[i].visits, i % 5 != 0);
    tickets_destroy(&t);
}
END_TEST

START_TEST(an_owner_may_close_his_ticket_when_visited)
{
    struct tickets *t = tickets_create(10);
    struct holder holders[10] = {0};
    int visits = 0;
    for (int i = 0; i < 10; i++)
        open_for(t, &holders[i]);
    tickets_each(t, close_own, &visits);
    ck_assert_int_eq(visits, 10);
    ck_assert_uint_eq(tickets_open(t), 0);
    tickets_destroy(&t);
}
END_TEST

START_TEST(destroying_leaves_null)
{
    struct tickets *t = tickets_create(1);
    tickets_destroy(&t);
    ck_assert_ptr_null(t);
    tickets_destroy(&t);
}
END_TEST

static void create_and_open(void)
{
    struct tickets *t = tickets_create(100);
    struct ticket ticket;
    if ((t == NULL) != failing_has_failed())
        ck_abort_msg("null without memory alone");
    if (t != NULL && (ticket_open(t, t, &ticket) < 0 || ticket_owner(t, ticket) != t))
        ck_abort_msg("opening needs no memory");
    tickets_destroy(&t);
}

START_TEST(a_table_that_finds_no_memory_is_null)
{
    WITH_EACH_ALLOCATION_FAILING(create_and_open());
}
END_TEST

SUITE(ticket)
{
    TEST(an_open_ticket_finds_its_owner);
    TEST(a_closed_ticket_finds_nobody);
    TEST(a_stale_ticket_does_not_find_the_next_in_its_slot);
    TEST(closing_a_stale_ticket_leaves_the_next_in_its_slot_alone);
    TEST(closing_twice_does_not_give_a_slot_to_two);
    TEST(a_ticket_that_was_never_given_out_finds_nobody);
    TEST(a_ticket_that_is_yet_to_be_given_out_closes_nothing);
    TEST(no_more_tickets_than_the_limit_are_open);
    TEST(tickets_are_found_as_in_a_list_of_all_ever_given_out);
    TEST(every_open_owner_is_visited_once);
    TEST(an_owner_may_close_his_ticket_when_visited);
    TEST(destroying_leaves_null);
    TEST(a_table_that_finds_no_memory_is_null);
}
