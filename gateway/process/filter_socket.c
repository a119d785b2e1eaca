#include "process/filter_socket.h"

#include "base/endpoint.h"
#include "filter/milter.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* Nobody else can connect to it: that needs the right to write. */
static int hand_over(const char *path, const struct identity *user, gid_t group, struct error *why)
{
    if (chown(path, user == NULL ? (uid_t)-1 : user->uid, group) < 0)
        return error_set(why, "%s: its group: %s; start it as root, or as a member", path,
                         strerror(errno));
    if (chmod(path, 0660) < 0)
        return error_set(why, "%s: %s", path, strerror(errno));
    return 0;
}

int filter_socket_open(const struct filter_config *c, const struct identity *user,
                       struct error *why)
{
    struct endpoint e;
    gid_t group;
    if (find_group(c, user, &group, why) < 0)
        return -1;
    if (c->listen[0] == '\0')
        return 0;
    mode_t before = umask(0177); /* until it has its group */
    int failed = milter_open(c->listen, why);
    (void)umask(before);
    if (failed == 0)
        failed = endpoint_parse(c->listen, &e, why);
    if (failed == 0 && e.path != NULL)
        failed = hand_over(e.path, user, group, why);
    return failed;
}
