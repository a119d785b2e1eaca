#include "process/filter_socket.h"

#include "base/endpoint.h"
#include "filter/milter.h"
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

/* Returns 0, or -1 and why: there is no such group. */
static int find_group(const struct filter_config *c, const struct identity *user, gid_t *out,
                      struct error *why)
{
    *out = user == NULL ? getegid() : user->gid;
    if (c->group[0] == '\0')
        return 0;
    errno = 0;
    const struct group *g = getgrnam(c->group);
    if (g == NULL)
        return error_set(why, "filter.group: \"%s\" is no group here", c->group);
    *out = g->gr_gid;
    return 0;
}

/* Nobody else can connect to it: that needs the right to write. Whoever can write to its folder
 * may have put something else there meanwhile, which stays whose it is. */
static int hand_over(const char *path, const struct identity *user, gid_t group, struct error *why)
{
    struct stat s;
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    bool is_ours = fd >= 0 && fstat(fd, &s) == 0 && S_ISSOCK(s.st_mode) && s.st_uid == geteuid();
    uid_t to = user == NULL ? (uid_t)-1 : user->uid;
    int failed = 0;
    if (!is_ours)
        failed = error_set(why, "%s: is no socket of ours any more", path);
    else if (fchownat(fd, "", to, group, AT_EMPTY_PATH) < 0)
        failed = error_set(why, "%s: its group: %s; start it as root, or as a member", path,
                           strerror(errno));
    if (fd >= 0)
        (void)close(fd); /* nothing was written */
    return failed;
}

/* A socket that was left by one that is no more; anything else is none of ours. */
static int remove_old(const char *path, struct error *why)
{
    struct stat s;
    if (lstat(path, &s) < 0)
        return 0;
    if (!S_ISSOCK(s.st_mode))
        return error_set(why, "%s: is no socket, and stays", path);
    return unlink(path) < 0 ? error_set(why, "%s: %s", path, strerror(errno)) : 0;
}

/* Returns a listening descriptor, or -1 and why. */
static int listen_at(const char *path, struct error *why)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)span_copy(span_of(path), at.sun_path, sizeof at.sun_path); /* its length was checked */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof at) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    (void)error_set(why, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd); /* nothing was written */
    return -1;
}

static int open_service(const char *text, const struct endpoint *e, struct error *why)
{
    int fd;
    if (e->path != NULL)
        return remove_old(e->path, why) < 0 ? -1 : listen_at(e->path, why);
    fd = listener_bind(&e->to, why);
    return fd < 0 ? error_prefix(why, "%s", text) : fd;
}

/* `service`: NULL for libmilter's. */
static int open_one(const char *text, const struct identity *user, gid_t group, int *service,
                    struct error *why)
{
    struct endpoint e;
    if (text[0] == '\0')
        return 0;
    if (endpoint_parse(text, &e, why) < 0)
        return -1;
    mode_t before = umask(0117); /* its mode from the first moment: none is set by name */
    int failed =
        service == NULL ? milter_open(text, why) : (*service = open_service(text, &e, why)) < 0;
    (void)umask(before);
    return !failed && e.path != NULL ? hand_over(e.path, user, group, why) : -(failed != 0);
}

int filter_socket_open(const struct filter_config *c, const struct identity *user, int *service,
                       struct error *why)
{
    gid_t group;
    *service = -1;
    if (find_group(c, user, &group, why) < 0 || open_one(c->listen, user, group, NULL, why) < 0)
        return -1;
    return open_one(c->policy_service, user, group, service, why);
}
