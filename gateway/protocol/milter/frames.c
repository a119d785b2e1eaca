#include "protocol/milter/frames.h"

#include <assert.h>

enum { LENGTH_SIZE = 4 };

uint32_t milter_number(struct span bytes)
{
    const unsigned char *b = (const unsigned char *)bytes.data;
    assert(bytes.size >= LENGTH_SIZE);
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void put_number(uint32_t number, char out[LENGTH_SIZE])
{
    for (int i = 0; i < LENGTH_SIZE; i++)
        out[i] = (char)(number >> (24 - 8 * i));
}

/* ---- in ---- */

/* How long the frame at the front is, with its length; 0: that isn't known yet. */
static int measure(const struct milter_reader *r, struct span bytes, size_t *size,
                   struct error *why)
{
    *size = 0;
    if (bytes.size < LENGTH_SIZE)
        return 0;
    uint32_t length = milter_number(bytes);
    if (length == 0 || length - 1 > r->most)
        return error_set(why, "a frame of %u octets, and at most %zu were agreed on", length,
                         r->most + 1);
    *size = LENGTH_SIZE + (size_t)length;
    return 0;
}

static struct milter_frame frame_of(struct span bytes)
{
    span_skip(&bytes, LENGTH_SIZE);
    char code = span_take(&bytes, 1).data[0];
    return (struct milter_frame){code, bytes};
}

/* Moves up to `count` octets to what is pending. */
static int keep(struct milter_reader *r, struct span *in, size_t count, struct error *why)
{
    r->pending.limit = LENGTH_SIZE + 1 + r->most;
    if (buffer_append(&r->pending, span_take(in, count < in->size ? count : in->size)) == 0)
        return 0;
    return error_set(why, "out of memory");
}

/* Goes on with a frame that has begun. */
static int take_rest(struct milter_reader *r, struct span *in, struct milter_frame *out,
                     struct error *why)
{
    size_t size;
    if (r->pending.size < LENGTH_SIZE && keep(r, in, LENGTH_SIZE - r->pending.size, why) < 0)
        return -1;
    if (measure(r, buffer_bytes(&r->pending), &size, why) < 0)
        return -1;
    if (size > 0 && keep(r, in, size - r->pending.size, why) < 0)
        return -1;
    if (size == 0 || r->pending.size < size)
        return 0;
    *out = frame_of(buffer_bytes(&r->pending));
    r->is_taken = true;
    return 1;
}

int milter_frame_take(struct milter_reader *r, struct span *in, struct milter_frame *out,
                      struct error *why)
{
    size_t size;
    if (r->is_taken)
        milter_reader_clear(r);
    if (r->pending.size > 0)
        return take_rest(r, in, out, why);
    if (measure(r, *in, &size, why) < 0)
        return -1;
    if (size == 0 || size > in->size)
        return in->size == 0 ? 0 : keep(r, in, in->size, why);
    *out = frame_of(span_take(in, size));
    return 1;
}

void milter_reader_clear(struct milter_reader *r)
{
    buffer_consume(&r->pending, r->pending.size);
    r->is_taken = false;
}

/* ---- out ---- */

void milter_frame_put(struct milter_writer *w, struct span bytes)
{
    w->is_full = w->is_full || buffer_append(w->out, bytes) < 0;
}

void milter_frame_begin(struct milter_writer *w, char code)
{
    char head[MILTER_HEAD_SIZE];
    milter_frame_head(code, 0, head);
    w->start = w->out->size;
    w->is_full = false;
    milter_frame_put(w, span_make(head, sizeof head));
}

void milter_frame_put_text(struct milter_writer *w, struct span text)
{
    while (memchr(text.data, '\0', text.size) != NULL) {
        milter_frame_put(w, span_split(&text, '\0'));
        milter_frame_put(w, span_of(" "));
    }
    milter_frame_put(w, text);
    milter_frame_put(w, span_make("", 1));
}

void milter_frame_drop(struct milter_writer *w)
{
    w->out->size = w->start;
}

int milter_frame_end(struct milter_writer *w, size_t most)
{
    size_t size = w->out->size - w->start;
    if (w->is_full || size - MILTER_HEAD_SIZE > most) {
        milter_frame_drop(w);
        return -1;
    }
    put_number((uint32_t)(size - LENGTH_SIZE), w->out->data + w->out->start + w->start);
    return 0;
}

int milter_frame_put_alone(struct milter_writer *w, char code)
{
    milter_frame_begin(w, code);
    return milter_frame_end(w, 0);
}

void milter_frame_head(char code, size_t size, char out[MILTER_HEAD_SIZE])
{
    put_number((uint32_t)(size + 1), out);
    out[LENGTH_SIZE] = code;
}
