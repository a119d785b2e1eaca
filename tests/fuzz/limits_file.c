/* The file of counters in memory. The input is read as the whole file, and as what stands behind
 * the head of one whose end was right, put back into a table that is too small for it. */
#include "decision/limits_file.h"

#include "fuzz.h"

#include <stdlib.h>

enum { CELLS = 24, BLOCKS = 3 };
#define NOW_US INT64_C(1795540385000000)

static struct table table = {.cells = CELLS, .blocks = BLOCKS, .key = {3, 5}};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    table.memory = calloc(1, table_size(CELLS, BLOCKS));
    must(table.memory != NULL, "there is memory");
    return 0;
}

/* As many rules as there are names of different length. */
static int slot_of(void *owner, const char *name)
{
    must(owner == &table, "the owner is handed on");
    must(strlen(name) < LABEL_NAME_SIZE, "a name is no longer than names are");
    return (int)strlen(name) - 1;
}

static void check_row(void *owner, const struct table_row *r)
{
    ++*(size_t *)owner;
    must(r->rest_us > NOW_US, "nothing is kept that is at rest");
    must(r->name.slot < LABEL_NAME_SIZE, "a counter is one of a rule that there is");
    must(r->name.kind != COUNTER_AT_ONCE + 1, "no lease is kept");
    must(table_put(&table, r, NOW_US) < 0, "a counter is there once");
}

static void restore(const struct limits_reader *r, size_t size)
{
    size_t found = 0;
    memset(table.memory, 0, table_size(CELLS, BLOCKS));
    size_t count = limits_restore(r, &table, NOW_US, slot_of, &table);
    must(count <= size / LIMITS_ROW_SIZE, "there are no more counters than the file has");
    for (size_t shard = 0; shard < TABLE_SHARDS; shard++)
        table_each(&table, shard, NOW_US, check_row, &found);
    must(found <= count, "what is there was counted");
    const struct counter_take t = {
        .needs = STORE_NO_GROUP, .key = span_of("rule ana"), .rate = {1000000, 1000000, 0}};
    struct table_name name;
    struct counter_answer a;
    (void)table_names(&table, &t, 1, &name);
    must(table_take(&table, &t, &name, 1, NOW_US, &a) == 0, "the table is whole");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    struct limits_reader r;
    struct error why = {.text = ""};
    if (limits_read(&r, input, &why) == 0) {
        must(lies_in(r.rest, input), "what is behind the head lies in the file");
        restore(&r, size);
    } else {
        must(why.text[0] != '\0', "what is refused says why");
    }
    r.rest = input;
    restore(&r, size);
    return 0;
}
