/* Files of the gateway's own, in a folder where others may write: ours, no link, never half. */
#pragma once

#include "base/error.h"
#include "base/span.h"

/* Opens it for reading: a plain file of this user's. Returns the descriptor, or -1 and why; errno
 * is ENOENT where there is none. */
int own_file_open(const char *path, struct error *why);

/* All of it, to be freed, `size` octets; `max` is the most that it can have. NULL and why; errno is
 * ENOENT where there is none. */
char *own_file_read(const char *path, size_t max, size_t *size, struct error *why);

/* Writes it anew, for this user alone: under another name first, and on the disk before it has this
 * one. Returns 0, or -1 and why: what was there stays. */
int own_file_write(const char *path, struct span bytes, struct error *why);
