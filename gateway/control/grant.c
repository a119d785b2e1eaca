#include "control/grant.h"

#include <errno.h>
#include <grp.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PEER_GROUPS_MAX = 1024 };

void grants_prepare(const struct config *config, struct grants *out, struct errors *errors)
{
    *out = (struct grants){.owner = geteuid()};
    for (size_t i = 0; i < config->control_group_count; i++) {
        const struct control_group_config *c = &config->control_groups[i];
        const struct group *found = getgrnam(c->group);
        if (found == NULL) {
            errors_add_at(errors, &c->place,
                          "control_groups: group \"%s\" does not exist; make it with: groupadd %s",
                          c->group, c->group);
        } else if (out->count == GRANTS_MAX) {
            errors_add_at(errors, &c->place, "control_groups: more than %d groups", GRANTS_MAX);
        } else {
            out->of_group[out->count].group = found->gr_gid;
            out->of_group[out->count++].role = (enum control_role)c->role;
        }
    }
}

static void raise_by_group(const struct grants *g, gid_t group, int *best)
{
    for (size_t i = 0; i < g->count; i++)
        if (g->of_group[i].group == group && (int)g->of_group[i].role > *best)
            *best = (int)g->of_group[i].role;
}

int grants_of_peer(const struct grants *g, int fd, enum control_role *role, uid_t *uid)
{
    struct ucred peer;
    gid_t groups[PEER_GROUPS_MAX];
    socklen_t size = sizeof peer, groups_size = sizeof groups;
    int best = -1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -1;
    *uid = peer.uid;
    for (size_t i = 0; i < g->refused_count; i++)
        if (peer.uid == g->refused[i] && peer.uid != g->owner)
            return -1;
    if (peer.uid == 0 || peer.uid == g->owner) {
        *role = CONTROL_ADMIN;
        return 0;
    }
    raise_by_group(g, peer.gid, &best);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &groups_size) == 0)
        for (size_t i = 0; i < groups_size / sizeof *groups; i++)
            raise_by_group(g, groups[i], &best);
    if (best < 0)
        return -1;
    *role = (enum control_role)best;
    return 0;
}
