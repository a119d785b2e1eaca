#include "net/connection.h"

#include "certificates.h"
#include "peer.h"
#include "segments.h"
#include "turns.h"

#include "config/folder.h"
#include "net/tls.h"

#include <sys/resource.h>

/* Most promises hold for each of these. */
enum kind { PLAIN, TLS_SERVER, TLS_SERVER_1_2, TLS_CLIENT, KINDS };

static struct peer peer;
static struct tls_contexts *contexts;
static SSL_CTX *peer_client, *peer_server;

/* The connection that is tested, and what its owner has been told. */
static struct heard {
    struct connection *c;
    char events[64]; /* a letter each; DATA that follows DATA is not noted again */
    unsigned data;   /* how often DATA came */
    size_t seen;     /* of `in`, the last time */
    size_t takes;    /* of `in`, at most */
    void (*then)(enum connection_event event, struct span *in);
    bool is_over; /* nothing may come any more */
    size_t size;  /* what has been taken */
    char text[PEER_ROOM];
} heard;

static void note(char letter)
{
    size_t used = strlen(heard.events);
    if (letter == 'd' && used > 0 && heard.events[used - 1] == 'd')
        return;
    ck_assert_uint_lt(used + 1, sizeof heard.events);
    heard.events[used] = letter;
    heard.events[used + 1] = '\0';
}

static void take(struct span *in, size_t most)
{
    struct span taken = span_take(in, in->size < most ? in->size : most);
    ck_assert_uint_le(taken.size, sizeof heard.text - heard.size);
    memcpy(heard.text + heard.size, taken.data, taken.size);
    heard.size += taken.size;
}

static void on_event(void *owner, enum connection_event event, struct span *in)
{
    static const char letters[] = "rdwetf"; /* ready data written end timeout failed */
    ck_assert_ptr_eq(owner, &heard);
    if (heard.is_over)
        ck_abort_msg("%c after the last event", letters[event]);
    note(letters[event]);
    heard.is_over = event == CONNECTION_FAILED;
    if (event == CONNECTION_DATA) {
        heard.data++;
        heard.seen = in->size;
        ck_assert_uint_gt(in->size, 0);
    }
    if (heard.then != NULL)
        heard.then(event, in);
    if (event == CONNECTION_DATA && heard.c != NULL)
        take(in, heard.takes);
}

static bool has_heard(const char *text)
{
    size_t size = strlen(text);
    return heard.size >= size && memcmp(heard.text + heard.size - size, text, size) == 0;
}

static bool is_told(char letter)
{
    return strchr(heard.events, letter) != NULL;
}

static void forget_events(void)
{
    heard.events[0] = '\0';
    heard.data = 0;
}

/* ---- beginning and end ---- */

static void make_files(void)
{
    const struct certificate wish = {.names = "DNS:mail.example.com", .days = 90};
    char certificate[600], key[600];
    folder_make();
    (void)snprintf(certificate, sizeof certificate, "%s", folder_path("c.pem")); /* fits */
    (void)snprintf(key, sizeof key, "%s", folder_path("c.key"));                 /* fits */
    certificate_make(&wish, certificate, key);
}

static void prepare_tls(void)
{
    char text[2048];
    (void)snprintf(text, sizeof text,
                   HOSTNAME "tls = { default = { certificate = [\"%s/c.pem\"] key = [\"%s/c.key\"] "
                            "} }\n" UPSTREAMS,
                   folder, folder); /* fits */
    ck_assert_ptr_nonnull(config_of(text));
    contexts = tls_prepare(config, findings);
    count_is(0, 0);
    peer_client = SSL_CTX_new(TLS_client_method());
    peer_server = SSL_CTX_new(TLS_server_method());
    ck_assert_int_eq(SSL_CTX_use_certificate_chain_file(peer_server, folder_path("c.pem")), 1);
    ck_assert_int_eq(
        SSL_CTX_use_PrivateKey_file(peer_server, folder_path("c.key"), SSL_FILETYPE_PEM), 1);
}

static void begin(void)
{
    turns_begin();
    findings_begin();
    peer.fd = -1;
    heard.takes = SIZE_MAX;
}

static void end(void)
{
    connection_close(&heard.c);
    peer_close(&peer);
    turns_for(2); /* one that was finished sees the peer's end */
    turns_end();
    tls_contexts_destroy(&contexts);
    SSL_CTX_free(peer_client);
    SSL_CTX_free(peer_server);
    findings_end();
}

static void accept_fd(int fd)
{
    struct address from = {.size = sizeof from.v6};
    ck_assert_int_eq(getpeername(fd, &from.any, &from.size), 0);
    heard.c = connection_accept(turns.loop, fd, &from, on_event, &heard);
    ck_assert_ptr_nonnull(heard.c);
}

static const struct tls_context *context_of(enum kind kind)
{
    if (contexts == NULL)
        prepare_tls();
    return kind == TLS_CLIENT ? tls_client_context(contexts, &config->upstreams[0].servers[0])
                              : tls_server_context(contexts, &config->listeners[0]);
}

static void set_buffers(int fd, int size)
{
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
}

/* A connection over small buffers or, with 0, those of the system. */
static void open_narrow(enum kind kind, int buffer)
{
    int fd = peer_open(&peer, buffer);
    if (buffer > 0) {
        set_buffers(fd, buffer);
        set_buffers(peer.fd, buffer);
    }
    accept_fd(fd);
    if (kind == PLAIN)
        return;
    ck_assert_int_eq(connection_start_tls(heard.c, context_of(kind)), 0);
    if (kind == TLS_SERVER_1_2)
        ck_assert_int_eq(SSL_CTX_set_max_proto_version(peer_client, TLS1_2_VERSION), 1);
    peer_start_tls(&peer, kind == TLS_CLIENT ? peer_server : peer_client, kind == TLS_CLIENT);
    UNTIL(peer_read(&peer) == 0 && is_told('r') && SSL_is_init_finished(peer.ssl));
    ck_assert_str_eq(heard.events, "r");
    forget_events();
}

static void open_kind(enum kind kind)
{
    open_narrow(kind, 0);
}

static void say(const char *text)
{
    const struct span part = span_of(text);
    connection_write(heard.c, &part, 1);
}

static bool peer_heard(const char *text)
{
    return peer_read(&peer) == strlen(text) && memcmp(peer.in, text, peer.size) == 0;
}

/* ---- reading ---- */

START_TEST(what_the_peer_sends_comes_as_data)
{
    open_kind((enum kind)_i);
    peer_say(&peer, "hello");
    UNTIL(has_heard("hello"));
    ck_assert_str_eq(heard.events, "d");
}
END_TEST

START_TEST(what_is_left_comes_again_with_more_behind_it)
{
    open_kind((enum kind)_i);
    heard.takes = 2;
    peer_say(&peer, "abcde");
    UNTIL(heard.data == 1);
    ck_assert_uint_eq(heard.seen, 5);
    turns_for(5);
    ck_assert_uint_eq(heard.data, 1); /* nothing more has come */
    heard.takes = SIZE_MAX;
    peer_say(&peer, "fgh");
    UNTIL(heard.data == 2);
    ck_assert_uint_eq(heard.seen, 6);
    ck_assert_uint_eq(heard.size, 8);
    ck_assert(has_heard("abcdefgh"));
}
END_TEST

START_TEST(all_of_a_megabyte_comes_in_order)
{
    enum { SIZE = 1024 * 1024 };
    static char text[SIZE];
    for (size_t i = 0; i < SIZE; i++)
        text[i] = (char)(i * 7 + i / 251);
    open_kind((enum kind)_i);
    peer_send(&peer, span_make(text, SIZE));
    UNTIL(heard.size == SIZE);
    ck_assert_mem_eq(heard.text, text, SIZE);
}
END_TEST

/* Once from the socket, once from what TLS holds already. */
START_TEST(at_most_twice_64_kib_come_in_a_turn)
{
    static char text[200000];
    open_kind((enum kind)_i);
    connection_pause(heard.c);
    for (size_t sent = 0; sent < sizeof text; turns_for(1))
        sent += peer_send_some(&peer, span_make(text + sent, sizeof text - sent));
    connection_resume(heard.c);
    while (heard.size < sizeof text) {
        size_t before = heard.size;
        turn();
        ck_assert_uint_le(heard.size - before, 2 * 64 * 1024);
    }
}
END_TEST

/* As a session does that is answered at once. */
static void resume_within(enum connection_event event, struct span *in)
{
    (void)in;
    if (event == CONNECTION_DATA) {
        connection_pause(heard.c);
        connection_resume(heard.c);
    }
}

START_TEST(what_is_left_is_told_before_the_end)
{
    open_kind((enum kind)_i);
    heard.takes = 5;
    heard.then = resume_within;
    peer_say(&peer, "one..two..three");
    peer_end(&peer);
    UNTIL(is_told('e'));
    ck_assert(has_heard("one..two..three"));
}
END_TEST

START_TEST(a_peer_that_sends_more_than_can_be_looked_at_has_failed)
{
    static char text[100000];
    open_kind((enum kind)_i);
    heard.takes = 0;
    peer_send(&peer, span_make(text, sizeof text));
    UNTIL(is_told('f'));
    ck_assert_str_eq(heard.events, "df");
    ck_assert_str_ne(connection_error(heard.c), "");
}
END_TEST

/* Half a TLS record, and all of it but the last byte. */
START_TEST(a_record_that_is_not_whole_yet_is_waited_for_in_peace)
{
    char record[200];
    open_kind((enum kind)_i);
    size_t size = peer_seal(&peer, span_of("hello"), record, sizeof record);
    for (size_t sent = 0, cut = 1; cut < size; cut += size / 3) {
        ck_assert_int_eq(send(peer.fd, record + sent, cut - sent, 0), (ssize_t)(cut - sent));
        sent = cut;
        turns_for(2);
        uint64_t before = turns.count;
        turns_for(20);
        ck_assert_uint_le(turns.count - before, 3); /* the one that ends the wait, and some */
        if (cut + size / 3 >= size)
            ck_assert_int_gt(send(peer.fd, record + sent, size - sent, 0), 0);
    }
    UNTIL(has_heard("hello"));
    ck_assert_str_eq(heard.events, "d");
}
END_TEST

START_TEST(an_idle_connection_costs_no_turn)
{
    open_kind((enum kind)_i);
    peer_say(&peer, "hello");
    UNTIL(has_heard("hello"));
    turns_for(2);
    uint64_t before = turns.count;
    turns_for(20);
    ck_assert_uint_le(turns.count - before, 3);
}
END_TEST

/* ---- pausing ---- */

START_TEST(while_it_is_paused_nothing_is_told)
{
    open_kind((enum kind)_i);
    connection_pause(heard.c);
    peer_say(&peer, "hello");
    peer_end(&peer);
    turns_for(10);
    ck_assert_str_eq(heard.events, "");
    connection_resume(heard.c);
    UNTIL(is_told('e'));
    ck_assert_str_eq(heard.events, "de");
    ck_assert(has_heard("hello"));
}
END_TEST

START_TEST(a_paused_connection_whose_peer_sends_costs_no_turns)
{
    static char text[50000];
    open_kind((enum kind)_i);
    connection_pause(heard.c);
    peer_send(&peer, span_make(text, sizeof text));
    turns_for(2);
    uint64_t before = turns.count;
    turns_for(20);
    ck_assert_uint_le(turns.count - before, 3);
    connection_resume(heard.c);
    UNTIL(heard.size == sizeof text);
}
END_TEST

START_TEST(what_was_left_comes_again_at_a_resume)
{
    open_kind((enum kind)_i);
    heard.takes = 2;
    peer_say(&peer, "abcde");
    UNTIL(heard.data == 1);
    connection_pause(heard.c);
    turns_for(5);
    connection_resume(heard.c);
    UNTIL(heard.data == 2);
    ck_assert_uint_eq(heard.seen, 3);
    ck_assert(has_heard("abcd"));
}
END_TEST

static void pause_then_resume(enum connection_event event, struct span *in)
{
    (void)event, (void)in;
    connection_pause(heard.c);
    connection_resume(heard.c);
}

START_TEST(a_resume_within_the_callback_brings_what_was_left_at_once)
{
    open_kind((enum kind)_i);
    heard.takes = 1;
    heard.then = pause_then_resume;
    peer_say(&peer, "abcde");
    UNTIL(has_heard("abcde"));
    ck_assert_uint_eq(heard.data, 5);
    ck_assert_uint_eq(heard.seen, 1);
}
END_TEST

static void pause_at_data(enum connection_event event, struct span *in)
{
    (void)in;
    if (event == CONNECTION_DATA)
        connection_pause(heard.c);
}

START_TEST(a_resume_brings_what_openssl_already_holds)
{
    static char text[150000];
    open_kind((enum kind)_i);
    heard.then = pause_at_data;
    peer_send(&peer, span_make(text, sizeof text));
    while (heard.size < sizeof text) {
        unsigned before = heard.data;
        UNTIL(heard.data > before);
        turns_for(2);
        ck_assert_uint_eq(heard.data, before + 1);
        connection_resume(heard.c);
    }
    turns_for(2);
    ck_assert_str_eq(heard.events, "d");
}
END_TEST

START_TEST(a_pause_within_the_callback_keeps_the_end_back)
{
    open_kind((enum kind)_i);
    heard.then = pause_at_data;
    peer_say(&peer, "hello");
    peer_end(&peer);
    UNTIL(heard.data > 0);
    turns_for(5);
    ck_assert_str_eq(heard.events, "d");
    connection_resume(heard.c);
    UNTIL(is_told('e'));
}
END_TEST

/* ---- the end of input ---- */

START_TEST(the_end_is_told_behind_the_data)
{
    open_kind((enum kind)_i);
    peer_say(&peer, "hello");
    peer_end(&peer);
    UNTIL(is_told('e'));
    ck_assert_str_eq(heard.events, "de");
    turns_for(5);
    ck_assert_str_eq(heard.events, "de");
}
END_TEST

START_TEST(the_end_is_told_again_at_each_resume)
{
    open_kind((enum kind)_i);
    peer_end(&peer);
    UNTIL(is_told('e'));
    connection_pause(heard.c);
    connection_resume(heard.c);
    UNTIL(strcmp(heard.events, "ee") == 0);
    connection_pause(heard.c);
    turns_for(2);
    connection_resume(heard.c);
    UNTIL(strcmp(heard.events, "eee") == 0);
}
END_TEST

START_TEST(what_was_left_is_told_again_before_the_end)
{
    open_kind((enum kind)_i);
    heard.takes = 2;
    peer_say(&peer, "abc");
    peer_end(&peer);
    UNTIL(is_told('e'));
    connection_pause(heard.c);
    connection_resume(heard.c);
    UNTIL(strcmp(heard.events, "dede") == 0);
    ck_assert(has_heard("abc"));
}
END_TEST

START_TEST(a_peer_that_sends_no_more_may_still_read)
{
    open_kind((enum kind)_i);
    peer_end(&peer);
    UNTIL(is_told('e'));
    say("still there");
    UNTIL(peer_heard("still there"));
}
END_TEST

START_TEST(a_tls_end_without_its_alert_is_an_end)
{
    open_kind((enum kind)_i);
    peer_say(&peer, "hello");
    ck_assert_int_eq(shutdown(peer.fd, SHUT_WR), 0);
    UNTIL(is_told('e'));
    ck_assert_str_eq(heard.events, "de");
}
END_TEST

/* ---- writing ---- */

START_TEST(parts_are_written_one_behind_the_other)
{
    const struct span parts[] = {span_of("one "), span_of(""), span_of("two "), span_of("three")};
    open_kind((enum kind)_i);
    connection_write(heard.c, parts, 4);
    ck_assert(!connection_is_blocked(heard.c));
    UNTIL(peer_heard("one two three"));
    turns_for(2);
    ck_assert_str_eq(heard.events, ""); /* nothing was kept, so nothing has drained */
}
END_TEST

START_TEST(small_parts_go_in_one_record)
{
    const struct span parts[] = {span_of("one "), span_of("two "), span_of("three")};
    open_kind((enum kind)_i);
    connection_write(heard.c, parts, 3);
    UNTIL(peer_read_some(&peer) > 0);
    ck_assert_mem_eq(peer.in, "one two three", 13);
    ck_assert_uint_eq(peer.size, 0); /* a single read has brought all of it */
}
END_TEST

/* A megabyte that the owner writes as the peer takes it. */
static struct {
    size_t sent;
    unsigned drained;
    char text[1024 * 1024];
} flood;

static void write_on(enum connection_event event, struct span *in)
{
    (void)in;
    if (event == CONNECTION_DRAINED) {
        ck_assert(!connection_is_blocked(heard.c));
        flood.drained++;
        forget_events();
    }
    while (flood.sent < sizeof flood.text && !connection_is_blocked(heard.c)) {
        const size_t whole = 5000, half = whole / 2;
        const char *from = flood.text + flood.sent;
        size_t size = sizeof flood.text - flood.sent < whole ? 0 : whole;
        const struct span parts[] = {span_make(from, size == 0 ? 1 : half),
                                     span_make(from + half, size == 0 ? 0 : whole - half)};
        connection_write(heard.c, parts, 2);
        flood.sent += parts[0].size + parts[1].size;
    }
}

START_TEST(a_megabyte_that_the_peer_takes_slowly_arrives_in_order)
{
    for (size_t i = 0; i < sizeof flood.text; i++)
        flood.text[i] = (char)(i * 7 + i / 251);
    open_narrow((enum kind)_i, 8192);
    heard.then = write_on;
    write_on(CONNECTION_READY, NULL);
    ck_assert(connection_is_blocked(heard.c));
    turns_for(10);
    ck_assert_uint_eq(flood.drained, 0); /* the peer has taken nothing */
    UNTIL(peer_read(&peer) == sizeof flood.text);
    ck_assert_mem_eq(peer.in, flood.text, sizeof flood.text);
    turns_for(2);
    ck_assert(!connection_is_blocked(heard.c));
    ck_assert_uint_gt(flood.drained, 1);
}
END_TEST

START_TEST(drained_is_told_once)
{
    static char text[100000];
    const struct span part = span_make(text, sizeof text);
    open_narrow((enum kind)_i, 8192);
    connection_write(heard.c, &part, 1);
    ck_assert(connection_is_blocked(heard.c));
    say("behind it");
    UNTIL(peer_read(&peer) == sizeof text + 9);
    UNTIL(is_told('w'));
    turns_for(5);
    ck_assert_str_eq(heard.events, "w");
    ck_assert_mem_eq(peer.in + sizeof text, "behind it", 9);
}
END_TEST

START_TEST(both_sides_can_send_at_once)
{
    enum { SENT = 60000 };
    static char text[100000];
    size_t sent = 0;
    const struct span part = span_make(text, sizeof text);
    open_narrow((enum kind)_i, 8192);
    connection_write(heard.c, &part, 1);
    for (turns_wait_for("all sent", __FILE__, __LINE__); sent < SENT; turns_for(1)) {
        sent += peer_send_some(&peer, span_make(text + sent, SENT - sent));
        (void)peer_read(&peer);
    }
    UNTIL(heard.size == SENT && peer_read(&peer) == sizeof text);
}
END_TEST

START_TEST(a_peer_for_which_no_more_can_be_kept_has_failed)
{
    static char text[LOOP_SPARE_SIZE];
    const struct span part = span_make(text, sizeof text);
    open_narrow((enum kind)_i, 8192);
    for (int i = 0; i < 10; i++)
        connection_write(heard.c, &part, 1);
    ck_assert_str_eq(heard.events, ""); /* not from within a function */
    UNTIL(is_told('f'));
    ck_assert_str_eq(heard.events, "f");
    ck_assert(!connection_is_blocked(heard.c));
}
END_TEST

/* ---- failing ---- */

START_TEST(a_reset_is_told_once_and_last)
{
    open_kind((enum kind)_i);
    connection_set_deadline(heard.c, loop_now(turns.loop) + 5 * CLOCK_MS);
    peer_reset(&peer);
    UNTIL(is_told('f'));
    ck_assert_str_ne(connection_error(heard.c), "");
    say("is there anybody?");
    connection_pause(heard.c);
    connection_resume(heard.c);
    turns_for(10);
    ck_assert_str_eq(heard.events, "f");
}
END_TEST

START_TEST(a_write_that_fails_is_told_by_the_loop)
{
    open_kind((enum kind)_i);
    peer_reset(&peer);
    say("is there anybody?"); /* the reset is there already, unread */
    say("hello?");
    ck_assert_str_eq(heard.events, "");
    UNTIL(is_told('f'));
    turns_for(5);
    ck_assert_str_eq(heard.events, "f");
}
END_TEST

START_TEST(what_came_before_a_broken_record_is_told_first)
{
    char record[200];
    open_kind((enum kind)_i);
    size_t size = peer_seal(&peer, span_of("hello"), record, sizeof record - 20);
    memset(record + size, 'x', 20);
    ck_assert_int_eq(send(peer.fd, record, size + 20, 0), (ssize_t)size + 20);
    UNTIL(is_told('f'));
    ck_assert_str_eq(heard.events, "df");
    ck_assert(has_heard("hello"));
    ck_assert_ptr_eq(strstr(connection_error(heard.c), "TLS: "), connection_error(heard.c));
}
END_TEST

/* ---- deadlines ---- */

static int64_t in_ms(int64_t ms)
{
    return loop_now(turns.loop) + ms * CLOCK_MS;
}

START_TEST(a_deadline_is_told_once_when_it_has_passed)
{
    open_kind((enum kind)_i);
    int64_t at_ns = in_ms(10);
    connection_set_deadline(heard.c, at_ns);
    UNTIL(is_told('t'));
    ck_assert_int_ge(clock_monotonic_ns(), at_ns);
    turns_for(15);
    ck_assert_str_eq(heard.events, "t");
}
END_TEST

START_TEST(a_deadline_moves_both_ways_and_can_be_taken_back)
{
    open_kind((enum kind)_i);
    connection_set_deadline(heard.c, in_ms(5));
    int64_t at_ns = in_ms(20);
    connection_set_deadline(heard.c, at_ns);
    UNTIL(is_told('t'));
    ck_assert_int_ge(clock_monotonic_ns(), at_ns);
    connection_set_deadline(heard.c, in_ms(60000));
    connection_set_deadline(heard.c, in_ms(5));
    UNTIL(strcmp(heard.events, "tt") == 0);
    connection_set_deadline(heard.c, in_ms(5));
    connection_set_deadline(heard.c, 0);
    turns_for(15);
    ck_assert_str_eq(heard.events, "tt");
}
END_TEST

START_TEST(a_deadline_is_told_while_it_is_paused)
{
    open_kind((enum kind)_i);
    connection_pause(heard.c);
    peer_say(&peer, "hello");
    connection_set_deadline(heard.c, in_ms(5));
    UNTIL(is_told('t'));
    ck_assert_str_eq(heard.events, "t");
}
END_TEST

START_TEST(life_goes_on_after_a_deadline)
{
    open_kind((enum kind)_i);
    connection_set_deadline(heard.c, in_ms(1));
    UNTIL(is_told('t'));
    peer_say(&peer, "hello");
    say("good bye");
    UNTIL(has_heard("hello") && peer_heard("good bye"));
}
END_TEST

/* ---- another owner ---- */

static struct {
    bool is_called;
    char text[64];
} second;

static void on_second(void *owner, enum connection_event event, struct span *in)
{
    ck_assert_ptr_eq(owner, &second);
    second.is_called = true;
    if (event == CONNECTION_DATA)
        (void)span_copy(span_take(in, in->size), second.text, sizeof second.text);
}

START_TEST(another_owner_gets_what_the_first_has_left)
{
    open_kind((enum kind)_i);
    heard.takes = 2;
    peer_say(&peer, "abcde");
    UNTIL(heard.data == 1);
    heard.is_over = true;
    connection_set_owner(heard.c, on_second, &second);
    ck_assert(!second.is_called);
    UNTIL(second.is_called);
    ck_assert_str_eq(second.text, "cde");
    peer_say(&peer, "fgh");
    UNTIL(strcmp(second.text, "fgh") == 0);
}
END_TEST

static void hand_over(enum connection_event event, struct span *in)
{
    (void)event, (void)in;
    connection_set_owner(heard.c, on_second, &second);
    heard.is_over = true;
}

START_TEST(another_owner_set_within_the_callback_gets_what_is_left_then)
{
    open_kind((enum kind)_i);
    heard.takes = 2;
    heard.then = hand_over;
    peer_say(&peer, "abcde");
    UNTIL(second.is_called);
    ck_assert_str_eq(second.text, "cde");
}
END_TEST

START_TEST(another_owner_of_a_paused_connection_gets_nothing_before_it_resumes)
{
    open_kind((enum kind)_i);
    heard.takes = 2;
    peer_say(&peer, "abcde");
    UNTIL(heard.data == 1);
    connection_pause(heard.c);
    connection_set_owner(heard.c, on_second, &second);
    turns_for(5);
    ck_assert(!second.is_called);
    connection_resume(heard.c);
    UNTIL(second.is_called);
    ck_assert_str_eq(second.text, "cde");
}
END_TEST

/* ---- closing ---- */

static char closes_at; /* an event's letter */

static void close_within(enum connection_event event, struct span *in)
{
    static const char letters[] = "rdwetf";
    (void)in;
    if (letters[event] != closes_at)
        return;
    connection_close(&heard.c);
    ck_assert_ptr_null(heard.c);
    heard.is_over = true;
}

/* Has each event happen in turn; none may come after the one in which it is closed. */
static void provoke(char event)
{
    static char text[100000];
    const struct span part = span_make(text, sizeof text);
    switch (event) {
    case 'd': peer_say(&peer, "hello"); break;
    case 'w':
        connection_write(heard.c, &part, 1);
        ck_assert(connection_is_blocked(heard.c));
        UNTIL(peer_read(&peer) == sizeof text);
        break;
    case 'e': peer_end(&peer); break;
    case 't': connection_set_deadline(heard.c, in_ms(1)); break;
    case 'f': peer_reset(&peer); break;
    default: ck_abort();
    }
}

START_TEST(it_can_be_closed_within_each_callback)
{
    open_narrow((enum kind)(_i / 5), 8192);
    closes_at = "dwetf"[_i % 5];
    heard.then = close_within;
    provoke(closes_at);
    UNTIL(heard.c == NULL);
    if (closes_at != 'f')
        UNTIL(peer_has_ended(&peer));
    turns_for(2);
}
END_TEST

static void finish_within(enum connection_event event, struct span *in)
{
    static const char letters[] = "rdwetf";
    (void)in;
    if (letters[event] != closes_at)
        return;
    connection_finish(&heard.c);
    ck_assert_ptr_null(heard.c);
    heard.is_over = true;
}

START_TEST(it_can_be_finished_within_each_callback)
{
    open_narrow((enum kind)(_i / 5), 8192);
    closes_at = "dwetf"[_i % 5];
    heard.then = finish_within;
    provoke(closes_at);
    UNTIL(heard.c == NULL);
    if (closes_at != 'f') {
        UNTIL(peer_has_ended(&peer));
        ck_assert_int_eq(peer.error, 0);
    }
    peer_close(&peer);
    turns_for(5);
}
END_TEST

static void close_in_ready(enum connection_event event, struct span *in)
{
    (void)in;
    ck_assert_int_eq(event, CONNECTION_READY);
    connection_close(&heard.c);
    heard.is_over = true;
}

START_TEST(it_can_be_closed_when_the_handshake_is_done)
{
    accept_fd(peer_open(&peer, 0));
    ck_assert_int_eq(connection_start_tls(heard.c, context_of((enum kind)_i)), 0);
    peer_start_tls(&peer, _i == TLS_CLIENT ? peer_server : peer_client, _i == TLS_CLIENT);
    heard.then = close_in_ready;
    UNTIL(peer_has_ended(&peer));
    ck_assert_ptr_null(heard.c);
}
END_TEST

START_TEST(closing_leaves_null_and_a_closed_one_is_left_alone)
{
    connection_close(&heard.c);
    open_kind((enum kind)_i);
    connection_close(&heard.c);
    ck_assert_ptr_null(heard.c);
    UNTIL(peer_has_ended(&peer));
}
END_TEST

/* ---- finishing ---- */

START_TEST(a_finished_connection_delivers_its_last_words)
{
    open_kind((enum kind)_i);
    say("221 Bye\r\n");
    heard.is_over = true;
    connection_finish(&heard.c);
    ck_assert_ptr_null(heard.c);
    UNTIL(peer_has_ended(&peer));
    ck_assert_int_eq(peer.error, 0); /* no reset, and TLS was ended as it should be */
    ck_assert(peer_heard("221 Bye\r\n"));
}
END_TEST

START_TEST(last_words_and_the_end_of_tls_come_in_one_segment)
{
    open_kind((enum kind)_i);
    say("220 Hello\r\n");
    UNTIL(peer_heard("220 Hello\r\n"));
    unsigned before = segments_in(peer.fd);
    connection_write_last(heard.c, span_of("221 Bye\r\n"));
    heard.is_over = true;
    connection_finish(&heard.c);
    UNTIL(peer_has_ended(&peer));
    ck_assert(peer_heard("220 Hello\r\n221 Bye\r\n"));
    ck_assert_uint_eq(segments_in(peer.fd) - before, 1);
}
END_TEST

START_TEST(what_may_wait_for_more_goes_with_it_in_one_segment)
{
    const struct span first[] = {span_of("a text"), span_of(" in parts")};
    open_kind((enum kind)_i);
    say("220 Hello\r\n");
    UNTIL(peer_heard("220 Hello\r\n"));
    unsigned before = segments_in(peer.fd);
    connection_write_more(heard.c, first, 2);
    say("\r\n.\r\n");
    UNTIL(peer_heard("220 Hello\r\na text in parts\r\n.\r\n"));
    ck_assert_uint_eq(segments_in(peer.fd) - before, 1);
}
END_TEST

START_TEST(what_may_wait_for_more_goes_alone_when_nothing_follows)
{
    const struct span text = span_of("a text");
    open_kind((enum kind)_i);
    connection_write_more(heard.c, &text, 1);
    UNTIL(peer_heard("a text"));
}
END_TEST

START_TEST(last_words_arrive_although_the_peer_still_sends)
{
    open_kind((enum kind)_i);
    connection_pause(heard.c);
    peer_say(&peer, "what nobody will read");
    turns_for(2);
    say("221 Bye\r\n");
    heard.is_over = true;
    connection_finish(&heard.c);
    for (int i = 0; i < 20; i++) {
        peer_say(&peer, "and more of it");
        turns_for(1);
    }
    UNTIL(peer_has_ended(&peer));
    ck_assert_int_eq(peer.error, 0);
    ck_assert(peer_heard("221 Bye\r\n"));
}
END_TEST

/* As much as can be kept, and the last word behind it. */
static size_t fill_up(void)
{
    static char text[100000];
    const struct span part = span_make(text, sizeof text);
    memset(text, 'x', sizeof text);
    connection_write(heard.c, &part, 1);
    ck_assert(connection_is_blocked(heard.c));
    say("bye");
    return sizeof text + 3;
}

START_TEST(what_is_kept_is_sent_before_the_end)
{
    open_narrow((enum kind)_i, 8192);
    size_t size = fill_up();
    heard.is_over = true;
    connection_finish(&heard.c);
    turns_for(10);
    UNTIL(peer_has_ended(&peer));
    ck_assert_int_eq(peer.error, 0);
    ck_assert_uint_eq(peer_read(&peer), size);
    ck_assert_mem_eq(peer.in + size - 3, "bye", 3);
}
END_TEST

START_TEST(what_is_kept_is_sent_to_a_peer_that_reads_after_it_has_sent_all)
{
    static char text[60000];
    size_t sent = 0;
    open_narrow((enum kind)_i, 8192);
    size_t size = fill_up();
    heard.is_over = true;
    connection_finish(&heard.c);
    for (turns_wait_for("all sent", __FILE__, __LINE__); sent < sizeof text; turns_for(1)) {
        sent += peer_send_some(&peer, span_make(text + sent, sizeof text - sent));
        ck_assert_int_eq(peer.error, 0);
    }
    UNTIL(peer_has_ended(&peer));
    ck_assert_uint_eq(peer_read(&peer), size);
}
END_TEST

START_TEST(a_finishing_connection_whose_peer_sends_costs_no_turns)
{
    open_narrow((enum kind)_i, 8192);
    (void)fill_up();
    heard.is_over = true;
    connection_finish(&heard.c);
    (void)peer_send_some(&peer, span_of("what nobody reads"));
    turns_for(5);
    uint64_t before = turns.count;
    turns_for(20);
    ck_assert_uint_le(turns.count - before, 3);
}
END_TEST

START_TEST(the_owner_of_a_finished_connection_hears_no_more_of_it)
{
    open_narrow((enum kind)_i, 8192);
    (void)fill_up();
    heard.is_over = true;
    connection_finish(&heard.c);
    turns_for(2);
    peer_reset(&peer); /* before all was taken */
    turns_for(10);
}
END_TEST

START_TEST(a_deadline_that_was_set_says_nothing_of_a_finished_connection)
{
    open_kind((enum kind)_i);
    connection_set_deadline(heard.c, in_ms(2));
    heard.is_over = true;
    connection_finish(&heard.c);
    turns_for(10);
}
END_TEST

START_TEST(a_peer_that_never_ends_is_waited_for_a_few_seconds)
{
    open_kind(PLAIN);
    heard.is_over = true;
    connection_finish(&heard.c);
    int64_t began_ns = clock_monotonic_ns();
    UNTIL(peer_has_ended(&peer));
    for (turns_wait_for("a reset", __FILE__, __LINE__); peer.error == 0; turns_for(50))
        (void)peer_send_some(&peer, span_of("x"));
    int64_t took_ns = clock_monotonic_ns() - began_ns;
    ck_assert_int_ge(took_ns, CLOCK_SECOND);
    ck_assert_int_le(took_ns, 8 * CLOCK_SECOND);
}
END_TEST

/* ---- starting TLS ---- */

static void start_tls_at_stls(enum connection_event event, struct span *in)
{
    if (event != CONNECTION_DATA || heard.data > 1)
        return;
    take(in, 6);
    ck_assert_int_eq(connection_start_tls(heard.c, context_of(TLS_SERVER)), 0);
}

START_TEST(what_came_before_tls_is_thrown_away)
{
    accept_fd(peer_open(&peer, 0));
    heard.takes = 0;
    heard.then = start_tls_at_stls;
    peer_say(&peer, "STLS\r\nRSET injected\r\n");
    UNTIL(heard.data == 1);
    peer_start_tls(&peer, peer_client, false);
    UNTIL(peer_read(&peer) == 0 && is_told('r'));
    ck_assert_str_eq(heard.events, "dr");
    heard.takes = SIZE_MAX;
    peer_say(&peer, "CAPA\r\n");
    UNTIL(heard.data == 2);
    ck_assert_uint_eq(heard.seen, 6);
    ck_assert(has_heard("STLS\r\nCAPA\r\n"));
}
END_TEST

START_TEST(what_was_left_earlier_is_thrown_away_too)
{
    accept_fd(peer_open(&peer, 0));
    heard.takes = 0;
    peer_say(&peer, "RSET injected\r\n");
    UNTIL(heard.data == 1);
    ck_assert_int_eq(connection_start_tls(heard.c, context_of(TLS_SERVER)), 0);
    peer_start_tls(&peer, peer_client, false);
    UNTIL(peer_read(&peer) == 0 && is_told('r'));
    heard.takes = SIZE_MAX;
    peer_say(&peer, "CAPA\r\n");
    UNTIL(heard.size > 0);
    ck_assert_uint_eq(heard.size, 6);
}
END_TEST

START_TEST(what_comes_in_clear_once_tls_has_started_fails_the_handshake)
{
    accept_fd(peer_open(&peer, 0));
    ck_assert_int_eq(connection_start_tls(heard.c, context_of((enum kind)_i)), 0);
    peer_say(&peer, "RSET injected\r\n");
    UNTIL(is_told('f'));
    ck_assert_str_eq(heard.events, "f");
    ck_assert_ptr_eq(strstr(connection_error(heard.c), "TLS: "), connection_error(heard.c));
}
END_TEST

START_TEST(tls_starts_after_what_was_written_before)
{
    static char text[100000];
    const struct span part = span_make(text, sizeof text);
    open_narrow(PLAIN, 8192);
    connection_write(heard.c, &part, 1);
    ck_assert(connection_is_blocked(heard.c));
    ck_assert_int_eq(connection_start_tls(heard.c, context_of(TLS_SERVER)), 0);
    UNTIL(peer_read(&peer) == sizeof text);
    ck_assert_mem_eq(peer.in, text, sizeof text);
    peer_start_tls(&peer, peer_client, false);
    UNTIL(peer_read(&peer) == sizeof text && is_told('r'));
    ck_assert_str_eq(heard.events, "r");
}
END_TEST

START_TEST(nothing_is_heard_in_clear_while_tls_waits_for_what_was_written)
{
    static char text[100000];
    const struct span part = span_make(text, sizeof text);
    open_narrow(PLAIN, 8192);
    connection_write(heard.c, &part, 1);
    ck_assert_int_eq(connection_start_tls(heard.c, context_of(TLS_SERVER)), 0);
    connection_pause(heard.c); /* as a session does that waits for something else */
    connection_resume(heard.c);
    peer_say(&peer, "RSET injected\r\n");
    turns_for(10);
    ck_assert_str_eq(heard.events, "");
}
END_TEST

START_TEST(a_peer_that_leaves_the_handshake_has_failed)
{
    accept_fd(peer_open(&peer, 0));
    ck_assert_int_eq(connection_start_tls(heard.c, context_of((enum kind)_i)), 0);
    turns_for(2);
    peer_close(&peer);
    UNTIL(is_told('f'));
    ck_assert_str_eq(heard.events, "f");
    ck_assert_str_ne(connection_error(heard.c), "");
}
END_TEST

START_TEST(a_handshake_that_takes_too_long_is_told_by_the_deadline)
{
    accept_fd(peer_open(&peer, 0));
    ck_assert_int_eq(connection_start_tls(heard.c, context_of((enum kind)_i)), 0);
    connection_set_deadline(heard.c, in_ms(5));
    UNTIL(is_told('t'));
    ck_assert_str_eq(heard.events, "t");
}
END_TEST

START_TEST(what_comes_with_the_end_of_the_handshake_is_told_after_it)
{
    accept_fd(peer_open(&peer, 0));
    ck_assert_int_eq(connection_start_tls(heard.c, context_of(TLS_SERVER)), 0);
    peer_start_tls(&peer, peer_client, false);
    connection_pause(heard.c); /* the ClientHello waits, with nothing behind it */
    connection_resume(heard.c);
    for (turns_wait_for("sent", __FILE__, __LINE__);; turn()) /* the first that can be, is */
        if (peer_send_some(&peer, span_of("EHLO client\r\n")) > 0)
            break;
    UNTIL(has_heard("EHLO client\r\n"));
    ck_assert_str_eq(heard.events, "rd");
}
END_TEST

START_TEST(a_ticket_comes_with_what_is_said_next)
{
    open_kind((enum kind)_i);
    say("220 Hello\r\n");
    UNTIL(peer_heard("220 Hello\r\n"));
    bool is_shorter = SSL_version(peer.ssl) == TLS1_3_VERSION;
    ck_assert_uint_eq(segments_in(peer.fd), is_shorter ? 2 : 3);
    ck_assert_int_eq(SSL_SESSION_has_ticket(SSL_get0_session(peer.ssl)), 1);
}
END_TEST

START_TEST(version_and_cipher_are_named_once_there_is_tls)
{
    static const char *const versions[] = {"", "TLSv1.3", "TLSv1.2", "TLSv1.3"};
    open_kind((enum kind)_i);
    ck_assert_str_eq(connection_tls_version(heard.c), versions[_i]);
    ck_assert((connection_tls_cipher(heard.c)[0] == '\0') == (_i == PLAIN));
    if (_i != PLAIN)
        ck_assert_str_eq(connection_tls_cipher(heard.c), SSL_get_cipher_name(peer.ssl));
}
END_TEST

/* ---- connecting, and who is at both ends ---- */

static void connect_to(const struct sockaddr_in *at)
{
    struct error why = {.text = ""};
    struct address to = {.v4 = *at, .size = sizeof *at};
    heard.c = connection_connect(turns.loop, &to, on_event, &heard, &why);
    ck_assert_msg(heard.c != NULL, "%s", why.text);
}

START_TEST(a_connection_that_is_made_is_ready)
{
    struct sockaddr_in at;
    int listening = peer_listen(&at, 0);
    connect_to(&at);
    ck_assert_str_eq(heard.events, "");
    UNTIL(is_told('r'));
    peer_init(&peer, accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
    peer_say(&peer, "220 hello\r\n");
    say("EHLO\r\n");
    UNTIL(has_heard("220 hello\r\n") && peer_heard("EHLO\r\n"));
    ck_assert_str_eq(heard.events, "rd");
    ck_assert_int_eq(close(listening), 0);
}
END_TEST

START_TEST(a_connection_that_is_refused_has_failed)
{
    struct sockaddr_in at;
    ck_assert_int_eq(close(peer_listen(&at, 0)), 0);
    connect_to(&at);
    UNTIL(is_told('f'));
    ck_assert_str_eq(heard.events, "f");
    ck_assert_str_eq(connection_error(heard.c), strerror(ECONNREFUSED));
}
END_TEST

START_TEST(what_can_not_even_be_tried_is_null_and_says_why)
{
    struct error why = {.text = ""};
    struct address to;
    ck_assert_int_eq(address_parse("127.0.0.1:25", &to, &why), 0);
    struct rlimit before;
    int next = dup(STDERR_FILENO);
    ck_assert_int_eq(close(next), 0);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    ck_assert_ptr_null(connection_connect(turns.loop, &to, on_event, &heard, &why));
    ck_assert_ptr_nonnull(strstr(why.text, strerror(EMFILE)));
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}
END_TEST

START_TEST(a_network_that_can_not_be_reached_is_told)
{
    struct error why = {.text = ""};
    struct address to;
    ck_assert_int_eq(address_parse("255.255.255.255:25", &to, &why), 0);
    heard.c = connection_connect(turns.loop, &to, on_event, &heard, &why);
    ck_assert_ptr_nonnull(heard.c);
    UNTIL(is_told('f'));
    ck_assert_str_eq(heard.events, "f");
    ck_assert_str_ne(connection_error(heard.c), "");
}
END_TEST

START_TEST(it_can_be_closed_or_finished_before_it_is_made)
{
    struct sockaddr_in at;
    int listening = peer_listen(&at, 0);
    heard.is_over = true;
    connect_to(&at);
    connection_close(&heard.c);
    connect_to(&at);
    connection_finish(&heard.c);
    ck_assert_ptr_null(heard.c);
    turns_for(5);
    ck_assert_int_eq(close(listening), 0);
}
END_TEST

START_TEST(it_can_be_closed_when_it_is_ready_or_has_failed)
{
    struct sockaddr_in at;
    int listening = peer_listen(&at, 0);
    closes_at = _i == 0 ? 'r' : 'f';
    heard.then = close_within;
    if (_i == 1)
        ck_assert_int_eq(close(listening), 0);
    connect_to(&at);
    UNTIL(heard.c == NULL);
    if (_i == 0)
        ck_assert_int_eq(close(listening), 0);
}
END_TEST

START_TEST(both_ends_have_addresses)
{
    struct sockaddr_in there;
    socklen_t size = sizeof there;
    struct address here;
    accept_fd(peer_open(&peer, 0));
    ck_assert_int_eq(getsockname(peer.fd, (struct sockaddr *)&there, &size), 0);
    ck_assert_int_eq(address_port(connection_peer(heard.c)), ntohs(there.sin_port));
    size = sizeof there;
    ck_assert_int_eq(getpeername(peer.fd, (struct sockaddr *)&there, &size), 0);
    connection_local(heard.c, &here);
    ck_assert_int_eq(address_port(&here), ntohs(there.sin_port));
    ck_assert_int_eq(here.v4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
}
END_TEST

/* ---- without memory ---- */

static void accept_and_connect(int kept, const struct address *to)
{
    struct error why = {.text = ""};
    int fd = dup(kept);
    struct connection *accepted = connection_accept(turns.loop, fd, to, on_event, &heard);
    bool is_closed = fcntl(fd, F_GETFD) < 0, is_accepted = accepted != NULL;
    struct connection *made = connection_connect(turns.loop, to, on_event, &heard, &why);
    int failures = (accepted == NULL) + (made == NULL);
    bool is_told = (why.text[0] != '\0') == (made == NULL);
    connection_close(&accepted);
    connection_close(&made);
    if (failures != failing_has_failed() || is_closed == is_accepted || !is_told)
        ck_abort_msg("null, closed and told without memory alone");
}

START_TEST(without_memory_there_is_no_connection_and_the_socket_is_closed)
{
    struct sockaddr_in at;
    int listening = peer_listen(&at, 0), kept = peer_open(&peer, 0), before = dup(kept);
    const struct address to = {.v4 = at, .size = sizeof at};
    ck_assert_int_eq(close(before), 0);
    WITH_EACH_ALLOCATION_FAILING(accept_and_connect(kept, &to));
    int after = dup(kept);
    ck_assert_int_eq(after, before); /* nothing is left open */
    ck_assert_int_eq(close(after), 0);
    ck_assert_int_eq(close(kept), 0);
    ck_assert_int_eq(close(listening), 0);
}
END_TEST

#define EACH_KIND(name) tcase_add_loop_test(tests, name, 0, KINDS)
#define EACH_TLS(name)  tcase_add_loop_test(tests, name, TLS_SERVER, KINDS)

SUITE(connection)
{
    tcase_add_unchecked_fixture(tests, make_files, folder_remove);
    tcase_add_checked_fixture(tests, begin, end);
    EACH_KIND(what_the_peer_sends_comes_as_data);
    EACH_KIND(what_is_left_comes_again_with_more_behind_it);
    EACH_KIND(all_of_a_megabyte_comes_in_order);
    EACH_KIND(at_most_twice_64_kib_come_in_a_turn);
    EACH_KIND(what_is_left_is_told_before_the_end);
    EACH_KIND(a_peer_that_sends_more_than_can_be_looked_at_has_failed);
    EACH_TLS(a_record_that_is_not_whole_yet_is_waited_for_in_peace);
    EACH_KIND(an_idle_connection_costs_no_turn);
    EACH_KIND(while_it_is_paused_nothing_is_told);
    EACH_KIND(a_paused_connection_whose_peer_sends_costs_no_turns);
    EACH_KIND(what_was_left_comes_again_at_a_resume);
    EACH_KIND(a_resume_within_the_callback_brings_what_was_left_at_once);
    EACH_KIND(a_resume_brings_what_openssl_already_holds);
    EACH_KIND(a_pause_within_the_callback_keeps_the_end_back);
    EACH_KIND(the_end_is_told_behind_the_data);
    EACH_KIND(the_end_is_told_again_at_each_resume);
    EACH_KIND(what_was_left_is_told_again_before_the_end);
    EACH_KIND(a_peer_that_sends_no_more_may_still_read);
    EACH_TLS(a_tls_end_without_its_alert_is_an_end);
    EACH_KIND(parts_are_written_one_behind_the_other);
    EACH_TLS(small_parts_go_in_one_record);
    EACH_KIND(a_megabyte_that_the_peer_takes_slowly_arrives_in_order);
    EACH_KIND(drained_is_told_once);
    EACH_KIND(both_sides_can_send_at_once);
    EACH_KIND(a_peer_for_which_no_more_can_be_kept_has_failed);
    EACH_KIND(a_reset_is_told_once_and_last);
    EACH_KIND(a_write_that_fails_is_told_by_the_loop);
    EACH_TLS(what_came_before_a_broken_record_is_told_first);
    EACH_KIND(a_deadline_is_told_once_when_it_has_passed);
    EACH_KIND(a_deadline_moves_both_ways_and_can_be_taken_back);
    EACH_KIND(a_deadline_is_told_while_it_is_paused);
    EACH_KIND(life_goes_on_after_a_deadline);
    EACH_KIND(another_owner_gets_what_the_first_has_left);
    EACH_KIND(another_owner_set_within_the_callback_gets_what_is_left_then);
    EACH_KIND(another_owner_of_a_paused_connection_gets_nothing_before_it_resumes);
    tcase_add_loop_test(tests, it_can_be_closed_within_each_callback, 0, 5 * KINDS);
    tcase_add_loop_test(tests, it_can_be_finished_within_each_callback, 0, 5 * KINDS);
    EACH_TLS(it_can_be_closed_when_the_handshake_is_done);
    EACH_KIND(closing_leaves_null_and_a_closed_one_is_left_alone);
    EACH_KIND(a_finished_connection_delivers_its_last_words);
    EACH_TLS(last_words_and_the_end_of_tls_come_in_one_segment);
    EACH_KIND(what_may_wait_for_more_goes_with_it_in_one_segment);
    EACH_KIND(what_may_wait_for_more_goes_alone_when_nothing_follows);
    EACH_KIND(last_words_arrive_although_the_peer_still_sends);
    EACH_KIND(what_is_kept_is_sent_before_the_end);
    EACH_KIND(what_is_kept_is_sent_to_a_peer_that_reads_after_it_has_sent_all);
    EACH_KIND(a_finishing_connection_whose_peer_sends_costs_no_turns);
    EACH_KIND(the_owner_of_a_finished_connection_hears_no_more_of_it);
    EACH_KIND(a_deadline_that_was_set_says_nothing_of_a_finished_connection);
    TEST(a_peer_that_never_ends_is_waited_for_a_few_seconds);
    TEST(what_came_before_tls_is_thrown_away);
    TEST(what_was_left_earlier_is_thrown_away_too);
    EACH_TLS(what_comes_in_clear_once_tls_has_started_fails_the_handshake);
    TEST(tls_starts_after_what_was_written_before);
    TEST(nothing_is_heard_in_clear_while_tls_waits_for_what_was_written);
    EACH_TLS(a_peer_that_leaves_the_handshake_has_failed);
    EACH_TLS(a_handshake_that_takes_too_long_is_told_by_the_deadline);
    TEST(what_comes_with_the_end_of_the_handshake_is_told_after_it);
    tcase_add_loop_test(tests, a_ticket_comes_with_what_is_said_next, TLS_SERVER, TLS_CLIENT);
    EACH_KIND(version_and_cipher_are_named_once_there_is_tls);
    TEST(a_connection_that_is_made_is_ready);
    TEST(a_connection_that_is_refused_has_failed);
    TEST(what_can_not_even_be_tried_is_null_and_says_why);
    TEST(a_network_that_can_not_be_reached_is_told);
    TEST(it_can_be_closed_or_finished_before_it_is_made);
    tcase_add_loop_test(tests, it_can_be_closed_when_it_is_ready_or_has_failed, 0, 2);
    TEST(both_ends_have_addresses);
    TEST(without_memory_there_is_no_connection_and_the_socket_is_closed);
}
