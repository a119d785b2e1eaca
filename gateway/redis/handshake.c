#include "redis/handshake.h"

#include "redis/script.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum step { STEP_AUTH, STEP_PING, STEP_SELECT, STEP_PROBE, STEP_COUNT };

struct said {
    struct redis_command command; /* at the front */
    struct redis_handshake *handshake;
    enum step step;
};

struct redis_handshake {
    redis_handshake_fn *fn; /* NULL: it is ended */
    void *owner;
    size_t under_way;
    struct said said[STEP_COUNT];
    struct error why;
};

static void free_unneeded(struct redis_handshake *h)
{
    if (h->fn == NULL && h->under_way == 0)
        free(h);
}

static const char *const names[] = {[STEP_AUTH] = "AUTH",
                                    [STEP_PING] = "PING",
                                    [STEP_SELECT] = "SELECT",
                                    [STEP_PROBE] = "a trial of the script"};

/* What is wrong with an answer goes into `why`. */
static int check(enum step step, const struct redis_value *answer, struct error *why)
{
    if (answer->kind == REDIS_ERROR)
        return error_set(why, "%s: %.*s", names[step],
                         (int)(answer->text.size < 500 ? answer->text.size : 500),
                         answer->text.data);
    if (answer->kind != (step == STEP_PROBE ? REDIS_ARRAY : REDIS_STATUS))
        return error_set(why, "%s: that is no answer of Redis", names[step]);
    return 0;
}

static void on_answer(struct redis_command *command, const struct redis_value *answer)
{
    struct said *said = (struct said *)command; /* it lies at the front */
    struct redis_handshake *h = said->handshake;
    redis_command_free(&command->bytes, command->size);
    h->under_way--;
    if (h->fn == NULL || answer == NULL) {
        free_unneeded(h);
        return;
    }
    int failed = check(said->step, answer, &h->why);
    if (failed || said->step == STEP_PROBE)
        h->fn(h->owner, failed ? h->why.text : NULL); /* it ends the handshake */
}

/* Returns 0, or -1 without memory. */
static int say(struct redis_handshake *h, struct redis_link *l, enum step step, size_t count,
               const char **words, int64_t deadline_ns)
{
    struct said *said = &h->said[step];
    size_t sizes[16];
    for (size_t i = 0; i < count; i++)
        sizes[i] = strlen(words[i]);
    *said = (struct said){.handshake = h, .step = step};
    said->command.bytes = redis_command_format(count, words, sizes, &said->command.size);
    said->command.deadline_ns = deadline_ns;
    said->command.fn = on_answer;
    if (said->command.bytes == NULL)
        return -1;
    h->under_way++;
    redis_link_send(l, &said->command);
    return 0;
}

static int authenticate(struct redis_handshake *h, struct redis_link *l,
                        const struct redis_handshake_options *o)
{
    const char *user = o->config->username;
    const char *both[] = {"AUTH", user, o->password}, *one[] = {"AUTH", o->password};
    if (user[0] != '\0')
        return say(h, l, STEP_AUTH, 3, both, o->deadline_ns);
    return o->password[0] == '\0' ? 0 : say(h, l, STEP_AUTH, 2, one, o->deadline_ns);
}

/* Without it, a server that wants a password would complain of the length of what follows. */
static int ping(struct redis_handshake *h, struct redis_link *l,
                const struct redis_handshake_options *o)
{
    const char *words[] = {"PING"};
    return say(h, l, STEP_PING, 1, words, o->deadline_ns);
}

static int select_database(struct redis_handshake *h, struct redis_link *l,
                           const struct redis_handshake_options *o)
{
    char number[24];
    const char *words[] = {"SELECT", number};
    if (o->config->database == 0)
        return 0;
    (void)snprintf(number, sizeof number, "%lld", (long long)o->config->database); /* fits */
    return say(h, l, STEP_SELECT, 2, words, o->deadline_ns);
}

/* One of a rate that is at rest again after a millisecond. */
static int probe(struct redis_handshake *h, struct redis_link *l,
                 const struct redis_handshake_options *o)
{
    char key[200], script[32 * 1024];
    const char *words[] = {"EVAL", script,  "1", key,    "take",    "r",
                           "0",    "65535", "1", "1000", "1000000", "0"};
    assert(script_size < sizeof script); /* both are the program's own */
    (void)snprintf(key, sizeof key, "{%.100s}:probe", o->config->prefix); /* fits */
    (void)span_copy(span_make(script_text, script_size), script, sizeof script);
    return say(h, l, STEP_PROBE, sizeof words / sizeof *words, words, o->deadline_ns);
}

struct redis_handshake *redis_handshake_begin(struct redis_link *l,
                                              const struct redis_handshake_options *options,
                                              redis_handshake_fn *fn, void *owner)
{
    struct redis_handshake *h = calloc(1, sizeof *h);
    if (h == NULL)
        return NULL;
    h->fn = fn;
    h->owner = owner;
    if (authenticate(h, l, options) < 0 || ping(h, l, options) < 0 ||
        select_database(h, l, options) < 0 || probe(h, l, options) < 0)
        redis_handshake_end(&h);
    return h;
}

void redis_handshake_end(struct redis_handshake **handshake)
{
    struct redis_handshake *h = *handshake;
    if (h == NULL)
        return;
    *handshake = NULL;
    h->fn = NULL;
    free_unneeded(h);
}
