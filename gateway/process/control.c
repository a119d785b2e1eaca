/* The control process: it writes the log, answers porteiroctl, and asks whether servers are there.
 */
#include "base/clock.h"
#include "control/orphans.h"
#include "control/service.h"
#include "net/tls.h"
#include "process/redis_way.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLIENTS_GRACE_NS (5 * CLOCK_SECOND)

struct control {
    struct role role; /* at the front */
    struct control_service *service;
    struct board board;
    struct banning banning;
    struct limit_setting limit_setting;
    struct suspending suspending;
    struct orphans *orphans;
    struct redis_way redis; /* open once somebody has asked for it */
    struct timeout *ending;
};

static void end(void *owner)
{
    struct control *c = owner;
    loop_stop(c->role.loop);
}

static void on_message(struct role *r, const struct message *m)
{
    struct control *c = (struct control *)r; /* it lies at the front */
    if (m == NULL || m->type == MESSAGE_STOP) {
        /* All others have ended; what they have said is written as the writer is destroyed. */
        end(c);
    } else if (m->type == MESSAGE_RETIRE) {
        role_set_state(r, PROCESS_DRAINING);
        timeout_set(c->ending, loop_now(r->loop) + CLIENTS_GRACE_NS);
        control_service_retire(c->service, end, c);
    } else if (m->type == MESSAGE_ORPHANS) {
        orphans_take(c->orphans);
    } else {
        control_service_message(c->service, m);
    }
}

static struct redis_store *open_store(void *owner)
{
    struct control *c = owner;
    if (c->redis.role == NULL)
        redis_way_open(&c->redis, &c->role);
    return c->redis.store;
}

void control_main(const struct birth *birth)
{
    struct control c = {.service = NULL};
    const struct mapping *m = birth->mapping;
    role_begin(&c.role, birth, on_message);
    c.board = (struct board){.config = c.role.config,
                             .labels = m->labels,
                             .counters = m->counters,
                             .processes = m->processes,
                             .health = m->health,
                             .sessions = m->sessions};
    c.banning = (struct banning){
        .bans = m->bans, .config = c.role.config, .log = &c.role.log, .process = birth->slot};
    const struct sealed *aliases =
        files_list(birth->prepared->watched, c.role.config, WATCHED_ALIASES);
    c.limit_setting = (struct limit_setting){.limits = m->set_limits,
                                             .config = c.role.config,
                                             .aliases = aliases,
                                             .log = &c.role.log,
                                             .process = birth->slot};
    const struct auth_cache auth_cache = {.table = m->auth_cache,
                                          .key = m->auth_cache_key,
                                          .realm = c.role.config->auth.realm,
                                          .aliases = aliases};
    c.suspending = (struct suspending){.bans = m->bans,
                                       .log = &c.role.log,
                                       .process = birth->slot,
                                       .cache = auth_cache,
                                       .processes = m->processes};
    memcpy(c.suspending.key, m->guessing_key, sizeof c.suspending.key);
    const struct control_service_options options = {
        .upstream = {.loop = c.role.loop,
                     .config = c.role.config,
                     .tls = birth->prepared->tls,
                     .health = m->health,
                     .labels = m->labels,
                     .process = birth->slot,
                     .bell = -1,
                     .log = &c.role.log,
                     .counters = c.role.counters},
        .board = &c.board,
        .banning = &c.banning,
        .limit_setting = &c.limit_setting,
        .suspending = &c.suspending,
        .grants = &birth->prepared->grants,
        .socket = birth->control,
        .auth_cache = auth_cache,
        .limits = {.loop = c.role.loop,
                   .config = c.role.config,
                   .aliases = aliases,
                   .countries =
                       files_list(birth->prepared->watched, c.role.config, WATCHED_COUNTRIES),
                   .set_limits = {set_limits_figure, m->set_limits},
                   .senders = m->senders,
                   .suspending = &c.suspending,
                   .known = m->known,
                   .sessions = m->sessions,
                   .memory = memory_open(m->limits, m->limits_key, birth->slot, c.role.counters),
                   .open_store = open_store,
                   .owner = &c},
        .witness = m->witness,
        .contacts = files_list(birth->prepared->watched, c.role.config, WATCHED_CONTACTS),
        .master = c.role.master};
    const struct orphans_options orphans = {.loop = c.role.loop,
                                            .sessions = m->sessions,
                                            .process = birth->slot,
                                            .open_store = open_store,
                                            .owner = &c};
    c.ending = timeout_create(c.role.loop, end, &c);
    c.service = control_service_create(&options);
    c.orphans = orphans_create(&orphans);
    if (c.ending == NULL || c.service == NULL || c.orphans == NULL)
        abort(); /* out of memory at the start */
    role_run(&c.role);
    orphans_destroy(&c.orphans);
    redis_way_close(&c.redis); /* who waits for it is answered */
    control_service_destroy(&c.service);
    timeout_destroy(&c.ending);
    role_end(&c.role);
}
