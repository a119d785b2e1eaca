#include "base/mask.h"

enum { RUN = 6, STARS = 3 };

static bool are_equal(const char *a, const char *b, size_t size)
{
    while (size > 0 && ascii_lower(a[size - 1]) == ascii_lower(b[size - 1]))
        size--;
    return size == 0;
}

/* How many octets at the front of `text` are of the secret: a run, or 0. */
static size_t run_of(struct span text, struct span secret)
{
    size_t run = secret.size < RUN ? secret.size : RUN;
    if (run == 0 || text.size < run)
        return 0;
    for (size_t i = 0; i + run <= secret.size; i++)
        if (are_equal(text.data, secret.data + i, run))
            return run;
    return 0;
}

static size_t run_of_any(struct span text, const struct span *secrets, size_t count)
{
    size_t longest = 0;
    for (size_t i = 0; i < count; i++) {
        size_t run = run_of(text, secrets[i]);
        longest = run > longest ? run : longest;
    }
    return longest;
}

struct span mask_secrets(struct span text, const struct span *secrets, size_t count,
                         char out[MASK_SIZE])
{
    size_t used = 0, secret_end = 0, stars = 0;
    for (size_t i = 0; i < MASK_SIZE && text.size > 0; i++) {
        size_t end = i + run_of_any(text, secrets, count);
        secret_end = end > secret_end ? end : secret_end;
        if (i >= secret_end) {
            out[used++] = text.data[0];
            stars = 0;
        } else if (stars < STARS) {
            out[used++] = '*'; /* a secret of one or two octets gets no more than these */
            stars++;
        }
        span_skip(&text, 1);
    }
    return span_make(out, used);
}
