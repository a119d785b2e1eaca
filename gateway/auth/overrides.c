#include "auth/overrides.h"

#include "auth/account.h"
#include "config/listing.h"

#include <stdio.h>

struct parser {
    const struct config *config;
    const char *path;
    struct lookup_builder *builder;
    struct errors *errors;
};

/* One of a line's. */
struct entry {
    const struct listing_line *line;
    const char *name; /* of the account, or "@DOMAIN" */
    struct span limit, figure, burst;
};

/* ---- limits ---- */

static bool is_of_file(const struct parser *p, const struct policy *policy)
{
    return strcmp(policy->overrides.path, p->path) == 0;
}

/* The first, from the i-th of the n-th policy on, that has this name; NULL: there is no other. */
static const struct limit_rule *next_limit(const struct parser *p, struct span name, size_t *n,
                                           size_t *i)
{
    for (; *n < p->config->policy_count; ++*n, *i = 0) {
        const struct policy *policy = &p->config->policies[*n];
        while (is_of_file(p, policy) && *i < policy->limit_count) {
            const struct limit_rule *r = &policy->limits[(*i)++];
            if (span_equals(name, r->name))
                return r;
        }
    }
    return NULL;
}

/* Those that there are, for who has written another. */
static void complain_unknown(const struct parser *p, const struct entry *e)
{
    char names[512] = "";
    size_t used = 0;
    for (size_t n = 0; n < p->config->policy_count; n++)
        for (size_t i = 0; i < p->config->policies[n].limit_count && used < sizeof names; i++)
            if (is_of_file(p, &p->config->policies[n]))
                used += (size_t)snprintf(names + used, sizeof names - used, "%s%s",
                                         used == 0 ? "" : ", ",
                                         p->config->policies[n].limits[i].name); /* cut to fit */
    errors_add_at(p->errors, &e->line->at, "\"%.*s\" is no limit of a policy with this file: %s",
                  (int)e->limit.size, e->limit.data, used == 0 ? "it has none" : names);
}

/* Does it go with all limits of that name? One that is dropped says nothing against it. */
static int check(const struct parser *p, const struct entry *e, const struct rate *figure,
                 struct error *why)
{
    size_t n = 0, i = 0;
    const struct limit_rule *r;
    while ((r = next_limit(p, e->limit, &n, &i)) != NULL)
        if (r->enabled && override_check(r, figure, e->name[0] == '@', why) < 0)
            return -1;
    return 0;
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

static void take_entry(struct parser *p, const struct entry *e)
{
    char key[OVERRIDE_KEY_SIZE];
    struct rate figure;
    struct error why;
    size_t n = 0, i = 0;
    if (next_limit(p, e->limit, &n, &i) == NULL)
        complain_unknown(p, e);
    else if (override_parse(e->figure, e->burst, &figure, &why) < 0 ||
             check(p, e, &figure, &why) < 0)
        errors_add_at(p->errors, &e->line->at, "%s", why.text);
    else if (override_key(e->limit, e->name, key) == 0 ||
             lookup_add(p->builder, span_of(key), span_make((const char *)&figure, sizeof figure),
                        e->line->at.line) < 0)
        errors_add_at(p->errors, &e->line->at, "out of memory");
}

/* LIMIT RATE [BURST] LIMIT RATE [BURST] ...; no limit's name begins with a digit. */
static void take_line(void *owner, const struct listing_line *line)
{
    struct parser *p = owner;
    char name[ACCOUNT_SIZE];
    struct entry e = {.line = line, .name = name};
    struct span rest = line->value;
    if (account_or_domain(line->key, p->config->auth.realm, name) < 0) {
        errors_add_at(p->errors, &line->at,
                      "\"%.*s\" is no account; write one as ana@example.com, or @example.com for "
                      "all of a domain",
                      (int)line->key.size, line->key.data);
        return;
    }
    while ((e.limit = take_word(&rest)).size > 0) {
        e.figure = take_word(&rest);
        struct span behind = rest, burst = take_word(&behind);
        bool has_burst = burst.size > 0 && ascii_is_digit(burst.data[0]);
        e.burst = has_burst ? burst : span_of("");
        rest = has_burst ? behind : rest;
        take_entry(p, &e);
    }
}

int overrides_build(const struct config *config, int fd, const char *path, size_t *count,
                    struct errors *errors)
{
    size_t before = errors_count(errors);
    struct parser p = {config, path, lookup_builder_create(), errors};
    int result = -1;
    if (p.builder == NULL)
        errors_add_at(errors, &(struct place){path, 0}, "out of memory");
    else
        listing_read(fd, path, take_line, &p, errors);
    if (errors_count(errors) == before)
        result = listing_seal(p.builder, "overrides", path, count, errors);
    lookup_builder_destroy(&p.builder);
    return result;
}
