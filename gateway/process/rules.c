#include "process/rules.h"

struct claimer {
    struct labels *labels;
    struct limits *limits;
    unsigned number;
};

static int claim(const struct claimer *k, const char *name, uint16_t *out)
{
    int fresh, slot = label_claim(k->labels, LABEL_RULE, name, k->number, &fresh);
    if (slot < 0)
        return -1;
    if (fresh)
        limits_clear(k->limits, (size_t)slot);
    *out = (uint16_t)slot;
    return 0;
}

int rules_claim(struct labels *labels, struct limits *limits, struct config *c, unsigned number)
{
    const struct claimer k = {labels, limits, number};
    struct guessing_config *guessing = &c->auth.guessing;
    int failed = guessing->max == 0 ? 0 : claim(&k, GUESSING_RULE, &guessing->slot);
    for (size_t i = 0; i < c->policy_count; i++)
        for (size_t n = 0; n < c->policies[i].limit_count; n++) {
            struct limit_rule *r = &c->policies[i].limits[n];
            if (r->enabled)
                failed |= claim(&k, r->name, &r->slot);
        }
    return failed;
}
