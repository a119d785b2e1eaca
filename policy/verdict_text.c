#include "policy/verdict_text.h"

#include "policy/figures.h"

#include <stdio.h>

static const char *header_wanted(const struct limit_rule *r)
{
    for (size_t i = 0; i < r->key_count; i++)
        if (limit_header(r, i)[0] != '\0')
            return limit_header(r, i);
    return "";
}

const char *verdict_text(const struct verdict *v, char out[VERDICT_TEXT_SIZE])
{
    char limit[160], wait[40], then[64] = "";
    if (v->access.rule != NULL)
        return access_text(&v->access, out, VERDICT_TEXT_SIZE);
    if (v->rule == NULL)
        return "Limits can't be checked now; try again in a minute";
    if (v->lacks_header) {
        (void)snprintf(out, VERDICT_TEXT_SIZE, "%s: the message has no %s", v->rule->name,
                       header_wanted(v->rule)); /* fits */
        return out;
    }
    (void)limit_rule_text(v->rule, v->override, limit, sizeof limit);
    if (v->is_too_large)
        (void)snprintf(then, sizeof then, "; this is more than it ever lets through"); /* fits */
    else if (v->kind == VERDICT_DEFER && v->wait_us >= 0)
        (void)snprintf(then, sizeof then, "; try again in %s",
                       limit_wait_text(v->wait_us, wait, sizeof wait));             /* fits */
    (void)snprintf(out, VERDICT_TEXT_SIZE, "%s: %s%s", v->rule->name, limit, then); /* fits */
    return out;
}
