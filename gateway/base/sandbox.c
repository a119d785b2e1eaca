/* Why one list for all, with a few grants, and not what was measured for each role: a measurement
 * knows the ways that the tests took, and whoever comes by another would be killed. What is on the
 * list without need can do nothing that reading and writing can't. */
#include "base/sandbox.h"

#ifdef PORTEIRO_ASAN

int sandbox_enter(unsigned grants, struct error *why)
{
    (void)grants, (void)why;
    return 0;
}

#else

#include "base/span.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define NO SCMP_ACT_ERRNO(EPERM)

/* With the descriptors that are there; memory; time; signals; what libc asks of ourselves. Those of
 * other machines than this one mean nothing here. */
static const char always[] =
    "read readv pread64 preadv write writev pwrite64 pwritev lseek _llseek ftruncate ftruncate64 "
    "fstat fstat64 fcntl fcntl64 dup dup2 dup3 close close_range pipe2 eventfd2 recvfrom recvmsg "
    "recvmmsg sendto sendmsg sendmmsg socketpair shutdown getsockopt setsockopt getsockname "
    "getpeername epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 poll ppoll select "
    "_newselect pselect6 timerfd_create timerfd_settime timerfd_gettime "
    "brk munmap mremap madvise memfd_create futex getrandom "
    "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time alarm setitimer "
    "rt_sigaction rt_sigprocmask rt_sigreturn sigreturn rt_sigpending sigaltstack restart_syscall "
    "exit exit_group getpid getppid gettid getuid geteuid getgid getegid getresuid getresgid "
    "getgroups sched_yield sched_getaffinity getcpu getrusage getrlimit ugetrlimit sysinfo uname "
    "membarrier set_robust_list rseq";

/* Whether there is a file, and of which kind. */
static const char looking[] = "stat stat64 lstat lstat64 statx access faccessat faccessat2 "
                              "readlink readlinkat getcwd statfs fstatfs";

struct sandbox {
    scmp_filter_ctx filter;
    unsigned grants;
    int failure; /* the first; 0: none */
};

static bool may(const struct sandbox *s, unsigned grants)
{
    return (s->grants & grants) != 0;
}

static void keep_failure(struct sandbox *s, int outcome)
{
    if (s->failure == 0 && outcome < 0)
        s->failure = -outcome;
}

/* Names with a space between them. */
static void rules(struct sandbox *s, uint32_t action, const char *names)
{
    struct span rest = span_of(names);
    while (rest.size > 0) {
        char name[32];
        (void)span_copy(span_split(&rest, ' '), name, sizeof name); /* fits */
        int call = seccomp_syscall_resolve_name(name);
        keep_failure(s, call == __NR_SCMP_ERROR ? -ENOSYS
                                                : seccomp_rule_add(s->filter, action, call, 0));
    }
}

/* Where the argument's bits that `mask` has are `value`. */
static void rule_where(struct sandbox *s, uint32_t action, int call, unsigned argument,
                       uint32_t mask, uint64_t value)
{
    const struct scmp_arg_cmp is = {argument, SCMP_CMP_MASKED_EQ, mask, value};
    keep_failure(s, seccomp_rule_add_array(s->filter, action, call, 1, &is));
}

/* No memory becomes code. */
static void add_memory(struct sandbox *s)
{
    static const int calls[] = {SCMP_SYS(mmap), SCMP_SYS(mmap2), SCMP_SYS(mprotect)};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        rule_where(s, SCMP_ACT_ALLOW, calls[i], 2, PROT_EXEC, 0);
}

/* What is open may be looked at; by its path with SANDBOX_READ alone. Libraries try, and go on when
 * it fails. */
static void add_files(struct sandbox *s)
{
    static const int stat_calls[] = {SCMP_SYS(newfstatat), SCMP_SYS(fstatat64)};
    static const uint32_t writing[] = {O_WRONLY, O_RDWR, O_CREAT, O_TRUNC};
    uint32_t all = 0, action = may(s, SANDBOX_READ) ? SCMP_ACT_ALLOW : NO;
    rules(s, action, looking);
    for (size_t i = 0; i < sizeof stat_calls / sizeof *stat_calls; i++) {
        rule_where(s, SCMP_ACT_ALLOW, stat_calls[i], 3, AT_EMPTY_PATH, AT_EMPTY_PATH);
        rule_where(s, action, stat_calls[i], 3, AT_EMPTY_PATH, 0);
    }
    for (size_t i = 0; i < sizeof writing / sizeof *writing; i++) {
        rule_where(s, NO, SCMP_SYS(open), 1, writing[i], writing[i]);
        rule_where(s, NO, SCMP_SYS(openat), 2, writing[i], writing[i]);
        all |= writing[i];
    }
    rule_where(s, action, SCMP_SYS(open), 1, all, 0);
    rule_where(s, action, SCMP_SYS(openat), 2, all, 0);
}

static void add_sockets(struct sandbox *s)
{
    static const struct {
        int family;
        unsigned grant;
    } families[] = {{AF_INET, SANDBOX_INTERNET},
                    {AF_INET6, SANDBOX_INTERNET},
                    {AF_UNIX, SANDBOX_UNIX},
                    {AF_NETLINK, 0}}; /* libc looks for addresses and users with the last two */
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        rule_where(s, may(s, families[i].grant) ? SCMP_ACT_ALLOW : NO, SCMP_SYS(socket), 0,
                   UINT32_MAX, (uint64_t)families[i].family);
    if (may(s, SANDBOX_INTERNET | SANDBOX_UNIX))
        rules(s, SCMP_ACT_ALLOW, "connect bind");
    if (may(s, SANDBOX_ACCEPT))
        rules(s, SCMP_ACT_ALLOW, "accept accept4");
}

/* Of calls that can do anything, what concerns ourselves. */
static void add_own(struct sandbox *s)
{
    static const uint32_t ioctls[] = {FIONREAD, FIONBIO, TCGETS};
    const struct scmp_arg_cmp asks[] = {{0, SCMP_CMP_EQ, 0, 0}, {2, SCMP_CMP_EQ, 0, 0}};
    for (size_t i = 0; i < sizeof ioctls / sizeof *ioctls; i++)
        rule_where(s, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, UINT32_MAX, ioctls[i]);
    rule_where(s, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 0, UINT32_MAX, PR_SET_NAME);
    rule_where(s, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 0, UINT32_MAX, (uint64_t)getpid()); /* abort */
    keep_failure(s, seccomp_rule_add_array(s->filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2,
                                           asks)); /* for our limits, and changes none */
}

int sandbox_enter(unsigned grants, struct error *why)
{
    struct sandbox s = {.filter = seccomp_init(SCMP_ACT_KILL_PROCESS), .grants = grants};
    if (s.filter == NULL)
        return error_set(why, "seccomp: out of memory");
    keep_failure(&s, seccomp_attr_set(s.filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
    keep_failure(&s, seccomp_attr_set(s.filter, SCMP_FLTATR_CTL_OPTIMIZE, 2)); /* a tree */
    rules(&s, SCMP_ACT_ALLOW, always);
    add_memory(&s);
    add_files(&s);
    add_sockets(&s);
    add_own(&s);
    if (s.failure == 0)
        keep_failure(&s, seccomp_load(s.filter));
    seccomp_release(s.filter);
    return s.failure == 0 ? 0 : error_set(why, "seccomp: %s", strerror(s.failure));
}

#endif
