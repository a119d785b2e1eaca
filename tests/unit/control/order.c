#include "control/order.h"

#include "support/test.h"

static const struct {
    const char *request, *reason; /* of up to 7 octets */
} cases[] = {
    {"{}", ""},
    {"{\"reason\": 5}", ""},
    {"{\"reason\": \"ticket\"}", "ticket"},
    {"{\"reason\": \"a\\nb\\u007fc\"}", "a?b?c"},
    {"{\"reason\": \"tickets of today\"}", "tickets"},
    {"{\"reason\": \"f\xc3\xa9rias\xc3\xa9\"}", "f\xc3\xa9rias"},
    {"{\"reason\": \"feria\xe2\x82\xac\"}", "feria"},
};

START_TEST(a_reason_is_cut_between_characters_and_has_no_control_characters)
{
    char out[8];
    json_t *request = json_loads(cases[_i].request, 0, NULL);
    ck_assert_ptr_nonnull(request);
    order_reason(request, out, sizeof out);
    ck_assert_str_eq(out, cases[_i].reason);
    json_decref(request);
}
END_TEST

SUITE(order)
{
    LOOP_TEST(a_reason_is_cut_between_characters_and_has_no_control_characters, cases);
}
