/* Bytes that are held until somebody has seen all of them: the first of them in memory, the rest in
 * an unlinked file. How much all processes hold so is counted in the shared mapping. */
#pragma once

#include "base/span.h"

struct holding; /* in the shared mapping */
struct spools;  /* of a process */
struct spool;   /* of a message */

enum { HOLDING_ROWS = 1024 }; /* processes */

size_t holding_size(void);

/* The master's: what a dead process held. */
void holding_release(struct holding *h, size_t process);

enum { SPOOL_FILES_READY = 4 };

struct spools_options {
    struct holding *holding;
    size_t process;                 /* whose row counts */
    uint64_t memory_max, files_max; /* of all processes together, in octets */
    size_t in_memory;               /* of one spool, while there are files */
    void (*want)(void *owner);      /* another file, please: spools_add follows, later */
    void *owner;
};

/* NULL without memory. */
struct spools *spools_create(const struct spools_options *options);

/* Its spools are gone by then. */
void spools_destroy(struct spools **spools);

/* A file that was asked for: empty, open for reading and writing, named nowhere; or -1: there is
 * none to be had. It is owned from now on. */
void spools_add(struct spools *s, int fd);

/* An empty one; NULL without memory. The first asks for files, so that who never holds anything has
 * none. */
struct spool *spool_create(struct spools *spools);
void spool_destroy(struct spool **s);

/* Adds all of `bytes`. Returns 0; or -1: all processes hold as much as they may, or the file could
 * not be written; the spool is then of no more use.
 *
 * Hot: a copy; a system call where it goes to the file. */
int spool_append(struct spool *s, struct span bytes);

uint64_t spool_size(const struct spool *s);

/* What stands at `at`, `room` octets at most, one at least unless that is the end. It lies in the
 * spool, or in `out`; valid until the spool is changed. `data` is NULL when the file can't be read.
 */
struct span spool_read(const struct spool *s, uint64_t at, char *out, size_t room);
