/* The engine inside another MTA, with counters in memory and a policy of the test's own. */
#pragma once

#include "filter/filter.h"

#include "config/folder.h"
#include "net/turns.h"
#include "telemetry/mapping.h"

static struct filter engine;

/* For the policy "out" with these rules. */
static inline void engine_begin(const char *rules)
{
    static struct event_log log;
    char text[4096];
    (void)snprintf(text, sizeof text,
                   HOSTNAME "policies = { out = { %s } }\n"
                            "filter = { listen = \"unix:/x\" policy = \"out\" }\n",
                   rules); /* fits */
    const struct config *c = config_of(text);
    turns_begin();
    count_is(0, 0);
    for (size_t i = 0; i < config->policies[0].limit_count; i++)
        config->policies[0].limits[i].slot = (uint16_t)i;
    if (log.lines == NULL) /* of a test that begins twice */
        log = (struct event_log){.lines = log_create(-1, LOG_LEVEL_ERROR)};
    struct bans *bans = mapping_make(bans_size());
    struct set_limits *set = mapping_make(set_limits_size());
    const uint64_t key[2] = {3, 5};
    bans_begin(bans, 7);
    set_limits_begin(set, key);
    const struct decider_options options = {
        .memory = memory_open(mapping_make(memory_size()), key, 0, NULL), .config = &c->redis};
    engine = (struct filter){.loop = turns.loop,
                             .config = c,
                             .log = &log,
                             .decider = decider_create(&options),
                             .set_limits = {set_limits_figure, set},
                             .ids = id_source_create()};
    engine.guessing = (struct guessing){.config = &c->auth,
                                        .decider = engine.decider,
                                        .bans = bans,
                                        .known = mapping_make(known_size()),
                                        .key = {3, 5},
                                        .log = &log};
}

static inline void engine_end(void)
{
    decider_destroy(&engine.decider);
    turns_end();
}

#define RATE(count, rate) \
    "limits = { l = { key = [\"account\"] count = \"" count "\" rate = \"" rate "\" } } "
