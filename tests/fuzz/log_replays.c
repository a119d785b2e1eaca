/* Whole logs, as somebody may have edited them: what accounts send, and what a policy would have
 * decided of it. Whatever the lines say, more is never refused than was asked. */
#include "policy/replay.h"

#include "base/arena.h"
#include "fuzz.h"
#include "policy/suggest.h"

enum { CELLS = 64, BLOCKS = 4, MEMORY_MAX = 64 * 1024 * 1024 };

static struct limit_rule rules[] = {{.name = "hour",
                                     .enabled = true,
                                     .keys = {LIMIT_KEY_ACCOUNT},
                                     .key_count = 1,
                                     .count = LIMIT_RECIPIENTS,
                                     .action = LIMIT_DELAY,
                                     .max_delay_ms = 60000,
                                     .stage = STAGE_RCPT,
                                     .rate_text = "",
                                     .rate = {3, INT64_C(3600000000), 3}},
                                    {.name = "doors",
                                     .enabled = true,
                                     .keys = {LIMIT_KEY_IP},
                                     .key_count = 1,
                                     .count = LIMIT_CONNECTIONS,
                                     .action = LIMIT_DEFER,
                                     .kind = COUNTER_AT_ONCE,
                                     .max = 1,
                                     .stage = STAGE_CONNECT,
                                     .rate_text = "",
                                     .slot = 1},
                                    {.name = "size",
                                     .enabled = true,
                                     .keys = {LIMIT_KEY_SENDER},
                                     .key_count = 1,
                                     .count = LIMIT_BYTES,
                                     .action = LIMIT_REJECT,
                                     .stage = STAGE_END,
                                     .rate_text = "",
                                     .rate = {1000, INT64_C(3600000000), 1000},
                                     .slot = 2},
                                    {.name = "stolen",
                                     .enabled = true,
                                     .keys = {LIMIT_KEY_ACCOUNT},
                                     .key_count = 1,
                                     .count = LIMIT_RECIPIENTS,
                                     .action = LIMIT_SUSPEND,
                                     .duration_ms = 60000,
                                     .stage = STAGE_RCPT,
                                     .rate_text = "",
                                     .rate = {2, INT64_C(60000000), 2},
                                     .slot = 3}};
static const struct policy policy = {.name = "p",
                                     .limits = rules,
                                     .limit_count = 4,
                                     .sender = {.envelope = SENDER_OWN, .header = SENDER_OWN},
                                     .max_suspensions = {2, INT64_C(60000000), 2},
                                     .stages =
                                         1u << STAGE_CONNECT | 1u << STAGE_RCPT | 1u << STAGE_END};

static bool listener_of(const void *owner, struct span name, struct replay_listener *out)
{
    (void)owner;
    *out = (struct replay_listener){"submission", &policy, name.size % 2 == 0};
    return name.size > 0;
}

static bool same(const void *owner, struct span given, char *out, size_t size)
{
    (void)owner;
    return given.size < size && span_copy(given, out, size) > 0;
}

static void tell(struct replay *replay, struct suggest *suggest, struct span text)
{
    static struct record_line line;
    while (text.size > 0)
        if (record_read(span_split(&text, '\n'), &line) == 0) {
            must(replay_hear(replay, &line) == 0 && suggest_hear(suggest, &line) == 0,
                 "there is memory for a line");
        }
}

static void check(struct replay *replay, struct suggest *suggest)
{
    struct suggest_account *accounts;
    struct replay_row *rows;
    must(replay_run(replay) == 0, "there is memory for what happens");
    size_t count = replay_rows(replay, &rows);
    for (size_t i = 1; i < count; i++)
        must(strcmp(rows[i - 1].rule, rows[i].rule) < 0 ||
                 strcmp(rows[i - 1].account, rows[i].account) <= 0,
             "rows are in order");
    count = suggest_accounts(suggest, &accounts);
    for (size_t i = 0; i < count; i++)
        must(accounts[i].refused <= accounts[i].recipients, "no more is refused than was sent");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint64_t *memory;
    const struct rate limit = {10, INT64_C(3600000000), 2};
    struct arena *arena = arena_create(MEMORY_MAX);
    if (memory == NULL)
        memory = malloc(table_size(CELLS, BLOCKS));
    must(arena != NULL && memory != NULL, "there is memory");
    memset(memory, 0, table_size(CELLS, BLOCKS));
    struct replay *replay = replay_create(&(struct replay_options){
        .arena = arena,
        .listener_of = listener_of,
        .account_of = same,
        .address_of = same,
        .table = {.memory = memory, .cells = CELLS, .blocks = BLOCKS, .key = {1, 2}}});
    struct suggest *suggest = suggest_create(arena, &limit, SUGGEST_RECIPIENTS);
    must(replay != NULL && suggest != NULL, "there is memory to begin");
    tell(replay, suggest, span_make((const char *)data, size));
    check(replay, suggest);
    replay_destroy(&replay);
    arena_destroy(&arena);
    return 0;
}
