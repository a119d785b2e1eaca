#include "console/client.h"

#include "base/span.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_SECONDS = 60 };

static int connect_to(const char *path, struct error *why)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    if (strlen(path) >= sizeof at.sun_path)
        return error_set(why, "%s: the path is too long", path);
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path); /* fits */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof at) == 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
                         sizeof patience); /* else it waits */
        return fd;
    }
    bool is_absent = errno == ENOENT || errno == ECONNREFUSED;
    (void)error_set(why, "%s: %s%s", path, strerror(errno),
                    is_absent ? "; is porteirod running? (-s names another socket)" : "");
    if (fd >= 0)
        (void)close(fd); /* nothing was written */
    return -1;
}

/* A gateway that refuses has said why and closed already: its answer is read all the same. */
static void send_request(int fd, const json_t *request)
{
    char *text = json_dumps(request, JSON_COMPACT);
    if (text == NULL)
        abort(); /* out of memory */
    struct iovec parts[] = {{text, strlen(text)}, {(char[]){'\n'}, 1}};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    (void)!sendmsg(fd, &message, MSG_NOSIGNAL); /* a new socket takes it; else: no answer */
    free(text);
}

/* Takes lines up to the last, which has "ok". */
static int take_answer(FILE *stream, void (*take)(void *owner, json_t *line), void *owner,
                       char **text, struct error *why)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    int outcome = 1;
    while (outcome == 1 && (size = getline(&line, &room, stream)) > 0) {
        json_t *object = json_loadb(line, (size_t)size, 0, NULL);
        const json_t *ok = json_object_get(object, "ok");
        if (ok == NULL && object != NULL) {
            take(owner, object);
        } else if (object == NULL || !json_is_true(ok)) {
            const char *error = json_string_value(json_object_get(object, "error"));
            outcome = error_set(why, "%s", error == NULL ? "no answer that makes sense" : error);
            *text = error == NULL ? NULL : strdup(error);
        } else {
            const char *said = json_string_value(json_object_get(object, "text"));
            *text = said == NULL ? NULL : strdup(said);
            outcome = 0;
        }
        json_decref(object);
    }
    free(line);
    return outcome == 1 ? error_set(why, "the gateway gave no answer") : outcome;
}

int console_ask(const char *socket, json_t *request, void (*take)(void *owner, json_t *line),
                void *owner, char **text, struct error *why)
{
    *text = NULL;
    int fd = connect_to(socket, why);
    if (fd < 0)
        return -1;
    FILE *stream = fdopen(fd, "r");
    if (stream == NULL)
        abort(); /* out of memory */
    send_request(fd, request);
    int outcome = take_answer(stream, take, owner, text, why);
    (void)fclose(stream); /* all was said */
    return outcome;
}
