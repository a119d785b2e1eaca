/* Milters: their keys, and which of them a listener has. */
#include "config/check.h"
#include "config/reader.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

static const char *const on_failure[] = {"tempfail", "accept", "reject", NULL};
static const char *const quarantine[] = {"header", "tempfail", NULL};

#define AT(member) .offset = offsetof(struct milter_config, member)

static const struct setting milter_settings[] = {
    {"address", SETTING_TEXT, AT(address), .preset = "", .check = endpoint_check,
     .help = "inet:HOST:PORT, the host numeric, or unix:PATH, which the master opens",
     .example = "\"inet:127.0.0.1:11332\"", .is_required = true},
    {"on_failure", SETTING_CHOICE, AT(on_failure), .preset = "tempfail", .choices = on_failure,
     .help = "what becomes of a message for which it is away, too slow or not to be understood: "
             "tempfail (451 4.7.1), accept (as if it weren't there) or reject (550)"},
    {"quarantine", SETTING_CHOICE, AT(quarantine), .preset = "header", .choices = quarantine,
     .help = "of a message that it wants held, for which there is no queue here: header (it goes "
             "on, with X-Porteiro-Quarantine) or tempfail"},
    {"connect_timeout", SETTING_DURATION, AT(connect_timeout_ms), .preset = "5s", .min = 100,
     .max = 600000, .help = "for the connection to stand and its options to be agreed on"},
    {"reply_timeout", SETTING_DURATION, AT(reply_timeout_ms), .preset = "30s", .min = 100,
     .max = 3600000,
     .help = "for the answer to a command; it says that it is still at work, and "
             "has as long again"},
    {"message_timeout", SETTING_DURATION, AT(message_timeout_ms), .preset = "5min", .min = 100,
     .max = 3600000, .help = "for its verdict once it has all of a message, whatever it says"},
    {.name = NULL}};
const struct section section_milter = {"milters", milter_settings,
                                       "Filters that speak the milter protocol; when = { } and "
                                       "except = { } say for whom, as in rules"};

static void read_milter(struct reader *r, const config_setting_t *at, struct milter_config *m)
{
    static const char *const groups[] = {"when", "except", NULL};
    const char *path = arena_printf(r->config->arena, "milters.%s", m->name);
    reader_presets(r, &section_milter, m);
    reader_presets(r, &section_when, &m->when);
    reader_presets(r, &section_except, &m->except);
    (void)reader_apply(r, &section_milter, at, path, groups, m);
    reader_match(r, at, path, &section_when, &m->when);
    reader_match(r, at, path, &section_except, &m->except);
    m->place = reader_place(r, at);
    if (config_setting_get_member(at, "address") == NULL)
        reader_complain_missing(r, at, path, section_find(&section_milter, span_of("address")));
    if (m->address[0] != '\0')
        (void)endpoint_parse(m->address, &m->at, NULL); /* was told if it won't do */
}

void reader_milters(struct reader *r, const config_setting_t *root)
{
    const config_setting_t *group = reader_group(r, root, "", section_milter.name), *at;
    r->config->milters = reader_take(r, (reader_members(group) + 1) * sizeof *r->config->milters);
    for (size_t i = 0; i < reader_members(group); i++) {
        struct milter_config *m = &r->config->milters[r->config->milter_count];
        if ((at = reader_named_group(r, group, i, section_milter.name, &m->name)) == NULL)
            continue;
        read_milter(r, at, m);
        r->config->milter_count++;
    }
}

static const struct milter_config *find(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->milter_count; i++)
        if (strcmp(c->milters[i].name, name) == 0)
            return &c->milters[i];
    return NULL;
}

static bool has(const struct listener_config *l, const struct milter_config *m)
{
    for (size_t i = 0; i < l->milter_count; i++)
        if (l->milters[i] == m)
            return true;
    return false;
}

static void find_milters(struct config *c, struct listener_config *l, struct errors *errors)
{
    l->milters = arena_alloc(c->arena, (l->milter_names.count + 1) * sizeof *l->milters);
    if (l->milters == NULL)
        abort(); /* out of memory at the start */
    for (size_t i = 0; i < l->milter_names.count; i++) {
        const struct milter_config *m = find(c, l->milter_names.items[i]);
        if (m == NULL)
            errors_add_at(errors, &l->place, "listeners.%s.milters: \"%s\" isn't one of milters%s",
                          l->name, l->milter_names.items[i],
                          c->milter_count == 0 ? "; there are none" : "");
        else if (has(l, m))
            errors_add_at(errors, &l->place,
                          "listeners.%s.milters: \"%s\" stands there twice; name it once", l->name,
                          m->name);
        else
            l->milters[l->milter_count++] = m;
    }
}

void config_check_milters(struct config *c, struct errors *errors)
{
    for (size_t i = 0; i < c->listener_count; i++)
        find_milters(c, &c->listeners[i], errors);
    for (size_t i = 0; i < c->milter_count; i++) {
        bool is_used = false;
        for (size_t n = 0; n < c->listener_count; n++)
            is_used = is_used || has(&c->listeners[n], &c->milters[i]);
        if (!is_used)
            errors_warn_at(errors, &c->milters[i].place,
                           "milters.%s: no listener uses it; write milters = [\"%s\"] there",
                           c->milters[i].name, c->milters[i].name);
    }
}
