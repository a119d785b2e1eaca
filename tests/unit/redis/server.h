/* A real redis-server on loopback, in the test's folder, and the worker's side of it.
 *
 * A suite calls folder_use(tests); a test calls server_start, and server_end at its end. A server
 * ends with the test's process, whatever becomes of it. */
#pragma once

#include "redis/redis.h"

#include "config/folder.h"
#include "net/peer.h"
#include "net/turns.h"
#include "telemetry/logged.h"
#include "telemetry/mapping.h"

#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>

static struct {
    pid_t pid;
    int port;
    struct redis_server server;
    struct redis_config config;
    struct redis_options options;
    struct event_log log;
    int log_ends[2];
    struct counter_table *table;
    struct logged logged;
    struct redis *redis;
    unsigned dials;
} behind;

/* A port below those that the kernel gives to outgoing connections, and that no other test on this
 * machine is given: a hundred belongs to who has the abstract socket of its name, until he ends.
 * The end-to-end tests share these names. */
static inline int server_free_port(void)
{
    static int next, end;
    enum { FIRST = 10300, HUNDREDS = 217 };
    for (int i = 0; next == end && i < HUNDREDS; i++) {
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        int first = FIRST + (getpid() + i) % HUNDREDS * 100;
        int size = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "porteiro-test-ports-%d",
                            first); /* fits */
        int claim = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(claim, (const struct sockaddr *)&name,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)size)) == 0) {
            next = first;
            end = first + 100;
        } else {
            ck_assert_int_eq(close(claim), 0);
        }
    }
    ck_assert_int_lt(next, end);
    return next++;
}

/* Who may do what the manual says is needed. */
#define SERVER_USER                                                                           \
    "user porteiro on >secret ~{porteiro}:* +ping +eval +evalsha +time +get +set +del +zadd " \
    "+zrem +zcard +zscore +zrange +zremrangebyscore +pexpireat +pfadd +pfcount +hmget +hincrby"

static inline bool server_listens(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_there = connect(fd, (const struct sockaddr *)&at, sizeof at) == 0;
    ck_assert_int_eq(close(fd), 0);
    return is_there;
}

/* Runs a program of Redis with a file of this text; waits until it listens at the port. */
static inline pid_t server_fork(const char *program, int port, const char *text)
{
    char name[40];
    (void)snprintf(name, sizeof name, "redis-%d.conf", port); /* fits */
    folder_write(name, text);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execlp(program, program, folder_path(name), (char *)NULL);
        _exit(127);
    }
    UNTIL(server_listens(port));
    return pid;
}

static inline void server_end_pid(pid_t *pid)
{
    if (*pid <= 0)
        return;
    ck_assert_int_eq(kill(*pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(*pid, NULL, 0), *pid);
    *pid = 0;
}

/* Runs it with one more line of configuration, and waits until it listens. */
static inline void server_run(const char *setting)
{
    char config_text[1000];
    (void)snprintf(config_text, sizeof config_text,
                   "bind 127.0.0.1\nport %d\nunixsocket %s/redis.sock\nsave \"\"\ndir %s\n"
                   "logfile %s/redis.log\n%s\n",
                   behind.port, folder, folder, folder, setting); /* fits */
    behind.pid = server_fork("redis-server", behind.port, config_text);
}

static inline void server_kill(void)
{
    server_end_pid(&behind.pid);
}

/* A worker has no path; its master, here, connects. */
static inline void server_dial(void *owner, size_t index)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)owner;
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s/redis.sock", folder); /* fits */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool is_there = connect(fd, (const struct sockaddr *)&at, sizeof at) == 0;
    if (!is_there)
        ck_assert_int_eq(close(fd), 0);
    behind.dials++;
    redis_dialled(behind.redis, index, is_there ? fd : -1);
}

/* What a worker has, for a server at the port. */
static inline void server_options(void)
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, behind.log_ends), 0);
    behind.log.lines = log_create(behind.log_ends[0], LOG_LEVEL_DEBUG);
    behind.log.process = "";
    behind.table = mapping_make(counter_table_size());
    behind.server = (struct redis_server){.text = "redis.example"};
    ck_assert_int_eq(address_make("127.0.0.1", (uint16_t)behind.port, &behind.server.to), 0);
    behind.config = (struct redis_config){.username = "",
                                          .sentinel_username = "",
                                          .prefix = "porteiro",
                                          .timeout_ms = 2000,
                                          .servers = &behind.server,
                                          .server_count = 1};
    behind.options = (struct redis_options){.loop = turns.loop,
                                            .config = &behind.config,
                                            .password = "",
                                            .sentinel_password = "",
                                            .log = &behind.log,
                                            .counters = counters_create(behind.table),
                                            .dial = server_dial};
    ck_assert_ptr_nonnull(behind.options.counters);
}

static inline void server_start(const char *setting)
{
    turns_begin();
    behind.port = server_free_port();
    server_run(setting);
    server_options();
}

static inline void redis_open(void)
{
    behind.redis = redis_create(&behind.options);
    ck_assert_ptr_nonnull(behind.redis);
}

static inline void server_end(void)
{
    redis_destroy(&behind.redis);
    server_kill();
    turns_end();
    log_destroy(&behind.log.lines);
    counters_destroy(&behind.options.counters);
    (void)close(behind.log_ends[0]); /* what was told was told */
    (void)close(behind.log_ends[1]);
}

/* What redis-cli prints for a command to the one at the port. */
__attribute__((format(printf, 2, 3))) static inline const char *redis_cli_at(int port,
                                                                             const char *format,
                                                                             ...)
{
    static char out[4096];
    char command[1000], all[1200];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(command, sizeof command, format, arguments); /* fits */
    va_end(arguments);
    (void)snprintf(all, sizeof all, "redis-cli -p %d %s", port, command); /* fits */
    FILE *stream = popen(all, "re");
    ck_assert_ptr_nonnull(stream);
    out[fread(out, 1, sizeof out - 1, stream)] = '\0';
    ck_assert_int_eq(pclose(stream), 0);
    return out;
}

#define redis_cli(...) redis_cli_at(behind.port, __VA_ARGS__)

/* How many lines so far have this in them. */
static inline unsigned lines_with(const char *part)
{
    return logged_with(&behind.logged, behind.log.lines, behind.log_ends[1], part);
}
