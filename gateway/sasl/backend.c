#include "sasl/backend.h"

#include <stdatomic.h>

struct backend {
    atomic_bool is_away;
};

size_t backend_size(void)
{
    return sizeof(struct backend);
}

bool backend_set_away(struct backend *b, bool is_away)
{
    return atomic_exchange_explicit(&b->is_away, is_away, memory_order_relaxed) != is_away;
}
