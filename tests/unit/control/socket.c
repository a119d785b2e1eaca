#include "control/socket.h"

#include "figures.h"
#include "visitor.h"

#include "base/log.h"
#include "ipc/descriptors.h"
#include "net/turns.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { CLIENTS = 34, HEARD_MAX = 2 * 1024 * 1024 };

#define WELL "{\"ok\":true,\"text\":\"\"}\n"

/* Somebody with porteiroctl. */
struct client {
    int fd;
    bool has_ended;
    size_t size, taken;
    char heard[HEARD_MAX + 1];
};

static struct {
    struct control_socket *socket;
    struct grants grants;
    struct event_log log;
    struct banning banning;
    struct limit_setting limit_setting;
    struct suspending suspending;
    int log_ends[2];
    int listening;
    struct sockaddr_un at;
    socklen_t at_size;
    uint32_t requests[8]; /* that the master was asked for */
    char asked[9];        /* r: reload, f: of files, d: drain, u: undrain, l: limits, c, m: count */
    unsigned emptied;
    struct client *clients[CLIENTS];
    size_t client_count;
    char logged[16384];
    size_t logged_size;
} it;

/* ---- the master's side ---- */

static void ask(char what, uint32_t request)
{
    size_t count = strlen(it.asked);
    ck_assert_uint_lt(count + 1, sizeof it.asked);
    it.asked[count] = what;
    it.requests[count] = request;
}

static void on_reload(void *owner, uint32_t request, bool is_files)
{
    ck_assert_ptr_eq(owner, &it);
    ask(is_files ? 'f' : 'r', request);
}

static void on_set_drain(void *owner, uint32_t request, bool is_drain)
{
    ck_assert_ptr_eq(owner, &it);
    ask(is_drain ? 'd' : 'u', request);
}

static void on_limits(void *owner, uint32_t request, const json_t *keys)
{
    ck_assert_ptr_eq(owner, &it);
    ck_assert_str_eq(json_string_value(json_array_get(keys, 1)), "192.0.2.7");
    ask('l', request);
}

static void on_explain(void *owner, uint32_t request, const json_t *question)
{
    ck_assert_ptr_eq(owner, &it);
    ck_assert_str_eq(json_string_value(json_object_get(question, "account")), "ana");
    ask('e', request);
}

static void on_count(void *owner, uint32_t request, const char *account, json_int_t count)
{
    ck_assert_ptr_eq(owner, &it);
    ck_assert_str_eq(account, "ana@example.com");
    ck_assert_int_eq(count, 3);
    ask('c', request);
}

static void on_resumed(void *owner, uint32_t request, const char *account)
{
    (void)owner;
    control_socket_answer(it.socket, request, true, span_of(account));
}

static void on_count_message(void *owner, uint32_t request, const char *message)
{
    ck_assert_ptr_eq(owner, &it);
    ck_assert_str_eq(message, "dc56td6052bb");
    ask('m', request);
}

static void on_empty(void *owner)
{
    ck_assert_ptr_eq(owner, &it);
    it.emptied++;
}

static void answer(size_t request, bool is_good, const char *text)
{
    control_socket_answer(it.socket, it.requests[request], is_good, span_of(text));
}

static void create_socket(void)
{
    const struct control_socket_options options = {.loop = turns.loop,
                                                   .fd = it.listening,
                                                   .grants = &it.grants,
                                                   .board = &figures.board,
                                                   .banning = &it.banning,
                                                   .limit_setting = &it.limit_setting,
                                                   .suspending = &it.suspending,
                                                   .log = &it.log,
                                                   .actions = {.reload = on_reload,
                                                               .set_drain = on_set_drain,
                                                               .limits = on_limits,
                                                               .explain = on_explain,
                                                               .count = on_count,
                                                               .resumed = on_resumed,
                                                               .count_message = on_count_message,
                                                               .owner = &it}};
    it.socket = control_socket_create(&options);
}

/* Whoever runs the test is the owner, and the visitors somebody else, when there is a root. */
static void begin(void)
{
    turns_begin();
    figures_begin();
    it.grants = (struct grants){.owner = geteuid()};
    it.at = (struct sockaddr_un){.sun_family = AF_UNIX};
    it.at_size = sizeof it.at;
    it.listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(
        bind(it.listening, (const struct sockaddr *)&it.at, offsetof(struct sockaddr_un, sun_path)),
        0); /* the system finds a name that is no file's */
    ck_assert_int_eq(getsockname(it.listening, (struct sockaddr *)&it.at, &it.at_size), 0);
    ck_assert_int_eq(listen(it.listening, CLIENTS), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, it.log_ends), 0);
    it.log =
        (struct event_log){.lines = log_create(it.log_ends[0], LOG_LEVEL_DEBUG), .process = ""};
    it.banning = (struct banning){
        .bans = mapping_make(bans_size()), .config = &figures.config, .log = &it.log, .process = 1};
    it.limit_setting = (struct limit_setting){.limits = mapping_make(set_limits_size()),
                                              .config = &figures.config,
                                              .log = &it.log,
                                              .process = 1};
    it.suspending = (struct suspending){.bans = it.banning.bans,
                                        .log = &it.log,
                                        .process = 1,
                                        .cache = {.realm = "example.com"},
                                        .processes = figures.board.processes};
    create_socket();
    ck_assert_ptr_nonnull(it.socket);
}

static void leaves(struct client *c)
{
    if (c->fd >= 0)
        ck_assert_int_eq(close(c->fd), 0);
    c->fd = -1;
}

static void end(void)
{
    control_socket_destroy(&it.socket);
    for (size_t i = 0; i < it.client_count; i++) {
        leaves(it.clients[i]);
        free(it.clients[i]);
    }
    turns_for(2); /* what waits for a client's end sees it */
    log_destroy(&it.log.lines);
    ck_assert_int_eq(close(it.log_ends[0]), 0);
    ck_assert_int_eq(close(it.log_ends[1]), 0);
    ck_assert_int_eq(close(it.listening), 0);
    figures_end();
    turns_end();
}

/* ---- the clients' side ---- */

static struct client *comes(void)
{
    struct client *c = malloc(sizeof *c);
    ck_assert_ptr_nonnull(c);
    ck_assert_uint_lt(it.client_count, CLIENTS);
    it.clients[it.client_count++] = c;
    c->has_ended = false;
    c->size = c->taken = 0;
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(connect(c->fd, (const struct sockaddr *)&it.at, it.at_size), 0);
    return c;
}

/* Somebody who is in a group of this role, and not the owner. */
static struct client *visitor_with(enum control_role role)
{
    it.grants = (struct grants){.owner = visitor_user() + 1, .count = 1};
    it.grants.of_group[0].group = visitor_group();
    it.grants.of_group[0].role = role;
    visitor_comes();
    struct client *c = comes();
    visitor_leaves();
    return c;
}

static void says(struct client *c, const char *text)
{
    size_t size = strlen(text);
    ck_assert_int_eq(send(c->fd, text, size, MSG_NOSIGNAL), (ssize_t)size);
}

static void asks(struct client *c, const char *command)
{
    char line[128];
    (void)snprintf(line, sizeof line, "{\"command\": \"%s\"}\n", command); /* fits */
    says(c, line);
}

/* Reads what has come. Returns how much there was so far. */
static size_t listens(struct client *c)
{
    ssize_t size = 1;
    while (!c->has_ended && c->size < HEARD_MAX && size > 0) {
        size = recv(c->fd, c->heard + c->size, HEARD_MAX - c->size, MSG_DONTWAIT);
        c->has_ended = size == 0 || (size < 0 && errno != EAGAIN);
        c->size += size > 0 ? (size_t)size : 0;
    }
    c->heard[c->size] = '\0';
    return c->size;
}

static bool has_line(struct client *c)
{
    (void)listens(c);
    return strchr(c->heard + c->taken, '\n') != NULL;
}

static bool has_ended(struct client *c)
{
    (void)listens(c);
    return c->has_ended;
}

/* The next line, as an object of the caller's. */
static json_t *hears_line(struct client *c)
{
    UNTIL(has_line(c) || c->has_ended);
    const char *line = c->heard + c->taken;
    size_t size = strcspn(line, "\n");
    json_t *object = json_loadb(line, size, 0, NULL);
    ck_assert_msg(json_is_object(object), "no object: \"%s\"", line);
    c->taken += size + 1;
    return object;
}

/* The last line of an answer: how it went, with this in the text for a person. */
static void hears_end(struct client *c, bool is_good, const char *text)
{
    json_t *line = hears_line(c);
    const char *said = json_string_value(json_object_get(line, is_good ? "text" : "error"));
    ck_assert_int_eq(json_is_true(json_object_get(line, "ok")), is_good);
    ck_assert_msg(said != NULL && strstr(said, text) != NULL, "\"%s\" instead of \"%s\"",
                  said == NULL ? "(nothing)" : said, text);
    json_decref(line);
}

static void hears_status(struct client *c)
{
    json_t *line = hears_line(c);
    ck_assert_str_eq(json_string_value(json_object_get(line, "hostname")), "mail.example.com");
    json_decref(line);
    hears_end(c, true, "");
}

static void hears_nothing(struct client *c)
{
    turns_for(5);
    (void)listens(c);
    ck_assert_msg(c->taken == c->size && !c->has_ended, "\"%s\"", c->heard + c->taken);
}

static void sees_the_end(struct client *c)
{
    UNTIL(has_ended(c));
    ck_assert_uint_eq(c->taken, c->size);
}

/* The master has been asked for this, so far. */
static void master_was_asked(const char *what)
{
    UNTIL(strlen(it.asked) >= strlen(what));
    ck_assert_str_eq(it.asked, what);
}

/* ---- the log ---- */

static void take_log(void *owner, enum log_level level, struct span line)
{
    (void)owner, (void)level;
    size_t room = sizeof it.logged - it.logged_size;
    ck_assert_uint_gt(room, line.size + 1);
    it.logged_size += (size_t)snprintf(it.logged + it.logged_size, room, "%.*s\n", (int)line.size,
                                       line.data); /* fits */
}

/* A line with this in it was logged, by the visitor's doing. */
static void was_logged_of_visitor(const char *event)
{
    static char datagram[LOG_DATAGRAM_MAX];
    char part[128];
    ssize_t size;
    (void)snprintf(part, sizeof part, "event=%s uid=%u\n", event, (unsigned)visitor_user());
    log_flush(it.log.lines);
    while ((size = recv(it.log_ends[1], datagram, sizeof datagram, MSG_DONTWAIT)) > 0)
        log_lines_each(span_make(datagram, (size_t)size), take_log, NULL);
    ck_assert_msg(strstr(it.logged, part) != NULL, "no \"%s\" in:\n%s", part, it.logged);
}

/* ---- questions ---- */

START_TEST(what_was_heard_later_is_told_by_whoever_may_support)
{
    static const char account[] =
        "{\"command\": \"count\", \"account\": \"ana@example.com\", \"rejected_recipients\": 3}\n";
    struct client *c = visitor_with(CONTROL_SUPPORT), *reader;
    says(c, account);
    master_was_asked("c");
    answer(0, true, "counted");
    hears_end(c, true, "counted");
    says(c, "{\"command\": \"count\", \"message\": \"dc56td6052bb\"}\n");
    master_was_asked("cm");
    answer(1, false, "unknown");
    hears_end(c, false, "unknown");
    says(c, "{\"command\": \"count\"}\n");
    hears_end(c, false, "no account, and no message");
    reader = visitor_with(CONTROL_READ);
    says(reader, account);
    hears_end(reader, false,
              "this command needs a group with the role \"support\" in control_groups");
    master_was_asked("cm");
}
END_TEST

START_TEST(what_would_happen_is_asked_elsewhere)
{
    struct client *c = visitor_with(CONTROL_SUPPORT);
    says(c, "{\"command\": \"explain\", \"account\": \"ana\"}\n");
    master_was_asked("e");
    answer(0, true, "passes");
    hears_end(c, true, "passes");
}
END_TEST

START_TEST(how_limits_stand_is_asked_elsewhere_by_whoever_may_read)
{
    struct client *c = visitor_with(CONTROL_READ);
    says(c, "{\"command\": \"limits\", \"keys\": [\"ana@example.com\", \"192.0.2.7\"]}\n");
    master_was_asked("l");
    json_t *row = json_pack("{s:s}", "rule", "hour");
    control_socket_tell(it.socket, it.requests[0], row);
    json_decref(row);
    answer(0, true, "Redis is away");
    row = hears_line(c);
    ck_assert_str_eq(json_string_value(json_object_get(row, "rule")), "hour");
    json_decref(row);
    hears_end(c, true, "Redis is away");
}
END_TEST

START_TEST(status_is_a_line_and_then_how_it_went)
{
    struct client *c = comes();
    asks(c, "status");
    hears_status(c);
    hears_nothing(c); /* it may ask again */
    asks(c, "status");
    hears_status(c);
}
END_TEST

START_TEST(a_request_may_come_byte_by_byte)
{
    static const char request[] = "{\"command\": \"status\"}\n";
    struct client *c = comes();
    for (size_t i = 0; i + 1 < sizeof request; i++) {
        const char byte[] = {request[i], '\0'};
        ck_assert_uint_eq(listens(c), 0);
        says(c, byte);
        turn();
    }
    hears_status(c);
}
END_TEST

START_TEST(without_sessions_the_answer_is_how_it_went)
{
    struct client *c = comes();
    asks(c, "sessions");
    hears_end(c, true, "");
    hears_nothing(c);
}
END_TEST

/* So many sessions, the nth with an account of that number. */
static void fill(int count)
{
    struct session_row content = {.id = "0123456789ab", .client = "192.0.2.1:1"};
    for (int n = 0; n < count; n++) {
        (void)snprintf(content.account, sizeof content.account, "%d", n); /* fits */
        (void)figures_session(1, &content);
    }
}

static void hears_sessions(struct client *c, int count)
{
    static bool is_told[FIGURES_SESSIONS];
    memset(is_told, 0, sizeof is_told);
    for (int n = 0; n < count; n++) {
        json_t *line = hears_line(c);
        const char *account = json_string_value(json_object_get(line, "account"));
        ck_assert_ptr_nonnull(account);
        long number = strtol(account, NULL, 10);
        ck_assert(number >= 0 && number < count && !is_told[number]);
        is_told[number] = true;
        json_decref(line);
    }
    hears_end(c, true, "");
}

START_TEST(every_session_is_a_line)
{
    struct client *c = comes();
    fill(50);
    asks(c, "sessions");
    hears_sessions(c, 50);
}
END_TEST

START_TEST(who_reads_slowly_gets_every_session_once)
{
    struct client *c = comes();
    fill(FIGURES_SESSIONS);
    asks(c, "sessions");
    turns_for(20); /* as far as it goes */
    int kept;
    ck_assert_int_eq(ioctl(c->fd, FIONREAD, &kept), 0);
    ck_assert_int_lt(kept, FIGURES_SESSIONS * 150); /* a row has more: it was not all taken */
    hears_sessions(c, FIGURES_SESSIONS);
    asks(c, "status");
    hears_status(c);
}
END_TEST

START_TEST(who_asks_while_a_list_is_under_way_is_answered_behind_it)
{
    struct client *c = comes();
    fill(FIGURES_SESSIONS);
    asks(c, "sessions");
    turns_for(5);
    asks(c, "status");
    turns_for(5);
    hears_sessions(c, FIGURES_SESSIONS);
    hears_status(c);
}
END_TEST

START_TEST(who_leaves_in_the_middle_of_a_list_is_forgotten)
{
    unsigned before = open_descriptors();
    struct client *c = comes();
    fill(FIGURES_SESSIONS);
    asks(c, "sessions");
    turns_for(5);
    leaves(c);
    UNTIL(open_descriptors() == before);
}
END_TEST

/* ---- nonsense ---- */

static const char *const nonsense[] = {
    "\n",
    "status\n",
    "{\"command\": \"status\"\n",
    "[\"status\"]\n",
    "{\"command\": 7}\n",
    "{\"command\": null}\n",
    "{}\n",
    "{\"command\": \"status\", \"command\": \"reload\"}\n",
    "{\"command\": \"st\xff\"}\n",
    "\x01\x02\x03\n",
};

START_TEST(what_is_no_request_is_told_so_and_the_next_is_heard)
{
    struct client *c = comes();
    says(c, nonsense[_i]);
    hears_end(c, false, "no request");
    asks(c, "status");
    hears_status(c);
    ck_assert_str_eq(it.asked, "");
}
END_TEST

START_TEST(an_unknown_command_is_told_so)
{
    struct client *c = comes();
    asks(c, "dance");
    hears_end(c, false, "unknown command");
    asks(c, "");
    hears_end(c, false, "unknown command");
    asks(c, "STATUS");
    hears_end(c, false, "unknown command");
}
END_TEST

START_TEST(who_never_ends_his_line_is_sent_away)
{
    char part[2001];
    struct client *c = comes();
    memset(part, '[', sizeof part - 1);
    part[sizeof part - 1] = '\0';
    for (int n = 0; n < 3; n++)
        says(c, part);
    sees_the_end(c);
}
END_TEST

/* ---- what others do ---- */

static const struct {
    const char *command, *asked;
} actions[] = {{"reload", "r"}, {"drain", "d"}, {"undrain", "u"}};

START_TEST(an_action_is_answered_when_it_has_been_done)
{
    struct client *c = comes();
    asks(c, actions[_i].command);
    master_was_asked(actions[_i].asked);
    hears_nothing(c);
    answer(0, true, "it is so");
    hears_end(c, true, "it is so");
    asks(c, "status");
    hears_status(c);
}
END_TEST

START_TEST(a_reload_may_be_of_files_alone)
{
    struct client *c = comes();
    says(c, "{\"command\": \"reload\", \"files\": true}\n");
    master_was_asked("f");
    answer(0, true, "2 files taken");
    hears_end(c, true, "2 files taken");
    says(c, "{\"command\": \"reload\", \"files\": false}\n");
    master_was_asked("fr");
}
END_TEST

START_TEST(an_action_that_failed_is_told_with_all_that_is_wrong)
{
    struct client *c = comes();
    asks(c, "reload");
    master_was_asked("r");
    answer(0, false, "porteiro.conf:3: \"no\"\nporteiro.conf:7: no\n");
    hears_end(c, false, "porteiro.conf:3: \"no\"\nporteiro.conf:7: no\n");
}
END_TEST

START_TEST(what_comes_behind_an_action_waits_for_its_answer)
{
    struct client *c = comes();
    says(c, "{\"command\": \"status\"}\n{\"command\": \"reload\"}\n"
            "{\"command\": \"drain\"}\n{\"command\": \"status\"}\n");
    hears_status(c);
    master_was_asked("r");
    hears_nothing(c);
    ck_assert_str_eq(it.asked, "r");
    answer(0, true, "reloaded");
    hears_end(c, true, "reloaded");
    master_was_asked("rd");
    hears_nothing(c);
    answer(1, true, "drained");
    hears_end(c, true, "drained");
    hears_status(c);
}
END_TEST

START_TEST(an_answer_goes_to_who_has_asked)
{
    struct client *first = comes(), *second = comes(), *third = comes();
    asks(first, "reload");
    master_was_asked("r");
    asks(second, "drain");
    master_was_asked("rd");
    asks(third, "status");
    hears_status(third);
    ck_assert_uint_ne(it.requests[0], it.requests[1]);
    answer(1, true, "for the second");
    hears_end(second, true, "for the second");
    hears_nothing(first);
    answer(0, true, "for the first");
    hears_end(first, true, "for the first");
    hears_nothing(third);
}
END_TEST

START_TEST(an_answer_that_nobody_waits_for_is_dropped)
{
    struct client *waiting = comes(), *idle = comes();
    asks(waiting, "reload");
    master_was_asked("r");
    asks(idle, "status");
    hears_status(idle);
    control_socket_answer(it.socket, it.requests[0] + 1, true, span_of("for nobody"));
    control_socket_answer(it.socket, 0, true, span_of("for nobody"));
    hears_nothing(waiting);
    hears_nothing(idle);
    answer(0, true, "once");
    hears_end(waiting, true, "once");
    answer(0, true, "twice");
    hears_nothing(waiting);
}
END_TEST

START_TEST(who_has_asked_and_gone_gets_no_answer_and_hurts_nobody)
{
    unsigned before = open_descriptors();
    struct client *c = comes();
    asks(c, "reload");
    master_was_asked("r");
    leaves(c);
    turns_for(5);
    answer(0, true, "too late");
    UNTIL(open_descriptors() == before);
    answer(0, true, "and again");
}
END_TEST

/* ---- who may ---- */

START_TEST(who_may_read_may_not_change_and_is_told_what_would_help)
{
    struct client *c = visitor_with(_i == 0 ? CONTROL_READ : CONTROL_SUPPORT);
    asks(c, "status");
    hears_status(c);
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        asks(c, actions[i].command);
        hears_end(c, false, "needs a group with the role \"admin\" in control_groups");
    }
    ck_assert_str_eq(it.asked, "");
    was_logged_of_visitor("control_refused reason=reload");
    was_logged_of_visitor("control_refused reason=undrain");
    asks(c, "sessions");
    hears_end(c, true, "");
}
END_TEST

START_TEST(who_is_in_a_group_of_admins_may_change)
{
    struct client *c = visitor_with(CONTROL_ADMIN);
    asks(c, "drain");
    master_was_asked("d");
    was_logged_of_visitor("control_command command=drain");
}
END_TEST

/* ---- bans ---- */

static const struct {
    enum control_role role;
    bool may_lift, may_ban;
} of_bans[] = {
    {CONTROL_READ, false, false}, {CONTROL_SUPPORT, true, false}, {CONTROL_ADMIN, true, true}};

START_TEST(who_may_read_sees_bans_support_lifts_them_and_admins_make_them)
{
    struct client *c = visitor_with(of_bans[_i].role);
    says(c, "{\"command\": \"ban\", \"network\": \"192.0.2.7\", \"seconds\": 60}\n");
    hears_end(c, of_bans[_i].may_ban,
              of_bans[_i].may_ban ? "192.0.2.7 is banned until" : "the role \"admin\"");
    asks(c, "bans");
    if (of_bans[_i].may_ban) {
        json_t *row = hears_line(c);
        ck_assert_str_eq(json_string_value(json_object_get(row, "network")), "192.0.2.7");
        json_decref(row);
    }
    hears_end(c, true, "");
    says(c, "{\"command\": \"unban\", \"network\": \"192.0.2.7\"}\n");
    hears_end(c, of_bans[_i].may_lift,
              of_bans[_i].may_lift ? "bans lifted: " : "the role \"support\"");
    was_logged_of_visitor(of_bans[_i].may_lift ? "control_command command=unban"
                                               : "control_refused reason=unban");
}
END_TEST

START_TEST(who_may_read_sees_suspensions_support_lifts_them_and_admins_make_them)
{
    struct client *c = visitor_with(of_bans[_i].role);
    says(c, "{\"command\": \"suspend\", \"account\": \"ana\", \"scope\": \"all\", "
            "\"seconds\": 60}\n");
    hears_end(c, of_bans[_i].may_ban,
              of_bans[_i].may_ban ? "ana@example.com is suspended (all) until"
                                  : "the role \"admin\"");
    asks(c, "suspended");
    if (of_bans[_i].may_ban) {
        json_t *row = hears_line(c);
        ck_assert_str_eq(json_string_value(json_object_get(row, "account")), "ana@example.com");
        json_decref(row);
    }
    hears_end(c, true, "");
    says(c, "{\"command\": \"resume\", \"account\": \"ana\"}\n");
    hears_end(c, of_bans[_i].may_ban,
              of_bans[_i].may_ban    ? "ana"
              : of_bans[_i].may_lift ? "is not suspended"
                                     : "the role \"support\"");
}
END_TEST

START_TEST(who_may_nothing_is_told_so_and_sent_away)
{
    it.grants.owner = visitor_user() + 1;
    visitor_comes();
    struct client *c = comes();
    visitor_leaves();
    hears_end(c, false, "permission denied");
    sees_the_end(c);
    was_logged_of_visitor("control_refused");
}
END_TEST

START_TEST(thirty_two_clients_are_served_and_one_more_when_one_has_left)
{
    struct client *all[32];
    for (size_t i = 0; i < 32; i++) {
        all[i] = comes();
        asks(all[i], "status");
        hears_status(all[i]);
    }
    struct client *more = comes();
    hears_end(more, false, "");
    sees_the_end(more);
    unsigned before = open_descriptors();
    leaves(all[7]);
    UNTIL(open_descriptors() == before - 2);
    more = comes();
    asks(more, "status");
    hears_status(more);
}
END_TEST

/* ---- the end ---- */

START_TEST(a_closed_door_takes_nobody_new_and_those_who_are_in_are_answered)
{
    struct client *c = comes();
    asks(c, "reload");
    master_was_asked("r");
    control_socket_close_door(it.socket, on_empty, &it);
    struct client *late = comes();
    asks(late, "status");
    hears_nothing(late);
    ck_assert_uint_eq(it.emptied, 0);
    answer(0, true, "done");
    hears_end(c, true, "done");
    ck_assert_uint_eq(it.emptied, 0);
    leaves(c);
    UNTIL(it.emptied == 1);
    turns_for(5);
    ck_assert_uint_eq(it.emptied, 1);
}
END_TEST

START_TEST(a_door_behind_which_nobody_is_is_empty_at_once)
{
    control_socket_close_door(it.socket, on_empty, &it);
    ck_assert_uint_eq(it.emptied, 1);
}
END_TEST

START_TEST(the_last_to_leave_before_the_door_closes_is_told_to_nobody)
{
    unsigned before = open_descriptors();
    struct client *c = comes();
    asks(c, "status");
    hears_status(c);
    leaves(c);
    UNTIL(open_descriptors() == before);
    ck_assert_uint_eq(it.emptied, 0);
}
END_TEST

START_TEST(destroyed_it_lets_its_clients_go)
{
    struct client *idle = comes(), *waiting = comes();
    asks(idle, "status");
    hears_status(idle);
    asks(waiting, "reload");
    master_was_asked("r");
    control_socket_close_door(it.socket, on_empty, &it);
    control_socket_destroy(&it.socket);
    ck_assert_ptr_null(it.socket);
    sees_the_end(idle);
    sees_the_end(waiting);
    ck_assert_uint_eq(it.emptied, 0); /* who destroys it knows */
}
END_TEST

START_TEST(a_client_that_is_idle_costs_no_turns)
{
    struct client *c = comes();
    asks(c, "status");
    hears_status(c);
    turns_for(2);
    uint64_t before = turns.count;
    turns_for(20);
    ck_assert_uint_le(turns.count - before, 2);
}
END_TEST

START_TEST(a_client_that_waits_for_an_action_and_says_more_costs_no_turns)
{
    struct client *c = comes();
    says(c, "{\"command\": \"reload\"}\n{\"command\": \"status\"}\n");
    master_was_asked("r");
    asks(c, "status");
    turns_for(2);
    uint64_t before = turns.count;
    turns_for(20);
    ck_assert_uint_le(turns.count - before, 2);
}
END_TEST

static void create_and_destroy(void)
{
    create_socket();
    if ((it.socket == NULL) != failing_has_failed())
        abort();
    control_socket_destroy(&it.socket);
}

START_TEST(without_memory_there_is_no_socket)
{
    control_socket_destroy(&it.socket);
    WITH_EACH_ALLOCATION_FAILING(create_and_destroy());
}
END_TEST

START_TEST(who_says_that_he_asks_no_more_is_answered_first)
{
    struct client *c = comes();
    asks(c, "reload");
    ck_assert_int_eq(shutdown(c->fd, SHUT_WR), 0);
    master_was_asked("r");
    hears_nothing(c);
    answer(0, true, "done");
    hears_end(c, true, "done");
    sees_the_end(c);
}
END_TEST

START_TEST(who_asks_for_a_long_list_and_no_more_gets_all_of_it)
{
    struct client *c = comes();
    fill(FIGURES_SESSIONS);
    asks(c, "sessions");
    ck_assert_int_eq(shutdown(c->fd, SHUT_WR), 0);
    turns_for(5);
    hears_sessions(c, FIGURES_SESSIONS);
    sees_the_end(c);
}
END_TEST

START_TEST(an_answer_that_is_not_utf8_arrives_all_the_same)
{
    struct client *c = comes();
    asks(c, "reload");
    master_was_asked("r");
    answer(0, false, "porteiro.conf:3: hostname: m\xe9l is not a name");
    hears_end(c, false, "porteiro.conf:3");
}
END_TEST

SUITE(socket)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(what_was_heard_later_is_told_by_whoever_may_support);
    TEST(how_limits_stand_is_asked_elsewhere_by_whoever_may_read);
    TEST(what_would_happen_is_asked_elsewhere);
    TEST(status_is_a_line_and_then_how_it_went);
    TEST(a_request_may_come_byte_by_byte);
    TEST(without_sessions_the_answer_is_how_it_went);
    TEST(every_session_is_a_line);
    TEST(who_reads_slowly_gets_every_session_once);
    TEST(who_asks_while_a_list_is_under_way_is_answered_behind_it);
    TEST(who_leaves_in_the_middle_of_a_list_is_forgotten);
    LOOP_TEST(what_is_no_request_is_told_so_and_the_next_is_heard, nonsense);
    TEST(an_unknown_command_is_told_so);
    TEST(who_never_ends_his_line_is_sent_away);
    LOOP_TEST(an_action_is_answered_when_it_has_been_done, actions);
    TEST(a_reload_may_be_of_files_alone);
    TEST(an_action_that_failed_is_told_with_all_that_is_wrong);
    TEST(what_comes_behind_an_action_waits_for_its_answer);
    TEST(an_answer_goes_to_who_has_asked);
    TEST(an_answer_that_nobody_waits_for_is_dropped);
    TEST(who_has_asked_and_gone_gets_no_answer_and_hurts_nobody);
    tcase_add_loop_test(tests, who_may_read_may_not_change_and_is_told_what_would_help, 0, 2);
    TEST(who_is_in_a_group_of_admins_may_change);
    LOOP_TEST(who_may_read_sees_bans_support_lifts_them_and_admins_make_them, of_bans);
    LOOP_TEST(who_may_read_sees_suspensions_support_lifts_them_and_admins_make_them, of_bans);
    TEST(who_may_nothing_is_told_so_and_sent_away);
    TEST(thirty_two_clients_are_served_and_one_more_when_one_has_left);
    TEST(a_closed_door_takes_nobody_new_and_those_who_are_in_are_answered);
    TEST(a_door_behind_which_nobody_is_is_empty_at_once);
    TEST(the_last_to_leave_before_the_door_closes_is_told_to_nobody);
    TEST(destroyed_it_lets_its_clients_go);
    TEST(a_client_that_is_idle_costs_no_turns);
    TEST(a_client_that_waits_for_an_action_and_says_more_costs_no_turns);
    TEST(without_memory_there_is_no_socket);
    TEST(who_says_that_he_asks_no_more_is_answered_first);
    TEST(who_asks_for_a_long_list_and_no_more_gets_all_of_it);
    TEST(an_answer_that_is_not_utf8_arrives_all_the_same);
}
