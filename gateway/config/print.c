/* -T, and the reference for the manual: the same tables read the other way. */
#include "config/config.h"
#include "config/grammar.h"

enum { INDENT = 4 };

struct printer {
    struct buffer *out;
    int depth, failed;
};

static void put_open(struct printer *p, const char *name)
{
    p->failed |= buffer_printf(p->out, "%*s%s = {\n", p->depth * INDENT, "", name);
    p->depth++;
}

static void put_close(struct printer *p)
{
    p->depth--;
    p->failed |= buffer_printf(p->out, "%*s}\n", p->depth * INDENT, "");
}

static void put_setting(struct printer *p, const struct setting *key, const void *base)
{
    p->failed |= buffer_printf(p->out, "%*s%s = ", p->depth * INDENT, "", key->name);
    p->failed |= setting_print(key, base, p->out);
    p->failed |= buffer_append(p->out, span_of("\n"));
}

static void put_settings(struct printer *p, const struct section *s, const void *base)
{
    for (const struct setting *key = s->settings; key->name != NULL; key++)
        put_setting(p, key, base);
}

static void put_listeners(struct printer *p, const struct config *c)
{
    put_open(p, "listeners");
    for (size_t i = 0; i < c->listener_count; i++) {
        const struct listener_config *l = &c->listeners[i];
        put_open(p, l->name);
        for (const struct setting *key = section_listener.settings; key->name != NULL; key++)
            if ((listener_key_roles(key->name) >> l->role & 1) != 0)
                put_setting(p, key, l);
        put_close(p);
    }
    put_close(p);
}

static void put_upstreams(struct printer *p, const struct config *c)
{
    put_open(p, "upstreams");
    for (size_t i = 0; i < c->upstream_count; i++) {
        const struct upstream_config *u = &c->upstreams[i];
        put_open(p, u->name);
        put_settings(p, &section_upstream, u);
        put_open(p, "servers");
        for (size_t n = 0; n < u->server_count; n++) {
            put_open(p, u->servers[n].name + strlen(u->name) + 1);
            put_settings(p, &section_server, &u->servers[n]);
            put_close(p);
        }
        put_close(p);
        put_close(p);
    }
    put_close(p);
}

int config_print(const struct config *c, struct buffer *out)
{
    struct printer p = {.out = out};
    put_settings(&p, &section_top, c);
    put_open(&p, "control_groups");
    for (size_t i = 0; i < c->control_group_count; i++)
        p.failed |= buffer_printf(out, "%*s%s = \"%s\"\n", INDENT, "", c->control_groups[i].group,
                                  control_role_names[c->control_groups[i].role]);
    put_close(&p);
    put_open(&p, "log");
    put_settings(&p, &section_log, &c->log);
    put_close(&p);
    put_open(&p, "auth");
    put_settings(&p, &section_auth, &c->auth);
    put_close(&p);
    put_open(&p, "tls");
    for (size_t i = 0; i < c->tls_count; i++) {
        put_open(&p, c->tls[i].name);
        put_settings(&p, &section_tls, &c->tls[i]);
        put_close(&p);
    }
    put_close(&p);
    put_upstreams(&p, c);
    put_listeners(&p, c);
    return p.failed;
}

static const struct {
    const struct section *section;
    const char *path; /* how the manual names its keys */
} reference[] = {
    {&section_top, ""},
    {&section_log, "log."},
    {&section_tls, "tls.NAME."},
    {&section_listener, "listeners.NAME."},
    {&section_auth, "auth."},
    {&section_upstream, "upstreams.NAME."},
    {&section_server, "upstreams.NAME.servers.NAME."},
};

/* A preset as it would stand in the file. */
static int put_preset(const struct setting *key, struct buffer *out)
{
    union {
        const char *text;
        int choice;
        int64_t number;
        bool boolean;
        struct text_list list;
    } value;
    struct setting alone = *key;
    struct arena *a = arena_create(4096);
    if (a == NULL)
        return -1;
    alone.offset = 0;
    setting_store_preset(&alone, &value, a);
    int outcome = setting_print(&alone, &value, out);
    arena_destroy(&a);
    return outcome;
}

/* Text of a manual page: a backslash and a leading dot mean something to roff. */
static int put_roff(const char *text, struct buffer *out)
{
    int failed = 0;
    for (; *text != '\0'; text++)
        failed |= *text == '\\'  ? buffer_append(out, span_of("\\e"))
                  : *text == '-' ? buffer_append(out, span_of("\\-"))
                                 : buffer_append(out, span_make(text, 1));
    return failed;
}

static int put_row(const char *path, const struct setting *key, struct buffer *out)
{
    struct buffer preset = {.limit = 1024};
    int failed = put_preset(key, &preset);
    failed |= buffer_append(&preset, span_make("", 1));
    failed |= buffer_printf(out, ".TP\n.BR %s%s \" = ", path, key->name);
    for (const char *c = failed ? "" : buffer_bytes(&preset).data; *c != '\0'; c++)
        failed |= buffer_append(out, *c == '"' ? span_of("\\(dq") : span_make(c, 1));
    failed |= buffer_append(out, span_of("\"\n"));
    failed |= put_roff(key->help, out);
    failed |= buffer_append(out, span_of("\n"));
    buffer_clear(&preset);
    return failed;
}

int config_reference_print(bool as_roff, struct buffer *out)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof reference / sizeof *reference; i++) {
        const struct section *s = reference[i].section;
        if (as_roff)
            failed |=
                buffer_printf(out, ".SS \"%s\"\n", s->name[0] == '\0' ? "Top level" : s->help);
        else
            failed |= buffer_printf(out, "\n# %s\n", s->name[0] == '\0' ? "The gateway" : s->help);
        for (const struct setting *key = s->settings; key->name != NULL; key++) {
            if (as_roff) {
                failed |= put_row(reference[i].path, key, out);
                continue;
            }
            failed |= buffer_printf(out, "%s%s = ", reference[i].path, key->name);
            failed |= put_preset(key, out);
            failed |= buffer_printf(out, "    # %s\n", key->help);
        }
    }
    return failed;
}
