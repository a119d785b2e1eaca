#include "config/mechanisms.h"

#include "base/span.h"
#include "config/config.h"

#include <string.h>

const char *const mechanism_names[] = {
    "PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "CRAM-MD5", "EXTERNAL", NULL};

static unsigned wanted(const struct text_list *list)
{
    unsigned set = 0;
    for (size_t i = 0; i < list->count; i++)
        for (int m = 0; m < MECHANISM_COUNT; m++)
            if (strcmp(list->items[i], mechanism_names[m]) == 0)
                set |= 1U << m;
    return set;
}

/* Takes out what can't succeed for a reason, which -t tells. */
static void leave_out(struct listener_config *l, unsigned set, const char *why,
                      struct errors *errors)
{
    char names[128] = "";
    size_t used = 0;
    for (int m = 0; m < MECHANISM_COUNT; m++)
        if ((l->mechanisms & set & 1U << m) != 0) {
            used += span_copy(span_of(used == 0 ? "" : ", "), names + used, sizeof names - used);
            used += span_copy(span_of(mechanism_names[m]), names + used, sizeof names - used);
        }
    l->mechanisms &= ~set;
    if (used > 0)
        errors_note_at(errors, &l->place, "listeners.%s: no %s: %s", l->name, names, why);
}

void mechanisms_check(struct config *c, struct errors *errors)
{
    for (size_t i = 0; i < c->listener_count; i++) {
        struct listener_config *l = &c->listeners[i];
        if (l->upstream_config == NULL || l->tls == LISTENER_TLS_NONE)
            continue; /* role refuse, or an error already; or nobody logs in there */
        l->mechanisms = wanted(&c->auth.mechanisms);
        if (c->auth.backend == BACKEND_SASLAUTHD)
            leave_out(l, ~(MECHANISMS_PASSWORD | 1U << MECHANISM_EXTERNAL),
                      "saslauthd is told the password, which they never show", errors);
        if (c->auth.backend == BACKEND_UPSTREAM)
            leave_out(l, ~(MECHANISMS_PASSWORD | 1U << MECHANISM_EXTERNAL),
                      "the server behind is asked with the password, which they never show",
                      errors);
        if (upstream_needs_password(l->upstream_config))
            leave_out(l, ~MECHANISMS_PASSWORD,
                      "the server behind is told the user's own password, which they never show",
                      errors);
        if (l->client_certificate == CLIENT_CERTIFICATE_NONE)
            leave_out(l, 1U << MECHANISM_EXTERNAL, "no client is asked for a certificate", errors);
        if (l->mechanisms == 0 && c->auth.mechanisms.count > 0)
            errors_add_at(errors, &l->place,
                          "listeners.%s: nobody could log in: nothing of auth.mechanisms can "
                          "succeed here; add \"PLAIN\"",
                          l->name);
    }
}
