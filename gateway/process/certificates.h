/* The files that doors are made of, watched by the master: what has changed is read, tried, and
 * handed to the workers, who go on with their sessions. */
#pragma once

struct generation;
struct file_watch;
struct config;
struct master_state;

/* All of them as they are now: to be called before they are read. */
struct file_watch *certificates_watch(const struct config *c);

/* Once a second: takes what has changed in the generations that serve; the old stays in force where
 * it is wrong. Once a day: says which certificates expire soon. */
void certificates_turn(struct master_state *m);

/* Says for how long the certificates of a generation that begins to serve are good. */
void certificates_tell(struct generation *g);
