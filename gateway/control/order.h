/* What is the same in all orders of people. */
#pragma once

#include <jansson.h>
#include <stddef.h>

/* A text of the request; "": there is none. Valid as long as that is. */
const char *order_text(const json_t *request, const char *key);

/* Its "reason", cut to fit between two characters; control characters become '?'. */
void order_reason(const json_t *request, char *out, size_t room);
