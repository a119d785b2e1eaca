/* How the script is called: by its SHA-1, or whole where Redis doesn't have it. */
#pragma once

#include <stddef.h>

extern const char script_sha1[], script_text[];
extern const size_t script_size;

enum { SCRIPT_WORDS = 3, SCRIPT_NUMBER_SIZE = 24 };

/* Sets the first three words, EVALSHA SHA1 NUMBER-OF-KEYS; `number` is kept as long as they are. */
void script_begin(const char **words, size_t *sizes, char number[SCRIPT_NUMBER_SIZE],
                  size_t key_count);

/* Such a command, formatted, as EVAL SCRIPT ...; of redis_command_format, or NULL without memory.
 */
char *script_make_whole(const char *command, size_t size, size_t *whole_size);
