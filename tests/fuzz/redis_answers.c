/* What Redis, a Sentinel or a node of a Cluster says: as values, whole and cut; and to a worker who
 * logs in and counts. The first byte says to whom it is said, the second where it is cut. Whoever
 * it sends us to can't be reached. */
#include "base/log.h"
#include "decision/redis_store.h"
#include "redis/redirect.h"

#include "turns.h"

#include <stdlib.h>

enum { SERVERS = 2, TAKES = 4, CALLS_MAX = 8 };

static struct {
    struct redis_server servers[SERVERS];
    const char *texts[SERVERS];
    struct redis_config config;
    struct event_log log;
    struct counter_table *table;
    struct redis_options options;
    struct redis *redis;
    struct redis_store *store;
    struct span input;
    struct cuts cuts;
    int peer; /* the other end of the last connection */
    unsigned asked, answered;
} it;

int __wrap_connect(int fd, const struct sockaddr *at, socklen_t size);
int __wrap_connect(int fd, const struct sockaddr *at, socklen_t size)
{
    (void)fd, (void)at, (void)size;
    errno = ECONNREFUSED;
    return -1;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    for (size_t i = 0; i < SERVERS; i++) {
        it.texts[i] = "unix:/redis";
        it.servers[i] = (struct redis_server){.text = it.texts[i], .is_unix = true};
    }
    it.table = calloc(1, counter_table_size());
    it.log = (struct event_log){
        .lines = log_create(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_LEVEL_DEBUG),
        .process = ""};
    must(it.table != NULL && it.log.lines != NULL, "there is memory");
    return 0;
}

/* ---- values ---- */

static void record_value(struct record *r, const struct redis_value *value)
{
    record_number(r, value->kind);
    if (value->kind <= REDIS_ERROR)
        record_span(r, value->text);
    record_number(r, value->kind == REDIS_INTEGER ? value->integer : 0);
    must(value->kind == REDIS_ARRAY || value->count == 0, "arrays alone have items");
    for (size_t i = 0; i < value->count; i++)
        record_value(r, &value->items[i]);
}

static void record_redirect(struct record *r, const struct redis_value *value)
{
    char text[ADDRESS_TEXT_SIZE];
    struct address from, to;
    struct error why;
    must(address_make("192.0.2.1", 6379, &from) == 0, "an address is one");
    if (redis_redirect(value, "MOVED", &from, &to, &why) > 0 ||
        redis_master_address(value, &to, &why) == 0) {
        address_format(&to, text);
        must(address_port(&to) > 0, "who is named has a port");
        record_span(r, span_of(text));
    }
}

static struct record read_all(struct span input, struct cuts cuts)
{
    struct record r = record_make();
    struct redis_reader *reader = redis_reader_create();
    const struct redis_value *value;
    struct error why;
    int got = 0;
    must(reader != NULL, "there is a reader");
    while (got >= 0 && input.size > 0) {
        struct span piece = next_piece(&cuts, &input);
        while ((got = redis_reader_take(reader, &piece, &value, &why)) > 0) {
            record_value(&r, value);
            record_redirect(&r, value);
        }
        must(got < 0 || piece.size == 0, "what is not wrong is used up");
    }
    record_number(&r, got);
    redis_reader_destroy(&reader);
    return r;
}

/* ---- a worker ---- */

static void dial(void *owner, size_t index)
{
    int ends[2];
    (void)owner;
    if (it.peer >= 0)
        (void)close(it.peer); /* it is lost */
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0,
         "there is a pair");
    it.peer = ends[1];
    redis_dialled(it.redis, index, ends[0]);
}

static void on_answers(void *owner, const struct counter_answer *answers)
{
    (void)owner;
    it.answered++;
    for (size_t i = 0; answers != NULL && i < TAKES; i++)
        must(!(answers[i].is_taken && answers[i].is_refusing), "who is taken does not refuse");
}

static void count(void)
{
    static const struct counter_take takes[TAKES] = {
        {.kind = COUNTER_RATE,
         .group = 0,
         .needs = STORE_NO_GROUP,
         .key = {"a b", 3},
         .rate = {1000, 5000, 0}},
        {.kind = COUNTER_AT_ONCE,
         .group = 0,
         .needs = STORE_NO_GROUP,
         .key = {"c d", 3},
         .at_once = {3, 7, 1000}},
        {.kind = COUNTER_DISTINCT,
         .group = 1,
         .needs = 0,
         .key = {"e f", 3},
         .distinct = {3, 7, 1000}},
        {.kind = COUNTER_RATIO, .group = 2, .needs = 1, .key = {"g h", 3}, .ratio = {50, 3, 1000}}};
    if (it.asked < CALLS_MAX && redis_store_take(it.store, takes, TAKES, on_answers, NULL) == 0)
        it.asked++;
}

/* Something more is said when something was heard. */
static void each_turn(void *owner)
{
    char heard[4096];
    bool is_heard = false;
    (void)owner;
    while (it.peer >= 0 && recv(it.peer, heard, sizeof heard, MSG_DONTWAIT) > 0)
        is_heard = true;
    if (!is_heard)
        return;
    struct span said = span_split(&it.input, '\0');
    while (said.size > 0) {
        struct span piece = next_piece(&it.cuts, &said);
        (void)send(it.peer, piece.data, piece.size, MSG_DONTWAIT | MSG_NOSIGNAL); /* or is lost */
    }
    count();
}

static void converse(struct span input, unsigned who, struct cuts cuts)
{
    const struct descriptors before = open_descriptors();
    turns_begin();
    it.config = (struct redis_config){.username = "",
                                      .sentinel_username = "",
                                      .master = "mail",
                                      .prefix = "porteiro",
                                      .timeout_ms = 10000,
                                      .database = who & 4,
                                      .servers = it.servers,
                                      .server_count = (who & 2) != 0 ? SERVERS : 1};
    if ((who & 1) != 0)
        it.config.sentinels = (struct text_list){it.texts, it.config.server_count};
    it.options = (struct redis_options){.loop = turns.loop,
                                        .config = &it.config,
                                        .password = (who & 8) != 0 ? "secret" : "",
                                        .sentinel_password = "",
                                        .log = &it.log,
                                        .counters = counters_create(it.table),
                                        .dial = dial};
    it.input = input;
    it.cuts = cuts;
    it.peer = -1;
    it.asked = it.answered = 0;
    it.redis = redis_create(&it.options);
    it.store = redis_store_create(it.redis, it.config.prefix);
    must(it.redis != NULL && it.store != NULL, "there is memory");
    count(); /* before the connection stands */
    turns_run(64, each_turn);
    redis_destroy(&it.redis);
    must(it.asked == it.answered, "each call is answered once");
    redis_store_destroy(&it.store);
    counters_destroy(&it.options.counters);
    if (it.peer >= 0)
        (void)close(it.peer); /* it is lost */
    turns_end();
    log_flush(it.log.lines);
    no_descriptor_is_left(&before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    unsigned who = take_byte(&input);
    const struct cuts whole = {0}, cut = {take_byte(&input)};
    struct buffer text = {.limit = SIZE_MAX};
    for (struct span rest = input; rest.size > 0;)
        must(buffer_append(&text, span_split(&rest, '\0')) == 0, "there is memory");
    struct record a = read_all(buffer_bytes(&text), whole), b = read_all(buffer_bytes(&text), cut);
    records_are_equal(&a, &b, "where input is cut makes no difference");
    buffer_clear(&text);
    converse(input, who, cut);
    return 0;
}
