/* Files of a configuration in a temporary folder, and what is found wrong with them.
 *
 * A suite calls folder_use(tests); a test writes files, calls config_of or adds to `findings`
 * itself, and asks what was told: lines are compared without the folder's path. */
#pragma once

#include "config/config.h"
#include "support/test.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOSTNAME "hostname = \"mail.example.com\"\n"
#define TLS      "tls = { default = { certificate = [\"/c.pem\"] key = [\"/c.key\"] } }\n"
#define UPSTREAMS \
    "upstreams = { smtp = { servers = { legacy = { address = \"192.0.2.5:25\" } } } }\n"

static char folder[64];
static struct errors *findings;
static struct config *config;

static inline void folder_make(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/porteiro-unit-XXXXXX"); /* fits */
    if (mkdtemp(folder) == NULL)
        abort();
}

static inline int folder_remove_entry(const char *path, const struct stat *s, int kind,
                                      struct FTW *where)
{
    (void)s, (void)kind, (void)where;
    return remove(path);
}

static inline void folder_remove(void)
{
    (void)nftw(folder, folder_remove_entry, 8, FTW_DEPTH | FTW_PHYS); /* it is in /tmp */
}

static inline void findings_begin(void)
{
    findings = errors_create();
}

static inline void findings_end(void)
{
    config_free(&config);
    errors_destroy(&findings);
}

/* The folder goes even when a test fails. */
static inline void folder_use(TCase *tests)
{
    tcase_add_unchecked_fixture(tests, folder_make, folder_remove);
    tcase_add_checked_fixture(tests, findings_begin, findings_end);
}

/* "FOLDER/NAME"; valid until the next call. */
static inline const char *folder_path(const char *name)
{
    static char path[512];
    ck_assert_int_lt(snprintf(path, sizeof path, "%s/%s", folder, name), (int)sizeof path);
    return path;
}

/* A name with a slash is in a folder of its own. */
static inline void folder_write_bytes(const char *name, const char *bytes, size_t size)
{
    char inner[512];
    (void)snprintf(inner, sizeof inner, "%s", folder_path(name)); /* fits */
    *strrchr(inner, '/') = '\0';
    (void)mkdir(inner, 0700); /* may be there */
    FILE *stream = fopen(folder_path(name), "we");
    ck_assert_ptr_nonnull(stream);
    ck_assert_uint_eq(fwrite(bytes, 1, size, stream), size);
    ck_assert_int_eq(fclose(stream), 0);
}

static inline void folder_write(const char *name, const char *text)
{
    folder_write_bytes(name, text, strlen(text));
}

/* The configuration of porteiro.conf with this text; the one before is forgotten. */
static inline const struct config *config_of(const char *text)
{
    findings_end();
    findings_begin();
    folder_write("porteiro.conf", text);
    config = config_load(folder_path("porteiro.conf"), findings);
    return config;
}

/* ---- what was told ---- */

struct told {
    enum finding kind;
    const char *start, *part;
    unsigned count;
    char all[16384]; /* to be shown when a test fails */
    size_t used;
};

static inline void told_take(void *owner, enum finding kind, const char *text)
{
    struct told *t = owner;
    char line[2048];
    size_t used = 0, prefix = strlen(folder);
    while (*text != '\0' && used + 1 < sizeof line) {
        if (strncmp(text, folder, prefix) == 0 && text[prefix] == '/')
            text += prefix + 1;
        else
            line[used++] = *text++;
    }
    line[used] = '\0';
    if (kind == t->kind && strncmp(line, t->start, strlen(t->start)) == 0 &&
        strstr(line, t->part) != NULL)
        t->count++;
    if (t->used + used + 4 < sizeof t->all)
        t->used += (size_t)snprintf(t->all + t->used, sizeof t->all - t->used, "%d %s\n", (int)kind,
                                    line); /* fits */
}

/* How many lines of that kind begin with `start` and have `part` in them. */
static inline unsigned told(enum finding kind, const char *start, const char *part)
{
    static struct told t;
    t = (struct told){.kind = kind, .start = start, .part = part};
    errors_each(findings, told_take, &t);
    return t.count;
}

static inline void told_once(enum finding kind, const char *start, const char *part)
{
    static struct told t;
    t = (struct told){.kind = kind, .start = start, .part = part};
    errors_each(findings, told_take, &t);
    if (t.count != 1)
        ck_abort_msg("\"%s ... %s\" is told %u times in:\n%s", start, part, t.count, t.all);
}

static inline void error_is(const char *start, const char *part)
{
    told_once(FINDING_ERROR, start, part);
}

static inline void warning_is(const char *start, const char *part)
{
    told_once(FINDING_WARNING, start, part);
}

/* So many errors and warnings were told, and no more. */
static inline void count_is(size_t errors, size_t warnings)
{
    static struct told t;
    t = (struct told){.start = "", .part = ""};
    errors_each(findings, told_take, &t);
    if (errors_count(findings) != errors || warnings_count(findings) != warnings)
        ck_abort_msg("%zu errors and %zu warnings instead of %zu and %zu:\n%s",
                     errors_count(findings), warnings_count(findings), errors, warnings, t.all);
}
