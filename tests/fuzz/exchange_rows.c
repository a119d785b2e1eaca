/* What gateways tell one another by way of Redis, which may hold anything: the input is a name and,
 * behind a first LF, a value, as a row of each kind. What is taken is told as what it was taken as.
 */
#include "decision/exchange.h"

#include "base/clock.h"
#include "decision/ban_text.h"
#include "decision/bans.h"
#include "decision/set_limits.h"
#include "fuzz.h"

static const uint64_t key[2] = {1, 2};

/* Whatever is told again is taken for the same again. */
static void exchange(const struct exchange_kind *kind, void *table, struct span name,
                     struct span value)
{
    struct exchange_row row, again;
    int place = kind->take(table, 1, name, value);
    must(place < (int)kind->places, "there is such a place");
    if (place < 0 || !kind->read(table, (size_t)place, clock_wall_ns(), &row))
        return;
    must(kind->take(table, 1, span_of(row.name), span_of(row.value)) == place &&
             kind->read(table, (size_t)place, clock_wall_ns(), &again) &&
             strcmp(row.name, again.name) == 0 && strcmp(row.value, again.value) == 0,
         "it stays as it is");
}

/* A ban of any time, which no table has any more. */
static void tell_ban(struct span name, struct span value)
{
    char names[2][BAN_NAME_SIZE], values[2][BAN_VALUE_SIZE];
    struct ban ban;
    if (ban_text_read(name, value, &ban) < 0)
        return;
    ban_text_write(&ban, names[0], values[0]);
    must(ban_text_read(span_of(names[0]), span_of(values[0]), &ban) == 0, "what is told is read");
    ban_text_write(&ban, names[1], values[1]);
    must(strcmp(names[0], names[1]) == 0 && strcmp(values[0], values[1]) == 0,
         "and told as it was");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bans *bans;
    static struct set_limits *limits;
    struct span value = span_make((const char *)data, size), name = span_split(&value, '\n');
    if (bans == NULL) {
        bans = calloc(1, bans_size());
        limits = calloc(1, set_limits_size());
        must(bans != NULL && limits != NULL, "there is memory");
        bans_begin(bans, 1);
        set_limits_begin(limits, key);
    }
    tell_ban(name, value);
    exchange(&exchange_bans, bans, name, value);
    exchange(&exchange_limits, limits, name, value);
    return 0;
}
