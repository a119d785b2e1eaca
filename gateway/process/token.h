/* What a token_command prints: an access token (RFC 6749 section 5.1), as JSON or by itself. */
#pragma once

#include "base/error.h"
#include "base/span.h"

#include <stdint.h>

enum { TOKEN_MAX = 8192 };

struct token {
    char text[TOKEN_MAX + 1];
    int64_t lifetime_s; /* 0: not told */
};

/* Returns 0, or -1 and why, without a word of what was printed. */
int token_parse(struct span output, struct token *out, struct error *why);
