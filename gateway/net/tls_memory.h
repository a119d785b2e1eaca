/* Memory for OpenSSL's record buffers.
 *
 * With SSL_MODE_RELEASE_BUFFERS a record's buffer of 16 KiB is taken when the record comes and
 * given back when it has been read: two or three times a message, each time the slow path of
 * malloc and free. Here the buffer given back last is taken next, still in the processor's cache.
 *
 * Hot: some ten instructions; no system call. For processes with one thread. */
#pragma once

#include <stddef.h>

/* From now on OpenSSL takes its memory here; called before anything of it is used, as it cannot be
 * told afterwards. Cannot fail. */
void tls_memory_begin(void);

/* As malloc, realloc and free, NULL for a size of 0; where they are called from is of no interest.
 * What isn't of a record's size, or one record too many, comes from malloc. */
void *tls_memory_take(size_t size, const char *file, int line);
void *tls_memory_resize(void *at, size_t size, const char *file, int line);
void tls_memory_give_back(void *at, const char *file, int line);
