/* What all processes know of the servers behind: who is up, what it offers, and how many
 * connections each process has to it. Lies in the shared mapping, a row for each server's label.
 *
 * A process killed at any moment leaves its own count alone, which the master takes back: a
 * connection too many may be counted until then, never one too few. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum server_state { SERVER_UNKNOWN, SERVER_UP, SERVER_DOWN };

struct health; /* in the shared mapping */

size_t health_size(void);

/* Forgets a row that has got a new name. */
void health_clear(struct health *h, size_t server);

/* The permit for one more connection of `process` to `server`, of which there are `max` over all
 * processes. Returns 0, or -1: they are in use. */
int health_take(struct health *h, size_t server, size_t process, uint32_t max, int64_t now_ns);
void health_release(struct health *h, size_t server, size_t process);

/* The master's: what a dead process held. */
void health_release_all(struct health *h, size_t process);

/* All connections to the server. */
uint32_t health_connections(const struct health *h, size_t server);

/* The server has said 421 to a new connection: for a minute no more than it has now. */
void health_lower(struct health *h, size_t server, int64_t now_ns);

/* So many of `process` wait for a permit now. */
void health_set_waiting(struct health *h, size_t server, size_t process, uint16_t count);

/* Does somebody of another process wait? Then whoever gives a permit back rings the bell. */
bool health_is_wanted(const struct health *h, size_t server, size_t process);

/* Are all of `max` permits in use? */
bool health_is_full(const struct health *h, size_t server, uint32_t max, int64_t now_ns);

/* Sets the state; returns whether it changed. */
bool health_set_state(struct health *h, size_t server, enum server_state state);
enum server_state health_state(const struct health *h, size_t server);

/* How the gateway's own login there stands; `version` says with which secret. After a refusal one
 * connection in a while is tried, with growing pauses, so that nobody locks the account: who is
 * told LOGIN_UNPROVEN then is that one. */
enum login_state { LOGIN_PROVEN, LOGIN_UNPROVEN, LOGIN_HELD };
enum login_state health_login(struct health *h, size_t server, uint32_t version, int64_t now_ns);

/* It was refused, or taken. Return whether that is news. */
bool health_login_refused(struct health *h, size_t server, uint32_t version, int64_t now_ns);
bool health_login_taken(struct health *h, size_t server, uint32_t version);

/* The server has taken a recipient of this account, which is a hash of its name. */
void health_recipient_taken(struct health *h, size_t server, uint64_t account, int64_t now_ns);

/* Has it taken one of another account within a minute? Then what it refuses isn't for its own sake.
 */
bool health_takes_from_others(const struct health *h, size_t server, uint64_t account,
                              int64_t now_ns);

/* What it offered at the last probe: enum smtp_extension or pop3_capability, with HEALTH_PROBED,
 * and what was told with them: the limit of SIZE; or the days of EXPIRE, and in the lower half the
 * seconds of LOGIN-DELAY. 0 before the first answer. */
#define HEALTH_PROBED (UINT32_C(1) << 31)
void health_set_offer(struct health *h, size_t server, uint32_t extensions, uint64_t told);
void health_offer(const struct health *h, size_t server, uint32_t *extensions, uint64_t *told);
