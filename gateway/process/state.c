/* The file: a head, sections of records as they lie in memory, and a sum over all of it. It is read
 * on the machine that has written it; what is in a record is looked at by whoever keeps it. */
#include "process/state.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/own_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, FILE_MAX = 64 * 1024 * 1024 };
#define PAUSE_NS      (10 * CLOCK_SECOND)
#define LONG_PAUSE_NS (600 * CLOCK_SECOND)

static const char magic[8] = "porteiro";

enum kind { KIND_BANS = 1, KIND_KNOWN, KIND_SET_LIMITS };

struct head {
    char magic[8];
    uint32_t version, sections;
};

struct section {
    uint32_t kind, size; /* of a record */
    uint64_t count;
};

/* FNV-1a: against a torn file, not against whoever can write to it. */
static uint64_t sum_of(struct span bytes)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < bytes.size; i++)
        sum = (sum ^ (unsigned char)bytes.data[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static void path_of(const char *state_dir, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s/state", state_dir); /* cut: open says so */
}

/* ---- reading ---- */

/* Copies `size` octets off the front; false: so many aren't there. */
static bool take(struct span *in, void *out, size_t size)
{
    if (in->size < size)
        return false;
    memcpy(out, in->data, size);
    span_skip(in, size);
    return true;
}

static void keep_ban(struct state *s, struct span record, int64_t now_ns)
{
    struct ban ban;
    (void)take(&record, &ban, sizeof ban);                            /* it has this size */
    (void)bans_put(s->mapping->bans, s->process, &ban, now_ns, NULL); /* it may have ended */
}

/* A network that is known, and where that stands. */
struct known_record {
    uint64_t place, word;
};

static void keep_known(struct state *s, struct span record, int64_t now_ns)
{
    struct known_record known;
    (void)now_ns;
    (void)take(&record, &known, sizeof known); /* it has this size */
    known_put(s->mapping->known, known.place, known.word);
}

static void keep_set_limit(struct state *s, struct span record, int64_t now_ns)
{
    struct set_limit l;
    (void)take(&record, &l, sizeof l);                                          /* as above */
    (void)set_limits_put(s->mapping->set_limits, s->process, &l, now_ns, NULL); /* or it ended */
}

static const struct {
    enum kind kind;
    size_t size;
    void (*keep)(struct state *s, struct span record, int64_t now_ns);
} sections[] = {{KIND_BANS, sizeof(struct ban), keep_ban},
                {KIND_KNOWN, sizeof(struct known_record), keep_known},
                {KIND_SET_LIMITS, sizeof(struct set_limit), keep_set_limit}};

enum { SECTIONS = sizeof sections / sizeof *sections };

/* Returns 0, or -1: its records are of another size than ours. */
static int keep_section(struct state *s, const struct section *section, struct span records)
{
    int64_t now = clock_wall_ns();
    for (size_t i = 0; i < SECTIONS; i++) {
        if (section->kind != sections[i].kind || section->size != sections[i].size)
            continue;
        while (records.size > 0)
            sections[i].keep(s, span_take(&records, section->size), now);
        return 0;
    }
    return -1;
}

static int parse(struct state *s, struct span file, struct error *why)
{
    struct head head;
    struct section section;
    uint64_t sum;
    struct span rest = file;
    if (!take(&rest, &head, sizeof head) || memcmp(head.magic, magic, sizeof magic) != 0)
        return error_set(why, "it is none of ours");
    if (head.version != VERSION)
        return error_set(why, "it is of version %u, not %d", head.version, VERSION);
    if (rest.size < sizeof sum)
        return error_set(why, "it is torn");
    struct span end = span_make(file.data + file.size - sizeof sum, sizeof sum);
    (void)take(&end, &sum, sizeof sum); /* it is there */
    if (sum != sum_of(span_make(file.data, file.size - sizeof sum)))
        return error_set(why, "it is torn");
    rest.size -= sizeof sum;
    for (uint32_t i = 0; i < head.sections; i++) {
        if (!take(&rest, &section, sizeof section) || section.size == 0 ||
            section.count > rest.size / section.size)
            return error_set(why, "it is torn");
        if (keep_section(s, &section, span_take(&rest, section.size * section.count)) < 0)
            return error_set(why, "it is of another version");
    }
    return 0;
}

void state_load(struct state *s, const char *state_dir)
{
    char path[PATH_MAX];
    struct error why;
    size_t size = 0;
    path_of(state_dir, path);
    char *bytes = own_file_read(path, FILE_MAX, &size, &why);
    bool is_absent = bytes == NULL && errno == ENOENT;
    if (bytes != NULL && parse(s, span_make(bytes, size), &why) < 0)
        (void)error_prefix(&why, "%s", path);
    else if (bytes != NULL || is_absent)
        why.text[0] = '\0';
    if (why.text[0] != '\0')
        log_event(s->log, EVENT_state_refused, field_text(KEY_reason, why.text));
    free(bytes);
    s->bans = bans_version(s->mapping->bans);
    s->known = known_version(s->mapping->known);
    s->set_limits = set_limits_version(s->mapping->set_limits);
}

/* ---- writing ---- */

static int add(struct buffer *out, const void *bytes, size_t size)
{
    return buffer_append(out, span_make(bytes, size));
}

/* Its records are used up. */
static int add_section(const struct section *section, struct buffer *records, struct buffer *out)
{
    int failed = add(out, section, sizeof *section);
    failed |= buffer_append(out, buffer_bytes(records));
    buffer_clear(records);
    return failed;
}

static int add_bans(const struct state *s, struct buffer *out)
{
    int64_t now = clock_wall_ns();
    struct section section = {.kind = KIND_BANS, .size = sizeof(struct ban)};
    struct buffer records = {.limit = FILE_MAX};
    struct ban ban;
    int failed = 0;
    /* Before the first one there is nothing to read, and reading would cost its memory. */
    size_t places = bans_version(s->mapping->bans) == 0 ? 0 : BANS_MAX;
    for (size_t place = 0; place < places; place++)
        if (bans_read(s->mapping->bans, place, now, &ban) == 0) {
            failed |= add(&records, &ban, sizeof ban);
            section.count++;
        }
    return failed | add_section(&section, &records, out);
}

static int add_known(const struct state *s, struct buffer *out)
{
    struct section section = {.kind = KIND_KNOWN, .size = sizeof(struct known_record)};
    struct known_record known;
    int failed = 0;
    for (known.place = 0; known.place < KNOWN_MAX; known.place++)
        section.count += known_read(s->mapping->known, known.place) != 0;
    failed |= add(out, &section, sizeof section);
    for (known.place = 0; known.place < KNOWN_MAX && section.count > 0; known.place++)
        if ((known.word = known_read(s->mapping->known, known.place)) != 0) {
            failed |= add(out, &known, sizeof known);
            section.count--;
        }
    return section.count > 0 ? -1 : failed; /* none goes away again */
}

static int add_set_limits(const struct state *s, struct buffer *out)
{
    int64_t now = clock_wall_ns();
    struct section section = {.kind = KIND_SET_LIMITS, .size = sizeof(struct set_limit)};
    struct buffer records = {.limit = FILE_MAX};
    struct set_limit l;
    int failed = 0;
    for (size_t place = 0; place < SET_LIMITS_MAX; place++)
        if (set_limits_read(s->mapping->set_limits, place, now, &l) == 0) {
            failed |= add(&records, &l, sizeof l);
            section.count++;
        }
    return failed | add_section(&section, &records, out);
}

static int write_file(const struct state *s, const char *path, struct error *why)
{
    struct head head = {.version = VERSION, .sections = SECTIONS};
    struct buffer out = {.limit = FILE_MAX};
    memcpy(head.magic, magic, sizeof magic);
    int failed = add(&out, &head, sizeof head) | add_bans(s, &out) | add_known(s, &out) |
                 add_set_limits(s, &out);
    uint64_t sum = sum_of(buffer_bytes(&out));
    failed |= add(&out, &sum, sizeof sum);
    if (failed)
        (void)error_set(why, "%s: out of memory", path);
    else
        failed = own_file_write(path, buffer_bytes(&out), why);
    buffer_clear(&out);
    return failed;
}

void state_save(struct state *s, const char *state_dir, int64_t now_ns, bool is_last)
{
    char path[PATH_MAX];
    struct error why;
    /* What changes meanwhile is written the next time. */
    uint64_t bans = bans_version(s->mapping->bans), known = known_version(s->mapping->known);
    uint64_t set_limits = set_limits_version(s->mapping->set_limits);
    bool is_due =
        ((bans != s->bans || set_limits != s->set_limits) && (is_last || now_ns >= s->next_ns)) ||
        (known != s->known && (is_last || now_ns >= s->late_ns));
    if (!is_due)
        return;
    path_of(state_dir, path);
    s->next_ns = now_ns + PAUSE_NS;
    s->late_ns = now_ns + LONG_PAUSE_NS;
    if (write_file(s, path, &why) == 0) {
        s->bans = bans;
        s->known = known;
        s->set_limits = set_limits;
        s->is_failing = false;
    } else if (!s->is_failing) {
        s->is_failing = true;
        log_event(s->log, EVENT_state_failed, field_text(KEY_reason, why.text));
    }
}
