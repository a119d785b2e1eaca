#include "policy/rules/limit.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define AT(member) .offset = offsetof(struct limit_rule, member)

static const char *const key_names[] = {
    "account",       "login",     "account_domain",   "ip",       "network", "sender",
    "sender_domain", "recipient", "recipient_domain", "listener", "global",  NULL};
static const char *const count_names[] = {"connections", "sessions", "logins", "messages",
                                          "recipients",  "bytes",    NULL};
static const char *const at_names[] = {"", "rcpt", "message", NULL};
static const char *const action_names[] = {"delay", "defer", "reject", "log", NULL};
static const char *const mode_names[] = {"enforce", "monitor", NULL};

/* COUNT/PERIOD, as "600/1h" or "600/h"; octets as "1G/1d". */
static int parse_rate(const char *text, struct rate *out, struct error *why)
{
    struct span rest = span_of(text), count = span_split(&rest, '/');
    char number[32], period[32];
    int64_t ms = 0;
    (void)snprintf(number, sizeof number, "%.*s", (int)count.size, count.data); /* else too long */
    (void)snprintf(period, sizeof period, "%s%.*s",
                   rest.size > 0 && ascii_is_digit(rest.data[0]) ? "" : "1", (int)rest.size,
                   rest.data); /* likewise */
    if (count.size >= sizeof number || rest.size >= sizeof period - 1 || rest.size == 0 ||
        setting_parse_size(number, &out->count, why) < 0 ||
        setting_parse_duration(period, &ms, why) < 0)
        return error_set(why, "\"%s\" is no rate; write it as \"600/1h\" or \"10/s\"", text);
    if (out->count < 1 || out->count > RATE_COUNT_MAX || ms < 1 || ms > INT64_C(366) * 86400000)
        return error_set(why, "\"%s\": the count is from 1 to %d, the period up to a year", text,
                         RATE_COUNT_MAX);
    out->period_us = ms * 1000;
    return 0;
}

static int check_rate(const char *text, struct error *why)
{
    struct rate rate;
    return parse_rate(text, &rate, why);
}

const struct setting limit_settings[] = {
    {"key", SETTING_TEXT_LIST, AT(key), .preset = "", .min = 1, .max = LIMIT_KEYS_MAX,
     .choices = key_names,
     .help = "what a counter goes by: account, login, account_domain, ip, network, sender, "
             "sender_domain, recipient, recipient_domain, listener, global; several together",
     .example = "[\"account\"]", .is_required = true},
    {"count", SETTING_CHOICE, AT(count), .preset = "recipients", .choices = count_names,
     .help = "connections, sessions, logins, messages, recipients or bytes"},
    {"rate", SETTING_TEXT, AT(rate_text), .preset = "", .check = check_rate,
     .help = "COUNT/PERIOD, as \"600/1h\"; at most burst + COUNT - 1 in any PERIOD",
     .example = "\"600/1h\""},
    {"burst", SETTING_INTEGER, AT(burst), .preset = "0", .max = RATE_COUNT_MAX,
     .help = "how many pass at once from rest; 0: COUNT"},
    {"max", SETTING_INTEGER, AT(max), .preset = "0", .max = 1000000,
     .help = "instead of rate, for sessions and connections: at once"},
    {"at", SETTING_CHOICE, AT(at), .preset = "", .choices = at_names,
     .help =
         "of recipients: rcpt (as many as fit pass; the default) or message (all or nothing, at "
         "DATA)"},
    {"action", SETTING_CHOICE, AT(action), .preset = "defer", .choices = action_names,
     .help = "delay (what is due within max_delay waits, else as defer), defer (451 4.7.1 with the "
             "wait), reject (550 5.7.1) or log"},
    {"max_delay", SETTING_DURATION, AT(max_delay_ms), .preset = "10s", .max = 60000,
     .help = "of action delay: for all replies of a message together"},
    {"mode", SETTING_CHOICE, AT(mode), .preset = "enforce", .choices = mode_names,
     .help = "enforce, or monitor (decides, counts and logs, changes nothing)"},
    {"enabled", SETTING_BOOLEAN, AT(enabled), .preset = "true",
     .help = "false drops a rule that base has"},
    {.name = NULL}};

/* ---- what goes together ---- */

static bool has_key(const struct limit_rule *r, enum limit_key from, enum limit_key to)
{
    for (size_t i = 0; i < r->key_count; i++)
        if (r->keys[i] >= from && r->keys[i] <= to)
            return true;
    return false;
}

static enum policy_stage stage_of(const struct limit_rule *r)
{
    switch ((enum limit_count)r->count) {
    case LIMIT_CONNECTIONS: return STAGE_CONNECT;
    case LIMIT_SESSIONS:
    case LIMIT_LOGINS: return STAGE_LOGIN;
    case LIMIT_MESSAGES: return STAGE_MAIL;
    case LIMIT_BYTES: return STAGE_END;
    default: return r->at == LIMIT_AT_MESSAGE ? STAGE_DATA : STAGE_RCPT;
    }
}

/* The first key that can't be known yet at the rule's stage; NULL: all can. */
static const char *unknown_key(const struct limit_rule *r)
{
    for (size_t i = 0; i < r->key_count; i++) {
        enum limit_key k = r->keys[i];
        bool is_of_login = k <= LIMIT_KEY_ACCOUNT_DOMAIN;
        bool is_of_mail = k == LIMIT_KEY_SENDER || k == LIMIT_KEY_SENDER_DOMAIN;
        bool is_of_recipient = k == LIMIT_KEY_RECIPIENT || k == LIMIT_KEY_RECIPIENT_DOMAIN;
        if ((is_of_login && r->stage < STAGE_LOGIN) || (is_of_mail && r->stage < STAGE_MAIL) ||
            (is_of_recipient && r->stage != STAGE_RCPT))
            return key_names[k];
    }
    return NULL;
}

static void check_numbers(struct limit_rule *r, const char *path, struct errors *errors)
{
    bool has_rate = r->rate_text[0] != '\0';
    struct error why;
    if (has_rate && parse_rate(r->rate_text, &r->rate, &why) < 0)
        return; /* was told when it was read */
    r->rate.burst = r->burst > 0 ? r->burst : r->rate.count;
    if (has_rate == (r->max > 0))
        errors_add_at(errors, &r->place, "%s: write either rate = \"600/1h\" or max = 4", path);
    else if (r->max > 0 && r->count != LIMIT_SESSIONS && r->count != LIMIT_CONNECTIONS)
        errors_add_at(errors, &r->place,
                      "%s.max: is for count = \"sessions\" or \"connections\"; write rate = "
                      "\"600/1h\" for %s",
                      path, count_names[r->count]);
    if (r->burst > 0 && !has_rate)
        errors_add_at(errors, &r->place, "%s.burst: means nothing without rate", path);
}

static void check_action(struct limit_rule *r, const char *path, struct errors *errors)
{
    bool is_late = r->stage == STAGE_END || r->stage == STAGE_CONNECT;
    if (r->action == LIMIT_DELAY && (r->rate.count == 0 || is_late))
        errors_add_at(errors, &r->place,
                      "%s.action: delay is for a rate of logins, messages or recipients; write "
                      "\"defer\"",
                      path);
    if (r->action == LIMIT_DELAY && r->rate.count > 0 &&
        r->max_delay_ms * 1000 < rate_increment(&r->rate, 1))
        errors_warn_at(errors, &r->place,
                       "%s.max_delay: is shorter than the %" PRId64
                       " ms between two of \"%s\": nothing would ever be delayed",
                       path, rate_increment(&r->rate, 1) / 1000, r->rate_text);
}

int limit_rule_check(struct limit_rule *r, const char *path, struct errors *errors)
{
    size_t before = errors_count(errors);
    for (size_t i = 0; i < r->key.count && r->key_count < LIMIT_KEYS_MAX; i++)
        for (size_t k = 0; key_names[k] != NULL; k++)
            if (strcmp(r->key.items[i], key_names[k]) == 0)
                r->keys[r->key_count++] = (enum limit_key)k;
    r->stage = stage_of(r);
    const char *unknown = unknown_key(r);
    if (unknown != NULL)
        errors_add_at(errors, &r->place, "%s.key: %s isn't known when %s are counted%s", path,
                      unknown, count_names[r->count],
                      r->stage == STAGE_DATA ? "; take at = \"rcpt\"" : "");
    if (r->at != LIMIT_AT_EARLIEST && r->count != LIMIT_RECIPIENTS)
        errors_add_at(errors, &r->place, "%s.at: is for count = \"recipients\"", path);
    if (has_key(r, LIMIT_KEY_GLOBAL, LIMIT_KEY_GLOBAL) && r->key_count > 1)
        errors_add_at(errors, &r->place, "%s.key: global stands alone", path);
    check_numbers(r, path, errors);
    check_action(r, path, errors);
    return errors_count(errors) == before ? 0 : -1;
}

/* ---- for people ---- */

const char *limit_rule_text(const struct limit_rule *r, char *out, size_t room)
{
    const char *what = count_names[r->count];
    const char *slash = strchr(r->rate_text, '/'), *period = slash == NULL ? "" : slash + 1;
    const char *one = ascii_is_digit(period[0]) ? "" : "1";
    if (r->rate.count == 0)
        (void)snprintf(out, room, "at most %" PRId64 " %s at once", r->max, what); /* cut to fit */
    else if (r->rate.burst == r->rate.count)
        (void)snprintf(out, room, "at most %" PRId64 " %s in %s%s", r->rate.count, what, one,
                       period); /* likewise */
    else
        (void)snprintf(out, room, "at most %" PRId64 " %s in %s%s, %" PRId64 " at once",
                       r->rate.count, what, one, period, r->rate.burst); /* likewise */
    return out;
}

const char *limit_wait_text(int64_t us, char *out, size_t room)
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{1, "second"}, {60, "minute"}, {3600, "hour"}, {86400, "day"}};
    int64_t seconds = us <= 0 ? 1 : (us + 999999) / 1000000;
    size_t u = 0;
    while (u + 1 < sizeof units / sizeof *units && seconds >= 2 * units[u + 1].seconds)
        u++;
    int64_t n = (seconds + units[u].seconds - 1) / units[u].seconds;
    (void)snprintf(out, room, "%" PRId64 " %s%s", n, units[u].name, n == 1 ? "" : "s"); /* fits */
    return out;
}
