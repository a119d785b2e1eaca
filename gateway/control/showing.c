#include "control/showing.h"

#include "auth/aliases.h"
#include "base/clock.h"
#include "base/id.h"
#include "control/history.h"
#include "control/line_json.h"
#include "policy/record.h"

#include <stdlib.h>

enum { LINES_SIZE_MAX = 24 * 1024 }; /* together: an answer is written at once */

/* About whom. */
struct subject {
    const struct history *history; /* where its lines are looked for */
    const char *is;                /* "session", "message", "account" or "address" */
    char session[ID_SIZE], message[ID_SIZE];
    char account[ACCOUNT_SIZE];     /* of a session or message: whose it is, as far as is known */
    char client[NETWORK_TEXT_SIZE]; /* likewise: an IPv4 address or a /64 */
    bool is_of_logins;              /* other lines don't count */
    struct record_line line;        /* that is looked at */
};

static bool is_same(struct span a, const char *text)
{
    return text[0] != '\0' && span_equals(a, text);
}

static bool is_of_client(const struct subject *s, const char *key)
{
    char network[NETWORK_TEXT_SIZE];
    return is_same(client_network(record_value(&s->line, key), network), s->client);
}

/* A message's are also its session's lines that are of no other message. */
static bool is_of_session(const struct subject *s)
{
    struct span message = record_value(&s->line, "message");
    return is_same(record_value(&s->line, "session"), s->session) &&
           (s->message[0] == '\0' || message.size == 0 || is_same(message, s->message));
}

static bool is_login(const struct record_line *line)
{
    static const char *const events[] = {"login", "login_failed", "login_refused",
                                         "login_unavailable"};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (record_is(line, "event", events[i]))
            return true;
    return false;
}

/* Is the line that is looked at about it? */
static bool is_about(const struct subject *s)
{
    if (s->is_of_logins && !is_login(&s->line))
        return false;
    if (s->session[0] != '\0')
        return is_of_session(s);
    if (strcmp(s->is, "account") == 0)
        return is_same(record_value(&s->line, "account"), s->account) ||
               is_same(record_value(&s->line, "login"), s->account);
    return is_of_client(s, "client") || is_of_client(s, "speaks_for") ||
           is_same(record_value(&s->line, "network"), s->client);
}

/* What a line about it has in it, as it stands there; empty: that can't be said. */
static struct span needle_of(const struct subject *s)
{
    const char *text = s->session[0] != '\0'           ? s->session
                       : strcmp(s->is, "account") == 0 ? s->account
                                                       : s->client;
    bool is_verbatim = strpbrk(text, "\"\\/") == NULL;
    return span_of(is_verbatim ? text : "");
}

/* The next line about it, and where it stands. */
static bool next_line(struct subject *s, uint64_t *at, uint64_t *here)
{
    struct span line, needle = needle_of(s);
    while (*here = *at, history_next(s->history, at, &line))
        if (memmem(line.data, line.size, needle.data, needle.size) != NULL &&
            record_read(line, &s->line) == 0 && is_about(s))
            return true;
    return false;
}

/* ---- who it is ---- */

static struct span row_text(const char *text, size_t room)
{
    return span_make(text, strnlen(text, room));
}

/* Whose session it is. */
static void learn(struct subject *s, struct span account, struct span client)
{
    char network[NETWORK_TEXT_SIZE];
    if (account.size > 0)
        (void)span_copy(account, s->account, sizeof s->account); /* no account is longer */
    if (client.size > 0)
        (void)span_copy(client_network(client, network), s->client, sizeof s->client); /* fits */
}

static bool has_session(const struct showing *sh, struct subject *s)
{
    struct session_row row;
    enum session_state state;
    size_t owner;
    for (size_t i = 0; i < sh->board->sessions.capacity; i++) {
        if (session_read(&sh->board->sessions, i, &row, &state, &owner) < 0 ||
            !is_same(row_text(row.id, sizeof row.id), s->session))
            continue;
        learn(s, row_text(row.account, sizeof row.account),
              row_text(row.client, sizeof row.client));
        return true;
    }
    return false;
}

/* An id of a message leads to its session's. */
static bool be_id(const struct showing *sh, const char *word, struct subject *s)
{
    uint64_t at = 0;
    struct span line;
    char id[ID_SIZE];
    if (strlen(word) != ID_SIZE - 1)
        return false;
    for (size_t i = 0; i < ID_SIZE; i++)
        id[i] = ascii_lower(word[i]);
    if (id_number(id) == 0)
        return false;
    while (history_next(s->history, &at, &line)) {
        if (memmem(line.data, line.size, id, ID_SIZE - 1) == NULL ||
            record_read(line, &s->line) < 0)
            continue;
        bool is_message = record_is(&s->line, "message", id);
        if (!is_message && !record_is(&s->line, "session", id))
            continue;
        s->is = is_message ? "message" : "session";
        (void)span_copy(record_value(&s->line, "session"), s->session, ID_SIZE);       /* fits */
        (void)span_copy(span_of(is_message ? id : ""), s->message, sizeof s->message); /* fits */
        return s->session[0] != '\0';
    }
    s->is = "session";
    memcpy(s->session, id, sizeof id);
    return has_session(sh, s);
}

static bool be_address(const char *word, struct subject *s)
{
    struct address a;
    if (address_make(word, 1, &a) < 0)
        return false;
    struct network n = network_of(&a, 32, 64);
    network_format(&n, s->client);
    s->is = "address";
    return true;
}

static int be_account(const struct showing *sh, const char *word, struct subject *s)
{
    *s->session = *s->message = '\0';
    s->is = "account";
    return aliases_account(sh->aliases, span_of(word), sh->board->config->auth.realm, s->account);
}

/* ---- lists ---- */

static bool is_its_row(const struct subject *s, const struct session_row *row)
{
    char network[NETWORK_TEXT_SIZE];
    if (s->session[0] != '\0')
        return is_same(row_text(row->id, sizeof row->id), s->session);
    if (strcmp(s->is, "account") == 0)
        return is_same(row_text(row->account, sizeof row->account), s->account);
    return is_same(client_network(row_text(row->client, sizeof row->client), network), s->client);
}

static json_t *sessions_of(const struct showing *sh, const struct subject *s, int64_t now)
{
    const struct session_table *t = &sh->board->sessions;
    json_t *all = json_array();
    struct session_row row;
    enum session_state state;
    size_t owner;
    for (size_t i = 0; i < t->capacity && json_array_size(all) < SHOWING_ROWS_MAX; i++) {
        if (session_read(t, i, &row, &state, &owner) < 0 || !is_its_row(s, &row))
            continue;
        json_t *shown = board_session(sh->board, i, now);
        if (shown != NULL) /* else it has ended */
            (void)json_array_append_new(all, shown);
    }
    return all;
}

static bool is_its_ban(const struct subject *s, const struct ban *ban)
{
    struct network own;
    struct error why;
    if (s->account[0] != '\0' && is_same(row_text(ban->name, sizeof ban->name), s->account))
        return true;
    return ban->account == 0 && s->client[0] != '\0' && network_parse(s->client, &own, &why) == 0 &&
           networks_meet(&ban->network, &own);
}

static json_t *ban_row(const struct showing *sh, size_t place, int64_t now)
{
    return banning_row(sh->banning, place, now);
}

static json_t *suspended_row(const struct showing *sh, size_t place, int64_t now)
{
    return suspending_row(sh->suspending, place, now);
}

/* What there is of one kind. */
static json_t *bans_of(const struct showing *sh, const struct subject *s, int64_t now,
                       json_t *(*row)(const struct showing *sh, size_t place, int64_t now))
{
    json_t *all = json_array();
    struct ban ban;
    for (size_t i = 0; i < BANS_MAX && json_array_size(all) < SHOWING_ROWS_MAX; i++) {
        if (bans_read(sh->banning->bans, i, now, &ban) < 0 || !is_its_ban(s, &ban))
            continue;
        json_t *shown = row(sh, i, now);
        if (shown != NULL) /* else it is of another kind, or has ended */
            (void)json_array_append_new(all, shown);
    }
    return all;
}

/* The last ones: looked for from the front, since where each begins is known from there alone. */
static json_t *lines_of(struct subject *s, uint64_t *count)
{
    uint64_t last[SHOWING_LINES_MAX], at = 0, here;
    json_t *all = json_array();
    size_t size = 0;
    for (*count = 0; next_line(s, &at, &here); last[(*count)++ % SHOWING_LINES_MAX] = here)
        if (s->session[0] != '\0')
            learn(s, record_value(&s->line, "account"), record_value(&s->line, "client"));
    uint64_t first = *count > SHOWING_LINES_MAX ? *count - SHOWING_LINES_MAX : 0;
    for (uint64_t i = *count; i > first && size < LINES_SIZE_MAX; i--) {
        at = last[(i - 1) % SHOWING_LINES_MAX];
        if (!next_line(s, &at, &here))
            break; /* it was there a moment ago */
        for (size_t f = 0; f < s->line.count; f++)
            size += s->line.fields[f].key.size + s->line.fields[f].value.size + 6;
        (void)json_array_insert_new(all, 0, line_json(&s->line)); /* as above */
    }
    return all;
}

static int understand(const struct showing *sh, const char *word, struct subject *s)
{
    if (word == NULL)
        return -1;
    if (s->is_of_logins)
        return be_account(sh, word, s);
    return be_address(word, s) || be_id(sh, word, s) ? 0 : be_account(sh, word, s);
}

static json_t *look(const struct showing *sh, const json_t *request, bool is_of_logins,
                    struct error *why)
{
    struct subject *s = calloc(1, sizeof *s);
    char since[CLOCK_ISO_SIZE];
    uint64_t count;
    json_t *answer = NULL;
    (void)error_set(why, "out of memory");
    if (s == NULL)
        return NULL;
    s->is_of_logins = is_of_logins;
    s->history = witness_take_history(sh->witness);
    if (s->history == NULL) {
        (void)error_set(why, "another process is busy with it; try again");
        free(s);
        return NULL;
    }
    if (understand(sh, json_string_value(json_object_get(request, "who")), s) < 0) {
        (void)error_set(why, is_of_logins ? "that is no account"
                                          : "that is no session, message, account or address");
    } else {
        int64_t now = clock_wall_ns(), since_s = history_since(s->history);
        json_t *lines = lines_of(s, &count); /* from which it is known whose it is */
        clock_format_iso(since_s * CLOCK_SECOND, since);
        answer = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o}", "is", s->is,
                           "account", s->account, "client", s->client, "session", s->session,
                           "since", since, "covers", (json_int_t)(now / CLOCK_SECOND - since_s),
                           "count", (json_int_t)count, "sessions", sessions_of(sh, s, now), "bans",
                           bans_of(sh, s, now, ban_row), "suspended",
                           bans_of(sh, s, now, suspended_row), "lines", lines);
    }
    witness_give(sh->witness);
    free(s);
    return answer;
}

json_t *showing_answer(const struct showing *sh, const json_t *request, struct error *why)
{
    return look(sh, request, false, why);
}

json_t *showing_logins(const struct showing *sh, const json_t *request, struct error *why)
{
    return look(sh, request, true, why);
}
