/* Who a message says it is from, by its header. First byte: where the input is cut. */
#include "message/header_addresses.h"

#include "fuzz.h"

static void keep(void *owner, struct span address)
{
    struct record *r = owner;
    record_span(r, address);
}

/* An address that was given is read as itself, alone and between angle brackets: whoever reads it
 * once more sees no other. */
static void check(struct span address)
{
    for (int i = 0; i < 2; i++) {
        struct record once = record_make(), again = record_make();
        struct addresses a;
        record_span(&once, address);
        addresses_begin(&a, keep, &again);
        addresses_take(&a, span_of(i == 0 ? "" : "<"));
        addresses_take(&a, address);
        addresses_take(&a, span_of(i == 0 ? "" : ">"));
        must(addresses_end(&a) == NULL, "an address is one");
        records_are_equal(&once, &again, "an address is itself");
    }
}

static void put(void *owner, enum author_field field, struct span address)
{
    must(is_clean(address, "") && utf8_is_valid(address), "an address is clean text");
    check(address);
    record_number(owner, field);
    record_span(owner, address);
}

static struct record look(struct span input, struct cuts cuts)
{
    struct record r = record_make();
    struct header_addresses h;
    header_addresses_begin(&h, put, &r);
    while (input.size > 0) {
        struct span piece = next_piece(&cuts, &input);
        char *copy = malloc(piece.size);
        must(copy != NULL, "there is memory");
        memcpy(copy, piece.data, piece.size);
        header_addresses_take(&h, span_make(copy, piece.size));
        free(copy);
    }
    header_addresses_end(&h);
    for (int i = 0; i < AUTHOR_FIELDS; i++)
        record_number(&r, h.count[i]);
    record_span(&r, span_of(h.wrong == NULL ? "" : h.wrong));
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    unsigned seed = take_byte(&input);
    struct record whole = look(input, (struct cuts){0}), cut = look(input, (struct cuts){seed + 1});
    records_are_equal(&whole, &cut, "however it is cut, it is from the same");
    return 0;
}
