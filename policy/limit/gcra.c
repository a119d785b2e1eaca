#include "policy/limit/gcra.h"

__extension__ typedef unsigned __int128 wide;

#define CENTURY_US (INT64_C(100) * 366 * 86400 * 1000000)

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t rate_increment(const struct rate *r, uint64_t quantity)
{
    wide us = (wide)quantity * (uint64_t)r->period_us;
    us = (us + (uint64_t)r->count - 1) / (uint64_t)r->count;
    return us > (uint64_t)CENTURY_US ? RATE_NEVER : (int64_t)us;
}

int64_t rate_tolerance(const struct rate *r)
{
    /* One by one each of the burst is rounded up by less than a microsecond; what is added for that
     * stays below what one of them costs. */
    int64_t cell = rate_increment(r, 1), burst = rate_increment(r, (uint64_t)r->burst);
    return least(burst + least(r->burst, cell - 1), CENTURY_US);
}

uint64_t rate_left(const struct rate *r, int64_t tat_us, int64_t now_us)
{
    int64_t room = rate_tolerance(r) - most(tat_us - now_us, 0);
    wide left = (wide)most(room, 0) * (uint64_t)r->count;
    left /= (uint64_t)r->period_us;
    return left > (uint64_t)r->burst ? (uint64_t)r->burst : (uint64_t)left;
}

bool gcra_take(int64_t *tat_us, const struct gcra_take *take, int64_t now_us, int64_t *wait_us)
{
    /* A clock that was set back, or a rate that was raised, owes no more than the rule allows. */
    int64_t ahead = take->tolerance_us + take->max_delay_us;
    int64_t tat = least(most(*tat_us, now_us), now_us + ahead);
    if (take->increment_us > ahead) {
        *wait_us = -1;
        return false;
    }
    int64_t after = tat + take->increment_us;
    if (after > now_us + ahead) {
        *wait_us = after - take->tolerance_us - take->max_delay_us - now_us;
        return false;
    }
    *tat_us = after;
    *wait_us = most(after - take->tolerance_us - now_us, 0);
    return true;
}

void gcra_give_back(int64_t *tat_us, int64_t increment_us, int64_t taken_us, int64_t now_us)
{
    *tat_us -= least(increment_us, most(taken_us - now_us, 0));
    *tat_us = most(*tat_us, now_us);
}
