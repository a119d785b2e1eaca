/* What two filters say while a session goes on: steps of one octet, some with another behind them,
 * and one of them with a frame. */
#include "base/log.h"
#include "base/spool.h"
#include "config/config.h"
#include "ipc/dialler.h"
#include "message/fields.h"
#include "milter/chain.h"
#include "milter/milters.h"
#include "telemetry/counters.h"
#include "telemetry/event.h"

#include "turns.h"

#include <limits.h>
#include <signal.h>

enum { MILTERS = 2, FILTERS = 32, RCPTS = 8, PAUSE = 4 };

static struct {
    struct config config;
    struct milter_config milters[MILTERS];
    const struct milter_config *list[MILTERS];
    struct listener_config listener;
    struct milters *worker;
    struct milter_chain *chain;
    struct spools *spools;
    struct holding *holding;
    struct counter_table *table;
    struct counters *counters;
    struct event_log log;
    struct fields *fields;
    struct spool *body;
    struct channel *master;
    struct dialler *dialler;
    int master_fd, log_ends[2], filters[FILTERS];
    size_t filter_count;
    struct span input;
    unsigned pause;                          /* turns */
    unsigned asked, answered, rcpts, passed; /* of this message; recipients */
    enum { IDLE, ENVELOPE, DATA, TEXT, WHOLE } state;
} it;

static void on_dialled(void *owner, const struct message *m)
{
    (void)owner;
    dialler_take(it.dialler, m);
}

/* The master connects to whatever it is asked for. */
static void dial(void)
{
    struct {
        uint32_t type;
        struct message_dial which;
    } asked;
    int ends[2];
    while (it.filter_count < FILTERS &&
           recv(it.master_fd, &asked, sizeof asked, MSG_DONTWAIT) == sizeof asked) {
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0,
             "a pair");
        char control[CMSG_SPACE(sizeof(int))] = {0};
        struct iovec part = {&asked, sizeof asked};
        struct msghdr head = {.msg_iov = &part,
                              .msg_iovlen = 1,
                              .msg_control = control,
                              .msg_controllen = sizeof control};
        struct cmsghdr *c = CMSG_FIRSTHDR(&head);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), ends, sizeof(int));
        must(sendmsg(it.master_fd, &head, MSG_NOSIGNAL) > 0, "the worker is there");
        (void)close(ends[0]); /* it was sent */
        it.filters[it.filter_count++] = ends[1];
    }
}

/* What filters are told is read away, so that more can be. */
static void look(void)
{
    static char told[65536];
    dial();
    for (size_t i = 0; i < it.filter_count; i++)
        while (it.filters[i] >= 0 && recv(it.filters[i], told, sizeof told, MSG_DONTWAIT) > 0)
            continue;
}

static void on_answer(void *owner, const struct milter_event *event)
{
    const struct milter_answer *a = event->answer;
    (void)owner;
    must(it.answered++ < it.asked, "what wasn't asked isn't answered");
    must((a->verdict == MILTER_PASSES) == (a->reason == NULL), "who refuses says why");
    must(a->verdict != MILTER_REFUSES || (a->code >= 400 && a->code <= 599), "a refusal refuses");
    must(a->text == NULL || is_ascii(span_of(a->text)), "a reply is printable");
    it.passed += event->kind == MILTER_RCPT && a->verdict == MILTER_PASSES;
    if (event->kind == MILTER_DATA && a->verdict == MILTER_PASSES)
        it.state = TEXT;
    if (event->kind == MILTER_TEXT || event->kind == MILTER_END)
        it.state = IDLE;
}

static const char *macro(void *owner, const char *name, char out[MILTER_MACRO_SIZE])
{
    (void)owner;
    (void)span_copy(span_of(name), out, MILTER_MACRO_SIZE);
    return name[0] == '{' ? out : NULL;
}

static void make_chain(void)
{
    const struct milter_options options = {
        .milters = it.worker, .listener = &it.listener, .fn = on_answer, .macro = macro};
    it.chain = milter_chain_create(&options);
    must(it.chain != NULL, "there is a chain");
    it.state = IDLE;
}

static void mail(unsigned uses)
{
    struct milter_client client = {.name = "[192.0.2.1]", .port = 1 + uses / 8 % 2};
    const bool in_use[MILTERS] = {uses % 4 != 1, uses % 4 != 2};
    must(address_make("192.0.2.1", 1, &client.address) == 0, "an address");
    milter_chain_mail(it.chain, &client, uses / 16 % 2 == 0 ? "a" : "b", "a@example.com", NULL, 0,
                      in_use);
    it.asked = 1;
    it.answered = it.rcpts = it.passed = 0;
    it.state = ENVELOPE;
}

static void begin_text(void)
{
    fields_destroy(&it.fields);
    spool_destroy(&it.body);
    it.fields = fields_create(span_of("Subject: a\r\n b\r\nTo: c\r\n"), 65536);
    it.body = spool_create(it.spools);
    must(it.fields != NULL && it.body != NULL, "there is a message");
    it.asked++;
    milter_chain_text(it.chain, it.fields, it.body);
}

static void go_on(unsigned with)
{
    static const char piece[70000];
    bool is_answered = it.answered == it.asked;
    if (it.state == IDLE) {
        milter_chain_abort(it.chain);
        mail(with);
    } else if (it.state == ENVELOPE && it.rcpts < RCPTS && (with % 2 == 0 || !is_answered)) {
        it.rcpts++;
        if (with % 8 == 0) {
            milter_chain_rcpt_refused(it.chain, "x@example.com", "550 no\r\n");
        } else {
            it.asked++;
            must(milter_chain_rcpt(it.chain, &it, "b@example.com", NULL, 0) == 0, "memory");
        }
    } else if (it.state == ENVELOPE && is_answered && it.passed > 0) {
        it.asked++;
        it.state = DATA;
        milter_chain_data(it.chain);
    } else if (it.state == TEXT && it.answered == it.asked) {
        begin_text();
    } else if (it.state == TEXT && with % 2 == 0 && spool_size(it.body) < 1000000) {
        must(spool_append(it.body, span_make(piece, with % 4 == 0 ? sizeof piece : 10)) == 0,
             "room");
        milter_chain_more(it.chain);
    } else if (it.state == TEXT) {
        it.state = WHOLE;
        milter_chain_end(it.chain);
    }
}

static void say(unsigned which, char code, struct span data)
{
    char head[MILTER_HEAD_SIZE];
    int *fd = &it.filters[it.filter_count == 0 ? 0 : which % it.filter_count];
    if (it.filter_count == 0 || *fd < 0)
        return;
    milter_frame_head(code, data.size, head);
    (void)send(*fd, head, sizeof head, MSG_DONTWAIT | MSG_NOSIGNAL); /* or it is dead */
    if (data.size > 0)
        (void)send(*fd, data.data, data.size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void hang_up(unsigned which)
{
    if (it.filter_count == 0)
        return;
    int *fd = &it.filters[which % it.filter_count];
    if (*fd >= 0)
        (void)close(*fd); /* as a filter that dies */
    *fd = -1;
}

static void step(struct span *input)
{
    static const char codes[] = "ccccsparytd4fhimbe+2-qO";
    static const char agreed[] = "\0\0\0\6\0\0\1\xff\0\0\0\0";
    unsigned what = take_byte(input), more = take_byte(input), length = 0;
    switch (what % 8) {
    case 0:
    case 1: go_on(more); break;
    case 2: say(what / 8, 'c', span_make("", 0)); break;
    case 3: say(what / 8, codes[more % (sizeof codes - 1)], span_make("", 0)); break;
    case 4:
        length = take_byte(input);
        say(what / 8, codes[more % (sizeof codes - 1)],
            span_take(input, length < input->size ? length : input->size));
        break;
    case 5: say(what / 8, 'O', span_make(agreed, sizeof agreed - 1)); break;
    case 6: it.pause = PAUSE; break;
    default:
        if (more % 8 == 0) {
            milter_chain_destroy(&it.chain);
            make_chain();
        } else if (more % 8 == 1) {
            hang_up(what / 8);
        } else if (more % 8 == 2) {
            milter_chain_abort(it.chain);
            it.state = IDLE;
        }
    }
}

/* A turn: steps up to a pause, then the end of the session. */
static void go(void *owner)
{
    (void)owner;
    look();
    if (it.pause > 0) {
        it.pause--;
        return;
    }
    while (it.input.size > 0 && it.pause == 0)
        step(&it.input);
    if (it.input.size > 0 || it.pause > 0)
        return;
    milter_chain_destroy(&it.chain);
    milters_destroy(&it.worker);
    it.pause = 1000; /* whatever is left to do is done meanwhile */
    turns.left = PAUSE;
}

static void want_file(void *owner)
{
    (void)owner;
}

static void begin(void)
{
    struct error why;
    int ends[2];
    const int failures[MILTERS] = {MILTER_FAILURE_ACCEPT, MILTER_FAILURE_TEMPFAIL};
    turns_begin();
    for (size_t i = 0; i < MILTERS; i++) {
        it.milters[i] = (struct milter_config){.name = "m",
                                               .at.path = "/m",
                                               .on_failure = failures[i],
                                               .connect_timeout_ms = 1000,
                                               .reply_timeout_ms = 1000,
                                               .message_timeout_ms = 1000};
        it.list[i] = &it.milters[i];
    }
    it.config = (struct config){.milters = it.milters, .milter_count = MILTERS};
    it.listener = (struct listener_config){
        .milters = it.list, .milter_count = MILTERS, .max_message_size = 65536};
    must(channel_pair(ends, &why) == 0, "there is a pair");
    it.master = channel_create(turns.loop, ends[0], on_dialled, NULL);
    it.master_fd = ends[1];
    it.dialler = dialler_create(&it.master);
    it.holding = calloc(1, holding_size());
    it.table = calloc(1, counter_table_size());
    it.counters = counters_create(it.table);
    must(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, it.log_ends) == 0, "there is a pair");
    it.log =
        (struct event_log){.lines = log_create(it.log_ends[0], LOG_LEVEL_ERROR), .process = ""};
    const struct spools_options spools = {.holding = it.holding,
                                          .memory_max = 1 << 24,
                                          .files_max = 1 << 24,
                                          .in_memory = 1 << 22,
                                          .want = want_file};
    it.spools = spools_create(&spools);
    const struct milters_options options = {.loop = turns.loop,
                                            .config = &it.config,
                                            .dialler = it.dialler,
                                            .spools = it.spools,
                                            .log = &it.log,
                                            .counters = it.counters};
    it.worker = milters_create(&options);
    must(it.worker != NULL && it.dialler != NULL && it.spools != NULL, "memory");
    it.filter_count = 0;
    make_chain();
}

static void end(void)
{
    for (size_t i = 0; i < it.filter_count; i++)
        if (it.filters[i] >= 0)
            (void)close(it.filters[i]);
    (void)close(it.master_fd);
    channel_destroy(&it.master);
    dialler_destroy(&it.dialler);
    fields_destroy(&it.fields);
    spool_destroy(&it.body);
    spools_destroy(&it.spools);
    turns_end();
    log_destroy(&it.log.lines);
    (void)close(it.log_ends[0]); /* nobody has read it */
    (void)close(it.log_ends[1]);
    counters_destroy(&it.counters);
    free(it.table);
    free(it.holding);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    (void)signal(SIGPIPE, SIG_IGN); /* as the programs do */
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    const struct descriptors before = open_descriptors();
    begin();
    it.input = input;
    it.pause = 0;
    turns_run(UINT_MAX, go);
    end();
    no_descriptor_is_left(&before);
    return 0;
}
