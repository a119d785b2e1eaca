#include "decision/verdict_log.h"

#include "policy/figures.h"

#include <string.h>

bool verdict_is_silent(const struct verdict *v)
{
    return v->kind == VERDICT_PASS && v->wait_us == 0;
}

bool verdict_bans(const struct verdict *v)
{
    return v->rule->action == LIMIT_BAN && v->kind == VERDICT_DEFER;
}

bool verdict_suspends(const struct verdict *v)
{
    return v->rule->action == LIMIT_SUSPEND && !verdict_is_silent(v);
}

const char *verdict_word(const struct verdict *v, bool is_monitored, bool is_suspended)
{
    return verdict_is_silent(v)        ? "pass"
           : is_monitored              ? "monitor"
           : verdict_bans(v)           ? "ban"
           : is_suspended              ? "suspend"
           : v->kind == VERDICT_DEFER  ? "defer"
           : v->kind == VERDICT_REJECT ? "reject"
                                       : "delay";
}

enum event verdict_event(const struct verdict *v)
{
    return verdict_is_silent(v) ? EVENT_decision_passed : EVENT_decision;
}

/* One that isn't known, or says nothing, is left out. */
static struct field number(enum log_key key, bool is_known, int64_t value)
{
    return is_known ? field_number(key, value) : field_text(key, "");
}

const struct field *verdict_fields(const struct verdict *v, struct verdict_line *line)
{
    bool is_silent = verdict_is_silent(v), has_wait = v->wait_us >= 0 && !is_silent;
    line->limit[0] = '\0';
    if (!is_silent)
        (void)limit_rule_text(v->rule, v->override, line->limit, sizeof line->limit);
    const struct field fields[VERDICT_FIELDS] = {
        field_text(KEY_message, line->message),
        field_text(KEY_sender, line->sender),
        field_text(KEY_recipient, line->recipient),
        field_text(KEY_rule, v->rule->name),
        field_text(KEY_verdict, line->word),
        field_span(KEY_key, v->key),
        field_text(KEY_country, line->country),
        field_text(KEY_limit, line->limit),
        number(KEY_used, !is_silent && v->used >= 0, v->used),
        number(KEY_cost, v->cost != 0, (int64_t)v->cost),
        number(KEY_left, v->left >= 0, v->left),
        has_wait ? field_seconds(KEY_wait, v->wait_us * 1000) : field_text(KEY_wait, ""),
        {.kind = FIELD_END}};
    memcpy(line->fields, fields, sizeof fields);
    return line->fields;
}

const struct field *verdict_near_fields(const struct verdict *v, struct verdict_line *line)
{
    const struct field fields[] = {
        field_text(KEY_message, line->message),
        field_text(KEY_sender, line->sender),
        field_text(KEY_rule, v->rule->name),
        field_span(KEY_key, v->key),
        field_text(KEY_limit,
                   limit_rule_text(v->rule, v->override, line->limit, sizeof line->limit)),
        number(KEY_used, v->used >= 0, v->used),
        {.kind = FIELD_END}};
    memcpy(line->fields, fields, sizeof fields);
    return line->fields;
}
