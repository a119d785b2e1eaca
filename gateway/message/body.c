/* The text is looked at as a row of pieces that pass as they are; between two of them stands what
 * is put in. While there is one piece, it is handed on where it lies; with the second, all of them
 * are copied to the spare buffer. */
#include "message/body.h"

#include "base/scan.h"

struct output {
    char *spare;
    struct span *out; /* where the pieces lie together so far */
    bool is_copied;
};

/* Adds what is put in behind what is there. */
static void put_in(struct output *o, const char *what, size_t size)
{
    if (!o->is_copied) {
        memcpy(o->spare, o->out->data, o->out->size);
        o->out->data = o->spare;
        o->is_copied = true;
    }
    memcpy(o->spare + o->out->size, what, size);
    o->out->size += size;
}

/* Adds a piece of the input behind what is there. */
static void put(struct output *o, const char *at, size_t size)
{
    if (size == 0)
        return;
    if (o->is_copied || (o->out->size > 0 && o->out->data + o->out->size != at)) {
        put_in(o, at, size);
        return;
    }
    if (o->out->size == 0)
        o->out->data = at;
    o->out->size += size;
}

/* At a dot that begins a line. Returns 1 when it ends the text (all of it is taken), -1 when more
 * must be seen, else 0. */
static int at_dot(struct body *b, struct span *in, struct output *o)
{
    if (b->is_after_bare) {
        put_in(o, ".", 1); /* its own dot is text and follows */
        b->size++;
        return 0;
    }
    if (in->size < 2 || (in->data[1] == '\r' && in->size < 3))
        return -1;
    if (in->data[1] == '\r' && in->data[2] == '\n') {
        span_skip(in, 3);
        return 1;
    }
    if (in->data[1] ==
        '\n') { /* the LF becomes CRLF: with the dot it would end the text behind us */
        span_skip(in, 1);
        b->size++;
    }
    return 0; /* a doubled dot, which stays doubled, or one that the reader takes away */
}

/* The end of the lines from `at` on that pass as they are: each ends with CRLF, and the next
 * doesn't begin with a dot. */
static char *skip_plain_lines(char *at, const char *end)
{
    size_t size = (size_t)(scan_plain_lines(at, end) - at);
    char *feed = size == 0 || *at == '\n' ? NULL : memrchr(at, '\n', size);
    return feed == NULL ? at : feed + 1;
}

/* Takes up to the end of a line: most often of many. Returns -1 when more must be seen. */
static int take_line(struct body *b, struct span *in, struct output *o)
{
    char *start = (char *)(uintptr_t)in->data; /* the caller's buffer, changed in place */
    char *end = start + in->size, *line = skip_plain_lines(start, end), *at = line;
    if (line > start)
        b->is_within_line = b->is_after_bare = false;
    for (;;) {
        at += scan_line_break(at, end) - at;
        if (at == end || (*at == '\r' && at + 1 == end))
            break;
        if (*at == '\n') {
            put(o, start, (size_t)(at - start));
            put_in(o, "\r\n", 2);
            b->size += (size_t)(at - start) + 2;
            *in = span_make(at + 1, (size_t)(end - at) - 1);
            b->is_within_line = false;
            b->is_after_bare = b->has_bare = true;
            return 0;
        }
        if (at[1] == '\n') {
            put(o, start, (size_t)(at - start) + 2);
            b->size += (size_t)(at - start) + 2;
            *in = span_make(at + 2, (size_t)(end - at) - 2);
            b->is_within_line = b->is_after_bare = false;
            return 0;
        }
        *at++ = ' ';
        b->has_bare = true;
    }
    /* The line goes on behind this input; a CR at its end is looked at again with what follows. */
    put(o, start, (size_t)(at - start));
    b->size += (size_t)(at - start);
    b->is_within_line = b->is_within_line || at > line;
    *in = span_make(at, (size_t)(end - at));
    return -1;
}

static enum body_result take(struct body *b, struct span *in, char *spare, struct span *out)
{
    struct output o = {spare, out, false};
    *out = span_make(in->data, 0);
    while (in->size > 0) {
        if (!b->is_within_line && in->data[0] == '.') {
            int end = at_dot(b, in, &o);
            if (end > 0)
                return BODY_WHOLE;
            if (end < 0)
                return BODY_MORE;
            b->size--; /* of two dots the reader has one */
        }
        if (take_line(b, in, &o) < 0)
            return BODY_MORE;
    }
    return BODY_MORE;
}

enum body_result body_take(struct body *b, struct span *in, char *spare, struct span *out)
{
    enum body_result result = take(b, in, spare, out);
    b->has_nul = b->has_nul || memchr(out->data, '\0', out->size) != NULL;
    return result;
}

/* The CR that ended what came before, with what has come now. */
static void put_kept_cr(struct body *b, struct span *in, struct output *o)
{
    bool is_end = in->data[0] == '\n';
    b->is_after_cr = false;
    b->is_within_line = !is_end;
    b->has_bare = b->has_bare || !is_end;
    b->size += is_end ? 2 : 1;
    put_in(o, is_end ? "\r\n" : " ", is_end ? 2 : 1);
    span_skip(in, is_end ? 1 : 0);
}

void body_take_chunk(struct body *b, struct span in, char *spare, struct span *out)
{
    struct output o = {spare, out, false};
    *out = span_make(in.data, 0);
    if (in.size > 0 && b->is_after_cr)
        put_kept_cr(b, &in, &o);
    while (in.size > 0) {
        if (!b->is_within_line && in.data[0] == '.')
            put_in(&o, ".", 1);
        if (take_line(b, &in, &o) < 0)
            break;
    }
    b->is_after_cr = b->is_after_cr || in.size > 0;
    b->has_nul = b->has_nul || memchr(out->data, '\0', out->size) != NULL;
}

struct span body_end_chunks(struct body *b)
{
    struct span end = span_of(b->is_after_cr ? " \r\n" : b->is_within_line ? "\r\n" : "");
    b->has_bare = b->has_bare || b->is_after_cr;
    b->is_after_cr = b->is_within_line = false;
    b->size += end.size;
    return end;
}
