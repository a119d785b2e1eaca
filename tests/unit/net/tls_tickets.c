#include "net/tls_tickets.h"

#include "base/clock.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

#define SECRET "0123456789abcdef0123456789abcdef"

static void derive(const char *secret, int64_t period, struct ticket_keys *out)
{
    memset(out, 0, sizeof *out);
    ticket_keys_derive(span_of(secret), period, out);
    ck_assert_int_eq(out->period, period);
}

static bool is_same(const struct ticket_key *a, const struct ticket_key *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

START_TEST(a_period_is_two_hours)
{
    int64_t hour = 3600 * CLOCK_SECOND;
    ck_assert_int_eq(ticket_period(0), 0);
    ck_assert_int_eq(ticket_period(2 * hour - 1), 0);
    ck_assert_int_eq(ticket_period(2 * hour), 1);
    ck_assert_int_eq(ticket_period(486000 * hour), 243000);
}
END_TEST

/* From Python's hmac, by RFC 5869 section 2. */
START_TEST(keys_are_those_of_hkdf)
{
    static const char expected[] =
        "11fb0a8c0e88837505d37e80c87f8595d774a4fe35bce507745e8f8d6a05ddcd17166769a6771d35"
        "2af1d926815ff96d487b31f57d3394d35f2dd39443da38d5ba3f5339e530bad549d056985e2715f9";
    struct ticket_keys made;
    char text[2 * sizeof made.keys[0] + 1];
    derive(SECRET, 243000, &made);
    const unsigned char *bytes = (const void *)&made.keys[TICKET_KEY_CURRENT];
    for (size_t i = 0; i < sizeof made.keys[0]; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]); /* fits */
    ck_assert_str_eq(text, expected);
}
END_TEST

START_TEST(each_key_goes_from_next_to_current_to_previous)
{
    struct ticket_keys before, now;
    derive(SECRET, 243000, &before);
    derive(SECRET, 243001, &now);
    ck_assert(is_same(&now.keys[TICKET_KEY_CURRENT], &before.keys[TICKET_KEY_NEXT]));
    ck_assert(is_same(&now.keys[TICKET_KEY_PREVIOUS], &before.keys[TICKET_KEY_CURRENT]));
    for (int i = 0; i < TICKET_KEYS; i++)
        ck_assert(!is_same(&now.keys[i], &before.keys[TICKET_KEY_PREVIOUS]));
}
END_TEST

START_TEST(another_secret_makes_other_keys)
{
    struct ticket_keys a, b;
    derive(SECRET, 243000, &a);
    derive(SECRET "0", 243000, &b);
    for (int i = 0; i < TICKET_KEYS; i++)
        ck_assert(!is_same(&a.keys[i], &b.keys[i]));
}
END_TEST

SUITE(tls_tickets)
{
    TEST(a_period_is_two_hours);
    TEST(keys_are_those_of_hkdf);
    TEST(each_key_goes_from_next_to_current_to_previous);
    TEST(another_secret_makes_other_keys);
}
