/* Tables: as wide as what stands in them; on a terminal at most as wide as that is. */
#pragma once

#include <stddef.h>

enum { TABLE_COLUMNS_MAX = 10 };

struct table;

/* A table with these heads, which are kept; a head that begins with '>' is of a column of numbers,
 * set to the right. */
struct table *table_create(const char *const *heads, size_t columns);
void table_destroy(struct table **t);

/* Adds a row of copies; control characters and what isn't ASCII are masked. */
void table_add(struct table *t, const char *const *cells);

/* How wide a line may be: the terminal's width; a file or a pipe has none. */
int table_width(void);

/* Prints it to standard output; the widest column of text is cut where a row would be too long,
 * the first one in the middle. */
void table_print(const struct table *t);
