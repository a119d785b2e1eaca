/* Prints the reference of all keys at build time: as a file of defaults, or for the manual. */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct buffer text = {.limit = 1024 * 1024};
    bool as_roff = argc > 1 && strcmp(argv[1], "--roff") == 0;
    int failed = config_reference_print(as_roff, &text);
    struct span bytes = buffer_bytes(&text);
    failed |= fwrite(bytes.data, 1, bytes.size, stdout) != bytes.size;
    buffer_clear(&text);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
