#include "protocol/milter/terms.h"

#include "support/test.h"

#if __has_include(<libmilter/mfdef.h>)
#include <libmilter/mfapi.h>
#include <libmilter/mfdef.h>
#define HAS_LIBMILTER 1
#endif

static struct milter_terms terms;
static struct error why;

#define NUMBERS(version, actions, protocol) "\0\0\0" version actions protocol
#define NONE                                "\0\0\0\0"

static int parse(const char *bytes, size_t size)
{
    return milter_terms_parse(span_make(bytes, size), &terms, &why);
}

/* Of bytes in a literal, without the NUL that C puts behind them. */
#define PARSE(bytes) parse(bytes, sizeof(bytes) - 1)

START_TEST(all_of_version_6_is_offered)
{
    struct buffer out = {.limit = 100};
    static const char offer[] = "\0\0\0\15O\0\0\0\6\0\0\1\xff\x30\x1f\xff\xff";
    ck_assert_int_eq(milter_terms_offer(&out), 0);
    ck_assert_uint_eq(out.size, sizeof offer - 1);
    ck_assert_mem_eq(buffer_bytes(&out).data, offer, sizeof offer - 1);
    buffer_clear(&out);
}
END_TEST

START_TEST(letters_and_bits_are_those_of_libmilter)
{
#ifdef HAS_LIBMILTER
    ck_assert_int_eq(MILTER_VERSION, SMFI_PROT_VERSION);
    ck_assert_int_eq(MILTER_MAY_ALL, SMFI_CURR_ACTS);
    ck_assert_int_eq(MILTER_PROTOCOL_ALL, SMFI_CURR_PROT | SMFIP_MDS_256K | SMFIP_MDS_1M);
    ck_assert_int_eq(MILTER_DATA_MAX, MILTER_MAX_DATA_SIZE);
    static const struct {
        long ours, theirs;
    } pairs[] = {
        {MILTER_COMMAND_ABORT, SMFIC_ABORT},
        {MILTER_COMMAND_BODY, SMFIC_BODY},
        {MILTER_COMMAND_CONNECT, SMFIC_CONNECT},
        {MILTER_COMMAND_MACROS, SMFIC_MACRO},
        {MILTER_COMMAND_END, SMFIC_BODYEOB},
        {MILTER_COMMAND_HELO, SMFIC_HELO},
        {MILTER_COMMAND_QUIT_NC, SMFIC_QUIT_NC},
        {MILTER_COMMAND_HEADER, SMFIC_HEADER},
        {MILTER_COMMAND_MAIL, SMFIC_MAIL},
        {MILTER_COMMAND_EOH, SMFIC_EOH},
        {MILTER_COMMAND_OPTIONS, SMFIC_OPTNEG},
        {MILTER_COMMAND_QUIT, SMFIC_QUIT},
        {MILTER_COMMAND_RCPT, SMFIC_RCPT},
        {MILTER_COMMAND_DATA, SMFIC_DATA},
        {MILTER_COMMAND_UNKNOWN, SMFIC_UNKNOWN},
        {MILTER_REPLY_ADD_RCPT, SMFIR_ADDRCPT},
        {MILTER_REPLY_DELETE_RCPT, SMFIR_DELRCPT},
        {MILTER_REPLY_ADD_RCPT_WITH, SMFIR_ADDRCPT_PAR},
        {MILTER_REPLY_SHUTDOWN, SMFIR_SHUTDOWN},
        {MILTER_REPLY_ACCEPT, SMFIR_ACCEPT},
        {MILTER_REPLY_BODY, SMFIR_REPLBODY},
        {MILTER_REPLY_CONTINUE, SMFIR_CONTINUE},
        {MILTER_REPLY_DISCARD, SMFIR_DISCARD},
        {MILTER_REPLY_CHANGE_SENDER, SMFIR_CHGFROM},
        {MILTER_REPLY_CONNECTION_FAILURE, SMFIR_CONN_FAIL},
        {MILTER_REPLY_ADD_HEADER, SMFIR_ADDHEADER},
        {MILTER_REPLY_INSERT_HEADER, SMFIR_INSHEADER},
        {MILTER_REPLY_CHANGE_HEADER, SMFIR_CHGHEADER},
        {MILTER_REPLY_PROGRESS, SMFIR_PROGRESS},
        {MILTER_REPLY_QUARANTINE, SMFIR_QUARANTINE},
        {MILTER_REPLY_REJECT, SMFIR_REJECT},
        {MILTER_REPLY_SKIP, SMFIR_SKIP},
        {MILTER_REPLY_TEMPFAIL, SMFIR_TEMPFAIL},
        {MILTER_REPLY_TEXT, SMFIR_REPLYCODE},
        {MILTER_MAY_ADD_HEADERS, SMFIF_ADDHDRS},
        {MILTER_MAY_CHANGE_BODY, SMFIF_CHGBODY},
        {MILTER_MAY_ADD_RCPT, SMFIF_ADDRCPT},
        {MILTER_MAY_DELETE_RCPT, SMFIF_DELRCPT},
        {MILTER_MAY_CHANGE_HEADERS, SMFIF_CHGHDRS},
        {MILTER_MAY_QUARANTINE, SMFIF_QUARANTINE},
        {MILTER_MAY_CHANGE_SENDER, SMFIF_CHGFROM},
        {MILTER_MAY_ADD_RCPT_WITH, SMFIF_ADDRCPT_PAR},
        {MILTER_MAY_LIST_MACROS, SMFIF_SETSYMLIST},
        {MILTER_NO_CONNECT, SMFIP_NOCONNECT},
        {MILTER_NO_HELO, SMFIP_NOHELO},
        {MILTER_NO_MAIL, SMFIP_NOMAIL},
        {MILTER_NO_RCPT, SMFIP_NORCPT},
        {MILTER_NO_BODY, SMFIP_NOBODY},
        {MILTER_NO_HEADERS, SMFIP_NOHDRS},
        {MILTER_NO_EOH, SMFIP_NOEOH},
        {MILTER_NO_UNKNOWN, SMFIP_NOUNKNOWN},
        {MILTER_NO_DATA, SMFIP_NODATA},
        {MILTER_MAY_SKIP, SMFIP_SKIP},
        {MILTER_WANTS_REFUSED_RCPT, SMFIP_RCPT_REJ},
        {MILTER_MUTE_HEADER, SMFIP_NR_HDR},
        {MILTER_MUTE_CONNECT, SMFIP_NR_CONN},
        {MILTER_MUTE_HELO, SMFIP_NR_HELO},
        {MILTER_MUTE_MAIL, SMFIP_NR_MAIL},
        {MILTER_MUTE_RCPT, SMFIP_NR_RCPT},
        {MILTER_MUTE_DATA, SMFIP_NR_DATA},
        {MILTER_MUTE_UNKNOWN, SMFIP_NR_UNKN},
        {MILTER_MUTE_EOH, SMFIP_NR_EOH},
        {MILTER_MUTE_BODY, SMFIP_NR_BODY},
        {MILTER_LEADING_SPACE, SMFIP_HDR_LEADSPC},
        {MILTER_DATA_256K, SMFIP_MDS_256K},
        {MILTER_DATA_1M, SMFIP_MDS_1M},
        {MILTER_STAGE_CONNECT, SMFIM_CONNECT},
        {MILTER_STAGE_HELO, SMFIM_HELO},
        {MILTER_STAGE_MAIL, SMFIM_ENVFROM},
        {MILTER_STAGE_RCPT, SMFIM_ENVRCPT},
        {MILTER_STAGE_DATA, SMFIM_DATA},
        {MILTER_STAGE_END, SMFIM_EOM},
        {MILTER_STAGE_EOH, SMFIM_EOH},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        ck_assert_msg(pairs[i].ours == pairs[i].theirs, "row %zu: %lx, %lx", i, pairs[i].ours,
                      pairs[i].theirs);
#endif
}
END_TEST

START_TEST(a_filter_chooses_version_actions_and_options)
{
    ck_assert_int_eq(PARSE(NUMBERS("\6", "\0\0\0\21", "\0\x18\0\x21")), 0);
    ck_assert_uint_eq(terms.version, 6);
    ck_assert_uint_eq(terms.actions, MILTER_MAY_ADD_HEADERS | MILTER_MAY_CHANGE_HEADERS);
    ck_assert(milter_edits_content(&terms));
    ck_assert(!milter_is_told(&terms, MILTER_COMMAND_CONNECT));
    ck_assert(!milter_is_told(&terms, MILTER_COMMAND_HEADER));
    ck_assert(milter_is_told(&terms, MILTER_COMMAND_END));
    ck_assert(!milter_is_answered(&terms, MILTER_COMMAND_BODY));
    ck_assert(milter_is_answered(&terms, MILTER_COMMAND_EOH));
    ck_assert(milter_is_answered(&terms, MILTER_COMMAND_END));
    ck_assert(!milter_is_told(&terms, MILTER_COMMAND_ABORT));
    ck_assert(!milter_is_answered(&terms, MILTER_COMMAND_ABORT));
    ck_assert_uint_eq(terms.most, 65535);
    ck_assert_int_eq(PARSE(NUMBERS("\6", "\0\0\0\4", "\x10\0\0\0")), 0);
    ck_assert_uint_eq(terms.most, 256 * 1024 - 1);
    ck_assert(!milter_edits_content(&terms));
    ck_assert_int_eq(PARSE(NUMBERS("\6", NONE, "\x20\0\0\0")), 0);
    ck_assert_uint_eq(terms.most, 1024 * 1024 - 1);
}
END_TEST

START_TEST(an_older_filter_hears_nothing_that_it_does_not_know)
{
    enum milter_stage stage;
    ck_assert_int_eq(PARSE(NUMBERS("\2", NONE, NONE)), 0);
    ck_assert(!milter_is_told(&terms, MILTER_COMMAND_UNKNOWN));
    ck_assert(!milter_is_told(&terms, MILTER_COMMAND_DATA));
    ck_assert(!milter_stage_of(&terms, MILTER_COMMAND_DATA, &stage));
    ck_assert(milter_is_told(&terms, MILTER_COMMAND_EOH));
    ck_assert_int_eq(PARSE(NUMBERS("\3", NONE, NONE)), 0);
    ck_assert(milter_is_told(&terms, MILTER_COMMAND_UNKNOWN));
    ck_assert(!milter_is_told(&terms, MILTER_COMMAND_DATA));
    ck_assert_int_eq(PARSE(NUMBERS("\4", NONE, NONE)), 0);
    ck_assert(milter_is_told(&terms, MILTER_COMMAND_DATA));
    ck_assert(milter_stage_of(&terms, MILTER_COMMAND_DATA, &stage));
    ck_assert_int_eq(stage, MILTER_STAGE_DATA);
    ck_assert(!milter_stage_of(&terms, MILTER_COMMAND_HEADER, &stage));
}
END_TEST

static bool fails(int outcome, const char *part)
{
    return outcome == -1 && strstr(why.text, part) != NULL;
}

START_TEST(what_is_not_offered_is_not_agreed_on)
{
    ck_assert(fails(PARSE(NUMBERS("\1", NONE, NONE)), "version 1; known are 2 to 6"));
    ck_assert(fails(PARSE(NUMBERS("\7", NONE, NONE)), "version 7"));
    ck_assert(fails(PARSE(NUMBERS("\6", "\0\0\2\0", NONE)), "actions 0x200"));
    ck_assert(fails(PARSE(NUMBERS("\6", NONE, "\0\x20\0\0")), "options 0x200000"));
    ck_assert(fails(PARSE("\0\0\0\6\0\0\0\0\0\0\0"), "11 octets instead of 12"));
    ck_assert(fails(PARSE(NUMBERS("\6", NONE, NONE) "\0\0\0"), "cut off"));
    ck_assert(fails(PARSE(NUMBERS("\6", NONE, NONE) "\0\0\0\1i"), "no end"));
}
END_TEST

/* The names of a stage, each with a space behind it. */
static const char *names(enum milter_stage stage)
{
    static char all[1024];
    char name[MILTER_MACRO_NAME_SIZE];
    size_t used = 0;
    all[0] = '\0';
    for (struct span list = terms.macros[stage]; milter_macro_next(&list, name);) {
        used += span_copy(span_of(name), all + used, sizeof all - used);
        used += span_copy(span_of(" "), all + used, sizeof all - used);
    }
    return all;
}

START_TEST(macros_are_those_that_it_lists_or_those_by_default)
{
    ck_assert_int_eq(
        PARSE(NUMBERS("\6", NONE,
                      NONE) "\0\0\0\0j,{client_addr}, client_name\0\0\0\0\3\0\0\0\0\x63x\0"),
        0);
    ck_assert_str_eq(names(MILTER_STAGE_CONNECT), "j {client_addr} {client_name} ");
    ck_assert_str_eq(names(MILTER_STAGE_RCPT), "");
    ck_assert_str_eq(names(MILTER_STAGE_DATA), "i ");
    ck_assert_str_eq(names(MILTER_STAGE_MAIL), "i {auth_type} {auth_authen} {auth_ssf} "
                                               "{auth_author} {mail_mailer} {mail_host} "
                                               "{mail_addr} ");
    ck_assert_str_eq(names(MILTER_STAGE_HELO),
                     "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer} ");
}
END_TEST

START_TEST(what_is_no_name_of_a_macro_is_passed_over)
{
    terms.macros[0] =
        span_of(" ,{}, {j} ,,{aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaa}\tab");
    ck_assert_str_eq(names(MILTER_STAGE_CONNECT), "j {ab} ");
}
END_TEST

SUITE(milter_terms)
{
    TEST(all_of_version_6_is_offered);
    TEST(letters_and_bits_are_those_of_libmilter);
    TEST(a_filter_chooses_version_actions_and_options);
    TEST(an_older_filter_hears_nothing_that_it_does_not_know);
    TEST(what_is_not_offered_is_not_agreed_on);
    TEST(macros_are_those_that_it_lists_or_those_by_default);
    TEST(what_is_no_name_of_a_macro_is_passed_over);
}
