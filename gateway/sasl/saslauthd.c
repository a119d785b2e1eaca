/* A question is four strings, an answer is one that begins with "OK" or "NO"; each has its length
 * in two octets before it, the higher one first. saslauthd serves one question a connection, as
 * many at once as it has processes, and holds a few more in its socket's backlog; past that the
 * kernel refuses at once (EAGAIN), and what is left waits here for its turn. */
#include "sasl/saslauthd.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "net/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ASKED_MAX = 32, ANSWER_MAX = 1024, STRINGS_MAX = 4096 };
#define PATIENCE_NS (20 * CLOCK_SECOND) /* less than a session waits for us */
#define RETRY_NS    (50 * CLOCK_MS)

struct saslauthd_question {
    struct saslauthd_question *next;
    struct saslauthd *client;
    struct connection *connection; /* NULL: it waits */
    struct buffer text;            /* until it is sent */
    int64_t until_ns;
    saslauthd_fn *fn;
    void *owner;
};

struct saslauthd {
    struct loop *loop;
    const char *path;
    struct saslauthd_question *first, **last; /* the oldest first, asked or not */
    size_t asked;
    struct timeout *timer; /* the next look at those that wait */
};

static void on_connection(void *owner, enum connection_event event, struct span *in);
static void on_timer(void *owner);

struct saslauthd *saslauthd_create(struct loop *loop, const char *path)
{
    struct saslauthd *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    *s = (struct saslauthd){.loop = loop, .path = path};
    s->last = &s->first;
    s->timer = timeout_create(loop, on_timer, s);
    if (s->timer == NULL)
        saslauthd_destroy(&s);
    return s;
}

void saslauthd_destroy(struct saslauthd **client)
{
    struct saslauthd *s = *client;
    if (s == NULL)
        return;
    while (s->first != NULL) {
        struct saslauthd_question *q = s->first;
        saslauthd_cancel(&q);
    }
    timeout_destroy(&s->timer);
    free(s);
    *client = NULL;
}

void saslauthd_cancel(struct saslauthd_question **question)
{
    struct saslauthd_question *q = *question;
    if (q == NULL)
        return;
    struct saslauthd *s = q->client;
    struct saslauthd_question **at = &s->first;
    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    if (s->last == &q->next)
        s->last = at;
    if (q->connection != NULL) {
        s->asked--;
        timeout_set(s->timer, loop_now(s->loop)); /* another's turn */
    }
    connection_close(&q->connection);
    buffer_clear(&q->text);
    free(q);
    *question = NULL;
}

static void answer(struct saslauthd_question *q, enum auth_outcome outcome, const char *why)
{
    saslauthd_fn *fn = q->fn;
    void *owner = q->owner;
    saslauthd_cancel(&q);
    fn(owner, outcome, why);
}

static void fail(struct saslauthd_question *q, const char *what)
{
    struct error why;
    (void)error_set(&why, "saslauthd: %s: %s", q->client->path, what);
    answer(q, AUTH_UNAVAILABLE, why.text);
}

/* ---- asking ---- */

/* A connected socket, or -1: see errno. To a unix address that is so at once, or never. */
static int connect_to(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)span_copy(span_of(path), at.sun_path, sizeof at.sun_path); /* checked as it was read */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    int error = errno;
    (void)close(fd); /* nothing was written */
    errno = error;
    return -1;
}

int saslauthd_try(const char *path, struct error *why)
{
    int fd = connect_to(path);
    if (fd < 0 && errno != EAGAIN) /* that one is busy */
        return error_set(why, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd); /* nothing was written */
    return 0;
}

/* Returns 0: asked, or answered that it can't be; -1: not yet. */
static int put(struct saslauthd_question *q)
{
    static const struct address nobody = {.size = 0};
    struct saslauthd *s = q->client;
    int fd = connect_to(s->path);
    if (fd < 0 && errno == EAGAIN)
        return -1;
    if (fd < 0) {
        fail(q, strerror(errno));
        return 0;
    }
    q->connection = connection_accept(s->loop, fd, &nobody, on_connection, q);
    if (q->connection == NULL) {
        fail(q, "out of memory");
        return 0;
    }
    s->asked++;
    connection_set_deadline(q->connection, q->until_ns);
    const struct span text = buffer_bytes(&q->text);
    connection_write(q->connection, &text, 1);
    buffer_clear(&q->text);
    return 0;
}

static struct saslauthd_question *next_waiting(const struct saslauthd *s)
{
    struct saslauthd_question *q = s->first;
    while (q != NULL && q->connection != NULL)
        q = q->next;
    return q;
}

/* Those whose turn it is are asked; those whose time is over are told. */
static void on_timer(void *owner)
{
    struct saslauthd *s = owner;
    int64_t now = loop_now(s->loop);
    struct saslauthd_question *q;
    while ((q = next_waiting(s)) != NULL && q->until_ns <= now)
        fail(q, "all of its processes are busy, or it hangs");
    while (s->asked < ASKED_MAX && (q = next_waiting(s)) != NULL && put(q) == 0)
        continue;
    if (next_waiting(s) != NULL)
        timeout_set(s->timer, now + RETRY_NS);
}

static int add(struct buffer *out, struct span text)
{
    const char size[] = {(char)(text.size >> 8), (char)text.size};
    return buffer_append(out, span_make(size, 2)) < 0 || buffer_append(out, text) < 0 ? -1 : 0;
}

struct saslauthd_question *saslauthd_ask(struct saslauthd *s, const struct saslauthd_login *login,
                                         saslauthd_fn *fn, void *owner)
{
    struct saslauthd_question *q = calloc(1, sizeof *q);
    if (q == NULL)
        return NULL;
    *q = (struct saslauthd_question){.client = s,
                                     .text = {.limit = STRINGS_MAX},
                                     .until_ns = loop_now(s->loop) + PATIENCE_NS,
                                     .fn = fn,
                                     .owner = owner};
    if (add(&q->text, span_of(login->user)) < 0 || add(&q->text, login->password) < 0 ||
        add(&q->text, span_of(login->service)) < 0 || add(&q->text, span_of(login->realm)) < 0) {
        buffer_clear(&q->text);
        free(q);
        return NULL;
    }
    *s->last = q;
    s->last = &q->next;
    timeout_set(s->timer, loop_now(s->loop)); /* the answer comes from the loop */
    return q;
}

/* ---- answers ---- */

/* Some of what begins with "NO" says that saslauthd could not find out. */
static bool is_trouble(struct span text)
{
    static const char *const signs[] = {"[ALERT]",         "internal",   "lookup failure",
                                        "PAM start error", "permission", "krb5_"};
    char copy[ANSWER_MAX + 1];
    (void)span_copy(text, copy, sizeof copy); /* fits */
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (strstr(copy, signs[i]) != NULL)
            return true;
    return false;
}

static void take_answer(struct saslauthd_question *q, struct span text)
{
    if (text.size >= 2 && memcmp(text.data, "OK", 2) == 0) {
        answer(q, AUTH_GOOD, "");
    } else if (text.size >= 2 && memcmp(text.data, "NO", 2) == 0 && !is_trouble(text)) {
        answer(q, AUTH_WRONG, "");
    } else {
        char copy[200];
        (void)span_copy(text, copy, sizeof copy); /* cut to fit */
        fail(q, copy);
    }
}

static void on_connection(void *owner, enum connection_event event, struct span *in)
{
    struct saslauthd_question *q = owner;
    switch (event) {
    case CONNECTION_DATA: {
        if (in->size < 2)
            return; /* the rest comes */
        size_t size = (size_t)(unsigned char)in->data[0] << 8 | (unsigned char)in->data[1];
        if (size > ANSWER_MAX)
            fail(q, "an answer that makes no sense");
        else if (in->size >= 2 + size)
            take_answer(q, span_make(in->data + 2, size));
        return;
    }
    case CONNECTION_TIMEOUT: fail(q, "no answer in time"); return;
    case CONNECTION_EOF: fail(q, "it has closed the connection without an answer"); return;
    case CONNECTION_FAILED: fail(q, connection_error(q->connection)); return;
    case CONNECTION_READY:
    case CONNECTION_DRAINED: return;
    }
}
