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

static void put_trusted(struct printer *p, const struct listener_config *l)
{
    put_open(p, section_trusted.name);
    for (size_t i = 0; i < l->trusted_count; i++) {
        put_open(p, l->trusted[i].name);
        put_settings(p, &section_trusted, &l->trusted[i]);
        put_close(p);
    }
    put_close(p);
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
        if (l->trusted_count > 0)
            put_trusted(p, l);
        put_close(p);
    }
    put_close(p);
}

static void put_notify(struct printer *p, const struct config *c)
{
    put_open(p, section_notify.name);
    for (size_t i = 0; i < c->notify_count; i++) {
        put_open(p, c->notify[i].name);
        put_settings(p, &section_notify, &c->notify[i]);
        put_close(p);
    }
    put_close(p);
}

static void put_groups(struct printer *p, const struct config *c)
{
    put_open(p, section_group.name);
    for (size_t i = 0; i < c->groups.count; i++) {
        put_open(p, c->groups.items[i].name);
        put_settings(p, &section_group, &c->groups.items[i]);
        put_close(p);
    }
    put_close(p);
}

static bool is_empty_list(const struct setting *key, const void *base)
{
    return key->kind == SETTING_TEXT_LIST &&
           ((const struct text_list *)(const void *)((const char *)base + key->offset))->count == 0;
}

/* Lists of what is asked for: an empty one would ask for nothing, and isn't taken. */
static void put_given(struct printer *p, const struct section *s, const void *base)
{
    for (const struct setting *key = s->settings; key->name != NULL; key++)
        if (!is_empty_list(key, base))
            put_setting(p, key, base);
}

static void put_match(struct printer *p, const struct section *s, const struct match *m)
{
    if (match_is_empty(m))
        return;
    put_open(p, s->name);
    put_given(p, s, m);
    put_close(p);
}

static void put_limits(struct printer *p, const struct policy *policy)
{
    char text[160];
    put_open(p, section_limit.name);
    for (size_t i = 0; i < policy->limit_count; i++) {
        const struct limit_rule *rule = &policy->limits[i];
        if (rule->enabled)
            p->failed |= buffer_printf(p->out, "%*s# %s\n", p->depth * INDENT, "",
                                       limit_rule_text(rule, NULL, text, sizeof text));
        put_open(p, rule->name);
        put_settings(p, &section_limit, rule);
        put_match(p, &section_when, &rule->when);
        put_match(p, &section_except, &rule->except);
        put_close(p);
    }
    put_close(p);
}

static void put_access(struct printer *p, const struct policy *policy)
{
    put_open(p, section_access.name);
    for (size_t i = 0; i < policy->access_count; i++) {
        const struct access_rule *rule = &policy->access[i];
        put_open(p, rule->name);
        put_given(p, &section_access, rule);
        put_match(p, &section_when, &rule->when);
        put_match(p, &section_except, &rule->except);
        put_close(p);
    }
    put_close(p);
}

static void put_delegates(struct printer *p, const struct policy *policy)
{
    put_open(p, section_delegate.name);
    for (size_t i = 0; i < policy->delegate_count; i++) {
        const struct delegate_rule *rule = &policy->delegates[i];
        put_open(p, rule->name);
        put_settings(p, &section_delegate, rule);
        put_match(p, &section_when, &rule->when);
        put_match(p, &section_except, &rule->except);
        put_close(p);
    }
    put_close(p);
}

static void put_sender(struct printer *p, const struct sender_rule *rule)
{
    put_open(p, section_sender.name);
    put_settings(p, &section_sender, rule);
    put_match(p, &section_when, &rule->when);
    put_match(p, &section_except, &rule->except);
    put_close(p);
}

/* As they are in force: what `base` has is here already. */
static void put_policies(struct printer *p, const struct config *c)
{
    put_open(p, section_policy.name);
    for (size_t i = 0; i < c->policy_count; i++) {
        put_open(p, c->policies[i].name);
        put_settings(p, &section_policy, &c->policies[i]);
        put_sender(p, &c->policies[i].sender);
        put_access(p, &c->policies[i]);
        put_limits(p, &c->policies[i]);
        put_delegates(p, &c->policies[i]);
        put_close(p);
    }
    put_close(p);
}

static void put_milters(struct printer *p, const struct config *c)
{
    put_open(p, section_milter.name);
    for (size_t i = 0; i < c->milter_count; i++) {
        put_open(p, c->milters[i].name);
        put_settings(p, &section_milter, &c->milters[i]);
        put_match(p, &section_when, &c->milters[i].when);
        put_match(p, &section_except, &c->milters[i].except);
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
    put_notify(&p, c);
    put_open(&p, "log");
    put_settings(&p, &section_log, &c->log);
    put_close(&p);
    put_open(&p, "auth");
    put_settings(&p, &section_auth, &c->auth);
    put_open(&p, section_guessing.name);
    put_settings(&p, &section_guessing, &c->auth.guessing);
    put_close(&p);
    put_close(&p);
    if (c->redis.server_count > 0) {
        put_open(&p, "redis");
        put_settings(&p, &section_redis, &c->redis);
        put_close(&p);
    }
    if (c->filter.place.file != NULL) {
        put_open(&p, section_filter.name);
        put_settings(&p, &section_filter, &c->filter);
        put_close(&p);
    }
    put_open(&p, "tls");
    for (size_t i = 0; i < c->tls_count; i++) {
        put_open(&p, c->tls[i].name);
        put_settings(&p, &section_tls, &c->tls[i]);
        put_close(&p);
    }
    put_close(&p);
    put_upstreams(&p, c);
    put_groups(&p, c);
    put_policies(&p, c);
    put_milters(&p, c);
    put_listeners(&p, c);
    return p.failed;
}

/* How the reference names the groups, from the outermost in; an example where names are free. */
static const struct {
    const struct section *section;
    const char *path;      /* in the manual */
    const char *groups[5]; /* in the file; ends with NULL */
} reference[] = {
    {&section_top, "", {NULL}},
    {&section_group, "groups.NAME.", {NULL}},
    {&section_notify, "notify.NAME.", {NULL}},
    {&section_log, "log.", {"log", NULL}},
    {&section_tls, "tls.NAME.", {"tls", "default", NULL}},
    {&section_listener, "listeners.NAME.", {"listeners", "submissions", NULL}},
    {&section_trusted, "listeners.NAME.trusted.NAME.", {NULL}},
    {&section_auth, "auth.", {"auth", NULL}},
    {&section_guessing, "auth.guessing.", {"auth", "guessing", NULL}},
    {&section_redis, "redis.", {"redis", NULL}},
    {&section_upstream, "upstreams.NAME.", {"upstreams", "smtp", NULL}},
    {&section_server, "upstreams.NAME.servers.NAME.", {"upstreams", "smtp", "servers", "legacy"}},
    {&section_milter, "milters.NAME.", {NULL}},
    {&section_policy, "policies.NAME.", {"policies", "outbound", NULL}},
    {&section_sender, "policies.NAME.sender.", {"policies", "outbound", "sender", NULL}},
    {&section_access,
     "policies.NAME.access.NAME.",
     {"policies", "outbound", "access", "office-only"}},
    {&section_limit,
     "policies.NAME.limits.NAME.",
     {"policies", "outbound", "limits", "account-hour"}},
    {&section_delegate,
     "policies.NAME.delegate.NAME.",
     {"policies", "outbound", "delegate", "quota"}},
    {&section_when, "policies.NAME.KIND.NAME.when.", {NULL}},
    {&section_except, "policies.NAME.KIND.NAME.except.", {NULL}},
    {&section_filter, "filter.", {"filter", NULL}},
};

enum { REFERENCES = sizeof reference / sizeof *reference, HELP_COLUMN = 36, LINE_WIDTH = 100 };

/* Groups whose members have names of their own, and none by default. */
static const struct {
    const struct section *section;
    const char *name, *help;
} free_groups[] = {
    {&section_top, "control_groups",
     "groups of users of porteiroctl, as { porteiro-admin = \"admin\" }: read, support or admin"},
    {&section_top, "groups",
     "of accounts, as { shop = { file = \"/etc/porteiro/plans/shop\" } }, for \"group:shop\""},
    {&section_top, "notify",
     "as { panel = { command = \"/etc/porteiro/notify\" } }: what is told of what happens"},
    {&section_top, "milters",
     "filters, as { rspamd = { address = \"inet:127.0.0.1:11332\" } }, for milters of a listener"},
    {&section_listener, "trusted",
     "as { printers = { networks = [\"10.1.9.0/24\"]  account = \"printers@example.com\" } }"},
};

enum { FREE_GROUPS = sizeof free_groups / sizeof *free_groups };

/* The default as it would stand in the file, or an example. */
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
    if (key->example != NULL)
        return buffer_append(out, span_of(key->example));
    struct arena *a = arena_create(4096);
    if (a == NULL)
        return -1;
    alone.offset = 0;
    setting_store_preset(&alone, &value, a);
    int outcome = setting_print(&alone, &value, out);
    arena_destroy(&a);
    return outcome;
}

/* What isn't asked for is left out. */
static bool has_no_default(const struct setting *key)
{
    return key->kind == SETTING_TEXT_LIST && key->min > 0 && key->preset[0] == '\0' &&
           key->example == NULL;
}

/* "key = value  # help" on one line, or the help above it where that would be too long. */
static void put_reference_key(struct printer *p, const struct setting *key)
{
    struct buffer value = {.limit = 1024};
    const char *mark = key->example == NULL ? "" : "example; ";
    p->failed |= put_preset(key, &value);
    size_t used = (size_t)p->depth * INDENT + 19 + value.size;
    size_t column = used < HELP_COLUMN ? HELP_COLUMN : used;
    bool is_long = column + strlen(mark) + strlen(key->help) + 4 > LINE_WIDTH;
    if (is_long)
        p->failed |= buffer_printf(p->out, "%*s# %s%s\n", p->depth * INDENT, "", mark, key->help);
    p->failed |= buffer_printf(p->out, "%*s%s%-16s = %.*s", p->depth * INDENT, "",
                               has_no_default(key) ? "# " : "", key->name, (int)value.size,
                               buffer_bytes(&value).data);
    if (!is_long)
        p->failed |=
            buffer_printf(p->out, "%*s  # %s%s", (int)(column - used), "", mark, key->help);
    p->failed |= buffer_append(p->out, span_of("\n"));
    buffer_clear(&value);
}

static void put_reference_keys(struct printer *p, const struct section *s)
{
    for (const struct setting *key = s->settings; key->name != NULL; key++)
        put_reference_key(p, key);
    for (size_t i = 0; i < FREE_GROUPS; i++)
        if (free_groups[i].section == s)
            p->failed |=
                buffer_printf(p->out, "%*s# %s\n%*s%-16s = { }\n", p->depth * INDENT, "",
                              free_groups[i].help, p->depth * INDENT, "", free_groups[i].name);
}

/* Of how many groups, from the outermost in, both are. */
static int common(const char *const a[], const char *const b[])
{
    int n = 0;
    while (n < 4 && a[n] != NULL && b[n] != NULL && strcmp(a[n], b[n]) == 0)
        n++;
    return n;
}

/* All keys as one file that would be taken: each with its default, or an example. */
static int print_as_file(struct buffer *out)
{
    static const char *const none[5] = {NULL};
    const char *const *last = none;
    struct printer p = {.out = out};
    p.failed |= buffer_append(out, span_of("# Every key of porteiro.conf, with its default. Made "
                                           "from the program's own tables.\n"));
    for (size_t i = 0; i < REFERENCES; i++) {
        const char *const *groups = reference[i].groups;
        if (groups[0] == NULL && i > 0)
            continue; /* an example would be a door, or a hole */
        while (p.depth > common(last, groups))
            put_close(&p);
        if (p.depth == 0)
            p.failed |=
                buffer_printf(out, "\n# %s\n", i == 0 ? "The gateway" : reference[i].section->help);
        for (int n = p.depth; n < 4 && groups[n] != NULL; n++)
            put_open(&p, groups[n]);
        put_reference_keys(&p, reference[i].section);
        last = groups;
    }
    while (p.depth > 0)
        put_close(&p);
    return p.failed;
}

/* Text of a manual page: a backslash and a hyphen mean something to roff. */
static int put_roff(struct span text, struct buffer *out)
{
    int failed = 0;
    for (; text.size > 0; span_skip(&text, 1))
        failed |= text.data[0] == '\\'  ? buffer_append(out, span_of("\\e"))
                  : text.data[0] == '-' ? buffer_append(out, span_of("\\-"))
                  : text.data[0] == '"' ? buffer_append(out, span_of("\\(dq"))
                                        : buffer_append(out, span_make(text.data, 1));
    return failed;
}

static int put_row(const char *path, const struct setting *key, struct buffer *out)
{
    struct buffer preset = {.limit = 1024};
    int failed = put_preset(key, &preset);
    failed |= buffer_printf(out, ".TP\n.BR %s%s \" %s ", path, key->name,
                            key->example == NULL ? "=" : "as");
    failed |= put_roff(buffer_bytes(&preset), out);
    failed |= buffer_append(out, span_of("\"\n"));
    failed |= put_roff(span_of(key->help), out);
    failed |= buffer_append(out, span_of("\n"));
    buffer_clear(&preset);
    return failed;
}

static int put_free_groups(const struct section *s, const char *path, struct buffer *out)
{
    int failed = 0;
    for (size_t i = 0; i < FREE_GROUPS; i++) {
        if (free_groups[i].section != s)
            continue;
        failed |= buffer_printf(out, ".TP\n.BR %s%s \" = { }\"\n", path, free_groups[i].name);
        failed |= put_roff(span_of(free_groups[i].help), out);
        failed |= buffer_append(out, span_of("\n"));
    }
    return failed;
}

static int print_as_roff(struct buffer *out)
{
    int failed = 0;
    for (size_t i = 0; i < REFERENCES; i++) {
        failed |=
            buffer_printf(out, ".SS \"%s\"\n", i == 0 ? "The gateway" : reference[i].section->help);
        for (const struct setting *key = reference[i].section->settings; key->name != NULL; key++)
            failed |= put_row(reference[i].path, key, out);
        failed |= put_free_groups(reference[i].section, reference[i].path, out);
    }
    return failed;
}

int config_reference_print(bool as_roff, struct buffer *out)
{
    return as_roff ? print_as_roff(out) : print_as_file(out);
}
