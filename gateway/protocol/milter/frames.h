/* Frames of the milter protocol: a length of four octets, a letter, data. Pure. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

struct milter_frame {
    char code;
    struct span data;
};

/* From bytes as they come. { .most = N } is one at its beginning, of frames of at most N octets of
 * data; milter_reader_clear frees what it holds. */
struct milter_reader {
    size_t most;
    struct buffer pending; /* the beginning of a frame, or all of the last */
    bool is_taken;         /* `pending` was handed out */
};

/* Takes from the front of `in`. Returns 1: `*out` is whole, valid until the next call, and as long
 * as the bytes of `in` are; 0: all was taken, and more is needed; -1: no frame, `why` says why
 * not: close. */
int milter_frame_take(struct milter_reader *r, struct span *in, struct milter_frame *out,
                      struct error *why);
void milter_reader_clear(struct milter_reader *r);

/* Frames one behind the other in a buffer: begin, put, end. */
struct milter_writer {
    struct buffer *out;
    size_t start; /* of the frame that has begun */
    bool is_full;
};

void milter_frame_begin(struct milter_writer *w, char code);
void milter_frame_put(struct milter_writer *w, struct span bytes);

/* With the NUL behind it by which it ends; one within it is written as a space. */
void milter_frame_put_text(struct milter_writer *w, struct span text);

/* Returns 0; or -1: it has more than `most` octets of data, or `out` is full. Nothing of it is
 * there then. */
int milter_frame_end(struct milter_writer *w, size_t most);

/* Takes back what has begun. */
void milter_frame_drop(struct milter_writer *w);

/* A frame without data. Returns likewise. */
int milter_frame_put_alone(struct milter_writer *w, char code);

/* What stands before data of so many octets that is written behind it. */
enum { MILTER_HEAD_SIZE = 5 };
void milter_frame_head(char code, size_t size, char out[MILTER_HEAD_SIZE]);

/* A number of four octets; it must be there. */
uint32_t milter_number(struct span bytes);
