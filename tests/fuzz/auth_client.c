/* What an auth process that was taken over answers to a worker. Each answer is five bytes (what,
 * which exchange, outcome, what its owner does, the text's length) and a text. */
#include "auth/client.h"
#include "ipc/channel.h"

#include "turns.h"

enum { EXCHANGES = 4 };

static struct {
    struct auth_client *client;
    struct login {
        struct auth_exchange *exchange;
        struct ticket ticket;
        bool is_over;
        unsigned will; /* what its owner does at a challenge */
    } logins[EXCHANGES];
} it;

static void on_answer(void *owner, const struct auth_answer *a)
{
    struct login *l = owner;
    const char *why;
    must(!l->is_over, "what is over is not answered");
    must(a->outcome <= AUTH_MALFORMED, "an outcome is one");
    must(a->text.size <= MESSAGE_TAIL_MAX, "a text is bounded");
    l->is_over = a->is_done || l->will % 3 == 1 || l->will % 3 == 2;
    if (a->is_done)
        l->exchange = NULL;
    else if (l->will % 3 == 1)
        auth_cancel(&l->exchange);
    else if (l->will % 3 == 2 || auth_step(l->exchange, a->text, &why) < 0)
        auth_cancel(&l->exchange);
    l->is_over = l->exchange == NULL;
}

/* The tickets are what the worker has sent. */
static void begin(int fd)
{
    for (size_t i = 0; i < EXCHANGES; i++) {
        struct {
            uint32_t type;
            char payload[sizeof(struct message_auth_start) + 64];
        } asked;
        const struct span response = span_make("\0ana\0secret", 11);
        struct login *l = &it.logins[i];
        const char *why;
        const struct auth_request request = {.service = AUTH_SMTP,
                                             .mechanism = MECHANISM_PLAIN,
                                             .response = i % 2 == 0 ? &response : NULL};
        l->exchange = auth_begin(it.client, &request, on_answer, l, &why);
        must(l->exchange != NULL && recv(fd, &asked, sizeof asked, 0) > 0, "the worker asks");
        memcpy(&l->ticket, asked.payload, sizeof l->ticket);
        l->is_over = false;
    }
}

static void answer(int fd, struct span *input)
{
    unsigned what = take_byte(input), which = take_byte(input), outcome = take_byte(input);
    unsigned will = take_byte(input), length = take_byte(input);
    struct span text = span_take(input, length < input->size ? length : input->size);
    struct {
        uint32_t type;
        struct message_auth_done done;
        char text[256];
    } m = {.type = what % 3 == 0   ? MESSAGE_AUTH_CHALLENGE
                   : what % 3 == 1 ? MESSAGE_AUTH_DONE
                                   : what % MESSAGE_COUNT};
    struct login *l = &it.logins[which % EXCHANGES];
    size_t head = m.type == MESSAGE_AUTH_CHALLENGE ? offsetof(struct message_auth_done, outcome)
                                                   : sizeof m.done;
    l->will = will;
    m.done.exchange = l->ticket;
    m.done.outcome = outcome;
    if (which >= EXCHANGES * 16) /* somebody else's */
        m.done.exchange.slot ^= which, m.done.exchange.generation += which % 3;
    if (text.size > 0)
        memcpy((char *)&m.done + head, text.data, text.size);
    send_raw(fd, span_make((const char *)&m, sizeof m.type + head + text.size), what / 128);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    struct error why;
    int ends[2];
    const struct descriptors before = open_descriptors();
    turns_begin();
    must(channel_pair(ends, &why) == 0, "there is a pair");
    it.client = auth_client_create(turns.loop, NULL);
    must(it.client != NULL, "there is a client");
    auth_client_add(it.client, ends[0]);
    begin(ends[1]);
    while (input.size > 0)
        answer(ends[1], &input);
    (void)close(ends[1]); /* that is its end */
    turns_run(32, NULL);
    for (size_t i = 0; i < EXCHANGES; i++)
        must(it.logins[i].is_over, "every exchange comes to an end");
    auth_client_destroy(&it.client);
    turns_end();
    no_descriptor_is_left(&before);
    return 0;
}
