/* How verdicts stand in the log, whoever has asked. */
#pragma once

#include "policy/policy.h"
#include "telemetry/event.h"

enum { VERDICT_FIELDS = 13, VERDICT_LIMIT_SIZE = 160 };

/* A line of the log: whose it is stands in front of it. Texts may be "" or NULL. */
struct verdict_line {
    const char *message, *sender, *recipient, *country;
    const char *word; /* verdict_word */
    char limit[VERDICT_LIMIT_SIZE];
    struct field fields[VERDICT_FIELDS];
};

/* Does it let pass, at once? */
bool verdict_is_silent(const struct verdict *v);

/* Does its rule ban, or suspend, with this verdict, where it is in force? */
bool verdict_bans(const struct verdict *v);
bool verdict_suspends(const struct verdict *v);

/* "pass", "delay", "defer", "reject", "ban", "suspend" or "monitor". */
const char *verdict_word(const struct verdict *v, bool is_monitored, bool is_suspended);

/* Which event it is. */
enum event verdict_event(const struct verdict *v);

/* Its fields, and those of a rule that has come to its warn_at: they lie in `line`. */
const struct field *verdict_fields(const struct verdict *v, struct verdict_line *line);
const struct field *verdict_near_fields(const struct verdict *v, struct verdict_line *line);
