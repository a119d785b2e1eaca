/* Who may send as whom: the addresses of MAIL FROM, and of From, Sender and Resent-From, have to be
 * the account's own. Its keys of porteiro.conf, and how a refusal is told to people. Pure. */
#pragma once

#include "base/sealed.h"
#include "policy/match.h"

/* A watched file of addresses, which several policies may name. */
struct address_file {
    const char *path;
    const struct sealed *list; /* what is in force of it: see policy/ownership.h */
};

enum sender_check { SENDER_ANY, SENDER_OWN };

struct sender_rule {
    struct place place;
    int envelope, header;      /* enum sender_check */
    int mode;                  /* enum rule_mode */
    const char *addresses;     /* path; "": each account has its name alone */
    struct address_file *file; /* NULL: none */
    struct match when, except;
};

/* The keys of the file, for base/setting: ends with a NULL name. */
extern const struct setting sender_settings[];

/* Is it for these facts? The account is known. */
bool sender_is_for(const struct sender_rule *r, const struct policy_facts *f);

/* Hot: is the address the account's? Both are in canonical form. */
bool sender_is_own(const struct sender_rule *r, struct span account, struct span address);

/* What is wrong with a message. */
enum sender_fault {
    SENDER_GOOD,
    SENDER_FOREIGN,    /* an address isn't the account's */
    SENDER_UNREADABLE, /* a field may be read in two ways */
    SENDER_MISSING,    /* it has no From */
    SENDER_REPEATED,   /* or more than one */
};

struct sender_finding {
    enum sender_fault fault;
    const char *where;   /* "MAIL FROM", or the name of a field */
    const char *address; /* SENDER_FOREIGN */
    const char *wrong;   /* SENDER_UNREADABLE: "it ..." */
};

/* "From: boss@bank.example is not an address of ana@example.com". Returns `out`, cut to fit. */
enum { SENDER_TEXT_SIZE = 320 };
const char *sender_text(const struct sender_finding *f, const char *account,
                        char out[SENDER_TEXT_SIZE]);
