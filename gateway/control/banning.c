#include "control/banning.h"

#include "base/clock.h"
#include "base/span.h"
#include "control/order.h"

#include <stdio.h>

/* Of IPv6 the /64 is what a ban holds at least: one who has an address has all of it. */
static int network_asked(const json_t *request, struct network *out, struct error *said)
{
    const char *text = order_text(request, "network");
    if (network_parse(text, out, said) < 0)
        return -1;
    if (!out->is_v6 || out->bits <= BAN_V6_BITS)
        return 0;
    if (strchr(text, '/') != NULL)
        return error_set(said, "\"%s\": of IPv6 a /%d is the least that can be banned", text,
                         BAN_V6_BITS);
    struct address whole = {.size = sizeof whole.v6};
    whole.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = out->first};
    *out = network_of(&whole, 32, BAN_V6_BITS);
    return 0;
}

/* Other gateways hear of it only while it is in the table: there it ends soon, by this person's
 * order. Until then an exemption covers it; the end of an exemption is waited for. */
static int64_t end_of(const struct banning *b, enum ban_kind kind, int64_t now_ns)
{
    bool is_told = b->config->redis.server_count > 0;
    return !is_told ? now_ns : now_ns + (kind == BAN_EXEMPTION ? CLOCK_SECOND : 5 * CLOCK_SECOND);
}

/* Returns 0, or -1: another process holds the table. */
static int lift(const struct banning *b, size_t place, const struct ban *was, int64_t end_ns,
                uid_t uid)
{
    int64_t now = clock_wall_ns();
    struct ban ending = *was;
    if (end_ns <= now)
        return bans_lift(b->bans, b->process, place, was);
    ending.since_ns = now; /* of two orders the later one holds */
    ending.until_ns = end_ns;
    ending.origin = BAN_OF_GATEWAY;
    ending.rule[0] = '\0';
    ending.uid = (uint32_t)uid;
    (void)span_copy(span_of("lifted"), ending.reason, sizeof ending.reason); /* fits */
    return bans_put(b->bans, b->process, &ending, now, NULL);
}

static void log_lifted(const struct banning *b, const struct ban *was, uid_t uid)
{
    char network[NETWORK_TEXT_SIZE];
    network_format(&was->network, network);
    if (was->kind == BAN_OF_CLIENT)
        log_event(b->log, EVENT_unbanned, field_text(KEY_network, network),
                  field_text(KEY_account, was->name), field_text(KEY_rule, was->rule),
                  field_number(KEY_uid, uid));
}

/* Lifts all bans, or exemptions, that cover `n`. Returns how many, or -1: not all, another process
 * holds the table. */
static int lift_all(const struct banning *b, const struct network *n, enum ban_kind kind, uid_t uid)
{
    int64_t now = clock_wall_ns(), end = end_of(b, kind, now);
    int count = 0;
    struct ban was;
    for (size_t place = 0; place < BANS_MAX; place++) {
        if (bans_read(b->bans, place, now, &was) < 0 || was.kind != kind ||
            !network_contains(&was.network, n) || was.until_ns <= end)
            continue;
        if (lift(b, place, &was, end, uid) < 0)
            return -1;
        log_lifted(b, &was, uid);
        count++;
    }
    return count;
}

static int is_busy(struct error *said)
{
    return error_set(said, "another process holds the table of bans; try again");
}

static bool is_shared(const struct banning *b, const struct network *n)
{
    const struct network_list *shared = &b->config->shared;
    for (size_t i = 0; i < shared->count; i++)
        if (network_contains(&shared->items[i], n))
            return true;
    return false;
}

int banning_ban(const struct banning *b, const json_t *request, uid_t uid, struct error *said)
{
    int64_t now = clock_wall_ns();
    json_int_t seconds = json_integer_value(json_object_get(request, "seconds"));
    struct ban ban = {.since_ns = now, .uid = (uint32_t)uid};
    char network[NETWORK_TEXT_SIZE], until[CLOCK_ISO_SIZE];
    if (network_asked(request, &ban.network, said) < 0)
        return -1;
    network_format(&ban.network, network);
    if (is_shared(b, &ban.network))
        return error_set(said, "%s lies in shared_networks, which are never banned", network);
    if (seconds < 1 || seconds > BAN_MAX_NS / CLOCK_SECOND)
        return error_set(said, "a ban is for a second at least, and for %d days at most",
                         (int)(BAN_MAX_NS / CLOCK_SECOND / 86400));
    ban.until_ns = now + seconds * CLOCK_SECOND;
    order_reason(request, ban.reason, sizeof ban.reason);
    if (lift_all(b, &ban.network, BAN_EXEMPTION, uid) < 0)
        return is_busy(said);
    if (bans_put(b->bans, b->process, &ban, now, said) < 0)
        return -1;
    clock_format_iso(ban.until_ns, until);
    log_event(b->log, EVENT_banned, field_text(KEY_network, network), field_text(KEY_until, until),
              field_text(KEY_reason, ban.reason), field_number(KEY_uid, uid));
    (void)error_set(said, "%s is banned until %s", network, until);
    return 0;
}

int banning_unban(const struct banning *b, const json_t *request, uid_t uid, struct error *said)
{
    int64_t now = clock_wall_ns();
    struct ban exempt = {.since_ns = now,
                         .until_ns = now + BANNING_EXEMPT_NS,
                         .uid = (uint32_t)uid,
                         .kind = BAN_EXEMPTION};
    char network[NETWORK_TEXT_SIZE], until[CLOCK_ISO_SIZE];
    if (network_asked(request, &exempt.network, said) < 0)
        return -1;
    int lifted = lift_all(b, &exempt.network, BAN_OF_CLIENT, uid);
    if (lifted < 0)
        return is_busy(said);
    if (bans_put(b->bans, b->process, &exempt, now, said) < 0)
        return -1;
    network_format(&exempt.network, network);
    clock_format_iso(exempt.until_ns, until);
    (void)error_set(said, "%s: bans lifted: %d; exempt until %s", network, lifted, until);
    return 0;
}

json_t *banning_row(const struct banning *b, size_t place, int64_t now_wall_ns)
{
    char network[NETWORK_TEXT_SIZE], since[CLOCK_ISO_SIZE], until[CLOCK_ISO_SIZE], by[32];
    struct ban ban;
    if (bans_read(b->bans, place, now_wall_ns, &ban) < 0 || ban.kind == BAN_SUSPENSION)
        return NULL;
    network_format(&ban.network, network);
    clock_format_iso(ban.since_ns, since);
    clock_format_iso(ban.until_ns, until);
    (void)snprintf(by, sizeof by, "uid %u", ban.uid); /* fits */
    json_t *row =
        json_pack("{s:s, s:b, s:i, s:s, s:s, s:f, s:s}", "network", network, "exempt",
                  ban.kind == BAN_EXEMPTION, "tries", (int)ban.tries, "since", since, "until",
                  until, "left", (double)(ban.until_ns - now_wall_ns) / (double)CLOCK_SECOND,
                  "origin", ban.origin == BAN_OF_STORE ? "store" : "gateway");
    /* A worker that was taken over may have written anything: what isn't UTF-8 is left out. */
    const char *const texts[][2] = {
        {"account", ban.name}, {"by", ban.rule[0] != '\0' ? ban.rule : by}, {"reason", ban.reason}};
    for (size_t i = 0; row != NULL && i < sizeof texts / sizeof *texts; i++) {
        json_t *text = json_string(texts[i][1]);
        (void)json_object_set_new(row, texts[i][0], text == NULL ? json_string("") : text);
    }
    return row;
}
