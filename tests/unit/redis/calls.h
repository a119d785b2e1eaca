/* Calls over the worker's connection to the server of redis/server.h, and what came back. */
#pragma once

#include "redis/server.h"

/* What came back. */
static struct {
    unsigned answers, losses;
    int64_t status; /* of the last answer's take */
} heard;

static inline void on_answer(void *owner, const struct redis_value *answer)
{
    ck_assert_ptr_eq(owner, &heard);
    heard.losses += answer == NULL;
    if (answer == NULL)
        return;
    heard.answers++;
    ck_assert_int_eq(answer->kind, REDIS_ARRAY);
    ck_assert_uint_eq(answer->count, 5);
    heard.status = answer->items[1].integer;
}

/* One of a rate of which three pass; `other` is a key that it names besides, or NULL. */
static inline int ask_for(const char *other)
{
    const char *texts[] = {NULL, NULL,    NULL, "{porteiro}:x", other,        "take", "r",
                           "0",  "65535", "1",  "1000000000",   "3000000000", "0"};
    size_t count = sizeof texts / sizeof *texts, keys = other == NULL ? 1 : 2;
    size_t sizes[sizeof texts / sizeof *texts];
    if (other == NULL)
        memmove(&texts[4], &texts[5], (--count - 4) * sizeof *texts);
    for (size_t i = REDIS_WORDS_FRONT; i < count; i++)
        sizes[i] = strlen(texts[i]);
    struct redis_words words = {texts, sizes, count, keys};
    return redis_script(behind.redis, &words, on_answer, &heard);
}

/* The loop's clock stands while a test does something else, and the answer has its time. */
static inline int ask(void)
{
    turn();
    return ask_for(NULL);
}

static inline void is_answered(void)
{
    unsigned before = heard.answers;
    ck_assert_int_eq(ask(), 0);
    UNTIL(heard.answers == before + 1);
}

/* After it has been lost. */
static inline void is_trusted_again(void)
{
    UNTIL(redis_is_trusted(behind.redis));
    is_answered();
}

static inline void is_lost_for(const char *reason)
{
    UNTIL(!redis_is_trusted(behind.redis));
    ck_assert_msg(lines_with(reason) == 1, "%s", behind.logged.text);
    ck_assert_int_eq(ask(), -1);
}

static inline void start(const char *setting)
{
    server_start(setting);
    redis_open();
}
