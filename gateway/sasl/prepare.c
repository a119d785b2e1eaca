/* Before the start: can logins be checked? */
#include "base/privileges.h"
#include "sasl/exchange.h"
#include "sasl/saslauthd.h"
#include "sasl/secrets.h"
#include "sasl/service.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Nobody logs in here. */
static const unsigned char no_secret[SASL_SECRET_SIZE];

static int try_sasldb(const void *what, struct error *why)
{
    const struct config *config = what;
    int fd = open(config->auth.sasldb, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(why, "%s: %s", config->auth.sasldb, strerror(errno));
    (void)close(fd); /* was only read */
    return sasl_start(config, no_secret, why);
}

/* What would help, beside what is wrong. */
static void complain_sasldb(const struct config *config, const struct error *why,
                            struct errors *errors)
{
    const struct auth_config *a = &config->auth;
    struct error help = {.text = ""};
    struct stat s;
    if (stat(a->sasldb, &s) < 0)
        (void)error_set(&help,
                        "; make users with: saslpasswd2 -c -f %s -u %s USER && chown %s %s && "
                        "chmod 600 %s",
                        a->sasldb, a->realm, config->auth_user, a->sasldb, a->sasldb);
    else if (strstr(why->text, a->sasldb) != NULL)
        (void)error_set(&help, "; chown %s %s && chmod 600 %s", config->auth_user, a->sasldb,
                        a->sasldb);
    errors_add_at(errors, &a->place, "auth.sasldb: as user %s: %s%s", config->auth_user, why->text,
                  help.text);
}

static void check_sasldb(const struct config *config, const struct identity *auth_user,
                         struct errors *errors)
{
    const struct auth_config *a = &config->auth;
    struct error why;
    struct stat s;
    if (privileges_try(auth_user, try_sasldb, config, &why) < 0)
        complain_sasldb(config, &why, errors);
    else if (stat(a->sasldb, &s) == 0 && (s.st_mode & S_IROTH) != 0)
        errors_warn_at(errors, &a->place,
                       "auth.sasldb: %s can be read by everybody, and holds passwords in plain "
                       "text; chmod 600 it",
                       a->sasldb);
}

static int try_saslauthd(const void *what, struct error *why)
{
    const struct config *config = what;
    return saslauthd_try(config->auth.saslauthd, why);
}

static int try_library(const void *what, struct error *why)
{
    return sasl_start(what, no_secret, why);
}

/* The workers ask a server behind. */
static void check_library(const struct config *config, const struct identity *auth_user,
                          struct errors *errors)
{
    struct error why;
    if (privileges_try(auth_user, try_library, config, &why) < 0)
        errors_add_at(errors, &config->auth.place, "auth: %s", why.text);
}

/* It may be started after us; where we may not go, we never get in. */
static void check_saslauthd(const struct config *config, const struct identity *auth_user,
                            struct errors *errors)
{
    const struct auth_config *a = &config->auth;
    struct error why;
    check_library(config, auth_user, errors);
    if (privileges_try(auth_user, try_saslauthd, config, &why) == 0)
        return;
    if (strstr(why.text, strerror(EACCES)) != NULL)
        errors_add_at(errors, &a->place,
                      "auth.saslauthd: as user %s: %s; on Debian its folder is for the group sasl: "
                      "adduser %s sasl",
                      config->auth_user, why.text, config->auth_user);
    else
        errors_warn_at(errors, &a->place,
                       "auth.saslauthd: %s; nobody can log in until it answers. Is it running "
                       "(START=yes in /etc/default/saslauthd)?",
                       why.text);
}

/* The plugin's own look-ups are its own to try. */
static void check_auxprop(const struct config *config, const struct identity *auth_user,
                          struct errors *errors)
{
    const struct auth_config *a = &config->auth;
    struct error why;
    struct stat s;
    if (privileges_try(auth_user, try_library, config, &why) < 0)
        errors_add_at(errors, &a->place, "auth.options: as user %s: %s", config->auth_user,
                      why.text);
    if (a->options_file[0] != '\0' && stat(a->options_file, &s) == 0 && (s.st_mode & S_IROTH) != 0)
        errors_warn_at(errors, &a->place,
                       "auth.options_file: %s can be read by everybody, and is for secrets; "
                       "chown %s and chmod 600 it",
                       a->options_file, config->auth_user);
}

void sasl_prepare(const struct config *config, const struct identity *auth_user,
                  struct errors *errors)
{
    static void (*const checks[])(const struct config *, const struct identity *,
                                  struct errors *) = {[BACKEND_SASLDB] = check_sasldb,
                                                      [BACKEND_SASLAUTHD] = check_saslauthd,
                                                      [BACKEND_UPSTREAM] = check_library,

                                                      [BACKEND_AUXPROP] = check_auxprop};
    bool is_needed = false;
    for (size_t i = 0; i < config->listener_count; i++)
        is_needed = is_needed || config->listeners[i].role != ROLE_REFUSE;
    if (is_needed)
        checks[config->auth.backend](config, auth_user, errors);
}
