/* What people order of limits: porteiroctl's limit set, unset and list. */
#pragma once

#include "base/sealed.h"
#include "config/config.h"
#include "decision/set_limits.h"
#include "telemetry/event.h"

#include <jansson.h>
#include <sys/types.h>

/* Where they lie, and who writes. */
struct limit_setting {
    struct set_limits *limits;
    const struct config *config;
    const struct sealed *aliases; /* other names of accounts, or NULL */
    const struct event_log *log;
    size_t process; /* this one's slot */
};

/* {"name": ACCOUNT or "@DOMAIN", "limit": NAME, "figure": TEXT, "burst": TEXT, "seconds": N (0: for
 * good), "reason": TEXT}. Return 0 and what was and is in force now, or -1 and why not. */
int limit_setting_set(const struct limit_setting *s, const json_t *request, uid_t uid,
                      struct error *said);

/* {"name": ACCOUNT or "@DOMAIN", "limit": NAME} */
int limit_setting_unset(const struct limit_setting *s, const json_t *request, uid_t uid,
                        struct error *said);

/* What is in a place below SET_LIMITS_MAX, or NULL: nothing. The caller's. */
json_t *limit_setting_row(const struct limit_setting *s, size_t place, int64_t now_wall_ns);
