#include "sasl/secrets.h"

#include "base/base64.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sasl/sasl.h>
#include <sasl/saslplug.h>
#include <stdio.h>
#include <string.h>

/* As libsasl2's plugins ask for them. */
#define PASSWORD     "*userPassword"
#define KEYS         "*authPassword"
#define SCRAM_PREFIX "SCRAM-SHA-256$"

enum { USER_MAX = 512, KEYS_TEXT_MAX = 256 };

/* libsasl2 has one set of plugins a process. */
static const unsigned char *secret;

/* HMAC-SHA-256 of up to two texts. */
static int mac(const unsigned char *key, struct span purpose, struct span text,
               unsigned char out[SCRAM_KEY_SIZE])
{
    unsigned char said[USER_MAX + 32];
    unsigned size = 0;
    if (purpose.size + text.size > sizeof said)
        return -1;
    memcpy(said, purpose.data, purpose.size);
    if (text.size > 0)
        memcpy(said + purpose.size, text.data, text.size);
    return HMAC(EVP_sha256(), key, SCRAM_KEY_SIZE, said, purpose.size + text.size, out, &size) ==
                   NULL
               ? -1
               : 0;
}

int scram_derive(const char *password, const unsigned char *salt, int salt_size, int iterations,
                 unsigned char *stored_key, unsigned char *server_key)
{
    unsigned char salted[SCRAM_KEY_SIZE], client_key[SCRAM_KEY_SIZE];
    const struct span nothing = {"", 0};
    bool is_good =
        PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, salt_size, iterations,
                          EVP_sha256(), sizeof salted, salted) == 1 &&
        mac(salted, span_of("Client Key"), nothing, client_key) == 0 &&
        EVP_Digest(client_key, sizeof client_key, stored_key, NULL, EVP_sha256(), NULL) == 1 &&
        mac(salted, span_of("Server Key"), nothing, server_key) == 0;
    OPENSSL_cleanse(salted, sizeof salted);
    OPENSSL_cleanse(client_key, sizeof client_key);
    return is_good ? 0 : -1;
}

/* A password that is nobody's: 256 bits of the secret and the name. */
static int make_up(struct span user, char out[BASE64_ENCODED_SIZE(SCRAM_KEY_SIZE)])
{
    unsigned char bytes[SCRAM_KEY_SIZE];
    if (mac(secret, span_of("password "), user, bytes) < 0)
        return -1;
    (void)base64_encode(span_make((const char *)bytes, sizeof bytes), out);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return 0;
}

/* Keys in the form in which saslpasswd2 stores them. */
static int write_keys(struct span user, const char *password, char out[KEYS_TEXT_MAX])
{
    unsigned char salt[SCRAM_KEY_SIZE], stored[SCRAM_KEY_SIZE], server[SCRAM_KEY_SIZE];
    char text[3][BASE64_ENCODED_SIZE(SCRAM_KEY_SIZE)];
    if (mac(secret, span_of("salt "), user, salt) < 0 ||
        scram_derive(password, salt, SCRAM_SALT_SIZE, SCRAM_ITERATIONS, stored, server) < 0)
        return -1;
    (void)base64_encode(span_make((const char *)salt, SCRAM_SALT_SIZE), text[0]);
    (void)base64_encode(span_make((const char *)stored, sizeof stored), text[1]);
    (void)base64_encode(span_make((const char *)server, sizeof server), text[2]);
    (void)snprintf(out, KEYS_TEXT_MAX, SCRAM_PREFIX "%d:%s$%s:%s", SCRAM_ITERATIONS, text[0],
                   text[1], text[2]); /* fits */
    OPENSSL_cleanse(server, sizeof server);
    OPENSSL_cleanse(text, sizeof text);
    return 0;
}

static bool has_keys(const struct propval *keys)
{
    for (size_t i = 0; keys->values != NULL && keys->values[i] != NULL; i++)
        if (strncmp(keys->values[i], SCRAM_PREFIX, strlen(SCRAM_PREFIX)) == 0)
            return true;
    return false;
}

/* The password as it is stored; an empty one is none. */
static const char *password_of(const struct propval *password)
{
    return password->values == NULL || password->values[0] == NULL || password->values[0][0] == '\0'
               ? NULL
               : password->values[0];
}

/* Keys take the place of the password, from which the mechanism would derive others with a salt of
 * its own. Those that are stored stay; deriving some anyway takes the time that it takes for all.
 */
static int supply(sasl_server_params_t *p, struct span user, const struct propval found[2])
{
    char made_up[BASE64_ENCODED_SIZE(SCRAM_KEY_SIZE)], keys[KEYS_TEXT_MAX];
    const char *password = password_of(&found[0]);
    bool is_for_scram = found[1].name != NULL; /* CRAM-MD5 asks for the password alone */
    int result = SASL_OK;
    if (make_up(user, made_up) < 0)
        return SASL_NOMEM;
    if (!is_for_scram)
        result = password != NULL ? SASL_OK : p->utils->prop_set(p->propctx, PASSWORD, made_up, -1);
    else if (write_keys(user, password != NULL ? password : made_up, keys) < 0)
        result = SASL_NOMEM;
    else if (password != NULL || !has_keys(&found[1])) {
        p->utils->prop_erase(p->propctx, PASSWORD);
        p->utils->prop_erase(p->propctx, KEYS);
        result = p->utils->prop_set(p->propctx, KEYS, keys, -1);
    }
    OPENSSL_cleanse(made_up, sizeof made_up);
    OPENSSL_cleanse(keys, sizeof keys);
    return result;
}

static int look_up(void *context, sasl_server_params_t *p, unsigned flags, const char *user,
                   unsigned size)
{
    static const char *names[] = {PASSWORD, KEYS, NULL};
    struct propval found[3];
    (void)context;
    if ((flags & SASL_AUXPROP_AUTHZID) != 0)
        return SASL_OK; /* whom he would act for has no password here */
    if (size > USER_MAX || p->utils->prop_getnames(p->propctx, names, found) <= 0)
        return SASL_FAIL;
    return supply(p, span_make(user, size), found);
}

static int init(const sasl_utils_t *utils, int max_version, int *version,
                sasl_auxprop_plug_t **plugin, const char *name)
{
    static char own_name[] = SASL_SECRETS_PLUGIN;
    static sasl_auxprop_plug_t own = {.auxprop_lookup = look_up, .name = own_name};
    (void)utils, (void)name;
    if (max_version < SASL_AUXPROP_PLUG_VERSION)
        return SASL_BADVERS;
    *version = SASL_AUXPROP_PLUG_VERSION;
    *plugin = &own;
    return SASL_OK;
}

int sasl_secrets_add(const unsigned char *key, struct error *why)
{
    secret = key;
    int result = sasl_auxprop_add_plugin(SASL_SECRETS_PLUGIN, init);
    return result == SASL_OK ? 0
                             : error_set(why, "libsasl2: %s", sasl_errstring(result, NULL, NULL));
}
