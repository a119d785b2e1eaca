/* What a gateway has in several processes, one has here: a table of counters and bans of its own,
 * the log's writer, the link to Redis. Started by root it becomes `user` once its sockets and its
 * log are open. It has no sandbox: libmilter makes threads, and files are opened again. */
#include "process/filter.h"

#include "base/clock.h"
#include "control/log_writer.h"
#include "decision/exchange.h"
#include "filter/milter.h"
#include "filter/policy_service.h"
#include "net/hkdf.h"
#include "process/dial.h"
#include "process/filter_files.h"
#include "process/filter_socket.h"
#include "process/notify.h"
#include "process/rules.h"
#include "process/state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICK_NS     CLOCK_SECOND
#define PATIENCE_NS (5 * CLOCK_SECOND) /* beside that of Redis */
#define STATE_DIR   "."                /* see enter_state_dir */

enum { ENDED_WELL = 1, ENDED_BADLY }; /* of libmilter */

struct process {
    struct prepared *prepared;
    const struct config *config;
    struct loop *loop;
    struct mapping mapping;
    size_t slot;
    int log_pair[2]; /* the reader's end, and ours */
    struct log *lines;
    struct log_writer *writer;
    struct event_log log;
    struct counters *counters;
    struct limits *limits;
    struct state state;
    struct redis *redis; /* NULL: none is configured */
    struct redis_store *store;
    struct exchange *bans, *set_limits;
    struct filter filter;
    struct desk *desk;
    int service_fd; /* -1: there is none */
    struct policy_service *service;
    struct timeout *tick, *flush;
    bool is_stopping, is_failed;
    int64_t until_ns; /* when it ends whatever is under way */
    struct watch *lost;
    int lost_bell; /* rung when libmilter has ended by itself */
};

/* ---- the log ---- */

static void on_turn_end(void *owner)
{
    struct process *p = owner;
    unsigned dropped = log_take_dropped(p->lines);
    counter_add(p->counters, COUNTER_log_lines_dropped, 0, dropped);
    counters_flush(p->counters);
    int64_t due_ns = log_turn(p->lines, loop_now(p->loop));
    if (due_ns != INT64_MAX)
        timeout_set(p->flush, due_ns); /* costs nothing when it is set already */
}

/* The turn that it begins has an end. */
static void on_flush(void *owner)
{
    (void)owner;
}

/* Returns whether it is open; else the old one stays. */
static bool open_log(struct process *p)
{
    struct error why;
    int fd = open_log_target(&p->config->log, &why);
    if (fd >= 0)
        log_writer_set_target(p->writer, fd);
    else
        fprintf(stderr, "porteiro-milter: log.target: %s\n", why.text);
    return fd >= 0;
}

static void on_log_lost(void *owner)
{
    (void)open_log(owner); /* it is tried again */
}

static int begin_log(struct process *p, struct error *why)
{
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p->log_pair) < 0)
        return error_set(why, "socketpair: %s", strerror(errno));
    p->lines = log_create(p->log_pair[1], (enum log_level)p->config->log.level);
    p->counters = counters_create(p->mapping.counters);
    p->log = (struct event_log){.lines = p->lines,
                                .is_json = p->config->log.format == LOG_FORMAT_JSON,
                                .process = "milter"};
    const struct log_writer_options options = {.loop = p->loop,
                                               .config = &p->config->log,
                                               .counters = p->counters,
                                               .log = &p->log,
                                               .on_lost = on_log_lost,
                                               .owner = p};
    p->writer = log_writer_create(&options);
    p->flush = timeout_create(p->loop, on_flush, p);
    if (p->lines == NULL || p->counters == NULL || p->writer == NULL || p->flush == NULL)
        abort();       /* out of memory at the start */
    (void)open_log(p); /* it has said so: without one it serves */
    log_writer_add(p->writer, p->log_pair[0]);
    loop_at_turn_end(p->loop, on_turn_end, p);
    return 0;
}

static void end_log(struct process *p)
{
    log_flush(p->lines);
    log_writer_destroy(&p->writer); /* writes what has come */
}

/* ---- what is kept ---- */

/* The folder is the user's, who may not be able to go where it is: so it is gone to before. A link
 * that somebody has put there isn't followed. */
static int enter_state_dir(const struct process *p, struct error *why)
{
    const struct identity *user = &p->prepared->user;
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/milter", p->config->state_dir); /* cut: mkdir says so */
    int failed = mkdir(path, 0700) < 0 && errno != EEXIST;
    int fd = failed ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    failed =
        fd < 0 || (p->prepared->is_root && fchown(fd, user->uid, user->gid) < 0) || fchdir(fd) < 0;
    if (failed)
        (void)error_set(why, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd); /* we are there */
    return failed ? -1 : 0;
}

static int begin_counting(struct process *p, struct error *why)
{
    const struct process_row row = {.pid = getpid(), .role = PROCESS_WORKER, .generation = 1};
    struct mapping *map = &p->mapping;
    p->slot = (size_t)process_claim(map->processes, &row); /* the first */
    p->limits = limits_create(map, p->slot, &p->log);
    p->state = (struct state){.mapping = map, .log = &p->log, .process = p->slot};
    hkdf_derive(secret_bytes(&p->prepared->secret), "porteiro guessing", map->guessing_key,
                sizeof map->guessing_key);
    secret_forget(&p->prepared->secret);
    if (rules_claim(map->labels, p->limits, p->prepared->config, 1) < 0)
        return error_set(why, "policies: more rules than there is room for");
    limits_load(p->limits, STATE_DIR);
    state_load(&p->state, STATE_DIR);
    return 0;
}

/* ---- Redis ---- */

static void dial(void *owner, size_t index)
{
    const struct process *p = owner;
    redis_dialled(p->redis, index, dial_redis_socket(&p->config->redis, index));
}

static void open_redis(struct process *p)
{
    const struct redis_config *config = &p->config->redis;
    const struct redis_passwords *passwords = &p->prepared->redis_passwords;
    const struct redis_options options = {.loop = p->loop,
                                          .config = config,
                                          .password = redis_password(&passwords->server),
                                          .sentinel_password = redis_password(&passwords->sentinel),
                                          .tls = tls_redis_context(p->prepared->tls),
                                          .log = &p->log,
                                          .counters = p->counters,
                                          .dial = dial,
                                          .dial_owner = p};
    if (config->server_count == 0)
        return;
    p->redis = redis_create(&options);
    p->store = redis_store_create(p->redis, config->prefix);
    const struct exchange_options exchange = {
        .loop = p->loop, .redis = p->redis, .config = config, .process = p->slot};
    p->bans = exchange_create(&exchange, &exchange_bans, p->mapping.bans);
    p->set_limits = exchange_create(&exchange, &exchange_limits, p->mapping.set_limits);
    if (p->redis == NULL || p->store == NULL || p->bans == NULL || p->set_limits == NULL)
        abort(); /* out of memory at the start */
}

static void close_redis(struct process *p)
{
    exchange_stop(p->bans);
    exchange_stop(p->set_limits);
    redis_destroy(&p->redis); /* who waits learns that no answer comes */
    redis_store_destroy(&p->store);
    exchange_destroy(&p->bans);
    exchange_destroy(&p->set_limits);
}

/* ---- the engine ---- */

static void furnish(struct process *p)
{
    const struct mapping *m = &p->mapping;
    const struct decider_options options = {
        .memory = memory_open(m->limits, m->limits_key, p->slot, p->counters),
        .redis = p->store,
        .config = &p->config->redis};
    p->filter =
        (struct filter){.loop = p->loop,
                        .config = p->config,
                        .log = &p->log,
                        .decider = decider_create(&options),
                        .set_limits = {set_limits_figure, m->set_limits},
                        .aliases = files_list(p->prepared->watched, p->config, WATCHED_ALIASES),
                        .countries = files_list(p->prepared->watched, p->config, WATCHED_COUNTRIES),
                        .ids = id_source_create()};
    if (p->filter.decider == NULL)
        abort(); /* out of memory at the start */
    p->filter.guessing = (struct guessing){.config = &p->config->auth,
                                           .decider = p->filter.decider,
                                           .bans = m->bans,
                                           .known = m->known,
                                           .log = &p->log,
                                           .process = p->slot};
    memcpy(p->filter.guessing.key, m->guessing_key, sizeof m->guessing_key);
}

/* ---- life ---- */

static void look_whether_over(struct process *p)
{
    if (p->is_stopping &&
        (desk_is_idle(p->desk) || p->is_failed || loop_now(p->loop) >= p->until_ns))
        loop_stop(p->loop);
}

static void stop(struct process *p)
{
    if (p->is_stopping)
        p->until_ns = 0; /* the second time is meant */
    else
        p->until_ns = loop_now(p->loop) + p->config->shutdown_grace_ms * CLOCK_MS;
    p->is_stopping = true;
    log_event(&p->log, EVENT_stopping, field_number(KEY_pid, getpid()));
    notify_stopping();
    desk_close(p->desk);
    look_whether_over(p);
    timeout_set(p->tick, loop_now(p->loop) + CLOCK_SECOND / 20);
}

static void on_tick(void *owner)
{
    struct process *p = owner;
    int64_t now = loop_now(p->loop);
    filter_files_look(p->prepared, &p->log, now);
    limits_turn(p->limits, STATE_DIR, now);
    state_save(&p->state, STATE_DIR, now, false);
    timeout_set(p->tick, now + (p->is_stopping ? CLOCK_SECOND / 20 : TICK_NS));
    look_whether_over(p);
}

static void on_signal(void *owner, int number)
{
    struct process *p = owner;
    if (number == SIGUSR1) {
        if (open_log(p))
            log_event(&p->log, EVENT_log_reopened, field_number(KEY_pid, getpid()));
    } else if (number == SIGHUP) {
        filter_files_reload(p->prepared, &p->log);
    } else {
        stop(p);
    }
}

/* libmilter's thread says so. */
static void ring_lost(void *owner, bool is_good)
{
    const struct process *p = owner;
    const uint64_t how = is_good ? ENDED_WELL : ENDED_BADLY;
    (void)!write(p->lost_bell, &how, sizeof how); /* it is the only one that rings */
}

static void on_lost(void *owner, bool is_readable, bool is_writable)
{
    struct process *p = owner;
    uint64_t how = ENDED_BADLY;
    (void)is_readable, (void)is_writable;
    (void)!read(p->lost_bell, &how, sizeof how); /* it rang */
    if (how == ENDED_WELL) {
        stop(p);
        return;
    }
    log_event(&p->log, EVENT_process_failed,
              field_text(KEY_reason, "libmilter has ended; syslog says why"));
    p->is_failed = p->is_stopping = true;
    loop_stop(p->loop);
}

static int watch_life(struct process *p, struct error *why)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGUSR1, SIGHUP};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (loop_on_signal(p->loop, signals[i], on_signal, p) < 0)
            return error_set(why, "signals: %s", strerror(errno));
    (void)signal(SIGPIPE, SIG_IGN); /* who is gone is heard of otherwise */
    p->lost_bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    p->lost = p->lost_bell < 0 ? NULL : watch_create(p->loop, p->lost_bell, on_lost, p);
    p->tick = timeout_create(p->loop, on_tick, p);
    if (p->lost == NULL || p->tick == NULL || watch_want(p->lost, true, false) < 0)
        return error_set(why, "eventfd: %s", strerror(errno));
    return 0;
}

/* What only root may, and then never again. */
static int drop(struct process *p, struct error *why)
{
    const struct identity *user = p->prepared->is_root ? &p->prepared->user : NULL;
    if (filter_socket_open(&p->config->filter, user, &p->service_fd, why) < 0)
        return -1;
    if (user != NULL && privileges_drop(user, -1, why) < 0)
        return -1;
    return privileges_confine(why);
}

static int start(struct process *p, struct error *why)
{
    p->loop = loop_create(why);
    if (p->loop == NULL ||
        mapping_create(&p->mapping, (size_t)p->config->max_connections, why) < 0 ||
        secret_keep(&p->prepared->secret, p->config, why) < 0 || begin_log(p, why) < 0 ||
        enter_state_dir(p, why) < 0 || drop(p, why) < 0 || begin_counting(p, why) < 0 ||
        watch_life(p, why) < 0)
        return -1;
    open_redis(p);
    furnish(p);
    p->desk = desk_create(&p->filter, PATIENCE_NS + p->config->redis.timeout_ms * CLOCK_MS, why);
    if (p->desk == NULL)
        return -1;
    if (p->config->filter.listen[0] != '\0' && milter_start(p->desk, ring_lost, p, why) < 0)
        return -1;
    if (p->service_fd >= 0)
        p->service = policy_service_create(&p->filter, p->service_fd);
    on_tick(p);
    log_event(&p->log, EVENT_started, field_number(KEY_pid, getpid()));
    notify_ready();
    on_turn_end(p); /* what was logged before the first turn doesn't wait for its end */
    return 0;
}

/* libmilter's threads may still be there: what they see stays. */
static void finish(struct process *p)
{
    policy_service_destroy(&p->service);
    close_redis(p);
    limits_finish(p->limits, STATE_DIR);
    state_save(&p->state, STATE_DIR, 0, true);
    log_event(&p->log, EVENT_stopped, field_number(KEY_pid, getpid()));
    end_log(p);
}

int filter_run(const char *file, struct prepared *prepared)
{
    struct process *p = calloc(1, sizeof *p);
    struct error why;
    if (p == NULL)
        abort(); /* out of memory at the start */
    p->prepared = prepared;
    p->config = prepared->config;
    if (start(p, &why) < 0) {
        fprintf(stderr, "porteiro-milter: %s: %s\n", file, why.text);
        return EXIT_FAILURE;
    }
    bool is_good = loop_run(p->loop) == 0 && !p->is_failed;
    finish(p);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
