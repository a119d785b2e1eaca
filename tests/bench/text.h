/* The message that the load generator sends and the sink serves: both know every octet of it. */
#pragma once

#include "base/span.h"

enum { TEXT_DOT_SIZE = 3, TEXT_SIZE_MIN = 200 };

/* A header and lines of 72 letters, `size` octets with the last CRLF, and behind them the final dot
 * with its own CRLF: `size` + TEXT_DOT_SIZE in all. Ends the program without memory; never freed.
 */
struct span text_with_dot(size_t size);
