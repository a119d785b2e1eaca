/* The control socket: a line of JSON asks, lines of JSON answer, the last one says how it went:
 *
 *     {"command": "sessions"}
 *     {"session": "...", ...}
 *     {"ok": true}
 */
#pragma once

#include "control/banning.h"
#include "control/board.h"
#include "control/grant.h"
#include "control/kicking.h"
#include "control/limit_setting.h"
#include "control/showing.h"
#include "control/suspending.h"
#include "net/loop.h"
#include "telemetry/event.h"

struct control_socket;

/* What others do; each is answered by control_socket_answer with its number. */
struct control_actions {
    void (*reload)(void *owner, uint32_t request, bool is_files);
    void (*set_drain)(void *owner, uint32_t request, bool is_drain);
    void (*forget)(void *owner, uint32_t request, const char *name);
    void (*limits)(void *owner, uint32_t request, const json_t *keys);
    void (*explain)(void *owner, uint32_t request, const json_t *question);
    void (*count)(void *owner, uint32_t request, const char *account, json_int_t count);
    void (*resumed)(void *owner, uint32_t request, const char *account);
    void (*count_message)(void *owner, uint32_t request, const char *message);
    void (*login_test)(void *owner, uint32_t request, const char *name, const char *password);
    void *owner;
};

struct control_socket_options {
    struct loop *loop;
    int fd; /* listening; the socket's */
    const struct grants *grants;
    const struct board *board;
    const struct banning *banning;
    const struct kicking *kicking;
    const struct limit_setting *limit_setting;
    const struct suspending *suspending;
    const struct showing *showing;
    const struct event_log *log;
    struct control_actions actions;
};

/* NULL without memory. */
struct control_socket *control_socket_create(const struct control_socket_options *options);
void control_socket_destroy(struct control_socket **s);

/* A line of an action's answer, before its end. */
void control_socket_tell(struct control_socket *s, uint32_t request, json_t *line);

/* How an action went; `text` is for a person, lines parted by LF. Whoever asked may be gone. */
void control_socket_answer(struct control_socket *s, uint32_t request, bool is_good,
                           struct span text);

/* Takes no new clients; `fn` is called once none is left, at once if that is so already. */
void control_socket_close_door(struct control_socket *s, loop_fn *fn, void *owner);
