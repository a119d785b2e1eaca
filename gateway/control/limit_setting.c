#include "control/limit_setting.h"

#include "auth/aliases.h"
#include "auth/overrides.h"
#include "base/clock.h"
#include "base/span.h"
#include "control/order.h"

#include <assert.h>
#include <stdio.h>

enum { FIGURES_SIZE = 400 };

/* What was taken back is remembered as long as it would have held, and a year at most. */
#define REMEMBERED_NS (INT64_C(366) * 86400 * CLOCK_SECOND)

static int take_name(const struct limit_setting *s, const json_t *request, char *out,
                     struct error *said)
{
    const char *name = order_text(request, "name"), *realm = s->config->auth.realm;
    static_assert((int)SET_LIMIT_NAME_SIZE == (int)ACCOUNT_SIZE, "an account fits");
    int failed = name[0] == '@' ? account_or_domain(span_of(name), realm, out)
                                : aliases_account(s->aliases, span_of(name), realm, out);
    return failed == 0 ? 0
                       : error_set(said,
                                   "\"%s\" is no account; write ana@example.com, or @example.com "
                                   "for all of a domain",
                                   name);
}

/* Whose, and of which limit. */
static int take_key(const struct limit_setting *s, const json_t *request, struct set_limit *out,
                    struct error *said)
{
    const char *limit = order_text(request, "limit");
    if (take_name(s, request, out->name, said) < 0)
        return -1;
    if (limit[0] == '\0' || strlen(limit) >= sizeof out->rule)
        return error_set(said, "\"%s\" is no limit", limit);
    (void)span_copy(span_of(limit), out->rule, sizeof out->rule); /* fits */
    return 0;
}

/* ---- for people ---- */

/* What is in force of the limit, in each policy that has it: "out: at most 600 recipients in 1h".
 */
static void figures(const struct limit_setting *s, const struct set_limit *l, int64_t now_ns,
                    char out[FIGURES_SIZE])
{
    const struct override_store store = {set_limits_figure, s->limits};
    const struct policy_facts facts = {
        .account = l->name, .login = l->name, .now_s = now_ns / CLOCK_SECOND, .set_limits = &store};
    const struct config *c = s->config;
    size_t used = 0;
    out[0] = '\0';
    for (size_t p = 0; p < c->policy_count; p++)
        for (size_t i = 0; i < c->policies[p].limit_count; i++) {
            const struct limit_rule *r = &c->policies[p].limits[i];
            struct override o;
            char text[160];
            if (!r->enabled || strcmp(r->name, l->rule) != 0 || used >= FIGURES_SIZE)
                continue;
            bool is_other = override_find(r, &facts, &o);
            used += (size_t)snprintf(
                out + used, FIGURES_SIZE - used, "%s%s: %s", used == 0 ? "" : "; ",
                c->policies[p].name,
                limit_rule_text(r, is_other ? &o : NULL, text, sizeof text)); /* cut to fit */
        }
}

static void until_text(int64_t until_ns, char out[CLOCK_ISO_SIZE])
{
    if (until_ns == SET_LIMIT_FOR_GOOD)
        (void)span_copy(span_of("for good"), out, CLOCK_ISO_SIZE); /* fits */
    else
        clock_format_iso(until_ns, out);
}

/* ---- orders ---- */

/* Puts it there, later than what is there, and says what was in force and is now. */
static int change(const struct limit_setting *s, struct set_limit *l, int64_t now_ns,
                  const struct set_limit *was, struct error *said)
{
    char before[FIGURES_SIZE], after[FIGURES_SIZE];
    figures(s, l, now_ns, before);
    if (was != NULL && was->since_ns >= l->since_ns)
        l->since_ns = was->since_ns + 1; /* its clock is ahead of ours */
    int put = set_limits_put(s->limits, s->process, l, now_ns, said);
    if (put < 0)
        return put == SET_LIMITS_OLDER
                   ? error_set(said, "somebody else has set it meanwhile; try again")
                   : -1;
    figures(s, l, now_ns, after);
    (void)error_set(said, "%s of %s\nbefore  %s\nnow     %s", l->rule, l->name, before, after);
    return 0;
}

static int take_figure(const struct limit_setting *s, const json_t *request, struct set_limit *l,
                       struct error *said)
{
    const struct override_words w = {.name = l->name,
                                     .limit = span_of(l->rule),
                                     .figure = span_of(order_text(request, "figure")),
                                     .burst = span_of(order_text(request, "burst"))};
    return overrides_parse(s->config, NULL, &w, &l->figure, said);
}

static int take_until(const json_t *request, struct set_limit *l, struct error *said)
{
    json_int_t seconds = json_integer_value(json_object_get(request, "seconds"));
    if (seconds < 0 || seconds > REMEMBERED_NS / CLOCK_SECOND ||
        !json_is_integer(json_object_get(request, "seconds")))
        return error_set(said,
                         "a limit is set for a second at least, for %d days at most, or for "
                         "good",
                         (int)(REMEMBERED_NS / CLOCK_SECOND / 86400));
    l->until_ns = seconds == 0 ? SET_LIMIT_FOR_GOOD : l->since_ns + seconds * CLOCK_SECOND;
    return 0;
}

int limit_setting_set(const struct limit_setting *s, const json_t *request, uid_t uid,
                      struct error *said)
{
    int64_t now = clock_wall_ns();
    struct set_limit l = {.since_ns = now, .uid = uid}, was;
    char until[CLOCK_ISO_SIZE], figure[OVERRIDE_FIGURE_SIZE];
    if (take_key(s, request, &l, said) < 0 || take_figure(s, request, &l, said) < 0 ||
        take_until(request, &l, said) < 0)
        return -1;
    order_reason(request, l.reason, sizeof l.reason);
    bool is_known = set_limits_find(s->limits, l.rule, l.name, now, &was) >= 0;
    if (change(s, &l, now, is_known ? &was : NULL, said) < 0)
        return -1;
    until_text(l.until_ns, until);
    size_t used = strlen(said->text);
    (void)snprintf(said->text + used, sizeof said->text - used, "\nuntil   %s", until); /* cut */
    log_event(
        s->log, EVENT_limit_set, field_text(KEY_account, l.name), field_text(KEY_rule, l.rule),
        field_text(KEY_figure, override_format(&l.figure, figure)), field_text(KEY_until, until),
        field_text(KEY_reason, l.reason), field_number(KEY_uid, uid));
    return 0;
}

/* Others hear of it while it is remembered. */
int limit_setting_unset(const struct limit_setting *s, const json_t *request, uid_t uid,
                        struct error *said)
{
    int64_t now = clock_wall_ns();
    struct set_limit l = {.since_ns = now, .uid = uid}, was;
    if (take_key(s, request, &l, said) < 0)
        return -1;
    if (set_limits_find(s->limits, l.rule, l.name, now, &was) < 0 || was.figure.count == 0)
        return error_set(said, "nothing is set for %s of %s; limit list shows what is", l.rule,
                         l.name);
    l.until_ns = was.until_ns < now + REMEMBERED_NS ? was.until_ns : now + REMEMBERED_NS;
    if (change(s, &l, now, &was, said) < 0)
        return -1;
    log_event(s->log, EVENT_limit_unset, field_text(KEY_account, l.name),
              field_text(KEY_rule, l.rule), field_number(KEY_uid, uid));
    return 0;
}

/* ---- what there is ---- */

json_t *limit_setting_row(const struct limit_setting *s, size_t place, int64_t now_wall_ns)
{
    char figure[OVERRIDE_FIGURE_SIZE], since[CLOCK_ISO_SIZE], until[CLOCK_ISO_SIZE];
    struct set_limit l;
    if (set_limits_read(s->limits, place, now_wall_ns, &l) < 0 || l.figure.count == 0)
        return NULL;
    bool is_good = l.until_ns == SET_LIMIT_FOR_GOOD;
    clock_format_iso(l.since_ns, since);
    until_text(l.until_ns, until);
    json_t *row = json_pack("{s:s, s:I, s:s}", "figure", override_format(&l.figure, figure), "uid",
                            (json_int_t)l.uid, "since", since);
    /* A worker that was taken over may have written anything: what isn't UTF-8 is left out. */
    const char *const texts[][2] = {{"limit", l.rule}, {"name", l.name}, {"reason", l.reason}};
    for (size_t i = 0; row != NULL && i < sizeof texts / sizeof *texts; i++) {
        json_t *text = json_string(texts[i][1]);
        (void)json_object_set_new(row, texts[i][0], text == NULL ? json_string("") : text);
    }
    (void)json_object_set_new(row, "until", is_good ? json_null() : json_string(until));
    (void)json_object_set_new(
        row, "left",
        is_good ? json_null()
                : json_real((double)(l.until_ns - now_wall_ns) / (double)CLOCK_SECOND));
    return row;
}
