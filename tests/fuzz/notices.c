/* Lines of a log, as a process that was taken over may write them, and what a command of notify is
 * told of them: the input is lines, each of which is heard, and told where it is a notice. */
#include "control/folding.h"
#include "control/history.h"
#include "control/notice.h"

#include "ipc/channel.h"

#include "fuzz.h"

#include <jansson.h>
#include <stdlib.h>

static struct history *history;
static struct folding *folding;
static struct record_line record;

static void check(const char *text)
{
    static const char *const ours[][2] = {
        {"gateway", "g"}, {"notify", "c"}, {"contact", "x@example.com"}};
    json_t *told = json_loads(text, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    must(told != NULL && json_is_object(told), "it is an object of JSON");
    must(strchr(text, '\n') == NULL, "in one line");
    must(strlen(text) < MESSAGE_TAIL_MAX - 1024, "which has room on its way");
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        const char *is = json_string_value(json_object_get(told, ours[i][0]));
        must(is != NULL && strcmp(is, ours[i][1]) == 0, "what is ours no line says");
    }
    must(json_is_string(json_object_get(told, "event")) &&
             json_is_integer(json_object_get(told, "folded")),
         "it says what it is about");
    must(json_array_size(json_object_get(told, "addresses")) <= NOTICE_ADDRESSES_MAX &&
             json_array_size(json_object_get(told, "recipients")) <= NOTICE_RECIPIENTS_MAX,
         "of many it says some");
    must(json_object_get(told, "level") == NULL && json_object_get(told, "process") == NULL,
         "and no more than is meant");
    json_decref(told);
}

static void tell(struct span line)
{
    const struct notice_facts facts = {.record = &record,
                                       .notice = notice_of(&record),
                                       .gateway = "g",
                                       .command = "c",
                                       .contact = span_of("x@example.com"),
                                       .history = history,
                                       .now_ns = INT64_C(1795845600000000000)};
    char *text;
    if (facts.notice == NOTICE_COUNT)
        return;
    (void)folding_add(folding, record_value(&record, "account"), line, 1); /* it may be too long */
    text = notice_json(&facts);
    must(text != NULL, "there is memory");
    check(text);
    free(text);
}

static void tell_folded(void)
{
    struct fold fold;
    size_t at = 0;
    while (folding_due(folding, &at, 1, &fold)) {
        must(record_read(fold.line, &record) == 0, "what was kept can be read again");
        folding_told(folding, fold.place, 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_make((const char *)data, size);
    if (history == NULL) {
        history = calloc(1, history_size());
        folding = calloc(1, folding_size());
    }
    must(history != NULL && folding != NULL, "there is memory");
    while (rest.size > 0) {
        struct span line = span_split(&rest, '\n');
        history_add(history, line, 1);
        if (record_read(line, &record) == 0)
            tell(line);
    }
    tell_folded();
    memset(history, 0, 4096); /* begins anew: what lies behind is written before it is read */
    history_begin(history, 1);
    return 0;
}
