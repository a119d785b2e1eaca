#include "base/sandbox.h"

#include "base/privileges.h"

#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef PORTEIRO_ASAN
enum { HAS_SANDBOX = 0 };
#else
enum { HAS_SANDBOX = 1 };
#endif

enum { WORKER = SANDBOX_INTERNET | SANDBOX_ACCEPT, AUTH = SANDBOX_READ };

/* Does it in a child with these grants. Returns the signal that ended it; or 0 when `does` has
 * returned true, and -1 when false. */
static int in_sandbox(unsigned grants, bool (*does)(void))
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        struct error why;
        _exit(privileges_confine(&why) < 0 || sandbox_enter(grants, &why) < 0 || !does());
    }
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) == 0 ? 0 : -1;
}

/* ---- what nobody may ---- */

static bool runs_a_program(void)
{
    return execl("/bin/true", "true", NULL) == 0;
}

static bool forks(void)
{
    return fork() >= 0;
}

static bool traces(void)
{
    return syscall(SYS_ptrace, 16, getppid(), 0, 0) == 0;
}

static bool reads_another_process(void)
{
    return syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0) == 0;
}

static bool kills_another(void)
{
    return kill(getppid(), 0) == 0;
}

static bool signals_another_thread(void)
{
    return syscall(SYS_tgkill, getppid(), getppid(), 0) == 0;
}

static bool makes_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
           MAP_FAILED;
}

static bool turns_memory_into_code(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(at, 4096, PROT_READ | PROT_EXEC) == 0;
}

static bool loads_bpf(void)
{
    return syscall(SYS_bpf, 0, NULL, 0) == 0;
}

static bool takes_keys(void)
{
    return syscall(SYS_keyctl, 0, 0) == 0;
}

static bool makes_a_ring(void)
{
    return syscall(SYS_io_uring_setup, 1, NULL) == 0;
}

static bool makes_namespaces(void)
{
    return syscall(SYS_unshare, 0) == 0;
}

static bool handles_faults(void)
{
    return syscall(SYS_userfaultfd, 0) == 0;
}

static bool measures(void)
{
    return syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0) == 0;
}

static bool changes_its_user(void)
{
    return setuid(getuid()) == 0;
}

static bool changes_its_root(void)
{
    return chroot(".") == 0;
}

static bool removes_a_file(void)
{
    return unlink("/nothing/here") == 0;
}

static bool becomes_dumpable(void)
{
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}

static bool raises_a_limit(void)
{
    const struct rlimit none = {0, 0};
    return setrlimit(RLIMIT_CORE, &none) == 0;
}

static bool types_into_the_terminal(void)
{
    return ioctl(0, TIOCSTI, "x") == 0;
}

static bool opens_a_raw_socket(void)
{
    return socket(AF_PACKET, SOCK_RAW, 0) >= 0;
}

static bool listens(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd >= 0 && listen(fd, 1) == 0;
}

static bool (*const forbidden[])(void) = {
    runs_a_program,
    forks,
    traces,
    reads_another_process,
    kills_another,
    signals_another_thread,
    makes_code,
    turns_memory_into_code,
    loads_bpf,
    takes_keys,
    makes_a_ring,
    makes_namespaces,
    handles_faults,
    measures,
    changes_its_user,
    changes_its_root,
    removes_a_file,
    becomes_dumpable,
    raises_a_limit,
    types_into_the_terminal,
    opens_a_raw_socket,
    listens,
};

START_TEST(what_nobody_may_is_the_end)
{
    ck_assert_int_eq(in_sandbox(WORKER | AUTH | SANDBOX_UNIX, forbidden[_i]), SIGSYS);
}
END_TEST

/* ---- what is granted ---- */

static bool accepts(void)
{
    return accept4(-1, NULL, NULL, 0) < 0 && errno == EBADF;
}

static bool connects(void)
{
    return connect(-1, NULL, 0) < 0 && errno == EBADF;
}

START_TEST(what_is_not_granted_is_the_end)
{
    ck_assert_int_eq(in_sandbox(AUTH, accepts), SIGSYS);
    ck_assert_int_eq(in_sandbox(AUTH, connects), SIGSYS);
    ck_assert_int_eq(in_sandbox(WORKER, accepts), 0);
    ck_assert_int_eq(in_sandbox(WORKER, connects), 0);
    ck_assert_int_eq(in_sandbox(SANDBOX_UNIX, connects), 0);
}
END_TEST

static bool opens_a_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0;
}

static bool opens_v4(void)
{
    return opens_a_socket(AF_INET);
}

static bool opens_v6(void)
{
    return opens_a_socket(AF_INET6) || errno == EAFNOSUPPORT;
}

static bool opens_unix(void)
{
    return opens_a_socket(AF_UNIX);
}

static bool opens_no_unix(void)
{
    return !opens_a_socket(AF_UNIX) && errno == EPERM;
}

static bool opens_no_netlink(void)
{
    return !opens_a_socket(AF_NETLINK) && errno == EPERM;
}

START_TEST(sockets_are_of_the_granted_families)
{
    ck_assert_int_eq(in_sandbox(WORKER, opens_v4), 0);
    ck_assert_int_eq(in_sandbox(WORKER, opens_v6), 0);
    ck_assert_int_eq(in_sandbox(WORKER, opens_no_unix), 0);
    ck_assert_int_eq(in_sandbox(SANDBOX_UNIX, opens_unix), 0);
    ck_assert_int_eq(in_sandbox(WORKER | SANDBOX_UNIX, opens_no_netlink), 0);
}
END_TEST

static bool reads_a_file(void)
{
    struct stat s;
    char byte;
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, &byte, 1) == 1 && stat("/proc/self/status", &s) == 0 &&
           access("/proc/self/status", R_OK) == 0;
}

static bool is_refused_to_write(void)
{
    static const int ways[] = {O_WRONLY, O_RDWR, O_RDONLY | O_CREAT, O_RDONLY | O_TRUNC,
                               O_RDWR | O_TMPFILE};
    bool is_refused = true;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        is_refused =
            is_refused && open("/dev/null", ways[i] | O_CLOEXEC, 0600) < 0 && errno == EPERM;
    return is_refused;
}

static bool is_refused_to_read(void)
{
    struct stat s;
    return open("/dev/null", O_RDONLY | O_CLOEXEC) < 0 && errno == EPERM &&
           stat("/dev/null", &s) < 0 && errno == EPERM && access("/dev/null", R_OK) < 0 &&
           errno == EPERM && is_refused_to_write();
}

/* Libraries try, and must be able to go on. */
START_TEST(files_are_read_by_who_may_and_written_by_nobody)
{
    ck_assert_int_eq(in_sandbox(AUTH, reads_a_file), 0);
    ck_assert_int_eq(in_sandbox(AUTH, is_refused_to_write), 0);
    ck_assert_int_eq(in_sandbox(WORKER | SANDBOX_UNIX, is_refused_to_read), 0);
}
END_TEST

/* ---- what everybody may ---- */

static bool uses_descriptors(void)
{
    int ends[2], again;
    char byte = 'x';
    struct stat s;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    struct epoll_event event = {.events = EPOLLIN};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return false;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct pollfd polled = {.fd = ends[1], .events = POLLIN};
    return fstat(ends[0], &s) == 0 && sendmsg(ends[0], &message, 0) == 1 &&
           epoll_ctl(epoll, EPOLL_CTL_ADD, ends[1], &event) == 0 &&
           epoll_wait(epoll, &event, 1, 1000) == 1 && poll(&polled, 1, 1000) == 1 &&
           recvmsg(ends[1], &message, 0) == 1 && ioctl(ends[1], FIONREAD, &again) == 0 &&
           (again = fcntl(ends[1], F_DUPFD_CLOEXEC, 0)) >= 0 && close(again) == 0 &&
           eventfd(0, EFD_CLOEXEC) >= 0 && shutdown(ends[0], SHUT_WR) == 0;
}

static bool uses_memory(void)
{
    char *large = malloc(64 << 20), *grown = large == NULL ? NULL : realloc(large, 96 << 20);
    if (grown == NULL)
        return false;
    memset(grown, 1, 96 << 20);
    free(grown);
    for (size_t size = 1; size < 1 << 20; size *= 2) {
        char *small = malloc(size);
        if (small == NULL)
            return false;
        free(small);
    }
    return true;
}

static bool knows_time_and_itself(void)
{
    struct timespec now, soon = {.tv_nsec = 1000};
    struct rlimit limit;
    char random[16];
    time_t wall = time(NULL);
    struct tm local;
    return clock_gettime(CLOCK_MONOTONIC, &now) == 0 && nanosleep(&soon, NULL) == 0 &&
           localtime_r(&wall, &local) != NULL && getrandom(random, sizeof random, 0) > 0 &&
           getrlimit(RLIMIT_NOFILE, &limit) == 0 && sysconf(_SC_PHYS_PAGES) > 0 && getpid() > 0 &&
           prctl(PR_SET_NAME, "name", 0, 0, 0) == 0;
}

START_TEST(everybody_may_use_what_is_open_memory_and_time)
{
    ck_assert_int_eq(in_sandbox(0, uses_descriptors), 0);
    ck_assert_int_eq(in_sandbox(0, uses_memory), 0);
    ck_assert_int_eq(in_sandbox(0, knows_time_and_itself), 0);
}
END_TEST

static bool aborts(void)
{
    abort();
}

static bool exits(void)
{
    exit(EXIT_SUCCESS);
}

/* A broken invariant is told from a forbidden call. */
START_TEST(everybody_may_end_as_he_likes)
{
    ck_assert_int_eq(in_sandbox(0, aborts), SIGABRT);
    ck_assert_int_eq(in_sandbox(0, exits), 0);
}
END_TEST

static bool is_filtered(void)
{
    char text[4096] = "";
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, text, sizeof text - 1) > 0 && strstr(text, "Seccomp:\t2\n") != NULL;
}

START_TEST(the_kernel_says_so)
{
    ck_assert_int_eq(in_sandbox(SANDBOX_READ, is_filtered), HAS_SANDBOX ? 0 : -1);
}
END_TEST

SUITE(sandbox)
{
    TEST(the_kernel_says_so);
    TEST(everybody_may_use_what_is_open_memory_and_time);
    TEST(everybody_may_end_as_he_likes);
    if (!HAS_SANDBOX)
        return;
    LOOP_TEST(what_nobody_may_is_the_end, forbidden);
    TEST(what_is_not_granted_is_the_end);
    TEST(sockets_are_of_the_granted_families);
    TEST(files_are_read_by_who_may_and_written_by_nobody);
}
