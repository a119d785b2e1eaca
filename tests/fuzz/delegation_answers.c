/* What a policy server answers. First byte: where the input is cut. Whatever the cuts, the same is
 * read; what is read is of the input, and no more is kept than an answer may have. */
#include "protocol/delegation/answer.h"

#include "fuzz.h"

static struct record read_answers(struct span input, struct cuts cuts)
{
    struct record said = record_make();
    struct leftover in = {NULL, {NULL, 0}};
    int outcome = 0;
    while (input.size > 0 && outcome >= 0) {
        struct span action;
        struct error why;
        struct span *rest = leftover_join(&in, next_piece(&cuts, &input)), before = *rest;
        while ((outcome = delegation_answer_parse(rest, &action, &why)) == 1) {
            must(rest->size < before.size, "an answer takes something");
            must(lies_in(action, before), "an action is of the input");
            must(memchr(action.data, '\n', action.size) == NULL &&
                     memchr(action.data, '\0', action.size) == NULL,
                 "an action is one line");
            record_span(&said, action);
            before = *rest;
        }
        must(outcome < 0 || rest->size < DELEGATION_ANSWER_MAX,
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
    struct record whole = read_answers(input, (struct cuts){0}),
                  cut = read_answers(input, (struct cuts){seed});
    records_are_equal(&whole, &cut, "however it is cut, the same is read");
    return 0;
}
