#include "control/notice.h"

#include "base/clock.h"
#include "control/history.h"
#include "control/line_json.h"
#include "control/witness.h"
#include "telemetry/event.h"

#include <stdlib.h>

enum { TEXT_SIZE = 320, TEXTS_MAX = 8 };
#define LATELY_NS (3600 * CLOCK_SECOND)

static const struct {
    enum event event;
    const char *verdicts; /* "": whatever they are */
    const char *field;    /* "": it needs none */
} notices[] = {
#define NOTICE(name, event, verdicts, field, help) \
    [NOTICE_##name] = {EVENT_##event, verdicts, field},
#include "config/notices.def"
#undef NOTICE
};

/* Is it one of the words? */
static bool is_among(struct span word, const char *words)
{
    struct span rest = span_of(words);
    while (rest.size > 0) {
        struct span one = span_split(&rest, ' ');
        if (one.size == word.size && memcmp(one.data, word.data, word.size) == 0)
            return true;
    }
    return false;
}

/* Of a line with its event. */
static bool is_one(const struct record_line *r, int i)
{
    return (notices[i].verdicts[0] == '\0' ||
            is_among(record_value(r, "verdict"), notices[i].verdicts)) &&
           (notices[i].field[0] == '\0' || record_value(r, notices[i].field).size > 0);
}

enum notice notice_of(const struct record_line *r)
{
    const struct span event = record_value(r, "event");
    int i = 0;
    while (i < NOTICE_COUNT && !(span_equals(event, event_name(notices[i].event)) && is_one(r, i)))
        i++;
    return (enum notice)i;
}

/* ---- what the account has done lately ---- */

/* The last different ones, the latest behind. */
struct texts {
    size_t count, max;
    char items[TEXTS_MAX][TEXT_SIZE];
};

static void add_text(struct texts *t, struct span text)
{
    size_t at = 0;
    if (text.size == 0 || text.size >= TEXT_SIZE)
        return;
    while (at < t->count && !span_equals(text, t->items[at]))
        at++;
    if (at == t->count && t->count < t->max)
        t->count++;
    else if (at == t->count)
        at = 0; /* the oldest makes room */
    memmove(t->items[at], t->items[at + 1], (t->count - 1 - at) * sizeof *t->items);
    (void)span_copy(text, t->items[t->count - 1], TEXT_SIZE); /* fits */
}

static json_t *latest_first(const struct texts *t)
{
    json_t *all = json_array();
    for (size_t i = t->count; i > 0; i--)
        (void)json_array_append_new(all, json_string(t->items[i - 1])); /* without memory it is
                                                                           missing */
    return all;
}

struct lately {
    struct span account;
    char since[CLOCK_ISO_SIZE];
    struct record_line line;
    struct texts addresses, recipients;
};

static bool is_its(const struct lately *l)
{
    const struct span account = record_value(&l->line, "account"),
                      time = record_value(&l->line, "time");
    return account.size == l->account.size &&
           memcmp(account.data, l->account.data, account.size) == 0 &&
           time.size == strlen(l->since) && memcmp(time.data, l->since, time.size) >= 0;
}

static void look_back(struct lately *l, const struct history *h)
{
    uint64_t at = 0;
    struct span line;
    while (l->account.size > 0 && history_next(h, &at, &line)) {
        if (memmem(line.data, line.size, l->account.data, l->account.size) == NULL ||
            record_read(line, &l->line) < 0 || !is_its(l))
            continue;
        add_text(&l->addresses, client_host(record_value(&l->line, "client")));
        add_text(&l->recipients, record_value(&l->line, "recipient"));
    }
}

static struct lately *look(const struct notice_facts *f)
{
    struct lately *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    l->account = record_value(f->record, "account");
    l->addresses.max = NOTICE_ADDRESSES_MAX;
    l->recipients.max = NOTICE_RECIPIENTS_MAX;
    clock_format_iso(f->now_ns - LATELY_NS, l->since);
    look_back(l, f->history);
    add_text(&l->addresses, client_host(record_value(f->record, "client")));
    add_text(&l->recipients, record_value(f->record, "recipient"));
    return l;
}

/* ---- the message ---- */

/* A line may come from a process that was taken over: what isn't its own to say stays ours. */
static json_t *message_of(const struct notice_facts *f, const struct lately *l)
{
    static const char *const left_out[] = {"event", "level", "process", "contact"};
    json_t *line = line_json(f->record);
    json_t *m = json_pack("{s:s, s:s, s:s}", "event", notice_names[f->notice], "gateway",
                          f->gateway, "notify", f->command);
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        (void)json_object_del(line, left_out[i]); /* a line may lack it */
    bool is_whole =
        m != NULL && line != NULL && json_object_update_missing(m, line) == 0 &&
        json_object_set_new(m, "addresses", latest_first(&l->addresses)) == 0 &&
        json_object_set_new(m, "recipients", latest_first(&l->recipients)) == 0 &&
        json_object_set_new(m, "folded", json_integer(f->folded)) == 0 &&
        (f->contact.size == 0 ||
         json_object_set_new(m, "contact", json_stringn(f->contact.data, f->contact.size)) == 0);
    json_decref(line);
    if (!is_whole)
        json_decref(m);
    return is_whole ? m : NULL;
}

char *notice_json(const struct notice_facts *f)
{
    struct lately *l = look(f);
    json_t *m = l == NULL ? NULL : message_of(f, l);
    char *text = m == NULL ? NULL : json_dumps(m, JSON_COMPACT);
    json_decref(m);
    free(l);
    return text;
}
