#include "session/pace.h"

#include "base/clock.h"

#define IN_HAND_NS (60 * CLOCK_SECOND)

void pace_begin(struct pace *p, int64_t now_ns)
{
    *p = (struct pace){.left_ns = IN_HAND_NS, .since_ns = now_ns};
}

int64_t pace_left(const struct pace *p, int64_t now_ns)
{
    int64_t left = p->left_ns - (now_ns - p->since_ns);
    return left < 0 ? 0 : left;
}

void pace_came(struct pace *p, size_t size, int64_t rate, int64_t now_ns)
{
    int64_t left = pace_left(p, now_ns) + (int64_t)size * CLOCK_SECOND / rate;
    p->left_ns = left > IN_HAND_NS ? IN_HAND_NS : left;
    p->since_ns = now_ns;
}

void pace_resume(struct pace *p, int64_t now_ns)
{
    p->since_ns = now_ns;
}
