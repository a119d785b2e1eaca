#include "protocol/delegation/request.h"

#include "support/test.h"

static const char *written(const struct delegation_request *r)
{
    static char text[DELEGATION_REQUEST_MAX + 1];
    struct buffer out = {.limit = DELEGATION_REQUEST_MAX};
    ck_assert_int_eq(delegation_request_write(r, &out), 0);
    (void)span_copy(buffer_bytes(&out), text, sizeof text);
    buffer_clear(&out);
    return text;
}

static const struct delegation_request whole = {.protocol_state = "RCPT",
                                                .protocol_name = "ESMTP",
                                                .client_address = "192.0.2.1",
                                                .client_name = "unknown",
                                                .reverse_client_name = "unknown",
                                                .server_address = "10.3.2.1",
                                                .helo_name = "some.domain.tld",
                                                .sender = "foo@bar.tld",
                                                .recipient = "bar@foo.tld",
                                                .queue_id = "8045F2AB23",
                                                .instance = "123.456.7",
                                                .sasl_method = "PLAIN",
                                                .sasl_username = "you",
                                                .sasl_sender = "me",
                                                .ccert_subject = "solaris9.porcupine.org",
                                                .ccert_issuer = "Wietse Venema",
                                                .ccert_fingerprint = "C2:9D",
                                                .ccert_pubkey_fingerprint = "68:B3",
                                                .encryption_protocol = "TLSv1.3",
                                                .encryption_cipher = "TLS_AES_256_GCM_SHA384",
                                                .tls_sni = "mail.example.com",
                                                .mail_version = "0.1.0",
                                                .client_port = 1234,
                                                .server_port = 54321,
                                                .recipient_count = 2,
                                                .size = UINT64_C(12345678901),
                                                .encryption_keysize = 256};

/* Names and values as the README of Postfix 3.12 has them. */
START_TEST(all_that_postfix_tells_is_told)
{
    ck_assert_str_eq(written(&whole), "request=smtpd_access_policy\n"
                                      "protocol_state=RCPT\n"
                                      "protocol_name=ESMTP\n"
                                      "client_address=192.0.2.1\n"
                                      "client_name=unknown\n"
                                      "client_port=1234\n"
                                      "reverse_client_name=unknown\n"
                                      "server_address=10.3.2.1\n"
                                      "server_port=54321\n"
                                      "helo_name=some.domain.tld\n"
                                      "sender=foo@bar.tld\n"
                                      "recipient=bar@foo.tld\n"
                                      "recipient_count=2\n"
                                      "queue_id=8045F2AB23\n"
                                      "instance=123.456.7\n"
                                      "size=12345678901\n"
                                      "etrn_domain=\n"
                                      "stress=\n"
                                      "sasl_method=PLAIN\n"
                                      "sasl_username=you\n"
                                      "sasl_sender=me\n"
                                      "ccert_subject=solaris9.porcupine.org\n"
                                      "ccert_issuer=Wietse+20Venema\n"
                                      "ccert_fingerprint=C2:9D\n"
                                      "ccert_pubkey_fingerprint=68:B3\n"
                                      "encryption_protocol=TLSv1.3\n"
                                      "encryption_cipher=TLS_AES_256_GCM_SHA384\n"
                                      "encryption_keysize=256\n"
                                      "tls_sni=mail.example.com\n"
                                      "policy_context=\n"
                                      "compatibility_level=3.8\n"
                                      "mail_version=0.1.0\n"
                                      "\n");
}
END_TEST

START_TEST(what_is_not_known_is_empty)
{
    const struct delegation_request nothing = {.protocol_state = "CONNECT"};
    const char *text = written(&nothing);
    ck_assert_ptr_nonnull(strstr(text, "\nsender=\nrecipient=\nrecipient_count=0\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nencryption_keysize=0\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nccert_subject=\nccert_issuer=\n"));
}
END_TEST

START_TEST(no_value_begins_a_line)
{
    struct delegation_request r = {.protocol_state = "RCPT"};
    r.helo_name = "a\nrecipient=b\r\x01\x7f";
    r.sender = "\"x\n\n\"@example.com";
    r.ccert_subject = "a\nb";
    const char *text = written(&r);
    ck_assert_ptr_nonnull(strstr(text, "\nhelo_name=a?recipient=b???\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nsender=\"x??\"@example.com\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nccert_subject=a+0Ab\n"));
}
END_TEST

START_TEST(what_stands_in_a_value_stays_but_for_that)
{
    struct delegation_request r = {.protocol_state = "RCPT"};
    r.sender = "j\xc3\xb6rg+a=b%c@example.com";
    ck_assert_ptr_nonnull(strstr(written(&r), "\nsender=j\xc3\xb6rg+a=b%c@example.com\n"));
}
END_TEST

START_TEST(one_that_does_not_fit_is_not_told)
{
    static char huge[DELEGATION_REQUEST_MAX + 1];
    struct delegation_request r = {.protocol_state = "RCPT", .sender = huge};
    struct buffer out = {.limit = DELEGATION_REQUEST_MAX};
    memset(huge, 'x', sizeof huge - 1);
    ck_assert_int_eq(delegation_request_write(&r, &out), -1);
    buffer_clear(&out);
}
END_TEST

SUITE(delegation_request)
{
    TEST(all_that_postfix_tells_is_told);
    TEST(what_is_not_known_is_empty);
    TEST(no_value_begins_a_line);
    TEST(what_stands_in_a_value_stays_but_for_that);
    TEST(one_that_does_not_fit_is_not_told);
}
