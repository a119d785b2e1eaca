/* Names of sessions and messages: twelve characters, unique over gateways and restarts, that sort
 * by time and can be read out on a telephone. */
#pragma once

#include <stdint.h>

enum { ID_SIZE = 13 }; /* with the closing NUL */

struct id_source {
    uint32_t counter;
};

/* A source that starts at a random place; one a process. */
struct id_source id_source_create(void);

/* The next id: 32 bits of `wall_ns` in seconds and 28 of the counter, in base 32 without i, l, o
 * and u. */
void id_next(struct id_source *source, int64_t wall_ns, char out[ID_SIZE]);

/* The same as a number; 0: it is none. */
uint64_t id_number(const char id[ID_SIZE]);
