/* The text of a message, as DATA brings it and as BDAT does. First byte: where the input is cut. */
#include "message/body.h"
#include "message/headers.h"
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

/* ---- the same octets as chunks (RFC 3030) ---- */

static struct taken take_chunks(struct span input, struct cuts cuts)
{
    struct taken t = {.is_whole = true, .out = {.limit = 1 << 20}};
    while (input.size > 0) {
        struct span piece = next_piece(&cuts, &input), out;
        char *copy = malloc(piece.size), *spare = malloc(2 * piece.size);
        must(copy != NULL && spare != NULL, "there is memory");
        memcpy(copy, piece.data, piece.size);
        body_take_chunk(&t.body, span_make(copy, piece.size), spare, &out);
        must(buffer_append(&t.out, out) == 0, "it doesn't grow past twice its size");
        free(copy);
        free(spare);
    }
    must(buffer_append(&t.out, body_end_chunks(&t.body)) == 0, "it ends with a line's end");
    return t;
}

/* No octet ends it; what the reader has is what came, its lines mended, and whole. */
static void check_chunks(const struct taken *t, struct span input)
{
    struct span out = buffer_bytes(&t->out);
    size_t room = 2 * input.size + 3;
    char *memory = malloc(2 * room);
    must(memory != NULL, "there is memory");
    struct text model = {memory, 0}, read = {memory + room, 0};
    mend_line_ends(input, &model);
    const struct span mended = span_make(model.bytes, model.size);
    if (mended.size > 0 && !is_line_start(mended, mended.size)) {
        text_put(&model, '\r');
        text_put(&model, '\n');
    }
    check_lines(out);
    undot(out, &read);
    must(equals(span_make(read.bytes, read.size), &model), "the reader has what the client meant");
    must(t->body.size == model.size, "its size is that of what the reader has");
    must(t->body.has_nul == (input.size > 0 && memchr(input.data, '\0', input.size) != NULL),
         "a NUL is seen");
    free(memory);
}

/* ---- its headers, while they go by ---- */

/* Nothing is lost, doubled or moved by looking. Returns where the headers end, or -1: not yet. */
static long look(struct span text, struct cuts cuts, struct headers *h)
{
    struct buffer out = {.limit = 1 << 20};
    struct leftover pieces[2] = {{NULL, {NULL, 0}}, {NULL, {NULL, 0}}}; /* the last two */
    struct span rest = text;
    long end = -1;
    *h = (struct headers){.size = 0};
    for (unsigned n = 0; rest.size > 0 && end < 0; n++) {
        struct headers_cut cut;
        leftover_drop(&pieces[n % 2]);
        struct span *piece = leftover_join(&pieces[n % 2], next_piece(&cuts, &rest));
        enum headers_result result = headers_take(h, *piece, &cut);
        must(buffer_append(&out, cut.headers[0]) == 0 && buffer_append(&out, cut.headers[1]) == 0,
             "headers are no more than there was");
        must(out.size == h->size, "the size is that of what went on");
        must(result != HEADERS_MORE || (cut.behind[0].size == 0 && cut.behind[1].size == 0),
             "nothing is behind that may still be before");
        end = result == HEADERS_MORE ? -1 : (long)out.size;
        must(buffer_append(&out, cut.behind[0]) == 0 && buffer_append(&out, cut.behind[1]) == 0,
             "headers are no more than there was");
    }
    must(out.size <= text.size && text.size - rest.size - out.size <= HEADERS_NAME_MAX + 2,
         "no more than a line's beginning is kept");
    must(out.size == 0 || memcmp(buffer_bytes(&out).data, text.data, out.size) == 0,
         "what goes on is what came");
    leftover_drop(&pieces[0]);
    leftover_drop(&pieces[1]);
    buffer_clear(&out);
    return end;
}

/* RFC 5322 section 2.2: a line of a field's name and a colon, or what continues one. */
static void check_headers(struct span text, struct cuts cuts)
{
    struct headers whole, cut;
    long end = look(text, (struct cuts){0}, &whole);
    must(end == look(text, cuts, &cut) && memcmp(whole.count, cut.count, sizeof cut.count) == 0,
         "however it is cut, the same fields are there");
    for (long at = 0; at < end; at++)
        must(text.data[at] != '\n' || at + 1 == end || text.data[at + 1] != '\r' ||
                 text.data[at + 2] != '\n',
             "no empty line is a header");
    must(end <= 0 || text.data[end - 1] == '\n', "headers are whole lines");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    unsigned seed = take_byte(&input);
    struct taken whole = take(input, (struct cuts){0}), cut = take(input, (struct cuts){seed + 1});
    check(&whole, input);
    check(&cut, input);
    check_headers(buffer_bytes(&whole.out), (struct cuts){seed + 1});
    must(whole.body.has_bare == cut.body.has_bare && whole.is_whole == cut.is_whole,
         "however the network cuts, the same is understood");
    const bool had_bare = whole.body.has_bare;
    buffer_clear(&whole.out);
    buffer_clear(&whole.behind);
    buffer_clear(&cut.out);
    buffer_clear(&cut.behind);
    whole = take_chunks(input, (struct cuts){0});
    cut = take_chunks(input, (struct cuts){seed + 1});
    check_chunks(&whole, input);
    check_chunks(&cut, input);
    must(whole.body.has_bare == cut.body.has_bare && (whole.body.has_bare || !had_bare),
         "a lone CR or LF is one in chunks, too");
    buffer_clear(&whole.out);
    buffer_clear(&cut.out);
    return 0;
}
