#include "ipc/channel.h"

#include "descriptors.h"

#include "net/turns.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* The channel that is tested, and what has come over it. */
static struct {
    struct channel *channel;
    unsigned messages, ends;
    enum message_type type;
    struct ticket exchange;
    size_t tail_size, tail_max;
    char tail[MESSAGE_TAIL_MAX];
    int fd;
    bool goes; /* is destroyed within the callback */
} heard;

static int other; /* the other end: a plain socket */

static void on_message(void *owner, const struct message *m)
{
    ck_assert_ptr_eq(owner, &heard);
    ck_assert_ptr_nonnull(heard.channel);
    if (m == NULL) {
        heard.ends++;
    } else {
        heard.messages++;
        heard.type = m->type;
        heard.tail_size = m->tail.size;
        heard.tail_max = m->tail.size > heard.tail_max ? m->tail.size : heard.tail_max;
        (void)span_copy(m->tail, heard.tail, sizeof heard.tail);
        if (m->type == MESSAGE_AUTH_STEP)
            heard.exchange = ((const struct message_auth_step *)m->payload)->exchange;
        if (heard.fd >= 0)
            ck_assert_int_eq(close(heard.fd), 0);
        heard.fd = message_take_fd(m);
    }
    if (heard.goes)
        channel_destroy(&heard.channel);
}

/* Of a channel on which nothing is to come. */
static void pass_over(void *owner, const struct message *m)
{
    (void)owner;
    ck_assert_ptr_null(m);
}

/* Fresh ends; the channel that is tested has none of them yet. */
static void open_ends(int *channels)
{
    int ends[2];
    struct error why;
    ck_assert_int_eq(channel_pair(ends, &why), 0);
    *channels = ends[0];
    other = ends[1];
}

static void open_channel(void)
{
    int end;
    open_ends(&end);
    heard.channel = channel_create(turns.loop, end, on_message, &heard);
    ck_assert_ptr_nonnull(heard.channel);
}

static void close_channel(void)
{
    channel_destroy(&heard.channel);
    if (other >= 0)
        ck_assert_int_eq(close(other), 0);
    other = -1;
}

static void begin(void)
{
    turns_begin();
    heard.fd = -1;
    open_channel();
}

static void end(void)
{
    close_channel();
    if (heard.fd >= 0)
        ck_assert_int_eq(close(heard.fd), 0);
    turns_end();
}

/* The message numbered `slot`, which carries a tail. */
static int send_step(struct channel *c, uint32_t slot, struct span tail, int fd)
{
    const struct message_auth_step step = {.exchange = {.slot = slot, .generation = 7}};
    return channel_send(c, MESSAGE_AUTH_STEP, &step, tail, fd);
}

/* The other end as a channel of its own. */
static struct channel *open_other(void)
{
    struct channel *c = channel_create(turns.loop, other, pass_over, NULL);
    ck_assert_ptr_nonnull(c);
    other = -1;
    return c;
}

/* ---- what is said ---- */

START_TEST(a_message_arrives_with_its_payload_and_what_stands_behind_it)
{
    struct channel *from = open_other();
    ck_assert_int_eq(send_step(from, 42, span_make("\0secret", 7), -1), 0);
    UNTIL(heard.messages == 1);
    ck_assert_uint_eq(heard.type, MESSAGE_AUTH_STEP);
    ck_assert_uint_eq(heard.exchange.slot, 42);
    ck_assert_uint_eq(heard.exchange.generation, 7);
    ck_assert_uint_eq(heard.tail_size, 7);
    ck_assert_mem_eq(heard.tail, "\0secret", 7);
    ck_assert_int_eq(heard.fd, -1);
    channel_destroy(&from);
}
END_TEST

START_TEST(messages_of_every_type_arrive)
{
    static const union message_any payload;
    struct channel *from = open_other();
    for (unsigned type = 0; type < MESSAGE_COUNT; type++) {
        ck_assert_int_eq(channel_send(from, (enum message_type)type, &payload, span_of("tail"), -1),
                         0);
        UNTIL(heard.messages == type + 1);
        ck_assert_uint_eq(heard.type, type);
        ck_assert_uint_eq(heard.tail_size, 4);
    }
    channel_destroy(&from);
}
END_TEST

START_TEST(messages_arrive_in_order)
{
    struct channel *from = open_other();
    for (uint32_t n = 0; n < 2000; n++) {
        ck_assert_int_eq(send_step(from, n, span_of(""), -1), 0);
        if (n % 50 == 49) {
            UNTIL(heard.messages == n + 1);
            ck_assert_uint_eq(heard.exchange.slot, n);
        }
    }
    channel_destroy(&from);
}
END_TEST

START_TEST(a_tail_of_16_kib_arrives)
{
    static char tail[MESSAGE_TAIL_MAX];
    struct channel *from = open_other();
    memset(tail, 'x', sizeof tail);
    ck_assert_int_eq(send_step(from, 1, span_make(tail, sizeof tail), -1), 0);
    UNTIL(heard.messages == 1);
    ck_assert_uint_eq(heard.tail_size, MESSAGE_TAIL_MAX);
    channel_destroy(&from);
}
END_TEST

START_TEST(a_longer_tail_is_not_sent)
{
    static char tail[MESSAGE_TAIL_MAX + 1];
    struct channel *from = open_other();
    ck_assert_int_eq(send_step(from, 1, span_make(tail, sizeof tail), -1), -1);
    ck_assert_int_eq(send_step(from, 2, span_of("next"), -1), 0);
    UNTIL(heard.messages == 1);
    ck_assert_uint_eq(heard.exchange.slot, 2);
    channel_destroy(&from);
}
END_TEST

/* ---- descriptors ---- */

static bool is_same_file(int a, int b)
{
    struct stat one, two;
    ck_assert_int_eq(fstat(a, &one), 0);
    ck_assert_int_eq(fstat(b, &two), 0);
    return one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

START_TEST(a_copy_of_a_descriptor_arrives_closed_on_exec)
{
    struct channel *from = open_other();
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(send_step(from, 1, span_of(""), file), 0);
    UNTIL(heard.messages == 1);
    ck_assert_int_ge(heard.fd, 0);
    ck_assert_int_ne(heard.fd, file);
    ck_assert(is_same_file(heard.fd, file));
    ck_assert_int_ne(fcntl(heard.fd, F_GETFD) & FD_CLOEXEC, 0);
    ck_assert_int_eq(close(file), 0);
    channel_destroy(&from);
}
END_TEST

START_TEST(a_descriptor_on_its_way_outlives_its_sender)
{
    struct channel *from = open_other();
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), copy = dup(file);
    ck_assert_int_eq(send_step(from, 1, span_of(""), file), 0);
    ck_assert_int_eq(close(file), 0);
    channel_destroy(&from);
    UNTIL(heard.messages == 1);
    ck_assert(is_same_file(heard.fd, copy));
    ck_assert_int_eq(close(copy), 0);
}
END_TEST

/* ---- a peer that doesn't read ---- */

/* Sends as many as are taken, of 1 KiB each. Returns how many. */
static uint32_t fill(struct channel *from, uint32_t at, int fd)
{
    static char tail[1024];
    uint32_t n = at;
    while (send_step(from, n, span_make(tail, sizeof tail), fd) == 0)
        ck_assert_uint_lt(++n, 10000);
    return n - at;
}

/* A channel to the one that is tested, which does not read yet. */
static struct channel *stop_listening(void)
{
    int end;
    close_channel();
    open_ends(&end);
    struct channel *from = channel_create(turns.loop, end, pass_over, NULL);
    ck_assert_ptr_nonnull(from);
    return from;
}

static void listen_again(void)
{
    heard.channel = channel_create(turns.loop, other, on_message, &heard);
    ck_assert_ptr_nonnull(heard.channel);
    other = -1;
}

/* How many of fill's the socket takes without a channel. */
static uint32_t socket_takes(void)
{
    int ends[2];
    struct error why;
    uint32_t n = 0;
    char message[4 + sizeof(struct message_auth_step) + 1024] = {0};
    ck_assert_int_eq(channel_pair(ends, &why), 0);
    while (send(ends[0], message, sizeof message, MSG_DONTWAIT) > 0)
        n++;
    ck_assert_int_eq(close(ends[0]), 0);
    ck_assert_int_eq(close(ends[1]), 0);
    return n;
}

START_TEST(what_is_not_taken_is_kept_up_to_256_kib_and_arrives_in_order)
{
    uint32_t taken = socket_takes();
    struct channel *from = stop_listening();
    uint32_t sent = fill(from, 0, -1), kept = sent - taken;
    ck_assert_uint_le(kept * 1024, 256 * 1024);
    ck_assert_uint_gt(kept * 1100, 256 * 1024);
    listen_again();
    for (uint32_t n = 0; n < sent; n++) {
        UNTIL(heard.messages > n); /* some come together */
        ck_assert_uint_eq(heard.exchange.slot, heard.messages - 1);
    }
    turns_for(2);
    ck_assert_uint_eq(heard.messages, sent); /* what was refused doesn't come */
    ck_assert_int_eq(send_step(from, sent, span_of("again"), -1), 0);
    UNTIL(heard.messages == sent + 1);
    ck_assert_uint_eq(heard.exchange.slot, sent);
    channel_destroy(&from);
}
END_TEST

START_TEST(a_kept_message_keeps_its_descriptor)
{
    struct channel *from = stop_listening();
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), copy = dup(file);
    uint32_t taken = socket_takes();
    for (uint32_t n = 0; n < taken; n++)
        ck_assert_int_eq(send_step(from, n, span_make((char[1024]){0}, 1024), -1), 0);
    ck_assert_int_eq(send_step(from, taken, span_make((char[1024]){0}, 1024), file), 0);
    ck_assert_int_eq(close(file), 0);
    listen_again();
    UNTIL(heard.messages == taken + 1);
    ck_assert_int_ge(heard.fd, 0);
    ck_assert(is_same_file(heard.fd, copy));
    ck_assert_int_eq(close(copy), 0);
    channel_destroy(&from);
}
END_TEST

START_TEST(what_is_kept_goes_with_the_channel)
{
    struct channel *from = stop_listening();
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    uint32_t taken = socket_takes();
    for (uint32_t n = 0; n < taken + 10; n++)
        ck_assert_int_eq(send_step(from, n, span_make((char[1024]){0}, 1024), -1), 0);
    unsigned before = open_descriptors();
    for (uint32_t n = 0; n < 10; n++)
        ck_assert_int_eq(send_step(from, n, span_of(""), file), 0);
    ck_assert_uint_eq(open_descriptors(), before + 10);
    channel_destroy(&from);
    ck_assert_uint_eq(open_descriptors(), before - 1);
    ck_assert_int_eq(close(file), 0);
}
END_TEST

START_TEST(a_peer_that_goes_without_having_read_is_told_as_gone)
{
    (void)fill(heard.channel, 0, -1);
    ck_assert_int_eq(close(other), 0);
    other = -1;
    UNTIL(heard.ends == 1);
    turns_for(2);
    ck_assert_uint_eq(heard.ends, 1);
}
END_TEST

START_TEST(a_channel_whose_peer_does_not_read_costs_no_turns)
{
    struct channel *from = stop_listening();
    (void)fill(from, 0, -1);
    turns_for(2);
    uint64_t before = turns.count;
    turns_for(20);
    ck_assert_uint_le(turns.count - before, 3);
    channel_destroy(&from);
}
END_TEST

/* ---- the end ---- */

START_TEST(the_end_of_the_other_side_is_told_once)
{
    ck_assert_int_eq(close(other), 0);
    other = -1;
    UNTIL(heard.ends == 1);
    turns_for(5);
    ck_assert_uint_eq(heard.ends, 1);
    ck_assert_uint_eq(heard.messages, 0);
}
END_TEST

START_TEST(what_was_sent_before_the_end_arrives_before_it)
{
    struct channel *from = open_other();
    for (uint32_t n = 0; n < 100; n++)
        ck_assert_int_eq(send_step(from, n, span_of(""), -1), 0);
    channel_destroy(&from);
    UNTIL(heard.ends == 1);
    ck_assert_uint_eq(heard.messages, 100);
}
END_TEST

START_TEST(nothing_is_sent_to_who_is_gone)
{
    ck_assert_int_eq(close(other), 0);
    other = -1;
    ck_assert_int_eq(send_step(heard.channel, 1, span_of(""), -1), -1);
}
END_TEST

START_TEST(it_can_be_destroyed_by_the_message_that_comes)
{
    struct channel *from = open_other();
    heard.goes = true;
    for (uint32_t n = 0; n < 10; n++)
        ck_assert_int_eq(send_step(from, n, span_of("tail"), -1), 0);
    UNTIL(heard.channel == NULL);
    turns_for(2);
    ck_assert_uint_eq(heard.messages, 1);
    channel_destroy(&from);
}
END_TEST

START_TEST(it_can_be_destroyed_when_the_other_end_is_gone)
{
    heard.goes = true;
    ck_assert_int_eq(close(other), 0);
    other = -1;
    UNTIL(heard.channel == NULL);
    channel_destroy(&heard.channel);
    turns_for(2);
    ck_assert_uint_eq(heard.ends, 1);
}
END_TEST

/* ---- a hostile peer ---- */

/* Sends these bytes with so many descriptors. */
static void send_raw(const void *bytes, size_t size, size_t descriptors)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(64 * sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1};
    int fds[64];
    for (size_t i = 0; i < descriptors; i++)
        fds[i] = other;
    if (descriptors > 0) {
        head.msg_control = control.bytes;
        head.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&head);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, descriptors * sizeof(int));
    }
    ck_assert_int_eq(sendmsg(other, &head, 0), (ssize_t)size);
}

enum { STEP_SIZE = sizeof(uint32_t) + sizeof(struct message_auth_step) };

static const struct {
    uint32_t type;
    size_t size; /* of the whole message */
} garbage[] = {
    {MESSAGE_READY, 0},
    {MESSAGE_READY, 1},
    {MESSAGE_READY, sizeof(uint32_t) - 1},
    {MESSAGE_READY, sizeof(uint32_t)},
    {MESSAGE_READY, sizeof(uint32_t) + sizeof(struct message_empty) - 1},
    {MESSAGE_AUTH_STEP, STEP_SIZE - 1},
    {MESSAGE_AUTH_START, STEP_SIZE},
    {MESSAGE_COUNT, 200},
    {UINT32_MAX, 200},
    {INT32_MAX, 200},
    {MESSAGE_AUTH_STEP, STEP_SIZE + MESSAGE_TAIL_MAX + 1},
    {MESSAGE_AUTH_STEP, 20000},
    {MESSAGE_AUTH_STEP, 100000},
};

START_TEST(a_message_that_makes_no_sense_ends_the_channel)
{
    static char bytes[100000];
    memcpy(bytes, &garbage[_i].type, sizeof garbage[_i].type);
    send_raw(bytes, garbage[_i].size, 0);
    UNTIL(heard.ends == 1 || heard.messages > 0);
    ck_assert_uint_eq(heard.messages, 0);
}
END_TEST

START_TEST(a_descriptor_that_comes_with_nonsense_is_closed)
{
    static char bytes[100000];
    unsigned before = open_descriptors();
    memcpy(bytes, &garbage[_i].type, sizeof garbage[_i].type);
    send_raw(bytes, garbage[_i].size, 3);
    UNTIL(heard.ends == 1 || heard.messages > 0);
    ck_assert_uint_eq(open_descriptors(), before + (heard.fd >= 0));
}
END_TEST

START_TEST(of_several_descriptors_none_is_left_open)
{
    static const size_t counts[] = {2, 3, 4, 5, 6, 20, 64};
    const struct {
        uint32_t type;
        struct message_auth_step step;
    } bytes = {MESSAGE_AUTH_STEP, {{1, 2}}};
    unsigned before = open_descriptors();
    send_raw(&bytes, sizeof bytes, counts[_i]);
    UNTIL(heard.ends + heard.messages == 1);
    ck_assert_uint_eq(open_descriptors(), before + (heard.fd >= 0)); /* that one is the taker's */
}
END_TEST

START_TEST(whatever_comes_is_told_as_a_message_that_exists_or_as_the_end)
{
    uint32_t seed = 1;
    for (int round = 0; round < 3000; round++) {
        char bytes[200];
        size_t size = 1 + (size_t)round % sizeof bytes;
        for (size_t i = 0; i < size; i++) {
            seed = seed * UINT32_C(1664525) + UINT32_C(1013904223);
            bytes[i] = (char)(seed >> 24);
        }
        bytes[0] = (char)(round % 32); /* near the types that exist */
        if (round % 4 != 0 && size >= 4)
            memset(bytes + 1, 0, 3);
        send_raw(bytes, size, 0);
        UNTIL(heard.ends == 1 || heard.messages > 0);
        ck_assert_uint_lt(heard.type, MESSAGE_COUNT);
        heard.ends = heard.messages = 0;
        close_channel();
        open_channel();
    }
}
END_TEST

/* ---- at the limits ---- */

START_TEST(a_process_without_descriptors_still_hears_its_master)
{
    struct channel *from = open_other();
    struct rlimit before;
    int next = dup(STDERR_FILENO);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_int_eq(close(next), 0);
    const struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    ck_assert_int_eq(send_step(from, 1, span_of(""), STDERR_FILENO), 0);
    ck_assert_int_eq(send_step(from, 2, span_of(""), -1), 0);
    UNTIL(heard.messages == 2 || heard.ends > 0);
    ck_assert_uint_eq(heard.ends, 0);
    ck_assert_uint_eq(heard.exchange.slot, 2);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    channel_destroy(&from);
}
END_TEST

static void open_and_close(int kept)
{
    int fd = dup(kept);
    struct channel *c = channel_create(turns.loop, fd, pass_over, NULL);
    bool is_null = c == NULL, is_closed = fcntl(fd, F_GETFD) < 0;
    channel_destroy(&c);
    if (is_null != failing_has_failed() || is_null != is_closed)
        ck_abort_msg("null, and closed, without memory alone");
}

START_TEST(without_memory_there_is_no_channel_and_its_end_is_closed)
{
    int before = dup(other);
    ck_assert_int_eq(close(before), 0);
    WITH_EACH_ALLOCATION_FAILING(open_and_close(other));
    int after = dup(other);
    ck_assert_int_eq(after, before);
    ck_assert_int_eq(close(after), 0);
}
END_TEST

START_TEST(what_finds_no_memory_to_be_kept_is_told_as_not_sent)
{
    struct channel *from = stop_listening();
    uint32_t taken = socket_takes();
    for (uint32_t n = 0; n < taken; n++)
        ck_assert_int_eq(send_step(from, n, span_make((char[1024]){0}, 1024), -1), 0);
    unsigned before = open_descriptors();
    failing_at(1);
    int outcome = send_step(from, taken, span_make((char[1024]){0}, 1024), STDERR_FILENO);
    failing_at(0);
    ck_assert_int_eq(outcome, -1);
    ck_assert_uint_eq(open_descriptors(), before);
    ck_assert_int_eq(send_step(from, taken, span_make((char[1024]){0}, 1024), -1), 0);
    listen_again();
    UNTIL(heard.messages == taken + 1);
    ck_assert_uint_eq(heard.exchange.slot, taken);
    channel_destroy(&from);
}
END_TEST

START_TEST(the_ends_of_a_pair_are_closed_on_exec)
{
    int ends[2];
    struct error why;
    ck_assert_int_eq(channel_pair(ends, &why), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_ne(fcntl(ends[i], F_GETFD) & FD_CLOEXEC, 0);
        ck_assert_int_eq(close(ends[i]), 0);
    }
}
END_TEST

SUITE(channel)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(a_message_arrives_with_its_payload_and_what_stands_behind_it);
    TEST(messages_of_every_type_arrive);
    TEST(messages_arrive_in_order);
    TEST(a_tail_of_16_kib_arrives);
    TEST(a_longer_tail_is_not_sent);
    TEST(a_copy_of_a_descriptor_arrives_closed_on_exec);
    TEST(a_descriptor_on_its_way_outlives_its_sender);
    TEST(what_is_not_taken_is_kept_up_to_256_kib_and_arrives_in_order);
    TEST(a_kept_message_keeps_its_descriptor);
    TEST(what_is_kept_goes_with_the_channel);
    TEST(a_peer_that_goes_without_having_read_is_told_as_gone);
    TEST(a_channel_whose_peer_does_not_read_costs_no_turns);
    TEST(the_end_of_the_other_side_is_told_once);
    TEST(what_was_sent_before_the_end_arrives_before_it);
    TEST(nothing_is_sent_to_who_is_gone);
    TEST(it_can_be_destroyed_by_the_message_that_comes);
    TEST(it_can_be_destroyed_when_the_other_end_is_gone);
    LOOP_TEST(a_message_that_makes_no_sense_ends_the_channel, garbage);
    LOOP_TEST(a_descriptor_that_comes_with_nonsense_is_closed, garbage);
    tcase_add_loop_test(tests, of_several_descriptors_none_is_left_open, 0, 7);
    TEST(whatever_comes_is_told_as_a_message_that_exists_or_as_the_end);
    TEST(a_process_without_descriptors_still_hears_its_master);
    TEST(without_memory_there_is_no_channel_and_its_end_is_closed);
    TEST(what_finds_no_memory_to_be_kept_is_told_as_not_sent);
    TEST(the_ends_of_a_pair_are_closed_on_exec);
}
