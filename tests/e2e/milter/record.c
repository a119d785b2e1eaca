#include "record.h"

#include <err.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int file = -1;

void record_open(const char *path)
{
    file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0) {
        err(1, "%s", path);
    }
}

static void need(struct record *r, size_t more)
{
    if (r->room - r->size >= more) {
        return;
    }
    r->room = (r->room + more) * 2;
    r->text = realloc(r->text, r->room);
    if (!r->text) {
        err(1, "record");
    }
}

__attribute__((format(printf, 2, 3))) static void put(struct record *r, const char *format, ...)
{
    va_list words;
    need(r, 256); /* what is put so is short */
    va_start(words, format);
    r->size += (size_t)vsnprintf(r->text + r->size, 256, format, words);
    va_end(words);
}

static void put_string(struct record *r, const unsigned char *octets, size_t size)
{
    need(r, size * 6 + 3);
    char *to = r->text + r->size;
    *to++ = '"';
    for (size_t i = 0; i < size; i++) {
        unsigned char c = octets[i];
        if (c >= ' ' && c < 127 && c != '"' && c != '\\') {
            *to++ = (char)c;
        } else {
            to += snprintf(to, 7, "\\u%04x", c);
        }
    }
    *to++ = '"';
    r->size = (size_t)(to - r->text);
}

static void put_key(struct record *r, const char *key)
{
    put(r, "%s", r->comma);
    put_string(r, (const unsigned char *)key, strlen(key));
    put(r, ":");
    r->comma = ",";
}

void record_begin(struct record *r, int session, const char *stage)
{
    *r = (struct record){.comma = ""};
    put(r, "{");
    record_number(r, "session", (unsigned long)session);
    record_octets(r, "stage", (const unsigned char *)stage, strlen(stage));
}

void record_number(struct record *r, const char *key, unsigned long value)
{
    put_key(r, key);
    put(r, "%lu", value);
}

void record_octets(struct record *r, const char *key, const unsigned char *octets, size_t size)
{
    put_key(r, key);
    put_string(r, octets, size);
}

void record_list(struct record *r, const char *key, char *const *words)
{
    put_key(r, key);
    put(r, "[");
    for (int i = 0; words[i]; i++) {
        put(r, "%s", i ? "," : "");
        put_string(r, (const unsigned char *)words[i], strlen(words[i]));
    }
    put(r, "]");
}

void record_map_begin(struct record *r, const char *key)
{
    put_key(r, key);
    put(r, "{");
    r->comma = "";
}

void record_map_end(struct record *r)
{
    put(r, "}");
    r->comma = ",";
}

void record_end(struct record *r)
{
    put(r, "}\n");
    if (write(file, r->text, r->size) != (ssize_t)r->size) {
        err(1, "record");
    }
    free(r->text);
}
