/* What every store of counters answers (policy/limit/store.h): calls, one after the other, and what
 * must come back. The store is a pair of functions and a way to let time pass, which may be to
 * wait: nothing here is wrong when more of it passes, by less than a minute. */
#pragma once

#include "policy/limit/store.h"

#include "support/test.h"

#include <stdio.h>

struct store_driver {
    void (*take)(const struct counter_take *takes, size_t count, struct counter_answer *answers);
    void (*settle)(const struct counter_settle *settles, size_t count);
    void (*advance)(int64_t us);
};

enum { VECTOR_TAKES = 4 };

/* What is asked, and of each take: T, taken; W, taken and near; R, refusing; N, neither; L, looked
 * at, and it would pass; l, it would not. `used` and `bad` are looked at for what has them; of a
 * rate that is looked at, `used` is how many hours it is from rest. Or, with `settle.key`, what is
 * settled; SETTLE_GIVE_BACK means the last take of that key. Or, with `advance_us`, time passes. */
struct store_vector {
    const char *is; /* begins another promise, with keys that nobody has used */
    int64_t advance_us;
    struct counter_settle settle;
    const char *outcome;
    struct counter_take takes[VECTOR_TAKES];
    uint64_t used[VECTOR_TAKES], bad;
    int64_t wait_h; /* of the last take, in hours, to the minute */
};

#define VECTOR_HOUR INT64_C(3600000000)
#define VECTOR_KEY(name)       \
    {                          \
        name, sizeof(name) - 1 \
    }
#define VECTOR_HEAD(k, g, n, name) \
    .kind = (k), .group = (g), .needs = (n), .slot = 1, .key = VECTOR_KEY(name)

/* One an hour, `burst` at once. */
#define RATE_IN(g, n, name, burst, delay_h)              \
    {                                                    \
        VECTOR_HEAD(COUNTER_RATE, g, n, name), .rate = { \
            VECTOR_HOUR,                                 \
            (burst)*VECTOR_HOUR,                         \
            (delay_h)*VECTOR_HOUR                        \
        }                                                \
    }
#define LOOK_RATE(g, name, burst) RATE_IN(g, STORE_LOOK, name, burst, 0)
#define RATE(g, name, burst)      RATE_IN(g, STORE_NO_GROUP, name, burst, 0)
#define AT_ONCE_IN(g, n, name, max, lease)                                               \
    {                                                                                    \
        VECTOR_HEAD(COUNTER_AT_ONCE, g, n, name), .at_once = { max, lease, VECTOR_HOUR } \
    }
#define AT_ONCE(g, name, max, lease) AT_ONCE_IN(g, STORE_NO_GROUP, name, max, lease)
#define DISTINCT_IN(g, n, name, max, element)                    \
    {                                                            \
        VECTOR_HEAD(COUNTER_DISTINCT, g, n, name), .distinct = { \
            max,                                                 \
            (element)*UINT64_C(0x9e3779b97f4a7c15),              \
            2 * VECTOR_HOUR                                      \
        }                                                        \
    }
#define DISTINCT(g, name, max, element) DISTINCT_IN(g, STORE_NO_GROUP, name, max, element)
#define RATIO_IN(g, n, name, percent, min)                                                 \
    {                                                                                      \
        VECTOR_HEAD(COUNTER_RATIO, g, n, name), .ratio = { percent, min, 2 * VECTOR_HOUR } \
    }
#define RATIO(g, name, percent, min) RATIO_IN(g, STORE_NO_GROUP, name, percent, min)

/* A refusal lasts two hours; near is at so much, once in two hours. */
#define MARKS(near) .marks = {2 * VECTOR_HOUR, (near), 2 * VECTOR_HOUR}
#define RATE_MARKED(g, name, burst, near_h)                                                   \
    {                                                                                         \
        VECTOR_HEAD(COUNTER_RATE, g, STORE_NO_GROUP, name),                                   \
            .marks = {0, (near_h)*VECTOR_HOUR - VECTOR_HOUR / 60, 2 * VECTOR_HOUR}, .rate = { \
                VECTOR_HOUR,                                                                  \
                (burst)*VECTOR_HOUR,                                                          \
                0                                                                             \
            }                                                                                 \
    }
#define AT_ONCE_MARKED(g, n, name, max, lease, near)                        \
    {                                                                       \
        VECTOR_HEAD(COUNTER_AT_ONCE, g, n, name), MARKS(near), .at_once = { \
            max,                                                            \
            lease,                                                          \
            VECTOR_HOUR                                                     \
        }                                                                   \
    }
#define DISTINCT_MARKED(g, n, name, max, element, near)                       \
    {                                                                         \
        VECTOR_HEAD(COUNTER_DISTINCT, g, n, name), MARKS(near), .distinct = { \
            max,                                                              \
            (element)*UINT64_C(0x9e3779b97f4a7c15),                           \
            2 * VECTOR_HOUR                                                   \
        }                                                                     \
    }
#define RATIO_MARKED(g, name, percent, min, near)                                    \
    {                                                                                \
        VECTOR_HEAD(COUNTER_RATIO, g, STORE_NO_GROUP, name), MARKS(near), .ratio = { \
            percent,                                                                 \
            min,                                                                     \
            2 * VECTOR_HOUR                                                          \
        }                                                                            \
    }

#define GIVE_BACK(name)                                                                   \
    {                                                                                     \
        .kind = SETTLE_GIVE_BACK, .of = COUNTER_RATE, .slot = 1, .key = VECTOR_KEY(name), \
        .rate = {                                                                         \
            VECTOR_HOUR,                                                                  \
            0                                                                             \
        }                                                                                 \
    }
#define LEASE(what, name, lease)                                                                \
    {                                                                                           \
        .kind = (what), .of = COUNTER_AT_ONCE, .slot = 1, .key = VECTOR_KEY(name), .at_once = { \
            lease,                                                                              \
            VECTOR_HOUR                                                                         \
        }                                                                                       \
    }
#define ADD(name, element)                                                              \
    {                                                                                   \
        .kind = SETTLE_ADD, .of = COUNTER_DISTINCT, .slot = 1, .key = VECTOR_KEY(name), \
        .distinct = {                                                                   \
            (element)*UINT64_C(0x9e3779b97f4a7c15),                                     \
            2 * VECTOR_HOUR                                                             \
        }                                                                               \
    }
#define COUNT(name, t, b)                                                                         \
    {                                                                                             \
        .kind = SETTLE_COUNT, .of = COUNTER_RATIO, .slot = 1, .key = VECTOR_KEY(name), .ratio = { \
            t,                                                                                    \
            b,                                                                                    \
            2 * VECTOR_HOUR                                                                       \
        }                                                                                         \
    }
#define FORGET(what, name)                                                      \
    {                                                                           \
        .kind = SETTLE_FORGET, .of = (what), .slot = 1, .key = VECTOR_KEY(name) \
    }

static const struct store_vector store_vectors[] = {
    {.is = "the burst passes at once, then one a cell"},
    {.outcome = "T", .takes = {RATE(0, "a", 2)}},
    {.outcome = "T", .takes = {RATE(0, "a", 2)}},
    {.outcome = "R", .takes = {RATE(0, "a", 2)}, .wait_h = 1},
    {.outcome = "R", .takes = {RATE(0, "a", 2)}, .wait_h = 1},
    {.outcome = "T", .takes = {RATE(0, "b", 2)}},

    {.is = "what is due within max_delay is taken and waits"},
    {.outcome = "T", .takes = {RATE_IN(0, STORE_NO_GROUP, "a", 1, 2)}, .wait_h = 0},
    {.outcome = "T", .takes = {RATE_IN(0, STORE_NO_GROUP, "a", 1, 2)}, .wait_h = 1},
    {.outcome = "T", .takes = {RATE_IN(0, STORE_NO_GROUP, "a", 1, 2)}, .wait_h = 2},
    {.outcome = "R", .takes = {RATE_IN(0, STORE_NO_GROUP, "a", 1, 2)}, .wait_h = 1},

    {.is = "what is given back can be taken again"},
    {.outcome = "T", .takes = {RATE(0, "a", 1)}},
    {.outcome = "R", .takes = {RATE(0, "a", 1)}, .wait_h = 1},
    {.settle = GIVE_BACK("a")},
    {.outcome = "T", .takes = {RATE(0, "a", 1)}},

    {.is = "a rule that became smaller owes no more than it allows"},
    {.outcome = "T", .takes = {RATE(0, "a", 9)}},
    {.outcome = "TT", .takes = {RATE(0, "a", 9), RATE(1, "a", 9)}},
    {.outcome = "R", .takes = {RATE(0, "a", 1)}, .wait_h = 1},

    {.is = "a group is taken together or not at all"},
    {.outcome = "T", .takes = {RATE(0, "day", 1)}},
    {.outcome = "NR", .takes = {RATE(0, "hour", 1), RATE(0, "day", 1)}, .wait_h = 1},
    {.outcome = "RNN",
     .takes = {AT_ONCE(0, "none", 0, 1), AT_ONCE(0, "s", 1, 1), RATE(0, "hour", 1)}},
    {.outcome = "TT", .takes = {RATE(0, "hour", 1), AT_ONCE(0, "s", 1, 1)}, .used = {0, 1}},
    {.outcome = "RR", .takes = {RATE(0, "hour", 1), RATE(0, "day", 1)}, .wait_h = 1},

    {.is = "groups see what those before them have taken"},
    {.outcome = "TTRT",
     .takes = {RATE(0, "a", 2), RATE(1, "a", 2), RATE(2, "a", 2), RATE(3, "b", 1)}},

    {.is = "a group sees what it takes itself"},
    {.outcome = "NNR", .takes = {RATE(0, "a", 2), RATE(0, "a", 2), RATE(0, "a", 2)}, .wait_h = 1},
    {.outcome = "TT", .takes = {RATE(0, "a", 2), RATE(0, "a", 2)}},
    {.outcome = "R", .takes = {RATE(0, "a", 2)}, .wait_h = 1},

    {.is = "a group that needs one which was refused is not tried"},
    {.outcome = "T", .takes = {RATE(0, "sender", 1)}},
    {.outcome = "RNT", .takes = {RATE(0, "sender", 1), RATE_IN(1, 0, "a", 1, 0), RATE(2, "b", 1)}},
    {.outcome = "TT", .takes = {RATE(0, "a", 1), RATE_IN(1, 0, "c", 1, 0)}},

    {.is = "so many are held at once"},
    {.outcome = "T", .takes = {AT_ONCE(0, "a", 2, 1)}, .used = {1}},
    {.outcome = "T", .takes = {AT_ONCE(0, "a", 2, 2)}, .used = {2}},
    {.outcome = "R", .takes = {AT_ONCE(0, "a", 2, 3)}, .used = {2}},
    {.settle = LEASE(SETTLE_RENEW, "a", 1)},
    {.settle = LEASE(SETTLE_RELEASE, "a", 2)},
    {.outcome = "T", .takes = {AT_ONCE(0, "a", 2, 3)}, .used = {2}},
    {.settle = LEASE(SETTLE_RELEASE, "a", 1)},
    {.settle = LEASE(SETTLE_RELEASE, "a", 3)},
    {.outcome = "T", .takes = {AT_ONCE(0, "a", 1, 4)}, .used = {1}},

    {.is = "different ones are looked at, and counted when they are added"},
    {.outcome = "T", .takes = {DISTINCT(0, "a", 2, 1)}, .used = {0}},
    {.outcome = "R", .takes = {DISTINCT(0, "a", 0, 1)}, .used = {0}},
    {.settle = ADD("a", 1)},
    {.settle = ADD("a", 1)},
    {.outcome = "T", .takes = {DISTINCT(0, "a", 2, 2)}, .used = {1}},
    {.settle = ADD("a", 2)},
    {.outcome = "RT", .takes = {DISTINCT(0, "a", 2, 3), DISTINCT(1, "a", 2, 2)}, .used = {2, 2}},
    {.outcome = "R", .takes = {DISTINCT(0, "a", 1, 2)}, .used = {2}},

    {.is = "bad ones are judged once so many were tried"},
    {.outcome = "T", .takes = {RATIO(0, "a", 25, 4)}},
    {.settle = COUNT("a", 3, 3)},
    {.outcome = "T", .takes = {RATIO(0, "a", 25, 4)}, .used = {3}, .bad = 3},
    {.settle = COUNT("a", 9, 0)},
    {.outcome = "T", .takes = {RATIO(0, "a", 25, 4)}, .used = {12}, .bad = 3},
    {.settle = COUNT("a", 1, 1)},
    {.outcome = "R", .takes = {RATIO(0, "a", 25, 4)}, .used = {13}, .bad = 4},

    {.is = "what is looked at is told as it stands, and stays so"},
    {.outcome = "L", .takes = {LOOK_RATE(0, "a", 2)}, .used = {0}},
    {.outcome = "T", .takes = {RATE(0, "a", 2)}},
    {.outcome = "Ll", .takes = {LOOK_RATE(0, "a", 2), LOOK_RATE(0, "a", 2)}, .used = {1, 1}},
    {.outcome = "LL", .takes = {LOOK_RATE(0, "a", 2), LOOK_RATE(1, "a", 2)}, .used = {1, 1}},
    {.outcome = "T", .takes = {RATE(0, "a", 2)}},
    {.outcome = "l", .takes = {LOOK_RATE(0, "a", 2)}, .used = {2}},
    {.outcome = "l", .takes = {LOOK_RATE(0, "a", 1)}, .used = {2}},
    {.outcome = "R", .takes = {RATE(0, "a", 2)}, .wait_h = 1},
    {.outcome = "L", .takes = {AT_ONCE_IN(0, STORE_LOOK, "a", 1, 0)}, .used = {0}},
    {.outcome = "T", .takes = {AT_ONCE(0, "a", 1, 1)}, .used = {1}},
    {.outcome = "ll",
     .takes = {LOOK_RATE(0, "a", 2), AT_ONCE_IN(0, STORE_LOOK, "a", 1, 0)},
     .used = {2, 1}},
    {.outcome = "R", .takes = {AT_ONCE(0, "a", 1, 2)}, .used = {1}},
    {.settle = ADD("a", 1)},
    {.settle = COUNT("a", 9, 9)},
    {.outcome = "ll",
     .takes = {DISTINCT_IN(0, STORE_LOOK, "a", 1, 2), RATIO_IN(0, STORE_LOOK, "a", 25, 4)},
     .used = {1, 9},
     .bad = 9},
    {.outcome = "LL",
     .takes = {DISTINCT_IN(0, STORE_LOOK, "a", 1, 1), RATIO_IN(0, STORE_LOOK, "a", 25, 10)},
     .used = {1, 9},
     .bad = 9},
    {.outcome = "T", .takes = {DISTINCT(0, "a", 1, 1)}, .used = {1}},
    {.outcome = "Tl", .takes = {DISTINCT(0, "a", 1, 1), LOOK_RATE(1, "a", 2)}, .used = {1, 2}},

    {.is = "a refusal lasts as long as it is held, whatever the counter says"},
    {.settle = COUNT("a", 4, 4)},
    {.outcome = "R", .takes = {RATIO_MARKED(0, "a", 25, 4, 0)}, .used = {4}, .bad = 4, .wait_h = 2},
    {.settle = COUNT("a", 96, 0)},
    {.outcome = "R",
     .takes = {RATIO_MARKED(0, "a", 25, 4, 0)},
     .used = {100},
     .bad = 4,
     .wait_h = 2},
    {.outcome = "T", .takes = {RATIO(0, "a", 25, 4)}, .used = {100}, .bad = 4},
    {.settle = FORGET(COUNTER_RATIO, "a")},
    {.outcome = "T", .takes = {RATIO_MARKED(0, "a", 25, 4, 0)}},

    {.is = "what is held refuses those who are known too, and takes nothing"},
    {.settle = ADD("a", 1)},
    {.outcome = "T", .takes = {DISTINCT_MARKED(0, STORE_NO_GROUP, "a", 1, 1, 0)}, .used = {1}},
    {.outcome = "RNT",
     .takes = {DISTINCT_MARKED(0, STORE_NO_GROUP, "a", 1, 2, 0), RATE(0, "b", 1), RATE(1, "b", 1)},
     .used = {1}},
    {.outcome = "R",
     .takes = {DISTINCT_MARKED(0, STORE_NO_GROUP, "a", 1, 1, 0)},
     .used = {1},
     .wait_h = 2},
    {.outcome = "l",
     .takes = {DISTINCT_MARKED(0, STORE_LOOK, "a", 1, 1, 0)},
     .used = {1},
     .wait_h = 2},
    {.outcome = "T",
     .takes = {AT_ONCE_MARKED(0, STORE_NO_GROUP, "a", 1, 1, 0)},
     .used = {1}}, /* another counter */
    {.outcome = "R",
     .takes = {AT_ONCE_MARKED(0, STORE_NO_GROUP, "a", 1, 2, 0)},
     .used = {1},
     .wait_h = 2},
    {.settle = LEASE(SETTLE_RELEASE, "a", 1)},
    {.outcome = "R",
     .takes = {AT_ONCE_MARKED(0, STORE_NO_GROUP, "a", 1, 2, 0)},
     .used = {0},
     .wait_h = 2},
    {.settle = FORGET(COUNTER_AT_ONCE, "a")},
    {.outcome = "T", .takes = {AT_ONCE_MARKED(0, STORE_NO_GROUP, "a", 1, 2, 0)}, .used = {1}},

    {.is = "nobody is held for what is not tried or only looked at"},
    {.outcome = "T", .takes = {RATE(0, "first", 1)}},
    {.settle = ADD("a", 1)},
    {.outcome = "RN",
     .takes = {RATE(0, "first", 1), DISTINCT_MARKED(1, 0, "a", 1, 2, 0)},
     .used = {0, 1}},
    {.outcome = "l", .takes = {DISTINCT_MARKED(0, STORE_LOOK, "a", 1, 2, 0)}, .used = {1}},
    {.outcome = "T", .takes = {DISTINCT_MARKED(0, STORE_NO_GROUP, "a", 1, 1, 0)}, .used = {1}},

    {.is = "the first that comes near says so, once in a while"},
    {.outcome = "T", .takes = {RATE_MARKED(0, "a", 4, 3)}},
    {.outcome = "TWT",
     .takes = {RATE_MARKED(0, "a", 4, 3), RATE_MARKED(1, "a", 4, 3), RATE_MARKED(2, "a", 4, 3)}},
    {.outcome = "R", .takes = {RATE_MARKED(0, "a", 4, 3)}, .wait_h = 1},
    {.settle = GIVE_BACK("a")},
    {.outcome = "T", .takes = {RATE_MARKED(0, "a", 4, 3)}},
    {.settle = FORGET(COUNTER_RATE, "a")},
    {.outcome = "TT", .takes = {RATE_MARKED(0, "a", 4, 3), RATE_MARKED(1, "a", 4, 3)}},
    {.outcome = "W", .takes = {RATE_MARKED(0, "a", 4, 3)}},

    {.is = "of what is refused together nobody says that it is near"},
    {.outcome = "T", .takes = {RATE(0, "day", 1)}},
    {.outcome = "NR", .takes = {RATE_MARKED(0, "a", 4, 1), RATE(0, "day", 1)}, .wait_h = 1},
    {.outcome = "W", .takes = {RATE_MARKED(0, "a", 4, 1)}},

    {.is = "all kinds say that they are near"},
    {.outcome = "T", .takes = {AT_ONCE_MARKED(0, STORE_NO_GROUP, "a", 3, 1, 2)}, .used = {1}},
    {.outcome = "W", .takes = {AT_ONCE_MARKED(0, STORE_NO_GROUP, "a", 3, 2, 2)}, .used = {2}},
    {.outcome = "T", .takes = {AT_ONCE_MARKED(0, STORE_NO_GROUP, "a", 3, 3, 2)}, .used = {3}},
    {.settle = ADD("b", 1)},
    {.outcome = "T", .takes = {DISTINCT_MARKED(0, STORE_NO_GROUP, "b", 3, 2, 2)}, .used = {1}},
    {.settle = ADD("b", 2)},
    {.outcome = "WT",
     .takes = {DISTINCT_MARKED(0, STORE_NO_GROUP, "b", 3, 1, 2),
               DISTINCT_MARKED(1, STORE_NO_GROUP, "b", 3, 1, 2)},
     .used = {2, 2}},
    {.settle = COUNT("c", 3, 1)},
    {.outcome = "T", .takes = {RATIO_MARKED(0, "c", 25, 4, 20)}, .used = {3}, .bad = 1},
    {.settle = COUNT("c", 1, 0)},
    {.outcome = "W", .takes = {RATIO_MARKED(0, "c", 25, 4, 20)}, .used = {4}, .bad = 1},
    {.outcome = "T", .takes = {RATIO_MARKED(0, "c", 25, 4, 20)}, .used = {4}, .bad = 1},

    {.is = "marks end by themselves"},
    {.settle = ADD("a", 1)},
    {.outcome = "R",
     .takes = {{VECTOR_HEAD(COUNTER_DISTINCT, 0, STORE_NO_GROUP, "a"), .marks = {400000, 0, 0},
                .distinct = {1, 7, 2 * VECTOR_HOUR}}},
     .used = {1},
     .wait_h = 0},
    {.outcome = "W",
     .takes = {{VECTOR_HEAD(COUNTER_RATE, 0, STORE_NO_GROUP, "b"), .marks = {0, 1, 400000},
                .rate = {VECTOR_HOUR, 4 * VECTOR_HOUR, 0}}}},
    {.advance_us = 500000},
    {.outcome = "TW",
     .takes = {{VECTOR_HEAD(COUNTER_DISTINCT, 0, STORE_NO_GROUP, "a"), .marks = {400000, 0, 0},
                .distinct = {2, 7, 2 * VECTOR_HOUR}},
               {VECTOR_HEAD(COUNTER_RATE, 1, STORE_NO_GROUP, "b"), .marks = {0, 1, 400000},
                .rate = {VECTOR_HOUR, 4 * VECTOR_HOUR, 0}}},
     .used = {1}},

    {.is = "what is forgotten begins anew, and nothing else does"},
    {.outcome = "T", .takes = {RATE(0, "a", 1)}},
    {.outcome = "T", .takes = {AT_ONCE(0, "a", 1, 1)}, .used = {1}},
    {.settle = ADD("a", 1)},
    {.settle = COUNT("a", 9, 9)},
    {.settle = FORGET(COUNTER_RATE, "a")},
    {.outcome = "T", .takes = {RATE(0, "a", 1)}},
    {.outcome = "R", .takes = {AT_ONCE(0, "a", 1, 2)}, .used = {1}},
    {.settle = FORGET(COUNTER_AT_ONCE, "a")},
    {.outcome = "T", .takes = {AT_ONCE(0, "a", 1, 2)}, .used = {1}},
    {.outcome = "R", .takes = {DISTINCT(0, "a", 1, 2)}, .used = {1}},
    {.settle = FORGET(COUNTER_DISTINCT, "a")},
    {.outcome = "T", .takes = {DISTINCT(0, "a", 1, 2)}, .used = {0}},
    {.outcome = "R", .takes = {RATIO(0, "a", 1, 1)}, .used = {9}, .bad = 9},
    {.settle = FORGET(COUNTER_RATIO, "a")},
    {.outcome = "T", .takes = {RATIO(0, "a", 1, 1)}},

    {.is = "what is due comes with time"},
    {.outcome = "T",
     .takes = {{VECTOR_HEAD(COUNTER_RATE, 0, STORE_NO_GROUP, "a"),
                .rate = {VECTOR_HOUR / 3600, VECTOR_HOUR / 3600, 0}}}},
    {.advance_us = 1100000},
    {.outcome = "T",
     .takes = {{VECTOR_HEAD(COUNTER_RATE, 0, STORE_NO_GROUP, "a"),
                .rate = {VECTOR_HOUR / 3600, VECTOR_HOUR / 3600, 0}}}},

    {.is = "a window ends, and a longer one does not"},
    {.settle = ADD("a", 1)},
    {.settle = COUNT("a", 9, 9)},
    {.outcome = "R", .takes = {DISTINCT(0, "a", 1, 2)}, .used = {1}},
    {.settle = {.kind = SETTLE_ADD,
                .of = COUNTER_DISTINCT,
                .slot = 1,
                .key = VECTOR_KEY("b"),
                .distinct = {7, 1000000}}},
    {.advance_us = 1600000},
    {.outcome = "T",
     .takes = {{VECTOR_HEAD(COUNTER_DISTINCT, 0, STORE_NO_GROUP, "b"),
                .distinct = {1, 8, 1000000}}}},
    {.outcome = "R", .takes = {DISTINCT(0, "a", 1, 2)}, .used = {1}},
    {.outcome = "R", .takes = {RATIO(0, "a", 25, 4)}, .used = {9}, .bad = 9},
};

enum { STORE_VECTORS = sizeof store_vectors / sizeof *store_vectors };

/* The same key in another promise is another. */
static inline struct span vector_key(struct span key, size_t promise, char out[64])
{
    int size = snprintf(out, 64, "promise-%zu %.*s", promise, (int)key.size, key.data); /* fits */
    return span_make(out, (size_t)size);
}

static inline void vector_check_look(const struct store_vector *v, size_t n, size_t i,
                                     const struct counter_answer *a)
{
    int64_t owed_us = a->tat_us - a->now_us, wanted_us = (int64_t)v->used[i] * VECTOR_HOUR;
    if (v->takes[i].kind != COUNTER_RATE)
        ck_assert_msg(a->used == v->used[i], "vector %zu, take %zu: %llu used", n, i,
                      (unsigned long long)a->used);
    else
        ck_assert_msg(owed_us <= wanted_us && owed_us >= wanted_us - VECTOR_HOUR / 60,
                      "vector %zu, take %zu owes %lld", n, i, (long long)owed_us);
}

static inline void vector_check(const struct store_vector *v, size_t n,
                                const struct counter_answer *answers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct counter_answer *a = &answers[i];
        char outcome = a->is_near ? 'W' : a->is_taken ? 'T' : a->is_refusing ? 'R' : 'N';
        bool is_looked_at = v->takes[i].needs == STORE_LOOK;
        if (is_looked_at)
            outcome = outcome == 'R' ? 'l' : outcome == 'N' ? 'L' : outcome;
        ck_assert_msg(outcome == v->outcome[i], "vector %zu, take %zu: %c", n, i, outcome);
        if (is_looked_at)
            vector_check_look(v, n, i, a);
        if (v->takes[i].kind != COUNTER_RATE && outcome != 'N')
            ck_assert_msg(a->used == v->used[i], "vector %zu, take %zu: %llu used", n, i,
                          (unsigned long long)a->used);
        if (v->takes[i].kind == COUNTER_RATIO)
            ck_assert_uint_eq(a->bad, v->bad);
        ck_assert(a->now_us > 0);
    }
    const struct counter_answer *last = &answers[count - 1];
    int64_t wait = v->wait_h * VECTOR_HOUR;
    if (v->takes[count - 1].kind == COUNTER_RATE || wait > 0)
        ck_assert_msg(last->wait_us <= wait && last->wait_us >= wait - VECTOR_HOUR / 60,
                      "vector %zu waits %lld", n, (long long)last->wait_us);
    else if (v->takes[count - 1].marks.hold_us == 0 || !last->is_refusing)
        ck_assert_int_eq(last->wait_us, v->outcome[count - 1] == 'R' ? -1 : 0);
}

static inline void store_vectors_run(const struct store_driver *d)
{
    size_t promise = 0;
    int64_t tat_us = 0;
    for (size_t n = 0; n < STORE_VECTORS; n++) {
        const struct store_vector *v = &store_vectors[n];
        struct counter_take takes[VECTOR_TAKES];
        struct counter_answer answers[VECTOR_TAKES];
        char keys[VECTOR_TAKES][64];
        size_t count = v->outcome == NULL ? 0 : strlen(v->outcome);
        promise += v->is != NULL;
        if (v->advance_us > 0)
            d->advance(v->advance_us);
        if (v->settle.key.size > 0) {
            struct counter_settle s = v->settle;
            s.key = vector_key(s.key, promise, keys[0]);
            if (s.kind == SETTLE_GIVE_BACK)
                s.rate.tat_us = tat_us;
            d->settle(&s, 1);
        }
        for (size_t i = 0; i < count; i++) {
            takes[i] = v->takes[i];
            takes[i].key = vector_key(takes[i].key, promise, keys[i]);
        }
        if (count == 0)
            continue;
        d->take(takes, count, answers);
        vector_check(v, n, answers, count);
        tat_us = answers[0].is_taken ? answers[0].tat_us : tat_us;
    }
}
