#include "message/received.h"

#include "message/headers.h"
#include "support/test.h"

#include <stdio.h>

static const struct received usual = {
    .by = "mail.example.com",
    .id = "4Zz3abc",
    .date = "Fri, 21 Nov 1997 09:55:06 -0600",
    .is_extended = true,
    .is_account = true,
    .tls_version = "TLSv1.3",
    .cipher = "TLS_AES_256_GCM_SHA384",
};

static char text[RECEIVED_MAX];

static void write_field(const struct received *r)
{
    size_t size = received_write(r, text);
    ck_assert_uint_lt(size, sizeof text);
    ck_assert_uint_eq(strlen(text), size);
}

/* The field on one line (RFC 5322 section 2.2.3), its comments dropped. */
static const char *unfolded(void)
{
    static char out[RECEIVED_MAX];
    size_t used = 0;
    int depth = 0;
    for (const char *c = text; *c != '\0'; c++) {
        depth += *c == '(';
        bool is_kept = depth == 0 && *c != '\r' && *c != '\n';
        depth -= *c == ')';
        char kept = *c == '\t' ? ' ' : *c;
        if (is_kept && !(kept == ' ' && used > 0 && out[used - 1] == ' '))
            out[used++] = kept;
    }
    ck_assert_int_eq(depth, 0);
    out[used] = '\0';
    return out;
}

/* RFC 5321 section 4.4: By-domain, With, ID, ";" date-time; RFC 3848: ESMTPSA. */
START_TEST(the_field_tells_by_with_id_and_date)
{
    write_field(&usual);
    ck_assert_str_eq(unfolded(), "Received: by mail.example.com with ESMTPSA id 4Zz3abc ; "
                                 "Fri, 21 Nov 1997 09:55:06 -0600");
}
END_TEST

/* RFC 3848; RFC 6531 section 4.3. */
static const struct {
    bool is_extended, is_account, is_smtputf8;
    const char *tls, *type;
} types[] = {
    {false, false, false, "", "SMTP"},
    {true, false, false, "", "ESMTP"},
    {true, true, false, "", "ESMTPA"},
    {true, false, false, "TLSv1.3", "ESMTPS"},
    {true, true, false, "TLSv1.3", "ESMTPSA"},
    {true, false, true, "", "UTF8SMTP"},
    {true, true, true, "", "UTF8SMTPA"},
    {true, false, true, "TLSv1.2", "UTF8SMTPS"},
    {true, true, true, "TLSv1.2", "UTF8SMTPSA"},
    {false, true, false, "TLSv1.3", "ESMTPSA"}, /* HELO, and AUTH all the same */
};

START_TEST(how_the_message_came_is_told_by_its_registered_word)
{
    struct received r = usual;
    char with[40];
    r.is_extended = types[_i].is_extended;
    r.is_account = types[_i].is_account;
    r.is_smtputf8 = types[_i].is_smtputf8;
    r.tls_version = types[_i].tls;
    write_field(&r);
    (void)snprintf(with, sizeof with, " with %s id ", types[_i].type);
    ck_assert_ptr_nonnull(strstr(unfolded(), with));
    ck_assert_int_eq(strstr(text, "(using ") != NULL, types[_i].tls[0] != '\0');
}
END_TEST

START_TEST(the_cipher_is_told_in_a_comment)
{
    write_field(&usual);
    const char *open = strstr(text, "(using ");
    ck_assert_ptr_nonnull(open);
    ck_assert_ptr_nonnull(strstr(open, "TLSv1.3"));
    ck_assert_ptr_nonnull(strstr(open, "TLS_AES_256_GCM_SHA384"));
}
END_TEST

START_TEST(the_client_is_not_told)
{
    struct received r = usual;
    r.helo = "laptop.example.net";
    write_field(&r);
    ck_assert_ptr_null(strstr(text, "from "));
    ck_assert_ptr_null(strstr(text, "laptop"));
}
END_TEST

/* RFC 5321 section 4.4: From-domain = "FROM" FWS Extended-Domain; Extended-Domain has a domain or
 * an address literal, and TCP-info in parentheses. */
static const struct {
    const char *helo, *address, *from;
} clients[] = {
    {"laptop.example.net", "[192.0.2.1]", "from laptop.example.net ([192.0.2.1])\r\n\tby "},
    {"localhost", "[IPv6:2001:db8::1]", "from localhost ([IPv6:2001:db8::1])\r\n\tby "},
    {"[192.168.1.7]", "[192.0.2.1]", "from [192.168.1.7] ([192.0.2.1])\r\n\tby "},
    {"my_pc", "[192.0.2.1]", "from my_pc ([192.0.2.1])\r\n\tby "},
    {NULL, "[192.0.2.1]", "from [192.0.2.1] ([192.0.2.1])\r\n\tby "},
    {"", "[192.0.2.1]", "from [192.0.2.1] ([192.0.2.1])\r\n\tby "},
    {"x) by evil (y", "[192.0.2.1]", "from [192.0.2.1] ([192.0.2.1])\r\n\tby "},
    {"x\r\nSubject: y", "[192.0.2.1]", "from [192.0.2.1] ([192.0.2.1])\r\n\tby "},
    {"\303\251", "[192.0.2.1]", "from [192.0.2.1] ([192.0.2.1])\r\n\tby "},
    {"a;b", "[192.0.2.1]", "from [192.0.2.1] ([192.0.2.1])\r\n\tby "},
};

START_TEST(a_client_that_is_told_is_named_as_it_called_itself_if_that_is_a_name)
{
    struct received r = usual;
    r.from = clients[_i].address;
    r.helo = clients[_i].helo;
    write_field(&r);
    ck_assert_ptr_eq(strstr(text, clients[_i].from), text + strlen("Received: "));
}
END_TEST

static const struct {
    unsigned date, message_id;
    const char *missing;
} incomplete[] = {
    {0, 0, "Date: Fri, 21 Nov 1997 09:55:06 -0600\r\nMessage-ID: <4Zz3abc@mail.example.com>\r\n"},
    {1, 0, "Message-ID: <4Zz3abc@mail.example.com>\r\n"},
    {0, 2, "Date: Fri, 21 Nov 1997 09:55:06 -0600\r\n"},
    {1, 1, ""},
};

START_TEST(date_and_message_id_are_written_where_they_are_missing)
{
    char missing[MISSING_MAX];
    const struct headers h = {
        .count = {
            [HEADER_DATE] = incomplete[_i].date, [HEADER_MESSAGE_ID] = incomplete[_i].message_id}};
    size_t size = missing_write(&h, &usual, missing);
    ck_assert_uint_eq(size, strlen(incomplete[_i].missing));
    ck_assert_mem_eq(missing, incomplete[_i].missing, size);
}
END_TEST

START_TEST(what_is_missing_fits_whatever_it_is_made_of)
{
    static char much[2000];
    char missing[MISSING_MAX];
    const struct headers h = {.size = 0};
    memset(much, 'x', sizeof much - 1);
    const struct received r = {.by = much, .id = much, .date = much};
    size_t size = missing_write(&h, &r, missing);
    ck_assert_uint_lt(size, sizeof missing);
    ck_assert_mem_eq(missing + size - 3, ">\r\n", 3);
}
END_TEST

/* RFC 5322 sections 2.1.1 and 2.2.3: lines of 998 octets at most, each but the first begins with
 * white space, and CRLF ends each. */
START_TEST(whatever_is_told_the_field_is_folded_lines)
{
    static char much[2000], name[256];
    memset(much, 'x', sizeof much - 1);
    memset(name, 'x', sizeof name - 1);
    const struct received cases[] = {
        usual,
        {.by = much,
         .id = much,
         .date = much,
         .tls_version = much,
         .cipher = much,
         .is_extended = true,
         .is_account = true,
         .is_smtputf8 = true},
        {.by = much,
         .id = much,
         .date = much,
         .tls_version = much,
         .cipher = much,
         .from = much,
         .helo = much},
        {.by = much,
         .id = much,
         .date = much,
         .tls_version = much,
         .cipher = much,
         .from = much,
         .helo = name},
        {.by = "", .id = "", .date = "", .tls_version = "", .cipher = ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_field(&cases[i]);
        struct span rest = span_of(text);
        ck_assert(span_starts_nocase(rest, "Received: "));
        for (bool is_first = true; rest.size > 0; is_first = false) {
            struct span line = span_split(&rest, '\n');
            ck_assert_uint_gt(line.size, 1);
            ck_assert_uint_le(line.size, 999);
            ck_assert_int_eq(line.data[line.size - 1], '\r');
            ck_assert(is_first || line.data[0] == ' ' || line.data[0] == '\t');
            ck_assert_ptr_null(memchr(line.data, '\r', line.size - 1));
        }
        ck_assert_str_eq(text + strlen(text) - 2, "\r\n");
    }
}
END_TEST

SUITE(received)
{
    TEST(the_field_tells_by_with_id_and_date);
    LOOP_TEST(how_the_message_came_is_told_by_its_registered_word, types);
    TEST(the_cipher_is_told_in_a_comment);
    TEST(the_client_is_not_told);
    LOOP_TEST(a_client_that_is_told_is_named_as_it_called_itself_if_that_is_a_name, clients);
    LOOP_TEST(date_and_message_id_are_written_where_they_are_missing, incomplete);
    TEST(what_is_missing_fits_whatever_it_is_made_of);
    TEST(whatever_is_told_the_field_is_folded_lines);
}
