#include "message/received.h"

#include "support/test.h"

#include <stdio.h>

static const struct received usual = {
    .by = "mail.example.com",
    .id = "4Zz3abc",
    .date = "Fri, 21 Nov 1997 09:55:06 -0600",
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

/* RFC 6531 section 4.3, RFC 6783: the registered word. */
START_TEST(a_message_with_utf_8_addresses_came_with_utf8smtpsa)
{
    struct received r = usual;
    r.is_smtputf8 = true;
    write_field(&r);
    ck_assert_ptr_nonnull(strstr(unfolded(), " with UTF8SMTPSA id "));
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
    write_field(&usual);
    ck_assert_ptr_null(strstr(text, "from "));
}
END_TEST

/* RFC 5322 sections 2.1.1 and 2.2.3: lines of 998 octets at most, each but the first begins with
 * white space, and CRLF ends each. */
START_TEST(whatever_is_told_the_field_is_folded_lines)
{
    static char much[2000];
    memset(much, 'x', sizeof much - 1);
    const struct received cases[] = {
        usual,
        {.by = much,
         .id = much,
         .date = much,
         .tls_version = much,
         .cipher = much,
         .is_smtputf8 = true},
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
    TEST(a_message_with_utf_8_addresses_came_with_utf8smtpsa);
    TEST(the_cipher_is_told_in_a_comment);
    TEST(the_client_is_not_told);
    TEST(whatever_is_told_the_field_is_folded_lines);
}
