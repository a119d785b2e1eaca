#include "control/service.h"

#include "auth/watched.h"
#include "control/log_writer.h"
#include "control/logins.h"
#include "control/notifier.h"
#include "upstream/probe.h"

#include <stdlib.h>
#include <unistd.h>

enum { WRONG_MAX = 4096 };

struct control_service {
    struct control_service_options options;
    struct witness *witness;
    struct showing showing;
    struct kicking kicking;
    struct log_writer *writer;
    struct control_socket *socket;
    struct probes *probes;
    struct logins *logins;
    struct limiting *limiting;
    struct notifier *notifier;
};

static void on_log_lost(void *owner)
{
    const struct control_service *s = owner;
    const struct message_empty empty = {0};
    (void)channel_send(s->options.master, MESSAGE_LOG_LOST, &empty, span_make("", 0),
                       -1); /* asked again in a second */
}

/* The master takes what we send, or is gone, and we with it. */
static void ask_reload(void *owner, uint32_t request, bool is_files)
{
    const struct control_service *s = owner;
    const struct message_request m = {.request = request};
    (void)channel_send(s->options.master, is_files ? MESSAGE_RELOAD_FILES : MESSAGE_RELOAD, &m,
                       span_make("", 0), -1);
}

static void ask_drain(void *owner, uint32_t request, bool is_drain)
{
    const struct control_service *s = owner;
    const struct message_set_drain m = {.request = request, .is_drain = is_drain};
    (void)channel_send(s->options.master, MESSAGE_SET_DRAIN, &m, span_make("", 0), -1);
}

static void forget(void *owner, uint32_t request, const char *name)
{
    const struct control_service *s = owner;
    logins_forget(s->logins, s->socket, request, name);
}

static void show_limits(void *owner, uint32_t request, const json_t *keys)
{
    const struct control_service *s = owner;
    limiting_show(s->limiting, s->socket, request, keys);
}

static void explain(void *owner, uint32_t request, const json_t *question)
{
    const struct control_service *s = owner;
    limiting_explain(s->limiting, s->socket, request, question);
}

static void count_bad(void *owner, uint32_t request, const char *account, json_int_t count)
{
    const struct control_service *s = owner;
    limiting_count(s->limiting, s->socket, request, account, count);
}

static void resumed(void *owner, uint32_t request, const char *account)
{
    const struct control_service *s = owner;
    limiting_forget(s->limiting, s->socket, request, account);
}

static void count_message(void *owner, uint32_t request, const char *message)
{
    const struct control_service *s = owner;
    limiting_count_message(s->limiting, s->socket, request, message);
}

static void login_test(void *owner, uint32_t request, const char *name, const char *password)
{
    const struct control_service *s = owner;
    logins_test(s->logins, s->socket, request, name, password);
}

struct control_service *control_service_create(const struct control_service_options *options)
{
    struct control_service *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->options = *options;
    const struct upstream_context *u = &s->options.upstream;
    s->witness = witness_create(&(struct witness_options){u->config, options->witness, u->process});
    s->showing = (struct showing){.witness = s->witness,
                                  .board = options->board,
                                  .banning = options->banning,
                                  .suspending = options->suspending,
                                  .aliases = options->limits.aliases};
    s->kicking = (struct kicking){
        .board = options->board, .aliases = options->limits.aliases, .master = options->master};
    const struct log_writer_options writer = {.loop = u->loop,
                                              .config = &u->config->log,
                                              .counters = u->counters,
                                              .log = u->log,
                                              .witness = s->witness,
                                              .on_lost = on_log_lost,
                                              .owner = s};
    const struct control_socket_options socket = {.loop = u->loop,
                                                  .fd = options->socket,
                                                  .grants = options->grants,
                                                  .board = options->board,
                                                  .banning = options->banning,
                                                  .limit_setting = options->limit_setting,
                                                  .kicking = &s->kicking,
                                                  .suspending = options->suspending,
                                                  .showing = &s->showing,
                                                  .log = u->log,
                                                  .actions = {.reload = ask_reload,
                                                              .set_drain = ask_drain,
                                                              .forget = forget,
                                                              .limits = show_limits,
                                                              .explain = explain,
                                                              .count = count_bad,
                                                              .resumed = resumed,
                                                              .count_message = count_message,
                                                              .login_test = login_test,
                                                              .owner = s}};
    const struct logins_options logins = {.loop = u->loop,
                                          .config = u->config,
                                          .log = u->log,
                                          .processes = options->board->processes,
                                          .cache = options->auth_cache};
    const struct notifier_options notifier = {.loop = u->loop,
                                              .config = u->config,
                                              .log = u->log,
                                              .witness = s->witness,
                                              .contacts = options->contacts};
    s->writer = log_writer_create(&writer);
    s->notifier = notifier_create(&notifier);
    s->socket = control_socket_create(&socket);
    s->probes = probes_create(u);
    s->logins = logins_create(&logins);
    s->limiting = limiting_create(&options->limits);
    if (s->witness != NULL)
        witness_tell(s->witness, notifier_hear, s->notifier);
    if (s->witness == NULL || s->notifier == NULL || s->logins == NULL || s->limiting == NULL ||
        s->writer == NULL || s->socket == NULL || s->probes == NULL)
        control_service_destroy(&s);
    return s;
}

void control_service_destroy(struct control_service **service)
{
    struct control_service *s = *service;
    if (s == NULL)
        return;
    limiting_destroy(&s->limiting);
    logins_destroy(&s->logins);
    probes_destroy(&s->probes);
    control_socket_destroy(&s->socket);
    log_writer_destroy(&s->writer);
    notifier_destroy(&s->notifier);
    witness_destroy(&s->witness);
    free(s);
    *service = NULL;
}

/* What is wrong with a file, for the log and the master. */
struct wrong {
    const struct control_service *service;
    struct buffer text;
};

static void take_wrong(void *owner, enum finding kind, const char *text)
{
    struct wrong *w = owner;
    if (kind != FINDING_ERROR)
        return;
    log_event(w->service->options.upstream.log, EVENT_list_refused, field_text(KEY_reason, text));
    (void)buffer_printf(&w->text, "%s\n", text); /* what doesn't fit stands in the log */
}

/* Parses a file that the master has opened, and sends it back as a list. */
static void parse_watched(struct control_service *s, const struct message *m)
{
    const struct config *c = s->options.upstream.config;
    struct message_list list = {.index = ((const struct message_watched *)m->payload)->index};
    struct errors *errors = errors_create();
    struct wrong wrong = {.service = s, .text = {.limit = WRONG_MAX}};
    size_t count = 0;
    int fd = -1;
    if (list.index < c->watched_count)
        fd = watched_build(c, list.index, *m->fd, &count, errors);
    list.count = (uint32_t)count;
    errors_each(errors, take_wrong, &wrong);
    errors_destroy(&errors);
    (void)channel_send(s->options.master, MESSAGE_LIST, &list, buffer_bytes(&wrong.text),
                       fd); /* as above */
    buffer_clear(&wrong.text);
    if (fd >= 0)
        (void)close(fd); /* the master has its own */
}

void control_service_message(struct control_service *s, const struct message *m)
{
    if (m->type == MESSAGE_LOG_SOURCE && *m->fd >= 0) {
        log_writer_add(s->writer, message_take_fd(m));
    } else if (m->type == MESSAGE_LOG_TARGET && *m->fd >= 0) {
        log_writer_set_target(s->writer, message_take_fd(m));
    } else if (m->type == MESSAGE_PEER && *m->fd >= 0) {
        if (((const struct message_peer *)m->payload)->role == PROCESS_HELPER)
            notifier_set_helper(s->notifier, message_take_fd(m));
        else
            logins_add(s->logins, message_take_fd(m));
    } else if (m->type == MESSAGE_WATCHED && *m->fd >= 0) {
        parse_watched(s, m);
    } else if (m->type == MESSAGE_ANSWER) {
        const struct message_answer *answer = m->payload;
        control_socket_answer(s->socket, answer->request, answer->is_good != 0, m->tail);
    }
}

void control_service_retire(struct control_service *s, loop_fn *fn, void *owner)
{
    probes_destroy(&s->probes);
    notifier_retire(s->notifier);
    control_socket_close_door(s->socket, fn, owner);
}
