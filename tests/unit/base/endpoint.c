#include "base/endpoint.h"

#include "support/test.h"

START_TEST(inet_is_a_host_and_a_port)
{
    static const struct {
        const char *text, *to;
    } cases[] = {{"inet:127.0.0.1:10031", "127.0.0.1:10031"},
                 {"inet:localhost:10031", "127.0.0.1:10031"},
                 {"inet:[2001:db8::1]:65535", "[2001:db8::1]:65535"}};
    const char *text = cases[_i].text;
    struct endpoint e;
    struct error why;
    char shown[ADDRESS_TEXT_SIZE];
    ck_assert_int_eq(endpoint_parse(text, &e, &why), 0);
    ck_assert_ptr_null(e.path);
    address_format(&e.to, shown);
    ck_assert_str_eq(shown, cases[_i].to);
    ck_assert_int_eq(endpoint_check(text, NULL), 0);
}
END_TEST

START_TEST(unix_is_a_path_within_the_text)
{
    const char *text = "unix:/run/postgrey/socket";
    struct endpoint e;
    struct error why;
    ck_assert_int_eq(endpoint_parse(text, &e, &why), 0);
    ck_assert_ptr_eq(e.path, text + 5);
    ck_assert_uint_eq(e.to.size, 0);
}
END_TEST

#define TEN     "/23456789/"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

START_TEST(a_path_fits_into_a_socket_address)
{
    /* unix(7): 108 octets with the NUL. */
    ck_assert_int_eq(endpoint_check("unix:" HUNDRED "1234567", NULL), 0);
    ck_assert_int_eq(endpoint_check("unix:" HUNDRED "12345678", NULL), -1);
}
END_TEST

static const struct {
    const char *text, *hint;
} wrong[] = {{"127.0.0.1:10031", "inet:HOST:PORT or unix:/PATH"},
             {"", "inet:HOST:PORT or unix:/PATH"},
             {"INET:127.0.0.1:1", "inet:HOST:PORT or unix:/PATH"},
             {"inet:10031", "has no port"},
             {"inet:policy.example.com:10031", "names are not looked up"},
             {"inet:127.0.0.1:0", "has no port"},
             {"unix:run/socket", "no absolute path"},
             {"unix:", "no absolute path"}};

START_TEST(anything_else_is_refused_with_what_would_do)
{
    struct endpoint e;
    struct error why;
    ck_assert_int_eq(endpoint_parse(wrong[_i].text, &e, &why), -1);
    ck_assert_msg(strstr(why.text, wrong[_i].hint) != NULL, "%s", why.text);
}
END_TEST

SUITE(endpoint)
{
    tcase_add_loop_test(tests, inet_is_a_host_and_a_port, 0, 3);
    TEST(unix_is_a_path_within_the_text);
    TEST(a_path_fits_into_a_socket_address);
    LOOP_TEST(anything_else_is_refused_with_what_would_do, wrong);
}
