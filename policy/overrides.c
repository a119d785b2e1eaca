#include "policy/overrides.h"

#include "base/lookup.h"
#include "policy/policy.h"

#include <inttypes.h>
#include <stdio.h>

enum { FIGURE_MAX = 64 };

size_t override_key(struct span limit, const char *name, char out[OVERRIDE_KEY_SIZE])
{
    int size = snprintf(out, OVERRIDE_KEY_SIZE, "%.*s %s", (int)limit.size, limit.data, name);
    return size < OVERRIDE_KEY_SIZE ? (size_t)size : 0;
}

/* ---- figures ---- */

static int parse_burst(struct span text, int64_t *out, struct error *why)
{
    char number[FIGURE_MAX];
    (void)span_copy(text, number, sizeof number); /* a longer one is none */
    if (text.size < sizeof number && setting_parse_size(number, out, why) == 0 && *out > 0 &&
        *out <= RATE_COUNT_MAX)
        return 0;
    return error_set(why, "\"%.*s\" is no burst; write how many pass at once, from 1 to %" PRId64,
                     (int)text.size, text.data, RATE_COUNT_MAX);
}

static int parse_max(struct span figure, struct span burst, struct rate *out, struct error *why)
{
    uint64_t max;
    if (span_number(figure, OVERRIDE_MAX, &max) < 0 || max == 0)
        return error_set(why, "\"%.*s\" is no rate, as \"600/1h\", and no max, from 1 to %d",
                         (int)figure.size, figure.data, OVERRIDE_MAX);
    if (burst.size > 0)
        return error_set(why, "a burst means nothing without a rate; write \"600/1h 100\"");
    *out = (struct rate){.count = (int64_t)max};
    return 0;
}

int override_parse(struct span figure, struct span burst, struct rate *out, struct error *why)
{
    char rate[FIGURE_MAX];
    if (figure.size >= sizeof rate || memchr(figure.data, '/', figure.size) == NULL)
        return parse_max(figure, burst, out, why);
    (void)span_copy(figure, rate, sizeof rate); /* fits */
    if (limit_parse_rate(rate, out, why) < 0)
        return -1;
    out->burst = out->count;
    return burst.size == 0 ? 0 : parse_burst(burst, &out->burst, why);
}

static bool is_rate(const struct rate *figure)
{
    return figure->period_us > 0;
}

const char *override_format(const struct rate *figure, char out[OVERRIDE_FIGURE_SIZE])
{
    char period[SETTING_DURATION_SIZE];
    if (!is_rate(figure))
        (void)snprintf(out, OVERRIDE_FIGURE_SIZE, "%" PRId64, figure->count); /* fits, as below */
    else if (figure->burst == figure->count)
        (void)snprintf(out, OVERRIDE_FIGURE_SIZE, "%" PRId64 "/%s", figure->count,
                       setting_format_duration(figure->period_us / 1000, period));
    else
        (void)snprintf(out, OVERRIDE_FIGURE_SIZE, "%" PRId64 "/%s %" PRId64, figure->count,
                       setting_format_duration(figure->period_us / 1000, period), figure->burst);
    return out;
}

bool override_is_sane(const struct rate *f)
{
    bool is_good_rate = f->count <= RATE_COUNT_MAX && f->burst > 0 && f->burst <= RATE_COUNT_MAX &&
                        f->period_us <= INT64_C(366) * 86400000000;
    return f->count > 0 && f->period_us >= 0 &&
           (is_rate(f) ? is_good_rate : f->count <= OVERRIDE_MAX);
}

/* ---- whose ---- */

static bool has_key(const struct limit_rule *r, enum limit_key key)
{
    for (size_t i = 0; i < r->key_count; i++)
        if (r->keys[i] == key)
            return true;
    return false;
}

static bool is_by_account(const struct limit_rule *r)
{
    return has_key(r, LIMIT_KEY_ACCOUNT) || has_key(r, LIMIT_KEY_LOGIN);
}

/* Has it a figure of that kind? */
static bool is_for(const struct limit_rule *r, const struct rate *figure)
{
    return is_rate(figure) ? r->kind == COUNTER_RATE
                           : r->kind == COUNTER_AT_ONCE || r->kind == COUNTER_DISTINCT;
}

int override_check(const struct limit_rule *r, const struct rate *figure, bool is_of_domain,
                   struct error *why)
{
    if (!is_by_account(r) && !has_key(r, LIMIT_KEY_ACCOUNT_DOMAIN))
        return error_set(why, "%s goes by neither account, login nor account_domain", r->name);
    if (!is_by_account(r) && !is_of_domain)
        return error_set(why, "%s goes by account_domain; write it for @example.com", r->name);
    if (r->kind == COUNTER_RATIO)
        return error_set(why, "%s is a ratio, which is the same for all", r->name);
    if (!is_for(r, figure))
        return error_set(why, "%s is limited by %s", r->name,
                         r->kind == COUNTER_RATE ? "a rate; write it as \"600/1h\""
                                                 : "max; write a number alone");
    return 0;
}

/* ---- what is in force ---- */

static bool find_in_file(const struct limit_rule *r, const char *name, struct rate *out)
{
    char key[OVERRIDE_KEY_SIZE];
    struct span value;
    size_t size = override_key(span_of(r->name), name, key);
    if (r->overrides == NULL || r->overrides->list == NULL || size == 0)
        return false;
    const struct span octets = r->overrides->list->bytes;
    if (!lookup_find((struct lookup){octets.data, octets.size}, span_make(key, size), &value) ||
        value.size != sizeof *out)
        return false;
    memcpy(out, value.data, sizeof *out);
    return true;
}

static bool find_set(const struct limit_rule *r, const char *name, const struct policy_facts *f,
                     struct rate *out)
{
    const struct override_store *s = f->set_limits;
    return s != NULL && s->find(s->owner, r->name, name, f->now_s, out);
}

static bool find_one(const struct limit_rule *r, const char *name, const struct policy_facts *f,
                     struct override *out)
{
    bool is_found =
        out->is_set ? find_set(r, name, f, &out->figure) : find_in_file(r, name, &out->figure);
    out->is_of_domain = name[0] == '@';
    return is_found && override_is_sane(&out->figure) && is_for(r, &out->figure);
}

bool override_find(const struct limit_rule *r, const struct policy_facts *f, struct override *out)
{
    const bool is_his = is_by_account(r);
    const char *account = has_key(r, LIMIT_KEY_ACCOUNT) || !is_his ? f->account : f->login;
    const char *domain = account == NULL ? NULL : strrchr(account, '@');
    if (account == NULL || (!is_his && !has_key(r, LIMIT_KEY_ACCOUNT_DOMAIN)))
        return false;
    for (int i = 0; i < 2; i++) {
        out->is_set = i == 0;
        if ((is_his && find_one(r, account, f, out)) ||
            (domain != NULL && find_one(r, domain, f, out)))
            return true;
    }
    return false;
}
