/* The payloads of messages.def. Whoever receives one may have been taken over by then, and so may
 * whoever sent it: sizes are checked before a struct is looked at, values by its reader. */
#pragma once

#include "base/ticket.h"
#include "net/tls_tickets.h"

#include <stdint.h>

enum message_type {
#define MESSAGE(name, payload, help) MESSAGE_##name,
#include "ipc/messages.def"
#undef MESSAGE
    MESSAGE_COUNT
};

struct message_empty {
    uint32_t nothing;
};

struct message_grace {
    int64_t grace_ns;
};

struct message_peer {
    uint32_t role; /* enum process_role */
    uint32_t slot; /* its row in the table of processes */
};

/* Whom to answer: a number of control's own. */
struct message_request {
    uint32_t request;
};

struct message_set_drain {
    uint32_t request;
    uint32_t is_drain;
};

struct message_answer {
    uint32_t request;
    uint32_t is_good;
};

struct message_token {
    uint32_t upstream; /* its index in the configuration */
    uint32_t version;  /* another for each token */
};

enum { NOTIFY_AT_ONCE = 4 }; /* of one command */

struct message_notify {
    uint32_t command; /* its index in the configuration's `notify` */
    uint32_t notice;  /* enum notice */
};

/* Which files: an index of net/tls_units. */
struct message_unit {
    uint32_t unit;
};

enum auth_service { AUTH_SMTP, AUTH_POP3 };

enum { AUTH_BINDING_NAME_SIZE = 16, AUTH_BINDING_MAX = 64 };

struct message_auth_start {
    struct ticket exchange;
    uint32_t service;      /* enum auth_service */
    uint32_t mechanism;    /* enum mechanism */
    uint32_t has_response; /* else the client waits for a challenge */
    uint32_t binding_size; /* of the client's TLS connection; 0: -PLUS is not offered */
    char binding_name[AUTH_BINDING_NAME_SIZE];
    unsigned char binding_bytes[AUTH_BINDING_MAX];
};

struct message_auth_step {
    struct ticket exchange;
};

enum auth_outcome { AUTH_GOOD, AUTH_WRONG, AUTH_UNAVAILABLE, AUTH_MALFORMED };

struct message_auth_done {
    struct ticket exchange;
    uint32_t outcome; /* enum auth_outcome */
};

enum dial_kind { DIAL_REDIS, DIAL_MILTER, DIAL_POLICY_SERVER };

/* A path, by its place among those of its kind in the configuration. */
struct message_dial {
    struct ticket ticket; /* the asker's own */
    uint32_t kind;        /* enum dial_kind */
    uint32_t index;
};

/* A watched file, by its place in the configuration. */
struct message_watched {
    uint32_t index;
};

/* Without a descriptor it was wrong, text behind says how: the old one stays. */
struct message_list {
    uint32_t index;
    uint32_t count; /* of its lines */
};

enum ending {
    ENDING_none,
#define ENDING(name, is_at_once, help) ENDING_##name,
#include "ipc/endings.def"
#undef ENDING
    ENDING_COUNT
};

/* Whose sessions: of who has logged in by that canonical name, of clients within that network, or
 * the one with that id. */
enum end_of { END_OF_ACCOUNT, END_OF_NETWORK, END_OF_SESSION };

enum { END_WHO_SIZE = 320, END_TEXT_SIZE = 200 };

struct message_end_sessions {
    uint32_t of;  /* enum end_of */
    uint32_t why; /* enum ending */
    char who[END_WHO_SIZE];
    char text[END_TEXT_SIZE]; /* told to their clients */
};

/* As large as the largest of them. */
union message_any {
#define MESSAGE(name, payload, help) struct payload name;
#include "ipc/messages.def"
#undef MESSAGE
};
