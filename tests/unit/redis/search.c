/* Sentinels and a Cluster: real ones, and peers that say what real ones rarely do. */
#include "redis/search.h"

#include "redis/calls.h"

/* ---- Sentinels ---- */

static struct {
    pid_t pid;
    int port;
    struct redis_server seeds[3];
    const char *texts[3];
} asked;

/* Takes these ports as who is asked first; 0 is the end. */
static void seeds_are(const int *ports)
{
    static char texts[3][32];
    size_t count = 0;
    for (; ports[count] != 0; count++) {
        (void)snprintf(texts[count], sizeof texts[count], "127.0.0.1:%d", ports[count]); /* fits */
        asked.texts[count] = texts[count];
        asked.seeds[count] = (struct redis_server){.text = texts[count]};
        ck_assert_int_eq(address_parse(texts[count], &asked.seeds[count].to, NULL), 0);
    }
    behind.config.servers = asked.seeds;
    behind.config.server_count = count;
}

static void sentinels_are(const int *ports)
{
    seeds_are(ports);
    behind.config.sentinels = (struct text_list){asked.texts, behind.config.server_count};
    behind.config.master = "mail";
}

/* Runs one that knows the server as "mail". */
static void sentinel_run(const char *setting)
{
    char text[600];
    asked.port = server_free_port();
    (void)snprintf(text, sizeof text,
                   "bind 127.0.0.1\nport %d\ndir %s\nlogfile %s/sentinel.log\n%s\n"
                   "sentinel monitor mail 127.0.0.1 %d 1\n",
                   asked.port, folder, folder, setting, behind.port); /* fits */
    asked.pid = server_fork("redis-sentinel", asked.port, text);
}

static void end(void)
{
    server_end_pid(&asked.pid);
    server_end();
}

START_TEST(the_master_that_a_sentinel_names_counts)
{
    server_start("");
    sentinel_run("");
    sentinels_are((const int[]){asked.port, 0});
    redis_open();
    is_answered();
    ck_assert_str_eq(redis_cli("EXISTS {porteiro}:x"), "1\n");
    end();
}
END_TEST

START_TEST(the_next_sentinel_is_asked_at_once_where_one_is_away)
{
    server_start("");
    sentinel_run("");
    sentinels_are((const int[]){server_free_port(), asked.port, 0});
    redis_open();
    is_answered();
    ck_assert_uint_eq(heard.losses, 0);
    ck_assert_uint_eq(lines_with("event=redis_"), 0);
    end();
}
END_TEST

START_TEST(sentinel_and_server_have_passwords_of_their_own)
{
    server_start("requirepass secret");
    sentinel_run("requirepass another");
    sentinels_are((const int[]){asked.port, 0});
    behind.options.password = "secret";
    behind.options.sentinel_password = "another";
    redis_open();
    is_answered();
    end();
}
END_TEST

START_TEST(users_who_may_do_what_the_manual_says_are_enough)
{
    server_start(SERVER_USER " +role");
    sentinel_run("user gateway on >another +sentinel|get-master-addr-by-name");
    sentinels_are((const int[]){asked.port, 0});
    behind.config.username = "porteiro";
    behind.options.password = "secret";
    behind.config.sentinel_username = "gateway";
    behind.options.sentinel_password = "another";
    redis_open();
    is_answered();
    end();
}
END_TEST

START_TEST(a_sentinel_that_does_not_know_the_master_says_so)
{
    server_start("");
    sentinel_run("");
    sentinels_are((const int[]){asked.port, 0});
    behind.config.master = "other";
    redis_open();
    is_lost_for("no master of that name");
    end();
}
END_TEST

/* A peer at a port of its own. */
static struct {
    struct peer peer;
    int listening, port;
} fake;

static void fake_listen(void)
{
    struct sockaddr_in at;
    fake.listening = peer_listen(&at, 0);
    fake.port = ntohs(at.sin_port);
}

/* Takes a connection, hears this in it, and answers. */
static void fake_answers(const char *text, const char *answer)
{
    int fd = -1;
    UNTIL((fd = accept4(fake.listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0);
    peer_init(&fake.peer, fd);
    UNTIL(peer_read(&fake.peer) > 0 &&
          memmem(fake.peer.in, fake.peer.size, text, strlen(text)) != NULL);
    peer_say(&fake.peer, answer);
}

static void fake_end(void)
{
    peer_close(&fake.peer);
    ck_assert_int_eq(close(fake.listening), 0);
    server_end();
}

START_TEST(a_replica_that_can_be_written_to_is_no_master)
{
    char answer[100];
    server_start("replicaof 127.0.0.1 1\nreplica-read-only no");
    fake_listen();
    sentinels_are((const int[]){fake.port, 0});
    redis_open();
    (void)snprintf(answer, sizeof answer, "*2\r\n$9\r\n127.0.0.1\r\n$5\r\n%d\r\n",
                   behind.port); /* fits */
    fake_answers("GET-MASTER-ADDR-BY-NAME", answer);
    is_lost_for("ROLE: it is no master");
    fake_end();
}
END_TEST

START_TEST(who_waits_for_sentinels_that_hang_is_told_in_time)
{
    server_start("");
    fake_listen();
    sentinels_are((const int[]){fake.port, fake.port, fake.port, 0});
    behind.config.timeout_ms = 100;
    redis_open();
    ck_assert_int_eq(ask(), 0);
    UNTIL(heard.losses == 1);
    is_lost_for("no answer in time");
    ck_assert_int_eq(close(fake.listening), 0);
    server_end();
}
END_TEST

/* ---- a Cluster ---- */

START_TEST(a_server_that_belongs_to_no_cluster_is_not_taken_for_one)
{
    server_start("");
    seeds_are((const int[]){behind.port, server_free_port(), 0});
    redis_open();
    UNTIL(!redis_is_trusted(behind.redis));
    ck_assert_uint_eq(lines_with("event=redis_lost"), 1);
    turns_for(200);
    ck_assert(!redis_is_trusted(behind.redis));
    server_end();
}
END_TEST

START_TEST(nodes_that_send_us_to_each_other_are_left)
{
    char answer[100];
    server_start("");
    fake_listen();
    seeds_are((const int[]){fake.port, 0});
    redis_open();
    (void)snprintf(answer, sizeof answer, "+PONG\r\n-MOVED 1 127.0.0.1:%d\r\n",
                   fake.port); /* fits */
    for (int i = 0; i < 6; i++) {
        if (i > 0)
            peer_close(&fake.peer);
        fake_answers("probe", answer);
    }
    is_lost_for("one sends us to the other");
    fake_end();
}
END_TEST

enum { NODES = 3 };

static struct node {
    pid_t pid;
    int port;
    char id[41];
} nodes[NODES];

static void node_run(struct node *n, const char *setting)
{
    char text[1000];
    n->port = server_free_port();
    (void)snprintf(text, sizeof text,
                   "bind 127.0.0.1\nport %d\nsave \"\"\ndir %s\nlogfile %s/node.log\n"
                   "cluster-enabled yes\ncluster-config-file nodes-%d.conf\ncluster-port %d\n"
                   "cluster-node-timeout 5000\ncluster-require-full-coverage no\n%s\n",
                   n->port, folder, folder, n->port, server_free_port(), setting); /* fits */
    n->pid = server_fork("redis-server", n->port, text);
    (void)span_copy(span_make(redis_cli_at(n->port, "CLUSTER MYID"), 40), n->id, sizeof n->id);
}

/* All know that all slots are at the first. */
static bool knows_all(const struct node *n)
{
    const char *info = redis_cli_at(n->port, "CLUSTER INFO");
    return strstr(info, "cluster_state:ok") != NULL &&
           strstr(info, "cluster_known_nodes:3") != NULL &&
           strstr(info, "cluster_slots_assigned:16384") != NULL;
}

/* They tell each other in seconds. */
static void wait_for_gossip(const struct node *n)
{
    for (int i = 0; i < 1200 && !knows_all(n); i++)
        (void)usleep(25000); /* asked again */
    ck_assert(knows_all(n));
}

static void cluster_begin(const char *setting)
{
    turns_begin();
    for (size_t i = 0; i < NODES; i++)
        node_run(&nodes[i], setting);
    (void)redis_cli_at(nodes[0].port, "CLUSTER ADDSLOTSRANGE 0 16383");
    for (size_t i = 1; i < NODES; i++) {
        char bus[200];
        (void)snprintf(bus, sizeof bus, "%s",
                       redis_cli_at(nodes[i].port, "CONFIG GET cluster-port"));
        (void)redis_cli_at(nodes[0].port, "CLUSTER MEET 127.0.0.1 %d %s", nodes[i].port,
                           strchr(bus, '\n') + 1);
    }
    for (size_t i = 0; i < NODES; i++)
        wait_for_gossip(&nodes[i]);
    behind.port = nodes[0].port;
    server_options();
}

static void cluster_end(void)
{
    for (size_t i = 0; i < NODES; i++)
        server_end_pid(&nodes[i].pid);
    server_end();
}

/* The node of the keys has seen the trial of the script. */
static bool behind_is_connected(void)
{
    return strstr(redis_cli_at(nodes[0].port, "CLIENT LIST"), "cmd=eval ") != NULL;
}

static int slot(void)
{
    return atoi(redis_cli_at(nodes[0].port, "CLUSTER KEYSLOT porteiro"));
}

/* From one node to another, its key with it; both are told. */
static void begin_move(const struct node *from, const struct node *to)
{
    int number = slot();
    (void)redis_cli_at(to->port, "CLUSTER SETSLOT %d IMPORTING %s", number, from->id);
    (void)redis_cli_at(from->port, "CLUSTER SETSLOT %d MIGRATING %s", number, to->id);
}

static void end_move(const struct node *from, const struct node *to)
{
    int number = slot();
    (void)redis_cli_at(from->port, "MIGRATE 127.0.0.1 %d {porteiro}:x 0 2000", to->port);
    (void)redis_cli_at(to->port, "CLUSTER SETSLOT %d NODE %s", number, to->id);
    (void)redis_cli_at(from->port, "CLUSTER SETSLOT %d NODE %s", number, to->id);
}

START_TEST(a_seed_of_a_cluster_leads_to_the_node_of_the_keys)
{
    cluster_begin("");
    seeds_are((const int[]){server_free_port(), nodes[1].port, nodes[2].port, 0});
    redis_open();
    is_answered();
    ck_assert_str_eq(redis_cli_at(nodes[0].port, "EXISTS {porteiro}:x"), "1\n");
    ck_assert_uint_eq(lines_with("event=redis_"), 0);
    cluster_end();
}
END_TEST

START_TEST(a_user_of_a_cluster_who_may_do_what_the_manual_says_is_enough)
{
    cluster_begin(SERVER_USER " +cluster|keyslot +asking");
    behind.config.username = "porteiro";
    behind.options.password = "secret";
    seeds_are((const int[]){nodes[1].port, nodes[2].port, 0});
    redis_open();
    is_answered();
    cluster_end();
}
END_TEST

START_TEST(calls_go_on_where_the_slot_has_moved_to)
{
    cluster_begin("");
    seeds_are((const int[]){nodes[0].port, nodes[1].port, 0});
    redis_open();
    is_answered();
    begin_move(&nodes[0], &nodes[2]);
    end_move(&nodes[0], &nodes[2]);
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(ask(), 0);
    UNTIL(heard.answers == 51);
    ck_assert_uint_eq(heard.losses, 0);
    ck_assert_int_eq(heard.status, 2); /* two more have passed: what was counted has moved too */
    ck_assert_uint_eq(lines_with("event=redis_moved"), 1);
    ck_assert_uint_eq(lines_with("event=redis_lost"), 0);
    cluster_end();
}
END_TEST

START_TEST(a_key_that_would_be_new_is_asked_for_where_the_slot_is_moving_to)
{
    cluster_begin(SERVER_USER " +cluster|keyslot +asking");
    behind.config.username = "porteiro";
    behind.options.password = "secret";
    seeds_are((const int[]){nodes[0].port, nodes[1].port, 0});
    redis_open();
    UNTIL(behind_is_connected());
    begin_move(&nodes[0], &nodes[2]);
    is_answered();
    is_answered();
    ck_assert_int_eq(strncmp(redis_cli_at(nodes[0].port, "EXISTS {porteiro}:x"), "ASK ", 4), 0);
    end_move(&nodes[0], &nodes[2]);
    is_answered();
    is_answered();
    ck_assert_int_eq(heard.status, 2); /* three have passed, wherever */
    ck_assert_uint_eq(heard.losses, 0);
    ck_assert_uint_eq(lines_with("event=redis_lost"), 0);
    cluster_end();
}
END_TEST

START_TEST(what_a_cluster_can_not_do_while_it_moves_is_told_once_and_done_afterwards)
{
    cluster_begin("");
    seeds_are((const int[]){nodes[0].port, nodes[1].port, 0});
    redis_open();
    is_answered();
    begin_move(&nodes[0], &nodes[2]);
    turn();                                       /* as ask does */
    ck_assert_int_eq(ask_for("{porteiro}:y"), 0); /* it isn't there, and x is */
    is_lost_for("TRYAGAIN");
    turns_for(200);
    ck_assert(!redis_is_trusted(behind.redis));
    end_move(&nodes[0], &nodes[2]);
    is_trusted_again();
    ck_assert_uint_eq(lines_with("event=redis_lost"), 1);
    cluster_end();
}
END_TEST

START_TEST(a_node_that_can_not_be_asked_is_told_once)
{
    char answer[100];
    server_start("");
    fake_listen();
    seeds_are((const int[]){fake.port, 0});
    redis_open();
    fake_answers("probe", "+PONG\r\n*5\r\n:1\r\n:0\r\n:0\r\n:0\r\n:0\r\n");
    ck_assert_int_eq(ask(), 0);
    UNTIL(peer_read(&fake.peer) > 0 && memmem(fake.peer.in, fake.peer.size, "EVALSHA", 7) != NULL);
    (void)snprintf(answer, sizeof answer, "-ASK 1 127.0.0.1:%d\r\n", server_free_port()); /* fits */
    peer_say(&fake.peer, answer);
    UNTIL(heard.losses == 1);
    is_lost_for("Connection refused");
    fake_end();
}
END_TEST

START_TEST(a_node_that_has_died_is_told_once_and_used_again)
{
    cluster_begin("");
    seeds_are((const int[]){nodes[1].port, nodes[2].port, 0});
    redis_open();
    is_answered();
    server_end_pid(&nodes[0].pid);
    is_lost_for("it has closed the connection");
    turns_for(300);
    ck_assert(!redis_is_trusted(behind.redis));
    ck_assert_uint_eq(lines_with("event=redis_lost"), 1);
    cluster_end();
}
END_TEST

SUITE(search)
{
    folder_use(tests);
    tcase_set_timeout(tests, 60);
    TEST(the_master_that_a_sentinel_names_counts);
    TEST(the_next_sentinel_is_asked_at_once_where_one_is_away);
    TEST(sentinel_and_server_have_passwords_of_their_own);
    TEST(users_who_may_do_what_the_manual_says_are_enough);
    TEST(a_sentinel_that_does_not_know_the_master_says_so);
    TEST(a_replica_that_can_be_written_to_is_no_master);
    TEST(who_waits_for_sentinels_that_hang_is_told_in_time);
    TEST(a_server_that_belongs_to_no_cluster_is_not_taken_for_one);
    TEST(nodes_that_send_us_to_each_other_are_left);
    TEST(a_seed_of_a_cluster_leads_to_the_node_of_the_keys);
    TEST(a_user_of_a_cluster_who_may_do_what_the_manual_says_is_enough);
    TEST(calls_go_on_where_the_slot_has_moved_to);
    TEST(a_key_that_would_be_new_is_asked_for_where_the_slot_is_moving_to);
    TEST(what_a_cluster_can_not_do_while_it_moves_is_told_once_and_done_afterwards);
    TEST(a_node_that_can_not_be_asked_is_told_once);
    TEST(a_node_that_has_died_is_told_once_and_used_again);
}
