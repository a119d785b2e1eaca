/* What the filter was told, as JSON lines: {"session": 1, "stage": "rcpt", "args": [...], "macros":
 * {...}}. An octet past 127 stands as the character of its number (ISO 8859-1). */
#ifndef E2E_MILTER_RECORD_H
#define E2E_MILTER_RECORD_H

#include <stddef.h>

/* Ends the program when the file can't be appended to. */
void record_open(const char *path);

/* One line, open to record_text() and its like until record_end(), which writes it in one piece. */
struct record {
    char *text;
    size_t size, room;
    const char *comma;
};

void record_begin(struct record *r, int session, const char *stage);
void record_number(struct record *r, const char *key, unsigned long value);
void record_octets(struct record *r, const char *key, const unsigned char *octets, size_t size);
void record_list(struct record *r, const char *key, char *const *words); /* up to a NULL */
void record_map_begin(struct record *r, const char *key);
void record_map_end(struct record *r);
void record_end(struct record *r);

#endif
