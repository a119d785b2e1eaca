/* hiredis reads (its read.c, without its network). It would allocate whatever it is told to: it is
 * given functions of ours that build a reply in memory of a fixed size, and refuse what is larger.
 */
#include "redis/codec.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

struct redis_reader {
    redisReader *hiredis;
    size_t value_count, text_size;
    struct redis_value values[REDIS_VALUES_MAX];
    char text[REDIS_REPLY_MAX]; /* what strings hold */
};

static struct redis_value *place(const redisReadTask *task, enum redis_kind kind)
{
    struct redis_reader *r = task->privdata;
    struct redis_value *array = task->parent == NULL ? NULL : task->parent->obj;
    struct redis_value *value = array == NULL ? &r->values[0] : &array->items[task->idx];
    *value = (struct redis_value){.kind = kind};
    return value;
}

static void *create_string(const redisReadTask *task, char *text, size_t size)
{
    struct redis_reader *r = task->privdata;
    enum redis_kind kind = task->type == REDIS_REPLY_ERROR    ? REDIS_ERROR
                           : task->type == REDIS_REPLY_STATUS ? REDIS_STATUS
                                                              : REDIS_STRING;
    if (size > sizeof r->text - r->text_size)
        return NULL;
    struct redis_value *value = place(task, kind);
    value->text = span_make(r->text + r->text_size, size);
    if (size > 0)
        memcpy(r->text + r->text_size, text, size);
    r->text_size += size;
    return value;
}

static void *create_array(const redisReadTask *task, int count)
{
    struct redis_reader *r = task->privdata;
    if (count < 0 || (size_t)count > REDIS_VALUES_MAX - r->value_count)
        return NULL;
    struct redis_value *value = place(task, REDIS_ARRAY);
    value->items = r->values + r->value_count;
    value->count = (size_t)count;
    r->value_count += (size_t)count;
    return value;
}

static void *create_integer(const redisReadTask *task, long long number)
{
    struct redis_value *value = place(task, REDIS_INTEGER);
    value->integer = number;
    return value;
}

static void *create_nil(const redisReadTask *task)
{
    return place(task, REDIS_NIL);
}

static void free_nothing(void *value)
{
    (void)value; /* it is the reader's */
}

struct redis_reader *redis_reader_create(void)
{
    static redisReplyObjectFunctions functions = {.createString = create_string,
                                                  .createArray = create_array,
                                                  .createInteger = create_integer,
                                                  .createNil = create_nil,
                                                  .freeObject = free_nothing};
    struct redis_reader *r = calloc(1, sizeof *r);
    if (r == NULL || (r->hiredis = redisReaderCreateWithFunctions(&functions)) == NULL) {
        free(r);
        return NULL;
    }
    r->hiredis->privdata = r;
    r->value_count = 1; /* the first is the reply itself */
    return r;
}

void redis_reader_destroy(struct redis_reader **reader)
{
    if (*reader == NULL)
        return;
    redisReaderFree((*reader)->hiredis);
    free(*reader);
    *reader = NULL;
}

/* Gives the next piece, as much as may wait for the end of a reply. */
static int feed(struct redis_reader *r, struct span *in, struct error *why)
{
    size_t waits = r->hiredis->len - r->hiredis->pos;
    size_t room = waits > REDIS_REPLY_MAX ? 0 : REDIS_REPLY_MAX - waits;
    struct span piece = span_take(in, in->size < room ? in->size : room);
    if (piece.size == 0)
        return error_set(why, "a reply that does not end");
    if (redisReaderFeed(r->hiredis, piece.data, piece.size) != REDIS_OK)
        return error_set(why, "%s", r->hiredis->errstr);
    return 0;
}

int redis_reader_take(struct redis_reader *r, struct span *in, const struct redis_value **value,
                      struct error *why)
{
    for (;;) {
        void *reply = NULL;
        if (r->hiredis->reply == NULL) { /* none is begun: what the last one held is free */
            r->value_count = 1;
            r->text_size = 0;
        }
        if (redisReaderGetReply(r->hiredis, &reply) != REDIS_OK)
            return error_set(why, "no reply of Redis: %s", r->hiredis->errstr);
        *value = reply;
        if (reply != NULL)
            return 1;
        if (in->size == 0)
            return 0;
        if (feed(r, in, why) < 0)
            return -1;
    }
}

bool redis_is_error(const struct redis_value *value, const char *word)
{
    struct span text = value->text;
    struct span first = value->kind == REDIS_ERROR ? span_split(&text, ' ') : span_make("", 0);
    return span_equals(first, word);
}

char *redis_command_format(size_t count, const char **words, const size_t *sizes, size_t *size)
{
    char *command = NULL;
    int made = redisFormatCommandArgv(&command, (int)count, words, sizes);
    *size = made < 0 ? 0 : (size_t)made;
    return made < 0 ? NULL : command;
}

void redis_command_free(char **command, size_t size)
{
    if (*command == NULL)
        return;
    explicit_bzero(*command, size); /* it may hold a password */
    redisFreeCommand(*command);
    *command = NULL;
}
