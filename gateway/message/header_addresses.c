#include "message/header_addresses.h"

const char *const author_names[AUTHOR_FIELDS] = {
    [AUTHOR_FROM] = "From", [AUTHOR_SENDER] = "Sender", [AUTHOR_RESENT_FROM] = "Resent-From"};

static void give(void *owner, struct span address)
{
    struct header_addresses *h = owner;
    if (h->given++ == AUTHORS_MAX)
        h->addresses.wrong = "it names too many addresses";
    else
        h->fn(h->owner, (enum author_field)h->current, address);
}

void header_addresses_begin(struct header_addresses *h, author_fn *fn, void *owner)
{
    *h = (struct header_addresses){.fn = fn, .owner = owner, .current = -1};
}

static void begin_field(struct header_addresses *h)
{
    for (int i = 0; i < AUTHOR_FIELDS; i++) {
        if (!span_equals_nocase(span_make(h->reader.name, h->reader.name_size), author_names[i]))
            continue;
        h->count[i]++;
        h->current = i;
        addresses_begin(&h->addresses, give, h);
    }
}

static void end_field(struct header_addresses *h)
{
    if (h->current < 0)
        return;
    h->wrong = addresses_end(&h->addresses);
    if (h->wrong != NULL)
        h->wrong_field = (enum author_field)h->current;
    h->current = -1;
}

void header_addresses_take(struct header_addresses *h, struct span text)
{
    struct span piece;
    while (h->wrong == NULL)
        switch (header_reader_next(&h->reader, &text, &piece)) {
        case HEADER_MORE: return;
        case HEADER_ENDS: end_field(h); break;
        case HEADER_BEGINS: begin_field(h); break;
        case HEADER_VALUE:
            if (h->current >= 0)
                addresses_take(&h->addresses, piece);
            break;
        }
}

void header_addresses_end(struct header_addresses *h)
{
    if (h->wrong == NULL)
        end_field(h);
}
