/* Headers without one of their fields. Pure. */
#pragma once

#include "base/buffer.h"

/* Takes every field of that name, with its folds, out of whole lines of headers with their dots
 * doubled. Returns how many there were. */
unsigned headers_remove(struct buffer *headers, const char *name);
