/* What people ask about logins: porteiroctl's forget and login-test. */
#pragma once

#include "auth/client.h"
#include "control/socket.h"
#include "telemetry/processes.h"

struct logins;

struct logins_options {
    struct loop *loop;
    const struct config *config;
    const struct event_log *log;
    const struct process_table *processes;
    struct auth_cache cache; /* of any generation */
};

/* NULL without memory. */
struct logins *logins_create(const struct logins_options *options);

/* Forgets the tests that are under way. */
void logins_destroy(struct logins **l);

/* Takes over a channel to an auth process. */
void logins_add(struct logins *l, int fd);

/* What is known of an account's passwords is known no more, in all generations. Answers the
 * request at `socket`. */
void logins_forget(struct logins *l, struct control_socket *socket, uint32_t request,
                   const char *name);

/* The same for who has its canonical name. Returns whether anything was known. */
bool logins_forget_account(const struct auth_cache *any, const struct process_table *processes,
                           const char *account);

/* Logs in as a session would, without the cache, and tells `socket` of each step; answers the
 * request when the backend has. */
void logins_test(struct logins *l, struct control_socket *socket, uint32_t request,
                 const char *name, const char *password);
