/* What a policy server answers, what that means, and what it may prepend. First byte: where the
 * input is cut. Whatever the cuts, the same is read; what is read is of the input, and no more is
 * kept than an answer may have. */
#include "message/header_line.h"
#include "policy/rules/delegate.h"
#include "protocol/delegation/answer.h"

#include "fuzz.h"

/* A header that is ordered is one line, or none. */
static void prepend(struct span text, bool is_utf8)
{
    struct buffer out = {.limit = 4096};
    if (header_line_append(text, is_utf8, &out) == 0) {
        struct span line = buffer_bytes(&out);
        must(line.size == text.size + 2 && memcmp(line.data + text.size, "\r\n", 2) == 0,
             "a line ends once");
        for (size_t i = 0; i < text.size; i++)
            must(line.data[i] == '\t' || (unsigned char)line.data[i] >= ' ', "a line is one");
        must(is_utf8 || is_ascii(line), "a line is ASCII unless it may be UTF-8");
    }
    buffer_clear(&out);
}

static void understand(struct span action)
{
    struct delegate_answer a;
    if (delegate_understand(action, &a) < 0)
        return;
    must(lies_in(a.text, action) && lies_in(a.action, action), "a text is of the action");
    must(a.code == 0 || (a.code >= 400 && a.code < 600), "a code refuses, or is none");
    must(a.code == 0 || (a.enhanced[0] == '0' + a.code / 100 && a.enhanced[1] == '.'),
         "an enhanced code is of the code's class");
    prepend(a.text, false);
    prepend(a.text, true);
}

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
            understand(action);
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
