/* What a worker that was taken over asks of an auth process. Each message is four bytes (what, the
 * exchange, the mechanism, the response's length) and a response. */
#include "base/log.h"
#include "config/config.h"
#include "config/mechanisms.h"
#include "ipc/channel.h"
#include "sasl/backend.h"
#include "sasl/secrets.h"
#include "sasl/service.h"

#include "turns.h"

#include <fcntl.h>
#include <stdlib.h>

#define PASSWORD "secret"

static struct config *config;
static struct backend *backend;
static struct event_log event_log;
static char folder[256];

static void remove_folder(void)
{
    char command[512];
    (void)snprintf(command, sizeof command, "rm -rf %s", folder); /* fits */
    (void)!system(command);                                       /* it is ours */
}

static void run(const char *command)
{
    must(system(command) == 0, command);
}

static void complain(void *owner, enum finding kind, const char *text)
{
    (void)owner, (void)kind;
    fprintf(stderr, "%s\n", text);
}

/* A store with one user, and a configuration that names it. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char command[512], path[512];
    struct errors *errors = errors_create();
    const char *place = getenv("TMPDIR");
    (void)argc, (void)argv;
    (void)snprintf(folder, sizeof folder, "%s/porteiro-fuzz-XXXXXX",
                   place == NULL ? "/tmp" : place); /* fits */
    must(mkdtemp(folder) != NULL && atexit(remove_folder) == 0, "there is a folder");
    (void)snprintf(command, sizeof command,
                   "printf " PASSWORD " | saslpasswd2 -p -c -f %s/sasldb2 -u example.com ana",
                   folder);
    run(command);
    (void)snprintf(path, sizeof path, "%s/porteiro.conf", folder);
    FILE *out = fopen(path, "we");
    must(out != NULL, "there is a configuration");
    fprintf(out,
            "hostname = \"mail.example.com\"\n"
            "tls = { default = { certificate = [\"/c\"] key = [\"/k\"] } }\n"
            "upstreams = { smtp = { servers = { a = { address = \"192.0.2.5:25\" } } } }\n"
            "auth = { sasldb = \"%s/sasldb2\" realm = \"example.com\" }\n",
            folder);
    must(fclose(out) == 0, "it is written");
    config = config_load(path, errors);
    errors_each(errors, complain, NULL);
    must(config != NULL && errors_count(errors) == 0, "it is taken");
    errors_destroy(&errors);
    backend = calloc(1, backend_size());
    event_log.lines = log_create(-1, LOG_LEVEL_ERROR + 1);
    event_log.process = "";
    must(backend != NULL && event_log.lines != NULL, "there is memory");
    return 0;
}

/* Returns whether an answer may come for it. */
static void ask(int fd, struct span *input)
{
    unsigned what = take_byte(input), which = take_byte(input), mechanism = take_byte(input);
    unsigned length = take_byte(input);
    struct span text = span_take(input, length < input->size ? length : input->size);
    struct {
        uint32_t type;
        struct message_auth_start start;
        char text[256];
    } m = {.type = what % 4 == 0   ? MESSAGE_AUTH_START
                   : what % 4 == 1 ? MESSAGE_AUTH_STEP
                   : what % 4 == 2 ? MESSAGE_AUTH_CANCEL
                                   : what % MESSAGE_COUNT,
           .start = {.service = which / 64, .has_response = length > 0}};
    size_t head = m.type == MESSAGE_AUTH_START ? sizeof m.start : sizeof m.start.exchange;
    m.start.exchange.slot = which % 16 == 15 ? UINT32_MAX - which : which % 8;
    m.start.exchange.generation = which / 16 % 2;
    m.start.mechanism = mechanism < 250 ? mechanism % MECHANISM_COUNT : mechanism << 24;
    m.start.binding_size = which >= 128 ? which * mechanism : 0;
    memset(m.start.binding_name, 'x', sizeof m.start.binding_name); /* without an end */
    if (text.size > 0)
        memcpy((char *)&m.start + head, text.data, text.size);
    send_raw(fd, span_make((const char *)&m, sizeof m.type + head + text.size), what / 128);
}

/* Reads all answers. Returns how many. */
static unsigned hear(int fd, bool is_password_known)
{
    struct {
        uint32_t type;
        struct message_auth_done done;
        char text[MESSAGE_TAIL_MAX];
    } m;
    unsigned count = 0;
    ssize_t size;
    for (; (size = recv(fd, &m, sizeof m, MSG_DONTWAIT)) > 0; count++) {
        size_t head = sizeof m.type + sizeof m.done;
        if (m.type == MESSAGE_AUTH_CHALLENGE)
            continue;
        must(m.type == MESSAGE_AUTH_DONE && (size_t)size >= head, "an answer is one");
        must(m.done.outcome <= AUTH_MALFORMED, "an outcome is one");
        must(m.done.outcome != AUTH_GOOD || is_password_known, "nobody gets in without the key");
        must(m.done.outcome == AUTH_GOOD
                 ? span_equals(span_make(m.text, (size_t)size - head), "ana@example.com")
                 : m.done.outcome == AUTH_UNAVAILABLE || (size_t)size == head,
             "who got in is told, and nothing of anybody else");
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    bool is_known = memmem(data, size, PASSWORD, strlen(PASSWORD)) != NULL;
    struct error why;
    int ends[2];
    unsigned asked = 0;
    turns_begin();
    static const unsigned char key[SASL_SECRET_SIZE] = {1};
    const struct sasl_service_options options = {
        .loop = turns.loop, .config = config, .log = &event_log, .backend = backend, .secret = key};
    struct sasl_service *service = sasl_service_create(&options, &why);
    must(service != NULL && channel_pair(ends, &why) == 0, "there is a service");
    sasl_service_add(service, ends[0], true);
    for (; input.size > 0 && asked < 64; asked++)
        ask(ends[1], &input);
    (void)shutdown(ends[1], SHUT_WR); /* that is its end */
    turns_run(8, NULL);
    must(hear(ends[1], is_known) <= asked, "an answer is to a question");
    must(sasl_service_is_empty(service), "the end is told");
    (void)close(ends[1]); /* all was heard */
    sasl_service_destroy(&service);
    turns_end();
    return 0;
}
