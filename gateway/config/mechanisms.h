/* SASL mechanisms: which there are, and which of them a listener offers. */
#pragma once

#include <stdint.h>

struct config;
struct errors;

enum mechanism {
    MECHANISM_PLAIN,      /* RFC 4616 */
    MECHANISM_LOGIN,      /* the same in two answers */
    MECHANISM_SCRAM,      /* SCRAM-SHA-256, RFC 7677 */
    MECHANISM_SCRAM_PLUS, /* bound to its TLS connection, RFC 5802 section 6 */
    MECHANISM_CRAM_MD5,   /* RFC 2195 */
    MECHANISM_EXTERNAL,   /* RFC 4422 appendix A: who the client's certificate says */
    MECHANISM_COUNT
};

/* Sets of them, a bit each. */
#define MECHANISMS_PASSWORD (1U << MECHANISM_PLAIN | 1U << MECHANISM_LOGIN) /* it is said */
#define MECHANISMS_SCRAM    (1U << MECHANISM_SCRAM | 1U << MECHANISM_SCRAM_PLUS)

/* Their names, in that order; ends with NULL. */
extern const char *const mechanism_names[];

/* Finds for each listener what of auth.mechanisms can succeed there. What can't is noted with the
 * reason; where nothing is left, nobody could log in: an error. */
void mechanisms_check(struct config *c, struct errors *errors);
