/* What is said to the control socket, as porteiroctl would or not. The first byte says how the
 * master answers. */
#include "base/log.h"
#include "control/socket.h"

#include "turns.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/un.h>

enum { ANSWERS_MAX = 4 << 20 };

static struct {
    struct sockaddr_un at;
    socklen_t at_size;
    int listening;
    struct board board;
    struct banning banning;
    struct limit_setting limit_setting;
    struct suspending suspending;
    struct kicking kicking;
    struct showing showing;
    struct config config;
    struct event_log log;
    struct grants grants;
    struct control_socket *socket;
    uint32_t request; /* that the master was asked for; 0: none */
    unsigned how;
    struct span input;
    int client;
    struct buffer heard;
} it;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    it.config = (struct config){.hostname = "mail.example.com", .max_connections = 16};
    it.board = (struct board){.config = &it.config,
                              .labels = calloc(1, labels_size()),
                              .counters = calloc(1, counter_table_size()),
                              .processes = calloc(1, process_table_size()),
                              .health = calloc(1, health_size()),
                              .sessions = {calloc(1, session_table_size(16)), 16}};
    int log = open("/dev/null", O_WRONLY | O_CLOEXEC);
    it.log = (struct event_log){.lines = log_create(log, LOG_LEVEL_ERROR), .process = ""};
    it.banning = (struct banning){
        .bans = calloc(1, bans_size()), .config = &it.config, .log = &it.log, .process = 1};
    it.limit_setting = (struct limit_setting){
        .limits = calloc(1, set_limits_size()), .config = &it.config, .log = &it.log, .process = 1};
    struct witness *witness =
        witness_create(&(struct witness_options){&it.config, calloc(1, witness_memory_size()), 1});
    must(witness != NULL, "there is memory");
    witness_hear(witness, span_of("time=t level=info event=login session=6k2x0v8q7hna "
                                  "client=192.0.2.7:4711 account=ana@example.com"));
    it.config.auth.realm = "example.com";
    it.suspending = (struct suspending){.bans = it.banning.bans,
                                        .log = &it.log,
                                        .process = 1,
                                        .cache = {.realm = "example.com"},
                                        .processes = it.board.processes};
    it.showing = (struct showing){.witness = witness,
                                  .board = &it.board,
                                  .banning = &it.banning,
                                  .suspending = &it.suspending};
    it.grants = (struct grants){.owner = geteuid()};
    it.at = (struct sockaddr_un){.sun_family = AF_UNIX};
    it.at_size = sizeof it.at;
    it.listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    must(bind(it.listening, (const struct sockaddr *)&it.at,
              offsetof(struct sockaddr_un, sun_path)) == 0 &&
             getsockname(it.listening, (struct sockaddr *)&it.at, &it.at_size) == 0 &&
             listen(it.listening, 8) == 0,
         "there is a socket without a file");
    return 0;
}

static void on_request(void *owner, uint32_t request)
{
    (void)owner;
    must(it.request == 0, "one thing at a time is asked of the master");
    it.request = request;
}

static void on_name(void *owner, uint32_t request, const char *name)
{
    (void)name; /* of an account, or a message */
    on_request(owner, request);
}

static void on_count(void *owner, uint32_t request, const char *account, json_int_t count)
{
    (void)account, (void)count; /* as told */
    on_request(owner, request);
}

static void on_login(void *owner, uint32_t request, const char *name, const char *password)
{
    (void)name, (void)password; /* nobody's */
    on_request(owner, request);
}

static void on_order(void *owner, uint32_t request, bool is_so)
{
    (void)is_so; /* --files; on or off */
    on_request(owner, request);
}

static void on_question(void *owner, uint32_t request, const json_t *question)
{
    (void)question; /* whatever it is */
    on_request(owner, request);
}

/* The master answers; what was heard is kept. */
static void each_turn(void *owner)
{
    char bytes[65536];
    ssize_t size;
    uint32_t request = it.request;
    (void)owner;
    it.request = 0;
    if (request != 0) /* in any words, and perhaps to somebody who hasn't asked */
        control_socket_answer(it.socket, it.how % 8 == 7 ? request + 1 : request, it.how % 2 == 0,
                              it.input);
    while ((size = recv(it.client, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        must(buffer_append(&it.heard, span_make(bytes, (size_t)size)) == 0,
             "an answer is no flood");
}

/* Every line is an object, and no question has two ends. */
static void check(struct span heard, struct span asked)
{
    size_t questions = 0, ends = 0;
    for (size_t i = 0; i < asked.size; i++)
        questions += asked.data[i] == '\n';
    while (heard.size > 0) {
        must(memchr(heard.data, '\n', heard.size) != NULL, "a line has an end");
        struct span line = span_split(&heard, '\n');
        json_t *object = json_loadb(line.data, line.size, 0, NULL);
        must(json_is_object(object), "a line is an object");
        ends += json_object_get(object, "ok") != NULL;
        json_decref(object);
    }
    must(ends <= questions, "an answer is to a question");
}

static void on_master(void *owner, const struct message *m)
{
    (void)owner, (void)m;
}

/* The master takes what it is told, as long as that fits. Returns its end. */
static int begin_kicking(void)
{
    int ends[2];
    struct error why;
    must(channel_pair(ends, &why) == 0, "there is a master");
    it.kicking = (struct kicking){.board = &it.board,
                                  .master = channel_create(turns.loop, ends[0], on_master, NULL)};
    must(it.kicking.master != NULL, "there is memory");
    return ends[1];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    it.input = span_make((const char *)data, size);
    it.how = take_byte(&it.input);
    it.heard = (struct buffer){.limit = ANSWERS_MAX};
    it.request = 0;
    turns_begin();
    int master = begin_kicking();
    const struct control_socket_options options = {.loop = turns.loop,
                                                   .fd = it.listening,
                                                   .grants = &it.grants,
                                                   .board = &it.board,
                                                   .banning = &it.banning,
                                                   .limit_setting = &it.limit_setting,
                                                   .suspending = &it.suspending,
                                                   .kicking = &it.kicking,
                                                   .showing = &it.showing,
                                                   .log = &it.log,
                                                   .actions = {.reload = on_order,
                                                               .set_drain = on_order,
                                                               .forget = on_name,
                                                               .resumed = on_name,
                                                               .count = on_count,
                                                               .count_message = on_name,
                                                               .login_test = on_login,
                                                               .limits = on_question,
                                                               .explain = on_question}};
    it.socket = control_socket_create(&options);
    it.client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(it.socket != NULL &&
             connect(it.client, (const struct sockaddr *)&it.at, it.at_size) == 0 &&
             send(it.client, it.input.data, it.input.size, MSG_NOSIGNAL) == (ssize_t)it.input.size,
         "there is a client");
    turns_run(64, each_turn);
    check(buffer_bytes(&it.heard), it.input);
    control_socket_destroy(&it.socket);
    channel_destroy(&it.kicking.master);
    turns_end();
    (void)close(it.client); /* all was heard */
    (void)close(master);    /* as was what it was told, or not */
    buffer_clear(&it.heard);
    return 0;
}
