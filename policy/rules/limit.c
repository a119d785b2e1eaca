#include "policy/rules/limit.h"

#include "policy/overrides.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define AT(member) .offset = offsetof(struct limit_rule, member)

static const char *const key_names[] = {
    "account",       "login",     "account_domain",   "ip",       "network", "sender",
    "sender_domain", "recipient", "recipient_domain", "listener", "country", "global",
    "header:",       NULL};
static const char *const count_names[] = {"connections",
                                          "sessions",
                                          "logins",
                                          "messages",
                                          "recipients",
                                          "bytes",
                                          "rejected_recipients",
                                          "distinct_recipients",
                                          "distinct_networks",
                                          "distinct_countries",
                                          "auth_failures",
                                          "distinct_credentials",
                                          NULL};
/* The same for people. */
static const char *const things[] = {"connections",
                                     "sessions",
                                     "logins",
                                     "messages",
                                     "recipients",
                                     "bytes",
                                     "recipients refused",
                                     "different recipients",
                                     "different networks",
                                     "different countries",
                                     "failed logins",
                                     "different wrong credentials"};
static const char *const at_names[] = {"", "rcpt", "message", NULL};
static const char *const action_names[] = {"delay", "defer",   "reject", "log",
                                           "ban",   "suspend", NULL};
static const char *const scope_names[] = {"sending", "all", NULL};
static const char *const missing_names[] = {"empty", "skip", "reject", NULL};
static const char *const mode_names[] = {"enforce", "monitor", NULL};

int limit_parse_rate(const char *text, struct rate *out, struct error *why)
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
        return error_set(why, "\"%s\": the count is from 1 to %" PRId64 ", the period up to a year",
                         text, RATE_COUNT_MAX);
    out->period_us = ms * 1000;
    return 0;
}

static int check_rate(const char *text, struct error *why)
{
    struct rate rate;
    return limit_parse_rate(text, &rate, why);
}

static const char header_key[] = "header:";

bool limit_is_field_name(const char *name)
{
    size_t size = strlen(name);
    bool is_good = size > 0 && size <= LIMIT_HEADER_MAX;
    for (size_t i = 0; i < size; i++)
        is_good = is_good && name[i] > ' ' && name[i] < 0x7f && name[i] != ':';
    return is_good;
}

static int key_of(const char *text)
{
    if (strncmp(text, header_key, strlen(header_key)) == 0)
        return limit_is_field_name(text + strlen(header_key)) ? LIMIT_KEY_HEADER : -1;
    for (int k = 0; k < LIMIT_KEY_HEADER; k++)
        if (strcmp(text, key_names[k]) == 0)
            return k;
    return -1;
}

static int check_key(const char *text, struct error *why)
{
    return key_of(text) >= 0
               ? 0
               : error_set(why,
                           "\"%s\" must be account, login, account_domain, ip, network, sender, "
                           "sender_domain, recipient, recipient_domain, listener, country, "
                           "global or header:NAME",
                           text);
}

const struct setting limit_settings[] = {
    {"key", SETTING_TEXT_LIST, AT(key), .preset = "", .min = 1, .max = LIMIT_KEYS_MAX,
     .check = check_key,
     .help = "what a counter goes by: account, login, account_domain, ip, network, sender, "
             "sender_domain, recipient, recipient_domain, listener, country (of the client, by "
             "geoip), header:NAME, global; several together",
     .example = "[\"account\"]", .is_required = true},
    {"count", SETTING_CHOICE, AT(count), .preset = "recipients", .choices = count_names,
     .help = "connections, sessions, logins, messages, recipients, bytes, rejected_recipients, "
             "distinct_recipients, distinct_networks, distinct_countries (by geoip), auth_failures "
             "(each login that failed) or distinct_credentials (different wrong ones)"},
    {"rate", SETTING_TEXT, AT(rate_text), .preset = "", .check = check_rate,
     .help = "COUNT/PERIOD, as \"600/1h\"; at most burst + COUNT - 1 in any PERIOD",
     .example = "\"600/1h\""},
    {"burst", SETTING_INTEGER, AT(burst), .preset = "0", .max = RATE_COUNT_MAX,
     .help = "how many pass at once from rest; 0: COUNT"},
    {"max", SETTING_INTEGER, AT(max), .preset = "0", .max = 1000000,
     .help = "instead of rate: sessions or connections at once; different ones within window"},
    {"window", SETTING_DURATION, AT(window_ms), .preset = "0", .max = INT64_C(366) * 86400000,
     .help = "of distinct_* with max, and of rejected_recipients with ratio"},
    {"ratio", SETTING_INTEGER, AT(ratio), .preset = "0", .max = 99,
     .help =
         "of rejected_recipients: per cent of those tried within window that the server behind "
         "refused with 550, 551 or 553 and 5.1.x or 5.2.1, or without such a code while it took "
         "another account's within a minute"},
    {"min", SETTING_INTEGER, AT(min), .preset = "20", .min = 1, .max = 1000000,
     .help = "of ratio: once so many were tried"},
    {"missing", SETTING_CHOICE, AT(missing), .preset = "empty", .choices = missing_names,
     .help = "a message without the header of a key: empty (all of them share a counter), skip or "
             "reject"},
    {"at", SETTING_CHOICE, AT(at), .preset = "", .choices = at_names,
     .help =
         "of recipients: rcpt (as many as fit pass; the default) or message (all or nothing, at "
         "DATA)"},
    {"action", SETTING_CHOICE, AT(action), .preset = "defer", .choices = action_names,
     .help = "delay (what is due within max_delay waits, else as defer), defer (451 4.7.1 with the "
             "wait), reject (550 5.7.1), log, ban (of the key, which is ip or network; with "
             "account, that account there), as auth.guessing does, or suspend (the account, which "
             "is one of the keys); what a login has failed by can be ban or log alone"},
    {"scope", SETTING_CHOICE, AT(scope), .preset = "sending", .choices = scope_names,
     .help = "of action suspend: sending (login works, MAIL says why with 550 5.7.1, reading goes "
             "on) or all (no login either, and its sessions end)"},
    {"duration", SETTING_DURATION, AT(duration_ms), .preset = "0", .max = INT64_C(366) * 86400000,
     .help = "how long a ban or a suspension lasts; and what defers or rejects by max or ratio, "
             "whatever is counted "
             "meanwhile; 0: as long as it is too much"},
    {"warn_at", SETTING_INTEGER, AT(warn_at), .preset = "0", .max = 99,
     .help =
         "per cent of the limit at which the log says near, once in its period or window (of max "
         "at once: once an hour); 0: never"},
    {"max_delay", SETTING_DURATION, AT(max_delay_ms), .preset = "10s", .max = 60000,
     .help = "of action delay: for all replies of a message together"},
    {"mode", SETTING_CHOICE, AT(mode), .preset = "enforce", .choices = mode_names,
     .help = "enforce, or monitor (decides, counts and logs, changes nothing)"},
    {"enabled", SETTING_BOOLEAN, AT(enabled), .preset = "true",
     .help = "false drops a rule that base has"},
    {.name = NULL}};

/* ---- what goes together ---- */

bool limit_has_key(const struct limit_rule *r, enum limit_key key)
{
    for (size_t i = 0; i < r->key_count; i++)
        if (r->keys[i] == key)
            return true;
    return false;
}

static enum policy_stage stage_of(const struct limit_rule *r)
{
    if (limit_has_key(r, LIMIT_KEY_HEADER))
        return STAGE_END;
    switch ((enum limit_count)r->count) {
    case LIMIT_CONNECTIONS: return STAGE_CONNECT;
    case LIMIT_SESSIONS:
    case LIMIT_LOGINS:
    case LIMIT_DISTINCT_NETWORKS:
    case LIMIT_DISTINCT_COUNTRIES: return STAGE_LOGIN;
    case LIMIT_AUTH_FAILURES:
    case LIMIT_DISTINCT_CREDENTIALS: return STAGE_FAILURE;
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
        bool is_of_nobody = k == LIMIT_KEY_LOGIN && r->stage == STAGE_FAILURE;
        if ((is_of_login && r->stage < STAGE_LOGIN) || is_of_nobody ||
            (is_of_mail && r->stage < STAGE_MAIL) || (is_of_recipient && r->stage != STAGE_RCPT))
            return key_names[k];
    }
    return NULL;
}

/* How each count is limited. */
enum form { BY_RATE = 1, BY_MAX = 2, BY_WINDOW = 4, BY_RATIO = 8 };
static const struct {
    unsigned forms;
    const char *text;
} forms[] = {
    [LIMIT_CONNECTIONS] = {BY_RATE | BY_MAX, "rate = \"600/1h\" or max = 4"},
    [LIMIT_SESSIONS] = {BY_RATE | BY_MAX, "rate = \"600/1h\" or max = 4"},
    [LIMIT_LOGINS] = {BY_RATE, "rate = \"600/1h\""},
    [LIMIT_MESSAGES] = {BY_RATE, "rate = \"600/1h\""},
    [LIMIT_RECIPIENTS] = {BY_RATE, "rate = \"600/1h\""},
    [LIMIT_BYTES] = {BY_RATE, "rate = \"1G/1d\""},
    [LIMIT_REJECTED_RECIPIENTS] = {BY_RATIO, "ratio = 25 window = \"1h\""},
    [LIMIT_DISTINCT_RECIPIENTS] = {BY_WINDOW, "max = 100 window = \"1h\""},
    [LIMIT_DISTINCT_NETWORKS] = {BY_WINDOW, "max = 3 window = \"1h\""},
    [LIMIT_DISTINCT_COUNTRIES] = {BY_WINDOW, "max = 3 window = \"1h\""},
    [LIMIT_AUTH_FAILURES] = {BY_RATE, "rate = \"60/1h\""},
    [LIMIT_DISTINCT_CREDENTIALS] = {BY_WINDOW, "max = 10 window = \"10min\""},
};

static void check_numbers(struct limit_rule *r, const char *path, struct errors *errors)
{
    static const enum counter_kind kinds[] = {[BY_RATE] = COUNTER_RATE,
                                              [BY_MAX] = COUNTER_AT_ONCE,
                                              [BY_WINDOW] = COUNTER_DISTINCT,
                                              [BY_RATIO] = COUNTER_RATIO};
    bool has_rate = r->rate_text[0] != '\0', has_window = r->window_ms > 0;
    struct error why;
    if (has_rate && limit_parse_rate(r->rate_text, &r->rate, &why) < 0)
        return; /* was told when it was read */
    r->rate.burst = r->burst > 0 ? r->burst : r->rate.count;
    unsigned form = (has_rate ? BY_RATE : 0u) |
                    (r->max > 0 ? (has_window ? BY_WINDOW : BY_MAX) : 0u) |
                    (r->ratio > 0 && has_window ? BY_RATIO : 0u);
    if (has_window && r->max == 0 && r->ratio == 0)
        form = 0;
    if ((form & forms[r->count].forms) != form || form == 0 || (form & (form - 1)) != 0)
        errors_add_at(errors, &r->place, "%s: %s are limited by %s", path, count_names[r->count],
                      forms[r->count].text);
    else
        r->kind = kinds[form];
    if (r->burst > 0 && !has_rate)
        errors_add_at(errors, &r->place, "%s.burst: means nothing without rate", path);
    if (r->missing != LIMIT_MISSING_EMPTY && !limit_has_key(r, LIMIT_KEY_HEADER))
        errors_add_at(errors, &r->place, "%s.missing: means nothing without a header key", path);
}

/* A ban is of an address or network, or of one account there. */
static bool can_be_banned(const struct limit_rule *r)
{
    size_t others = limit_has_key(r, LIMIT_KEY_ACCOUNT);
    return (limit_has_key(r, LIMIT_KEY_IP) || limit_has_key(r, LIMIT_KEY_NETWORK)) &&
           r->key_count == 1 + others;
}

static void check_suspension(const struct limit_rule *r, const char *path, struct errors *errors)
{
    bool is_suspension = r->action == LIMIT_SUSPEND;
    if (is_suspension && !limit_has_key(r, LIMIT_KEY_ACCOUNT))
        errors_add_at(errors, &r->place,
                      "%s.action: an account is suspended, and none of the keys is one; write key "
                      "= [\"account\"]",
                      path);
    if (is_suspension && r->duration_ms == 0)
        errors_add_at(errors, &r->place, "%s.duration: no rule suspends for ever; write \"1d\"",
                      path);
    if (!is_suspension && r->scope != LIMIT_SENDING)
        errors_add_at(errors, &r->place, "%s.scope: is for action = \"suspend\"", path);
}

static void check_ban(const struct limit_rule *r, const char *path, struct errors *errors)
{
    bool is_ban = r->action == LIMIT_BAN;
    if (is_ban && !can_be_banned(r))
        errors_add_at(errors, &r->place,
                      "%s.action: a ban is of an address or network; write key = [\"ip\"] or "
                      "[\"network\"], or one of them with \"account\"",
                      path);
    if (is_ban && r->duration_ms == 0)
        errors_add_at(errors, &r->place, "%s.duration: no ban is for ever; write \"1h\"", path);
    if (!is_ban && r->action != LIMIT_SUSPEND && r->duration_ms > 0 && !limit_holds(r))
        errors_add_at(errors, &r->place,
                      "%s.duration: is for action = \"ban\" or \"suspend\", or for \"defer\" or "
                      "\"reject\" by max or "
                      "ratio",
                      path);
    if (r->stage == STAGE_FAILURE && !is_ban && r->action != LIMIT_LOG)
        errors_add_at(errors, &r->place,
                      "%s.action: a login that has failed can't be refused any more; write \"ban\" "
                      "or \"log\"",
                      path);
}

static void check_action(struct limit_rule *r, const char *path, struct errors *errors)
{
    if (r->action == LIMIT_DELAY && (r->rate.count == 0 || r->stage == STAGE_CONNECT))
        errors_add_at(errors, &r->place,
                      "%s.action: delay is for a rate of logins, messages, recipients or bytes; "
                      "write \"defer\"",
                      path);
    if (r->action == LIMIT_DELAY && r->rate.count > 0 &&
        r->max_delay_ms * 1000 < rate_increment(&r->rate, 1))
        errors_warn_at(errors, &r->place,
                       "%s.max_delay: is shorter than the %" PRId64
                       " ms between two of \"%s\": nothing would ever be delayed",
                       path, rate_increment(&r->rate, 1) / 1000, r->rate_text);
}

bool limit_needs_country(const struct limit_rule *r)
{
    return r->count == LIMIT_DISTINCT_COUNTRIES || limit_has_key(r, LIMIT_KEY_COUNTRY);
}

int limit_rule_check(struct limit_rule *r, const char *path, struct errors *errors)
{
    size_t before = errors_count(errors);
    for (size_t i = 0; i < r->key.count && i < LIMIT_KEYS_MAX; i++)
        if (key_of(r->key.items[i]) >= 0) /* else it was told when it was read */
            r->keys[r->key_count++] = (enum limit_key)key_of(r->key.items[i]);
    r->stage = stage_of(r);
    const char *unknown = unknown_key(r);
    if (unknown != NULL)
        errors_add_at(errors, &r->place, "%s.key: %s isn't known when %s are counted%s", path,
                      unknown, count_names[r->count],
                      r->stage == STAGE_DATA ? "; take at = \"rcpt\"" : "");
    if (r->at != LIMIT_AT_EARLIEST && r->count != LIMIT_RECIPIENTS)
        errors_add_at(errors, &r->place, "%s.at: is for count = \"recipients\"", path);
    if (r->stage == STAGE_END &&
        (r->at == LIMIT_AT_RCPT || r->count < LIMIT_MESSAGES || r->count > LIMIT_BYTES))
        errors_add_at(errors, &r->place,
                      "%s.key: a header is known at the end of a message, when messages, "
                      "recipients and bytes can be counted",
                      path);
    if (limit_has_key(r, LIMIT_KEY_GLOBAL) && r->key_count > 1)
        errors_add_at(errors, &r->place, "%s.key: global stands alone", path);
    check_numbers(r, path, errors);
    check_action(r, path, errors);
    check_ban(r, path, errors);
    check_suspension(r, path, errors);
    return errors_count(errors) == before ? 0 : -1;
}

/* ---- for people ---- */

const char *limit_header(const struct limit_rule *r, size_t key)
{
    return r->keys[key] == LIMIT_KEY_HEADER ? r->key.items[key] + strlen(header_key) : "";
}

struct rate limit_figure(const struct limit_rule *r)
{
    return r->kind == COUNTER_RATE ? r->rate : (struct rate){.count = r->max};
}

static void rate_text(const struct limit_rule *r, const struct rate *rate, char *out, size_t room)
{
    char period[SETTING_DURATION_SIZE];
    const char *what = things[r->count];
    (void)setting_format_duration(rate->period_us / 1000, period);
    if (rate->burst == rate->count)
        (void)snprintf(out, room, "at most %" PRId64 " %s in %s", rate->count, what,
                       period); /* cut to fit */
    else
        (void)snprintf(out, room, "at most %" PRId64 " %s in %s, %" PRId64 " at once", rate->count,
                       what, period, rate->burst); /* likewise */
}

static void figure_text(const struct limit_rule *r, const struct rate *figure, char *out,
                        size_t room)
{
    const char *what = things[r->count];
    char window[40];
    (void)limit_wait_text(r->window_ms * 1000, window, sizeof window);
    switch (r->kind) {
    case COUNTER_RATE: rate_text(r, figure, out, room); break;
    case COUNTER_AT_ONCE:
        (void)snprintf(out, room, "at most %" PRId64 " %s at once", figure->count,
                       what); /* cut to fit */
        break;
    case COUNTER_DISTINCT:
        (void)snprintf(out, room, "at most %" PRId64 " %s in %s", figure->count, what,
                       window); /* likewise */
        break;
    case COUNTER_RATIO:
        (void)snprintf(out, room,
                       "at most %" PRId64 "%% of recipients refused in %s, of %" PRId64 " or more",
                       r->ratio, window, r->min); /* likewise */
        break;
    }
}

const char *limit_rule_text(const struct limit_rule *r, const struct override *o, char *out,
                            size_t room)
{
    const struct rate own = limit_figure(r);
    figure_text(r, o == NULL ? &own : &o->figure, out, room);
    size_t used = strlen(out);
    if (o != NULL)
        (void)snprintf(out + used, room - used, " (set for this %s)",
                       o->is_of_domain ? "domain" : "account"); /* likewise */
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
