/* Lines of a log become what has happened, to be run in the order of time. */
#include "policy/replay_acts.h"

#include "base/arena.h"

enum { ACTS_AT_FIRST = 1024, HOST_MAX = 64, ACCOUNT_MAX = 320 };

/* ---- rows ---- */

struct replay_row *replay_row_of(struct replay *r, struct span rule, const char *account)
{
    char name[STORE_KEY_MAX];
    size_t size = span_copy(rule, name, sizeof name - 2);
    name[size++] = '\n';
    size += span_copy(span_of(account), name + size, sizeof name - size); /* may be cut */
    struct row *row = named_get(&r->rows, span_make(name, size), sizeof *row);
    if (row != NULL && row->row.rule == NULL) {
        row->row.rule = arena_copy(r->options.arena, rule);
        row->row.account = arena_copy(r->options.arena, span_of(account));
    }
    r->is_full = r->is_full || row == NULL || row->row.rule == NULL || row->row.account == NULL;
    return r->is_full ? NULL : &row->row;
}

/* ---- hearing ---- */

/* NULL: the line hasn't got it. */
static const char *text_of(struct replay *r, const struct record_line *l, const char *key)
{
    struct span value = record_value(l, key);
    const char *copy = value.size == 0 ? NULL : arena_copy(r->options.arena, value);
    r->is_full = r->is_full || (value.size > 0 && copy == NULL);
    return copy;
}

static uint64_t number_of(const struct record_line *l, const char *key)
{
    uint64_t number = 0;
    (void)span_number(record_value(l, key), INT64_MAX, &number); /* else it is 0 */
    return number;
}

/* "1.234" seconds. */
static int64_t duration_us(const struct record_line *l)
{
    struct span text = record_value(l, "duration"), whole = span_split(&text, '.');
    uint64_t seconds = 0;
    int64_t us = 0, unit = 100000;
    if (span_number(whole, (uint64_t)REPLAY_SECOND * REPLAY_SECOND, &seconds) < 0)
        return 0;
    for (; text.size > 0 && ascii_is_digit(text.data[0]); unit /= 10, span_skip(&text, 1))
        us += (text.data[0] - '0') * unit;
    return (int64_t)seconds * REPLAY_SECOND + us;
}

/* "192.0.2.7:4711" or "[2001:db8::1]:4711". */
static bool read_client(struct span text, struct address *out)
{
    char host[HOST_MAX];
    const char *end = text.size == 0 ? NULL : memrchr(text.data, ':', text.size);
    if (end == NULL || (size_t)(end - text.data) >= sizeof host)
        return false;
    struct span name = span_make(text.data, (size_t)(end - text.data));
    if (name.size > 1 && name.data[0] == '[') {
        span_skip(&name, 1);
        name.size--;
    }
    (void)span_copy(name, host, sizeof host); /* fits */
    return address_make(host, 1, out) == 0;
}

static void note_time(int64_t *first_us, int64_t at_us)
{
    if (*first_us == 0 || at_us < *first_us)
        *first_us = at_us;
}

static void note_policy(struct replay *r, const struct policy *p)
{
    for (size_t i = 0; i < r->policy_count; i++)
        if (r->policies[i] == p)
            return;
    if (p != NULL && r->policy_count < POLICIES_MAX)
        r->policies[r->policy_count++] = p;
}

static struct visit *visit_of(struct replay *r, const struct record_line *l, int64_t at_us)
{
    struct span id = record_value(l, "session");
    struct visit *v = id.size == 0 ? NULL : named_get(&r->visits, id, sizeof *v);
    r->is_full = r->is_full || (id.size > 0 && v == NULL);
    if (v == NULL)
        return NULL;
    if (v->number == 0) {
        v->number = r->visits.count;
        (void)r->options.listener_of(r->options.owner, record_value(l, "listener"),
                                     &v->listener); /* else it has no policy */
        note_policy(r, v->listener.policy);
        v->has_client = read_client(record_value(l, "client"), &v->client);
    }
    note_time(&v->first_us, at_us);
    return v;
}

static struct mail *mail_of(struct replay *r, const struct record_line *l, struct visit *v,
                            int64_t at_us)
{
    struct span id = record_value(l, "message");
    struct mail *m = id.size == 0 ? NULL : named_get(&r->mails, id, sizeof *m);
    r->is_full = r->is_full || (id.size > 0 && m == NULL);
    if (m == NULL)
        return NULL;
    if (m->visit == NULL) {
        m->visit = v;
        m->account = text_of(r, l, "account");
        m->login = text_of(r, l, "login");
        m->sender = text_of(r, l, "sender");
    }
    note_time(&m->first_us, at_us);
    return m;
}

void replay_add(struct replay *r, const struct act *a)
{
    if (r->act_count == r->act_room) {
        size_t room = r->act_room == 0 ? ACTS_AT_FIRST : r->act_room * 2;
        struct act *acts = arena_alloc(r->options.arena, room * sizeof *acts);
        r->is_full = r->is_full || acts == NULL;
        if (acts == NULL)
            return;
        if (r->act_count > 0)
            memcpy(acts, r->acts, r->act_count * sizeof *acts);
        r->acts = acts;
        r->act_room = room;
    }
    r->acts[r->act_count] = *a;
    r->acts[r->act_count].order = r->act_count;
    r->act_count++;
}

static void hear_login(struct replay *r, const struct record_line *l, struct visit *v,
                       int64_t at_us)
{
    char account[ACCOUNT_MAX];
    v->country = text_of(r, l, "country");
    v->certificate = text_of(r, l, "certificate");
    if (v->certificate != NULL &&
        r->options.account_of(r->options.owner, span_of(v->certificate), account, sizeof account))
        v->certified = arena_copy(r->options.arena, span_of(account)); /* else it is another's */
    const char *login = text_of(r, l, "login");
    replay_add(r, &(struct act){.at_us = at_us,
                                .kind = ACT_LOGIN,
                                .visit = v,
                                .text = login == NULL ? text_of(r, l, "account") : login});
}

static void hear_end_of_session(struct replay *r, const struct record_line *l, struct visit *v,
                                int64_t at_us)
{
    note_time(&v->first_us, at_us - duration_us(l));
    replay_add(r, &(struct act){.at_us = v->first_us, .kind = ACT_CONNECT, .visit = v});
    replay_add(r, &(struct act){.at_us = at_us, .kind = ACT_GONE, .visit = v});
}

static void hear_end_of_message(struct replay *r, const struct record_line *l, struct mail *m,
                                int64_t at_us, bool is_taken)
{
    note_time(&m->first_us, at_us - duration_us(l));
    m->has_begun = true;
    m->is_taken = is_taken;
    m->count = number_of(l, "recipients");
    m->bytes = number_of(l, "bytes");
    m->recipient = m->count == 1 ? text_of(r, l, "recipient") : NULL;
    m->script = text_of(r, l, "script");
    if (m->author == NULL)
        m->author = text_of(r, l, "author");
    replay_add(r, &(struct act){.at_us = m->first_us, .kind = ACT_MAIL, .mail = m});
    replay_add(r, &(struct act){.at_us = at_us, .kind = ACT_END, .mail = m});
}

/* All that is known of a message that was refused at MAIL. */
static void hear_try(struct replay *r, const struct record_line *l, struct visit *v, int64_t at_us)
{
    struct mail *m = arena_alloc(r->options.arena, sizeof *m);
    r->is_full = r->is_full || m == NULL;
    if (m == NULL)
        return;
    m->visit = v;
    m->account = text_of(r, l, "account");
    m->login = text_of(r, l, "login");
    m->sender = text_of(r, l, "sender");
    m->is_try = true;
    replay_add(r, &(struct act){.at_us = at_us, .kind = ACT_MAIL, .mail = m});
    replay_add(r, &(struct act){.at_us = at_us, .kind = ACT_END, .mail = m});
}

/* Of who may send as whom, or from where. */
static void hear_door(struct replay *r, const struct record_line *l, struct visit *v,
                      struct mail *m, int64_t at_us)
{
    struct span key = record_value(l, "key");
    if (m != NULL && span_starts_nocase(key, "sender ")) {
        span_skip(&key, sizeof "sender " - 1);
        m->author = arena_copy(r->options.arena, key);
    }
    if (record_is(l, "verdict", "monitor") || m != NULL)
        return; /* it goes on, or its end is told */
    if (v->listener.is_pop3)
        hear_login(r, l, v, at_us);
    else
        hear_try(r, l, v, at_us);
}

/* Of a rule that suspends it isn't told for which of the recipients. */
static bool is_of_recipients(const struct visit *v, struct span rule)
{
    const struct policy *p = v->listener.policy;
    for (size_t i = 0; p != NULL && i < p->limit_count; i++)
        if (span_equals(rule, p->limits[i].name))
            return p->limits[i].action == LIMIT_SUSPEND && p->limits[i].stage == STAGE_RCPT;
    return false;
}

static void hear_decision(struct replay *r, const struct record_line *l, struct visit *v,
                          struct mail *m, int64_t at_us)
{
    bool is_delay = record_is(l, "verdict", "delay"), is_watch = record_is(l, "verdict", "monitor");
    const char *account = text_of(r, l, "account"), *recipient = text_of(r, l, "recipient");
    if (record_value(l, "tries").size > 0 || record_value(l, "rule").size == 0 ||
        record_value(l, "action").size > 0)
        return; /* of failed logins, or a policy server's */
    struct replay_row *row =
        replay_row_of(r, record_value(l, "rule"), account == NULL ? "" : account);
    if (row != NULL)
        row->was[is_delay ? REPLAY_DELAYED : is_watch ? REPLAY_MONITORED : REPLAY_REFUSED]++;
    if (record_value(l, "reason").size > 0)
        hear_door(r, l, v, m, at_us);
    else if (m != NULL && recipient == NULL && !is_watch &&
             is_of_recipients(v, record_value(l, "rule")))
        replay_add(r, &(struct act){.at_us = at_us, .kind = ACT_RCPT, .mail = m, .text = ""});
    if (is_delay || is_watch || record_value(l, "reason").size > 0 ||
        record_is(l, "verdict", "suspend"))
        return;
    if (m != NULL && recipient != NULL)
        replay_add(r,
                   &(struct act){.at_us = at_us, .kind = ACT_RCPT, .mail = m, .text = recipient});
    else if (m == NULL && account != NULL)
        hear_login(r, l, v, at_us);
}

/* As session/smtp_policy has it, as far as the log tells. */
static bool is_nobody(const struct record_line *l)
{
    uint64_t code = number_of(l, "code");
    struct span reply = record_value(l, "reply");
    (void)span_split(&reply, ' ');
    return (code == 550 || code == 551 || code == 553) &&
           (span_starts_nocase(reply, "5.1.") || span_starts_nocase(reply, "5.2.1 "));
}

static void hear_tried(struct replay *r, const struct record_line *l, struct mail *m)
{
    struct tried *t = arena_alloc(r->options.arena, sizeof *t);
    r->is_full = r->is_full || t == NULL;
    if (t == NULL)
        return;
    *t = (struct tried){
        .next = m->tried, .recipient = text_of(r, l, "recipient"), .is_nobody = is_nobody(l)};
    m->tried = t;
}

/* "1000/1h 50" */
static bool read_figure(const struct record_line *l, struct rate *out)
{
    struct span burst = record_value(l, "figure"), figure = span_split(&burst, ' ');
    struct error why;
    return override_parse(figure, burst, out, &why) == 0;
}

/* What people, or a new password, have changed; a suspension by a rule is the rule's. */
static void hear_order(struct replay *r, const struct record_line *l, int64_t at_us)
{
    const struct span event = record_value(l, "event");
    struct order o = {.account = text_of(r, l, "account")};
    bool is_set = span_equals(event, "limit_set"), is_unset = span_equals(event, "limit_unset");
    bool is_suspended = span_equals(event, "suspended") && record_value(l, "uid").size > 0;
    if (is_set || is_unset)
        o.limit = text_of(r, l, "rule");
    if (is_set || is_suspended) {
        o.until_us = record_us(record_value(l, "until"));
        if (o.until_us < 0)
            o.until_us = INT64_MAX; /* for good */
    }
    if ((!is_set && !is_unset && !is_suspended && !span_equals(event, "resumed")) ||
        o.account == NULL || ((is_set || is_unset) && o.limit == NULL) ||
        (is_set && !read_figure(l, &o.figure)))
        return;
    struct order *kept = arena_alloc(r->options.arena, sizeof *kept);
    r->is_full = r->is_full || kept == NULL;
    if (kept != NULL) {
        *kept = o;
        replay_add(r, &(struct act){.at_us = at_us, .kind = ACT_ORDER, .given = kept});
    }
}

int replay_hear(struct replay *r, const struct record_line *l)
{
    int64_t at_us = record_time_us(l);
    const struct span event = record_value(l, "event");
    struct visit *v = at_us < 0 ? NULL : visit_of(r, l, at_us);
    if (v == NULL && at_us >= 0)
        hear_order(r, l, at_us);
    if (v == NULL)
        return r->is_full ? -1 : 0;
    struct mail *m = mail_of(r, l, v, at_us);
    if (span_equals(event, "decision"))
        hear_decision(r, l, v, m, at_us);
    else if (span_equals(event, "login"))
        hear_login(r, l, v, at_us);
    else if (span_equals(event, "session_ended"))
        hear_end_of_session(r, l, v, at_us);
    else if (m != NULL && span_equals(event, "message_accepted"))
        hear_end_of_message(r, l, m, at_us, true);
    else if (m != NULL && span_equals(event, "message_refused"))
        hear_end_of_message(r, l, m, at_us, false);
    else if (m == NULL && span_equals(event, "message_refused") &&
             record_is(l, "reason", "suspended"))
        hear_try(r, l, v, at_us);
    else if (m != NULL && span_equals(event, "recipient_refused"))
        hear_tried(r, l, m);
    return r->is_full ? -1 : 0;
}
