/* The shared mapping as a process that was taken over may leave it, read by control. The input is a
 * row of writes: a byte for the region, three for the place, one for the length, and the bytes. */
#include "base/utf8.h"
#include "control/board.h"

#include "fuzz.h"

#include <stdlib.h>

enum { SESSIONS = 8, REGIONS = 5 };

static struct {
    char *at;
    size_t size;
} regions[REGIONS];

static struct config config = {.hostname = "mail.example.com", .max_connections = SESSIONS};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const size_t sizes[REGIONS] = {labels_size(), counter_table_size(), process_table_size(),
                                   session_table_size(SESSIONS), health_size()};
    (void)argc, (void)argv;
    for (size_t i = 0; i < REGIONS; i++) {
        regions[i].size = sizes[i];
        regions[i].at = aligned_alloc(64, (sizes[i] + 63) / 64 * 64);
        must(regions[i].at != NULL, "there is memory");
    }
    return 0;
}

/* At the front of a region or anywhere in it, once or over and over. */
static void write_one(struct span *input)
{
    unsigned what = take_byte(input), length = take_byte(input);
    size_t place = take_byte(input) | take_byte(input) << 8 | take_byte(input) << 16;
    struct span bytes = span_take(input, length < input->size ? length : input->size);
    size_t size = regions[what % REGIONS].size;
    char *at = regions[what % REGIONS].at;
    size_t end = (what & 0x80) != 0 ? size : place % size + bytes.size;
    for (size_t i = place % size; bytes.size > 0 && i < end && i < size; i++)
        at[i] = bytes.data[(i - place % size) % bytes.size];
}

/* It is JSON, of a bounded size. */
static void check(json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);
    must(text != NULL && utf8_is_valid(span_of(text)), "what is told is JSON");
    must(strlen(text) < 4 << 20, "what is told is bounded");
    free(text);
    json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    for (size_t i = 0; i < REGIONS; i++)
        memset(regions[i].at, 0, regions[i].size);
    while (input.size > 0)
        write_one(&input);
    const struct board board = {.config = &config,
                                .labels = (void *)regions[0].at,
                                .counters = (void *)regions[1].at,
                                .processes = (void *)regions[2].at,
                                .sessions = {(void *)regions[3].at, SESSIONS},
                                .health = (void *)regions[4].at};
    json_t *status = board_status(&board, INT64_C(1795540385000000000));
    must(status != NULL, "there is always a status");
    check(status);
    for (size_t row = 0; row < SESSIONS + 1; row++) {
        json_t *session = board_session(&board, row, INT64_C(1795540385000000000));
        must(session == NULL || row < SESSIONS, "there are no more sessions than rows");
        if (session != NULL)
            check(session);
    }
    return 0;
}
