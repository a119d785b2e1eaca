/* The text of a message. First byte: where the input is cut. */
#include "message/body.h"
#include "message/model.h"

#include "fuzz.h"

/* What goes on, taken in pieces; `behind` is what follows the end. */
struct taken {
    struct body body;
    bool is_whole;
    struct buffer out, behind;
};

static struct taken take(struct span input, struct cuts cuts)
{
    struct taken t = {.out = {.limit = 1 << 20}, .behind = {.limit = 1 << 20}};
    struct leftover left = {NULL, {NULL, 0}};
    while (input.size > 0 && !t.is_whole) {
        struct span *in = leftover_join(&left, next_piece(&cuts, &input)), out;
        char *spare = malloc(2 * in->size);
        must(spare != NULL, "there is memory");
        t.is_whole = body_take(&t.body, in, spare, &out) == BODY_WHOLE;
        must(buffer_append(&t.out, out) == 0, "it doesn't grow past twice its size");
        must(t.is_whole || in->size <= 2, "two octets are left at most");
        free(spare);
    }
    must(buffer_append(&t.behind, left.rest) == 0 && buffer_append(&t.behind, input) == 0,
         "what is behind is no more than there was");
    leftover_drop(&left);
    return t;
}

/* The server behind sees one text: no lone CR or LF, no end within it. */
static void check_lines(struct span out)
{
    for (size_t at = 0; at < out.size; at++) {
        must(out.data[at] != '\r' || at + 1 == out.size || out.data[at + 1] == '\n',
             "no CR stands alone");
        must(out.data[at] != '\n' || (at > 0 && out.data[at - 1] == '\r'), "no LF stands alone");
        must(!is_line_start(out, at) || !has_at(out, at, ".\r\n"), "no end stands within it");
    }
}

static bool equals(struct span s, const struct text *t)
{
    return s.size == t->size && (s.size == 0 || memcmp(s.data, t->bytes, s.size) == 0);
}

/* Compared with the model, which has all of it before it. */
static void check(const struct taken *t, struct span input)
{
    struct span out = buffer_bytes(&t->out);
    size_t behind, size = text_size(input, &behind), room = 2 * input.size + 1;
    char *memory = malloc(3 * room);
    must(memory != NULL, "there is memory");
    struct text meant = {memory, 0}, model = {memory + room, 0}, read = {memory + 2 * room, 0};
    check_lines(out);
    must(t->is_whole == (behind > size), "CRLF . CRLF ends it, and nothing else");
    must(out.size <= 2 * input.size, "it doesn't grow past twice its size");
    if (t->is_whole) {
        must(buffer_bytes(&t->behind).size == input.size - behind, "what is behind it is left");
        undot(span_make(input.data, size), &meant);
        mend_line_ends(span_make(meant.bytes, meant.size), &model);
        undot(out, &read);
        must(equals(span_make(read.bytes, read.size), &model),
             "the reader has what the client meant");
        must(t->body.size == model.size, "its size is that of what the reader has");
        must(t->body.has_nul == (size > 0 && memchr(input.data, '\0', size) != NULL),
             "a NUL is seen");
    }
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    unsigned seed = take_byte(&input);
    struct taken whole = take(input, (struct cuts){0}), cut = take(input, (struct cuts){seed + 1});
    check(&whole, input);
    check(&cut, input);
    must(whole.body.has_bare == cut.body.has_bare && whole.is_whole == cut.is_whole,
         "however the network cuts, the same is understood");
    buffer_clear(&whole.out);
    buffer_clear(&whole.behind);
    buffer_clear(&cut.out);
    buffer_clear(&cut.behind);
    return 0;
}
