#include "protocol/smtp/parameters.h"

#include "support/test.h"

#define X10  "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
#define X500 X100 X100 X100 X100 X100

enum {
    ALL = SMTP_SIZE | SMTP_8BITMIME | SMTP_SMTPUTF8 | SMTP_DSN | SMTP_AUTH,
    GOOD = SMTP_PARAMETERS_GOOD,
    UNKNOWN = SMTP_PARAMETERS_UNKNOWN,
    WRONG = SMTP_PARAMETERS_WRONG,
};

static struct smtp_parameters got;
static struct span wrong;

static int parse_mail(const char *text, unsigned offered)
{
    wrong = span_of("");
    return (int)smtp_parameters_parse_mail(span_of(text), offered, &got, &wrong);
}

static int parse_rcpt(const char *text, unsigned offered)
{
    wrong = span_of("");
    return (int)smtp_parameters_parse_rcpt(span_of(text), offered, &got, &wrong);
}

struct judged {
    const char *text;
    int result;
};

static const struct judged of_mail[] = {
    {"", GOOD},
    {" ", GOOD},
    {"   ", GOOD},
    /* RFC 1870: 1*20DIGIT */
    {" SIZE=0", GOOD},
    {" SIZE=1000000", GOOD},
    {" size=500000", GOOD},
    {" SIZE=00000000000000000007", GOOD},
    {" SIZE=000000000000000000007", WRONG},
    {" SIZE=", WRONG},
    {" SIZE", WRONG},
    {" SIZE=-1", WRONG},
    {" SIZE=+1", WRONG},
    {" SIZE=1K", WRONG},
    {" SIZE=0x10", WRONG},
    {" SIZE=1=2", WRONG},
    {" SIZE=999999999999999999999", WRONG},
    /* RFC 6152 */
    {" BODY=7BIT", GOOD},
    {" BODY=8BITMIME", GOOD},
    {" body=8bitmime", GOOD},
    {" BODY=BINARYMIME", WRONG}, /* RFC 3030, which we don't offer */
    {" BODY=", WRONG},
    {" BODY", WRONG},
    {" BODY=8BITMIMEX", WRONG},
    /* RFC 4954 section 5 */
    {" AUTH=<>", GOOD},
    {" AUTH=e+3Dmc2@example.com", GOOD},
    {" AUTH=e+3dmc2@example.com", WRONG},
    {" AUTH=", WRONG},
    {" AUTH", WRONG},
    {" AUTH=" X500, GOOD},
    {" AUTH=" X500 "x", WRONG},
    /* RFC 6531 section 3.4: no value */
    {" SMTPUTF8", GOOD},
    {" smtputf8", GOOD},
    {" SMTPUTF8=", WRONG},
    {" SMTPUTF8=1", WRONG},
    /* RFC 3461 sections 4.3 and 4.4 */
    {" RET=FULL", GOOD},
    {" RET=HDRS", GOOD},
    {" ret=hdrs", GOOD},
    {" RET=NONE", WRONG},
    {" RET=", WRONG},
    {" RET", WRONG},
    {" ENVID=QQ314159", GOOD},
    {" ENVID=a+2Bb", GOOD},
    {" ENVID=" X100, GOOD},
    {" ENVID=" X100 "x", WRONG},
    {" ENVID=", WRONG},
    {" ENVID=a+2bb", WRONG},
    {" ENVID=a+0D+0ADATA", WRONG},
    {" ENVID=a=b", WRONG},
    {" ENVID=\xc3\xa9", WRONG},
    /* together, and twice */
    {" SIZE=1 BODY=7BIT", GOOD},
    {"  SIZE=1  BODY=7BIT  ", GOOD},
    {" RET=HDRS ENVID=x SMTPUTF8 AUTH=<> BODY=8BITMIME SIZE=1", GOOD},
    {" SIZE=1 SIZE=1", WRONG},
    {" SIZE=1 size=1", WRONG},
    {" SMTPUTF8 SMTPUTF8", WRONG},
    {" RET=FULL RET=HDRS", WRONG},
    {" BODY=7BIT SIZE=1 BODY=7BIT", WRONG},
    /* not ours, or not here */
    {" FOO", UNKNOWN},
    {" FOO=bar", UNKNOWN},
    {" =1", UNKNOWN},
    {" =", UNKNOWN},
    {" SIZ=1", UNKNOWN},
    {" SIZES=1", UNKNOWN},
    {" NOTIFY=NEVER", UNKNOWN},
    {" ORCPT=rfc822;a", UNKNOWN},
    {" XVERP", UNKNOWN},
    {" SIZE=1 FOO", UNKNOWN},
    /* nothing between the path and them */
    {"SIZE=1", WRONG},
    {">", WRONG},
    {"x SIZE=1", WRONG},
};

static const struct judged of_rcpt[] = {
    {"", GOOD},
    {" ", GOOD},
    /* RFC 3461 section 4.1 */
    {" NOTIFY=NEVER", GOOD},
    {" NOTIFY=SUCCESS", GOOD},
    {" NOTIFY=FAILURE", GOOD},
    {" NOTIFY=DELAY", GOOD},
    {" NOTIFY=SUCCESS,FAILURE", GOOD},
    {" notify=success,Failure,dELAY", GOOD},
    {" NOTIFY=DELAY,SUCCESS,FAILURE", GOOD},
    {" NOTIFY=NEVER,SUCCESS", WRONG},
    {" NOTIFY=SUCCESS,NEVER", WRONG},
    {" NOTIFY=", WRONG},
    {" NOTIFY", WRONG},
    {" NOTIFY=ALWAYS", WRONG},
    {" NOTIFY=SUCCESS;FAILURE", WRONG},
    {" NOTIFY=,", WRONG},
    {" NOTIFY=,SUCCESS", WRONG},
    {" NOTIFY=SUCCESS,", WRONG},
    /* section 4.2: addr-type ";" xtext, 500 characters */
    {" ORCPT=rfc822;Bob@Example.COM", GOOD},
    {" ORCPT=rfc822;a+2Bb@example.com", GOOD},
    {" ORCPT=x400;/c=us", WRONG},
    {" ORCPT=x400;/c+3Dus", GOOD},
    {" ORCPT=rfc822;a;b", GOOD},
    {" ORCPT=rfc822", WRONG},
    {" ORCPT=rfc822;", WRONG},
    {" ORCPT=;a@b", WRONG},
    {" ORCPT=", WRONG},
    {" ORCPT", WRONG},
    {" ORCPT=rfc 822;a", WRONG},
    {" ORCPT=rfc<822>;a", WRONG},
    {" ORCPT=rfc822;a+2bb", WRONG},
    {" ORCPT=rfc822;a+0Ab", WRONG},
    {" ORCPT=rfc822;\xc3\xa9@b", WRONG},
    {" ORCPT=rfc822;" X100 X100 X100 X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 "xxx", GOOD},
    {" ORCPT=rfc822;" X100 X100 X100 X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 "xxxx", WRONG},
    {" ORCPT=rfc822;" X500, WRONG},
    /* RFC 6533 section 3 */
    {" ORCPT=utf-8;j\xc3\xb6rg@b\xc3\xbc"
     "cher.example",
     GOOD},
    {" ORCPT=utf-8;j\\x{F6}rg@b.example", GOOD},
    {" ORCPT=UTF-8;a@b", GOOD},
    /* together, and twice */
    {" NOTIFY=NEVER ORCPT=rfc822;a@b", GOOD},
    {" ORCPT=rfc822;a@b  NOTIFY=DELAY ", GOOD},
    {" NOTIFY=DELAY NOTIFY=DELAY", WRONG},
    {" ORCPT=rfc822;a ORCPT=rfc822;a", WRONG},
    /* not ours, or not here */
    {" SIZE=1", UNKNOWN},
    {" SMTPUTF8", UNKNOWN},
    {" BODY=7BIT", UNKNOWN},
    {" AUTH=<>", UNKNOWN},
    {" RET=FULL", UNKNOWN},
    {" FOO=1", UNKNOWN},
    {" =", UNKNOWN},
    {"NOTIFY=NEVER", WRONG},
};

START_TEST(what_mail_may_say_is_told_from_what_it_may_not)
{
    for (size_t i = 0; i < sizeof of_mail / sizeof *of_mail; i++)
        ck_assert_msg(parse_mail(of_mail[i].text, ALL) == of_mail[i].result, "<%.80s> gives %d",
                      of_mail[i].text, parse_mail(of_mail[i].text, ALL));
}
END_TEST

START_TEST(what_rcpt_may_say_is_told_from_what_it_may_not)
{
    for (size_t i = 0; i < sizeof of_rcpt / sizeof *of_rcpt; i++)
        ck_assert_msg(parse_rcpt(of_rcpt[i].text, ALL) == of_rcpt[i].result, "<%.80s> gives %d",
                      of_rcpt[i].text, parse_rcpt(of_rcpt[i].text, ALL));
}
END_TEST

/* RFC 1870 allows twenty digits: a size that no server takes is too big (552), no mistake (501). */
START_TEST(a_size_of_twenty_digits_is_large_but_no_mistake)
{
    ck_assert_int_eq(parse_mail(" SIZE=9223372036854775807", ALL), GOOD);
    ck_assert_uint_eq(got.size, INT64_MAX);
    ck_assert_int_eq(parse_mail(" SIZE=99999999999999999999", ALL), GOOD);
    ck_assert_uint_ge(got.size, INT64_MAX);
}
END_TEST

/* RFC 6533 section 3: its characters are those of UTF-8. */
START_TEST(an_original_recipient_of_type_utf_8_is_utf_8)
{
    ck_assert_int_eq(parse_rcpt(" ORCPT=utf-8;j\xf6rg@b.example", ALL), WRONG);
    ck_assert_int_eq(parse_rcpt(" ORCPT=utf-8;a\xc3@b.example", ALL), WRONG);
}
END_TEST

START_TEST(what_was_said_is_kept_as_it_was_said)
{
    ck_assert_int_eq(
        parse_mail(" SIZE=42 BODY=8bitMIME RET=hdrs ENVID=a+2Bb SMTPUTF8 AUTH=<>", ALL), GOOD);
    ck_assert_uint_eq(got.size, 42);
    ck_assert(span_equals(got.body, "8bitMIME"));
    ck_assert(span_equals(got.ret, "hdrs"));
    ck_assert(span_equals(got.envid, "a+2Bb"));
    ck_assert(got.is_smtputf8);
    ck_assert_int_eq(parse_rcpt(" NOTIFY=success,DELAY ORCPT=rfc822;Bob@b", ALL), GOOD);
    ck_assert(span_equals(got.notify, "success,DELAY"));
    ck_assert(span_equals(got.orcpt, "rfc822;Bob@b"));
}
END_TEST

START_TEST(what_was_not_said_is_empty)
{
    memset(&got, 0xff, sizeof got);
    ck_assert_int_eq(parse_mail("", ALL), GOOD);
    ck_assert_uint_eq(got.size, 0);
    ck_assert_uint_eq(got.body.size, 0);
    ck_assert_uint_eq(got.ret.size, 0);
    ck_assert_uint_eq(got.envid.size, 0);
    ck_assert_uint_eq(got.notify.size, 0);
    ck_assert_uint_eq(got.orcpt.size, 0);
    ck_assert(!got.is_smtputf8);
}
END_TEST

START_TEST(a_parameter_of_an_extension_that_is_not_offered_is_unknown)
{
    static const struct {
        const char *text;
        unsigned extension;
    } mail[] =
        {
            {" SIZE=1", SMTP_SIZE},       {" BODY=7BIT", SMTP_8BITMIME}, {" AUTH=<>", SMTP_AUTH},
            {" SMTPUTF8", SMTP_SMTPUTF8}, {" RET=FULL", SMTP_DSN},       {" ENVID=x", SMTP_DSN},
        },
      rcpt[] = {{" NOTIFY=NEVER", SMTP_DSN}, {" ORCPT=rfc822;a", SMTP_DSN}};
    for (size_t i = 0; i < sizeof mail / sizeof *mail; i++) {
        ck_assert_int_eq(parse_mail(mail[i].text, mail[i].extension), GOOD);
        ck_assert_int_eq(parse_mail(mail[i].text, ALL & ~mail[i].extension), UNKNOWN);
        ck_assert_int_eq(parse_mail(mail[i].text, 0), UNKNOWN);
    }
    for (size_t i = 0; i < sizeof rcpt / sizeof *rcpt; i++) {
        ck_assert_int_eq(parse_rcpt(rcpt[i].text, rcpt[i].extension), GOOD);
        ck_assert_int_eq(parse_rcpt(rcpt[i].text, ALL & ~rcpt[i].extension), UNKNOWN);
    }
}
END_TEST

START_TEST(the_one_that_is_refused_is_named)
{
    ck_assert_int_eq(parse_mail(" SIZE=1 FOO=bar BODY=7BIT", ALL), UNKNOWN);
    ck_assert(span_equals(wrong, "FOO=bar"));
    ck_assert_int_eq(parse_mail(" SIZE=x", ALL), WRONG);
    ck_assert(span_equals(wrong, "SIZE=x"));
    ck_assert_int_eq(parse_mail(" SIZE=1 SIZE=2", ALL), WRONG);
    ck_assert(span_equals(wrong, "SIZE=2"));
    ck_assert_int_eq(parse_rcpt("junk", ALL), WRONG);
    ck_assert(span_equals(wrong, "junk"));
}
END_TEST

SUITE(smtp_parameters)
{
    TEST(what_mail_may_say_is_told_from_what_it_may_not);
    TEST(what_rcpt_may_say_is_told_from_what_it_may_not);
    TEST(a_size_of_twenty_digits_is_large_but_no_mistake);
    TEST(an_original_recipient_of_type_utf_8_is_utf_8);
    TEST(what_was_said_is_kept_as_it_was_said);
    TEST(what_was_not_said_is_empty);
    TEST(a_parameter_of_an_extension_that_is_not_offered_is_unknown);
    TEST(the_one_that_is_refused_is_named);
}
