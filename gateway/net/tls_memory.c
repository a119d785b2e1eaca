#include "net/tls_memory.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A record with what OpenSSL adds for its head, alignment and tag; more of them at a time than one
 * turn of the loop uses come from malloc. */
enum { SLOTS = 64, SLOT_MIN = 16 * 1024, SLOT_SIZE = 16 * 1024 + 384 };

static struct {
    alignas(64) char slots[SLOTS][SLOT_SIZE];
    unsigned char unused[SLOTS]; /* those given back, the last of them at the end */
    unsigned unused_count, used; /* the first `used` have been taken at some time */
} records;

static bool is_slot(const void *at)
{
    uintptr_t offset = (uintptr_t)at - (uintptr_t)records.slots;
    return offset < sizeof records.slots;
}

void *tls_memory_take(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    if (size >= SLOT_MIN && size <= SLOT_SIZE && records.unused_count > 0)
        return records.slots[records.unused[--records.unused_count]];
    if (size >= SLOT_MIN && size <= SLOT_SIZE && records.used < SLOTS)
        return records.slots[records.used++];
    return size == 0 ? NULL : malloc(size);
}

void tls_memory_give_back(void *at, const char *file, int line)
{
    (void)file, (void)line;
    if (!is_slot(at)) {
        free(at);
        return;
    }
    size_t slot = (size_t)((char *)at - records.slots[0]) / SLOT_SIZE;
    assert(records.unused_count < records.used && records.slots[slot] == at);
    records.unused[records.unused_count++] = (unsigned char)slot;
}

void *tls_memory_resize(void *at, size_t size, const char *file, int line)
{
    if (at != NULL && !is_slot(at) && size > 0)
        return realloc(at, size);
    void *moved = tls_memory_take(size, file, line);
    if (at != NULL && moved != NULL)
        memcpy(moved, at, size < SLOT_SIZE ? size : SLOT_SIZE);
    if (moved != NULL || size == 0)
        tls_memory_give_back(at, file, line);
    return moved;
}

void tls_memory_begin(void)
{
#ifndef __SANITIZE_ADDRESS__ /* there who uses what he has given back is to be seen */
    int is_set = CRYPTO_set_mem_functions(tls_memory_take, tls_memory_resize, tls_memory_give_back);
    assert(is_set == 1);
    (void)is_set;
#endif
}
