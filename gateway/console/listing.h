/* What the gateway answers, printed: lists, a line of JSON a row, as a table or as JSON; how an
 * order went; and what rows are made of. */
#pragma once

#include "console/client.h"
#include "console/commands.h"
#include "console/table.h"

struct listing {
    const char *command;      /* which asks for it */
    const char *const *heads; /* see table_create */
    size_t columns;
    void (*add)(struct table *t, const json_t *line); /* adds a row */
};

/* Those that another command shows as well. */
extern const struct listing listing_sessions, listing_bans, listing_limits, listing_suspended;

/* Asks and prints. Returns the exit status. */
int listing_print(const struct console *c, const struct listing *l);

/* The same with a request of the caller's, which is taken over; NULL: an argument isn't UTF-8. What
 * the gateway says of the whole stands below the table. */
int listing_answer(const struct console *c, const struct listing *l, json_t *request);

/* Asks with a request, which is taken over, and gives each line to `take`; NULL: an argument isn't
 * UTF-8. Returns the exit status. */
int console_told(const struct console *c, json_t *request, void (*take)(void *owner, json_t *line),
                 void *owner);

/* Asks with a command that has no arguments, and gives each line to `take`. Returns the exit
 * status. */
int console_question(const struct console *c, const char *command,
                     void (*take)(void *owner, json_t *line), void *owner);

/* Gives an order, which is taken over, and says how it went; NULL: an argument isn't UTF-8. Returns
 * the exit status. */
int console_order(const struct console *c, json_t *request);

/* A member of a line for people; "" or 0 when it isn't there. */
enum { CELL_SIZE = 160 };
const char *cell_text(const json_t *o, const char *key);
const char *cell_number(const json_t *o, const char *key, char out[CELL_SIZE]);

/* Its "by": a rule; or a person, "uid 0", by name where that is known here. */
const char *cell_by(const json_t *o, char out[CELL_SIZE]);

/* Seconds, as "5min20s". */
const char *cell_age(const json_t *o, const char *key, char out[CELL_SIZE]);

/* "Nov 28 10:31:07", where whoever asks is, of "2026-11-28T13:31:07.123Z"; "": it is none. */
enum { CELL_MOMENT_SIZE = 24 };
const char *cell_moment(const json_t *o, const char *key, char out[CELL_MOMENT_SIZE]);

/* A table of these rows, below an empty line; nothing where there is none. */
void listing_print_rows(const struct listing *l, const json_t *rows);

/* Asks with a request, which is taken over, for one line: `*answer`, the caller's, or NULL. Returns
 * the exit status. */
int console_answer(const struct console *c, json_t *request, json_t **answer);
