/* What SCRAM and CRAM-MD5 check a client against, for every name alike: an auxprop plugin of
 * libsasl2 that is asked after the password store.
 *
 * libsasl2 by itself fails at the first message of a name that the store doesn't know, and so tells
 * who exists. Here such a name has a salt and keys like any other, which nobody's password fits.
 * Salts are made of the name and a secret, so that they stay the same from one try to the next and
 * in each auth process; keys are derived once for each name, known or not, in the same time. */
#pragma once

#include "base/error.h"

#include <stdint.h>

enum { SASL_SECRET_SIZE = 32, SCRAM_SALT_SIZE = 16, SCRAM_ITERATIONS = 4096, SCRAM_KEY_SIZE = 32 };

/* The plugin's name, for the option auxprop_plugin. */
#define SASL_SECRETS_PLUGIN "porteiro"

/* Adds the plugin, after sasl_server_init. `secret`, of SASL_SECRET_SIZE octets, stays the
 * caller's, and must outlive the library. Returns 0, or -1 and why. */
int sasl_secrets_add(const unsigned char *secret, struct error *why);

/* StoredKey and ServerKey of SCRAM-SHA-256 (RFC 5802 section 3, RFC 7677), each of SCRAM_KEY_SIZE
 * octets. Returns 0, or -1 without memory. */
int scram_derive(const char *password, const unsigned char *salt, int salt_size, int iterations,
                 unsigned char *stored_key, unsigned char *server_key);
