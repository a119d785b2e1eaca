/* What is looked at for each client stands apart from what people read: the heads of one set are
 * five cache lines. Which lengths of network there are is kept beside, so that as many sets are
 * looked at. A head's sequence is odd while it is written, under the lock. */
#include "decision/bans.h"

#include "base/clock.h"
#include "base/shared_lock.h"
#include "base/span.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    SETS = BANS_MAX / BAN_WAYS,
    READ_TRIES = 100,
    V4_BEFORE = 96, /* bits of 128 before an IPv4 address */
    LENGTHS = BAN_V6_BITS + 1,
    /* Of a head's shape: the network's length, and: */
    IS_V6 = 1 << 8,
    IS_EXEMPT = 1 << 9,
    IS_BY_RULE = 1 << 10,
    SPARES_NOBODY = 1 << 11,
    IS_SUSPENSION = 1 << 12,
    SCOPE_SHIFT = 13, /* two bits */
    SCOPE = 3 << SCOPE_SHIFT,
    HOW = IS_BY_RULE | SPARES_NOBODY | SCOPE, /* it was made */
};

#define PATIENCE_NS (50 * CLOCK_MS)

struct head {
    _Atomic uint32_t sequence, shape;
    _Atomic uint64_t prefix, account;
    _Atomic int64_t until_ns;
};

struct bans {
    struct shared_lock lock;
    _Atomic uint64_t version;
    _Atomic int64_t flood_told_ns;
    uint64_t seed;
    _Atomic uint8_t has_length[2][LENGTHS]; /* of IPv4, of IPv6; once there, always */
    _Atomic uint8_t has_suspensions;        /* likewise */
    struct head heads[BANS_MAX];
    struct ban contents[BANS_MAX];
};

/* What a ban is found by. */
struct key {
    uint64_t prefix, account;
    uint32_t shape;
    int64_t until_ns;
};

size_t bans_size(void)
{
    return sizeof(struct bans);
}

void bans_begin(struct bans *b, uint64_t seed)
{
    b->seed = seed;
}

uint64_t bans_version(const struct bans *b)
{
    return atomic_load(&b->version);
}

void ban_format_end(int64_t until_ns, char out[BAN_END_SIZE])
{
    time_t seconds = (time_t)(until_ns / CLOCK_SECOND) + 59; /* whole minutes, not too early */
    struct tm utc;
    (void)span_copy(span_of("?"), out, BAN_END_SIZE); /* fits */
    if (gmtime_r(&seconds, &utc) != NULL)
        (void)strftime(out, BAN_END_SIZE, "%Y-%m-%d %H:%M UTC", &utc); /* fits */
}

void ban_format(const struct address *a, int64_t until_ns, char out[BAN_TEXT_SIZE])
{
    char host[ADDRESS_TEXT_SIZE], end[BAN_END_SIZE];
    address_format_host(a, host);
    ban_format_end(until_ns, end);
    (void)snprintf(out, BAN_TEXT_SIZE, "%s until %s", host, end); /* fits */
}

/* ---- keys ---- */

static uint64_t cut(uint64_t prefix, unsigned bits)
{
    return bits == 0 ? 0 : prefix & ~UINT64_C(0) << (64 - bits);
}

/* The first 64 bits: all that is looked at of an IPv6 address, and all of an IPv4 one. */
static uint64_t prefix_of(const struct network *n)
{
    uint64_t prefix = 0;
    for (size_t i = 0; i < 8; i++)
        prefix = prefix << 8 | (n->is_v6 ? n->first.s6_addr[i]
                                : i < 4  ? n->first.s6_addr[12 + i]
                                         : 0);
    return prefix;
}

static struct key key_of(const struct ban *ban)
{
    static const uint32_t kinds[] = {
        [BAN_OF_CLIENT] = 0, [BAN_EXEMPTION] = IS_EXEMPT, [BAN_SUSPENSION] = IS_SUSPENSION};
    const struct network *n = &ban->network;
    unsigned bits = n->is_v6 ? n->bits : n->bits - V4_BEFORE;
    return (struct key){.prefix = cut(prefix_of(n), bits),
                        .account = ban->account,
                        .shape = bits | (n->is_v6 ? IS_V6 : 0) | kinds[ban->kind] |
                                 (ban->rule[0] != '\0' ? IS_BY_RULE : 0) |
                                 (ban->spares_nobody != 0 ? SPARES_NOBODY : 0) |
                                 ban->scope << SCOPE_SHIFT,
                        .until_ns = ban->until_ns};
}

/* An exemption lies beside the ban of the same network. */
static size_t set_of(const struct bans *b, const struct key *k)
{
    uint64_t hash = b->seed ^ k->prefix;
    const uint64_t words[] = {k->account, k->shape & (IS_V6 | 0xff), b->seed >> 32};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return hash % SETS * BAN_WAYS;
}

static bool is_same(const struct key *a, const struct key *b)
{
    return a->prefix == b->prefix && a->account == b->account &&
           ((a->shape ^ b->shape) & ~(uint32_t)HOW) == 0;
}

/* Nobody is believed who says that it lasts longer than a ban can. */
static bool is_in_force(bool is_suspension, int64_t until_ns, int64_t now_ns)
{
    return until_ns > now_ns &&
           (until_ns - BAN_MAX_NS <= now_ns || (is_suspension && until_ns == BAN_UNTIL_LIFTED));
}

static bool holds(const struct key *k, int64_t now_ns)
{
    return is_in_force((k->shape & IS_SUSPENSION) != 0, k->until_ns, now_ns);
}

static bool read_key(const struct head *h, struct key *out)
{
    uint32_t before = atomic_load_explicit(&h->sequence, memory_order_acquire);
    out->prefix = atomic_load_explicit(&h->prefix, memory_order_relaxed);
    out->account = atomic_load_explicit(&h->account, memory_order_relaxed);
    out->shape = atomic_load_explicit(&h->shape, memory_order_relaxed);
    out->until_ns = atomic_load_explicit(&h->until_ns, memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    return (before & 1) == 0 && before == atomic_load_explicit(&h->sequence, memory_order_relaxed);
}

/* ---- looking ---- */

struct found {
    bool is_exempt, is_banned, is_for_all;
    int64_t until_ns;
};

static void look_at(const struct bans *b, const struct key *wanted, int64_t now_ns,
                    struct found *found)
{
    const struct head *set = &b->heads[set_of(b, wanted)];
    for (size_t i = 0; i < BAN_WAYS; i++) {
        struct key k;
        if (!read_key(&set[i], &k) || !holds(&k, now_ns))
            continue;
        bool is_exempt = (k.shape & IS_EXEMPT) != 0;
        k.shape &= ~(uint32_t)IS_EXEMPT;
        if (!is_same(&k, wanted))
            continue;
        found->is_exempt = found->is_exempt || is_exempt;
        found->is_banned = found->is_banned || !is_exempt;
        found->is_for_all = found->is_for_all || (!is_exempt && (k.shape & HOW) != IS_BY_RULE);
        if (!is_exempt && k.until_ns > found->until_ns)
            found->until_ns = k.until_ns;
    }
}

/* Exemptions are of nobody's account, and hold for all of them. */
static struct found look(const struct bans *b, const struct address *a, uint64_t account,
                         int64_t now_ns)
{
    const struct network all = network_of(a, 32, BAN_V6_BITS);
    const uint64_t prefix = prefix_of(&all);
    const unsigned longest = all.is_v6 ? BAN_V6_BITS : 32;
    struct found whole = {.is_exempt = false}, part = {.is_exempt = false};
    for (unsigned bits = 0; bits <= longest; bits++) {
        struct key wanted = {.prefix = cut(prefix, bits), .shape = bits | (all.is_v6 ? IS_V6 : 0)};
        if (atomic_load_explicit(&b->has_length[all.is_v6][bits], memory_order_relaxed) == 0)
            continue;
        look_at(b, &wanted, now_ns, &whole);
        wanted.account = account;
        if (account != 0)
            look_at(b, &wanted, now_ns, &part);
    }
    part.is_exempt = whole.is_exempt;
    return account == 0 ? whole : part;
}

bool bans_hold(const struct bans *b, const struct address *a, uint64_t account, int64_t now_ns,
               struct ban_verdict *out)
{
    const struct found found = look(b, a, account, now_ns);
    *out = (struct ban_verdict){.until_ns = found.until_ns, .spares_known = !found.is_for_all};
    return found.is_banned && !found.is_exempt;
}

bool bans_exempt(const struct bans *b, const struct address *a, int64_t now_ns)
{
    return look(b, a, 0, now_ns).is_exempt;
}

/* Has it come from us, whatever was written over it since? What is no bool isn't read as one. */
static bool is_whole(const struct ban *ban, int64_t now_ns)
{
    const struct network *n = &ban->network;
    unsigned char is_v6;
    memcpy(&is_v6, &n->is_v6, 1);
    bool is_sized =
        is_v6 == 0 ? n->bits >= V4_BEFORE && n->bits <= 128 : is_v6 == 1 && n->bits <= BAN_V6_BITS;
    bool is_suspension = ban->kind == BAN_SUSPENSION;
    bool is_placed = is_suspension ? is_v6 == 1 && n->bits == 0 && ban->account != 0 &&
                                         ban->scope < SUSPENSION_COUNT
                                   : ban->kind <= BAN_EXEMPTION && ban->scope == 0;
    return is_sized && is_placed && is_in_force(is_suspension, ban->until_ns, now_ns) &&
           ban->origin <= BAN_OF_STORE && memchr(ban->rule, '\0', sizeof ban->rule) != NULL &&
           memchr(ban->name, '\0', sizeof ban->name) != NULL &&
           memchr(ban->reason, '\0', sizeof ban->reason) != NULL;
}

int bans_read(const struct bans *b, size_t place, int64_t now_ns, struct ban *out)
{
    if (place >= BANS_MAX)
        return -1;
    const struct head *h = &b->heads[place];
    if (!is_in_force(true, atomic_load_explicit(&h->until_ns, memory_order_relaxed), now_ns))
        return -1; /* most of them */
    for (int tries = 0; tries < READ_TRIES; tries++) {
        uint32_t before = atomic_load_explicit(&h->sequence, memory_order_acquire);
        *out = b->contents[place];
        atomic_thread_fence(memory_order_acquire);
        if ((before & 1) == 0 && before == atomic_load_explicit(&h->sequence, memory_order_relaxed))
            return is_whole(out, now_ns) ? 0 : -1;
    }
    return -1;
}

int bans_find(const struct bans *b, const struct ban *like, int64_t now_ns, struct ban *out)
{
    if (!is_whole(like, now_ns))
        return -1; /* it can't be there */
    const struct key wanted = key_of(like);
    size_t set = set_of(b, &wanted);
    for (size_t i = 0; i < BAN_WAYS; i++) {
        struct key k;
        if (read_key(&b->heads[set + i], &k) && is_same(&k, &wanted) &&
            bans_read(b, set + i, now_ns, out) == 0)
            return (int)(set + i);
    }
    return -1;
}

/* One that is just being written is waited for: nobody slips through meanwhile. */
static bool read_key_soon(const struct head *h, struct key *out)
{
    bool is_read = false;
    for (int tries = 0; tries < READ_TRIES && !is_read; tries++)
        is_read = read_key(h, out);
    return is_read;
}

bool bans_have_suspensions(const struct bans *b)
{
    return atomic_load_explicit(&b->has_suspensions, memory_order_relaxed) != 0;
}

enum suspension bans_suspension(const struct bans *b, uint64_t account, int64_t now_ns,
                                struct ban *out)
{
    const struct key wanted = {.account = account, .shape = IS_V6 | IS_SUSPENSION};
    size_t set = set_of(b, &wanted);
    if (out != NULL)
        out->until_ns = 0;
    for (size_t i = 0; i < BAN_WAYS; i++) {
        struct key k;
        if (!read_key_soon(&b->heads[set + i], &k) || !holds(&k, now_ns) || !is_same(&k, &wanted))
            continue;
        if (out != NULL && bans_read(b, set + i, now_ns, out) < 0)
            out->until_ns = 0; /* it has just gone */
        return (enum suspension)((k.shape & SCOPE) >> SCOPE_SHIFT);
    }
    return SUSPENSION_LIFTED;
}

static bool is_by_rule(const struct bans *b, size_t place)
{
    const uint32_t both = IS_SUSPENSION | IS_BY_RULE;
    return (atomic_load_explicit(&b->heads[place].shape, memory_order_relaxed) & both) == both;
}

size_t bans_suspended_by(const struct bans *b, const char *rule, int64_t since_ns, int64_t now_ns)
{
    size_t count = 0;
    struct ban ban;
    for (size_t place = 0; place < BANS_MAX; place++)
        count += is_by_rule(b, place) && bans_read(b, place, now_ns, &ban) == 0 &&
                 ban.since_ns >= since_ns && strncmp(ban.rule, rule, sizeof ban.rule - 1) == 0;
    return count;
}

bool bans_tell_flood(struct bans *b, int64_t period_ns, int64_t now_ns)
{
    int64_t last = atomic_load(&b->flood_told_ns);
    bool is_due = last > now_ns || now_ns - last >= period_ns;
    return is_due && atomic_compare_exchange_strong(&b->flood_told_ns, &last, now_ns);
}

/* ---- writing, under the lock ---- */

static void write_head(struct head *h, const struct key *k, struct ban *content,
                       const struct ban *ban)
{
    uint32_t sequence = atomic_load_explicit(&h->sequence, memory_order_relaxed);
    atomic_store_explicit(&h->sequence, sequence | 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&h->prefix, k->prefix, memory_order_relaxed);
    atomic_store_explicit(&h->account, k->account, memory_order_relaxed);
    atomic_store_explicit(&h->shape, k->shape, memory_order_relaxed);
    atomic_store_explicit(&h->until_ns, k->until_ns, memory_order_relaxed);
    if (ban != NULL)
        *content = *ban;
    atomic_store_explicit(&h->sequence, (sequence | 1) + 1, memory_order_release);
}

/* May one take the other one's place? Of any two suspensions one may, so that all gateways that
 * have heard of both keep the same. */
static bool may_follow(const struct ban *was, const struct ban *is)
{
    bool is_by_rule = is->rule[0] != '\0', was_by_rule = was->rule[0] != '\0';
    bool is_lifting = is->scope == SUSPENSION_LIFTED, was_lifted = was->scope == SUSPENSION_LIFTED;
    if (is_by_rule && !was_by_rule && !was_lifted)
        return false;
    if (!is_by_rule && was_by_rule && !is_lifting)
        return true;
    if (is_by_rule && was_by_rule && !is_lifting && !was_lifted)
        return is->scope > was->scope || (is->scope == was->scope && is->until_ns > was->until_ns);
    return is->since_ns > was->since_ns;
}

/* Of two bans, may the later take the earlier one's place? */
static bool may_change(const struct ban *was, const struct ban *is)
{
    bool is_by_rule = is->rule[0] != '\0', was_by_rule = was->rule[0] != '\0';
    if (is->kind == BAN_SUSPENSION)
        return may_follow(was, is);
    return !is_by_rule || (was_by_rule && was->until_ns < is->until_ns);
}

/* May it make room for another? */
static bool may_go(const struct key *k)
{
    bool is_in_force = (k->shape & SCOPE) != 0;
    return (k->shape & IS_SUSPENSION) != 0 ? !is_in_force
                                           : (k->shape & (IS_BY_RULE | IS_EXEMPT)) == IS_BY_RULE;
}

enum { NO_PLACE = -1, NOTHING_TO_DO = -2 };

/* Where in its set a ban goes. */
static int find_place(const struct bans *b, size_t first, const struct ban *ban, int64_t now_ns)
{
    const struct key k = key_of(ban);
    int place = NO_PLACE;
    int64_t earliest_ns = INT64_MAX;
    for (int i = 0; i < BAN_WAYS; i++) {
        struct key other;
        bool is_free = !read_key(&b->heads[first + (size_t)i], &other) || !holds(&other, now_ns);
        if (!is_free && is_same(&other, &k))
            return may_change(&b->contents[first + (size_t)i], ban) ? i : NOTHING_TO_DO;
        int64_t end_ns = is_free ? 0 : other.until_ns;
        if ((is_free || may_go(&other)) && end_ns < earliest_ns) {
            earliest_ns = end_ns;
            place = i;
        }
    }
    return place;
}

static int put(struct bans *b, const struct ban *ban, int64_t now_ns, struct error *why)
{
    const struct key k = key_of(ban);
    size_t set = set_of(b, &k);
    int place = find_place(b, set, ban, now_ns);
    if (place == NO_PLACE)
        return error_set(why, "there is no room for another ban beside those that people ordered");
    if (place == NOTHING_TO_DO)
        return 0;
    /* No address leads to a suspension. */
    atomic_store(ban->kind == BAN_SUSPENSION ? &b->has_suspensions
                                             : &b->has_length[ban->network.is_v6][k.shape & 0xff],
                 1);
    write_head(&b->heads[set + (size_t)place], &k, &b->contents[set + (size_t)place], ban);
    atomic_fetch_add(&b->version, 1);
    return 0;
}

static int take_lock(struct bans *b, size_t process, struct error *why)
{
    return shared_lock_take(&b->lock, process, clock_monotonic_ns() + PATIENCE_NS) == 0
               ? 0
               : error_set(why, "another process holds the table of bans; try again");
}

int bans_put(struct bans *b, size_t process, const struct ban *ban, int64_t now_ns,
             struct error *why)
{
    if (!is_whole(ban, now_ns))
        return error_set(why,
                         "a ban is of IPv4, or of at most %d bits of IPv6, and for at most a "
                         "year",
                         BAN_V6_BITS);
    if (take_lock(b, process, why) < 0)
        return -1;
    int failed = put(b, ban, now_ns, why);
    shared_lock_give(&b->lock);
    return failed;
}

int bans_lift(struct bans *b, size_t process, size_t place, const struct ban *was)
{
    const struct key wanted = key_of(was);
    struct key is, nothing = {.until_ns = 0};
    if (place >= BANS_MAX || take_lock(b, process, NULL) < 0)
        return -1;
    if (read_key(&b->heads[place], &is) && is_same(&is, &wanted)) {
        write_head(&b->heads[place], &nothing, &b->contents[place], NULL);
        atomic_fetch_add(&b->version, 1);
    }
    shared_lock_give(&b->lock);
    return 0;
}

/* Only while it held the lock can it have left something half written. */
void bans_release(struct bans *b, size_t process)
{
    const struct key nothing = {.until_ns = 0};
    if (!shared_lock_is_of(&b->lock, process))
        return;
    for (size_t i = 0; i < BANS_MAX; i++)
        if ((atomic_load(&b->heads[i].sequence) & 1) != 0)
            write_head(&b->heads[i], &nothing, &b->contents[i], NULL);
    shared_lock_give(&b->lock);
}

void suspension_format(const struct ban *b, char out[SUSPENSION_TEXT_SIZE])
{
    char end[BAN_END_SIZE] = "it is resumed";
    if (b->until_ns != BAN_UNTIL_LIFTED)
        ban_format_end(b->until_ns, end);
    (void)snprintf(out, SUSPENSION_TEXT_SIZE, " until %s%s%s%s%s", end,
                   b->rule[0] == '\0' ? "" : ": ", b->rule, b->reason[0] == '\0' ? "" : ": ",
                   b->reason); /* fits */
    for (char *c = out; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
            *c = '?';
}
