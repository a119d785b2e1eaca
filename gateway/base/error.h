/* What a person is told when the world fails: one sentence, or all of them at once. */
#pragma once

#include <stdarg.h>
#include <stddef.h>

/* The reason of one failure. Plain data; text is cut to fit. */
struct error {
    char text[1024];
};

/* Writes the reason. Returns -1, so that `return error_set(...)` fails in one line. `e` may be
 * NULL. */
int error_set(struct error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "what: " before the reason that is there. Returns -1. */
int error_prefix(struct error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Where a thing stands in a file: for messages. */
struct place {
    const char *file;
    unsigned line; /* 0: no line, the file as a whole */
};

/* "FILE:LINE", or FILE alone. `out` has room for PLACE_SIZE. Returns `out`. */
enum { PLACE_SIZE = 512 };
const char *place_format(const struct place *p, char out[PLACE_SIZE]);

/* Everything that is wrong with a configuration, and what may be: kept until it is shown. */
struct errors;

struct errors *errors_create(void);
void errors_destroy(struct errors **errors);

/* Where a key stands that a message may be about: one added with the place of its group, and that
 * begins with "PATH: ", is told there instead. Both are copied. */
void errors_know(struct errors *e, const char *path, const struct place *at);

/* Adds a line. Past 200 lines only counts go on. */
void errors_add(struct errors *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
void errors_warn(struct errors *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same with "FILE:LINE: " before it. */
void errors_add_at(struct errors *e, const struct place *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void errors_warn_at(struct errors *e, const struct place *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Remarks: neither errors nor warnings, shown by -t alone. */
void errors_note(struct errors *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
void errors_note_at(struct errors *e, const struct place *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

size_t errors_count(const struct errors *e);
size_t warnings_count(const struct errors *e);

enum finding { FINDING_ERROR, FINDING_WARNING, FINDING_NOTE };

/* The lines in the order in which they were added: calls `show` with each. */
void errors_each(const struct errors *e, void (*show)(void *owner, enum finding kind, const char *),
                 void *owner);
