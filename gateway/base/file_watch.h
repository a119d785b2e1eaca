/* Files that are looked at now and then: whoever needs them is told when they have changed, and
 * stand still again. Links are followed, so that another target is a change too. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What changes at different times, as a certificate and its key, is read when all is done. */
#define FILE_WATCH_STILL_NS INT64_C(2000000000)

struct file_watch;

/* Out of memory ends the program. */
struct file_watch *file_watch_create(void);
void file_watch_destroy(struct file_watch **w);

/* Remembers a file of a group as it is now; there may be none. To be called before it is read. */
void file_watch_add(struct file_watch *w, size_t group, const char *path);

/* Has a file of the group changed of which nobody was told yet? Costs a stat each. */
bool file_watch_is_pending(const struct file_watch *w, size_t group);

/* Looks at all of them; costs a stat each. Calls `fn` with each group of which a file has changed,
 * when none has for two seconds; from then on it is what was remembered. */
void file_watch_turn(struct file_watch *w, int64_t now_ns, void (*fn)(void *owner, size_t group),
                     void *owner);
