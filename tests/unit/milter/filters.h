/* Milters as a test plays them, frame by frame, and a session that has them.
 *
 *     begin(2, "");                          two milters, m0 and m1, with these settings
 *     struct filter *f = comes(0, AGREED);   the next connection to m0, its options agreed on
 *     mail("a@example.com");
 *     hears(f, "M:<a@example.com>|");        frames as LETTER:DATA, each NUL as |
 *     says(f, "c", "");
 *     hears_answers("MAIL pass\n");                   what the session has been told since it last
 * looked */
#pragma once

#include "milter/chain.h"
#include "milter/milters.h"

#include "base/spool.h"
#include "config/folder.h"
#include "ipc/dialler.h"
#include "message/fields.h"
#include "net/peer.h"
#include "net/turns.h"
#include "telemetry/counters.h"
#include "telemetry/event.h"
#include "telemetry/logged.h"
#include "telemetry/mapping.h"

enum { MILTERS_MAX = 3, FILTERS_MAX = 24 };

struct filter {
    struct peer peer;
};

static struct {
    struct milters *milters;
    struct milter_chain *chain;
    struct spools *spools;
    struct fields *fields;
    struct spool *body;
    struct counters *counters;
    struct counter_table *table;
    struct event_log log;
    int log_ends[2];
    struct logged logged;
    int listening[MILTERS_MAX];
    struct sockaddr_in at[MILTERS_MAX];
    struct filter filters[FILTERS_MAX];
    size_t filter_count;
    bool uses[MILTERS_MAX];
    struct milter_client client;
    const char *helo;
    struct dialler *dialler;
    struct channel *master;
    struct buffer told;
    void (*on_told)(const struct milter_event *event); /* what the session does then */
} room;

/* ---- the session ---- */

static const char *const kinds[] = {[MILTER_MAIL] = "MAIL",
                                    [MILTER_RCPT] = "RCPT",
                                    [MILTER_DATA] = "DATA",
                                    [MILTER_TEXT] = "TEXT",
                                    [MILTER_END] = "END"};
static const char *const verdicts[] = {[MILTER_PASSES] = "pass",
                                       [MILTER_REFUSES] = "refuse",
                                       [MILTER_DISCARDS] = "discard",
                                       [MILTER_CLOSES] = "close"};

/* "RCPT b refuse 550 5.7.1 no\r\n", "MAIL failure 451 m0". */
static inline void on_answer(void *owner, const struct milter_event *event)
{
    const struct milter_answer *a = event->answer;
    ck_assert_ptr_eq(owner, &room);
    ck_assert_int_eq(buffer_printf(&room.told, "%s%s%s %s", kinds[event->kind],
                                   event->recipient == NULL ? "" : " ",
                                   event->recipient == NULL ? "" : (const char *)event->recipient,
                                   a->is_failure ? "failure" : verdicts[a->verdict]),
                     0);
    if (a->text != NULL)
        ck_assert_int_eq(buffer_printf(&room.told, " %s", a->text), 0);
    else if (a->verdict != MILTER_PASSES)
        ck_assert_int_eq(buffer_printf(&room.told, " %d %s\n", a->code, a->milter), 0);
    else
        ck_assert_int_eq(buffer_append(&room.told, span_of("\n")), 0);
    ck_assert((a->verdict == MILTER_PASSES) == (a->reason == NULL));
    if (room.on_told != NULL)
        room.on_told(event);
}

static inline const char *macro(void *owner, const char *name, char out[MILTER_MACRO_SIZE])
{
    static const char *const known[][2] = {
        {"j", "mail.example.com"}, {"i", "4711"}, {"{auth_authen}", "ana"}, {"{cipher}", ""}};
    ck_assert_ptr_eq(owner, &room);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i][0]) == 0) {
            (void)span_copy(span_of(known[i][1]), out, MILTER_MACRO_SIZE);
            return out;
        }
    return NULL;
}

static inline struct milter_chain *new_chain(void)
{
    const struct milter_options options = {.milters = room.milters,
                                           .listener = &config->listeners[0],
                                           .fn = on_answer,
                                           .macro = macro,
                                           .owner = &room};
    struct milter_chain *c = milter_chain_create(&options);
    ck_assert_ptr_nonnull(c);
    return c;
}

/* `addresses`: of the milters, where they aren't ours. */
static inline void configure(size_t count, const char *settings)
{
    char text[4096], names[64] = "";
    int used = snprintf(text, sizeof text, HOSTNAME TLS UPSTREAMS "milters = {");
    for (size_t i = 0; i < count; i++) {
        used += snprintf(text + used, sizeof text - (size_t)used,
                         " m%zu = { address = \"inet:127.0.0.1:%d\" %s }", i,
                         ntohs(room.at[i].sin_port), settings);
        (void)snprintf(names + strlen(names), sizeof names - strlen(names), "%s\"m%zu\"",
                       i == 0 ? "" : ", ", i);
    }
    (void)snprintf(text + used, sizeof text - (size_t)used,
                   " }\nlisteners = { l = { bind = [\"127.0.0.1:2525\"] upstream = \"smtp\" "
                   "max_message_size = 65536 milters = [%s] } }\n",
                   names); /* all of it fits */
    (void)config_of(text);
    count_is(0, 0);
}

static inline void no_file(void *owner)
{
    (void)owner;
}

static inline void begin(size_t count, const char *settings)
{
    turns_begin();
    for (size_t i = 0; i < MILTERS_MAX; i++) {
        room.listening[i] = peer_listen(&room.at[i], 0);
        room.uses[i] = true;
    }
    configure(count, settings);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, room.log_ends), 0);
    room.log =
        (struct event_log){.lines = log_create(room.log_ends[0], LOG_LEVEL_DEBUG), .process = ""};
    room.table = mapping_make(counter_table_size());
    room.counters = counters_create(room.table);
    room.dialler = dialler_create(&room.master);
    const struct spools_options spools = {.holding = mapping_make(holding_size()),
                                          .memory_max = 1 << 24,
                                          .files_max = 1 << 24,
                                          .in_memory = 1 << 20,
                                          .want = no_file};
    room.spools = spools_create(&spools);
    const struct milters_options options = {.loop = turns.loop,
                                            .config = config,
                                            .dialler = room.dialler,
                                            .spools = room.spools,
                                            .log = &room.log,
                                            .counters = room.counters};
    room.milters = milters_create(&options);
    ck_assert_ptr_nonnull(room.milters);
    room.told.limit = 1 << 20;
    room.helo = "client.example.com";
    room.client = (struct milter_client){.name = "[192.0.2.1]", .port = 0x4142};
    ck_assert_int_eq(address_make("192.0.2.1", 0x4142, &room.client.address), 0);
    room.chain = new_chain();
}

static inline void end(void)
{
    milter_chain_destroy(&room.chain);
    milters_destroy(&room.milters);
    fields_destroy(&room.fields);
    spool_destroy(&room.body);
    turns_for(1);
    for (size_t i = 0; i < room.filter_count; i++)
        peer_close(&room.filters[i].peer);
    for (size_t i = 0; i < MILTERS_MAX; i++)
        (void)close(room.listening[i]); /* may be closed */
    spools_destroy(&room.spools);
    dialler_destroy(&room.dialler);
    turns_end();
    log_destroy(&room.log.lines);
    counters_destroy(&room.counters);
    buffer_clear(&room.told);
    (void)close(room.log_ends[0]); /* what was told was told */
    (void)close(room.log_ends[1]);
}

static inline void mail(const char *sender)
{
    milter_chain_mail(room.chain, &room.client, room.helo, sender, NULL, 0, room.uses);
}

/* The name of a recipient is its address. */
static inline void rcpt(const char *address)
{
    ck_assert_int_eq(milter_chain_rcpt(room.chain, (void *)(uintptr_t)address, address, NULL, 0),
                     0);
}

static inline void text_begins(const char *header)
{
    fields_destroy(&room.fields);
    spool_destroy(&room.body);
    room.fields = fields_create(span_of(header), 1 << 20);
    room.body = spool_create(room.spools);
    ck_assert(room.fields != NULL && room.body != NULL);
    milter_chain_text(room.chain, room.fields, room.body);
}

static inline void body(const char *text)
{
    ck_assert_int_eq(spool_append(room.body, span_of(text)), 0);
    milter_chain_more(room.chain);
}

static inline void text(const char *header, const char *body_text)
{
    text_begins(header);
    body(body_text);
    milter_chain_end(room.chain);
}

/* The session has been told this, and no more. */
static inline void hears_answers(const char *expected)
{
    turns_wait_for(expected, __FILE__, __LINE__);
    while (room.told.size < strlen(expected))
        turns_look();
    (void)turns_were_enough();
    ck_assert_msg(span_equals(buffer_bytes(&room.told), expected), "\"%.*s\" instead of \"%s\"",
                  (int)room.told.size, room.told.data, expected);
    buffer_empty(&room.told);
}

static inline void hears_no_answer(void)
{
    turns_for(5);
    hears_answers("");
}

/* The header as it is now. */
static inline void fields_are(const char *expected)
{
    struct buffer out = {.limit = 1 << 20};
    ck_assert_int_eq(fields_write(room.fields, &out), 0);
    ck_assert_msg(span_equals(buffer_bytes(&out), expected), "\"%.*s\"", (int)out.size, out.data);
    buffer_clear(&out);
}

static inline unsigned lines_with(const char *part)
{
    return logged_with(&room.logged, room.log.lines, room.log_ends[1], part);
}

/* ---- the filters ---- */

static inline bool somebody_comes(size_t milter)
{
    int fd = accept4(room.listening[milter], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return false;
    ck_assert_uint_lt(room.filter_count, FILTERS_MAX);
    peer_init(&room.filters[room.filter_count++].peer, fd);
    return true;
}

static inline void nobody_comes(size_t milter)
{
    turns_for(5);
    ck_assert(!somebody_comes(milter));
}

/* The size of the frame at the front; 0: it isn't whole. */
static inline size_t frame_size(struct filter *f)
{
    struct peer *p = &f->peer;
    if (peer_read(p) < 4)
        return 0;
    size_t size = 4 + (size_t)milter_number(span_make(p->in, 4));
    return p->size < size ? 0 : size;
}

static inline void filters_use(TCase *tests)
{
    tcase_add_unchecked_fixture(tests, folder_make, folder_remove);
    tcase_add_checked_fixture(tests, findings_begin, findings_end);
}

/* The next frame is this. */
static inline void hears_bytes(struct filter *f, char code, struct span data)
{
    struct peer *p = &f->peer;
    UNTIL(frame_size(f) > 0 || peer_has_ended(p));
    size_t size = frame_size(f);
    ck_assert_msg(size > 0, "the end instead of '%c'", code);
    for (size_t i = 5; i < size && code != 'B'; i++)
        p->in[i] = (char)(p->in[i] == '\0' ? '|' : p->in[i]);
    ck_assert_msg(p->in[4] == code && size - 5 == data.size &&
                      memcmp(p->in + 5, data.data, data.size) == 0,
                  "\"%c:%.*s\" instead of \"%c:%.*s\"", p->in[4], (int)size - 5, p->in + 5, code,
                  (int)data.size, data.data);
    p->size -= size;
    memmove(p->in, p->in + size, p->size);
}

static inline void hears(struct filter *f, const char *frame)
{
    hears_bytes(f, frame[0], span_of(frame + 2));
}

/* The next frames have these letters, whatever they say. */
static inline void hears_all(struct filter *f, const char *codes)
{
    for (; *codes != '\0'; codes++) {
        UNTIL(frame_size(f) > 0 || peer_has_ended(&f->peer));
        size_t size = frame_size(f);
        ck_assert_msg(size > 0 && f->peer.in[4] == *codes, "'%c' instead of '%c'",
                      size > 0 ? f->peer.in[4] : '.', *codes);
        f->peer.size -= size;
        memmove(f->peer.in, f->peer.in + size, f->peer.size);
    }
}

static inline void hears_nothing(struct filter *f)
{
    turns_for(5);
    ck_assert_msg(peer_read(&f->peer) == 0 && !f->peer.has_ended, "'%c'", f->peer.in[4]);
}

static inline void sees_the_end(struct filter *f)
{
    UNTIL(peer_has_ended(&f->peer));
    ck_assert_msg(f->peer.size == 0, "'%c'", f->peer.in[4]);
}

static inline void says_bytes(struct filter *f, char code, const char *bytes, size_t size)
{
    char head[MILTER_HEAD_SIZE];
    milter_frame_head(code, size, head);
    peer_send(&f->peer, span_make(head, sizeof head));
    peer_send(&f->peer, span_make(bytes, size));
}

/* Frames without data, one for each letter. */
static inline void says(struct filter *f, const char *codes)
{
    for (; *codes != '\0'; codes++)
        says_bytes(f, *codes, "", 0);
}

/* One with data, a literal. */
#define SAYS(f, code, data) says_bytes(f, code, data, sizeof(data) - 1)

#define OFFER     "O:|||\6||\1\xff\x30\x1f\xff\xff"
#define AGREED    "\0\0\0\6\0\0\1\xff\0\0\0\0"
#define NO_MACROS "\0\0\0\0\0\0\0\0\1\0\0\0\0\2\0\0\0\0\3\0\0\0\0\4\0\0\0\0\5\0\0\0\0\6\0"

static inline struct filter *comes_with(size_t milter, const char *options, size_t size)
{
    UNTIL(somebody_comes(milter));
    struct filter *f = &room.filters[room.filter_count - 1];
    hears(f, OFFER);
    says_bytes(f, 'O', options, size);
    return f;
}

/* The next connection, and what it answers to the offer of options. */
#define COMES(milter, options) comes_with(milter, options, sizeof(options) - 1)

#define CONNECT "C:[192.0.2.1]|4AB192.0.2.1|"
#define HELO    "H:client.example.com|"
