/* Bans: those made here are told; those of others are lifted before they are read anew, as one that
 * is gone there may have been lifted. */
#include "decision/exchange.h"

#include "base/clock.h"
#include "decision/ban_text.h"

#include <assert.h>

static_assert((int)BAN_NAME_SIZE <= (int)EXCHANGE_NAME_SIZE &&
                  (int)BAN_VALUE_SIZE <= (int)EXCHANGE_VALUE_SIZE,
              "a ban fits");

static uint64_t version(const void *table)
{
    return bans_version(table);
}

static bool read(const void *table, size_t place, int64_t now_ns, struct exchange_row *out)
{
    struct ban ban;
    if (bans_read(table, place, now_ns, &ban) < 0 || ban.origin != BAN_OF_GATEWAY)
        return false;
    ban_text_write(&ban, out->name, out->value);
    out->until_ns = ban.until_ns;
    return true;
}

/* Ours come back to us: what is the same already isn't the store's. */
static int take(void *table, size_t process, struct span name, struct span value)
{
    int64_t now = clock_wall_ns();
    struct ban told, is;
    if (ban_text_read(name, value, &told) < 0)
        return -1;
    told.origin = BAN_OF_STORE;
    if (bans_find(table, &told, now, &is) < 0 || is.since_ns != told.since_ns ||
        is.until_ns != told.until_ns)
        (void)bans_put(table, process, &told, now, NULL); /* it may have ended */
    return -1;
}

static void forget(void *table, size_t process)
{
    struct ban was;
    for (size_t place = 0; place < BANS_MAX; place++)
        if (bans_read(table, place, clock_wall_ns(), &was) == 0 && was.origin == BAN_OF_STORE)
            (void)bans_lift(table, process, place, &was); /* else it ends by itself */
}

const struct exchange_kind exchange_bans = {.name = "bans",
                                            .places = BANS_MAX,
                                            .version = version,
                                            .read = read,
                                            .take = take,
                                            .forget = forget};
