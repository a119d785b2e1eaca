/* The running gateway as porteiroctl sees it: a child that answers on a socket, a connection for
 * each answer; and what the command has said on its standard output and error. */
#pragma once

#include "console/commands.h"

#include "support/test.h"
#include "telemetry/mapping.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { GATEWAY_ANSWERS = 8, GATEWAY_TEXT = 64 * 1024 };

static struct {
    char folder[64], path[108];
    int listening;
    pid_t child;
    const char *answers[GATEWAY_ANSWERS];
    struct {
        char requests[4096]; /* a line each */
    } * told;                /* by the child */
    char out[GATEWAY_TEXT], err[GATEWAY_TEXT];
} gateway;

/* The folder goes even when a test fails. */
static inline void gateway_make_folder(void)
{
    (void)snprintf(gateway.folder, sizeof gateway.folder, "/tmp/porteiro-unit-XXXXXX"); /* fits */
    if (mkdtemp(gateway.folder) == NULL)
        abort();
    (void)snprintf(gateway.path, sizeof gateway.path, "%s/socket", gateway.folder); /* fits */
}

static inline void gateway_remove_folder(void)
{
    (void)unlink(gateway.path);  /* of a test that failed */
    (void)rmdir(gateway.folder); /* it is in /tmp */
}

static inline void gateway_begin(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", gateway.path); /* fits */
    (void)unlink(gateway.path);                                          /* as above */
    gateway.listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(gateway.listening, (const struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(gateway.listening, GATEWAY_ANSWERS), 0);
    gateway.told = mapping_make(sizeof *gateway.told);
}

static inline void gateway_end(void)
{
    if (gateway.child > 0) {
        (void)kill(gateway.child, SIGKILL);    /* it may have answered all, and ended */
        (void)waitpid(gateway.child, NULL, 0); /* likewise */
    }
    ck_assert_int_eq(close(gateway.listening), 0);
    (void)unlink(gateway.path); /* a test may have done it */
}

static inline void gateway_use(TCase *tests)
{
    tcase_add_unchecked_fixture(tests, gateway_make_folder, gateway_remove_folder);
    tcase_add_checked_fixture(tests, gateway_begin, gateway_end);
}

/* Reads a line of a request, says the answer, closes. */
static inline void gateway_answer(const char *answer)
{
    size_t used = strlen(gateway.told->requests);
    int fd = accept4(gateway.listening, NULL, NULL, SOCK_CLOEXEC);
    FILE *stream = fd < 0 ? NULL : fdopen(fd, "r+");
    if (stream == NULL ||
        fgets(gateway.told->requests + used, (int)(sizeof gateway.told->requests - used), stream) ==
            NULL ||
        fputs(answer, stream) == EOF || fclose(stream) != 0)
        _exit(1);
}

static inline bool gateway_runs(void)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) /* a test that fails leaves nobody behind */
        return false;
    for (size_t i = 0; i < GATEWAY_ANSWERS && gateway.answers[i] != NULL; i++)
        gateway_answer(gateway.answers[i]);
    return true;
}

/* The answers to the connections that will come, up to NULL. */
static inline void gateway_says(const char *const *answers)
{
    for (size_t i = 0; answers[i] != NULL; i++) {
        ck_assert_uint_lt(i + 1, GATEWAY_ANSWERS);
        gateway.answers[i] = answers[i];
    }
    gateway.child = child_start(gateway_runs);
}

#define GATEWAY_SAYS(...) gateway_says((const char *const[]){__VA_ARGS__, NULL})

/* All answers were asked for. */
static inline void gateway_is_done(void)
{
    child_succeeds(gateway.child);
    gateway.child = 0;
}

/* Sends a stream to a file of its own until kept_text. */
struct kept_stream {
    FILE *stream;
    int before, file;
};

static inline struct kept_stream keep_stream(FILE *stream)
{
    ck_assert_int_eq(fflush(stream), 0);
    struct kept_stream k = {stream, dup(fileno(stream)), memfd_create("said", MFD_CLOEXEC)};
    ck_assert(k.before >= 0 && k.file >= 0);
    ck_assert_int_ge(dup2(k.file, fileno(stream)), 0);
    return k;
}

static inline void kept_text(struct kept_stream *k, char out[GATEWAY_TEXT])
{
    ck_assert_int_eq(fflush(k->stream), 0);
    ck_assert_int_ge(dup2(k->before, fileno(k->stream)), 0);
    ssize_t size = pread(k->file, out, GATEWAY_TEXT - 1, 0);
    ck_assert_int_ge(size, 0);
    out[size] = '\0';
    ck_assert_int_eq(close(k->before), 0);
    ck_assert_int_eq(close(k->file), 0);
}

/* Gives a command with up to two arguments. Returns its exit status; what it has said is in
 * gateway.out and gateway.err. */
static inline int gives(int (*command)(const struct console *c), bool is_json, const char *first,
                        const char *second)
{
    char words[2][64] = {"", ""};
    char *argv[] = {words[0], words[1], NULL};
    struct console c = {.socket = gateway.path, .is_json = is_json, .argv = argv};
    c.argc = (first != NULL) + (second != NULL);
    (void)snprintf(words[0], sizeof words[0], "%s", first == NULL ? "" : first);   /* fits */
    (void)snprintf(words[1], sizeof words[1], "%s", second == NULL ? "" : second); /* fits */
    struct kept_stream out = keep_stream(stdout), err = keep_stream(stderr);
    int outcome = command(&c);
    kept_text(&out, gateway.out);
    kept_text(&err, gateway.err);
    return outcome;
}

/* Is there a line of these words, whatever the space between them? */
static inline bool has_line(const char *text, const char *words)
{
    while (*text != '\0') {
        const char *at = words;
        while (*text == ' ')
            text++;
        for (; *text != '\0' && *text != '\n'; text++)
            if (*text != ' ' && at != NULL && *text == *at)
                at++;
            else if (*text != ' ')
                at = NULL;
            else if (text[1] != ' ' && text[1] != '\n' && at != NULL)
                at = *at == ' ' ? at + 1 : NULL;
        if (at != NULL && *at == '\0')
            return true;
        text += *text == '\n';
    }
    return false;
}

static inline void says_line(const char *words)
{
    ck_assert_msg(has_line(gateway.out, words), "no line \"%s\" in:\n%s", words, gateway.out);
}
