#include "auth/account.h"

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>

#define LOCAL_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LABEL_63 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
/* 3 x 64 + 61 = 253 octets, the most that a domain has (RFC 1035 section 2.3.4, without the root)
 */
#define DOMAIN_253                     \
    LABEL_63 "." LABEL_63 "." LABEL_63 \
             ".0123456789abcdef0123456789abcdef0123456789abcdef0123456789abc"

static char out[ACCOUNT_SIZE];

/* Without a look past the end of what is given. */
static int canonical_bytes(const char *given, size_t size, const char *realm)
{
    char *copy = malloc(size == 0 ? 1 : size);
    memcpy(copy, given, size);
    memset(out, 'x', sizeof out);
    int outcome = account_canonical(span_make(copy, size), realm, out);
    free(copy);
    return outcome;
}

static int canonical(const char *given)
{
    return canonical_bytes(given, strlen(given), "example.com");
}

/* A-labels by RFC 3492 section 7.1 and UTS 46, of domains that registries print both ways. */
static const struct {
    const char *given, *canonical;
} names[] = {
    {"ana", "ana@example.com"},
    {"Ana", "ana@example.com"},
    {"ana@example.com", "ana@example.com"},
    {"ANA@EXAMPLE.COM", "ana@example.com"},
    {"ana@Other.Example", "ana@other.example"},
    {"ana.maria+web_1=x'~{}|^*&#$?-", "ana.maria+web_1=x'~{}|^*&#$?-@example.com"},
    {"jos\xc3\xa9", "jos\xc3\xa9@example.com"},
    {"ana@b\xc3\xbc"
     "cher.example",
     "ana@xn--bcher-kva.example"},
    {"ana@B\xc3\x9c"
     "CHER.example",
     "ana@xn--bcher-kva.example"},
    {"ana@bu\xcc\x88"
     "cher.example",
     "ana@xn--bcher-kva.example"}, /* u and a combining diaeresis */
    {"ana@xn--bcher-kva.example", "ana@xn--bcher-kva.example"},
    {"ana@XN--BCHER-KVA.Example", "ana@xn--bcher-kva.example"},
    {"ana@fa\xc3\x9f.de", "ana@xn--fa-hia.de"}, /* IDNA2008: sharp s is not ss */
    {"ana@\xe4\xbe\x8b\xe3\x81\x88.\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88",
     "ana@xn--r8jz45g.xn--zckzah"},
    {"ana@\xce\xbe.example", "ana@xn--zxa.example"},
    {"ana@localhost", "ana@localhost"},
    {LOCAL_64, LOCAL_64 "@example.com"},
    {LOCAL_64 "@" DOMAIN_253, LOCAL_64 "@" DOMAIN_253},
};

START_TEST(a_name_has_one_canonical_form)
{
    ck_assert_msg(canonical(names[_i].given) == 0, "%s is refused", names[_i].given);
    ck_assert_str_eq(out, names[_i].canonical);
}
END_TEST

START_TEST(the_canonical_form_is_its_own)
{
    char once[ACCOUNT_SIZE];
    ck_assert_int_eq(canonical(names[_i].given), 0);
    memcpy(once, out, sizeof once);
    ck_assert_int_eq(canonical(once), 0);
    ck_assert_str_eq(out, once);
}
END_TEST

static const char *const refused[] = {
    "",
    "@example.com",
    "@",
    "ana@",
    "ana@b@example.com",
    "ana@@example.com",
    "ana@example.com@",
    "a b",
    " ana",
    "ana ",
    "ana@exam ple.com",
    "ana\tb",
    "ana\r\nb",
    "ana\x01",
    "ana\x7f",
    "company\\ana",
    "ana%example.com",
    "example.com!ana",
    "ana/web",
    "ana@example.com/web",
    "ana\xff",
    "ana\xc3",
    "ana@\xff.example",
    "ana@.",
    "ana@.example.com",
    "ana@example..com",
    LOCAL_64 "x",
    LOCAL_64 "x@example.com",
    "ana@" LABEL_63 "x.example",
    "ana@x" DOMAIN_253,
    "ana@" DOMAIN_253 "x",
    "ana@" DOMAIN_253 "." DOMAIN_253,
};

START_TEST(what_is_no_name_is_refused)
{
    ck_assert_msg(canonical(refused[_i]) == -1, "%s is taken for %s", refused[_i], out);
}
END_TEST

/* Characters of which compatibility mapping (UTS 46) makes one that is refused. */
static const char *const disguised[] = {
    "ana@exam\xef\xbc\xa0ple.com", /* U+FF20 fullwidth @ */
    "ana@exam\xef\xbc\x8fple.com", /* U+FF0F fullwidth / */
    "ana@exam\xef\xbc\x85ple.com", /* U+FF05 fullwidth % */
    "ana@exam\xef\xbc\x81ple.com", /* U+FF01 fullwidth ! */
    "ana@exam\xef\xbc\xbcple.com", /* U+FF3C fullwidth \ */
    "ana@exam\xe3\x80\x80ple.com", /* U+3000 ideographic space */
    "ana@exam\xc2\xa0ple.com",     /* U+00A0 no-break space */
    "ana@exam\xe2\x84\x80ple.com", /* U+2100 a/c */
};

START_TEST(what_is_refused_is_refused_in_disguise)
{
    ck_assert_msg(canonical(disguised[_i]) == -1, "taken for %s", out);
}
END_TEST

START_TEST(a_name_with_a_nul_is_refused)
{
    ck_assert_int_eq(canonical_bytes("ana\0b", 5, "example.com"), -1);
    ck_assert_int_eq(canonical_bytes("ana@example.com\0", 16, "example.com"), -1);
    ck_assert_int_eq(canonical_bytes("\0", 1, "example.com"), -1);
}
END_TEST

START_TEST(the_realm_is_made_canonical_too)
{
    ck_assert_int_eq(canonical_bytes("Ana", 3,
                                     "B\xc3\x9c"
                                     "CHER.Example"),
                     0);
    ck_assert_str_eq(out, "ana@xn--bcher-kva.example");
    ck_assert_int_eq(canonical_bytes("ana", 3, ""), -1);
}
END_TEST

START_TEST(each_forbidden_character_is_refused_wherever_it_stands)
{
    for (int c = 1; c < 256; c++) {
        bool is_forbidden = c <= ' ' || c == 0x7f || strchr("\\%!/", c) != NULL;
        for (size_t at = 0; is_forbidden && at < 3; at++) {
            char name[] = "abc";
            name[at] = (char)c;
            ck_assert_msg(canonical(name) == -1, "%d at %zu", c, at);
        }
    }
}
END_TEST

START_TEST(no_garbled_name_makes_an_account_that_breaks_the_rules)
{
    static const char alphabet[] = "aB@.-\\%! /\xc3\xbc\xef\xbc\x8f\xf0\x9f\x98\x80\x01\x7f"
                                   "0xn";
    uint32_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        char name[24];
        size_t size = (size_t)round % sizeof name;
        for (size_t i = 0; i < size; i++) {
            seed = seed * UINT32_C(1664525) + UINT32_C(1013904223);
            name[i] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
        }
        if (canonical_bytes(name, size, "example.com") < 0)
            continue;
        ck_assert_ptr_nonnull(memchr(out, '\0', sizeof out));
        const char *sign = strchr(out, '@');
        ck_assert(sign != NULL && sign > out && sign[1] != '\0' && strchr(sign + 1, '@') == NULL);
        ck_assert_msg(strpbrk(out, "\\%!/ \x01\x7f") == NULL, "%s", out);
        for (const char *c = sign; *c != '\0'; c++)
            ck_assert_msg((unsigned char)*c < 0x80 && ascii_lower(*c) == *c, "%s", out);
    }
}
END_TEST

/* ---- what a backend is told ---- */

static const struct {
    enum login_name how;
    const char *given, *account, *told; /* NULL: nobody */
} told[] = {
    {LOGIN_NAME_ACCOUNT, "Ana", "ana@example.com", "ana@example.com"},
    {LOGIN_NAME_ACCOUNT, "Ana", "ana@elsewhere.example", "ana@elsewhere.example"},
    {LOGIN_NAME_GIVEN, "Ana", "ana@example.com", "Ana"},
    {LOGIN_NAME_GIVEN, "COMPANY\\Ana", "ana@example.com", "COMPANY\\Ana"},
    {LOGIN_NAME_LOCAL, "Ana@EXAMPLE.com", "ana@example.com", "ana"},
    {LOGIN_NAME_LOCAL, "COMPANY\\Ana", "ana@example.com", "ana"},
    {LOGIN_NAME_LOCAL, "ana@elsewhere.example", "ana@elsewhere.example", NULL},
    {LOGIN_NAME_LOCAL, "ana@example.com.example", "ana@example.com.example", NULL},
};

START_TEST(a_backend_is_told_the_name_that_the_configuration_says)
{
    int outcome = account_login_name(told[_i].how, span_of(told[_i].given), told[_i].account,
                                     "Example.COM", out);
    ck_assert_int_eq(outcome, told[_i].told == NULL ? -1 : 0);
    if (told[_i].told != NULL)
        ck_assert_str_eq(out, told[_i].told);
}
END_TEST

START_TEST(a_name_too_long_to_be_told_as_it_was_given_is_nobodys)
{
    char given[ACCOUNT_SIZE + 1];
    memset(given, 'x', sizeof given);
    ck_assert_int_eq(account_login_name(LOGIN_NAME_GIVEN, span_make(given, ACCOUNT_SIZE - 1),
                                        "a@example.com", "example.com", out),
                     0);
    ck_assert_int_eq(account_login_name(LOGIN_NAME_GIVEN, span_make(given, ACCOUNT_SIZE),
                                        "a@example.com", "example.com", out),
                     -1);
}
END_TEST

static const struct {
    const char *given, *compared;
} addresses[] = {
    {"Ana.Souza@Example.COM", "ana.souza@example.com"},
    {"\"A B\"@b\xc3\xbc"
     "cher.example",
     "\"a b\"@xn--bcher-kva.example"},
    {"a/b%c!d@XN--BCHER-KVA.example", "a/b%c!d@xn--bcher-kva.example"},
    {"\"a@b\"@Example.com", "\"a@b\"@example.com"},
    {"ana@[IPv6:2001:DB8::1]", "ana@[ipv6:2001:db8::1]"},
    {"ana@-x-.Example", "ana@-x-.example"},
    {"postmaster", ""},
    {"", ""},
};

START_TEST(an_address_is_compared_as_accounts_are)
{
    size_t size = account_address(span_of(addresses[_i].given), out);
    ck_assert_uint_eq(size, strlen(addresses[_i].compared));
    if (size > 0)
        ck_assert_str_eq(out, addresses[_i].compared);
}
END_TEST

START_TEST(an_address_as_long_as_an_account_can_be_is_one)
{
    char given[ACCOUNT_SIZE];
    memset(given, 'x', sizeof given);
    given[70] = '@';
    ck_assert_uint_eq(account_address(span_make(given, ACCOUNT_SIZE - 1), out), ACCOUNT_SIZE - 1);
    ck_assert_uint_eq(account_address(span_make(given, ACCOUNT_SIZE), out), 0);
}
END_TEST

SUITE(account)
{
    LOOP_TEST(an_address_is_compared_as_accounts_are, addresses);
    TEST(an_address_as_long_as_an_account_can_be_is_one);
    LOOP_TEST(a_name_has_one_canonical_form, names);
    LOOP_TEST(the_canonical_form_is_its_own, names);
    LOOP_TEST(what_is_no_name_is_refused, refused);
    LOOP_TEST(what_is_refused_is_refused_in_disguise, disguised);
    TEST(a_name_with_a_nul_is_refused);
    TEST(the_realm_is_made_canonical_too);
    TEST(each_forbidden_character_is_refused_wherever_it_stands);
    TEST(no_garbled_name_makes_an_account_that_breaks_the_rules);
    LOOP_TEST(a_backend_is_told_the_name_that_the_configuration_says, told);
    TEST(a_name_too_long_to_be_told_as_it_was_given_is_nobodys);
}
