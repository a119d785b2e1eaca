#include "base/id.h"

#include "base/clock.h"

#include <assert.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>

enum { COUNTER_BITS = 28 };

struct id_source id_source_create(void)
{
    struct id_source source;
    ssize_t got = getrandom(&source.counter, sizeof source.counter, 0);
    assert(got == (ssize_t)sizeof source.counter); /* as long as it is up to 256 bytes */
    return source;
}

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

void id_next(struct id_source *source, int64_t wall_ns, char out[ID_SIZE])
{
    uint64_t seconds = (uint64_t)(wall_ns / CLOCK_SECOND) & UINT32_MAX;
    uint64_t bits = seconds << COUNTER_BITS | (source->counter++ & ((1U << COUNTER_BITS) - 1));
    for (int i = ID_SIZE - 2; i >= 0; i--) {
        out[i] = alphabet[bits & 31];
        bits >>= 5;
    }
    out[ID_SIZE - 1] = '\0';
}

uint64_t id_number(const char id[ID_SIZE])
{
    uint64_t bits = 0;
    for (int i = 0; i < ID_SIZE - 1; i++) {
        const char *digit = id[i] == '\0' ? NULL : strchr(alphabet, id[i]);
        if (digit == NULL)
            return 0;
        bits = bits << 5 | (uint64_t)(digit - alphabet);
    }
    return bits;
}
