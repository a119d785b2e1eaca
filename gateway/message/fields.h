/* A message's header as fields that may be added, changed and taken away (RFC 5322 section 2.2).
 * Pure.
 *
 * Nothing is touched but what is edited: the others come out octet for octet, as a signature wants
 * it. Texts are as the reader has them, without doubled dots; their lines end with CRLF. */
#pragma once

#include "base/buffer.h"

struct fields;

/* None of its lines but the first begins without white space. */
struct mail_field {
    struct span name;  /* as it is written, without white space behind it */
    struct span value; /* behind the colon, the white space there too; without the last CRLF */
};

/* Of a header as below: each field costs memory beside its text, and nobody needs so many. */
enum { FIELDS_MAX = 8192 };
bool fields_are_too_many(struct span header);

/* From a header whose dots are doubled, as headers_take hands it on. Of all texts that it ever has,
 * edits too, there are `limit` octets at most. NULL without memory. */
struct fields *fields_create(struct span header, size_t limit);
void fields_destroy(struct fields **fields);

size_t fields_count(const struct fields *f);

/* In their order, from 0. Valid as long as the fields are. */
struct mail_field fields_at(const struct fields *f, size_t index);

/* The edits. `value` is made to be one field's: its lines may end with LF, and one that does not
 * begin with white space gets some. `is_spaced`: it brings the white space behind the colon.
 *
 * They return 0; or -1: the name is none that headers_take would know, or there is no room
 * left. Nothing has changed then. */
int fields_add(struct fields *f, struct span name, struct span value, bool is_spaced);

/* Before the one at `index`; at the end where there are fewer. */
int fields_insert(struct fields *f, size_t index, struct span name, struct span value,
                  bool is_spaced);

/* The `nth` of its name, from 1, and in any case of letters. An empty value takes it away; where
 * there is no such one, one with a value is added. */
int fields_change(struct fields *f, struct span name, size_t nth, struct span value,
                  bool is_spaced);

/* Appends all of them, dots doubled. Returns 0, or -1: the buffer is full. */
int fields_write(const struct fields *f, struct buffer *out);
