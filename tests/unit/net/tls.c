#include "net/tls.h"

#include "certificates.h"
#include "handshake.h"

#include "config/folder.h"
#include "net/tls_socket.h"
#include "net/tls_units.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

static struct tls_contexts *contexts;

/* A client of one handshake, and what it has seen. */
static struct {
    SSL_CTX *context;
    SSL *ssl, *server;
    int ends[2];
    struct tls_socket socket; /* of ours */
} client;

/* FOLDER/NAME.pem and FOLDER/NAME.key. */
static void make(const char *name, const struct certificate *wish)
{
    char certificate[600], key[600], file[100];
    (void)snprintf(file, sizeof file, "%s.pem", name);                        /* fits */
    (void)snprintf(certificate, sizeof certificate, "%s", folder_path(file)); /* fits */
    (void)snprintf(file, sizeof file, "%s.key", name);                        /* fits */
    (void)snprintf(key, sizeof key, "%s", folder_path(file));                 /* fits */
    certificate_make(wish, certificate, key);
}

/* RSA keys take their time: they are made once. */
static void make_files(void)
{
    const struct certificate mail = {.names = "DNS:mail.example.com", .days = 90},
                             rsa = {.names = "DNS:mail.example.com", .days = 90, .is_rsa = true},
                             shop = {.names = "DNS:shop.example.net, DNS:*.example.org",
                                     .days = 90};
    folder_make();
    make("mail", &mail);
    make("rsa", &rsa);
    make("shop", &shop);
}

static void begin(void)
{
    findings_begin();
    client.ends[0] = client.ends[1] = -1;
    client.context = SSL_CTX_new(TLS_client_method());
    ck_assert_ptr_nonnull(client.context);
}

static void hang_up(void)
{
    SSL_free(client.ssl);
    SSL_free(client.server);
    client.ssl = client.server = NULL;
    for (int i = 0; i < 2; i++)
        if (client.ends[i] >= 0)
            (void)close(client.ends[i]); /* what was said was said */
    client.ends[0] = client.ends[1] = -1;
}

static void end(void)
{
    hang_up();
    SSL_CTX_free(client.context);
    tls_contexts_destroy(&contexts);
    findings_end();
}

#define BEHIND                                                                         \
    "upstreams = { smtp = { servers = { legacy = { address = \"192.0.2.5:25\" } } }\n" \
    "pop3 = { protocol = \"pop3\" servers = { legacy = { address = \"192.0.2.5:110\" } } } }\n"

/* The listeners that are implied. */
enum { SUBMISSIONS, SUBMISSION, POP3S };

/* What tls_prepare says of these blocks and listeners; '@' stands for the folder. */
static void prepare_with(const char *blocks, const char *listeners)
{
    char plan[4096], text[8192];
    size_t used = 0;
    (void)snprintf(plan, sizeof plan, HOSTNAME "tls = {\n%s}\n" BEHIND "%s", blocks,
                   listeners); /* fits */
    for (const char *at = plan; *at != '\0'; at++) {
        if (*at == '@')
            used += (size_t)snprintf(text + used, sizeof text - used, "%s/", folder); /* fits */
        else
            text[used++] = *at;
    }
    text[used] = '\0';
    tls_contexts_destroy(&contexts);
    (void)config_of(text);
    count_is(0, 0);
    contexts = tls_prepare(config, findings);
}

static void prepare(const char *blocks)
{
    prepare_with(blocks, "");
}

#define BLOCK(name, file) \
    name " = { certificate = [\"@" file ".pem\"] key = [\"@" file ".key\"] }\n"
#define MAIL BLOCK("default", "mail")

/* Two listeners; `rest` is of the second. */
#define TWO(rest)                                                       \
    "listeners = { a = { bind = [\"*:465\"] upstream = \"smtp\" }\n"    \
    "b = { bind = [\"*:587\"] tls = \"starttls\" upstream = \"smtp\"\n" \
    "      " rest " } }\n"

/* A client at that listener. `name` is the one asked for, or NULL; `session` is to be resumed, or
 * NULL. */
static void begin_handshake(size_t listener, const char *name, SSL_SESSION *session)
{
    hang_up();
    ck_assert_int_eq(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, client.ends), 0);
    client.socket = (struct tls_socket){.fd = client.ends[0]};
    client.server =
        tls_new(tls_server_context(contexts, &config->listeners[listener]), &client.socket, NULL);
    client.ssl = SSL_new(client.context);
    ck_assert(client.server != NULL && client.ssl != NULL);
    ck_assert_int_eq(SSL_set_fd(client.ssl, client.ends[1]), 1);
    SSL_set_connect_state(client.ssl);
    if (session != NULL)
        ck_assert_int_eq(SSL_set_session(client.ssl, session), 1);
    if (name != NULL)
        ck_assert_int_eq(SSL_ctrl(client.ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME,
                                  TLSEXT_NAMETYPE_host_name, (void *)(uintptr_t)name),
                         1);
}

/* Do both sides agree? Likewise. */
static bool shakes_hands_at(size_t listener, const char *name, SSL_SESSION *session)
{
    begin_handshake(listener, name, session);
    return handshake(client.ssl, client.server);
}

static bool shakes_hands(void)
{
    return shakes_hands_at(0, NULL, NULL);
}

/* The session that the server has offered for another time. The caller frees it. */
static SSL_SESSION *session(void)
{
    char byte;
    ck_assert_int_eq(SSL_read(client.ssl, &byte, 1), -1); /* TLS 1.3: it comes afterwards */
    SSL_SESSION *found = SSL_get1_session(client.ssl);
    ck_assert_ptr_nonnull(found);
    SSL_set_shutdown(client.ssl, SSL_SENT_SHUTDOWN); /* else it is one that was cut off */
    return found;
}

/* Is the certificate that was shown one for that host? */
static bool is_shown(const char *host)
{
    return X509_check_host(SSL_get0_peer_certificate(client.ssl), host, 0, 0, NULL) == 1;
}

/* ---- what is taken ---- */

START_TEST(a_certificate_with_its_key_is_taken)
{
    prepare(MAIL);
    count_is(0, 0);
    ck_assert_ptr_nonnull(contexts);
    ck_assert(shakes_hands());
    ck_assert(is_shown("mail.example.com"));
    ck_assert_str_eq(SSL_get_version(client.ssl), "TLSv1.3");
}
END_TEST

START_TEST(files_that_are_missing_are_all_named)
{
    prepare(BLOCK("default", "none") BLOCK("other", "nowhere"));
    ck_assert_ptr_null(contexts);
    error_is("porteiro.conf:3: tls.default.certificate: none.pem: ", strerror(ENOENT));
    error_is("porteiro.conf:3: tls.default.key: none.key: ", strerror(ENOENT));
    error_is("porteiro.conf:4: tls.other.certificate: nowhere.pem: ", strerror(ENOENT));
    error_is("porteiro.conf:4: tls.other.key: nowhere.key: ", strerror(ENOENT));
    count_is(4, 0);
}
END_TEST

START_TEST(a_key_of_another_certificate_is_refused)
{
    static const char *const keys[] = {"shop.key", "rsa.key"}; /* of the same kind, of another */
    char text[200], start[100];
    (void)snprintf(text, sizeof text,
                   "default = { certificate = [\"@mail.pem\"] key = [\"@%s\"] }\n",
                   keys[_i]); /* fits */
    (void)snprintf(start, sizeof start, "porteiro.conf:3: tls.default.key: %s", keys[_i]);
    prepare(text);
    ck_assert_ptr_null(contexts);
    error_is(start, "");
    count_is(1, 0);
}
END_TEST

START_TEST(a_file_that_holds_no_certificate_is_refused)
{
    folder_write("empty.pem", "");
    folder_write("text.pem",
                 "-----BEGIN CERTIFICATE-----\nnot at all\n-----END CERTIFICATE-----\n");
    prepare("default = { certificate = [\"@empty.pem\"] key = [\"@mail.key\"] }\n"
            "other = { certificate = [\"@text.pem\"] key = [\"@mail.key\"] }\n"
            "third = { certificate = [\"@mail.key\"] key = [\"@mail.key\"] }\n");
    ck_assert_ptr_null(contexts);
    error_is("porteiro.conf:3: tls.default.certificate: empty.pem: ", "");
    error_is("porteiro.conf:4: tls.other.certificate: text.pem: ", "");
    error_is("porteiro.conf:5: tls.third.certificate: mail.key: ", "");
    count_is(3, 0);
}
END_TEST

START_TEST(a_file_that_holds_no_key_is_refused)
{
    folder_write("no.key", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n");
    ck_assert_int_eq(chmod(folder_path("no.key"), 0600), 0);
    prepare("default = { certificate = [\"@mail.pem\"] key = [\"@no.key\"] }\n");
    ck_assert_ptr_null(contexts);
    error_is("porteiro.conf:3: tls.default.key: no.key: ", "");
    count_is(1, 0);
}
END_TEST

START_TEST(a_key_behind_a_password_is_refused_without_asking_for_it)
{
    EVP_PKEY *key = certificate_key(false);
    static unsigned char password[] = "secret";
    FILE *stream = fopen(folder_path("locked.key"), "we");
    ck_assert_int_eq(PEM_write_PrivateKey(stream, key, EVP_aes_128_cbc(), password, 6, NULL, NULL),
                     1);
    ck_assert_int_eq(fclose(stream), 0);
    EVP_PKEY_free(key);
    ck_assert_int_eq(chmod(folder_path("locked.key"), 0600), 0);
    prepare("default = { certificate = [\"@mail.pem\"] key = [\"@locked.key\"] }\n");
    ck_assert_ptr_null(contexts);
    error_is("porteiro.conf:3: tls.default.key: locked.key: ", "");
    count_is(1, 0);
}
END_TEST

START_TEST(a_certificate_that_has_expired_is_taken_with_a_warning)
{
    const struct certificate wish = {.names = "DNS:mail.example.com", .days = -3};
    make("old", &wish);
    prepare(BLOCK("default", "old"));
    ck_assert_ptr_nonnull(contexts);
    warning_is("porteiro.conf:3: tls.default.certificate: old.pem has expired", "");
    count_is(0, 1);
}
END_TEST

START_TEST(a_certificate_that_will_soon_expire_is_taken_with_a_warning)
{
    const struct certificate wish = {.names = "DNS:mail.example.com", .days = 5};
    make("soon", &wish);
    prepare(BLOCK("default", "soon"));
    ck_assert_ptr_nonnull(contexts);
    warning_is("porteiro.conf:3: tls.default.certificate: soon.pem expires in ", " days");
    count_is(0, 1);
}
END_TEST

START_TEST(a_default_certificate_for_another_host_is_taken_with_a_warning)
{
    prepare(BLOCK("default", "shop") BLOCK("other", "shop"));
    ck_assert_ptr_nonnull(contexts);
    warning_is("porteiro.conf:3: tls.default.certificate: shop.pem ", "\"mail.example.com\"");
    count_is(0, 1);
}
END_TEST

START_TEST(a_key_that_everybody_can_read_is_taken_with_a_warning)
{
    const struct certificate wish = {.names = "DNS:mail.example.com", .days = 90};
    make("open", &wish);
    ck_assert_int_eq(chmod(folder_path("open.key"), 0644), 0);
    prepare(BLOCK("default", "open"));
    ck_assert_ptr_nonnull(contexts);
    warning_is("porteiro.conf:3: tls.default.key: open.key can be read by everybody", "chmod 600");
    count_is(0, 1);
    ck_assert_int_eq(chmod(folder_path("open.key"), 0640), 0);
    prepare(BLOCK("default", "open"));
    count_is(0, 0);
}
END_TEST

START_TEST(a_certificate_without_its_chain_is_taken_with_a_warning)
{
    const struct certificate wish = {
        .names = "DNS:mail.example.com", .days = 90, .issuer = "Another Authority"};
    make("bare", &wish);
    prepare(BLOCK("default", "bare"));
    ck_assert_ptr_nonnull(contexts);
    warning_is("porteiro.conf:3: tls.default.certificate: bare.pem holds no chain", "");
    count_is(0, 1);
}
END_TEST

/* The file grows by all of another. */
static void append(const char *name, const char *other)
{
    char text[8192];
    FILE *from = fopen(folder_path(other), "re");
    ck_assert_ptr_nonnull(from);
    size_t size = fread(text, 1, sizeof text, from);
    ck_assert_int_eq(fclose(from), 0);
    FILE *to = fopen(folder_path(name), "ae");
    ck_assert_ptr_nonnull(to);
    ck_assert_uint_eq(fwrite(text, 1, size, to), size);
    ck_assert_int_eq(fclose(to), 0);
}

START_TEST(a_certificate_with_its_chain_is_shown_with_it)
{
    const struct certificate wish = {
        .names = "DNS:mail.example.com", .days = 90, .issuer = "Another Authority"};
    make("full", &wish);
    append("full.pem", "shop.pem");
    prepare(BLOCK("default", "full"));
    count_is(0, 0);
    ck_assert(shakes_hands());
    ck_assert_int_eq(sk_X509_num(SSL_get_peer_cert_chain(client.ssl)), 2);
}
END_TEST

START_TEST(ciphers_that_name_none_are_refused)
{
    prepare("default = { certificate = [\"@mail.pem\"] key = [\"@mail.key\"] "
            "ciphers = \"NO-SUCH-CIPHER\" }\n");
    ck_assert_ptr_null(contexts);
    error_is("porteiro.conf:3: tls.default.ciphers: ", "\"NO-SUCH-CIPHER\"");
    count_is(1, 0);
}
END_TEST

/* ---- what changes ---- */

/* What is said of the unit's files as they are now. */
static bool takes(size_t unit)
{
    struct tls_texts texts;
    tls_unit_read(config, unit, &texts, findings);
    bool is_taken = tls_contexts_take(contexts, unit, &texts, findings) == 0;
    tls_texts_clear(&texts);
    return is_taken;
}

static void put(const char *from, const char *to)
{
    char text[8192];
    FILE *stream = fopen(folder_path(from), "re");
    ck_assert_ptr_nonnull(stream);
    size_t size = fread(text, 1, sizeof text, stream);
    ck_assert_int_eq(fclose(stream), 0);
    folder_write_bytes(to, text, size);
    ck_assert_int_eq(chmod(folder_path(to), 0600), 0);
}

static void put_pair(const char *certificate, const char *key)
{
    put(certificate, "live.pem");
    put(key, "live.key");
}

START_TEST(new_files_are_shown_to_clients_from_then_on)
{
    put_pair("mail.pem", "mail.key");
    prepare(BLOCK("default", "live"));
    ck_assert(shakes_hands());
    ck_assert(is_shown("mail.example.com"));
    put_pair("shop.pem", "shop.key");
    ck_assert(takes(0));
    ck_assert(is_shown("mail.example.com")); /* to who is there already */
    ck_assert(shakes_hands_at(0, "shop.example.net", NULL));
    ck_assert(is_shown("shop.example.net"));
    ck_assert(shakes_hands_at(1, NULL, NULL));
    ck_assert(is_shown("shop.example.net"));
}
END_TEST

/* The client's first octets are underway while the files are taken. */
START_TEST(a_handshake_in_between_comes_to_its_end)
{
    int there = 0, here = 0;
    put_pair("mail.pem", "mail.key");
    prepare(BLOCK("default", "live") BLOCK("shop", "shop"));
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(client.context, TLS1_2_VERSION), 1);
    begin_handshake(0, _i == 0 ? NULL : "shop.example.net", NULL);
    (void)handshake_step(client.ssl, &there);
    put_pair("rsa.pem", "rsa.key");
    ck_assert(takes(0) && takes(1));
    for (int step = 0; step < 20 && (here == 0 || there == 0); step++) {
        (void)handshake_step(client.server, &here);
        (void)handshake_step(client.ssl, &there);
    }
    ck_assert(here == 1 && there == 1);
    ck_assert(is_shown(_i == 0 ? "mail.example.com" : "shop.example.net"));
}
END_TEST

START_TEST(files_that_do_not_fit_leave_the_old_in_force)
{
    static const struct {
        const char *certificate, *key, *finding;
    } wrong[] = {{"shop.pem", "mail.key", "tls.default.key: live.key does not belong to live.pem"},
                 {"mail.key", "mail.key", "tls.default.certificate: live.pem: "},
                 {"mail.pem", "mail.pem", "tls.default.key: live.key: "}};
    char start[100];
    put_pair("mail.pem", "mail.key");
    prepare(BLOCK("default", "live"));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        put_pair(wrong[i].certificate, wrong[i].key);
        ck_assert(!takes(0));
        (void)snprintf(start, sizeof start, "porteiro.conf:3: %s", wrong[i].finding); /* fits */
        error_is(start, "");
        ck_assert(shakes_hands());
        ck_assert(is_shown("mail.example.com"));
    }
    ck_assert_int_eq(unlink(folder_path("live.key")), 0);
    ck_assert(!takes(0));
    error_is("porteiro.conf:3: tls.default.key: live.key: ", strerror(ENOENT));
    ck_assert(shakes_hands());
}
END_TEST

START_TEST(a_unit_that_is_not_there_is_not_taken)
{
    struct tls_texts none = {.texts = {{NULL, 0}}};
    prepare(MAIL);
    ck_assert_int_eq(tls_contexts_take(contexts, tls_unit_count(config), &none, findings), -1);
    ck_assert_int_eq(tls_contexts_take(contexts, SIZE_MAX, &none, findings), -1);
    ck_assert_int_eq(tls_contexts_take(contexts, 0, &none, findings), -1);
    ck_assert_int_eq(tls_contexts_take(contexts, 1, &none, findings), 0); /* asks nobody */
    ck_assert(shakes_hands());
    tls_contexts_forget_doors(contexts);
    ck_assert_int_eq(tls_contexts_take(contexts, 0, &none, findings), -1);
}
END_TEST

static unsigned certificates_told;

static void count_days(void *owner, const char *file, int days)
{
    (void)owner;
    bool is_mail = strcmp(file, folder_path("mail.pem")) == 0;
    ck_assert(is_mail || strcmp(file, folder_path("gone.pem")) == 0);
    ck_assert_int_le(days, is_mail ? 90 : -1);
    ck_assert_int_ge(days, is_mail ? 89 : -4);
    certificates_told++;
}

START_TEST(each_certificate_tells_its_days)
{
    const struct certificate wish = {.names = "DNS:mail.example.com", .days = -3};
    make("gone", &wish);
    prepare(MAIL BLOCK("other", "gone"));
    certificates_told = 0;
    tls_contexts_each_certificate(contexts, count_days, NULL);
    ck_assert_uint_eq(certificates_told, 2);
}
END_TEST

/* ---- which certificate is shown ---- */

static void shows(const char *asked, const char *host)
{
    ck_assert_msg(shakes_hands_at(0, asked, NULL), "%s", asked);
    ck_assert_msg(is_shown(host), "%s is not answered by the certificate for %s", asked, host);
}

START_TEST(a_client_gets_the_certificate_of_the_host_it_asks_for)
{
    prepare(MAIL BLOCK("shop", "shop"));
    shows("mail.example.com", "mail.example.com");
    shows("shop.example.net", "shop.example.net");
    shows("SHOP.Example.NET", "shop.example.net");
    shows("www.example.org", "www.example.org");  /* *.example.org */
    shows("a.b.example.org", "mail.example.com"); /* a wildcard is one label */
    shows("nobody.example", "mail.example.com");
    shows(NULL, "mail.example.com");
}
END_TEST

START_TEST(names_that_are_listed_decide_instead_of_those_in_the_certificate)
{
    prepare(MAIL "shop = { certificate = [\"@shop.pem\"] key = [\"@shop.key\"] "
                 "names = [\"one.example\", \"*.two.example\"] }\n");
    shows("one.example", "shop.example.net");
    shows("ONE.example", "shop.example.net");
    shows("a.two.example", "shop.example.net");
    shows("two.example", "mail.example.com");
    shows("a.b.two.example", "mail.example.com");
    shows("atwo.example", "mail.example.com");
    shows("shop.example.net", "mail.example.com");
}
END_TEST

START_TEST(the_default_serves_a_name_that_another_block_lists_no_more)
{
    prepare(MAIL "second = { certificate = [\"@rsa.pem\"] key = [\"@rsa.key\"] }\n");
    ck_assert(shakes_hands_at(0, "mail.example.com", NULL));
    const EVP_PKEY *key = X509_get0_pubkey(SSL_get0_peer_certificate(client.ssl));
    ck_assert_int_eq(EVP_PKEY_get_base_id(key), EVP_PKEY_RSA);
}
END_TEST

START_TEST(a_listener_of_another_block_shows_its_own_to_who_asks_for_nothing)
{
    prepare_with(MAIL BLOCK("shop", "shop"), TWO("certificate = \"shop\""));
    ck_assert(shakes_hands_at(1, NULL, NULL));
    ck_assert(is_shown("shop.example.net"));
    ck_assert(shakes_hands_at(1, "nobody.example", NULL));
    ck_assert(is_shown("shop.example.net"));
    ck_assert(shakes_hands_at(1, "mail.example.com", NULL));
    ck_assert(is_shown("mail.example.com"));
}
END_TEST

#define BOTH                                                                                       \
    "default = { certificate = [\"@mail.pem\", \"@rsa.pem\"] key = [\"@mail.key\", \"@rsa.key\"] " \
    "}\n"

static int key_shown(void)
{
    return EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(client.ssl)));
}

START_TEST(of_two_kinds_of_key_a_client_gets_the_one_it_can_check)
{
    static char ecdsa[] = "ECDSA+SHA256", rsa[] = "rsa_pss_rsae_sha256";
    prepare(BOTH);
    count_is(0, 0);
    ck_assert_int_eq(SSL_CTX_set1_sigalgs_list(client.context, ecdsa), 1);
    ck_assert(shakes_hands());
    ck_assert_int_eq(key_shown(), EVP_PKEY_EC);
    ck_assert_int_eq(SSL_CTX_set1_sigalgs_list(client.context, rsa), 1);
    ck_assert(shakes_hands());
    ck_assert_int_eq(key_shown(), EVP_PKEY_RSA);
}
END_TEST

START_TEST(tls_1_2_works_with_either_kind_of_key)
{
    prepare(BOTH);
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(client.context, TLS1_2_VERSION), 1);
    ck_assert_int_eq(SSL_CTX_set_cipher_list(client.context, "ECDHE-ECDSA-AES128-GCM-SHA256"), 1);
    ck_assert(shakes_hands());
    ck_assert_int_eq(key_shown(), EVP_PKEY_EC);
    ck_assert_int_eq(SSL_CTX_set_cipher_list(client.context, "ECDHE-RSA-AES256-GCM-SHA384"), 1);
    ck_assert(shakes_hands());
    ck_assert_int_eq(key_shown(), EVP_PKEY_RSA);
}
END_TEST

/* ---- what is spoken ---- */

START_TEST(tls_1_1_is_refused)
{
    prepare(BOTH);
    SSL_CTX_set_security_level(client.context, 0); /* else the client would not try */
    ck_assert_int_eq(SSL_CTX_set_min_proto_version(client.context, TLS1_VERSION), 1);
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(client.context, TLS1_1_VERSION), 1);
    ck_assert(!shakes_hands());
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(client.context, TLS1_2_VERSION), 1);
    ck_assert(shakes_hands());
}
END_TEST

START_TEST(min_version_1_3_refuses_1_2)
{
    prepare("default = { certificate = [\"@mail.pem\"] key = [\"@mail.key\"] "
            "min_version = \"TLSv1.3\" }\n");
    ck_assert(shakes_hands());
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(client.context, TLS1_2_VERSION), 1);
    ck_assert(!shakes_hands());
}
END_TEST

/* Those of RFC 7525 section 4.2 and what is like them; then those that lack forward secrecy, or
 * authenticated encryption. */
static const struct {
    const char *cipher;
    bool is_spoken;
} ciphers[] = {
    {"ECDHE-ECDSA-AES128-GCM-SHA256", true},
    {"ECDHE-RSA-AES128-GCM-SHA256", true},
    {"ECDHE-ECDSA-AES256-GCM-SHA384", true},
    {"ECDHE-RSA-AES256-GCM-SHA384", true},
    {"ECDHE-ECDSA-CHACHA20-POLY1305", true},
    {"ECDHE-RSA-CHACHA20-POLY1305", true},
    {"AES128-GCM-SHA256", false},
    {"AES256-SHA256", false},
    {"AES128-SHA", false},
    {"ECDHE-RSA-AES128-SHA256", false},
    {"ECDHE-ECDSA-AES256-SHA384", false},
    {"ECDHE-RSA-AES256-SHA", false},
    {"DHE-RSA-AES128-SHA", false},
    {"ECDHE-RSA-NULL-SHA", false},
    {"AECDH-AES128-SHA", false},
};

START_TEST(in_tls_1_2_forward_secret_authenticated_ciphers_alone_are_spoken)
{
    prepare(BOTH);
    SSL_CTX_set_security_level(client.context, 0);
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(client.context, TLS1_2_VERSION), 1);
    ck_assert_int_eq(SSL_CTX_set_cipher_list(client.context, ciphers[_i].cipher), 1);
    ck_assert_msg(shakes_hands() == ciphers[_i].is_spoken, "%s", ciphers[_i].cipher);
}
END_TEST

START_TEST(ciphers_of_the_configuration_are_spoken_instead)
{
    prepare("default = { certificate = [\"@rsa.pem\"] key = [\"@rsa.key\"] "
            "ciphers = \"AES128-SHA\" }\n");
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(client.context, TLS1_2_VERSION), 1);
    ck_assert_int_eq(SSL_CTX_set_cipher_list(client.context, "AES128-SHA"), 1);
    ck_assert(shakes_hands());
    ck_assert_int_eq(SSL_CTX_set_cipher_list(client.context, "ECDHE-RSA-AES128-GCM-SHA256"), 1);
    ck_assert(!shakes_hands());
}
END_TEST

START_TEST(a_client_can_not_renegotiate)
{
    prepare(MAIL);
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(client.context, TLS1_2_VERSION), 1);
    ck_assert(shakes_hands());
    ck_assert_int_eq(SSL_renegotiate(client.ssl), 1);
    char byte;
    (void)SSL_do_handshake(client.ssl); /* it asks */
    (void)SSL_read(client.server, &byte, 1);
    ERR_clear_error();
    int done = SSL_do_handshake(client.ssl);
    ck_assert_int_ne(done, 1);
    ck_assert_int_eq(SSL_get_error(client.ssl, done), SSL_ERROR_SSL); /* no_renegotiation */
}
END_TEST

static const struct {
    const char *offered; /* each with its length before it */
    unsigned size;
    size_t listener;
    const char *chosen; /* NULL: no handshake */
} protocols[] = {
    {"\4smtp", 5, SUBMISSIONS, "smtp"},
    {"\4smtp", 5, SUBMISSION, "smtp"},
    {"\4pop3", 5, POP3S, "pop3"},
    {"\2h2\4imap\4smtp", 13, SUBMISSIONS, "smtp"},
    {"", 0, SUBMISSIONS, ""}, /* says nothing of it */
    {"\4pop3", 5, SUBMISSIONS, NULL},
    {"\4smtp", 5, POP3S, NULL},
    {"\2h2\10http/1.1", 12, SUBMISSIONS, NULL},
    {"\4SMTP", 5, SUBMISSIONS, NULL}, /* octets: RFC 7301 section 3.1 */
    {"\5smtps", 6, SUBMISSIONS, NULL},
    {"\3smt", 4, SUBMISSIONS, NULL},
};

/* Also where another block's certificate is shown. */
static const char *const protocol_hosts[] = {NULL, "mail.example.com", "shop.example.net"};

static void speaks(size_t host, const char *chosen, size_t listener)
{
    const unsigned char *agreed = NULL;
    unsigned size = 0;
    bool is_good = shakes_hands_at(listener, protocol_hosts[host], NULL);
    ck_assert(is_good == (chosen != NULL));
    if (!is_good) {
        (void)SSL_do_handshake(client.ssl); /* hears the alert, unless it has */
        ck_assert_int_eq(SSL_get_error(client.ssl, -1), SSL_ERROR_SSL);
        return;
    }
    SSL_get0_alpn_selected(client.ssl, &agreed, &size);
    ck_assert_uint_eq(size, strlen(chosen));
    ck_assert(size == 0 || memcmp(agreed, chosen, size) == 0);
}

START_TEST(a_client_that_names_other_protocols_alone_is_refused)
{
    const unsigned char *offered = (const unsigned char *)protocols[_i].offered;
    prepare(MAIL BLOCK("shop", "shop"));
    ck_assert_int_eq(SSL_CTX_set_alpn_protos(client.context, offered, protocols[_i].size), 0);
    for (size_t host = 0; host < sizeof protocol_hosts / sizeof *protocol_hosts; host++)
        speaks(host, protocols[_i].chosen, protocols[_i].listener);
}
END_TEST

START_TEST(nothing_is_compressed_or_renegotiated)
{
    prepare(MAIL);
    ck_assert(shakes_hands());
    uint64_t options = SSL_get_options(client.server);
    ck_assert_uint_ne(options & SSL_OP_NO_COMPRESSION, 0);
    ck_assert_uint_ne(options & SSL_OP_NO_RENEGOTIATION, 0);
}
END_TEST

/* ---- sessions ---- */

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

START_TEST(a_session_is_resumed_at_its_own_listener_alone)
{
    prepare_with(MAIL, TWO(""));
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(client.context, versions[_i]), 1);
    ck_assert(shakes_hands_at(0, "mail.example.com", NULL));
    SSL_SESSION *kept = session();
    ck_assert(shakes_hands_at(0, "mail.example.com", kept));
    ck_assert(SSL_session_reused(client.ssl));
    ck_assert(shakes_hands_at(1, "mail.example.com", kept));
    ck_assert(!SSL_session_reused(client.ssl));
    SSL_SESSION_free(kept);
}
END_TEST

#define SECRET "0123456789abcdef0123456789abcdef"

/* The keys of a period, as made from a secret. */
static void turn_to(const char *secret, int64_t period)
{
    struct ticket_keys keys;
    ticket_keys_derive(span_of(secret), period, &keys);
    tls_contexts_set_tickets(contexts, &keys);
}

/* Is a session of then, at a gateway with that secret, resumed in period 243000 with SECRET? */
static bool is_resumed(const char *secret, int64_t then, int version)
{
    prepare(MAIL);
    turn_to(secret, then);
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(client.context, version), 1);
    ck_assert(shakes_hands_at(0, "mail.example.com", NULL));
    SSL_SESSION *kept = session();
    ck_assert(SSL_SESSION_has_ticket(kept));
    ck_assert_uint_eq(SSL_SESSION_get_ticket_lifetime_hint(kept), 7200);
    prepare(MAIL); /* another gateway, or another start */
    turn_to(SECRET, 243000);
    ck_assert(shakes_hands_at(0, "mail.example.com", kept));
    SSL_SESSION_free(kept);
    return SSL_session_reused(client.ssl) == 1;
}

START_TEST(a_session_is_resumed_wherever_the_secret_is_the_same)
{
    ck_assert(is_resumed(SECRET, 243000, versions[_i]));
    ck_assert(is_resumed(SECRET, 242999, versions[_i]));
    ck_assert(is_resumed(SECRET, 243001, versions[_i])); /* the other's clock is ahead */
    ck_assert(!is_resumed(SECRET, 242998, versions[_i]));
    ck_assert(!is_resumed(SECRET, 243002, versions[_i]));
    ck_assert(!is_resumed(SECRET "0", 243000, versions[_i]));
}
END_TEST

START_TEST(keys_turn_under_the_contexts_in_use)
{
    prepare(MAIL);
    turn_to(SECRET, 243000);
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(client.context, versions[_i]), 1);
    ck_assert(shakes_hands());
    SSL_SESSION *kept = session();
    turn_to(SECRET, 243001);
    ck_assert(shakes_hands_at(0, NULL, kept));
    ck_assert(SSL_session_reused(client.ssl));
    SSL_SESSION *fresh = session(); /* under the key of now */
    turn_to(SECRET, 243002);
    ck_assert(shakes_hands_at(0, NULL, kept));
    ck_assert(!SSL_session_reused(client.ssl));
    ck_assert(shakes_hands_at(0, NULL, fresh));
    ck_assert(SSL_session_reused(client.ssl));
    SSL_SESSION_free(kept);
    SSL_SESSION_free(fresh);
}
END_TEST

static unsigned tickets;

static int count_ticket(SSL *ssl, SSL_SESSION *one)
{
    (void)ssl;
    tickets++;
    ck_assert_uint_eq(SSL_SESSION_get_max_early_data(one), 0); /* it could be played again */
    return 0;
}

START_TEST(a_handshake_brings_one_ticket_which_allows_no_early_data)
{
    prepare(MAIL);
    turn_to(SECRET, 243000);
    (void)SSL_CTX_set_session_cache_mode(client.context, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(client.context, count_ticket);
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(client.context, versions[_i]), 1);
    tickets = 0;
    ck_assert(shakes_hands());
    SSL_SESSION *kept = session();
    ck_assert_uint_eq(tickets, 1);
    ck_assert(shakes_hands_at(0, NULL, kept));
    SSL_SESSION_free(session());
    ck_assert_uint_eq(tickets, versions[_i] == TLS1_3_VERSION ? 2 : 1); /* 1.2: it is still good */
    SSL_SESSION_free(kept);
}
END_TEST

START_TEST(where_a_certificate_is_asked_for_no_session_is_resumed)
{
    prepare_with(MAIL, TWO("client_certificate = \"optional\" client_ca = \"@mail.pem\""));
    count_is(0, 0);
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(client.context, versions[_i]), 1);
    ck_assert(shakes_hands_at(1, "mail.example.com", NULL));
    SSL_SESSION *kept = session();
    ck_assert(!SSL_SESSION_has_ticket(kept));
    ck_assert(shakes_hands_at(1, "mail.example.com", kept));
    ck_assert(!SSL_session_reused(client.ssl));
    SSL_SESSION_free(kept);
}
END_TEST

/* ---- the client's side ---- */

START_TEST(who_forgets_the_doors_keeps_what_is_spoken_to_servers_behind)
{
    const struct server_config *behind;
    prepare(MAIL);
    behind = &config->upstreams[0].servers[0];
    tls_contexts_forget_doors(contexts);
    ck_assert_ptr_null(tls_server_context(contexts, &config->listeners[0]));
    ck_assert_ptr_nonnull(tls_client_context(contexts, behind));
    tls_contexts_forget_keys(contexts);
    ck_assert_ptr_null(tls_client_context(contexts, behind));
}
END_TEST

START_TEST(destroying_leaves_null)
{
    prepare(MAIL);
    tls_contexts_destroy(&contexts);
    ck_assert_ptr_null(contexts);
    tls_contexts_destroy(&contexts);
}
END_TEST

SUITE(tls)
{
    tcase_add_unchecked_fixture(tests, make_files, folder_remove);
    tcase_add_checked_fixture(tests, begin, end);
    TEST(a_certificate_with_its_key_is_taken);
    TEST(files_that_are_missing_are_all_named);
    tcase_add_loop_test(tests, a_key_of_another_certificate_is_refused, 0, 2);
    TEST(a_file_that_holds_no_certificate_is_refused);
    TEST(a_file_that_holds_no_key_is_refused);
    TEST(a_key_behind_a_password_is_refused_without_asking_for_it);
    TEST(a_certificate_that_has_expired_is_taken_with_a_warning);
    TEST(a_certificate_that_will_soon_expire_is_taken_with_a_warning);
    TEST(a_default_certificate_for_another_host_is_taken_with_a_warning);
    TEST(a_key_that_everybody_can_read_is_taken_with_a_warning);
    TEST(a_certificate_without_its_chain_is_taken_with_a_warning);
    TEST(a_certificate_with_its_chain_is_shown_with_it);
    TEST(ciphers_that_name_none_are_refused);
    TEST(new_files_are_shown_to_clients_from_then_on);
    tcase_add_loop_test(tests, a_handshake_in_between_comes_to_its_end, 0, 2);
    TEST(files_that_do_not_fit_leave_the_old_in_force);
    TEST(a_unit_that_is_not_there_is_not_taken);
    TEST(each_certificate_tells_its_days);
    TEST(a_client_gets_the_certificate_of_the_host_it_asks_for);
    TEST(names_that_are_listed_decide_instead_of_those_in_the_certificate);
    TEST(the_default_serves_a_name_that_another_block_lists_no_more);
    TEST(a_listener_of_another_block_shows_its_own_to_who_asks_for_nothing);
    TEST(of_two_kinds_of_key_a_client_gets_the_one_it_can_check);
    TEST(tls_1_2_works_with_either_kind_of_key);
    TEST(tls_1_1_is_refused);
    TEST(min_version_1_3_refuses_1_2);
    LOOP_TEST(in_tls_1_2_forward_secret_authenticated_ciphers_alone_are_spoken, ciphers);
    TEST(ciphers_of_the_configuration_are_spoken_instead);
    TEST(a_client_can_not_renegotiate);
    LOOP_TEST(a_client_that_names_other_protocols_alone_is_refused, protocols);
    TEST(nothing_is_compressed_or_renegotiated);
    LOOP_TEST(a_session_is_resumed_at_its_own_listener_alone, versions);
    LOOP_TEST(where_a_certificate_is_asked_for_no_session_is_resumed, versions);
    LOOP_TEST(a_session_is_resumed_wherever_the_secret_is_the_same, versions);
    LOOP_TEST(keys_turn_under_the_contexts_in_use, versions);
    LOOP_TEST(a_handshake_brings_one_ticket_which_allows_no_early_data, versions);
    TEST(who_forgets_the_doors_keeps_what_is_spoken_to_servers_behind);
    TEST(destroying_leaves_null);
}
