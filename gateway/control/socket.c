#include "control/socket.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "control/order.h"
#include "net/connection.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS_MAX = 32, REQUEST_MAX = 4096 };
#define CLIENT_TIMEOUT_NS (60 * CLOCK_SECOND)

struct control_client {
    struct control_client *next;
    struct control_socket *socket;
    struct connection *connection;
    enum control_role role;
    uid_t uid;
    uint32_t request;              /* an action that is under way; 0: none */
    const struct listing *listing; /* that is under way, from `next_row` on; NULL: none */
    size_t next_row;
};

struct control_socket {
    struct control_socket_options options;
    struct watch *watch;
    struct control_client *clients;
    size_t count;
    uint32_t last_request;
    loop_fn *on_empty;
    void *empty_owner;
};

static void on_client(void *owner, enum connection_event event, struct span *in);

static void remove_client(struct control_client *c)
{
    struct control_socket *s = c->socket;
    struct control_client **at = &s->clients;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    s->count--;
    connection_finish(&c->connection);
    free(c);
    if (s->count == 0 && s->on_empty != NULL)
        s->on_empty(s->empty_owner);
}

/* Sends a line; takes over `line`. NULL, for want of memory, sends nothing. */
static void send_json(struct control_client *c, json_t *line)
{
    char *text = line == NULL ? NULL : json_dumps(line, JSON_COMPACT);
    if (text != NULL) {
        const struct span parts[] = {span_of(text), {"\n", 1}};
        connection_write(c->connection, parts, 2);
    }
    free(text);
    json_decref(line);
}

static void send_result(struct control_client *c, bool is_good, const char *text)
{
    send_json(c, is_good ? json_pack("{s:b, s:s}", "ok", 1, "text", text)
                         : json_pack("{s:b, s:s}", "ok", 0, "error", text));
}

/* A list that may be long: a row for each place there is, or none. */
struct listing {
    size_t (*places)(const struct control_socket *s);
    json_t *(*row)(const struct control_socket *s, size_t place, int64_t now_wall_ns);
};

static size_t session_places(const struct control_socket *s)
{
    return s->options.board->sessions.capacity;
}

static json_t *session_row(const struct control_socket *s, size_t place, int64_t now_wall_ns)
{
    return board_session(s->options.board, place, now_wall_ns);
}

static size_t ban_places(const struct control_socket *s)
{
    (void)s;
    return BANS_MAX;
}

static json_t *ban_row(const struct control_socket *s, size_t place, int64_t now_wall_ns)
{
    return banning_row(s->options.banning, place, now_wall_ns);
}

static size_t set_limit_places(const struct control_socket *s)
{
    (void)s;
    return SET_LIMITS_MAX;
}

static json_t *set_limit_row(const struct control_socket *s, size_t place, int64_t now_wall_ns)
{
    return limit_setting_row(s->options.limit_setting, place, now_wall_ns);
}

static json_t *suspended_row(const struct control_socket *s, size_t place, int64_t now_wall_ns)
{
    return suspending_row(s->options.suspending, place, now_wall_ns);
}

/* Sends rows as long as the client takes them. */
static void list(struct control_client *c)
{
    size_t places = c->listing->places(c->socket);
    int64_t now = clock_wall_ns();
    while (c->next_row < places && !connection_is_blocked(c->connection)) {
        json_t *row = c->listing->row(c->socket, c->next_row++, now);
        if (row != NULL)
            send_json(c, row);
    }
    if (c->next_row < places)
        return; /* CONNECTION_DRAINED goes on */
    c->listing = NULL;
    send_result(c, true, "");
}

static void begin_list(struct control_client *c, const struct listing *listing)
{
    c->listing = listing;
    c->next_row = 0;
    list(c);
}

static void on_status(struct control_client *c, const json_t *request)
{
    (void)request;
    send_json(c, board_status(c->socket->options.board, clock_wall_ns()));
    send_result(c, true, "");
}

static void on_sessions(struct control_client *c, const json_t *request)
{
    static const struct listing sessions = {session_places, session_row};
    (void)request;
    begin_list(c, &sessions);
}

static void on_bans(struct control_client *c, const json_t *request)
{
    static const struct listing bans = {ban_places, ban_row};
    (void)request;
    begin_list(c, &bans);
}

/* One line, and the end; or why there is none. */
static void send_answer(struct control_client *c, json_t *answer, const struct error *why)
{
    if (answer == NULL) {
        send_result(c, false, why->text);
        return;
    }
    send_json(c, answer);
    send_result(c, true, "");
}

static void on_top(struct control_client *c, const json_t *request)
{
    struct error why;
    send_answer(c, witness_top(c->socket->options.showing->witness, request, &why), &why);
}

static void on_logins(struct control_client *c, const json_t *request)
{
    struct error why;
    send_answer(c, showing_logins(c->socket->options.showing, request, &why), &why);
}

static void on_show(struct control_client *c, const json_t *request)
{
    struct error why;
    send_answer(c, showing_answer(c->socket->options.showing, request, &why), &why);
}

static void send_said(struct control_client *c, int outcome, const struct error *said)
{
    send_result(c, outcome == 0, said->text);
}

static void on_ban(struct control_client *c, const json_t *request)
{
    struct error said;
    send_said(c, banning_ban(c->socket->options.banning, request, c->uid, &said), &said);
}

static void on_unban(struct control_client *c, const json_t *request)
{
    struct error said;
    send_said(c, banning_unban(c->socket->options.banning, request, c->uid, &said), &said);
}

static void on_kick(struct control_client *c, const json_t *request)
{
    struct error said;
    send_said(c, kicking_kick(c->socket->options.kicking, request, &said), &said);
}

static void on_suspended(struct control_client *c, const json_t *request)
{
    static const struct listing suspended = {ban_places, suspended_row};
    (void)request;
    begin_list(c, &suspended);
}

static void on_suspend(struct control_client *c, const json_t *request)
{
    struct error said;
    bool is_good = suspending_suspend(c->socket->options.suspending, request, c->uid, &said) == 0;
    send_result(c, is_good, said.text);
}

static void new_request(struct control_client *c)
{
    if (++c->socket->last_request == 0)
        c->socket->last_request = 1;
    c->request = c->socket->last_request;
}

/* What has led to it is forgotten then. */
static void on_resume(struct control_client *c, const json_t *request)
{
    const struct control_actions *a = &c->socket->options.actions;
    struct error said;
    if (suspending_resume(c->socket->options.suspending, request, c->uid, &said) < 0) {
        send_result(c, false, said.text);
        return;
    }
    new_request(c);
    a->resumed(a->owner, c->request, order_text(request, "account"));
}

static void on_limit_list(struct control_client *c, const json_t *request)
{
    static const struct listing limits = {set_limit_places, set_limit_row};
    (void)request;
    begin_list(c, &limits);
}

static void on_limit_set(struct control_client *c, const json_t *request)
{
    struct error said;
    send_said(c, limit_setting_set(c->socket->options.limit_setting, request, c->uid, &said),
              &said);
}

static void on_limit_unset(struct control_client *c, const json_t *request)
{
    struct error said;
    send_said(c, limit_setting_unset(c->socket->options.limit_setting, request, c->uid, &said),
              &said);
}

static void on_reload(struct control_client *c, const json_t *request)
{
    const struct control_actions *a = &c->socket->options.actions;
    new_request(c);
    a->reload(a->owner, c->request, json_is_true(json_object_get(request, "files")));
}

static void on_drain(struct control_client *c, const json_t *request)
{
    const struct control_actions *a = &c->socket->options.actions;
    (void)request;
    new_request(c);
    a->set_drain(a->owner, c->request, true);
}

static void on_undrain(struct control_client *c, const json_t *request)
{
    const struct control_actions *a = &c->socket->options.actions;
    (void)request;
    new_request(c);
    a->set_drain(a->owner, c->request, false);
}

static const char *text_of(const json_t *request, const char *key)
{
    return json_string_value(json_object_get(request, key));
}

static void on_forget(struct control_client *c, const json_t *request)
{
    const struct control_actions *a = &c->socket->options.actions;
    const char *account = text_of(request, "account");
    if (account == NULL) {
        send_result(c, false, "no account");
        return;
    }
    new_request(c);
    a->forget(a->owner, c->request, account);
}

static void on_limits(struct control_client *c, const json_t *request)
{
    const struct control_actions *a = &c->socket->options.actions;
    new_request(c);
    a->limits(a->owner, c->request, json_object_get(request, "keys"));
}

static void on_explain(struct control_client *c, const json_t *request)
{
    const struct control_actions *a = &c->socket->options.actions;
    new_request(c);
    a->explain(a->owner, c->request, request);
}

static void on_count(struct control_client *c, const json_t *request)
{
    const struct control_actions *a = &c->socket->options.actions;
    const char *account = text_of(request, "account"), *message = text_of(request, "message");
    if (account == NULL && message == NULL) {
        send_result(c, false, "no account, and no message");
        return;
    }
    new_request(c);
    if (message != NULL)
        a->count_message(a->owner, c->request, message);
    else
        a->count(a->owner, c->request, account,
                 json_integer_value(json_object_get(request, "rejected_recipients")));
}

static void on_login_test(struct control_client *c, const json_t *request)
{
    const struct control_actions *a = &c->socket->options.actions;
    const char *account = text_of(request, "account"), *password = text_of(request, "password");
    if (account == NULL || password == NULL) {
        send_result(c, false, "no account, or no password");
        return;
    }
    new_request(c);
    a->login_test(a->owner, c->request, account, password);
    explicit_bzero((void *)(uintptr_t)password, strlen(password)); /* jansson's, which frees it */
}

/* The commands, and who may give them. */
static const struct {
    const char *name;
    enum control_role role;
    void (*run)(struct control_client *c, const json_t *request);
} commands[] = {
    {"status", CONTROL_READ, on_status},
    {"sessions", CONTROL_READ, on_sessions},
    {"reload", CONTROL_ADMIN, on_reload},
    {"drain", CONTROL_ADMIN, on_drain},
    {"undrain", CONTROL_ADMIN, on_undrain},
    {"forget", CONTROL_SUPPORT, on_forget},
    {"login-test", CONTROL_SUPPORT, on_login_test},
    {"limits", CONTROL_READ, on_limits},
    {"explain", CONTROL_SUPPORT, on_explain},
    {"top", CONTROL_READ, on_top},
    {"show", CONTROL_SUPPORT, on_show},
    {"logins", CONTROL_SUPPORT, on_logins},
    {"count", CONTROL_SUPPORT, on_count},
    {"kick", CONTROL_SUPPORT, on_kick},
    {"bans", CONTROL_READ, on_bans},
    {"ban", CONTROL_ADMIN, on_ban},
    {"unban", CONTROL_SUPPORT, on_unban},
    {"suspended", CONTROL_READ, on_suspended},
    {"suspend", CONTROL_ADMIN, on_suspend},
    {"resume", CONTROL_SUPPORT, on_resume},
    {"limit-list", CONTROL_READ, on_limit_list},
    {"limit-set", CONTROL_ADMIN, on_limit_set},
    {"limit-unset", CONTROL_ADMIN, on_limit_unset},
};

static void refuse_role(struct control_client *c, enum control_role role)
{
    struct error text;
    (void)error_set(&text, "this command needs a group with the role \"%s\" in control_groups",
                    role == CONTROL_ADMIN ? "admin" : "support");
    send_result(c, false, text.text);
}

static void run(struct control_client *c, const char *name, const json_t *request)
{
    const struct event_log *log = c->socket->options.log;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, name) != 0)
            continue;
        if (c->role < commands[i].role) {
            log_event(log, EVENT_control_refused, field_text(KEY_reason, name),
                      field_number(KEY_uid, c->uid));
            refuse_role(c, commands[i].role);
            return;
        }
        if (commands[i].role > CONTROL_READ)
            log_event(log, EVENT_control_command, field_text(KEY_command, name),
                      field_number(KEY_uid, c->uid));
        commands[i].run(c, request);
        return;
    }
    send_result(c, false, "unknown command; is porteiroctl newer than the running gateway?");
}

static void take_request(struct control_client *c, struct span line)
{
    json_t *request = json_loadb(line.data, line.size, JSON_REJECT_DUPLICATES, NULL);
    const char *name = json_string_value(json_object_get(request, "command"));
    if (name == NULL)
        send_result(c, false, "no request");
    else
        run(c, name, request);
    json_decref(request);
}

static void take_requests(struct control_client *c, struct span *in)
{
    while (c->request == 0 && c->listing == NULL) {
        const char *end = memchr(in->data, '\n', in->size);
        if (end == NULL) {
            if (in->size > REQUEST_MAX)
                remove_client(c);
            return;
        }
        struct span line = span_take(in, (size_t)(end - in->data));
        span_skip(in, 1);
        connection_set_deadline(c->connection,
                                loop_now(c->socket->options.loop) + CLIENT_TIMEOUT_NS);
        take_request(c, line);
        explicit_bzero((void *)(uintptr_t)line.data, line.size); /* there may be a password in it */
        if (in->size == 0 && c->request == 0 && c->listing == NULL)
            return;
    }
    connection_pause(c->connection);
}

static void on_client(void *owner, enum connection_event event, struct span *in)
{
    struct control_client *c = owner;
    switch (event) {
    case CONNECTION_DATA: take_requests(c, in); return;
    case CONNECTION_DRAINED:
        if (c->listing != NULL)
            list(c);
        if (c->listing == NULL && c->request == 0)
            connection_resume(c->connection);
        return;
    case CONNECTION_READY: return;
    case CONNECTION_EOF:
        if (c->request == 0 && c->listing == NULL)
            remove_client(c);
        return;
    case CONNECTION_TIMEOUT:
    case CONNECTION_FAILED: remove_client(c); return;
    }
}

static void on_connect(void *owner, bool is_readable, bool is_writable)
{
    struct control_socket *s = owner;
    static const struct address nobody = {.size = 0};
    enum control_role role;
    uid_t uid = 0;
    (void)is_readable, (void)is_writable;
    int fd = accept4(s->options.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (grants_of_peer(s->options.grants, fd, &role, &uid) < 0 || s->count == CLIENTS_MAX) {
        static const char refusal[] =
            "{\"ok\": false, \"error\": \"permission denied: be root, or in one of the groups of "
            "control_groups\"}\n";
        log_event(s->options.log, EVENT_control_refused, field_number(KEY_uid, uid));
        (void)!write(fd, refusal, sizeof refusal - 1); /* a new socket takes a line */
        (void)close(fd);                               /* as above */
        return;
    }
    struct control_client *c = calloc(1, sizeof *c);
    if (c == NULL) {
        (void)close(fd); /* nothing was written */
        return;
    }
    *c = (struct control_client){.next = s->clients, .socket = s, .role = role, .uid = uid};
    c->connection = connection_accept(s->options.loop, fd, &nobody, on_client, c);
    if (c->connection == NULL) {
        free(c);
        return;
    }
    connection_set_deadline(c->connection, loop_now(s->options.loop) + CLIENT_TIMEOUT_NS);
    s->clients = c;
    s->count++;
}

struct control_socket *control_socket_create(const struct control_socket_options *options)
{
    struct control_socket *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->options = *options;
    s->last_request = (uint32_t)clock_monotonic_ns(); /* answers to one before us are not ours */
    s->watch = watch_create(options->loop, options->fd, on_connect, s);
    if (s->watch == NULL || watch_want(s->watch, true, false) < 0)
        control_socket_destroy(&s);
    return s;
}

void control_socket_destroy(struct control_socket **socket)
{
    struct control_socket *s = *socket;
    if (s == NULL)
        return;
    s->on_empty = NULL;
    while (s->clients != NULL)
        remove_client(s->clients);
    watch_destroy(&s->watch);
    free(s);
    *socket = NULL;
}

static struct control_client *find(const struct control_socket *s, uint32_t request)
{
    struct control_client *c = s->clients;
    while (c != NULL && (c->request != request || request == 0))
        c = c->next;
    return c;
}

void control_socket_tell(struct control_socket *s, uint32_t request, json_t *line)
{
    struct control_client *c = find(s, request);
    if (c != NULL)
        send_json(c, json_incref(line));
}

void control_socket_answer(struct control_socket *s, uint32_t request, bool is_good,
                           struct span text)
{
    char copy[16 * 1024 + 1];
    struct control_client *c = find(s, request);
    if (c == NULL)
        return;
    size_t size = span_copy(text, copy, sizeof copy);
    if (!utf8_is_valid(span_make(copy, size))) /* JSON takes nothing else */
        for (size_t i = 0; i < size; i++)
            copy[i] = (copy[i] & 0x80) != 0 ? '?' : copy[i];
    c->request = 0;
    send_result(c, is_good, copy);
    connection_resume(c->connection);
}

void control_socket_close_door(struct control_socket *s, loop_fn *fn, void *owner)
{
    watch_destroy(&s->watch);
    s->on_empty = fn;
    s->empty_owner = owner;
    if (s->count == 0)
        fn(owner);
}
