/* What a decision costs: CPU time of asking the policy, taking from the store, judging, and keeping
 * what was taken, as at RCPT; of a worker with the table in memory, and of a worker and Redis
 * together, on a unix socket. Prints the median of some rounds for each kind, and how many weren't
 * answered: where another process has been kept from going on, a part of the table may be held for
 * too long.
 *
 * usage: bench-decision [ACCOUNTS] */
#include "decision/decision.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/shared.h"
#include "server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RULES = 4, ROUNDS = 9, DECISIONS = 300000, REDIS_DECISIONS = 20000, SESSIONS_MAX = 64 };

struct session {
    struct bench *bench;
    struct decision *x;
    struct arena *kept;
    int group;
};

/* With Redis: all of them are one run of the loop. */
struct rounds {
    size_t sessions, open;        /* those that wait for an answer are open */
    unsigned long left;           /* decisions of this round that are still to be begun */
    size_t count;                 /* of rounds that have ended */
    bool is_warm;                 /* a round before the first is over */
    int64_t worker_ns, server_ns; /* before this round */
    int64_t workers[ROUNDS], servers[ROUNDS];
};

struct bench {
    struct memory memory; /* the way to it of this process */
    struct decider *decider;
    struct session sessions[SESSIONS_MAX];
    struct server server;
    struct rounds rounds;
    struct limit_rule rules[RULES];
    struct policy policy;
    unsigned long accounts, failed;
    uint32_t seed;
};

/* All of them pass always, since what is refused is cheaper; none is at rest when the next of its
 * key comes. */
static struct limit_rule rule(const char *name, uint16_t slot, enum limit_key key)
{
    return (struct limit_rule){.name = name,
                               .enabled = true,
                               .keys = {key},
                               .key_count = 1,
                               .count = LIMIT_RECIPIENTS,
                               .action = LIMIT_DEFER,
                               .stage = STAGE_RCPT,
                               .rate = {100, 3600 * CLOCK_SECOND / 1000, RATE_COUNT_MAX},
                               .slot = slot};
}

/* The process of that slot. */
static void open_memory(struct bench *b, struct memory_region *region, size_t slot)
{
    const uint64_t key[2] = {3, 5};
    b->memory = memory_open(region, key, slot, NULL);
    b->decider = decider_create(&(struct decider_options){.memory = b->memory});
    must(b->decider != NULL, "no memory");
}

static void open_redis(struct bench *b)
{
    server_connect(&b->server);
    b->decider = decider_create(&(struct decider_options){
        .memory = b->memory, .redis = b->server.store, .config = &b->server.config});
    must(b->decider != NULL, "no memory");
}

/* ---- one decision ---- */

static void decided(void *owner, enum decision_outcome outcome)
{
    struct session *s = owner;
    struct verdict verdict;
    struct receipt *receipts = NULL;
    if (outcome == DECISION_ANSWERED) {
        policy_judge(&s->x->call, s->group, &verdict);
        must(verdict.kind == VERDICT_PASS, "a limit was reached");
        must(decision_keep(s->x, 0, s->x->call.count, s->kept, &receipts) == 0, "no memory");
    } else {
        s->bench->failed++;
    }
    decision_destroy(&s->x);
    arena_reset(s->kept);
}

/* Returns whether the answer is still to come; `fn` is called then. */
static bool decide(struct session *s, enum policy_stage stage, decision_fn *fn)
{
    struct bench *b = s->bench;
    char account[48], recipient[48];
    struct address client;
    b->seed = b->seed * UINT32_C(1664525) + UINT32_C(1013904223);
    unsigned long n = (b->seed >> 4) % b->accounts;
    (void)snprintf(account, sizeof account, "user%lu@customer.example", n); /* fits, as below */
    (void)snprintf(recipient, sizeof recipient, "someone@domain%lu.example", n % 1000);
    must(address_make("192.0.2.7", 25, &client) == 0, "no address");
    const struct policy_facts facts = {.account = account,
                                       .login = account,
                                       .listener = "submissions",
                                       .sender = account,
                                       .recipient = recipient,
                                       .client = &client};
    s->x = decision_create(b->decider);
    must(s->x != NULL, "no memory");
    s->group = policy_ask(&s->x->call, &b->policy, stage, &facts, STORE_NO_GROUP);
    must(s->x->call.count == (stage == STAGE_RCPT ? b->policy.limit_count : 0),
         "something else was asked");
    enum decision_outcome outcome = decision_run(s->x, fn, s);
    if (outcome != DECISION_PENDING)
        decided(s, outcome);
    return outcome == DECISION_PENDING;
}

/* ---- many of them ---- */

static int64_t cpu_ns(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0, "no clock");
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static int64_t median(int64_t rounds[ROUNDS])
{
    qsort(rounds, ROUNDS, sizeof *rounds, compare);
    return rounds[ROUNDS / 2];
}

static void measure(struct bench *b, enum policy_stage stage, const char *what)
{
    int64_t rounds[ROUNDS];
    for (unsigned long i = 0; i < 2 * b->accounts; i++) /* most of them are there */
        (void)decide(&b->sessions[0], stage, NULL);
    for (size_t i = 0; i < ROUNDS; i++) {
        int64_t before = cpu_ns();
        for (int n = 0; n < DECISIONS; n++)
            (void)decide(&b->sessions[0], stage, NULL);
        rounds[i] = cpu_ns() - before;
    }
    printf("%-46s %6.2f us, %lu failed\n", what, (double)median(rounds) / DECISIONS / 1000,
           b->failed);
}

/* As measure, while another process does the same. */
static void measure_beside(struct bench *b, const char *what)
{
    pid_t other = fork();
    must(other >= 0, "no other process");
    if (other == 0) {
        decider_destroy(&b->decider);
        open_memory(b, b->memory.region, b->memory.slot + 1);
        for (b->seed = 7;;)
            (void)decide(&b->sessions[0], STAGE_RCPT, NULL);
    }
    measure(b, STAGE_RCPT, what);
    (void)kill(other, SIGKILL); /* our own, which never ends by itself */
    (void)waitpid(other, NULL, 0);
    memory_free(b->memory.region, b->memory.slot + 1);
}

/* ---- in Redis ---- */

static void begin_round(struct bench *b, unsigned long decisions);

static void end_round(struct bench *b)
{
    struct rounds *r = &b->rounds;
    if (r->is_warm) {
        r->workers[r->count] = cpu_ns() - r->worker_ns;
        r->servers[r->count++] = server_cpu_ns(&b->server) - r->server_ns;
    }
    r->is_warm = true;
    if (r->count == ROUNDS)
        loop_stop(b->server.loop);
    else
        begin_round(b, REDIS_DECISIONS);
}

static void answered(void *owner, enum decision_outcome outcome);

/* Each session begins its next decision as soon as it has had its answer. */
static void go_on(struct session *s)
{
    struct rounds *r = &s->bench->rounds;
    if (r->left > 0) {
        r->left--;
        must(decide(s, STAGE_RCPT, answered), "Redis isn't asked");
        r->open++;
    } else if (r->open == 0) {
        end_round(s->bench);
    }
}

static void answered(void *owner, enum decision_outcome outcome)
{
    struct session *s = owner;
    decided(s, outcome);
    s->bench->rounds.open--;
    go_on(s);
}

static void begin_round(struct bench *b, unsigned long decisions)
{
    struct rounds *r = &b->rounds;
    r->left = decisions;
    r->worker_ns = cpu_ns();
    r->server_ns = server_cpu_ns(&b->server);
    for (size_t i = 0; i < r->sessions; i++)
        go_on(&b->sessions[i]);
}

/* After so many that aren't measured. */
static void measure_redis(struct bench *b, size_t limits, size_t sessions, unsigned long before)
{
    struct rounds *r = &b->rounds;
    int64_t both[ROUNDS];
    open_redis(b);
    b->policy.limit_count = limits;
    *r = (struct rounds){.sessions = sessions};
    begin_round(b, before);
    must(loop_run(b->server.loop) == 0, "the loop can't wait");
    decider_destroy(&b->decider);
    server_disconnect(&b->server);
    for (size_t i = 0; i < ROUNDS; i++)
        both[i] = r->workers[i] + r->servers[i];
    double unit = REDIS_DECISIONS * 1000.0, server_us = (double)median(r->servers) / unit;
    printf("in Redis: %zu, of %2zu sessions at a time            %6.2f us, %lu failed; "
           "worker %.2f, Redis %.2f: %.0f a second\n",
           limits, sessions, (double)median(both) / unit, b->failed,
           (double)median(r->workers) / unit, server_us, 1e6 / server_us);
}

static struct bench make_bench(unsigned long accounts)
{
    struct bench b = {.rules = {rule("account-hour", 1, LIMIT_KEY_ACCOUNT),
                                rule("account-day", 2, LIMIT_KEY_ACCOUNT),
                                rule("domain-hour", 3, LIMIT_KEY_RECIPIENT_DOMAIN),
                                rule("address-hour", 4, LIMIT_KEY_IP)},
                      .accounts = accounts};
    must(accounts > 0, "no accounts");
    return b;
}

int main(int argc, char **argv)
{
    static struct bench b; /* too large for a stack */
    struct shared_layout layout = {0};
    struct error why;
    (void)shared_reserve(&layout, memory_size()); /* at its front */
    void *region = shared_map(&layout, &why);
    must(region != NULL, "no memory");
    b = make_bench(argc > 1 ? strtoul(argv[1], NULL, 10) : 100000);
    b.policy = (struct policy){
        .name = "out", .limits = b.rules, .limit_count = RULES, .stages = 1u << STAGE_RCPT};
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        b.sessions[i] = (struct session){.bench = &b, .kept = arena_create(64 * 1024)};
        must(b.sessions[i].kept != NULL, "no memory");
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    open_memory(&b, region, 0);
    measure(&b, STAGE_MAIL, "nothing to ask");
    measure(&b, STAGE_RCPT, "four limits");
    measure_beside(&b, "four limits, another worker at the same time");
    decider_destroy(&b.decider);
    server_start(&b.server);
    measure_redis(&b, RULES, 16, b.accounts); /* most of them are there then */
    measure_redis(&b, RULES, 1, REDIS_DECISIONS);
    measure_redis(&b, RULES, SESSIONS_MAX, REDIS_DECISIONS);
    measure_redis(&b, 1, 16, REDIS_DECISIONS);
    server_stop(&b.server);
    return EXIT_SUCCESS;
}
