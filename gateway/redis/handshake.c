#include "redis/handshake.h"

#include "base/mask.h"
#include "redis/redirect.h"
#include "redis/script.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum step {
    STEP_AUTH,
    STEP_MASTER,
    STEP_PING,
    STEP_CLUSTER,
    STEP_ROLE,
    STEP_SELECT,
    STEP_PROBE,
    STEP_COUNT
};

enum { WORDS_MAX = 16 };

struct said {
    struct redis_command command; /* at the front */
    struct redis_handshake *handshake;
    enum step step;
};

struct redis_handshake {
    redis_handshake_fn *fn; /* NULL: it is ended */
    void *owner;
    struct redis_link *link; /* while it begins */
    const struct redis_handshake_options *options;
    struct span password;
    struct address at;
    size_t under_way;
    struct said said[STEP_COUNT], *last;
    struct error why;
};

static void free_unneeded(struct redis_handshake *h)
{
    if (h->fn == NULL && h->under_way == 0)
        free(h);
}

/* ---- answers ---- */

static const struct {
    const char *name;
    enum redis_kind kind; /* of a good answer */
} steps[] = {
    [STEP_AUTH] = {"AUTH", REDIS_STATUS},
    [STEP_MASTER] = {"where the master is", REDIS_ARRAY},
    [STEP_PING] = {"PING", REDIS_STATUS},
    [STEP_CLUSTER] = {"CLUSTER", REDIS_INTEGER},
    [STEP_ROLE] = {"ROLE", REDIS_ARRAY},
    [STEP_SELECT] = {"SELECT", REDIS_STATUS},
    [STEP_PROBE] = {"a trial of the script", REDIS_ARRAY},
};

/* A Sentinel may not know yet, or a failover be under way. */
static int check_role(const struct redis_value *answer, struct error *why)
{
    if (answer->count > 0 && answer->items[0].kind == REDIS_STRING &&
        span_equals(answer->items[0].text, "master"))
        return 0;
    return error_set(why, "it is no master");
}

/* A command that it doesn't know is repeated with its arguments, AUTH's too. */
static int refused(const struct redis_handshake *h, struct span text, struct error *why)
{
    char masked[MASK_SIZE];
    text = mask_secrets(text, &h->password, 1, masked);
    return error_set(why, "%.*s", (int)(text.size < 500 ? text.size : 500), text.data);
}

/* Returns 0; 1: another server is the one, `*elsewhere`; or -1 and why. */
static int check(const struct said *said, const struct redis_value *answer,
                 struct address *elsewhere, struct error *why)
{
    int moved = said->step == STEP_PROBE
                    ? redis_redirect(answer, "MOVED", &said->handshake->at, elsewhere, why)
                    : 0;
    if (moved != 0)
        return moved;
    if (said->step == STEP_MASTER && answer->kind == REDIS_NIL)
        return error_set(why, "it knows no master of that name");
    if (answer->kind == REDIS_ERROR)
        return refused(said->handshake, answer->text, why);
    if (answer->kind != steps[said->step].kind)
        return error_set(why, "that is no answer of Redis");
    if (said->step == STEP_ROLE)
        return check_role(answer, why);
    if (said->step == STEP_MASTER)
        return redis_master_address(answer, elsewhere, why) < 0 ? -1 : 1;
    return 0;
}

static void on_answer(struct redis_command *command, const struct redis_value *answer)
{
    struct said *said = (struct said *)command; /* it lies at the front */
    struct redis_handshake *h = said->handshake;
    struct address elsewhere;
    redis_command_free(&command->bytes, command->size);
    h->under_way--;
    if (h->fn == NULL || answer == NULL) {
        free_unneeded(h);
        return;
    }
    int outcome = check(said, answer, &elsewhere, &h->why);
    if (outcome < 0)
        (void)error_prefix(&h->why, "%s", steps[said->step].name);
    if (outcome != 0 || said == h->last) /* whoever is told ends the handshake */
        h->fn(h->owner, outcome < 0 ? h->why.text : NULL, outcome > 0 ? &elsewhere : NULL);
}

/* ---- what is said ---- */

/* Returns 0, or -1 without memory. */
static int say(struct redis_handshake *h, enum step step, size_t count, const char **words)
{
    struct said *said = &h->said[step];
    size_t sizes[WORDS_MAX];
    for (size_t i = 0; i < count; i++)
        sizes[i] = strlen(words[i]);
    *said = (struct said){.handshake = h, .step = step};
    said->command.bytes = redis_command_format(count, words, sizes, &said->command.size);
    said->command.deadline_ns = h->options->deadline_ns;
    said->command.fn = on_answer;
    if (said->command.bytes == NULL)
        return -1;
    h->under_way++;
    h->last = said;
    redis_link_send(h->link, &said->command);
    return 0;
}

#define SAY(h, step, ...)                                                \
    say(h, step, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), \
        (const char *[]){__VA_ARGS__})

static int authenticate(struct redis_handshake *h)
{
    const struct redis_config *c = h->options->config;
    const char *user = h->options->peer == REDIS_PEER_SENTINEL ? c->sentinel_username : c->username;
    if (user[0] != '\0')
        return SAY(h, STEP_AUTH, "AUTH", user, h->options->password);
    return h->options->password[0] == '\0' ? 0 : SAY(h, STEP_AUTH, "AUTH", h->options->password);
}

/* Who is asked for a slot of a Cluster and is none would count for itself, and so would the next.
 */
static int ask_for_cluster(struct redis_handshake *h)
{
    const struct redis_config *c = h->options->config;
    bool is_cluster = c->sentinels.count == 0 && c->server_count > 1;
    return is_cluster ? SAY(h, STEP_CLUSTER, "CLUSTER", "KEYSLOT", c->prefix) : 0;
}

/* A replica may be one that can be written to. */
static int ask_for_role(struct redis_handshake *h)
{
    return h->options->config->sentinels.count == 0 ? 0 : SAY(h, STEP_ROLE, "ROLE");
}

static int select_database(struct redis_handshake *h)
{
    char number[24];
    if (h->options->config->database == 0)
        return 0;
    (void)snprintf(number, sizeof number, "%lld",
                   (long long)h->options->config->database); /* fits */
    return SAY(h, STEP_SELECT, "SELECT", number);
}

/* One of a rate that is at rest again after a millisecond. The second key is there for a Cluster
 * that is moving the slot, and so can't answer for several keys. */
static int probe(struct redis_handshake *h)
{
    char key[200], other[200], script[32 * 1024];
    assert(script_size < sizeof script); /* both are the program's own */
    (void)snprintf(key, sizeof key, "{%.100s}:probe", h->options->config->prefix); /* fits */
    (void)snprintf(other, sizeof other, "%s:2", key);                              /* likewise */
    (void)span_copy(span_make(script_text, script_size), script, sizeof script);
    return SAY(h, STEP_PROBE, "EVAL", script, "2", key, other, "take", "r", "0", "65535", "1",
               "1000", "1000000", "0");
}

static int say_to_server(struct redis_handshake *h)
{
    return ask_for_cluster(h) < 0 || ask_for_role(h) < 0 || select_database(h) < 0 || probe(h) < 0
               ? -1
               : 0;
}

/* Without PING, a server that wants a password would complain of the length of what follows. */
static int say_all(struct redis_handshake *h)
{
    if (authenticate(h) < 0)
        return -1;
    if (h->options->peer == REDIS_PEER_SENTINEL)
        return SAY(h, STEP_MASTER, "SENTINEL", "GET-MASTER-ADDR-BY-NAME",
                   h->options->config->master);
    if (SAY(h, STEP_PING, "PING") < 0)
        return -1;
    return h->options->peer == REDIS_PEER_IMPORTER ? 0 : say_to_server(h);
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
    h->link = l;
    h->options = options;
    h->password = span_of(options->password);
    h->at = *options->at;
    if (say_all(h) < 0) {
        redis_handshake_end(&h);
        return NULL;
    }
    h->link = NULL;
    h->options = NULL;
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
