#include "milter/link.h"

#include "filters.h"

/* A link by itself, and a master that is asked to dial. */
static struct {
    struct milter_link *link;
    struct channel *to_master, *master;
    int dialled; /* what the master sends; -1: nothing listens; -2: it says nothing */
    unsigned asked, opened, lost, frames;
    size_t index;
    char reason[256];
} it;

static void on_link(void *owner, const struct milter_link_event *event)
{
    ck_assert_ptr_eq(owner, &it);
    ck_assert_ptr_eq(event->link, it.link);
    it.opened += event->kind == MILTER_LINK_OPEN;
    it.frames += event->kind == MILTER_LINK_FRAME;
    if (event->kind != MILTER_LINK_LOST)
        return;
    it.lost++;
    (void)span_copy(span_of(event->reason), it.reason, sizeof it.reason);
}

static void open_link(void)
{
    struct error why;
    const struct milter_link_options options = {
        .loop = turns.loop, .dialler = room.dialler, .config = &config->milters[0], .index = 7};
    it.link = milter_link_open(&options, on_link, &it, &why);
    ck_assert_ptr_nonnull(it.link);
}

static void end_link(void)
{
    milter_link_close(&it.link);
    channel_destroy(&it.to_master);
    channel_destroy(&it.master);
    room.master = NULL;
    end();
}

static void is_lost(const char *reason)
{
    UNTIL(it.lost == 1);
    ck_assert_msg(strstr(it.reason, reason) != NULL, "%s", it.reason);
    ck_assert(!milter_link_is_open(it.link));
    turns_for(2);
    ck_assert_uint_eq(it.lost, 1);
}

/* ---- over unix sockets ---- */

static void on_master(void *owner, const struct message *m)
{
    const struct message_dial *which = m->payload;
    (void)owner;
    ck_assert_int_eq(m->type, MESSAGE_DIAL);
    ck_assert_int_eq(which->kind, DIAL_MILTER);
    it.asked++;
    it.index = which->index;
    if (it.dialled >= -1)
        ck_assert_int_eq(channel_send(it.master, MESSAGE_DIAL, which, span_make("", 0), it.dialled),
                         0);
}

static void on_answer_of_master(void *owner, const struct message *m)
{
    (void)owner;
    dialler_take(room.dialler, m);
}

static void begin_dialling(int dialled)
{
    int ends[2];
    struct error why;
    begin(1, "connect_timeout = \"100ms\"");
    config->milters[0].at.path = "/nowhere";
    ck_assert_int_eq(channel_pair(ends, &why), 0);
    it.to_master = channel_create(turns.loop, ends[0], on_answer_of_master, NULL);
    it.master = channel_create(turns.loop, ends[1], on_master, NULL);
    ck_assert(it.to_master != NULL && it.master != NULL);
    room.master = it.to_master;
    it.dialled = dialled;
}

START_TEST(a_path_is_connected_to_by_the_master)
{
    int ends[2];
    char heard[17];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    begin_dialling(ends[0]);
    open_link();
    UNTIL(it.asked == 1);
    ck_assert_uint_eq(it.index, 7);
    UNTIL(recv(ends[1], heard, sizeof heard, 0) == sizeof heard);
    ck_assert_int_eq(send(ends[1], "\0\0\0\15O\0\0\0\6\0\0\0\0\0\0\0\0", 17, 0), 17);
    UNTIL(it.opened == 1);
    ck_assert_int_eq(send(ends[1], "\0\0\0\1c", 5, 0), 5);
    UNTIL(it.frames == 1);
    (void)close(ends[0]);
    (void)close(ends[1]);
    end_link();
}
END_TEST

START_TEST(a_path_where_nobody_listens_loses_the_link)
{
    begin_dialling(-1);
    open_link();
    is_lost("nobody listens");
    end_link();
}
END_TEST

START_TEST(a_master_that_says_nothing_is_not_waited_for)
{
    begin_dialling(-2);
    open_link();
    is_lost("connecting took too long");
    end_link();
}
END_TEST

START_TEST(without_a_master_there_is_no_link)
{
    struct error why;
    begin_dialling(-1);
    room.master = NULL;
    const struct milter_link_options options = {
        .loop = turns.loop, .dialler = room.dialler, .config = &config->milters[0]};
    ck_assert_ptr_null(milter_link_open(&options, on_link, &it, &why));
    ck_assert_str_eq(why.text, "the master can't be asked to connect");
    end_link();
}
END_TEST

START_TEST(a_link_that_is_closed_while_it_is_dialled_hears_nothing)
{
    begin_dialling(-2);
    open_link();
    UNTIL(it.asked == 1);
    milter_link_close(&it.link);
    turns_for(120);
    ck_assert_uint_eq(it.lost + it.opened, 0);
    end_link();
}
END_TEST

/* ---- options ---- */

static struct filter *begin_over_tcp(void)
{
    begin(1, "connect_timeout = \"100ms\"");
    open_link();
    UNTIL(somebody_comes(0));
    struct filter *f = &room.filters[0];
    hears(f, OFFER);
    return f;
}

START_TEST(options_are_agreed_on_before_anything_else)
{
    struct filter *f = begin_over_tcp();
    says(f, "c");
    is_lost("answers the offer of options with something else");
    end_link();
}
END_TEST

START_TEST(a_filter_that_does_not_answer_the_offer_is_not_waited_for)
{
    (void)begin_over_tcp();
    is_lost("connecting took too long");
    end_link();
}
END_TEST

START_TEST(frames_are_as_long_as_was_agreed_on)
{
    static char large[65536 + 1025];
    struct filter *f = begin_over_tcp();
    SAYS(f, 'O', "\0\0\0\6\0\0\0\0\0\0\0\0");
    UNTIL(it.opened == 1);
    says_bytes(f, 'b', large, 65535 + 1024);
    UNTIL(it.frames == 1);
    says_bytes(f, 'b', large, 65535 + 1025);
    is_lost("a frame of");
    end_link();
}
END_TEST

/* ---- kept ones ---- */

static struct milter_link *take(uint64_t whom, bool *is_kept)
{
    struct error why;
    struct milter_link *l =
        milters_take(room.milters, &config->milters[0], whom, is_kept, on_link, &it, &why);
    ck_assert_ptr_nonnull(l);
    return l;
}

START_TEST(a_few_are_kept_and_the_oldest_goes)
{
    struct milter_link *links[9];
    bool is_kept;
    begin(1, "");
    for (size_t i = 0; i < 9; i++) {
        it.link = links[i] = take(i + 1, &is_kept);
        ck_assert(!is_kept);
        struct filter *f = COMES(0, AGREED);
        (void)f;
        UNTIL(it.opened == i + 1);
        milter_link_memory(links[i])->whom = i + 1;
    }
    for (size_t i = 0; i < 9; i++)
        milters_keep(room.milters, &config->milters[0], &links[i]);
    hears(&room.filters[0], "Q:");
    it.link = take(9, &is_kept);
    ck_assert(is_kept);
    ck_assert_uint_eq(milter_link_memory(it.link)->whom, 9);
    struct milter_link *other = take(1, &is_kept);
    ck_assert(!is_kept);
    milter_link_close(&other);
    end_link();
}
END_TEST

START_TEST(one_kept_that_says_what_nobody_asked_for_is_closed)
{
    bool is_kept;
    begin(1, "");
    it.link = take(1, &is_kept);
    struct filter *f = COMES(0, AGREED);
    UNTIL(it.opened == 1);
    milters_keep(room.milters, &config->milters[0], &it.link);
    says(f, "c");
    hears(f, "Q:");
    sees_the_end(f);
    end_link();
}
END_TEST

SUITE(milter_link)
{
    filters_use(tests);
    TEST(a_path_is_connected_to_by_the_master);
    TEST(a_path_where_nobody_listens_loses_the_link);
    TEST(a_master_that_says_nothing_is_not_waited_for);
    TEST(without_a_master_there_is_no_link);
    TEST(a_link_that_is_closed_while_it_is_dialled_hears_nothing);
    TEST(options_are_agreed_on_before_anything_else);
    TEST(a_filter_that_does_not_answer_the_offer_is_not_waited_for);
    TEST(frames_are_as_long_as_was_agreed_on);
    TEST(a_few_are_kept_and_the_oldest_goes);
    TEST(one_kept_that_says_what_nobody_asked_for_is_closed);
}
