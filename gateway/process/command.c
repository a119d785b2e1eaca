#include "process/command.h"

#include "base/buffer.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS_MAX = 64, COMPLAINT_MAX = 512, DESCRIPTORS = 1024 };

/* An end of ours of one of its pipes. */
struct pipe_end {
    int fd; /* -1: closed */
    struct watch *watch;
};

struct command {
    struct loop *loop;
    command_fn *fn;
    void *owner;
    pid_t pid;
    struct pipe_end input, output, complaint, end; /* end: readable when the process has ended */
    struct buffer to_say, said;
    char complained[COMPLAINT_MAX]; /* the last octets of its standard error */
    size_t complained_size;
    struct timeout *timeout;
    struct error why; /* it was killed: for what */
    bool is_killed;
    struct deferred deferred;
};

/* ---- the child's first steps ---- */

/* Of the gateway's environment nothing: what lies in it is the gateway's. */
static void make_environment(char home[], size_t room, const char *environment[4])
{
    const struct passwd *user = getpwuid(geteuid());
    (void)snprintf(home, room, "HOME=%s", user == NULL ? "/" : user->pw_dir); /* cut to fit */
    environment[0] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    environment[1] = home;
    environment[2] = "LANG=C.UTF-8";
    environment[3] = NULL;
}

/* Ignored signals would stay ignored in the program. */
static void restore_signals(void)
{
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL); /* those that can't be changed are as they should be */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

_Noreturn static void be_command(const char *const words[], int input, int output, int complaint)
{
    const struct rlimit descriptors = {DESCRIPTORS, DESCRIPTORS};
    const char *environment[4];
    char home[256];
    (void)setpgid(0, 0);                             /* the parent says it too */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* with us it ends, else later by itself */
    make_environment(home, sizeof home, environment);
    restore_signals();
    if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(complaint, 2) < 0 ||
        close_range(3, ~0U, 0) < 0 || chdir("/") < 0)
        _exit(127);
    (void)umask(077);
    (void)setrlimit(RLIMIT_NOFILE, &descriptors); /* some close them one by one */
    (void)execve(words[0], (char *const *)(uintptr_t)words, (char *const *)(uintptr_t)environment);
    (void)dprintf(2, "%s\n", strerror(errno)); /* the reason */
    _exit(127);
}

/* ---- the end ---- */

static void close_end(struct pipe_end *e)
{
    watch_destroy(&e->watch);
    if (e->fd >= 0)
        (void)close(e->fd); /* what was written was taken, or is of no use */
    e->fd = -1;
}

static void free_command(void *owner)
{
    struct command *c = owner;
    buffer_clear(&c->to_say);
    buffer_clear(&c->said);
    free(c);
}

static void destroy(struct command *c)
{
    close_end(&c->input);
    close_end(&c->output);
    close_end(&c->complaint);
    close_end(&c->end);
    timeout_destroy(&c->timeout);
    loop_defer(c->loop, &c->deferred, free_command, c);
}

static void kill_group(struct command *c)
{
    (void)kill(-c->pid, SIGKILL); /* nobody may be left in it */
    (void)kill(c->pid, SIGKILL);  /* not reaped yet, so it is no other */
}

static void give_up(struct command *c, const char *why)
{
    if (!c->is_killed)
        (void)error_set(&c->why, "%s", why);
    c->is_killed = true;
    kill_group(c);
}

void command_stop(struct command **command)
{
    struct command *c = *command;
    if (c == NULL)
        return;
    kill_group(c);
    (void)waitpid(c->pid, NULL, 0); /* it is dead */
    destroy(c);
    *command = NULL;
}

static struct span last_complaint(const struct command *c)
{
    struct span text = span_trim(span_make(c->complained, c->complained_size)), line;
    while (text.size > 0 && text.data[text.size - 1] == '\n')
        text.size--;
    do
        line = span_split(&text, '\n');
    while (text.size > 0);
    return line;
}

/* "exit status 1: the last line that it has said". */
static void describe(struct command *c, int status, struct error *why)
{
    const struct span line = last_complaint(c);
    if (c->is_killed)
        *why = c->why;
    else if (WIFSIGNALED(status))
        (void)error_set(why, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        (void)error_set(why, "exit status %d%s%.*s", WEXITSTATUS(status),
                        line.size == 0 ? "" : ": ", (int)line.size, line.data);
}

/* ---- what it says ---- */

static void read_output(struct command *c)
{
    char some[4096];
    ssize_t got;
    while (c->output.fd >= 0 && (got = read(c->output.fd, some, sizeof some)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got < 0)
            break;
        if (buffer_append(&c->said, span_make(some, (size_t)got)) < 0) {
            give_up(c, "it says more than is read");
            break;
        }
    }
    explicit_bzero(some, sizeof some);
    close_end(&c->output);
}

static void read_complaint(struct command *c)
{
    ssize_t got;
    while (c->complaint.fd >= 0) {
        if (c->complained_size == sizeof c->complained) { /* the last ones count */
            c->complained_size /= 2;
            memmove(c->complained, c->complained + c->complained_size, c->complained_size);
        }
        got = read(c->complaint.fd, c->complained + c->complained_size,
                   sizeof c->complained - c->complained_size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0)
            close_end(&c->complaint);
        else
            c->complained_size += (size_t)got;
    }
}

static void on_output(void *owner, bool is_readable, bool is_writable)
{
    (void)is_readable, (void)is_writable;
    read_output(owner);
}

static void on_complaint(void *owner, bool is_readable, bool is_writable)
{
    (void)is_readable, (void)is_writable;
    read_complaint(owner);
}

/* What it doesn't take it doesn't want. */
static void on_input(void *owner, bool is_readable, bool is_writable)
{
    struct command *c = owner;
    struct span bytes = buffer_bytes(&c->to_say);
    (void)is_readable, (void)is_writable;
    ssize_t taken = write(c->input.fd, bytes.data, bytes.size);
    if (taken > 0)
        buffer_consume(&c->to_say, (size_t)taken);
    if (c->to_say.size == 0 || (taken < 0 && errno != EAGAIN && errno != EINTR))
        close_end(&c->input);
}

static void on_end(void *owner, bool is_readable, bool is_writable)
{
    struct command *c = owner;
    struct command_result result = {.is_good = false};
    struct error why;
    int status = 0;
    (void)is_readable, (void)is_writable;
    (void)kill(-c->pid, SIGKILL); /* what it leaves behind goes with it */
    if (waitpid(c->pid, &status, WNOHANG) != c->pid)
        return;
    read_output(c);
    read_complaint(c);
    result.is_good = !c->is_killed && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!result.is_good)
        describe(c, status, &why);
    result.output = result.is_good ? buffer_bytes(&c->said) : span_make("", 0);
    result.reason = result.is_good ? "" : why.text;
    result.complaint = last_complaint(c);
    destroy(c);
    c->fn(c->owner, &result);
}

static void on_timeout(void *owner)
{
    give_up(owner, "it takes too long");
}

/* ---- the start ---- */

/* Splits `line`, which is changed. Returns how many words there are, or 0: too many, or none. */
static size_t split(char *line, const char *words[WORDS_MAX + 1])
{
    size_t count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(line, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        if (count == WORDS_MAX)
            return 0;
        words[count++] = word;
    }
    words[count] = NULL;
    return count;
}

/* Both ends of its three pipes, ours not blocking. */
static int make_pipes(struct command *c, int theirs[3])
{
    struct pipe_end *const ours[3] = {&c->input, &c->output, &c->complaint};
    for (int i = 0; i < 3; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
            return -1;
        theirs[i] = ends[i == 0 ? 0 : 1];
        ours[i]->fd = ends[i == 0 ? 1 : 0];
        if (fcntl(ours[i]->fd, F_SETFL, O_NONBLOCK) < 0)
            return -1;
    }
    return 0;
}

static int watch_end(struct command *c, struct pipe_end *e, watch_fn *fn, bool is_input)
{
    e->watch = watch_create(c->loop, e->fd, fn, c);
    return e->watch == NULL ? -1 : watch_want(e->watch, !is_input, is_input);
}

static int watch_all(struct command *c)
{
    int failed = watch_end(c, &c->output, on_output, false);
    failed |= watch_end(c, &c->complaint, on_complaint, false);
    failed |= watch_end(c, &c->end, on_end, false);
    if (c->to_say.size > 0)
        failed |= watch_end(c, &c->input, on_input, true);
    else
        close_end(&c->input);
    c->timeout = timeout_create(c->loop, on_timeout, c);
    return failed || c->timeout == NULL ? -1 : 0;
}

static int start(struct command *c, const char *const words[], int theirs[3])
{
    if (make_pipes(c, theirs) < 0 || (c->pid = fork()) < 0)
        return -1;
    if (c->pid == 0)
        be_command(words, theirs[0], theirs[1], theirs[2]);
    (void)setpgid(c->pid, c->pid); /* whoever of the two is first */
    c->end.fd = pidfd_open(c->pid, 0);
    if (c->end.fd >= 0 && watch_all(c) == 0)
        return 0;
    kill_group(c);
    (void)waitpid(c->pid, NULL, 0); /* it is dead */
    return -1;
}

struct command *command_run(const struct command_options *options, command_fn *fn, void *owner,
                            struct error *why)
{
    const char *words[WORDS_MAX + 1];
    int theirs[3] = {-1, -1, -1};
    char *line = strdup(options->line);
    struct command *c = calloc(1, sizeof *c);
    int failed = -1;
    if (c != NULL) {
        *c = (struct command){.loop = options->loop,
                              .fn = fn,
                              .owner = owner,
                              .input.fd = -1,
                              .output.fd = -1,
                              .complaint.fd = -1,
                              .end.fd = -1,
                              .to_say.limit = options->input.size,
                              .said.limit = options->output_max};
        failed = line == NULL || buffer_append(&c->to_say, options->input) < 0;
    }
    if (failed)
        (void)error_set(why, "out of memory");
    else if ((failed = split(line, words) == 0))
        (void)error_set(why, "no command, or more than %d words", WORDS_MAX);
    else if ((failed = start(c, words, theirs) < 0))
        (void)error_set(why, "%s", strerror(errno));
    for (int i = 0; i < 3; i++)
        if (theirs[i] >= 0)
            (void)close(theirs[i]); /* the command's */
    free(line);
    if (failed && c != NULL) {
        destroy(c);
        return NULL;
    }
    if (c != NULL)
        timeout_set(c->timeout, loop_now(options->loop) + options->timeout_ns);
    return c;
}
