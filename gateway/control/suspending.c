#include "control/suspending.h"

#include "auth/aliases.h"
#include "base/clock.h"
#include "base/span.h"
#include "control/logins.h"
#include "control/order.h"

#include <stdio.h>

static const char *const scopes[SUSPENSION_COUNT] = {
    [SUSPENSION_SENDING] = "sending", [SUSPENSION_ALL] = "all"};

/* By its canonical name, and as the table knows it: `out` is empty but for that. */
static int take_account(const struct suspending *s, const json_t *request,
                        char account[ACCOUNT_SIZE], struct ban *out, struct error *said)
{
    const char *name = order_text(request, "account");
    if (aliases_account(s->cache.aliases, span_of(name), s->cache.realm, account) < 0)
        return error_set(said, "\"%s\" is no account; write ana@example.com", name);
    *out = (struct ban){.network = {.is_v6 = true},
                        .account = guessing_account(s->key, account),
                        .kind = BAN_SUSPENSION};
    (void)span_copy(span_of(account), out->name, sizeof out->name); /* may be cut */
    return 0;
}

static int take_scope(const json_t *request, struct ban *out, struct error *said)
{
    const char *scope = order_text(request, "scope");
    for (out->scope = SUSPENSION_SENDING; out->scope < SUSPENSION_COUNT; out->scope++)
        if (strcmp(scope, scopes[out->scope]) == 0)
            return 0;
    return error_set(said, "\"%s\" is no scope; write sending or all", scope);
}

static int take_end(const json_t *request, struct ban *out, struct error *said)
{
    const json_t *given = json_object_get(request, "seconds");
    json_int_t seconds = json_integer_value(given);
    if (!json_is_integer(given) || seconds < 0 || seconds > BAN_MAX_NS / CLOCK_SECOND)
        return error_set(said,
                         "an account is suspended for a second at least, for %d days at most, or "
                         "until it is resumed",
                         (int)(BAN_MAX_NS / CLOCK_SECOND / 86400));
    out->until_ns = seconds == 0 ? BAN_UNTIL_LIFTED : out->since_ns + seconds * CLOCK_SECOND;
    return 0;
}

/* Later than what is there, whose clock may be ahead of ours. */
static int put(const struct suspending *s, struct ban *b, const struct ban *was, int64_t now_ns,
               struct error *said)
{
    if (was->until_ns != 0 && was->since_ns >= b->since_ns)
        b->since_ns = was->since_ns + 1;
    return bans_put(s->bans, s->process, b, now_ns, said);
}

static void until_text(int64_t until_ns, char out[CLOCK_ISO_SIZE])
{
    if (until_ns == BAN_UNTIL_LIFTED)
        (void)span_copy(span_of("resumed"), out, CLOCK_ISO_SIZE); /* fits */
    else
        clock_format_iso(until_ns, out);
}

int suspending_suspend(const struct suspending *s, const json_t *request, uid_t uid,
                       struct error *said)
{
    char account[ACCOUNT_SIZE], until[CLOCK_ISO_SIZE];
    int64_t now = clock_wall_ns();
    struct ban made, was;
    if (take_account(s, request, account, &made, said) < 0 || take_scope(request, &made, said) < 0)
        return -1;
    made.since_ns = now;
    made.uid = (uint32_t)uid;
    order_reason(request, made.reason, sizeof made.reason);
    (void)bans_suspension(s->bans, made.account, now, &was); /* it may be suspended or not */
    if (take_end(request, &made, said) < 0 || put(s, &made, &was, now, said) < 0)
        return -1;
    (void)logins_forget_account(&s->cache, s->processes, account); /* nothing may have been known */
    until_text(made.until_ns, until);
    log_event(s->log, EVENT_suspended, field_text(KEY_account, account),
              field_text(KEY_scope, scopes[made.scope]), field_text(KEY_until, until),
              field_text(KEY_reason, made.reason), field_number(KEY_uid, uid));
    (void)error_set(said, "%s is suspended (%s) until %s", account, scopes[made.scope], until);
    return 0;
}

/* As long as it would have held, and a year at most, it is known to have been lifted. */
static struct ban lifted(const struct ban *was, int64_t now_ns, uid_t uid)
{
    struct ban b = *was;
    b.scope = SUSPENSION_LIFTED;
    b.origin = BAN_OF_GATEWAY;
    b.since_ns = now_ns;
    b.uid = (uint32_t)uid;
    b.rule[0] = '\0';
    if (b.until_ns > now_ns + BAN_MAX_NS)
        b.until_ns = now_ns + BAN_MAX_NS;
    return b;
}

int suspending_resume(const struct suspending *s, const json_t *request, uid_t uid,
                      struct error *said)
{
    char account[ACCOUNT_SIZE];
    int64_t now = clock_wall_ns();
    struct ban b, was;
    if (take_account(s, request, account, &b, said) < 0)
        return -1;
    if (bans_suspension(s->bans, b.account, now, &was) == SUSPENSION_LIFTED)
        return error_set(said, "%s is not suspended", account);
    b = lifted(&was, now, uid);
    if (put(s, &b, &was, now, said) < 0)
        return -1;
    log_event(s->log, EVENT_resumed, field_text(KEY_account, account),
              field_text(KEY_scope, scopes[was.scope]), field_text(KEY_rule, was.rule),
              field_number(KEY_uid, uid));
    (void)error_set(said, "%s is suspended no more", account);
    return 0;
}

/* A worker that was taken over may have written anything: what isn't UTF-8 is left out. */
static json_t *text_of(const char *text)
{
    json_t *made = json_string(text);
    return made == NULL ? json_string("") : made;
}

json_t *suspending_row(const struct suspending *s, size_t place, int64_t now_wall_ns)
{
    char since[CLOCK_ISO_SIZE], until[CLOCK_ISO_SIZE], by[32];
    struct ban b;
    if (bans_read(s->bans, place, now_wall_ns, &b) < 0 || b.kind != BAN_SUSPENSION ||
        b.scope == SUSPENSION_LIFTED)
        return NULL;
    bool has_end = b.until_ns != BAN_UNTIL_LIFTED;
    double left = (double)(b.until_ns - now_wall_ns) / (double)CLOCK_SECOND;
    clock_format_iso(b.since_ns, since);
    until_text(b.until_ns, until);
    (void)snprintf(by, sizeof by, "uid %u", b.uid); /* fits */
    return json_pack("{s:o, s:s, s:o, s:i, s:s, s:o, s:o, s:o, s:s}", "account", text_of(b.name),
                     "scope", scopes[b.scope], "by", text_of(b.rule[0] != '\0' ? b.rule : by),
                     "tries", (int)b.tries, "since", since, "until",
                     has_end ? json_string(until) : json_null(), "left",
                     has_end ? json_real(left) : json_null(), "reason", text_of(b.reason), "origin",
                     b.origin == BAN_OF_STORE ? "store" : "gateway");
}
