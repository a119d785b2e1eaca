/* A line of the log as an object. */
#pragma once

#include "policy/record.h"

#include <jansson.h>

/* Its fields under their names, numbers as numbers whatever the log's format is. Returns it, the
 * caller's; what there was no memory for is missing, and NULL means all of it. */
json_t *line_json(const struct record_line *r);
