#include "server.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000, LOOK_MS = 10 };

void must(bool is_good, const char *what)
{
    if (is_good)
        return;
    fprintf(stderr, "bench-decision: %s\n", what);
    exit(EXIT_FAILURE);
}

/* Returns the socket, or -1: it doesn't listen yet. */
static int connect_to(const struct server *s)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    (void)snprintf(to.sun_path, sizeof to.sun_path, "%s/socket", s->folder); /* fits */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    must(fd >= 0, "no socket");
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    (void)close(fd); /* nothing was written */
    return -1;
}

static void dial(void *owner, size_t index)
{
    struct server *s = owner;
    redis_dialled(s->redis, index, connect_to(s));
}

void server_start(struct server *s)
{
    char socket_path[80];
    (void)snprintf(s->folder, sizeof s->folder, "/tmp/bench-decision-XXXXXX"); /* fits */
    must(mkdtemp(s->folder) != NULL, "no temporary folder");
    (void)snprintf(socket_path, sizeof socket_path, "%s/socket", s->folder); /* fits */
    s->pid = fork();
    must(s->pid >= 0, "no other process");
    if (s->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket_path,
                     "--save", "", "--dir", s->folder, "--logfile", "log", (char *)NULL);
        _exit(127);
    }
    for (int waited = 0, fd = -1; (fd = connect_to(s)) < 0; waited += LOOK_MS) {
        must(waited < PATIENCE_MS, "redis-server doesn't start");
        (void)usleep(LOOK_MS * 1000);
    }
}

static void at_turn_end(void *owner)
{
    struct server *s = owner;
    counters_flush(s->counters);
}

void server_connect(struct server *s)
{
    struct error why;
    s->loop = loop_create(&why);
    s->log = (struct event_log){log_create(-1, LOG_LEVEL_WARNING), false, ""};
    must((s->table = calloc(1, counter_table_size())) != NULL, "no memory");
    s->counters = counters_create(s->table);
    must(s->loop != NULL && s->log.lines != NULL && s->counters != NULL, "no loop");
    s->at = (struct redis_server){.text = "unix:socket", .is_unix = true};
    s->config = (struct redis_config){.username = "",
                                      .sentinel_username = "",
                                      .prefix = "porteiro",
                                      .timeout_ms = 2000,
                                      .gateways = 1,
                                      .on_failure = REDIS_FAILURE_TEMPFAIL,
                                      .servers = &s->at,
                                      .server_count = 1};
    s->redis = redis_create(&(struct redis_options){.loop = s->loop,
                                                    .config = &s->config,
                                                    .password = "",
                                                    .sentinel_password = "",
                                                    .log = &s->log,
                                                    .counters = s->counters,
                                                    .dial = dial,
                                                    .dial_owner = s});
    must(s->redis != NULL, "no memory");
    s->store = redis_store_create(s->redis, s->config.prefix);
    must(s->store != NULL, "no memory");
    loop_at_turn_end(s->loop, at_turn_end, s);
}

void server_disconnect(struct server *s)
{
    redis_destroy(&s->redis);
    redis_store_destroy(&s->store);
    loop_destroy(&s->loop);
    log_destroy(&s->log.lines);
    counters_destroy(&s->counters);
    free(s->table);
}

int64_t server_cpu_ns(const struct server *s)
{
    clockid_t clock;
    struct timespec t;
    must(clock_getcpuclockid(s->pid, &clock) == 0 && clock_gettime(clock, &t) == 0,
         "redis-server has ended");
    return t.tv_sec * CLOCK_SECOND + t.tv_nsec;
}

void server_stop(struct server *s)
{
    char path[80];
    (void)kill(s->pid, SIGKILL);
    (void)waitpid(s->pid, NULL, 0);
    static const char *const left[] = {"socket", "log", ""};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", s->folder, left[i]); /* fits */
        (void)remove(path);
    }
}
