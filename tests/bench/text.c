#include "text.h"

#include <assert.h>
#include <stdlib.h>

enum { LINE_SIZE = 72 };

static const char header[] = "From: Bench <sender@example.com>\r\n"
                             "To: Somebody <recipient@dest.example>\r\n"
                             "Date: Tue, 24 Nov 2026 17:13:05 +0100\r\n"
                             "Message-ID: <bench@example.com>\r\n"
                             "Subject: what it costs\r\n"
                             "\r\n";

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

struct span text_with_dot(size_t size)
{
    char *text = malloc(size + TEXT_DOT_SIZE);
    assert(size >= TEXT_SIZE_MIN);
    if (text == NULL)
        abort();
    size_t used = sizeof header - 1;
    memcpy(text, header, used);
    for (size_t column = 0; used < size; used++, column++) {
        if (column == LINE_SIZE && size - used > 4) { /* no line of a CRLF alone at the end */
            text[used++] = '\r';
            text[used++] = '\n';
            column = 0;
        }
        text[used] = letters[used * 7 % (sizeof letters - 1)];
    }
    memcpy(text + size - 2, "\r\n.\r\n", 5);
    return span_make(text, size + TEXT_DOT_SIZE);
}
