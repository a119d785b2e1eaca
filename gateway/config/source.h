/* The text of a configuration: the file, with what it includes in its place, and for each line
 * where it stands. */
#pragma once

#include "config/config.h"

struct source;

/* Reads `file` and what "@include" names, relative to the folder of `file`. NULL when something
 * can't be read; why is added to `errors`. */
struct source *source_read(const char *file, struct errors *errors);
void source_destroy(struct source **source);

/* The whole text, closed by NUL. */
const char *source_text(const struct source *s);

/* Where line `line` of the text, from 1, stands. The file's name lives as long as `s`. */
struct place source_place(const struct source *s, unsigned line);

/* What the parser would swallow or report unclearly: strings without a comma between them, numbers
 * past 31 bits, words without quotes, names that can't be, commas too many, groups left open. Adds
 * all of it to `errors`. */
void source_check(const struct source *s, struct errors *errors);
