/* Bans: those made here are told; those of others are lifted before they are read anew, as one that
 * is gone there may have been lifted.
 *
 * Where two gateways have banned the same, one of the two holds on all of them: who hears one that
 * his own holds over tells his own again, else his own is gone. What was heard gives way to
 * whatever is told then, since whoever made it tells it again if it has to hold. So it comes to
 * rest.
 *
 * Of two suspensions the table itself keeps the same one everywhere, and one that was lifted is
 * told as that. So every gateway tells all that it knows, and nothing is forgotten meanwhile. */
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
    if (bans_read(table, place, now_ns, &ban) < 0 ||
        (ban.origin != BAN_OF_GATEWAY && ban.kind != BAN_SUSPENSION))
        return false;
    ban_text_write(&ban, out->name, out->value);
    out->until_ns = ban.until_ns;
    return true;
}

/* What a person has ordered holds over what a rule did, of two orders the later one, of two rules
 * the one that ends later. */
static bool holds_over(const struct ban *a, const struct ban *b)
{
    bool is_order = a->rule[0] == '\0', is_other_order = b->rule[0] == '\0';
    if (is_order != is_other_order)
        return is_order;
    if (is_order && a->since_ns != b->since_ns)
        return a->since_ns > b->since_ns;
    return a->until_ns != b->until_ns ? a->until_ns > b->until_ns : a->since_ns > b->since_ns;
}

/* Returns where the one stands that holds: the store is told it, if it has another. */
static int take_suspension(struct bans *bans, size_t process, const struct ban *told,
                           int64_t now_ns)
{
    struct ban is;
    (void)bans_put(bans, process, told, now_ns, NULL); /* it may have ended */
    return bans_find(bans, told, now_ns, &is);
}

/* Ours come back to us: what is the same already isn't the store's. */
static int take(void *table, size_t process, struct span name, struct span value)
{
    int64_t now = clock_wall_ns();
    struct ban told, is;
    if (ban_text_read(name, value, &told) < 0)
        return -1;
    told.origin = BAN_OF_STORE;
    if (told.kind == BAN_SUSPENSION)
        return take_suspension(table, process, &told, now);
    int place = bans_find(table, &told, now, &is);
    if (place >= 0 && is.since_ns == told.since_ns && is.until_ns == told.until_ns)
        return -1;
    if (place >= 0 && holds_over(&is, &told)) {
        if (is.origin == BAN_OF_GATEWAY)
            return place;
        (void)bans_lift(table, process, (size_t)place, &is); /* else it stays until it ends */
    }
    (void)bans_put(table, process, &told, now, NULL); /* it may have ended */
    return -1;
}

static void forget(void *table, size_t process)
{
    struct ban was;
    for (size_t place = 0; place < BANS_MAX; place++)
        if (bans_read(table, place, clock_wall_ns(), &was) == 0 && was.origin == BAN_OF_STORE &&
            was.kind != BAN_SUSPENSION)
            (void)bans_lift(table, process, place, &was); /* else it ends by itself */
}

const struct exchange_kind exchange_bans = {.name = "bans",
                                            .places = BANS_MAX,
                                            .version = version,
                                            .read = read,
                                            .take = take,
                                            .forget = forget};
