#include "certificates.h"
#include "handshake.h"

#include "config/folder.h"
#include "net/tls.h"
#include "net/tls_socket.h"

#include <sys/socket.h>

static struct tls_contexts *contexts;

/* A server of OpenSSL's own, and our client. */
static struct {
    SSL_CTX *context;
    SSL *ssl, *client;
    int ends[2];
    struct tls_socket socket; /* of ours */
    const char *said;         /* by OpenSSL, of the client's failure */
    const char *address;
    bool is_redis;
} server;

static void make(const char *name, const char *names)
{
    const struct certificate wish = {.names = names, .days = 90, .is_rsa = true};
    char certificate[600], file[100];
    (void)snprintf(file, sizeof file, "%s.pem", name);                        /* fits */
    (void)snprintf(certificate, sizeof certificate, "%s", folder_path(file)); /* fits */
    (void)snprintf(file, sizeof file, "%s.key", name);                        /* fits */
    certificate_make(&wish, certificate, folder_path(file));
}

/* "legacy" is for the address of the server, "other" for another; both are their own CAs. */
static void make_files(void)
{
    folder_make();
    make("legacy", "IP:192.0.2.5");
    make("other", "IP:192.0.2.6, DNS:192.0.2.5");
    make("mail", "DNS:mail.example.com");
}

static void begin(void)
{
    findings_begin();
    server.ends[0] = server.ends[1] = -1;
    server.address = "192.0.2.5";
    server.is_redis = false;
}

static void hang_up(void)
{
    SSL_free(server.ssl);
    SSL_free(server.client);
    SSL_CTX_free(server.context);
    server.ssl = server.client = NULL;
    server.context = NULL;
    for (int i = 0; i < 2; i++)
        if (server.ends[i] >= 0)
            (void)close(server.ends[i]); /* what was said was said */
    server.ends[0] = server.ends[1] = -1;
}

static void end(void)
{
    hang_up();
    tls_contexts_destroy(&contexts);
    findings_end();
}

/* A configuration that ends so, in which '~' stands for the folder. */
static void prepare_text(const char *rest)
{
    char text[4096];
    size_t used = (size_t)snprintf(
        text, sizeof text,
        HOSTNAME
        "listeners = { r = { bind = [\"127.0.0.1:2525\"] role = \"refuse\" } }\n"); /* fits, as all
                                                                                     that follows */
    for (; *rest != '\0'; rest++) {
        if (*rest == '~')
            used += (size_t)snprintf(text + used, sizeof text - used, "%s/", folder);
        else
            text[used++] = *rest;
    }
    text[used] = '\0';
    tls_contexts_destroy(&contexts);
    (void)config_of(text);
    contexts = tls_prepare(config, findings);
}

/* An upstream with these settings in line 4. */
static void prepare(const char *settings)
{
    char text[2000];
    (void)snprintf(text, sizeof text,
                   "upstreams = { smtp = {\n%s\n"
                   "servers = { legacy = { address = \"192.0.2.5:25\" } } } }\n",
                   settings); /* fits */
    prepare_text(text);
}

static const struct tls_context *client_context(void)
{
    return tls_client_context(contexts, &config->upstreams[0].servers[0]);
}

/* The server has this certificate. */
static void serve(const char *name)
{
    char file[100];
    hang_up();
    server.context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_security_level(server.context, 0);
    ck_assert_int_eq(SSL_CTX_set_min_proto_version(server.context, TLS1_VERSION), 1);
    (void)snprintf(file, sizeof file, "%s.pem", name); /* fits */
    ck_assert_int_eq(SSL_CTX_use_certificate_chain_file(server.context, folder_path(file)), 1);
    (void)snprintf(file, sizeof file, "%s.key", name); /* fits */
    ck_assert_int_eq(
        SSL_CTX_use_PrivateKey_file(server.context, folder_path(file), SSL_FILETYPE_PEM), 1);
}

static bool agrees(void)
{
    struct address at;
    ck_assert_int_eq(address_make(server.address, 25, &at), 0);
    const char *data = "";
    int flags = 0;
    ck_assert_int_eq(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, server.ends), 0);
    server.socket = (struct tls_socket){.fd = server.ends[0]};
    server.client = tls_new(server.is_redis ? tls_redis_context(contexts) : client_context(),
                            &server.socket, &at);
    server.ssl = SSL_new(server.context);
    ck_assert(server.client != NULL && server.ssl != NULL);
    ck_assert_int_eq(SSL_set_fd(server.ssl, server.ends[1]), 1);
    SSL_set_accept_state(server.ssl);
    bool is_good = handshake(server.client, server.ssl);
    (void)ERR_peek_error_data(&data, &flags); /* what is there */
    server.said = data;
    return is_good;
}

/* Does our client take a server with this certificate? */
static bool takes(const char *name)
{
    serve(name);
    return agrees();
}

static bool takes_version(int max)
{
    serve("legacy");
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(server.context, max), 1);
    ck_assert_int_eq(SSL_CTX_set_cipher_list(server.context, "ALL:@SECLEVEL=0"), 1);
    return agrees();
}

/* ---- unchecked ---- */

START_TEST(a_server_behind_may_show_any_certificate)
{
    static const char *const settings[] = {"", "tls = \"require\"", "tls = \"implicit\""};
    prepare(settings[_i]);
    ck_assert(takes("legacy") && takes("other"));
    ck_assert(takes_version(TLS1_2_VERSION));
}
END_TEST

START_TEST(a_server_behind_that_speaks_tls_1_1_alone_is_refused)
{
    prepare("");
    ck_assert(!takes_version(TLS1_1_VERSION));
}
END_TEST

/* ---- versions and ciphers ---- */

#define OLD "tls_min_version = \"TLSv1\" tls_ciphers = \"DEFAULT@SECLEVEL=0\""

START_TEST(an_old_server_is_spoken_to_where_the_configuration_lets_it)
{
    prepare(OLD);
    ck_assert(takes_version(TLS1_VERSION));
    ck_assert(takes_version(TLS1_1_VERSION));
    ck_assert(takes_version(TLS1_3_VERSION));
}
END_TEST

START_TEST(an_old_version_that_could_not_be_spoken_is_an_error)
{
    prepare("tls_min_version = \"TLSv1.1\"");
    error_is("porteiro.conf:4: upstreams.smtp.tls_min_version", "SECLEVEL=0");
    count_is(1, 0);
}
END_TEST

START_TEST(a_server_below_the_least_version_is_refused)
{
    prepare("tls_min_version = \"TLSv1.3\"");
    ck_assert(!takes_version(TLS1_2_VERSION));
    ck_assert(takes_version(TLS1_3_VERSION));
}
END_TEST

START_TEST(ciphers_that_name_none_are_refused)
{
    prepare("tls_ciphers = \"ENIGMA\"");
    error_is("porteiro.conf:4: upstreams.smtp.tls_ciphers", "ENIGMA");
    count_is(1, 0);
}
END_TEST

/* ---- verify ---- */

START_TEST(a_certificate_of_the_ca_for_the_servers_address_is_taken)
{
    static const char *const settings[] = {
        "tls = \"verify\" ca = \"~legacy.pem\"",
        "tls = \"require\" ca = \"~legacy.pem\"",
        "tls = \"implicit\" ca = \"~legacy.pem\"",
    };
    prepare(settings[_i]);
    ck_assert(takes("legacy"));
}
END_TEST

START_TEST(a_certificate_of_another_ca_is_refused_with_its_fingerprint)
{
    prepare("tls = \"verify\" ca = \"~other.pem\"");
    ck_assert(!takes("legacy"));
    ck_assert_msg(strstr(server.said, "self-signed certificate") != NULL &&
                      strstr(server.said, "fingerprint is ") != NULL,
                  "%s", server.said);
}
END_TEST

START_TEST(a_certificate_for_another_address_is_refused)
{
    prepare("tls = \"verify\" ca = \"~other.pem\"");
    ck_assert(!takes("other"));
    ck_assert_msg(strstr(server.said, "address mismatch") != NULL, "%s", server.said);
}
END_TEST

START_TEST(without_a_ca_of_its_own_those_of_the_system_decide)
{
    ck_assert_int_eq(setenv("SSL_CERT_FILE", folder_path("legacy.pem"), 1), 0);
    prepare("tls = \"verify\"");
    ck_assert(takes("legacy") && !takes("other"));
    ck_assert_int_eq(unsetenv("SSL_CERT_FILE"), 0);
}
END_TEST

START_TEST(a_file_of_cas_that_holds_none_is_refused)
{
    prepare("tls = \"verify\" ca = \"~nowhere.pem\"");
    error_is("porteiro.conf:4: upstreams.smtp.ca", "No such file or directory");
    count_is(1, 0);
    folder_write("empty.pem", "nothing\n");
    prepare("tls = \"verify\" ca = \"~empty.pem\"");
    error_is("porteiro.conf:4: upstreams.smtp.ca", "empty.pem");
    count_is(1, 0);
}
END_TEST

/* ---- fingerprint ---- */

/* `spoil` changes its first digit. */
static void prepare_pinned(const char *name, bool has_colons, bool spoil)
{
    unsigned char digest[32];
    unsigned size;
    char settings[200], file[100], *at = settings;
    (void)snprintf(file, sizeof file, "%s.pem", name); /* fits */
    FILE *stream = fopen(folder_path(file), "re");
    X509 *leaf = PEM_read_X509(stream, NULL, NULL, NULL);
    ck_assert_int_eq(X509_digest(leaf, EVP_sha256(), digest, &size), 1);
    X509_free(leaf);
    ck_assert_int_eq(fclose(stream), 0);
    digest[0] ^= spoil ? 0x10 : 0;
    at += sprintf(at, "tls = \"require\" fingerprint = \"");
    for (unsigned i = 0; i < size; i++)
        at += sprintf(at, has_colons ? "%02X%s" : "%02x%s", digest[i],
                      has_colons && i + 1 < size ? ":" : "");
    (void)sprintf(at, "\"");
    prepare(settings);
}

START_TEST(the_certificate_of_the_fingerprint_is_taken_whoever_signed_it)
{
    prepare_pinned("other", _i != 0, false);
    ck_assert(takes("other"));
}
END_TEST

START_TEST(a_certificate_of_another_fingerprint_is_refused)
{
    prepare_pinned("other", true, true);
    ck_assert(!takes("other"));
    ck_assert_msg(strstr(server.said, "not the one of the configuration") != NULL, "%s",
                  server.said);
    ck_assert(!takes("legacy"));
}
END_TEST

/* ---- Redis ---- */

#define REDIS "redis = { address = [\"192.0.2.5:6379\"] tls = true "

START_TEST(each_server_of_redis_shows_a_certificate_for_its_own_address)
{
    prepare_text(REDIS "ca = \"~legacy.pem\" }\n");
    server.is_redis = true;
    ck_assert(takes("legacy") && !takes("other"));
    server.address = "192.0.2.6";
    ck_assert(!takes("legacy"));
    ck_assert_msg(strstr(server.said, "address mismatch") != NULL, "%s", server.said);
}
END_TEST

START_TEST(redis_without_a_ca_of_its_own_is_judged_by_those_of_the_system)
{
    ck_assert_int_eq(setenv("SSL_CERT_FILE", folder_path("legacy.pem"), 1), 0);
    prepare_text(REDIS "}\n");
    server.is_redis = true;
    ck_assert(takes("legacy") && !takes("other"));
    ck_assert_int_eq(unsetenv("SSL_CERT_FILE"), 0);
}
END_TEST

START_TEST(a_ca_of_redis_that_can_not_be_read_is_told)
{
    prepare_text(REDIS "ca = \"~nowhere.pem\" }\n");
    error_is("porteiro.conf:3: redis.ca", "No such file or directory");
}
END_TEST

START_TEST(redis_in_clear_has_no_context)
{
    prepare_text("redis = { }\n");
    ck_assert_ptr_null(tls_redis_context(contexts));
}
END_TEST

/* ---- our own certificate ---- */

START_TEST(a_server_that_asks_for_one_is_shown_our_certificate)
{
    prepare("tls = \"require\" client_certificate = \"~mail.pem\" client_key = \"~mail.key\"");
    serve("legacy");
    SSL_CTX_set_verify(server.context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    ck_assert_int_eq(SSL_CTX_load_verify_file(server.context, folder_path("mail.pem")), 1);
    ck_assert(agrees());
    ck_assert_int_eq(
        X509_check_host(SSL_get0_peer_certificate(server.ssl), "mail.example.com", 0, 0, NULL), 1);
}
END_TEST

START_TEST(a_key_of_another_certificate_is_refused)
{
    prepare("tls = \"require\" client_certificate = \"~mail.pem\" client_key = \"~other.key\"");
    error_is("porteiro.conf:4: upstreams.smtp.client_key", "");
    count_is(1, 0);
}
END_TEST

START_TEST(files_that_are_missing_are_all_named)
{
    prepare("tls = \"require\" client_certificate = \"~no.pem\" client_key = \"~no.key\"");
    error_is("porteiro.conf:4: upstreams.smtp.client_certificate", "No such file or directory");
    error_is("porteiro.conf:4: upstreams.smtp.client_key", "No such file or directory");
    count_is(2, 0);
}
END_TEST

START_TEST(a_key_that_everybody_can_read_is_taken_with_a_warning)
{
    ck_assert_int_eq(chmod(folder_path("mail.key"), 0644), 0);
    prepare("tls = \"require\" client_certificate = \"~mail.pem\" client_key = \"~mail.key\"");
    warning_is("porteiro.conf:4: upstreams.smtp.client_key", "chmod 600");
    count_is(0, 1);
    ck_assert_int_eq(chmod(folder_path("mail.key"), 0600), 0);
}
END_TEST

/* ---- sessions ---- */

/* The client reads what the server says, and with it the session; then the connection breaks off.
 */
static void hear_something(void)
{
    char word[8];
    ck_assert_int_eq(SSL_write(server.ssl, "hello", 5), 5);
    ck_assert_int_eq(SSL_read(server.client, word, sizeof word), 5);
}

START_TEST(the_next_connection_to_a_server_resumes_the_session)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    prepare("tls = \"verify\" ca = \"~legacy.pem\"");
    serve("legacy");
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(server.context, versions[_i]), 1);
    SSL_CTX *context = server.context;
    for (int n = 0; n < 3; n++) {
        ck_assert(agrees());
        ck_assert_int_eq(SSL_session_reused(server.client), n > 0);
        hear_something();
        ck_assert_int_eq(SSL_CTX_up_ref(context), 1);
        hang_up();
        server.context = context;
    }
}
END_TEST

START_TEST(a_session_that_the_server_has_forgotten_costs_nothing_but_a_whole_handshake)
{
    prepare("");
    ck_assert(takes("legacy"));
    hear_something();
    ck_assert(takes("other")); /* another SSL_CTX there, as after a restart */
    ck_assert_int_eq(SSL_session_reused(server.client), 0);
}
END_TEST

SUITE(tls_client)
{
    tcase_add_unchecked_fixture(tests, make_files, folder_remove);
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_loop_test(tests, a_server_behind_may_show_any_certificate, 0, 3);
    TEST(a_server_behind_that_speaks_tls_1_1_alone_is_refused);
    TEST(an_old_server_is_spoken_to_where_the_configuration_lets_it);
    TEST(an_old_version_that_could_not_be_spoken_is_an_error);
    TEST(a_server_below_the_least_version_is_refused);
    TEST(ciphers_that_name_none_are_refused);
    tcase_add_loop_test(tests, a_certificate_of_the_ca_for_the_servers_address_is_taken, 0, 3);
    TEST(a_certificate_of_another_ca_is_refused_with_its_fingerprint);
    TEST(a_certificate_for_another_address_is_refused);
    TEST(without_a_ca_of_its_own_those_of_the_system_decide);
    TEST(a_file_of_cas_that_holds_none_is_refused);
    tcase_add_loop_test(tests, the_certificate_of_the_fingerprint_is_taken_whoever_signed_it, 0, 2);
    TEST(a_certificate_of_another_fingerprint_is_refused);
    tcase_add_loop_test(tests, the_next_connection_to_a_server_resumes_the_session, 0, 2);
    TEST(a_session_that_the_server_has_forgotten_costs_nothing_but_a_whole_handshake);
    TEST(each_server_of_redis_shows_a_certificate_for_its_own_address);
    TEST(redis_without_a_ca_of_its_own_is_judged_by_those_of_the_system);
    TEST(a_ca_of_redis_that_can_not_be_read_is_told);
    TEST(redis_in_clear_has_no_context);
    TEST(a_server_that_asks_for_one_is_shown_our_certificate);
    TEST(a_key_of_another_certificate_is_refused);
    TEST(files_that_are_missing_are_all_named);
    TEST(a_key_that_everybody_can_read_is_taken_with_a_warning);
}
