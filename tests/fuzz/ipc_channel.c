/* Whatever comes over a channel from a process that was taken over. The input is a row of messages:
 * a byte for the descriptors, two for the length, and the bytes. */
#include "ipc/channel.h"

#include "turns.h"

static struct channel *channel;
static size_t taken; /* octets of descriptors' messages that the reader kept */

static const size_t sizes[] = {
#define MESSAGE(name, payload, help) sizeof(struct payload),
#include "ipc/messages.def"
#undef MESSAGE
};

static void on_message(void *owner, const struct message *m)
{
    static volatile char seen;
    (void)owner;
    if (m == NULL) {
        channel_destroy(&channel);
        return;
    }
    must(m->type < MESSAGE_COUNT, "a message has a type");
    must(m->tail.size <= MESSAGE_TAIL_MAX, "a tail is bounded");
    must(m->tail.data == (const char *)m->payload + sizes[m->type], "a payload has its size");
    for (size_t i = 0; i < m->tail.size + sizes[m->type]; i++)
        seen = ((const char *)m->payload)[i]; /* it is all there */
    (void)seen;
    if (*m->fd >= 0 && taken++ % 2 == 0)
        must(close(message_take_fd(m)) == 0 && *m->fd == -1, "a descriptor is taken once");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    struct error why;
    int ends[2];
    const struct descriptors before = open_descriptors();
    turns_begin();
    must(channel_pair(ends, &why) == 0, "there is a pair");
    channel = channel_create(turns.loop, ends[0], on_message, NULL);
    must(channel != NULL, "there is a channel");
    while (input.size > 0) {
        unsigned fds = take_byte(&input) % 6, low = take_byte(&input), high = take_byte(&input);
        struct leftover bytes = {NULL, {NULL, 0}};
        size_t length = low + high * 256;
        struct span piece = span_take(&input, length < input.size ? length : input.size);
        send_raw(ends[1], *leftover_join(&bytes, piece), fds);
        leftover_drop(&bytes);
    }
    (void)close(ends[1]); /* that is its end */
    turns_run(32, NULL);
    must(channel == NULL, "the end is told");
    turns_end();
    no_descriptor_is_left(&before);
    return 0;
}
