#include "base/id.h"

#include "base/clock.h"

#include <assert.h>
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

/* What a letter of the alphabet stands for, and 1 more; 0: it is none. */
static const unsigned char values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['g'] = 17, ['h'] = 18, ['j'] = 19, ['k'] = 20, ['m'] = 21, ['n'] = 22, ['p'] = 23, ['q'] = 24,
    ['r'] = 25, ['s'] = 26, ['t'] = 27, ['v'] = 28, ['w'] = 29, ['x'] = 30, ['y'] = 31, ['z'] = 32};

uint64_t id_number(const char id[ID_SIZE])
{
    uint64_t bits = 0;
    for (int i = 0; i < ID_SIZE - 1; i++) {
        unsigned value = values[(unsigned char)id[i]];
        if (value == 0)
            return 0;
        bits = bits << 5 | (value - 1);
    }
    return bits;
}
