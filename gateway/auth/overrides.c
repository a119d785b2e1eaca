#include "auth/overrides.h"

#include "auth/account.h"
#include "config/listing.h"

#include <stdio.h>

enum { WARNINGS_MAX = 10 }; /* of a file: there may be thousands */

struct parser {
    size_t warnings;
    const struct config *config;
    const char *path;
    struct lookup_builder *builder;
    struct errors *errors;
};

/* ---- limits ---- */

static bool is_of_file(const struct policy *p, const char *path)
{
    return path == NULL || strcmp(p->overrides.path, path) == 0;
}

/* Those that there are, for who has written another. */
static int explain(const struct config *c, const char *path, struct span limit, struct error *why)
{
    char names[512] = "";
    size_t used = 0;
    for (size_t n = 0; n < c->policy_count; n++)
        for (size_t i = 0; i < c->policies[n].limit_count && used < sizeof names; i++)
            if (is_of_file(&c->policies[n], path))
                used += (size_t)snprintf(names + used, sizeof names - used, "%s%s",
                                         used == 0 ? "" : ", ",
                                         c->policies[n].limits[i].name); /* cut to fit */
    return error_set(why, "\"%.*s\" is none of the limits%s: %s", (int)limit.size, limit.data,
                     path == NULL ? "" : " of policies with this file",
                     used == 0 ? "there are none" : names);
}

/* Goes with all limits of that name. Returns how many there are; or -1 and why one doesn't. */
static int check(const struct config *c, const char *path, const struct override_words *w,
                 const struct rate *figure, struct error *why)
{
    int count = 0;
    for (size_t n = 0; n < c->policy_count; n++)
        for (size_t i = 0; i < c->policies[n].limit_count; i++) {
            const struct limit_rule *r = &c->policies[n].limits[i];
            if (!is_of_file(&c->policies[n], path) || !span_equals(w->limit, r->name))
                continue;
            count++;
            if (figure != NULL && r->enabled &&
                override_check(r, figure, w->name[0] == '@', why) < 0)
                return -1;
        }
    return count;
}

int overrides_parse(const struct config *c, const char *path, const struct override_words *w,
                    struct rate *out, struct error *why)
{
    if (check(c, path, w, NULL, why) == 0)
        return explain(c, path, w->limit, why);
    return override_parse(w->figure, w->burst, out, why) < 0 || check(c, path, w, out, why) < 0 ? -1
                                                                                                : 0;
}

/* ---- lines ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Off the front; empty: there is none. */
static struct span take_word(struct span *rest)
{
    size_t size = 0;
    *rest = span_trim(*rest);
    while (size < rest->size && !is_blank(rest->data[size]))
        size++;
    return span_take(rest, size);
}

/* Of a limit of the listener's policy that has this file. */
static bool is_too_small(struct parser *p, const struct place *at, const struct override_words *w,
                         const struct rate *figure, const struct listener_config *l)
{
    char path[OVERRIDE_KEY_SIZE];
    const struct policy *policy = l->policy_rules;
    (void)snprintf(path, sizeof path, "%s: %.*s", w->name, (int)w->limit.size,
                   w->limit.data); /* cut to fit */
    for (size_t i = 0; policy != NULL && i < policy->limit_count; i++)
        if (is_of_file(policy, p->path) && span_equals(w->limit, policy->limits[i].name) &&
            config_warn_burst(l, &policy->limits[i], figure->burst, at, path, p->errors))
            return true;
    return false;
}

static void warn(struct parser *p, const struct place *at, const struct override_words *w,
                 const struct rate *figure)
{
    const struct config *c = p->config;
    bool is_told = figure->period_us == 0;
    for (size_t i = 0; i < c->listener_count && !is_told && p->warnings < WARNINGS_MAX; i++)
        is_told = is_too_small(p, at, w, figure, &c->listeners[i]);
    p->warnings += is_told && figure->period_us > 0;
}

static void take_entry(struct parser *p, const struct place *at, const struct override_words *w)
{
    char key[OVERRIDE_KEY_SIZE];
    struct rate figure;
    struct error why;
    if (overrides_parse(p->config, p->path, w, &figure, &why) < 0)
        errors_add_at(p->errors, at, "%s", why.text);
    else if (override_key(w->limit, w->name, key) == 0 ||
             lookup_add(p->builder, span_of(key), span_make((const char *)&figure, sizeof figure),
                        at->line) < 0)
        errors_add_at(p->errors, at, "out of memory");
    else
        warn(p, at, w, &figure);
}

/* LIMIT RATE [BURST] LIMIT RATE [BURST] ...; no limit's name begins with a digit. */
static void take_line(void *owner, const struct listing_line *line)
{
    struct parser *p = owner;
    char name[ACCOUNT_SIZE];
    struct override_words w = {.name = name};
    struct span rest = line->value;
    if (account_or_domain(line->key, p->config->auth.realm, name) < 0) {
        errors_add_at(p->errors, &line->at,
                      "\"%.*s\" is no account; write one as ana@example.com, or @example.com for "
                      "all of a domain",
                      (int)line->key.size, line->key.data);
        return;
    }
    while ((w.limit = take_word(&rest)).size > 0) {
        w.figure = take_word(&rest);
        struct span behind = rest, burst = take_word(&behind);
        bool has_burst = burst.size > 0 && ascii_is_digit(burst.data[0]);
        w.burst = has_burst ? burst : span_of("");
        rest = has_burst ? behind : rest;
        take_entry(p, &line->at, &w);
    }
}

int overrides_build(const struct config *config, int fd, const char *path, size_t *count,
                    struct errors *errors)
{
    struct parser p = {.config = config, .path = path, .errors = errors};
    const struct listing l = {.fd = fd,
                              .path = path,
                              .title = "overrides",
                              .take = take_line,
                              .owner = &p,
                              .builder = &p.builder};
    return listing_make(&l, count, errors);
}
