#include "message/addresses.h"

#include "base/buffer.h"
#include "support/splits.h"
#include "support/test.h"

/* What a field's value was read as: its addresses, a space behind each; or what is wrong. */
struct reading {
    struct addresses addresses;
    struct buffer given;
    const char *wrong;
};

static void put(void *owner, struct span address)
{
    struct reading *r = owner;
    ck_assert_int_eq(buffer_printf(&r->given, "%.*s ", (int)address.size, address.data), 0);
}

static void restart(void *owner)
{
    struct reading *r = owner;
    buffer_clear(&r->given);
    r->given.limit = 4096;
    addresses_begin(&r->addresses, put, r);
}

static void feed(void *owner, struct span piece)
{
    struct reading *r = owner;
    addresses_take(&r->addresses, piece);
}

struct case_of {
    const char *value, *addresses, *wrong;
};

static const struct case_of *meant;

static void done(void *owner)
{
    struct reading *r = owner;
    r->wrong = addresses_end(&r->addresses);
    if (meant->wrong != NULL) {
        ck_assert_msg(r->wrong != NULL && strstr(r->wrong, meant->wrong) != NULL,
                      "%s: %s instead of %s", meant->value, r->wrong, meant->wrong);
        return;
    }
    ck_assert_pstr_eq(r->wrong, NULL);
    ck_assert(buffer_append(&r->given, span_make("", 1)) == 0);
    ck_assert_str_eq(buffer_bytes(&r->given).data, meant->addresses);
}

static void check(const struct case_of *c)
{
    struct reading r = {.given = {.limit = 4096}};
    meant = c;
    every_split(span_of(c->value), restart, feed, done, &r);
    buffer_clear(&r.given);
}

/* RFC 5322 appendix A, RFC 6854 section 4, RFC 2047 section 8, RFC 6532. */
static const struct case_of of_the_rfcs[] = {
    {"John Doe <jdoe@machine.example>", "jdoe@machine.example ", NULL},
    {"\"Joe Q. Public\" <john.q.public@example.com>", "john.q.public@example.com ", NULL},
    {"Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
     "mary@x.test jdoe@example.org one@y.test ", NULL},
    {"<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
     "boss@nil.test sysservices@example.net ", NULL},
    {"A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
     "c@a.test joe@where.test jdoe@one.test ", NULL},
    {"Undisclosed recipients:;", NULL, "names no address"},
    {"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "pete@silly.test ", NULL},
    {"A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n"
     "         joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)",
     "c@public.example joe@example.org jdoe@one.test ", NULL},
    {"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", NULL, "names no address"},
    {"Joe Q. Public <john.q.public@example.com>", "john.q.public@example.com ", NULL},
    {"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
     "mary@example.net jdoe@test.example ", NULL},
    {"John Doe <jdoe@machine(comment).  example>", "jdoe@machine.example ", NULL},
    {"Managing Partners:ben@example.com,carol@example.com;", "ben@example.com carol@example.com ",
     NULL},
    {"=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "moore@cs.utk.edu ", NULL},
    {"=?ISO-8859-1?Q?Andr=E9?= Pirard <PIRARD@vm1.ulg.ac.be>", "PIRARD@vm1.ulg.ac.be ", NULL},
    {"J\xc3\xb8ran <j\xc3\xb8ran@bl\xc3\xa5.example>", "j\xc3\xb8ran@bl\xc3\xa5.example ", NULL},
};

START_TEST(examples_of_the_rfcs_are_read_as_they_say)
{
    check(&of_the_rfcs[_i]);
}
END_TEST

/* As programs write them. */
static const struct case_of of_programs[] = {
    {" ana@example.com\r\n", "ana@example.com ", NULL},
    {" <ana@example.com>", "ana@example.com ", NULL},
    {" Ana Souza<ana@example.com> ", "ana@example.com ", NULL},
    {" ana@example.com (Ana (at home) Souza)", "ana@example.com ", NULL},
    {" \"ana@example.com\" <ana@example.com>", "ana@example.com ", NULL},
    {" 'Ana via Shop' <shop+ana=example.com@lists.example.org>",
     "shop+ana=example.com@lists.example.org ", NULL},
    {" =?utf-8?B?QW5hIFNvdXph?=\r\n =?utf-8?Q?=20=3Canother=40example=2Ecom=3E?=\r\n\t"
     "<ana@example.com>",
     "ana@example.com ", NULL},
    {" \"Ana\r\n Souza\" <ana@example.com>", "ana@example.com ", NULL},
    {" A.B. Co. <ana@example.com>", "ana@example.com ", NULL},
    {" ana@[192.0.2.1], bia@[IPv6:2001:db8::1]", "ana@[192.0.2.1] bia@[IPv6:2001:db8::1] ", NULL},
    {" ,,ana@example.com,", "ana@example.com ", NULL},
    {" g: ; , h: ana@example.com;", "ana@example.com ", NULL},
    {" Ana\t<ana@my_host.example>", "ana@my_host.example ", NULL},
};

START_TEST(fields_of_programs_are_read)
{
    check(&of_programs[_i]);
}
END_TEST

/* The same address is the same text, however it is quoted. */
static const struct case_of quoted[] = {
    {"\"ana\"@example.com", "ana@example.com ", NULL},
    {"\"a\\na\"@example.com", "ana@example.com ", NULL},
    {"\"ana\".\"b\"@example.com", "ana.b@example.com ", NULL},
    {"ana . b (c) @ (d) example . com", "ana.b@example.com ", NULL},
    {"\"a b\"@example.com", "\"a b\"@example.com ", NULL},
    {"\"a\\\"\\\\\"@example.com", "\"a\\\"\\\\\"@example.com ", NULL},
    {"\"a@b\"@example.com", "\"a@b\"@example.com ", NULL},
    {"\"\"@example.com", "\"\"@example.com ", NULL},
    {"\"a.\"@example.com", "\"a.\"@example.com ", NULL},
    {"\"a..b\"@example.com", "\"a..b\"@example.com ", NULL},
    {"<\".\"@example.com>", "\".\"@example.com ", NULL},
};

START_TEST(quotes_are_kept_where_they_are_needed)
{
    check(&quoted[_i]);
}
END_TEST

/* Where one reader may see another address than the next. */
static const struct case_of hostile[] = {
    {"", NULL, "names no address"},
    {" , ,", NULL, "names no address"},
    {"(ana@example.com)", NULL, "names no address"},
    {"ana", NULL, "name stands in it without an address"},
    {"ana, bia@example.com", NULL, "name stands in it without an address"},
    {"Ana Souza", NULL, "name stands in it without an address"},
    {"boss@bank.example <ana@example.com>", NULL, "has to be quoted"},
    {"<boss@bank.example> <ana@example.com>", NULL, "< stands in it"},
    {"<boss@bank.example> ana@example.com", NULL, "without a comma"},
    {"ana@example.com boss@bank.example", NULL, "without a comma"},
    {"Ana <boss@bank.example <ana@example.com>>", NULL, "> is missing"},
    {"<<ana@example.com>>", NULL, "> is missing"},
    {"Ana <>", NULL, "no address stands in it before a >"},
    {"Ana <ana>", NULL, "no address stands in it before a >"},
    {"Ana <ana@>", NULL, "no domain"},
    {"Ana <ana@example.com", NULL, "> is missing"},
    {"Ana <ana@example.com, bia@example.com>", NULL, "> is missing"},
    {"ana@example.com>", NULL, "before a >"},
    {"ana@example.com@bank.example", NULL, "two @"},
    {"<ana@example.com@bank.example>", NULL, "two @"},
    {"@example.com", NULL, "no local part"},
    {"ana bia@example.com", NULL, "no local part"},
    {"ana\"b\"@example.com", NULL, "no local part"},
    {"a(b)na@example.com", NULL, "no local part"},
    {"\"a\tb\"@example.com", NULL, "no local part"},
    {".ana@example.com", NULL, "dot stands in it"},
    {"ana.@example.com", NULL, "no local part"},
    {"a..na@example.com", NULL, "no local part"},
    {"ana@", NULL, "no domain"},
    {"ana@.example.com", NULL, "dot too many"},
    {"ana@example.com.", NULL, "half of one"},
    {"ana@example..com", NULL, "dot too many"},
    {"ana@\"example\".com", NULL, "where a domain should"},
    {"ana@exam!ple.com", NULL, "domains don't have"},
    {"ana@[192.0.2.1].com", NULL, "dot too many"},
    {"ana@[192.0.2.1]com", NULL, "without a comma"},
    {"ana@a[192.0.2.1]", NULL, "bracket stands in it"},
    {"[192.0.2.1]", NULL, "bracket stands in it"},
    {"ana@[192.0\\.2.1]", NULL, "is none"},
    {"ana@[192.0.2.1", NULL, "it ends before"},
    {"\"ana@example.com", NULL, "it ends before"},
    {"ana@example.com (b", NULL, "it ends before"},
    {"ana@example.com )", NULL, "can't stand there"},
    {"ana@example.com \\, b", NULL, "can't stand there"},
    {"\"a\\\r\n b\" <ana@example.com>", NULL, "backslash"},
    {"g: ana@example.com", NULL, "it ends before"},
    {"g: h: ana@example.com;;", NULL, "colon stands in it"},
    {"ana@example.com: bia@example.com;", NULL, "colon stands in it"},
    {"ana@example.com; bia@example.com", NULL, "semicolon"},
    {": ana@example.com;", NULL, "colon stands in it"},
    {"g:; ana@example.com", NULL, "without a comma"},
    {"<@:ana@example.com>", NULL, "colon stands in it"},
    {"<@bank.example,ana@example.com>", NULL, "no address stands in it before a >"},
    {"<@bank.example:@example.com>", NULL, "no local part"},
    {"<@[192.0.2.1]:ana@example.com>", NULL, "bracket stands in it"},
    {"=?utf-8?Q?boss=40bank.example=00?=@example.com", NULL, "is encoded"},
    {"Ana <\"=?utf-8?Q?boss?=\"@example.com>", NULL, "is encoded"},
    {"=?utf-8?Q? <boss@bank.example> ?= <ana@example.com>", NULL, "without a comma"},
    {"Jos\xe9 <jose@example.com>", NULL, "not UTF-8"},
    {"\"\x83\\\", boss@bank.example, \" <ana@example.com>", NULL, "not UTF-8"},
    {"\xc3\r\n \xa9 <ana@example.com>", NULL, "not UTF-8"},
    {"ana@example.com (\xc3", NULL, "it ends before"},
    {"\x1b$B\"<\x1b(B <ana@example.com>", NULL, "control character"},
    {"ana\x7f@example.com", NULL, "control character"},
    {"ana\v@example.com", NULL, "control character"},
};

START_TEST(what_may_be_read_in_two_ways_is_wrong)
{
    check(&hostile[_i]);
}
END_TEST

START_TEST(a_nul_is_wrong_wherever_it_stands)
{
    static const char text[] = "\"a\"(b)<c@[192.0.2.1]>";
    char changed[sizeof text + 1];
    struct reading r = {.given = {.limit = 4096}};
    for (size_t at = 0; at < sizeof text; at++) {
        memcpy(changed, text, at);
        changed[at] = '\0';
        memcpy(changed + at + 1, text + at, sizeof text - 1 - at);
        restart(&r);
        feed(&r, span_make(changed, sizeof text));
        ck_assert_str_eq(addresses_end(&r.addresses), "it has a control character");
    }
    buffer_clear(&r.given);
}
END_TEST

/* What is wrong with so many letters between two texts. */
static const char *read_filled(const char *before, size_t count, const char *behind)
{
    struct reading r = {.given = {.limit = 4096}};
    restart(&r);
    feed(&r, span_of(before));
    for (size_t i = 0; i < count; i++)
        feed(&r, span_of("a"));
    feed(&r, span_of(behind));
    const char *wrong = addresses_end(&r.addresses);
    buffer_clear(&r.given);
    return wrong;
}

START_TEST(an_address_is_bounded_and_a_name_is_not)
{
    ck_assert_pstr_eq(read_filled("", ADDRESSES_LOCAL_MAX, "@example.com"), NULL);
    ck_assert_pstr_ne(read_filled("", ADDRESSES_LOCAL_MAX + 1, "@example.com"), NULL);
    ck_assert_pstr_ne(read_filled("\"", ADDRESSES_LOCAL_MAX + 1, "\"@example.com"), NULL);
    ck_assert_pstr_eq(read_filled("\"", 10000, "\" <ana@example.com>"), NULL);
    ck_assert_pstr_eq(read_filled("ana@", ADDRESSES_DOMAIN_MAX, ""), NULL);
    ck_assert_pstr_ne(read_filled("ana@", ADDRESSES_DOMAIN_MAX + 1, ""), NULL);
}
END_TEST

/* Of comments in one another. */
static const char *read_nested(size_t depth)
{
    struct reading r = {.given = {.limit = 4096}};
    restart(&r);
    feed(&r, span_of("ana@example.com"));
    for (size_t i = 0; i < 2 * depth; i++)
        feed(&r, span_of(i < depth ? "(" : ")"));
    const char *wrong = addresses_end(&r.addresses);
    buffer_clear(&r.given);
    return wrong;
}

START_TEST(comments_are_nested_to_a_bound)
{
    ck_assert_pstr_eq(read_nested(64), NULL);
    ck_assert_pstr_ne(read_nested(65), NULL);
}
END_TEST

SUITE(addresses)
{
    LOOP_TEST(examples_of_the_rfcs_are_read_as_they_say, of_the_rfcs);
    LOOP_TEST(fields_of_programs_are_read, of_programs);
    LOOP_TEST(quotes_are_kept_where_they_are_needed, quoted);
    LOOP_TEST(what_may_be_read_in_two_ways_is_wrong, hostile);
    TEST(a_nul_is_wrong_wherever_it_stands);
    TEST(an_address_is_bounded_and_a_name_is_not);
    TEST(comments_are_nested_to_a_bound);
}
