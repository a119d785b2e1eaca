#include "net/listener.h"

#include "peer.h"
#include "turns.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { CLIENTS = 5 };

/* Doors at one address, each with what has come to it. */
static struct door {
    struct listener *listener;
    unsigned clients, last, pauses;
    int fd; /* of the client that came last */
    struct address peer;
    bool keeps, closes_door;
} doors[2];

static int listening;
static struct address at;
static int clients[CLIENTS];

static void on_accept(void *owner, int fd, const struct address *peer, bool is_last)
{
    struct door *d = owner;
    d->clients++;
    d->last += is_last;
    d->fd = fd;
    d->peer = *peer;
    if (!d->keeps)
        ck_assert_int_eq(close(fd), 0);
    if (d->closes_door)
        listener_destroy(&d->listener);
}

static void on_paused(void *owner)
{
    struct door *d = owner;
    d->pauses++;
}

static void open_door(struct door *d)
{
    d->listener = listener_create(turns.loop, listening, on_accept, on_paused, d);
    ck_assert_ptr_nonnull(d->listener);
}

static int bind_free(const char *text)
{
    struct error why = {.text = ""};
    ck_assert_int_eq(address_parse(text, &at, &why), 0);
    at.v4.sin_port = 0; /* in the same place for IPv6 */
    int fd = listener_bind(&at, &why);
    ck_assert_msg(fd >= 0, "%s", why.text);
    at.size = sizeof at.v6;
    ck_assert_int_eq(getsockname(fd, &at.any, &at.size), 0);
    return fd;
}

static void begin(void)
{
    turns_begin();
    listening = bind_free("127.0.0.1:1");
    memset(clients, -1, sizeof clients);
}

static void end(void)
{
    for (size_t i = 0; i < 2; i++)
        listener_destroy(&doors[i].listener);
    for (size_t i = 0; i < CLIENTS; i++)
        if (clients[i] >= 0)
            ck_assert_int_eq(close(clients[i]), 0);
    ck_assert_int_eq(close(listening), 0);
    turns_end();
}

static void clients_come(size_t count)
{
    for (size_t i = 0; i < count; i++)
        clients[i] = peer_connect(&at.v4);
}

START_TEST(a_client_is_handed_over_with_its_address)
{
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    doors[0].keeps = true;
    open_door(&doors[0]);
    clients_come(1);
    UNTIL(doors[0].clients == 1);
    ck_assert_int_eq(getsockname(clients[0], (struct sockaddr *)&from, &size), 0);
    ck_assert_int_eq(address_port(&doors[0].peer), ntohs(from.sin_port));
    ck_assert_uint_eq(doors[0].last, 0);
    ck_assert_int_ne(fcntl(doors[0].fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(doors[0].fd, F_GETFD) & FD_CLOEXEC, 0);
    ck_assert_int_eq(close(doors[0].fd), 0);
}
END_TEST

START_TEST(small_replies_to_a_client_are_not_held_back)
{
    int is_on = 0;
    socklen_t size = sizeof is_on;
    doors[0].keeps = true;
    open_door(&doors[0]);
    clients_come(1);
    UNTIL(doors[0].clients == 1);
    ck_assert_int_eq(getsockopt(doors[0].fd, IPPROTO_TCP, TCP_NODELAY, &is_on, &size), 0);
    ck_assert_int_ne(is_on, 0);
    ck_assert_int_eq(close(doors[0].fd), 0);
}
END_TEST

START_TEST(one_client_is_accepted_an_event_so_that_other_workers_get_theirs)
{
    clients_come(CLIENTS);
    open_door(&doors[0]);
    for (unsigned n = 1; n <= CLIENTS; n++) {
        turn();
        ck_assert_uint_eq(doors[0].clients, n);
    }
}
END_TEST

START_TEST(a_client_that_another_worker_has_taken_is_nothing_to_worry_about)
{
    open_door(&doors[0]);
    open_door(&doors[1]);
    clients_come(1);
    UNTIL(doors[0].clients + doors[1].clients == 1);
    turns_for(5);
    ck_assert_uint_eq(doors[0].clients + doors[1].clients, 1);
    ck_assert_uint_eq(doors[0].pauses + doors[1].pauses, 0);
}
END_TEST

START_TEST(a_closed_door_accepts_no_more_and_leaves_the_socket_open)
{
    open_door(&doors[0]);
    listener_destroy(&doors[0].listener);
    ck_assert_ptr_null(doors[0].listener);
    listener_destroy(&doors[0].listener);
    clients_come(1);
    turns_for(5);
    ck_assert_uint_eq(doors[0].clients, 0);
    open_door(&doors[1]);
    UNTIL(doors[1].clients == 1);
}
END_TEST

START_TEST(a_door_can_be_closed_by_the_client_that_comes)
{
    doors[0].closes_door = true;
    open_door(&doors[0]);
    clients_come(2);
    UNTIL(doors[0].clients == 1);
    turns_for(5);
    ck_assert_uint_eq(doors[0].clients, 1);
}
END_TEST

/* ---- without descriptors ---- */

static struct rlimit before;

/* No descriptor is left. */
static void use_up(void)
{
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(listening);
    ck_assert_int_eq(close(next), 0);
    const struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    ck_assert_int_eq(dup(listening), -1);
}

static void let_go(void)
{
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}

START_TEST(without_descriptors_a_client_gets_the_last_one_and_the_others_wait)
{
    clients_come(3);
    open_door(&doors[0]);
    use_up();
    UNTIL(doors[0].clients == 1);
    ck_assert_uint_eq(doors[0].last, 1);
    ck_assert_uint_eq(doors[0].pauses, 1);
    int64_t since_ns = loop_now(turns.loop);
    UNTIL(doors[0].clients == 2);
    ck_assert_int_ge(clock_monotonic_ns() - since_ns, 90 * CLOCK_MS);
    ck_assert_uint_eq(doors[0].last, 2);
    ck_assert_uint_eq(doors[0].pauses, 2);
    let_go();
    UNTIL(doors[0].clients == 3);
    ck_assert_uint_eq(doors[0].last, 2);
    ck_assert_uint_eq(doors[0].pauses, 2);
}
END_TEST

START_TEST(while_the_last_descriptor_is_in_use_clients_wait)
{
    clients_come(2);
    open_door(&doors[0]);
    doors[0].keeps = true;
    use_up();
    UNTIL(doors[0].clients == 1);
    UNTIL(doors[0].pauses >= 2);
    ck_assert_uint_eq(doors[0].clients, 1);
    ck_assert_int_eq(close(doors[0].fd), 0);
    UNTIL(doors[0].clients == 2);
    ck_assert_int_eq(close(doors[0].fd), 0);
    let_go();
}
END_TEST

START_TEST(a_pausing_door_can_be_closed)
{
    clients_come(2);
    open_door(&doors[0]);
    use_up();
    UNTIL(doors[0].clients == 1);
    listener_destroy(&doors[0].listener);
    let_go();
    turns_for(120);
    ck_assert_uint_eq(doors[0].clients, 1);
}
END_TEST

/* ---- binding ---- */

START_TEST(an_address_in_use_is_refused_with_the_reason)
{
    struct error why = {.text = ""};
    ck_assert_int_eq(listener_bind(&at, &why), -1);
    ck_assert_str_eq(why.text, strerror(EADDRINUSE));
}
END_TEST

START_TEST(an_address_is_free_again_when_its_socket_is_closed)
{
    struct error why = {.text = ""};
    doors[0].keeps = true;
    open_door(&doors[0]);
    clients_come(1);
    UNTIL(doors[0].clients == 1);
    listener_destroy(&doors[0].listener);
    ck_assert_int_eq(close(listening), 0);
    ck_assert_int_eq(close(doors[0].fd), 0); /* the server's end first: TIME_WAIT is here */
    listening = listener_bind(&at, &why);
    ck_assert_msg(listening >= 0, "%s", why.text);
}
END_TEST

START_TEST(an_ipv6_socket_takes_ipv6_alone)
{
    int is_only = 0;
    socklen_t size = sizeof is_only;
    int fd = bind_free("[::1]:1");
    ck_assert_int_eq(getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_only, &size), 0);
    ck_assert_int_eq(is_only, 1);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

static bool may_not_bind_25(void)
{
    struct error why = {.text = ""};
    struct address smtp;
    return address_parse("127.0.0.1:25", &smtp, &why) == 0 && setuid(65534) == 0 &&
           listener_bind(&smtp, &why) < 0 && strstr(why.text, "CAP_NET_BIND_SERVICE") != NULL;
}

START_TEST(a_privileged_port_is_refused_with_what_would_help)
{
    int status;
    FILE *stream = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
    ck_assert_ptr_nonnull(stream);
    int is_checked = fscanf(stream, "%d", &status) == 1 && status > 25;
    (void)fclose(stream); /* it was only read */
    if (geteuid() != 0 || !is_checked) {
        fputs("skipped: a_privileged_port_is_refused_with_what_would_help\n", stderr);
        return;
    }
    pid_t child = fork();
    if (child == 0)
        _exit(may_not_bind_25() ? 0 : 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* ---- without memory ---- */

static void open_and_close(void)
{
    struct door *d = &doors[0];
    d->listener = listener_create(turns.loop, listening, on_accept, on_paused, d);
    bool is_null = d->listener == NULL;
    listener_destroy(&d->listener);
    if (is_null != failing_has_failed())
        ck_abort_msg("null without memory alone");
}

START_TEST(without_memory_there_is_no_listener_and_nothing_is_left_open)
{
    int before_all = dup(listening);
    ck_assert_int_eq(close(before_all), 0);
    WITH_EACH_ALLOCATION_FAILING(open_and_close());
    int after = dup(listening);
    ck_assert_int_eq(after, before_all);
    ck_assert_int_eq(close(after), 0);
}
END_TEST

SUITE(listener)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(a_client_is_handed_over_with_its_address);
    TEST(small_replies_to_a_client_are_not_held_back);
    TEST(one_client_is_accepted_an_event_so_that_other_workers_get_theirs);
    TEST(a_client_that_another_worker_has_taken_is_nothing_to_worry_about);
    TEST(a_closed_door_accepts_no_more_and_leaves_the_socket_open);
    TEST(a_door_can_be_closed_by_the_client_that_comes);
    TEST(without_descriptors_a_client_gets_the_last_one_and_the_others_wait);
    TEST(while_the_last_descriptor_is_in_use_clients_wait);
    TEST(a_pausing_door_can_be_closed);
    TEST(an_address_in_use_is_refused_with_the_reason);
    TEST(an_address_is_free_again_when_its_socket_is_closed);
    TEST(an_ipv6_socket_takes_ipv6_alone);
    TEST(a_privileged_port_is_refused_with_what_would_help);
    TEST(without_memory_there_is_no_listener_and_nothing_is_left_open);
}
