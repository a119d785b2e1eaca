#include "protocol/smtp/path.h"

#include "support/test.h"

#include <stdio.h>

#define X10     "xxxxxxxxxx"
#define X60     X10 X10 X10 X10 X10 X10
#define LABEL63 X60 "xxx"
/* 64 + 1 + 189 octets: all that a path of 256 has room for. */
#define LOCAL64   X60 "xxxx"
#define DOMAIN189 LABEL63 "." LABEL63 "." X60 "x"

/* Parses a copy of exactly that size, so that a sanitizer sees a look past its end. */
static char copy[2048];

static const char *parse(struct span text, struct span *rest, struct smtp_path *path)
{
    char *end = copy + sizeof copy, *start = end - text.size;
    memcpy(start, text.data, text.size);
    *rest = span_make(start, text.size);
    return smtp_path_parse(rest, path);
}

static bool is_refused(const char *text)
{
    struct span rest;
    struct smtp_path path;
    return parse(span_of(text), &rest, &path) != NULL;
}

static const struct accepted {
    const char *text, *local, *domain, *rest;
    bool is_utf8;
} accepted[] = {
    {"<a@b>", "a", "b", "", false},
    {"<userx@y.foo.org>", "userx", "y.foo.org", "", false},
    {"<a@b> SIZE=1", "a", "b", " SIZE=1", false},
    {"<a@b>x", "a", "b", "x", false},
    {"<a@b>>", "a", "b", ">", false},
    {"<a@EXAMPLE.com>", "a", "EXAMPLE.com", "", false},
    /* atext of RFC 5322 */
    {"<!#$%&'*+-/=?^_`{|}~09azAZ@b>", "!#$%&'*+-/=?^_`{|}~09azAZ", "b", "", false},
    {"<first.last.x@b>", "first.last.x", "b", "", false},
    {"<user%other@b>", "user%other", "b", "", false},
    {"<other!user@b>", "other!user", "b", "", false},
    /* quoted strings */
    {"<\"\"@b>", "\"\"", "b", "", false},
    {"<\"a b\"@b>", "\"a b\"", "b", "", false},
    {"<\"a@b\"@c>", "\"a@b\"", "c", "", false},
    {"<\"a>b\"@c>", "\"a>b\"", "c", "", false},
    {"<\"a..b\"@c>", "\"a..b\"", "c", "", false},
    {"<\"a\\\"b\"@c>", "\"a\\\"b\"", "c", "", false},
    {"<\"a\\\\\"@c>", "\"a\\\\\"", "c", "", false},
    {"<\"a:b,c;\"@c>", "\"a:b,c;\"", "c", "", false},
    /* domains */
    {"<a@1.2.3>", "a", "1.2.3", "", false},
    {"<a@3com.example>", "a", "3com.example", "", false},
    {"<a@x-y.example>", "a", "x-y.example", "", false},
    {"<a@xn--bcher-kva.example>", "a", "xn--bcher-kva.example", "", false},
    {"<a@[192.0.2.1]>", "a", "[192.0.2.1]", "", false},
    {"<a@[IPv6:2001:db8::1]>", "a", "[IPv6:2001:db8::1]", "", false},
    {"<a@[ipv6:::1]>", "a", "[ipv6:::1]", "", false},
    {"<a@[IPv6:::ffff:192.0.2.1]>", "a", "[IPv6:::ffff:192.0.2.1]", "", false},
    {"<a@[IPv6:1:2:3:4:5:6:7:8]>", "a", "[IPv6:1:2:3:4:5:6:7:8]", "", false},
    /* source routes, dropped (RFC 5321 appendix C) */
    {"<@hosta.int:userc@d.bar.org>", "userc", "d.bar.org", "", false},
    {"<@hosta.int,@jkl.org:userc@d.bar.org> X", "userc", "d.bar.org", " X", false},
    /* RFC 6531 */
    {"<j\xc3\xb6rg@b>", "j\xc3\xb6rg", "b", "", true},
    {"<\"j\xc3\xb6rg x\"@b>", "\"j\xc3\xb6rg x\"", "b", "", true},
    {"<a@b\xc3\xbc"
     "cher.example>",
     "a",
     "b\xc3\xbc"
     "cher.example",
     "", true},
    {"<\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b.example>", "\xe7\x94\xa8\xe6\x88\xb7",
     "\xe4\xbe\x8b.example", "", true},
    /* RFC 5321 section 4.5.3.1 */
    {"<" LOCAL64 "@b>", LOCAL64, "b", "", false},
    {"<a@" LABEL63 ".example>", "a", LABEL63 ".example", "", false},
    {"<" LOCAL64 "@" DOMAIN189 ">", LOCAL64, DOMAIN189, "", false},
};

START_TEST(what_rfc_5321_and_6531_allow_is_taken_apart)
{
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        const struct accepted *c = &accepted[i];
        char address[300];
        struct span rest;
        struct smtp_path path;
        const char *wrong = parse(span_of(c->text), &rest, &path);
        ck_assert_msg(wrong == NULL, "%s: %s", c->text, wrong);
        (void)snprintf(address, sizeof address, "%s@%s", c->local, c->domain); /* fits */
        ck_assert_msg(span_equals(path.local, c->local), "%s", c->text);
        ck_assert_msg(span_equals(path.domain, c->domain), "%s", c->text);
        ck_assert_msg(span_equals(path.address, address), "%s", c->text);
        ck_assert_msg(span_equals(rest, c->rest), "%s", c->text);
        ck_assert_msg(path.is_utf8 == c->is_utf8, "%s", c->text);
    }
}
END_TEST

static const char *const refused[] = {
    /* brackets */
    "",
    "a@b",
    "<a@b",
    "a@b>",
    "<",
    "< a@b>",
    "<a@b >",
    " <a@b>",
    "(<a@b>)",
    "<<a@b>>",
    /* the local part */
    "<@b>",
    "<.a@b>",
    "<a.@b>",
    "<a..b@b>",
    "<a b@b>",
    "<a,b@b>",
    "<a:b@b>",
    "<a;b@b>",
    "<a(c)@b>",
    "<a\\@b@c>",
    "<a[b@c>",
    "<\"a@b>",
    "<\"a\"b@c>",
    "<a\"b\"@c>",
    "<\"a\".b@c>",
    "<\"a\\\"@c>",
    "<\"a\tb\"@c>",
    "<\"a\rb\"@c>",
    "<\"a\\\nb\"@c>",
    "<\"a\x7f\"@c>",
    "<a\x01@b>",
    "<\"",
    "<\"\\",
    /* the at and the domain */
    "<a>",
    "<a@>",
    "<a@@b>",
    "<a@b@c>",
    "<a@.b>",
    "<a@b.>",
    "<a@b..c>",
    "<a@-b>",
    "<a@b->",
    "<a@b.-c.d>",
    "<a@b c>",
    "<a@b/c>",
    "<a@b:25>",
    "<a@b,c@d>",
    "<a@\"b\">",
    "<a@b(c)>",
    /* literals */
    "<a@[]>",
    "<a@[192.0.2]>",
    "<a@[192.0.2.256]>",
    "<a@[192.0.2.1>",
    "<a@192.0.2.1]>",
    "<a@[192.0.2.1]x>",
    "<a@[[192.0.2.1]]>",
    "<a@[2001:db8::1]>",
    "<a@[IPv6:]>",
    "<a@[IPv6:2001:db8:::1]>",
    "<a@[IPv6:12345::]>",
    "<a@[IPv6:192.0.2.1]>",
    "<a@[IPv6:fe80::1%lo]>",
    "<a@[ 192.0.2.1]>",
    "<a@[localhost]>",
    "<a@[IPv6:0000:0000:0000:0000:0000:0000:0000:0000:0000]>",
    /* routes */
    "<@a>",
    "<@a,@b>",
    "<@a,b:c@d>",
    "<@a @b:c@d>",
    "<@:a@b>",
    "<@a,@:b@c>",
    "<@-a:b@c>",
    "<a:b@c>",
    /* not UTF-8: alone, too short, too long, a surrogate */
    "<j\xf6rg@b>",
    "<a\xc3@b>",
    "<a\xc0\xaf@b>",
    "<a\xed\xa0\x80@b>",
    "<a@\xff.example>",
    "<\"a\x80\"@b>",
    /* RFC 5321 section 4.5.3.1 */
    "<" LOCAL64 "x@b>",
    "<\"" X60 "xxx\"@b>",
    "<a@" LABEL63 "x.example>",
    "<" LOCAL64 "@" DOMAIN189 "x>",
    "<a@" LABEL63 "." LABEL63 "." LABEL63 "." LABEL63 ".x>",
};

START_TEST(what_they_do_not_allow_is_refused)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        ck_assert_msg(is_refused(refused[i]), "%s", refused[i]);
}
END_TEST

START_TEST(the_empty_path_is_taken)
{
    struct span rest;
    struct smtp_path path;
    ck_assert_ptr_null(parse(span_of("<> RET=HDRS"), &rest, &path));
    ck_assert_uint_eq(path.address.size, 0);
    ck_assert_uint_eq(path.local.size, 0);
    ck_assert_uint_eq(path.domain.size, 0);
    ck_assert(!path.is_utf8);
    ck_assert(span_equals(rest, " RET=HDRS"));
}
END_TEST

/* RFC 5321 section 4.1.1.3. */
START_TEST(postmaster_needs_no_domain)
{
    struct span rest;
    struct smtp_path path;
    ck_assert_ptr_null(parse(span_of("<PostMaster> X"), &rest, &path));
    ck_assert(span_equals(path.address, "PostMaster"));
    ck_assert(span_equals(path.local, "PostMaster"));
    ck_assert_uint_eq(path.domain.size, 0);
    ck_assert(span_equals(rest, " X"));
    ck_assert(is_refused("<postmasters>"));
    ck_assert(is_refused("<postmaster"));
}
END_TEST

/* Section 4.1.2: Path = "<" [ A-d-l ":" ] Mailbox ">": the mailbox is no option. */
START_TEST(a_source_route_is_no_empty_path)
{
    ck_assert(is_refused("<@hosta.int:>"));
}
END_TEST

/* Section 4.1.2: A-d-l = At-domain *( "," At-domain ). */
START_TEST(a_source_route_does_not_end_with_a_comma)
{
    ck_assert(is_refused("<@hosta.int,:userc@d.bar.org>"));
}
END_TEST

START_TEST(a_nul_is_nowhere_in_a_path)
{
    static const struct {
        const char *text;
        size_t size;
    } cases[] = {
        {"<a\0@b>", 6},
        {"<a@b\0>", 6},
        {"<\"a\0\"@b>", 8},
        {"<\"a\\\0\"@b>", 9},
        {"<a@[192.0.2.1\0]>", 16},
        {"<\0>", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct span rest;
        struct smtp_path path;
        ck_assert_msg(parse(span_make(cases[i].text, cases[i].size), &rest, &path) != NULL,
                      "case %zu", i);
    }
}
END_TEST

START_TEST(every_beginning_of_a_path_is_refused)
{
    static const char whole[] = "<@[192.0.2.1],@b:\"a\\\"b\"@[IPv6:2001:db8::1]>";
    static const char plain[] = "<@a,@b:first.last@mail.example.com>";
    for (size_t size = 0; size < sizeof whole - 1; size++) {
        struct span rest;
        struct smtp_path path;
        ck_assert_msg(parse(span_make(whole, size), &rest, &path) != NULL, "%.*s", (int)size,
                      whole);
    }
    for (size_t size = 0; size < sizeof plain - 1; size++) {
        struct span rest;
        struct smtp_path path;
        ck_assert_msg(parse(span_make(plain, size), &rest, &path) != NULL, "%.*s", (int)size,
                      plain);
    }
}
END_TEST

START_TEST(what_is_wrong_is_said_to_a_person)
{
    struct span rest;
    struct smtp_path path;
    const char *wrong = parse(span_of("a@b"), &rest, &path);
    ck_assert(wrong != NULL && strchr(wrong, '<') != NULL && strchr(wrong, '>') != NULL);
    wrong = parse(span_of("<a>"), &rest, &path);
    ck_assert(wrong != NULL && strchr(wrong, '@') != NULL && strstr(wrong, "domain") != NULL);
    wrong = parse(span_of("<a@b_/>"), &rest, &path);
    ck_assert(wrong != NULL && strstr(wrong, "domain") != NULL);
    wrong = parse(span_of("<" LOCAL64 "x@b>"), &rest, &path);
    ck_assert(wrong != NULL && strstr(wrong, "long") != NULL);
    wrong = parse(span_of("<a\xff@b>"), &rest, &path);
    ck_assert(wrong != NULL && strstr(wrong, "UTF-8") != NULL);
}
END_TEST

START_TEST(a_domain_is_labels_or_a_literal)
{
    static const struct {
        const char *domain;
        bool is_valid;
    } cases[] = {
        {"localhost", true},
        {"mail.example.com", true},
        {"a.b.c.d.e.f", true},
        {"a_b.example", true}, /* such hosts exist */
        {"[192.0.2.1]", true},
        {"[IPv6:2001:db8::1]", true},
        {LABEL63 "." LABEL63 "." LABEL63 "." LABEL63, true}, /* 255 octets */
        {LABEL63 "." LABEL63 "." LABEL63 "." LABEL63 ".", false},
        {"", false},
        {".", false},
        {"example.com.", false},
        {".example.com", false},
        {"ex ample", false},
        {"ex\tample", false},
        {"example.com\r\nRCPT", false},
        {"[", false},
        {"]", false},
        {"[]", false},
        {"[192.0.2.1", false},
        {"[192.0.2.1]]", false},
        {"[IPv6:zz::]", false},
        {LABEL63 "x", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(smtp_domain_is_valid(span_of(cases[i].domain)) == cases[i].is_valid, "%s",
                      cases[i].domain);
}
END_TEST

SUITE(smtp_path)
{
    TEST(what_rfc_5321_and_6531_allow_is_taken_apart);
    TEST(what_they_do_not_allow_is_refused);
    TEST(the_empty_path_is_taken);
    TEST(postmaster_needs_no_domain);
    TEST(a_source_route_is_no_empty_path);
    TEST(a_source_route_does_not_end_with_a_comma);
    TEST(a_nul_is_nowhere_in_a_path);
    TEST(every_beginning_of_a_path_is_refused);
    TEST(what_is_wrong_is_said_to_a_person);
    TEST(a_domain_is_labels_or_a_literal);
}
