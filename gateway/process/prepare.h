/* A start up to the point where something is bound or forked: what is tested by -t is what will
 * run. */
#pragma once

#include "base/privileges.h"
#include "config/config.h"
#include "control/grant.h"
#include "net/tls.h"
#include "process/files.h"
#include "process/secret.h"
#include "redis/password.h"
#include "upstream/account.h"

/* Everything that a generation of processes is made from. */
struct prepared {
    struct config *config;
    struct tls_contexts *tls;
    struct file_watch *tls_watch;  /* of the files that `tls` is made of */
    struct file_watch *list_watch; /* of those of `watched` */
    struct watched *watched;       /* as many as the configuration names */
    struct accounts *accounts;
    struct redis_passwords redis_passwords;
    struct secret secret;
    struct grants grants;
    struct identity user, auth_user, helper_user;
    bool is_root; /* else all run as who we are */
};

/* Reads the configuration and has every room prepare. All that is wrong or odd is added to
 * `errors`. NULL when something is wrong. */
struct prepared *prepare(const char *file, struct errors *errors);

/* The same for porteiro-milter: what is the gateway's alone (listeners, servers behind,
 * certificates, passwords) isn't looked at, and left out of the configuration. */
struct prepared *prepare_filter(const char *file, struct errors *errors);

void prepared_destroy(struct prepared **p);

/* Opens what the log is written to, as the master: a file, a copy of standard error, or syslog's
 * socket. Returns the descriptor, or -1 and why. */
int open_log_target(const struct log_config *log, struct error *why);
