/* What a decision costs a worker: CPU time of asking the policy, taking from the table in memory,
 * judging, and keeping what was taken, as at RCPT. Prints the median of some rounds for each kind,
 * and how many found a part of the table held for too long, where another process has been kept
 * from going on.
 *
 * usage: bench-decision [ACCOUNTS] */
#include "decision/decision.h"
#include "base/arena.h"
#include "base/shared.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RULES = 4, ROUNDS = 9, DECISIONS = 300000 };

struct bench {
    struct memory memory; /* the way to it of this process */
    struct decider *decider;
    struct arena *kept;
    struct limit_rule rules[RULES];
    struct policy policy;
    unsigned long accounts, failed;
    uint32_t seed;
};

static void must(bool is_good, const char *what)
{
    if (is_good)
        return;
    fprintf(stderr, "bench-decision: %s\n", what);
    exit(EXIT_FAILURE);
}

/* All of them pass always: what is refused is cheaper. */
static struct limit_rule rule(const char *name, uint16_t slot, enum limit_key key)
{
    return (struct limit_rule){.name = name,
                               .enabled = true,
                               .keys = {key},
                               .key_count = 1,
                               .count = LIMIT_RECIPIENTS,
                               .action = LIMIT_DEFER,
                               .stage = STAGE_RCPT,
                               .rate = {1000000, 1000000, 1000000000},
                               .slot = slot};
}

/* The process of that slot. */
static void open_memory(struct bench *b, struct memory_region *region, size_t slot)
{
    const uint64_t key[2] = {3, 5};
    b->memory = memory_open(region, key, slot, NULL);
    b->decider = decider_create(&(struct decider_options){.memory = b->memory});
    b->kept = arena_create(64 * 1024);
    must(b->decider != NULL && b->kept != NULL, "no memory");
}

static void decide(struct bench *b, enum policy_stage stage)
{
    char account[48], recipient[48];
    struct address client;
    struct verdict verdict;
    struct receipt *receipts = NULL;
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
    struct decision *x = decision_create(b->decider);
    must(x != NULL, "no memory");
    int group = policy_ask(&x->call, &b->policy, stage, &facts, STORE_NO_GROUP);
    must(x->call.count == (stage == STAGE_RCPT ? RULES : 0), "something else was asked");
    if (decision_run(x, NULL, NULL) == DECISION_ANSWERED) {
        policy_judge(&x->call, group, &verdict);
        must(verdict.kind == VERDICT_PASS, "a limit was reached");
        must(decision_keep(x, 0, x->call.count, b->kept, &receipts) == 0, "no memory");
    } else {
        b->failed++;
    }
    decision_destroy(&x);
    arena_reset(b->kept);
}

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

static void measure(struct bench *b, enum policy_stage stage, const char *what)
{
    int64_t rounds[ROUNDS];
    for (unsigned long i = 0; i < 2 * b->accounts; i++) /* most of them are there */
        decide(b, stage);
    for (size_t i = 0; i < ROUNDS; i++) {
        int64_t before = cpu_ns();
        for (int n = 0; n < DECISIONS; n++)
            decide(b, stage);
        rounds[i] = cpu_ns() - before;
    }
    qsort(rounds, ROUNDS, sizeof *rounds, compare);
    printf("%-46s %6.2f us, %lu failed\n", what, (double)rounds[ROUNDS / 2] / DECISIONS / 1000,
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
            decide(b, STAGE_RCPT);
    }
    measure(b, STAGE_RCPT, what);
    (void)kill(other, SIGKILL); /* our own, which never ends by itself */
    (void)waitpid(other, NULL, 0);
    memory_free(b->memory.region, b->memory.slot + 1);
}

int main(int argc, char **argv)
{
    struct bench b = {.rules = {rule("account-hour", 1, LIMIT_KEY_ACCOUNT),
                                rule("account-day", 2, LIMIT_KEY_ACCOUNT),
                                rule("domain-hour", 3, LIMIT_KEY_RECIPIENT_DOMAIN),
                                rule("address-hour", 4, LIMIT_KEY_IP)},
                      .accounts = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000};
    struct shared_layout layout = {0};
    struct error why;
    (void)shared_reserve(&layout, memory_size()); /* at its front */
    void *region = shared_map(&layout, &why);
    must(region != NULL && b.accounts > 0, "no memory, or no accounts");
    b.policy = (struct policy){
        .name = "out", .limits = b.rules, .limit_count = RULES, .stages = 1u << STAGE_RCPT};
    open_memory(&b, region, 0);
    measure(&b, STAGE_MAIL, "nothing to ask");
    measure(&b, STAGE_RCPT, "four limits");
    measure_beside(&b, "four limits, another worker at the same time");
    return EXIT_SUCCESS;
}
