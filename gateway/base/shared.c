#include "base/shared.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

size_t shared_reserve(struct shared_layout *layout, size_t size)
{
    size_t offset = layout->size;
    layout->size += (size + PAGE - 1) / PAGE * PAGE;
    return offset;
}

void *shared_map(const struct shared_layout *layout, struct error *why)
{
    void *at = mmap(NULL, layout->size, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
        (void)error_set(why, "shared mapping of %zu bytes: %s", layout->size, strerror(errno));
        return NULL;
    }
    return at;
}
