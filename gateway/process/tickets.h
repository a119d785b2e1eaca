/* The master's part of session tickets: it makes the keys in time, and hands workers those of the
 * present, never the secret. */
#pragma once

struct generation;
struct master_state;

/* The keys of now, in the memory from which the generation's workers are forked. */
void tickets_begin(struct generation *g);

/* Those of all generations are made anew when a period has begun, and sent to workers. */
void tickets_turn(struct master_state *m);
