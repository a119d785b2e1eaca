/* From the parser's tree to the struct, by the tables of grammar.c. Whatever is wrong is told and
 * left out, so that all of it is told at once. */
#include "config/reader.h"

#include "base/arena.h"
#include "config/check.h"
#include "config/grammar.h"

#include <stdlib.h>

enum { ARENA_LIMIT = 64 * 1024 * 1024, NAME_MAX_SIZE = 60 };

/* Out of memory at the start ends the program. */
void *reader_take(struct reader *r, size_t size)
{
    void *memory = arena_alloc(r->config->arena, size);
    if (memory == NULL)
        abort();
    return memory;
}

struct place reader_place(struct reader *r, const config_setting_t *at)
{
    struct place p = source_place(r->source, config_setting_source_line(at));
    p.file = arena_copy(r->config->arena, span_of(p.file));
    return p;
}

/* "FILE:LINE: path.key: what". */
void reader_complain(struct reader *r, const config_setting_t *at, const char *path,
                     const char *what)
{
    struct place p = source_place(r->source, config_setting_source_line(at));
    const char *name = config_setting_name(at);
    errors_add_at(r->errors, &p, "%s%s%s: %s", path, path[0] == '\0' ? "" : ".",
                  name == NULL ? "?" : name, what);
}

static struct text_list read_list(struct reader *r, const config_setting_t *at, bool *is_good)
{
    struct text_list list = {.count = (size_t)config_setting_length(at)};
    list.items = reader_take(r, (list.count + 1) * sizeof *list.items);
    for (size_t i = 0; i < list.count; i++) {
        const config_setting_t *item = config_setting_get_elem(at, (unsigned)i);
        if (config_setting_type(item) != CONFIG_TYPE_STRING)
            *is_good = false;
        else
            list.items[i] = config_setting_get_string(item);
    }
    return list;
}

static struct value read_value(struct reader *r, const config_setting_t *at)
{
    struct value v = {.type = VALUE_OTHER};
    bool is_good = true;
    switch (config_setting_type(at)) {
    case CONFIG_TYPE_STRING:
        v = (struct value){.type = VALUE_TEXT, .text = config_setting_get_string(at)};
        break;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        v = (struct value){.type = VALUE_NUMBER, .number = config_setting_get_int64(at)};
        break;
    case CONFIG_TYPE_BOOL:
        v = (struct value){.type = VALUE_BOOLEAN, .number = config_setting_get_bool(at)};
        break;
    case CONFIG_TYPE_ARRAY:
    case CONFIG_TYPE_LIST:
        v.list = read_list(r, at, &is_good);
        v.type = is_good ? VALUE_LIST : VALUE_OTHER;
        break;
    default: break;
    }
    return v;
}

static void complain_unknown(struct reader *r, const config_setting_t *at, const char *path,
                             const struct section *s, const char *const *groups)
{
    struct error what;
    const char *name = config_setting_name(at);
    const char *meant = section_suggest(s, groups, name == NULL ? "" : name);
    struct buffer known = {.limit = 1024};
    if (meant == NULL) {
        for (const struct setting *key = s->settings; key->name != NULL; key++)
            (void)buffer_printf(&known, "%s%s", known.size == 0 ? "" : ", ", key->name);
        for (; groups != NULL && *groups != NULL; groups++)
            (void)buffer_printf(&known, "%s%s", known.size == 0 ? "" : ", ", *groups);
        (void)error_set(&what, "unknown key; known here: %.*s", (int)known.size,
                        buffer_bytes(&known).data);
    } else {
        (void)error_set(&what, "unknown key; did you mean %s?", meant);
    }
    buffer_clear(&known);
    reader_complain(r, at, path, what.text);
}

void reader_complain_missing(struct reader *r, const config_setting_t *group, const char *path,
                             const struct setting *key)
{
    struct place p = source_place(r->source, config_setting_source_line(group));
    errors_add_at(r->errors, &p, "%s.%s: is missing; write it as %s = %s", path, key->name,
                  key->name, key->example);
}

/* Fills `base` with what stands in `group`. Groups named in `groups` are left to the caller.
 * Returns a bit for each setting of the table that was set. */
uint64_t reader_apply(struct reader *r, const struct section *s, const config_setting_t *group,
                      const char *path, const char *const *groups, void *base)
{
    uint64_t set = 0;
    struct error why;
    for (int i = 0; group != NULL && i < config_setting_length(group); i++) {
        const config_setting_t *at = config_setting_get_elem(group, (unsigned)i);
        const char *name = config_setting_name(at);
        const struct setting *key = section_find(s, span_of(name));
        bool is_group = false;
        for (size_t k = 0; groups != NULL && groups[k] != NULL; k++)
            is_group = is_group || strcmp(groups[k], name) == 0;
        if (is_group)
            continue;
        if (key == NULL) {
            complain_unknown(r, at, path, s, groups);
            continue;
        }
        struct value v = read_value(r, at);
        const struct place place = reader_place(r, at);
        set |= UINT64_C(1) << (key - s->settings);
        errors_know(r->errors,
                    path[0] == '\0' ? name : arena_printf(r->config->arena, "%s.%s", path, name),
                    &place);
        if (s == &section_top)
            r->config->places[key - s->settings] = place;
        if (setting_store(key, &v, base, r->config->arena, &why) < 0)
            reader_complain(r, at, path, why.text);
    }
    return set;
}

void reader_presets(struct reader *r, const struct section *s, void *base)
{
    for (const struct setting *key = s->settings; key->name != NULL; key++)
        setting_store_preset(key, base, r->config->arena);
}

static void check_required(struct reader *r, const struct section *s, const config_setting_t *group,
                           const char *path, uint64_t set)
{
    for (const struct setting *key = s->settings; group != NULL && key->name != NULL; key++)
        if (key->is_required && (set >> (key - s->settings) & 1) == 0)
            reader_complain_missing(r, group, path, key);
}

/* The same, with defaults, and with what must be there. */
static uint64_t read_settings(struct reader *r, const struct section *s,
                              const config_setting_t *group, const char *path,
                              const char *const *groups, void *base)
{
    reader_presets(r, s, base);
    uint64_t set = reader_apply(r, s, group, path, groups, base);
    check_required(r, s, group, path, set);
    return set;
}

/* Was the key set in the file? `set` is what read_settings returned. */
static bool is_set(const struct section *s, uint64_t set, const char *key)
{
    return (set >> (section_find(s, span_of(key)) - s->settings) & 1) != 0;
}

/* The member of that name if it is a group, else NULL, complaining when it is something else. */
const config_setting_t *reader_group(struct reader *r, const config_setting_t *parent,
                                     const char *path, const char *name)
{
    const config_setting_t *at = config_setting_get_member(parent, name);
    if (at == NULL || config_setting_is_group(at))
        return at;
    reader_complain(r, at, path, "must be a group, as { ... }");
    return NULL;
}

/* How many members a group has; 0 for NULL. */
size_t reader_members(const config_setting_t *group)
{
    return group == NULL ? 0 : (size_t)config_setting_length(group);
}

/* The i-th member if it is a group with a name of reasonable length, else NULL, having complained.
 * `name` is a copy. */
const config_setting_t *reader_named_group(struct reader *r, const config_setting_t *parent,
                                           size_t i, const char *path, const char **name)
{
    const config_setting_t *at = config_setting_get_elem(parent, (unsigned)i);
    if (!config_setting_is_group(at)) {
        reader_complain(r, at, path, "must be a group, as { ... }");
        return NULL;
    }
    if (strlen(config_setting_name(at)) > NAME_MAX_SIZE) {
        reader_complain(r, at, path, "the name is too long; at most 60 characters");
        return NULL;
    }
    *name = arena_copy(r->config->arena, span_of(config_setting_name(at)));
    return at;
}

static void read_tls(struct reader *r, const config_setting_t *root)
{
    const config_setting_t *group = reader_group(r, root, "", "tls"), *at;
    r->config->tls = reader_take(r, (reader_members(group) + 1) * sizeof *r->config->tls);
    for (size_t i = 0; i < reader_members(group); i++) {
        struct tls_config *t = &r->config->tls[r->config->tls_count];
        if ((at = reader_named_group(r, group, i, "tls", &t->name)) == NULL)
            continue;
        const char *path = arena_printf(r->config->arena, "tls.%s", t->name);
        (void)read_settings(r, &section_tls, at, path, NULL, t);
        t->place = reader_place(r, at);
        r->config->tls_count++;
    }
}

static void read_servers(struct reader *r, const config_setting_t *group, const char *path,
                         struct upstream_config *u)
{
    const config_setting_t *at;
    const char *name;
    u->servers = reader_take(r, (reader_members(group) + 1) * sizeof *u->servers);
    for (size_t i = 0; i < reader_members(group); i++) {
        struct server_config *s = &u->servers[u->server_count];
        if ((at = reader_named_group(r, group, i, path, &name)) == NULL)
            continue;
        (void)read_settings(r, &section_server, at,
                            arena_printf(r->config->arena, "%s.%s", path, name), NULL, s);
        s->name = arena_printf(r->config->arena, "%s/%s", u->name, name);
        s->place = reader_place(r, at);
        u->server_count++;
    }
}

static void read_upstreams(struct reader *r, const config_setting_t *root)
{
    static const char *const groups[] = {"servers", NULL};
    const config_setting_t *group = reader_group(r, root, "", "upstreams"), *at;
    r->config->upstreams =
        reader_take(r, (reader_members(group) + 1) * sizeof *r->config->upstreams);
    for (size_t i = 0; i < reader_members(group); i++) {
        struct upstream_config *u = &r->config->upstreams[r->config->upstream_count];
        if ((at = reader_named_group(r, group, i, "upstreams", &u->name)) == NULL)
            continue;
        const char *path = arena_printf(r->config->arena, "upstreams.%s", u->name);
        uint64_t set = read_settings(r, &section_upstream, at, path, groups, u);
        u->place = reader_place(r, at);
        if (u->protocol == UPSTREAM_POP3 && !is_set(&section_upstream, set, "identity"))
            u->identity = IDENTITY_PASSWORD;
        const struct auth_config *auth = &r->config->auth;
        u->is_asked = auth->backend == BACKEND_UPSTREAM &&
                      (auth->upstream[0] == '\0' || strcmp(auth->upstream, u->name) == 0);
        if (upstream_has_password(u) && !is_set(&section_upstream, set, "tls"))
            u->tls = UPSTREAM_TLS_REQUIRE;
        read_servers(r, reader_group(r, at, path, "servers"),
                     arena_printf(r->config->arena, "%s.servers", path), u);
        r->config->upstream_count++;
    }
}

static void read_trusted(struct reader *r, const config_setting_t *group, const char *path,
                         struct listener_config *l)
{
    const config_setting_t *at;
    l->trusted = reader_take(r, (reader_members(group) + 1) * sizeof *l->trusted);
    for (size_t i = 0; i < reader_members(group); i++) {
        struct trusted_config *t = &l->trusted[l->trusted_count];
        if ((at = reader_named_group(r, group, i, path, &t->name)) == NULL)
            continue;
        (void)read_settings(r, &section_trusted, at,
                            arena_printf(r->config->arena, "%s.%s", path, t->name), NULL, t);
        t->place = reader_place(r, at);
        l->trusted_count++;
    }
}

/* Keys of a role other than the listener's are errors. */
static void check_roles(struct reader *r, const config_setting_t *at, const char *path, int role)
{
    for (size_t i = 0; i < reader_members(at); i++) {
        const config_setting_t *key = config_setting_get_elem(at, (unsigned)i);
        const char *name = config_setting_name(key);
        struct error why;
        bool is_known = section_find(&section_listener, span_of(name)) != NULL ||
                        strcmp(name, section_trusted.name) == 0;
        if (!is_known || (listener_key_roles(name) >> role & 1) != 0)
            continue;
        (void)error_set(&why, "means nothing for role \"%s\"", listener_role_name(role));
        reader_complain(r, key, path, why.text);
    }
}

static void read_listeners(struct reader *r, const config_setting_t *root)
{
    static const char *const groups[] = {"trusted", NULL};
    const config_setting_t *group = reader_group(r, root, "", "listeners"), *at;
    enum { IMPLIED = 3 };
    r->config->listeners =
        reader_take(r, (reader_members(group) + IMPLIED) * sizeof *r->config->listeners);
    for (size_t i = 0; i < reader_members(group); i++) {
        struct listener_config *l = &r->config->listeners[r->config->listener_count];
        if ((at = reader_named_group(r, group, i, "listeners", &l->name)) == NULL)
            continue;
        const char *path = arena_printf(r->config->arena, "listeners.%s", l->name);
        uint64_t set = read_settings(r, &section_listener, at, path, groups, l);
        l->place = reader_place(r, at);
        if (l->role == ROLE_POP3 && !is_set(&section_listener, set, "idle_timeout"))
            l->idle_timeout_ms = 10 * 60 * 1000;
        if (l->role == ROLE_REFUSE && !is_set(&section_listener, set, "tls"))
            l->tls = LISTENER_TLS_NONE;
        read_trusted(r, reader_group(r, at, path, "trusted"),
                     arena_printf(r->config->arena, "%s.trusted", path), l);
        check_roles(r, at, path, l->role);
        r->config->listener_count++;
    }
}

/* Without any listener: 465 and 587 serve upstream "smtp", 995 serves "pop3". */
static void imply_listeners(struct reader *r)
{
    static const struct {
        const char *name, *bind, *upstream;
        int role, tls;
    } implied[] = {
        {"submissions", "*:465", "smtp", ROLE_SUBMISSION, LISTENER_TLS_IMPLICIT},
        {"submission", "*:587", "smtp", ROLE_SUBMISSION, LISTENER_TLS_STARTTLS},
        {"pop3s", "*:995", "pop3", ROLE_POP3, LISTENER_TLS_IMPLICIT},
    };
    struct config *c = r->config;
    for (size_t i = 0; i < sizeof implied / sizeof *implied; i++) {
        const struct upstream_config *u = config_find_upstream(c, implied[i].upstream);
        struct listener_config *l = &c->listeners[c->listener_count];
        if (u == NULL || (u->protocol == UPSTREAM_POP3) != (implied[i].role == ROLE_POP3))
            continue;
        (void)read_settings(r, &section_listener, NULL, "", NULL, l);
        l->name = implied[i].name;
        l->place = (struct place){c->file, 0};
        l->bind = (struct text_list){reader_take(r, sizeof *l->bind.items), 1};
        l->bind.items[0] = implied[i].bind;
        l->role = implied[i].role;
        l->tls = implied[i].tls;
        l->upstream = implied[i].upstream;
        if (l->role == ROLE_POP3)
            l->idle_timeout_ms = 10 * 60 * 1000;
        c->listener_count++;
    }
}

static void read_control_groups(struct reader *r, const config_setting_t *root)
{
    const config_setting_t *group = reader_group(r, root, "", "control_groups");
    const struct setting role = {.kind = SETTING_CHOICE,
                                 .offset = offsetof(struct control_group_config, role),
                                 .choices = control_role_names};
    r->config->control_groups =
        reader_take(r, (reader_members(group) + 1) * sizeof *r->config->control_groups);
    for (size_t i = 0; i < reader_members(group); i++) {
        const config_setting_t *at = config_setting_get_elem(group, (unsigned)i);
        struct control_group_config *g =
            &r->config->control_groups[r->config->control_group_count++];
        struct value v = read_value(r, at);
        struct error why;
        g->group = arena_copy(r->config->arena, span_of(config_setting_name(at)));
        g->place = reader_place(r, at);
        if (setting_store(&role, &v, g, r->config->arena, &why) < 0)
            reader_complain(r, at, "control_groups", why.text);
    }
}

static void read_notify(struct reader *r, const config_setting_t *root)
{
    const config_setting_t *group = reader_group(r, root, "", section_notify.name), *at;
    r->config->notify = reader_take(r, (reader_members(group) + 1) * sizeof *r->config->notify);
    for (size_t i = 0; i < reader_members(group); i++) {
        struct notify_config *n = &r->config->notify[r->config->notify_count];
        if ((at = reader_named_group(r, group, i, section_notify.name, &n->name)) == NULL)
            continue;
        (void)read_settings(r, &section_notify, at,
                            arena_printf(r->config->arena, "notify.%s", n->name), NULL, n);
        for (size_t e = 0; e < n->events.count; e++)
            for (size_t k = 0; k < NOTICE_COUNT; k++)
                n->notices |= (unsigned)(strcmp(n->events.items[e], notice_names[k]) == 0) << k;
        n->place = reader_place(r, at);
        r->config->notify_count++;
    }
}

/* Without the block there is no Redis. */
static void read_redis(struct reader *r, const config_setting_t *root)
{
    struct redis_config *redis = &r->config->redis;
    const config_setting_t *at = reader_group(r, root, "", "redis");
    if (at == NULL)
        return;
    uint64_t set = read_settings(r, &section_redis, at, "redis", NULL, redis);
    redis->place = reader_place(r, at);
    if (redis->sentinels.count > 0 && !is_set(&section_redis, set, "address"))
        redis->address.count = 0;
    const struct text_list *first =
        redis->sentinels.count > 0 ? &redis->sentinels : &redis->address;
    redis->servers = reader_take(r, (first->count + 1) * sizeof *redis->servers);
    for (size_t i = 0; i < first->count; i++) {
        struct redis_server *server = &redis->servers[redis->server_count++];
        server->text = first->items[i];
        server->is_unix = strncmp(server->text, "unix:", 5) == 0;
        if (!server->is_unix)
            (void)address_parse(server->text, &server->to, NULL); /* one that won't do was told */
    }
}

static void read_filter(struct reader *r, const config_setting_t *root)
{
    struct filter_config *filter = &r->config->filter;
    const config_setting_t *at = reader_group(r, root, "", section_filter.name);
    (void)read_settings(r, &section_filter, at, section_filter.name, NULL, filter);
    if (at != NULL)
        filter->place = reader_place(r, at);
}

static void read_auth(struct reader *r, const config_setting_t *at)
{
    static const char *const groups[] = {"guessing", NULL};
    struct auth_config *auth = &r->config->auth;
    const config_setting_t *guessing =
        at == NULL ? NULL : reader_group(r, at, "auth", section_guessing.name);
    (void)read_settings(r, &section_auth, at, "auth", groups, auth);
    (void)read_settings(r, &section_guessing, guessing, "auth.guessing", NULL, &auth->guessing);
    auth->place = at == NULL ? (struct place){r->config->file, 0} : reader_place(r, at);
}

static void read_all(struct reader *r, const config_setting_t *root)
{
    static const char *const groups[] = {"log",       "tls",    "listeners", "auth",
                                         "upstreams", "redis",  "policies",  "control_groups",
                                         "groups",    "notify", "milters",   "filter",
                                         NULL};
    const config_setting_t *at;
    size_t keys = 0;
    while (section_top.settings[keys].name != NULL)
        keys++;
    r->config->places = reader_take(r, keys * sizeof *r->config->places);
    (void)read_settings(r, &section_top, root, "", groups, r->config);
    at = reader_group(r, root, "", "log");
    (void)read_settings(r, &section_log, at, "log", NULL, &r->config->log);
    r->config->log.place = at == NULL ? (struct place){r->config->file, 0} : reader_place(r, at);
    read_auth(r, reader_group(r, root, "", "auth"));
    read_redis(r, root);
    read_filter(r, root);
    read_tls(r, root);
    read_upstreams(r, root);
    reader_policies(r, root);
    reader_milters(r, root);
    read_listeners(r, root);
    if (r->config->listener_count == 0)
        imply_listeners(r);
    read_control_groups(r, root);
    read_notify(r, root);
}

/* What the parser itself found, where our own pass found nothing. */
static void complain_parse(const struct source *source, const config_t *tree, struct errors *errors)
{
    struct place p = source_place(source, (unsigned)config_error_line(tree));
    errors_add_at(errors, &p, "%s", config_error_text(tree));
}

static struct config *create(const char *file)
{
    struct arena *arena = arena_create(ARENA_LIMIT);
    struct config *c = arena == NULL ? NULL : arena_alloc(arena, sizeof *c);
    if (c == NULL)
        abort(); /* out of memory at the start */
    c->arena = arena;
    if ((c->file = arena_copy(arena, span_of(file))) == NULL)
        abort();
    return c;
}

struct config *config_load(const char *file, struct errors *errors)
{
    struct source *source = source_read(file, errors);
    if (source == NULL)
        return NULL;
    size_t before = errors_count(errors);
    config_t tree;
    struct config *c = NULL;
    config_init(&tree);
    source_check(source, errors);
    if (config_read_string(&tree, source_text(source)) == CONFIG_TRUE) {
        c = create(file);
        struct reader r = {c, source, errors};
        read_all(&r, config_root_setting(&tree));
        config_check(c, errors);
    } else if (errors_count(errors) == before) {
        complain_parse(source, &tree, errors);
    }
    config_destroy(&tree);
    source_destroy(&source);
    return c;
}
