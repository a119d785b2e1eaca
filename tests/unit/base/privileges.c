#include "base/privileges.h"

#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a child gives up is given up for good, so that each promise is kept in a child of its own,
 * which says by its exit whether it was. */
static void child_keeps(bool (*promise)(void))
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(promise() ? 0 : 1);
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Becomes nobody, in an empty root. */
static bool become_nobody(struct identity *nobody)
{
    struct error why;
    if (privileges_find_user("nobody", nobody, &why) < 0)
        return false;
    int root = privileges_open_empty_root(&why);
    return root >= 0 && privileges_drop(nobody, root, &why) == 0;
}

START_TEST(a_user_is_found_by_name)
{
    struct identity found;
    struct error why;
    const struct passwd *nobody = getpwnam("nobody");
    ck_assert_int_eq(privileges_find_user("nobody", &found, &why), 0);
    ck_assert_uint_eq(found.uid, nobody->pw_uid);
    ck_assert_uint_eq(found.gid, nobody->pw_gid);
}
END_TEST

START_TEST(a_user_that_does_not_exist_is_named_in_the_reason)
{
    struct identity found;
    struct error why = {.text = ""};
    ck_assert_int_eq(privileges_find_user("no-such-user-of-ours", &found, &why), -1);
    ck_assert_ptr_nonnull(strstr(why.text, "no-such-user-of-ours"));
}
END_TEST

START_TEST(the_empty_root_is_a_directory_without_a_name)
{
    struct error why;
    struct stat is;
    char path[200], link[64];
    int fd = privileges_open_empty_root(&why);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &is), 0);
    ck_assert(S_ISDIR(is.st_mode));
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd); /* fits */
    ssize_t size = readlink(link, path, sizeof path - 1);
    ck_assert_int_gt(size, 0);
    path[size] = '\0';
    ck_assert_ptr_nonnull(strstr(path, " (deleted)"));
    *strstr(path, " (deleted)") = '\0';
    ck_assert(stat(path, &is) < 0 && errno == ENOENT);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

static bool opens_nothing(void)
{
    struct identity nobody;
    return become_nobody(&nobody) && open("/etc/passwd", O_RDONLY) < 0 &&
           open("etc/passwd", O_RDONLY) < 0 && open("../etc/passwd", O_RDONLY) < 0 &&
           open("../../../etc/passwd", O_RDONLY) < 0 && open("/proc/self/exe", O_RDONLY) < 0;
}

START_TEST(nothing_can_be_opened_in_the_empty_root)
{
    child_keeps(opens_nothing);
}
END_TEST

static bool creates_nothing(void)
{
    struct identity nobody;
    return become_nobody(&nobody) && open("x", O_WRONLY | O_CREAT, 0600) < 0 &&
           open("/x", O_WRONLY | O_CREAT, 0600) < 0 && open(".", O_RDWR | O_TMPFILE, 0600) < 0 &&
           mkdir("x", 0700) < 0 && symlink("/", "x") < 0 && mkfifo("x", 0600) < 0;
}

START_TEST(nothing_can_be_created_in_the_empty_root)
{
    child_keeps(creates_nothing);
}
END_TEST

static bool creates_nothing_as_root(void)
{
    const struct identity root = {.uid = 0, .gid = 0};
    struct error why;
    int fd = privileges_open_empty_root(&why);
    return fd >= 0 && privileges_drop(&root, fd, &why) == 0 && open("/etc/passwd", O_RDONLY) < 0 &&
           open("x", O_WRONLY | O_CREAT, 0600) < 0 && mkdir("x", 0700) < 0;
}

START_TEST(not_even_root_finds_or_makes_anything_in_the_empty_root)
{
    child_keeps(creates_nothing_as_root);
}
END_TEST

static bool is_nobody(void)
{
    struct identity nobody;
    uid_t real, effective, saved;
    gid_t real_group, effective_group, saved_group;
    return become_nobody(&nobody) && getresuid(&real, &effective, &saved) == 0 &&
           getresgid(&real_group, &effective_group, &saved_group) == 0 && real == nobody.uid &&
           effective == nobody.uid && saved == nobody.uid && real_group == nobody.gid &&
           effective_group == nobody.gid && saved_group == nobody.gid;
}

START_TEST(every_id_is_the_new_one)
{
    child_keeps(is_nobody);
}
END_TEST

static bool has_no_groups(void)
{
    struct identity nobody;
    const gid_t groups[] = {1, 2, 3};
    return setgroups(3, groups) == 0 && become_nobody(&nobody) && getgroups(0, NULL) == 0;
}

START_TEST(no_other_groups_are_left)
{
    child_keeps(has_no_groups);
}
END_TEST

static bool stays_nobody(void)
{
    struct identity nobody;
    const gid_t root = 0;
    return become_nobody(&nobody) && setuid(0) < 0 && seteuid(0) < 0 && setresuid(0, 0, 0) < 0 &&
           setgid(0) < 0 && setegid(0) < 0 && setgroups(1, &root) < 0 && chroot("/") < 0;
}

START_TEST(root_can_not_be_taken_back)
{
    child_keeps(stays_nobody);
}
END_TEST

static bool keeps_its_root(void)
{
    struct identity nobody;
    struct error why;
    return privileges_find_user("nobody", &nobody, &why) == 0 &&
           privileges_drop(&nobody, -1, &why) == 0 && getuid() == nobody.uid &&
           access("/etc/passwd", R_OK) == 0;
}

START_TEST(without_a_new_root_the_old_one_stays)
{
    child_keeps(keeps_its_root);
}
END_TEST

/* Succeeds, fails or dies, as `what` says; tells who it was. */
static int try_it(const void *what, struct error *why)
{
    (void)error_set(why, "as uid %u", geteuid()); /* -1 always */
    if (strcmp(what, "die") == 0)
        _exit(0);
    return strcmp(what, "succeed") == 0 ? 0 : -1;
}

START_TEST(a_trial_tells_its_outcome_and_reason)
{
    struct error why, expected;
    (void)error_set(&expected, "as uid %u", geteuid()); /* -1 always */
    ck_assert_int_eq(privileges_try(NULL, try_it, "succeed", &why), 0);
    ck_assert_int_eq(privileges_try(NULL, try_it, "fail", &why), -1);
    ck_assert_str_eq(why.text, expected.text);
}
END_TEST

START_TEST(a_trial_that_dies_fails_with_a_reason)
{
    struct error why = {.text = ""};
    ck_assert_int_eq(privileges_try(NULL, try_it, "die", &why), -1);
    ck_assert_str_ne(why.text, "");
}
END_TEST

START_TEST(a_trial_leaves_neither_child_nor_descriptor)
{
    struct error why;
    int before = dup(STDIN_FILENO);
    ck_assert_int_eq(close(before), 0);
    ck_assert_int_eq(privileges_try(NULL, try_it, "succeed", &why), 0);
    ck_assert_int_eq(privileges_try(NULL, try_it, "die", &why), -1);
    int after = dup(STDIN_FILENO);
    ck_assert_int_eq(after, before);
    ck_assert_int_eq(close(after), 0);
    ck_assert(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}
END_TEST

START_TEST(a_trial_is_run_as_the_other_user_and_we_stay_root)
{
    struct identity nobody;
    struct error why, expected;
    ck_assert_int_eq(privileges_find_user("nobody", &nobody, &why), 0);
    (void)error_set(&expected, "as uid %u", nobody.uid); /* -1 always */
    ck_assert_int_eq(privileges_try(&nobody, try_it, "fail", &why), -1);
    ck_assert_str_eq(why.text, expected.text);
    ck_assert_uint_eq(geteuid(), 0);
}
END_TEST

static bool fails_with_a_reason(void)
{
    struct identity nobody, other;
    struct error why = {.text = ""};
    if (geteuid() == 0 && !become_nobody(&nobody))
        return false;
    other = (struct identity){.uid = geteuid() + 1, .gid = getegid() + 1};
    return privileges_drop(&other, -1, &why) == -1 && why.text[0] != '\0';
}

START_TEST(who_is_not_root_can_not_become_another)
{
    child_keeps(fails_with_a_reason);
}
END_TEST

static bool fails_in_a_bad_root(void)
{
    struct identity self = {.uid = geteuid(), .gid = getegid()};
    struct error why = {.text = ""};
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return file >= 0 && privileges_drop(&self, file, &why) == -1 && why.text[0] != '\0';
}

START_TEST(a_root_that_is_no_directory_is_refused_with_a_reason)
{
    child_keeps(fails_in_a_bad_root);
}
END_TEST

/* LeakSanitizer traces its own process. */
#ifdef PORTEIRO_ASAN
enum { IS_DUMPABLE = 1 };
#else
enum { IS_DUMPABLE = 0 };
#endif

static bool is_not_dumpable(void)
{
    struct error why;
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 && privileges_confine(&why) == 0 &&
           prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == IS_DUMPABLE;
}

START_TEST(a_confined_process_is_not_to_be_dumped)
{
    child_keeps(is_not_dumpable);
}
END_TEST

static bool has_no_new_privileges(void)
{
    struct error why;
    return privileges_confine(&why) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

START_TEST(a_confined_process_gets_no_new_privileges)
{
    child_keeps(has_no_new_privileges);
}
END_TEST

static bool may_gain_but_is_hidden(void)
{
    struct error why;
    struct rlimit core = {1, 1};
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 && privileges_hide(&why) == 0 &&
           prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == IS_DUMPABLE &&
           getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 &&
           prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0;
}

START_TEST(who_runs_commands_is_hidden_and_leaves_them_their_privileges)
{
    child_keeps(may_gain_but_is_hidden);
}
END_TEST

static bool has_no_core(void)
{
    struct error why;
    struct rlimit core = {1, 1};
    return privileges_confine(&why) == 0 && getrlimit(RLIMIT_CORE, &core) == 0 &&
           core.rlim_cur == 0 && core.rlim_max == 0;
}

START_TEST(a_confined_process_leaves_no_core)
{
    child_keeps(has_no_core);
}
END_TEST

static bool is_confined_as_nobody(void)
{
    struct identity nobody;
    struct error why;
    return become_nobody(&nobody) && privileges_confine(&why) == 0 &&
           prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

START_TEST(who_has_dropped_everything_can_still_be_confined)
{
    child_keeps(is_confined_as_nobody);
}
END_TEST

#define TEST_AS_ROOT(name) \
    geteuid() == 0 ? TEST(name) : (void)fprintf(stderr, "skipped, needs root: %s\n", #name)

SUITE(privileges)
{
    TEST(a_user_is_found_by_name);
    TEST(a_user_that_does_not_exist_is_named_in_the_reason);
    TEST(the_empty_root_is_a_directory_without_a_name);
    TEST_AS_ROOT(nothing_can_be_opened_in_the_empty_root);
    TEST_AS_ROOT(nothing_can_be_created_in_the_empty_root);
    TEST_AS_ROOT(not_even_root_finds_or_makes_anything_in_the_empty_root);
    TEST_AS_ROOT(every_id_is_the_new_one);
    TEST_AS_ROOT(no_other_groups_are_left);
    TEST_AS_ROOT(root_can_not_be_taken_back);
    TEST_AS_ROOT(without_a_new_root_the_old_one_stays);
    TEST(a_trial_tells_its_outcome_and_reason);
    TEST(a_trial_that_dies_fails_with_a_reason);
    TEST(a_trial_leaves_neither_child_nor_descriptor);
    TEST_AS_ROOT(a_trial_is_run_as_the_other_user_and_we_stay_root);
    TEST(who_is_not_root_can_not_become_another);
    TEST(a_root_that_is_no_directory_is_refused_with_a_reason);
    TEST(a_confined_process_is_not_to_be_dumped);
    TEST(a_confined_process_gets_no_new_privileges);
    TEST(a_confined_process_leaves_no_core);
    TEST(who_runs_commands_is_hidden_and_leaves_them_their_privileges);
    TEST_AS_ROOT(who_has_dropped_everything_can_still_be_confined);
}
