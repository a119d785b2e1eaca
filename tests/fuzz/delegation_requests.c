/* What Postfix asks a policy server. First byte: where the input is cut. Whatever the cuts, the
 * same is read; what is read is of the input, and no more is kept than a request may have. */
#include "protocol/delegation/server.h"

#include "fuzz.h"

static void look_at(struct record *said, struct span value, struct span input)
{
    must(value.size == 0 || lies_in(value, input), "an attribute is of the input");
    for (size_t i = 0; i < value.size; i++)
        must((unsigned char)value.data[i] >= ' ', "an attribute is one line");
    record_span(said, value);
}

static struct record read_requests(struct span input, struct cuts cuts)
{
    struct record said = record_make();
    struct leftover in = {NULL, {NULL, 0}};
    int outcome = 0;
    while (input.size > 0 && outcome >= 0) {
        struct delegation_asked a;
        struct error why;
        struct span *rest = leftover_join(&in, next_piece(&cuts, &input)), before = *rest;
        while ((outcome = delegation_asked_take(rest, &a, &why)) == 1) {
            const struct span values[] = {
                a.state, a.instance,        a.queue, a.sender,         a.recipient,
                a.size,  a.recipient_count, a.login, a.client_address, a.client_port};
            must(rest->size < before.size, "a request takes something");
            for (size_t i = 0; i < sizeof values / sizeof *values; i++)
                look_at(&said, values[i], before);
            before = *rest;
        }
        must(outcome < 0 || rest->size <= DELEGATION_ASKED_MAX,
             "no more is kept than one may have");
    }
    record_number(&said, outcome);
    leftover_drop(&in);
    return said;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    unsigned seed = take_byte(&input);
    struct record whole = read_requests(input, (struct cuts){0}),
                  cut = read_requests(input, (struct cuts){seed});
    records_are_equal(&whole, &cut, "however it is cut, the same is read");
    return 0;
}
