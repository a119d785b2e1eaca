#include "control/board.h"

#include "base/clock.h"

static double seconds_since(int64_t then_wall_ns, int64_t now_wall_ns)
{
    return ((double)now_wall_ns - (double)then_wall_ns) / (double)CLOCK_SECOND; /* or anything */
}

static json_t *processes(const struct board *b, int64_t now_wall_ns)
{
    json_t *all = json_array();
    for (size_t slot = 0; slot < PROCESS_SLOT_MAX; slot++) {
        struct process_row row;
        if (process_read(b->processes, slot, &row) < 0)
            continue;
        (void)json_array_append_new(
            all,
            json_pack("{s:s, s:i, s:i, s:i, s:s, s:f, s:i}", "role", process_role_name(row.role),
                      "index", (int)row.index, "pid", row.pid, "generation", (int)row.generation,
                      "state", process_state_name(row.state), "uptime",
                      seconds_since(row.started_wall_ns, now_wall_ns), "sessions",
                      (int)session_count(&b->sessions, (int)slot)));
    }
    return all;
}

/* Every counter of a label's kind, by the counter's name. */
static json_t *counters_of(const struct board *b, enum label_kind kind, size_t slot)
{
    json_t *all = json_object();
    for (size_t c = 0; c < COUNTER_COUNT; c++) {
        enum label_kind label;
        if (counter_label((enum counter)c, &label) && label == kind)
            (void)json_object_set_new(
                all, counter_name((enum counter)c),
                json_integer(counter_read(b->counters, (enum counter)c, slot)));
    }
    return all;
}

static json_t *listeners(const struct board *b)
{
    json_t *all = json_array();
    char name[LABEL_NAME_SIZE];
    for (size_t slot = 0; slot < label_capacity(LABEL_LISTENER); slot++) {
        if (label_name(b->labels, LABEL_LISTENER, slot, name) < 0)
            continue;
        json_t *one = counters_of(b, LABEL_LISTENER, slot);
        (void)json_object_set_new(one, "name", json_string(name));
        (void)json_array_append_new(all, one);
    }
    return all;
}

static json_t *servers(const struct board *b)
{
    static const char *const states[] = {"unknown", "up", "down"};
    json_t *all = json_array();
    char name[LABEL_NAME_SIZE];
    for (size_t slot = 0; slot < label_capacity(LABEL_SERVER); slot++) {
        if (label_name(b->labels, LABEL_SERVER, slot, name) < 0)
            continue;
        json_t *one = counters_of(b, LABEL_SERVER, slot);
        (void)json_object_set_new(one, "name", json_string(name));
        (void)json_object_set_new(one, "state", json_string(states[health_state(b->health, slot)]));
        (void)json_object_set_new(one, "connections",
                                  json_integer(health_connections(b->health, slot)));
        (void)json_array_append_new(all, one);
    }
    return all;
}

static json_t *totals(const struct board *b)
{
    json_t *all = json_object();
    for (size_t c = 0; c < COUNTER_COUNT; c++) {
        enum label_kind label;
        if (!counter_label((enum counter)c, &label))
            (void)json_object_set_new(all, counter_name((enum counter)c),
                                      json_integer(counter_read(b->counters, (enum counter)c, 0)));
    }
    return all;
}

/* The master's row says what the gateway as a whole does. */
static struct process_row find_master(const struct board *b)
{
    struct process_row row = {.pid = 0};
    for (size_t slot = 0; slot < PROCESS_SLOT_MAX; slot++)
        if (process_read(b->processes, slot, &row) == 0 && row.role == PROCESS_MASTER)
            return row;
    return (struct process_row){.pid = 0};
}

json_t *board_status(const struct board *b, int64_t now_wall_ns)
{
    struct process_row master = find_master(b);
    return json_pack("{s:s, s:s, s:i, s:s, s:i, s:f, s:i, s:I, s:o, s:o, s:o, s:o}", "version",
                     PORTEIRO_VERSION, "hostname", b->config->hostname, "pid", master.pid, "state",
                     process_state_name(master.state), "generation", (int)master.generation,
                     "uptime", seconds_since(master.started_wall_ns, now_wall_ns), "sessions",
                     (int)session_count(&b->sessions, -1), "max_connections",
                     (json_int_t)b->config->max_connections, "processes", processes(b, now_wall_ns),
                     "listeners", listeners(b), "servers", servers(b), "counters", totals(b));
}

json_t *board_session(const struct board *b, size_t row, int64_t now_wall_ns)
{
    struct session_row content;
    enum session_state state;
    size_t owner;
    char listener[LABEL_NAME_SIZE] = "";
    struct process_row process = {.pid = 0};
    if (session_read(&b->sessions, row, &content, &state, &owner) < 0 || content.id[0] == '\0')
        return NULL;
    (void)label_name(b->labels, LABEL_LISTENER, content.listener, listener); /* else it stays "" */
    (void)process_read(b->processes, owner, &process); /* else its pid stays 0 */
    json_t *one = json_pack(
        "{s:s%, s:s%, s:s, s:s, s:f, s:i, s:i, s:b, s:i}", "session", content.id,
        strlen(content.id), "client", content.client, strlen(content.client), "listener", listener,
        "state", session_state_name(state), "age",
        seconds_since(content.started_wall_ns, now_wall_ns), "messages", (int)content.messages,
        "deleted", (int)content.deleted, "tls", content.is_tls != 0, "pid", process.pid);
    if (one != NULL) {
        /* A worker that was taken over may have written anything: what isn't UTF-8 is left out. */
        json_t *account = json_string(content.account);
        (void)json_object_set_new(one, "account", account == NULL ? json_string("") : account);
    }
    return one;
}
