#include "process/prepare.h"

#include "auth/trusted.h"
#include "base/endpoint.h"
#include "base/file_watch.h"
#include "config/networks.h"
#include "process/certificates.h"
#include "process/helper.h"
#include "sasl/service.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void find_user(const struct prepared *p, const char *key, const char *name,
                      struct identity *out, struct errors *errors)
{
    const struct place at = config_place(p->config, key);
    struct error why;
    if (privileges_find_user(name, out, &why) < 0)
        errors_add_at(errors, &at, "%s: %s", key, why.text);
    else if (out->uid == 0)
        errors_add_at(errors, &at,
                      "%s: \"%s\" is root; the processes that meet strangers need a "
                      "user of their own",
                      key, name);
}

/* A password store may be for the members of a group, as saslauthd's socket is. */
static void find_auth_groups(struct prepared *p, struct errors *errors)
{
    const struct place at = config_place(p->config, "auth_user");
    struct error why;
    if (privileges_find_groups(p->config->auth_user, &p->auth_user, &why) < 0)
        errors_add_at(errors, &at, "auth_user: %s", why.text);
}

static void find_users(struct prepared *p, struct errors *errors)
{
    const struct config *c = p->config;
    const struct place at = config_place(c, "user");
    p->is_root = geteuid() == 0;
    p->user = p->auth_user = p->helper_user = (struct identity){.uid = geteuid(), .gid = getegid()};
    if (!p->is_root)
        return;
    size_t before = errors_count(errors);
    find_user(p, "user", c->user, &p->user, errors);
    find_user(p, "auth_user", c->auth_user, &p->auth_user, errors);
    find_user(p, "helper_user", c->helper_user, &p->helper_user, errors);
    if (errors_count(errors) > before)
        return;
    find_auth_groups(p, errors);
    if (p->user.uid == p->auth_user.uid || p->user.uid == p->helper_user.uid ||
        p->auth_user.uid == p->helper_user.uid)
        errors_add_at(errors, &at,
                      "user, auth_user, helper_user: they must be three users, or "
                      "nothing is kept apart");
    p->grants.refused[0] = p->user.uid;
    p->grants.refused[1] = p->auth_user.uid;
    p->grants.refused[2] = p->helper_user.uid;
    p->grants.refused_count = 3;
}

/* Folders are written to by the master. */
static void check_folder(const struct prepared *p, const char *key, const char *path,
                         struct errors *errors)
{
    const struct place at = config_place(p->config, key);
    struct stat s;
    if (stat(path, &s) < 0)
        errors_add_at(errors, &at, "%s: %s: %s; make it with: install -d -m 700 -o %s %s", key,
                      path, strerror(errno), p->config->user, path);
    else if (!S_ISDIR(s.st_mode))
        errors_add_at(errors, &at, "%s: %s is no folder", key, path);
    else if (access(path, W_OK) < 0)
        errors_add_at(errors, &at, "%s: %s: %s", key, path, strerror(errno));
    else if ((s.st_mode & S_IWOTH) != 0)
        errors_warn_at(errors, &at, "%s: everybody can write to %s; chmod 700 it", key, path);
}

static void check_log(const struct config *c, struct errors *errors)
{
    struct error why;
    int fd = open_log_target(&c->log, &why);
    if (fd < 0)
        errors_add_at(errors, &c->log.place, "log.target: %s", why.text);
    else
        (void)close(fd); /* nothing was written */
}

/* Two descriptors a session, and some. */
static void raise_descriptors(const struct config *c, struct errors *errors)
{
    const struct place at = config_place(c, "max_connections");
    rlim_t wanted = 2 * (rlim_t)c->max_connections + 1024;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return;
    struct rlimit raised = {wanted, limit.rlim_max < wanted ? wanted : limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < wanted)
        errors_warn_at(errors, &at,
                       "max_connections: %lld sessions need %llu descriptors, %llu are allowed; "
                       "raise LimitNOFILE",
                       (long long)c->max_connections, (unsigned long long)wanted,
                       (unsigned long long)limit.rlim_cur);
}

int open_log_target(const struct log_config *log, struct error *why)
{
    if (strcmp(log->target, "stderr") == 0)
        return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (strcmp(log->target, "syslog") == 0) {
        const struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof at) == 0)
            return fd;
        (void)error_set(why, "/dev/log: %s; is a syslog daemon running?", strerror(errno));
        if (fd >= 0)
            (void)close(fd); /* nothing was written */
        return -1;
    }
    int fd = open(log->target, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return error_set(why, "%s: %s", log->target, strerror(errno));
    return fd;
}

/* A configuration may be for porteiro-milter alone. */
static void check_listeners(const struct config *c, struct errors *errors)
{
    const struct place file = {c->file, 0};
    if (c->listener_count == 0 && errors_count(errors) == 0)
        errors_add_at(
            errors, &file,
            "nothing to do for porteirod: there are neither listeners nor upstreams named "
            "\"smtp\" or \"pop3\"; filter is porteiro-milter's");
}

/* With the configuration, for now; NULL where the file can't be read at all. */
static struct prepared *begin(const char *file, struct errors *errors)
{
    struct prepared *p = calloc(1, sizeof *p);
    if (p == NULL)
        abort(); /* out of memory at the start */
    p->config = config_load(file, errors);
    if (p->config == NULL) {
        free(p);
        return NULL;
    }
    return p;
}

struct prepared *prepare(const char *file, struct errors *errors)
{
    struct prepared *p = begin(file, errors);
    if (p == NULL)
        return NULL;
    check_listeners(p->config, errors);
    grants_prepare(p->config, &p->grants, errors);
    find_users(p, errors);
    check_folder(p, "state_dir", p->config->state_dir, errors);
    check_folder(p, "spool_dir", p->config->spool_dir, errors);
    check_log(p->config, errors);
    raise_descriptors(p->config, errors);
    secret_prepare(p->config, &p->secret, errors);
    p->tls_watch = certificates_watch(p->config);
    p->tls = tls_prepare(p->config, errors);
    p->accounts = accounts_prepare(p->config, errors);
    redis_passwords_prepare(p->config, &p->redis_passwords, errors);
    helper_prepare(p->config, p->is_root ? &p->helper_user : NULL, errors);
    p->list_watch = file_watch_create();
    p->watched = files_prepare(p->config, p->list_watch, errors);
    trusted_prepare(p->config, errors);
    sasl_prepare(p->config, p->is_root ? &p->auth_user : NULL, errors);
    if (errors_count(errors) > 0)
        prepared_destroy(&p);
    return p;
}

/* ---- porteiro-milter ---- */

static void find_filter_user(struct prepared *p, struct errors *errors)
{
    p->is_root = geteuid() == 0;
    p->user = (struct identity){.uid = geteuid(), .gid = getegid()};
    if (p->is_root)
        find_user(p, "user", p->config->user, &p->user, errors);
}

static int try_file(const void *path, struct error *why)
{
    return access(path, R_OK) < 0 ? error_set(why, "%s", strerror(errno)) : 0;
}

/* There is no master that could open anything for it later. */
static void try_as_user(const struct prepared *p, struct errors *errors)
{
    const struct config *c = p->config;
    const struct identity *who = p->is_root ? &p->user : NULL;
    struct error why;
    for (size_t i = 0; i < c->watched_count; i++)
        if (privileges_try(who, try_file, c->watched[i].path, &why) < 0)
            errors_add_at(errors, &c->watched[i].place,
                          "%s: %s: porteiro-milter reads it as user \"%s\": %s", c->watched[i].key,
                          c->watched[i].path, c->user, why.text);
}

/* One that is left unasked would let pass what it refuses. */
static void check_delegates(const struct policy *p, struct errors *errors)
{
    for (size_t i = 0; p != NULL && i < p->delegate_count; i++)
        if (p->delegates[i].enabled)
            errors_add_at(
                errors, &p->delegates[i].place,
                "policies.%s.delegate.%s: porteiro-milter asks no policy servers; name it "
                "in the MTA's check_policy_service, and give filter a policy without it",
                p->name, p->delegates[i].name);
}

static bool is_loopback(const struct address *a)
{
    char host[ADDRESS_TEXT_SIZE];
    struct network n;
    address_format_host(a, host);
    return network_parse(host, &n, NULL) == 0 && network_holds_loopback(&n);
}

/* Returns whether it is a unix socket. */
static bool check_door(const struct filter_config *f, const char *key, const char *address,
                       struct errors *errors)
{
    struct endpoint e;
    if (address[0] == '\0' || endpoint_parse(address, &e, NULL) < 0)
        return false;
    if (e.path == NULL)
        errors_warn_at(errors, &f->place,
                       "filter.%s: %s: %s is believed to speak for every account; a unix socket "
                       "is for group alone",
                       key, address,
                       is_loopback(&e.to) ? "every program of this machine"
                                          : "WHOEVER REACHES IT OVER THE NETWORK");
    return e.path != NULL;
}

static void check_doors(const struct filter_config *f, struct errors *errors)
{
    bool is_unix = check_door(f, "listen", f->listen, errors);
    is_unix = check_door(f, "policy_service", f->policy_service, errors) || is_unix;
    if (f->group[0] == '\0')
        return;
    if (!is_unix)
        errors_warn_at(errors, &f->place,
                       "filter.group: keeps nobody out: it is for unix sockets, and there is none");
    if (getgrnam(f->group) == NULL)
        errors_add_at(errors, &f->place, "filter.group: \"%s\" is no group here", f->group);
}

static void check_filter(const struct config *c, struct errors *errors)
{
    const struct place file = {c->file, 0};
    const struct filter_config *f = &c->filter;
    if (f->listen[0] == '\0' && f->policy_service[0] == '\0')
        errors_add_at(errors, f->place.file == NULL ? &file : &f->place,
                      "filter.listen: is missing; write filter = { listen = "
                      "\"unix:/run/porteiro/milter.sock\"  policy = \"outbound\" }");
    check_delegates(f->policy_rules, errors);
    check_doors(f, errors);
}

static void leave_gateway_out(struct config *c)
{
    c->listener_count = c->tls_count = c->upstream_count = c->notify_count = 0;
}

struct prepared *prepare_filter(const char *file, struct errors *errors)
{
    struct prepared *p = begin(file, errors);
    if (p == NULL)
        return NULL;
    check_filter(p->config, errors);
    leave_gateway_out(p->config);
    find_filter_user(p, errors);
    if (errors_count(errors) == 0)
        try_as_user(p, errors);
    check_folder(p, "state_dir", p->config->state_dir, errors);
    check_log(p->config, errors);
    secret_prepare(p->config, &p->secret, errors);
    p->tls_watch = file_watch_create();
    p->tls = tls_prepare(p->config, errors);
    p->accounts = accounts_prepare(p->config, errors);
    redis_passwords_prepare(p->config, &p->redis_passwords, errors);
    p->list_watch = file_watch_create();
    p->watched = files_prepare(p->config, p->list_watch, errors);
    if (errors_count(errors) > 0)
        prepared_destroy(&p);
    return p;
}

/* ---- both ---- */

void prepared_destroy(struct prepared **prepared)
{
    struct prepared *p = *prepared;
    if (p == NULL)
        return;
    secret_forget(&p->secret);
    tls_contexts_destroy(&p->tls);
    files_destroy(&p->watched, p->config->watched_count);
    file_watch_destroy(&p->tls_watch);
    file_watch_destroy(&p->list_watch);
    accounts_destroy(&p->accounts);
    redis_passwords_forget(&p->redis_passwords);
    config_free(&p->config);
    free(p);
    *prepared = NULL;
}
