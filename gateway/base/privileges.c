#include "base/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int privileges_find_user(const char *name, struct identity *out, struct error *why)
{
    errno = 0;
    const struct passwd *user = getpwnam(name);
    if (user == NULL)
        return error_set(why,
                         "user \"%s\": %s; make it with: useradd -r -U -s /usr/sbin/nologin %s",
                         name, errno == 0 ? "does not exist" : strerror(errno), name);
    *out = (struct identity){.uid = user->pw_uid, .gid = user->pw_gid};
    return 0;
}

int privileges_find_groups(const char *name, struct identity *out, struct error *why)
{
    gid_t all[IDENTITY_GROUPS_MAX];
    int count = IDENTITY_GROUPS_MAX;
    if (getgrouplist(name, out->gid, all, &count) < 0)
        return error_set(why, "user \"%s\" is in more than %d groups", name, IDENTITY_GROUPS_MAX);
    out->group_count = 0;
    for (int i = 0; i < count; i++)
        if (all[i] != out->gid)
            out->groups[out->group_count++] = all[i];
    return 0;
}

int privileges_open_empty_root(struct error *why)
{
    char path[] = "/tmp/porteiro-root.XXXXXX";
    if (mkdtemp(path) == NULL)
        return error_set(why, "%s: %s", path, strerror(errno));
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        (void)error_set(why, "%s: %s", path, strerror(errno));
    if (rmdir(path) < 0 && fd >= 0) {
        (void)error_set(why, "%s: %s", path, strerror(errno));
        (void)close(fd); /* only a path */
        return -1;
    }
    return fd;
}

int privileges_drop(const struct identity *who, int root_fd, struct error *why)
{
    if (root_fd >= 0 && (fchdir(root_fd) < 0 || chroot(".") < 0))
        return error_set(why, "empty root: %s", strerror(errno));
    if (root_fd >= 0)
        (void)close(root_fd); /* only a path */
    if (setgroups(who->group_count, who->groups) < 0 ||
        setresgid(who->gid, who->gid, who->gid) < 0 || setresuid(who->uid, who->uid, who->uid) < 0)
        return error_set(why, "becoming uid %u, gid %u: %s", who->uid, who->gid, strerror(errno));
    if (who->uid != 0 && setuid(0) == 0)
        return error_set(why, "root could be taken back");
    return 0;
}

/* The child's part: says 0 or 1 and the reason into the pipe. */
static void try_as(const struct identity *who, int (*try)(const void *what, struct error *why),
                   const void *what, int out)
{
    struct error why = {.text = ""};
    int failed = who != NULL && privileges_drop(who, -1, &why) < 0;
    failed = failed || try(what, &why) < 0;
    char answer[sizeof why + 1] = {failed ? '1' : '0'};
    memcpy(answer + 1, why.text, sizeof why.text);
    (void)!write(out, answer, sizeof answer); /* else the parent reads nothing, and says so */
}

int privileges_try(const struct identity *who, int (*try)(const void *what, struct error *why),
                   const void *what, struct error *why)
{
    int ends[2];
    char answer[sizeof *why + 1];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(why, "pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child == 0) {
        try_as(who, try, what, ends[1]);
        _exit(0);
    }
    (void)close(ends[1]); /* the child's end */
    ssize_t got = -1;
    while (child > 0 && (got = read(ends[0], answer, sizeof answer)) < 0 && errno == EINTR)
        continue;
    (void)close(ends[0]); /* was only read */
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
    if (got != (ssize_t)sizeof answer)
        return error_set(why, "a child process could not try it");
    (void)error_set(why, "%s", answer + 1);
    return answer[0] == '0' ? 0 : -1;
}

int privileges_confine(struct error *why)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set(why, "no_new_privs: %s", strerror(errno));
    return privileges_hide(why);
}

int privileges_hide(struct error *why)
{
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) < 0)
        return error_set(why, "RLIMIT_CORE: %s", strerror(errno));
#ifndef PORTEIRO_ASAN /* LeakSanitizer traces its own process */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return error_set(why, "not dumpable: %s", strerror(errno));
#endif
    return 0;
}
