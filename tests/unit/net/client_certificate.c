#include "net/client_certificate.h"

#include "certificates.h"

#include "config/folder.h"
#include "net/tls_texts.h"

#include <openssl/x509v3.h>

static X509 *certificate;

static void begin(void)
{
    findings_begin();
    certificate = X509_new();
    ck_assert_ptr_nonnull(certificate);
}

static void end(void)
{
    X509_free(certificate);
    findings_end();
}

/* ---- the name ---- */

static void add_common_name(const char *bytes, int size)
{
    ck_assert_int_eq(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN",
                                                MBSTRING_UTF8, (const unsigned char *)bytes, size,
                                                -1, 0),
                     1);
}

/* An rfc822Name of those bytes, whatever they are; after a DNS name, which is nobody. */
static void add_mailbox(const char *bytes, int size)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    for (int kind = 0; kind < 2; kind++) {
        ASN1_IA5STRING *text = ASN1_IA5STRING_new();
        GENERAL_NAME *name = GENERAL_NAME_new();
        ck_assert_int_eq(kind == 0 ? ASN1_STRING_set(text, "host.example", -1)
                                   : ASN1_STRING_set(text, bytes, size),
                         1);
        GENERAL_NAME_set0_value(name, kind == 0 ? GEN_DNS : GEN_EMAIL, text);
        ck_assert_int_gt(sk_GENERAL_NAME_push(names, name), 0);
    }
    ck_assert_int_eq(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0), 1);
    GENERAL_NAMES_free(names);
}

static void name_is(const char *expected)
{
    char name[CERTIFICATE_NAME_SIZE];
    ck_assert_str_eq(client_certificate_name(certificate, name), expected);
}

START_TEST(the_name_is_the_mailbox_in_the_certificate)
{
    add_common_name("Ana Lima", -1);
    add_mailbox("ana@example.com", -1);
    name_is("ana@example.com");
}
END_TEST

START_TEST(without_a_mailbox_the_name_is_the_common_name)
{
    certificate_add_names(certificate, "DNS:host.example");
    add_common_name("jo\xc3\xa3o", -1);
    name_is("jo\xc3\xa3o");
}
END_TEST

START_TEST(without_either_there_is_no_name)
{
    name_is("");
    certificate_add_names(certificate, "DNS:host.example");
    name_is("");
}
END_TEST

START_TEST(of_two_common_names_none_is_the_name)
{
    add_common_name("ana", -1);
    add_common_name("boss", -1);
    name_is("");
}
END_TEST

#define BYTES(text) text, (int)sizeof text - 1

static const struct {
    const char *bytes;
    int size;
} impossible[] = {
    {BYTES("boss@example.com\0.attacker.example")},
    {BYTES("boss\r\n@example.com")},
    {BYTES("boss\x7f")},
    {BYTES("")},
};

/* A wrong one isn't made good by a CN. */
START_TEST(a_mailbox_that_can_be_none_leaves_no_name)
{
    add_common_name("ana", -1);
    add_mailbox(impossible[_i].bytes, impossible[_i].size);
    name_is("");
}
END_TEST

START_TEST(a_common_name_that_can_be_none_leaves_no_name)
{
    if (impossible[_i].size > 0)
        add_common_name(impossible[_i].bytes, impossible[_i].size);
    name_is("");
}
END_TEST

START_TEST(octets_that_are_no_text_leave_no_name)
{
    add_mailbox(BYTES("ana\xff@example.com"));
    name_is("");
}
END_TEST

START_TEST(a_name_longer_than_any_address_leaves_none)
{
    char text[CERTIFICATE_NAME_SIZE + 1];
    memset(text, 'a', sizeof text);
    add_mailbox(text, CERTIFICATE_NAME_SIZE);
    name_is("");
    X509_free(certificate);
    certificate = X509_new();
    add_mailbox(text, CERTIFICATE_NAME_SIZE - 1);
    text[CERTIFICATE_NAME_SIZE - 1] = '\0';
    name_is(text);
}
END_TEST

START_TEST(a_certificate_with_two_lists_of_names_has_none)
{
    add_common_name("ana", -1);
    add_mailbox(BYTES("ana@example.com"));
    X509_EXTENSION *other = X509_get_ext(certificate, 0);
    ck_assert_int_eq(X509_add_ext(certificate, other, -1), 1);
    name_is("");
}
END_TEST

/* ---- files ---- */

static void read_text(struct tls_texts *texts, size_t i, const char *name)
{
    struct error why;
    ck_assert_int_eq(tls_texts_read(texts, i, folder_path(name), &why), 0);
}

/* What is said of a listener's files; NULL: it can't be read. */
static bool is_taken(const char *ca, const char *crl)
{
    struct tls_texts texts = {.texts = {{NULL, 0}}};
    const struct listener_config l = {.name = "door",
                                      .place = {"porteiro.conf", 7},
                                      .client_certificate = CLIENT_CERTIFICATE_REQUIRED,
                                      .client_ca = "ca.pem",
                                      .client_crl = crl != NULL && crl[0] == '\0' ? "" : "crl.pem"};
    if (ca != NULL)
        read_text(&texts, 0, ca);
    if (crl != NULL && crl[0] != '\0')
        read_text(&texts, 1, crl);
    findings_end();
    findings_begin();
    struct client_authorities *a = client_authorities_load(&l, &texts, findings);
    bool is = a != NULL;
    client_authorities_free(&a);
    ck_assert_ptr_null(a);
    tls_texts_clear(&texts);
    return is;
}

static void make_authority(const char *name, const char *issuer)
{
    char path[512], key[512];
    const struct certificate wish = {.names = "DNS:ca.example", .days = 9, .issuer = issuer};
    (void)snprintf(path, sizeof path, "%s", folder_path(name)); /* fits */
    (void)snprintf(key, sizeof key, "%s.key", path);            /* fits */
    certificate_make(&wish, path, key);
}

/* A revocation list, to be replaced in so many days. */
static void make_list(const char *name, long days)
{
    EVP_PKEY *key = certificate_key(false);
    X509_CRL *made = X509_CRL_new();
    ASN1_TIME *from = X509_gmtime_adj(NULL, -9 * 24 * 60 * 60),
              *until = X509_gmtime_adj(NULL, days * 24 * 60 * 60);
    X509_NAME *issuer = X509_NAME_new();
    certificate_set_name(issuer, "porteiro-unit");
    ck_assert_int_eq(X509_CRL_set_version(made, X509_CRL_VERSION_2), 1);
    ck_assert_int_eq(X509_CRL_set_issuer_name(made, issuer), 1);
    ck_assert_int_eq(X509_CRL_set1_lastUpdate(made, from), 1);
    ck_assert_int_eq(X509_CRL_set1_nextUpdate(made, until), 1);
    ck_assert_int_gt(X509_CRL_sign(made, key, EVP_sha256()), 0);
    FILE *stream = fopen(folder_path(name), "we");
    ck_assert_ptr_nonnull(stream);
    ck_assert_int_eq(PEM_write_X509_CRL(stream, made), 1);
    ck_assert_int_eq(fclose(stream), 0);
    X509_NAME_free(issuer);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    X509_CRL_free(made);
    EVP_PKEY_free(key);
}

START_TEST(authorities_with_their_list_are_taken)
{
    make_authority("ca.pem", NULL);
    make_list("crl.pem", 9);
    ck_assert(is_taken("ca.pem", ""));
    count_is(0, 0);
    ck_assert(is_taken("ca.pem", "crl.pem"));
    count_is(0, 0);
}
END_TEST

/* Who reads them has told it. */
START_TEST(what_could_not_be_read_is_not_taken)
{
    make_authority("ca.pem", NULL);
    make_list("crl.pem", 9);
    ck_assert(!is_taken(NULL, "crl.pem"));
    ck_assert(!is_taken("ca.pem", NULL));
    ck_assert(!is_taken(NULL, ""));
    count_is(0, 0);
}
END_TEST

START_TEST(files_that_hold_something_else_are_told)
{
    make_authority("ca.pem", NULL);
    folder_write("text.pem", "nothing\n");
    ck_assert(!is_taken("text.pem", "ca.pem"));
    error_is("porteiro.conf:7: listeners.door.client_ca: ca.pem ", "holds no certificate");
    error_is("porteiro.conf:7: listeners.door.client_crl: crl.pem ", "holds no revocation list");
    count_is(2, 0);
}
END_TEST

START_TEST(a_file_that_is_damaged_behind_its_start_is_told)
{
    make_authority("ca.pem", NULL);
    FILE *stream = fopen(folder_path("ca.pem"), "ae");
    ck_assert_ptr_nonnull(stream);
    ck_assert_int_gt(fprintf(stream, "-----BEGIN CERTIFICATE-----\nAAAA\n"), 0);
    ck_assert_int_eq(fclose(stream), 0);
    ck_assert(!is_taken("ca.pem", ""));
    error_is("porteiro.conf:7: listeners.door.client_ca: ca.pem ", "");
    count_is(1, 0);
}
END_TEST

START_TEST(an_authority_that_another_has_signed_is_taken_with_a_warning)
{
    make_authority("middle.pem", "Another Authority");
    ck_assert(is_taken("middle.pem", ""));
    warning_is("porteiro.conf:7: listeners.door.client_ca: ca.pem ", "no self-signed");
    count_is(0, 1);
}
END_TEST

START_TEST(a_list_that_has_expired_is_taken_with_a_warning)
{
    make_authority("ca.pem", NULL);
    make_list("old.pem", -1);
    ck_assert(is_taken("ca.pem", "old.pem"));
    warning_is("porteiro.conf:7: listeners.door.client_crl: crl.pem has expired", "refused");
    count_is(0, 1);
}
END_TEST

SUITE(client_certificate)
{
    tcase_add_unchecked_fixture(tests, folder_make, folder_remove);
    tcase_add_checked_fixture(tests, begin, end);
    TEST(the_name_is_the_mailbox_in_the_certificate);
    TEST(without_a_mailbox_the_name_is_the_common_name);
    TEST(without_either_there_is_no_name);
    TEST(of_two_common_names_none_is_the_name);
    LOOP_TEST(a_mailbox_that_can_be_none_leaves_no_name, impossible);
    LOOP_TEST(a_common_name_that_can_be_none_leaves_no_name, impossible);
    TEST(octets_that_are_no_text_leave_no_name);
    TEST(a_name_longer_than_any_address_leaves_none);
    TEST(a_certificate_with_two_lists_of_names_has_none);
    TEST(authorities_with_their_list_are_taken);
    TEST(what_could_not_be_read_is_not_taken);
    TEST(files_that_hold_something_else_are_told);
    TEST(a_file_that_is_damaged_behind_its_start_is_told);
    TEST(an_authority_that_another_has_signed_is_taken_with_a_warning);
    TEST(a_list_that_has_expired_is_taken_with_a_warning);
}
